//! What was taken out of a window of the maildrop.  Gmail shows a few hundred messages, and takes out of them what was
//! retrieved when `QUIT` is confirmed.  A server that announces the same, and goes on listing it, would have all of it
//! retrieved in every run.

use std::collections::HashSet;

use crate::ledger::memory::{Memory, Popped};
use crate::ledger::{self, EntryState, Ledger};
use crate::plan::{Maildrop, Who};
use crate::proof::{EntryId, Key};
use crate::types::Time;

/// Of this many messages it is remembered that they were retrieved.
const MOST: usize = 10_000;

/// What is listed although it was retrieved before, and `QUIT` confirmed, in ascending order: to retrieve it once more takes
/// it out of the window no more than before.  The rest is forgotten.
pub(super) fn popped(memory: &mut Memory, maildrop: &Maildrop, ledger: &Ledger) -> Vec<EntryId> {
    let Some(popped) = &mut memory.popped else { return Vec::new() };
    let mut listed = Vec::new();
    popped.unique_ids.retain(|unique_id| {
        let id = ledger.find(unique_id.borrow()).filter(|id| maildrop.times_listed(*id) > 0);
        listed.extend(id);
        id.is_some()
    });
    if listed.is_empty() {
        memory.popped = None;
    }
    listed.sort_unstable();
    listed
}

/// `QUIT` was confirmed, after a session that retrieved all that the window showed, but for what had failed.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn remember(
    memory: &mut Memory,
    maildrop: &Maildrop,
    ledger: &Ledger,
    given_up: &HashSet<EntryId>,
    now: Time,
) -> Result<(), ledger::Error> {
    let is_ours = |id: &EntryId| {
        let entry = ledger.entry(*id);
        let is_held = matches!(entry.state, EntryState::Delivered | EntryState::Recorded | EntryState::Seen);
        is_held && entry.failures == 0 && !given_up.contains(id)
    };
    let ours = maildrop.iter().filter_map(|listed| match listed.who {
        Who::Known(id) => Some(id),
        Who::New(unique_id) => ledger.find(unique_id),
        Who::Nameless => None,
    });
    let mut unique_ids = Vec::new();
    for id in ours.filter(is_ours).take(MOST) {
        if let Key::UniqueId(unique_id) = ledger.key(id)? {
            unique_ids.push(unique_id);
        }
    }
    let since = memory.popped.as_ref().map_or(now, |popped| popped.since);
    memory.popped = (!unique_ids.is_empty()).then_some(Popped { since, unique_ids });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{popped, remember};
    use crate::ledger::memory::{Memory, Popped};
    use crate::plan::trial::{DAY, NOW, World, facts};
    use crate::proof::{EntryId, Key};
    use crate::retrieval::trial::unique_id;
    use crate::types::{Time, UniqueIdBuf};
    use std::collections::HashSet;

    const SINCE: Time = Time(NOW.0 - 3 * DAY);

    fn names(names: &[&str]) -> Vec<UniqueIdBuf> {
        names.iter().map(|name| unique_id(name)).collect()
    }

    fn memory(popped: &[&str]) -> Memory {
        Memory { popped: Some(Popped { since: SINCE, unique_ids: names(popped) }), ..Memory::default() }
    }

    /// What was taken out and is listed again isn't retrieved once more; what the window has left is forgotten.
    #[test]
    fn what_is_listed_after_it_was_taken_out_is_known() {
        let mut world = World::new();
        let (a, b) = (world.deliver("a"), world.deliver("b"));
        for (remembered, listed, expected, kept) in [
            (&["b", "a"][..], &["a", "b", "new"][..], vec![a, b], &["b", "a"][..]),
            (&["a", "b"], &["b"], vec![b], &["b"]),
            (&["a", "gone"], &["b", "a"], vec![a], &["a"]),
            (&["a"], &["b"], vec![], &[]),
        ] {
            let mut memory = memory(remembered);
            let listed: Vec<(&str, Option<u64>)> = listed.iter().map(|name| (*name, None)).collect();
            assert_eq!(popped(&mut memory, &world.maildrop(&listed), &world.ledger), expected, "{listed:?}");
            let kept = (!kept.is_empty()).then(|| Popped { since: SINCE, unique_ids: names(kept) });
            assert_eq!(memory.popped, kept, "{listed:?}");
        }
        assert_eq!(popped(&mut Memory::default(), &world.maildrop(&[("a", None)]), &world.ledger), []);
    }

    /// What the session retrieved, and what it knew; not what failed, was given up, or is to come again.
    #[test]
    fn only_what_is_held_counts_as_taken_out() {
        let mut world = World::new();
        world.deliver("a");
        let given_up = world.deliver("given up");
        world.deliver("failed");
        world.fail("failed", None);
        world.fail("never came", None);
        world.delete("deleted");
        world.deliver_content(Key::Header(facts("nameless").digests.header), "nameless");
        let listing = ["a", "given up", "failed", "never came", "deleted", "new"].map(|name| (name, None));
        let maildrop = world.maildrop(&listing);
        // By now it has an entry.
        world.deliver("new");
        let remembered = |memory: &mut Memory, given_up: &[EntryId], maildrop| {
            let given_up: HashSet<EntryId> = given_up.iter().copied().collect();
            remember(memory, maildrop, &world.ledger, &given_up, NOW).unwrap();
            memory.popped.clone()
        };
        let of = |since, unique_ids| Some(Popped { since, unique_ids });
        let all = names(&["a", "given up", "new"]);
        assert_eq!(remembered(&mut Memory::default(), &[], &maildrop), of(NOW, all));
        let expected = names(&["a", "new"]);
        assert_eq!(remembered(&mut memory(&["x"]), &[given_up], &maildrop), of(SINCE, expected));
        let nothing = world.maildrop(&[("never came", None)]);
        assert_eq!(remembered(&mut memory(&["a"]), &[], &nothing), None);
    }
}
