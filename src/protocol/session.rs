//! The dialogue with a server: commands in and octets out, octets in and events out.
//!
//! The session holds a queue of the answers that are due, so that pipelining is a matter of how many commands are sent
//! before the first answer is read.  It must not know about sockets, time, accounts or what a listing means.
//! RFC 1939 §3-§6; RFC 2449 §4 and §6.6; RFC 2595 §4; RFC 5034 §4.

use std::collections::VecDeque;

use super::buffer::{Input, Output, Span};
use super::command::{AnswerForm, Command, NotSent};
use super::error::{Awaiting, Error, ServerWords};
use super::framing::{BodyDecoder, Front, LineEnd, front, unstuffed};
use super::limits::{CHALLENGE_LIMIT, LISTING_LINE_LIMIT, LISTING_OCTETS, STATUS_LINE_LIMIT, TOP_OCTETS};
use super::response::{StatusLine, status_line};
use crate::types::{MessageNumber, wide};

pub(crate) use super::command::Sent;
pub use super::response::Reply;
pub(crate) use super::response::ResponseCode;

/// What a TLS record begins with when it's an alert or a handshake (RFC 8446 §5.1).
const TLS_RECORDS: [u8; 2] = [0x15, 0x16];

/// One session, from the greeting to the end.
#[derive(Debug)]
pub struct Session {
    input: Input,
    output: Output,
    /// Commands whose answers have not begun, oldest first.
    expected: VecDeque<ExpectedAnswer>,
    /// The octets of their lines.
    unanswered_octets: usize,
    state: State,
    reading: ReadState,
    line_end: LineEnd,
    found: Option<EventSpans>,
}

#[derive(Debug, Clone, Copy)]
struct ExpectedAnswer {
    to: Sent,
    octets: usize,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The server, with its greeting.
    Greeting,
    /// The client, with any command.
    Open,
    /// The client, with the answer to a challenge.
    Challenged,
    /// TLS: STLS was accepted.
    Securing,
    /// Nothing may be sent any more.
    Over,
}

/// What the next unread octet belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReadState {
    /// A status line, or nothing that was asked for.
    Status,
    /// The lines of an answer: how many there were, and their octets.
    Lines { to: Sent, limit: usize, lines: usize, octets: u64 },
    /// The text of a message.
    Text { to: Sent, number: MessageNumber, body: BodyDecoder, octets: u64 },
}

/// An event, as places in the input.
#[derive(Debug, Clone, Copy)]
enum EventSpans {
    Greeting(StatusSpans),
    Reply(Sent, StatusSpans),
    Challenge(Span),
    Line(Sent, Span),
    Text(MessageNumber, Span),
    End(Sent, u64),
    Farewell(StatusSpans),
}

#[derive(Debug, Clone, Copy)]
struct StatusSpans {
    ok: bool,
    code: Option<ResponseCode>,
    text: Span,
}

/// What the server sent, lent from the session's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerEvent<'a> {
    /// The greeting; not ok: the server refuses to serve, its code gives the reason.
    Greeting(Reply<'a>),
    /// The answer to a command, or the first line of a multi-line one.  Lines or text follow only if it's ok.
    Reply {
        /// The command.
        to: Sent,
        /// Its answer.
        reply: Reply<'a>,
    },
    /// A SASL challenge, still in base64, without blanks around it; perhaps of no octets.  Only a
    /// [`Command::SaslResponse`] or a [`Command::SaslCancel`] can follow.
    Challenge(&'a [u8]),
    /// A line of CAPA, LIST or UIDL: unstuffed, without its end.
    Line {
        /// The command.
        to: Sent,
        /// The line.
        line: &'a [u8],
    },
    /// Some text of RETR or TOP: unstuffed, line ends LF; the pieces of a message joined are the message, whose last
    /// line always has its LF.
    Text {
        /// The message that was asked for.
        number: MessageNumber,
        /// At least one octet.
        text: &'a [u8],
    },
    /// The end of a multi-line answer.  After RETR and TOP it isn't to be trusted on its own: a server that forgets to stuff
    /// a dot ends a message too early, and its rest is read as answers, which the sender of the mail may have written.
    End {
        /// The command.
        to: Sent,
        /// What came, as servers count a message: with line ends as sent, without stuffing and terminator
        /// (RFC 1939 §11).  0: not an octet of the message came.
        octets: u64,
    },
    /// An `-ERR` that answers nothing: the server closes the session, for instance after too long a silence.
    Farewell(Reply<'a>),
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A session that awaits the greeting.
    #[must_use]
    pub fn new() -> Self {
        Self {
            input: Input::default(),
            output: Output::default(),
            expected: VecDeque::new(),
            unanswered_octets: 0,
            state: State::Greeting,
            reading: ReadState::Status,
            line_end: LineEnd::CrLf,
            found: None,
        }
    }

    /// Queues a command's octets, and its answer among those that are due.
    ///
    /// # Errors
    /// [`Error::CommandRefusedLocally`] when the command can't be sent, or not now; the session may go on.
    /// [`Error::Unsolicited`] or [`Error::Farewell`] when the server has sent something that was not asked for and has
    /// not been read: the answers could no longer be matched to their commands.
    pub fn send(&mut self, command: Command) -> Result<(), Error> {
        let to = command.sent();
        let refused = |why| Error::CommandRefusedLocally { command: to, why };
        self.may_send(to).map_err(refused)?;
        if self.expected.is_empty() && self.reading == ReadState::Status && !self.input.is_empty() {
            self.state = State::Over;
            return Err(unasked(self.input.unread()));
        }
        let line = command.line().map_err(refused)?;
        let octets = line.expose().len();
        self.output.push(&line, command.is_secret());
        self.expected.push_back(ExpectedAnswer { to, octets });
        self.unanswered_octets = self.unanswered_octets.saturating_add(octets);
        if self.state == State::Challenged {
            self.state = State::Open;
        }
        Ok(())
    }

    fn may_send(&self, to: Sent) -> Result<(), NotSent> {
        let answers_challenge = matches!(to, Sent::SaslResponse | Sent::SaslCancel);
        match self.state {
            State::Greeting => return Err(NotSent::NoGreeting),
            State::Securing => return Err(NotSent::HandshakeDue),
            State::Over => return Err(NotSent::Over),
            State::Challenged if !answers_challenge => return Err(NotSent::ChallengeDue),
            State::Open if answers_challenge => return Err(NotSent::NoChallenge),
            State::Challenged | State::Open => {}
        }
        match self.expected.back() {
            Some(last) if last.to.is_barrier() => Err(NotSent::Unanswered(last.to)),
            _ => Ok(()),
        }
    }

    /// Octets to be written now.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.output.unwritten()
    }

    /// This many of them were written.  To be called before what the server sends next is read.
    pub fn wrote(&mut self, octets: usize) {
        self.output.wrote(octets);
    }

    /// Commands that are not completely answered.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.expected.len().saturating_add(usize::from(self.reading != ReadState::Status))
    }

    /// The octets of the commands whose answers have not begun: what may lie unread in the server's buffers.
    #[must_use]
    pub fn outstanding_octets(&self) -> usize {
        self.unanswered_octets
    }

    /// What the server owes.
    #[must_use]
    pub fn awaiting(&self) -> Awaiting {
        match (self.state, &self.reading, self.expected.front()) {
            (State::Greeting, ..) => Awaiting::Greeting,
            (State::Securing, ..) => Awaiting::Handshake,
            (State::Challenged, ..) => Awaiting::Rest(Sent::Auth),
            (_, ReadState::Lines { to, .. } | ReadState::Text { to, .. }, _) => Awaiting::Rest(*to),
            (_, ReadState::Status, Some(first)) => Awaiting::Answer(first.to),
            (_, ReadState::Status, None) => Awaiting::Nothing,
        }
    }

    /// Whether the text of a message has begun, and not ended.
    #[must_use]
    pub fn is_in_text(&self) -> bool {
        matches!(self.reading, ReadState::Text { .. })
    }

    /// Where the next read goes.  Ends the loan of the last event.  There is room whenever [`Session::poll`] has
    /// returned `false`.
    pub fn room(&mut self) -> &mut [u8] {
        self.found = None;
        self.input.room()
    }

    /// So many octets were read into [`Session::room`].
    ///
    /// # Errors
    /// [`Error::InjectionAfterStls`] when TLS was about to begin: they are not TLS's, and must not be read.
    pub fn received(&mut self, octets: usize) -> Result<(), Error> {
        self.input.received(octets);
        self.check_injection()
    }

    fn check_injection(&mut self) -> Result<(), Error> {
        if self.state == State::Securing && !self.input.is_empty() {
            self.state = State::Over;
            return Err(Error::InjectionAfterStls);
        }
        Ok(())
    }

    /// What the end of the stream means here.  After [`Session::poll`] has returned `false`.
    pub fn end_of_stream(&mut self) -> Error {
        let during = self.awaiting();
        self.state = State::Over;
        let unread = self.input.unread();
        // Half a status line is a lost connection; half of anything else is not POP3.
        if self.reading == ReadState::Status && !may_become_status_line(unread) {
            return match during {
                Awaiting::Nothing => unasked(unread),
                awaiting => Error::NotPop3 { awaiting, came: ServerWords::new(unread) },
            };
        }
        Error::Closed { during }
    }

    /// The line is TLS's from here on: to be called when STLS was accepted, before the first octet of the handshake is
    /// read.  All that came in clear is void, and so is what the caller has learnt from it: timestamp, capabilities.
    ///
    /// # Errors
    /// [`Error::InjectionAfterStls`] when anything came after the answer; [`Error::CommandRefusedLocally`] when STLS
    /// was not accepted.
    pub fn starttls_done(&mut self) -> Result<(), Error> {
        if self.state != State::Securing {
            return Err(Error::CommandRefusedLocally { command: Sent::Stls, why: NotSent::NoHandshake });
        }
        self.check_injection()?;
        *self = Self { state: State::Open, ..Self::new() };
        Ok(())
    }

    /// Goes on to the next event; `false`: more octets are needed.
    ///
    /// # Errors
    /// When the server breaks the protocol or a limit.  The session is over then: nothing can be sent any more, and
    /// what came since the last answer that named a message is void.
    pub fn poll(&mut self) -> Result<bool, Error> {
        self.found = None;
        let found = match self.reading {
            ReadState::Status => self.poll_status(),
            ReadState::Lines { .. } => self.poll_line(),
            ReadState::Text { .. } => self.poll_text(),
        };
        if found.is_err() {
            self.state = State::Over;
        }
        self.found = found?;
        Ok(self.found.is_some())
    }

    /// The event that [`Session::poll`] found, until the next call of anything but [`Session::send`].  At any other
    /// moment it's a farewell without words, the event at which every caller stops.
    #[must_use]
    pub fn event(&self) -> ServerEvent<'_> {
        let reply = |status: StatusSpans| Reply {
            ok: status.ok,
            code: status.code,
            text: self.input.get(status.text),
        };
        match self.found {
            Some(EventSpans::Greeting(status)) => ServerEvent::Greeting(reply(status)),
            Some(EventSpans::Reply(to, status)) => ServerEvent::Reply { to, reply: reply(status) },
            Some(EventSpans::Challenge(span)) => ServerEvent::Challenge(self.input.get(span)),
            Some(EventSpans::Line(to, span)) => ServerEvent::Line { to, line: self.input.get(span) },
            Some(EventSpans::Text(number, span)) => ServerEvent::Text { number, text: self.input.get(span) },
            Some(EventSpans::End(to, octets)) => ServerEvent::End { to, octets },
            Some(EventSpans::Farewell(status)) => ServerEvent::Farewell(reply(status)),
            None => ServerEvent::Farewell(Reply { ok: false, code: None, text: &[] }),
        }
    }

    fn poll_status(&mut self) -> Result<Option<EventSpans>, Error> {
        self.check_injection()?;
        let due = self.due();
        let awaiting = self.awaiting();
        let unread = self.input.unread();
        if awaiting == Awaiting::Greeting && unread.first().is_some_and(|first| TLS_RECORDS.contains(first)) {
            return Err(Error::LooksLikeTls);
        }
        let may_be_challenged = due.is_some_and(|due| due.to.may_be_challenged());
        let limit = if may_be_challenged { CHALLENGE_LIMIT } else { STATUS_LINE_LIMIT };
        let (length, end) = match front(unread, LineEnd::Lf, limit) {
            Front::Line { length, end } => (length, end),
            Front::Partial => return Ok(None),
            Front::TooLong => return Err(Error::LineTooLong { awaiting, limit }),
        };
        let line = unread.get(..length).unwrap_or_default();
        let used = length.saturating_add(end);
        let span = self.input.span(length);
        let status = |reply: Reply<'_>| StatusSpans {
            ok: reply.ok,
            code: reply.code,
            text: span.last(reply.text.len()),
        };
        match (status_line(line), due) {
            (Some(StatusLine::Reply(reply)), None) if awaiting == Awaiting::Greeting => {
                let status = status(reply);
                self.line_end = if end == 1 { LineEnd::Lf } else { LineEnd::CrLf };
                self.state = if status.ok { State::Open } else { State::Over };
                self.input.consume(used);
                Ok(Some(EventSpans::Greeting(status)))
            }
            (Some(StatusLine::Reply(reply)), None) if !reply.ok => {
                let status = status(reply);
                self.state = State::Over;
                self.input.consume(used);
                Ok(Some(EventSpans::Farewell(status)))
            }
            (Some(StatusLine::Reply(reply)), Some(due)) => {
                let status = status(reply);
                self.input.consume(used);
                self.answered(due, status.ok);
                Ok(Some(EventSpans::Reply(due.to, status)))
            }
            (Some(StatusLine::Continuation(challenge)), Some(due)) if may_be_challenged => {
                let challenge = self.input.span(line.trim_ascii_end().len()).last(challenge.len());
                self.input.consume(used);
                self.answered(due, false);
                self.state = State::Challenged;
                Ok(Some(EventSpans::Challenge(challenge)))
            }
            (_, None) if awaiting != Awaiting::Greeting => Err(unasked(unread)),
            _ => Err(Error::NotPop3 { awaiting, came: ServerWords::new(line) }),
        }
    }

    /// The command that the next status line answers.  A line that comes before its command was written answers
    /// nothing: it's a farewell that crossed the command on the way, or it was there before the command was sent.
    fn due(&self) -> Option<ExpectedAnswer> {
        let first = self.expected.front().copied()?;
        let behind = self.unanswered_octets.saturating_sub(first.octets);
        (self.output.unwritten().len() <= behind).then_some(first)
    }

    /// The answer to the first command of the queue has begun.
    fn answered(&mut self, due: ExpectedAnswer, ok: bool) {
        self.expected.pop_front();
        self.unanswered_octets = self.unanswered_octets.saturating_sub(due.octets);
        match due.to {
            Sent::Stls if ok => self.state = State::Securing,
            Sent::Quit => self.state = State::Over,
            _ => {}
        }
        if ok {
            self.reading = match due.to.answer() {
                AnswerForm::Single => ReadState::Status,
                AnswerForm::Lines(limit) => ReadState::Lines { to: due.to, limit, lines: 0, octets: 0 },
                AnswerForm::Text(number) => {
                    ReadState::Text { to: due.to, number, body: BodyDecoder::new(self.line_end), octets: 0 }
                }
            };
        }
    }

    fn poll_line(&mut self) -> Result<Option<EventSpans>, Error> {
        let awaiting = self.awaiting();
        let ReadState::Lines { to, limit, lines, octets } = &mut self.reading else { return Ok(None) };
        let unread = self.input.unread();
        let (length, end) = match front(unread, self.line_end, LISTING_LINE_LIMIT) {
            Front::Line { length, end } => (length, end),
            Front::Partial => return Ok(None),
            Front::TooLong => return Err(Error::LineTooLong { awaiting, limit: LISTING_LINE_LIMIT }),
        };
        let to = *to;
        let line = unread.get(..length).unwrap_or_default();
        let found = match unstuffed(line) {
            None => EventSpans::End(to, *octets),
            Some(_) if *lines >= *limit => return Err(Error::TooManyLines { to, limit: *limit }),
            Some(_) if *octets > LISTING_OCTETS => {
                return Err(Error::AnswerTooLarge { to, limit: LISTING_OCTETS });
            }
            Some(line) => {
                *lines = lines.saturating_add(1);
                *octets = octets.saturating_add(wide(line.len().saturating_add(end)));
                EventSpans::Line(to, self.input.span(length).last(line.len()))
            }
        };
        if let EventSpans::End(..) = found {
            self.reading = ReadState::Status;
        }
        self.input.consume(length.saturating_add(end));
        Ok(Some(found))
    }

    fn poll_text(&mut self) -> Result<Option<EventSpans>, Error> {
        let ReadState::Text { to, number, body, octets } = &mut self.reading else { return Ok(None) };
        let piece = body.unstuff(self.input.unread_mut());
        *octets = octets.saturating_add(wide(piece.octets));
        let (to, number, octets) = (*to, *number, *octets);
        let text = self.input.span(piece.text);
        self.input.consume(piece.used);
        if piece.ended {
            self.reading = ReadState::Status;
            return Ok(Some(EventSpans::End(to, octets)));
        }
        if matches!(to, Sent::Top(_)) && octets > TOP_OCTETS {
            return Err(Error::AnswerTooLarge { to, limit: TOP_OCTETS });
        }
        Ok((piece.text > 0).then_some(EventSpans::Text(number, text)))
    }
}

/// What octets mean that came though nothing was asked.
fn unasked(unread: &[u8]) -> Error {
    let line = match front(unread, LineEnd::Lf, STATUS_LINE_LIMIT) {
        Front::Line { length, .. } => unread.get(..length).unwrap_or_default(),
        Front::Partial | Front::TooLong => unread,
    };
    match status_line(line) {
        Some(StatusLine::Reply(reply)) if !reply.ok => Error::Farewell { said: ServerWords::new(reply.text) },
        _ => Error::Unsolicited { came: ServerWords::new(line) },
    }
}

/// Whether more octets could make a status line of these.
fn may_become_status_line(octets: &[u8]) -> bool {
    let begins = |indicator: &[u8]| {
        indicator.get(..octets.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(octets))
    };
    begins(b"+OK") || begins(b"-ERR") || begins(b"+ERR") || status_line(octets).is_some()
}

/// For fuzzing: whatever is sent and answered, text is lent only between an answer's first line and its end.
#[doc(hidden)]
pub fn fuzz_session(script: &[u8]) {
    let mut session = Session::new();
    let mut within = false;
    let mut script = script;
    while let Some((&step, rest)) = script.split_first() {
        let (chunk, rest) = rest.split_at_checked(usize::from(step >> 4)).unwrap_or((rest, &[]));
        script = rest;
        let number = MessageNumber::new(u32::from(step >> 4).saturating_add(1));
        let command = match (step & 0xf, number) {
            (0, _) => Some(Command::Capa),
            (1, _) => Some(Command::Auth { mechanism: "LOGIN", initial: None }),
            (2, _) => Some(Command::SaslCancel),
            (3, _) => Some(Command::Uidl(None)),
            (4, Some(number)) => Some(Command::Retr(number)),
            (5, Some(number)) => Some(Command::Top(number, 0)),
            (6, _) => Some(Command::Noop),
            (7, _) => Some(Command::Stls),
            (8, _) => Some(Command::Quit),
            (9, _) => {
                let _ = session.starttls_done();
                None
            }
            _ => None,
        };
        if let Some(command) = command {
            let before = session.outstanding();
            let sent = session.send(command).is_ok();
            assert_eq!(session.outstanding(), before.saturating_add(usize::from(sent)));
        }
        if step & 0x10 == 0 {
            session.wrote(session.outgoing().len());
        }
        let room = session.room();
        let octets = chunk.len().min(room.len());
        for (to, from) in room.iter_mut().zip(chunk) {
            *to = *from;
        }
        if session.received(octets).is_err() {
            return;
        }
        loop {
            match session.poll() {
                Err(_) => return,
                Ok(false) => break,
                Ok(true) => {}
            }
            match session.event() {
                ServerEvent::Reply { to: Sent::Retr(_) | Sent::Top(_), reply } => within = reply.ok,
                ServerEvent::End { to: Sent::Retr(_) | Sent::Top(_), .. } => within = false,
                ServerEvent::Text { text, .. } => assert!(!text.is_empty() && within),
                _ => {}
            }
        }
    }
    let _ = session.end_of_stream();
}

#[cfg(test)]
mod tests;
