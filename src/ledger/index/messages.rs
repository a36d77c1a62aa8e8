//! Messages on their way to their destinations, and the open intents: what has been staged, and whose outcome is not
//! known.  Must not know entries beyond their ids.

use std::collections::BTreeMap;

use crate::ledger::lines::Contradiction;
use crate::message::Digests;
use crate::proof::{DestinationId, EntryId, Intent, IntentId, Key};
use crate::types::{Time, wide};

/// A message that is on its way to its set of destinations.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct OpenMessage {
    pub(in crate::ledger) entry: EntryId,
    pub(in crate::ledger) key: Key,
    /// Where its line is.
    pub(in crate::ledger) offset: u64,
    pub(in crate::ledger) time: Time,
    pub(in crate::ledger) listed_size: Option<u64>,
    pub(in crate::ledger) digests: Digests,
    /// Each destination, and whether it has the message.
    pub(in crate::ledger) set: Vec<(DestinationId, bool)>,
    /// Staged, outcome unknown.
    pub(in crate::ledger) intents: Vec<Intent>,
    /// It comes after a failed comparison with what its key stood for.
    pub(in crate::ledger) again: bool,
    /// It was received in UTF-8 mode.
    pub(in crate::ledger) utf8: bool,
    /// Its key stands for another message by now.
    pub(in crate::ledger) gone: bool,
}

impl OpenMessage {
    /// Whether any destination has it, or is about to.
    pub(in crate::ledger) fn is_begun(&self) -> bool {
        !self.intents.is_empty() || self.set.iter().any(|(_, has)| *has)
    }

    /// Whether all of its set have it.
    pub(in crate::ledger) fn is_whole(&self) -> bool {
        self.intents.is_empty() && self.set.iter().all(|(_, has)| *has)
    }
}

/// Messages by number, and intents by theirs.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Messages {
    open: BTreeMap<u32, OpenMessage>,
    /// Which message an open intent belongs to.
    intents: BTreeMap<u32, u32>,
    pub(in crate::ledger) next_message: u32,
    pub(in crate::ledger) next_intent: u32,
}

impl Messages {
    pub(in crate::ledger) fn get(&self, number: u32) -> Option<&OpenMessage> {
        self.open.get(&number)
    }

    /// In the order in which they were begun.
    pub(in crate::ledger) fn iter(&self) -> impl Iterator<Item = (u32, &OpenMessage)> {
        self.open.iter().map(|(number, message)| (*number, message))
    }

    /// Whether a message may have this number.
    pub(in crate::ledger) fn is_free(&self, number: u32) -> Result<(), Contradiction> {
        match self.open.contains_key(&number) || number == u32::MAX {
            true => Err("its number is in use"),
            false => Ok(()),
        }
    }

    pub(in crate::ledger) fn begin(&mut self, number: u32, message: OpenMessage) {
        self.next_message = self.next_message.max(number.saturating_add(1));
        self.open.insert(number, message);
    }

    /// One of a message's pieces waits at its destination; `intent` makes the intent from the message's key.
    pub(in crate::ledger) fn stage(
        &mut self,
        number: u32,
        intent: impl FnOnce(&Key) -> Intent,
    ) -> Result<(), Contradiction> {
        let message = self.open.get_mut(&number).ok_or("its message is unknown")?;
        let intent = intent(&message.key);
        let id = intent.id.0;
        if self.intents.contains_key(&id) || id == u32::MAX {
            return Err("its number is in use");
        }
        self.next_intent = self.next_intent.max(id.saturating_add(1));
        self.intents.insert(id, number);
        message.intents.push(intent);
        Ok(())
    }

    /// The destination of an intent has the message: which are they?
    pub(in crate::ledger) fn succeed(&mut self, intent: u32) -> Result<(u32, DestinationId), Contradiction> {
        let (number, Intent { destination: here, .. }) = self.close(intent)?;
        if let Some(message) = self.open.get_mut(&number) {
            for (destination, has) in &mut message.set {
                *has |= *destination == here;
            }
        }
        Ok((number, here))
    }

    /// The destination of an intent does not have the message: which one, of which entry?
    pub(in crate::ledger) fn fail(&mut self, intent: u32) -> Result<(u32, EntryId), Contradiction> {
        let (number, _) = self.close(intent)?;
        let message = self.open.get(&number).ok_or("its message is unknown")?;
        Ok((number, message.entry))
    }

    fn close(&mut self, intent: u32) -> Result<(u32, Intent), Contradiction> {
        let number = self.intents.remove(&intent).ok_or("it is about no open intent")?;
        let message = self.open.get_mut(&number).ok_or("its message is unknown")?;
        let at = message.intents.iter().position(|open| open.id.0 == intent);
        let intent = at.map(|at| message.intents.remove(at)).ok_or("its message doesn't have it")?;
        Ok((number, intent))
    }

    /// Its key stands for another message now: which entry's is it?
    pub(in crate::ledger) fn part(&mut self, number: u32) -> Result<EntryId, Contradiction> {
        let message = self.open.get_mut(&number).ok_or("its message is unknown")?;
        if !message.intents.is_empty() {
            return Err("its message is on its way");
        }
        message.gone = true;
        Ok(message.entry)
    }

    pub(in crate::ledger) fn forget(&mut self, number: u32) -> Option<OpenMessage> {
        let message = self.open.remove(&number)?;
        for intent in &message.intents {
            self.intents.remove(&intent.id.0);
        }
        Some(message)
    }

    /// The open intents, in the order they were written.
    pub(in crate::ledger) fn open_intents(&self) -> Vec<Intent> {
        let open = |(intent, number): (&u32, &u32)| {
            self.open.get(number)?.intents.iter().find(|open| open.id.0 == *intent).cloned()
        };
        self.intents.iter().filter_map(open).collect()
    }

    /// How many intents are open.
    pub(in crate::ledger) fn intents_len(&self) -> u64 {
        wide(self.intents.len())
    }

    /// The open intent for this message at this destination.
    pub(in crate::ledger) fn intent_at(&self, number: u32, destination: DestinationId) -> Option<IntentId> {
        let message = self.open.get(&number)?;
        message.intents.iter().find(|open| open.destination == destination).map(|open| open.id)
    }
}
