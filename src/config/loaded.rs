//! A configuration file looked at as a whole: read, resolved, and all that is wrong with it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::context::ResolveContext;
use super::error::{ConfigError, line_of};
use super::mistake::{LocatedMistake, Mistake, SettingPlace, nearest, quoted};
use super::names::{Host, UserName};
use super::settings::{AccountTable, DestinationTable, Located, Table as _};
use super::value::{DirectoryName, FileName};
use super::{
    Configuration, Flags, LARGEST_FILE, RESERVED_NAMES, file, one_source, resolve, same_mailbox,
    same_mailbox_text, url,
};
use crate::access;
use crate::account::Account;
use crate::environment::Environment;
use crate::secret::Secret;
use crate::text::{self, printable};

/// A file that is a configuration, as far as it is right.
pub(super) struct Loaded<'a> {
    path: &'a Path,
    /// Where its relative paths start.
    folder: PathBuf,
    environment: &'a Environment,
    octets: Secret,
    pub(super) file: file::ConfigFile,
    /// Those that are right, without any flags.
    pub(super) accounts: Vec<Account>,
    /// What is wrong, in the order in which it was found.
    pub(super) problems: Vec<ConfigError>,
}

impl<'a> Loaded<'a> {
    /// Reads a file in which everything is right.
    ///
    /// # Errors
    /// The first of its problems.
    pub(super) fn read(path: &'a Path, environment: &'a Environment) -> Result<Self, ConfigError> {
        let mut loaded = Self::look_at(path, environment)?;
        if loaded.problems.is_empty() { Ok(loaded) } else { Err(loaded.problems.swap_remove(0)) }
    }

    /// Reads a file, and goes on after a mistake.
    ///
    /// # Errors
    /// What keeps the rest from being looked at.
    pub(super) fn look_at(path: &'a Path, environment: &'a Environment) -> Result<Self, ConfigError> {
        let (octets, metadata) = read_file(path)?;
        Self::examine(path, octets, Some(&metadata), environment)
    }

    /// Looks at the octets of a file; without its metadata nobody asks who can read it.
    pub(super) fn examine(
        path: &'a Path,
        octets: Secret,
        metadata: Option<&Metadata>,
        environment: &'a Environment,
    ) -> Result<Self, ConfigError> {
        let text = utf8(path, octets.expose())?;
        let wrong = |fault: LocatedMistake| ConfigError::of(fault, path, text);
        let mut file = file::read_all(text).map_err(wrong)?;
        let faults = std::mem::take(&mut file.faults);
        let broken: Vec<usize> = faults.iter().filter_map(|(_, account)| *account).collect();
        let others_are_right = faults.iter().all(|(_, account)| account.is_some());
        let mut problems: Vec<ConfigError> = faults.into_iter().map(|(fault, _)| wrong(fault)).collect();
        problems.extend(metadata.and_then(|metadata| check_private(path, metadata, &file).err()));
        let folder = folder_of(path);
        let context = ResolveContext { environment, folder: &folder };
        if others_are_right {
            problems.extend(check_defaults(&file.defaults, context).err().map(wrong));
            problems.extend(Configuration::new(file.shared.clone(), context).err().map(wrong));
        }
        let mut accounts = Vec::new();
        for (at, (name, table)) in file.accounts.iter().enumerate() {
            let checked = check_name(&name.value)
                .map_err(|mistake| LocatedMistake::new(name.place.clone(), mistake))
                .and_then(|()| one_source(table));
            problems.extend(checked.err().map(wrong));
            if broken.contains(&at) {
                // What it lacks may be what couldn't be read.
                continue;
            }
            let table = table.clone().over(file.defaults.clone());
            match resolve::account(&name.value, &name.place, &table, context) {
                Ok(account) => accounts.push(account),
                Err(fault) => problems.push(wrong(fault)),
            }
        }
        if file.accounts.is_empty() && problems.is_empty() {
            let mistake =
                Mistake::new("there is no account").hint("add [accounts.NAME] with server, user and deliver");
            problems.push(wrong(LocatedMistake::new(SettingPlace::File(0..0), mistake)));
        }
        problems.extend(twice(&file, &accounts).map(wrong));
        Ok(Self { path, folder, environment, octets, file, accounts, problems })
    }

    /// The text of the file.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(self.octets.expose()).unwrap_or_default()
    }

    /// The names of all accounts, also of those that are wrong.
    pub(super) fn names(&self) -> Vec<&str> {
        self.file.accounts.iter().map(|(name, _)| name.value.as_str()).collect()
    }

    /// The accounts of `names` (all for none) with flags over their settings, in a file that is right.
    ///
    /// # Errors
    /// A name that no account has, and flags that are wrong or don't go with the settings.
    pub(super) fn configuration(
        &self,
        names: &[String],
        flags: &Flags,
    ) -> Result<Configuration, ConfigError> {
        let wrong = |fault: LocatedMistake| ConfigError::of(fault, self.path, self.text());
        let context = ResolveContext { environment: self.environment, folder: &self.folder };
        let mut configuration = Configuration::new(self.file.shared.clone(), context).map_err(wrong)?;
        let wanted = positions(names, &self.names())?.into_iter();
        if flags.is_empty() {
            configuration.accounts = wanted.filter_map(|at| self.accounts.get(at).cloned()).collect();
            return Ok(configuration);
        }
        let flags = flags.table()?;
        one_source(&flags).map_err(wrong)?;
        for (name, table) in wanted.filter_map(|at| self.file.accounts.get(at)) {
            let table = flags.clone().over(table.clone().over(self.file.defaults.clone()));
            let account = resolve::account(&name.value, &name.place, &table, context).map_err(wrong)?;
            configuration.accounts.push(account);
        }
        Ok(configuration)
    }
}

/// Two accounts of one mailbox.
fn twice(file: &file::ConfigFile, accounts: &[Account]) -> Option<LocatedMistake> {
    let (first, second) = same_mailbox(accounts)?;
    let (name, _) = file.accounts.iter().find(|(name, _)| name.value == second.name)?;
    let mistake = Mistake::new(same_mailbox_text(first, second)).hint("remove one; `deliver` may be a list");
    Some(LocatedMistake::new(name.place.clone(), mistake))
}

/// The octets of a configuration that nobody else can change.
pub(super) fn read_file(path: &Path) -> Result<(Secret, Metadata), ConfigError> {
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
pub(super) fn check_private(
    path: &Path,
    metadata: &Metadata,
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
pub(super) fn folder_of(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).ok();
    whole.as_deref().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned()
}

pub(super) fn utf8<'a>(path: &Path, octets: &'a [u8]) -> Result<&'a str, ConfigError> {
    std::str::from_utf8(octets).map_err(|e| {
        let line = line_of(octets, e.valid_up_to());
        ConfigError::file(format!("{}:{line}: this is not UTF-8", text::path(path)), "save it as UTF-8")
    })
}

/// A mistake in `[defaults]` is one even if no account inherits it: they are tried on an account that lacks nothing.
pub(super) fn check_defaults(
    defaults: &AccountTable,
    context: ResolveContext<'_>,
) -> Result<(), LocatedMistake> {
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

pub(super) fn check_name(name: &str) -> Result<(), Mistake> {
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

/// Where each name stands among those known; everything for no name.
pub(super) fn positions(names: &[String], known: &[&str]) -> Result<Vec<usize>, ConfigError> {
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
