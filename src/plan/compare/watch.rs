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
use crate::types::Time;

use super::others::{Name, is_delivered_here, is_expected, is_stray, without_second_names};

/// A message that we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) message: Digest,
    pub(super) entry: EntryId,
    /// As [`Other::expected`](super::others::Other::expected).
    pub(super) expected: bool,
}

/// One whose digests aren't decoded.
#[derive(Debug)]
struct Undecoded {
    message: DigestText,
    header: DigestText,
    delivered: Time,
    entry: EntryId,
    expected: bool,
    stray: bool,
    delivered_here: bool,
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
        ledger.each_delivery(may, |entry, nth, delivered, (message, header)| {
            let (expected, stray) =
                (is_expected(entry, nth, ledger, maildrop), is_stray(entry, ledger, maildrop));
            let delivered_here = is_delivered_here(&ledger.entry(entry));
            deliveries.push(Undecoded { message, header, delivered, entry, expected, stray, delivered_here });
        })?;
        let ranks = deliveries.iter().enumerate().map(|(place, one)| (one.header.rank(), place));
        let mut by_header: Vec<_> = ranks.collect();
        by_header.sort_unstable();
        Ok(Self { deliveries, by_header, asked: HashMap::new() })
    }

    /// Those that have this header, without second names.  Those that are only known from before come last.
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
        let mut alike: Vec<(Name, Watched)> = alike
            .filter_map(|(_, place)| {
                let one = self.deliveries.get(*place).filter(|one| one.header == header)?;
                let Undecoded { delivered, entry, expected, stray, delivered_here, .. } = *one;
                let message = one.message.digest()?;
                let name = Name { message, delivered, entry, delivered_here, stray };
                Some((name, Watched { message, entry, expected }))
            })
            .collect();
        alike.sort_unstable_by_key(|(_, one)| (one.message, one.entry));
        without_second_names(&mut alike, |(name, _)| *name);
        alike.into_iter().map(|(_, one)| one).collect()
    }
}
