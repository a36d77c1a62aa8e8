//! Deleting and QUIT: what the next session makes of an answer that was lost, refused or untrue.
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::crash::case::Kind::{Maildir, Mbox, Pipe};
use crate::crash::case::{Case, Plan, tiny};
use crate::mailbox::{DELETE, body, good, serve, small, stored};
use crate::support::mail;
use crate::support::mailboxes::{assert_same, mbox_messages};
use crate::support::server::{Cut, Message, Options};

fn case(change: impl FnOnce(Options) -> Options) -> Case {
    Case::on(Plan::new(&[Maildir, Mbox], true).of(tiny(3)), change)
}

/// How many of these commands a session sent after it had asked for the listing: before it, two headers are looked at by
/// chance.
fn count(case: &Case, session: usize, verb: &str) -> usize {
    let commands = case.server.commands(session);
    let after = commands.iter().skip_while(|command| *command != "UIDL");
    after.filter(|command| command.split(' ').next() == Some(verb)).count()
}

/// The next session deletes what it recognises by its header, without retrieving it again.
fn deletes_without_retrieving(case: &Case, deletions: usize) {
    case.server.change(|options| (options.cut, options.removes_at_most) = (None, None));
    case.server.change(|options| options.instead.clear());
    let before = case.server.sessions();
    case.run().succeeds();
    let done = ["RETR", "TOP", "DELE"].map(|verb| -> usize {
        (before + 1..=case.server.sessions()).map(|session| count(case, session, verb)).sum()
    });
    assert_eq!(done, [0, deletions, deletions]);
    case.is_complete(0);
    case.idles();
}

#[test]
fn unanswered_quit_is_not_a_failure() {
    for (cut, deletions) in [(Cut::At("QUIT".into()), 3), (Cut::AfterUpdate, 0)] {
        let case = case(|options| Options { cut: Some(cut), ..options });
        case.run().succeeds();
        deletes_without_retrieving(&case, deletions);
    }
}

/// Deletions come first; where none is ever confirmed, sessions become as short as can be, and mail comes all the same.
#[test]
fn a_server_that_never_answers_quit_keeps_no_mail_back() {
    for pipelining in ["PIPELINING", "nothing"] {
        let options = good(small(2)).without(pipelining);
        let served = serve(Options { cut: Some(Cut::At("QUIT".into())), ..options }, DELETE);
        served.fetch();
        for come in 3..=6 {
            let name = format!("uid-{come}");
            served.server.add("me", [Message::new(name, body(come))]);
            served.fetch();
            served.holds(stored(1..=come));
        }
        served.server.change(|options| options.cut = None);
        served.fetch();
        served.fetch();
        served.holds(stored(1..=6));
        assert_eq!(served.server.maildrop("me").len(), 0, "{pipelining}");
    }
}

#[test]
fn refused_quit_is_reported() {
    let case = case(|options| options.instead("QUIT", "-ERR some deleted messages not removed\r\n"));
    case.run().succeeds().complains("some deleted messages not removed");
    deletes_without_retrieving(&case, 3);
}

#[test]
fn server_that_removes_only_some() {
    let case = case(|options| Options { removes_at_most: Some(1), ..options });
    case.run().succeeds().complains("not removed");
    assert_eq!(case.server.unique_ids("me"), ["uid-2", "uid-3"]);
    deletes_without_retrieving(&case, 2);
}

#[test]
fn connection_lost_before_quit() {
    let case = case(|options| Options { cut: Some(Cut::At("DELE 1".into())), ..options });
    case.run().exits(75);
    assert_eq!(case.server.unique_ids("me").len(), 3);
    deletes_without_retrieving(&case, 3);
}

/// Deletions that were accepted count only with `QUIT`: it's sent earlier, in the same run.
#[test]
fn connection_lost_between_deletions_shortens_the_next_session() {
    let case = case(|options| Options { cut: Some(Cut::At("DELE 3".into())), ..options });
    case.run().succeeds().complains("nothing was deleted");
    assert_eq!(case.server.unique_ids("me"), [""; 0]);
    assert_eq!(case.server.count("RETR"), 3);
    case.is_complete(0);
}

#[test]
fn refused_dele_leaves_the_others_deleted() {
    let case = case(|options| options.instead("DELE 2", "-ERR not that one\r\n"));
    case.run().exits(75).complains("not that one");
    assert_eq!(case.server.unique_ids("me"), ["uid-2"]);
    deletes_without_retrieving(&case, 1);
}

#[test]
fn leave_on_server_deletes_nothing() {
    let case = Case::new(Plan::new(&[Maildir], false).of(tiny(3)));
    case.run().succeeds();
    case.idles();
    case.is_complete(0);
    assert_eq!((case.server.count("DELE"), case.server.count("RSET")), (0, 0));
}

/// A program that refuses the second of three messages.
fn refusing(options: impl FnOnce(Options) -> Options) -> Case {
    let case = Case::on(Plan::new(&[Pipe], true).of(tiny(3)), options);
    case.sandbox.script(
        "take",
        "part=$(mktemp \"$HOME/log/XXXXXXXXXX.part\") && cat >\"$part\"\n\
         grep -q 'body 1' \"$part\" && [ ! -e \"$HOME/fine\" ] && { rm \"$part\"; exit 1; }\n\
         mv \"$part\" \"${part%.part}\"",
    );
    case
}

#[test]
fn failed_message_is_kept_and_the_others_deleted() {
    let case = refusing(|options| options);
    case.run().exits(75).complains("message 2");
    assert_eq!(case.server.unique_ids("me"), ["uid-2"]);
    assert_same(case.delivered(Pipe), [0, 2].map(|n| mail::stored(&case.plan.messages[n])).to_vec());
    case.sandbox.write("fine", "");
    case.run().succeeds();
    case.is_complete(0);
}

#[test]
fn no_quit_with_expire_0_unless_all_is_stored() {
    let case = refusing(Options::dropping_retrieved);
    case.run().exits(75);
    // Another session leaves what failed alone, so that the rest can be deleted.
    assert_eq!([1, 2].map(|session| count(&case, session, "QUIT")), [0, 1]);
    assert_eq!(case.server.unique_ids("me"), ["uid-2"]);
    case.sandbox.write("fine", "");
    case.run().succeeds();
    case.is_complete(0);
}

/// The server stops at a command until popfetch has got its signals.
fn signalled(keys: &'static str, at: &'static str) -> Case {
    let case = Case::new(Plan::new(&[Maildir], true).of(tiny(4)).with(keys));
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    case.server.change(|options| {
        options.hook = Some(Arc::new(move |moment| {
            if moment.command == at && moment.session == 1 {
                let _ = wait.lock().unwrap().recv();
            }
        }));
    });
    let running = case.popfetch().start();
    case.server.wait_for(at);
    running.signal(Signal::TERM);
    // Delivered to the process before the server's answer is: the kernel keeps signals in order with what follows.
    drop(go);
    running.finish().dies_by(Signal::TERM);
    case
}

#[test]
fn signal_ends_the_run_in_order() {
    let case = signalled("pipelining = \"off\"", "RETR 2");
    assert_eq!(count(&case, 1, "RETR"), 2, "no new RETR after the signal");
    // What had arrived whole was delivered, deleted, and confirmed by QUIT.
    assert_same(case.delivered(Maildir), case.expected()[..2].to_vec());
    assert_eq!((count(&case, 1, "DELE"), count(&case, 1, "QUIT")), (2, 1));
    assert_eq!(case.server.unique_ids("me"), ["uid-3", "uid-4"]);
    case.run().succeeds();
    case.is_complete(0);
}

#[test]
fn signal_reads_the_answers_in_flight() {
    let case = signalled("pipelining = \"on\"", "RETR 2");
    case.is_complete(0);
}

#[test]
fn two_processes_on_one_mailbox() {
    let case = case(|options| options);
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    case.server.change(|options| {
        options.hook = Some(Arc::new(move |moment| {
            if moment.command == "RETR 1" {
                let _ = wait.lock().unwrap().recv();
            }
        }));
    });
    let first = case.popfetch().start();
    case.server.wait_for("RETR 1");
    let before = case.sandbox.files();
    case.run().exits(75).complains("another popfetch");
    assert_eq!(case.sandbox.files(), before, "the second one touches nothing");
    let waiting = case.sandbox.popfetch(["--wait"]).start();
    drop(go);
    first.finish().succeeds();
    waiting.finish().succeeds();
    assert_eq!(case.server.sessions(), 2, "the second one didn't connect, the third did");
    case.is_complete(0);
    assert_eq!(mbox_messages(&case.mbox()).len(), 3);
}
