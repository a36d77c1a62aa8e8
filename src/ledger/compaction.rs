//! Rewrites a ledger, so that it holds what is known and nothing of how it came about: a new file, synced, then renamed over
//! the old one.  Whatever happens on the way, one of the two is there, whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use crate::durable::{self, Step};
use crate::message::{Digest, Digests};
use crate::proof::EntryId;
use crate::types::{Time, UniqueIdBuf};

use super::codec::{DigestsField, KeyField, Notes, Use};
use super::entry::LedgerExtent;
use super::error::Error;
use super::files::{FILE, NEW_FILE};
use super::index::{Index, OpenMessage};
use super::journal::Journal;
use super::lines::{
    CopyStaged, End, Fact, FirstLine, FirstListingSeen, FurtherDelivery, Group, KnownEntry, ListingTaken,
    MatchedElsewhere, MessageBegun, MessageFailed, MessageIdentified, MessageImported, MessageTooLarge,
    NumberedDestination, PLAIN_VERSION, Rewritten, Title, VERSION,
};
use crate::account::Mailbox;

/// What is written at once.
const CHUNK: usize = 256 * 1024;

/// Whose ledger it is, and when it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct LedgerHeading<'a> {
    pub(super) id: &'a str,
    pub(super) mailbox: &'a Mailbox,
    /// How often it has been rewritten, with this time.
    pub(super) generation: u64,
    pub(super) time: Time,
    pub(super) clock: Time,
}

/// Begins a ledger: what a file must hold to be one.
///
/// # Errors
/// [`Error::Disk`].
pub(super) fn create(directory: &Path, heading: LedgerHeading<'_>) -> Result<LedgerExtent, Error> {
    replace(directory, heading, true, |out| out.begin(heading, PLAIN_VERSION, 0))
}

/// What a rewritten ledger is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct LedgerShape<'a> {
    /// Leave out what has been absent for long enough.
    pub(super) forget: bool,
    /// Written at least in this version of the grammar.
    pub(super) version: u64,
    /// The entries of the last complete listing in its order, if they don't stand in it: the order of a later one is
    /// compared with that of the entries.
    pub(super) order: Option<&'a [EntryId]>,
    /// The first listing has been taken, and counts as seen.
    pub(super) begun: bool,
    /// What the user reports of messages, with the times of their delivery: all of it is in the new file, or none.  Each is
    /// named once.
    pub(super) imported: &'a [(UniqueIdBuf, Option<Time>)],
}

impl LedgerShape<'_> {
    /// As it stands, in this version of the grammar or the one that it needs.
    pub(super) fn plain(version: u64) -> Self {
        Self { forget: false, version, order: None, begun: false, imported: &[] }
    }
}

/// Rewrites the ledger in `directory` from `index`, reading what that doesn't hold from `old`.
///
/// # Errors
/// [`Error::Disk`]: the old file is as it was, unless the last step failed, the sync of the directory, when it isn't
/// known which of the two a power failure would leave; [`Error::Damaged`].
pub(super) fn rewrite(
    directory: &Path,
    heading: LedgerHeading<'_>,
    index: &Index,
    old: &Journal,
    LedgerShape { forget, version, order, begun, imported }: LedgerShape<'_>,
) -> Result<LedgerExtent, Error> {
    let today = heading.time.day();
    let (before, recent) = in_order(index, order);
    replace(directory, heading, index.messages.intents_len() == 0, |out| {
        let needed = if index.has_unidentified() { VERSION } else { PLAIN_VERSION };
        out.begin(heading, version.max(needed), u64::from(index.len()))?;
        for known in index.destinations.records() {
            let is_used = index.destinations.is_used(known.id);
            out.put(NumberedDestination {
                number: known.id,
                kind: known.name.kind,
                address: Cow::Borrowed(&known.name.address),
                inode: known.inode,
                used: if is_used { Use::Used } else { Use::Unused },
            })?;
        }
        // The time may run before the clock; which clock it was at each listing is never asked.
        let listing = |time: &Time| ListingTaken { time: *time, clock: heading.clock };
        let listings = index.listings.len();
        for time in index.listings.iter().take(listings.saturating_sub(1)) {
            out.put(listing(time))?;
        }
        let stays = |id: &&EntryId| !(forget && index.is_forgettable(**id, today));
        for id in before.iter().filter(stays) {
            out.entry(index, old, *id)?;
        }
        // What follows the last listing has come since.
        if let Some(last) = index.listings.back() {
            out.put(listing(last))?;
        }
        for id in recent.iter().filter(stays) {
            out.entry(index, old, *id)?;
        }
        for (number, message) in index.messages.iter() {
            // One whose key stands for another message by now is remembered as long as that.
            if !message.gone || (stays(&&message.entry) && !index.is_forgotten(message.entry)) {
                out.message(number, message)?;
            }
        }
        for (unique_id, delivered) in imported {
            let key = KeyField::UniqueId(Cow::Borrowed(unique_id.borrow().as_bytes()));
            out.put(MessageImported { time: heading.time, key, delivered: *delivered })?;
        }
        if index.begun || begun {
            out.put(FirstListingSeen { time: heading.time })?;
        }
        Ok(())
    })
}

/// The entries up to the last complete listing, and those that have come since.
fn in_order(index: &Index, order: Option<&[EntryId]>) -> (Vec<EntryId>, Vec<EntryId>) {
    let (mut before, recent): (Vec<EntryId>, Vec<EntryId>) =
        index.ids().partition(|id| !index.is_recent(*id));
    if let Some(order) = order {
        let mut ranks: HashMap<EntryId, usize> = HashMap::new();
        for (rank, id) in order.iter().enumerate() {
            ranks.entry(*id).or_insert(rank);
        }
        // Those that the listing lacked come first, as they were.
        before.sort_by_key(|id| ranks.get(id).map_or(0, |rank| rank.saturating_add(1)));
    }
    (before, recent)
}

/// Removes what a run has left that died while it rewrote the ledger.
///
/// # Errors
/// [`Error::Disk`].
pub(super) fn clean_up(directory: &Path) -> Result<(), Error> {
    let new = directory.join(NEW_FILE);
    if new.symlink_metadata().is_ok() {
        durable::remove(&new)?;
    }
    Ok(())
}

/// Lets `fill` write a new file, and puts it in the ledger's place; at rest, if no delivery is open in it.
fn replace(
    directory: &Path,
    LedgerHeading { time, clock, generation, .. }: LedgerHeading<'_>,
    rests: bool,
    fill: impl FnOnce(&mut CompactionWriter<'_>) -> Result<(), Error>,
) -> Result<LedgerExtent, Error> {
    let (new, path) = (directory.join(NEW_FILE), directory.join(FILE));
    // What a crash has left; nothing depends on it.
    durable::remove(&new)?;
    let file = durable::create_new(&new, 0o600)?;
    let mut writer = CompactionWriter { file: &file, path: &new, buffer: Vec::new() };
    let written = fill(&mut writer)
        .and_then(|()| writer.put(Rewritten {}))
        .and_then(|()| writer.flush())
        .and_then(|()| Ok(durable::sync(&file, &new)?))
        .and_then(|()| Ok(durable::replace(&new, &path)?));
    if let Err(e) = written {
        // Most likely the disk is full: the room is needed.  If it can't be removed, the next one to come here will.
        let _ = durable::remove(&new);
        return Err(e);
    }
    let octets = file.metadata().map_err(|e| durable::Error::new(Step::Read, &path, e))?.len();
    // The run that made the directories may have died before it synced their names.
    durable::sync_names(directory)?;
    // Only now is it as good as the old one: a run that is killed before leaves a file that is rewritten again.  And
    // the new group makes rot in what was just synced an error, not the end of a last group, to be dropped.
    let mut lines = Vec::new();
    Fact::from(Group { number: 2, time, clock, count: 0 }).write(&mut lines);
    if rests {
        Fact::from(End {}).write(&mut lines);
    }
    durable::write(&file, &path, &lines)?;
    Ok(LedgerExtent { generation, octets })
}

struct CompactionWriter<'a> {
    file: &'a File,
    path: &'a Path,
    buffer: Vec<u8>,
}

impl CompactionWriter<'_> {
    fn put<'f>(&mut self, fact: impl Into<Fact<'f>>) -> Result<(), Error> {
        fact.into().write(&mut self.buffer);
        self.flush_much()
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.buffer.is_empty() {
            durable::write(self.file, self.path, &self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn begin(&mut self, heading: LedgerHeading<'_>, version: u64, count: u64) -> Result<(), Error> {
        let LedgerHeading { id, mailbox, generation, time, clock } = heading;
        let [user, host] = [&mailbox.user, &mailbox.host].map(|name| Cow::Borrowed(name.as_bytes()));
        let title = Title { version, id, user, host, port: mailbox.port, generation };
        self.put(FirstLine { title })?;
        self.put(Group { number: 1, time, clock, count })
    }

    fn entry(&mut self, index: &Index, old: &Journal, id: EntryId) -> Result<(), Error> {
        let (state, listed_size) = (index.kept_state(id), index.entry(id).listed_size.map(|octets| octets.0));
        let notes = index.notes(id);
        let mut deliveries = index.deliveries(id);
        let (offset, delivered) = match deliveries.next() {
            Some((offset, time)) => (offset, Some(time)),
            None => (index.offset(id).unwrap_or(u64::MAX), None),
        };
        // Keys and digests go from line to line as they stand: decoding them would be most of the work.
        let out = &mut self.buffer;
        old.look_up(offset, |fact| {
            let (key, digests) = key_and_digests(fact)?;
            // An entry that holds nothing may have its key from a line of a message that it no longer holds.
            let digests = digests.filter(|_| delivered.is_some());
            Fact::from(KnownEntry { state, key, listed_size, delivered, digests, notes }).write(out);
            Some(())
        })?;
        for (offset, delivered) in deliveries {
            old.look_up(offset, |fact| {
                let (key, digests) = key_and_digests(fact)?;
                Fact::from(FurtherDelivery { key, delivered, digests: digests? }).write(out);
                Some(())
            })?;
        }
        self.flush_much()
    }

    fn flush_much(&mut self) -> Result<(), Error> {
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// A message on its way keeps its numbers: recovery, and the next run, go on with it.
    fn message(&mut self, number: u32, message: &OpenMessage) -> Result<(), Error> {
        self.put(MessageBegun {
            number,
            time: message.time,
            key: KeyField::from(&message.key),
            listed_size: message.listed_size,
            digests: DigestsField::Value(message.digests),
            replaces: None,
            set: message.set.clone(),
            notes: Notes { again: message.again, utf8: message.utf8, gone: message.gone, ..Notes::default() },
        })?;
        for intent in &message.intents {
            self.put(CopyStaged {
                number: intent.id.0,
                message: number,
                destination: intent.destination,
                time: intent.since,
                octets: intent.octets,
                digest: intent.digest,
                place: intent.place.clone(),
            })?;
        }
        Ok(())
    }
}

/// The digests, if there are any, that an entry's line holds, whichever kind of line it is: most are found without reading
/// the rest of the line.
pub(super) fn digests_of(content: &[u8]) -> Option<Option<DigestsField<'_>>> {
    Fact::digests(content).or_else(|| Some(key_and_digests(&Fact::parse(content)?)?.1))
}

/// The key, and the digests if there are any, that an entry's line holds, whichever kind of line it is.
pub(super) fn key_and_digests<'a>(fact: &Fact<'a>) -> Option<(KeyField<'a>, Option<DigestsField<'a>>)> {
    match fact {
        Fact::MessageBegun(MessageBegun { key, digests, .. })
        | Fact::MatchedElsewhere(MatchedElsewhere { key, digests, .. })
        | Fact::FurtherDelivery(FurtherDelivery { key, digests, .. }) => Some((key.clone(), Some(*digests))),
        Fact::KnownEntry(KnownEntry { key, digests, .. }) => Some((key.clone(), *digests)),
        Fact::MessageIdentified(MessageIdentified { key, header, identity, .. }) => {
            let digests = Digests { message: Digest::UNKNOWN, header: *header, identity: *identity };
            Some((key.clone(), Some(DigestsField::Value(digests))))
        }
        Fact::MessageFailed(MessageFailed { key, .. })
        | Fact::MessageImported(MessageImported { key, .. })
        | Fact::MessageTooLarge(MessageTooLarge { key, .. }) => Some((key.clone(), None)),
        _ => None,
    }
}
