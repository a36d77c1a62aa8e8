//! What is recorded of messages in the maildrop: that they failed, are too large, are known, how large they are, that they
//! are deleted, and which of them a listing held.

use std::collections::{HashMap, VecDeque};

use crate::message::Digest;
use crate::proof::{BegunId, EntryId, Key};
use crate::types::{Octets, Time};

use super::codec::{DigestsField, KeyField, Last, Notes};
use super::entry::{Entry, EntryState, KnownDelivery};
use super::error::Error;
use super::index::day_of;
use super::last_read::LastRead;
use super::lines::{
    Absent, DeletionAsked, DeletionsConfirmed, DoubtEnded, Doubted, ListingTaken, MatchedElsewhere,
    MatchedHere, MessageBegun, MessageFailed, MessageGone, MessageTooLarge, NothingKnownListed, OtherHeader,
    Present, RenumberingBegun, RenumberingSettled, SizeListed, Varying,
};
use super::open::Ledger;

/// Which of our messages a listed one was recognised as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    pub entry: EntryId,
    /// Which of the entry's deliveries, by the digest of its message; none: the last one.
    pub message: Option<Digest>,
    /// A header that the entry doesn't have yet, by which the server shows the message now.
    pub header: Option<Digest>,
}

impl Match {
    /// The first delivery of this entry.
    #[cfg(test)]
    pub(crate) fn first(entry: EntryId) -> Self {
        Self { entry, message: None, header: None }
    }
}

/// How many deletions were asked for, and are not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct PendingDeletions(u32);

impl Ledger {
    /// Records that a message failed; a new entry if need be.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn fail(
        &mut self,
        key: &Key,
        listed_size: Option<Octets>,
        retry_after: Option<Time>,
    ) -> Result<EntryId, Error> {
        let (time, listed_size) = (self.now(), listed_size.map(|octets| octets.0));
        self.append(MessageFailed { time, key: KeyField::from(key), listed_size, retry_after })?;
        self.entry_of(key)
    }

    /// Records that a message is left where it is for its size, and that this was reported.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn too_large(&mut self, key: &Key, listed_size: Option<Octets>) -> Result<EntryId, Error> {
        if let Some(id) = self.find_key(key) {
            let entry = self.entry(id);
            if entry.reported_too_large && (listed_size.is_none() || entry.listed_size == listed_size) {
                return Ok(id);
            }
        }
        let (time, listed_size) = (self.now(), listed_size.map(|octets| octets.0));
        self.append(MessageTooLarge { time, key: KeyField::from(key), listed_size })?;
        self.entry_of(key)
    }

    /// Records that the message under this key is one that we have.  If `same_as` has the same key (its size changed, it came
    /// back, or it was in doubt), the entry is what it was, with this size, delivered and not deleted.  Otherwise (the server
    /// has renumbered) the key gets an entry of its own, in the state [`EntryState::Recorded`], with the same digests and age.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub(crate) fn record_match(
        &mut self,
        key: &Key,
        listed_size: Option<Octets>,
        same_as: Match,
    ) -> Result<EntryId, Error> {
        let Match { entry, message, header } = same_as;
        let (time, listed_size) = (self.now(), listed_size.map(|octets| octets.0));
        let id = if self.find_key(key) == Some(entry) {
            let mut delivery = None;
            if let Some(message) = message.filter(|_| self.entry(entry).deliveries > 1) {
                let read = self.read_once(entry)?;
                // Behind the others, unless it's there already.
                delivery = read.place(message).filter(|place| place + 1 < read.deliveries.len());
                delivery.into_iter().for_each(|place| read.put_last(place));
            }
            let delivery = delivery.and_then(|delivery| u16::try_from(delivery).ok());
            self.append(MatchedHere {
                time,
                key: KeyField::from(key),
                listed_size,
                delivery: Last(delivery),
            })?;
            entry
        } else {
            let read = self.read_once(entry)?;
            let KnownDelivery { digests, delivered } = message
                .and_then(|message| read.deliveries.get(read.place(message)?))
                .or(read.deliveries.back())
                .cloned()
                .ok_or(Error::Contradiction("a message is recognised as one that was never delivered"))?;
            let digests = DigestsField::Value(digests);
            let notes = Notes { utf8: self.entry(entry).utf8, ..Notes::default() };
            self.append(MatchedElsewhere {
                time,
                key: KeyField::from(key),
                listed_size,
                delivered,
                digests,
                notes,
            })?;
            let old = self.key(entry)?;
            if matches!(old, Key::Header(_)) {
                // It has a unique-id now: another message with this header is another message.
                let day = day_of(time);
                self.append(Absent { key: KeyField::from(&old), day })?;
            }
            self.entry_of(key)?
        };
        if let Some(digest) = header {
            self.append(OtherHeader { key: KeyField::from(key), digest })?;
        }
        Ok(id)
    }

    /// Records that the messages of these entries, all that a listing puts in doubt (`None`), or all that are known are
    /// to be compared before they count as known.  To be written before the listing is.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub(crate) fn doubt(&mut self, ids: Option<&[EntryId]>) -> Result<(), Error> {
        let time = self.now();
        let Some(ids) = ids else { return self.append(Doubted { time, key: None }) };
        for (key, _) in self.keys_of(ids, |entry| !entry.doubtful && !entry.unidentified)? {
            self.append(Doubted { time, key: Some(KeyField::from(&key)) })?;
        }
        Ok(())
    }

    /// Records that these are in doubt no more: they came back together with others, of which a sample was compared.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub(crate) fn trust(&mut self, ids: &[EntryId]) -> Result<(), Error> {
        let time = self.now();
        for (key, _) in self.keys_of(ids, |entry| entry.doubtful)? {
            self.append(DoubtEnded { time, key: KeyField::from(&key) })?;
        }
        Ok(())
    }

    /// Records that what is listed alone under this entry's key is a message that was delivered: those of its messages that
    /// only some of their destinations have aren't listed under it any more, and hold it up no longer.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn part_from_key(&mut self, id: EntryId) -> Result<(), Error> {
        let open = self.index.open_messages(id).into_iter();
        let resting = open.filter(|(_, message)| message.intents.is_empty());
        let numbers: Vec<u32> = resting.map(|(number, _)| number).collect();
        numbers.into_iter().try_for_each(|message| self.append(MessageGone { message }))
    }

    /// Records that a message that only some of its destinations have is listed under this key now.  Nothing else changes: it
    /// still waits for those that lack it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn rename_begun(&mut self, begun: BegunId, key: &Key) -> Result<(), Error> {
        let Some(message) = self.index.messages.get(begun.0).filter(|message| message.intents.is_empty())
        else {
            return Ok(());
        };
        let (listed_size, digests) = (message.listed_size, DigestsField::Value(message.digests));
        let (set, again, utf8) = (message.set.clone(), message.again, message.utf8);
        let renamed = MessageBegun {
            number: self.index.messages.next_message,
            time: self.now(),
            key: KeyField::from(key),
            listed_size,
            digests,
            replaces: Some(begun.0),
            set,
            notes: Notes { again, utf8, ..Notes::default() },
        };
        self.append(renamed)
    }

    /// Records that the server's copies of this message differ each time, so that no comparison can succeed.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub(crate) fn varies(&mut self, id: EntryId) -> Result<(), Error> {
        let (time, key) = (self.now(), self.key(id)?);
        self.append(Varying { time, key: KeyField::from(&key) })
    }

    /// Records that the server has renumbered: what the last complete listing held may be listed under other keys, until
    /// [`Ledger::settle_renumbering`].
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn begin_renumbering(&mut self) -> Result<(), Error> {
        self.append(RenumberingBegun { time: self.now() })
    }

    /// Records that all that the server lists has been compared.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn settle_renumbering(&mut self) -> Result<(), Error> {
        if !self.is_renumbering() {
            return Ok(());
        }
        self.append(RenumberingSettled { time: self.now() })
    }

    /// Whether the server has renumbered, and what it lists may have to be compared.
    #[must_use]
    pub(crate) fn is_renumbering(&self) -> bool {
        self.index.renumbering
    }

    /// The deliveries of an entry, read from the file if they aren't those that were read last.
    fn read_once(&mut self, entry: EntryId) -> Result<&mut LastRead, Error> {
        let places: VecDeque<_> = self.index.deliveries(entry).collect();
        let known = self.last_read.take().filter(|read| read.entry == entry && read.places == places);
        let read = match known {
            Some(read) => read,
            None => LastRead { entry, places, deliveries: self.deliveries_of(entry)?.into() },
        };
        Ok(self.last_read.insert(read))
    }

    fn keys_of(
        &self,
        ids: &[EntryId],
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<(Key, EntryId)>, Error> {
        let wanted = ids.iter().filter(|id| wanted(&self.entry(**id)));
        wanted.map(|id| Ok((self.key(*id)?, *id))).collect()
    }

    fn entry_of(&self, key: &Key) -> Result<EntryId, Error> {
        self.find_key(key).ok_or(Error::Contradiction("a line made no entry"))
    }

    /// Records a size learnt from `LIST`.  The size of a message that isn't open is only ever learnt, never changed: a change
    /// is for [`Ledger::record_match`] to settle.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub(crate) fn learn_size(&mut self, id: EntryId, octets: Octets) -> Result<(), Error> {
        let entry = self.entry(id);
        if entry.listed_size.is_none()
            || (entry.state == EntryState::Open && entry.listed_size != Some(octets))
        {
            let key = self.key(id)?;
            self.append(SizeListed { key: KeyField::from(&key), octets: octets.0 })?;
        }
        Ok(())
    }

    /// Records that the server has accepted the deletion of these, and that `QUIT` is about to be sent: from now on their
    /// keys may stand for other mail.  To be synced before `QUIT`.  What isn't delivered any more (another message of its
    /// unique-id is on its way, or failed) is left out.  With a digest, only that delivery of the entry goes, as far as it
    /// has others.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub(crate) fn ask_deletion(
        &mut self,
        deletions: &[(EntryId, Option<Digest>)],
    ) -> Result<PendingDeletions, Error> {
        let time = self.now();
        let mut asked = 0_u32;
        // The places of an entry's deliveries that haven't been taken yet, the first one last.
        let mut places: HashMap<EntryId, HashMap<Digest, Vec<usize>>> = HashMap::new();
        for (id, digest) in deletions {
            let entry = self.entry(*id);
            if !matches!(entry.state, EntryState::Delivered | EntryState::Recorded) {
                continue;
            }
            let mut delivery = None;
            if let (Some(digest), true) = (digest, entry.deliveries > 1) {
                if !places.contains_key(id) {
                    let mut of_entry: HashMap<Digest, Vec<usize>> = HashMap::new();
                    for (place, record) in self.deliveries_of(*id)?.iter().enumerate().rev() {
                        of_entry.entry(record.digests.message).or_default().push(place);
                    }
                    places.insert(*id, of_entry);
                }
                delivery = places.get_mut(id).and_then(|places| places.get_mut(digest)?.pop());
            }
            let delivery = delivery.and_then(|delivery| u16::try_from(delivery).ok());
            let key = self.key(*id)?;
            self.append(DeletionAsked { time, key: KeyField::from(&key), delivery: Last(delivery) })?;
            asked = asked.saturating_add(1);
        }
        Ok(PendingDeletions(asked))
    }

    /// Records that the server has answered that `QUIT` with `+OK`: what was asked for is deleted.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn confirm_deletion(
        &mut self,
        PendingDeletions(count): PendingDeletions,
    ) -> Result<(), Error> {
        if count > 0 {
            self.append(DeletionsConfirmed { time: self.now(), count })?;
        }
        self.flush()
    }

    /// Both, for what asks for nothing in between.
    ///
    /// # Errors
    /// As theirs.
    #[cfg(test)]
    pub(crate) fn deleted(&mut self, ids: &[EntryId]) -> Result<(), Error> {
        let ids: Vec<_> = ids.iter().map(|id| (*id, None)).collect();
        let asked = self.ask_deletion(&ids)?;
        self.confirm_deletion(asked)
    }

    /// Writes (unsynced) that a complete listing held these entries, in its order, and no others.  One that holds none of them
    /// counts for nothing, but that what was deleted is known to be gone, and that all the others are in doubt.
    ///
    /// To be called when the plan has been made, since it ends the absence of what has come back; and before anything is
    /// retrieved, or else with what was.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub(crate) fn complete_listing(&mut self, held: &mut dyn Iterator<Item = EntryId>) -> Result<(), Error> {
        let mut listed = vec![false; usize::try_from(self.len()).unwrap_or(0)];
        let mut any = false;
        let (mut order, mut last, mut ascending) = (Vec::new(), None, true);
        for id in held {
            if let Some(here) = usize::try_from(id.0).ok().and_then(|at| listed.get_mut(at)) {
                ascending &= *here || last < Some(id);
                last = last.max(Some(id));
                order.push(id);
                (*here, any) = (true, true);
            }
        }
        let (time, clock) = (self.now(), self.clock);
        if !any {
            if self.index.lingers() || self.index.has_undoubted() {
                self.append(NothingKnownListed { time, clock })?;
            }
            return self.flush();
        }
        // The entries are brought into this order when the ledger is closed; until then see [`Ledger::order_taken`].
        self.order = (!ascending).then_some(order);
        self.append(ListingTaken { time, clock })?;
        let day = day_of(time);
        for (id, here) in (0..).map(EntryId).zip(listed) {
            if self.index.is_forgotten(id) {
                continue;
            }
            let entry = self.entry(id);
            let absent = entry.absent;
            if here && absent && entry.state != EntryState::Deleted {
                let key = self.key(id)?;
                self.append(Present { key: KeyField::from(&key) })?;
            } else if !here && !absent {
                let key = self.key(id)?;
                if matches!(key, Key::Header(_)) {
                    // No listing names it.
                    continue;
                }
                self.append(Absent { key: KeyField::from(&key), day })?;
            }
        }
        self.flush()
    }
}
