//! What a session leaves to those that follow, to the next run, and to the next poll.

mod ending;
mod following;
mod left_out;

use std::collections::HashSet;

use super::MailSession;
use super::conclusion::{MOST_IDLE, is_due};
use crate::account::Retention;
use crate::ledger::memory::{ListedAs, Memory, NamingForm, Quick};
use crate::plan::trial::{NOW, SIZE, World, key, number};
use crate::plan::{Decision, Maildrop, Policy, Why};
use crate::proof::EntryId;
use crate::report::{Condition, ConditionKind, Elsewhere, RunSummary};
use crate::retrieval::Options;
use crate::retrieval::course::{Course, Follows, GivenUp, Scope};
use crate::retrieval::error::Error;
use crate::retrieval::fetch::{CompareResult, Compared, Tally};
use crate::retrieval::pipeline::standing::SessionStanding;
use crate::retrieval::run::Run;
use crate::retrieval::trial::{Home, unique_id};
use crate::types::{Octets, Time};

/// A ledger, a listing, and what a session knows.
struct Scene {
    world: World,
    listed: Vec<(&'static str, Option<u64>)>,
    policy: Policy,
    memory: Memory,
    summary: RunSummary,
    scope: Scope,
    course: Course,
    tally: Tally,
    options: Options,
    stopped: bool,
    /// What was reported.
    reported: Vec<String>,
}

impl Scene {
    /// Two messages, both delivered, and nothing left to do.
    fn new() -> Self {
        let world = World::holding(&["a", "b"]);
        let policy = world.policy(Retention::Keep);
        Self {
            world,
            listed: vec![("a", Some(SIZE)), ("b", Some(SIZE))],
            policy,
            memory: Memory::default(),
            summary: RunSummary::default(),
            scope: Scope::Everything,
            course: Course { brought: true, ..Course::default() },
            tally: Tally::default(),
            options: Options::default(),
            stopped: false,
            reported: Vec::new(),
        }
    }

    fn id(&self, name: &str) -> EntryId {
        self.world.ledger.find_key(&key(name)).unwrap()
    }

    fn maildrop(&self) -> Maildrop {
        self.world.maildrop(&self.listed)
    }

    /// Does something with a session in this state.
    fn session<T>(
        &mut self,
        work: impl FnOnce(&mut MailSession<'_, '_>, &mut World, &Maildrop, &Policy, &Tally) -> T,
    ) -> T {
        self.session_at(&Home::holding(&[]), work)
    }

    /// The same at this server.
    fn session_at<T>(
        &mut self,
        home: &Home,
        work: impl FnOnce(&mut MailSession<'_, '_>, &mut World, &Maildrop, &Policy, &Tally) -> T,
    ) -> T {
        if self.stopped {
            home.stop.raise();
        }
        let (account, context) = (home.account(""), home.context());
        let run = Run::new(&account, &self.options, &context, NOW);
        let maildrop = self.maildrop();
        let mut taken = (0, Octets(0));
        let mut session = MailSession {
            run: &run,
            summary: &mut self.summary,
            memory: &mut self.memory,
            scope: &self.scope,
            taken: &mut taken,
            course: &mut self.course,
        };
        let result = work(&mut session, &mut self.world, &maildrop, &self.policy, &self.tally);
        self.reported.extend(home.reported());
        result
    }

    /// Which session follows, and whether something is left.
    fn outcome(&mut self, confirmed: bool, drops: bool) -> (Next, bool) {
        let outcome = self.session(|session, world, maildrop, policy, tally| {
            session.outcome((confirmed, drops), policy, maildrop, &world.ledger, tally)
        });
        (outcome.next, outcome.left)
    }

    /// A message is listed that has failed, and is due.
    fn failed_is_listed(&mut self) -> EntryId {
        self.listed.push(("failed", Some(SIZE)));
        self.world.fail("failed", Some(-1))
    }
}

/// The session that follows, and why.
type Next = Option<(Scope, Follows)>;

fn confirmed(messages: u32) -> SessionStanding {
    SessionStanding { confirmed: messages, ..SessionStanding::default() }
}

#[test]
fn a_session_that_could_do_all_is_the_last() {
    let mut scene = Scene::new();
    scene.tally.delivered = 3;
    assert_eq!(scene.outcome(true, false), (None, false));
    assert_eq!(scene.outcome(false, false), (None, false));
    assert_eq!(scene.outcome(true, true), (None, false));
}

/// What a session could not do is another's, while sessions bring something and end well.
#[test]
fn what_a_session_left_another_does() {
    type Change = fn(&mut Scene);
    let rest = |scope| Some((scope, Follows::Rest));
    let cases: [(&str, Change, bool, Next); 10] = [
        ("cut short", |_| {}, true, rest(Scope::Everything)),
        ("not confirmed", |_| {}, false, None),
        ("nothing came through", |scene| scene.tally.standing = confirmed(0), true, None),
        (
            "nothing came through but a deletion",
            |scene| {
                scene.tally.standing = confirmed(0);
                scene.tally.accepted = vec![scene.id("a")];
            },
            true,
            rest(Scope::Everything),
        ),
        ("of what broke off", |scene| scene.scope = Scope::Broken, true, rest(Scope::Everything)),
        ("of what failed", |scene| scene.scope = Scope::Failed, true, rest(Scope::Failed)),
        (
            "what broke off is left",
            |scene| (scene.tally.cut_short, scene.tally.left_alone) = (false, true),
            true,
            rest(Scope::Broken),
        ),
        (
            "what broke off is left, and the end is not confirmed",
            |scene| (scene.tally.cut_short, scene.tally.left_alone) = (false, true),
            false,
            None,
        ),
        (
            "nothing new for the second time",
            |scene| (scene.course.brought, scene.course.idle) = (false, 1),
            true,
            None,
        ),
        (
            "nothing new for the first time",
            |scene| scene.course.brought = false,
            true,
            rest(Scope::Everything),
        ),
    ];
    for (what, change, is_confirmed, expected) in cases {
        let mut scene = Scene::new();
        scene.tally.cut_short = true;
        scene.tally.standing = confirmed(1);
        change(&mut scene);
        assert_eq!(scene.outcome(is_confirmed, false), (expected, true), "{what}");
    }
}

/// The same deletion again brings nothing.
#[test]
fn sessions_that_bring_the_same_again_come_to_an_end() {
    let mut scene = Scene::new();
    scene.course.brought = false;
    scene.tally.cut_short = true;
    scene.tally.accepted = vec![scene.id("a")];
    let followed: Vec<bool> = (0..4).map(|_| scene.outcome(true, false).0.is_some()).collect();
    assert_eq!(followed, [true, true, false, false]);
    assert_eq!(MOST_IDLE, 2);
    // One that isn't confirmed is no deletion.
    let mut scene = Scene::new();
    scene.course.brought = false;
    scene.tally.accepted = vec![scene.id("a")];
    scene.outcome(false, false);
    assert_eq!((scene.course.idle, scene.course.deleted.len()), (1, 0));
    scene.course.brought = true;
    scene.outcome(false, false);
    assert_eq!(scene.course.idle, 0);
}

/// Where QUIT deletes what was retrieved, what failed gets the last session, and what wasn't stored is left alone first.
#[test]
fn what_failed_comes_last_where_quit_deletes_what_was_retrieved() {
    type Change = fn(&mut Scene);
    let not_stored: Change = |scene| {
        scene.tally.not_stored = true;
        scene.tally.standing = confirmed(1);
        scene.policy.retention = Retention::Delete;
    };
    let failed: Change = |scene| {
        scene.failed_is_listed();
    };
    let everything = Some((Scope::Everything, Follows::Rest));
    // What changes, whether the end is confirmed, and whether QUIT drops what was retrieved.
    type Case<'a> = (&'a str, &'a [Change], (bool, bool), Next);
    let cases: [Case<'_>; 10] = [
        ("not all is stored", &[not_stored], (false, true), everything.clone()),
        ("it drops nothing", &[not_stored], (false, false), None),
        ("it ended well", &[not_stored], (true, true), None),
        ("all stays", &[not_stored, |scene| scene.policy.retention = Retention::Keep], (false, true), None),
        ("the last session", &[not_stored, |scene| scene.scope = Scope::Failed], (false, true), None),
        ("one has failed", &[failed], (true, true), Some((Scope::Failed, Follows::Rest))),
        ("one has failed, and nothing drops", &[failed], (true, false), None),
        ("one has failed, and the end isn't confirmed", &[failed], (false, true), None),
        ("this was the session for it", &[failed, |scene| scene.scope = Scope::Failed], (true, true), None),
        (
            "this run has tried it",
            &[failed, |scene| {
                scene.course.give_up(GivenUp::UniqueId(unique_id("failed")), None);
            }],
            (true, true),
            None,
        ),
    ];
    for (what, changes, (is_confirmed, drops), expected) in cases {
        let mut scene = Scene::new();
        changes.iter().for_each(|change| change(&mut scene));
        assert_eq!(scene.outcome(is_confirmed, drops).0, expected, "{what}");
    }
    let mut scene = Scene::new();
    scene.listed.push(("later", Some(SIZE)));
    scene.world.fail("later", Some(60));
    assert_eq!(scene.outcome(true, true).0, None, "it isn't due");
}

/// A window is asked again while sessions store something and end well; then come those that failed, one in each.
#[test]
fn a_window_is_asked_again_for_as_long_as_it_moves() {
    type Change = fn(&mut Scene);
    let window = |scope| Some((scope, Follows::Window));
    let stored: Change = |scene| {
        scene.tally.delivered = 1;
        scene.tally.standing = confirmed(1);
    };
    let failed: Change = |scene| {
        scene.failed_is_listed();
    };
    type Case<'a> = (&'a str, &'a [Change], bool, Next);
    let cases: [Case<'_>; 12] = [
        ("something came", &[stored], true, window(Scope::Everything)),
        (
            "something came, and nothing of it is new",
            &[stored, |scene| scene.course.brought = false, |scene| scene.course.idle = 1],
            true,
            None,
        ),
        ("it did not end well", &[stored], false, None),
        (
            "it did not end well since not all is stored",
            &[stored, |scene| scene.tally.unstored = vec![number(1)]],
            false,
            window(Scope::Everything),
        ),
        ("nothing came", &[], true, None),
        (
            "only what is known",
            &[|scene| {
                let compared = Compared { number: number(1), entry: None, result: CompareResult::Matched };
                scene.tally.compared = vec![compared];
                scene.tally.standing = confirmed(1);
            }],
            true,
            window(Scope::Everything),
        ),
        (
            "what was compared in vain",
            &[|scene| {
                let compared = Compared { number: number(1), entry: None, result: CompareResult::Undone };
                scene.tally.compared = vec![compared];
                scene.tally.standing = confirmed(1);
            }],
            true,
            None,
        ),
        ("one has failed now", &[failed, |scene| scene.tally.failed = 1], true, None),
        (
            "after the last of those that failed",
            &[|scene| scene.scope = Scope::Only { left: vec![EntryId(0)] }],
            true,
            None,
        ),
        (
            "after the last of those that failed, which came",
            &[stored, |scene| scene.scope = Scope::Only { left: vec![EntryId(0)] }],
            true,
            window(Scope::Everything),
        ),
        (
            "after one of those that failed",
            &[|scene| scene.scope = Scope::Only { left: vec![EntryId(0), EntryId(1)] }],
            false,
            window(Scope::Only { left: vec![EntryId(0)] }),
        ),
        ("after what broke off", &[stored, |scene| scene.scope = Scope::Broken], true, None),
    ];
    for (what, changes, is_confirmed, expected) in cases {
        let mut scene = Scene::new();
        scene.policy.window = true;
        changes.iter().for_each(|change| change(&mut scene));
        assert_eq!(scene.outcome(is_confirmed, true).0, expected, "{what}");
    }
    let mut scene = Scene::new();
    scene.policy.window = true;
    let id = scene.failed_is_listed();
    assert_eq!(scene.outcome(true, true).0, window(Scope::Only { left: vec![id] }));
}

#[test]
fn what_failed_is_due_when_its_time_has_come() {
    let mut world = World::new();
    world.now();
    for (retry_in, expected) in [(None, true), (Some(-1), true), (Some(0), true), (Some(1), false)] {
        let id = world.fail("x", retry_in);
        assert_eq!(is_due(&world.ledger.entry(id), &world.policy(Retention::Keep)), expected, "{retry_in:?}");
    }
    let id = world.deliver("well");
    assert!(!is_due(&world.ledger.entry(id), &world.policy(Retention::Keep)));
}

/// Only a session that did everything, and shows nothing wrong, spares the next poll its listing.
#[test]
fn the_next_poll_lists_unless_this_session_did_everything() {
    type Change = fn(&mut Scene, &mut bool);
    let condition = |messages| Condition {
        kind: ConditionKind::DeletionRefused,
        exit: crate::exit::ExitCode::Later,
        messages,
        message: String::new(),
        hint: None,
        reason: None,
        next: None,
        news: false,
        said: false,
    };
    let cases: [(&str, Change); 9] = [
        ("its end isn't confirmed", |_, confirmed| *confirmed = false),
        ("it ended early", |scene, _| scene.tally.failure = Some(Error::Unfinished)),
        ("another destination has the mail", |scene, _| {
            scene.summary.delivered_elsewhere = Some(Elsewhere { messages: 1, to: "x".to_owned() });
        }),
        ("it was for some only", |scene, _| scene.scope = Scope::Failed),
        ("it was cut short", |scene, _| scene.tally.cut_short = true),
        ("it left some alone", |scene, _| scene.tally.left_alone = true),
        ("it was stopped", |scene, _| scene.stopped = true),
        ("only what failed was asked for", |scene, _| scene.options.retry = true),
        ("everything was asked for again", |scene, _| scene.options.all = true),
    ];
    let idle = |scene: &mut Scene, is_confirmed| {
        scene.memory.quick = Some(Quick {
            messages: 9,
            octets: Octets(9),
            first: None,
            last: None,
            listed: Time(0),
            grows_at_end: true,
            idle_under: Some("before".to_owned()),
            due: None,
        });
        scene.session(|session, world, maildrop, policy, tally| {
            let counted = Some((2, Octets(2 * SIZE)));
            session.remember(is_confirmed, maildrop, &world.ledger, policy, counted, tally).unwrap();
        });
        let quick = scene.memory.quick.as_ref().unwrap();
        assert!(quick.grows_at_end);
        quick.idle_under.is_some().then_some(quick.messages)
    };
    assert_eq!(idle(&mut Scene::new(), true), Some(2));
    for (what, change) in cases {
        let (mut scene, mut is_confirmed) = (Scene::new(), true);
        change(&mut scene, &mut is_confirmed);
        assert_eq!(idle(&mut scene, is_confirmed), None, "{what}");
    }
    // What waits shows in a quick poll, which carries it; what is wrong with the server doesn't.
    for (messages, expected) in [(1, Some(2)), (0, None)] {
        let mut scene = Scene::new();
        scene.summary.put(condition(messages));
        assert_eq!(idle(&mut scene, true), expected, "{messages}");
    }
}

fn learn(scene: &mut Scene, deletes: bool) {
    scene.session(|session, world, maildrop, _, tally| {
        session.learn(tally, maildrop, &world.ledger, deletes).unwrap();
    });
}

/// What the next session must know of this one.
#[test]
fn a_session_leaves_what_it_has_learnt_to_the_next() {
    let mut scene = Scene::new();
    learn(&mut scene, true);
    assert!(!scene.course.came && !scene.course.brought && scene.course.given_up.is_empty());
    assert!(!scene.course.ended.unconfirmed && !scene.course.ended.blamed);
    let names = Some((NamingForm::Nothing, NOW));
    assert_eq!(scene.memory, Memory { names, ..Memory::default() }, "no question was tried");

    let mut scene = Scene::new();
    scene.listed.push(("new", Some(7)));
    scene.memory.died = vec![ListedAs::UniqueId(unique_id("b"))];
    scene.tally = Tally {
        delivered: 1,
        unstored: vec![number(3), number(9)],
        blamed: Some(number(1)),
        void: 2,
        cut_again: true,
        folder_data: true,
        died: vec![ListedAs::UniqueId(unique_id("a"))],
        survived: vec![ListedAs::UniqueId(unique_id("b"))],
        standing: SessionStanding { asked: 5, confirmed: 4, answered: 6, ..SessionStanding::default() },
        ..Tally::default()
    };
    learn(&mut scene, true);
    let course = &scene.course;
    let given_up = [
        GivenUp::UniqueId(unique_id("new")),
        GivenUp::Entry(scene.id("a")),
        GivenUp::UniqueId(unique_id("a")),
    ];
    assert_eq!(course.given_up.keys().cloned().collect::<HashSet<_>>(), HashSet::from(given_up));
    assert!(course.came && course.brought && course.folder_data);
    let ended = course.ended;
    assert_eq!((ended.asked, ended.void, ended.confirmed, ended.answered), (5, 2, 4, 6));
    assert!(ended.blamed && ended.cut_again && ended.unconfirmed && !ended.quit_lost);
    assert_eq!(scene.memory.died, [ListedAs::UniqueId(unique_id("a"))]);
}

/// Deletions hang on the end of a session that delivered, or was to delete; under a policy that keeps everything none do.
#[test]
fn a_session_without_deletions_has_none_to_lose() {
    type Change = fn(&mut Scene);
    let cases: [(Change, bool); 4] = [
        (|_| {}, false),
        (|scene| scene.tally.delivered = 1, true),
        (|scene| scene.tally.accepted = vec![EntryId(0)], true),
        (
            |scene| {
                let id = scene.id("a");
                scene.tally.waiting.extend(scene.world.ledger.prove_delivered(id, number(1)));
            },
            true,
        ),
    ];
    for (change, expected) in cases {
        for deletes in [true, false] {
            let mut scene = Scene::new();
            change(&mut scene);
            learn(&mut scene, deletes);
            assert_eq!(scene.course.ended.unconfirmed, expected && deletes);
        }
    }
}

/// A match counts once in a run; what survived a place where sessions broke off counts as well.
#[test]
fn what_a_session_brings_is_what_no_session_brought_before() {
    let mut scene = Scene::new();
    let compared = |id| Compared { number: number(1), entry: Some(id), result: CompareResult::Matched };
    scene.tally.compared = vec![compared(scene.id("a"))];
    for expected in [true, false] {
        learn(&mut scene, false);
        assert_eq!(scene.course.brought, expected);
    }
    scene.tally.compared = vec![Compared { result: CompareResult::Failed, ..compared(scene.id("b")) }];
    learn(&mut scene, false);
    assert!(!scene.course.brought, "it did not match");
    scene.tally.survived = vec![ListedAs::Numbered(number(1), None)];
    learn(&mut scene, false);
    assert!(scene.course.brought);
}

/// Reported once for each message that has a unique-id, with a line in the ledger that keeps it from being reported again.
#[test]
fn what_is_too_large_is_reported_once() {
    let mut scene = Scene::new();
    scene.listed = vec![("a", Some(SIZE)), ("new", Some(9)), ("-", Some(9))];
    let left = Decision::Leave(Why::TooLarge);
    let report = |scene: &mut Scene, decisions: &[Decision]| {
        scene.session(|session, world, maildrop, _, _| {
            session.report_too_large(maildrop, &mut world.ledger, decisions).unwrap();
        });
    };
    report(&mut scene, &[Decision::Leave(Why::Known), Decision::Retrieve(Why::New), left]);
    assert!(scene.world.ledger.find_key(&key("new")).is_none());
    report(&mut scene, &[left; 3]);
    let entries = [scene.id("a"), scene.id("new")].map(|id| scene.world.ledger.entry(id));
    assert!(entries.iter().all(|entry| entry.reported_too_large));
    assert_eq!(entries[1].failures, 0);
    let lines = ["message 1 is too large", "message 2 is too large"].map(str::to_owned);
    assert_eq!(
        scene.reported, lines,
        "what has no unique-id can't be remembered, and would be reported each time"
    );
    // By the next session it has an entry; nothing is written, and what was written is in the file.
    let written = scene.world.written();
    report(&mut scene, &[left; 3]);
    assert_eq!((scene.world.written(), scene.reported.len()), (written, 2));
}
