//! Names of servers and users, and fingerprints of certificates: what they may look like, and their one usual form.

use super::mistake::{Mistake, quoted};
use crate::account::{check_one_line, host};

/// A server's name in the form of [`host::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host(pub(super) String);

impl Host {
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        Ok(Self(host::parse(text)?))
    }
}

/// A user's name: any text that fits in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserName(pub(super) String);

impl UserName {
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        check_one_line(text.as_bytes())?;
        Ok(Self(text.to_owned()))
    }
}

/// SHA-256 digests of certificates; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprints(pub(super) Vec<[u8; 32]>);

impl Fingerprints {
    pub(super) fn parse(words: &[String]) -> Result<Self, Mistake> {
        if words.is_empty() {
            let hint = "leave the key out to trust certificate authorities";
            return Err(Mistake::new("the list is empty").hint(hint));
        }
        words.iter().map(|word| digest(word)).collect::<Result<_, _>>().map(Self)
    }
}

/// `sha256:`, or what openssl(1) puts before it, and 64 hexadecimal digits, with or without colons between the octets.
fn digest(text: &str) -> Result<[u8; 32], Mistake> {
    let parse = || {
        // As openssl(1) prints it: `SHA256 Fingerprint=AA:BB…`, `sha256 Fingerprint=…` from version 3 on.
        let (kind, hex) = text.trim().split_at_checked("sha256".len())?;
        let printed = " fingerprint=";
        let hex = match hex.strip_prefix(':') {
            Some(hex) => hex,
            None => {
                hex.split_at_checked(printed.len()).filter(|(word, _)| word.eq_ignore_ascii_case(printed))?.1
            }
        };
        if !kind.eq_ignore_ascii_case("sha256") {
            return None;
        }
        let hex = if hex.contains(':') {
            if hex.split(':').any(|octet| octet.len() != 2) {
                return None;
            }
            hex.replace(':', "")
        } else {
            hex.to_owned()
        };
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut digest = [0; 32];
        for (octet, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(digest)
    };
    parse().ok_or_else(|| {
        Mistake::new(format!("{} is not a fingerprint", quoted(text)))
            .hint("\"sha256:\" and 64 hexadecimal digits; openssl x509 -noout -fingerprint -sha256 -in FILE prints them")
    })
}

#[cfg(test)]
mod tests {
    use super::{UserName, digest};

    #[test]
    fn users() {
        for text in ["me@example.com", " ", "jörg", "a b;c\"\\"] {
            assert_eq!(UserName::parse(text), Ok(UserName(text.to_owned())));
        }
        for text in ["", "a\r\nDELE 1", "a\nb", "a\0b"] {
            assert!(UserName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn digests() {
        let plain = "0123456789abcdefABCDEF00".repeat(3);
        let plain = plain.get(..64).unwrap();
        let octets: Vec<String> =
            plain.as_bytes().chunks(2).map(|p| String::from_utf8(p.to_vec()).unwrap()).collect();
        let coloned = octets.join(":");
        let expected = digest(&format!("sha256:{plain}")).unwrap();
        assert_eq!(expected[..3], [0x01, 0x23, 0x45]);
        assert_eq!(digest(&format!("sha256:{coloned}")).unwrap(), expected);
        for openssl in ["SHA256 Fingerprint", "sha256 Fingerprint"] {
            assert_eq!(digest(&format!("{openssl}={coloned}\n")).unwrap(), expected);
        }
        for bad in [
            plain.to_owned(),
            format!("SHA1 Fingerprint={coloned}"),
            format!("sha256={plain}"),
            format!("sha256 fingerprint {plain}"),
            "sha2é".to_owned(),
            format!("sha1:{plain}"),
            format!("sha256:{plain}0"),
            format!("sha256:{}", &plain[1..]),
            format!("sha256::{coloned}"),
            format!("sha256:{coloned}:"),
            format!("sha256:{}g", &plain[1..]),
            format!("sha256:+{}", &plain[1..]),
            "sha256:".to_owned(),
            String::new(),
        ] {
            assert!(digest(&bad).is_err(), "{bad}");
        }
    }
}
