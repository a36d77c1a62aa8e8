//! Why one mailbox's run failed: the errors of the rooms below, with the account's server and step where they don't say
//! them, and what to do next.

use crate::access;
use crate::client;
use crate::credentials;
use crate::delivery;
use crate::exit::ExitCode;
use crate::ledger;
use crate::plan::maildrop::Contradiction;
use crate::types::MessageNumber;

/// What ended the run of one mailbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The password or token cannot be obtained, or its file is open to others.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
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
    /// A listing was refused: typically the server has a failure that passes; or it has neither UIDL nor LIST.
    #[error("the server refused {command}: \"{text}\"")]
    ListingRefused {
        /// `UIDL` or `LIST`.
        command: &'static str,
        /// Its words, fit to print.
        text: String,
        /// Whether it passes on its own, as far as can be known.
        passes: bool,
    },
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
    /// No answer of this server names a message, so that nothing after it could be believed.
    #[error("none of the server's answers names a message")]
    NothingNames,
    /// The same, where a session must not end in `QUIT` before what was retrieved is stored.
    #[error(
        "the server deletes at QUIT what was retrieved, and none of its answers shows where a message ends"
    )]
    NotSafe,
    /// The server refuses what it is asked for, whichever message it is.
    #[error("the server refuses to hand its messages out: \"{text}\"")]
    Refuses {
        /// Its words, fit to print.
        text: String,
    },
    /// The session that was to go on with the work was refused.
    #[error("no further session: {0}")]
    NoFurtherSession(client::Error),
    /// The last session had to end early, and another one would bring no more.
    #[error("the server's sessions ended before everything was done")]
    Unfinished,
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
            Self::Credentials(e) => e.exit_code(),
            Self::Access(_) => ExitCode::Configuration,
            Self::Client(e) => e.exit_code(),
            Self::Ledger(e) => e.exit_code(),
            Self::Delivery(e) => e.exit_code(),
            Self::ListingRefused { passes: true, .. } => ExitCode::Later,
            Self::Listing(_) | Self::ListingRefused { .. } | Self::NoIdentity { .. } => ExitCode::Protocol,
            Self::OutOfStep | Self::Endless { .. } | Self::NothingNames | Self::NotSafe => ExitCode::Protocol,
            Self::Refuses { .. } | Self::NoFurtherSession(_) | Self::Unfinished => ExitCode::Later,
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
            Self::Credentials(e) => e.hint().map(str::to_owned),
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
                "correct the password, or name the account on the command line to try at once".to_owned(),
            ),
            Self::Refuses { .. } => Some(
                "a quota or a passing failure of the server: nothing is lost, the next run tries again"
                    .to_owned(),
            ),
            Self::NoFurtherSession(_) | Self::Unfinished => {
                Some("the next run goes on with what is left".to_owned())
            }
            Self::NothingNames | Self::NotSafe => {
                Some("its operator should see it: it answers neither UIDL n nor LIST n nor STAT".to_owned())
            }
            Self::OutOfStep => Some("set pipelining = \"off\" for this account".to_owned()),
            Self::Bug => Some("please report it; nothing is lost, the next run recovers".to_owned()),
            Self::ListingRefused { passes: true, .. } => {
                Some("nothing was changed: the next run asks again".to_owned())
            }
            Self::Listing(_) | Self::ListingRefused { .. } => {
                Some("-vv shows the dialogue; the server's operator should see it".to_owned())
            }
            Self::Delivery(e) => e.hint(),
            Self::Pipe(_) => None,
        }
    }

    /// What happened, with the server where the error itself doesn't name it; and what to do next.
    #[must_use]
    pub fn told(&self, server: &str) -> (String, Option<String>) {
        (self.what(server), self.hint())
    }

    fn what(&self, server: &str) -> String {
        match self {
            Self::Listing(_)
            | Self::ListingRefused { .. }
            | Self::OutOfStep
            | Self::NothingNames
            | Self::NotSafe
            | Self::Refuses { .. }
            | Self::Unfinished
            | Self::Endless { .. }
            | Self::Paused { .. } => {
                format!("{server}: {self}")
            }
            Self::Credentials(_)
            | Self::Access(_)
            | Self::Client(_)
            | Self::Ledger(_)
            | Self::Delivery(_)
            | Self::NoIdentity { .. }
            | Self::UniqueIdsLost { .. }
            | Self::NoFurtherSession(_)
            | Self::Pipe(_)
            | Self::Bug => self.to_string(),
        }
    }

    /// Whether the answers can no longer be told apart: what was said since the last one that named a message is void.
    pub(super) fn is_disorder(&self) -> bool {
        match self {
            Self::OutOfStep => true,
            Self::Client(e) => e.is_disorder(),
            _ => false,
        }
    }

    /// Whether the connection or the session ended too early.
    pub(super) fn ends_session(&self) -> bool {
        matches!(self, Self::Client(e) if e.ends_session())
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

#[cfg(test)]
mod tests {
    use super::Error;
    use crate::exit::ExitCode;
    use crate::ledger::Error as LedgerError;
    use crate::plan::maildrop::Contradiction;
    use crate::types::MessageNumber;
    use crate::{access, client, delivery, durable};

    fn text(of: &str) -> String {
        of.to_owned()
    }

    /// One of each kind; those that have kinds of their own with some of them.
    fn all() -> Vec<Error> {
        let disk = || {
            let full = std::io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
            durable::Error::new(durable::Step::Write, std::path::Path::new("/x"), full)
        };
        let number = MessageNumber::new(1).unwrap();
        vec![
            Error::Credentials(
                access::Error { what: text("cannot read /x"), hint: text("create it") }.into(),
            ),
            Error::Client(client::Error::Stopped),
            Error::Client(client::Error::Farewell { server: text("h:110"), text: text("bye") }),
            Error::Client(client::Error::TimedOut {
                server: text("h:110"),
                during: text("the greeting"),
                pipelined: false,
            }),
            Error::Client(client::Error::StlsRefused { server: text("h:110"), text: text("no") }),
            Error::Ledger(LedgerError::Locked),
            Error::Ledger(LedgerError::Disk(disk())),
            Error::Ledger(LedgerError::Damaged { path: text("/x/ledger"), line: 3, problem: text("torn") }),
            Error::Ledger(LedgerError::Missing { directory: text("/x"), problem: "is gone" }),
            Error::Delivery(delivery::Error::Disk(disk())),
            Error::Access(access::Error { what: text("/x is open to all"), hint: text("chmod 600 /x") }),
            Error::Delivery(delivery::Error::Later(text("it isn't there")).hinted("mount it")),
            Error::Delivery(delivery::Error::Unfit {
                message: text("it is a file"),
                exit: ExitCode::CannotCreate,
            }),
            Error::Delivery(delivery::Error::Ledger { message: text("torn"), exit: ExitCode::LocalIo }),
            Error::Listing(Contradiction(number)),
            Error::ListingRefused { command: "LIST", text: text("no"), passes: false },
            Error::ListingRefused { command: "UIDL", text: text("[SYS/TEMP] later"), passes: true },
            Error::NothingNames,
            Error::NotSafe,
            Error::Unfinished,
            Error::Refuses { text: text("quota") },
            Error::NoFurtherSession(client::Error::Stopped),
            Error::NoIdentity { server: text("h:110") },
            Error::UniqueIdsLost { server: text("h:110"), directory: text("/x") },
            Error::OutOfStep,
            Error::Endless { number },
            Error::Paused { until: text("tomorrow") },
            Error::Pipe(std::io::ErrorKind::Other.into()),
            Error::Bug,
        ]
    }

    #[test]
    fn what_happened_and_what_to_do_are_told_apart() {
        for error in all() {
            let (what, hint) = error.told("h:110");
            assert!(!what.contains("hint:") && what == what.trim(), "{what:?}");
            assert!(hint.as_ref().is_none_or(|hint| !hint.contains("hint:")), "{hint:?}");
            let must = matches!(error, Error::Credentials(_) | Error::Access(_));
            assert!(!must || hint.is_some(), "{error}");
        }
    }
}
