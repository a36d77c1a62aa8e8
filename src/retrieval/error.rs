//! Why one mailbox's run failed: the errors of the rooms below, with the account's server and step where they don't say
//! them, and what to do next.

use crate::access;
use crate::client;
use crate::config::ConfigError;
use crate::delivery;
use crate::exit::ExitCode;
use crate::ledger;
use crate::plan::maildrop::Contradiction;
use crate::protocol::types::MessageNumber;

/// What ended the run of one mailbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No password to be had, or its file is open to others.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state directory or a destination is in somebody else's hands.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The server, the line, or the login.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A destination.
    #[error(transparent)]
    Delivery(#[from] delivery::Error),
    /// The listing contradicts itself.
    #[error(transparent)]
    Listing(#[from] Contradiction),
    /// Neither UIDL nor LIST.
    #[error("the server lists its messages neither by UIDL nor by LIST")]
    NoListing,
    /// Leaving mail on a server without unique-ids needs their headers.
    #[error("{server} has neither UIDL nor TOP: messages left on it cannot be told apart")]
    NoIdentity {
        /// Which server.
        server: String,
    },
    /// `UIDL` is refused, though the ledger has unique-ids of this mailbox.
    #[error("{server} refused UIDL, by which its messages are known: its mail is left alone")]
    UniqueIdsLost {
        /// Which server.
        server: String,
        /// Where the ledger is.
        directory: String,
    },
    /// Answers that belong to other commands.
    #[error("the server answered out of step")]
    OutOfStep,
    /// A message that goes on and on.
    #[error("message {number} went on far beyond its listed size: the line was closed")]
    Endless {
        /// Which one.
        number: MessageNumber,
    },
    /// A login that was refused not long ago, and isn't tried again yet.
    #[error("the login was refused at the last runs: not tried again before {until}")]
    Paused {
        /// When it will be.
        until: String,
    },
    /// No room for what a thread needs.
    #[error("cannot start the committer: {0}")]
    Pipe(std::io::Error),
    /// A bug of ours.
    #[error("a bug in popfetch: the committer died")]
    Bug,
}

impl Error {
    /// The exit code of a run that ends with it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(e) => e.exit_code(),
            Self::Access(_) => ExitCode::Configuration,
            Self::Client(e) => e.exit_code(),
            Self::Ledger(e) => e.exit_code(),
            Self::Delivery(e) => e.exit_code(),
            Self::Listing(_) | Self::NoListing | Self::NoIdentity { .. } => ExitCode::Protocol,
            Self::OutOfStep | Self::Endless { .. } => ExitCode::Protocol,
            Self::UniqueIdsLost { .. } => ExitCode::Later,
            Self::Paused { .. } => ExitCode::Refused,
            Self::Pipe(_) => ExitCode::LocalIo,
            Self::Bug => ExitCode::Bug,
        }
    }

    /// Whether it passes by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.exit_code() == ExitCode::Later
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(e) => e.hint().map(str::to_owned),
            Self::Access(e) => Some(e.hint.clone()),
            Self::Client(e) => e.hint(),
            Self::Ledger(e) => e.suggestion(),
            Self::NoIdentity { .. } => {
                Some("set leave-on-server = false, or use a server that has UIDL".to_owned())
            }
            Self::UniqueIdsLost { directory, .. } => Some(format!(
                "the next run asks again; if the server has given up UIDL for good, begin afresh by moving the ledger \
                 away: mv '{directory}' '{directory}.old'.  Then every message that is still on the server is retrieved \
                 once more"
            )),
            Self::Endless { .. } => Some(
                "it is tried last from now on; delete it with another client, or set max-message-size"
                    .to_owned(),
            ),
            Self::Paused { .. } => Some(
                "put the password right, or name the account on the command line to try at once".to_owned(),
            ),
            Self::OutOfStep => Some("set pipelining = \"off\" for this account".to_owned()),
            Self::Bug => Some("please report it; nothing is lost, the next run recovers".to_owned()),
            Self::Listing(_) | Self::NoListing => {
                Some("-vv shows the dialogue; the server's operator should see it".to_owned())
            }
            // The first carries its own in its text.
            Self::Delivery(_) | Self::Pipe(_) => None,
        }
    }

    /// What happened, with the server where the error itself doesn't name it.
    pub(super) fn told(&self, server: &str) -> String {
        match self {
            Self::Listing(_)
            | Self::NoListing
            | Self::OutOfStep
            | Self::Endless { .. }
            | Self::Paused { .. } => {
                format!("{server}: {self}")
            }
            Self::Config(_)
            | Self::Access(_)
            | Self::Client(_)
            | Self::Ledger(_)
            | Self::Delivery(_)
            | Self::NoIdentity { .. }
            | Self::UniqueIdsLost { .. }
            | Self::Pipe(_)
            | Self::Bug => self.to_string(),
        }
    }

    /// Whether the server can't be trusted with more than one command at a time.
    pub(super) fn forbids_pipelining(&self) -> bool {
        match self {
            Self::OutOfStep => true,
            Self::Client(e) => e.forbids_pipelining(),
            _ => false,
        }
    }

    /// Whether the server kept us waiting too long.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Client(client::Error::TimedOut { .. }))
    }
}

impl From<super::committer::Error> for Error {
    fn from(e: super::committer::Error) -> Self {
        match e {
            super::committer::Error::Delivery(e) => Self::Delivery(e),
            super::committer::Error::Ledger(e) => Self::Ledger(e),
        }
    }
}
