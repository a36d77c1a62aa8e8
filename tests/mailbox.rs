//! The usual set-ups: an account of a server on loopback, a place for its mail, and popfetch to fetch it.  [`serve`] is
//! for tests in which the server behaves as POP3 servers do, [`run`] for those that play a dialogue line by line.

use std::path::PathBuf;
use std::thread;

use serde_json::Value;

use crate::support::mail;
use crate::support::mailboxes::{Maildir, assert_same};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, Transcript, expect, reply, send};
use crate::support::server::{Message, Options, Server, numbered};

/// What most tests take TLS and password to be.
pub(crate) const IN_CLEAR: &str = "tls = \"none\"\npassword = \"secret\"\n";

/// The account `name` of `me` at a server on loopback; `keys` are the rest of it.
pub(crate) fn section(name: &str, port: u16, keys: &str) -> String {
    format!("[accounts.{name}]\nserver = \"127.0.0.1\"\nport = {port}\nuser = \"me\"\n{keys}\n")
}

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
        self.sandbox.config(section("me", port, &format!("{IN_CLEAR}{deliver}\n{keys}")));
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

/// Policies.
pub(crate) const KEEP: &str = "leave-on-server = true";
pub(crate) const DELETE: &str = "leave-on-server = false";

/// The octets of message `number`, some 400.
pub(crate) fn body(number: u64) -> Vec<u8> {
    mail::message(number, 400)
}

/// The messages `uid-1`, `uid-2` … with [`body`].
pub(crate) fn small(count: u64) -> Vec<Message> {
    numbered((1..=count).map(body))
}

/// The server, which has the messages that become `expected`, closes the connection at each of `cuts`: `set_up` makes each mailbox, and what must
/// live as long.  No part of a message is visible then, and the next run has all, and leaves `left` on the server.
pub(crate) fn whole_or_later<T>(
    cuts: &[u64],
    expected: &[Vec<u8>],
    left: usize,
    set_up: impl Fn(u64) -> (Served, T) + Sync,
) {
    thread::scope(|scope| {
        for part in cuts.chunks(cuts.len().div_ceil(3)) {
            let set_up = &set_up;
            scope.spawn(move || {
                for cut in part {
                    let (served, _alive) = set_up(*cut);
                    let run = served.fetch();
                    let maildir = served.messages();
                    for message in &maildir {
                        assert!(expected.contains(message), "a part of a message at {cut}");
                    }
                    // Behind the answers to the RETRs nothing is missing any more.
                    assert!(
                        run.code() == Some(75) || maildir.len() == expected.len(),
                        "at {cut}: {}",
                        run.shown()
                    );
                    served.fetch().succeeds();
                    served.holds(expected);
                    assert_eq!(served.server.unique_ids("me").len(), left, "cut at {cut}");
                }
            });
        }
    });
}

/// A command that only looks: its run, in which nothing is retrieved or deleted.
#[track_caller]
pub(crate) fn only_looks(served: &Served, run: impl FnOnce() -> Run) -> Run {
    let (ids, sessions) = (served.server.unique_ids("me"), served.server.sessions());
    let run = run();
    assert_eq!(served.server.unique_ids("me"), ids);
    for session in sessions + 1..=served.server.sessions() {
        let commands = served.server.commands(session);
        let fetches = |command: &&String| command.starts_with("RETR") || command.starts_with("DELE");
        assert_eq!(commands.iter().find(fetches), None);
    }
    run
}

/// What a destination holds of these messages of [`small`].
pub(crate) fn stored(numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|number| mail::stored(&body(number))).collect()
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

/// The password of `me` in dialogues.
pub(crate) const PASSWORD: &str = "tanstaaf";

/// An account `work` of `me` on loopback, in clear, that delivers to `~/Mail`; with more lines.
pub(crate) fn account(port: u16, more: &str) -> String {
    named_account("work", port, &format!("tls = \"none\"\npassword = \"{PASSWORD}\"\n{more}"))
}

/// An account without TLS mode and password.
pub(crate) fn named_account(name: &str, port: u16, more: &str) -> String {
    section(
        name,
        port,
        &format!(
            "deliver = {{ maildir = \"~/{name}\" }}
{more}"
        ),
    )
}

/// What a server sends before the login, with these capabilities.
pub(crate) fn greeted(capabilities: &str) -> Vec<Step> {
    vec![send("+OK ready\r\n"), expect("CAPA"), send(format!("+OK\r\n{capabilities}.\r\n"))]
}

/// [`greeted`], and then these steps.
pub(crate) fn after(capabilities: &str, steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let mut script = greeted(capabilities);
    script.extend(steps);
    script
}

/// One run against one script for each connection; the script must be followed to its end.
#[track_caller]
pub(crate) fn run(more: &str, scripts: Vec<Vec<Step>>) -> (Run, Vec<Transcript>) {
    run_with(&[], more, scripts)
}

/// [`run`], with these arguments.
#[track_caller]
pub(crate) fn run_with(args: &[&str], more: &str, scripts: Vec<Vec<Step>>) -> (Run, Vec<Transcript>) {
    let server = Scripted::start(scripts);
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), more));
    let run = sandbox.run(args);
    (run, server.finish())
}

/// The file in which the runs of the sandbox's only mailbox leave what they learnt of its server.
pub(crate) fn memory(sandbox: &Sandbox) -> PathBuf {
    let found: Vec<_> = sandbox.files().into_keys().filter(|path| path.ends_with("memory")).collect();
    let [path] = &found[..] else { panic!("{:?}", sandbox.files().keys()) };
    sandbox.path(path)
}

/// What is in it.
pub(crate) fn remembered(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&std::fs::read(memory(sandbox)).unwrap()).unwrap()
}

/// Changes what is in it.
pub(crate) fn change_memory(sandbox: &Sandbox, change: impl FnOnce(&mut Value)) {
    let mut value = remembered(sandbox);
    change(&mut value);
    std::fs::write(memory(sandbox), serde_json::to_vec_pretty(&value).unwrap()).unwrap();
}

/// Moves these times of an object back, as if the seconds had passed.
pub(crate) fn move_back(object: &mut Value, times: &[&str], seconds: i64) {
    for time in times {
        if let Some(at) = object[*time].as_i64() {
            object[*time] = (at - seconds).into();
        }
    }
}
