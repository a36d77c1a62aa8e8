//! What a run costs that finds nothing to do: a few commands in one flight, and at most one unsynced line.

use super::{DAY, age, leaving, message};
use crate::support::sandbox::Sandbox;
use crate::support::show;

/// What a run added to the ledger; nothing else may have changed anywhere.
#[track_caller]
fn added(sandbox: &Sandbox, run: impl FnOnce()) -> String {
    let before = sandbox.files();
    run();
    let after = sandbox.files();
    let mut added = String::new();
    for (path, octets) in &after {
        let old = before.get(path).unwrap_or_else(|| panic!("{} is new", path.display()));
        match octets.strip_prefix(&old[..]) {
            Some(b"") => {}
            Some(more) if path.ends_with("ledger") => added.push_str(std::str::from_utf8(more).unwrap()),
            _ => panic!("{} has changed: {}", path.display(), show(octets)),
        }
    }
    assert_eq!(before.len(), after.len());
    added
}

#[test]
fn nothing_new_costs_a_glance() {
    let (server, sandbox) = leaving("{ days = 30 }", &[400, 500, 600]);
    let poll = || {
        sandbox.run([""; 0]).succeeds();
    };
    // All was delivered: three short answers stand for a listing from now on.
    poll();
    for session in [2, 3] {
        assert_eq!(added(&sandbox, poll), "");
        let commands = server.commands(session);
        assert_eq!(commands, ["USER me", "PASS secret", "STAT", "UIDL 1", "UIDL 3", "QUIT"]);
    }
    sandbox.run(["-v"]).complains("nothing new  3 kept on the server");
    // What is new shows at once.
    server.add("me", [message("new")]);
    poll();
    assert_eq!((server.count("RETR"), server.count("DELE"), super::delivered(&sandbox)), (4, 0, 4));
}

#[test]
fn a_full_listing_costs_one_line() {
    let (server, sandbox) = leaving("true\nlisting = \"full\"", &[400, 500, 600]);
    let poll = || {
        sandbox.run([""; 0]).succeeds();
    };
    poll();
    for session in 2..4 {
        let line = added(&sandbox, poll);
        assert!(line.starts_with("listing ") && line.lines().count() == 1, "{line}");
        let commands = server.commands(session);
        let (tops, rest): (Vec<_>, Vec<_>) = commands.iter().partition(|command| command.starts_with("TOP "));
        assert_eq!(tops.len(), 2, "two of them are looked at");
        assert_eq!(rest, ["USER me", "PASS secret", "CAPA", "STAT", "UIDL", "QUIT"]);
    }
}

#[test]
#[cfg(feature = "crash-points")]
fn nothing_new_syncs_nothing() {
    for policy in ["true", "false", "{ days = 30, newest = 100 }", "true\nlisting = \"full\""] {
        let (_server, sandbox) = leaving(policy, &[400, 500, 600]);
        sandbox.run([""; 0]).succeeds();
        // After deletions the server's word that they are gone is written down once.
        sandbox.run([""; 0]).succeeds();
        let run = sandbox.popfetch([""; 0]).record_steps().run();
        run.succeeds();
        let costly =
            |step: &&String| ![" Write ", " Open ", " Read "].iter().any(|cheap| step.contains(cheap));
        assert_eq!(run.steps.iter().find(costly), None, "{policy}: {:#?}", run.steps);
        let writes = run.steps.iter().filter(|step| step.contains(" Write ")).count();
        // A write counts as two steps.
        assert!(writes <= 2, "{policy}: {:#?}", run.steps);
    }
}

/// An empty maildrop is no reason to write anything at all, nor to leave without a word.
#[test]
fn an_empty_maildrop_writes_nothing() {
    for listing in ["auto", "full"] {
        let (server, sandbox) = leaving(&format!("false\nlisting = \"{listing}\""), &[]);
        sandbox.run(["--quiet"]).succeeds().is_silent();
        let again = || {
            sandbox.run(["--quiet"]).succeeds().is_silent();
        };
        assert_eq!(added(&sandbox, again), "");
        for session in [1, 2] {
            assert_eq!(server.commands(session).last().unwrap(), "QUIT");
        }
    }
}

/// Ten idle polls, then one message: one retrieval.
#[test]
fn idle_polls_leave_what_comes_untouched() {
    let (server, sandbox) = leaving("true", &[400, 500]);
    for _ in 0..10 {
        sandbox.run(["--quiet"]).succeeds().is_silent();
    }
    server.add("me", [message("new")]);
    sandbox.run(["--quiet"]).succeeds().is_silent();
    assert_eq!((server.count("RETR"), server.count("DELE")), (3, 0));
    assert_eq!(super::delivered(&sandbox), 3);
}

/// How many headers the last session asked for.
fn headers(server: &crate::support::server::Server) -> usize {
    let commands = server.commands(server.sessions());
    commands.iter().filter(|command| command.starts_with("TOP ")).count()
}

/// Where each question costs a wait, one header a day is looked at, with the sizes.
#[test]
fn without_pipelining_one_header_a_day_is_looked_at() {
    let (server, sandbox) = leaving("true\nlisting = \"full\"\npipelining = \"off\"", &[400, 500, 600]);
    for (later, expected) in [(0, 0), (0, 0), (DAY, 1), (0, 0), (DAY, 1)] {
        if later > 0 {
            age(&sandbox, later);
        }
        sandbox.run([""; 0]).succeeds();
        assert_eq!(headers(&server), expected, "{:?}", server.commands(server.sessions()));
    }
}

#[test]
fn no_header_is_asked_for_where_it_cannot_be_or_behind_a_login_that_may_fail() {
    let (server, sandbox) = leaving("true\nlisting = \"full\"", &[400, 500, 600]);
    sandbox.run([""; 0]).succeeds();
    server.change(|options| *options = options.clone().instead("PASS", "-ERR [AUTH] no\r\n"));
    sandbox.run(["work"]).exits(77);
    server.change(|options| options.instead.clear());
    sandbox.run(["work"]).succeeds();
    assert_eq!(headers(&server), 0, "{:?}", server.commands(server.sessions()));
    sandbox.run(["work"]).succeeds();
    assert_eq!(headers(&server), 2);
    // It has no TOP any more: that is seen once.
    server.change(|options| *options = options.clone().without("TOP"));
    sandbox.run([""; 0]).succeeds();
    for _ in 0..2 {
        sandbox.run([""; 0]).succeeds();
        assert_eq!(headers(&server), 0, "{:?}", server.commands(server.sessions()));
    }
}
