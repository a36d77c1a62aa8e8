//! Connections over loopback, to servers that are a thread each.

mod handshake;
mod line;
mod ways;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use native_tls::{Identity, TlsAcceptor, TlsStream};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use sha2::{Digest, Sha256};

use super::{Connection, Connectors, Error, Target, Wake};
use crate::account::{DIRECT, Tls, Trust};
use crate::signals::Stop;

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

fn target<'a>(host: &'a str, port: u16, tls: Tls, trust: &'a Trust) -> Target<'a> {
    Target { host, port, way: &DIRECT, owner: None, tls, trust, timeout: LONG, without: &[] }
}

fn open(host: &str, port: u16, trust: &Trust) -> Result<Connection, Error> {
    Connection::open(&target(host, port, Tls::Implicit, trust), &CONNECTORS, &Stop::new().unwrap())
}

fn open_clear(port: u16) -> Connection {
    let trust = Trust::default();
    let target = target("127.0.0.1", port, Tls::None, &trust);
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
