//! A ledger as a whole: checked from end to end, taken to another mailbox's directory, written out and put back.

use std::path::Path;

use crate::account::Mailbox;
use crate::clock;
use crate::durable::{self, Step};
use crate::types::{Time, wide};

use super::compaction::LedgerShape;
use super::entry::LedgerExtent;
use super::error::Error;
use super::files::{FILE, NEW_FILE};
use super::index::Index;
use super::lines::PLAIN_VERSION;
use super::lock::Lock;
use super::open::Ledger;
use super::replay;

/// A ledger is not taken to another machine that is larger: millions of messages.
const LARGEST: u64 = 1024 * 1024 * 1024;

/// What a ledger's text holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    /// The ledger's random id.
    pub id: String,
    /// How often it had been rewritten.
    pub generation: u64,
    /// The latest time in it.
    pub time: Time,
    /// How many messages it knows.
    pub messages: u32,
    /// Whether deliveries are open in it, or its end is torn.
    pub unfinished: bool,
}

impl Outline {
    /// Reads the text of a ledger, all of it.
    ///
    /// # Errors
    /// [`Error::Damaged`]: also for another mailbox's, and for one that holds less than a first line; [`Error::Newer`].
    pub(crate) fn of(octets: &[u8], mailbox: &Mailbox) -> Result<Self, Error> {
        let path = Path::new(FILE);
        let key = clock::random().map_err(|e| durable::Error::new(Step::Read, path, e))?;
        let mut index = Index::new(&key);
        let length = wide(octets.len());
        let replayed = replay::replay(octets, length, path, mailbox, &mut index)?;
        let id = replayed.id.ok_or_else(|| Error::damaged(path, 1, "is missing"))?;
        let unfinished = index.messages.intents_len() > 0 || replayed.torn.is_some();
        let messages = u32::try_from(index.ids().count()).unwrap_or(u32::MAX);
        Ok(Self { id, generation: replayed.tail.generation, time: index.time, messages, unfinished })
    }
}

impl Ledger {
    /// Reads all that [`Ledger::read`] left in the file: each entry's line, and those of its deliveries.
    ///
    /// # Errors
    /// When one of them cannot be read, or is not what it was when the file was read first.
    pub(crate) fn read_lines(&self) -> Result<(), Error> {
        self.entries().try_for_each(|id| self.key(id).map(drop))?;
        self.deliveries(|_, _| true).map(drop)
    }

    /// Writes this ledger into `directory` as that of `mailbox`, in the place of one that is there, and syncs it.  This one
    /// stays.  `lock` proves that no other process has that directory.
    ///
    /// # Errors
    /// [`Error::Disk`]; [`Error::Damaged`].
    pub(crate) fn copy_to(
        &self,
        directory: &Path,
        mailbox: &Mailbox,
        _lock: &Lock,
    ) -> Result<LedgerExtent, Error> {
        self.rewrite_as(directory, mailbox, LedgerShape::plain(PLAIN_VERSION))
    }

    /// The text of the ledger in `directory`.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub(crate) fn text(directory: &Path) -> Result<Vec<u8>, Error> {
        let path = directory.join(FILE);
        let fail = |e: std::io::Error| Error::from(durable::Error::new(Step::Read, &path, e));
        let file = durable::open_to_read(&path)?;
        let octets = file.metadata().map_err(fail)?.len();
        if octets > LARGEST {
            return Err(fail(std::io::ErrorKind::FileTooLarge.into()));
        }
        let mut text = vec![0; usize::try_from(octets).unwrap_or(0)];
        let read = durable::read_up_to(&file, &mut text, 0).map_err(fail)?;
        text.truncate(read);
        Ok(text)
    }

    /// Puts a ledger's text, which [`Outline::of`] has read, in the place of the ledger in `directory`, and syncs it.  `lock`
    /// proves that no other process has that directory.
    ///
    /// # Errors
    /// [`Error::Disk`]: what was there is there still, unless the last step failed, the sync of the directory.
    pub(crate) fn install(
        directory: &Path,
        octets: &[u8],
        outline: &Outline,
        _lock: &Lock,
    ) -> Result<LedgerExtent, Error> {
        let (new, path) = (directory.join(NEW_FILE), directory.join(FILE));
        durable::put(&new, &path, octets)?;
        let octets = wide(octets.len());
        Ok(LedgerExtent { generation: outline.generation, octets })
    }

    /// Removes the ledger in `directory` and what was remembered beside it, and the directory if nothing else is in it.
    /// `lock` is that of the directory.  A crash on the way leaves a ledger, whole, or none.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub(crate) fn discard(directory: &Path, lock: Lock) -> Result<(), Error> {
        // A memory without a ledger would show that one was lost.
        for name in super::memory::FILES {
            durable::remove(&directory.join(name))?;
        }
        for name in [NEW_FILE, FILE, super::lock::FILE] {
            durable::remove(&directory.join(name))?;
        }
        drop(lock);
        // Another program may have put something there.
        let _ = durable::remove_directory(directory);
        Ok(())
    }
}
