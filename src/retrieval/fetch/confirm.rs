//! The one place that decides what is confirmed.
//!
//! What has arrived is held until an answer that names has followed it.  Only then is it stored, compared with what we
//! have, and recognised: [`Recognised`] is made here and nowhere else.

#[cfg(test)]
mod tests;

use super::incoming::Whole;
use super::queue::known_key;
use super::round::{Fetch, Held};
use super::tally::{CompareResult, Compared};
use crate::exit::ExitCode;
use crate::message::{Digest, Facts};
use crate::plan::compare::Verdict;
use crate::plan::{Decision, Who, Why};
use crate::proof::{EntryId, Key, Recognised};
use crate::retrieval::Error;
use crate::retrieval::committer::Work;
use crate::retrieval::pipeline::standing::{BATCH_MESSAGES, BATCH_OCTETS};
use crate::retrieval::pipeline::{Ask, Job};
use crate::types::Octets;

impl Fetch<'_> {
    /// An answer that names has come: everything before it was what it seemed.  Nothing is stored, compared or recognised
    /// but here.
    pub(super) fn confirm(&mut self, released: Vec<Held>) {
        for held in released {
            match held {
                Held::Whole(job, whole) => self.confirm_whole(job, whole),
                Held::Header(job, facts) => self.confirm_header(job, &facts),
                Held::Refused(refused) => self.confirm_refusal(refused),
                Held::Nothing(job) => {
                    if let Some(listed) = self.maildrop.at(job.index) {
                        let reason = "the server sent nothing of it".to_owned();
                        self.message_failed(&listed, reason, ExitCode::Later);
                    }
                }
            }
        }
        // Questions cover twice as many messages each time, up to a batch: what the next one releases would not fit into a
        // batch that is more than half full.
        let full = self.state.batch.len() > BATCH_MESSAGES / 2 || self.state.batch_octets > BATCH_OCTETS / 2;
        let eager = self.run.hands_over || self.state.cut_due;
        if full || (eager && self.state.committing == 0) {
            self.cut();
        }
    }

    fn confirm_whole(&mut self, job: Job, whole: Whole) {
        self.one_came_through();
        self.survived(&job);
        let number = job.number;
        self.state.pipeline.standing.aside.remove(&number);
        match whole {
            Whole::Parcel(_) | Whole::Same { .. } => self.recognise(&job),
            // Neither delivered nor what was: nothing of it may be deleted on the strength of this.
            Whole::Aside | Whole::Elsewhere { .. } | Whole::Twice { .. } | Whole::Varies(_) => {}
        }
        match whole {
            Whole::Parcel(parcel) => {
                if job.decision.why_compared().is_some() {
                    self.compared(job, CompareResult::Failed);
                }
                self.state.tally.which_delivery.insert(number, parcel.message.digests.message);
                self.state.batch_octets = self.state.batch_octets.saturating_add(parcel.message.octets);
                self.state.batch.push(parcel);
            }
            Whole::Same { key, listed_size, same_as } => {
                self.state.pipeline.allowance.give_back(Octets(job.size));
                self.matched(&job, same_as.entry, same_as.message);
                self.state.tally.which_delivery.extend(same_as.message.map(|copy| (number, copy)));
                self.submit(Work::Same { number, key, listed_size, same_as }, 1);
            }
            Whole::Aside => {
                self.state.pipeline.allowance.give_back(Octets(job.size));
                self.state.pipeline.standing.aside.insert(number);
                self.compared(job, CompareResult::Failed);
            }
            Whole::Elsewhere { begun, entry } => {
                // If its former key is listed as well, this may be a second copy.
                let has_moved = self.maildrop.times_listed(entry) == 0;
                let listed = self.maildrop.at(job.index).filter(|_| has_moved);
                if let Some(unique_id) = listed.and_then(|listed| listed.new_unique_id()) {
                    let key = Key::UniqueId(unique_id.to_buf());
                    self.submit(Work::Renamed { begun, key }, 0);
                }
                self.state.pipeline.allowance.give_back(Octets(job.size));
                self.state.tally.elsewhere.push(entry);
                if job.decision.why_compared().is_some() {
                    self.compared(job, CompareResult::Undone);
                }
            }
            Whole::Twice { entry, message } => {
                self.state.pipeline.allowance.give_back(Octets(job.size));
                self.comparison.came.insert(entry, message);
                self.state.pipeline.again(job);
            }
            Whole::Varies(entry) => {
                self.state.pipeline.allowance.give_back(Octets(job.size));
                self.matched(&job, entry, None);
                if self.comparison.is_known_to_vary(entry) {
                    return;
                }
                self.submit(Work::Varies { entry }, 0);
                self.run.warn(format!(
                    "message {number} comes with other contents each time: it is left as it was delivered, and not \
                     compared again"
                ));
            }
        }
    }

    fn confirm_header(&mut self, job: Job, facts: &Facts) {
        let Some(listed) = self.maildrop.at(job.index) else { return };
        if let (Decision::Identify, Who::Known(entry)) = (job.decision, listed.who) {
            let (header, identity) = (facts.digests.header, facts.digests.identity);
            self.submit(Work::Identify { entry, header, identity }, 0);
            self.survived(&job);
            return self.matched(&job, entry, None);
        }
        let Some(why) = job.decision.why_compared() else { return };
        match self.comparison.by_header(&listed, why, facts, self.policy.deletes_everything()) {
            Verdict::Same(same_as) => {
                self.survived(&job);
                // A header is not enough to delete what has no unique-id.
                if listed.who != Who::Nameless {
                    self.recognise(&job);
                }
                self.matched(&job, same_as.entry, same_as.message);
                self.state.tally.which_delivery.extend(same_as.message.map(|copy| (job.number, copy)));
                let header = self.comparison.delivered_header(facts.digests.header, &same_as);
                let key = known_key(&listed, self.keys).unwrap_or(Key::Header(header));
                self.submit(Work::Same { number: job.number, key, listed_size: listed.octets, same_as }, 1);
            }
            // `TOP` may give another header than `RETR`: that it is other mail shows only when the whole was compared.
            Verdict::Another | Verdict::NeedsBody | Verdict::SetAside | Verdict::Varies(_) => {
                self.state.pipeline.again(Job { ask: Ask::Whole, ..job });
            }
        }
    }

    /// The message under this number is what was asked for: it may be deleted once we have it.
    fn recognise(&mut self, job: &Job) {
        let Some(listed) = self.maildrop.at(job.index) else { return };
        let known = match listed.who {
            Who::Known(id) => Some(id),
            Who::New(_) | Who::Nameless => None,
        };
        if self.policy.deletes() {
            let recognised = Recognised::attest(self.client.session(), job.number, known);
            self.state.tally.recognised.insert(job.number, recognised);
        }
    }

    /// It is a message that we have: this one of the entry's, if it's known which.
    fn matched(&mut self, job: &Job, entry: EntryId, message: Option<Digest>) {
        let (number, result) = (job.number, CompareResult::Matched);
        let is_own = self.maildrop.at(job.index).is_some_and(|listed| listed.who == Who::Known(entry));
        // Where unique-ids move, it may be another one that we have, which was never deleted.
        if job.decision == Decision::Compare(Why::CameBack)
            && is_own
            && self.comparison.is_last_of_key(entry, message)
        {
            self.state.tally.not_deleted = self.state.tally.not_deleted.saturating_add(1);
        }
        self.state.tally.compared.push(Compared { number, entry: Some(entry), result });
    }

    pub(super) fn compared(&mut self, job: Job, result: CompareResult) {
        let entry = match self.maildrop.at(job.index).map(|listed| listed.who) {
            Some(Who::Known(id)) => Some(id),
            _ => None,
        };
        if result == CompareResult::Undone {
            self.state.tally.uncertain.extend(entry);
        }
        self.state.tally.compared.push(Compared { number: job.number, entry, result });
    }

    /// No answer names a message here: the one that was retrieved is what it seemed if `QUIT` is answered in step.
    pub(super) fn end_alone(&mut self) -> Result<(), Error> {
        if self.client.drops_at_quit() {
            return Err(Error::NotSafe);
        }
        // There may be more, for the next session.
        self.upcoming();
        self.client.quit_in_step().map_err(|e| if e.ends_session() { e.into() } else { Error::OutOfStep })?;
        self.state.tally.over = true;
        let released = self.state.pipeline.release();
        self.confirm(released);
        self.last_refusals();
        self.cut();
        self.work = None;
        while let Ok(settled) = self.inbox.settled.recv() {
            self.settled(settled);
        }
        Ok(())
    }
}
