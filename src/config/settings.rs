//! Every setting: its key, type, default, flag and documentation, each in one row.
//!
//! A row is all that a setting needs before it has a meaning.  From the rows come the tables that files and flags are
//! read into, the flags of the command line with their help and completions, the manual's section 5, and the near misses
//! in errors.  The row's type decides which values are accepted ([`Read`]) and how the manual names them.
//!
//! To add a setting: add a row here, a field to [`Account`](crate::account::Account), and the line in `resolve.rs` that
//! fills that field.

use std::time::Duration;

use super::mistake::{LocatedMistake, Mistake, SettingPlace, quoted};
use super::names::{Fingerprints, Host, UserName};
use super::value::{
    DirectoryName, FileName, LimitNumber, LimitSize, Netrc, Number, OneLine, ProgramValue, Prose, Read,
    Silence, Stdout, SystemdCredential, UserId, Value, WebAddress, Written, labelled,
};
use super::way::{Connect, ProxySetting, SourceAddresses};
use crate::account::{
    Auth, Endpoint, FirstRun, ListingMode, OAuthFlow, Retention, Switch, SyncMode, Tls, Utf8Mode,
};
use crate::secret::Secret;

/// Accounts that are polled in parallel at most: each is a thread and a few descriptors.
pub(crate) const MOST_CONNECTIONS: u32 = 1000;

/// Programs of one `pipe` that run at once at most: each is a process and a message in memory or on disk.
pub(crate) const MOST_PARALLEL: u32 = 256;

/// The longest age that `days` can set: ten years, as for any duration.
pub(crate) const MOST_DAYS: u32 = 3650;

/// A setting, as everything but its reader needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingKey {
    /// As it is written in the file, and behind the two dashes of its flag.
    pub name: &'static str,
    /// What it may be: literal words in lower case, kinds of values in upper case, separated by `|`.
    pub values: &'static str,
    /// What holds without it.
    pub default: Preset,
    /// Its flag on the command line, whose value is text of the same form.
    pub flag: Option<Flag>,
    /// Whether its value may be a secret, which no error shows.
    pub is_secret: bool,
    /// What it means, in whole sentences.
    pub text: &'static str,
}

/// What holds where a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// It has to be given, or its absence means "no".
    None,
    /// This value, as a file would give it.
    Value(&'static str),
    /// It depends on other settings; in words.
    Depends(&'static str),
}

/// The flag of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Where the help lists it.
    pub heading: HelpSection,
    /// One sentence, without its full stop.
    pub help: &'static str,
    /// Whether several of it count, and not only the last one.
    pub repeats: bool,
}

/// The parts of the help, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelpSection {
    /// Where the maildrop is.
    Server,
    /// How to log in there.
    Login,
    /// Where messages go.
    Delivery,
    /// What is retrieved and deleted.
    Policy,
    /// What few people need.
    Tuning,
}

impl HelpSection {
    /// All of them, in the order of the help.
    pub const ALL: &'static [Self] = &[Self::Server, Self::Login, Self::Delivery, Self::Policy, Self::Tuning];

    /// As the help shows it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Login => "Login",
            Self::Delivery => "Delivery",
            Self::Policy => "What stays on the server",
            Self::Tuning => "Fine tuning",
        }
    }
}

const fn key(name: &'static str) -> SettingKey {
    SettingKey { name, values: "", default: Preset::None, flag: None, is_secret: false, text: "" }
}

impl SettingKey {
    const fn flag(self, heading: HelpSection, help: &'static str) -> Self {
        Self { flag: Some(Flag { heading, help, repeats: false }), ..self }
    }

    const fn flags(self, heading: HelpSection, help: &'static str) -> Self {
        Self { flag: Some(Flag { heading, help, repeats: true }), ..self }
    }

    const fn default(self, value: &'static str) -> Self {
        Self { default: Preset::Value(value), ..self }
    }

    const fn depends(self, text: &'static str) -> Self {
        Self { default: Preset::Depends(text), ..self }
    }

    const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located<T> {
    /// As read, not yet resolved against other settings and the environment.
    pub(super) value: T,
    /// The key that it belongs to.
    pub(super) key: &'static str,
    /// The place that an error about it points at.
    pub(super) place: SettingPlace,
}

impl<T> Located<T> {
    /// A mistake in this setting.
    pub(super) fn fault(&self, mistake: Mistake) -> LocatedMistake {
        LocatedMistake::new(self.place.clone(), labelled(self.key, &self.place, mistake))
    }
}

/// A table of optional settings.
pub(super) trait Table: Sized + Clone + Default {
    /// Its keys, in the order of the manual.
    const KEYS: &'static [SettingKey];

    /// Reads one setting; false when there is no such key.
    ///
    /// # Errors
    /// A value that the setting cannot have.
    fn set(&mut self, key: &str, value: &Value<'_>) -> Result<bool, LocatedMistake>;

    /// These settings, and those of `below` that these lack.
    fn or(self, below: Self) -> Self;

    /// Whether nothing is set.
    fn is_empty(&self) -> bool;

    /// Where a key was set; `None` where it wasn't.
    fn place(&self, key: &str) -> Option<&SettingPlace>;

    /// The key of that name.
    fn key(name: &str) -> Option<&'static SettingKey> {
        Self::KEYS.iter().find(|key| key.name == name)
    }

    /// Sets a key from the text of a flag.
    ///
    /// # Errors
    /// When there is no such key, or it cannot have that value.
    fn set_text(&mut self, key: &str, text: &str) -> Result<(), LocatedMistake> {
        let value = Value { key, place: SettingPlace::Flag, written: Written::Text(text) };
        if self.set(key, &value)? {
            return Ok(());
        }
        Err(LocatedMistake::new(
            SettingPlace::Flag,
            Mistake::new(format!("there is no setting {}", quoted(key))),
        ))
    }

    /// What holds where nothing is set: every default that is a value.
    ///
    /// # Errors
    /// A row whose default is not a value of its type; a test reads them all.
    fn presets() -> Result<Self, LocatedMistake> {
        let mut table = Self::default();
        for key in Self::KEYS {
            if let Preset::Value(text) = key.default {
                table.set_text(key.name, text)?;
            }
        }
        Ok(table)
    }
}

/// Makes a table of rows.  The documentation of a row is the manual's text and that of the field.
macro_rules! settings {
    ($(#[$doc:meta])* $table:ident {
        $($(#[doc = $text:literal])+ $field:ident: $type:ty = key($key:literal) $(.$part:ident($($argument:expr),*))*;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        pub(super) struct $table {
            $($(#[doc = $text])+ pub(super) $field: Option<Located<$type>>,)*
        }

        impl Table for $table {
            const KEYS: &'static [SettingKey] = &[$(SettingKey {
                values: <$type as Read>::VALUES,
                text: concat!($($text),+).trim_ascii(),
                ..key($key)$(.$part($($argument),*))*
            }),*];

            fn set(&mut self, key: &str, value: &Value<'_>) -> Result<bool, LocatedMistake> {
                match key {
                    $($key => {
                        let read = <$type as Read>::read(value)?;
                        self.$field = Some(Located { value: read, key: $key, place: value.place.clone() });
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn or(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field),)* }
            }

            fn is_empty(&self) -> bool {
                $(self.$field.is_none())&&*
            }

            fn place(&self, key: &str) -> Option<&SettingPlace> {
                match key {
                    $($key => self.$field.as_ref().map(|setting| &setting.place),)*
                    _ => None,
                }
            }
        }
    };
}

use HelpSection::{Delivery, Login, Policy, Server, Tuning};

settings! {
    /// The settings of `[accounts.NAME]`, and those of `[defaults]` that accounts inherit.
    AccountTable {
        /// The POP3 server's name or address.
        server: Host = key("server").flag(Server, "The server's name or address");

        /// The server's TCP port.
        port: Number<u16, 65535> = key("port")
            .depends("995 with implicit TLS, else 110")
            .flag(Server, "Its TCP port, if not 995 with implicit TLS, else 110");

        /// How the connection is protected: TLS from the start, the STLS command (required: without it there is no
        /// login), or nothing.
        tls: Tls = key("tls")
            .default("implicit")
            .flag(Server, "How the connection is protected: by TLS from the start, by STLS, or not at all");

        /// Certificate authorities (PEM) that are trusted besides the system's.
        ca_file: FileName = key("ca-file")
            .flag(Server, "Trust these certificate authorities besides the system's");

        /// The server's certificate, as "sha256:" and 64 hexadecimal digits (colons between them are allowed) of its
        /// DER form; or a list of such.  Replaces the checks of chain, dates and name.
        tls_fingerprint: Fingerprints = key("tls-fingerprint")
            .flag(Server, "Trust the certificate with this SHA-256 fingerprint, and no other");

        /// A certificate chain (PEM) to show to the server; needs tls-client-key.
        tls_client_certificate: FileName = key("tls-client-certificate")
            .flag(Server, "Show this certificate chain to the server");

        /// The key (PEM, PKCS#8) of tls-client-certificate; it may stand in the same file.
        tls_client_key: FileName = key("tls-client-key").flag(Server, "The key that belongs to it");

        /// Connect by this proxy: "socks5://HOST:PORT", "socks5+unix:///PATH" or "http://HOST:PORT" (by CONNECT), with
        /// USER:PASSWORD@ before the host where the proxy wants them; "$NAME" takes the URL from a variable of the
        /// environment, "none" is the direct way.  The proxy looks the server's name up.  See THE WAY TO THE SERVER.
        proxy: ProxySetting = key("proxy")
            .secret()
            .flag(Server, "Connect by this proxy: socks5://HOST:PORT, http://HOST:PORT");

        /// Connect by a program: its standard input and output are the connection.  In a list {host} and {port} are
        /// replaced; in a line for sh -c they are $POPFETCH_HOST and $POPFETCH_PORT.
        connect_command: Connect = key("connect-command")
            .secret()
            .flag(Server, "Connect by this command: its standard input and output are the connection");

        /// Connect to this Unix socket, where the POP3 server is on this machine; server still names it.
        socket: FileName = key("socket").flag(Server, "Connect to this Unix socket");

        /// Connect to this place, for example a tunnel that is open already; server still names the server.
        connect_to: Endpoint = key("connect-to").flag(Server, "Connect to this place instead of the server's name");

        /// The address of this machine that connections come from, or a list with one of each family; a family that
        /// isn't among them isn't used.
        source_address: SourceAddresses = key("source-address")
            .flag(Server, "The address of this machine that connections come from");

        /// The user's name at the server.
        user: UserName = key("user").flag(Login, "The user's name at the server");

        /// How to log in.  auto takes the strongest mechanism offered that keeps a password safe.  For xoauth2 and
        /// oauthbearer the password is a token; external shows the client certificate and needs no password.
        auth: Auth = key("auth")
            .default("auto")
            .flag(Login, "How to log in: auto is the strongest way offered that keeps a password safe");

        /// The password.  A file that holds one must be readable by its owner only.  Without any source of a password
        /// it is asked for at the terminal.
        password: Secret = key("password").secret();

        /// A program whose first line of output is the password: a line for sh -c, or a list that is executed as it is.
        password_command: ProgramValue = key("password-command")
            .secret()
            .flag(Login, "The first line that this command prints is the password");

        /// A file whose first line is the password; readable by its owner only.
        password_file: FileName = key("password-file")
            .flag(Login, "The first line of this file is the password");

        /// Look the password up in ~/.netrc or the file named, by server and user; readable by its owner only.
        netrc: Netrc = key("netrc").flag(Login, "Look the password up in this file, or in ~/.netrc");

        /// A file in $CREDENTIALS_DIRECTORY (systemd's LoadCredential) with the password.
        credential: SystemdCredential = key("credential").flag(Login, "The password is in this systemd credential");

        /// Log in by OAuth tokens, which popfetch gets, keeps and renews, in place of a password: the table's keys are below.
        /// popfetch auth login makes the login.  With auth = "auto" the token goes by XOAUTH2, else by OAUTHBEARER.
        oauth: OAuthTable = key("oauth").secret();

        /// What stays on the server: everything; nothing that is durably delivered; or what no limit of the table
        /// names (days, newest, total-size, larger-than).
        leave_on_server: Retention = key("leave-on-server")
            .default("true")
            .flag(Policy, "What to leave on the server: true, false, or limits such as days=14,newest=100");

        /// Where messages go: one destination or a list of them.
        deliver: DestinationTables = key("deliver");

        /// Only where popfetch runs as root: the user, by name or number, whose mail it is.  Destinations are used, and
        /// programs are run, with that user's rights; the ledger stays root's.  ~ is still root's home.
        owner: UserId = key("owner").flag(Delivery, "Deliver as this user, when run as root");

        /// Larger messages stay on the server, and are reported once.
        max_message_size: LimitSize = key("max-message-size")
            .flag(Policy, "Leave messages that are larger than this");

        /// What becomes of the mail that is on the server when the account is first used: it is retrieved, or it counts
        /// as seen, as after popfetch mark-seen: then only what comes later is retrieved.
        first_run: FirstRun = key("first-run")
            .default("all")
            .flag(Policy, "Retrieve the mail that is there at the first run, or only what comes later");

        /// A program that is run before each run of the account: a line for sh -c, or a list that is executed as it is.
        /// It gets 30 seconds and, where there is an owner, that user's rights; the environment has POPFETCH_ACCOUNT.  That
        /// it fails is a warning; no hook changes the exit code.
        before_run: ProgramValue = key("before-run");

        /// The same, after a run that has delivered mail.  The environment has POPFETCH_ACCOUNT, POPFETCH_NEW,
        /// POPFETCH_FAILED, POPFETCH_OCTETS, POPFETCH_EXIT and POPFETCH_ERROR; the delivered messages come as JSON lines on
        /// standard input, as --json prints them.
        on_new_mail: ProgramValue = key("on-new-mail");

        /// The same, after a run whose failure --quiet would report: it is new, or has lasted for alert-after, or for
        /// remind-after since.
        on_trouble: ProgramValue = key("on-trouble");

        /// The same, when such a failure is over.
        on_recovered: ProgramValue = key("on-recovered");

        /// The number of messages that are retrieved in one run, at most.
        max_messages: Number<u32, { u32::MAX }> = key("max-messages")
            .flag(Policy, "Retrieve at most NUMBER messages");

        /// The sum of sizes that is retrieved in one run, at most.
        max_bytes: LimitSize = key("max-bytes").flag(Policy, "Retrieve at most SIZE");

        /// Put a Received line on top of each message.
        received_header: bool = key("received-header")
            .default("false")
            .flag(Delivery, "Put a Received line on top of each message");

        /// How long the server may be silent: connecting gets half of it for each address, and the answers to PASS, AUTH,
        /// the first listing and QUIT five times it.  Within an answer each such time must bring 512 bytes, and within a
        /// session ten of them 16 KiB, and from sixty on 512 bytes a second: a slower server is given up, and the next run
        /// goes on.
        timeout: Silence = key("timeout")
            .default("60s")
            .flag(Tuning, "Give up after this long without an answer");

        /// With --quiet, a failure that may pass on its own is reported once it has lasted this long.
        alert_after: Duration = key("alert-after")
            .default("1h")
            .flag(Tuning, "With --quiet, report a failure once it has lasted this long");

        /// With --quiet, a failure that was reported once and still lasts is reported again after this long.
        remind_after: Duration = key("remind-after")
            .default("7d")
            .flag(Tuning, "With --quiet, report it again if it still lasts after this long");

        /// Send commands without waiting for the answers before.
        pipelining: Switch = key("pipelining")
            .default("auto")
            .flag(Tuning, "Send commands without waiting for the answers before");

        /// auto sends UTF8 (RFC 6856) where the server lists it, so that messages with 8-bit characters in their headers
        /// come as they are stored; some servers otherwise send a substitute in their place.
        utf8: Utf8Mode = key("utf8")
            .default("auto")
            .flag(Tuning, "Whether messages may come with UTF-8 in their headers");

        /// auto asks servers that only ever add at the end whether anything is new; full always takes a full listing.
        listing: ListingMode = key("listing")
            .default("auto")
            .flag(Tuning, "Whether every poll takes a full listing");

        /// The longest time between two full listings.
        full_listing_every: Duration = key("full-listing-every")
            .default("1h")
            .flag(Tuning, "Take a full listing at least this often");

        /// How messages are brought to the disk.  off is faster, and a power failure may lose mail.
        sync: SyncMode = key("sync").default("auto").flag(Tuning, "How messages are brought to the disk");
    }
}

settings! {
    /// The settings of `[defaults]` alone: they are about all accounts together.
    SharedTable {
        /// The number of accounts that are polled in parallel.
        connections: Number<usize, MOST_CONNECTIONS> = key("connections").default("16");

        /// The number of them at one server.
        connections_per_server: Number<usize, MOST_CONNECTIONS> = key("connections-per-server").default("4");

        /// A file that gets a line, with its time, for each message that was delivered or has failed, and for each run of an
        /// account.  It is appended to, and opened again when it was rotated.
        log_file: FileName = key("log-file");
    }
}

settings! {
    /// The settings of a `leave-on-server` table.  A delivered message is deleted when any of them asks for it.
    RetentionTable {
        /// The number of days that messages stay after their delivery.
        days: LimitNumber<MOST_DAYS> = key("days");

        /// The number of messages that stay: those delivered last.
        newest: LimitNumber<{ u32::MAX }> = key("newest");

        /// The sum of sizes of delivered messages that may stay; the oldest are deleted first.
        total_size: LimitSize = key("total-size");

        /// Messages larger than this are deleted as soon as they are delivered.
        larger_than: LimitSize = key("larger-than");
    }
}

settings! {
    /// The settings of a `deliver` table: exactly one of the first four, and the last two with `pipe` only.  On the
    /// command line each is a flag.
    DestinationTable {
        /// A Maildir; it is created when only the directory itself is missing.
        maildir: DirectoryName = key("maildir").flags(Delivery, "Deliver to this Maildir");

        /// An mbox file (mboxrd); locked by fcntl and a dotlock.
        mbox: FileName = key("mbox").flags(Delivery, "Deliver to this mbox file");

        /// A program that takes each message as its standard input: a line for sh -c, or a list that is executed as it
        /// is.  In a list {sender}, {recipient} and {account} are replaced, but not in what a shell or an interpreter
        /// runs: there $SENDER, $RECIPIENT and $POPFETCH_ACCOUNT stand for them.
        pipe: ProgramValue = key("pipe").flags(Delivery, "Hand each message to this command, which runs in a shell");

        /// Standard output, as an mbox stream.
        stdout: Stdout = key("stdout").flag(Delivery, "Write messages to standard output, as an mbox stream");

        /// The program of pipe is stopped when it takes longer.
        time_limit: Silence = key("time-limit")
            .default("5m")
            .flag(Delivery, "Stop the command when it takes longer than this");

        /// The number of programs of pipe that run at once.
        parallel: Number<u16, MOST_PARALLEL> = key("parallel")
            .default("1")
            .flag(Delivery, "Run at most NUMBER of these commands at once");
    }
}

settings! {
    /// The settings of an `oauth` table; the same, but for `provider`, `flow` and the commands, are those of a provider in
    /// `providers.toml`.
    OAuthTable {
        /// Who gives tokens: google, microsoft, fastmail, yahoo, aol, seznam, or a name of providers.toml.
        provider: OneLine = key("provider");

        /// In place of a provider: the address of an authorization server that describes itself (RFC 8414).  One that also
        /// registers clients (RFC 7591) needs no client-id.
        issuer: WebAddress = key("issuer");

        /// In place of a provider, or of one of its addresses: where the user agrees.
        authorize_url: WebAddress = key("authorize-url");

        /// The same: where tokens are given.
        token_url: WebAddress = key("token-url");

        /// The same: where a device asks for a code.
        device_url: WebAddress = key("device-url");

        /// The same: where a token is given back.
        revoke_url: WebAddress = key("revoke-url");

        /// The id that the provider has given to your application.
        client_id: OneLine = key("client-id");

        /// The application's secret, where it has one.  A file that holds one must be readable by its owner only.
        client_secret: Secret = key("client-secret").secret();

        /// A program whose first line of output is the application's secret.
        client_secret_command: ProgramValue = key("client-secret-command").secret();

        /// A file whose first line is the application's secret; readable by its owner only.
        client_secret_file: FileName = key("client-secret-file");

        /// A systemd credential with the application's secret.
        client_secret_credential: SystemdCredential = key("client-secret-credential");

        /// Microsoft's directory of users: common, organizations, consumers, or the domain of a firm.
        tenant: OneLine = key("tenant").default("common");

        /// What the token is good for, if that isn't what the provider has for POP.
        scope: OneLine = key("scope");

        /// How popfetch auth login goes: in a browser, or by a code that is typed on another device.
        flow: OAuthFlow = key("flow").default("auto");

        /// The address that the browser ends at, if it isn't a port of this machine: it is then pasted into the terminal.
        redirect: WebAddress = key("redirect");

        /// The proxy by which tokens are asked for, as the account's proxy is written, or none.  Without it the account's
        /// proxy is used; connect-command, socket and connect-to lead to the mail server alone.
        proxy: ProxySetting = key("proxy").secret();

        /// A program that prints the stored tokens, one line, in place of a file; needs save-command.
        load_command: ProgramValue = key("load-command").secret();

        /// A program that stores its standard input; it has done so when it exits with 0.
        save_command: ProgramValue = key("save-command").secret();
    }
}

settings! {
    /// What only a provider in `providers.toml` has.
    ProviderTable {
        /// As people call the provider.
        title: OneLine = key("title");

        /// More parameters of authorize-url, as a query has them.
        parameters: OneLine = key("parameters");

        /// A login ends when it hasn't been used for this many days.
        unused_days: Number<u32, MOST_DAYS> = key("unused-days");

        /// Where an app password is made, where that is the shorter way.
        app_password_page: OneLine = key("app-password-page");

        /// Where the user takes the access of an application back.
        access_page: OneLine = key("access-page");

        /// How a client id is got: popfetch auth login prints it where no id is set.
        guide: Prose = key("guide");
    }
}

/// The tables of `deliver`, each with its place.
pub(super) type DestinationTables = Vec<(SettingPlace, DestinationTable)>;

/// The keys of `[accounts.NAME]`, which `[defaults]` can set as well.
pub const ACCOUNT_KEYS: &[SettingKey] = AccountTable::KEYS;
/// The keys of `[defaults]` alone.
pub const SHARED_KEYS: &[SettingKey] = SharedTable::KEYS;
/// The keys of a `leave-on-server` table.
pub const RETENTION_KEYS: &[SettingKey] = RetentionTable::KEYS;
/// The keys of a `deliver` table.
pub const DESTINATION_KEYS: &[SettingKey] = DestinationTable::KEYS;
/// The keys of an `oauth` table.
pub const OAUTH_KEYS: &[SettingKey] = OAuthTable::KEYS;
/// The keys that a provider has besides.
pub const PROVIDER_KEYS: &[SettingKey] = ProviderTable::KEYS;

/// Every setting that is a flag: destinations first, otherwise in the order of the manual.
pub(crate) fn flags() -> impl Iterator<Item = &'static SettingKey> {
    DESTINATION_KEYS.iter().chain(ACCOUNT_KEYS).filter(|key| key.flag.is_some())
}

/// Whether a value of the key `name` may be shown in an error: it is known, and holds no secret.
pub(super) fn is_public(name: &str) -> bool {
    [ACCOUNT_KEYS, SHARED_KEYS, RETENTION_KEYS, DESTINATION_KEYS, OAUTH_KEYS]
        .iter()
        .flat_map(|keys| *keys)
        .find(|key| key.name == name)
        .is_some_and(|key| !key.is_secret)
}

impl AccountTable {
    /// The sources of a password that are set.
    pub(super) fn password_sources(&self) -> Vec<(&'static str, &SettingPlace)> {
        self.set_among(&["password", "password-command", "password-file", "netrc", "credential", "oauth"])
    }

    /// The ways to the server that are set.
    pub(super) fn ways(&self) -> Vec<(&'static str, &SettingPlace)> {
        self.set_among(&["proxy", "connect-command", "socket", "connect-to"])
    }

    fn set_among(&self, keys: &[&'static str]) -> Vec<(&'static str, &SettingPlace)> {
        keys.iter().filter_map(|key| Some((*key, self.place(key)?))).collect()
    }

    /// These settings over those of a lower layer.  Sources of a password are one setting in this, and so are ways to the
    /// server; a layer that sets `tls = "none"` does not inherit what TLS trusts.
    pub(super) fn over(self, mut below: Self) -> Self {
        if !self.password_sources().is_empty() {
            (below.password, below.password_command, below.password_file) = (None, None, None);
            (below.netrc, below.credential, below.oauth) = (None, None, None);
        }
        if !self.ways().is_empty() {
            (below.proxy, below.connect_command, below.socket, below.connect_to) = (None, None, None, None);
        }
        if self.connect_command.is_some() || self.socket.is_some() {
            below.source_address = None;
        }
        if self.tls.as_ref().is_some_and(|tls| tls.value == Tls::None) {
            (below.ca_file, below.tls_fingerprint) = (None, None);
            (below.tls_client_certificate, below.tls_client_key) = (None, None);
        }
        self.or(below)
    }
}
