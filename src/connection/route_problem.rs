//! What can go wrong on the way to a server, before it is the server that answers: proxies, programs, sockets, source
//! addresses.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::account::ProxyKind;
use crate::exit::ExitCode;
use crate::problem::{Problem, TRY_AGAIN};
use crate::text::{self, printable, shortened};

/// Of what a proxy or a program has sent this much is shown.
const SHOWN: usize = 400;

/// Why a server can't be reached by the way that the account sets.  `proxy` is always its place, without user and password.
/// A `server` is always `HOST:PORT`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteProblem {
    /// No proxy is there: it isn't running, or its address is wrong.
    #[error("the proxy {proxy} can't be reached: {reason}")]
    NoProxy {
        proxy: String,
        /// The system's words.
        reason: String,
    },
    /// The proxy took the connection and doesn't answer: typically the server can't be reached from there.
    #[error("the proxy {proxy} did not connect to {server} within {limit:?}")]
    Silent {
        proxy: String,
        server: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The line to the proxy ended in the middle of its answer: some proxies refuse like that.
    #[error("the proxy {proxy} ended the connection before it was connected to {server}{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Ended {
        proxy: String,
        server: String,
        /// The system's words, where there are any.
        reason: Option<String>,
    },
    /// Something else than a proxy of that kind is there.
    #[error("{proxy} isn't {}: it sent \"{}\"", kind_of_proxy(*kind), quoted(said))]
    NotAProxy { proxy: String, kind: ProxyKind, said: Vec<u8> },
    /// More came than an answer, before the next question was asked.
    #[error("the proxy {proxy} answered before it was asked")]
    Early { proxy: String },
    /// The head of an HTTP answer goes on and on.
    #[error("the answer of the proxy {proxy} has no end")]
    TooLong { proxy: String },
    /// The proxy wants to know who uses it.
    #[error("the proxy {proxy} {}", if *given { "refuses the user and the password" } else { "wants a user and a password" })]
    Login { proxy: String, given: bool },
    /// The proxy wants a login that we don't have.
    #[error("the proxy {proxy} wants a login by {}", quoted(schemes))]
    OtherLogin {
        proxy: String,
        /// What it offers.
        schemes: Vec<u8>,
    },
    /// The proxy's rules forbid it.
    #[error("the proxy {proxy} forbids the connection to {server}: {}", quoted(said))]
    Forbids { proxy: String, server: String, said: Vec<u8> },
    /// The proxy tried and failed.
    #[error("the proxy {proxy} can't reach {server}: {}", quoted(said))]
    CannotReach {
        proxy: String,
        server: String,
        /// Its answer; a hint and not a fact: proxies send the same code for different things.
        said: Vec<u8>,
    },
    /// The proxy doesn't make such connections, or isn't one.
    #[error("the proxy {proxy} doesn't connect to {server}: {}", quoted(said))]
    NoConnections { proxy: String, server: String, said: Vec<u8> },
    /// The connect-command can't be started, or reports that it doesn't find what it was to run.
    #[error("connect-command: {reason}{}", complaint(said))]
    NoCommand {
        reason: String,
        /// What it printed.
        said: Vec<u8>,
    },
    /// The connect-command ended on its own.
    #[error("connect-command ended the connection to {server}: {how}{}", complaint(said))]
    CommandEnded {
        server: String,
        how: String,
        /// What it printed on its standard error, the end of it.
        said: Vec<u8>,
    },
    /// The Unix socket takes no connection: the server isn't running, or it's another path.
    #[error("cannot connect to the socket {}: {reason}", text::path(path))]
    NoSocket {
        /// The socket.
        path: PathBuf,
        /// The system's words.
        reason: String,
        /// Whether we may not.
        forbidden: bool,
    },
    /// The source address isn't one of this machine.
    #[error("source-address: {address} isn't an address of this machine")]
    SourceAddress { address: IpAddr },
}

impl RouteProblem {
    /// Whether there was a connection, and it has ended.
    #[must_use]
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::CommandEnded { .. })
    }

    /// Passes what came from elsewhere through `redact`, which takes secrets out.
    pub(super) fn redact(&mut self, redact: impl Fn(&[u8]) -> Vec<u8>) {
        match self {
            Self::NotAProxy { said, .. }
            | Self::OtherLogin { schemes: said, .. }
            | Self::Forbids { said, .. }
            | Self::CannotReach { said, .. }
            | Self::NoConnections { said, .. }
            | Self::NoCommand { said, .. }
            | Self::CommandEnded { said, .. } => *said = redact(said),
            Self::NoProxy { .. }
            | Self::Silent { .. }
            | Self::Ended { .. }
            | Self::Early { .. }
            | Self::TooLong { .. }
            | Self::Login { .. }
            | Self::NoSocket { .. }
            | Self::SourceAddress { .. } => {}
        }
    }
}

impl Problem for RouteProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            // The ports of Tor and of the Tor browser.
            Self::NoProxy { proxy, .. }
                if [":9050", ":9150"].iter().any(|port| proxy.ends_with(port)) || proxy.contains("tor/") =>
            {
                "is Tor running?"
            }
            Self::NoProxy { .. } => "is it running? check `proxy`",
            Self::NotAProxy { kind: ProxyKind::Socks5, .. } => {
                "check `proxy`: the port of another service? SOCKS4 is not spoken"
            }
            Self::NotAProxy { kind: ProxyKind::Http, .. } => {
                "check `proxy`: the port of another service, or a proxy that wants TLS?"
            }
            Self::Login { given: false, .. } => "set them in `proxy`: USER:PASSWORD@HOST",
            Self::Login { given: true, .. } => "check USER:PASSWORD@ in `proxy`",
            Self::OtherLogin { .. } => "use connect-command with cntlm or px",
            Self::Forbids { .. } => {
                "its operator has to allow this port: SSL_ports of squid, ConnectPort of tinyproxy"
            }
            Self::NoConnections { .. } => "is it a proxy that makes connections (CONNECT)? check `proxy`",
            Self::NoCommand { .. } => {
                "check `connect-command`: a string goes to the shell, a list is executed"
            }
            Self::NoSocket { forbidden: true, .. } => "its directory or its mode keeps this user out",
            Self::NoSocket { .. } => "is the server running? check `socket`",
            Self::SourceAddress { .. } => "ip address shows which there are",
            Self::Silent { .. }
            | Self::Ended { .. }
            | Self::CannotReach { .. }
            | Self::CommandEnded { .. } => TRY_AGAIN,
            Self::Early { .. } | Self::TooLong { .. } => "its operator should see it",
        };
        Some(hint.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoProxy { .. }
            | Self::Silent { .. }
            | Self::Ended { .. }
            | Self::CannotReach { .. }
            | Self::CommandEnded { .. }
            | Self::NoSocket { forbidden: false, .. } => ExitCode::Later,
            Self::NotAProxy { .. }
            | Self::Early { .. }
            | Self::TooLong { .. }
            | Self::NoConnections { .. } => ExitCode::Protocol,
            Self::Login { .. } | Self::OtherLogin { .. } => ExitCode::Refused,
            Self::Forbids { .. }
            | Self::NoCommand { .. }
            | Self::NoSocket { forbidden: true, .. }
            | Self::SourceAddress { .. } => ExitCode::Configuration,
        }
    }
}

fn kind_of_proxy(kind: ProxyKind) -> &'static str {
    match kind {
        ProxyKind::Socks5 => "a SOCKS5 proxy",
        ProxyKind::Http => "an HTTP proxy",
    }
}

/// The beginning of what came from elsewhere, fit to print.
fn quoted(said: &[u8]) -> String {
    shortened(&printable(said.trim_ascii()), SHOWN).into_owned()
}

/// What a program has complained of, its lines in one.
fn complaint(said: &[u8]) -> String {
    let lines = said.split(|octet| matches!(octet, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(printable).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
}
