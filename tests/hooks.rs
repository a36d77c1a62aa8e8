//! Programs that are run before and after an account's run.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::destinations::{account, set_up};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Server, numbered};

const DELIVER: &str = "deliver = { maildir = \"~/Mail\" }\n";

fn message(subject: &str) -> Vec<u8> {
    format!("From: Ann <a@example.org>\r\nMessage-ID: <{subject}@x>\r\nSubject: {subject}\r\n\r\nbody\r\n")
        .into_bytes()
}

/// Hooks that write down, into a file of their name, their environment and, into another, their standard input.
fn all_hooks() -> String {
    let hook = |name: &str| {
        let line = format!("env | grep ^POPFETCH_ | sort >> ~/{name}; cat >> ~/{name}.input");
        format!("{name} = \"{line}\"\n")
    };
    ["before-run", "on-new-mail", "on-trouble", "on-recovered"].map(hook).concat()
}

fn read(sandbox: &Sandbox, name: &str) -> String {
    std::fs::read_to_string(sandbox.path(name)).unwrap_or_default()
}

/// What a hook has seen of this variable, each time that it ran.
fn seen(sandbox: &Sandbox, hook: &str, variable: &str) -> Vec<String> {
    let beginning = format!("POPFETCH_{variable}=");
    read(sandbox, hook).lines().filter_map(|line| line.strip_prefix(&beginning)).map(str::to_owned).collect()
}

#[test]
fn new_mail_is_handed_to_a_hook_as_json_lines() {
    let (server, sandbox) = set_up(numbered(["one", "tw\"o"].map(message)), &(all_hooks() + DELIVER));
    sandbox.run(["--dry-run"]).succeeds();
    assert_eq!(read(&sandbox, "before-run"), "");
    sandbox.run([""; 0]).succeeds();
    // Nothing new: only the first one runs.
    sandbox.run([""; 0]).succeeds();
    assert_eq!(seen(&sandbox, "before-run", "ACCOUNT"), ["work", "work"]);
    for (variable, expected) in
        [("ACCOUNT", "work"), ("NEW", "2"), ("FAILED", "0"), ("EXIT", "0"), ("ERROR", "")]
    {
        assert_eq!(seen(&sandbox, "on-new-mail", variable), [expected], "{variable}");
    }
    assert!(seen(&sandbox, "on-new-mail", "OCTETS")[0].parse::<u64>().unwrap() > 100);
    assert!(!read(&sandbox, "on-new-mail").contains("one"), "no text from mail");
    let input = read(&sandbox, "on-new-mail.input");
    let lines: Vec<Value> = input.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let subjects: Vec<&str> = lines.iter().map(|line| line["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["one", "tw\"o"]);
    assert!(lines.iter().all(|line| line["type"] == "delivered" && line["account"] == "work"));
    assert_eq!(read(&sandbox, "on-trouble") + &read(&sandbox, "on-recovered"), "");
    // And to no other place: the hook's use of the lines is nobody else's.
    server.add("me", [Message::new("uid-9", message("three"))]);
    sandbox.run(["--json"]).succeeds();
    assert_eq!(read(&sandbox, "on-new-mail.input").lines().count(), 3);
    assert!(sandbox.files().keys().all(|path| !path.to_string_lossy().contains("hook-")));
}

#[test]
fn a_failure_is_handed_to_a_hook_when_it_is_news_and_when_it_is_over() {
    let (server, sandbox) = set_up(numbered([message("one")]), &(all_hooks() + DELIVER));
    let refusal = b"-ERR [AUTH] wrong \"words\" of a server\r\n".to_vec();
    server.change(|options| options.instead.push(("PASS".to_owned(), refusal)));
    for _ in 0..2 {
        sandbox.run([""; 0]).exits(77);
    }
    assert_eq!(seen(&sandbox, "on-trouble", "EXIT"), ["77"], "once");
    let error = seen(&sandbox, "on-trouble", "ERROR").remove(0);
    assert!(error.contains("refused") && !error.contains("words") && !error.contains("wrong"), "{error}");
    assert_eq!(read(&sandbox, "on-trouble.input") + &read(&sandbox, "on-recovered"), "");
    server.change(|options| options.instead.clear());
    sandbox.run(["work"]).succeeds();
    sandbox.run(["work"]).succeeds();
    assert_eq!(seen(&sandbox, "on-recovered", "EXIT"), ["0"]);
    assert_eq!(seen(&sandbox, "on-new-mail", "NEW"), ["1"]);
    assert_eq!(seen(&sandbox, "on-trouble", "EXIT").len(), 1);
}

#[test]
fn messages_that_fail_are_handed_to_a_hook() {
    let lines = all_hooks() + "deliver = { pipe = [\"sh\", \"-c\", \"test -e ~/ok\"] }";
    let (_server, sandbox) = set_up(numbered([message("one")]), &lines);
    for _ in 0..3 {
        sandbox.run([""; 0]).exits(75);
    }
    assert_eq!(seen(&sandbox, "on-trouble", "FAILED"), ["1"]);
    sandbox.write("ok", "");
    sandbox.run(["work"]).succeeds();
    assert_eq!(seen(&sandbox, "on-recovered", "NEW"), ["1"]);
}

#[test]
fn a_hook_that_fails_is_a_warning() {
    let lines = "before-run = [\"/nowhere/program\"]\n\
                 on-new-mail = \"echo; echo 'no \\\\033[1mspace' >&2; exit 3\"\n"
        .to_owned();
    let (_server, sandbox) = set_up(numbered([message("one")]), &(lines + DELIVER));
    let run = sandbox.run([""; 0]);
    run.succeeds().complains("before-run cannot be run").complains("on-new-mail exited with 3 (\"no ");
    run.never_says("\u{1b}");
}

#[test]
fn a_signal_cuts_the_time_of_a_hook_short() {
    let lines = "on-new-mail = \"echo > ~/begun; sleep 100\"\n".to_owned() + DELIVER;
    let (_server, sandbox) = set_up(numbered([message("one")]), &lines);
    let running = sandbox.popfetch([""; 0]).start();
    let until = Instant::now() + Duration::from_secs(30);
    while !sandbox.path("begun").exists() {
        assert!(Instant::now() < until, "it never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::TERM);
    running.finish().dies_by(Signal::TERM).complains("on-new-mail was stopped");
}

#[test]
fn hooks_run_as_the_owner_of_the_account() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: running programs as another user needs root");
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::with("me", "secret", numbered([message("one")]));
    let sandbox = Sandbox::new();
    let lines = "owner = \"nobody\"\nbefore-run = \"id -un >&2; exit 1\"\non-new-mail = \"id -un >&2; exit 1\"\n\
                 deliver = { pipe = [\"true\"] }";
    sandbox.config(account(&server, lines));
    for folder in [sandbox.home().parent().unwrap(), &sandbox.home()] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).unwrap();
    }
    let run = sandbox.run([""; 0]);
    run.succeeds().complains("before-run exited with 1 (\"nobody\")");
    run.complains("on-new-mail exited with 1 (\"nobody\")");
}
