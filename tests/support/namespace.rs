//! A network of one's own: a test runs again inside a network namespace, where port 53, 443 and 995 of loopback are free,
//! and where the system's resolver asks a name server of ours.
//!
//! [`inside`] is called first thing by such a test.  In the namespace a [`Net`] is built: names with addresses of loopback, a
//! [`Dns`] server, a [`Web`] server with TLS.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use super::certificates::Certified;
use super::{installed, skip};

const INSIDE: &str = "POPFETCH_TEST_INSIDE";

/// Whether the rest of the test is to be run: in a namespace of its own.  Else the test `name` (as cargo calls it) is run
/// there now, and its failure is this one's; where this machine has no namespaces it is skipped.
#[track_caller]
pub fn inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        return true;
    }
    let (Some(unshare), Some(_)) = (installed("unshare"), installed("ip")) else { return false };
    let options = ["--map-root-user", "--net", "--mount"];
    if !Command::new(&unshare).args(options).arg("true").output().is_ok_and(|o| o.status.success()) {
        skip("this machine has no network namespaces");
        return false;
    }
    let output = Command::new(unshare)
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let shown =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "in its namespace: {shown}");
    assert!(shown.contains("1 passed"), "{name} is not the test's name: {shown}");
    false
}

/// Names and servers of a namespace.
pub struct Net {
    folder: tempfile::TempDir,
}

impl Net {
    /// These names have these last numbers of addresses: 127.0.0.N.  All others are looked up at 127.0.0.1.
    pub fn of(names: &[(&str, u8)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let net = Self { folder };
        let hosts: String = names.iter().map(|(name, n)| format!("127.0.0.{n} {name}\n")).collect();
        net.put("hosts", &format!("127.0.0.1 localhost\n{hosts}"), "/etc/hosts");
        net.put("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", "/etc/resolv.conf");
        net.put("nsswitch.conf", "hosts: files dns\npasswd: files\ngroup: files\n", "/etc/nsswitch.conf");
        net
    }

    /// Has a file stand in the place of one of the system's.
    fn put(&self, name: &str, text: &str, over: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mounted = Command::new("mount").args(["--bind"]).arg(&path).arg(over).status().unwrap();
        assert!(mounted.success(), "{over}");
    }

    /// The authorities that are trusted instead of the system's: for `SSL_CERT_FILE`.
    pub fn trust(&self, pem: &str) -> PathBuf {
        let path = self.folder.path().join("authorities.pem");
        std::fs::write(&path, pem).unwrap();
        path
    }
}

/// What a name server does when it is asked for one name and kind.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These records' data, as `srv` and `mx` make it.
    Records(Vec<Vec<u8>>),
    /// Nothing, ever.
    Silence,
    /// First these records under a wrong id, and for another name; then the right answer.
    Forged(Vec<Vec<u8>>, Vec<Vec<u8>>),
    /// Too long for a datagram: over TCP only.
    Truncated(Vec<Vec<u8>>),
    /// SERVFAIL.
    Fails,
    /// Octets that are no message.
    Garbage,
}

/// Record types.
pub const SRV: u16 = 33;
pub const MX: u16 = 15;

/// A name as it stands in a message.
pub fn name(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// The data of an SRV record.
pub fn srv(priority: u16, port: u16, target: &str) -> Vec<u8> {
    let numbers = [priority, 1, port].map(u16::to_be_bytes).concat();
    [numbers, name(target)].concat()
}

/// The data of an MX record.
pub fn mx(preference: u16, host: &str) -> Vec<u8> {
    [preference.to_be_bytes().to_vec(), name(host)].concat()
}

/// A name server on 127.0.0.1, port 53, by UDP and TCP.  What it isn't set up for doesn't exist.
pub struct Dns {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    pub fn start(replies: &[(&str, u16, Reply)]) -> Self {
        let table: BTreeMap<(String, u16), Reply> =
            replies.iter().map(|(name, kind, reply)| (((*name).to_owned(), *kind), reply.clone())).collect();
        let table = Arc::new(table);
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        let (udp, tcp) = (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
        thread::spawn({
            let (table, asked) = (Arc::clone(&table), Arc::clone(&asked));
            move || {
                let mut buffer = [0; 4096];
                while let Ok((octets, from)) = udp.recv_from(&mut buffer) {
                    for answer in answers(&buffer[..octets], &table, Some(&asked)) {
                        let _ = udp.send_to(&answer, from);
                    }
                }
            }
        });
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                if stream.read_exact(&mut length).is_err() {
                    continue;
                }
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut question).is_err() {
                    continue;
                }
                for answer in answers(&question, &table, None) {
                    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                    let _ = stream.write_all(&[length.to_vec(), answer].concat());
                }
            }
        });
        Self { asked }
    }

    /// The names that were asked for, with the numbers of their types.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The messages that answer a question; `log` is given for datagrams.
fn answers(
    question: &[u8],
    table: &BTreeMap<(String, u16), Reply>,
    log: Option<&Arc<Mutex<Vec<String>>>>,
) -> Vec<Vec<u8>> {
    let (asked, kind, end) = asked_for(question);
    if let Some(log) = log {
        log.lock().unwrap().push(format!("{asked} {kind}"));
    }
    let message = |id: &[u8], flags: [u8; 2], records: &[Vec<u8>], own: &[u8]| {
        let mut octets = [id, &flags, &[0, 1], &(records.len() as u16).to_be_bytes(), &[0; 4], own].concat();
        for record in records {
            // The owner is the question's name, by a pointer.
            octets.extend([0xc0, 12]);
            octets.extend(kind.to_be_bytes());
            octets.extend([0, 1, 0, 0, 0, 60]);
            octets.extend((record.len() as u16).to_be_bytes());
            octets.extend(record);
        }
        octets
    };
    let (id, own) = (&question[..2], &question[12..end]);
    let good = |records: &[Vec<u8>]| message(id, [0x81, 0x80], records, own);
    match table.get(&(asked.clone(), kind)) {
        None => vec![message(id, [0x81, 0x83], &[], own)],
        Some(Reply::Records(records)) => vec![good(records)],
        Some(Reply::Silence) => vec![],
        Some(Reply::Forged(forged, records)) => {
            let other = [name("other.example"), kind.to_be_bytes().to_vec(), vec![0, 1]].concat();
            let wrong_id = [question[0] ^ 0xff, question[1]];
            vec![
                message(&wrong_id, [0x81, 0x80], forged, own),
                message(id, [0x81, 0x80], forged, &other),
                good(records),
            ]
        }
        Some(Reply::Truncated(_)) if log.is_some() => vec![message(id, [0x83, 0x80], &[], own)],
        Some(Reply::Truncated(records)) => vec![good(records)],
        Some(Reply::Fails) => vec![message(id, [0x81, 0x82], &[], own)],
        Some(Reply::Garbage) => vec![b"\xff\xfe\0garbage".to_vec()],
    }
}

/// The name and the type that a question is about, and where it ends.
fn asked_for(question: &[u8]) -> (String, u16, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..at + 1 + length]).to_lowercase());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    (labels.join("."), kind, at + 5)
}

/// A web server with TLS on port 443 of an address.  It gives each path its text, and any other a 404; a path whose text is
/// `…` is never answered.
pub struct Web {
    requests: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub fn start(address: impl Into<IpAddr>, certified: &Certified, pages: &[(&str, String)]) -> Self {
        let listener = TcpListener::bind((address.into(), 443)).unwrap();
        let acceptor = certified.acceptor();
        let pages: BTreeMap<String, String> =
            pages.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = acceptor.accept(stream.unwrap()) else { continue };
                let mut head = Vec::new();
                let mut buffer = [0; 1024];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(octets) if octets > 0 => head.extend_from_slice(&buffer[..octets]),
                        _ => break,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                log.lock().unwrap().push(head);
                let answer = match pages.get(&path).map(String::as_str) {
                    Some("…") => {
                        thread::spawn(move || {
                            thread::sleep(std::time::Duration::from_secs(60));
                            drop(stream);
                        });
                        continue;
                    }
                    Some(text) if text.starts_with("HTTP/") => text.to_owned(),
                    Some(text) => {
                        format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{text}",
                            text.len()
                        )
                    }
                    None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                };
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown();
            }
        });
        Self { requests }
    }

    /// The heads of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
