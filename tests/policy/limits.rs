//! What one run takes at most.

use super::{INTO_MAILDIR, delivered, messages};
use crate::destinations::{account, set_up};
use crate::mailbox::{good, serve};
use crate::support::mail;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Server, numbered};

fn limited(limits: &str, sizes: &[usize]) -> (Server, Sandbox) {
    set_up(numbered(messages(sizes)), &format!("{INTO_MAILDIR}{limits}\nleave-on-server = false"))
}

#[test]
fn message_over_the_size_limit_is_reported_once() {
    let (server, sandbox) = limited("max-message-size = \"1K\"", &[1024, 1025, 400]);
    let run = sandbox.run(["--quiet"]);
    run.succeeds().complains("message 2").complains("too large");
    assert_eq!(server.unique_ids("me"), ["uid-2"]);
    sandbox.run(["--quiet"]).succeeds().is_silent();
    assert_eq!((server.count("RETR"), delivered(&sandbox)), (2, 2));
    sandbox.config(account(&server, &format!("{INTO_MAILDIR}leave-on-server = false")));
    sandbox.run([""; 0]).succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    assert_eq!(delivered(&sandbox), 3);
}

#[test]
fn max_messages_of_a_run() {
    let (server, sandbox) = limited("max-messages = 2", &[400; 5]);
    for (run, left) in [(1, 3), (2, 1), (3, 0), (4, 0)] {
        sandbox.run([""; 0]).succeeds();
        assert_eq!(server.unique_ids("me").len(), left, "after run {run}");
    }
    assert_eq!((server.count("RETR"), delivered(&sandbox)), (5, 5));
    let first: Vec<_> = server
        .log()
        .iter()
        .filter_map(|entry| entry.command.strip_prefix("RETR ").map(str::to_owned))
        .collect();
    assert_eq!(first[..2], ["1", "2"], "the oldest first");
}

#[test]
fn max_bytes_of_a_run() {
    // The first goes whatever its size; a small one behind a large one fits in.
    let (server, sandbox) = limited("max-bytes = 1500", &[2000, 1000, 1000, 400]);
    for expected in [&["uid-2", "uid-3", "uid-4"][..], &["uid-3"], &[]] {
        sandbox.run([""; 0]).succeeds();
        assert_eq!(server.unique_ids("me"), expected);
    }
    assert_eq!(delivered(&sandbox), 4);
}

/// A message that fails again and again doesn't use up the limit that the others need.
#[test]
fn a_failing_message_does_not_keep_others_out() {
    let (server, sandbox) = limited("max-messages = 1", &[]);
    let failing = Message::new("failing", mail::message(1, 400)).refused("-ERR no");
    server.replace("me", [failing, Message::new("good", mail::message(2, 400))]);
    sandbox.run([""; 0]).exits(75);
    sandbox.run([""; 0]);
    assert_eq!(server.unique_ids("me"), ["failing"]);
}

/// Without unique-ids, or with one for several messages, what is known is compared at each run: behind it the new ones come.
#[test]
fn a_limit_does_not_count_what_is_compared() {
    let message = |number: u64, shared: bool| {
        let name = if shared { "same".to_owned() } else { format!("uid-{number}") };
        Message::new(name, mail::message(number, 400))
    };
    for shared in [false, true] {
        let options = good((1..=4).map(|number| message(number, shared)));
        let options = if shared { options } else { options.without("UIDL") };
        let served = serve(options, "leave-on-server = true\nmax-messages = 2");
        for expected in [2, 4, 4] {
            served.fetch().succeeds();
            assert_eq!(served.messages().len(), expected, "shared: {shared}");
        }
        served.server.add("me", (5..=7).map(|number| message(number, shared)));
        for expected in [6, 7, 7] {
            served.fetch().succeeds();
            assert_eq!(served.messages().len(), expected, "shared: {shared}");
        }
    }
}
