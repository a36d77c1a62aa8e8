//! Accounts as sections of popfetch's configuration.

use std::collections::BTreeSet;
use std::path::Path;

use super::foreign::{Password, Protection, Stays, Target};
use super::{Foreign, Remark, names};
use crate::account::{Switch, Tls, Word};
use crate::config::edit::text as quoted;
use crate::text;

/// The longest age that `days` can set, and the longest silence in seconds: ten years.
const MOST_DAYS: u32 = 3650;
const MOST_SECONDS: u64 = 3650 * 24 * 60 * 60;

/// Names for these accounts, none of which is among those `taken` or is another's.
#[must_use]
pub fn choose_names(accounts: &[Foreign], taken: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut taken: BTreeSet<String> = taken.into_iter().collect();
    accounts.iter().map(|account| names::choose(account, &mut taken)).collect()
}

/// How popfetch's connection is protected where the program's was: never less, but on this machine.
#[must_use]
pub fn tls(account: &Foreign) -> Tls {
    match account.protection {
        Protection::Implicit => Tls::Implicit,
        _ if account.port == Some(995) => Tls::Implicit,
        Protection::StartTls => Tls::StartTls,
        Protection::Perhaps | Protection::None if account.is_local() => Tls::None,
        Protection::Perhaps | Protection::None => Tls::StartTls,
    }
}

/// The remarks on an account, with those on what popfetch makes safer.
#[must_use]
pub fn remarks(account: &Foreign) -> Vec<Remark> {
    let mut remarks = account.remarks.clone();
    let mut add = |what: &str| remarks.push(Remark { place: account.place.clone(), what: what.to_owned() });
    if tls(account) == Tls::StartTls && account.protection == Protection::None {
        add("the connection was not protected; here STLS must succeed before the login (tls = \"starttls\")");
    }
    match account.password {
        Password::Unknown => {
            add(
                "there is no password in the file: it is asked for, unless you set password-command or another source",
            );
        }
        Password::Netrc(_)
        | Password::Shell(_)
        | Password::Argv(_)
        | Password::Text(..)
        | Password::NotNeeded => {}
    }
    remarks
}

/// The section of an account: its heading and its settings.  A password stands in a file of its own, which is named.
#[must_use]
pub fn section(name: &str, account: &Foreign, password_file: &str) -> String {
    let mut lines = Lines(format!("[accounts.{}]\n", crate::config::edit::key(name)));
    let tls = tls(account);
    lines.text("server", &account.server);
    let usual = if tls == Tls::Implicit { 995 } else { 110 };
    if let Some(port) = account.port.filter(|port| *port != usual) {
        lines.set("port", &port.to_string());
    }
    if tls != Tls::Implicit {
        lines.word("tls", tls);
    }
    if tls != Tls::None {
        lines.some("ca-file", account.ca_file.as_deref());
        let prints: Vec<String> =
            account.fingerprints.iter().map(|digest| quoted(&format!("sha256:{digest}"))).collect();
        match prints.as_slice() {
            [] => {}
            [one] => lines.set("tls-fingerprint", one),
            several => lines.set("tls-fingerprint", &format!("[{}]", several.join(", "))),
        }
        if let (Some(certificate), Some(key)) = (&account.client_certificate, &account.client_key) {
            lines.text("tls-client-certificate", certificate);
            lines.text("tls-client-key", key);
        }
    }
    lines.some("user", account.user.as_deref());
    if let Some(auth) = account.auth {
        lines.word("auth", auth);
    }
    match &account.password {
        Password::Text(..) => lines.text("password-file", password_file),
        Password::Shell(command) => lines.text("password-command", command),
        Password::Argv(words) => lines.set("password-command", &list(words)),
        Password::Netrc(None) => lines.set("netrc", "true"),
        Password::Netrc(Some(file)) => lines.text("netrc", file),
        Password::Unknown | Password::NotNeeded => {}
    }
    policy(&mut lines, account);
    lines.0
}

fn policy(lines: &mut Lines, account: &Foreign) {
    match account.stays {
        Stays::All => lines.set("leave-on-server", "true"),
        Stays::Nothing => lines.set("leave-on-server", "false"),
        Stays::Limits { days, larger_than } => {
            let days = days.map(|days| format!("days = {}", days.min(MOST_DAYS)));
            let larger = larger_than.map(|octets| format!("larger-than = {octets}"));
            let limits: Vec<String> = days.into_iter().chain(larger).collect();
            lines.set("leave-on-server", &format!("{{ {} }}", limits.join(", ")));
        }
    }
    let targets: Vec<String> = account.deliver.iter().map(target).collect();
    match targets.as_slice() {
        [] => {}
        [one] => lines.set("deliver", one),
        several => lines.set("deliver", &format!("[{}]", several.join(", "))),
    }
    let number = |octets: &u64| octets.to_string();
    let limits = [
        ("max-message-size", account.max_message_size),
        ("max-messages", account.max_messages.map(|messages| messages.min(u64::from(u32::MAX)))),
        ("max-bytes", account.max_bytes),
    ];
    for (key, value) in limits {
        if let Some(value) = value.as_ref().map(number) {
            lines.set(key, &value);
        }
    }
    if account.received_header {
        lines.set("received-header", "true");
    }
    if let Some(seconds) = account.timeout {
        lines.text("timeout", &format!("{}s", seconds.min(MOST_SECONDS)));
    }
    if let Some(switch) = account.pipelining.filter(|switch| *switch != Switch::Auto) {
        lines.word("pipelining", switch);
    }
    lines.some("before-run", account.before_run.as_deref());
}

/// The section as a comment, for an account that is not taken over.
#[must_use]
pub fn commented(section: &str) -> String {
    section.lines().map(|line| format!("# {line}\n")).collect()
}

/// Remarks as comments.
#[must_use]
pub fn comments(remarks: &[Remark], home: Option<&Path>) -> String {
    remarks.iter().map(|remark| format!("# {}\n", remark_text(remark, home))).collect()
}

/// A remark in one line, its file with `~` for the home directory.
#[must_use]
pub fn remark_text(remark: &Remark, home: Option<&Path>) -> String {
    let place = remark.place.to_string();
    let home = home.map(text::path);
    format!("{}: {}", text::in_home(&place, home.as_deref()), text::printable(remark.what.as_bytes()))
}

fn target(target: &Target) -> String {
    match target {
        Target::Maildir(path) => format!("{{ maildir = {} }}", quoted(path)),
        Target::Mbox(path) => format!("{{ mbox = {} }}", quoted(path)),
        Target::Shell(line) => format!("{{ pipe = {} }}", quoted(line)),
        Target::Argv(words) => format!("{{ pipe = {} }}", list(words)),
    }
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// Settings, each on a line.
struct Lines(String);

impl Lines {
    fn set(&mut self, key: &str, value: &str) {
        self.0.push_str(key);
        self.0.push_str(" = ");
        self.0.push_str(value);
        self.0.push('\n');
    }

    fn text(&mut self, key: &str, value: &str) {
        self.set(key, &quoted(value));
    }

    fn some(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn word<T: Word + PartialEq>(&mut self, key: &str, value: T) {
        if let Some((word, _)) = T::WORDS.iter().find(|(_, known)| *known == value) {
            self.text(key, word);
        }
    }
}
