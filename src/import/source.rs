//! The other programs, their configuration files, and what the meaning of these depends on.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::error::SourceLine;
use crate::secret::Secret;

/// Octets of a configuration file of another program at most; a page of settings has a few thousand.
pub(crate) const LARGEST_CONFIGURATION: u64 = 1024 * 1024;

/// A program whose files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ForeignProgram {
    /// fetchmail(1): `~/.fetchmailrc`, `~/.fetchids`.
    Fetchmail,
    /// getmail(1), getmail6: `~/.config/getmail` or `~/.getmail`.
    Getmail,
    /// mpop(1): `~/.mpoprc`, `~/.mpop_uidls`.
    Mpop,
    /// fdm(1): `~/.fdm.conf`, and caches that it names.
    Fdm,
}

impl ForeignProgram {
    /// All of them, in the order in which they are looked for.
    pub(crate) const ALL: [Self; 4] = [Self::Fetchmail, Self::Getmail, Self::Mpop, Self::Fdm];

    /// Its name, which is the command that starts it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fetchmail => "fetchmail",
            Self::Getmail => "getmail",
            Self::Mpop => "mpop",
            Self::Fdm => "fdm",
        }
    }

    /// The program of that name.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.name() == name)
    }
}

/// Where the other program runs: what its files mean depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForeignSurroundings<'a> {
    /// `$HOME`.
    pub home: &'a Path,
    /// The name of the user that runs popfetch, as the system has it.
    pub caller: Option<&'a str>,
    /// The environment, for `$NAME` in paths.
    pub variables: &'a BTreeMap<OsString, OsString>,
}

impl ForeignSurroundings<'_> {
    /// The value of a variable that is set, not empty, and text.
    #[must_use]
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(OsStr::new(name))
            .and_then(|value| value.to_str())
            .filter(|value| !value.is_empty())
    }

    /// The name of the user that runs the program.
    pub(super) fn user(&self) -> Option<&str> {
        self.variable("USER").or_else(|| self.variable("LOGNAME")).or(self.caller)
    }

    /// A path of a file that this user's program reads: `~/` is the home directory, and what is relative starts at `folder`.
    pub(super) fn file(&self, path: &str, folder: &Path) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(inner) => self.home.join(inner),
            None if path == "~" => self.home.to_owned(),
            None => folder.join(path),
        }
    }

    /// The same as a setting of popfetch: below the home directory with `~`, and with dollar signs that begin no
    /// variable.
    pub(super) fn setting(&self, path: &str, folder: &Path) -> String {
        let path = self.file(path, folder);
        let text = path.to_string_lossy();
        let home = self.home.to_string_lossy();
        crate::text::in_home(&text, Some(&home)).replace('$', "$$")
    }
}

/// A configuration file of another program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForeignSource<'a> {
    /// Where it stands.
    pub path: &'a Path,
    /// What it holds; a password may be among it.
    pub octets: &'a [u8],
}

impl ForeignSource<'_> {
    /// Its text.  What is not UTF-8 becomes U+FFFD, which no setting is taken over with.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.octets).into_owned()
    }

    pub(super) fn place(&self, line: usize) -> SourceLine {
        SourceLine { file: self.path.to_owned(), line }
    }
}

/// Opens a file that a configuration includes.
pub(crate) type Include<'a> = dyn FnMut(&Path) -> Result<Secret, crate::access::Error> + 'a;
