//! Asks the system's name servers: a datagram to each in turn, and TCP for what doesn't fit into one (RFC 1035 §4.2).
//!
//! By hand, because the system's resolver has addresses only, and because a resolver crate brings an async runtime for two
//! questions.  Each question has an id and a port of its own by chance (RFC 5452 §9), a socket that hears only the server
//! that was asked, and an end.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::dns::{self, DnsAnswer, RecordKind, ServerRecord};
use crate::clock;
use crate::signals::Stop;

/// Where the system's name servers are named.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Octets of it that are read.
const LARGEST: u64 = 64 * 1024;
/// The port of name servers.
const PORT: u16 = 53;
/// How long one server is waited for, each time.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long all of it takes at most.
const LIMIT: Duration = Duration::from_secs(8);
/// How often each server is asked.
const ROUNDS: u32 = 2;
/// Datagrams that answer another question, and are read nevertheless for each that is sent.
const MOST_FOREIGN: u32 = 32;

/// The records of `name`, in the order to try them; empty where there are none, or where no server answers in time.
pub(super) fn look_up(name: &str, kind: RecordKind, stop: &Stop) -> Vec<ServerRecord> {
    let until = after(LIMIT);
    for _ in 0..ROUNDS {
        for server in name_servers() {
            let server = SocketAddr::new(server, PORT);
            if stop.raised() || Instant::now() >= until {
                return Vec::new();
            }
            match ask(server, name, kind, until.min(after(PATIENCE)), stop) {
                Ok(DnsAnswer::Records(records)) => return dns::in_order(records, random),
                Ok(DnsAnswer::Truncated | DnsAnswer::Refused | DnsAnswer::Foreign) | Err(_) => {}
            }
        }
    }
    Vec::new()
}

fn name_servers() -> Vec<IpAddr> {
    let mut text = Vec::new();
    // Without it this machine itself is asked.
    let _ = std::fs::File::open(RESOLV_CONF).and_then(|file| file.take(LARGEST).read_to_end(&mut text));
    dns::name_servers(&String::from_utf8_lossy(&text))
}

/// A number below `below` (which is at most 2^24), by chance.
fn random(below: u32) -> u32 {
    let octets = clock::random::<4>().unwrap_or_default();
    u32::from_be_bytes(octets).checked_rem(below).unwrap_or(0)
}

fn ask(
    server: SocketAddr,
    name: &str,
    kind: RecordKind,
    until: Instant,
    stop: &Stop,
) -> io::Result<DnsAnswer> {
    let id = u16::from_be_bytes(clock::random::<2>()?);
    let Some(question) = dns::question(id, name, kind) else { return Ok(DnsAnswer::Records(Vec::new())) };
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The system chooses a port by chance; datagrams of other servers don't come in.
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    socket.send(&question)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    for _ in 0..MOST_FOREIGN {
        wait(&socket, PollFlags::IN, until, stop)?;
        let octets = match socket.recv(&mut buffer) {
            Ok(octets) => octets,
            Err(e) if is_passing(&e) => continue,
            Err(e) => return Err(e),
        };
        match dns::answer(buffer.get(..octets).unwrap_or_default(), id, name, kind) {
            DnsAnswer::Foreign => {}
            DnsAnswer::Truncated => return by_tcp(server, &question, (id, name, kind), until, stop),
            answer => return Ok(answer),
        }
    }
    Ok(DnsAnswer::Foreign)
}

/// The same over TCP, where a message follows its length (RFC 7766 §8).
fn by_tcp(
    server: SocketAddr,
    question: &[u8],
    (id, name, kind): (u16, &str, RecordKind),
    until: Instant,
    stop: &Stop,
) -> io::Result<DnsAnswer> {
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&server, left)?;
    stream.set_nonblocking(true)?;
    let mut message = u16::try_from(question.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    message.extend_from_slice(question);
    let mut rest = message.as_slice();
    while !rest.is_empty() {
        wait(&stream, PollFlags::OUT, until, stop)?;
        match stream.write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(e) if is_passing(&e) => {}
            Err(e) => return Err(e),
        }
    }
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((length, message)) = heard.split_first_chunk::<2>()
            && let Some(message) = message.get(..usize::from(u16::from_be_bytes(*length)))
        {
            return Ok(dns::answer(message, id, name, kind));
        }
        wait(&stream, PollFlags::IN, until, stop)?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(octets) => heard.extend_from_slice(buffer.get(..octets).unwrap_or_default()),
            Err(e) if is_passing(&e) => {}
            Err(e) => return Err(e),
        }
    }
}

fn is_passing(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Waits until the socket is ready.
///
/// # Errors
/// The time is over, or a signal came.
fn wait(socket: &impl AsFd, interest: PollFlags, until: Instant, stop: &Stop) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.raised() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut descriptors =
            [PollFd::new(socket, interest), PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN)];
        match rustix::event::poll(&mut descriptors, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) if stop.raised() => {}
            Ok(_) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}
