//! The network thread's work in one session: keeps the pipeline full, takes messages in as they arrive, hands batches
//! to the committer, and sends `DELE` for what comes back delivered.
//!
//! A message is handed over only when a true status line has followed its terminator ([`Event::Confirmed`]): otherwise
//! an unstuffed `.` line may have ended it early, and what follows would be taken for answers.  So a `RETR` is always
//! followed by another command in the same flight: the next `RETR`, a `DELE`, or else a `NOOP`.
//!
//! On a server that has not yet proved that it pipelines in step, each `RETR n` stands behind a `UIDL n`, whose answer
//! names the number and the unique-id; then a message is handed over only when the *next* such answer is in step too.
//! Behind the last `RETR n` stands a `LIST n`: were it another `UIDL n`, its answer could be taken for that of the first
//! when the `RETR` before was swallowed.
//!
//! A message on which the line dies is counted as failed, so that it is tried last from then on and the others come first;
//! and what has failed before is asked for alone.

mod arrival;
mod outcome;

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::Error;
use super::committer::{Inbox, Parcel, Work};
use super::compare::Comparison;
use super::destinations::Entrance;
use super::run::Run;
use crate::client::{self, Client, Named, Next, Transaction};
use crate::exit::ExitCode;
use crate::plan::{Decision, Maildrop, Policy, Who};
use crate::proof::{Delivered, DestinationId, EntryId, Key, Recognised};
use crate::protocol::session::{Event, Sent};
use crate::protocol::types::MessageNumber;
use crate::report;
use arrival::{Arriving, Whole, octets_of};

/// A batch is closed at this many messages,
const BATCH_MESSAGES: usize = 256;
/// or at this many octets,
const BATCH_OCTETS: u64 = 32 << 20;
/// or when the line has been quiet for so long: what has arrived then need not wait for what may come.
const QUIET: Duration = Duration::from_millis(100);
/// Octets on their way or waiting for the committer, beyond which no further `RETR` is sent: the disk or the MDA is
/// slower than the line, and reading must never stop inside an answer.
const ROOM: u64 = 64 << 20;
/// And so many messages: each that waits may keep a file open (one in 16 of those for a Maildir does),
const MOST_WAITING: usize = 1024;
/// or certainly does, if it is to be handed over, and isn't small.
const MOST_TO_HAND_OVER: usize = 128;
/// What a message counts whose size isn't known.
const UNKNOWN_SIZE: u64 = 64 << 10;
/// What a session's retrieving came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Messages delivered.
    pub(super) delivered: u64,
    /// Octets of them.
    pub(super) octets: u64,
    /// Messages that failed, and stay.
    pub(super) failed: u64,
    /// Retrieved, but not stored: a server that drops what was retrieved must not see `QUIT`.
    pub(super) not_stored: bool,
    /// The server's answers came in step to the end.
    pub(super) in_step: bool,
    /// Entries whose comparison failed or did not take place: nothing is concluded about them.
    pub(super) uncertain: Vec<EntryId>,
    /// What became of each [`Decision::Compare`] and [`Decision::Delete`].
    pub(super) compared: Vec<Compared>,
    /// What was recognised in this session, by number.
    pub(super) recognised: HashMap<MessageNumber, Recognised>,
    /// Deletions that the server has accepted.
    pub(super) accepted: Vec<EntryId>,
    /// Deletions that it refused.
    pub(super) refused: Vec<EntryId>,
    /// The code of the failures.
    pub(super) exit: Option<ExitCode>,
    /// What ended retrieving early, though the line is fine.
    pub(super) trouble: Option<Error>,
    /// Whether anything was retrieved.
    pub(super) retrieved: bool,
}

/// What became of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compared {
    /// The message's number in this session.
    pub(super) number: MessageNumber,
    /// The entry that it was compared with, or that it proved to be; none where no entry was known beforehand, and none
    /// was found.
    pub(super) entry: Option<EntryId>,
    /// What came of it.
    pub(super) result: CompareResult,
}

/// What came of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompareResult {
    /// It is the message that we have.
    Matched,
    /// It is other mail, which was delivered, or was handed over to be.
    Failed,
    /// It was not compared: refused, a line that ended, a limit, a signal.
    Undone,
}

impl Tally {
    fn fail(&mut self, exit: ExitCode) {
        self.failed = self.failed.saturating_add(1);
        self.exit = Some(self.exit.map_or(exit, |other| other.merge(exit)));
    }
}

/// Everything one session's retrieving needs.
pub(super) struct Fetch<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) client: &'a mut Client<Transaction>,
    pub(super) maildrop: &'a Maildrop,
    pub(super) decisions: &'a [Decision],
    pub(super) comparison: Comparison,
    /// Messages that reached only some of their destinations.
    pub(super) lacking: HashMap<EntryId, Lacking>,
    /// The keys of known messages that are retrieved all the same: the ledger is the committer's by now.
    pub(super) keys: HashMap<EntryId, Key>,
    /// How often entries have failed before: only news are told.
    pub(super) failed_before: HashMap<EntryId, u16>,
    pub(super) entrances: &'a mut [Entrance],
    pub(super) policy: &'a Policy,
    pub(super) work: Option<Sender<Work>>,
    pub(super) inbox: Inbox,
    pub(super) state: State,
}

/// Where a message goes that some of its destinations have.
#[derive(Debug, Clone)]
pub(super) struct Lacking {
    /// To those of this run that lack it, by their place in the list.
    pub(super) slots: Vec<usize>,
    /// All that it was meant for when it was first staged: no others are added.
    pub(super) set: Vec<DestinationId>,
}

/// What changes while retrieving.
#[derive(Default)]
pub(super) struct State {
    cursor: usize,
    second_round: bool,
    next: Option<Job>,
    in_flight: VecDeque<Job>,
    arriving: Option<Arriving>,
    /// Whole, but not confirmed yet.
    suspect: Option<(Job, Whole)>,
    batch: Vec<Parcel>,
    batch_octets: u64,
    /// The batch goes as soon as nothing that shares its files is on its way.
    cut_due: bool,
    /// Octets asked for and not settled,
    unsettled: u64,
    /// and messages.
    waiting: usize,
    /// Messages with the committer.
    committing: u64,
    /// The committer has ended.
    ended: bool,
    to_delete: VecDeque<Delivered>,
    deleting: HashMap<MessageNumber, EntryId>,
    /// The last `RETR` sent, while nothing stands behind it by which its end could be believed.
    bare: Option<MessageNumber>,
    /// Checking: what the answers to come must name, in order.
    checks: VecDeque<Check>,
    /// Checking: the server says that this message is gone, so its `RETR` must be refused.
    gone: Option<MessageNumber>,
    /// No new `RETR` from here on.
    stopping: bool,
    pub(super) tally: Tally,
}

#[derive(Debug, Clone, Copy)]
struct Job {
    index: usize,
    number: MessageNumber,
    decision: Decision,
    size: u64,
}

/// What stands around a `RETR` on a server that is yet to prove itself.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// `UIDL n`, before it.
    Identity(Job),
    /// `LIST n`, behind the last one.
    Tail(MessageNumber),
}

impl State {
    /// At the beginning of a round: what earlier rounds of the session came to, and what is to be deleted at once.
    pub(super) fn new(tally: Tally, ready: Vec<Delivered>) -> Self {
        Self { tally, to_delete: ready.into(), ..Self::default() }
    }
}

impl Fetch<'_> {
    /// Retrieves everything, waits for the committer, and sends what may be deleted.  The line is at rest afterwards.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        let result = self.retrieve();
        if let Err(Error::Client(e)) = &result
            && !matches!(e, client::Error::Stopped)
            // What may be the pipeline's fault is asked for again at once.
            && !(e.forbids_pipelining() && self.client.checks_step())
        {
            // What is no status line where one is due is the rest of the message before.
            self.died(e.exit_code() == ExitCode::Protocol);
        }
        // Whatever happened, nothing half-arrived stays.
        self.abandon();
        if result.is_err() {
            self.cut();
            self.work = None;
        }
        result
    }

    fn retrieve(&mut self) -> Result<(), Error> {
        self.state.stopping = self.run.context.stop.raised();
        loop {
            self.take_reports()?;
            self.fill()?;
            let at_rest = self.client.outstanding() == 0;
            if at_rest {
                self.cut();
            }
            let done = at_rest && self.state.committing == 0 && self.state.to_delete.is_empty();
            if done && self.work.is_none() {
                return Ok(());
            }
            if done || self.all_is_settled() {
                // Nothing more will come: the committer syncs the ledger, while the deletions are answered, and ends.
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

    // ---- what is sent ------------------------------------------------------------------------------------------

    fn fill(&mut self) -> Result<(), Error> {
        if !self.client.is_low() {
            return Ok(());
        }
        while self.client.has_window() {
            if self.client.pipelines()
                && let Some(delivered) = self.state.to_delete.pop_front()
            {
                self.send_delete(&delivered)?;
            } else if let Some(job) = self.affordable() {
                self.state.next = None;
                self.send_retrieve(job)?;
            } else if let Some(delivered) = self.state.to_delete.pop_front() {
                self.send_delete(&delivered)?;
            } else if let Some(number) = self.state.bare.take() {
                self.send_tail(number)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn send_delete(&mut self, delivered: &Delivered) -> Result<(), Error> {
        let Some(recognised) = self.state.tally.recognised.get(&delivered.number()) else { return Ok(()) };
        self.client.delete(delivered, recognised)?;
        self.state.deleting.insert(delivered.number(), delivered.entry());
        if !self.client.checks_step() {
            self.state.bare = None;
        }
        Ok(())
    }

    fn send_retrieve(&mut self, job: Job) -> Result<(), Error> {
        if self.client.checks_step() {
            self.client.identify(job.number)?;
            self.state.checks.push_back(Check::Identity(job));
        }
        self.client.retrieve(job.number)?;
        self.state.unsettled = self.state.unsettled.saturating_add(job.size);
        self.state.waiting = self.state.waiting.saturating_add(1);
        self.state.in_flight.push_back(job);
        self.state.tally.retrieved = true;
        self.state.bare = Some(job.number);
        Ok(())
    }

    /// Something must follow the last `RETR`, so that its end can be believed.
    fn send_tail(&mut self, number: MessageNumber) -> Result<(), Error> {
        if self.client.checks_step() {
            self.state.checks.push_back(Check::Tail(number));
            return Ok(self.client.weigh(number)?);
        }
        Ok(self.client.noop()?)
    }

    fn affordable(&mut self) -> Option<Job> {
        let job = self.upcoming()?;
        let most = if self.run.hands_over { MOST_TO_HAND_OVER } else { MOST_WAITING };
        let room = self.state.waiting < most && self.state.unsettled.saturating_add(job.size) <= ROOM;
        let fits = room || self.state.waiting == 0;
        // Should the line die on it again, no other is in doubt for its sake.
        let alone = self.client.outstanding() == 0 && self.state.bare.is_none();
        (fits && (alone || self.failures(job.index) == 0)).then_some(job)
    }

    /// The next message to be retrieved, if there is to be one.
    fn upcoming(&mut self) -> Option<Job> {
        if self.state.stopping || self.state.tally.trouble.is_some() || self.work.is_none() {
            return None;
        }
        if self.state.next.is_none() {
            self.state.next = self.next_job();
        }
        self.state.next
    }

    /// Whether every message that is to be retrieved has been, and the committer has told what became of it.
    fn all_is_settled(&mut self) -> bool {
        let State { in_flight, arriving, suspect, batch, committing, .. } = &self.state;
        let settled = in_flight.is_empty()
            && arriving.is_none()
            && suspect.is_none()
            && batch.is_empty()
            && *committing == 0;
        settled && self.upcoming().is_none()
    }

    fn failures(&self, index: usize) -> u16 {
        match self.maildrop.at(index).map(|listed| listed.who) {
            Some(Who::Known(id)) => self.failed_before.get(&id).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// What the committer said between the network's last look and its own end.
    pub(super) fn last_reports(&mut self) {
        while let Ok(settled) = self.inbox.settled.try_recv() {
            self.settled(settled);
        }
    }

    /// In the order of the listing; what failed before comes last, so that it never keeps the others waiting.
    fn next_job(&mut self) -> Option<Job> {
        loop {
            let Some(decision) = self.decisions.get(self.state.cursor).copied() else {
                if self.state.second_round {
                    return None;
                }
                self.state.second_round = true;
                self.state.cursor = 0;
                continue;
            };
            let index = self.state.cursor;
            self.state.cursor = index.saturating_add(1);
            let failed = self.failures(index) > 0;
            if matches!(decision, Decision::Leave(_)) || failed != self.state.second_round {
                continue;
            }
            let listed = self.maildrop.at(index)?;
            let size = listed.octets.map_or(UNKNOWN_SIZE, |octets| octets.0);
            return Some(Job { index, number: listed.number, decision, size });
        }
    }

    // ---- what comes --------------------------------------------------------------------------------------------

    fn event(&mut self) -> Result<(), Error> {
        // The text of a message is the one event that must cost next to nothing.
        if let Event::Text { text, .. } = self.client.event() {
            if let Some(arriving) = &mut self.state.arriving {
                arriving.take(text);
                self.run.report(&report::Event::Received { octets: octets_of(text) });
                if arriving.octets > arriving.most {
                    return self.too_long();
                }
            }
            return Ok(());
        }
        match self.client.event() {
            Event::Reply { to: Sent::Retr(number), reply } => {
                let refusal = (!reply.ok).then(|| reply.text.to_vec());
                self.begin(number, refusal)
            }
            Event::End { to: Sent::Retr(_), octets } => self.end(octets),
            Event::Confirmed { number } => {
                if !self.client.checks_step() {
                    self.release(number);
                }
                Ok(())
            }
            Event::Reply { to: Sent::UniqueIdOf(_) | Sent::ListOne(_), reply } => {
                let named = Named::by(&reply);
                self.check(&named)
            }
            Event::Reply { to: Sent::Dele(number), reply } => {
                let refusal = (!reply.ok).then(|| reply.text.to_vec());
                self.deleted(number, refusal);
                Ok(())
            }
            Event::Farewell(reply) => {
                let text = reply.text.to_vec();
                Err(self.client.farewell(&text).into())
            }
            _ => Ok(()),
        }
    }

    /// The end of this message can be believed.
    fn release(&mut self, number: MessageNumber) {
        match self.state.suspect.take() {
            Some((suspect, whole)) if suspect.number == number => {
                let known = match self.maildrop.at(suspect.index).map(|listed| listed.who) {
                    Some(Who::Known(id)) => Some(id),
                    _ => None,
                };
                let recognised = Recognised::attest(self.client.session(), number, known);
                self.state.tally.recognised.insert(number, recognised);
                match whole {
                    Whole::Parcel(parcel) => {
                        self.state.batch_octets =
                            self.state.batch_octets.saturating_add(parcel.message.octets);
                        self.state.batch.push(parcel);
                        let eager = self.run.hands_over || self.state.cut_due;
                        if (eager && self.state.committing == 0)
                            || self.state.batch.len() >= BATCH_MESSAGES
                            || self.state.batch_octets >= BATCH_OCTETS
                        {
                            self.cut();
                        }
                    }
                    Whole::Same { key, listed, same_as } => {
                        self.submit(Work::Same { number, key, listed, same_as }, 1);
                    }
                }
            }
            other => self.state.suspect = other,
        }
    }

    /// What a `UIDL n` or `LIST n` named must be what stands next in line.
    fn check(&mut self, named: &Named) -> Result<(), Error> {
        let Some(check) = self.state.checks.pop_front() else { return Ok(()) };
        let in_step = match (named, check) {
            (Named::Nothing, _) => false,
            (Named::Refused, Check::Identity(job)) => {
                self.state.gone = Some(job.number);
                true
            }
            (Named::Refused, Check::Tail(_)) => true,
            (Named::Message(number, _), Check::Tail(expected)) => *number == expected,
            (Named::Message(number, unique_id), Check::Identity(job)) => {
                let known = self.maildrop.at(job.index).and_then(|listed| self.known_key(&listed));
                *number == job.number && known == unique_id.clone().map(Key::UniqueId)
            }
        };
        if !in_step {
            return self.out_of_step();
        }
        if let Some((suspect, _)) = &self.state.suspect {
            let number = suspect.number;
            self.release(number);
        }
        Ok(())
    }

    fn out_of_step(&mut self) -> Result<(), Error> {
        self.state.tally.in_step = false;
        Err(Error::OutOfStep)
    }
}
