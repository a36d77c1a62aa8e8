//! The kinds of destination there are, each made from its setting or from its name in the ledger.  Outside of this room nothing
//! knows which there are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::Error;
use super::destination::{Destination, Surroundings};
use super::maildir::MaildirDestination;
use super::mbox::{self, MboxDestination};
use super::pipe::PipeDestination;
use super::stdout::StdoutDestination;
use crate::account::Deliver;
use crate::proof::{DestinationKind, DestinationName, Intent};

/// Removes what destinations have left in the state directory and no open intent names.  Called with the ledger's lock
/// held: at a run's start after recovery, and at its end after the ledger's last sync.
///
/// # Errors
/// [`Error::Disk`].
pub(crate) fn clean_up(around: Surroundings<'_>, ledger: &str, intents: &[Intent]) -> Result<(), Error> {
    mbox::clean_up(around.state_root, around.state, ledger, intents)
}

/// The destination of a setting.
#[must_use]
pub(crate) fn destination<'a>(deliver: &Deliver, around: Surroundings<'a>) -> Box<dyn Destination + 'a> {
    match deliver {
        Deliver::Maildir(path) => Box::new(MaildirDestination::new(path.clone(), around)),
        Deliver::Mbox(path) => Box::new(MboxDestination::new(path.clone(), around)),
        Deliver::Pipe(pipe) => Box::new(PipeDestination::new(pipe.clone(), around)),
        Deliver::Stdout => Box::new(StdoutDestination::new(around)),
    }
}

/// How many files a run may have open at once for the destination of a setting: those of messages that wait there, and of
/// the programs that are run.
#[must_use]
pub(crate) fn most_open(deliver: &Deliver) -> usize {
    match deliver {
        Deliver::Maildir(_) => 80,
        Deliver::Mbox(_) => 16,
        Deliver::Stdout => 136,
        Deliver::Pipe(pipe) => usize::from(pipe.parallel).saturating_mul(6).saturating_add(136),
    }
}

/// The destination that a ledger's line names, whatever today's configuration is: to be looked at and recovered.
#[must_use]
pub(crate) fn named<'a>(name: &DestinationName, around: Surroundings<'a>) -> Box<dyn Destination + 'a> {
    let path = || PathBuf::from(OsStr::from_bytes(&name.address));
    match name.kind {
        DestinationKind::Maildir => Box::new(MaildirDestination::new(path(), around)),
        DestinationKind::Mbox => Box::new(MboxDestination::new(path(), around)),
        DestinationKind::Pipe => Box::new(PipeDestination::named(&name.address, around)),
        DestinationKind::Stdout => Box::new(StdoutDestination::new(around)),
    }
}
