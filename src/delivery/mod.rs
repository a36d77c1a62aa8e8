//! Delivery: a message is staged where it waits (streamed there while it arrives, in bounded memory), then published
//! (atomically), or, after a crash, recovered.
//!
//! A destination has two ends.  The [`Inlet`] is the network thread's: it takes a message in while it arrives.  The
//! [`Outlet`] is the committer thread's: it syncs, waits for the ledger's note, and publishes.  Neither knows servers,
//! ledgers or policies; they see text form (LF line ends) only.
//!
//! The forms of one message, each made from the one before:
//!
//! | | what it is |
//! |---|---|
//! | [`Intake`] | it arrives at one destination; [`routing::Copies`] has those of all |
//! | [`Waiting`] | it is whole at one destination, in a [`Place`]; nothing is synced |
//! | [`Piece`] | the same, with what is known of the message and the destination's number |
//! | [`Staged`] | it is on the disk |
//! | [`Noted`] | the ledger has recorded where, on the disk |
//! | [`Published`] | it is where the user looks for it |
//! | [`Delivered`](crate::proof::Delivered) | the ledger has recorded that: it may be deleted from the server |

mod destination;
mod kinds;
pub(crate) mod maildir;
pub(crate) mod mbox;
pub(crate) mod neighbours;
pub(crate) mod owned;
pub(crate) mod pipe;
pub(crate) mod routing;
mod sink;
pub(crate) mod spool;
pub(crate) mod stdout;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;

pub(crate) use destination::{Destination, Opened, Opening, Order, Recovered, Surroundings};
pub(crate) use kinds::{clean_up, destination, most_open, named};

use std::borrow::Cow;

use crate::access;
use crate::durable;
use crate::exit::ExitCode;
use crate::message::{Digest, Facts};
use crate::place::Place;
use crate::problem::{Problem, REPORT_BUG};
use crate::proof::{DestinationRecord, Intent, IntentId, Noted, Piece, Published, Staged};

/// The network's end of a destination.
pub(crate) trait Inlet: Send {
    /// A place for one message that is about to arrive; one at a time.
    ///
    /// # Errors
    /// When the place cannot be made.
    fn open(&mut self) -> Result<Box<dyn Intake>, Error>;

    /// Whether it reads back what it stores, which is not as it came: then [`Facts::sum`] is needed.
    fn reads_back(&self) -> bool;

    /// Closes the batch: what is opened from now on belongs to the next one.  Nothing that was opened before is still on
    /// its way then: the batch's files are the committer's from here on.
    fn cut(&mut self);
}

/// One message arriving at one destination.
pub(crate) trait Intake {
    /// More of the message, in text form.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&mut self, text: &[u8]) -> Result<(), Error>;

    /// Header lines of ours that stand on top of the message: whole ones, before any of it has come.
    ///
    /// # Errors
    /// When they cannot be written.
    fn prepend(&mut self, prefix: &[u8]) -> Result<(), Error> {
        self.write(prefix)
    }

    /// The message is whole, and is the one that `facts` describes: what was written is compared with it.
    ///
    /// # Errors
    /// When what was held back cannot be written, or what was written is something else.
    fn finish(self: Box<Self>, facts: &Facts) -> Result<Waiting, Error>;

    /// The message will not come, or is suspect: takes back what was written.
    fn abandon(self: Box<Self>);
}

/// A message that waits, whole, at one destination; with its [`crate::proof::Arrival`] it becomes a [`Piece`].
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Octets as stored.
    pub octets: u64,
    /// Digest as stored.
    pub digest: Digest,
    pub place: Place,
}

/// The committer's end of a destination.
pub(crate) trait Outlet: Send {
    /// Makes one batch's pieces durable where they wait.  An mbox takes its locks here, fills in the offsets, and holds
    /// the locks until [`Outlet::publish`] or [`Outlet::withdraw`].
    ///
    /// # Errors
    /// [`Error::Later`] when only this destination is out of reach now; [`Error::Disk`] ends the mailbox's run.  The
    /// pieces are withdrawn.
    fn stage(&mut self, pieces: Vec<Piece>) -> Result<Vec<Staged>, Error>;

    /// Publishes what has been noted, and reports each outcome to the recorder.
    ///
    /// # Errors
    /// The recorder's error, or [`Error::Disk`] when a sync failed: the run ends, and recovery finds out.
    fn publish(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), Error>;

    /// These pieces will not be published: takes back what they left.
    fn withdraw(&mut self, pieces: Vec<Piece>);
}

/// Takes a destination's report of what became of each piece: the ledger, seen from here.
pub(crate) trait Recorder {
    /// This piece is published.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    fn published(&mut self, piece: Published) -> Result<(), Error>;

    /// This piece was not taken.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    fn failed(&mut self, piece: Noted, failure: Failure) -> Result<(), Error>;

    /// Brings what was reported so far to the disk.  A pipe calls this while the next MDA runs.
    ///
    /// # Errors
    /// When the ledger cannot be synced.
    fn sync(&mut self) -> Result<(), Error>;
}

/// Why a destination did not take a message; the message stays on the server and comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A refusal of this very message (an MDA's 65, 67, 69, 77): it backs off.  Otherwise it is tried at the next run.
    pub permanent: bool,
    /// What happened, for people.
    pub reason: String,
    /// The exit code of the run for it: [`ExitCode::Later`] but where something else is wrong (MDA not found: 78).
    pub exit: ExitCode,
}

/// Recovery's way to the ledger.
pub(crate) trait Settler {
    /// These were published: written; [`Settler::sync`] follows.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    fn delivered(&mut self, intents: &[IntentId]) -> Result<(), Error>;
    /// These come again: written *and synced*, after which their files may be removed.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.
    fn dropped(&mut self, intents: &[IntentId]) -> Result<(), Error>;
    /// Brings it to the disk.
    ///
    /// # Errors
    /// When the ledger cannot be synced.
    fn sync(&mut self) -> Result<(), Error>;
}

/// Open intents at one destination, to be settled.
#[derive(Debug)]
pub(crate) struct Unsettled {
    /// The destination as the ledger names it; not as today's configuration does.
    pub destination: DestinationRecord,
    /// In the order of the ledger.
    pub intents: Vec<Intent>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The disk refused a step: typically it is full, or the user lacks a permission.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// The ledger could not be written or read: then no outcome can be recorded, and the run ends.
    #[error("{0}")]
    Ledger(Box<dyn Problem>),
    /// Out of reach now: typically another program holds the lock, or a directory isn't mounted.
    #[error("{what}")]
    Later {
        /// What is out of reach, and why.
        what: String,
        hint: String,
    },
    /// Not what it should be: typically a file where a Maildir was expected, something that is not an mbox, a missing parent.
    #[error("{what}")]
    Unfit {
        what: String,
        hint: String,
        /// The code of a run that ends with it.
        exit: ExitCode,
    },
}

impl From<access::Error> for Error {
    fn from(e: access::Error) -> Self {
        Self::Unfit { exit: e.exit_code(), what: e.what, hint: e.hint }
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Disk(e) => e.hint(),
            Self::Ledger(e) => e.hint(),
            Self::Later { hint, .. } | Self::Unfit { hint, .. } => Some(hint.into()),
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Disk(e) => e.exit_code(),
            Self::Ledger(e) => e.exit_code(),
            Self::Unfit { exit, .. } => *exit,
            Self::Later { .. } => ExitCode::Later,
        }
    }
}

impl Error {
    /// [`Error::Later`].
    #[must_use]
    pub(crate) fn later(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Later { what: what.into(), hint: hint.into() }
    }

    /// [`Error::Unfit`].
    #[must_use]
    pub(crate) fn unfit(exit: ExitCode, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unfit { what: what.into(), hint: hint.into(), exit }
    }

    /// Whether only this destination is out of reach, and only now.
    #[must_use]
    pub(crate) fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Later { .. })
    }

    /// What is about to be handed on is not what arrived: a bug of ours, which costs no mail as long as it's seen.
    pub(crate) fn differs() -> Self {
        let what = "what was stored of a message is not what had arrived: it stays on the server";
        Self::unfit(ExitCode::Bug, what, REPORT_BUG)
    }

    /// A piece of another destination, or one that was not staged at this one: a bug of ours.
    pub(crate) fn misplaced() -> Self {
        Self::unfit(ExitCode::Bug, "a message was handed to the wrong destination", REPORT_BUG)
    }
}
