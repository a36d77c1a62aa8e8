//! What one account, or one server, can take from the others: files, time, places.

use std::fmt::Write as _;
use std::time::Duration;

use crate::mailbox::{after, named_account};
use crate::support::mail;
use crate::support::sandbox::Sandbox;
use crate::support::scripted::{Scripted, Step, expect, send};
use crate::support::server::{Server, numbered};

#[test]
fn many_accounts_with_programs_have_the_files_they_need() {
    let big = mail::message(1, 300 * 1024);
    let server = Server::start(crate::support::server::Options {
        accounts: (0..3)
            .map(|n| {
                let messages = numbered((0..30).map(|_| big.clone()));
                crate::support::server::Account::new(&format!("u{n}"), "secret", messages)
            })
            .collect(),
        ..Default::default()
    });
    let sandbox = Sandbox::new();
    let mut config = String::new();
    for n in 0..3 {
        let keys = "tls = \"none\"\npassword = \"secret\"\ndeliver = { pipe = \"cat > /dev/null\" }";
        let account = named_account(&format!("a{n}"), server.port(), keys);
        let account: Vec<&str> = account.lines().filter(|line| !line.contains("maildir")).collect();
        let _ = writeln!(config, "{}", account.join("\n").replace("\"me\"", &format!("\"u{n}\"")));
    }
    sandbox.config(config);
    let run = sandbox.popfetch([""; 0]).under(["sh", "-c", "ulimit -Sn 48 && exec \"$0\" \"$@\""]).run();
    run.succeeds();
}

/// A thread takes 2 MiB of address space: somewhere among these limits the program runs and some of its threads are
/// refused.
#[test]
fn where_threads_are_refused_fewer_accounts_are_fetched_at_a_time() {
    let names: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
    let account = |name: &String| {
        crate::support::server::Account::new(name, "secret", numbered([mail::message(1, 300)]))
    };
    let server = Server::start(crate::support::server::Options {
        accounts: names.iter().map(account).collect(),
        ..Default::default()
    });
    let keys = "tls = \"none\"\npassword-command = [\"echo\", \"secret\"]";
    let account =
        |name: &String| named_account(name, server.port(), keys).replace("\"me\"", &format!("\"{name}\""));
    let sandbox = Sandbox::new();
    sandbox.config(names.iter().map(account).collect::<String>());
    for megabytes in (16..160).step_by(2) {
        let limit = format!("ulimit -v {} && exec \"$0\" \"$@\"", megabytes * 1024);
        let run = sandbox.popfetch([""; 0]).under(["sh", "-c", &limit]).run();
        assert!(!run.err().contains("a bug in popfetch"), "{megabytes} MiB: {}", run.err());
    }
    sandbox.run([""; 0]).succeeds();
}

/// Each keeps just within what an answer must bring, and has no end.
#[test]
fn slow_servers_do_not_keep_the_places_of_others() {
    let drips = || {
        let mut steps = vec![
            expect("USER me"),
            send("+OK\r\n"),
            expect("PASS tanstaaf"),
            send("+OK\r\n"),
            expect("CAPA"),
        ];
        steps.extend([send("-ERR\r\n"), expect("UIDL"), send("+OK\r\n")]);
        let line = |n: usize| send(format!("{n} {}\r\n", "x".repeat(600)));
        for n in 1..100 {
            let pause = || std::thread::sleep(Duration::from_millis(700));
            steps.extend([line(n), Step::Call(std::sync::Arc::new(pause))]);
        }
        let server = Scripted::start(vec![after("USER\r\n", steps)]);
        (server.port(), server)
    };
    let (first, second) = (drips(), drips());
    let honest = Server::with("me", "tanstaaf", numbered([mail::message(1, 300)]));
    let keys = "tls = \"none\"\npassword = \"tanstaaf\"\ntimeout = \"1s\"";
    let sandbox = Sandbox::new();
    let accounts = [("a", first.0), ("b", second.0), ("c", honest.port())];
    sandbox.config(accounts.map(|(name, port)| named_account(name, port, keys)).concat());
    let run = sandbox.run(["--jobs", "2"]);
    run.exits(75).complains("sent only");
    assert!(run.elapsed < Duration::from_secs(25), "{:?}", run.elapsed);
    assert_eq!(crate::support::mailboxes::Maildir::read(&sandbox.path("c")).messages().len(), 1);
}
