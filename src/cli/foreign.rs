//! Flags of fetchmail(1), getmail(1) and mpop(1) that people type out of habit, and what they are called here.

/// What a flag of another program is here; `None` where none has it.  A test holds each flag and each command that is named to be one of ours.
#[rustfmt::skip]
pub(super) fn meaning(flag: &str) -> Option<&'static str> {
    Some(match flag {
        // What is retrieved, and what stays.
        "-k" | "--dont-delete" => "here it is --keep",
        "-K" | "--nokeep" => "here it is --delete",
        "-a" | "--fetchall" => "here it is --all; all accounts are polled where none is named",
        "-n" | "--new" | "--only-new" | "-U" | "--uidl" => "here it is the default: only what is new is retrieved",
        "-F" | "--flush" => "there is nothing like it: what was never delivered is never deleted",
        "-l" => "fetchmail's is --max-message-size SIZE here; getmail's is --keep",
        "--limit" | "--killsize" | "--skipsize" => "here it is --max-message-size SIZE",
        "-B" | "--fetchlimit" | "-b" | "--batchlimit" => "here it is --max-messages NUMBER",
        "--all-accounts" => "here it is the default: all accounts are polled where none is named",
        // When.
        "-d" => "fetchmail's is a timer here: popfetch cron prints one; getmail's is --delete, mpop's -vv",
        "--daemon" | "--idle" => "cron or systemd repeats a run: popfetch cron prints what they need",
        "-N" | "--nodetach" | "--quit" | "--pidfile" => "popfetch never runs in the background: there is nothing to end",
        "-c" | "--check" | "--status-only" => "here it is a command: popfetch check",
        // The server.
        "-p" | "--proto" | "--protocol" => "here it is POP3 always: leave it out",
        "-P" | "--service" => "here it is --port NUMBER",
        "--host" => "here it is --server HOST",
        "--ssl" => "here it is the default: TLS from the start; leave it out",
        "--tls-starttls" => "here it is --tls starttls",
        "--sslproto" | "--tls-priorities" => "here it is --tls implicit, starttls or none; TLS is 1.2 or later",
        "--sslcertck" | "--tls-certcheck" | "--nosslcertck" => {
            "certificates are always checked here: --ca-file trusts another authority, --tls-fingerprint one certificate"
        }
        "--sslcertfile" | "--sslcertpath" | "--tls-trust-file" => "here it is --ca-file FILE",
        "--sslfingerprint" => "here it is --tls-fingerprint FINGERPRINT, of SHA-256",
        "--sslcert" | "--tls-cert-file" => "here it is --tls-client-certificate FILE",
        "--sslkey" | "--tls-key-file" => "here it is --tls-client-key FILE",
        "--plugin" => "here it is --connect-command COMMAND",
        "--proxy-host" | "--proxy-port" => "here it is --proxy URL",
        "--source-ip" => "here it is --source-address ADDRESS",
        "--serverinfo" | "--fingerprint" => "here it is a command: popfetch server-info",
        "-r" => "fetchmail's is a folder, which POP3 has not; getmail's is --config FILE here",
        "--folder" => "POP3 has one mailbox and no folders: leave it out",
        "-t" => "here it is --timeout DURATION, such as 60s",
        // The login.
        "-u" | "--username" => "here it is --user NAME",
        "--passwordeval" => "here it is --password-command COMMAND",
        "-A" | "--auth-only" => "here it is a command: popfetch check",
        // Where messages go.
        "-m" | "--mda" => "here it is --pipe COMMAND",
        "--delivery" => "here it is --maildir DIRECTORY, --mbox FILE or --pipe COMMAND",
        "-S" | "--smtphost" | "--lmtp" | "-D" | "--smtpaddress" | "--smtpname" | "--bsmtp" => {
            "popfetch delivers to --maildir, --mbox or --pipe; a program such as sendmail can hand it on: --pipe COMMAND"
        }
        // Files.
        "-f" | "--fetchmailrc" | "--rcfile" | "-C" | "--file" => {
            "here it is --config FILE; popfetch import takes over what stands in a file of another program"
        }
        "--configure" => "here it is a command: popfetch init",
        "-i" | "--idfile" | "--uidls-file" | "-g" | "--getmaildir" => {
            "what is known of each message is kept in ~/.local/state/popfetch; popfetch import takes over what another program knows"
        }
        // What is printed.
        "-s" | "--silent" | "--half-quiet" | "-Q" => "here it is --quiet",
        "--debug" | "--trace" => "here it is -vv: the dialogue with the server",
        "-L" | "--logfile" => "here it is --log-file FILE",
        "--syslog" => "here systemd's journal gets what is printed, or --log-file FILE",
        "--pretend" => "here it is --dry-run",
        "--dump" | "--configdump" => "here it is a command: popfetch config show",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::meaning;
    use crate::cli::args::command;

    const FLAGS: [&str; 98] = [
        "--plugin",
        "--proxy-host",
        "--proxy-port",
        "--source-ip",
        "--serverinfo",
        "--fingerprint",
        "-A",
        "--auth-only",
        "--configure",
        "-c",
        "--check",
        "--status-only",
        "-k",
        "--dont-delete",
        "-K",
        "--nokeep",
        "-a",
        "--fetchall",
        "-n",
        "--new",
        "--only-new",
        "-U",
        "--uidl",
        "-F",
        "--flush",
        "-l",
        "--limit",
        "--killsize",
        "--skipsize",
        "-B",
        "--fetchlimit",
        "-b",
        "--batchlimit",
        "--all-accounts",
        "-d",
        "--daemon",
        "--idle",
        "-N",
        "--nodetach",
        "--quit",
        "--pidfile",
        "-p",
        "--proto",
        "--protocol",
        "-P",
        "--service",
        "--host",
        "--ssl",
        "--tls-starttls",
        "--sslproto",
        "--tls-priorities",
        "--sslcertck",
        "--tls-certcheck",
        "--nosslcertck",
        "--sslcertfile",
        "--sslcertpath",
        "--tls-trust-file",
        "--sslfingerprint",
        "--sslcert",
        "--tls-cert-file",
        "--sslkey",
        "--tls-key-file",
        "-r",
        "--folder",
        "-t",
        "-u",
        "--username",
        "--passwordeval",
        "-m",
        "--mda",
        "--delivery",
        "-S",
        "--smtphost",
        "--lmtp",
        "-D",
        "--smtpaddress",
        "--smtpname",
        "--bsmtp",
        "-f",
        "--fetchmailrc",
        "--rcfile",
        "-C",
        "--file",
        "-i",
        "--idfile",
        "--uidls-file",
        "-g",
        "--getmaildir",
        "-s",
        "--silent",
        "-Q",
        "--debug",
        "--logfile",
        "--pretend",
        "--dump",
        "--configdump",
        "-L",
        "--syslog",
    ];

    /// The flags and commands that a hint names.
    fn named(hint: &str) -> impl Iterator<Item = &str> {
        hint.split([' ', ',', ';', ':', '.']).filter(|word| word.starts_with('-') && word.len() > 1)
    }

    #[test]
    fn every_hint_names_what_there_is() {
        let command = command();
        let has = |flag: &str| {
            command.get_arguments().any(|arg| match flag.strip_prefix("--") {
                Some(long) => arg.get_long() == Some(long),
                None => arg.get_short().is_some_and(|short| flag.trim_start_matches('-').starts_with(short)),
            })
        };
        for flag in FLAGS {
            let hint = meaning(flag).unwrap_or_else(|| panic!("{flag}"));
            assert!(!has(flag), "{flag} is ours");
            for flag in named(hint) {
                assert!(has(flag), "{flag}: {hint}");
            }
            let mut words = hint.split(' ').skip_while(|word| *word != "popfetch").skip(1);
            if let Some(word) = words.next().filter(|word| !word.starts_with('-')) {
                let is_command = command.get_subcommands().any(|known| known.get_name() == word);
                assert!(is_command || ["never", "delivers", "prints"].contains(&word), "{word}: {hint}");
            }
        }
        assert_eq!(meaning("--nonsense"), None);
    }
}
