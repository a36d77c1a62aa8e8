//! What a run that was killed, or a machine that lost its power, left in a Maildir.  Every sync is repeated before
//! anything counts as delivered: a killed run leaves its work in the page cache only.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::folders::{
    Folders, discard, holds, is_absent, is_same_directory, not_there, rename_may_have_succeeded,
};
use super::name;
use crate::delivery::{Error, Recovered, Settler, Unsettled};
use crate::durable::{self, Step};
use crate::place::NotedPlace;
use crate::proof::Intent;
use crate::text;
use crate::types::Time;

/// Readers clean `tmp/` of files that are 36 hours old; until this many seconds have passed, none has.
const TMP_IS_SAFE: i64 = 24 * 60 * 60;

/// Settles the open intents of one Maildir: each is published, was published, or comes again.  No setting leaves a sync
/// out here.
///
/// # Errors
/// [`Error::Later`] when the Maildir isn't there, or is another one: nothing is concluded.  [`Error::Disk`], or what the
/// settler reports: what wasn't settled is settled at the next run.
pub(crate) fn recover(
    unsettled: &Unsettled,
    settler: &mut dyn Settler,
    now: Time,
) -> Result<Recovered, Error> {
    let open: Vec<OpenIntent<'_>> = unsettled.intents.iter().filter_map(OpenIntent::of).collect();
    if open.is_empty() {
        return Ok(Recovered::default());
    }
    let path = Path::new(OsStr::from_bytes(&unsettled.destination.name.address));
    let folders = Folders::of(path);
    let same = has_inode(&folders, unsettled.destination.inode)?;
    if !folders.new.is_dir() || !folders.cur.is_dir() {
        return Err(not_there(&folders.path));
    }
    let found = folders.find(open.iter().map(|open| open.name))?;
    let mut sorted = Sorted::default();
    if !same {
        // Restored, moved, or on a file system that renumbers its files: the names decide.
        if !knows_one(&folders, &open, &found)? {
            return Err(another(&folders));
        }
        sorted.elsewhere = true;
    }
    for open in open {
        if let Some(path) = found.get(open.name) {
            sync_where_it_stands(path)?;
            sorted.delivered.push(open);
            continue;
        }
        match TmpFile::of(&folders.tmp.join(open.name), open.intent)? {
            TmpFile::Whole => sorted.whole.push(open),
            TmpFile::Torn => sorted.torn.push(open),
            TmpFile::Gone => sorted.gone.push(open),
        }
    }
    sorted.settle(&folders, settler, now)
}

/// An intent and its NAME.
#[derive(Debug, Clone, Copy)]
struct OpenIntent<'a> {
    intent: &'a Intent,
    name: &'a str,
}

impl<'a> OpenIntent<'a> {
    fn of(intent: &'a Intent) -> Option<Self> {
        match &intent.place {
            NotedPlace::Maildir { name } => Some(Self { intent, name }),
            NotedPlace::Mbox { .. } | NotedPlace::Handed => None,
        }
    }
}

/// Whether the directory is the one that was recorded.
fn has_inode(folders: &Folders, recorded: Option<(u64, u64)>) -> Result<bool, Error> {
    match folders.inode() {
        Ok(now) => Ok(recorded.is_some_and(|recorded| is_same_directory(recorded, now))),
        Err(e) if is_absent(&e) => Err(not_there(&folders.path)),
        Err(e) => Err(durable::Error::new(Step::Open, &folders.tmp, e).into()),
    }
}

/// Whether one of these files stands in it, with the right octets.
fn knows_one(
    folders: &Folders,
    open: &[OpenIntent<'_>],
    found: &HashMap<&str, PathBuf>,
) -> Result<bool, Error> {
    for open in open {
        let path = found.get(open.name).cloned().unwrap_or_else(|| folders.tmp.join(open.name));
        if matches!(TmpFile::of(&path, open.intent)?, TmpFile::Whole) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn another(folders: &Folders) -> Error {
    let path = text::path(&folders.path);
    Error::later(
        format!("Maildir {path} is not the one that mail was being delivered to when the last run broke off"),
        "is another file system mounted there?  Bring the former one back, and run again",
    )
}

/// What stands in `tmp/`.
enum TmpFile {
    Whole,
    Torn,
    Gone,
}

impl TmpFile {
    fn of(path: &Path, intent: &Intent) -> Result<Self, Error> {
        let unreadable = |e| Error::from(durable::Error::new(Step::Read, path, e));
        let file = match durable::open_plain_file(path) {
            Ok(file) => file,
            Err(e) if e.source.kind() == io::ErrorKind::NotFound => return Ok(Self::Gone),
            // Somebody has put something else there: not our message.
            Err(e) if e.source.kind() == io::ErrorKind::InvalidInput => return Ok(Self::Torn),
            Err(e) => return Err(e.into()),
        };
        let whole = holds(&file, intent.octets, intent.digest).map_err(unreadable)?;
        Ok(if whole { Self::Whole } else { Self::Torn })
    }
}

/// Syncs a published file, unless its reader has just moved it on.
fn sync_where_it_stands(path: &Path) -> Result<(), Error> {
    match durable::open_plain_file(path) {
        Ok(file) => Ok(durable::sync(&file, path)?),
        Err(e) if e.source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Intents by what was found.
#[derive(Debug, Default)]
struct Sorted<'a> {
    /// In `new/` or `cur/`.
    delivered: Vec<OpenIntent<'a>>,
    /// In `tmp/`, as it should be.
    whole: Vec<OpenIntent<'a>>,
    /// In `tmp/`, but not all of it.
    torn: Vec<OpenIntent<'a>>,
    /// In none of the three.
    gone: Vec<OpenIntent<'a>>,
    /// Whether this is another directory than the one that the lines were written about: what isn't in it needn't ever
    /// have been.
    elsewhere: bool,
}

impl Sorted<'_> {
    fn settle(mut self, folders: &Folders, settler: &mut dyn Settler, now: Time) -> Result<Recovered, Error> {
        self.publish(folders, settler)?;

        let names: Vec<&str> = self.gone.iter().map(|open| open.name).collect();
        let found = folders.look_twice(&names)?;
        for path in found.values() {
            sync_where_it_stands(path)?;
        }
        let (found, gone): (Vec<_>, Vec<_>) =
            self.gone.iter().copied().partition(|open| found.contains_key(open.name));
        self.delivered.extend(found);

        // Its line proves that tmp/NAME was on the disk.  Only its reader can have taken it so soon.
        let (taken, lost): (Vec<OpenIntent<'_>>, Vec<_>) = gone.into_iter().partition(|open| {
            let age = now.seconds_since(open.intent.since);
            !self.elsewhere && (0..TMP_IS_SAFE).contains(&age)
        });

        if !self.delivered.is_empty() || !taken.is_empty() {
            // tmp/ as well: were its old names to come back with the power, they would be cleaned away as left-overs.
            for directory in [&folders.new, &folders.cur, &folders.tmp] {
                durable::sync_directory(directory)?;
            }
        }
        let delivered: Vec<_> = self.delivered.iter().chain(&taken).map(|open| open.intent.id).collect();
        if !delivered.is_empty() {
            settler.delivered(&delivered)?;
            settler.sync()?;
        }
        for left_over in self.delivered.iter().map(|open| folders.tmp.join(open.name)) {
            if left_over.symlink_metadata().is_ok() {
                discard(&left_over);
            }
        }

        let again: Vec<_> = self.torn.iter().chain(&lost).map(|open| open.intent.id).collect();
        if !again.is_empty() {
            settler.dropped(&again)?;
        }
        for torn in &self.torn {
            discard(&folders.tmp.join(torn.name));
        }
        Ok(Recovered { delivered: delivered.len(), again: again.len() })
    }

    /// Brings what is whole from `tmp/` to `new/`, in the order of a live run.
    fn publish(&mut self, folders: &Folders, settler: &mut dyn Settler) -> Result<(), Error> {
        if self.whole.is_empty() {
            return Ok(());
        }
        for open in &self.whole {
            let path = folders.tmp.join(open.name);
            if let Err(e) = durable::open_plain_file(&path).and_then(|file| durable::sync(&file, &path)) {
                // Never synced again: the second time would succeed over what was lost.
                if e.step == Step::Sync {
                    settler.dropped(&[open.intent.id])?;
                    discard(&path);
                }
                return Err(e.into());
            }
        }
        durable::sync_directory(&folders.tmp)?;
        settler.sync()?;
        for open in self.whole.drain(..) {
            match durable::rename_new(&folders.tmp.join(open.name), &folders.new.join(open.name)) {
                Ok(()) => self.delivered.push(open),
                Err(e) if rename_may_have_succeeded(&e) => self.gone.push(open),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// Removes from `tmp/` the files of this ledger that no line of it names, and returns how many.  Call it under the
/// mailbox's lock only: another run's messages that are just arriving look the same.
///
/// # Errors
/// [`Error::Disk`] when `tmp/` can't be read, or a file not removed.
pub(crate) fn clean(path: &Path, ledger: &str, named: &dyn Fn(&str) -> bool) -> Result<usize, Error> {
    let tmp = Folders::of(path).tmp;
    let unreadable = |e| Error::from(durable::Error::new(Step::Read, &tmp, e));
    let entries = match fs::read_dir(&tmp) {
        Ok(entries) => entries,
        Err(e) if is_absent(&e) => return Ok(0),
        Err(e) => return Err(unreadable(e)),
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else { continue };
        if name::belongs_to(name, ledger) && !named(name) {
            durable::remove(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
