//! The client: one session with one server, from greeting to `QUIT`, over a
//! [`Connection`](crate::connection::Connection).
//!
//! ```text
//! open.rs: connect, greeting, STLS, CAPA ─► login.rs ─► transaction.rs: list, retrieve, delete, quit
//!                                    prefetch.rs, prefetch_answers.rs: what is asked together with the login, and its answers
//!                                    by_hand.rs: what the user types
//! link.rs: octets between protocol and connection, deadlines, quotations
//! ```
//!
//! A method exists only where the protocol allows it (RFC 1939 §3).  [`Client<Authorization>`] logs in and becomes a
//! [`Client<Transaction>`], which lists, retrieves and deletes.  [`Client::quit`] takes it, because only `QUIT` in
//! TRANSACTION enters UPDATE.  `DELE` can be sent only for a [`Delivered`](crate::proof::Delivered) message that was
//! [`Recognised`](crate::proof::Recognised) in this session, or that the user has
//! [`Dismissed`](crate::proof::Dismissed).
//!
//! Nothing here decides what is retrieved or where it goes.

mod by_hand;
mod error;
mod fuzz;
mod link;
mod login;
mod open;
mod prefetch;
mod prefetch_answers;
mod server_facts;
#[cfg(test)]
mod tests;
mod transaction;

pub(crate) use by_hand::{AnswerPiece, ReadCommand};
pub(crate) use error::Error;
pub use fuzz::fuzz_client;
pub(crate) use link::{Dialogue, Next};
pub(crate) use login::{Login, PrefetchFlight};
pub(crate) use open::{Authorization, Call};
pub(crate) use prefetch::Prefetch;
pub(crate) use prefetch_answers::QuickPoll;
pub(crate) use server_facts::{LoginFacts, ServerFacts};
pub(crate) use transaction::{Farewell, HeaderPiece, ListingAnswer, Refused, Sending, Transaction};

use link::Link;

/// A session in the state `S`.
#[derive(Debug)]
pub(crate) struct Client<S> {
    link: Link,
    facts: ServerFacts,
    state: S,
}

impl<S> Client<S> {
    /// What the server has reported of itself.
    #[must_use]
    pub(crate) fn server_facts(&self) -> &ServerFacts {
        &self.facts
    }

    /// What protects the connection, in words: `TLS 1.3`; `None` for clear text.
    #[must_use]
    pub(crate) fn protection(&self) -> Option<&'static str> {
        self.link.connection.protection()
    }

    /// Printable text that came from the server, without this account's secret.
    #[must_use]
    pub(crate) fn redacted(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.link.redactor.redact(text.as_bytes())).into_owned()
    }

    /// The server's certificate in DER, over TLS.
    #[must_use]
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.link.connection.certificate()
    }
}
