//! What becomes of messages and deletions: handed to the committer in batches, heard of again, or failed.

#[cfg(test)]
mod tests;

use std::sync::mpsc::TryRecvError;

use super::incoming::Whole;
use super::queue::{known_key, listed_as};
use super::refusal::{RefusedMessage, refuses_everything};
use super::round::{Fetch, Held};
use crate::delivery;
use crate::exit::ExitCode;
use crate::plan::{self, Decision, Listed, Who};
use crate::problem::Problem as _;
use crate::proof::{Delivered, EntryId};
use crate::report;
use crate::retrieval::Error;
use crate::retrieval::committer::{MessageOutcome, SettledMessage, Work};
use crate::retrieval::pipeline::{Ending, Job, UNKNOWN_SIZE};
use crate::types::{MessageNumber, Octets, wide};

impl Fetch<'_> {
    pub(super) fn storage_failed(&mut self, listed: &Listed<'_>, e: delivery::Error) {
        // The next run would fail at it again, and first: count it, so that it's tried last.  But it's not its own fault.
        self.count_failed(listed, e.to_string(), e.exit_code(), Blame::Last);
        self.state.tally.failure.get_or_insert(Error::Delivery(e));
    }

    /// For something that it did alone.
    pub(super) fn message_failed(&mut self, listed: &Listed<'_>, reason: String, exit: ExitCode) {
        self.count_failed(listed, reason, exit, Blame::BacksOff);
    }

    fn count_failed(&mut self, listed: &Listed<'_>, reason: String, exit: ExitCode, blame: Blame) {
        self.not_stored(listed.number);
        self.state.tally.fail(exit, &reason);
        let news = self.is_news(Some(listed.who));
        if let Who::Known(id) = listed.who {
            self.state.tally.uncertain.push(id);
        }
        if let (Some(key), true) = (known_key(listed, self.keys), blame != Blame::None) {
            let backs_off = blame == Blame::BacksOff;
            self.submit(Work::Failed { key, listed_size: listed.octets, backs_off }, 0);
        }
        self.state.tally.news |= news;
        self.run.report(&report::Event::MessageFailed { number: listed.number, reason, news });
    }

    /// It was asked for, and isn't stored; in this run it isn't asked for again.
    pub(super) fn not_stored(&mut self, number: MessageNumber) {
        self.state.tally.not_stored = true;
        self.state.tally.unstored.push(number);
    }

    /// A message was refused.  Whether that's its own matter shows when another one comes through.
    pub(super) fn confirm_refusal(&mut self, refused: RefusedMessage) {
        if self.state.tally.failure.is_some() {
            self.not_stored(refused.job.number);
            return;
        }
        // The connection didn't end at it: others have their turn at the next one.
        self.survived(&refused.job);
        if refused.job.failures > 0 && !refused.refusal.passing {
            // It failed before, for what it did alone; and those that did so follow one another.
            return self.refused_alone(&refused);
        }
        self.state.refusals.push(refused);
        if let Some(text) = refuses_everything(&self.state.refusals) {
            for refused in std::mem::take(&mut self.state.refusals) {
                self.not_stored(refused.job.number);
            }
            self.state.tally.failure = Some(Error::Refuses { text });
        }
    }

    /// The connection has not ended at this message, though it had before.
    pub(super) fn survived(&mut self, job: &Job) {
        if let (true, Some(listed)) = (job.died, self.maildrop.at(job.index)) {
            self.state.tally.survived.extend(listed_as(&listed, self.maildrop, self.keys));
        }
    }

    /// A message came through: those that were refused before it were refused alone.
    pub(super) fn one_came_through(&mut self) {
        for refused in std::mem::take(&mut self.state.refusals) {
            self.refused_alone(&refused);
        }
    }

    fn refused_alone(&mut self, refused: &RefusedMessage) {
        let Some(listed) = self.maildrop.at(refused.job.index) else { return };
        let blame = if refused.refusal.passing { Blame::Last } else { Blame::BacksOff };
        self.count_failed(&listed, refused.reason(), ExitCode::Later, blame);
    }

    /// None came through after these.  One that was asked for alone, or was refused alone before, has failed; of the
    /// others it isn't known.
    pub(super) fn last_refusals(&mut self) {
        let alone = !self.state.pipeline.standing.several;
        for refused in std::mem::take(&mut self.state.refusals) {
            if alone || refused.job.failures > 0 {
                self.refused_alone(&refused);
            } else if let Some(listed) = self.maildrop.at(refused.job.index) {
                self.count_failed(&listed, refused.reason(), ExitCode::Later, Blame::None);
            }
        }
    }

    /// Whether a message's failure is reported for the first time.
    fn is_news(&self, who: Option<Who<'_>>) -> bool {
        match who {
            Some(Who::Known(id)) => !self.failed_before.contains_key(&id),
            Some(Who::New(_)) | None => true,
            Some(Who::Nameless) => !self.some_failed_before,
        }
    }

    pub(super) fn deletion_refused(&mut self, number: MessageNumber, entry: EntryId, text: &str) {
        self.state.tally.refused.push(entry);
        self.state.tally.refusals.add(text);
        self.run.detail(|| format!("the server did not delete message {number}: {text}"));
    }

    /// The line has been quiet.  What is on its way now, or waits to be believed, may stand in a file of the batch's (an
    /// mbox's spool), which is the committer's as soon as the batch is cut: then the batch waits for it.
    pub(super) fn paused(&mut self) {
        if self.state.incoming.is_none() && !self.state.pipeline.holds() {
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
        let messages = wide(batch.len());
        self.network_ends.cut();
        self.submit(Work::Batch(batch), messages);
    }

    pub(super) fn submit(&mut self, work: Work, messages: u64) {
        // A committer that has given up reports why when it's joined; what it didn't take stays on the server.
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

    pub(super) fn settled(&mut self, settled: SettledMessage) {
        let SettledMessage { number, octets, outcome } = settled;
        self.state.committing = self.state.committing.saturating_sub(1);
        let listed = self.maildrop.find(number);
        // As much as it took when it was sent for, or when it had come.
        let room = listed.and_then(|l| l.octets).map_or(UNKNOWN_SIZE, |octets| octets.0).max(octets);
        match outcome {
            MessageOutcome::Delivered(proof) => {
                self.state.pipeline.free_room(room);
                self.state.tally.delivered = self.state.tally.delivered.saturating_add(1);
                self.state.tally.octets = self.state.tally.octets.saturating_add(octets);
                self.may_delete(listed, Some(octets), proof);
            }
            MessageOutcome::Same(proof) => self.may_delete(listed, None, proof),
            MessageOutcome::Failed(failure) => {
                self.state.pipeline.free_room(room);
                self.not_stored(number);
                self.state.tally.fail(failure.exit, &failure.reason);
                let news = self.is_news(listed.map(|listed| listed.who));
                self.state.tally.news |= news;
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
        // A header alone doesn't recognise what has no unique-id.
        let recognised = |proof: &Delivered| self.state.tally.recognised.contains_key(&proof.number());
        if let Some(proof) = proof.filter(recognised)
            && (plan::at_once(self.policy, size).is_some()
                || (octets.is_none() && due(proof.number()).is_some())
                || self.state.delete_when_delivered.contains(&proof.number()))
        {
            self.state.pipeline.delete(proof);
        }
    }

    /// The session broke off.  What was asked for since the last answer that named is void.
    pub(super) fn broke_off(&mut self, e: &Error) {
        let in_doubt = self.state.pipeline.in_doubt();
        self.state.tally.void = in_doubt.len();
        if e.is_disorder() {
            // Where commands share a flight, that may be why.
            if let ([job], false) = (in_doubt.as_slice(), self.client.pipelines())
                && let Some(listed) = self.maildrop.at(job.index)
            {
                self.state.tally.blamed = Some(job.number);
                self.state.tally.died.extend(listed_as(&listed, self.maildrop, self.keys));
                self.message_failed(&listed, e.to_string(), ExitCode::Protocol);
            }
        } else if e.ends_session() && self.state.tally.accepted.is_empty() {
            self.died();
        }
    }

    /// The connection ended: on the message that was arriving; or else on the one whose end could not be believed, or on
    /// the next.  Nobody is blamed for that alone.  They are tried last from now on; what the connection ends at again,
    /// while others come through, has failed.
    fn died(&mut self) {
        let Ending { suspects, again } = self.state.pipeline.ending();
        self.state.tally.cut_again = again;
        for (job, has_failed) in suspects {
            let Some(listed) = self.maildrop.at(job.index) else { continue };
            if has_failed {
                let reason = "the connection broke off at it, as it did before".to_owned();
                self.message_failed(&listed, reason, ExitCode::Later);
            }
            self.state.tally.died.extend(listed_as(&listed, self.maildrop, self.keys));
        }
    }

    /// Discards what isn't confirmed: it's asked for again.
    pub(super) fn abandon(&mut self) {
        if let Some(incoming) = self.state.incoming.take() {
            incoming.copies.abandon();
            self.state.tally.not_stored = true;
        }
        self.state.incoming_header = None;
        for held in self.state.pipeline.void() {
            let Held::Whole(_, whole) = held else { continue };
            self.state.tally.not_stored = true;
            if let Whole::Parcel(parcel) = whole {
                self.submit(Work::Discard(parcel), 0);
            }
        }
    }
}

/// What a failure comes to for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// It isn't known to be its own matter.
    None,
    /// It's tried last from now on.
    Last,
    /// It also waits, longer each time.
    BacksOff,
}
