//! What becomes of accepted deletions in the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ledger::{self, Ledger};
use crate::message::Digest;
use crate::plan::Maildrop;
use crate::proof::{EntryId, Key};

/// What the accepted deletions are for the ledger.  Of several messages with one key, of which some stay (they are kept,
/// or the server has refused to delete them), only those go that were deleted: the others are there still.  Of what has no
/// unique-id no listing shows whether others are; nor, where unique-ids move, of what stood under a key before.
pub(in crate::retrieval) fn of(
    maildrop: &Maildrop,
    ledger: &Ledger,
    accepted: &[EntryId],
    accepted_deliveries: &[(EntryId, Digest)],
    refused: &HashSet<EntryId>,
) -> Result<Vec<(EntryId, Option<Digest>)>, ledger::Error> {
    let mut deliveries: HashMap<EntryId, Vec<Digest>> = HashMap::new();
    for (id, delivery) in accepted_deliveries {
        deliveries.entry(*id).or_default().push(*delivery);
    }
    // In the order of the entries, as they stand in the ledger.
    let mut counts: BTreeMap<EntryId, u32> = BTreeMap::new();
    accepted.iter().for_each(|id| *counts.entry(*id).or_default() += 1);
    let unsteady = !counts.is_empty() && ledger.has_unsteady_ids();
    let mut deletions = Vec::new();
    for (id, count) in &counts {
        let some_stay = maildrop.times_listed(*id) > *count
            || ledger.is_renumbering()
            || unsteady
            || (ledger.knows_nameless() && matches!(ledger.key(*id)?, Key::Header(_)));
        match deliveries.remove(id).filter(|_| some_stay) {
            Some(deliveries) => {
                deletions.extend(deliveries.into_iter().map(|delivery| (*id, Some(delivery))))
            }
            None if refused.contains(id) => {}
            None => deletions.push((*id, None)),
        }
    }
    Ok(deletions)
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::ledger::EntryState;
    use crate::plan::trial::{World, facts, key};
    use crate::proof::Key;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Of two messages of one key: what is left of the entry when these were deleted, and these refused.
    fn left(
        key: Key,
        name: &str,
        listed: usize,
        deleted: &[&str],
        refused: usize,
        moves: fn(&mut World),
    ) -> Vec<String> {
        let mut world = World::new();
        let contents = ["h/one@i", "h/two@i"];
        let id = world.deliver_content(key.clone(), contents[0]);
        world.deliver_content(key, contents[1]);
        moves(&mut world);
        let names: Vec<(&str, Option<u64>)> = vec![(name, None); listed];
        let accepted = vec![id; deleted.len()];
        let copies: Vec<_> = deleted.iter().map(|content| (id, facts(content).digests.message)).collect();
        let refused = HashSet::from_iter(vec![id; refused]);
        let maildrop = world.maildrop(&names);
        let deletions = of(&maildrop, &world.ledger, &accepted, &copies, &refused).unwrap();
        let asked = world.ledger.ask_deletion(&deletions).unwrap();
        world.ledger.confirm_deletion(asked).unwrap();
        if world.ledger.entry(id).state == EntryState::Deleted {
            return Vec::new();
        }
        let records = world.ledger.deliveries_of(id).unwrap();
        let is_left = |content: &&&str| {
            records.iter().any(|record| record.digests.message == facts(content).digests.message)
        };
        contents.iter().filter(is_left).map(|content| (*content).to_owned()).collect()
    }

    /// What the server has still must stay known: it came again, or kept other mail away, when it was forgotten.
    #[test]
    fn only_what_was_deleted_is_forgotten() {
        let (one, two) = ("h/one@i", "h/two@i");
        let header = || Key::Header(facts(one).digests.header);
        for (deleted, refused, expected) in [
            (&[one, two][..], 0, &[][..]),
            (&[one], 0, &[two]),
            (&[two], 0, &[one]),
            (&[two], 1, &[one]),
            (&[], 2, &[one, two]),
        ] {
            assert_eq!(left(key("x"), "x", 2, deleted, refused, |_| ()), expected, "{deleted:?}");
            assert_eq!(left(header(), "-", 2, deleted, refused, |_| ()), expected, "without: {deleted:?}");
        }
        // What the key stood for before has gone long ago, unless the messages have moved.
        assert_eq!(left(key("x"), "x", 1, &[two], 0, |_| ()), [""; 0]);
        let renumbering = |world: &mut World| world.ledger.begin_renumbering().unwrap();
        assert_eq!(left(key("x"), "x", 1, &[two], 0, renumbering), [one]);
        let unsteady = |world: &mut World| {
            let other = world.deliver("other");
            world.record_match("its new name", other);
        };
        assert_eq!(left(key("x"), "x", 1, &[two], 0, unsteady), [one]);
        // That others have no unique-id is nothing to this one.
        let nameless = |world: &mut World| {
            world.deliver_content(Key::Header(facts("n").digests.header), "n");
        };
        assert_eq!(left(key("x"), "x", 1, &[two], 0, nameless), [""; 0]);
    }

    proptest! {
        /// Of several messages with one key, whichever were deleted and refused: what stays on the server stays known, and what is
        /// recorded as deleted was accepted.
        #[test]
        fn nothing_is_forgotten_that_the_server_has_still(
            listed in 1..4_usize,
            accepted in proptest::collection::hash_set(0..3_usize, 0..4),
            refused in any::<bool>(),
        ) {
            let contents = ["h/one@i", "h/two@i", "h/three@i"];
            let mut world = World::new();
            let mut id = world.deliver_content(key("x"), contents[0]);
            for content in &contents[1..listed] {
                id = world.deliver_content(key("x"), content);
            }
            let accepted: Vec<usize> = accepted.into_iter().filter(|nth| *nth < listed).collect();
            let ids = vec![id; accepted.len()];
            let copies: Vec<_> =
                accepted.iter().map(|nth| (id, facts(contents[*nth]).digests.message)).collect();
            let refused: HashSet<_> = refused.then_some(id).into_iter().collect();
            let maildrop = world.maildrop(&vec![("x", None); listed]);
            let deletions = of(&maildrop, &world.ledger, &ids, &copies, &refused).unwrap();
            let whole = deletions.iter().any(|(_, delivery)| delivery.is_none());
            prop_assert!(!whole || (accepted.len() == listed && refused.is_empty()), "{:?}", deletions);
            let is_accepted = |(_, delivery): &(_, Option<_>)| {
                delivery.is_none_or(|delivery| copies.contains(&(id, delivery)))
            };
            prop_assert!(deletions.iter().all(is_accepted));
            let asked = world.ledger.ask_deletion(&deletions).unwrap();
            world.ledger.confirm_deletion(asked).unwrap();
            let records = world.ledger.deliveries_of(id).unwrap();
            let gone = world.ledger.entry(id).state == EntryState::Deleted;
            for (nth, content) in contents.iter().enumerate().take(listed) {
                let known = records.iter().any(|record| record.digests.message == facts(content).digests.message);
                prop_assert!(accepted.contains(&nth) || (known && !gone), "{} is forgotten", content);
            }
        }
    }
}
