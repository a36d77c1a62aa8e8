//! `popfetch state release`: unfinished deliveries are given up, because the user asks for it.

use super::{account, poll, set_up, small};
use crate::support::mail::stored;
use crate::support::mailboxes::{Maildir, assert_same, create_maildir};
#[cfg(feature = "crash-points")]
use crate::support::sandbox::Sandbox;
#[cfg(feature = "crash-points")]
use crate::support::server::Server;
use crate::support::server::numbered;

/// Its program refused it, and is no longer configured: a destination that has it keeps it, and it can be deleted.
#[test]
fn a_destination_that_is_configured_no_more_is_given_up() {
    let (server, sandbox) = set_up(
        numbered([small("a"), small("b")]),
        "leave-on-server = false\ndeliver = [{ maildir = \"~/Mail\" }, { pipe = [\"false\"] }]",
    );
    poll(&sandbox).exits(75);
    sandbox.config(account(&server, "leave-on-server = false\ndeliver = { maildir = \"~/Mail\" }"));
    poll(&sandbox).complains("popfetch state release work");
    assert_eq!(server.unique_ids("me").len(), 2);
    let before = sandbox.files();
    sandbox.run(["state", "release", "work"]).exits(64).complains("-y");
    assert_eq!(sandbox.files(), before);
    sandbox.run(["state", "release", "nobody", "-y"]).exits(64).complains("no account \"nobody\"");
    sandbox.run(["state", "release", "work", "-y"]).succeeds().says("false: 2 messages").says("given up\n");
    sandbox.run(["state", "release", "work", "-y"]).succeeds().says("nothing is given up");
    poll(&sandbox).succeeds().never_says("release");
    assert_eq!(server.unique_ids("me"), [""; 0]);
    assert_same(
        Maildir::read(&sandbox.path("Mail")).messages(),
        ["a", "b"].map(|s| stored(&small(s))).to_vec(),
    );
}

/// What nobody has comes again.
#[test]
fn a_message_that_no_destination_has_is_not_given_up() {
    let (server, sandbox) = set_up(numbered([small("a")]), "deliver = { pipe = [\"false\"] }");
    poll(&sandbox).exits(75);
    sandbox.config(account(&server, "deliver = { maildir = \"~/Mail\" }"));
    sandbox.run(["state", "release", "work", "-y"]).succeeds();
    sandbox.run(["work"]).succeeds();
    assert_same(Maildir::read(&sandbox.path("Mail")).messages(), vec![stored(&small("a"))]);
}

/// A run that died when one of two messages had its final name; it was to delete them.
#[cfg(feature = "crash-points")]
fn crashed_between_renames() -> (Server, Sandbox) {
    let lines = "leave-on-server = false\ndeliver = { maildir = \"~/Mail\" }";
    let scene = || set_up(numbered([small("a"), small("b")]), lines);
    let (_server, trial) = scene();
    let steps = trial.popfetch([""; 0]).record_steps().run().steps;
    let renames: Vec<u64> = steps
        .iter()
        .filter(|step| step.contains(" Rename ") && step.contains("/Mail/new/"))
        .map(|step| step.split(' ').next().unwrap().parse().unwrap())
        .collect();
    let (server, sandbox) = scene();
    assert!(sandbox.popfetch([""; 0]).crash_at(renames[1]).run().crashed());
    (server, sandbox)
}

#[cfg(feature = "crash-points")]
#[test]
fn a_maildir_that_is_gone_for_good_is_given_up() {
    let (server, sandbox) = crashed_between_renames();
    std::fs::remove_dir_all(sandbox.path("Mail")).unwrap();
    let command = format!("popfetch state release work --destination '{}'", sandbox.path("Mail").display());
    poll(&sandbox).exits(75).complains(&command);
    // Only reported, as long as it's not named: perhaps it's not mounted.
    sandbox
        .run(["state", "release", "work", "-y"])
        .exits(75)
        .complains("unfinished still")
        .complains("--destination");
    poll(&sandbox).exits(75);
    let named = ["state", "release", "work", "--destination", "Mail", "-y"];
    sandbox.run(named).succeeds().says("2 messages were on the way").says("twice");
    // Nothing had been delivered to the old one for certain: it's created again.
    poll(&sandbox).succeeds();
    sandbox.run(named).exits(64).complains("is configured, and is there");
    assert_eq!(server.unique_ids("me"), [""; 0]);
    assert_same(
        Maildir::read(&sandbox.path("Mail")).messages(),
        ["a", "b"].map(|s| stored(&small(s))).to_vec(),
    );
}

/// As a backup that is restored: other inodes, the same names.
#[cfg(feature = "crash-points")]
#[test]
fn restored_maildir_is_recognised_after_a_crash() {
    let (server, sandbox) = crashed_between_renames();
    let old = Maildir::read(&sandbox.path("Mail"));
    assert_eq!((old.tmp.len(), old.new.len()), (1, 1));
    #[expect(clippy::disallowed_methods, reason = "as a user does")]
    std::fs::rename(sandbox.path("Mail"), sandbox.path("old")).unwrap();
    create_maildir(&sandbox.path("Mail"));
    for (folder, files) in [("tmp", &old.tmp), ("new", &old.new)] {
        for (name, octets) in files {
            std::fs::write(sandbox.path("Mail").join(folder).join(name), octets).unwrap();
        }
    }
    poll(&sandbox).succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    // Nothing is delivered again; but each is looked at again before it is deleted.
    assert_eq!(server.count("RETR"), 2 + 2);
    assert_same(
        Maildir::read(&sandbox.path("Mail")).messages(),
        ["a", "b"].map(|s| stored(&small(s))).to_vec(),
    );
}

/// Only what is named is given up: the other may only be unmounted.
#[cfg(feature = "crash-points")]
#[test]
fn of_two_maildirs_that_are_gone_only_the_named_one_is_given_up() {
    let lines = "leave-on-server = false\ndeliver = [{ maildir = \"~/One\" }, { maildir = \"~/Two\" }]";
    let scene = || set_up(numbered([small("a"), small("b")]), lines);
    let (_server, trial) = scene();
    let steps = trial.popfetch([""; 0]).record_steps().run().steps;
    let rename = steps.iter().find(|step| step.contains(" Rename ") && step.contains("/new/")).unwrap();
    let (server, sandbox) = scene();
    let number = rename.split(' ').next().unwrap().parse().unwrap();
    assert!(sandbox.popfetch([""; 0]).crash_at(number).run().crashed());
    #[expect(clippy::disallowed_methods, reason = "as one does who unmounts it")]
    std::fs::rename(sandbox.path("Two"), sandbox.path("away")).unwrap();
    std::fs::remove_dir_all(sandbox.path("One")).unwrap();
    sandbox.run(["state", "release", "work", "--destination", "One", "-y"]);
    let ledger = sandbox.files_with("staged 0");
    assert_eq!(ledger.len(), 1, "{ledger:?}");
    poll(&sandbox).exits(75).complains("Two");
    #[expect(clippy::disallowed_methods, reason = "as one does who mounts it again")]
    std::fs::rename(sandbox.path("away"), sandbox.path("Two")).unwrap();
    poll(&sandbox).succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    let expected = || ["a", "b"].map(|subject| stored(&small(subject))).to_vec();
    assert_same(Maildir::read(&sandbox.path("Two")).messages(), expected());
    assert_same(Maildir::read(&sandbox.path("One")).messages(), expected());
}
