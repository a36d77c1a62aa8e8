//! What one session may still delete, and what it must know before it goes on.

use super::{Desk, delivered, sizes};
use crate::account::Retention;
use crate::plan::compare::Comparison;
use crate::plan::trial::{facts, number};
use crate::plan::{Decision, Why};
use crate::proof::EntryId;
use crate::retrieval::pipeline::MOST_DELETIONS;

/// Comparisons that have found these to stand for other mail, and these to be in question.
fn ended(failed: &[EntryId], questioned: &[EntryId]) -> Comparison {
    let mut ended = Comparison::default();
    ended.failed.extend(failed);
    ended.questioned.extend(questioned);
    ended
}

/// More may be due than one session deletes: the rest is another's, and the run knows of it.
#[test]
fn what_one_session_cannot_delete_is_left_for_the_next() {
    for (room, expected, cut_short) in [(3, 2, false), (2, 2, false), (1, 1, true), (0, 0, true)] {
        let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b"]), Retention::Delete, false);
        desk.first();
        desk.tally.accepted = vec![EntryId(u32::MAX); MOST_DELETIONS - room];
        let round = desk.next(Comparison::default()).unwrap();
        let due = round.decisions.iter().filter(|decision| matches!(decision, Decision::Delete(_)));
        assert_eq!((due.count(), desk.tally.cut_short), (expected, cut_short), "{room}");
    }
}

/// Those that wait for the last question are part of that share; and none is asked for twice, whatever entry it has now.
#[test]
fn a_deletion_that_waits_is_not_asked_for_again() {
    let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b"]), Retention::Delete, false);
    desk.first();
    // It waits as one entry, and the listing has another under its number.
    desk.tally.waiting.extend(desk.world.ledger.prove_delivered(desk.id("a"), number(2)));
    let round = desk.next(Comparison::default()).unwrap();
    assert!(round.is_empty(), "{:?}", round.decisions);
    let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b"]), Retention::Delete, false);
    desk.first();
    desk.tally.waiting.extend(desk.world.ledger.prove_delivered(desk.id("a"), number(1)));
    desk.tally.accepted = vec![EntryId(u32::MAX); MOST_DELETIONS - 1];
    desk.next(Comparison::default()).unwrap();
    assert!(desk.tally.cut_short, "there is room for the one that waits");
}

/// Something was set aside that may be what is listed elsewhere: that one is compared, alone, and its doubt is recorded.
#[test]
fn what_something_set_aside_waits_for_is_compared_first() {
    let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b", "new"]), Retention::Keep, false);
    desk.first();
    desk.tally.standing.aside.insert(number(3));
    let round = desk.next(ended(&[], &[desk.id("b")])).unwrap();
    assert!(round.questions);
    let known = Decision::Leave(Why::Known);
    assert_eq!(round.decisions, [known, Decision::Compare(Why::Doubtful), known]);
    assert!(
        desk.world.ledger.entry(desk.id("b")).doubtful && !desk.world.ledger.entry(desk.id("a")).doubtful
    );
    // It is what it was: what was set aside is asked for again, as new.
    desk.matched(2, "b");
    desk.world.ledger.trust(&[desk.id("b")]).unwrap();
    let round = desk.next(round.comparison).unwrap();
    assert!(!round.questions);
    assert_eq!(round.decisions, [known, known, Decision::Retrieve(Why::New)]);
}

/// Where a comparison has failed everything is compared anyway: no single question is asked.
#[test]
fn a_failed_comparison_outranks_a_question() {
    let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b"]), Retention::Keep, false);
    desk.first();
    let ended = ended(&[desk.id("a")], &[desk.id("b")]);
    let round = desk.next(ended).unwrap();
    assert!(!round.questions);
    assert!(
        round.decisions.iter().all(|decision| matches!(decision, Decision::Compare(_))),
        "{:?}",
        round.decisions
    );
}

/// In a window of the maildrop, or where unique-ids have moved once, what seems new is looked for among all that we have.
#[test]
fn what_seems_new_is_compared_with_everything_where_unique_ids_prove_little() {
    for (window, unsteady, expected) in [(true, false, true), (false, true, true), (false, false, false)] {
        let mut world = delivered(&["a"]);
        if unsteady {
            let other = world.deliver("other");
            world.record_match("its new name", other);
        }
        let mut desk = Desk::new(world, &sizes(&["new"]), Retention::Keep, false);
        desk.policy.window = window;
        let mut round = desk.first_of(vec![Decision::Retrieve(Why::New)]);
        assert_eq!(round.comparison.elsewhere(&facts("a")).is_some(), expected, "{window} {unsteady}");
    }
}

/// An earlier session has found that unique-ids have moved, and ended before it had looked everywhere: this one goes on.
#[test]
fn a_renumbering_that_was_not_settled_is_gone_on_with() {
    for renumbering in [true, false] {
        let mut world = delivered(&["a", "b"]);
        if renumbering {
            world.ledger.begin_renumbering().unwrap();
        }
        let mut desk = Desk::new(world, &sizes(&["b", "x"]), Retention::Keep, false);
        let mut round = desk.first_of(vec![Decision::Leave(Why::Known), Decision::Compare(Why::Renumbered)]);
        let listed = desk.maildrop.at(1).unwrap();
        let verdict = round.comparison.whole(&listed, Why::Renumbered, &facts("a"));
        assert!(matches!(verdict, crate::plan::compare::Verdict::Same(_)), "{renumbering}: {verdict:?}");
    }
}
