//! The lines of deliveries: a message is begun, its copies are staged, and each is delivered, refused or dropped.

use super::Index;
use super::messages::OpenMessage;
use super::slots::EntryRecord;
use crate::ledger::codec::Use;
use crate::ledger::entry::EntryState;
use crate::ledger::lines::{
    Contradiction, CopyDelivered, CopyDropped, CopyRefused, CopyStaged, MessageBegun, MessageGone,
    NumberedDestination,
};
use crate::proof::{DestinationName, EntryId, Intent, IntentId};
use crate::types::Time;

impl Index {
    pub(super) fn number_destination(
        &mut self,
        NumberedDestination { number, kind, address, inode, used }: &NumberedDestination<'_>,
    ) -> Result<(), Contradiction> {
        let name = DestinationName { kind: *kind, address: address.to_vec() };
        self.live += self.destinations.enter(*number, name, *inode)?;
        if *used == Use::Used {
            self.destinations.use_now(*number);
        }
        Ok(())
    }

    pub(super) fn begin_message(
        &mut self,
        fact: &MessageBegun<'_>,
        offset: u64,
    ) -> Result<(), Contradiction> {
        let MessageBegun { number, time, key, listed_size, digests, replaces, set, notes } = fact;
        let digests = digests.value().ok_or("its digests are none")?;
        let owned = key.to_key().ok_or("its unique-id is none")?;
        self.messages.is_free(*number)?;
        let (entry, _) = self.insert(key, offset)?;
        if let Some(old) = replaces.and_then(|old| self.forget_message(old)) {
            self.close(old.entry);
        }
        let message = OpenMessage {
            entry,
            key: owned,
            offset,
            time: *time,
            listed_size: *listed_size,
            digests,
            set: set.clone(),
            intents: Vec::new(),
            again: notes.again,
            utf8: notes.utf8,
            gone: notes.gone,
        };
        self.messages.begin(*number, message);
        self.saw(*time);
        if notes.gone {
            return Ok(());
        }
        self.slots.change_details(entry, |details| details.messages.push(*number));
        self.open(entry);
        self.change(entry, |record| record.again |= notes.again);
        self.finish(*number, *time);
        Ok(())
    }

    pub(super) fn stage_copy(&mut self, fact: &CopyStaged) -> Result<(), Contradiction> {
        self.messages.stage(fact.message, |key| Intent {
            id: IntentId(fact.number),
            key: key.clone(),
            destination: fact.destination,
            octets: fact.octets,
            digest: fact.digest,
            since: fact.time,
            place: fact.place.clone(),
        })?;
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn deliver_copy(&mut self, fact: &CopyDelivered) -> Result<(), Contradiction> {
        let (number, destination) = self.messages.succeed(fact.intent)?;
        self.destinations.use_now(destination);
        self.finish(number, fact.time);
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn refuse_copy(&mut self, fact: &CopyRefused) -> Result<(), Contradiction> {
        let entry = self.drop_intent(fact.intent)?;
        self.count_failure(entry, fact.retry_after);
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn drop_copy(&mut self, fact: &CopyDropped) -> Result<(), Contradiction> {
        self.drop_intent(fact.intent)?;
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn part_from_key(&mut self, fact: &MessageGone) -> Result<(), Contradiction> {
        let entry = self.messages.part(fact.message)?;
        self.slots.change_details(entry, |details| details.messages.retain(|open| *open != fact.message));
        self.close(entry);
        Ok(())
    }

    /// If no message of this entry is on its way any more, what was delivered before counts again.
    fn close(&mut self, entry: EntryId) {
        if self.slots.details(entry).messages.is_empty() {
            self.change(entry, EntryRecord::be_closed);
        }
    }

    /// A message of this entry is about to be delivered.  From now on the entry as a whole isn't: else a unique-id that
    /// was used again would count as delivered by the old message's word, and be deleted, though the new one failed.
    fn open(&mut self, entry: EntryId) {
        let was_deleted = self.slots.get(entry).is_some_and(|record| record.state == EntryState::Deleted);
        self.change(entry, |record| {
            record.state = EntryState::Open;
            if was_deleted {
                // The message that was deleted is gone for good: this one has nothing to do with it.
                record.be_listed();
                record.delivered = None;
                record.listed_size = None;
                record.unidentified = false;
            }
        });
        if was_deleted {
            self.slots.change_details(entry, |details| details.deliveries.clear());
        }
    }

    /// A message that all of its set have is delivered: by the last one's word, or because those that lacked it were
    /// given up.
    fn finish(&mut self, number: u32, time: Time) {
        let printed = self.only_printed(number);
        if self.messages.get(number).is_some_and(|message| message.is_whole() && !message.set.is_empty())
            && let Some(message) = self.forget_message(number)
        {
            let state = if printed { EntryState::Seen } else { EntryState::Delivered };
            self.hold(message.entry, state, message.offset, time, message.listed_size);
            self.change(message.entry, |record| record.utf8 = message.utf8);
            self.clear_failures(message.entry);
        }
    }

    /// An intent that came to nothing.  A message that no destination has, or is about to have, is forgotten: its set
    /// is fixed again when it comes again, perhaps under a better configuration.
    fn drop_intent(&mut self, intent: u32) -> Result<EntryId, Contradiction> {
        let (number, entry) = self.messages.fail(intent)?;
        if !self.messages.get(number).is_some_and(OpenMessage::is_begun) {
            self.forget_message(number);
        }
        Ok(entry)
    }

    /// When all lines are read: where a group was torn, a message may stand there whose copies do not.
    pub(in crate::ledger) fn forget_what_was_not_begun(&mut self) {
        let torn = |(number, message): (u32, &OpenMessage)| (!message.is_begun()).then_some(number);
        let torn: Vec<u32> = self.messages.iter().filter_map(torn).collect();
        for number in torn {
            self.forget_message(number);
        }
    }

    pub(super) fn forget_message(&mut self, number: u32) -> Option<OpenMessage> {
        let message = self.messages.forget(number)?;
        self.slots.change_details(message.entry, |details| details.messages.retain(|open| *open != number));
        Some(message)
    }

    /// The entry has one more message, delivered (or seen, or recorded).
    pub(super) fn hold(
        &mut self,
        entry: EntryId,
        state: EntryState,
        offset: u64,
        time: Time,
        listed_size: Option<u64>,
    ) {
        self.add_delivery(entry, offset, time);
        self.change(entry, |record| {
            record.be_listed();
            record.state = state;
            record.doubtful = false;
            record.only_seen = state == EntryState::Seen;
            record.listed_size = listed_size;
        });
    }

    pub(super) fn add_delivery(&mut self, entry: EntryId, offset: u64, time: Time) {
        let Some(before) = self.slots.get(entry) else { return };
        // What is retrieved after all takes the place of the user's word.
        let Some(last) = before.delivered.filter(|_| !before.unidentified) else {
            self.change(entry, |record| {
                (record.offset, record.delivered, record.unidentified) = (offset, Some(time), false);
            });
            return;
        };
        // The latest delivery counts for the age: the younger, the longer it stays.
        self.change(entry, |record| record.delivered = Some(last.max(time)));
        self.slots.change_details(entry, |details| {
            if details.deliveries.is_empty() {
                details.deliveries.push((before.offset, last));
            }
            details.deliveries.push((offset, time));
        });
    }
}
