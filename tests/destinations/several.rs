//! Several destinations of one account.

use super::{account, poll, set_up, small};
use crate::mailbox::{Served, good, serve};
use crate::support::mail::stored;
use crate::support::mailboxes::{Maildir, assert_same, mbox_messages};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Options, Server, numbered};

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
    // A path of an mbox that is a lock away: the dotlock can't be taken, nor can it be waited for here.  So a full
    // one of another sort stands in: an mbox whose folder went away after the first mail.
    let (server, sandbox) = set_up(
        numbered(["a"].map(small)),
        "deliver = [{ maildir = \"~/one\" }, { maildir = \"~/two\" }]\nleave-on-server = false",
    );
    poll(&sandbox).succeeds();
    std::fs::rename(sandbox.path("two"), sandbox.path("away")).unwrap();
    server.add("me", [Message::new("b", small("b"))]);
    poll(&sandbox).exits(75).complains("two");
    assert_eq!(server.unique_ids("me"), ["b"]);
    std::fs::rename(sandbox.path("away"), sandbox.path("two")).unwrap();
    poll(&sandbox).succeeds();
    for name in ["one", "two"] {
        assert_same(maildir(&sandbox, name), all(&["a", "b"]));
    }
    assert_eq!(server.unique_ids("me"), [""; 0]);
}

/// The program isn't configured, perhaps for this run only, while it lacks a message: a destination that has it doesn't get it again,
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

// ---- where unique-ids don't stay ------------------------------------------------------------------------------------

/// A Maildir `mail`, and a program that refuses everything as long as `~/broken` is there, and writes subjects down.
fn served(options: Options, keys: &str) -> Served {
    let served = serve(options, "");
    let program = served
        .sandbox
        .script("mda", "if [ -e ~/broken ]; then exit 75; fi\nsed -n 's/^Subject: //p' >> ~/taken");
    served.sandbox.write("broken", "");
    let deliver = format!("deliver = [{{ maildir = \"~/mail\" }}, {{ pipe = [\"{}\"] }}]", program.display());
    served.configure(served.server.port(), &format!("{deliver}\n{keys}"));
    served
}

fn ids(ids: [&str; 3]) -> Vec<Message> {
    ids.iter().zip(["a", "b", "c"]).map(|(id, subject)| Message::new(*id, traced(subject))).collect()
}

/// As nearly all mail: with Received and Message-ID.
fn traced(subject: &str) -> Vec<u8> {
    let trace = format!("Received: from a by b id {subject}\r\nMessage-ID: <{subject}@example.org>\r\n");
    [trace.into_bytes(), small(subject)].concat()
}

fn all_traced(subjects: &[&str]) -> Vec<Vec<u8>> {
    subjects.iter().map(|subject| stored(&traced(subject))).collect()
}

fn repair(served: &Served) {
    std::fs::remove_file(served.sandbox.path("broken")).unwrap();
}

#[test]
fn without_unique_ids_a_retry_serves_only_the_destination_that_lacks_it() {
    for keys in ["leave-on-server = false", "leave-on-server = true"] {
        for pipelining in ["auto", "off"] {
            let served = served(
                good(ids(["-"; 3])).without("UIDL"),
                &format!("{keys}\npipelining = \"{pipelining}\""),
            );
            for _ in 0..2 {
                served.fetch().exits(75);
                served.holds(all_traced(&["a", "b", "c"]));
            }
            // One more of the same is a message of its own.
            served.server.add("me", [Message::new("-", traced("a"))]);
            repair(&served);
            for _ in 0..2 {
                served.fetch().succeeds();
                served.holds(all_traced(&["a", "b", "c", "a"]));
                let mut subjects: Vec<String> = taken(&served.sandbox).lines().map(str::to_owned).collect();
                subjects.sort();
                assert_eq!(subjects, ["a", "a", "b", "c"]);
            }
        }
    }
}

/// Equal headers, and one of them fails: the other is known all the same.
#[test]
fn without_unique_ids_a_message_is_not_delivered_again_because_one_with_its_header_fails() {
    let message = |body: &str| [traced("a"), format!("{body}\r\n").into_bytes()].concat();
    let both = [message("one"), message("two")];
    for keys in ["leave-on-server = false", "leave-on-server = true"] {
        let messages = both.iter().map(|octets| Message::new("-", octets));
        let served = serve(good(messages).without("UIDL"), "");
        let program = served.sandbox.script("mda", "if [ -e ~/broken ]; then ! grep -q two; fi");
        served.sandbox.write("broken", "");
        let deliver =
            format!("deliver = [{{ maildir = \"~/mail\" }}, {{ pipe = [\"{}\"] }}]", program.display());
        served.configure(served.server.port(), &format!("{deliver}\n{keys}"));
        for _ in 0..2 {
            served.fetch().exits(75);
            served.holds(both.iter().map(|octets| stored(octets)));
        }
        repair(&served);
        served.fetch().succeeds();
        served.holds(both.iter().map(|octets| stored(octets)));
    }
}

#[test]
fn under_other_unique_ids_a_retry_serves_only_the_destination_that_lacks_it() {
    for keys in ["leave-on-server = false", "leave-on-server = true"] {
        let served = served(good(ids(["x1", "x2", "x3"])), keys);
        served.fetch().exits(75);
        // All new; then those that other messages had.
        for renumbered in [["y1", "y2", "y3"], ["y3", "y1", "y2"]] {
            served.server.replace("me", ids(renumbered));
            served.fetch().exits(75);
            served.holds(all_traced(&["a", "b", "c"]));
        }
        repair(&served);
        served.server.replace("me", ids(["z1", "y3", "x1"]));
        for _ in 0..2 {
            served.sandbox.run(["me"]).succeeds();
            served.holds(all_traced(&["a", "b", "c"]));
            let mut subjects: Vec<String> = taken(&served.sandbox).lines().map(str::to_owned).collect();
            subjects.sort();
            assert_eq!(subjects, ["a", "b", "c"]);
        }
    }
}

/// What a unique-id stood for has reached one destination; what it stands for now is new to both.
#[test]
fn other_mail_under_the_unique_id_of_a_message_that_one_destination_lacks_goes_to_all() {
    let served = served(good([Message::new("x", traced("a"))]), "leave-on-server = false");
    served.fetch().exits(75);
    repair(&served);
    served.server.replace("me", [Message::new("x", traced("b"))]);
    for _ in 0..2 {
        served.fetch().succeeds();
        served.holds(all_traced(&["a", "b"]));
        assert_eq!(taken(&served.sandbox), "b\n");
    }
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
}

/// What a unique-id stood for lacks a destination, and is there no more: what it stands for now isn't held up by it.
#[test]
fn mail_under_the_unique_id_of_a_message_that_waits_for_a_destination_is_deleted_as_any_other() {
    let served = served(good([Message::new("x", traced("a"))]), "leave-on-server = true");
    served.fetch().exits(75);
    repair(&served);
    served.server.replace("me", [Message::new("x", traced("b"))]);
    for _ in 0..3 {
        served.fetch().succeeds();
        served.holds(all_traced(&["a", "b"]));
    }
    let retrieved = served.server.count("RETR");
    served.fetch().succeeds();
    assert_eq!(served.server.count("RETR"), retrieved, "it isn't compared at each run");
    // When the older one comes back, the destination that lacks it gets it.
    served.server.add("me", [Message::new("y", traced("a"))]);
    served.fetch().succeeds();
    served.holds(all_traced(&["a", "b"]));
    assert_eq!(taken(&served.sandbox), "b\na\n");
    served.sandbox.run(["--delete"]).succeeds();
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
}

/// Without an identity a message that differs each time looks like another one: at most twice, then.
#[test]
fn a_message_that_differs_each_time_is_not_delivered_at_each_run_while_a_destination_lacks_it() {
    let copy =
        |n: u32| format!("From: me@example.org\nX-Copy: {n}\nSubject: a\n\nbody\n").replace('\n', "\r\n");
    let served = served(good([Message::new("x", copy(0))]), "leave-on-server = true");
    for n in 1..6 {
        served.sandbox.run(["me"]).exits(75);
        served.server.replace("me", [Message::new("x", copy(n))]);
    }
    assert!(served.messages().len() <= 2, "{}", served.messages().len());
}

/// A proxy adds a line to whatever it passes on, another one each time: who has the message doesn't get it again.
#[test]
fn a_line_that_differs_each_time_makes_no_second_copy_for_the_destination_that_has_the_message() {
    let copy = |pass: u32| {
        let line = format!("X-Proxy: pass {pass}\r\n").into_bytes();
        Message::new("a", [line, crate::mailbox::body(1)].concat())
    };
    for keys in ["leave-on-server = false", "leave-on-server = true"] {
        let served = served(good([copy(0)]), keys);
        for pass in 1..=3 {
            served.sandbox.run(["me"]).exits(75);
            served.server.replace("me", [copy(pass)]);
        }
        repair(&served);
        served.sandbox.run(["me"]).succeeds();
        assert_eq!(served.messages().len(), 1, "{keys}");
        assert_eq!(taken(&served.sandbox).lines().count(), 1, "{keys}");
        served.fetch().succeeds();
        assert_eq!(served.messages().len(), 1, "{keys}");
    }
}

#[test]
fn a_message_without_a_unique_id_waits_for_the_destination_that_lacks_it() {
    let served = served(good(ids(["-"; 3])).without("UIDL"), "leave-on-server = false");
    served.fetch().exits(75);
    served.configure(served.server.port(), "leave-on-server = false");
    for _ in 0..2 {
        let run = served.fetch();
        run.exits(75)
            .complains("3 messages still to be delivered to a destination that isn't configured now");
        served.holds(all_traced(&["a", "b", "c"]));
        assert_eq!(served.server.maildrop("me").len(), 3);
    }
    // The user's word: those that are configured are all that matter.
    served.sandbox.run(["--all"]).succeeds();
    assert_eq!((served.messages().len(), served.server.maildrop("me").len()), (6, 0));
}

#[test]
fn a_message_that_a_destination_lacks_which_is_configured_no_more_is_given_to_all_that_are() {
    let served = served(good(ids(["x", "y", "z"])), "leave-on-server = true");
    served.fetch().exits(75);
    served.configure(served.server.port(), "leave-on-server = true");
    served.fetch().exits(75);
    served.sandbox.run(["--all"]).succeeds();
    served.fetch().succeeds();
    assert_eq!(served.messages().len(), 6);
}
