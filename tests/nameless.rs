//! Messages that no unique-id names: the server gives none, gives one twice, or leaves some out of its listing.  What fails
//! among them can't be known again by its name, and must hold up nothing else.

use crate::mailbox::{DELETE, KEEP, Served, body, good, serve, small, stored};
use crate::support::mail;
use crate::support::server::{Message, Options, Retrieved};

/// Its sender has written an end and a status line into it, and the server stuffs no dots: it can't be retrieved.
fn forged(unique_id: &str, number: u64) -> Message {
    let text = format!("Subject: forged {number}\r\n\r\nbefore\r\n.\r\n+OK\r\nSubject: x\r\n\r\nafter\r\n");
    Message::raw(unique_id, text.into_bytes())
}

/// Fetches as often as it takes, at most this many times.
#[track_caller]
fn fetch_until(served: &Served, most: usize, expected: Vec<Vec<u8>>) {
    for _ in 1..most {
        if served.messages().len() == expected.len() {
            break;
        }
        served.fetch();
    }
    served.fetch();
    served.holds(expected);
}

#[test]
fn mail_behind_several_that_cannot_be_retrieved_comes_without_unique_ids_too() {
    for keys in [KEEP, DELETE] {
        let mut messages: Vec<Message> = (1..=4).map(|number| forged("", number)).collect();
        messages.extend(small(2));
        let served = serve(good(messages).without("UIDL"), keys);
        fetch_until(&served, 4, stored(1..=2));
        let left = if keys == KEEP { 6 } else { 4 };
        assert_eq!(served.server.maildrop("me").len(), left, "{keys}");
    }
}

#[test]
fn of_two_messages_with_one_unique_id_the_one_that_can_be_retrieved_comes() {
    for keys in [KEEP, DELETE] {
        let twins = [forged("x", 1), Message::new("x", body(1))];
        let served = serve(good(twins), keys);
        fetch_until(&served, 4, stored([1]));
        let left = if keys == KEEP { 2 } else { 1 };
        assert_eq!(served.server.maildrop("me").len(), left, "{keys}");
    }
}

/// A server whose unique-id listing leaves out the second of three messages.
fn with_a_gap() -> Options {
    good(small(3)).instead("UIDL", "+OK\r\n1 uid-1\r\n3 uid-3\r\n.\r\n")
}

#[test]
fn a_message_that_the_listing_of_unique_ids_lacks_comes_though_the_server_does_not_count() {
    for options in [with_a_gap().without("PIPELINING"), with_a_gap().instead("STAT", "-ERR not here\r\n")] {
        let served = serve(options, KEEP);
        served.fetch().succeeds();
        served.holds(stored(1..=3));
        served.fetch().succeeds();
        served.holds(stored(1..=3));
    }
}

/// Reports of a machine: all have the same header, and nothing that names them.
fn report(number: u64) -> Vec<u8> {
    let body = "the same in all\r\n".repeat(usize::try_from(number).unwrap());
    format!("From: machine@example.org\r\nSubject: report\r\n\r\n{number}\r\n{body}").into_bytes()
}

fn reports(numbers: impl IntoIterator<Item = u64>) -> Vec<Message> {
    numbers.into_iter().map(|number| Message::new("", report(number))).collect()
}

fn stored_reports(numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|number| mail::stored(&report(number))).collect()
}

#[test]
fn of_messages_with_equal_headers_those_that_stay_do_not_come_again_when_others_are_deleted() {
    let served = serve(good(reports(1..=4)).without("UIDL"), "leave-on-server = { newest = 2 }");
    for left in [4, 2, 2, 2] {
        served.fetch().succeeds();
        served.holds(stored_reports(1..=4));
        assert_eq!(served.server.maildrop("me").len(), left);
    }
    // One that is equal to one of those that were deleted is new.
    served.server.add("me", reports([1]));
    served.fetch().succeeds();
    served.holds(stored_reports([1, 1, 2, 3, 4]));
}

/// A scanner on the way gives other headers with TOP than with RETR, or none.
#[test]
fn a_server_whose_top_gives_other_headers_than_its_messages_have_delivers_nothing_again() {
    let scanned = "+OK\r\nX-Scanned: yes\r\nReceived: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n\
        Message-ID: <1@example.org>\r\n\r\n.\r\n";
    for keys in [KEEP, "leave-on-server = { days = 5 }"] {
        let options = good(small(2)).without("UIDL").instead("TOP 1 0", scanned);
        let served = serve(options.instead("TOP 2 0", "+OK\r\n\r\n.\r\n"), keys);
        for _ in 0..3 {
            served.fetch().succeeds();
            served.holds(stored(1..=2));
        }
    }
}

#[test]
fn a_report_that_was_too_large_is_not_taken_for_another_with_its_header() {
    let keys = |limit| format!("{KEEP}\n{limit}");
    let served = serve(good(reports([100, 1])).without("UIDL"), &keys("max-message-size = 1000"));
    served.fetch().succeeds();
    served.holds(stored_reports([1]));
    served.configure(served.server.port(), &keys(""));
    for _ in 0..2 {
        served.fetch().succeeds();
        served.holds(stored_reports([1, 100]));
    }
}

#[test]
fn a_message_that_has_come_since_the_listing_of_unique_ids_waits_for_its_unique_id() {
    let mut options = good(small(3)).without("PIPELINING");
    options =
        options.instead("UIDL 3", "+OK 3 uid-3\r\n").instead("UIDL", "+OK\r\n1 uid-1\r\n2 uid-2\r\n.\r\n");
    let served = serve(options, KEEP);
    served.fetch().succeeds();
    served.holds(stored(1..=2));
    served.server.change(|options| options.instead.retain(|(command, _)| command != "UIDL"));
    served.fetch().succeeds();
    served.holds(stored(1..=3));
}

#[test]
fn in_a_window_a_message_without_a_unique_id_that_is_refused_keeps_no_other_there() {
    let messages = small(5).into_iter().enumerate();
    let messages =
        messages.map(|(at, message)| if at == 1 { message.refused("-ERR not this one") } else { message });
    let mut options = Options { window: Some(3), retrieved: Retrieved::Popped, ..good(messages) };
    options.before_login.push("X-GOOGLE-RICO".into());
    options.after_login.push("X-GOOGLE-RICO".into());
    let served = serve(options.without("UIDL"), DELETE);
    fetch_until(&served, 3, stored([1, 3, 4, 5]));
}

/// The server answers no question by which a message can be named: one message in each session.
#[test]
fn where_nothing_names_a_message_without_a_unique_id_the_next_session_goes_on_behind_it() {
    let mut options =
        good(small(4)).without("UIDL").without("PIPELINING").instead("STAT", "-ERR not here\r\n");
    for number in 1..=4 {
        options = options.instead(&format!("LIST {number}"), "+OK about 400 octets\r\n");
    }
    let served = serve(options, KEEP);
    served.fetch();
    served.holds(stored(1..=4));
    served.fetch();
    served.holds(stored(1..=4));
}
