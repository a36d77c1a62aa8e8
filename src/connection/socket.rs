//! The stream below TLS: what a [`Route`](super::Route) ends in.  Non-blocking.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

/// A non-blocking stream to a server.
#[derive(Debug)]
pub(super) enum Socket {
    /// TCP to the server itself.
    Tcp(TcpStream),
}

impl Socket {
    /// Has what has come acknowledged now, not with what is sent next, or 40 ms later: nothing will be sent before more
    /// has come.  A server that writes each answer of a flight separately, and keeps small pieces back until all before
    /// them are acknowledged (RFC 1122 §4.2.3.4), as is usual, would wait that long in each of its flights.
    pub(super) fn acknowledge_at_once(&self) {
        match self {
            Self::Tcp(socket) => acknowledge_at_once(socket.as_fd()),
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
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
