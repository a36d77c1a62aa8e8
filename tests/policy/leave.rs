//! The leave-on-server policies.

use super::{DAY, age, delivered, leaving, message, messages, rewrite_ledger};
use crate::destinations::account;
use crate::mailbox::{change_memory, good, move_back, serve};
use crate::support::mail;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Server, numbered};

fn poll(sandbox: &Sandbox) {
    sandbox.run([""; 0]).succeeds();
}

#[track_caller]
fn left(server: &Server, expected: &[&str]) {
    assert_eq!(server.unique_ids("me"), expected);
}

#[test]
fn nothing_is_deleted_by_default() {
    for policy in ["leave-on-server = true", ""] {
        let (server, sandbox) = leaving("true", &[400, 500]);
        sandbox.config(account(&server, &format!("{}{policy}", super::INTO_MAILDIR)));
        poll(&sandbox);
        server.add("me", [message("new")]);
        poll(&sandbox);
        age(&sandbox, 29 * DAY);
        poll(&sandbox);
        assert_eq!((server.count("DELE"), server.count("RSET"), server.count("RETR")), (0, 0, 3));
        assert_eq!(delivered(&sandbox), 3);
    }
}

#[test]
fn false_deletes_what_is_delivered_and_what_was_before() {
    let (server, sandbox) = leaving("false", &[400, 500]);
    sandbox.run(["--keep"]).succeeds();
    left(&server, &["uid-1", "uid-2"]);
    server.add("me", [message("new")]);
    poll(&sandbox);
    left(&server, &[]);
    assert_eq!((server.count("RETR"), server.count("DELE"), delivered(&sandbox)), (3, 3, 3));
}

#[test]
fn newest_leaves_the_last_delivered() {
    let (server, sandbox) = leaving("{ newest = 2 }", &[400; 5]);
    poll(&sandbox);
    left(&server, &["uid-4", "uid-5"]);
    server.add("me", [message("new")]);
    poll(&sandbox);
    left(&server, &["uid-5", "new"]);
    poll(&sandbox);
    left(&server, &["uid-5", "new"]);
    assert_eq!(delivered(&sandbox), 6);
}

/// The last *delivered*, wherever the server lists them.
#[test]
fn newest_goes_by_delivery_not_by_the_listing() {
    let (server, sandbox) = leaving("{ newest = 2 }", &[400; 2]);
    poll(&sandbox);
    let [first, second] = &server.maildrop("me")[..] else { panic!() };
    server.replace("me", [message("new"), first.clone(), second.clone()]);
    poll(&sandbox);
    left(&server, &["new", "uid-2"]);
}

#[test]
fn total_size_drops_the_oldest_until_the_rest_fits() {
    let (server, sandbox) = leaving("{ total-size = 2500 }", &[1000, 1000, 1000, 1000]);
    poll(&sandbox);
    left(&server, &["uid-3", "uid-4"]);
    // What doesn't fit goes, and all that is older, however small.
    let (server, sandbox) = leaving("{ total-size = 2500 }", &[400, 3000, 1000, 1000]);
    poll(&sandbox);
    left(&server, &["uid-3", "uid-4"]);
    server.add("me", [Message::new("large", mail::message(77, 3000))]);
    poll(&sandbox);
    left(&server, &[]);
}

#[test]
fn larger_than_goes_as_soon_as_delivered() {
    let (server, sandbox) = leaving("{ larger-than = \"2K\" }", &[2049, 2048, 5000, 400]);
    poll(&sandbox);
    left(&server, &["uid-2", "uid-4"]);
    assert_eq!(delivered(&sandbox), 4);
}

#[test]
fn days_count_since_delivery() {
    let (server, sandbox) = leaving("{ days = 14 }", &[400, 500]);
    poll(&sandbox);
    age(&sandbox, 8 * DAY);
    server.add("me", [message("new")]);
    poll(&sandbox);
    left(&server, &["uid-1", "uid-2", "new"]);
    age(&sandbox, 6 * DAY - 60);
    poll(&sandbox);
    left(&server, &["uid-1", "uid-2", "new"]);
    age(&sandbox, 60);
    poll(&sandbox);
    left(&server, &["new"]);
    assert_eq!((server.count("RETR"), server.count("DELE")), (3, 2));
    age(&sandbox, 14 * DAY);
    poll(&sandbox);
    left(&server, &[]);
}

#[test]
fn any_key_of_several_deletes() {
    // 1 is too old, 2 is too large, 3 is beyond the newest (by then: 4, 5, 6); 4 doesn't fit; 5 and 6 stay.
    let (server, sandbox) =
        leaving("{ days = 14, newest = 3, total-size = \"2K\", larger-than = \"10K\" }", &[400]);
    poll(&sandbox);
    left(&server, &["uid-1"]);
    age(&sandbox, 15 * DAY);
    let more = [(2_u64, 20_000), (3, 400), (4, 1500), (5, 500), (6, 400)];
    server.add("me", more.map(|(n, size)| Message::new(format!("uid-{n}"), mail::message(n, size))));
    poll(&sandbox);
    left(&server, &["uid-5", "uid-6"]);
    assert_eq!((server.count("RETR"), server.count("DELE"), delivered(&sandbox)), (6, 4, 6));
}

/// What isn't delivered is never deleted, and doesn't count among the newest.
#[test]
fn what_failed_is_not_deleted_by_any_limit() {
    let (server, sandbox) = leaving("{ newest = 1, larger-than = \"1K\", total-size = 1 }", &[400]);
    let refused = Message::new("refused", mail::message(9, 5000)).refused("-ERR no");
    server.add("me", [refused]);
    sandbox.run([""; 0]).exits(75);
    left(&server, &["refused"]);
    sandbox.run([""; 0]);
    left(&server, &["refused"]);
}

#[test]
fn keep_and_delete_hold_for_one_run() {
    let (server, sandbox) = leaving("false", &[400]);
    sandbox.run(["--keep"]).succeeds();
    left(&server, &["uid-1"]);
    sandbox.run(["--keep"]).succeeds();
    assert_eq!(server.count("DELE"), 0);
    poll(&sandbox);
    left(&server, &[]);

    let (server, sandbox) = leaving("{ days = 30 }", &[400]);
    poll(&sandbox);
    sandbox.run(["--delete"]).succeeds();
    left(&server, &[]);
    server.add("me", [message("new")]);
    poll(&sandbox);
    left(&server, &["new"]);
    sandbox.run(["--keep", "--delete"]).exits(64);
}

#[test]
fn all_retrieves_what_was_retrieved_before() {
    let (server, sandbox) = leaving("true", &[400, 500]);
    poll(&sandbox);
    sandbox.run(["--all"]).succeeds();
    assert_eq!((server.count("RETR"), server.count("DELE"), delivered(&sandbox)), (4, 0, 4));
    poll(&sandbox);
    assert_eq!(server.count("RETR"), 4);
    sandbox.run(["--all", "--delete"]).succeeds();
    assert_eq!((server.count("RETR"), delivered(&sandbox)), (6, 6));
    left(&server, &[]);
}

/// Mail that another client deletes, or a server's own expiry, is none of our business.
#[test]
fn what_is_gone_already_is_not_deleted() {
    let (server, sandbox) = leaving("{ newest = 1 }", &[400, 500, 600]);
    sandbox.run(["--keep"]).succeeds();
    let rest = server.maildrop("me").split_off(1);
    server.replace("me", rest);
    poll(&sandbox);
    left(&server, &["uid-3"]);
    assert_eq!(server.count("DELE"), 1);
}

/// A server without unique-ids, and a report with the same header every day: each of them is delivered, once.
#[test]
fn equal_headers_without_unique_ids_are_counted() {
    let report = |day: u64| {
        let head = "From: cron@example.org\r\nSubject: daily report\r\n\r\n";
        Message::new("", format!("{head}report of day {day}\r\n"))
    };
    let options = crate::support::server::Options::with("me", "secret", []).without("UIDL");
    let server = Server::start(options);
    let sandbox = Sandbox::new();
    sandbox.config(account(&server, super::INTO_MAILDIR));
    for day in 1..=5 {
        server.add("me", [report(day)]);
        poll(&sandbox);
        assert_eq!(delivered(&sandbox), usize::try_from(day).unwrap());
    }
    poll(&sandbox);
    assert_eq!(delivered(&sandbox), 5);
}

/// Sets the clock that the ledger saw last, and no time but that.
fn set_clock(sandbox: &Sandbox, from_now: i64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let clock = (i64::try_from(now).unwrap() + from_now).to_string();
    rewrite_ledger(sandbox, |words| match words[0].as_str() {
        "group" => words[3].clone_from(&clock),
        "listing" | "unlisted" => words[2].clone_from(&clock),
        _ => {}
    });
}

#[test]
fn a_clock_that_runs_backwards_deletes_nothing_by_age() {
    let (server, sandbox) = leaving("{ days = 14 }", &[400]);
    poll(&sandbox);
    age(&sandbox, 15 * DAY);
    // The last run's clock was ahead of ours by an hour.
    set_clock(&sandbox, 3600);
    poll(&sandbox);
    left(&server, &["uid-1"]);
    assert_eq!(server.count("DELE"), 0);
    // The same clock again: it is believed.
    poll(&sandbox);
    left(&server, &[]);
}

#[test]
fn clock_ahead_deletes_nothing_by_age_at_first() {
    let (server, sandbox) = leaving("{ days = 14 }", &[400]);
    poll(&sandbox);
    age(&sandbox, 31 * DAY);
    poll(&sandbox);
    left(&server, &["uid-1"]);
    poll(&sandbox);
    left(&server, &[]);
}

/// Everything was delivered in the future, by a clock that was corrected since.
#[test]
fn a_clock_put_back_deletes_nothing_by_age() {
    let (server, sandbox) = leaving("{ days = 14 }", &[400]);
    poll(&sandbox);
    age(&sandbox, -400 * DAY);
    for _ in 0..3 {
        poll(&sandbox);
    }
    left(&server, &["uid-1"]);
    // Other limits don't ask the clock.
    sandbox.run(["--delete"]).succeeds();
    left(&server, &[]);
}

/// A clock that was 400 days ahead is right again: nothing waits for the time that it showed.
#[test]
fn when_a_clock_that_ran_ahead_is_put_back_retries_fall_due_and_days_count_again() {
    let (server, sandbox) = leaving("{ days = 14 }", &[400]);
    let late = || message("late");
    server.add("me", [late().refused("-ERR cannot read it")]);
    for _ in 0..3 {
        sandbox.run([""; 0]).exits(75);
    }
    age(&sandbox, -400 * DAY);
    server.replace("me", numbered(messages(&[400])).into_iter().chain([late()]));
    // One run is not enough to give that time up.
    sandbox.run([""; 0]).exits(75);
    assert_eq!(delivered(&sandbox), 1);
    change_memory(&sandbox, |memory| move_back(memory, &["behind"], 3600));
    for _ in 0..2 {
        sandbox.run([""; 0]);
    }
    assert_eq!(delivered(&sandbox), 2);
    left(&server, &["uid-1", "late"]);
    age(&sandbox, 15 * DAY);
    for _ in 0..2 {
        poll(&sandbox);
    }
    left(&server, &[]);
}

/// Without unique-ids, or with one for several messages, what is due is retrieved again, recognised and deleted.
#[test]
fn limits_take_effect_without_unique_ids_of_their_own() {
    for shared in [false, true] {
        let name = |n: u64| if shared { "same".to_owned() } else { format!("uid-{n}") };
        let messages = (1..=4).map(|n| Message::new(name(n), mail::message(n, 400)));
        let mut options = good(messages);
        if !shared {
            options = options.without("UIDL");
        }
        let served = serve(options, "leave-on-server = { newest = 2 }");
        for _ in 0..3 {
            served.fetch().succeeds();
        }
        assert_eq!(served.server.maildrop("me").len(), 2, "shared: {shared}");
        served.holds((1..=4).map(|n| mail::stored(&mail::message(n, 400))));
        // What stays is not retrieved at each poll.
        let before = served.server.count("RETR");
        served.fetch().succeeds();
        assert_eq!(served.server.count("RETR"), before, "shared: {shared}");
    }
}
