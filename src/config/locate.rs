//! Where files are: the configuration, the ledgers, and the paths that settings name.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::mistake::{Mistake, quoted};
use crate::environment::Environment;

impl Environment {
    /// Where the configuration is looked for by default.
    ///
    /// # Errors
    /// Without a home directory.
    pub fn configuration_file(&self) -> Result<PathBuf, ConfigError> {
        let home = self.config_home.as_deref().ok_or_else(no_home)?;
        Ok(home.join("popfetch").join("config.toml"))
    }

    /// Where the ledgers live.
    ///
    /// # Errors
    /// Without a home directory.
    pub fn state_directory(&self) -> Result<PathBuf, ConfigError> {
        Ok(self.state_home.as_deref().ok_or_else(no_home)?.join("popfetch"))
    }

    /// The path that is meant by `text`: `~` at the start is the home directory, `$NAME` and `${NAME}` are variables,
    /// `$$` is a dollar sign, and what is then relative starts at `folder`.
    ///
    /// # Errors
    /// A variable that isn't set (or is empty: the rest would be another path than was meant), another user's home.
    pub(super) fn expand(&self, text: &str, folder: &Path) -> Result<PathBuf, Mistake> {
        if text.is_empty() || text.contains('\0') {
            return Err(Mistake::new(format!("{} is not a path", quoted(text))));
        }
        let mut path = Vec::new();
        let mut rest = text;
        if let Some(after) = text.strip_prefix('~') {
            if !(after.is_empty() || after.starts_with('/')) {
                let hint = "~ is your own home only: write the whole path, or ./~… for a file of that name";
                return Err(Mistake::new(format!("{} is in another user's home", quoted(text))).hint(hint));
            }
            let home =
                self.home.as_deref().ok_or_else(|| Mistake::new("there is no home directory for ~"))?;
            path.extend_from_slice(home.as_os_str().as_bytes());
            rest = after;
        }
        while let Some((literal, after)) = rest.split_once('$') {
            path.extend_from_slice(literal.as_bytes());
            if let Some(after) = after.strip_prefix('$') {
                path.push(b'$');
                rest = after;
                continue;
            }
            let (name, after) = variable_name(after).ok_or_else(|| {
                Mistake::new("a $ without a variable's name").hint("write $$ for a dollar sign")
            })?;
            let value = self.variable(name);
            let value = value.ok_or_else(|| {
                Mistake::new(format!("${name} is not set")).hint("set it, or write the whole path")
            })?;
            path.extend_from_slice(value.as_bytes());
            rest = after;
        }
        path.extend_from_slice(rest.as_bytes());
        Ok(folder.join(OsString::from_vec(path)))
    }
}

/// Splits a variable's name off: `NAME…` or `{NAME}…`.
fn variable_name(text: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
    };
    let (name, rest) = match text.strip_prefix('{') {
        Some(inner) => inner.split_once('}')?,
        None => {
            let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
            text.split_at(end)
        }
    };
    is_name(name).then_some((name, rest))
}

fn no_home() -> ConfigError {
    ConfigError::file("there is no home directory", "set HOME to an absolute path")
}

#[cfg(test)]
mod tests {
    use super::Environment;
    use crate::problem::Problem as _;
    use std::path::{Path, PathBuf};

    fn environment() -> Environment {
        let variables = [("MAIL", "/var/mail"), ("E", ""), ("N_1", "x")];
        Environment {
            home: Some(PathBuf::from("/home/me")),
            variables: variables.into_iter().map(|(n, v)| (n.into(), v.into())).collect(),
            ..Environment::default()
        }
    }

    #[test]
    fn paths() {
        let cases = [
            ("~", Ok("/home/me")),
            ("~/Mail", Ok("/home/me/Mail")),
            ("a~b", Ok("/etc/a~b")),
            ("Mail/x", Ok("/etc/Mail/x")),
            ("/abs", Ok("/abs")),
            ("$MAIL/me", Ok("/var/mail/me")),
            ("/x/${MAIL}me", Ok("/x//var/mailme")),
            ("/$N_1-$N_1", Ok("/x-x")),
            ("/cost$$5", Ok("/cost$5")),
            ("~other/Mail", Err("\"~other/Mail\" is in another user's home")),
            ("$NOPE/x", Err("$NOPE is not set")),
            ("$E/x", Err("$E is not set")),
            ("/x/$", Err("a $ without a variable's name")),
            ("/x/${MAIL", Err("a $ without a variable's name")),
            ("/x/${}", Err("a $ without a variable's name")),
            ("/x/$5", Err("a $ without a variable's name")),
            ("", Err("\"\" is not a path")),
            ("a\0b", Err("\"a\\x00b\" is not a path")),
        ];
        for (text, expected) in cases {
            let path = environment().expand(text, Path::new("/etc"));
            assert_eq!(
                path.map_err(|m| m.what),
                expected.map(PathBuf::from).map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn state_and_configuration_have_their_places() {
        let environment = Environment {
            config_home: Some("/h/.config".into()),
            state_home: Some("/h/.local/state".into()),
            ..Environment::default()
        };
        assert_eq!(environment.configuration_file().unwrap(), Path::new("/h/.config/popfetch/config.toml"));
        assert_eq!(environment.state_directory().unwrap(), Path::new("/h/.local/state/popfetch"));
        assert_eq!(Environment::default().state_directory().unwrap_err().exit_code().number(), 78);
    }
}
