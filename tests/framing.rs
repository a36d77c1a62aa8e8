//! Octets as sent and octets in the Maildir: dots, line ends, packets, and answers that are none.

use crate::mailbox::{Mailbox, good, names, plain_login, serve};
use crate::support::mail;
use crate::support::scripted::{Scripted, Step, expect, packets, reply, send};
use crate::support::server::{Message, numbered};

/// What is sent, with the server's own stuffing or the lack of it, and what a reader finds.
struct Case {
    name: &'static str,
    wire: Vec<u8>,
    stored: Vec<u8>,
}

fn case(name: &'static str, wire: impl AsRef<[u8]>, stored: impl AsRef<[u8]>) -> Case {
    Case { name, wire: wire.as_ref().to_vec(), stored: stored.as_ref().to_vec() }
}

/// Odd bodies, in a session whose greeting ended in CRLF.
fn cases() -> Vec<Case> {
    let dots = ".".repeat(1 << 20);
    let octets: Vec<u8> = (0..=255).filter(|octet| !b"\r\n".contains(octet)).collect();
    let invalid = b"\xc3\x28 \xff\xfe \xed\xa0\x80 \x1a\0";
    vec![
        case("F2: stuffed dots", "..\r\n..a\r\n...\r\n", ".\n.a\n..\n"),
        case("F3: a dot that was not stuffed", ".a\r\ngoes on\r\n", "a\ngoes on\n"),
        case("F4: dots inside a line", "a..b\r\na.\r\n", "a..b\na.\n"),
        case("F6: a long line of dots", format!("x{dots}\r\ny\r\n"), format!("x{dots}\ny\n")),
        case("F7: LF . LF", "x\n.\ny\r\n", "x\n.\ny\n"),
        case("F7: LF . CRLF", "x\n.\r\ny\r\n", "x\n.\ny\n"),
        case("F7: CRLF . LF", "x\r\n.\ny\r\n", "x\n\ny\n"),
        case("F8: a forged answer", "a\n.\r\n+OK 1 messages\r\n", "a\n.\n+OK 1 messages\n"),
        case("F9: CR . CRLF", "x\r.\r\n", "x\r.\n"),
        case("F9: CR CRLF", "x\r\r\n", "x\r\n"),
        case("F9: CR first", "\rx\r\n", "\rx\n"),
        case("F11: one line", "abc\r\n", "abc\n"),
        case("F12: nothing, as listed", "", ""),
        case("F13: a header only", "Subject: x\r\nTo: me\r\n", "Subject: x\nTo: me\n"),
        case("F14: every octet", [&octets[..], b"\r\n"].concat(), [&octets[..], b"\n"].concat()),
        case("F14: no UTF-8", [&invalid[..], b"\r\n"].concat(), [&invalid[..], b"\n"].concat()),
        case("F15: CR stays before CRLF", "a\r\nb\r\r\n\r\r\n", "a\nb\r\n\r\n"),
    ]
}

/// The same in a session whose greeting ended in LF: there a dot between LFs ends the message.
fn cases_of_lf() -> Vec<Case> {
    vec![
        case("F10: text", "Subject: x\r\n\r\nhello\r\n", "Subject: x\n\nhello\n"),
        case("F10: stuffed dots", "..\r\n..a\r\n...\r\n", ".\n.a\n..\n"),
        case("F10: a dot that was not stuffed", ".a\r\ngoes on\r\n", "a\ngoes on\n"),
        case("F10: dots inside a line", "a..b\r\na.\r\n", "a..b\na.\n"),
        case("F10: nothing", "", ""),
    ]
}

/// Fetches the cases in one session, deleting them, and compares what is there.
#[track_caller]
fn fetched(cases: &[Case], keys: &str, change: impl FnOnce(&mut crate::support::server::Options)) {
    let messages = cases.iter().map(|case| Message::raw(case.name, case.wire.clone()));
    let mut options = good(messages);
    change(&mut options);
    let served = serve(options, &format!("leave-on-server = false\n{keys}"));
    served.fetch().succeeds();
    let found = served.messages();
    for case in cases {
        let stored = found.contains(&case.stored);
        assert!(stored, "{}: expected {:?}", case.name, String::from_utf8_lossy(&case.stored));
    }
    served.holds(cases.iter().map(|case| &case.stored));
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
}

#[test]
fn bodies_are_stored_as_sent() {
    fetched(&cases(), "", |_| {});
}

#[test]
fn bodies_are_stored_as_sent_without_pipelining() {
    fetched(&cases(), "pipelining = \"off\"", |_| {});
}

#[test]
fn packets_do_not_change_messages() {
    let mut small = cases();
    small.retain(|case| case.wire.len() < 1000);
    for packet in [1, 2, 3, 7] {
        fetched(&small, "", |options| options.packet = Some(packet));
    }
    fetched(&cases(), "", |options| options.packet = Some(4093));
}

#[test]
fn every_split_of_an_answer() {
    let answer = b"+OK\r\nx\r\n..y\r\n.\r\n+OK\r\n";
    // One message for each split.
    let splits: Vec<usize> = (1..answer.len()).collect();
    let listing = |line: fn(usize) -> String| -> String { (1..=splits.len()).map(line).collect() };
    let mut script = plain_login();
    script.extend([
        expect("UIDL"),
        send(format!("+OK\r\n{}.\r\n", listing(|n| format!("{n} u{n}\r\n")))),
        expect("LIST"),
        send(format!("+OK\r\n{}.\r\n", listing(|n| format!("{n} 7\r\n")))),
    ]);
    let question = || {
        reply(|line| {
            let number =
                String::from_utf8_lossy(line.strip_prefix(b"UIDL ").expect("a question")).into_owned();
            format!("+OK {number} u{number}\r\n").into_bytes()
        })
    };
    script.push(question());
    for (number, split) in (1..).zip(&splits) {
        let answer = &answer[..answer.len() - 5];
        let split = *split.min(&(answer.len() - 1));
        script.extend([
            expect(format!("RETR {number}")),
            packets(&answer[..split], split),
            packets(&answer[split..], answer.len() - split),
        ]);
    }
    script.extend([question(), expect("QUIT"), send("+OK\r\n")]);
    let server = Scripted::start(vec![script]);
    let mailbox = Mailbox::new(server.port(), "");
    mailbox.fetch().succeeds();
    server.finish();
    mailbox.holds(splits.iter().map(|_| "x\n.y\n"));
}

#[test]
fn server_with_bare_line_feeds() {
    fetched(&cases_of_lf(), "", |options| options.bare_lf = true);
    fetched(&cases_of_lf(), "", |options| {
        options.bare_lf = true;
        options.packet = Some(1);
    });
}

#[test]
fn empty_answer_for_a_listed_message_is_a_failure() {
    let messages = [Message::raw("empty", &b""[..]).claiming(120), Message::new("full", "Subject: x\r\n")];
    for keys in ["", "pipelining = \"off\""] {
        let served = serve(good(messages.clone()), &format!("leave-on-server = false\n{keys}"));
        served.fetch().exits(75).complains("message 1 failed");
        served.holds(["Subject: x\n"]);
        assert_eq!(served.server.unique_ids("me"), ["empty"], "the other one is deleted");
    }
}

#[test]
fn every_sample_arrives_unchanged() {
    let samples = mail::samples();
    let served = serve(good(numbered(samples.iter().map(|sample| &sample.octets))), "");
    served.fetch().succeeds();
    served.holds(samples.iter().map(|sample| mail::stored(&sample.octets)));
}

/// The scripts of broken answers begin here: two messages are listed, and the first RETR has come.
fn two_listed() -> Vec<Step> {
    let mut script = plain_login();
    script.extend([
        expect("UIDL"),
        send("+OK\r\n1 a\r\n2 b\r\n.\r\n"),
        expect("LIST"),
        send("+OK\r\n1 10\r\n2 10\r\n.\r\n"),
        names(&[(1, "a"), (2, "b")]),
        expect("RETR 1"),
    ]);
    script
}

/// The session after one that broke off at message 1: the other one comes, one command at a time.
fn the_other_one() -> Vec<Step> {
    let mut script = plain_login();
    script.extend([expect("UIDL"), send("+OK\r\n1 a\r\n2 b\r\n.\r\n"), expect("LIST")]);
    script.extend([send("+OK\r\n1 10\r\n2 10\r\n.\r\n"), expect("RETR 2"), send("+OK\r\ntwo\r\n.\r\n")]);
    script.extend([names(&[(1, "a")]), expect("QUIT"), send("+OK\r\n")]);
    script
}

#[test]
fn long_status_lines_are_accepted() {
    for (length, code) in [(600, 0), (8191, 0), (8193, 76)] {
        let line = format!("+OK {}\r\n", "x".repeat(length - 6));
        let mut script = two_listed();
        script.push(send(format!("{line}one\r\n.\r\n")));
        let mut scripts = vec![script];
        if code == 0 {
            scripts[0].extend([expect("RETR 2"), send("+OK\r\ntwo\r\n.\r\n")]);
            scripts[0].extend([names(&[(1, "a")]), expect("QUIT"), send("+OK\r\n")]);
        } else {
            scripts[0].push(Step::ExpectEnd);
            scripts.push(the_other_one());
        }
        let server = Scripted::start(scripts);
        let mailbox = Mailbox::new(server.port(), "");
        mailbox.fetch().exits(code);
        server.finish();
        mailbox.holds(if code == 0 { &["one\n", "two\n"][..] } else { &["two\n"] });
    }
}

#[test]
fn endless_status_line_is_refused() {
    let mut script = two_listed();
    script.extend([send(b"+OK ".repeat(4096)), Step::ExpectEnd]);
    let server = Scripted::start(vec![script, the_other_one()]);
    let mailbox = Mailbox::new(server.port(), "");
    mailbox.fetch().exits(76);
    server.finish();
    mailbox.holds(["two\n"]);
}

#[test]
fn server_text_is_printed_escaped() {
    let words = b"-ERR \x1b[2J\x07\xc4\xe3\xba\xc3 sorry\x9b\r\n";
    let mut script = two_listed();
    script.extend([send(words), expect("RETR 2"), send(words), names(&[(1, "a")])]);
    script.extend([expect("QUIT"), send("+OK \x1b[0m\r\n")]);
    for flag in ["--quiet", "-v", "-vv"] {
        let server = Scripted::start(vec![script.clone()]);
        let mailbox = Mailbox::new(server.port(), "");
        let run = mailbox.sandbox.run([flag]);
        run.exits(75).complains("sorry").never_says(b"\x1b").never_says(b"\x07").never_says(b"\x9b");
        run.never_says(b"\xc4\xe3");
        server.finish();
        assert_eq!(mailbox.sandbox.files_with(b"\x1b"), [""; 0].map(Into::<std::path::PathBuf>::into));
    }
}

/// Message 2 has a dot line that nobody stuffed: what follows it is read where answers are due.
fn with_a_cut_message() -> Vec<Message> {
    let cut = b"Subject: two\r\n\r\nbefore\r\n.\r\nSubject: forwarded\r\nafter\r\n";
    let good = |number: u64| Message::new(format!("uid-{number}"), mail::message(number, 400));
    vec![good(1), Message::raw("uid-2", &cut[..]), good(3)]
}

#[test]
fn doubtful_end_keeps_only_that_message_back() {
    for pipelining in ["auto", "on", "off"] {
        let keys = format!("leave-on-server = false\npipelining = \"{pipelining}\"");
        let served = serve(good(with_a_cut_message()), &keys);
        served.fetch().exits(76).complains("message 2 failed");
        served.holds([1, 3].map(|number| mail::stored(&mail::message(number, 400))));
        assert_eq!(served.server.count("DELE 2"), 0, "{pipelining}");
        // It's tried again, behind the others, and then has to wait.
        served.fetch().exits(76);
        served.fetch();
        assert_eq!(served.server.unique_ids("me"), ["uid-2"], "{pipelining}");
        served.holds([1, 3].map(|number| mail::stored(&mail::message(number, 400))));
    }
}

#[test]
fn second_answer_is_not_taken_for_the_next_commands() {
    // FTGate: two +OK for one RETR, the second in the place of what comes next.
    let mut script = two_listed();
    script.extend([send("+OK\r\none\r\n.\r\n+OK\r\n"), Step::ExpectEnd]);
    let server = Scripted::start(vec![script, the_other_one()]);
    let mailbox = Mailbox::new(server.port(), "");
    mailbox.fetch().exits(76).complains("without having been asked");
    server.finish();
    mailbox.holds(["two\n"]);
}

#[test]
fn second_answer_in_a_pipeline() {
    // All is on its way when the spare +OK comes: what follows is out of step by one.
    let spare = b"+OK\r\none\r\n.\r\n+OK\r\n";
    let mut options = good(numbered(["one\r\n", "two\r\n", "three\r\n"])).instead("RETR 1", spare);
    options.instead_session = Some(1);
    let served = serve(options, "leave-on-server = false");
    served.fetch().succeeds();
    served.holds(["one\n", "two\n", "three\n"]);
    assert_eq!(served.server.sessions(), 2);
    assert!(!served.server.commands(1).contains(&"QUIT".to_owned()));
}
