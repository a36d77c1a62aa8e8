//! The port of this machine that a browser comes back to (RFC 8252 §7.3): on 127.0.0.1 and, with the same number, on ::1,
//! because browsers take `localhost` for either.
//!
//! Anybody on this machine can connect to it, and the browser itself asks for more than the answer.  So every connection is
//! served beside the others, none is waited for, and only a `GET` with the right `state` is the answer: all else is 404.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use zeroize::Zeroizing;

use super::error::Error;
use super::request::Came;
use super::terminal::LoginTerminal;
use crate::signals::Stop;

/// Octets of a request's head at most: a code may have a few thousand.
const LARGEST_HEAD: usize = 32 * 1024;

/// Connections at once; the oldest makes room.
const MOST_GUESTS: usize = 16;

/// How long a connection may take for its request.
const GUEST_LIMIT: Duration = Duration::from_secs(10);

/// Attempts to find a port that is free in both families.
const ATTEMPTS: u32 = 10;

/// The two sockets.
pub(super) struct RedirectListener {
    sockets: Vec<TcpListener>,
    pub(super) port: u16,
}

/// A connection, and what has come on it.
struct Guest {
    stream: TcpStream,
    came: Zeroizing<Vec<u8>>,
    until: Instant,
}

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asks<'a> {
    /// More of it is to come.
    More,
    Get(&'a str),
    /// Anything else.
    Other,
}

/// What a head of a request asks for.
pub(super) fn asked_for(head: &[u8]) -> Asks<'_> {
    let ends = |end: &[u8]| head.windows(end.len()).any(|window| window == end);
    if !ends(b"\r\n\r\n") && !ends(b"\n\n") {
        return if head.len() < LARGEST_HEAD { Asks::More } else { Asks::Other };
    }
    let line = head.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Asks::Other };
    let mut words = line.trim_end().split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("GET"), Some(target), Some(version), None) if version.starts_with("HTTP/1.") => {
            Asks::Get(target)
        }
        _ => Asks::Other,
    }
}

impl RedirectListener {
    pub(super) fn bind() -> Result<Self, Error> {
        let failed = |source| Error::Local { action: "listen for the browser", source };
        for _ in 0..ATTEMPTS {
            let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
            let port = four.local_addr().map_err(failed)?.port();
            let six = match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
                Ok(six) => Some(six),
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => continue,
                // This machine has no IPv6.
                Err(_) => None,
            };
            let sockets: Vec<TcpListener> = [Some(four), six].into_iter().flatten().collect();
            for socket in &sockets {
                socket.set_nonblocking(true).map_err(failed)?;
            }
            return Ok(Self { sockets, port });
        }
        Err(failed(io::ErrorKind::AddrInUse.into()))
    }

    /// Waits for the answer: at the port, or typed at the terminal.  `judge` decides of a request's target, or of a typed address,
    /// what it is.
    ///
    /// # Errors
    /// A signal; too late; a failure of this machine.
    pub(super) fn wait(
        &self,
        terminal: &dyn LoginTerminal,
        stop: &Stop,
        limit: Duration,
        judge: &dyn Fn(&str) -> Came,
    ) -> Result<Option<Came>, Error> {
        let until = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
        let mut guests: Vec<Guest> = Vec::new();
        let mut terminal_is_open = true;
        loop {
            let now = Instant::now();
            if now >= until {
                return Ok(None);
            }
            guests.retain(|guest| guest.until > now);
            let next = guests.iter().map(|guest| guest.until).fold(until, Instant::min);
            let input = terminal.input().filter(|_| terminal_is_open);
            let mut waited = vec![PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN)];
            waited.extend(input.map(|input| PollFd::from_borrowed_fd(input, PollFlags::IN)));
            waited.extend(self.sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
            waited.extend(guests.iter().map(|guest| PollFd::new(&guest.stream, PollFlags::IN)));
            let left = Timespec::try_from(next.saturating_duration_since(now)).ok();
            match rustix::event::poll(&mut waited, left.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Error::Local { action: "wait for the browser", source: e.into() }),
            }
            let typed = input.is_some() && waited.get(1).is_some_and(|input| !input.revents().is_empty());
            drop(waited);
            if stop.raised() {
                return Err(Error::Stopped);
            }
            if typed {
                match terminal.typed() {
                    Some(address) if address.trim().is_empty() => {}
                    Some(address) => match judge(address.trim()) {
                        Came::Stray => terminal.show("That is not the address at which the browser ended: it has a \"state\" that fits."),
                        came => return Ok(Some(came)),
                    },
                    None => terminal_is_open = false,
                }
            }
            self.welcome(&mut guests);
            if let Some(came) = serve(&mut guests, judge) {
                return Ok(Some(came));
            }
        }
    }

    fn welcome(&self, guests: &mut Vec<Guest>) {
        for socket in &self.sockets {
            while let Ok((stream, _)) = socket.accept() {
                if stream.set_nonblocking(true).is_err() {
                    continue;
                }
                if guests.len() >= MOST_GUESTS {
                    guests.remove(0);
                }
                let until = Instant::now().checked_add(GUEST_LIMIT).unwrap_or_else(Instant::now);
                let came = Zeroizing::new(Vec::with_capacity(LARGEST_HEAD));
                guests.push(Guest { stream, came, until });
            }
        }
    }
}

/// Reads what has come; answers whole requests, the right one with a page, and gives what it brought.
fn serve(guests: &mut Vec<Guest>, judge: &dyn Fn(&str) -> Came) -> Option<Came> {
    let mut answer = None;
    guests.retain_mut(|guest| {
        let mut buffer = Zeroizing::new([0; 4096]);
        loop {
            match guest.stream.read(&mut *buffer) {
                Ok(0) => return false,
                Ok(read) => {
                    let room = LARGEST_HEAD.saturating_sub(guest.came.len());
                    guest.came.extend(buffer.iter().take(read.min(room)));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
            if guest.came.len() >= LARGEST_HEAD {
                break;
            }
        }
        let came = match asked_for(&guest.came) {
            Asks::More => return true,
            Asks::Get(target) if answer.is_none() => judge(target),
            Asks::Get(_) | Asks::Other => Came::Stray,
        };
        // It's small: a socket takes it at once, and a browser that doesn't read it has lost a page.
        let _ = guest.stream.write_all(page(&came).as_bytes());
        let _ = guest.stream.shutdown(std::net::Shutdown::Write);
        if !matches!(came, Came::Stray) {
            answer = Some(came);
        }
        false
    });
    answer
}

fn page(came: &Came) -> String {
    let (status, text) = match came {
        Came::Stray => ("404 Not Found", "There is nothing here."),
        Came::Code(_) => {
            ("200 OK", "popfetch has got the answer. Please return to the terminal; this page can be closed.")
        }
        Came::Refused(_) => {
            ("200 OK", "The access was refused. Please return to the terminal; this page can be closed.")
        }
        Came::OtherIssuer => (
            "400 Bad Request",
            "This answer is not from the server that was asked. Please return to the terminal.",
        ),
    };
    let body = format!(
        "<!DOCTYPE html><html><head><title>popfetch</title></head><body><p>{text}</p></body></html>\n"
    );
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\nX-Content-Type-Options: nosniff\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::{Asks, LARGEST_HEAD, asked_for};

    #[test]
    fn only_a_get_is_a_question() {
        let long = vec![b'x'; LARGEST_HEAD];
        for (head, expected) in [
            (&b""[..], Asks::More),
            (b"GET /?code=x HTTP/1.1\r\nHost: x\r\n", Asks::More),
            (b"GET /?code=x HTTP/1.1\r\nHost: x\r\n\r\n", Asks::Get("/?code=x")),
            (b"GET / HTTP/1.0\n\n", Asks::Get("/")),
            (b"POST / HTTP/1.1\r\n\r\n", Asks::Other),
            (b"GET /\r\n\r\n", Asks::Other),
            (b"GET / x HTTP/1.1\r\n\r\n", Asks::Other),
            (b"\x16\x03\x01\r\n\r\n", Asks::Other),
            (b"\xff\xfe\r\n\r\n", Asks::Other),
            (&long, Asks::Other),
        ] {
            assert_eq!(asked_for(head), expected, "{}", String::from_utf8_lossy(&head[..head.len().min(40)]));
        }
    }
}
