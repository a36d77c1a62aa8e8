//! `popfetch check`: how much is new, at the cost of an idle poll, and nothing is fetched, marked or changed.

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::mailbox::{
    DELETE, IN_CLEAR, Served, change_memory, good, only_looks, remembered, section, serve, small,
};
use crate::support::relay::Line;
use crate::support::sandbox::Run;
use crate::support::server::{Message, Options, Retrieved, Server};

/// `check` with these arguments.  No file changes but by a refused login, and nothing is retrieved or deleted.
#[track_caller]
fn check(served: &Served, arguments: &[&str]) -> Run {
    let before = served.sandbox.files();
    let run = only_looks(served, || served.sandbox.run(["check"].iter().chain(arguments)));
    assert_eq!(served.sandbox.files(), before, "{}", run.shown());
    run
}

/// The commands of the last session.
fn commands(served: &Served) -> Vec<String> {
    served.server.commands(served.server.sessions())
}

fn new(name: &str) -> Message {
    Message::new(name, format!("Subject: {name}\r\nMessage-ID: <{name}@example.org>\r\n\r\nx\r\n"))
}

#[test]
fn before_the_first_run_everything_is_new_and_no_state_is_left() {
    let served = serve(good(small(3)), "");
    check(&served, &[]).looks_like("check").says("3 new, 1.1 KiB (3 messages on the server)\n");
    assert!(!served.sandbox.state().exists() && !served.path().exists());
    let empty = serve(good(small(0)), "");
    check(&empty, &[]).exits(1).says("nothing new (0 messages on the server)\n");
}

#[test]
fn nothing_new_costs_what_an_idle_poll_costs() {
    let served = serve(Options { line: Some(Line::default()), ..good(small(3)) }, "");
    served.fetch().succeeds();
    let relay = served.server.relay().unwrap();
    let before = relay.waits();
    check(&served, &[]).exits(1).says("nothing new (3 messages on the server)\n");
    let waits = relay.waits() - before;
    assert!(waits <= 3, "{waits} waits");
    assert_eq!(commands(&served), ["USER me", "PASS secret", "STAT", "UIDL 1", "UIDL 3", "QUIT"]);
}

#[test]
fn what_has_come_is_counted_until_it_is_fetched() {
    let served = serve(good(small(2)), "");
    served.fetch().succeeds();
    served.server.add("me", [new("a"), new("b")]);
    for _ in 0..2 {
        check(&served, &[]).succeeds().says("2 new, ");
        assert_eq!(check(&served, &["--count"]).succeeds().out(), "2\n");
    }
    served.fetch().succeeds();
    assert_eq!(check(&served, &["--count"]).exits(1).out(), "0\n");
}

/// What failed has been reported; what a limit leaves is new, and so is what is too large until it's reported.
#[test]
fn what_a_run_has_reported_is_not_new() {
    let refused = Message::new("refused", "x\r\n").refused("-ERR gone");
    let large = Message::new("large", "x\r\n").claiming(5000);
    let served =
        serve(good([new("a"), large, new("b"), refused]), "max-message-size = 4000\nmax-messages = 1");
    check(&served, &["--count"]).succeeds().says("4\n");
    served.fetch().succeeds();
    check(&served, &["--count"]).succeeds().says("2\n");
    served.fetch().succeeds();
    check(&served, &["--count"]).succeeds().says("1\n");
    served.fetch().exits(75);
    check(&served, &["--count"]).exits(1).says("0\n");
}

/// The server has renumbered: headers show that all is known.
#[test]
fn known_mail_under_other_unique_ids_is_not_new() {
    let body =
        |name: &str| format!("Received: by x\r\nSubject: {name}\r\nMessage-ID: <{name}@x>\r\n\r\n{name}\r\n");
    let served = serve(good(["a", "b", "c"].map(|name| Message::new(name, body(name)))), "");
    served.fetch().succeeds();
    served.server.replace("me", ["a", "b", "c"].map(|name| Message::new(format!("n{name}"), body(name))));
    check(&served, &[]).exits(1).says("nothing new (3 messages on the server)");
    assert!(commands(&served).contains(&"TOP 3 0".to_owned()));
    // It has looked at headers: at QUIT a server may count that as retrieved.
    assert!(!commands(&served).contains(&"QUIT".to_owned()), "{:?}", commands(&served));
}

#[test]
fn a_server_that_deletes_what_was_looked_at_keeps_it() {
    let mut options = good(small(2)).without("UIDL");
    options.retrieved = Retrieved::Deleted;
    options.after_login.push("EXPIRE 0".to_owned());
    let served = serve(options, DELETE);
    check(&served, &[]).succeeds().says("2 new");
}

#[test]
fn several_accounts_in_their_order_and_the_worst_code() {
    let served = serve(good(small(1)), "");
    let idle = Server::start(good(small(0)));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let deliver = |name: &str| format!("{IN_CLEAR}deliver = {{ maildir = \"~/{name}\" }}");
    let [one, two, three] = [("home", served.server.port()), ("grandma", idle.port()), ("dead", gone)]
        .map(|(name, port)| section(name, port, &deliver(name)));
    served.sandbox.config(format!("{one}{two}"));
    let run = check(&served, &[]);
    assert_eq!(
        run.succeeds().out(),
        "home     1 new, 400 octets (1 message on the server)\ngrandma  nothing new (0 messages on the server)\n"
    );
    check(&served, &["grandma"]).exits(1);
    served.sandbox.config(format!("{three}{one}{two}"));
    let run = check(&served, &[]);
    run.looks_like("check-accounts").exits(75).complains("account \"dead\": ");
    let run = check(&served, &["--count"]);
    assert_eq!(run.exits(75).out(), "1\n");
    assert_eq!(check(&served, &["--count", "dead"]).exits(75).out(), "");
    check(&served, &["nobody"]).exits(64);
}

#[test]
fn an_object_for_each_account() {
    let served = serve(good(small(2)), "");
    let objects = |run: &Run| -> Vec<Value> {
        run.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let run = check(&served, &["--json"]);
    run.succeeds();
    let mut found = objects(&run);
    assert!(found[0]["time"].as_str().unwrap().ends_with('Z'), "{}", run.shown());
    found[0]["time"] = Value::Null;
    let expected = json!({
        "v": 1, "account": "me", "type": "check", "new": 2, "octets": 800, "listed": 2, "time": null,
        "remembered": false, "exit": 0, "error": null,
    });
    assert_eq!(found, [expected]);
    served.configure(1, "");
    let run = check(&served, &["--json"]);
    let found = objects(run.exits(75));
    let expected = json!(["check", null, null, null, null, 75]);
    assert_eq!(
        json!(["type", "new", "octets", "listed", "time", "exit"].map(|name| &found[0][name])),
        expected
    );
    assert!(found[0]["error"]["message"].as_str().unwrap().contains("127.0.0.1:1"), "{}", run.shown());
}

#[test]
fn what_the_last_run_found_is_taken_if_it_is_young_enough() {
    let served = serve(good(small(2)), "");
    // Nothing is known.
    check(&served, &["--max-age", "5m"]).succeeds().says("2 new");
    served.fetch().succeeds();
    let sessions = served.server.sessions();
    check(&served, &["--max-age", "5m"]).exits(1).says("nothing new (2 messages on the server)");
    let run = check(&served, &["--max-age", "5m", "--json"]);
    assert!(run.out().contains("\"remembered\":true"), "{}", run.shown());
    assert_eq!(served.server.sessions(), sessions, "the server was asked");
    served.server.add("me", [new("a")]);
    check(&served, &["--max-age", "0s"]).succeeds().says("1 new");
    // A run that failed shows nothing.
    served.fetch().succeeds();
    let refusal = ("PASS".to_owned(), b"-ERR [SYS/TEMP] later\r\n".to_vec());
    served.server.change(|options| options.instead.push(refusal));
    served.fetch().exits(75);
    served.server.change(|options| options.instead.clear());
    served.server.add("me", [new("b")]);
    check(&served, &["--max-age", "5m"]).succeeds().says("1 new");
}

#[test]
fn what_a_limit_left_is_new_by_the_last_runs_word() {
    let served = serve(good(small(3)), "max-messages = 1");
    served.fetch().succeeds();
    let sessions = served.server.sessions();
    check(&served, &["--max-age", "5m"]).succeeds().says("2 new (3 messages on the server)\n");
    assert_eq!(served.server.sessions(), sessions, "the server was asked");
}

/// The server never answers; the mailbox's lock is held.
#[test]
fn the_last_runs_word_needs_neither_network_nor_lock() {
    let served = serve(good(small(2)), "");
    served.fetch().succeeds();
    let files = served.sandbox.files();
    let lock = files.keys().find(|path| path.ends_with("lock")).unwrap();
    let lock = std::fs::File::open(served.sandbox.path(lock)).unwrap();
    lock.lock().unwrap();
    check(&served, &["--max-age", "5m"]).exits(1);
}

#[test]
fn a_run_at_work_is_waited_for() {
    let served = serve(good(small(2)), "");
    served.fetch().succeeds();
    let files = served.sandbox.files();
    let path = served.sandbox.path(files.keys().find(|path| path.ends_with("lock")).unwrap());
    let lock = std::fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let run = check(&served, &[]);
    run.exits(75).complains("another popfetch is at work in this mailbox").complains("try again");
    assert!(run.elapsed.as_secs() >= 5);
    let waiting = served.sandbox.popfetch(["check"]).start();
    drop(lock);
    waiting.finish().exits(1);
    // While it looks, it doesn't have the lock.
    let (hold, held) = channel::<()>();
    let (arrived, arrival) = channel::<()>();
    let held = Mutex::new(held);
    served.server.change(|options| {
        options.hook = Some(Arc::new(move |moment| {
            if moment.command == "STAT" {
                arrived.send(()).unwrap();
                let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(20));
            }
        }));
    });
    let looking = served.sandbox.popfetch(["check"]).start();
    arrival.recv_timeout(Duration::from_secs(20)).unwrap();
    let lock = std::fs::File::open(&path).unwrap();
    lock.try_lock().expect("check holds the lock");
    drop((lock, hold));
    looking.finish().exits(1);
}

/// Whoever looks each minute doesn't hammer the server with a password that it refuses.
#[test]
fn a_refused_login_is_not_tried_again_for_a_while() {
    let served = serve(good(small(1)), "");
    served.fetch().succeeds();
    served.sandbox.config(section(
        "me",
        served.server.port(),
        "tls = \"none\"\npassword = \"wrong\"\ndeliver = { maildir = \"~/mail\" }",
    ));
    served.sandbox.run(["check", "me"]).exits(77).complains("[AUTH]");
    let sessions = served.server.sessions();
    check(&served, &["me"]).exits(77).complains("not tried again before");
    assert_eq!(served.server.sessions(), sessions);
    assert_eq!(remembered(&served.sandbox)["pause"]["refusals"], 1);
    // A run is paused by it, too.
    served.sandbox.run(["-q"]).exits(77);
    assert_eq!(served.server.sessions(), sessions);
    change_memory(&served.sandbox, |memory| memory["pause"] = Value::Null);
    served.sandbox.run(["check", "me"]).exits(77);
    assert_eq!(served.server.sessions(), sessions + 1);
}
