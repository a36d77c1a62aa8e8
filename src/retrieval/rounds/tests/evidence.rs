//! What a later round owes to those before it: what they have shaken isn't believed, what they have settled isn't asked for
//! again, and all of it comes to an end.

use super::{Desk, delivered, numbers, sizes};
use crate::account::Retention;
use crate::plan::compare::{Comparison, Verdict};
use crate::plan::trial::{SIZE, World, facts, key, number};
use crate::plan::{Decision, Who, Why};
use crate::proof::{EntryId, Key};
use crate::retrieval::fetch::{CompareResult, Compared};
use crate::retrieval::pipeline::MOST_DELETIONS;
use crate::retrieval::rounds::{MOST, Round};

use Decision::{Compare, Delete, Leave, Retrieve};

const DOUBT: Decision = Compare(Why::Doubtful);
const KNOWN: Decision = Leave(Why::Known);

/// Of these, and all of them in the last listing, some are in doubt.
fn doubted(names: &[&str], doubtful: &[&str]) -> World {
    let mut world = delivered(names);
    let ids: Vec<EntryId> = doubtful.iter().map(|name| world.ledger.find_key(&key(name)).unwrap()).collect();
    world.ledger.doubt(Some(&ids)).unwrap();
    world
}

impl Desk {
    fn is_doubted(&self, name: &str) -> bool {
        self.world.ledger.entry(self.id(name)).doubtful
    }

    /// The committer has recorded that these match.
    fn trust(&mut self, names: &[&str]) {
        let ids: Vec<EntryId> = names.iter().map(|name| self.id(name)).collect();
        self.world.ledger.trust(&ids).unwrap();
    }

    /// What it means that this message has this content.
    fn verdict(&self, round: &mut Round, n: u32, content: &str) -> Verdict {
        let listed = self.maildrop.find(number(n)).unwrap();
        round.comparison.whole(&listed, Why::Doubtful, &facts(content))
    }

    fn is(&self, verdict: Verdict, name: &str) -> bool {
        matches!(verdict, Verdict::Same(same) if same.entry == self.id(name))
    }
}

/// Something new has the header of a known message that is listed: that one alone is compared, on the disk before anything
/// is asked for, and then the new one comes.
#[test]
fn what_looks_like_a_listed_message_waits_for_that_one() {
    let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b", "new"]), Retention::Keep, false);
    let mut round = desk.first();
    assert_eq!(round.decisions, [KNOWN, KNOWN, Retrieve(Why::New)]);
    assert!(round.comparison.seems_moved(&facts("a")));
    desk.tally.standing.aside.insert(number(3));
    desk.world.ledger.flush().unwrap();
    let before = desk.world.written();
    let round = desk.next(round.comparison).unwrap();
    assert_eq!((round.questions, round.decisions), (true, vec![DOUBT, KNOWN, KNOWN]));
    assert_eq!((desk.is_doubted("a"), desk.is_doubted("b")), (true, false));
    assert!(desk.world.written() > before, "a run that is killed now leaves the doubt to the next one");
    desk.matched(1, "a");
    desk.trust(&["a"]);
    let round = desk.next(round.comparison).unwrap();
    assert_eq!((round.questions, round.decisions), (false, vec![KNOWN, KNOWN, Retrieve(Why::New)]));
    desk.world.deliver("new");
    assert!(desk.next(round.comparison).unwrap().is_empty());
}

/// A failed comparison shakes everything, which answers the question as well; unless everything was in doubt before.
#[test]
fn a_question_is_asked_apart_only_where_not_everything_is_compared() {
    for suspected in [false, true] {
        let world = doubted(&["a", "b", "c"], if suspected { &["a", "b", "c"] } else { &["a"] });
        let mut desk = Desk::new(world, &sizes(&["a", "b", "c"]), Retention::Keep, suspected);
        let mut round = desk.first();
        desk.mismatched(&mut round.comparison, 1, "other");
        round.comparison.questioned.push(desk.id("b"));
        let round = desk.next(round.comparison).unwrap();
        let expected = if suspected { vec![KNOWN, DOUBT, KNOWN] } else { vec![DOUBT; 3] };
        assert_eq!((round.questions, round.decisions), (suspected, expected));
        if suspected {
            // What was set aside comes when that is answered.
            let round = desk.next(round.comparison).unwrap();
            assert_eq!((round.questions, round.decisions), (false, vec![DOUBT, KNOWN, KNOWN]));
        }
    }
}

/// It is looked for once among everything, wherever that begins; then it is what it seems.
#[test]
fn what_is_set_aside_is_looked_for_everywhere_once() {
    for (suspected, renumbering) in [(false, false), (true, false), (false, true)] {
        let what = format!("{suspected}, {renumbering}");
        let mut world = doubted(&["a", "b"], if suspected { &["a", "b"] } else { &["a"] });
        if renumbering {
            world.ledger.begin_renumbering().unwrap();
        }
        let mut desk = Desk::new(world, &sizes(&["a", "b"]), Retention::Keep, suspected);
        let mut round = desk.first();
        desk.mismatched(&mut round.comparison, 1, "other");
        desk.tally.standing.aside = numbers(&[1]);
        let mut round = desk.next(round.comparison).unwrap();
        assert_eq!(round.decisions[0], DOUBT, "{what}");
        desk.mismatched(&mut round.comparison, 1, "another");
        desk.tally.standing.aside = numbers(&[1]);
        assert!(desk.next(round.comparison).unwrap().is_empty(), "{what}");
    }
}

/// What proved to be other mail was delivered: a doubt that is raised behind it doesn't bring it again.
#[test]
fn what_came_as_other_mail_is_not_asked_for_again() {
    let mut world = doubted(&["a", "b"], &["a", "b"]);
    world.ledger.begin_renumbering().unwrap();
    let mut desk = Desk::new(world, &sizes(&["a", "b"]), Retention::Keep, false);
    let mut round = desk.first();
    desk.matched(2, "b");
    desk.mismatched(&mut round.comparison, 1, "other");
    assert!(desk.tally.standing.aside.is_empty(), "it was looked for everywhere");
    let round = desk.next(round.comparison).unwrap();
    assert!(round.is_empty(), "{:?}", round.decisions);
    // What was matched in this session is no part of the doubt.
    assert_eq!((desk.is_doubted("a"), desk.is_doubted("b")), (true, false));
}

/// After a failed comparison, or where an earlier session had found that unique-ids have moved, every message is looked for
/// under every key.
#[test]
fn after_a_mismatch_messages_are_found_under_other_unique_ids() {
    for renumbering in [false, true] {
        let mut world = doubted(&["a", "b", "gone"], &["a"]);
        if renumbering {
            world.ledger.begin_renumbering().unwrap();
        }
        let mut desk = Desk::new(world, &sizes(&["a", "b"]), Retention::Keep, false);
        let mut round = desk.first();
        assert_eq!(round.decisions, [DOUBT, KNOWN]);
        if renumbering {
            let verdict = desk.verdict(&mut round, 1, "gone");
            assert!(desk.is(verdict, "gone"), "{verdict:?}");
        } else {
            desk.mismatched(&mut round.comparison, 1, "other");
            let mut round = desk.next(round.comparison).unwrap();
            let verdict = desk.verdict(&mut round, 2, "gone");
            assert!(desk.is(verdict, "gone"), "{verdict:?}");
        }
    }
}

/// One for one: what one message was matched with in an earlier round is not there for another one in a later round.
#[test]
fn a_delivery_is_matched_once_in_a_session() {
    let mut desk = Desk::new(doubted(&["a", "b"], &["a", "b"]), &sizes(&["a", "b"]), Retention::Keep, false);
    let mut round = desk.first();
    let verdict = desk.verdict(&mut round, 1, "a");
    assert!(desk.is(verdict, "a"), "{verdict:?}");
    desk.matched(1, "a");
    desk.mismatched(&mut round.comparison, 2, "other");
    let mut round = desk.next(round.comparison).unwrap();
    assert_eq!(round.decisions, [KNOWN, DOUBT]);
    assert_eq!(desk.verdict(&mut round, 2, "a"), Verdict::Another, "a second copy is delivered");
}

/// But what was matched to count it may be matched again to delete it.
#[test]
fn what_was_matched_is_matched_again_before_it_is_deleted() {
    let mut world = World::new();
    world.now();
    let id = world.deliver_content(Key::Header(facts("n").digests.header), "n");
    let mut desk = Desk::new(world, &[("-", Some(SIZE))], Retention::Delete, false);
    let mut round = desk.first();
    for decisions in [Compare(Why::Nameless), Delete(Why::Delete)] {
        assert_eq!(round.decisions, [decisions]);
        let why = decisions.why_compared().unwrap();
        let verdict = round.comparison.whole(&desk.maildrop.find(number(1)).unwrap(), why, &facts("n"));
        assert!(matches!(verdict, Verdict::Same(same) if same.entry == id), "{decisions:?}: {verdict:?}");
        desk.tally.compared.push(Compared {
            number: number(1),
            entry: Some(id),
            result: CompareResult::Matched,
        });
        match desk.next(round.comparison) {
            Some(next) => round = next,
            None => break,
        }
    }
}

/// A few that came back teach nothing of many, and of a suspect listing no sample is enough.
#[test]
fn a_sample_is_for_many_that_came_back_and_for_nothing_else() {
    let mut desk = Desk::new(doubted(&["a", "b"], &["a", "b"]), &sizes(&["a", "b"]), Retention::Keep, false);
    desk.habits.matched_gaps = 1;
    let round = desk.first();
    desk.matched(1, "a");
    desk.matched(2, "b");
    desk.next(round.comparison);
    assert_eq!(desk.habits.matched_gaps, 1);
    let names: Vec<String> = (0..70).map(|n| format!("m{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scene = |suspected| {
        let mut desk = Desk::new(doubted(&names, &names), &sizes(&names), Retention::Keep, suspected);
        desk.habits.matched_gaps = 2;
        desk
    };
    assert_eq!(scene(true).first().decisions, vec![DOUBT; 70]);
    // A sample that failed vouches for nobody, however well the next round goes.
    let mut desk = scene(false);
    let mut round = desk.first();
    let compared = (1..).zip(&round.decisions).filter(|(_, decision)| **decision == DOUBT).map(|(n, _)| n);
    let compared: Vec<u32> = compared.collect();
    assert_eq!(compared.len(), 16);
    for n in &compared[1..] {
        desk.matched(*n, names[usize::try_from(*n).unwrap() - 1]);
    }
    desk.mismatched(&mut round.comparison, compared[0], "other");
    let round = desk.next(round.comparison).unwrap();
    let doubted = |desk: &Desk| names.iter().filter(|name| desk.is_doubted(name)).count();
    assert_eq!(doubted(&desk), 55);
    desk.next(round.comparison);
    assert_eq!(doubted(&desk), 55);
}

/// Once all that is known has matched, a later failure shakes it again; once it has been looked for everywhere, it doesn't.
#[test]
fn a_later_failure_shakes_only_what_was_believed_again() {
    let world = doubted(&["a", "b", "gone"], &["a", "b", "gone"]);
    let mut desk = Desk::new(world, &sizes(&["a", "b", "new"]), Retention::Keep, true);
    let round = desk.first();
    desk.matched(1, "a");
    desk.matched(2, "b");
    desk.trust(&["a", "b", "gone"]);
    let mut round = desk.next(round.comparison).unwrap();
    assert_eq!(round.decisions[2], Retrieve(Why::New));
    round.comparison.failed.push(desk.id("gone"));
    desk.next(round.comparison);
    assert_eq!(["a", "b", "gone"].map(|name| desk.is_doubted(name)), [false, false, true]);
    // Everything is in doubt already: what has been settled since stays settled.
    let mut desk =
        Desk::new(doubted(&["a", "b", "c"], &["a"]), &sizes(&["a", "b", "c"]), Retention::Keep, false);
    let mut round = desk.first();
    desk.mismatched(&mut round.comparison, 1, "other");
    let mut round = desk.next(round.comparison).unwrap();
    assert_eq!(round.decisions, [DOUBT; 3]);
    desk.trust(&["c"]);
    desk.mismatched(&mut round.comparison, 2, "another");
    desk.next(round.comparison);
    assert!(!desk.is_doubted("c"));
}

/// A server that makes us ask for ever is left after a few rounds.
#[test]
fn the_number_of_rounds_has_a_bound() {
    let mut desk = Desk::new(doubted(&["a"], &["a"]), &sizes(&["a"]), Retention::Keep, false);
    let mut comparison = desk.first().comparison;
    let mut rounds = 1;
    loop {
        comparison.questioned.push(desk.id("a"));
        let Some(next) = desk.next(comparison) else { break };
        comparison = next.comparison;
        rounds += 1;
        assert!(rounds <= MOST);
    }
    assert_eq!(rounds, MOST);
}

/// Behind the deletions only what they have put in question is done.
#[test]
fn what_is_retired_comes_last() {
    let mut desk = Desk::new(doubted(&["a"], &["a"]), &sizes(&["a", "new"]), Retention::Keep, false);
    desk.policy.max_messages = Some(0);
    let round = desk.first();
    desk.matched(1, "a");
    desk.trust(&["a"]);
    let round = desk.next(round.comparison).unwrap();
    assert!(round.is_empty());
    desk.policy.max_messages = None;
    assert!(desk.next(round.comparison).is_none());
    let retiring = || {
        let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b"]), Retention::Delete, false);
        assert!(desk.first().is_empty());
        let round = desk.next(Comparison::default()).unwrap();
        assert_eq!(round.decisions, [Delete(Why::Delete); 2]);
        (desk, round)
    };
    let (mut desk, mut round) = retiring();
    round.comparison.questioned.push(desk.id("a"));
    let round = desk.next(round.comparison).unwrap();
    assert!(round.questions);
    desk.matched(1, "a");
    desk.trust(&["a"]);
    let round = desk.next(round.comparison).unwrap();
    assert!(!round.questions && round.is_empty());
    assert!(desk.next(round.comparison).is_none());
    let (mut desk, mut round) = retiring();
    desk.mismatched(&mut round.comparison, 1, "other");
    let round = desk.next(round.comparison).unwrap();
    assert_eq!(round.decisions, [DOUBT, KNOWN]);
}

/// What is to be identified waits for another session if the first round didn't ask for it.
#[test]
fn what_was_not_identified_at_first_waits_for_another_session() {
    use crate::ledger::UsersWord;
    use crate::types::UniqueId;
    let mut world = doubted(&["a"], &["a"]);
    let unique_id = UniqueId::new(b"word").unwrap().to_buf();
    world.ledger.import(&[(unique_id, UsersWord::Seen)]).unwrap();
    let mut desk = Desk::new(world, &sizes(&["a", "word"]), Retention::Keep, false);
    let round = desk.first_of(vec![DOUBT, KNOWN]);
    desk.matched(1, "a");
    desk.trust(&["a"]);
    assert!(desk.next(round.comparison).unwrap().is_empty());
}

/// Of a window no complete listing is ever taken, and unique-ids that have moved once move again: what is new there is
/// looked for under every key at once.
#[test]
fn where_unique_ids_move_what_is_new_is_looked_for_everywhere() {
    let elsewhere = |desk: &mut Desk| {
        let mut round = desk.first();
        let found = round.comparison.elsewhere(&facts("a"));
        let is_found = found.is_some_and(|verdict| matches!(verdict, Verdict::Same(_)));
        (is_found, round.comparison.seems_moved(&facts("a")))
    };
    let mut steady = Desk::new(delivered(&["a"]), &sizes(&["new"]), Retention::Keep, false);
    assert_eq!(elsewhere(&mut steady), (false, true));
    let mut window = Desk::new(delivered(&["a"]), &sizes(&["new"]), Retention::Keep, false);
    window.policy.window = true;
    assert_eq!(elsewhere(&mut window), (true, false));
    let mut world = delivered(&["a", "b"]);
    let id = world.ledger.find_key(&key("b")).unwrap();
    world.record_match("moved", id);
    let mut unsteady = Desk::new(world, &sizes(&["moved", "new"]), Retention::Keep, false);
    assert_eq!(elsewhere(&mut unsteady), (true, false));
    // Where nothing new comes that isn't read: what doesn't match is set aside first.
    let mut window = Desk::new(doubted(&["a"], &["a"]), &sizes(&["a"]), Retention::Keep, false);
    window.policy.window = true;
    let mut round = window.first();
    assert_eq!(window.verdict(&mut round, 1, "other"), Verdict::SetAside);
}

/// What waits for its DELE under this number is gone as well, whichever entry it is listed as now.
#[test]
fn a_message_that_waits_to_be_deleted_is_not_deleted_as_another_entry() {
    let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b"]), Retention::Delete, false);
    desk.first();
    let waiting = desk.world.ledger.prove_delivered(desk.id("b"), number(1));
    desk.tally.waiting.extend(waiting);
    let round = desk.next(Comparison::default()).unwrap();
    assert!(round.is_empty(), "{:?}", round.decisions);
}

/// Deletions count only at the end of a session: what is too much for one is left to the next.
#[test]
fn a_session_retires_no_more_than_it_may_delete() {
    for (accepted, deleted, cut_short) in [(MOST_DELETIONS - 2, 2, false), (MOST_DELETIONS - 1, 1, true)] {
        let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b"]), Retention::Delete, false);
        desk.first();
        desk.tally.accepted = vec![EntryId(u32::MAX); accepted];
        let round = desk.next(Comparison::default()).unwrap();
        let due = round.decisions.iter().filter(|decision| **decision == Delete(Why::Delete)).count();
        assert_eq!((due, desk.tally.cut_short), (deleted, cut_short));
    }
}

/// A message that has a unique-id is known by that, whatever it was matched with.
#[test]
fn only_what_has_no_unique_id_takes_the_entry_that_it_was_matched_with() {
    let mut desk = Desk::new(doubted(&["a"], &["a"]), &sizes(&["a", "new"]), Retention::Keep, false);
    let round = desk.first();
    desk.matched(1, "a");
    desk.matched(2, "a");
    desk.next(round.comparison);
    assert!(matches!(desk.maildrop.find(number(2)).unwrap().who, Who::New(_)));
}
