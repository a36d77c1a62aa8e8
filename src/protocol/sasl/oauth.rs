//! The bearer token mechanisms: XOAUTH2 (Google's, also Microsoft's) and OAUTHBEARER (RFC 7628).
//!
//! A refused token is explained in a challenge of JSON, which wants an answer before `-ERR` comes: a client that
//! doesn't give one hangs.  Of that JSON two members are shown, so there is a small reader here and no JSON
//! package: it takes the strings and numbers of the outermost object and skips the rest, without recursion.

use std::fmt;

use super::scram::escaped;
use super::{Credentials, SaslError, joined};
use crate::protocol::limits::TOKEN_STATUS_CHARACTERS;
use crate::protocol::redact::Redactor;
use crate::secret::Secret;

/// What the server said of the token it refused; escaped, the token masked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenFailure {
    /// `401`, `invalid_token` and the like.
    pub status: Option<String>,
    /// The scope that the token should have.
    pub scope: Option<String>,
}

impl TokenFailure {
    /// Whether a fresh token may help.
    #[must_use]
    pub fn is_stale(&self) -> bool {
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
        return Err(SaslError::Unpreparable(super::Text::User));
    }
    if token.iter().all(u8::is_ascii_graphic) { Ok(token) } else { Err(SaslError::NotAToken) }
}

/// What follows the token.
pub(super) struct OAuth {
    /// How the explanation of a failure is acknowledged.
    acknowledgement: &'static [u8],
    failure: Option<TokenFailure>,
}

impl OAuth {
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
        let shown = |name| {
            member(challenge, name).map(|value| {
                // Masked and escaped before it's cut.
                redactor.printable(&value).chars().take(TOKEN_STATUS_CHARACTERS).collect::<String>()
            })
        };
        self.failure = Some(TokenFailure { status: shown(b"status"), scope: shown(b"scope") });
        Ok(Secret::new(self.acknowledgement))
    }

    pub(super) fn failure(&self) -> Option<&TokenFailure> {
        self.failure.as_ref()
    }
}

/// The first member of that name in the outermost object, if it's a string, a number or a word.
fn member(json: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    let mut rest = json.trim_ascii_start().strip_prefix(b"{")?;
    loop {
        let (name, after) = string(rest.trim_ascii_start())?;
        rest = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (value, after) = value(rest)?;
        if name == wanted {
            return value;
        }
        rest = after.trim_ascii_start().strip_prefix(b",")?;
    }
}

/// A value and what follows it; for an array or an object only the latter.
fn value(json: &[u8]) -> Option<(Option<Vec<u8>>, &[u8])> {
    match json.first()? {
        b'"' => string(json).map(|(text, rest)| (Some(text), rest)),
        b'{' | b'[' => nested(json).map(|rest| (None, rest)),
        _ => {
            let end = json.iter().position(|octet| matches!(octet, b',' | b'}' | b']'))?;
            let (word, rest) = json.split_at_checked(end)?;
            Some((Some(word.trim_ascii().to_vec()), rest))
        }
    }
}

/// What follows an array or object; brackets within strings don't count.
fn nested(json: &[u8]) -> Option<&[u8]> {
    let mut rest = json;
    let mut depth = 0_usize;
    loop {
        match rest.first()? {
            b'"' => {
                rest = string(rest)?.1;
                continue;
            }
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        rest = rest.split_first()?.1;
        if depth == 0 {
            return Some(rest);
        }
    }
}

/// A quoted string, unescaped, and what follows it.
fn string(json: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = json.strip_prefix(b"\"")?;
    let mut text = Vec::new();
    loop {
        let (octet, after) = rest.split_first()?;
        rest = after;
        match octet {
            b'"' => return Some((text, rest)),
            b'\\' => {
                let (escape, after) = rest.split_first()?;
                rest = after;
                match escape {
                    b'u' => {
                        let (digits, after) = rest.split_at_checked(4)?;
                        rest = after;
                        let code = std::str::from_utf8(digits).ok()?;
                        let code = u32::from_str_radix(code, 16).ok()?;
                        // Halves of surrogate pairs don't matter here.
                        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    b'n' => text.push(b'\n'),
                    b't' => text.push(b'\t'),
                    b'r' => text.push(b'\r'),
                    b'b' => text.push(8),
                    b'f' => text.push(12),
                    other => text.push(*other),
                }
            }
            _ => text.push(*octet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::member;

    #[test]
    fn members_of_an_object() {
        let cases: [(&[u8], Option<&[u8]>); 14] = [
            (br#"{"status":"401","schemes":"bearer"}"#, Some(b"401")),
            (br#"{ "x" : [1,{"status":"no"},"]"] , "status" : 400 }"#, Some(b"400")),
            (br#"{"status":"a\"b\u0041\n"}"#, Some(b"a\"bA\n")),
            (br#"{"scope":"x"}"#, None),
            (br#"{"status":["401"]}"#, None),
            (br#"{"status":"401"#, None),
            (br#"{"status":"\u12"}"#, None),
            (br#"{"status":"\ud83d"}"#, Some("\u{fffd}".as_bytes())),
            (br#"{"status":"\"#, None),
            (b"{", None),
            (b"{}", None),
            (b"", None),
            (b"401 bad token", None),
            (b"[[[[", None),
        ];
        for (json, expected) in cases {
            assert_eq!(member(json, b"status").as_deref(), expected, "{}", String::from_utf8_lossy(json));
        }
        let deep = [&b"{\"a\":"[..], &[b'['; 100_000]].concat();
        assert_eq!(member(&deep, b"status"), None);
    }
}
