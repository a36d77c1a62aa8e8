//! mbox files, their form and their locks.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, fcntl_lock};

use super::{poll, set_up, small};
use crate::support::mail;
use crate::support::mailboxes::{mbox, mbox_messages, python_mbox};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, numbered};

const INTO_MBOX: &str = "deliver = { mbox = \"~/inbox\" }";

fn read(sandbox: &Sandbox) -> String {
    String::from_utf8(std::fs::read(sandbox.path("inbox")).unwrap()).unwrap()
}

/// The file without the dates of its From_ lines, which are checked to be some.
fn dateless(sandbox: &Sandbox) -> String {
    let mut out = String::new();
    for line in read(sandbox).split_inclusive('\n') {
        match line.strip_prefix("From ").and_then(|rest| rest.split_once(' ')) {
            Some((sender, date)) => {
                assert_eq!(date.len(), 25, "24 characters of asctime: {date:?}");
                assert!(date.ends_with('\n'));
                out.push_str(&format!("From {sender}\n"));
            }
            None => out.push_str(line),
        }
    }
    out
}

#[test]
fn from_lines_are_quoted_reversibly() {
    let body = "From x\r\n>From x\r\n>>From x\r\n From x\r\nfrom x\r\nFrom\r\n";
    let message = format!("Subject: a\r\n\r\n{body}");
    let (_server, sandbox) = set_up(numbered([&message]), INTO_MBOX);
    poll(&sandbox).succeeds();
    let quoted = ">From x\n>>From x\n>>>From x\n From x\nfrom x\nFrom\n";
    assert_eq!(dateless(&sandbox), format!("From MAILER-DAEMON\nSubject: a\n\n{quoted}\n"));
    assert_eq!(mbox_messages(&sandbox.path("inbox")), [mail::stored(message.as_bytes())]);
    let mode = sandbox.path("inbox").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn missing_end_is_added_before_an_append() {
    let old = "From old Thu Jan  1 00:00:00 1970\nSubject: old\n\nold";
    for (end, expected) in [("", "\n\n"), ("\n", "\n\n"), ("\n\n", "\n\n"), ("\n\n\n", "\n\n\n")] {
        let (_server, sandbox) = set_up(numbered([small("a"), small("b")]), INTO_MBOX);
        let path = sandbox.write("inbox", format!("{old}{end}"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        poll(&sandbox).succeeds();
        assert!(
            read(&sandbox).starts_with(&format!("{old}{expected}From MAILER-DAEMON ")),
            "{}",
            read(&sandbox)
        );
        assert_eq!(mbox(&path).len(), 3);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    }
    let (_server, sandbox) = set_up(numbered([small("a")]), INTO_MBOX);
    sandbox.write("inbox", "");
    poll(&sandbox).succeeds();
    assert_eq!(mbox_messages(&sandbox.path("inbox")), [mail::stored(&small("a"))]);
}

/// Every step that touches the mbox fails, in one run each.
#[test]
#[cfg(feature = "crash-points")]
fn failed_append_leaves_the_file_unchanged() {
    let old = "From old Thu Jan  1 00:00:00 1970\nSubject: old\n\nold\n\n";
    let scene = || {
        let (server, sandbox) =
            set_up(numbered([small("a"), small("b")]), &format!("{INTO_MBOX}\nleave-on-server = false"));
        sandbox.write("inbox", old);
        (server, sandbox)
    };
    let (_server, sandbox) = scene();
    let steps = sandbox.popfetch([""; 0]).record_steps().run().steps;
    let of_mbox: Vec<u64> = steps
        .iter()
        .filter(|step| step.ends_with("/inbox") && (step.contains(" Write ") || step.contains(" Sync ")))
        .map(|step| step.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(of_mbox.len() >= 3, "two halves of a write, and a sync: {steps:#?}");
    for step in of_mbox {
        let (server, sandbox) = scene();
        sandbox.popfetch([""; 0]).fail_at(step, "ENOSPC").run().exits(74).complains("inbox");
        assert_eq!(read(&sandbox), old, "step {step}");
        assert_eq!(server.unique_ids("me").len(), 2);
        poll(&sandbox).succeeds();
        let subjects: Vec<Vec<u8>> =
            mbox(&sandbox.path("inbox")).into_iter().map(|message| message.octets).collect();
        assert_eq!(subjects[1..], [small("a"), small("b")].map(|message| mail::stored(&message)));
        assert_eq!(server.unique_ids("me"), [""; 0]);
    }
}

/// Another program's dotlock that it touched this many minutes ago.
fn dotlock(sandbox: &Sandbox, minutes: u64) -> PathBuf {
    let lock = sandbox.write("inbox.lock", "1\n");
    let touched = SystemTime::now() - Duration::from_secs(minutes * 60);
    std::fs::File::options().write(true).open(&lock).unwrap().set_modified(touched).unwrap();
    lock
}

/// While `hold` holds the mbox, nothing is appended; once it's let go, the mail comes.
#[track_caller]
fn waits_for<T>(
    hold: impl FnOnce(&Sandbox) -> T,
    meanwhile: impl FnOnce(&Sandbox),
    release: impl FnOnce(&Sandbox, T),
) {
    let (server, sandbox) = set_up(numbered([small("a")]), INTO_MBOX);
    sandbox.write("inbox", "");
    let held = hold(&sandbox);
    let mut running = sandbox.popfetch([""; 0]).start();
    // The lock is taken for the check before the session, too: there may be no session before the release.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(150) {
        assert!(running.is_alive());
        // To open the file in this process and close it would let go of a lock that it holds.
        assert_eq!(sandbox.path("inbox").metadata().unwrap().len(), 0);
        std::thread::yield_now();
    }
    meanwhile(&sandbox);
    release(&sandbox, held);
    running.finish().succeeds();
    assert_eq!(mbox_messages(&sandbox.path("inbox")), [mail::stored(&small("a"))]);
    assert!(!sandbox.path("inbox.lock").exists());
    assert_eq!(server.count("RETR"), 1);
}

#[test]
fn fcntl_lock_is_waited_for() {
    let hold = |sandbox: &Sandbox| {
        let file = std::fs::OpenOptions::new().write(true).open(sandbox.path("inbox")).unwrap();
        fcntl_lock(&file, FlockOperation::LockExclusive).unwrap();
        file
    };
    waits_for(hold, |_| (), |_, held| drop(held));
}

#[test]
fn dotlock_is_waited_for_without_holding_a_lock() {
    let meanwhile = |sandbox: &Sandbox| {
        // Who takes the locks in the other order gets the fcntl lock in the end.
        let file = std::fs::OpenOptions::new().write(true).open(sandbox.path("inbox")).unwrap();
        let began = Instant::now();
        while fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "the fcntl lock is held all the time");
        }
    };
    waits_for(|sandbox| dotlock(sandbox, 4), meanwhile, |_, lock| std::fs::remove_file(lock).unwrap());
}

#[test]
fn stale_dotlock_is_broken() {
    let (_server, sandbox) = set_up(numbered([small("a")]), INTO_MBOX);
    let lock = dotlock(&sandbox, 6);
    let run = poll(&sandbox);
    run.succeeds();
    assert!(run.elapsed < Duration::from_secs(20));
    assert_eq!(mbox_messages(&sandbox.path("inbox")).len(), 1);
    assert!(!lock.exists());
}

#[test]
fn fields_that_set_flags_or_hide_mail_are_left_out() {
    let message = "Received: by x\r\nContent-Length: 5\r\nstatus: RO\r\nX-IMAPBASE: 1 2\r\nX-Status: D\r\nX-UID: 1\r\n\
                   X-Keywords: a\r\n b\r\nLines: 1\r\nX-IMAP: 1\r\nSubject: x\r\nStatuses: kept\r\n\r\nStatus: kept\r\n";
    let (_server, sandbox) = set_up(numbered([message, "Subject: next\r\n\r\nx\r\n"]), INTO_MBOX);
    poll(&sandbox).succeeds();
    let expected = "From MAILER-DAEMON\nReceived: by x\nSubject: x\nStatuses: kept\n\nStatus: kept\n\n\
                    From MAILER-DAEMON\nSubject: next\n\nx\n\n";
    assert_eq!(dateless(&sandbox), expected);
    if let Some(read) = python_mbox(&sandbox.path("inbox")) {
        assert_eq!(read.len(), 2);
    }
}

#[test]
fn file_that_is_not_an_mbox_is_refused() {
    for (name, octets) in [("inbox", "#!/bin/sh\n"), ("inbox", "From\n"), ("inbox/file", "x")] {
        let (server, sandbox) =
            set_up(numbered([small("a")]), &format!("{INTO_MBOX}\nleave-on-server = false"));
        let path = sandbox.write(name, octets);
        poll(&sandbox).exits(73).complains("inbox");
        assert_eq!(std::fs::read_to_string(path).unwrap(), octets);
        assert_eq!(server.sessions(), 0);
    }
    let (server, sandbox) = set_up(numbered([small("a")]), "deliver = { mbox = \"~/missing/inbox\" }");
    poll(&sandbox).exits(73).complains("missing");
    assert!(!sandbox.path("missing").exists());
    assert_eq!(server.sessions(), 0);
}

#[test]
fn the_from_line_names_the_sender_and_nothing_else() {
    let cases = [
        ("<ada@example.org>", "ada@example.org"),
        ("<>", "MAILER-DAEMON"),
        ("<a b@example.org>", "MAILER-DAEMON"),
        ("<x@y> Thu Jan  1 00:00:00 1970", "x@y"),
        ("<a\x1b[2J@example.org>", "MAILER-DAEMON"),
    ];
    let messages = cases.map(|(path, _)| format!("Return-Path: {path}\r\nSubject: x\r\n\r\nx\r\n"));
    let (_server, sandbox) = set_up(numbered(messages), INTO_MBOX);
    poll(&sandbox).succeeds();
    let senders: Vec<String> = mbox(&sandbox.path("inbox"))
        .iter()
        .map(|message| String::from_utf8_lossy(&message.from).split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(senders, cases.map(|(_, sender)| sender));
}

/// A reader that takes its mail away between two runs: the file is another one, or shorter.
#[test]
fn a_reader_may_empty_it_between_runs() {
    let (server, sandbox) = set_up(numbered([small("a")]), INTO_MBOX);
    poll(&sandbox).succeeds();
    std::fs::File::create(sandbox.path("inbox")).unwrap().write_all(b"").unwrap();
    server.add("me", [Message::new("b", small("b"))]);
    poll(&sandbox).succeeds();
    assert_eq!(mbox_messages(&sandbox.path("inbox")), [mail::stored(&small("b"))]);
    std::fs::remove_file(sandbox.path("inbox")).unwrap();
    server.add("me", [Message::new("c", small("c"))]);
    poll(&sandbox).succeeds();
    assert_eq!(mbox_messages(&sandbox.path("inbox")), [mail::stored(&small("c"))]);
}
