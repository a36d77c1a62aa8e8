//! The three directories of a Maildir: whether they are there, and which files stand where in them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::delivery::Error;
use crate::durable::{self, Step};
use crate::exit::ExitCode;
use crate::message::{self, Digest};
use crate::text;

const SUBDIRECTORIES: [&str; 3] = ["cur", "new", "tmp"];

/// Which of the three directories are to be made.
///
/// # Errors
/// See [`super::store::open`].
pub(super) fn missing(path: &Path, may_create: bool) -> Result<Vec<&'static str>, Error> {
    let shown = text::path(path);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return Err(unfit(
                format!("{shown} is not a directory, so no Maildir"),
                "move it away, or deliver to it as an mbox",
            ));
        }
        Err(e) if is_absent(&e) && !may_create => return Err(not_there(path)),
        Err(e) if is_absent(&e) => {
            let parent = durable::parent_of(path);
            if parent.is_dir() {
                durable::may_write(parent).map_err(|e| durable::Error::new(Step::MakeDirectory, path, e))?;
                return Ok(SUBDIRECTORIES.to_vec());
            }
            let parent = text::path(parent);
            return Err(unfit(
                format!("cannot create Maildir {shown}: there is no directory {parent}"),
                format!("mkdir -p {parent}"),
            ));
        }
        Err(e) => return Err(durable::Error::new(Step::Open, path, e).into()),
    }
    let missing = missing_parts(path)?;
    if missing.len() == SUBDIRECTORIES.len() {
        // An empty mount point looks like this.
        if !may_create {
            return Err(not_there(path));
        }
        may_become_maildir(path)?;
    }
    Ok(missing)
}

/// Which of the three aren't there; those that are must be writable directories.
fn missing_parts(path: &Path) -> Result<Vec<&'static str>, Error> {
    let mut missing = Vec::new();
    for name in SUBDIRECTORIES {
        let directory = path.join(name);
        match fs::metadata(&directory) {
            Ok(found) if found.is_dir() => {
                // Found out before mail comes, not with it.
                durable::may_write(&directory).map_err(|e| durable::Error::new(Step::Open, &directory, e))?;
            }
            Ok(_) => {
                let directory = text::path(&directory);
                return Err(unfit(format!("{directory} is not a directory"), "move it away"));
            }
            Err(e) if is_absent(&e) => missing.push(name),
            Err(e) => return Err(durable::Error::new(Step::Open, &directory, e).into()),
        }
    }
    Ok(missing)
}

/// Whether the three may be made in a directory that has none of them: nobody means to make a Maildir of one's own parts,
/// nor of his home directory.
fn may_become_maildir(path: &Path) -> Result<(), Error> {
    let shown = text::path(path);
    let part = path.file_name().is_some_and(|name| SUBDIRECTORIES.iter().any(|part| name == *part));
    let parent = durable::parent_of(path);
    if part && SUBDIRECTORIES.iter().all(|part| parent.join(part).is_dir()) {
        let parent = text::path(parent);
        return Err(unfit(
            format!("{shown} is no Maildir, but a part of the Maildir {parent}"),
            format!("deliver to {parent}, or: mkdir {shown}/cur {shown}/new {shown}/tmp"),
        ));
    }
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(unfit(
            format!("{shown} is no Maildir: it has neither cur, new nor tmp, and holds something else"),
            format!("name another directory, or: mkdir {shown}/cur {shown}/new {shown}/tmp"),
        ));
    }
    Ok(())
}

/// Whether there is nothing of that name.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unfit(what: String, hint: impl Into<String>) -> Error {
    Error::unfit(ExitCode::CannotCreate, what, hint)
}

/// A Maildir that should be there.
pub(super) fn not_there(path: &Path) -> Error {
    let path = text::path(path);
    Error::later(
        format!("Maildir {path} isn't there, though mail was delivered to it"),
        format!(
            "mount it, or move it back (nothing is concluded about its mail until then); or, if it's gone for good, \
             make another one: mkdir -p {path}/cur {path}/new {path}/tmp"
        ),
    )
}

/// Whether a rename failed in a way that the directories can explain: a file server that answers a repeated request reports
/// that the old name is gone, or the new one there, when the first request was carried out.
pub(super) fn rename_may_have_succeeded(error: &durable::Error) -> bool {
    matches!(error.source.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)
}

/// Removes a file that no ledger line names.  Should that fail, [`clean`](super::clean) removes it another day.
pub(super) fn discard(path: &Path) {
    let _ = durable::remove(path);
}

#[derive(Debug)]
pub(super) struct Folders {
    pub(super) path: PathBuf,
    pub(super) cur: PathBuf,
    pub(super) new: PathBuf,
    pub(super) tmp: PathBuf,
}

impl Folders {
    /// Of the Maildir at `path`, whether it is there or not.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), cur: path.join("cur"), new: path.join("new"), tmp: path.join("tmp") }
    }

    /// What `tmp/` is known by: when it was made, or the device where the file system doesn't keep that; and its inode.
    pub(super) fn inode(&self) -> io::Result<(u64, u64)> {
        fs::metadata(&self.tmp).map(|tmp| (birth(&tmp).unwrap_or_else(|| tmp.dev()), tmp.ino()))
    }

    /// Where those of `names` stand that are in `new/`, or in `cur/` with or without flags (`NAME:2,…`).
    ///
    /// `new/` is read first: a file that a reader moves on meanwhile is met at least once.  One that is renamed within
    /// the directory being read may be missed: see [`Folders::look_twice`].
    pub(super) fn find<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<&'a str, PathBuf>, Error> {
        let wanted: HashMap<&[u8], &str> = names.map(|name| (name.as_bytes(), name)).collect();
        let mut found = HashMap::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        for directory in [&self.new, &self.cur] {
            let unreadable = |e| durable::Error::new(Step::Read, directory, e);
            for entry in fs::read_dir(directory).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?.file_name();
                let unique =
                    entry.as_encoded_bytes().split(|octet| *octet == b':').next().unwrap_or_default();
                if let Some(name) = wanted.get(unique) {
                    found.insert(*name, directory.join(&entry));
                }
            }
        }
        Ok(found)
    }

    /// Like [`Folders::find`], before a file counts as gone.
    pub(super) fn look_twice<'a>(&self, names: &[&'a str]) -> Result<HashMap<&'a str, PathBuf>, Error> {
        let mut found = self.find(names.iter().copied())?;
        let missed = self.find(names.iter().copied().filter(|name| !found.contains_key(name)))?;
        found.extend(missed);
        Ok(found)
    }
}

/// Set in the number that records when a directory was made; no device's number has it.
pub(super) const BIRTH: u64 = 1 << 63;

/// When a directory was made.  Its inode alone doesn't show that it is the one it was: file systems give the number of one
/// that was removed to the next, and a new file system counts as the former did.
fn birth(directory: &fs::Metadata) -> Option<u64> {
    let made = directory.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(u64::try_from(made.as_nanos()).ok()? | BIRTH)
}

/// Whether a directory known by `now` ([`Folders::inode`]) is the one that was known by `recorded`.  Devices aren't compared:
/// btrfs, NFS and device mapper number theirs again when the machine starts.
pub(super) fn is_same_directory(recorded: (u64, u64), now: (u64, u64)) -> bool {
    let ((made, inode), (now_made, now_inode)) = (recorded, now);
    inode == now_inode && (made & BIRTH == 0 || made == now_made)
}

/// Whether a file holds just these octets.
pub(super) fn holds(file: &File, octets: u64, digest: Digest) -> io::Result<bool> {
    // The length first: it's what is wrong with most torn files, and costs nothing.
    Ok(file.metadata()?.len() == octets && message::stored(file)? == (octets, digest))
}

#[cfg(test)]
mod tests {
    use super::{BIRTH, is_same_directory};

    #[test]
    fn a_directory_is_known_by_when_it_was_made_or_else_by_its_inode_alone() {
        let (made, later) = (BIRTH | 5, BIRTH | 6);
        for (recorded, now, same) in [
            ((made, 1), (made, 1), true),
            ((made, 1), (later, 1), false),
            ((made, 1), (made, 2), false),
            // Where it isn't kept when, its device was recorded, which may be numbered again.
            ((7, 1), (8, 1), true),
            ((7, 1), (made, 1), true),
            ((7, 1), (7, 2), false),
            ((made, 1), (7, 1), false),
        ] {
            assert_eq!(is_same_directory(recorded, now), same, "{recorded:?} {now:?}");
        }
    }
}
