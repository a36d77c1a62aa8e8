//! What only some destinations have, and isn't listed any more, holds up nothing else that is known by its key.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{self, Ledger};
use crate::plan::{Maildrop, Who};
use crate::proof::{EntryId, Key};
use crate::retrieval::fetch::{CompareResult, Tally};
use crate::types::MessageNumber;

/// What each message is that was matched, by its number.
fn matched(tally: &Tally) -> impl Iterator<Item = (MessageNumber, EntryId)> {
    tally.matched().filter_map(|compared| Some((compared.number, compared.entry?)))
}

/// Unique-ids of which not all messages were compared: a limit, perhaps, ended the run before.  The next listing may show no
/// reason any more.
pub(super) fn left_open(maildrop: &Maildrop, tally: &Tally) -> Vec<EntryId> {
    let undone = tally.compared.iter().filter(|compared| compared.result == CompareResult::Undone);
    undone.filter_map(|compared| compared.entry).filter(|id| maildrop.times_listed(*id) > 1).collect()
}

/// All that is listed under these unique-ids was delivered: what a destination lacks was there before.
pub(super) fn part_listed(
    ledger: &mut Ledger,
    maildrop: &Maildrop,
    tally: &Tally,
) -> Result<(), ledger::Error> {
    let mut numbers: BTreeMap<EntryId, BTreeSet<MessageNumber>> = BTreeMap::new();
    for (number, entry) in matched(tally) {
        if maildrop.find(number).is_some_and(|listed| listed.who == Who::Known(entry)) {
            numbers.entry(entry).or_default().insert(number);
        }
    }
    let all = |(id, numbers): &(EntryId, BTreeSet<MessageNumber>)| {
        u32::try_from(numbers.len()) == Ok(maildrop.times_listed(*id))
    };
    numbers.into_iter().filter(all).try_for_each(|(id, _)| ledger.part_from_key(id))
}

/// Several messages without a unique-id may have one header, and so one entry.  One of them was matched: what a destination
/// lacks of the others is found by its content.
pub(super) fn part_nameless(
    ledger: &mut Ledger,
    maildrop: &Maildrop,
    tally: &Tally,
) -> Result<(), ledger::Error> {
    for (number, id) in matched(tally) {
        let is_nameless = maildrop.find(number).is_some_and(|listed| listed.who == Who::Nameless);
        if is_nameless && matches!(ledger.key(id)?, Key::Header(_)) {
            ledger.part_from_key(id)?;
        }
    }
    Ok(())
}
