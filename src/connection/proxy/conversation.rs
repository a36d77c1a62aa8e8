//! What both kinds of conversation wait for, and how they fail.

use crate::secret::Secret;

/// At most this many octets of what is not a proxy's answer are reported.
const KEPT: usize = 80;

/// What a conversation waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextStep {
    /// That this is sent.
    Send(Secret),
    /// Octets of the proxy.
    Answer,
    /// Nothing: the proxy has connected.
    Done,
}

/// Why a conversation has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProxyFailure {
    /// This isn't a proxy of that kind.
    NotAProxy(Vec<u8>),
    /// More octets than an answer may have.
    TooLong,
    /// It wants a user and a password, or others.
    Login,
    /// It wants a login of these kinds.
    OtherLogin(Vec<u8>),
    /// Its rules forbid it.
    Forbids(Vec<u8>),
    /// It tried and failed.
    CannotReach(Vec<u8>),
    /// It makes no such connections.
    NoConnections(Vec<u8>),
}

/// The failure for octets that are not an answer, with their beginning.
pub(super) fn not_a_proxy(said: &[u8]) -> ProxyFailure {
    ProxyFailure::NotAProxy(said.get(..KEPT).unwrap_or(said).to_vec())
}
