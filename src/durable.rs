//! The one door to the disk for everything that must survive: create, append, sync, rename, replace, remove.
//!
//! Each function is one durable step.  With the feature `crash-points` (tests only) the environment can make the
//! process abort at, or the system refuse, the N-th step: `POPFETCH_CRASH_AT=N`, `POPFETCH_FAIL_AT=N:ENOSPC`, or
//! `POPFETCH_FAIL_FROM=N:ENOSPC` for every step from there on.  A write counts as two steps: before anything is written,
//! and when half of it is.  `POPFETCH_STEPS=FILE` appends a line `N step path` for each step taken.
//!
//! A sync that failed must not be repeated on the same file: the kernel reports the loss once, and a second call
//! succeeds over it.  Callers drop what depended on it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Access, AtFlags, CWD, FallocateFlags, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::types::wide;

/// What was being done when the disk refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Opening or creating a file.
    Open,
    MakeDirectory,
    /// Giving a file its final name.
    Rename,
    Read,
    Write,
    /// Reserving room.
    Reserve,
    /// Bringing data or names to the disk.
    Sync,
    /// Cutting a file back.
    Truncate,
    Remove,
}

impl Step {
    fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::MakeDirectory => "create directory",
            Self::Rename => "rename to",
            Self::Read => "read",
            Self::Write => "write to",
            Self::Reserve => "reserve room in",
            Self::Sync => "sync",
            Self::Truncate => "truncate",
            Self::Remove => "remove",
        }
    }
}

/// A step that failed, where, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {} {}: {source}", step.verb(), crate::text::path(path))]
pub(crate) struct Error {
    pub step: Step,
    /// To which file or directory.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

impl Error {
    /// An error of `step` at `path`.
    #[must_use]
    pub(crate) fn new(step: Step, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { step, path: path.to_owned(), source: source.into() }
    }

    /// Whether the disk or the user's quota is full.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        matches!(
            self.source.raw_os_error().map(Errno::from_raw_os_error),
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG)
        )
    }
}

impl Problem for Error {
    /// Where the system's reason suggests something.
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self.source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => "make room on that disk, or raise the quota",
            Some(Errno::ACCESS | Errno::PERM) => {
                "the user that runs popfetch lacks the permission for it: change the owner or the mode (ls -ld shows \
                 them), or name another place"
            }
            Some(Errno::ROFS) => "that file system can only be read: name another place",
            Some(Errno::ISDIR | Errno::NOTDIR | Errno::EXIST | Errno::SPIPE | Errno::NXIO | Errno::LOOP) => {
                "something else stands there (ls -ld shows what it is): move it away"
            }
            _ => return None,
        };
        Some(hint.into())
    }

    /// 73 when something could not be created, 74 when it could not be read, written or synced.
    fn exit_code(&self) -> ExitCode {
        match self.step {
            Step::Open | Step::MakeDirectory | Step::Rename => ExitCode::CannotCreate,
            Step::Read | Step::Write | Step::Reserve | Step::Sync | Step::Truncate | Step::Remove => {
                ExitCode::LocalIo
            }
        }
    }
}

/// What most functions here return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Creates `path`, which must not exist, for reading and writing.
///
/// # Errors
/// [`Step::Open`]; `AlreadyExists` when the name is taken.
pub(crate) fn create_new(path: &Path, mode: u32) -> Result<File> {
    take(Step::Open, path)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|e| Error::new(Step::Open, path, e))
}

/// Fills as much of `buffer` as the file has from `offset` on, and gives how much that is.
///
/// # Errors
/// The system's.
pub(crate) fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(wide(filled));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Opens `path` for reading and writing, creating it when it isn't there.  Whether it was created is the second value:
/// the caller then syncs its directory.
///
/// # Errors
/// [`Step::Open`].
pub(crate) fn open_or_create(path: &Path, mode: u32) -> Result<(File, bool)> {
    match create_new(path, mode) {
        Ok(file) => Ok((file, true)),
        Err(e) if e.source.kind() == io::ErrorKind::AlreadyExists => open(path).map(|file| (file, false)),
        Err(e) => Err(e),
    }
}

/// Never waits at a FIFO, nor becomes the owner of a terminal, if one stands there.
const WITHOUT_WAITING: i32 = (OFlags::NONBLOCK.bits() | OFlags::NOCTTY.bits()).cast_signed();

/// Opens what is there, [`WITHOUT_WAITING`].  It makes no difference to files and directories, but for one that another
/// program has a lease on (fcntl(2)), which is waited for.
fn open_existing(options: &mut OpenOptions, path: &Path) -> Result<File> {
    let opened = match options.custom_flags(WITHOUT_WAITING).open(path) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock && path.is_file() => {
            options.custom_flags(0).open(path)
        }
        opened => opened,
    };
    opened.map_err(|e| Error::new(Step::Open, path, e))
}

/// Opens the existing `path` for reading and writing.
///
/// # Errors
/// [`Step::Open`].
pub(crate) fn open(path: &Path) -> Result<File> {
    open_existing(OpenOptions::new().read(true).write(true), path)
}

/// Opens the existing `path` for reading only.
///
/// # Errors
/// [`Step::Open`].
pub(crate) fn open_to_read(path: &Path) -> Result<File> {
    open_existing(OpenOptions::new().read(true), path)
}

/// Opens `path` for reading and appending, creating it (0600) when it isn't there: for what may be lost, so it is no durable
/// step.  No link is followed, and nothing is waited for.
///
/// # Errors
/// The system's.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    let flags = WITHOUT_WAITING | OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)
}

/// Opens the existing file `path` for reading only, in a directory where others may have put anything under that name: no
/// link is followed, and only a regular file is read.
///
/// # Errors
/// [`Step::Open`]; `InvalidInput` when it is not a regular file.
pub(crate) fn open_plain_file(path: &Path) -> Result<File> {
    let fail = |e| Error::new(Step::Open, path, e);
    let flags = WITHOUT_WAITING | OFlags::NOFOLLOW.bits().cast_signed();
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) if file.metadata().map_err(fail)?.is_file() => Ok(file),
        // A link, or a socket, is not even opened.
        Err(e)
            if !matches!(e.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::LOOP | Errno::NXIO)) =>
        {
            Err(fail(e))
        }
        _ => Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))),
    }
}

/// Whether files can be made in `directory`, as far as can be seen before trying.
///
/// # Errors
/// Why not: `PermissionDenied`, `ReadOnlyFilesystem`.
pub(crate) fn may_write(directory: &Path) -> io::Result<()> {
    // For the user that this thread acts as, which need not be the one that has started us.
    match rustix::fs::accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        // An old kernel can't answer: it is seen when the file is made.
        Err(Errno::NOSYS) => Ok(()),
        answer => Ok(answer?),
    }
}

/// A file without a name in `directory`, readable and writable, gone when it's closed.
///
/// # Errors
/// [`Step::Open`].
pub(crate) fn create_unnamed(directory: &Path) -> Result<File> {
    take(Step::Open, directory)?;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, rustix::fs::Mode::from_raw_mode(0o600)) {
        Ok(file) => Ok(File::from(file)),
        // Not every file system has O_TMPFILE.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
            create_without_its_name(directory)
        }
        Err(e) => Err(Error::new(Step::Open, directory, e)),
    }
}

/// A file with a name that goes at once.
fn create_without_its_name(directory: &Path) -> Result<File> {
    let random: [u8; 8] = crate::clock::random().map_err(|e| Error::new(Step::Open, directory, e))?;
    let path = directory.join(format!("unnamed-{:016x}", u64::from_ne_bytes(random)));
    let file = create_new(&path, 0o600)?;
    fs::remove_file(&path).map_err(|e| Error::new(Step::Remove, &path, e))?;
    Ok(file)
}

/// Makes the directory `path` (mode 0700), whose parent must exist.  `false` if it exists already.
///
/// # Errors
/// [`Step::MakeDirectory`].
pub(crate) fn make_directory(path: &Path) -> Result<bool> {
    take(Step::MakeDirectory, path)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(e) => Err(Error::new(Step::MakeDirectory, path, e)),
    }
}

/// Makes `path` and every missing directory above it.  Their names are on disk only after [`sync_names`].
///
/// # Errors
/// [`Step::MakeDirectory`].
pub(crate) fn make_directories(path: &Path) -> Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.is_dir()).collect();
    missing.iter().rev().try_for_each(|directory| make_directory(directory).map(drop))
}

/// What is in a directory, in no order; nothing where there is no such directory.
///
/// # Errors
/// [`Step::Read`].
pub(crate) fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => Err(e),
    };
    entries.map_err(|e| Error::new(Step::Read, directory, e))
}

/// The directory that holds `path`.
#[must_use]
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes all of `octets` at the file's position.
///
/// # Errors
/// [`Step::Write`]; part of it may then be in the file.
pub(crate) fn write(mut file: &File, path: &Path, octets: &[u8]) -> Result<()> {
    take(Step::Write, path)?;
    #[cfg(feature = "crash-points")]
    let octets = {
        let (first, second) = octets.split_at(octets.len() / 2);
        file.write_all(first).map_err(|e| Error::new(Step::Write, path, e))?;
        take(Step::Write, path)?;
        second
    };
    file.write_all(octets).map_err(|e| Error::new(Step::Write, path, e))
}

/// Makes sure that `octets` more can be written at the end of the file, without changing its length.  Where the file
/// system cannot promise that, nothing is done.
///
/// # Errors
/// [`Step::Reserve`], chiefly a full disk.
pub(crate) fn reserve(file: &File, path: &Path, octets: u64) -> Result<()> {
    take(Step::Reserve, path)?;
    let end = file.metadata().map_err(|e| Error::new(Step::Reserve, path, e))?.len();
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, end, octets) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(()),
        Err(e) => Err(Error::new(Step::Reserve, path, e)),
    }
}

/// Brings the file's data and length to the disk.
///
/// # Errors
/// [`Step::Sync`]: the data may be lost, and no second sync can show it.
pub(crate) fn sync(file: &File, path: &Path) -> Result<()> {
    take(Step::Sync, path)?;
    rustix::fs::fsync(file).map_err(|e| Error::new(Step::Sync, path, e))
}

/// Brings the names in a directory to the disk.
///
/// # Errors
/// [`Step::Open`] or [`Step::Sync`].
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    let directory = open_to_read(path)?;
    take(Step::Sync, path)?;
    match rustix::fs::fsync(directory.as_fd()) {
        // Some network file systems have nothing to sync for a directory, and report that.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(e) => Err(Error::new(Step::Sync, path, e)),
    }
}

/// Brings the names in `directory` to the disk, its own name, and those of the directories above it.
///
/// Those above are synced even if this process did not make them, because the one that did may have died before it could;
/// but no directory's name more than once in this process, which removes none.  A thread that comes while another is at
/// it waits, and is spared it: with many accounts in one place, each of these syncs would otherwise flush the disk once
/// for each account.
///
/// # Errors
/// [`Step::Open`] of `directory` itself, or [`Step::Sync`].
pub(crate) fn sync_names(directory: &Path) -> Result<()> {
    static ON_DISK: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    sync_directory(directory)?;
    // A panic while it is held leaves whole names only.
    let mut on_disk = ON_DISK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut synced = Vec::new();
    for name in directory.ancestors().take_while(|name| name.parent().is_some()) {
        if on_disk.contains(name) {
            break;
        }
        match sync_directory(parent_of(name)) {
            Ok(()) => synced.push(name.to_owned()),
            // A user that may not even read it has not made anything in it.
            Err(e) if e.step == Step::Open => break,
            Err(e) => return Err(e),
        }
    }
    on_disk.extend(synced);
    Ok(())
}

/// Has the disk begin with what was written between two offsets, so that there is less left for the sync to wait for.  A
/// hint: it promises nothing, and fails in silence.
#[cfg(target_os = "linux")]
pub(crate) fn hasten(file: &File, begin: u64, end: u64) {
    // It asks for no more than that it needn't be kept in memory, which starts the writing.
    let length = std::num::NonZeroU64::new(end.saturating_sub(begin));
    let _ = rustix::fs::fadvise(file, begin, length, rustix::fs::Advice::DontNeed);
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn hasten(_: &File, _: u64, _: u64) {}

/// Brings everything written to the file system of `directory` to the disk: `syncfs(2)`.  It reports the errors of
/// writes made after `directory` was opened, on Linux 5.8 and later.
///
/// # Errors
/// [`Step::Sync`].
#[cfg(target_os = "linux")]
pub(crate) fn sync_file_system(directory: &File, path: &Path) -> Result<()> {
    take(Step::Sync, path)?;
    rustix::fs::syncfs(directory).map_err(|e| Error::new(Step::Sync, path, e))
}

/// See the Linux version; no other system has it.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn sync_file_system(_: &File, path: &Path) -> Result<()> {
    Err(Error::new(Step::Sync, path, Errno::NOSYS))
}

/// Brings everything that any program has written to the disk: `sync(2)`.  For what a program has taken, for nobody knows
/// where it has put that.  It waits, and reports nothing.
///
/// # Errors
/// None but those that tests ask for.
pub(crate) fn sync_everything() -> Result<()> {
    take(Step::Sync, Path::new("every file system"))?;
    rustix::fs::sync();
    Ok(())
}

/// Whether [`sync_file_system`] may stand for the sync of each file and name in `directory`: it covers both and reports
/// losses on ext4, xfs and btrfs, on Linux 5.8 or later.
#[must_use]
pub(crate) fn file_system_sync_is_trustworthy(directory: &File) -> bool {
    #[cfg(target_os = "linux")]
    {
        const EXT4: i128 = 0xEF53;
        const XFS: i128 = 0x5846_5342;
        const BTRFS: i128 = 0x9123_683E;
        let known = rustix::fs::fstatfs(directory)
            .is_ok_and(|system| [EXT4, XFS, BTRFS].contains(&i128::from(system.f_type)));
        known && reports_lost_writes(rustix::system::uname().release().to_bytes())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = directory;
        false
    }
}

/// Whether `syncfs(2)` of a kernel of this release reports writes that failed: 5.8 or later.
#[cfg(target_os = "linux")]
fn reports_lost_writes(release: &[u8]) -> bool {
    let mut numbers = release
        .split(|octet| !octet.is_ascii_digit())
        .map(|digits| std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok()));
    let mut next = || numbers.next().flatten().unwrap_or(0);
    (next(), next()) >= (5, 8)
}

/// Gives the file its final name, never over an existing one.
///
/// # Errors
/// [`Step::Rename`]; `AlreadyExists` when the name is taken.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<()> {
    take(Step::Rename, to)?;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // No RENAME_NOREPLACE here.  The name holds 64 random bits: nobody takes it between the look and the rename.
        // Never link(2) and unlink(2): a crash in between leaves two names, of which a reader may move one.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            match rustix::fs::statat(CWD, to, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {
                    rustix::fs::rename(from, to).map_err(|e| Error::new(Step::Rename, to, e))
                }
                Ok(_) => Err(Error::new(Step::Rename, to, Errno::EXIST)),
                Err(e) => Err(Error::new(Step::Rename, to, e)),
            }
        }
        Err(e) => Err(Error::new(Step::Rename, to, e)),
    }
}

/// Puts the file `from` in the place of `to`: all of the old or all of the new, never less.
///
/// # Errors
/// [`Step::Rename`].
pub(crate) fn replace(from: &Path, to: &Path) -> Result<()> {
    take(Step::Rename, to)?;
    rustix::fs::rename(from, to).map_err(|e| Error::new(Step::Rename, to, e))
}

/// Puts a file that holds `octets`, readable by its owner only, in the place of `path`: all of the old or all of the new.
/// It is written as `new`, in the same directory, where a crash may leave it.  Nothing is synced.
///
/// # Errors
/// As of the steps that it takes: then `path` is as it was.
pub(crate) fn put_unsynced(new: &Path, path: &Path, octets: &[u8]) -> Result<()> {
    put_by(new, path, octets, |_| Ok(()))
}

/// As [`put_unsynced`], and on the disk, with its name.
///
/// # Errors
/// As there, unless the last step failed, the sync of the directory.
pub(crate) fn put(new: &Path, path: &Path, octets: &[u8]) -> Result<()> {
    put_by(new, path, octets, |file| sync(file, new))?;
    sync_names(parent_of(path))
}

fn put_by(new: &Path, path: &Path, octets: &[u8], end: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    // What a crash has left; nothing depends on it.
    remove(new)?;
    let file = create_new(new, 0o600)?;
    let written = write(&file, new, octets).and_then(|()| end(&file)).and_then(|()| replace(new, path));
    if written.is_err() {
        // The next one to come here removes what this can't.
        let _ = remove(new);
    }
    written
}

/// Cuts the file back to `octets`.
///
/// # Errors
/// [`Step::Truncate`].
pub(crate) fn truncate(file: &File, path: &Path, octets: u64) -> Result<()> {
    take(Step::Truncate, path)?;
    rustix::fs::ftruncate(file, octets).map_err(|e| Error::new(Step::Truncate, path, e))
}

/// Removes a file; not an error if it is missing.
///
/// # Errors
/// [`Step::Remove`].
pub(crate) fn remove(path: &Path) -> Result<()> {
    take(Step::Remove, path)?;
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::new(Step::Remove, path, e)),
    }
}

/// Removes a directory, which must be empty.
///
/// # Errors
/// [`Step::Remove`].
pub(crate) fn remove_directory(path: &Path) -> Result<()> {
    take(Step::Remove, path)?;
    fs::remove_dir(path).map_err(|e| Error::new(Step::Remove, path, e))
}

#[cfg(not(feature = "crash-points"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature crash-points it can fail")]
#[inline]
fn take(_: Step, _: &Path) -> Result<()> {
    Ok(())
}

#[cfg(feature = "crash-points")]
use crash_points::take;

#[cfg(feature = "crash-points")]
mod crash_points {
    use super::{Error, Path, Result, Step};
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Orders {
        crash_at: Option<u64>,
        fail: Option<(u64, bool, i32)>,
        record: Option<std::path::PathBuf>,
    }

    #[expect(clippy::disallowed_methods, reason = "a hook for tests, not configuration")]
    fn orders() -> &'static Orders {
        static ORDERS: OnceLock<Orders> = OnceLock::new();
        ORDERS.get_or_init(|| {
            let number = |name| std::env::var(name).ok().and_then(|v| v.parse().ok());
            let fault = |name, from: bool| {
                let value = std::env::var(name).ok()?;
                let (step, errno) = value.split_once(':')?;
                let errno = match errno {
                    "ENOSPC" => rustix::io::Errno::NOSPC,
                    "EDQUOT" => rustix::io::Errno::DQUOT,
                    "EFBIG" => rustix::io::Errno::FBIG,
                    "EACCES" => rustix::io::Errno::ACCESS,
                    "EROFS" => rustix::io::Errno::ROFS,
                    _ => rustix::io::Errno::IO,
                };
                Some((step.parse().ok()?, from, errno.raw_os_error()))
            };
            Orders {
                crash_at: number("POPFETCH_CRASH_AT"),
                fail: fault("POPFETCH_FAIL_AT", false).or_else(|| fault("POPFETCH_FAIL_FROM", true)),
                record: std::env::var_os("POPFETCH_STEPS").map(Into::into),
            }
        })
    }

    pub(super) fn take(step: Step, path: &Path) -> Result<()> {
        #[cfg(test)]
        super::trial::take(step, path)?;
        static TAKEN: AtomicU64 = AtomicU64::new(0);
        let orders = orders();
        let number = TAKEN.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(record) = &orders.record
            && let Ok(mut file) = OpenOptions::new().append(true).create(true).open(record)
        {
            // In one piece: another thread may be at its own step.
            let _ = file.write_all(format!("{number} {step:?} {}\n", path.display()).as_bytes());
        }
        if orders.crash_at == Some(number) {
            std::process::abort();
        }
        match orders.fail {
            Some((at, from, errno)) if at == number || (from && number > at) => {
                Err(Error::new(step, path, std::io::Error::from_raw_os_error(errno)))
            }
            _ => Ok(()),
        }
    }
}

/// For unit tests: the steps that this thread takes, and the system refusing some of them.
#[cfg(all(test, feature = "crash-points"))]
pub(crate) mod trial {
    use super::{Error, Path, Result, Step};
    use std::cell::RefCell;

    type Refuses = Box<dyn Fn(Step, &Path) -> bool>;

    #[derive(Default)]
    struct Trial {
        refuses: Option<Refuses>,
        is_full: bool,
        taken: Vec<(Step, String)>,
    }

    thread_local! { static TRIAL: RefCell<Trial> = RefCell::default(); }

    /// What `run` returns, and the steps that it took, with the last part of each path.
    pub(crate) fn steps<T>(
        refuses: impl Fn(Step, &Path) -> bool + 'static,
        run: impl FnOnce() -> T,
    ) -> (T, Vec<(Step, String)>) {
        TRIAL.set(Trial { refuses: Some(Box::new(refuses)), ..Trial::default() });
        let result = run();
        (result, TRIAL.take().taken)
    }

    /// What `run` returns where the disk has no room for some of its steps.
    pub(crate) fn without_room<T>(
        refuses: impl Fn(Step, &Path) -> bool + 'static,
        run: impl FnOnce() -> T,
    ) -> T {
        TRIAL.set(Trial { refuses: Some(Box::new(refuses)), is_full: true, ..Trial::default() });
        let result = run();
        TRIAL.take();
        result
    }

    pub(super) fn take(step: Step, path: &Path) -> Result<()> {
        TRIAL.with_borrow_mut(|trial| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            trial.taken.push((step, name));
            match trial.refuses.as_ref().is_some_and(|refuses| refuses(step, path)) {
                true if trial.is_full => Err(Error::new(step, path, rustix::io::Errno::NOSPC)),
                true => Err(Error::new(step, path, rustix::io::Errno::IO)),
                false => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
