//! What TLS needs before there is a server: certificate authorities, a certificate of our own, and the connectors made
//! of them, each once.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use native_tls::{Certificate, Identity, Protocol, TlsConnector};

use super::error::{TrustProblem, plain, reason};
use crate::access;
use crate::account::Trust;
use crate::secret::Secret;

/// One TLS connector for each set of trust settings, built when it is first needed: each reads the system's
/// certificate authorities, which takes some 50 ms and 5 MiB.  (native-tls reads them even where it then uses none.)
/// Clones share what they hold; what a file held at first is what counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connectors(Arc<Mutex<HashMap<Trust, ConnectorSlot>>>);

type ConnectorSlot = Arc<OnceLock<Result<TlsConnector, TrustProblem>>>;

impl Connectors {
    /// None yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The connector for these settings; a caller that comes while it is being built waits for it.
    pub(super) fn get(&self, trust: &Trust) -> Result<TlsConnector, TrustProblem> {
        self.slot(trust).get_or_init(|| build(trust)).clone()
    }

    /// Begins to build it on another thread, if it is not there already.
    pub(super) fn warm(&self, trust: &Trust) {
        let slot = self.slot(trust);
        if slot.get().is_none() {
            let trust = trust.clone();
            let work = move || {
                slot.get_or_init(|| build(&trust));
            };
            // Without a thread it is built when it is needed.
            let _ = thread::Builder::new().name("trust".to_owned()).spawn(work);
        }
    }

    fn slot(&self, trust: &Trust) -> ConnectorSlot {
        // A panic elsewhere cannot have left the map half changed.
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(trust.clone()).or_default())
    }
}

fn build(trust: &Trust) -> Result<TlsConnector, TrustProblem> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    // Names are checked by `check_name` after the handshake, more strictly than OpenSSL would.
    builder.danger_accept_invalid_hostnames(true);
    if !trust.fingerprints.is_empty() {
        // The pinned fingerprint is compared after the handshake, in place of everything else.
        builder.danger_accept_invalid_certs(true).disable_built_in_roots(true);
    } else if let Some(path) = &trust.ca_file {
        for authority in certificates(AUTHORITIES, path, read(AUTHORITIES, path, open_to_all)?.expose())? {
            builder.add_root_certificate(authority);
        }
    }
    if let Some((chain, key)) = &trust.client_certificate {
        builder.identity(identity(chain, key)?);
    }
    builder.build().map_err(|error| {
        // What is left to fail here is a certificate that does not go with its key.
        let path = trust.client_certificate.as_ref().map_or(Path::new(""), |(_, key)| key.as_path());
        problem(KEY, path, &reason(&error.to_string()), None)
    })
}

const AUTHORITIES: &str = "ca-file";
const CHAIN: &str = "tls-client-certificate";
const KEY: &str = "tls-client-key";

fn identity(chain: &Path, key: &Path) -> Result<Identity, TrustProblem> {
    let pem = read(CHAIN, chain, open_to_all)?;
    certificates(CHAIN, chain, pem.expose())?;
    let secret = read(KEY, key, |path, metadata| access::check_private(path, metadata, None))?;
    Identity::from_pkcs8(pem.expose(), private_key(secret.expose())).map_err(|error| {
        let mut to = key.as_os_str().to_owned();
        to.push(".pkcs8");
        let (from, to) = (access::shell_word(key), access::shell_word(Path::new(&to)));
        let convert = format!("convert it: openssl pkcs8 -topk8 -nocrypt -in {from} -out {to}");
        problem(KEY, key, &reason(&error.to_string()), Some(convert))
    })
}

/// The private key in a PEM file, which may hold the certificate too; all of the file where there is none.
fn private_key(pem: &[u8]) -> &[u8] {
    let at = |text: &[u8], label: &[u8]| text.windows(label.len()).position(|octets| octets == label);
    let (begin, end) = (b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----");
    let key = at(pem, begin).and_then(|start| pem.get(start..));
    key.and_then(|key| key.get(..at(key, end)? + end.len())).unwrap_or(pem)
}

fn certificates(setting: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<Certificate>, TrustProblem> {
    match Certificate::stack_from_pem(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(problem(setting, path, "it holds no certificate in PEM form", None)),
        Err(error) => Err(problem(setting, path, &reason(&error.to_string()), None)),
    }
}

/// Octets of a file at most: the authorities of the whole world have less than one million.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Everybody may read it, but no other user may change what we trust.
fn open_to_all(path: &Path, _: &Metadata) -> Result<(), access::Error> {
    access::check_path(path)
}

fn read(
    setting: &'static str,
    path: &Path,
    check: impl FnOnce(&Path, &Metadata) -> Result<(), access::Error>,
) -> Result<Secret, TrustProblem> {
    let unreadable = |error: io::Error| {
        problem(
            setting,
            path,
            &plain(&error),
            Some(format!("check the path that `{setting}` gives, and that this user can read it")),
        )
    };
    let (file, metadata) = access::open_regular(path).map_err(unreadable)?;
    check(path, &metadata).map_err(|e| problem(setting, path, &e.what, Some(e.hint)))?;
    let content = access::contents(&file, &metadata, LARGEST).map_err(unreadable)?;
    content.ok_or_else(|| problem(setting, path, "it is larger than 16 MiB", None))
}

fn problem(setting: &'static str, path: &Path, reason: &str, hint: Option<String>) -> TrustProblem {
    TrustProblem { setting, path: path.to_owned(), reason: reason.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Connectors, Trust};

    #[test]
    fn accounts_with_the_same_trust_share_a_connector() {
        let connectors = Connectors::new();
        let (one, other) = (Trust::default(), Trust { fingerprints: vec![[1; 32]], ..Trust::default() });
        assert!(Arc::ptr_eq(&connectors.slot(&one), &connectors.clone().slot(&one)));
        assert!(!Arc::ptr_eq(&connectors.slot(&one), &connectors.slot(&other)));
        connectors.warm(&other);
        assert!(connectors.get(&other).is_ok());
        assert!(connectors.slot(&other).get().is_some() && connectors.slot(&one).get().is_none());
    }
}
