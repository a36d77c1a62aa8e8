//! What is asked together with the login, or in one flight behind it: a poll then costs the greeting and one round trip
//! (RFC 2449 §6.6).  The answers are taken in `prefetch_answers.rs`.

use super::error::Error;
use super::link::Link;
use crate::protocol::command::Command;
use crate::types::MessageNumber;

pub(super) const FIRST: MessageNumber = MessageNumber::FIRST;

/// Several questions in one flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefetch {
    /// What the server offers after login, the drop listing if `drop_listing`, the headers of some messages, the unique-id
    /// listing, and the scan listing if `sizes`.
    Listing {
        /// `STAT`, for the listing, and a later quick poll, to be compared with.
        drop_listing: bool,
        /// `TOP n 0`, before the listing that shows which messages these are.
        headers: [Option<MessageNumber>; 2],
        /// `LIST`.
        sizes: bool,
    },
    /// The drop listing, and the unique-ids of the first message and of `last`.
    QuickPoll {
        /// The last one's number, as far as we know.
        last: MessageNumber,
    },
}

impl Prefetch {
    pub(super) fn send(self, link: &mut Link) -> Result<(), Error> {
        match self {
            Self::Listing { drop_listing, headers, sizes } => {
                link.send(Command::Capa)?;
                if drop_listing {
                    link.send(Command::Stat)?;
                }
                for number in headers.into_iter().flatten() {
                    link.send(Command::Top(number, 0))?;
                }
                link.send(Command::Uidl(None))?;
                if sizes {
                    link.send(Command::List(None))?;
                }
            }
            Self::QuickPoll { last } => {
                link.send(Command::Stat)?;
                link.send(Command::Uidl(Some(FIRST)))?;
                if last != FIRST {
                    link.send(Command::Uidl(Some(last)))?;
                }
            }
        }
        Ok(())
    }
}
