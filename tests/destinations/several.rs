//! Several destinations of one account.
//!
//! Cases of docs/protocol.md §9: D7, M18.

use super::{account, poll, set_up, small};
use crate::support::mail::stored;
use crate::support::mailboxes::{Maildir, assert_same, mbox_messages};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Server, numbered};

fn maildir(sandbox: &Sandbox, name: &str) -> Vec<Vec<u8>> {
    Maildir::read(&sandbox.path(name)).messages()
}

fn all(subjects: &[&str]) -> Vec<Vec<u8>> {
    subjects.iter().map(|subject| stored(&small(subject))).collect()
}

/// Three messages, a Maildir and a program, which refuses the second as long as `~/broken` is there.
fn scene() -> (Server, Sandbox) {
    let (server, sandbox) = set_up(numbered(["a", "b", "c"].map(small)), "");
    let program = sandbox.script(
        "mda",
        "cat > ~/message\nif [ -e ~/broken ] && grep -q '^Subject: b' ~/message; then exit 75; fi\n\
         sed -n 's/^Subject: //p' ~/message >> ~/taken",
    );
    sandbox.write("broken", "");
    sandbox.config(account(
        &server,
        &format!(
            "deliver = [{{ maildir = \"~/Mail\" }}, {{ pipe = [\"{}\"] }}]\nleave-on-server = false",
            program.display()
        ),
    ));
    (server, sandbox)
}

fn taken(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("taken")).unwrap()
}

#[test]
fn retry_serves_only_the_destination_that_lacks_the_message() {
    let (server, sandbox) = scene();
    poll(&sandbox).exits(75).complains("message 2");
    assert_eq!(server.unique_ids("me"), ["uid-2"], "D7: the others are deleted");
    assert_same(maildir(&sandbox, "Mail"), all(&["a", "b", "c"]));
    assert_eq!(taken(&sandbox), "a\nc\n");
    // Still refused: nobody gets it twice.
    poll(&sandbox).exits(75);
    assert_same(maildir(&sandbox, "Mail"), all(&["a", "b", "c"]));
    std::fs::remove_file(sandbox.path("broken")).unwrap();
    // It has failed twice: its next try is not at once.
    for _ in 0..2 {
        poll(&sandbox);
    }
    let tried = server.count("RETR");
    assert!(tried <= 6, "{tried}");
    assert_same(maildir(&sandbox, "Mail"), all(&["a", "b", "c"]));
}

#[test]
fn message_is_deleted_when_all_destinations_have_it() {
    let (server, sandbox) = scene();
    poll(&sandbox).exits(75);
    std::fs::remove_file(sandbox.path("broken")).unwrap();
    poll(&sandbox).succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    assert_eq!(taken(&sandbox), "a\nc\nb\n");
    assert_same(maildir(&sandbox, "Mail"), all(&["a", "b", "c"]));
}

#[test]
fn unreachable_destination_does_not_block_the_others() {
    // A path of an mbox that is a lock away: the dotlock can't be taken, nor can it be waited for here, so a full one
    // of another sort stands in: an mbox whose folder went away after the first mail.
    let (server, sandbox) = set_up(
        numbered(["a"].map(small)),
        "deliver = [{ maildir = \"~/one\" }, { maildir = \"~/two\" }]\nleave-on-server = false",
    );
    poll(&sandbox).succeeds();
    std::fs::rename(sandbox.path("two"), sandbox.path("away")).unwrap();
    server.add("me", [crate::support::server::Message::new("b", small("b"))]);
    poll(&sandbox).exits(75).complains("two");
    assert_eq!(server.unique_ids("me"), ["b"]);
    std::fs::rename(sandbox.path("away"), sandbox.path("two")).unwrap();
    poll(&sandbox).succeeds();
    for name in ["one", "two"] {
        assert_same(maildir(&sandbox, name), all(&["a", "b"]));
    }
    assert_eq!(server.unique_ids("me"), [""; 0]);
}

/// The program isn't configured, perhaps for this run only, while it lacks a message: who has it doesn't get it again,
/// and as long as not all have it, it stays.
#[test]
fn removed_destination_is_waited_for() {
    let (server, sandbox) = scene();
    let config = std::fs::read(sandbox.path(".config/popfetch/config.toml")).unwrap();
    poll(&sandbox).exits(75);
    for lines in
        ["deliver = { maildir = \"~/Mail\" }", "deliver = [{ maildir = \"~/Mail\" }, { mbox = \"~/inbox\" }]"]
    {
        sandbox.config(account(&server, &format!("{lines}\nleave-on-server = false")));
        sandbox.run(["--dry-run"]).succeeds().says("lacked only by a destination that isn't configured now");
        sandbox.run(["-v"]).complains("message 1 is left for now");
        assert_same(maildir(&sandbox, "Mail"), all(&["a", "b", "c"]));
        assert!(mbox_messages(&sandbox.path("inbox")).is_empty());
        assert_eq!(server.unique_ids("me"), ["uid-2"]);
        assert_eq!(server.count("RETR"), 3);
    }
    std::fs::remove_file(sandbox.path("broken")).unwrap();
    sandbox.config(config);
    poll(&sandbox).succeeds();
    assert_eq!(taken(&sandbox), "a\nc\nb\n");
    assert_same(maildir(&sandbox, "Mail"), all(&["a", "b", "c"]));
    assert_eq!(server.unique_ids("me"), [""; 0]);
}

/// The set of a message is fixed when it is first staged: a destination that came later has no part in it.
#[test]
fn later_added_destination_gets_only_new_mail() {
    let (server, sandbox) = scene();
    poll(&sandbox).exits(75);
    std::fs::remove_file(sandbox.path("broken")).unwrap();
    let pipe = format!("{{ pipe = [\"{}\"] }}", sandbox.path("mda").display());
    let three = format!("deliver = [{{ maildir = \"~/Mail\" }}, {{ mbox = \"~/inbox\" }}, {pipe}]");
    sandbox.config(account(&server, &format!("{three}\nleave-on-server = false")));
    poll(&sandbox).succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    assert_eq!(taken(&sandbox), "a\nc\nb\n");
    assert_same(maildir(&sandbox, "Mail"), all(&["a", "b", "c"]));
    assert!(mbox_messages(&sandbox.path("inbox")).is_empty());
}

#[test]
fn four_sorts_of_destination_get_every_message() {
    let (server, sandbox) = set_up(
        numbered(["a", "b", "c"].map(small)),
        "deliver = [{ pipe = \"cat >> ~/piped\" }, { mbox = \"~/inbox\" }, { maildir = \"~/one\" }, { maildir = \"~/two\" }]\n\
         leave-on-server = false",
    );
    poll(&sandbox).succeeds();
    for name in ["one", "two"] {
        assert_same(maildir(&sandbox, name), all(&["a", "b", "c"]));
    }
    assert_same(mbox_messages(&sandbox.path("inbox")), all(&["a", "b", "c"]));
    assert_eq!(std::fs::read(sandbox.path("piped")).unwrap(), all(&["a", "b", "c"]).concat());
    assert_eq!(server.unique_ids("me"), [""; 0]);
}
