//! The name of a server, in its one usual form.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::text::printable;

/// Why a text is not the name of a server.  What is quoted is made safe to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAHost {
    /// Not quoted: it may hold a password.
    #[error("this is a URL or an address of mail, not a host")]
    UrlOrAddress,
    /// It ends in a port, which is a setting of its own.
    #[error("{text} is not a host name or address")]
    WithPort { text: String, name: String, port: u16 },
    /// An IPv6 address with the name of an interface.
    #[error("{0} is not a host name or address")]
    WithZone(String),
    /// It does not convert (RFC 5891), or would be read as an address by some and as a name by others (`127.1`).
    #[error("{0} is not a host name or address")]
    Other(String),
}

impl NotAHost {
    /// What to write instead, where that is known.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::UrlOrAddress => Some("the host alone: \"pop.example.com\"".into()),
            Self::WithPort { name, port, .. } => {
                Some(format!("{name} alone; its port is a setting of its own: {port}"))
            }
            Self::WithZone(_) => Some("an address without its zone (%)".into()),
            Self::Other(_) => None,
        }
    }
}

/// The host as it stands before a port: an IPv6 literal in brackets.
pub(crate) fn in_brackets(host: &str) -> Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}

/// A server's name as it goes to DNS, SNI and the certificate check: an A-label in lower case without final dot; or an
/// address in its usual form, without brackets.
///
/// # Errors
/// [`NotAHost`], typically for a URL, or for a name with a port.
pub(crate) fn parse(text: &str) -> Result<String, NotAHost> {
    if text.contains("://") || text.contains('@') {
        return Err(NotAHost::UrlOrAddress);
    }
    let quoted = |text: &str| format!("\"{}\"", printable(text.as_bytes()));
    let other = || NotAHost::Other(quoted(text));
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(|address| address.to_string()).ok_or_else(other);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if let Some((address, _)) = text.split_once('%')
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return Err(NotAHost::WithZone(quoted(text)));
    }
    if let Some((name, port)) = text.rsplit_once(':') {
        return Err(match port.parse::<u16>() {
            Ok(port) if !name.contains(':') => {
                NotAHost::WithPort { text: quoted(text), name: quoted(name), port }
            }
            _ => other(),
        });
    }
    let name = Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::VerifyAllowRootDot)
        .map_err(|_| other())?;
    let name = name.strip_suffix('.').unwrap_or(&name);
    let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if name.bytes().all(letters) && !numeric { Ok(name.to_owned()) } else { Err(other()) }
}

#[cfg(test)]
mod tests {
    use super::parse;

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
            assert_eq!(parse(text).ok().as_deref(), expected, "{text:?}");
        }
        assert!(parse(&"a".repeat(64)).is_err());
        assert!(parse(&"a.".repeat(200)).is_err());
        assert!(!parse("me:hunter2@h").unwrap_err().to_string().contains("hunter2"));
    }
}
