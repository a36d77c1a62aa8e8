//! A mail address, as far as it leads to a server.

use crate::account::host;
use crate::text::{is_one_line, printable};

/// A mail address: something, `@`, and a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailAddress {
    whole: String,
    local: String,
    domain: String,
}

impl MailAddress {
    /// Reads one, as a user types it.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let shown = || printable(text.as_bytes());
        let Some((local, domain)) = text.rsplit_once('@').filter(|(local, _)| !local.is_empty()) else {
            return Err(format!("\"{}\" is not a mail address", shown()));
        };
        let is_visible = |c: char| !c.is_control() && !c.is_whitespace();
        if !is_one_line(text.as_bytes()) || !local.chars().all(is_visible) {
            return Err(format!("\"{}\" is not a mail address", shown()));
        }
        let host = host::parse(domain).ok().filter(|host| host.contains('.') && !host.contains(':'));
        let domain = host.ok_or_else(|| format!("\"{}\" has no domain that can be looked up", shown()))?;
        if domain.parse::<std::net::IpAddr>().is_ok() {
            return Err(format!("\"{}\" has no domain that can be looked up", shown()));
        }
        Ok(Self { whole: text.to_owned(), local: local.to_owned(), domain })
    }

    /// All of it, as it was typed.
    #[must_use]
    pub(crate) fn whole(&self) -> &str {
        &self.whole
    }

    /// What is before the `@`.
    #[must_use]
    pub(crate) fn local(&self) -> &str {
        &self.local
    }

    /// The domain: an A-label in lower case, without the final dot.
    #[must_use]
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }
}

#[cfg(test)]
mod tests {
    use super::MailAddress;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("anna@example.com", Some(("anna", "example.com"))),
            (" anna.b+x@Example.COM.\n", Some(("anna.b+x", "example.com"))),
            ("jörg@bücher.example", Some(("jörg", "xn--bcher-kva.example"))),
            ("a@b@example.com", Some(("a@b", "example.com"))),
            ("anna", None),
            ("@example.com", None),
            ("anna@", None),
            ("anna@localhost", None),
            ("anna@127.0.0.1", None),
            ("anna@[::1]", None),
            ("an na@example.com", None),
            ("anna\r\nDELE 1@example.com", None),
            ("anna@exa mple.com", None),
            ("", None),
        ] {
            let address = MailAddress::parse(text).ok();
            let parts = address.as_ref().map(|address| (address.local(), address.domain()));
            assert_eq!(parts, expected, "{text:?}");
        }
        assert_eq!(MailAddress::parse(" anna@Example.com ").unwrap().whole(), "anna@Example.com");
    }
}
