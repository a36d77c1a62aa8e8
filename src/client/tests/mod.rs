//! A client against transcripts, on loopback.
//!
//! `S:` lines are sent by the server, several together in one write; `C:` lines are what the client must send before anything
//! more is sent to it, so that a transcript with several `C:` lines in a row is a flight.  `S: (closes)` ends the connection.

mod bounds;
mod dialogue;
mod login;
mod opening;
mod prefetch;
mod transaction;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Authorization, Call, Client, Dialogue, Error, Login, Prefetch, PrefetchFlight, Transaction};
use crate::account::{Auth, Tls, Trust, Way};
use crate::connection::Connectors;
use crate::protocol::auth::Method;
use crate::protocol::capability::Capabilities;
use crate::protocol::sasl::Credentials;
use crate::secret::Secret;
use crate::signals::Stop;
use crate::types::MessageNumber;

/// The usual password.
const PASSWORD: &str = "tanstaaf";

/// A session up to the login, by USER and PASS, at a server without CAPA.
const LOGGED_IN: &str = "S: +OK ready\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\n";

/// Plays transcripts, one for each connection.
struct Server {
    port: u16,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn new(transcripts: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let transcripts: Vec<String> = transcripts.iter().map(|text| (*text).to_owned()).collect();
        let work = move || transcripts.iter().flat_map(|text| play(&listener, text)).collect();
        Self { port, thread: thread::spawn(work) }
    }

    /// What the client sent after the transcripts, line by line.  A client that sent anything else than they say fails here.
    fn rest(self) -> Vec<String> {
        // A connection that was not made would be waited for.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        self.thread.join().unwrap()
    }
}

fn play(listener: &TcpListener, transcript: &str) -> Vec<String> {
    let (mut stream, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut said = String::new();
    let mut heard = String::new();
    for line in transcript.lines().map(str::trim_start) {
        if let Some(command) = line.strip_prefix("C: ") {
            stream.write_all(std::mem::take(&mut said).as_bytes()).unwrap();
            heard.clear();
            lines.read_line(&mut heard).unwrap();
            assert_eq!(heard.trim_end_matches(['\r', '\n']), command, "in {transcript}");
        } else if line == "S: (closes)" {
            stream.write_all(said.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // Without this the client could hear of a reset before it has read what was said.
            let mut rest = String::new();
            let _ = lines.read_to_string(&mut rest);
            return rest.lines().map(str::to_owned).collect();
        } else {
            said.push_str(line.strip_prefix("S:").unwrap().strip_prefix(' ').unwrap_or_default());
            said.push_str("\r\n");
        }
    }
    // The client may have closed the connection before it could be informed.
    let _ = stream.write_all(said.as_bytes());
    let mut rest = String::new();
    let _ = lines.read_to_string(&mut rest);
    rest.lines().map(str::to_owned).collect()
}

/// How a client is set up.
#[derive(Clone, Copy)]
struct Setup<'a> {
    user: &'a str,
    password: &'a str,
    /// Whether commands may be pipelined where the server offers it.
    pipelining: bool,
    auth: Auth,
    tls: Tls,
    /// What was remembered of the server's CAPA.
    remembered: Option<&'a str>,
    utf8: bool,
    strongest_ever: Option<Method>,
    prefetch: Option<Prefetch>,
    flight: PrefetchFlight,
    timeout: Duration,
}

/// USER and PASS at a server on this machine.
const USUAL: Setup<'_> = Setup {
    user: "me",
    password: PASSWORD,
    pipelining: true,
    auth: Auth::UserPass,
    tls: Tls::None,
    remembered: None,
    utf8: false,
    strongest_ever: None,
    prefetch: None,
    flight: PrefetchFlight::Two,
    timeout: Duration::from_secs(20),
};

/// The methods that are chosen when nothing is set.
const AUTOMATIC: Setup<'_> = Setup { auth: Auth::Auto, ..USUAL };

fn open(port: u16, setup: &Setup<'_>) -> Result<Client<Authorization>, Error> {
    open_with(port, setup, &Stop::new().unwrap(), None)
}

fn open_with(
    port: u16,
    setup: &Setup<'_>,
    stop: &Stop,
    dialogue: Option<Dialogue>,
) -> Result<Client<Authorization>, Error> {
    let (connectors, trust, way) = (Connectors::new(), Trust::default(), Way::default());
    let secret = Secret::new(setup.password);
    let remembered = setup.remembered.map(Capabilities::from_lines);
    let call = Call {
        credentials: Credentials { user: setup.user, secret: &secret, host: "127.0.0.1", port },
        tls: setup.tls,
        trust: &trust,
        way: &way,
        owner: None,
        timeout: setup.timeout,
        connectors: &connectors,
        stop,
        remembered: remembered.as_ref(),
        utf8: setup.utf8,
        dialogue,
    };
    Client::open(&call)
}

fn log_in(port: u16, setup: &Setup<'_>) -> Result<Client<Transaction>, Error> {
    log_in_with(port, setup, &Stop::new().unwrap(), None)
}

fn log_in_with(
    port: u16,
    setup: &Setup<'_>,
    stop: &Stop,
    dialogue: Option<Dialogue>,
) -> Result<Client<Transaction>, Error> {
    let secret = Secret::new(setup.password);
    let login = Login {
        credentials: Credentials { user: setup.user, secret: &secret, host: "127.0.0.1", port },
        auth: setup.auth,
        strongest_ever: setup.strongest_ever,
        pipelining: setup.pipelining,
        prefetch: setup.prefetch,
        flight: setup.flight,
    };
    open_with(port, setup, stop, dialogue)?.login(&login)
}

/// The error of a login that fails; the client has then sent what the transcript says, and nothing more.
fn refused(transcript: &str, setup: &Setup<'_>) -> Error {
    let server = Server::new(&[transcript]);
    let error = log_in(server.port, setup).unwrap_err();
    assert_eq!(server.rest(), [""; 0]);
    error
}

/// A login that succeeds, and what the client does then.
fn session<T>(transcript: &str, setup: &Setup<'_>, work: impl FnOnce(&mut Client<Transaction>) -> T) -> T {
    let server = Server::new(&[transcript]);
    let mut client = log_in(server.port, setup).unwrap();
    let outcome = work(&mut client);
    client.hang_up();
    assert_eq!(server.rest(), [""; 0]);
    outcome
}

/// The same after [`LOGGED_IN`].
pub(super) fn after_login<T>(transcript: &str, work: impl FnOnce(&mut Client<Transaction>) -> T) -> T {
    session(&format!("{LOGGED_IN}{transcript}"), &USUAL, work)
}

pub(super) fn n(number: u32) -> MessageNumber {
    MessageNumber::new(number).unwrap()
}

fn code(error: &Error) -> u8 {
    use crate::problem::Problem as _;
    error.exit_code().number()
}
