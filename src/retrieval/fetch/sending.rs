//! What is sent next: a question, a deletion, or the next message, as far as window, room and the session's limits allow.

use std::cmp::Reverse;

use super::naming::Expected;
use super::standing::{Header, Standing};
use super::{
    Ask, Choice, CompareResult, FIRST_HEADERS, Fetch, Job, MOST_DELETIONS, MOST_TO_HAND_OVER, MOST_WAITING,
    ROOM, State, UNKNOWN_SIZE,
};
use crate::plan::{self, Decision, Listed, Who};
use crate::proof::{Delivered, Key};
use crate::report;
use crate::retrieval::Error;
use crate::retrieval::committer::Work;
use crate::retrieval::compare::Comparison;
use crate::types::{Octets, UniqueIdBuf};

impl Fetch<'_> {
    pub(super) fn fill(&mut self) -> Result<(), Error> {
        if !self.client.is_low() || self.state.tally.over {
            return Ok(());
        }
        while self.client.has_window() {
            if self.is_impossible() && self.state.is_in_doubt() && !self.state.alone {
                return Err(Error::NothingNames);
            }
            let pipelines = self.client.pipelines();
            if self.trial_is_due() || self.question_is_due() {
                self.send_question()?;
            } else if pipelines && let Some(delivered) = self.next_deletion() {
                self.send_delete(&delivered)?;
            } else if let Some(job) = self.affordable() {
                self.state.next = None;
                self.send_job(job)?;
            } else if let Some(delivered) = self.next_deletion() {
                self.send_delete(&delivered)?;
            } else if self.state.uncovered.0 > 0 && !self.is_impossible() {
                self.send_question()?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn next_deletion(&mut self) -> Option<Delivered> {
        if self.deletions_wait() { None } else { self.state.to_delete.pop_front() }
    }

    /// Whether deletions wait for the last question of the session: the round that asks none sends them.
    pub(super) fn deletions_wait(&self) -> bool {
        !self.decisions.is_empty() && self.state.tally.standing.naming.counts()
    }

    pub(super) fn is_impossible(&self) -> bool {
        self.state.tally.standing.naming.is_impossible()
    }

    /// Before the first message it must be known which question the server can answer.  Where commands share a flight, the
    /// first question goes with the first message; else its answer is awaited.
    fn trial_is_due(&mut self) -> bool {
        let naming = &self.state.tally.standing.naming;
        let due = naming.needs_trial() || (naming.is_on_trial() && !self.client.pipelines());
        due && !self.state.is_in_doubt() && self.upcoming().is_some()
    }

    fn question_is_due(&self) -> bool {
        let (messages, octets) = self.state.uncovered;
        let due = self.state.question_due || self.state.tally.standing.pace.is_due(messages, octets);
        due && messages > 0 && !self.is_impossible()
    }

    /// Asks what only the server can know that holds this maildrop.
    fn send_question(&mut self) -> Result<(), Error> {
        let Standing { naming, pace, gone, last, .. } = &mut self.state.tally.standing;
        let choice = Choice { maildrop: self.maildrop, keys: &self.keys, sample: &self.sample, gone };
        let Some(question) = naming.ask(&choice, *last) else { return Ok(()) };
        if self.state.uncovered.0 > 0 {
            pace.asked();
        }
        self.state.uncovered = (0, 0);
        self.state.question_due = false;
        self.charge(1);
        match (question.expected, question.number) {
            (Expected::UniqueId(_), Some(number)) => self.client.unique_id_of(number)?,
            (Expected::Size(_), Some(number)) => self.client.list_one(number)?,
            (Expected::DropListing, _) | (_, None) => self.client.drop_listing()?,
        }
        Ok(())
    }

    fn charge(&mut self, commands: u32) {
        let charged = &mut self.state.tally.standing.charged;
        *charged = charged.saturating_add(commands);
    }

    fn send_delete(&mut self, delivered: &Delivered) -> Result<(), Error> {
        let number = delivered.number();
        let Some(recognised) = self.state.tally.recognised.get(&number) else { return Ok(()) };
        self.client.delete(delivered, recognised)?;
        self.state.tally.standing.gone.insert(number);
        self.state.deleting.insert(number, delivered.entry());
        Ok(())
    }

    fn send_job(&mut self, job: Job) -> Result<(), Error> {
        let size = match job.ask {
            Ask::Header => {
                self.client.top(job.number)?;
                self.state.tally.standing.header.in_flight += 1;
                0
            }
            Ask::Whole => {
                self.client.retrieve(job.number)?;
                if !job.counted {
                    // Whether it may come was asked when it was chosen.
                    let _ = self.state.allowance.take(Octets(job.size));
                }
                self.state.unsettled = self.state.unsettled.saturating_add(job.size);
                self.state.waiting = self.state.waiting.saturating_add(1);
                self.state.tally.retrieved = true;
                job.size
            }
        };
        self.state.in_flight.push_back(job);
        let (messages, octets) = self.state.uncovered;
        self.state.uncovered = (messages.saturating_add(1), octets.saturating_add(size));
        // A program starts with the first message, and what has failed before must not put others in doubt.
        self.state.question_due = self.run.hands_over || self.comes_last(job.index);
        self.state.alone = self.is_impossible();
        let deletes = self.policy.deletes() || matches!(job.decision, Decision::Delete(_));
        self.charge(if deletes { 2 } else { 1 });
        let standing = &mut self.state.tally.standing;
        standing.last = Some(job.number);
        if job.decision.compares().is_some() && (standing.budget.is_some() || !standing.died.is_empty()) {
            self.state.tally.begun.insert(job.number);
        }
        standing.asked = standing.asked.saturating_add(1);
        Ok(())
    }

    fn affordable(&mut self) -> Option<Job> {
        let job = self.upcoming()?;
        if self.is_impossible() {
            return (!self.state.is_in_doubt() && self.client.outstanding() == 0).then_some(job);
        }
        let fits = match job.ask {
            Ask::Header => {
                let Header { given, in_flight, .. } = self.state.tally.standing.header;
                given || in_flight < FIRST_HEADERS
            }
            Ask::Whole => {
                let most = if self.run.hands_over { MOST_TO_HAND_OVER } else { MOST_WAITING };
                let room = self.state.waiting < most && self.state.unsettled.saturating_add(job.size) <= ROOM;
                room || self.state.waiting == 0
            }
        };
        // Should the line die on it again, no other is in doubt for its sake.
        let alone = self.client.outstanding() == 0 && !self.state.is_in_doubt();
        (fits && (alone || !self.comes_last(job.index))).then_some(job)
    }

    /// The next message to be asked for, if there is to be one.
    pub(super) fn upcoming(&mut self) -> Option<Job> {
        if self.state.stopping || self.state.tally.trouble.is_some() || self.work.is_none() {
            return None;
        }
        loop {
            if self.state.next.is_none() {
                self.state.next = self.state.again.pop_front().or_else(|| self.next_job());
            }
            let job = self.state.next?;
            match self.permitted(job) {
                Permit::Now(job) => {
                    self.state.next = Some(job);
                    return Some(job);
                }
                Permit::LaterSession => {
                    self.state.next = None;
                    self.state.tally.cut_short = true;
                }
                Permit::FirstOnly => {
                    self.state.next = None;
                    self.state.tally.left_alone = true;
                }
                Permit::WhenCounted if self.state.is_in_doubt() => return None,
                Permit::Never | Permit::WhenCounted => {
                    self.state.next = None;
                    self.too_large(job);
                    self.compared(job, CompareResult::Undone);
                }
            }
        }
    }

    fn permitted(&self, mut job: Job) -> Permit {
        let Standing { header, charged, budget, died, gone, asked, .. } = &self.state.tally.standing;
        // One message is done to its end, whatever the limit is.
        let begun = self.is_begun(&job);
        let spent = budget.is_some_and(|budget| charged.saturating_add(3) > budget && *charged > 0 && !begun);
        let deletions = gone.len() + self.state.to_delete.len() + self.state.tally.waiting.len();
        if self.state.alone || deletions >= MOST_DELETIONS || spent {
            return Permit::LaterSession;
        }
        // Should the line end at it again, nothing else hangs on that, and it isn't for the length of the session.
        if *asked > 0 && !begun && !died.is_empty() && self.has_died(job.index) {
            return Permit::FirstOnly;
        }
        if self.is_impossible() {
            if matches!(job.decision, Decision::Delete(_)) {
                return Permit::Never;
            }
            job.ask = Ask::Whole;
        }
        // Where commands are few, what was compared whole isn't looked at by its header again.
        let whole = budget.is_some() && self.state.tally.aside.contains(&job.number);
        if job.ask == Ask::Header && (header.is_missing() || whole) {
            job.ask = Ask::Whole;
        }
        if job.ask == Ask::Whole && !job.counted {
            if self.is_too_large(job) {
                return Permit::Never;
            }
            if self.state.allowance.clone().take(Octets(job.size)).is_err() {
                return Permit::WhenCounted;
            }
        }
        Permit::Now(job)
    }

    /// Whether this session has asked for it already, by its header or to compare it.
    fn is_begun(&self, job: &Job) -> bool {
        self.state.tally.begun.contains(&job.number)
    }

    /// Whether every message that is to be retrieved has been, and the committer has told what became of it.
    pub(super) fn all_is_settled(&mut self) -> bool {
        let State { batch, committing, .. } = &self.state;
        let settled = batch.is_empty() && *committing == 0 && !self.state.is_in_doubt();
        settled && self.upcoming().is_none()
    }

    pub(super) fn failures(&self, index: usize) -> u16 {
        match self.maildrop.at(index).map(|listed| listed.who) {
            Some(Who::Known(id)) => self.failed_before.get(&id).copied().unwrap_or(0),
            _ => 0,
        }
    }

    pub(super) fn has_died(&self, index: usize) -> bool {
        let Some(listed) = self.maildrop.at(index) else { return false };
        self.unique_id(&listed).is_some_and(|unique_id| self.state.tally.standing.died.contains(&unique_id))
    }

    /// What failed before, or had the line die on it, never keeps the others waiting.
    fn comes_last(&self, index: usize) -> bool {
        self.failures(index) > 0 || (!self.state.tally.standing.died.is_empty() && self.has_died(index))
    }

    fn is_too_large(&self, job: Job) -> bool {
        let listed = self.maildrop.at(job.index).and_then(|listed| listed.octets);
        plan::is_too_large(listed, self.policy)
    }

    /// A message that is none of those that we have, as far as its header tells, and is too large to be retrieved.
    fn too_large(&mut self, job: Job) {
        let Some(listed) = self.maildrop.at(job.index) else { return };
        if let (Who::New(unique_id), true) = (listed.who, self.is_too_large(job)) {
            let key = Key::UniqueId(unique_id.to_buf());
            self.submit(Work::TooLarge { key, listed: listed.octets }, 0);
            let octets = listed.octets.unwrap_or_default();
            self.run.report(&report::Event::TooLarge { number: job.number, octets });
        }
    }

    pub(super) fn unique_id(&self, listed: &Listed<'_>) -> Option<UniqueIdBuf> {
        match self.known_key(listed) {
            Some(Key::UniqueId(unique_id)) => Some(unique_id),
            Some(Key::Header(_)) | None => None,
        }
    }

    fn next_job(&mut self) -> Option<Job> {
        let index = self.next_index()?;
        let decision = self.decisions.get(index).copied()?;
        let listed = self.maildrop.at(index)?;
        let size = listed.octets.map_or(UNKNOWN_SIZE, |octets| octets.0);
        let by_header = decision
            .compares()
            .is_some_and(|why| Comparison::asks_header(why, self.policy.deletes_everything()));
        let ask = if by_header { Ask::Header } else { Ask::Whole };
        let counted = decision.compares().is_none();
        Some(Job { index, number: listed.number, decision, size, ask, counted })
    }

    /// In the order of the listing; then what comes last, by how often it has failed.
    fn next_index(&mut self) -> Option<usize> {
        while let Some(decision) = self.decisions.get(self.state.cursor) {
            let index = self.state.cursor;
            self.state.cursor = index.saturating_add(1);
            if matches!(decision, Decision::Leave(_)) {
                continue;
            }
            if !self.comes_last(index) {
                return Some(index);
            }
            self.state.last.push(Reverse((self.has_died(index), self.failures(index), index)));
        }
        self.state.last.pop().map(|Reverse((_, _, index))| index)
    }
}

enum Permit {
    /// Perhaps by another command than was thought.
    Now(Job),
    /// This session may do no more.
    LaterSession,
    /// A session must begin with it.
    FirstOnly,
    /// It can't be compared.
    Never,
    /// If it is other mail, a limit of the run forbids it; unless what is on its way proves to be known.
    WhenCounted,
}
