//! An account, validated and complete: defaults applied, paths expanded.

pub(crate) mod host;
mod route;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use route::{
    ConnectCommand, DIRECT, Endpoint, Proxy, ProxyAddress, ProxyKind, ProxyLogin, Route, Way,
};

use crate::access::Owner;
use crate::secret::Secret;
use crate::types::Octets;

/// Why a text cannot be an argument of a command, such as a user's name or a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOneLine {
    /// A required setting was left empty, or a program printed nothing.
    #[error("it is empty")]
    Empty,
    /// CR or LF would end the command and begin another one; NUL ends a field of SASL PLAIN.
    #[error("it holds a line end or NUL, which no command can carry")]
    LineEnd,
}

/// Checks that a text can be an argument of a command: not empty, and without CR, LF and NUL (RFC 1939 §3).
///
/// # Errors
/// [`NotOneLine`], typically for a password file or a user's name that was pasted with its line end.
pub(crate) fn check_one_line(text: &[u8]) -> Result<(), NotOneLine> {
    if text.is_empty() {
        return Err(NotOneLine::Empty);
    }
    if !crate::text::is_one_line(text) {
        return Err(NotOneLine::LineEnd);
    }
    Ok(())
}

/// A setting whose values are words.  The configuration, the flags and the manual take the words from here.
pub(crate) trait SettingWord: Copy + 'static {
    /// Each value and its word, in the order of the manual.
    const WORDS: &'static [(&'static str, Self)];
    /// The words, separated by `|`.
    const VALUES: &'static str;
}

macro_rules! words {
    ($name:ident { $first:ident = $word:literal $(, $other:ident = $more:literal)* $(,)? }) => {
        impl SettingWord for $name {
            const WORDS: &'static [(&'static str, Self)] = &[($word, Self::$first) $(, ($more, Self::$other))*];
            const VALUES: &'static str = concat!($word $(, "|", $more)*);
        }
    };
}

/// One maildrop to retrieve from, and what to do with its mail.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name in the configuration, or `USER@HOST` for one from flags or a URL.
    pub name: String,
    /// Server host: an A-label in lower case without final dot, or an address literal (without brackets).
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub trust: Trust,
    pub way: Way,
    /// The user's name at the server.
    pub user: String,
    pub auth: Auth,
    /// Where the password or token comes from.
    pub password: PasswordSource,
    pub retention: Retention,
    /// Where messages go; never empty.
    pub deliver: Vec<Deliver>,
    /// Whose mail it is, where root fetches it for a user: destinations and programs are used with that user's rights.
    pub owner: Option<Owner>,
    /// Larger messages stay on the server.
    pub max_message_size: Option<Octets>,
    /// What becomes of the mail that is there when the account is first used.
    pub first_run: FirstRun,
    /// What is run before and after each run.
    pub hooks: Hooks,
    /// Messages retrieved in one run, at most.
    pub max_messages: Option<u64>,
    /// Octets retrieved in one run, at most.
    pub max_bytes: Option<Octets>,
    /// Whether a `Received` line is put on top.
    pub received_header: bool,
    /// How long a temporary failure must last before `--quiet` reports it.
    pub alert_after: Duration,
    /// How long after it was reported `--quiet` reports a failure again that still lasts.
    pub remind_after: Duration,
    /// Whether commands are pipelined.
    pub pipelining: Switch,
    /// Whether messages may come as UTF-8 (RFC 6856).
    pub utf8: Utf8Mode,
    /// Whether every poll takes a full listing.
    pub listing: ListingMode,
    /// How often a full listing is taken at least.
    pub full_listing_every: Duration,
    /// How data are brought to the disk.
    pub sync: SyncMode,
    /// The longest silence.
    pub timeout: Duration,
}

impl Account {
    /// Whose maildrop this is: what the ledger is named after.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        let port = if self.port == 995 { 110 } else { self.port };
        Mailbox { user: self.user.clone(), host: self.host.clone(), port }
    }
}

/// Whose maildrop: user, host, port, where 110 and 995 are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// As the user typed it.
    pub user: String,
    /// Lower case, A-label, no final dot.
    pub host: String,
    /// 995 counts as 110.
    pub port: u16,
}

/// For people: `me@example.com@pop.example.com`, with the port where it is neither 110 nor 995.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port } = self;
        let host = host::in_brackets(host);
        let port = if *port == 110 { String::new() } else { format!(":{port}") };
        f.write_str(&crate::text::printable(format!("{user}@{host}{port}").as_bytes()))
    }
}

/// How the connection is protected.
#[expect(clippy::enum_variant_names, reason = "STARTTLS is what everybody calls it")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first octet (RFC 8314).
    Implicit,
    /// `STLS`, required (RFC 2595 §4).
    StartTls,
    None,
}

words!(Tls { Implicit = "implicit", StartTls = "starttls", None = "none" });

/// What is trusted besides the system's certificate authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    /// PEM file of certificate authorities, besides the system's.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 digests of leaf certificates (DER); any given replaces chain, dates and name.
    pub fingerprints: Vec<[u8; 32]>,
    /// PEM chain and PEM PKCS#8 key to show to the server.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// The strongest offered that keeps the password safe.
    Auto,
    UserPass,
    Apop,
    Plain,
    Login,
    CramMd5,
    /// SASL SCRAM-SHA-1, without channel binding: `auto` binds where both sides can.
    ScramSha1,
    /// SASL SCRAM-SHA-256, without channel binding: `auto` binds where both sides can.
    ScramSha256,
    /// SASL XOAUTH2: the secret is a token.
    XOAuth2,
    /// SASL OAUTHBEARER: the secret is a token.
    OAuthBearer,
    /// SASL EXTERNAL: the client certificate.
    External,
    /// What `auto` is where the secret is a token: XOAUTH2 if it is offered, else OAUTHBEARER.
    Token,
}

words!(Auth {
    Auto = "auto",
    UserPass = "user-pass",
    Apop = "apop",
    Plain = "plain",
    Login = "login",
    CramMd5 = "cram-md5",
    ScramSha1 = "scram-sha-1",
    ScramSha256 = "scram-sha-256",
    XOAuth2 = "xoauth2",
    OAuthBearer = "oauthbearer",
    External = "external",
});

/// Where the password or token comes from.
#[derive(Clone)]
pub enum PasswordSource {
    /// It is in the configuration.
    Inline(Secret),
    /// The first line of a file.
    File(PathBuf),
    /// The first line of a program's output: argv.
    Command(Vec<String>),
    Netrc(PathBuf),
    /// A systemd credential's name.
    SystemdCredential(String),
    /// Asked for at the terminal.
    Prompt,
    /// An OAuth token, which popfetch gets and renews.
    OAuth(Box<OAuth>),
}

impl fmt::Debug for PasswordSource {
    /// The kind alone: users write secrets into commands, and paths are private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OAuth(oauth) => return oauth.fmt(f),
            Self::Inline(_) => "Inline",
            Self::File(_) => "File",
            Self::Command(_) => "Command",
            Self::Netrc(_) => "Netrc",
            Self::SystemdCredential(_) => "SystemdCredential",
            Self::Prompt => "Prompt",
        })
    }
}

impl fmt::Debug for StoreCommands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreCommands")
    }
}

/// Who gives tokens for an account, and to which client (RFC 6749).
#[derive(Clone)]
pub struct OAuth {
    pub provider: Provider,
    /// The client's id; none where the server gives one when it is asked (RFC 7591).
    pub client_id: Option<String>,
    /// The client's secret, where it has one.
    pub client_secret: Option<PasswordSource>,
    pub flow: OAuthFlow,
    /// The address that a browser is sent to at the end, where it isn't a port of this machine.
    pub redirect: Option<String>,
    /// The way to the authorization server, where it isn't the account's.
    pub route: Option<Route>,
    /// Programs that print the stored tokens, and that take them, in place of a file.
    pub store: Option<StoreCommands>,
}

/// Two programs that keep tokens, each by its argv.
#[derive(Clone)]
pub struct StoreCommands {
    /// Prints what is stored.
    pub load: Vec<String>,
    /// Stores its standard input.
    pub save: Vec<String>,
}

/// An authorization server, and what is known of it before it is asked.  Addresses have the tenant in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Its name in `providers.toml`; empty for one that the configuration describes.
    pub name: String,
    /// As people call it.
    pub title: Option<String>,
    /// Where its metadata are (RFC 8414), in place of the addresses below.
    pub issuer: Option<String>,
    /// Where the user agrees.
    pub authorize: Option<String>,
    pub token: Option<String>,
    /// Where a device asks for a code (RFC 8628), if there is such a flow for mail.
    pub device: Option<String>,
    /// Where tokens are given back (RFC 7009).
    pub revoke: Option<String>,
    /// What a token is good for.
    pub scope: Option<String>,
    /// Which directory of users, where the provider has several.
    pub tenant: Option<String>,
    /// More parameters of the address where the user agrees, as a query has them.
    pub parameters: Option<String>,
    /// A login ends when it hasn't been used for this many days.
    pub unused_days: Option<u32>,
    /// Where an app password is made, which is the shorter way.
    pub app_password_page: Option<String>,
    /// Where the user takes an application's access back.
    pub access_page: Option<String>,
    /// How an id is got, step by step.
    pub guide: Option<String>,
}

impl Provider {
    /// As texts name it: its title, its issuer, or the server that gives tokens.
    #[must_use]
    pub fn called(&self) -> &str {
        let named = Some(self.name.as_str()).filter(|name| !name.is_empty());
        let called = self.title.as_deref().or(named).or(self.issuer.as_deref()).or(self.token.as_deref());
        called.unwrap_or("the authorization server")
    }
}

impl fmt::Debug for OAuth {
    /// Without commands and secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, client_id, client_secret, flow, redirect, route, store } = self;
        f.debug_struct("OAuth")
            .field("provider", provider)
            .field("client_id", client_id)
            .field("client_secret", client_secret)
            .field("flow", flow)
            .field("redirect", redirect)
            .field("route", route)
            .field("by_commands", &store.is_some())
            .finish()
    }
}

/// Which flow an OAuth login takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthFlow {
    /// The one that fits where the user sits.
    Auto,
    /// A page in the browser, which comes back to a port of this machine.
    Browser,
    /// A code that is typed on another device (RFC 8628).
    Device,
}

words!(OAuthFlow { Auto = "auto", Browser = "browser", Device = "device" });

/// What stays on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Everything.
    Keep,
    /// Nothing that is durably delivered.
    Delete,
    /// A delivered message is deleted when any limit given applies to it.
    Limits(Limits),
}

/// The limits of a leave-on-server table; at least one is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Since delivery.
    pub days: Option<u32>,
    /// Only the N last delivered stay.
    pub newest: Option<u32>,
    /// Oldest delivered go first until the rest fits.
    pub total_size: Option<Octets>,
    /// Larger ones go as soon as they are delivered.
    pub larger_than: Option<Octets>,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deliver {
    Maildir(PathBuf),
    Mbox(PathBuf),
    Pipe(Pipe),
    Stdout,
}

impl Deliver {
    /// The directory or file that mail is written to; `None` for programs and standard output.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Maildir(path) | Self::Mbox(path) => Some(path),
            Self::Pipe(_) | Self::Stdout => None,
        }
    }
}

/// A program that takes messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipe {
    /// Its argv as configured, with placeholders; or a line for `sh -c`.
    pub command: PipeCommand,
    /// The program is stopped after this time.
    pub time_limit: Duration,
    /// How many run at once.
    pub parallel: u16,
}

/// How a program is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipeCommand {
    /// Executed as it stands, but for `{sender}`, `{recipient}`, `{account}`.
    Argv(Vec<String>),
    /// Given to `sh -c` as it stands.
    Shell(String),
}

/// A setting that may be left to popfetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// popfetch decides.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

words!(Switch { Auto = "auto", On = "on", Off = "off" });

/// Whether messages may come with UTF-8 in their headers (RFC 6856).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Utf8Mode {
    /// UTF8 is sent where the server lists it.
    Auto,
    /// UTF8 is never sent; some servers then send a substitute in place of a message.
    Off,
}

words!(Utf8Mode { Auto = "auto", Off = "off" });

/// Programs that are run before and after an account's run, each by its argv.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    pub before_run: Option<Vec<String>>,
    /// After a run that has delivered anything.
    pub on_new_mail: Option<Vec<String>>,
    /// After a run whose failure is reported: it's new, or has lasted.
    pub on_trouble: Option<Vec<String>>,
    /// After the run that shows a reported failure to be over.
    pub on_recovered: Option<Vec<String>>,
}

impl Hooks {
    /// Whether no limit is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of the mail that is there when an account is first used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstRun {
    /// All of it is retrieved.
    All,
    /// It counts as seen: only what comes later is retrieved.
    NewOnly,
}

words!(FirstRun { All = "all", NewOnly = "new-only" });

/// Whether every poll takes a full listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingMode {
    /// A quick poll where the server has only ever added at the end.
    Auto,
    /// Always a full one.
    Full,
}

words!(ListingMode { Auto = "auto", Full = "full" });

/// How data are brought to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// `syncfs` where it's trustworthy, else each.
    Auto,
    /// fsync of each file and directory.
    Each,
    /// Not at all: a power failure may lose mail.
    Off,
}

words!(SyncMode { Auto = "auto", Each = "each", Off = "off" });
