//! What the ledger reports of a mailbox and its messages.

use crate::message::Digests;
use crate::proof::{BegunId, DestinationId, EntryId};
use crate::types::{Octets, Time};

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub state: EntryState,
    /// Its size as last listed, when `LIST` has been asked.
    pub listed_size: Option<Octets>,
    /// When it was delivered whole (to all of its set): the last of its deliveries.
    pub delivered: Option<Time>,
    /// Rank by the time it was first known: greater is later.
    pub order: u32,
    /// How many messages of this unique-id have been delivered (or seen, or recorded); an open entry may have some.
    pub deliveries: u16,
    /// How often it has failed since it last succeeded.
    pub failures: u16,
    /// Not before then is a failed one tried again.
    pub retry_after: Option<Time>,
    /// Whether a complete listing has lacked it.  For a deleted one this holds until it is known what came back under its
    /// unique-id ([`Ledger::record_match`](super::Ledger::record_match), or a delivery).
    pub absent: bool,
    /// Whether it was reported as too large.
    pub reported_too_large: bool,
    /// Whether its key may stand for other mail by now: a complete listing has lacked it, its deletion was never confirmed,
    /// or a listing was suspect.  It is compared before it counts as known.
    pub doubtful: bool,
    /// Whether its key was delivered again after a failed comparison.
    pub again: bool,
    /// Whether the server's copies of it differ each time: it isn't compared any more.
    pub varies: bool,
    /// Whether it was delivered in UTF-8 mode (RFC 6856), in which some servers send other octets.
    pub utf8: bool,
    /// Whether it may be listed under another key, since the server has renumbered.
    pub candidate: bool,
    /// Whether it is known by the user's word alone, without digests: nothing is concluded from it, it is neither compared
    /// nor deleted, until [`Ledger::identify`](super::Ledger::identify).  It counts as seen.
    pub unidentified: bool,
    /// Whether what it holds was only printed, or marked as seen by the user: for an open entry, too.
    pub only_seen: bool,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryState {
    /// Known, but not delivered to all of its set: failed, too large, or partly delivered.  Also while another message of
    /// a delivered unique-id is on its way, and when that one failed.
    Open,
    /// Only printed on standard output, or marked as seen by the user: not retrieved again, never deleted.
    Seen,
    /// Recognised after a renumbering as a message that was delivered under another key: as good as delivered.
    Recorded,
    /// Delivered to all of its set.
    Delivered,
    /// Delivered, and its deletion confirmed by the server's +OK to QUIT.
    Deleted,
}

/// One delivery of a message, read back from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownDelivery {
    /// Digests as received.
    pub digests: Digests,
    pub delivered: Time,
}

/// A message that some destinations of its set have, and others lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    pub id: BegunId,
    /// The entry of the key under which it was listed then.
    pub entry: EntryId,
    /// Whether that key was its header's digest: the server gave it no unique-id.
    pub nameless: bool,
    /// Digests as received.
    pub digests: Digests,
    /// Whether that key stands for another message by now.
    pub gone: bool,
    /// The destinations that must all have it, and whether each has.
    pub set: Vec<(DestinationId, bool)>,
}

/// How much of a ledger's file is known to have been on disk: a file that is shorter is damaged, not torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerExtent {
    /// How often the file had been rewritten.
    pub generation: u64,
    /// Its octets that were synced.
    pub octets: u64,
}
