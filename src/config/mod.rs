//! Configuration: from a file, flags and URLs to [`Account`]s that are valid and complete.
//!
//! ```text
//! settings.rs  every setting: key, type, default, flag, documentation
//!
//! file.rs      TOML ───────┐
//! flags.rs     flags ──────┼─► tables in layers ─► resolve.rs: paths, defaults, what goes together ─► Account
//! url.rs       POP URLs ───┘
//! ```
//!
//! A layer fills the gaps of the one above: flags over `[accounts.NAME]` over `[defaults]` over the defaults of
//! `settings.rs`.  Settings keep their place until they are resolved, so that every error points at what the user wrote.
//!
//! Nothing here speaks to a server, and only `locate.rs` reads the environment.

mod addition;
mod context;
mod error;
mod file;
mod flags;
mod locate;
mod mistake;
mod names;
mod oauth;
mod percent;
mod resolve;
mod review;
mod route;
pub(crate) mod settings;
mod slips;
#[cfg(test)]
mod tests;
mod units;
mod url;
mod value;
mod way;

use std::path::{Path, PathBuf};

use crate::account::{Account, Deliver, Retention};
use crate::environment::Environment;
pub(crate) use addition::{Addition, Existing, existing, with_addition};
use context::ResolveContext;
pub use error::ConfigError;
pub(crate) use flags::Flags;
use mistake::quoted;
pub(crate) use mistake::{LocatedMistake, Mistake, SettingPlace, nearest};
use names::{Host, UserName};
pub(crate) use review::{Explained, Origin, explain, review};
use settings::{AccountTable, DestinationTable, Located, SharedTable, Table as _};
pub(crate) use units::duration;
use url::PopUrl;
use value::{DirectoryName, FileName};

use crate::access;
use crate::secret::Secret;
use crate::text::{self, printable, shown_by};

/// Octets of a configuration file at most: thousands of accounts.
pub(crate) const LARGEST_FILE: u64 = 1024 * 1024;

/// Names that an account cannot have: commands, those to come included.
pub const RESERVED_NAMES: &[&str] = &[
    "accounts",
    "add",
    "auth",
    "cache",
    "check",
    "completions",
    "config",
    "cron",
    "daemon",
    "delete",
    "doctor",
    "edit",
    "fetch",
    "help",
    "history",
    "import",
    "init",
    "list",
    "login",
    "logout",
    "man",
    "mark-seen",
    "notify",
    "queue",
    "retry",
    "rules",
    "run",
    "schema",
    "send",
    "server-info",
    "shell",
    "show",
    "start",
    "state",
    "status",
    "stop",
    "sync",
    "test",
    "version",
    "watch",
];

/// What a run works with.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// In the order of the file, or of the command line; no two of one mailbox.
    pub accounts: Vec<Account>,
    /// How many are served at once.
    pub connections: usize,
    /// How many of them at one server.
    pub connections_per_server: usize,
    /// Where a line for each delivery, failure and run goes.
    pub log_file: Option<PathBuf>,
    /// What is allowed but unwise: one line each, to be shown to the user.
    pub warnings: Vec<String>,
}

impl Configuration {
    /// No account yet.
    fn new(shared: SharedTable, context: ResolveContext<'_>) -> Result<Self, LocatedMistake> {
        let shared = shared.or(SharedTable::presets()?);
        let log_file = shared.log_file.as_ref().map(|file| context.file(file)).transpose()?;
        let number = |setting: Option<Located<value::Number<usize, _>>>| setting.map_or(1, |s| s.value.0);
        Ok(Self {
            accounts: Vec::new(),
            connections: number(shared.connections),
            connections_per_server: number(shared.connections_per_server),
            log_file,
            warnings: Vec::new(),
        })
    }
}

/// What the command line asks for.
#[derive(Clone, Default)]
pub struct Request {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Names of accounts, and POP URLs.
    pub accounts: Vec<String>,
    /// Settings.
    pub flags: Flags,
}

// Without the accounts: a POP URL may hold a password.
shown_by!(Request, file);

/// The one account of a command that takes one: the one that was named, or the only one there is.
///
/// # Errors
/// A configuration of several, none of which was named, or of none.
pub(crate) fn only(configuration: Configuration) -> Result<Account, ConfigError> {
    let names: Vec<String> = configuration.accounts.iter().map(|account| quoted(&account.name)).collect();
    let mut accounts = configuration.accounts.into_iter();
    match (accounts.next(), accounts.next()) {
        (Some(account), None) => Ok(account),
        (None, _) => Err(ConfigError::arguments("there is no account", "add one to the configuration")),
        (Some(_), Some(_)) => Err(ConfigError::arguments(
            format!("there are {} accounts, and this command is about one", names.len()),
            format!("name one of {}", names.join(", ")),
        )),
    }
}

/// The configuration for a command line.  Flags that name a server describe an account of their own, and a URL does
/// too: the file isn't read for them.  Otherwise flags go over the settings of each account that is asked for.
///
/// # Errors
/// Whatever is wrong with the command line or the file; a file with one bad account is refused as a whole.
pub fn for_run(request: &Request, environment: &Environment) -> Result<Configuration, ConfigError> {
    let (urls, names): (Vec<&String>, Vec<&String>) =
        request.accounts.iter().partition(|text| url::is_url(text));
    let from_flags = request.flags.name_server();
    if from_flags && !request.accounts.is_empty() {
        let what = format!(
            "--server describes an account, and {} is another one",
            shown_argument(&request.accounts)
        );
        return Err(ConfigError::arguments(what, "leave one of them out"));
    }
    let context = ResolveContext { environment, folder: &environment.current_directory };
    let mut configuration = if from_flags || (names.is_empty() && !urls.is_empty()) {
        Configuration::new(SharedTable::default(), context).map_err(argument)?
    } else {
        let path = match &request.file {
            Some(path) => environment.current_directory.join(path),
            None => environment.configuration_file()?,
        };
        let names: Vec<String> = names.into_iter().cloned().collect();
        Loaded::read(&path, environment)?.configuration(&names, &request.flags)?
    };
    if request.flags.hold_password() {
        configuration
            .warnings
            .push("--proxy holds a password, which other users can see in the list of processes".to_owned());
    }
    if from_flags {
        configuration.accounts.push(argued_account(&request.flags.table()?, &SettingPlace::Flag, context)?);
    }
    for text in urls {
        let url = PopUrl::parse(text)?;
        let account = argued_account(&url.table(&request.flags)?, &SettingPlace::Url, context)?;
        if url.holds_password() {
            configuration.warnings.push(format!(
                "the URL of {} holds a password, which other users can see in the list of processes",
                quoted(&account.name)
            ));
        }
        configuration.accounts.push(account);
    }
    if let Some((first, second)) = same_mailbox(&configuration.accounts) {
        let hint = "leave one of them out; one mailbox has one account";
        return Err(ConfigError::arguments(same_mailbox_text(first, second), hint));
    }
    Ok(configuration)
}

/// Refuses standard output as a destination where mail is deleted: what was only printed may be lost by the program
/// that reads it.  A regular file is another matter: it is synced.
///
/// # Errors
/// A usage error.
pub(crate) fn check_stdout(account: &Account, stdout_is_regular_file: bool) -> Result<(), ConfigError> {
    let deletes = match account.retention {
        Retention::Keep => false,
        Retention::Delete | Retention::Limits(_) => true,
    };
    if deletes && !stdout_is_regular_file && account.deliver.contains(&Deliver::Stdout) {
        let what = format!(
            "account {} prints messages on standard output, and leave-on-server would delete them",
            quoted(&account.name)
        );
        let hint = "use --keep, or write into a file: popfetch … > FILE";
        return Err(ConfigError::arguments(what, hint));
    }
    Ok(())
}

/// Refuses standard output as a destination where `--json` has it already.
///
/// # Errors
/// A usage error.
pub(crate) fn check_json(account: &Account) -> Result<(), ConfigError> {
    if account.deliver.contains(&Deliver::Stdout) {
        let what = format!(
            "account {} prints messages on standard output, which --json needs for itself",
            quoted(&account.name)
        );
        return Err(ConfigError::arguments(what, "leave --json out, or deliver somewhere else"));
    }
    Ok(())
}

/// A file that has been read and has the shape of a configuration.
struct Loaded<'a> {
    path: &'a Path,
    text: Secret,
    file: file::ConfigFile,
    environment: &'a Environment,
}

/// The octets of a configuration that nobody else can change.
fn read_file(path: &Path) -> Result<(Secret, std::fs::Metadata), ConfigError> {
    if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        let hint = "popfetch init ADDRESS writes one; or name an account by flags: \
                    popfetch --server HOST --user NAME --maildir DIRECTORY";
        let what = format!("there is no configuration at {}", text::path(path));
        return Err(ConfigError::NoFile { mistake: Mistake::new(what).hint(hint) });
    }
    access::check_path(path).map_err(|e| {
        let word = access::shell_word(path);
        // The file itself had better be closed to everybody: it may hold a password.
        let hint = if e.hint.ends_with(&word) { format!("chmod 600 {word}") } else { e.hint };
        ConfigError::file(format!("others could make popfetch run programs: {}", e.what), hint)
    })?;
    Ok(access::read(path, "configuration", LARGEST_FILE)?)
}

/// Refuses a file that holds a password, or the secret of an OAuth client, and that others can read.
fn check_private(
    path: &Path,
    metadata: &std::fs::Metadata,
    file: &file::ConfigFile,
) -> Result<(), ConfigError> {
    let holds_password = |table: &AccountTable| {
        let oauth = table.oauth.as_ref().map(|setting| &setting.value);
        table.password.is_some()
            || oauth.is_some_and(|oauth| {
                oauth.client_secret.is_some()
                    || oauth.proxy.as_ref().is_some_and(|proxy| proxy.value.holds_password())
            })
            || table.proxy.as_ref().is_some_and(|proxy| proxy.value.holds_password())
    };
    if holds_password(&file.defaults) || file.accounts.iter().any(|(_, table)| holds_password(table)) {
        access::check_private(path, metadata, None)?;
    }
    Ok(())
}

/// Where a file's relative paths start.
fn folder_of(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).ok();
    whole.as_deref().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned()
}

impl<'a> Loaded<'a> {
    fn read(path: &'a Path, environment: &'a Environment) -> Result<Self, ConfigError> {
        let (text, metadata) = read_file(path)?;
        let file = parse(path, text.expose())?;
        check_private(path, &metadata, &file)?;
        Ok(Self { path, text, file, environment })
    }

    /// Every account is resolved, so that the file is right as a whole; then those of `names` with flags over them.
    fn configuration(&self, names: &[String], flags: &Flags) -> Result<Configuration, ConfigError> {
        let text = std::str::from_utf8(self.text.expose()).unwrap_or_default();
        let folder = folder_of(self.path);
        let context = ResolveContext { environment: self.environment, folder: &folder };
        let file = &self.file;
        let mut configuration =
            resolved(file, context).map_err(|fault| ConfigError::of(fault, self.path, text))?;
        let known: Vec<&str> = file.accounts.iter().map(|(name, _)| name.value.as_str()).collect();
        let wanted = positions(names, &known)?;
        let mut accounts = Vec::new();
        if flags.is_empty() {
            accounts.extend(wanted.into_iter().filter_map(|at| configuration.accounts.get(at).cloned()));
        } else {
            let flags = flags.table()?;
            let wrong = |fault: LocatedMistake| ConfigError::of(fault, self.path, text);
            one_source(&flags).map_err(wrong)?;
            for (name, table) in wanted.into_iter().filter_map(|at| file.accounts.get(at)) {
                let table = flags.clone().over(table.clone().over(file.defaults.clone()));
                accounts.push(resolve::account(&name.value, &name.place, &table, context).map_err(wrong)?);
            }
        }
        configuration.accounts = accounts;
        Ok(configuration)
    }
}

fn parse(path: &Path, octets: &[u8]) -> Result<file::ConfigFile, ConfigError> {
    let text = utf8(path, octets)?;
    file::parse(text).map_err(|fault| ConfigError::of(fault, path, text))
}

fn utf8<'a>(path: &Path, octets: &'a [u8]) -> Result<&'a str, ConfigError> {
    std::str::from_utf8(octets).map_err(|e| {
        let before = octets.get(..e.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|octet| **octet == b'\n').count().saturating_add(1);
        ConfigError::file(format!("{}:{line}: this is not UTF-8", text::path(path)), "save it as UTF-8")
    })
}

/// Everything in a file, without any flags.
fn resolved(file: &file::ConfigFile, context: ResolveContext<'_>) -> Result<Configuration, LocatedMistake> {
    check_defaults(&file.defaults, context)?;
    let mut configuration = Configuration::new(file.shared.clone(), context)?;
    for (name, table) in &file.accounts {
        check_name(&name.value).map_err(|mistake| LocatedMistake::new(name.place.clone(), mistake))?;
        one_source(table)?;
        let table = table.clone().over(file.defaults.clone());
        configuration.accounts.push(resolve::account(&name.value, &name.place, &table, context)?);
    }
    if configuration.accounts.is_empty() {
        let mistake =
            Mistake::new("there is no account").hint("add [accounts.NAME] with server, user and deliver");
        return Err(LocatedMistake::new(SettingPlace::File(0..0), mistake));
    }
    if let Some((first, second)) = same_mailbox(&configuration.accounts) {
        let place =
            file.accounts.iter().find(|(name, _)| name.value == second.name).map(|(name, _)| &name.place);
        let mistake =
            Mistake::new(same_mailbox_text(first, second)).hint("remove one; `deliver` may be a list");
        return Err(LocatedMistake::new(place.cloned().unwrap_or(SettingPlace::File(0..0)), mistake));
    }
    Ok(configuration)
}

/// A mistake in `[defaults]` is one even if no account inherits it: they are tried on an account that lacks nothing.
fn check_defaults(defaults: &AccountTable, context: ResolveContext<'_>) -> Result<(), LocatedMistake> {
    fn setting<T>(key: &'static str, value: T) -> Option<Located<T>> {
        Some(Located { value, key, place: SettingPlace::Flag })
    }
    one_source(defaults)?;
    let maildir = setting("maildir", DirectoryName("/".to_owned()));
    let destination = DestinationTable { maildir, ..DestinationTable::default() };
    let whole = AccountTable {
        server: setting("server", Host("localhost".to_owned())),
        user: setting("user", UserName("user".to_owned())),
        deliver: setting("deliver", vec![(SettingPlace::Flag, destination)]),
        tls_client_certificate: setting("tls-client-certificate", FileName("/".to_owned())),
        tls_client_key: setting("tls-client-key", FileName("/".to_owned())),
        ..AccountTable::default()
    };
    resolve::values("defaults", &SettingPlace::File(0..0), &defaults.clone().or(whole), context).map(drop)
}

/// Refuses two sources of a password, or two ways to the server, in one table: which one counts would be a guess.
fn one_source(table: &AccountTable) -> Result<(), LocatedMistake> {
    let groups =
        [("sources of the password", table.password_sources()), ("ways to the server", table.ways())];
    for (what, group) in groups {
        if let [(first, _), (second, place), ..] = group.as_slice() {
            let mistake = Mistake::new(format!("there are two {what}: {first} and {second}"));
            return Err(LocatedMistake::new((*place).clone(), mistake.hint("keep one")));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Mistake> {
    let what = if name.is_empty() {
        "an account's name cannot be empty"
    } else if name.starts_with('-') {
        "an account's name cannot begin with -: it would look like a flag"
    } else if url::is_url(name) {
        "an account's name cannot look like a URL"
    } else if printable(name.replace('\\', "").as_bytes()) != name.replace('\\', "") {
        "an account's name cannot hold invisible characters"
    } else if RESERVED_NAMES.contains(&name) {
        return Err(Mistake::new(format!(
            "an account cannot be called {}: popfetch {name} is a command",
            quoted(name)
        ))
        .hint("choose another name"));
    } else {
        return Ok(());
    };
    Err(Mistake::new(what).hint("choose another name"))
}

/// An account from the command line is called by its mailbox.
fn argued_account(
    table: &AccountTable,
    place: &SettingPlace,
    context: ResolveContext<'_>,
) -> Result<Account, ConfigError> {
    one_source(table).map_err(argument)?;
    let account = resolve::account("", place, table, context).map_err(argument)?;
    Ok(Account { name: format!("{}@{}", account.user, account.host), ..account })
}

/// A mistake on the command line.
fn argument(fault: LocatedMistake) -> ConfigError {
    ConfigError::ArgumentsWrong { mistake: fault.mistake }
}

/// Two accounts whose ledger would be the same.
fn same_mailbox(accounts: &[Account]) -> Option<(&Account, &Account)> {
    let mut seen = std::collections::HashMap::new();
    accounts.iter().find_map(|account| seen.insert(account.mailbox(), account).map(|first| (first, account)))
}

fn same_mailbox_text(first: &Account, second: &Account) -> String {
    let [first, second] = [first, second].map(|account| quoted(&account.name));
    format!("accounts {first} and {second} are the same mailbox (user, host and port)")
}

/// Where each name stands among those known; everything for no name.
fn positions(names: &[String], known: &[&str]) -> Result<Vec<usize>, ConfigError> {
    if names.is_empty() {
        return Ok((0..known.len()).collect());
    }
    let mut positions = Vec::new();
    for name in names {
        let Some(at) = known.iter().position(|known| known == name) else {
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None => no_such_name(name, known),
            };
            let mistake = Mistake::new(format!("there is no account {}", quoted(name))).hint(hint);
            let known = known.iter().map(|name| (*name).to_owned()).collect();
            return Err(ConfigError::NoAccount { name: name.clone(), known, mistake });
        };
        if !positions.contains(&at) {
            positions.push(at);
        }
    }
    Ok(positions)
}

/// The hint where nothing is near: which accounts there are; and what to do with a mail address that has no account yet.
fn no_such_name(name: &str, known: &[&str]) -> String {
    let names: Vec<String> = known.iter().take(20).map(|name| quoted(name)).collect();
    let more = if known.len() > 20 { ", …" } else { "" };
    let (verb, plural) = if known.len() == 1 { ("is", "") } else { ("are", "s") };
    let mut hint = format!("the account{plural} {verb} {}{more}", names.join(", "));
    if name.contains(['@', '.']) {
        let (address, one) = match name.contains('@') {
            true => (printable(name.as_bytes()), "it"),
            false => ("ADDRESS".to_owned(), "another one"),
        };
        hint.push_str(&format!("; popfetch init {address} sets {one} up"));
    }
    hint
}

/// The first argument; a URL may hold a password.
fn shown_argument(arguments: &[String]) -> String {
    match arguments.first() {
        Some(argument) if !url::is_url(argument) => quoted(argument),
        _ => "the URL".to_owned(),
    }
}

/// For fuzzers: any octets as a configuration file and a URL.  None may panic, whatever they are.
pub fn fuzz_config(octets: &[u8]) {
    let environment = Environment::default();
    let path = Path::new("config.toml");
    let context = ResolveContext { environment: &environment, folder: path };
    let outcome = parse(path, octets).and_then(|file| {
        let text = std::str::from_utf8(octets).unwrap_or_default();
        resolved(&file, context).map_err(|fault| ConfigError::of(fault, path, text))
    });
    if let Err(error) = outcome {
        let _ = error.to_string();
    }
    if let Ok(text) = std::str::from_utf8(octets) {
        let request = Request { accounts: vec![format!("pops://{text}")], ..Request::default() };
        if let Err(error) = for_run(&request, &environment) {
            let _ = error.to_string();
        }
    }
}
