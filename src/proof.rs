//! The proofs that a message must carry on its way: [`Staged`] (whole and synced where it waits) → [`Noted`] (the ledger
//! records it, synced) → [`Published`] (its final name durable, or accepted by the MDA) → [`Delivered`] (in the ledger).
//!
//! A proof cannot be copied, and each step consumes the last: code that forgets a sync, or takes the steps out of order, does
//! not compile.  `DELE` needs two proofs: a [`Delivered`] (we have the message), and a [`Recognised`] (in this session, this
//! number is that message).  Or it needs the user's consent in this session, [`Dismissed`].
//!
//! Each proof has one maker, which `tests/architecture.rs` checks.  Delivery makes `Staged` and `Published`; the ledger makes
//! `Noted` and `Delivered`; `retrieval::fetch::confirm`, where the ends of answers are confirmed, makes `Recognised`; and the
//! command that asks the user makes `Dismissed`.
//!
//! The facts that the proofs are about are here too, so that delivery and ledger need not know each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::message::{Digest, Digests, Headline};
use crate::place::{NotedPlace, Place};
use crate::text;
use crate::types::{MessageNumber, Octets, Time, UniqueIdBuf};

/// The bytes of this piece are whole and durable where they wait for publication.
#[derive(Debug)]
#[must_use]
pub(crate) struct Staged(Piece);

/// The ledger names this piece, its destination and place, and has been synced since.
#[derive(Debug)]
#[must_use]
pub(crate) struct Noted(Piece);

/// This piece durably has its final name or place, or the MDA has taken it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Published(Piece);

impl Staged {
    /// Made by a destination, after its syncs.
    pub(crate) fn attest(piece: Piece) -> Self {
        Self(piece)
    }
    /// What it is about.
    #[must_use]
    pub(crate) fn piece(&self) -> &Piece {
        &self.0
    }
    /// Gives the proof up: the ledger could not be written.
    pub(crate) fn withdraw(self) -> Piece {
        self.0
    }
}

impl Noted {
    /// Made by the ledger, after its sync.
    pub(crate) fn attest(staged: Staged) -> Self {
        Self(staged.0)
    }
    /// What it is about.
    #[must_use]
    pub(crate) fn piece(&self) -> &Piece {
        &self.0
    }
}

impl Published {
    /// Made by a destination.
    pub(crate) fn attest(noted: Noted) -> Self {
        Self(noted.0)
    }
    /// What it is about.
    #[must_use]
    pub(crate) fn piece(&self) -> &Piece {
        &self.0
    }
}

/// The ledger holds this message, which has this number in this session, as delivered to every destination of its set.
/// It is synced before `QUIT`, where deletions first count (RFC 1939 §6).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Delivered {
    number: MessageNumber,
    entry: EntryId,
}

impl Delivered {
    /// Made by the ledger.
    pub(crate) fn attest(number: MessageNumber, entry: EntryId) -> Self {
        Self { number, entry }
    }
    /// The number in this session.
    #[must_use]
    pub(crate) fn number(&self) -> MessageNumber {
        self.number
    }
    #[must_use]
    pub(crate) fn entry(&self) -> EntryId {
        self.entry
    }
}

/// In this session the message under this number was retrieved whole, or its header compared and found to be this
/// entry's, and an answer that names a message has followed.
///
/// A unique-id alone proves nothing: servers that are rebuilt, moved, or count from 1 give known ids to other mail.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Recognised {
    session: SessionId,
    number: MessageNumber,
    entry: Option<EntryId>,
}

impl Recognised {
    /// Made where the end of an answer is confirmed.  `entry`: the one that the message was known by before it was
    /// retrieved or compared; none if it was new.
    pub(crate) fn attest(session: SessionId, number: MessageNumber, entry: Option<EntryId>) -> Self {
        Self { session, number, entry }
    }
    #[must_use]
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }
    /// Whether both proofs are about the same message.
    #[must_use]
    pub(crate) fn agrees(&self, delivered: &Delivered) -> bool {
        self.number == delivered.number && self.entry.is_none_or(|entry| entry == delivered.entry)
    }
}

/// The user has been shown the message that has this number in this very session, and said that it is to be deleted,
/// delivered or not.  The only deletion that rests on no delivery.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Dismissed {
    session: SessionId,
    number: MessageNumber,
}

impl Dismissed {
    /// Made where the user has been asked.
    pub(crate) fn attest(session: SessionId, number: MessageNumber) -> Self {
        Self { session, number }
    }
    #[must_use]
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }
    /// The number in that session.
    #[must_use]
    pub(crate) fn number(&self) -> MessageNumber {
        self.number
    }
}

/// One session of this process with a server.  Message-numbers mean nothing in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(pub u64);

/// An entry of the ledger that is open now; meaningless in any other run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId(pub u32);

/// A delivery in the ledger that some destinations of its set have; meaningless in any other run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BegunId(pub u32);

/// A destination in the ledger's table of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DestinationId(pub u16);

/// How the ledger knows a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    UniqueId(UniqueIdBuf),
    /// By the digest of its header, where the server has no unique-ids (or none for this message).
    Header(Digest),
}

impl Key {
    /// The unique-id, if it is one.
    #[must_use]
    pub(crate) fn into_unique_id(self) -> Option<UniqueIdBuf> {
        match self {
            Self::UniqueId(unique_id) => Some(unique_id),
            Self::Header(_) => None,
        }
    }
}

/// What a destination is called in the ledger: stable over runs and over changes of the configuration's order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DestinationName {
    pub kind: DestinationKind,
    /// The path, or the argv joined by NUL; of standard output `file` when it is a regular one, else `-`.
    pub address: Vec<u8>,
}

impl DestinationName {
    /// Its path or command, fit to print.
    #[must_use]
    pub(crate) fn shown(&self) -> String {
        let words: Vec<String> = self.address.split(|octet| *octet == 0).map(text::printable).collect();
        words.join(" ")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DestinationKind {
    Maildir,
    Mbox,
    /// A program's standard input.
    Pipe,
    /// Standard output, as an mbox stream.
    Stdout,
}

impl DestinationKind {
    pub(crate) const ALL: [Self; 4] = [Self::Maildir, Self::Mbox, Self::Pipe, Self::Stdout];

    /// Its name in the ledger, in the history and in `--json`.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Maildir => "maildir",
            Self::Mbox => "mbox",
            Self::Pipe => "pipe",
            Self::Stdout => "stdout",
        }
    }
}

/// One message that has arrived whole.  It's committed only when an answer that names a message has followed it.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Which one it is, among all of this process.
    pub id: ArrivalId,
    /// Its number in this session.
    pub number: MessageNumber,
    /// How the ledger knows it.
    pub key: Key,
    /// Its size as listed, if `LIST` was asked.
    pub listed_size: Option<Octets>,
    /// Octets received, line ends counted as LF.
    pub octets: u64,
    pub digests: Digests,
    /// What its header holds for the reader, as it came.
    pub headline: Headline,
    /// Envelope sender: empty for `<>` or unknown.
    pub sender: String,
    /// Envelope recipient, where the header names one (`Delivered-To` and its like); else empty.
    pub recipient: String,
    /// Whether the session was in UTF-8 mode (RFC 6856).
    pub utf8: bool,
    /// Whether it was delivered although its key is known, because a comparison had failed.
    pub again: bool,
    /// The destinations that must all have it; fixed when it is first staged.
    pub set: Vec<DestinationId>,
    /// The delivery that this one continues: some destinations of its set have the message already.
    pub continues: Option<BegunId>,
}

/// Which arrival it is: no two of this process have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ArrivalId(u64);

impl ArrivalId {
    /// One that no arrival has had yet.
    #[must_use]
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// One message at one destination.
#[derive(Debug)]
pub(crate) struct Piece {
    pub message: Arc<Arrival>,
    /// Where it goes.
    pub destination: DestinationId,
    /// Octets as stored (an mbox entry: with From_ line, quoting and closing blank line).
    pub octets: u64,
    /// Digest as stored.
    pub digest: Digest,
    /// Where its bytes are, and where they will be.
    pub place: Place,
}

/// What a `staged` line records, as recovery finds it: a message that may or may not have been published.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    /// To record afterwards what became of it.
    pub id: IntentId,
    pub key: Key,
    /// Where it was to go.
    pub destination: DestinationId,
    /// Octets as stored.
    pub octets: u64,
    /// Digest as stored.
    pub digest: Digest,
    /// When the line was written.
    pub since: Time,
    /// Where it was, and was to be.
    pub place: NotedPlace,
}

/// An open `staged` line of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IntentId(pub u32);

/// What a destination's line in the ledger records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DestinationRecord {
    /// Its number in the table.
    pub id: DestinationId,
    pub name: DestinationName,
    /// For a Maildir: when its `tmp/` was made, or its device, and its inode, when it was last used.
    pub inode: Option<(u64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::{DestinationKind, DestinationName};

    #[test]
    fn a_command_is_shown_with_its_arguments() {
        let name =
            DestinationName { kind: DestinationKind::Pipe, address: b"procmail\0-d\0a\x1b b".to_vec() };
        let shown = name.shown();
        assert!(shown.starts_with("procmail -d a") && !shown.contains(['\0', '\x1b']), "{shown}");
    }
}
