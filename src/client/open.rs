//! From the first packet to the login: connect, greeting, STLS, CAPA (RFC 1939 §4; RFC 2449 §5; RFC 2595 §4).
//!
//! The greeting's text, beyond its timestamp, changes nothing: POP3 has no pre-authenticated state, and STLS is sent
//! whatever was announced.

use std::net::SocketAddr;
use std::time::Duration;

use super::Client;
use super::error::Error;
use super::link::{Dialogue, Link};
use super::server_facts::{Greeting, ServerFacts, capabilities, greeting};
use crate::access::Owner;
use crate::account::{Tls, Trust, Way};
use crate::connection::{self, Connection, Connectors, Target};
use crate::protocol::auth::{ApopChallenge, AuthError};
use crate::protocol::capability::Capabilities;
use crate::protocol::command::Command;
use crate::protocol::redact::Redactor;
use crate::protocol::sasl::Credentials;
use crate::protocol::session::Sent;
use crate::signals::Stop;
use crate::text::shown_by;
use crate::types::Channel;

/// Which server to connect to, and how.
pub(crate) struct Call<'a> {
    /// The server, and the user who logs in there.  Whatever the server sends, the password is not shown.
    pub credentials: Credentials<'a>,
    pub tls: Tls,
    pub trust: &'a Trust,
    pub way: &'a Way,
    /// With whose rights a program on that way runs.
    pub owner: Option<&'a Owner>,
    /// The longest silence.
    pub timeout: Duration,
    pub connectors: &'a Connectors,
    pub stop: &'a Stop,
    /// What the server offered before login not long ago, the same way: saves asking, where the connection can be trusted.
    pub remembered: Option<&'a Capabilities>,
    /// Whether `UTF8` is sent where the server lists it (RFC 6856 §2.1).  Then a remembered list that has it isn't
    /// enough: the command is sent only to a server that lists it in this session.
    pub utf8: bool,
    /// Gets the dialogue, line by line.
    pub dialogue: Option<Dialogue>,
}

shown_by!(Call<'_>, credentials);

/// Connected and greeted, over TLS if that was asked for; not logged in.
#[derive(Debug)]
pub(crate) struct Authorization {
    /// The greeting's timestamp, if it may be answered.
    pub(super) apop: Option<ApopChallenge>,
    /// Whether `UTF8` is to be sent with the login.
    pub(super) utf8: bool,
}

impl Client<Authorization> {
    /// Connects, reads the greeting, and begins TLS if that is to be done by `STLS`.
    ///
    /// # Errors
    /// When the server can't be reached, refuses, or isn't what it should be.
    pub(crate) fn open(call: &Call<'_>) -> Result<Self, Error> {
        let (mut ask, mut without, mut first_fault) = (true, Vec::new(), None);
        loop {
            match Self::open_once(call, ask, &without) {
                // Some old servers close the connection on CAPA.  Without it nothing but USER and PASS is known, so this is
                // only for connections whose protection doesn't depend on it.
                Err(Error::HungUpOnCapa(_)) if ask => ask = false,
                Err(Error::HungUpBeforeGreeting { peer, source })
                    if without.len() < connection::MOST_ADDRESSES =>
                {
                    without.push(peer);
                    first_fault.get_or_insert(source);
                }
                // No other address does any better: then the first one's error is the one to report.
                Err(Error::Connection(e)) if !call.stop.raised() => {
                    return Err(first_fault.map_or(Error::Connection(e), |first| *first));
                }
                other => return other,
            }
        }
    }

    /// Refuses a line on which others can listen, for what must not be sent there whatever the user has named.
    ///
    /// # Errors
    /// [`AuthError::TokenInClear`].
    pub(crate) fn check_private(&self) -> Result<(), Error> {
        if self.link.connection.channel() != Channel::Clear {
            return Ok(());
        }
        Err(Error::NoMethod { server: self.link.server.clone(), source: AuthError::TokenInClear })
    }

    /// Ends a session that was only to look: sends `QUIT`, and doesn't wait for the answer.
    pub(crate) fn leave(mut self) {
        if self.link.send(Command::Quit).is_ok() {
            self.link.flush_without_waiting();
        }
        self.link.close();
    }

    fn open_once(call: &Call<'_>, ask: bool, without: &[SocketAddr]) -> Result<Self, Error> {
        let target = target(call, call.tls, call.trust, without);
        let mut link = dial(call, &target)?;
        let Greeting { text, mut apop } = greeted(&mut link, call)?;
        if call.tls == Tls::StartTls {
            link = start_tls(link, &target, call)?;
            // The greeting came in clear: its timestamp is void.
            apop = None;
        }
        let remembered = call.remembered.filter(|remembered| ask && is_enough(remembered, &link, call));
        let asked = remembered.is_none();
        let capabilities = match remembered {
            Some(remembered) => Some(remembered.clone()),
            None if ask => offered(&mut link, call)?,
            None => None,
        };
        let utf8 = asked && call.utf8 && capabilities.as_ref().is_some_and(Capabilities::utf8);
        let facts = ServerFacts { greeting: text, capabilities, asked };
        Ok(Self { link, facts, state: Authorization { apop, utf8 } })
    }
}

fn target<'a>(call: &Call<'a>, tls: Tls, trust: &'a Trust, without: &'a [SocketAddr]) -> Target<'a> {
    let Credentials { host, port, .. } = call.credentials;
    Target { host, port, way: call.way, owner: call.owner, tls, trust, timeout: call.timeout, without }
}

fn dial(call: &Call<'_>, target: &Target<'_>) -> Result<Link, Error> {
    let mut redactor = Redactor::new(call.credentials.secret);
    if let Some(password) = call.way.secret() {
        redactor.also(password);
    }
    let connection = Connection::open(target, call.connectors, call.stop)
        .map_err(|e| e.redacted(|words| redactor.redact(words).into_owned()))?;
    let server = connection.server().to_owned();
    Ok(Link::new(connection, server, call.timeout, redactor, call.dialogue.clone()))
}

/// The greeting; where none comes, why that may be.
fn greeted(link: &mut Link, call: &Call<'_>) -> Result<Greeting, Error> {
    match greeting(link) {
        Err(e) if e.is_closed() => match link.connection.peer() {
            Some(peer) => Err(Error::HungUpBeforeGreeting { peer, source: Box::new(e) }),
            None => Err(e),
        },
        Err(Error::TimedOut { server, .. })
            if call.tls != Tls::Implicit && answers_to_tls(link.connection.peer(), call) =>
        {
            Err(Error::SilentButTls { server })
        }
        greeted => greeted,
    }
}

/// Whether what is remembered of a server's offer saves asking.
fn is_enough(remembered: &Capabilities, link: &Link, call: &Call<'_>) -> bool {
    link.connection.channel() != Channel::Clear && !(call.utf8 && remembered.utf8())
}

fn offered(link: &mut Link, call: &Call<'_>) -> Result<Option<Capabilities>, Error> {
    match capabilities(link) {
        Err(e) if e.is_closed() && call.tls != Tls::StartTls => Err(Error::HungUpOnCapa(Box::new(e))),
        offered => offered,
    }
}

/// Whether a server that sends nothing in clear text waits for a TLS handshake: asked on a connection of its own, on which
/// nothing else is sent, and on which no certificate of ours is shown.
fn answers_to_tls(peer: Option<SocketAddr>, call: &Call<'_>) -> bool {
    let trust = Trust::default();
    let target = target(call, Tls::Implicit, &trust, &[]);
    connection::shows_certificate(peer, &target, call.stop)
}

/// `STLS`, required: sent whatever CAPA lists: an attacker on the way could take it off the list.
fn start_tls(mut link: Link, target: &Target<'_>, call: &Call<'_>) -> Result<Link, Error> {
    link.send(Command::Stls)?;
    let answer = link.answer(Sent::Stls)?;
    if !answer.ok {
        return Err(Error::StlsRefused { server: link.server.clone(), text: link.quote(&answer.text) });
    }
    link.session.starttls_done().map_err(|e| link.protocol(e))?;
    let Link { connection, server, session, redactor, .. } = link;
    let connection = connection
        .starttls(target, call.connectors)
        .map_err(|e| e.redacted(|words| redactor.redact(words).into_owned()))?;
    let mut secured = Link::new(connection, server, call.timeout, redactor, call.dialogue.clone());
    secured.session = session;
    Ok(secured)
}
