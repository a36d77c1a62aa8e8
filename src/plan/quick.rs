//! Whether a quick poll may stand for a listing: `STAT` and the unique-ids of the first and the last message, which cost a few
//! hundred octets, whatever the size of the maildrop.
//!
//! It may where the server has only ever added at the end, the last listing left nothing to do, and nothing falls due
//! meanwhile.  It is still a guess.  If a server takes a message away in the middle and puts another one of the same
//! size there, that one is delayed until the next full listing; from then on the server gets full listings.  Nothing
//! is deleted, and nothing concluded about a message, on a quick poll's word.

use std::collections::HashSet;
use std::time::Duration;

use super::{Listed, Maildrop, Policy, Who, has_changed_size, is_renumbered};
use crate::account::Retention;
use crate::ledger::memory::Quick;
use crate::ledger::{EntryState, Error, Ledger};
use crate::proof::EntryId;
use crate::types::{MessageNumber, Octets, Time, UniqueIdBuf};

const DAY: i64 = 86_400;

/// What a session has done, as far as the next quick poll depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done<'a> {
    /// Whether it did all that it had set out to do.
    pub everything: bool,
    /// Entries whose deletion the server has accepted.
    pub deleted: &'a [EntryId],
    /// Whether the server gives headers: then what is known by the user's word alone waits for its own.
    pub has_top: bool,
}

/// The number of the last message, if a quick poll may stand for a listing now.  Nothing was left to do under this
/// `configuration`, which is asked for only where that matters; and no full listing is due, as it is after `every`.
#[must_use]
pub(crate) fn may_stand(
    quick: &Quick,
    configuration: impl FnOnce() -> String,
    now: Time,
    every: Duration,
) -> Option<MessageNumber> {
    let idle = quick.idle_under.as_ref().is_some_and(|under| *under == configuration());
    let due = quick.due.is_some_and(|due| due <= now);
    let every = i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
    // A clock that was set back must not put the next listing off.
    let recent = (0..every).contains(&now.seconds_since(quick.listed));
    let may = quick.grows_at_end && idle && !due && recent;
    MessageNumber::new(quick.messages).filter(|_| may)
}

/// Whether the maildrop is as it was left, by what the server answered to `STAT` and to `UIDL` for its ends.
#[must_use]
pub(crate) fn is_unchanged(
    quick: &Quick,
    drop_listing: Option<(u32, Octets)>,
    first: Option<&UniqueIdBuf>,
    last: Option<&UniqueIdBuf>,
) -> bool {
    drop_listing == Some((quick.messages, quick.octets))
        && first.is_some()
        && first == quick.first.as_ref()
        && last.is_some()
        && last == quick.last.as_ref()
}

/// Whether a full listing shows that the server has put something elsewhere than at the end.  To be asked before anything of
/// it is retrieved.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) fn was_misled(quick: &Quick, maildrop: &Maildrop, ledger: &Ledger) -> Result<bool, Error> {
    // Where the last one left something to do, what is new may be what was left then.
    let was_idle = quick.grows_at_end && quick.idle_under.is_some();
    Ok(was_idle && (has_inserted(maildrop, ledger) || has_reordered(quick, maildrop, ledger)?))
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
    !at_end || is_renumbered(maildrop, ledger)
}

/// As many messages, all of them known, but others stand first or last.
fn has_reordered(quick: &Quick, maildrop: &Maildrop, ledger: &Ledger) -> Result<bool, Error> {
    let same = usize::try_from(quick.messages) == Ok(maildrop.len());
    if !same || maildrop.iter().any(|listed| !matches!(listed.who, Who::Known(_))) {
        return Ok(false);
    }
    let (first, last) = ends(&mut maildrop.iter(), ledger)?;
    Ok(first != quick.first || last != quick.last)
}

/// The maildrop as it stands after a session, if nothing is left to do in it: what the next quick poll is compared with.
/// `drop_listing` is what `STAT` reported before.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) fn settled(
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    drop_listing: Option<(u32, Octets)>,
    done: Done<'_>,
) -> Result<Option<Quick>, Error> {
    let Some((messages, mut octets)) = drop_listing else { return Ok(None) };
    // By the clock: after a leap that was corrected, the ledger's time is ahead of it.
    let Some(listed) = ledger.trusted_now() else { return Ok(None) };
    let days = match policy.retention {
        Retention::Limits(limits) => limits.days,
        Retention::Keep | Retention::Delete => None,
    };
    let settled = done.everything && !has_changed_size(maildrop, ledger, policy.utf8);
    let is_whole = usize::try_from(messages) == Ok(maildrop.len()) && maildrop.has_unique_ids();
    if !settled || !is_whole || !ledger.intents().is_empty() || policy.window {
        return Ok(None);
    }
    let deleted: HashSet<EntryId> = done.deleted.iter().copied().collect();
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
            _ if entry.unidentified && done.has_top => return Ok(None),
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

/// Something is left to do: the next poll must list.
#[must_use]
pub(crate) fn unsettled(grows_at_end: bool) -> Quick {
    Quick {
        messages: 0,
        octets: Octets(0),
        first: None,
        last: None,
        listed: Time(0),
        grows_at_end,
        idle_under: None,
        due: None,
    }
}

type FirstAndLast = (Option<UniqueIdBuf>, Option<UniqueIdBuf>);

/// The unique-ids of the first and the last of these.
fn ends<'a>(listed: &mut dyn Iterator<Item = Listed<'a>>, ledger: &Ledger) -> Result<FirstAndLast, Error> {
    let Some(first) = listed.next() else { return Ok((None, None)) };
    let last = listed.last().unwrap_or(first);
    Ok((first.unique_id(ledger)?, last.unique_id(ledger)?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DAY, Done, is_unchanged, may_stand, settled, unsettled, was_misled};
    use crate::account::{Limits, Retention};
    use crate::ledger::UsersWord;
    use crate::ledger::memory::Quick;
    use crate::plan::trial::{NOW, SIZE, World};
    use crate::plan::{Maildrop, Policy};
    use crate::proof::EntryId;
    use crate::types::{Octets, Time, UniqueId, UniqueIdBuf};

    /// What a session leaves of which all is known.
    struct Scene {
        world: World,
        listed: Vec<(&'static str, Option<u64>)>,
        counted: Option<(u32, Octets)>,
        policy: Policy,
        everything: bool,
        deleted: Vec<EntryId>,
    }

    impl Scene {
        /// Two messages, both delivered.
        fn new() -> Self {
            let world = World::holding(&["a", "b"]);
            let listed = vec![("a", Some(SIZE)), ("b", Some(SIZE))];
            let policy = world.policy(Retention::Keep);
            let counted = Some((2, Octets(2 * SIZE)));
            Self { world, listed, counted, policy, everything: true, deleted: Vec::new() }
        }

        fn maildrop(&self) -> Maildrop {
            self.world.maildrop(&self.listed)
        }

        fn id(&self, name: &str) -> EntryId {
            self.world.ledger.find_key(&crate::plan::trial::key(name)).unwrap()
        }

        /// The second message is known by the user's word alone.
        fn imports(&mut self, name: &'static str) {
            let imported = [(unique_id(name).unwrap(), UsersWord::Seen)];
            assert_eq!(self.world.ledger.import(&imported).unwrap(), 1);
            self.listed[1].0 = name;
        }

        fn settled(&self) -> Option<Quick> {
            let done = Done { everything: self.everything, deleted: &self.deleted, has_top: true };
            settled(&self.maildrop(), &self.world.ledger, &self.policy, self.counted, done).unwrap()
        }
    }

    #[test]
    fn where_nothing_is_left_to_do_the_next_poll_need_not_list() {
        let quick = Scene::new().settled().unwrap();
        assert_eq!((quick.messages, quick.octets, quick.due), (2, Octets(2 * SIZE), None));
        assert_eq!(quick.first.unwrap().borrow().as_bytes(), b"a");
        assert_eq!(quick.last.unwrap().borrow().as_bytes(), b"b");
    }

    /// To make out a configuration's digest a key is made in the state directory: not where there is nothing to compare.
    #[test]
    fn where_something_was_left_to_do_the_configuration_does_not_matter() {
        let hour = Duration::from_secs(3600);
        assert_eq!(may_stand(&unsettled(true), || unreachable!("it was asked for"), NOW, hour), None);
        let quick = Quick { idle_under: Some("this".into()), ..Scene::new().settled().unwrap() };
        for (configuration, later, stands) in [("this", 0, true), ("that", 0, false), ("this", 3600, false)] {
            let now = Time(quick.listed.0 + later);
            let last = may_stand(&quick, || configuration.into(), now, hour);
            assert_eq!(last.map(|last| last.get()), stands.then_some(2), "{configuration} {later}");
        }
    }

    /// Each of these shows in no quick poll, so that the next one lists.
    #[test]
    fn whatever_is_left_to_do_makes_the_next_poll_list() {
        type Change = fn(&mut Scene);
        let cases: [(&str, Change); 15] = [
            ("STAT wasn't answered", |scene| scene.counted = None),
            ("STAT counts others", |scene| scene.counted = Some((3, Octets(3 * SIZE)))),
            ("the session left something undone", |scene| scene.everything = false),
            ("a window", |scene| scene.policy.window = true),
            ("a changed size", |scene| scene.listed[1].1 = Some(SIZE + 1)),
            ("an unknown one", |scene| scene.listed[1].0 = "new"),
            ("one without a unique-id", |scene| scene.listed[1].0 = "-"),
            ("one listed twice", |scene| scene.listed[1].0 = "a"),
            ("one in doubt", |scene| {
                let id = scene.id("b");
                scene.world.ledger.doubt(Some(&[id])).unwrap();
            }),
            ("one is on its way to a folder", |scene| scene.world.begin("other")),
            ("one whose header is not known", |scene| {
                scene.imports("c");
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
                scene.deleted = vec![scene.id("a"), scene.id("b")];
            }),
            ("one was deleted whose size isn't known", |scene| {
                scene.listed[0].1 = None;
                scene.deleted = vec![scene.id("a")];
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
        scene.deleted = vec![scene.id("a")];
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
        // What waits without a time and was never too large is tried at the next run.
        let mut scene = Scene::new();
        scene.world.begin("c");
        let intents: Vec<_> = scene.world.ledger.intents().iter().map(|intent| intent.id).collect();
        scene.world.ledger.settle_dropped(&intents).unwrap();
        scene.listed[1].0 = "c";
        assert_eq!(scene.world.ledger.entry(scene.id("c")).failures, 0);
        assert!(scene.settled().is_none());
    }

    /// Where the server gives no headers, one that lacks its own waits for nothing.
    #[test]
    fn a_header_is_not_waited_for_where_there_are_none() {
        let mut scene = Scene::new();
        scene.imports("c");
        let done = Done { everything: true, deleted: &[], has_top: false };
        let quick = settled(&scene.maildrop(), &scene.world.ledger, &scene.policy, scene.counted, done);
        assert!(quick.unwrap().is_some());
    }

    fn unique_id(name: &str) -> Option<UniqueIdBuf> {
        UniqueId::new(name.as_bytes()).map(|unique_id| unique_id.to_buf())
    }

    /// Two messages, listed now, with nothing left to do.
    fn left() -> Quick {
        Quick {
            messages: 2,
            octets: Octets(200),
            first: unique_id("a"),
            last: unique_id("b"),
            listed: NOW,
            grows_at_end: true,
            idle_under: Some("configuration".to_owned()),
            due: None,
        }
    }

    /// A quick poll stands for a listing under the same configuration, until something is due or the listing is old.
    #[test]
    fn a_listing_is_spared_for_a_limited_time_and_under_one_configuration() {
        type Change = fn(&mut Quick);
        let at = |seconds: i64| Time(NOW.0 + seconds);
        let cases: [(Change, i64, bool); 11] = [
            (|_| {}, 0, true),
            (|_| {}, 3599, true),
            (|_| {}, 3600, false),
            // The clock was set back.
            (|_| {}, -1, false),
            (|quick| quick.due = Some(Time(NOW.0 + 9)), 8, true),
            (|quick| quick.due = Some(Time(NOW.0 + 9)), 9, false),
            (|quick| quick.due = Some(Time(NOW.0 + 9)), 10, false),
            (|quick| quick.grows_at_end = false, 0, false),
            (|quick| quick.idle_under = None, 0, false),
            (|quick| quick.idle_under = Some("other".to_owned()), 0, false),
            (|quick| quick.messages = 0, 0, false),
        ];
        for (place, (change, seconds, expected)) in cases.into_iter().enumerate() {
            let mut quick = left();
            change(&mut quick);
            let every = Duration::from_secs(3600);
            let last = may_stand(&quick, || "configuration".to_owned(), at(seconds), every);
            assert_eq!(last.map(|last| last.get()), expected.then_some(2), "case {place}");
        }
        assert!(
            may_stand(&left(), || "configuration".to_owned(), at(i64::MAX - NOW.0), Duration::MAX).is_some()
        );
    }

    /// All four must be as they were: octets, number, and the messages at both ends.
    #[test]
    fn whatever_differs_shows_that_the_maildrop_has_changed() {
        let (a, b, c) = (unique_id("a"), unique_id("b"), unique_id("c"));
        let same = Some((2, Octets(200)));
        let cases = [
            (same, &a, &b, true),
            (None, &a, &b, false),
            (Some((3, Octets(200))), &a, &b, false),
            (Some((2, Octets(201))), &a, &b, false),
            (same, &c, &b, false),
            (same, &a, &c, false),
            (same, &None, &b, false),
            (same, &a, &None, false),
        ];
        for (counted, first, last, expected) in cases {
            let unchanged = is_unchanged(&left(), counted, first.as_ref(), last.as_ref());
            assert_eq!(unchanged, expected, "{counted:?} {first:?} {last:?}");
        }
        // What isn't known is not the same.
        for change in [|quick: &mut Quick| quick.first = None, |quick: &mut Quick| quick.last = None] {
            let mut quick = left();
            change(&mut quick);
            let [first, last] = [quick.first.clone(), quick.last.clone()];
            assert!(!is_unchanged(&quick, same, first.as_ref(), last.as_ref()));
        }
    }

    /// Where something new stands elsewhere than at the end, or others stand first or last, quick polls would miss mail.
    #[test]
    fn what_is_put_elsewhere_than_at_the_end_ends_quick_polls() {
        let mut world = World::new();
        for name in ["a", "b", "c"] {
            world.deliver(name);
        }
        world.listed(&["a", "b"]);
        let misled = |quick: &Quick, names: &[&str]| {
            let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
            was_misled(quick, &world.maildrop(&listed), &world.ledger).unwrap()
        };
        let cases: [(&[&str], bool); 12] = [
            (&["a", "b"], false),
            (&["a", "b", "new"], false),
            (&["a", "b", "new", "newer"], false),
            (&["new", "a", "b"], true),
            (&["a", "new", "b"], true),
            (&["a", "b", "-"], true),
            (&["b", "a"], true),
            (&["a", "c"], true),
            (&["c", "b"], true),
            (&["b"], false),
            // One has gone, and one has come: that is how it is left where nothing else is wrong.
            (&["a", "new"], false),
            (&["x", "y"], true),
        ];
        for (names, expected) in cases {
            assert_eq!(misled(&left(), names), expected, "{names:?}");
        }
        // Where the last session left something to do, what is new may be what was left then.
        for quick in [Quick { grows_at_end: false, ..left() }, Quick { idle_under: None, ..left() }] {
            assert!(!misled(&quick, &["new", "a", "b"]));
        }
    }
}
