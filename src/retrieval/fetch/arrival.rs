//! One message from its `+OK` to its terminator, and what is done with it then: taken in by every destination that is to get it,
//! or discarded.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::incoming::{IncomingHeader, IncomingMessage, Whole};
use super::queue::known_key;
use super::round::{Fetch, Held};
use super::tally::CompareResult;
use crate::delivery::routing::{Copies, OpenCopies};
use crate::delivery::{self, Waiting};
use crate::exit::ExitCode;
use crate::ledger::Begun;
use crate::message::{Digest, Digests, Examiner, Facts};
use crate::plan::compare::Verdict;
use crate::plan::{self, Decision, Listed, Who, Why};
use crate::proof::{Arrival, ArrivalId, BegunId, DestinationId, EntryId, Key};
use crate::report;
use crate::retrieval::Error;
use crate::retrieval::committer::{Parcel, Work};
use crate::retrieval::pipeline::Job;
use crate::types::Octets;

/// A message may grow to this many times its listed size, and at least to [`LEAST_BOUND`].
const FAR_BEYOND: u64 = 16;
/// Every message may grow to this many octets, however small it was listed.
const LEAST_BOUND: u64 = 64 << 20;
/// A message whose size isn't known may grow to this many octets.
const MOST_OF_UNKNOWN_SIZE: u64 = 4 << 30;

/// Where a message goes that has arrived.
struct MessageRoute {
    /// Those destinations of this run that are to get it, by their places in the list.
    slots: Vec<usize>,
    /// All that must have it.
    set: Vec<DestinationId>,
    /// The delivery that it continues, and the entry of that.
    continues: Option<(BegunId, EntryId)>,
    /// By what it is known from then on.
    digests: Digests,
    /// Its key stood for another message, as far as is known.
    again: bool,
}

impl Fetch<'_> {
    /// The answer to a `RETR` has begun.
    pub(super) fn begin(&mut self, job: Job) {
        let Some(listed) = self.maildrop.at(job.index) else { return };
        let wanted = self.state.tally.failure.is_none();
        let prefix = self.run.received_line();
        self.state.incoming = Some(IncomingMessage {
            job,
            examiner: if self.network_ends.read_back() {
                Examiner::summing(&prefix)
            } else {
                Examiner::new(&prefix)
            },
            octets: 0,
            most: listed
                .octets
                .map_or(MOST_OF_UNKNOWN_SIZE, |octets| octets.0.saturating_mul(FAR_BEYOND).max(LEAST_BOUND)),
            // Which of them lack it shows when it has come.
            copies: if wanted { self.network_ends.begin(prefix) } else { Copies::default() },
        });
    }

    /// The terminator has come.  What it is worth is known only with the next answer that names.
    ///
    /// # Errors
    /// When what has come is not a message but the answers to other commands.
    pub(super) fn end(&mut self, octets: u64) -> Result<(), Error> {
        let Some(incoming) = self.state.incoming.take() else { return Ok(()) };
        let IncomingMessage { job, examiner, copies, .. } = incoming;
        let (intakes, failure) = copies.end(self.network_ends);
        self.run.report(&report::Event::Arrived);
        let facts = examiner.finish();
        if facts.begins_as_answer && !self.is_alone_in_doubt() {
            self.give_up(&job, intakes);
            return Err(Error::OutOfStep);
        }
        self.ended(job, octets, facts, intakes, failure);
        Ok(())
    }

    /// Whether commands don't share a flight, and only the message that has come last is in doubt: then nothing else can
    /// have been taken for it.
    fn is_alone_in_doubt(&self) -> bool {
        !self.client.pipelines() && self.state.pipeline.in_doubt().len() == 1
    }

    fn ended(
        &mut self,
        job: Job,
        octets: u64,
        facts: Facts,
        intakes: OpenCopies,
        failure: Option<delivery::Error>,
    ) {
        let Some(listed) = self.maildrop.at(job.index) else { return };
        if let Some(e) = failure {
            self.give_up(&job, intakes);
            return self.storage_failed(&listed, e);
        }
        if intakes.is_empty() {
            // Retrieved, but there was nowhere to put it any more.
            self.give_up(&job, intakes);
            return self.not_stored(job.number);
        }
        if octets == 0 && listed.octets.is_some_and(|listed| listed.0 > 0) {
            self.give_up(&job, intakes);
            return self.state.pipeline.hold(Held::Nothing(job));
        }
        if facts.internal && job.number.get() == 1 {
            self.give_up(&job, intakes);
            self.not_stored(job.number);
            self.state.tally.folder_data = true;
            let number = job.number;
            return self
                .run
                .detail(|| format!("message {number} is the server's own internal data: left alone"));
        }
        // A window listed it before, perhaps, under another unique-id, in a session whose end was never confirmed.
        let seems_new = matches!(job.decision, Decision::Retrieve(Why::New | Why::Again));
        let new_in_window = (self.policy.window && seems_new).then_some(Why::New);
        let compares = job.decision.why_compared().or(new_in_window);
        let verdict = match compares {
            Some(why) => Some(self.comparison.whole(&listed, why, &facts)),
            None if seems_new => self.comparison.elsewhere(&facts),
            None => None,
        };
        if let Some(whole) = self.known(&job, &listed, &facts, verdict) {
            self.give_up(&job, intakes);
            return self.state.pipeline.hold(Held::Whole(job, whole));
        }
        if seems_new && self.comparison.seems_moved(&facts) {
            self.give_up(&job, intakes);
            return self.state.pipeline.hold(Held::Whole(job, Whole::Aside));
        }
        let route = self.route(&job, &listed, &facts, compares.is_some(), &intakes);
        if let (true, Some((begun, entry))) = (route.slots.is_empty(), route.continues) {
            self.give_up(&job, intakes);
            self.not_stored(job.number);
            return self.state.pipeline.hold(Held::Whole(job, Whole::Elsewhere { begun, entry }));
        }
        self.take_in(job, &listed, facts, route, intakes);
    }

    /// Discards what has come of a message, and frees its room.
    fn give_up(&mut self, job: &Job, intakes: OpenCopies) {
        intakes.into_iter().for_each(|(_, intake)| intake.abandon());
        self.state.pipeline.free_room(job.size);
    }

    /// What a comparison has found, unless that is to be delivered.
    fn known(
        &mut self,
        job: &Job,
        listed: &Listed<'_>,
        facts: &Facts,
        verdict: Option<Verdict>,
    ) -> Option<Whole> {
        let deletes = matches!(job.decision, Decision::Delete(_))
            || plan::at_once(self.policy, listed.octets).is_some();
        // Where QUIT takes away what was merely retrieved, what is left as it was delivered would be gone.
        let goes = deletes || self.client.drops_at_quit();
        match verdict {
            Some(Verdict::Same(same_as)) => {
                let key = self.key_of(listed, facts);
                return Some(Whole::Same { key, listed_size: listed.octets, same_as });
            }
            Some(Verdict::SetAside) => return Some(Whole::Aside),
            Some(Verdict::Varies(entry)) if self.comparison.may_be_deleted_mail(listed, facts) => {
                self.state.tally.withheld.push((entry, facts.digests.message));
                if self.client.drops_at_quit() {
                    // If it is other mail, QUIT would take it away unseen.
                    self.not_stored(job.number);
                }
                return Some(Whole::Varies(entry));
            }
            Some(Verdict::Varies(entry)) if !goes && !self.comparison.never_left(listed) => {
                return self.varying(entry, facts.digests.message);
            }
            _ => {}
        }
        if matches!(job.decision, Decision::Delete(_)) && self.comparison.goes_when_delivered(listed) {
            self.state.delete_when_delivered.insert(job.number);
        }
        None
    }

    /// What a message comes to that isn't what its key stands for, as the one before it, and has nothing that names it.  Other
    /// mail is the same when it's asked for again, in this session and in the next one; copies that differ each time aren't.
    fn varying(&mut self, entry: EntryId, message: Digest) -> Option<Whole> {
        if self.comparison.is_known_to_vary(entry) || self.state.pipeline.is_impossible() {
            return Some(Whole::Varies(entry));
        }
        let Some(before) = self.comparison.came.get(&entry) else {
            return Some(Whole::Twice { entry, message });
        };
        let earlier = self.comparison.withheld_of(entry);
        if *before != message || earlier.is_some_and(|earlier| earlier != message) {
            return Some(Whole::Varies(entry));
        }
        if earlier.is_some() {
            return None;
        }
        self.state.tally.withheld.push((entry, message));
        Some(Whole::Aside)
    }

    /// Every destination that is to get it has all of it now.
    fn take_in(
        &mut self,
        job: Job,
        listed: &Listed<'_>,
        facts: Facts,
        route: MessageRoute,
        intakes: OpenCopies,
    ) {
        let MessageRoute { slots, set, continues, digests, again } = route;
        let mut waiting: Vec<(usize, Waiting)> = Vec::with_capacity(intakes.len());
        let mut failure = None;
        for (slot, intake) in intakes {
            if failure.is_some() || !slots.contains(&slot) {
                intake.abandon();
                continue;
            }
            match intake.finish(&facts) {
                Ok(whole) => waiting.push((slot, whole)),
                Err(e) => failure = Some(e),
            }
        }
        let message = Arc::new(Arrival {
            id: ArrivalId::next(),
            number: job.number,
            key: self.key_of(listed, &facts),
            listed_size: listed.octets,
            octets: facts.octets,
            digests,
            headline: facts.headline,
            sender: facts.sender,
            recipient: facts.recipient,
            utf8: self.policy.utf8,
            again,
            set,
            continues: continues.map(|(begun, _)| begun),
        });
        let parcel = Parcel { message, waiting };
        if let Some(e) = failure {
            self.state.pipeline.free_room(job.size);
            self.submit(Work::Discard(parcel), 0);
            return self.storage_failed(listed, e);
        }
        // Sizes are hints: what came beyond it takes room as well.
        self.state.pipeline.grew(facts.octets.saturating_sub(job.size));
        self.state.pipeline.hold(Held::Whole(job, Whole::Parcel(parcel)));
    }

    /// A header was refused, and perhaps all of them.
    pub(super) fn no_header(&mut self, missing: bool) -> Result<(), Error> {
        // A few that have no unique-id among others that have are compared whole.
        if missing && !self.maildrop.has_unique_ids() && !self.policy.deletes_everything() {
            return Err(Error::NoIdentity { server: self.run.server() });
        }
        Ok(())
    }

    /// A header has come to its end.
    pub(super) fn end_header(&mut self) {
        let Some(IncomingHeader { job, examiner, .. }) = self.state.incoming_header.take() else { return };
        self.state.pipeline.hold(Held::Header(job, examiner.finish()));
    }

    /// The answer to a `TOP` went on beyond every measure, and the session can't go on.
    ///
    /// # Errors
    /// Always: what it ended with.
    pub(super) fn header_too_long(&mut self) -> Result<(), Error> {
        let Some(IncomingHeader { job, octets, .. }) = self.state.incoming_header.take() else {
            return Ok(());
        };
        self.state.pipeline.give_up_current();
        self.compared(job, CompareResult::Undone);
        let listed = self.maildrop.at(job.index);
        if let (Decision::Identify, Some(Who::Known(entry))) = (job.decision, listed.map(|listed| listed.who))
        {
            // Nothing is ever recognised by this one, and it isn't asked for again.
            self.submit(Work::Identify { entry, header: Digest::UNKNOWN, identity: None }, 0);
        } else if let Some(listed) = listed {
            let reason = format!("its header went on beyond {}", Octets(octets));
            self.message_failed(&listed, reason, ExitCode::Protocol);
        }
        Err(Error::Endless { number: job.number })
    }

    /// Where it goes: to all destinations that were chosen for it, or to those of them that lack it.
    fn route(
        &mut self,
        job: &Job,
        listed: &Listed<'_>,
        facts: &Facts,
        compared: bool,
        chosen: &OpenCopies,
    ) -> MessageRoute {
        let continued = self.comparison.continues(listed, facts);
        let digests = continued.as_ref().map_or(facts.digests, |continued| continued.digests);
        let begun = continued.map(|continued| continued.begun);
        let continues = begun.map(|begun| (begun.id, begun.entry));
        let is_chosen = |slot| chosen.iter().any(|(chosen, _)| *chosen == slot);
        let here = self.network_ends.ids().enumerate().filter(|(slot, _)| is_chosen(*slot));
        let (slots, set): (Vec<usize>, Vec<DestinationId>) = match begun {
            Some(Begun { set, .. }) if job.decision != Decision::Retrieve(Why::All) => (
                here.filter_map(|(slot, id)| set.contains(&(id, false)).then_some(slot)).collect(),
                set.iter().map(|(id, _)| *id).collect(),
            ),
            _ => here.unzip(),
        };
        let again = (compared && self.comparison.has_delivery(listed))
            || (continues.is_none() && self.comparison.continues_another(listed));
        MessageRoute { slots, set, continues, digests, again }
    }

    fn key_of(&self, listed: &Listed<'_>, facts: &Facts) -> Key {
        known_key(listed, self.keys).unwrap_or(Key::Header(facts.digests.header))
    }

    pub(super) fn too_long(&mut self) -> Result<(), Error> {
        let Some(incoming) = self.state.incoming.take() else { return Ok(()) };
        self.state.pipeline.give_up_current();
        let (job, octets) = (incoming.job, incoming.octets);
        incoming.copies.abandon();
        if let Some(listed) = self.maildrop.at(job.index) {
            let reason =
                format!("it was listed with {} and went on beyond {}", Octets(job.size), Octets(octets));
            self.message_failed(&listed, reason, ExitCode::Protocol);
        }
        Err(Error::Endless { number: job.number })
    }
}
