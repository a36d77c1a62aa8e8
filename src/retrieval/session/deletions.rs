//! What becomes of accepted deletions in the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ledger::{self, Ledger};
use crate::message::Digest;
use crate::plan::Maildrop;
use crate::proof::{EntryId, Key};
use crate::retrieval::fetch::Tally;

/// What the accepted deletions are for the ledger.  Of several messages with one key, of which some stay (they are kept,
/// or the server has refused to delete them), only those go that were deleted: the others are there still.  Of what has no
/// unique-id no listing shows whether others are; nor, while a renumbering is sorted out, of what stood under a key before.
pub(super) fn of(
    maildrop: &Maildrop,
    ledger: &Ledger,
    tally: &mut Tally,
) -> Result<Vec<(EntryId, Option<Digest>)>, ledger::Error> {
    let mut deliveries: HashMap<EntryId, Vec<Digest>> = HashMap::new();
    for (id, delivery) in &tally.accepted_deliveries {
        deliveries.entry(*id).or_default().push(*delivery);
    }
    // In the order of the entries, as they stand in the ledger.
    let mut accepted: BTreeMap<EntryId, u32> = BTreeMap::new();
    tally.accepted.iter().for_each(|id| *accepted.entry(*id).or_default() += 1);
    let refused: HashSet<EntryId> = tally.refused.iter().copied().collect();
    let mut deletions = Vec::new();
    for (id, count) in &accepted {
        let some_stay = maildrop.times_listed(*id) > *count
            || ledger.is_renumbering()
            || (ledger.knows_nameless() && matches!(ledger.key(*id)?, Key::Header(_)));
        match deliveries.remove(id).filter(|_| some_stay) {
            Some(deliveries) => {
                deletions.extend(deliveries.into_iter().map(|delivery| (*id, Some(delivery))))
            }
            None if refused.contains(id) => {}
            None => deletions.push((*id, None)),
        }
    }
    tally.accepted.retain(|id| !refused.contains(id));
    Ok(deletions)
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::ledger::EntryState;
    use crate::plan::trial::{World, facts, key};
    use crate::proof::Key;
    use crate::retrieval::fetch::Tally;

    /// Of two messages of one key: what is left of the entry when these were deleted, and these refused.
    fn left(
        key: Key,
        name: &str,
        listed: usize,
        deleted: &[&str],
        refused: usize,
        renumbering: bool,
    ) -> Vec<String> {
        let mut world = World::new();
        let contents = ["h/one@i", "h/two@i"];
        let id = world.deliver_content(key.clone(), contents[0]);
        world.deliver_content(key, contents[1]);
        if renumbering {
            world.ledger.begin_renumbering().unwrap();
        }
        let names: Vec<(&str, Option<u64>)> = vec![(name, None); listed];
        let mut tally = Tally::default();
        for content in deleted {
            tally.accepted.push(id);
            tally.accepted_deliveries.push((id, facts(content).digests.message));
        }
        tally.refused = vec![id; refused];
        let deletions = of(&world.maildrop(&names), &world.ledger, &mut tally).unwrap();
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
            assert_eq!(left(key("x"), "x", 2, deleted, refused, false), expected, "{deleted:?}");
            assert_eq!(left(header(), "-", 2, deleted, refused, false), expected, "without: {deleted:?}");
        }
        // What the key stood for before has gone long ago, unless the messages have moved.
        assert_eq!(left(key("x"), "x", 1, &[two], 0, false), [""; 0]);
        assert_eq!(left(key("x"), "x", 1, &[two], 0, true), [one]);
    }
}
