//! A provider's settings for mail programs, as an XML document (the format of Thunderbird's `autoconfig`;
//! draft-ietf-mailmaint-autoconfig): which of its servers speaks POP3, and how.

use roxmltree::{Document, Node, ParsingOptions};

use super::address::MailAddress;
use crate::account::{Tls, host};

/// Elements and texts of a document, at most.
const MOST_NODES: u32 = 5_000;

/// A server that such a document names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    /// In the form of [`host::parse`].
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    /// The user's name there.
    pub(super) user: String,
    /// Whether OAuth is the only way to log in that it names.
    pub(super) oauth_only: bool,
}

/// The first POP3 server of a document that can be used: over TLS, with a host's name.
pub(super) fn read(octets: &[u8], address: &MailAddress) -> Option<Offered> {
    let text = std::str::from_utf8(octets).ok()?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    // No DTD, and so no entities but XML's own.
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).ok()?;
    let root = document.root_element();
    if root.tag_name().name() != "clientConfig" {
        return None;
    }
    let servers = root
        .children()
        .filter(|node| node.tag_name().name() == "emailProvider")
        .flat_map(|provider| provider.children())
        .filter(|node| node.tag_name().name() == "incomingServer" && node.attribute("type") == Some("pop3"));
    servers.into_iter().find_map(|server| usable(server, address))
}

fn usable(server: Node<'_, '_>, address: &MailAddress) -> Option<Offered> {
    let tls = match value(server, "socketType")?.to_ascii_lowercase().as_str() {
        "ssl" | "tls" => Tls::Implicit,
        "starttls" => Tls::StartTls,
        _ => return None,
    };
    let host = host::parse(&filled(value(server, "hostname")?, address)).ok()?;
    let port = value(server, "port")?.parse().ok().filter(|port| *port > 0)?;
    let user = filled(value(server, "username").unwrap_or("%EMAILADDRESS%"), address);
    let ways: Vec<String> = values(server, "authentication").map(str::to_ascii_lowercase).collect();
    let oauth_only = !ways.is_empty() && ways.iter().all(|way| way == "oauth2");
    let user = Some(user).filter(|user| crate::text::is_one_line(user.as_bytes()) && !user.is_empty())?;
    Some(Offered { host, port, tls, user, oauth_only })
}

fn values<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = &'a str> {
    node.children()
        .filter(move |child| child.tag_name().name() == name)
        .filter_map(|child| child.text())
        .map(str::trim)
}

fn value<'a>(node: Node<'a, 'a>, name: &'static str) -> Option<&'a str> {
    values(node, name).next()
}

/// A value with its placeholders replaced by parts of the address.
fn filled(text: &str, address: &MailAddress) -> String {
    text.replace("%EMAILADDRESS%", address.whole())
        .replace("%EMAILLOCALPART%", address.local())
        .replace("%EMAILDOMAIN%", address.domain())
}

#[cfg(test)]
mod tests {
    use super::{Offered, read};
    use crate::account::Tls;
    use crate::discovery::address::MailAddress;

    fn document(servers: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<clientConfig version=\"1.1\"><emailProvider id=\"x\"><domain>example.com</domain>\
             {servers}</emailProvider></clientConfig>"
        )
    }

    fn server(kind: &str, host: &str, port: &str, socket: &str, more: &str) -> String {
        format!(
            "<incomingServer type=\"{kind}\"><hostname>{host}</hostname><port>{port}</port>\
             <socketType>{socket}</socketType>{more}</incomingServer>"
        )
    }

    fn found(text: &str) -> Option<Offered> {
        read(text.as_bytes(), &MailAddress::parse("anna.b@example.com").unwrap())
    }

    #[test]
    fn the_first_pop3_server_with_tls_is_taken() {
        let imap = server("imap", "imap.example.com", "993", "SSL", "");
        let plain = server("pop3", "pop.example.com", "110", "plain", "");
        let user = "<username>%EMAILLOCALPART%</username><authentication>password-cleartext</authentication>";
        let good = server("pop3", " pop.%EMAILDOMAIN% ", "995", "SSL", user);
        let stls = server("pop3", "POP.example.com.", "110", "STARTTLS", "<unknown><deep/></unknown>");
        let expected = |port, tls, user: &str| Offered {
            host: "pop.example.com".to_owned(),
            port,
            tls,
            user: user.to_owned(),
            oauth_only: false,
        };
        let text = document(&format!("{imap}{plain}{good}{stls}"));
        assert_eq!(found(&text), Some(expected(995, Tls::Implicit, "anna.b")));
        let text = document(&format!("{imap}{stls}{good}"));
        assert_eq!(found(&text), Some(expected(110, Tls::StartTls, "anna.b@example.com")));
        assert_eq!(found(&document(&format!("{imap}{plain}"))), None);
        let only = "<authentication>OAuth2</authentication>";
        assert!(found(&document(&server("pop3", "h.example", "995", "SSL", only))).unwrap().oauth_only);
        let both = format!("{only}<authentication>password-cleartext</authentication>");
        assert!(!found(&document(&server("pop3", "h.example", "995", "SSL", &both))).unwrap().oauth_only);
    }

    #[test]
    fn what_is_no_server_is_passed_over() {
        for (host, port, user) in [
            ("pop example", "995", ""),
            ("https://pop.example.com", "995", ""),
            ("", "995", ""),
            ("pop.example.com", "0", ""),
            ("pop.example.com", "99999", ""),
            ("pop.example.com", "995", "<username>a&#13;&#10;DELE 1</username>"),
            ("pop.example.com", "995", "<username> </username>"),
        ] {
            let text = document(&server("pop3", host, port, "SSL", user));
            assert_eq!(found(&text), None, "{host} {port} {user}");
        }
    }

    #[test]
    fn hostile_documents_are_refused() {
        let good = document(&server("pop3", "pop.example.com", "995", "SSL", ""));
        assert!(found(&format!("\u{feff}\n{good}")).is_some());
        let bomb = format!("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>{good}")
            .replace("<?xml version=\"1.0\"?>\n", "");
        let outside = "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><clientConfig/>";
        let many = document(&"<a/>".repeat(10_000));
        let deep = document(&format!("{}{}", "<a>".repeat(3_000), "</a>".repeat(3_000)));
        let html = "<html><body>login</body></html>";
        let other = good.replace("clientConfig", "clientconfig");
        for text in [bomb.as_str(), outside, &many, &deep, html, &other, "", "\u{0}", "<clientConfig>"] {
            assert_eq!(found(text), None, "{text:.80}");
        }
        assert_eq!(read(b"\xff\xfe<\0", &MailAddress::parse("a@b.example").unwrap()), None);
        for end in (0..good.len()).filter(|end| good.is_char_boundary(*end)) {
            assert_eq!(found(&good[..end]), None);
        }
    }
}
