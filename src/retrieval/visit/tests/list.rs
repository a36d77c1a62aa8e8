//! `popfetch list`.

use super::{home, letters};
use crate::ledger::directory;
use crate::ledger::shown::Shown;
use crate::plan::trial::number;
use crate::report::{Action, ReportedError};
use crate::retrieval::trial::{Home, Letter, Post, unique_id};
use crate::retrieval::{ListFilter, MessageRows, list};
use crate::types::Octets;

fn listed(home: &Home, settings: &str, which: ListFilter, most: usize) -> Result<MessageRows, ReportedError> {
    let account = home.account(settings);
    list(&account, &home.options(), &home.context(), which, most)
}

fn rows(home: &Home, settings: &str, which: ListFilter) -> MessageRows {
    listed(home, settings, which, usize::MAX).unwrap()
}

/// Number, whether it's new, what the next run would do, and why.
fn outlines(found: &MessageRows) -> Vec<(u32, bool, Action, &'static str)> {
    found.rows.iter().map(|row| (row.number.get(), row.is_new, row.action, row.why.word)).collect()
}

#[test]
fn a_list_shows_what_is_new_and_what_was_delivered() {
    let home = home(&["a", "b"], &["c"]);
    let found = rows(&home, "", ListFilter::All);
    let leave = (Action::Leave, "known");
    let expected =
        [(1, false, leave.0, leave.1), (2, false, leave.0, leave.1), (3, true, Action::Retrieve, "new")];
    assert_eq!(outlines(&found), expected);
    assert_eq!((found.matching, found.listed), (3, 3));
    let row = &found.rows[2];
    assert_eq!(row.unique_id.as_deref(), Some("c"));
    assert_eq!(row.octets, Some(Octets(u64::try_from(Letter::new("c", "c").text.len()).unwrap())));
    let summary = row.summary.as_ref().unwrap();
    assert_eq!(
        (summary.from.as_deref(), summary.message_id.as_deref()),
        (Some("a@example.com"), Some("c@example.com"))
    );
}

/// It only looks: a server that deletes at QUIT what was looked at keeps everything.
#[test]
fn a_list_changes_nothing_on_the_server_or_in_the_ledger() {
    let post = Post {
        letters: letters(&["a", "b"]),
        capabilities: vec!["UIDL", "TOP", "PIPELINING", "EXPIRE 0"],
        drops: true,
        ..Post::default()
    };
    let home = Home::new(post);
    let found = rows(&home, "", ListFilter::All);
    assert_eq!(found.rows.len(), 2);
    assert_eq!(home.left(), ["a", "b"]);
    assert!(!home.path().join("Mail").exists());
    assert!(outlines(&rows(&home, "", ListFilter::New)).iter().all(|(_, is_new, ..)| *is_new));
}

#[test]
fn a_filter_shows_its_messages_and_how_many_there_are() {
    let home = home(&["a", "b"], &["c", "d"]);
    home.post().refused = vec![("RETR 3".to_owned(), "-ERR broken".to_owned())];
    home.run("");
    home.post().letters.extend(letters(&["e"]));
    for (which, expected) in [
        (ListFilter::All, &[1, 2, 3, 4, 5][..]),
        (ListFilter::New, &[5]),
        (ListFilter::Seen, &[1, 2, 4]),
        (ListFilter::Failed, &[3]),
    ] {
        let found = rows(&home, "", which);
        let numbers: Vec<u32> = found.rows.iter().map(|row| row.number.get()).collect();
        assert_eq!(
            (numbers.as_slice(), found.matching, found.listed),
            (expected, expected.len(), 5),
            "{which:?}"
        );
    }
}

/// The last ones are shown, and the headers of no others are asked for.
#[test]
fn only_the_last_messages_are_shown_and_asked_about() {
    let home = Home::holding(&letters(&["a", "b", "c", "d"]));
    for (most, expected) in [(0, &[][..]), (1, &[4]), (3, &[2, 3, 4]), (9, &[1, 2, 3, 4])] {
        home.forget_what_was_sent();
        let found = listed(&home, "", ListFilter::New, most).unwrap();
        let numbers: Vec<u32> = found.rows.iter().map(|row| row.number.get()).collect();
        assert_eq!((numbers.as_slice(), found.matching), (expected, 4), "{most}");
        let asked = home.sent().concat().iter().filter(|command| command.starts_with("TOP")).count();
        assert_eq!(asked, expected.len(), "{most}");
    }
}

/// Why a message isn't retrieved stands beside it, with the time at which a failed one is tried again.
#[test]
fn what_is_left_is_listed_with_the_reason() {
    let home = Home::holding(&letters(&["a", "b"]));
    let found = rows(&home, "max-message-size = 10", ListFilter::All);
    assert_eq!(outlines(&found).first(), Some(&(1, true, Action::Leave, "too-large")));
    let found = rows(&home, "max-messages = 1", ListFilter::All);
    assert_eq!(outlines(&found)[1], (2, true, Action::Leave, "max-messages"));
    home.post().refused = vec![("RETR 2".to_owned(), "-ERR broken".to_owned())];
    (0..3).for_each(|_| _ = home.run(""));
    let found = rows(&home, "", ListFilter::Failed);
    assert_eq!(outlines(&found), [(2, false, Action::Leave, "backing-off")]);
    assert!(found.rows[0].retry_after.is_some());
    assert!(rows(&home, "", ListFilter::All).rows[0].retry_after.is_none());
}

/// What the policy deletes is listed as such; what is retrieved shows whether it then goes.
#[test]
fn deletions_by_policy_are_seen_beforehand() {
    let home = home(&["a"], &["b"]);
    let found = rows(&home, "leave-on-server = false", ListFilter::All);
    assert_eq!(outlines(&found), [(1, false, Action::Delete, "delete"), (2, true, Action::Retrieve, "new")]);
    assert_eq!(found.rows.iter().map(|row| row.then_deleted).collect::<Vec<_>>(), [false, true]);
    home.run("");
    home.post().letters.extend(letters(&["c"]));
    let found = rows(&home, "leave-on-server = { newest = 1 }", ListFilter::All);
    assert_eq!(outlines(&found).first(), Some(&(1, false, Action::Delete, "newest")));
    assert!(!found.rows[2].then_deleted, "it counts among the newest");
    let found = rows(&home, "leave-on-server = true", ListFilter::All);
    assert!(found.rows.iter().all(|row| row.action != Action::Delete && !row.then_deleted));
}

/// With first-run = "new-only" nothing that is there is new.
#[test]
fn before_a_first_run_that_counts_all_as_seen_nothing_is_new() {
    let home = Home::holding(&letters(&["a", "b"]));
    let found = rows(&home, "first-run = \"new-only\"", ListFilter::All);
    assert!(outlines(&found).iter().all(|row| (row.1, row.2, row.3) == (false, Action::Leave, "seen")));
    assert_eq!(rows(&home, "first-run = \"new-only\"", ListFilter::New).matching, 0);
}

/// A server without TOP shows no headers; without UIDL, no unique-ids.
#[test]
fn what_a_server_cannot_show_is_missing_and_no_error() {
    let post = Post { letters: letters(&["a"]), capabilities: vec!["UIDL"], ..Post::default() };
    let found = rows(&Home::new(post), "", ListFilter::All);
    assert!(found.rows[0].summary.is_none() && found.rows[0].unique_id.is_some());
    let post = Post { letters: letters(&["a"]), capabilities: vec!["TOP"], ..Post::default() };
    let found = rows(&Home::new(post), "", ListFilter::All);
    assert!(found.rows[0].unique_id.is_none());
    assert_eq!(found.rows[0].summary.as_ref().unwrap().message_id.as_deref(), Some("a@example.com"));
}

/// A number means the message that was shown under it: the unique-ids are kept for the next command.
#[test]
fn the_numbers_that_were_shown_are_remembered() {
    let home = home(&["a", "b", "c"], &[]);
    listed(&home, "", ListFilter::All, 2).unwrap();
    let account = home.account("");
    let shown = Shown::load(&directory(&home.context().state, &account.mailbox()));
    assert_eq!(shown.0, [(number(2), unique_id("b")), (number(3), unique_id("c"))].into());
}

/// A unique-id may stand for other mail: its size shows that, and only a run that retrieves the whole can tell.
#[test]
fn a_message_whose_size_has_changed_is_listed_as_to_be_compared() {
    let home = home(&["a"], &[]);
    home.post().letters = vec![Letter::new("a", "other mail of another size")];
    let found = rows(&home, "", ListFilter::All);
    assert_eq!(outlines(&found), [(1, false, Action::Compare, "size-changed")]);
    assert_eq!(
        (rows(&home, "", ListFilter::New).matching, rows(&home, "", ListFilter::Seen).matching),
        (0, 1)
    );
}
