//! An open ledger: opened, appended to, synced and closed.  What is asked of it stands in [`super::read`], what it records
//! in [`super::batch`] and [`super::facts`], what follows a run that has died in [`super::recovery`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Weak;

use crate::account::Mailbox;
use crate::clock;
use crate::durable::{self, Step};
use crate::proof::{Arrival, ArrivalId, EntryId};
use crate::text;
use crate::types::Time;

use super::compaction::{self, LedgerHeading, LedgerShape};
use super::entry::LedgerExtent;
use super::error::Error;
use super::files::FILE;
use super::index::Index;
use super::journal::Journal;
use super::last_read::LastRead;
use super::lines::{ClockCorrected, End, Fact, Leaves, PLAIN_VERSION, VERSION};
use super::lock::Lock;
use super::memory::{self, Memory};
use super::replay::{self, LOOK};

/// A clock that is further ahead of the last one is not believed at once.
const LONGEST_LEAP: i64 = 30 * 86_400;
/// A smaller file is not worth compacting.
const COMPACT_FROM: u64 = 64 * 1024;

/// This run's messages under way, and their numbers in the ledger; for as long as their arrivals live.
pub(super) type Arrivals = HashMap<ArrivalId, (Weak<Arrival>, u32)>;

/// An open ledger: locked and to be written ([`Ledger::open`]), or only to be read ([`Ledger::read`]).
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) directory: PathBuf,
    pub(super) mailbox: Mailbox,
    pub(super) id: String,
    pub(super) index: Index,
    /// `None` where there is no file.
    pub(super) journal: Option<Journal>,
    /// `None` when only read.
    pub(super) lock: Option<Lock>,
    /// The clock as last read.
    pub(super) clock: Time,
    /// Whether ages can be counted by it.
    pub(super) trusted: bool,
    pub(super) arrivals: Arrivals,
    /// What is recorded changes this run's view of it, and no file.
    pub(super) pretends: bool,
    /// Whether something that matters was recorded since the last sync.
    pub(super) unsynced: bool,
    /// Whether the end of the file is bad.
    pub(super) torn: bool,
    /// The version of the file's grammar.
    pub(super) version: u64,
    /// The entries of the last complete listing, where those don't stand in its order.
    pub(super) order: Option<Vec<EntryId>>,
    /// What was read of one entry.
    pub(super) last_read: Option<LastRead>,
    pub(super) warnings: Vec<String>,
}

impl Ledger {
    /// Opens (or creates) the ledger in `directory`, replays it, cuts a torn tail off, and rewrites it when the last run
    /// did not end in order.  `lock` proves that no other process has it; `now` is the clock.
    ///
    /// # Errors
    /// [`Error::Damaged`]: damage before the last group, or another mailbox's ledger; [`Error::Shortened`];
    /// [`Error::Missing`]; [`Error::Disk`].
    pub(crate) fn open(directory: &Path, mailbox: &Mailbox, lock: Lock, now: Time) -> Result<Self, Error> {
        let mut ledger = Self::load(directory, mailbox, now, durable::open)?;
        let time = ledger.now();
        match &ledger.journal {
            None => {
                let id: [u8; 8] =
                    clock::random().map_err(|e| durable::Error::new(Step::Open, &ledger.path(), e))?;
                let id = text::hex(&id);
                compaction::create(
                    directory,
                    LedgerHeading { id: &id, mailbox, generation: 1, time, clock: now },
                )?;
                ledger.reload(durable::open)?;
            }
            Some(_) if ledger.index.working || ledger.torn || ledger.version < PLAIN_VERSION => {
                ledger.rewrite(LedgerShape::plain(PLAIN_VERSION))?;
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
    pub(crate) fn read(directory: &Path, mailbox: &Mailbox, now: Time) -> Result<Self, Error> {
        Self::load(directory, mailbox, now, durable::open_to_read)
    }

    /// From now on doubts that are recorded count, but no file is changed: for `--dry-run`, with a ledger that is only read.
    pub(crate) fn pretend(&mut self) {
        self.pretends = true;
    }

    fn load(directory: &Path, mailbox: &Mailbox, now: Time, open: OpenFile) -> Result<Self, Error> {
        let mut ledger = Self {
            directory: directory.to_owned(),
            mailbox: mailbox.clone(),
            id: String::new(),
            index: empty_index(directory)?,
            journal: None,
            lock: None,
            clock: now,
            trusted: true,
            arrivals: Arrivals::new(),
            pretends: false,
            unsynced: false,
            torn: false,
            version: PLAIN_VERSION,
            order: None,
            last_read: None,
            warnings: Vec::new(),
        };
        Self::check_extent(directory, Memory::load(directory).extent)?;
        ledger.reload(open)?;
        ledger.trusted = ledger.index.clock.is_none_or(|last| follows(now, last));
        Ok(ledger)
    }

    pub(super) fn reload(&mut self, open: OpenFile) -> Result<(), Error> {
        // Never both in memory.
        self.journal = None;
        self.last_read = None;
        self.index = empty_index(&self.directory)?;
        let path = self.path();
        let file = match open(&path) {
            Ok(file) => file,
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => {
                return self.require_absent_ledger("is missing");
            }
            Err(e) => return Err(e.into()),
        };
        let octets = file.metadata().map_err(|e| durable::Error::new(Step::Read, &path, e))?.len();
        let mut replayed = replay::replay(&file, octets, &path, &self.mailbox, &mut self.index)?;
        let Some(id) = replayed.id.take() else {
            return self.require_absent_ledger("is empty");
        };
        self.id = id;
        self.version = replayed.version;
        self.index.forget_what_was_not_begun();
        self.torn = replayed.torn.is_some();
        if let Some(line) = replayed.torn {
            self.warnings.push(format!(
                "{}: from line {line} on it was not finished when the last run broke off; that part is left out",
                text::path(&path)
            ));
        }
        self.journal = Some(Journal::resume(file, &path, replayed.tail)?);
        Ok(())
    }

    /// There is no ledger to read.  Fine, if there never was one.
    fn require_absent_ledger(&mut self, problem: &'static str) -> Result<(), Error> {
        if self.directory.join(memory::FILE).exists() {
            return Err(Error::Missing { directory: text::path(&self.directory), problem });
        }
        if self.path().exists() {
            self.warnings.push(format!("{}: it {problem}, and is begun again", text::path(&self.path())));
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// What is reported to the user: a torn tail that was dropped, a ledger that was begun again.
    #[must_use]
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Sets the clock, as the next run does.
    #[cfg(test)]
    pub(crate) fn tick(&mut self, now: Time) {
        self.trusted &= follows(now, self.clock);
        self.clock = now;
    }

    /// Now, never before the latest time in the ledger.
    #[must_use]
    pub(crate) fn now(&self) -> Time {
        self.clock.max(self.index.time)
    }

    /// Now, unless the clock was behind, or more than 30 days ahead of, the one that the ledger saw last: then deletion by
    /// age waits for the next run.  This one writes the clock down with the next `listing` or group; if it is still the
    /// same clock then, it is believed.
    #[must_use]
    pub(crate) fn trusted_now(&self) -> Option<Time> {
        // Not `now()`: after a leap ahead that was corrected, ages must not be counted by the leap.
        self.trusted.then_some(self.clock)
    }

    /// How far the ledger's time is ahead of the clock, in seconds; 0 when it isn't.
    #[must_use]
    pub(crate) fn ahead_of_clock(&self) -> i64 {
        self.index.time.seconds_since(self.clock).max(0)
    }

    /// Gives up times that a clock which had run ahead has left: they read as the time now.  Nothing is deleted earlier by
    /// it, and what waits for a retry waits no more.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn correct_clock(&mut self) -> Result<(), Error> {
        self.append(ClockCorrected { time: self.clock })?;
        self.trusted = true;
        self.sync()
    }

    /// Hands what was recorded to the system, so that it survives this process; a pipe's outcomes, one by one.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.journal.as_mut().map_or(Ok(()), Journal::flush)
    }

    /// Brings the ledger to the disk, if anything that matters has been recorded since the last sync.
    ///
    /// # Errors
    /// When that fails: the ledger is not to be used again in this run, and the next open rewrites it.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        match &mut self.journal {
            Some(journal) if self.unsynced => journal.sync()?,
            _ => self.flush()?,
        }
        self.unsynced = false;
        Ok(())
    }

    /// Ends the run in order: syncs what matters, writes `end`, and compacts the ledger if most of it is history.  A run that ends
    /// without this, by its death or by an error of the ledger's own, makes the next one rewrite the ledger.  Returns how
    /// much of the file is on disk by this run's doing, for [`Ledger::check_extent`]; `None` when nothing had to be.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.  Lack of room to compact it is not an error.
    pub(crate) fn close(mut self) -> Result<Option<LedgerExtent>, Error> {
        if self.lock.is_none() || self.journal.is_none() {
            return Ok(None);
        }
        let worked = self.index.working;
        let far = self.journal.as_ref().map_or(0, Journal::len).saturating_sub(self.index.ended);
        if worked || far > LOOK / 2 {
            self.sync()?;
            // What is open still is for the next run to settle, before anything else.
            if self.index.messages.intents_len() == 0 {
                self.append(End {})?;
            }
        }
        self.flush()?;
        let Some(journal) = &self.journal else { return Ok(None) };
        // A delivery takes twice the room of what is kept of it, and every later run reads it all.  So a first run's
        // ledger is compacted at once, another one after as many deliveries as it had entries.  After a run that only
        // polled, what has gathered is worth a sync much later.
        let half = self.index.live / 2;
        let worth = half.saturating_mul(if worked { 3 } else { 8 });
        let long = journal.len() >= COMPACT_FROM && journal.len() >= worth;
        if !long && self.order.is_none() {
            return Ok(journal.extent());
        }
        match self.rewrite(LedgerShape {
            forget: self.trusted,
            order: self.order.as_deref(),
            ..LedgerShape::plain(PLAIN_VERSION)
        }) {
            Err(Error::Disk(e)) if e.is_full() => Ok(self.journal.as_ref().and_then(Journal::extent)),
            done => done.map(Some),
        }
    }

    /// Writes the file again; it must be read again before anything is added.
    pub(super) fn rewrite(&self, shape: LedgerShape<'_>) -> Result<LedgerExtent, Error> {
        self.rewrite_as(&self.directory, &self.mailbox, shape)
    }

    /// Writes what it holds into `directory`, as the ledger of `mailbox`.
    pub(super) fn rewrite_as(
        &self,
        directory: &Path,
        mailbox: &Mailbox,
        shape: LedgerShape<'_>,
    ) -> Result<LedgerExtent, Error> {
        let journal = self.journal.as_ref().ok_or(Error::ReadOnly)?;
        let heading = LedgerHeading {
            id: &self.id,
            mailbox,
            generation: journal.generation().saturating_add(1),
            time: self.now(),
            clock: self.clock,
        };
        compaction::rewrite(directory, heading, &self.index, journal, shape)
    }

    /// Makes sure that the file is of the newest version, before a line is written that an older one doesn't have.  No
    /// delivery may be open but those that an earlier run has left.
    pub(super) fn use_newest_version(&mut self) -> Result<(), Error> {
        if self.lock.is_none() {
            return if self.pretends { Ok(()) } else { Err(Error::ReadOnly) };
        }
        if self.version < VERSION {
            self.rewrite(LedgerShape::plain(VERSION))?;
            self.reload(durable::open)?;
        }
        Ok(())
    }

    /// Takes a line for true, and holds it back until the next flush, sync or note.
    pub(super) fn append<'f>(&mut self, fact: impl Into<Fact<'f>>) -> Result<(), Error> {
        let fact = fact.into();
        let (time, clock) = (self.now(), self.clock);
        match (&self.lock, &mut self.journal) {
            (Some(_), Some(journal)) => {
                journal.make_room()?;
                if let Some(group) = journal.due_group(time, clock).map(Fact::from) {
                    self.index.apply(&group, journal.len()).map_err(Error::Contradiction)?;
                    journal.append(&group);
                }
                self.index.apply(&fact, journal.len()).map_err(Error::Contradiction)?;
                journal.append(&fact);
            }
            // Of lines without keys of their own no place is kept.
            (None, _) if self.pretends => {
                return self.index.apply(&fact, 0).map_err(Error::Contradiction);
            }
            _ => return Err(Error::ReadOnly),
        }
        self.unsynced |= fact.leaves() == Leaves::Working;
        Ok(())
    }
}

/// How a ledger's file is opened.
pub(super) type OpenFile = fn(&Path) -> durable::Result<std::fs::File>;

fn empty_index(directory: &Path) -> Result<Index, Error> {
    let key = clock::random().map_err(|e| durable::Error::new(Step::Open, directory, e))?;
    Ok(Index::new(&key))
}

/// Whether a clock may be believed that showed `last` before.
fn follows(now: Time, last: Time) -> bool {
    (0..=LONGEST_LEAP).contains(&now.seconds_since(last))
}
