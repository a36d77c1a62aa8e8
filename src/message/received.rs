//! The one line that may be put on top of a message: `Received:` (RFC 5321 §4.4), which records where, how and when it
//! was retrieved.  It knows no message: it must be ready before the first octet arrives.

use std::net::IpAddr;

use crate::message::date;
use crate::types::Time;

/// What a `Received` line records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retrieval<'a> {
    /// The server's host name or address literal, as configured.
    pub server: &'a str,
    /// The address that was connected to.
    pub address: Option<IpAddr>,
    /// This machine's name.
    pub host: &'a str,
    /// popfetch's version.
    pub version: &'a str,
    /// The account's name.
    pub account: &'a str,
    /// Now.
    pub time: Time,
}

/// The line, folded, with its LF: no empty line in it, and nothing but printable ASCII, whatever the names hold.
///
/// ```text
/// Received: from pop.example.com ([192.0.2.7]) by laptop
///     with POP3 (popfetch 0.1.0, account work); Thu, 01 Jan 1970 00:00:00 +0000
/// ```
#[must_use]
pub(crate) fn received_line(retrieval: &Retrieval<'_>) -> Vec<u8> {
    let address = retrieval.address.map(|ip| format!(" ({})", literal(ip))).unwrap_or_default();
    format!(
        "Received: from {}{address} by {}\n\twith POP3 (popfetch {}, account {});\n\t{}\n",
        domain(retrieval.server),
        domain(retrieval.host),
        comment(retrieval.version),
        comment(retrieval.account),
        date::rfc5322(retrieval.time),
    )
    .into_bytes()
}

/// RFC 5321 §4.1.3.
fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// A Domain, or an address literal where the name is an address.
fn domain(name: &str) -> String {
    if let Ok(address) = name.parse() {
        return literal(address);
    }
    let name: String = name
        .chars()
        .take(255)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// What may stand in a comment without escape (RFC 5322 §3.2.2).
fn comment(text: &str) -> String {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '(' | ')' | '\\');
    text.chars().take(255).map(|c| if plain(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Retrieval, received_line};
    use crate::types::Time;

    #[test]
    fn says_where_how_and_when() {
        let retrieval = Retrieval {
            server: "pop.example.com",
            address: Some("192.0.2.7".parse().unwrap()),
            host: "laptop",
            version: "0.1.0",
            account: "work",
            time: Time(0),
        };
        assert_eq!(
            String::from_utf8(received_line(&retrieval)).unwrap(),
            "Received: from pop.example.com ([192.0.2.7]) by laptop\n\twith POP3 (popfetch 0.1.0, account work);\n\t\
             Thu, 01 Jan 1970 00:00:00 +0000\n"
        );
    }

    #[test]
    fn no_name_breaks_out_of_it() {
        let retrieval = Retrieval {
            server: "2001:db8::1",
            address: Some("2001:db8::1".parse().unwrap()),
            host: "a b\r\n\r\nX: y",
            version: "1",
            account: "(\\)\n\nBcc: x\u{e9}\u{7f}",
            time: Time(0),
        };
        assert_eq!(
            String::from_utf8(received_line(&retrieval)).unwrap(),
            "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1]) by a_b____X__y\n\t\
             with POP3 (popfetch 1, account ?????Bcc: x??);\n\tThu, 01 Jan 1970 00:00:00 +0000\n"
        );
        let nameless = Retrieval { host: "", address: None, ..retrieval };
        assert!(received_line(&nameless).starts_with(b"Received: from [IPv6:2001:db8::1] by unknown\n"));
    }
}
