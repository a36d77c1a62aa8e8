//! CONNECT of HTTP/1.1 (RFC 9110 §9.3.6, RFC 9112 §3.2.3), with Basic (RFC 7617), as a conversation without I/O.
//!
//! The answer ends with the blank line of its head, whatever lengths the head announces: what follows is the server's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::conversation::{NextStep, ProxyFailure, not_a_proxy};
use crate::account::{Endpoint, ProxyLogin};
use crate::secret::Secret;

/// Octets of an answer's head at most, with what a proxy sends before it (RFC 9110 §15.2).
const LONGEST_HEAD: usize = 16 * 1024;

const BEGINNING: &[u8] = b"HTTP/1.";

#[derive(Debug)]
pub(super) struct HttpConversation {
    request: Option<Secret>,
    /// What has come of a head.
    head: Vec<u8>,
    /// What came of heads before it.
    before: usize,
    done: bool,
}

impl HttpConversation {
    pub(super) fn new(login: Option<&ProxyLogin>, host: &str, port: u16) -> Self {
        let place = Endpoint { host: host.to_owned(), port };
        let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n").into_bytes();
        if let Some(ProxyLogin { user, password }) = login {
            let credentials = Secret::new([user.as_bytes(), b":", password.expose()].concat());
            request.extend_from_slice(b"Proxy-Authorization: Basic ");
            request.extend_from_slice(STANDARD.encode(credentials.expose()).as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        Self { request: Some(Secret::new(request)), head: Vec::new(), before: 0, done: false }
    }

    pub(super) fn next(&mut self) -> NextStep {
        match self.request.take() {
            Some(request) => NextStep::Send(request),
            None if self.done => NextStep::Done,
            None => NextStep::Answer,
        }
    }

    pub(super) fn take(&mut self, octets: &[u8]) -> Result<usize, ProxyFailure> {
        let mut taken = 0;
        while let (Some(octet), false) = (octets.get(taken), self.done) {
            self.head.push(*octet);
            taken += 1;
            if self.head.len().saturating_add(self.before) > LONGEST_HEAD {
                return Err(ProxyFailure::TooLong);
            }
            let expected = BEGINNING.get(self.head.len().saturating_sub(1));
            if expected.is_some_and(|expected| expected != octet) {
                return Err(self.none(octets.get(taken..)));
            }
            if self.head.ends_with(b"\n\r\n") || self.head.ends_with(b"\n\n") {
                self.judge(octets.get(taken..))?;
            }
        }
        Ok(taken)
    }

    fn none(&self, rest: Option<&[u8]>) -> ProxyFailure {
        not_a_proxy(&[self.head.as_slice(), rest.unwrap_or_default()].concat())
    }

    /// A head is whole.
    fn judge(&mut self, rest: Option<&[u8]>) -> Result<(), ProxyFailure> {
        let mut lines = self.head.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii_end);
        let Some((status, code)) = lines.next().and_then(status) else { return Err(self.none(rest)) };
        match code {
            // An interim answer: the real one follows.
            100 | 102..200 => {
                self.before = self.before.saturating_add(self.head.len());
                self.head.clear();
                return Ok(());
            }
            200..300 => {
                self.done = true;
                return Ok(());
            }
            _ => {}
        }
        let status = status.to_vec();
        Err(match code {
            403 | 451 => ProxyFailure::Forbids(status),
            // tinyproxy asks like a server.
            401 | 407 => {
                let schemes = schemes(lines);
                if schemes.is_empty() || schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic")) {
                    ProxyFailure::Login
                } else {
                    ProxyFailure::OtherLogin(schemes.join(", ").into_bytes())
                }
            }
            404 | 408 | 410 | 425 | 429 | 500 | 502..=599 => ProxyFailure::CannotReach(status),
            // A redirection leads to a portal that wants a login in the browser.
            _ => ProxyFailure::NoConnections(status),
        })
    }
}

/// The code and what follows it in a status line (RFC 9112 §4), and the code as a number.
fn status(line: &[u8]) -> Option<(&[u8], u16)> {
    let [_minor, b' ', status @ ..] = line.strip_prefix(BEGINNING)? else { return None };
    let code = status.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit))?;
    if !matches!(status.get(3), None | Some(b' ')) {
        return None;
    }
    Some((status, std::str::from_utf8(code).ok()?.parse().ok()?))
}

/// The names of the schemes that are offered (RFC 9110 §11.6.1, §11.7.1): each begins an element of a list.
fn schemes<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    const FIELDS: [&[u8]; 2] = [b"proxy-authenticate", b"www-authenticate"];
    let mut schemes = Vec::new();
    for line in lines {
        let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
        if !FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field)) {
            continue;
        }
        let value = line.get(name.len().saturating_add(1)..).unwrap_or_default();
        let mut in_quotes = false;
        for element in value.split(|octet| {
            in_quotes ^= *octet == b'"';
            *octet == b',' && !in_quotes
        }) {
            let word = element.trim_ascii().split(|octet| *octet == b' ').next().unwrap_or_default();
            // With an equals sign it's a parameter of the scheme before.
            let is_token = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
            if !word.is_empty() && word.iter().all(is_token) {
                schemes.push(String::from_utf8_lossy(word).into_owned());
            }
        }
    }
    schemes
}

#[cfg(test)]
mod tests {
    use super::{HttpConversation, LONGEST_HEAD};
    use crate::account::ProxyLogin;
    use crate::connection::proxy::{NextStep, ProxyFailure};
    use crate::secret::Secret;

    fn request(login: Option<&ProxyLogin>, host: &str) -> String {
        match HttpConversation::new(login, host, 995).next() {
            NextStep::Send(request) => String::from_utf8(request.expose().to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// What is left of an answer that comes in pieces of this size.
    fn answered(answer: &[u8], size: usize) -> Result<Option<Vec<u8>>, ProxyFailure> {
        let mut talk = HttpConversation::new(None, "pop.example", 995);
        assert!(matches!(talk.next(), NextStep::Send(_)));
        let mut left = answer.to_vec();
        loop {
            match talk.next() {
                NextStep::Done => return Ok(Some(left)),
                NextStep::Answer if left.is_empty() => return Ok(None),
                NextStep::Answer => drop(left.drain(..talk.take(&left[..size.min(left.len())])?)),
                NextStep::Send(octets) => panic!("{octets:?}"),
            }
        }
    }

    #[test]
    fn requests() {
        assert_eq!(
            request(None, "pop.example"),
            "CONNECT pop.example:995 HTTP/1.1\r\nHost: pop.example:995\r\n\r\n"
        );
        let login = ProxyLogin { user: "Aladdin".to_owned(), password: Secret::new("open sesame") };
        assert_eq!(
            request(Some(&login), "2001:db8::1"),
            "CONNECT [2001:db8::1]:995 HTTP/1.1\r\nHost: [2001:db8::1]:995\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
    }

    #[test]
    fn what_follows_the_blank_line_is_the_servers() {
        let greeting = b"+OK ready\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(LONGEST_HEAD - 24));
        assert_eq!(long.len(), LONGEST_HEAD);
        for head in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n",
            "HTTP/1.1 299\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\nA: b\n\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            &long,
        ] {
            let whole = [head.as_bytes(), greeting].concat();
            for size in [1, 2, 3, 50, usize::MAX] {
                assert_eq!(answered(&whole, size), Ok(Some(greeting.to_vec())), "{head} in pieces of {size}");
            }
            let cut = &whole[..head.len() - 1];
            assert_eq!(answered(cut, 7), Ok(None), "{head}");
        }
    }

    #[test]
    fn refusals() {
        let said = |words: &str| words.as_bytes().to_vec();
        let other = |schemes: &str| ProxyFailure::OtherLogin(said(schemes));
        let none = |words: &str| ProxyFailure::NotAProxy(said(words));
        for (answer, refusal) in [
            ("HTTP/1.0 403 Access violation\r\n\r\n", ProxyFailure::Forbids(said("403 Access violation"))),
            ("HTTP/1.1 451 No\r\n\r\n", ProxyFailure::Forbids(said("451 No"))),
            ("HTTP/1.1 407 Who?\r\n\r\n", ProxyFailure::Login),
            ("HTTP/1.1 407 Who?\r\nproxy-authenticate: BASIC realm=\"a, NTLM\"\r\n\r\n", ProxyFailure::Login),
            (
                "HTTP/1.1 407 Who?\r\nProxy-Authenticate: Negotiate, NTLM, Basic realm=x\r\n\r\n",
                ProxyFailure::Login,
            ),
            (
                "HTTP/1.1 407 Who?\r\nProxy-Authenticate: Negotiate\r\nX: Basic\r\nProxy-Authenticate: NTLM\r\n\r\n",
                other("Negotiate, NTLM"),
            ),
            (
                "HTTP/1.1 407 Who?\r\nProxy-Authenticate: Digest realm=\"x, Basic y\", qop=auth\r\n\r\n",
                other("Digest"),
            ),
            ("HTTP/1.0 401 Who?\r\nWWW-Authenticate: Basic realm=\"tinyproxy\"\r\n\r\n", ProxyFailure::Login),
            (
                "HTTP/1.1 500 Unable to connect\r\n\r\n",
                ProxyFailure::CannotReach(said("500 Unable to connect")),
            ),
            ("HTTP/1.1 503 \x1b[2J\r\n\r\n", ProxyFailure::CannotReach(said("503 \x1b[2J"))),
            ("HTTP/1.1 404\r\n\r\n", ProxyFailure::CannotReach(said("404"))),
            (
                "HTTP/1.1 405 Method Not Allowed\r\n\r\n",
                ProxyFailure::NoConnections(said("405 Method Not Allowed")),
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n",
                ProxyFailure::NoConnections(said("302 Found")),
            ),
            ("HTTP/1.1 101 Switching\r\n\r\n", ProxyFailure::NoConnections(said("101 Switching"))),
            ("+OK POP3 ready\r\n", none("+OK POP3 ready\r\n")),
            ("SSH-2.0-x\r\n", none("SSH-2.0-x\r\n")),
            ("\x05\x00", none("\x05\x00")),
            ("HTTP/2 200\r\n\r\n", none("HTTP/2 200\r\n\r\n")),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", none("\r\nHTTP/1.1 200 OK\r\n\r\n")),
            ("HTTP/1.1 2000 OK\r\n\r\n", none("HTTP/1.1 2000 OK\r\n\r\n")),
            ("HTTP/1.1 +20 OK\r\n\r\n", none("HTTP/1.1 +20 OK\r\n\r\n")),
            ("HTTP/1.1\r\n\r\n", none("HTTP/1.1\r\n\r\n")),
        ] {
            assert_eq!(answered(answer.as_bytes(), usize::MAX), Err(refusal), "{answer}");
            assert!(answered(answer.as_bytes(), 1).is_err(), "{answer}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(LONGEST_HEAD));
        assert_eq!(answered(endless.as_bytes(), 1000), Err(ProxyFailure::TooLong));
        let interim = "HTTP/1.1 100 Go on\r\n\r\n".repeat(LONGEST_HEAD / 22 + 1);
        assert_eq!(answered(interim.as_bytes(), 1000), Err(ProxyFailure::TooLong));
    }
}
