//! What is compared of many, what waits for it, and when what decisions rested on is overwritten.

use super::{doubted, raise};
use crate::account::Retention;
use crate::ledger::EntryState;
use crate::ledger::memory::{Habits, UniqueIds};
use crate::plan::trial::{NOW, World, facts, key, number};
use crate::plan::{Decision, Policy, Why};
use crate::proof::{EntryId, Key};
use crate::retrieval::Options;
use crate::retrieval::doubts::{are_many, hold_back_new, mismatch, sample, settle};
use crate::retrieval::fetch::{CompareResult, Compared, Tally};
use crate::retrieval::run::Run;
use crate::retrieval::trial::Home;

/// A sample is taken only of many that came back with their old sizes, where such sets have matched before: at random, or,
/// where each costs a retrieval, the smallest.
#[test]
fn of_many_that_come_back_only_a_few_are_compared() {
    let names: Vec<String> = (0..65).map(|n| format!("m{n:02}")).collect();
    let mut world = World::new();
    let mut listed: Vec<(&str, Option<u64>)> = Vec::new();
    for (size, name) in (1..).zip(&names) {
        world.size = size;
        world.deliver(name);
        listed.push((name, Some(size)));
    }
    world.ledger.doubt(None).unwrap();
    let doubtful = Decision::Compare(Why::Doubtful);
    let compared = |listed: &[(&str, Option<u64>)], matched_gaps, has_top| {
        let mut decisions = vec![doubtful; listed.len()];
        let habits = Habits { matched_gaps, ..Habits::default() };
        let maildrop = world.maildrop(listed);
        let rest = sample(&maildrop, &world.ledger, &habits, has_top, &mut decisions);
        let places: Vec<usize> =
            (0..).zip(&decisions).filter(|(_, d)| **d == doubtful).map(|(at, _)| at).collect();
        assert_eq!(rest.len(), if rest.is_empty() { 0 } else { listed.len() - places.len() });
        places
    };
    assert_eq!(compared(&listed, 2, true).len(), 16);
    assert_eq!(compared(&listed, 2, false), [0, 1, 2]);
    assert_eq!(compared(&listed, 1, true).len(), 65, "no set has matched twice");
    assert_eq!(compared(&listed[..64], 2, true).len(), 64, "that isn't many");
    let draws: Vec<_> = (0..4).map(|_| compared(&listed, 2, true)).collect();
    assert!(draws.iter().any(|draw| *draw != draws[0]), "no server knows which");
    for size in [Some(999), None] {
        let mut listed = listed.clone();
        listed[7].1 = size;
        assert_eq!(compared(&listed, 2, true).len(), 65, "{size:?}");
    }
    assert!(are_many(&[doubtful; 65]) && !are_many(&[doubtful; 64]));
    assert!(!are_many(&[Decision::Compare(Why::CameBack); 65]));
}

/// What is new waits while something that is known is in question.
#[test]
fn what_is_new_waits_for_what_is_in_question() {
    let world = World::holding(&["a"]);
    let maildrop = world.maildrop(&[("a", None), ("new", None), ("-", None)]);
    let new = Decision::Retrieve(Why::New);
    for (why, waits) in [
        (Why::Doubtful, true),
        (Why::SizeChanged, true),
        (Why::CameBack, true),
        (Why::Duplicate, false),
        (Why::Window, false),
    ] {
        for kind in [new, Decision::Retrieve(Why::Again)] {
            let mut decisions = [Decision::Compare(why), kind, new];
            hold_back_new(&maildrop, &mut decisions);
            let expected = if waits { Decision::Leave(Why::Waits) } else { kind };
            assert_eq!(decisions, [Decision::Compare(why), expected, new], "{why:?}");
        }
    }
    let mut decisions = [Decision::Compare(Why::Doubtful), Decision::Retrieve(Why::All), new];
    hold_back_new(&maildrop, &mut decisions);
    assert_eq!(decisions[1], Decision::Retrieve(Why::All), "the user asked for it");
}

/// A renumbering is settled when all that is listed is known, had, and not in doubt; and only by a listing of all.
#[test]
fn what_decisions_rest_on_is_overwritten_when_all_is_settled() {
    type Change = fn(&mut World);
    let nothing: Change = |_| {};
    let cases: [(&str, Change, &[&str], bool, bool); 9] = [
        ("all is known", nothing, &["a", "b"], false, true),
        ("an unknown one", nothing, &["a", "b", "new"], false, false),
        ("one has failed", |world| drop(world.ledger.fail(&key("f"), None, None)), &["a", "f"], false, false),
        ("one is too large", |world| drop(world.ledger.too_large(&key("f"), None)), &["a", "f"], false, true),
        (
            "one was deleted",
            |world| {
                world.delete("gone");
            },
            &["a", "gone"],
            false,
            false,
        ),
        ("one is in doubt", |world| world.ledger.doubt(None).unwrap(), &["a", "b"], false, false),
        ("one has no unique-id", nothing, &["a", "-"], false, true),
        ("none has one", nothing, &["-"], false, false),
        ("a window", nothing, &["a", "b"], true, false),
    ];
    for (what, change, names, window, settled) in cases {
        let mut world = World::holding(&["a", "b"]);
        world.ledger.begin_renumbering().unwrap();
        change(&mut world);
        let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, Some(7))).collect();
        let maildrop = world.maildrop(&listed);
        let policy = Policy { window, ..world.policy(Retention::Keep) };
        let tally = Tally { accepted: vec![EntryId(0)], ..Tally::default() };
        let mut habits = Habits::default();
        settle(&mut world.ledger, &mut habits, &maildrop, &policy, &tally).unwrap();
        assert_eq!(!world.ledger.is_renumbering(), settled, "{what}");
        let is_taken = !window && *names != ["-"];
        let left = if is_taken { names.len() - 1 } else { 0 };
        assert_eq!(habits.listed, u32::try_from(left).unwrap(), "{what}: what was deleted isn't there");
        assert_eq!(habits.complete, is_taken && !names.contains(&"new"), "{what}");
    }
}

/// No identity on either side is no equal identity.
#[test]
fn a_spot_check_without_a_name_is_no_match_for_a_message_without_one() {
    let mut world = World::new();
    world.deliver_content(key("a"), "a/1@i");
    world.deliver_content(key("a"), "b/2@-");
    world.listed(&["a"]);
    raise(&mut world, &["a"], false, &[(number(1), facts("z/9@-"))]);
    assert_eq!(doubted(&world, &["a"]), [true]);
}

/// Everything rests on unique-ids that have just proved wrong: all is in doubt but what was recognised in this session,
/// unless it was before.
#[test]
fn a_failed_comparison_puts_everything_in_doubt_once() {
    for (suspected, unique_ids, then) in [
        (false, UniqueIds::Names, UniqueIds::Unknown),
        (true, UniqueIds::Names, UniqueIds::Unknown),
        (false, UniqueIds::Numbers, UniqueIds::Numbers),
    ] {
        let home = Home::holding(&[]);
        let (account, options, context) = (home.account(""), Options::default(), home.context());
        let run = Run::new(&account, &options, &context, NOW);
        let mut world = World::holding(&["a", "b"]);
        let id = world.ledger.find_key(&key("a")).unwrap();
        let mut habits = Habits { unique_ids, matched_gaps: 2, ..Habits::default() };
        mismatch(&run, &mut world.ledger, &mut habits, suspected, &[id]).unwrap();
        assert_eq!((habits.unique_ids, habits.matched_gaps), (then, 0));
        assert!(world.ledger.is_renumbering());
        assert_eq!(doubted(&world, &["a", "b"]), [false, !suspected]);
    }
}

/// All that is listed under a unique-id was delivered: what a destination lacks was there before, and holds up none of it.
#[test]
fn what_is_not_listed_any_more_holds_up_nothing_of_its_unique_id() {
    for (matched, is_free) in [(&[1, 2][..], true), (&[1, 1], false), (&[2], false)] {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "a");
        world.deliver_content(key("x"), "b");
        world.deliver_content_to_one(key("x"), "c");
        let maildrop = world.maildrop(&[("x", None), ("x", None)]);
        let compared =
            |n: &u32| Compared { number: number(*n), entry: Some(id), result: CompareResult::Matched };
        let tally = Tally { compared: matched.iter().map(compared).collect(), ..Tally::default() };
        let policy = world.policy(Retention::Delete);
        settle(&mut world.ledger, &mut Habits::default(), &maildrop, &policy, &tally).unwrap();
        assert_eq!(world.ledger.entry(id).state == EntryState::Delivered, is_free, "{matched:?}");
    }
}

/// What has no unique-id shares its entry with all that have its header.  What has one doesn't.
#[test]
fn what_a_destination_lacks_holds_up_nothing_else_with_its_header() {
    let header = || Key::Header(facts("h").digests.header);
    for (delivered_as, listed_as, is_free) in
        [(header(), "-", true), (key("x"), "-", false), (header(), "x", false)]
    {
        let mut world = World::new();
        let id = world.deliver_content(delivered_as.clone(), "h/a");
        world.deliver_content_to_one(delivered_as.clone(), "h/b");
        let maildrop = world.maildrop(&[(listed_as, None)]);
        let compared = Compared { number: number(1), entry: Some(id), result: CompareResult::Matched };
        let tally = Tally { compared: vec![compared], ..Tally::default() };
        let policy = world.policy(Retention::Delete);
        settle(&mut world.ledger, &mut Habits::default(), &maildrop, &policy, &tally).unwrap();
        let free = world.ledger.entry(id).state == EntryState::Delivered;
        assert_eq!(free, is_free, "{delivered_as:?}, listed as {listed_as}");
        assert_eq!(world.ledger.begun()[0].gone, is_free, "it is found by its content if it is there still");
    }
}
