//! Where files are, and whether they are safe: the one place that reads the environment.  Follows the XDG Base
//! Directory Specification.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::mistake::{Mistake, quoted};

/// The terminal of a process, if it has one.
pub const TERMINAL: &str = "/dev/tty";

/// What the process was born into, read once.
#[derive(Clone, Default)]
pub struct Environment {
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, or where it is by default.
    pub config_home: Option<PathBuf>,
    /// `$XDG_DATA_HOME`, or where it is by default.
    pub data_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`, or where it is by default.
    pub state_home: Option<PathBuf>,
    /// Where the machine's administrator keeps what is for all users; none in tests.
    pub system_directory: Option<PathBuf>,
    /// `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
    pub credentials_directory: Option<PathBuf>,
    /// Where relative paths of the command line start.
    pub current_directory: PathBuf,
    /// Whether there is a terminal to ask at.
    pub stdin_is_terminal: bool,
    /// Whether the user may be asked for a password: the process has a terminal, whatever its streams are.
    pub may_ask: bool,
    /// Every variable.
    pub variables: BTreeMap<OsString, OsString>,
}

impl fmt::Debug for Environment {
    /// Without the variables: people keep secrets there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn capture() -> Self {
        let base = directories::BaseDirs::new();
        let base = base.as_ref();
        let variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        Self {
            home: base.map(|base| base.home_dir().to_owned()),
            config_home: base.map(|base| base.config_dir().to_owned()),
            data_home: base.map(|base| base.data_dir().to_owned()),
            // Only Linux has a directory for state by tradition.
            state_home: base.map(|base| {
                base.state_dir().map_or_else(|| base.home_dir().join(".local/state"), Path::to_owned)
            }),
            system_directory: Some(PathBuf::from("/etc/popfetch")),
            credentials_directory: variables.get(OsStr::new("CREDENTIALS_DIRECTORY")).map(PathBuf::from),
            current_directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            stdin_is_terminal: io::stdin().is_terminal(),
            may_ask: File::open(TERMINAL).is_ok(),
            variables,
        }
    }

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

    /// The path of this program, as it was called: a link stays one, so that the path is still right after an update.
    ///
    /// # Errors
    /// The system does not know where the program is.
    pub fn program(&self) -> io::Result<PathBuf> {
        let actual = std::env::current_exe()?;
        let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
        let candidate = if called.as_os_str().as_bytes().contains(&b'/') {
            Some(self.current_directory.join(called))
        } else {
            let path = self.variables.get(OsStr::new("PATH")).map(OsString::as_os_str).unwrap_or_default();
            std::env::split_paths(path).map(|folder| folder.join(&called)).find(|path| path.is_file())
        };
        let is_this =
            |path: &PathBuf| path.is_absolute() && path.canonicalize().is_ok_and(|path| path == actual);
        match candidate.filter(is_this) {
            Some(path) => std::path::absolute(path),
            None => Ok(actual),
        }
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
            let value = self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty());
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
    ConfigError::file("there is no home directory", "set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME")
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
