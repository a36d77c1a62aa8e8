//! The mechanisms that send the password as it is: PLAIN (RFC 4616) and LOGIN (an expired draft).  Inside TLS only,
//! unless the user sets otherwise; that is decided in `auth`.

use super::credentials::{Credentials, joined};
use super::{SaslError, SaslText};
use crate::secret::Secret;

/// PLAIN's only message: no authorization identity, then user and password.
pub(super) fn message(credentials: &Credentials<'_>) -> Result<Secret, SaslError> {
    let password = credentials.secret.expose();
    // RFC 4616 §2: UTF-8.  Neither text holds a NUL: that was checked before.
    std::str::from_utf8(password).map_err(|_| SaslError::NotUtf8(SaslText::Secret))?;
    Ok(joined(&[b"\0", credentials.user.as_bytes(), b"\0", password]))
}

/// LOGIN: two challenges, answered by position; their text varies between servers.
pub(super) struct LoginSteps {
    /// What is still to be sent, the last first.
    answers: Vec<Secret>,
}

impl LoginSteps {
    pub(super) fn new(credentials: &Credentials<'_>) -> Self {
        Self { answers: vec![credentials.secret.clone(), Secret::new(credentials.user)] }
    }

    pub(super) fn answer(&mut self) -> Result<Secret, SaslError> {
        self.answers.pop().ok_or(SaslError::Unexpected)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.answers.is_empty()
    }
}
