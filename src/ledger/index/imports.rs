//! The lines of the user's word: a message is imported, identified, forgotten.

use super::{Index, live_octets};
use crate::ledger::codec::KeyField;
use crate::ledger::entry::EntryState;
use crate::ledger::lines::{Contradiction, MessageForgotten, MessageIdentified, MessageImported};
use crate::types::Time;

impl Index {
    pub(super) fn import_message(
        &mut self,
        fact: &MessageImported<'_>,
        offset: u64,
    ) -> Result<(), Contradiction> {
        let (entry, fresh) = self.insert(&fact.key, offset)?;
        let is_seen = fact.delivered.is_none();
        let date = Some(fact.delivered.unwrap_or(fact.time));
        let Some(before) = self.slots.get(entry) else { return Ok(()) };
        match before.state {
            EntryState::Open if before.delivered.is_none() => {
                self.change(entry, |record| {
                    (record.offset, record.delivered, record.unidentified) = (offset, date, true);
                    record.state = if is_seen { EntryState::Seen } else { EntryState::Delivered };
                    record.only_seen = is_seen;
                });
                self.clear_failures(entry);
            }
            // What was only seen is delivered after all.
            EntryState::Seen if !is_seen => self.change(entry, |record| {
                (record.state, record.delivered, record.only_seen) = (EntryState::Delivered, date, false);
            }),
            _ => return Err("it is known already"),
        }
        if fresh {
            // No listing has held it: that none of what is imported is listed must not look like a renumbering.
            self.change(entry, |record| record.present = false);
            self.since_listing.push(entry);
        }
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn identify_message(
        &mut self,
        fact: &MessageIdentified<'_>,
        offset: u64,
    ) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        if !self.slots.get(entry).is_some_and(|record| record.unidentified) {
            return Err("its digests are known already");
        }
        self.change(entry, |record| {
            (record.offset, record.unidentified) = (offset, false);
            // What is absent is in doubt as soon as there is anything to compare it with.
            if record.absent_since.is_some() {
                record.be_doubted();
            }
        });
        self.saw(fact.time);
        Ok(())
    }

    pub(super) fn begin(&mut self, time: Time) {
        self.begun = true;
        self.saw(time);
    }

    pub(super) fn forget_entry(&mut self, fact: &MessageForgotten<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        let its = self.messages.iter().filter(|(_, message)| message.entry == entry);
        let open: Vec<(u32, bool)> =
            its.map(|(number, message)| (number, message.intents.is_empty())).collect();
        if open.iter().any(|(_, rests)| !rests) {
            return Err("it is on its way to a destination");
        }
        for (number, _) in open {
            self.forget_message(number);
        }
        self.slots.remove(entry);
        self.since_listing.retain(|other| *other != entry);
        self.not_yet_gone.retain(|other| *other != entry);
        self.live = self.live.saturating_sub(live_octets(&fact.key));
        self.nameless = self.nameless.saturating_sub(u32::from(matches!(fact.key, KeyField::Header(_))));
        self.saw(fact.time);
        Ok(())
    }
}
