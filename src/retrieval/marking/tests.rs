//! `popfetch mark-seen`: what counts as seen, and is never retrieved.

use std::os::unix::fs::PermissionsExt as _;

use super::{MarkOrder, Marked, mark_seen};
use crate::exit::ExitCode;
use crate::ledger::{EntryState, Ledger, directory};
use crate::report::ReportedError;
use crate::retrieval::trial::{Home, Letter, Post, unique_id};
use crate::types::{Selection, Time};

fn letters(names: &[&str]) -> Vec<Letter> {
    names.iter().map(|name| Letter::new(name, name)).collect()
}

/// One that was sent on that day.
fn sent(name: &str, date: &str) -> Letter {
    let letter = Letter::new(name, name);
    Letter { text: letter.text.replace("Date: Thu, 1 Jan 2026", &format!("Date: {date}")), ..letter }
}

fn marks(home: &Home, mark: &MarkOrder) -> Result<Marked, ReportedError> {
    mark_seen(&home.account_with_password(""), &home.context(), mark)
}

fn numbers(marked: &Marked) -> Vec<u32> {
    marked.messages.iter().map(|message| message.number.get()).collect()
}

fn named(words: &[&str]) -> Option<Selection> {
    Selection::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

fn ledger(home: &Home) -> Ledger {
    let mailbox = home.account("").mailbox();
    Ledger::read(&directory(&home.context().state, &mailbox), &mailbox, crate::clock::now()).unwrap()
}

fn state(home: &Home, name: &str) -> Option<EntryState> {
    let ledger = ledger(home);
    Some(ledger.entry(ledger.find(unique_id(name).borrow())?).state)
}

#[test]
fn what_is_marked_is_never_retrieved_and_the_rest_is() {
    let home = Home::holding(&letters(&["a", "b", "c"]));
    let marked = marks(&home, &MarkOrder { messages: named(&["1", "c"]), ..MarkOrder::default() }).unwrap();
    assert_eq!((numbers(&marked), marked.known, marked.undated), (vec![1, 3], 0, 0));
    assert_eq!(marked.messages[0].unique_id, "a");
    assert!(marked.messages[0].octets.is_some());
    home.run("leave-on-server = false");
    assert_eq!(home.delivered(), [("b".to_owned(), 1)].into());
    assert_eq!(home.left(), ["a", "c"], "no policy deletes what is only seen");
}

#[test]
fn without_a_selection_all_that_is_listed_is_marked() {
    let home = Home::holding(&letters(&["a", "b"]));
    assert_eq!(numbers(&marks(&home, &MarkOrder::default()).unwrap()), [1, 2]);
    home.post().letters.extend(letters(&["c"]));
    let marked = marks(&home, &MarkOrder::default()).unwrap();
    assert_eq!((numbers(&marked), marked.known), (vec![3], 2), "what was marked before is left as it was");
}

/// Only the headers of what is marked are asked for: nothing is retrieved, nor deleted, whatever else is there and whatever
/// the policy.  The next run takes a listing.
#[test]
fn to_mark_asks_for_headers_and_for_nothing_else() {
    let home = Home::holding(&letters(&["old"]));
    home.run("");
    home.post().letters.extend(letters(&["a", "b"]));
    home.forget_what_was_sent();
    let account = home.account_with_password("leave-on-server = false");
    let mark = MarkOrder { messages: named(&["3"]), ..MarkOrder::default() };
    assert_eq!(numbers(&mark_seen(&account, &home.context(), &mark).unwrap()), [3]);
    home.wait_for_the_server();
    let sent = home.sent().concat();
    let asked: Vec<&String> = sent
        .iter()
        .filter(|command| ["TOP", "RETR", "DELE"].iter().any(|verb| command.starts_with(verb)))
        .collect();
    assert_eq!(asked, ["TOP 3 0"], "{sent:?}");
    assert_eq!(home.left().len(), 3);
    home.post().letters.truncate(1);
    home.run("");
    assert!(home.sent().concat().contains(&"UIDL".to_owned()), "{:?}", home.sent());
}

/// A refused login is one for runs as well, and what others can change is not written to.
#[test]
fn a_login_that_is_refused_to_a_command_makes_runs_wait() {
    let home = Home::holding(&letters(&["a"]));
    home.run("");
    std::fs::set_permissions(home.mailbox(), std::fs::Permissions::from_mode(0o777)).unwrap();
    home.forget_what_was_sent();
    let e = marks(&home, &MarkOrder::default()).unwrap_err();
    assert_eq!((e.exit, home.sent().len()), (ExitCode::Configuration, 0), "{}", e.message);
    std::fs::set_permissions(home.mailbox(), std::fs::Permissions::from_mode(0o700)).unwrap();
    home.post().refused_before = vec![("PASS".to_owned(), "-ERR [AUTH] no".to_owned())];
    assert_eq!(marks(&home, &MarkOrder::default()).unwrap_err().exit, ExitCode::Refused);
    home.post().refused_before.clear();
    assert!(crate::ledger::memory::Memory::load(&home.mailbox()).pause.is_some());
}

/// A look shows the same, and records nothing.
#[test]
fn a_dry_run_marks_nothing() {
    let home = Home::holding(&letters(&["a"]));
    let mark = MarkOrder { dry_run: true, ..MarkOrder::default() };
    assert_eq!(numbers(&marks(&home, &mark).unwrap()), [1]);
    assert!(!Ledger::exists(&directory(&home.context().state, &home.account("").mailbox())));
    home.run("");
    assert_eq!(home.delivered().len(), 1);
}

/// What was delivered stays delivered: to count as less would bring it again.
#[test]
fn what_was_delivered_is_left_as_it_was() {
    let home = Home::holding(&letters(&["a"]));
    home.run("");
    let marked = marks(&home, &MarkOrder::default()).unwrap();
    assert_eq!((numbers(&marked), marked.known), (vec![], 1));
    assert_eq!(state(&home, "a"), Some(EntryState::Delivered));
}

/// With a time it counts as delivered then: once its header is known a policy may delete it.
#[test]
fn what_is_marked_as_delivered_goes_by_the_policy() {
    let home = Home::holding(&letters(&["a", "b"]));
    let delivered = Some(Time(1_600_000_000));
    marks(&home, &MarkOrder { messages: named(&["a"]), delivered, ..MarkOrder::default() }).unwrap();
    let asked = home.sent().concat();
    assert!(asked.contains(&"TOP 1 0".to_owned()), "its header is asked for: {asked:?}");
    home.run("leave-on-server = { days = 30 }");
    assert_eq!((home.left(), home.delivered().len()), (vec!["b".to_owned()], 1));
}

/// By the Date field; what has none that can be read is left alone rather than guessed.
#[test]
fn only_what_was_sent_before_a_day_is_marked() {
    let post = vec![
        sent("old", "Fri, 1 Mar 2024"),
        sent("new", "Sun, 1 Mar 2026"),
        Letter::report("undated", "undated"),
        sent("older", "Wed, 1 Mar 2023"),
    ];
    let home = Home::holding(&post);
    let before = Time::of_date("2025-01-01");
    assert!(before.is_some());
    let marked = marks(&home, &MarkOrder { before, ..MarkOrder::default() }).unwrap();
    assert_eq!((numbers(&marked), marked.undated), (vec![1, 4], 1));
    assert_eq!(
        (state(&home, "old"), state(&home, "new"), state(&home, "undated")),
        (Some(EntryState::Seen), None, None)
    );
    let marked =
        marks(&home, &MarkOrder { before, messages: named(&["2-3"]), ..MarkOrder::default() }).unwrap();
    assert_eq!((numbers(&marked), marked.undated), (vec![], 1));
}

/// The day itself is not before it.
#[test]
fn what_was_sent_at_that_very_time_is_not_before_it() {
    let home = Home::holding(&letters(&["a"]));
    let sent = 1_767_225_600;
    for (before, expected) in [(sent, &[][..]), (sent + 1, &[1])] {
        let mark = MarkOrder { before: Some(Time(before)), dry_run: true, ..MarkOrder::default() };
        assert_eq!(numbers(&marks(&home, &mark).unwrap()), expected);
    }
}

#[test]
fn what_cannot_be_marked_is_an_error_and_marks_nothing() {
    let plain = MarkOrder::default;
    let before = Some(Time(1));
    let without = |gone: &str| {
        let all = ["UIDL", "TOP", "PIPELINING"];
        all.into_iter().filter(|capability| *capability != gone).collect::<Vec<_>>()
    };
    for (capabilities, mark, exit) in [
        (without("UIDL"), plain(), ExitCode::Protocol),
        (without("TOP"), MarkOrder { before, ..plain() }, ExitCode::Protocol),
        (without(""), MarkOrder { messages: named(&["9"]), ..plain() }, ExitCode::NoInput),
        (vec!["UIDL", "TOP", "X-GOOGLE-RICO"], plain(), ExitCode::Configuration),
    ] {
        let home = Home::new(Post {
            letters: letters(&["a"]),
            capabilities: capabilities.clone(),
            ..Post::default()
        });
        let e = marks(&home, &mark).unwrap_err();
        assert_eq!(e.exit, exit, "{capabilities:?} {}", e.message);
        assert_eq!(state(&home, "a"), None, "{capabilities:?}");
    }
}

/// They are recorded before their headers are asked for: a connection that breaks then loses nothing of it.
#[test]
fn a_connection_that_breaks_at_the_headers_leaves_them_marked() {
    let home = Home::holding(&letters(&["a", "b"]));
    home.post().refused = vec![("TOP".to_owned(), "+OK".to_owned())];
    home.post().cut_at = Some(5);
    let marked = marks(&home, &MarkOrder::default()).unwrap();
    assert_eq!(numbers(&marked), [1, 2]);
    assert!(
        home.reported().iter().any(|line| line.contains("the next run asks for the rest")),
        "{:?}",
        home.reported()
    );
    assert_eq!(state(&home, "b"), Some(EntryState::Seen));
    (home.post().cut_at, home.post().refused) = (None, Vec::new());
    home.run("");
    assert_eq!(home.delivered().len(), 0);
}
