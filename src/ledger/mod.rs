//! The ledger: what is known of each message of one mailbox, on disk.
//!
//! SKELETON: signatures that the other rooms rely on.

pub mod journal;
pub mod lock;
pub mod memory;

use std::path::Path;

use crate::clock::Time;
use crate::exit::ExitCode;
use crate::message::{Digest, Digests};
use crate::proof::{
    Arrival, Delivered, DestinationId, DestinationName, DestinationRecord, EntryId, Intent, IntentId, Key,
    Noted, Published, Staged,
};
use crate::protocol::types::{MessageNumber, Octets, UniqueId};

/// Whose maildrop: user, host, port, where 110 and 995 are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// As the user typed it.
    pub user: String,
    /// Lower case, A-label, no final dot.
    pub host: String,
    /// 995 counts as 110.
    pub port: u16,
}

impl Mailbox {
    /// The name of its directory under the state directory: never a raw name in a path.
    #[must_use]
    pub fn directory_name(&self) -> String {
        todo!()
    }
}

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How far it has come.
    pub state: State,
    /// Its size as last listed, when `LIST` has been asked.
    pub listed: Option<Octets>,
    /// When it was first delivered whole (to all of its set).
    pub delivered: Option<Time>,
    /// Rank by first listing or delivery: greater is later.
    pub order: u32,
    /// How many messages of this unique-id have been delivered (or seen, or recorded).
    pub copies: u16,
    /// How often it has failed since it last succeeded.
    pub failures: u16,
    /// Not before then is a failed one tried again.
    pub retry_after: Option<Time>,
    /// Whether a complete listing has lacked it since it was last listed.
    pub absent: bool,
    /// Whether it was reported as too large.
    pub reported_too_large: bool,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Known, but not delivered to all of its set: failed, too large, or partly delivered.
    Open,
    /// Only printed on standard output: not retrieved again, never deleted.
    Seen,
    /// Recognised after a renumbering, or imported: treated as delivered, but never deleted on that word alone...
    Recorded,
    /// Delivered to all of its set.
    Delivered,
    /// Delivered, and its deletion confirmed by the server's +OK to QUIT.
    Deleted,
}

/// One delivery of a message, read back from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Digests as received.
    pub digests: Digests,
    /// When.
    pub delivered: Time,
}

/// An open, locked ledger.
#[derive(Debug)]
pub struct Ledger {}

impl Ledger {
    /// Opens (or creates) the ledger in `directory`, replays it, cuts a torn tail off, compacts it when that is worth it.
    /// `lock` proves that no other process has it.
    ///
    /// # Errors
    /// Damage before the last group; the disk.
    pub fn open(_directory: &Path, _mailbox: &Mailbox, _lock: lock::Lock, _now: Time) -> Result<Self, Error> {
        todo!()
    }
    /// Reads the ledger, if there is one, without lock or change: for `--dry-run` and the mbox's neighbours.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub fn read(_directory: &Path, _mailbox: &Mailbox, _now: Time) -> Result<Self, Error> {
        todo!()
    }
    /// This ledger's random id (16 hex digits): part of the names of its files in Maildirs.
    #[must_use]
    pub fn id(&self) -> &str {
        todo!()
    }
    /// Now, never before the latest time in the ledger; `None` is returned by [`Ledger::trusted_now`] when the clock
    /// cannot be believed for ages.
    #[must_use]
    pub fn now(&self) -> Time {
        todo!()
    }
    /// Now, unless the clock is before the ledger's last time or more than 30 days after it (then deletion by age waits
    /// for the next run).
    #[must_use]
    pub fn trusted_now(&self) -> Option<Time> {
        todo!()
    }
    /// The entry of this unique-id.
    #[must_use]
    pub fn find(&self, _unique_id: UniqueId<'_>) -> Option<EntryId> {
        todo!()
    }
    /// The entry of this key.
    #[must_use]
    pub fn find_key(&self, _key: &Key) -> Option<EntryId> {
        todo!()
    }
    /// What is known of it.
    #[must_use]
    pub fn entry(&self, _id: EntryId) -> Entry {
        todo!()
    }
    /// How many entries there are; ids run from 0.
    #[must_use]
    pub fn len(&self) -> u32 {
        todo!()
    }
    /// How many entries the last complete listing held that we have not deleted.
    #[must_use]
    pub fn present(&self) -> u32 {
        todo!()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The key of an entry, read back from the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn key(&self, _id: EntryId) -> Result<Key, Error> {
        todo!()
    }
    /// Its deliveries, read back from the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn records(&self, _id: EntryId) -> Result<Vec<Record>, Error> {
        todo!()
    }
    /// The destinations of its set that lack it; `None` when no set has been fixed.
    #[must_use]
    pub fn lacking(&self, _id: EntryId) -> Option<Vec<DestinationId>> {
        todo!()
    }
    /// The number of a destination, entered (written, synced with the next note) if it is new or its inode changed.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn destination(
        &mut self,
        _name: &DestinationName,
        _inode: Option<(u64, u64)>,
    ) -> Result<DestinationId, Error> {
        todo!()
    }
    /// The table of destinations.
    #[must_use]
    pub fn destinations(&self) -> &[DestinationRecord] {
        todo!()
    }
    /// Whether anything was ever delivered there.
    #[must_use]
    pub fn has_delivered_to(&self, _id: DestinationId) -> bool {
        todo!()
    }
    /// The open `staged` lines.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        todo!()
    }
    /// Writes the `staged` lines of a batch, syncs, and reserves room for the outcomes.
    ///
    /// # Errors
    /// Nothing is noted then: the pieces come back to be withdrawn.
    pub fn note(&mut self, _staged: Vec<Staged>) -> Result<Vec<Noted>, (Error, Vec<Staged>)> {
        todo!()
    }
    /// Writes that this piece is delivered.  The proof comes when all of the message's set have it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn record(&mut self, _published: Published) -> Result<Option<Delivered>, Error> {
        todo!()
    }
    /// Writes that a noted piece was not taken by its destination (closes its intent).
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn refuse(&mut self, _noted: Noted, _retry_after: Option<Time>) -> Result<(), Error> {
        todo!()
    }
    /// Writes that recovery found these delivered.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn settle_delivered(&mut self, _intents: &[IntentId]) -> Result<(), Error> {
        todo!()
    }
    /// Writes and syncs that these come again.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.
    pub fn settle_dropped(&mut self, _intents: &[IntentId]) -> Result<(), Error> {
        todo!()
    }
    /// Proof that this entry is delivered whole, for the message that now has this number; `None` when it isn't (or was
    /// only seen).
    #[must_use]
    pub fn delivered(&self, _id: EntryId, _number: MessageNumber) -> Option<Delivered> {
        todo!()
    }
    /// Writes that a message failed; a new entry if need be.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn fail(
        &mut self,
        _key: &Key,
        _listed: Option<Octets>,
        _retry_after: Option<Time>,
    ) -> Result<EntryId, Error> {
        todo!()
    }
    /// Writes that a message is left for its size, and was reported.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn too_large(&mut self, _key: &Key, _listed: Option<Octets>) -> Result<EntryId, Error> {
        todo!()
    }
    /// Writes that this message is one that we have (renumbered, or its size changed): `digests` as received.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn recognise(
        &mut self,
        _key: &Key,
        _listed: Option<Octets>,
        _same_as: EntryId,
    ) -> Result<EntryId, Error> {
        todo!()
    }
    /// Writes sizes learnt from `LIST`.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn listed(&mut self, _id: EntryId, _octets: Octets) -> Result<(), Error> {
        todo!()
    }
    /// Writes that the server has confirmed these deletions.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn deleted(&mut self, _ids: &[EntryId]) -> Result<(), Error> {
        todo!()
    }
    /// Writes (unsynced) that a complete listing held these entries and no others, unless it held none of them.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn complete_listing(&mut self, _held: &mut dyn Iterator<Item = EntryId>) -> Result<(), Error> {
        todo!()
    }
    /// When the last complete listing was taken.
    #[must_use]
    pub fn last_complete_listing(&self) -> Option<Time> {
        todo!()
    }
    /// The entries that may be what a renumbered or nameless message is: by header digest.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn by_header(&self) -> Result<std::collections::HashMap<Digest, Vec<EntryId>>, Error> {
        todo!()
    }
    /// Brings the ledger to the disk.
    ///
    /// # Errors
    /// When that fails: the ledger must then be rewritten whole, which the next open does.
    pub fn sync(&mut self) -> Result<(), Error> {
        todo!()
    }
}

/// What can be wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused a step.
    #[error(transparent)]
    Disk(#[from] crate::durable::Error),
    /// A line before the last group is damaged.
    #[error("ledger {path}, line {line}: {problem}")]
    Damaged {
        /// Which file.
        path: String,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// Another popfetch has this mailbox.
    #[error("another popfetch is at work on this mailbox")]
    Locked,
}

impl Error {
    /// The code of a run that ends with it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Disk(e) => e.exit_code(),
            Self::Damaged { .. } => ExitCode::LocalIo,
            Self::Locked => ExitCode::Later,
        }
    }
}

#[allow(unused)]
fn _skeleton(_: &Arrival) {}
