//! One message from its `+OK` to its terminator: taken in by every destination that wants it, examined on the way.

use std::sync::Arc;

use super::refusal::{Refusal, Refused};
use super::{Ask, CompareResult, Fetch, Held, Job};
use crate::delivery::Waiting;
use crate::delivery::routing::{Copies, NetworkEnds, OpenCopies};
use crate::exit::ExitCode;
use crate::ledger::{Begun, Match};
use crate::message::{Examiner, Facts};
use crate::plan::{self, Decision, Listed, Who, Why};
use crate::proof::{Arrival, BegunId, DestinationId, EntryId, Key};
use crate::protocol::limits::LONGEST_HEADER;
use crate::report;
use crate::retrieval::Error;
use crate::retrieval::committer::{Parcel, Work};
use crate::retrieval::compare::Verdict;
use crate::types::Octets;

/// A message may grow to sixteen times its listed size,
const FAR_BEYOND: u64 = 16;
/// but at least to this;
const FAR_BEYOND_FLOOR: u64 = 64 << 20;
/// and to this where its size isn't known.
const FAR_BEYOND_ALL: u64 = 4 << 30;

/// A message that is arriving.
pub(super) struct Arriving {
    pub(super) job: Job,
    pub(super) examiner: Examiner,
    pub(super) octets: u64,
    pub(super) most: u64,
    /// None of it where it isn't wanted any more.
    pub(super) copies: Copies,
}

/// A header that is arriving.
pub(super) struct Heading {
    pub(super) job: Job,
    examiner: Examiner,
    octets: u64,
}

impl Heading {
    /// `false` when this is too long for a header.
    pub(super) fn take(&mut self, text: &[u8]) -> bool {
        self.octets = self.octets.saturating_add(octets_of(text));
        self.examiner.update(text);
        usize::try_from(self.octets).is_ok_and(|octets| octets <= LONGEST_HEADER)
    }
}

/// What a message that has arrived comes to, once its end can be believed.
pub(super) enum Whole {
    Parcel(Parcel),
    Same {
        key: Key,
        listed: Option<Octets>,
        same_as: Match,
    },
    /// It isn't what its key says: what it is shows when all that is known has been compared.
    Aside,
    /// The server's copies of this entry's message differ each time.
    Varies(EntryId),
    /// Only destinations that this run doesn't have lack it.
    Elsewhere(EntryId),
}

/// Where a message goes that has arrived.
struct Route {
    /// Those destinations of this run that are to get it, by their places in the list.
    slots: Vec<usize>,
    /// All that must have it.
    set: Vec<DestinationId>,
    /// The delivery that it continues, and the entry of that.
    continues: Option<(BegunId, EntryId)>,
}

impl Arriving {
    pub(super) fn take(&mut self, text: &[u8], ends: &mut NetworkEnds) {
        self.octets = self.octets.saturating_add(octets_of(text));
        if !self.copies.have_failed() {
            self.examiner.update(text);
            self.copies.write(text, ends);
        }
    }
}

pub(super) fn octets_of(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

impl Fetch<'_> {
    /// The answer to the `RETR` that stands first has begun.
    pub(super) fn begin(&mut self, refusal: Option<Refusal>) -> Result<(), Error> {
        let Some(job) = self.state.in_flight.pop_front() else { return Ok(()) };
        if let Some(refusal) = refusal {
            self.settled_octets(job.size);
            self.state.done.push(job);
            self.state.held.push(Held::Refused(Refused { job, refusal }));
            return Ok(());
        }
        let Some(listed) = self.maildrop.at(job.index) else { return Ok(()) };
        let wanted = self.state.tally.trouble.is_none();
        let prefix = self.run.received_line();
        self.state.arriving = Some(Arriving {
            job,
            examiner: Examiner::new(&prefix),
            octets: 0,
            most: listed
                .octets
                .map_or(FAR_BEYOND_ALL, |octets| octets.0.saturating_mul(FAR_BEYOND).max(FAR_BEYOND_FLOOR)),
            // Which of them lack it shows when it has come.
            copies: if wanted { self.entrances.begin(prefix) } else { Copies::default() },
        });
        Ok(())
    }

    /// The terminator has come.  What it is worth is known only with the next answer that names.
    pub(super) fn end(&mut self, octets: u64) -> Result<(), Error> {
        let Some(arriving) = self.state.arriving.take() else { return Ok(()) };
        let Arriving { job, examiner, copies, .. } = arriving;
        let (intakes, failure) = copies.end(self.entrances);
        self.state.done.push(job);
        let Some(listed) = self.maildrop.at(job.index) else { return Ok(()) };
        self.run.report(&report::Event::Arrived);
        let give_up = |intakes: OpenCopies| {
            intakes.into_iter().for_each(|(_, intake)| intake.abandon());
        };
        if let Some(e) = failure {
            give_up(intakes);
            self.settled_octets(job.size);
            self.storage_failed(&listed, e);
            return Ok(());
        }
        if intakes.is_empty() {
            // Retrieved, but there was nowhere to put it any more.
            self.settled_octets(job.size);
            self.not_stored(job.number);
            return Ok(());
        }
        let facts = examiner.finish();
        if octets == 0 && listed.octets.is_some_and(|listed| listed.0 > 0) {
            give_up(intakes);
            self.settled_octets(job.size);
            self.state.held.push(Held::Nothing(job));
            return Ok(());
        }
        if facts.internal && job.number.get() == 1 {
            give_up(intakes);
            self.settled_octets(job.size);
            self.not_stored(job.number);
            self.state.tally.folder_data = true;
            self.run
                .detail(|| format!("message {} is the server's own book-keeping: left alone", job.number));
            return Ok(());
        }
        let key = self.key_of(&listed, &facts);
        let verdict = job.decision.compares().map(|why| self.comparison.whole(&listed, why, &facts));
        let deletes = matches!(job.decision, Decision::Delete(_))
            || plan::at_once(self.policy, listed.octets).is_some();
        let settled = match verdict {
            Some(Verdict::Same(same_as)) => {
                Some(Whole::Same { key: key.clone(), listed: listed.octets, same_as })
            }
            Some(Verdict::SetAside) => Some(Whole::Aside),
            Some(Verdict::Varies(entry)) if !deletes || self.comparison.never_left(&listed) => {
                Some(Whole::Varies(entry))
            }
            _ => None,
        };
        if let Some(whole) = settled {
            give_up(intakes);
            self.settled_octets(job.size);
            self.state.held.push(Held::Whole(job, whole));
            return Ok(());
        }
        if deletes && self.comparison.goes_when_delivered(&listed) {
            self.state.delete_when_delivered.insert(job.number);
        }
        let chosen: Vec<usize> = intakes.iter().map(|(slot, _)| *slot).collect();
        let Route { slots, set, continues } = self.route(&job, &listed, &facts, &chosen);
        if let (true, Some((_, entry))) = (slots.is_empty(), continues) {
            give_up(intakes);
            self.settled_octets(job.size);
            self.not_stored(job.number);
            self.state.held.push(Held::Whole(job, Whole::Elsewhere(entry)));
            return Ok(());
        }
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
            number: job.number,
            key,
            listed: listed.octets,
            octets: facts.octets,
            digests: facts.digests,
            sender: facts.sender,
            recipient: facts.recipient,
            utf8: self.policy.utf8,
            again: verdict.is_some() && self.comparison.has_delivery(&listed)
                || continues.is_none() && self.comparison.continues_another(&listed),
            set,
            continues: continues.map(|(begun, _)| begun),
        });
        let parcel = Parcel { message, waiting };
        if let Some(e) = failure {
            self.settled_octets(job.size);
            self.submit(Work::Discard(parcel), 0);
            self.storage_failed(&listed, e);
            return Ok(());
        }
        // Sizes are hints: what came beyond it takes room as well.
        self.state.unsettled = self.state.unsettled.saturating_add(facts.octets.saturating_sub(job.size));
        self.state.held.push(Held::Whole(job, Whole::Parcel(parcel)));
        Ok(())
    }

    /// The answer to the `TOP` that stands first has begun.
    pub(super) fn begin_header(&mut self, given: bool) -> Result<(), Error> {
        let Some(job) = self.state.in_flight.pop_front() else { return Ok(()) };
        let header = &mut self.state.tally.standing.header;
        if given {
            self.state.heading = Some(Heading { job, examiner: Examiner::new(b""), octets: 0 });
            return Ok(());
        }
        header.in_flight = header.in_flight.saturating_sub(1);
        header.refused = header.refused.saturating_add(1);
        self.state.done.push(job);
        // A few that have no unique-id among others that have are compared whole.
        if header.is_missing() && !self.maildrop.has_unique_ids() && !self.policy.deletes_everything() {
            return Err(Error::NoIdentity { server: self.run.server() });
        }
        // A refusal proves nothing.
        self.state.again.push_back(Job { ask: Ask::Whole, ..job });
        Ok(())
    }

    /// A header has come to its end.
    pub(super) fn end_header(&mut self) {
        let Some(Heading { job, examiner, .. }) = self.state.heading.take() else { return };
        let header = &mut self.state.tally.standing.header;
        header.in_flight = header.in_flight.saturating_sub(1);
        header.given = true;
        self.state.done.push(job);
        self.state.held.push(Held::Header(job, examiner.finish()));
    }

    pub(super) fn header_too_long(&mut self) -> Result<(), Error> {
        let Some(Heading { job, octets, .. }) = self.state.heading.take() else { return Ok(()) };
        self.compared(job, CompareResult::Undone);
        if let Some(listed) = self.maildrop.at(job.index) {
            let reason = format!("its header went on beyond {}", Octets(octets));
            self.message_failed(&listed, reason, ExitCode::Protocol);
        }
        Err(Error::Endless { number: job.number })
    }

    /// Where it goes: to all destinations that were chosen for it, or to those that lack it.
    fn route(&mut self, job: &Job, listed: &Listed<'_>, facts: &Facts, chosen: &[usize]) -> Route {
        let begun = self.comparison.continues(listed, facts);
        let continues = begun.map(|begun| (begun.id, begun.entry));
        let here = self.entrances.ids().enumerate().filter(|(slot, _)| chosen.contains(slot));
        match begun {
            Some(Begun { set, .. }) if job.decision != Decision::Retrieve(Why::All) => Route {
                slots: here.filter_map(|(slot, id)| set.contains(&(id, false)).then_some(slot)).collect(),
                set: set.iter().map(|(id, _)| *id).collect(),
                continues,
            },
            _ => {
                let (slots, set) = here.unzip();
                Route { slots, set, continues }
            }
        }
    }

    fn key_of(&self, listed: &Listed<'_>, facts: &Facts) -> Key {
        self.known_key(listed).unwrap_or(Key::Header(facts.digests.header))
    }

    /// The key that a message has before it is retrieved.
    pub(super) fn known_key(&self, listed: &Listed<'_>) -> Option<Key> {
        match listed.who {
            Who::New(unique_id) => Some(Key::UniqueId(unique_id.to_buf())),
            Who::Known(id) => self.keys.get(&id).cloned(),
            Who::Nameless => None,
        }
    }

    pub(super) fn too_long(&mut self) -> Result<(), Error> {
        let Some(arriving) = self.state.arriving.take() else { return Ok(()) };
        let (job, octets) = (arriving.job, arriving.octets);
        arriving.copies.abandon();
        if let Some(listed) = self.maildrop.at(job.index) {
            let reason =
                format!("it was listed with {} and went on beyond {}", Octets(job.size), Octets(octets));
            self.message_failed(&listed, reason, ExitCode::Protocol);
        }
        Err(Error::Endless { number: job.number })
    }
}
