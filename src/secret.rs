//! A value that is never shown: no `Display`, no `Serialize`, `Debug` prints `[redacted]` in every build, and its
//! memory is wiped when the last clone goes.  Clones share it.  Whatever is made from it (a command's line, its base64, the
//! words that the redactor looks for) is a `Secret` of its own, and wiped too.
//!
//! Two kinds of copies are not wiped.  A parser makes some before the value is a `Secret` (a TOML string with
//! escapes, an argument of the command line).  The kernel and the TLS library make others on the way out.

use std::sync::Arc;

use zeroize::Zeroizing;

/// Octets of a password or token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Takes the octets in.
    #[must_use]
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Zeroizing::new(octets.into())))
    }

    /// The octets.  Every caller of this is a place to review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::new("tanstaaf"))), "Some([redacted])");
    }
}
