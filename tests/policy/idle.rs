//! What a run costs that finds nothing to do: a few commands, and at most one unsynced line.

use super::{leaving, message};

#[test]
fn nothing_new_costs_one_listing() {
    let (server, sandbox) = leaving("{ days = 30 }", &[400, 500, 600]);
    sandbox.run([""; 0]).succeeds();
    let before = sandbox.files();
    sandbox.run([""; 0]).succeeds().complains("nothing new (3 messages on the server)");
    let commands = server.commands(2);
    assert_eq!(commands, ["CAPA", "USER me", "PASS secret", "CAPA", "UIDL", "QUIT"]);
    // One line more in the ledger, and nothing else anywhere.
    let after = sandbox.files();
    for (path, octets) in &after {
        let old = before.get(path).unwrap_or_else(|| panic!("{} is new", path.display()));
        match octets.strip_prefix(&old[..]) {
            Some(b"") => {}
            Some(more) if path.ends_with("ledger") => {
                let more = String::from_utf8(more.to_vec()).unwrap();
                assert!(more.starts_with("listing ") && more.lines().count() == 1, "{more}");
            }
            _ => panic!("{} has changed: {}", path.display(), crate::support::show(octets)),
        }
    }
    assert_eq!(before.len(), after.len());
}

#[test]
#[cfg(feature = "crash-points")]
fn nothing_new_syncs_nothing() {
    for policy in ["true", "false", "{ days = 30, newest = 100 }"] {
        let (_server, sandbox) = leaving(policy, &[400, 500, 600]);
        sandbox.run([""; 0]).succeeds();
        // After deletions the server's word that they are gone is written down once.
        sandbox.run([""; 0]).succeeds();
        let run = sandbox.popfetch([""; 0]).record_steps().run();
        run.succeeds();
        let costly = |step: &&String| {
            !step.contains(" Write ") && !step.contains(" Open ") && !step.contains(" Read ")
        };
        assert_eq!(run.steps.iter().find(costly), None, "{policy}: {:#?}", run.steps);
        let writes = run.steps.iter().filter(|step| step.contains(" Write ")).count();
        // A write counts as two steps.
        assert!(writes <= 2, "{policy}: {:#?}", run.steps);
    }
}

/// An empty maildrop is no reason to write anything at all.
#[test]
fn an_empty_maildrop_writes_nothing() {
    let (server, sandbox) = leaving("false", &[]);
    sandbox.run(["--quiet"]).succeeds().is_silent();
    let before = sandbox.files();
    sandbox.run(["--quiet"]).succeeds().is_silent();
    assert_eq!(sandbox.files(), before);
    assert_eq!(server.commands(2).last().unwrap(), "QUIT");
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
