//! One listing, matched with the ledger as it arrives: what is known needs only its entry's number, and what is new its
//! unique-id, so that a maildrop of a million messages fits into some 40 MiB.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use crate::exit::ExitCode;
use crate::ledger::{Error, Ledger};
use crate::problem::Problem;
use crate::proof::EntryId;
use crate::types::{MessageNumber, Octets, UniqueId, UniqueIdBuf};

/// The messages of one session, ascending by number.
#[derive(Debug)]
pub(crate) struct Maildrop {
    seats: Vec<Seat>,
    /// Parallel to the seats once `LIST` has been read; [`NO_SIZE`] where it had none.
    octets: Vec<u64>,
    /// The unique-ids that the ledger doesn't know, one after the other, and where each ends.
    names: Vec<u8>,
    ends: Vec<u32>,
    /// The new unique-ids by value, to find one that is listed twice.
    index: HashTable<u32>,
    hasher: RandomState,
    /// Which entries are listed; a bit each.
    listed: Vec<u64>,
    /// Whether the listing gave any unique-id.
    named: bool,
    /// Entries listed more than once, and how often.
    repeated: HashMap<EntryId, u32>,
    ascending: bool,
}

const NO_SIZE: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seat {
    number: MessageNumber,
    who: Packed,
}

/// [`Who`] in four octets: entries from below, new ones with the top bit, and all ones for a nameless one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed(u32);

const NEW: u32 = 1 << 31;
const NAMELESS: u32 = u32::MAX;

/// Which message this is, as far as its unique-id shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who<'a> {
    /// The ledger has an entry for it.
    Known(EntryId),
    /// The ledger doesn't know it.
    New(UniqueId<'a>),
    /// The server gave it no unique-id.
    Nameless,
}

/// One message of the listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    /// Its number in this session.
    pub number: MessageNumber,
    pub who: Who<'a>,
    /// Its size, if `LIST` had it.
    pub octets: Option<Octets>,
}

impl<'a> Listed<'a> {
    /// The entry that the ledger has for its unique-id.
    #[must_use]
    pub(crate) fn entry(&self) -> Option<EntryId> {
        match self.who {
            Who::Known(id) => Some(id),
            Who::New(_) | Who::Nameless => None,
        }
    }

    /// Whether runs have failed with it since it last succeeded.
    #[must_use]
    pub(crate) fn has_failed(&self, ledger: &Ledger) -> bool {
        self.entry().is_some_and(|id| ledger.entry(id).failures > 0)
    }

    /// Its unique-id, if the ledger doesn't know it.
    #[must_use]
    pub(crate) fn new_unique_id(&self) -> Option<UniqueId<'a>> {
        match self.who {
            Who::New(unique_id) => Some(unique_id),
            Who::Known(_) | Who::Nameless => None,
        }
    }

    /// Its unique-id, which of a known one the ledger reads back; none where it has none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn unique_id(&self, ledger: &Ledger) -> Result<Option<UniqueIdBuf>, Error> {
        Ok(match self.who {
            Who::New(unique_id) => Some(unique_id.to_buf()),
            Who::Known(id) => ledger.key(id)?.into_unique_id(),
            Who::Nameless => None,
        })
    }
}

/// A listing that contradicts itself: typically a server that renumbers while it lists, or a balancer between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server listed message {0} twice, with different data")]
pub(crate) struct ListedTwice(pub MessageNumber);

impl Problem for ListedTwice {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some("-vv shows the dialogue; the server's operator should see it".into())
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::Protocol
    }
}

impl Default for Maildrop {
    fn default() -> Self {
        Self {
            seats: Vec::new(),
            octets: Vec::new(),
            names: Vec::new(),
            ends: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            listed: Vec::new(),
            named: false,
            repeated: HashMap::new(),
            ascending: true,
        }
    }
}

impl Maildrop {
    /// One line of the unique-id listing, with what the ledger finds for it.
    pub(crate) fn add(
        &mut self,
        number: MessageNumber,
        unique_id: Option<UniqueId<'_>>,
        entry: Option<EntryId>,
    ) {
        let who = match (entry, unique_id) {
            (Some(id), _) => Packed(id.0),
            (None, Some(unique_id)) => Packed(NEW | self.name(unique_id)),
            (None, None) => Packed(NAMELESS),
        };
        let seat = Seat { number, who };
        if let Some(last) = self.seats.last() {
            if *last == seat {
                // The same line twice is one message.
                return;
            }
            self.ascending &= last.number < number;
        }
        self.seats.push(seat);
    }

    fn name(&mut self, unique_id: UniqueId<'_>) -> u32 {
        let octets = unique_id.as_bytes();
        let hash = self.hasher.hash_one(octets);
        let (names, ends, hasher) = (&self.names, &self.ends, &self.hasher);
        let same = |index: &u32| slice(names, ends, *index) == octets;
        if let Some(index) = self.index.find(hash, same) {
            return *index;
        }
        // A listing has at most a million lines of at most 1024 octets: both fit into 32 bits.
        let index = u32::try_from(self.ends.len()).unwrap_or(NEW - 2);
        self.names.extend_from_slice(octets);
        self.ends.push(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        let (names, ends) = (&self.names, &self.ends);
        self.index.insert_unique(hash, index, |index| hasher.hash_one(slice(names, ends, *index)));
        index
    }

    /// The listing has ended: brings it into order, and counts.
    ///
    /// # Errors
    /// When a number stands for two messages.
    pub(crate) fn complete(&mut self) -> Result<(), ListedTwice> {
        if !self.ascending {
            self.seats.sort_by_key(|seat| seat.number);
            self.seats.dedup();
            if let Some(seat) = self.seats.windows(2).find_map(|pair| match pair {
                [a, b] if a.number == b.number => Some(a),
                _ => None,
            }) {
                return Err(ListedTwice(seat.number));
            }
            self.ascending = true;
        }
        for index in 0..self.seats.len() {
            let Some(who) = self.seats.get(index).map(|seat| seat.who) else { break };
            match who.0 {
                NAMELESS => {}
                new if new & NEW != 0 => self.named = true,
                id => {
                    self.named = true;
                    self.count(EntryId(id));
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, id: EntryId) {
        let (word, bit) = bit_of(id);
        if self.listed.len() <= word {
            self.listed.resize(word + 1, 0);
        }
        let Some(word) = self.listed.get_mut(word) else { return };
        if *word & bit == 0 {
            *word |= bit;
        } else {
            *self.repeated.entry(id).or_insert(1) += 1;
        }
    }

    /// One line of the scan listing.  A message that the unique-id listing didn't have came in between: it waits for
    /// the next session.
    pub(crate) fn set_size(&mut self, number: MessageNumber, octets: Option<Octets>) {
        if self.octets.is_empty() {
            self.octets = vec![NO_SIZE; self.seats.len()];
        }
        // Listings nearly always ascend without gaps: look at the seat of that number first.
        let guess = usize::try_from(number.get() - 1).unwrap_or(usize::MAX);
        let found = match self.seats.get(guess) {
            Some(seat) if seat.number == number => Ok(guess),
            _ => self.seats.binary_search_by_key(&number, |seat| seat.number),
        };
        if let Ok(index) = found
            && let Some(slot) = self.octets.get_mut(index)
        {
            *slot = octets.map_or(NO_SIZE, |octets| octets.0);
        }
    }

    /// Messages that the scan listing has, and the unique-id listing lacks: they have no unique-id.
    pub(crate) fn add_nameless(&mut self, messages: &[(MessageNumber, Option<Octets>)]) {
        let octets = |at: usize| self.octets.get(at).copied().unwrap_or(NO_SIZE);
        let known = self.seats.iter().enumerate().map(|(at, seat)| (*seat, octets(at)));
        let more = messages.iter().map(|(number, octets)| {
            let seat = Seat { number: *number, who: Packed(NAMELESS) };
            (seat, octets.map_or(NO_SIZE, |octets| octets.0))
        });
        let mut all: Vec<(Seat, u64)> = known.chain(more).collect();
        all.sort_by_key(|(seat, _)| seat.number);
        all.dedup_by_key(|(seat, _)| seat.number);
        (self.seats, self.octets) = all.into_iter().unzip();
    }

    /// The unique-ids prove nothing: as if the server had given none.
    pub(crate) fn forget_unique_ids(&mut self) {
        let mut nameless = Self::default();
        for seat in &self.seats {
            nameless.add(seat.number, None, None);
        }
        *self = nameless;
    }

    /// A message whose new unique-id turned out to be, or became, this entry.
    pub(crate) fn assign(&mut self, number: MessageNumber, entry: EntryId) {
        if let Ok(index) = self.seats.binary_search_by_key(&number, |seat| seat.number) {
            let Some(seat) = self.seats.get_mut(index) else { return };
            if seat.who == Packed(entry.0) {
                return;
            }
            seat.who = Packed(entry.0);
            self.count(entry);
        }
    }

    /// The messages, ascending by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Listed<'_>> {
        self.seats.iter().enumerate().map(|(index, seat)| self.listed_at(index, *seat))
    }

    /// The `index`-th message, from 0.
    #[must_use]
    pub(crate) fn at(&self, index: usize) -> Option<Listed<'_>> {
        self.seats.get(index).map(|seat| self.listed_at(index, *seat))
    }

    #[must_use]
    pub(crate) fn find(&self, number: MessageNumber) -> Option<Listed<'_>> {
        self.at(self.index_of(number)?)
    }

    /// Where the message of that number stands, from 0.
    #[must_use]
    pub(crate) fn index_of(&self, number: MessageNumber) -> Option<usize> {
        self.seats.binary_search_by_key(&number, |seat| seat.number).ok()
    }

    fn listed_at(&self, index: usize, seat: Seat) -> Listed<'_> {
        let octets = self.octets.get(index).copied().filter(|octets| *octets != NO_SIZE).map(Octets);
        let who = match seat.who.0 {
            NAMELESS => Who::Nameless,
            new if new & NEW != 0 => {
                UniqueId::new(slice(&self.names, &self.ends, new & !NEW)).map_or(Who::Nameless, Who::New)
            }
            id => Who::Known(EntryId(id)),
        };
        Listed { number: seat.number, who, octets }
    }

    /// How many messages there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Whether the server gave any message a unique-id.
    #[must_use]
    pub(crate) fn has_unique_ids(&self) -> bool {
        self.named
    }

    /// Whether sizes have been read.
    #[must_use]
    pub(crate) fn has_sizes(&self) -> bool {
        !self.octets.is_empty() || self.seats.is_empty()
    }

    /// Entries that are listed more than once, and the size of the last message of each.
    #[must_use]
    pub(crate) fn last_of_repeated(&self) -> HashMap<EntryId, Option<Octets>> {
        if self.repeated.is_empty() {
            return HashMap::new();
        }
        let repeated = self.iter().filter_map(|listed| match listed.who {
            Who::Known(id) if self.repeated.contains_key(&id) => Some((id, listed.octets)),
            Who::Known(_) | Who::New(_) | Who::Nameless => None,
        });
        repeated.collect()
    }

    /// How often an entry is listed.
    #[must_use]
    pub(crate) fn times_listed(&self, id: EntryId) -> u32 {
        let (word, bit) = bit_of(id);
        match self.listed.get(word) {
            Some(word) if word & bit != 0 => self.repeated.get(&id).copied().unwrap_or(1),
            _ => 0,
        }
    }
}

/// The word of [`Maildrop::listed`], and the bit in it, that stand for an entry.
fn bit_of(id: EntryId) -> (usize, u64) {
    (usize::try_from(id.0 / 64).unwrap_or(usize::MAX), 1 << (id.0 % 64))
}

fn slice<'a>(names: &'a [u8], ends: &[u32], index: u32) -> &'a [u8] {
    let end = |i: usize| ends.get(i).and_then(|end| usize::try_from(*end).ok());
    let Ok(index) = usize::try_from(index) else { return &[] };
    let start = index.checked_sub(1).map_or(Some(0), end).unwrap_or(0);
    end(index).and_then(|end| names.get(start..end)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::{ListedTwice, Maildrop, Who};
    use crate::proof::EntryId;
    use crate::types::{MessageNumber, Octets, UniqueId};

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    fn add(maildrop: &mut Maildrop, n: u32, name: &str) {
        maildrop.add(number(n), UniqueId::new(name.as_bytes()), None);
    }

    fn names(maildrop: &Maildrop) -> Vec<(u32, String)> {
        maildrop
            .iter()
            .map(|l| {
                let who = match l.who {
                    Who::New(name) => name.to_string(),
                    Who::Known(id) => format!("#{}", id.0),
                    Who::Nameless => "-".to_owned(),
                };
                (l.number.get(), who)
            })
            .collect()
    }

    /// Any order, gaps, the same line twice (with a unique-id, or without).
    #[test]
    fn any_order_becomes_ascending() {
        let mut maildrop = Maildrop::default();
        for (n, name) in [(9, "i"), (1, "a"), (5, "e"), (7, ""), (7, ""), (1, "a"), (9, "i"), (7, "")] {
            add(&mut maildrop, n, name);
        }
        maildrop.complete().unwrap();
        let expected = [(1, "a"), (5, "e"), (7, "-"), (9, "i")].map(|(n, name)| (n, name.to_owned()));
        assert_eq!(names(&maildrop), expected);
    }

    /// A line that comes twice at once is no sign of disorder; two messages of one number are, whatever stands between.
    #[test]
    fn what_is_listed_twice_in_a_row_is_one_message() {
        for (lines, expected) in [
            (&[(1, "a"), (1, "a"), (2, "b")][..], Ok(2)),
            (&[(1, "a"), (1, "b")], Err(ListedTwice(number(1)))),
            (&[(2, "b"), (1, "a"), (2, "b")], Ok(2)),
            (&[(1, "a"), (2, "b"), (2, "c"), (3, "d")], Err(ListedTwice(number(2)))),
        ] {
            let mut maildrop = Maildrop::default();
            lines.iter().for_each(|(n, name)| add(&mut maildrop, *n, name));
            assert_eq!(maildrop.complete().map(|()| maildrop.len()), expected, "{lines:?}");
        }
    }

    /// Without gaps a size has its place at once, with gaps it is looked for; what isn't listed has none.
    #[test]
    fn sizes_go_to_their_numbers() {
        let mut maildrop = Maildrop::default();
        assert!(maildrop.has_sizes(), "of nothing there are none to be read");
        for (n, name) in [(1, "a"), (3, "c"), (4, "d")] {
            add(&mut maildrop, n, name);
        }
        maildrop.complete().unwrap();
        assert!(!maildrop.has_sizes());
        for n in [1, 2, 3, 4, 5] {
            maildrop.set_size(number(n), Some(Octets(u64::from(n) * 10)));
        }
        let sizes: Vec<_> = maildrop.iter().map(|l| l.octets.map(|octets| octets.0)).collect();
        assert_eq!(sizes, [Some(10), Some(30), Some(40)]);
        assert!(maildrop.has_sizes());
    }

    #[test]
    fn a_number_for_two_messages_is_a_contradiction() {
        let mut maildrop = Maildrop::default();
        for (n, name) in [(1, "a"), (2, "b"), (1, "c")] {
            add(&mut maildrop, n, name);
        }
        assert_eq!(maildrop.complete(), Err(ListedTwice(number(1))));
    }

    /// Duplicates are counted; sizes of unknown numbers are ignored.
    #[test]
    fn duplicates_and_sizes() {
        let mut maildrop = Maildrop::default();
        maildrop.add(number(1), UniqueId::new(b"x"), Some(EntryId(70)));
        maildrop.add(number(2), UniqueId::new(b"x"), Some(EntryId(70)));
        maildrop.add(number(4), None, None);
        maildrop.complete().unwrap();
        assert_eq!(maildrop.times_listed(EntryId(70)), 2);
        assert_eq!(maildrop.times_listed(EntryId(69)), 0);
        maildrop.assign(number(4), EntryId(3));
        assert_eq!((maildrop.times_listed(EntryId(3)), maildrop.times_listed(EntryId(70))), (1, 2));
        assert!(maildrop.has_unique_ids());
        maildrop.set_size(number(4), Some(Octets(7)));
        maildrop.set_size(number(3), Some(Octets(9)));
        maildrop.set_size(number(1), None);
        let sizes: Vec<_> = maildrop.iter().map(|l| l.octets).collect();
        assert_eq!(sizes, [None, None, Some(Octets(7))]);
    }

    #[test]
    fn a_retrieved_message_takes_its_entry() {
        let mut maildrop = Maildrop::default();
        add(&mut maildrop, 1, "a");
        maildrop.complete().unwrap();
        maildrop.assign(number(1), EntryId(3));
        maildrop.assign(number(1), EntryId(3));
        assert_eq!(maildrop.times_listed(EntryId(3)), 1);
        assert_eq!(names(&maildrop), [(1, "#3".to_owned())]);
    }

    /// LIST has messages that UIDL lacks: they are there, in their places, and keep what is known of the others.
    #[test]
    fn what_only_the_scan_listing_has_is_there_without_a_unique_id() {
        let mut maildrop = Maildrop::default();
        add(&mut maildrop, 2, "b");
        add(&mut maildrop, 4, "d");
        maildrop.complete().unwrap();
        maildrop.set_size(number(2), Some(Octets(20)));
        let more = [(number(3), Some(Octets(30))), (number(1), None), (number(2), Some(Octets(99)))];
        maildrop.add_nameless(&more);
        let expected = [(1, "-"), (2, "b"), (3, "-"), (4, "d")].map(|(n, name)| (n, name.to_owned()));
        assert_eq!(names(&maildrop), expected);
        let sizes: Vec<Option<u64>> = maildrop.iter().map(|l| l.octets.map(|octets| octets.0)).collect();
        assert_eq!(sizes, [None, Some(20), Some(30), None]);
    }

    /// Where unique-ids prove nothing, no message has one.
    #[test]
    fn unique_ids_that_prove_nothing_are_forgotten() {
        let mut maildrop = Maildrop::default();
        add(&mut maildrop, 1, "1");
        add(&mut maildrop, 2, "2");
        maildrop.complete().unwrap();
        assert!(maildrop.has_unique_ids());
        maildrop.forget_unique_ids();
        maildrop.complete().unwrap();
        assert!(!maildrop.has_unique_ids());
        assert_eq!(names(&maildrop), [(1, "-".to_owned()), (2, "-".to_owned())]);
    }
}
