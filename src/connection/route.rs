//! The way to a server.  Today only the direct one; a proxy or a connect command is another variant here, and perhaps another
//! kind of [`Socket`].

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use super::Target;
use super::dial::dial;
use super::error::Error;
use super::socket::Socket;
use crate::signals::Stop;

/// The way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// TCP to one of the server's own addresses.
    Direct,
}

/// A stream to a server, and the address that it ends at.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) socket: Socket,
    pub(super) peer: SocketAddr,
}

impl Route {
    /// Goes it.  `waiting` is called once, if and when there is something to wait for.
    pub(super) fn dial(
        self,
        target: &Target<'_>,
        stop: &Stop,
        waiting: impl FnOnce(),
    ) -> Result<Dialled, Error> {
        match self {
            Self::Direct => {
                let (socket, peer) = dial(target, stop, waiting)?;
                Ok(Dialled { socket: Socket::Tcp(socket), peer })
            }
        }
    }

    /// Goes it again, to an address that was reached before.
    pub(super) fn dial_again(self, peer: SocketAddr, limit: Duration) -> Option<Socket> {
        match self {
            Self::Direct => {
                let socket = TcpStream::connect_timeout(&peer, limit).ok()?;
                socket.set_nonblocking(true).ok()?;
                Some(Socket::Tcp(socket))
            }
        }
    }

    /// Whether what is sent to `host` in clear text, and went to `peer`, stays on this machine: only where the user has named
    /// this machine, by a loopback address, or as `localhost` (RFC 6761 §6.3).  Any other name that leads here belongs to
    /// the name server: the name may lead elsewhere the next time.
    pub(super) fn stays_here(self, host: &str, peer: SocketAddr) -> bool {
        let named = host.parse().map_or_else(|_| host.eq_ignore_ascii_case("localhost"), is_loopback);
        match self {
            Self::Direct => named && is_loopback(peer.ip()),
        }
    }
}

/// `::ffff:127.0.0.1` is loopback, too.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn only_a_loopback_address_that_the_user_has_named_stays_here() {
        for (host, peer, stays) in [
            ("localhost", "127.0.0.1:110", true),
            ("LOCALHOST", "[::1]:110", true),
            ("127.0.0.1", "127.0.0.1:110", true),
            ("127.1.2.3", "127.1.2.3:110", true),
            ("::1", "[::1]:110", true),
            ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:110", true),
            ("localhost", "192.0.2.1:110", false),
            ("127.0.0.1", "192.0.2.1:110", false),
            ("pop.example.com", "127.0.0.1:110", false),
            ("localhost.example.com", "127.0.0.1:110", false),
            ("localhost.localdomain", "127.0.0.1:110", false),
            ("192.0.2.1", "127.0.0.1:110", false),
            ("::ffff:192.0.2.1", "[::ffff:192.0.2.1]:110", false),
        ] {
            assert_eq!(Route::Direct.stays_here(host, peer.parse().unwrap()), stays, "{host} at {peer}");
        }
    }
}
