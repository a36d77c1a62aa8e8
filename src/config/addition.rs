//! An account that is added to a configuration.  The rest of the file stays as it is, octet by octet: the new section
//! follows it.

use std::path::Path;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use super::context::ResolveContext;
use super::error::ConfigError;
use super::file;
use super::flags::Flags;
use super::loaded::{check_defaults, check_name, check_private, folder_of, read_file, utf8};
use super::mistake::{LocatedMistake, Mistake};
use super::resolve;
use super::settings::{DestinationTable, SettingKey, Table as _};
use super::{argument, one_source, quoted};
use crate::account::Account;
use crate::environment::Environment;
use crate::secret::Secret;
use crate::text::shown_by;

/// The settings of an account that is to be added, in the order in which they are written.
#[derive(Clone)]
pub(crate) struct Addition {
    name: String,
    settings: Vec<(String, Value)>,
    comment: String,
}

// Without the settings: people write secrets into commands.
shown_by!(Addition, name);

/// What an account is added to.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    /// All of it; empty where there is no file yet.
    pub text: Secret,
    /// The names of its accounts.
    pub names: Vec<String>,
    /// Whether `[defaults]` names a destination.
    pub delivers: bool,
}

impl Addition {
    /// An account without any setting.
    #[must_use]
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), settings: Vec::new(), comment: String::new() }
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.settings.push((key.to_owned(), value.into()));
    }

    /// What stands above the section: lines that begin with `#`.
    pub(crate) fn set_comment(&mut self, comment: &str) {
        comment.clone_into(&mut self.comment);
    }

    /// Sets a key to a list of texts.
    pub(crate) fn set_list(&mut self, key: &str, words: &[String]) {
        self.set(key, words.iter().map(String::as_str).collect::<Array>());
    }

    /// Sets a key to a table of one entry.
    pub(crate) fn set_one(&mut self, key: &str, entry: &str, value: impl Into<Value>) {
        let mut table = InlineTable::new();
        table.insert(entry, value.into());
        self.set(key, table);
    }

    /// Sets what these flags set.  A relative path of theirs starts at `folder`; in the file it would start elsewhere.
    pub(crate) fn set_flags(&mut self, flags: &Flags, folder: &Path) {
        let (mut destinations, mut options) = (Vec::new(), Vec::new());
        for (key, text) in flags.written() {
            let value = written(key, text, folder);
            match (DestinationTable::key(key.name), key.name) {
                // Of several the last one counts.
                (None, name) => match self.settings.iter_mut().find(|(known, _)| known == name) {
                    Some((_, known)) => *known = value,
                    None => self.settings.push((name.to_owned(), value)),
                },
                (Some(_), "time-limit" | "parallel") => options.push((key.name, value)),
                (Some(_), name) => destinations.push((name, value)),
            }
        }
        let mut tables = destinations.into_iter().map(|(name, value)| {
            let mut table = InlineTable::new();
            table.insert(name, value);
            if name == "pipe" {
                options.iter().for_each(|(name, value)| _ = table.insert(*name, value.clone()));
            }
            table
        });
        match (tables.next(), tables.next()) {
            (None, _) => {}
            (Some(one), None) => self.set("deliver", one),
            (Some(one), Some(other)) => {
                let all = [one, other].into_iter().chain(tables).map(Value::from);
                self.set("deliver", all.collect::<Array>());
            }
        }
    }

    /// Whether a key is set.
    #[must_use]
    pub(crate) fn has(&self, key: &str) -> bool {
        self.settings.iter().any(|(name, _)| name == key)
    }

    /// The section as it is written.
    #[must_use]
    pub(crate) fn section(&self) -> String {
        let mut table = Table::new();
        for (key, value) in &self.settings {
            table.insert(key, Item::Value(value.clone()));
        }
        table.decor_mut().set_prefix(&self.comment);
        let mut accounts = Table::new();
        accounts.set_implicit(true);
        accounts.insert(&self.name, Item::Table(table));
        let mut document = DocumentMut::new();
        document.insert("accounts", Item::Table(accounts));
        document.to_string().trim_start().to_owned()
    }

    /// `text` with the account.
    fn added_to(&self, text: &str) -> Option<String> {
        let mut whole = text.to_owned();
        if !whole.is_empty() {
            whole.push_str(if whole.ends_with('\n') { "\n" } else { "\n\n" });
        }
        whole.push_str(&self.section());
        if whole.parse::<DocumentMut>().is_ok() {
            return Some(whole);
        }
        // `accounts` is a table on one line: no section can follow it.
        let mut document: DocumentMut = text.parse().ok()?;
        let mut table = InlineTable::new();
        for (key, value) in &self.settings {
            table.insert(key, value.clone());
        }
        document.get_mut("accounts")?.as_inline_table_mut()?.insert(&self.name, table.into());
        Some(document.to_string())
    }
}

/// A flag's value as a file has it.
fn written(key: &SettingKey, text: &str, folder: &Path) -> Value {
    let kinds: Vec<&str> = key.values.split('|').collect();
    match text {
        "true" if kinds.contains(&"true") => return true.into(),
        "false" if kinds.contains(&"false") => return false.into(),
        _ => {}
    }
    if kinds.contains(&"NUMBER")
        && let Ok(number) = text.parse::<i64>()
    {
        return number.into();
    }
    if kinds.contains(&"TABLE") {
        let mut table = InlineTable::new();
        for (name, value) in text.split(',').filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim(), value.trim());
            table.insert(name, value.parse::<i64>().map_or_else(|_| value.into(), Value::from));
        }
        return table.into();
    }
    let is_path = kinds.contains(&"FILE") || kinds.contains(&"DIRECTORY");
    if is_path && !text.starts_with(['/', '~', '$']) {
        let folder = folder.to_string_lossy().replace('$', "$$");
        return format!("{}/{text}", folder.trim_end_matches('/')).into();
    }
    text.into()
}

/// Reads the configuration that an account is to be added to; one that isn't there is empty.
///
/// # Errors
/// It can't be used as it is: it is wrong, unreadable, or open to others.
pub(crate) fn existing(path: &Path, environment: &Environment) -> Result<Existing, ConfigError> {
    let (octets, metadata) = match read_file(path) {
        Ok(read) => read,
        Err(ConfigError::NoFile { .. }) => {
            return Ok(Existing { text: Secret::new(""), names: Vec::new(), delivers: false });
        }
        Err(e) => return Err(e),
    };
    let text = utf8(path, octets.expose())?;
    let wrong = |fault: LocatedMistake| ConfigError::of(fault, path, text);
    let file = file::parse(text).map_err(wrong)?;
    check_private(path, &metadata, &file)?;
    let folder = folder_of(path);
    check_defaults(&file.defaults, ResolveContext { environment, folder: &folder }).map_err(wrong)?;
    let names = file.accounts.iter().map(|(name, _)| name.value.clone()).collect();
    let delivers = file.defaults.deliver.is_some();
    Ok(Existing { text: octets, names, delivers })
}

/// The whole configuration with the account, and the account as it then is.
///
/// # Errors
/// What is wrong with the rest of the file, or with the account: a name or a mailbox that is there already, settings that
/// don't go together.
pub(crate) fn with_addition(
    path: &Path,
    existing: &Existing,
    addition: &Addition,
    environment: &Environment,
) -> Result<(Secret, Account), ConfigError> {
    let name = &addition.name;
    let text = utf8(path, existing.text.expose())?;
    let folder = folder_of(path);
    let context = ResolveContext { environment, folder: &folder };
    let wrong = |fault: LocatedMistake| ConfigError::of(fault, path, text);
    let before = file::parse(text).map_err(wrong)?;
    let others = before.accounts.iter().map(|(name, table)| {
        let table = table.clone().over(before.defaults.clone());
        resolve::account(&name.value, &name.place, &table, context)
    });
    let others: Vec<Account> = others.collect::<Result<_, _>>().map_err(wrong)?;
    check_name(name).map_err(|mistake| ConfigError::ArgumentsWrong { mistake })?;
    if existing.names.contains(name) {
        let what = format!("there is an account {} already", quoted(name));
        return Err(ConfigError::arguments(what, "--name NAME calls the new one otherwise"));
    }
    let cannot =
        || Mistake::new("the account can't be added to this file").hint("add it by hand: --print shows it");
    let whole = addition.added_to(text).ok_or_else(|| ConfigError::ArgumentsWrong { mistake: cannot() })?;
    // What is wrong from here on is what the flags, or a user's answers, have set.
    let after = file::parse(&whole).map_err(argument)?;
    let added = after.accounts.iter().find(|(added, _)| added.value == *name);
    let (added, table) = added.ok_or_else(|| ConfigError::ArgumentsWrong { mistake: cannot() })?;
    one_source(table).map_err(argument)?;
    let table = table.clone().over(after.defaults.clone());
    let account = resolve::account(name, &added.place, &table, context).map_err(argument)?;
    if let Some(other) = others.iter().find(|other| other.mailbox() == account.mailbox()) {
        let what =
            format!("the account {} is this mailbox already (user, host and port)", quoted(&other.name));
        return Err(ConfigError::arguments(what, format!("popfetch {} fetches it", other.name)));
    }
    Ok((Secret::new(whole), account))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Addition, Existing, existing, with_addition};
    use crate::account::{Deliver, PasswordSource, Retention, Tls};
    use crate::config::Flags;
    use crate::config::settings;
    use crate::environment::Environment;
    use crate::problem::Problem as _;
    use crate::secret::Secret;

    fn environment() -> Environment {
        Environment { home: Some("/home/me".into()), ..Environment::default() }
    }

    fn file(text: &str, names: &[&str]) -> Existing {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Existing { text: Secret::new(text), names, delivers: text.contains("[defaults]\ndeliver") }
    }

    fn least(name: &str) -> Addition {
        let mut addition = Addition::new(name);
        addition.set("server", "pop.example.org");
        addition.set("user", "anna@example.org");
        addition.set_one("deliver", "maildir", "~/Mail/x");
        addition
    }

    fn add(text: &str, names: &[&str], addition: &Addition) -> Result<String, (u8, String)> {
        let added = with_addition(Path::new("/c/config.toml"), &file(text, names), addition, &environment());
        let text = |secret: Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        added.map(|(whole, _)| text(whole)).map_err(|e| (e.exit_code().number(), e.shown()))
    }

    const HOME: &str =
        "[accounts.home]  # mine\nserver = \"pop.example.com\"\nuser=\"me\"\ndeliver.stdout = true\n";

    #[test]
    fn what_stands_in_the_file_stays_as_it_is() {
        let section = "[accounts.x]\nserver = \"pop.example.org\"\nuser = \"anna@example.org\"\n\
                       deliver = { maildir = \"~/Mail/x\" }\n";
        assert_eq!(least("x").section(), section);
        for (before, between) in [
            (String::new(), ""),
            (HOME.to_owned(), "\n"),
            (format!("# a comment\n\n{HOME}\n\n# [accounts.old]\n# server = \"x\"\n"), "\n"),
            (HOME.trim_end().to_owned(), "\n\n"),
            (HOME.replace('\n', "\r\n"), "\n"),
            (format!("{HOME}[defaults]\ntimeout = '30s'\n"), "\n"),
            ("accounts.home.server = \"h\"\naccounts.home.user = \"u\"\naccounts.home.deliver.stdout = true\n".to_owned(), "\n"),
            ("accounts = {}  # none\n".to_owned(), ""),
        ] {
            let after = add(&before, &[], &least("x")).unwrap();
            if before.starts_with("accounts = ") {
                assert_eq!(
                    after,
                    "accounts = { x = { server = \"pop.example.org\", user = \"anna@example.org\", \
                     deliver = { maildir = \"~/Mail/x\" } } }  # none\n"
                );
                continue;
            }
            assert_eq!(after, format!("{before}{between}{section}"));
        }
    }

    #[test]
    fn names_are_quoted_and_values_escaped() {
        let mut addition = least("anna@example.org");
        addition.set("password-command", "printf '%s\\n' \"x\"");
        let after = add(HOME, &["home"], &addition).unwrap();
        assert!(after.contains("[accounts.\"anna@example.org\"]\n"), "{after}");
        assert!(after.contains("password-command = "), "{after}");
    }

    #[test]
    fn an_account_that_cannot_be_added() {
        let cases = [
            (HOME, "home", 64, "there is an account \"home\" already"),
            (HOME, "check", 64, "an account cannot be called \"check\""),
            (HOME, "-x", 64, "cannot begin with -"),
            ("[accounts.home]\nservr = 1\n", "x", 78, "servr"),
            ("[accounts.home]\nserver = \"h\"\n", "x", 78, "user"),
            ("what?", "x", 78, "not TOML"),
        ];
        for (before, name, code, what) in cases {
            let (found, text) = add(before, &["home"], &least(name)).unwrap_err();
            assert!(found == code && text.contains(what), "{found} {text}");
        }
        let same =
            HOME.replace("pop.example.com", "pop.example.org").replace("\"me\"", "\"anna@example.org\"");
        let (code, text) = add(&same, &["home"], &least("x")).unwrap_err();
        assert!(code == 64 && text.contains("the account \"home\" is this mailbox already"), "{text}");
        let mut twice = least("x");
        twice.set("password-file", "a");
        twice.set("netrc", true);
        let (code, text) = add(HOME, &["home"], &twice).unwrap_err();
        assert!(code == 64 && text.contains("two sources of the password"), "{text}");
    }

    #[test]
    fn flags_are_written_as_the_file_has_them() {
        let mut flags = Flags::default();
        for (name, text) in [
            ("port", "1"),
            ("port", "995"),
            ("tls", "implicit"),
            ("leave-on-server", "days=14,total-size=1G"),
            ("netrc", "true"),
            ("received-header", "true"),
            ("maildir", "mail/x"),
            ("mbox", "~/box"),
            ("pipe", "cat >/dev/null"),
            ("time-limit", "1m"),
            ("max-bytes", "25M"),
        ] {
            let key = settings::flags().find(|key| key.name == name).unwrap();
            flags = flags.and(Flags::one(key, text).unwrap());
        }
        let mut addition = Addition::new("x");
        addition.set("server", "pop.example.org");
        addition.set("user", "anna");
        addition.set_flags(&flags, Path::new("/here/$x"));
        assert_eq!(
            addition.section(),
            "[accounts.x]\nserver = \"pop.example.org\"\nuser = \"anna\"\nport = 995\ntls = \"implicit\"\n\
             leave-on-server = { days = 14, total-size = \"1G\" }\nnetrc = true\nreceived-header = true\nmax-bytes = \"25M\"\n\
             deliver = [{ maildir = \"/here/$$x/mail/x\" }, { mbox = \"~/box\" }, { pipe = \"cat >/dev/null\", time-limit = \"1m\" }]\n"
        );
        let added = with_addition(Path::new("/c/config.toml"), &file("", &[]), &addition, &environment());
        let account = added.unwrap().1;
        assert_eq!((account.port, account.tls), (995, Tls::Implicit));
        assert!(matches!(account.password, PasswordSource::Netrc(_)));
        assert!(matches!(account.retention, Retention::Limits(_)));
        assert_eq!(account.deliver[0], Deliver::Maildir("/here/$x/mail/x".into()));
        assert!(addition.has("port") && !addition.has("auth"));
    }

    #[test]
    fn defaults_hold_for_the_new_account() {
        let before = "[defaults]\ndeliver = { maildir = \"~/all\" }\ntls = \"starttls\"\n";
        let mut addition = Addition::new("x");
        addition.set("server", "pop.example.org");
        addition.set("user", "anna");
        let (_, account) =
            with_addition(Path::new("/c/config.toml"), &file(before, &[]), &addition, &environment())
                .unwrap();
        assert_eq!((account.tls, account.port), (Tls::StartTls, 110));
    }

    #[test]
    fn a_file_that_is_not_there_is_empty() {
        let home = tempfile::tempdir().unwrap();
        let found = existing(&home.path().join("none/config.toml"), &environment()).unwrap();
        assert!(found.text.expose().is_empty() && found.names.is_empty() && !found.delivers);
        let path = home.path().join("config.toml");
        std::fs::write(&path, HOME).unwrap();
        assert_eq!(existing(&path, &environment()).unwrap().names, ["home"]);
        std::fs::write(&path, format!("{HOME}password = \"x\"\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(existing(&path, &environment()).is_err());
    }
}
