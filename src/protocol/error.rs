//! How a server can break the protocol, and what can't be sent to it.
//!
//! Errors know nothing of hosts, accounts or retries: the room that opened the connection adds them.  Words of the server are kept
//! as octets and become printable only when shown, so that a secret it echoed can be taken out first.

use std::borrow::Cow;
use std::fmt;

use super::command::{AnswerForm, NotSent, Sent};
use super::limits::{KEPT_OCTETS, QUOTED_CHARACTERS};
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::text::{printable, size};

/// Why the dialogue cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something came where a status line was due, and it isn't one.  What was answered before it is in doubt: the
    /// message before may have ended at a line of its own.
    #[error("{}", not_pop3(.awaiting, .came))]
    NotPop3 {
        /// What was due.
        awaiting: Awaiting,
        /// What came.
        came: ServerWords,
    },
    /// The first octets are a TLS record, though the connection is in clear.
    #[error("the server speaks TLS here, not clear text")]
    LooksLikeTls,
    /// A line without an end within the limit: not POP3, or a hostile server.
    #[error("a line longer than {limit} octets came in {awaiting}")]
    LineTooLong {
        /// Where.
        awaiting: Awaiting,
        /// The limit.
        limit: usize,
    },
    /// An answer with more lines than are believed.
    #[error("the answer to {to} has more than {limit} lines")]
    TooManyLines {
        /// The command.
        to: Sent,
        /// The limit.
        limit: usize,
    },
    /// An answer with more octets than are believed.
    #[error("the answer to {to} is larger than {}", size(*limit))]
    AnswerTooLarge {
        /// The command.
        to: Sent,
        /// The limit, in octets.
        limit: u64,
    },
    /// Something came though nothing was asked; later answers could no longer be matched to their commands.
    #[error("the server sent {came} without having been asked")]
    Unsolicited {
        /// What came.
        came: ServerWords,
    },
    /// The server ended the session on its own, for instance after too long a silence.
    #[error("the server ended the session: {said}")]
    Farewell {
        /// Its words.
        said: ServerWords,
    },
    /// Octets came between the `+OK` to STLS and the handshake: typically an attacker on the way who answers in the
    /// server's place.
    #[error("octets in clear text followed the server's agreement to start TLS: this may be an attack")]
    InjectionAfterStls,
    /// A command that was not sent: typically a user name or password with a line break in it.
    #[error("{command} was not sent: {why}")]
    CommandRefusedLocally {
        /// The command.
        command: Sent,
        /// What forbids it.
        why: NotSent,
    },
    /// The stream ended before what was due: the server crashed or stopped, or gave up on the session.
    #[error("{}", closed(.during))]
    Closed {
        /// What was still due.
        during: Awaiting,
    },
    /// A line of STAT, LIST or UIDL that can't be used.
    #[error("the server's {listing} is malformed: {line}")]
    MalformedListing {
        /// Which one, by its name in RFC 1939.
        listing: &'static str,
        /// The line.
        line: ServerWords,
    },
    /// A maildrop of more messages than are believed.
    #[error("the server speaks of {messages} messages, and the limit is {limit}")]
    TooManyMessages {
        /// The number it gave.
        messages: u64,
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// Passes the server's words through `redact`: servers echo commands they don't understand, passwords with them.
    #[must_use]
    pub fn redacted(mut self, redact: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        match &mut self {
            Self::NotPop3 { came: words, .. }
            | Self::Unsolicited { came: words }
            | Self::Farewell { said: words }
            | Self::MalformedListing { line: words, .. } => words.0 = redact(&words.0),
            Self::LooksLikeTls
            | Self::LineTooLong { .. }
            | Self::TooManyLines { .. }
            | Self::AnswerTooLarge { .. }
            | Self::InjectionAfterStls
            | Self::CommandRefusedLocally { .. }
            | Self::Closed { .. }
            | Self::TooManyMessages { .. } => {}
        }
        self
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::LooksLikeTls => "set tls = \"implicit\" for this account",
            Self::NotPop3 { awaiting: Awaiting::Greeting, .. } => {
                "check server and port: something other than POP3 listens there"
            }
            Self::CommandRefusedLocally { why: NotSent::ForbiddenOctet, .. } => {
                "check the user name and the password for line breaks"
            }
            Self::CommandRefusedLocally { why: NotSent::TooLong(_), .. } => {
                "a name or password of that length needs auth = \"plain\", if the server offers it"
            }
            Self::NotPop3 { .. }
            | Self::LineTooLong { .. }
            | Self::TooManyLines { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Unsolicited { .. }
            | Self::Farewell { .. }
            | Self::InjectionAfterStls
            | Self::CommandRefusedLocally { .. }
            | Self::Closed { .. }
            | Self::MalformedListing { .. }
            | Self::TooManyMessages { .. } => return None,
        };
        Some(hint.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotPop3 { .. }
            | Self::LooksLikeTls
            | Self::LineTooLong { .. }
            | Self::TooManyLines { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Unsolicited { .. }
            | Self::InjectionAfterStls
            | Self::MalformedListing { .. }
            | Self::TooManyMessages { .. } => ExitCode::Protocol,
            Self::CommandRefusedLocally { why, .. } => match why {
                // Only credentials can hold any octet.
                NotSent::ForbiddenOctet => ExitCode::Configuration,
                NotSent::TooLong(_)
                | NotSent::NoGreeting
                | NotSent::Unanswered(_)
                | NotSent::ChallengeDue
                | NotSent::NoChallenge
                | NotSent::HandshakeDue
                | NotSent::NoHandshake
                | NotSent::Over => ExitCode::Protocol,
            },
            Self::Farewell { .. } | Self::Closed { .. } => ExitCode::Later,
        }
    }
}

/// The answer that is due: for errors of the connection, and for time-outs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaiting {
    /// The greeting.
    Greeting,
    /// The status line (or challenge) that answers a command.
    Answer(Sent),
    /// What follows the first line of an answer.
    Rest(Sent),
    /// Its half of the handshake that STLS began.
    Handshake,
    /// Nothing: every command is answered.
    Nothing,
}

impl fmt::Display for Awaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Greeting => f.write_str("the greeting"),
            Self::Answer(sent) => write!(f, "the answer to {sent}"),
            // Some servers forget the terminator when the text lacks a last line end: name what is missing.
            Self::Rest(sent) if sent.answer() != AnswerForm::Single => {
                write!(f, "the rest of the answer to {sent}, up to the dot on a line of its own that ends it")
            }
            Self::Rest(sent) => write!(f, "the rest of the answer to {sent}"),
            Self::Handshake => f.write_str("the TLS handshake"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

fn not_pop3(awaiting: &Awaiting, came: &ServerWords) -> String {
    match awaiting {
        Awaiting::Greeting => format!("this is no POP3 server: instead of a greeting it sent {came}"),
        due => format!("the server does not keep to POP3: it sent {came} where {due} was due"),
    }
}

fn closed(during: &Awaiting) -> String {
    match during {
        Awaiting::Nothing => "the server closed the connection".to_owned(),
        due => format!("the server closed the connection before {due} had come"),
    }
}

/// Words of a server: shown in quotation marks, escaped, and cut.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerWords(Vec<u8>);

impl ServerWords {
    /// A copy of the octets, as far as they matter.
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.get(..KEPT_OCTETS).unwrap_or(octets).to_vec())
    }
}

impl fmt::Display for ServerWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("an empty line");
        }
        let text = printable(&self.0);
        match text.char_indices().nth(QUOTED_CHARACTERS) {
            Some((end, _)) => write!(f, "\"{}\u{2026}\"", text.get(..end).unwrap_or_default()),
            None => write!(f, "\"{text}\""),
        }
    }
}

impl fmt::Debug for ServerWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Awaiting, Error, ServerWords};
    use crate::problem::Problem as _;
    use crate::protocol::command::{NotSent, Sent};
    use crate::types::MessageNumber;

    #[test]
    fn sentences_codes_and_suggestions() {
        let five = MessageNumber::new(5).unwrap();
        let words = || ServerWords::new(b"\x1b[31mred");
        let cases = [
            (
                Error::NotPop3 {
                    awaiting: Awaiting::Greeting,
                    came: ServerWords::new(b"HTTP/1.1 400 Bad Request"),
                },
                "this is no POP3 server: instead of a greeting it sent \"HTTP/1.1 400 Bad Request\"",
                76,
            ),
            (
                Error::NotPop3 { awaiting: Awaiting::Answer(Sent::Noop), came: ServerWords::new(b"") },
                "the server does not keep to POP3: it sent an empty line where the answer to NOOP was due",
                76,
            ),
            (Error::LooksLikeTls, "the server speaks TLS here, not clear text", 76),
            (
                Error::LineTooLong { awaiting: Awaiting::Greeting, limit: 8192 },
                "a line longer than 8192 octets came in the greeting",
                76,
            ),
            (
                Error::TooManyLines { to: Sent::Capa, limit: 1000 },
                "the answer to CAPA has more than 1000 lines",
                76,
            ),
            (
                Error::Unsolicited { came: words() },
                "the server sent \"\\x1b[31mred\" without having been asked",
                76,
            ),
            (Error::Farewell { said: words() }, "the server ended the session: \"\\x1b[31mred\"", 75),
            (
                Error::InjectionAfterStls,
                "octets in clear text followed the server's agreement to start TLS: this may be an attack",
                76,
            ),
            (
                Error::CommandRefusedLocally { command: Sent::Pass, why: NotSent::ForbiddenOctet },
                "PASS was not sent: an argument holds a line break or a NUL",
                78,
            ),
            (
                Error::CommandRefusedLocally { command: Sent::User, why: NotSent::TooLong(256) },
                "USER was not sent: its line would have 256 octets, and POP3 allows 255",
                76,
            ),
            (
                Error::CommandRefusedLocally { command: Sent::Noop, why: NotSent::Unanswered(Sent::Stls) },
                "NOOP was not sent: STLS is still unanswered",
                76,
            ),
            (Error::Closed { during: Awaiting::Nothing }, "the server closed the connection", 75),
            (
                Error::Closed { during: Awaiting::Rest(Sent::Retr(five)) },
                "the server closed the connection before the rest of the answer to RETR 5, up to the dot on a line of \
                 its own that ends it had come",
                75,
            ),
            (
                Error::MalformedListing { listing: "unique-id listing", line: ServerWords::new(b"x y") },
                "the server's unique-id listing is malformed: \"x y\"",
                76,
            ),
            (
                Error::TooManyMessages { messages: 1_000_001, limit: 1_000_000 },
                "the server speaks of 1000001 messages, and the limit is 1000000",
                76,
            ),
        ];
        for (error, sentence, code) in cases {
            assert_eq!(error.to_string(), sentence);
            assert_eq!(error.exit_code().number(), code, "{sentence}");
            assert_eq!(error.is_transient(), code == 75, "{sentence}");
        }
        let hint = Error::LooksLikeTls.hint().unwrap();
        assert!(hint.contains("tls = \"implicit\""), "G7");
    }

    #[test]
    fn words_are_cut_when_shown_and_not_before() {
        let long = [b"x".repeat(75), b"hunter2 tail".to_vec()].concat();
        let error = Error::Unsolicited { came: ServerWords::new(&long) };
        assert!(error.to_string().contains("xhunte\u{2026}\""), "{error}");
        // Cut first and redacted afterwards, half of the secret would have stayed.
        let error = error.redacted(|words| {
            let text = String::from_utf8(words.to_vec()).unwrap();
            text.replace("hunter2", "***").into_bytes()
        });
        assert!(!error.to_string().contains("hun") && error.to_string().contains("x***"), "{error}");
        assert_eq!(ServerWords::new(&[b'x'; 9000]).to_string().chars().count(), 83);
    }
}
