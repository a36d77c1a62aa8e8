//! `--json` from outside: what a program that reads standard output gets.

use serde_json::{Value, json};

use crate::mailbox::{good, serve};
use crate::support::mail;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, Server, numbered};

fn messages() -> Vec<Message> {
    numbered((1..=3).map(|n| mail::message(n, 2000)))
}

/// Every line, an object of this format.
fn objects(run: &Run) -> Vec<Value> {
    let objects: Vec<Value> = run.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(objects.iter().all(|object| object["v"] == 1), "{}", run.shown());
    objects
}

/// The fields that a test can know.
fn fields<'a>(object: &'a Value, names: &[&str]) -> Vec<&'a Value> {
    names.iter().map(|name| &object[*name]).collect()
}

#[test]
fn a_run_is_an_object_for_each_account() {
    let served = serve(good(messages()), "leave-on-server = false");
    let run = served.sandbox.run(["--json", "--quiet"]);
    run.succeeds();
    assert_eq!(run.err(), "");
    let objects = objects(&run);
    assert_eq!(objects.len(), 4, "{}", run.shown());
    let octets: usize = (1..=3).map(|n| mail::stored(&mail::message(n, 2000)).len()).sum();
    let names =
        ["type", "account", "dry_run", "listed", "delivered", "octets", "deleted", "failed", "exit", "error"];
    let expected = json!(["account", "me", false, 3, 3, octets, 3, 0, 0, null]);
    assert_eq!(json!(fields(&objects[3], &names)), expected);
    assert!(objects[3]["elapsed"].as_f64().unwrap() > 0.0);
    run.looks_like("json-account");
}

#[test]
fn a_plan_is_an_object_for_each_message() {
    let served = serve(good(messages()), "max-message-size = 4000");
    served.fetch().succeeds();
    served.server.add("me", [Message::new("new", "new\r\n"), Message::new("large", "x").claiming(5000)]);
    let before = served.sandbox.files();
    let run = served.sandbox.run(["--json", "--dry-run"]);
    run.succeeds();
    let objects = objects(&run);
    let plan: Vec<_> = objects
        .iter()
        .map(|object| fields(object, &["type", "account", "number", "unique_id", "action", "why"]))
        .collect();
    let expected = json!([
        ["plan", "me", 1, "uid-1", "leave", "known"],
        ["plan", "me", 2, "uid-2", "leave", "known"],
        ["plan", "me", 3, "uid-3", "leave", "known"],
        ["plan", "me", 4, "new", "retrieve", "new"],
        ["plan", "me", 5, "large", "leave", "too-large"],
        ["account", "me", null, null, null, null],
    ]);
    assert_eq!(json!(plan), expected);
    assert_eq!((&objects[4]["octets"], &objects[5]["dry_run"]), (&json!(5000), &json!(true)));
    assert_eq!(served.sandbox.files(), before);
    run.looks_like("json-plan");
}

#[test]
fn a_failure_is_an_object_and_a_message_on_standard_error() {
    let refused = Message::new("b", "x\r\n").refused("-ERR it is \x1b[31mgone");
    let served = serve(good([Message::new("a", "x\r\n"), refused]), "");
    let run = served.sandbox.run(["--json"]);
    run.exits(75).complains("message 2 failed").never_says("\x1b");
    let objects = objects(&run);
    let failed = objects.iter().find(|object| object["type"] == "message-failed").unwrap();
    assert_eq!((&failed["number"], &failed["news"]), (&json!(2), &json!(true)));
    assert!(failed["reason"].as_str().unwrap().contains("\\x1b[31mgone"), "{failed}");
    let last = objects.last().unwrap();
    assert_eq!(json!(fields(last, &["type", "failed", "exit", "error"])), json!(["account", 1, 75, null]));
}

#[test]
fn each_account_has_its_own_end() {
    let sandbox = Sandbox::new();
    let server = Server::with("work", "secret", messages());
    let account = |name: &str| {
        format!(
            "[accounts.{name}]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"{name}\"\n\
             password = \"secret\"\ndeliver = {{ maildir = \"~/{name}\" }}\n",
            server.port()
        )
    };
    sandbox.config(account("work") + &account("home"));
    let run = sandbox.run(["--json"]);
    run.exits(77);
    let mut ends: Vec<Value> =
        objects(&run).into_iter().filter(|object| object["type"] == "account").collect();
    ends.sort_by_key(|object| object["account"].to_string());
    let ends: Vec<_> =
        ends.iter().map(|object| fields(object, &["type", "account", "delivered", "exit"])).collect();
    assert_eq!(json!(ends), json!([["account", "home", 0, 77], ["account", "work", 3, 0]]));
    let error = objects(&run).into_iter().find(|object| object["exit"] == 77).unwrap()["error"].take();
    assert!(error["message"].is_string() && error["hint"].is_string() && error["news"] == true, "{error}");
    run.complains(error["message"].as_str().unwrap());
}

#[test]
fn a_hint_has_a_field_of_its_own() {
    for source in ["password-command = \"exit 3\"", "password-file = \"~/none\"", "netrc = \"~/none\"", ""] {
        let sandbox = Sandbox::new();
        let account = format!(
            "[accounts.work]\nserver = \"127.0.0.1\"\ntls = \"none\"\nuser = \"me\"\n\
             deliver = {{ maildir = \"~/work\" }}\n{source}\n"
        );
        sandbox.config(account);
        let run = sandbox.run(["--json"]);
        let error = objects(&run).pop().unwrap()["error"].take();
        assert!(
            error["hint"].is_string() && !error["hint"].as_str().unwrap().is_empty(),
            "{source}: {error}"
        );
        assert!(!error["message"].as_str().unwrap().contains("hint"), "{source}: {error}");
    }
}

#[test]
fn standard_output_has_one_use() {
    let served = serve(good(messages()), "");
    let run = served.sandbox.run(["--json", "--stdout"]);
    run.exits(64).complains("which --json needs for itself").complains("hint: leave --json out");
    assert_eq!((run.out().as_str(), served.server.sessions()), ("", 0));
}
