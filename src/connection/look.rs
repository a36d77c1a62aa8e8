//! A second look at a server whose certificate was refused.
//!
//! The TLS library reports only that it couldn't verify a chain, and keeps what the server showed to itself.  The user needs to
//! see it: when it expires, and the line that pins it.  So the server is asked again, on a separate connection, on
//! which nothing is believed and nothing of ours is sent.  It is a courtesy: whatever goes wrong, there is no more to report.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use native_tls::TlsConnector;
use rustix::event::{PollFd, PollFlags};

use super::poll::poll;
use super::route::go_again;
use super::socket::Socket;
use super::target::Target;
use super::tls::handshake;
use super::wire::Wire;
use crate::account::Tls;
use crate::signals::Stop;

/// For all of it, at most.
const LIMIT: Duration = Duration::from_secs(3);

/// Octets of a line that are read at most (RFC 2449 §4: 512).
const LINE: usize = 512;

/// The leaf that the server shows, at `peer` if that is known, in DER.
pub(super) fn leaf(peer: Option<SocketAddr>, target: &Target<'_>, stop: &Stop) -> Option<Vec<u8>> {
    let limit = LIMIT.min(target.timeout);
    let until = Instant::now().checked_add(limit)?;
    let mut socket = go_again(target, peer, limit, stop)?;
    if target.tls == Tls::StartTls {
        // The greeting, and the answer to STLS (RFC 2595 §4).
        line(&mut socket, until, stop)?;
        socket.write_all(b"STLS\r\n").ok()?;
        line(&mut socket, until, stop)?;
    }
    let mut lenient = TlsConnector::builder();
    lenient
        .danger_accept_invalid_certs(true)
        .danger_accept_invalid_hostnames(true)
        .disable_built_in_roots(true);
    let wire = Wire::new(socket, false);
    let stream = handshake(&lenient.build().ok()?, wire, target, until, stop).ok()?;
    stream.peer_certificate().ok()??.to_der().ok()
}

/// Reads a line that begins with `+OK`, and not an octet more.
fn line(socket: &mut Socket, until: Instant, stop: &Stop) -> Option<()> {
    let mut line = Vec::new();
    while line.len() < LINE && !stop.raised() {
        let mut octet = [0];
        match socket.read(&mut octet) {
            Ok(1..) => line.extend_from_slice(&octet),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let stop = stop.descriptor();
                let mut descriptors =
                    [PollFd::new(&*socket, PollFlags::IN), PollFd::from_borrowed_fd(stop, PollFlags::IN)];
                poll(&mut descriptors, until).ok().filter(|ready| *ready)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => return None,
        }
        if Instant::now() >= until {
            return None;
        }
        if octet == [b'\n'] {
            return line.starts_with(b"+OK").then_some(());
        }
    }
    None
}
