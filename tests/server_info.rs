//! `popfetch server-info`: what a server offers, and nothing is retrieved, marked or changed.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::mailbox::{good, section, serve, small};
use crate::support::certificates::{Authority, Certified, Leaf};
use crate::support::namespace::{Net, inside};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, expect, send};
use crate::support::server::{Options, Server, Tls};

/// A server with TLS at which `localhost` is right, and the configuration of its account.
struct Secured {
    server: Server,
    sandbox: Sandbox,
    certified: Certified,
}

impl Secured {
    fn start(tls: fn(Certified) -> Tls, options: Options) -> Self {
        let authority = Authority::new();
        let certified = authority.issue(&Leaf::named(&["localhost", "pop.example.com"]));
        let server = Server::start(Options { tls: tls(certified.clone()), ..options });
        let sandbox = Sandbox::new();
        authority.write(&sandbox.path("ca.pem"));
        Self { server, sandbox, certified }
    }

    fn configure(&self, keys: &str) {
        let keys = format!("password = \"secret\"\ndeliver = {{ maildir = \"~/mail\" }}\n{keys}");
        let section = section("me", self.server.port(), &keys).replace("127.0.0.1", "localhost");
        self.sandbox.config(section);
    }

    #[track_caller]
    fn info(&self, arguments: &[&str]) -> Run {
        let ids = self.server.unique_ids("me");
        let run = self.sandbox.run(["server-info"].iter().chain(arguments));
        assert_eq!(self.server.unique_ids("me"), ids);
        for session in 1..=self.server.sessions() {
            let fetches =
                |command: &String| ["RETR", "TOP", "DELE"].iter().any(|word| command.starts_with(word));
            assert!(!self.server.commands(session).iter().any(fetches));
        }
        assert!(!self.sandbox.state().exists() && !self.sandbox.path("mail").exists());
        assert!(!run.out().contains("secret") && !run.err().contains("secret"), "{}", run.shown());
        run
    }
}

fn modest() -> Options {
    let mut options = good(small(3)).expiring(["EXPIRE 30 USER", "LOGIN-DELAY 300", "X-ODD \u{1b}[31m"]);
    options.before_login.push("IMPLEMENTATION Example 1.0".to_owned());
    options
}

#[test]
fn two_columns_before_and_after_the_login() {
    let secured = Secured::start(Tls::Implicit, modest());
    secured.configure("ca-file = \"~/ca.pem\"");
    secured.info(&[]).succeeds().looks_like("server-info");
    secured.info(&["me", "--no-login"]).succeeds().looks_like("server-info-no-login");
    let last = secured.server.commands(secured.server.sessions());
    assert!(!last.iter().any(|command| command.starts_with("USER")), "{last:?}");
}

#[test]
fn the_line_that_pins_a_certificate_works_when_it_is_pasted() {
    let secured = Secured::start(Tls::Implicit, good(small(1)));
    secured.configure("");
    let run = secured.info(&[]);
    run.exits(77).complains("certificate refused").looks_like("server-info-refused");
    let line = run.out().lines().find(|line| line.starts_with("tls-fingerprint = ")).unwrap().to_owned();
    assert_eq!(line, format!("tls-fingerprint = \"{}\"", secured.certified.fingerprint()));
    // Nobody logs in at a server that isn't trusted.
    for session in 1..=secured.server.sessions() {
        assert!(!secured.server.commands(session).iter().any(|command| command.starts_with("USER")));
    }
    secured.configure(&line);
    secured.info(&[]).succeeds().says("the one that is pinned");
}

#[test]
fn a_pin_that_is_not_needed_is_named() {
    let secured = Secured::start(Tls::Implicit, good(small(1)));
    let pin = format!("tls-fingerprint = \"{}\"", secured.certified.fingerprint());
    secured.configure(&format!("ca-file = \"~/ca.pem\"\n{pin}"));
    secured
        .info(&[])
        .succeeds()
        .says("Better: its chain, dates and name are right: leave tls-fingerprint out\n");
}

#[test]
fn what_is_offered_before_tls_is_shown_and_the_password_is_not_sent_there() {
    let secured = Secured::start(Tls::Stls, good(small(1)));
    secured.configure("tls = \"starttls\"\nca-file = \"~/ca.pem\"");
    let run = secured.info(&[]);
    run.succeeds().says("before TLS").says("by STLS").looks_like("server-info-starttls");
}

#[test]
fn clear_text_where_stls_works_is_advised_against() {
    let secured = Secured::start(Tls::Stls, good(small(1)));
    secured.configure("tls = \"none\"\nauth = \"user-pass\"\n");
    let run = secured.info(&[]);
    // The certificate of this authority isn't trusted without a ca-file: then there is nothing better.
    assert!(!run.succeeds().out().contains("Better"), "{}", run.shown());
    let trusted = std::fs::read(secured.sandbox.path("ca.pem")).unwrap();
    let run = secured
        .sandbox
        .popfetch(["server-info"])
        .env("SSL_CERT_FILE", secured.sandbox.write("all.pem", trusted))
        .run();
    run.succeeds().says("Better: STLS works here: set tls = \"starttls\"\n");
}

#[test]
fn the_usual_ports_of_a_host_and_the_better_setting() {
    if !inside("server_info::the_usual_ports_of_a_host_and_the_better_setting") {
        return;
    }
    let net = Net::of(&[("pop.example.com", 2), ("old.example.com", 3)]);
    let authority = Authority::new();
    let trust = net.trust(&authority.pem());
    let start = |n, port, name: &str, tls: fn(Certified) -> Tls| {
        let tls = tls(authority.issue(&Leaf::named(&[name])));
        Server::start_at(([127, 0, 0, n], port).into(), Options { tls, ..good(small(1)) })
    };
    let servers = [
        start(2, 995, "pop.example.com", Tls::Implicit),
        start(2, 110, "pop.example.com", Tls::Stls),
        start(3, 110, "old.example.com", Tls::Stls),
    ];
    let sandbox = Sandbox::new();
    let info = |host: &str| sandbox.popfetch(["server-info", host]).env("SSL_CERT_FILE", &trust).run();
    info("pop.example.com").succeeds().says("pop.example.com:995\n");
    info("pop.example.com:110")
        .succeeds()
        .says("by STLS")
        .says("Better: 995 answers too: leave tls and port out\n");
    info("old.example.com").succeeds().says("old.example.com:110\n").says("by STLS");
    assert_eq!(
        servers.iter().map(|server| server.count("USER")).sum::<usize>(),
        0,
        "nobody logs in at a host"
    );
    let keys = "tls = \"starttls\"\npassword = \"secret\"\ndeliver.maildir = \"~/mail\"";
    sandbox.config(section("me", 110, keys).replace("127.0.0.1", "pop.example.com"));
    info("me").succeeds().says("Better: 995 answers too").says("logged in by");
}

#[test]
fn a_refused_login_is_reported_below_what_was_seen() {
    let served = serve(good(small(1)).instead("PASS", "-ERR [AUTH] no\r\n"), "");
    let run = served.sandbox.run(["server-info"]);
    run.exits(77).says("greeting").complains("account \"me\": ").looks_like("server-info-login-refused");
}

#[test]
fn an_object() {
    let secured = Secured::start(Tls::Implicit, modest());
    secured.configure("ca-file = \"~/ca.pem\"");
    let run = secured.info(&["--json"]);
    let object: Value = serde_json::from_str(run.succeeds().out().trim_end()).unwrap();
    let fields = json!(
        ["type", "account", "tls", "expire", "login_delay", "messages", "mechanism", "exit"]
            .map(|name| &object[name])
    );
    assert_eq!(fields, json!(["server-info", "me", "implicit", 30, 300, 3, "USER", 0]));
    assert_eq!(object["certificate"]["trusted"], true);
    assert_eq!(object["after_login"][6], "X-ODD \\x1b[31m");
    secured.configure("");
    let run = secured.info(&["--json"]);
    let object: Value = serde_json::from_str(run.exits(77).out().trim_end()).unwrap();
    assert_eq!(object["certificate"]["trusted"], false);
    assert!(object["error"]["message"].as_str().unwrap().contains("certificate refused"));
    drop(secured.server);
    let run = secured.sandbox.run(["server-info", "--json"]);
    let object: Value = serde_json::from_str(run.exits(75).out().trim_end()).unwrap();
    assert_eq!(object["greeting"], Value::Null);
}

#[test]
fn a_host_is_looked_at_without_a_login_and_without_a_configuration() {
    let secured = Secured::start(Tls::Implicit, good(small(1)));
    let host = format!("localhost:{}", secured.server.port());
    secured.info(&[&host]).exits(77).complains("certificate refused").says("tls-fingerprint = \"sha256:");
    let stls = Secured::start(Tls::Stls, good(small(1)));
    let host = format!("localhost:{}", stls.server.port());
    stls.info(&[&host]).exits(77).says("by STLS");
    // With a configuration, too; and a name that is no host is a name.
    secured.configure("ca-file = \"~/ca.pem\"");
    secured.info(&[&host]).exits(77);
    secured.info(&["mee"]).exits(64).complains("did you mean \"me\"?");
    secured.info(&["localhost:1"]).exits(75).complains("cannot connect to localhost:1");
}

#[test]
fn a_secret_that_a_server_knows_is_not_shown() {
    let script = vec![
        send("+OK my secret is hunter2!!\r\n"),
        expect("CAPA"),
        send("+OK\r\nUSER\r\nX-SECRET hunter2!!\r\n.\r\n"),
        Step::Stall,
    ];
    let server = Scripted::start(vec![script.clone(), script]);
    let sandbox = Sandbox::new();
    let keys = "tls = \"none\"\ntimeout = \"1s\"\npassword = \"hunter2!!\"\ndeliver.maildir = \"~/mail\"";
    sandbox.config(section("me", server.port(), keys));
    let run = sandbox.run(["server-info"]);
    assert!(!run.out().contains("hunter2") && !run.err().contains("hunter2"), "{}", run.shown());
}

#[test]
fn the_password_goes_out_once_at_most() {
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    let mut options = good(small(1));
    options.hook = Some(Arc::new(move |moment| {
        if moment.command.starts_with("PASS") {
            *counted.lock().unwrap() += 1;
        }
    }));
    let served = serve(options, "");
    served.sandbox.run(["server-info"]).succeeds();
    assert_eq!(*sent.lock().unwrap(), 1);
}
