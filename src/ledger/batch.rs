//! A batch's way through the ledger: staged pieces in, noted pieces out, then what became of each.  Before you change the
//! order of the steps here, read `docs/design.md` §4.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::place::{NotedPlace, Place};
use crate::proof::{
    Arrival, BegunId, Delivered, DestinationId, DestinationName, IntentId, Noted, Piece, Published, Staged,
};
use crate::types::{Time, wide};

use super::codec::{DigestsField, KeyField, Notes, Use};
use super::error::Error;
use super::journal::NotNoted;
use super::lines::{
    CopyDelivered, CopyRefused, CopyStaged, Fact, LONGEST_GROUP, LONGEST_OUTCOME, MessageBegun,
    NumberedDestination,
};
use super::open::{Arrivals, Ledger};

/// The lines of a batch, and the number of each message that they begin.
#[derive(Default)]
struct BatchLines<'s> {
    facts: Vec<Fact<'s>>,
    begun: Arrivals,
}

impl Ledger {
    /// The number of a destination, entered (written, synced with the next note) if it is new or its inode changed.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn enter_destination(
        &mut self,
        name: &DestinationName,
        inode: Option<(u64, u64)>,
    ) -> Result<DestinationId, Error> {
        let known = self.index.destinations.records().iter().find(|known| known.name == *name);
        let number = match known {
            Some(known) if inode.is_none() || known.inode == inode => return Ok(known.id),
            Some(known) => known.id,
            None => u16::try_from(self.index.destinations.records().len())
                .map(DestinationId)
                .map_err(|_| Error::Contradiction("65536 destinations"))?,
        };
        let address = Cow::Borrowed(name.address.as_slice());
        self.append(NumberedDestination { number, kind: name.kind, address, inode, used: Use::Unused })?;
        Ok(number)
    }

    /// Writes the `staged` lines of a batch, syncs, and reserves room for the outcomes.
    ///
    /// # Errors
    /// Nothing is noted then, and the pieces that may be withdrawn are returned.  That is all of them if their lines
    /// are certainly not on disk and never will be; none if they may be (a sync failed).  What doesn't come back must
    /// stay where it is: recovery finds it, or else would take its absence for a delivery.
    pub(crate) fn note(&mut self, staged: Vec<Staged>) -> Result<Vec<Noted>, (Error, Vec<Staged>)> {
        if staged.is_empty() {
            return Ok(Vec::new());
        }
        self.arrivals.retain(|_, (arrival, _)| arrival.strong_count() > 0);
        let written = match self.draft(&staged) {
            Ok(BatchLines { facts, begun }) => self.commit(&facts).map(|()| begun),
            Err(e) => Err(NotNoted::Undone(e)),
        };
        match written {
            Ok(begun) => {
                self.arrivals.extend(begun);
                Ok(staged.into_iter().map(Noted::attest).collect())
            }
            Err(NotNoted::Undone(e)) => Err((e, staged)),
            Err(NotNoted::Doubtful(e)) => Err((e, Vec::new())),
        }
    }

    /// Has these lines on disk, and only then takes them for true.
    fn commit(&mut self, facts: &[Fact<'_>]) -> Result<(), NotNoted> {
        let (Some(_), Some(journal)) = (&self.lock, &mut self.journal) else {
            return Err(NotNoted::Undone(Error::ReadOnly));
        };
        let staged = facts.iter().filter(|fact| matches!(fact, Fact::CopyStaged(_))).count();
        // Those of earlier batches that are open still must find room as well; and a group and an `end`.
        let copies = self.index.messages.intents_len().saturating_add(wide(staged));
        let outcomes = copies.saturating_mul(LONGEST_OUTCOME).saturating_add(2 * LONGEST_GROUP);
        let header = journal.due_group(self.clock.max(self.index.time), self.clock).map(Fact::from);
        let facts: Vec<&Fact<'_>> = header.iter().chain(facts).collect();
        let offsets = journal.commit(&facts, outcomes)?;
        for (fact, offset) in facts.into_iter().zip(offsets) {
            if let Err(problem) = self.index.apply(fact, offset) {
                journal.give_up();
                return Err(NotNoted::Doubtful(Error::Contradiction(problem)));
            }
        }
        Ok(())
    }

    /// The lines for a batch, and the messages that they begin.
    fn draft<'s>(&self, staged: &'s [Staged]) -> Result<BatchLines<'s>, Error> {
        let time = self.now();
        let (mut next_message, mut next_intent) =
            (self.index.messages.next_message, self.index.messages.next_intent);
        let mut draft = BatchLines::default();
        let mut taken: HashSet<u32> = self.arrivals.values().map(|(_, number)| *number).collect();
        for piece in staged.iter().map(Staged::piece) {
            let arrival = &piece.message;
            let begun = draft.begun.get(&arrival.id).map(|(_, number)| *number);
            let message = match begun.or_else(|| self.number_of(arrival)) {
                Some(number) => number,
                None => {
                    let number = next_message;
                    next_message = number.checked_add(1).ok_or(Error::Contradiction("too many messages"))?;
                    draft.facts.push(self.begin(arrival, number, staged, &mut taken).into());
                    draft.begun.insert(arrival.id, (Arc::downgrade(arrival), number));
                    number
                }
            };
            draft.facts.push(Fact::from(CopyStaged {
                number: next_intent,
                message,
                destination: piece.destination,
                time,
                octets: piece.octets,
                digest: piece.digest,
                place: noted_place(&piece.place)?,
            }));
            next_intent = next_intent.checked_add(1).ok_or(Error::Contradiction("too many intents"))?;
        }
        Ok(draft)
    }

    /// The line by which a message begins.  The delivery that it continues is replaced by it, unless another one does so
    /// (`taken`).
    fn begin<'s>(
        &self,
        arrival: &'s Arc<Arrival>,
        number: u32,
        staged: &[Staged],
        taken: &mut HashSet<u32>,
    ) -> MessageBegun<'s> {
        let begun = arrival.continues.and_then(|BegunId(number)| {
            let message = self.index.messages.get(number)?;
            (message.intents.is_empty() && taken.insert(number)).then_some((number, message))
        });
        // A destination that gets it now, though it has it, doesn't have this copy yet.
        let gets = |destination: &DestinationId| {
            let mut pieces = staged.iter().map(Staged::piece);
            pieces.any(|piece| piece.destination == *destination && piece.message.id == arrival.id)
        };
        let has = |destination: &DestinationId| {
            begun.is_some_and(|(_, message)| message.set.contains(&(*destination, true)))
                && !gets(destination)
        };
        MessageBegun {
            number,
            time: self.now(),
            key: KeyField::from(&arrival.key),
            listed_size: arrival.listed_size.map(|octets| octets.0),
            digests: DigestsField::Value(arrival.digests),
            replaces: begun.map(|(number, _)| number),
            set: arrival.set.iter().map(|destination| (*destination, has(destination))).collect(),
            notes: Notes { again: arrival.again, utf8: arrival.utf8, ..Notes::default() },
        }
    }

    /// The open message that this arrival is, once it has been noted.
    fn number_of(&self, arrival: &Arrival) -> Option<u32> {
        let (_, number) = self.arrivals.get(&arrival.id)?;
        self.index.messages.get(*number).map(|_| *number)
    }

    fn intent_of(&self, piece: &Piece) -> Result<(u32, IntentId), Error> {
        self.number_of(&piece.message)
            .and_then(|number| Some((number, self.index.messages.intent_at(number, piece.destination)?)))
            .ok_or(Error::Contradiction("the outcome of a piece that was not noted"))
    }

    /// Records that this piece is delivered, with the next [`Ledger::flush`], sync or note.  The proof comes when all of the
    /// message's set have it; not when it was only printed.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn record(&mut self, published: Published) -> Result<Option<Delivered>, Error> {
        let (number, intent) = self.intent_of(published.piece())?;
        let entry = self.index.messages.get(number).map(|message| message.entry);
        let printed = self.index.only_printed(number);
        self.append(CopyDelivered { intent: intent.0, time: self.now() })?;
        if self.index.messages.get(number).is_some() {
            return Ok(None);
        }
        self.arrivals.remove(&published.piece().message.id);
        let proof = entry
            .filter(|_| !printed)
            .map(|entry| Delivered::attest(published.piece().message.number, entry));
        Ok(proof)
    }

    /// Records that a noted piece was not taken by its destination (closes its intent), with the next [`Ledger::flush`], sync
    /// or note.  Its file must stay until that is synced.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn refuse(&mut self, noted: Noted, retry_after: Option<Time>) -> Result<(), Error> {
        let (_, intent) = self.intent_of(noted.piece())?;
        self.append(CopyRefused { intent: intent.0, time: self.now(), retry_after })
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
