//! What may be sent, and what an answer means, in one round of a session: a state machine that knows no client, no disk and
//! no clock.  [`super::fetch`] drives it: it sends what [`Pipeline::next`] returns, and reports each answer to
//! [`Pipeline::on`].
//!
//! ```text
//!             next()                on(Began)            on(Ended)             on(Named)
//!  [queue] ───────────► [in flight] ─────────► [current] ─────────► [in doubt] ─────────► released
//!     ▲                      │ refused                                 ▲   │ out of step
//!     └── a header that      └─────────────────────────────────────────┘   ▼
//!         doesn't settle it                                              void
//! ```
//!
//! **What it promises**, whatever the answers are and in whatever order the committer reports:
//! - what was asked for is released only when an answer that names a message has come behind it ([`naming`]);
//! - a `DELE` is sent once, for what was handed to [`Pipeline::delete`], and behind every question that it could confuse;
//! - an answer belongs to exactly one command, the oldest of its sort;
//! - what has failed before, or at which the connection ended, is asked for only when nothing else is in doubt;
//! - each call either makes progress or returns that there is nothing to do: every order of answers comes to an end.

pub(super) mod naming;
pub(super) mod simulation;
pub(super) mod standing;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use crate::plan::{Allowance, Decision};
use crate::proof::{Delivered, EntryId};
use crate::types::{MessageNumber, Octets, wide};
use naming::{Candidates, NamingAnswer, NamingQuestion};
use standing::{HeaderSupport, SessionStanding};

/// With this many octets on their way or waiting for the committer no further `RETR` is sent: the disk or the MDA is slow.
const ROOM: u64 = 64 << 20;
/// With this many messages on their way or waiting for the committer no further `RETR` is sent: each that waits may keep a file
/// open (of those for a Maildir one in 16 does).
const MOST_WAITING: usize = 1024;
/// With this many no further `RETR` is sent where messages are handed to programs: each that isn't small keeps a file open.
const MOST_TO_HAND_OVER: usize = 128;
/// What a message of unknown size counts.
pub(super) const UNKNOWN_SIZE: u64 = 64 << 10;
/// As long as no `TOP` has been answered well, no more are on their way than this.
const FIRST_HEADERS: usize = 4;
/// Deletions in one session: they count only at its end.
pub(super) const MOST_DELETIONS: usize = 10_000;

/// A message to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    /// Its place in the listing.
    pub(super) index: usize,
    pub(super) number: MessageNumber,
    pub(super) decision: Decision,
    /// Its size as listed, or a guess.
    pub(super) size: u64,
    pub(super) ask: Ask,
    /// Whether it was counted among what may be delivered in this run.
    pub(super) counted: bool,
    /// Whether it is larger than may be retrieved.
    pub(super) too_large: bool,
    /// How often it has failed before.
    pub(super) failures: u16,
    /// Whether a session broke off at it before.
    pub(super) died: bool,
}

impl Job {
    /// What failed before, or ended the connection, never keeps the others waiting.
    pub(super) fn comes_last(&self) -> bool {
        self.failures > 0 || self.died
    }
}

/// What a message is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// `TOP n 0`.
    Header,
    /// `RETR n`.
    Whole,
}

/// What is sent next.
#[derive(Debug)]
pub(super) enum Send<D> {
    /// What only the server can answer that holds this maildrop.
    Question(NamingQuestion),
    /// `RETR` or `TOP`.
    Ask(Job),
    /// `DELE`.
    Delete(D),
}

/// What may be deleted.  In a run it's a [`Delivered`]; a simulation has no proofs.
pub(super) trait Deletion {
    /// Its number in this session.
    fn number(&self) -> MessageNumber;
    fn entry(&self) -> EntryId;
}

impl Deletion for Delivered {
    fn number(&self) -> MessageNumber {
        self.number()
    }

    fn entry(&self) -> EntryId {
        self.entry()
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Answered<'t> {
    /// The status of a `RETR` or a `TOP`.
    Began {
        ask: Ask,
        /// Whether it was `+OK`.
        given: bool,
    },
    /// The terminator of one.
    Ended,
    /// The status of a question.
    Named {
        /// Whether it was `+OK`.
        ok: bool,
        /// What follows it.
        text: &'t [u8],
    },
    /// The status of a `DELE`.
    Deleted {
        number: MessageNumber,
        /// Whether it was `+OK`.
        ok: bool,
        /// What it counts in the drop listing.
        octets: Octets,
    },
}

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AnswerMeaning<H> {
    /// Its text follows.
    Begin(Job),
    /// It was refused: what that means is held until it is confirmed.
    Refused(Job),
    /// Its header was refused, and it's asked for whole; whether headers are available at all.
    NoHeader(Job, bool),
    /// It has arrived.
    Complete(Job),
    /// All that was held is what it seemed.
    Release(Vec<H>),
    /// Another question is needed, or on its way.
    Wait,
    /// The server has marked this entry's message.
    Gone(EntryId),
    /// It hasn't.
    Kept(EntryId),
    /// It answers nothing that was asked.
    Unasked,
}

/// What the connection can take, when something may be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Readiness {
    /// Commands can share a flight.
    pub(super) pipelines: bool,
    /// Every command has been answered.
    pub(super) at_rest: bool,
}

/// No question of this server names a message, and more than one message is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NothingNames;

/// How a round goes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    /// Something is handed to programs: it starts with the first message.
    pub(super) hands_over: bool,
    /// The policy deletes.
    pub(super) deletes: bool,
    /// The round asks for messages; else it only deletes.
    pub(super) asks: bool,
    /// Deletions of earlier rounds that wait.
    pub(super) waiting: usize,
}

/// What is asked, in flight, in doubt, and to be deleted.  `J` are the jobs of the round in their order, `H` is what an
/// answer comes to once it is confirmed, `D` what may be deleted.
pub(super) struct Pipeline<J, H, D> {
    jobs: J,
    rules: Rules,
    pub(super) standing: SessionStanding,
    next: Option<Job>,
    /// Those whose header didn't settle it.
    again: VecDeque<Job>,
    in_flight: VecDeque<Job>,
    /// What is arriving.
    current: Option<Job>,
    /// Answered since the last answer that named.
    done: Vec<Job>,
    /// What their answers come to, once that is confirmed.
    held: Vec<H>,
    /// Asked for since the last question, and their octets.
    uncovered: (usize, u64),
    /// A question must come before any other message.
    question_due: bool,
    /// A message is in doubt that has failed before, or that a session broke off at: nothing is asked for behind it.
    delicate: bool,
    /// The one message that was asked for where no answer names any.
    alone: bool,
    /// What may still be delivered by `max-messages` and `max-bytes`, if what is compared proves to be other mail.
    pub(super) allowance: Allowance,
    /// Octets asked for and not settled,
    unsettled: u64,
    /// and messages.
    waiting: usize,
    to_delete: VecDeque<D>,
    deleting: HashMap<MessageNumber, EntryId>,
    /// Larger than may be retrieved: they can't be compared, or are left.
    skipped: Vec<Job>,
    /// No new message from here on.
    pub(super) closed: bool,
    /// Something is left for another session of this run.
    pub(super) cut_short: bool,
    /// Messages at which a session broke off are left for a session that begins with them.
    pub(super) left_alone: bool,
}

impl<J: Iterator<Item = Job>, H, D: Deletion> Pipeline<J, H, D> {
    /// At the beginning of a round: what earlier rounds of the session came to, and what is to be deleted at once.
    pub(super) fn new(
        jobs: J,
        rules: Rules,
        standing: SessionStanding,
        ready: Vec<D>,
        allowance: Allowance,
    ) -> Self {
        Self {
            jobs,
            rules,
            standing,
            next: None,
            again: VecDeque::new(),
            in_flight: VecDeque::new(),
            current: None,
            done: Vec::new(),
            held: Vec::new(),
            uncovered: (0, 0),
            question_due: false,
            delicate: false,
            alone: false,
            allowance,
            unsettled: 0,
            waiting: 0,
            to_delete: ready.into(),
            deleting: HashMap::new(),
            skipped: Vec::new(),
            closed: false,
            cut_short: false,
            left_alone: false,
        }
    }

    // ---- what is sent ------------------------------------------------------------------------------------------

    /// What is sent next; none when nothing may be sent now.  What it returns counts as sent.
    ///
    /// # Errors
    /// [`NothingNames`]: what is in doubt can't be confirmed in a session that goes on.
    pub(super) fn next(
        &mut self,
        line: Readiness,
        from: &impl Candidates,
    ) -> Result<Option<Send<D>>, NothingNames> {
        loop {
            if self.is_impossible() && self.is_in_doubt() && !self.alone {
                return Err(NothingNames);
            }
            let asks = if self.trial_is_due(line) || self.question_is_due() {
                true
            } else if line.pipelines
                && let Some(delivered) = self.next_deletion()
            {
                return Ok(Some(Send::Delete(delivered)));
            } else if let Some(job) = self.affordable(line) {
                self.sent(job);
                return Ok(Some(Send::Ask(job)));
            } else if let Some(delivered) = self.next_deletion() {
                return Ok(Some(Send::Delete(delivered)));
            } else {
                self.uncovered.0 > 0 && !self.is_impossible()
            };
            if !asks {
                return Ok(None);
            }
            // Where no question can be made, the form has changed.
            if let Some(question) = self.question(from) {
                return Ok(Some(Send::Question(question)));
            }
        }
    }

    /// Whether no question of this server names a message.
    pub(super) fn is_impossible(&self) -> bool {
        self.standing.naming.is_impossible()
    }

    /// Before the first message it must be known which question the server can answer.  Where commands share a flight, the
    /// first question goes with the first message; else its answer is awaited.
    fn trial_is_due(&mut self, line: Readiness) -> bool {
        let naming = &self.standing.naming;
        let due = naming.needs_trial() || (naming.is_on_trial() && !line.pipelines);
        due && self.upcoming().is_some()
    }

    fn question_is_due(&self) -> bool {
        let (messages, octets) = self.uncovered;
        let due = self.question_due || self.standing.pace.is_due(messages, octets);
        due && !self.is_impossible()
    }

    /// Asks what only the server can know that holds this maildrop.
    fn question(&mut self, from: &impl Candidates) -> Option<NamingQuestion> {
        let SessionStanding { naming, pace, gone, last, .. } = &mut self.standing;
        let question = naming.ask(from, gone, *last)?;
        if self.uncovered.0 > 0 {
            pace.asked();
        }
        self.uncovered = (0, 0);
        self.question_due = false;
        self.charge(1);
        Some(question)
    }

    fn charge(&mut self, commands: u32) {
        self.standing.charged = self.standing.charged.saturating_add(commands);
    }

    fn next_deletion(&mut self) -> Option<D> {
        if self.deletions_wait() {
            return None;
        }
        let delivered = self.to_delete.pop_front()?;
        self.standing.gone.insert(delivered.number());
        self.deleting.insert(delivered.number(), delivered.entry());
        Some(delivered)
    }

    /// Whether deletions wait for the last question of the session: the round that asks none sends them.
    pub(super) fn deletions_wait(&self) -> bool {
        self.rules.asks && self.standing.naming.counts()
    }

    /// What [`Pipeline::next`] gave last could not be sent: it was never asked for, so nothing that came is its doing.
    pub(super) fn not_sent(&mut self) {
        self.in_flight.pop_back();
    }

    fn sent(&mut self, job: Job) {
        self.next = None;
        let size = match job.ask {
            Ask::Header => {
                self.standing.header.in_flight += 1;
                0
            }
            Ask::Whole => {
                if !job.counted {
                    // Whether it may come was asked when it was chosen.
                    let _ = self.allowance.take(Octets(job.size));
                }
                self.unsettled = self.unsettled.saturating_add(job.size);
                self.waiting = self.waiting.saturating_add(1);
                job.size
            }
        };
        self.in_flight.push_back(job);
        let (messages, octets) = self.uncovered;
        self.uncovered = (messages.saturating_add(1), octets.saturating_add(size));
        // A program starts with the first message, and what has failed before must not put others in doubt.
        self.question_due = self.rules.hands_over || job.comes_last();
        self.delicate |= job.comes_last();
        self.alone = self.is_impossible();
        let deletes = self.rules.deletes || matches!(job.decision, Decision::Delete(_));
        self.charge(if deletes { 2 } else { 1 });
        let standing = &mut self.standing;
        standing.several |= standing.last.is_some_and(|last| last != job.number);
        standing.last = Some(job.number);
        if job.decision.why_compared().is_some() && (standing.budget.is_some() || !standing.died.is_empty()) {
            standing.begun.insert(job.number);
        }
        standing.asked = standing.asked.saturating_add(1);
    }

    fn affordable(&mut self, line: Readiness) -> Option<Job> {
        let job = self.upcoming()?;
        let alone = line.at_rest && !self.is_in_doubt();
        if self.is_impossible() {
            return alone.then_some(job);
        }
        let fits = match job.ask {
            Ask::Header => {
                let HeaderSupport { given, in_flight, .. } = self.standing.header;
                given || in_flight < FIRST_HEADERS
            }
            Ask::Whole => {
                let most = if self.rules.hands_over { MOST_TO_HAND_OVER } else { MOST_WAITING };
                let room = self.waiting < most && self.unsettled.saturating_add(job.size) <= ROOM;
                room || self.waiting == 0
            }
        };
        // Should the connection end at it again, no other is in doubt for its sake.
        (fits && (alone || !(job.comes_last() || self.delicate))).then_some(job)
    }

    /// The next message to be asked for, if there is to be one.
    pub(super) fn upcoming(&mut self) -> Option<Job> {
        if self.closed {
            return None;
        }
        loop {
            if self.next.is_none() {
                self.next = self.again.pop_front().or_else(|| self.jobs.next());
            }
            let job = self.next?;
            match self.permitted(job) {
                Permit::Now(job) => {
                    self.next = Some(job);
                    return Some(job);
                }
                Permit::LaterSession => {
                    self.next = None;
                    self.cut_short = true;
                }
                Permit::FirstOnly => {
                    self.next = None;
                    self.left_alone = true;
                }
                Permit::WhenCounted if self.is_in_doubt() => return None,
                Permit::Never | Permit::WhenCounted => {
                    self.next = None;
                    self.skipped.push(job);
                }
            }
        }
    }

    fn permitted(&self, mut job: Job) -> Permit {
        let SessionStanding { header, charged, budget, died, gone, asked, .. } = &self.standing;
        // One message is done to its end, whatever the limit is.
        let begun = self.standing.begun.contains(&job.number);
        let spent = budget.is_some_and(|budget| charged.saturating_add(3) > budget && *charged > 0 && !begun);
        let deletions = gone.len() + self.to_delete.len() + self.rules.waiting;
        if self.alone || deletions >= MOST_DELETIONS || spent {
            return Permit::LaterSession;
        }
        // Should the connection end at it again, nothing else hangs on that, and it isn't for the length of the session.
        if *asked > 0 && !begun && !died.is_empty() && job.died {
            return Permit::FirstOnly;
        }
        // A header that is missing, or that no answer has named, identifies nothing.
        if job.decision == Decision::Identify && (self.is_impossible() || header.is_missing()) {
            return Permit::Never;
        }
        if self.is_impossible() {
            if matches!(job.decision, Decision::Delete(_)) {
                return Permit::Never;
            }
            job.ask = Ask::Whole;
        }
        // Where commands are few, what was compared whole isn't looked at by its header again.
        let whole = budget.is_some() && self.standing.aside.contains(&job.number);
        if job.ask == Ask::Header && (header.is_missing() || whole) {
            job.ask = Ask::Whole;
        }
        if job.ask == Ask::Whole && !job.counted {
            if job.too_large {
                return Permit::Never;
            }
            if self.allowance.clone().take(Octets(job.size)).is_err() {
                return Permit::WhenCounted;
            }
        }
        Permit::Now(job)
    }

    // ---- what comes --------------------------------------------------------------------------------------------

    /// What an answer comes to.
    pub(super) fn on(&mut self, answered: Answered<'_>) -> AnswerMeaning<H> {
        match answered {
            Answered::Began { ask, given } => self.began(ask, given),
            Answered::Ended => match self.current.take() {
                Some(job) => {
                    if job.ask == Ask::Header {
                        self.standing.header.ended();
                    }
                    self.done.push(job);
                    AnswerMeaning::Complete(job)
                }
                None => AnswerMeaning::Unasked,
            },
            Answered::Named { ok, text } => {
                match self.standing.naming.answered(ok, text, self.done.is_empty()) {
                    NamingAnswer::Named => AnswerMeaning::Release(self.release()),
                    NamingAnswer::Nothing => {
                        self.ask_again();
                        AnswerMeaning::Wait
                    }
                    NamingAnswer::Wrong => AnswerMeaning::Unasked,
                }
            }
            Answered::Deleted { number, ok, octets } => match self.deleting.remove(&number) {
                None => AnswerMeaning::Unasked,
                Some(entry) if ok => {
                    self.standing.naming.deleted(octets);
                    AnswerMeaning::Gone(entry)
                }
                Some(entry) => AnswerMeaning::Kept(entry),
            },
        }
    }

    fn began(&mut self, ask: Ask, given: bool) -> AnswerMeaning<H> {
        if self.current.is_some() || self.in_flight.front().is_none_or(|job| job.ask != ask) {
            return AnswerMeaning::Unasked;
        }
        let Some(job) = self.in_flight.pop_front() else { return AnswerMeaning::Unasked };
        if given {
            self.current = Some(job);
            return AnswerMeaning::Begin(job);
        }
        self.done.push(job);
        match ask {
            Ask::Whole => {
                self.free_room(job.size);
                AnswerMeaning::Refused(job)
            }
            Ask::Header => {
                let missing = self.standing.header.was_refused();
                // A refusal proves nothing.
                match job.decision {
                    Decision::Identify => self.skipped.push(job),
                    _ => self.again.push_back(Job { ask: Ask::Whole, ..job }),
                }
                AnswerMeaning::NoHeader(job, missing)
            }
        }
    }

    /// What an answer will come to, once it is confirmed.
    pub(super) fn hold(&mut self, held: H) {
        self.held.push(held);
    }

    /// Everything is what it seemed: an answer that names has come, or the session has ended in step.
    pub(super) fn release(&mut self) -> Vec<H> {
        let done = std::mem::take(&mut self.done);
        self.delicate = false;
        let SessionStanding { pace, confirmed, .. } = &mut self.standing;
        pace.careful = pace.careful.saturating_sub(done.len());
        *confirmed = confirmed.saturating_add(u32::try_from(done.len()).unwrap_or(u32::MAX));
        std::mem::take(&mut self.held)
    }

    /// The session has broken off: what is held is void.
    pub(super) fn void(&mut self) -> Vec<H> {
        self.in_flight.clear();
        self.current = None;
        self.done.clear();
        std::mem::take(&mut self.held)
    }

    /// What is arriving is given up: it never ends.
    pub(super) fn give_up_current(&mut self) {
        self.current = None;
    }

    /// The question was answered by nothing that names; unless another one follows all that is in doubt, it's asked
    /// again.
    fn ask_again(&mut self) {
        if self.standing.naming.outstanding() == 0 {
            let messages = self.in_doubt().len();
            self.uncovered.0 = self.uncovered.0.max(messages);
            self.question_due = messages > 0;
        }
    }

    // ---- what the driver decides -------------------------------------------------------------------------------

    /// How many messages have been asked for, and are not settled.
    pub(super) fn under_way(&self) -> u64 {
        wide(self.waiting)
    }

    /// A message that is asked for once more, otherwise than before.
    pub(super) fn again(&mut self, job: Job) {
        self.again.push_back(job);
    }

    /// A message that is to be deleted: delivered, or recognised as one that is.
    pub(super) fn delete(&mut self, delivered: D) {
        self.to_delete.push_back(delivered);
    }

    /// A message that was asked for is settled; its room becomes free.
    pub(super) fn free_room(&mut self, octets: u64) {
        self.unsettled = self.unsettled.saturating_sub(octets);
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Sizes are hints: what came beyond it takes room as well.
    pub(super) fn grew(&mut self, octets: u64) {
        self.unsettled = self.unsettled.saturating_add(octets);
    }

    /// Messages that are passed over since the last call: larger than may be retrieved.
    pub(super) fn take_skipped(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.skipped)
    }

    /// Deletions that were not sent in this round.
    pub(super) fn take_deletions(&mut self) -> VecDeque<D> {
        std::mem::take(&mut self.to_delete)
    }

    // ---- how it stands -----------------------------------------------------------------------------------------

    /// What it means that the connection has ended now.
    pub(super) fn ending(&self) -> Ending {
        let suspects: Vec<Job> = match self.current {
            Some(job) => vec![job],
            None => self.last_done().into_iter().chain(self.in_flight.front().copied()).collect(),
        };
        let SessionStanding { confirmed, others_came, ref died, .. } = self.standing;
        let others_came = others_came || confirmed > 0;
        let again = !died.is_empty() && confirmed > 0 && !suspects.iter().any(|job| job.died);
        Ending { suspects: suspects.into_iter().map(|job| (job, job.died && others_came)).collect(), again }
    }

    /// What was answered last since the last answer that named.
    pub(super) fn last_done(&self) -> Option<Job> {
        self.done.last().copied()
    }

    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether deletions are to be sent in this round.
    pub(super) fn has_deletions(&self) -> bool {
        !self.to_delete.is_empty() && !self.deletions_wait()
    }

    /// Whether the one message was asked for that a session may ask for where no answer names any.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether anything was asked for since the last answer that named.
    pub(super) fn is_in_doubt(&self) -> bool {
        !self.done.is_empty() || !self.in_flight.is_empty() || self.current.is_some()
    }

    /// What was asked for since then, oldest first.
    pub(super) fn in_doubt(&self) -> Vec<Job> {
        self.done.iter().copied().chain(self.current).chain(self.in_flight.iter().copied()).collect()
    }
}

/// What it means that the connection ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// The messages at which it may have: the one that was arriving; or else the one whose end couldn't be believed, and the
    /// next.  Whether each of them has failed, since it ended there before, and others came through.
    pub(super) suspects: Vec<(Job, bool)>,
    /// Whether it has ended at other messages before, and others came through this time.
    pub(super) again: bool,
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
