//! Connections over loopback, to servers that are a thread each.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use native_tls::{Identity, Protocol, TlsAcceptor, TlsStream};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use sha2::{Digest, Sha256};

use super::{Channel, Connection, Connectors, Error, Security, Target, Trust, Wake};
use crate::exit::ExitCode;
use crate::stop::Stop;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

/// An authority that `ca-file` can name, in a folder that lasts as long as the test binary.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Test authority");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
    Authority { issuer: Issuer::new(params, key), file, _folder: folder }
});

static CONNECTORS: LazyLock<Connectors> = LazyLock::new(Connectors::new);

struct Leaf {
    der: Vec<u8>,
    pem: String,
    key: KeyPair,
}

impl Leaf {
    fn signed(change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::make(KeyPair::generate().unwrap(), change, true)
    }

    fn make(key: KeyPair, change: impl FnOnce(&mut CertificateParams), signed: bool) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        change(&mut params);
        let certificate = if signed {
            params.signed_by(&key, &AUTHORITY.issuer).unwrap()
        } else {
            params.self_signed(&key).unwrap()
        };
        Self { der: certificate.der().to_vec(), pem: certificate.pem(), key }
    }

    fn identity(&self) -> Identity {
        Identity::from_pkcs8(self.pem.as_bytes(), self.key.serialize_pem().as_bytes()).unwrap()
    }

    fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn good() -> Leaf {
    Leaf::signed(|params| params.subject_alt_names.push(dns("localhost")))
}

fn by_authority() -> Trust {
    Trust { ca_file: Some(AUTHORITY.file.clone()), ..Trust::default() }
}

/// Serves one connection.
fn serve<T: Send + 'static>(work: impl FnOnce(TcpStream) -> T + Send + 'static) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, thread::spawn(move || work(listener.accept().unwrap().0)))
}

/// Serves one connection over TLS; a handshake that fails ends it.
fn serve_tls(leaf: &Leaf, work: impl FnOnce(TlsStream<TcpStream>) + Send + 'static) -> (u16, JoinHandle<()>) {
    let acceptor = TlsAcceptor::new(leaf.identity()).unwrap();
    serve(move |socket| {
        if let Ok(stream) = acceptor.accept(socket) {
            work(stream);
        }
    })
}

fn target<'a>(host: &'a str, port: u16, security: Security, trust: &'a Trust) -> Target<'a> {
    Target { host, port, security, trust, timeout: LONG }
}

fn open(host: &str, port: u16, trust: &Trust) -> Result<Connection, Error> {
    Connection::open(&target(host, port, Security::Implicit, trust), &CONNECTORS, &Stop::new().unwrap())
}

fn open_clear(port: u16) -> Connection {
    let trust = Trust::default();
    let target = target("127.0.0.1", port, Security::None, &trust);
    Connection::open(&target, &CONNECTORS, &Stop::new().unwrap()).unwrap()
}

/// Reads on until `octets` have come, or the end.
fn take(connection: &mut Connection, octets: usize) -> Vec<u8> {
    let (mut taken, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    let until = Instant::now() + LONG;
    while taken.len() < octets {
        match connection.read(&mut buffer).unwrap() {
            Some(0) => break,
            Some(read) => taken.extend_from_slice(&buffer[..read]),
            None => assert_eq!(connection.wait(false, until, false, None).unwrap(), Wake::Ready),
        }
    }
    taken
}

fn give(connection: &mut Connection, mut octets: &[u8]) {
    let until = Instant::now() + LONG;
    while !octets.is_empty() {
        match connection.write(octets).unwrap() {
            Some(written) => octets = &octets[written..],
            None => assert_eq!(connection.wait(true, until, false, None).unwrap(), Wake::Ready),
        }
    }
}

fn says_hello(mut stream: impl Read + Write) {
    stream.write_all(b"+OK hello\r\n").unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"QUIT\r\n");
}

#[test]
fn t6_t7_certificates() {
    let by_authority = by_authority();
    let self_signed = Leaf::make(
        KeyPair::generate().unwrap(),
        |params| params.subject_alt_names.push(dns("localhost")),
        false,
    );
    let named = |names: &'static [&'static str]| {
        Leaf::signed(move |params| params.subject_alt_names.extend(names.iter().map(|name| dns(name))))
    };
    let dated = |from, to| {
        Leaf::signed(move |params| {
            params.subject_alt_names.push(dns("localhost"));
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
        })
    };
    let address = Leaf::signed(|params| {
        params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    });
    // name, leaf, host, what is said if it's refused; all but the first by an authority that's trusted
    let cases = [
        ("good", good(), "localhost", None),
        ("case", named(&["LocalHost"]), "localhost", None),
        ("address", address, "127.0.0.1", None),
        ("self-signed", self_signed, "localhost", Some("it is self-signed")),
        ("expired", dated(2000, 2001), "localhost", Some("it has expired")),
        ("not yet", dated(2200, 2201), "localhost", Some("it is not valid yet")),
        (
            "wrong name",
            named(&["pop.example.com", "*.example.org"]),
            "localhost",
            Some("it is not for localhost but for pop.example.com, *.example.org"),
        ),
        (
            "common name",
            Leaf::signed(|_| ()),
            "localhost",
            Some("it has no subjectAltName for a server; its common name \"localhost\" does not count"),
        ),
        (
            "address as a name",
            named(&["127.0.0.1"]),
            "127.0.0.1",
            Some("it is not for 127.0.0.1 but for 127.0.0.1"),
        ),
    ];
    for (name, leaf, host, refusal) in cases {
        let (port, server) = serve_tls(&leaf, |mut stream| {
            // A client that refuses says nothing.
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            assert_eq!(said, b"");
        });
        match (open(host, port, &by_authority), refusal) {
            (Ok(connection), None) => {
                assert_eq!(connection.channel(), Channel::Tls);
                connection.close();
            }
            (Err(error), Some(refusal)) => {
                let text = error.to_string();
                let start = format!("{host}:{port}: certificate refused: {refusal}");
                assert!(text.starts_with(&start), "{name}: {text}");
                assert_eq!((error.exit_code(), error.is_transient()), (ExitCode::Refused, false), "{name}");
                assert!(error.hint().unwrap().contains(&format!("-connect {host}:{port}")), "{name}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
        server.join().unwrap();
    }
}

#[test]
fn an_authority_that_nobody_knows_is_refused() {
    let (port, server) = serve_tls(&good(), |_| panic!("the client went on"));
    let error = open("localhost", port, &Trust::default()).unwrap_err();
    assert!(error.to_string().contains("its issuer is unknown here"), "{error}");
    assert_eq!(error.exit_code(), ExitCode::Refused);
    server.join().unwrap();
}

#[test]
fn t13_a_pinned_fingerprint_replaces_everything_else() {
    // Self-signed, expired, and for another name.
    let leaf = Leaf::make(
        KeyPair::generate().unwrap(),
        |params| {
            params.subject_alt_names.push(dns("other.example.com"));
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        },
        false,
    );
    let pinned = |fingerprints| Trust { fingerprints, ..Trust::default() };
    let (port, server) = serve_tls(&leaf, says_hello);
    let mut connection = open("localhost", port, &pinned(vec![[7; 32], leaf.fingerprint()])).unwrap();
    assert_eq!(take(&mut connection, 11), b"+OK hello\r\n");
    give(&mut connection, b"QUIT\r\n");
    server.join().unwrap();

    // A certificate that would otherwise be good is refused when another one is pinned.
    let leaf = good();
    let trust = Trust { fingerprints: vec![[7; 32]], ..by_authority() };
    let (port, server) = serve_tls(&leaf, |mut stream| assert!(!matches!(stream.read(&mut [0]), Ok(1))));
    let error = open("localhost", port, &trust).unwrap_err();
    let hex: String = leaf.fingerprint().iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(error.to_string().contains(&format!("sha256:{hex}, which is not pinned")), "{error}");
    assert_eq!(error.exit_code(), ExitCode::Refused);
    server.join().unwrap();
}

/// What a TLS client makes of a server that answers its first octets with these, and closes.
fn answered(reply: &'static [u8]) -> Error {
    let (port, server) = serve(move |mut socket| {
        let mut hello = [0; 16 * 1024];
        let _ = socket.read(&mut hello).unwrap();
        socket.write_all(reply).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        // Until the client has closed: a reset would overtake the answer.
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let error = open("localhost", port, &by_authority()).unwrap_err();
    server.join().unwrap();
    error
}

#[test]
fn handshakes_that_fail() {
    // A ServerHello of TLS 1.1.
    const TLS_1_1: &[u8] = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02\
        0123456789abcdef0123456789abcdef\x00\x00\x2f\x00";
    // name, what the server answers, exit code, part of the error, part of the hint
    type Case = (&'static str, &'static [u8], ExitCode, &'static str, Option<&'static str>);
    let cases: [Case; 7] = [
        ("G5 end of file", b"", ExitCode::Later, "closed the connection during the TLS handshake", None),
        (
            "G7 POP3 in clear",
            b"+OK Dovecot \x1bready.\r\n",
            ExitCode::Protocol,
            "does not speak TLS: it said \"+OK Dovecot \\x1bready.\"",
            Some("starttls"),
        ),
        (
            "something else",
            b"220 mail ESMTP\r\n",
            ExitCode::Protocol,
            "it said \"220 mail ESMTP\"",
            Some("port"),
        ),
        (
            "T8 alert protocol_version",
            b"\x15\x03\x01\0\x02\x02\x46",
            ExitCode::Protocol,
            "offers no TLS 1.2",
            Some("updated"),
        ),
        ("T8 TLS 1.1 chosen", TLS_1_1, ExitCode::Protocol, "offers no TLS 1.2", Some("updated")),
        (
            "alert handshake_failure",
            b"\x15\x03\x03\0\x02\x02\x28",
            ExitCode::Protocol,
            "alert handshake failure",
            None,
        ),
        (
            "alert unknown_ca",
            b"\x15\x03\x03\0\x02\x02\x30",
            ExitCode::Refused,
            "refused the client certificate",
            Some("key"),
        ),
    ];
    for (name, reply, exit, text, hint) in cases {
        let error = answered(reply);
        assert!(error.to_string().contains(text), "{name}: {error}");
        assert!(error.to_string().contains("localhost:"), "{name}: {error}");
        assert_eq!((error.exit_code(), error.is_transient()), (exit, exit == ExitCode::Later), "{name}");
        match (hint, error.hint()) {
            (None, None) => {}
            (Some(part), Some(hint)) => assert!(hint.contains(part), "{name}: {hint}"),
            (_, hint) => panic!("{name}: {hint:?}"),
        }
    }
}

#[test]
fn t8_a_server_of_old_versions_only() {
    let mut builder = TlsAcceptor::builder(good().identity());
    builder.min_protocol_version(Some(Protocol::Tlsv11)).max_protocol_version(Some(Protocol::Tlsv11));
    // A TLS library may have none of the old versions left to test with; `handshakes_that_fail` has the octets.
    let Ok(acceptor) = builder.build() else { return };
    let (port, server) = serve(move |socket| acceptor.accept(socket).is_err());
    let error = open("localhost", port, &by_authority()).unwrap_err();
    assert!(matches!(error, Error::Version { .. }), "{error}");
    assert!(server.join().unwrap());
}

#[test]
fn a_reset_during_the_handshake_is_passing() {
    let (port, server) = serve(|socket| {
        let _ = (&socket).read(&mut [0; 16]).unwrap();
        // Closing with unread octets resets.
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
    });
    let error = open("localhost", port, &by_authority()).unwrap_err();
    server.join().unwrap();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    assert_eq!(error.exit_code(), ExitCode::Later);
}

#[test]
fn t5_a_stalled_handshake_times_out() {
    let (port, server) = serve(|mut socket| socket.read_to_end(&mut Vec::new()).unwrap());
    let trust = by_authority();
    let target = Target { timeout: SHORT, ..target("127.0.0.1", port, Security::Implicit, &trust) };
    let error = Connection::open(&target, &CONNECTORS, &Stop::new().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), format!("127.0.0.1:{port}: the TLS handshake took longer than 300ms"));
    assert_eq!(error.exit_code(), ExitCode::Later);
    assert!(server.join().unwrap() > 0);
}

#[test]
fn a_signal_ends_a_handshake() {
    let stop = Stop::new().unwrap();
    let raising = stop.clone();
    let (port, server) = serve(move |mut socket| {
        raising.raise();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let trust = by_authority();
    let target = target("127.0.0.1", port, Security::Implicit, &trust);
    let error = Connection::open(&target, &CONNECTORS, &stop).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    server.join().unwrap();
}

#[test]
fn a_refused_connection_says_so() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let error = open("localhost", port, &Trust::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot connect to localhost:{port}: ")), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}: Connection refused")), "{text}");
    assert_eq!(error.exit_code(), ExitCode::Later);
}

#[test]
fn t9_the_server_is_named_by_sni_unless_by_its_address() {
    for (host, named) in [("localhost", true), ("127.0.0.1", false)] {
        let (port, server) = serve(|mut socket| {
            let mut header = [0; 5];
            socket.read_exact(&mut header).unwrap();
            let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            socket.read_exact(&mut hello).unwrap();
            hello
        });
        assert!(open(host, port, &by_authority()).is_err());
        let hello = server.join().unwrap();
        assert_eq!(hello.windows(host.len()).any(|octets| octets == host.as_bytes()), named, "{host}");
    }
}

#[test]
fn starttls_makes_a_clear_line_safe() {
    let acceptor = TlsAcceptor::new(good().identity()).unwrap();
    let (port, server) = serve(move |mut socket| {
        socket.write_all(b"+OK\r\n").unwrap();
        let mut stls = [0; 6];
        socket.read_exact(&mut stls).unwrap();
        assert_eq!(&stls, b"STLS\r\n");
        socket.write_all(b"+OK\r\n").unwrap();
        says_hello(acceptor.accept(socket).unwrap());
    });
    let trust = by_authority();
    let target = target("localhost", port, Security::StartTls, &trust);
    let mut connection = Connection::open(&target, &CONNECTORS, &Stop::new().unwrap()).unwrap();
    assert_eq!(connection.channel(), Channel::Loopback);
    assert_eq!(connection.end_point_binding(), None);
    assert_eq!(take(&mut connection, 5), b"+OK\r\n");
    give(&mut connection, b"STLS\r\n");
    assert_eq!(take(&mut connection, 5), b"+OK\r\n");
    let mut connection = connection.starttls(&target, &CONNECTORS).unwrap();
    assert_eq!(connection.channel(), Channel::Tls);
    assert_eq!(take(&mut connection, 11), b"+OK hello\r\n");
    give(&mut connection, b"QUIT\r\n");
    server.join().unwrap();
    assert!(matches!(connection.starttls(&target, &CONNECTORS), Err(Error::Nested { .. })));
}

#[test]
fn t1_clear_text_after_stls_is_told_from_other_failures() {
    let (port, server) = serve(|mut socket| {
        socket.write_all(b"+OK injected\r\n").unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let trust = by_authority();
    let target = target("127.0.0.1", port, Security::StartTls, &trust);
    let connection = Connection::open(&target, &CONNECTORS, &Stop::new().unwrap()).unwrap();
    let error = connection.starttls(&target, &CONNECTORS).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Protocol);
    assert!(error.hint().unwrap().contains("after STLS nothing may come in clear"), "{error}");
    server.join().unwrap();
}

#[test]
fn a_client_certificate_is_shown() {
    // native-tls cannot ask for one; that it is loaded, and files that are of no use, can be tested.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (mine, other) = (good(), good());
    let chain = at("chain", &mine.pem);
    let key = at("key", &mine.key.serialize_pem());
    let other_key = at("other", &other.key.serialize_pem());
    let old = at("old", "-----BEGIN EC PRIVATE KEY-----\n");
    let empty = at("empty", "");
    let missing = folder.path().join("missing");

    let with = |chain: &PathBuf, key: &PathBuf| Trust {
        client_certificate: Some((chain.clone(), key.clone())),
        ..by_authority()
    };
    let (port, server) = serve_tls(&good(), says_hello);
    let mut connection = open("localhost", port, &with(&chain, &key)).unwrap();
    give(&mut connection, b"QUIT\r\n");
    server.join().unwrap();

    let ca = |file: &PathBuf| Trust { ca_file: Some(file.clone()), ..Trust::default() };
    let cases = [
        (ca(&missing), "ca-file", "No such file"),
        (ca(&empty), "ca-file", "no certificate"),
        (with(&missing, &key), "tls-client-certificate", "No such file"),
        (with(&empty, &key), "tls-client-certificate", "no certificate"),
        (with(&chain, &missing), "tls-client-key", "No such file"),
        (with(&chain, &old), "tls-client-key", "PKCS#8"),
        (with(&chain, &other_key), "tls-client-key", "mismatch"),
    ];
    for (trust, setting, text) in cases {
        let (port, server) = serve(|_| ());
        let error = open("127.0.0.1", port, &trust).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Configuration);
        assert!(error.to_string().starts_with(setting) && error.to_string().contains(text), "{error}");
        assert_eq!(error.hint().is_some(), text == "PKCS#8", "{error}");
        server.join().unwrap();
    }
}

#[test]
fn end_point_bindings() {
    // ECDSA with SHA-256: SHA-256 of the certificate.  Ed25519: RFC 5929 defines none.
    let leaf = good();
    let add = |params: &mut CertificateParams| params.subject_alt_names.push(dns("localhost"));
    // RFC 8410 §10.3.  (OpenSSL does not read the form in which rcgen writes such keys.)
    let key = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let ed25519 = Leaf::make(KeyPair::from_pem(key).unwrap(), add, false);
    let cases = [
        (leaf.fingerprint(), Some(leaf.fingerprint().to_vec()), leaf),
        (ed25519.fingerprint(), None, ed25519),
    ];
    for (pin, binding, leaf) in cases {
        let (port, server) = serve_tls(&leaf, says_hello);
        let trust = Trust { fingerprints: vec![pin], ..Trust::default() };
        let mut connection = open("localhost", port, &trust).unwrap();
        assert_eq!(connection.end_point_binding().map(<[u8]>::to_vec), binding);
        give(&mut connection, b"QUIT\r\n");
        server.join().unwrap();
    }
}

#[test]
fn large_transfers_both_ways_at_once() {
    let data: Vec<u8> = (0..4_000_000_u32).flat_map(|n| n.to_le_bytes().into_iter().take(1)).collect();
    let echo = |mut stream: TlsStream<TcpStream>| {
        let mut buffer = vec![0; 50_000];
        loop {
            let read = stream.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            stream.write_all(&buffer[..read]).unwrap();
        }
    };
    let (port, server) = serve_tls(&good(), echo);
    let mut connection = open("localhost", port, &by_authority()).unwrap();
    let (mut sent, mut received, mut buffer) = (0, Vec::new(), vec![0; 100_000]);
    let until = Instant::now() + LONG;
    while received.len() < data.len() {
        let mut moved = false;
        while let Some(read) = connection.read(&mut buffer).unwrap() {
            assert_ne!(read, 0);
            received.extend_from_slice(&buffer[..read]);
            moved = true;
        }
        if sent < data.len()
            && let Some(written) = connection.write(&data[sent..]).unwrap()
        {
            sent += written;
            moved = true;
        }
        if !moved {
            assert_eq!(connection.wait(sent < data.len(), until, true, None).unwrap(), Wake::Ready);
        }
    }
    assert!(received == data);
    connection.close();
    server.join().unwrap();
}

#[test]
fn t10_the_end_of_the_stream_with_and_without_close_notify() {
    for notify in [true, false] {
        let (port, server) = serve_tls(&good(), move |mut stream| {
            stream.write_all(b"+OK bye\r\n").unwrap();
            if notify {
                stream.shutdown().unwrap();
            }
        });
        let mut connection = open("localhost", port, &by_authority()).unwrap();
        assert_eq!(take(&mut connection, 100), b"+OK bye\r\n", "notify: {notify}");
        let mut buffer = [0; 10];
        assert_eq!(connection.read(&mut buffer).unwrap(), Some(0), "the end stays the end");
        server.join().unwrap();
    }
}

#[test]
fn a_close_notify_ends_the_stream_while_tcp_stays() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (port, server) = serve_tls(&good(), move |mut stream| {
        stream.write_all(b"x").unwrap();
        let _ = stream.shutdown();
        // TCP is held open until the client has seen the end.
        let _ = (&theirs).read(&mut [0]);
    });
    let mut connection = open("localhost", port, &by_authority()).unwrap();
    assert_eq!(take(&mut connection, 100), b"x");
    drop(ours);
    server.join().unwrap();
}

#[test]
fn damaged_records_break_the_line() {
    let (port, server) = serve_tls(&good(), |mut stream| {
        stream.write_all(b"+OK\r\n").unwrap();
        // An application-data record that nobody encrypted.
        stream.get_mut().write_all(b"\x17\x03\x03\x00\x20abcdefghijklmnopqrstuvwxyz012345").unwrap();
        let _ = stream.get_mut().read_to_end(&mut Vec::new());
    });
    let mut connection = open("localhost", port, &by_authority()).unwrap();
    assert_eq!(take(&mut connection, 5), b"+OK\r\n");
    let mut buffer = [0; 100];
    let error = loop {
        match connection.read(&mut buffer) {
            Ok(None) => connection.wait(false, Instant::now() + LONG, false, None).unwrap(),
            Ok(Some(octets)) => panic!("{octets} octets"),
            Err(error) => break error,
        };
    };
    assert_eq!((error.exit_code(), error.is_transient()), (ExitCode::Later, true), "{error}");
    assert_eq!(connection.read(&mut buffer).unwrap(), Some(0), "a fault is told once");
    drop(connection);
    server.join().unwrap();
}

#[test]
fn a_clear_line_reads_writes_and_ends() {
    let (port, server) = serve(says_hello);
    let mut connection = open_clear(port);
    assert_eq!(connection.channel(), Channel::Loopback);
    assert_eq!(connection.peer(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    assert_eq!(connection.server(), format!("127.0.0.1:{port}"));
    assert_eq!(take(&mut connection, 11), b"+OK hello\r\n");
    assert_eq!(connection.read(&mut [0; 10]).unwrap(), None);
    assert_eq!(connection.read(&mut []).unwrap(), None);
    give(&mut connection, b"QUIT\r\n");
    assert_eq!(take(&mut connection, 1), b"");
    server.join().unwrap();
}

#[test]
fn a_reset_breaks_a_clear_line() {
    let (port, server) = serve(|socket| {
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
    });
    let mut connection = open_clear(port);
    server.join().unwrap();
    assert_eq!(connection.wait(false, Instant::now() + LONG, false, None).unwrap(), Wake::Ready);
    let error = connection.read(&mut [0; 10]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the connection to 127.0.0.1:{port} broke: Connection reset by peer")
    );
    assert_eq!(error.exit_code(), ExitCode::Later);
}

#[test]
fn what_ends_a_wait() {
    let (port, server) = serve(|mut socket| {
        socket.write_all(b"x").unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let trust = Trust::default();
    let stop = Stop::new().unwrap();
    let target = target("127.0.0.1", port, Security::None, &trust);
    let mut connection = Connection::open(&target, &CONNECTORS, &stop).unwrap();
    let (other, mut waker) = UnixStream::pair().unwrap();
    let other = Some(other.as_fd());
    let (past, later) = (Instant::now(), Instant::now() + LONG);

    assert_eq!(connection.wait(false, later, true, other).unwrap(), Wake::Ready);
    assert_eq!(take(&mut connection, 1), b"x");
    assert_eq!(connection.wait(false, past, true, other).unwrap(), Wake::TimedOut);
    assert_eq!(connection.wait(false, Instant::now() + SHORT / 10, true, other).unwrap(), Wake::TimedOut);
    assert_eq!(connection.wait(true, later, true, other).unwrap(), Wake::Ready, "there is room to write");
    waker.write_all(b"!").unwrap();
    assert_eq!(connection.wait(true, later, true, other).unwrap(), Wake::Woken);
    assert_eq!(connection.wait(true, later, true, None).unwrap(), Wake::Ready);
    stop.raise();
    assert_eq!(connection.wait(true, later, true, other).unwrap(), Wake::Stopped);
    assert_eq!(
        connection.wait(false, past, false, None).unwrap(),
        Wake::TimedOut,
        "the signal was not asked for"
    );
    drop(waker);
    assert_eq!(connection.wait(false, later, false, other).unwrap(), Wake::Woken);
    drop(connection);
    server.join().unwrap();
}
