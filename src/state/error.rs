//! Why something could not be done with what is kept, and what to do next.

use std::borrow::Cow;

use crate::access;
use crate::durable;
use crate::exit::ExitCode;
use crate::ledger;
use crate::problem::Problem;

/// Why something could not be done with what is kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Another user can change the state directory: typically XDG_STATE_HOME is inside a shared one.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The ledger cannot be read or written: typically another popfetch has it, or the disk is full.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The disk refused a step.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// No message is known by that name: typically a number, which only a session has.
    #[error("no message is known by the unique-id {0}")]
    NoSuchMessage(String),
    /// No mailbox has that name, or several have: typically a part of a name that several share.
    #[error("{what}")]
    NoSuchMailbox {
        /// What was not found.
        what: String,
        /// The mailboxes that there are.
        hint: String,
    },
    /// There is state already where it is to be moved or restored: typically popfetch has run there meanwhile.
    #[error("{what}")]
    InTheWay { what: String, hint: String },
    /// A run was killed and has left deliveries unfinished; the next run settles them.
    #[error("{mailbox}: {} on the way when a run died", were(*.messages))]
    Unfinished {
        /// Whose they are.
        mailbox: String,
        /// How many messages.
        messages: u64,
    },
    /// A file is not what `state export` writes: typically it was cut off on the way to another machine.
    #[error("{what}")]
    NotExported { what: String },
}

fn were(messages: u64) -> String {
    let count = crate::text::count(messages, "message");
    format!("{count} {}", if messages == 1 { "was" } else { "were" })
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Access(e) => return e.hint(),
            Self::Ledger(e) => return e.hint(),
            Self::Disk(e) => return e.hint(),
            Self::NoSuchMailbox { hint, .. } | Self::InTheWay { hint, .. } => hint.as_str(),
            Self::NoSuchMessage(_) => {
                "messages are known by their unique-ids, as popfetch history shows them; numbers are the server's, and \
                 change"
            }
            Self::Unfinished { .. } => {
                "a run settles them: popfetch ACCOUNT, with an account that names this mailbox; or give them up: popfetch \
                 state release ACCOUNT"
            }
            Self::NotExported { .. } => "write it again: popfetch state export > FILE",
        };
        Some(hint.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Access(e) => e.exit_code(),
            Self::Ledger(e) => e.exit_code(),
            Self::Disk(e) => e.exit_code(),
            Self::NoSuchMessage(_) => ExitCode::NoInput,
            Self::NoSuchMailbox { .. } => ExitCode::Usage,
            Self::InTheWay { .. } => ExitCode::CannotCreate,
            Self::Unfinished { .. } => ExitCode::Later,
            Self::NotExported { .. } => ExitCode::Data,
        }
    }
}
