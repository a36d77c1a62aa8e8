//! Commands that the user types: any but those that prove, log in or delete.

use super::Client;
use super::error::Error;
use super::transaction::Transaction;
use crate::proof::Dismissed;
use crate::protocol::command::Command;
use crate::protocol::session::{Sent, ServerEvent};
use crate::types::MessageNumber;

/// A command that deletes nothing (RFC 1939 §5 and §7; RFC 2449 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadCommand {
    /// How many messages there are, and their octets together.
    Stat,
    /// The sizes of all messages, or of one.
    List(Option<MessageNumber>),
    /// The unique-ids of all messages, or of one.
    Uidl(Option<MessageNumber>),
    Retr(MessageNumber),
    /// A message's header, and this many lines of its body.
    Top(MessageNumber, u32),
    /// Takes all marks for deletion back.
    Rset,
    /// Nothing, answered.
    Noop,
    /// What the server can do.
    Capa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerPiece<'a> {
    /// The status line: whether it's `+OK`, and what follows it.
    Status(bool, &'a [u8]),
    /// A line of a listing, without its end.
    Line(&'a [u8]),
    /// Some of a message, line ends LF.
    Text(&'a [u8]),
}

impl Client<Transaction> {
    /// Sends a command, and hands over its answer piece by piece.  Returns whether it was `+OK`.
    ///
    /// # Errors
    /// A broken connection; [`Error::Farewell`] when the server ends the session instead.
    pub(crate) fn ask(
        &mut self,
        question: ReadCommand,
        each: impl FnMut(AnswerPiece<'_>),
    ) -> Result<bool, Error> {
        let command = match question {
            ReadCommand::Stat => Command::Stat,
            ReadCommand::List(number) => Command::List(number),
            ReadCommand::Uidl(number) => Command::Uidl(number),
            ReadCommand::Retr(number) => Command::Retr(number),
            ReadCommand::Top(number, lines) => Command::Top(number, lines),
            ReadCommand::Rset => Command::Rset,
            ReadCommand::Noop => Command::Noop,
            ReadCommand::Capa => Command::Capa,
        };
        let asked = command.sent();
        self.link.send(command)?;
        self.answer_by_hand(asked, each)
    }

    /// Marks a message for deletion, and hands over the answer.  Returns whether it was `+OK`.
    ///
    /// # Errors
    /// As for [`Client::ask`] and [`Client::dismiss`].
    pub(crate) fn mark(
        &mut self,
        dismissed: &Dismissed,
        each: impl FnMut(AnswerPiece<'_>),
    ) -> Result<bool, Error> {
        let number = dismissed.number();
        if dismissed.session() != self.state.session {
            return Err(Error::NotRecognised { number });
        }
        self.link.send(Command::Dele(number))?;
        self.answer_by_hand(Sent::Dele(number), each)
    }

    fn answer_by_hand(&mut self, asked: Sent, mut each: impl FnMut(AnswerPiece<'_>)) -> Result<bool, Error> {
        let mut ok = false;
        while self.link.session.outstanding() > 0 {
            self.link.event()?;
            match self.link.session.event() {
                ServerEvent::Reply { to, reply } if to == asked => {
                    ok = reply.ok;
                    each(AnswerPiece::Status(reply.ok, reply.text));
                }
                ServerEvent::Line { line, .. } => each(AnswerPiece::Line(line)),
                ServerEvent::Text { text, .. } => each(AnswerPiece::Text(text)),
                ServerEvent::Farewell(reply) => return Err(self.link.farewell(reply.text)),
                // The answer to a NOOP that has kept the session alive.
                ServerEvent::Reply { .. } => {}
                ServerEvent::End { .. } | ServerEvent::Greeting(_) | ServerEvent::Challenge(_) => {}
            }
        }
        Ok(ok)
    }
}
