//! One popfetch per mailbox: a kernel lock on a file of its own, which is never renamed over nor removed, because a lock
//! on a file that has lost its name keeps no process out.  That the file exists means nothing; the lock goes with the
//! process, however it ends.  Must not know the ledger.
//!
//! The file's metadata are for callers that only look ([`Lock::look`]), without the lock and without waiting.  It was
//! last accessed when the lock was taken, and last modified when the last run began or ended.  It holds one octet
//! while a run is at work.  An octet in a file that no process has locked is what a killed run leaves.  Commands that
//! take the lock and fetch nothing change no more than the time of the last access.

use std::fs::{File, FileTimes, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::clock;
use crate::durable::{self, Step};
use crate::signals::Stop;
use crate::types::{Time, Wait};

use super::error::Error;

/// The lock file's name in the mailbox's directory.
pub(super) const FILE: &str = "lock";
/// How long a waiting popfetch sleeps between two attempts.  A blocking lock could not be waited for until a time, nor
/// be given up at a signal.
const PAUSE: Duration = Duration::from_millis(100);
/// Who looks whether the lock is held has it for an instant: a popfetch that may not wait tries again after this time,
const GLANCE: Duration = Duration::from_millis(10);
/// this often.
const GLANCES: u32 = 10;

/// A command waits this long for another popfetch to leave the mailbox.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The lock of one mailbox, held until it and all its clones are dropped.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    file: Arc<File>,
}

/// What can be seen of a mailbox's lock without taking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockStatus {
    /// When the last run ended, or began where it hasn't ended; `None` before the first.
    pub last_run: Option<Time>,
    pub stage: LockStage,
}

/// What became of the last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockStage {
    /// It ended in order, whatever it came to.
    Ended,
    AtWork,
    /// Its process died.
    BrokenOff,
}

impl Lock {
    /// Takes the lock of the mailbox whose state is kept in `directory`, which is made when it isn't there.  While
    /// another process has it, this waits as `wait` allows, but not beyond a stop.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it, still; [`Error::Disk`].
    pub(crate) fn acquire(directory: &Path, wait: Wait, stop: &Stop) -> Result<Self, Error> {
        Self::acquire_where(directory, wait, stop, has_its_name)
    }

    /// The same, where `is_named` tells whether a file is still the one at its path.
    fn acquire_where(
        directory: &Path,
        wait: Wait,
        stop: &Stop,
        is_named: impl Fn(&File, &Path) -> bool,
    ) -> Result<Self, Error> {
        // Their names are brought to the disk with that of the ledger.
        durable::make_directories(directory)?;
        let path = directory.join(FILE);
        let (mut waited, mut glances) = (Duration::ZERO, 0);
        loop {
            let (file, is_new) = durable::open_or_create(&path, 0o600)?;
            match file.try_lock() {
                Ok(()) if is_named(&file, &path) => {
                    let times = FileTimes::new().set_accessed(clock::now_of_files());
                    // Where they cannot be set, others don't see them.
                    let _ = file.set_times(if is_new { times.set_modified(UNIX_EPOCH) } else { times });
                    return Ok(Self { file: Arc::new(file) });
                }
                // A clean-up has taken the file's name away meanwhile; or the file system can't tell, and never will.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                // By whatever name the system calls it: its file system has no locks.
                Err(TryLockError::Error(e)) => {
                    let e = io::Error::new(ErrorKind::Unsupported, e);
                    return Err(durable::Error::new(Step::Open, &path, e).into());
                }
            }
            if stop.raised() || (wait.is_over(waited) && glances >= GLANCES) {
                return Err(Error::Locked);
            }
            if wait.is_over(waited) {
                glances += 1;
                std::thread::sleep(GLANCE);
            } else {
                std::thread::sleep(PAUSE);
                waited += PAUSE;
            }
        }
    }

    /// A run begins, for those who look.  That they can't see it, should this fail, is no reason not to run.
    pub(crate) fn begin_run(&self) {
        let now = clock::now_of_files();
        let _ = self.file.set_len(1);
        let _ = self.file.set_times(FileTimes::new().set_accessed(now).set_modified(now));
    }

    /// The run has ended in order: nothing is under way.
    pub(crate) fn end_run(&self) {
        let _ = self.file.set_len(0);
        let _ = self.file.set_modified(clock::now_of_files());
    }
}

impl Lock {
    /// Whether another process has it at this moment.
    #[must_use]
    pub(crate) fn is_held(directory: &Path) -> bool {
        is_held(&directory.join(FILE))
    }

    /// Since when the lock has been held that another process has; when it was last taken if no process holds it.
    #[must_use]
    pub(crate) fn held_since(directory: &Path) -> Option<Time> {
        let accessed = std::fs::metadata(directory.join(FILE)).and_then(|metadata| metadata.accessed());
        accessed.ok().map(Time::from_system)
    }

    /// What can be seen of the last run in this mailbox; `None` where there has never been a lock.  It neither waits nor
    /// keeps a run from beginning.
    #[must_use]
    pub(crate) fn look(directory: &Path) -> Option<LockStatus> {
        let path = directory.join(FILE);
        let status = std::fs::metadata(&path).ok()?;
        let modified = status.modified().ok()?;
        let stage = match status.len() {
            0 => LockStage::Ended,
            // Another command has taken the lock since, which no run would have allowed.
            _ if status.accessed().ok()? > modified => LockStage::BrokenOff,
            _ if is_held(&path) => LockStage::AtWork,
            _ => LockStage::BrokenOff,
        };
        let last_run = (modified > UNIX_EPOCH).then(|| Time::from_system(modified));
        Some(LockStatus { last_run, stage })
    }
}

/// Whether a process has the lock.  It is asked for, and given back at once: a run that begins just then tries again
/// ([`GLANCE`]).
fn is_held(path: &Path) -> bool {
    durable::open_to_read(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

impl Lock {
    /// Waits, as `wait` allows, until no run has the lock of the mailbox in `directory`.  It isn't taken: looking never keeps
    /// a run from its work.
    ///
    /// # Errors
    /// [`Error::Locked`] when a run has it, still.
    pub(crate) fn wait_until_free(directory: &Path, wait: Wait, stop: &Stop) -> Result<(), Error> {
        let mut waited = Duration::ZERO;
        while Self::is_held(directory) {
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

    use super::{Error, GLANCE, GLANCES, Lock, LockStage, LockStatus, PAUSE};
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
        assert!(Lock::is_held(&directory));
        // Since when, others can see.
        let now = crate::clock::now();
        let since = Lock::held_since(&directory).unwrap();
        assert!((0..60).contains(&now.seconds_since(since)), "{since:?}");
        let clone = held.clone();
        drop(held);
        assert!(matches!(Lock::acquire(&directory, Wait::NO, &stop), Err(Error::Locked)));
        drop(clone);
        assert!(directory.join("lock").exists() && !Lock::is_held(&directory));
        Lock::acquire(&directory, Wait::NO, &stop).unwrap();
    }

    #[test]
    fn a_lock_whose_file_never_has_its_name_is_not_waited_for_without_end() {
        let home = tempfile::tempdir().unwrap();
        let stop = Stop::new().unwrap();
        let acquire = |wait| Lock::acquire_where(home.path(), wait, &stop, |_, _| false);
        assert!(matches!(acquire(Wait::NO), Err(Error::Locked)));
        assert!(matches!(acquire(Wait::AtMost(PAUSE)), Err(Error::Locked)));
        // Another process that only looks is soon done; a run is waited for as long as is asked.
        for (wait, misses, taken) in
            [(Wait::NO, GLANCES, true), (Wait::NO, GLANCES + 1, false), (Wait::Forever, GLANCES + 2, true)]
        {
            let left = std::cell::Cell::new(misses);
            let has_its_name =
                |_: &std::fs::File, _: &std::path::Path| left.get() == 0 || left.replace(left.get() - 1) == 0;
            let acquired = Lock::acquire_where(home.path(), wait, &stop, has_its_name);
            assert_eq!(acquired.is_ok(), taken, "{misses}");
        }
        stop.raise();
        assert!(matches!(acquire(Wait::Forever), Err(Error::Locked)));
    }

    #[test]
    fn what_is_seen_of_a_run() {
        let home = tempfile::tempdir().unwrap();
        let stop = Stop::new().unwrap();
        let take = || Lock::acquire(home.path(), Wait::NO, &stop).unwrap();
        let stage = || Lock::look(home.path()).map(|seen| seen.stage);
        let last_run = || Lock::look(home.path()).unwrap().last_run;
        assert_eq!(Lock::look(home.path()), None);
        // A command that fetches nothing is no run.
        drop(take());
        assert_eq!(Lock::look(home.path()), Some(LockStatus { last_run: None, stage: LockStage::Ended }));
        let lock = take();
        lock.begin_run();
        assert_eq!(stage(), Some(LockStage::AtWork));
        assert!(last_run().is_some());
        // Nobody who looks keeps the lock.
        drop(lock);
        for _ in 0..3 {
            assert_eq!(stage(), Some(LockStage::BrokenOff));
        }
        let lock = take();
        assert_eq!(stage(), Some(LockStage::BrokenOff), "a command is at work, not a run");
        lock.begin_run();
        lock.end_run();
        assert_eq!(stage(), Some(LockStage::Ended));
        drop(lock);
        let before = last_run();
        drop(take());
        assert_eq!((stage(), last_run()), (Some(LockStage::Ended), before));
    }

    #[test]
    fn a_glance_at_the_lock_does_not_keep_a_run_from_beginning() {
        let home = tempfile::tempdir().unwrap();
        let stop = Stop::new().unwrap();
        Lock::acquire(home.path(), Wait::NO, &stop).unwrap().begin_run();
        let glance = std::fs::File::open(home.path().join("lock")).unwrap();
        glance.try_lock_shared().unwrap();
        std::thread::scope(|scope| {
            let begins = scope.spawn(|| Lock::acquire(home.path(), Wait::AtMost(GLANCES * GLANCE), &stop));
            drop(glance);
            begins.join().unwrap().unwrap();
        });
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

    /// A lock on a file that has lost its name keeps no process out.
    #[test]
    fn a_file_has_its_name_as_long_as_no_other_has_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let file = std::fs::File::create(&path).unwrap();
        assert!(super::has_its_name(&file, &path));
        std::fs::remove_file(&path).unwrap();
        assert!(!super::has_its_name(&file, &path));
        std::fs::File::create(&path).unwrap();
        assert!(!super::has_its_name(&file, &path));
    }

    #[test]
    fn looking_waits_for_a_run_but_not_beyond_a_stop_or_its_patience() {
        let home = tempfile::tempdir().unwrap();
        let stop = Stop::new().unwrap();
        let look = |wait| Lock::wait_until_free(home.path(), wait, &stop);
        look(Wait::NO).unwrap();
        let held = Lock::acquire(home.path(), Wait::NO, &stop).unwrap();
        for wait in [Wait::NO, Wait::AtMost(std::time::Duration::from_millis(1))] {
            assert!(matches!(look(wait), Err(Error::Locked)));
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| look(Wait::Forever));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
        let _held = Lock::acquire(home.path(), Wait::NO, &stop).unwrap();
        stop.raise();
        assert!(matches!(look(Wait::Forever), Err(Error::Locked)));
    }
}
