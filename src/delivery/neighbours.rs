//! Other ledgers that deliver to the same mbox: what they have left there is settled before anything is appended.

use std::path::{Path, PathBuf};

use super::Error;

/// A ledger that has left an mbox unsettled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Its random id.
    pub ledger: String,
    pub directory: PathBuf,
}

/// How a destination has other ledgers' open intents settled.
pub(crate) trait Neighbours: Send {
    /// Settles, if that ledger's lock can be had without waiting, its open intents at this mbox ([`recover`](super::mbox::recover)), and
    /// takes the marker away ([`forget`](super::mbox::forget)), all with the ledger's lock held; `false` when it cannot be had.  A ledger
    /// that isn't there any more, or is another one, has no intents.  What it has left elsewhere is none of this
    /// account's business.  No lock of an mbox is held meanwhile.
    ///
    /// # Errors
    /// [`Error::Later`] when the mbox is busy; else its ledger is damaged, or the disk refuses.
    fn settle(&mut self, neighbour: &Neighbour, mbox: &Path) -> Result<bool, Error>;
}
