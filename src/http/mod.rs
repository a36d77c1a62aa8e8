//! One question to a web server: HTTP/1.1 (RFC 9110, RFC 9112) over our own [`Connection`], so that trust, the way through a
//! proxy, deadlines and signals are those of the mail server.
//!
//! `https` only, or `http` at a loopback address; TLS is always verified by chain and name.  One request to a connection, no
//! redirects, no cookies, no compression, an answer of 64 KiB at most, 30 seconds in all.  It is for questions to an
//! authorization server, and for a provider's page of settings; not for anything larger.
//!
//! Requests and answers may hold secrets: they are wiped, and neither an error nor `Debug` shows any of their contents.

mod answer;
mod error;
pub(crate) mod form;
#[cfg(test)]
mod tests;
mod url;

use std::path::Path;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

#[cfg(test)]
pub(crate) use answer::AnswerFault;
pub(crate) use answer::HttpAnswer;
pub use answer::fuzz_answer;
pub(crate) use error::{Error, PORTAL};
pub(crate) use url::Url;

use crate::account::{self, DIRECT, Route, Tls, Trust};
use crate::connection::{Connection, Connectors, Target, Wake};
use crate::protocol::redact::Redactor;
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text::printable;
use crate::types::Channel;
use answer::AnswerReader;

/// How long a question takes at most, from the look-up of the name to the last octet of the answer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Octets that are read at once.
const BUFFER: usize = 16 * 1024;

/// How a server is reached, and what ends the wait for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpWay<'a> {
    /// The way to the account's mail server, of which a proxy and source addresses hold here too.
    pub route: &'a account::Way,
    /// Certificate authorities (PEM) besides the system's.
    pub ca_file: Option<&'a Path>,
    pub connectors: &'a Connectors,
    pub stop: &'a Stop,
    pub signal: SignalEnds,
    /// How long it may take in all: [`TIME_LIMIT`].
    pub limit: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalEnds {
    /// The question, at any time.
    Always,
    /// The question as long as it isn't sent: the answer to one that changes something at the server must be read.
    BeforeItIsSent,
}

impl<'a> HttpWay<'a> {
    /// Straight to the server, with the system's authorities.
    #[must_use]
    pub(crate) fn direct(connectors: &'a Connectors, stop: &'a Stop) -> Self {
        let (route, signal, limit) = (&DIRECT, SignalEnds::Always, TIME_LIMIT);
        Self { route, ca_file: None, connectors, stop, signal, limit }
    }
}

/// Asks for a resource; `accept` is the media type that is expected.
///
/// # Errors
/// [`Error`].  An answer is not an error, whatever its status, unless it is a redirect.
pub(crate) fn get(way: &HttpWay<'_>, url: &Url, accept: &str) -> Result<HttpAnswer, Error> {
    ask(way, url, &head("GET", url, accept, None), b"")
}

/// Sends a form; the answer is expected to be JSON.
///
/// # Errors
/// As [`get`].
pub(crate) fn post_form(
    way: &HttpWay<'_>,
    url: &Url,
    parameters: &[(&str, &[u8])],
) -> Result<HttpAnswer, Error> {
    post(way, url, "application/x-www-form-urlencoded", &form::encode(parameters))
}

/// Sends JSON; the answer is expected to be JSON.
///
/// # Errors
/// As [`get`].
pub(crate) fn post_json(way: &HttpWay<'_>, url: &Url, json: &Secret) -> Result<HttpAnswer, Error> {
    post(way, url, "application/json", json)
}

fn post(way: &HttpWay<'_>, url: &Url, media_type: &str, body: &Secret) -> Result<HttpAnswer, Error> {
    let body = body.expose();
    ask(way, url, &head("POST", url, "application/json", Some((media_type, body.len()))), body)
}

fn head(method: &str, url: &Url, accept: &str, body: Option<(&str, usize)>) -> String {
    let mut head = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: popfetch/{}\r\nAccept: {accept}\r\nConnection: close\r\n",
        url.target(),
        url.authority(),
        env!("CARGO_PKG_VERSION"),
    );
    if let Some((media_type, length)) = body {
        head.push_str(&format!("Content-Type: {media_type}\r\nContent-Length: {length}\r\n"));
    }
    head + "\r\n"
}

fn ask(way: &HttpWay<'_>, url: &Url, head: &str, body: &[u8]) -> Result<HttpAnswer, Error> {
    let begun = Instant::now();
    let until = begun.checked_add(way.limit).unwrap_or(begun);
    let trust = Trust { ca_file: way.ca_file.map(Path::to_owned), ..Trust::default() };
    let route = way.route.beyond_pop3();
    // Half of it for name and address together, half for the handshake; a proxy's answer is a wait of its own.
    let parts = if matches!(route.route, Route::Proxy(_)) { 3 } else { 2 };
    let target = Target {
        host: url.host(),
        port: url.port(),
        way: &route,
        owner: None,
        tls: if url.is_secure() { Tls::Implicit } else { Tls::None },
        trust: &trust,
        timeout: way.limit / parts,
        without: &[],
    };
    let mut redactor = Redactor::default();
    route.secret().into_iter().for_each(|password| redactor.also(password));
    let connection = Connection::open(&target, way.connectors, way.stop)
        .map_err(|e| e.redacted(|words| redactor.redact(words).into_owned()))?;
    let server = connection.server().to_owned();
    if connection.channel() == Channel::Clear {
        return Err(Error::Clear { server });
    }
    let mut question = HttpExchange { connection, until, way };
    let mut request = Zeroizing::new(Vec::with_capacity(head.len().saturating_add(body.len())));
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(body);
    question.send(&request)?;
    let answer = question.answer()?;
    question.connection.close();
    if matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
        let to = answer.field("location").map(|to| {
            let to = to.split(['?', '#']).next().unwrap_or_default();
            printable(to.as_bytes()).chars().take(200).collect()
        });
        return Err(Error::Redirect { server, status: answer.status, to });
    }
    Ok(answer)
}

/// A connection on which one question is asked.
struct HttpExchange<'a> {
    connection: Connection,
    until: Instant,
    way: &'a HttpWay<'a>,
}

impl HttpExchange<'_> {
    fn send(&mut self, request: &[u8]) -> Result<(), Error> {
        let mut rest = request;
        while !rest.is_empty() {
            match self.connection.write(rest)? {
                Some(written) => rest = rest.get(written..).unwrap_or_default(),
                None => self.wait(true, rest.len() == request.len())?,
            }
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<HttpAnswer, Error> {
        let mut reader = AnswerReader::new();
        let mut buffer = Zeroizing::new(vec![0; BUFFER]);
        let server = self.connection.server().to_owned();
        let failed = |fault| Error::Fault { server: server.clone(), fault };
        loop {
            match self.connection.read(&mut buffer)? {
                Some(0) if !reader.has_begun() => return Err(Error::Closed { server }),
                Some(0) => break,
                Some(octets) => {
                    if reader.feed(buffer.get(..octets).unwrap_or_default()).map_err(failed)? {
                        break;
                    }
                }
                None => self.wait(false, false)?,
            }
        }
        reader.end().map_err(failed)
    }

    /// Waits for the connection; `unsent` while nothing of the question is sent.
    fn wait(&mut self, write: bool, unsent: bool) -> Result<(), Error> {
        let heed_stop = unsent || self.way.signal == SignalEnds::Always;
        if Instant::now() >= self.until {
            return Err(self.late());
        }
        match self.connection.wait(write, self.until, heed_stop, None)? {
            Wake::Ready | Wake::Woken => Ok(()),
            Wake::Stopped => Err(Error::Stopped { server: self.connection.server().to_owned() }),
            Wake::TimedOut => Err(self.late()),
        }
    }

    fn late(&self) -> Error {
        Error::TimedOut { server: self.connection.server().to_owned(), limit: self.way.limit }
    }
}
