//! What one round works with, and what changes in it.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;

use super::arriving::{Arriving, ArrivingHeader, Whole};
use super::queue::{JobQueue, known_key};
use super::refusal::RefusedMessage;
use super::tally::Tally;
use crate::client::{Client, Transaction};
use crate::delivery::routing::NetworkEnds;
use crate::message::Facts;
use crate::plan::compare::Comparison;
use crate::plan::{Allowance, Decision, Maildrop, Policy};
use crate::proof::{Delivered, EntryId, Key};
use crate::retrieval::committer::{Inbox, Parcel, Work};
use crate::retrieval::pipeline::naming::{Candidates, ExpectedName, NamingForm};
use crate::retrieval::pipeline::{Job, Pipeline, Rules};
use crate::retrieval::run::Run;
use crate::types::{MessageNumber, Octets};

/// Everything one round needs.
pub(in crate::retrieval) struct Fetch<'a> {
    pub(in crate::retrieval) run: &'a Run<'a>,
    pub(in crate::retrieval) client: &'a mut Client<Transaction>,
    pub(in crate::retrieval) maildrop: &'a Maildrop,
    pub(in crate::retrieval) decisions: &'a [Decision],
    pub(in crate::retrieval) comparison: Comparison,
    /// The keys of known messages that are retrieved all the same, and of some others, to ask for: the ledger is the
    /// committer's by now.
    pub(in crate::retrieval) keys: &'a HashMap<EntryId, Key>,
    /// Places of the listing whose unique-ids are at hand.
    pub(in crate::retrieval) sample: Vec<usize>,
    /// How often entries have failed before: only news is reported.
    pub(in crate::retrieval) failed_before: &'a HashMap<EntryId, u16>,
    /// Whether any have failed before and were reported: those that have no unique-id can't be distinguished from them.
    pub(in crate::retrieval) some_failed_before: bool,
    pub(in crate::retrieval) network_ends: &'a mut NetworkEnds,
    pub(in crate::retrieval) policy: &'a Policy,
    pub(in crate::retrieval) work: Option<Sender<Work>>,
    pub(in crate::retrieval) inbox: Inbox,
    pub(in crate::retrieval) state: RoundState<'a>,
}

/// What changes in a round.
pub(in crate::retrieval) struct RoundState<'a> {
    /// What is asked, and what answers mean.
    pub(super) pipeline: Pipeline<JobQueue<'a>, Held, Delivered>,
    pub(super) arriving: Option<Arriving>,
    pub(super) heading: Option<ArrivingHeader>,
    /// Deleted as soon as they are delivered, though they are not what was to be deleted.
    pub(super) delete_when_delivered: HashSet<MessageNumber>,
    /// Refused, and none has come through since.
    pub(super) refusals: Vec<RefusedMessage>,
    pub(super) batch: Vec<Parcel>,
    pub(super) batch_octets: u64,
    /// The batch goes as soon as nothing that shares its files is on its way.
    pub(super) cut_due: bool,
    /// Messages with the committer.
    pub(super) committing: u64,
    /// Messages on their way, as they are counted for all accounts.
    pub(super) under_way: u64,
    /// The committer has ended.
    pub(super) ended: bool,
    /// No new message from here on.
    pub(super) stopping: bool,
    pub(super) tally: Tally,
}

/// What an answer comes to, once an answer that names has followed it.
pub(super) enum Held {
    /// A message.
    Whole(Job, Whole),
    /// A header.
    Header(Job, Facts),
    /// `-ERR`.
    Refused(RefusedMessage),
    /// Nothing of the message came.
    Nothing(Job),
}

impl<'a> RoundState<'a> {
    /// At the beginning of a round: what earlier rounds of the session came to, and what is to be deleted at once.
    pub(in crate::retrieval) fn new(
        run: &Run<'_>,
        mut tally: Tally,
        ready: Vec<Delivered>,
        queue: JobQueue<'a>,
    ) -> Self {
        let JobQueue { maildrop, decisions, policy, .. } = queue;
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
    pub(in crate::retrieval) fn end(&mut self) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        tally.standing = std::mem::take(&mut self.pipeline.standing);
        tally.waiting.extend(self.pipeline.take_deletions());
        tally.cut_short |= self.pipeline.cut_short;
        tally.left_alone |= self.pipeline.left_alone;
        tally
    }
}

/// The messages whose unique-id, or size, is at hand.
pub(super) struct Choice<'a> {
    pub(super) maildrop: &'a Maildrop,
    pub(super) keys: &'a HashMap<EntryId, Key>,
    pub(super) sample: &'a [usize],
}

impl Candidates for Choice<'_> {
    fn places(&self) -> usize {
        self.maildrop.len()
    }

    fn sample(&self) -> &[usize] {
        self.sample
    }

    fn at(&self, place: usize, form: NamingForm) -> Option<(MessageNumber, ExpectedName)> {
        let listed = self.maildrop.at(place)?;
        let expected = match form {
            NamingForm::UniqueId => match known_key(&listed, self.keys)? {
                Key::UniqueId(unique_id) => ExpectedName::UniqueId(unique_id),
                Key::Header(_) => return None,
            },
            NamingForm::Size => ExpectedName::Size(listed.octets?),
            NamingForm::DropListing | NamingForm::Nothing => return None,
        };
        Some((listed.number, expected))
    }
}
