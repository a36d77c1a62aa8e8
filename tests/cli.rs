//! The command line from outside: what it answers, on which stream, and with which exit code.

use std::process::{Command, Stdio};

use popfetch::reference::ExitCode;

use crate::support::mail;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Options, Server, numbered};

/// An account of a server on loopback, with a Maildir.
fn account(name: &str, port: u16) -> String {
    format!(
        "[accounts.{name}]\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nuser = \"{name}\"\n\
         password = \"pass-{name}\"\ndeliver = {{ maildir = \"~/{name}\" }}\n"
    )
}

fn messages() -> Vec<Message> {
    numbered((1..=3).map(|n| mail::message(n, 2000)))
}

#[test]
fn help_and_version_are_what_was_asked_for() {
    let sandbox = Sandbox::new();
    for args in [["--help"], ["-h"], ["--version"], ["-V"]] {
        let run = sandbox.run(args);
        run.exits(0);
        assert!(!run.out().is_empty() && run.err().is_empty(), "{}", run.shown());
    }
    sandbox.run(["--version"]).says(&format!("popfetch {}\n", env!("CARGO_PKG_VERSION")));
    assert!(sandbox.files().is_empty(), "nothing is written for a question");
}

#[test]
fn mistakes_are_reported_with_the_code_that_fits() {
    let sandbox = Sandbox::new();
    sandbox.run([""; 0]).exits(78).complains("hint: popfetch init ADDRESS");
    sandbox.config(account("work", 1));
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--nonsense"], 64, "there is no flag --nonsense"),
        (&["--keep", "--delete"], 64, "cannot be used with"),
        (&["wrok"], 64, "hint: did you mean the account \"work\"?"),
        (&["--server", "h", "work"], 64, "hint: leave one of them out"),
        (&["--stdout", "--delete"], 64, "hint: use --keep"),
        (&["--config", "nowhere.toml"], 78, "there is no configuration at"),
        (&["--port", "x", "work"], 64, "--port: expected a whole number"),
    ];
    let before = sandbox.files();
    for (args, code, text) in cases {
        let run = sandbox.run(args);
        run.exits(code).complains(text);
        assert!(run.out().is_empty() && run.err().starts_with("popfetch: "), "{}", run.shown());
    }
    assert_eq!(sandbox.files(), before);
}

#[test]
fn accounts_are_printed_by_name_in_the_order_of_the_configuration() {
    let sandbox = Sandbox::new();
    sandbox.config([account("work", 1), account("home", 2)].concat());
    sandbox.run(["accounts"]).exits(0).says("work\nhome\n");
    sandbox.run(["accounts", "--json"]).exits(0).looks_like("accounts-json");
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    for args in [["--help"], ["--version"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_popfetch"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn an_account_is_a_line_and_quiet_is_silent() {
    let sandbox = Sandbox::new();
    let server = Server::with("work", "pass-work", messages());
    sandbox.config(account("work", server.port()));
    let first = sandbox.run(["--delete"]);
    first.exits(0);
    assert_eq!(first.out(), "");
    let line = first.err();
    assert!(line.starts_with("work  3 new, 5.") && line.lines().count() == 1, "{line}");
    assert!(line.ends_with(" KiB → ~/work  3 deleted, nothing left on the server\n"), "{line}");
    sandbox.run([""; 0]).exits(0).is_silent();
    sandbox.run(["-v"]).exits(0).complains("work  nothing new  nothing on the server\n");
    server.add("work", messages());
    sandbox.run(["--quiet"]).exits(0).is_silent();
}

#[test]
fn fetch_may_be_written_out() {
    let sandbox = Sandbox::new();
    let server = Server::with("work", "pass-work", messages());
    sandbox.config(account("work", server.port()));
    let run = sandbox.run(["fetch", "--delete", "work"]);
    run.exits(0).complains("work  3 new, ").complains("3 deleted, nothing left");
    for args in [["-v", "fetch"], ["work", "fetch"]] {
        let run = sandbox.run(args);
        run.exits(64).complains("\"fetch\" is a command, and a command stands first");
        run.complains("hint: popfetch fetch [OPTIONS]");
    }
    sandbox.run(["fetch", "--help"]).exits(0).says("Usage: popfetch fetch [OPTIONS] [ACCOUNT|URL]...");
}

#[test]
fn a_dry_run_prints_a_plan_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let options = Options::with("work", "pass-work", messages());
    let server = Server::start(options);
    sandbox.config(account("work", server.port()));
    let before = sandbox.files();
    let run = sandbox.run(["--dry-run", "--quiet"]);
    run.exits(0);
    let lines: Vec<String> = run.out().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 4, "{}", run.shown());
    assert!(lines.iter().take(3).all(|line| line.ends_with("  retrieve  new")), "{}", run.shown());
    assert!(lines.last().unwrap().starts_with("would retrieve 3 messages ("), "{}", run.shown());
    assert!(run.err().is_empty());
    assert_eq!((sandbox.files(), server.count("RETR"), server.count("DELE")), (before, 0, 0));
}

#[test]
fn one_account_failing_does_not_stop_the_others() {
    let sandbox = Sandbox::new();
    let server = Server::with("work", "pass-work", messages());
    let wrong = account("home", server.port());
    sandbox.config(format!("{wrong}{}", account("work", server.port())));
    let run = sandbox.run([""; 0]);
    run.exits(i32::from(ExitCode::Refused.number()))
        .complains("popfetch: account \"home\": ")
        .complains(" (hint: ");
    run.complains("work  3 new, ")
        .complains("2 accounts: 3 new, 1 account with an error (")
        .never_says("pass-home");
}

#[test]
fn the_help_is_short_or_whole() {
    let sandbox = Sandbox::new();
    let short = sandbox.run(["-h"]);
    short.succeeds().looks_like("help-short");
    let short = short.out();
    assert!(short.lines().count() <= 36 && short.lines().all(|line| line.chars().count() <= 100), "{short}");
    sandbox.run(["state", "-h"]).succeeds().looks_like("help-state");
    sandbox.run(["--help"]).succeeds().looks_like("help-whole");
    assert_eq!(sandbox.run(["help"]).out(), sandbox.run(["--help"]).out());
    for command in popfetch::reference::command().get_subcommands() {
        let name = command.get_name();
        let whole = sandbox.run(["help", name]);
        assert_eq!(whole.succeeds().out(), sandbox.run([name, "--help"]).out(), "{name}");
    }
    sandbox.run(["help", "state", "release"]).succeeds().says("Usage: popfetch state release");
    sandbox.run(["help", "fecth"]).exits(64).looks_like("help-of-nothing");
    sandbox.run(["help", "fetch", "x"]).exits(64).complains("hint: leave it out");
}

#[test]
fn a_misspelt_command_or_account_is_recognised() {
    let sandbox = Sandbox::new();
    // Before there is a configuration, too.
    sandbox.run(["acounts"]).exits(64).looks_like("near-miss-without-configuration");
    sandbox.run(["me@example.com"]).exits(78).complains("popfetch init me@example.com");
    sandbox.config([account("work", 1), account("home", 2), account("fetcher", 3)].concat());
    sandbox.run(["acounts"]).exits(64).looks_like("near-miss-command");
    sandbox.run(["wrok"]).exits(64).looks_like("near-miss-account");
    // Either could be meant: the account is nearer.
    sandbox.run(["fetchr"]).exits(64).complains("did you mean the account \"fetcher\"?");
    sandbox.run(["zzz"]).exits(64).looks_like("near-miss-nothing");
    sandbox.run(["me@example.com"]).exits(64).looks_like("near-miss-address");
    // What is not in the place of a command is none.
    sandbox.run(["fetch", "acounts"]).exits(64).looks_like("near-miss-after-fetch");
    sandbox.run(["state", "relaese"]).exits(64).looks_like("near-miss-subcommand");
    sandbox.run(["fetch", "x\u{1b}[31m"]).exits(64).never_says("\x1b");
}

#[test]
fn flags_of_other_programs_are_answered() {
    let sandbox = Sandbox::new();
    for (args, text) in [
        (&["-k"][..], "hint: here it is --keep)"),
        (&["-ak"], "hint: here it is --all;"),
        (&["-d", "300"], "popfetch cron"),
        (&["-c"], "hint: here it is a command: popfetch check"),
        (&["fetch", "--ssl", "work"], "hint: here it is the default: TLS from the start"),
        (&["--passwordeval=pass"], "--password-command COMMAND"),
        (&["--tls-trust-file", "x"], "--ca-file FILE"),
    ] {
        sandbox.run(args).exits(64).complains("there is no flag -").complains(text);
    }
    sandbox.run(["--nonsense"]).exits(64).looks_like("no-such-flag");
    sandbox.run(["--dry-rnu"]).exits(64).complains("--dry-run");
    sandbox.run(["state", "release"]).exits(64).looks_like("argument-missing");
}

#[test]
fn no_account_has_a_name_that_is_reserved() {
    let sandbox = Sandbox::new();
    let names = "accounts add auth cache check completions config cron daemon delete doctor edit fetch help history import \
                 init list login logout man mark-seen notify queue retry rules run schema send server-info shell show \
                 start state status stop sync test version watch";
    for name in names.split(' ') {
        sandbox.config(account(name, 1));
        let run = sandbox.run(["--dry-run"]);
        run.exits(78)
            .complains(&format!("an account cannot be called \"{name}\": popfetch {name} is a command"));
    }
    assert_eq!(names.split_whitespace().count(), popfetch::reference::RESERVED_NAMES.len());
}
