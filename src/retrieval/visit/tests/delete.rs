//! `popfetch delete`: what a user names, sees, and agrees to.

use super::{home, letters, named};
use crate::exit::ExitCode;
use crate::ledger::directory;
use crate::ledger::{EntryState, Ledger};
use crate::report::ReportedError;
use crate::retrieval::trial::{Farewell, Home, Letter, Post, unique_id};
use crate::retrieval::{Deleted, Doomed, ListFilter, delete, list};

/// Deletes what is named, if the user agrees; and what the user saw.
fn deletes(home: &Home, words: &[&str], agrees: bool) -> (Result<Deleted, ReportedError>, Vec<Doomed>) {
    let (account, mut seen) = (home.account(""), Vec::new());
    let result =
        delete(&account, &home.options(), &home.context(), &named(words), false, &mut |doomed, _| {
            seen = doomed.to_vec();
            agrees
        });
    (result, seen)
}

fn deleted(messages: usize) -> Deleted {
    Deleted { messages, agreed: true, refused: Vec::new(), unconfirmed: None }
}

fn state(home: &Home, name: &str) -> EntryState {
    let account = home.account("");
    let mailbox = account.mailbox();
    let ledger =
        Ledger::read(&directory(&home.context().state, &mailbox), &mailbox, crate::clock::now()).unwrap();
    ledger.entry(ledger.find(unique_id(name).borrow()).unwrap()).state
}

#[test]
fn what_the_user_names_and_agrees_to_is_deleted_and_nothing_else() {
    let home = home(&["a", "b"], &["c"]);
    let (result, seen) = deletes(&home, &["a", "3"], true);
    assert_eq!(result.unwrap(), deleted(2));
    let seen: Vec<(u32, bool, Option<&str>)> = seen
        .iter()
        .map(|doomed| (doomed.number.get(), doomed.delivered.is_some(), doomed.undelivered))
        .collect();
    assert_eq!(seen, [(1, true, None), (3, false, Some("never delivered"))]);
    assert_eq!(home.left(), ["b"]);
    assert_eq!(state(&home, "a"), EntryState::Deleted);
    assert_eq!(state(&home, "b"), EntryState::Delivered);
}

#[test]
fn a_user_who_does_not_agree_loses_nothing() {
    let home = home(&["a"], &["b"]);
    let (result, seen) = deletes(&home, &["1-2"], false);
    let nothing = Deleted { messages: 0, agreed: false, refused: Vec::new(), unconfirmed: None };
    assert_eq!((result.unwrap(), seen.len()), (nothing.clone(), 2));
    assert_eq!(home.left(), ["a", "b"]);
    // A look never deletes, whatever is answered; and it takes no lock.
    let account = home.account("");
    let looked = delete(&account, &home.options(), &home.context(), &named(&["1"]), true, &mut |_, _| true);
    assert_eq!((looked.unwrap(), home.left().len()), (nothing.clone(), 2));
    // A signal while the user thinks.
    let looked = delete(&account, &home.options(), &home.context(), &named(&["1"]), false, &mut |_, _| {
        home.stop.raise();
        true
    });
    assert_eq!((looked.unwrap(), home.left().len()), (nothing, 2));
    assert!(!home.sent().concat().iter().any(|command| command.starts_with("DELE")));
}

/// Its unique-id is not enough: what is listed under it now may be other mail, which nobody has.
#[test]
fn mail_that_only_has_a_known_unique_id_is_shown_as_undelivered() {
    let home = home(&["a"], &[]);
    home.post().letters = vec![Letter::new("a", "other")];
    let (result, seen) = deletes(&home, &["a"], true);
    assert_eq!(seen[0].undelivered, Some("never delivered: its unique-id stood for another message"));
    assert_eq!((seen[0].delivered, result.unwrap()), (None, deleted(1)));
    assert_eq!(state(&home, "a"), EntryState::Delivered, "what was delivered was not deleted by that");
}

/// A message without a header that names it is compared whole.
#[test]
fn a_report_is_recognised_by_all_its_octets() {
    let home = Home::holding(&[Letter::report("r", "one")]);
    home.run("");
    for (content, delivered) in [("one", true), ("two", false)] {
        home.post().letters = vec![Letter::report("r", content)];
        let (_, seen) = deletes(&home, &["r"], false);
        assert_eq!(seen[0].delivered.is_some(), delivered, "{content}");
    }
}

/// The number means another message than the one that was seen: nothing is deleted by it.
#[test]
fn a_number_that_has_moved_since_the_list_deletes_nothing() {
    let home = home(&["a", "b"], &[]);
    let account = home.account("");
    list(&account, &home.options(), &home.context(), ListFilter::All, 9).unwrap();
    home.post().letters.remove(0);
    let (result, seen) = deletes(&home, &["1"], true);
    let e = result.unwrap_err();
    assert_eq!((e.exit, seen.len(), home.left().len()), (ExitCode::NoInput, 0, 1), "{}", e.message);
    assert!(e.message.contains("whose unique-id was a"), "{}", e.message);
    assert_eq!(deletes(&home, &["b"], true).0.unwrap(), deleted(1), "by its unique-id it is certain");
}

#[test]
fn a_message_that_is_not_there_is_an_error() {
    let home = Home::holding(&letters(&["a"]));
    for words in [&["2"][..], &["gone"], &["1", "gone"]] {
        let e = deletes(&home, words, true).0.unwrap_err();
        assert_eq!((e.exit, home.left().len()), (ExitCode::NoInput, 1), "{words:?} {}", e.message);
    }
}

/// What the server refuses to delete stays, in the ledger as well, with its words.
#[test]
fn a_deletion_that_the_server_refuses_is_reported() {
    let home = home(&["a", "b"], &[]);
    home.post().refused = vec![("DELE 1".to_owned(), "-ERR read-only".to_owned())];
    let result = deletes(&home, &["1-2"], true).0.unwrap();
    assert_eq!(result.messages, 1);
    let refused: Vec<(u32, &str)> =
        result.refused.iter().map(|(number, words)| (number.get(), words.as_str())).collect();
    assert!(matches!(refused.as_slice(), [(1, words)] if words.contains("read-only")), "{refused:?}");
    assert_eq!((state(&home, "a"), state(&home, "b")), (EntryState::Delivered, EntryState::Deleted));
    assert_eq!(home.left(), ["a"]);
}

/// Only an answer to QUIT confirms: else the message counts as it did, and is looked at again.
#[test]
fn deletions_count_when_the_farewell_is_confirmed() {
    for (farewell, unconfirmed) in
        [(Farewell::Refused, Some("not deleted")), (Farewell::Cut, Some("")), (Farewell::Lost, Some(""))]
    {
        let home = home(&["a"], &[]);
        home.post().farewell = farewell;
        let result = deletes(&home, &["1"], true).0.unwrap();
        assert_eq!(result.messages, 0, "{farewell:?}");
        assert!(result.unconfirmed.as_deref().unwrap().contains(unconfirmed.unwrap()), "{result:?}");
        assert_ne!(state(&home, "a"), EntryState::Deleted, "{farewell:?}");
        home.post().farewell = Farewell::Kept;
        home.run("");
        assert_eq!(home.delivered(), [("a".to_owned(), 1)].into(), "it doesn't come again: {farewell:?}");
    }
}

/// Without that on disk a run after a crash would take what is gone for mail that others have deleted.
#[cfg(feature = "crash-points")]
#[test]
fn nothing_is_deleted_where_the_disk_does_not_take_that_it_is() {
    use crate::durable::{Step, trial::steps};

    let home = home(&["a"], &[]);
    let refuses = |step, path: &std::path::Path| step == Step::Sync && path.ends_with("ledger");
    let ((result, seen), _) = steps(refuses, || deletes(&home, &["1"], true));
    assert_eq!((result.unwrap_err().exit, seen.len()), (ExitCode::LocalIo, 1));
    assert_eq!(home.left(), ["a"]);
}

/// Two messages of one unique-id, one of which is deleted: the ledger still knows the other.
#[test]
fn of_two_messages_with_one_unique_id_the_other_stays_known() {
    let home = Home::holding(&[Letter::new("x", "one"), Letter::new("x", "two")]);
    home.run("");
    assert_eq!(deletes(&home, &["1"], true).0.unwrap(), deleted(1));
    assert_eq!(home.left(), ["two"]);
    home.run("");
    assert_eq!(home.delivered(), [("one".to_owned(), 1), ("two".to_owned(), 1)].into());
}

/// An answer that names another message than was asked about: what was seen may belong to other messages.
#[test]
fn nothing_is_deleted_when_answers_do_not_name_their_messages() {
    for (refused, exit) in [
        (vec![("UIDL ", "+OK 1 another")], ExitCode::Protocol),
        (vec![("UIDL ", "-ERR no"), ("LIST ", "+OK 1 7")], ExitCode::Protocol),
        (vec![("UIDL ", "-ERR no"), ("LIST ", "-ERR no")], ExitCode::Protocol),
    ] {
        let home = home(&["a", "b"], &[]);
        home.post().refused =
            refused.iter().map(|(start, answer)| ((*start).to_owned(), (*answer).to_owned())).collect();
        let (result, seen) = deletes(&home, &["2"], true);
        let e = result.unwrap_err();
        assert_eq!((e.exit, seen.len(), home.left().len()), (exit, 0, 2), "{refused:?} {}", e.message);
    }
    // LIST n does where UIDL n isn't answered.
    let home = home(&["a", "b"], &[]);
    home.post().refused = vec![("UIDL ".to_owned(), "-ERR no".to_owned())];
    assert_eq!(deletes(&home, &["2"], true).0.unwrap(), deleted(1));
}

/// It would drop at QUIT what it refuses to delete: the session ends without.
#[test]
fn a_refused_deletion_is_not_carried_out_by_the_farewell() {
    let post = Post {
        letters: letters(&["a", "b"]),
        capabilities: vec!["UIDL", "TOP", "EXPIRE 0"],
        drops: true,
        refused: vec![("DELE 1".to_owned(), "-ERR no".to_owned())],
        ..Post::default()
    };
    let home = Home::new(post);
    let result = deletes(&home, &["1-2"], true).0.unwrap();
    assert_eq!((result.messages, result.refused.len(), result.unconfirmed.as_deref()), (0, 1, Some("")));
    assert_eq!(home.left(), ["a", "b"]);
}
