//! Which message is which: unique-ids used again, listed twice, renumbered, missing; and servers that show only a
//! window of the maildrop.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::mailbox::{DELETE, KEEP, Served, body, good, serve, small, stored};
use crate::support::mail;
use crate::support::server::{Cut, Message, Options, Retrieved};

#[track_caller]
fn lists(served: &Served, messages: impl IntoIterator<Item = Message>) {
    served.server.replace("me", messages);
    served.fetch().succeeds();
}

// ---- a unique-id used again -------------------------------------------------------------------------------------------

#[test]
fn changed_size_is_another_message() {
    let served = serve(good([Message::new("a", body(1)), Message::new("b", body(2))]), KEEP);
    served.fetch().succeeds();
    let other = mail::message(3, 500);
    // Something new makes popfetch ask for sizes.
    let listed = [Message::new("a", &other), Message::new("b", body(2)), Message::new("c", body(4))];
    served.server.replace("me", listed);
    served.fetch().succeeds();
    served.holds([stored([1, 2, 4]), vec![mail::stored(&other)]].concat());
    served.fetch().succeeds();
    // What isn't what its unique-id stands for is looked at again, when everything that is known has been.
    assert_eq!(served.server.count("RETR"), 5);
}

#[test]
fn another_size_of_the_same_message_changes_nothing() {
    let status = |text: &str| {
        let octets = String::from_utf8(body(1)).unwrap().replace("Subject:", &format!("{text}Subject:"));
        Message::new("a", octets)
    };
    let served = serve(good([status("")]), KEEP);
    served.fetch().succeeds();
    served.server.replace("me", [status("Status: RO\r\nX-UID: 7\r\n"), Message::new("b", body(2))]);
    served.fetch().succeeds();
    served.holds(stored(1..=2));
    assert_eq!(served.server.count("RETR"), 2);
    assert_eq!(served.server.count("TOP"), 1);
}

#[test]
fn a_deletion_looks_at_the_size_first() {
    let served = serve(good([Message::new("a", body(1))]), KEEP);
    served.fetch().succeeds();
    let other = mail::message(3, 500);
    served.server.replace("me", [Message::new("a", &other)]);
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    served.holds([stored([1]), vec![mail::stored(&other)]].concat());
    assert!(served.server.unique_ids("me").is_empty());
}

#[test]
fn what_was_not_compared_is_not_deleted() {
    // A limit of the run, a refusal, a full disk: none of them makes the other message ours.
    let other = || Message::new("b", mail::message(3, 500));
    let limited = format!("{DELETE}\nmax-messages = 1");
    for (keys, second, code) in
        [(limited.as_str(), other(), 0), (DELETE, other().refused("-ERR not now"), 75)]
    {
        let served = serve(good(small(0).into_iter().chain([Message::new("b", body(2))])), KEEP);
        served.fetch().succeeds();
        served.server.replace("me", [Message::new("a", body(1)), second]);
        served.configure(served.server.port(), keys);
        served.fetch().exits(code);
        assert_eq!(served.server.unique_ids("me"), ["b"], "{keys}");
        served.server.replace("me", [other()]);
        served.configure(served.server.port(), DELETE);
        served.fetch().succeeds();
        served.holds([stored([1, 2]), vec![mail::stored(&mail::message(3, 500))]].concat());
        assert!(served.server.unique_ids("me").is_empty(), "{keys}");
    }
}

#[test]
fn what_was_not_compared_is_compared_at_the_next_run() {
    // Nothing new, nothing to delete: the sizes are looked at all the same, as one of them isn't settled.
    let other = || Message::new("b", mail::message(3, 500));
    for (keys, second, code) in
        [("max-messages = 1", other(), 0), ("max-messages = 9", other().refused("-ERR not now"), 75)]
    {
        let served = serve(good([Message::new("b", body(2))]).without("TOP"), KEEP);
        served.fetch().succeeds();
        served.server.replace("me", [Message::new("a", body(1)), second]);
        served.configure(served.server.port(), keys);
        served.fetch().exits(code);
        served.holds(stored(1..=2));
        served.server.replace("me", [Message::new("a", body(1)), other()]);
        served.fetch().succeeds();
        served.holds([stored(1..=2), vec![mail::stored(&mail::message(3, 500))]].concat());
    }
}

#[test]
fn what_comes_back_after_its_deletion_is_looked_at() {
    for (back, delivered) in [(body(1), vec![1]), (body(2), vec![1, 2])] {
        let served = serve(good([Message::new("a", body(1))]), DELETE);
        served.fetch().succeeds();
        // A complete listing without it.
        served.fetch().succeeds();
        served.server.add("me", [Message::new("a", back)]);
        served.fetch().succeeds();
        served.holds(stored(delivered));
        served.fetch().succeeds();
        assert!(served.server.unique_ids("me").is_empty(), "deleted again");
    }
}

/// Without an identity, what differs each time can't be compared; as long as it has never left, it is no new mail.
#[test]
fn what_differs_each_time_and_is_never_deleted_comes_twice_at_most() {
    let copy = |n: u32| format!("From: me@example.org\r\nX-Copy: {n}\r\n\r\nbody\r\n");
    let served = serve(good([Message::new("x", copy(0))]).instead("DELE", "+OK gone\r\n"), DELETE);
    let mut warnings = 0;
    for n in 1..7 {
        let run = served.fetch();
        warnings += run.err().matches("comes with other contents each time").count();
        assert!(served.messages().len() <= 2, "after run {n}: {}", run.shown());
        served.server.replace("me", [Message::new("x", copy(n))]);
    }
    assert_eq!(warnings, 1);
}

// ---- a unique-id listed twice -----------------------------------------------------------------------------------------

#[test]
fn two_messages_with_one_unique_id() {
    for pipelining in ["auto", "off"] {
        let twins = [Message::new("x", body(1)), Message::new("x", body(2))];
        let served = serve(good(twins.clone()), &format!("{KEEP}\npipelining = \"{pipelining}\""));
        served.fetch().succeeds();
        served.holds(stored(1..=2));
        served.fetch().succeeds();
        assert_eq!(served.server.count("RETR"), 2, "both are known");
        let three = [twins.to_vec(), vec![Message::new("x", body(3))]].concat();
        served.server.replace("me", three);
        for _ in 0..2 {
            served.fetch().succeeds();
            served.holds(stored(1..=3));
        }
        // Now they go, after another look.
        served.configure(served.server.port(), DELETE);
        served.fetch().succeeds();
        served.holds(stored(1..=3));
        assert!(served.server.unique_ids("me").is_empty());
    }
}

/// Of two under one unique-id one is deleted; the next one under it is other mail.
#[test]
fn a_third_message_under_a_unique_id_of_which_one_was_deleted_is_delivered() {
    let twins = |numbers: &[u64]| -> Vec<Message> {
        numbers.iter().map(|number| Message::new("x", body(*number))).collect()
    };
    let served = serve(good(twins(&[1, 2])), "leave-on-server = { newest = 1 }");
    for _ in 0..3 {
        served.fetch().succeeds();
        served.holds(stored(1..=2));
    }
    assert_eq!(served.server.maildrop("me").len(), 1);
    served.configure(served.server.port(), KEEP);
    served.server.add("me", twins(&[3]));
    for _ in 0..2 {
        served.fetch().succeeds();
        served.holds(stored(1..=3));
    }
}

#[test]
fn two_equal_messages_are_two() {
    for keys in [KEEP, DELETE] {
        let served = serve(good([Message::new("x", body(1)), Message::new("x", body(1))]), keys);
        served.fetch().succeeds();
        served.holds(stored([1, 1]));
        served.fetch().succeeds();
        served.holds(stored([1, 1]));
        assert_eq!(served.server.maildrop("me").len(), if keys == KEEP { 2 } else { 0 });
    }
}

#[test]
fn duplicate_unique_id_is_compared_before_deletion() {
    // One is known; with it another one of the same unique-id is listed, and can't be had.
    let served = serve(good([Message::new("x", body(1))]), KEEP);
    served.fetch().succeeds();
    let twin = Message::new("x", body(2)).refused("-ERR not now");
    served.server.replace("me", [Message::new("x", body(1)), twin]);
    served.configure(served.server.port(), DELETE);
    served.fetch().exits(75);
    assert_eq!(served.server.count("DELE 2"), 0);
    served.server.replace("me", [Message::new("x", body(2))]);
    served.fetch();
    served.fetch();
    served.holds(stored(1..=2));
}

/// What it costs to tell them apart must not grow with the square of their number, or a server could keep popfetch busy for
/// hours.
#[test]
fn thousands_of_messages_under_one_unique_id_are_told_apart() {
    let report = |number: u64| format!("Subject: report\r\n\r\nnumber {number:05}\r\n");
    let same = |numbers: std::ops::RangeInclusive<u64>| -> Vec<Message> {
        numbers.map(|number| Message::new("x", report(number))).collect()
    };
    let served = serve(good(same(1..=3000)), KEEP);
    served.fetch().succeeds();
    served.server.replace("me", [same(1..=3001), vec![Message::new("y", body(1))]].concat());
    served.fetch().succeeds();
    assert_eq!(served.messages().len(), 3002);
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    assert_eq!(served.messages().len(), 3002);
    assert!(served.server.unique_ids("me").is_empty());
}

// ---- renumbering ------------------------------------------------------------------------------------------------------

/// The same messages under other unique-ids.
fn renumbered(messages: &[Message]) -> Vec<Message> {
    (1..).zip(messages).map(|(number, message)| message.named(format!("other-{number}"))).collect()
}

#[test]
fn renumbered_maildrop_does_not_come_again() {
    let served = serve(good(small(5)), KEEP);
    served.fetch().succeeds();
    let mut all = renumbered(&small(5));
    all.push(Message::new("new", body(6)));
    served.server.replace("me", all);
    served.fetch().succeeds();
    served.holds(stored(1..=6));
    assert_eq!(served.server.count("RETR"), 6);
    served.fetch().succeeds();
    assert_eq!(served.server.count("RETR"), 6);
    // Each once; and two of a full listing that is as it was.
    assert_eq!(served.server.count("TOP"), 6 + 2);
}

#[test]
fn partly_renumbered_maildrop_does_not_come_again() {
    let before = small(10);
    let mut after = renumbered(&before);
    after[..3].clone_from_slice(&before[..3]);
    let served = serve(good(before), KEEP);
    served.fetch().succeeds();
    served.server.replace("me", after);
    served.fetch().succeeds();
    served.fetch().succeeds();
    served.holds(stored(1..=10));
    assert_eq!(served.server.count("RETR"), 10);
}

#[test]
fn equal_messages_match_one_for_one() {
    let served = serve(good([Message::new("a", body(1)), Message::new("b", body(2))]), KEEP);
    served.fetch().succeeds();
    // One of them is there twice now: a copy came.
    let listed = [Message::new("x", body(1)), Message::new("y", body(1)), Message::new("z", body(2))];
    served.server.replace("me", listed);
    served.fetch().succeeds();
    served.holds(stored([1, 1, 2]));
}

/// Another client has moved it to a folder and back: the others are where they were.
#[test]
fn what_comes_back_under_a_new_unique_id_is_not_delivered_again() {
    for keys in [KEEP, DELETE] {
        let served = serve(good(small(5)), KEEP);
        served.fetch().succeeds();
        served.configure(served.server.port(), keys);
        let mut moved = small(5);
        let back = moved.remove(1);
        moved.push(back.named("back"));
        moved.push(Message::new("new", body(6)));
        served.server.replace("me", moved);
        for _ in 0..2 {
            served.fetch().succeeds();
            served.holds(stored(1..=6));
        }
    }
}

/// An operator has restored what was deleted, and it has another unique-id.
#[test]
fn what_was_deleted_and_comes_back_under_a_new_unique_id_is_not_delivered_again() {
    let served = serve(good(small(3)), DELETE);
    served.fetch().succeeds();
    let restored = renumbered(&small(3));
    served.server.replace("me", [restored, vec![Message::new("new", body(4))]].concat());
    served.fetch().succeeds();
    served.holds(stored(1..=4));
    assert!(served.server.unique_ids("me").is_empty());
}

#[test]
fn a_second_copy_on_the_server_is_delivered_though_another_message_has_gone() {
    let served = serve(good(small(5)), KEEP);
    served.fetch().succeeds();
    let mut listed = small(5);
    listed.remove(1);
    listed.push(Message::new("copy", body(1)));
    served.server.replace("me", listed);
    for _ in 0..2 {
        served.fetch().succeeds();
        served.holds(stored([1, 1, 2, 3, 4, 5]));
    }
}

/// What fails while a server renumbers is compared when it comes.
#[test]
fn a_message_that_is_refused_while_the_server_renumbers_is_not_delivered_again() {
    let served = serve(good(small(2)).without("TOP"), KEEP);
    served.fetch().succeeds();
    let moved = renumbered(&small(2));
    // Behind it another one comes, so that it is known to have failed alone.
    served.server.replace("me", [moved[0].clone().refused("-ERR not now"), moved[1].clone()]);
    served.fetch().exits(75);
    served.server.replace("me", moved);
    served.sandbox.run(["me"]).succeeds();
    served.holds(stored(1..=2));
}

/// A run that is stopped before it has compared anything leaves the next one all that this one could have known.
#[test]
fn after_a_signal_what_has_moved_to_other_unique_ids_is_not_delivered_again() {
    let served = serve(good(small(6)), KEEP);
    served.fetch().succeeds();
    // Half of the unique-ids are still listed, for other messages.
    let named = ["uid-4", "uid-5", "uid-6", "new-1", "new-2", "new-3"];
    let moved = (1..).zip(named).map(|(number, name)| Message::new(name, body(number)));
    served.server.replace("me", moved);
    let (arrived, listing) = channel();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    served.server.change(|options| {
        options.hook = Some(Arc::new(move |moment| {
            if moment.command == "UIDL" && moment.session == 2 {
                arrived.send(()).unwrap();
                let _ = wait.lock().unwrap().recv();
            }
        }));
    });
    let running = served.sandbox.popfetch([""; 0]).start();
    listing.recv().unwrap();
    running.signal(Signal::TERM);
    // Delivered to the process before the server's answer is.
    drop(go);
    running.finish().dies_by(Signal::TERM);
    for _ in 0..2 {
        served.fetch().succeeds();
        served.holds(stored(1..=6));
    }
}

/// Runs may end before all is compared: by a limit of the user's, or since the line is cut.
#[test]
fn renumbered_maildrop_does_not_come_again_though_it_takes_several_runs() {
    for top in [true, false] {
        let options = if top { good(small(6)) } else { good(small(6)).without("TOP") };
        let served = serve(options, &format!("{KEEP}\nmax-messages = 6\ntimeout = \"2s\""));
        served.fetch().succeeds();
        served.configure(served.server.port(), &format!("{KEEP}\nmax-messages = 2"));
        let mut all = renumbered(&small(6));
        all.extend((7..=9).map(|number| Message::new(format!("new-{number}"), body(number))));
        let mut cut = all.clone();
        cut[2] = cut[2].clone().cut_after(20);
        served.server.replace("me", cut);
        let _ = served.fetch();
        served.server.replace("me", all);
        for _ in 0..3 {
            // What the limit leaves for the next run may be the message at which the line ended.
            assert!(matches!(served.fetch().code(), Some(0 | 75)));
        }
        served.fetch().succeeds();
        served.holds(stored(1..=9));
    }
}

#[test]
fn renumbering_without_top_compares_whole_messages() {
    let served = serve(good(small(3)).without("TOP"), KEEP);
    served.fetch().succeeds();
    served.server.replace("me", renumbered(&small(3)));
    for _ in 0..2 {
        served.fetch().succeeds();
        served.holds(stored(1..=3));
    }
    assert_eq!(served.server.count("RETR"), 6);
}

#[test]
fn renumbering_with_a_missing_answer() {
    // TOP's answers carry no number: an unproven server gets one command at a time.
    let mut options = good(small(3));
    options.after_login.retain(|line| line != "PIPELINING");
    let served = serve(options, &format!("{KEEP}\ntimeout = \"1s\""));
    served.fetch().succeeds();
    served.server.replace("me", renumbered(&small(3)));
    served.server.change(|options| {
        options.after_login.push("PIPELINING".into());
        options.swallows_pipelined = true;
    });
    served.fetch().succeeds();
    served.holds(stored(1..=3));
}

#[test]
fn similar_headers_are_not_confused() {
    // The first one is new, the server forgets to answer for it, and what it sends next is the header of a known one.
    let mut options = good(small(2)).instead("TOP 1", "");
    options.after_login.retain(|line| line != "PIPELINING");
    let served = serve(options, &format!("{KEEP}\ntimeout = \"1s\""));
    served.fetch().succeeds();
    let all = [vec![Message::new("new", body(3))], renumbered(&small(2))].concat();
    served.server.replace("me", all);
    served.server.change(|options| options.after_login.push("PIPELINING".into()));
    served.fetch().exits(75);
    served.server.change(|options| options.instead.clear());
    served.fetch().succeeds();
    served.holds(stored(1..=3));
}

#[test]
fn renumbered_messages_without_trace_fields_come_again() {
    // A script's daily report: equal headers may be two messages.
    let report = b"Subject: report\r\n\r\nall is well\r\n";
    let served = serve(good([Message::new("a", report)]), KEEP);
    served.fetch().succeeds();
    served.server.replace("me", [Message::new("b", report)]);
    served.fetch().succeeds();
    assert_eq!(served.messages().len(), 2);
}

// ---- no unique-ids ----------------------------------------------------------------------------------------------------

#[test]
fn no_uidl_deleting() {
    for pipelining in ["auto", "on", "off"] {
        let served =
            serve(good(small(3)).without("UIDL"), &format!("{DELETE}\npipelining = \"{pipelining}\""));
        served.fetch().succeeds();
        served.holds(stored(1..=3));
        assert_eq!(served.server.maildrop("me").len(), 0);
        // What is equal and names itself is the message that the server confirmed to be deleted, and hasn't deleted.
        served.server.add("me", [Message::new("-", body(1))]);
        served.fetch().succeeds();
        served.holds(stored([1, 2, 3]));
        assert_eq!(served.server.maildrop("me").len(), 0);
    }
}

#[test]
fn no_uidl_deleting_an_equal_report_is_new_mail() {
    let report = b"Subject: report\r\n\r\nall is well\r\n";
    let served = serve(good([Message::new("-", report)]).without("UIDL"), DELETE);
    for times in 1..=2 {
        served.fetch().succeeds();
        assert_eq!(served.messages().len(), times);
        served.server.add("me", [Message::new("-", report)]);
    }
}

#[test]
fn no_uidl_and_an_unconfirmed_deletion() {
    let options = Options { cut: Some(Cut::At("QUIT".into())), cut_session: Some(1), ..good(small(3)) };
    let served = serve(options.without("UIDL"), DELETE);
    served.fetch();
    served.holds(stored(1..=3));
    assert_eq!(served.server.maildrop("me").len(), 3);
    served.server.add("me", [Message::new("-", body(4)), Message::new("-", body(2))]);
    served.fetch().succeeds();
    served.holds(stored([1, 2, 2, 3, 4]));
    assert_eq!(served.server.maildrop("me").len(), 0);
}

#[test]
fn no_uidl_leaving() {
    let served = serve(good(small(3)).without("UIDL"), KEEP);
    for _ in 0..3 {
        served.fetch().succeeds();
        served.holds(stored(1..=3));
    }
    assert_eq!(served.server.count("RETR"), 3);
    // Two of the same: counted.
    served.server.add("me", [Message::new("-", body(4)), Message::new("-", body(2))]);
    for _ in 0..2 {
        served.fetch().succeeds();
        served.holds(stored([1, 2, 2, 3, 4]));
    }
    assert_eq!(served.server.count("RETR"), 5);
}

/// One message that can't be known by its header is no reason to deliver nothing.
#[test]
fn no_uidl_and_one_message_whose_header_is_refused() {
    for policy in [KEEP, DELETE] {
        let served =
            serve(good(small(3)).without("UIDL").instead("TOP 2", "-ERR cannot read it\r\n"), policy);
        for _ in 0..3 {
            served.fetch().succeeds().never_says("no TOP, and no unique-ids that last");
            served.holds(stored(1..=3));
        }
    }
}

#[test]
fn neither_uidl_nor_top_is_an_error() {
    let served = serve(good(small(3)).without("UIDL").without("TOP"), KEEP);
    served
        .fetch()
        .exits(76)
        .complains("no TOP, and no unique-ids that last")
        .complains("leave-on-server = false");
    served.holds([""; 0]);
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    served.holds(stored(1..=3));
    assert_eq!(served.server.maildrop("me").len(), 0);
}

/// Where UIDL is offered, messages have unique-ids, given today or not.
#[test]
fn uidl_offered_and_refused() {
    for policy in [KEEP, DELETE] {
        let served = serve(good(small(3)).instead("UIDL", "-ERR what?\r\n"), policy);
        for _ in 0..2 {
            served.fetch().exits(75).complains("what?");
            served.holds([""; 0]);
        }
        assert_eq!(served.server.maildrop("me").len(), 3);
    }
}

#[test]
fn uidl_refused_for_a_known_maildrop_is_temporary() {
    for policy in [KEEP, DELETE] {
        // UIDL isn't offered, and tried all the same.
        let options =
            Options { instead_session: Some(2), ..good(small(3)) }.instead("UIDL", "-ERR not now\r\n");
        let options =
            Options { before_login: vec!["USER".into()], after_login: vec!["TOP".into()], ..options };
        let served = serve(options, KEEP);
        served.fetch().succeeds();
        served.server.add("me", [Message::new("uid-4", body(4))]);
        served.configure(served.server.port(), policy);
        served.fetch().exits(75).complains("by which its messages are known").complains("mv '");
        served.holds(stored(1..=3));
        assert_eq!(served.server.maildrop("me").len(), 4);
        served.fetch().succeeds();
        served.holds(stored(1..=4));
    }
}

// ---- windows ----------------------------------------------------------------------------------------------------------

/// Gmail: three messages a session, what was retrieved is listed no more after a clean QUIT, and nothing is deleted.
fn gmail(messages: Vec<Message>) -> Options {
    let mut options = Options { window: Some(3), retrieved: Retrieved::Popped, ..good(messages) };
    options.before_login.extend(["EXPIRE 0".into(), "X-GOOGLE-RICO".into()]);
    options.expiring(["EXPIRE 0", "X-GOOGLE-RICO"])
}

fn retrieved(served: &Served, session: usize) -> usize {
    served.server.commands(session).iter().filter(|command| command.starts_with("RETR")).count()
}

#[test]
fn window_is_asked_again_until_nothing_new_comes() {
    for keys in [KEEP, DELETE] {
        let served = serve(gmail(small(8)), keys);
        served.fetch().succeeds();
        served.holds(stored(1..=8));
        assert_eq!(served.server.sessions(), 4, "3, 3, 2 and none");
        let left = if keys == KEEP { 8 } else { 0 };
        assert_eq!(served.server.maildrop("me").len(), left);
        served.fetch().succeeds();
        assert_eq!(served.server.sessions(), 5);
    }
}

#[test]
fn refused_further_session_is_not_a_failure() {
    let served = serve(gmail(small(8)), KEEP);
    served.server.change(|options| {
        // LOGIN-DELAY is enforced from the second session on.
        options.instead_session = Some(2);
        options.instead.push(("PASS".into(), b"-ERR [LOGIN-DELAY] wait\r\n".to_vec()));
        options.instead.push(("AUTH".into(), b"-ERR [LOGIN-DELAY] wait\r\n".to_vec()));
    });
    served.fetch().succeeds();
    served.holds(stored(1..=3));
    served.fetch().succeeds();
    served.holds(stored(1..=8));
}

#[test]
fn broken_further_session_is_a_failure() {
    let served = serve(gmail(small(8)), KEEP);
    served.server.change(|options| {
        options.cut = Some(Cut::At("RETR 2".into()));
        options.cut_session = Some(2);
    });
    served.fetch().exits(75);
    served.server.change(|options| options.cut = None);
    served.fetch().succeeds();
    served.holds(stored(1..=8));
}

#[test]
fn no_further_session_without_a_confirmed_quit() {
    let served = serve(gmail(small(8)), KEEP);
    served.server.change(|options| {
        options.cut = Some(Cut::At("QUIT".into()));
        options.cut_session = Some(1);
    });
    served.fetch();
    assert_eq!(served.server.sessions(), 1);
    // Nothing was popped: the three are listed again, retrieved again, and not delivered again.
    served.fetch().succeeds();
    served.fetch().succeeds();
    served.holds(stored(1..=8));
}

/// A server may announce what Gmail announces, and go on listing what was retrieved.
#[test]
fn what_a_window_goes_on_listing_is_not_retrieved_in_each_run() {
    let mut options = good(small(4));
    options.before_login.push("X-GOOGLE-RICO".into());
    options.after_login.push("X-GOOGLE-RICO".into());
    let served = serve(options, KEEP);
    served.fetch().succeeds();
    served.holds(stored(1..=4));
    served.fetch().succeeds();
    let retrieved = served.server.count("RETR");
    for _ in 0..2 {
        served.fetch().succeeds();
        assert_eq!(served.server.count("RETR"), retrieved);
    }
    served.server.replace("me", small(5));
    served.fetch().succeeds();
    served.holds(stored(1..=5));
    assert_eq!(served.server.count("RETR"), retrieved + 1);
}

/// A destination that lacks them isn't configured any more, and the server has given them new unique-ids: they are retrieved
/// once, to see which they are.
#[test]
fn what_a_removed_destination_lacks_is_retrieved_once_under_a_new_unique_id() {
    let both = "deliver = [{ maildir = \"~/mail\" }, { pipe = [\"false\"] }]";
    for window in [false, true] {
        let mut options = good(small(3));
        if window {
            options.before_login.push("X-GOOGLE-RICO".into());
            options.after_login.push("X-GOOGLE-RICO".into());
        }
        let served = serve(options, both);
        served.fetch().exits(75);
        served.server.replace("me", (1..=3).map(|n| Message::new(format!("other-{n}"), body(n))));
        served.configure(served.server.port(), KEEP);
        let why = "to be delivered to a destination that isn't configured now: false";
        served.fetch().exits(75).complains(why);
        let retrieved = served.server.count("RETR");
        for _ in 0..2 {
            served.fetch().exits(75);
            assert_eq!(served.server.count("RETR"), retrieved, "{window}");
        }
        served.configure(served.server.port(), "deliver = [{ maildir = \"~/mail\" }, { pipe = [\"true\"] }]");
        served.holds(stored(1..=3));
    }
}

/// A window never shows all that there is, so that no listing shows a renumbering.
#[test]
fn what_a_window_lists_under_a_new_unique_id_is_not_delivered_again() {
    for keys in [KEEP, DELETE] {
        let served = serve(gmail(small(3)), keys);
        served.server.change(|options| options.cut = Some(Cut::At("QUIT".into())));
        served.fetch();
        served.holds(stored(1..=3));
        served.server.change(|options| options.cut = None);
        served.server.replace("me", (1..=3).map(|n| Message::new(format!("other-{n}"), body(n))));
        served.fetch().succeeds();
        served.holds(stored(1..=3));
        let left = if keys == KEEP { 3 } else { 0 };
        assert_eq!(served.server.maildrop("me").len(), left);
    }
}

#[test]
fn message_failing_in_a_window_gets_its_own_session() {
    let mut messages = small(5);
    messages[1] = messages[1].clone().refused("-ERR not now");
    let served = serve(gmail(messages), KEEP);
    let quits = |session| served.server.commands(session).contains(&"QUIT".to_owned());
    served.fetch().exits(75).complains("message 2 failed");
    served.holds(stored([1, 3, 4, 5]));
    assert_eq!([1, 2, 3].map(|session| retrieved(&served, session)), [3, 2, 2]);
    // A QUIT would have popped what isn't stored.  The others were retrieved again, so that it pops them.
    assert_eq!([1, 2, 3].map(quits), [false, true, true]);
    let sessions = served.server.sessions();
    assert_eq!(sessions, 4, "the last one brought nothing");
    // The one that fails is tried behind the others, alone.
    served.fetch().exits(75);
    assert_eq!(served.server.sessions(), sessions + 2);
    assert_eq!([1, 2].map(|more| retrieved(&served, sessions + more)), [0, 1]);
    assert_eq!([1, 2].map(|more| quits(sessions + more)), [true, false]);
}

/// A window lists a unique-id for the message that it stood for before the last one: there is nothing new in it.
#[test]
fn what_a_unique_id_in_a_window_stood_for_before_is_not_delivered_again() {
    let options = Options { window: Some(1), ..gmail(vec![Message::new("a", body(1))]) };
    let served = serve(options, KEEP);
    served.fetch().succeeds();
    lists(&served, [Message::new("a", body(2))]);
    served.holds(stored(1..=2));
    for number in [1, 2, 1] {
        lists(&served, [Message::new("a", body(number)).claiming(800 + number)]);
        served.holds(stored(1..=2));
    }
}

#[test]
fn known_message_failing_in_a_window_is_not_repeated() {
    let served = serve(gmail(small(2)), KEEP);
    served.server.change(|options| {
        options.cut = Some(Cut::At("QUIT".into()));
        options.cut_session = Some(1);
    });
    served.fetch();
    // Listed again, asked for again, and refused this time.
    let refused = vec![small(1)[0].clone().refused("-ERR not now"), small(2)[1].clone()];
    served.server.replace("me", refused);
    served.fetch().exits(75);
    served.server.replace("me", small(2));
    served.fetch().succeeds();
    served.fetch().succeeds();
    served.holds(stored(1..=2));
}

#[test]
fn limits_hold_for_a_run_of_several_sessions() {
    for keys in ["max-messages = 4", "max-bytes = 1700"] {
        let served = serve(gmail(small(8)), keys);
        for expected in [4, 8] {
            served.fetch().succeeds();
            assert_eq!(served.messages().len(), expected, "{keys}");
        }
        served.holds(stored(1..=8));
    }
}
