//! The lines of entries: as compaction writes them, and what becomes known of a message without a delivery: that it
//! failed, is too large, is one that we have, is in doubt, is deleted.

use super::slots::EntryRecord;
use super::{Index, day_of};
use crate::ledger::codec::Notes;
use crate::ledger::entry::EntryState;
use crate::ledger::lines::{
    Contradiction, DeletionAsked, DeletionsConfirmed, DoubtEnded, Doubted, FurtherDelivery, KnownEntry,
    MatchedElsewhere, MatchedHere, MessageDeleted, MessageFailed, MessageTooLarge, OtherHeader, SizeListed,
    Varying,
};
use crate::proof::EntryId;
use crate::types::Time;

/// Headers that an entry has besides its first.
const MOST_HEADERS: usize = 2;

impl EntryRecord {
    /// Whether there is anything about it that a listing can put in doubt.
    pub(super) fn may_be_doubted(&self) -> bool {
        self.delivered.is_some() && self.state != EntryState::Deleted && !self.unidentified
    }

    pub(super) fn be_doubted(&mut self) {
        self.doubtful |= self.may_be_doubted();
    }

    /// No listing has lacked it since it was seen last, nor is it deleted.
    pub(super) fn be_listed(&mut self) {
        (self.absent_since, self.deleted_on, self.present) = (None, None, true);
    }

    /// No message of it is on its way, nor lacked by a destination: what was delivered before counts again.
    pub(super) fn be_closed(&mut self) {
        if self.state == EntryState::Open && self.delivered.is_some() {
            self.state = if self.only_seen { EntryState::Seen } else { EntryState::Delivered };
        }
    }

    /// It was deleted, and a listing has lacked it since: what has its key next is other mail, and no copy of it.
    pub(super) fn be_gone(&mut self) {
        (self.gone, self.again, self.varies) = (true, false, false);
    }

    fn is_deletable(&self) -> bool {
        matches!(self.state, EntryState::Delivered | EntryState::Recorded) && !self.unidentified
    }
}

impl Index {
    pub(super) fn add_entry(&mut self, fact: &KnownEntry<'_>, offset: u64) -> Result<(), Contradiction> {
        let KnownEntry { state, key, listed_size, delivered, digests, notes } = fact;
        let delivered = match state {
            EntryState::Open => *delivered,
            _ => Some(delivered.unwrap_or(Time(0))),
        };
        let is_deleted = *state == EntryState::Deleted;
        let absent = notes.absent.map(|day| day.max(1));
        let unidentified = delivered.is_some() && digests.is_none();
        let gone = is_deleted && (notes.gone || absent.is_some());
        let entry = self.slots.add(
            key,
            &EntryRecord {
                state: *state,
                offset,
                listed_size: *listed_size,
                delivered,
                only_seen: notes.only_seen || *state == EntryState::Seen,
                absent_since: absent.filter(|_| !is_deleted),
                // Version 1 didn't keep the day: as if it were today, so that it is kept long enough.
                deleted_on: is_deleted.then(|| notes.deleted.unwrap_or_else(|| day_of(self.time))),
                gone,
                present: absent.is_none() && !notes.since_listing,
                too_large: notes.too_large,
                // What is absent is in doubt without saying so, but for what nothing is concluded from.
                doubtful: notes.doubtful || (absent.is_some() && delivered.is_some() && !unidentified),
                again: notes.again,
                varies: notes.varies,
                utf8: notes.utf8,
                candidate: notes.candidate,
                unidentified,
            },
        )?;
        self.count(key);
        self.renumbering |= notes.candidate;
        self.add_notes(entry, notes);
        if is_deleted && !gone {
            self.not_yet_gone.push(entry);
        }
        Ok(())
    }

    /// What a `known` line notes that few entries have.
    fn add_notes(&mut self, entry: EntryId, notes: &Notes) {
        if notes.since_listing {
            self.since_listing.push(entry);
        }
        if notes.failures > 0 || notes.retry_after.is_some() || !notes.headers.is_empty() {
            self.slots.change_details(entry, |details| {
                (details.failures, details.retry_after) = (notes.failures, notes.retry_after);
                details.headers.clone_from(&notes.headers);
            });
        }
    }

    pub(super) fn add_further_delivery(
        &mut self,
        fact: &FurtherDelivery<'_>,
        offset: u64,
    ) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.add_delivery(entry, offset, fact.delivered);
        Ok(())
    }

    pub(super) fn fail_message(
        &mut self,
        fact: &MessageFailed<'_>,
        offset: u64,
    ) -> Result<(), Contradiction> {
        let (entry, _) = self.insert(&fact.key, offset)?;
        self.change_size_of_open(entry, fact.listed_size);
        self.count_failure(entry, fact.retry_after);
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn leave_too_large(
        &mut self,
        fact: &MessageTooLarge<'_>,
        offset: u64,
    ) -> Result<(), Contradiction> {
        let (entry, _) = self.insert(&fact.key, offset)?;
        self.change_size_of_open(entry, fact.listed_size);
        self.change(entry, |record| record.too_large = true);
        self.saw(fact.time);
        Ok(())
    }

    /// The size by `LIST`, of a message that isn't delivered: of a delivered one it may not change unseen, because
    /// that is how a unique-id that was used again is found out.
    fn change_size_of_open(&mut self, entry: EntryId, listed_size: Option<u64>) {
        self.change(entry, |record| {
            if listed_size.is_some() && record.state == EntryState::Open {
                record.listed_size = listed_size;
            }
        });
    }

    pub(super) fn count_failure(&mut self, entry: EntryId, retry_after: Option<Time>) {
        self.slots.change_details(entry, |details| {
            details.failures = details.failures.saturating_add(1);
            details.retry_after = retry_after;
        });
    }

    /// What went wrong with an entry before is repaired.  While another message of it is on its way, or only some
    /// destinations have that one, the entry is open.
    pub(super) fn clear_failures(&mut self, entry: EntryId) {
        let details = self.slots.details(entry);
        let is_open = !details.messages.is_empty();
        if details.failures > 0 || details.retry_after.is_some() {
            self.slots.change_details(entry, |details| (details.failures, details.retry_after) = (0, None));
        }
        self.change(entry, |record| {
            record.too_large = false;
            if is_open {
                record.state = EntryState::Open;
            }
        });
    }

    pub(super) fn match_elsewhere(
        &mut self,
        fact: &MatchedElsewhere<'_>,
        offset: u64,
    ) -> Result<(), Contradiction> {
        let (entry, fresh) = self.insert(&fact.key, offset)?;
        self.hold(entry, EntryState::Recorded, offset, fact.delivered, fact.listed_size);
        self.change(entry, |record| record.utf8 = fact.notes.utf8);
        self.clear_failures(entry);
        if fresh {
            // It wasn't in the last complete listing under this key: the rule for renumbered maildrops must still
            // apply if the run dies before all of them are recognised.
            self.change(entry, |record| record.present = false);
            self.since_listing.push(entry);
        }
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn match_here(&mut self, fact: &MatchedHere<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        let delivery = fact.delivery.0.map(usize::from);
        if let Some(at) = delivery.filter(|at| *at < self.slots.details(entry).deliveries.len()) {
            // The last one is what the key stands for.
            self.slots.change_details(entry, |details| {
                let delivery = details.deliveries.remove(at);
                details.deliveries.push(delivery);
            });
        }
        self.change(entry, |record| {
            if record.state == EntryState::Deleted {
                record.state = EntryState::Delivered;
            }
            record.be_closed();
            record.be_listed();
            record.listed_size = fact.listed_size;
            record.doubtful = false;
        });
        self.clear_failures(entry);
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn add_header(&mut self, fact: &OtherHeader<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.slots.change_details(entry, |details| {
            details.headers.retain(|known| *known != fact.digest);
            if details.headers.len() >= MOST_HEADERS {
                details.headers.remove(0);
            }
            details.headers.push(fact.digest);
        });
        Ok(())
    }

    pub(super) fn learn_size(&mut self, fact: &SizeListed<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.change(entry, |record| record.listed_size = Some(fact.octets));
        Ok(())
    }

    pub(super) fn doubt(&mut self, fact: &Doubted<'_>) -> Result<(), Contradiction> {
        match &fact.key {
            Some(key) => {
                let entry = self.known(key)?;
                self.change(entry, |record| record.doubtful = !record.unidentified);
            }
            None => self.slots.change_all(EntryRecord::be_doubted),
        }
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn end_doubt(&mut self, fact: &DoubtEnded<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.change(entry, |record| record.doubtful = false);
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn give_up_comparing(&mut self, fact: &Varying<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.change(entry, |record| (record.doubtful, record.varies) = (false, true));
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn ask_deletion(&mut self, fact: &DeletionAsked<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.must_be_deletable(entry)?;
        // Until the answer to QUIT has come, it isn't known what its key stands for.
        self.change(entry, |record| record.doubtful = true);
        let deliveries = &self.slots.details(entry).deliveries;
        let delivery =
            fact.delivery.0.and_then(|at| deliveries.get(usize::from(at))).map(|(offset, _)| *offset);
        self.deletion_unconfirmed.push((entry, delivery));
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn confirm_deletions(&mut self, fact: &DeletionsConfirmed) -> Result<(), Contradiction> {
        let count = usize::try_from(fact.count).unwrap_or(usize::MAX);
        let first = self.deletion_unconfirmed.len().checked_sub(count).ok_or("more than were asked for")?;
        for (entry, delivery) in std::mem::take(&mut self.deletion_unconfirmed).into_iter().skip(first) {
            if self.must_be_deletable(entry).is_ok()
                && !delivery.is_some_and(|delivery| self.drop_one(entry, delivery))
            {
                self.delete(entry, fact.time);
            }
        }
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn delete_message(&mut self, fact: &MessageDeleted<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.must_be_deletable(entry)?;
        self.delete(entry, fact.time);
        self.saw(fact.time);
        Ok(())
    }

    fn must_be_deletable(&self, entry: EntryId) -> Result<(), Contradiction> {
        let record = self.slots.get(entry).filter(EntryRecord::is_deletable);
        record.map(drop).ok_or("it was not delivered")
    }

    /// One of several messages of this entry is gone, and the others are there still.  `false` if it has no others.
    fn drop_one(&mut self, entry: EntryId, delivery: u64) -> bool {
        let mut left = self.slots.details(entry).deliveries.clone();
        left.retain(|(offset, _)| *offset != delivery);
        let (Some((offset, _)), Some(latest)) =
            (left.first().copied(), left.iter().map(|(_, time)| *time).max())
        else {
            return false;
        };
        self.change(entry, |record| {
            (record.offset, record.delivered, record.doubtful) = (offset, Some(latest), false);
            // It was that of the last one.
            record.listed_size = None;
        });
        if left.len() == 1 {
            left.clear();
        }
        self.slots.change_details(entry, |details| details.deliveries = left);
        true
    }

    fn delete(&mut self, entry: EntryId, time: Time) {
        self.change(entry, |record| {
            (record.state, record.gone, record.deleted_on) = (EntryState::Deleted, false, Some(day_of(time)));
            (record.absent_since, record.doubtful, record.candidate) = (None, false, false);
        });
        self.not_yet_gone.push(entry);
    }
}
