//! The socket below TLS: non-blocking, read in large pieces, and with a memory of how the peer began and ended, which
//! outlives the TLS library's own (it keeps nothing of a handshake that failed).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Several TLS records (of 16 KiB at most, RFC 8446 §5.1): OpenSSL by itself asks the kernel twice for each.
const BUFFER: usize = 64 * 1024;

/// As much of what the peer first said as an error message quotes.
const QUOTED: usize = 80;

/// A non-blocking socket for a TLS library to read from and write to.
#[derive(Debug)]
pub(super) struct Wire {
    socket: BufReader<TcpStream>,
    memory: Arc<Memory>,
    blocked: Direction,
    /// The last read from the socket took all there was: the next one would only hear that.
    drained: bool,
}

/// What the peer did, seen from below TLS.
#[derive(Debug, Default)]
pub(super) struct Memory {
    began: OnceLock<Vec<u8>>,
    ended: AtomicBool,
}

/// Which way a call could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Nothing has come.
    In,
    /// The kernel takes no more.
    Out,
}

impl Memory {
    /// The first octets the peer sent; empty if it sent none.
    pub(super) fn began(&self) -> &[u8] {
        self.began.get().map_or(&[], Vec::as_slice)
    }

    /// Whether the peer has closed TCP.
    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Wire {
    /// Over a socket that is already non-blocking.
    pub(super) fn new(socket: TcpStream) -> Self {
        let socket = BufReader::with_capacity(BUFFER, socket);
        Self { socket, memory: Arc::default(), blocked: Direction::In, drained: false }
    }

    /// What the peer did.
    pub(super) fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    /// Which way the last call that would have blocked wanted to go.
    pub(super) fn blocked(&self) -> Direction {
        self.blocked
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let asks = self.socket.buffer().is_empty();
        if asks && std::mem::take(&mut self.drained) {
            self.blocked = Direction::In;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let available = match self.socket.fill_buf() {
            Ok(available) => {
                if asks {
                    self.drained = (1..BUFFER).contains(&available.len());
                }
                available
            }
            Err(error) => {
                self.blocked = Direction::In;
                return Err(error);
            }
        };
        if available.is_empty() {
            self.memory.ended.store(true, Ordering::Relaxed);
            return Ok(0);
        }
        self.memory.began.get_or_init(|| available.iter().copied().take(QUOTED).collect());
        self.socket.read(into)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.socket.get_mut().write(octets);
        if written.is_err() {
            self.blocked = Direction::Out;
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
