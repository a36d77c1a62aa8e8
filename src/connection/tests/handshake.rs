//! Handshakes: who is trusted, and the errors about those who are not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use native_tls::{Protocol, TlsAcceptor};
use rcgen::{CertificateParams, KeyPair, SanType};

use super::{
    CONNECTORS, LONG, Leaf, SHORT, by_authority, dns, give, good, open, says_hello, serve, serve_tls, take,
    target,
};
use crate::account::{Tls, Trust};
use crate::connection::{Connection, Error, Target};
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::signals::Stop;
use crate::types::Channel;

#[test]
fn certificates_accepted_and_refused() {
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
    // name, leaf, host, the error if it's refused; all but the first by an authority that's trusted
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
            // A client that refuses sends nothing.
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

/// What stands in the hint: the days of the certificate, and a line for the configuration.
#[test]
fn a_refused_certificate_can_be_seen_and_pinned() {
    let days = |names: &'static str, signed, to| {
        let change = move |params: &mut CertificateParams| {
            params.subject_alt_names.push(dns(names));
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2000, 1, 2), rcgen::date_time_ymd(to, 3, 4));
        };
        Leaf::make(KeyPair::generate().unwrap(), change, signed)
    };
    for tls in [Tls::Implicit, Tls::StartTls] {
        for (leaf, last) in [
            (days("localhost", false, 2199), "2199-03-04"),
            (days("localhost", true, 2001), "2001-03-04"),
            (days("pop.example.com", true, 2199), "2199-03-04"),
        ] {
            let acceptor = TlsAcceptor::new(leaf.identity()).unwrap();
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            // The first for us, and perhaps a second one to look at it: both get the same answers.
            let server = move || {
                for mut socket in listener.incoming().map_while(Result::ok) {
                    let mut stls = [0; 6];
                    if tls == Tls::StartTls {
                        let _ = socket.write_all(b"+OK hello\r\n");
                        if socket.read_exact(&mut stls).is_err() || socket.write_all(b"+OK\r\n").is_err() {
                            continue;
                        }
                    }
                    let _ = acceptor.accept(socket);
                }
            };
            std::thread::spawn(server);
            let trust = by_authority();
            let target = target("localhost", port, tls, &trust);
            let opened = Connection::open(&target, &CONNECTORS, &Stop::new().unwrap());
            let outcome = match tls {
                Tls::StartTls => {
                    let mut clear = opened.unwrap();
                    assert_eq!(take(&mut clear, 11), b"+OK hello\r\n");
                    give(&mut clear, b"STLS\r\n");
                    assert_eq!(take(&mut clear, 5), b"+OK\r\n");
                    clear.starttls(&target, &CONNECTORS)
                }
                _ => opened,
            };
            let hint = outcome.unwrap_err().hint().unwrap().into_owned();
            let hex: String = leaf.fingerprint().iter().map(|octet| format!("{octet:02x}")).collect();
            assert!(hint.contains(&format!("it is valid from 2000-01-02 to {last}\n")), "{hint}");
            assert!(hint.contains(&format!("tls-fingerprint = \"sha256:{hex}\"\n")), "{hint}");
        }
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
fn pinned_fingerprint_replaces_everything_else() {
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
            b"+OK Dovecot \x1bready.\r\n-ERR unknown command\r\n",
            ExitCode::Protocol,
            "does not speak TLS: it sent \"+OK Dovecot \\x1bready.\"",
            Some("starttls"),
        ),
        (
            "something else",
            b"220 mail ESMTP\r\n",
            ExitCode::Protocol,
            "it sent \"220 mail ESMTP\"",
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
fn server_with_old_versions_only() {
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
fn stalled_handshake_times_out() {
    let (port, server) = serve(|mut socket| socket.read_to_end(&mut Vec::new()).unwrap());
    let trust = by_authority();
    let target = Target { timeout: SHORT, ..target("127.0.0.1", port, Tls::Implicit, &trust) };
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
    let target = target("127.0.0.1", port, Tls::Implicit, &trust);
    let error = Connection::open(&target, &CONNECTORS, &stop).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    server.join().unwrap();
}

#[test]
fn sni_names_the_server_unless_an_address_does() {
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
    let target = target("localhost", port, Tls::StartTls, &trust);
    let mut connection = Connection::open(&target, &CONNECTORS, &Stop::new().unwrap()).unwrap();
    assert_eq!(connection.channel(), Channel::Loopback);
    assert_eq!((connection.end_point_binding(), connection.certificate()), (None, None));
    assert_eq!(take(&mut connection, 5), b"+OK\r\n");
    give(&mut connection, b"STLS\r\n");
    assert_eq!(take(&mut connection, 5), b"+OK\r\n");
    let mut connection = connection.starttls(&target, &CONNECTORS).unwrap();
    assert_eq!(connection.channel(), Channel::Tls);
    assert!(connection.certificate().is_some_and(|leaf| !leaf.is_empty()));
    assert_eq!(take(&mut connection, 11), b"+OK hello\r\n");
    give(&mut connection, b"QUIT\r\n");
    server.join().unwrap();
    assert!(matches!(connection.starttls(&target, &CONNECTORS), Err(Error::Nested { .. })));
}

#[test]
fn clear_text_after_stls_has_its_own_error() {
    let (port, server) = serve(|mut socket| {
        socket.write_all(b"+OK injected\r\n").unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let trust = by_authority();
    let target = target("127.0.0.1", port, Tls::StartTls, &trust);
    let connection = Connection::open(&target, &CONNECTORS, &Stop::new().unwrap()).unwrap();
    let error = connection.starttls(&target, &CONNECTORS).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Protocol);
    assert!(error.hint().unwrap().contains("after STLS nothing may come in clear"), "{error}");
    server.join().unwrap();
}

/// Files for a client certificate, and a way to trust that shows it.
struct Client {
    folder: tempfile::TempDir,
}

impl Client {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn showing(chain: &Path, key: &Path) -> Trust {
        Trust { client_certificate: Some((chain.to_owned(), key.to_owned())), ..by_authority() }
    }
}

/// The openssl command; without it there is no test.
fn started(command: &mut Command) -> Option<std::process::Child> {
    let started = command.spawn().ok();
    if started.is_none() {
        assert!(std::env::var_os("POPFETCH_REQUIRE_SERVERS").is_none(), "openssl isn't installed");
        eprintln!("SKIPPED: the openssl command isn't installed");
    }
    started
}

#[test]
fn a_client_certificate_is_shown() {
    // native-tls's own server cannot ask for one; OpenSSL's can.
    let client = Client::new();
    let (server, mine) = (good(), good());
    let stranger = Leaf::make(KeyPair::generate().unwrap(), |_| (), false);
    let [chain, key] = [client.file("chain", &mine.pem), client.file("key", &mine.key.serialize_pem())];
    let [other_chain, other_key] =
        [client.file("other", &stranger.pem), client.file("other-key", &stranger.key.serialize_pem())];
    // As fetchmail's sslcert has it: both in one file, in either order.
    let both = client.file("both", &format!("{}{}", mine.pem, mine.key.serialize_pem()));
    let turned = client.file("turned", &format!("a key:\n{}{}", mine.key.serialize_pem(), mine.pem));
    let certificate = client.file("server", &server.pem);
    let server_key = client.file("server-key", &server.key.serialize_pem());

    for version in ["-tls1_2", "-tls1_3"] {
        let mut command = Command::new("openssl");
        command
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                version,
                "-rev",
                "-Verify",
                "1",
                "-verify_return_error",
            ])
            .arg("-CAfile")
            .arg(by_authority().ca_file.unwrap())
            .arg("-cert")
            .arg(&certificate)
            .arg("-key")
            .arg(&server_key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Some(mut server) = started(&mut command) else { return };
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok()).unwrap();
        // What it prints must not fill the pipe.
        let drain = std::thread::spawn(move || lines.count());

        // The server's verdict comes with the handshake in TLS 1.2, with the first read in TLS 1.3.
        let echoed = |trust: &Trust| -> Result<Option<usize>, Error> {
            let mut connection = open("localhost", port, trust)?;
            // A server that has refused already takes no more, but its alert can still be read.
            let _ = connection.write(b"abc\n");
            loop {
                match connection.read(&mut [0; 10])? {
                    None => connection.wait(false, Instant::now() + LONG, false, None)?,
                    octets => return Ok(octets),
                };
            }
        };
        for (chain, key) in [(&chain, &key), (&both, &both), (&turned, &turned)] {
            assert_eq!(echoed(&Client::showing(chain, key)).unwrap(), Some(4), "{version} {key:?}");
        }
        let error = echoed(&Client::showing(&other_chain, &other_key)).unwrap_err();
        assert!(matches!(error, Error::ClientCertificate { .. }), "{version}: {error}");
        assert_eq!(error.exit_code(), ExitCode::Refused, "{version}");
        // TLS 1.2 has no alert of its own for a certificate that is missing.
        let error = echoed(&by_authority()).unwrap_err();
        assert_eq!(
            matches!(error, Error::ClientCertificate { .. }),
            version == "-tls1_3",
            "{version}: {error}"
        );
        server.kill().unwrap();
        server.wait().unwrap();
        drain.join().unwrap();
    }
}

/// Our certificate is for the configured server, not for one that has taken its place.
#[test]
fn a_client_certificate_is_not_shown_to_another_server() {
    let client = Client::new();
    let (server, mine) = (good(), good());
    let other = Leaf::signed(|params| params.subject_alt_names.push(dns("pop.example.com")));
    let nameless = Leaf::signed(|_| ());
    let [chain, key] = [client.file("chain", &mine.pem), client.file("key", &mine.key.serialize_pem())];
    let pinned = |digest| Trust { fingerprints: vec![digest], ..Client::showing(&chain, &key) };
    // the server's leaf, whom we trust, whether the server may see our certificate
    let cases = [
        (&server, Client::showing(&chain, &key), true),
        (&server, pinned(server.fingerprint()), true),
        (&other, pinned(other.fingerprint()), true),
        (&other, Client::showing(&chain, &key), false),
        (&nameless, Client::showing(&chain, &key), false),
        (&server, pinned([7; 32]), false),
    ];
    for version in [&["-tls1_2"][..], &["-tls1_3"], &["-tls1_3", "-groups", "P-384"]] {
        for (number, (leaf, trust, meant)) in cases.iter().enumerate() {
            let mut command = Command::new("openssl");
            command
                .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-rev", "-msg", "-Verify", "1"])
                .args(version)
                .arg("-cert")
                .arg(client.file("server", &leaf.pem))
                .arg("-key")
                .arg(client.file("server-key", &leaf.key.serialize_pem()))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let Some(mut server) = started(&mut command) else { return };
            let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
            let port = lines.find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok()).unwrap();
            let drain = std::thread::spawn(move || lines.collect::<Vec<_>>());
            let outcome = open("localhost", port, trust).map(|mut connection| {
                give(&mut connection, b"abc\n");
                assert_eq!(take(&mut connection, 4), b"cba\n");
                connection.close();
            });
            assert_eq!(outcome.is_ok(), *meant, "{version:?} {number}: {outcome:?}");
            if let Err(error) = outcome {
                assert!(matches!(error, Error::Certificate { .. }), "{version:?} {number}: {error}");
            }
            server.wait().unwrap();
            // What the server got: `<<< TLS 1.3, Handshake [length 0318], Certificate`.
            let said = drain.join().unwrap();
            let shown = said.iter().any(|line| line.starts_with("<<<") && line.ends_with(", Certificate"));
            assert_eq!(shown, *meant, "{version:?} {number}: {said:#?}");
        }
    }
}

#[test]
fn files_that_are_of_no_use() {
    let client = Client::new();
    let (mine, other) = (good(), good());
    let [chain, key] = [client.file("chain", &mine.pem), client.file("key", &mine.key.serialize_pem())];
    let other_key = client.file("other", &other.key.serialize_pem());
    let old = client.file("old", "-----BEGIN EC PRIVATE KEY-----\n");
    let empty = client.file("empty", "");
    let missing = client.folder.path().join("missing");
    let mode = |name: &str, mode| {
        let path = client.file(name, &mine.key.serialize_pem());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let (open_key, changeable) = (mode("open", 0o644), mode("changeable", 0o606));
    let fifo = client.folder.path().join("fifo\u{1b}");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();

    let ca = |file: &Path| Trust { ca_file: Some(file.to_owned()), ..Trust::default() };
    let cases = [
        (ca(&missing), "ca-file", "No such file"),
        (ca(&empty), "ca-file", "no certificate"),
        (Client::showing(&missing, &key), "tls-client-certificate", "No such file"),
        (Client::showing(&empty, &key), "tls-client-certificate", "no certificate"),
        (Client::showing(&chain, &missing), "tls-client-key", "No such file"),
        (Client::showing(&chain, &old), "tls-client-key", "PKCS#8"),
        (Client::showing(&chain, &other_key), "tls-client-key", "mismatch"),
        (Client::showing(&chain, &open_key), "tls-client-key", "other users can read it (mode 644)"),
        (ca(&changeable), "ca-file", "everybody can change"),
        (Client::showing(&changeable, &key), "tls-client-certificate", "everybody can change"),
        (ca(&fifo), "ca-file", "fifo\\x1b: it is not a regular file"),
        (Client::showing(&chain, &fifo), "tls-client-key", "it is not a regular file"),
    ];
    for (trust, setting, text) in cases {
        let (port, server) = serve(|_| ());
        let error = open("127.0.0.1", port, &trust).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Configuration);
        assert!(error.to_string().starts_with(setting) && error.to_string().contains(text), "{error}");
        assert_eq!(error.hint().is_some(), !["no certificate", "mismatch"].contains(&text), "{error}");
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
