//! Retrieving: confirmation, messages that fail, lines that end anywhere, limits.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use crate::mailbox::{
    IN_CLEAR, KEEP, Mailbox, Served, good, names, plain_login, section, serve, whole_or_later,
};
use crate::support::mail;
use crate::support::mailboxes::{mbox_messages, python_mbox};
use crate::support::scripted::{Scripted, Step, expect, send};
use crate::support::server::{Cut, Ending, Message, Options, Server, numbered};

/// Messages of a few lines.
fn small(count: u64) -> Vec<Message> {
    numbered((1..=count).map(body))
}

fn body(number: u64) -> Vec<u8> {
    format!("Subject: message {number}\r\n\r\n.\r\nend\r\n").into_bytes()
}

fn stored(numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|number| mail::stored(&body(number))).collect()
}

/// The commands of a session that are about messages.
fn about_messages(served: &Served, session: usize) -> Vec<String> {
    let mut commands = served.server.commands(session);
    commands.retain(|command| {
        !["CAPA", "USER", "PASS", "AUTH", "STAT"].contains(&command.split(' ').next().unwrap_or(""))
    });
    commands
}

#[test]
fn a_question_stands_behind_the_last_retr() {
    // The first question shows what the server can answer; which message it's about is chance.
    let one_by_one = "UIDL LIST RETR 1 RETR 2 UIDL 1 QUIT";
    let pipelined = "UIDL LIST RETR 1 UIDL 2 RETR 2 UIDL 1 QUIT";
    for (pipelining, expected) in [("off", one_by_one), ("on", pipelined), ("auto", pipelined)] {
        let served = serve(good(small(2)), &format!("listing = \"full\"\npipelining = \"{pipelining}\""));
        let commands = |session| about_messages(&served, session).join(" ");
        served.fetch().succeeds();
        let first = expected.replacen("LIST ", "LIST UIDL N ", 1);
        let first = [first.replace('N', "1"), first.replace('N', "2")];
        assert!(first.contains(&commands(1)), "{pipelining}: {}", commands(1));
        served.holds(stored(1..=2));
        // That is remembered; now the listing looks at headers as well, in its flight.
        served.sandbox.run(["--all"]).succeeds();
        let looks = ["", "TOP 1 0 TOP 2 0 ", "TOP 2 0 TOP 1 0 "].map(|tops| format!("{tops}{expected}"));
        assert!(looks.contains(&commands(2)), "{pipelining}: {}", commands(2));
        assert_eq!(commands(2).contains("TOP"), pipelining != "off", "{pipelining}");
    }
}

#[test]
fn nothing_is_confirmed_by_an_end_of_the_line() {
    // The last message is whole, terminator and all, and no answer to the question follows.
    for ending in [Step::Close, Step::Reset] {
        let mut script = plain_login();
        script.extend([
            expect("UIDL"),
            send("+OK\r\n1 a\r\n.\r\n"),
            expect("LIST"),
            send("+OK\r\n1 3\r\n.\r\n"),
            names(&[(1, "a")]),
            expect("RETR 1"),
            send("+OK\r\na\r\n.\r\n"),
            expect("UIDL 1"),
            ending,
        ]);
        let server = Scripted::start(vec![script]);
        let mailbox = Mailbox::new(server.port(), "leave-on-server = false");
        mailbox.fetch().exits(75);
        server.finish();
        mailbox.holds([""; 0]);
    }
}

#[test]
fn wrong_sizes_do_no_harm() {
    let messages = [99, 102, 1000, 0, u64::MAX]
        .map(|octets| Message::new(format!("of {octets}"), format!("{octets}\r\n")).claiming(100));
    let served = serve(good(messages), "");
    served.fetch().succeeds();
    assert_eq!(served.messages().len(), 5);
}

/// A server that is cut in its first session.
pub(crate) fn cut_once(ending: Ending, messages: Vec<Message>) -> Options {
    Options {
        before_login: vec!["UIDL".into(), "USER".into(), "PIPELINING".into()],
        after_login: vec!["UIDL".into(), "PIPELINING".into()],
        greeting: b"+OK\r\n".to_vec(),
        ending,
        cut_session: Some(1),
        ..good(messages)
    }
}

/// Closes the connection at each of `cuts`, then lets a good run follow, in deleting and leaving mode: each message is there
/// once, and the server has what it should.
fn cut_everywhere(ending: Ending, keys: &str, after_greeting: bool, step: usize) {
    let options = || cut_once(ending, small(3));
    let whole = serve(options(), keys);
    whole.fetch().succeeds();
    let all = whole.server.octets_sent(1);
    let deletes = keys.contains("leave-on-server = false");
    // What precedes the messages is the same for every octet: nothing has happened yet.
    let from = if after_greeting { all / 2 } else { 1 };
    let cuts: Vec<u64> = (from..=all).step_by(step).collect();
    let left = if deletes { 0 } else { 3 };
    whole_or_later(&cuts, &stored(1..=3), left, |cut| {
        (serve(Options { cut: Some(Cut::After(cut)), ..options() }, keys), ())
    });
}

#[test]
fn connection_lost_at_every_octet() {
    cut_everywhere(Ending::Close, "leave-on-server = false", true, 1);
}

#[test]
fn connection_lost_before_the_messages() {
    cut_everywhere(Ending::Close, "leave-on-server = false", false, 9);
}

#[test]
fn connection_reset_anywhere() {
    cut_everywhere(Ending::Reset, "leave-on-server = false\npipelining = \"on\"", true, 2);
}

#[test]
fn connection_lost_at_every_octet_without_pipelining() {
    cut_everywhere(Ending::Close, "pipelining = \"off\"", true, 3);
}

#[test]
fn server_silent_within_a_message() {
    let answer = b"+OK\r\nSubject: x\r\n\r\n..\r\nend\r\n.\r\n";
    let cuts = [0, 2, 5, 9, 19, 22, answer.len() - 4, answer.len() - 3, answer.len() - 2, answer.len() - 1];
    thread::scope(|scope| {
        for cut in cuts {
            scope.spawn(move || {
                let listed = || {
                    let mut script = plain_login();
                    script.extend([
                        expect("UIDL"),
                        send("+OK\r\n1 a\r\n.\r\n"),
                        expect("LIST"),
                        send("+OK\r\n1 20\r\n.\r\n"),
                    ]);
                    script
                };
                let mut silent = listed();
                silent.extend([names(&[(1, "a")]), expect("RETR 1"), send(&answer[..cut]), Step::Stall]);
                let mut good = listed();
                good.extend([expect("RETR 1"), send(answer), names(&[(1, "a")])]);
                good.extend([expect("DELE 1"), send("+OK\r\n"), expect("QUIT"), send("+OK\r\n")]);
                let server = Scripted::start(vec![silent, good]);
                let mailbox = Mailbox::new(server.port(), "timeout = \"1s\"\nleave-on-server = false");
                mailbox.fetch().exits(75).complains("too long");
                mailbox.holds([""; 0]);
                mailbox.fetch().succeeds();
                server.finish();
                mailbox.holds(["Subject: x\n\n.\nend\n"]);
            });
        }
    });
}

#[test]
fn refused_message_does_not_stop_the_others() {
    for pipelining in ["auto", "on", "off"] {
        let mut messages = small(3);
        messages[1] = messages[1].clone().refused("-ERR cannot read it");
        let keys = format!("leave-on-server = false\npipelining = \"{pipelining}\"");
        let served = serve(good(messages), &keys);
        served.fetch().exits(75).complains("message 2 failed").complains("cannot read it");
        served.holds(stored([1, 3]));
        assert_eq!(served.server.unique_ids("me"), ["uid-2"]);
        // The server has recovered.
        served.server.replace("me", small(2).split_off(1));
        served.fetch().succeeds();
        served.holds(stored(1..=3));
        assert_eq!(served.server.unique_ids("me"), [""; 0]);
    }
}

#[test]
fn refused_message_is_reported_once_and_tried_last() {
    let mut messages = small(2);
    messages[0] = messages[0].clone().refused("-ERR cannot read it");
    let served = serve(good(messages), "");
    served.sandbox.run(["--quiet"]).exits(75).complains("cannot read it");
    served.server.add("me", small(3).split_off(2));
    let again = served.sandbox.run(["--quiet"]);
    again.exits(75).is_silent();
    let retrieved: Vec<String> =
        served.server.commands(2).into_iter().filter(|command| command.starts_with("RETR")).collect();
    assert_eq!(retrieved, ["RETR 3", "RETR 1"]);
    served.holds(stored(2..=3));
    // It failed twice: now it waits, and is no news, but a failure all the same.
    served.sandbox.run(["--quiet"]).exits(75).is_silent();
    assert!(!served.server.commands(3).contains(&"RETR 1".to_owned()));
}

#[test]
fn message_that_ends_the_connection_does_not_block_others() {
    for pipelining in ["auto", "on", "off"] {
        for cut in [0, 5] {
            let mut messages = small(4);
            messages[1] = messages[1].clone().cut_after(cut);
            let served = serve(good(messages), &format!("pipelining = \"{pipelining}\""));
            served.fetch().exits(75);
            assert!(served.messages().len() <= 1);
            // It comes last now.
            served.fetch().exits(75);
            served.holds(stored([1, 3, 4]));
        }
    }
}

#[test]
fn request_that_ends_the_connection_does_not_block_others() {
    // It ends before any answer to RETR 2: the end of message 1 was never confirmed.
    for pipelining in ["auto", "on", "off"] {
        let options = Options { cut: Some(Cut::At("RETR 2".into())), ..good(small(3)) };
        let served = serve(options, &format!("pipelining = \"{pipelining}\""));
        served.fetch().exits(75);
        served.fetch().exits(75);
        served.holds(stored([1, 3]));
    }
}

#[test]
fn unasked_farewell_is_reported() {
    let mut script = plain_login();
    script.extend([
        expect("UIDL"),
        send("+OK\r\n1 a\r\n2 b\r\n.\r\n"),
        expect("LIST"),
        send("+OK\r\n1 3\r\n2 3\r\n.\r\n"),
        names(&[(1, "a"), (2, "b")]),
        expect("RETR 1"),
        send("+OK\r\na\r\n.\r\n-ERR Disconnected for inactivity.\r\n"),
        Step::Close,
    ]);
    let server = Scripted::start(vec![script]);
    let mailbox = Mailbox::new(server.port(), "");
    mailbox.fetch().exits(75).complains("Disconnected for inactivity.");
    drop(server);
}

#[test]
fn too_large_message_is_never_retrieved() {
    let big = Message::new("big", mail::message(1, 3000));
    let served = serve(good([big, Message::new("small", body(2))]), "max-message-size = \"2K\"");
    served.sandbox.run(["--quiet"]).succeeds().complains("too large");
    served.holds(stored([2]));
    served.sandbox.run(["--quiet"]).succeeds().is_silent();
    assert_eq!(served.server.count("RETR 1"), 0);
    // The limit is gone: it comes.
    served.configure(served.server.port(), "");
    served.fetch().succeeds();
    served.holds([mail::stored(&mail::message(1, 3000)), mail::stored(&body(2))]);
}

#[test]
fn dripping_server_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mailbox = Mailbox::new(listener.local_addr().unwrap().port(), "timeout = \"1s\"");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"+OK\r\n").unwrap();
        let mut commands = [0; 512];
        for answer in [
            "-ERR\r\n",
            "+OK\r\n",
            "+OK\r\n",
            "+OK\r\n1 a\r\n.\r\n",
            "+OK\r\n1 9\r\n.\r\n",
            "+OK 1 a\r\n",
            "+OK\r\n",
        ] {
            let _ = stream.read(&mut commands).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
        // An octet now and then, much more often than the time-out, until the client has had enough.
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let run = mailbox.fetch();
    run.exits(75).complains("too long");
    assert!(run.elapsed < Duration::from_secs(5), "{}", run.shown());
    server.join().unwrap();
    mailbox.holds([""; 0]);
}

#[test]
fn message_far_beyond_its_listed_size_is_stopped() {
    let mebibyte = "x".repeat(1022) + "\r\n";
    let endless = Message::repeated("endless", mebibyte.repeat(1024), 80).claiming(1000);
    let served = serve(good([endless, Message::new("small", body(2))]), "leave-on-server = false");
    served.fetch().exits(76).complains("far beyond");
    served.holds([""; 0]);
    let sent = served.server.octets_sent(1);
    assert!(sent > 60 << 20, "it was stopped too early, after {sent} octets");
    // Next time it's the last.
    served.fetch().exits(76);
    served.holds(stored([2]));
    assert_eq!(served.server.count("DELE 1"), 0);
}

#[test]
fn server_without_top() {
    let served = serve(good(small(2)).without("TOP"), "received-header = true");
    served.fetch().succeeds();
    assert_eq!(served.messages().len(), 2);
}

#[test]
fn message_that_begins_with_a_from_line() {
    let message = b"From ada@example.org Thu Jan  1 00:00:00 1970\r\nSubject: x\r\n\r\nFrom here\r\n";
    let served = serve(good(numbered([message])), "");
    served.fetch().succeeds();
    served.holds([mail::stored(message)]);

    let server = Server::start(good(numbered([message])));
    let mailbox = Mailbox::new(server.port(), "");
    let toml = std::fs::read_to_string(mailbox.sandbox.path(".config/popfetch/config.toml")).unwrap();
    mailbox.sandbox.config(toml.replace("maildir = \"~/mail\"", "mbox = \"~/inbox\""));
    mailbox.fetch().succeeds();
    let inbox = mailbox.sandbox.path("inbox");
    assert_eq!(mbox_messages(&inbox).len(), 1, "never two From_ lines");
    if let Some(messages) = python_mbox(&inbox) {
        assert_eq!(messages.len(), 1);
    }
}

#[test]
fn missing_terminator_is_reported() {
    // Exchange 2000: the dot follows the last text octet.
    let mut script = plain_login();
    script.extend([
        expect("UIDL"),
        send("+OK\r\n1 a\r\n.\r\n"),
        expect("LIST"),
        send("+OK\r\n1 4\r\n.\r\n"),
        names(&[(1, "a")]),
        expect("RETR 1"),
        send("+OK\r\ntext.\r\n"),
        Step::Stall,
    ]);
    let server = Scripted::start(vec![script]);
    let mailbox = Mailbox::new(server.port(), "timeout = \"1s\"");
    mailbox.fetch().exits(75).complains("the dot on a line of its own");
    server.finish();
    mailbox.holds([""; 0]);
}

#[test]
fn folder_data_is_left_alone() {
    let pseudo =
        b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nFrom: Mail System Internal Data <MAILER-DAEMON@x>\r\n\
        Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\nX-IMAP: 1234567890 0000000000\r\n\
        Status: RO\r\n\r\nThis text is part of the internal format of your mail folder.\r\n";
    let messages = [Message::new("internal", pseudo), Message::new("mail", body(2))];
    let served = serve(good(messages), "leave-on-server = false");
    for first in [true, false] {
        let run = served.fetch();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(said.contains("internal data"), first, "{said}");
        run.succeeds();
        served.holds(stored([2]));
        assert_eq!(served.server.unique_ids("me"), ["internal"]);
    }
}

/// Anybody can write such a subject, or forward such a message: it's mail.
#[test]
fn mail_that_looks_like_folder_data_is_delivered() {
    let fields = "X-IMAP: 1 2\r\nX-IMAPbase: 1 2\r\n\r\nmail\r\n";
    let subject = "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\n";
    let texts = [
        format!("From: Eve <eve@example.org>\r\n{subject}{fields}"),
        format!("From: MAILER-DAEMON@example.org\r\n{subject}{fields}"),
        format!("From: MAILER-DAEMON@example.org\r\nSubject: Don't delete this message, please\r\n{fields}"),
    ];
    let messages =
        (1..).zip(&texts).map(|(number, text)| Message::new(format!("uid-{number}"), text.as_bytes()));
    let served = serve(good(messages), "leave-on-server = false");
    served.fetch().succeeds();
    served.holds(texts.map(|text| text.replace("\r\n", "\n").into_bytes()));
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
}

#[test]
fn no_quit_where_it_drops_unstored_mail() {
    for (expire, quits) in [("EXPIRE 0", false), ("EXPIRE NEVER", true)] {
        let mut messages = small(3);
        messages[1] = Message::raw("uid-2", &b""[..]).claiming(100);
        let mut options = good(messages).expiring([expire]);
        options.retrieved = if quits {
            crate::support::server::Retrieved::Stay
        } else {
            crate::support::server::Retrieved::Deleted
        };
        let served = serve(options, "leave-on-server = false");
        served.fetch().exits(75);
        served.holds(stored([1, 3]));
        // No QUIT where it would drop what isn't stored: another session leaves that alone, and deletes the rest.
        assert_eq!(served.server.commands(1).contains(&"QUIT".to_owned()), quits, "{expire}");
        assert_eq!(served.server.count("QUIT"), 1, "{expire}");
        assert_eq!(served.server.unique_ids("me"), ["uid-2"], "{expire}");
        served.server.replace("me", {
            let mut healed = served.server.maildrop("me");
            healed.iter_mut().filter(|m| m.unique_id() == "uid-2").for_each(|m| *m = small(2)[1].clone());
            healed
        });
        served.fetch().succeeds();
        served.holds(stored(1..=3));
        assert_eq!(served.server.unique_ids("me"), [""; 0], "{expire}");
    }
}

#[test]
fn limits_of_a_run() {
    for (keys, each) in [("max-messages = 2", vec![2, 4, 5]), ("max-bytes = 70", vec![2, 4, 5])] {
        // Each is of 30 octets: two fit into 70.
        let served = serve(good(small(5)), keys);
        for expected in each {
            served.fetch().succeeds();
            assert_eq!(served.messages().len(), expected, "{keys}");
        }
        served.holds(stored(1..=5));
        assert_eq!(served.server.count("RETR"), 5);
    }
    // The first one always goes, however large.
    let served = serve(good(small(3)), "max-bytes = 1");
    served.fetch().succeeds();
    served.holds(stored([1]));
}

/// Gmail lists the last 30 days to a user `recent:…`, at each login and whatever was retrieved before: that is no window which
/// moves on.
#[test]
fn in_gmails_recent_mode_known_mail_is_not_retrieved_again() {
    for keys in ["", "first-run = \"new-only\""] {
        let mut options = Options::with("recent:me", "secret", small(5));
        for capabilities in [&mut options.before_login, &mut options.after_login] {
            capabilities.retain(|line| !line.starts_with("EXPIRE"));
            capabilities.extend(["EXPIRE 0".into(), "X-GOOGLE-RICO".into()]);
        }
        let served = serve(options, KEEP);
        let keys = format!("{IN_CLEAR}deliver = {{ maildir = \"~/mail\" }}\n{KEEP}\n{keys}");
        let config = section("me", served.server.port(), &keys);
        served.sandbox.config(config.replace("user = \"me\"", "user = \"recent:me\""));
        let known = if keys.contains("new-only") { 0 } else { 5 };
        for run in 1..=3 {
            served.fetch().succeeds();
            assert_eq!((served.server.count("RETR"), served.server.sessions()), (known, run));
        }
        served.server.replace("recent:me", small(6));
        served.fetch().succeeds();
        served.holds(stored((1..=6).filter(|number| known > 0 || *number == 6)));
    }
}
