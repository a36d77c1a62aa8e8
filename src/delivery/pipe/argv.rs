//! What is executed for a message, and what can stand in its arguments.
//!
//! Addresses come from mail: an argument must never become an option by what a sender wrote, and no text from mail is
//! ever part of a shell line.

use crate::account::PipeCommand;

/// From whom and to whom, for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) sender: String,
    pub(super) recipient: String,
}

/// The sender where none is known.  An empty one makes procmail write a broken From_ line.
const NOBODY: &str = "MAILER-DAEMON";

impl Envelope {
    /// From a message's header, where anything may stand.
    pub(super) fn new(sender: &str, recipient: &str) -> Self {
        let fine = |address: &str| !address.is_empty() && !address.chars().any(char::is_control);
        Self {
            sender: if fine(sender) { sender } else { NOBODY }.to_owned(),
            recipient: if fine(recipient) { recipient } else { "" }.to_owned(),
        }
    }
}

/// An MDA that wants to be called in its own way.
struct Mda {
    name: &'static str,
    /// Options without a value, which may stand together with others behind one `-`.
    flags: &'static str,
    /// The one to be put in if it isn't given.
    wanted: Option<char>,
}

/// procmail writes no From_ line without `-f`, and exits 73 instead of 75 without `-t`; maildrop takes the sender
/// from `-f` alone; dovecot-lda mails a bounce of its own to the sender without `-e`.
const MDAS: [Mda; 3] = [
    Mda { name: "procmail", flags: "ptoY", wanted: Some('t') },
    Mda { name: "maildrop", flags: "", wanted: None },
    Mda { name: "dovecot-lda", flags: "ek", wanted: Some('e') },
];

impl Mda {
    fn of(program: &str) -> Option<&'static Self> {
        let name = program.rsplit('/').next().unwrap_or(program);
        MDAS.iter().find(|mda| mda.name == name)
    }

    /// Whether one of the arguments is this option, alone or behind other flags.
    fn is_given(&self, option: char, arguments: &[String]) -> bool {
        arguments.iter().any(|argument| {
            argument.strip_prefix('-').is_some_and(|letters| {
                letters.trim_start_matches(|c| c != option && self.flags.contains(c)).starts_with(option)
            })
        })
    }
}

/// What can stand for a word in an argument, and the variable that holds the same.
const PLACEHOLDERS: [(&str, &str); 3] =
    [("{sender}", "$SENDER"), ("{recipient}", "$RECIPIENT"), ("{account}", "$POPFETCH_ACCOUNT")];

/// Shells, interpreters, and what hands its arguments to a shell, with the options behind which a program's text stands.
const INTERPRETERS: [(&[&str], &str); 6] = [
    (
        &[
            "sh", "bash", "dash", "ash", "ksh", "mksh", "lksh", "pdksh", "zsh", "yash", "fish", "csh",
            "tcsh", "rbash",
        ],
        "c",
    ),
    (&["su", "runuser", "sg", "flock", "script"], "c"),
    (&["python", "pypy", "perl", "ruby", "lua", "luajit", "node", "nodejs", "deno", "bun", "tclsh"], "ceEp"),
    (&["php"], "r"),
    (&["osascript", "ghc", "guile", "Rscript", "elixir", "erl", "emacs", "julia", "scala", "groovy"], "ce"),
    (&["env"], "S"),
];

/// Those whose arguments are a program's text without any option before it, or go to a shell at the other end.
const BY_NATURE: [&str; 9] = ["awk", "gawk", "mawk", "nawk", "sed", "gsed", "ssh", "rsh", "eval"];

/// A placeholder that would make a stranger's words part of a program's text, and the variable to be used in its place.
pub(super) fn unsafe_placeholder(command: &PipeCommand) -> Option<(&'static str, &'static str)> {
    let within = |text: &str| PLACEHOLDERS.into_iter().find(|(name, _)| text.contains(name));
    let elements = match command {
        PipeCommand::Shell(line) => return within(line),
        PipeCommand::Argv(elements) => elements,
    };
    // Wherever the interpreter stands: behind `env`, `nice`, `sudo -u me`, `timeout 5` and the like.
    elements.iter().enumerate().find_map(|(at, word)| {
        let arguments = elements.get(at.saturating_add(1)..).unwrap_or_default();
        let found = arguments.iter().find_map(|argument| within(argument))?;
        runs_text(word, arguments).then_some(found)
    })
}

/// Whether this program, with these arguments, takes a part of them for a program's text.
fn runs_text(program: &str, arguments: &[String]) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    // `python3.11`, `lua5.4`, `ksh93`
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    if BY_NATURE.contains(&name) {
        return true;
    }
    let Some((_, options)) = INTERPRETERS.iter().find(|(names, _)| names.contains(&name)) else {
        return false;
    };
    // These run what their first arguments name, and take options behind it.
    let starts_others = ["su", "runuser", "sg", "flock", "script", "env"].contains(&name);
    let mut after_option = false;
    for argument in arguments {
        let letters = argument.strip_prefix('-').filter(|letters| !letters.is_empty());
        match letters {
            Some(letters) => {
                let long =
                    ["-command", "-eval", "-execute", "-print", "-run", "-split-string", "-session-command"];
                if long.iter().any(|option| letters.starts_with(option))
                    || (!letters.starts_with('-') && letters.contains(|letter| options.contains(letter)))
                {
                    return true;
                }
                after_option = true;
            }
            // Behind an option it may be that option's value; else it's a script, whose arguments come next.
            None if after_option || starts_others => after_option = false,
            None => return false,
        }
    }
    false
}

/// The argv for one message.
pub(super) fn argv(command: &PipeCommand, envelope: &Envelope, account: &str) -> Vec<String> {
    let elements = match command {
        PipeCommand::Shell(line) => return vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        PipeCommand::Argv(elements) => elements,
    };
    let mut argv: Vec<String> = Vec::with_capacity(elements.len() + 3);
    let Some((program, arguments)) = elements.split_first() else { return argv };
    argv.push(program.clone());
    if let Some(mda) = Mda::of(program)
        && !mda.is_given('f', arguments)
    {
        if let Some(wanted) = mda.wanted.filter(|wanted| !mda.is_given(*wanted, arguments)) {
            argv.push(format!("-{wanted}"));
        }
        // An argument of its own: whatever it begins with, `-f` takes it for its value.
        argv.push("-f".to_owned());
        argv.push(envelope.sender.clone());
    }
    argv.extend(arguments.iter().map(|element| expand(element, envelope, account)));
    argv
}

/// An element with its placeholders filled in, once: what is put in is not looked at again.
fn expand(element: &str, envelope: &Envelope, account: &str) -> String {
    let mut out = String::with_capacity(element.len());
    let mut rest = element;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let placeholders = [
            ("{sender}", &*envelope.sender, NOBODY),
            ("{recipient}", &*envelope.recipient, ""),
            ("{account}", account, account),
        ];
        let found = placeholders.iter().find_map(|(name, value, harmless)| {
            let rest = after.strip_prefix(name)?;
            // What would make an option of an argument that wasn't one stays out.
            let option = out.is_empty() && value.starts_with('-');
            Some((if option { harmless } else { value }, rest))
        });
        match found {
            Some((value, behind)) => {
                out.push_str(value);
                rest = behind;
            }
            None => {
                out.push('{');
                rest = after.strip_prefix('{').unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{Envelope, PipeCommand, argv, unsafe_placeholder};

    fn built(elements: &[&str], sender: &str, recipient: &str) -> Vec<String> {
        let command = PipeCommand::Argv(elements.iter().map(|e| (*e).to_owned()).collect());
        argv(&command, &Envelope::new(sender, recipient), "work")
    }

    #[test]
    fn no_strangers_word_becomes_a_programs_text() {
        let cases: [(&[&str], bool); 35] = [
            (&["sh", "-c", "deliver {sender}"], true),
            (&["/bin/sh", "-c", "deliver \"$1\"", "sh", "{sender}"], true),
            (&["sh", "-ec", "deliver {recipient}"], true),
            (&["bash", "-o", "pipefail", "-c", "deliver {sender}"], true),
            (&["env", "A=b", "nice", "-n", "5", "dash", "-c", "{sender}"], true),
            (&["sudo", "-u", "me", "ksh93", "-c", "{sender}"], true),
            (&["busybox", "sh", "-c", "{sender}"], true),
            (&["env", "-S", "sh x {sender}"], true),
            (&["env", "--split-string=x {sender}"], true),
            (&["python3.11", "-c", "print('{sender}')"], true),
            (&["python-3.11", "-c", "print('{sender}')"], true),
            (&["python3", "-u", "deliver.py", "{sender}"], false),
            (&["python3", "--check-hash-based-pycs", "never", "deliver.py", "{sender}"], false),
            (&["sh", "-", "-c", "{sender}"], false),
            (&["python3", "-Sc", "{sender}"], true),
            (&["perl", "-w", "-ne", "{sender}"], true),
            (&["perl", "-E", "{sender}"], true),
            (&["ruby", "-e", "{sender}"], true),
            (&["node", "--eval", "{sender}"], true),
            (&["php", "-r", "{sender}"], true),
            (&["awk", "/{sender}/"], true),
            (&["sed", "-e", "s/x/{sender}/"], true),
            (&["ssh", "host", "deliver", "{sender}"], true),
            (&["su", "me", "-c", "deliver {sender}"], true),
            (&["flock", "-c", "deliver {sender}"], true),
            (&["sh", "-c", "deliver \"$SENDER\""], false),
            (&["sh", "-c", "deliver '{nothing}'"], false),
            (&["sh", "/home/me/deliver", "-c", "{sender}"], false),
            (&["python3", "deliver.py", "-c", "{sender}"], false),
            (&["procmail", "-f", "{sender}"], false),
            (&["dovecot-lda", "-e", "-f", "{sender}"], false),
            (&["nice", "maildrop", "-f", "{sender}"], false),
            (&["/opt/shell", "-c", "{sender}"], false),
            (&["env", "A=b", "deliver", "{sender}", "{account}"], false),
            (&["{sender}"], false),
        ];
        for (elements, is) in cases {
            let command = PipeCommand::Argv(elements.iter().map(|e| (*e).to_owned()).collect());
            assert_eq!(unsafe_placeholder(&command).is_some(), is, "{elements:?}");
        }
        let line = |line: &str| unsafe_placeholder(&PipeCommand::Shell(line.to_owned()));
        assert_eq!(line("deliver \"{sender}\""), Some(("{sender}", "$SENDER")));
        assert_eq!(line("deliver {recipient}"), Some(("{recipient}", "$RECIPIENT")));
        assert_eq!(line("deliver {account}"), Some(("{account}", "$POPFETCH_ACCOUNT")));
        assert_eq!(line("deliver \"$SENDER\" ${x} {}"), None);
    }

    #[test]
    fn arguments() {
        type Case = (&'static [&'static str], &'static str, &'static str, &'static [&'static str]);
        let cases: [Case; 26] = [
            (&["cat"], "a@b", "", &["cat"]),
            (&["x", "{sender}", "{recipient}", "{account}"], "a@b", "c@d", &["x", "a@b", "c@d", "work"]),
            (&["x", "<{sender}>-{recipient}{"], "a@b", "c@d", &["x", "<a@b>-c@d{"]),
            (&["x", "{sender}"], "{recipient}", "c@d", &["x", "{recipient}"]),
            (&["x", "{nothing}", "{{sender}}"], "a@b", "", &["x", "{nothing}", "{a@b}"]),
            (&["x", "{sender}"], "-x", "", &["x", "MAILER-DAEMON"]),
            (&["x", "{recipient}"], "", "--help", &["x", ""]),
            (&["x", "{recipient}{sender}"], "-x", "", &["x", "MAILER-DAEMON"]),
            (&["x", "-s{sender}", "to:{recipient}"], "-x", "-y", &["x", "-s-x", "to:-y"]),
            (&["x", "{sender}"], "a\nb\0", "c\x1b", &["x", "MAILER-DAEMON"]),
            (&["x", "{recipient}"], "a", "c\x1b", &["x", ""]),
            (&["{sender}"], "rm", "", &["{sender}"]),
            (&["procmail"], "a@b", "", &["procmail", "-t", "-f", "a@b"]),
            (
                &["/usr/bin/procmail", "-d", "me"],
                "",
                "",
                &["/usr/bin/procmail", "-t", "-f", "MAILER-DAEMON", "-d", "me"],
            ),
            (&["procmail", "rc"], "-x", "", &["procmail", "-t", "-f", "-x", "rc"]),
            (&["procmail", "rc"], "a b", "", &["procmail", "-t", "-f", "a b", "rc"]),
            (&["procmail", "rc"], "$(x)", "", &["procmail", "-t", "-f", "$(x)", "rc"]),
            (&["procmail", "-t"], "a@b", "", &["procmail", "-f", "a@b", "-t"]),
            (&["procmail", "-f", "{sender}"], "a@b", "", &["procmail", "-f", "a@b"]),
            (&["procmail", "-tf", "me"], "a@b", "", &["procmail", "-tf", "me"]),
            (&["procmail", "-d", "f"], "a@b", "", &["procmail", "-t", "-f", "a@b", "-d", "f"]),
            (&["procmail", "-dfred"], "a@b", "", &["procmail", "-t", "-f", "a@b", "-dfred"]),
            (&["maildrop", "-d", "me"], "a@b", "", &["maildrop", "-f", "a@b", "-d", "me"]),
            (&["maildrop", "-fme"], "a@b", "", &["maildrop", "-fme"]),
            (
                &["/usr/lib/dovecot/dovecot-lda", "-d", "me"],
                "a@b",
                "",
                &["/usr/lib/dovecot/dovecot-lda", "-e", "-f", "a@b", "-d", "me"],
            ),
            (&["dovecot-lda", "-ef", "me"], "a@b", "", &["dovecot-lda", "-ef", "me"]),
        ];
        for (elements, sender, recipient, expected) in cases {
            assert_eq!(built(elements, sender, recipient), expected, "{elements:?} {sender:?} {recipient:?}");
        }
        let line = PipeCommand::Shell("procmail -d {sender} $(x)".to_owned());
        assert_eq!(
            argv(&line, &Envelope::new("a", "b"), "work"),
            ["/bin/sh", "-c", "procmail -d {sender} $(x)"],
            "a shell's line is the user's alone"
        );
        assert_eq!(built(&[], "a", "b"), [""; 0]);
    }
}
