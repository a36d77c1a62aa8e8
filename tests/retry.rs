//! `popfetch retry`: what failed is tried now, and nothing else.

use crate::destinations::set_up;
use crate::support::server::{Message, numbered};

const REFUSING: &str = "deliver = { pipe = [\"sh\", \"-c\", \"test -e ~/ok || exit 67; cat >> ~/taken\"] }";

fn message(subject: &str) -> Vec<u8> {
    format!("From: a@example.org\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n").into_bytes()
}

#[test]
fn messages_that_back_off_are_tried_now_and_nothing_else_is() {
    let (server, sandbox) = set_up(numbered(["a", "b"].map(message)), REFUSING);
    for _ in 0..2 {
        sandbox.run([""; 0]).exits(75);
    }
    let tried = server.count("RETR");
    sandbox.run([""; 0]).exits(75).complains("2 messages failed, next try ");
    assert_eq!(server.count("RETR"), tried, "they back off");
    sandbox.run(["retry", "work"]).exits(75).complains("2 messages failed, next try ");
    assert_eq!(server.count("RETR"), tried + 2);
    server.add("me", [Message::new("new", message("new"))]);
    sandbox.write("ok", "");
    sandbox.run(["retry", "work", "last"]).succeeds();
    sandbox.run(["retry", "work", "4"]).exits(66).complains("there is no message 4");
    assert_eq!(server.count("RETR"), tried + 2, "it has not failed, or isn't there");
    sandbox.run(["retry", "work", "uid:uid-2"]).succeeds();
    let taken = || std::fs::read_to_string(sandbox.path("taken")).unwrap_or_default();
    assert!(taken().contains("body of b") && !taken().contains("body of a"), "{}", taken());
    // The other one still counts.
    sandbox.run([""; 0]).exits(75).complains("1 message failed");
    assert!(taken().contains("body of new"));
    sandbox.run(["retry"]).succeeds();
    assert!(taken().contains("body of a"));
    sandbox.run([""; 0]).succeeds();
    assert_eq!(taken().matches("body of").count(), 3);
}

#[test]
fn a_login_that_pauses_is_tried_now() {
    let (server, sandbox) = set_up(numbered([message("a")]), "deliver = { maildir = \"~/Mail\" }");
    server.change(|options| options.instead.push(("PASS".to_owned(), b"-ERR [AUTH] no\r\n".to_vec())));
    for _ in 0..2 {
        sandbox.run([""; 0]).exits(77);
    }
    assert_eq!(server.sessions(), 1);
    sandbox.run(["retry", "work"]).exits(77);
    assert_eq!(server.sessions(), 2);
    server.change(|options| options.instead.clear());
    sandbox.run(["retry", "work"]).succeeds();
    assert_eq!(server.count("RETR"), 0, "that is for the next run");
    sandbox.run([""; 0]).succeeds();
    assert_eq!(server.count("RETR"), 1);
}
