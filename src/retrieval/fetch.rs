//! The network thread's work in one round of a session: keeps the pipeline full, takes messages in as they arrive, hands
//! batches to the committer, and sends `DELE` for what comes back delivered.
//!
//! **Ends are named.**  What has arrived is *held* until an answer that names a message has followed it
//! ([`naming`](super::pipeline::naming)).  A status line alone proves nothing, because the sender of a mail can write
//! one where a server doesn't stuff dots.  The question follows the last `RETR` or `TOP` of each batch, in the same
//! flight.  [`confirm`] is the one place that decides what is confirmed: what it passes is stored, compared, and
//! recognised, so that it may be deleted.  Anything else that comes there, or comes unasked for, voids everything
//! that is held: it's discarded, and asked again in another session (see [`super::Sessions`]).
//!
//! `RETR`'s answers carry no number.  Where one answer is missing, the answer to the next question is taken for that of
//! the command before, and the question's own is another question's, or doesn't come: either voids the batch.  That is why
//! no two questions in flight are about the same message, and why nothing more has to be asked of a server that hasn't yet
//! been seen to pipeline.
//!
//! What is compared is asked for by `TOP` first, where the header may settle it, and by `RETR` if it doesn't.  A message
//! that has failed before, or at which a connection ended, comes last and alone.

mod arrival;
mod confirm;
mod incoming;
mod outcome;
mod queue;
mod refusal;
mod round;
mod sending;
mod tally;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;

use std::time::Duration;

use super::Error;
use super::pipeline::{AnswerMeaning, Answered, Ask, Job};
use crate::client::Next;
use crate::protocol::session::{Sent, ServerEvent};
use crate::report;
use crate::types::{MessageNumber, wide};
use incoming::IncomingHeader;
use refusal::{RefusedMessage, RetrRefusal};
use round::Held;

pub(super) use queue::JobQueue;
pub(super) use round::{Fetch, RoundState};
#[cfg(test)]
pub(super) use tally::Compared;
pub(super) use tally::{CompareResult, Tally};

/// A batch is closed when the connection has been quiet for this long: what has arrived then need not wait for what may come.
const QUIET: Duration = Duration::from_millis(100);

impl Fetch<'_> {
    /// Retrieves everything, waits for the committer, and sends what may be deleted.  The connection is at rest afterwards.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        let result = match self.retrieve() {
            // A farewell may stand in a mail; the end of the connection can't.
            Err(Error::Client(e))
                if e.is_farewell() && self.state.pipeline.is_in_doubt() && !self.client.ends_here() =>
            {
                Err(Error::Client(e.doubted()))
            }
            Err(Error::Client(e)) if e.is_endless_header() && self.state.incoming_header.is_some() => {
                self.header_too_long()
            }
            result => result,
        };
        if let Err(e) = &result {
            self.broke_off(e);
        }
        self.count_under_way(0);
        // Whatever happened, nothing that isn't confirmed stays.
        self.abandon();
        if result.is_err() {
            self.cut();
            self.work = None;
        }
        result
    }

    fn count_under_way(&mut self, now: u64) {
        let before = std::mem::replace(&mut self.state.under_way, now);
        if before != now {
            self.run.options.under_way.change(before, now);
        }
    }

    fn retrieve(&mut self) -> Result<(), Error> {
        self.state.stopping = self.run.context.stop.raised();
        loop {
            self.take_reports()?;
            self.fill()?;
            self.count_under_way(self.state.pipeline.under_way());
            let at_rest = self.client.outstanding() == 0;
            if at_rest && self.state.pipeline.is_alone() {
                return self.end_alone();
            }
            if at_rest {
                self.cut();
            }
            let done = at_rest && self.state.committing == 0 && !self.state.pipeline.has_deletions();
            if done && self.work.is_none() {
                return Ok(());
            }
            if done || self.all_is_settled() {
                // Nothing more will come: the committer syncs the ledger, while the deletions are answered, and ends.
                self.last_refusals();
                self.work = None;
            }
            let waits = !self.state.batch.is_empty() && !self.state.cut_due;
            let quiet = (waits && self.state.committing == 0).then_some(QUIET);
            // A committer that has ended would wake us for ever.
            let wake = (!self.state.ended).then(|| self.inbox.descriptor());
            match self.client.next(wake, quiet)? {
                Next::Event => self.event()?,
                Next::Woken => self.inbox.heard(),
                Next::Quiet => self.paused(),
                Next::Stopped => self.state.stopping = true,
            }
        }
    }

    // ---- what comes --------------------------------------------------------------------------------------------

    fn event(&mut self) -> Result<(), Error> {
        // The text of a message is the one event that must cost next to nothing.
        if let ServerEvent::Text { text, .. } = self.client.event() {
            if let Some(incoming) = &mut self.state.incoming {
                incoming.take(text, self.network_ends);
                self.run.report(&report::Event::Received { octets: wide(text.len()) });
                if incoming.octets > incoming.most {
                    return self.too_long();
                }
            } else if let Some(heading) = &mut self.state.incoming_header {
                heading.take(text);
            }
            return Ok(());
        }
        self.answered()
    }

    /// An answer, or a part of one: what it means is the pipeline's to say.
    fn answered(&mut self) -> Result<(), Error> {
        if let ServerEvent::Reply { .. } = self.client.event() {
            let answered = &mut self.state.pipeline.standing.answered;
            *answered = answered.saturating_add(1);
        }
        let pipeline = &mut self.state.pipeline;
        match self.client.event() {
            ServerEvent::Reply { to: Sent::Retr(_), reply } => {
                let refusal = (!reply.ok).then(|| {
                    let (text, reason) = (self.client.quote(reply.text), self.client.refusal(reply.text));
                    RetrRefusal::of(&reply, text, reason)
                });
                self.retrieval_answered(refusal)
            }
            ServerEvent::Reply { to: Sent::Top(_), reply } => {
                match pipeline.on(Answered::Began { ask: Ask::Header, given: reply.ok }) {
                    AnswerMeaning::Begin(job) => self.state.incoming_header = Some(IncomingHeader::new(job)),
                    AnswerMeaning::NoHeader(_, missing) => return self.no_header(missing),
                    _ => return Err(Error::OutOfStep),
                }
                Ok(())
            }
            ServerEvent::End { to: Sent::Retr(_) | Sent::Top(_), octets } => {
                match pipeline.on(Answered::Ended) {
                    AnswerMeaning::Complete(Job { ask: Ask::Whole, .. }) => return self.end(octets),
                    AnswerMeaning::Complete(Job { ask: Ask::Header, .. }) => self.end_header(),
                    _ => return Err(Error::OutOfStep),
                }
                Ok(())
            }
            ServerEvent::Reply { to: Sent::UniqueIdOf(_) | Sent::ListOne(_) | Sent::Stat, reply } => {
                match pipeline.on(Answered::Named { ok: reply.ok, text: reply.text }) {
                    AnswerMeaning::Release(held) => self.confirm(held),
                    AnswerMeaning::Wait => {}
                    _ => return Err(Error::OutOfStep),
                }
                Ok(())
            }
            ServerEvent::Reply { to: Sent::Dele(number), reply } => {
                let refusal = (!reply.ok).then(|| self.client.quote(reply.text));
                self.deletion_answered(number, refusal)
            }
            ServerEvent::Farewell(reply) => {
                let text = reply.text.to_vec();
                Err(self.client.farewell(&text).into())
            }
            _ => Ok(()),
        }
    }

    /// The status of a `RETR`.
    fn retrieval_answered(&mut self, refusal: Option<RetrRefusal>) -> Result<(), Error> {
        let pipeline = &mut self.state.pipeline;
        let given = refusal.is_none();
        match (pipeline.on(Answered::Began { ask: Ask::Whole, given }), refusal) {
            (AnswerMeaning::Begin(job), _) => self.begin(job),
            (AnswerMeaning::Refused(job), Some(refusal)) => {
                pipeline.hold(Held::Refused(RefusedMessage { job, refusal }));
            }
            _ => return Err(Error::OutOfStep),
        }
        Ok(())
    }

    /// The status of a `DELE`; with the server's words, if it refused.
    fn deletion_answered(&mut self, number: MessageNumber, refusal: Option<String>) -> Result<(), Error> {
        let octets = self.maildrop.find(number).and_then(|listed| listed.octets).unwrap_or_default();
        let ok = refusal.is_none();
        match (self.state.pipeline.on(Answered::Deleted { number, ok, octets }), refusal) {
            (AnswerMeaning::Gone(entry), _) => {
                let tally = &mut self.state.tally;
                tally.accepted.push(entry);
                let delivery = tally.which_delivery.get(&number).map(|delivery| (entry, *delivery));
                tally.accepted_deliveries.extend(delivery);
            }
            (AnswerMeaning::Kept(entry), Some(text)) => self.deletion_refused(number, entry, &text),
            _ => return Err(Error::OutOfStep),
        }
        Ok(())
    }

    /// What the committer reported between the network's last look and its own end.
    pub(super) fn last_reports(&mut self) {
        while let Ok(settled) = self.inbox.settled.try_recv() {
            self.settled(settled);
        }
    }
}
