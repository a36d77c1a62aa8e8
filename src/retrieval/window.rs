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
