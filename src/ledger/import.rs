//! The user's word about messages that this ledger has not delivered: that another program did, that they count as seen,
//! that nothing is to be known of them any more.

use std::collections::HashSet;

use crate::message::Digest;
use crate::proof::{EntryId, Key};
use crate::types::{Time, UniqueIdBuf};

use crate::durable;

use super::codec::KeyField;
use super::compaction::LedgerShape;
use super::entry::EntryState;
use super::error::Error;
use super::lines::{MessageForgotten, MessageIdentified, MessageImported, VERSION};
use super::open::Ledger;

/// What the user reports of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsersWord {
    /// It was delivered at that time: once the message is identified, a leave-on-server policy may delete it.
    Delivered(Time),
    /// It counts as retrieved: no policy ever deletes it.
    Seen,
}

impl UsersWord {
    /// When it was delivered, by this word: never later than `now`.
    fn delivered(self, now: Time) -> Option<Time> {
        match self {
            Self::Delivered(at) => Some(at.min(now)),
            Self::Seen => None,
        }
    }
}

impl Ledger {
    /// Records the user's word about these messages, and syncs.  Returns how many were recorded: not those that are known
    /// already, but that what was only seen may be said to be delivered; nor those on their way to a destination.
    ///
    /// Until it is identified ([`Ledger::identify`]) nothing is concluded from such an entry: it is neither compared nor
    /// deleted.  A time of delivery is never later than now.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.
    pub(crate) fn import(&mut self, messages: &[(UniqueIdBuf, UsersWord)]) -> Result<usize, Error> {
        self.use_newest_version()?;
        let (time, mut recorded) = (self.now(), 0);
        for (unique_id, word) in messages {
            if self.may_import(unique_id, *word) {
                let (key, delivered) = (Key::UniqueId(unique_id.clone()), word.delivered(time));
                self.append(MessageImported { time, key: KeyField::from(&key), delivered })?;
                recorded += 1;
            }
        }
        self.sync()?;
        Ok(recorded)
    }

    /// The same, but all of it or nothing: the file is replaced by one that holds what is new as well.  A process that is
    /// killed on the way has recorded nothing.  For what another program remembers, half of which would make the other
    /// half come twice.
    ///
    /// # Errors
    /// When the ledger cannot be written: it is as it was, unless the last step failed, the sync of the directory.
    pub(crate) fn import_whole(&mut self, messages: &[(UniqueIdBuf, UsersWord)]) -> Result<usize, Error> {
        // Only the owner of the lock may put a file in the ledger's place.
        if self.lock.is_none() {
            return Err(Error::ReadOnly);
        }
        let news = self.news(messages);
        if !news.is_empty() {
            self.replace(LedgerShape { imported: &news, ..LedgerShape::plain(VERSION) })?;
        }
        Ok(news.len())
    }

    /// What of this would be recorded, each message once.
    fn news(&self, messages: &[(UniqueIdBuf, UsersWord)]) -> Vec<(UniqueIdBuf, Option<Time>)> {
        let (now, mut named) = (self.now(), HashSet::new());
        let news = messages.iter().filter(|(unique_id, word)| {
            self.may_import(unique_id, *word) && named.insert(unique_id.borrow().as_bytes())
        });
        news.map(|(unique_id, word)| (unique_id.clone(), word.delivered(now))).collect()
    }

    fn replace(&mut self, shape: LedgerShape<'_>) -> Result<(), Error> {
        self.flush()?;
        self.rewrite(shape)?;
        self.reload(durable::open)
    }

    /// Whether anything is known of this mailbox, if only that its first listing was empty ([`Ledger::begin_seen`]): what
    /// is listed and not known is new then.
    #[must_use]
    pub(crate) fn has_begun(&self) -> bool {
        self.index.begun || !self.is_empty()
    }

    /// Records the first listing, all of which counts as seen, and syncs.  The file is replaced by one that holds all
    /// of it.  So a run that is killed has recorded the whole listing or nothing, and nothing which comes later is
    /// ever taken for a part of it.
    ///
    /// # Errors
    /// [`Error::Contradiction`] when [`Ledger::has_begun`]; when the ledger cannot be written.
    pub(crate) fn begin_seen(&mut self, listed: &[UniqueIdBuf]) -> Result<(), Error> {
        if self.has_begun() {
            return Err(Error::Contradiction("a first listing is not the first"));
        }
        let seen: Vec<_> = listed.iter().map(|unique_id| (unique_id.clone(), UsersWord::Seen)).collect();
        let imported = &self.news(&seen);
        self.replace(LedgerShape { imported, begun: true, ..LedgerShape::plain(VERSION) })
    }

    /// Whether [`Ledger::import`] would record this.
    #[must_use]
    pub(crate) fn may_import(&self, unique_id: &UniqueIdBuf, word: UsersWord) -> bool {
        let Some(id) = self.find(unique_id.borrow()) else { return true };
        match self.index.kept_state(id) {
            EntryState::Open => self.entry(id).deliveries == 0 && self.set(id).is_none(),
            EntryState::Seen => word != UsersWord::Seen,
            EntryState::Recorded | EntryState::Delivered | EntryState::Deleted => false,
        }
    }

    /// Records how the server shows an imported message: from now on its entry is like any other, delivered or seen by the
    /// user's word.  `identity` is the digest of its Message-ID, Date and From, where it has them.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read; [`Error::Contradiction`] when it was identified before.
    pub(crate) fn identify(
        &mut self,
        id: EntryId,
        header: Digest,
        identity: Option<Digest>,
    ) -> Result<(), Error> {
        let (time, key) = (self.now(), self.key(id)?);
        self.append(MessageIdentified { time, key: KeyField::from(&key), header, identity })
    }

    /// Forgets what is known of these entries, and syncs: their messages are new when they are listed again.  Returns how
    /// many were known.  One that is on its way to a destination is kept.  Each is named once.
    ///
    /// # Errors
    /// When the ledger cannot be read, written or synced.
    pub(crate) fn forget_entries(&mut self, entries: &[EntryId]) -> Result<usize, Error> {
        // The newest version may be another file, with the entries at other places.
        let keys = entries.iter().map(|id| self.key(*id)).collect::<Result<Vec<Key>, Error>>()?;
        self.use_newest_version()?;
        let (time, mut forgotten) = (self.now(), 0);
        for key in keys {
            let Some(id) = self.find_key(&key) else { continue };
            if self.index.open_messages(id).iter().all(|(_, message)| message.intents.is_empty()) {
                self.append(MessageForgotten { time, key: KeyField::from(&key) })?;
                forgotten += 1;
            }
        }
        self.sync()?;
        Ok(forgotten)
    }
}
