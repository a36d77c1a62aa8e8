//! A configuration file: TOML into tables of settings that know their place.
//!
//! Values are read with their types, but no setting is compared with another yet, no path is complete, and no default
//! is applied.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{LocatedMistake, Mistake, SettingPlace, nearest, quoted};
use super::settings::{
    AccountTable, DestinationTable, DestinationTables, Located, OAuthTable, ProviderTable, RetentionTable,
    SharedTable, Table,
};
use super::slips;
use super::value::{Read, Value, Written, kind};
use crate::account::{Limits, Retention};

#[derive(Debug, Clone, Default)]
pub(super) struct ConfigFile {
    /// What accounts inherit.
    pub(super) defaults: AccountTable,
    /// What is about all accounts together.
    pub(super) shared: SharedTable,
    /// Names and tables, in the order of the file.
    pub(super) accounts: Vec<(Located<String>, AccountTable)>,
    /// What is wrong with it, in the order in which it was found, and with which account, by its place in the list.
    pub(super) faults: Vec<(LocatedMistake, Option<usize>)>,
}

/// Reads a configuration.
///
/// # Errors
/// The first mistake: not TOML, an unknown key, a value of the wrong shape.
pub(super) fn parse(text: &str) -> Result<ConfigFile, LocatedMistake> {
    let mut file = read_all(text)?;
    if file.faults.is_empty() { Ok(file) } else { Err(file.faults.swap_remove(0).0) }
}

/// Reads a configuration as far as it can be read, and collects what is wrong with the rest.
///
/// # Errors
/// It is not TOML.
pub(super) fn read_all(text: &str) -> Result<ConfigFile, LocatedMistake> {
    let document = DeTable::parse(text).map_err(|e| {
        let span = e.span().unwrap_or_default();
        let hint = slips::of_toml(text, &span, e.message());
        let mistake = Mistake::new(format!("this is not TOML: {}", e.message())).hint(hint);
        LocatedMistake::new(SettingPlace::File(span), mistake)
    })?;
    let mut file = ConfigFile::default();
    for (name, value) in in_order(document.get_ref()) {
        let section = match (name.get_ref().as_ref(), sections(value)) {
            (_, Ok(section)) => section,
            ("defaults" | "accounts", Err(fault)) => {
                file.faults.push((fault, None));
                continue;
            }
            (other, Err(_)) => {
                file.faults.push((unknown_section(other, name.span(), value.get_ref()), None));
                continue;
            }
        };
        match name.get_ref().as_ref() {
            "defaults" => read_defaults(&mut file, section),
            "accounts" => in_order(section).into_iter().for_each(|entry| read_account(&mut file, entry)),
            other => file.faults.push((unknown_section(other, name.span(), value.get_ref()), None)),
        }
    }
    Ok(file)
}

fn read_account(file: &mut ConfigFile, (name, value): TableEntry<'_, '_>) {
    let at = Some(file.accounts.len());
    let place = SettingPlace::File(name.span());
    let (table, faults) = match sections(value) {
        Ok(section) => match slips::dotted(name.get_ref(), section) {
            Some(whole) => {
                let mistake = Mistake::new(format!("the name {} has a dot", quoted(&whole)));
                let hint = format!("put it in quotes: [accounts.{}]", slips::key(&whole));
                (AccountTable::default(), vec![LocatedMistake::new(place.clone(), mistake.hint(hint))])
            }
            None => collect(section),
        },
        Err(fault) => (AccountTable::default(), vec![fault]),
    };
    file.accounts.push((Located { value: name.get_ref().to_string(), key: "account", place }, table));
    file.faults.extend(faults.into_iter().map(|fault| (fault, at)));
}

fn read_defaults(file: &mut ConfigFile, table: &DeTable<'_>) {
    for (name, value) in in_order(table) {
        let key = name.get_ref().as_ref();
        let value = Value::of(key, value);
        let set = match file.shared.set(key, &value) {
            Ok(false) => file.defaults.set(key, &value),
            set => set,
        };
        match set {
            Ok(true) => {}
            Ok(false) => file.faults.push((unknown_key::<AccountTable>(key, name.span()), None)),
            Err(fault) => file.faults.push((fault, None)),
        }
    }
}

/// Reads each entry of a table.
fn read<T: Table>(table: &DeTable<'_>) -> Result<T, LocatedMistake> {
    let (target, mut faults) = collect(table);
    if faults.is_empty() { Ok(target) } else { Err(faults.swap_remove(0)) }
}

/// Reads the entries of a table that can be read, and collects what is wrong with the others.
fn collect<T: Table>(table: &DeTable<'_>) -> (T, Vec<LocatedMistake>) {
    let (mut target, mut faults) = (T::default(), Vec::new());
    for (name, value) in in_order(table) {
        let key = name.get_ref().as_ref();
        match target.set(key, &Value::of(key, value)) {
            Ok(true) => {}
            Ok(false) => faults.push(unknown_key::<T>(key, name.span())),
            Err(fault) => faults.push(fault),
        }
    }
    (target, faults)
}

type TableEntry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

/// The entries in the order of the file, so that the first mistake is reported first and accounts keep their order.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<TableEntry<'a, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn sections<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> Result<&'a DeTable<'i>, LocatedMistake> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        other => {
            let mistake = Mistake::new(format!("expected a table, found {}", kind(other)))
                .hint("the sections are [defaults] and [accounts.NAME]");
            Err(LocatedMistake::new(SettingPlace::File(value.span()), mistake))
        }
    }
}

fn unknown_section(name: &str, span: Range<usize>, value: &DeValue<'_>) -> LocatedMistake {
    let mistake =
        Mistake::new(format!("unknown section {}", quoted(name))).hint(slips::of_section(name, value));
    LocatedMistake::new(SettingPlace::File(span), mistake)
}

fn unknown_key<T: Table>(name: &str, span: Range<usize>) -> LocatedMistake {
    fn belongs<T: Table>(name: &str, key: &str) -> Option<String> {
        T::key(name)?;
        Some(format!("{} belongs in the table of {key}: {key} = {{ {name} = … }}", quoted(name)))
    }
    let near =
        || nearest(name, T::KEYS.iter().map(|key| key.name)).map(|near| format!("did you mean \"{near}\"?"));
    let hint = if T::KEYS == AccountTable::KEYS {
        SharedTable::key(name)
            .map(|_| format!("{} holds for all accounts, and belongs below [defaults]", quoted(name)))
            .or_else(|| belongs::<DestinationTable>(name, "deliver"))
            .or_else(|| belongs::<RetentionTable>(name, "leave-on-server"))
            .or_else(|| belongs::<OAuthTable>(name, "oauth"))
            .or_else(|| foreign(name).map(|known| format!("here it is \"{known}\"")))
            .or_else(near)
            .or_else(|| {
                let near = nearest(name, SharedTable::KEYS.iter().map(|key| key.name))?;
                Some(format!("did you mean \"{near}\", which belongs below [defaults]?"))
            })
            .or_else(|| Some("popfetch.toml(5) has all keys (popfetch man popfetch.toml)".to_owned()))
    } else {
        near()
    };
    let all = || T::KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
    let hint = hint.unwrap_or_else(|| format!("the keys are {}", all()));
    LocatedMistake::new(
        SettingPlace::File(span),
        Mistake::new(format!("unknown key {}", quoted(name))).hint(hint),
    )
}

/// What other programs call it, and what it is here.
fn foreign(name: &str) -> Option<&'static str> {
    Some(match name {
        "host" | "hostname" | "poll" => "server",
        "username" | "login" => "user",
        "pass" | "passwd" => "password",
        "passwordeval" | "passeval" | "password_command" => "password-command",
        "ssl" | "starttls" | "tls_starttls" => "tls",
        "sslcertfile" | "tls_trust_file" | "ca_certs" => "ca-file",
        "sslfingerprint" | "tls_fingerprint" => "tls-fingerprint",
        "keep" | "delete" | "delete_after" | "delete_bigger_than" => "leave-on-server",
        "mda" | "delivery" | "destination" | "folder" => "deliver",
        "limit" | "killsize" => "max-message-size",
        "fetchlimit" | "max_messages_per_session" => "max-messages",
        "max_bytes_per_session" => "max-bytes",
        "plugin" | "tunnel" | "tunnel_command" => "connect-command",
        "proxy_host" | "proxy-host" => "proxy",
        "source_ip" | "interface" => "source-address",
        _ => return None,
    })
}

/// `true`, `false`, or a table of limits.
impl Read for Retention {
    const VALUES: &'static str = "true|false|TABLE";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        let table: RetentionTable = match (value.boolean(), &value.written) {
            (Some(true), _) => return Ok(Self::Keep),
            (Some(false), _) => return Ok(Self::Delete),
            (None, Written::Toml(DeValue::Table(table))) => read(table)?,
            (None, Written::Text(pairs)) => limits_of_flag(value, pairs)?,
            (None, Written::Toml(_)) => {
                let hint =
                    "true leaves everything, false nothing; leave-on-server = { days = 14 } what is younger";
                return Err(value.misshapen_but("true, false or a table", hint));
            }
        };
        if table.is_empty() {
            let hint = "true leaves everything, false nothing, { days = 14 } what is younger";
            return Err(value.wrong(Mistake::new("the table is empty").hint(hint)));
        }
        Ok(Self::Limits(Limits {
            days: table.days.map(|days| days.value.0),
            newest: table.newest.map(|newest| newest.value.0),
            total_size: table.total_size.map(|size| size.value.0),
            larger_than: table.larger_than.map(|size| size.value.0),
        }))
    }
}

impl Read for OAuthTable {
    const VALUES: &'static str = "TABLE";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        match value.written {
            Written::Toml(DeValue::Table(table)) => read(table),
            _ => Err(value.misshapen("a table such as { provider = \"google\", client-id = \"…\" }")),
        }
    }
}

/// Providers by name: the sections of a `providers.toml`.
pub(super) type Providers = Vec<(String, (OAuthTable, ProviderTable))>;

/// Reads a `providers.toml`.
///
/// # Errors
/// The first mistake in it.
pub(super) fn providers(text: &str) -> Result<Providers, LocatedMistake> {
    let document = DeTable::parse(text).map_err(|e| {
        let mistake = Mistake::new(format!("this is not TOML: {}", e.message()));
        LocatedMistake::new(SettingPlace::File(e.span().unwrap_or_default()), mistake)
    })?;
    let mut all = Providers::new();
    for (name, section) in in_order(document.get_ref()) {
        let DeValue::Table(section) = section.get_ref() else {
            let mistake = Mistake::new("expected a section: [NAME]");
            return Err(LocatedMistake::new(SettingPlace::File(name.span()), mistake));
        };
        let (mut common, mut own) = (OAuthTable::default(), ProviderTable::default());
        for (key, value) in in_order(section) {
            let (text, value) = (key.get_ref().as_ref(), Value::of(key.get_ref(), value));
            let is_users = ["provider", "flow", "proxy", "load-command", "save-command"].contains(&text);
            if is_users || !(common.set(text, &value)? || own.set(text, &value)?) {
                return Err(unknown_key::<ProviderTable>(text, key.span()));
            }
        }
        all.push((name.get_ref().to_string(), (common, own)));
    }
    Ok(all)
}

/// `days=14,newest=100`.
fn limits_of_flag(value: &Value<'_>, pairs: &str) -> Result<RetentionTable, LocatedMistake> {
    let mut table = RetentionTable::default();
    for pair in pairs.split(',') {
        let known = match pair.split_once('=') {
            Some((key, text)) => {
                table.set(key, &Value { key, place: value.place.clone(), written: Written::Text(text) })?
            }
            None => false,
        };
        if !known {
            return Err(value.misshapen("true, false or limits such as days=14,newest=100"));
        }
    }
    Ok(table)
}

/// A table, or a list of tables.
impl Read for DestinationTables {
    const VALUES: &'static str = "TABLE|LIST";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        let expected = "a table such as { maildir = \"~/Mail\" }, or a list of such";
        match value.written {
            Written::Toml(DeValue::Table(table)) => Ok(vec![(value.place.clone(), read(table)?)]),
            Written::Toml(DeValue::Array(array)) => {
                let mut all = Self::new();
                for value in array.iter().map(|value| Value::of("deliver", value)) {
                    match value.written {
                        Written::Toml(DeValue::Table(table)) => all.push((value.place, read(table)?)),
                        _ => return Err(value.misshapen(expected)),
                    }
                }
                Ok(all)
            }
            Written::Toml(DeValue::String(path)) if !path.contains("pass") => {
                let hint = format!("deliver = {{ maildir = {} }}, or mbox, or pipe", quoted(path));
                Err(value.misshapen_but(expected, hint))
            }
            _ => Err(value.misshapen(expected)),
        }
    }
}
