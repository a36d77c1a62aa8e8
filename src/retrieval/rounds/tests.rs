//! Which round follows which, without a server: what each comes to is set by the test.

mod evidence;

use std::collections::HashSet;

use super::{MOST, Round, Rounds};
use crate::account::Retention;
use crate::ledger::memory::Habits;
use crate::plan::compare::{Comparison, Verdict};
use crate::plan::trial::{NOW, SIZE, World, facts, key, number};
use crate::plan::{Decision, Maildrop, Policy, Who, Why, decide};
use crate::proof::{EntryId, Key, Recognised, SessionId};
use crate::retrieval::Options;
use crate::retrieval::fetch::{CompareResult, Compared, Tally};
use crate::retrieval::run::Run;
use crate::retrieval::trial::Home;
use crate::types::{MessageNumber, Octets};

use Decision::{Compare, Delete, Leave, Retrieve};

/// A session, but for its network.
struct Desk {
    home: Home,
    world: World,
    maildrop: Maildrop,
    policy: Policy,
    habits: Habits,
    tally: Tally,
    rounds: Rounds,
}

impl Desk {
    fn new(world: World, listed: &[(&str, Option<u64>)], retention: Retention, suspected: bool) -> Self {
        let (maildrop, policy) = (world.maildrop(listed), world.policy(retention));
        let rounds = Rounds::new(suspected, world.ledger.is_renumbering(), &maildrop);
        let (habits, tally) = (Habits::default(), Tally::default());
        Self { home: Home::holding(&[]), world, maildrop, policy, habits, tally, rounds }
    }

    fn first(&mut self) -> Round {
        let decisions = decide(&self.maildrop, &self.world.ledger, &self.policy);
        self.first_of(decisions)
    }

    fn first_of(&mut self, decisions: Vec<Decision>) -> Round {
        let listing = (&self.maildrop, &self.policy);
        self.rounds.first(decisions, listing, &self.world.ledger, &self.habits, true).unwrap()
    }

    fn next(&mut self, ended: Comparison) -> Option<Round> {
        let (account, options, context) = (self.home.account(""), Options::default(), self.home.context());
        let run = Run::new(&account, &options, &context, NOW);
        let listing = (&mut self.maildrop, &self.policy);
        self.rounds
            .next(&run, ended, listing, &mut self.world.ledger, &mut self.habits, &mut self.tally)
            .unwrap()
    }

    fn id(&self, name: &str) -> EntryId {
        self.world.ledger.find_key(&key(name)).unwrap()
    }

    /// This message was compared, and is what we have.
    fn matched(&mut self, n: u32, name: &str) {
        let entry = Some(self.id(name));
        self.tally.compared.push(Compared { number: number(n), entry, result: CompareResult::Matched });
        self.tally.recognised.insert(number(n), Recognised::attest(SessionId(1), number(n), entry));
    }

    /// The whole of it was compared, and is other mail.
    fn mismatched(&mut self, comparison: &mut Comparison, n: u32, content: &str) {
        let listed = self.maildrop.find(number(n)).unwrap();
        let entry = match listed.who {
            Who::Known(id) => Some(id),
            _ => None,
        };
        let verdict = comparison.whole(&listed, Why::Doubtful, &facts(content));
        assert!(matches!(verdict, Verdict::SetAside | Verdict::Another), "{verdict:?}");
        if verdict == Verdict::SetAside {
            self.tally.standing.aside.insert(number(n));
        }
        self.tally.compared.push(Compared { number: number(n), entry, result: CompareResult::Failed });
    }
}

fn delivered(names: &[&str]) -> World {
    let mut world = World::new();
    world.now();
    for name in names {
        world.deliver(name);
    }
    world.listed(names);
    world
}

fn sizes<'a>(names: &[&'a str]) -> Vec<(&'a str, Option<u64>)> {
    names.iter().map(|name| (*name, Some(SIZE))).collect()
}

fn numbers(found: &[u32]) -> HashSet<MessageNumber> {
    found.iter().copied().map(number).collect()
}

#[test]
fn a_round_has_something_to_do_if_anything_is_asked_or_deleted() {
    let world = delivered(&["a", "b"]);
    let maildrop = world.maildrop(&sizes(&["a", "b"]));
    let ready = || world.ledger.prove_delivered(world.ledger.find_key(&key("a")).unwrap(), number(1));
    assert!(Round::default().is_empty());
    assert!(Round { decisions: vec![Leave(Why::Known); 2], ..Round::default() }.is_empty());
    assert!(!Round { decisions: vec![Leave(Why::Known), Retrieve(Why::New)], ..Round::default() }.is_empty());
    assert!(!Round { ready: ready().into_iter().collect(), ..Round::default() }.is_empty());
    let mut round = Round {
        decisions: vec![Retrieve(Why::New), Retrieve(Why::New)],
        ready: ready().into_iter().collect(),
        ..Round::default()
    };
    round.keep_only(&numbers(&[2]), &maildrop);
    assert_eq!(round.decisions, [Leave(Why::Known), Retrieve(Why::New)]);
    assert!(round.ready.is_empty(), "a deletion is none of these");
}

/// Everything known and nothing asked for: one round to see what the policy retires, and no more.
#[test]
fn where_nothing_is_to_do_the_policy_is_asked_once() {
    for (retention, expected) in [(Retention::Keep, 0), (Retention::Delete, 2)] {
        let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(&["a", "b"]), retention, false);
        assert!(desk.first().is_empty());
        let round = desk.next(Comparison::default()).unwrap();
        let due = round.decisions.iter().filter(|decision| matches!(decision, Delete(Why::Delete)));
        assert_eq!((due.count(), round.ready.len()), (expected, 0));
        assert!(desk.next(round.comparison).is_none());
    }
}

/// What was recognised in this session goes at once; what wasn't is recognised first, and some of it not at all.
#[test]
fn what_is_retired_goes_at_once_only_where_it_was_recognised() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut desk = Desk::new(delivered(&names), &sizes(&names), Retention::Delete, false);
    desk.first();
    desk.matched(1, "a");
    desk.tally.uncertain.push(desk.id("c"));
    desk.tally.accepted.push(desk.id("d"));
    desk.tally.refused.push(desk.id("e"));
    let waiting = desk.world.ledger.prove_delivered(desk.id("f"), number(6));
    desk.tally.waiting.extend(waiting);
    let round = desk.next(Comparison::default()).unwrap();
    let ready: Vec<u32> = round.ready.iter().map(|proof| proof.number().get()).collect();
    assert_eq!(ready, [1]);
    let mut expected = [Leave(Why::Known); 6];
    expected[1] = Delete(Why::Delete);
    assert_eq!(round.decisions, expected);
    assert!(!desk.tally.cut_short);
    // What is gone in this session can't be asked for again.
    let mut desk = Desk::new(delivered(&names), &sizes(&names), Retention::Delete, false);
    desk.first();
    desk.tally.standing.gone = numbers(&[1, 2, 3, 4, 5]);
    let round = desk.next(Comparison::default()).unwrap();
    assert_eq!(round.decisions[5], Delete(Why::Delete));
    assert!(round.decisions[..5].iter().all(|decision| *decision == Leave(Why::Known)));
}

/// A header alone deletes nothing that has no unique-id: the whole of it is compared for that.
#[test]
fn what_has_no_unique_id_is_compared_whole_before_it_goes() {
    let mut world = World::new();
    world.now();
    let id = world.deliver_content(Key::Header(facts("n").digests.header), "n");
    let mut desk = Desk::new(world, &[("-", Some(SIZE))], Retention::Delete, false);
    let round = desk.first();
    assert_eq!(round.decisions, [Compare(Why::Nameless)]);
    desk.tally.compared.push(Compared { number: number(1), entry: Some(id), result: CompareResult::Matched });
    desk.tally.recognised.insert(number(1), Recognised::attest(SessionId(1), number(1), None));
    let round = desk.next(Comparison::default()).unwrap();
    assert!(round.ready.is_empty());
    assert_eq!(round.decisions, [Delete(Why::Delete)]);
}

/// A match with an entry that is open again is no delivery to go by.
#[test]
fn what_was_matched_without_a_unique_id_takes_its_entry_unless_that_is_open() {
    for open in [false, true] {
        let mut world = World::new();
        let header = Key::Header(facts("n").digests.header);
        let id = if open {
            world.ledger.fail(&header, Some(Octets(SIZE)), None).unwrap()
        } else {
            world.deliver_content(header, "n")
        };
        for (result, matches) in [(CompareResult::Matched, true), (CompareResult::Failed, false)] {
            let mut maildrop = world.maildrop(&[("-", Some(SIZE)), ("new", None)]);
            let compared = Compared { number: number(1), entry: Some(id), result };
            let tally = Tally { compared: vec![compared], ..Tally::default() };
            super::adopt(&mut maildrop, &world.ledger, &tally);
            let who = maildrop.find(number(1)).unwrap().who;
            let expected = if matches && !open { Who::Known(id) } else { Who::Nameless };
            assert_eq!(who, expected, "{open}, {result:?}");
            assert!(matches!(maildrop.find(number(2)).unwrap().who, Who::New(_)));
        }
    }
}

/// What this session delivered counts among the newest when the policy is asked.
#[test]
fn what_was_just_delivered_is_known_to_the_policy() {
    let mut desk = Desk::new(delivered(&["a"]), &sizes(&["a", "new"]), Retention::Delete, false);
    let round = desk.first();
    assert_eq!(round.decisions, [Leave(Why::Known), Retrieve(Why::New)]);
    desk.world.deliver("new");
    let round = desk.next(round.comparison).unwrap();
    assert_eq!(round.decisions, [Delete(Why::Delete); 2]);
}

/// A comparison fails: everything known is in doubt but what was recognised in this session, what was set aside is looked
/// for among all, and nothing is asked for twice besides.
#[test]
fn after_a_failed_comparison_everything_that_is_known_is_compared() {
    let mut world = delivered(&["a", "b", "c", "d"]);
    let doubtful = [world.ledger.find_key(&key("a")).unwrap(), world.ledger.find_key(&key("b")).unwrap()];
    world.ledger.doubt(Some(&doubtful)).unwrap();
    let mut desk = Desk::new(world, &sizes(&["a", "b", "c", "d", "new"]), Retention::Keep, false);
    let mut round = desk.first();
    let doubt = Compare(Why::Doubtful);
    let known = Leave(Why::Known);
    assert_eq!(round.decisions, [doubt, doubt, known, known, Leave(Why::Waits)], "what is new waits");
    desk.matched(1, "a");
    desk.mismatched(&mut round.comparison, 2, "other");
    desk.habits.matched_gaps = 2;
    let round = desk.next(round.comparison).unwrap();
    assert_eq!(round.decisions, [known, doubt, doubt, doubt, Compare(Why::Renumbered)]);
    assert!(desk.world.ledger.is_renumbering());
    assert_eq!(desk.habits.matched_gaps, 0);
    // All of that was settled: nothing of it comes again.
    let round = desk.next(round.comparison).unwrap();
    assert!(round.is_empty());
    assert!(desk.next(round.comparison).is_none());
}

/// All that was in doubt is what it was: what waited for it comes.
#[test]
fn what_waited_comes_when_all_that_is_known_has_matched() {
    let mut world = delivered(&["a", "b"]);
    world.ledger.doubt(None).unwrap();
    let mut desk = Desk::new(world, &sizes(&["a", "b", "new"]), Retention::Keep, true);
    let round = desk.first();
    assert_eq!(round.decisions, [Compare(Why::Doubtful), Compare(Why::Doubtful), Leave(Why::Waits)]);
    for (n, name) in [(1, "a"), (2, "b")] {
        desk.matched(n, name);
    }
    let round = desk.next(round.comparison).unwrap();
    assert_eq!(round.decisions, [Leave(Why::Known), Leave(Why::Known), Retrieve(Why::New)]);
    desk.world.deliver("new");
    assert!(desk.next(round.comparison).unwrap().is_empty());
}

/// What backs off in the first round isn't due in a later one of the same session, whatever the clock says by then.
#[test]
fn what_a_session_left_alone_stays_alone_in_its_later_rounds() {
    let mut world = delivered(&["a"]);
    world.fail("f", Some(60));
    world.fail("g", None);
    world.ledger.doubt(Some(&[world.ledger.find_key(&key("a")).unwrap()])).unwrap();
    let mut desk = Desk::new(world, &sizes(&["a", "f", "g"]), Retention::Keep, false);
    let round = desk.first();
    assert_eq!(round.decisions, [Compare(Why::Doubtful), Leave(Why::BackingOff), Leave(Why::Waits)]);
    desk.matched(1, "a");
    desk.policy.insist = true;
    let round = desk.next(round.comparison).unwrap();
    assert_eq!(round.decisions, [Leave(Why::Known), Leave(Why::Known), Retrieve(Why::Again)]);
}

/// Many came back together, as such sets have before: some are compared, and the rest is believed if these match.
#[test]
fn of_many_that_came_back_together_a_sample_decides_for_the_rest() {
    let names: Vec<String> = (0..70).map(|n| format!("m{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (gaps, asked, fails) in [(2, 16, false), (2, 16, true), (1, 70, false), (1, 70, true)] {
        let mut world = delivered(&names);
        world.ledger.doubt(None).unwrap();
        let mut desk = Desk::new(world, &sizes(&names), Retention::Keep, false);
        desk.habits.matched_gaps = gaps;
        let mut round = desk.first();
        let compared: Vec<u32> = (1..)
            .zip(&round.decisions)
            .filter(|(_, decision)| **decision == Compare(Why::Doubtful))
            .map(|(n, _)| n)
            .collect();
        assert_eq!(compared.len(), asked, "{gaps}");
        for n in &compared[usize::from(fails)..] {
            desk.matched(*n, names[usize::try_from(*n).unwrap() - 1]);
        }
        if fails {
            desk.mismatched(&mut round.comparison, compared[0], "other");
        }
        let round = desk.next(round.comparison);
        let doubted = names.iter().filter(|name| desk.world.ledger.entry(desk.id(name)).doubtful).count();
        let what = format!("{gaps}, {fails}");
        if fails {
            // All but those that matched: what was recognised in this session is.
            let left = round.unwrap().decisions.iter().filter(|d| **d == Compare(Why::Doubtful)).count();
            assert_eq!((left, desk.habits.matched_gaps), (70 - asked + 1, 0), "{what}");
        } else if asked == 16 {
            assert_eq!(
                (doubted, desk.habits.matched_gaps),
                (16, 2),
                "the sample is settled by its matches: {what}"
            );
        } else {
            assert_eq!(desk.habits.matched_gaps, 2, "{what}");
        }
    }
}

/// Where one of many could not be compared nothing is learnt of such sets.
#[test]
fn a_set_of_which_one_could_not_be_compared_is_no_match() {
    let names: Vec<String> = (0..70).map(|n| format!("m{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = delivered(&names);
    world.ledger.doubt(None).unwrap();
    let mut desk = Desk::new(world, &sizes(&names), Retention::Keep, false);
    desk.habits.matched_gaps = 1;
    let round = desk.first();
    desk.matched(1, "m00");
    desk.tally.compared.push(Compared { number: number(2), entry: None, result: CompareResult::Undone });
    desk.next(round.comparison);
    assert_eq!(desk.habits.matched_gaps, 0);
}

/// A server can't make a session go round for ever, and a stop ends it.
#[test]
fn rounds_come_to_an_end() {
    let mut desk = Desk::new(delivered(&["a"]), &sizes(&["a"]), Retention::Keep, false);
    desk.home.stop.raise();
    desk.first();
    assert!(desk.next(Comparison::default()).is_none());
    let names: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = delivered(&names);
    world.ledger.doubt(None).unwrap();
    let mut desk = Desk::new(world, &sizes(&names), Retention::Delete, true);
    let mut round = desk.first();
    let mut rounds = 1;
    loop {
        // One more is other mail each time, and in the retiring round as well.
        let place = round.decisions.iter().position(|decision| decision.why_compared().is_some());
        if let Some(place) = place {
            let n = u32::try_from(place).unwrap() + 1;
            let content = format!("other{rounds}");
            desk.mismatched(&mut round.comparison, n, &content);
        }
        match desk.next(round.comparison) {
            Some(next) => round = next,
            None => break,
        }
        rounds += 1;
        assert!(rounds <= MOST);
    }
}

/// What is new has to prove that it isn't one that we have.
#[test]
fn what_is_new_is_looked_for_among_what_we_have() {
    for (listed, window, expected) in [
        (&["b", "new"][..], false, true),
        (&["a", "b", "new"], false, true),
        (&["b", "new"], true, false),
        (&["b"], false, false),
    ] {
        let mut desk = Desk::new(delivered(&["a", "b"]), &sizes(listed), Retention::Keep, false);
        desk.policy.window = window;
        let mut round = desk.first();
        assert_eq!(round.comparison.seems_moved(&facts("a")), expected, "{listed:?}, {window}");
        assert!(!round.comparison.seems_moved(&facts("unknown")));
    }
    // What came since the last listing has been in none that counts.
    let mut world = delivered(&["a"]);
    world.deliver("recent");
    let mut desk = Desk::new(world, &sizes(&["a", "recent", "new"]), Retention::Keep, false);
    let mut round = desk.first();
    assert!(round.comparison.seems_moved(&facts("recent")));
}

/// What earlier sessions of the run, and this one, have delivered counts for its limits.
#[test]
fn a_later_round_keeps_to_the_limits_of_the_run() {
    for (most, taken, expected) in
        [(5, 0, Retrieve(Why::New)), (2, 0, Leave(Why::MaxMessages)), (5, 3, Leave(Why::MaxMessages))]
    {
        let mut world = delivered(&["a"]);
        world.ledger.doubt(None).unwrap();
        let mut desk = Desk::new(world, &sizes(&["a", "new"]), Retention::Keep, false);
        (desk.policy.max_messages, desk.policy.taken) = (Some(most), (taken, Octets(0)));
        let round = desk.first();
        desk.matched(1, "a");
        desk.tally.delivered = 2;
        desk.world.ledger.trust(&[desk.id("a")]).unwrap();
        let round = desk.next(round.comparison).unwrap();
        if expected == Retrieve(Why::New) {
            assert_eq!(round.decisions[1], expected, "{most}, {taken}");
        } else {
            assert!(
                round.decisions.is_empty() || round.decisions[1] != Retrieve(Why::New),
                "{most}, {taken}"
            );
        }
    }
}

/// What is to be identified was asked for in the first round, or waits for another session.
#[test]
fn what_is_only_to_be_identified_is_asked_for_once() {
    use crate::ledger::UsersWord;
    use crate::types::UniqueId;
    let mut world = delivered(&["a"]);
    let unique_id = UniqueId::new(b"word").unwrap().to_buf();
    world.ledger.import(&[(unique_id, UsersWord::Seen)]).unwrap();
    world.ledger.doubt(Some(&[world.ledger.find_key(&key("a")).unwrap()])).unwrap();
    let mut desk = Desk::new(world, &sizes(&["a", "word"]), Retention::Keep, false);
    let round = desk.first();
    assert_eq!(round.decisions, [Compare(Why::Doubtful), Decision::Identify]);
    desk.matched(1, "a");
    desk.world.ledger.trust(&[desk.id("a")]).unwrap();
    let round = desk.next(round.comparison).unwrap();
    assert!(round.is_empty());
}
