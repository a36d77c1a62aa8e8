//! A connection to a server: the way there, TLS, deadlines.
//!
//! Non-blocking inside: [`Connection::read`] and [`Connection::write`] never wait; [`Connection::wait`] does, for the
//! socket, a deadline, a signal, or another thread's wake-up, whichever is first.  So one thread can keep a pipeline
//! full in both directions (RFC 2449 §6.6 warns of writing without reading).
//!
//! ```text
//! Connection::open ─► route ─┬─► dial: look up, race (RFC 8305) ─┬──────────┬─► socket ─┬─► clear ─► starttls ─┐
//!                            │                                   └─► proxy ─┤           └──────────────────────┴─► tls: handshake, verify
//!                            ├─► Unix socket ───────────────────────────────┤
//!                            └─► command: a program's input and output ─────┘
//! ```
//!
//! The server at the end must be the configured one, whatever the way to it: TLS, names and the rule on passwords in clear
//! text use the [`Target`]'s host, and the way adds no trust.
//!
//! This room knows no POP3.  The client decides when to send STLS, how long an answer may take ([`Patience`] counts), and
//! what a truncated answer is.  A connection that is handed out as TLS is always verified: by chain and name (RFC 9525), or
//! by a pinned fingerprint.

mod certificate;
mod connect_command;
mod dial;
mod error;
mod look;
mod patience;
mod poll;
mod proxy;
mod route;
mod route_problem;
mod socket;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod trust;
mod wire;

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

#[cfg(test)]
pub(crate) use certificate::CertificateProblem;
pub(crate) use certificate::CertificateSummary;
pub(crate) use dial::MOST_ADDRESSES;
pub(crate) use error::Error;
#[cfg(test)]
pub(crate) use error::{ConnectStep, FailedAddress, TrustProblem};
pub(crate) use patience::{Patience, SessionPace};
pub use proxy::fuzz_proxy;
#[cfg(test)]
pub(crate) use route_problem::RouteProblem;
pub(crate) use target::Target;
pub(crate) use trust::Connectors;

use crate::account::Tls;
use crate::signals::Stop;
use crate::types::Channel;
use connect_command::RunningProgram;
use error::plain;
use route::{Dialled, go, stays_here};
use socket::Socket;
use target::server;
use tls::Secured;

/// An open line to a server.
pub(crate) struct Connection {
    line: Stream,
    /// The program that it goes through.  It is declared after the connection, which has to be closed first.
    command: Option<RunningProgram>,
    server: String,
    peer: Option<SocketAddr>,
    /// Whether clear text stays on this machine.
    stays_here: bool,
    stop: Stop,
    /// The last read from a clear line took all there was: the next one would only hear that.
    drained: bool,
}

enum Stream {
    Clear(Socket),
    // Boxed: the TLS session's state is several times as large as a socket.
    Tls(Box<Secured>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The socket may be read or written.
    Ready,
    /// The other descriptor became readable.
    Woken,
    Stopped,
    /// The deadline has passed.
    TimedOut,
}

impl Connection {
    /// Goes the way to the host (by default: looks it up, connects to the first of its addresses that answers), and, with [`Tls::Implicit`], makes
    /// it TLS and verifies the server.  Meanwhile the TLS connector is built, if `connectors` has none for this trust.
    ///
    /// # Errors
    /// When there is no address, none answers, the way can't be gone, the handshake fails or takes too long, the certificate
    /// is refused, a file of `trust` cannot be used, or a signal came.
    pub(crate) fn open(target: &Target<'_>, connectors: &Connectors, stop: &Stop) -> Result<Self, Error> {
        let mut without = target.without.to_vec();
        let mut first_error = None;
        loop {
            let left = Target { without: &without, ..*target };
            let dialled = go(&left, stop, || {
                if target.tls != Tls::None {
                    connectors.warm(target.trust);
                }
            });
            let Dialled { socket, peer, command } = match dialled {
                Ok(dialled) => dialled,
                // Of several errors the first is the one to report.
                Err(e) => return Err(first_error.unwrap_or(e)),
            };
            let line = match target.tls {
                Tls::Implicit => match secured(socket, peer, target, connectors, stop) {
                    Ok(secured) => Stream::Tls(secured),
                    Err(e @ (Error::Closed { .. } | Error::Broken { .. })) => {
                        // A balancer without a server behind it takes a connection and ends it: another address may do.
                        let Some(peer) = peer else { return Err(failure(command.as_ref()).unwrap_or(e)) };
                        first_error.get_or_insert(e);
                        without.push(peer);
                        continue;
                    }
                    Err(e) => return Err(e),
                },
                Tls::StartTls | Tls::None => Stream::Clear(socket),
            };
            let (server, stays_here) = (server(target), stays_here(&target.way.route, target.host, peer));
            return Ok(Self { line, command, server, peer, stays_here, stop: stop.clone(), drained: false });
        }
    }

    /// Makes a clear line TLS and verifies the server.  To be called when the `+OK` to STLS has been read, and nothing
    /// behind it: a caller that reads ahead must check that its buffer is empty.
    ///
    /// # Errors
    /// As with [`Connection::open`]; the connection is closed then.
    pub(crate) fn starttls(self, target: &Target<'_>, connectors: &Connectors) -> Result<Self, Error> {
        let Self { line, command, server, peer, stays_here, stop, drained: _ } = self;
        let Stream::Clear(socket) = line else {
            return Err(Error::Nested { server });
        };
        let line = match secured(socket, peer, target, connectors, &stop) {
            Ok(secured) => Stream::Tls(secured),
            Err(e @ (Error::Closed { .. } | Error::Broken { .. })) => {
                return Err(failure(command.as_ref()).unwrap_or(e));
            }
            Err(e) => return Err(e),
        };
        Ok(Self { line, command, server, peer, stays_here, stop, drained: false })
    }

    /// Reads what is there into `into` (32 KiB or more are best; an empty one gets `None`): `None` when nothing is yet, or
    /// all there was has just been taken, so that it's time to [`Connection::wait`]; `Some(0)` at the end of the stream.
    /// That TLS ended without close_notify is not reported: an end within an answer is a truncation
    /// either way, and after the answer to QUIT it is none.
    ///
    /// # Errors
    /// When the connection broke, the server refuses our certificate, or the stream ended because a connect-command failed.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Result<Option<usize>, Error> {
        if into.is_empty() {
            return Ok(None);
        }
        if std::mem::take(&mut self.drained) {
            return Ok(None);
        }
        let read = match &mut self.line {
            Stream::Clear(socket) => {
                let read = transferred(|| socket.read(into)).map_err(|error| broken(&self.server, &error));
                self.drained = matches!(read, Ok(Some(octets)) if (1..into.len()).contains(&octets));
                read
            }
            Stream::Tls(secured) => {
                secured.read(into).map_err(|error| Secured::failure(&self.server, &error))
            }
        };
        match read {
            Ok(Some(0)) => failure(self.command.as_ref()).map_or(Ok(Some(0)), Err),
            Err(e @ Error::Broken { .. }) => Err(failure(self.command.as_ref()).unwrap_or(e)),
            read => read,
        }
    }

    /// Writes what the connection takes now: `None` when that is nothing.  What was not written must then come again first, in
    /// the next call (TLS may already have encrypted it); more may follow it.
    ///
    /// # Errors
    /// As for [`Connection::read`].
    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<Option<usize>, Error> {
        let written = match &mut self.line {
            Stream::Clear(socket) => {
                transferred(|| socket.write(octets)).map_err(|error| broken(&self.server, &error))
            }
            Stream::Tls(secured) => {
                secured.write(octets).map_err(|error| Secured::failure(&self.server, &error))
            }
        };
        match written {
            Err(e @ Error::Broken { .. }) => Err(failure(self.command.as_ref()).unwrap_or(e)),
            written => written,
        }
    }

    /// Waits until the socket can be read or, if `write`, written; `until` has passed; a signal has come (if
    /// `heed_stop`); or `other` is readable or at its end.  Of several, [`Wake::Stopped`] is reported first, then
    /// [`Wake::Woken`], which the caller must drain.
    ///
    /// # Errors
    /// When waiting itself fails.
    pub(crate) fn wait(
        &mut self,
        write: bool,
        until: Instant,
        heed_stop: bool,
        other: Option<BorrowedFd<'_>>,
    ) -> Result<Wake, Error> {
        let (socket, interest, more) = match &self.line {
            Stream::Clear(socket) if write => (socket, PollFlags::IN | PollFlags::OUT, false),
            Stream::Clear(socket) => (socket, PollFlags::IN, false),
            Stream::Tls(secured) => (secured.socket(), secured.interest(write), secured.more()),
        };
        let mut descriptors = Vec::with_capacity(3);
        descriptors.push(PollFd::new(socket, interest));
        if heed_stop {
            descriptors.push(PollFd::from_borrowed_fd(self.stop.descriptor(), PollFlags::IN));
        }
        descriptors.extend(other.map(|other| PollFd::from_borrowed_fd(other, PollFlags::IN)));
        if !more {
            socket.acknowledge_at_once();
        }
        // With something in a buffer there is nothing to wait for, but the other descriptors still count.
        let until = if more { Instant::now() } else { until };
        let happened = poll::poll(&mut descriptors, until)
            .map_err(|source| Error::Local { action: "wait for the server", source })?;
        if heed_stop && self.stop.raised() {
            return Ok(Wake::Stopped);
        }
        if other.is_some() && descriptors.last().is_some_and(|other| !other.revents().is_empty()) {
            return Ok(Wake::Woken);
        }
        Ok(if happened || more { Wake::Ready } else { Wake::TimedOut })
    }

    /// Whether a signal has asked to stop.
    #[must_use]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.raised()
    }

    /// How well what is sent is kept.
    #[must_use]
    pub(crate) fn channel(&self) -> Channel {
        match &self.line {
            Stream::Tls(_) => Channel::Tls,
            Stream::Clear(_) if self.stays_here => Channel::Loopback,
            Stream::Clear(_) => Channel::Clear,
        }
    }

    /// From now on as if the server were on another machine.
    #[cfg(test)]
    pub(crate) fn lead_away(&mut self) {
        self.stays_here = false;
    }

    /// `tls-server-end-point` (RFC 5929 §4), where one can be computed.
    #[must_use]
    pub(crate) fn end_point_binding(&self) -> Option<&[u8]> {
        match &self.line {
            Stream::Clear(_) => None,
            Stream::Tls(secured) => secured.binding(),
        }
    }

    /// The certificate of the server, in DER, once it was recognised: by chain and name, or by its fingerprint.
    #[must_use]
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        match &self.line {
            Stream::Clear(_) => None,
            Stream::Tls(secured) => Some(secured.certificate()),
        }
    }

    /// What protects the connection, in words: `TLS 1.3`; `None` for clear text.
    #[must_use]
    pub(crate) fn protection(&self) -> Option<&'static str> {
        match &self.line {
            Stream::Clear(_) => None,
            Stream::Tls(secured) => Some(secured.version().unwrap_or("TLS")),
        }
    }

    /// The server as configured, `host:port`, for messages.
    #[must_use]
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The address that answered, where it is the server's own, or takes its place.
    #[must_use]
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Closes the connection, over TLS with close_notify if the socket takes it.  Waits for nothing but a connect-command, which is
    /// ended within seconds.
    pub(crate) fn close(self) {
        if let Stream::Tls(secured) = self.line {
            secured.close();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line: _, command: _, server, peer, stays_here: _, stop: _, drained: _ } = self;
        f.debug_struct("Connection")
            .field("server", server)
            .field("peer", peer)
            .field("channel", &self.channel())
            .finish()
    }
}

/// A handshake; where the certificate is refused, with what there is to see of it.
fn secured(
    socket: Socket,
    peer: Option<SocketAddr>,
    target: &Target<'_>,
    connectors: &Connectors,
    stop: &Stop,
) -> Result<Box<Secured>, Error> {
    let begun = Secured::begin(socket, target, connectors, stop);
    begun.map(Box::new).map_err(|error| error.with_leaf(|| look::leaf(peer, target, stop)))
}

/// Why the program that a line goes through has ended it, if it has.
fn failure(command: Option<&RunningProgram>) -> Option<Error> {
    command.and_then(RunningProgram::failure)
}

/// Whether the server (at `peer`, if that is known) shows a certificate of any kind: asked on a connection of its own, on
/// which nothing of ours is sent.
pub(crate) fn shows_certificate(peer: Option<SocketAddr>, target: &Target<'_>, stop: &Stop) -> bool {
    look::leaf(peer, target, stop).is_some()
}

/// A call on a non-blocking socket, again while it is interrupted; `None` when it would block.
fn transferred(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(octets) => return Ok(Some(octets)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn broken(server: &str, error: &io::Error) -> Error {
    Error::Broken { server: server.to_owned(), reason: plain(error) }
}
