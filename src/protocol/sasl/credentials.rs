//! What every mechanism begins with: who logs in, the channel, a nonce.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;

/// What a SCRAM client states about channel binding (RFC 5802 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelBinding {
    /// `n`: the client can't, or isn't to.
    Unused,
    /// `y`: the client could, but the server offers no -PLUS.  A server that did offer it now knows that it was stripped.
    NotOffered,
    /// `p`: a -PLUS mechanism.
    Used,
}

/// Who logs in, where, and with what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credentials<'a> {
    /// The user's name at the server.
    pub user: &'a str,
    /// The password, or the token of the OAuth mechanisms.
    pub secret: &'a Secret,
    /// The server's host, as configured: an A-label without final dot, or an address literal without brackets.
    pub host: &'a str,
    /// The server's TCP port, as configured.
    pub port: u16,
}

/// Data that identify the TLS channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding<'a> {
    /// The registered name of its kind, such as [`Binding::END_POINT`].
    pub name: &'a str,
    /// The data.
    pub octets: &'a [u8],
}

impl Binding<'_> {
    /// A digest of the server's certificate (RFC 5929 §4).
    pub(crate) const END_POINT: &'static str = "tls-server-end-point";
}

/// A client nonce: printable, without a comma, not to be guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nonce(pub(super) String);

impl Nonce {
    /// From random octets.
    #[must_use]
    pub(crate) fn new(random: [u8; 18]) -> Self {
        Self(STANDARD.encode(random))
    }
}

/// The parts as one, without a copy of them left behind in memory that was outgrown.
pub(super) fn joined(parts: &[&[u8]]) -> Secret {
    Secret::new(parts.concat())
}
