//! Why a connection failed, in plain words, and what to do about it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::certificate::{CertificateProblem, CertificateSummary};
use super::route_problem::RouteProblem;
use crate::account::Tls;
use crate::exit::ExitCode;
use crate::problem::{Problem, REPORT_BUG};
use crate::text;

/// Why a connection failed.  `server` is always `host:port`, as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The name has no address, or the resolver is out of reach.
    #[error("cannot look up {host}: {reason}")]
    Lookup {
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// No address of the server took the connection: a wrong port, a firewall, a server that is down.
    #[error("cannot connect to {server}: {}", List(server, attempts))]
    Connect {
        server: String,
        /// Every address, and what came of it.
        attempts: Vec<FailedAddress>,
    },
    /// The resolver or the TLS handshake took too long: typically a firewall that drops packets.
    #[error("{server}: {step} took longer than {limit:?}")]
    TimedOut {
        server: String,
        step: ConnectStep,
        /// How long was waited.
        limit: Duration,
    },
    /// The server closed TCP during the handshake: typically it is overloaded, or doesn't like our TLS versions.
    #[error("{server} closed the connection during the TLS handshake")]
    Closed { server: String },
    /// The line broke: a reset, an unreachable network, damaged TLS records.
    #[error("the connection to {server} broke: {reason}")]
    Broken {
        server: String,
        /// The system's words.
        reason: String,
    },
    /// A signal asked to stop while the connection was being made.
    #[error("stopped while connecting to {server}")]
    Stopped { server: String },
    /// Clear text where a TLS handshake was due: typically the port of another `tls` setting, or of another service.
    #[error("{server} does not speak TLS: it sent \"{}\"", text::printable(said.trim_ascii_end()))]
    NotTls {
        server: String,
        /// When TLS was to begin.
        tls: Tls,
        said: Vec<u8>,
    },
    /// The server has no version of TLS that may be used: typically an appliance that was never updated.
    #[error("{server} offers no TLS 1.2 or later ({reason})")]
    Version {
        server: String,
        /// The TLS library's words.
        reason: String,
    },
    /// The handshake failed for another reason than the certificate: typically no cipher in common.
    #[error("the TLS handshake with {server} failed: {reason}")]
    Handshake {
        server: String,
        /// The TLS library's words.
        reason: String,
    },
    /// The server's certificate is refused; [`CertificateProblem`] has the causes.
    #[error("{server}: certificate refused: {problem}")]
    Certificate {
        server: String,
        problem: CertificateProblem,
        /// A command that shows it, where there is one for the way there.
        look: Option<String>,
        /// What it holds, where it could be read.
        seen: Option<Box<CertificateSummary>>,
    },
    /// The server refused our certificate, or asks for one.
    #[error("{server} refused the client certificate: {reason}")]
    ClientCertificate {
        server: String,
        /// The TLS library's words.
        reason: String,
    },
    /// A file with certificates to trust, or with the client's own, cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustProblem),
    /// The way to the server failed before the server was reached; [`RouteProblem`] has the causes.
    #[error(transparent)]
    Route(#[from] Box<RouteProblem>),
    /// TLS was asked for inside TLS, which only a bug of ours can do.
    #[error("STLS inside TLS at {server}: this is a bug in popfetch")]
    Nested { server: String },
    /// The operating system refused something on this side: typically no descriptor is left.
    #[error("cannot {action}: {}", plain(source))]
    Local { action: &'static str, source: io::Error },
}

/// A step with a deadline of its own.  (Addresses have theirs in [`FailedAddress`].)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectStep {
    /// Asking the resolver.
    Lookup,
    Handshake,
}

/// One address that did not take the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedAddress {
    pub address: SocketAddr,
    /// The system's words.
    pub reason: String,
}

/// A file of `ca-file`, `tls-client-certificate` or `tls-client-key` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {}: {reason}", text::path(path))]
pub(crate) struct TrustProblem {
    /// The key that names it.
    pub setting: &'static str,
    /// The file's path, printable.
    pub path: PathBuf,
    pub reason: String,
    pub hint: Option<String>,
}

impl Error {
    /// The same, with what the server shows, if that could only be found out afterwards.
    pub(super) fn with_leaf(self, leaf: impl FnOnce() -> Option<Vec<u8>>) -> Self {
        match self {
            Self::Certificate { server, problem, look, seen: None } => {
                let seen = leaf().map(|leaf| Box::new(CertificateSummary::of(&leaf)));
                Self::Certificate { server, problem, look, seen }
            }
            other => other,
        }
    }

    /// Why a connection couldn't be made, without the name of what it was to be made to; `None` where that isn't the reason.
    pub(super) fn of_dialling(&self) -> Option<String> {
        match self {
            Self::Lookup { .. } => Some(self.to_string()),
            Self::Connect { attempts, .. } => match attempts.as_slice() {
                [FailedAddress { reason, .. }] => Some(reason.clone()),
                attempts => Some(List("", attempts).to_string()),
            },
            Self::TimedOut { step, limit, .. } => Some(format!("{step} took longer than {limit:?}")),
            _ => None,
        }
    }

    /// Passes what the server, or a proxy or a program before it, sent through `redact`, which takes a secret out.
    #[must_use]
    pub(crate) fn redacted(mut self, redact: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let words =
            |text: &mut String| *text = String::from_utf8_lossy(&redact(text.as_bytes())).into_owned();
        match &mut self {
            Self::NotTls { said, .. } => *said = redact(said),
            Self::Route(problem) => problem.redact(redact),
            Self::Certificate { problem: CertificateProblem::WrongName { names, .. }, .. } => {
                names.iter_mut().for_each(words);
            }
            Self::Certificate { problem: CertificateProblem::CommonNameOnly { common_name }, .. } => {
                common_name.iter_mut().for_each(words);
            }
            _ => {}
        }
        self
    }
}

impl From<RouteProblem> for Error {
    fn from(problem: RouteProblem) -> Self {
        Self::Route(Box::new(problem))
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Lookup { .. } => "check the spelling of `server`, and that the network is up",
            Self::Connect { .. } => "check `server` and `port`",
            Self::NotTls { tls: Tls::StartTls, .. } => {
                "after STLS nothing may come in clear: another program on the way may have put it there"
            }
            Self::NotTls { said, .. } if said.starts_with(b"+OK") || said.starts_with(b"-ERR") => {
                "this port speaks POP3 in clear: set `tls = \"starttls\"`, or leave `port` out for TLS on 995"
            }
            Self::NotTls { .. } => "this port is no POP3 over TLS: check `port`",
            Self::Version { .. } => {
                "TLS 1.0 and 1.1 are no longer safe (RFC 8996): the server has to be updated"
            }
            Self::Certificate { problem, look, seen, .. } => {
                let seen = seen.as_ref().map(ToString::to_string).unwrap_or_default();
                let look = look.as_ref().map(|look| format!("see it with: {look}")).unwrap_or_default();
                return Some(format!("{}\n{seen}{look}", problem.remedy()).trim_end().to_owned().into());
            }
            Self::ClientCertificate { .. } => {
                "check `tls-client-certificate` and `tls-client-key` with the server's operator"
            }
            Self::Trust(problem) => return problem.hint(),
            Self::Route(problem) => return problem.hint(),
            Self::Nested { .. } => REPORT_BUG,
            Self::TimedOut { .. }
            | Self::Closed { .. }
            | Self::Broken { .. }
            | Self::Stopped { .. }
            | Self::Handshake { .. }
            | Self::Local { .. } => return None,
        };
        Some(hint.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Lookup { .. }
            | Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::Closed { .. }
            | Self::Broken { .. }
            | Self::Stopped { .. } => ExitCode::Later,
            Self::NotTls { .. } | Self::Version { .. } | Self::Handshake { .. } => ExitCode::Protocol,
            Self::Certificate { .. } | Self::ClientCertificate { .. } => ExitCode::Refused,
            Self::Trust(problem) => problem.exit_code(),
            Self::Route(problem) => problem.exit_code(),
            Self::Nested { .. } => ExitCode::Bug,
            Self::Local { .. } => ExitCode::LocalIo,
        }
    }
}

impl Problem for TrustProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.hint.as_deref().map(Cow::Borrowed)
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::Configuration
    }
}

impl fmt::Display for ConnectStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "looking up the name",
            Self::Handshake => "the TLS handshake",
        })
    }
}

/// Each address with its reason; the address alone that the server is named by isn't repeated.
struct List<'a>(&'a str, &'a [FailedAddress]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.1
            && only.address.to_string() == self.0
        {
            return f.write_str(&only.reason);
        }
        for (n, attempt) in self.1.iter().enumerate() {
            let between = if n == 0 { "" } else { "; " };
            write!(f, "{between}{}: {}", attempt.address, attempt.reason)?;
        }
        Ok(())
    }
}

/// The system's words without its numbers.
pub(super) fn plain(error: &io::Error) -> String {
    let words = error.to_string();
    match words.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => words,
    }
}

/// The reason alone of OpenSSL's `error:CODE:library:function:reason:file:line:data, error:…`.
pub(super) fn reason(text: &str) -> String {
    let words = text.strip_prefix("error:").and_then(|fields| fields.split(':').nth(3));
    words.filter(|words| !words.is_empty()).unwrap_or(text).to_owned()
}
