//! The bearer token mechanisms: XOAUTH2 (Google's, also Microsoft's) and OAUTHBEARER (RFC 7628).
//!
//! A refused token is explained in a challenge of JSON, which wants an answer before `-ERR` comes: a client that
//! doesn't give one hangs.  Of that JSON two members are shown.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::SaslError;
use super::credentials::{Credentials, joined};
use super::scram::escaped;
use crate::protocol::limits::TOKEN_STATUS_CHARACTERS;
use crate::protocol::redact::Redactor;
use crate::secret::Secret;

/// Why the server refused the token; escaped, the token masked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TokenFailure {
    /// `401`, `invalid_token` and the like.
    pub status: Option<String>,
    /// The scope that the token should have.
    pub scope: Option<String>,
}

impl TokenFailure {
    /// Whether a fresh token may help.
    #[must_use]
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self.status.as_deref(), Some("401" | "invalid_token"))
    }
}

impl fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.status, &self.scope) {
            (Some(status), Some(scope)) => write!(f, "status \"{status}\", scope \"{scope}\""),
            (Some(status), None) => write!(f, "status \"{status}\""),
            (None, Some(scope)) => write!(f, "scope \"{scope}\""),
            (None, None) => f.write_str("no reason given"),
        }
    }
}

/// `user=USER^Aauth=Bearer TOKEN^A^A`.
pub(super) fn xoauth2(credentials: &Credentials<'_>) -> Result<Secret, SaslError> {
    let token = token(credentials)?;
    Ok(joined(&[b"user=", credentials.user.as_bytes(), b"\x01auth=Bearer ", token, b"\x01\x01"]))
}

/// `n,a=USER,^Ahost=HOST^Aport=PORT^Aauth=Bearer TOKEN^A^A` (RFC 7628 §3.1).
pub(super) fn oauthbearer(credentials: &Credentials<'_>) -> Result<Secret, SaslError> {
    let token = token(credentials)?;
    let header = format!(
        "n,a={},\x01host={}\x01port={}",
        escaped(credentials.user),
        credentials.host,
        credentials.port
    );
    Ok(joined(&[header.as_bytes(), b"\x01auth=Bearer ", token, b"\x01\x01"]))
}

/// The token; refused if it, or the user name, could break out of its field.
fn token<'a>(credentials: &Credentials<'a>) -> Result<&'a [u8], SaslError> {
    let token = credentials.secret.expose();
    if credentials.user.chars().any(|c| c.is_ascii_control()) {
        return Err(SaslError::Unpreparable(super::SaslText::User));
    }
    if token.iter().all(u8::is_ascii_graphic) { Ok(token) } else { Err(SaslError::NotAToken) }
}

/// What follows the token.
pub(super) struct OAuthResponses {
    /// How the explanation of a failure is acknowledged.
    acknowledgement: &'static [u8],
    failure: Option<TokenFailure>,
}

impl OAuthResponses {
    /// XOAUTH2: an empty line.
    pub(super) fn google() -> Self {
        Self { acknowledgement: b"", failure: None }
    }

    /// OAUTHBEARER: one octet, 0x01 (RFC 7628 §3.2.3).
    pub(super) fn standard() -> Self {
        Self { acknowledgement: b"\x01", failure: None }
    }

    pub(super) fn answer(&mut self, challenge: &[u8], redactor: &Redactor) -> Result<Secret, SaslError> {
        if self.failure.is_some() {
            return Err(SaslError::Unexpected);
        }
        let Explanation { status, scope } = Explanation::parse(challenge);
        self.failure = Some(TokenFailure { status: shown(status, redactor), scope: shown(scope, redactor) });
        Ok(Secret::new(self.acknowledgement))
    }

    pub(super) fn failure(&self) -> Option<&TokenFailure> {
        self.failure.as_ref()
    }
}

/// The two members of the explanation that are shown.
#[derive(Deserialize)]
struct Explanation {
    status: Option<Value>,
    scope: Option<Value>,
}

impl Explanation {
    /// From a challenge, which has [`CHALLENGE_LIMIT`](crate::protocol::limits::CHALLENGE_LIMIT) octets at most; nothing where
    /// it isn't an object of JSON.
    fn parse(challenge: &[u8]) -> Self {
        // What follows the object doesn't matter, nor in which character set a server writes the rest.
        let json = String::from_utf8_lossy(challenge);
        let parsed = Self::deserialize(&mut serde_json::Deserializer::from_str(&json));
        parsed.unwrap_or(Self { status: None, scope: None })
    }
}

/// Of a value that is a string or a number what may be shown: masked and escaped before it's cut.
fn shown(value: Option<Value>, redactor: &Redactor) -> Option<String> {
    let text = match value? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(redactor.printable(text.as_bytes()).chars().take(TOKEN_STATUS_CHARACTERS).collect())
}

#[cfg(test)]
mod tests {
    use super::{Explanation, shown};
    use crate::protocol::redact::Redactor;

    #[test]
    fn the_reason_of_a_refused_token_is_read_from_json() {
        let cases: [(&[u8], Option<&str>); 17] = [
            (br#"{"status":"401","schemes":"bearer"}"#, Some("401")),
            (br#"{ "x" : [1,{"status":"no"},"]"] , "status" : 400 }"#, Some("400")),
            (br#"{"status":"a\"b\u0041\n"}"#, Some("a\"bA\\x0a")),
            (b"{\"x\":\"\xff\xfe\",\"status\":\"401\"}", Some("401")),
            (b"{\"status\":\"401\"} and more", Some("401")),
            (br#"{"scope":"x"}"#, None),
            (br#"{"status":["401"]}"#, None),
            (br#"{"status":null}"#, None),
            (br#"{"status":"401"#, None),
            (br#"{"status":"\u12"}"#, None),
            (br#"{"status":"\ud83d"}"#, None),
            (br#"{"status":"\"#, None),
            (b"{", None),
            (b"{}", None),
            (b"", None),
            (b"401 bad token", None),
            (b"[[[[", None),
        ];
        for (json, expected) in cases {
            let status = shown(Explanation::parse(json).status, &Redactor::default());
            assert_eq!(status.as_deref(), expected, "{}", String::from_utf8_lossy(json));
        }
    }

    #[test]
    fn json_that_is_nested_without_end_is_no_reason() {
        for nested in ["[", "{\"a\":"] {
            let deep = format!("{{\"a\":{}", nested.repeat(3_000));
            assert!(Explanation::parse(deep.as_bytes()).status.is_none());
            let before = format!("{{\"status\":{}", nested.repeat(3_000));
            assert!(Explanation::parse(before.as_bytes()).status.is_none());
        }
    }
}
