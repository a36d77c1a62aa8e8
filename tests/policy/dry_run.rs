//! `--dry-run`: a plan with a reason for each message, and nothing changes anywhere.

use std::collections::BTreeMap;

use super::{DAY, INTO_MAILDIR, age, leaving, message, messages};
use crate::destinations::{account, set_up};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, Server, numbered};

/// A dry run, which must leave every file and the server as they are.
#[track_caller]
fn plan(server: &Server, sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let (before, sessions, ids) = (sandbox.files(), server.sessions(), server.unique_ids("me"));
    let arguments: Vec<&str> = ["--dry-run"].iter().chain(arguments).copied().collect();
    let run = sandbox.run(&arguments);
    assert_eq!(sandbox.files(), before, "{}", run.shown());
    assert_eq!(server.unique_ids("me"), ids);
    let commands: Vec<String> = (sessions + 1..=server.sessions()).flat_map(|n| server.commands(n)).collect();
    let changes = |command: &&String| command.starts_with("RETR") || command.starts_with("DELE");
    assert_eq!(commands.iter().find(changes), None);
    run
}

/// What it shows of each message: action and reason by unique-id.
fn reasons(run: &Run) -> BTreeMap<String, (String, String)> {
    let text = run.out();
    let rows = text.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    let row = |line: &str| {
        let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
        let mut next = || columns.next().unwrap_or_default().to_owned();
        let (_, unique_id, _) = (next(), next(), next());
        (unique_id, (next(), next()))
    };
    rows.map(row).collect()
}

#[track_caller]
fn says(run: &Run, expected: &[(&str, &str, &str)]) {
    run.succeeds();
    let expected: BTreeMap<String, (String, String)> = expected
        .iter()
        .map(|(id, action, why)| ((*id).to_owned(), ((*action).to_owned(), (*why).to_owned())))
        .collect();
    assert_eq!(reasons(run), expected, "{}", run.shown());
}

#[test]
fn dry_run_before_the_first_run_leaves_no_state() {
    let (server, sandbox) = leaving("false", &[400, 500]);
    let run = plan(&server, &sandbox, &[]);
    says(&run, &[("uid-1", "retrieve", "new"), ("uid-2", "retrieve", "new")]);
    run.says("would retrieve 2 messages (900 octets), compare 0, delete 0, leave 0");
    assert!(!sandbox.state().exists() && !sandbox.path("Mail").exists() && !sandbox.path(".local").exists());
}

#[test]
fn every_decision_has_its_reason() {
    let limits = "max-message-size = \"3K\"\nmax-messages = 2\n";
    let lines = format!("{INTO_MAILDIR}{limits}leave-on-server = {{ days = 10, newest = 2 }}");
    let (server, sandbox) = set_up(numbered(messages(&[400, 401])), &lines);
    sandbox.run([""; 0]).succeeds();
    age(&sandbox, 11 * DAY);
    let sized = |id: &str, size| Message::new(id, crate::support::mail::message(50, size));
    server.add("me", [sized("large", 4000), sized("new-1", 400), sized("new-2", 402), sized("new-3", 403)]);
    let run = plan(&server, &sandbox, &[]);
    says(
        &run,
        &[
            ("uid-1", "delete", "delivered longer ago than leave-on-server's days"),
            ("uid-2", "delete", "delivered longer ago than leave-on-server's days"),
            ("large", "leave", "larger than max-message-size"),
            ("new-1", "retrieve", "new"),
            ("new-2", "retrieve", "new"),
            ("new-3", "leave", "max-messages reached"),
        ],
    );
    says(
        &plan(&server, &sandbox, &["--delete", "--all"]),
        &[
            ("uid-1", "retrieve", "--all"),
            ("uid-2", "retrieve", "--all"),
            ("large", "leave", "larger than max-message-size"),
            ("new-1", "leave", "max-messages reached"),
            ("new-2", "leave", "max-messages reached"),
            ("new-3", "leave", "max-messages reached"),
        ],
    );
    let kept = plan(&server, &sandbox, &["--keep"]);
    assert_eq!(reasons(&kept)["uid-1"], ("leave".to_owned(), "delivered before".to_owned()));
    // What it showed is what is then done.
    sandbox.run([""; 0]).succeeds();
    assert_eq!(server.unique_ids("me"), ["large", "new-1", "new-2", "new-3"]);
    assert_eq!(server.count("RETR"), 4);
}

#[test]
fn each_limit_is_named_in_the_plan() {
    let cases = [
        (
            "false",
            [
                ("uid-1", "delete", "delivered, and leave-on-server is false"),
                ("uid-2", "delete", "delivered, and leave-on-server is false"),
            ],
        ),
        (
            "{ newest = 1 }",
            [
                ("uid-1", "delete", "not among leave-on-server's newest"),
                ("uid-2", "leave", "delivered before"),
            ],
        ),
        (
            "{ total-size = 600 }",
            [
                ("uid-1", "delete", "beyond leave-on-server's total-size"),
                ("uid-2", "leave", "delivered before"),
            ],
        ),
        (
            "{ larger-than = 450 }",
            [
                ("uid-1", "leave", "delivered before"),
                ("uid-2", "delete", "delivered, and larger than leave-on-server's larger-than"),
            ],
        ),
        ("true", [("uid-1", "leave", "delivered before"), ("uid-2", "leave", "delivered before")]),
    ];
    for (policy, expected) in cases {
        let (server, sandbox) = leaving(policy, &[400, 500]);
        sandbox.run(["--keep"]).succeeds();
        says(&plan(&server, &sandbox, &[]), &expected);
    }
}

#[test]
fn what_has_to_be_looked_at_is_said_to_be_compared() {
    let (server, sandbox) = leaving("true", &[400, 500]);
    sandbox.run([""; 0]).succeeds();
    // The same unique-id with another size, and another message behind it.
    let [first, _] = &server.maildrop("me")[..] else { panic!() };
    let other = Message::new("uid-2", crate::support::mail::message(9, 700));
    // Sizes are asked for when anything is new.
    server.replace("me", [first.clone(), other, message("new")]);
    let run = plan(&server, &sandbox, &[]);
    let found = reasons(&run);
    assert_eq!(found["uid-1"].0, "leave");
    assert!(["compare", "retrieve"].contains(&&*found["uid-2"].0), "{}", run.shown());
    assert_eq!(found["uid-2"].1, "known unique-id, but its size has changed");
    // No unique-ids at all.
    let options = crate::support::server::Options::with("me", "secret", [message("x")]).without("UIDL");
    let server = Server::start(options);
    let sandbox = Sandbox::new();
    sandbox.config(account(&server, &format!("{INTO_MAILDIR}leave-on-server = false")));
    says(&plan(&server, &sandbox, &[]), &[("-", "compare", "has no unique-id")]);
}

/// Whatever a run that died has left, a dry run leaves it as it is; the next run puts it right.
#[test]
#[cfg(feature = "crash-points")]
fn open_intents_of_a_crashed_run_stay_open() {
    let destinations =
        "deliver = [{ maildir = \"~/Mail\" }, { mbox = \"~/inbox\" }]\nleave-on-server = false";
    let mut step = 1;
    loop {
        let (server, sandbox) = set_up(numbered(messages(&[400, 500])), destinations);
        let crashed = sandbox.popfetch([""; 0]).crash_at(step).run().crashed();
        if !crashed {
            assert!(step > 20, "crash points work");
            return;
        }
        plan(&server, &sandbox, &[]).succeeds();
        sandbox.run([""; 0]).succeeds();
        assert_eq!(server.unique_ids("me"), [""; 0], "step {step}");
        assert_eq!(super::delivered(&sandbox), 2, "step {step}");
        assert_eq!(crate::support::mailboxes::mbox(&sandbox.path("inbox")).len(), 2, "step {step}");
        step += 3;
    }
}

#[test]
fn the_plan_of_several_accounts_names_each() {
    let (one, sandbox) = leaving("true", &[400]);
    let other = Server::with("me", "secret", [message("b")]);
    let second =
        account(&other, "deliver = { maildir = \"~/Other\" }").replace("accounts.work", "accounts.home");
    sandbox.config(format!("{}{second}", account(&one, INTO_MAILDIR)));
    let run = plan(&one, &sandbox, &[]);
    run.succeeds().says("work  1  uid-1").says("home  1  b").says("work  would retrieve 1 message");
}
