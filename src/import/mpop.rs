//! An mpoprc: a command and its argument on each line, gathered into accounts that begin with what `defaults` and the
//! accounts they name have set.

use std::collections::{BTreeMap, BTreeSet};

use super::foreign::{ForeignRoute, ForeignTarget, Password, Protection, StateLines, Stays};
use super::{
    Error, Foreign, ForeignFile, ForeignProgram, ForeignSource, ForeignSurroundings, Remark, StateFile,
    places, shell,
};
use crate::account::host::in_brackets;
use crate::account::{Auth, Switch};

/// Commands that take an argument, or none.
const COMMANDS: &[&str] = &[
    "host",
    "port",
    "source_ip",
    "proxy_host",
    "proxy_port",
    "socket",
    "timeout",
    "connect_timeout",
    "pipelining",
    "auth",
    "user",
    "password",
    "passwordeval",
    "ntlmdomain",
    "tls",
    "tls_starttls",
    "tls_trust_file",
    "tls_crl_file",
    "tls_fingerprint",
    "tls_key_file",
    "tls_cert_file",
    "tls_certcheck",
    "tls_force_sslv3",
    "tls_min_dh_prime_bits",
    "tls_priorities",
    "tls_host_override",
    "tls_nostarttls",
    "delivery",
    "uidls_file",
    "only_new",
    "keep",
    "killsize",
    "skipsize",
    "filter",
    "received_header",
];

/// Commands that popfetch has nothing for, where they are set to anything.
const NO_COUNTERPART: &[(&str, &str)] = &[
    ("tls_crl_file", "popfetch reads no list of revoked certificates"),
    ("tls_priorities", "the system's policy chooses versions and ciphers; TLS is 1.2 or later"),
    (
        "tls_host_override",
        "the certificate must be for the server's name; tls-fingerprint trusts one certificate",
    ),
    ("filter", "popfetch retrieves and delivers every message; a program can sort them (pipe)"),
    ("killsize", "popfetch deletes nothing that it has not delivered: larger messages stay on the server"),
];

/// What commands have set, each with its line.
type Commands = BTreeMap<&'static str, (String, usize)>;

/// Reads an mpoprc.
///
/// # Errors
/// [`Error::Syntax`].
pub(super) fn read(source: ForeignSource<'_>, around: ForeignSurroundings<'_>) -> Result<ForeignFile, Error> {
    let text = source.text();
    let mut remarks = Vec::new();
    let (mut defaults, mut accounts) = (Commands::new(), Vec::<MpopAccount>::new());
    let (mut in_defaults, mut aliases) = (false, BTreeSet::new());
    for (index, line) in text.lines().enumerate() {
        let number = index.saturating_add(1);
        let wrong = |what: &str| Error::Syntax { place: source.place(number), what: what.to_owned() };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (command, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let argument = argument.trim();
        let argument =
            argument.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(argument);
        match command {
            "defaults" => in_defaults = true,
            "account" => {
                let (name, is_alias, commands) = account(argument, &accounts).map_err(wrong)?;
                if is_alias {
                    aliases.insert(name.to_owned());
                }
                accounts.push((name.to_owned(), number, commands, defaults.clone()));
                in_defaults = false;
            }
            "eval" => remarks.push(Remark {
                place: source.place(number),
                what: "eval: the command is not run; what it prints is not taken over".to_owned(),
            }),
            _ => {
                let known = COMMANDS.iter().find(|known| **known == command);
                let known = known.ok_or_else(|| wrong("this is not a command of mpop"))?;
                let into = match accounts.last_mut() {
                    Some((name, _, commands, _)) if !in_defaults => {
                        aliases.remove(name);
                        commands
                    }
                    _ if in_defaults => &mut defaults,
                    _ => return Err(wrong("account or defaults is expected first")),
                };
                into.insert(known, (argument.to_owned(), number));
            }
        }
    }
    // Another name for one that is there already.
    let is_alias = |name: &String| aliases.contains(name);
    let accounts = accounts.into_iter().filter(|(name, ..)| !is_alias(name));
    let accounts = accounts.map(|(name, line, commands, mut whole)| {
        whole.extend(commands);
        MpopReader { commands: &whole, source, around }.foreign(&name, line)
    });
    Ok(ForeignFile { accounts: accounts.collect(), remarks })
}

/// The name, the line and the commands of an account: those of its own and of the accounts that it inherits from, and the
/// defaults that held where it begins.
type MpopAccount = (String, usize, Commands, Commands);

/// What follows `account`, a name and perhaps accounts to inherit from: the name, whether it is perhaps another name for one
/// account, and what is inherited.
fn account<'a>(
    argument: &'a str,
    accounts: &[MpopAccount],
) -> Result<(&'a str, bool, Commands), &'static str> {
    let (name, from) = argument.split_once(':').unwrap_or((argument, ""));
    let mut commands = Commands::new();
    for parent in from.split(',').map(str::trim).filter(|parent| !parent.is_empty()) {
        let known = accounts.iter().find(|(name, ..)| name == parent);
        let (_, _, inherited, _) = known.ok_or("it inherits from an account that is not there")?;
        commands.extend(inherited.iter().map(|(name, given)| (*name, given.clone())));
    }
    let name = name.trim();
    if name.is_empty() || accounts.iter().any(|(known, ..)| known == name) {
        return Err("an account needs a name of its own");
    }
    Ok((name, !from.trim().is_empty() && !from.contains(','), commands))
}

struct MpopReader<'a> {
    commands: &'a Commands,
    source: ForeignSource<'a>,
    around: ForeignSurroundings<'a>,
}

impl MpopReader<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.commands.get(name).map(|(text, _)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// `on`, which an empty argument means as well; `None` where it is not given.
    fn switch(&self, name: &str) -> Option<bool> {
        self.commands.get(name).map(|(text, _)| matches!(text.as_str(), "on" | ""))
    }

    fn line(&self, name: &str) -> usize {
        self.commands.get(name).map_or(0, |(_, line)| *line)
    }

    /// A size with `k` or `m`; `None` for `off`.
    fn size(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        let (digits, factor) = match text.strip_suffix(['k', 'm']) {
            Some(digits) => (digits, if text.ends_with('k') { 1024 } else { 1024 * 1024 }),
            None => (text, 1),
        };
        digits.parse::<u64>().ok()?.checked_mul(factor)
    }

    fn path(&self, name: &str) -> Option<String> {
        self.text(name).map(|path| self.around.setting(path, self.around.home))
    }

    fn foreign(&self, name: &str, line: usize) -> Foreign {
        let mut account = Foreign::new(ForeignProgram::Mpop, self.source.place(line));
        name.clone_into(&mut account.name);
        account.server = self.text("host").unwrap_or_default().to_owned();
        account.user = self.text("user").map(str::to_owned);
        self.connection(&mut account);
        self.login(&mut account);
        self.delivery(&mut account);
        let keeps = self.switch("keep") == Some(true);
        account.stays = if keeps { Stays::All } else { Stays::Nothing };
        let sizes = [self.size("skipsize"), self.size("killsize")];
        account.max_message_size = sizes.into_iter().flatten().filter(|size| *size > 0).min();
        account.received_header = self.switch("received_header") == Some(true);
        if self.switch("only_new") == Some(false) && keeps {
            let what =
                "only_new off: popfetch retrieves each message once; popfetch --all retrieves all again";
            account.remark(self.line("only_new"), what);
        }
        for (name, text) in NO_COUNTERPART {
            let set = self.text(name).filter(|text| *text != "off");
            // What is not deleted is only skipped.
            if set.is_some() && (*name != "killsize" || !keeps) {
                account.remark(self.line(name), format!("{name}: {text}"));
            }
        }
        if let Some(user) = account.user.clone() {
            let file = self.text("uidls_file").unwrap_or(places::UIDLS_FILE);
            let file = file.replace("%U", &user).replace("%H", &account.server);
            let lines = StateLines::Mpop { user, host: account.server.clone() };
            account.state = vec![StateFile { path: self.around.file(&file, self.around.home), lines }];
        }
        account.check();
        account
    }

    fn connection(&self, account: &mut Foreign) {
        account.port = match self.text("port") {
            Some("pop3") => Some(110),
            Some("pop3s") => Some(995),
            other => other.and_then(|port| port.parse().ok()),
        };
        account.protection = match (self.switch("tls"), self.switch("tls_starttls")) {
            (Some(true), Some(false)) => Protection::Implicit,
            (Some(true), _) => Protection::StartTls,
            _ => Protection::None,
        };
        self.route(account);
        account.ca_file =
            self.path("tls_trust_file").filter(|_| self.text("tls_trust_file") != Some("system"));
        account.client_certificate = self.path("tls_cert_file");
        account.client_key = self.path("tls_key_file");
        match self.text("tls_fingerprint") {
            Some(digest) if digest.replace(':', "").len() == 64 => {
                account.fingerprints = vec![digest.to_owned()]
            }
            Some(_) => {
                let what = "tls_fingerprint: tls-fingerprint needs a SHA-256";
                account.remark(self.line("tls_fingerprint"), what);
            }
            None => {}
        }
        if self.switch("tls_certcheck") == Some(false) {
            let what = "tls_certcheck off: popfetch checks every certificate; tls-fingerprint trusts one";
            account.remark(self.line("tls_certcheck"), what);
        }
        account.timeout = self.text("timeout").and_then(|seconds| seconds.parse().ok()).filter(|s| *s > 0);
        account.pipelining = match self.text("pipelining") {
            Some("on") => Some(Switch::On),
            Some("off") => Some(Switch::Off),
            _ => None,
        };
    }

    /// A socket goes over a proxy, which is one for SOCKS 5.
    fn route(&self, account: &mut Foreign) {
        if let Some(path) = self.path("socket") {
            account.route = Some(ForeignRoute::Socket(path));
            return;
        }
        account.source_address = self.text("source_ip").map(str::to_owned);
        if let Some(host) = self.text("proxy_host") {
            let port = self.text("proxy_port").map_or(Ok(1080), str::parse::<u16>);
            let host = in_brackets(host);
            account.route = port.ok().map(|port| ForeignRoute::Proxy(format!("socks5://{host}:{port}")));
            if account.route.is_none() {
                account.remark(self.line("proxy_port"), "proxy_port: set proxy by hand");
            }
        }
    }

    fn login(&self, account: &mut Foreign) {
        account.auth = match self.text("auth") {
            None | Some("on") => None,
            Some("user") => Some(Auth::UserPass),
            Some("plain") => Some(Auth::Plain),
            Some("login") => Some(Auth::Login),
            Some("apop") => Some(Auth::Apop),
            Some("cram-md5") => Some(Auth::CramMd5),
            Some("scram-sha-1") => Some(Auth::ScramSha1),
            Some("scram-sha-256") => Some(Auth::ScramSha256),
            Some("xoauth2") => Some(Auth::XOAuth2),
            Some("oauthbearer") => Some(Auth::OAuthBearer),
            Some("external") => Some(Auth::External),
            Some(_) => {
                let what = "auth: popfetch has no such login; auth = \"auto\" takes the best one offered";
                account.remark(self.line("auth"), what);
                None
            }
        };
        if account.auth == Some(Auth::External) {
            account.password = Password::NotNeeded;
        } else if let Some(password) = self.text("password") {
            account.take_password(password, self.source.place(self.line("password")));
        } else if let Some(command) = self.text("passwordeval") {
            account.password = Password::Shell(command.to_owned());
        }
    }

    fn delivery(&self, account: &mut Foreign) {
        let line = self.line("delivery");
        let (method, argument) =
            self.text("delivery").unwrap_or_default().split_once([' ', '\t']).unwrap_or_default();
        let argument = argument.trim();
        let unquoted =
            argument.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(argument);
        let path = || self.around.setting(unquoted, self.around.home);
        match method {
            "maildir" if !unquoted.is_empty() => account.deliver.push(ForeignTarget::Maildir(path())),
            "mbox" if !unquoted.is_empty() => account.deliver.push(ForeignTarget::Mbox(path())),
            "mda" if !unquoted.is_empty() => {
                let sender = |letter| (letter == 'F').then(|| "\"$SENDER\"".to_owned());
                let (line, _) = shell::rewritten(unquoted, sender);
                account.deliver.push(ForeignTarget::Shell(line));
            }
            _ => account.remark(line, "delivery: popfetch delivers to a Maildir, an mbox or a program"),
        }
    }
}
