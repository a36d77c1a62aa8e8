//! OAuth through the binary, against an authorization server that keeps to the rules and one that doesn't.  These are
//! logins, renewal by several processes at once, saves that are cut at every step, refusals, and that no secret is
//! anywhere but in the store.

mod logins;
mod real;
mod refusals;
mod renewal;
mod saving;
mod secrecy;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::mailbox::{small, stored};
use crate::support::authorization::{AuthorizationServer, CLIENT};
use crate::support::mailboxes::Maildir;
use crate::support::sandbox::{Run, Running, Sandbox};
use crate::support::server::{Options, Server};

/// A mailbox whose token an authorization server gives.
struct Scene {
    sandbox: Sandbox,
    authorization: AuthorizationServer,
    mail: Server,
}

/// The token that the mail server takes: the one that is given at first.
const ACCESS: &str = "Quux-access-0";

fn mail(mechanisms: &str) -> Options {
    Options::with("me", ACCESS, small(2)).sasl(mechanisms)
}

impl Scene {
    fn new() -> Self {
        Self::with(mail("XOAUTH2"), "")
    }

    /// `more` are more keys of the oauth table, each with a comma before it.
    fn with(options: Options, more: &str) -> Self {
        let (sandbox, authorization) = (Sandbox::new(), AuthorizationServer::start());
        authorization.authority.write(&sandbox.path("ca.pem"));
        let scene = Self { sandbox, authorization, mail: Server::start(options) };
        scene.configure(more);
        scene
    }

    fn oauth(&self, more: &str) -> String {
        let url = |path| self.authorization.url(path);
        format!(
            "oauth = {{ authorize-url = \"{}\", token-url = \"{}\", device-url = \"{}\", revoke-url = \"{}\", scope = \
             \"mail\", client-id = \"{CLIENT}\"{more} }}",
            url("/authorize"),
            url("/token"),
            url("/device"),
            url("/revoke"),
        )
    }

    fn account(&self, name: &str, port: u16, oauth: &str) -> String {
        format!(
            "[accounts.{name}]\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nuser = \"me\"\n{oauth}\ndeliver = {{ \
             maildir = \"~/mail-{name}\" }}\n"
        )
    }

    fn configure(&self, more: &str) {
        self.sandbox.config(self.account("work", self.mail.port(), &self.oauth(more)));
        self.give_authority();
    }

    /// The mail server is asked in clear on loopback, so that only the authorization server needs the authority: it stands in
    /// the file that OpenSSL reads.
    fn give_authority(&self) {
        self.sandbox.script(
            "bin/browser",
            "printf '%s' \"$1\" > \"$HOME/address.new\"; mv \"$HOME/address.new\" \"$HOME/address\"",
        );
    }

    fn run(&self, args: &[&str]) -> Run {
        self.start(args).finish()
    }

    fn start(&self, args: &[&str]) -> Running {
        self.invocation(args).start()
    }

    fn invocation(&self, args: &[&str]) -> crate::support::sandbox::Invocation<'_> {
        self.sandbox
            .popfetch(args)
            .env("SSL_CERT_FILE", self.sandbox.path("ca.pem"))
            .env("BROWSER", self.sandbox.path("bin/browser"))
    }

    /// What the browser was sent to.
    fn address(&self) -> String {
        let path = self.sandbox.path("address");
        wait_for("the browser to be opened", || std::fs::read_to_string(&path).ok())
    }

    /// Logs in by the browser, as a user does.
    fn log_in(&self) -> Run {
        let _ = std::fs::remove_file(self.sandbox.path("address"));
        let running = self.start(&["auth", "login", "work", "--flow", "browser"]);
        let answer = visit(&self.authorization.agree(&self.address()));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        running.finish()
    }

    /// Logs in with a token that has to be renewed at once.
    fn log_in_for_a_moment(&self) {
        self.log_in().succeeds();
        let store = &self.stores()[0];
        let mut record = self.stored();
        for key in ["obtained", "ends"] {
            record.insert(key.to_owned(), (record[key].as_i64().unwrap() - 3590).into());
        }
        std::fs::write(store, serde_json::to_vec(&record).unwrap()).unwrap();
        let _ = std::fs::remove_dir_all(self.sandbox.path("mail-work"));
    }

    /// The files of the store that hold a login.
    fn stores(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.sandbox.state().join("oauth")).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect()
    }

    /// The stored login.
    fn stored(&self) -> BTreeMap<String, serde_json::Value> {
        let stores = self.stores();
        assert_eq!(stores.len(), 1, "{stores:?}");
        serde_json::from_slice(&std::fs::read(&stores[0]).unwrap()).expect("a whole record")
    }

    fn holds_mail(&self, name: &str) {
        let mut messages = Maildir::read(&self.sandbox.path(format!("mail-{name}"))).messages();
        let mut expected = stored(1..=2);
        messages.sort();
        expected.sort();
        assert_eq!(messages, expected, "{name}");
    }
}

/// What a browser gets at an address of loopback.
fn visit(address: &str) -> String {
    let rest = address.strip_prefix("http://127.0.0.1:").unwrap_or_else(|| panic!("{address}"));
    let (port, path) = rest.split_once('/').unwrap();
    ask(port.parse().unwrap(), &format!("GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).unwrap()
}

fn ask(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[track_caller]
fn wait_for<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = is() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no {what} came");
        std::thread::sleep(Duration::from_millis(10));
    }
}
