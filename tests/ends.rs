//! Where a message ends, whose failure it is, and what is deleted: decided by answers that name, never by a status line
//! that anybody can write into a mail.

use std::sync::Arc;
use std::time::Duration;

use crate::mailbox::{DELETE, KEEP, Mailbox, Served, body, good, names, plain_login, serve, small, stored};
use crate::support::relay::Line;
use crate::support::scripted::{Scripted, Step, expect, send};
use crate::support::server::{Cut, Message, Options, Retrieved, numbered};

fn count(served: &Served, session: usize, verb: &str) -> usize {
    let commands = served.server.commands(session);
    commands.iter().filter(|command| command.split(' ').next() == Some(verb)).count()
}

/// Its sender has written an end and a status line into it, and the server stuffs no dots.
fn forged(unique_id: &str) -> Message {
    let octets = b"Subject: forged\r\n\r\nbefore\r\n.\r\n+OK\r\nSubject: x\r\n\r\nafter\r\n";
    Message::raw(unique_id, &octets[..])
}

#[test]
fn mail_with_a_forged_answer_takes_no_other_mail_with_it() {
    for pipelining in ["auto", "on", "off"] {
        for place in 0..4 {
            // The server has been seen to answer in step.
            let served = serve(good([]), &format!("{DELETE}\npipelining = \"{pipelining}\""));
            served.server.add("me", [Message::new("first", body(9))]);
            served.fetch().succeeds();
            let mut messages = small(4);
            messages[place] = forged("forged");
            served.server.replace("me", messages);
            for _ in 0..3 {
                served.fetch();
            }
            let others = (1..=4).filter(|number| *number != place as u64 + 1);
            served.holds(stored(others.chain([9])));
            assert_eq!(served.server.unique_ids("me"), ["forged"], "{pipelining}, {place}");
        }
    }
}

#[test]
fn only_the_message_whose_end_is_in_doubt_fails() {
    let mut messages = small(30);
    messages[14] = forged("forged");
    let served = serve(good(messages), DELETE);
    served.fetch().exits(76).complains("message 15 failed").complains("one command at a time");
    served.holds(stored((1..=30).filter(|number| *number != 15)));
    assert_eq!(served.server.unique_ids("me"), ["forged"]);
}

/// The line that its sender has written into it is a refusal, and another answer follows.
fn forged_refusal_and_answer(unique_id: &str) -> Message {
    let octets = b"Subject: forged\r\n\r\nbefore\r\n.\r\n-ERR no such message\r\n+OK\r\nafter\r\n";
    Message::raw(unique_id, &octets[..])
}

/// Forged answers push the true ones behind, and the refusal of a message ends up in the next one: from there on the answers
/// are in step again.
#[test]
fn an_answer_that_is_taken_for_a_message_is_not_delivered() {
    for keys in [KEEP, DELETE] {
        for place in 0..3 {
            let mut messages = small(6);
            messages[place] = forged_refusal_and_answer("forged");
            messages[place + 1] = messages[place + 1].clone().refused("-ERR cannot read this message");
            let others = (1..=6).filter(|number| ![place as u64 + 1, place as u64 + 2].contains(number));
            let expected = stored(others);
            let served = serve(good(messages), keys);
            for _ in 0..4 {
                served.fetch();
            }
            served.holds(expected);
            let left = if keys == DELETE { 2 } else { 6 };
            assert_eq!(served.server.unique_ids("me").len(), left);
        }
    }
}

/// A message may begin so: asked for alone, it's what it seems.
#[test]
fn a_message_that_begins_as_an_answer_comes() {
    for text in ["+OK\r\n\r\nbody\r\n", "-ERR this is mail\r\nSubject: x\r\n\r\nbody\r\n"] {
        let mut messages = small(5);
        messages[3] = Message::new("odd", text.as_bytes());
        let served = serve(good(messages), DELETE);
        for _ in 0..2 {
            served.fetch();
        }
        let odd = vec![text.replace("\r\n", "\n").into_bytes()];
        served.holds([stored([1, 2, 3, 5]), odd].concat());
        assert!(served.server.unique_ids("me").is_empty());
    }
}

/// The line that its sender has written into it is a refusal.
fn forged_refusal(unique_id: &str) -> Message {
    let octets = b"Subject: forged\r\n\r\nbefore\r\n.\r\n-ERR no such message\r\nafter\r\n";
    Message::raw(unique_id, &octets[..])
}

#[test]
fn mail_with_a_forged_refusal_does_not_end_the_run() {
    for pipelining in ["auto", "off"] {
        let mut messages = small(4);
        messages[1] = forged_refusal("forged");
        let served = serve(good(messages), &format!("{DELETE}\npipelining = \"{pipelining}\""));
        served.fetch().exits(76).complains("message 2 failed");
        served.holds(stored([1, 3, 4]));
        assert_eq!(served.server.unique_ids("me"), ["forged"], "{pipelining}");
    }
}

/// Enough of them to end a run, and they stand first in the listing.
#[test]
fn mail_that_breaks_sessions_does_not_stop_deletions() {
    let broken = ["a", "b", "c", "d"];
    for pipelining in ["auto", "off"] {
        let mut messages: Vec<Message> = broken.map(forged_refusal).into();
        messages.extend(small(3));
        let served = serve(good(messages), &format!("{KEEP}\npipelining = \"{pipelining}\""));
        for _ in 0..3 {
            served.fetch().exits(76);
        }
        served.holds(stored(1..=3));
        served.configure(served.server.port(), &format!("{DELETE}\npipelining = \"{pipelining}\""));
        served.fetch();
        assert_eq!(served.server.unique_ids("me"), broken, "{pipelining}");
        served.holds(stored(1..=3));
    }
}

#[test]
fn temporarily_refused_mail_is_handed_over_once_in_a_run() {
    let mut messages = small(4);
    messages.push(forged("forged"));
    let served = serve(good(messages), KEEP);
    let program = served.sandbox.script("mda", "echo >> ~/calls; cat > /dev/null; exit 75");
    let deliver =
        format!("{DELETE}\npipelining = \"off\"\ndeliver = {{ pipe = [\"{}\"] }}", program.display());
    served.configure(served.server.port(), &deliver);
    for run in 1..=2 {
        served.fetch().exits(76).complains("5 messages failed");
        let calls = std::fs::read_to_string(served.sandbox.path("calls")).unwrap();
        assert_eq!(calls.lines().count(), 4 * run, "each once in a run");
    }
}

#[test]
fn forged_end_in_its_own_packet_is_not_believed() {
    // What follows the forged status line comes only when the question has been asked.
    let mut script = plain_login();
    script.extend([expect("UIDL"), send("+OK\r\n1 a\r\n2 b\r\n.\r\n"), expect("LIST")]);
    script.extend([send("+OK\r\n1 30\r\n2 5\r\n.\r\n")]);
    let mut first = script.clone();
    first.extend([
        names(&[(1, "a"), (2, "b")]),
        expect("RETR 1"),
        send("+OK\r\nbefore\r\n.\r\n"),
        expect("RETR 2"),
    ]);
    first.extend([send("+OK\r\nafter\r\n.\r\n"), expect("UIDL 1"), send("+OK\r\ntwo\r\n.\r\n+OK 1 a\r\n")]);
    // One by one: the first may be to blame, the second isn't.
    let mut second = script.clone();
    second.extend([
        names(&[(1, "a"), (2, "b")]),
        expect("RETR 1"),
        send("+OK\r\nbefore\r\n.\r\n"),
        expect("UIDL 2"),
        send("+OK\r\nafter\r\n.\r\n"),
    ]);
    let mut third = script;
    third.extend([
        names(&[(1, "a"), (2, "b")]),
        expect("RETR 2"),
        send("+OK\r\ntwo\r\n.\r\n"),
        expect("UIDL 1"),
        send("+OK 1 a\r\n"),
    ]);
    third.extend([expect("DELE 2"), send("+OK\r\n"), expect("QUIT"), send("+OK\r\n")]);
    let server = Scripted::start(vec![first, second, third]);
    let mailbox = Mailbox::new(server.port(), DELETE);
    mailbox.fetch().exits(76).complains("message 1 failed");
    server.finish();
    mailbox.holds(["two\n"]);
}

#[test]
fn server_with_late_dots_gets_one_command_at_a_time() {
    for messages in [1, 2, 20] {
        let served = serve(
            Options { late_dots: true, ..good(small(messages)) },
            &format!("{DELETE}\ntimeout = \"1s\""),
        );
        served.fetch().succeeds();
        served.holds(stored(1..=messages));
        assert_eq!(served.server.unique_ids("me"), [""; 0]);
    }
}

#[test]
fn server_that_starts_dropping_commands_gets_one_at_a_time() {
    let served =
        serve(good(small(3)), &format!("{DELETE}\ntimeout = \"1s\"\nauth = \"plain\"\nlisting = \"full\""));
    served.fetch().succeeds();
    served.server.add("me", (4..=9).map(|number| Message::new(format!("uid-{number}"), body(number))));
    served.server.change(|options| options.swallows_pipelined = true);
    served.fetch().succeeds().complains("one command at a time");
    served.holds(stored(1..=9));
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
}

/// A server that can't answer one question is asked another one.
#[test]
fn the_question_is_one_that_the_server_can_answer() {
    for (refused, asked) in [(&[][..], "UIDL"), (&["UIDL"], "LIST"), (&["UIDL", "LIST"], "STAT")] {
        for answer in ["-ERR no\r\n", "+OK what?\r\n"] {
            for pipelining in ["auto", "off"] {
                let mut options = good(small(5));
                for verb in refused {
                    options =
                        (1..=5).fold(options, |options, n| options.instead(&format!("{verb} {n}"), answer));
                }
                let served =
                    serve(options, &format!("{DELETE}\npipelining = \"{pipelining}\"\nlisting = \"full\""));
                served.fetch().succeeds();
                served.holds(stored(1..=5));
                let shown = || format!("{asked} {answer} {pipelining} {:?}", served.server.log().len());
                let sessions = served.server.sessions();
                // An answer of another form, after something was retrieved, may be a forged one.
                assert!(sessions == 1 || refused.len() == 2 && pipelining == "auto", "{}", shown());
                assert_eq!(served.server.unique_ids("me"), [""; 0], "{}", shown());
                // What works is remembered.
                served.server.add("me", [Message::new("uid-6", body(6)), Message::new("uid-7", body(7))]);
                served.server.change(|options| options.instead.clear());
                served.fetch().succeeds();
                served.holds(stored(1..=7));
                let questions: Vec<String> = served
                    .server
                    .commands(sessions + 1)
                    .into_iter()
                    .filter(|c| c.starts_with(asked))
                    .collect();
                assert!(!questions.is_empty(), "{questions:?}, {}", shown());
            }
        }
    }
}

/// Servers don't agree on what `STAT` counts when messages are marked as deleted: nothing is asked behind a `DELE`.
#[test]
fn where_only_stat_answers_deletions_come_last() {
    for pipelining in ["auto", "off"] {
        let mut options = good(small(5));
        options.stat_counts_deleted = true;
        for number in 1..=8 {
            for verb in ["UIDL", "LIST"] {
                options = options.instead(&format!("{verb} {number}"), "-ERR no\r\n");
            }
        }
        let served = serve(options, &format!("{KEEP}\npipelining = \"{pipelining}\""));
        served.fetch().succeeds();
        let sessions = served.server.sessions();
        // Some that are known and recognised, and some that are new.
        served.configure(served.server.port(), &format!("{DELETE}\npipelining = \"{pipelining}\""));
        served.server.add("me", (6..=8).map(|n| Message::new(format!("uid-{n}"), body(n))));
        served.fetch().succeeds();
        served.holds(stored(1..=8));
        assert_eq!(served.server.unique_ids("me"), [""; 0], "{pipelining}");
        assert_eq!(served.server.sessions(), sessions + 1, "{pipelining}");
        let commands = served.server.commands(sessions + 1);
        let first = commands.iter().position(|command| command.starts_with("DELE")).unwrap();
        let behind: Vec<&String> = commands[first..].iter().filter(|c| !c.starts_with("DELE")).collect();
        assert_eq!(behind, ["QUIT"], "{pipelining}");
    }
}

#[test]
fn without_naming_answers_each_session_gets_one_message() {
    for pipelining in ["auto", "off"] {
        let mut options = good(small(3)).instead("STAT", "-ERR no\r\n");
        for number in 1..=3 {
            for verb in ["UIDL", "LIST"] {
                options = options.instead(&format!("{verb} {number}"), "-ERR no\r\n");
            }
        }
        let served = serve(options, &format!("{KEEP}\npipelining = \"{pipelining}\""));
        served.fetch().succeeds();
        served.holds(stored(1..=3));
        let last = served.server.sessions();
        for session in last - 2..last {
            assert_eq!((count(&served, session, "RETR"), count(&served, session, "QUIT")), (1, 1));
        }
        served.fetch().succeeds();
        served.holds(stored(1..=3));
    }
}

/// What was delivered in an earlier session is deleted when its header shows that it is still the same.
#[test]
fn deleting_known_mail_takes_constant_round_trips() {
    let line = Some(Line::round_trip(Duration::from_millis(20)));
    let served = serve(Options { line, ..good(small(300)) }, KEEP);
    served.fetch().succeeds();
    let before = served.server.relay().unwrap().waits();
    served.configure(served.server.port(), DELETE);
    served.fetch().succeeds();
    let waits = served.server.relay().unwrap().waits() - before;
    assert!(waits <= 12, "{waits} round trips");
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
    // The listing looks at two headers.
    assert_eq!(["RETR", "TOP", "DELE"].map(|verb| count(&served, 2, verb)), [0, 302, 300]);
}

/// A known unique-id of the same size is other mail: it's delivered before it's deleted.
#[test]
fn reused_unique_id_deletes_no_unseen_mail() {
    for top in [true, false] {
        let options = if top { good(small(3)) } else { good(small(3)).without("TOP") };
        let served = serve(options, KEEP);
        served.fetch().succeeds();
        // A was removed elsewhere, D and E came, B was removed: the server counts from 1.
        let others = [3, 4, 5].map(body);
        served.server.replace("me", numbered(others));
        served.configure(served.server.port(), DELETE);
        served.fetch().succeeds();
        served.fetch().succeeds();
        let mut held: Vec<Vec<u8>> = served.messages();
        held.sort();
        held.dedup();
        assert_eq!(held.len(), 5, "each of them is here");
        assert_eq!(served.server.unique_ids("me"), [""; 0]);
    }
}

/// QUIT took effect though its answer was lost, the maildrop is empty, and the server counts from 1 again.
#[test]
fn after_an_unanswered_quit_no_mail_under_known_unique_ids_is_deleted_unseen() {
    for polled_empty in [true, false] {
        let options = Options { cut: Some(Cut::AfterUpdate), cut_session: Some(1), ..good(small(3)) };
        let served = serve(options, DELETE);
        served.fetch();
        assert_eq!(served.server.unique_ids("me"), [""; 0]);
        if polled_empty {
            served.fetch().succeeds();
        }
        served.server.replace("me", numbered([4, 5, 6].map(body)));
        for _ in 0..2 {
            served.fetch().succeeds();
        }
        served.holds(stored(1..=6));
        assert_eq!(served.server.unique_ids("me"), [""; 0], "{polled_empty}");
    }
}

/// Known mail under a policy of age: the ids are the same, the messages are not.
#[test]
fn mail_that_took_the_place_of_old_mail_is_not_deleted_by_its_age() {
    let served = serve(good(small(3)), KEEP);
    served.fetch().succeeds();
    served.configure(served.server.port(), "leave-on-server = { newest = 1 }");
    served.server.replace("me", numbered([3, 4, 5].map(body)));
    for _ in 0..2 {
        served.fetch().succeeds();
    }
    let mut held = served.messages();
    held.sort();
    held.dedup();
    assert_eq!(held.len(), 5, "each of them is here");
    assert_eq!(served.server.unique_ids("me").len(), 1);
}

#[test]
fn quit_comes_before_a_session_limit() {
    for pipelining in ["auto", "off"] {
        for commands in [12, 25, 40] {
            let served = serve(
                Options { commands_per_session: Some(commands), ..good(small(40)) },
                &format!("{DELETE}\npipelining = \"{pipelining}\""),
            );
            for _ in 0..4 {
                served.fetch();
            }
            let shown = format!("{pipelining}, {commands}");
            served.holds(stored(1..=40));
            assert_eq!(served.server.unique_ids("me"), [""; 0], "{shown}");
            // Nobody was blamed, and the limit is known now.
            served.server.add("me", (41..=60).map(|n| Message::new(format!("uid-{n}"), body(n))));
            served.fetch().succeeds();
            served.holds(stored(1..=60));
            assert_eq!(served.server.unique_ids("me"), [""; 0], "{shown}");
        }
    }
}

/// What was delivered before is only retrieved to be deleted: a session that is cut before its QUIT has still been too long.
#[test]
fn mail_without_unique_ids_is_deleted_though_sessions_are_limited() {
    let options = good(small(20)).without("UIDL").without("PIPELINING");
    let served = serve(options, KEEP);
    served.fetch().succeeds();
    served.server.change(|options| options.commands_per_session = Some(24));
    served.configure(served.server.port(), DELETE);
    for _ in 0..4 {
        served.fetch();
    }
    served.holds(stored(1..=20));
    assert_eq!(served.server.maildrop("me").len(), 0);
}

/// A session is ended before its limit, and the server doesn't confirm its deletions: there is no use in another one.
#[test]
fn a_run_that_ends_with_mail_left_reports_it() {
    let limited = Options { commands_per_session: Some(12), ..good(small(20)) };
    let served = serve(limited, &format!("{DELETE}\npipelining = \"off\""));
    for _ in 0..4 {
        served.fetch();
    }
    served.holds(stored(1..=20));
    served.server.add("me", (21..=60).map(|n| Message::new(format!("uid-{n}"), body(n))));
    served.server.change(|options| *options = options.clone().instead("QUIT", "-ERR limit reached\r\n"));
    let run = served.fetch();
    assert!(served.messages().len() < 60);
    run.exits(75).complains("ended before everything was done");
    served.server.change(|options| options.instead.clear());
    served.fetch().succeeds();
    served.holds(stored(1..=60));
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
}

#[test]
fn a_server_that_refuses_everything_blames_no_message() {
    for answer in ["-ERR [SYS/TEMP] try later\r\n", "-ERR Download exceed\r\n", "-ERR cannot read it\r\n"] {
        let served = serve(good(small(40)).instead("RETR", answer), "");
        for _ in 0..3 {
            let run = served.sandbox.run([""; 0]);
            run.exits(75).complains("refuses to hand its messages out");
            assert!(!run.err().contains("failed"), "{}", run.shown());
            assert!(run.err().lines().count() <= 4, "{}", run.shown());
        }
        served.server.change(|options| options.instead.clear());
        served.fetch().succeeds();
        served.holds(stored(1..=40));
    }
}

#[test]
fn a_quota_reached_in_mid_session_blames_no_message() {
    let mut options = good(small(40));
    for number in 20..=40 {
        options = options.instead(&format!("RETR {number}"), "-ERR Download exceed\r\n");
    }
    let served = serve(options, "");
    served.fetch().exits(75);
    served.fetch().exits(75);
    served.server.change(|options| options.instead.clear());
    served.fetch().succeeds();
    served.holds(stored(1..=40));
}

#[test]
fn a_passing_refusal_of_one_message_never_makes_it_wait() {
    let served = serve(good(small(5)).instead("RETR 2", "-ERR [SYS/TEMP] busy\r\n"), "");
    for _ in 0..3 {
        served.fetch().exits(75);
    }
    served.server.change(|options| options.instead.clear());
    served.fetch().succeeds();
    served.holds(stored(1..=5));
}

#[test]
fn a_line_that_ends_blames_no_message_alone() {
    for pipelining in ["auto", "off"] {
        let mut messages = small(1);
        messages[0] = messages[0].clone().cut_after(20);
        let served = serve(good(messages), &format!("pipelining = \"{pipelining}\""));
        for session in 1..=4 {
            served.fetch().exits(75);
            assert_eq!(count(&served, session, "RETR"), 1, "it's tried at each run");
        }
        served.server.replace("me", small(1));
        served.fetch().succeeds();
        served.holds(stored([1]));
    }
}

/// Where QUIT drops what was retrieved, the server's own internal data must not be dropped.
#[test]
fn book_keeping_is_not_dropped_by_quit() {
    let internal = b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nFrom: Mail System Internal Data <MAILER-DAEMON@x>\r\n\
        Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\nX-IMAP: 1234567890 0000000000\r\n\r\nx\r\n";
    let options = good([Message::new("internal", internal), Message::new("mail", body(1))]);
    let served = serve(options.dropping_retrieved(), DELETE);
    for _ in 0..2 {
        served.fetch().succeeds();
        assert_eq!(served.server.unique_ids("me"), ["internal"]);
        served.holds(stored([1]));
    }
}

/// Where QUIT drops what was retrieved, one message that a program doesn't take keeps no other on the server, in later runs
/// neither.
#[test]
fn failed_message_with_expire_0_does_not_repeat_the_others() {
    let mut messages = small(4);
    messages[1] = Message::raw("uid-2", &b""[..]).claiming(100);
    let served = serve(good(messages).dropping_retrieved(), DELETE);
    served.fetch().exits(75);
    assert_eq!(served.server.unique_ids("me"), ["uid-2"]);
    for number in 5..=6 {
        served.server.add("me", [Message::new(format!("uid-{number}"), body(number))]);
        served.fetch();
        assert_eq!(served.server.unique_ids("me"), ["uid-2"]);
    }
    served.holds(stored([1, 3, 4, 5, 6]));
}

/// The same where it was delivered before, and can't be recognised to be deleted.
#[test]
fn refused_known_mail_is_asked_for_once_in_a_run() {
    let served = serve(good(small(3)).without("TOP").expiring(["EXPIRE 0"]), KEEP);
    served.fetch().succeeds();
    served.server.change(|options| *options = options.clone().instead("RETR 2", "-ERR cannot read it\r\n"));
    served.configure(served.server.port(), DELETE);
    served.fetch().exits(75);
    assert_eq!(served.server.unique_ids("me"), ["uid-2"]);
    assert_eq!((served.server.count("RETR 2"), served.server.sessions()), (2, 3), "once in each run");
    served.holds(stored(1..=3));
}

#[test]
fn a_refused_extra_session_of_a_window_is_no_failure() {
    let options = Options { window: Some(3), retrieved: Retrieved::Popped, ..good(small(8)) };
    let mut options =
        options.expiring(["EXPIRE 0", "X-GOOGLE-RICO"]).instead("PASS", "-ERR [AUTH] too many logins\r\n");
    options.instead_session = Some(2);
    let served = serve(options, KEEP);
    served.sandbox.run(["--quiet"]).succeeds().is_silent();
    served.holds(stored(1..=3));
    // No pause: the next run logs in.
    served.sandbox.run(["--quiet"]).succeeds();
    served.holds(stored(1..=8));
}

/// A mailbox whose answers stay in step is quit once, though the sessions before it were cut.
#[test]
fn answer_about_another_message_voids_the_batch() {
    let wrong = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut script = plain_login();
    script.extend([expect("UIDL"), send("+OK\r\n1 a\r\n.\r\n"), expect("LIST"), send("+OK\r\n1 5\r\n.\r\n")]);
    script.extend([names(&[(1, "a")]), expect("RETR 1"), send("+OK\r\none\r\n.\r\n"), expect("UIDL 1")]);
    script.push(Step::Call(Arc::new({
        let wrong = Arc::clone(&wrong);
        move || wrong.store(true, std::sync::atomic::Ordering::SeqCst)
    })));
    script.extend([send("+OK 1 b\r\n"), Step::ExpectEnd]);
    let mut next = plain_login();
    next.extend([expect("UIDL"), send("+OK\r\n1 a\r\n.\r\n"), expect("QUIT"), send("+OK\r\n")]);
    let server = Scripted::start(vec![script, next]);
    let mailbox = Mailbox::new(server.port(), KEEP);
    mailbox.fetch().exits(76).complains("message 1 failed");
    mailbox.holds([""; 0]);
    drop(server);
    assert!(wrong.load(std::sync::atomic::Ordering::SeqCst));
}
