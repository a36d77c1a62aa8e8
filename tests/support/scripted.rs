//! A server that knows no POP3: it sends these octets, expects those, and fails where the script asks for it.
//!
//! ```ignore
//! let server = Scripted::start(vec![vec![
//!     send("+OK ready\r\n"),
//!     expect("CAPA"),
//!     send("-ERR what?\r\n"),
//!     expect("USER me"),
//!     Step::Reset,
//! ]]);
//! sandbox.run(["--port", &server.port().to_string()]).exits(75);
//! let sessions = server.finish();
//! ```
//!
//! The n-th connection plays the n-th script; one more is a failure.  When a script has ended, the server closes its
//! side in an orderly way and records what the client still sends.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::certificates::{Certified, server_name};
use super::show;
use super::wire::{Ending, PATIENCE, Wire};

/// What a line that came is answered by.
pub type Answer = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// What the server does next.
#[derive(Clone)]
pub enum Step {
    /// Sends octets, as they are.
    Send(Vec<u8>),
    /// Sends octets, at most this many in a packet.
    Packets(Vec<u8>, usize),
    /// Reads a line, which must be this one (without CRLF).
    Expect(Vec<u8>),
    /// Reads a line, which must begin like this.
    ExpectStart(Vec<u8>),
    /// Reads a line, whatever it is.
    ExpectAny,
    /// Reads to the end of what the client sends, which must come with nothing more before it.
    ExpectEnd,
    /// Reads `n` lines, whatever they are.
    Lines(usize),
    /// The TLS handshake, with the server's certificate; the client may refuse it.
    StartTls,
    /// Says nothing more until the client ends the connection.
    Stall,
    /// Closes the connection without a close_notify.
    Close,
    /// Resets the connection.
    Reset,
    /// Reads a line and sends what this makes of it.
    Reply(Answer),
    /// Answers as an empty maildrop does, whatever is asked, until the client quits or closes.
    EmptyMaildrop,
    /// Calls this: a look at the disk in the middle of a session, or a wait for something.
    Call(Arc<dyn Fn() + Send + Sync>),
}

/// [`Step::Send`].
pub fn send(octets: impl AsRef<[u8]>) -> Step {
    Step::Send(octets.as_ref().to_vec())
}

/// [`Step::Packets`].
pub fn packets(octets: impl AsRef<[u8]>, size: usize) -> Step {
    Step::Packets(octets.as_ref().to_vec(), size)
}

/// [`Step::Expect`].
pub fn expect(line: impl AsRef<[u8]>) -> Step {
    Step::Expect(line.as_ref().to_vec())
}

/// [`Step::ExpectStart`].
pub fn expect_start(line: impl AsRef<[u8]>) -> Step {
    Step::ExpectStart(line.as_ref().to_vec())
}

/// [`Step::Reply`].
pub fn reply(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Step {
    Step::Reply(Arc::new(answer))
}

/// What one connection brought.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// All that the client sent, decrypted.
    pub received: Vec<u8>,
    /// The host name in its TLS handshake, if it gave one.
    pub server_name: Option<String>,
    /// Whether a TLS handshake succeeded.
    pub tls: bool,
    failure: Option<String>,
}

impl Transcript {
    /// The lines that the client sent.
    pub fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.received).lines().map(str::to_owned).collect()
    }
}

/// The server.  Listens until dropped.
pub struct Scripted {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    scripts: Vec<Vec<Step>>,
    certified: Option<Certified>,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    /// The connection that ends the server: those before it are still served.
    last: Option<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    transcripts: Vec<Transcript>,
}

impl Scripted {
    /// Plays one script for each connection, in the order of connecting.
    pub fn start(scripts: Vec<Vec<Step>>) -> Self {
        Self::launch(Ipv4Addr::LOCALHOST.into(), scripts, None)
    }

    /// The same at another address of this machine.
    pub fn start_at(address: IpAddr, scripts: Vec<Vec<Step>>) -> Self {
        Self::launch(address, scripts, None)
    }

    /// The same, with a certificate for [`Step::StartTls`]; put it first for implicit TLS.
    pub fn start_tls(certified: Certified, scripts: Vec<Vec<Step>>) -> Self {
        Self::launch(Ipv4Addr::LOCALHOST.into(), scripts, Some(certified))
    }

    fn launch(at: IpAddr, scripts: Vec<Vec<Step>>, certified: Option<Certified>) -> Self {
        let listener = TcpListener::bind((at, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { scripts, certified, sessions: Mutex::default() });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> usize {
        self.shared.sessions.lock().unwrap().transcripts.len()
    }

    /// Ends the server and returns what each connection brought.
    ///
    /// # Panics
    /// When a script wasn't followed to its end, or there were more or fewer connections than scripts.
    #[track_caller]
    pub fn finish(mut self) -> Vec<Transcript> {
        let transcripts = self.stop();
        let mut failures = String::new();
        for (number, transcript) in (1..).zip(&transcripts) {
            if let Some(failure) = &transcript.failure {
                let received = show(&transcript.received);
                failures
                    .push_str(&format!("connection {number}: {failure}\nthe client had sent:\n{received}\n"));
            }
        }
        assert!(failures.is_empty(), "{failures}");
        let (came, expected) = (transcripts.len(), self.shared.scripts.len());
        assert!(came == expected, "{came} connections, expected {expected}");
        transcripts
    }

    fn stop(&mut self) -> Vec<Transcript> {
        if let Some(acceptor) = self.acceptor.take() {
            let mut sessions = self.shared.sessions.lock().unwrap();
            let last = TcpStream::connect(self.address).unwrap();
            sessions.last = Some(last.local_addr().unwrap());
            drop(sessions);
            let _ = acceptor.join();
        }
        let threads = std::mem::take(&mut self.shared.sessions.lock().unwrap().threads);
        for thread in threads {
            let _ = thread.join();
        }
        self.shared.sessions.lock().unwrap().transcripts.clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // A test that has failed already needn't wait for its sessions.
        if !thread::panicking() {
            self.stop();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let mut sessions = shared.sessions.lock().unwrap();
        if sessions.last.is_some() && stream.peer_addr().ok() == sessions.last {
            return;
        }
        let number = sessions.transcripts.len();
        sessions
            .transcripts
            .push(Transcript { failure: Some("not finished".into()), ..Transcript::default() });
        let thread = thread::spawn({
            let shared = Arc::clone(shared);
            move || {
                let transcript = play(&shared, number, stream);
                shared.sessions.lock().unwrap().transcripts[number] = transcript;
            }
        });
        sessions.threads.push(thread);
    }
}

fn play(shared: &Shared, number: usize, stream: TcpStream) -> Transcript {
    let mut transcript = Transcript::default();
    let mut wire = Wire::new(stream);
    wire.received = Some(Vec::new());
    transcript.failure = match shared.scripts.get(number) {
        None => Some("a connection that no script expects".into()),
        Some(script) => (1..).zip(script).find_map(|(at, step)| {
            let failure = perform(step, &mut wire, shared, &mut transcript).err()?;
            Some(format!("step {at}: {failure}"))
        }),
    };
    wire.close();
    transcript.received = wire.received.take().unwrap_or_default();
    transcript
}

fn perform(step: &Step, wire: &mut Wire, shared: &Shared, transcript: &mut Transcript) -> Result<(), String> {
    let line = |wire: &mut Wire, wanted: &str| match wire.line() {
        Ok(Some(line)) => Ok(line),
        Ok(None) => Err(format!("the client closed, expected {wanted}")),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(format!("silence for {PATIENCE:?}, expected {wanted}"))
        }
        Err(e) => Err(format!("{e}, expected {wanted}")),
    };
    match step {
        Step::Send(octets) => wire.send(octets).map_err(|e| format!("cannot send {}: {e}", show(octets))),
        Step::Packets(octets, size) => {
            // Long enough for the client to read each packet on its own, most of the time.
            octets.chunks(*size).try_for_each(|packet| {
                thread::sleep(Duration::from_micros(200));
                wire.send(packet).map_err(|e| format!("cannot send {}: {e}", show(octets)))
            })
        }
        Step::Expect(wanted) => match line(wire, &show(wanted))? {
            got if got == *wanted => Ok(()),
            got => Err(format!("got {:?}, expected {:?}", show(&got), show(wanted))),
        },
        Step::ExpectStart(wanted) => match line(wire, &show(wanted))? {
            got if got.starts_with(wanted) => Ok(()),
            got => Err(format!("got {:?}, expected {:?}…", show(&got), show(wanted))),
        },
        Step::ExpectAny => line(wire, "a line").map(drop),
        Step::Lines(count) => (0..*count).try_for_each(|_| line(wire, "a line").map(drop)),
        Step::ExpectEnd => match wire.line() {
            Ok(Some(got)) => Err(format!("got {:?}, expected the end", show(&got))),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                Err(format!("silence for {PATIENCE:?}, expected the end"))
            }
            _ => Ok(()),
        },
        Step::StartTls => {
            let certified = shared.certified.as_ref().expect("start_tls gives a certificate");
            // A client that refuses the certificate ends the handshake; the test sees it in `tls`.
            match wire.start_tls(&certified.acceptor()) {
                Ok(hello) => {
                    transcript.server_name = server_name(&hello);
                    transcript.tls = true;
                    Ok(())
                }
                Err(_) => Ok(()),
            }
        }
        Step::Stall => {
            let began = Instant::now();
            // A reset is an end as well.
            let _ = wire.drain();
            match began.elapsed() < PATIENCE {
                true => Ok(()),
                false => Err(format!("the client waited for {PATIENCE:?}")),
            }
        }
        Step::Close => {
            wire.end(Ending::Close);
            Ok(())
        }
        Step::Reset => {
            wire.end(Ending::Reset);
            Ok(())
        }
        Step::Reply(answer) => {
            let answer = answer(&line(wire, "a line")?);
            wire.send(&answer).map_err(|e| format!("cannot send {}: {e}", show(&answer)))
        }
        Step::EmptyMaildrop => loop {
            // Whether the client stays for the answer to QUIT is its own affair.
            let Ok(Some(command)) = wire.line() else { return Ok(()) };
            let answer = match command.split(|octet| *octet == b' ').next() {
                Some(b"CAPA") => "+OK\r\nUIDL\r\nTOP\r\n.\r\n",
                Some(b"STAT") => "+OK 0 0\r\n",
                Some(b"LIST" | b"UIDL") if !command.contains(&b' ') => "+OK\r\n.\r\n",
                Some(b"NOOP") => "+OK\r\n",
                Some(b"QUIT") => {
                    let _ = wire.send(b"+OK\r\n");
                    return Ok(());
                }
                _ => "-ERR\r\n",
            };
            if wire.send(answer.as_bytes()).is_err() {
                return Ok(());
            }
        },
        Step::Call(function) => {
            function();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Scripted, Step, expect, packets, send};
    use crate::support::certificates::{Authority, Leaf};
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::TcpStream;

    fn connect(server: &Scripted) -> TcpStream {
        TcpStream::connect(("127.0.0.1", server.port())).unwrap()
    }

    #[test]
    fn a_script_is_played() {
        let script = vec![send("+OK\r\n"), expect("QUIT"), packets("+OK\r\n", 1)];
        let server = Scripted::start(vec![script, vec![send("+O"), Step::Reset]]);
        let mut stream = connect(&server);
        stream.write_all(b"QUIT\r\nmore").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "+OK\r\n+OK\r\n");
        drop(stream);
        let refused = connect(&server).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
        assert_eq!(server.finish()[0].received, b"QUIT\r\nmore");
    }

    #[test]
    #[should_panic(expected = "step 1: got \"NOOP\", expected \"QUIT\"")]
    fn a_departure_is_reported() {
        let server = Scripted::start(vec![vec![expect("QUIT")]]);
        connect(&server).write_all(b"NOOP\r\n").unwrap();
        server.finish();
    }

    #[test]
    fn the_server_name_is_seen() {
        let authority = Authority::new();
        let script = vec![Step::StartTls, send("+OK\r\n"), Step::ExpectAny];
        let server = Scripted::start_tls(authority.issue(&Leaf::named(&["pop.example.com"])), vec![script]);
        let root = native_tls::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let connector = native_tls::TlsConnector::builder().add_root_certificate(root).build().unwrap();
        let mut stream = connector.connect("pop.example.com", connect(&server)).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        stream.write_all(b"QUIT\r\n").unwrap();
        drop(stream);
        let session = &server.finish()[0];
        assert!(session.tls);
        assert_eq!(session.server_name.as_deref(), Some("pop.example.com"));
        assert_eq!(session.lines(), ["QUIT"]);
    }

    #[test]
    fn bad_certificates_are_bad() {
        let authority = Authority::new();
        let root = native_tls::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let connector = native_tls::TlsConnector::builder().add_root_certificate(root).build().unwrap();
        let table = [
            ("good", Leaf::default(), true),
            ("wrong name", Leaf::named(&["other.example.com"]), false),
            ("expired", Leaf::expired(), false),
            ("self-signed", Leaf::self_signed(), false),
        ];
        for (name, leaf, good) in table {
            let server = Scripted::start_tls(authority.issue(&leaf), vec![vec![Step::StartTls]]);
            assert_eq!(connector.connect("localhost", connect(&server)).is_ok(), good, "{name}");
            server.finish();
        }
    }
}
