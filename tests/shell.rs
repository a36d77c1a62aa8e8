//! `popfetch shell`: POP3 by hand, by pipe and at a terminal.

use rustix::process::{Pid, Signal, kill_process};

use crate::support::mail;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Options, Server, numbered};
use crate::support::tmux::Tmux;

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
    // It is known what has become of them, before the next listing and after it.
    for _ in 0..2 {
        let history = sandbox.run(["history", "--json"]).out();
        let fates: Vec<bool> = history.lines().map(|line| line.contains("\"server\":\"deleted\"")).collect();
        assert_eq!(fates, [true, false, true], "{history}");
        sandbox.run([""; 0]).succeeds();
    }
    assert_eq!(server.maildrop("me").len(), 1);
    sandbox.run(["state", "verify"]).succeeds();
}

#[test]
fn what_a_server_does_not_confirm_is_not_recorded_as_deleted() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run([""; 0]).succeeds();
    server.change(|options| options.instead.push(("QUIT".into(), b"-ERR no\r\n".to_vec())));
    sandbox.popfetch(["shell", "work"]).stdin("dele 1\nquit\n").run().exits(75);
    assert!(!sandbox.run(["history", "--json"]).out().contains("\"server\":\"deleted\""));
    server.change(|options| options.instead.clear());
    sandbox.run([""; 0]).succeeds();
    assert_eq!(server.maildrop("me").len(), 3);
}

#[test]
fn what_was_never_delivered_is_deleted_only_when_the_user_insists() {
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
    for raw in ["on", "off"] {
        let lines = format!("raw {raw}\nretr 1\ntop 1\nquit\n");
        let run = sandbox.popfetch(["shell", "-y"]).stdin(lines).run();
        run.succeeds().never_says("\x1b").never_says("\x07").says("\\x1b[2J").says("\\x07body");
    }
}

#[test]
fn one_account_must_be_meant() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run(["shell", "nobody"]).exits(64).complains("nobody");
    sandbox.config(
        "[accounts.a]\nserver = \"127.0.0.1\"\nuser = \"a\"\npassword = \"x\"\ndeliver = { stdout = true }\n\
         leave-on-server = true\n[accounts.b]\nserver = \"127.0.0.1\"\nuser = \"b\"\npassword = \"x\"\n\
         leave-on-server = true\ndeliver = { stdout = true }\n",
    );
    sandbox
        .run(["shell"])
        .exits(64)
        .complains("there are 2 accounts, and this command is about one")
        .complains("name one of \"a\", \"b\"");
}

#[test]
fn a_message_is_decoded_unless_raw_is_on() {
    let message = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nsch=F6n\r\n";
    let server = Server::with("me", "secret", numbered([message]));
    let sandbox = sandbox(&server);
    let run = sandbox.popfetch(["shell"]).stdin("retr 1\n").run();
    run.succeeds().says("Subject: Gr\u{fc}\u{df}e\n").says("sch\u{f6}n\n");
    let run = sandbox.popfetch(["shell"]).stdin("raw on\nretr 1\n").run();
    run.succeeds().says("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n").says("sch=F6n\n");
}

/// Its unique-id is known, and what stands under it now is other mail.
#[test]
fn a_unique_id_is_no_proof_that_a_message_was_delivered() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run([""; 0]).succeeds();
    let ids = server.unique_ids("me");
    server.replace("me", ids.iter().zip(7..).map(|(id, n)| Message::new(id.as_str(), mail::message(n, 600))));
    let run = sandbox.popfetch(["shell"]).stdin("dele 1\nquit\n").run();
    run.exits(64).complains("never delivered: 1");
    assert_eq!(server.maildrop("me").len(), 3);
}

/// A server that deletes at QUIT what was retrieved: the same holds for what is only looked at.
#[test]
fn what_quit_would_drop_is_recognised_too() {
    let messages = || numbered((1..=3).map(|n| mail::message(n, 600)));
    let server = Server::start(Options::with("me", "secret", messages()).dropping_retrieved());
    let sandbox = sandbox(&server);
    sandbox.run([""; 0]).succeeds();
    let ids: Vec<String> = messages().iter().map(Message::unique_id).collect();
    server.replace("me", ids.iter().zip(7..).map(|(id, n)| Message::new(id.as_str(), mail::message(n, 600))));
    let run = sandbox.popfetch(["shell"]).stdin("retr 1\nquit\n").run();
    run.exits(64).complains("never delivered: 1");
    assert_eq!(server.maildrop("me").len(), 3);
}

#[test]
fn at_a_terminal_words_are_completed_and_quit_asks() {
    let server = server();
    let sandbox = sandbox(&server);
    let Some(terminal) = Tmux::start(&sandbox, (80, 24), "popfetch shell") else { return };
    terminal.wait_for("3 messages; help lists the commands");
    terminal.wait_for("work>");
    terminal.keys(&["de", "Tab", "2", "Enter"]);
    terminal.wait_for("message 2 is marked: popfetch never delivered it");
    terminal.keys(&["quit", "Enter"]);
    terminal.wait_for("delete them? [y/N]");
    terminal.keys(&["n", "Enter"]);
    // The line before the last one, from the history.
    terminal.keys(&["Up", "Up", "Enter"]);
    terminal.wait_for("-ERR no such message");
    terminal.keys(&["C-d"]);
    terminal.wait_for("the session ended without quit");
    terminal.wait_for("[75]");
    assert_eq!(server.maildrop("me").len(), 3);
}

#[test]
fn a_signal_ends_the_session_and_restores_the_terminal() {
    let server = server();
    let sandbox = sandbox(&server);
    let command = "sh -c 'echo $$ > ~/pid; exec popfetch shell'; echo \"popfetch $?\"; stty -a";
    let Some(terminal) = Tmux::start(&sandbox, (80, 40), command) else { return };
    terminal.wait_for("work>");
    terminal.keys(&["dele 1", "Enter"]);
    terminal.wait_for("message 1 is marked");
    let pid: i32 = std::fs::read_to_string(sandbox.path("pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    let screen = terminal.wait_for("[0]");
    assert!(screen.contains("popfetch 143"), "{screen}");
    assert!(
        screen.contains(" icanon ") && screen.contains(" echo ") && !screen.contains("-icanon"),
        "{screen}"
    );
    assert_eq!(server.maildrop("me").len(), 3);
}
