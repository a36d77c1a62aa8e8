//! The login: the methods that policy allows, one after the other (RFC 1939 §4, §7; RFC 5034; RFC 6856 §2).
//!
//! ```text
//! methods ─► UTF8 ─► attempt ─┬─ accepted ─► what was asked with it, or CAPA again ─► Client<Transaction>
//!                       ▲     │
//!                       └─────┴─ refused ──► the last word, once anything that depends on the secret was sent
//! ```

use super::Client;
use super::error::Error;
use super::link::{Answer, Link};
use super::open::Authorization;
use super::prefetch::Prefetch;
use super::server_facts::{LoginFacts, ServerFacts, capabilities, read_capabilities};
use super::transaction::{Sending, Transaction, next_session};
use crate::account::Auth;
use crate::clock;
use crate::protocol::auth::{self, ApopChallenge, AuthError, Circumstances, LoginOffer, Method};
use crate::protocol::capability::Capabilities;
use crate::protocol::command::Command;
use crate::protocol::response::ResponseCode;
use crate::protocol::sasl::{self, Binding, Credentials, Exchange, Mechanism, Nonce, SaslText, TokenFailure};
use crate::protocol::session::{Sent, ServerEvent};
use crate::secret::Secret;
use crate::types::Channel;

/// Who logs in, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    /// User name, and password or token.
    pub credentials: Credentials<'a>,
    pub auth: Auth,
    /// The strongest method that `auto` ever used here.
    pub strongest_ever: Option<Method>,
    /// Whether commands may be pipelined where the server offers it.
    pub pipelining: bool,
    /// What is asked together with the login, where commands are pipelined; else nothing is.
    pub prefetch: Option<Prefetch>,
    pub flight: PrefetchFlight,
}

/// How a [`Prefetch`] is sent to a server that pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrefetchFlight {
    /// In one flight with USER and PASS.
    One,
    /// The same, but the server has yet to show that it reads on after PASS: if nothing comes soon after the login was
    /// accepted, the session is given up ([`Error::FlightCut`]).  Courier's login program throws away what has come with
    /// PASS when it hands over to the next program.
    Unproven,
    /// In a flight of its own, when the login has been accepted.
    Two,
}

impl Client<Authorization> {
    /// Logs in by the first method that the policy allows and the server takes.
    ///
    /// # Errors
    /// When no method is left, or the server refuses: no second attempt is made once anything that depends on the secret has
    /// been sent.
    pub(crate) fn login(self, login: &Login<'_>) -> Result<Client<Transaction>, Error> {
        let Self { mut link, facts, state: Authorization { apop, utf8 } } = self;
        let binding = link.connection.end_point_binding().map(<[u8]>::to_vec);
        let offer = facts.capabilities.as_ref().map(|capabilities| offered(capabilities, login));
        let pipelining = offer.as_ref().is_some_and(|offer| offer.pipelining);
        let prefetch = login.prefetch.filter(|_| pipelining);
        let mut attempts = LoginAttempt {
            circumstances: Circumstances {
                wanted: login.auth,
                channel: link.connection.channel(),
                offer,
                apop: apop.is_some(),
                can_bind: binding.is_some(),
                credentials: login.credentials,
                strongest_ever: login.strongest_ever,
            },
            link: &mut link,
            facts: &facts,
            login,
            apop: apop.as_ref(),
            binding: binding.as_deref(),
            pipelining,
            prefetch: prefetch.filter(|_| login.flight != PrefetchFlight::Two),
            utf8: Utf8Answer::NotSent,
        };
        let method = attempts.run(utf8)?;
        let utf8 = attempts.utf8 == Utf8Answer::Accepted;
        accepted(link, facts, login, prefetch, method, utf8)
    }
}

/// What these capabilities come to for a login.
fn offered<'a>(capabilities: &'a Capabilities, login: &Login<'_>) -> LoginOffer<'a> {
    LoginOffer {
        sasl: capabilities.sasl().collect(),
        user: capabilities.user(),
        pipelining: capabilities.pipelining() && login.pipelining,
        utf8_user: capabilities.utf8_user(),
    }
}

/// The login was accepted: sends and takes what belongs to it.
fn accepted(
    mut link: Link,
    facts: ServerFacts,
    login: &Login<'_>,
    prefetch: Option<Prefetch>,
    method: Method,
    utf8: bool,
) -> Result<Client<Transaction>, Error> {
    let one_flight = method == Method::UserPass && login.flight != PrefetchFlight::Two;
    if let (Some(prefetch), false) = (prefetch, one_flight) {
        prefetch.send(&mut link)?;
    }
    let capabilities = match prefetch {
        Some(Prefetch::Listing { .. }) if one_flight => {
            if login.flight == PrefetchFlight::Unproven {
                link.be_brief();
            }
            read_capabilities(&mut link).map_err(cut_flight)?
        }
        Some(Prefetch::Listing { .. }) => read_capabilities(&mut link)?,
        Some(Prefetch::QuickPoll { .. }) => None,
        None if facts.capabilities.is_some() => capabilities(&mut link)?,
        None => None,
    };
    let facts_of_login = LoginFacts {
        method,
        trustworthy: link.connection.channel() != Channel::Clear,
        utf8,
        utf8_offered: facts.capabilities.as_ref().is_some_and(Capabilities::utf8),
        one_flight: one_flight && matches!(prefetch, Some(Prefetch::Listing { .. })),
    };
    let state = Transaction {
        capabilities,
        pipelining: Sending::Off,
        facts: facts_of_login,
        prefetched: prefetch,
        session: next_session(),
    };
    Ok(Client { link, facts, state })
}

/// What it means that nothing came after the login was accepted.
fn cut_flight(e: Error) -> Error {
    match e {
        e if e.is_closed() || matches!(e, Error::TimedOut { .. }) => Error::FlightCut(Box::new(e)),
        e => e,
    }
}

/// Where a session stands with `UTF8` (RFC 6856 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Utf8Answer {
    NotSent,
    /// Sent; the answer is the next one due.
    Asked,
    Refused,
    Accepted,
}

/// What an attempt came to.
enum Attempted {
    Accepted,
    Refused(LoginRefusal),
}

struct LoginRefusal {
    answer: Answer,
    /// Whether anything that depends on the secret was sent.
    responded: bool,
    /// Why an OAuth server refused the token.
    token: Option<TokenFailure>,
}

/// User name and password as USER, PASS and APOP carry them.
struct PreparedLogin {
    user: String,
    secret: Secret,
}

struct LoginAttempt<'a> {
    link: &'a mut Link,
    facts: &'a ServerFacts,
    login: &'a Login<'a>,
    circumstances: Circumstances<'a>,
    apop: Option<&'a ApopChallenge>,
    /// `tls-server-end-point`.
    binding: Option<&'a [u8]>,
    /// Whether PASS may follow USER before USER's answer: PIPELINING is announced for this state.
    pipelining: bool,
    /// What goes out in one flight with PASS.
    prefetch: Option<Prefetch>,
    utf8: Utf8Answer,
}

impl LoginAttempt<'_> {
    /// Tries one method after the other: the one that was accepted.
    fn run(&mut self, wants_utf8: bool) -> Result<Method, Error> {
        let methods = auth::methods(&self.circumstances).map_err(|source| self.no_method(source))?;
        if wants_utf8 {
            self.ask_for_utf8()?;
        }
        let mut refused = None;
        for method in methods {
            let refusal = match self.attempt(method)? {
                Attempted::Accepted => return Ok(method),
                Attempted::Refused(refusal) => refusal,
            };
            let next = auth::after_refusal(method, refusal.responded);
            let error = self.refused(method, refusal);
            if next == auth::AfterRefusal::Stop {
                return Err(self.no_longer_offered(method).unwrap_or(error));
            }
            refused = Some(error);
        }
        Err(refused.unwrap_or_else(|| self.no_method(AuthError::NoTimestamp)))
    }

    fn attempt(&mut self, method: Method) -> Result<Attempted, Error> {
        let outcome = match method {
            Method::UserPass => self.user_pass(),
            Method::Apop => self.apop(),
            Method::Sasl(mechanism) => self.exchange(mechanism),
        };
        outcome.map_err(|e| match self.utf8 {
            // It closed the connection instead of going on without.
            Utf8Answer::Refused if e.is_closed() => Error::HungUpOnUtf8(Box::new(e)),
            _ => e,
        })
    }

    fn no_method(&self, source: AuthError) -> Error {
        Error::NoMethod { server: self.link.server.clone(), source }
    }

    fn refused(&self, method: Method, refusal: LoginRefusal) -> Error {
        let LoginRefusal { answer, responded, token } = refusal;
        let auth_resp_code = self.facts.capabilities.as_ref().is_some_and(Capabilities::auth_resp_code);
        let meaning = auth::refusal(answer.code, &answer.text, auth_resp_code);
        Error::LoginRefused {
            server: self.link.server.clone(),
            method,
            meaning,
            text: self.link.quote(&answer.text),
            token,
            secret_sent: responded,
            locked: meaning == auth::RefusalReason::InUse
                || (meaning == auth::RefusalReason::Busy && auth::speaks_of_a_lock(&answer.text)),
        }
    }

    /// After a mechanism that was only remembered was refused: the server may offer none of them any more, and that is then
    /// what there is to report.
    fn no_longer_offered(&mut self, method: Method) -> Option<Error> {
        if self.facts.asked || !matches!(method, Method::Sasl(_)) {
            return None;
        }
        let fresh = capabilities(self.link).ok().flatten();
        let offer = fresh.as_ref().map(|capabilities| offered(capabilities, self.login));
        let now = Circumstances { offer, ..self.circumstances };
        auth::methods(&now).err().map(|source| self.no_method(source))
    }

    fn ask_for_utf8(&mut self) -> Result<(), Error> {
        self.link.send(Command::Utf8)?;
        self.utf8 = Utf8Answer::Asked;
        // What depends on its answer, as names and passwords beyond ASCII may, doesn't follow in the same flight.
        let Credentials { user, secret, .. } = self.login.credentials;
        if self.pipelining && user.is_ascii() && secret.expose().is_ascii() {
            return Ok(());
        }
        self.settle_utf8()
    }

    /// Takes the answer to `UTF8`, if it is due.
    fn settle_utf8(&mut self) -> Result<(), Error> {
        if self.utf8 != Utf8Answer::Asked {
            return Ok(());
        }
        let answer = self.link.answer(Sent::Utf8).map_err(|e| match e {
            e if e.is_closed() || matches!(e, Error::TimedOut { .. }) => Error::HungUpOnUtf8(Box::new(e)),
            e => e,
        })?;
        self.utf8 = if answer.ok { Utf8Answer::Accepted } else { Utf8Answer::Refused };
        Ok(())
    }

    /// User name and password, by SASLprep where the server takes UTF-8 (RFC 6856 §2.2), else as they are.
    fn prepared(&mut self) -> Result<PreparedLogin, Error> {
        let Credentials { user, secret, .. } = self.login.credentials;
        if !self.circumstances.offer.as_ref().is_some_and(|offer| offer.utf8_user) {
            return Ok(PreparedLogin { user: user.to_owned(), secret: secret.clone() });
        }
        let user = sasl::prepared(SaslText::User, user.as_bytes()).map_err(|e| self.no_method(e.into()))?;
        let secret =
            sasl::prepared(SaslText::Secret, secret.expose()).map_err(|e| self.no_method(e.into()))?;
        self.link.redactor.hide(&secret);
        Ok(PreparedLogin { user: String::from_utf8_lossy(user.expose()).into_owned(), secret })
    }

    /// USER and PASS; with pipelining in one flight, and what is prefetched behind them.  PASS's answer decides: after a
    /// refusal nothing more is read.
    fn user_pass(&mut self) -> Result<Attempted, Error> {
        let PreparedLogin { user, secret } = self.prepared()?;
        self.link.send(Command::User(user))?;
        if self.pipelining {
            self.link.send(Command::Pass(secret.clone()))?;
            if let Some(prefetch) = self.prefetch {
                prefetch.send(self.link)?;
            }
        }
        self.settle_utf8()?;
        let user = self.link.answer(Sent::User)?;
        if !self.pipelining {
            if !user.ok {
                return Ok(Attempted::refused(user, false));
            }
            self.link.send(Command::Pass(secret))?;
        }
        match self.link.answer(Sent::Pass) {
            // What was read is the outcome, though the server closed the connection before it answered the rest.
            Err(e) if !user.ok && e.ended() => Ok(Attempted::refused(user, true)),
            Err(e) => Err(e),
            Ok(pass) if pass.ok => Ok(Attempted::Accepted),
            // Of two refusals the first is the reason for the second.
            Ok(pass) => Ok(Attempted::refused(if user.ok { pass } else { user }, true)),
        }
    }

    fn apop(&mut self) -> Result<Attempted, Error> {
        let Some(challenge) = self.apop else { return Err(self.no_method(AuthError::NoTimestamp)) };
        let PreparedLogin { user, secret } = self.prepared()?;
        let digest = challenge.digest(&secret);
        self.link.redactor.hide(&digest);
        self.link.send(Command::Apop { user, digest })?;
        self.settle_utf8()?;
        let answer = self.link.answer(Sent::Apop)?;
        Ok(if answer.ok { Attempted::Accepted } else { Attempted::refused(answer, true) })
    }

    fn exchange(&mut self, mechanism: Mechanism) -> Result<Attempted, Error> {
        let server = self.link.server.clone();
        let failed = |source| Error::Sasl { server: server.clone(), mechanism: mechanism.name(), source };
        let nonce = Nonce::new(clock::random().map_err(Error::Random)?);
        let binding = self.binding.map(|octets| Binding { name: Binding::END_POINT, octets });
        let mut exchange =
            Exchange::new(mechanism, &self.login.credentials, nonce, binding).map_err(failed)?;
        let initial = exchange.initial_response(self.circumstances.announces(mechanism));
        self.link.redactor = exchange.redactor().clone();
        self.link.send(Command::Auth { mechanism: mechanism.name(), initial })?;
        self.settle_utf8()?;
        loop {
            match self.link.event() {
                // It has reported what was wrong with the token, and closed the connection.
                Err(e) if e.ended() && exchange.token_failure().is_some() => {
                    let answer = Answer { ok: false, code: Some(ResponseCode::Auth), text: Vec::new() };
                    return Ok(Attempted::refused_in(&exchange, answer));
                }
                event => event?,
            }
            let challenge = match self.link.session.event() {
                ServerEvent::Challenge(challenge) => challenge.to_vec(),
                ServerEvent::Reply { reply, .. } if reply.ok => {
                    // Believed only if the mechanism has come to its end: a server must prove itself too.
                    exchange.on_ok().map_err(failed)?;
                    return Ok(Attempted::Accepted);
                }
                ServerEvent::Reply { reply, .. } => {
                    return Ok(Attempted::refused_in(&exchange, Answer::of(reply)));
                }
                ServerEvent::Farewell(reply) => return Err(self.link.farewell(reply.text)),
                _ => continue,
            };
            match exchange.step(&challenge) {
                Ok(response) => {
                    self.link.redactor = exchange.redactor().clone();
                    self.link.send(Command::SaslResponse(response))?;
                }
                Err(source) => {
                    // `*` has exactly one answer, whose words don't matter any more.
                    self.link.send(Command::SaslCancel)?;
                    let _ = self.link.answer(Sent::SaslCancel);
                    return Err(failed(source));
                }
            }
        }
    }
}

impl Attempted {
    fn refused(answer: Answer, responded: bool) -> Self {
        Self::Refused(LoginRefusal { answer, responded, token: None })
    }

    fn refused_in(exchange: &Exchange, answer: Answer) -> Self {
        let token = exchange.token_failure().cloned();
        Self::Refused(LoginRefusal { answer, responded: exchange.responded(), token })
    }
}
