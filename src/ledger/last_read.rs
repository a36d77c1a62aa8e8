//! The deliveries of the entry that was asked for last.  A server may list thousands of messages under one unique-id: to
//! read all that was delivered under it again for each of them would take hours.

use std::collections::VecDeque;

use crate::message::Digest;
use crate::proof::EntryId;
use crate::types::Time;

use super::entry::KnownDelivery;

/// An entry's deliveries, in their order.  Mostly the first one is put behind the others, which costs nothing here.
#[derive(Debug)]
pub(super) struct LastRead {
    pub(super) entry: EntryId,
    /// Where their lines are: by that it's seen whether these are still the deliveries of the entry.
    pub(super) places: VecDeque<(u64, Time)>,
    pub(super) deliveries: VecDeque<KnownDelivery>,
}

impl LastRead {
    /// The place of the last delivery of this message.
    pub(super) fn place(&self, message: Digest) -> Option<usize> {
        self.deliveries.iter().rposition(|record| record.digests.message == message)
    }

    /// This one has been put behind the others.
    pub(super) fn put_last(&mut self, place: usize) {
        // Those whose octets nobody has seen have no record: then they are read again.
        if self.places.len() == self.deliveries.len()
            && let (Some(line), Some(record)) = (self.places.remove(place), self.deliveries.remove(place))
        {
            self.places.push_back(line);
            self.deliveries.push_back(record);
        }
    }
}
