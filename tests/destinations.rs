//! Where messages go, through the real binary.
mod fidelity;
mod maildir;
mod mbox;
mod neighbours;
mod pipe;
mod release;
mod several;
mod stdout;
mod unwritable;

use crate::mailbox::{IN_CLEAR, section};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, Server};

/// A configuration with the account `work` at this server; `lines` are the rest of it.
pub(crate) fn account(server: &Server, lines: &str) -> String {
    section("work", server.port(), &format!("{IN_CLEAR}{lines}"))
}

/// A server with these messages, and a sandbox with the account `work` at it.
pub(crate) fn set_up(messages: impl IntoIterator<Item = Message>, lines: &str) -> (Server, Sandbox) {
    let server = Server::with("me", "secret", messages);
    let sandbox = Sandbox::new();
    sandbox.config(account(&server, lines));
    (server, sandbox)
}

/// Runs popfetch without arguments.
#[track_caller]
fn poll(sandbox: &Sandbox) -> Run {
    sandbox.run([""; 0])
}

/// A small message with this subject.
fn small(subject: &str) -> Vec<u8> {
    format!("From: a@example.org\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n").into_bytes()
}
