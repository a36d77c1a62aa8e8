//! Questions to an authorization server, and what of them is shown under `-vv`: of what is sent and of what comes only what is
//! known to be no secret, everything else as `***`.  Every secret is known to the redactor the moment it exists, so that a
//! server that quotes one does not have it shown.

use std::cell::RefCell;

use serde_json::Value;

use super::answer::{self, Malformed, NoToken, TokenRefused, Tokens};
use super::error::Error;
use super::observer::TokenObserver;
use super::refusal::{OAuthRefusal, RefusedRequest, explain};
use crate::http::{self, HttpAnswer, HttpWay, Url};
use crate::protocol::redact::Redactor;
use crate::secret::Secret;
use crate::text::{printable, shortened};

/// Parameters and members whose values may be shown.
const OPEN: [&str; 22] = [
    "grant_type",
    "client_id",
    "scope",
    "redirect_uri",
    "token_type",
    "token_type_hint",
    "expires_in",
    "refresh_token_expires_in",
    "error",
    "error_description",
    "error_uri",
    "error_codes",
    "suberror",
    "interval",
    "verification_uri",
    "verification_url",
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
];

/// Members of an answer that are shown at most, and characters of a value.
const MOST_SHOWN: usize = 40;
const LONGEST_SHOWN: usize = 200;

/// An answer asks to be left alone for an hour at most.
pub(super) const LONGEST_WAIT: u64 = 3600;

/// Asks.
pub(super) struct Asker<'a> {
    pub(super) way: HttpWay<'a>,
    pub(super) watch: &'a dyn TokenObserver,
    redactor: RefCell<Redactor>,
}

/// What came of a question whose answer has tokens or another form of success.
pub(super) enum AskOutcome {
    /// The body of an answer of success.
    Good(Secret),
    /// A refusal in the form of RFC 6749 §5.2.
    Refused(TokenRefused),
    /// To be asked again later; after this many seconds, if the server sets a time.
    Later { status: u16, after: Option<u64> },
}

impl<'a> Asker<'a> {
    pub(super) fn new(way: HttpWay<'a>, watch: &'a dyn TokenObserver) -> Self {
        Self { way, watch, redactor: RefCell::new(Redactor::default()) }
    }

    /// Never shows `secret`.
    pub(super) fn hide(&self, secret: &Secret) {
        self.redactor.borrow_mut().also(secret);
    }

    /// A text of a server as it may be shown.
    pub(super) fn shown(&self, text: &str) -> String {
        self.redactor.borrow().printable(text.as_bytes())
    }

    /// Sends a form.
    pub(super) fn post(
        &self,
        url: &Url,
        form: &[(&str, &[u8])],
        expected: &'static str,
    ) -> Result<AskOutcome, Error> {
        if self.watch.wants_dialogue() {
            let shown: Vec<String> = form.iter().map(|(name, value)| self.pair(name, value)).collect();
            self.watch.dialogue(format!("C: POST {url} {}", shown.join("&")));
        }
        self.judge(url, http::post_form(&self.way, url, form), expected)
    }

    /// Sends JSON, which holds no secret.
    pub(super) fn post_json(
        &self,
        url: &Url,
        json: &Value,
        expected: &'static str,
    ) -> Result<AskOutcome, Error> {
        let text = json.to_string();
        if self.watch.wants_dialogue() {
            self.watch.dialogue(format!("C: POST {url} {}", self.shown(&text)));
        }
        self.judge(url, http::post_json(&self.way, url, &Secret::new(text)), expected)
    }

    pub(super) fn get(&self, url: &Url, expected: &'static str) -> Result<AskOutcome, Error> {
        if self.watch.wants_dialogue() {
            self.watch.dialogue(format!("C: GET {url}"));
        }
        self.judge(url, http::get(&self.way, url, "application/json"), expected)
    }

    fn judge(
        &self,
        url: &Url,
        answered: Result<HttpAnswer, http::Error>,
        expected: &'static str,
    ) -> Result<AskOutcome, Error> {
        let answer = answered?;
        let body = answer.body.expose();
        if self.watch.wants_dialogue() {
            self.watch.dialogue(format!("S: {} {}", answer.status, self.members(body)));
        }
        let not_an_answer = |what| Error::NotAnAnswer { host: url.host().to_owned(), what, expected };
        if answer.status == 429 || answer.status >= 500 {
            let after = answer.field("retry-after").and_then(|after| after.trim().parse().ok());
            return Ok(AskOutcome::Later {
                status: answer.status,
                after: after.map(|s: u64| s.min(LONGEST_WAIT)),
            });
        }
        if answer.is_html() {
            return Err(not_an_answer("HTML"));
        }
        if answer.is_success() {
            return Ok(AskOutcome::Good(answer.body.clone()));
        }
        match answer::refused(body) {
            Ok(refused) => Ok(AskOutcome::Refused(refused)),
            Err(Malformed) if answer.status == 404 => Err(not_an_answer("\"not found\"")),
            Err(Malformed) => Err(not_an_answer("something else")),
        }
    }

    /// The tokens of an answer of success.
    pub(super) fn tokens(&self, url: &Url, body: &Secret) -> Result<Tokens, Error> {
        answer::tokens(body.expose()).map_err(|fault| match fault {
            NoToken::Malformed => not_an_answer(url, body, "a token"),
            NoToken::Unusable(why) => Error::UnusableToken { host: url.host().to_owned(), why },
        })
    }

    /// An answer of success in the form that was due.
    pub(super) fn read<T>(
        &self,
        url: &Url,
        body: &Secret,
        expected: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        parse(body.expose()).map_err(|Malformed| not_an_answer(url, body, expected))
    }

    /// A refusal as the user sees it.
    pub(super) fn explain(&self, refused: &TokenRefused, asked: RefusedRequest<'_>) -> OAuthRefusal {
        // Line by line: it's the first that is shown, and what is printable has no line ends.
        let line = refused.description.lines().next().unwrap_or_default();
        explain(refused, &self.shown(line), asked)
    }

    fn pair(&self, name: &str, value: &[u8]) -> String {
        let value =
            if OPEN.contains(&name) { self.redactor.borrow().printable(value) } else { "***".to_owned() };
        format!("{name}={}", shortened(&value, LONGEST_SHOWN))
    }

    /// The members of an answer, as far as they may be shown.
    fn members(&self, body: &[u8]) -> String {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
            return format!("({} octets that are no JSON object)", body.len());
        };
        let shown = members.iter().take(MOST_SHOWN).map(|(name, value)| {
            let value = match value {
                _ if !OPEN.contains(&name.as_str()) => "***".to_owned(),
                Value::String(text) => self.shown(text),
                other => self.shown(&other.to_string()),
            };
            format!("{}={}", printable(name.as_bytes()), shortened(&value, LONGEST_SHOWN))
        });
        shown.collect::<Vec<_>>().join(" ")
    }
}

fn not_an_answer(url: &Url, body: &Secret, expected: &'static str) -> Error {
    let is_json = serde_json::from_slice::<Value>(body.expose()).is_ok();
    let what = if is_json { "other JSON" } else { "something else" };
    Error::NotAnAnswer { host: url.host().to_owned(), what, expected }
}
