//! Taking messages in, and publishing them: the network's end and the committer's end of a Maildir.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folders::{Folders, discard, holds, missing, rename_may_have_succeeded};
use super::name::NameMaker;
use crate::account::SyncMode;
use crate::delivery::{Error, Failure, Inlet, Intake, Opened, Outlet, Recorder, Waiting};
use crate::durable::{self, Step};
use crate::exit::ExitCode;
use crate::message::Facts;
use crate::place::Place;
use crate::proof::{Noted, Piece, Published, Staged};
use crate::types::wide;

/// How a Maildir is used.
#[derive(Debug, Clone)]
pub(crate) struct MaildirSettings {
    /// The ledger's random id: part of every name.
    pub ledger: String,
    /// This machine's name.
    pub host: String,
    /// How files and names are brought to the disk.
    pub sync: SyncMode,
    /// Whether this ledger has never delivered here.  Only then may a Maildir be created: a missing one that has been
    /// delivered to is not mounted, or was moved.
    pub may_create: bool,
}

/// Opens the Maildir at `path`, creates it if it may, and makes what is missing of its three directories.  What a former
/// run left open there must have been [`recover`](super::recover)ed before.
///
/// # Errors
/// [`Error::Unfit`] (73) when something else is there, or its parent is missing; [`Error::Later`] when it was delivered to
/// and isn't there now; [`Error::Disk`].
pub(crate) fn open(path: &Path, settings: &MaildirSettings) -> Result<Opened, Error> {
    let folders = Folders::of(path);
    let missing = missing(path, settings.may_create)?;
    if !missing.is_empty() {
        durable::make_directory(path)?;
        for directory in missing {
            durable::make_directory(&path.join(directory))?;
        }
    }
    let inode = folders.inode().map_err(|e| durable::Error::new(Step::Open, &folders.tmp, e))?;
    let syncs = Syncs::choose(settings.sync, &durable::open_to_read(&folders.tmp)?);
    let folders = Arc::new(folders);
    let names = NameMaker::new(&settings.ledger, &settings.host);
    let inlet = MaildirInlet { folders: Arc::clone(&folders), names, syncs, batch: None, opened: 0 };
    let outlet = MaildirOutlet { folders, syncs, own_names_synced: false };
    Ok(Opened { inlet: Box::new(inlet), outlet: Box::new(outlet), inode: Some(inode) })
}

/// Whether [`open`] would find or make a Maildir at `path`; changes nothing.
///
/// # Errors
/// As for [`open`].
pub(crate) fn check(path: &Path, may_create: bool) -> Result<(), Error> {
    missing(path, may_create).map(drop)
}

/// How files and names are brought to the disk here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syncs {
    /// `syncfs(2)` for a batch; each file for a small one.
    FileSystem,
    /// Each file, `tmp/`, `new/`.
    Each,
    Off,
}

impl Syncs {
    /// At most this many files are synced one by one even where `syncfs` is trusted: it waits for what other programs
    /// have written, too.
    const FEW: usize = 3;

    fn choose(mode: SyncMode, directory: &File) -> Self {
        match mode {
            SyncMode::Auto if durable::file_system_sync_is_trustworthy(directory) => Self::FileSystem,
            SyncMode::Auto | SyncMode::Each => Self::Each,
            SyncMode::Off => Self::Off,
        }
    }

    /// How many of a batch's files stay open until they're synced.  The others are opened again for that.  Linux
    /// (4.17 and later) then still reports a write that failed meanwhile, unless memory was so short that it forgot
    /// the file.  If all stayed open, many accounts side by side could need more open files than a process may have.
    pub(super) fn kept_open(self) -> usize {
        match self {
            Self::FileSystem => Self::FEW,
            Self::Each => 16,
            Self::Off => 0,
        }
    }
}

/// The network's end.
#[derive(Debug)]
struct MaildirInlet {
    folders: Arc<Folders>,
    names: NameMaker,
    syncs: Syncs,
    batch: Option<Arc<File>>,
    /// How many have been opened since the last cut.
    opened: usize,
}

impl Inlet for MaildirInlet {
    fn open(&mut self) -> Result<Box<dyn Intake>, Error> {
        let tmp = &self.folders.tmp;
        let batch = match &self.batch {
            Some(batch) => Arc::clone(batch),
            None => Arc::clone(self.batch.insert(Arc::new(durable::open_to_read(tmp)?))),
        };
        let mut attempts = 0;
        let (name, path, file) = loop {
            let name = self.names.next().map_err(|e| durable::Error::new(Step::Open, tmp, e))?;
            let path = tmp.join(&name);
            match durable::create_new(&path, 0o600) {
                Ok(file) => break (name, path, file),
                // Impossible by chance; but never over what is there.
                Err(e) if e.source.kind() == io::ErrorKind::AlreadyExists && attempts < 3 => attempts += 1,
                Err(e) => return Err(e.into()),
            }
        };
        let keep_open = self.opened < self.syncs.kept_open();
        self.opened = self.opened.saturating_add(1);
        Ok(Box::new(MaildirIntake {
            name,
            path,
            file,
            batch,
            keep_open,
            held: Vec::new(),
            written: 0,
            hastened: 0,
        }))
    }

    fn reads_back(&self) -> bool {
        false
    }

    fn cut(&mut self) {
        self.batch = None;
        self.opened = 0;
    }
}

/// A message on its way into `tmp/NAME`.
#[derive(Debug)]
struct MaildirIntake {
    name: String,
    path: PathBuf,
    file: File,
    batch: Arc<File>,
    keep_open: bool,
    /// Small pieces, until they're worth a system call.
    held: Vec<u8>,
    /// Octets in the file, and how many of them the disk was asked to write.
    written: u64,
    hastened: u64,
}

impl MaildirIntake {
    /// Pieces of at least this many octets are written as they come, without a copy.  (Over TLS they come in records of
    /// 16 KiB.)
    const WORTH_A_CALL: usize = 64 * 1024;
    /// A message of at least this size is written to the disk while the rest of it arrives.
    const WORTH_HASTENING: u64 = 8 * 1024 * 1024;

    fn flush(&mut self) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        let written = if held.is_empty() { Ok(()) } else { self.put(&held) };
        self.held = held;
        self.held.clear();
        written
    }

    fn put(&mut self, text: &[u8]) -> Result<(), Error> {
        durable::write(&self.file, &self.path, text)?;
        self.written = self.written.saturating_add(wide(text.len()));
        if self.written.saturating_sub(self.hastened) >= Self::WORTH_HASTENING {
            durable::hasten(&self.file, self.hastened, self.written);
            self.hastened = self.written;
        }
        Ok(())
    }
}

impl Intake for MaildirIntake {
    fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        if text.len() >= Self::WORTH_A_CALL {
            self.flush()?;
            self.put(text)?;
        } else {
            self.held.extend_from_slice(text);
            if self.held.len() >= Self::WORTH_A_CALL {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, facts: &Facts) -> Result<Waiting, Error> {
        if let Err(e) = self.flush() {
            self.abandon();
            return Err(e);
        }
        // An octet lost between two buffers.
        if self.written != facts.stored_octets {
            self.abandon();
            return Err(Error::differs());
        }
        let Self { name, file, batch, keep_open, .. } = *self;
        let place = Place::Maildir { name, batch, file: keep_open.then_some(file) };
        Ok(Waiting { octets: facts.stored_octets, digest: facts.stored, place })
    }

    fn abandon(self: Box<Self>) {
        discard(&self.path);
    }
}

/// A piece whose rename failed in a way that looking can explain.
type Doubtful = (Noted, durable::Error);

/// The committer's end.
#[derive(Debug)]
struct MaildirOutlet {
    folders: Arc<Folders>,
    syncs: Syncs,
    /// Whether the names of the Maildir and its three directories are on the disk.  They are synced once by every run
    /// that delivers, not only by the one that made them: that one may have been killed before it could.
    own_names_synced: bool,
}

impl MaildirOutlet {
    fn sync(&mut self, pieces: &[Piece]) -> Result<(), Error> {
        let files = pieces.iter().map(maildir_place).collect::<Result<Vec<_>, _>>()?;
        let tmp = &self.folders.tmp;
        match self.syncs {
            Syncs::Off => return Ok(()),
            Syncs::FileSystem if files.len() > Syncs::FEW => {
                // This covers the data and every name: those in tmp/, and those of the directories themselves.
                let mut synced: Option<&Arc<File>> = None;
                for place in &files {
                    if !synced.is_some_and(|synced| Arc::ptr_eq(synced, place.batch)) {
                        durable::sync_file_system(place.batch, tmp)?;
                        synced = Some(place.batch);
                    }
                }
            }
            Syncs::FileSystem | Syncs::Each => {
                for place in &files {
                    let path = tmp.join(place.name);
                    match place.file {
                        Some(file) => durable::sync(file, &path)?,
                        None => durable::sync(&durable::open_plain_file(&path)?, &path)?,
                    }
                }
                durable::sync_directory(tmp)?;
                if !self.own_names_synced {
                    durable::sync_directory(&self.folders.path)?;
                    durable::sync_directory(durable::parent_of(&self.folders.path))?;
                }
            }
        }
        self.own_names_synced = true;
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), Error> {
        if self.syncs != Syncs::Off {
            durable::sync_directory(directory)?;
        }
        Ok(())
    }

    /// Which of these were published after all, and which are nowhere.
    fn look_for(&self, doubtful: Vec<Doubtful>) -> Result<(Vec<Noted>, Vec<Doubtful>), Error> {
        if doubtful.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let names = doubtful.iter().filter_map(|(noted, _)| maildir_place(noted.piece()).ok());
        let names: Vec<&str> = names.map(|place| place.name).collect();
        let mut paths = self.folders.look_twice(&names)?;
        for (noted, error) in &doubtful {
            let (piece, name) = (noted.piece(), maildir_place(noted.piece())?.name);
            // Two names, so two files: what has ours is published only if it's the same message.
            if error.source.kind() == io::ErrorKind::AlreadyExists
                && let Some(path) = paths.get(name)
                && durable::open_plain_file(path)
                    .is_ok_and(|file| holds(&file, piece.octets, piece.digest).is_ok_and(|same| !same))
            {
                paths.remove(name);
            }
        }
        if paths.values().any(|path| path.starts_with(&self.folders.cur)) {
            self.sync_directory(&self.folders.cur)?;
        }
        let names: HashSet<String> = paths.into_keys().map(str::to_owned).collect();
        let (found, lost): (Vec<_>, Vec<_>) = doubtful
            .into_iter()
            .partition(|(noted, _)| maildir_place(noted.piece()).is_ok_and(|p| names.contains(p.name)));
        Ok((found.into_iter().map(|(noted, _)| noted).collect(), lost))
    }

    fn rename(&self, piece: &Piece) -> Result<(), Error> {
        let name = maildir_place(piece)?.name;
        Ok(durable::rename_new(&self.folders.tmp.join(name), &self.folders.new.join(name))?)
    }
}

impl Outlet for MaildirOutlet {
    fn stage(&mut self, pieces: Vec<Piece>) -> Result<Vec<Staged>, Error> {
        match self.sync(&pieces) {
            Ok(()) => Ok(pieces.into_iter().map(closed).map(Staged::attest).collect()),
            // Never synced again: the second time would succeed over what was lost.
            Err(e) => {
                self.withdraw(pieces);
                Err(e)
            }
        }
    }

    fn publish(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), Error> {
        let mut renamed = Vec::with_capacity(noted.len());
        let mut doubtful = Vec::new();
        let mut refused = None;
        for noted in noted {
            match self.rename(noted.piece()) {
                Ok(()) => renamed.push(noted),
                Err(Error::Disk(e)) if rename_may_have_succeeded(&e) => doubtful.push((noted, e)),
                // The rest stays in tmp/, named by the ledger: the next run publishes it.
                Err(e) => {
                    refused = Some(e);
                    break;
                }
            }
        }
        let (found, lost) = self.look_for(doubtful)?;
        renamed.extend(found);
        if !renamed.is_empty() {
            self.sync_directory(&self.folders.new)?;
        }
        for noted in renamed {
            recorder.published(Published::attest(noted))?;
        }
        for (noted, error) in lost {
            let reason = format!("it could not be published: {error}");
            recorder.failed(noted, Failure { permanent: false, reason, exit: ExitCode::Later })?;
        }
        refused.map_or(Ok(()), Err)
    }

    fn withdraw(&mut self, pieces: Vec<Piece>) {
        for piece in &pieces {
            if let Ok(place) = maildir_place(piece) {
                discard(&self.folders.tmp.join(place.name));
            }
        }
    }
}

/// The piece without its open file, which has been synced.
fn closed(mut piece: Piece) -> Piece {
    if let Place::Maildir { file, .. } = &mut piece.place {
        *file = None;
    }
    piece
}

/// A [`Place::Maildir`], lent.
struct MaildirPlace<'a> {
    name: &'a str,
    batch: &'a Arc<File>,
    file: Option<&'a File>,
}

fn maildir_place(piece: &Piece) -> Result<MaildirPlace<'_>, Error> {
    match &piece.place {
        Place::Maildir { name, batch, file } => Ok(MaildirPlace { name, batch, file: file.as_ref() }),
        Place::Mbox { .. } | Place::Spooled(_) => Err(Error::misplaced()),
    }
}
