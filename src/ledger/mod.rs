//! The ledger: what is known of each message of one mailbox, on disk.
//!
//! One directory for each mailbox, named by a digest of its identity, with three files:
//!
//! - `ledger`, an append-only text file, a line a fact (`line` has the grammar, `journal` the rules of damage, `index` the
//!   meaning, `compaction` the way to a shorter one);
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
//! second sync repairs or even notices.  So a run that ends in order, with no delivery open, says so by an `end` line,
//! written after everything that matters was synced ([`Ledger::close`]).  Where lines that matter stand behind the last
//! `end`, the ledger is written anew and synced before anything is concluded from it ([`Ledger::open`]).  Therefore every entry of an open
//! ledger can be acted on, and a run that finds nothing new syncs nothing: `listing` lines and what belongs to them,
//! sizes, failures and confirmed deletions don't matter in this sense.  If they get lost, something is asked again.
//!
//! A ledger that is missing where there is a `memory`, which is only ever written beside a ledger, is an error: it is
//! never silently started afresh.

mod batch;
mod codec;
mod compaction;

mod entry;
mod error;
mod fuzz;
mod index;
mod journal;
mod lines;
pub mod lock;
mod maildrop;
pub mod memory;

mod recover;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Weak;

use crate::account::Mailbox;
use crate::clock;
use crate::durable::{self, Step};
use crate::message::Digest;
use crate::proof::{
    Arrival, Delivered, DestinationId, DestinationName, DestinationRecord, EntryId, Intent, Key,
};
use crate::text;
use crate::types::{MessageNumber, Time, UniqueId};

pub use entry::{Entry, Extent, Record, State};
pub use error::Error;
#[doc(hidden)]
pub use fuzz::fuzz_replay;
pub use maildrop::{Asked, Match};
pub use recover::Unfinished;

use compaction::{Heading, Shape, key_and_digests};
use index::{Index, leaves_working};
use journal::{Journal, Window};
use lines::{KeyField, Line, VERSION};

/// The ledger's name in the mailbox's directory.
const FILE: &str = "ledger";
/// Its name while it is written anew.
const NEW_FILE: &str = "ledger.new";
/// A clock that is further ahead of the last one is not believed at once.
const LONGEST_LEAP: i64 = 30 * 86_400;
/// A smaller file is not worth compacting.
const COMPACT_FROM: u64 = 64 * 1024;

/// The directory of a mailbox's ledger under the state directory.
#[must_use]
pub fn directory(state: &Path, mailbox: &Mailbox) -> PathBuf {
    state.join(directory_name(mailbox))
}

/// Its name there: a digest, never a raw name in a path.
fn directory_name(mailbox: &Mailbox) -> String {
    // Neither a host nor a port holds a NUL, so no two identities make the same octets.
    let identity = format!("{}\0{}\0{}", mailbox.port, mailbox.host, mailbox.user);
    text::hex(Digest::of(identity.as_bytes()).as_bytes())
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
    /// What is recorded changes this run's view of it, and no file.
    pretends: bool,
    /// Whether something that matters was said since the last sync.
    unsynced: bool,
    /// Whether the end of the file is bad.
    torn: bool,
    /// The version of the file's grammar.
    version: u64,
    /// The entries of the last complete listing, where those don't stand in its order.
    order: Option<Vec<EntryId>>,
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
                let id = text::hex(&id);
                compaction::create(directory, Heading { id: &id, mailbox, generation: 1, time, clock: now })?;
                ledger.reload(durable::open)?;
            }
            Some(journal) if ledger.index.working || ledger.torn || ledger.version < VERSION => {
                let generation = journal.generation().saturating_add(1);
                let heading = Heading { id: &ledger.id, mailbox, generation, time, clock: now };
                compaction::rewrite(directory, heading, &ledger.index, journal, Shape::default())?;
                ledger.reload(durable::open)?;
            }
            Some(_) => compaction::clean_up(directory)?,
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

    /// From now on doubts that are recorded count, but no file is changed: for `--dry-run`, with a ledger that is only read.
    pub fn pretend(&mut self) {
        self.pretends = true;
    }

    /// Whether the ledger in `directory` lies there as a run left it that ended in order, told without reading the whole of
    /// a long one: then nothing is to be recovered.  `false` too when it can't be told.
    #[must_use]
    pub fn rests(directory: &Path) -> bool {
        durable::open_to_read(&directory.join(FILE)).is_ok_and(|file| {
            let octets = file.metadata().map(|status| status.len());
            octets.is_ok_and(|octets| journal::ends_in_order(&file, octets).unwrap_or(false))
        })
    }

    /// Makes sure that the file in `directory` has not become shorter than it was when `known` was remembered.  To be asked
    /// before [`Ledger::open`], which would take what is left for a file whose end is torn.
    ///
    /// # Errors
    /// [`Error::Shortened`].
    pub fn check_extent(directory: &Path, known: Option<Extent>) -> Result<(), Error> {
        let path = directory.join(FILE);
        let Some(known) = known else { return Ok(()) };
        let Ok(file) = durable::open_to_read(&path) else { return Ok(()) };
        let octets = file.metadata().map_err(|e| durable::Error::new(Step::Read, &path, e))?.len();
        let generation = journal::generation(&file).map_err(|e| durable::Error::new(Step::Read, &path, e))?;
        // One that was rewritten since may well be shorter.
        if octets < known.octets && generation.is_none_or(|generation| generation == known.generation) {
            return Err(Error::Shortened { path: printable(&path), octets, known: known.octets });
        }
        Ok(())
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
            pretends: false,
            unsynced: false,
            torn: false,
            version: VERSION,
            order: None,
            warnings: Vec::new(),
        };
        ledger.reload(open)?;
        ledger.trusted = ledger.index.clock.is_none_or(|last| follows(now, last));
        Ok(ledger)
    }

    fn reload(&mut self, open: Open) -> Result<(), Error> {
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
        self.version = replayed.version;
        self.torn = replayed.torn.is_some();
        if let Some(line) = replayed.torn {
            self.warnings.push(format!(
                "{}: from line {line} on it was not finished when the last run broke off; that part is left out",
                printable(&path)
            ));
        }
        self.journal = Some(Journal::resume(file, &path, &replayed)?);
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

    /// How far the ledger's time is ahead of the clock, in seconds; 0 when it isn't.
    #[must_use]
    pub fn ahead_of_clock(&self) -> i64 {
        self.index.time.seconds_since(self.clock).max(0)
    }

    /// Gives up times that a clock which had run ahead has left: they read as the time now.  Nothing is deleted earlier by
    /// it, and what waits for a retry waits no more.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn correct_clock(&mut self) -> Result<(), Error> {
        self.append(&Line::Clock { time: self.clock })?;
        self.trusted = true;
        self.sync()
    }

    /// The entry of this unique-id.
    #[must_use]
    pub fn find(&self, unique_id: UniqueId<'_>) -> Option<EntryId> {
        self.index.slots.find_unique_id(unique_id.as_bytes())
    }

    /// The entry of this unique-id, of a listing in which the one before it was `last`'s: cheaper than [`Ledger::find`]
    /// where a server lists messages in the order in which they became known.
    #[must_use]
    pub fn follow(&self, last: Option<EntryId>, unique_id: UniqueId<'_>) -> Option<EntryId> {
        self.index.slots.follow(last, unique_id.as_bytes())
    }

    /// The entry of this key.
    #[must_use]
    pub fn find_key(&self, key: &Key) -> Option<EntryId> {
        self.index.lookup(&KeyField::from(key))
    }

    /// What is known of it.
    #[inline(always)]
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

    /// Whether it has come since the last complete listing: that says nothing of its place.
    #[must_use]
    pub fn is_recent(&self, id: EntryId) -> bool {
        self.index.is_recent(id)
    }

    /// Whether any complete listing has been taken since this ledger has had entries.
    #[must_use]
    pub fn has_listing(&self) -> bool {
        self.index.recent_from() > 0
    }

    /// Whether messages are known that have no unique-id.
    #[must_use]
    pub fn knows_nameless(&self) -> bool {
        self.index.has_nameless()
    }

    /// The headers by which the server showed the entry's message besides the one that it was delivered with.
    #[must_use]
    pub fn headers(&self, id: EntryId) -> &[Digest] {
        self.index.headers(id)
    }

    /// The key of an entry, read back from the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn key(&self, id: EntryId) -> Result<Key, Error> {
        self.key_in(&mut Window::narrow(), id)
    }

    /// Whether any entry is known by a unique-id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn knows_unique_ids(&self) -> Result<bool, Error> {
        let mut window = Window::wide();
        for id in self.index.ids() {
            if matches!(self.key_in(&mut window, id)?, Key::UniqueId(_)) {
                return Ok(true);
            }
        }
        Ok(false)
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

    /// The destinations that must all have it, and whether each has; `None` when no set is fixed, since none of them has
    /// it nor is about to.
    #[must_use]
    pub fn set(&self, id: EntryId) -> Option<&[(DestinationId, bool)]> {
        let (_, message) = self.index.open_messages(id).into_iter().next()?;
        Some(&message.set)
    }

    /// The destinations of its set that lack it; `None` as for [`Ledger::set`].
    #[must_use]
    pub fn lacking(&self, id: EntryId) -> Option<Vec<DestinationId>> {
        let lacking = self.set(id)?.iter().filter(|(_, has)| !has);
        Some(lacking.map(|(destination, _)| *destination).collect())
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
        let known = self.index.destinations.records().iter().find(|known| known.name == *name);
        let number = match known {
            Some(known) if inode.is_none() || known.inode == inode => return Ok(known.id),
            Some(known) => known.id,
            None => u16::try_from(self.index.destinations.records().len())
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
        self.index.destinations.records()
    }

    /// Whether anything was ever delivered there.
    #[must_use]
    pub fn has_delivered_to(&self, id: DestinationId) -> bool {
        self.index.destinations.is_used(id)
    }

    /// The open `staged` lines.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        self.index.messages.open_intents()
    }

    /// Proof that this entry is delivered whole, for the message that now has this number; `None` when it isn't, or was only
    /// seen.  Nor is there one for what the server said it had deleted: what is listed under that unique-id
    /// now may be another message, which must be looked at first ([`Ledger::recognise`]).
    ///
    /// What an earlier run wrote is on disk, or the ledger would not have opened; what this one wrote is synced before
    /// `QUIT`.
    #[must_use]
    pub fn delivered(&self, id: EntryId, number: MessageNumber) -> Option<Delivered> {
        match self.entry(id).state {
            State::Delivered | State::Recorded => Some(Delivered::attest(number, id)),
            State::Open | State::Seen | State::Deleted => None,
        }
    }

    /// The deliveries of the entries that are `wanted`, with the number of each among its entry's.  The file is read once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn deliveries(
        &self,
        wanted: impl Fn(EntryId, &Entry) -> bool,
    ) -> Result<Vec<(EntryId, usize, Record)>, Error> {
        let mut window = Window::wide();
        let mut deliveries = Vec::new();
        for id in self.index.ids().filter(|id| wanted(*id, &self.entry(*id))) {
            let records = self.records_in(&mut window, id)?;
            deliveries.extend(records.into_iter().enumerate().map(|(copy, record)| (id, copy, record)));
        }
        Ok(deliveries)
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
            Some(journal) if self.unsynced => journal.sync()?,
            _ => self.flush()?,
        }
        self.unsynced = false;
        Ok(())
    }

    /// Ends the run in order: syncs what matters, says so, and compacts the ledger if most of it is history.  A run that ends
    /// without this, by its death or by an error of the ledger's own, makes the next one write the ledger anew.  Returns how
    /// much of the file is on disk by this run's doing, for [`Ledger::check_extent`]; `None` when nothing had to be.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.  That there is no room to compact it is none.
    pub fn close(mut self) -> Result<Option<Extent>, Error> {
        if self.lock.is_none() || self.journal.is_none() {
            return Ok(None);
        }
        let worked = self.index.working;
        let far = self.journal.as_ref().map_or(0, Journal::len).saturating_sub(self.index.ended);
        if worked || far > journal::LOOK / 2 {
            self.sync()?;
            // What is open still is for the next run to settle, before anything else.
            if self.index.messages.intents_len() == 0 {
                self.append(&Line::End)?;
            }
        }
        self.flush()?;
        let Some(journal) = &self.journal else { return Ok(None) };
        // A delivery takes twice the room of what is kept of it, and every later run reads it all: a first run's ledger is
        // compacted at once, another one after as many deliveries as it had entries.  After a run that only polled,
        // what has gathered is worth a sync much later.
        let half = self.index.live / 2;
        let worth = half.saturating_mul(if worked { 3 } else { 8 });
        let long = journal.len() >= COMPACT_FROM && journal.len() >= worth;
        if !long && self.order.is_none() {
            return Ok(journal.extent());
        }
        let heading = Heading {
            id: &self.id,
            mailbox: &self.mailbox,
            generation: journal.generation().saturating_add(1),
            time: self.now(),
            clock: self.clock,
        };
        let shape = Shape { forget: self.trusted, order: self.order.as_deref() };
        match compaction::rewrite(&self.directory, heading, &self.index, journal, shape) {
            Err(Error::Disk(e)) if e.is_full() => Ok(journal.extent()),
            done => done.map(Some),
        }
    }

    fn append(&mut self, line: &Line<'_>) -> Result<(), Error> {
        let stamp = (self.now(), self.clock);
        match (&self.lock, &mut self.journal) {
            (Some(_), Some(journal)) => journal.append(&mut self.index, line, stamp)?,
            // Of lines without keys of their own no place is kept.
            (None, _) if self.pretends => {
                return self.index.apply(line, 0).map_err(Error::Contradiction);
            }
            _ => return Err(Error::ReadOnly),
        }
        self.unsynced |= leaves_working(line) == Some(true);
        Ok(())
    }
}

/// How a ledger's file is opened.
type Open = fn(&Path) -> durable::Result<std::fs::File>;

fn empty_index(directory: &Path) -> Result<Index, Error> {
    let key = clock::random().map_err(|e| durable::Error::new(Step::Open, directory, e))?;
    Ok(Index::new(&key))
}

/// Whether a clock may be believed that showed `last` before.
fn follows(now: Time, last: Time) -> bool {
    (0..=LONGEST_LEAP).contains(&now.seconds_since(last))
}

fn printable(path: &Path) -> String {
    text::printable(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}
