//! What the lines of a ledger come to, in memory.  Every change, whether read back from the file or made now, goes
//! through [`Index::apply`]: a ledger that is read again means what it meant when it was written.  Must not know files.
//!
//! Half a million known messages must fit into some twenty megabytes, so an entry is 32 octets: a keyed fingerprint
//! stands for the unique-id, the place of its line for everything that is seldom asked.  What few entries have lives in
//! a map beside them.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hashbrown::HashTable;
use siphasher::sip128::SipHasher24;

use crate::clock::Time;
use crate::message::Digests;
use crate::proof::{
    DestinationId, DestinationKind, DestinationName, DestinationRecord, EntryId, Intent, IntentId, Key,
};
use crate::protocol::types::Octets;

use super::line::{KeyField, Line, Notes};
use super::{Entry, State};

/// An entry is forgotten when it was missing from complete listings of this many days...
const FORGET_AFTER_LISTINGS: usize = 10;
/// ... and for this many days.  One more than the promised 90: days are counted by their numbers.
const FORGET_AFTER_DAYS: i64 = 91;
/// Octets of a compacted entry without its key, about.
const ENTRY_OCTETS: u64 = 112;

/// What is known, and what is under way.
#[derive(Debug)]
pub(super) struct Index {
    unique_ids: SipHasher24,
    headers: SipHasher24,
    slots: Vec<Slot>,
    table: HashTable<u32>,
    rare: HashMap<u32, Rare>,
    /// Messages staged and not yet delivered to all of their set, by number.
    pub(super) messages: BTreeMap<u32, Message>,
    /// Which message an open intent belongs to.
    intents: BTreeMap<u32, u32>,
    pub(super) destinations: Vec<DestinationRecord>,
    used: Vec<bool>,
    pub(super) next_message: u32,
    pub(super) next_intent: u32,
    /// Recognised since the last complete listing.
    unlisted: Vec<u32>,
    /// Deleted, and not yet known to be gone.
    lingering: Vec<u32>,
    /// One time for each of the last days on which a complete listing was taken.
    pub(super) listings: VecDeque<Time>,
    /// The latest time of any line.
    pub(super) time: Time,
    /// The clock as it was last read: unlike `time`, it may have gone back.
    pub(super) clock: Option<Time>,
    /// Whether lines that something depends on stand behind the last `end`.
    pub(super) working: bool,
    /// What the file would measure if it were compacted, about.
    pub(super) live: u64,
}

/// An entry: 32 octets.
#[derive(Debug, Clone, Copy)]
struct Slot {
    fingerprint: [u64; 2],
    /// [`UNKNOWN`], [`HUGE`] (see [`Rare::listed`]), or the size.
    listed: u32,
    /// Seconds since 1970; 0 is never.
    delivered: u32,
    /// Where its line is: the one with its digests, once it has any.
    offset: [u8; 5],
    state: State,
    flags: u8,
    /// The day since which complete listings have lacked it; 0 is none.
    absent: u16,
}

const UNKNOWN: u32 = u32::MAX;
const HUGE: u32 = u32::MAX - 1;

/// Something about it is in [`Index::rare`].
const RARE: u8 = 1;
/// It was in the last complete listing, or has come since.
const PRESENT: u8 = 2;
/// Deleted, and a listing has lacked it since.
const GONE: u8 = 4;
/// At least one message of this key was delivered, seen or recorded.
const HELD: u8 = 8;

/// What few entries have.
#[derive(Debug, Default)]
struct Rare {
    failures: u16,
    retry_after: Option<Time>,
    large: bool,
    listed: Option<u64>,
    /// All its copies (line and time), when there is more than one.
    copies: Vec<(u64, Time)>,
    /// Its messages that are open.
    messages: Vec<u32>,
}

/// A message that is on its way to its set of destinations.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) entry: EntryId,
    pub(super) key: Key,
    pub(super) offset: u64,
    pub(super) time: Time,
    pub(super) listed: Option<u64>,
    pub(super) digests: Digests,
    /// Each destination, and whether it has the message.
    pub(super) set: Vec<(DestinationId, bool)>,
    /// Staged, outcome unknown.
    pub(super) intents: Vec<Intent>,
}

impl Message {
    fn begun(&self) -> bool {
        !self.intents.is_empty() || self.set.iter().any(|(_, has)| *has)
    }
}

/// Why a line cannot be true.
pub(super) type Contradiction = &'static str;

impl Index {
    /// An empty one; `key` makes its fingerprints unpredictable, so that no server can make two unique-ids collide.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let (first, second) = key.split_at(16);
        let hasher = |half: &[u8]| SipHasher24::new_with_key(half.first_chunk().unwrap_or(&[0; 16]));
        Self {
            unique_ids: hasher(first),
            headers: hasher(second),
            slots: Vec::new(),
            table: HashTable::new(),
            rare: HashMap::new(),
            messages: BTreeMap::new(),
            intents: BTreeMap::new(),
            destinations: Vec::new(),
            used: Vec::new(),
            next_message: 0,
            next_intent: 0,
            unlisted: Vec::new(),
            lingering: Vec::new(),
            listings: VecDeque::new(),
            time: Time(0),
            clock: None,
            working: false,
            live: 0,
        }
    }

    /// Makes room for so many entries.
    pub(super) fn expect(&mut self, entries: usize) {
        let more = entries.saturating_sub(self.slots.len());
        self.slots.reserve_exact(more);
        self.table.reserve(more, |_| 0);
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Every entry, oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = EntryId> + use<> {
        (0..self.len()).map(EntryId)
    }

    /// Takes a line, which stands at `offset`, for true.
    ///
    /// # Errors
    /// When it contradicts what is known; nothing is changed then.
    pub(super) fn apply(&mut self, line: &Line<'_>, offset: u64) -> Result<(), Contradiction> {
        match line {
            Line::First { .. } => return Err("it is a first line, but isn't the first"),
            Line::Group { time, clock, .. } => self.read_clock(*time, *clock),
            Line::Destination { number, kind, address, inode, used } => {
                let name = DestinationName { kind: *kind, address: address.to_vec() };
                self.enter(DestinationRecord { id: *number, name, inode: *inode }, *used)?;
            }
            Line::Message { number, time, key, listed, digests, replaces, set } => {
                let digests = digests.value().ok_or("its digests are none")?;
                let owned = key.to_key().ok_or("its unique-id is none")?;
                if self.messages.contains_key(number) {
                    return Err("its number is in use");
                }
                self.next_message = self.next_message.max(number.checked_add(1).ok_or("too many messages")?);
                let (entry, _) = self.insert(key, offset)?;
                if let Some(old) = replaces {
                    self.forget_message(*old);
                }
                let listed = *listed;
                self.messages.insert(
                    *number,
                    Message {
                        entry,
                        key: owned,
                        offset,
                        time: *time,
                        listed,
                        digests,
                        set: set.clone(),
                        intents: vec![],
                    },
                );
                self.rare_mut(entry).messages.push(*number);
                self.staging(entry);
                self.saw(*time);
                self.working = true;
            }
            Line::Staged { number, message, destination, time, octets, digest, place } => {
                if self.intents.contains_key(number) {
                    return Err("its number is in use");
                }
                let open = self.messages.get_mut(message).ok_or("its message is unknown")?;
                self.next_intent = self.next_intent.max(number.checked_add(1).ok_or("too many intents")?);
                open.intents.push(Intent {
                    id: IntentId(*number),
                    key: open.key.clone(),
                    destination: *destination,
                    octets: *octets,
                    digest: *digest,
                    since: *time,
                    place: place.clone(),
                });
                self.intents.insert(*number, *message);
                self.saw(*time);
                self.working = true;
            }
            Line::Delivered { intent, time } => self.delivered(*intent, *time)?,
            Line::Refused { intent, time, retry_after } => {
                let entry = self.drop_intent(*intent)?;
                self.failed(entry, *retry_after);
                self.saw(*time);
            }
            Line::Dropped { intent, time } => {
                self.drop_intent(*intent)?;
                self.saw(*time);
            }
            Line::Failed { time, key, listed, retry_after } => {
                let (entry, _) = self.insert(key, offset)?;
                self.list(entry, *listed);
                self.failed(entry, *retry_after);
                self.saw(*time);
            }
            Line::Large { time, key, listed } => {
                let (entry, _) = self.insert(key, offset)?;
                self.list(entry, *listed);
                self.rare_mut(entry).large = true;
                self.saw(*time);
            }
            Line::Recorded { time, key, listed, delivered, .. } => {
                let (entry, fresh) = self.insert(key, offset)?;
                self.hold(entry, State::Recorded, offset, *delivered, *listed);
                if fresh {
                    // It wasn't in the last complete listing under this key: the rule for renumbered maildrops must
                    // still apply if the run dies before all of them are recognised.
                    self.flag(entry, PRESENT, false);
                    self.unlisted.push(entry.0);
                }
                self.saw(*time);
                self.working = true;
            }
            Line::Same { time, key, listed } => {
                let entry = self.lookup(key).ok_or("its unique-id is unknown")?;
                self.set_listed(entry, *listed);
                self.flag(entry, GONE, false);
                self.set_absent(entry, 0);
                if self.rare(entry).is_some() {
                    let rare = self.rare_mut(entry);
                    (rare.failures, rare.retry_after) = (0, None);
                    self.tidy(entry);
                }
                if let Some(slot) = self.slot_mut(entry)
                    && slot.state == State::Deleted
                {
                    slot.state = State::Delivered;
                }
                self.saw(*time);
                self.working = true;
            }
            Line::Listed { key, octets } => {
                let entry = self.lookup(key).ok_or("its unique-id is unknown")?;
                self.set_listed(entry, Some(*octets));
            }
            Line::Deleted { time, key } => {
                let entry = self.lookup(key).ok_or("its unique-id is unknown")?;
                if let Some(slot) = self.slot_mut(entry) {
                    slot.state = State::Deleted;
                }
                self.lingering.push(entry.0);
                self.saw(*time);
            }
            Line::Listing { time, clock } => self.listing(*time, *clock),
            Line::Unlisted { time, clock } => {
                for id in std::mem::take(&mut self.lingering) {
                    let entry = EntryId(id);
                    if self.slot(entry).is_some_and(|slot| slot.state == State::Deleted) {
                        self.flag(entry, GONE, true);
                    }
                }
                self.read_clock(*time, *clock);
            }
            Line::Absent { key, day } => {
                let entry = self.lookup(key).ok_or("its unique-id is unknown")?;
                self.set_absent(entry, (*day).max(1));
            }
            Line::Present { key } => {
                let entry = self.lookup(key).ok_or("its unique-id is unknown")?;
                self.set_absent(entry, 0);
                // Deleted, and back: nothing but a look at the message itself settles what it is.
                if self.slot(entry).is_some_and(|slot| slot.state == State::Deleted) {
                    self.flag(entry, GONE, true);
                }
            }
            Line::Known { state, key, listed, delivered, digests: _, notes } => {
                let (entry, fresh) = self.insert(key, offset)?;
                if !fresh {
                    return Err("its unique-id is known already");
                }
                if *state != State::Open || delivered.is_some() {
                    self.hold(entry, *state, offset, delivered.unwrap_or(Time(0)), *listed);
                } else {
                    self.set_listed(entry, *listed);
                }
                self.note(entry, notes);
                if *state == State::Deleted && !notes.gone && notes.absent.is_none() {
                    self.lingering.push(entry.0);
                }
            }
            Line::Copy { key, delivered, .. } => {
                let entry = self.lookup(key).ok_or("its unique-id is unknown")?;
                let state = self.slot(entry).map_or(State::Open, |slot| slot.state);
                self.add_copy(entry, offset, *delivered);
                if let Some(slot) = self.slot_mut(entry) {
                    slot.state = state;
                }
            }
            Line::End => self.working = false,
        }
        Ok(())
    }

    /// The entry of a key.
    pub(super) fn lookup(&self, key: &KeyField<'_>) -> Option<EntryId> {
        let fingerprint = self.fingerprint(key);
        self.find(fingerprint)
    }

    /// The entry of a unique-id.
    pub(super) fn lookup_unique_id(&self, unique_id: &[u8]) -> Option<EntryId> {
        let (a, b) = self.unique_ids.hash(unique_id).as_u64();
        self.find([a, b])
    }

    fn find(&self, fingerprint: [u64; 2]) -> Option<EntryId> {
        let [hash, _] = fingerprint;
        self.table.find(hash, |id| fingerprint_of(&self.slots, *id) == fingerprint).copied().map(EntryId)
    }

    fn fingerprint(&self, key: &KeyField<'_>) -> [u64; 2] {
        let (a, b) = match key {
            KeyField::UniqueId(octets) => self.unique_ids.hash(octets).as_u64(),
            KeyField::Header(digest) => self.headers.hash(digest.as_bytes()).as_u64(),
        };
        [a, b]
    }

    /// The entry of a key, and whether it had to be made.
    fn insert(&mut self, key: &KeyField<'_>, offset: u64) -> Result<(EntryId, bool), Contradiction> {
        let fingerprint = self.fingerprint(key);
        if let Some(entry) = self.find(fingerprint) {
            return Ok((entry, false));
        }
        let offset = packed(offset).ok_or("the ledger is too long")?;
        let id = u32::try_from(self.slots.len()).map_err(|_| "too many entries")?;
        let [hash, _] = fingerprint;
        self.slots.push(Slot {
            fingerprint,
            listed: UNKNOWN,
            delivered: 0,
            offset,
            state: State::Open,
            flags: PRESENT,
            absent: 0,
        });
        let slots = &self.slots;
        self.table.insert_unique(hash, id, |id| {
            let [hash, _] = fingerprint_of(slots, *id);
            hash
        });
        let key = match key {
            KeyField::UniqueId(octets) => u64::try_from(octets.len()).unwrap_or(0),
            KeyField::Header(_) => 24,
        };
        self.live += ENTRY_OCTETS + key;
        Ok((EntryId(id), true))
    }

    fn slot(&self, entry: EntryId) -> Option<&Slot> {
        self.slots.get(usize::try_from(entry.0).ok()?)
    }

    fn slot_mut(&mut self, entry: EntryId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(entry.0).ok()?)
    }

    fn flag(&mut self, entry: EntryId, flag: u8, up: bool) {
        if let Some(slot) = self.slot_mut(entry) {
            slot.flags = if up { slot.flags | flag } else { slot.flags & !flag };
        }
    }

    fn rare(&self, entry: EntryId) -> Option<&Rare> {
        let slot = self.slot(entry)?;
        (slot.flags & RARE != 0).then(|| self.rare.get(&entry.0)).flatten()
    }

    fn rare_mut(&mut self, entry: EntryId) -> &mut Rare {
        self.flag(entry, RARE, true);
        self.rare.entry(entry.0).or_default()
    }

    /// Drops what is rare about an entry when nothing is left of it: in a first run every message passes here.
    fn tidy(&mut self, entry: EntryId) {
        if self.rare(entry).is_some_and(|rare| {
            rare.failures == 0
                && rare.retry_after.is_none()
                && !rare.large
                && rare.listed.is_none()
                && rare.copies.is_empty()
                && rare.messages.is_empty()
        }) {
            self.rare.remove(&entry.0);
            self.flag(entry, RARE, false);
        }
    }

    fn saw(&mut self, time: Time) {
        self.time = self.time.max(time);
    }

    fn read_clock(&mut self, time: Time, clock: Time) {
        self.saw(time);
        self.clock = Some(clock);
    }

    /// The size by `LIST`, of a message that isn't delivered: of a delivered one it may not change unseen, because
    /// that is how a unique-id that was used again is found out.
    fn list(&mut self, entry: EntryId, listed: Option<u64>) {
        if listed.is_some() && self.slot(entry).is_some_and(|slot| slot.state == State::Open) {
            self.set_listed(entry, listed);
        }
    }

    fn set_listed(&mut self, entry: EntryId, listed: Option<u64>) {
        let short = match listed {
            None => UNKNOWN,
            Some(octets) => u32::try_from(octets).ok().filter(|short| *short < HUGE).unwrap_or(HUGE),
        };
        if short == HUGE {
            self.rare_mut(entry).listed = listed;
        } else if self.rare(entry).is_some_and(|rare| rare.listed.is_some()) {
            self.rare_mut(entry).listed = None;
        }
        if let Some(slot) = self.slot_mut(entry) {
            slot.listed = short;
        }
    }

    fn set_absent(&mut self, entry: EntryId, day: u16) {
        if let Some(slot) = self.slot_mut(entry) {
            slot.absent = day;
        }
        self.flag(entry, PRESENT, day == 0);
    }

    fn failed(&mut self, entry: EntryId, retry_after: Option<Time>) {
        let rare = self.rare_mut(entry);
        rare.failures = rare.failures.saturating_add(1);
        rare.retry_after = retry_after;
    }

    /// A message of this entry is about to be delivered.  From now on the entry as a whole isn't: else a unique-id that
    /// was used again would count as delivered by the old message's word, and be deleted, though the new one failed.
    fn staging(&mut self, entry: EntryId) {
        let Some(slot) = self.slot_mut(entry) else { return };
        let forget = slot.state == State::Deleted;
        slot.state = State::Open;
        slot.flags &= !GONE;
        if forget {
            // The old message is gone for good: this one has nothing to do with it.
            slot.flags &= !HELD;
            slot.delivered = 0;
            slot.listed = UNKNOWN;
            if slot.flags & RARE != 0 {
                self.rare_mut(entry).copies.clear();
            }
        }
    }

    fn delivered(&mut self, intent: u32, time: Time) -> Result<(), Contradiction> {
        let number = self.intents.remove(&intent).ok_or("it is about no open intent")?;
        let message = self.messages.get_mut(&number).ok_or("its message is unknown")?;
        let at = message.intents.iter().position(|open| open.id.0 == intent);
        let intent = at.map(|at| message.intents.remove(at)).ok_or("its message doesn't have it")?;
        for (destination, has) in &mut message.set {
            *has |= *destination == intent.destination;
        }
        let whole = message.intents.is_empty() && message.set.iter().all(|(_, has)| *has);
        if let Some(used) = self.used.get_mut(usize::from(intent.destination.0)) {
            *used = true;
        }
        let printed = self.only_printed(number);
        if whole && let Some(message) = self.forget_message(number) {
            let state = if printed { State::Seen } else { State::Delivered };
            let entry = message.entry;
            self.hold(entry, state, message.offset, time, message.listed);
            if self.rare(entry).is_some() {
                let rare = self.rare_mut(entry);
                rare.failures = 0;
                rare.retry_after = None;
                rare.large = false;
                // Another message of this key is still on its way.
                let open = !rare.messages.is_empty();
                self.tidy(entry);
                if open && let Some(slot) = self.slot_mut(entry) {
                    slot.state = State::Open;
                }
            }
        }
        self.saw(time);
        self.working = true;
        Ok(())
    }

    /// An intent that came to nothing.  A message that nobody has, and nobody is about to have, is forgotten: its set
    /// is fixed anew when it comes again, perhaps under a better configuration.
    fn drop_intent(&mut self, intent: u32) -> Result<EntryId, Contradiction> {
        let number = self.intents.remove(&intent).ok_or("it is about no open intent")?;
        let message = self.messages.get_mut(&number).ok_or("its message is unknown")?;
        message.intents.retain(|open| open.id.0 != intent);
        let entry = message.entry;
        if !message.begun() {
            self.forget_message(number);
            self.tidy(entry);
        }
        self.working = true;
        Ok(entry)
    }

    fn forget_message(&mut self, number: u32) -> Option<Message> {
        let message = self.messages.remove(&number)?;
        for intent in &message.intents {
            self.intents.remove(&intent.id.0);
        }
        if let Some(rare) = self.rare.get_mut(&message.entry.0) {
            rare.messages.retain(|open| *open != number);
        }
        Some(message)
    }

    /// The entry has one more message, delivered (or seen, or recorded).
    fn hold(&mut self, entry: EntryId, state: State, offset: u64, time: Time, listed: Option<u64>) {
        self.add_copy(entry, offset, time);
        self.set_absent(entry, 0);
        if let Some(slot) = self.slot_mut(entry) {
            slot.state = state;
        }
        self.set_listed(entry, listed);
    }

    fn add_copy(&mut self, entry: EntryId, offset: u64, time: Time) {
        let Some(slot) = self.slot_mut(entry) else { return };
        let first = (unpacked(slot.offset), Time(i64::from(slot.delivered)));
        let more = slot.flags & HELD != 0;
        slot.flags |= HELD;
        // The latest delivery counts for the age: the younger, the longer it stays.
        slot.delivered = slot.delivered.max(u32::try_from(time.0.max(1)).unwrap_or(u32::MAX));
        if !more && let Some(offset) = packed(offset) {
            slot.offset = offset;
        }
        if more {
            let rare = self.rare_mut(entry);
            if rare.copies.is_empty() {
                rare.copies.push(first);
            }
            rare.copies.push((offset, time));
        }
    }

    fn note(&mut self, entry: EntryId, notes: &Notes) {
        if let Some(day) = notes.absent {
            self.set_absent(entry, day.max(1));
        }
        self.flag(entry, GONE, notes.gone);
        if notes.unlisted {
            self.flag(entry, PRESENT, false);
            self.unlisted.push(entry.0);
        }
        if notes.large || notes.failures > 0 || notes.retry_after.is_some() {
            let rare = self.rare_mut(entry);
            rare.large = notes.large;
            rare.failures = notes.failures;
            rare.retry_after = notes.retry_after;
        }
    }

    fn listing(&mut self, time: Time, clock: Time) {
        if self.listings.back().is_some_and(|last| last.day() == time.day()) {
            self.listings.pop_back();
        }
        self.listings.push_back(time);
        if self.listings.len() > FORGET_AFTER_LISTINGS {
            self.listings.pop_front();
        }
        for id in std::mem::take(&mut self.unlisted) {
            self.flag(EntryId(id), PRESENT, self.slot(EntryId(id)).is_some_and(|slot| slot.absent == 0));
        }
        self.read_clock(time, clock);
    }

    fn enter(&mut self, record: DestinationRecord, used: bool) -> Result<(), Contradiction> {
        let (at, next) = (usize::from(record.id.0), self.destinations.len());
        match self.destinations.get_mut(at) {
            Some(known) if known.name == record.name => *known = record,
            Some(_) => return Err("its number belongs to another destination"),
            None if at == next => {
                self.live += 80 + u64::try_from(record.name.address.len()).unwrap_or(0);
                self.destinations.push(record);
                self.used.push(false);
            }
            None => return Err("its number is not the next one"),
        }
        if let Some(known) = self.used.get_mut(at) {
            *known |= used;
        }
        Ok(())
    }

    /// Whether what goes there is printed and gone.
    fn is_stream(&self, destination: DestinationId) -> bool {
        self.destinations
            .get(usize::from(destination.0))
            .is_some_and(|known| known.name.kind == DestinationKind::Stdout && known.name.address == b"-")
    }

    /// Whether all of an open message's destinations are such.
    pub(super) fn only_printed(&self, number: u32) -> bool {
        self.messages
            .get(&number)
            .is_some_and(|message| message.set.iter().all(|(destination, _)| self.is_stream(*destination)))
    }

    /// Whether anything was ever delivered there.
    pub(super) fn has_delivered_to(&self, destination: DestinationId) -> bool {
        self.used.get(usize::from(destination.0)).copied().unwrap_or(false)
    }

    /// What is known of an entry; an unknown one is a message that nothing is known of.
    pub(super) fn entry(&self, id: EntryId) -> Entry {
        let none = Entry {
            state: State::Open,
            listed: None,
            delivered: None,
            order: id.0,
            copies: 0,
            failures: 0,
            retry_after: None,
            absent: false,
            reported_too_large: false,
        };
        let Some(slot) = self.slot(id) else { return none };
        let rare = self.rare(id);
        Entry {
            state: slot.state,
            listed: match slot.listed {
                UNKNOWN => None,
                HUGE => rare.and_then(|rare| rare.listed).map(Octets),
                octets => Some(Octets(u64::from(octets))),
            },
            delivered: (slot.flags & HELD != 0).then(|| Time(i64::from(slot.delivered))),
            copies: match rare.map_or(0, |rare| rare.copies.len()) {
                0 => u16::from(slot.flags & HELD != 0),
                copies => u16::try_from(copies).unwrap_or(u16::MAX),
            },
            failures: rare.map_or(0, |rare| rare.failures),
            retry_after: rare.and_then(|rare| rare.retry_after),
            absent: slot.absent != 0 || slot.flags & GONE != 0,
            reported_too_large: rare.is_some_and(|rare| rare.large),
            ..none
        }
    }

    /// Where the entry's line is.
    pub(super) fn offset(&self, id: EntryId) -> Option<u64> {
        self.slot(id).map(|slot| unpacked(slot.offset))
    }

    /// Where the lines with the digests of its copies are, and when each was delivered.
    pub(super) fn copies(&self, id: EntryId) -> Vec<(u64, Time)> {
        match (self.slot(id), self.rare(id)) {
            (_, Some(rare)) if !rare.copies.is_empty() => rare.copies.clone(),
            (Some(slot), _) if slot.flags & HELD != 0 => {
                vec![(unpacked(slot.offset), Time(i64::from(slot.delivered)))]
            }
            _ => Vec::new(),
        }
    }

    /// What a `known` line notes about it.
    pub(super) fn notes(&self, id: EntryId) -> Notes {
        let Some(slot) = self.slot(id) else { return Notes::default() };
        let rare = self.rare(id);
        Notes {
            absent: (slot.absent != 0).then_some(slot.absent),
            gone: slot.flags & GONE != 0,
            unlisted: slot.absent == 0 && slot.flags & PRESENT == 0,
            large: rare.is_some_and(|rare| rare.large),
            failures: rare.map_or(0, |rare| rare.failures),
            retry_after: rare.and_then(|rare| rare.retry_after),
        }
    }

    /// The day since which complete listings have lacked it.
    pub(super) fn absent_since(&self, id: EntryId) -> Option<u16> {
        self.slot(id).map(|slot| slot.absent).filter(|day| *day != 0)
    }

    /// Whether it was in the last complete listing (or has come since), and isn't deleted.
    pub(super) fn is_present(&self, id: EntryId) -> bool {
        self.slot(id).is_some_and(|slot| slot.flags & PRESENT != 0 && slot.state != State::Deleted)
    }

    /// Whether anything deleted is not yet known to be gone.
    pub(super) fn lingers(&self) -> bool {
        self.lingering.iter().any(|id| {
            self.slot(EntryId(*id)).is_some_and(|slot| {
                slot.state == State::Deleted && slot.flags & GONE == 0 && slot.absent == 0
            })
        })
    }

    /// Whether an entry has been absent for so long, and from so many listings, that it may be forgotten.
    pub(super) fn is_forgettable(&self, id: EntryId, today: i64) -> bool {
        let Some(since) = self.absent_since(id).map(i64::from) else { return false };
        today.saturating_sub(since) >= FORGET_AFTER_DAYS
            && self.listings.len() == FORGET_AFTER_LISTINGS
            && self.listings.front().is_some_and(|tenth| tenth.day() >= since)
            && self.rare(id).is_none_or(|rare| rare.messages.is_empty())
    }

    /// The entry's message that some destinations have and others lack, or else one that is on its way to them.
    pub(super) fn open_message(&self, id: EntryId) -> Option<(u32, &Message)> {
        let open = |number: &u32| self.messages.get(number).map(|message| (*number, message));
        let numbers = &self.rare(id)?.messages;
        numbers
            .iter()
            .filter_map(open)
            .find(|(_, message)| message.intents.is_empty())
            .or_else(|| numbers.first().and_then(open))
    }

    /// The open intents, in the order they were written.
    pub(super) fn open_intents(&self) -> Vec<Intent> {
        let open = |(intent, number): (&u32, &u32)| {
            self.messages.get(number)?.intents.iter().find(|open| open.id.0 == *intent).cloned()
        };
        self.intents.iter().filter_map(open).collect()
    }

    /// How many intents are open.
    pub(super) fn intents_len(&self) -> u64 {
        u64::try_from(self.intents.len()).unwrap_or(u64::MAX)
    }

    /// The open intent for this message at this destination.
    pub(super) fn intent_at(&self, number: u32, destination: DestinationId) -> Option<IntentId> {
        let message = self.messages.get(&number)?;
        message.intents.iter().find(|open| open.destination == destination).map(|open| open.id)
    }
}

fn fingerprint_of(slots: &[Slot], id: u32) -> [u64; 2] {
    usize::try_from(id).ok().and_then(|at| slots.get(at)).map_or([0; 2], |slot| slot.fingerprint)
}

fn packed(offset: u64) -> Option<[u8; 5]> {
    match offset.to_le_bytes() {
        [a, b, c, d, e, 0, 0, 0] => Some([a, b, c, d, e]),
        _ => None,
    }
}

fn unpacked([a, b, c, d, e]: [u8; 5]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_entry_is_32_octets() {
        assert_eq!(size_of::<super::Slot>(), 32);
    }
}
