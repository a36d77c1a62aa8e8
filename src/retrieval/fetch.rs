//! The network thread's work in one round of a session: keeps the pipeline full, takes messages in as they arrive, hands
//! batches to the committer, and sends `DELE` for what comes back delivered.
//!
//! **Ends are named.**  What has arrived is *held* until an answer that names a message has followed it ([`naming`]): a
//! status line alone proves nothing, because the sender of a mail can write one where a server doesn't stuff dots.  The
//! question follows the last `RETR` or `TOP` of each batch, in the same flight.  [`confirm`] is the one
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
mod confirm;
mod outcome;
mod refusal;
mod sending;

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::Error;
use super::committer::{Inbox, Parcel, Work};
use super::compare::Comparison;
use super::pipeline::naming::{Candidates, Expected, Form};
use super::pipeline::standing::Standing;
use super::pipeline::{Answered, Ask, Job, Pipeline, Rules, Step};
use super::run::Run;
use crate::client::{Client, Next, Transaction};
use crate::delivery::routing::NetworkEnds;
use crate::exit::ExitCode;
use crate::ledger::memory::ListedAs;
use crate::message::{Digest, Facts};
use crate::plan::{Allowance, Decision, Maildrop, Policy, Who};
use crate::proof::{Delivered, EntryId, Key, Recognised};
use crate::protocol::session::{Sent, ServerEvent};
use crate::report;
use crate::report::reasons::Reasons;
use crate::types::{MessageNumber, Octets};
use arrival::{Arriving, Heading, Whole, octets_of};
use refusal::Refused;
pub(super) use sending::Queue;

/// A batch is closed when the line has been quiet for so long: what has arrived then need not wait for what may come.
const QUIET: Duration = Duration::from_millis(100);

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
    /// Those of them that aren't asked for again in this run: they failed, and not for the session's sake.
    pub(super) unstored: Vec<MessageNumber>,
    /// Entries whose comparison failed or did not take place: nothing is concluded about them.
    pub(super) uncertain: Vec<EntryId>,
    /// What became of each [`Decision::Compare`] and [`Decision::Delete`] that was settled, or asked for in vain.
    pub(super) compared: Vec<Compared>,
    /// What was recognised in this session, by number.
    pub(super) recognised: HashMap<MessageNumber, Recognised>,
    /// Deletions that wait for the last question of the session.
    pub(super) waiting: Vec<Delivered>,
    /// Which of its entry's deliveries each of those is, where there are several: by the digest of the message.
    pub(super) copies: HashMap<MessageNumber, Digest>,
    /// Deletions that the server has accepted,
    pub(super) accepted: Vec<EntryId>,
    /// and which of their entries' deliveries they were.
    pub(super) accepted_copies: Vec<(EntryId, Digest)>,
    /// Deletions that it refused.
    pub(super) refused: Vec<EntryId>,
    /// Why it refused them.
    pub(super) refusals: Reasons,
    /// Entries of messages that are lacked only by a destination that this run doesn't have.
    pub(super) elsewhere: Vec<EntryId>,
    /// Messages whose deletion it had confirmed, and that are here again.
    pub(super) not_deleted: u64,
    /// Why messages failed, in words of ours.
    pub(super) reasons: Reasons,
    /// The code of the failures.
    pub(super) exit: Option<ExitCode>,
    /// Whether any of them was reported as news.
    pub(super) news: bool,
    /// What ended retrieving early, though the connection works.
    pub(super) failure: Option<Error>,
    /// Whether anything was retrieved.
    pub(super) retrieved: bool,
    /// Whether the first message was the server's own internal data, and left alone.
    pub(super) folder_data: bool,
    /// Something is left for another session of this run: this one may do no more, or should not.
    pub(super) cut_short: bool,
    /// Messages at which a session broke off are left for a session that begins with them.
    pub(super) left_alone: bool,
    /// The connection ended, and it has ended at another message before: perhaps it's the session that is too long.
    pub(super) cut_again: bool,
    /// `QUIT` was sent and answered already.
    pub(super) over: bool,
    /// What was asked for since the last answer that named, when the session broke off.
    pub(super) void: usize,
    /// Of that, the one message that is certainly the cause.
    pub(super) blamed: Option<MessageNumber>,
    /// Messages at which the session broke off.
    pub(super) died: Vec<ListedAs>,
    /// Messages that came through, though a session had broken off at them before.
    pub(super) survived: Vec<ListedAs>,
    /// What came in the place of messages whose deletion was confirmed, and wasn't delivered.
    pub(super) withheld: Vec<(EntryId, Digest)>,
    pub(super) standing: Standing,
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
    fn fail(&mut self, exit: ExitCode, reason: &str) {
        self.failed = self.failed.saturating_add(1);
        self.reasons.add(ours(reason));
        self.exit = Some(self.exit.map_or(exit, |other| other.merge(exit)));
    }
}

/// A reason up to where it quotes a server or a program, which may quote the message.
fn ours(reason: &str) -> &str {
    reason.split('"').next().unwrap_or_default().trim_end_matches([' ', ':', '('])
}

/// Everything one round needs.
pub(super) struct Fetch<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) client: &'a mut Client<Transaction>,
    pub(super) maildrop: &'a Maildrop,
    pub(super) decisions: &'a [Decision],
    pub(super) comparison: Comparison,
    /// The keys of known messages that are retrieved all the same, and of some others, to ask for: the ledger is the
    /// committer's by now.
    pub(super) keys: &'a HashMap<EntryId, Key>,
    /// Places of the listing whose unique-ids are at hand.
    pub(super) sample: Vec<usize>,
    /// How often entries have failed before: only news is reported.
    pub(super) failed_before: &'a HashMap<EntryId, u16>,
    /// Whether any have failed before and were reported: those that have no unique-id can't be distinguished from them.
    pub(super) some_failed_before: bool,
    pub(super) network_ends: &'a mut NetworkEnds,
    pub(super) policy: &'a Policy,
    pub(super) work: Option<Sender<Work>>,
    pub(super) inbox: Inbox,
    pub(super) state: State<'a>,
}

/// What changes in a round.
pub(super) struct State<'a> {
    /// What is asked, and what answers mean.
    pipeline: Pipeline<Queue<'a>, Held, Delivered>,
    arriving: Option<Arriving>,
    heading: Option<Heading>,
    /// Deleted as soon as they are delivered, though they are not what was to be deleted.
    delete_when_delivered: HashSet<MessageNumber>,
    /// Refused, and none has come through since.
    refusals: Vec<Refused>,
    batch: Vec<Parcel>,
    batch_octets: u64,
    /// The batch goes as soon as nothing that shares its files is on its way.
    cut_due: bool,
    /// Messages with the committer.
    committing: u64,
    /// Messages on their way, as they are counted for all accounts.
    under_way: u64,
    /// The committer has ended.
    ended: bool,
    /// No new message from here on.
    stopping: bool,
    pub(super) tally: Tally,
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

impl<'a> State<'a> {
    /// At the beginning of a round: what earlier rounds of the session came to, and what is to be deleted at once.
    pub(super) fn new(run: &Run<'_>, mut tally: Tally, ready: Vec<Delivered>, queue: Queue<'a>) -> Self {
        let Queue { maildrop, decisions, policy, .. } = queue;
        let mut allowance = Allowance::new(policy);
        allowance.delivered(tally.delivered, Octets(tally.octets));
        for (listed, _) in
            maildrop.iter().zip(decisions).filter(|(_, decision)| matches!(decision, Decision::Retrieve(_)))
        {
            // The plan has seen to it that they may come.
            let _ = allowance.take(listed.octets.unwrap_or_default());
        }
        let rules = Rules {
            hands_over: run.hands_over,
            deletes: policy.deletes(),
            asks: !decisions.is_empty(),
            waiting: tally.waiting.len(),
        };
        let standing = std::mem::take(&mut tally.standing);
        Self {
            pipeline: Pipeline::new(queue, rules, standing, ready, allowance),
            arriving: None,
            heading: None,
            delete_when_delivered: HashSet::new(),
            refusals: Vec::new(),
            batch: Vec::new(),
            batch_octets: 0,
            cut_due: false,
            committing: 0,
            under_way: 0,
            ended: false,
            stopping: false,
            tally,
        }
    }

    /// What the round came to, with all before it.
    pub(super) fn end(&mut self) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        tally.standing = std::mem::take(&mut self.pipeline.standing);
        tally.waiting.extend(self.pipeline.take_deletions());
        tally.cut_short |= self.pipeline.cut_short;
        tally.left_alone |= self.pipeline.left_alone;
        tally
    }
}

/// The messages whose unique-id, or size, is at hand.
struct Choice<'a> {
    maildrop: &'a Maildrop,
    keys: &'a HashMap<EntryId, Key>,
    sample: &'a [usize],
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
        let result = match self.retrieve() {
            // A farewell may stand in a mail; the end of the line can't.
            Err(Error::Client(e))
                if e.is_farewell() && self.state.pipeline.is_in_doubt() && !self.client.ends_here() =>
            {
                Err(Error::Client(e.doubted()))
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
            if let Some(arriving) = &mut self.state.arriving {
                arriving.take(text, self.network_ends);
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
                let step = pipeline.on(Answered::Began { ask: Ask::Whole, given: reply.ok });
                let refusal = (!reply.ok).then(|| {
                    let (text, reason) = (self.client.quote(reply.text), self.client.refusal(reply.text));
                    refusal::Refusal::of(&reply, text, reason)
                });
                match (step, refusal) {
                    (Step::Begin(job), _) => self.begin(job),
                    (Step::Refused(job), Some(refusal)) => {
                        pipeline.hold(Held::Refused(Refused { job, refusal }));
                    }
                    _ => return Err(Error::OutOfStep),
                }
                Ok(())
            }
            ServerEvent::Reply { to: Sent::Top(_), reply } => {
                match pipeline.on(Answered::Began { ask: Ask::Header, given: reply.ok }) {
                    Step::Begin(job) => self.state.heading = Some(Heading::new(job)),
                    Step::NoHeader(_, missing) => return self.no_header(missing),
                    _ => return Err(Error::OutOfStep),
                }
                Ok(())
            }
            ServerEvent::End { to: Sent::Retr(_) | Sent::Top(_), octets } => {
                match pipeline.on(Answered::Ended) {
                    Step::Complete(Job { ask: Ask::Whole, .. }) => return self.end(octets),
                    Step::Complete(Job { ask: Ask::Header, .. }) => self.end_header(),
                    _ => return Err(Error::OutOfStep),
                }
                Ok(())
            }
            ServerEvent::Reply { to: Sent::UniqueIdOf(_) | Sent::ListOne(_) | Sent::Stat, reply } => {
                match pipeline.on(Answered::Named { ok: reply.ok, text: reply.text }) {
                    Step::Release(held) => self.confirm(held),
                    Step::Wait => {}
                    _ => return Err(Error::OutOfStep),
                }
                Ok(())
            }
            ServerEvent::Reply { to: Sent::Dele(number), reply } => {
                let octets = self.maildrop.find(number).and_then(|listed| listed.octets).unwrap_or_default();
                match pipeline.on(Answered::Deleted { number, ok: reply.ok, octets }) {
                    Step::Gone(entry) => {
                        let tally = &mut self.state.tally;
                        tally.accepted.push(entry);
                        tally.accepted_copies.extend(tally.copies.get(&number).map(|copy| (entry, *copy)));
                    }
                    Step::Kept(entry) => {
                        let text = self.client.quote(reply.text);
                        self.deletion_refused(number, entry, &text);
                    }
                    _ => return Err(Error::OutOfStep),
                }
                Ok(())
            }
            ServerEvent::Farewell(reply) => {
                let text = reply.text.to_vec();
                Err(self.client.farewell(&text).into())
            }
            _ => Ok(()),
        }
    }

    /// What the committer reported between the network's last look and its own end.
    pub(super) fn last_reports(&mut self) {
        while let Ok(settled) = self.inbox.settled.try_recv() {
            self.settled(settled);
        }
    }
}
