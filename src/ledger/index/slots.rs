//! Entries packed into 32 octets each, found by a keyed fingerprint of their key.  They are handed out and taken back as
//! plain [`EntryRecord`]s: how they are packed concerns this file alone.  Must not know what a line means.
//!
//! Half a million known messages must fit into some twenty megabytes.  So a slot holds a fingerprint instead of the
//! unique-id, and the place of its line instead of everything that is seldom asked.  What only few entries have is in
//! a map beside them ([`Details`]).  The fingerprint has 120 bits under a random key, so that neither an attacker nor
//! chance makes two unique-ids collide.
//!
//! The table that finds them is made when it is first needed.  A ledger whose entries are only read needs none.  Nor
//! does a listing that names them in the order in which they became known, as nearly all do ([`Slots::follow`]).
//! Half a million visits to memory that is in no cache are most of what an idle poll would cost.

use std::collections::HashMap;
use std::sync::OnceLock;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use siphasher::sip128::SipHasher13;

use crate::ledger::codec::KeyField;
use crate::ledger::entry::EntryState;
use crate::ledger::lines::Contradiction;
use crate::message::Digest;
use crate::proof::EntryId;
use crate::types::Time;

/// What is known of a message, but for what few have ([`Details`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryRecord {
    pub(super) state: EntryState,
    /// Where its line is: the one with its digests, once it has any.
    pub(super) offset: u64,
    /// Its octets by `LIST`.
    pub(super) listed_size: Option<u64>,
    /// When a message of this key was last delivered, seen or recorded; `None` when none was.
    pub(super) delivered: Option<Time>,
    /// That message was only printed, or marked as seen: no proof to delete it by.
    pub(super) only_seen: bool,
    /// The day since which complete listings have lacked it; `None` for a deleted one.
    pub(super) absent_since: Option<u16>,
    /// The day on which it was deleted; `None` for any other, and where it isn't known.
    pub(super) deleted_on: Option<u16>,
    /// It is deleted, and a listing has lacked it since; never set for any other.
    pub(super) gone: bool,
    /// It was in the last complete listing, or has come since.
    pub(super) present: bool,
    /// It was reported as too large.
    pub(super) too_large: bool,
    /// Its key may stand for another message by now: to be compared before it counts as known.
    pub(super) doubtful: bool,
    /// Its key was delivered again after a comparison had failed.
    pub(super) again: bool,
    /// The server's copies of it differ from one retrieval to the next.
    pub(super) varies: bool,
    /// It was delivered from a session in UTF-8 mode (RFC 6856).
    pub(super) utf8: bool,
    /// While the server's renumbering is sorted out: a message that may be listed under another key now.
    pub(super) candidate: bool,
    /// It is known by the user's word alone, without digests: nothing is concluded from it.
    pub(super) unidentified: bool,
}

impl EntryRecord {
    /// A message of which nothing is known yet but that it is there.
    pub(super) fn new(offset: u64) -> Self {
        Self {
            state: EntryState::Open,
            offset,
            listed_size: None,
            delivered: None,
            only_seen: false,
            absent_since: None,
            deleted_on: None,
            gone: false,
            present: true,
            too_large: false,
            doubtful: false,
            again: false,
            varies: false,
            utf8: false,
            candidate: false,
            unidentified: false,
        }
    }
}

/// What few entries have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// How often it has failed since it last succeeded.
    pub(super) failures: u16,
    /// Not before then is a failed one tried again.
    pub(super) retry_after: Option<Time>,
    /// All its deliveries (where their lines are, and when they were), when there is more than one.
    pub(super) deliveries: Vec<(u64, Time)>,
    /// Its messages that are on their way.
    pub(super) messages: Vec<u32>,
    /// Other headers that the server showed it by, the oldest first.
    pub(super) headers: Vec<Digest>,
    /// A size too large for a slot.
    listed_size: Option<u64>,
}

static NO_DETAILS: Details = Details {
    failures: 0,
    retry_after: None,
    deliveries: Vec::new(),
    messages: Vec::new(),
    headers: Vec::new(),
    listed_size: None,
};

/// An entry, packed.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u64,
    /// The rest of the fingerprint in the low 56 bits, the upper flags above.
    rest: u64,
    listed_size: u32,
    /// Seconds since 1970; meaningless unless it was [`DELIVERED_ONCE`].
    delivered: u32,
    offset: [u8; 5],
    /// The state in the low three bits, the lower flags above.
    bits: u8,
    /// The day since which complete listings have lacked it, or on which it was deleted; 0 is none.
    absent: u16,
}

/// 120 bits of a key's keyed digest: the hash for the table, and what keeps keys of equal hashes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyFingerprint {
    hash: u64,
    /// 56 bits.
    rest: u64,
}

impl KeyFingerprint {
    /// The bits of [`KeyFingerprint::rest`].  It's one number, because seven octets compare, and copy, one by one: that took
    /// half of what [`Slots::follow`] costs.
    const REST: u64 = u64::MAX >> 8;

    fn new(hash: u64, rest: u64) -> Self {
        Self { hash, rest: rest & Self::REST }
    }
}

// Flags: bits of `Slot::bits` in the low octet, of the highest octet of `Slot::rest` in the high one.
const HAS_DETAILS: u16 = 0x08;
const PRESENT: u16 = 0x10;
const TOO_LARGE: u16 = 0x20;
const DELIVERED_ONCE: u16 = 0x40;
const ONLY_SEEN: u16 = 0x80;
const DOUBTFUL: u16 = 0x0100;
const AGAIN: u16 = 0x0200;
const VARIES: u16 = 0x0400;
const UTF8: u16 = 0x0800;
const CANDIDATE: u16 = 0x1000;
const UNIDENTIFIED: u16 = 0x2000;
const FORGOTTEN: u16 = 0x4000;

const STATE: u16 = 0x07;
const OPEN: u16 = 0;
const SEEN: u16 = 1;
const RECORDED: u16 = 2;
const DELIVERED: u16 = 3;
const DELETED: u16 = 4;
const GONE: u16 = 5;

const UNKNOWN: u32 = u32::MAX;
const HUGE: u32 = u32::MAX - 1;

impl Slot {
    fn fingerprint(&self) -> KeyFingerprint {
        KeyFingerprint::new(self.hash, self.rest)
    }

    fn flags(&self) -> u16 {
        let [.., more] = self.rest.to_le_bytes();
        u16::from_le_bytes([self.bits, more])
    }

    fn set_flags(&mut self, flags: u16) {
        let [bits, more] = flags.to_le_bytes();
        self.bits = bits;
        self.rest = self.rest & KeyFingerprint::REST | u64::from(more) << 56;
    }

    fn has_details(&self) -> bool {
        self.flags() & HAS_DETAILS != 0
    }

    fn set_has_details(&mut self, has: bool) {
        self.set_flags(if has { self.flags() | HAS_DETAILS } else { self.flags() & !HAS_DETAILS });
    }

    /// Takes a record, but for a size that is too large; the offset only if it fits.
    // Inlined, so that a record that is made to be packed is never made.
    #[inline(always)]
    fn pack(&mut self, record: &EntryRecord) {
        let state = match record.state {
            EntryState::Open => OPEN,
            EntryState::Seen => SEEN,
            EntryState::Recorded => RECORDED,
            EntryState::Delivered => DELIVERED,
            EntryState::Deleted if record.gone => GONE,
            EntryState::Deleted => DELETED,
        };
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        let flags = flag(record.present, PRESENT)
            | flag(record.too_large, TOO_LARGE)
            | flag(record.delivered.is_some(), DELIVERED_ONCE)
            | flag(record.only_seen, ONLY_SEEN)
            | flag(record.doubtful, DOUBTFUL)
            | flag(record.again, AGAIN)
            | flag(record.varies, VARIES)
            | flag(record.utf8, UTF8)
            | flag(record.candidate, CANDIDATE)
            | flag(record.unidentified, UNIDENTIFIED);
        let kept = self.flags() & (HAS_DETAILS | FORGOTTEN);
        self.set_flags(state | flags | kept);
        let short = |octets| u32::try_from(octets).ok().filter(|short| *short < HUGE).unwrap_or(HUGE);
        self.listed_size = record.listed_size.map_or(UNKNOWN, short);
        self.delivered = record.delivered.map_or(0, |time| u32::try_from(time.0.max(0)).unwrap_or(u32::MAX));
        self.offset = packed(record.offset).unwrap_or(self.offset);
        let day = if record.state == EntryState::Deleted { record.deleted_on } else { record.absent_since };
        self.absent = day.unwrap_or(0);
    }

    /// The record, but for a size that is too large.
    // A listing asks for each of its messages several times, mostly for one or two fields: inlined, only those are made.
    #[inline(always)]
    fn unpack(&self) -> EntryRecord {
        let flags = self.flags();
        let is = |flag: u16| flags & flag != 0;
        let state = match flags & STATE {
            SEEN => EntryState::Seen,
            RECORDED => EntryState::Recorded,
            DELIVERED => EntryState::Delivered,
            DELETED | GONE => EntryState::Deleted,
            _ => EntryState::Open,
        };
        let is_deleted = state == EntryState::Deleted;
        let day = Some(self.absent).filter(|day| *day != 0);
        let [a, b, c, d, e] = self.offset;
        EntryRecord {
            state,
            offset: u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]),
            listed_size: (self.listed_size != UNKNOWN).then_some(u64::from(self.listed_size)),
            delivered: is(DELIVERED_ONCE).then_some(Time(i64::from(self.delivered))),
            only_seen: is(ONLY_SEEN),
            absent_since: day.filter(|_| !is_deleted),
            deleted_on: day.filter(|_| is_deleted),
            gone: flags & STATE == GONE,
            present: is(PRESENT),
            too_large: is(TOO_LARGE),
            doubtful: is(DOUBTFUL),
            again: is(AGAIN),
            varies: is(VARIES),
            utf8: is(UTF8),
            candidate: is(CANDIDATE),
            unidentified: is(UNIDENTIFIED),
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
pub(super) struct Slots {
    unique_ids: SipHasher13,
    headers: SipHasher13,
    slots: Vec<Slot>,
    details: HashMap<u32, Details>,
    /// Holds all of them, or isn't there yet.
    table: OnceLock<HashTable<u32>>,
}

impl Slots {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let (first, second) = key.split_at(16);
        // Two keys: a unique-id that reads like a digest is no header's.
        let hasher = |half: &[u8]| SipHasher13::new_with_key(half.first_chunk().unwrap_or(&[0; 16]));
        let (unique_ids, headers) = (hasher(first), hasher(second));
        Self { unique_ids, headers, slots: Vec::new(), details: HashMap::new(), table: OnceLock::new() }
    }

    /// Makes room for this many entries.
    pub(super) fn expect(&mut self, entries: usize) {
        self.slots.reserve_exact(entries.saturating_sub(self.slots.len()));
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    #[inline(always)]
    fn slot(&self, entry: EntryId) -> Option<&Slot> {
        self.slots.get(usize::try_from(entry.0).ok()?)
    }

    #[inline(always)]
    #[expect(clippy::manual_map, reason = "a closure would not be inlined")]
    pub(super) fn get(&self, entry: EntryId) -> Option<EntryRecord> {
        match self.slot(entry) {
            Some(slot) => Some(self.unpacked(entry.0, slot)),
            None => None,
        }
    }

    #[inline(always)]
    fn unpacked(&self, id: u32, slot: &Slot) -> EntryRecord {
        let mut record = slot.unpack();
        if slot.listed_size == HUGE {
            record.listed_size = self.details.get(&id).and_then(|details| details.listed_size);
        }
        record
    }

    pub(super) fn change(&mut self, entry: EntryId, change: impl FnOnce(&mut EntryRecord)) {
        let Some(mut record) = self.get(entry) else { return };
        change(&mut record);
        let Some(slot) = slot_mut(&mut self.slots, entry) else { return };
        let was_huge = slot.listed_size == HUGE;
        slot.pack(&record);
        if was_huge || slot.listed_size == HUGE {
            let huge = record.listed_size.filter(|_| slot.listed_size == HUGE);
            self.change_details(entry, |details| details.listed_size = huge);
        }
    }

    /// Forgets an entry.  Its number stays taken, since those of all others must stay as they are.
    pub(super) fn remove(&mut self, entry: EntryId) {
        let Some(slot) = slot_mut(&mut self.slots, entry) else { return };
        if let Some(table) = self.table.get_mut()
            && let Ok(found) = table.find_entry(slot.hash, |id| *id == entry.0)
        {
            found.remove();
        }
        // No key has this fingerprint, but by a chance that doesn't happen.
        (slot.hash, slot.rest) = (0, 0);
        slot.pack(&EntryRecord { present: false, ..EntryRecord::new(0) });
        slot.set_flags(slot.flags() & !HAS_DETAILS | FORGOTTEN);
        self.details.remove(&entry.0);
    }

    #[inline(always)]
    pub(super) fn is_forgotten(&self, entry: EntryId) -> bool {
        self.slot(entry).is_some_and(|slot| slot.flags() & FORGOTTEN != 0)
    }

    /// Has `change` change every entry.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(&mut EntryRecord)) {
        for id in 0..self.len() {
            self.change(EntryId(id), &mut change);
        }
    }

    /// What few have; for most it is empty.
    #[inline(always)]
    pub(super) fn details(&self, entry: EntryId) -> &Details {
        match self.slot(entry) {
            Some(slot) if slot.has_details() => self.details.get(&entry.0).unwrap_or(&NO_DETAILS),
            _ => &NO_DETAILS,
        }
    }

    /// Has `change` change an entry's details.  Once they are empty they are dropped: in a first run every message
    /// passes here.
    pub(super) fn change_details<T>(
        &mut self,
        entry: EntryId,
        change: impl FnOnce(&mut Details) -> T,
    ) -> Option<T> {
        let slot = slot_mut(&mut self.slots, entry)?;
        let details = self.details.entry(entry.0).or_default();
        let result = change(details);
        slot.set_has_details(*details != NO_DETAILS);
        if !slot.has_details() {
            self.details.remove(&entry.0);
        }
        Some(result)
    }

    /// Has `change` change the details of every entry that has any.
    pub(super) fn change_all_details(&mut self, mut change: impl FnMut(&mut Details)) {
        let having: Vec<u32> = self.details.keys().copied().collect();
        for id in having {
            self.change_details(EntryId(id), &mut change);
        }
    }

    pub(super) fn find(&self, key: &KeyField<'_>) -> Option<EntryId> {
        self.find_fingerprint(self.fingerprint(key))
    }

    pub(super) fn find_unique_id(&self, unique_id: &[u8]) -> Option<EntryId> {
        self.find_fingerprint(self.fingerprint_of_unique_id(unique_id))
    }

    /// As [`Slots::find_unique_id`], with a look first at the entry that became known behind the one found last.
    pub(super) fn follow(&self, last: Option<EntryId>, unique_id: &[u8]) -> Option<EntryId> {
        let fingerprint = self.fingerprint_of_unique_id(unique_id);
        let next = EntryId(last.map_or(0, |last| last.0.saturating_add(1)));
        match self.slot(next) {
            Some(slot) if slot.fingerprint() == fingerprint => Some(next),
            _ => self.find_fingerprint(fingerprint),
        }
    }

    fn find_fingerprint(&self, fingerprint: KeyFingerprint) -> Option<EntryId> {
        let table = self.table.get_or_init(|| table_of(&self.slots));
        let same = |id: &u32| fingerprint_of(&self.slots, *id) == Some(fingerprint);
        table.find(fingerprint.hash, same).copied().map(EntryId)
    }

    fn fingerprint_of_unique_id(&self, unique_id: &[u8]) -> KeyFingerprint {
        let (a, b) = self.unique_ids.hash(unique_id).as_u64();
        KeyFingerprint::new(a, b)
    }

    fn fingerprint(&self, key: &KeyField<'_>) -> KeyFingerprint {
        match key {
            KeyField::UniqueId(octets) => self.fingerprint_of_unique_id(octets),
            KeyField::Header(digest) => {
                let (a, b) = self.headers.hash(digest.as_bytes()).as_u64();
                KeyFingerprint::new(a, b)
            }
        }
    }

    /// Whether any entry is such a one.
    // Inlined, so that of each record only the fields are made that are asked for.
    #[inline(always)]
    pub(super) fn any(&self, is_one: impl Fn(&EntryRecord) -> bool) -> bool {
        for (id, slot) in (0_u32..).zip(&self.slots) {
            if is_one(&self.unpacked(id, slot)) {
                return true;
            }
        }
        false
    }

    /// The entry of a key, and whether it had to be made: open, present, with its line at `offset`.
    pub(super) fn insert(
        &mut self,
        key: &KeyField<'_>,
        offset: u64,
    ) -> Result<(EntryId, bool), Contradiction> {
        let fingerprint = self.fingerprint(key);
        if let Some(known) = self.find_fingerprint(fingerprint) {
            return Ok((known, false));
        }
        Ok((self.push(fingerprint, &EntryRecord::new(offset))?, true))
    }

    /// Makes the entry of a key that is known to have none.
    #[inline(always)]
    pub(super) fn add(&mut self, key: &KeyField<'_>, record: &EntryRecord) -> Result<EntryId, Contradiction> {
        self.push(self.fingerprint(key), record)
    }

    #[inline(always)]
    fn push(&mut self, fingerprint: KeyFingerprint, record: &EntryRecord) -> Result<EntryId, Contradiction> {
        let offset = packed(record.offset).ok_or("the ledger is too long")?;
        let id = u32::try_from(self.slots.len()).map_err(|_| "too many entries")?;
        let KeyFingerprint { hash, rest } = fingerprint;
        let mut slot = Slot { hash, rest, listed_size: UNKNOWN, delivered: 0, offset, bits: 0, absent: 0 };
        slot.pack(record);
        let is_huge = slot.listed_size == HUGE;
        self.slots.push(slot);
        if is_huge {
            self.change_details(EntryId(id), |details| details.listed_size = record.listed_size);
        }
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
        if let TableEntry::Vacant(vacant) = table.entry(slot.hash, same, |id| hash_of(slots, *id)) {
            vacant.insert(id);
        }
    }
    table
}

fn slot_mut(slots: &mut [Slot], entry: EntryId) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(entry.0).ok()?)
}

fn fingerprint_of(slots: &[Slot], id: u32) -> Option<KeyFingerprint> {
    usize::try_from(id).ok().and_then(|at| slots.get(at)).map(Slot::fingerprint)
}

fn hash_of(slots: &[Slot], id: u32) -> u64 {
    usize::try_from(id).ok().and_then(|at| slots.get(at)).map_or(0, |slot| slot.hash)
}

#[cfg(test)]
mod tests {
    use super::{EntryRecord, Slot, Slots};
    use crate::ledger::codec::KeyField;
    use crate::ledger::entry::EntryState;
    use crate::message::Digest;
    use crate::types::Time;

    #[test]
    fn an_entry_is_32_octets() {
        assert_eq!(size_of::<Slot>(), 32);
    }

    /// Every record that an entry can be.
    fn records() -> Vec<EntryRecord> {
        use EntryState::{Deleted, Delivered, Open, Recorded, Seen};
        let most = u64::from(u32::MAX) - 2;
        let mut records = Vec::new();
        for state in [Open, Seen, Recorded, Delivered, Deleted] {
            for listed_size in [None, Some(0), Some(most), Some(most + 1), Some(u64::MAX)] {
                let is_deleted = state == Deleted;
                let plain = EntryRecord { state, listed_size, ..EntryRecord::new((1 << 40) - 1) };
                records.extend([
                    plain,
                    EntryRecord {
                        delivered: Some(Time(0)),
                        absent_since: (!is_deleted).then_some(1),
                        ..plain
                    },
                    EntryRecord { gone: is_deleted, deleted_on: is_deleted.then_some(7), ..plain },
                    EntryRecord { offset: 0, present: false, only_seen: true, again: true, ..plain },
                    EntryRecord { too_large: true, utf8: true, ..plain },
                    EntryRecord { doubtful: true, candidate: true, delivered: Some(Time(9)), ..plain },
                    EntryRecord { varies: true, ..plain },
                    EntryRecord { unidentified: true, ..plain },
                ]);
            }
        }
        records
    }

    #[test]
    fn what_is_put_in_comes_out() {
        let key = |n: usize| KeyField::UniqueId(n.to_string().into_bytes().into());
        let mut slots = Slots::new(&[1; 32]);
        let records = records();
        for (n, record) in records.iter().enumerate() {
            let id = slots.add(&key(n), record).unwrap();
            assert_eq!(slots.get(id), Some(*record));
        }
        for record in &records {
            assert!(slots.any(|found| found == record), "{record:?}");
            assert!(!slots.any(|found| *found == EntryRecord { offset: 77, ..*record }));
        }
        // From each to each other; with and without details beside.
        for detailed in [false, true] {
            let (id, fresh) = slots.insert(&KeyField::UniqueId(b"x"[..].into()), 5).unwrap();
            assert_eq!(fresh, !detailed);
            slots.change_details(id, |details| details.failures = u16::from(detailed));
            for from in &records {
                for to in &records {
                    slots.change(id, |record| *record = *from);
                    slots.change(id, |record| *record = *to);
                    assert_eq!(slots.get(id), Some(*to), "after {from:?}");
                    assert_eq!(slots.details(id).failures, u16::from(detailed));
                }
            }
        }
        assert!(slots.insert(&KeyField::UniqueId(b"y"[..].into()), 1 << 40).is_err());
    }

    #[test]
    fn what_is_forgotten_is_not_found_and_leaves_the_others() {
        let key = |name: &str| KeyField::UniqueId(name.as_bytes().to_vec().into());
        for with_table in [false, true] {
            let mut slots = Slots::new(&[1; 32]);
            let [a, b, c] = ["a", "b", "c"].map(|name| {
                slots
                    .add(&key(name), &EntryRecord { delivered: Some(Time(1)), ..EntryRecord::new(7) })
                    .unwrap()
            });
            slots.change_details(b, |details| details.failures = 1);
            if with_table {
                assert_eq!(slots.find(&key("b")), Some(b));
            }
            slots.remove(b);
            assert_eq!((slots.find(&key("b")), slots.follow(Some(a), b"b")), (None, None));
            assert_eq!([a, b, c].map(|id| slots.is_forgotten(id)), [false, true, false]);
            assert_eq!((slots.get(b).unwrap().delivered, slots.details(b).failures), (None, 0));
            assert_eq!((slots.follow(Some(b), b"c"), slots.find(&key("a"))), (Some(c), Some(a)));
            let (again, fresh) = slots.insert(&key("b"), 9).unwrap();
            assert!(fresh && again.0 == 3 && slots.find(&key("b")) == Some(again));
        }
    }

    #[test]
    fn details_that_are_empty_take_no_room() {
        let mut slots = Slots::new(&[1; 32]);
        let (id, _) = slots.insert(&KeyField::UniqueId(b"a"[..].into()), 0).unwrap();
        slots.change_details(id, |details| details.headers.push(Digest::of(b"")));
        slots.change(id, |record| record.listed_size = Some(u64::MAX));
        assert_eq!((slots.details.len(), slots.details(id).headers.len()), (1, 1));
        slots.change_all_details(|details| details.headers.clear());
        assert_eq!(slots.get(id).unwrap().listed_size, Some(u64::MAX));
        slots.change_all(|record| record.listed_size = Some(5));
        assert_eq!((slots.details.len(), slots.get(id).unwrap().listed_size), (0, Some(5)));
    }

    #[test]
    fn following_finds_what_finding_finds() {
        let key = |name: &str| KeyField::UniqueId(name.as_bytes().to_vec().into());
        let names: Vec<String> = (0..50).map(|n| format!("uid-{n}")).collect();
        let mut slots = Slots::new(&[1; 32]);
        for name in &names {
            slots.add(&key(name), &EntryRecord::new(0)).unwrap();
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
}
