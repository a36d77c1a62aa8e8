//! Transcripts of whole dialogues, played through the protocol core without a socket: `tests/sessions/*.txt`.
//!
//! ```text
//! # comment
//! S: +OK ready        the server sends this line and CRLF; escapes \r \n \t \\ \xNN
//! s: +OK rea          the server sends exactly these octets
//! EOF                 the server closes
//! C: RETR 1           the client sends this command; its octets must be this line and CRLF, consecutive ones one flight
//! X: RETR 1           the client tries to send this command and must be refused; the error is an event
//! TLS                 the client begins TLS; an error is an event
//! E: RETR 1 +OK text  the next event; all events since the last E lines must be named
//! ```
//!
//! Each is played with the server's octets as they stand between two turns of the client, then one octet at a time, then
//! in chunks of a few. Pieces of text are joined, the events must be the same each time.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a transcript that can't be read is a mistake in the tree"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use popfetch::dialogue::{Command, Error, MessageNumber, Problem as _, Reply, Secret, ServerEvent, Session};

/// How the server's octets arrive.
const CHUNKS: [usize; 5] = [usize::MAX, 1, 2, 3, 7];

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sessions");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 12, "only {} transcripts in {}", files.len(), folder.display());
    let mut failures = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for chunk in CHUNKS {
            if let Err(failure) = Player::new(chunk).play(&text) {
                let size =
                    if chunk == usize::MAX { "whole".to_owned() } else { format!("in chunks of {chunk}") };
                let _ = writeln!(failures, "{}, {size}: {failure}", file.display());
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

struct Player {
    session: Session,
    chunk: usize,
    /// Octets of the server's turn, not fed yet.
    server: Vec<u8>,
    /// Octets that the client's turn must have come to.
    client: Vec<u8>,
    events: Vec<String>,
    challenged: bool,
}

impl Player {
    fn new(chunk: usize) -> Self {
        let (server, client, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { session: Session::new(), chunk, server, client, events, challenged: false }
    }

    fn play(mut self, transcript: &str) -> Result<(), String> {
        let mut named = 0;
        for (number, line) in transcript.lines().enumerate() {
            let at = |what: String| format!("line {}: {line}\n{what}", number + 1);
            let (kind, rest) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
            match kind {
                "S" | "s" => {
                    self.end_client_turn().map_err(at)?;
                    self.server.extend(octets(rest));
                    if kind == "S" {
                        self.server.extend(b"\r\n");
                    }
                    continue;
                }
                _ => self.end_server_turn(),
            }
            if kind == "E" {
                let event = self.events.get(named).ok_or_else(|| at("no such event came".to_owned()))?;
                if event != rest {
                    return Err(at(format!("instead came: {event}")));
                }
                named += 1;
                continue;
            }
            if kind.is_empty() || kind.starts_with('#') {
                continue;
            }
            if let Some(event) = self.events.get(named) {
                return Err(at(format!("before it came: {event}")));
            }
            match kind {
                "C" => {
                    let command = if self.challenged { response(rest) } else { command(rest) };
                    self.session.send(command).map_err(|error| at(error.to_string()))?;
                    self.client.extend(octets(rest));
                    self.client.extend(b"\r\n");
                    self.challenged = false;
                }
                "X" => match self.session.send(command(rest)) {
                    Ok(()) => return Err(at("was sent".to_owned())),
                    Err(error) => self.fail(&error),
                },
                "TLS" => {
                    if let Err(error) = self.session.starttls_done() {
                        self.fail(&error);
                    }
                }
                "EOF" => {
                    let error = self.session.end_of_stream();
                    self.fail(&error);
                }
                other => return Err(at(format!("{other} means nothing"))),
            }
        }
        self.end_server_turn();
        self.end_client_turn()?;
        match self.events.get(named) {
            Some(event) => Err(format!("at the end came: {event}")),
            None => Ok(()),
        }
    }

    fn end_client_turn(&mut self) -> Result<(), String> {
        let (sent, expected) = (self.session.outgoing(), std::mem::take(&mut self.client));
        if sent != expected {
            return Err(format!("the client sent: {}", sent.escape_ascii()));
        }
        self.session.wrote(expected.len());
        Ok(())
    }

    fn end_server_turn(&mut self) {
        let octets = std::mem::take(&mut self.server);
        for chunk in octets.chunks(self.chunk.min(octets.len()).max(1)) {
            self.session.room()[..chunk.len()].copy_from_slice(chunk);
            let mut outcome = self.session.received(chunk.len());
            while outcome.is_ok() {
                match self.session.poll() {
                    Ok(true) => self.note(),
                    Ok(false) => break,
                    Err(error) => outcome = Err(error),
                }
            }
            if let Err(error) = outcome {
                return self.fail(&error);
            }
        }
    }

    fn fail(&mut self, error: &Error) {
        self.events.push(format!("{} {error}", error.exit_code().number()));
    }

    fn note(&mut self) {
        let said = |reply: Reply<'_>| {
            let code = reply.code.map(|code| format!("{{{code:?}}} ")).unwrap_or_default();
            let indicator = if reply.ok { "+OK" } else { "-ERR" };
            format!("{indicator} {code}{}", shown(reply.text)).trim_end().to_owned()
        };
        let event = match self.session.event() {
            ServerEvent::Greeting(reply) => format!("greeting {}", said(reply)),
            ServerEvent::Reply { to, reply } => format!("{to} {}", said(reply)),
            ServerEvent::Challenge(challenge) => {
                self.challenged = true;
                format!("challenge {}", shown(challenge)).trim_end().to_owned()
            }
            ServerEvent::Line { to, line } => {
                // A blank at the end of a line of the transcript would be hard to see.
                let line = shown(line);
                let (line, blank) =
                    line.strip_suffix(' ').map_or((line.as_str(), ""), |line| (line, "\\x20"));
                format!("{to} line {line}{blank}")
            }
            ServerEvent::Text { number, text } => {
                let head = format!("text {number} ");
                let text = shown(text);
                if let Some(last) = self.events.last_mut().filter(|last| last.starts_with(&head)) {
                    last.push_str(&text);
                    return;
                }
                head + &text
            }
            ServerEvent::End { to, octets } => format!("{to} end {octets}"),
            ServerEvent::Farewell(reply) => format!("farewell {}", said(reply)),
        };
        self.events.push(event);
    }
}

/// The answer to a challenge.
fn response(line: &str) -> Command {
    if line == "*" { Command::SaslCancel } else { Command::SaslResponse(Secret::new(octets(line))) }
}

/// The command that a line of the transcript is.
fn command(line: &str) -> Command {
    let secret = |text: &str| Secret::new(octets(text));
    let (keyword, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let numbers: Vec<u32> = arguments.split(' ').filter_map(|word| word.parse().ok()).collect();
    let number = numbers.first().copied().and_then(MessageNumber::new);
    match (keyword, number) {
        ("CAPA", _) => Command::Capa,
        ("USER", _) => Command::User(String::from_utf8(octets(arguments)).unwrap()),
        ("PASS", _) => Command::Pass(secret(arguments)),
        ("APOP", _) => {
            let (user, digest) = arguments.split_once(' ').unwrap();
            Command::Apop { user: user.to_owned(), digest: secret(digest) }
        }
        ("AUTH", _) => {
            let (mechanism, initial) =
                arguments.split_once(' ').map_or((arguments, None), |(m, i)| (m, Some(i)));
            let known = ["PLAIN", "LOGIN", "XOAUTH2", "EXTERNAL", "SCRAM-SHA-1"];
            let mechanism = known.into_iter().find(|name| *name == mechanism).unwrap();
            Command::Auth { mechanism, initial: initial.map(secret) }
        }
        ("STLS", _) => Command::Stls,
        ("UTF8", _) => Command::Utf8,
        ("STAT", _) => Command::Stat,
        ("LIST", number) => Command::List(number),
        ("UIDL", number) => Command::Uidl(number),
        ("RETR", Some(number)) => Command::Retr(number),
        ("TOP", Some(number)) => Command::Top(number, numbers[1]),
        ("DELE", Some(number)) => Command::Dele(number),
        ("RSET", _) => Command::Rset,
        ("NOOP", _) => Command::Noop,
        ("QUIT", _) => Command::Quit,
        _ => panic!("no command: {line}"),
    }
}

/// Octets with escapes; quotation marks need none.
fn shown(octets: &[u8]) -> String {
    octets.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

/// Text with its escapes undone.
fn octets(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let (octet, after) = match (octet, after) {
            (b'\\', [b'r', after @ ..]) => (b'\r', after),
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [b't', after @ ..]) => (b'\t', after),
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = String::from_utf8(vec![*high, *low]).unwrap();
                (u8::from_str_radix(&digits, 16).unwrap(), after)
            }
            (b'\\', _) => panic!("no escape: {text}"),
            _ => (octet, after),
        };
        octets.push(octet);
        rest = after;
    }
    octets
}
