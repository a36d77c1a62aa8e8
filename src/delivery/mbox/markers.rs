//! Several ledgers, one mbox: what another mailbox's run left unsettled must be settled before anything is appended,
//! for a torn tail can be cut off only as long as it is the tail.
//!
//! A run that appends to an mbox has a marker `mbox-open/LEDGER-DIGEST` in the state root, which names the mbox and
//! the ledger's directory.  The marker holds `open` from before the batch is noted in the ledger until the batch is
//! whole and synced in the mbox (or has been taken back).  It changes only under the mbox's locks.  So a run that
//! holds these and finds a marker open knows that its run has died, or has failed to clean up.
//!
//! `settled BOOT` is not synced: it counts only until the machine is started again (see [`boot`]), for after a power
//! failure the disk may hold it where `open` was meant.  That costs a look into a ledger, nothing else.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::boot;
use crate::delivery::Error;
use crate::delivery::neighbours::Neighbour;
use crate::durable::{self, Step, read_up_to};
use crate::message::Digest;
use crate::text;

/// Octets of a marker's first line.
const HEAD: usize = 64;

/// Markers are no larger.
const LARGEST: usize = 64 * 1024;

/// The ledgers, other than `own`, that have left the mbox at `mbox` unsettled.  Exact only under the mbox's locks.
///
/// # Errors
/// When the markers cannot be read.
pub(crate) fn neighbours(state_root: &Path, mbox: &Path, own: &str) -> Result<Vec<Neighbour>, Error> {
    let mbox = super::locks::resolve(mbox).unwrap_or_else(|_| mbox.to_owned());
    let mut found = Vec::new();
    for entry in durable::entries(&directory(state_root))? {
        let name = entry.file_name();
        let Some((ledger, _)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
        if ledger == own {
            continue;
        }
        let path = entry.path();
        let content = match durable::open_plain_file(&path) {
            Ok(file) => read(&file, &path)?,
            Err(e) if e.source.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e.into()),
        };
        // One that breaks off was never synced, so nothing was noted under it.
        let Some((names, directory)) = parse(&content) else { continue };
        if names != mbox || is_settled(&content) {
            continue;
        }
        if directory.is_dir() {
            found.push(Neighbour { ledger: ledger.to_owned(), directory });
        } else {
            // A ledger that was thrown away has no intents.
            durable::remove(&path)?;
        }
    }
    Ok(found)
}

/// Removes the marker of a ledger that has no open intent at this mbox any more.  Called with the ledger's lock held, or
/// where there's no such ledger.
///
/// # Errors
/// [`Error::Disk`].
pub(crate) fn forget(state_root: &Path, ledger: &str, mbox: &Path) -> Result<(), Error> {
    let mbox = super::locks::resolve(mbox).unwrap_or_else(|_| mbox.to_owned());
    Ok(durable::remove(&directory(state_root).join(file_name(ledger, &mbox)))?)
}

/// Removes all markers of a ledger that has no open intent at any mbox.
pub(super) fn remove(state_root: &Path, ledger: &str) -> Result<(), Error> {
    for entry in durable::entries(&directory(state_root))? {
        let name = entry.file_name();
        if name.to_str().and_then(|name| name.split_once('-')).is_some_and(|(id, _)| id == ledger) {
            durable::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// One ledger's marker for one mbox.
#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
    body: String,
    /// Whether this run has brought it to the disk as `open`.
    synced: bool,
}

impl Marker {
    /// For the ledger `ledger` in `state`; `mbox` as [`super::locks::resolve`] gives it.
    pub(super) fn new(state_root: &Path, ledger: &str, state: &Path, mbox: &Path) -> Self {
        let octets = |path: &Path| text::field(path.as_os_str().as_bytes());
        Self {
            path: directory(state_root).join(file_name(ledger, mbox)),
            body: format!("mbox {}\nledger {}\n", octets(mbox), octets(state)),
            synced: false,
        }
    }

    /// Says `open`, which is on disk when this returns.  Under the mbox's locks.
    pub(super) fn open(&mut self) -> Result<(), Error> {
        // After a power failure an old `settled` doesn't count, so that this need reach the disk but once in a run.
        if self.synced && self.rewrite("open")? && boot::id().is_some() {
            return Ok(());
        }
        let directory = durable::parent_of(&self.path);
        durable::make_directories(directory)?;
        if !self.rewrite("open")? {
            // There's none, or half of one.
            durable::remove(&self.path)?;
            let file = durable::create_new(&self.path, 0o600)?;
            durable::write(&file, &self.path, format!("{}{}", head("open"), self.body).as_bytes())?;
        }
        durable::sync(&durable::open(&self.path)?, &self.path)?;
        durable::sync_names(directory)?;
        self.synced = true;
        Ok(())
    }

    /// Says that the mbox is as it should be.  Under the mbox's locks.
    pub(super) fn settle(&self) -> Result<(), Error> {
        self.rewrite(&settled()).map(|_| ())
    }

    /// Whether the marker was there whole, and now holds `state`.
    fn rewrite(&self, state: &str) -> Result<bool, Error> {
        let file = match durable::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.source.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        if read(&file, &self.path)?.get(HEAD..) != Some(self.body.as_bytes()) {
            return Ok(false);
        }
        durable::write(&file, &self.path, head(state).as_bytes())?;
        Ok(true)
    }
}

fn directory(state_root: &Path) -> PathBuf {
    state_root.join("mbox-open")
}

fn file_name(ledger: &str, mbox: &Path) -> String {
    let digest = Digest::of(mbox.as_os_str().as_bytes());
    let digest = text::hex(digest.as_bytes());
    format!("{ledger}-{digest}")
}

fn settled() -> String {
    format!("settled {}", boot::id().unwrap_or("-"))
}

fn head(state: &str) -> String {
    format!("{state:<0$.0$}\n", HEAD - 1)
}

fn is_settled(content: &[u8]) -> bool {
    // All of the line: half of it over half of another is no word.
    content.starts_with(head(&settled()).as_bytes())
}

fn read(file: &File, path: &Path) -> Result<Vec<u8>, Error> {
    let mut content = vec![0; LARGEST];
    let length = read_up_to(file, &mut content, 0).map_err(|e| durable::Error::new(Step::Read, path, e))?;
    content.truncate(length);
    Ok(content)
}

/// The mbox and the ledger's directory that a marker names; `None` when it isn't whole.
fn parse(content: &[u8]) -> Option<(PathBuf, PathBuf)> {
    let body = content.get(HEAD..)?.strip_suffix(b"\n")?;
    let mut lines = body.split(|octet| *octet == b'\n');
    let mut path = |key: &[u8]| {
        let field = text::from_field(lines.next()?.strip_prefix(key)?)?;
        Some(PathBuf::from(OsStr::from_bytes(&field)))
    };
    Some((path(b"mbox ")?, path(b"ledger ")?))
}

#[cfg(test)]
mod tests {
    use super::{Marker, Neighbour, neighbours, remove};

    #[test]
    fn a_marker_is_seen_while_it_is_open() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("state");
        let (state, mbox) = (root.join("one"), home.path().canonicalize().unwrap().join("mbox"));
        std::fs::create_dir_all(&state).unwrap();
        let mut marker = Marker::new(&root, "aa", &state, &mbox);
        let seen = |own: &str| neighbours(&root, &mbox, own).unwrap();
        assert_eq!(seen("bb"), []);
        let open = [Neighbour { ledger: "aa".to_owned(), directory: state.clone() }];
        for _ in 0..2 {
            marker.open().unwrap();
            assert_eq!(seen("bb"), open);
            assert_eq!(seen("aa"), [], "one's own");
            assert_eq!(neighbours(&root, &home.path().join("other"), "bb").unwrap(), []);
            marker.settle().unwrap();
            assert_eq!(seen("bb"), []);
        }
        // What another start of the machine called settled doesn't count.
        let path = std::fs::read_dir(root.join("mbox-open")).unwrap().next().unwrap().unwrap().path();
        let mut text = std::fs::read(&path).unwrap();
        text[9] ^= 1;
        std::fs::write(&path, text).unwrap();
        assert_eq!(seen("bb"), open);
        // Half of one was never synced; it is written again.
        std::fs::write(&path, "open").unwrap();
        assert_eq!(seen("bb"), []);
        marker.open().unwrap();
        assert_eq!(seen("bb"), open);
        remove(&root, "bb").unwrap();
        assert_eq!(seen("bb"), open);
        remove(&root, "aa").unwrap();
        marker.open().unwrap();
        assert_eq!(seen("bb"), open, "removed between sessions, it comes again");
        std::fs::remove_dir_all(&state).unwrap();
        assert_eq!(seen("bb"), [], "a ledger that was thrown away");
        let directory = root.join("mbox-open");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "nor is it asked about again");
        // What cannot be read may be a marker that is open.
        std::os::unix::fs::symlink("/dev/null", directory.join("cc-1")).unwrap();
        assert!(neighbours(&root, &mbox, "bb").is_err());
        assert_eq!(seen("cc"), [], "one's own");
        std::fs::remove_file(directory.join("cc-1")).unwrap();
        std::fs::remove_dir(&directory).unwrap();
        std::fs::write(&directory, "").unwrap();
        assert!(neighbours(&root, &mbox, "bb").is_err() && remove(&root, "bb").is_err());
    }
}
