//! What only the server, in this very session, can prove: unique-ids that are the message numbers, copies that differ
//! each time, many messages that come back together, deletions that the server forgets.

use crate::mailbox::{Served, good, serve};
use crate::support::mail;
use crate::support::server::Message;

const KEEP: &str = "leave-on-server = true";
const DELETE: &str = "leave-on-server = false";

fn body(number: u64) -> Vec<u8> {
    mail::message(number, 400)
}

fn stored(numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|number| mail::stored(&body(number))).collect()
}

/// Messages under unique-ids that are their numbers.
fn counted(numbers: &[u64]) -> Vec<Message> {
    (1..).zip(numbers).map(|(at, number): (u64, _)| Message::new(at.to_string(), body(*number))).collect()
}

/// How many commands of this kind the last session sent.
fn asked(served: &Served, verb: &str) -> usize {
    let commands = served.server.commands(served.server.sessions());
    commands.iter().filter(|command| command.split(' ').next() == Some(verb)).count()
}

#[track_caller]
fn lists(served: &Served, messages: impl IntoIterator<Item = Message>) {
    served.server.replace("me", messages);
    served.fetch().succeeds();
}

// ---- unique-ids that are the message numbers --------------------------------------------------------------------------

#[test]
fn where_unique_ids_are_numbers_other_mail_under_a_known_number_is_delivered() {
    let served = serve(good(counted(&[1, 2, 3])), KEEP);
    served.fetch().succeeds();
    served.holds(stored(1..=3));
    // Another client has deleted the first; as many as before are listed, and as large.
    lists(&served, counted(&[2, 3, 4]));
    served.holds(stored(1..=4));
    lists(&served, counted(&[5, 4, 3]));
    served.holds(stored(1..=5));
    served.configure(served.server.port(), DELETE);
    lists(&served, counted(&[6, 3]));
    served.holds(stored(1..=6));
    assert!(served.server.unique_ids("me").is_empty());
}

#[test]
fn where_unique_ids_are_numbers_each_poll_looks_at_the_headers() {
    let served = serve(good(counted(&[1, 2, 3])), KEEP);
    for _ in 0..4 {
        served.fetch().succeeds();
    }
    assert_eq!(asked(&served, "UIDL"), 1, "{:?}", served.server.commands(4));
    assert_eq!(asked(&served, "TOP"), 3);
    // With equal sizes, and the first and the last as they were.
    lists(&served, counted(&[1, 4, 3]));
    served.holds(stored(1..=4));
}

#[test]
fn nothing_comes_again_when_numbers_become_names() {
    let served = serve(good(counted(&[1, 2, 3])), KEEP);
    served.fetch().succeeds();
    let named = |numbers: &[u64]| -> Vec<Message> {
        numbers.iter().map(|number| Message::new(format!("name-{number}"), body(*number))).collect()
    };
    lists(&served, named(&[1, 2, 3, 4]));
    served.holds(stored(1..=4));
    // And back.
    lists(&served, counted(&[1, 2, 3, 4]));
    served.holds(stored(1..=4));
    lists(&served, counted(&[4, 3, 2, 5]));
    served.holds(stored(1..=5));
}

#[test]
fn a_single_message_under_the_unique_id_1_is_no_numbering() {
    let served = serve(good(counted(&[1])), KEEP);
    for _ in 0..3 {
        served.fetch().succeeds();
    }
    assert_eq!(served.server.commands(3), ["USER me", "PASS secret", "STAT", "UIDL 1", "QUIT"]);
}

// ---- copies that differ each time -------------------------------------------------------------------------------------

/// The same message as one more of its copies, which all differ and have nothing that names them.
fn copy(number: u64) -> Vec<u8> {
    format!("Subject: a counter\r\n\r\nseen {number:04} times\r\n").into_bytes()
}

fn copies(numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|number| mail::stored(&copy(number))).collect()
}

/// The message is missing from a complete listing, and listed again as its next copy.
#[track_caller]
fn comes_back(served: &Served, number: u64) -> crate::support::sandbox::Run {
    lists(served, []);
    served.server.replace("me", [Message::new("a", copy(number))]);
    served.fetch()
}

/// A mailbox whose one message varies.
fn varying() -> Served {
    let served = serve(good([Message::new("a", copy(1))]), KEEP);
    served.fetch().succeeds();
    comes_back(&served, 2).succeeds();
    served.holds(copies(1..=2));
    served
}

#[test]
fn a_message_with_other_contents_each_time_is_delivered_twice_and_no_more() {
    let served = varying();
    comes_back(&served, 3).succeeds().complains("comes with other contents each time");
    served.holds(copies(1..=2));
    // Reported once, and compared no more.
    let run = comes_back(&served, 4);
    run.succeeds().never_says("contents");
    served.holds(copies(1..=2));
    assert_eq!(asked(&served, "RETR") + asked(&served, "TOP"), 0);
}

#[test]
fn a_message_with_other_contents_each_time_is_delivered_once_more_and_deleted_when_due() {
    let served = varying();
    comes_back(&served, 3).succeeds();
    served.configure(served.server.port(), DELETE);
    served.server.replace("me", [Message::new("a", copy(4))]);
    served.fetch().succeeds();
    served.holds(copies([1, 2, 4]));
    assert!(served.server.unique_ids("me").is_empty());
    served.fetch().succeeds();
    served.holds(copies([1, 2, 4]));
}

#[test]
fn a_message_that_varies_is_deleted_when_due_before_it_was_found_out() {
    let served = varying();
    served.configure(served.server.port(), DELETE);
    served.server.replace("me", [Message::new("a", copy(3))]);
    served.fetch().succeeds();
    served.holds(copies([1, 2, 3]));
    assert!(served.server.unique_ids("me").is_empty());
}

#[test]
fn a_message_that_says_which_it_is_never_counts_as_varying() {
    let message = |number| [Message::new("a", body(number))];
    let served = serve(good(message(1)), KEEP);
    served.fetch().succeeds();
    for number in 2..=4 {
        lists(&served, []);
        lists(&served, message(number));
    }
    served.holds(stored(1..=4));
}

// ---- many that come back together -------------------------------------------------------------------------------------

const MANY: u64 = 70;

fn many(numbers: impl IntoIterator<Item = u64>) -> Vec<Message> {
    (1..).zip(numbers).map(|(at, number): (u64, _)| Message::new(format!("uid-{at}"), body(number))).collect()
}

/// A maildrop of so many that has been empty for a moment, and is back as it was, `times` times; how many were asked for
/// by `verb` after each.
#[track_caller]
fn back_again(served: &Served, times: usize, verb: &str) -> Vec<usize> {
    let mut counts = Vec::new();
    for _ in 0..times {
        lists(served, []);
        lists(served, many(1..=MANY));
        counts.push(asked(served, verb));
    }
    counts
}

#[test]
fn many_that_come_back_are_all_compared_until_they_have_matched_twice() {
    let served = serve(good(many(1..=MANY)), KEEP);
    served.fetch().succeeds();
    let all = MANY as usize;
    assert_eq!(back_again(&served, 4, "TOP"), [all, all, 16, 16]);
    served.holds(stored(1..=MANY));
    // All of them other mail, as large: the sixteen show it, and then all are compared.
    lists(&served, []);
    lists(&served, many(1001..=1000 + MANY));
    served.holds(stored((1..=MANY).chain(1001..=1000 + MANY)));
    // From now on all are compared again.
    lists(&served, []);
    lists(&served, many(1001..=1000 + MANY));
    assert_eq!(asked(&served, "TOP"), all);
}

#[test]
fn of_many_that_come_back_without_top_three_are_retrieved() {
    let served = serve(good(many(1..=MANY)).without("TOP"), KEEP);
    served.fetch().succeeds();
    let all = MANY as usize;
    assert_eq!(back_again(&served, 3, "RETR"), [all, all, 3]);
    served.holds(stored(1..=MANY));
}

#[test]
fn a_sample_lets_nothing_be_deleted() {
    let served = serve(good(many(1..=MANY)), KEEP);
    served.fetch().succeeds();
    back_again(&served, 3, "TOP");
    lists(&served, []);
    served.configure(served.server.port(), DELETE);
    // One of them is other mail, and the sample may miss it.
    let mut messages = many(1..=MANY);
    messages[40] = Message::new("uid-41", body(2000));
    lists(&served, messages);
    served.holds(stored((1..=MANY).chain([2000])));
    assert!(served.server.unique_ids("me").is_empty());
}
