//! Which messages a session leaves out.

use super::{Scene, unique_id};
use crate::ledger::memory::{Limit, ListedAs};
use crate::plan::trial::{NOW, SIZE, number};
use crate::plan::{Decision, Why};
use crate::proof::EntryId;
use crate::retrieval::course::{GivenUp, Scope};
use crate::types::Octets;

/// What is left out of a session: what this run gave up, what others wait for, what is done.
#[test]
fn what_this_run_has_tried_is_left_alone() {
    type Change = fn(&mut Scene);
    let id: fn(&Scene) -> EntryId = |scene| scene.id("a");
    let (back, known) = (Decision::Leave(Why::BackingOff), Decision::Leave(Why::Known));
    let retrieve = Decision::Retrieve(Why::Again);
    // What is known of "a", "failed" and "new"; the decisions for them, and whether others wait.
    let cases: [(&str, Change, bool, [Decision; 3], bool); 18] = [
        ("nothing", |_| {}, false, [retrieve; 3], false),
        (
            "its entry",
            |scene| {
                let id = scene.id("a");
                scene.course.give_up(GivenUp::Entry(id), None);
            },
            false,
            [back, retrieve, retrieve],
            false,
        ),
        (
            "a new unique-id",
            |scene| {
                scene.course.give_up(GivenUp::UniqueId(unique_id("new")), None);
            },
            false,
            [retrieve, retrieve, back],
            false,
        ),
        (
            "a unique-id that has an entry by now",
            |scene| {
                scene.course.give_up(GivenUp::UniqueId(unique_id("a")), None);
            },
            false,
            [back, retrieve, retrieve],
            false,
        ),
        (
            "unique-ids that another node gave to mail of another size",
            |scene| {
                scene.course.give_up(GivenUp::UniqueId(unique_id("a")), Some(Octets(SIZE + 1)));
                scene.course.give_up(GivenUp::UniqueId(unique_id("new")), Some(Octets(SIZE + 1)));
            },
            false,
            [retrieve; 3],
            false,
        ),
        (
            "unique-ids that both nodes gave to what was given up",
            |scene| {
                for size in [Some(Octets(SIZE)), Some(Octets(SIZE + 1))] {
                    scene.course.give_up(GivenUp::UniqueId(unique_id("a")), size);
                    scene.course.give_up(GivenUp::UniqueId(unique_id("new")), size);
                }
            },
            false,
            [back, retrieve, back],
            false,
        ),
        (
            "a number and a size",
            |scene| {
                scene.course.give_up(GivenUp::Numbered(number(3), Some(Octets(SIZE))), None);
            },
            false,
            [retrieve, retrieve, back],
            false,
        ),
        (
            "a number with another size",
            |scene| {
                scene.course.give_up(GivenUp::Numbered(number(3), Some(Octets(1))), None);
            },
            false,
            [retrieve; 3],
            false,
        ),
        ("QUIT drops", |_| {}, true, [retrieve, back, retrieve], false),
        ("the last session", |scene| scene.scope = Scope::Failed, true, [known, retrieve, known], false),
        ("what failed alone", |scene| scene.scope = Scope::Failed, false, [known, retrieve, known], false),
        (
            "what is done",
            |scene| {
                scene.course.done.insert((number(1), Some(Octets(SIZE))));
            },
            false,
            [known, retrieve, retrieve],
            false,
        ),
        (
            "the server's own data",
            |scene| {
                scene.course.folder_data = true;
                scene.course.give_up(GivenUp::Numbered(number(1), Some(Octets(SIZE))), None);
            },
            false,
            [known, retrieve, retrieve],
            false,
        ),
        (
            "only where sessions broke off, and they did nowhere",
            |scene| scene.scope = Scope::Broken,
            false,
            [retrieve; 3],
            false,
        ),
        (
            "all, though a session broke off at one",
            |scene| {
                scene.memory.died = vec![ListedAs::UniqueId(unique_id("a"))];
                scene.course.give_up(GivenUp::UniqueId(unique_id("new")), None);
            },
            false,
            [retrieve, retrieve, back],
            false,
        ),
        (
            "the server's own data, and another",
            |scene| {
                scene.course.folder_data = true;
                scene.course.give_up(GivenUp::UniqueId(unique_id("new")), None);
            },
            false,
            [retrieve, retrieve, back],
            false,
        ),
        (
            "what failed alone, and it has failed again",
            |scene| {
                scene.scope = Scope::Failed;
                scene.course.give_up(GivenUp::UniqueId(unique_id("failed")), None);
            },
            false,
            [known, back, known],
            false,
        ),
        (
            "only where sessions broke off",
            |scene| {
                scene.scope = Scope::Broken;
                scene.memory.died = vec![ListedAs::UniqueId(unique_id("a"))];
            },
            false,
            [retrieve, back, back],
            true,
        ),
    ];
    for (what, change, drops, expected, waits) in cases {
        let mut scene = Scene::new();
        scene.world.fail("failed", None);
        scene.listed = vec![("a", Some(SIZE)), ("failed", Some(SIZE)), ("new", Some(SIZE))];
        assert_eq!(id(&scene), scene.id("a"));
        change(&mut scene);
        let mut decisions = [retrieve; 3];
        let others_wait = scene.session(|session, world, maildrop, _, _| {
            session.leave_given_up(&mut decisions, maildrop, &world.ledger, drops)
        });
        assert_eq!((decisions, others_wait), (expected, waits), "{what}");
        // What is left for a reason of its own keeps that one.
        let mut decisions = [Decision::Leave(Why::TooLarge); 3];
        let others_wait = scene.session(|session, world, maildrop, _, _| {
            session.leave_given_up(&mut decisions, maildrop, &world.ledger, drops)
        });
        assert_eq!((decisions, others_wait), ([Decision::Leave(Why::TooLarge); 3], false), "{what}");
    }
}

/// A message at which a session broke off is known again by its unique-id, or, if that isn't its own, by number and size.
#[test]
fn where_sessions_broke_off_is_tried_when_all_else_is_done() {
    let retrieve = Decision::Retrieve(Why::New);
    let (back, known) = (Decision::Leave(Why::BackingOff), Decision::Leave(Why::Known));
    let named = |name| ListedAs::UniqueId(unique_id(name));
    let numbered = |n, size| ListedAs::Numbered(number(n), Some(Octets(size)));
    type Listing<'a> = &'a [(&'static str, Option<u64>)];
    let two: Listing<'_> = &[("a", Some(SIZE)), ("new", Some(SIZE))];
    let twice: Listing<'_> = &[("x", Some(SIZE)), ("x", Some(SIZE))];
    let cases: [(Listing<'_>, Vec<ListedAs>, [bool; 2]); 8] = [
        (two, vec![], [false, false]),
        (two, vec![named("a")], [true, false]),
        (two, vec![named("new")], [false, true]),
        (two, vec![named("gone")], [false, false]),
        (two, vec![numbered(1, SIZE)], [false, false]),
        (twice, vec![numbered(2, SIZE)], [false, true]),
        (twice, vec![named("x")], [false, false]),
        (&[("-", Some(SIZE)), ("-", Some(SIZE))], vec![numbered(1, SIZE), numbered(2, 1)], [true, false]),
    ];
    for (listed, died, expected) in cases {
        let mut scene = Scene::new();
        scene.listed = listed.to_vec();
        scene.memory.died.clone_from(&died);
        let mut decisions = [retrieve; 2];
        let kept = scene.session(|session, world, maildrop, _, _| {
            session.keep_for_the_end(&mut decisions, maildrop, &world.ledger)
        });
        let what = format!("{listed:?} {died:?}");
        assert_eq!(decisions.map(|decision| decision == back), expected, "{what}");
        let expected_kept: Vec<Decision> =
            expected.iter().map(|broken| if *broken { retrieve } else { known }).collect();
        assert_eq!(kept, if expected == [false; 2] { Vec::new() } else { expected_kept }, "{what}");
        // Where a session is for these alone, none is kept for later; and what is left anyway isn't, either.
        scene.scope = Scope::Broken;
        let mut decisions = [retrieve; 2];
        let kept = scene.session(|session, world, maildrop, _, _| {
            session.keep_for_the_end(&mut decisions, maildrop, &world.ledger)
        });
        assert_eq!((kept.len(), decisions), (0, [retrieve; 2]), "{what}");
        scene.scope = Scope::Everything;
        let mut decisions = [known; 2];
        let kept = scene.session(|session, world, maildrop, _, _| {
            session.keep_for_the_end(&mut decisions, maildrop, &world.ledger)
        });
        assert_eq!((kept.len(), decisions), (0, [known; 2]), "{what}");
    }
}

/// Where sessions are short, what fails would take the place of what can be done, in each of them.
#[test]
fn in_short_sessions_what_has_failed_is_tried_when_all_else_is_done() {
    for is_short in [false, true] {
        let mut scene = Scene::new();
        scene.world.fail("f", None);
        scene.listed = vec![("f", Some(SIZE)), ("new", Some(SIZE))];
        scene.memory.limit = is_short.then_some(Limit { commands: 9, since: NOW });
        let mut decisions = [Decision::Retrieve(Why::New); 2];
        let kept = scene.session(|session, world, maildrop, _, _| {
            session.keep_for_the_end(&mut decisions, maildrop, &world.ledger)
        });
        let waits = decisions.map(|decision| decision == Decision::Leave(Why::BackingOff));
        assert_eq!((waits, kept.is_empty()), ([is_short, false], !is_short));
    }
}
