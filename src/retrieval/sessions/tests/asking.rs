//! What whole runs ask a server for, and what they leave out, as the server and the user see it.

use std::fs;

use super::{DELETE, EVERYTHING, KEEP, LISTS, came_to, letters, once};
use crate::account::{Account, Deliver};
use crate::exit::ExitCode;
use crate::ledger::memory::Memory;
use crate::report::RunSummary;
use crate::retrieval::Options;
use crate::retrieval::trial::{Home, Letter, Post};
use crate::types::Selection;

/// A server that can do this.
fn home(names: &[&str], capabilities: &[&'static str]) -> Home {
    Home::new(Post { letters: letters(names), capabilities: capabilities.to_vec(), ..Post::default() })
}

/// These commands are refused, by their beginning.
fn refuse(home: &Home, starts: &[&str]) {
    home.post().refused = starts.iter().map(|start| ((*start).to_owned(), "-ERR no".to_owned())).collect();
}

/// How many commands of the last run began so, session by session.
fn asked(home: &Home, start: &str) -> Vec<usize> {
    let sent = home.sent();
    sent.iter().map(|session| session.iter().filter(|command| command.starts_with(start)).count()).collect()
}

fn memory(home: &Home) -> Memory {
    Memory::load(&home.mailbox())
}

/// The refusals of a server none of whose answers names a message.
const NAMES_NOTHING: [&str; 3] = ["UIDL ", "LIST ", "STAT"];

/// Where no answer names a message, its end is believed when QUIT is answered in step: one message in each session.
#[test]
fn where_no_answer_names_a_message_each_comes_in_a_session_of_its_own() {
    for policy in [KEEP, DELETE] {
        for capabilities in [&EVERYTHING[..], &["UIDL", "TOP"]] {
            let home = home(&["a", "b", "c"], capabilities);
            refuse(&home, &NAMES_NOTHING);
            let summary = home.run(policy);
            let what =
                format!("{policy} {capabilities:?} {summary:?} {:?} {:?}", home.reported(), home.sent());
            assert_eq!(home.delivered(), once(&["a", "b", "c"]), "{what}");
            assert_eq!(summary.delivered, 3, "{what}");
            let expected = if policy == DELETE { ExitCode::Later } else { ExitCode::Done };
            assert_eq!(summary.exit(), expected, "what has no effect is reported: {what}");
            // QUIT shows only of the last one that its end was believed.
            for (retrieved, farewells) in asked(&home, "RETR").into_iter().zip(asked(&home, "QUIT")) {
                assert!(farewells == 0 || retrieved <= 1, "{what}");
            }
            for _ in 0..3 {
                home.run(policy);
                assert_eq!(home.lost(), [""; 0], "{:?}", home.reported());
            }
            assert_eq!(home.delivered(), once(&["a", "b", "c"]), "{policy} {:?}", home.sent());
            // Which is too late to delete it.
            assert_eq!((home.left().len(), asked(&home, "DELE").iter().sum::<usize>()), (3, 0), "{policy}");
            let tmp = fs::read_dir(home.path().join("Mail/tmp")).unwrap();
            assert_eq!(tmp.count(), 0, "what isn't believed is discarded");
        }
    }
}

/// The same, where QUIT deletes what was retrieved: it would take away what may have come cut off.
#[test]
fn nothing_is_retrieved_for_good_where_no_answer_names_it_and_quit_deletes_it() {
    let home = home(&["a", "b"], &["UIDL", "TOP", "PIPELINING", "EXPIRE 0"]);
    home.post().drops = true;
    refuse(&home, &NAMES_NOTHING);
    for _ in 0..2 {
        let summary = home.run(DELETE);
        assert_ne!(summary.exit(), ExitCode::Done, "{summary:?}");
        assert_eq!((home.left().len(), asked(&home, "QUIT").iter().sum::<usize>()), (2, 0));
    }
}

/// What was accepted to be deleted by a session that broke off may be gone: what its unique-id stands for then is looked at
/// before it counts as known.
#[test]
fn a_deletion_of_a_session_that_broke_off_leaves_a_doubt() {
    let mut tried = 0;
    for cut_at in 6..16 {
        let home = home(&["a", "b", "c"], &["UIDL"]);
        (home.post().cut_at, home.post().logins) = (Some(cut_at), Some(1));
        home.run(DELETE);
        let sent = home.sent().concat();
        // The answer to the first has come, and that to the next has not.
        if sent.last().map(String::as_str) != Some("DELE 2") {
            continue;
        }
        tried += 1;
        (home.post().cut_at, home.post().logins) = (None, None);
        home.post().letters[0] = Letter::new("a", "x");
        home.run(KEEP);
        let what = format!("{cut_at}: {sent:?}, then {:?}", home.sent());
        assert_eq!(home.delivered().get("x"), Some(&1), "{what}");
        assert_eq!(home.lost(), [""; 0], "{what}");
    }
    assert_eq!(tried, 1);
}

/// The session breaks off behind a message whose end was believed: that one is delivered, and of the others nothing is left
/// lying about.
#[test]
fn what_was_believed_before_a_session_broke_off_is_delivered() {
    for capabilities in [&["UIDL"][..], &EVERYTHING] {
        for cut_at in 1..12 {
            let home = home(&["a", "b", "c"], capabilities);
            home.post().cut_at = Some(cut_at);
            home.run(KEEP);
            let session = home.sent().concat();
            let named = |command: &String| command.starts_with("UIDL ");
            let first = session.iter().position(|command| command == "RETR 1");
            let is_believed = first.is_some_and(|first| {
                let named = session.iter().skip(first).position(named);
                named.is_some_and(|named| first + named + 1 < session.len())
            });
            let what = format!("{capabilities:?} {cut_at} {session:?}");
            assert!(!is_believed || home.delivered().contains_key("a"), "{what}");
            if let Ok(tmp) = fs::read_dir(home.path().join("Mail/tmp")) {
                assert_eq!(tmp.count(), 0, "{what}");
            }
        }
    }
}

fn run_at(home: &Home, maildir: &str) -> RunSummary {
    let deliver = vec![Deliver::Maildir(home.path().join(maildir))];
    let account = Account { deliver, ..home.account(KEEP) };
    crate::retrieval::retrieve(&account, &home.options(), &home.context())
}

/// A user who names another folder, and sees no mail come there, is told where it is.
#[test]
fn where_mail_was_delivered_before_is_reported() {
    let home = home(&["a", "b"], &EVERYTHING);
    home.run(KEEP);
    assert_eq!(home.run(KEEP).delivered_elsewhere, None);
    assert_eq!(memory(&home).popped, None, "nothing is taken out where there is no window");
    let elsewhere = run_at(&home, "Other").delivered_elsewhere.unwrap();
    assert!(elsewhere.messages == 2 && elsewhere.to.contains("Mail"), "{elsewhere:?}");
}

/// What was there before counts as seen, by the first run alone, and is never deleted; what comes later is.
#[test]
fn what_was_there_before_the_first_run_is_left_alone() {
    let settings = format!("{DELETE}\nfirst-run = \"new-only\"");
    let home = home(&["a", "b"], &EVERYTHING);
    assert_eq!(came_to(&home.run(&settings)), (0, 0, 0, 0), "{:?}", home.reported());
    assert_eq!(asked(&home, "TOP"), [2], "by which they are known from now on");
    assert!(home.reported().iter().any(|line| line.contains("2 messages that were there before")));
    home.post().letters.push(Letter::new("c", "c"));
    assert_eq!(came_to(&home.run(&settings)), (0, 1, 1, 0), "{:?}", home.reported());
    assert_eq!((home.delivered(), home.left()), (once(&["c"]), vec!["a".to_owned(), "b".to_owned()]));
}

/// Only what was named is tried.
#[test]
fn a_run_for_some_messages_leaves_the_others() {
    let home = home(&["a", "b", "c", "d"], &EVERYTHING);
    refuse(&home, &["RETR 2", "RETR 3"]);
    assert_eq!(home.run(KEEP).delivered, 2);
    refuse(&home, &[]);
    let only = Some(Selection::of(&["2".to_owned()]).unwrap());
    let summary = home.run_as(KEEP, Options { retry: true, insist: true, only, ..Options::default() });
    assert_eq!(summary.delivered, 1, "{:?}", home.reported());
    assert_eq!(home.delivered(), once(&["a", "b", "d"]));
}

#[test]
fn what_is_too_large_is_reported_by_the_first_run_that_sees_it() {
    let home = home(&["a"], &EVERYTHING);
    let settings = format!("max-message-size = 9\n{LISTS}");
    for expected in [1, 0] {
        assert_eq!(home.run(&settings).delivered, 0);
        let lines = home.reported().into_iter().filter(|line| line == "message 1 is too large");
        assert_eq!(lines.count(), expected);
    }
}

/// Where QUIT deletes what was retrieved, one that failed before would keep all others from being deleted: it comes last, in a
/// session of its own.
#[test]
fn what_failed_before_is_tried_after_quit_where_quit_deletes_what_was_retrieved() {
    let home = home(&["a", "b", "c"], &["UIDL", "TOP", "PIPELINING", "EXPIRE 0"]);
    home.post().drops = true;
    refuse(&home, &["RETR 2"]);
    home.run(DELETE);
    home.post().letters.push(Letter::new("d", "d"));
    refuse(&home, &["RETR 1"]);
    home.run_as(DELETE, Options { insist: true, ..Options::default() });
    let retrieved: Vec<Vec<String>> = home.sent();
    let tries: Vec<usize> =
        (0..).zip(&retrieved).filter(|(_, s)| s.contains(&"RETR 1".to_owned())).map(|(n, _)| n).collect();
    assert_eq!(tries, [retrieved.len() - 1], "{retrieved:?}");
    assert_eq!(asked(&home, "RETR").last(), Some(&1), "{retrieved:?}");
    assert_eq!((home.delivered(), home.left()), (once(&["a", "c", "d"]), vec!["b".to_owned()]));
}

/// Without unique-ids and headers nothing can be left on a server: that is an error before anything is retrieved, unless there
/// is nothing.
#[test]
fn a_server_that_can_name_nothing_is_an_error_only_where_mail_is_to_stay() {
    let nameless = |name: &str| Letter::new("", name);
    for (letters, capabilities, policy, expected, delivered) in [
        (vec![nameless("a")], vec!["PIPELINING"], KEEP, ExitCode::Protocol, 0),
        (vec![nameless("a")], vec!["PIPELINING"], DELETE, ExitCode::Done, 1),
        (vec![], vec!["PIPELINING"], KEEP, ExitCode::Done, 0),
        (vec![nameless("a")], vec!["PIPELINING", "TOP"], KEEP, ExitCode::Done, 1),
        // A few that have none among others that have are compared whole.
        (vec![Letter::new("x", "x"), nameless("a")], vec!["PIPELINING", "UIDL"], KEEP, ExitCode::Done, 2),
    ] {
        let capabilities: Vec<&'static str> = capabilities;
        let home = Home::new(Post { letters, capabilities: capabilities.clone(), ..Post::default() });
        let summary = home.run(policy);
        let what = format!("{capabilities:?} {policy} {summary:?} {:?} {:?}", home.reported(), home.sent());
        assert_eq!((summary.exit(), home.delivered().len()), (expected, delivered), "{what}");
        let retrieved: usize = asked(&home, "RETR").iter().sum();
        assert_eq!(retrieved > 0, delivered > 0, "{what}");
    }
}

/// A full listing comes with headers of two messages of the last one, where the server is known to give them.
#[test]
fn spot_checks_are_asked_for_where_headers_are_given() {
    for (capabilities, refused, expected) in [
        (&EVERYTHING[..], &[][..], 2),
        // One at a time each costs a wait: one a day.
        (&["UIDL", "TOP"], &[], 0),
        (&["UIDL", "PIPELINING"], &[], 0),
        (&EVERYTHING, &["CAPA"], 0),
    ] {
        let home = home(&["a", "b", "c"], capabilities);
        home.post().refused_before =
            refused.iter().map(|start| ((*start).to_owned(), "-ERR what?".to_owned())).collect();
        refuse(&home, refused);
        home.run(KEEP);
        let summary = home.run(&format!("{KEEP}\n{LISTS}"));
        assert_eq!(summary.exit(), ExitCode::Done);
        assert_eq!(asked(&home, "TOP"), [expected], "{capabilities:?} {refused:?} {:?}", home.sent());
    }
}

/// An extra session in a window of the maildrop may be refused, whatever the server answers: it has just let us in, and the
/// next run goes on.  The rest of a session is a failure, but no reason to think the password wrong.
#[test]
fn a_further_session_that_is_refused_is_no_wrong_password() {
    let window = ["UIDL", "TOP", "PIPELINING", "EXPIRE 0", "X-GOOGLE-RICO"];
    for (capabilities, shown, names_nothing, expected) in
        [(&window[..], Some(1), false, ExitCode::Done), (&EVERYTHING, None, true, ExitCode::Later)]
    {
        let home = home(&["a", "b", "c"], capabilities);
        (home.post().window, home.post().logins) = (shown, Some(2));
        if names_nothing {
            refuse(&home, &NAMES_NOTHING);
        }
        let summary = home.run(KEEP);
        let what = format!("{capabilities:?} {summary:?} {:?} {:?}", home.reported(), home.sent());
        assert_eq!((summary.exit(), home.sent().len()), (expected, 2), "{what}");
        assert!(!home.delivered().is_empty() && memory(&home).pause.is_none(), "{what}");
        home.post().logins = None;
        home.run(KEEP);
        assert_eq!(home.delivered(), once(&["a", "b", "c"]), "{:?}", home.sent());
    }
}

/// The limits of a run hold for all its sessions together.
#[test]
fn a_limit_of_a_run_holds_for_all_its_sessions() {
    let home = home(&["a", "b", "c", "d"], &["UIDL", "TOP", "PIPELINING", "EXPIRE 0", "X-GOOGLE-RICO"]);
    home.post().window = Some(1);
    for expected in [2, 2] {
        assert_eq!(home.run(&format!("{KEEP}\nmax-messages = 2")).delivered, expected, "{:?}", home.sent());
    }
    assert_eq!(home.delivered(), once(&["a", "b", "c", "d"]));
}

/// A quick poll that breaks off may have been too much in one flight: the next run takes a listing.
#[test]
fn after_a_quick_poll_that_broke_off_the_next_run_lists() {
    let home = home(&["a", "b"], &EVERYTHING);
    home.run(KEEP);
    home.run(KEEP);
    assert_eq!((asked(&home, "STAT"), asked(&home, "QUIT")), (vec![1], vec![1]));
    assert!(home.reported().iter().any(|line| line.contains("as it was left")), "{:?}", home.reported());
    home.post().cut_at = Some(1);
    home.run(KEEP);
    home.post().cut_at = None;
    home.run(KEEP);
    let sent = home.sent().concat();
    assert!(sent.contains(&"UIDL".to_owned()), "{sent:?}");
}

/// What a session was about that failed may be due, though the maildrop looks as it was left.
#[test]
fn after_a_session_that_failed_the_next_run_lists() {
    let home = home(&["a", "b"], &EVERYTHING);
    home.run(KEEP);
    home.post().cut_at = Some(2);
    assert_ne!(home.run(&format!("{KEEP}\n{LISTS}")).exit(), ExitCode::Done);
    home.post().cut_at = None;
    home.run(KEEP);
    let sent = home.sent().concat();
    assert!(sent.contains(&"UIDL".to_owned()), "{sent:?}");
}

/// A server that puts new mail elsewhere than at the end is listed from then on: a quick poll would miss mail there.
#[test]
fn a_server_that_does_not_add_at_the_end_is_always_listed() {
    for (first, expected) in [(true, true), (false, false)] {
        let home = home(&["a", "b"], &EVERYTHING);
        home.run(KEEP);
        let place = if first { 0 } else { 2 };
        home.post().letters.insert(place, Letter::new("new", "new"));
        assert_eq!(home.run(KEEP).delivered, 1);
        home.run(KEEP);
        let sent = home.sent().concat();
        assert_eq!(sent.contains(&"UIDL".to_owned()), expected, "{sent:?}");
    }
}

/// A server that announces a window, and goes on listing what was retrieved: it is retrieved once.
#[test]
fn what_a_window_goes_on_listing_is_not_retrieved_in_every_run() {
    let home = home(&["a", "b"], &["UIDL", "TOP", "PIPELINING", "X-GOOGLE-RICO"]);
    assert_eq!(home.run(KEEP).delivered, 2);
    for _ in 0..3 {
        let summary = home.run(&format!("{KEEP}\n{LISTS}"));
        assert_eq!((summary.exit(), summary.delivered), (ExitCode::Done, 0), "{summary:?}");
    }
    assert_eq!(asked(&home, "RETR").iter().sum::<usize>(), 0, "{:?}", home.sent());
    home.post().letters.push(Letter::new("c", "c"));
    home.run(&format!("{KEEP}\n{LISTS}"));
    assert_eq!(home.delivered(), once(&["a", "b", "c"]));
}

/// Where each header costs a wait, one is asked for a day.
#[test]
fn a_server_without_pipelining_is_spot_checked_once_a_day() {
    let home = home(&["a", "b", "c"], &["UIDL", "TOP"]);
    home.run(KEEP);
    let mut memory = memory(&home);
    assert!(memory.sizes.is_some(), "the sizes were listed");
    memory.sizes = None;
    memory.save(&home.mailbox()).unwrap();
    for expected in [1, 0] {
        home.run(&format!("{KEEP}\n{LISTS}"));
        assert_eq!(asked(&home, "TOP"), [expected], "{:?}", home.sent());
    }
}

/// A spot check that shows other mail under a known unique-id leads to it.
#[test]
fn other_mail_is_found_by_the_spot_check_of_a_day() {
    let home = home(&["a"], &["UIDL", "TOP"]);
    home.run(KEEP);
    home.post().letters[0] = Letter::new("a", "x");
    let mut memory = memory(&home);
    memory.sizes = None;
    memory.save(&home.mailbox()).unwrap();
    home.run(&format!("{KEEP}\n{LISTS}"));
    assert_eq!(home.delivered(), once(&["a", "x"]), "{:?}", home.sent());
}

/// What a session has seen counts as seen when it has ended well.
#[test]
fn a_session_that_broke_off_has_not_seen_all() {
    let home = home(&["a", "b"], &EVERYTHING);
    home.run(KEEP);
    assert!(memory(&home).habits.complete);
    home.post().letters.push(Letter::new("c", "c"));
    home.post().letters[1].text.push_str("more\r\n");
    home.post().cut_at = Some(7);
    assert_ne!(home.run(&format!("{KEEP}\n{LISTS}")).exit(), ExitCode::Done, "{:?}", home.sent());
    let broken = memory(&home);
    assert!(!broken.habits.complete && broken.sizes.is_none(), "{:?}", home.sent());
    // Of an empty mailbox there is nothing to be seen.
    let home = self::home(&[], &EVERYTHING);
    home.run(KEEP);
    assert!(memory(&home).sizes.is_none());
}

/// Where the server lists no sizes, a limit by size does nothing, and that is reported.
#[test]
fn a_limit_by_size_without_sizes_is_reported() {
    for (settings, expected) in [("max-message-size = 5000000", ExitCode::Later), ("", ExitCode::Done)] {
        let home = home(&["a"], &EVERYTHING);
        refuse(&home, &["LIST"]);
        let summary = home.run(settings);
        assert_eq!((summary.exit(), summary.delivered), (expected, 1), "{summary:?}");
    }
}
