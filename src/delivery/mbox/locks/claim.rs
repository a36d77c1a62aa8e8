//! Within the process: one name and one holder for each file.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::wait::{LockWait, busy};
use crate::delivery::Error;
use crate::durable;

/// At most this many symbolic links are followed that lead to no file yet, as the system does.
const MOST_LINKS: usize = 40;

/// An mbox's own path: every symbolic link followed, so that two names of one file are one lock; also a link to a file that
/// is still to be made.
///
/// Fails with `NotFound` only when the directory isn't there.
pub(in crate::delivery::mbox) fn resolve(path: &Path) -> io::Result<PathBuf> {
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

/// A file, under each of the names that one claim has of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ClaimedName {
    Path(PathBuf),
    /// Device and inode: hard links are one file.
    Inode(u64, u64),
}

static CLAIMED: Mutex<Option<HashSet<ClaimedName>>> = Mutex::new(None);
static UNCLAIMED: Condvar = Condvar::new();

/// This thread is the only one in the process that deals with this file.
#[derive(Debug)]
pub(super) struct Claim(Vec<ClaimedName>);

impl Claim {
    pub(super) fn take(path: &Path, wait: &mut LockWait<'_>) -> Result<Self, Error> {
        let names = names_of(path);
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        while names.iter().any(|name| claimed.get_or_insert_default().contains(name)) {
            let Some(left) = wait.left() else {
                return Err(busy(path, "another account of this run is using it"));
            };
            // Short, so that a signal is seen.
            let left = left.min(Duration::from_millis(200));
            claimed = UNCLAIMED.wait_timeout(claimed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        claimed.get_or_insert_default().extend(names.iter().cloned());
        Ok(Self(names))
    }
}

fn names_of(path: &Path) -> Vec<ClaimedName> {
    // Where there is no file yet, nothing is linked to it.
    let inode = path.metadata().ok().map(|status| ClaimedName::Inode(status.dev(), status.ino()));
    [ClaimedName::Path(path.to_owned())].into_iter().chain(inode).collect()
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        let all = claimed.get_or_insert_default();
        self.0.iter().for_each(|name| _ = all.remove(name));
        UNCLAIMED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use std::fs;

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
        assert_eq!(resolve(&at("mail/inbox/x")).unwrap_err().kind(), std::io::ErrorKind::NotADirectory);
    }
}
