//! Through a proxy: [`socks`] and [`http`] hold the conversations, without I/O; this carries their octets.
//!
//! What comes is looked at before it is taken from the socket, and only what belongs to the proxy's answer is taken.  So
//! whatever follows the answer, in the same segment or not, is still there for what reads the socket next, and
//! nothing of it can be taken for an answer of the proxy.

mod conversation;
mod http;
mod socks;

use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use self::conversation::{NextStep, ProxyFailure};
use super::dial::{Goal, dial};
use super::error::{Error, plain};
use super::patience::after;
use super::poll::poll;
use super::route_problem::RouteProblem;
use super::socket::Socket;
use super::target::{Target, server};
use crate::account::{Endpoint, Proxy, ProxyAddress, ProxyKind};
use crate::secret::Secret;
use crate::signals::Stop;

/// Octets that are looked at together.
const LOOK: usize = 4096;

/// A conversation with a proxy.
#[derive(Debug)]
enum Conversation {
    Socks(socks::SocksConversation),
    Http(http::HttpConversation),
}

impl Conversation {
    fn new(proxy: &Proxy, host: &str, port: u16) -> Self {
        match proxy.kind {
            ProxyKind::Socks5 => Self::Socks(socks::SocksConversation::new(proxy.login.clone(), host, port)),
            ProxyKind::Http => Self::Http(http::HttpConversation::new(proxy.login.as_ref(), host, port)),
        }
    }

    /// What it waits for.  What is to be sent is given once.
    fn next(&mut self) -> NextStep {
        match self {
            Self::Socks(talk) => talk.next(),
            Self::Http(talk) => talk.next(),
        }
    }

    /// Takes what belongs to the answer, and returns how many octets that are.  Takes nothing behind its end.
    fn take(&mut self, octets: &[u8]) -> Result<usize, ProxyFailure> {
        match self {
            Self::Socks(talk) => talk.take(octets),
            Self::Http(talk) => talk.take(octets),
        }
    }
}

/// Connects to the target through `proxy`.
///
/// # Errors
/// When the proxy isn't there, refuses, or doesn't answer within the target's time-out; when a signal came.
pub(super) fn through(
    proxy: &Proxy,
    target: &Target<'_>,
    stop: &Stop,
    waiting: impl FnOnce(),
) -> Result<Socket, Error> {
    let mut line =
        ProxyLink { socket: connect(proxy, target, stop)?, proxy, target, stop, until: Instant::now() };
    waiting();
    line.until = after(Instant::now(), target.timeout);
    line.talk(Conversation::new(proxy, target.host, target.port))?;
    Ok(line.socket)
}

fn connect(proxy: &Proxy, target: &Target<'_>, stop: &Stop) -> Result<Socket, Error> {
    let limit = target.timeout / 2;
    let not_there = |reason| RouteProblem::NoProxy { proxy: proxy.address.to_string(), reason };
    match &proxy.address {
        ProxyAddress::Unix(path) => Socket::connect(path, limit, stop).map_err(|e| match stop.raised() {
            true => Error::Stopped { server: server(target) },
            false => not_there(plain(&e)).into(),
        }),
        ProxyAddress::Tcp(Endpoint { host, port }) => {
            let source = &target.way.source_addresses;
            let goal = Goal { host, port: *port, source, limit, without: &[] };
            dial(&goal, stop, || {}).map(|(socket, _)| Socket::Tcp(socket)).map_err(|e| {
                match e.of_dialling() {
                    Some(reason) => not_there(reason).into(),
                    None => e,
                }
            })
        }
    }
}

/// A line to a proxy.
struct ProxyLink<'a> {
    socket: Socket,
    proxy: &'a Proxy,
    target: &'a Target<'a>,
    stop: &'a Stop,
    until: Instant,
}

impl ProxyLink<'_> {
    fn talk(&mut self, mut talk: Conversation) -> Result<(), Error> {
        let mut seen = [0; LOOK];
        // What has come and belongs to no answer: nothing may, before all questions are asked.
        let mut ahead = false;
        loop {
            match talk.next() {
                NextStep::Done => return Ok(()),
                NextStep::Send(_) if ahead => return Err(RouteProblem::Early { proxy: self.name() }.into()),
                NextStep::Send(octets) => self.send(octets.expose())?,
                NextStep::Answer => {
                    let came = self.peek(&mut seen)?;
                    let taken = talk.take(came).map_err(|refusal| self.refused(refusal))?;
                    ahead = taken < came.len();
                    self.drop(taken)?;
                }
            }
        }
    }

    fn send(&mut self, mut octets: &[u8]) -> Result<(), Error> {
        while !octets.is_empty() {
            match self.socket.write(octets) {
                Ok(written) => octets = octets.get(written..).unwrap_or_default(),
                Err(e) => self.wait_or_fail(&e, PollFlags::OUT)?,
            }
        }
        Ok(())
    }

    fn peek<'s>(&self, seen: &'s mut [u8]) -> Result<&'s [u8], Error> {
        loop {
            match self.socket.peek(seen) {
                Ok(0) => return Err(self.ended(None)),
                Ok(octets) => return Ok(seen.get(..octets).unwrap_or_default()),
                Err(e) => self.wait_or_fail(&e, PollFlags::IN)?,
            }
        }
    }

    /// Takes octets from the socket that were looked at before.
    fn drop(&mut self, mut octets: usize) -> Result<(), Error> {
        let mut seen = [0; LOOK];
        while octets > 0 {
            match self.socket.read(seen.get_mut(..octets.min(LOOK)).unwrap_or_default()) {
                Ok(0) => return Err(self.ended(None)),
                Ok(read) => octets = octets.saturating_sub(read),
                Err(e) => self.wait_or_fail(&e, PollFlags::IN)?,
            }
        }
        Ok(())
    }

    /// After a call that would have blocked.
    fn wait_or_fail(&self, error: &io::Error, interest: PollFlags) -> Result<(), Error> {
        match error.kind() {
            io::ErrorKind::Interrupted => return Ok(()),
            io::ErrorKind::WouldBlock => {}
            _ => return Err(self.ended(Some(plain(error)))),
        }
        let mut descriptors = [
            PollFd::new(&self.socket, interest),
            PollFd::from_borrowed_fd(self.stop.descriptor(), PollFlags::IN),
        ];
        let ready = poll(&mut descriptors, self.until)
            .map_err(|source| Error::Local { action: "wait for the proxy", source })?;
        if self.stop.raised() {
            return Err(Error::Stopped { server: server(self.target) });
        }
        // Octets that keep coming don't buy more time.
        if ready && Instant::now() < self.until {
            return Ok(());
        }
        let (proxy, server, limit) = (self.name(), server(self.target), self.target.timeout);
        Err(RouteProblem::Silent { proxy, server, limit }.into())
    }

    fn name(&self) -> String {
        self.proxy.address.to_string()
    }

    fn ended(&self, reason: Option<String>) -> Error {
        RouteProblem::Ended { proxy: self.name(), server: server(self.target), reason }.into()
    }

    fn refused(&self, refusal: ProxyFailure) -> Error {
        let (proxy, server, kind) = (self.name(), server(self.target), self.proxy.kind);
        let problem = match refusal {
            ProxyFailure::NotAProxy(said) => RouteProblem::NotAProxy { proxy, kind, said },
            ProxyFailure::TooLong => RouteProblem::TooLong { proxy },
            ProxyFailure::Login => RouteProblem::Login { proxy, given: self.proxy.login.is_some() },
            ProxyFailure::OtherLogin(schemes) => RouteProblem::OtherLogin { proxy, schemes },
            ProxyFailure::Forbids(said) => RouteProblem::Forbids { proxy, server, said },
            ProxyFailure::CannotReach(said) => RouteProblem::CannotReach { proxy, server, said },
            ProxyFailure::NoConnections(said) => RouteProblem::NoConnections { proxy, server, said },
        };
        problem.into()
    }
}

/// For fuzzing: any octets as what a proxy sends, to a client with a login and
/// to one without.  Whatever they are, nothing panics, no more is taken than was given, nothing is taken behind an end, and
/// where the pieces are cut makes no difference.
#[doc(hidden)]
pub fn fuzz_proxy(octets: &[u8]) {
    use crate::account::ProxyLogin;
    for kind in [ProxyKind::Socks5, ProxyKind::Http] {
        for login in [None, Some(ProxyLogin { user: "u".to_owned(), password: Secret::new("pencil") })] {
            let address = ProxyAddress::Unix("/run/proxy".into());
            let proxy = Proxy { kind, address, login };
            let mut outcomes =
                [octets.len().max(1), 1, 3].map(|size| played(&proxy, octets, size)).into_iter();
            let whole = outcomes.next();
            outcomes.for_each(|outcome| assert_eq!(Some(outcome), whole));
        }
    }
}

/// How a conversation ends with a proxy that sends `octets` in pieces of `size`, and how many of them it has taken.
fn played(proxy: &Proxy, octets: &[u8], size: usize) -> (Option<Result<(), ProxyFailure>>, usize) {
    let (mut talk, mut at) = (Conversation::new(proxy, "pop.example.com", 995), 0_usize);
    loop {
        match talk.next() {
            NextStep::Done => return (Some(Ok(())), at),
            NextStep::Send(sent) => assert!(!sent.expose().is_empty()),
            NextStep::Answer => {
                let end = at.saturating_add(size).min(octets.len());
                let came = octets.get(at..end).unwrap_or_default();
                if came.is_empty() {
                    return (None, at);
                }
                match talk.take(came) {
                    Ok(taken) => {
                        assert!(taken > 0 && taken <= came.len());
                        at = at.saturating_add(taken);
                    }
                    // How much of something else was read depends on what came together.
                    Err(ProxyFailure::NotAProxy(_)) => {
                        return (Some(Err(ProxyFailure::NotAProxy(Vec::new()))), 0);
                    }
                    Err(refusal) => return (Some(Err(refusal)), 0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fuzz_proxy;

    /// What answers are made of.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known: [&[u8]; 20] = [
            b"\x05\x00",
            b"\x05\x02",
            b"\x05\xff",
            b"\x01\x00",
            b"\x01\x01",
            b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x6e",
            b"\x05\x00\x00\x03\x09localhost\x00\x6e",
            b"\x05\x00\x00\x03",
            b"\x05\x00\x00\x04",
            b"\x05\x01",
            b"HTTP/1.1 ",
            b"200 OK\r\n",
            b"100 Continue\r\n\r\n",
            b"407 Who\r\n",
            b"Proxy-Authenticate: NTLM, Basic realm=\"a, b\"\r\n",
            b"\r\n",
            b"\n",
            b"\n\n",
            b"+OK\r\n",
            b"\xff",
        ];
        prop_oneof![
            8 => proptest::sample::select(known.to_vec()).prop_map(<[u8]>::to_vec),
            1 => proptest::collection::vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #[test]
        fn whatever_a_proxy_sends_and_however_it_is_cut(pieces in proptest::collection::vec(piece(), 0..12)) {
            fuzz_proxy(&pieces.concat());
        }
    }
}
