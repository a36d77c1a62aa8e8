//! `popfetch shell`: POP3 by hand, by pipe and at a terminal.

use crate::support::mail;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Server, numbered};

fn server() -> Server {
    Server::with("me", "secret", numbered((1..=3).map(|n| mail::message(n, 600))))
}

fn sandbox(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(format!(
        "[accounts.work]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"me\"\npassword = \"secret\"\n\
         leave-on-server = true\ndeliver = {{ maildir = \"~/in\" }}\n",
        server.port()
    ));
    sandbox
}

#[test]
fn answers_are_printed_line_by_line() {
    let server = server();
    let sandbox = sandbox(&server);
    let run = sandbox.popfetch(["shell"]).stdin("STAT\nlist 2\nuidl\nnoop\n# nothing\n\nquit\n").run();
    run.succeeds();
    let lines: Vec<String> = run.out().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 7, "{}", run.shown());
    assert!(lines[0].starts_with("+OK 3 "), "{lines:?}");
    assert!(lines[1].starts_with("+OK 2 "), "{lines:?}");
    assert_eq!(
        lines[3..6],
        server.unique_ids("me").iter().zip(1..).map(|(id, n)| format!("{n} {id}")).collect::<Vec<_>>()
    );
    assert_eq!(server.maildrop("me").len(), 3);
    run.never_says("secret");
}

#[test]
fn what_was_delivered_is_deleted_by_quit() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run([""; 0]).succeeds();
    let run = sandbox.popfetch(["shell", "work"]).stdin("dele 1\ndele 3\nquit\n").run();
    run.succeeds().says("2 messages deleted\n");
    assert_eq!(server.maildrop("me").len(), 1);
    // The next run isn't astonished.
    sandbox.run([""; 0]).succeeds();
    assert_eq!(server.maildrop("me").len(), 1);
}

#[test]
fn what_was_never_delivered_is_deleted_only_when_told() {
    let server = server();
    let sandbox = sandbox(&server);
    let run = sandbox.popfetch(["shell"]).stdin("dele 1\nquit\n").run();
    run.exits(64)
        .complains("1 message would be deleted that popfetch never delivered: 1")
        .complains("hint: with -y");
    assert_eq!(server.maildrop("me").len(), 3);
    sandbox.popfetch(["shell", "-y"]).stdin("dele 1\nquit\n").run().succeeds().says("1 message deleted\n");
    assert_eq!(server.maildrop("me").len(), 2);
}

#[test]
fn without_quit_nothing_is_deleted() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run([""; 0]).succeeds();
    sandbox.popfetch(["shell"]).stdin("dele 1\n").run().exits(75).complains("the session ended without quit");
    sandbox.popfetch(["shell"]).stdin("dele 1\nabort\n").run().succeeds();
    sandbox.popfetch(["shell"]).stdin("dele 1\nrset\nquit\n").run().succeeds();
    sandbox.popfetch(["shell"]).stdin("stat\n").run().succeeds();
    assert_eq!(server.maildrop("me").len(), 3);
}

#[test]
fn strict_stops_at_the_first_refusal() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run([""; 0]).succeeds();
    let run = sandbox.popfetch(["shell", "--strict"]).stdin("dele 1\nretr 9\ndele 2\nquit\n").run();
    run.exits(75).says("-ERR");
    sandbox.popfetch(["shell", "--strict"]).stdin("dele 1\ndelete 2\nquit\n").run().exits(64);
    assert_eq!(server.maildrop("me").len(), 3);
    // Without it, a refusal is an answer like any other.
    sandbox.popfetch(["shell"]).stdin("dele 9\nquit\n").run().succeeds().says("-ERR");
}

#[test]
fn nothing_from_a_message_steers_the_terminal() {
    let server = Server::with("me", "secret", numbered([b"Subject: \x1b[2J\r\n\r\n\x07body\r\n"]));
    let sandbox = sandbox(&server);
    let run = sandbox.popfetch(["shell"]).stdin("retr 1\nquit\n").run();
    run.succeeds().never_says("\x1b").never_says("\x07").says("\\x1b[2J").says("\\x07body");
}

#[test]
fn a_run_waits_its_turn_and_the_shell_its() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run(["shell", "nobody"]).exits(64).complains("nobody");
    sandbox.config(
        "[accounts.a]\nserver = \"127.0.0.1\"\nuser = \"a\"\npassword = \"x\"\ndeliver = { stdout = true }\n\
         leave-on-server = true\n[accounts.b]\nserver = \"127.0.0.1\"\nuser = \"b\"\npassword = \"x\"\n\
         leave-on-server = true\ndeliver = { stdout = true }\n",
    );
    sandbox.run(["shell"]).exits(64).complains("which account?").complains("hint: name one of them: a, b");
}
