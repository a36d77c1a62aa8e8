//! What the client sends: commands with typed arguments, their bytes, and their rendering for a trace.
//!
//! It must not know what was answered.  RFC 1939 §3, §5-§7; RFC 2449 §4 (length), §5 (CAPA); RFC 2595 §4 (STLS);
//! RFC 5034 §4 (AUTH).

use std::fmt;

use super::limits::{CAPABILITY_LIMIT, COMMAND_LINE_LIMIT, LISTING_LIMIT};
use crate::secret::Secret;
use crate::text::{is_one_line, printable};
use crate::types::MessageNumber;

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What can you do? (RFC 2449 §5)
    Capa,
    /// The name of the maildrop (RFC 1939 §7).
    User(String),
    /// Its password: everything after the one space, blanks at either end included.
    Pass(Secret),
    /// Name and digest of timestamp and shared secret (RFC 1939 §7).
    Apop {
        /// The name of the maildrop.
        user: String,
        /// Lower-case hexadecimal digits.
        digest: Secret,
    },
    /// Begins a SASL exchange (RFC 5034 §4).
    Auth {
        /// As registered, upper case.
        mechanism: &'static str,
        /// The initial response in base64; one of no octets is sent as `=`.
        initial: Option<Secret>,
    },
    /// The answer to a challenge, in base64; of no octets: an empty line.  Its length has no limit.
    SaslResponse(Secret),
    /// `*`: the client gives the exchange up.
    SaslCancel,
    /// TLS from here on (RFC 2595 §4).
    Stls,
    /// Messages as they are stored, with UTF-8 in their headers (RFC 6856 §2.1).
    Utf8,
    /// The drop listing.
    Stat,
    /// The scan listing, of all messages or of one.
    List(Option<MessageNumber>),
    /// The unique-id listing, of all messages or of one.
    Uidl(Option<MessageNumber>),
    /// The message.
    Retr(MessageNumber),
    /// Its header, a blank line and this many lines of its body.
    Top(MessageNumber, u32),
    /// Marks the message as deleted.
    Dele(MessageNumber),
    /// Takes all marks back.
    Rset,
    /// Nothing, answered.
    Noop,
    /// The end; after a login the only way into the UPDATE state.
    Quit,
}

/// A command that was sent, as its answer refers to it: the name without what must stay secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sent {
    /// CAPA.
    Capa,
    /// USER.
    User,
    /// PASS.
    Pass,
    /// APOP.
    Apop,
    /// AUTH with its mechanism.
    Auth,
    /// A line of AUTH's exchange.
    SaslResponse,
    /// The `*` that ends AUTH's exchange.
    SaslCancel,
    /// STLS.
    Stls,
    /// UTF8.
    Utf8,
    /// STAT.
    Stat,
    /// LIST of all messages.
    List,
    /// LIST of one.
    ListOne(MessageNumber),
    /// UIDL of all messages.
    UniqueIds,
    /// UIDL of one.
    UniqueIdOf(MessageNumber),
    /// RETR.
    Retr(MessageNumber),
    /// TOP.
    Top(MessageNumber),
    /// DELE.
    Dele(MessageNumber),
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
}

/// The form of the answer that `+OK` begins; `-ERR` is always a single line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// The status line is all.
    Single,
    /// Lines follow, at most this many.
    Lines(usize),
    /// The text of a message follows.
    Text(MessageNumber),
}

impl Sent {
    /// Which commands have multi-line answers: the one table of it.
    #[must_use]
    pub fn answer(self) -> AnswerForm {
        match self {
            Self::Capa => AnswerForm::Lines(CAPABILITY_LIMIT),
            Self::List | Self::UniqueIds => AnswerForm::Lines(LISTING_LIMIT),
            Self::Retr(number) | Self::Top(number) => AnswerForm::Text(number),
            Self::User
            | Self::Pass
            | Self::Apop
            | Self::Auth
            | Self::SaslResponse
            | Self::SaslCancel
            | Self::Stls
            | Self::Utf8
            | Self::Stat
            | Self::ListOne(_)
            | Self::UniqueIdOf(_)
            | Self::Dele(_)
            | Self::Rset
            | Self::Noop
            | Self::Quit => AnswerForm::Single,
        }
    }

    /// Whether a SASL challenge may be the answer.  After `*` exactly one status line comes (RFC 5034 §4).
    #[must_use]
    pub fn may_be_challenged(self) -> bool {
        matches!(self, Self::Auth | Self::SaslResponse)
    }

    /// Whether nothing may be sent before this one is answered: what follows would be read as something else, by
    /// another layer, or not at all.
    #[must_use]
    pub fn is_barrier(self) -> bool {
        matches!(self, Self::Auth | Self::SaslResponse | Self::SaslCancel | Self::Stls | Self::Quit)
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capa => f.write_str("CAPA"),
            Self::User => f.write_str("USER"),
            Self::Pass => f.write_str("PASS"),
            Self::Apop => f.write_str("APOP"),
            Self::Auth | Self::SaslResponse | Self::SaslCancel => f.write_str("AUTH"),
            Self::Stls => f.write_str("STLS"),
            Self::Utf8 => f.write_str("UTF8"),
            Self::Stat => f.write_str("STAT"),
            Self::List => f.write_str("LIST"),
            Self::ListOne(number) => write!(f, "LIST {number}"),
            Self::UniqueIds => f.write_str("UIDL"),
            Self::UniqueIdOf(number) => write!(f, "UIDL {number}"),
            Self::Retr(number) => write!(f, "RETR {number}"),
            Self::Top(number) => write!(f, "TOP {number}"),
            Self::Dele(number) => write!(f, "DELE {number}"),
            Self::Rset => f.write_str("RSET"),
            Self::Noop => f.write_str("NOOP"),
            Self::Quit => f.write_str("QUIT"),
        }
    }
}

/// Why a command was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It would have ended the line and begun another command.
    #[error("an argument holds a line break or a NUL")]
    ForbiddenOctet,
    /// Over [`COMMAND_LINE_LIMIT`].
    #[error("its line would have {0} octets, and POP3 allows {COMMAND_LINE_LIMIT}")]
    TooLong(usize),
    /// The server speaks first.
    #[error("the server has not sent its greeting yet")]
    NoGreeting,
    /// Nothing may follow STLS, AUTH and QUIT before their answers.
    #[error("{0} is still unanswered")]
    Unanswered(Sent),
    /// The server waits for a SASL response.
    #[error("the server's challenge is still unanswered")]
    ChallengeDue,
    /// A SASL response without a challenge.
    #[error("the server has not asked for it")]
    NoChallenge,
    /// STLS was accepted; what comes next is TLS.
    #[error("the TLS handshake comes first")]
    HandshakeDue,
    /// STLS wasn't accepted, so there was no handshake.
    #[error("the server did not agree to start TLS")]
    NoHandshake,
    /// After QUIT, a farewell or a broken rule.
    #[error("the session is over")]
    Over,
}

impl Command {
    /// How its answer will refer to it.
    #[must_use]
    pub fn sent(&self) -> Sent {
        match self {
            Self::Capa => Sent::Capa,
            Self::User(_) => Sent::User,
            Self::Pass(_) => Sent::Pass,
            Self::Apop { .. } => Sent::Apop,
            Self::Auth { .. } => Sent::Auth,
            Self::SaslResponse(_) => Sent::SaslResponse,
            Self::SaslCancel => Sent::SaslCancel,
            Self::Stls => Sent::Stls,
            Self::Utf8 => Sent::Utf8,
            Self::Stat => Sent::Stat,
            Self::List(None) => Sent::List,
            Self::List(Some(number)) => Sent::ListOne(*number),
            Self::Uidl(None) => Sent::UniqueIds,
            Self::Uidl(Some(number)) => Sent::UniqueIdOf(*number),
            Self::Retr(number) => Sent::Retr(*number),
            Self::Top(number, _) => Sent::Top(*number),
            Self::Dele(number) => Sent::Dele(*number),
            Self::Rset => Sent::Rset,
            Self::Noop => Sent::Noop,
            Self::Quit => Sent::Quit,
        }
    }

    /// Whether its line holds a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(
            self,
            Self::Pass(_) | Self::Apop { .. } | Self::Auth { initial: Some(_), .. } | Self::SaslResponse(_)
        )
    }

    /// Its line, CRLF included.
    ///
    /// # Errors
    /// [`NotSent::ForbiddenOctet`] for CR, LF or NUL in an argument, and [`NotSent::TooLong`].
    pub fn line(&self) -> Result<Secret, NotSent> {
        let line = match self {
            Self::User(user) => joined(&[b"USER ", user.as_bytes()])?,
            Self::Pass(password) => joined(&[b"PASS ", password.expose()])?,
            Self::Apop { user, digest } => joined(&[b"APOP ", user.as_bytes(), b" ", digest.expose()])?,
            Self::Auth { mechanism, initial: None } => joined(&[b"AUTH ", mechanism.as_bytes()])?,
            Self::Auth { mechanism, initial: Some(initial) } => {
                let initial = if initial.expose().is_empty() { b"=" } else { initial.expose() };
                joined(&[b"AUTH ", mechanism.as_bytes(), b" ", initial])?
            }
            // RFC 5034 §4 takes these out of the limit: tokens are longer.
            Self::SaslResponse(response) => return joined(&[response.expose()]),
            Self::SaslCancel => joined(&[b"*"])?,
            Self::Top(number, lines) => joined(&[format!("TOP {number} {lines}").as_bytes()])?,
            Self::Capa
            | Self::Stls
            | Self::Utf8
            | Self::Stat
            | Self::List(_)
            | Self::Uidl(_)
            | Self::Retr(_)
            | Self::Dele(_)
            | Self::Rset
            | Self::Noop
            | Self::Quit => joined(&[self.sent().to_string().as_bytes()])?,
        };
        let length = line.expose().len();
        if length > COMMAND_LINE_LIMIT { Err(NotSent::TooLong(length)) } else { Ok(line) }
    }

    /// Its line for a trace: no secret has a path into it, and the user's name is made safe to print.
    #[must_use]
    pub fn redacted(&self) -> String {
        match self {
            Self::User(user) => format!("USER {}", printable(user.as_bytes())),
            Self::Pass(_) => "PASS [redacted]".to_owned(),
            Self::Apop { user, .. } => format!("APOP {} [redacted]", printable(user.as_bytes())),
            Self::Auth { mechanism, initial: None } => format!("AUTH {mechanism}"),
            Self::Auth { mechanism, initial: Some(_) } => format!("AUTH {mechanism} [redacted]"),
            Self::SaslResponse(_) => "[redacted]".to_owned(),
            Self::SaslCancel => "*".to_owned(),
            Self::Top(number, lines) => format!("TOP {number} {lines}"),
            Self::Capa
            | Self::Stls
            | Self::Utf8
            | Self::Stat
            | Self::List(_)
            | Self::Uidl(_)
            | Self::Retr(_)
            | Self::Dele(_)
            | Self::Rset
            | Self::Noop
            | Self::Quit => self.sent().to_string(),
        }
    }
}

/// The parts as one line.  It's made in one piece: growing would leave copies of a secret behind.
fn joined(parts: &[&[u8]]) -> Result<Secret, NotSent> {
    if !parts.iter().all(|part| is_one_line(part)) {
        return Err(NotSent::ForbiddenOctet);
    }
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut line = Vec::with_capacity(length.saturating_add(2));
    for part in parts {
        line.extend_from_slice(part);
    }
    line.extend_from_slice(b"\r\n");
    Ok(Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::{AnswerForm, Command, NotSent, Sent};
    use crate::secret::Secret;
    use crate::types::MessageNumber;

    fn n(number: u32) -> MessageNumber {
        MessageNumber::new(number).unwrap()
    }

    #[test]
    fn lines_and_traces() {
        let initial = |text: &str| Some(Secret::new(text));
        let cases: Vec<(Command, &str, &str)> = vec![
            (Command::Capa, "CAPA", "CAPA"),
            (Command::User("me@x".into()), "USER me@x", "USER me@x"),
            (Command::User("g\u{fc}n \u{202e}".into()), "USER g\u{fc}n \u{202e}", "USER g\u{fc}n \\u{202e}"),
            // Sent exactly.
            (Command::Pass(Secret::new("a b ")), "PASS a b ", "PASS [redacted]"),
            (Command::Pass(Secret::new(" x")), "PASS  x", "PASS [redacted]"),
            (Command::Pass(Secret::new("%\"")), "PASS %\"", "PASS [redacted]"),
            (
                Command::Apop {
                    user: "mrose".into(),
                    digest: Secret::new("c4c9334bac560ecc979e58001b3e22fb"),
                },
                "APOP mrose c4c9334bac560ecc979e58001b3e22fb",
                "APOP mrose [redacted]",
            ),
            (Command::Auth { mechanism: "LOGIN", initial: None }, "AUTH LOGIN", "AUTH LOGIN"),
            (
                Command::Auth { mechanism: "PLAIN", initial: initial("AHVzZXIAcGVuY2ls") },
                "AUTH PLAIN AHVzZXIAcGVuY2ls",
                "AUTH PLAIN [redacted]",
            ),
            (
                Command::Auth { mechanism: "EXTERNAL", initial: initial("") },
                "AUTH EXTERNAL =",
                "AUTH EXTERNAL [redacted]",
            ),
            (Command::SaslResponse(Secret::new("AQ==")), "AQ==", "[redacted]"),
            (Command::SaslResponse(Secret::new("")), "", "[redacted]"),
            (Command::SaslCancel, "*", "*"),
            (Command::Stls, "STLS", "STLS"),
            (Command::Stat, "STAT", "STAT"),
            (Command::List(None), "LIST", "LIST"),
            (Command::List(Some(n(3))), "LIST 3", "LIST 3"),
            (Command::Uidl(None), "UIDL", "UIDL"),
            (Command::Uidl(Some(n(4))), "UIDL 4", "UIDL 4"),
            (Command::Retr(n(5)), "RETR 5", "RETR 5"),
            (Command::Top(n(6), 0), "TOP 6 0", "TOP 6 0"),
            (Command::Dele(n(7)), "DELE 7", "DELE 7"),
            (Command::Rset, "RSET", "RSET"),
            (Command::Noop, "NOOP", "NOOP"),
            (Command::Quit, "QUIT", "QUIT"),
        ];
        for (command, line, trace) in cases {
            assert_eq!(command.line().unwrap().expose(), format!("{line}\r\n").as_bytes());
            assert_eq!(command.redacted(), trace);
            assert_eq!(command.is_secret(), trace.contains("[redacted]"), "{trace}");
        }
    }

    #[test]
    fn no_argument_can_begin_another_command() {
        for bad in ["a\r\nDELE 1", "a\nDELE 1", "a\r", "a\0b"] {
            let commands = [
                Command::User(bad.into()),
                Command::Pass(Secret::new(bad)),
                Command::Apop { user: bad.into(), digest: Secret::new("00") },
                Command::Auth { mechanism: "PLAIN", initial: Some(Secret::new(bad)) },
                Command::SaslResponse(Secret::new(bad)),
            ];
            for command in commands {
                assert_eq!(command.line(), Err(NotSent::ForbiddenOctet), "{command:?}");
            }
        }
    }

    #[test]
    fn only_sasl_responses_pass_the_limit() {
        let user = |length: usize| Command::User("u".repeat(length - 7)).line();
        assert_eq!(user(255).unwrap().expose().len(), 255);
        assert_eq!(user(256), Err(NotSent::TooLong(256)), "G10");
        // 243 characters and the command make 256, 242 fit.
        let plain = |length: usize| {
            Command::Auth { mechanism: "PLAIN", initial: Some(Secret::new("A".repeat(length))) }.line()
        };
        assert_eq!(plain(243), Err(NotSent::TooLong(256)));
        assert!(plain(242).is_ok());
        assert!(Command::SaslResponse(Secret::new("A".repeat(9_000))).line().is_ok());
    }

    #[test]
    fn no_secret_in_debug_output() {
        let commands = [
            Command::Pass(Secret::new("hunter2")),
            Command::Apop { user: "u".into(), digest: Secret::new("hunter2") },
            Command::Auth { mechanism: "PLAIN", initial: Some(Secret::new("hunter2")) },
            Command::SaslResponse(Secret::new("hunter2")),
        ];
        for command in commands {
            assert!(!format!("{command:?} {}", command.redacted()).contains("hunter2"));
        }
    }

    #[test]
    fn multi_line_answers() {
        let lines = |sent: Sent| matches!(sent.answer(), AnswerForm::Lines(_));
        assert!(lines(Sent::Capa) && lines(Sent::List) && lines(Sent::UniqueIds));
        assert!(!lines(Sent::ListOne(n(1))) && !lines(Sent::UniqueIdOf(n(1))) && !lines(Sent::Stat));
        assert_eq!(Sent::Retr(n(2)).answer(), AnswerForm::Text(n(2)));
        assert_eq!(Sent::Top(n(3)).answer(), AnswerForm::Text(n(3)));
    }
}
