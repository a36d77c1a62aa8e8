//! Many commands in flight: answers are matched in order, neither side is stuck, and a server that can't do it is found
//! out before a message is taken for another.

use crate::mailbox::{Mailbox, Served, body, good, serve, small, stored};
use crate::support::mail;
use crate::support::scripted::{Scripted, Step, expect, send};
use crate::support::server::{Cut, Ending, Message, Options, numbered};

fn numbered_stored(numbers: impl IntoIterator<Item = u64>, size: usize) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|number| mail::stored(&mail::message(number, size))).collect()
}

/// How many messages were asked for in a session.
fn retrieved(served: &Served, session: usize) -> usize {
    served.server.commands(session).iter().filter(|command| command.starts_with("RETR")).count()
}

#[test]
fn fifty_messages_in_one_flight() {
    for packet in [None, Some(1), Some(1000)] {
        for pipelining in ["auto", "on"] {
            let options = Options { packet, ..good(small(50)) };
            let served = serve(options, &format!("leave-on-server = false\npipelining = \"{pipelining}\""));
            served.fetch().succeeds();
            served.holds(stored(1..=50));
            assert!(served.server.unique_ids("me").is_empty());
        }
    }
}

#[test]
fn one_question_for_each_batch() {
    let questions = |served: &Served| {
        let commands = served.server.commands(1);
        commands.iter().filter(|command| command.starts_with("UIDL ")).count()
    };
    for (messages, most) in [(1, 2), (100, 8), (1000, 14)] {
        let served = serve(good(small(messages)), "");
        served.fetch().succeeds();
        assert!((2..=most).contains(&questions(&served)), "{messages}: {}", questions(&served));
        served.holds(stored(1..=messages));
    }
}

#[test]
fn one_refusal_fails_one_message() {
    for pipelining in ["auto", "on"] {
        let mut messages = small(50);
        messages[2] = messages[2].clone().refused("-ERR gone");
        let served = serve(good(messages), &format!("pipelining = \"{pipelining}\""));
        served.fetch().exits(75).complains("message 3 failed");
        served.holds(stored((1..=50).filter(|number| *number != 3)));
    }
}

#[test]
fn message_deleted_by_another_session() {
    // Dovecot without a lock: UIDL n and RETR n both fail, and that's in step.
    let options = good(small(3)).instead("UIDL 2", "-ERR gone\r\n").instead("RETR 2", "-ERR gone\r\n");
    let served = serve(options, "");
    served.fetch().exits(75).complains("message 2 failed");
    served.holds(stored([1, 3]));
    assert_eq!(served.server.sessions(), 1);
}

#[test]
fn server_that_does_not_read_while_it_writes() {
    // Far more answers than the buffers hold, and a server that reads one command, answers it, and only then the next.
    let messages = numbered((1..=400).map(|number| mail::message(number, 4000)));
    for pipelining in ["auto", "on"] {
        let options = Options { buffers: Some(2048), ..good(messages.clone()) };
        let served = serve(options, &format!("leave-on-server = false\npipelining = \"{pipelining}\""));
        served.fetch().succeeds();
        served.holds(numbered_stored(1..=400, 4000));
        assert!(served.server.unique_ids("me").is_empty());
    }
}

#[test]
fn more_commands_than_the_window_holds() {
    // Several batches: DELEs join the pipeline, also behind the last RETR.
    for pipelining in ["auto", "on", "off"] {
        let messages = numbered((1..=900).map(|number| mail::message(number, 300)));
        let served =
            serve(good(messages), &format!("leave-on-server = false\npipelining = \"{pipelining}\""));
        served.fetch().succeeds();
        served.holds(numbered_stored(1..=900, 300));
        assert!(served.server.unique_ids("me").is_empty());
        assert_eq!(served.server.sessions(), 1);
    }
}

#[test]
fn connection_lost_after_ten_of_fifty() {
    for pipelining in ["auto", "on"] {
        let mut messages = small(50);
        messages[10] = messages[10].clone().cut_after(100);
        let served = serve(good(messages), &format!("pipelining = \"{pipelining}\""));
        served.fetch().exits(75);
        // Those that a question has followed; the others come again.
        let first = served.messages().len();
        assert!((5..=10).contains(&first), "{first}");
        served.server.replace("me", small(50));
        served.fetch().succeeds();
        served.holds(stored(1..=50));
        // The one at which it ended has a session of its own.
        assert_eq!((retrieved(&served, 2), retrieved(&served, 3)), (49 - first, 1));
    }
}

#[test]
fn without_pipelining_one_command_at_a_time() {
    // A server that forgets what comes before it has answered.
    for off in [true, false] {
        let mut options = Options { swallows_pipelined: true, ..good(small(5)) };
        let keys = if off { "pipelining = \"off\"\n" } else { "" };
        if !off {
            options = options.without("PIPELINING");
        }
        let served = serve(options, &format!("{keys}leave-on-server = false\ntimeout = \"1s\""));
        served.fetch().succeeds();
        served.holds(stored(1..=5));
        assert_eq!(served.server.sessions(), 1);
        assert!(served.server.unique_ids("me").is_empty());
    }
}

#[test]
fn nothing_follows_auth_or_quit_unanswered() {
    let quiet = |at: &'static str| {
        let mut script = vec![send("+OK\r\n"), expect("CAPA")];
        script.push(send("+OK\r\nUIDL\r\nPIPELINING\r\nSASL PLAIN\r\n.\r\n"));
        script.push(expect("AUTH PLAIN AG1lAHNlY3JldA=="));
        if at == "AUTH" {
            script.push(Step::Stall);
            return script;
        }
        script.extend([send("+OK\r\n"), expect("CAPA"), send("+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n")]);
        script.extend([
            expect("STAT"),
            expect("UIDL"),
            send("+OK 1 3\r\n+OK\r\n1 a\r\n.\r\n"),
            expect("LIST"),
        ]);
        script.extend([send("+OK\r\n1 3\r\n.\r\n"), expect("UIDL 1"), expect("RETR 1"), expect("UIDL 1")]);
        script.extend([send("+OK 1 a\r\n+OK\r\na\r\n.\r\n+OK 1 a\r\n"), expect("QUIT"), Step::ExpectEnd]);
        script
    };
    let keys = "pipelining = \"on\"\ntimeout = \"1s\"\nlisting = \"full\"";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let server = Scripted::start(vec![quiet("AUTH")]);
            let mailbox = Mailbox::new(server.port(), keys);
            mailbox.fetch().exits(75);
            let lines = server.finish().remove(0).lines();
            assert_eq!(lines.last().unwrap(), "AUTH PLAIN AG1lAHNlY3JldA==");
        });
        scope.spawn(|| {
            let server = Scripted::start(vec![quiet("QUIT")]);
            let mailbox = Mailbox::new(server.port(), keys);
            // An answer to QUIT that doesn't come loses nothing.
            mailbox.fetch().succeeds();
            server.finish();
            mailbox.holds(["a\n"]);
        });
    });
}

#[test]
fn server_dropping_commands_is_remembered() {
    let options = Options { swallows_pipelined: true, ..good(small(5)) };
    let served = serve(options, "timeout = \"1s\"\nauth = \"plain\"\nleave-on-server = false");
    served.fetch().succeeds().complains("one command at a time");
    served.holds(stored(1..=5));
    assert_eq!(served.server.sessions(), 2);
    assert!(served.server.unique_ids("me").is_empty());
    // That is remembered.
    served.server.add("me", [Message::new("uid-6", body(6)), Message::new("uid-7", body(7))]);
    let run = served.fetch();
    run.succeeds();
    assert!(!run.err().contains("one command at a time"), "{}", run.shown());
    assert_eq!(served.server.sessions(), 3);
    served.holds(stored(1..=7));
}

#[test]
fn server_dropping_the_password_gets_one_at_a_time() {
    let options = Options { swallows_pipelined: true, ..good(small(2)) };
    let served = serve(options, "timeout = \"1s\"\nauth = \"user-pass\"");
    served.fetch().succeeds().complains("one command at a time");
    served.holds(stored(1..=2));
}

#[test]
fn missing_answer_shifts_no_message() {
    // Whichever answer of the first flight the server forgets, of a maildrop of one, two or three messages.
    let forget = |count: u64, command: &str| {
        let mut options = good(small(count)).instead(command, "");
        options.instead_session = Some(1);
        let served = serve(options, "timeout = \"1s\"\nleave-on-server = false");
        let run = served.fetch();
        assert_eq!(run.code(), Some(0), "{count} messages, no answer to {command}: {}", run.shown());
        served.holds(stored(1..=count));
        assert!(served.server.unique_ids("me").is_empty());
        // Which message is asked for is chance.
        if served.server.commands(1).contains(&command.to_owned()) {
            assert_eq!(served.server.sessions(), 2);
            assert!(!served.server.commands(1).contains(&"QUIT".to_owned()));
        }
    };
    std::thread::scope(|scope| {
        for count in 1..=3 {
            let commands = (1..=count).flat_map(|n| [format!("UIDL {n}"), format!("RETR {n}")]);
            for command in commands {
                scope.spawn(move || forget(count, &command));
            }
        }
    });
}

#[test]
fn silence_is_not_blamed_on_pipelining() {
    let mut options = good(small(2)).instead("RETR 2", "+OK\r\nno end\r\n");
    options.instead.retain(|(command, _)| command == "RETR 2");
    let served = serve(options, "timeout = \"1s\"");
    served.fetch().exits(75);
    served.holds(stored([1]));
    served.server.change(|options| options.instead.clear());
    served.fetch().succeeds();
    served.holds(stored(1..=2));
    assert!(served.sandbox.files_with(b"pipelining broken").is_empty(), "it's pipelined again");
}

#[test]
fn the_line_may_end_in_a_proven_pipeline() {
    let options = Options { ending: Ending::Reset, cut: Some(Cut::At("RETR 30".into())), ..good(small(50)) };
    let served = serve(options, "pipelining = \"on\"");
    served.fetch().exits(75);
    let first = served.messages().len();
    assert!(first < 30);
    served.server.change(|options| options.cut = None);
    served.fetch().succeeds();
    served.holds(stored(1..=50));
}
