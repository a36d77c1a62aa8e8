//! Accounts as sections of popfetch's configuration.

use std::collections::BTreeSet;
use std::path::Path;

use toml_edit::{Array, InlineTable, Value};

use super::foreign::{ForeignRoute, ForeignTarget, Password, Protection, Stays};
use super::{Foreign, Remark, names};
use crate::account::{SettingWord, Switch, Tls};
use crate::config::settings::MOST_DAYS;
use crate::config::{Addition, LONGEST_DURATION};
use crate::text;

/// Names for these accounts, none of which is among those `taken` or is another's.
#[must_use]
pub(crate) fn choose_names(accounts: &[Foreign], taken: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut taken: BTreeSet<String> = taken.into_iter().collect();
    accounts.iter().map(|account| names::choose(account, &mut taken)).collect()
}

/// How popfetch's connection is protected where the program's was: never less, but on this machine.
#[must_use]
pub(crate) fn tls(account: &Foreign) -> Tls {
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
pub(crate) fn remarks(account: &Foreign) -> Vec<Remark> {
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
        | Password::File(_)
        | Password::Text(..)
        | Password::NotNeeded => {}
    }
    remarks
}

/// An account as popfetch has it.  A password is in a file of its own, which is named.
///
/// How the connection is protected is written in any case: what `[defaults]` sets was not meant for it.
#[must_use]
pub(crate) fn addition(name: &str, account: &Foreign, password_file: &str) -> Addition {
    let mut addition = Addition::new(name);
    let tls = tls(account);
    addition.set("server", account.server.as_str());
    let usual = if tls == Tls::Implicit { 995 } else { 110 };
    if let Some(port) = account.port.filter(|port| *port != usual) {
        addition.set("port", i64::from(port));
    }
    set_word(&mut addition, "tls", tls);
    if tls != Tls::None {
        set_text(&mut addition, "ca-file", account.ca_file.as_deref());
        let prints: Vec<String> =
            account.fingerprints.iter().map(|digest| format!("sha256:{digest}")).collect();
        match prints.as_slice() {
            [] => {}
            [one] => addition.set("tls-fingerprint", one.as_str()),
            several => addition.set_list("tls-fingerprint", several),
        }
        if let (Some(certificate), Some(key)) = (&account.client_certificate, &account.client_key) {
            addition.set("tls-client-certificate", certificate.as_str());
            addition.set("tls-client-key", key.as_str());
        }
    }
    match &account.route {
        Some(ForeignRoute::Proxy(url)) => addition.set("proxy", url.as_str()),
        Some(ForeignRoute::Command(words)) => addition.set_list("connect-command", words),
        Some(ForeignRoute::Socket(path)) => addition.set("socket", path.as_str()),
        None => {}
    }
    set_text(&mut addition, "source-address", account.source_address.as_deref());
    set_text(&mut addition, "user", account.user.as_deref());
    if let Some(auth) = account.auth {
        set_word(&mut addition, "auth", auth);
    }
    match &account.password {
        Password::Text(..) => addition.set("password-file", password_file),
        Password::Shell(command) => addition.set("password-command", command.as_str()),
        Password::Argv(words) => addition.set_list("password-command", words),
        Password::File(file) => addition.set("password-file", file.as_str()),
        Password::Netrc(None) => addition.set("netrc", true),
        Password::Netrc(Some(file)) => addition.set("netrc", file.as_str()),
        Password::Unknown | Password::NotNeeded => {}
    }
    policy(&mut addition, account);
    addition
}

fn policy(addition: &mut Addition, account: &Foreign) {
    match account.stays {
        Stays::All => addition.set("leave-on-server", true),
        Stays::Nothing => addition.set("leave-on-server", false),
        Stays::Limits { days, larger_than } => {
            let mut limits = InlineTable::new();
            if let Some(days) = days {
                limits.insert("days", i64::from(days.min(MOST_DAYS)).into());
            }
            if let Some(octets) = larger_than {
                limits.insert("larger-than", number(octets));
            }
            addition.set("leave-on-server", limits);
        }
    }
    match account.deliver.as_slice() {
        [] => {}
        [one] => addition.set("deliver", target(one)),
        several => addition.set("deliver", several.iter().map(target).collect::<Array>()),
    }
    let limits = [
        ("max-message-size", account.max_message_size),
        ("max-messages", account.max_messages.map(|messages| messages.min(u64::from(u32::MAX)))),
        ("max-bytes", account.max_bytes),
    ];
    for (key, value) in limits {
        if let Some(value) = value {
            addition.set(key, number(value));
        }
    }
    if account.received_header {
        addition.set("received-header", true);
    }
    if let Some(seconds) = account.timeout {
        addition.set("timeout", format!("{}s", seconds.min(LONGEST_DURATION.as_secs())));
    }
    if let Some(switch) = account.pipelining.filter(|switch| *switch != Switch::Auto) {
        set_word(addition, "pipelining", switch);
    }
    set_text(addition, "before-run", account.before_run.as_deref());
}

/// The section as a comment, for an account that is not taken over.
#[must_use]
pub(crate) fn commented(section: &str) -> String {
    section.lines().map(|line| format!("# {line}\n")).collect()
}

#[must_use]
pub(crate) fn comments(remarks: &[Remark], home: Option<&Path>) -> String {
    remarks.iter().map(|remark| format!("# {}\n", remark_text(remark, home))).collect()
}

/// A remark in one line, its file with `~` for the home directory.
#[must_use]
pub(crate) fn remark_text(remark: &Remark, home: Option<&Path>) -> String {
    let place = remark.place.to_string();
    let home = home.map(text::path);
    format!("{}: {}", text::in_home(&place, home.as_deref()), text::printable(remark.what.as_bytes()))
}

fn target(target: &ForeignTarget) -> InlineTable {
    let (kind, value) = match target {
        ForeignTarget::Maildir(path) => ("maildir", Value::from(path)),
        ForeignTarget::Mbox(path) => ("mbox", Value::from(path)),
        ForeignTarget::Shell(line) => ("pipe", Value::from(line)),
        ForeignTarget::Argv(words) => ("pipe", Value::Array(words.iter().map(String::as_str).collect())),
    };
    let mut table = InlineTable::new();
    table.insert(kind, value);
    table
}

/// A number that TOML can have.
fn number(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn set_text(addition: &mut Addition, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        addition.set(key, value);
    }
}

fn set_word<T: SettingWord + PartialEq>(addition: &mut Addition, key: &str, value: T) {
    if let Some((word, _)) = T::WORDS.iter().find(|(_, known)| *known == value) {
        addition.set(key, *word);
    }
}
