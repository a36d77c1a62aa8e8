//! The locks on an mbox: within the process one holder per file (fcntl locks are the process's), then fcntl, then the
//! dotlock `FILE.lock` without waiting.  Programs that take them in the opposite order would wait for each other for
//! ever if either waited while it held one, so both are released whenever one is busy (`docs/protocol.md` §8.2).
//!
//! A process loses its fcntl locks on a file when it closes *any* descriptor of it.  Nothing else here may therefore
//! open an mbox, not even to read, without holding its [`Claim`].

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use rustix::process::Pid;

use super::boot;
use super::format::FROM;
use crate::access::{self, Owner};
use crate::clock;
use crate::delivery::Error;
use crate::durable::{self, Step};
use crate::exit::ExitCode;
use crate::problem::TRY_AGAIN;
use crate::stop::Stop;
use crate::text;

/// So long a busy mbox is waited for, in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A dotlock that nobody has touched for so long is dead (as for liblockfile).
const STALE: i64 = 5 * 60;

/// A dotlock that is held longer is touched now and then.
const TOUCH: Duration = Duration::from_secs(60);

/// Waiting for locks: until when, and who may end it.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    stop: &'a Stop,
    deadline: Instant,
    pause: Duration,
}

impl<'a> Wait<'a> {
    pub(super) fn new(stop: &'a Stop, patience: Duration) -> Self {
        let deadline = Instant::now() + patience;
        Self { stop, deadline, pause: Duration::from_millis(10) }
    }

    /// Sleeps a little, each time longer; `false` when the time is up, or a signal has come.
    pub(super) fn pause(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || self.stop.raised() {
            return false;
        }
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(Duration::from_millis(500));
        let timeout = Timespec::try_from(pause).ok();
        let descriptor = self.stop.descriptor();
        // Interrupted or not: the caller looks again.
        let _ = rustix::event::poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], timeout.as_ref());
        !self.stop.raised()
    }
}

/// So many symbolic links are followed that lead to no file yet, as the system does.
const MOST_LINKS: usize = 40;

/// An mbox's own path: every symbolic link followed, so that two names of one file are one lock; also a link to a file that
/// is still to be made.
///
/// Fails with `NotFound` only when the directory isn't there.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match path.canonicalize() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            resolved => return resolved,
        }
        match path.read_link() {
            Ok(target) => path = durable::parent_of(&path).join(target),
            Err(_) => {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                return Ok(durable::parent_of(&path).canonicalize()?.join(name));
            }
        }
    }
    Err(Errno::LOOP.into())
}

static CLAIMED: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
static UNCLAIMED: Condvar = Condvar::new();

/// This thread is the only one in the process that deals with this file.
#[derive(Debug)]
pub(super) struct Claim(PathBuf);

impl Claim {
    pub(super) fn take(path: &Path, wait: &mut Wait<'_>) -> Result<Self, Error> {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        while !claimed.get_or_insert_default().insert(path.to_owned()) {
            let left = wait.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || wait.stop.raised() {
                return Err(busy(path, "another account of this run is using it"));
            }
            // Short, so that a signal is seen.
            let left = left.min(Duration::from_millis(200));
            claimed = UNCLAIMED.wait_timeout(claimed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.get_or_insert_default().remove(&self.0);
        UNCLAIMED.notify_all();
    }
}

/// An mbox, open and locked; let go when dropped.
#[derive(Debug)]
pub(super) struct Locked {
    // Dropped in this order: the dotlock, the fcntl lock (with the file), the claim.
    dotlock: Option<Dotlock>,
    file: File,
    path: PathBuf,
    owner: Option<Owner>,
    /// Since when it was last read, before we read it.
    accessed: (i64, i64),
    touched: Instant,
    _claim: Claim,
}

/// What the locking came to.
#[derive(Debug)]
pub(super) struct Locking {
    /// The mbox; `None` when there's no such file and none was to be made.
    pub(super) locked: Option<Locked>,
    /// Why there's no dotlock, if there's none.
    pub(super) undotted: Option<io::Error>,
}

impl Locked {
    /// Takes all locks on the mbox at `path` (as [`resolve`] gives it), which is created if need be and asked for.
    ///
    /// # Errors
    /// [`Error::Later`] when it's busy all the time that `wait` grants; [`Error::Unfit`] when it is no mbox.
    ///
    /// Whatever has a path here is opened, made and removed with the rights of `owner`, if there is one.
    pub(super) fn take(
        path: &Path,
        owner: Option<&Owner>,
        create: bool,
        wait: &mut Wait<'_>,
    ) -> Result<Locking, Error> {
        let claim = Claim::take(path, wait)?;
        loop {
            let holder = match attempt(path, owner, create)? {
                Attempt::Locked { dotlock, file, undotted } => {
                    let status = file.metadata().map_err(|e| durable::Error::new(Step::Read, path, e))?;
                    let accessed = (status.atime(), status.atime_nsec());
                    let (path, touched) = (path.to_owned(), Instant::now());
                    let owner = owner.cloned();
                    let locked = Self { dotlock, file, path, owner, accessed, touched, _claim: claim };
                    return Ok(Locking { locked: Some(locked), undotted });
                }
                Attempt::Missing => return Ok(Locking { locked: None, undotted: None }),
                Attempt::Busy(holder) => holder,
            };
            if !wait.pause() {
                return Err(busy(path, &holder));
            }
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(|e| durable::Error::new(Step::Read, &self.path, e))?.len())
    }

    /// Whether the path still leads to the file that is locked.
    pub(super) fn is_in_place(&self) -> bool {
        access::act(self.owner.as_ref()).is_ok_and(|_acting| same_file(&self.file, &self.path))
    }

    /// Whether it's empty, or begins as an mbox does (M8).
    pub(super) fn is_mbox(&self) -> Result<bool, Error> {
        begins_as_mbox(&self.file, &self.path)
    }

    /// Called now and then while the locks are held long: others break a dotlock that doesn't change.
    pub(super) fn keep_alive(&mut self) {
        if let Some(dotlock) = &self.dotlock
            && self.touched.elapsed() >= TOUCH
            && let Ok(_acting) = access::act(self.owner.as_ref())
        {
            self.touched = Instant::now();
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            let times = Timestamps { last_access: now, last_modification: now };
            // At worst somebody else breaks it: the fcntl lock still holds.
            let _ = rustix::fs::utimensat(CWD, &dotlock.path, &times, AtFlags::SYMLINK_NOFOLLOW);
        }
    }
}

impl Locked {
    /// Lets the dotlock stay when the other locks go: the disk refuses to cut off a part of a message, which nobody who
    /// takes both locks may see.  The next run takes it over as soon as this process is dead.
    pub(super) fn keep_dotlock(&mut self) {
        if let Some(dotlock) = &mut self.dotlock {
            dotlock.kept = true;
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Readers tell new mail by an access time before the modification time; our own reading is no access.
        let times = Timestamps {
            last_access: Timespec { tv_sec: self.accessed.0, tv_nsec: self.accessed.1 },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        };
        // Only the owner may; for anybody else the mark of new mail isn't worth an error.
        let _ = rustix::fs::futimens(&self.file, &times);
    }
}

/// Looks at an mbox without locking it, before anything is retrieved for it: whether its directory is there, and it is
/// one, or missing.
///
/// # Errors
/// [`Error::Unfit`], or [`Error::Disk`] when it cannot be read.
pub(super) fn look(path: &Path, owner: Option<&Owner>, wait: &mut Wait<'_>) -> Result<(), Error> {
    let _acting = access::act(owner)?;
    let path = resolve(path).map_err(|e| no_directory(path, e))?;
    let _claim = Claim::take(&path, wait)?;
    if !is_file(&path)? {
        return may_be_made(&path);
    }
    // There may be nothing to deliver: what a run that died has left must not keep others from the mbox until then.
    if dotlock_of(&path).symlink_metadata().is_ok() {
        drop(attempt(&path, owner, false)?);
    }
    // As it will be opened when mail has come.
    let file = durable::open(&path)?;
    if begins_as_mbox(&file, &path)? { Ok(()) } else { Err(no_mbox(&path)) }
}

/// Whether an mbox could be made at `path`, which isn't there.
fn may_be_made(path: &Path) -> Result<(), Error> {
    let may_write = durable::may_write(durable::parent_of(path));
    may_write.map_err(|e| durable::Error::new(Step::Open, path, e).into())
}

pub(super) fn no_directory(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::unfit(
            ExitCode::CannotCreate,
            format!("mbox {}: its directory does not exist", name_of(path)),
            "create it, or correct the path",
        ),
        _ => durable::Error::new(Step::Open, path, error).into(),
    }
}

pub(super) fn no_mbox(path: &Path) -> Error {
    Error::unfit(
        ExitCode::CannotCreate,
        format!("{} is no mbox: it does not begin with \"From \"; nothing was written to it", name_of(path)),
        "name another file",
    )
}

/// A path as people may see it.
pub(super) fn name_of(path: &Path) -> String {
    text::printable(path.as_os_str().as_encoded_bytes())
}

fn busy(path: &Path, holder: &str) -> Error {
    Error::later(format!("mbox {} is locked: {holder}", name_of(path)), TRY_AGAIN)
}

fn begins_as_mbox(file: &File, path: &Path) -> Result<bool, Error> {
    let mut start = [0; FROM.len()];
    let read = read_up_to(file, &mut start, 0).map_err(|e| durable::Error::new(Step::Read, path, e))?;
    Ok(read == 0 || start.as_slice() == FROM)
}

/// Fills as much of `buffer` as the file has from `offset` on.
pub(super) fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Whether there's a regular file; an error for anything else that stands there.
fn is_file(path: &Path) -> Result<bool, Error> {
    match path.metadata() {
        Ok(status) if status.is_file() => Ok(true),
        Ok(_) => Err(Error::unfit(
            ExitCode::CannotCreate,
            format!("mbox {} is not a regular file", name_of(path)),
            "name another one",
        )),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(durable::Error::new(Step::Open, path, e).into()),
    }
}

enum Attempt {
    Locked { dotlock: Option<Dotlock>, file: File, undotted: Option<io::Error> },
    Missing,
    Busy(String),
}

/// Takes all locks at once, or none.
fn attempt(path: &Path, owner: Option<&Owner>, create: bool) -> Result<Attempt, Error> {
    let _acting = access::act(owner)?;
    let file = if is_file(path)? {
        match durable::open(path) {
            // It went just now: looked at afresh.
            Err(e) if e.source.kind() == io::ErrorKind::NotFound => {
                return Ok(Attempt::Busy("another program is replacing it".to_owned()));
            }
            file => file?,
        }
    } else if create {
        let (file, created) = durable::open_or_create(path, 0o600)?;
        if created {
            durable::sync_directory(durable::parent_of(path))?;
        }
        file
    } else {
        return Ok(Attempt::Missing);
    };
    if !file.metadata().map_err(|e| durable::Error::new(Step::Open, path, e))?.is_file() {
        return Ok(Attempt::Busy("another program is replacing it".to_owned()));
    }
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => {
            return Ok(Attempt::Busy("another program holds an fcntl lock on it".to_owned()));
        }
        // The file system has no locks: that doesn't pass on its own.
        Err(
            e @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::IO | Errno::PERM),
        ) => {
            let reason = io::Error::from(e);
            return Err(Error::unfit(
                ExitCode::CannotCreate,
                format!("mbox {} cannot be locked: {reason}", name_of(path)),
                "its file system refuses locks (fcntl): put the mbox on another one, or deliver to a Maildir",
            ));
        }
        Err(e) => {
            let reason = io::Error::from(e);
            return Err(Error::later(
                format!("mbox {} cannot be locked: {reason}", name_of(path)),
                TRY_AGAIN,
            ));
        }
    }
    // Whatever another program appends without a lock, our octets never overwrite it.
    let flags = rustix::fs::fcntl_getfl(&file)
        .and_then(|flags| rustix::fs::fcntl_setfl(&file, flags | OFlags::APPEND));
    flags.map_err(|e| durable::Error::new(Step::Open, path, e))?;
    let (dotlock, undotted) = match Dotlock::attempt(path, owner)? {
        Dot::Made(dotlock) => (Some(dotlock), None),
        Dot::Impossible(error) => (None, Some(error)),
        Dot::Busy(lock) => {
            return Ok(Attempt::Busy(format!("{} exists (a program is using it)", name_of(&lock))));
        }
    };
    if !same_file(&file, path) {
        return Ok(Attempt::Busy("another program is replacing it".to_owned()));
    }
    Ok(Attempt::Locked { dotlock, file, undotted })
}

/// `FILE.lock`, ours; removed when dropped.  One that couldn't be removed names a process that will be dead: the next run
/// takes it over.
#[derive(Debug)]
struct Dotlock {
    path: PathBuf,
    identity: (u64, u64),
    owner: Option<Owner>,
    /// It stays.
    kept: bool,
}

enum Dot {
    Made(Dotlock),
    Busy(PathBuf),
    /// We may not make files there (`/var/mail` is like that).
    Impossible(io::Error),
}

impl Dotlock {
    /// Makes the lock by `link(2)` of a file that has its content already, so that nobody ever sees it empty.
    fn attempt(mbox: &Path, owner: Option<&Owner>) -> Result<Dot, Error> {
        let path = dotlock_of(mbox);
        let fail = |e| Error::from(durable::Error::new(Step::Open, &path, e));
        let draft = match Draft::create(&path) {
            Ok(draft) => draft,
            Err(e) if is_forbidden(&e) => return Ok(Dot::Impossible(e)),
            Err(e) => return Err(fail(e)),
        };
        let made = (&draft.file)
            .write_all(content().as_bytes())
            // Where it can't be told that a lock is older than the machine's start, it must never lie there empty.
            .and_then(|()| match boot::uptime() {
                Some(_) => Ok(()),
                None => durable::sync(&draft.file, &path).map_err(|e| e.source),
            })
            .and_then(|()| Self::link(&draft, &path));
        let removed = draft.name.as_ref().map_or(Ok(()), std::fs::remove_file);
        let made = made.map_err(fail)?;
        removed.map_err(fail)?;
        Ok(match made {
            Some(identity) => Dot::Made(Self { path, identity, owner: owner.cloned(), kept: false }),
            None => Dot::Busy(path),
        })
    }

    /// Device and inode of the lock, if it is made.  A dead one is broken, once.
    fn link(draft: &Draft, path: &Path) -> io::Result<Option<(u64, u64)>> {
        for broken in [false, true] {
            match draft.link(path).or_else(|e| make_whole(path, e)) {
                Ok(()) => return path.symlink_metadata().map(|status| Some((status.dev(), status.ino()))),
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                Err(_) if broken => {}
                Err(_) => {
                    if !is_dead(path, draft.file.metadata()?.mtime())? {
                        return Ok(None);
                    }
                    match std::fs::remove_file(path) {
                        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                        _ => {}
                    }
                }
            }
        }
        Ok(None)
    }
}

/// A file that is to become a dotlock.
struct Draft {
    file: File,
    /// `None` where the system can do without: then a process that is killed here leaves nothing behind.
    name: Option<PathBuf>,
}

impl Draft {
    /// In the directory of the lock that it will be.
    fn create(lock: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::open(durable::parent_of(lock), flags, Mode::from_raw_mode(0o644))
            && Self::entry(&file).exists()
        {
            return Ok(Self { file: file.into(), name: None });
        }
        let random: [u8; 8] = clock::random()?;
        let random = u64::from_ne_bytes(random);
        let name = lock.with_file_name(format!(".popfetch-{random:016x}-{}", clock::process_id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&name)?;
        Ok(Self { file, name: Some(name) })
    }

    /// Where the system shows an open file.
    fn entry(file: &impl AsRawFd) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    fn link(&self, lock: &Path) -> io::Result<()> {
        match &self.name {
            Some(name) => std::fs::hard_link(name, lock),
            None => {
                let entry = Self::entry(&self.file);
                Ok(rustix::fs::linkat(CWD, entry, CWD, lock, AtFlags::SYMLINK_FOLLOW)?)
            }
        }
    }
}

/// Where the file system has no links: the lock made in place.
fn make_whole(path: &Path, refused: io::Error) -> io::Result<()> {
    match refused.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
            file.write_all(content().as_bytes())
        }
        _ => Err(refused),
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        // Somebody may have broken it, and made their own.
        if !self.kept
            && let Ok(_acting) = access::act(self.owner.as_ref())
            && self.path.symlink_metadata().is_ok_and(|status| (status.dev(), status.ino()) == self.identity)
        {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The dotlock of the mbox at `path`.
fn dotlock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    PathBuf::from(lock)
}

fn is_forbidden(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::ACCESS | Errno::PERM | Errno::ROFS))
}

/// What our dotlocks hold: the process id as everybody writes it, and by whom, on which machine, since which start of it.
fn content() -> String {
    format!("{}\n{}\n", clock::process_id(), signature())
}

fn signature() -> String {
    format!("popfetch {} {}", our_host(), our_start())
}

fn our_host() -> String {
    clock::host_name().chars().filter(|c| !c.is_whitespace()).collect()
}

fn our_start() -> &'static str {
    boot::id().unwrap_or("-")
}

/// Whether nobody stands behind the dotlock, by the clock of the file system (`now`, the time of a file just made there): it
/// has not changed for five minutes; or not since this machine was started, whatever it holds (a power failure may have
/// taken that); or it's dated by a clock that ran ahead, and no process is there that it names; or a popfetch on this
/// machine has made it, whose process is gone.
fn is_dead(path: &Path, now: i64) -> io::Result<bool> {
    is_dead_since(path, now, boot::uptime())
}

fn is_dead_since(path: &Path, now: i64, uptime: Option<i64>) -> io::Result<bool> {
    let status = match path.symlink_metadata() {
        Ok(status) => status,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e),
    };
    let age = now.saturating_sub(status.mtime());
    if age > STALE {
        return Ok(true);
    }
    let holder = Holder::of(path);
    let here = !matches!(&holder, Holder::Popfetch { host, .. } if *host != our_host());
    // A second each for two clocks that are cut to whole ones.
    let before_the_start = uptime.is_some_and(|uptime| age > uptime.saturating_add(2));
    let from_the_future = age < -STALE;
    Ok(match holder {
        Holder::Popfetch { pid, start, .. } if here => {
            start != our_start() || before_the_start || is_gone(pid)
        }
        Holder::Popfetch { .. } => false,
        Holder::Other { pid } => {
            before_the_start || (from_the_future && pid.is_none_or(|pid| is_gone(Some(pid))))
        }
    })
}

/// Whose dotlock it is, by its own words.
enum Holder {
    /// A popfetch's, with what it says: on which machine, since which start of it.
    Popfetch { pid: Option<Pid>, host: String, start: String },
    /// Anybody's; by custom, the process id stands in it.
    Other { pid: Option<Pid> },
}

impl Holder {
    /// What isn't a regular file says nothing.
    fn of(path: &Path) -> Self {
        let mut start = [0; 512];
        let read = durable::open_plain_file(path).ok().and_then(|file| read_up_to(&file, &mut start, 0).ok());
        let text = String::from_utf8_lossy(start.get(..read.unwrap_or(0)).unwrap_or_default()).into_owned();
        let mut lines = text.lines();
        let pid = lines.next().and_then(|pid| pid.trim().parse().ok()).and_then(Pid::from_raw);
        match lines.next().and_then(|by| by.strip_prefix("popfetch ")).and_then(|by| by.split_once(' ')) {
            Some((host, start)) => Self::Popfetch { pid, host: host.to_owned(), start: start.to_owned() },
            None => Self::Other { pid },
        }
    }
}

fn is_gone(pid: Option<Pid>) -> bool {
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::{is_dead_since, resolve};
    use std::fs;

    /// A power failure takes what is only in the page cache, and leaves the name.
    #[test]
    fn a_dotlock_from_before_the_machines_start_is_dead_whatever_it_holds() {
        let home = tempfile::tempdir().unwrap();
        let lock = home.path().join("mbox.lock");
        let alive = format!("{}\n", std::process::id());
        let elsewhere = "1\npopfetch elsewhere -\n";
        let made = 1_000_000;
        for content in ["", "0", "?", &alive, "999999999\n", elsewhere] {
            fs::write(&lock, content).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            fs::File::options().write(true).open(&lock).unwrap().set_modified(time).unwrap();
            let dead = |now: i64, uptime| is_dead_since(&lock, now, uptime).unwrap();
            let here = content != elsewhere;
            assert_eq!(dead(made + 60, Some(30)), here, "{content:?}: older than the start");
            assert!(!dead(made + 60, Some(90)), "{content:?}: since the start");
            assert!(!dead(made + 60, None), "{content:?}: the start isn't known");
            assert!(dead(made + 301, Some(1000)), "{content:?}: stale");
            assert!(!dead(made - 10, Some(1000)), "{content:?}: clocks differ a little");
            let tomorrow = dead(made - 86_400, Some(1000));
            assert_eq!(tomorrow, here && content != alive, "{content:?}: dated tomorrow");
        }
    }

    #[test]
    fn a_link_is_followed_to_a_file_that_is_still_to_be_made() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().canonicalize().unwrap().join(name);
        fs::create_dir(at("mail")).unwrap();
        std::os::unix::fs::symlink("mail/inbox", at("one")).unwrap();
        std::os::unix::fs::symlink(at("one"), at("two")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        std::os::unix::fs::symlink("away/inbox", at("away-link")).unwrap();
        for name in ["one", "two", "mail/inbox"] {
            assert_eq!(resolve(&at(name)).unwrap(), at("mail/inbox"));
        }
        fs::write(at("mail/inbox"), "").unwrap();
        assert_eq!(resolve(&at("two")).unwrap(), at("mail/inbox"));
        assert!(resolve(&at("loop")).is_err());
        assert_eq!(resolve(&at("away-link")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
