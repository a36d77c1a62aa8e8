//! What a round needs of the ledger while the committer has it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::ledger::{self, Ledger};
use crate::plan::{Decision, Maildrop, Who};
use crate::proof::{EntryId, Key};

/// What the ledger knows of messages that are retrieved although it knows them: read before the committer takes it.
#[derive(Default)]
pub(super) struct KnownBefore {
    pub(super) keys: HashMap<EntryId, Key>,
    /// How often those have failed that have.
    pub(super) failed_before: HashMap<EntryId, u16>,
}

impl KnownBefore {
    /// `sample`: also the keys of the messages at these places of the listing.
    pub(super) fn read(
        maildrop: &Maildrop,
        decisions: &[Decision],
        sample: &[usize],
        ledger: &Ledger,
    ) -> Result<Self, ledger::Error> {
        let mut known = Self::default();
        for (listed, decision) in maildrop.iter().zip(decisions) {
            let Who::Known(id) = listed.who else { continue };
            if decision.leaves() {
                continue;
            }
            known.keys.insert(id, ledger.key(id)?);
            let failures = ledger.entry(id).failures;
            if failures > 0 {
                known.failed_before.insert(id, failures);
            }
        }
        for listed in sample.iter().filter_map(|place| maildrop.at(*place)) {
            if let Who::Known(id) = listed.who
                && let Entry::Vacant(vacant) = known.keys.entry(id)
            {
                vacant.insert(ledger.key(id)?);
            }
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::KnownBefore;
    use crate::plan::trial::{World, key};
    use crate::plan::{Decision, Why};
    use std::collections::HashMap;

    /// The committer has the ledger during a round: what the network needs of it is read before, and no more than that.
    #[test]
    fn what_a_round_asks_about_is_at_hand_and_nothing_else() {
        let mut world = World::new();
        let ids = ["a", "b", "c"].map(|name| world.deliver(name));
        let failed = world.fail("failed", None);
        let maildrop = world.maildrop(&[
            ("a", None),
            ("b", None),
            ("c", None),
            ("failed", None),
            ("new", None),
            ("-", None),
        ]);
        let (leave, again) = (Decision::Leave(Why::Known), Decision::Retrieve(Why::Again));
        let compare = Decision::Compare(Why::Doubtful);
        let decisions = [compare, leave, leave, again, Decision::Retrieve(Why::New), again];
        let read =
            |sample: &[usize]| KnownBefore::read(&maildrop, &decisions, sample, &world.ledger).unwrap();
        let known = read(&[]);
        assert_eq!(known.keys, HashMap::from([(ids[0], key("a")), (failed, key("failed"))]));
        assert_eq!(known.failed_before, HashMap::from([(failed, 1)]));
        // What may be asked for, to see that answers name their messages.
        let known = read(&[0, 2, 4, 5, 99]);
        assert_eq!(
            known.keys,
            HashMap::from([(ids[0], key("a")), (ids[2], key("c")), (failed, key("failed"))])
        );
        assert_eq!(known.failed_before.len(), 1);
    }

    /// A message that is left alone isn't reported as one that fails for the first time.
    #[test]
    fn what_failed_before_is_counted_only_where_it_is_tried() {
        let mut world = World::new();
        (0..3).for_each(|_| _ = world.fail("f", None));
        let maildrop = world.maildrop(&[("f", None)]);
        for (decision, expected) in
            [(Decision::Retrieve(Why::Again), Some(3)), (Decision::Leave(Why::BackingOff), None)]
        {
            let known = KnownBefore::read(&maildrop, &[decision], &[0], &world.ledger).unwrap();
            assert_eq!(known.failed_before.values().next().copied(), expected);
            assert_eq!(known.keys.len(), 1);
        }
    }
}
