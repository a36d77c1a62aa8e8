//! One message from its `+OK` to its terminator: taken in by every destination that wants it, examined on the way.

use std::sync::Arc;

use super::{Fetch, Job, Lacking};
use crate::delivery::{self, Intake, Waiting};
use crate::exit::ExitCode;
use crate::ledger::Match;
use crate::message::{Examiner, Facts};
use crate::plan::{Listed, Who};
use crate::proof::{Arrival, DestinationId, Key};
use crate::protocol::types::{MessageNumber, Octets};
use crate::report;
use crate::retrieval::Error;
use crate::retrieval::committer::{Parcel, Work};
use crate::retrieval::compare::Verdict;

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
    /// None when storing it failed, or it isn't wanted.
    pub(super) intakes: Vec<(usize, Box<dyn Intake>)>,
    pub(super) set: Vec<DestinationId>,
    pub(super) failure: Option<delivery::Error>,
}

/// What a message that has arrived comes to, once its end can be believed.
pub(super) enum Whole {
    Parcel(Parcel),
    Same { key: Key, listed: Option<Octets>, same_as: Match },
}

impl Arriving {
    pub(super) fn take(&mut self, text: &[u8]) {
        self.octets = self.octets.saturating_add(octets_of(text));
        if self.failure.is_some() {
            return;
        }
        self.examiner.update(text);
        for (_, intake) in &mut self.intakes {
            if let Err(e) = intake.write(text) {
                self.failure = Some(e);
                return;
            }
        }
    }
}

pub(super) fn octets_of(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

impl Fetch<'_> {
    pub(super) fn begin(&mut self, number: MessageNumber, refusal: Option<Vec<u8>>) -> Result<(), Error> {
        let Some(job) = self.state.in_flight.pop_front() else { return Ok(()) };
        if job.number != number {
            return self.out_of_step();
        }
        let Some(listed) = self.maildrop.at(job.index) else { return Ok(()) };
        let gone = self.state.gone.take() == Some(number);
        if gone && refusal.is_none() {
            return self.out_of_step();
        }
        if let Some(text) = refusal {
            self.settled_octets(job.size);
            let reason = self.client.refusal(&text);
            self.message_failed(&listed, reason, ExitCode::Later);
            return Ok(());
        }
        let wanted = self.state.tally.trouble.is_none();
        let lacking = match listed.who {
            Who::Known(id) => self.lacking.get(&id).cloned(),
            _ => None,
        };
        let Lacking { slots, set } = lacking.unwrap_or_else(|| Lacking {
            slots: (0..self.entrances.len()).collect(),
            set: self.entrances.iter().map(|entrance| entrance.id).collect(),
        });
        let prefix = self.run.received_line();
        let mut arriving = Arriving {
            job,
            examiner: Examiner::new(&prefix),
            octets: 0,
            most: listed
                .octets
                .map_or(FAR_BEYOND_ALL, |octets| octets.0.saturating_mul(FAR_BEYOND).max(FAR_BEYOND_FLOOR)),
            intakes: Vec::new(),
            set,
            failure: None,
        };
        if wanted {
            for slot in slots {
                let Some(entrance) = self.entrances.get_mut(slot) else { continue };
                match entrance.inlet.open() {
                    Ok(mut intake) => {
                        if !prefix.is_empty()
                            && let Err(e) = intake.write(&prefix)
                        {
                            arriving.failure = Some(e);
                        }
                        arriving.intakes.push((slot, intake));
                    }
                    Err(e) => arriving.failure = Some(e),
                }
            }
        }
        self.state.arriving = Some(arriving);
        Ok(())
    }

    /// The terminator has come.  What it is worth is known only with the next status line.
    pub(super) fn end(&mut self, octets: u64) -> Result<(), Error> {
        let Some(arriving) = self.state.arriving.take() else { return Ok(()) };
        let Arriving { job, examiner, intakes, set, failure, .. } = arriving;
        let Some(listed) = self.maildrop.at(job.index) else { return Ok(()) };
        self.run.report(&report::Event::Arrived);
        let give_up = |intakes: Vec<(usize, Box<dyn Intake>)>| {
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
            self.state.tally.not_stored = true;
            return Ok(());
        }
        let facts = examiner.finish();
        if octets == 0 && listed.octets.is_some_and(|listed| listed.0 > 0) {
            give_up(intakes);
            self.settled_octets(job.size);
            let reason = "the server sent nothing of it".to_owned();
            self.message_failed(&listed, reason, ExitCode::Later);
            return Ok(());
        }
        if facts.internal {
            give_up(intakes);
            self.settled_octets(job.size);
            self.run
                .detail(|| format!("message {} is the server's own book-keeping: left alone", job.number));
            return Ok(());
        }
        let key = self.key_of(&listed, &facts);
        let verdict = job.decision.compares().map(|why| self.comparison.whole(&listed, why, &facts));
        match verdict {
            Some(Verdict::Same(same_as)) => {
                give_up(intakes);
                self.settled_octets(job.size);
                self.state.suspect = Some((job, Whole::Same { key, listed: listed.octets, same_as }));
                return Ok(());
            }
            Some(Verdict::SetAside) => {
                give_up(intakes);
                self.settled_octets(job.size);
                self.state.tally.not_stored = true;
                return Ok(());
            }
            _ => {}
        }
        let mut waiting: Vec<(usize, Waiting)> = Vec::with_capacity(intakes.len());
        let mut failure = None;
        for (slot, intake) in intakes {
            if failure.is_some() {
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
            again: verdict.is_some() && matches!(listed.who, Who::Known(_)),
            set,
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
        self.state.suspect = Some((job, Whole::Parcel(parcel)));
        Ok(())
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
        arriving.intakes.into_iter().for_each(|(_, intake)| intake.abandon());
        if let Some(listed) = self.maildrop.at(job.index) {
            let reason =
                format!("it was listed with {} and went on beyond {}", Octets(job.size), Octets(octets));
            self.message_failed(&listed, reason, ExitCode::Protocol);
        }
        Err(Error::Endless { number: job.number })
    }
}
