//! The lines of listings: what a complete listing held and lacked, a server's renumbering, and the clock.

use super::slots::EntryRecord;
use super::{FORGET_AFTER_LISTINGS, Index, day_of};
use crate::ledger::entry::EntryState;
use crate::ledger::lines::{Absent, Contradiction, ListingTaken, NothingKnownListed, Present};
use crate::types::Time;

impl Index {
    pub(super) fn take_listing(&mut self, fact: &ListingTaken) {
        if self.listings.back().is_some_and(|last| last.day() == fact.time.day()) {
            self.listings.pop_back();
        }
        self.listings.push_back(fact.time);
        if self.listings.len() > FORGET_AFTER_LISTINGS {
            self.listings.pop_front();
        }
        for entry in std::mem::take(&mut self.since_listing) {
            self.change(entry, |record| {
                record.present = record.absent_since.is_none() && record.deleted_on.is_none();
            });
        }
        self.recent_from = self.len();
        self.read_clock(fact.time, fact.clock);
    }

    pub(super) fn take_listing_of_strangers(&mut self, fact: &NothingKnownListed) {
        for entry in std::mem::take(&mut self.not_yet_gone) {
            self.change(entry, |record| {
                if record.state == EntryState::Deleted {
                    record.be_gone();
                }
            });
        }
        self.slots.change_all(EntryRecord::be_doubted);
        self.read_clock(fact.time, fact.clock);
    }

    pub(super) fn miss(&mut self, fact: &Absent<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.change(entry, |record| {
            record.present = false;
            if record.state == EntryState::Deleted {
                // The day of its deletion stays.
                record.be_gone();
            } else {
                record.absent_since = Some(fact.day.max(1));
                // Its key may stand for other mail when it is listed again.
                record.be_doubted();
            }
        });
        Ok(())
    }

    pub(super) fn find_again(&mut self, fact: &Present<'_>) -> Result<(), Contradiction> {
        let entry = self.known(&fact.key)?;
        self.change(entry, |record| {
            record.present = true;
            if record.state == EntryState::Deleted {
                // Deleted, and back: nothing but a look at the message itself settles what it is.
                record.gone = true;
            } else {
                record.absent_since = None;
            }
        });
        Ok(())
    }

    pub(super) fn begin_renumbering(&mut self, time: Time) {
        self.slots.change_all(|record| record.candidate |= record.present && record.may_be_doubted());
        self.renumbering = true;
        self.saw(time);
    }

    pub(super) fn settle_renumbering(&mut self, time: Time) {
        self.slots.change_all(|record| record.candidate = false);
        self.renumbering = false;
        self.saw(time);
    }

    /// The clock had run ahead, and is right now: what was written ahead of it reads as now, so that no age counts by the
    /// leap, and retries fall due.
    pub(super) fn correct_clock(&mut self, now: Time) {
        let today = day_of(now);
        self.slots.change_all(|record| {
            record.delivered = record.delivered.map(|time| time.min(now));
            record.absent_since = record.absent_since.map(|day| day.min(today));
            record.deleted_on = record.deleted_on.map(|day| day.min(today));
        });
        self.slots.change_all_details(|details| {
            details.retry_after = details.retry_after.filter(|at| *at <= now);
            details.deliveries.iter_mut().for_each(|(_, time)| *time = (*time).min(now));
        });
        self.listings.iter_mut().for_each(|time| *time = (*time).min(now));
        self.time = now;
        self.clock = Some(now);
    }
}
