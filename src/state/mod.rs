//! What popfetch knows of its mailboxes, seen from outside of a run: how the last run went ([`status`]), and what is kept
//! where ([`inventory`]).  Commands change it here: they forget messages ([`forget`]), rename a mailbox, or move it to another
//! machine ([`transfer`]).
//!
//! Nothing here uses the network or delivers.  Commands that only show something take no lock and change nothing.

mod error;
pub(crate) mod forget;
pub(crate) mod inventory;
pub(crate) mod status;
pub(crate) mod transfer;

pub(crate) use error::Error;

use std::path::Path;

use crate::access;
use crate::ledger::lock::{Lock, PATIENCE};
use crate::signals::Stop;
use crate::types::Wait;

/// Takes the lock of the mailbox whose state is in `directory`, for a command that changes it.
fn lock(directory: &Path, stop: &Stop) -> Result<Lock, Error> {
    access::check_path(directory)?;
    Ok(Lock::acquire(directory, Wait::AtMost(PATIENCE), stop)?)
}
