//! A password or token as programs print it and files hold it: the first line.

use super::netrc::BYTE_ORDER_MARK;
use crate::secret::Secret;

/// Octets of a password or token at most; OAuth tokens have a few thousand.
pub(super) const LONGEST: u64 = 64 * 1024;

/// The first line, without its end, and without a byte order mark before it, which some editors put there unseen.
pub(super) fn first_line(octets: &[u8]) -> Secret {
    let octets = octets.strip_prefix(BYTE_ORDER_MARK).unwrap_or(octets);
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    Secret::new(line.strip_suffix(b"\r").unwrap_or(line))
}
