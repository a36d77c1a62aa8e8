//! From a name to a TCP connection: every address is tried, in a race with staggered starts (RFC 8305).
//!
//! Knows nothing of TLS or POP3.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::error::{ConnectStep, Error, FailedAddress, plain};
use super::patience::after;
use super::poll::poll;
use super::route_problem::RouteProblem;
use crate::account::Endpoint;
use crate::signals::Stop;

/// An attempt gets this long before the next address is tried beside it (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// More addresses of one name than this are not tried: what a name server sends has a bound, too.
pub(crate) const MOST_ADDRESSES: usize = 32;

/// Where a TCP connection goes: to a server, to a proxy, to the end of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal<'a> {
    /// An A-label without final dot, or an address literal without brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// The addresses of this machine that it comes from; none leaves it to the system.
    pub(super) source: &'a [IpAddr],
    /// For the look-up, and for each address.
    pub(super) limit: Duration,
    /// Addresses that are not tried.
    pub(super) without: &'a [SocketAddr],
}

impl Goal<'_> {
    /// `HOST:PORT`.
    fn name(&self) -> String {
        Endpoint { host: self.host.to_owned(), port: self.port }.to_string()
    }
}

/// Connects; `waiting` is called once, if and when there is something to wait for.
pub(super) fn dial(
    goal: &Goal<'_>,
    stop: &Stop,
    waiting: impl FnOnce(),
) -> Result<(TcpStream, SocketAddr), Error> {
    goal.source.iter().try_for_each(|source| check_source(*source))?;
    let mut addresses = addresses(goal, stop)?;
    addresses.retain(|address| !goal.without.contains(address));
    race(&interleave(addresses), goal.source, goal.limit, stop, waiting).map_err(|lost| match lost {
        Lost::Refused(attempts) => Error::Connect { server: goal.name(), attempts },
        Lost::Stopped => Error::Stopped { server: goal.name() },
        Lost::Local(source) => Error::Local { action: "wait for a connection", source },
    })
}

/// That a source address is one of ours: no way leads from another one.
fn check_source(address: IpAddr) -> Result<(), Error> {
    match bound(address) {
        Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => {
            Err(RouteProblem::SourceAddress { address }.into())
        }
        Err(source) => Err(Error::Local { action: "use source-address", source }),
        Ok(_) => Ok(()),
    }
}

/// A socket that is bound to this address, at any port.
fn bound(address: IpAddr) -> io::Result<OwnedFd> {
    let socket = new_socket(address.is_ipv4())?;
    rustix::net::bind(&socket, &SocketAddr::new(address, 0))?;
    Ok(socket)
}

/// The addresses of the goal, as the system sorts them (RFC 6724).
fn addresses(goal: &Goal<'_>, stop: &Stop) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = goal.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, goal.port)]);
    }
    let (name, port) = (goal.host.to_owned(), goal.port);
    look_up(goal, stop, move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect))
}

/// Runs the resolver, which cannot be interrupted, in a thread of its own, which is left behind if it is too slow.
fn look_up(
    goal: &Goal<'_>,
    stop: &Stop,
    resolver: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>, Error> {
    let local = |source| Error::Local { action: "start looking up a name", source };
    let until = after(Instant::now(), goal.limit);
    let (ours, theirs) = UnixStream::pair().map_err(local)?;
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        // Nobody listens any more if the resolver was too slow.
        let _ = sender.send(resolver());
        // The thread that polls the other end wakes, also when the resolver panics.
        drop(theirs);
    };
    thread::Builder::new().name("resolver".to_owned()).spawn(work).map_err(local)?;

    let mut descriptors =
        [PollFd::new(&ours, PollFlags::IN), PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN)];
    let ready = poll(&mut descriptors, until).map_err(local)?;
    if stop.raised() {
        return Err(Error::Stopped { server: goal.name() });
    }
    if !ready {
        return Err(Error::TimedOut { server: goal.name(), step: ConnectStep::Lookup, limit: goal.limit });
    }
    let failed = |reason| Error::Lookup { host: goal.host.to_owned(), reason };
    match receiver.recv() {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(failed("it has no address".to_owned())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => {
            let words = plain(&error);
            Err(failed(words.trim_start_matches("failed to lookup address information: ").to_owned()))
        }
        Err(mpsc::RecvError) => Err(failed("the resolver gave up".to_owned())),
    }
}

/// The families by turns, the first one as the system has it: it puts IPv6 first wherever there is a route for it
/// (RFC 8305 §4, RFC 6724).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else {
        return addresses;
    };
    let (leading, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == first);
    let mut queues = [VecDeque::from(leading), VecDeque::from(other)];
    let mut out = Vec::new();
    while out.len() < MOST_ADDRESSES && queues.iter().any(|queue| !queue.is_empty()) {
        for queue in &mut queues {
            // A name may be given the same address twice (by the hosts file and by DNS).
            out.extend(queue.pop_front().filter(|address| !out.contains(address)));
        }
    }
    out
}

/// Why no address won.
#[derive(Debug)]
enum Lost {
    /// Every address, and why.
    Refused(Vec<FailedAddress>),
    Stopped,
    /// poll(2) failed.
    Local(io::Error),
}

/// An address on its way.
struct Runner {
    address: SocketAddr,
    socket: TcpStream,
    until: Instant,
}

/// The first address that answers wins, the others are closed.  The next one starts when the one before it has failed,
/// or has been on its way for a while; each has `limit`.
fn race(
    addresses: &[SocketAddr],
    source: &[IpAddr],
    limit: Duration,
    stop: &Stop,
    waiting: impl FnOnce(),
) -> Result<(TcpStream, SocketAddr), Lost> {
    let mut waiting = Some(waiting);
    let mut ahead = addresses.iter().copied();
    let mut running: Vec<Runner> = Vec::new();
    let mut lost = Vec::new();
    let mut next_start = Instant::now();
    loop {
        let now = Instant::now();
        if (running.is_empty() || now >= next_start) && ahead.len() > 0 {
            for address in ahead.by_ref() {
                match start(address, source) {
                    Ok(socket) => {
                        running.push(Runner { address, socket, until: after(now, limit) });
                        break;
                    }
                    // No route, no such family: the next one need not wait.
                    Err(error) => lost.push(FailedAddress { address, reason: plain(&error) }),
                }
            }
            next_start = after(now, STAGGER);
        }
        let Some(until) = running.iter().map(|runner| runner.until).min() else {
            return Err(Lost::Refused(lost));
        };
        let until = if ahead.len() > 0 { until.min(next_start) } else { until };

        let mut descriptors: Vec<_> =
            running.iter().map(|r| PollFd::new(&r.socket, PollFlags::OUT)).collect();
        descriptors.push(PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN));
        // The caller prepares something meanwhile only if there is time to.
        let first = if waiting.is_some() { now } else { until };
        if !poll(&mut descriptors, first).map_err(Lost::Local)?
            && let Some(waiting) = waiting.take()
        {
            waiting();
            poll(&mut descriptors, until).map_err(Lost::Local)?;
        }
        if stop.raised() {
            return Err(Lost::Stopped);
        }
        let arrived: Vec<_> = descriptors.iter().map(|fd| !fd.revents().is_empty()).collect();
        let before = lost.len();
        match sort(running, arrived, limit, &mut lost) {
            Ok(won) => return Ok((won.socket, won.address)),
            Err(still) => running = still,
        }
        if lost.len() > before {
            next_start = Instant::now();
        }
    }
}

/// The attempt that has connected; else those that are still on their way, while those that failed are `lost`.
fn sort(
    running: Vec<Runner>,
    arrived: Vec<bool>,
    limit: Duration,
    lost: &mut Vec<FailedAddress>,
) -> Result<Runner, Vec<Runner>> {
    let now = Instant::now();
    let mut still = Vec::new();
    for (runner, arrived) in running.into_iter().zip(arrived) {
        let address = runner.address;
        match if arrived { outcome(&runner.socket) } else { Ok(()) } {
            Ok(()) if arrived => return Ok(runner),
            Ok(()) if now < runner.until => still.push(runner),
            Ok(()) => lost.push(FailedAddress { address, reason: format!("no answer within {limit:?}") }),
            Err(error) => lost.push(FailedAddress { address, reason: plain(&error) }),
        }
    }
    Err(still)
}

/// Starts connecting, without waiting.
fn start(address: SocketAddr, source: &[IpAddr]) -> io::Result<TcpStream> {
    let socket = match source.iter().find(|source| source.is_ipv4() == address.is_ipv4()) {
        Some(source) => bound(*source)?,
        None if source.is_empty() => new_socket(address.is_ipv4())?,
        None => {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(io::Error::other(format!("source-address has no {family} address")));
        }
    };
    // Commands are small and each is written at once: Nagle's algorithm would only hold them back.
    sockopt::set_tcp_nodelay(&socket, true)?;
    // A middlebox that forgets the connection while a slow destination works would otherwise go unnoticed.
    sockopt::set_socket_keepalive(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

fn new_socket(ipv4: bool) -> io::Result<OwnedFd> {
    let family = if ipv4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

/// What came of an attempt that is over by poll(2).
fn outcome(socket: &TcpStream) -> io::Result<()> {
    sockopt::socket_error(socket)??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::net::{AddressFamily, SocketType};

    use super::{Goal, Lost, dial, interleave, look_up, race, start};
    use crate::connection::error::Error;
    use crate::problem::Problem as _;
    use crate::signals::Stop;

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(50);

    fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    /// A port that never answers: its queue is full, so that the kernel drops what comes.
    fn silent() -> (SocketAddr, OwnedFd, Vec<TcpStream>) {
        let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&listener, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
        let queued = (0..4).map(|_| start(address, &[]).unwrap()).collect();
        (address, listener, queued)
    }

    /// One that hung up before its greeting, for example.
    #[test]
    fn an_address_that_is_left_out_is_not_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let goal = Goal { host: "127.0.0.1", port: address.port(), source: &[], limit: LONG, without: &[] };
        let stop = Stop::new().unwrap();
        dial(&goal, &stop, || {}).unwrap();
        let refused = dial(&Goal { without: &[address], ..goal }, &stop, || {}).unwrap_err();
        assert!(matches!(&refused, Error::Connect { attempts, .. } if attempts.is_empty()), "{refused:?}");
    }

    #[test]
    fn the_families_take_turns() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> { list.iter().map(|a| a.parse().unwrap()).collect() };
        let cases: [(&[&str], &[&str]); 5] = [
            (&[], &[]),
            (&["1.1.1.1:1"], &["1.1.1.1:1"]),
            (
                &["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"],
                &["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"],
            ),
            (&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"], &["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]),
            (&["1.1.1.1:1", "1.1.1.1:1", "[::1]:1"], &["1.1.1.1:1", "[::1]:1"]),
        ];
        for (given, expected) in cases {
            assert_eq!(interleave(parse(given)), parse(expected));
        }
        let many: Vec<_> = (1..=1000).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        assert_eq!(interleave(many).len(), 32);
    }

    #[test]
    fn the_first_to_answer_wins() {
        let stop = Stop::new().unwrap();
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = (open.local_addr().unwrap(), open);
        let (silent, _listener, _queued) = silent();
        for addresses in
            [vec![open.0], vec![closed(), open.0], vec![silent, open.0], vec![silent, closed(), open.0]]
        {
            let (socket, winner) = race(&addresses, &[], LONG, &stop, || {}).unwrap();
            assert_eq!((winner, socket.peer_addr().unwrap()), (open.0, open.0));
            assert!(socket.nodelay().unwrap());
            assert!(rustix::net::sockopt::socket_keepalive(&socket).unwrap());
            assert!(rustix::fs::fcntl_getfl(&socket).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
        }
    }

    #[test]
    fn every_address_that_failed_is_named() {
        let stop = Stop::new().unwrap();
        let (silent, _listener, _queued) = silent();
        let waited = Cell::new(0);
        let addresses = [closed(), silent];
        let lost = race(&addresses, &[], SHORT, &stop, || waited.set(waited.get() + 1));
        let Err(Lost::Refused(attempts)) = lost else { panic!("{lost:?}") };
        let told: Vec<_> = attempts.iter().map(|a| (a.address, a.reason.as_str())).collect();
        assert_eq!(told, [(addresses[0], "Connection refused"), (silent, "no answer within 50ms")]);
        assert_eq!(waited.get(), 1);
        let error = Error::Connect { server: "pop.example.com:995".to_owned(), attempts };
        assert_eq!(
            error.to_string(),
            format!(
                "cannot connect to pop.example.com:995: {}: Connection refused; {silent}: no answer within 50ms",
                addresses[0]
            )
        );
    }

    #[test]
    fn a_signal_ends_the_race() {
        let stop = Stop::new().unwrap();
        let (silent, _listener, _queued) = silent();
        let raising = stop.clone();
        assert!(matches!(race(&[silent], &[], LONG, &stop, move || raising.raise()), Err(Lost::Stopped)));
    }

    #[test]
    fn names() {
        let goal = Goal { host: "pop.example.com", port: 110, source: &[], limit: LONG, without: &[] };
        let hasty = Goal { limit: SHORT, ..goal };
        let stop = Stop::new().unwrap();
        let address = SocketAddr::from(([192, 0, 2, 1], 110));
        assert_eq!(look_up(&goal, &stop, move || Ok(vec![address])).unwrap(), [address]);

        let told = |result: Result<_, Error>| result.map(|_| ()).unwrap_err().to_string();
        let error =
            || Err(std::io::Error::other("failed to lookup address information: Name or service not known"));
        assert_eq!(
            told(look_up(&goal, &stop, error)),
            "cannot look up pop.example.com: Name or service not known"
        );
        assert_eq!(
            told(look_up(&goal, &stop, || Ok(vec![]))),
            "cannot look up pop.example.com: it has no address"
        );

        // A resolver that never returns while we wait: it holds its end until this test is over.
        let (_hold, held) = mpsc::channel::<()>();
        let (_hold_too, held_too) = mpsc::channel::<()>();
        let slow = move || {
            let _ = held.recv();
            Ok(vec![])
        };
        assert_eq!(
            told(look_up(&hasty, &stop, slow)),
            "pop.example.com:110: looking up the name took longer than 50ms"
        );
        stop.raise();
        let slow = move || {
            let _ = held_too.recv();
            Ok(vec![])
        };
        assert!(matches!(look_up(&goal, &stop, slow), Err(Error::Stopped { .. })));
    }

    #[test]
    fn connections_come_from_the_source_address() {
        let stop = Stop::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let goal = Goal { host: "127.0.0.1", port, source: &[], limit: LONG, without: &[] };
        for (source, from) in [("127.0.0.7", "127.0.0.7"), ("0.0.0.0", "127.0.0.1")] {
            let source = [source.parse().unwrap()];
            let (socket, _) = dial(&Goal { source: &source, ..goal }, &stop, || {}).unwrap();
            let (accepted, peer) = listener.accept().unwrap();
            assert_eq!((peer.ip().to_string().as_str(), peer), (from, socket.local_addr().unwrap()));
            drop(accepted);
        }
        let refused = |source: &str| {
            let source = [source.parse().unwrap()];
            dial(&Goal { source: &source, ..goal }, &stop, || {}).unwrap_err()
        };
        let error = refused("192.0.2.7");
        assert_eq!(error.to_string(), "source-address: 192.0.2.7 isn't an address of this machine");
        assert_eq!(error.exit_code().number(), 78);
        let error = refused("::1");
        if !error.to_string().starts_with("source-address: ::1") {
            let reason = "source-address has no IPv4 address";
            assert_eq!(error.to_string(), format!("cannot connect to 127.0.0.1:{port}: {reason}"));
        }
    }
}
