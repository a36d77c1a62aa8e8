//! Whether a certificate is for the server that was meant (RFC 9525; RFC 7817 §3), and what its fingerprint is.
//!
//! OpenSSL has checked chain, dates and purpose before this, and, where nothing is pinned, the name too; but it falls
//! back to the common name, and keeps the names that it has seen to itself.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::text;

/// Names shown in an error message, at most.
const SHOWN: usize = 10;

/// A name that a certificate gives for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name<'a> {
    Dns(&'a str),
    Address(IpAddr),
}

/// The fingerprint by which a leaf is pinned: SHA-256 of its DER.
pub(super) fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// What people can be shown of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateSummary {
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// The first and the last day of its validity, where they can be read.
    pub days: Option<(String, String)>,
    /// The servers that it is for, fit to print: the first ten, and how many there are beyond them.
    pub names: Vec<String>,
    /// The authority that vouches for it, fit to print: its common name, and the organization's.
    pub issuer: Option<String>,
}

impl CertificateSummary {
    /// Of a leaf in DER.
    #[must_use]
    pub(crate) fn of(der: &[u8]) -> Self {
        let day = |time: &ASN1Time| time.to_datetime().date().to_string();
        let mut seen = Self { fingerprint: fingerprint(der), days: None, names: Vec::new(), issuer: None };
        if let Ok((_, leaf)) = X509Certificate::from_der(der) {
            let validity = leaf.validity();
            seen.days = Some((day(&validity.not_before), day(&validity.not_after)));
            seen.names = names(&leaf).map(|names| shown(&names)).unwrap_or_default();
            let issuer = leaf.issuer();
            let words = issuer.iter_common_name().take(1).chain(issuer.iter_organization().take(1));
            let words: Vec<String> = words.map(|name| text::printable(name.attr_value().data)).collect();
            seen.issuer = Some(words.join(", ")).filter(|words| !words.is_empty());
        }
        seen
    }
}

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CertificateProblem {
    /// Nobody but itself vouches for it, or for the authority above it.
    SelfSigned,
    /// Its issuer is not trusted, or the server sent an incomplete chain.
    UnknownIssuer,
    /// Its time is over, or that of an authority above it.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is for other names.
    WrongName {
        /// What the configuration calls the server.
        host: String,
        /// What the certificate does, made printable.
        names: Vec<String>,
    },
    /// It has no name where names count (RFC 9525 §2).
    CommonNameOnly {
        /// Its common name, made printable.
        common_name: Option<String>,
    },
    /// It is not one of those that were pinned.
    Fingerprint {
        /// SHA-256 of its DER.
        seen: [u8; 32],
    },
    /// It cannot be parsed.
    Unreadable,
    /// Anything else, in the TLS library's words.
    Other(String),
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned => {
                f.write_str("it is self-signed, or signed by an authority that is not trusted here")
            }
            Self::UnknownIssuer => f.write_str("its issuer is unknown here"),
            Self::Expired => f.write_str("it has expired, or an authority above it has"),
            Self::NotYetValid => f.write_str("it is not valid yet"),
            Self::WrongName { host, names } => {
                write!(f, "it is not for {host} but for {}", names.join(", "))
            }
            Self::CommonNameOnly { common_name: Some(name) } => {
                write!(f, "it has no subjectAltName for a server; its common name \"{name}\" does not count")
            }
            Self::CommonNameOnly { common_name: None } => f.write_str("it names no server at all"),
            Self::Fingerprint { seen } => {
                write!(f, "its fingerprint is sha256:{}, which is not pinned", text::hex(seen))
            }
            Self::Unreadable => f.write_str("it cannot be read"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for CertificateSummary {
    /// In whole lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((first, last)) = &self.days {
            writeln!(f, "it is valid from {first} to {last}")?;
        }
        writeln!(
            f,
            "to trust just this certificate: tls-fingerprint = \"sha256:{}\"",
            text::hex(&self.fingerprint)
        )
    }
}

impl CertificateProblem {
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::SelfSigned | Self::UnknownIssuer => {
                "name its authority's certificate with `ca-file`, or pin this very one with `tls-fingerprint` after comparing it with the server's operator"
            }
            Self::Expired | Self::NotYetValid => {
                "check this computer's clock; if it is right, the server's certificate has to be renewed"
            }
            Self::WrongName { .. } => "set `server` to the name that your provider gives for it",
            Self::CommonNameOnly { .. } => {
                "the server's certificate has to be renewed with a subjectAltName; until then `tls-fingerprint` can pin it"
            }
            Self::Fingerprint { .. } => {
                "if the server's operator confirms the new certificate, set `tls-fingerprint` to it; otherwise the connection may be intercepted"
            }
            Self::Unreadable | Self::Other(_) => "the server's certificate has to be replaced",
        }
    }
}

/// Checks that the leaf is for `host`: an A-label without final dot, or an address literal.
pub(super) fn check_name(der: &[u8], host: &str) -> Result<(), CertificateProblem> {
    let Ok((_, leaf)) = X509Certificate::from_der(der) else {
        return Err(CertificateProblem::Unreadable);
    };
    let Some(names) = names(&leaf) else {
        return Err(CertificateProblem::Unreadable);
    };
    if names.is_empty() {
        let common_name = leaf.subject().iter_common_name().next();
        let common_name = common_name.map(|name| text::printable(name.attr_value().data));
        return Err(CertificateProblem::CommonNameOnly { common_name });
    }
    if names.iter().any(|name| name.is_for(host)) {
        return Ok(());
    }
    Err(CertificateProblem::WrongName { host: host.to_owned(), names: shown(&names) })
}

/// The names that a leaf gives for servers; `None` where they cannot be read.
fn names<'a>(leaf: &'a X509Certificate<'_>) -> Option<Vec<Name<'a>>> {
    let alternatives = leaf.subject_alternative_name().ok()?;
    let alternatives =
        alternatives.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    Some(alternatives.iter().filter_map(Name::of).collect())
}

/// Names for an error message or a table.
fn shown(names: &[Name<'_>]) -> Vec<String> {
    let mut shown: Vec<_> = names.iter().take(SHOWN).map(Name::show).collect();
    if let Some(more) = names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        shown.push(format!("{more} more"));
    }
    shown
}

impl<'a> Name<'a> {
    /// The kinds that name a server by host; mail addresses, URIs and the rest don't count here.
    fn of(entry: &GeneralName<'a>) -> Option<Self> {
        match entry {
            GeneralName::DNSName(name) => Some(Self::Dns(name)),
            GeneralName::IPAddress(octets) => address(octets).map(Self::Address),
            _ => None,
        }
    }

    /// An address is compared with addresses only, a name with names only (RFC 9525 §6.3, §6.5).
    fn is_for(&self, host: &str) -> bool {
        match (self, host.parse::<IpAddr>()) {
            (Self::Address(address), Ok(host)) => *address == host,
            (Self::Dns(pattern), Err(_)) => covers(pattern, host),
            (Self::Address(_), Err(_)) | (Self::Dns(_), Ok(_)) => false,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Dns(name) => text::printable(name.as_bytes()),
            Self::Address(address) => address.to_string(),
        }
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

/// Whether a dNSName covers a host: equal but for case, or `*` as the whole left-most label in the place of exactly one
/// (RFC 9525 §6.3).  At least two labels must follow the `*`: no certificate is for all of `com`.
fn covers(pattern: &str, host: &str) -> bool {
    let Some(parent) = pattern.strip_prefix("*.") else {
        return !pattern.contains('*') && pattern.eq_ignore_ascii_case(host);
    };
    let Some((label, rest)) = host.split_once('.') else {
        return false;
    };
    !label.is_empty() && parent.contains('.') && !parent.contains('*') && parent.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType};

    use super::{check_name, covers};
    use crate::connection::certificate::CertificateProblem;

    fn certificate(names: &[&str], common_name: &str) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn certificate_names() {
        let cases = [
            // pattern, host, covered
            ("pop.example.com", "pop.example.com", true),
            ("POP.Example.COM", "pop.example.com", true),
            ("pop.example.com", "POP.Example.COM", true),
            ("pop.example.com", "pop.example.org", false),
            ("example.com", "pop.example.com", false),
            ("*.example.com", "pop.example.com", true),
            ("*.example.com", "a.pop.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.*.x", "a.b.x", false),
            ("*.*.example.com", "a.b.example.com", false),
            ("f*.x", "foo.x", false),
            ("f*.example.com", "foo.example.com", false),
            ("*f.example.com", "of.example.com", false),
            ("pop.*.com", "pop.example.com", false),
            ("*.com", "a.b.com", false),
            ("*.com", "example.com", false),
            ("*", "localhost", false),
            ("*.", "localhost.", false),
            ("pop.example.com\0.evil.org", "pop.example.com", false),
            ("xn--e1aybc.example.com", "xn--e1aybc.example.com", true),
            ("*.example.com", "xn--e1aybc.example.com", true),
            ("xn--*.example.com", "xn--e1aybc.example.com", false),
        ];
        for (pattern, host, covered) in cases {
            assert_eq!(covers(pattern, host), covered, "{pattern} for {host}");
        }
    }

    #[test]
    fn addresses_and_names_are_never_mixed() {
        // rcgen makes iPAddress entries of address literals.
        let by_address = certificate(&["192.0.2.1", "2001:db8::1"], "pop.example.com");
        assert_eq!(check_name(&by_address, "192.0.2.1"), Ok(()));
        assert_eq!(check_name(&by_address, "2001:DB8:0::1"), Ok(()));
        let wrong = |host: &str, names: &[&str]| CertificateProblem::WrongName {
            host: host.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        for host in ["192.0.2.2", "pop.example.com"] {
            assert_eq!(check_name(&by_address, host), Err(wrong(host, &["192.0.2.1", "2001:db8::1"])));
        }
        // A dNSName that looks like an address is still a name.
        let mut params = CertificateParams::new(vec![]).unwrap();
        let dns = SanType::DnsName("192.0.2.1".try_into().unwrap());
        params.subject_alt_names.push(dns);
        let by_name = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(check_name(by_name.der(), "192.0.2.1"), Err(wrong("192.0.2.1", &["192.0.2.1"])));
    }

    #[test]
    fn a_common_name_is_no_name() {
        let only = certificate(&[], "pop.example.com");
        let common_name = Some("pop.example.com".to_owned());
        assert_eq!(
            check_name(&only, "pop.example.com"),
            Err(CertificateProblem::CommonNameOnly { common_name })
        );
        // Nor beside another name, nor beside entries that name no server.
        let beside = certificate(&["other.example.com"], "pop.example.com");
        assert!(matches!(check_name(&beside, "pop.example.com"), Err(CertificateProblem::WrongName { .. })));
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "\u{1b}[31m");
        params.subject_alt_names.push(SanType::Rfc822Name("pop@example.com".try_into().unwrap()));
        let mail = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let common_name = Some("\\x1b[31m".to_owned());
        assert_eq!(
            check_name(mail.der(), "pop.example.com"),
            Err(CertificateProblem::CommonNameOnly { common_name })
        );
    }

    #[test]
    fn many_names_are_cut_short() {
        let names: Vec<_> = (0..30).map(|n| format!("host{n}.example.com")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let Err(CertificateProblem::WrongName { names, .. }) = check_name(&certificate(&names, ""), "x")
        else {
            panic!("accepted");
        };
        assert_eq!((names.len(), names[10].as_str()), (11, "20 more"));
    }

    #[test]
    fn damaged_certificates_are_refused() {
        let mut params = CertificateParams::new(vec![]).unwrap();
        // A subjectAltName whose length runs past its end.
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0x40, 0x82]));
        let damaged = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(check_name(damaged.der(), "x"), Err(CertificateProblem::Unreadable));
        let whole = certificate(&["pop.example.com"], "x");
        for length in 0..whole.len() {
            assert!(check_name(&whole[..length], "pop.example.com").is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn a_wildcard_stands_for_one_label_only(host in "[a-z.*]{0,12}", parent in "[a-z]{1,3}\\.[a-z]{1,3}") {
            if covers(&format!("*.{parent}"), &host) {
                let label = host.strip_suffix(&format!(".{parent}")).unwrap();
                prop_assert!(!label.is_empty() && !label.contains('.'));
            }
        }
    }
}
