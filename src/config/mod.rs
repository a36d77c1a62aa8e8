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
//! `loaded.rs` looks at a file as a whole; `review.rs` shows what it found there.
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
mod loaded;
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
use loaded::Loaded;
use mistake::quoted;
pub(crate) use mistake::{LocatedMistake, Mistake, SettingPlace, nearest};
pub(crate) use review::{Explained, Origin, explain, review};
use settings::{AccountTable, Located, SharedTable, Table as _};
pub(crate) use units::{LONGEST_DURATION, duration};
use url::PopUrl;

use crate::secret::Secret;
use crate::text::shown_by;

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
    let problems = match Loaded::examine(path, Secret::new(octets), None, &environment) {
        Ok(loaded) => loaded.problems,
        Err(error) => vec![error],
    };
    for problem in problems {
        let _ = problem.to_string();
    }
    if let Ok(text) = std::str::from_utf8(octets) {
        let request = Request { accounts: vec![format!("pops://{text}")], ..Request::default() };
        if let Err(error) = for_run(&request, &environment) {
            let _ = error.to_string();
        }
    }
}
