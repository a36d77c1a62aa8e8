//! What a listing alone shows, which header is worth a look, and what a settled session leaves in the ledger.

use super::{ALL, doubted, raise};
use crate::account::Retention;
use crate::ledger::memory::Habits;
use crate::message::Facts;
use crate::plan::trial::{World, facts, key, number};
use crate::plan::{Decision, Why};
use crate::proof::EntryId;
use crate::retrieval::doubts::{moved, sample, settle};
use crate::retrieval::fetch::{CompareResult, Compared, Tally};
use crate::types::Octets;

fn id(world: &World, name: &str) -> EntryId {
    world.ledger.find_key(&key(name)).unwrap()
}

/// What a listing shows is written before anything is decided by it; and a poll that shows nothing more writes nothing more.
#[test]
fn a_doubt_is_written_once() {
    for names in [&["a", "c", "d"][..], &[], &["w", "x"]] {
        let mut world = World::holding(&ALL);
        world.ledger.flush().unwrap();
        let before = world.written();
        raise(&mut world, names, false, &[]);
        let after = world.written();
        assert!(after > before, "{names:?}");
        raise(&mut world, names, false, &[]);
        world.ledger.flush().unwrap();
        assert_eq!(world.written(), after, "{names:?}");
    }
}

/// One of its messages was delivered, another one failed: it stands for no message that is had.
#[test]
fn a_unique_id_under_which_a_message_failed_is_as_good_as_an_unknown_one() {
    for (fails, renumbered) in [(false, false), (true, true)] {
        let mut world = World::holding(&["x"]);
        for name in ALL {
            world.deliver(name);
        }
        world.listed(&ALL);
        if fails {
            world.fail_at_destination("x", "other");
            world.listed(&ALL);
        }
        assert_eq!(raise(&mut world, &["x"], false, &[]).renumbered, renumbered);
    }
}

/// Which header is looked at where mail is gone and other mail has come.
fn asked(world: &World, names: &[&str]) -> Option<u32> {
    let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
    let policy = world.policy(Retention::Keep);
    let none: &[(crate::types::MessageNumber, Facts)] = &[];
    moved(&world.ledger, &world.maildrop(&listed), &policy, none).unwrap().map(|number| number.get())
}

/// However much has come, it's the header of a known message that is looked at, and of one that is had.
#[test]
fn the_header_that_is_looked_at_is_that_of_a_message_that_is_had() {
    let scene = || {
        let mut world = World::new();
        for name in ["a/1@i", "b/2@j"] {
            world.deliver_content(key(&name[..1]), name);
        }
        world.listed(&["a", "b"]);
        world
    };
    let new: Vec<String> = (0..40).map(|n| format!("new{n}")).collect();
    let names: Vec<&str> = std::iter::once("b").chain(new.iter().map(String::as_str)).collect();
    assert_eq!(asked(&scene(), &names), Some(1));
    let mut open = scene();
    open.fail_at_destination("b", "other/3@k");
    assert_eq!(asked(&open, &["b", "new"]), None, "which of its messages it is doesn't show");
    let mut deleted = scene();
    deleted.ledger.deleted(&[id(&deleted, "b")]).unwrap();
    assert_eq!(asked(&deleted, &["b", "new"]), None, "it's looked at in any case");
}

/// A header that an earlier message of this unique-id has is no sign of the last one, though the server has shown it.
#[test]
fn a_header_that_also_an_earlier_message_has_proves_nothing() {
    for (shown_before, expected) in [("a/1@i", true), ("c/3@-", false)] {
        let mut world = World::new();
        world.deliver_content(key("a"), "a/1@i");
        let last = world.deliver_content(key("a"), "b/2@j");
        let header = Some(facts(shown_before).digests.header);
        let same_as = crate::ledger::Match { header, ..crate::ledger::Match::first(last) };
        world.ledger.record_match(&key("a"), None, same_as).unwrap();
        world.listed(&["a"]);
        raise(&mut world, &["a"], false, &[(number(1), facts(shown_before))]);
        assert_eq!(doubted(&world, &["a"]), [expected], "{shown_before}");
    }
}

/// Several messages have one unique-id, and one of them was replaced by other mail: a header that none of them has shows it.
#[test]
fn other_mail_under_a_unique_id_that_is_listed_twice_is_seen_by_its_header() {
    for (shown, expected) in [("a/1@i", false), ("b/2@j", false), ("other/3@k", true)] {
        let mut world = World::new();
        world.deliver_content(key("x"), "a/1@i");
        world.deliver_content(key("x"), "b/2@j");
        world.listed(&["x"]);
        raise(&mut world, &["x", "x"], false, &[(number(2), facts(shown))]);
        assert_eq!(doubted(&world, &["x"]), [expected], "{shown}");
    }
    // Which of them has no identity doesn't show.
    let mut world = World::new();
    world.deliver_content(key("x"), "a/1@i");
    world.deliver_content(key("x"), "b/2@-");
    world.listed(&["x"]);
    raise(&mut world, &["x", "x"], false, &[(number(2), facts("other/3@k"))]);
    assert_eq!(doubted(&world, &["x"]), [false]);
}

/// Where each comparison costs a whole message the smallest are compared, wherever they stand.
#[test]
fn the_smallest_are_compared_where_each_is_retrieved() {
    let names: Vec<String> = (0..65).map(|n| format!("m{n:02}")).collect();
    let mut world = World::new();
    let mut listed: Vec<(&str, Option<u64>)> = Vec::new();
    for (size, name) in (1..=65).rev().zip(&names) {
        world.size = size;
        world.deliver(name);
        listed.push((name, Some(size)));
    }
    world.ledger.doubt(None).unwrap();
    let doubtful = Decision::Compare(Why::Doubtful);
    let mut decisions = vec![doubtful; 65];
    let habits = Habits { matched_gaps: 2, ..Habits::default() };
    sample(&world.maildrop(&listed), &world.ledger, &habits, false, &mut decisions);
    let places: Vec<usize> =
        (0..).zip(&decisions).filter(|(_, d)| **d == doubtful).map(|(at, _)| at).collect();
    assert_eq!(places, [62, 63, 64]);
}

/// After a session that did everything, the ledger holds what the server holds; an empty maildrop is one, too.
#[test]
fn a_settled_session_leaves_what_it_has_seen() {
    for names in [&["a", "f"][..], &[]] {
        let mut world = World::holding(&["a", "b"]);
        world.ledger.too_large(&key("f"), None).unwrap();
        world.ledger.begin_renumbering().unwrap();
        world.ledger.flush().unwrap();
        let before = world.written();
        let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, Some(7))).collect();
        let (maildrop, policy) = (world.maildrop(&listed), world.policy(Retention::Keep));
        let mut habits = Habits { listed: 9, ..Habits::default() };
        settle(&mut world.ledger, &mut habits, &maildrop, &policy, &Tally::default()).unwrap();
        assert!(!world.ledger.is_renumbering(), "{names:?}");
        assert_eq!((habits.listed, habits.complete), (u32::try_from(names.len()).unwrap(), true));
        // An empty one shows nothing of where they are, but puts all in doubt.
        let present: Vec<EntryId> = world.ledger.present().collect();
        let there = if names.is_empty() { &["a", "b", "f"][..] } else { names };
        let expected: Vec<EntryId> = there.iter().map(|name| id(&world, name)).collect();
        assert_eq!(present, expected, "{names:?}");
        assert_eq!(doubted(&world, &["a", "b"]), [names.is_empty(), true], "{names:?}");
        let learnt = world.ledger.entry(id(&world, "f")).listed_size;
        assert_eq!(learnt, (!names.is_empty()).then_some(Octets(7)), "{names:?}");
        assert!(world.written() > before);
    }
}

/// Of several messages with one unique-id some were compared, and for one the limits of the run left no room: it's compared next
/// time, whatever is listed then.
#[test]
fn what_was_not_compared_under_a_unique_id_that_is_listed_twice_stays_in_doubt() {
    use CompareResult::{Failed, Matched, Undone};
    for (results, listed, expected) in [
        ([Matched, Undone], &["a", "a"][..], true),
        ([Matched, Matched], &["a", "a"], false),
        ([Matched, Failed], &["a", "a"], false),
        // Listed once it has its own reason to be compared, which stays.
        ([Undone, Undone], &["a"], false),
    ] {
        let mut world = World::holding(&["a"]);
        let entry = Some(id(&world, "a"));
        let compared = |(n, result)| Compared { number: number(n), entry, result };
        let compared = (1..).zip(results).map(compared).collect();
        let tally = Tally { compared, ..Tally::default() };
        let names: Vec<(&str, Option<u64>)> = listed.iter().map(|name| (*name, None)).collect();
        let (maildrop, policy) = (world.maildrop(&names), world.policy(Retention::Keep));
        settle(&mut world.ledger, &mut Habits::default(), &maildrop, &policy, &tally).unwrap();
        assert_eq!(doubted(&world, &["a"]), [expected], "{results:?}");
    }
}

/// A match shows that the message which some destinations lack is listed no more: but only if it was of the entry's own, listed
/// alone.
#[test]
fn what_only_some_destinations_have_parts_from_a_unique_id_that_stands_for_another_message() {
    use CompareResult::{Failed, Matched, Undone};
    for (at, entry, result, listed, parts) in [
        (1, Some("a"), Matched, &["a", "b"][..], true),
        (1, Some("a"), Failed, &["a", "b"], false),
        (1, Some("a"), Undone, &["a", "b"], false),
        (1, Some("b"), Matched, &["a", "b"], false),
        (1, None, Matched, &["a", "b"], false),
        (2, Some("a"), Matched, &["a", "b"], false),
        (9, Some("a"), Matched, &["a", "b"], false),
        (1, Some("a"), Matched, &["a", "a"], false),
        (1, Some("a"), Matched, &["new", "a"], false),
    ] {
        let mut world = World::holding(&["a", "b"]);
        world.deliver_to_one("a");
        let listed: Vec<(&str, Option<u64>)> = listed.iter().map(|name| (*name, None)).collect();
        let (maildrop, policy) = (world.maildrop(&listed), world.policy(Retention::Keep));
        let entry = entry.map(|name| id(&world, name));
        let compared = vec![Compared { number: number(at), entry, result }];
        let tally = Tally { compared, ..Tally::default() };
        settle(&mut world.ledger, &mut Habits::default(), &maildrop, &policy, &tally).unwrap();
        let gone: Vec<bool> = world.ledger.begun().iter().map(|begun| begun.gone).collect();
        assert_eq!(gone, [parts], "{at} {entry:?} {result:?} {listed:?}");
    }
}
