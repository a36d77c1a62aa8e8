//! Deliveries that a person gives up: open lines at a destination that is out of reach for good, and a destination's place
//! in the sets of messages that others have.

use std::collections::BTreeSet;

use crate::proof::{DestinationId, IntentId};

use super::index::Message;
use super::lines::{DigestsField, KeyField, Line, Notes};
use super::{Error, Ledger};

/// A message that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The destinations that have it.
    pub has: Vec<DestinationId>,
    /// Those of its set that lack it.
    pub lacks: Vec<DestinationId>,
    /// Those of which it isn't known, for a run has died.
    pub staged: Vec<DestinationId>,
}

impl Ledger {
    /// The messages that are on their way.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Unfinished> {
        let message = |message: &Message| {
            let those = |wanted: bool| {
                let set = message.set.iter().filter(|(_, has)| *has == wanted);
                set.map(|(destination, _)| *destination).collect()
            };
            let staged: BTreeSet<DestinationId> =
                message.intents.iter().map(|intent| intent.destination).collect();
            Unfinished { has: those(true), lacks: those(false), staged: staged.into_iter().collect() }
        };
        self.index.messages.iter().map(|(_, open)| message(open)).collect()
    }

    /// Gives up what is unfinished at these destinations: open lines there are dropped, and the sets of messages that
    /// another one has lose them.  Who lacks nobody's message then is delivered; what nobody has comes again.  Synced.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.
    pub fn give_up(&mut self, destinations: &[DestinationId]) -> Result<(), Error> {
        let intents: Vec<IntentId> = self
            .intents()
            .into_iter()
            .filter(|intent| destinations.contains(&intent.destination))
            .map(|intent| intent.id)
            .collect();
        if !intents.is_empty() {
            self.settle_dropped(&intents)?;
        }
        let time = self.now();
        let mut number = self.index.messages.next_message;
        let given_up =
            |(destination, has): &(DestinationId, bool)| !has && destinations.contains(destination);
        // Of one with an open line elsewhere it isn't known who has it.
        let smaller = |message: &Message| message.intents.is_empty() && message.set.iter().any(given_up);
        let messages = self.index.messages.iter().filter(|(_, message)| smaller(message));
        let open: Vec<(u32, Message)> = messages.map(|(old, message)| (old, message.clone())).collect();
        for (old, Message { key, listed, digests, mut set, again, utf8, .. }) in open {
            set.retain(|place| !given_up(place));
            let (key, digests) = (KeyField::from(&key), DigestsField::Value(digests));
            let notes = Notes { again, utf8, ..Notes::default() };
            let replaces = Some(old);
            self.append(&Line::Message { number, time, key, listed, digests, replaces, set, notes })?;
            number = number.checked_add(1).ok_or(Error::Contradiction("too many messages"))?;
        }
        self.sync()
    }
}
