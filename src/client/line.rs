//! The pump: moves octets between the protocol's state machine and the connection, keeps the deadlines, writes the
//! dialogue down for `-vv`.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::Error;
use crate::connection::{Connection, Patience, Wake};
use crate::protocol::command::Command;
use crate::protocol::error::Awaiting;
use crate::protocol::redact::Redactor;
use crate::protocol::session::{Event, Sent, Session};

/// Servers end a session after ten minutes of silence (RFC 1939 §3), some after five.
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// How long the answers in flight are read after a signal.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What [`super::Client::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// An event.
    Event,
    /// The other descriptor is readable.
    Woken,
    /// Nothing came for the time asked.
    Quiet,
    /// A signal asks to stop.
    Stopped,
}

/// Who is told the dialogue, line by line: `C: …`, `S: …`, fit to print, secrets hidden.
pub type Dialogue = Arc<dyn Fn(String) + Send + Sync>;

/// A session and its connection.
pub(super) struct Line {
    pub(super) session: Session,
    pub(super) connection: Connection,
    /// `HOST:PORT`.
    pub(super) server: String,
    timeout: Duration,
    /// The deadline of the answer that stands first in line.
    patience: Option<Patience>,
    /// The first UIDL or LIST may take the server long.
    listed: bool,
    /// A deadline over everything, once a signal has come.
    limit: Option<Instant>,
    stopped: bool,
    /// Since when nothing has been unanswered.
    resting: Option<Instant>,
    /// Commands sent since every command before was answered.
    flight: usize,
    pub(super) redactor: Redactor,
    dialogue: Option<Dialogue>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Line {
    pub(super) fn new(
        connection: Connection,
        server: String,
        timeout: Duration,
        dialogue: Option<Dialogue>,
    ) -> Self {
        Self {
            session: Session::new(),
            connection,
            server,
            timeout,
            patience: None,
            listed: false,
            limit: None,
            stopped: false,
            resting: None,
            flight: 0,
            redactor: Redactor::default(),
            dialogue,
        }
    }

    /// Queues a command; it goes out when an answer is awaited.
    pub(super) fn send(&mut self, command: Command) -> Result<(), Error> {
        if let Some(tell) = &self.dialogue {
            tell(format!("C: {}", command.redacted()));
        }
        let alone = self.session.outstanding() == 0;
        self.session.send(command).map_err(|e| self.protocol(e))?;
        self.resting = None;
        self.flight = if alone { 1 } else { self.flight.saturating_add(1) };
        Ok(())
    }

    /// Waits for the next event, also when a signal comes: the steps before and after retrieving are short.
    pub(super) fn event(&mut self) -> Result<(), Error> {
        while self.next(None, None)? != Next::Event {}
        Ok(())
    }

    pub(super) fn next(
        &mut self,
        wake: Option<BorrowedFd<'_>>,
        quiet: Option<Duration>,
    ) -> Result<Next, Error> {
        loop {
            if self.session.poll().map_err(|e| self.protocol(e))? {
                self.after_event();
                return Ok(Next::Event);
            }
            self.flush()?;
            match self.connection.read(self.session.room())? {
                Some(0) => return Err(self.end_of_stream()),
                Some(octets) => {
                    if let Some(patience) = &mut self.patience {
                        patience.brought(octets, Instant::now());
                    }
                    self.session.received(octets).map_err(|e| self.protocol(e))?;
                }
                None => {
                    if let Some(next) = self.wait(wake, quiet)? {
                        return Ok(next);
                    }
                }
            }
        }
    }

    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, quiet: Option<Duration>) -> Result<Option<Next>, Error> {
        let now = Instant::now();
        // Before the greeting no command is unanswered either, and yet something is due.
        let idle = self.session.awaiting() == Awaiting::Nothing;
        let patient_until = if idle {
            // Not from now on: whoever waits for something else may be woken again and again.
            *self.resting.get_or_insert(now) + KEEP_ALIVE
        } else {
            let factor = self.factor();
            let patience = self.patience.get_or_insert_with(|| Patience::new(self.timeout, factor, now));
            patience.resume(now);
            patience.until()
        };
        let mut until = self.limit.map_or(patient_until, |limit| limit.min(patient_until));
        if let Some(quiet) = quiet {
            until = until.min(now + quiet);
        }
        let writes = !self.session.outgoing().is_empty();
        let woken = self.connection.wait(writes, until, !self.stopped, wake)?;
        let now = Instant::now();
        if let Some(patience) = &mut self.patience {
            patience.pause(now);
        }
        Ok(match woken {
            Wake::Ready => None,
            Wake::Woken => Some(Next::Woken),
            Wake::Stopped => {
                self.stopped = true;
                self.limit = Some(now + LAST_ANSWERS);
                Some(Next::Stopped)
            }
            Wake::TimedOut if self.limit.is_some_and(|limit| now >= limit) => return Err(Error::Stopped),
            Wake::TimedOut if now < patient_until => Some(Next::Quiet),
            Wake::TimedOut if idle => {
                self.send(Command::Noop)?;
                None
            }
            Wake::TimedOut => {
                return Err(Error::TimedOut {
                    server: self.server.clone(),
                    during: self.session.awaiting().to_string(),
                    pipelined: self.flight > 1,
                });
            }
        })
    }

    /// How many time-outs the answer that stands first may take to begin.
    fn factor(&self) -> u32 {
        let Awaiting::Answer(sent) = self.session.awaiting() else { return 1 };
        match sent {
            Sent::Pass | Sent::Apop | Sent::Auth | Sent::SaslResponse | Sent::Quit => Patience::LONG,
            // Whichever is asked first makes the server read the maildrop, or index it.
            Sent::Stat | Sent::UniqueIds | Sent::UniqueIdOf(_) | Sent::List if !self.listed => Patience::LONG,
            _ => 1,
        }
    }

    /// A new answer, or a new part of one, begins with fresh patience.
    fn after_event(&mut self) {
        match self.session.event() {
            Event::Reply { to, .. } | Event::End { to, .. } => {
                self.listed |= matches!(to, Sent::UniqueIds | Sent::List);
                self.patience = None;
            }
            Event::Greeting(_) | Event::Challenge(_) => self.patience = None,
            _ => {}
        }
        if let Some(tell) = &self.dialogue
            && let Some(line) = self.describe()
        {
            tell(line);
        }
    }

    fn describe(&self) -> Option<String> {
        Some(match self.session.event() {
            Event::Greeting(reply) | Event::Reply { reply, .. } | Event::Farewell(reply) => {
                let status = if reply.ok { "+OK" } else { "-ERR" };
                format!("S: {status} {}", self.quote(reply.text)).trim_end().to_owned()
            }
            Event::Challenge(_) => "S: + [redacted]".to_owned(),
            Event::Line { line, .. } => format!("S: {}", self.quote(line)),
            Event::End { .. } => "S: .".to_owned(),
            Event::Text { .. } => return None,
        })
    }

    fn flush(&mut self) -> Result<(), Error> {
        while !self.session.outgoing().is_empty() {
            match self.connection.write(self.session.outgoing())? {
                Some(octets) => self.session.wrote(octets),
                None => break,
            }
        }
        Ok(())
    }

    /// Writes what the line takes; for a `QUIT` whose answer nobody awaits.
    pub(super) fn flush_without_waiting(&mut self) {
        // If it doesn't go out, the server times the session out: nothing was retrieved or deleted in it.
        let _ = self.flush();
    }

    pub(super) fn close(self) {
        self.connection.close();
    }

    /// A server's words, fit to print: nothing that steers a terminal, and no secret of ours.
    pub(super) fn quote(&self, octets: &[u8]) -> String {
        self.redactor.printable(octets)
    }

    pub(super) fn farewell(&self, text: &[u8]) -> Error {
        Error::Farewell { server: self.server.clone(), text: self.quote(text) }
    }

    pub(super) fn protocol(&self, source: crate::protocol::error::Error) -> Error {
        // Servers echo what they were sent.
        let source = source.redacted(|words| self.redactor.redact(words).into_owned());
        Error::Protocol { server: self.server.clone(), source }
    }

    fn end_of_stream(&mut self) -> Error {
        let e = self.session.end_of_stream();
        self.protocol(e)
    }
}
