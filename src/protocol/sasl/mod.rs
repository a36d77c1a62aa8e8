//! The SASL exchanges of `AUTH` (RFC 5034) as state machines: challenges in, response lines out.
//!
//! ```text
//! C: AUTH mechanism [initial response]     Exchange::initial_response
//! S: + challenge                           Exchange::step  → the next line, or an error: send `*`, read one answer, fail
//! C: response
//! S: +OK                                   Exchange::on_ok → whether that may be believed
//! ```
//!
//! Which mechanism is used is not decided here (`auth` does that).  Nothing here knows a socket or a clock, and random
//! numbers are arguments.  Mechanisms: PLAIN (RFC 4616), LOGIN (an expired draft), CRAM-MD5 (RFC 2195), SCRAM (RFC 5802,
//! 7677; channel binding by RFC 5929 and 9266), XOAUTH2 (Google's), OAUTHBEARER (RFC 7628), EXTERNAL (RFC 4422).
//!
//! Every exchange ends after at most three challenges, whatever a server sends.

mod cram;
mod credentials;
pub(in crate::protocol) mod digest;
mod error;
mod oauth;
mod plain;
mod scram;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::protocol::limits::{CHALLENGE_LIMIT, COMMAND_LINE_LIMIT};
use crate::protocol::redact::Redactor;
use crate::secret::Secret;
use crate::text::shown_by;

pub(crate) use credentials::{Binding, ChannelBinding, Credentials, Nonce};
pub(crate) use digest::Hash;
pub(in crate::protocol) use error::sendable;
pub(crate) use error::{SaslError, SaslText};
pub(crate) use oauth::TokenFailure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// User name and password as they are.
    Plain,
    /// The same, asked for one by one.
    Login,
    /// A keyed digest of a challenge.
    CramMd5,
    /// Password proved by both sides, bound to the TLS channel where [`ChannelBinding::Used`].
    Scram(Hash, ChannelBinding),
    /// A bearer token, Google's and Microsoft's form.
    XOAuth2,
    /// A bearer token, the standard's form.
    OAuthBearer,
    /// What TLS has proved: the client certificate.
    External,
}

impl Mechanism {
    /// The name, as a server lists it and as `AUTH` sends it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        use ChannelBinding::Used;
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::Scram(Hash::Sha1, Used) => "SCRAM-SHA-1-PLUS",
            Self::Scram(Hash::Sha1, _) => "SCRAM-SHA-1",
            Self::Scram(Hash::Sha256, Used) => "SCRAM-SHA-256-PLUS",
            Self::Scram(Hash::Sha256, _) => "SCRAM-SHA-256",
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::External => "EXTERNAL",
        }
    }
}

/// One run of a mechanism, from `AUTH` to `+OK`.
pub(crate) struct Exchange {
    mechanism: Mechanism,
    /// What the client sends first, until it has been sent.
    initial: Option<Secret>,
    /// PLAIN's message, when it went out with `AUTH`, until the server has shown whether it read it.
    repeatable: Option<Secret>,
    steps: Steps,
    responded: bool,
    /// A challenge was wrong: no `+OK` is believed any more.
    failed: bool,
    redactor: Redactor,
}

/// What comes after the client's first message.
enum Steps {
    /// Nothing: PLAIN, EXTERNAL.
    Nothing,
    Login(plain::LoginSteps),
    Cram(cram::Cram),
    Scram(scram::Scram),
    OAuth(oauth::OAuthResponses),
}

impl Exchange {
    /// Prepares an exchange; nothing is sent yet.  Every exchange needs a fresh `nonce`; the -PLUS mechanisms need `binding`.
    ///
    /// # Errors
    /// When user name or secret hold what the mechanism can't carry (78), or -PLUS lacks its data (77).
    pub(crate) fn new(
        mechanism: Mechanism,
        credentials: &Credentials<'_>,
        nonce: Nonce,
        binding: Option<Binding<'_>>,
    ) -> Result<Self, SaslError> {
        // EXTERNAL sends neither, so they don't matter.
        if mechanism != Mechanism::External {
            sendable(SaslText::User, credentials.user.as_bytes())?;
            sendable(SaslText::Secret, credentials.secret.expose())?;
        }
        let (initial, steps) = match mechanism {
            Mechanism::Plain => (Some(plain::message(credentials)?), Steps::Nothing),
            Mechanism::External => (Some(Secret::new("")), Steps::Nothing),
            Mechanism::Login => (None, Steps::Login(plain::LoginSteps::new(credentials))),
            Mechanism::CramMd5 => (None, Steps::Cram(cram::Cram::new(credentials))),
            Mechanism::Scram(hash, flag) => {
                let channel = scram::Gs2::new(flag, binding)?;
                let scram = scram::Scram::new(hash, channel, credentials, nonce)?;
                (Some(scram.client_first()), Steps::Scram(scram))
            }
            Mechanism::XOAuth2 => {
                (Some(oauth::xoauth2(credentials)?), Steps::OAuth(oauth::OAuthResponses::google()))
            }
            Mechanism::OAuthBearer => {
                (Some(oauth::oauthbearer(credentials)?), Steps::OAuth(oauth::OAuthResponses::standard()))
            }
        };
        let redactor = Redactor::new(credentials.secret);
        Ok(Self { mechanism, initial, repeatable: None, steps, responded: false, failed: false, redactor })
    }

    #[cfg(test)]
    fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What the `AUTH` command carries besides the mechanism's name, in base64; perhaps of no octets, which is written
    /// `=`.  `None` when the client doesn't speak first, when the server hasn't `announced` the mechanism (RFC 5034
    /// §3), and when the line would go beyond [`COMMAND_LINE_LIMIT`]: then what is to be sent first answers an empty
    /// challenge.
    ///
    /// The OAuth mechanisms always take two steps: a token seldom fits, and Exchange Online closes the connection on one step.
    #[must_use]
    pub(crate) fn initial_response(&mut self, announced: bool) -> Option<Secret> {
        if !announced || matches!(self.mechanism, Mechanism::XOAuth2 | Mechanism::OAuthBearer) {
            return None;
        }
        let encoded = encode(self.initial.as_ref()?);
        let around = b"AUTH  \r\n".len() + self.mechanism.name().len();
        if around + encoded.expose().len().max(b"=".len()) > COMMAND_LINE_LIMIT {
            return None;
        }
        // No other mechanism's first message may go out twice.
        self.repeatable = self.initial.take().filter(|_| self.mechanism == Mechanism::Plain);
        self.responded = true;
        self.redactor.hide(&encoded);
        Some(encoded)
    }

    /// Answers a challenge: what stood behind `+` on the server's line, without its CRLF.  Returns the line to send,
    /// without CRLF; it may be empty.
    ///
    /// # Errors
    /// When the challenge isn't one that this exchange can go on with.  Then `*` is to be sent, one answer to be
    /// read, and, whatever that is, the login has failed.
    pub(crate) fn step(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        let response = if self.responded || !self.speaks_first_or_by_turns() {
            decode(challenge).and_then(|challenge| self.answer(&challenge))
        } else {
            // It holds nothing that is needed: some servers write a prompt there (`+ go ahead`), in no base64.
            self.answer(b"")
        };
        self.failed |= response.is_err();
        let line = encode(&response?);
        self.responded = true;
        self.redactor.hide(&line);
        Ok(line)
    }

    /// Whether the first challenge only asks the client to begin.
    fn speaks_first_or_by_turns(&self) -> bool {
        matches!(
            self.mechanism,
            Mechanism::Plain | Mechanism::Login | Mechanism::XOAuth2 | Mechanism::OAuthBearer
        )
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        // Some servers overlook the initial response, and ask for it.
        if let Some(initial) = self.repeatable.take().filter(|_| challenge.is_empty()) {
            return Ok(initial);
        }
        match self.initial.take() {
            Some(initial) if challenge.is_empty() => Ok(initial),
            Some(_) => Err(SaslError::Unexpected),
            None => match &mut self.steps {
                Steps::Nothing => Err(SaslError::Unexpected),
                Steps::Login(login) => login.answer(),
                Steps::Cram(cram) => cram.answer(challenge, &mut self.redactor),
                Steps::Scram(scram) => scram.answer(challenge, &mut self.redactor),
                Steps::OAuth(oauth) => oauth.answer(challenge, &self.redactor),
            },
        }
    }

    /// Whether the server's `+OK` may be believed.
    ///
    /// # Errors
    /// When the mechanism hadn't come to its end: the server took nothing that proves who we are, or (SCRAM) hasn't
    /// proved who *it* is.  Then close the connection.
    pub(crate) fn on_ok(&self) -> Result<(), SaslError> {
        let complete = !self.failed
            && self.initial.is_none()
            && match &self.steps {
                Steps::Nothing => true,
                Steps::Login(login) => login.is_complete(),
                Steps::Cram(cram) => cram.is_complete(),
                Steps::Scram(scram) => scram.is_complete(),
                Steps::OAuth(oauth) => oauth.failure().is_none(),
            };
        if complete { Ok(()) } else { Err(SaslError::Premature) }
    }

    /// Whether a response, an initial one included, has been handed out: then a refusal is the last word
    /// ([`crate::protocol::auth::after_refusal`]).
    #[must_use]
    pub(crate) fn responded(&self) -> bool {
        self.responded
    }

    /// Why the server refused the token, if it explained that before its `-ERR`.
    #[must_use]
    pub(crate) fn token_failure(&self) -> Option<&TokenFailure> {
        match &self.steps {
            Steps::OAuth(oauth) => oauth.failure(),
            Steps::Nothing | Steps::Login(_) | Steps::Cram(_) | Steps::Scram(_) => None,
        }
    }

    /// Knows the secret and all that was sent of it; for the text of the server's answers.
    #[must_use]
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

shown_by!(Exchange, mechanism);

/// Strict base64 with its padding (RFC 4648 §4); `+`, `+ ` and `+  ` are all an empty challenge.
fn decode(challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
    let challenge = challenge.trim_ascii();
    if challenge.len() > CHALLENGE_LIMIT {
        return Err(SaslError::TooLong);
    }
    STANDARD.decode(challenge).map_err(|_| SaslError::NotBase64)
}

fn encode(response: &Secret) -> Secret {
    Secret::new(STANDARD.encode(response.expose()))
}

/// User name or password as `UTF8 USER` lets USER, PASS and APOP carry it: by SASLprep (RFC 6856 §2.2, RFC 4013).  ASCII
/// stays as it is.
///
/// # Errors
/// When it isn't UTF-8, or holds what SASLprep forbids (78).
pub(crate) fn prepared(what: SaslText, octets: &[u8]) -> Result<Secret, SaslError> {
    if octets.is_ascii() {
        return Ok(Secret::new(octets));
    }
    scram::prepared(what, octets).map(|text| Secret::new(text.as_bytes()))
}

/// For fuzzing: any bytes as the challenges of any mechanism.
#[doc(hidden)]
pub fn fuzz_exchange(data: &[u8]) {
    let Some((choice, challenges)) = data.split_first() else { return };
    let secret = Secret::new("pencil");
    let credentials = Credentials { user: "user", secret: &secret, host: "pop.example.com", port: 995 };
    let binding = Some(Binding { name: Binding::END_POINT, octets: b"digest" });
    let mechanisms = [
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::CramMd5,
        Mechanism::Scram(Hash::Sha1, ChannelBinding::Unused),
        Mechanism::Scram(Hash::Sha256, ChannelBinding::Used),
        Mechanism::XOAuth2,
        Mechanism::OAuthBearer,
        Mechanism::External,
    ];
    let mechanism = mechanisms.get(usize::from(choice & 7)).copied().unwrap_or(Mechanism::Plain);
    let Ok(mut exchange) = Exchange::new(mechanism, &credentials, Nonce::new([7; 18]), binding) else {
        return;
    };
    let _ = exchange.initial_response(choice & 8 != 0);
    for challenge in challenges.split(|octet| *octet == b'\n') {
        // Half of the fuzzer's challenges come through base64, which it would hardly find.
        let encoded = STANDARD.encode(challenge);
        let challenge = if choice & 16 == 0 { encoded.as_bytes() } else { challenge };
        if exchange.step(challenge).is_err() {
            return;
        }
    }
    let _ = exchange.on_ok();
}

#[cfg(test)]
mod tests;
