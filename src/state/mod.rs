//! What popfetch knows of its mailboxes, seen from outside of a run: how the last one went ([`status`]), what is kept where
//! ([`inventory`]); and what can be done with it on the command line: messages are forgotten ([`forget`]), a mailbox gets another name, or
//! goes to another machine ([`transfer`]).
//!
//! No network, and nothing here delivers.  What only looks takes no lock and changes nothing.

mod error;
pub(crate) mod forget;
pub(crate) mod inventory;
pub(crate) mod status;
pub(crate) mod transfer;

pub(crate) use error::Error;

use std::path::Path;
use std::time::Duration;

use crate::access;
use crate::ledger::lock::Lock;
use crate::signals::Stop;
use crate::types::Wait;

/// So long another popfetch is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the lock of the mailbox whose state is in `directory`, for a command that changes it.
fn lock(directory: &Path, stop: &Stop) -> Result<Lock, Error> {
    access::check_path(directory)?;
    Ok(Lock::acquire(directory, Wait::AtMost(PATIENCE), stop)?)
}
