//! What the network and the committer do at the same time.

use std::sync::Arc;
use std::time::Duration;

use crate::mailbox::{Mailbox, good, names, pipelined, plain_login, serve};
use crate::support::mail;
use crate::support::mailboxes::{assert_same, mbox_messages};
use crate::support::scripted::{Scripted, Step, expect, send};
use crate::support::server::Message;

/// The line pauses within a message while another one waits for the disk.
#[test]
fn a_pause_within_a_message_spoils_no_spool() {
    let body = |line: &str| format!("Subject: x\r\n\r\n{}", format!("{line}\r\n").repeat(20_000));
    let (first, second) = (body("first"), body("second"));
    let (begin, end) = second.split_at(second.len() / 2);
    let mut script = plain_login();
    script.extend([
        expect("UIDL"),
        send("+OK\r\n1 a\r\n2 b\r\n.\r\n"),
        expect("LIST"),
        send("+OK\r\n1 100\r\n2 100\r\n.\r\n"),
        names(&[(1, "a"), (2, "b")]),
        expect("RETR 1"),
        send(format!("+OK\r\n{first}.\r\n")),
        expect("RETR 2"),
        send(format!("+OK\r\n{begin}")),
        Step::Call(Arc::new(|| std::thread::sleep(Duration::from_millis(400)))),
        send(format!("{end}.\r\n")),
        names(&[(1, "a"), (2, "b")]),
        expect("QUIT"),
        send("+OK\r\n"),
    ]);
    let server = Scripted::start(vec![script]);
    let mailbox = Mailbox::new(server.port(), "deliver = { mbox = \"~/inbox\" }");
    mailbox.fetch().succeeds();
    server.finish();
    let expected = [first, second].map(|message| mail::stored(message.as_bytes()));
    assert_same(mbox_messages(&mailbox.sandbox.path("inbox")), expected.to_vec());
}

/// A message whose unique-id is known, but of another size, is looked at before it is deleted: here `max-messages` puts
/// that off.
#[test]
fn what_was_not_compared_is_not_deleted() {
    let served = serve(good([Message::new("x", "Subject: x\r\n\r\nold\r\n")]), "leave-on-server = true");
    served.fetch().succeeds();
    served.server.replace(
        "me",
        [
            Message::new("n", "Subject: n\r\n\r\nnew\r\n"),
            Message::new("x", "Subject: y\r\n\r\nanother message under an old name\r\n"),
        ],
    );
    served.configure(served.server.port(), "leave-on-server = false\nmax-messages = 1");
    served.fetch().succeeds();
    assert_eq!(served.server.unique_ids("me"), ["x"]);
    served.fetch().succeeds();
    assert_eq!(served.server.unique_ids("me"), [""; 0]);
    assert_eq!(served.messages().len(), 3);
}

/// The session that follows one that fell out of step is no extra: when the server hasn't released the maildrop yet,
/// it is asked a few times more, and then the mail isn't there.
#[test]
fn busy_maildrop_after_a_broken_session_is_a_failure() {
    let mut script = pipelined();
    script.extend([
        expect("UIDL"),
        send("+OK\r\n1 a\r\n.\r\n"),
        expect("LIST"),
        send("+OK\r\n1 10\r\n.\r\n"),
        Step::Lines(3),
        send("+OK 1 a\r\n+OK\r\nx\r\n.\r\n+OK 2 b\r\n"),
        Step::Close,
    ]);
    let locked = || vec![send("-ERR [IN-USE] locked\r\n")];
    let server = Scripted::start(vec![script, locked(), locked(), locked(), locked()]);
    let mailbox = Mailbox::new(server.port(), "");
    mailbox.fetch().exits(75);
    server.finish();
}
