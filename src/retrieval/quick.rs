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
use super::configured::ConfiguredDestinations;
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
    run.account.listing == ListingMode::Auto && !run.options.all && !run.options.dry_run && !run.options.retry
}

/// What is to be asked before anything else, even before the ledger is read, if that may do.
pub(super) fn question(run: &Run<'_>, memory: &Memory, directory: &Path) -> Option<Prefetch> {
    if !wanted(run) || (run.options.insist && alerts::messages_wait(memory)) {
        return None;
    }
    let quick = memory.quick.as_ref()?;
    let idle = quick.idle_under.as_ref().is_some_and(|under| *under == configuration(run));
    let due = quick.due.is_some_and(|due| due <= run.now);
    let every = i64::try_from(run.account.full_listing_every.as_secs()).unwrap_or(i64::MAX);
    // A clock that was set back must not put the next listing off.
    let recent = (0..every).contains(&run.now.seconds_since(quick.listed));
    let may = quick.grows_at_end && idle && !due && recent;
    let last = MessageNumber::new(quick.messages)?;
    (may && Ledger::rests(directory)
        && ConfiguredDestinations::of(run.account, run.context, directory).are_there())
    .then_some(Prefetch::QuickPoll { last })
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
    let quick = if grows_at_end { settled(maildrop, ledger, policy, drop_listing, tally)? } else { None };
    let idle_under = quick.is_some().then(|| configuration(run));
    memory.quick =
        Some(Quick { idle_under, ..quick.unwrap_or_else(|| Quick { grows_at_end, ..unsettled() }) });
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
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    drop_listing: Option<(u32, Octets)>,
    tally: &Tally,
) -> Result<Option<Quick>, ledger::Error> {
    let Some((messages, mut octets)) = drop_listing else { return Ok(None) };
    // By the clock: after a leap that was corrected, the ledger's time is ahead of it.
    let Some(listed) = ledger.trusted_now() else { return Ok(None) };
    let days = match policy.retention {
        Retention::Limits(limits) => limits.days,
        Retention::Keep | Retention::Delete => None,
    };
    let settled = left_nothing_undone(tally) && !plan::has_changed_size(maildrop, ledger, policy.utf8);
    let is_whole = usize::try_from(messages) == Ok(maildrop.len()) && maildrop.has_unique_ids();
    if !settled || !is_whole || !ledger.intents().is_empty() || policy.window {
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
            // Its header waits for another session, if the server gives any.
            _ if entry.unidentified && !tally.standing.header.is_missing() => return Ok(None),
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
    Ok(Some(Quick { messages: left, octets, first, last, listed, grows_at_end: true, idle_under: None, due }))
}

/// Whether a session did all that it had set out to do.
fn left_nothing_undone(tally: &Tally) -> bool {
    tally.failed == 0 && tally.refused.is_empty() && tally.uncertain.is_empty() && !tally.not_stored
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

#[cfg(test)]
mod tests {
    use super::{DAY, settled};
    use crate::account::{Limits, Retention};
    use crate::ledger::memory::Quick;
    use crate::plan::trial::{NOW, SIZE, World};
    use crate::plan::{Maildrop, Policy};
    use crate::proof::EntryId;
    use crate::retrieval::fetch::Tally;
    use crate::types::{Octets, Time};

    /// What a session leaves of which all is known.
    struct Scene {
        world: World,
        listed: Vec<(&'static str, Option<u64>)>,
        counted: Option<(u32, Octets)>,
        policy: Policy,
        tally: Tally,
    }

    impl Scene {
        /// Two messages, both delivered.
        fn new() -> Self {
            let mut world = World::new();
            world.deliver("a");
            world.deliver("b");
            world.listed(&["a", "b"]);
            let listed = vec![("a", Some(SIZE)), ("b", Some(SIZE))];
            let policy = world.policy(Retention::Keep);
            Self { world, listed, counted: Some((2, Octets(2 * SIZE))), policy, tally: Tally::default() }
        }

        fn maildrop(&self) -> Maildrop {
            self.world.maildrop(&self.listed)
        }

        fn id(&self, name: &str) -> EntryId {
            self.world.ledger.find_key(&crate::plan::trial::key(name)).unwrap()
        }

        fn settled(&self) -> Option<Quick> {
            settled(&self.maildrop(), &self.world.ledger, &self.policy, self.counted, &self.tally).unwrap()
        }
    }

    #[test]
    fn where_nothing_is_left_to_do_the_next_poll_need_not_list() {
        let quick = Scene::new().settled().unwrap();
        assert_eq!((quick.messages, quick.octets, quick.due), (2, Octets(2 * SIZE), None));
        assert_eq!(quick.first.unwrap().borrow().as_bytes(), b"a");
        assert_eq!(quick.last.unwrap().borrow().as_bytes(), b"b");
    }

    /// Each of these shows in no quick poll, so that the next one lists.
    #[test]
    fn whatever_is_left_to_do_makes_the_next_poll_list() {
        type Change = fn(&mut Scene);
        let cases: [(&str, Change); 16] = [
            ("STAT wasn't answered", |scene| scene.counted = None),
            ("STAT counts others", |scene| scene.counted = Some((3, Octets(3 * SIZE)))),
            ("a message failed", |scene| scene.tally.failed = 1),
            ("a deletion was refused", |scene| scene.tally.refused.push(EntryId(0))),
            ("a comparison is open", |scene| scene.tally.uncertain.push(EntryId(0))),
            ("something wasn't stored", |scene| scene.tally.not_stored = true),
            ("a window", |scene| scene.policy.window = true),
            ("a changed size", |scene| scene.listed[1].1 = Some(SIZE + 1)),
            ("an unknown one", |scene| scene.listed[1].0 = "new"),
            ("one without a unique-id", |scene| scene.listed[1].0 = "-"),
            ("one listed twice", |scene| scene.listed[1].0 = "a"),
            ("one in doubt", |scene| {
                let id = scene.id("b");
                scene.world.ledger.doubt(Some(&[id])).unwrap();
            }),
            ("one that came back", |scene| {
                let id = scene.id("b");
                scene.world.ledger.deleted(&[id]).unwrap();
            }),
            ("one that is tried again", |scene| {
                scene.world.fail("c", None);
                scene.listed[1].0 = "c";
            }),
            ("only what was deleted", |scene| {
                scene.tally.accepted = vec![scene.id("a"), scene.id("b")];
            }),
            ("one was deleted whose size isn't known", |scene| {
                scene.listed[0].1 = None;
                scene.tally.accepted = vec![scene.id("a")];
            }),
        ];
        for (what, change) in cases {
            let mut scene = Scene::new();
            change(&mut scene);
            assert!(scene.settled().is_none(), "{what}");
        }
    }

    #[test]
    fn a_message_whose_copies_differ_is_not_in_doubt() {
        let mut scene = Scene::new();
        let id = scene.id("b");
        scene.world.ledger.varies(id).unwrap();
        scene.world.ledger.doubt(Some(&[id])).unwrap();
        assert!(scene.settled().is_some());
    }

    #[test]
    fn what_was_deleted_does_not_count() {
        let mut scene = Scene::new();
        scene.tally.accepted = vec![scene.id("a")];
        let quick = scene.settled().unwrap();
        assert_eq!((quick.messages, quick.octets), (1, Octets(SIZE)));
        assert_eq!(quick.first, quick.last);
    }

    /// The next poll lists when something is due: a retry, or the age of a message.
    #[test]
    fn what_is_due_later_sets_the_time() {
        let mut scene = Scene::new();
        scene.world.fail("c", Some(500));
        scene.listed[1].0 = "c";
        assert_eq!(scene.settled().unwrap().due, Some(Time(NOW.0 + 500)));
        let mut scene = Scene::new();
        scene.policy.retention = Retention::Limits(Limits { days: Some(3), ..Limits::default() });
        let delivered = scene.world.ledger.entry(scene.id("a")).delivered.unwrap();
        assert_eq!(scene.settled().unwrap().due, Some(Time(delivered.0 + 3 * DAY)));
    }

    /// What is too large, and was reported, waits for nothing; unless it failed besides.
    #[test]
    fn what_is_too_large_waits_for_nothing() {
        let mut scene = Scene::new();
        scene.world.ledger.too_large(&crate::plan::trial::key("c"), Some(Octets(SIZE))).unwrap();
        scene.listed[1].0 = "c";
        assert!(scene.settled().is_some());
        scene.world.fail("c", None);
        assert!(scene.settled().is_none());
    }
}
