//! `application/x-www-form-urlencoded`: parameters of a query, and of a request's body.

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Parameters of one text at most: more is nothing that a server of authorizations sends.
const MOST: usize = 64;

/// `NAME=VALUE&…`, everything but letters, digits and `-._~` as `%HH` (RFC 3986 §2.3, which every reader of forms takes).
#[must_use]
pub(crate) fn encode(parameters: &[(&str, &[u8])]) -> Secret {
    let length = parameters.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum::<usize>();
    // With room for all of it: a text that grows leaves copies of secrets behind.
    let room = length.saturating_mul(3).saturating_add(parameters.len().saturating_mul(2));
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (at, (name, value)) in parameters.iter().enumerate() {
        if at > 0 {
            text.push('&');
        }
        encode_into(&mut text, name.as_bytes());
        text.push('=');
        encode_into(&mut text, value);
    }
    Secret::new(text.as_bytes())
}

/// A value as [`encode`] has it.
#[must_use]
pub(crate) fn encode_value(value: &Secret) -> Secret {
    let mut text = Zeroizing::new(String::with_capacity(value.expose().len().saturating_mul(3)));
    encode_into(&mut text, value.expose());
    Secret::new(text.as_bytes())
}

/// Appends `octets`, encoded.
pub(super) fn encode_into(text: &mut String, octets: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().map_or('0', char::from);
    for &octet in octets {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            text.push(char::from(octet));
        } else {
            text.extend(['%', digit(octet >> 4), digit(octet & 15)]);
        }
    }
}

/// The parameters of a query or a form; `+` is a blank.  A broken `%` is taken as it is; what isn't UTF-8 is replaced.
#[must_use]
pub(crate) fn decode(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MOST);
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let hex = after.split_at_checked(2).and_then(|(hex, after)| {
            let digits =
                std::str::from_utf8(hex).ok().filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        match (octet, hex) {
            (b'%', Some((value, after))) => {
                octets.push(value);
                rest = after;
            }
            (octet, _) => {
                octets.push(if octet == b'+' { b' ' } else { octet });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decode, encode};

    /// What `from_str_radix` would take for a number isn't one here.
    #[test]
    fn a_value_alone_is_encoded_as_in_a_form() {
        let value = crate::secret::Secret::new("R3fr-sh/T0k+en==");
        assert_eq!(super::encode_value(&value).expose(), b"R3fr-sh%2FT0k%2Ben%3D%3D");
        assert_eq!(encode(&[("a", value.expose())]).expose(), b"a=R3fr-sh%2FT0k%2Ben%3D%3D");
    }

    #[test]
    fn a_broken_escape_is_taken_as_it_is() {
        for (text, value) in
            [("%41", "A"), ("%+1", "% 1"), ("%4", "%4"), ("%4g", "%4g"), ("%-1", "%-1"), ("%", "%")]
        {
            assert_eq!(decode(&format!("a={text}")), [("a".to_owned(), value.to_owned())], "{text}");
        }
    }

    #[test]
    fn what_is_broken_stands_for_itself() {
        for (text, expected) in [
            ("", vec![]),
            ("a", vec![("a", "")]),
            ("a=b=c&&d=+%20%zz%", vec![("a", "b=c"), ("d", "  %zz%")]),
            ("code=4%2F0A&state=x", vec![("code", "4/0A"), ("state", "x")]),
            ("a=%ff", vec![("a", "\u{fffd}")]),
        ] {
            let expected: Vec<(String, String)> =
                expected.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert_eq!(decode(text), expected, "{text}");
        }
        assert_eq!(decode(&"a&".repeat(1000)).len(), 64);
    }

    proptest! {
        #[test]
        fn a_form_reads_back(pairs in proptest::collection::vec((".{1,9}", ".{0,40}"), 0..9)) {
            let borrowed: Vec<(&str, &[u8])> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            let text = encode(&borrowed);
            let text = std::str::from_utf8(text.expose()).unwrap();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%=&".contains(&b)));
            prop_assert_eq!(decode(text), pairs);
        }
    }
}
