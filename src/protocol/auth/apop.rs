//! APOP (RFC 1939 §7): the timestamp of a greeting, and the digest that answers it.
//!
//! A man in the middle who may choose timestamps learns the password's first characters one by one (CVE-2007-1558): the
//! colliding blocks of MD5 need octets that no msg-id has.  Hence the grammar is checked to the letter, which hinders
//! the attack and doesn't cure it.

use crate::protocol::limits::TIMESTAMP_LIMIT;
use crate::protocol::sasl::digest;
use crate::secret::Secret;

/// The timestamp of a greeting: `<local@domain>`, both dot-atoms of RFC 5322, made only by parsing.
///
/// One that came in clear is void once TLS has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApopChallenge(Vec<u8>);

impl ApopChallenge {
    /// The last timestamp of a greeting's text that is a msg-id.
    #[must_use]
    pub(crate) fn from_greeting(text: &[u8]) -> Option<Self> {
        // A `<` within a candidate spoils it, so that each one begins at the last `<` before its `>`.
        let mut last = None;
        for part in text.split(|octet| *octet == b'<').skip(1) {
            let Some(end) = part.iter().position(|octet| *octet == b'>') else { continue };
            let Some((id, _)) = part.split_at_checked(end) else { continue };
            if is_msg_id(id) {
                last = Some(id);
            }
        }
        last.map(|id| Self([b"<", id, b">"].concat()))
    }

    /// The digest that proves knowledge of `secret`: 32 lower-case hexadecimal digits.
    #[must_use]
    pub(crate) fn digest(&self, secret: &Secret) -> Secret {
        digest::md5_hex(&self.0, secret.expose())
    }
}

/// `local@domain`, without the brackets.  The domain needs no dot: Dovecot's has none.
fn is_msg_id(id: &[u8]) -> bool {
    let atom = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(octet);
    let dot_atom =
        |text: &[u8]| text.split(|octet| *octet == b'.').all(|run| !run.is_empty() && run.iter().all(atom));
    let mut sides = id.split(|octet| *octet == b'@');
    id.len() + 2 <= TIMESTAMP_LIMIT
        && sides.next().is_some_and(dot_atom)
        && sides.next().is_some_and(dot_atom)
        && sides.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::ApopChallenge;
    use crate::secret::Secret;

    fn digest(greeting: &str, secret: &str) -> Option<String> {
        let digest = ApopChallenge::from_greeting(greeting.as_bytes())?.digest(&Secret::new(secret));
        String::from_utf8(digest.expose().to_vec()).ok()
    }

    #[test]
    fn digests_of_rfc_1939_and_dovecot() {
        let cases = [
            (
                "POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
                "tanstaaf",
                "c4c9334bac560ecc979e58001b3e22fb",
            ),
            ("<1896.697170952@mail.eudora.com>", "tanstaaf", "b257e85c7d54b0ee8f863b9f86d56cd1"),
            (
                "Dovecot ready. <6e54.1.6b025bd6.E8jeP6N/+v+WxIzXCXtSBA==@vm>",
                "secret",
                "a00735c1cddfa773321a375cb4052cb5",
            ),
        ];
        for (greeting, secret, expected) in cases {
            assert_eq!(digest(greeting, secret).as_deref(), Some(expected), "{greeting}");
        }
    }

    #[test]
    fn timestamp_that_is_not_a_msg_id_is_not_answered() {
        let cases: [&[u8]; 19] = [
            b"",
            b"ready",
            b"<>",
            b"<@>",
            b"<a@>",
            b"<@b>",
            b"<ab>",
            b"<a@b@c>",
            b"<a b@c>",
            b"<a..b@c>",
            b"<.a@b>",
            b"<a.@b>",
            b"<a@b.>",
            b"<a@b",
            b"a@b>",
            b"<a\x80@b>",
            b"<a\0@b>",
            b"<\"a\"@b>",
            b"<a@[127.0.0.1]>",
        ];
        for text in cases {
            assert_eq!(ApopChallenge::from_greeting(text), None, "{}", text.escape_ascii());
        }
        let of_length = |n: usize| format!("<{}@b>", "a".repeat(n - 4));
        assert!(ApopChallenge::from_greeting(of_length(512).as_bytes()).is_some());
        assert!(ApopChallenge::from_greeting(of_length(513).as_bytes()).is_none());
    }

    #[test]
    fn last_valid_timestamp_counts() {
        let cases = [
            ("<a@b> <c@d>", "<c@d>"),
            ("<a@b> <c d>", "<a@b>"),
            ("<x<a@b>> y", "<a@b>"),
            ("<a@b> <", "<a@b>"),
            ("<a@b>>", "<a@b>"),
        ];
        for (text, expected) in cases {
            let challenge = ApopChallenge::from_greeting(text.as_bytes());
            assert_eq!(challenge, Some(ApopChallenge(expected.into())), "{text}");
        }
    }
}
