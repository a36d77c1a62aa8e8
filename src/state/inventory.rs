//! What is kept of a mailbox: its files, and what its ledger knows.  It is read without a lock: a run that is at work may be
//! ahead of it.

use std::path::{Path, PathBuf};

use crate::account::Mailbox;
use crate::ledger::{self, EntryState, Ledger};
use crate::proof::{DestinationKind, DestinationName};
use crate::text::printable;
use crate::types::Time;

/// What the ledger of a mailbox knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Messages that were delivered whole, and are on the server as far as is known; counted as recorded or seen too.
    pub delivered: u64,
    /// Those that only count as retrieved.
    pub seen: u64,
    /// Those that are known and not delivered whole.
    pub open: u64,
    /// Those of them that have failed.
    pub failed: u64,
    /// Those whose deletion the server confirmed, and that are remembered for a while.
    pub deleted: u64,
    /// Those that the last complete listing lacked.
    pub absent: u64,
    /// Deliveries that were begun and not ended: recovered by the next run.
    pub unfinished: u64,
    /// Where it has delivered to: `maildir /home/me/Mail`.
    pub destinations: Vec<String>,
}

impl Known {
    /// All messages that are known.
    #[must_use]
    pub fn messages(&self) -> u64 {
        [self.delivered, self.seen, self.open, self.deleted].into_iter().fold(0, u64::saturating_add)
    }

    /// Reads the ledger in `directory`, all of it.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn read(directory: &Path, mailbox: &Mailbox, now: Time) -> Result<Self, ledger::Error> {
        let ledger = Ledger::read(directory, mailbox, now)?;
        let mut known = Self::default();
        for id in ledger.entries() {
            let entry = ledger.entry(id);
            let counted = match entry.state {
                EntryState::Open => &mut known.open,
                EntryState::Seen => &mut known.seen,
                EntryState::Recorded | EntryState::Delivered => &mut known.delivered,
                EntryState::Deleted => &mut known.deleted,
            };
            *counted = counted.saturating_add(1);
            known.failed = known.failed.saturating_add(u64::from(entry.failures > 0));
            known.absent = known.absent.saturating_add(u64::from(entry.absent));
        }
        known.unfinished = u64::try_from(ledger.unfinished().len()).unwrap_or(u64::MAX);
        known.destinations = ledger
            .destinations()
            .iter()
            .filter(|record| ledger.has_delivered_to(record.id))
            .map(|record| shown(&record.name))
            .collect();
        Ok(known)
    }
}

/// A destination, for people.
fn shown(name: &DestinationName) -> String {
    let kind = match name.kind {
        DestinationKind::Maildir => "maildir",
        DestinationKind::Mbox => "mbox",
        DestinationKind::Pipe => "pipe",
        DestinationKind::Stdout => return "standard output".to_owned(),
    };
    let words = name.address.split(|octet| *octet == 0).map(printable);
    std::iter::once(kind.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// The size of all files in `directory`, in octets.
#[must_use]
pub fn octets(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    files.filter_map(|file| file.metadata().ok()).map(|status| status.len()).fold(0, u64::saturating_add)
}

/// The directories of mailboxes below the directory of all state, in no order.
#[must_use]
pub fn directories(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| Ledger::octets(path).is_some()).collect()
}
