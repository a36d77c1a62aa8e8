//! Goes the way to a server, whichever it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::connect_command::RunningProgram;
use super::dial::{Goal, dial};
use super::error::{Error, plain};
use super::proxy;
use super::route_problem::RouteProblem;
use super::socket::Socket;
use super::target::{Target, server};
use crate::account::{Endpoint, Route, Way};
use crate::signals::Stop;

/// A stream to a server.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) socket: Socket,
    /// The address that it ends at, where we have chosen it.
    pub(super) peer: Option<SocketAddr>,
    /// The program that it goes through.
    pub(super) command: Option<RunningProgram>,
}

/// Goes the way to the target.  `waiting` is called once at most, if and when there is something to wait for.
///
/// # Errors
/// When it can't be gone, or a signal came.
pub(super) fn go(target: &Target<'_>, stop: &Stop, waiting: impl FnOnce()) -> Result<Dialled, Error> {
    let limit = target.timeout / 2;
    let Way { route, source_addresses } = target.way;
    let goal = |host, port| Goal { host, port, source: source_addresses, limit, without: target.without };
    match route {
        Route::Direct => tcp(dial(&goal(target.host, target.port), stop, waiting)?),
        Route::ConnectTo(Endpoint { host, port }) => tcp(dial(&goal(host, *port), stop, waiting)?),
        Route::Proxy(by) => {
            let socket = proxy::through(by, target, stop, waiting)?;
            Ok(Dialled { socket, peer: None, command: None })
        }
        Route::Socket(path) => {
            waiting();
            let connected = Socket::connect(path, limit, stop);
            let socket = connected.map_err(|e| no_socket(path, target, stop, &e))?;
            Ok(Dialled { socket, peer: None, command: None })
        }
        Route::Command(command) => {
            let (socket, command) = RunningProgram::start(command, target, stop)?;
            waiting();
            Ok(Dialled { socket: Socket::Unix(socket), peer: None, command: Some(command) })
        }
    }
}

fn tcp((socket, peer): (std::net::TcpStream, SocketAddr)) -> Result<Dialled, Error> {
    Ok(Dialled { socket: Socket::Tcp(socket), peer: Some(peer), command: None })
}

fn no_socket(path: &Path, target: &Target<'_>, stop: &Stop, error: &io::Error) -> Error {
    if stop.raised() {
        return Error::Stopped { server: server(target) };
    }
    let forbidden = error.kind() == io::ErrorKind::PermissionDenied;
    RouteProblem::NoSocket { path: path.to_owned(), reason: plain(error), forbidden }.into()
}

/// Goes it again, for a second look: to the address that was reached before, or the same way.  A program isn't run again
/// for that.
pub(super) fn go_again(
    target: &Target<'_>,
    peer: Option<SocketAddr>,
    limit: Duration,
    stop: &Stop,
) -> Option<Socket> {
    let literal;
    let again = Target { timeout: limit, without: &[], ..*target };
    let again = match (&target.way.route, peer) {
        (Route::Command(_), _) => return None,
        (Route::Direct | Route::ConnectTo(_), Some(peer)) => {
            let (host, port) = (peer.ip().to_string(), peer.port());
            let source_addresses = target.way.source_addresses.clone();
            literal = Way { route: Route::ConnectTo(Endpoint { host, port }), source_addresses };
            Target { way: &literal, ..again }
        }
        _ => again,
    };
    go(&again, stop, || {}).ok().map(|dialled| dialled.socket)
}

/// Whether what is sent to `host` in clear text stays on this machine: by a Unix socket; or where the user has named this
/// machine, by a loopback address, or as `localhost` (RFC 6761 §6.3), and `peer` is on it.  Any other name that leads here
/// belongs to the name server: the name may lead elsewhere the next time.  And whatever stands on this machine to pass
/// things on, a proxy, a program, the end of a tunnel, passes them on to elsewhere.
pub(super) fn stays_here(route: &Route, host: &str, peer: Option<SocketAddr>) -> bool {
    let named = || host.parse().map_or_else(|_| host.eq_ignore_ascii_case("localhost"), is_loopback);
    match route {
        Route::Direct => named() && peer.is_some_and(|peer| is_loopback(peer.ip())),
        Route::Socket(_) => true,
        Route::Proxy(_) | Route::Command(_) | Route::ConnectTo(_) => false,
    }
}

/// `::ffff:127.0.0.1` is loopback, too.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::stays_here;
    use crate::account::{ConnectCommand, Endpoint, Proxy, ProxyAddress, ProxyKind, Route};

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
            assert_eq!(
                stays_here(&Route::Direct, host, Some(peer.parse().unwrap())),
                stays,
                "{host} at {peer}"
            );
        }
    }

    #[test]
    fn what_passes_things_on_never_stays_here() {
        let here = Endpoint { host: "127.0.0.1".to_owned(), port: 110 };
        let proxy = |kind, address| Route::Proxy(Proxy { kind, address, login: None });
        for route in [
            proxy(ProxyKind::Socks5, ProxyAddress::Tcp(here.clone())),
            proxy(ProxyKind::Socks5, ProxyAddress::Unix("/run/tor".into())),
            proxy(ProxyKind::Http, ProxyAddress::Tcp(here.clone())),
            Route::Command(ConnectCommand::Shell("nc localhost 110".to_owned())),
            Route::ConnectTo(here),
        ] {
            for host in ["localhost", "127.0.0.1", "::1", "pop.example.com"] {
                for peer in [None, Some("127.0.0.1:110".parse().unwrap())] {
                    assert!(!stays_here(&route, host, peer), "{route:?} {host}");
                }
            }
        }
        assert!(stays_here(&Route::Socket("/run/pop3".into()), "pop.example.com", None));
    }
}
