//! What is said of messages in the maildrop: that they failed, are too large, are known, how large they are, that they
//! are deleted, and which of them a listing held.

use crate::clock::Time;
use crate::proof::{EntryId, Key};
use crate::protocol::types::Octets;

use super::journal::Window;
use super::line::{DigestsField, KeyField, Line};
use super::{Error, Ledger, Record, State};

impl Ledger {
    /// Says that a message failed; a new entry if need be.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn fail(
        &mut self,
        key: &Key,
        listed: Option<Octets>,
        retry_after: Option<Time>,
    ) -> Result<EntryId, Error> {
        let (time, listed) = (self.now(), listed.map(|octets| octets.0));
        self.append(&Line::Failed { time, key: KeyField::from(key), listed, retry_after })?;
        self.entry_of(key)
    }

    /// Says that a message is left for its size, and was reported.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn too_large(&mut self, key: &Key, listed: Option<Octets>) -> Result<EntryId, Error> {
        if let Some(id) = self.find_key(key) {
            let entry = self.entry(id);
            if entry.reported_too_large && (listed.is_none() || entry.listed == listed) {
                return Ok(id);
            }
        }
        let (time, listed) = (self.now(), listed.map(|octets| octets.0));
        self.append(&Line::Large { time, key: KeyField::from(key), listed })?;
        self.entry_of(key)
    }

    /// Says that this message is one that we have: `same_as`.  If that has the same key (its size changed, or it came back
    /// after its deletion), the entry is what it was, with this size, delivered and not deleted.  Otherwise (the server has
    /// renumbered) the key gets an entry of its own, in the state [`State::Recorded`], with the same digests and age.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub fn recognise(
        &mut self,
        key: &Key,
        listed: Option<Octets>,
        same_as: EntryId,
    ) -> Result<EntryId, Error> {
        let (time, listed) = (self.now(), listed.map(|octets| octets.0));
        if self.find_key(key) == Some(same_as) {
            self.append(&Line::Same { time, key: KeyField::from(key), listed })?;
            return Ok(same_as);
        }
        let Record { digests, delivered } = self
            .records(same_as)?
            .pop()
            .ok_or(Error::Contradiction("a message is recognised as one that was never delivered"))?;
        let digests = DigestsField::Value(digests);
        self.append(&Line::Recorded { time, key: KeyField::from(key), listed, delivered, digests })?;
        self.entry_of(key)
    }

    fn entry_of(&self, key: &Key) -> Result<EntryId, Error> {
        self.find_key(key).ok_or(Error::Contradiction("a line made no entry"))
    }

    /// Says a size learnt from `LIST`.  The size of a message that isn't open is only ever learnt, never changed: a change
    /// is for [`Ledger::recognise`] to settle.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub fn listed(&mut self, id: EntryId, octets: Octets) -> Result<(), Error> {
        self.listed_in(&mut Window::narrow(), id, octets)
    }

    /// As [`Ledger::listed`], for a whole scan listing.
    ///
    /// # Errors
    /// As there.
    pub fn listed_all(&mut self, sizes: &mut dyn Iterator<Item = (EntryId, Octets)>) -> Result<(), Error> {
        let mut window = Window::wide();
        for (id, octets) in sizes {
            self.listed_in(&mut window, id, octets)?;
        }
        Ok(())
    }

    fn listed_in(&mut self, window: &mut Window, id: EntryId, octets: Octets) -> Result<(), Error> {
        let entry = self.entry(id);
        if entry.listed.is_none() || (entry.state == State::Open && entry.listed != Some(octets)) {
            let key = self.key_in(window, id)?;
            self.append(&Line::Listed { key: KeyField::from(&key), octets: octets.0 })?;
        }
        Ok(())
    }

    /// Says that the server has confirmed these deletions.  What isn't delivered any more (another message of its unique-id
    /// is on its way, or failed) stays what it is.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub fn deleted(&mut self, ids: &[EntryId]) -> Result<(), Error> {
        let (mut window, time) = (Window::wide(), self.now());
        for id in ids {
            if !matches!(self.entry(*id).state, State::Delivered | State::Recorded) {
                continue;
            }
            let key = self.key_in(&mut window, *id)?;
            self.append(&Line::Deleted { time, key: KeyField::from(&key) })?;
        }
        self.flush()
    }

    /// Writes (unsynced) that a complete listing held these entries and no others.  One that holds none of them counts for
    /// nothing, but that what was deleted is known to be gone.
    ///
    /// To be called when the plan has been made, since it ends the absence of what has come back; and before anything is
    /// retrieved, or else with what was.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub fn complete_listing(&mut self, held: &mut dyn Iterator<Item = EntryId>) -> Result<(), Error> {
        let mut listed = vec![false; usize::try_from(self.len()).unwrap_or(0)];
        let mut any = false;
        for id in held {
            if let Some(here) = usize::try_from(id.0).ok().and_then(|at| listed.get_mut(at)) {
                (*here, any) = (true, true);
            }
        }
        let (time, clock) = (self.now(), self.clock);
        if !any {
            if self.index.lingers() {
                self.append(&Line::Unlisted { time, clock })?;
            }
            return self.flush();
        }
        self.append(&Line::Listing { time, clock })?;
        let day = u16::try_from(time.day().max(1)).unwrap_or(u16::MAX);
        let mut window = Window::wide();
        for (id, here) in self.index.ids().zip(listed) {
            let entry = self.entry(id);
            let absent = self.index.absent_since(id).is_some();
            if here && (absent || (entry.absent && entry.state != State::Deleted)) {
                let key = self.key_in(&mut window, id)?;
                self.append(&Line::Present { key: KeyField::from(&key) })?;
            } else if !here && !absent {
                let key = self.key_in(&mut window, id)?;
                self.append(&Line::Absent { key: KeyField::from(&key), day })?;
            }
        }
        self.flush()
    }
}
