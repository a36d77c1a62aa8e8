//! Addresses of the web, as far as they are asked for here: `https`, or `http` at a literal loopback address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::account::host::in_brackets;
use crate::text::printable;

/// Octets of an address at most: what servers and browsers take.
const LONGEST: usize = 8 * 1024;

/// An absolute address without user, password and fragment: `https://HOST[:PORT]/PATH[?QUERY]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    is_secure: bool,
    host: String,
    port: u16,
    /// Path and query; begins with a slash.
    target: String,
}

/// Why a text is no address that is asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAUrl {
    /// It has neither of the two schemes.
    #[error("it does not begin with https://")]
    Scheme,
    /// What is asked for in clear text could be read and changed on the way.
    #[error("it is http, which only a loopback address such as http://127.0.0.1 may be: use https")]
    Clear,
    /// The host is missing, or is neither a name in ASCII nor an address.
    #[error("it names no host that can be asked")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// It holds blanks, control characters, a fragment, or what isn't ASCII; or it is longer than 8 KiB.
    #[error("it holds a character that an address cannot have, or is too long")]
    Text,
}

impl Url {
    /// Reads an address.
    ///
    /// # Errors
    /// [`NotAUrl`], typically `http://` for a host elsewhere.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAUrl> {
        if text.len() > LONGEST
            || !text.bytes().all(|b| b.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&b))
        {
            return Err(NotAUrl::Text);
        }
        let (scheme, rest) = text.split_once("://").ok_or(NotAUrl::Scheme)?;
        let is_secure = scheme.eq_ignore_ascii_case("https");
        if !is_secure && !scheme.eq_ignore_ascii_case("http") {
            return Err(NotAUrl::Scheme);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = authority_of(authority)?;
        let port = port.unwrap_or(if is_secure { 443 } else { 80 });
        let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        if !is_secure && !is_loopback {
            return Err(NotAUrl::Clear);
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { is_secure, host, port, target })
    }

    /// The host: a name in lower case, or an address without brackets.
    #[must_use]
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is `https`; else the host is a loopback address.
    #[must_use]
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Path and query, as a request names them.
    #[must_use]
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The same with these parameters behind those that it has, encoded as a form is.
    #[must_use]
    pub(crate) fn with_query(&self, parameters: &[(&str, &str)]) -> Self {
        let mut target = self.target.clone();
        for (name, value) in parameters {
            target.push(if target.contains('?') { '&' } else { '?' });
            super::form::encode_into(&mut target, name.as_bytes());
            target.push('=');
            super::form::encode_into(&mut target, value.as_bytes());
        }
        Self { target, ..self.clone() }
    }

    /// The same host with another path, which begins with a slash.
    #[must_use]
    pub(crate) fn with_target(&self, target: &str) -> Self {
        Self { target: target.to_owned(), ..self.clone() }
    }

    /// `HOST` or `HOST:PORT`, as the request's `Host` has it.
    #[must_use]
    pub(crate) fn authority(&self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        let host = in_brackets(&self.host);
        if self.port == usual { host.into_owned() } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        f.write_str(&printable(format!("{scheme}://{}{}", self.authority(), self.target).as_bytes()))
    }
}

/// Host, and port if there is one, of an authority without a user.
fn authority_of(text: &str) -> Result<(String, Option<u16>), NotAUrl> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(NotAUrl::Host)?;
            address.parse::<Ipv6Addr>().map_err(|_| NotAUrl::Host)?;
            (address, port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            let shape = host.len() <= 253 && host.bytes().all(is_host);
            if !shape || host.is_empty() || host.starts_with('.') || host.contains("..") {
                return Err(NotAUrl::Host);
            }
            (host.strip_suffix('.').unwrap_or(host), port)
        }
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port > 0).ok_or(NotAUrl::Port)?)
        }
        Some(_) => return Err(NotAUrl::Port),
        None if port.is_empty() => None,
        None => return Err(NotAUrl::Host),
    };
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::{NotAUrl, Url};

    #[test]
    fn addresses() {
        for (text, host, port, shown) in [
            ("https://a.example", "a.example", 443, "https://a.example/"),
            ("HTTPS://A.Example.:444/x?y=z", "a.example", 444, "https://a.example:444/x?y=z"),
            ("https://a.example?x", "a.example", 443, "https://a.example/?x"),
            ("https://[::1]:8443/", "::1", 8443, "https://[::1]:8443/"),
            ("http://127.0.0.1:80/token", "127.0.0.1", 80, "http://127.0.0.1/token"),
            ("http://[::1]:9/", "::1", 9, "http://[::1]:9/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.to_string().as_str()), (host, port, shown));
            assert_eq!(Url::parse(&url.to_string()), Ok(url), "reads back");
        }
        for (text, why) in [
            ("", NotAUrl::Scheme),
            ("a.example", NotAUrl::Scheme),
            ("ftp://a.example/", NotAUrl::Scheme),
            ("http://a.example/", NotAUrl::Clear),
            ("http://localhost/", NotAUrl::Clear),
            ("http://192.0.2.1/", NotAUrl::Clear),
            ("https://", NotAUrl::Host),
            ("https:///x", NotAUrl::Host),
            ("https://me:secret@a.example/", NotAUrl::Port),
            ("https://me@a.example/", NotAUrl::Host),
            ("https://a..example/", NotAUrl::Host),
            ("https://[::1/", NotAUrl::Host),
            ("https://[x]/", NotAUrl::Host),
            ("https://[::1]x/", NotAUrl::Host),
            ("https://a.example:0/", NotAUrl::Port),
            ("https://a.example:65536/", NotAUrl::Port),
            ("https://a.example:/", NotAUrl::Port),
            ("https://a.example:+1/", NotAUrl::Port),
            ("https://a.example/#f", NotAUrl::Text),
            ("https://a.example/ x", NotAUrl::Text),
            ("https://a.example/\r\nX: y", NotAUrl::Text),
            ("https://ä.example/", NotAUrl::Text),
        ] {
            assert_eq!(Url::parse(text), Err(why), "{text}");
        }
        assert_eq!(Url::parse(&format!("https://a.example/{}", "x".repeat(9000))), Err(NotAUrl::Text));
    }

    #[test]
    fn parameters_are_encoded() {
        let url = Url::parse("https://a.example/auth?x=1").unwrap();
        let url = url.with_query(&[("scope", "https://m.example/ a&b"), ("ü", "=")]);
        assert_eq!(
            url.to_string(),
            "https://a.example/auth?x=1&scope=https%3A%2F%2Fm.example%2F%20a%26b&%C3%BC=%3D"
        );
        assert_eq!(url.with_target("/x").to_string(), "https://a.example/x");
    }
}
