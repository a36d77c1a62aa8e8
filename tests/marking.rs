//! What counts as seen by the user's word: `popfetch mark-seen`, and `first-run = "new-only"`.

use std::fs::File;

use crate::crash::case::tiny;
use crate::destinations::{account, set_up};
use crate::support::mail::stored;
use crate::support::mailboxes::{Maildir, assert_same};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Options, Server};

const KEEPING: &str = "deliver = { maildir = \"~/Mail\" }";
const DELETING: &str = "leave-on-server = false\ndeliver = { maildir = \"~/Mail\" }";
const NEW_ONLY: &str = "first-run = \"new-only\"\ndeliver = { maildir = \"~/Mail\" }";

fn delivered(sandbox: &Sandbox) -> Vec<Vec<u8>> {
    match sandbox.path("Mail").exists() {
        true => Maildir::read(&sandbox.path("Mail")).messages(),
        false => Vec::new(),
    }
}

/// Exactly these of `tiny` messages were delivered, by their numbers from 1.
#[track_caller]
fn has(sandbox: &Sandbox, numbers: &[usize]) {
    let all = tiny(10);
    assert_same(delivered(sandbox), numbers.iter().map(|number| stored(&all[number - 1])).collect());
}

/// Messages of `tiny`, numbered from `from`.
fn more(from: usize, to: usize) -> Vec<Message> {
    let all = tiny(10);
    (from..=to).map(|number| Message::new(format!("uid-{number}"), &*all[number - 1])).collect()
}

#[test]
fn what_is_marked_is_neither_retrieved_nor_deleted() {
    let (server, sandbox) = set_up(more(1, 5), DELETING);
    let run = sandbox.run(["mark-seen", "work", "1-2", "uid:uid-3"]);
    run.succeeds().says("work: 3 messages count as seen\n");
    assert_eq!((server.count("RETR"), server.count("DELE"), server.count("TOP")), (0, 0, 3));
    assert!(delivered(&sandbox).is_empty());
    for _ in 0..2 {
        sandbox.run(["work"]).succeeds();
        has(&sandbox, &[4, 5]);
        assert_eq!(server.unique_ids("me"), ["uid-1", "uid-2", "uid-3"]);
    }
    assert_eq!((server.count("RETR"), server.count("DELE")), (2, 2));
    let again = sandbox.run(["mark-seen", "work", "-3"]);
    again.succeeds().says("work: 0 messages count as seen; 1 was known before\n");
}

#[test]
fn what_is_marked_as_delivered_is_deleted_by_the_policy() {
    let (server, sandbox) = set_up(more(1, 3), DELETING);
    sandbox.run(["mark-seen", "work", "--as-delivered", "2026-01-01", "1", "last"]).succeeds();
    assert_eq!((server.count("RETR"), server.count("DELE")), (0, 0), "not by the command itself");
    sandbox.run(["work"]).succeeds();
    has(&sandbox, &[2]);
    assert_eq!(server.unique_ids("me"), [""; 0]);
    assert_eq!((server.count("RETR"), server.count("DELE")), (1, 3));
}

/// Other mail under a unique-id that was said to be delivered.
#[test]
fn what_is_marked_as_delivered_is_recognised_before_it_is_deleted() {
    let (server, sandbox) = set_up(more(1, 1), DELETING);
    sandbox.run(["mark-seen", "work", "--as-delivered", "2026-01-01"]).succeeds();
    server.replace("me", [Message::new("uid-1", tiny(2)[1].clone())]);
    sandbox.run(["work"]).succeeds();
    has(&sandbox, &[2]);
}

/// As long as the server gives no header, nothing is known but the unique-id.
#[test]
fn headers_that_are_missing_are_asked_for_in_later_runs() {
    let (server, sandbox) = set_up(more(1, 2), DELETING);
    server.change(|options| options.instead = vec![("TOP".to_owned(), b"-ERR not now\r\n".to_vec())]);
    sandbox.run(["mark-seen", "work", "--as-delivered", "2026-01-01"]).succeeds();
    for _ in 0..2 {
        sandbox.run(["work"]).succeeds();
        assert_eq!((server.count("RETR"), server.count("DELE")), (0, 0));
    }
    server.change(|options| options.instead.clear());
    let before = server.count("TOP");
    sandbox.run(["-v", "work"]).succeeds().complains("the headers of 2 messages are asked for");
    assert_eq!(server.unique_ids("me"), [""; 0]);
    assert_eq!(server.count("RETR"), 0);
    assert!(server.count("TOP") >= before + 2);
}

#[test]
fn the_header_of_a_marked_message_is_asked_for_once() {
    let (server, sandbox) = set_up(more(1, 3), KEEPING);
    sandbox.run(["mark-seen", "work"]).succeeds().says("work: 3 messages count as seen\n");
    sandbox.run(["work"]).succeeds();
    // An idle poll, as of any mailbox whose mail is known.
    let sessions = server.sessions();
    sandbox.run(["work"]).succeeds();
    assert_eq!(server.commands(sessions + 1).iter().filter(|c| c.starts_with("UIDL ")).count(), 2);
    assert_eq!((server.count("RETR"), server.count("DELE")), (0, 0));
}

#[test]
fn a_dry_run_shows_what_would_be_marked_and_changes_nothing() {
    let (server, sandbox) = set_up(more(1, 3), KEEPING);
    let before = sandbox.files();
    let run = sandbox.run(["mark-seen", "-n", "work", "2-"]);
    run.succeeds().says("work: 2  ").says("  uid-3\n").says("work: 2 messages would count as seen\n");
    assert_eq!(sandbox.files(), before);
    sandbox.run(["work"]).succeeds();
    has(&sandbox, &[1, 2, 3]);
    assert_eq!(server.count("RETR"), 3);
}

#[test]
fn only_what_was_sent_before_a_day_is_marked() {
    let dated = |unique_id: &str, date: &str| {
        Message::new(unique_id, format!("Date: {date}\r\nSubject: x\r\n\r\nbody\r\n").as_bytes())
    };
    let messages = [
        dated("old", "Wed, 31 Dec 2025 23:59:59 +0000"),
        dated("later", "Thu, 01 Jan 2026 00:30:00 +0100"),
        dated("new", "Thu, 01 Jan 2026 00:00:00 +0000"),
        dated("undated", "some day"),
    ];
    let (server, sandbox) = set_up(messages, KEEPING);
    let run = sandbox.run(["mark-seen", "work", "--before", "2026-01-01", "-n"]);
    run.succeeds().says("  old\n").says("  later\n").never_says("  new\n");
    run.says("2 messages would count as seen; 1 message without a date left alone\n");
    sandbox.run(["mark-seen", "--before", "2026-01-01"]).succeeds().says("work: 2 messages count as seen");
    sandbox.run(["work"]).succeeds();
    assert_eq!(server.count("RETR"), 2);
    sandbox.run(["mark-seen", "--before", "1 January"]).exits(64).complains("2026-01-31");
}

#[test]
fn a_message_that_is_not_there_is_an_error_and_nothing_is_marked() {
    let (server, sandbox) = set_up(more(1, 2), KEEPING);
    let run = sandbox.run(["mark-seen", "work", "1,3"]);
    run.exits(66).complains("account \"work\": there is no message 3: the server lists 2 messages");
    run.complains("hint: ");
    sandbox.run(["mark-seen", "wrok", "1"]).exits(66).complains("no message \"wrok\"");
    sandbox.run(["work"]).succeeds();
    assert_eq!(server.count("RETR"), 2);
}

#[test]
fn several_accounts_are_marked_as_a_whole_only() {
    let server = Server::with("me", "secret", more(1, 2));
    let other = Server::with("me", "secret", more(1, 3));
    let sandbox = Sandbox::new();
    let home = account(&other, KEEPING).replace("[accounts.work]", "[accounts.home]");
    sandbox.config(format!("{}\n{home}", account(&server, KEEPING)));
    sandbox.run(["mark-seen"]).exits(64).complains("which account?");
    sandbox.run(["mark-seen", "hmoe"]).exits(64).complains("home");
    sandbox.run(["mark-seen", "home", "work", "1"]).exits(64).complains("account by account");
    assert_eq!((server.sessions(), other.sessions()), (0, 0));
    let run = sandbox.run(["mark-seen", "home", "work"]);
    run.succeeds().says("home: 3 messages count as seen\nwork: 2 messages count as seen\n");
}

#[test]
fn a_run_that_holds_the_mailbox_is_waited_for_a_little() {
    let (server, sandbox) = set_up(more(1, 1), KEEPING);
    sandbox.run(["work"]).succeeds();
    let states = std::fs::read_dir(sandbox.state()).unwrap().map(|entry| entry.unwrap().path());
    let lock = states.map(|path| path.join("lock")).find(|path| path.exists()).unwrap();
    let lock = File::options().write(true).open(lock).unwrap();
    lock.lock().unwrap();
    let sessions = server.sessions();
    sandbox.run(["mark-seen", "work"]).exits(75).complains("another popfetch");
    assert_eq!(server.sessions(), sessions);
}

#[test]
fn messages_without_unique_ids_cannot_be_marked() {
    let server = Server::start(Options::with("me", "secret", more(1, 2)).without("UIDL"));
    let sandbox = Sandbox::new();
    sandbox.config(account(&server, NEW_ONLY));
    sandbox.run(["mark-seen", "work"]).exits(76).complains("no unique-ids");
    sandbox.run(["work"]).exits(76).complains("first-run = \"all\"");
    assert_eq!(server.count("RETR"), 0);
}

/// Gmail.
#[test]
fn a_window_is_not_marked_as_a_whole() {
    let (server, sandbox) = set_up(more(1, 3), NEW_ONLY);
    server.change(|options| options.after_login.push("X-GOOGLE-RICO".to_owned()));
    sandbox.run(["mark-seen", "work"]).exits(78).complains("a part of its mail at a time");
    sandbox.run(["work"]).exits(78).complains("from now on");
    assert_eq!(server.count("RETR"), 0);
    sandbox.run(["mark-seen", "work", "2"]).succeeds().says("work: 1 message counts as seen\n");
}

/// A server that lists two messages under one unique-id: the run after the first one found the ledger damaged.
#[test]
fn with_new_only_a_first_listing_may_hold_a_unique_id_twice() {
    let all = tiny(2);
    let (server, sandbox) = set_up([1, 1].map(|_| Message::new("twice", &*all[0])).to_vec(), NEW_ONLY);
    sandbox.run([""; 0]).succeeds().complains("that were there before count as seen");
    assert_eq!(server.count("RETR"), 0);
    server.add("me", [Message::new("new", &*all[1])].to_vec());
    for _ in 0..2 {
        sandbox.run([""; 0]).succeeds();
        assert!(delivered(&sandbox).contains(&stored(&all[1])));
    }
}

#[test]
fn with_new_only_the_first_listing_counts_as_seen() {
    for there in [3, 0] {
        let (server, sandbox) = set_up(more(1, there), NEW_ONLY);
        let before = sandbox.files();
        let dry = sandbox.run(["--dry-run"]);
        dry.succeeds();
        assert_eq!(sandbox.files(), before);
        let run = sandbox.run([""; 0]);
        run.succeeds();
        if there > 0 {
            run.complains("3 messages that were there before count as seen");
        }
        assert_eq!(server.count("RETR"), 0);
        for to in 4..=6 {
            server.add("me", more(if to == 4 { there + 1 } else { to }, to));
            sandbox.run([""; 0]).succeeds().never_says("count as seen");
            has(&sandbox, &(there + 1..=to).collect::<Vec<_>>());
        }
    }
}

#[test]
fn an_account_that_was_used_before_has_no_first_run() {
    let (server, sandbox) = set_up(more(1, 1), KEEPING);
    sandbox.run([""; 0]).succeeds();
    server.add("me", more(2, 2));
    sandbox.config(account(&server, NEW_ONLY));
    sandbox.run([""; 0]).succeeds();
    has(&sandbox, &[1, 2]);
    // Nor has one of which another popfetch has marked something.
    let (_server, sandbox) = set_up(more(1, 2), NEW_ONLY);
    sandbox.run(["mark-seen", "work", "1"]).succeeds();
    sandbox.run([""; 0]).succeeds();
    has(&sandbox, &[2]);
}

/// Whatever step a first run dies at: what came later is retrieved, and what was there isn't, unless the run had
/// recorded nothing yet.
#[cfg(feature = "crash-points")]
#[test]
fn a_first_run_that_dies_marks_nothing_that_comes_later() {
    let (mut void, mut whole) = (0, 0);
    for step in 1.. {
        let (server, sandbox) = set_up(more(1, 3), NEW_ONLY);
        let run = sandbox.popfetch([""; 0]).crash_at(step).run();
        let begun = !sandbox.files_with("also-begun").iter().all(|path| !path.ends_with("ledger"));
        server.add("me", more(4, 4));
        sandbox.run([""; 0]).succeeds();
        has(&sandbox, if begun { &[4] } else { &[] });
        sandbox.run([""; 0]).succeeds();
        server.add("me", more(5, 5));
        sandbox.run([""; 0]).succeeds();
        has(&sandbox, if begun { &[4, 5] } else { &[5] });
        if !run.crashed() {
            assert!(begun && void > 3 && whole > 1, "{void} {whole}");
            return;
        }
        *(if begun { &mut whole } else { &mut void }) += 1;
    }
}

/// Whatever step it dies at: a second one ends as a first one would have, and nothing is deleted or retrieved by it.
#[cfg(feature = "crash-points")]
#[test]
fn mark_seen_that_dies_is_finished_by_the_next_one() {
    for step in 1.. {
        let (server, sandbox) = set_up(more(1, 3), DELETING);
        let run = sandbox.popfetch(["mark-seen", "work", "1-2"]).crash_at(step).run();
        if run.crashed() {
            sandbox.run(["mark-seen", "work", "1-2"]).succeeds();
        }
        assert_eq!((server.count("RETR"), server.count("DELE")), (0, 0));
        for _ in 0..2 {
            sandbox.run([""; 0]).succeeds();
            has(&sandbox, &[3]);
            assert_eq!(server.unique_ids("me"), ["uid-1", "uid-2"]);
        }
        if !run.crashed() {
            assert!(step > 3, "only {step} steps?");
            return;
        }
    }
}
