//! What is sent.

use super::round::{Choice, Fetch};
use super::tally::CompareResult;
use crate::plan::Who;
use crate::proof::{Delivered, Key};
use crate::report;
use crate::retrieval::Error;
use crate::retrieval::committer::Work;
use crate::retrieval::pipeline::naming::{ExpectedName, NamingQuestion};
use crate::retrieval::pipeline::{Ask, Job, Readiness, Send};

impl Fetch<'_> {
    /// Sends what may be sent now.
    pub(super) fn fill(&mut self) -> Result<(), Error> {
        if !self.client.is_low() || self.state.tally.over {
            return Ok(());
        }
        self.close_or_open();
        while self.client.has_window() {
            let line =
                Readiness { pipelines: self.client.pipelines(), at_rest: self.client.outstanding() == 0 };
            let choice = Choice { maildrop: self.maildrop, keys: self.keys, sample: &self.sample };
            let next = self.state.pipeline.next(line, &choice);
            self.report_skipped();
            match next.map_err(|_| Error::NothingNames)? {
                Some(next) => self.send(next)?,
                None => break,
            }
        }
        Ok(())
    }

    fn send(&mut self, next: Send<Delivered>) -> Result<(), Error> {
        match next {
            Send::Question(NamingQuestion { expected, number }) => match (expected, number) {
                (ExpectedName::UniqueId(_), Some(number)) => self.client.unique_id_of(number)?,
                (ExpectedName::Size(_), Some(number)) => self.client.list_one(number)?,
                (ExpectedName::DropListing, _) | (_, None) => self.client.drop_listing()?,
            },
            Send::Ask(Job { ask, number, .. }) => {
                let sent = match ask {
                    Ask::Header => self.client.top(number),
                    Ask::Whole => self.client.retrieve(number),
                };
                if let Err(e) = sent {
                    self.state.pipeline.not_sent();
                    return Err(e.into());
                }
                self.state.tally.retrieved |= ask == Ask::Whole;
            }
            Send::Delete(delivered) => self.send_delete(&delivered)?,
        }
        Ok(())
    }

    /// Both proofs: it's delivered, and it was recognised in this session.
    fn send_delete(&mut self, delivered: &Delivered) -> Result<(), Error> {
        let Some(recognised) = self.state.tally.recognised.get(&delivered.number()) else {
            return Err(Error::Bug);
        };
        Ok(self.client.delete(delivered, recognised)?)
    }

    /// The next message to be asked for, if there is to be one.
    pub(super) fn upcoming(&mut self) -> Option<Job> {
        self.close_or_open();
        let upcoming = self.state.pipeline.upcoming();
        self.report_skipped();
        upcoming
    }

    fn close_or_open(&mut self) {
        self.state.pipeline.closed =
            self.state.stopping || self.state.tally.failure.is_some() || self.work.is_none();
    }

    fn report_skipped(&mut self) {
        for job in self.state.pipeline.take_skipped() {
            self.too_large(job);
            self.compared(job, CompareResult::Undone);
        }
    }

    /// Whether every message that is to be retrieved has been, and the committer has reported what became of it.
    pub(super) fn all_is_settled(&mut self) -> bool {
        let settled = self.state.batch.is_empty() && self.state.committing == 0;
        settled && !self.state.pipeline.is_in_doubt() && self.upcoming().is_none()
    }

    /// A message that is none of those that we have, as far as its header shows, and is too large to be retrieved.
    fn too_large(&mut self, job: Job) {
        let Some(listed) = self.maildrop.at(job.index) else { return };
        if let (Who::New(unique_id), true) = (listed.who, job.too_large) {
            let key = Key::UniqueId(unique_id.to_buf());
            self.submit(Work::TooLarge { key, listed_size: listed.octets }, 0);
            let octets = listed.octets.unwrap_or_default();
            self.run.report(&report::Event::TooLarge { number: job.number, octets });
        }
    }
}
