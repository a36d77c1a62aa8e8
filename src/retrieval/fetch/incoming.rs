//! What is arriving, and what it comes to.

use crate::delivery::routing::{Copies, NetworkEnds};
use crate::ledger::Match;
use crate::message::{Digest, Examiner};
use crate::proof::{BegunId, EntryId, Key};
use crate::retrieval::committer::Parcel;
use crate::retrieval::pipeline::Job;
use crate::types::{Octets, wide};

/// A message that is incoming.
pub(super) struct IncomingMessage {
    pub(super) job: Job,
    pub(super) examiner: Examiner,
    /// As many octets as have come; and how many may.
    pub(super) octets: u64,
    pub(super) most: u64,
    /// Its copies at the destinations; none where it isn't wanted any more.
    pub(super) copies: Copies,
}

pub(super) struct IncomingHeader {
    pub(super) job: Job,
    pub(super) examiner: Examiner,
    pub(super) octets: u64,
}

impl IncomingHeader {
    pub(super) fn new(job: Job) -> Self {
        Self { job, examiner: Examiner::new(b""), octets: 0 }
    }

    pub(super) fn take(&mut self, text: &[u8]) {
        self.octets = self.octets.saturating_add(wide(text.len()));
        self.examiner.update(text);
    }
}

/// What a message that has arrived comes to, once its end can be believed.
pub(super) enum Whole {
    /// Whole at every destination that is to get it.
    Parcel(Parcel),
    /// One that we have.
    Same { key: Key, listed_size: Option<Octets>, same_as: Match },
    /// It isn't what its key stands for: what it is shows when all that is known has been compared.
    Aside,
    /// Either the server's copies of this entry's message differ each time, or it's other mail: that shows when it comes once
    /// more.
    Twice { entry: EntryId, message: Digest },
    /// The server's copies of this entry's message differ each time.
    Varies(EntryId),
    /// Only destinations that this run doesn't have lack it.
    Elsewhere { begun: BegunId, entry: EntryId },
}

impl IncomingMessage {
    pub(super) fn take(&mut self, text: &[u8], ends: &mut NetworkEnds) {
        self.octets = self.octets.saturating_add(wide(text.len()));
        if !self.copies.have_failed() {
            self.examiner.update(text);
            self.copies.write(text, ends);
        }
    }
}
