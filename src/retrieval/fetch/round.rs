//! What one round works with, and what changes in it.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;

use super::incoming::{IncomingHeader, IncomingMessage, Whole};
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
    pub(super) incoming: Option<IncomingMessage>,
    pub(super) incoming_header: Option<IncomingHeader>,
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
    Whole(Job, Whole),
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
            incoming: None,
            incoming_header: None,
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
            NamingForm::UniqueId => ExpectedName::UniqueId(known_key(&listed, self.keys)?.into_unique_id()?),
            NamingForm::Size => ExpectedName::Size(listed.octets?),
            NamingForm::DropListing | NamingForm::Nothing => return None,
        };
        Some((listed.number, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, RoundState};
    use crate::account::Retention;
    use crate::plan::trial::{SIZE, World, facts, key, number};
    use crate::plan::{Decision, Policy, Why};
    use crate::proof::{EntryId, Key};
    use crate::retrieval::fetch::trial::Bench;
    use crate::retrieval::fetch::{JobQueue, Tally};
    use crate::retrieval::pipeline::naming::{Candidates as _, ExpectedName, NamingForm};
    use crate::retrieval::pipeline::standing::SessionStanding;
    use crate::retrieval::trial::unique_id;
    use crate::types::Octets;
    use std::collections::{HashMap, HashSet};

    /// A question is only about what the server has listed: a unique-id or a size that is at hand.
    #[test]
    fn a_message_is_asked_about_only_by_what_the_server_listed() {
        let mut world = World::new();
        let (a, b) = (world.deliver("a"), world.deliver("b"));
        let nameless = world.deliver_content(Key::Header(facts("n").digests.header), "n");
        let mut maildrop =
            world.maildrop(&[("a", Some(7)), ("b", None), ("new", Some(9)), ("-", None), ("-", Some(5))]);
        maildrop.assign(number(5), nameless);
        // The ledger is the committer's: what isn't read before can't be looked up.
        let keys = HashMap::from([(a, key("a")), (nameless, Key::Header(facts("n").digests.header))]);
        assert!(!keys.contains_key(&b));
        let choice = Choice { maildrop: &maildrop, keys: &keys, sample: &[0, 2] };
        let named = |name| ExpectedName::UniqueId(unique_id(name));
        let size = |octets| ExpectedName::Size(Octets(octets));
        for (place, by_unique_id, by_size) in [
            (0, Some(named("a")), Some(size(7))),
            (1, None, None),
            (2, Some(named("new")), Some(size(9))),
            (3, None, None),
            (4, None, Some(size(5))),
            (5, None, None),
        ] {
            for (form, expected) in [
                (NamingForm::UniqueId, by_unique_id),
                (NamingForm::Size, by_size),
                (NamingForm::DropListing, None),
                (NamingForm::Nothing, None),
            ] {
                let at = u32::try_from(place + 1).unwrap();
                let expected = expected.map(|expected| (number(at), expected));
                assert_eq!(choice.at(place, form), expected, "{place} {form:?}");
            }
        }
        assert_eq!((choice.places(), choice.sample()), (5, &[0, 2][..]));
    }

    /// A round begins with what earlier ones have used of max-messages, and what is planned counts before anything comes.
    #[test]
    fn a_round_starts_with_what_is_left_of_the_limits() {
        for (delivered, retrieved, most, expected) in
            [(0, 1, 2, true), (0, 2, 2, false), (1, 1, 2, false), (1, 0, 2, true), (0, 0, 0, false)]
        {
            let mut decisions = vec![Decision::Retrieve(Why::New); retrieved];
            decisions.push(Decision::Compare(Why::Renumbered));
            let names = ["a", "b", "c"];
            let mut bench = Bench::new(World::new(), &names[..=retrieved], &decisions);
            bench.policy = Policy { max_messages: Some(most), ..bench.policy };
            bench.tally = Tally { delivered, ..Tally::default() };
            let came = bench.run(|fetch| fetch.state.pipeline.allowance.take(Octets(SIZE)).is_ok());
            assert_eq!(came.result, expected, "{delivered} {retrieved} {most}");
        }
    }

    /// What earlier rounds came to is not lost, nor what this one could not send.
    #[test]
    fn a_round_adds_to_what_the_session_has() {
        let mut world = World::new();
        world.deliver("a");
        let proof = world.ledger.prove_delivered(EntryId(0), number(1)).unwrap();
        let mut bench = Bench::new(world, &["a"], &[Decision::Leave(Why::Known)]);
        let gone = HashSet::from([number(9)]);
        bench.tally = Tally {
            delivered: 3,
            accepted: vec![EntryId(7)],
            standing: SessionStanding { confirmed: 4, gone: gone.clone(), ..SessionStanding::default() },
            ..Tally::default()
        };
        let came = bench.run(|fetch| {
            fetch.state.pipeline.delete(proof);
            (fetch.state.pipeline.cut_short, fetch.state.pipeline.left_alone) = (true, true);
        });
        let tally = &came.tally;
        assert_eq!((tally.delivered, tally.accepted.as_slice()), (3, &[EntryId(7)][..]));
        assert_eq!((tally.standing.confirmed, &tally.standing.gone), (4, &gone));
        assert_eq!((came.deletions(), tally.cut_short, tally.left_alone), (vec![1], true, true));
        // What an earlier round has cut short stays so.
        bench.tally = Tally { cut_short: true, left_alone: true, ..Tally::default() };
        let came = bench.run(|_| ());
        assert!(came.tally.cut_short && came.tally.left_alone);
    }

    /// Deletions that wait for the last question count among those that one session may ask for.
    #[test]
    fn deletions_that_wait_are_part_of_the_session_s_share() {
        let mut world = World::new();
        world.deliver("a");
        let proof = world.ledger.prove_delivered(EntryId(0), number(1)).unwrap();
        let mut bench =
            Bench::new(world, &["a", "new"], &[Decision::Leave(Why::Known), Decision::Retrieve(Why::New)]);
        bench.policy.retention = Retention::Delete;
        bench.tally.waiting.push(proof);
        let came = bench.run(|fetch| {
            let queue = JobQueue::new(
                (fetch.maildrop, fetch.decisions, fetch.policy),
                fetch.failed_before,
                HashMap::new(),
            );
            let tally = std::mem::take(&mut fetch.state.tally);
            let mut state = RoundState::new(fetch.run, tally, Vec::new(), queue);
            let ended = state.end();
            (ended.waiting.len(), state.pipeline.has_deletions())
        });
        assert_eq!(came.result, (1, false), "it waits still");
    }
}
