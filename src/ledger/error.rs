//! What can be wrong with a ledger, and what to do about it.

use std::borrow::Cow;
use std::path::Path;

use crate::durable::{self, Step};
use crate::exit::ExitCode;
use crate::problem::{Problem, REPORT_BUG};
use crate::text;

/// What can be wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The disk refused a step: typically it is full, or the state directory cannot be written.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// A line before the last group is damaged, or contradicts another: typically a failing disk, or an edit by hand.
    #[error("ledger {path}, line {line}: {problem}")]
    Damaged {
        /// The file's path, printable.
        path: String,
        /// Which line, from 1.
        line: u64,
        problem: String,
    },
    /// The file has lost its end since the last run: a disk that was repaired, a copy that broke off.
    #[error("ledger {path} has {octets} bytes, and had {known} at the end of the last run")]
    Shortened {
        /// The file's path, printable.
        path: String,
        /// Its octets now.
        octets: u64,
        /// Its octets then.
        known: u64,
    },
    /// A newer popfetch has written it, in a form that this one can't read.
    #[error("ledger {path} was written by a newer popfetch (version {version} of the format)")]
    Newer {
        /// The file's path, printable.
        path: String,
        /// The version that it names.
        version: u64,
    },
    /// There was a ledger, and it is gone: typically the state directory was cleaned or not restored whole.
    #[error("the ledger in {directory} {problem}, though there has been one")]
    Missing {
        /// The mailbox's directory.
        directory: String,
        /// Missing, or empty.
        problem: &'static str,
    },
    /// Another popfetch has this mailbox: typically the last run from cron is still at work.
    #[error("another popfetch is at work on this mailbox")]
    Locked,
    /// A write of it failed before in this run, so that what is in it is unknown until it is read again.
    #[error("ledger {path}: it could not be written earlier in this run, and is left alone")]
    Broken {
        /// The file's path, printable.
        path: String,
    },
    /// It was opened to be read, and something was to be written: a bug of ours.
    #[error("the ledger was opened to be read, not to be written")]
    ReadOnly,
    /// A fact was to be recorded that contradicts the ledger: a bug of ours.
    #[error("the ledger was given a contradiction: {0}")]
    Contradiction(&'static str),
}

impl Error {
    /// There was a ledger in `directory`, and it is gone or empty.
    #[must_use]
    pub(crate) fn missing(directory: &Path) -> Self {
        Self::Missing { directory: text::path(directory), problem: "is missing" }
    }

    pub(super) fn damaged(path: &Path, line: u64, problem: &str) -> Self {
        Self::Damaged { path: text::path(path), line, problem: problem.to_owned() }
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let replace = |directory: &str| {
            format!(
                "put the file back from a backup; or start again by moving its directory away: mv '{directory}' \
                 '{directory}.damaged'.  Then every message that is still on the server is retrieved again, also \
                 those delivered before"
            )
        };
        let hint = match self {
            Self::Newer { .. } => "run the newer popfetch".into(),
            Self::Damaged { path, .. } | Self::Shortened { path, .. } => {
                replace(path.rsplit_once('/').map_or(".", |(directory, _)| directory)).into()
            }
            Self::Missing { directory, .. } => replace(directory).into(),
            Self::Locked => "wait for it to end, or use --wait".into(),
            Self::Disk(e) => return on_disk(e),
            Self::Broken { .. } => "run popfetch again: it recovers what this run left unfinished".into(),
            Self::ReadOnly | Self::Contradiction(_) => REPORT_BUG.into(),
        };
        Some(hint)
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Disk(e) => e.exit_code(),
            Self::Damaged { .. } | Self::Shortened { .. } | Self::Missing { .. } | Self::Broken { .. } => {
                ExitCode::LocalIo
            }
            Self::Newer { .. } => ExitCode::Configuration,
            Self::Locked => ExitCode::Later,
            Self::ReadOnly | Self::Contradiction(_) => ExitCode::Bug,
        }
    }
}

/// What to do where the place of the state isn't fit for it: the home directory is `/`, can only be read, or lies on a file
/// system without locks.
fn on_disk(e: &durable::Error) -> Option<Cow<'_, str>> {
    use std::io::ErrorKind;
    let cannot_be_made = matches!(e.step, Step::Open | Step::MakeDirectory)
        && matches!(
            e.source.kind(),
            ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::Unsupported
                | ErrorKind::InvalidInput
        );
    match cannot_be_made {
        true => Some(
            "what popfetch remembers is kept there: set XDG_STATE_HOME to a directory that can be written, on a file \
             system that has locks"
                .into(),
        ),
        false => e.hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use crate::durable::{self, Step};
    use crate::problem::Problem as _;
    use std::io::ErrorKind;
    use std::path::Path;

    #[test]
    fn where_the_state_cannot_be_kept_the_variable_is_named() {
        let hint = |step, kind: ErrorKind| {
            Error::Disk(durable::Error::new(step, Path::new("/.local"), kind))
                .hint()
                .unwrap_or_default()
                .into_owned()
        };
        for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::Unsupported] {
            assert!(hint(Step::MakeDirectory, kind).contains("XDG_STATE_HOME"), "{kind}");
            assert!(hint(Step::Open, kind).contains("XDG_STATE_HOME"), "{kind}");
        }
        assert_eq!(hint(Step::Write, ErrorKind::BrokenPipe), "");
    }
}
