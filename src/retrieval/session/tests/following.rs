//! What the next session is for, and where it goes on.

use std::collections::HashSet;

use super::{MOST_IDLE, Next, Scene, confirmed, learn, unique_id};
use crate::account::Retention;
use crate::ledger::memory::NamingForm;
use crate::plan::Maildrop;
use crate::plan::trial::{NOW, SIZE, number};
use crate::proof::EntryId;
use crate::retrieval::course::{Follows, GivenUp, Scope};
use crate::retrieval::destinations::OpenDestinations;
use crate::retrieval::error::Error;
use crate::retrieval::pipeline::naming::Naming;
use crate::retrieval::pipeline::standing::{QuestionPace, SessionStanding};
use crate::retrieval::session::{Basis, Stores};
use crate::retrieval::trial::Home;
use crate::types::{Octets, Time};

/// What is left for the end is another session's while sessions bring something; what this run has given up waits for the next
/// run, whatever else it was.
#[test]
fn what_brings_nothing_any_more_ends_the_run() {
    type Change = fn(&mut Scene);
    let idle: Change = |scene| (scene.course.brought, scene.course.idle) = (false, MOST_IDLE);
    let came: Change = |scene| scene.tally.standing = confirmed(1);
    let left_alone: Change = |scene| scene.tally.left_alone = true;
    let deletes: Change = |scene| scene.policy.retention = Retention::Delete;
    let not_stored: Change = |scene| scene.tally.not_stored = true;
    let failed: Change = |scene| _ = scene.failed_is_listed();
    let gives_up: Change = |scene| _ = scene.course.give_up(GivenUp::UniqueId(unique_id("other")), None);
    let window: Change = |scene| scene.policy.window = true;
    let unstored: Change = |scene| scene.tally.unstored = vec![number(1)];
    let stored: Change = |scene| scene.tally.delivered = 1;
    let gives_it_up: Change = |scene| _ = scene.course.give_up(GivenUp::UniqueId(unique_id("failed")), None);
    let one_is_left: Change = |scene| scene.scope = Scope::Only { left: vec![EntryId(0)] };
    let rest = |scope| Some((scope, Follows::Rest));
    let again = Some((Scope::Everything, Follows::Window));
    // Changes, whether the end is confirmed, and what follows where QUIT drops what was retrieved.
    let cases: [(&str, &[Change], bool, Next); 14] = [
        ("left alone", &[came, left_alone], true, rest(Scope::Broken)),
        ("left alone, nothing new", &[came, left_alone, idle], true, None),
        ("not stored", &[came, deletes, not_stored], false, rest(Scope::Everything)),
        ("not stored, nothing new", &[came, deletes, not_stored, idle], false, None),
        ("all is stored", &[came, deletes], false, None),
        ("failed", &[came, failed], true, rest(Scope::Failed)),
        ("failed, and another is given up", &[came, failed, gives_up], true, None),
        ("window: not all is stored", &[window, came, stored, unstored], false, again.clone()),
        ("window: nothing is stored", &[window, came, unstored], false, None),
        ("window: nothing new", &[window, came, stored, unstored, idle], false, None),
        ("window: it ended well", &[window, came, stored, unstored], true, again.clone()),
        ("window: failed in this run", &[window, failed, gives_it_up], true, None),
        ("window: the last that failed came", &[window, came, stored, one_is_left], true, again),
        ("window: it came, and the end isn't confirmed", &[window, came, stored, one_is_left], false, None),
    ];
    for (what, changes, is_confirmed, expected) in cases {
        let mut scene = Scene::new();
        changes.iter().for_each(|change| change(&mut scene));
        assert_eq!(scene.outcome(is_confirmed, true).0, expected, "{what}");
    }
}

/// How many are asked for one by one is the session's to say; and where no answer names a message, the one that came is done,
/// unless it was only set aside.
#[test]
fn the_next_session_goes_on_behind_what_is_done() {
    let done = (number(2), Some(Octets(SIZE)));
    let works = || Naming::new(1, Some(NamingForm::Size), true, None);
    for (naming, confirmed, last, aside, expected) in [
        (None, 1, Some(2), None, true),
        (None, 0, Some(2), None, false),
        (None, 1, None, None, false),
        (None, 1, Some(2), Some(2), false),
        (None, 1, Some(2), Some(1), true),
        (None, 1, Some(9), None, false),
        (Some(works()), 1, Some(2), None, false),
    ] {
        let mut scene = Scene::new();
        let old = Time(NOW.0 - 99);
        scene.memory.names = Some((NamingForm::Nothing, old));
        scene.tally.standing = SessionStanding {
            naming: naming.unwrap_or_default(),
            pace: QuestionPace::new(7, 1),
            confirmed,
            last: last.map(number),
            aside: aside.map(number).into_iter().collect(),
            ..SessionStanding::default()
        };
        learn(&mut scene, false);
        let what = format!("{confirmed} {last:?} {aside:?}");
        assert_eq!(scene.course.done, HashSet::from_iter(expected.then_some(done)), "{what}");
        assert_eq!(scene.course.brought, expected, "{what}");
        assert_eq!(scene.course.careful, 7);
        // What is found again is as old as it was: it is tried again after a week.
        let names = scene.memory.names.unwrap();
        assert!(names == (NamingForm::Nothing, old) || names == (NamingForm::Size, NOW), "{names:?}");
    }
}

/// What decisions rested on is overwritten only by a session that did all that they asked for.
#[test]
fn what_a_session_rested_on_stays_until_all_is_done() {
    type Change = fn(&mut Scene);
    let cases: [(&str, Change, bool); 5] = [
        ("all is done", |_| {}, true),
        ("it failed", |scene| scene.tally.failure = Some(Error::Unfinished), false),
        ("it was cut short", |scene| scene.tally.cut_short = true, false),
        ("it was stopped", |scene| scene.stopped = true, false),
        ("it was for some only", |scene| scene.scope = Scope::Failed, false),
    ];
    for (what, change, expected) in cases {
        let mut scene = Scene::new();
        change(&mut scene);
        scene.memory.habits.listed = 7;
        let (home, policy) = (Home::holding(&[]), scene.policy.clone());
        let mut held = Stores { ledger: home.ledger(), destinations: OpenDestinations::none() };
        let basis = Basis { maildrop: Maildrop::default(), policy };
        scene.session(|session, _, _, _, tally| {
            assert_eq!(session.did_everything(tally), expected, "{what}");
            session.settle(&mut held, &basis, tally).unwrap();
        });
        assert_eq!(scene.memory.habits.listed == 0, expected, "{what}");
    }
}
