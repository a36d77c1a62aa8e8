//! The network thread's work in one round of a session: keeps the pipeline full, takes messages in as they arrive, hands
//! batches to the committer, and sends `DELE` for what comes back delivered.
//!
//! **Ends are named.**  What has arrived is *held* until an answer that names a message has followed it ([`naming`]): a
//! status line alone proves nothing, because the sender of a mail can write one where a server doesn't stuff dots.  The
//! question stands behind the last `RETR` or `TOP` of each batch, in the same flight.  [`Fetch::confirm`] is the one
//! place that decides what is confirmed: what it passes is stored, compared, and recognised, so that it may be deleted.
//! Anything else that comes there, or comes unasked for, voids everything that is held: it's discarded, and asked again
//! in another session (see [`super::Sessions`]).
//!
//! `RETR`'s answers carry no number.  Where one answer is missing, the answer to the next question is taken for that of
//! the command before, and the question's own is another question's, or doesn't come: either voids the batch.  That is why
//! no two questions in flight are about the same message, and why nothing more has to be asked of a server that hasn't yet
//! been seen to pipeline.
//!
//! What is compared is asked for by `TOP` first, where the header may settle it, and by `RETR` if it doesn't.  A message
//! that has failed before, or at which a connection ended, comes last and alone.

mod arrival;
pub(super) mod naming;
mod outcome;
mod refusal;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::Error;
use super::committer::{Inbox, Parcel, Work};
use super::compare::Comparison;
use super::destinations::Entrance;
use super::run::Run;
use crate::client::{Client, Next, Transaction};
use crate::exit::ExitCode;
use crate::message::Facts;
use crate::plan::{self, Allowance, Decision, Listed, Maildrop, Policy, Who, Why};
use crate::proof::{Delivered, DestinationId, EntryId, Key, Recognised};
use crate::protocol::session::{Event, Sent};
use crate::protocol::types::{MessageNumber, Octets, UniqueIdBuf};
use crate::report;
use crate::report::reasons::Reasons;
use arrival::{Arriving, Heading, Whole, octets_of};
use naming::{Candidates, Expected, Form, Naming, Verdict};
use refusal::Refused;

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
/// The first question of a session stands behind this many octets.
const FIRST_OCTETS: u64 = 1 << 20;
/// Where commands can't share a flight, a question costs a round trip: the first one stands behind this many messages.
const FIRST_MESSAGES: usize = 32;
/// As long as no `TOP` has been answered well, no more are on their way than this,
const FIRST_HEADERS: usize = 4;
/// and after this many refusals there is no `TOP`.
const MOST_HEADERS_REFUSED: u32 = 3;
/// Deletions in one session: they count only at its end.
pub(super) const MOST_DELETIONS: usize = 10_000;

/// What a session's retrieving came to, over its rounds.
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
    /// Which ones those are.
    pub(super) unstored: Vec<MessageNumber>,
    /// Entries whose comparison failed or did not take place: nothing is concluded about them.
    pub(super) uncertain: Vec<EntryId>,
    /// What became of each [`Decision::Compare`] and [`Decision::Delete`] that was settled, or asked for in vain.
    pub(super) compared: Vec<Compared>,
    /// What was recognised in this session, by number.
    pub(super) recognised: HashMap<MessageNumber, Recognised>,
    /// Retrieved to be compared, and set aside until all that is known has been.
    pub(super) aside: HashSet<MessageNumber>,
    /// Deletions that the server has accepted.
    pub(super) accepted: Vec<EntryId>,
    /// Deletions that it refused.
    pub(super) refused: Vec<EntryId>,
    /// Why it refused them.
    pub(super) refusals: Reasons,
    /// Messages that it had deleted, as it said, and that are here again.
    pub(super) not_deleted: u64,
    /// The code of the failures.
    pub(super) exit: Option<ExitCode>,
    /// Whether any of them was reported as news.
    pub(super) news: bool,
    /// What ended retrieving early, though the line is fine.
    pub(super) trouble: Option<Error>,
    /// Whether anything was retrieved.
    pub(super) retrieved: bool,
    /// Whether the first message was the server's own book-keeping, and left alone.
    pub(super) folder_data: bool,
    /// Something is left for another session of this run: this one may do no more, or isn't to be burdened with it.
    pub(super) cut_short: bool,
    /// `QUIT` was sent and answered already.
    pub(super) over: bool,
    /// What was asked for since the last answer that named, when the session broke off.
    pub(super) void: usize,
    /// Of that, the one message that is certainly the cause.
    pub(super) blamed: Option<MessageNumber>,
    /// Messages at which the connection ended, and messages that came through though it had ended there before.
    pub(super) died: Vec<UniqueIdBuf>,
    /// The latter.
    pub(super) survived: Vec<UniqueIdBuf>,
    pub(super) standing: Standing,
}

/// What holds for all rounds of a session.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) naming: Naming,
    pub(super) pace: Pace,
    pub(super) header: Header,
    /// Messages whose `DELE` was sent: they can't be asked for any more.
    pub(super) gone: HashSet<MessageNumber>,
    /// The message asked for last.
    pub(super) last: Option<MessageNumber>,
    /// How many messages were asked for,
    pub(super) asked: u32,
    /// how many of them were confirmed,
    pub(super) confirmed: u32,
    /// and how many commands were answered.
    pub(super) answered: u32,
    /// Commands that were sent or are due.
    pub(super) charged: u32,
    /// At most so many of them in this session.
    pub(super) budget: Option<u32>,
    /// Whether earlier sessions of this run have brought anything.
    pub(super) others_came: bool,
    /// Messages at which a connection ended before.
    pub(super) died: HashSet<UniqueIdBuf>,
}

/// How many messages stand before each question.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// This many messages are asked for one by one: an earlier session broke off at one of them.
    pub(super) careful: usize,
    messages: usize,
    octets: u64,
}

impl Pace {
    pub(super) fn new(careful: usize, first: usize) -> Self {
        Self { careful, messages: first, octets: FIRST_OCTETS }
    }

    /// At first often, so that a session that ends early has brought something: then twice as many each time.
    fn asked(&mut self) {
        if self.careful == 0 {
            self.messages = self.messages.max(1).saturating_mul(2).min(BATCH_MESSAGES);
            self.octets = self.octets.saturating_mul(2).min(BATCH_OCTETS);
        }
    }

    fn is_due(&self, messages: usize, octets: u64) -> bool {
        messages > 0 && (self.careful > 0 || messages >= self.messages || octets >= self.octets)
    }
}

/// How many messages stand before the first question of a session.
pub(super) fn first_pace(client: &Client<Transaction>) -> usize {
    if client.pipelines() { 1 } else { FIRST_MESSAGES }
}

/// Whether `TOP` is to be had in this session.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Not offered.
    missing: bool,
    given: bool,
    refused: u32,
    in_flight: usize,
}

impl Header {
    pub(super) fn new(missing: bool) -> Self {
        Self { missing, ..Self::default() }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.missing || (!self.given && self.refused >= MOST_HEADERS_REFUSED)
    }
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
    /// It is other mail, which was handed over to be delivered.
    Failed,
    /// It could not be compared: refused, or too large to be retrieved for that.
    Undone,
}

impl Tally {
    fn fail(&mut self, exit: ExitCode) {
        self.failed = self.failed.saturating_add(1);
        self.exit = Some(self.exit.map_or(exit, |other| other.merge(exit)));
    }
}

/// Everything one round needs.
pub(super) struct Fetch<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) client: &'a mut Client<Transaction>,
    pub(super) maildrop: &'a Maildrop,
    pub(super) decisions: &'a [Decision],
    pub(super) comparison: Comparison,
    /// Messages that reached only some of their destinations.
    pub(super) lacking: HashMap<EntryId, Lacking>,
    /// The keys of known messages that are retrieved all the same, and of some others, to ask for: the ledger is the
    /// committer's by now.
    pub(super) keys: HashMap<EntryId, Key>,
    /// Places of the listing whose unique-ids are at hand.
    pub(super) sample: Vec<usize>,
    /// How often entries have failed before: only news are told.
    pub(super) failed_before: HashMap<EntryId, u16>,
    /// Whether any have failed before and were reported: those that have no unique-id can't be told from them.
    pub(super) some_failed_before: bool,
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

/// What changes in a round.
#[derive(Default)]
pub(super) struct State {
    cursor: usize,
    second_round: bool,
    next: Option<Job>,
    /// Those whose header didn't settle it.
    again: VecDeque<Job>,
    in_flight: VecDeque<Job>,
    arriving: Option<Arriving>,
    heading: Option<Heading>,
    /// Answered since the last answer that named.
    done: Vec<Job>,
    /// What their answers come to, once that is confirmed.
    held: Vec<Held>,
    /// Asked for since the last question, and their octets.
    uncovered: (usize, u64),
    /// A question must come before any other message.
    question_due: bool,
    /// The one message that was asked for where no answer names any.
    alone: bool,
    /// What may still be delivered by `max-messages` and `max-bytes`, if what is compared proves to be other mail.
    allowance: Allowance,
    /// Deleted as soon as they are delivered, though they are not what was to be deleted.
    delete_when_delivered: HashSet<MessageNumber>,
    /// Refused, and none has come through since.
    refusals: Vec<Refused>,
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
    /// No new message from here on.
    stopping: bool,
    pub(super) tally: Tally,
}

#[derive(Debug, Clone, Copy)]
struct Job {
    index: usize,
    number: MessageNumber,
    decision: Decision,
    size: u64,
    ask: Ask,
    /// Whether it was counted among what may be delivered in this run.
    counted: bool,
}

/// What a message is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// `TOP n 0`.
    Header,
    /// `RETR n`.
    Whole,
}

/// What an answer comes to, once an answer that names has followed it.
enum Held {
    /// A message.
    Whole(Job, Whole),
    /// A header.
    Header(Job, Facts),
    /// `-ERR`.
    Refused(Refused),
    /// Nothing of the message came.
    Nothing(Job),
}

impl State {
    /// At the beginning of a round: what earlier rounds of the session came to, and what is to be deleted at once.
    pub(super) fn new(
        tally: Tally,
        ready: Vec<Delivered>,
        (maildrop, decisions, policy): (&Maildrop, &[Decision], &Policy),
    ) -> Self {
        let mut allowance = Allowance::new(policy);
        allowance.delivered(tally.delivered, Octets(tally.octets));
        for (listed, _) in
            maildrop.iter().zip(decisions).filter(|(_, decision)| matches!(decision, Decision::Retrieve(_)))
        {
            // The plan has seen to it that they may come.
            let _ = allowance.take(listed.octets.unwrap_or_default());
        }
        Self { tally, to_delete: ready.into(), allowance, ..Self::default() }
    }

    /// Whether anything was asked for since the last answer that named.
    fn is_in_doubt(&self) -> bool {
        !self.done.is_empty()
            || !self.in_flight.is_empty()
            || self.arriving.is_some()
            || self.heading.is_some()
    }

    /// What was asked for since then, oldest first.
    fn in_doubt(&self) -> Vec<Job> {
        let arriving = self.arriving.as_ref().map(|arriving| arriving.job);
        let heading = self.heading.as_ref().map(|heading| heading.job);
        self.done
            .iter()
            .copied()
            .chain(arriving)
            .chain(heading)
            .chain(self.in_flight.iter().copied())
            .collect()
    }
}

/// The messages whose unique-id, or size, is at hand.
struct Choice<'a> {
    maildrop: &'a Maildrop,
    keys: &'a HashMap<EntryId, Key>,
    sample: &'a [usize],
    gone: &'a HashSet<MessageNumber>,
}

impl Candidates for Choice<'_> {
    fn places(&self) -> usize {
        self.maildrop.len()
    }

    fn sample(&self) -> &[usize] {
        self.sample
    }

    fn at(&self, place: usize, form: Form) -> Option<(MessageNumber, Expected)> {
        let listed = self.maildrop.at(place)?;
        if self.gone.contains(&listed.number) {
            return None;
        }
        let expected = match form {
            Form::UniqueId => match listed.who {
                Who::New(unique_id) => Expected::UniqueId(unique_id.to_buf()),
                Who::Known(id) => match self.keys.get(&id)? {
                    Key::UniqueId(unique_id) => Expected::UniqueId(unique_id.clone()),
                    Key::Header(_) => return None,
                },
                Who::Nameless => return None,
            },
            Form::Size => Expected::Size(listed.octets?),
            Form::DropListing | Form::Nothing => return None,
        };
        Some((listed.number, expected))
    }
}

impl Fetch<'_> {
    /// Retrieves everything, waits for the committer, and sends what may be deleted.  The line is at rest afterwards.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        let result = self.retrieve();
        if let Err(e) = &result {
            self.broke_off(e);
        }
        // Whatever happened, nothing that isn't confirmed stays.
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
            if at_rest && self.state.alone {
                return self.end_alone();
            }
            if at_rest {
                self.cut();
            }
            let done = at_rest && self.state.committing == 0 && self.state.to_delete.is_empty();
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

    // ---- what is sent ------------------------------------------------------------------------------------------

    fn fill(&mut self) -> Result<(), Error> {
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
            } else if pipelines && let Some(delivered) = self.state.to_delete.pop_front() {
                self.send_delete(&delivered)?;
            } else if let Some(job) = self.affordable() {
                self.state.next = None;
                self.send_job(job)?;
            } else if let Some(delivered) = self.state.to_delete.pop_front() {
                self.send_delete(&delivered)?;
            } else if self.state.uncovered.0 > 0 && !self.is_impossible() {
                self.send_question()?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn is_impossible(&self) -> bool {
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
        Ok(match (question.expected, question.number) {
            (Expected::UniqueId(_), Some(number)) => self.client.identify(number)?,
            (Expected::Size(_), Some(number)) => self.client.weigh(number)?,
            (Expected::DropListing, _) | (_, None) => self.client.count()?,
        })
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
    fn upcoming(&mut self) -> Option<Job> {
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
                    self.state.tally.cut_short = true;
                    return None;
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
        let Standing { header, charged, budget, died, .. } = &self.state.tally.standing;
        if self.state.alone || budget.is_some_and(|budget| charged.saturating_add(3) > budget && *charged > 0)
        {
            return Permit::LaterSession;
        }
        // Should the line die on it, the deletions before it must be done by then.
        let deletions = !self.state.tally.accepted.is_empty()
            || !self.state.deleting.is_empty()
            || !self.state.to_delete.is_empty();
        if deletions && !died.is_empty() && self.has_died(job.index) {
            return Permit::LaterSession;
        }
        if self.is_impossible() {
            if matches!(job.decision, Decision::Delete(_)) {
                return Permit::Never;
            }
            job.ask = Ask::Whole;
        }
        if job.ask == Ask::Header && header.is_missing() {
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

    /// Whether every message that is to be retrieved has been, and the committer has told what became of it.
    fn all_is_settled(&mut self) -> bool {
        let State { batch, committing, .. } = &self.state;
        let settled = batch.is_empty() && *committing == 0 && !self.state.is_in_doubt();
        settled && self.upcoming().is_none()
    }

    fn failures(&self, index: usize) -> u16 {
        match self.maildrop.at(index).map(|listed| listed.who) {
            Some(Who::Known(id)) => self.failed_before.get(&id).copied().unwrap_or(0),
            _ => 0,
        }
    }

    fn has_died(&self, index: usize) -> bool {
        let Some(listed) = self.maildrop.at(index) else { return false };
        self.unique_id(&listed).is_some_and(|unique_id| self.state.tally.standing.died.contains(&unique_id))
    }

    /// What failed before, or had the line die on it, never keeps the others waiting.
    fn comes_last(&self, index: usize) -> bool {
        self.failures(index) > 0 || (!self.state.tally.standing.died.is_empty() && self.has_died(index))
    }

    fn unique_id(&self, listed: &Listed<'_>) -> Option<UniqueIdBuf> {
        match self.known_key(listed) {
            Some(Key::UniqueId(unique_id)) => Some(unique_id),
            Some(Key::Header(_)) | None => None,
        }
    }

    /// What the committer said between the network's last look and its own end.
    pub(super) fn last_reports(&mut self) {
        while let Ok(settled) = self.inbox.settled.try_recv() {
            self.settled(settled);
        }
    }

    /// In the order of the listing.
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
            if matches!(decision, Decision::Leave(_)) || self.comes_last(index) != self.state.second_round {
                continue;
            }
            let listed = self.maildrop.at(index)?;
            let size = listed.octets.map_or(UNKNOWN_SIZE, |octets| octets.0);
            let by_header = decision
                .compares()
                .is_some_and(|why| Comparison::asks_header(why, self.policy.deletes_everything()));
            let ask = if by_header { Ask::Header } else { Ask::Whole };
            let counted = decision.compares().is_none();
            return Some(Job { index, number: listed.number, decision, size, ask, counted });
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
            } else if let Some(heading) = &mut self.state.heading
                && !heading.take(text)
            {
                return self.header_too_long();
            }
            return Ok(());
        }
        if let Event::Reply { .. } = self.client.event() {
            let answered = &mut self.state.tally.standing.answered;
            *answered = answered.saturating_add(1);
        }
        match self.client.event() {
            Event::Reply { to: Sent::Retr(_), reply } => {
                let refusal =
                    (!reply.ok).then(|| refusal::Refusal::of(&reply, |text| self.client.quote(text)));
                self.begin(refusal)
            }
            Event::Reply { to: Sent::Top(_), reply } => {
                let given = reply.ok;
                self.begin_header(given)
            }
            Event::End { to: Sent::Retr(_), octets } => self.end(octets),
            Event::End { to: Sent::Top(_), .. } => {
                self.end_header();
                Ok(())
            }
            Event::Reply { to: Sent::UniqueIdOf(_) | Sent::ListOne(_) | Sent::Stat, reply } => {
                let quiet = self.state.done.is_empty();
                match self.state.tally.standing.naming.answered(reply.ok, reply.text, quiet) {
                    Verdict::Named => self.confirm(),
                    Verdict::Nothing => {
                        self.ask_again();
                        Ok(())
                    }
                    Verdict::Wrong => Err(Error::OutOfStep),
                }
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

    /// The question was answered by nothing that names; unless another one stands behind all that is in doubt, it's asked
    /// again.
    fn ask_again(&mut self) {
        if self.state.tally.standing.naming.outstanding() == 0 {
            let messages = self.state.in_doubt().len();
            self.state.uncovered.0 = self.state.uncovered.0.max(messages);
            self.state.question_due = messages > 0;
        }
    }

    /// An answer that names has come: everything before it was what it seemed.  Nothing is stored, compared or recognised
    /// but here.
    fn confirm(&mut self) -> Result<(), Error> {
        let done = std::mem::take(&mut self.state.done);
        let standing = &mut self.state.tally.standing;
        standing.pace.careful = standing.pace.careful.saturating_sub(done.len());
        standing.confirmed = standing.confirmed.saturating_add(u32::try_from(done.len()).unwrap_or(u32::MAX));
        for held in std::mem::take(&mut self.state.held) {
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
        let full = self.state.batch.len() >= BATCH_MESSAGES || self.state.batch_octets >= BATCH_OCTETS;
        let eager = self.run.hands_over || self.state.cut_due;
        if full || (eager && self.state.committing == 0) {
            self.cut();
        }
        Ok(())
    }

    fn confirm_whole(&mut self, job: Job, whole: Whole) {
        self.one_came_through();
        let number = job.number;
        self.state.tally.aside.remove(&number);
        if !matches!(whole, Whole::Aside) {
            self.recognise(&job);
        }
        match whole {
            Whole::Parcel(parcel) => {
                if job.decision.compares().is_some() {
                    self.compared(job, CompareResult::Failed);
                }
                self.state.batch_octets = self.state.batch_octets.saturating_add(parcel.message.octets);
                self.state.batch.push(parcel);
            }
            Whole::Same { key, listed, same_as } => {
                self.state.allowance.give_back(Octets(job.size));
                self.matched(&job, same_as.entry);
                self.submit(Work::Same { number, key, listed, same_as }, 1);
            }
            Whole::Aside => {
                self.state.allowance.give_back(Octets(job.size));
                self.state.tally.aside.insert(number);
                self.compared(job, CompareResult::Failed);
            }
            Whole::Varies(entry) => {
                self.state.allowance.give_back(Octets(job.size));
                self.matched(&job, entry);
                self.submit(Work::Varies { entry }, 0);
                self.run.warn(format!(
                    "message {number} comes with other contents each time: it is left as it was delivered, and not \
                     compared again"
                ));
            }
        }
    }

    fn confirm_header(&mut self, job: Job, facts: &Facts) {
        let (Some(listed), Some(why)) = (self.maildrop.at(job.index), job.decision.compares()) else {
            return;
        };
        match self.comparison.by_header(&listed, why, facts, self.policy.deletes_everything()) {
            super::compare::Verdict::Same(same_as) => {
                // A header is not enough to delete what has no unique-id.
                if listed.who != Who::Nameless {
                    self.recognise(&job);
                }
                self.matched(&job, same_as.entry);
                let key = self.known_key(&listed).unwrap_or(Key::Header(facts.digests.header));
                self.submit(Work::Same { number: job.number, key, listed: listed.octets, same_as }, 1);
            }
            super::compare::Verdict::NeedsBody
            | super::compare::Verdict::SetAside
            | super::compare::Verdict::Varies(_) => {
                self.state.again.push_back(Job { ask: Ask::Whole, ..job });
            }
            super::compare::Verdict::Another => {
                self.compared(job, CompareResult::Failed);
                let decision = Decision::Retrieve(why);
                self.state.again.push_back(Job { ask: Ask::Whole, decision, ..job });
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
        let recognised = Recognised::attest(self.client.session(), job.number, known);
        self.state.tally.recognised.insert(job.number, recognised);
        if !self.state.tally.standing.died.is_empty()
            && let Some(unique_id) = self.unique_id(&listed)
            && self.state.tally.standing.died.contains(&unique_id)
        {
            self.state.tally.survived.push(unique_id);
        }
    }

    fn matched(&mut self, job: &Job, entry: EntryId) {
        let (number, result) = (job.number, CompareResult::Matched);
        if job.decision == Decision::Compare(Why::CameBack) {
            self.state.tally.not_deleted = self.state.tally.not_deleted.saturating_add(1);
        }
        self.state.tally.compared.push(Compared { number, entry: Some(entry), result });
    }

    fn compared(&mut self, job: Job, result: CompareResult) {
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
    fn end_alone(&mut self) -> Result<(), Error> {
        if super::session::drops_at_quit(self.client) {
            return Err(Error::NotSafe);
        }
        // There may be more, for the next session.
        self.upcoming();
        self.client.quit_in_step().map_err(|e| if e.ends_session() { e.into() } else { Error::OutOfStep })?;
        self.state.tally.over = true;
        self.confirm()?;
        self.last_refusals();
        self.cut();
        self.work = None;
        while let Ok(settled) = self.inbox.settled.recv() {
            self.settled(settled);
        }
        Ok(())
    }
}

enum Permit {
    /// Perhaps by another command than was thought.
    Now(Job),
    /// This session may do no more.
    LaterSession,
    /// It can't be compared.
    Never,
    /// If it is other mail, a limit of the run forbids it; unless what is on its way proves to be known.
    WhenCounted,
}
