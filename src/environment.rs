//! Home, variables and folders, read once when the process starts: the one place that reads the environment.  Follows the XDG Base Directory
//! Specification.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::text::shown_by;

/// The terminal of a process, if it has one.
pub(crate) const TERMINAL: &str = "/dev/tty";

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

// Without the variables: people keep secrets there.
shown_by!(Environment, home);

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn capture() -> Self {
        // From a relative HOME each working directory would have a configuration and a ledger of its own.
        let base = directories::BaseDirs::new().filter(|base| base.home_dir().is_absolute());
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

    /// The value of a variable; `None` where it isn't set, or is empty.
    #[must_use]
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The first file of this name in a folder of `$PATH`.
    #[must_use]
    pub(crate) fn on_path(&self, name: impl AsRef<Path>) -> Option<PathBuf> {
        let folders = std::env::split_paths(self.variable("PATH")?);
        folders.map(|folder| folder.join(&name)).find(|path| path.is_file())
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
            self.on_path(&called)
        };
        let is_this =
            |path: &PathBuf| path.is_absolute() && path.canonicalize().is_ok_and(|path| path == actual);
        match candidate.filter(is_this) {
            Some(path) => std::path::absolute(path),
            None => Ok(actual),
        }
    }
}
