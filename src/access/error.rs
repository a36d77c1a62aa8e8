//! Why a file is not to be used as it is, and how messages show paths.

use std::borrow::Cow;
use std::path::Path;

use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::text;

/// A file or directory that is not to be used as it is: typically another user can change it, or the directory in which
/// it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// What is wrong, naming the file.
    pub what: String,
    pub hint: String,
}

impl Error {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.hint))
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::Configuration
    }
}

/// A path that can be pasted into a shell.
#[must_use]
pub(crate) fn shell_word(path: &Path) -> String {
    let shown = text::path(path);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&b);
    if shown.bytes().all(plain) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
}
