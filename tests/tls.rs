//! TLS through the binary: group T of the test cases (RFC 2595 §4; RFC 8314; RFC 9525).  A server that isn't the one
//! that was meant gets no word of ours, and nobody in the middle gets one in clear.

use crate::mailbox::{PASSWORD, named_account};
use crate::support::certificates::{Authority, Certified, Leaf};
use crate::support::mail;
use crate::support::mailboxes::{Maildir, assert_same};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, Transcript, expect, send};
use crate::support::server::{Cut, Message, Options, Server, Tls};

/// A sandbox whose account `work` trusts this authority; `host` stands in the place of 127.0.0.1.
fn sandbox(authority: &Authority, host: &str, port: u16, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    authority.write(&sandbox.path("ca.pem"));
    let trust = if more.contains("tls-fingerprint") { "" } else { "ca-file = \"~/ca.pem\"\n" };
    let config = named_account("work", port, &format!("password = \"{PASSWORD}\"\n{trust}{more}"));
    sandbox.config(config.replace("127.0.0.1", host));
    sandbox
}

/// A run with `tls = "starttls"` against this script, whose server has a good certificate.
#[track_caller]
fn starttls(more: &str, script: Vec<Step>) -> (Run, Transcript) {
    let authority = Authority::new();
    let server = Scripted::start_tls(authority.issue(&Leaf::default()), vec![script]);
    let run =
        sandbox(&authority, "127.0.0.1", server.port(), &format!("tls = \"starttls\"\n{more}")).run([""; 0]);
    (run, server.finish().remove(0))
}

/// What follows a handshake: a login, and an empty maildrop.
fn login() -> Vec<Step> {
    vec![
        expect("CAPA"),
        send("+OK\r\nUSER\r\n.\r\n"),
        expect("USER me"),
        send("+OK\r\n"),
        expect(format!("PASS {PASSWORD}")),
        send("+OK\r\n"),
        Step::EmptyMaildrop,
    ]
}

#[test]
fn octets_before_the_handshake_end_the_session() {
    for injected in [
        "+OK injected\r\n",
        "x",
        "+OK injected",
        "\r\n",
        "-ERR\r\n+OK user accepted\r\n+OK authenticated\r\n",
    ] {
        let script =
            vec![send("+OK\r\n"), expect("STLS"), send(format!("+OK\r\n{injected}")), Step::ExpectEnd];
        let (run, session) = starttls("", script);
        run.exits(76).complains("account \"work\": 127.0.0.1:").complains("attack");
        assert_eq!(session.lines(), ["STLS"], "{injected:?}");
    }
}

#[test]
fn no_login_without_stls() {
    for (answer, more, code) in [
        (vec![send("-ERR no\r\n"), Step::ExpectEnd], "", 76),
        (vec![send("-ERR [SYS/TEMP] no\r\n"), Step::ExpectEnd], "", 76),
        (vec![Step::Close], "", 75),
        (vec![Step::Reset], "", 75),
        (vec![Step::Stall], "timeout = \"1s\"", 75),
        (vec![send("+OK\r\n"), Step::Close], "", 75),
    ] {
        let script = [vec![send("+OK\r\n"), expect("STLS")], answer].concat();
        // One connection only: nothing is tried again in clear.
        let (run, session) = starttls(more, script);
        run.exits(code).complains("account \"work\": ").complains("127.0.0.1:");
        assert!(session.lines().first().is_some_and(|line| line == "STLS"), "{:?}", session.lines());
        let sent = String::from_utf8_lossy(&session.received).into_owned();
        assert!(!sent.contains("USER") && !sent.contains("AUTH") && !sent.contains(PASSWORD), "{sent}");
    }
    let (run, _) = starttls("", vec![send("+OK\r\n"), expect("STLS"), send("-ERR no\r\n"), Step::ExpectEnd]);
    run.complains("refused STLS").complains("hint: ").complains("tls = \"implicit\"");
}

#[test]
fn stls_is_sent_whatever_was_announced() {
    for greeting in ["+OK logged in", "+OK PREAUTH", "+OK [PREAUTH] welcome back me", "+OK"] {
        let secured = vec![send(format!("{greeting}\r\n")), expect("STLS"), send("+OK\r\n"), Step::StartTls];
        let (run, session) = starttls("", [secured, login()].concat());
        run.succeeds();
        assert!(session.tls);
        assert_eq!(session.lines()[..4], ["STLS", "CAPA", "USER me", "PASS tanstaaf"]);
    }
    // CAPA → -ERR, afterwards: USER and PASS are tried.
    let script = vec![
        send("+OK\r\n"),
        expect("STLS"),
        send("+OK\r\n"),
        Step::StartTls,
        expect("CAPA"),
        send("-ERR\r\n"),
        expect("USER me"),
        send("+OK\r\n"),
        expect("PASS tanstaaf"),
        send("+OK\r\n"),
        Step::EmptyMaildrop,
    ];
    starttls("", script).0.succeeds();
}

#[test]
fn stalled_handshake_times_out() {
    let (run, session) =
        starttls("timeout = \"1s\"", vec![send("+OK\r\n"), expect("STLS"), send("+OK\r\n"), Step::Stall]);
    run.exits(75).complains("the TLS handshake took longer than 1s");
    assert!(session.received.starts_with(b"STLS\r\n\x16\x03"));

    let authority = Authority::new();
    let server = Scripted::start(vec![vec![Step::Stall]]);
    let run = sandbox(&authority, "127.0.0.1", server.port(), "timeout = \"1s\"").run([""; 0]);
    run.exits(75).complains("the TLS handshake took longer than 1s").complains("127.0.0.1:");
    server.finish();
}

/// A run against a server with this certificate, which must be refused before anything is sent inside TLS.
#[track_caller]
fn refused(authority: &Authority, certified: Certified, host: &str, more: &str) -> Run {
    refused_after(1, authority, certified, host, more)
}

/// The same after this many connections: one whose chain is refused is looked at on a second one.
#[track_caller]
fn refused_after(
    connections: usize,
    authority: &Authority,
    certified: Certified,
    host: &str,
    more: &str,
) -> Run {
    let script = if more.contains("starttls") {
        vec![send("+OK\r\n"), expect("STLS"), send("+OK\r\n"), Step::StartTls]
    } else {
        vec![Step::StartTls]
    };
    let pin = certified.fingerprint();
    let server = Scripted::start_tls(certified, vec![script; connections]);
    let run = sandbox(authority, host, server.port(), more).run([""; 0]);
    run.exits(77).complains("certificate refused").complains("account \"work\": ").complains("hint: ");
    run.complains("it is valid from 20").complains(&format!("tls-fingerprint = \"{pin}\""));
    for session in server.finish() {
        let clear = if more.contains("starttls") { &b"STLS\r\n"[..] } else { b"" };
        assert!(session.received == clear || !session.tls, "{:?}", session.lines());
        assert!(!session.lines().iter().any(|line| line.contains("CAPA") || line.contains("USER")));
    }
    run
}

#[test]
fn each_bad_certificate_has_its_own_message() {
    let authority = Authority::new();
    for mode in ["tls = \"implicit\"", "tls = \"starttls\""] {
        let looked_at = |leaf: &Leaf| refused_after(2, &authority, authority.issue(leaf), "localhost", mode);
        looked_at(&Leaf::self_signed()).complains("self-signed").complains("`ca-file`");
        looked_at(&Leaf::expired()).complains("expired").complains("clock");
        looked_at(&Leaf { years: (2090, 2099), ..Leaf::default() }).complains("not valid yet");
        // For clients, not for servers.
        looked_at(&Leaf { client: true, ..Leaf::default() });
        let refused = |leaf: &Leaf| refused(&authority, authority.issue(leaf), "localhost", mode);
        refused(&Leaf::named(&["other.example.com"]))
            .complains("not for localhost but for other.example.com");
        refused(&Leaf::common_name_only("localhost")).complains("common name \"localhost\" does not count");
        for name in ["*", "*.*.x", "l*", "local*", "*host", "xn--localhost"] {
            refused(&Leaf::named(&[name])).complains("not for localhost but for").complains(name);
        }
    }
    let stranger = Authority::new();
    let run = refused_after(2, &stranger, authority.issue(&Leaf::default()), "localhost", "");
    run.complains("openssl s_client");
}

#[test]
fn certificate_text_is_printed_escaped() {
    let authority = Authority::new();
    let leaf = Leaf { common_name: Some("\x1b[2J\u{202e}gpj.exe".into()), ..Leaf::named(&[]) };
    let run = refused(&authority, authority.issue(&leaf), "localhost", "");
    run.never_says("\x1b").never_says("\u{202e}").complains("\\x1b[2J");
}

/// Runs against a server with this certificate: how it ended, and the name that the client asked for.
fn greeted(host: &str, names: &[&str]) -> (Run, Option<String>) {
    let authority = Authority::new();
    let script = [vec![Step::StartTls, send("+OK\r\n")], login()].concat();
    let server = Scripted::start_tls(authority.issue(&Leaf::named(names)), vec![script]);
    let run = sandbox(&authority, host, server.port(), "").run([""; 0]);
    let session = if run.code() == Some(0) { server.finish().remove(0) } else { Transcript::default() };
    (run, session.server_name)
}

#[test]
fn certificate_names_addresses_and_sni() {
    for (host, names, name_asked_for) in [
        ("localhost", &["localhost"][..], Some("localhost")),
        ("LocalHost.", &["LOCALHOST"], Some("localhost")),
        ("localhost", &["other.example.com", "localhost"], Some("localhost")),
        ("127.0.0.1", &["127.0.0.1"], None),
    ] {
        let (run, asked) = greeted(host, names);
        run.succeeds();
        assert_eq!(asked.as_deref(), name_asked_for, "{host}");
    }
    for (host, names) in
        [("127.0.0.1", ["localhost"]), ("localhost", ["127.0.0.1"]), ("127.0.0.1", ["127.0.0.2"])]
    {
        greeted(host, &names).0.exits(77).complains(host).complains(names[0]);
    }
}

#[test]
fn old_tls_is_refused() {
    // Alert 70, protocol_version: what a server sends that has 1.0 and 1.1 only.
    let server = Scripted::start(vec![vec![send(b"\x15\x03\x01\x00\x02\x02\x46")]]);
    let run = sandbox(&Authority::new(), "127.0.0.1", server.port(), "").run([""; 0]);
    run.exits(76).complains("TLS 1.2").complains("RFC 8996");
}

#[test]
fn other_handshake_failures_are_protocol_errors() {
    for alert in [40, 80, 47] {
        let server = Scripted::start(vec![vec![send([0x15, 3, 3, 0, 2, 2, alert])]]);
        let run = sandbox(&Authority::new(), "127.0.0.1", server.port(), "").run([""; 0]);
        run.exits(76).complains("handshake").complains("127.0.0.1:");
    }
}

fn served(messages: impl IntoIterator<Item = Message>, tls: fn(Certified) -> Tls) -> (Authority, Server) {
    let authority = Authority::new();
    let certified = authority.issue(&Leaf::default());
    let server = Server::start(Options { tls: tls(certified), ..Options::with("me", PASSWORD, messages) });
    (authority, server)
}

#[test]
fn mail_comes_over_implicit_tls_and_stls() {
    for (tls, mode) in [(Tls::Implicit as fn(_) -> _, "implicit"), (Tls::Stls, "starttls")] {
        let messages: Vec<Vec<u8>> = mail::samples().into_iter().map(|sample| sample.octets).collect();
        let (authority, server) = served(crate::support::server::numbered(&messages), tls);
        let more = format!("tls = \"{mode}\"\nleave-on-server = false");
        let sandbox = sandbox(&authority, "127.0.0.1", server.port(), &more);
        sandbox.run([""; 0]).succeeds();
        let expected = messages.iter().map(|message| mail::stored(message)).collect();
        assert_same(Maildir::read(&sandbox.path("work")).messages(), expected);
        assert_eq!(server.unique_ids("me"), [""; 0]);
    }
}

#[test]
fn end_without_close_notify() {
    let whole = Message::new("a", mail::message(1, 400));
    let cut = Message::new("b", mail::message(2, 4000)).cut_after(2000);
    let (authority, server) = served([whole, cut], Tls::Implicit);
    let sandbox = sandbox(&authority, "127.0.0.1", server.port(), "");
    sandbox.run([""; 0]).exits(75);
    assert_same(Maildir::read(&sandbox.path("work")).messages(), vec![mail::stored(&mail::message(1, 400))]);
    assert!(Maildir::read(&sandbox.path("work")).tmp.is_empty());

    // The answer to QUIT is the end; what the server does with the connection then does not matter.
    let script = [vec![Step::StartTls, send("+OK\r\n")], login(), vec![Step::Close]].concat();
    let authority = Authority::new();
    let server = Scripted::start_tls(authority.issue(&Leaf::default()), vec![script]);
    self::sandbox(&authority, "127.0.0.1", server.port(), "").run([""; 0]).succeeds();
    server.finish();
}

#[test]
fn tls_session_cut_anywhere_delivers_nothing_twice() {
    let messages: Vec<Message> =
        (1..=3).map(|n| Message::new(format!("u{n}"), mail::message(n, 500))).collect();
    let (authority, server) = served(messages, Tls::Implicit);
    let expected: Vec<_> = (1..=3).map(|n| mail::stored(&mail::message(n, 500))).collect();
    sandbox(&authority, "127.0.0.1", server.port(), "").run([""; 0]).succeeds();
    let octets = server.octets_sent(1);
    for at in (1..octets).step_by(usize::try_from(octets / 12).unwrap()) {
        let sandbox = sandbox(&authority, "127.0.0.1", server.port(), "");
        server.change(|options| options.cut = Some(Cut::After(at)));
        let first = sandbox.run([""; 0]);
        assert!(matches!(first.code(), Some(75 | 0)), "{at}: {}", first.shown());
        server.change(|options| options.cut = None);
        sandbox.run([""; 0]).succeeds();
        assert_same(Maildir::read(&sandbox.path("work")).messages(), expected.clone());
    }
}

#[test]
fn pinned_certificate_replaces_chain_dates_and_name() {
    let authority = Authority::new();
    for leaf in [
        Leaf::default(),
        Leaf::self_signed(),
        Leaf::expired(),
        Leaf::named(&["other.example.com"]),
        Leaf::common_name_only("x"),
    ] {
        let certified = authority.issue(&leaf);
        let fingerprint = certified.fingerprint();
        let digits = fingerprint.strip_prefix("sha256:").unwrap().to_uppercase();
        let pairs: Vec<&str> = (0..32).map(|at| &digits[2 * at..2 * at + 2]).collect();
        let with_colons = format!("sha256:{}", pairs.join(":"));
        for pin in [
            format!("\"{fingerprint}\""),
            format!("\"{with_colons}\""),
            format!("[\"sha256:{}\", \"{fingerprint}\"]", "0".repeat(64)),
        ] {
            let script = [vec![Step::StartTls, send("+OK\r\n")], login()].concat();
            let server = Scripted::start_tls(certified.clone(), vec![script]);
            let sandbox =
                sandbox(&authority, "127.0.0.1", server.port(), &format!("tls-fingerprint = {pin}"));
            sandbox.run([""; 0]).succeeds();
            server.finish();
        }
    }
}

#[test]
fn other_certificate_than_the_pinned_one_is_refused() {
    let authority = Authority::new();
    for mode in ["implicit", "starttls"] {
        // Good in every other way.
        let certified = authority.issue(&Leaf::default());
        let seen = certified.fingerprint();
        let pin = authority.issue(&Leaf::default()).fingerprint();
        let more = format!("tls = \"{mode}\"\ntls-fingerprint = \"{pin}\"\nca-file = \"~/ca.pem\"");
        let run = refused(&authority, certified, "127.0.0.1", &more);
        run.complains(&seen).complains("not pinned");
    }
}

#[test]
fn files_of_trust_that_are_of_no_use() {
    let authority = Authority::new();
    let server = Scripted::start(vec![]);
    let sandbox = Sandbox::new();
    sandbox.write("garbage.pem", "garbage");
    sandbox.write("good.pem", authority.pem());
    for (key, more, mentions) in [
        ("ca-file", "ca-file = \"~/missing.pem\"", "missing.pem"),
        ("ca-file", "ca-file = \"~/garbage.pem\"", "garbage.pem"),
        (
            "tls-client-certificate",
            "tls-client-certificate = \"~/missing.pem\"\ntls-client-key = \"~/garbage.pem\"",
            "missing.pem",
        ),
        (
            "tls-client-key",
            "tls-client-certificate = \"~/good.pem\"\ntls-client-key = \"~/garbage.pem\"",
            "garbage.pem",
        ),
    ] {
        sandbox.config(named_account("work", server.port(), &format!("password = \"x\"\n{more}")));
        let run = sandbox.run([""; 0]);
        run.exits(78).complains(key).complains(mentions);
    }
}

#[test]
fn v_shows_the_version_of_tls() {
    let authority = Authority::new();
    let script = [vec![send("+OK\r\n"), expect("STLS"), send("+OK\r\n"), Step::StartTls], login()].concat();
    let server = Scripted::start_tls(authority.issue(&Leaf::default()), vec![script]);
    let run = sandbox(&authority, "127.0.0.1", server.port(), "tls = \"starttls\"\n").run(["-v"]);
    run.succeeds().complains("work: logged in with USER over TLS 1.").never_says(PASSWORD);
}
