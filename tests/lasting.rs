//! What is wrong although a run goes on, run after run: it counts in the exit code, and stands in the account's line.
//! `--quiet` reports it once it has lasted, again after `remind-after`, and when it is over.

use std::fs::{File, FileTimes, TryLockError};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::mailbox::{Served, change_memory, good, move_back, remembered, serve};
use crate::support::mail;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, Options, Retrieved, numbered};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn messages(count: u64) -> Vec<Message> {
    numbered((1..=count).map(|n| mail::message(n, 400)))
}

/// Messages of which the server refuses the second.
fn one_refused() -> Vec<Message> {
    let mut messages = messages(3);
    messages[1] = messages[1].clone().refused("-ERR cannot read it");
    messages
}

/// A file in the mailbox's directory.
fn state(sandbox: &Sandbox, name: &str) -> PathBuf {
    let ledger = sandbox.files().into_keys().find(|path| path.ends_with("ledger")).unwrap();
    sandbox.path(ledger).with_file_name(name)
}

/// Moves the times of what lasts back, as if these seconds had passed.
fn pass(sandbox: &Sandbox, seconds: u64) {
    change_memory(sandbox, |memory| {
        let alerts = memory["alerts"].as_object_mut().unwrap();
        assert!(!alerts.is_empty(), "nothing lasts");
        let seconds = i64::try_from(seconds).unwrap();
        alerts.values_mut().for_each(|alert| move_back(alert, &["since", "reported"], seconds));
    });
}

/// The last object of a run with `--json`.
fn account(run: &Run) -> Value {
    serde_json::from_str(run.out().lines().last().unwrap()).unwrap()
}

/// It is silent under `--quiet` until it has lasted, then reported, reported again after a week, and its end is
/// reported. Without `--quiet` it is always reported.
#[track_caller]
fn is_reported_like_a_failure_that_lasts(served: &Served, code: i32, words: &str, over: impl FnOnce()) {
    let sandbox = &served.sandbox;
    let quiet = || sandbox.run(["--quiet"]);
    quiet().exits(code).is_silent();
    pass(sandbox, HOUR - 60);
    quiet().exits(code).is_silent();
    sandbox.run([""; 0]).exits(code).complains(words);
    pass(sandbox, 60);
    quiet().exits(code).complains("account \"me\": ").complains(words);
    quiet().exits(code).is_silent();
    sandbox.run([""; 0]).exits(code).complains(words);
    pass(sandbox, 7 * DAY - 60);
    quiet().exits(code).is_silent();
    pass(sandbox, 60);
    quiet().exits(code).complains(words);
    quiet().exits(code).is_silent();
    over();
    quiet().succeeds().complains("me: the failure since ").complains("is over");
    quiet().succeeds().is_silent();
}

// ---- messages that failed --------------------------------------------------------------------------------------

#[test]
fn waiting_message_counts_and_its_next_try_is_shown() {
    let served = serve(good(one_refused()), "");
    served.fetch().exits(75).complains("message 2 failed").complains(" failed, tried again at the next run");
    served.fetch().exits(75).complains(" failed, next try ");
    // It waits now, and the maildrop is as it was left: by a full listing, and by quick polls.
    for run in 0..3 {
        let poll = served.fetch();
        poll.exits(75).complains("nothing delivered  3 kept on the server, 1 message failed, next try ");
        poll.never_says("nothing new");
        let json = served.sandbox.run(["--json"]);
        json.exits(75);
        let object = account(&json);
        assert_eq!(json!([object["failed"], object["exit"], object["error"]]), json!([1, 75, null]), "{run}");
        assert_eq!(object["conditions"][0]["kind"], "messages-failed");
    }
    assert!(served.server.commands(8).contains(&"STAT".to_owned()), "{:?}", served.server.commands(8));
    assert_eq!(served.server.count("RETR 2"), 2);
}

#[test]
fn naming_the_account_tries_a_message_that_backs_off() {
    let served = serve(good(one_refused()), "");
    for _ in 0..4 {
        served.fetch().exits(75);
    }
    assert_eq!(served.server.count("RETR 2"), 2);
    served.sandbox.run(["me"]).exits(75).complains("message 2 failed").complains("cannot read it");
    assert_eq!(served.server.count("RETR 2"), 3);
    served.server.replace("me", messages(3));
    served.sandbox.run(["me"]).succeeds().complains("1 new, ");
    served.sandbox.run(["-v"]).succeeds().complains("nothing new  3 kept on the server");
}

#[test]
fn message_refused_for_good_is_not_a_success_later() {
    let served = serve(good(messages(1)), "");
    let program = served.sandbox.script("mda", "cat >/dev/null; exit 67");
    served.configure(
        served.server.port(),
        &format!("deliver = {{ pipe = [\"{}\"] }}\nleave-on-server = false", program.display()),
    );
    served.fetch().exits(75);
    for _ in 0..3 {
        served.fetch().exits(75).complains(" failed, next try ");
    }
    assert_eq!(served.server.unique_ids("me"), ["uid-1"]);
}

#[test]
fn a_message_that_fails_for_a_week_is_reported_again() {
    let served = serve(good(one_refused()), "remind-after = \"2d\"");
    let quiet = || served.sandbox.run(["--quiet"]);
    quiet().exits(75).complains("message 2 failed").complains("cannot read it");
    for _ in 0..3 {
        quiet().exits(75).is_silent();
    }
    pass(&served.sandbox, 2 * DAY - 60);
    quiet().exits(75).is_silent();
    pass(&served.sandbox, 60);
    let run = quiet();
    run.exits(75).complains("account \"me\": 1 message failed, next try ");
    assert_eq!(run.err().lines().count(), 1, "{}", run.shown());
    quiet().exits(75).is_silent();
    // Another one is news at once.
    served.server.add("me", [Message::new("another", mail::message(9, 400)).refused("-ERR nor this")]);
    quiet().exits(75).complains("message 4 failed").complains("nor this");
    quiet().exits(75).is_silent();
}

/// Gmail: what failed before is tried in a session of its own.
#[test]
fn a_message_whose_own_session_is_refused_counts() {
    let google = ["EXPIRE 0", "X-GOOGLE-RICO"];
    let mut options = Options { window: Some(3), retrieved: Retrieved::Popped, ..good(one_refused()) };
    options.before_login.extend(google.map(str::to_owned));
    let served = serve(options.expiring(google), "");
    served.fetch().exits(75).complains(" failed, tried again at the next run");
    let sessions = served.server.sessions();
    served.server.change(|options| {
        options.instead_session = Some(sessions + 2);
        options.instead.push(("PASS".into(), b"-ERR [LOGIN-DELAY] wait\r\n".to_vec()));
    });
    served.fetch().exits(75).complains(" failed, tried again at the next run");
    assert!(served.server.sessions() >= sessions + 2);
    served.server.change(|options| (options.instead_session, options.instead) = (None, Vec::new()));
    served.server.replace("me", messages(3));
    served.fetch().succeeds();
    served.holds((1..=3).map(|n| mail::stored(&mail::message(n, 400))));
}

#[test]
fn failing_message_without_unique_id_is_reported_once() {
    for keys in ["leave-on-server = false", "leave-on-server = true"] {
        let served = serve(good(one_refused()).without("UIDL"), keys);
        let quiet = || served.sandbox.run(["--quiet"]);
        quiet().exits(75).complains("message 2 failed").complains("cannot read it");
        quiet().exits(75).is_silent();
        served
            .fetch()
            .exits(75)
            .complains("cannot read it")
            .complains(" failed, tried again at the next run");
        pass(&served.sandbox, 7 * DAY);
        quiet().exits(75).complains("account \"me\": 1 message failed");
    }
}

#[test]
fn mail_lacking_only_a_removed_destination_counts() {
    let both = "deliver = [{ maildir = \"~/mail\" }, { pipe = [\"false\"] }]";
    let served = serve(good(messages(2)), both);
    served.fetch().exits(75).complains("2 messages failed, ");
    served.configure(served.server.port(), "");
    let run = served.fetch();
    run.exits(75).complains("2 messages still to be delivered to a destination that isn't configured now: ");
    run.complains("false").complains("hint: configure it again");
    let json = served.sandbox.run(["--json", "--quiet"]);
    json.exits(75);
    let object = account(&json);
    assert_eq!(json!([object["failed"], object["conditions"][0]["kind"]]), json!([2, "destination-gone"]));
    served.configure(served.server.port(), "");
    std::fs::remove_file(state(&served.sandbox, "memory")).unwrap();
    is_reported_like_a_failure_that_lasts(&served, 75, "a destination that isn't configured now", || {
        served.server.replace("me", []);
    });
}

// ---- deletions -------------------------------------------------------------------------------------------------

#[test]
fn deletions_that_are_refused_for_ever_are_reported() {
    let served = serve(good(messages(40)).instead("DELE", "-ERR not here\r\n"), "leave-on-server = false");
    let run = served.fetch();
    run.exits(75).complains("the server did not delete 40 messages: not here (hint: ");
    assert_eq!(run.err().lines().count(), 2, "one report, not 40: {}", run.shown());
    std::fs::remove_file(state(&served.sandbox, "memory")).unwrap();
    is_reported_like_a_failure_that_lasts(&served, 75, "did not delete 40 messages: not here", || {
        served.server.change(|options| options.instead.clear());
    });
}

#[test]
fn quit_refused_in_every_run_is_reported() {
    let served = serve(
        good(messages(3)).instead("QUIT", "-ERR some deleted messages not removed\r\n"),
        "leave-on-server = false",
    );
    // Once is no failure: the next listing decides.
    served.sandbox.run(["--quiet"]).succeeds().is_silent();
    let words = "did not confirm the deletion of 3 messages: some deleted messages not removed";
    is_reported_like_a_failure_that_lasts(&served, 75, words, || {
        served.server.change(|options| options.instead.clear());
    });
}

#[test]
fn confirmed_deletions_that_do_not_happen_are_reported() {
    let served = serve(good(messages(3)).instead("DELE", "+OK gone\r\n"), "leave-on-server = false");
    served.fetch().succeeds();
    // They may have come back from a backup, once.
    served.fetch().succeeds().complains("3 messages that the server confirmed as deleted are listed again");
    let words = "3 messages that the server confirmed as deleted";
    std::fs::remove_file(state(&served.sandbox, "memory")).unwrap();
    served.sandbox.run(["--quiet"]).succeeds().is_silent();
    is_reported_like_a_failure_that_lasts(&served, 75, words, || {
        served.server.change(|options| options.instead.clear());
        served.sandbox.run(["--quiet"]).exits(75);
    });
}

/// `total-size` has nothing to add up where no size is known.
#[test]
fn a_policy_that_a_refused_list_stops_is_reported() {
    let policy = "leave-on-server = { total-size = \"1K\" }";
    let served = serve(good(messages(3)).instead("LIST", "-ERR no\r\n"), policy);
    let words = "leave-on-server's total-size has no effect";
    served.fetch().exits(75).complains(words).complains("hint: ");
    std::fs::remove_file(state(&served.sandbox, "memory")).unwrap();
    is_reported_like_a_failure_that_lasts(&served, 75, words, || {
        served.server.change(|options| options.instead.clear());
    });
}

/// Nothing can be deleted that is believed only when its session has ended.
#[test]
fn a_policy_that_no_answer_of_the_server_allows_is_reported() {
    for policy in ["false", "{ newest = 1 }"] {
        let mut options = good(messages(3)).instead("STAT", "-ERR no\r\n");
        for number in 1..=3 {
            for verb in ["UIDL", "LIST"] {
                options = options.instead(&format!("{verb} {number}"), "-ERR no\r\n");
            }
        }
        let served = serve(options, &format!("leave-on-server = {policy}"));
        for _ in 0..2 {
            served.fetch().exits(75).complains("leave-on-server has no effect: ").complains("hint: ");
            assert_eq!((served.messages().len(), served.server.maildrop("me").len()), (3, 3), "{policy}");
        }
        served.configure(served.server.port(), "leave-on-server = true");
        served.fetch().succeeds();
    }
}

/// No size is known before the message comes: it comes, rather than stay for ever.
#[test]
fn a_max_message_size_that_a_refused_list_stops_is_reported() {
    let served = serve(good(messages(3)).instead("LIST", "-ERR no\r\n"), "max-message-size = \"10\"");
    served.fetch().exits(75).complains("max-message-size has no effect: ").complains("hint: ");
    assert_eq!(served.messages().len(), 3);
    served.fetch().succeeds();
}

/// A newer version's, or what is reported once in a mailbox's life.
#[test]
fn what_is_no_failure_is_not_reported_to_be_over() {
    let served = serve(good(messages(1)), "");
    served.fetch().succeeds();
    let note = json!({ "since": 1_700_000_000, "reported": 1_700_000_000, "lasting": null });
    change_memory(&served.sandbox, |memory| memory["alerts"]["folder-data"] = note.clone());
    for _ in 0..2 {
        served.sandbox.run(["--quiet"]).succeeds().is_silent();
    }
    assert_eq!(remembered(&served.sandbox)["alerts"]["folder-data"], note);
}

// ---- the mailbox -----------------------------------------------------------------------------------------------

#[test]
fn a_mailbox_that_is_locked_for_ever_is_reported() {
    let served = serve(good(messages(1)), "");
    served.fetch().succeeds();
    let lock = File::options().write(true).open(state(&served.sandbox, "lock")).unwrap();
    assert!(!matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
    let held_for = |seconds| {
        let since = SystemTime::now() - Duration::from_secs(seconds);
        lock.set_times(FileTimes::new().set_accessed(since)).unwrap();
    };
    let quiet = || served.sandbox.run(["--quiet"]);
    quiet().exits(75).is_silent();
    held_for(HOUR - 60);
    quiet().exits(75).is_silent();
    served.fetch().exits(75).complains("another popfetch");
    held_for(HOUR);
    quiet().exits(75).complains("another popfetch").complains("hint: ");
    quiet().exits(75).is_silent();
    drop(lock);
    quiet().succeeds().complains("is over");
    quiet().succeeds().is_silent();
    assert!(!state(&served.sandbox, "reports").exists());
}

#[test]
fn a_refused_login_is_reported_again_after_a_week() {
    let served = serve(Options::with("me", "another", []), "");
    let quiet = || served.sandbox.run(["--quiet"]);
    quiet().exits(77).complains("refused the login");
    quiet().exits(77).is_silent();
    pass(&served.sandbox, 7 * DAY - 60);
    quiet().exits(77).is_silent();
    pass(&served.sandbox, 60);
    // Though it isn't tried at this very run.
    quiet().exits(77).complains("account \"me\": ").complains("refused");
    quiet().exits(77).is_silent();
}

#[test]
fn server_away_for_weeks_is_reported_each_week() {
    let served = serve(good(messages(1)).instead("PASS", "-ERR [SYS/TEMP] x\r\n"), "");
    is_reported_like_a_failure_that_lasts(&served, 75, "refused the login", || {
        served.server.change(|options| options.instead.clear());
    });
}

// ---- sums ------------------------------------------------------------------------------------------------------

#[test]
fn thousands_of_equal_failures_are_one_line() {
    let words = "x".repeat(3000);
    // Others come through between them: where everything is refused, the server is the cause.
    let refused = |(n, message): (usize, Message)| match n % 2 {
        0 => message.refused(&format!("-ERR {words}")),
        _ => message,
    };
    let messages = messages(2000).into_iter().enumerate().map(refused);
    let served = serve(good(messages), "timeout = \"20s\"");
    for args in [&["--quiet"][..], &[]] {
        let run = served.sandbox.run(args);
        run.exits(75).complains("messages failed: the server refused it: \"xxx");
        assert!(run.err().len() < 10_000, "{} octets", run.err().len());
    }
}

#[test]
fn what_a_limit_leaves_for_the_next_run_is_said() {
    let served = serve(good(messages(15)), "max-messages = 3");
    served.fetch().succeeds().complains(", 12 left for the next run (max-messages)");
    let json = served.sandbox.run(["--json"]);
    json.succeeds();
    assert_eq!(account(&json)["postponed"], 9);
    served.configure(served.server.port(), "max-bytes = 1");
    served.fetch().succeeds().complains(", 8 left for the next run (max-bytes)");
    served.configure(served.server.port(), "");
    served.fetch().succeeds().never_says("left for the next run");
}

// ---- hints -----------------------------------------------------------------------------------------------------

/// Each kind of error that ends an account's run: what happened is in one field, what to do in another.
#[test]
fn a_hint_is_a_field_of_its_own() {
    let set_up = |keys: &str| {
        let served = serve(good(messages(1)), keys);
        served.sandbox.write("a-file", "x");
        served.sandbox.write("documents/letter", "x");
        served
    };
    let cases = [
        ("a refused login", "user = \"other\"\npassword = \"wrong\"", 77),
        ("no password", "password-command = \"false\"", 77),
        ("no password file", "password-file = \"~/missing\"", 78),
        ("a file for a Maildir", "deliver = { maildir = \"~/a-file\" }", 73),
        ("a Maildir in nothing", "deliver = { maildir = \"~/no/such/place\" }", 73),
        ("a folder that is not a Maildir", "deliver = { maildir = \"~/documents\" }", 73),
        ("a silent server", "", 75),
    ];
    for (name, keys, code) in cases {
        let served = set_up("");
        match name {
            "a silent server" => served.server.change(|options| {
                options.instead.push(("PASS".into(), b"-ERR [SYS/TEMP] x\r\n".to_vec()));
            }),
            _ => configure(&served, keys),
        }
        let run = served.sandbox.run(["--json"]);
        assert_eq!(run.code(), Some(code), "{name}: {}", run.shown());
        let error = account(&run)["error"].take();
        let message = error["message"].as_str().unwrap_or_else(|| panic!("{name}: {}", run.shown()));
        assert!(!message.contains("hint:"), "{name}: {message}");
        assert!(error["hint"].is_string(), "{name}: {error}");
        assert!(!run.out().contains("hint:"), "{name}: {}", run.out());
    }
}

/// The keys in the place of those that a mailbox has.
fn configure(served: &Served, keys: &str) {
    let own = |key: &str| keys.contains(&format!("{key} = ")) || keys.contains(&format!("{key}-"));
    let mut lines = format!(
        "[accounts.me]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nauth = \"user-pass\"\n",
        served.server.port()
    );
    for (key, value) in
        [("user", "\"me\""), ("password", "\"secret\""), ("deliver", "{ maildir = \"~/mail\" }")]
    {
        if !own(key) {
            lines += &format!("{key} = {value}\n");
        }
    }
    served.sandbox.config(format!("{lines}{keys}\n"));
}
