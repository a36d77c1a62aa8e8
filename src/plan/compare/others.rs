//! The deliveries that a listed message may be though it is listed under another key, and which of all deliveries have been
//! matched.

use std::collections::{HashMap, VecDeque};

use crate::ledger::{Entry, EntryState, Error, KnownDelivery, Ledger};
use crate::message::Digest;
use crate::plan::Maildrop;
use crate::proof::{EntryId, Key};
use crate::types::{Octets, Time};

/// What has been matched: how often each delivery of an entry, by the digest of its message.  (By its place it can't be
/// named: the ledger puts what a key was seen to stand for behind the others.)
#[derive(Debug, Default)]
pub(crate) struct Used(HashMap<(EntryId, Digest), Uses>);

/// How often deliveries with one digest were matched.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Uses {
    /// With what is listed under their entry's key,
    pub(super) own: usize,
    /// and with what is listed under another one.
    pub(super) other: usize,
}

impl Used {
    pub(super) fn of(&self, entry: EntryId, digest: Digest) -> Uses {
        self.0.get(&(entry, digest)).copied().unwrap_or_default()
    }

    pub(super) fn at(&mut self, entry: EntryId, digest: Digest) -> &mut Uses {
        self.0.entry((entry, digest)).or_default()
    }

    /// Whether a delivery can still be matched with what is listed under another key.
    pub(super) fn is_free(&self, other: &Other) -> bool {
        let uses = self.of(other.entry, other.record.digests.message);
        other.place >= uses.other && uses.all() < other.equal
    }
}

impl Uses {
    pub(super) fn all(self) -> usize {
        self.own.saturating_add(self.other)
    }
}

/// The deliveries that may be listed under another key, by header.  Those in front that were matched are taken out.
pub(super) type Others = HashMap<Digest, VecDeque<Other>>;

/// A delivery that may be listed under another key.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub(super) entry: EntryId,
    pub(super) record: KnownDelivery,
    /// How many deliveries before it have the same digest, of those of its entry that may be listed under another key;
    place: usize,
    /// and how many have it of all.
    equal: usize,
    /// Whether its entry has only this one,
    pub(super) only: bool,
    /// and the size that this had in the last listing.
    pub(super) size: Option<Octets>,
    /// Whether its key is its header, since it had no unique-id.
    pub(super) nameless: bool,
    /// Whether its own key is listed and not in question, so that it is expected there: what has its header isn't taken
    /// for it before that was compared.
    pub(super) expected: bool,
    /// Whether it is only known from before: the last listing lacked it and this one does, or it was deleted.
    pub(super) stray: bool,
    /// Whether its deletion was confirmed.
    pub(super) deleted: bool,
    /// As by [`is_delivered_here`].
    delivered_here: bool,
}

impl Other {
    fn name(&self) -> Name {
        let Self { entry, ref record, delivered_here, stray, .. } = *self;
        let KnownDelivery { digests, delivered, .. } = record;
        Name { message: digests.message, delivered: *delivered, entry, delivered_here, stray }
    }

    /// Whether it had no unique-id, and was there when the server last listed what it holds.
    pub(super) fn is_nameless_and_there(&self) -> bool {
        self.nameless && !(self.deleted || self.stray)
    }
}

/// What may be listed under another key, by header: all that was ever delivered.  Of several deliveries under one key that is
/// listed the last ones are expected there.  A message without a unique-id and trace fields whose deletion was confirmed is
/// gone: an equal one is new mail.  What was only printed is not as good as delivered: under another name it's printed again.
pub(super) fn others(
    ledger: &Ledger,
    maildrop: &Maildrop,
    is_compared: impl Fn(EntryId) -> bool,
) -> Result<Others, Error> {
    // One that is open may have been delivered before: another message of its key is on its way.
    let may = |_, entry: &Entry| entry.state != EntryState::Seen && !entry.only_seen;
    let mut others = Others::new();
    let deliveries = ledger.deliveries(may)?;
    for records in deliveries.chunk_by(|(one, ..), (other, ..)| one == other) {
        let mut all: HashMap<Digest, usize> = HashMap::new();
        for (_, _, record) in records {
            *all.entry(record.digests.message).or_default() += 1;
        }
        let mut before: HashMap<Digest, usize> = HashMap::new();
        for (id, nth, record) in records {
            let message = record.digests.message;
            let place = before.entry(message).or_default();
            let (at, equal) = (*place, all.get(&message).copied().unwrap_or_default());
            *place += 1;
            let entry = ledger.entry(*id);
            let header = record.digests.header;
            let other = Other {
                entry: *id,
                record: record.clone(),
                place: at,
                equal,
                only: records.len() == 1,
                size: entry.listed_size.filter(|_| records.len() == 1),
                nameless: ledger.find_key(&Key::Header(header)) == Some(*id),
                expected: !is_compared(*id) && is_expected(*id, *nth, ledger, maildrop),
                stray: is_stray(*id, ledger, maildrop),
                deleted: entry.state == EntryState::Deleted,
                delivered_here: is_delivered_here(&entry),
            };
            for shown in ledger.headers(*id).iter().filter(|shown| other.only && **shown != header) {
                others.entry(*shown).or_default().push_back(other.clone());
            }
            others.entry(header).or_default().push_back(other);
        }
    }
    for others in others.values_mut() {
        let mut known = Vec::from(std::mem::take(others));
        without_second_names(&mut known, Other::name);
        // What was deleted comes behind the others, and last what is expected elsewhere.
        known.sort_by_key(|other| (other.expected, other.deleted));
        *others = known.into();
    }
    Ok(others)
}

/// Whether a delivery of an entry is expected under the entry's key: of several the last ones are, as many as are listed
/// under it, unless that is in question.
// Both are asked of each delivery: inlined, no entry is made for them.
#[inline(always)]
pub(super) fn is_expected(id: EntryId, nth: usize, ledger: &Ledger, maildrop: &Maildrop) -> bool {
    let entry = ledger.entry(id);
    let is_questioned = entry.doubtful || entry.varies || entry.state == EntryState::Deleted;
    let under_own = if is_questioned { 0 } else { maildrop.times_listed(id) };
    nth >= usize::from(entry.deliveries).saturating_sub(usize::try_from(under_own).unwrap_or(usize::MAX))
}

/// As [`Other::stray`].
#[inline(always)]
pub(super) fn is_stray(id: EntryId, ledger: &Ledger, maildrop: &Maildrop) -> bool {
    let entry = ledger.entry(id);
    let is_of_before = entry.absent && !entry.candidate || entry.state == EntryState::Deleted;
    is_of_before && maildrop.times_listed(id) == 0
}

/// Whether it was delivered under this very key, as far as is known: of what is deleted it isn't any more.
pub(super) fn is_delivered_here(entry: &Entry) -> bool {
    !matches!(entry.state, EntryState::Recorded | EntryState::Deleted)
}

/// A key under which a message is known, or was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) message: Digest,
    pub(super) delivered: Time,
    pub(super) entry: EntryId,
    /// As by [`is_delivered_here`].
    pub(super) delivered_here: bool,
    /// As [`Other::stray`].
    pub(super) stray: bool,
}

/// A message that was listed under several keys in turn is one message: none of its former keys counts beside the one that
/// it has, nor beside another of them.  What is only known from before comes last.
pub(super) fn without_second_names<T>(known: &mut Vec<T>, name: impl Fn(&T) -> Name) {
    if known.len() < 2 {
        return;
    }
    let mut left = copies(known.iter().map(&name));
    known.sort_by_key(|one| name(one).stray);
    known.retain(|one| {
        let Name { message, stray, .. } = name(one);
        let left = left.entry(message).or_default();
        let counts = *left > 0 || !stray;
        *left = left.saturating_sub(1);
        counts
    });
}

/// How many messages these are, by the digest of each.  A message that was recognised under another key has the time of its
/// delivery there too; what was delivered under its own key is one more, also in the same second.
fn copies(names: impl Iterator<Item = Name>) -> HashMap<Digest, usize> {
    let mut at_once: HashMap<(Digest, Time), HashMap<Option<EntryId>, usize>> = HashMap::new();
    for Name { message, delivered, entry, delivered_here, .. } in names {
        let names = at_once.entry((message, delivered)).or_default();
        *names.entry(Some(entry).filter(|_| !delivered_here)).or_default() += 1;
    }
    let mut copies: HashMap<Digest, usize> = HashMap::new();
    for ((message, _), names) in at_once {
        *copies.entry(message).or_default() += names.into_values().max().unwrap_or_default();
    }
    copies
}
