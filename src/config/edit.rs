//! Adds accounts to a configuration: what stands there keeps its comments, its order and its form.
//!
//! Nothing is written that would not be read: the new text is checked as the file that it becomes.  It takes the file's
//! place in one step, so that a program that dies on the way leaves the old file or the new one.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use toml_edit::{DocumentMut, Item, Key, Table, TableLike, Value};

use super::error::{ConfigError, shown_path};
use super::locate::Environment;
use super::mistake::quoted;
use super::{Configuration, Context, folder_of, parse, read_file, resolved, utf8};
use crate::durable;
use crate::text::hex;

/// A text as TOML has it, in quotes.
#[must_use]
pub fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// A name as it stands in a heading, in quotes where it needs them.
#[must_use]
pub fn key(name: &str) -> String {
    Key::new(name).to_string()
}

/// What the configuration at `path` holds; `None` where there is none yet.
///
/// # Errors
/// It cannot be read, or others could change it.
pub fn current(path: &Path) -> Result<Option<String>, ConfigError> {
    if path.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let (octets, _) = read_file(path)?;
    utf8(path, octets.expose()).map(|text| Some(text.to_owned()))
}

/// `document` with one more section: `section` is TOML with the heading `[accounts.NAME]` and its settings, `comment` is put
/// above it, line by line, each beginning with `#`.
///
/// # Errors
/// There is an account of that name; the file is not TOML, or has no place for sections.
pub fn with_account(document: &str, name: &str, section: &str, comment: &str) -> Result<String, ConfigError> {
    let hint = "popfetch config edit changes the configuration by hand";
    let broken = |_| ConfigError::file("the configuration is not TOML", hint);
    let mut document: DocumentMut = document.parse().map_err(broken)?;
    let mut added: DocumentMut = section.parse().map_err(broken)?;
    let account =
        added.get_mut("accounts").and_then(Item::as_table_like_mut).and_then(|all| all.remove(name));
    let Some(Item::Table(mut account)) = account else {
        return Err(ConfigError::file("a section holds no account", hint));
    };
    account.set_position(None);
    let is_first = document.as_table().is_empty() && document.trailing().as_str().is_none_or(str::is_empty);
    account.decor_mut().set_prefix(format!("{}{comment}", if is_first { "" } else { "\n" }));
    let implicit = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    let accounts = document.entry("accounts").or_insert_with(implicit);
    let Some(accounts) = accounts.as_table_like_mut() else {
        return Err(ConfigError::file("accounts is not a section", "write [accounts.NAME] for each account"));
    };
    if accounts.contains_key(name) {
        let what = format!("there is an account {} in the configuration", quoted(name));
        return Err(ConfigError::file(what, "rename or remove one of the two"));
    }
    insert(accounts, name, account);
    Ok(document.to_string())
}

/// Into `[accounts.…]` as a section of its own, into `accounts = { … }` as a value.
fn insert(accounts: &mut dyn TableLike, name: &str, account: Table) {
    let inline = accounts.iter().any(|(_, item)| item.is_value());
    let item = if inline {
        Item::Value(Value::InlineTable(account.into_inline_table()))
    } else {
        Item::Table(account)
    };
    accounts.insert(name, item);
}

/// The accounts of a text, as if it stood at `path`.
///
/// # Errors
/// Whatever is wrong with it.
pub fn accounts_of(text: &str, path: &Path, environment: &Environment) -> Result<Configuration, ConfigError> {
    let file = parse(path, text.as_bytes())?;
    let folder = folder_of(path);
    let context = Context { environment, folder: &folder };
    resolved(&file, context).map_err(|fault| ConfigError::of(fault, path, text))
}

/// Puts `octets` in the place of the file at `path`, readable by its owner only, and on the disk.  What a link leads to is
/// replaced, and the link stays; the folders above are made where they are missing.  A file that was there keeps its owner.
///
/// # Errors
/// It cannot be written: the old file is as it was.
pub fn write(path: &Path, octets: &[u8]) -> Result<(), durable::Error> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = durable::parent_of(&target);
    durable::make_directories(folder)?;
    let fail = |e: io::Error| durable::Error::new(durable::Step::Open, &target, e);
    let random = hex(&crate::clock::random::<4>().map_err(fail)?);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{random}"));
    let file = durable::create_new(&new, 0o600)?;
    let written = (|| {
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
        if let Ok(before) = std::fs::metadata(&target) {
            let now = file.metadata().map_err(fail)?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid())).map_err(fail)?;
            }
        }
        durable::write(&file, &new, octets)?;
        durable::sync(&file, &new)?;
        durable::replace(&new, &target)
    })();
    if let Err(e) = written {
        let _ = durable::remove(&new);
        return Err(e);
    }
    // The folders may be new as well.
    durable::sync_names(folder)
}

/// A configuration's path for people.
#[must_use]
pub fn shown(path: &Path) -> String {
    shown_path(path)
}

#[cfg(test)]
mod tests {
    use super::{current, key, text, with_account, write};
    use std::os::unix::fs::PermissionsExt as _;

    const SECTION: &str =
        "[accounts.new]\nserver = \"pop.example.com\"\nuser = \"me\"\ndeliver = { maildir = \"~/M\" }\n";

    #[test]
    fn what_stands_there_stays_as_it_is() {
        let before = "# mine\n[defaults]   # all\ntimeout='60s'\n\n[accounts.a]\nserver = \"a\" # odd\n\n\n# last\n[accounts.\"b c\"]\nuser=\"x\"\n# end\n";
        let after = with_account(before, "new", SECTION, "# from x:3\n").unwrap();
        let expected = before.replace("# end\n", &format!("\n# from x:3\n{SECTION}# end\n"));
        assert_eq!(after, expected);
        assert_eq!(with_account("", "new", SECTION, "# c\n").unwrap(), format!("# c\n{SECTION}"));
        // Other sections may follow those of accounts.
        let before = "[accounts.a]\nserver = \"a\"\n\n[defaults]\ntimeout = \"1s\"\n";
        let after = with_account(before, "new", SECTION, "").unwrap();
        assert_eq!(
            after,
            format!("[accounts.a]\nserver = \"a\"\n\n{SECTION}\n[defaults]\ntimeout = \"1s\"\n")
        );
        let inline = with_account("accounts = { a = { server = \"a\" } }\n", "new", SECTION, "").unwrap();
        assert!(
            inline.starts_with("accounts = { a = { server = \"a\" } , new = { server = \"pop.example.com\""),
            "{inline}"
        );
    }

    #[test]
    fn a_name_stands_once() {
        let taken = with_account(SECTION, "new", SECTION, "").unwrap_err();
        assert!(taken.to_string().contains("there is an account \"new\""), "{taken}");
        assert!(with_account("accounts = 3", "new", SECTION, "").is_err());
        assert!(with_account("[", "new", SECTION, "").is_err());
    }

    #[test]
    fn texts_and_keys() {
        assert_eq!([key("a-b_1"), key("me@x"), key("")], ["a-b_1", "\"me@x\"", "\"\""]);
        for odd in ["a\"b\\\n\u{1b}'", "", "'", "ä"] {
            let line = format!("[accounts.{}]\nserver = {}\n", key(odd), text(odd));
            let read: toml_edit::DocumentMut = line.parse().unwrap();
            assert_eq!(read["accounts"][odd]["server"].as_str(), Some(odd), "{line}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_closed_to_others() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("new/folder");
        let path = folder.join("config.toml");
        assert_eq!(current(&path).unwrap(), None);
        write(&path, b"a = 1\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let link = folder.join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, b"a = 2\n").unwrap();
        assert!(link.is_symlink());
        assert_eq!(current(&path).unwrap().as_deref(), Some("a = 2\n"));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "nothing is left beside it");
    }
}
