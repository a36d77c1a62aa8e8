//! Entries packed into 32 octets each, found by a keyed fingerprint of their key.  Must not know what a line means.
//!
//! Half a million known messages must fit into some twenty megabytes, so the fingerprint stands for the unique-id, and
//! the place of its line for everything that is seldom asked.  120 bits under a random key: nobody can make two
//! unique-ids meet, and chance won't.
//!
//! The table that finds them is made when it is first needed.  A ledger whose entries are only read, and a listing that
//! names them in the order in which they became known, as nearly all do, need none ([`Slots::follow`]): half a million
//! visits to memory that is in no cache are most of what an idle poll would cost.

use std::sync::OnceLock;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use siphasher::sip128::SipHasher13;

use crate::proof::EntryId;
use crate::types::Time;

use super::Contradiction;
use crate::ledger::State;
use crate::ledger::lines::KeyField;

/// An entry.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger) struct Slot {
    hash: u64,
    /// The rest of the fingerprint in the low 56 bits, flags above.
    rest: u64,
    listed: u32,
    /// Seconds since 1970.
    delivered: u32,
    offset: [u8; 5],
    /// The state in the low three bits, flags above.
    bits: u8,
    /// The day since which complete listings have lacked it, or on which it was deleted; 0 is none.
    pub(in crate::ledger) absent: u16,
}

/// 120 bits of a key's keyed digest: the hash for the table, and what tells keys of equal hashes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    hash: u64,
    /// 56 bits.
    rest: u64,
}

impl Fingerprint {
    /// The bits of [`Fingerprint::rest`].  It's one number, because seven octets compare, and copy, one by one: that took
    /// half of what [`Slots::follow`] costs.
    const REST: u64 = u64::MAX >> 8;

    fn new(hash: u64, rest: u64) -> Self {
        Self { hash, rest: rest & Self::REST }
    }
}

/// A property that an entry has or lacks: a bit of [`Slot::bits`] in the low octet, of [`Slot::rest`] in the high one.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger) struct Flag(u16);

/// Something about it is kept elsewhere, as with few others.
pub(in crate::ledger) const RARE: Flag = Flag(0x08);
/// It was in the last complete listing, or has come since.
pub(in crate::ledger) const PRESENT: Flag = Flag(0x10);
/// It was reported as too large.
pub(in crate::ledger) const LARGE: Flag = Flag(0x20);
/// At least one message of this key was delivered, seen or recorded.
pub(in crate::ledger) const HELD: Flag = Flag(0x40);
/// The last such was only seen or recorded: no word to delete it by.
pub(in crate::ledger) const WEAK: Flag = Flag(0x80);
/// Its key may stand for another message by now: to be compared before it counts as known.
pub(in crate::ledger) const DOUBTFUL: Flag = Flag(0x0100);
/// Its key was delivered again after a comparison had failed.
pub(in crate::ledger) const AGAIN: Flag = Flag(0x0200);
/// The server's copies of it differ from one retrieval to the next.
pub(in crate::ledger) const VARIES: Flag = Flag(0x0400);
/// It was delivered from a session in UTF-8 mode (RFC 6856).
pub(in crate::ledger) const UTF8: Flag = Flag(0x0800);
/// While the server's renumbering is sorted out: a message that may be listed under another key now.
pub(in crate::ledger) const CANDIDATE: Flag = Flag(0x1000);

const STATE: u8 = 0x07;
const DELETED: u8 = 4;
const GONE: u8 = 5;
const UNKNOWN: u32 = u32::MAX;
const HUGE: u32 = u32::MAX - 1;

/// A size as a slot holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Listed {
    /// `LIST` was not asked.
    Unknown,
    /// What it said.
    Octets(u32),
    /// It said more than fits here.
    Huge,
}

impl Slot {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(self.hash, self.rest)
    }

    pub(in crate::ledger) fn state(&self) -> State {
        match self.bits & STATE {
            1 => State::Seen,
            2 => State::Recorded,
            3 => State::Delivered,
            DELETED | GONE => State::Deleted,
            _ => State::Open,
        }
    }

    /// Whether it is deleted, and a listing has lacked it since.
    pub(in crate::ledger) fn is_gone(&self) -> bool {
        self.bits & STATE == GONE
    }

    /// Says so, or takes it back, of one that is deleted; of any other it means nothing.
    pub(in crate::ledger) fn set_gone(&mut self, gone: bool) {
        if self.state() == State::Deleted {
            self.bits = self.bits & !STATE | if gone { GONE } else { DELETED };
        }
    }

    pub(in crate::ledger) fn set_state(&mut self, state: State) {
        self.bits = self.bits & !STATE
            | match state {
                State::Open => 0,
                State::Seen => 1,
                State::Recorded => 2,
                State::Delivered => 3,
                State::Deleted => DELETED,
            };
    }

    fn flags(&self) -> u16 {
        let [.., more] = self.rest.to_le_bytes();
        u16::from_le_bytes([self.bits, more])
    }

    pub(in crate::ledger) fn is(&self, flag: Flag) -> bool {
        self.flags() & flag.0 != 0
    }

    pub(in crate::ledger) fn set(&mut self, flag: Flag, up: bool) {
        self.set_all([(flag, up)]);
    }

    /// Sets several at once.
    pub(in crate::ledger) fn set_all<const N: usize>(&mut self, changes: [(Flag, bool); N]) {
        let set = |flags, (flag, up): (Flag, bool)| if up { flags | flag.0 } else { flags & !flag.0 };
        let [bits, more] = changes.into_iter().fold(self.flags(), set).to_le_bytes();
        self.bits = bits;
        self.rest = self.rest & Fingerprint::REST | u64::from(more) << 56;
    }

    pub(in crate::ledger) fn listed(&self) -> Listed {
        match self.listed {
            UNKNOWN => Listed::Unknown,
            HUGE => Listed::Huge,
            octets => Listed::Octets(octets),
        }
    }

    pub(in crate::ledger) fn set_listed(&mut self, octets: Option<u64>) {
        let short = |octets| u32::try_from(octets).ok().filter(|short| *short < HUGE).unwrap_or(HUGE);
        self.listed = octets.map_or(UNKNOWN, short);
    }

    /// When it was delivered last; meaningless unless it is [`HELD`].
    pub(in crate::ledger) fn delivered(&self) -> Time {
        Time(i64::from(self.delivered))
    }

    pub(in crate::ledger) fn set_delivered(&mut self, time: Time) {
        self.delivered = u32::try_from(time.0.max(0)).unwrap_or(u32::MAX);
    }

    /// Where its line is: the one with its digests, once it has any.
    pub(in crate::ledger) fn offset(&self) -> u64 {
        let [a, b, c, d, e] = self.offset;
        u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
    }

    pub(in crate::ledger) fn set_offset(&mut self, offset: u64) {
        if let Some(packed) = packed(offset) {
            self.offset = packed;
        }
    }
}

fn packed(offset: u64) -> Option<[u8; 5]> {
    match offset.to_le_bytes() {
        [a, b, c, d, e, 0, 0, 0] => Some([a, b, c, d, e]),
        _ => None,
    }
}

/// All entries, in the order in which they became known.
#[derive(Debug)]
pub(in crate::ledger) struct Slots {
    unique_ids: SipHasher13,
    headers: SipHasher13,
    slots: Vec<Slot>,
    /// Holds all of them, or isn't there yet.
    table: OnceLock<HashTable<u32>>,
}

impl Slots {
    pub(in crate::ledger) fn new(key: &[u8; 32]) -> Self {
        let (first, second) = key.split_at(16);
        // Two keys: a unique-id that reads like a digest is no header's.
        let hasher = |half: &[u8]| SipHasher13::new_with_key(half.first_chunk().unwrap_or(&[0; 16]));
        let (unique_ids, headers) = (hasher(first), hasher(second));
        Self { unique_ids, headers, slots: Vec::new(), table: OnceLock::new() }
    }

    /// Makes room for so many entries.
    pub(in crate::ledger) fn expect(&mut self, entries: usize) {
        self.slots.reserve_exact(entries.saturating_sub(self.slots.len()));
    }

    pub(in crate::ledger) fn len(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    pub(in crate::ledger) fn get(&self, entry: EntryId) -> Option<&Slot> {
        self.slots.get(usize::try_from(entry.0).ok()?)
    }

    pub(in crate::ledger) fn get_mut(&mut self, entry: EntryId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(entry.0).ok()?)
    }

    pub(in crate::ledger) fn find(&self, key: &KeyField<'_>) -> Option<EntryId> {
        self.find_fingerprint(self.fingerprint(key))
    }

    pub(in crate::ledger) fn find_unique_id(&self, unique_id: &[u8]) -> Option<EntryId> {
        self.find_fingerprint(self.fingerprint_of_unique_id(unique_id))
    }

    /// As [`Slots::find_unique_id`], with a look first at the entry that became known behind the one found last.
    pub(in crate::ledger) fn follow(&self, last: Option<EntryId>, unique_id: &[u8]) -> Option<EntryId> {
        let fingerprint = self.fingerprint_of_unique_id(unique_id);
        let next = EntryId(last.map_or(0, |last| last.0.saturating_add(1)));
        match self.get(next) {
            Some(slot) if slot.fingerprint() == fingerprint => Some(next),
            _ => self.find_fingerprint(fingerprint),
        }
    }

    fn find_fingerprint(&self, fingerprint: Fingerprint) -> Option<EntryId> {
        let table = self.table.get_or_init(|| table_of(&self.slots));
        let same = |id: &u32| fingerprint_of(&self.slots, *id) == Some(fingerprint);
        table.find(fingerprint.hash, same).copied().map(EntryId)
    }

    fn fingerprint_of_unique_id(&self, unique_id: &[u8]) -> Fingerprint {
        let (a, b) = self.unique_ids.hash(unique_id).as_u64();
        Fingerprint::new(a, b)
    }

    fn fingerprint(&self, key: &KeyField<'_>) -> Fingerprint {
        match key {
            KeyField::UniqueId(octets) => self.fingerprint_of_unique_id(octets),
            KeyField::Header(digest) => {
                let (a, b) = self.headers.hash(digest.as_bytes()).as_u64();
                Fingerprint::new(a, b)
            }
        }
    }

    /// Changes every entry.
    pub(in crate::ledger) fn change_all(&mut self, change: impl FnMut(&mut Slot)) {
        self.slots.iter_mut().for_each(change);
    }

    /// Every entry, oldest first.
    pub(in crate::ledger) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// The entry of a key, and whether it had to be made: open, present, with its line at `offset`.
    pub(in crate::ledger) fn insert(
        &mut self,
        key: &KeyField<'_>,
        offset: u64,
    ) -> Result<(EntryId, bool), Contradiction> {
        let fingerprint = self.fingerprint(key);
        if let Some(known) = self.find_fingerprint(fingerprint) {
            return Ok((known, false));
        }
        Ok((self.push(fingerprint, offset, |slot| slot.set(PRESENT, true))?, true))
    }

    /// Makes the entry of a key that is known to have none, and lets `fill` say what it is like.
    pub(in crate::ledger) fn add(
        &mut self,
        key: &KeyField<'_>,
        offset: u64,
        fill: impl FnOnce(&mut Slot),
    ) -> Result<EntryId, Contradiction> {
        self.push(self.fingerprint(key), offset, fill)
    }

    fn push(
        &mut self,
        fingerprint: Fingerprint,
        offset: u64,
        fill: impl FnOnce(&mut Slot),
    ) -> Result<EntryId, Contradiction> {
        let offset = packed(offset).ok_or("the ledger is too long")?;
        let id = u32::try_from(self.slots.len()).map_err(|_| "too many entries")?;
        let Fingerprint { hash, rest } = fingerprint;
        let mut slot = Slot { hash, rest, listed: UNKNOWN, delivered: 0, offset, bits: 0, absent: 0 };
        fill(&mut slot);
        self.slots.push(slot);
        if let Some(table) = self.table.get_mut() {
            let slots = &self.slots;
            table.insert_unique(fingerprint.hash, id, |id| hash_of(slots, *id));
        }
        Ok(EntryId(id))
    }
}

fn table_of(slots: &[Slot]) -> HashTable<u32> {
    let mut table = HashTable::with_capacity(slots.len());
    for (id, slot) in (0_u32..).zip(slots) {
        // Of two with one key, which no ledger of ours has, the first counts.
        let same = |known: &u32| fingerprint_of(slots, *known) == Some(slot.fingerprint());
        if let Entry::Vacant(vacant) = table.entry(slot.hash, same, |id| hash_of(slots, *id)) {
            vacant.insert(id);
        }
    }
    table
}

fn fingerprint_of(slots: &[Slot], id: u32) -> Option<Fingerprint> {
    usize::try_from(id).ok().and_then(|at| slots.get(at)).map(Slot::fingerprint)
}

fn hash_of(slots: &[Slot], id: u32) -> u64 {
    usize::try_from(id).ok().and_then(|at| slots.get(at)).map_or(0, |slot| slot.hash)
}

#[cfg(test)]
mod tests {
    use super::{
        AGAIN, CANDIDATE, DOUBTFUL, HELD, LARGE, Listed, PRESENT, RARE, Slot, Slots, UTF8, VARIES, WEAK,
    };
    use crate::ledger::State;
    use crate::ledger::lines::KeyField;

    #[test]
    fn an_entry_is_32_octets() {
        assert_eq!(size_of::<Slot>(), 32);
    }

    #[test]
    fn state_and_flags_keep_out_of_each_others_way() {
        let mut slots = Slots::new(&[1; 32]);
        let (id, fresh) = slots.insert(&KeyField::UniqueId(b"a"[..].into()), (1 << 40) - 1).unwrap();
        assert!(fresh);
        let slot = slots.get_mut(id).unwrap();
        assert_eq!(
            (slot.offset(), slot.listed(), slot.state()),
            ((1 << 40) - 1, Listed::Unknown, State::Open)
        );
        let states = [State::Open, State::Seen, State::Recorded, State::Delivered, State::Deleted];
        let flags = [RARE, PRESENT, LARGE, HELD, WEAK, DOUBTFUL, AGAIN, VARIES, UTF8, CANDIDATE];
        for flag in flags {
            for state in states {
                for up in [true, false] {
                    slot.set(flag, up);
                    slot.set_state(state);
                    slot.set_gone(true);
                    assert_eq!((slot.state(), slot.is(flag)), (state, up));
                    assert_eq!(slot.is_gone(), state == State::Deleted);
                }
            }
        }
        slot.set_gone(false);
        assert!(!slot.is_gone() && slot.state() == State::Deleted);
        assert!(slots.insert(&KeyField::UniqueId(b"b"[..].into()), 1 << 40).is_err());
    }

    #[test]
    fn following_finds_what_finding_finds() {
        let key = |name: &str| KeyField::UniqueId(name.as_bytes().to_vec().into());
        let names: Vec<String> = (0..50).map(|n| format!("uid-{n}")).collect();
        let mut slots = Slots::new(&[1; 32]);
        for name in &names {
            slots.add(&key(name), 0, |_| {}).unwrap();
        }
        // In their order none needs the table; then backwards, in leaps, again, and with strangers among them.
        let backwards = names.iter().rev();
        let leaps = names.iter().step_by(7).flat_map(|name| [name, name]);
        let strangers = ["x".to_owned(), "uid-3".to_owned(), "y".to_owned()];
        let mut last = None;
        for name in names.iter().chain(backwards).chain(leaps).chain(&strangers) {
            let found = slots.follow(last, name.as_bytes());
            assert_eq!(found.map(|id| id.0), names.iter().position(|known| known == name).map(|n| n as u32));
            assert_eq!(found, slots.find(&key(name)), "{name}");
            last = found.or(last);
        }
        // One that comes once there is a table stands in it.
        let (id, fresh) = slots.insert(&key("late"), 0).unwrap();
        assert!(
            fresh && slots.find_unique_id(b"late") == Some(id) && slots.follow(Some(id), b"late") == Some(id)
        );
    }

    #[test]
    fn sizes() {
        let mut slots = Slots::new(&[1; 32]);
        let (id, _) = slots.insert(&KeyField::UniqueId(b"a"[..].into()), 0).unwrap();
        let slot = slots.get_mut(id).unwrap();
        let most = u32::MAX - 2;
        let cases = [
            (None, Listed::Unknown),
            (Some(0), Listed::Octets(0)),
            (Some(u64::from(most)), Listed::Octets(most)),
            (Some(u64::from(most) + 1), Listed::Huge),
            (Some(u64::MAX), Listed::Huge),
        ];
        for (octets, listed) in cases {
            slot.set_listed(octets);
            assert_eq!(slot.listed(), listed);
        }
    }
}
