//! Logged in: listings, headers, messages, deletions and the end of the session (RFC 1939 §5 to §7).

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Client;
use super::error::Error;
use super::link::Next;
use super::prefetch::Prefetch;
use super::server_facts::LoginFacts;
use crate::proof::{Delivered, Dismissed, Recognised, SessionId};
use crate::protocol::auth;
use crate::protocol::capability::{Capabilities, Expire};
use crate::protocol::command::Command;
use crate::protocol::limits::FLIGHT_OCTETS;
use crate::protocol::session::{ResponseCode, Sent, ServerEvent};
use crate::protocol::{self, listing};
use crate::types::{MessageNumber, Octets, UniqueId, UniqueIdBuf};

/// After the answer to `QUIT`, or a farewell, the server closes the connection, or at least sends nothing for this long.
const AFTER_QUIT: Duration = Duration::from_secs(1);

/// Logged in: the maildrop is ours until the session ends.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// What the server offers now; `None` where that isn't known.
    pub(super) capabilities: Option<Capabilities>,
    pub(super) pipelining: Sending,
    pub(super) facts: LoginFacts,
    /// What was asked ahead, and has not been taken.
    pub(super) prefetched: Option<Prefetch>,
    pub(super) session: SessionId,
}

/// No two sessions of this process have the same.
pub(super) fn next_session() -> SessionId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    SessionId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether commands may be sent before the answers to those before them have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// One at a time.
    Off,
    /// Yes.
    On,
}

/// Whether a listing was given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum ListingAnswer {
    Taken,
    /// Nothing: the server answered `-ERR`.
    Refused(Refused),
}

/// A piece of the answer to a `TOP n 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderPiece<'a> {
    /// Some of the header, line ends LF.
    Text(&'a [u8]),
    End,
    /// The server answered `-ERR`.
    Refused,
}

/// A refusal after the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The server's words, fit to print.
    pub text: String,
    /// Whether its response code, or else its words, speak of something that passes on its own.
    pub passes: bool,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// `+OK`: the deletions are done.
    Confirmed,
    /// `-ERR`: any of them may be; with the server's words.
    Refused(String),
    /// The connection ended before the answer: any of them may be.
    Unanswered,
}

impl Client<Transaction> {
    /// What the server can do now that we are logged in; `None` where `CAPA` isn't known.
    #[must_use]
    pub(crate) fn capabilities(&self) -> Option<&Capabilities> {
        self.state.capabilities.as_ref()
    }

    /// Whether there may be `TOP`: it is offered, or it isn't known what is.
    #[must_use]
    pub(crate) fn may_have_top(&self) -> bool {
        self.capabilities().is_none_or(Capabilities::top)
    }

    #[must_use]
    pub(crate) fn login_facts(&self) -> &LoginFacts {
        &self.state.facts
    }

    /// Sets how commands are sent from here on.
    pub(crate) fn set_pipelining(&mut self, pipelining: Sending) {
        self.state.pipelining = pipelining;
    }

    /// Whether the server announced something in this session, before or after the login.
    fn announced(&self, what: impl Fn(&Capabilities) -> bool) -> bool {
        let before = self.facts.capabilities.as_ref();
        [before, self.state.capabilities.as_ref()].into_iter().flatten().any(what)
    }

    /// Whether the server may delete at `QUIT` what was merely retrieved (RFC 1939 §8), announced in this very session.
    #[must_use]
    pub(crate) fn drops_at_quit(&self) -> bool {
        self.announced(|capabilities| {
            capabilities.expire() == Some(Expire::Days(0)) || capabilities.google_rico()
        })
    }

    /// Whether the server lists a window of its mail, as Gmail does: what was retrieved leaves it, and older mail follows.
    #[must_use]
    pub(crate) fn lists_a_window(&self) -> bool {
        self.announced(Capabilities::google_rico)
    }

    /// Whether the server lists `UIDL`: then a refusal of it doesn't mean that the messages have no unique-ids.
    #[must_use]
    pub(crate) fn announces_unique_ids(&self) -> bool {
        let before = self.facts.capabilities.as_ref();
        self.state.capabilities.as_ref().or(before).is_some_and(Capabilities::uidl)
    }

    /// Reads the unique-id listing (RFC 1939 §7), and hands over each line as it comes, with what `known` has found for its
    /// unique-id.  One that isn't known and holds this account's secret counts as none: unique-ids are written to the
    /// ledger, where no secret may stand.
    ///
    /// # Errors
    /// A broken connection or listing, or the error of `each`.
    pub(crate) fn unique_ids<K, E: From<Error>>(
        &mut self,
        mut known: impl FnMut(UniqueId<'_>) -> Option<K>,
        mut each: impl FnMut(MessageNumber, Option<UniqueId<'_>>, Option<K>) -> Result<(), E>,
    ) -> Result<ListingAnswer, E> {
        if !self.takes_prefetched_unique_ids() {
            self.link.send(Command::Uidl(None))?;
        }
        let redactor = self.link.redactor.clone();
        let secret = redactor.searcher();
        self.lines(|line, broken| {
            let (number, unique_id) = listing::unique_id_line(line).map_err(broken)?;
            let found = unique_id.and_then(&mut known);
            // Looked for only where it matters: for all of a long listing it would be an eighth of a poll.
            let may_be_written = |id: &UniqueId<'_>| found.is_some() || !secret.finds(id.as_bytes());
            each(number, unique_id.filter(may_be_written), found)
        })
    }

    /// Reads the scan listing (RFC 1939 §5), and hands over each line as it comes.
    ///
    /// # Errors
    /// A broken connection or listing.
    pub(crate) fn sizes(
        &mut self,
        mut each: impl FnMut(MessageNumber, Option<Octets>),
    ) -> Result<ListingAnswer, Error> {
        if self.has_prefetched_sizes() {
            self.state.prefetched = None;
        } else {
            self.link.send(Command::List(None))?;
        }
        self.lines(|line, broken| {
            let (number, octets) = listing::scan_line(line).map_err(broken)?;
            each(number, octets);
            Ok::<(), Error>(())
        })
    }

    fn refused(&self, text: &[u8]) -> ListingAnswer {
        ListingAnswer::Refused(Refused { text: self.link.quote(text), passes: auth::passes(text) })
    }

    fn lines<E: From<Error>>(
        &mut self,
        mut each: impl FnMut(&[u8], &dyn Fn(protocol::error::Error) -> Error) -> Result<(), E>,
    ) -> Result<ListingAnswer, E> {
        loop {
            self.link.event()?;
            match self.link.session.event() {
                ServerEvent::Line { line, .. } => each(line, &|e| self.link.protocol(e))?,
                ServerEvent::Reply { reply, .. } if !reply.ok => return Ok(self.refused(reply.text)),
                ServerEvent::Reply { .. } => {}
                ServerEvent::End { .. } => return Ok(ListingAnswer::Taken),
                ServerEvent::Farewell(reply) => return Err(self.link.farewell(reply.text).into()),
                _ => {}
            }
        }
    }

    /// Reads the headers of these messages (`TOP n 0`, RFC 1939 §7), pipelined where that is allowed, and hands over each
    /// piece as it comes.
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn headers(
        &mut self,
        numbers: &[MessageNumber],
        each: impl FnMut(MessageNumber, HeaderPiece<'_>),
    ) -> Result<(), Error> {
        self.read_headers(numbers, 0, each)
    }

    /// The same, where `open` headers are on their way already.
    pub(super) fn read_headers(
        &mut self,
        numbers: &[MessageNumber],
        mut open: usize,
        mut each: impl FnMut(MessageNumber, HeaderPiece<'_>),
    ) -> Result<(), Error> {
        let mut waiting = numbers.iter();
        loop {
            while !waiting.as_slice().is_empty() && self.has_window() {
                let Some(number) = waiting.next() else { break };
                self.link.send(Command::Top(*number, 0))?;
                open = open.saturating_add(1);
            }
            if open == 0 {
                return Ok(());
            }
            self.link.event()?;
            match self.link.session.event() {
                ServerEvent::Text { number, text, .. } => each(number, HeaderPiece::Text(text)),
                ServerEvent::Reply { to: Sent::Top(number), reply } if !reply.ok => {
                    each(number, HeaderPiece::Refused);
                    open = open.saturating_sub(1);
                }
                ServerEvent::End { to: Sent::Top(number), .. } => {
                    each(number, HeaderPiece::End);
                    open = open.saturating_sub(1);
                }
                ServerEvent::Farewell(reply) => return Err(self.link.farewell(reply.text)),
                _ => {}
            }
        }
    }

    /// Reads one message's header (`TOP n 0`), and hands over each piece until `each` has enough (`false`): the rest of the
    /// answer is then unread, and nothing can follow but the end ([`Client::leave`]).
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn read_header(
        &mut self,
        number: MessageNumber,
        each: impl FnMut(&[u8]) -> bool,
    ) -> Result<ListingAnswer, Error> {
        self.top(number)?;
        self.pieces(each)
    }

    /// Reads one message, as [`Client::read_header`] reads a header.
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn read_message(
        &mut self,
        number: MessageNumber,
        each: impl FnMut(&[u8]) -> bool,
    ) -> Result<ListingAnswer, Error> {
        self.retrieve(number)?;
        self.pieces(each)
    }

    fn pieces(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> Result<ListingAnswer, Error> {
        loop {
            self.link.event()?;
            match self.link.session.event() {
                ServerEvent::Text { text, .. } if each(text) => {}
                ServerEvent::Text { .. } | ServerEvent::End { .. } => return Ok(ListingAnswer::Taken),
                ServerEvent::Reply { reply, .. } if !reply.ok => return Ok(self.refused(reply.text)),
                ServerEvent::Farewell(reply) => return Err(self.link.farewell(reply.text)),
                _ => {}
            }
        }
    }

    /// The unique-id that a message has now; `None` where the server refuses, or answers what can't be understood.
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn unique_id_now(&mut self, number: MessageNumber) -> Result<Option<UniqueIdBuf>, Error> {
        self.unique_id_of(number)?;
        self.read_unique_id(number)
    }

    /// The size that a message is listed with now; `None` as of [`Client::unique_id_now`].
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn size_now(&mut self, number: MessageNumber) -> Result<Option<Octets>, Error> {
        self.list_one(number)?;
        let named = |text: &[u8]| listing::scan_line(text).ok().filter(|(named, _)| *named == number)?.1;
        self.reply(Sent::ListOne(number), named)
    }

    /// Marks messages for deletion on the user's word, pipelined where that is allowed.  `done` gets what the server refused
    /// with, if it did, fit to print.
    ///
    /// # Errors
    /// A broken connection; and [`Error::NotRecognised`] when the word was given in another session: a bug of ours.
    pub(crate) fn dismiss(
        &mut self,
        dismissed: &[Dismissed],
        mut done: impl FnMut(MessageNumber, Option<String>),
    ) -> Result<(), Error> {
        let mut waiting = dismissed.iter();
        let mut open = 0_usize;
        loop {
            while !waiting.as_slice().is_empty() && self.has_window() {
                let Some(dismissed) = waiting.next() else { break };
                let number = dismissed.number();
                if dismissed.session() != self.state.session {
                    return Err(Error::NotRecognised { number });
                }
                self.link.send(Command::Dele(number))?;
                open = open.saturating_add(1);
            }
            if open == 0 {
                return Ok(());
            }
            self.link.event()?;
            match self.link.session.event() {
                ServerEvent::Reply { to: Sent::Dele(number), reply } => {
                    done(number, (!reply.ok).then(|| self.link.quote(reply.text)));
                    open = open.saturating_sub(1);
                }
                ServerEvent::Farewell(reply) => return Err(self.link.farewell(reply.text)),
                _ => {}
            }
        }
    }

    /// Asks for a message.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it can't be sent now.
    pub(crate) fn retrieve(&mut self, number: MessageNumber) -> Result<(), Error> {
        self.link.send(Command::Retr(number))
    }

    /// Asks for a message's header.
    ///
    /// # Errors
    /// As for [`Client::retrieve`].
    pub(crate) fn top(&mut self, number: MessageNumber) -> Result<(), Error> {
        self.link.send(Command::Top(number, 0))
    }

    /// Asks for a message's unique-id: the answer names the number as well.
    ///
    /// # Errors
    /// As for [`Client::retrieve`].
    pub(crate) fn unique_id_of(&mut self, number: MessageNumber) -> Result<(), Error> {
        self.link.send(Command::Uidl(Some(number)))
    }

    /// Asks for a message's size: the answer names the number as well.
    ///
    /// # Errors
    /// As for [`Client::retrieve`].
    pub(crate) fn list_one(&mut self, number: MessageNumber) -> Result<(), Error> {
        self.link.send(Command::List(Some(number)))
    }

    /// Asks for the drop listing.
    ///
    /// # Errors
    /// As for [`Client::retrieve`].
    pub(crate) fn drop_listing(&mut self) -> Result<(), Error> {
        self.link.send(Command::Stat)
    }

    /// Marks a delivered message for deletion that was recognised in this session.
    ///
    /// # Errors
    /// As for [`Client::retrieve`], and [`Error::NotRecognised`] when the proofs are about two messages, or of another
    /// session: a bug of ours.
    pub(crate) fn delete(&mut self, delivered: &Delivered, recognised: &Recognised) -> Result<(), Error> {
        let number = delivered.number();
        if recognised.session() != self.state.session || !recognised.agrees(delivered) {
            return Err(Error::NotRecognised { number });
        }
        self.link.send(Command::Dele(number))
    }

    #[must_use]
    pub(crate) fn session(&self) -> SessionId {
        self.state.session
    }

    /// Whether another command may be sent now.
    #[must_use]
    pub(crate) fn has_window(&self) -> bool {
        match self.state.pipelining {
            Sending::Off => self.link.session.outstanding() == 0,
            Sending::On => self.link.session.outstanding_octets() < FLIGHT_OCTETS,
        }
    }

    /// Whether it's time to fill the window again.  Not for each answer: a write, and over TLS a record, for each command
    /// would cost more than the command.
    #[must_use]
    pub(crate) fn is_low(&self) -> bool {
        !self.pipelines() || self.link.session.outstanding_octets() <= FLIGHT_OCTETS / 2
    }

    #[must_use]
    pub(crate) fn pipelines(&self) -> bool {
        self.state.pipelining != Sending::Off
    }

    /// Commands that have not been answered.
    #[must_use]
    pub(crate) fn outstanding(&self) -> usize {
        self.link.session.outstanding()
    }

    /// Waits for the next event, for `wake` to become readable, for a silence of `quiet`, or for a signal
    /// (reported once; from then on the answers in flight are read for ten seconds at most).  With nothing outstanding it
    /// keeps the session alive with `NOOP`s.
    ///
    /// # Errors
    /// A broken connection, or a server that does not answer in time.
    pub(crate) fn next(
        &mut self,
        wake: Option<BorrowedFd<'_>>,
        quiet: Option<Duration>,
    ) -> Result<Next, Error> {
        self.link.next(wake, quiet)
    }

    /// The event that [`Client::next`] found.
    #[must_use]
    pub(crate) fn event(&self) -> ServerEvent<'_> {
        self.link.session.event()
    }

    /// A unique-id, fit to print.
    #[must_use]
    pub(crate) fn shown(&self, unique_id: UniqueId<'_>) -> String {
        self.link.shown(unique_id.as_bytes())
    }

    /// A line of the server's, whole and fit to print.
    #[must_use]
    pub(crate) fn shown_line(&self, line: &[u8]) -> String {
        self.link.shown(line)
    }

    /// A server's words for a report or an error: fit to print, shortened, and after the session's last quotation nothing but dots.
    #[must_use]
    pub(crate) fn quote(&self, text: &[u8]) -> String {
        self.link.quote(text)
    }

    /// Why the server refused to give a message, fit to print: in our words where its code means that the message can only
    /// be given in UTF8 mode (RFC 6856 §5), else in its own.
    #[must_use]
    pub(crate) fn refusal(&self, text: &[u8]) -> String {
        if ResponseCode::of(text) != Some(ResponseCode::Utf8) || self.state.facts.utf8 {
            return format!("the server refused it: \"{}\"", self.quote(text));
        }
        let offered = self.state.facts.utf8_offered;
        let why = if offered { "was not used in this session" } else { "the server did not offer" };
        format!("it needs UTF8, which {why}: \"{}\"", self.quote(text))
    }

    /// The error for an `-ERR` that answers no command.
    #[must_use]
    pub(crate) fn farewell(&self, text: &[u8]) -> Error {
        self.link.farewell(text)
    }

    /// Ends the session, and waits for the answer: only `QUIT` makes the server delete (RFC 1939 §6).
    ///
    /// # Errors
    /// [`Error::Protocol`] when something else is unanswered.
    pub(crate) fn quit(mut self) -> Result<Farewell, Error> {
        self.link.send(Command::Quit)?;
        // What was deleted is deleted or not: the next listing shows it.
        while self.link.event().is_ok() {
            if let ServerEvent::Reply { to: Sent::Quit, reply } = self.link.session.event() {
                let farewell = if reply.ok {
                    Farewell::Confirmed
                } else {
                    Farewell::Refused(self.link.quote(reply.text))
                };
                self.link.close();
                return Ok(farewell);
            }
        }
        Ok(Farewell::Unanswered)
    }

    /// Ends a session in which nothing was deleted: sends `QUIT`, and doesn't wait for the answer.
    ///
    /// # Errors
    /// As for [`Client::quit`].
    pub(crate) fn quit_without_answer(mut self) -> Result<(), Error> {
        self.link.send(Command::Quit)?;
        self.link.flush_without_waiting();
        self.link.close();
        Ok(())
    }

    /// Ends a session that was only to look.  By `QUIT`, whose answer isn't awaited, where nothing of any message was
    /// asked for.  Otherwise the connection is closed without it.  At `QUIT` a server may mark as read, drop or
    /// delete what was retrieved (RFC 1939 §8); some count `TOP` as well, and not all announce it (RFC 2449 §6.7).
    /// Without `QUIT` there is no UPDATE state in which anything could be removed (RFC 1939 §6).
    pub(crate) fn leave(mut self) {
        if !self.link.has_looked
            && self.link.session.outstanding() == 0
            && self.link.send(Command::Quit).is_ok()
        {
            self.link.flush_without_waiting();
        }
        self.link.close();
    }

    /// Ends the session, and checks that nothing but the answer comes: where no other answer names a message, this is what
    /// shows that all before it was what it seemed.
    ///
    /// # Errors
    /// A broken connection, a refusal, or anything that was not asked for.
    pub(crate) fn quit_in_step(&mut self) -> Result<(), Error> {
        self.link.send(Command::Quit)?;
        loop {
            self.link.event()?;
            match self.link.session.event() {
                ServerEvent::Reply { to: Sent::Quit, reply } if reply.ok => break,
                ServerEvent::Reply { to: Sent::Quit, reply } => return Err(self.link.farewell(reply.text)),
                _ => {}
            }
        }
        match self.link.next(None, Some(AFTER_QUIT)) {
            Ok(_) => Ok(()),
            Err(e) if e.is_closed() => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Whether nothing follows but the end of the connection.  Waits for it, a moment.
    pub(crate) fn ends_here(&mut self) -> bool {
        // The last answer may be unread still.
        for _ in 0..2 {
            match self.link.next(None, Some(AFTER_QUIT)) {
                Ok(Next::Event) => {}
                Ok(_) => return false,
                Err(e) => return e.is_closed(),
            }
        }
        false
    }

    /// Closes the connection without `QUIT`: the server forgets every deletion (RFC 1939 §6).
    pub(crate) fn hang_up(self) {
        self.link.close();
    }
}
