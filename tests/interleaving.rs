//! What the network and the committer do at the same time.

use std::sync::Arc;
use std::time::Duration;

use crate::mailbox::{Mailbox, pipelined};
use crate::support::mail;
use crate::support::mailboxes::{assert_same, mbox_messages};
use crate::support::scripted::{Scripted, Step, expect, send};

/// The line pauses within a message while another one waits for the disk.
#[test]
fn a_pause_within_a_message_spoils_no_spool() {
    let body = |line: &str| format!("Subject: x\r\n\r\n{}", format!("{line}\r\n").repeat(20_000));
    let (first, second) = (body("first"), body("second"));
    let (begin, end) = second.split_at(second.len() / 2);
    let mut script = pipelined();
    script.extend([
        expect("UIDL"),
        send("+OK\r\n1 a\r\n2 b\r\n.\r\n"),
        expect("LIST"),
        send("+OK\r\n1 100\r\n2 100\r\n.\r\n"),
        Step::Lines(3),
        send(format!("+OK\r\n{first}.\r\n+OK\r\n{begin}")),
        Step::Call(Arc::new(|| std::thread::sleep(Duration::from_millis(400)))),
        send(format!("{end}.\r\n+OK\r\n")),
        expect("QUIT"),
        send("+OK\r\n"),
    ]);
    let server = Scripted::start(vec![script]);
    let mailbox = Mailbox::new(server.port(), "deliver = { mbox = \"~/inbox\" }\npipelining = \"on\"");
    mailbox.fetch().succeeds();
    server.finish();
    let expected = [first, second].map(|message| mail::stored(message.as_bytes()));
    assert_same(mbox_messages(&mailbox.sandbox.path("inbox")), expected.to_vec());
}
