//! What a server reports of itself, before and after TLS and the login, and which setting would be better.
//!
//! A look sends no secret but in the login that it was asked for, and reads no message.  Where the certificate is refused,
//! the look goes on with that certificate pinned, so that the rest can be seen; then there is no login.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::Visit;
use crate::access::Owner;
use crate::account::host::in_brackets;
use crate::account::{Account, Route, Tls, Trust, Way};
use crate::client::{self, Authorization, Call, Client};
use crate::clock;
use crate::connection::{self, CertificateSummary};
pub(crate) use crate::protocol::capability::{Capabilities, Expire};
use crate::protocol::sasl::Credentials;
use crate::report::ReportedError;
use crate::retrieval::error::Error;
use crate::retrieval::run::Run;
use crate::retrieval::{Context, Options};
use crate::secret::Secret;
use crate::types::Octets;

/// The port of TLS from the start (RFC 8314 §3.3).
const IMPLICIT_PORT: u16 = 995;
/// The port of `STLS` (RFC 1939 §3).
const CLEAR_PORT: u16 = 110;

/// How long another port, or another setting, is waited for.
const PROBE: Duration = Duration::from_secs(10);

/// The longest silence at a server that no account names.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and how it is reached.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// An A-label without final dot, or an address literal without brackets.
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub trust: Trust,
    pub way: Way,
    /// With whose rights a program on that way runs.
    pub owner: Option<Owner>,
    /// The longest silence.
    pub timeout: Duration,
}

/// What a server reports of itself.
#[derive(Debug)]
pub(crate) struct ServerInfo {
    /// The server, as it was reached.
    pub server: Server,
    /// The text of its greeting, fit to print.
    pub greeting: String,
    /// What protects the connection, in words; `None` for clear text.
    pub protection: Option<&'static str>,
    pub certificate: Option<CertificateInfo>,
    /// What it offered in clear text before `STLS`; the outer `None` where it was not asked.
    pub before_tls: Option<Option<Capabilities>>,
    /// What it offers before the login; `None` where it has no `CAPA`.
    pub before_login: Option<Capabilities>,
    /// How the login went, if there was one.
    pub login: Option<Result<LoginInfo, ReportedError>>,
    pub better: Vec<Better>,
}

/// A certificate, and what is thought of it.
#[derive(Debug, Clone)]
pub(crate) struct CertificateInfo {
    /// What it holds.
    pub seen: CertificateSummary,
    /// Whether it was recognised by its fingerprint.
    pub pinned: bool,
    /// Why it is refused, if it is.
    pub refused: Option<ReportedError>,
}

/// What a login has shown.
#[derive(Debug)]
pub(crate) struct LoginInfo {
    /// Name of the mechanism, as in `auth`.
    pub mechanism: &'static str,
    /// What the server offers after it; `None` where it has no `CAPA`.
    pub capabilities: Option<Capabilities>,
    /// How many messages there are, and their octets; `None` where the server doesn't say.
    pub drop_listing: Option<(u32, Octets)>,
}

/// A setting that would be better than the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// TLS from the start on port 995.
    Implicit,
    /// `STLS` on the port in use.
    StartTls,
    /// No `tls-fingerprint`: chain, dates and name are right.
    Chain,
}

impl Server {
    fn of(account: &Account) -> Self {
        let Account { host, port, tls, trust, way, owner, timeout, .. } = account.clone();
        Self { host, port, tls, trust, way, owner, timeout }
    }

    /// The same on another port, with another protection; it isn't waited for as long.
    fn with(&self, port: u16, tls: Tls) -> Self {
        Self { port, tls, timeout: self.timeout.min(PROBE), ..self.clone() }
    }

    /// `HOST:PORT`.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        let Self { host, port, .. } = self;
        format!("{}:{port}", in_brackets(host))
    }

    /// Connects, and reads greeting and capabilities.  What it sends is shown without `secret`, which isn't sent.
    fn open(&self, secret: &Secret, context: &Context<'_>) -> Result<Client<Authorization>, client::Error> {
        Client::open(&Call {
            credentials: Credentials { user: "", secret, host: &self.host, port: self.port },
            tls: self.tls,
            trust: &self.trust,
            way: &self.way,
            owner: self.owner.as_ref(),
            timeout: self.timeout,
            connectors: context.connectors,
            stop: &context.stop,
            remembered: None,
            utf8: false,
            dialogue: None,
        })
    }
}

/// Looks at a server that no account names, at `port` or, without one, where POP3 usually is: TLS from the start on 995,
/// else `STLS` on 110.
///
/// # Errors
/// The server can't be reached, or isn't one.  A refused certificate is no error here.
pub(crate) fn find_server(
    host: &str,
    port: Option<u16>,
    context: &Context<'_>,
) -> Result<ServerInfo, ReportedError> {
    let server = |port, tls| Server {
        host: host.to_owned(),
        port,
        tls,
        trust: Trust::default(),
        way: Way::default(),
        owner: None,
        timeout: PATIENCE,
    };
    let implicit = server(port.unwrap_or(IMPLICIT_PORT), Tls::Implicit);
    let clear = server(port.unwrap_or(CLEAR_PORT), Tls::StartTls);
    let (first, second) = if port == Some(CLEAR_PORT) { (clear, implicit) } else { (implicit, clear) };
    let none = Secret::new("");
    let error = match look(first, &none, context) {
        Ok(info) => return Ok(info),
        Err(e) => e,
    };
    // Of two failures the first is the one to report: it is about the usual way.
    match look(second, &none, context) {
        Ok(info) if !context.stop.raised() => Ok(info),
        _ => Err(ReportedError::of(&error)),
    }
}

/// Whether an account's server is there, and is the one that is named; there is no login.
///
/// # Errors
/// The server can't be reached, isn't one, or its certificate is refused.
pub(crate) fn probe(account: &Account, context: &Context<'_>) -> Result<(), ReportedError> {
    let mut server = Server::of(account);
    server.timeout = server.timeout.min(PROBE);
    let client = server.open(&Secret::new(""), context).map_err(|e| ReportedError::of(&e))?;
    client.leave();
    Ok(())
}

/// Logs in as a run does, and looks at nothing but how much there is.
///
/// # Errors
/// As of every login.
pub(crate) fn try_login(
    account: &Account,
    options: &Options,
    context: &Context<'_>,
) -> Result<LoginInfo, ReportedError> {
    let run = Run::new(account, options, context, clock::now());
    let tried = Visit::begin(&run).and_then(|mut visit| {
        let secret = visit.secret()?;
        log_in(&mut visit, &secret)
    });
    tried.map_err(|e| run.failure(&e))
}

/// Looks at an account's server; logs in there if `login`.
///
/// # Errors
/// The server can't be reached, or isn't one.  A refused certificate or login is no error here.
pub(crate) fn server_info(
    account: &Account,
    options: &Options,
    login: bool,
    context: &Context<'_>,
) -> Result<ServerInfo, ReportedError> {
    let run = Run::new(account, options, context, clock::now());
    // The password comes first: whatever the server sends, it isn't shown.
    let visit = login.then(|| Visit::begin(&run).and_then(|visit| Ok((visit.secret()?, visit))));
    let none = Secret::new("");
    let secret = match &visit {
        Some(Ok((secret, _))) => secret,
        _ => &none,
    };
    let mut info = look(Server::of(account), secret, context).map_err(|e| ReportedError::of(&e))?;
    let trusted = info.certificate.as_ref().is_none_or(|certificate| certificate.refused.is_none());
    if let Some(visit) = visit.filter(|_| trusted) {
        let login = visit.and_then(|(secret, mut visit)| log_in(&mut visit, &secret));
        info.login = Some(login.map_err(|e| run.failure(&e)));
    }
    Ok(info)
}

fn look(server: Server, secret: &Secret, context: &Context<'_>) -> Result<ServerInfo, client::Error> {
    let before_tls = match server.tls {
        Tls::StartTls => Some(in_clear(&server, secret, context)?),
        Tls::Implicit | Tls::None => None,
    };
    let (client, refused) = match server.open(secret, context) {
        Ok(client) => (client, None),
        Err(e) => {
            let pinned = refused_leaf(&e).map(|fingerprint| {
                let trust = Trust { fingerprints: vec![fingerprint], ..Trust::default() };
                Server { trust, ..server.clone() }.open(secret, context)
            });
            match pinned {
                Some(Ok(client)) => (client, Some(ReportedError::of(&e))),
                _ => return Err(e),
            }
        }
    };
    let pinned = !server.trust.fingerprints.is_empty();
    let certificate = client.certificate().map(|der| {
        let mut seen = CertificateSummary::of(der);
        seen.names.iter_mut().chain(&mut seen.issuer).for_each(|text| *text = client.redacted(text));
        CertificateInfo { seen, pinned, refused }
    });
    let mut info = ServerInfo {
        server,
        greeting: client.server_facts().greeting.clone(),
        protection: client.protection(),
        certificate,
        before_tls,
        before_login: shown(client.server_facts().capabilities.as_ref(), &client),
        login: None,
        better: Vec::new(),
    };
    client.leave();
    info.better = better(&info, context);
    Ok(info)
}

/// What the server offers in clear text, before `STLS`.
fn in_clear(
    server: &Server,
    secret: &Secret,
    context: &Context<'_>,
) -> Result<Option<Capabilities>, client::Error> {
    let client = server.with(server.port, Tls::None).open(secret, context)?;
    let capabilities = shown(client.server_facts().capabilities.as_ref(), &client);
    client.leave();
    Ok(capabilities)
}

/// What a server offers, without the account's secret.
fn shown<S>(capabilities: Option<&Capabilities>, client: &Client<S>) -> Option<Capabilities> {
    Some(capabilities?.redacted(|word| client.redacted(word)))
}

/// The fingerprint of a certificate that is refused.
fn refused_leaf(e: &client::Error) -> Option<[u8; 32]> {
    match e {
        client::Error::Connection(connection::Error::Certificate { seen: Some(seen), .. }) => {
            Some(seen.fingerprint)
        }
        _ => None,
    }
}

/// Whether a server answers so, and its certificate is the right one.
fn answers(server: &Server, context: &Context<'_>) -> bool {
    if context.stop.raised() {
        return false;
    }
    let client = server.open(&Secret::new(""), context);
    let answers = client.is_ok();
    if let Ok(client) = client {
        client.leave();
    }
    answers
}

fn better(info: &ServerInfo, context: &Context<'_>) -> Vec<Better> {
    let server = &info.server;
    let mut better = Vec::new();
    let usual = server.tls == Tls::Implicit && server.port == IMPLICIT_PORT;
    // Other ways lead to one place, whatever the port.
    let has_ports = matches!(server.way.route, Route::Direct | Route::Proxy(_));
    if !usual && has_ports && answers(&server.with(IMPLICIT_PORT, Tls::Implicit), context) {
        better.push(Better::Implicit);
    } else if server.tls == Tls::None && answers(&server.with(server.port, Tls::StartTls), context) {
        better.push(Better::StartTls);
    }
    let pinned = info.certificate.as_ref().is_some_and(|certificate| certificate.pinned);
    if pinned && better.is_empty() {
        let mut by_chain = server.with(server.port, server.tls);
        by_chain.trust.fingerprints.clear();
        if answers(&by_chain, context) {
            better.push(Better::Chain);
        }
    }
    better
}

/// Logs in as a run does, and asks how much there is.
fn log_in(visit: &mut Visit<'_, '_>, secret: &Secret) -> Result<LoginInfo, Error> {
    let mut client = visit.log_in(secret, None)?;
    let drop_listing = client.ask_drop_listing()?;
    let info = LoginInfo {
        mechanism: client.login_facts().method.name(),
        capabilities: shown(client.capabilities(), &client),
        drop_listing,
    };
    client.leave();
    Ok(info)
}
