//! Why there is no password or token.  No error holds one, nor the command that printed it.

use std::borrow::Cow;

use crate::access;
use crate::account::NotOneLine;
use crate::exit::ExitCode;
use crate::oauth;
use crate::problem::{Problem, TRY_AGAIN};
use crate::text::printable;

/// Why an account has no password or token to log in with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file of secrets is missing, unreadable, too large, or open to others: typically its mode is 644.
    #[error(transparent)]
    File(#[from] access::Error),
    /// A token that can't be had.
    #[error(transparent)]
    OAuth(#[from] oauth::Error),
    /// The source has none: an empty file, a netrc file without this user, a command that failed, no terminal to ask at.
    #[error("cannot get a password: {what}")]
    Missing { what: String, hint: String },
    /// The system has no room for another process: typically too many run, or memory is short.
    #[error("cannot get a password now: {what}")]
    NoResources {
        /// What could not be done.
        what: String,
    },
    /// A signal came while a program or the user was asked for the password.
    #[error("stopped by a signal while {waiting_for}")]
    Stopped { waiting_for: &'static str },
    /// A password that was typed can't be kept where it should be: typically a program that isn't set up, or a full disk.
    #[error("cannot keep the password: {what}")]
    NotKept { what: String, hint: String },
    /// There is one, but no command can carry it: typically it was pasted with its line end.
    #[error("the password of {}: {why}", quoted(account))]
    Unusable { account: String, why: NotOneLine },
}

impl Error {
    pub(super) fn missing(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Missing { what: what.into(), hint: hint.into() }
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::File(e) => e.hint(),
            Self::OAuth(e) => e.hint(),
            Self::Missing { hint, .. } | Self::NotKept { hint, .. } => Some(Cow::Borrowed(hint)),
            Self::NoResources { .. } => Some(Cow::Borrowed(TRY_AGAIN)),
            Self::Stopped { .. } | Self::Unusable { .. } => None,
        }
    }

    /// As of the token; else 77 where there is no password, 73 where one can't be kept, 75 after a signal or without resources, else 78.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Missing { .. } => ExitCode::Refused,
            Self::OAuth(e) => e.exit_code(),
            Self::NotKept { .. } => ExitCode::CannotCreate,
            Self::NoResources { .. } | Self::Stopped { .. } => ExitCode::Later,
            Self::File(_) | Self::Unusable { .. } => ExitCode::Configuration,
        }
    }
}

/// Text to print, in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text.as_bytes()))
}
