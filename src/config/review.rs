//! A configuration looked at as a whole: all that is wrong with it, and where each setting of an account comes from.

use std::path::Path;

use super::error::{ConfigError, line_of};
use super::loaded::{Loaded, positions};
use super::mistake::SettingPlace;
use super::settings::{AccountTable, Preset, Table as _};
use crate::account::{Account, Deliver, Pipe, PipeCommand, Retention};
use crate::environment::Environment;
use crate::text::printable;
use crate::types::Octets;

/// What is wrong with a configuration, and what is right.
#[derive(Debug, Default)]
pub(crate) struct Review {
    pub accounts: Vec<Account>,
    /// The names of all accounts, also of those that are wrong.
    names: Vec<String>,
    /// What is wrong, in the order in which it was found.
    pub problems: Vec<ConfigError>,
}

impl Review {
    /// With those accounts alone that are named, or with all of them where none is.
    ///
    /// # Errors
    /// [`ConfigError::NoAccount`].
    pub(crate) fn of(mut self, names: &[String]) -> Result<Self, ConfigError> {
        // A file that can't be read has no accounts, and that is the problem.
        if !self.names.is_empty() {
            let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
            let wanted: Vec<&str> =
                positions(names, &known)?.into_iter().filter_map(|at| known.get(at).copied()).collect();
            self.accounts.retain(|account| wanted.contains(&account.name.as_str()));
        }
        Ok(self)
    }
}

/// Looks at the configuration at `path` as a whole.
#[must_use]
pub(crate) fn review(path: &Path, environment: &Environment) -> Review {
    match Loaded::look_at(path, environment) {
        Ok(loaded) => {
            let names = loaded.names().into_iter().map(str::to_owned).collect();
            Review { accounts: loaded.accounts, names, problems: loaded.problems }
        }
        Err(problem) => Review { problems: vec![problem], ..Review::default() },
    }
}

/// A setting of an account, as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explained {
    pub key: &'static str,
    /// Its value as the file writes it, on one line, or as the manual has the default; `***` for what may be a secret.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The account's own section, at this line of the file.
    Account(usize),
    /// `[defaults]`, at this line.
    Defaults(usize),
    /// Neither.
    Default,
}

/// The settings of these accounts (all without any), in the order of the manual: those that are set, and those that have a
/// default.
///
/// # Errors
/// As of every command that reads the configuration.
pub(crate) fn explain(
    path: &Path,
    names: &[String],
    environment: &Environment,
) -> Result<Vec<(String, Vec<Explained>)>, ConfigError> {
    let loaded = Loaded::read(path, environment)?;
    let accounts = loaded.configuration(names, &super::Flags::default())?.accounts;
    let text = loaded.text();
    let of = |account: &Account| {
        let own = loaded.file.accounts.iter().find(|(name, _)| name.value == account.name);
        let keys = AccountTable::KEYS.iter();
        let settings = keys.filter_map(|key| {
            let (place, own_place) = match own.and_then(|(_, table)| table.place(key.name)) {
                Some(place) => (Some(place), true),
                None => (loaded.file.defaults.place(key.name), false),
            };
            // What an account sets takes the place of it: another source of the password, another way to the server.
            let replaced = !own_place
                && own.is_some_and(|(_, table)| {
                    table.clone().over(loaded.file.defaults.clone()).place(key.name).is_none()
                });
            match place.filter(|_| !replaced) {
                Some(SettingPlace::File(span)) => {
                    let line = line_of(text.as_bytes(), span.start);
                    let origin = if own_place { Origin::Account(line) } else { Origin::Defaults(line) };
                    let written = text.get(span.clone()).unwrap_or_default();
                    let value = match key.name {
                        "proxy" => proxy(written),
                        _ if key.is_secret => "***".to_owned(),
                        "deliver" | "leave-on-server" if !is_in_one_place(written) => {
                            read_value(key.name, account)
                        }
                        _ => on_one_line(written),
                    };
                    Some(Explained { key: key.name, value, origin })
                }
                _ => {
                    let value = match key.default {
                        Preset::Value(value) => value_of_default(value),
                        Preset::Depends(_) if key.name == "port" => account.port.to_string(),
                        Preset::Depends(_) | Preset::None => return None,
                    };
                    Some(Explained { key: key.name, value, origin: Origin::Default })
                }
            }
        });
        (account.name.clone(), settings.collect())
    };
    Ok(accounts.iter().map(of).collect())
}

/// A proxy as it is written, but for a user and a password.
fn proxy(written: &str) -> String {
    match (written.split_once("://"), written.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => on_one_line(&format!("{scheme}://***@{host}")),
        _ => on_one_line(written),
    }
}

/// A default as a file would write it.
fn value_of_default(text: &str) -> String {
    let is_bare = text == "true" || text == "false" || text.parse::<u64>().is_ok();
    if is_bare { text.to_owned() } else { format!("\"{text}\"") }
}

/// A value that is written over several lines, on one.
fn on_one_line(text: &str) -> String {
    // A comment begins at a # outside of strings.
    let comment = |line: &str| {
        let mut quotes = 0_usize;
        line.find(|c: char| {
            quotes = quotes.saturating_add(usize::from(c == '"' || c == '\''));
            c == '#' && quotes.is_multiple_of(2)
        })
    };
    let lines = text.lines().map(|line| comment(line).and_then(|at| line.get(..at)).unwrap_or(line).trim());
    let lines = lines.filter(|line| !line.is_empty());
    // A backslash is doubled where text is made printable; here it is the file's own.
    printable(lines.collect::<Vec<_>>().join(" ").as_bytes()).replace("\\\\", "\\")
}

/// A value whose parts have lines or a section of their own, as it was read.
fn read_value(key: &str, account: &Account) -> String {
    let quoted = |text: &str| format!("\"{}\"", printable(text.as_bytes()));
    match (key, account.retention) {
        ("leave-on-server", Retention::Limits(limits)) => {
            let size = |size: Octets| size.0.to_string();
            let parts = [
                ("days", limits.days.map(|days| days.to_string())),
                ("newest", limits.newest.map(|newest| newest.to_string())),
                ("total-size", limits.total_size.map(size)),
                ("larger-than", limits.larger_than.map(size)),
            ];
            let parts = parts.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?)));
            format!("{{ {} }}", parts.collect::<Vec<_>>().join(", "))
        }
        _ => {
            let places = account.deliver.iter().map(|deliver| match deliver {
                Deliver::Maildir(path) => format!("{{ maildir = {} }}", quoted(&path.to_string_lossy())),
                Deliver::Mbox(path) => format!("{{ mbox = {} }}", quoted(&path.to_string_lossy())),
                Deliver::Pipe(Pipe { command: PipeCommand::Shell(line), .. }) => {
                    format!("{{ pipe = {} }}", quoted(line))
                }
                Deliver::Pipe(Pipe { command: PipeCommand::Argv(words), .. }) => {
                    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                    format!("{{ pipe = [{}] }}", words.join(", "))
                }
                Deliver::Stdout => "{ stdout = true }".to_owned(),
            });
            let places: Vec<String> = places.collect();
            if let [one] = places.as_slice() { one.clone() } else { format!("[{}]", places.join(", ")) }
        }
    }
}

/// Whether a value stands on one line, and not in dotted keys or a section of its own.
fn is_in_one_place(written: &str) -> bool {
    let inner = written.strip_prefix('[').map(str::trim_start);
    let is_table = written.starts_with('{') || inner.is_some_and(|inner| inner.starts_with('{'));
    !written.contains('\n') && (is_table || written == "true" || written == "false")
}
