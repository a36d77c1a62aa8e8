//! The messages that we have, by header: what is new and has the header of one is perhaps that one, and the unique-ids have
//! moved.
//!
//! Mostly one or two messages of a poll are new, and of fifty thousand that are known none has the header of one of
//! them.  So the digests are kept as the ledger has them, and all that is made beforehand is an order of their first
//! characters.  What has a header that was asked for is decoded, and put in order, then.

use std::collections::HashMap;

use crate::ledger::{Entry, EntryState, Error, Ledger};
use crate::message::{Digest, DigestText};
use crate::plan::Maildrop;
use crate::proof::EntryId;

use super::others::{is_expected, is_stray};

/// A message that we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) message: Digest,
    pub(super) entry: EntryId,
    /// As [`Other::expected`](super::others::Other::expected).
    pub(super) expected: bool,
    /// As [`Other::stray`](super::others::Other::stray).
    pub(super) stray: bool,
}

/// One whose digests aren't decoded.
#[derive(Debug)]
struct Undecoded {
    message: DigestText,
    header: DigestText,
    entry: EntryId,
    expected: bool,
    stray: bool,
}

/// The messages that we have.
#[derive(Debug, Default)]
pub(super) struct Watch {
    deliveries: Vec<Undecoded>,
    /// The rank of each one's header, and its place: in order.
    by_header: Vec<(u64, usize)>,
    /// Those that have a header that was asked for.
    asked: HashMap<Digest, Vec<Watched>>,
}

impl Watch {
    /// Those whose unique-ids may have moved, of all that the ledger knows.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn new(ledger: &Ledger, maildrop: &Maildrop) -> Result<Self, Error> {
        let may = |_, entry: &Entry| {
            matches!(entry.state, EntryState::Delivered | EntryState::Recorded | EntryState::Deleted)
                && !entry.only_seen
        };
        let mut deliveries = Vec::with_capacity(usize::try_from(ledger.len()).unwrap_or(0));
        ledger.each_delivery(may, |entry, nth, (message, header)| {
            let (expected, stray) =
                (is_expected(entry, nth, ledger, maildrop), is_stray(entry, ledger, maildrop));
            deliveries.push(Undecoded { message, header, entry, expected, stray });
        })?;
        let ranks = deliveries.iter().enumerate().map(|(place, one)| (one.header.rank(), place));
        let mut by_header: Vec<_> = ranks.collect();
        by_header.sort_unstable();
        Ok(Self { deliveries, by_header, asked: HashMap::new() })
    }

    /// Those that have this header.  Of equal messages that are only known from before one counts, and none beside one that
    /// may be there.
    pub(super) fn with_header(&mut self, header: Digest) -> &[Watched] {
        if !self.asked.contains_key(&header) {
            let alike = self.decoded(header.into());
            if alike.is_empty() {
                return &[];
            }
            self.asked.insert(header, alike);
        }
        self.asked.get(&header).map_or(&[], Vec::as_slice)
    }

    fn decoded(&self, header: DigestText) -> Vec<Watched> {
        let rank = header.rank();
        let begin = self.by_header.partition_point(|(before, _)| *before < rank);
        let alike = self.by_header.iter().skip(begin).take_while(|(this, _)| *this == rank);
        let mut alike: Vec<Watched> = alike
            .filter_map(|(_, place)| {
                let Undecoded { message, entry, expected, stray, .. } =
                    self.deliveries.get(*place).filter(|one| one.header == header)?;
                let message = message.digest()?;
                Some(Watched { message, entry: *entry, expected: *expected, stray: *stray })
            })
            .collect();
        alike.sort_unstable_by_key(|one| (one.message, one.stray, one.entry));
        alike.dedup_by(|one, before| one.stray && one.entry != before.entry && one.message == before.message);
        alike
    }
}
