//! What only the server, in this very session, can prove: unique-ids that are the message numbers, copies that differ
//! each time, many messages that come back together, deletions that the server forgets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::mailbox::{Served, good, serve};
use crate::support::mail;
use crate::support::mailboxes::Maildir;
use crate::support::relay::Line;
use crate::support::server::{Cut, Ending, Message, Options, Retrieved};

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

/// The server confirms QUIT, and deletes nothing.
#[test]
fn without_unique_ids_what_the_server_has_not_deleted_is_not_delivered_again() {
    for options in [good(counted(&[1, 2, 3])), good(counted(&[1, 2, 3])).without("UIDL")] {
        let served = serve(options, DELETE);
        served.fetch().succeeds();
        for _ in 0..3 {
            lists(&served, counted(&[1, 2, 3]));
            served.holds(stored(1..=3));
        }
    }
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

/// Mail with neither trace fields nor identity, all with one header: only its octets tell one from the other.
#[test]
fn mail_without_any_identity_does_not_come_again_either_when_numbers_become_names() {
    let bare = |number: u64| format!("Subject: report\r\n\r\nreport {number:04}\r\n").into_bytes();
    let stored = |numbers: &[u64]| -> Vec<Vec<u8>> {
        numbers.iter().map(|number| mail::stored(&bare(*number))).collect()
    };
    let listed = |numbers: &[u64]| -> Vec<Message> {
        numbers.iter().map(|number| Message::new(number.to_string(), bare(*number))).collect()
    };
    let served = serve(good(listed(&[1, 2, 3])), KEEP);
    served.fetch().succeeds();
    // The first is gone, so that unique-ids aren't numbers; and one has come, as the next that equals a known one does.
    lists(&served, listed(&[2, 3, 4]));
    served.holds(stored(&[1, 2, 3, 4]));
    let mut and_equal = listed(&[3, 4]);
    and_equal.push(Message::new("5", bare(1)));
    lists(&served, and_equal);
    served.holds(stored(&[1, 2, 3, 4, 1]));
}

#[test]
fn what_a_session_has_deleted_it_does_not_ask_for_again() {
    let named = (1..=4).map(|number| Message::new(format!("name-{number}"), body(number)));
    let served = serve(good(named), KEEP);
    served.fetch().succeeds();
    lists(&served, counted(&[1, 2, 3, 4]));
    lists(&served, counted(&[4, 3, 2, 5]));
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    served.holds(stored(1..=5));
    assert!(served.server.unique_ids("me").is_empty());
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

/// The message is missing from a complete listing, and listed again as this copy.
#[track_caller]
fn comes_back(served: &Served, number: u64) -> crate::support::sandbox::Run {
    lists(served, []);
    served.server.replace("me", [Message::new("a", copy(number))]);
    served.fetch()
}

/// The message of which each RETR gets another copy.
fn varies() -> Message {
    Message::new("a", "Subject: a counter\r\n\r\nseen NNNN times\r\n")
}

/// The same, where the message is one that varies.
#[track_caller]
fn varying_comes_back(served: &Served) -> crate::support::sandbox::Run {
    lists(served, []);
    served.server.replace("me", [varies()]);
    served.fetch()
}

/// A mailbox whose one message varies, and how often it was retrieved.
fn varying() -> (Served, Arc<AtomicU64>) {
    let counter = Arc::new(AtomicU64::new(0));
    let served = serve(Options { counter: Some(counter.clone()), ..good([varies()]) }, KEEP);
    served.fetch().succeeds();
    served.holds(copies([1]));
    // Compared, and compared with all that is known.
    varying_comes_back(&served).succeeds();
    served.holds(copies([1, 3]));
    (served, counter)
}

#[test]
fn a_message_with_other_contents_each_time_is_delivered_twice_and_no_more() {
    let (served, counter) = varying();
    varying_comes_back(&served).succeeds().complains("comes with other contents each time");
    served.holds(copies([1, 3]));
    assert_eq!(counter.load(Ordering::Relaxed), 5, "it is asked for twice, to see whether it varies");
    // Reported once, and compared no more.
    let run = varying_comes_back(&served);
    run.succeeds().never_says("contents");
    served.holds(copies([1, 3]));
    assert_eq!(asked(&served, "RETR") + asked(&served, "TOP"), 0);
}

/// A server may put the same in for a whole session.
#[test]
fn a_message_with_other_contents_in_each_session_is_delivered_twice_and_no_more() {
    let message = || Message::new("a", "Subject: a session\r\n\r\nit is number SSSS\r\n");
    let served = serve(Options { counter: Some(Arc::default()), ..good([message()]) }, KEEP);
    served.fetch().succeeds();
    for (copies, says) in [(2, None), (2, Some("comes with other contents each time")), (2, None)] {
        lists(&served, []);
        served.server.replace("me", [message()]);
        let run = served.fetch();
        run.succeeds();
        match says {
            Some(says) => run.complains(says),
            None => run.never_says("contents"),
        };
        assert_eq!(Maildir::read(&served.sandbox.path("mail")).messages().len(), copies);
    }
}

/// Reports of a machine, and a server that gives a unique-id again.
#[test]
fn what_has_a_unique_id_again_comes_each_time_where_copies_do_not_differ() {
    let served = serve(good([Message::new("a", copy(1))]), KEEP);
    served.fetch().succeeds();
    for number in 2..=5 {
        comes_back(&served, number).succeeds().never_says("contents");
        served.holds(copies(1..=number));
        served.fetch().succeeds();
        served.holds(copies(1..=number));
    }
}

#[test]
fn a_message_with_other_contents_each_time_is_delivered_once_more_and_deleted_when_due() {
    let (served, _) = varying();
    varying_comes_back(&served).succeeds();
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    served.holds(copies([1, 3, 6]));
    assert!(served.server.unique_ids("me").is_empty());
    served.fetch().succeeds();
    served.holds(copies([1, 3, 6]));
}

#[test]
fn a_message_that_varies_is_deleted_when_due_before_it_was_found_out() {
    let (served, _) = varying();
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    served.holds(copies([1, 3, 4]));
    assert!(served.server.unique_ids("me").is_empty());
}

#[test]
fn a_message_with_other_contents_each_time_goes_when_a_newer_one_makes_it_due() {
    let (served, _) = varying();
    varying_comes_back(&served).succeeds();
    served.configure(served.server.port(), "leave-on-server = { newest = 1 }");
    served.server.replace("me", [varies(), Message::new("b", body(1))]);
    for _ in 0..2 {
        served.fetch().succeeds();
        // The one that makes it due was retrieved first.
        served.holds([copies([1, 3, 7]), stored([1])].concat());
        assert_eq!(served.server.unique_ids("me"), ["b"]);
    }
}

/// A server that counts from 1 again in an empty maildrop, and reports of a machine.
#[test]
fn what_has_the_unique_id_of_deleted_mail_that_is_gone_comes_each_time() {
    let served = serve(good([]), KEEP);
    for number in 1..=4 {
        served.server.replace("me", [Message::new("a", copy(number))]);
        served.fetch().succeeds();
        served.holds(copies(1..=number));
        served.sandbox.run(["delete", "me", "-y", "1"]).succeeds();
        served.fetch().succeeds();
    }
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

/// QUIT takes away what was merely retrieved: what is left as it was delivered would be gone.
#[test]
fn where_quit_deletes_what_was_retrieved_the_third_of_a_name_is_delivered_as_well() {
    let served = serve(good([Message::new("a", copy(1))]).dropping_retrieved(), KEEP);
    served.fetch().succeeds();
    for number in 2..=4 {
        comes_back(&served, number).succeeds();
        served.holds(copies(1..=number));
    }
}

/// Unique-ids that count from 1 again: other mail stands under a name whose deletion was confirmed, and no listing has lacked
/// it.  Whether the copies of one message differ each time shows when it comes again.
#[test]
fn other_mail_under_the_name_of_deleted_mail_comes_at_the_second_run_at_the_latest() {
    let served = serve(good([Message::new("a", copy(1))]), DELETE);
    served.fetch().succeeds();
    for number in 2..=5 {
        served.server.replace("me", [Message::new("a", copy(number))]);
        served.fetch();
        if served.messages().len() < number as usize {
            served.fetch();
        }
        served.holds(copies(1..=number));
        assert!(served.server.unique_ids("me").is_empty());
    }
}

/// The same where QUIT deletes what was merely retrieved, the other mail too.
#[test]
fn where_quit_deletes_what_was_retrieved_other_mail_under_the_name_of_deleted_mail_is_not_lost() {
    let served = serve(good([Message::new("a", copy(1))]).dropping_retrieved(), DELETE);
    served.fetch().succeeds();
    for number in 2..=5 {
        served.server.replace("me", [Message::new("a", copy(number))]);
        served.fetch();
        if served.messages().len() < number as usize {
            served.fetch();
        }
        served.holds(copies(1..=number));
    }
}

/// A message is first looked at by its header, and then refused: that is one message, and its own matter.  Where QUIT deletes
/// what was retrieved, the next run tries it in a session of its own, in which what is known is compared first, and then the
/// rest is delivered.
#[test]
fn one_message_that_is_refused_behind_its_header_has_failed() {
    let served = serve(good([Message::new("a", body(1))]).dropping_retrieved(), KEEP);
    served.fetch().succeeds();
    lists(&served, []);
    served.server.replace("me", [Message::new("a", body(2)).refused("-ERR not now")]);
    served.fetch().exits(75);
    served.server.replace("me", [Message::new("a", body(2))]);
    served.fetch();
    assert_eq!(served.server.sessions(), 5, "one for what has failed");
    served.holds(stored(1..=2));
}

// ---- unique-ids that stand for several messages -----------------------------------------------------------------------

fn from(first: u64, count: u64) -> Vec<Message> {
    (1..=count).map(|number| Message::new(format!("id-{}", first + number), body(number))).collect()
}

/// Two nodes answer in turn, whose unique-ids overlap: each of them has the message of the other.
#[test]
fn all_comes_once_from_two_nodes_whose_unique_ids_overlap() {
    let served = serve(good(from(2, 4)), &format!("{KEEP}\nmax-messages = 2"));
    served.fetch().succeeds();
    served.configure(served.server.port(), KEEP);
    for first in [0, 2, 0, 2] {
        lists(&served, from(first, 4));
    }
    served.configure(served.server.port(), DELETE);
    for _ in 0..3 {
        served.fetch();
    }
    assert!(served.server.unique_ids("me").is_empty());
    served.holds(stored(1..=4));
}

/// Two messages were put in before the others, and all unique-ids have moved on by two: each one that is known is listed, and
/// for a message as large as before.
#[test]
fn what_slides_to_the_unique_ids_of_its_neighbours_is_not_delivered_again() {
    let before: Vec<u64> = (3..=8).collect();
    let named = |numbers: &[u64]| {
        (1..)
            .zip(numbers)
            .map(|(at, number): (u64, _)| Message::new(format!("id-{at}"), body(*number)))
            .collect()
    };
    let all: Vec<Message> = named(&before);
    let served = serve(good(all), KEEP);
    served.fetch().succeeds();
    for _ in 0..2 {
        let after: Vec<Message> = named(&[&[1, 2], &before[..]].concat());
        lists(&served, after);
        served.holds(stored(1..=8));
    }
}

/// A server that closes the connection where a header is asked for: new mail comes, in another session, in each run.
#[test]
fn a_server_that_closes_at_top_keeps_no_mail_back() {
    for ending in [Ending::Close, Ending::Reset] {
        let served = serve(good(from(0, 3)), &format!("{KEEP}\nlisting = \"full\""));
        served.fetch().succeeds();
        served.server.change(|options| {
            (options.cut, options.ending) = (Some(Cut::At("TOP".to_owned())), ending);
        });
        for count in [4, 5] {
            lists(&served, from(0, count));
            served.holds(stored(1..=count));
        }
        // One that closes at the password isn't asked twice: that may count as another try.
        served.server.change(|options| options.cut = Some(Cut::At("PASS".to_owned())));
        let before = served.server.sessions();
        served.fetch().exits(75);
        assert_eq!(served.server.sessions() - before, 1);
    }
}

/// A second copy of a message costs a look at the first one, and no more.
#[test]
fn a_second_copy_puts_no_other_message_in_doubt() {
    let served = serve(good(from(0, 6)), KEEP);
    served.fetch().succeeds();
    let copied = |names: &[&str]| {
        let copies = names.iter().map(|name| Message::new(*name, body(2)));
        from(0, 6).into_iter().chain(copies).collect::<Vec<_>>()
    };
    lists(&served, copied(&["copy"]));
    served.holds(stored([1, 2, 2, 3, 4, 5, 6]));
    // Two spot checks, and the one.
    assert!(asked(&served, "TOP") <= 3, "{}", asked(&served, "TOP"));
    lists(&served, copied(&["copy", "another"]));
    served.holds(stored([1, 2, 2, 2, 3, 4, 5, 6]));
}

/// A backup is restored beside what has come since, and the server has given its unique-ids again.
#[test]
fn what_is_listed_under_a_restored_unique_id_is_known_all_the_same() {
    let named = |names: [&str; 2], first: u64| {
        let numbers = first..;
        names
            .into_iter()
            .zip(numbers)
            .map(|(name, number)| Message::new(name, body(number)))
            .collect::<Vec<_>>()
    };
    let served = serve(good(named(["p", "q"], 1)), KEEP);
    served.fetch().succeeds();
    lists(&served, named(["m", "n"], 3));
    served.holds(stored(1..=4));
    lists(&served, [named(["p", "q"], 1), named(["p", "q"], 3)].concat());
    served.holds(stored(1..=4));
}

// ---- many that come back together -------------------------------------------------------------------------------------

const MANY: u64 = 70;

fn many(numbers: impl IntoIterator<Item = u64>) -> Vec<Message> {
    (1..).zip(numbers).map(|(at, number): (u64, _)| Message::new(format!("uid-{at}"), body(number))).collect()
}

/// A maildrop of this many messages that has been empty for a moment, and is back as it was, `times` times; how many were asked for
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
    assert_eq!(back_again(&served, 3, "TOP"), [all, all, 16]);
    let sample = || {
        let commands = served.server.commands(served.server.sessions()).into_iter();
        commands.filter(|command| command.starts_with("TOP")).collect::<Vec<_>>()
    };
    let before = sample();
    assert_eq!(back_again(&served, 1, "TOP"), [16]);
    assert_ne!(sample(), before, "the server could know which are looked at");
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
fn of_many_that_come_back_without_top_the_smallest_are_retrieved() {
    let message = |number: u64| mail::message(number, 2000 - usize::try_from(number).unwrap() * 20);
    let messages = || (1..=MANY).map(|number| Message::new(format!("uid-{number}"), message(number)));
    let served = serve(good(messages()).without("TOP"), KEEP);
    served.fetch().succeeds();
    for _ in 0..3 {
        lists(&served, []);
        lists(&served, messages());
    }
    let mut retrieved = served.server.commands(served.server.sessions());
    retrieved.retain(|command| command.starts_with("RETR"));
    retrieved.sort();
    assert_eq!(retrieved, ["RETR 68", "RETR 69", "RETR 70"]);
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

// ---- a listing that is suspect ----------------------------------------------------------------------------------------

/// Each of these listings shows that unique-ids may have moved, and all that is known is compared.  So the other mail
/// that is as large as what it took the place of is found, wherever it stands.
#[test]
fn where_a_listing_is_suspect_other_mail_under_a_known_unique_id_is_delivered() {
    let named = |number: u64| Message::new(format!("uid-{number}"), body(number));
    let other = || Message::new("uid-30", body(1030));
    let with_other = |numbers: std::ops::RangeInclusive<u64>| {
        numbers.map(|number| if number == 30 { other() } else { named(number) }).collect::<Vec<_>>()
    };
    let mut reordered = with_other(1..=40);
    reordered.swap(5, 6);
    let most_are_gone = [with_other(25..=40), vec![named(41)]].concat();
    let not_at_the_end = [with_other(1..=39), vec![named(41), named(40)]].concat();
    for (listing, new) in [(reordered, None), (most_are_gone, Some(41)), (not_at_the_end, Some(41))] {
        let served = serve(good((1..=40).map(named)), &format!("{KEEP}\nlisting = \"full\""));
        served.fetch().succeeds();
        lists(&served, listing);
        served.fetch().succeeds();
        served.holds(stored((1..=40).chain(new).chain([1030])));
    }
}

/// It costs one header for each message, in one flight, and only once.
#[test]
fn a_suspect_listing_is_compared_once_and_in_a_constant_number_of_waits() {
    let mut waits = Vec::new();
    for count in [40, 300] {
        let named = |number: u64| Message::new(format!("uid-{number}"), body(number));
        let line = Some(Line::round_trip(Duration::from_millis(20)));
        let options = Options { line, ..good((1..=count).map(named)) };
        let served = serve(options, &format!("{KEEP}\nlisting = \"full\""));
        served.fetch().succeeds();
        let before = served.server.relay().unwrap().waits();
        lists(&served, (1..=count).rev().map(named));
        waits.push(served.server.relay().unwrap().waits() - before);
        let looked_at = usize::try_from(count).unwrap();
        // The listing looks at two headers in any case.
        assert!((looked_at..=looked_at + 3).contains(&asked(&served, "TOP")), "{}", asked(&served, "TOP"));
        for _ in 0..2 {
            served.fetch().succeeds();
            assert_eq!(asked(&served, "TOP"), 2);
        }
        assert_eq!(served.server.count("RETR"), looked_at);
        served.holds(stored(1..=count));
    }
    assert!(waits[1] <= waits[0] + 3 && waits[1] <= 14, "{waits:?} round trips");
}

// ---- headers that are looked at with a listing --------------------------------------------------------------------------

/// Nothing but its header shows that other mail, as large, has taken the place of what was delivered.
#[test]
fn other_mail_of_the_same_size_is_found_by_its_header_and_delivered() {
    let named = |number: u64, body: Vec<u8>| Message::new(format!("uid-{number}"), body);
    let served = serve(good((1..=2).map(|n| named(n, body(n)))), &format!("{KEEP}\nlisting = \"full\""));
    served.fetch().succeeds();
    // Both are looked at: there are no others.
    lists(&served, [named(1, body(1)), named(2, body(102))]);
    served.holds(stored([1, 2, 102]));
}

/// It may be other mail: a deletion that falls due in the very session that finds so delivers it first.
#[test]
fn what_differs_each_time_is_not_deleted_unseen_by_the_session_that_finds_so() {
    let (served, _) = varying();
    served.configure(served.server.port(), "leave-on-server = { newest = 1 }");
    lists(&served, []);
    lists(&served, [varies(), Message::new("b", body(9))]);
    // Asked for twice, and retrieved behind the other one.
    served.holds([copies([1, 3, 7]), stored([9])].concat());
    assert_eq!(served.server.unique_ids("me"), ["b"]);
}

// ---- the other mode ---------------------------------------------------------------------------------------------------

#[test]
fn what_looks_different_in_the_other_mode_comes_again_only_when_it_is_due() {
    let mut options = good([Message::new("a", copy(1)), Message::new("b", body(2))]);
    options.before_login.push("UTF8".to_owned());
    let served = serve(options.instead("UTF8", "+OK\r\n"), &format!("{KEEP}\nutf8 = \"off\""));
    served.fetch().succeeds();
    let first = [copies([1]), stored([2])].concat();
    served.holds(first.clone());
    // The same mail, larger in the other mode.
    let other = [&copy(1)[..], b"more\r\n"].concat();
    served.configure(served.server.port(), &format!("{KEEP}\nlisting = \"full\""));
    lists(&served, [Message::new("a", &other), Message::new("b", body(2)), Message::new("c", body(3))]);
    served.fetch().succeeds();
    let kept = [first, stored([3])].concat();
    served.holds(kept.clone());
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    served.holds([kept, vec![mail::stored(&other)]].concat());
    assert!(served.server.unique_ids("me").is_empty());
}

#[test]
fn what_looks_different_in_the_other_mode_puts_nothing_in_doubt() {
    // As large, and with a header that identifies it: a spot check may look at it.
    let mut options = good([Message::new("a", body(1)), Message::new("b", body(2))]);
    options.before_login.push("UTF8".to_owned());
    let served = serve(options.instead("UTF8", "+OK\r\n"), &format!("{KEEP}\nutf8 = \"off\""));
    served.fetch().succeeds();
    served.configure(served.server.port(), &format!("{KEEP}\nlisting = \"full\""));
    for _ in 0..4 {
        lists(&served, [Message::new("a", body(11)), Message::new("b", body(12))]);
        served.holds(stored(1..=2));
    }
    assert_eq!(served.server.count("RETR"), 2);
}

// ---- what cannot be compared is not deleted ---------------------------------------------------------------------------

#[test]
fn what_is_too_large_to_be_compared_is_not_deleted() {
    let large = mail::message(9, 5000);
    let messages = [Message::new("a", body(1)), Message::new("large", &large), Message::new("b", body(2))];
    let served = serve(good(messages).without("TOP"), KEEP);
    served.fetch().succeeds();
    served.configure(served.server.port(), &format!("{DELETE}\nmax-message-size = 1000"));
    served.fetch();
    assert_eq!(served.server.unique_ids("me"), ["large"]);
    let retrieved = |number: usize| served.server.count(&format!("RETR {number}"));
    assert_eq!((retrieved(1), retrieved(2), retrieved(3)), (2, 1, 2));
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    assert!(served.server.unique_ids("me").is_empty());
    served.holds([stored(1..=2), vec![mail::stored(&large)]].concat());
}

#[test]
fn a_message_whose_header_never_ends_is_not_deleted() {
    let served = serve(good((1..=3).map(|number| Message::new(format!("uid-{number}"), body(number)))), KEEP);
    served.fetch().succeeds();
    let endless =
        [&b"+OK\r\n"[..], &b"X: 0123456789012345678901234567890123456789012345678901\r\n".repeat(320_000)];
    served.server.change(|options| *options = options.clone().instead("TOP 2", endless.concat()));
    served.configure(served.server.port(), &format!("{DELETE}\nlisting = \"full\""));
    // The server closes what has been silent for half a minute, at the spot check and where the message is compared.
    let run = served.sandbox.popfetch([""; 0]).limit(Duration::from_secs(180)).run();
    assert_ne!(run.code(), Some(0));
    assert!(served.server.unique_ids("me").contains(&"uid-2".to_owned()));
    served.server.change(|options| options.instead.clear());
    served.fetch();
    served.fetch().succeeds();
    assert!(served.server.unique_ids("me").is_empty());
    served.holds(stored(1..=3));
}

/// Gmail pops what was retrieved when the session ends in QUIT, and announces that in its own way only.
#[test]
fn where_quit_drops_what_was_retrieved_by_googles_word_alone_nothing_is_lost() {
    let mut messages: Vec<Message> =
        (1..=3).map(|number| Message::new(format!("uid-{number}"), body(number))).collect();
    messages[1] = Message::raw("uid-2", &b""[..]).claiming(100);
    let mut options = good(messages).expiring(["X-GOOGLE-RICO"]);
    options.retrieved = Retrieved::Deleted;
    let served = serve(options, DELETE);
    served.fetch().exits(75);
    // Without QUIT nothing was dropped, and nothing deleted; the next run deletes what it recognises.
    for _ in 0..2 {
        served.fetch();
        assert_eq!(served.server.unique_ids("me"), ["uid-2"]);
    }
    served.holds(stored([1, 3]));
}

// ---- headers beyond every measure -------------------------------------------------------------------------------------

/// A header that goes on for this many MiB, and no body.
fn all_header(megabytes: usize) -> Vec<u8> {
    let mut message = mail::message(1, 400);
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    message.truncate(end + 2);
    let line = format!("X-Pad: {}\r\n", "x".repeat(1015));
    message.extend(line.repeat(megabytes * 1024).into_bytes());
    message
}

/// It is looked at by TOP in each run, and before it is deleted: whatever that gives, it stands in nobody's way.
#[test]
fn a_header_without_an_end_keeps_no_mail_waiting() {
    let served = serve(good([Message::new("huge", all_header(17))]), KEEP);
    served.fetch().succeeds();
    served.configure(served.server.port(), DELETE);
    lists(&served, [Message::new("huge", all_header(17)), Message::new("b", body(2))]);
    assert_eq!(served.messages().len(), 2);
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
}
