//! The locks on an mbox: within the process one holder per file (fcntl locks are the process's), then fcntl, then the
//! dotlock `FILE.lock` without waiting.  Programs that take them in the opposite order would wait for each other for
//! ever if either waited while it held one, so both are released whenever one is busy (`docs/protocol.md` §8.2).
//!
//! A process loses its fcntl locks on a file when it closes *any* descriptor of it.  Nothing else here may therefore
//! open an mbox, not even to read, without holding its [`Claim`].

mod claim;
mod dotlock;
mod wait;

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use self::claim::Claim;
pub(super) use self::claim::resolve;
use self::dotlock::{Dot, Dotlock, dotlock_of};
use self::wait::busy;
pub(super) use self::wait::{LockWait, PATIENCE};
use super::from_line::FROM;
use crate::access::{self, Owner};
use crate::delivery::Error;
use crate::durable::{self, Step, read_up_to};
use crate::exit::ExitCode;
use crate::problem::TRY_AGAIN;
use crate::text;

/// A dotlock that is held longer is touched now and then.
const TOUCH: Duration = Duration::from_secs(60);

/// An mbox, open and locked; let go when dropped.
#[derive(Debug)]
pub(super) struct LockedMbox {
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
    pub(super) locked: Option<LockedMbox>,
    /// Why there's no dotlock, if there's none.
    pub(super) undotted: Option<io::Error>,
}

impl LockedMbox {
    /// Takes all locks on the mbox at `path` (as [`resolve`] gives it), which is created if need be and asked for.
    ///
    /// # Errors
    /// [`Error::Later`] when it's busy all the time that `wait` grants; [`Error::Unfit`] when it is not an mbox.
    ///
    /// Whatever has a path here is opened, made and removed with the rights of `owner`, if there is one.
    pub(super) fn take(
        path: &Path,
        owner: Option<&Owner>,
        create: bool,
        wait: &mut LockWait<'_>,
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

    /// Whether it's empty, or begins as an mbox does.
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
            dotlock.touch();
        }
    }

    /// Lets the dotlock stay when the other locks go: there's perhaps a part of a message, which nobody who takes both locks
    /// may see.  Whoever can settle it takes the dotlock over.
    pub(super) fn keep_dotlock(&mut self) {
        if let Some(dotlock) = &mut self.dotlock {
            dotlock.keep();
        }
    }
}

impl Drop for LockedMbox {
    fn drop(&mut self) {
        // Readers recognise new mail by an access time before the modification time; our own reading is no access.
        let times = Timestamps {
            last_access: Timespec { tv_sec: self.accessed.0, tv_nsec: self.accessed.1 },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        };
        // Only the owner may; for others the mark of new mail isn't worth an error.
        let _ = rustix::fs::futimens(&self.file, &times);
    }
}

/// Looks at an mbox without locking it, before anything is retrieved for it: whether its directory is there, and it is
/// one, or missing.  `is_unsettled` is asked, under the locks, where a run has died with them: whether it has perhaps left a
/// part of a message.  Returns the answer; then the dotlock stays.
///
/// # Errors
/// [`Error::Unfit`], or [`Error::Disk`] when it cannot be read.
pub(super) fn look(
    path: &Path,
    owner: Option<&Owner>,
    wait: &mut LockWait<'_>,
    is_unsettled: impl FnOnce(&Path) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let acting = access::act(owner)?;
    let path = resolve(path).map_err(|e| no_directory(path, e))?;
    let _claim = Claim::take(&path, wait)?;
    if !is_file(&path)? {
        return may_be_made(&path).map(|()| false);
    }
    let is_dotlocked = dotlock_of(&path).symlink_metadata().is_ok();
    drop(acting);
    // There may be nothing to deliver: what a run that died has left must not keep others from the mbox until then.
    let unsettled = is_dotlocked && take_over(&path, owner, is_unsettled)?;
    // As it will be opened when mail has come.
    let _acting = access::act(owner)?;
    let file = durable::open(&path)?;
    if begins_as_mbox(&file, &path)? { Ok(unsettled) } else { Err(no_mbox(&path)) }
}

/// Removes a dead dotlock, but where something is unsettled, or that can't be known.
fn take_over(
    path: &Path,
    owner: Option<&Owner>,
    is_unsettled: impl FnOnce(&Path) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let Attempt::Locked { file: _locked, dotlock, .. } = attempt(path, owner, false)? else {
        return Ok(false);
    };
    let unsettled = is_unsettled(path);
    if !matches!(unsettled, Ok(false)) {
        dotlock.into_iter().for_each(|mut dotlock| dotlock.keep());
    }
    unsettled
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
            format!("mbox {}: its directory does not exist", text::path(path)),
            "create it, or correct the path",
        ),
        _ => durable::Error::new(Step::Open, path, error).into(),
    }
}

pub(super) fn no_mbox(path: &Path) -> Error {
    Error::unfit(
        ExitCode::CannotCreate,
        format!(
            "{} is no mbox: it does not begin with \"From \"; nothing was written to it",
            text::path(path)
        ),
        "name another file",
    )
}

fn begins_as_mbox(file: &File, path: &Path) -> Result<bool, Error> {
    let mut start = [0; FROM.len()];
    let read = read_up_to(file, &mut start, 0).map_err(|e| durable::Error::new(Step::Read, path, e))?;
    Ok(read == 0 || start.as_slice() == FROM)
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
            format!("mbox {} is not a regular file", text::path(path)),
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
            // It went just now: look again.
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
    if !fcntl_lock(&file, path)? {
        return Ok(Attempt::Busy("another program holds an fcntl lock on it".to_owned()));
    }
    // Whatever another program appends without a lock, our octets never overwrite it.
    let flags = rustix::fs::fcntl_getfl(&file)
        .and_then(|flags| rustix::fs::fcntl_setfl(&file, flags | OFlags::APPEND));
    flags.map_err(|e| durable::Error::new(Step::Open, path, e))?;
    let (dotlock, undotted) = match Dotlock::attempt(path, owner)? {
        Dot::Made(dotlock) => (Some(dotlock), None),
        Dot::Impossible(error) => (None, Some(error)),
        Dot::Busy(lock) => {
            return Ok(Attempt::Busy(format!("{} exists (a program is using it)", text::path(&lock))));
        }
    };
    if !same_file(&file, path) {
        return Ok(Attempt::Busy("another program is replacing it".to_owned()));
    }
    Ok(Attempt::Locked { dotlock, file, undotted })
}

/// Takes the kernel's lock on an open mbox; `false` while another program has it.
fn fcntl_lock(file: &File, path: &Path) -> Result<bool, Error> {
    let refused = |e: Errno| format!("mbox {} cannot be locked: {}", text::path(path), io::Error::from(e));
    match rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        // The file system has no locks: that doesn't pass on its own.
        Err(
            e @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::IO | Errno::PERM),
        ) => Err(Error::unfit(
            ExitCode::CannotCreate,
            refused(e),
            "its file system refuses locks (fcntl): put the mbox on another one, or deliver to a Maildir",
        )),
        Err(e) => Err(Error::later(refused(e), TRY_AGAIN)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, File, Instant, LockWait, LockedMbox, TOUCH, dotlock_of};
    use crate::signals::Stop;
    use std::time::SystemTime;

    /// After five minutes without a change others break it.
    #[test]
    fn a_dotlock_that_is_held_long_is_touched_now_and_then() {
        let home = tempfile::tempdir().unwrap();
        let mbox = home.path().join("mbox");
        let stop = Stop::new().unwrap();
        let mut wait = LockWait::new(&stop, Duration::ZERO);
        let mut locked = LockedMbox::take(&mbox, None, true, &mut wait).unwrap().locked.unwrap();
        let lock = File::options().write(true).open(dotlock_of(&mbox)).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let mut is_touched = |since: Option<Instant>| {
            lock.set_modified(long_ago).unwrap();
            if let Some(since) = since {
                locked.touched = since;
            }
            locked.keep_alive();
            lock.metadata().unwrap().modified().unwrap() > long_ago
        };
        assert!(!is_touched(None), "it was made just now");
        assert!(is_touched(Instant::now().checked_sub(TOUCH)));
        assert!(!is_touched(None), "it was touched just now");
    }
}
