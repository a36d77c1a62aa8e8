//! Standard output: an mbox stream, which was only printed; or a file, which is as good as any mbox.

use super::{account, poll, set_up, small};
use crate::support::installed;
use crate::support::mail::stored;
use crate::support::mailboxes::{assert_same, mbox, split_mbox};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Server, numbered};

const PRINTED: &str = "deliver = { stdout = true }";

fn subjects(subjects: &[&str]) -> Vec<Vec<u8>> {
    subjects.iter().map(|subject| stored(&small(subject))).collect()
}

fn contents(octets: &[u8]) -> Vec<Vec<u8>> {
    split_mbox(octets).into_iter().map(|message| message.octets).collect()
}

/// popfetch with its standard output in a file, or where `redirection` leads.
fn redirected(sandbox: &Sandbox, arguments: &[&str], redirection: &str) -> crate::support::sandbox::Run {
    let line = format!("\"$@\" {redirection}");
    sandbox.popfetch(arguments).under(["sh", "-c", &line, "sh"]).run()
}

#[test]
fn a_pipe_gets_an_mbox_stream_once() {
    let (server, sandbox) = set_up(numbered([small("a"), small("b")]), PRINTED);
    let run = poll(&sandbox);
    run.succeeds();
    assert_eq!(contents(&run.stdout), subjects(&["a", "b"]));
    assert!(!run.err().is_empty(), "how it went is reported elsewhere");
    let again = poll(&sandbox);
    again.succeeds();
    assert!(again.stdout.is_empty());
    assert_eq!((server.count("RETR"), server.count("DELE")), (2, 0));
    // What was only printed is never deleted, whatever the policy becomes later.
    sandbox.config(account(&server, "deliver = { maildir = \"~/Mail\" }\nleave-on-server = false"));
    server.add("me", [Message::new("c", small("c"))]);
    poll(&sandbox).succeeds();
    assert_eq!(server.unique_ids("me"), ["uid-1", "uid-2"]);
    assert_eq!(server.count("RETR"), 3);
}

#[test]
fn what_is_only_printed_cannot_be_deleted() {
    for (lines, arguments) in [
        ("leave-on-server = false", &[][..]),
        ("leave-on-server = { days = 3 }", &[]),
        ("", &["--delete"]),
        ("leave-on-server = false", &["work"]),
    ] {
        let (server, sandbox) = set_up(numbered([small("a")]), &format!("{PRINTED}\n{lines}"));
        sandbox.run(arguments).exits(64).complains("standard output").complains("--keep");
        assert_eq!(server.sessions(), 0);
        assert!(!sandbox.state().exists());
    }
    let (server, sandbox) = set_up(numbered([small("a")]), &format!("{PRINTED}\nleave-on-server = false"));
    assert_eq!(contents(&sandbox.run(["--keep"]).stdout), subjects(&["a"]));
    assert_eq!(server.unique_ids("me"), ["uid-1"]);
}

#[test]
fn a_regular_file_counts_as_delivery() {
    for redirection in ["> ~/out", ">> ~/out"] {
        let (server, sandbox) = set_up(numbered([small("a"), small("b")]), PRINTED);
        redirected(&sandbox, &["--delete"], redirection).succeeds();
        let found: Vec<_> = mbox(&sandbox.path("out")).into_iter().map(|message| message.octets).collect();
        assert_eq!(found, subjects(&["a", "b"]));
        assert_eq!(server.unique_ids("me"), [""; 0], "{redirection}");
        redirected(&sandbox, &["--delete"], ">> ~/out").succeeds();
        assert_eq!(mbox(&sandbox.path("out")).len(), 2);
        assert_eq!(server.count("RETR"), 2);
    }
}

/// Written into a file first, then deleted by a later run's policy: the file had it.
#[test]
fn what_went_into_a_file_may_be_deleted_later() {
    let (server, sandbox) = set_up(numbered([small("a")]), PRINTED);
    redirected(&sandbox, &[], "> ~/out").succeeds();
    assert_eq!(server.unique_ids("me"), ["uid-1"]);
    redirected(&sandbox, &["--delete"], ">> ~/out").succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    // Its header holds too little to recognise it by: it's retrieved, compared, and not printed again.
    assert_eq!((server.count("RETR"), mbox(&sandbox.path("out")).len()), (2, 1));
}

/// A reader that has had enough: what it didn't get comes again, and nothing counts as delivered.
#[test]
fn a_reader_that_goes_away_loses_nothing() {
    let large = |subject: &str| [&small(subject)[..], &b"0123456789\r\n".repeat(20_000)].concat();
    let (server, sandbox) = set_up(numbered([large("a"), large("b"), large("c")]), PRINTED);
    let run = redirected(&sandbox, &[], "| head -c 100 > ~/out");
    run.succeeds(); // head's exit status
    assert_eq!(run.err().matches("standard output").count(), 1, "reported once: {}", run.err());
    assert_eq!(server.count("DELE"), 0);
    let again = poll(&sandbox);
    let found = contents(&again.stdout);
    assert_eq!(found.last(), Some(&stored(&large("c"))));
    assert!(found.len() >= 2, "one may be in the pipe already");
}

#[test]
fn formail_splits_the_stream() {
    if installed("formail").is_none() {
        return;
    }
    let messages =
        [small("a"), small("b"), b"Subject: c\r\n\r\nFrom here\r\n>From there\r\n\r\nend\r\n".to_vec()];
    let (server, sandbox) = set_up(numbered(&messages), PRINTED);
    redirected(&sandbox, &[], "| formail -s sh -c 'cat > ~/$FILENO.part'").succeeds();
    assert_eq!(server.count("RETR"), 3);
    let parts: Vec<_> = sandbox
        .files()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|e| e == "part"))
        .collect();
    assert_eq!(parts.len(), messages.len());
    for ((_, part), octets) in parts.iter().zip(&messages) {
        assert_eq!(
            contents(&[&part[..], b"\n"].concat())[0].trim_ascii_end(),
            stored(octets).trim_ascii_end()
        );
    }
}

/// Accounts that print side by side don't mix.
#[test]
fn two_accounts_share_the_stream() {
    let names = |from: usize| -> Vec<String> { (from..from + 60).map(|n| n.to_string()).collect() };
    let server = |from| Server::with("me", "secret", numbered(names(from).iter().map(|name| small(name))));
    let (one, other) = (server(0), server(100));
    let sandbox = Sandbox::new();
    let second = account(&other, PRINTED).replace("accounts.work", "accounts.home");
    sandbox.config(format!("{}{second}", account(&one, PRINTED)));
    let run = poll(&sandbox);
    run.succeeds();
    let mut found = contents(&run.stdout);
    found.sort();
    let all: Vec<String> = names(0).into_iter().chain(names(100)).collect();
    let mut expected = subjects(&all.iter().map(String::as_str).collect::<Vec<_>>());
    expected.sort();
    assert_eq!(found, expected);
}

/// Of what a file cannot take, nothing stays in it; what stood there before does.
#[test]
fn a_file_that_is_full_holds_no_part_of_a_message() {
    let large = |subject: &str| [&small(subject)[..], &b"0123456789\r\n".repeat(2_000)].concat();
    for redirection in [">> ~/out", "1<> ~/out"] {
        let (server, sandbox) = set_up(numbered([large("a"), large("b"), large("c")]), PRINTED);
        if redirection.starts_with(">>") {
            sandbox.write("out", "From x Thu Jan  1 00:00:00 1970\nSubject: before\n\nbefore\n\n");
        }
        let found = || mbox(&sandbox.path("out")).into_iter().map(|message| message.octets);
        let limited = format!("ulimit -f 60; exec \"$@\" {redirection}");
        let run = sandbox.popfetch(["--delete"]).under(["sh", "-c", &limited, "sh"]).run();
        assert!(matches!(run.code(), Some(74 | 75)), "{}", run.shown());
        let expected = ["a", "b", "c"].map(|subject| stored(&large(subject)));
        let has = found().filter(|message| !message.starts_with(b"Subject: before")).count();
        assert_same(found().skip(found().count() - has).collect(), expected[..has].to_vec());
        assert!(has < 3 && server.unique_ids("me").len() >= 3 - has);
        redirected(&sandbox, &["--delete"], ">> ~/out").succeeds();
        assert_same(found().skip(found().count() - 3).collect(), expected.to_vec());
        assert_eq!(server.unique_ids("me"), [""; 0]);
    }
}

/// A regular file counts as delivery because it is synced.
#[cfg(feature = "crash-points")]
#[test]
fn a_file_is_synced_before_what_it_holds_is_deleted() {
    let (_server, sandbox) = set_up(numbered([small("a")]), PRINTED);
    let under = ["sh", "-c", "exec \"$@\" > ~/out", "sh"];
    let run = sandbox.popfetch(["--delete"]).record_steps().under(under).run();
    run.succeeds();
    let synced = run.steps.iter().any(|step| step.contains(" Sync ") && step.contains("standard output"));
    assert!(synced, "{:#?}", run.steps);
}
