//! A batch's way through the ledger: staged pieces in, noted pieces out, then what became of each.  Whoever changes the
//! order of the steps here should first read `docs/design.md` §4.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use crate::proof::{
    Arrival, Delivered, DestinationId, IntentId, Noted, NotedPlace, Piece, Place, Published, Staged,
};
use crate::types::Time;

use super::lines::{DigestsField, KeyField, LONGEST_HEADER, LONGEST_OUTCOME, Line, Notes};
use super::{Error, Ledger};

/// The lines of a batch, and by the address of its arrival the number of each message that they begin.
type Draft<'s> = (Vec<Line<'s>>, HashMap<usize, (Weak<Arrival>, u32)>);

impl Ledger {
    /// Writes the `staged` lines of a batch, syncs, and reserves room for the outcomes.
    ///
    /// # Errors
    /// Nothing is noted then, and those pieces come back that may be withdrawn: all, when their lines are certainly not on
    /// disk, nor ever will be; none, when they may be (a sync failed).  What doesn't come back must stay where it is:
    /// recovery finds it, or else would take its absence for a delivery.
    pub fn note(&mut self, staged: Vec<Staged>) -> Result<Vec<Noted>, (Error, Vec<Staged>)> {
        if staged.is_empty() {
            return Ok(Vec::new());
        }
        self.arrivals.retain(|_, (arrival, _)| arrival.strong_count() > 0);
        let (lines, numbers) = match self.draft(&staged) {
            Ok(draft) => draft,
            Err(e) => return Err((e, staged)),
        };
        // Those of earlier batches that are open still must find room as well; and a group and an `end`.
        let pieces =
            self.index.messages.intents_len().saturating_add(u64::try_from(staged.len()).unwrap_or(u64::MAX));
        let outcomes = pieces.saturating_mul(LONGEST_OUTCOME).saturating_add(2 * LONGEST_HEADER);
        let stamp = (self.now(), self.clock);
        let written = match (&self.lock, &mut self.journal) {
            (Some(_), Some(journal)) => journal.commit(&mut self.index, &lines, outcomes, stamp),
            _ => Err((Error::ReadOnly, true)),
        };
        drop(lines);
        match written {
            Ok(()) => {
                self.arrivals.extend(numbers);
                Ok(staged.into_iter().map(Noted::attest).collect())
            }
            Err((e, true)) => Err((e, staged)),
            Err((e, false)) => Err((e, Vec::new())),
        }
    }

    /// The lines for a batch, and the messages that they begin.
    fn draft<'s>(&self, staged: &'s [Staged]) -> Result<Draft<'s>, Error> {
        let time = self.now();
        let (mut next_message, mut next_intent) =
            (self.index.messages.next_message, self.index.messages.next_intent);
        let mut lines = Vec::with_capacity(staged.len() * 2);
        let mut numbers = HashMap::new();
        let mut taken: HashSet<u32> = self.arrivals.values().map(|(_, number)| *number).collect();
        for piece in staged.iter().map(Staged::piece) {
            let arrival = &piece.message;
            let address = Arc::as_ptr(arrival).addr();
            let noted = numbers.get(&address).map(|(_, number)| *number);
            let message = match noted.or_else(|| self.number_of(arrival)) {
                Some(number) => number,
                None => {
                    // A message that part of its set has already is gone on with, unless that is spoken for.
                    let begun = self.find_key(&arrival.key).and_then(|entry| {
                        let mut open = self.index.open_messages(entry).into_iter();
                        open.find(|(number, message)| message.intents.is_empty() && taken.insert(*number))
                    });
                    // The same message by content: proxies add a line to each copy that they pass on.
                    let has = |destination: &DestinationId| {
                        begun.is_some_and(|(_, message)| {
                            message.digests.is_same(&arrival.digests)
                                && message.set.contains(&(*destination, true))
                        })
                    };
                    let number = next_message;
                    next_message = number.checked_add(1).ok_or(Error::Contradiction("too many messages"))?;
                    lines.push(Line::Message {
                        number,
                        time,
                        key: KeyField::from(&arrival.key),
                        listed: arrival.listed.map(|octets| octets.0),
                        digests: DigestsField::Value(arrival.digests),
                        replaces: begun.map(|(number, _)| number),
                        set: arrival.set.iter().map(|destination| (*destination, has(destination))).collect(),
                        notes: Notes { again: arrival.again, utf8: arrival.utf8, ..Notes::default() },
                    });
                    numbers.insert(address, (Arc::downgrade(arrival), number));
                    number
                }
            };
            lines.push(Line::Staged {
                number: next_intent,
                message,
                destination: piece.destination,
                time,
                octets: piece.octets,
                digest: piece.digest,
                place: noted_place(&piece.place)?,
            });
            next_intent = next_intent.checked_add(1).ok_or(Error::Contradiction("too many intents"))?;
        }
        Ok((lines, numbers))
    }

    /// The open message that this arrival is, once it has been noted.
    fn number_of(&self, arrival: &Arc<Arrival>) -> Option<u32> {
        let (_, number) = self.arrivals.get(&Arc::as_ptr(arrival).addr())?;
        self.index.messages.get(*number).map(|_| *number)
    }

    fn intent_of(&self, piece: &Piece) -> Result<(u32, IntentId), Error> {
        self.number_of(&piece.message)
            .and_then(|number| Some((number, self.index.messages.intent_at(number, piece.destination)?)))
            .ok_or(Error::Contradiction("the outcome of a piece that was not noted"))
    }

    /// Says that this piece is delivered, with the next [`Ledger::flush`], sync or note.  The proof comes when all of the
    /// message's set have it; not when it was only printed.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn record(&mut self, published: Published) -> Result<Option<Delivered>, Error> {
        let (number, intent) = self.intent_of(published.piece())?;
        let entry = self.index.messages.get(number).map(|message| message.entry);
        let printed = self.index.only_printed(number);
        self.append(&Line::Delivered { intent: intent.0, time: self.now() })?;
        if self.index.messages.get(number).is_some() {
            return Ok(None);
        }
        self.arrivals.remove(&Arc::as_ptr(&published.piece().message).addr());
        let proof = entry
            .filter(|_| !printed)
            .map(|entry| Delivered::attest(published.piece().message.number, entry));
        Ok(proof)
    }

    /// Says that a noted piece was not taken by its destination (closes its intent), with the next [`Ledger::flush`], sync
    /// or note.  Its file must stay until that is synced.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn refuse(&mut self, noted: Noted, retry_after: Option<Time>) -> Result<(), Error> {
        let (_, intent) = self.intent_of(noted.piece())?;
        self.append(&Line::Refused { intent: intent.0, time: self.now(), retry_after })
    }

    /// Says that recovery found these delivered; [`Ledger::sync`] must follow before anything is done about it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn settle_delivered(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        let time = self.now();
        intents.iter().try_for_each(|intent| self.append(&Line::Delivered { intent: intent.0, time }))?;
        self.flush()
    }

    /// Writes and syncs that these come again; only then may their files be removed.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.
    pub fn settle_dropped(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        let time = self.now();
        intents.iter().try_for_each(|intent| self.append(&Line::Dropped { intent: intent.0, time }))?;
        self.sync()
    }
}

fn noted_place(place: &Place) -> Result<NotedPlace, Error> {
    Ok(match place {
        Place::Maildir { name, .. } => NotedPlace::Maildir { name: name.clone() },
        Place::Mbox { spool, spool_offset, offset } => NotedPlace::Mbox {
            offset: offset.ok_or(Error::Contradiction("an mbox entry is noted before its place is known"))?,
            spool: spool.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            spool_offset: *spool_offset,
        },
        Place::Spooled(_) => NotedPlace::Handed,
    })
}
