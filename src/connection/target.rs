//! Where to connect, and how.

use std::net::SocketAddr;
use std::time::Duration;

use crate::access::Owner;
use crate::account::{Endpoint, Tls, Trust, Way};

/// Where to connect, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// An A-label without final dot, or an address literal without brackets.
    pub host: &'a str,
    pub port: u16,
    pub way: &'a Way,
    /// With whose rights a connect-command runs, where root fetches mail for a user.
    pub owner: Option<&'a Owner>,
    /// Whether TLS begins with the first octet, when [`Connection::starttls`] is called, or never.
    pub tls: Tls,
    /// Which servers TLS trusts, and what it shows them.
    pub trust: &'a Trust,
    /// For the TLS handshake; half of it for the look-up and for each address.
    pub timeout: Duration,
    /// Addresses that are not tried: they took a connection, and ended it.
    pub without: &'a [SocketAddr],
}

/// `host:port`, an IPv6 literal in brackets.
pub(super) fn server(target: &Target<'_>) -> String {
    Endpoint { host: target.host.to_owned(), port: target.port }.to_string()
}
