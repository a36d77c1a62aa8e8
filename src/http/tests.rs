//! Questions to servers on loopback, each a thread.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use native_tls::{Identity, TlsAcceptor};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::error::PORTAL;
use super::{Error, HttpWay, SignalEnds, Url, get, post_form};
use crate::account::{ConnectCommand, Endpoint, Proxy, ProxyAddress, ProxyKind, ProxyLogin, Route};
use crate::connection::{self, Connectors};
use crate::problem::{Problem as _, TRY_AGAIN};
use crate::secret::Secret;
use crate::signals::Stop;

/// Serves one connection in clear text: gives the request, to the end of its head and `body` octets more, and sends the
/// answer.
fn serve(answer: &'static [u8], body: usize) -> (Url, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let work = move || converse(listener.accept().unwrap().0, answer, body);
    (Url::parse(&format!("http://127.0.0.1:{port}/token?x=y")).unwrap(), thread::spawn(work))
}

fn converse(mut stream: impl Read + Write, answer: &[u8], body: usize) -> String {
    let (mut request, mut octet) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).unwrap();
        request.extend(octet);
    }
    let mut rest = vec![0; body];
    stream.read_exact(&mut rest).unwrap();
    request.extend(rest);
    stream.write_all(answer).unwrap();
    String::from_utf8(request).unwrap()
}

fn asked<T>(question: impl FnOnce(&HttpWay<'_>) -> T) -> T {
    let (connectors, stop) = (Connectors::new(), Stop::new().unwrap());
    question(&HttpWay::direct(&connectors, &stop))
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn a_question_is_one_request() {
    let (url, server) = serve(OK, 0);
    let answer = asked(|way| get(way, &url, "text/xml")).unwrap();
    assert_eq!((answer.status, answer.body.expose()), (200, &b"{}"[..]));
    let expected = format!(
        "GET /token?x=y HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: popfetch/{}\r\nAccept: text/xml\r\nConnection: \
         close\r\n\r\n",
        url.port(),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(server.join().unwrap(), expected);

    let (url, server) = serve(OK, 7);
    asked(|way| post_form(way, &url, &[("a", b"b"), ("c", b"d")])).unwrap();
    let request = server.join().unwrap();
    assert!(request.starts_with("POST /token?x=y HTTP/1.1\r\n"));
    assert!(request.contains("\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n"));
    assert!(request.ends_with("\r\n\r\na=b&c=d"));
}

#[test]
fn what_is_no_answer_is_an_error() {
    for (answer, expected, code, hint) in [
        (&b""[..], "closed the connection without an answer", 75, TRY_AGAIN),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
            "it ended the connection in the middle of its answer",
            75,
            TRY_AGAIN,
        ),
        (b"+OK ready\r\n", "it does not speak HTTP", 76, "check the address"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", "its answer is larger than 64 KiB", 76, PORTAL),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://portal.example/login?token=tanstaaf\r\n\r\n",
            "points to another address (status 302): https://portal.example/login",
            76,
            "a captive portal",
        ),
    ] {
        let (url, server) = serve(answer, 0);
        let error = asked(|way| get(way, &url, "*/*")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("127.0.0.1:") && text.ends_with(expected), "{text}");
        assert_eq!(error.exit_code().number(), code, "{text}");
        assert!(error.hint().unwrap_or_default().starts_with(hint), "{text}");
        server.join().unwrap();
    }
}

/// A server that takes a connection and its request, and answers nothing until it is let go.
fn silent() -> (Url, mpsc::Receiver<()>, mpsc::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let ((heard, hears), (go, wait)) = (mpsc::channel(), mpsc::channel::<()>());
    let server = thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        let mut buffer = [0; 1024];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        heard.send(()).unwrap();
        let _ = wait.recv();
        let _ = stream.write_all(OK);
    });
    (url, hears, go, server)
}

#[test]
fn an_answer_has_its_time() {
    let (url, _heard, go, server) = silent();
    let begun = Instant::now();
    let error =
        asked(|way| get(&HttpWay { limit: Duration::from_secs(1), ..*way }, &url, "*/*")).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }) && begun.elapsed() >= Duration::from_secs(1), "{error}");
    assert!(error.to_string().ends_with("did not answer within 1 s"));
    drop(go);
    server.join().unwrap();
}

#[test]
fn a_signal_ends_the_wait_but_for_a_request_whose_answer_is_needed() {
    for signal in [SignalEnds::Always, SignalEnds::BeforeItIsSent] {
        let (url, heard, go, server) = silent();
        let (connectors, stop) = (Connectors::new(), Stop::new().unwrap());
        let raising = stop.clone();
        let user = thread::spawn(move || {
            heard.recv().unwrap();
            raising.raise();
            go
        });
        let way = HttpWay { signal, ..HttpWay::direct(&connectors, &stop) };
        match signal {
            SignalEnds::Always => {
                assert!(matches!(get(&way, &url, "*/*"), Err(Error::Stopped { .. })));
                drop(user.join().unwrap());
            }
            SignalEnds::BeforeItIsSent => {
                let go = thread::spawn(move || user.join().unwrap().send(()).unwrap());
                assert_eq!(get(&way, &url, "*/*").unwrap().status, 200);
                go.join().unwrap();
            }
        }
        server.join().unwrap();
    }
}

#[test]
fn the_server_is_verified_by_chain_and_name() {
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::new(vec![]).unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Test authority");
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let ask = |name: &str, ca_file: Option<&Path>| {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let identity = Identity::from_pkcs8(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let acceptor = TlsAcceptor::new(identity).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url =
            Url::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port())).unwrap();
        let server = thread::spawn(move || {
            if let Ok(stream) = acceptor.accept(listener.accept().unwrap().0) {
                // One whose certificate is refused after the handshake hears nothing.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| converse(stream, OK, 0)));
            }
        });
        let answer = asked(|way| get(&HttpWay { ca_file, ..*way }, &url, "*/*"));
        drop(server);
        answer
    };
    assert_eq!(ask("localhost", Some(&authority)).unwrap().status, 200);
    for (name, ca_file) in [("localhost", None), ("elsewhere.example", Some(authority.as_path()))] {
        let error = ask(name, ca_file).unwrap_err();
        assert!(matches!(error, Error::Connection(connection::Error::Certificate { .. })), "{error}");
        assert_eq!(error.exit_code().number(), 77);
    }
}

#[test]
fn the_shapes_that_errors_have() {
    let stopped = Error::Stopped { server: "a.example:443".to_owned() };
    assert_eq!(stopped.shown(), "stopped by a signal while a.example:443 was asked");
    let clear = Error::Clear { server: "127.0.0.1:80".to_owned() };
    assert_eq!(
        clear.shown(),
        "the way to 127.0.0.1:80 is not protected, and nothing was sent\n\nhint: use an address that begins with https://"
    );
}

#[test]
fn of_the_way_to_the_mail_server_only_the_proxy_is_gone() {
    let by = |route| crate::account::Way { route, ..crate::account::Way::default() };
    // What connects to the mail server doesn't connect to others.
    let nowhere = Endpoint { host: "127.0.0.1".to_owned(), port: 1 };
    for route in [
        Route::Command(ConnectCommand::Shell("exit 1".to_owned())),
        Route::Socket("/nowhere/pop3".into()),
        Route::ConnectTo(nowhere),
    ] {
        let (url, server) = serve(OK, 0);
        let route = by(route);
        asked(|way| get(&HttpWay { route: &route, ..*way }, &url, "*/*")).unwrap();
        server.join().unwrap();
    }
    // A proxy does, and is asked for the name; nothing follows in clear text.
    let by_proxy = |answer: &'static [u8]| {
        let (at, proxy) = serve(answer, 0);
        let login = Some(ProxyLogin { user: "anna".to_owned(), password: Secret::new("hunter2") });
        let address = ProxyAddress::Tcp(Endpoint { host: at.host().to_owned(), port: at.port() });
        let route = by(Route::Proxy(Proxy { kind: ProxyKind::Http, address, login }));
        let url = Url::parse("http://127.0.0.1:2/token").unwrap();
        let error = asked(|way| get(&HttpWay { route: &route, ..*way }, &url, "*/*")).unwrap_err();
        let request = proxy.join().unwrap();
        assert!(
            request.starts_with("CONNECT 127.0.0.1:2 HTTP/1.1\r\n")
                && request.ends_with("YW5uYTpodW50ZXIy\r\n\r\n"),
            "{request}"
        );
        error
    };
    let error = by_proxy(b"HTTP/1.1 200 OK\r\n\r\n");
    assert!(matches!(error, Error::Clear { .. }), "{error}");
    let error = by_proxy(b"HTTP/1.1 403 not you, anna:hunter2 YW5uYTpodW50ZXIy\r\n\r\n");
    let text = format!("{error} {error:?}");
    assert!(error.exit_code().number() == 78 && text.contains("403 not you"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("YW5uYTpodW50ZXIy"), "{text}");
}
