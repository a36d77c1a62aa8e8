//! One account, a Maildir for it, and popfetch told to fetch the one into the other.

use std::path::PathBuf;

use crate::support::mailboxes::{Maildir, assert_same};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Step, expect, reply, send};
use crate::support::server::{Message, Options, Server};

/// A sandbox whose configuration has one account, `me`, that delivers into the Maildir `mail`.
pub(crate) struct Mailbox {
    pub(crate) sandbox: Sandbox,
}

impl Mailbox {
    /// Of the server on this port of loopback; `keys` are more lines of the account.
    pub(crate) fn new(port: u16, keys: &str) -> Self {
        let mailbox = Self { sandbox: Sandbox::new() };
        mailbox.configure(port, keys);
        mailbox
    }

    /// Other keys, or another port, from now on.
    pub(crate) fn configure(&self, port: u16, keys: &str) {
        let deliver = if keys.contains("deliver = ") { "" } else { "deliver = { maildir = \"~/mail\" }" };
        self.sandbox.config(format!(
            "[accounts.me]\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nuser = \"me\"\n\
             password = \"secret\"\n{deliver}\n{keys}\n"
        ));
    }

    /// Fetches.
    #[track_caller]
    pub(crate) fn fetch(&self) -> Run {
        self.sandbox.run([""; 0])
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.sandbox.path("mail")
    }

    /// What a reader of the Maildir sees, sorted.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        Maildir::read(&self.path()).messages()
    }

    /// Asserts what a reader sees, in whatever order, and that nothing lies about in `tmp/`.
    #[track_caller]
    pub(crate) fn holds<M: AsRef<[u8]>>(&self, expected: impl IntoIterator<Item = M>) {
        let maildir = Maildir::read(&self.path());
        assert_same(
            maildir.messages(),
            expected.into_iter().map(|octets| octets.as_ref().to_vec()).collect(),
        );
        assert!(maildir.tmp.is_empty(), "left in tmp/: {:?}", maildir.tmp.keys());
    }
}

/// A [`Mailbox`] with a [`Server`] whose account it is.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) mailbox: Mailbox,
}

impl std::ops::Deref for Served {
    type Target = Mailbox;

    fn deref(&self) -> &Mailbox {
        &self.mailbox
    }
}

/// A good server with these messages.
pub(crate) fn good(messages: impl IntoIterator<Item = Message>) -> Options {
    Options::with("me", "secret", messages)
}

/// Starts a server, and a mailbox for it; `keys` are more lines of the account.
pub(crate) fn serve(options: Options, keys: &str) -> Served {
    let server = Server::start(options);
    let mailbox = Mailbox::new(server.port(), keys);
    Served { server, mailbox }
}

/// How a script begins whose server has no CAPA, and so no pipelining.
pub(crate) fn plain_login() -> Vec<Step> {
    vec![
        send("+OK ready\r\n"),
        expect("CAPA"),
        send("-ERR what?\r\n"),
        expect("USER me"),
        send("+OK\r\n"),
        expect("PASS secret"),
        send("+OK\r\n"),
    ]
}

/// The question behind a message, and its answer: `UIDL n`, for any of those listed.
pub(crate) fn names(listed: &'static [(u32, &'static str)]) -> Step {
    reply(move |line| {
        let line = String::from_utf8_lossy(line).into_owned();
        let named = listed.iter().find(|(number, _)| line == format!("UIDL {number}"));
        named.map_or_else(
            || panic!("no question: {line}"),
            |(number, unique_id)| format!("+OK {number} {unique_id}\r\n").into_bytes(),
        )
    })
}

/// How a script begins whose server pipelines after login.
pub(crate) fn pipelined() -> Vec<Step> {
    vec![
        send("+OK ready\r\n"),
        expect("CAPA"),
        send("+OK\r\nUSER\r\nUIDL\r\n.\r\n"),
        expect("USER me"),
        send("+OK\r\n"),
        expect("PASS secret"),
        send("+OK\r\n"),
        expect("CAPA"),
        send("+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n"),
    ]
}
