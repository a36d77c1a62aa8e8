//! An mbox (mboxrd): one file that other programs read and write too.
//!
//! The [`MboxInlet`] formats entries into the batch's spool in the ledger's directory, so that the network never waits
//! for a mailbox's lock.  The [`MboxOutlet`] then has the mbox to itself from [`Outlet::stage`] to [`Outlet::publish`]:
//!
//! ```text
//! stage:    sync the spool and its name ─ lock ─ neighbours settled? ─ marker: open ─ offsets
//!           (the ledger notes offsets, lengths and digests, synced)
//! publish:  append ─ mark the spool ─ fsync ─ same file still? ─ marker: settled ─ unlock ─ (the ledger: delivered)
//! ```
//!
//! Whenever a run is killed, [`recover`] finds out from the ledger's intents, the spool and the mbox what became
//! of each message.  An append that fails is cut back under the locks, but never over octets that aren't ours.
//!
//! Spools go when the ledger's next sync has made the outcome durable: in the next [`Outlet::publish`], which comes after
//! such a sync, or by [`clean_up`].  It must not know servers, ledgers or policies.

mod batch;
mod boot;
mod destination;
mod format;
mod from_line;
mod fuzz;
mod locks;
mod markers;
mod read_back;
mod recovery;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use batch::{Batch, MboxIntake, mark_appended};
pub(super) use destination::MboxDestination;
pub(crate) use format::Formatter;
pub use fuzz::fuzz_quoting;
use locks::{LockWait, LockedMbox, PATIENCE, no_directory, no_mbox, resolve};
use markers::Marker;
pub(crate) use markers::{forget, neighbours};
pub(crate) use recovery::recover;
use recovery::{Stretch, is_torn};

use super::neighbours::{Neighbour, Neighbours};
use super::{Error, Inlet, Intake, Outlet, Recorder, Surroundings};
use crate::access::{self, Owner};
use crate::durable::{self, Step, read_up_to};
use crate::message::date::asctime;
use crate::place::{MboxSpool, NotedPlace, Place};
use crate::problem::TRY_AGAIN;
use crate::proof::{Intent, Noted, Piece, Published, Staged};
use crate::signals::Stop;
use crate::text::{self, shown_by};
use crate::types::{Time, wide};

/// Octets that are copied at a time.
const CHUNK: usize = 256 * 1024;

/// What may have to stand between the last entry and the next.
const LEAD: &[u8] = b"\n\n";

/// Looks, before anything is retrieved, whether mail can go into the mbox at `path`: its directory is there, and it is an
/// mbox, or empty, or missing.  Returns whether a run of a ledger other than `own` has died there, and left it locked and
/// unsettled.
///
/// # Errors
/// [`Error::Unfit`] when it can't; [`Error::Later`] when another account keeps it for longer than `patience`.
pub(crate) fn check(
    path: &Path,
    around: Surroundings<'_>,
    own: Option<&str>,
    patience: Duration,
) -> Result<bool, Error> {
    let Surroundings { owner, stop, state_root, .. } = around;
    let is_unsettled = |path: &Path| Ok(!neighbours(state_root, path, own.unwrap_or_default())?.is_empty());
    locks::look(path, owner, &mut LockWait::new(stop, patience), is_unsettled)
}

/// Whether `path`, seen with the rights of `owner`, leads to the mbox at `mbox`, which is a path without links.
#[must_use]
pub(crate) fn leads_to(path: &Path, owner: Option<&Owner>, mbox: &Path) -> bool {
    real_path_of(path, owner).is_some_and(|path| path == mbox)
}

/// Where the mbox at `path` really is, every link followed with the rights of `owner`, also where it's still to be made;
/// `path` itself when that can't be known.
#[must_use]
pub(crate) fn real_path(path: &Path, owner: Option<&Owner>) -> PathBuf {
    real_path_of(path, owner).unwrap_or_else(|| path.to_owned())
}

fn real_path_of(path: &Path, owner: Option<&Owner>) -> Option<PathBuf> {
    let _acting = access::act(owner).ok()?;
    resolve(path).ok()
}

/// Removes from `state`, the ledger's directory, spools that none of its open intents names, and, when none is at an
/// mbox, the ledger's markers.  Called with the ledger's lock held: at a run's start after recovery, and at its end
/// after the ledger's last sync.
///
/// # Errors
/// [`Error::Disk`].
pub(crate) fn clean_up(
    state_root: &Path,
    state: &Path,
    ledger: &str,
    intents: &[Intent],
) -> Result<(), Error> {
    let named: Vec<&str> = intents
        .iter()
        .filter_map(|intent| match &intent.place {
            NotedPlace::Mbox { spool, .. } => Some(spool.as_str()),
            NotedPlace::Maildir { .. } | NotedPlace::Handed => None,
        })
        .collect();
    for entry in durable::entries(state)? {
        if let Some(name) = entry.file_name().to_str()
            && name.starts_with(batch::PREFIX)
            && !named.contains(&name)
        {
            durable::remove(&entry.path())?;
        }
    }
    if named.is_empty() { markers::remove(state_root, ledger) } else { Ok(()) }
}

/// The network's end of an mbox.
#[derive(Debug)]
pub(crate) struct MboxInlet {
    state: PathBuf,
    clock: fn() -> Time,
    batch: Option<Arc<Batch>>,
}

impl MboxInlet {
    /// Spools into `state`, the ledger's directory; `clock` gives the time of delivery.
    #[must_use]
    pub(crate) fn new(state: PathBuf, clock: fn() -> Time) -> Self {
        Self { state, clock, batch: None }
    }
}

impl Inlet for MboxInlet {
    fn open(&mut self) -> Result<Box<dyn Intake>, Error> {
        let batch = match &self.batch {
            Some(batch) => Arc::clone(batch),
            None => Arc::clone(self.batch.insert(Batch::create(&self.state)?)),
        };
        Ok(Box::new(MboxIntake::open(batch, asctime((self.clock)()))?))
    }

    fn reads_back(&self) -> bool {
        true
    }

    fn cut(&mut self) {
        self.batch = None;
    }
}

/// Where an mbox is, and what it needs to know of the run.
#[derive(Debug, Clone)]
pub(crate) struct MboxSettings {
    pub path: PathBuf,
    /// Whose it is, if we act for another user.
    pub owner: Option<Owner>,
    /// The directory of all ledgers.
    pub state_root: PathBuf,
    /// This ledger's directory.
    pub state: PathBuf,
    /// This ledger's random id.
    pub ledger: String,
    /// Whether data are brought to the disk before they count (`sync = "off"`: not).
    pub sync: bool,
    /// How long a busy mbox is waited for: a minute, but in tests.
    pub patience: Duration,
    /// Ends the waiting for a busy mbox.
    pub stop: Stop,
}

/// The committer's end of an mbox.
pub(crate) struct MboxOutlet {
    settings: MboxSettings,
    neighbours: Box<dyn Neighbours>,
    warn: Box<dyn FnMut(String) + Send>,
    /// Whether it has been reported that there's no dotlock.
    warned: bool,
    /// Ours, for the mbox at this path.
    marker: Option<(PathBuf, Marker)>,
    append: Option<Append>,
    /// Spools whose outcome is written, but perhaps not on disk.
    recorded: Vec<PathBuf>,
    /// How long a busy mbox is still waited for: once, not once for each batch.
    patience: Duration,
    /// Ledgers that cannot be settled: reported once, and not waited for.
    passed_over: Vec<String>,
}

/// The mbox, ours from stage to publish.
#[derive(Debug)]
struct Append {
    locked: LockedMbox,
    size: u64,
    lead: &'static [u8],
}

shown_by!(MboxOutlet, settings);

impl MboxSettings {
    /// How long a busy mbox is waited for.
    pub(crate) const PATIENCE: Duration = PATIENCE;
}

impl MboxOutlet {
    /// For one run.  `warn` takes what users should know and what is not an error.
    #[must_use]
    pub(crate) fn new(
        settings: MboxSettings,
        neighbours: Box<dyn Neighbours>,
        warn: Box<dyn FnMut(String) + Send>,
    ) -> Self {
        let patience = settings.patience;
        Self {
            settings,
            neighbours,
            warn,
            warned: false,
            marker: None,
            append: None,
            recorded: Vec::new(),
            patience,
            passed_over: Vec::new(),
        }
    }

    /// Settles what other ledgers have left in the mbox.
    ///
    /// # Errors
    /// As [`Outlet::stage`].
    fn settle_neighbours(&mut self) -> Result<(), Error> {
        self.lock().map(drop)
    }

    /// Takes the locks at a moment when no ledger has left the mbox unsettled.
    fn lock(&mut self) -> Result<LockedMbox, Error> {
        let owner = self.settings.owner.clone();
        let path = {
            let _acting = access::act(owner.as_ref())?;
            resolve(&self.settings.path).map_err(|e| no_directory(&self.settings.path, e))?
        };
        let stop = self.settings.stop.clone();
        let mut wait = LockWait::new(&stop, std::mem::take(&mut self.patience));
        let mut asked = false;
        loop {
            let locking = LockedMbox::take(&path, owner.as_ref(), true, &mut wait)?;
            if let Some(reason) = locking.undotted
                && !std::mem::replace(&mut self.warned, true)
            {
                (self.warn)(format!(
                    "no dotlock can be made for mbox {} ({reason}); going on with its fcntl lock alone",
                    text::path(&path)
                ));
            }
            let Some(mut locked) = locking.locked else { return Err(replaced(&path)) };
            let open = self.open_neighbours(&path)?;
            let Some(first) = open.first() else {
                self.patience = self.settings.patience;
                return Ok(locked);
            };
            // Their settling needs these locks.  No other program may have them before.
            locked.keep_dotlock();
            drop(locked);
            // Whatever they answer: never at full speed, nor without end.
            if std::mem::replace(&mut asked, true) && !wait.pause() {
                return Err(Error::later(
                    format!(
                        "deliveries of another account to mbox {} are unsettled (ledger {}), and it is being worked on",
                        text::path(&path),
                        text::path(&first.directory)
                    ),
                    TRY_AGAIN,
                ));
            }
            for neighbour in open {
                match self.neighbours.settle(&neighbour, &path) {
                    Ok(_) => {}
                    Err(e) if e.is_out_of_reach() => {}
                    // Its own run will report it as well.  No mail of it is lost: what it has left here it can still
                    // find.
                    Err(e) => {
                        (self.warn)(format!(
                            "what another account has left in mbox {} cannot be settled, and is passed over: {e}",
                            text::path(&path)
                        ));
                        self.passed_over.push(neighbour.ledger);
                    }
                }
            }
        }
    }

    /// The other ledgers that have left the mbox unsettled.  Under its locks.
    fn open_neighbours(&self, path: &Path) -> Result<Vec<Neighbour>, Error> {
        let MboxSettings { state_root, state, ledger, .. } = &self.settings;
        let mut open = neighbours(state_root, path, ledger)?;
        open.retain(|neighbour| !self.passed_over.contains(&neighbour.ledger));
        for at in (0..open.len()).rev() {
            // This very ledger has the directory: the one that left the marker was moved away.
            if open.get(at).is_some_and(|neighbour| is_same(&neighbour.directory, state)) {
                forget(state_root, &open.swap_remove(at).ledger, path)?;
            }
        }
        Ok(open)
    }

    fn staged(&mut self, mut pieces: Vec<Piece>) -> Result<Vec<Staged>, Error> {
        if self.settings.sync {
            for spool in spools(&pieces) {
                durable::sync(&spool.file, &spool.path)?;
            }
            // Without its name recovery would not find the spool, and could not recognise a torn tail.
            durable::sync_directory(&self.settings.state)?;
        }
        let locked = self.lock()?;
        if !locked.is_mbox()? {
            return Err(no_mbox(locked.path()));
        }
        let size = locked.size()?;
        let lead = lead(&locked, size)?;
        let mut offset = size.saturating_add(wide(lead.len()));
        for piece in &mut pieces {
            let Place::Mbox { offset: place, .. } = &mut piece.place else { return Err(Error::misplaced()) };
            *place = Some(offset);
            offset = offset.saturating_add(piece.octets);
        }
        let settings = &self.settings;
        if self.marker.as_ref().is_none_or(|(path, _)| path != locked.path()) {
            let path = locked.path().to_owned();
            let marker = Marker::new(&settings.state_root, &settings.ledger, &settings.state, &path);
            self.marker = Some((path, marker));
        }
        if let Some((_, marker)) = &mut self.marker {
            marker.open()?;
        }
        self.append = Some(Append { locked, size, lead });
        Ok(pieces.into_iter().map(Staged::attest).collect())
    }

    fn publish_held(&self, append: &mut Append, noted: &[Noted]) -> Result<(), Error> {
        let sync =
            |file: &File, path: &Path| if self.settings.sync { durable::sync(file, path) } else { Ok(()) };
        let outcome = append.publish(noted, &sync);
        let clean = match &outcome {
            Ok(()) => true,
            Err(error) => {
                // A sync that failed is not repeated: the second one would succeed over lost data.
                let sync = !matches!(error, Error::Disk(e) if e.step == Step::Sync);
                let taken_back = append.take_back(noted, sync);
                if matches!(taken_back, Err(Error::Disk(_))) {
                    append.locked.keep_dotlock();
                }
                taken_back.is_ok()
            }
        };
        // Where taking back failed too, the marker stays open until recovery has done it.
        if clean && let Some((_, marker)) = &self.marker {
            marker.settle()?;
        }
        outcome
    }
}

impl Outlet for MboxOutlet {
    fn stage(&mut self, pieces: Vec<Piece>) -> Result<Vec<Staged>, Error> {
        if pieces.is_empty() {
            return Ok(Vec::new());
        }
        self.staged(pieces)
    }

    fn publish(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), Error> {
        let Some(mut append) = self.append.take() else {
            return if noted.is_empty() { Ok(()) } else { Err(Error::misplaced()) };
        };
        // The note was synced, and with it the outcome of all batches before: their spools have served.
        for path in self.recorded.drain(..) {
            // One that stays is found by the next clean-up.
            let _ = durable::remove(&path);
        }
        self.publish_held(&mut append, &noted)?;
        drop(append);
        self.recorded =
            spools(noted.iter().map(Noted::piece)).into_iter().map(|spool| spool.path.clone()).collect();
        for piece in noted {
            recorder.published(Published::attest(piece))?;
        }
        Ok(())
    }

    fn withdraw(&mut self, _: Vec<Piece>) {
        // Nothing was appended.  The spool stays until the next clean-up, for a staged line may have reached the disk
        // even if the ledger records that it hasn't.
        if let (Some(_locked), Some((_, marker))) = (self.append.take(), &self.marker) {
            // A marker that stays open costs the next run a look into our ledger.
            let _ = marker.settle();
        }
    }
}

/// How a file is brought to the disk.
type Sync<'a> = &'a dyn Fn(&File, &Path) -> durable::Result<()>;

impl Append {
    /// Appends, so that when it returns the entries stand durably in the mbox at the path.
    fn publish(&mut self, noted: &[Noted], sync: Sync<'_>) -> Result<(), Error> {
        self.write(noted)?;
        self.in_place()?;
        for spool in spools(noted.iter().map(Noted::piece)) {
            // Before the sync, so that recovery knows it if the run is killed in the middle of it.
            mark_appended(&spool, boot::id())?;
        }
        sync(self.locked.file(), self.locked.path())?;
        // It may have been replaced while the disk was at work: then what was synced is nowhere.
        self.in_place()
    }

    fn in_place(&self) -> Result<(), Error> {
        if self.locked.is_in_place() { Ok(()) } else { Err(replaced(self.locked.path())) }
    }

    /// Brings the mbox back to its old length, wherever it now is, if all that was added is ours.
    fn take_back(&self, noted: &[Noted], sync: bool) -> Result<(), Error> {
        let (file, path) = (self.locked.file(), self.locked.path());
        // The word is taken back first: a run killed in between would else take the messages for delivered.
        for spool in spools(noted.iter().map(Noted::piece)) {
            mark_appended(&spool, None)?;
        }
        let mut there = [0; LEAD.len()];
        let there = there.get_mut(..self.lead.len()).unwrap_or_default();
        let read =
            read_up_to(file, there, self.size).map_err(|e| durable::Error::new(Step::Read, path, e))?;
        let stretches: Vec<Stretch<'_>> =
            noted.iter().filter_map(|noted| Stretch::of(noted.piece())).collect();
        let ours = there.iter().take(read).all(|octet| *octet == b'\n')
            && (read < self.lead.len()
                || is_torn(file, path, self.size.saturating_add(wide(self.lead.len())), &stretches)?);
        if !ours {
            return Err(meddled(path));
        }
        durable::truncate(file, path, self.size)?;
        if sync {
            durable::sync(file, path)?;
        }
        Ok(())
    }

    fn write(&mut self, noted: &[Noted]) -> Result<(), Error> {
        let mut end = self.size;
        if self.locked.size()? != end {
            return Err(meddled(self.locked.path()));
        }
        end = end.saturating_add(wide(self.lead.len()));
        let mut stretches: Vec<Stretch<'_>> = Vec::new();
        for piece in noted.iter().map(Noted::piece) {
            let (Some(stretch), Place::Mbox { offset: Some(offset), .. }) =
                (Stretch::of(piece), &piece.place)
            else {
                return Err(Error::misplaced());
            };
            if *offset != end {
                return Err(Error::misplaced());
            }
            end = end.saturating_add(piece.octets);
            match stretches.last_mut().and_then(|last| Some((last.joined(stretch)?, last))) {
                Some((joined, last)) => *last = joined,
                None => stretches.push(stretch),
            }
        }
        self.copy(&stretches)?;
        // A program without locks: then our entries are not where the ledger records them.
        if self.locked.size()? == end { Ok(()) } else { Err(meddled(self.locked.path())) }
    }

    /// Appends the lead and these, in pieces of [`CHUNK`] octets.
    fn copy(&mut self, stretches: &[Stretch<'_>]) -> Result<(), Error> {
        let (mut buffer, mut filled) = (vec![0; CHUNK], self.lead.len());
        buffer.get_mut(..filled).unwrap_or_default().copy_from_slice(self.lead);
        for stretch in stretches {
            let mut done = 0;
            while done < stretch.octets {
                if filled == CHUNK {
                    self.append(&buffer)?;
                    filled = 0;
                }
                let left = usize::try_from(stretch.octets - done).unwrap_or(CHUNK);
                let length = left.min(CHUNK - filled);
                let free = buffer.get_mut(filled..filled + length).unwrap_or_default();
                stretch
                    .file
                    .read_exact_at(free, stretch.offset.saturating_add(done))
                    .map_err(|e| durable::Error::new(Step::Read, stretch.path, e))?;
                (done, filled) = (done.saturating_add(wide(length)), filled + length);
            }
        }
        self.append(buffer.get(..filled).unwrap_or_default())
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), Error> {
        durable::write(self.locked.file(), self.locked.path(), octets)?;
        self.locked.keep_alive();
        Ok(())
    }
}

fn spools<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> Vec<Arc<MboxSpool>> {
    let mut spools: Vec<Arc<MboxSpool>> = Vec::new();
    for piece in pieces {
        if let Place::Mbox { spool, .. } = &piece.place
            && !spools.iter().any(|known| Arc::ptr_eq(known, spool))
        {
            spools.push(Arc::clone(spool));
        }
    }
    spools
}

/// Whether two paths lead to one directory.
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |path: &Path| path.metadata().map(|status| (status.dev(), status.ino()));
    one == other || place(one).is_ok_and(|one| place(other).is_ok_and(|other| one == other))
}

/// What must stand between the last entry and the next.
fn lead(locked: &LockedMbox, size: u64) -> Result<&'static [u8], Error> {
    let mut end = [0; LEAD.len()];
    let at = size.saturating_sub(wide(LEAD.len()));
    let read = read_up_to(locked.file(), &mut end, at)
        .map_err(|e| durable::Error::new(Step::Read, locked.path(), e))?;
    let end = end.get(..read).unwrap_or_default();
    let there = end.iter().rev().take_while(|octet| **octet == b'\n').count();
    Ok(if size == 0 { b"" } else { LEAD.get(there..).unwrap_or_default() })
}

fn replaced(path: &Path) -> Error {
    Error::later(
        format!("another program replaced mbox {} without taking its locks", text::path(path)),
        UNLOCKED_WRITER,
    )
}

fn meddled(path: &Path) -> Error {
    Error::later(
        format!("another program wrote to mbox {} without taking its locks", text::path(path)),
        UNLOCKED_WRITER,
    )
}

/// What to do about a program that writes to an mbox without its locks.
const UNLOCKED_WRITER: &str =
    "nothing is lost: the next run tries again; make that program take the locks, or deliver to a Maildir";

#[cfg(test)]
mod tests;
