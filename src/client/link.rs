//! The pump: moves octets between the protocol's state machine and the connection, keeps the deadlines, writes the
//! dialogue down for `-vv`.

use std::cell::Cell;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::Error;
use crate::connection::{Connection, Patience, SessionPace, Wake};
use crate::protocol::command::Command;
use crate::protocol::error::Awaiting;
use crate::protocol::framing;
use crate::protocol::redact::Redactor;
use crate::protocol::session::{Reply, ResponseCode, Sent, ServerEvent, Session};
use crate::text::shown_by;
use crate::types::wide;

/// Servers end a session after ten minutes of silence (RFC 1939 §3), some after five.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// How long the answers in flight are read after a signal.
pub(super) const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// The bounds of a brief wait.
const LEAST_WAIT: Duration = Duration::from_secs(1);
const MOST_WAIT: Duration = Duration::from_secs(8);

/// What is shown of a server's words: more than any sentence needs.
const REPORTED_CHARACTERS: usize = 400;

/// How often a session quotes its server.  One that refuses a hundred thousand messages has made its point by then.
const QUOTES: u32 = 200;

/// What [`super::Client::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Event,
    /// The other descriptor is readable.
    Woken,
    /// Nothing came for the time asked.
    Quiet,
    Stopped,
}

/// Gets the dialogue, line by line: `C: …`, `S: …`, fit to print, secrets hidden.
pub(crate) type Dialogue = Arc<dyn Fn(String) + Send + Sync>;

/// A single-line answer, taken out of the buffer.
pub(super) struct Answer {
    pub(super) ok: bool,
    pub(super) code: Option<ResponseCode>,
    pub(super) text: Vec<u8>,
}

impl Answer {
    pub(super) fn of(reply: Reply<'_>) -> Self {
        Self { ok: reply.ok, code: reply.code, text: reply.text.to_vec() }
    }
}

/// A session and its connection.
pub(super) struct Link {
    pub(super) session: Session,
    pub(super) connection: Connection,
    /// `HOST:PORT`.
    pub(super) server: String,
    timeout: Duration,
    /// The deadline of the answer that stands first in line.
    patience: Option<Patience>,
    /// The whole session's.
    pace: SessionPace,
    /// In the header of a message: the last octet that came of it.
    header: Option<u8>,
    /// The next answer is awaited no longer than this.
    brief: Option<Duration>,
    /// The first UIDL or LIST may take the server long.
    listed: bool,
    /// Whether anything of a message was asked for: its header, or all of it.
    pub(super) has_looked: bool,
    /// A deadline over everything, once a signal has come.
    pub(super) limit: Option<Instant>,
    stopped: bool,
    /// Since when nothing has been unanswered.
    pub(super) resting: Option<Instant>,
    /// Commands sent since every command before was answered.
    flight: usize,
    pub(super) redactor: Redactor,
    dialogue: Option<Dialogue>,
    /// What of an answer isn't shown in the dialogue.
    excerpt: DialogueExcerpt,
    /// How often the server may still be quoted.
    quotes: Cell<u32>,
}

/// What of an answer isn't shown in the dialogue: the text of messages, and the middle of long listings.
#[derive(Debug, Default)]
struct DialogueExcerpt {
    lines: usize,
    last: VecDeque<String>,
    octets: u64,
}

impl DialogueExcerpt {
    /// Lines of a listing that are shown at its beginning, and at its end.
    const SHOWN: usize = 3;

    /// A line of a listing, if it is shown at once.
    fn line(&mut self, line: String) -> Option<String> {
        self.lines = self.lines.saturating_add(1);
        if self.lines <= Self::SHOWN {
            return Some(line);
        }
        if self.last.len() == Self::SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(line);
        None
    }

    /// The answer has ended: the lines that sum up the rest of it.
    fn end(&mut self) -> Vec<String> {
        let Self { lines, last, octets } = std::mem::take(self);
        let hidden = lines.saturating_sub(Self::SHOWN).saturating_sub(last.len());
        let mut shown = Vec::new();
        if octets > 0 {
            shown.push(format!("S: \u{2026} {octets} bytes"));
        }
        if hidden > 0 {
            shown.push(format!("S: \u{2026} {hidden} lines"));
        }
        shown.extend(last);
        shown
    }
}

shown_by!(Link, server);

impl Link {
    pub(super) fn new(
        connection: Connection,
        server: String,
        timeout: Duration,
        redactor: Redactor,
        dialogue: Option<Dialogue>,
    ) -> Self {
        Self {
            session: Session::new(),
            connection,
            server,
            timeout,
            patience: None,
            pace: SessionPace::new(timeout),
            header: None,
            brief: None,
            listed: false,
            has_looked: false,
            limit: None,
            stopped: false,
            resting: None,
            flight: 0,
            redactor,
            dialogue,
            excerpt: DialogueExcerpt::default(),
            quotes: Cell::new(QUOTES),
        }
    }

    /// Queues a command; it goes out when an answer is awaited.
    pub(super) fn send(&mut self, command: Command) -> Result<(), Error> {
        if let Some(dialogue) = &self.dialogue {
            dialogue(format!("C: {}", command.redacted()));
        }
        let alone = self.session.outstanding() == 0;
        self.has_looked |= matches!(command, Command::Retr(_) | Command::Top(..));
        self.session.send(command).map_err(|e| self.protocol(e))?;
        self.resting = None;
        self.flight = if alone { 1 } else { self.flight.saturating_add(1) };
        Ok(())
    }

    /// The next answer is awaited for a part of the time-out only: where another way is open, should it not come.
    pub(super) fn be_brief(&mut self) {
        self.brief = Some((self.timeout / 8).clamp(LEAST_WAIT, MOST_WAIT).min(self.timeout));
    }

    /// Waits for the next event, also when a signal comes: the steps before and after retrieving are short.
    pub(super) fn event(&mut self) -> Result<(), Error> {
        while self.next(None, None)? != Next::Event {}
        Ok(())
    }

    /// The single-line answer to `to`.
    pub(super) fn answer(&mut self, to: Sent) -> Result<Answer, Error> {
        loop {
            self.event()?;
            match self.session.event() {
                ServerEvent::Reply { to: answered, reply } if answered == to => return Ok(Answer::of(reply)),
                ServerEvent::Farewell(reply) => return Err(self.farewell(reply.text)),
                _ => {}
            }
        }
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
            // Before each read: octets that pour in would otherwise never let a signal be seen.
            if let Some(next) = self.stop()? {
                return Ok(next);
            }
            // A server that has sent why it ends the session doesn't take any more: its reason is read first.
            let written = self.flush();
            match self.connection.read(self.session.room())? {
                Some(0) => return Err(self.end_of_stream()),
                Some(octets) => {
                    self.pace.brought(octets);
                    if let Some(patience) = &mut self.patience {
                        let now = Instant::now();
                        patience.brought(octets, now);
                        // A gateway's keep-alive is a line of the header; an octet now and then is nothing.
                        let came = self.session.room().get(..octets).unwrap_or_default();
                        if self.header.is_some() && came.contains(&b'\n') {
                            patience.lives(now);
                        }
                    }
                    self.session.received(octets).map_err(|e| self.protocol(e))?;
                }
                None => {
                    written?;
                    if let Some(next) = self.wait(wake, quiet)? {
                        return Ok(next);
                    }
                }
            }
        }
    }

    /// Whether a signal has come that the caller doesn't know of, or the time after one is over.
    fn stop(&mut self) -> Result<Option<Next>, Error> {
        if !self.stopped && self.connection.is_stopped() {
            self.stopped = true;
            self.limit = Some(Instant::now() + LAST_ANSWERS);
            return Ok(Some(Next::Stopped));
        }
        match self.limit {
            Some(limit) if Instant::now() >= limit => Err(Error::Stopped),
            _ => Ok(None),
        }
    }

    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, quiet: Option<Duration>) -> Result<Option<Next>, Error> {
        let now = Instant::now();
        // Before the greeting no command is unanswered either, and yet something is due.
        let idle = self.session.awaiting() == Awaiting::Nothing;
        let patient_until = if idle {
            // Not from now on: a caller that waits for something else may be woken again and again.
            *self.resting.get_or_insert(now) + KEEP_ALIVE
        } else {
            let (timeout, factor) =
                self.brief.map_or_else(|| (self.timeout, self.factor()), |brief| (brief, 1));
            let patience = self.patience.get_or_insert_with(|| Patience::new(timeout, factor, now));
            patience.resume(now);
            patience.until()
        };
        let mut until = self.limit.map_or(patient_until, |limit| limit.min(patient_until));
        if let Some(quiet) = quiet {
            until = until.min(now + quiet);
        }
        let writes = !self.session.outgoing().is_empty();
        let woken = self.connection.wait(writes, until, !self.stopped, wake)?;
        let began = now;
        let now = Instant::now();
        if let Some(patience) = &mut self.patience {
            patience.pause(now);
        }
        if !idle && self.factor() == 1 && !self.pace.listened(now.saturating_duration_since(began)) {
            let (time, octets) = self.pace.so_far();
            return Err(Error::TooSlow { server: self.server.clone(), octets, time });
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
            ServerEvent::Reply { to, .. } | ServerEvent::End { to, .. } => {
                self.listed |= matches!(to, Sent::UniqueIds | Sent::List);
                self.patience = None;
                self.brief = None;
                // The blank line ends it, which may come first.
                let begins = matches!(to, Sent::Retr(_) | Sent::Top(_)) && self.session.is_in_text();
                self.header = begins.then_some(b'\n');
            }
            ServerEvent::Text { text, .. } => {
                let ends = self.header.is_none_or(|before| framing::has_empty_line(before, text));
                self.header = text.last().copied().filter(|_| !ends);
            }
            ServerEvent::Greeting(_) | ServerEvent::Challenge(_) => self.patience = None,
            _ => {}
        }
        if let Some(dialogue) = self.dialogue.clone() {
            self.describe().into_iter().for_each(|line| dialogue(line));
        }
    }

    /// The lines that show the present event.
    fn describe(&mut self) -> Vec<String> {
        match self.session.event() {
            ServerEvent::Greeting(reply)
            | ServerEvent::Reply { reply, .. }
            | ServerEvent::Farewell(reply) => {
                let status = if reply.ok { "+OK" } else { "-ERR" };
                vec![format!("S: {status} {}", self.shown(reply.text)).trim_end().to_owned()]
            }
            ServerEvent::Challenge(_) => vec!["S: + [redacted]".to_owned()],
            ServerEvent::Line { to, line } => {
                let (to, line) = (to, format!("S: {}", self.shown(line)));
                match to {
                    Sent::UniqueIds | Sent::List => self.excerpt.line(line).into_iter().collect(),
                    _ => vec![line],
                }
            }
            ServerEvent::End { .. } => {
                let mut lines = self.excerpt.end();
                lines.push("S: .".to_owned());
                lines
            }
            ServerEvent::Text { text, .. } => {
                let octets = wide(text.len());
                self.excerpt.octets = self.excerpt.octets.saturating_add(octets);
                Vec::new()
            }
        }
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

    /// Writes what the connection takes; for a `QUIT` whose answer isn't awaited.
    pub(super) fn flush_without_waiting(&mut self) {
        // If it doesn't go out, the server times the session out: nothing was retrieved or deleted in it.
        let _ = self.flush();
    }

    pub(super) fn close(self) {
        self.connection.close();
    }

    /// A server's words, fit to print: nothing that steers a terminal, and no secret of ours.
    pub(super) fn shown(&self, octets: &[u8]) -> String {
        self.redactor.printable(octets)
    }

    /// [`Link::shown`] for a report or an error, shortened; after [`QUOTES`] quotations nothing but dots.
    pub(super) fn quote(&self, octets: &[u8]) -> String {
        let Some(left) = self.quotes.get().checked_sub(1) else { return "…".to_owned() };
        self.quotes.set(left);
        let mut text = self.shown(octets);
        if let Some((end, _)) = text.char_indices().nth(REPORTED_CHARACTERS) {
            text.truncate(end);
            text.push('…');
        }
        text
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LEAST_WAIT, Link, MOST_WAIT, Next};
    use crate::client::Error;
    use crate::client::tests::{after_login, n};
    use crate::connection::Patience;
    use crate::protocol::command::Command;
    use crate::types::MessageNumber;

    /// A line after the login, that nothing comes on but what the test puts there.
    fn with(work: impl FnOnce(&mut Link)) {
        after_login("", |client| work(&mut client.link));
    }

    /// These octets come; whether they make an event.
    fn comes(line: &mut Link, octets: &[u8]) -> bool {
        line.session.wrote(line.session.outgoing().len());
        line.session.room()[..octets.len()].copy_from_slice(octets);
        line.session.received(octets.len()).unwrap();
        let mut any = false;
        while line.session.poll().unwrap() {
            line.after_event();
            any = true;
        }
        any
    }

    /// A gateway's keep-alive lines count as life before a header's end, and nowhere else.
    #[test]
    fn a_header_lasts_until_its_blank_line() {
        let retr: fn(MessageNumber) -> Command = Command::Retr;
        let top: fn(MessageNumber) -> Command = |number| Command::Top(number, 0);
        let cases: [(&[&[u8]], &[bool]); 6] = [
            (&[b"A: b\r\n", b"C: d\r\n", b"\r\n", b"text\r\n"], &[true, true, false, false]),
            (&[b"\r\ntext\r\n", b"more\r\n"], &[false, false]),
            (&[b"A: b\r\n\r\ntext\r\n"], &[false]),
            (&[b"A: b\r\nC", b": d\r\n", b"\r\ntext"], &[true, true, false]),
            (&[b"A", b"\r\n", b"b\r\n"], &[true, true, true]),
            (&[b"A: b\r\n", b".\r\n"], &[true, false]),
        ];
        for (pieces, expected) in cases {
            for command in [retr, top] {
                with(|line| {
                    line.send(command(n(1))).unwrap();
                    assert!(line.header.is_none());
                    comes(line, b"+OK\r\n");
                    assert!(line.header.is_some(), "it begins with the answer");
                    let found: Vec<bool> = pieces
                        .iter()
                        .map(|piece| {
                            comes(line, piece);
                            line.header.is_some()
                        })
                        .collect();
                    assert_eq!(found, expected, "{pieces:?}");
                });
            }
        }
        with(|line| {
            line.send(Command::Retr(n(1))).unwrap();
            comes(line, b"-ERR\r\n");
            assert!(line.header.is_none(), "nothing comes");
            line.send(Command::Uidl(None)).unwrap();
            comes(line, b"+OK\r\n1 a\r\n");
            assert!(line.header.is_none(), "a listing has none");
        });
    }

    /// Logins, QUIT, and whichever listing comes first may take a server long; nothing else may.
    #[test]
    fn only_what_costs_a_server_work_is_waited_for_longer() {
        let long = Patience::LONG;
        with(|line| {
            let steps: [(Command, u32, &[u8]); 9] = [
                (Command::Noop, 1, b"+OK\r\n"),
                (Command::Retr(n(1)), 1, b"-ERR\r\n"),
                (Command::Stat, long, b"+OK 1 1\r\n"),
                (Command::Uidl(Some(n(1))), long, b"+OK 1 a\r\n"),
                (Command::Uidl(None), long, b"+OK\r\n.\r\n"),
                (Command::List(None), 1, b"+OK\r\n.\r\n"),
                (Command::Stat, 1, b"+OK 1 1\r\n"),
                (Command::Uidl(Some(n(1))), 1, b"+OK 1 a\r\n"),
                (Command::Quit, long, b"+OK\r\n"),
            ];
            for (command, expected, answer) in steps {
                let what = format!("{command:?}");
                line.send(command).unwrap();
                assert_eq!(line.factor(), expected, "{what}");
                assert!(comes(line, answer));
                assert_eq!(line.factor(), 1, "nothing is due");
            }
        });
        with(|line| {
            line.send(Command::List(None)).unwrap();
            comes(line, b"-ERR\r\n");
            line.send(Command::Uidl(None)).unwrap();
            assert_eq!(line.factor(), 1, "it has been asked for one");
        });
    }

    /// A brief wait holds for one answer, and is never longer than an ordinary one.
    #[test]
    fn a_brief_wait_is_a_part_of_the_timeout_and_holds_once() {
        let seconds = Duration::from_secs;
        for (timeout, expected) in
            [(seconds(60), seconds(60) / 8), (seconds(4), LEAST_WAIT), (seconds(600), MOST_WAIT)]
        {
            with(|line| {
                line.timeout = timeout;
                line.be_brief();
                assert_eq!(line.brief, Some(expected), "{timeout:?}");
                line.patience = Some(Patience::new(timeout, 1, Instant::now()));
                line.send(Command::Noop).unwrap();
                comes(line, b"+OK\r\n");
                assert!(line.brief.is_none() && line.patience.is_none(), "the next answer has its own");
            });
        }
        with(|line| {
            line.timeout = Duration::from_millis(500);
            line.be_brief();
            assert_eq!(line.brief, Some(Duration::from_millis(500)));
        });
    }

    /// Else a long session counts as one in which next to nothing comes.
    #[test]
    fn what_comes_counts_for_the_pace_of_the_session() {
        let answer = "x".repeat(300);
        after_login(&format!("C: NOOP\nS: +OK {answer}\n"), |client| {
            let (_, before) = client.link.pace.so_far();
            client.link.send(Command::Noop).unwrap();
            client.link.event().unwrap();
            let (_, octets) = client.link.pace.so_far();
            assert!((300..400).contains(&(octets - before)), "{before} {octets}");
        });
    }

    /// Only what shared a flight with other commands can have been lost for that reason.
    #[test]
    fn a_flight_begins_when_everything_before_is_answered() {
        with(|line| {
            let mut flights = Vec::new();
            for answers in [0, 0, 2, 0, 1] {
                for _ in 0..answers {
                    comes(line, b"+OK\r\n");
                }
                line.resting = Some(Instant::now());
                line.send(Command::Noop).unwrap();
                assert!(line.resting.is_none());
                flights.push(line.flight);
            }
            assert_eq!(flights, [1, 2, 1, 2, 3]);
        });
    }

    /// Once a signal has come, and the time for the last answers is over, nothing more is read.
    #[test]
    fn after_a_signal_answers_are_awaited_for_a_limited_time() {
        with(|line| {
            line.limit = Some(Instant::now());
            line.send(Command::Noop).unwrap();
            assert!(matches!(line.next(None, None), Err(Error::Stopped)));
        });
        with(|line| {
            let quiet = line.next(None, Some(Duration::ZERO)).unwrap();
            assert_eq!(quiet, Next::Quiet);
            assert!(line.limit.is_none() && !line.stopped);
        });
    }

    /// The session knows whether anything of a message was asked for: such a session isn't ended by QUIT lightly.
    #[test]
    fn what_was_asked_of_a_message_is_remembered() {
        for (command, expected) in [
            (Command::Noop, false),
            (Command::Uidl(None), false),
            (Command::Dele(n(1)), false),
            (Command::Top(n(1), 0), true),
            (Command::Retr(n(1)), true),
        ] {
            with(|line| {
                line.send(command.clone()).unwrap();
                assert_eq!(line.has_looked, expected, "{command:?}");
            });
        }
    }
}
