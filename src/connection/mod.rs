//! A connection to a server: TCP, TLS, deadlines.  SKELETON.
//!
//! Non-blocking inside: [`Connection::read`] and [`Connection::write`] never wait, [`Connection::wait`] does, for the
//! socket, a deadline, a signal, or another thread's wake-up.

use std::os::fd::BorrowedFd;
use std::time::Instant;

/// An open line to a server.
#[derive(Debug)]
pub struct Connection {}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The socket may be read or written.
    Ready,
    /// The other descriptor became readable.
    Woken,
    /// A signal asks to stop.
    Stopped,
    /// The deadline has passed.
    TimedOut,
}

/// How well what is said on the line is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// TLS, and the server is the one that was meant (chain and name, or a pinned fingerprint).
    Tls,
    /// Clear text to a loopback address.
    Loopback,
    /// Clear text.
    Clear,
}

impl Connection {
    /// Reads what is there: `None` when nothing is yet, `Some(0)` at the end of the stream.
    ///
    /// # Errors
    /// When the line broke.
    pub fn read(&mut self, _into: &mut [u8]) -> Result<Option<usize>, Error> {
        todo!()
    }
    /// Writes what the line takes now: `None` when that is nothing.
    ///
    /// # Errors
    /// When the line broke.
    pub fn write(&mut self, _octets: &[u8]) -> Result<Option<usize>, Error> {
        todo!()
    }
    /// Waits until the socket can be read (or, if `write`, written), `until` has passed, a signal came (if `heed_stop`),
    /// or `other` became readable.
    ///
    /// # Errors
    /// When waiting itself fails.
    pub fn wait(
        &mut self,
        _write: bool,
        _until: Instant,
        _heed_stop: bool,
        _other: Option<BorrowedFd<'_>>,
    ) -> Result<Wake, Error> {
        todo!()
    }
    /// How well what is said is kept.
    #[must_use]
    pub fn channel(&self) -> Channel {
        todo!()
    }
    /// `tls-server-end-point` (RFC 5929 §4), where one can be computed.
    #[must_use]
    pub fn end_point_binding(&self) -> Option<&[u8]> {
        todo!()
    }
}

/// Why a connection failed.  SKELETON.
#[derive(Debug, thiserror::Error)]
pub enum Error {}
