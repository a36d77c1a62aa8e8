//! Listings, ledgers and policies, and what is to be done about them.

mod rules;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::trial::{NOW, SIZE, World, number};
use super::{Decision, Policy, Retired, Why, at_once, decide, has_changed_size, is_renumbered, retire};
use crate::account::{Limits, Retention};
use crate::ledger::{EntryState, UsersWord};
use crate::proof::EntryId;
use crate::types::{Octets, Time, UniqueId};

use Decision::{Compare, Leave, Retrieve};

const KEEP: Retention = Retention::Keep;
const DELETE: Retention = Retention::Delete;

fn limits(days: Option<u32>, newest: Option<u32>, total: Option<u64>, larger: Option<u64>) -> Retention {
    Retention::Limits(Limits { days, newest, total_size: total.map(Octets), larger_than: larger.map(Octets) })
}

/// One entry in each state.
fn every_state() -> World {
    let mut world = World::new();
    world.now();
    for name in ["delivered", "old", "other"] {
        world.deliver(name);
    }
    let old = world.ledger.find_key(&super::trial::key("old")).unwrap();
    world.record_match("recorded", old);
    world.print("seen");
    world.delete("deleted");
    world.fail("failed", None);
    world.fail("waiting", Some(60));
    world.fail("waited", Some(0));
    world.deliver_to_one("partly");
    world.ledger.too_large(&super::trial::key("large"), Some(Octets(SIZE))).unwrap();
    world
}

#[test]
fn what_failed_not_long_ago_is_tried_at_once_where_the_user_insists() {
    let world = every_state();
    let maildrop = world.maildrop(&[("other", Some(SIZE)), ("waiting", Some(SIZE))]);
    let patient = world.policy(KEEP);
    let insisting = Policy { insist: true, ..patient.clone() };
    assert_eq!(decide(&maildrop, &world.ledger, &patient)[1], Leave(Why::BackingOff));
    assert_eq!(decide(&maildrop, &world.ledger, &insisting)[1], Retrieve(Why::Again));
}

#[test]
fn each_state_is_treated_in_its_way() {
    let world = every_state();
    let (same, changed) = (Some(SIZE), Some(SIZE + 1));
    // What is listed (behind "delivered", so that nothing looks renumbered), its size; keeping, and deleting.
    let cases = [
        ("new", same, Retrieve(Why::New), Retrieve(Why::New)),
        ("-", same, Compare(Why::Nameless), Compare(Why::Nameless)),
        ("other", same, Leave(Why::Known), Leave(Why::Known)),
        ("other", None, Leave(Why::Known), Leave(Why::Known)),
        ("other", changed, Compare(Why::SizeChanged), Compare(Why::SizeChanged)),
        ("recorded", same, Leave(Why::Known), Leave(Why::Known)),
        ("recorded", changed, Compare(Why::SizeChanged), Compare(Why::SizeChanged)),
        ("seen", same, Leave(Why::Seen), Leave(Why::Seen)),
        ("seen", changed, Compare(Why::SizeChanged), Compare(Why::SizeChanged)),
        ("deleted", same, Compare(Why::CameBack), Compare(Why::CameBack)),
        ("deleted", changed, Compare(Why::CameBack), Compare(Why::CameBack)),
        ("failed", same, Retrieve(Why::Again), Retrieve(Why::Again)),
        ("failed", changed, Retrieve(Why::Again), Retrieve(Why::Again)),
        ("waiting", same, Leave(Why::BackingOff), Leave(Why::BackingOff)),
        ("waited", same, Retrieve(Why::Again), Retrieve(Why::Again)),
        ("partly", same, Retrieve(Why::Again), Retrieve(Why::Again)),
        ("large", same, Retrieve(Why::Again), Retrieve(Why::Again)),
    ];
    for (name, octets, keeping, deleting) in cases {
        let maildrop = world.maildrop(&[("delivered", Some(SIZE)), (name, octets)]);
        for (retention, expected) in [(KEEP, keeping), (DELETE, deleting)] {
            let decided = decide(&maildrop, &world.ledger, &world.policy(retention));
            assert_eq!(decided, [Leave(Why::Known), expected], "{name} {octets:?} {retention:?}");
        }
    }
}

#[test]
fn all_retrieves_every_state() {
    let world = every_state();
    let policy = Policy { all: true, ..world.policy(DELETE) };
    for name in ["other", "recorded", "seen", "deleted", "failed", "waiting", "partly", "-"] {
        let maildrop = world.maildrop(&[(name, Some(SIZE))]);
        assert_eq!(decide(&maildrop, &world.ledger, &policy), [Retrieve(Why::All)], "{name}");
    }
    let limited = Policy { max_message_size: Some(Octets(SIZE - 1)), ..policy };
    let maildrop = world.maildrop(&[("other", Some(SIZE)), ("other", None)]);
    assert_eq!(decide(&maildrop, &world.ledger, &limited), [Leave(Why::TooLarge), Retrieve(Why::All)]);
}

#[test]
fn a_duplicate_is_compared_when_anything_depends_on_it() {
    let mut world = World::new();
    world.deliver("x");
    let twice = [("x", Some(SIZE)), ("x", Some(SIZE))];
    let decided = |world: &World, listed: &[(&str, Option<u64>)], retention| {
        decide(&world.maildrop(listed), &world.ledger, &world.policy(retention))
    };
    // One was delivered, and two are listed.
    for retention in [KEEP, DELETE] {
        assert_eq!(decided(&world, &twice, retention), [Compare(Why::Duplicate); 2]);
    }
    // Both were: that is enough to leave them.  To delete them each is recognised first, as everything is.
    world.deliver_content(super::trial::key("x"), "another");
    for retention in [KEEP, DELETE] {
        assert_eq!(decided(&world, &twice, retention), [Leave(Why::Known); 2]);
    }
    assert_eq!(retired(&world, &twice, DELETE), [(1, Why::Delete), (2, Why::Delete)]);
    // The last of them has another size: one is gone, perhaps, and other mail has its unique-id.
    let replaced = [twice[0], ("x", Some(SIZE + 1))];
    assert_eq!(decided(&world, &replaced, KEEP), [Compare(Why::Duplicate); 2]);
    let sizes_are_due =
        |listed: &[(&str, Option<u64>)]| has_changed_size(&world.maildrop(listed), &world.ledger, false);
    assert_eq!([sizes_are_due(&twice), sizes_are_due(&replaced)], [false, true]);
    // A third one.
    let three = [twice[0], twice[0], twice[0]];
    assert_eq!(decided(&world, &three, KEEP), [Compare(Why::Duplicate); 3]);
    // A new unique-id listed twice is two new messages.
    assert_eq!(decided(&world, &[("x", None), ("y", None), ("y", None)], KEEP)[1..], [Retrieve(Why::New); 2]);
}

#[test]
fn renumbering_is_suspected_when_nothing_known_is_listed() {
    let mut world = World::new();
    let new = [("p", Some(SIZE)), ("q", Some(SIZE))];
    let decided = |world: &World, listed: &[(&str, Option<u64>)]| {
        let maildrop = world.maildrop(listed);
        (is_renumbered(&maildrop, &world.ledger), decide(&maildrop, &world.ledger, &world.policy(KEEP)))
    };
    assert_eq!(decided(&world, &new), (false, vec![Retrieve(Why::New); 2]), "a first run");
    for name in ["a", "b"] {
        world.deliver(name);
    }
    world.listed(&["a", "b"]);
    assert!(decided(&world, &new).0);
    assert_eq!(decided(&world, &[("p", None), ("b", None)]).1, [Retrieve(Why::New), Leave(Why::Known)]);
    // Once that is recorded, what is unknown is compared, until all of it has been.
    world.ledger.begin_renumbering().unwrap();
    assert_eq!(decided(&world, &new).1, [Compare(Why::Renumbered); 2]);
    world.ledger.settle_renumbering().unwrap();
    assert_eq!(decided(&world, &new).1, [Retrieve(Why::New); 2]);
    assert!(!decided(&world, &[]).0, "an empty maildrop proves nothing");
    assert!(!decided(&world, &[("-", None)]).0, "nor do messages without unique-ids");
    // All that was there was deleted by us: what comes now is new mail.
    let ids: Vec<EntryId> =
        ["a", "b"].map(|n| world.ledger.find_key(&super::trial::key(n)).unwrap()).to_vec();
    world.ledger.deleted(&ids).unwrap();
    assert_eq!(decided(&world, &new), (false, vec![Retrieve(Why::New); 2]));
}

#[test]
fn a_message_lacked_elsewhere_waits() {
    let mut world = World::new();
    world.deliver("known");
    world.deliver_to_one("partly");
    let maildrop = world.maildrop(&[("known", Some(SIZE)), ("partly", Some(SIZE))]);
    let [one, two] = world.maildirs;
    let cases = [
        (vec![one, two], Retrieve(Why::Again)),
        (vec![two], Retrieve(Why::Again)),
        (vec![one], Leave(Why::Elsewhere)),
        (vec![], Leave(Why::Elsewhere)),
    ];
    for (destinations, expected) in cases {
        let policy = Policy { destinations, ..world.policy(DELETE) };
        assert_eq!(decide(&maildrop, &world.ledger, &policy)[1], expected, "{:?}", policy.destinations);
        let retired = retire(&maildrop, &world.ledger, &policy, &|_| false);
        assert!(retired.iter().all(|retired| retired.number == number(1)), "not delivered, so not deleted");
    }
    // Unless its unique-id may stand for other mail by now.
    let partly = world.ledger.find_key(&super::trial::key("partly")).unwrap();
    world.ledger.learn_size(partly, Octets(SIZE)).unwrap();
    let policy = Policy { destinations: vec![one], ..world.policy(DELETE) };
    let decision = |world: &World, size| {
        let maildrop = world.maildrop(&[("known", Some(SIZE)), ("partly", Some(size))]);
        decide(&maildrop, &world.ledger, &policy)[1]
    };
    assert_eq!(decision(&world, SIZE + 1), Retrieve(Why::Again));
    world.listed(&["known"]);
    assert_eq!(decision(&world, SIZE), Retrieve(Why::Again));
    world.listed(&["known", "partly"]);
    assert_eq!(decision(&world, SIZE), Leave(Why::Elsewhere));
}

/// What a window lists again is retrieved again, unless its deletion pops it.
#[test]
fn a_window_is_moved_on() {
    let world = every_state();
    let maildrop = world.maildrop(&[("delivered", Some(SIZE)), ("seen", Some(SIZE)), ("new", Some(SIZE))]);
    let policy = Policy { window: true, ..world.policy(KEEP) };
    assert_eq!(
        decide(&maildrop, &world.ledger, &policy),
        [Compare(Why::Window), Compare(Why::Window), Retrieve(Why::New)]
    );
    // It was retrieved, and the server goes on listing it.
    let popped = vec![world.ledger.find_key(&super::trial::key("delivered")).unwrap()];
    assert_eq!(
        decide(&maildrop, &world.ledger, &Policy { popped, ..policy }),
        [Leave(Why::Known), Compare(Why::Window), Retrieve(Why::New)]
    );
    let policy = Policy { window: true, ..world.policy(DELETE) };
    assert_eq!(decide(&maildrop, &world.ledger, &policy)[0], Leave(Why::Known));
}

#[test]
fn limits_of_a_run() {
    let mut world = World::new();
    for name in ["known", "again"] {
        world.deliver(name);
    }
    world.fail("failed", None);
    // (listed, max-message-size, max-messages, max-bytes, expected)
    type Case<'a> = (&'a [(&'a str, Option<u64>)], Option<u64>, Option<u64>, Option<u64>, &'a [Decision]);
    let new = Retrieve(Why::New);
    let cases: [Case<'_>; 11] = [
        (
            &[("a", Some(9)), ("b", Some(10)), ("c", None)],
            Some(9),
            None,
            None,
            &[new, Leave(Why::TooLarge), new],
        ),
        (&[("a", None), ("b", None), ("c", None)], None, Some(2), None, &[new, new, Leave(Why::MaxMessages)]),
        (&[("a", None)], None, Some(0), None, &[Leave(Why::MaxMessages)]),
        // What is left anyway doesn't count,
        (
            &[("known", Some(SIZE)), ("a", None), ("b", None)],
            None,
            Some(1),
            None,
            &[Leave(Why::Known), new, Leave(Why::MaxMessages)],
        ),
        // nor what is compared,
        (
            &[("known", Some(1)), ("a", None), ("b", None)],
            None,
            Some(1),
            None,
            &[Compare(Why::SizeChanged), new, Leave(Why::MaxMessages)],
        ),
        (
            &[("failed", None), ("known", Some(1))],
            None,
            Some(0),
            None,
            &[Leave(Why::MaxMessages), Compare(Why::SizeChanged)],
        ),
        // and what failed before comes last.
        (&[("failed", None), ("a", None)], None, Some(1), None, &[Leave(Why::MaxMessages), new]),
        (&[("failed", None), ("a", None)], None, Some(2), None, &[Retrieve(Why::Again), new]),
        // The first goes in any case; what still fits goes, too.
        (&[("a", Some(99)), ("b", Some(1))], None, None, Some(50), &[new, Leave(Why::MaxBytes)]),
        (
            &[("a", Some(30)), ("b", Some(30)), ("c", Some(20))],
            None,
            None,
            Some(50),
            &[new, Leave(Why::MaxBytes), new],
        ),
        (&[("a", Some(u64::MAX - 1)), ("b", Some(u64::MAX - 1))], None, None, Some(u64::MAX), &[new, new]),
    ];
    for (listed, size, messages, bytes, expected) in cases {
        let policy = Policy {
            max_message_size: size.map(Octets),
            max_messages: messages,
            max_bytes: bytes.map(Octets),
            ..world.policy(KEEP)
        };
        // Something known, so that nothing looks renumbered.
        let listed: Vec<_> = listed.iter().copied().chain([("again", Some(SIZE))]).collect();
        let decided = decide(&world.maildrop(&listed), &world.ledger, &policy);
        assert_eq!(decided[..expected.len()], *expected, "{listed:?} {messages:?} {bytes:?}");
    }
}

/// Retirements as (number, why).
fn retired(world: &World, listed: &[(&str, Option<u64>)], retention: Retention) -> Vec<(u32, Why)> {
    let found = retire(&world.maildrop(listed), &world.ledger, &world.policy(retention), &|_| false);
    found.iter().map(|Retired { number, why, .. }| (number.get(), *why)).collect()
}

#[test]
fn retirement_by_each_limit() {
    let mut world = World::new();
    for (days, name, size) in
        [(30, "30", 100), (14, "14", 5000), (13, "13", 100), (2, "2", 300), (0, "0", 100)]
    {
        world.size = size;
        world.deliver_days_ago(days, name);
    }
    let sizes =
        [("30", Some(100)), ("14", Some(5000)), ("13", Some(100)), ("2", Some(300)), ("0", Some(100))];
    let cases = [
        (KEEP, vec![]),
        (DELETE, (1..=5).map(|n| (n, Why::Delete)).collect()),
        (limits(Some(14), None, None, None), vec![(1, Why::Days), (2, Why::Days)]),
        (limits(Some(31), None, None, None), vec![]),
        (limits(None, Some(2), None, None), vec![(1, Why::Newest), (2, Why::Newest), (3, Why::Newest)]),
        (limits(None, Some(5), None, None), vec![]),
        (
            limits(None, None, Some(400), None),
            vec![(1, Why::TotalSize), (2, Why::TotalSize), (3, Why::TotalSize)],
        ),
        (limits(None, None, Some(5600), None), vec![]),
        // Once one doesn't fit nothing older stays, however small.
        (limits(None, None, Some(600), None), vec![(1, Why::TotalSize), (2, Why::TotalSize)]),
        (limits(None, None, None, Some(300)), vec![(2, Why::LargerThan)]),
        // Any key deletes; what goes for its size takes no room.
        (limits(Some(20), None, Some(600), Some(300)), vec![(1, Why::Days), (2, Why::LargerThan)]),
        (limits(Some(14), Some(1), None, None), (1..=4).map(|n| (n, Why::Newest)).collect()),
    ];
    for (retention, expected) in cases {
        assert_eq!(retired(&world, &sizes, retention), expected, "{retention:?}");
    }
    // The order of the listing doesn't matter; that of delivery does.
    let mut shuffled = sizes;
    shuffled.reverse();
    assert_eq!(
        retired(&world, &shuffled, limits(None, Some(2), None, None)),
        [(3, Why::Newest), (4, Why::Newest), (5, Why::Newest)]
    );
    // Without LIST the sizes of the delivery count.
    let unlisted = sizes.map(|(name, _)| (name, None));
    assert_eq!(
        retired(&world, &unlisted, limits(None, None, Some(400), None)),
        [(1, Why::TotalSize), (2, Why::TotalSize), (3, Why::TotalSize)]
    );
}

#[test]
fn of_one_second_the_first_listed_is_the_oldest() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.deliver(name);
    }
    let listed = [("c", None), ("a", None), ("b", None)];
    assert_eq!(
        retired(&world, &listed, limits(None, Some(1), None, None)),
        [(2, Why::Newest), (3, Why::Newest)]
    );
}

#[test]
fn only_what_is_delivered_is_retired() {
    let world = every_state();
    let names =
        ["recorded", "seen", "deleted", "failed", "waiting", "partly", "large", "delivered", "new", "-"];
    let listed = names.map(|name| (name, Some(SIZE)));
    assert_eq!(retired(&world, &listed, DELETE), [(1, Why::Delete), (8, Why::Delete)]);
    let all_limits = limits(Some(0), Some(0), Some(0), Some(0));
    assert_eq!(retired(&world, &listed, all_limits), [(1, Why::LargerThan), (8, Why::LargerThan)]);
}

/// All that is retired is recognised first, so that its size doesn't matter; what failed is left out.
#[test]
fn what_failed_is_not_retired() {
    let mut world = World::new();
    let [sure, changed, failed, doubtful] =
        ["sure", "changed", "failed", "doubtful"].map(|name| world.deliver(name));
    world.fail("failed", None);
    let (same, other) = (Some(SIZE), Some(SIZE + 1));
    let listed = [("sure", same), ("changed", other), ("failed", same), ("doubtful", same)];
    let gone = |world: &World, listed: &[(&str, Option<u64>)], uncertain: &dyn Fn(EntryId) -> bool| {
        let found = retire(&world.maildrop(listed), &world.ledger, &world.policy(DELETE), uncertain);
        found.iter().map(|retired| retired.entry).collect::<Vec<EntryId>>()
    };
    assert_eq!(gone(&world, &listed, &|id| id == doubtful), [sure, changed]);
    assert_eq!(gone(&world, &[("sure", None), ("failed", None)], &|_| false), [sure], "LIST wasn't asked");
    assert_eq!(gone(&world, &listed[2..3], &|_| false), []);
    assert_eq!(world.ledger.entry(failed).failures, 1);
}

/// The clock cannot be believed: then nothing goes by age, and everything else as before.
#[test]
fn without_a_clock_nothing_is_retired_by_age() {
    let mut world = World::new();
    world.deliver_days_ago(20, "a");
    world.now();
    world.deliver("b");
    let maildrop = world.maildrop(&[("a", None), ("b", None)]);
    let count = |retention, age_now| {
        let policy = Policy { age_now, ..world.policy(retention) };
        retire(&maildrop, &world.ledger, &policy, &|_| false).len()
    };
    assert_eq!(count(limits(Some(14), None, None, None), Some(NOW)), 1);
    assert_eq!(count(limits(Some(14), None, None, None), None), 0);
    assert_eq!(count(limits(Some(14), Some(1), None, None), None), 1);
    assert_eq!(count(limits(Some(14), None, None, None), Some(Time(NOW.0 - 30 * 86_400))), 0);
    assert_eq!(count(DELETE, None), 2);
}

#[test]
fn what_goes_at_once() {
    let world = World::new();
    let cases = [
        (KEEP, Some(1), None),
        (DELETE, Some(1), Some(Why::Delete)),
        (DELETE, None, Some(Why::Delete)),
        (limits(Some(0), Some(0), Some(0), None), Some(9), None),
        (limits(None, None, None, Some(8)), Some(9), Some(Why::LargerThan)),
        (limits(None, None, None, Some(8)), Some(8), None),
        (limits(None, None, None, Some(8)), None, None),
    ];
    for (retention, octets, expected) in cases {
        assert_eq!(
            at_once(&world.policy(retention), octets.map(Octets)),
            expected,
            "{retention:?} {octets:?}"
        );
    }
}

/// Any listing of entries in any state, under any policy.
#[test]
fn no_listing_makes_a_plan_lose_mail() {
    let world = every_state();
    let names = [
        "delivered",
        "old",
        "other",
        "recorded",
        "seen",
        "deleted",
        "failed",
        "waiting",
        "waited",
        "partly",
        "large",
        "new",
        "newer",
        "-",
    ];
    let listed =
        prop::collection::vec((prop::sample::select(names.to_vec()), prop::option::of(0..3 * SIZE)), 0..20);
    let some = || prop::option::of(0..4_u32);
    let octets = || prop::option::of(0..5 * SIZE);
    let retention = prop_oneof![
        Just(KEEP),
        Just(DELETE),
        (some(), some(), octets(), octets())
            .prop_map(|(days, newest, total, larger)| limits(days, newest, total, larger)),
    ];
    let caps = (octets(), prop::option::of(0..5_u64), octets());
    let flags = any::<(bool, bool, bool)>();
    let mut runner = TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
    let outcome =
        runner.run(&(listed, retention, caps, flags), |(listed, retention, caps, (all, window, clock))| {
            let (size, messages, bytes) = caps;
            let free = Policy {
                all,
                window,
                max_message_size: size.map(Octets),
                age_now: clock.then_some(NOW),
                ..world.policy(retention)
            };
            let capped = Policy { max_messages: messages, max_bytes: bytes.map(Octets), ..free.clone() };
            let maildrop = world.maildrop(&listed);
            let ledger = &world.ledger;

            // One decision for each message; a cap only ever leaves what would have been taken.
            let (unlimited, decided) = (decide(&maildrop, ledger, &free), decide(&maildrop, ledger, &capped));
            prop_assert_eq!(unlimited.len(), listed.len());
            let mut taken = Vec::new();
            for ((one, other), seat) in unlimited.iter().zip(&decided).zip(maildrop.iter()) {
                let by_cap = matches!(other, Leave(Why::MaxMessages | Why::MaxBytes));
                prop_assert!(one == other || (by_cap && !matches!(one, Leave(_))));
                if matches!(other, Retrieve(_)) {
                    taken.push(seat.octets.unwrap_or_default().0);
                }
            }
            prop_assert!(messages.is_none_or(|most| u64::try_from(taken.len()).unwrap() <= most));
            prop_assert!(taken.len() <= 1 || bytes.is_none_or(|most| taken.iter().sum::<u64>() <= most));

            // Only what the ledger can prove, each once, in order; nothing when all is kept.
            let gone = retire(&maildrop, ledger, &capped, &|_| false);
            prop_assert!(retention != KEEP || gone.is_empty());
            prop_assert!(gone.windows(2).all(|pair| pair[0].number < pair[1].number));
            for retired in &gone {
                prop_assert!(ledger.prove_delivered(retired.entry, retired.number).is_some());
                prop_assert_eq!(maildrop.find(retired.number).unwrap().who, super::Who::Known(retired.entry));
                prop_assert!(clock || retired.why != Why::Days);
            }
            if let Retention::Limits(Limits { newest: Some(newest), .. }) = retention {
                let provable = maildrop
                    .iter()
                    .filter(|seat| match seat.who {
                        super::Who::Known(id) => {
                            let had = matches!(
                                ledger.entry(id).state,
                                EntryState::Delivered | EntryState::Recorded
                            );
                            had && (!super::is_too_large(seat.octets, &capped)
                                || maildrop.times_listed(id) == 1)
                        }
                        _ => false,
                    })
                    .count();
                prop_assert!(provable - gone.len() <= usize::try_from(newest).unwrap());
            }

            // A message that is only listed, not delivered, makes nothing else go, nor stay.
            for more in ["brand-new", "failed", "-", "seen"] {
                if matches!(more, "seen") && listed.iter().any(|(name, _)| *name == more) {
                    continue;
                }
                let mut longer = listed.clone();
                // Whether LIST was asked is part of what is known.
                let asked = listed.iter().any(|(_, octets)| octets.is_some());
                longer.push((more, Some(9 * SIZE).filter(|_| asked)));
                prop_assert_eq!(
                    &retire(&world.maildrop(&longer), ledger, &capped, &|_| false),
                    &gone,
                    "{}",
                    more
                );
            }
            Ok(())
        });
    outcome.unwrap();
}

/// The user's word alone deletes nothing, whatever the policy; nor is such a message compared, or retrieved again.
#[test]
fn an_imported_message_is_left_alone_until_it_is_identified() {
    let mut world = World::new();
    world.now();
    world.deliver("known");
    let unique_id = |name: &str| UniqueId::new(name.as_bytes()).unwrap().to_buf();
    let long_ago = UsersWord::Delivered(Time(NOW.0 - 100 * 86_400));
    let imported = [(unique_id("delivered"), long_ago), (unique_id("seen"), UsersWord::Seen)];
    assert_eq!(world.ledger.import(&imported).unwrap(), 2);
    let maildrop =
        world.maildrop(&[("known", Some(SIZE)), ("delivered", Some(SIZE)), ("seen", Some(SIZE + 1))]);
    let retired = |world: &World, retention| -> Vec<u32> {
        let retired = retire(&maildrop, &world.ledger, &world.policy(retention), &|_| false);
        retired.iter().map(|retired| retired.number.get()).collect()
    };
    let policies =
        [KEEP, DELETE, limits(Some(1), Some(1), Some(1), Some(1)), limits(Some(0), None, Some(0), None)];
    for retention in policies {
        let decisions = decide(&maildrop, &world.ledger, &world.policy(retention));
        assert_eq!(decisions[1..], [Decision::Identify; 2], "{retention:?}");
        assert!(retired(&world, retention).iter().all(|number| *number == 1), "{retention:?}");
    }
    for name in ["delivered", "seen"] {
        let id = world.ledger.find_key(&super::trial::key(name)).unwrap();
        let digests = super::trial::facts(name).digests;
        world.ledger.identify(id, digests.header, digests.identity).unwrap();
    }
    assert_eq!(retired(&world, limits(Some(1), None, None, None)), [2], "what is only seen is never deleted");
    assert_eq!(retired(&world, DELETE), [1, 2]);
}

/// What speaks against a unique-id that is known, and what outranks it.
#[test]
fn a_known_unique_id_is_believed_only_where_nothing_speaks_against_it() {
    type Change = fn(&mut World, &mut Policy);
    let id = |world: &World| world.ledger.find_key(&super::trial::key("x")).unwrap();
    let doubt: Change = |world, _| {
        let id = world.ledger.find_key(&super::trial::key("x")).unwrap();
        world.ledger.doubt(Some(&[id])).unwrap();
    };
    let vary: Change = |world, _| {
        let id = world.ledger.find_key(&super::trial::key("x")).unwrap();
        world.ledger.varies(id).unwrap();
    };
    let fail: Change = |world, _| drop(world.ledger.fail(&super::trial::key("x"), Some(Octets(SIZE)), None));
    let (same, larger) = (Some(SIZE), Some(SIZE + 1));
    let cases: [(&str, &[Change], Option<u64>, Decision); 12] = [
        ("nothing", &[], same, Leave(Why::Known)),
        ("a doubt", &[doubt], same, Compare(Why::Doubtful)),
        ("a doubt and a size", &[doubt], larger, Compare(Why::Doubtful)),
        ("another size", &[], larger, Compare(Why::SizeChanged)),
        ("another size in the other mode", &[|_, policy| policy.utf8 = true], larger, Leave(Why::Known)),
        ("its copies differ", &[doubt, vary], larger, Leave(Why::Known)),
        ("a failed comparison", &[fail], same, Compare(Why::Duplicate)),
        ("a window", &[|_, policy| policy.window = true], same, Compare(Why::Window)),
        (
            "a window, and it goes now",
            &[|_, policy| (policy.window, policy.retention) = (true, DELETE)],
            same,
            Leave(Why::Known),
        ),
        ("everything again", &[|_, policy| policy.all = true], same, Retrieve(Why::All)),
        (
            "everything again, and an earlier session of this run has delivered it",
            &[|_, policy| (policy.all, policy.taken) = (true, (1, Octets(1)))],
            same,
            Leave(Why::Known),
        ),
        (
            "everything again, and an earlier run has delivered it",
            &[|_, policy| {
                policy.now = Time(NOW.0 + 1);
                (policy.all, policy.taken) = (true, (1, Octets(1)));
            }],
            same,
            Retrieve(Why::All),
        ),
    ];
    for (what, changes, size, expected) in cases {
        let mut world = World::new();
        world.now();
        world.deliver("x");
        world.listed(&["x"]);
        let mut policy = world.policy(KEEP);
        changes.iter().for_each(|change| change(&mut world, &mut policy));
        let maildrop = world.maildrop(&[("x", size)]);
        assert_eq!(decide(&maildrop, &world.ledger, &policy), [expected], "{what}");
        // What was compared in vain, or can't be, sets the sizes on the agenda of the next run.
        let settled = has_changed_size(&maildrop, &world.ledger, policy.utf8);
        let varies = world.ledger.entry(id(&world)).varies;
        assert_eq!(settled, size == larger && !varies && !policy.utf8, "{what}");
    }
    // Listed twice, and delivered once.
    let mut world = World::new();
    world.deliver("x");
    let maildrop = world.maildrop(&[("x", same), ("x", larger)]);
    assert_eq!(decide(&maildrop, &world.ledger, &world.policy(KEEP)), [Compare(Why::Duplicate); 2]);
    assert!(!has_changed_size(&maildrop, &world.ledger, false));
    // Without sizes nothing has changed.
    let maildrop = world.maildrop(&[("x", None)]);
    assert!(!has_changed_size(&maildrop, &world.ledger, false));
}

/// What may still be delivered in a run: what earlier sessions took counts, and what proves to be known gives its place back.
#[test]
fn limits_of_a_run_count_what_came_before() {
    let world = World::new();
    let policy = Policy { max_messages: Some(2), max_bytes: Some(Octets(250)), ..world.policy(KEEP) };
    let mut allowance = super::Allowance::new(&policy);
    allowance.delivered(1, Octets(100));
    assert_eq!(allowance.take(Octets(200)), Err(Why::MaxBytes));
    allowance.take(Octets(100)).unwrap();
    assert_eq!(allowance.take(Octets(1)), Err(Why::MaxMessages));
    allowance.give_back(Octets(100));
    allowance.take(Octets(150)).unwrap();
    let policy = Policy { taken: (2, Octets(0)), ..policy };
    assert_eq!(super::Allowance::new(&policy).take(Octets(1)), Err(Why::MaxMessages));
}
