//! What can go wrong in a session: each error names the server and the step, and what to do next.

use std::borrow::Cow;

use crate::connection;
use crate::exit::ExitCode;
use crate::problem::{Problem, REPORT_BUG, TRY_AGAIN};
use crate::protocol::auth::{self, AuthError, Method, RefusalReason};
use crate::protocol::response::ResponseCode;
use crate::protocol::sasl::{SaslError, TokenFailure};
use crate::types::MessageNumber;

/// Why a session failed.
/// A `server` is always `HOST:PORT`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The connection could not be made, or broke: the network, the server's address, TLS.
    #[error(transparent)]
    Connection(#[from] connection::Error),
    /// The server broke the protocol, or ended the session: typically it isn't POP3, or it is stopping.
    #[error("{server}: {source}")]
    Protocol { server: String, source: crate::protocol::error::Error },
    /// The server was silent for too long: typically it is overloaded, or the network lost the connection.
    #[error("{server} kept us waiting too long for {during}")]
    TimedOut {
        server: String,
        during: String,
        /// Whether what is missing was asked for in one flight with other things.
        pipelined: bool,
    },
    /// Too little came for too long, though no single answer took too long: a server that holds sessions up, or a network
    /// that is hardly there.
    #[error("{server} sent only {} in {}: the session was ended", crate::text::size(*octets), format_args!("{} s", time.as_secs()))]
    TooSlow {
        server: String,
        /// What came in all.
        octets: u64,
        /// How long was listened.
        time: std::time::Duration,
    },
    /// The greeting was a refusal: too many sessions, a maildrop in use, maintenance, a blocked address.
    #[error("{server} refused the connection: \"{text}\"")]
    GreetingRefused {
        server: String,
        code: Option<ResponseCode>,
        /// Its words, fit to print.
        text: String,
    },
    /// The server took the connection and ended it before its greeting, as one does that is starting or full; another of
    /// its addresses is tried.
    #[error("{source}")]
    HungUpBeforeGreeting { peer: std::net::SocketAddr, source: Box<Self> },
    /// No greeting came in clear text, and a TLS handshake was answered: the port is one of implicit TLS.
    #[error("{server} sent no greeting: it answers to TLS")]
    SilentButTls { server: String },
    /// The line ended on `CAPA`; tried again without.
    #[error("{0}")]
    HungUpOnCapa(Box<Self>),
    /// The line ended on `UTF8`; to be tried again without.
    #[error("{0}")]
    HungUpOnUtf8(Box<Self>),
    /// The login was accepted, and nothing of what had been sent behind it was answered: to be tried again in two flights.
    #[error("{0}")]
    FlightCut(Box<Self>),
    /// The server refused STLS, which `tls = "starttls"` requires: it has no certificate, or someone on the way stripped it.
    #[error("{server} refused STLS: \"{text}\"")]
    StlsRefused {
        server: String,
        /// Its words, fit to print.
        text: String,
    },
    /// There is no method to log in with: none is offered that may be used here, or the credentials fit none.
    #[error("{server}: {source}")]
    NoMethod { server: String, source: AuthError },
    /// The SASL exchange failed on our side: a server that doesn't keep to the mechanism, or a password it can't carry.
    #[error("{server}: {mechanism}: {source}")]
    Sasl { server: String, mechanism: &'static str, source: SaslError },
    /// The login was refused; [`RefusalReason`] has the causes.
    #[error("{server} refused the login ({}): \"{text}\"{}", method.name(), token.as_ref().map(|token| format!(" ({token})")).unwrap_or_default())]
    LoginRefused {
        server: String,
        method: Method,
        meaning: RefusalReason,
        /// Its words, fit to print.
        text: String,
        /// Why an OAuth server refused the token.
        token: Option<TokenFailure>,
        /// Whether anything was sent that depends on the secret.
        secret_sent: bool,
        /// Whether it means that another session holds the maildrop.
        locked: bool,
    },
    /// An `-ERR` that answers no command: the server ends the session, typically after a time-out of its own.
    #[error("{server} ended the session: \"{text}\"")]
    Farewell {
        server: String,
        /// Its words, fit to print.
        text: String,
    },
    /// A deletion without its proofs, which isn't sent: a bug of ours.
    #[error("a bug in popfetch: message {number} was to be deleted without having been recognised")]
    NotRecognised { number: MessageNumber },
    /// A signal, and the answers in flight took too long.
    #[error("stopped by a signal")]
    Stopped,
    /// The system has no random numbers: typically a sandbox without `getrandom`.
    #[error("no random numbers are available: {0}")]
    Random(std::io::Error),
}

const ASK_PROVIDER: &str = "the server needs its operator: ask the provider";

impl Error {
    fn own_hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Connection(e) => return e.hint(),
            Self::Protocol { source, .. } => return source.hint(),
            Self::HungUpOnCapa(e) | Self::HungUpOnUtf8(e) | Self::FlightCut(e) => return e.hint(),
            Self::HungUpBeforeGreeting { source, .. } => return source.hint(),
            Self::NoMethod { source, .. } => return source.hint(),
            Self::Sasl { source, .. } => return source.hint(),
            Self::SilentButTls { .. } => "set tls = \"implicit\" for this account",
            Self::StlsRefused { .. } => {
                "set tls = \"implicit\" (port 995) if the server has it; popfetch doesn't go on in clear"
            }
            Self::LoginRefused { meaning: RefusalReason::Credentials, method, text, token, .. }
                if method.sends_token() =>
            {
                auth::remedy_for_token(text.as_bytes(), token.as_ref())
            }
            Self::LoginRefused { meaning: RefusalReason::Credentials, method, text, .. } => {
                auth::remedy(text.as_bytes()).unwrap_or_else(|| method.hint_when_refused())
            }
            Self::LoginRefused { meaning: RefusalReason::NeedsUtf8, .. } => {
                "set utf8 = \"auto\" if it is off; else ask the provider"
            }
            Self::LoginRefused { meaning: RefusalReason::SysPerm, text, .. } => {
                auth::remedy(text.as_bytes()).unwrap_or(ASK_PROVIDER)
            }
            Self::GreetingRefused { code: Some(ResponseCode::SysPerm), .. } => ASK_PROVIDER,
            Self::TimedOut { .. } => "the next run tries again; a slow server may need a longer timeout",
            Self::NotRecognised { .. } => REPORT_BUG,
            Self::GreetingRefused { .. }
            | Self::LoginRefused { .. }
            | Self::TooSlow { .. }
            | Self::Farewell { .. }
            | Self::Stopped
            | Self::Random(_) => return None,
        };
        Some(hint.into())
    }

    /// Whether the server refused user name or password, in whichever way the method has for it: the same again would be
    /// refused again.
    #[must_use]
    pub(crate) fn refuses_credentials(&self) -> bool {
        matches!(
            self,
            Self::LoginRefused { meaning: RefusalReason::Credentials, .. }
                | Self::Sasl { source: SaslError::Refused(_), .. }
        )
    }

    /// Whether the server has refused a token that may have been good before.
    #[must_use]
    pub(crate) fn refuses_stale_token(&self) -> bool {
        matches!(self, Self::LoginRefused { token: Some(token), .. } if token.is_stale())
    }

    /// Whether the server closed the connection where an answer was due.
    #[must_use]
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Protocol { source, .. } => matches!(source, crate::protocol::error::Error::Closed { .. }),
            Self::Connection(connection::Error::Broken { .. }) => true,
            Self::Connection(connection::Error::Route(problem)) => problem.is_end(),
            _ => false,
        }
    }

    /// Whether the answers can no longer be matched to their commands: something came unasked, or that isn't what was due.
    #[must_use]
    pub(crate) fn is_disorder(&self) -> bool {
        use crate::protocol::error::{Awaiting, Error};
        match self {
            Self::Protocol { source, .. } => match source {
                Error::NotPop3 { awaiting, .. } => *awaiting != Awaiting::Greeting,
                Error::LineTooLong { .. } | Error::TooManyLines { .. } | Error::Unsolicited { .. } => true,
                Error::LooksLikeTls
                | Error::CommandRefusedLocally { .. }
                | Error::Farewell { .. }
                | Error::InjectionAfterStls
                | Error::Closed { .. }
                | Error::MalformedListing { .. }
                | Error::AnswerTooLarge { .. }
                | Error::TooManyMessages { .. } => false,
            },
            _ => self.forbids_pipelining(),
        }
    }

    /// Whether an answer to `TOP` went on beyond every measure: the server sends more than the header, or the message has a
    /// header without an end.
    #[must_use]
    pub(crate) fn is_endless_header(&self) -> bool {
        use crate::protocol::error::Error;
        use crate::protocol::session::Sent;
        matches!(self, Self::Protocol { source: Error::AnswerTooLarge { to: Sent::Top(_), .. }, .. })
    }

    /// Whether the connection ended, or the server ended the session, where an answer was due.
    #[must_use]
    pub(crate) fn ends_session(&self) -> bool {
        match self {
            Self::TimedOut { pipelined, .. } => !pipelined,
            _ => self.is_farewell() || self.is_closed(),
        }
    }

    /// Whether too little came in the whole session, though each answer came in time.
    #[must_use]
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::TooSlow { .. })
    }

    /// Whether the server closed the connection, with or without a farewell.
    #[must_use]
    pub(crate) fn ended(&self) -> bool {
        self.is_closed() || matches!(self, Self::Farewell { .. })
    }

    /// Whether the server announced that it ends the session: an `-ERR` that answers no command.
    #[must_use]
    pub(crate) fn is_farewell(&self) -> bool {
        use crate::protocol::error::Error;
        matches!(self, Self::Farewell { .. } | Self::Protocol { source: Error::Farewell { .. }, .. })
    }

    /// What a farewell is where it isn't believed: something else that came unasked.
    #[must_use]
    pub(crate) fn doubted(self) -> Self {
        use crate::protocol::error::{Error, ServerWords};
        match self {
            Self::Farewell { server, text } => Self::Protocol {
                server,
                source: Error::Unsolicited { came: ServerWords::new(text.as_bytes()) },
            },
            Self::Protocol { server, source: Error::Farewell { said } } => {
                Self::Protocol { server, source: Error::Unsolicited { came: said } }
            }
            other => other,
        }
    }

    /// Whether another session holds the maildrop.
    #[must_use]
    pub(crate) fn is_locked(&self) -> bool {
        matches!(
            self,
            Self::LoginRefused { locked: true, .. }
                | Self::GreetingRefused { code: Some(ResponseCode::InUse), .. }
        )
    }

    /// Whether it looks as if the server swallows commands that come before it has answered.
    #[must_use]
    pub(crate) fn forbids_pipelining(&self) -> bool {
        matches!(self, Self::TimedOut { pipelined: true, .. })
    }
}

impl Problem for Error {
    /// Where the error itself suggests nothing: that the next run tries again, or where to report it.
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.own_hint().or_else(|| match self.exit_code() {
            ExitCode::Later => Some(TRY_AGAIN.into()),
            ExitCode::Protocol => Some("-vv shows the dialogue; its operator should see it".into()),
            _ => None,
        })
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Connection(e) => e.exit_code(),
            Self::Protocol { source, .. } => source.exit_code(),
            Self::TimedOut { .. } | Self::TooSlow { .. } | Self::Farewell { .. } | Self::Stopped => {
                ExitCode::Later
            }
            Self::GreetingRefused { code, .. } => match code {
                Some(ResponseCode::SysPerm) => ExitCode::Unavailable,
                Some(ResponseCode::Auth) => ExitCode::Refused,
                Some(
                    ResponseCode::InUse
                    | ResponseCode::LoginDelay
                    | ResponseCode::SysTemp
                    | ResponseCode::Utf8,
                )
                | None => ExitCode::Later,
            },
            Self::HungUpOnCapa(e) | Self::HungUpOnUtf8(e) | Self::FlightCut(e) => e.exit_code(),
            Self::HungUpBeforeGreeting { source, .. } => source.exit_code(),
            Self::StlsRefused { .. } | Self::SilentButTls { .. } => ExitCode::Protocol,
            Self::NoMethod { source, .. } => source.exit_code(),
            Self::Sasl { source, .. } => source.exit_code(),
            Self::LoginRefused { meaning, .. } => meaning.exit_code(),
            Self::Random(_) => ExitCode::LocalIo,
            Self::NotRecognised { .. } => ExitCode::Bug,
        }
    }
}
