//! One accepted connection, clear or TLS, which can be chopped into packets, cut or reset.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use native_tls::{HandshakeError, TlsAcceptor, TlsStream};

/// How long a client may be silent, or not read, before a test is given up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How a line ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// An orderly end of TCP (FIN); inside TLS without a close_notify.
    Close,
    /// A reset (RST).
    Reset,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Gone,
}

pub struct Wire {
    stream: Stream,
    /// What was read and not yet taken.
    input: Vec<u8>,
    taken: usize,
    /// All that the client sent, once decrypted; kept only when asked for.
    pub received: Option<Vec<u8>>,
    /// Octets sent so far.
    pub sent: u64,
    /// Where sending stops, in octets of the whole session, and how.
    pub cut: Option<(u64, Ending)>,
    /// Octets per packet.
    pub packet: Option<usize>,
    /// Lines end in LF.
    pub bare_lf: bool,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream: Stream::Clear(stream),
            input: Vec::new(),
            taken: 0,
            received: None,
            sent: 0,
            cut: None,
            packet: None,
            bare_lf: false,
        }
    }

    /// The handshake, as the server.  Returns the client's first record, as it came.
    pub fn start_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<Vec<u8>> {
        let Stream::Clear(tcp) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::Error::other("TLS inside TLS"));
        };
        let mut hello = vec![0; 4096];
        let length = tcp.peek(&mut hello)?;
        hello.truncate(length);
        let tls = acceptor.accept(tcp).map_err(|e| match e {
            HandshakeError::Failure(e) => io::Error::other(e),
            HandshakeError::WouldBlock(_) => io::Error::from(ErrorKind::TimedOut),
        })?;
        self.stream = Stream::Tls(Box::new(tls));
        self.discard();
        Ok(hello)
    }

    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.stream {
            Stream::Clear(tcp) => Some(tcp),
            Stream::Tls(tls) => Some(tls.get_ref()),
            Stream::Gone => None,
        }
    }

    /// Sends octets; at the cut the connection ends, and that's an error.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        let octets = if self.bare_lf { Cow::Owned(without_cr(octets)) } else { Cow::Borrowed(octets) };
        let left = self.cut.map_or(u64::MAX, |(at, _)| at.saturating_sub(self.sent));
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
        for packet in octets[..allowed].chunks(self.packet.unwrap_or(usize::MAX)) {
            match &mut self.stream {
                Stream::Clear(tcp) => tcp.write_all(packet)?,
                Stream::Tls(tls) => tls.write_all(packet)?,
                Stream::Gone => return Err(ErrorKind::NotConnected.into()),
            }
            if self.packet.is_some() {
                // So that the client has a chance to read it alone; nothing depends on it.
                std::thread::yield_now();
            }
        }
        self.sent += allowed as u64;
        match self.cut {
            Some((at, ending)) if self.sent >= at => {
                self.end(ending);
                Err(ErrorKind::ConnectionAborted.into())
            }
            _ => Ok(()),
        }
    }

    /// Reads again; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let length = match &mut self.stream {
            Stream::Clear(tcp) => tcp.read(&mut buffer)?,
            Stream::Tls(tls) => tls.read(&mut buffer)?,
            Stream::Gone => 0,
        };
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend(&buffer[..length]);
        if let Some(received) = &mut self.received {
            received.extend(&buffer[..length]);
        }
        Ok(length > 0)
    }

    /// The next line, without its end, if a whole one has been read already.
    pub fn line_at_hand(&mut self) -> Option<Vec<u8>> {
        let rest = &self.input[self.taken..];
        let end = rest.iter().position(|octet| *octet == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]).to_vec();
        self.taken += end + 1;
        Some(line)
    }

    /// The next line, without its end; `None` at the end of the stream.
    pub fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.line_at_hand() {
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Forgets what was read and not yet taken.
    pub fn discard(&mut self) {
        self.input.clear();
        self.taken = 0;
    }

    /// Reads until the client ends the connection.
    pub fn drain(&mut self) -> io::Result<()> {
        while self.fill()? {}
        Ok(())
    }

    /// Closes the connection now.
    pub fn end(&mut self, ending: Ending) {
        if ending == Ending::Reset {
            if let Some(tcp) = self.tcp() {
                let _ = rustix::net::sockopt::set_socket_linger(tcp, Some(Duration::ZERO));
            }
            self.stream = Stream::Gone;
        } else {
            self.finish();
        }
    }

    /// Ends as a well-behaved server does: with a close_notify.
    pub fn close(&mut self) {
        if let Stream::Tls(tls) = &mut self.stream {
            let _ = tls.shutdown();
        }
        self.finish();
    }

    /// Ends our direction and reads what still comes, because closing with unread input resets the connection, and the client
    /// might then not see what was sent last.
    fn finish(&mut self) {
        let Some(tcp) = self.tcp() else { return };
        let _ = tcp.shutdown(Shutdown::Write);
        let mut buffer = [0; 16 * 1024];
        // Raw, as nobody decrypts it any more.
        while let Some(mut tcp) = self.tcp() {
            match (&mut tcp).read(&mut buffer) {
                Ok(length) if length > 0 => {
                    if let (Some(received), false) =
                        (&mut self.received, matches!(self.stream, Stream::Tls(_)))
                    {
                        received.extend(&buffer[..length]);
                    }
                }
                _ => self.stream = Stream::Gone,
            }
        }
    }
}

fn without_cr(octets: &[u8]) -> Vec<u8> {
    let ends_line = |at: usize| octets[at] == b'\r' && octets.get(at + 1) == Some(&b'\n');
    (0..octets.len()).filter(|at| !ends_line(*at)).map(|at| octets[at]).collect()
}
