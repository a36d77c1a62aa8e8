//! The ledger: what is known of each message of one mailbox, on disk.
//!
//! One directory for each mailbox, named by a digest of its identity, with three files:
//!
//! - `ledger`, an append-only text file, a line a fact ([`line`] has the grammar, [`journal`] the rules of damage,
//!   [`index`] the meaning, [`compaction`] the way to a shorter one);
//! - `lock`, which a running popfetch holds ([`lock`]);
//! - `memory`, what may be lost without harm ([`memory`]).
//!
//! The ledger makes two proofs: [`Noted`], after the `staged` lines are on disk, and [`Delivered`].  It must not know
//! servers, destinations or policies: it is told facts, and asked for them.
//!
//! # What is on disk, and when
//!
//! [`Ledger::note`] syncs: nothing may be published before.  Outcomes are not synced one by one: a `delivered` line that
//! a crash takes away is found out again from its `staged` line.  [`Ledger::sync`] brings them to the disk before `QUIT`.
//!
//! A killed run leaves lines that can be read but may not be on disk, and so does one whose sync failed, which no
//! second sync repairs or even notices.  So a run that ends in order says so by an `end` line, written after everything
//! that matters was synced ([`Ledger::close`]).  Where lines that matter stand behind the last `end`, the ledger is
//! written anew and synced before anything is concluded from it ([`Ledger::open`]).  Therefore every entry of an open
//! ledger can be acted on, and a run that finds nothing new syncs nothing: `listing` lines and what belongs to them,
//! sizes, failures and confirmed deletions don't matter in this sense.  If they get lost, something is asked again.
//!
//! A ledger that is missing where there is a `memory`, which is only ever written beside a ledger, is an error: it is
//! never silently started afresh.

mod compaction;
mod index;
mod journal;
mod line;
pub mod lock;
pub mod memory;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::clock::{self, Time};
use crate::durable::{self, Step};
use crate::exit::ExitCode;
use crate::message::{Digest, Digests};
use crate::proof::{
    Arrival, Delivered, DestinationId, DestinationName, DestinationRecord, EntryId, Intent, IntentId, Key,
    Noted, NotedPlace, Place, Published, Staged,
};
use crate::protocol::types::{MessageNumber, Octets, UniqueId};

use compaction::{Heading, key_and_digests};
use index::Index;
use journal::{Journal, Window};
use line::{DigestsField, KeyField, LONGEST_HEADER, LONGEST_OUTCOME, Line};

/// The ledger's name in the mailbox's directory.
const FILE: &str = "ledger";
/// Its name while it is written anew.
const NEW_FILE: &str = "ledger.new";
/// A clock that is further ahead of the last one is not believed at once.
const LONGEST_LEAP: i64 = 30 * 86_400;
/// A smaller file is not worth compacting.
const COMPACT_FROM: u64 = 64 * 1024;

/// Whose maildrop: user, host, port, where 110 and 995 are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// As the user typed it.
    pub user: String,
    /// Lower case, A-label, no final dot.
    pub host: String,
    /// 995 counts as 110.
    pub port: u16,
}

impl Mailbox {
    /// The name of its directory under the state directory: never a raw name in a path.
    #[must_use]
    pub fn directory_name(&self) -> String {
        // Neither a host nor a port holds a NUL, so no two identities make the same octets.
        let identity = format!("{}\0{}\0{}", self.port, self.host, self.user);
        Digest::of(identity.as_bytes()).as_bytes().iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How far it has come.
    pub state: State,
    /// Its size as last listed, when `LIST` has been asked.
    pub listed: Option<Octets>,
    /// When it was delivered whole (to all of its set): the last of its copies.
    pub delivered: Option<Time>,
    /// Rank by the time it was first known: greater is later.
    pub order: u32,
    /// How many messages of this unique-id have been delivered (or seen, or recorded); an open entry may have some.
    pub copies: u16,
    /// How often it has failed since it last succeeded.
    pub failures: u16,
    /// Not before then is a failed one tried again.
    pub retry_after: Option<Time>,
    /// Whether a complete listing has lacked it.  For a deleted one this holds until it is known what came back under its
    /// unique-id ([`Ledger::recognise`], or a delivery).
    pub absent: bool,
    /// Whether it was reported as too large.
    pub reported_too_large: bool,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Known, but not delivered to all of its set: failed, too large, or partly delivered.  Also while another message of
    /// a delivered unique-id is on its way, and when that one failed.
    Open,
    /// Only printed on standard output: not retrieved again, never deleted.
    Seen,
    /// Recognised after a renumbering, or imported: treated as delivered, but never deleted on that word alone.
    Recorded,
    /// Delivered to all of its set.
    Delivered,
    /// Delivered, and its deletion confirmed by the server's +OK to QUIT.
    Deleted,
}

/// One delivery of a message, read back from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Digests as received.
    pub digests: Digests,
    /// When.
    pub delivered: Time,
}

/// An open ledger: locked and to be written ([`Ledger::open`]), or only to be read ([`Ledger::read`]).
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    mailbox: Mailbox,
    id: String,
    index: Index,
    /// `None` where there is no file.
    journal: Option<Journal>,
    /// `None` when only read.
    lock: Option<lock::Lock>,
    /// The clock as last read.
    clock: Time,
    /// Whether ages can be told by it.
    trusted: bool,
    /// This run's messages under way.  A weak pointer keeps its address from being used again.
    arrivals: HashMap<usize, (Weak<Arrival>, u32)>,
    /// Whether the end of the file is bad.
    torn: bool,
    warnings: Vec<String>,
}

impl Ledger {
    /// Opens (or creates) the ledger in `directory`, replays it, cuts a torn tail off, and writes it anew when the last run
    /// did not end in order.  `lock` proves that no other process has it; `now` is the clock.
    ///
    /// # Errors
    /// [`Error::Damaged`]: damage before the last group, or another mailbox's ledger; [`Error::Missing`]; [`Error::Disk`].
    pub fn open(directory: &Path, mailbox: &Mailbox, lock: lock::Lock, now: Time) -> Result<Self, Error> {
        let mut ledger = Self::load(directory, mailbox, now, durable::open)?;
        let time = ledger.now();
        match &ledger.journal {
            None => {
                let id: [u8; 8] =
                    clock::random().map_err(|e| durable::Error::new(Step::Open, &ledger.path(), e))?;
                let id: String = id.iter().map(|octet| format!("{octet:02x}")).collect();
                compaction::create(directory, Heading { id: &id, mailbox, time, clock: now })?;
                ledger.reload(durable::open, true)?;
            }
            Some(journal) if ledger.index.working || ledger.torn => {
                let heading = Heading { id: &ledger.id, mailbox, time, clock: now };
                compaction::rewrite(directory, heading, &ledger.index, journal, false)?;
                ledger.reload(durable::open, true)?;
            }
            Some(_) => {}
        }
        ledger.lock = Some(lock);
        Ok(ledger)
    }

    /// Reads the ledger, if there is one, without lock or change: for `--dry-run` and the mbox's neighbours.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub fn read(directory: &Path, mailbox: &Mailbox, now: Time) -> Result<Self, Error> {
        Self::load(directory, mailbox, now, durable::open_to_read)
    }

    /// Whose ledger `directory` holds; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Disk`].
    pub fn mailbox_of(directory: &Path) -> Result<Option<Mailbox>, Error> {
        let path = directory.join(FILE);
        match durable::open_to_read(&path) {
            Ok(file) => journal::mailbox(&file, &path),
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn load(directory: &Path, mailbox: &Mailbox, now: Time, open: Open) -> Result<Self, Error> {
        let mut ledger = Self {
            directory: directory.to_owned(),
            mailbox: mailbox.clone(),
            id: String::new(),
            index: empty_index(directory)?,
            journal: None,
            lock: None,
            clock: now,
            trusted: true,
            arrivals: HashMap::new(),
            torn: false,
            warnings: Vec::new(),
        };
        ledger.reload(open, false)?;
        ledger.trusted = ledger.index.clock.is_none_or(|last| follows(now, last));
        Ok(ledger)
    }

    /// Reads the file.  `synced`: it has just been written and brought to the disk.
    fn reload(&mut self, open: Open, synced: bool) -> Result<(), Error> {
        // Never both in memory.
        self.journal = None;
        self.index = empty_index(&self.directory)?;
        let path = self.path();
        let file = match open(&path) {
            Ok(file) => file,
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => {
                return self.must_be_new("is missing");
            }
            Err(e) => return Err(e.into()),
        };
        let octets = file.metadata().map_err(|e| durable::Error::new(Step::Read, &path, e))?.len();
        let mut replayed = journal::replay(&file, octets, &path, &self.mailbox, &mut self.index)?;
        let Some(id) = replayed.id.take() else {
            return self.must_be_new("is empty");
        };
        self.id = id;
        self.torn = replayed.torn.is_some();
        if let Some(line) = replayed.torn {
            self.warnings.push(format!(
                "{}: from line {line} on it was not finished when the last run broke off; that part is left out",
                printable(&path)
            ));
        }
        self.journal = Some(Journal::resume(file, &path, &replayed, synced)?);
        Ok(())
    }

    /// There is no ledger to read.  Fine, if there never was one.
    fn must_be_new(&mut self, problem: &'static str) -> Result<(), Error> {
        if self.directory.join(memory::FILE).exists() {
            return Err(Error::Missing { directory: printable(&self.directory), problem });
        }
        if self.path().exists() {
            self.warnings.push(format!("{}: it {problem}, and is begun anew", printable(&self.path())));
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// What a person should hear: a torn tail that was dropped, a ledger begun anew.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// This ledger's random id (16 hex digits): part of the names of its files in Maildirs.  Empty where there is none yet
    /// ([`Ledger::read`]).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Tells the time, in a run that lasts.
    pub fn tick(&mut self, now: Time) {
        self.trusted &= follows(now, self.clock);
        self.clock = now;
    }

    /// Now, never before the latest time in the ledger.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.max(self.index.time)
    }

    /// Now, unless the clock was behind, or more than 30 days ahead of, the one that the ledger saw last: then deletion by
    /// age waits for the next run.  This one writes the clock down with the next `listing` or group; if it is still the
    /// same clock then, it is believed.
    #[must_use]
    pub fn trusted_now(&self) -> Option<Time> {
        // Not `now()`: after a leap ahead that was put right, ages must not be counted by the leap.
        self.trusted.then_some(self.clock)
    }

    /// The entry of this unique-id.
    #[must_use]
    pub fn find(&self, unique_id: UniqueId<'_>) -> Option<EntryId> {
        self.index.lookup_unique_id(unique_id.as_bytes())
    }

    /// The entry of this key.
    #[must_use]
    pub fn find_key(&self, key: &Key) -> Option<EntryId> {
        self.index.lookup(&KeyField::from(key))
    }

    /// What is known of it.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Entry {
        self.index.entry(id)
    }

    /// How many entries there are; ids run from 0, in the order in which they became known.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.index.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries of the last complete listing that aren't deleted, and those that have come since.  If none of them is
    /// listed any more, the server may have renumbered.
    pub fn present(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.index.ids().filter(move |id| self.index.is_present(*id))
    }

    /// The key of an entry, read back from the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn key(&self, id: EntryId) -> Result<Key, Error> {
        self.key_in(&mut Window::narrow(), id)
    }

    fn key_in(&self, window: &mut Window, id: EntryId) -> Result<Key, Error> {
        let (journal, offset) = self.place(id)?;
        journal.look_up(window, offset, |line| key_and_digests(line)?.0.to_key())
    }

    fn place(&self, id: EntryId) -> Result<(&Journal, u64), Error> {
        self.journal
            .as_ref()
            .zip(self.index.offset(id))
            .ok_or(Error::Contradiction("an entry of another ledger"))
    }

    /// Its deliveries, read back from the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn records(&self, id: EntryId) -> Result<Vec<Record>, Error> {
        self.records_in(&mut Window::narrow(), id)
    }

    fn records_in(&self, window: &mut Window, id: EntryId) -> Result<Vec<Record>, Error> {
        let (journal, _) = self.place(id)?;
        let record = |(offset, delivered)| {
            let digests = journal.look_up(window, offset, |line| match key_and_digests(line)?.1 {
                Some(digests) => digests.value().map(Some),
                None => Some(None),
            })?;
            Ok(digests.map(|digests| Record { digests, delivered }))
        };
        self.index.copies(id).into_iter().map(record).filter_map(Result::transpose).collect()
    }

    /// The destinations of its set that lack it; `None` when no set is fixed, since none of them has it nor is about to.
    #[must_use]
    pub fn lacking(&self, id: EntryId) -> Option<Vec<DestinationId>> {
        let (_, message) = self.index.open_message(id)?;
        Some(message.set.iter().filter(|(_, has)| !has).map(|(destination, _)| *destination).collect())
    }

    /// The number of a destination, entered (written, synced with the next note) if it is new or its inode changed.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn destination(
        &mut self,
        name: &DestinationName,
        inode: Option<(u64, u64)>,
    ) -> Result<DestinationId, Error> {
        let known = self.index.destinations.iter().find(|known| known.name == *name);
        let number = match known {
            Some(known) if inode.is_none() || known.inode == inode => return Ok(known.id),
            Some(known) => known.id,
            None => u16::try_from(self.index.destinations.len())
                .map(DestinationId)
                .map_err(|_| Error::Contradiction("65536 destinations"))?,
        };
        let address = Cow::Borrowed(name.address.as_slice());
        self.append(&Line::Destination { number, kind: name.kind, address, inode, used: false })?;
        Ok(number)
    }

    /// The table of destinations.
    #[must_use]
    pub fn destinations(&self) -> &[DestinationRecord] {
        &self.index.destinations
    }

    /// Whether anything was ever delivered there.
    #[must_use]
    pub fn has_delivered_to(&self, id: DestinationId) -> bool {
        self.index.has_delivered_to(id)
    }

    /// The open `staged` lines.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        self.index.open_intents()
    }

    /// Writes the `staged` lines of a batch, syncs, and reserves room for the outcomes.
    ///
    /// # Errors
    /// Nothing is noted then, and those pieces come back that may be withdrawn: all, when their lines are certainly not on
    /// disk, nor ever will be; none, when they may be (a sync failed).  What doesn't come back must stay where it is:
    /// recovery finds it, or else would take its absence for a delivery.
    pub fn note(&mut self, staged: Vec<Staged>) -> Result<Vec<Noted>, (Error, Vec<Staged>)> {
        if staged.is_empty() {
            return Ok(Vec::new());
        }
        let (lines, numbers) = match self.draft(&staged) {
            Ok(draft) => draft,
            Err(e) => return Err((e, staged)),
        };
        // Those of earlier batches that are open still must find room as well; and a group and an `end`.
        let pieces = self.index.intents_len().saturating_add(u64::try_from(staged.len()).unwrap_or(u64::MAX));
        let outcomes = pieces.saturating_mul(LONGEST_OUTCOME).saturating_add(2 * LONGEST_HEADER);
        let stamp = (self.now(), self.clock);
        let written = match (&self.lock, &mut self.journal) {
            (Some(_), Some(journal)) => journal.commit(&mut self.index, &lines, outcomes, stamp),
            _ => Err((Error::ReadOnly, true)),
        };
        drop(lines);
        match written {
            Ok(()) => {
                self.arrivals.extend(numbers);
                Ok(staged.into_iter().map(Noted::attest).collect())
            }
            Err((e, true)) => Err((e, staged)),
            Err((e, false)) => Err((e, Vec::new())),
        }
    }

    /// The lines for a batch, and the messages that they begin.
    fn draft<'s>(&self, staged: &'s [Staged]) -> Result<Draft<'s>, Error> {
        let time = self.now();
        let (mut next_message, mut next_intent) = (self.index.next_message, self.index.next_intent);
        let mut lines = Vec::with_capacity(staged.len() * 2);
        let mut numbers = HashMap::new();
        let mut taken = HashSet::new();
        for piece in staged.iter().map(Staged::piece) {
            let arrival = &piece.message;
            let address = Arc::as_ptr(arrival).addr();
            let noted = numbers.get(&address).map(|(_, number)| *number);
            let message = match noted.or_else(|| self.number_of(arrival)) {
                Some(number) => number,
                None => {
                    // A message that part of its set has already is gone on with, unless that is spoken for.
                    let begun = self
                        .find_key(&arrival.key)
                        .and_then(|entry| self.index.open_message(entry))
                        .filter(|(number, message)| message.intents.is_empty() && taken.insert(*number));
                    let has = |destination: &DestinationId| {
                        begun.is_some_and(|(_, message)| {
                            message.digests.message == arrival.digests.message
                                && message.set.contains(&(*destination, true))
                        })
                    };
                    let number = next_message;
                    next_message = number.checked_add(1).ok_or(Error::Contradiction("too many messages"))?;
                    lines.push(Line::Message {
                        number,
                        time,
                        key: KeyField::from(&arrival.key),
                        listed: arrival.listed.map(|octets| octets.0),
                        digests: DigestsField::Value(arrival.digests),
                        replaces: begun.map(|(number, _)| number),
                        set: arrival.set.iter().map(|destination| (*destination, has(destination))).collect(),
                    });
                    numbers.insert(address, (Arc::downgrade(arrival), number));
                    number
                }
            };
            lines.push(Line::Staged {
                number: next_intent,
                message,
                destination: piece.destination,
                time,
                octets: piece.octets,
                digest: piece.digest,
                place: noted_place(&piece.place)?,
            });
            next_intent = next_intent.checked_add(1).ok_or(Error::Contradiction("too many intents"))?;
        }
        Ok((lines, numbers))
    }

    /// The open message that this arrival is, once it has been noted.
    fn number_of(&self, arrival: &Arc<Arrival>) -> Option<u32> {
        let (_, number) = self.arrivals.get(&Arc::as_ptr(arrival).addr())?;
        self.index.messages.contains_key(number).then_some(*number)
    }

    fn intent_of(&self, piece: &crate::proof::Piece) -> Result<(u32, IntentId), Error> {
        self.number_of(&piece.message)
            .and_then(|number| Some((number, self.index.intent_at(number, piece.destination)?)))
            .ok_or(Error::Contradiction("the outcome of a piece that was not noted"))
    }

    /// Says that this piece is delivered, with the next [`Ledger::flush`], sync or note.  The proof comes when all of the
    /// message's set have it; not when it was only printed.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn record(&mut self, published: Published) -> Result<Option<Delivered>, Error> {
        let (number, intent) = self.intent_of(published.piece())?;
        let entry = self.index.messages.get(&number).map(|message| message.entry);
        let printed = self.index.only_printed(number);
        self.append(&Line::Delivered { intent: intent.0, time: self.now() })?;
        if self.index.messages.contains_key(&number) {
            return Ok(None);
        }
        self.arrivals.remove(&Arc::as_ptr(&published.piece().message).addr());
        let proof = entry
            .filter(|_| !printed)
            .map(|entry| Delivered::attest(published.piece().message.number, entry));
        Ok(proof)
    }

    /// Says that a noted piece was not taken by its destination (closes its intent), with the next [`Ledger::flush`], sync
    /// or note.  Its file must stay until that is synced.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn refuse(&mut self, noted: Noted, retry_after: Option<Time>) -> Result<(), Error> {
        let (_, intent) = self.intent_of(noted.piece())?;
        self.append(&Line::Refused { intent: intent.0, time: self.now(), retry_after })
    }

    /// Says that recovery found these delivered; [`Ledger::sync`] must follow before anything is done about it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn settle_delivered(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        let time = self.now();
        intents.iter().try_for_each(|intent| self.append(&Line::Delivered { intent: intent.0, time }))?;
        self.flush()
    }

    /// Writes and syncs that these come again; only then may their files be removed.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.
    pub fn settle_dropped(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        let time = self.now();
        intents.iter().try_for_each(|intent| self.append(&Line::Dropped { intent: intent.0, time }))?;
        self.sync()
    }

    /// Proof that this entry is delivered whole, for the message that now has this number; `None` when it isn't, or was only
    /// seen or recognised.  Nor is there one for what the server said it had deleted: what is listed under that unique-id
    /// now may be another message, which must be looked at first ([`Ledger::recognise`]).
    ///
    /// What an earlier run wrote is on disk, or the ledger would not have opened; what this one wrote is synced before
    /// `QUIT`.
    #[must_use]
    pub fn delivered(&self, id: EntryId, number: MessageNumber) -> Option<Delivered> {
        match self.entry(id).state {
            State::Delivered => Some(Delivered::attest(number, id)),
            State::Open | State::Seen | State::Recorded | State::Deleted => None,
        }
    }

    /// Says that a message failed; a new entry if need be.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn fail(
        &mut self,
        key: &Key,
        listed: Option<Octets>,
        retry_after: Option<Time>,
    ) -> Result<EntryId, Error> {
        let (time, listed) = (self.now(), listed.map(|octets| octets.0));
        self.append(&Line::Failed { time, key: KeyField::from(key), listed, retry_after })?;
        self.entry_of(key)
    }

    /// Says that a message is left for its size, and was reported.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn too_large(&mut self, key: &Key, listed: Option<Octets>) -> Result<EntryId, Error> {
        if let Some(id) = self.find_key(key) {
            let entry = self.entry(id);
            if entry.reported_too_large && (listed.is_none() || entry.listed == listed) {
                return Ok(id);
            }
        }
        let (time, listed) = (self.now(), listed.map(|octets| octets.0));
        self.append(&Line::Large { time, key: KeyField::from(key), listed })?;
        self.entry_of(key)
    }

    /// Says that this message is one that we have: `same_as`.  If that has the same key (its size changed, or it came back
    /// after its deletion), the entry is what it was, with this size, delivered and not deleted.  Otherwise (the server has
    /// renumbered) the key gets an entry of its own, in the state [`State::Recorded`], with the same digests and age.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub fn recognise(
        &mut self,
        key: &Key,
        listed: Option<Octets>,
        same_as: EntryId,
    ) -> Result<EntryId, Error> {
        let (time, listed) = (self.now(), listed.map(|octets| octets.0));
        if self.find_key(key) == Some(same_as) {
            self.append(&Line::Same { time, key: KeyField::from(key), listed })?;
            return Ok(same_as);
        }
        let Record { digests, delivered } = self
            .records(same_as)?
            .pop()
            .ok_or(Error::Contradiction("a message is recognised as one that was never delivered"))?;
        let digests = DigestsField::Value(digests);
        self.append(&Line::Recorded { time, key: KeyField::from(key), listed, delivered, digests })?;
        self.entry_of(key)
    }

    fn entry_of(&self, key: &Key) -> Result<EntryId, Error> {
        self.find_key(key).ok_or(Error::Contradiction("a line made no entry"))
    }

    /// Says a size learnt from `LIST`.  The size of a message that isn't open is only ever learnt, never changed: a change
    /// is for [`Ledger::recognise`] to settle.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub fn listed(&mut self, id: EntryId, octets: Octets) -> Result<(), Error> {
        self.listed_in(&mut Window::narrow(), id, octets)
    }

    /// As [`Ledger::listed`], for a whole scan listing.
    ///
    /// # Errors
    /// As there.
    pub fn listed_all(&mut self, sizes: &mut dyn Iterator<Item = (EntryId, Octets)>) -> Result<(), Error> {
        let mut window = Window::wide();
        for (id, octets) in sizes {
            self.listed_in(&mut window, id, octets)?;
        }
        Ok(())
    }

    fn listed_in(&mut self, window: &mut Window, id: EntryId, octets: Octets) -> Result<(), Error> {
        let entry = self.entry(id);
        if entry.listed.is_none() || (entry.state == State::Open && entry.listed != Some(octets)) {
            let key = self.key_in(window, id)?;
            self.append(&Line::Listed { key: KeyField::from(&key), octets: octets.0 })?;
        }
        Ok(())
    }

    /// Says that the server has confirmed these deletions.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub fn deleted(&mut self, ids: &[EntryId]) -> Result<(), Error> {
        let (mut window, time) = (Window::wide(), self.now());
        for id in ids {
            let key = self.key_in(&mut window, *id)?;
            self.append(&Line::Deleted { time, key: KeyField::from(&key) })?;
        }
        self.flush()
    }

    /// Writes (unsynced) that a complete listing held these entries and no others.  One that holds none of them counts for
    /// nothing, but that what was deleted is known to be gone.
    ///
    /// To be called when the plan has been made: it ends the absence of what has come back.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub fn complete_listing(&mut self, held: &mut dyn Iterator<Item = EntryId>) -> Result<(), Error> {
        let mut listed = vec![false; usize::try_from(self.len()).unwrap_or(0)];
        let mut any = false;
        for id in held {
            if let Some(here) = usize::try_from(id.0).ok().and_then(|at| listed.get_mut(at)) {
                (*here, any) = (true, true);
            }
        }
        let (time, clock) = (self.now(), self.clock);
        if !any {
            if self.index.lingers() {
                self.append(&Line::Unlisted { time, clock })?;
            }
            return self.flush();
        }
        self.append(&Line::Listing { time, clock })?;
        let day = u16::try_from(time.day().max(1)).unwrap_or(u16::MAX);
        let mut window = Window::wide();
        for (id, here) in self.index.ids().zip(listed) {
            let entry = self.entry(id);
            let absent = self.index.absent_since(id).is_some();
            if here && (absent || (entry.absent && entry.state != State::Deleted)) {
                let key = self.key_in(&mut window, id)?;
                self.append(&Line::Present { key: KeyField::from(&key) })?;
            } else if !here && !absent {
                let key = self.key_in(&mut window, id)?;
                self.append(&Line::Absent { key: KeyField::from(&key), day })?;
            }
        }
        self.flush()
    }

    /// When the last complete listing was taken that counted.
    #[must_use]
    pub fn last_complete_listing(&self) -> Option<Time> {
        self.index.listings.back().copied()
    }

    /// The entries that may be what a renumbered or nameless message is: by header digest.  One that has several copies
    /// appears for each of them.  The file is read once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn by_header(&self) -> Result<HashMap<Digest, Vec<EntryId>>, Error> {
        let mut window = Window::wide();
        let mut by_header: HashMap<Digest, Vec<EntryId>> = HashMap::new();
        for id in self.index.ids() {
            for record in self.records_in(&mut window, id)? {
                by_header.entry(record.digests.header).or_default().push(id);
            }
        }
        Ok(by_header)
    }

    /// Hands what was said to the system, so that it survives this process; a pipe's outcomes, one by one.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.journal.as_mut().map_or(Ok(()), Journal::flush)
    }

    /// Brings the ledger to the disk, if anything that matters has been said since the last sync.
    ///
    /// # Errors
    /// When that fails: the ledger is not to be used again in this run, and the next open writes it anew.
    pub fn sync(&mut self) -> Result<(), Error> {
        match &mut self.journal {
            Some(journal) if self.index.working => journal.sync(),
            _ => self.flush(),
        }
    }

    /// Ends the run in order: syncs what matters, says so, and compacts the ledger if most of it is history.  A run that ends
    /// without this, by its death or by an error of the ledger's own, makes the next one write the ledger anew.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.  That there is no room to compact it is none.
    pub fn close(mut self) -> Result<(), Error> {
        if self.lock.is_none() || self.journal.is_none() {
            return Ok(());
        }
        let worked = self.index.working;
        if worked {
            self.sync()?;
            self.append(&Line::End)?;
        }
        self.flush()?;
        let Some(journal) = &self.journal else { return Ok(()) };
        // After a run that only polled, what has gathered is worth a sync much later.
        let share = if worked { 2 } else { 4 };
        if journal.len() < COMPACT_FROM || journal.len() / share < self.index.live {
            return Ok(());
        }
        let heading = Heading { id: &self.id, mailbox: &self.mailbox, time: self.now(), clock: self.clock };
        match compaction::rewrite(&self.directory, heading, &self.index, journal, self.trusted) {
            Err(Error::Disk(e)) if e.is_full() => Ok(()),
            done => done,
        }
    }

    fn append(&mut self, line: &Line<'_>) -> Result<(), Error> {
        let stamp = (self.now(), self.clock);
        match (&self.lock, &mut self.journal) {
            (Some(_), Some(journal)) => journal.append(&mut self.index, line, stamp),
            _ => Err(Error::ReadOnly),
        }
    }
}

/// How a ledger's file is opened.
type Open = fn(&Path) -> durable::Result<std::fs::File>;

/// The lines of a batch, and by the address of its arrival the number of each message that they begin.
type Draft<'s> = (Vec<Line<'s>>, HashMap<usize, (Weak<Arrival>, u32)>);

fn empty_index(directory: &Path) -> Result<Index, Error> {
    let key = clock::random().map_err(|e| durable::Error::new(Step::Open, directory, e))?;
    Ok(Index::new(&key))
}

/// Whether a clock may be believed that showed `last` before.
fn follows(now: Time, last: Time) -> bool {
    (0..=LONGEST_LEAP).contains(&now.seconds_since(last))
}

fn noted_place(place: &Place) -> Result<NotedPlace, Error> {
    Ok(match place {
        Place::Maildir { name, .. } => NotedPlace::Maildir { name: name.clone() },
        Place::Mbox { spool, spool_offset, offset } => NotedPlace::Mbox {
            offset: offset.ok_or(Error::Contradiction("an mbox entry is noted before its place is known"))?,
            spool: spool.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            spool_offset: *spool_offset,
        },
        Place::Spooled(_) => NotedPlace::Handed,
    })
}

fn printable(path: &Path) -> String {
    crate::text::printable(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}

/// Replays arbitrary octets as a ledger: must neither panic nor take more memory than they warrant.
#[doc(hidden)]
pub fn fuzz_replay(octets: &[u8]) {
    let mailbox = Mailbox { user: "u".into(), host: "h".into(), port: 110 };
    let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
    let mut index = Index::new(&[7; 32]);
    let _ = journal::replay(octets, length, Path::new("fuzz"), &mailbox, &mut index);
    // The same lines with true checksums come further.
    let mut whole = Vec::new();
    let (user, host) = (Cow::Borrowed(&b"u"[..]), Cow::Borrowed(&b"h"[..]));
    Line::First { version: line::VERSION, id: "0", user, host, port: 110 }.write(&mut whole);
    Line::Group { number: 1, time: Time(1), clock: Time(1), count: u64::MAX }.write(&mut whole);
    octets.split(|octet| *octet == b'\n').filter_map(Line::parse).for_each(|line| line.write(&mut whole));
    let mut index = Index::new(&[7; 32]);
    let length = u64::try_from(whole.len()).unwrap_or(u64::MAX);
    let _ = journal::replay(whole.as_slice(), length, Path::new("fuzz"), &mailbox, &mut index);
    for id in index.ids() {
        let _ = (index.entry(id), index.copies(id), index.notes(id), index.open_message(id));
    }
    let _ = (index.open_intents(), index.lingers());
}

/// What can be wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused a step.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// A line before the last group is damaged, or says what cannot be.
    #[error("ledger {path}, line {line}: {problem}")]
    Damaged {
        /// Which file.
        path: String,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// There was a ledger, and it is gone.
    #[error("the ledger in {directory} {problem}, though there has been one")]
    Missing {
        /// The mailbox's directory.
        directory: String,
        /// Missing, or empty.
        problem: &'static str,
    },
    /// Another popfetch has this mailbox.
    #[error("another popfetch is at work on this mailbox")]
    Locked,
    /// It failed before in this run.
    #[error("ledger {path}: it could not be written earlier in this run, and is left alone")]
    Broken {
        /// Which file.
        path: String,
    },
    /// It was opened to be read.
    #[error("the ledger was opened to be read, not to be written")]
    ReadOnly,
    /// It was told what cannot be.
    #[error("the ledger was told what cannot be: {0}")]
    Contradiction(&'static str),
}

impl Error {
    fn damaged(path: &Path, line: u64, problem: &str) -> Self {
        Self::Damaged { path: printable(path), line, problem: problem.to_owned() }
    }

    /// The code of a run that ends with it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Disk(e) => e.exit_code(),
            Self::Damaged { .. } | Self::Missing { .. } | Self::Broken { .. } => ExitCode::LocalIo,
            Self::Locked => ExitCode::Later,
            Self::ReadOnly | Self::Contradiction(_) => ExitCode::Bug,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn suggestion(&self) -> Option<String> {
        let afresh = |directory: &str| {
            format!(
                "put the file back from a backup; or begin afresh by moving its directory away: mv '{directory}' \
                 '{directory}.damaged'.  Then every message that is still on the server is retrieved once more, also \
                 those delivered before"
            )
        };
        match self {
            Self::Damaged { path, .. } => {
                Some(afresh(path.rsplit_once('/').map_or(".", |(directory, _)| directory)))
            }
            Self::Missing { directory, .. } => Some(afresh(directory)),
            Self::Locked => Some("wait for it to end, or use --wait".to_owned()),
            Self::Disk(e) if e.is_full() => Some("make room on that disk, or raise the quota".to_owned()),
            Self::Disk(_) | Self::Broken { .. } | Self::ReadOnly | Self::Contradiction(_) => None,
        }
    }
}
