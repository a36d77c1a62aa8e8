//! CRAM-MD5 (RFC 2195): `user SP hex(HMAC-MD5(password, challenge))`.  It doesn't prove who the server is, and anyone
//! who listens can guess at the password at leisure.

use super::credentials::{Credentials, joined};
use super::{SaslError, digest};
use crate::protocol::redact::Redactor;
use crate::secret::Secret;

pub(super) struct Cram {
    user: String,
    /// Gone when it has been used.
    password: Option<Secret>,
}

impl Cram {
    pub(super) fn new(credentials: &Credentials<'_>) -> Self {
        Self { user: credentials.user.to_owned(), password: Some(credentials.secret.clone()) }
    }

    pub(super) fn answer(&mut self, challenge: &[u8], redactor: &mut Redactor) -> Result<Secret, SaslError> {
        let password = self.password.take().ok_or(SaslError::Unexpected)?;
        let digest = digest::hmac_md5_hex(&password, challenge);
        redactor.hide(&digest);
        Ok(joined(&[self.user.as_bytes(), b" ", digest.expose()]))
    }

    pub(super) fn is_complete(&self) -> bool {
        self.password.is_none()
    }
}
