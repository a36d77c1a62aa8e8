//! One popfetch per mailbox: a kernel lock on a file of its own, which is never renamed over nor removed, because a lock
//! on a file that has lost its name keeps no process out.  That the file exists means nothing; the lock goes with the
//! process, however it ends.  Must not know the ledger.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::durable::{self, Step};
use crate::signals::Stop;
use crate::types::{Time, Wait};

use super::error::Error;

/// The lock file's name in the mailbox's directory.
const FILE: &str = "lock";
/// How long a waiting popfetch sleeps between two attempts.  A blocking lock could not be waited for until a time, nor
/// be given up at a signal.
const PAUSE: Duration = Duration::from_millis(100);

/// The lock of one mailbox, held until it and all its clones are dropped.
#[derive(Debug, Clone)]
pub struct Lock {
    _file: Arc<File>,
}

impl Lock {
    /// Takes the lock of the mailbox whose state is kept in `directory`, which is made when it isn't there.  While
    /// another process has it, this waits as `wait` allows, but not beyond a stop.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it, still; [`Error::Disk`].
    pub fn acquire(directory: &Path, wait: Wait, stop: &Stop) -> Result<Self, Error> {
        // Their names are brought to the disk with that of the ledger.
        durable::make_directories(directory)?;
        let path = directory.join(FILE);
        let mut waited = Duration::ZERO;
        loop {
            let (file, _) = durable::open_or_create(&path, 0o600)?;
            match file.try_lock() {
                // A clean-up may have taken the file's name away meanwhile.
                Ok(()) if has_its_name(&file, &path) => {
                    // Others who find it held can see since when.  Where that cannot be set, they cannot.
                    let _ = file.set_modified(clock::now().to_system());
                    return Ok(Self { _file: Arc::new(file) });
                }
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(durable::Error::new(Step::Open, &path, e).into()),
            }
            if wait.is_over(waited) || stop.raised() {
                return Err(Error::Locked);
            }
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }
}

impl Lock {
    /// Since when the lock has been held that another process has; when it was last taken if nobody holds it.
    #[must_use]
    pub fn held_since(directory: &Path) -> Option<Time> {
        let modified = std::fs::metadata(directory.join(FILE)).and_then(|metadata| metadata.modified());
        modified.ok().map(Time::from_system)
    }
}

impl Lock {
    /// Waits, as `wait` allows, until no run has the lock of the mailbox in `directory`.  It isn't taken: looking never keeps
    /// a run from its work.
    ///
    /// # Errors
    /// [`Error::Locked`] when a run has it, still.
    pub fn wait_until_free(directory: &Path, wait: Wait, stop: &Stop) -> Result<(), Error> {
        let path = directory.join(FILE);
        let is_held = || {
            durable::open_to_read(&path)
                .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
        };
        let mut waited = Duration::ZERO;
        while is_held() {
            if wait.is_over(waited) || stop.raised() {
                return Err(Error::Locked);
            }
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
        Ok(())
    }
}

fn has_its_name(file: &File, path: &Path) -> bool {
    let place = |m: std::fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(named)) => place(held) == place(named),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Error, Lock};
    use crate::signals::Stop;
    use crate::types::Wait;

    #[test]
    fn one_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let stop = Stop::new().unwrap();
        let directory = home.path().join("state/popfetch/ab");
        let held = Lock::acquire(&directory, Wait::NO, &stop).unwrap();
        assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(Lock::acquire(&directory, Wait::NO, &stop), Err(Error::Locked)));
        // Since when, others can see.
        let now = crate::clock::now();
        let since = Lock::held_since(&directory).unwrap();
        assert!((0..60).contains(&now.seconds_since(since)), "{since:?}");
        let clone = held.clone();
        drop(held);
        assert!(matches!(Lock::acquire(&directory, Wait::NO, &stop), Err(Error::Locked)));
        drop(clone);
        assert!(directory.join("lock").exists());
        Lock::acquire(&directory, Wait::NO, &stop).unwrap();
    }

    #[test]
    fn a_stop_ends_the_waiting() {
        let home = tempfile::tempdir().unwrap();
        let stop = Stop::new().unwrap();
        let _held = Lock::acquire(home.path(), Wait::NO, &stop).unwrap();
        stop.raise();
        assert!(matches!(Lock::acquire(home.path(), Wait::Forever, &stop), Err(Error::Locked)));
    }

    #[test]
    fn a_run_that_waits_gets_the_lock() {
        let home = tempfile::tempdir().unwrap();
        let stop = Stop::new().unwrap();
        let held = Lock::acquire(home.path(), Wait::NO, &stop).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::acquire(home.path(), Wait::Forever, &stop));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
    }
}
