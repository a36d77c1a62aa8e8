//! The configuration as written: TOML (or flags) into tables whose settings know their place.  Nothing is resolved
//! here: no defaults, no paths, no meaning of words; only shapes, such as "a string or a list of strings".
//!
//! The tables are read from the parsed document by hand and not by serde's derive, for two reasons: serde's errors
//! quote the offending value, which may be a password; and where a value may have several shapes, serde's untagged
//! enums lose the places inside.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Mistake, Place, nearest, quoted};
use super::keys::{self, DESTINATION_KEYS, KEYS, Key, RETENTION_KEYS};
pub use super::value::{Amount, Command, Netrc, UserId, Words};
use super::value::{Read, Value, Written, kind, labelled};
use crate::secret::Secret;

/// A configuration file.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// What accounts inherit.
    pub defaults: AccountTable,
    /// How many accounts are served at once.
    pub connections: Option<Setting<i64>>,
    /// How many of them at one server.
    pub connections_per_server: Option<Setting<i64>>,
    /// Names and tables, in the order of the file.
    pub accounts: Vec<(Setting<String>, AccountTable)>,
}

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// As written.
    pub value: T,
    /// Of this key.
    pub key: &'static str,
    /// Where.
    pub place: Place,
}

impl<T> Setting<T> {
    /// A mistake in this setting.
    pub(super) fn fault(&self, mistake: Mistake) -> Fault {
        Fault::new(self.place.clone(), labelled(self.key, &self.place, mistake))
    }
}

/// A table of optional settings, each with its type and its key.  One list makes the fields, their reader, and the
/// filling of gaps from another table, so that none can be forgotten.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Option<Setting<$type>>,)*
        }

        impl $name {
            /// The keys it reads.
            pub const NAMES: &'static [&'static str] = &[$($key),*];

            /// Reads one setting; false when there is no such key.
            fn set(&mut self, key: &str, value: &Value<'_>) -> Result<bool, Fault> {
                match key {
                    $($key => {
                        let read = <$type as Read>::read(value)?;
                        self.$field = Some(Setting { value: read, key: $key, place: value.place.clone() });
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// These settings, and those of `below` that these lack.
            #[must_use]
            pub fn or(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field),)* }
            }

            /// Whether nothing is set.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                $(self.$field.is_none())&&*
            }
        }
    };
}

table! {
    /// The settings of an account, or of `[defaults]`; `keys.rs` says what each means.
    AccountTable {
        /// Host.
        server: String = "server",
        /// TCP port.
        port: i64 = "port",
        /// How the line is protected.
        tls: String = "tls",
        /// Certificate authorities.
        ca_file: String = "ca-file",
        /// The server's certificate.
        tls_fingerprint: Words = "tls-fingerprint",
        /// Our certificate.
        tls_client_certificate: String = "tls-client-certificate",
        /// Its key.
        tls_client_key: String = "tls-client-key",
        /// The user's name.
        user: String = "user",
        /// How to log in.
        auth: String = "auth",
        /// The password itself.
        password: Secret = "password",
        /// A program that prints it.
        password_command: Command = "password-command",
        /// A file that holds it.
        password_file: String = "password-file",
        /// A netrc file.
        netrc: Netrc = "netrc",
        /// A systemd credential.
        credential: String = "credential",
        /// What stays on the server.
        leave_on_server: LeaveOnServer = "leave-on-server",
        /// Where messages go.
        deliver: Vec<(Place, DestinationTable)> = "deliver",
        /// Whose mail it is.
        owner: UserId = "owner",
        /// Larger ones stay.
        max_message_size: Amount = "max-message-size",
        /// Messages in one run.
        max_messages: i64 = "max-messages",
        /// Octets in one run.
        max_bytes: Amount = "max-bytes",
        /// A `Received` line on top.
        received_header: bool = "received-header",
        /// When a passing failure is told.
        alert_after: String = "alert-after",
        /// When a lasting one is told again.
        remind_after: String = "remind-after",
        /// Whether commands are pipelined.
        pipelining: String = "pipelining",
        /// Whether UTF8 is sent.
        utf8: String = "utf8",
        /// What a poll asks for.
        listing: String = "listing",
        /// How often it asks for all.
        full_listing_every: String = "full-listing-every",
        /// How data come to the disk.
        sync: String = "sync",
        /// The longest silence.
        timeout: String = "timeout",
    }
}

table! {
    /// A `leave-on-server` table.
    RetentionTable {
        /// Since delivery.
        days: i64 = "days",
        /// The N last delivered.
        newest: i64 = "newest",
        /// All together.
        total_size: Amount = "total-size",
        /// Each one.
        larger_than: Amount = "larger-than",
    }
}

table! {
    /// A `deliver` table.
    DestinationTable {
        /// A Maildir.
        maildir: String = "maildir",
        /// An mbox.
        mbox: String = "mbox",
        /// A program.
        pipe: Command = "pipe",
        /// Standard output.
        stdout: bool = "stdout",
        /// Of the program.
        time_limit: String = "time-limit",
        /// Programs at once.
        parallel: i64 = "parallel",
    }
}

impl AccountTable {
    /// The sources of a password that are set.
    #[must_use]
    pub fn password_sources(&self) -> Vec<(&'static str, &Place)> {
        fn source<T>(setting: Option<&Setting<T>>) -> Option<(&'static str, &Place)> {
            setting.map(|s| (s.key, &s.place))
        }
        let sources = [
            source(self.password.as_ref()),
            source(self.password_command.as_ref()),
            source(self.password_file.as_ref()),
            source(self.netrc.as_ref()),
            source(self.credential.as_ref()),
        ];
        sources.into_iter().flatten().collect()
    }

    /// These settings over those of a lower layer.  Sources of a password are one setting in this; and who says that
    /// there is no TLS does not inherit what TLS trusts.
    #[must_use]
    pub fn over(self, mut below: Self) -> Self {
        if !self.password_sources().is_empty() {
            (below.password, below.password_command, below.password_file) = (None, None, None);
            (below.netrc, below.credential) = (None, None);
        }
        if self.tls.as_ref().is_some_and(|tls| tls.value == "none") {
            (below.ca_file, below.tls_fingerprint) = (None, None);
            (below.tls_client_certificate, below.tls_client_key) = (None, None);
        }
        self.or(below)
    }

    /// Sets a key from the text of a flag.
    ///
    /// # Errors
    /// When there is no such key, or the text hasn't the shape of its value.
    pub(super) fn set_text(&mut self, key: &str, text: &str, place: Place) -> Result<(), Fault> {
        set_text(Self::set, self, key, text, place)
    }
}

impl DestinationTable {
    /// Sets a key from the text of a flag.
    ///
    /// # Errors
    /// When there is no such key, or the text hasn't the shape of its value.
    pub(super) fn set_text(&mut self, key: &str, text: &str, place: Place) -> Result<(), Fault> {
        set_text(Self::set, self, key, text, place)
    }
}

type Setter<T> = fn(&mut T, &str, &Value<'_>) -> Result<bool, Fault>;

fn set_text<T>(set: Setter<T>, table: &mut T, key: &str, text: &str, place: Place) -> Result<(), Fault> {
    let value = Value { key, place: place.clone(), written: Written::Text(text) };
    if set(table, key, &value)? {
        return Ok(());
    }
    Err(Fault::new(place, Mistake::new(format!("there is no setting {}", quoted(key)))))
}

/// The shapes of `leave-on-server`.
#[derive(Debug, Clone)]
pub enum LeaveOnServer {
    /// `true`.
    All,
    /// `false`.
    Nothing,
    /// A table.
    Limits(Box<RetentionTable>),
}

/// Reads a configuration.
///
/// # Errors
/// The first mistake: not TOML, an unknown key, a value of the wrong shape.
pub fn parse(text: &str) -> Result<File, Fault> {
    let document = DeTable::parse(text).map_err(|e| {
        let place = Place::File(e.span().unwrap_or_default());
        Fault::new(place, Mistake::new(format!("this is not TOML: {}", e.message())))
    })?;
    let mut file = File::default();
    for (name, value) in in_order(document.get_ref()) {
        match name.get_ref().as_ref() {
            "defaults" => read_defaults(&mut file, sections(value)?)?,
            "accounts" => {
                for (name, value) in in_order(sections(value)?) {
                    let place = Place::File(name.span());
                    let name = Setting { value: name.get_ref().to_string(), key: "account", place };
                    let mut account = AccountTable::default();
                    fill(&mut account, AccountTable::set, sections(value)?, KEYS)?;
                    file.accounts.push((name, account));
                }
            }
            other => return Err(unknown_section(other, name.span())),
        }
    }
    Ok(file)
}

fn read_defaults(file: &mut File, table: &DeTable<'_>) -> Result<(), Fault> {
    for (name, value) in in_order(table) {
        let key = name.get_ref().as_ref();
        let own = match key {
            "connections" => Some((&mut file.connections, "connections")),
            "connections-per-server" => Some((&mut file.connections_per_server, "connections-per-server")),
            _ => None,
        };
        let value = Value::of(key, value);
        if let Some((setting, key)) = own {
            *setting = Some(Setting { value: i64::read(&value)?, key, place: value.place });
        } else if !file.defaults.set(key, &value)? {
            return Err(unknown_key(key, name.span(), KEYS));
        }
    }
    Ok(())
}

/// Reads each entry of `table` into `target`.
fn fill<T>(target: &mut T, set: Setter<T>, table: &DeTable<'_>, keys: &'static [Key]) -> Result<(), Fault> {
    for (name, value) in in_order(table) {
        let key = name.get_ref().as_ref();
        if !set(target, key, &Value::of(key, value))? {
            return Err(unknown_key(key, name.span(), keys));
        }
    }
    Ok(())
}

type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

/// The entries in the order of the file, so that the first mistake is reported first and accounts keep their order.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn sections<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> Result<&'a DeTable<'i>, Fault> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        other => {
            let mistake = Mistake::new(format!("expected a table, found {}", kind(other)))
                .hint("the sections are [defaults] and [accounts.NAME]");
            Err(Fault::new(Place::File(value.span()), mistake))
        }
    }
}

fn unknown_section(name: &str, span: Range<usize>) -> Fault {
    let hint = if keys::find(KEYS, name).is_some() {
        format!("{} belongs below [accounts.NAME] or [defaults]", quoted(name))
    } else if let Some(near) = nearest(name, ["defaults", "accounts"]) {
        format!("did you mean \"{near}\"?")
    } else {
        "the sections are [defaults] and [accounts.NAME]".to_owned()
    };
    Fault::new(Place::File(span), Mistake::new(format!("unknown section {}", quoted(name))).hint(hint))
}

fn unknown_key(name: &str, span: Range<usize>, keys: &'static [Key]) -> Fault {
    let belongs = |other: &'static [Key], key: &str| {
        (keys == KEYS && keys::find(other, name).is_some())
            .then(|| format!("{} belongs in the table of {key}: {key} = {{ {name} = … }}", quoted(name)))
    };
    let candidates = keys.iter().map(|key| key.name);
    let hint = if keys::find(keys, name).is_some_and(|key| key.in_defaults_only) {
        Some(format!("{} holds for all accounts, and belongs below [defaults]", quoted(name)))
    } else {
        belongs(DESTINATION_KEYS, "deliver")
            .or_else(|| belongs(RETENTION_KEYS, "leave-on-server"))
            .or_else(|| {
                keys::foreign(name).filter(|_| keys == KEYS).map(|known| format!("here it is \"{known}\""))
            })
            .or_else(|| nearest(name, candidates.clone()).map(|near| format!("did you mean \"{near}\"?")))
    };
    let hint = hint.unwrap_or_else(|| format!("the keys are {}", candidates.collect::<Vec<_>>().join(", ")));
    Fault::new(Place::File(span), Mistake::new(format!("unknown key {}", quoted(name))).hint(hint))
}

impl Read for LeaveOnServer {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let mut limits = RetentionTable::default();
        match (value.boolean(), &value.written) {
            (Some(true), _) => return Ok(Self::All),
            (Some(false), _) => return Ok(Self::Nothing),
            (None, Written::Toml(DeValue::Table(table))) => {
                fill(&mut limits, RetentionTable::set, table, RETENTION_KEYS)?;
            }
            (None, Written::Text(pairs)) => {
                for pair in pairs.split(',') {
                    let known = match pair.split_once('=') {
                        Some((key, text)) => {
                            let written = Written::Text(text);
                            limits.set(key, &Value { key, place: value.place.clone(), written })?
                        }
                        None => false,
                    };
                    if !known {
                        return Err(value.misshapen("true, false or limits such as days=14,newest=100"));
                    }
                }
            }
            (None, Written::Toml(_)) => return Err(value.misshapen("true, false or a table")),
        }
        Ok(Self::Limits(Box::new(limits)))
    }
}

impl Read for Vec<(Place, DestinationTable)> {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let expected = "a table such as { maildir = \"~/Mail\" }, or a list of such";
        match value.written {
            Written::Toml(DeValue::Table(table)) => {
                let mut destination = DestinationTable::default();
                fill(&mut destination, DestinationTable::set, table, DESTINATION_KEYS)?;
                Ok(vec![(value.place.clone(), destination)])
            }
            Written::Toml(DeValue::Array(array)) => {
                let mut all = Self::new();
                for value in array.iter().map(|value| Value::of("deliver", value)) {
                    match value.written {
                        Written::Toml(DeValue::Table(_)) => all.extend(Self::read(&value)?),
                        _ => return Err(value.misshapen(expected)),
                    }
                }
                Ok(all)
            }
            _ => Err(value.misshapen(expected)),
        }
    }
}
