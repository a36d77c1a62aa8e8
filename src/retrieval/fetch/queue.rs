//! The messages of a round in their order, and by what each will be known again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use crate::ledger::memory::ListedAs;
use crate::plan::compare::Comparison;
use crate::plan::{self, Decision, Listed, Maildrop, Policy, Who};
use crate::proof::{EntryId, Key};
use crate::retrieval::course::has_own_name;
use crate::retrieval::pipeline::{Ask, Job, UNKNOWN_SIZE};
use crate::types::MessageNumber;

/// The messages of a round: in the order of the listing; then what is only to be identified; then what comes last, by how
/// often it has failed.
pub(in crate::retrieval) struct JobQueue<'a> {
    pub(super) maildrop: &'a Maildrop,
    pub(super) decisions: &'a [Decision],
    pub(super) policy: &'a Policy,
    failed_before: &'a HashMap<EntryId, u16>,
    /// Messages at which a session broke off before, and their order: each gets its turn.
    died: HashMap<MessageNumber, usize>,
    cursor: usize,
    /// What is only to be identified, which keeps no mail waiting: the places.
    later: VecDeque<usize>,
    /// What comes last: whether the connection ended at it, and when, how often it failed, and its place.
    last: BinaryHeap<Reverse<(Option<usize>, u16, usize)>>,
}

impl<'a> JobQueue<'a> {
    /// By these decisions; `failed_before` is what the ledger knows of the known ones.
    pub(in crate::retrieval) fn new(
        (maildrop, decisions, policy): (&'a Maildrop, &'a [Decision], &'a Policy),
        failed_before: &'a HashMap<EntryId, u16>,
        died: HashMap<MessageNumber, usize>,
    ) -> Self {
        let (cursor, later, last) = (0, VecDeque::new(), BinaryHeap::new());
        Self { maildrop, decisions, policy, failed_before, died, cursor, later, last }
    }

    fn job(&self, index: usize) -> Option<Job> {
        let decision = self.decisions.get(index).copied()?;
        let listed = self.maildrop.at(index)?;
        let by_header = decision == Decision::Identify
            || decision
                .why_compared()
                .is_some_and(|why| Comparison::asks_header(why, self.policy.deletes_everything()));
        Some(Job {
            index,
            number: listed.number,
            decision,
            size: listed.octets.map_or(UNKNOWN_SIZE, |octets| octets.0),
            ask: if by_header { Ask::Header } else { Ask::Whole },
            counted: decision.why_compared().is_none(),
            too_large: plan::is_too_large(listed.octets, self.policy),
            failures: match listed.who {
                Who::Known(id) => self.failed_before.get(&id).copied().unwrap_or(0),
                _ => 0,
            },
            died: self.died.contains_key(&listed.number),
        })
    }
}

impl Iterator for JobQueue<'_> {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        while let Some(decision) = self.decisions.get(self.cursor) {
            let index = self.cursor;
            self.cursor = index.saturating_add(1);
            if decision.leaves() {
                continue;
            }
            let Some(job) = self.job(index) else { continue };
            if !job.comes_last() && *decision == Decision::Identify {
                self.later.push_back(index);
                continue;
            }
            if !job.comes_last() {
                return Some(job);
            }
            self.last.push(Reverse((self.died.get(&job.number).copied(), job.failures, index)));
        }
        let last = |last: &mut BinaryHeap<_>| last.pop().map(|Reverse((_, _, index))| index);
        let index = self.later.pop_front().or_else(|| last(&mut self.last))?;
        self.job(index)
    }
}

/// The key that a message has before it is retrieved.
pub(super) fn known_key(listed: &Listed<'_>, keys: &HashMap<EntryId, Key>) -> Option<Key> {
    match listed.who {
        Who::New(unique_id) => Some(Key::UniqueId(unique_id.to_buf())),
        Who::Known(id) => keys.get(&id).cloned(),
        Who::Nameless => None,
    }
}

/// How the next session will list it; none where that isn't known.  By its number and size where it has no unique-id, or
/// shares it with another.
pub(super) fn listed_as(
    listed: &Listed<'_>,
    maildrop: &Maildrop,
    keys: &HashMap<EntryId, Key>,
) -> Option<ListedAs> {
    let key = known_key(listed, keys);
    match key {
        Some(Key::UniqueId(unique_id)) if has_own_name(listed, maildrop) => {
            Some(ListedAs::UniqueId(unique_id))
        }
        None if listed.who != Who::Nameless => None,
        Some(Key::Header(_)) => None,
        Some(Key::UniqueId(_)) | None => Some(ListedAs::Numbered(listed.number, listed.octets)),
    }
}

#[cfg(test)]
mod tests {
    use super::{JobQueue, UNKNOWN_SIZE, known_key, listed_as};
    use crate::account::Retention;
    use crate::ledger::memory::ListedAs;
    use crate::plan::trial::{SIZE, World, facts, key, number};
    use crate::plan::{Decision, Policy, Why};
    use crate::proof::{EntryId, Key};
    use crate::retrieval::pipeline::{Ask, Job};
    use crate::retrieval::trial::unique_id;
    use crate::types::Octets;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const NEW: Decision = Decision::Retrieve(Why::New);

    /// The jobs for these messages, in their order.
    fn jobs(
        world: &World,
        listed: &[(&str, Option<u64>)],
        decisions: &[Decision],
        policy: &Policy,
        died: &[u32],
    ) -> Vec<Job> {
        let maildrop = world.maildrop(listed);
        let ids: Vec<EntryId> = world.ledger.entries().collect();
        let failed: HashMap<_, _> = ids.iter().map(|id| (*id, world.ledger.entry(*id).failures)).collect();
        let died = died.iter().map(|n| number(*n)).zip(0..).collect();
        JobQueue::new((&maildrop, decisions, policy), &failed, died).collect()
    }

    fn numbers(jobs: &[Job]) -> Vec<u32> {
        jobs.iter().map(|job| job.number.get()).collect()
    }

    /// What has never broken off comes first, then what did so longest ago: each gets its turn.
    #[test]
    fn messages_at_which_the_line_ended_come_last_in_turn() {
        let world = World::new();
        let maildrop = world.maildrop(&[("-", None); 5]);
        let decisions = [Decision::Compare(Why::Nameless); 5];
        let policy = world.policy(Retention::Keep);
        let died = [1, 2, 4].map(number).into_iter().zip([2, 0, 1]).collect();
        let failed = HashMap::new();
        let queue = JobQueue::new((&maildrop, &decisions, &policy), &failed, died);
        let order: Vec<u32> = queue.map(|job| job.number.get()).collect();
        assert_eq!(order, [3, 5, 2, 4, 1]);
    }

    /// Mail that comes well never waits for what has failed; what has failed least is tried first.
    #[test]
    fn messages_that_failed_come_last_and_those_that_failed_most_behind_them() {
        let mut world = World::new();
        for (name, times) in [("thrice", 3), ("once", 1), ("twice", 2)] {
            (0..times).for_each(|_| _ = world.fail(name, None));
        }
        let listed = ["thrice", "new", "once", "twice", "newer"].map(|name| (name, None));
        let found = jobs(&world, &listed, &[NEW; 5], &world.policy(Retention::Keep), &[]);
        assert_eq!(numbers(&found), [2, 5, 3, 4, 1]);
        assert_eq!(found.iter().map(|job| job.failures).collect::<Vec<_>>(), [0, 0, 1, 2, 3]);
        assert_eq!(found.iter().filter(|job| job.comes_last()).count(), 3);
    }

    /// What is left is never asked for; what is only to be identified keeps no mail waiting.
    #[test]
    fn headers_that_nothing_waits_for_come_behind_the_mail() {
        let mut world = World::new();
        world.deliver("a");
        world.fail("failed", None);
        let decisions = [Decision::Identify, NEW, Decision::Leave(Why::Known), NEW, Decision::Identify];
        let listed = ["a", "failed", "b", "new", "c"].map(|name| (name, None));
        let found = jobs(&world, &listed, &decisions, &world.policy(Retention::Keep), &[]);
        assert_eq!(numbers(&found), [4, 1, 5, 2]);
        assert_eq!(found.iter().map(|job| job.ask).collect::<Vec<_>>()[1..3], [Ask::Header, Ask::Header]);
    }

    /// By TOP where the header may settle it, else by RETR.
    #[test]
    fn what_is_compared_is_asked_for_by_its_header_where_that_may_do() {
        let mut world = World::new();
        world.deliver("a");
        for (decision, retention, ask, counted) in [
            (NEW, Retention::Keep, Ask::Whole, true),
            (Decision::Identify, Retention::Keep, Ask::Header, true),
            (Decision::Compare(Why::Doubtful), Retention::Keep, Ask::Header, false),
            (Decision::Compare(Why::Duplicate), Retention::Keep, Ask::Whole, false),
            (Decision::Compare(Why::Window), Retention::Keep, Ask::Whole, false),
            (Decision::Delete(Why::Days), Retention::Delete, Ask::Header, false),
            (Decision::Compare(Why::Nameless), Retention::Keep, Ask::Header, false),
            (Decision::Compare(Why::Nameless), Retention::Delete, Ask::Whole, false),
        ] {
            let found = jobs(&world, &[("a", None)], &[decision], &world.policy(retention), &[]);
            assert_eq!((found[0].ask, found[0].counted), (ask, counted), "{decision:?} {retention:?}");
        }
    }

    #[test]
    fn a_size_that_is_not_known_is_guessed() {
        let world = World::new();
        let policy = Policy { max_message_size: Some(Octets(SIZE)), ..world.policy(Retention::Keep) };
        let listed = [("a", Some(SIZE)), ("b", Some(SIZE + 1)), ("c", None)];
        let found = jobs(&world, &listed, &[NEW; 3], &policy, &[]);
        assert_eq!(found.iter().map(|job| job.size).collect::<Vec<_>>(), [SIZE, SIZE + 1, UNKNOWN_SIZE]);
        assert_eq!(found.iter().map(|job| job.too_large).collect::<Vec<_>>(), [false, true, false]);
    }

    /// How a message will be known again: never by a name that another one has as well.
    #[test]
    fn what_broke_off_is_remembered_by_what_is_its_own() {
        let mut world = World::new();
        let a = world.deliver("a");
        let nameless = world.deliver_content(Key::Header(facts("n").digests.header), "n");
        let keys = HashMap::from([(a, key("a")), (nameless, world.ledger.key(nameless).unwrap())]);
        let listed = [("a", Some(SIZE)), ("new", None), ("x", Some(SIZE)), ("x", None), ("-", Some(SIZE))];
        let mut maildrop = world.maildrop(&listed);
        let numbered = |n, octets: Option<u64>| Some(ListedAs::Numbered(number(n), octets.map(Octets)));
        let named = |name| Some(ListedAs::UniqueId(unique_id(name)));
        let expected =
            [named("a"), named("new"), numbered(3, Some(SIZE)), numbered(4, None), numbered(5, Some(SIZE))];
        let found: Vec<_> = maildrop.iter().map(|listed| listed_as(&listed, &maildrop, &keys)).collect();
        assert_eq!(found, expected);
        // What isn't at hand is not made up.
        let found: Vec<_> =
            maildrop.iter().map(|listed| listed_as(&listed, &maildrop, &HashMap::new())).collect();
        assert_eq!((&found[0], &found[1]), (&None, &named("new")));
        maildrop.assign(number(5), nameless);
        let listed = maildrop.at(4).unwrap();
        assert_eq!(listed_as(&listed, &maildrop, &keys), None, "the next listing has nothing to know it by");
        assert_eq!(known_key(&listed, &keys), Some(Key::Header(facts("n").digests.header)));
    }

    proptest! {
        /// Each message that is to be asked for has its turn, once; and none that may hold the others up comes before them.
        #[test]
        fn every_message_has_its_turn_and_none_is_kept_waiting_by_what_may_fail(
            kinds in proptest::collection::vec(0..4_u8, 0..40),
            died in proptest::collection::hash_set(1..41_u32, 0..12),
        ) {
            let world = World::new();
            let names: Vec<String> = (1..=kinds.len()).map(|n| format!("m{n}")).collect();
            let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (name.as_str(), Some(SIZE))).collect();
            let decision = |kind: &u8| match kind {
                0 => Decision::Leave(Why::Known),
                1 => Decision::Identify,
                2 => Decision::Compare(Why::Renumbered),
                _ => NEW,
            };
            let decisions: Vec<Decision> = kinds.iter().map(decision).collect();
            let died: Vec<u32> = died.into_iter().collect();
            let found = jobs(&world, &listed, &decisions, &world.policy(Retention::Keep), &died);
            let mut places: Vec<usize> = found.iter().map(|job| job.index).collect();
            let ranks: Vec<u8> = found
                .iter()
                .map(|job| if job.comes_last() { 2 } else { u8::from(job.decision == Decision::Identify) })
                .collect();
            prop_assert!(ranks.is_sorted(), "{:?}", ranks);
            places.sort_unstable();
            let asked: Vec<usize> =
                (0..kinds.len()).filter(|place| !decisions[*place].leaves()).collect();
            prop_assert_eq!(places, asked);
        }
    }
}
