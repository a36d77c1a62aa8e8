//! Why there is no answer, and what to do about it.

use std::borrow::Cow;
use std::time::Duration;

use super::answer::AnswerFault;
use crate::connection;
use crate::exit::ExitCode;
use crate::problem::{Problem, TRY_AGAIN};

/// Why there is no answer.  `server` is always `host:port`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no connection, or it broke: typically the network is down, or a certificate is refused.
    #[error(transparent)]
    Connection(#[from] connection::Error),
    /// Neither TLS nor a connection within this machine: typically there is a proxy in front of a loopback address.
    #[error("the way to {server} is not protected, and nothing was sent")]
    Clear { server: String },
    /// The time is over: typically the server is overloaded.
    #[error("{server} did not answer within {} s", limit.as_secs())]
    TimedOut {
        server: String,
        /// How long was waited in all.
        limit: Duration,
    },
    #[error("stopped by a signal while {server} was asked")]
    Stopped { server: String },
    /// The connection ended before an answer began: typically a proxy or an overloaded server closed it.
    #[error("{server} closed the connection without an answer")]
    Closed { server: String },
    /// What came is not an answer, or is too large: typically another service listens there.
    #[error("{server}: {fault}")]
    Fault { server: String, fault: AnswerFault },
    /// The answer is elsewhere: typically a captive portal, or an address that has moved.
    #[error("{server} points to another address (status {status}){}", to.as_ref().map(|to| format!(": {to}")).unwrap_or_default())]
    Redirect {
        server: String,
        status: u16,
        /// The address, printable and without its query, which may hold secrets.
        to: Option<String>,
    },
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            // The hints of these speak of the keys `server` and `port`, which are about the mail server.
            Self::Connection(connection::Error::Lookup { .. } | connection::Error::Connect { .. }) => {
                "check that the network is up"
            }
            Self::Connection(connection::Error::NotTls { .. }) | Self::Redirect { .. } => PORTAL,
            Self::Connection(e) => return e.hint(),
            Self::Clear { .. } => "use an address that begins with https://",
            Self::Fault { fault: AnswerFault::Malformed(_), .. } => {
                "check the address; a proxy or a captive portal on the way may answer in its place"
            }
            Self::Fault { fault: AnswerFault::TooLarge, .. } => PORTAL,
            Self::TimedOut { .. } | Self::Closed { .. } | Self::Fault { fault: AnswerFault::Cut, .. } => {
                TRY_AGAIN
            }
            Self::Stopped { .. } => return None,
        };
        Some(hint.into())
    }

    /// 75 where the network fails or the answer stops short, 76 for what is no answer; else as of the connection.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Connection(e) => e.exit_code(),
            Self::TimedOut { .. }
            | Self::Stopped { .. }
            | Self::Closed { .. }
            | Self::Fault { fault: AnswerFault::Cut, .. } => ExitCode::Later,
            Self::Fault { .. } | Self::Redirect { .. } => ExitCode::Protocol,
            Self::Clear { .. } => ExitCode::Configuration,
        }
    }
}

/// The hint where something else may have answered.
pub(crate) const PORTAL: &str =
    "a captive portal or a proxy on the way may answer in its place: open a page in a browser";
