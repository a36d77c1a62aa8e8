//! From the connection to the capabilities.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use super::{AUTOMATIC, PASSWORD, Server, Setup, USUAL, code, log_in, refused, session};
use crate::account::{Endpoint, Proxy, ProxyAddress, ProxyKind, ProxyLogin, Route, Tls, Trust, Way};
use crate::client::{Authorization, Call, Client, Error};
use crate::connection::Connectors;
use crate::protocol::capability::Capabilities;
use crate::protocol::sasl::Credentials;
use crate::secret::Secret;
use crate::signals::Stop;

const STARTTLS: Setup<'_> = Setup { tls: Tls::StartTls, ..USUAL };

#[test]
fn a_server_that_refuses_the_connection_is_quoted() {
    let e = refused("S: -ERR [SYS/TEMP] too many connections, later\n", &USUAL);
    assert!(
        e.to_string().ends_with("refused the connection: \"[SYS/TEMP] too many connections, later\""),
        "{e}"
    );
    assert_eq!((code(&e), e.is_locked()), (75, false));
    let e = refused("S: -ERR [IN-USE] you are here already\n", &USUAL);
    assert!(e.is_locked());
    let e = refused("S: -ERR [SYS/PERM] closed for good\n", &USUAL);
    assert_eq!(code(&e), 69);
}

#[test]
fn the_password_is_never_quoted_from_what_a_server_sends() {
    let e = refused("S: -ERR I know that tanstaaf is your password\n", &USUAL);
    assert!(e.to_string().ends_with("\"I know that *** is your password\""), "{e}");
}

#[test]
fn a_greeting_of_another_protocol_gets_no_command() {
    let e = refused("S: 220 ftp.example.com ready\n", &USUAL);
    assert_eq!(code(&e), 76);
    let e = refused("S: * OK IMAP4rev1\n", &USUAL);
    assert_eq!(code(&e), 76);
    let e = refused("S: \u{16}\u{3}\u{1}\n", &USUAL);
    assert!(e.to_string().contains("speaks TLS here"), "{e}");
}

#[test]
fn a_connection_that_is_closed_before_the_greeting_is_a_passing_failure() {
    let e = refused("S: (closes)\n", &USUAL);
    assert!(e.to_string().contains("closed the connection"), "{e}");
    assert_eq!(code(&e), 75);
}

#[test]
fn a_server_that_closes_the_connection_at_capa_is_asked_again_without_it() {
    let server = Server::new(&[
        "S: +OK\nC: CAPA\nS: (closes)\n",
        "S: +OK\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\n",
    ]);
    let client = log_in(server.port, &USUAL).unwrap();
    assert!(client.server_facts().capabilities.is_none());
    client.hang_up();
    assert_eq!(server.rest(), [""; 0]);
}

#[test]
fn a_server_without_capa_is_logged_in_to_by_user_and_pass() {
    // CAPA is refused: USER is all that is known, and this machine is the other end.
    let transcript = "S: +OK\nC: CAPA\nS: -ERR what?\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\n";
    session(transcript, &AUTOMATIC, |client| assert!(client.capabilities().is_none()));
}

#[test]
fn stls_comes_first_and_a_refusal_ends_the_session_before_any_name_is_sent() {
    let e = refused("S: +OK\nC: STLS\nS: -ERR no TLS here\n", &STARTTLS);
    assert!(matches!(e, Error::StlsRefused { .. }), "{e}");
    assert!(e.to_string().ends_with("refused STLS: \"no TLS here\""), "{e}");
    assert_eq!(code(&e), 76);
}

#[test]
fn what_was_put_behind_the_answer_to_stls_is_never_taken_for_the_servers_word() {
    for injected in ["+OK", "-ERR", "+OK\nS: +OK\nS: +OK", "x"] {
        let e = refused(&format!("S: +OK\nC: STLS\nS: +OK go ahead\nS: {injected}\n"), &STARTTLS);
        assert!(e.to_string().contains("octets in clear text followed"), "{injected}: {e}");
        assert_eq!(code(&e), 76);
    }
}

#[test]
fn an_answer_that_came_before_its_question_is_not_believed() {
    for setup in [STARTTLS, USUAL] {
        let e = refused("S: +OK\nS: +OK\n", &setup);
        assert!(e.to_string().contains("without having been asked"), "{e}");
        assert!(e.is_disorder());
    }
    // An unasked refusal is a farewell.
    let e = refused("S: +OK\nS: -ERR going down\n", &USUAL);
    assert!(e.is_farewell(), "{e}");
    assert_eq!(code(&e), 75);
}

#[test]
fn what_is_remembered_saves_the_question() {
    let transcript = "S: +OK\nC: AUTH PLAIN AG1lAHRhbnN0YWFm\nS: +OK\nC: CAPA\nS: +OK\nS: UIDL\nS: .\n";
    for (remembered, utf8) in [("SASL PLAIN", false), ("SASL PLAIN", true), ("UTF8\nSASL PLAIN", false)] {
        session(transcript, &Setup { remembered: Some(remembered), utf8, ..AUTOMATIC }, |client| {
            assert!(!client.server_facts().asked);
            assert!(client.announces_unique_ids());
        });
    }
}

#[test]
fn a_session_that_was_only_to_look_ends_in_order() {
    let server = Server::new(&["S: +OK ready\nC: CAPA\nS: -ERR\n"]);
    super::open(server.port, &USUAL).unwrap().leave();
    assert_eq!(server.rest(), ["QUIT"]);
}

#[test]
fn utf8_is_sent_only_to_a_server_that_lists_it_in_this_session() {
    let setup = Setup { remembered: Some("UTF8\nUSER"), utf8: true, ..USUAL };
    let transcript = "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: .\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\nC: CAPA\nS: -ERR\n";
    session(transcript, &setup, |client| {
        assert!(client.server_facts().asked);
        assert!(!client.login_facts().utf8 && !client.login_facts().utf8_offered);
    });
}

#[test]
fn a_capability_with_the_password_in_it_is_not_kept() {
    let transcript = "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: X-HINT tanstaaf\nS: SASL PLAIN\nS: .\n\
                      C: AUTH PLAIN AG1lAHRhbnN0YWFm\nS: +OK\nC: CAPA\nS: -ERR\n";
    session(transcript, &AUTOMATIC, |client| {
        let capabilities = client.server_facts().capabilities.as_ref().unwrap();
        assert!(capabilities.user() && !capabilities.has("X-HINT"));
        assert_eq!(client.server_facts().greeting, "");
    });
}

#[test]
fn the_greeting_is_kept_without_the_password_and_without_what_steers_a_terminal() {
    let transcript = super::LOGGED_IN.replace("+OK ready", "+OK \u{1b}[31m tanstaaf ready");
    session(&transcript, &USUAL, |client| {
        assert_eq!(client.server_facts().greeting, "\\x1b[31m *** ready");
        assert!(client.certificate().is_none());
    });
}

/// Opens a session at another machine, by a proxy on this one that gives these answers, each to a line that begins so.
fn by_proxy(
    answers: &'static [(&'static str, &'static str)],
    remembered: Option<&Capabilities>,
) -> Result<Client<Authorization>, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(USUAL.timeout)).unwrap();
        let mut lines = BufReader::new(&stream).lines();
        for (line, answer) in answers {
            // The client may have had enough.
            while lines.next().is_some_and(|came| came.is_ok_and(|came| !came.starts_with(line))) {}
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    let address = ProxyAddress::Tcp(Endpoint { host: "127.0.0.1".to_owned(), port });
    let login = Some(ProxyLogin { user: "me".to_owned(), password: Secret::new("Xyzzy-proxy") });
    let way = Way { route: Route::Proxy(Proxy { kind: ProxyKind::Http, address, login }), ..Way::default() };
    let (secret, trust) = (Secret::new(PASSWORD), Trust::default());
    let call = Call {
        credentials: Credentials { user: "me", secret: &secret, host: "pop.example.com", port: 110 },
        tls: Tls::None,
        trust: &trust,
        way: &way,
        owner: None,
        timeout: USUAL.timeout,
        connectors: &Connectors::new(),
        stop: &Stop::new().unwrap(),
        remembered,
        utf8: false,
        dialogue: None,
    };
    let opened = Client::open(&call);
    proxy.join().unwrap();
    opened
}

#[test]
fn what_a_proxy_repeats_of_its_password_is_not_shown() {
    let answers = &[("Proxy-Authorization", "HTTP/1.1 403 no entry by Xyzzy-proxy\r\n\r\n")];
    let error = by_proxy(answers, None).unwrap_err().to_string();
    assert!(error.contains("no entry by") && !error.contains("Xyzzy-proxy"), "{error}");
}

/// Others could have put it there.
#[test]
fn on_a_clear_line_the_server_is_asked_whatever_is_remembered() {
    let answers =
        &[("Proxy-Authorization", "HTTP/1.1 200 fine\r\n\r\n+OK ready\r\n"), ("CAPA", "+OK\r\nTOP\r\n.\r\n")];
    let client = by_proxy(answers, Some(&Capabilities::from_lines("SASL PLAIN"))).unwrap();
    assert!(client.facts.asked && client.facts.capabilities.as_ref().unwrap().top());
}
