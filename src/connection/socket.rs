//! The stream below TLS: what a way to a server ends in.  Non-blocking.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::patience::after;
use crate::signals::Stop;

/// Where a Unix socket's queue is full, it's tried again after this long: nothing announces that there is room.
const PAUSE: Duration = Duration::from_millis(20);

/// A non-blocking stream to a server.
#[derive(Debug)]
pub(super) enum Socket {
    /// TCP to the server itself, or to a proxy.
    Tcp(TcpStream),
    /// A Unix socket, or our end of a program's input and output.
    Unix(UnixStream),
}

impl Socket {
    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// As of connect(2); `TimedOut` where its queue stays full; `Interrupted` when a signal has come.
    pub(super) fn connect(path: &Path, limit: Duration, stop: &Stop) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let until = after(Instant::now(), limit);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            match rustix::net::connect(&socket, &address).map_err(io::Error::from) {
                Ok(()) => return Ok(Self::Unix(UnixStream::from(socket))),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("no answer within {limit:?}"),
                    ));
                }
                Err(e) => return Err(e),
            }
            if stop.wait(PAUSE) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }

    /// What has come, without taking it: it is there for the next read.
    pub(super) fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        let (octets, _) = rustix::net::recv(self, into, RecvFlags::PEEK)?;
        Ok(octets)
    }

    /// Has what has come acknowledged now, not with what is sent next, or 40 ms later: nothing will be sent before more
    /// has come.  A server that writes each answer of a flight separately, and keeps small pieces back until all before
    /// them are acknowledged (RFC 1122 §4.2.3.4), as is usual, would wait that long in each of its flights.
    pub(super) fn acknowledge_at_once(&self) {
        match self {
            Self::Tcp(socket) => acknowledge_at_once(socket.as_fd()),
            Self::Unix(_) => {}
        }
    }
}

#[cfg(target_os = "linux")]
fn acknowledge_at_once(socket: BorrowedFd<'_>) {
    // The system takes it back on its own; where it isn't available, it's only slower.
    let _ = rustix::net::sockopt::set_tcp_quickack(socket, true);
}

#[cfg(not(target_os = "linux"))]
fn acknowledge_at_once(_: BorrowedFd<'_>) {}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(into),
            Self::Unix(socket) => socket.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(octets),
            Self::Unix(socket) => socket.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
