//! `popfetch delete`: what the user names, and nothing else, goes, once the server has confirmed it; and the ledger knows.

use crate::mailbox::{Served, body, good, serve, small, stored};
use crate::support::sandbox::Run;
use crate::support::server::{Cut, Message};
use crate::support::tmux::Tmux;

/// `delete me` with these arguments.
#[track_caller]
fn delete(served: &Served, arguments: &[&str]) -> Run {
    served.sandbox.run(["delete", "me"].iter().chain(arguments))
}

fn ids(served: &Served) -> Vec<String> {
    served.server.unique_ids("me")
}

/// Three messages, delivered.
fn delivered() -> Served {
    let served = serve(good(small(3)), "");
    served.fetch().succeeds();
    served
}

#[test]
fn delivered_messages_go_and_the_next_run_knows() {
    let served = delivered();
    let run = delete(&served, &["-y", "1", "uid-3"]);
    run.looks_like("delete").succeeds().says("2 messages deleted\n");
    assert_eq!(ids(&served), ["uid-2"]);
    let commands = served.server.commands(served.server.sessions());
    assert_eq!(commands.iter().filter(|command| command.starts_with("DELE")).count(), 2);
    assert!(!commands.iter().any(|command| command.starts_with("RETR")), "{commands:?}");
    served.fetch().succeeds().is_silent();
    // It's known to be gone: what comes back under its unique-id is compared.
    let back =
        Message::new("uid-1", "Received: by x\r\nSubject: other\r\nMessage-ID: <other@x>\r\n\r\nother\r\n");
    served.server.add("me", [back]);
    served.fetch().succeeds().complains("1 new");
}

/// Without TOP nothing is known of a message that only counts as seen.
#[test]
fn what_comes_under_the_unique_id_of_one_that_only_counted_as_seen_and_was_deleted_is_new() {
    let served = serve(good(small(2)).without("TOP"), "");
    served.sandbox.run(["mark-seen", "me"]).succeeds();
    delete(&served, &["-y", "--undelivered", "1"]).succeeds();
    served.server.add("me", [Message::new("uid-1", body(1))]);
    served.fetch().succeeds();
    served.holds(stored([1]));
}

#[test]
fn without_a_terminal_it_must_be_said() {
    let served = delivered();
    let run = delete(&served, &["1"]);
    run.exits(64).complains("without a terminal nobody can be asked").complains("-y");
    assert_eq!(ids(&served).len(), 3);
    assert_eq!(served.server.sessions(), 1, "the server was asked");
}

#[test]
fn what_was_never_delivered_is_protected() {
    let served = delivered();
    served.server.add("me", [Message::new("new", "Subject: new\r\n\r\n")]);
    let run = delete(&served, &["-y", "1", "last"]);
    run.looks_like("delete-undelivered").exits(64).complains("1 message was never delivered");
    assert_eq!(ids(&served).len(), 4);
    delete(&served, &["-y", "--undelivered", "1", "last"]).succeeds().says("2 messages deleted");
    assert_eq!(ids(&served), ["uid-2", "uid-3"]);
    served.fetch().succeeds().is_silent();
    let fresh = serve(good(small(2)), "");
    delete(&fresh, &["-y", "1"]).exits(64);
    delete(&fresh, &["-y", "1", "--undelivered"]).succeeds();
    assert_eq!(ids(&fresh), ["uid-2"]);
}

/// The same unique-id and size as what was delivered, but other mail: the user's word for the one isn't taken for it.
#[test]
fn other_mail_under_a_known_unique_id_is_protected() {
    let mail = |name: &str| {
        format!(
            "Received: by x\r\nSubject: {name}\r\nMessage-ID: <{name}@x>\r\nDate: Fri, 27 Nov 2026 09:12:00 +0000\r\nFrom: a@x\r\n\r\n{name}\r\n"
        )
    };
    let served = serve(good([Message::new("a", mail("one"))]), "");
    served.fetch().succeeds();
    served.server.replace("me", [Message::new("a", mail("two"))]);
    let run = delete(&served, &["-y", "a"]);
    run.exits(64).says("its unique-id stood for another message");
    assert_eq!(ids(&served), ["a"]);
    delete(&served, &["-y", "a", "--undelivered"]).succeeds();
    assert!(ids(&served).is_empty());
}

/// No TOP: the whole message shows whether it was delivered.
#[test]
fn without_top_the_whole_message_is_compared() {
    let served = serve(good(small(2)).without("TOP"), "");
    served.fetch().succeeds();
    delete(&served, &["-y", "1"]).succeeds();
    assert_eq!(ids(&served), ["uid-2"]);
    assert_eq!(served.server.count("RETR 1"), 2);
}

#[test]
fn showing_changes_nothing() {
    let served = delivered();
    let before = served.sandbox.files();
    let run = delete(&served, &["-n", "1-2"]);
    run.succeeds().says("N  DATE").never_says("deleted");
    assert_eq!(run.out().lines().count(), 3);
    assert_eq!((served.sandbox.files(), ids(&served).len()), (before, 3));
    let commands = served.server.commands(served.server.sessions());
    assert!(!commands.contains(&"QUIT".to_owned()), "{commands:?}");
}

#[test]
fn a_number_that_names_another_message_than_was_listed_deletes_nothing() {
    let served = delivered();
    served.sandbox.run(["list"]).succeeds();
    served.server.replace("me", small(3).into_iter().skip(1));
    let run = delete(&served, &["-y", "2"]);
    run.exits(66).complains("message 2 isn't the one that \"list\" showed").complains("uid-2");
    assert_eq!(ids(&served), ["uid-2", "uid-3"]);
    delete(&served, &["-y", "uid-3"]).succeeds();
    delete(&served, &["-y", "9"]).exits(66).complains("there is no message 9");
    delete(&served, &["-y"]).exits(64);
}

#[test]
fn without_the_answer_to_quit_it_is_not_known() {
    for cut in [Cut::AfterUpdate, Cut::At("QUIT".to_owned())] {
        let served = delivered();
        served.server.change(|options| options.cut = Some(cut.clone()));
        let run = delete(&served, &["-y", "1"]);
        run.exits(75).complains("did not confirm the deletion");
        let left = ids(&served).len();
        assert_eq!(left, if cut == Cut::AfterUpdate { 2 } else { 3 });
        served.server.change(|options| options.cut = None);
        // Nothing comes twice.
        served.fetch().succeeds().is_silent();
        assert_eq!(served.messages().len(), 3);
    }
}

#[test]
fn what_the_server_refuses_stays() {
    let served = delivered();
    served.server.change(|options| options.instead.push(("DELE 2".to_owned(), b"-ERR \x1bno\r\n".to_vec())));
    let run = delete(&served, &["-y", "1-3"]);
    run.exits(75)
        .complains("did not delete message 2: \\x1bno")
        .never_says("\x1b")
        .says("2 messages deleted");
    assert_eq!(ids(&served), ["uid-2"]);
    served.fetch().succeeds().is_silent();
}

/// A server that answers out of step: what was shown may be another message's.
#[test]
fn answers_that_name_another_message_delete_nothing() {
    let served = delivered();
    served.server.change(|options| {
        for number in 1..=3 {
            let answer = format!("+OK {number} uid-9\r\n");
            options.instead.push((format!("UIDL {number}"), answer.into_bytes()));
        }
    });
    delete(&served, &["-y", "1"]).exits(76).complains("out of step");
    assert_eq!(ids(&served).len(), 3);
}

#[test]
fn a_run_at_work_is_not_disturbed() {
    let served = delivered();
    let files = served.sandbox.files();
    let path = served.sandbox.path(files.keys().find(|path| path.ends_with("lock")).unwrap());
    let lock = std::fs::File::open(path).unwrap();
    lock.lock().unwrap();
    delete(&served, &["-y", "1"]).exits(75).complains("another popfetch is at work in this mailbox");
    assert_eq!(served.server.sessions(), 1);
}

/// The user is asked at the terminal, while the session stays open.
#[test]
fn the_user_is_asked_at_the_terminal() {
    let served = delivered();
    for (answer, left) in [("n", 3), ("y", 2)] {
        let command = "popfetch delete me 1 </dev/null >out 2>&1";
        let Some(tmux) = Tmux::start(&served.sandbox, (80, 24), command) else { return };
        tmux.wait_for("delete it from the server? [y/N]");
        tmux.keys(&[answer, "Enter"]);
        tmux.wait_for("[0]");
        assert_eq!(ids(&served).len(), left, "{}", tmux.screen());
        let out = std::fs::read_to_string(served.sandbox.path("out")).unwrap();
        assert!(out.contains(if left == 3 { "nothing is deleted" } else { "1 message deleted" }), "{out}");
    }
}

/// Two reports with the same header and without unique-ids: the other one is known as before.
#[test]
fn of_several_messages_without_unique_ids_only_the_named_one_is_forgotten() {
    let report = |number: u32| Message::new("", format!("Subject: report\r\n\r\nreport {number}\r\n"));
    let served = serve(good([report(1), report(2)]).without("UIDL"), "leave-on-server = true");
    served.fetch().succeeds();
    assert_eq!(served.messages().len(), 2);
    delete(&served, &["-y", "1"]).succeeds().says("1 message deleted");
    served.fetch().succeeds();
    assert_eq!(served.messages().len(), 2, "the other one came again");
}
