//! The socket below TLS: non-blocking, read in large pieces, and with a memory of how the peer began and ended, which
//! outlives the TLS library's own (it keeps nothing of a handshake that failed).
//!
//! Where we have a certificate to show, this file also keeps it back until the server has been recognised: the TLS library
//! shows it in the middle of the handshake, without asking.  See [`Gate`].

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::socket::Socket;

/// Several TLS records (of 16 KiB at most, RFC 8446 §5.1): OpenSSL on its own asks the kernel twice for each.
const BUFFER: usize = 64 * 1024;

/// Of the peer's first octets this many are kept: the first message of a TLS server has some hundred.
const KEPT: usize = 512;
/// Of those, an error message quotes this many.
const QUOTED: usize = 80;

/// A non-blocking socket for a TLS library to read from and write to.
#[derive(Debug)]
pub(super) struct Wire {
    socket: BufReader<Socket>,
    memory: Arc<PeerRecord>,
    blocked: Direction,
    /// The last read from the socket took all there was: the next one would only hear that.
    drained: bool,
    gate: Option<Gate>,
    /// What is to go to the socket before anything else.
    waiting: Vec<u8>,
}

/// Keeps back what we send after the first messages of a handshake, until [`Wire::release`].
///
/// The client's Certificate message comes after the server's (RFC 8446 §4.4.2, RFC 5246 §7.4.6).  Until the gate is open
/// only what comes before it passes: ClientHello, and records that reveal nothing about us.  With TLS 1.3 our side of the
/// handshake is complete without anything more, so the server's certificate can be judged first.  With TLS 1.2 the
/// server waits for us, but its certificate has come in clear, and is read here.
#[derive(Debug, Default)]
struct Gate {
    /// The beginning of a record that isn't complete yet.
    begun: Vec<u8>,
    /// Whole records that must not go out yet.
    held: Vec<u8>,
    /// What the server has sent so far.
    heard: Vec<u8>,
}

/// Octets of a server's first messages that are kept to find its certificate: chains have some thousands.
const HEARD: usize = 256 * 1024;

/// Kinds of records (RFC 8446 §5.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// Kinds of handshake messages (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;
const CERTIFICATE: u8 = 11;

impl Gate {
    /// Takes what is to be sent, and gives what may be.
    fn pass(&mut self, octets: &[u8]) -> Vec<u8> {
        self.begun.extend_from_slice(octets);
        let mut passed = Vec::new();
        while let Some((record, rest)) = split_record(&self.begun) {
            let may_pass = match record {
                [HANDSHAKE, _, _, _, _, message, ..] => *message == CLIENT_HELLO,
                [kind, ..] => matches!(*kind, CHANGE_CIPHER_SPEC | ALERT),
                [] => false,
            };
            let to = if may_pass && self.held.is_empty() { &mut passed } else { &mut self.held };
            to.extend_from_slice(record);
            self.begun = rest.to_vec();
        }
        passed
    }
}

/// The first record, with its header, and what follows it; `None` before it is complete.
fn split_record(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_, _, _, high, low, ..] = octets else { return None };
    octets.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])).saturating_add(5))
}

/// Takes a vector off whose length is in its first three octets.
fn split_vector(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([high, middle, low], rest) = octets.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).ok()?)
}

/// The leaf in what a server of TLS 1.2 sends (RFC 5246 §7.4.2), in DER.
fn leaf(mut heard: &[u8]) -> Option<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((record, rest)) = split_record(heard) {
        if record.first() != Some(&HANDSHAKE) {
            break;
        }
        messages.extend_from_slice(record.get(5..)?);
        heard = rest;
    }
    let mut messages = messages.as_slice();
    while let Some((kind, rest)) = messages.split_first() {
        let (body, rest) = split_vector(rest)?;
        if *kind == CERTIFICATE {
            let (chain, _) = split_vector(body)?;
            return split_vector(chain).map(|(leaf, _)| leaf.to_vec());
        }
        messages = rest;
    }
    None
}

/// The version that a ServerHello chooses (RFC 8446 §4.1.3, §4.2.1): the one in `supported_versions`, or, without it, its own.
fn chosen_version(heard: &[u8]) -> Option<&'static str> {
    const SERVER_HELLO: u8 = 2;
    const RANDOM: usize = 32;
    const SUPPORTED_VERSIONS: u16 = 43;
    let [HANDSHAKE, _, _, _, _, SERVER_HELLO, _, _, _, major, minor, rest @ ..] = heard else { return None };
    let (session_id, rest) = rest.get(RANDOM..)?.split_first()?;
    // The cipher suite, the compression method, the length of all extensions.
    let mut extensions = rest.get(usize::from(*session_id)..)?.get(5..).unwrap_or_default();
    let mut version = (*major, *minor);
    while let [kind, kind_low, length, length_low, after @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*length, *length_low]));
        let Some((value, after)) = after.split_at_checked(length) else { break };
        if let (SUPPORTED_VERSIONS, [major, minor]) = (u16::from_be_bytes([*kind, *kind_low]), value) {
            version = (*major, *minor);
        }
        extensions = after;
    }
    match version {
        (3, 4) => Some("TLS 1.3"),
        (3, 3) => Some("TLS 1.2"),
        _ => None,
    }
}

/// What the peer did, seen from below TLS.
#[derive(Debug, Default)]
pub(super) struct PeerRecord {
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

impl PeerRecord {
    /// The first octets the peer sent; empty if it sent none.
    pub(super) fn began(&self) -> &[u8] {
        let began = self.began.get().map_or(&[][..], Vec::as_slice);
        began.get(..QUOTED).unwrap_or(began)
    }

    /// The version of TLS that the server chose, in words; `None` where its first message can't be read.
    pub(super) fn version(&self) -> Option<&'static str> {
        chosen_version(self.began.get()?)
    }

    /// Whether the peer has closed TCP.
    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Wire {
    /// Over a socket that is already non-blocking; with a [`Gate`] if the server must be known before we show who we are.
    pub(super) fn new(socket: Socket, gated: bool) -> Self {
        let socket = BufReader::with_capacity(BUFFER, socket);
        let gate = gated.then(Gate::default);
        Self {
            socket,
            memory: Arc::default(),
            blocked: Direction::In,
            drained: false,
            gate,
            waiting: Vec::new(),
        }
    }

    pub(super) fn memory(&self) -> Arc<PeerRecord> {
        Arc::clone(&self.memory)
    }

    /// Whether the handshake can't go on because of the gate: then what the server must be judged by, its leaf, if it
    /// could be found.
    pub(super) fn held_back(&self) -> Option<Option<Vec<u8>>> {
        self.gate.as_ref().filter(|gate| !gate.held.is_empty()).map(|gate| leaf(&gate.heard))
    }

    /// The server is the one that was meant: opens the gate.
    pub(super) fn release(&mut self) {
        if let Some(gate) = self.gate.take() {
            self.waiting.extend(gate.held);
            self.waiting.extend(gate.begun);
        }
    }

    /// Sends what waits.
    fn send_waiting(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            match self.socket.get_mut().write(&self.waiting) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.blocked = Direction::Out;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Which way the last call that would have blocked wanted to go.
    pub(super) fn blocked(&self) -> Direction {
        self.blocked
    }
}

impl Wire {
    /// The socket itself, to wait for.
    pub(super) fn socket(&self) -> &Socket {
        self.socket.get_ref()
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.send_waiting()?;
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
        self.memory.began.get_or_init(|| available.iter().copied().take(KEPT).collect());
        let read = self.socket.read(into)?;
        if let Some(gate) = &mut self.gate
            && gate.heard.len() < HEARD
        {
            gate.heard.extend_from_slice(into.get(..read).unwrap_or_default());
        }
        Ok(read)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.send_waiting()?;
        if let Some(gate) = &mut self.gate {
            self.waiting = gate.pass(octets);
            // What the socket doesn't take now goes with the next call.
            return match self.send_waiting() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(octets.len()),
            };
        }
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

#[cfg(test)]
mod tests {
    use super::chosen_version;

    /// A ServerHello with a session-id of this length, and these extensions.
    fn server_hello(session_id: u8, extensions: &[u8]) -> Vec<u8> {
        let mut hello = vec![22, 3, 3, 0, 0, 2, 0, 0, 0, 3, 3];
        hello.extend([7; 32]);
        hello.push(session_id);
        hello.extend(vec![9; usize::from(session_id)]);
        hello.extend([0x13, 0x01, 0]);
        hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        hello.extend(extensions);
        hello
    }

    #[test]
    fn the_version_that_a_server_chose() {
        let key_share: &[u8] = &[0, 51, 0, 4, 0, 29, 0, 0];
        let supported: &[u8] = &[0, 43, 0, 2, 3, 4];
        let both = [key_share, supported].concat();
        for (session_id, extensions, expected) in [
            (32, both.as_slice(), Some("TLS 1.3")),
            (0, supported, Some("TLS 1.3")),
            (32, key_share, Some("TLS 1.2")),
            (0, &[], Some("TLS 1.2")),
            (0, &[0, 43, 0, 2, 3, 1], None),
        ] {
            assert_eq!(chosen_version(&server_hello(session_id, extensions)), expected);
        }
        let whole = server_hello(32, &both);
        for end in 0..whole.len() {
            assert_ne!(chosen_version(&whole[..end]), Some("TLS 1.3"), "cut at {end}");
        }
        assert_eq!(chosen_version(b"+OK ready\r\n"), None);
    }
}
