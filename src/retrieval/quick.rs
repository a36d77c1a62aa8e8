//! The quick poll: `STAT` and the unique-ids of the first and the last message, in the login's flight, stand for a
//! listing.  A few hundred octets, and of the ledger no more than its end, whatever the size of the maildrop.
//!
//! They can, where the server has only ever added at the end, the last listing left nothing to do, and nothing falls due
//! meanwhile.  A guess it is all the same: a server that takes a message away in the middle and puts another one of the
//! same size there delays that one until the next full listing, and gets full listings ever after.  Nothing is deleted,
//! and nothing concluded about a message, on a quick poll's word.

use std::collections::HashSet;
use std::path::Path;

use super::alerts;
use super::configured::Configured;
use super::fetch::Tally;
use super::run::Run;
use crate::account::{ListingMode, Retention};
use crate::client::{Prefetch, QuickPoll};
use crate::ledger::memory::{Memory, Quick};
use crate::ledger::{self, EntryState, Ledger};
use crate::plan::{self, Listed, Maildrop, Policy, Who};
use crate::proof::{EntryId, Key};
use crate::types::{MessageNumber, Octets, Time, UniqueIdBuf};

const DAY: i64 = 86_400;

/// Whether this run takes quick polls where it may.
pub(super) fn wanted(run: &Run<'_>) -> bool {
    run.account.listing == ListingMode::Auto && !run.options.all && !run.options.dry_run
}

/// What is to be asked before anything else, even before the ledger is read, if that may do.
pub(super) fn question(run: &Run<'_>, memory: &Memory, directory: &Path) -> Option<Prefetch> {
    if !wanted(run) || (run.options.insist && alerts::messages_wait(memory)) {
        return None;
    }
    let quick = memory.quick.as_ref()?;
    let every = i64::try_from(run.account.full_listing_every.as_secs()).unwrap_or(i64::MAX);
    // A clock that was set back must not put the next listing off.
    let recent = (0..every).contains(&run.now.seconds_since(quick.listed));
    let may = quick.grows_at_end && recent;
    let last = MessageNumber::new(left_idle(run, memory)?)?;
    (may && Ledger::rests(directory) && Configured::of(run.account, run.context, directory).are_there())
        .then_some(Prefetch::QuickPoll { last })
}

/// How many messages the last session left, if it left nothing to do under this configuration, and nothing has fallen due
/// since.
pub(super) fn left_idle(run: &Run<'_>, memory: &Memory) -> Option<u32> {
    let quick = memory.quick.as_ref()?;
    let idle = quick.idle_under.as_ref().is_some_and(|under| *under == configuration(run));
    let due = quick.due.is_some_and(|due| due <= run.now);
    (idle && !due).then_some(quick.messages)
}

/// Whether there will be something to do with whatever is listed: the last session left an empty maildrop, or something
/// undone.  Then the sizes, which are needed before anything is retrieved, had better travel with the listing.
pub(super) fn expects_mail(run: &Run<'_>, memory: &Memory) -> bool {
    wanted(run) && memory.quick.as_ref().is_some_and(|quick| quick.grows_at_end && quick.idle_under.is_none())
}

/// Whether the maildrop is as it was left.
pub(super) fn is_unchanged(memory: &Memory, poll: &QuickPoll) -> bool {
    memory.quick.as_ref().is_some_and(|quick| {
        poll.drop_listing == Some((quick.messages, quick.octets))
            && poll.first.is_some()
            && poll.first == quick.first
            && poll.last.is_some()
            && poll.last == quick.last
    })
}

/// Under which configuration nothing was left to do: the command line of this run counts, too.
fn configuration(run: &Run<'_>) -> String {
    let fingerprint = run.fingerprint();
    match run.options.retention {
        None => fingerprint.to_owned(),
        Some(Retention::Keep) => format!("{fingerprint} keep"),
        Some(Retention::Delete) => format!("{fingerprint} delete"),
        Some(Retention::Limits(_)) => format!("{fingerprint} limits"),
    }
}

/// Judges a full listing: has the server put anything elsewhere than at the end?  To be asked before anything of it is
/// retrieved.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn judge(memory: &mut Memory, maildrop: &Maildrop, ledger: &Ledger) -> Result<(), ledger::Error> {
    let Some(quick) = &memory.quick else { return Ok(()) };
    // Where the last one left something to do, what is new may be what was left then.
    if quick.grows_at_end
        && quick.idle_under.is_some()
        && (has_inserted(maildrop, ledger) || has_reordered(quick, maildrop, ledger)?)
    {
        memory.quick = Some(Quick { grows_at_end: false, ..unsettled() });
    }
    Ok(())
}

fn has_inserted(maildrop: &Maildrop, ledger: &Ledger) -> bool {
    let mut new = false;
    let at_end = maildrop.iter().all(|listed| match listed.who {
        Who::Known(_) => !new,
        Who::New(_) => {
            new = true;
            true
        }
        Who::Nameless => false,
    });
    !at_end || plan::is_renumbered(maildrop, ledger)
}

/// As many messages, all of them known, but others stand first or last.
fn has_reordered(quick: &Quick, maildrop: &Maildrop, ledger: &Ledger) -> Result<bool, ledger::Error> {
    let same = usize::try_from(quick.messages) == Ok(maildrop.len());
    if !same || maildrop.iter().any(|listed| !matches!(listed.who, Who::Known(_))) {
        return Ok(false);
    }
    let (first, last) = ends(&mut maildrop.iter(), ledger)?;
    Ok(first != quick.first || last != quick.last)
}

/// What a session that has ended well leaves to be compared.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn remember(
    run: &Run<'_>,
    memory: &mut Memory,
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    drop_listing: Option<(u32, Octets)>,
    tally: &Tally,
) -> Result<(), ledger::Error> {
    let grows_at_end = memory.quick.as_ref().is_none_or(|quick| quick.grows_at_end);
    let quick =
        if grows_at_end { settled(run, maildrop, ledger, policy, drop_listing, tally)? } else { None };
    memory.quick = Some(quick.unwrap_or_else(|| Quick { grows_at_end, ..unsettled() }));
    Ok(())
}

/// After a session that did not end well.
pub(super) fn forget(memory: &mut Memory) {
    if let Some(quick) = &mut memory.quick {
        *quick = Quick { grows_at_end: quick.grows_at_end, ..unsettled() };
    }
}

/// Something is left to do.
fn unsettled() -> Quick {
    Quick {
        messages: 0,
        octets: Octets(0),
        first: None,
        last: None,
        listed: Time(0),
        grows_at_end: true,
        idle_under: None,
        due: None,
    }
}

/// The maildrop as it stands now, if nothing is left to do in it.
fn settled(
    run: &Run<'_>,
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    drop_listing: Option<(u32, Octets)>,
    tally: &Tally,
) -> Result<Option<Quick>, ledger::Error> {
    let Some((messages, mut octets)) = drop_listing else { return Ok(None) };
    // By the clock: after a leap that was corrected, the ledger's time is ahead of it.
    let Some(listed) = ledger.trusted_now() else { return Ok(None) };
    let quiet =
        tally.failed == 0 && tally.refused.is_empty() && tally.uncertain.is_empty() && !tally.not_stored;
    let all = usize::try_from(messages) == Ok(maildrop.len())
        && maildrop.has_unique_ids()
        && ledger.intents().is_empty();
    let days = match policy.retention {
        Retention::Limits(limits) => limits.days,
        Retention::Keep | Retention::Delete => None,
    };
    let changed = plan::has_changed_size(maildrop, ledger, policy.utf8);
    if !quiet || !all || changed || policy.window {
        return Ok(None);
    }
    let deleted: HashSet<EntryId> = tally.accepted.iter().copied().collect();
    let mut due: Option<Time> = None;
    let mut sooner = |time: Time| due = Some(due.map_or(time, |due| due.min(time)));
    let mut left = 0_u32;
    for listed in maildrop.iter() {
        // One without an entry was left for another run.
        let Who::Known(id) = listed.who else { return Ok(None) };
        if deleted.contains(&id) {
            let Some(size) = listed.octets else { return Ok(None) };
            octets = Octets(octets.0.saturating_sub(size.0));
            continue;
        }
        left = left.saturating_add(1);
        let entry = ledger.entry(id);
        match entry.state {
            _ if maildrop.times_listed(id) > 1 || (entry.doubtful && !entry.varies) => return Ok(None),
            EntryState::Deleted => return Ok(None),
            EntryState::Open => match entry.retry_after {
                Some(time) => sooner(time),
                None if entry.reported_too_large && entry.failures == 0 => {}
                None => return Ok(None),
            },
            EntryState::Seen | EntryState::Recorded | EntryState::Delivered => {
                if let (Some(days), Some(delivered)) = (days, entry.delivered) {
                    let until = delivered.0.saturating_add(i64::from(days).saturating_mul(DAY));
                    sooner(Time(until));
                }
            }
        }
    }
    if left == 0 {
        // Its listing is as short as a poll.
        return Ok(None);
    }
    let stays = |listed: &Listed<'_>| !matches!(listed.who, Who::Known(id) if deleted.contains(&id));
    let (first, last) = ends(&mut maildrop.iter().filter(stays), ledger)?;
    let idle_under = Some(configuration(run));
    Ok(Some(Quick { messages: left, octets, first, last, listed, grows_at_end: true, idle_under, due }))
}

type Ends = (Option<UniqueIdBuf>, Option<UniqueIdBuf>);

/// The unique-ids of the first and the last of these, which the ledger knows.
fn ends<'a>(listed: &mut dyn Iterator<Item = Listed<'a>>, ledger: &Ledger) -> Result<Ends, ledger::Error> {
    let unique_id = |listed: Listed<'a>| -> Result<Option<UniqueIdBuf>, ledger::Error> {
        let Who::Known(id) = listed.who else { return Ok(None) };
        Ok(match ledger.key(id)? {
            Key::UniqueId(unique_id) => Some(unique_id),
            Key::Header(_) => None,
        })
    };
    let Some(first) = listed.next() else { return Ok((None, None)) };
    let last = listed.last().unwrap_or(first);
    Ok((unique_id(first)?, unique_id(last)?))
}
