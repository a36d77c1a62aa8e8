//! What becomes of messages and deletions: handed to the committer in batches, heard of again, or failed.

use std::sync::mpsc::TryRecvError;

use super::{Fetch, Job, UNKNOWN_SIZE, Whole};
use crate::delivery;
use crate::exit::ExitCode;
use crate::plan::{self, Decision, Listed, Who};
use crate::proof::Delivered;
use crate::protocol::types::{MessageNumber, Octets};
use crate::report;
use crate::retrieval::Error;
use crate::retrieval::committer::{Outcome, Settled, Work};

impl Fetch<'_> {
    pub(super) fn storage_failed(&mut self, listed: &Listed<'_>, e: delivery::Error) {
        // The next run would fail at it again, and first: count it, so that it's tried last.  But it's not its own fault.
        self.count_failed(listed, e.to_string(), e.exit_code(), false);
        self.state.tally.trouble.get_or_insert(Error::Delivery(e));
    }

    pub(super) fn message_failed(&mut self, listed: &Listed<'_>, reason: String, exit: ExitCode) {
        self.count_failed(listed, reason, exit, true);
    }

    fn count_failed(&mut self, listed: &Listed<'_>, reason: String, exit: ExitCode, backs_off: bool) {
        self.state.tally.not_stored = true;
        self.state.tally.fail(exit);
        let mut news = true;
        if let Who::Known(id) = listed.who {
            news = !self.failed_before.contains_key(&id);
            self.state.tally.uncertain.push(id);
        }
        if let Some(key) = self.known_key(listed) {
            self.submit(Work::Failed { key, listed: listed.octets, backs_off }, 0);
        }
        self.run.report(&report::Event::MessageFailed { number: listed.number, reason, news });
    }

    pub(super) fn deleted(&mut self, number: MessageNumber, refusal: Option<Vec<u8>>) {
        let Some(entry) = self.state.deleting.remove(&number) else { return };
        match refusal {
            None => self.state.tally.accepted.push(entry),
            Some(text) => {
                self.state.tally.refused.push(entry);
                let text = self.client.quote(&text);
                self.run.warn(format!("the server did not delete message {number}: {text}"));
            }
        }
    }

    /// A message that was asked for is settled; so many octets of room become free.
    pub(super) fn settled_octets(&mut self, octets: u64) {
        self.state.unsettled = self.state.unsettled.saturating_sub(octets);
        self.state.waiting = self.state.waiting.saturating_sub(1);
    }

    /// The line has been quiet.  What is on its way now, or waits to be believed, may stand in a file of the batch's (an
    /// mbox's spool), which is the committer's as soon as the batch is cut: then the batch waits for it.
    pub(super) fn paused(&mut self) {
        if self.state.arriving.is_none() && self.state.suspect.is_none() {
            self.cut();
        } else {
            self.state.cut_due = true;
        }
    }

    /// Hands the batch over.
    pub(super) fn cut(&mut self) {
        self.state.cut_due = false;
        if self.state.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.state.batch);
        self.state.batch_octets = 0;
        let messages = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        for entrance in self.entrances.iter_mut() {
            entrance.inlet.cut();
        }
        self.submit(Work::Batch(batch), messages);
    }

    pub(super) fn submit(&mut self, work: Work, messages: u64) {
        // A committer that has given up says why when it's joined; what it didn't take stays on the server.
        if self.work.as_ref().is_some_and(|sender| sender.send(work).is_ok()) {
            self.state.committing = self.state.committing.saturating_add(messages);
        }
    }

    /// # Errors
    /// When the committer has given up: the session is over, and joining it shows why.
    pub(super) fn take_reports(&mut self) -> Result<(), Error> {
        loop {
            match self.inbox.settled.try_recv() {
                Ok(settled) => self.settled(settled),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    self.state.ended = true;
                    self.state.committing = 0;
                    return if self.work.take().is_some() { Err(Error::Bug) } else { Ok(()) };
                }
            }
        }
    }

    pub(super) fn settled(&mut self, settled: Settled) {
        let Settled { number, octets, outcome } = settled;
        self.state.committing = self.state.committing.saturating_sub(1);
        let listed = self.maildrop.find(number);
        // As much as it took when it was sent for, or when it had come.
        let room = listed.and_then(|l| l.octets).map_or(UNKNOWN_SIZE, |octets| octets.0).max(octets);
        match outcome {
            Outcome::Delivered(proof) => {
                self.settled_octets(room);
                self.state.tally.delivered = self.state.tally.delivered.saturating_add(1);
                self.state.tally.octets = self.state.tally.octets.saturating_add(octets);
                self.run.report(&report::Event::Delivered { messages: 1 });
                self.may_delete(listed, Some(octets), proof);
            }
            Outcome::Same(proof) => self.may_delete(listed, None, proof),
            Outcome::Failed(failure) => {
                self.settled_octets(room);
                self.state.tally.not_stored = true;
                self.state.tally.fail(failure.exit);
                let news = match listed.map(|l| l.who) {
                    Some(Who::Known(id)) => !self.failed_before.contains_key(&id),
                    _ => true,
                };
                self.run.report(&report::Event::MessageFailed { number, reason: failure.reason, news });
            }
        }
    }

    fn may_delete(&mut self, listed: Option<Listed<'_>>, octets: Option<u64>, proof: Option<Delivered>) {
        let size = listed.and_then(|l| l.octets).or(octets.map(Octets));
        let due = |number| {
            let index = self.maildrop.index_of(number)?;
            self.decisions.get(index).filter(|decision| matches!(decision, Decision::Delete(_)))
        };
        if let Some(proof) = proof
            && (plan::at_once(self.policy, size).is_some()
                || (octets.is_none() && due(proof.number()).is_some()))
        {
            self.state.to_delete.push_back(proof);
        }
    }

    /// The line died, or the dialogue: on the message that was arriving; or else on the one whose end could not be
    /// believed, or, unless that is certain, on the next.  Which it was shows when they are tried again.
    pub(super) fn died(&mut self, broken: bool) {
        let suspects: Vec<Job> = match &self.state.arriving {
            Some(arriving) => vec![arriving.job],
            None => {
                let suspect = self.state.suspect.as_ref().map(|(job, _)| *job);
                let next = self.state.in_flight.front().copied().filter(|_| !broken || suspect.is_none());
                suspect.into_iter().chain(next).collect()
            }
        };
        for job in suspects {
            let Some(listed) = self.maildrop.at(job.index) else { continue };
            let Some(key) = self.known_key(&listed) else { continue };
            self.submit(Work::Failed { key, listed: listed.octets, backs_off: true }, 0);
            // The first time it's the line's trouble, and told as that.
            if self.failures(job.index) == 1 {
                let reason = "the connection broke off at it, as it did before".to_owned();
                self.run.report(&report::Event::MessageFailed { number: job.number, reason, news: true });
            }
        }
    }

    pub(super) fn abandon(&mut self) {
        if let Some(arriving) = self.state.arriving.take() {
            arriving.intakes.into_iter().for_each(|(_, intake)| intake.abandon());
            self.state.tally.not_stored = true;
        }
        if let Some((_, whole)) = self.state.suspect.take() {
            self.state.tally.not_stored = true;
            if let Whole::Parcel(parcel) = whole {
                self.submit(Work::Discard(parcel), 0);
            }
        }
    }
}
