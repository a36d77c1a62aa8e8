//! From the greeting to the login: STLS, CAPA, and the methods that policy allows, in order (RFC 1939 §4, §7; RFC 2449
//! §5; RFC 2595 §4; RFC 5034).
//!
//! What the greeting says, beyond its timestamp, changes nothing: POP3 has no pre-authenticated state, and STLS is sent
//! whatever was announced.

use std::net::SocketAddr;
use std::time::Duration;

use super::ahead::Ahead;
use super::error::Error;
use super::line::{Dialogue, Line};
use super::server_facts::{capabilities, greeting, read_capabilities};
use super::{Authorization, Client, Pipelining, Transaction};
use crate::account::{Auth, Tls, Trust};
use crate::clock;
use crate::connection::{self, Connection, Connectors, Target};
use crate::protocol::auth::{self, ApopChallenge, Circumstances, Method, Offer, after_refusal, methods};
use crate::protocol::capability::Capabilities;
use crate::protocol::command::Command;
use crate::protocol::redact::Redactor;
use crate::protocol::response::ResponseCode;
use crate::protocol::sasl::{self, Binding, Credentials, Exchange, Mechanism, Nonce, Text};
use crate::protocol::session::{Event, Sent};
use crate::secret::Secret;
use crate::stop::Stop;
use crate::types::Channel;

/// Whom to call, and how.
pub struct Call<'a> {
    /// Which server, and who logs in there.  Whatever the server says, the password is not shown.
    pub credentials: Credentials<'a>,
    /// How the connection is protected.
    pub tls: Tls,
    /// What is trusted.
    pub trust: &'a Trust,
    /// The longest silence.
    pub timeout: Duration,
    /// TLS connectors, shared.
    pub connectors: &'a Connectors,
    /// Raised by a signal.
    pub stop: &'a Stop,
    /// What the server offered before login not long ago, the same way: saves asking, where the line can be trusted.
    pub remembered: Option<&'a Capabilities>,
    /// Whether `UTF8` is sent where the server lists it (RFC 6856 §2.1).  Then a remembered list that has it isn't
    /// enough: the command is sent only to a server that lists it in this session.
    pub utf8: bool,
    /// Who is told the dialogue, line by line.
    pub dialogue: Option<Dialogue>,
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// Who logs in, and how.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// User name, and password or token.
    pub credentials: Credentials<'a>,
    /// How, as configured.
    pub auth: Auth,
    /// The strongest method that `auto` ever used here.
    pub strongest_ever: Option<Method>,
    /// Whether commands may be pipelined where the server offers it.
    pub pipelining: bool,
    /// What goes out with the login, where commands are pipelined; else nothing does.
    pub ahead: Option<Ahead>,
    /// How it goes out.
    pub flight: Flight,
}

/// How what is asked ahead is sent to a server that pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flight {
    /// In one flight with USER and PASS.
    One,
    /// The same, but the server has yet to show that it reads on after PASS: if nothing comes soon after the login was
    /// accepted, the session is given up ([`Error::FlightCut`]).  Courier's login program throws away what has come with
    /// PASS when it hands over to the next program.
    Unproven,
    /// In a flight of its own, when the login has been accepted.
    Two,
}

/// How a login went: what is remembered of it.
#[derive(Debug)]
pub struct LoginFacts {
    /// The method.
    pub method: Method,
    /// Whether the line is verified TLS, or clear to a loopback address: only then is anything remembered.
    pub trustworthy: bool,
    /// What the server offered before.
    pub capabilities_before: Option<Capabilities>,
    /// Whether that was asked in this session, not remembered.
    pub asked: bool,
    /// Whether messages come in UTF8 mode (RFC 6856 §2.1): `UTF8` was sent, and accepted.  A message may be another one,
    /// by its octets and its header, in the other mode.
    pub utf8: bool,
    /// Whether the server lists `UTF8`, sent or not.
    pub utf8_offered: bool,
    /// Whether the server answered what came behind PASS in one flight.
    pub one_flight: bool,
}

/// Where a session stands with `UTF8` (RFC 6856 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Utf8 {
    /// It isn't to be sent, or was refused.
    Off,
    /// Sent; the answer is the next one due.
    Asked,
    /// Accepted.
    On,
}

/// What a single-line answer said, taken out of the buffer.
struct Answer {
    ok: bool,
    code: Option<ResponseCode>,
    text: Vec<u8>,
}

impl Client<Authorization> {
    /// Connects, reads the greeting, and makes the line TLS if it is to be `STLS`.
    ///
    /// # Errors
    /// When the server can't be reached, refuses, or isn't what it should be.
    pub fn open(call: &Call<'_>) -> Result<Self, Error> {
        let (mut ask, mut without, mut first_fault) = (true, Vec::new(), None);
        loop {
            match Self::open_once(call, ask, &without) {
                // Some old servers hang up on CAPA.  Without it nothing but USER and PASS is known, so this is only for
                // lines whose protection doesn't depend on it.
                Err(Error::HungUpOnCapa(_)) if ask => ask = false,
                Err(Error::HungUpBeforeGreeting { peer, source })
                    if without.len() < connection::MOST_ADDRESSES =>
                {
                    without.push(peer);
                    first_fault.get_or_insert(source);
                }
                // No other address does any better: then the first one's fault is the one to tell.
                Err(Error::Connection(e)) if !call.stop.raised() => {
                    return Err(first_fault.map_or(Error::Connection(e), |first| *first));
                }
                other => return other,
            }
        }
    }

    fn open_once(call: &Call<'_>, ask: bool, without: &[SocketAddr]) -> Result<Self, Error> {
        let target = Target {
            host: call.credentials.host,
            port: call.credentials.port,
            tls: call.tls,
            trust: call.trust,
            timeout: call.timeout,
            without,
        };
        let redactor = Redactor::new(call.credentials.secret);
        let connection = Connection::open(&target, call.connectors, call.stop)
            .map_err(|e| e.redacted(|words| redactor.redact(words).into_owned()))?;
        let server = connection.server().to_owned();
        let mut line = Line::new(connection, server, call.timeout, redactor, call.dialogue.clone());
        let mut apop = match greeting(&mut line) {
            Err(e) if e.is_closed() => {
                let peer = line.connection.peer();
                return Err(Error::HungUpBeforeGreeting { peer, source: Box::new(e) });
            }
            Err(Error::TimedOut { server, .. })
                if call.tls != Tls::Implicit && answers_to_tls(line.connection.peer(), call) =>
            {
                return Err(Error::SilentButTls { server });
            }
            greeted => greeted?,
        };
        if call.tls == Tls::StartTls {
            line = start_tls(line, &target, call)?;
            // The greeting came in clear: its timestamp is void.
            apop = None;
        }
        let trustworthy = line.connection.channel() != Channel::Clear;
        let enough = |remembered: &&Capabilities| trustworthy && ask && !(call.utf8 && remembered.utf8());
        if let Some(remembered) = call.remembered.filter(enough) {
            let capabilities = Some(remembered.clone());
            let state = Authorization { capabilities, apop, asked: false, utf8: false };
            return Ok(Self { line, state });
        }
        let capabilities = if ask {
            match capabilities(&mut line) {
                Err(e) if e.is_closed() && call.tls != Tls::StartTls => {
                    return Err(Error::HungUpOnCapa(Box::new(e)));
                }
                other => other?,
            }
        } else {
            None
        };
        let utf8 = call.utf8 && capabilities.as_ref().is_some_and(Capabilities::utf8);
        Ok(Self { line, state: Authorization { capabilities, apop, asked: true, utf8 } })
    }

    /// Logs in by the first method that the policy allows and the server takes.
    ///
    /// # Errors
    /// When there is none, or the server refuses: no second attempt is made once anything that depends on the secret has
    /// been sent.
    pub fn login(self, login: &Login<'_>) -> Result<Client<Transaction>, Error> {
        let Self { mut line, state: Authorization { capabilities: before, apop, asked, utf8: wants_utf8 } } =
            self;
        let offer = before.as_ref().map(|capabilities| offered(capabilities, login));
        let binding = line.connection.end_point_binding().map(<[u8]>::to_vec);
        let circumstances = Circumstances {
            wanted: login.auth,
            channel: line.connection.channel(),
            offer,
            apop: apop.is_some(),
            can_bind: binding.is_some(),
            credentials: login.credentials,
            strongest_ever: login.strongest_ever,
        };
        let methods = methods(&circumstances)
            .map_err(|source| Error::NoMethod { server: line.server.clone(), source })?;
        let auth_resp_code = before.as_ref().is_some_and(Capabilities::auth_resp_code);
        let together = circumstances.offer.as_ref().is_some_and(|offer| offer.pipelining);
        let ahead = login.ahead.filter(|_| together);
        let mut utf8 = Utf8::Off;
        if wants_utf8 {
            line.send(Command::Utf8)?;
            utf8 = Utf8::Asked;
            // What depends on its answer, as names and passwords beyond ASCII may, doesn't follow in the same flight.
            if !together
                || !login.credentials.user.is_ascii()
                || !login.credentials.secret.expose().is_ascii()
            {
                utf8.settle(&mut line)?;
            }
        }
        let mut refused = None;
        for method in methods {
            let attempt = match method {
                Method::UserPass => {
                    let prepared = Prepared::new(&mut line, &circumstances)?;
                    let with_it = ahead.filter(|_| login.flight != Flight::Two);
                    user_pass(&mut line, &prepared, together, with_it, &mut utf8)
                }
                Method::Apop => {
                    let Some(challenge) = &apop else { continue };
                    let prepared = Prepared::new(&mut line, &circumstances)?;
                    apop_login(&mut line, &prepared, challenge, &mut utf8)
                }
                Method::Sasl(mechanism) => {
                    let announced = circumstances.announces(mechanism);
                    exchange(
                        &mut line,
                        &login.credentials,
                        mechanism,
                        announced,
                        binding.as_deref(),
                        &mut utf8,
                    )
                }
            };
            let attempt = match attempt {
                // It ended the line instead of going on without.
                Err(e) if wants_utf8 && utf8 == Utf8::Off && e.is_closed() => {
                    return Err(Error::HungUpOnUtf8(Box::new(e)));
                }
                attempt => attempt?,
            };
            match attempt {
                Attempt::Accepted => {
                    let trustworthy = line.connection.channel() != Channel::Clear;
                    let one_flight = method == Method::UserPass && login.flight != Flight::Two;
                    if let (Some(ahead), false) = (ahead, one_flight) {
                        ahead.send(&mut line)?;
                    }
                    let mut after = None;
                    let mut answered = false;
                    match ahead {
                        Some(Ahead::Listing { .. }) if one_flight => {
                            if login.flight == Flight::Unproven {
                                line.be_brief();
                            }
                            after = read_capabilities(&mut line).map_err(cut_flight)?;
                            answered = true;
                        }
                        Some(Ahead::Listing { .. }) => after = read_capabilities(&mut line)?,
                        Some(Ahead::Glance { .. }) => {}
                        None if before.is_some() => after = capabilities(&mut line)?,
                        None => {}
                    }
                    let utf8_offered = before.as_ref().is_some_and(Capabilities::utf8);
                    let utf8 = utf8 == Utf8::On;
                    let facts = LoginFacts {
                        method,
                        trustworthy,
                        capabilities_before: before,
                        asked,
                        utf8,
                        utf8_offered,
                        one_flight: answered,
                    };
                    let pipelining = Pipelining::Off;
                    let session = super::next_session();
                    return Ok(Client {
                        line,
                        state: Transaction { capabilities: after, pipelining, facts, ahead, session },
                    });
                }
                Attempt::Refused { answer, responded, status } => {
                    let meaning = auth::refusal(answer.code, &answer.text, auth_resp_code);
                    let e = Error::LoginRefused {
                        server: line.server.clone(),
                        method,
                        meaning,
                        text: line.quote(&answer.text),
                        status,
                        secret_sent: responded,
                        locked: meaning == auth::Refusal::InUse
                            || (meaning == auth::Refusal::Busy && auth::speaks_of_a_lock(&answer.text)),
                    };
                    if after_refusal(method, responded) == auth::Next::Stop {
                        if !asked && matches!(method, Method::Sasl(_)) {
                            // It may offer this no more: then that's what there is to say.
                            let fresh = capabilities(&mut line).ok().flatten();
                            let offer = fresh.as_ref().map(|capabilities| offered(capabilities, login));
                            auth::methods(&Circumstances { offer, ..circumstances })
                                .map_err(|source| Error::NoMethod { server: line.server.clone(), source })?;
                        }
                        return Err(e);
                    }
                    refused = Some(e);
                }
            }
        }
        Err(refused.unwrap_or_else(|| Error::NoMethod {
            server: line.server.clone(),
            source: auth::AuthError::NoTimestamp,
        }))
    }
}

/// What it means that nothing came after the login was accepted.
fn cut_flight(e: Error) -> Error {
    match e {
        e if e.is_closed() || matches!(e, Error::TimedOut { .. }) => Error::FlightCut(Box::new(e)),
        e => e,
    }
}

enum Attempt {
    Accepted,
    Refused {
        answer: Answer,
        /// Whether anything that depends on the secret was sent.
        responded: bool,
        /// What an OAuth server said of the token.
        status: Option<String>,
    },
}

/// What these capabilities come to for a login.
fn offered<'a>(capabilities: &'a Capabilities, login: &Login<'_>) -> Offer<'a> {
    Offer {
        sasl: capabilities.sasl().collect(),
        user: capabilities.user(),
        pipelining: capabilities.pipelining() && login.pipelining,
        utf8_user: capabilities.utf8_user(),
    }
}

impl Utf8 {
    /// Takes the answer, if it is due.
    fn settle(&mut self, line: &mut Line) -> Result<(), Error> {
        if *self != Self::Asked {
            return Ok(());
        }
        let answer = answer(line, Sent::Utf8).map_err(|e| match e {
            e if e.is_closed() || matches!(e, Error::TimedOut { .. }) => Error::HungUpOnUtf8(Box::new(e)),
            e => e,
        })?;
        *self = if answer.ok { Self::On } else { Self::Off };
        Ok(())
    }
}

/// User name and password as USER, PASS and APOP carry them.
struct Prepared {
    user: String,
    secret: Secret,
}

impl Prepared {
    /// By SASLprep where the server takes UTF-8 (RFC 6856 §2.2), else as they are.
    fn new(line: &mut Line, circumstances: &Circumstances<'_>) -> Result<Self, Error> {
        let Credentials { user, secret, .. } = circumstances.credentials;
        if !circumstances.offer.as_ref().is_some_and(|offer| offer.utf8_user) {
            return Ok(Self { user: user.to_owned(), secret: secret.clone() });
        }
        let refused = |e: sasl::SaslError| Error::NoMethod { server: line.server.clone(), source: e.into() };
        let user = sasl::prepared(Text::User, user.as_bytes()).map_err(refused)?;
        let secret = sasl::prepared(Text::Secret, secret.expose()).map_err(refused)?;
        line.redactor.hide(&secret);
        Ok(Self { user: String::from_utf8_lossy(user.expose()).into_owned(), secret })
    }
}

/// Whether a server that says nothing in clear text waits for a TLS handshake: asked on a connection of its own, on which
/// nothing else is said, and to which no certificate of ours is shown.
fn answers_to_tls(peer: SocketAddr, call: &Call<'_>) -> bool {
    let trust = Trust::default();
    let target = Target {
        host: call.credentials.host,
        port: call.credentials.port,
        tls: Tls::Implicit,
        trust: &trust,
        timeout: call.timeout,
        without: &[],
    };
    connection::shows_certificate(peer, &target, call.stop)
}

/// `STLS`, required: sent whatever CAPA would say, because whoever could strip it from there stands in clear.
fn start_tls(mut line: Line, target: &Target<'_>, call: &Call<'_>) -> Result<Line, Error> {
    line.send(Command::Stls)?;
    let answer = answer(&mut line, Sent::Stls)?;
    if !answer.ok {
        return Err(Error::StlsRefused { server: line.server.clone(), text: line.quote(&answer.text) });
    }
    line.session.starttls_done().map_err(|e| line.protocol(e))?;
    let Line { connection, server, session, redactor, .. } = line;
    let connection = connection
        .starttls(target, call.connectors)
        .map_err(|e| e.redacted(|words| redactor.redact(words).into_owned()))?;
    let mut secured = Line::new(connection, server, call.timeout, redactor, call.dialogue.clone());
    secured.session = session;
    Ok(secured)
}

/// The single-line answer to `to`.
fn answer(line: &mut Line, to: Sent) -> Result<Answer, Error> {
    loop {
        line.event()?;
        match line.session.event() {
            Event::Reply { to: answered, reply } if answered == to => {
                return Ok(Answer { ok: reply.ok, code: reply.code, text: reply.text.to_vec() });
            }
            Event::Farewell(reply) => return Err(line.farewell(reply.text)),
            _ => {}
        }
    }
}

/// `together`: PASS follows in the same flight, where PIPELINING is announced for this state, and what is sent `ahead`
/// behind it.  PASS's answer decides: after a refusal nobody reads on.
fn user_pass(
    line: &mut Line,
    credentials: &Prepared,
    together: bool,
    ahead: Option<Ahead>,
    utf8: &mut Utf8,
) -> Result<Attempt, Error> {
    line.send(Command::User(credentials.user.clone()))?;
    if together {
        line.send(Command::Pass(credentials.secret.clone()))?;
        if let Some(ahead) = ahead {
            ahead.send(line)?;
        }
    }
    utf8.settle(line)?;
    let user = answer(line, Sent::User)?;
    if !user.ok && !together {
        return Ok(Attempt::Refused { answer: user, responded: false, status: None });
    }
    if !together {
        line.send(Command::Pass(credentials.secret.clone()))?;
    }
    let pass = match answer(line, Sent::Pass) {
        // What was read is the outcome, though the server didn't stay to answer the rest.
        Err(e) if !user.ok && e.ended() => {
            return Ok(Attempt::Refused { answer: user, responded: true, status: None });
        }
        pass => pass?,
    };
    if pass.ok {
        return Ok(Attempt::Accepted);
    }
    // Of two refusals the first is the reason for the second.
    let answer = if user.ok { pass } else { user };
    Ok(Attempt::Refused { answer, responded: true, status: None })
}

fn apop_login(
    line: &mut Line,
    credentials: &Prepared,
    challenge: &ApopChallenge,
    utf8: &mut Utf8,
) -> Result<Attempt, Error> {
    let digest = challenge.digest(&credentials.secret);
    line.redactor.hide_hex(&digest);
    line.send(Command::Apop { user: credentials.user.clone(), digest })?;
    utf8.settle(line)?;
    let answer = answer(line, Sent::Apop)?;
    Ok(if answer.ok { Attempt::Accepted } else { Attempt::Refused { answer, responded: true, status: None } })
}

fn exchange(
    line: &mut Line,
    credentials: &Credentials<'_>,
    mechanism: Mechanism,
    announced: bool,
    binding: Option<&[u8]>,
    utf8: &mut Utf8,
) -> Result<Attempt, Error> {
    let nonce = Nonce::new(clock::random().map_err(Error::Random)?);
    let binding = binding.map(|octets| Binding { name: Binding::END_POINT, octets });
    let server = line.server.clone();
    let failed = |source| Error::Sasl { server: server.clone(), mechanism: mechanism.name(), source };
    let mut exchange = Exchange::new(mechanism, credentials, nonce, binding).map_err(failed)?;
    let initial = exchange.initial_response(announced);
    line.redactor = exchange.redactor().clone();
    line.send(Command::Auth { mechanism: mechanism.name(), initial })?;
    utf8.settle(line)?;
    loop {
        match line.event() {
            // It has said what was wrong with the token, and ended the line.
            Err(e) if e.ended() && exchange.token_failure().is_some() => {
                let status = exchange.token_failure().map(ToString::to_string);
                let answer = Answer { ok: false, code: Some(ResponseCode::Auth), text: Vec::new() };
                return Ok(Attempt::Refused { answer, responded: exchange.responded(), status });
            }
            event => event?,
        }
        let challenge = match line.session.event() {
            Event::Challenge(challenge) => challenge.to_vec(),
            Event::Reply { reply, .. } if reply.ok => {
                // Believed only if the mechanism has come to its end: a server must prove itself too.
                exchange.on_ok().map_err(failed)?;
                return Ok(Attempt::Accepted);
            }
            Event::Reply { reply, .. } => {
                let answer = Answer { ok: false, code: reply.code, text: reply.text.to_vec() };
                let status = exchange.token_failure().map(ToString::to_string);
                return Ok(Attempt::Refused { answer, responded: exchange.responded(), status });
            }
            Event::Farewell(reply) => return Err(line.farewell(reply.text)),
            _ => continue,
        };
        match exchange.step(&challenge) {
            Ok(response) => {
                line.redactor = exchange.redactor().clone();
                line.send(Command::SaslResponse(response))?;
            }
            Err(source) => {
                // `*` has exactly one answer, whose words don't matter any more.
                line.send(Command::SaslCancel)?;
                let _ = answer(line, Sent::SaslCancel);
                return Err(failed(source));
            }
        }
    }
}
