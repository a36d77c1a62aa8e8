//! Why there is no token, and what to do about it.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::refusal::{OAuthRefusal, RefusalKind, login_command};
use crate::access;
use crate::durable;
use crate::exit::ExitCode;
use crate::http;
use crate::problem::Problem;
use crate::text;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody has logged in yet, or the store has been lost: typically a service whose user is another one.
    #[error("{} isn't logged in", text::printable(account.as_bytes()))]
    NotLoggedIn {
        account: String,
        /// Where its tokens are kept, in words.
        store: String,
    },
    /// The authorization server refused.
    #[error("{host}: {}", refusal.what)]
    Refused { host: String, refusal: OAuthRefusal },
    /// The server can't be asked, or doesn't answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// What came is no answer of an authorization server: typically a captive portal's page.
    #[error("{host} answered with {what}, not with {expected}")]
    NotAnAnswer {
        host: String,
        what: &'static str,
        /// What was due.
        expected: &'static str,
    },
    /// A token came that popfetch can't send: typically of a type that mail servers don't take either.
    #[error("{host} gave a token that can't be used: {why}")]
    UnusableToken { host: String, why: &'static str },
    /// The server is busy, or asks to be left alone for a while.
    #[error("{host} can't give a token now ({why})")]
    Unavailable {
        host: String,
        /// Its status.
        why: String,
    },
    /// The answer in the browser came from another server than was asked (RFC 9207).
    #[error("the answer in the browser came from another server than {host}")]
    OtherIssuer {
        /// The server that was asked.
        host: String,
    },
    /// A step of storing failed; the tokens in the store are those from before.
    #[error("the token can't be stored: {0}")]
    Disk(#[from] durable::Error),
    /// The store can be read by others, or can't be read.
    #[error(transparent)]
    Store(#[from] access::Error),
    /// The store holds something else.
    #[error("{store} holds no login that this popfetch understands")]
    Damaged {
        account: String,
        /// The file, or the command.
        store: String,
    },
    /// `load-command` or `save-command` failed: typically it wants a passphrase, and no user can be asked.
    #[error("{which} {what}")]
    Command {
        which: &'static str,
        /// What came of it.
        what: String,
        account: String,
    },
    /// The system has no room for `load-command` or `save-command` now.
    #[error("{which} did not start: {source}")]
    NoResources { which: &'static str, source: io::Error },
    /// Other processes renew the same token, one after the other, and it takes too long.
    #[error("another popfetch has been renewing the token for {} s", waited.as_secs())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The client's secret can't be had.
    #[error("the client's secret: {0}")]
    ClientSecret(Box<dyn Problem>),
    /// Settings that can't be used, or a server that lacks what they need.
    #[error("{what}")]
    Settings { what: String, hint: String },
    /// The user didn't come to an end in time.
    #[error("nobody agreed within {} minutes", limit.as_secs() / 60)]
    TooLate {
        /// How long was waited.
        limit: Duration,
        account: String,
    },
    #[error("stopped by a signal")]
    Stopped,
    /// The system refused something on this side.
    #[error("cannot {action}: {source}")]
    Local { action: &'static str, source: io::Error },
}

impl Error {
    /// Whether only the user can help, by a login or a consent: asking the same again would be refused again.
    #[must_use]
    pub(crate) fn needs_login(&self) -> bool {
        match self {
            Self::NotLoggedIn { .. } => true,
            Self::Refused { refusal, .. } => {
                refusal.exit == ExitCode::Refused
                    && !matches!(refusal.kind, RefusalKind::Pending | RefusalKind::SlowDown)
            }
            _ => false,
        }
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::NotLoggedIn { account, store } => {
                format!("run: {} (tokens are kept in {store})", login_command(account)).into()
            }
            Self::Refused { refusal, .. } => Cow::Borrowed(refusal.hint.as_deref()?),
            Self::Http(e) => return e.hint(),
            Self::NotAnAnswer { .. } => http::PORTAL.into(),
            Self::UnusableToken { .. } => {
                "the provider's token-endpoint must give bearer tokens (RFC 6750)".into()
            }
            Self::Unavailable { .. } | Self::NoResources { .. } => crate::problem::TRY_AGAIN.into(),
            Self::OtherIssuer { .. } => {
                "nothing was sent; log in again, and look at the address in the browser".into()
            }
            Self::Disk(e) => return e.hint(),
            Self::Store(e) => return e.hint(),
            Self::Damaged { account, .. } => format!("log in again: {}", login_command(account)).into(),
            Self::Command { which, account, .. } => format!(
                "run it by hand: it must work without a question{}; if you have not logged in yet: {}",
                if *which == "load-command" { ", and print what save-command was given" } else { "" },
                login_command(account)
            )
            .into(),
            Self::ClientSecret(e) => return e.hint(),
            Self::Settings { hint, .. } => hint.into(),
            Self::TooLate { account, .. } => format!("start again: {}", login_command(account)).into(),
            Self::Locked { .. } | Self::Stopped | Self::Local { .. } => return None,
        })
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotLoggedIn { .. } | Self::TooLate { .. } => ExitCode::Refused,
            Self::Command { .. } => ExitCode::Refused,
            Self::Refused { refusal, .. } => refusal.exit,
            Self::Http(e) => e.exit_code(),
            Self::NotAnAnswer { .. } | Self::UnusableToken { .. } | Self::OtherIssuer { .. } => {
                ExitCode::Protocol
            }
            Self::Unavailable { .. } | Self::NoResources { .. } | Self::Locked { .. } | Self::Stopped => {
                ExitCode::Later
            }
            Self::Disk(e) => e.exit_code(),
            Self::Store(_) | Self::Damaged { .. } | Self::Settings { .. } => ExitCode::Configuration,
            Self::ClientSecret(e) => e.exit_code(),
            Self::Local { .. } => ExitCode::LocalIo,
        }
    }
}
