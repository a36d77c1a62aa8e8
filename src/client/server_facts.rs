//! What a server reports of itself, and how the login went: the greeting, and what it can do (RFC 1939 §4; RFC 2449 §5).

use super::error::Error;
use super::link::Link;
use crate::protocol::auth::{ApopChallenge, Method};
use crate::protocol::capability::Capabilities;
use crate::protocol::command::Command;
use crate::protocol::session::ServerEvent;

/// What a server has reported of itself before the login.
#[derive(Debug)]
pub(crate) struct ServerFacts {
    /// The text of its greeting, fit to print.  It came before STLS, and so perhaps from another than the server.
    pub greeting: String,
    /// What it offers before login, or offered not long ago; `None` where it has no `CAPA`.
    pub capabilities: Option<Capabilities>,
    /// Whether the capabilities were asked for in this session, and not remembered.
    pub asked: bool,
}

/// How a login went: what is remembered of it.
#[derive(Debug)]
pub(crate) struct LoginFacts {
    pub method: Method,
    /// Whether the connection is verified TLS, or clear to a loopback address: only then is anything remembered.
    pub trustworthy: bool,
    /// Whether messages come in UTF8 mode (RFC 6856 §2.1): `UTF8` was sent, and accepted.  A message may be another one,
    /// by its octets and its header, in the other mode.
    pub utf8: bool,
    /// Whether the server lists `UTF8`, sent or not.
    pub utf8_offered: bool,
    /// Whether the server answered what came behind PASS in one flight.
    pub one_flight: bool,
}

pub(super) struct Greeting {
    /// Its text, fit to print.
    pub(super) text: String,
    /// Its timestamp, if it has one that may be answered.
    pub(super) apop: Option<ApopChallenge>,
}

pub(super) fn greeting(link: &mut Link) -> Result<Greeting, Error> {
    link.event()?;
    match link.session.event() {
        ServerEvent::Greeting(reply) if reply.ok => {
            Ok(Greeting { text: link.shown(reply.text), apop: ApopChallenge::from_greeting(reply.text) })
        }
        ServerEvent::Greeting(reply) => Err(Error::GreetingRefused {
            server: link.server.clone(),
            code: reply.code,
            text: link.quote(reply.text),
        }),
        _ => Err(link.farewell(b"")),
    }
}

/// What the server offers in this state; `None` where it has no `CAPA`.
pub(super) fn capabilities(link: &mut Link) -> Result<Option<Capabilities>, Error> {
    link.send(Command::Capa)?;
    read_capabilities(link)
}

/// The answer to a `CAPA` that has been sent.
pub(super) fn read_capabilities(link: &mut Link) -> Result<Option<Capabilities>, Error> {
    let mut capabilities = Capabilities::default();
    // They are remembered in a file, where no secret may stand.
    let redactor = link.redactor.clone();
    let secret = redactor.searcher();
    loop {
        link.event()?;
        match link.session.event() {
            ServerEvent::Line { line: capability, .. } if secret.finds(capability) => {}
            ServerEvent::Line { line: capability, .. } => {
                capabilities.add(capability).map_err(|e| link.protocol(e))?;
            }
            ServerEvent::Reply { reply, .. } if !reply.ok => return Ok(None),
            ServerEvent::End { .. } => return Ok(Some(capabilities)),
            ServerEvent::Farewell(reply) => return Err(link.farewell(reply.text)),
            _ => {}
        }
    }
}
