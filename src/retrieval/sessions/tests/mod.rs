//! Whole runs, against a server on loopback: nothing is lost, nothing comes twice, and every exit code is true.

mod asking;
mod following;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::report::{ConditionKind, RunSummary};
use crate::retrieval::Options;
use crate::retrieval::trial::{Farewell, Home, Letter, Post};

/// Mail that names itself, under these unique-ids.
fn letters(names: &[&str]) -> Vec<Letter> {
    names.iter().map(|name| Letter::new(name, name)).collect()
}

/// Each of these once.
fn once(contents: &[&str]) -> BTreeMap<String, usize> {
    contents.iter().map(|content| ((*content).to_owned(), 1)).collect()
}

/// Exit code, delivered, deleted, failed.
fn came_to(summary: &RunSummary) -> (u8, u64, u64, u64) {
    (summary.exit().number(), summary.delivered, summary.deleted, summary.failed)
}

const KEEP: &str = "leave-on-server = true";
const DELETE: &str = "leave-on-server = false";
/// Every poll takes a listing.
const LISTS: &str = "listing = \"full\"";

const EVERYTHING: [&str; 3] = ["UIDL", "TOP", "PIPELINING"];

/// What servers can do, and not.
const SERVERS: [&[&str]; 5] =
    [&EVERYTHING, &["UIDL", "TOP"], &["UIDL", "PIPELINING"], &["UIDL"], &["TOP", "PIPELINING"]];

#[test]
fn each_message_comes_once_whatever_the_server_can_do() {
    for capabilities in SERVERS {
        for policy in [KEEP, DELETE] {
            let what = format!("{capabilities:?}, {policy}");
            let post = Post {
                letters: letters(&["a", "b", "c"]),
                capabilities: capabilities.to_vec(),
                ..Post::default()
            };
            let home = Home::new(post);
            let deleted = if policy == DELETE { 3 } else { 0 };
            assert_eq!(came_to(&home.run(policy)), (0, 3, deleted, 0), "{what}: {:?}", home.reported());
            assert_eq!(home.delivered(), once(&["a", "b", "c"]), "{what}");
            assert_eq!(came_to(&home.run(policy)), (0, 0, 0, 0), "{what}: {:?}", home.reported());
            home.post().letters.push(Letter::new("d", "d"));
            assert_eq!(
                came_to(&home.run(policy)),
                (0, 1, deleted.min(1), 0),
                "{what}: {:?}",
                home.reported()
            );
            assert_eq!(home.delivered(), once(&["a", "b", "c", "d"]), "{what}");
            assert_eq!(home.left().is_empty(), policy == DELETE, "{what}");
            assert_eq!(home.lost(), [""; 0], "{what}");
        }
    }
}

/// What was left is deleted when the policy changes, recognised by its header first.
#[test]
fn what_was_left_is_deleted_once_it_has_been_recognised() {
    for capabilities in &SERVERS[..4] {
        let post =
            Post { letters: letters(&["a", "b"]), capabilities: capabilities.to_vec(), ..Post::default() };
        let home = Home::new(post);
        home.run(KEEP);
        let summary = home.run(DELETE);
        assert_eq!(came_to(&summary), (0, 0, 2, 0), "{capabilities:?}: {:?}", home.reported());
        let verb = if capabilities.contains(&"TOP") { "TOP" } else { "RETR" };
        let sent = home.sent().concat();
        for number in 1..=2 {
            let asked = sent.iter().position(|command| command.starts_with(&format!("{verb} {number}")));
            let deleted = sent.iter().position(|command| *command == format!("DELE {number}"));
            assert!(asked.unwrap() < deleted.unwrap(), "{capabilities:?}: {sent:?}");
        }
        assert_eq!(home.delivered(), once(&["a", "b"]));
    }
}

/// Under the same unique-id other mail has come: it is delivered, and only then deleted.
#[test]
fn other_mail_under_a_known_unique_id_is_delivered_before_it_goes() {
    for capabilities in &SERVERS[..4] {
        for make in [Letter::new, Letter::report] {
            for policy in [KEEP, DELETE] {
                let post = Post {
                    letters: ["a", "b", "c"].map(|name| make(name, name)).to_vec(),
                    capabilities: capabilities.to_vec(),
                    ..Post::default()
                };
                let home = Home::new(post);
                home.run(KEEP);
                home.post().letters = vec![make("a", "a"), make("b", "x"), make("c", "y")];
                for _ in 0..3 {
                    home.run(&format!("{policy}\n{LISTS}"));
                }
                let what = format!("{capabilities:?}, {policy}: {:?}", home.reported());
                assert_eq!(home.lost(), [""; 0], "{what}");
                if policy == DELETE {
                    assert_eq!(home.delivered(), once(&["a", "b", "c", "x", "y"]), "{what}");
                    assert_eq!(home.left(), [""; 0], "{what}");
                }
            }
        }
    }
}

/// The same mail under other unique-ids: nothing comes twice, and what is new among it comes.
#[test]
fn mail_that_is_numbered_otherwise_does_not_come_twice() {
    let before = ["1", "2", "3", "4"];
    let contents = ["a", "b", "c", "d"];
    let all: [(&str, [&str; 4]); 5] = [
        ("all others", ["p", "q", "r", "s"]),
        ("moved by one", ["2", "3", "4", "5"]),
        ("swapped", ["1", "3", "2", "4"]),
        ("one in common", ["p", "q", "r", "1"]),
        ("reversed", ["4", "3", "2", "1"]),
    ];
    for capabilities in &SERVERS[..4] {
        for (what, after) in all {
            for policy in [KEEP, DELETE] {
                let name = |ids: &[&str; 4]| -> Vec<Letter> {
                    ids.iter().zip(contents).map(|(id, content)| Letter::new(id, content)).collect()
                };
                let post =
                    Post { letters: name(&before), capabilities: capabilities.to_vec(), ..Post::default() };
                let home = Home::new(post);
                home.run(KEEP);
                home.post().letters = name(&after);
                home.post().letters.push(Letter::new("new", "e"));
                let settings = format!("{policy}\n{LISTS}");
                let summary = home.run(&settings);
                let what = format!("{what}, {capabilities:?}, {policy}: {:?} {summary:?}", home.reported());
                assert_eq!(home.lost(), [""; 0], "{what}");
                home.run(&settings);
                home.run(&settings);
                assert_eq!(home.delivered(), once(&["a", "b", "c", "d", "e"]), "{what}");
                assert_eq!(home.left().is_empty(), policy == DELETE, "{what}: {:?}", home.reported());
            }
        }
    }
}

/// Another client moves a message out of the mailbox and back, where it gets another unique-id; and there are two of it.
#[test]
fn the_second_of_two_equal_messages_comes_back_under_another_unique_id() {
    let letters = |names: &[(&str, &str)]| -> Vec<Letter> {
        names.iter().map(|(name, content)| Letter::new(name, content)).collect()
    };
    for capabilities in &SERVERS[..4] {
        let all = [("a", "m"), ("b", "x"), ("c", "m")];
        let post = Post { letters: letters(&all), capabilities: capabilities.to_vec(), ..Post::default() };
        let home = Home::new(post);
        let settings = format!("{KEEP}\n{LISTS}");
        home.run(&settings);
        home.post().letters = letters(&all[..2]);
        home.run(&settings);
        for name in ["d", "e"] {
            home.post().letters = letters(&[all[0], all[1], (name, "m")]);
            home.run(&settings);
            let expected = BTreeMap::from([("m".to_owned(), 2), ("x".to_owned(), 1)]);
            assert_eq!(home.delivered(), expected, "{capabilities:?}, {name}: {:?}", home.reported());
            home.post().letters = letters(&all[..2]);
            home.run(&settings);
        }
        // A third one is new.
        home.post().letters = letters(&[all[0], all[1], ("f", "m"), ("g", "m")]);
        home.run(&settings);
        assert_eq!(home.delivered()["m"], 3, "{capabilities:?}: {:?}", home.reported());
    }
}

/// Wherever the connection ends, and however often: the next runs finish it.
#[test]
fn a_session_that_is_cut_anywhere_loses_and_doubles_nothing() {
    for capabilities in &SERVERS[..4] {
        for (policy, again, step) in [(DELETE, 1, 1), (KEEP, 1, 3), (DELETE, 3, 4)] {
            for cut_at in (1..16).step_by(step) {
                let post = Post {
                    letters: letters(&["a", "b", "c", "d"]),
                    capabilities: capabilities.to_vec(),
                    cut_at: Some(cut_at),
                    ..Post::default()
                };
                let home = Home::new(post);
                let what = format!("{capabilities:?}, {policy}, at {cut_at}");
                for _ in 0..again {
                    let summary = home.run(policy);
                    assert_eq!(home.lost(), [""; 0], "{what}");
                    // A lost answer to QUIT may be the line's fault; and else a run that ended well did everything.
                    let is_done = home.delivered() == once(&["a", "b", "c", "d"]);
                    assert!(summary.exit().number() != 0 || is_done, "{what}: {summary:?}");
                }
                home.post().cut_at = None;
                home.run(policy);
                let summary = home.run(policy);
                assert_eq!(came_to(&summary), (0, 0, 0, 0), "{what}: {:?} {summary:?}", home.reported());
                assert_eq!(home.delivered(), once(&["a", "b", "c", "d"]), "{what}: {:?}", home.reported());
                assert_eq!(home.left().is_empty(), policy == DELETE, "{what}");
            }
        }
    }
}

/// A server that ends each session early deletes nothing, until sessions are short enough for it.
#[test]
fn sessions_that_are_always_cut_become_shorter_until_their_deletions_count() {
    for most in [10, 12, 20] {
        let names: Vec<String> = (0..12).map(|n| format!("m{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let post = Post { letters: letters(&names), cut_at: Some(most), ..Post::default() };
        let home = Home::new(post);
        for run in 0.. {
            let summary = home.run(DELETE);
            assert_eq!(home.lost(), [""; 0]);
            if home.left().is_empty() {
                break;
            }
            assert!(run < 12, "after {most} commands: {summary:?} {:?}", home.reported());
        }
        assert_eq!(home.delivered(), once(&names), "{most}");
    }
}

/// What QUIT came to decides what was deleted; the next run finishes what wasn't, and delivers nothing again.
#[test]
fn only_a_confirmed_farewell_counts_as_deleted() {
    use ConditionKind::{NotDeleted, QuitRefused};
    // What becomes of QUIT; how many count as deleted; what is wrong then, and at the next run.
    for (farewell, counted, now, next) in [
        (Farewell::Kept, 2, None, None),
        // No answer may be the line's fault.
        (Farewell::Lost, 0, None, None),
        (Farewell::Cut, 0, None, None),
        (Farewell::Refused, 0, Some(QuitRefused), None),
        // It was believed; that it isn't so shows at the next listing.
        (Farewell::Forgotten, 2, None, Some(NotDeleted)),
    ] {
        for capabilities in &SERVERS[..2] {
            let post = Post {
                letters: letters(&["a", "b"]),
                capabilities: capabilities.to_vec(),
                farewell,
                ..Post::default()
            };
            let home = Home::new(post);
            let wrong = |summary: &RunSummary| summary.conditions.first().map(|condition| condition.kind);
            let summary = home.run(DELETE);
            let what = format!("{farewell:?} {capabilities:?} {:?} {summary:?}", home.reported());
            assert_eq!((summary.deleted, wrong(&summary)), (counted, now), "{what}");
            assert_eq!(home.delivered(), once(&["a", "b"]), "{what}");
            home.post().farewell = Farewell::Kept;
            let summary = home.run(DELETE);
            let what = format!("{farewell:?} {capabilities:?} {:?} {summary:?}", home.reported());
            assert_eq!((wrong(&summary), home.left().len()), (next, 0), "{what}");
            assert_eq!(came_to(&home.run(DELETE)), (0, 0, 0, 0), "{what}: {:?}", home.reported());
            assert_eq!(home.delivered(), once(&["a", "b"]), "{what}");
        }
    }
}

/// A server that confirms every deletion and carries none out: what has a unique-id doesn't come again.
#[test]
fn a_server_that_never_deletes_does_not_fill_the_mailbox() {
    for capabilities in &SERVERS[..4] {
        let post = Post {
            letters: letters(&["a", "b"]),
            capabilities: capabilities.to_vec(),
            farewell: Farewell::Forgotten,
            ..Post::default()
        };
        let home = Home::new(post);
        for _ in 0..4 {
            home.run(DELETE);
            assert_eq!(home.delivered(), once(&["a", "b"]), "{capabilities:?}: {:?}", home.reported());
        }
    }
}

/// A refusal is one message's own, everybody's, or something that passes.
#[test]
fn what_is_refused_is_reported_and_comes_later() {
    let many: Vec<String> = (10..40).map(|n| format!("m{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    // What is refused, with which answer; exit code, delivered, failed.
    let cases = [
        ("RETR 3", "-ERR damaged", (75, 28, 2)),
        ("RETR 14", "-ERR damaged", (75, 29, 1)),
        ("RETR", "-ERR Download quota exceeded", (75, 0, 0)),
        ("RETR", "-ERR [SYS/TEMP] later", (75, 0, 0)),
        ("RETR", "-ERR no", (75, 0, 0)),
        ("DELE 2", "-ERR no", (75, 30, 0)),
    ];
    for capabilities in &SERVERS[..2] {
        for (start, answer, expected) in cases {
            let post = Post {
                letters: letters(&many),
                capabilities: capabilities.to_vec(),
                refused: vec![(start.to_owned(), answer.to_owned())],
                ..Post::default()
            };
            let home = Home::new(post);
            let summary = home.run(DELETE);
            let what = format!("{start} {answer} {capabilities:?} {:?} {summary:?}", home.reported());
            let (exit, delivered, _, failed) = came_to(&summary);
            assert_eq!((exit, delivered, failed), expected, "{what}");
            assert_eq!(home.lost(), [""; 0], "{what}");
            home.post().refused.clear();
            let summary = home.run_as(DELETE, Options { insist: true, ..Options::default() });
            let what = format!("{what}, then {:?} {summary:?}", home.reported());
            assert_eq!(home.delivered(), once(&many), "{what}");
            assert_eq!(home.left(), [""; 0], "{what}");
            assert_eq!(summary.exit().number(), 0, "{what}");
        }
    }
}

/// What a run's limits leave comes with the next ones, in the order of the listing.
#[test]
fn limits_of_a_run_leave_the_rest_to_the_next() {
    for policy in [KEEP, DELETE] {
        let home = Home::holding(&letters(&["a", "b", "c", "d", "e"]));
        let settings = format!("{policy}\nmax-messages = 2");
        for (delivered, postponed) in [(2, 3), (2, 1), (1, 0)] {
            let summary = home.run(&settings);
            let what = format!("{policy}: {summary:?} {:?}", home.reported());
            assert_eq!((summary.delivered, summary.postponed.messages), (delivered, postponed), "{what}");
            assert_eq!(summary.exit().number(), 0, "{what}");
        }
        assert_eq!(home.delivered(), once(&["a", "b", "c", "d", "e"]));
    }
    let home = Home::holding(&letters(&["a", "b", "c"]));
    let size = home.post().letters[0].text.len();
    let limit = format!("max-message-size = {}", size - 1);
    assert_eq!(came_to(&home.run(&limit)), (0, 0, 0, 0), "{:?}", home.reported());
    assert_eq!(came_to(&home.run(&format!("max-bytes = {size}"))), (0, 1, 0, 0), "{:?}", home.reported());
    let summary = home.run("max-message-size = 5000000");
    assert_eq!(
        (summary.delivered, summary.listed, summary.octets > 0),
        (2, 3, true),
        "{:?}",
        home.reported()
    );
    assert_eq!(home.delivered(), once(&["a", "b", "c"]));
}

/// A server that deletes what was retrieved at QUIT sees none before all of it is stored.
#[test]
fn a_server_that_drops_what_was_retrieved_drops_nothing_that_is_not_stored() {
    for (refused, policy) in [(None, DELETE), (None, KEEP), (Some("RETR 2"), DELETE), (Some("RETR 2"), KEEP)]
    {
        let post = Post {
            letters: letters(&["a", "b", "c"]),
            capabilities: vec!["UIDL", "TOP", "PIPELINING", "EXPIRE 0"],
            drops: true,
            refused: refused.iter().map(|start| ((*start).to_owned(), "-ERR damaged".to_owned())).collect(),
            ..Post::default()
        };
        let home = Home::new(post);
        for _ in 0..3 {
            home.run(policy);
            assert_eq!(home.lost(), [""; 0], "{refused:?} {policy}: {:?}", home.reported());
        }
        home.post().refused.clear();
        home.run_as(policy, Options { insist: true, ..Options::default() });
        home.run(policy);
        assert_eq!(home.delivered(), once(&["a", "b", "c"]), "{refused:?} {policy}: {:?}", home.reported());
        assert_eq!(home.lost(), [""; 0]);
        if policy == DELETE {
            assert_eq!(home.left(), [""; 0], "{:?}", home.reported());
        }
    }
}

/// A server that lists a few at a time, and moves on past what was retrieved: all of it comes in one run, and none is
/// passed over that isn't stored.
#[test]
fn a_window_is_moved_on_in_one_run_past_nothing_but_what_is_stored() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    for policy in [KEEP, DELETE] {
        for refused in [None, Some("RETR 2")] {
            let post = Post {
                letters: letters(&names),
                capabilities: vec!["UIDL", "TOP", "PIPELINING", "EXPIRE 0", "X-GOOGLE-RICO"],
                window: Some(3),
                refused: refused
                    .iter()
                    .map(|start| ((*start).to_owned(), "-ERR damaged".to_owned()))
                    .collect(),
                ..Post::default()
            };
            let home = Home::new(post);
            let summary = home.run(policy);
            let what = format!("{policy}, {refused:?}: {summary:?} {:?}", home.reported());
            assert!(home.delivered().values().all(|times| *times == 1), "{what}");
            if refused.is_none() {
                assert_eq!((home.delivered(), summary.exit().number()), (once(&names), 0), "{what}");
                assert!(home.sent().len() > 2, "{what}");
            } else {
                // What failed is listed still, and comes when it's no longer refused.
                let stays: Vec<String> =
                    home.left().into_iter().filter(|name| !home.delivered().contains_key(name)).collect();
                assert!(!stays.is_empty() && summary.exit().number() == 75, "{what}");
                assert_eq!(stays.len() + home.delivered().len(), names.len(), "{what}");
                home.post().refused.clear();
                for _ in 0..4 {
                    home.run_as(policy, Options { insist: true, ..Options::default() });
                }
                let what = format!("{policy}, {refused:?}: {:?}", home.reported());
                assert_eq!(home.delivered(), once(&names), "{what}");
            }
        }
    }
}

/// A mail that holds the end of a message and answers, at a server that doesn't stuff dots: the others come, once each,
/// and nothing is deleted that didn't.
#[test]
fn a_mail_that_forges_answers_does_no_harm_to_others() {
    for capabilities in &SERVERS[..4] {
        for forged in
            ["\r\n.\r\n+OK\r\n", "\r\n.\r\n+OK 2 b\r\n", "\r\n.\r\n+OK\r\nText of b.\r\n.\r\n+OK\r\n"]
        {
            let mut bad = Letter::new("bad", "bad");
            bad.text.push_str(&format!("x{forged}y\r\n"));
            let post = Post {
                letters: [letters(&["a"]), vec![bad], letters(&["b", "c", "d"])].concat(),
                capabilities: capabilities.to_vec(),
                unstuffed: true,
                ..Post::default()
            };
            let home = Home::new(post);
            for _ in 0..3 {
                home.run(DELETE);
                let what = format!("{capabilities:?}, {forged:?}: {:?}", home.reported());
                let lost: Vec<String> = home.lost().into_iter().filter(|content| content != "bad").collect();
                assert_eq!(lost, [""; 0], "{what}");
            }
            let what = format!("{capabilities:?}, {forged:?}: {:?}", home.reported());
            let delivered = home.delivered();
            for content in ["a", "c", "d"] {
                assert_eq!(delivered.get(content), Some(&1), "{content}: {what}");
            }
        }
    }
}

/// Messages without a unique-id are told apart by what they hold.
#[test]
fn mail_without_unique_ids_comes_once_and_equal_mail_as_often_as_it_is_there() {
    for policy in [KEEP, DELETE] {
        let post = Post {
            letters: vec![Letter::new("", "a"), Letter::report("", "b"), Letter::report("", "b")],
            capabilities: vec!["TOP", "PIPELINING"],
            ..Post::default()
        };
        let home = Home::new(post);
        home.run(policy);
        let mut expected = once(&["a"]);
        expected.insert("b".to_owned(), 2);
        assert_eq!(home.delivered(), expected, "{policy}: {:?}", home.reported());
        assert_eq!(came_to(&home.run(policy)), (0, 0, 0, 0), "{policy}: {:?}", home.reported());
        home.post().letters.push(Letter::report("", "b"));
        home.post().letters.insert(0, Letter::report("", "c"));
        home.run(policy);
        expected.insert("b".to_owned(), 3);
        expected.insert("c".to_owned(), 1);
        assert_eq!(home.delivered(), expected, "{policy}: {:?}", home.reported());
        assert_eq!(home.lost(), [""; 0]);
    }
}

/// What one run is asked for besides: everything again, a preview, only what has failed.
#[test]
fn what_a_run_is_asked_for_holds_for_this_run_alone() {
    let home = Home::holding(&letters(&["a", "b"]));
    let summary = home.run_as(DELETE, Options { dry_run: true, ..Options::default() });
    assert_eq!(came_to(&summary), (0, 0, 0, 0));
    assert!(!home.sent().concat().iter().any(|c| c.starts_with("RETR") || c.starts_with("DELE")));
    assert_eq!(home.delivered(), once(&[]));
    home.run(KEEP);
    let summary = home.run_as(KEEP, Options { retry: true, ..Options::default() });
    assert_eq!(came_to(&summary), (0, 0, 0, 0));
    assert!(!home.sent().concat().iter().any(|c| c.starts_with("RETR")), "{:?}", home.sent());
    home.post().letters.push(Letter::new("c", "c"));
    let summary = home.run_as(KEEP, Options { retry: true, ..Options::default() });
    assert_eq!(summary.delivered, 0, "what is new isn't what failed");
    let summary = home.run_as(KEEP, Options { all: true, ..Options::default() });
    assert_eq!(summary.delivered, 3, "{:?}", home.reported());
    assert_eq!(home.delivered()["a"], 2);
    assert_eq!(came_to(&home.run(KEEP)), (0, 0, 0, 0));
    let retention = Some(crate::account::Retention::Delete);
    let summary = home.run_as(KEEP, Options { retention, ..Options::default() });
    assert_eq!((summary.deleted, home.left().len()), (3, 0), "{:?}", home.reported());
}

/// A stop that came before the session: nothing is asked for, and nothing breaks.
#[test]
fn a_run_that_is_stopped_leaves_all_for_the_next() {
    let home = Home::holding(&letters(&["a", "b"]));
    home.stop.raise();
    home.run(DELETE);
    assert_eq!((home.left().len(), home.lost().len()), (2, 0));
    assert!(home.delivered().len() <= 2);
}

/// One step of a life.
#[derive(Debug, Clone)]
enum Step {
    /// A message comes, with a unique-id of this form.
    Comes,
    /// Another client deletes one.
    Goes(usize),
    /// Two change places.
    Swaps(usize, usize),
    /// All unique-ids are given out again.
    Renumbers,
    /// A run.
    Runs { deletes: bool, cut_at: Option<usize>, farewell: Farewell, full: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let farewell = prop_oneof![
        4 => Just(Farewell::Kept),
        1 => Just(Farewell::Lost),
        1 => Just(Farewell::Cut),
        1 => Just(Farewell::Refused),
        1 => Just(Farewell::Forgotten),
    ];
    let cut_at = prop_oneof![3 => Just(None), 1 => (1..20_usize).prop_map(Some)];
    prop_oneof![
        4 => Just(Step::Comes),
        1 => (0..9_usize).prop_map(Step::Goes),
        1 => (0..9_usize, 0..9_usize).prop_map(|(one, other)| Step::Swaps(one, other)),
        1 => Just(Step::Renumbers),
        4 => (any::<bool>(), cut_at, farewell, any::<bool>())
            .prop_map(|(deletes, cut_at, farewell, full)| Step::Runs { deletes, cut_at, farewell, full }),
    ]
}

/// Whatever happens in whatever order: each message is delivered once, or it went before popfetch could have it; none is
/// deleted that wasn't delivered; and in the end all is done.
#[test]
fn no_life_loses_or_doubles_mail() {
    let server = (any::<bool>(), any::<bool>(), any::<bool>());
    let steps = prop::collection::vec(step(), 1..14);
    let config = Config { cases: 40, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(server, steps), |((top, pipelining, numbers), steps)| {
        let mut capabilities = vec!["UIDL"];
        capabilities.extend(top.then_some("TOP"));
        capabilities.extend(pipelining.then_some("PIPELINING"));
        let home = Home::new(Post { capabilities, ..Post::default() });
        let (mut came, mut round) = (0, 0);
        let name = |post: &mut Post, round: usize| {
            for (place, letter) in (1..).zip(&mut post.letters) {
                letter.unique_id = if numbers { format!("{place}") } else { format!("r{round}x{place}") };
            }
        };
        for step in steps {
            let mut post = home.post();
            match step {
                Step::Comes => {
                    came += 1;
                    let unique_id =
                        if numbers { format!("{}", post.letters.len() + 1) } else { format!("n{came}") };
                    post.letters.push(Letter::new(&unique_id, &format!("c{came}")));
                }
                Step::Goes(place) if place < post.letters.len() => {
                    post.letters.remove(place);
                    if numbers {
                        name(&mut post, round);
                    }
                }
                Step::Swaps(one, other) if one.max(other) < post.letters.len() => {
                    post.letters.swap(one, other);
                    if numbers {
                        name(&mut post, round);
                    }
                }
                Step::Renumbers => {
                    round += 1;
                    name(&mut post, round);
                }
                Step::Goes(_) | Step::Swaps(..) => {}
                Step::Runs { deletes, cut_at, farewell, full } => {
                    // Of what has no name nothing shows that it is what was deleted.
                    let is_believed = numbers && farewell == Farewell::Forgotten;
                    let farewell = if is_believed { Farewell::Refused } else { farewell };
                    (post.cut_at, post.farewell) = (cut_at, farewell);
                    drop(post);
                    let policy = if deletes { DELETE } else { KEEP };
                    let settings = if full { format!("{policy}\n{LISTS}") } else { policy.to_owned() };
                    home.run(&settings);
                    prop_assert_eq!(home.lost(), [""; 0], "{:?}", home.reported());
                    if numbers {
                        name(&mut home.post(), round);
                    }
                }
            }
        }
        home.post().cut_at = None;
        home.post().farewell = Farewell::Kept;
        let mut last = None;
        for _ in 0..8 {
            last = Some(home.run(&format!("{DELETE}\n{LISTS}")));
            prop_assert_eq!(home.lost(), [""; 0], "{:?}", home.reported());
            if numbers {
                name(&mut home.post(), round);
            }
        }
        let last = last.unwrap();
        prop_assert_eq!(came_to(&last), (0, 0, 0, 0), "{:?} {:?}", last, home.reported());
        prop_assert_eq!(home.left(), [""; 0], "{:?}", home.reported());
        let twice: Vec<_> = home.delivered().into_iter().filter(|(_, times)| *times > 1).collect();
        prop_assert_eq!(twice, []);
        Ok(())
    });
    outcome.unwrap();
}
