//! A session that the user leads.

use super::{home, letters, named};
use crate::ledger::directory;
use crate::ledger::{EntryState, Ledger};
use crate::plan::trial::number;
use crate::retrieval::by_hand::{AnswerPiece, ByHand, Farewell, KnownAs, ReadCommand, by_hand};
use crate::retrieval::trial::{self, Home, Letter, Post, unique_id};
use crate::retrieval::{MarkOrder, mark_seen};

fn led<T>(home: &Home, lead: impl FnOnce(ByHand<'_>) -> T) -> T {
    by_hand(&home.account(""), &home.options(), &home.context(), lead).unwrap()
}

fn nothing(_: AnswerPiece<'_>) {}

fn state(home: &Home, name: &str) -> EntryState {
    let mailbox = home.account("").mailbox();
    let ledger =
        Ledger::read(&directory(&home.context().state, &mailbox), &mailbox, crate::clock::now()).unwrap();
    ledger.entry(ledger.find(unique_id(name).borrow()).unwrap()).state
}

#[test]
fn the_user_sees_what_is_known_of_each_message() {
    let home = Home::holding(&letters(&["a", "seen"]));
    let mark = MarkOrder { messages: Some(named(&["seen"])), ..MarkOrder::default() };
    mark_seen(&home.account_with_password(""), &home.context(), &mark).unwrap();
    home.run("");
    home.post().letters.extend(letters(&["new"]));
    led(&home, |hand| {
        assert!(matches!(hand.known(number(1)), KnownAs::Delivered(Some(_))));
        assert_eq!(hand.known(number(2)), KnownAs::Seen);
        assert_eq!(hand.known(number(3)), KnownAs::Undelivered);
        assert_eq!(hand.known(number(9)), KnownAs::Undelivered, "it isn't listed");
        assert_eq!(hand.messages(), 3);
        assert!(hand.server().starts_with("127.0.0.1:"));
        hand.abort();
    });
    assert_eq!(home.left().len(), 3);
}

/// What is marked goes at QUIT, and what was delivered of it is recorded as deleted.
#[test]
fn what_is_marked_goes_at_the_end() {
    let home = home(&["a", "b"], &["c"]);
    let farewell = led(&home, |mut hand| {
        // The third is refused: it is marked already.
        for (n, ok) in [(1, true), (3, true), (1, false)] {
            assert_eq!(hand.mark(number(n), nothing).unwrap(), ok);
        }
        assert_eq!(hand.marked(), [number(1), number(3)]);
        assert_eq!(hand.undelivered(), [number(3)], "the user is warned of it");
        hand.quit().unwrap()
    });
    assert_eq!((farewell, home.left()), (Farewell::Confirmed, vec!["b".to_owned()]));
    assert_eq!((state(&home, "a"), state(&home, "b")), (EntryState::Deleted, EntryState::Delivered));
}

/// Marks can be taken back, and a session that is left without QUIT deletes nothing.
#[test]
fn marks_are_taken_back_by_rset_and_by_leaving() {
    let home = home(&["a"], &[]);
    led(&home, |mut hand| {
        hand.mark(number(1), nothing).unwrap();
        assert!(!hand.ask(ReadCommand::Rset, nothing).unwrap(), "this server has no RSET");
        assert_eq!(hand.marked().len(), 1, "a refusal takes nothing back");
        hand.abort();
    });
    assert_eq!((home.left().len(), state(&home, "a")), (1, EntryState::Delivered));
    home.post().refused = vec![("RSET".to_owned(), "+OK".to_owned())];
    led(&home, |mut hand| {
        hand.mark(number(1), nothing).unwrap();
        assert!(hand.ask(ReadCommand::Rset, nothing).unwrap());
        assert_eq!((hand.marked().len(), hand.undelivered().len()), (0, 0));
        hand.abort();
    });
}

/// A unique-id stands for other mail: the user sees that nobody has it before QUIT deletes it.
#[test]
fn other_mail_under_a_known_unique_id_is_shown_as_undelivered_when_it_is_marked() {
    let home = home(&["a"], &[]);
    home.post().letters = vec![Letter::new("a", "other")];
    led(&home, |mut hand| {
        assert!(matches!(hand.known(number(1)), KnownAs::Delivered(_)), "by its unique-id");
        hand.mark(number(1), nothing).unwrap();
        assert_eq!((hand.known(number(1)), hand.undelivered().len()), (KnownAs::Undelivered, 1));
        hand.quit().unwrap();
    });
    assert_eq!(state(&home, "a"), EntryState::Delivered, "what was delivered was not deleted");
}

/// Where QUIT deletes what was retrieved, looking at a message counts as deleting it.
#[test]
fn where_quit_drops_what_was_retrieved_the_user_is_warned_of_that_too() {
    let capabilities = vec!["UIDL", "TOP", "EXPIRE 0"];
    let home = Home::new(Post { letters: letters(&["a"]), capabilities, drops: true, ..Post::default() });
    led(&home, |mut hand| {
        assert!(hand.ask(ReadCommand::Top(number(1), 0), nothing).unwrap());
        assert_eq!(hand.undelivered(), []);
        assert!(hand.ask(ReadCommand::Retr(number(1)), nothing).unwrap());
        assert_eq!(hand.undelivered(), [number(1)]);
        hand.abort();
    });
    assert_eq!(home.left().len(), 1);
    let plain = Home::holding(&letters(&["a"]));
    led(&plain, |mut hand| {
        hand.ask(ReadCommand::Retr(number(1)), nothing).unwrap();
        assert_eq!(hand.undelivered(), [], "here QUIT deletes only what is marked");
        hand.abort();
    });
}

/// Answers come as the server gave them: status, lines, text.
#[test]
fn answers_come_piece_by_piece() {
    let home = Home::holding(&letters(&["a", "b"]));
    led(&home, |mut hand| {
        let mut lines = Vec::new();
        let ok = hand.ask(ReadCommand::Uidl(None), |piece| {
            if let AnswerPiece::Line(line) = piece {
                lines.push(String::from_utf8_lossy(line).into_owned());
            }
        });
        assert_eq!((ok.unwrap(), lines), (true, vec!["1 a".to_owned(), "2 b".to_owned()]));
        let mut status = None;
        let ok = hand.ask(ReadCommand::Uidl(Some(number(7))), |piece| {
            if let AnswerPiece::Status(ok, text) = piece {
                status = Some((ok, text.to_vec()));
            }
        });
        assert_eq!((ok.unwrap(), status), (false, Some((false, b"no such message".to_vec()))));
        assert_eq!(
            hand.shown(b"pencil \x1b[1m"),
            "*** \\x1b[1m",
            "neither the password nor a terminal's code"
        );
        hand.abort();
    });
}

/// An end that isn't confirmed leaves it open what was deleted.
#[test]
fn a_farewell_that_is_not_confirmed_deletes_nothing_in_the_ledger() {
    for farewell in [trial::Farewell::Refused, trial::Farewell::Lost] {
        let home = home(&["a"], &[]);
        home.post().farewell = farewell;
        let end = led(&home, |mut hand| {
            hand.mark(number(1), nothing).unwrap();
            hand.quit().unwrap()
        });
        assert_ne!(end, Farewell::Confirmed);
        assert_ne!(state(&home, "a"), EntryState::Deleted, "{farewell:?}");
    }
}

/// Of two messages with one unique-id only both together are gone.
#[test]
fn one_of_two_messages_with_one_unique_id_leaves_the_other_known() {
    let home = Home::holding(&[Letter::new("x", "one"), Letter::new("x", "two")]);
    home.run("");
    for (marks, expected) in [(&[1][..], EntryState::Delivered), (&[1], EntryState::Deleted)] {
        led(&home, |mut hand| {
            marks.iter().for_each(|n| assert!(hand.mark(number(*n), nothing).unwrap()));
            hand.quit().unwrap();
        });
        assert_eq!(state(&home, "x"), expected);
    }
}

/// Where QUIT takes away what was retrieved, a look at other mail under a known unique-id would delete it unread by anybody else.
#[test]
fn what_was_looked_at_where_quit_drops_it_is_compared_first() {
    let capabilities = vec!["UIDL", "TOP", "EXPIRE 0"];
    let home = Home::new(Post { letters: letters(&["a"]), capabilities, ..Post::default() });
    home.run("");
    for (content, expected) in [("a", 0), ("other", 1)] {
        home.post().letters = vec![Letter::new("a", content)];
        led(&home, |mut hand| {
            assert!(hand.ask(ReadCommand::Retr(number(1)), nothing).unwrap());
            assert_eq!(hand.undelivered().len(), expected, "{content}");
            hand.abort();
        });
    }
}

/// What the server refuses isn't marked, what it accepts twice is marked once, and only RSET takes it back.
#[test]
fn a_mark_is_what_the_server_has_accepted() {
    for (answer, expected) in [("-ERR no", 0), ("+OK", 1)] {
        let home = home(&["a", "b"], &[]);
        home.post().refused = vec![("DELE".to_owned(), answer.to_owned())];
        led(&home, |mut hand| {
            for _ in 0..2 {
                assert_eq!(hand.mark(number(1), nothing).unwrap(), expected == 1);
            }
            assert!(hand.ask(ReadCommand::Top(number(2), 0), nothing).unwrap());
            assert_eq!(hand.marked().len(), expected, "{answer}");
            hand.abort();
        });
    }
}

/// Of what was never delivered nothing is to be compared: nothing but its deletion is asked for.
#[test]
fn what_was_never_delivered_is_marked_unseen() {
    let home = home(&["a"], &["new"]);
    home.forget_what_was_sent();
    led(&home, |mut hand| {
        assert!(hand.mark(number(2), nothing).unwrap());
        hand.abort();
    });
    let sent = home.sent().concat();
    assert!(
        !sent.iter().any(|command| command.starts_with("TOP") || command.starts_with("RETR")),
        "{sent:?}"
    );
}

/// A ledger that has become shorter can't record what is deleted: then nothing is.
#[test]
fn nothing_is_deleted_where_the_ledger_was_cut_off() {
    let home = home(&["a", "b"], &[]);
    led(&home, |mut hand| {
        hand.mark(number(1), nothing).unwrap();
        let ledger = home.mailbox().join("ledger");
        let octets = std::fs::metadata(&ledger).unwrap().len();
        std::fs::File::options().write(true).open(&ledger).unwrap().set_len(octets / 2).unwrap();
        assert!(hand.quit().is_err());
    });
    home.wait_for_the_server();
    assert_eq!(home.left().len(), 2);
}

/// Without that on disk a run after a crash would take what is gone for mail that others have deleted.
#[cfg(feature = "crash-points")]
#[test]
fn nothing_is_deleted_where_the_disk_does_not_take_that_it_is() {
    use crate::durable::{Step, trial::steps};

    let home = home(&["a"], &[]);
    led(&home, |mut hand| {
        hand.mark(number(1), nothing).unwrap();
        let refuses = |step, path: &std::path::Path| step == Step::Sync && path.ends_with("ledger");
        let (ended, _) = steps(refuses, || hand.quit());
        assert_eq!(ended.unwrap_err().exit, crate::exit::ExitCode::LocalIo);
    });
    home.wait_for_the_server();
    assert_eq!(home.left(), ["a"]);
}
