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
            if matches!(decision, Decision::Leave(_)) {
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
    use super::JobQueue;
    use crate::account::Retention;
    use crate::plan::trial::{World, number};
    use crate::plan::{Decision, Why};
    use std::collections::HashMap;

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
}
