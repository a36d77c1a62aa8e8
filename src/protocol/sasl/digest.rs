//! Digests and message authentication codes.  The one file that names the packages they come from, for the SASL
//! mechanisms and for APOP.
//!
//! Everything that leaves here is a [`Secret`]: it's derived from a password.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroize as _;

use crate::secret::Secret;

/// The hash function of a SCRAM mechanism (H in RFC 5802).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SHA-1 (RFC 5802).
    Sha1,
    /// SHA-256 (RFC 7677).
    Sha256,
}

impl Hash {
    /// H(octets).
    pub(super) fn digest(self, octets: &[u8]) -> Secret {
        match self {
            Self::Sha1 => kept(Sha1::digest(octets)),
            Self::Sha256 => kept(Sha256::digest(octets)),
        }
    }

    pub(super) fn hmac(self, key: &Secret, message: &[u8]) -> Secret {
        match self {
            Self::Sha1 => kept(keyed::<Hmac<Sha1>>(key).chain_update(message).finalize().into_bytes()),
            Self::Sha256 => kept(keyed::<Hmac<Sha256>>(key).chain_update(message).finalize().into_bytes()),
        }
    }

    /// Whether `tag` is HMAC(key, message), found out in a time that doesn't depend on where they differ.
    pub(super) fn verify(self, key: &Secret, message: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha1 => keyed::<Hmac<Sha1>>(key).chain_update(message).verify_slice(tag).is_ok(),
            Self::Sha256 => keyed::<Hmac<Sha256>>(key).chain_update(message).verify_slice(tag).is_ok(),
        }
    }

    /// Hi(password, salt, rounds): PBKDF2 with one block of output.
    pub(super) fn pbkdf2(self, password: &Secret, salt: &[u8], rounds: u32) -> Secret {
        let password = password.expose();
        match self {
            Self::Sha1 => kept(pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password, salt, rounds)),
            Self::Sha256 => kept(pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, rounds)),
        }
    }
}

/// Lower-case hexadecimal digits of MD5(first ‖ second).
pub(in crate::protocol) fn md5_hex(first: &[u8], second: &[u8]) -> Secret {
    hex(&kept(Md5::new_with_prefix(first).chain_update(second).finalize()))
}

/// Lower-case hexadecimal digits of HMAC-MD5(key, message).
pub(super) fn hmac_md5_hex(key: &Secret, message: &[u8]) -> Secret {
    hex(&kept(keyed::<Hmac<Md5>>(key).chain_update(message).finalize().into_bytes()))
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes a key of any length (RFC 2104 §2); the Result is the trait's"
)]
fn keyed<M: Mac + KeyInit>(key: &Secret) -> M {
    <M as Mac>::new_from_slice(key.expose()).expect("HMAC takes a key of any length")
}

fn kept(mut digest: impl AsMut<[u8]>) -> Secret {
    let secret = Secret::new(&*digest.as_mut());
    digest.as_mut().zeroize();
    secret
}

fn hex(octets: &Secret) -> Secret {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    let digits: Vec<u8> = octets.expose().iter().flat_map(|o| [digit(o >> 4), digit(o & 15)]).collect();
    Secret::new(digits)
}

#[cfg(test)]
mod tests {
    use super::{Hash, Secret, hmac_md5_hex, md5_hex};

    #[test]
    fn md5_of_rfc_1321() {
        assert_eq!(md5_hex(b"", b"").expose(), b"d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_hex(b"message ", b"digest").expose(), b"f96b697d7cb7938d525a2f31aaf161d0");
    }

    #[test]
    fn hmac_of_rfc_2202() {
        let key = Secret::new("Jefe");
        let message = b"what do ya want for nothing?";
        assert_eq!(hmac_md5_hex(&key, message).expose(), b"750c783e6ab0b503eaa86e310a5db738");
        let mut tag = Hash::Sha1.hmac(&key, message).expose().to_vec();
        assert!(Hash::Sha1.verify(&key, message, &tag));
        assert!(!Hash::Sha1.verify(&key, message, &tag[..19]));
        tag[0] ^= 1;
        assert!(!Hash::Sha1.verify(&key, message, &tag));
    }
}
