//! Names of servers and users, and fingerprints of certificates: what they may look like, and their one usual form.

use std::net::{IpAddr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::mistake::{Mistake, quoted};
use crate::account::check_one_line;

/// A server's name in the form of [`host`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host(pub(super) String);

impl Host {
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        host(text).map(Self)
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

/// A server's name as it goes to DNS, SNI and the certificate check: an A-label in lower case without final dot; or an
/// address in its usual form, without brackets.
///
/// # Errors
/// What does not convert (RFC 5891), or would be read as an address by some and as a name by others (`127.1`).
pub(crate) fn host(text: &str) -> Result<String, Mistake> {
    if text.contains("://") || text.contains('@') {
        // Not quoted: it may hold a password.
        return Err(Mistake::new("this is a URL or an address of mail, not a host")
            .hint("the host alone: \"pop.example.com\""));
    }
    let wrong = || Mistake::new(format!("{} is not a host name or address", quoted(text)));
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(|address| address.to_string()).ok_or_else(wrong);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if let Some((address, _)) = text.split_once('%')
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return Err(wrong().hint("an address without its zone (%)"));
    }
    if let Some((name, port)) = text.rsplit_once(':') {
        let wrong = wrong();
        return Err(match port.parse::<u16>() {
            Ok(port) if !name.contains(':') => {
                wrong.hint(format!("{} alone; its port is a setting of its own: {port}", quoted(name)))
            }
            _ => wrong,
        });
    }
    let name = Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::VerifyAllowRootDot)
        .map_err(|_| wrong())?;
    let name = name.strip_suffix('.').unwrap_or(&name);
    let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if name.bytes().all(letters) && !numeric { Ok(name.to_owned()) } else { Err(wrong()) }
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
    use super::{UserName, digest, host};

    #[test]
    fn hosts() {
        let cases = [
            ("pop.example.com", Some("pop.example.com")),
            ("POP.Example.COM.", Some("pop.example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("BÜCHER.example.", Some("xn--bcher-kva.example")),
            ("bu\u{308}cher.example", Some("xn--bcher-kva.example")),
            ("XN--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("mail。example", Some("mail.example")),
            ("mail_server", Some("mail_server")),
            ("localhost", Some("localhost")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("[2001:DB8::1]", Some("2001:db8::1")),
            ("[127.0.0.1]", None),
            ("[::1", None),
            ("127.1", None),
            ("0x7f.0x1", None),
            ("1.2.3.4.5", None),
            ("", None),
            (".", None),
            ("..", None),
            ("a..b", None),
            (".a", None),
            ("a b", None),
            ("a\nb", None),
            ("a/b", None),
            ("a;b", None),
            ("a%41", None),
            ("pop.example.com:995", None),
            ("pops://me:hunter2@h", None),
            ("xn--\u{fc}", None),
            ("xn--a-ecp.ru", None),
            ("\u{200b}", None),
            ("\u{202e}evil.example", None),
        ];
        for (text, expected) in cases {
            assert_eq!(host(text).ok().as_deref(), expected, "{text:?}");
        }
        assert!(host(&"a".repeat(64)).is_err());
        assert!(host(&"a.".repeat(200)).is_err());
        assert!(!host("me:hunter2@h").unwrap_err().what.contains("hunter2"));
    }

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
