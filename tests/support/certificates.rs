//! An authority made for one test, and certificates from it, good or bad on purpose.

use std::path::Path;

use native_tls::{Identity, TlsAcceptor};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use sha2::Digest as _;

/// Signs what it's asked to sign.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a certificate holds.  The default is good for `localhost`, `127.0.0.1` and `::1`.
pub struct Leaf {
    /// dNSName entries, or iPAddress ones where a name is an address.
    pub names: Vec<String>,
    pub common_name: Option<String>,
    /// First and last year of its validity.
    pub years: (i32, i32),
    /// Self-signed, not by the authority.
    pub self_signed: bool,
    /// For a client's certificate.
    pub client: bool,
}

impl Default for Leaf {
    fn default() -> Self {
        Self::named(&["localhost", "127.0.0.1", "::1"])
    }
}

impl Leaf {
    pub fn named(names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { names, common_name: None, years: (2020, 2099), self_signed: false, client: false }
    }

    pub fn expired() -> Self {
        Self { years: (2019, 2020), ..Self::default() }
    }

    pub fn self_signed() -> Self {
        Self { self_signed: true, ..Self::default() }
    }

    /// No subjectAltName at all.
    pub fn common_name_only(name: &str) -> Self {
        Self { common_name: Some(name.to_owned()), ..Self::named(&[]) }
    }
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Certified {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM (PKCS #8).
    pub key: String,
    /// The certificate, in DER.
    pub der: Vec<u8>,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "popfetch test authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate in PEM: what `ca-file` takes.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes its certificate to a file.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.pem()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// A certificate with the content of `leaf`.
    pub fn issue(&self, leaf: &Leaf) -> Certified {
        let mut parameters = CertificateParams::new(leaf.names.clone()).unwrap();
        parameters.distinguished_name = DistinguishedName::new();
        if let Some(name) = &leaf.common_name {
            parameters.distinguished_name.push(DnType::CommonName, name);
        }
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(leaf.years.0, 1, 1), date_time_ymd(leaf.years.1, 1, 1));
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![match leaf.client {
            true => ExtendedKeyUsagePurpose::ClientAuth,
            false => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        parameters.use_authority_key_identifier_extension = !leaf.self_signed;
        let key = KeyPair::generate().unwrap();
        let certificate = match leaf.self_signed {
            true => parameters.self_signed(&key),
            false => parameters.signed_by(&key, &self.0),
        }
        .unwrap();
        Certified {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
        }
    }
}

impl Certified {
    /// What a server needs to speak TLS with it.
    pub fn acceptor(&self) -> TlsAcceptor {
        let identity = Identity::from_pkcs8(self.certificate.as_bytes(), self.key.as_bytes()).unwrap();
        TlsAcceptor::new(identity).unwrap()
    }

    /// The value of `tls-fingerprint`.
    pub fn fingerprint(&self) -> String {
        let digest = sha2::Sha256::digest(&self.der);
        digest.iter().fold("sha256:".to_owned(), |text, octet| format!("{text}{octet:02x}"))
    }
}

/// The host name (SNI) in the first TLS record that a client sent, if it gave one (RFC 8446 §4.1.2, RFC 6066 §3).
pub fn server_name(client_hello: &[u8]) -> Option<String> {
    let number =
        |at: usize| Some(usize::from(*client_hello.get(at)?) << 8 | usize::from(*client_hello.get(at + 1)?));
    // Record header 5, handshake header 4, version 2, random 32; then three vectors: session id, suites, compression.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(*client_hello.get(at)?);
    at += 2 + number(at)?;
    at += 1 + usize::from(*client_hello.get(at)?);
    at += 2;
    loop {
        let (kind, length) = (number(at)?, number(at + 2)?);
        if kind == 0 {
            // The list's length 2, the type 1, the name's length 2, the name.
            let name = client_hello.get(at + 9..at + 9 + number(at + 7)?)?;
            return String::from_utf8(name.to_vec()).ok();
        }
        at += 4 + length;
    }
}
