//! The ledger's file: appended to in groups, flushed, synced, taken back when a write fails.  Must not know what the lines
//! come to ([`super::index`]); what a group is, and why damage behind the last one may be dropped, stands in
//! [`super::replay`].

use std::cell::RefCell;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::durable::{self, Step};
use crate::text;
use crate::types::{Time, wide};

use super::entry::LedgerExtent;
use super::error::Error;
use super::lines::{Fact, Group, checked};
use super::source::{CHUNK, FileLines, NextLine, Window};

/// Where a journal goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tail {
    /// Where the good lines end.
    pub(super) end: u64,
    /// The number of the last group; 0 is none.
    pub(super) group: u64,
    /// How often the file was rewritten.
    pub(super) generation: u64,
}

/// Lines were to be on disk before anything else happens, and are not known to be.
#[derive(Debug)]
pub(super) enum NotNoted {
    /// They are certainly not on disk, nor ever will be.
    Undone(Error),
    /// They may be, now or after a power failure.
    Doubtful(Error),
}

/// The end of a ledger's file, where lines are added; and the file, to look lines up.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    /// What of the file was read last, for the next line that is looked up.
    window: RefCell<Window>,
    /// Octets of whole lines in the file.
    end: u64,
    /// Lines not yet in the file.
    buffer: Vec<u8>,
    group: u64,
    /// How often the file was rewritten.
    generation: u64,
    /// Everything in the file is on disk: the next line begins a group.
    synced: bool,
    /// Octets that this run has synced.
    synced_octets: u64,
    /// A sync failed, or half a line could not be taken back.
    broken: bool,
}

impl Journal {
    /// Goes on after what a replay has found.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub(super) fn resume(file: File, path: &Path, tail: Tail) -> Result<Self, Error> {
        let journal = Self {
            file,
            path: path.to_owned(),
            window: RefCell::default(),
            end: tail.end,
            buffer: Vec::new(),
            group: tail.group,
            generation: tail.generation,
            synced_octets: 0,
            // What was read may be in the page cache only.
            synced: tail.group == 0,
            broken: false,
        };
        journal.rewind()?;
        Ok(journal)
    }

    /// Octets of the ledger: the next line's offset.
    pub(super) fn len(&self) -> u64 {
        self.end.saturating_add(wide(self.buffer.len()))
    }

    /// Refuses to go on with a file that can't be trusted any more.
    ///
    /// # Errors
    /// [`Error::Broken`].
    fn must_be_usable(&self) -> Result<(), Error> {
        if self.broken { Err(Error::Broken { path: text::path(&self.path) }) } else { Ok(()) }
    }

    /// From now on the file can't be trusted.
    pub(super) fn give_up(&mut self) {
        self.broken = true;
    }

    /// The header that is due before the next line, if one is.
    pub(super) fn due_group(&self, time: Time, clock: Time) -> Option<Group> {
        self.synced.then(|| Group { number: self.group + 1, time, clock, count: 0 })
    }

    /// Makes sure that a line can be held back: to be called before [`Journal::append`].
    ///
    /// # Errors
    /// [`Error::Broken`]; [`Error::Disk`] when much was held back.
    pub(super) fn make_room(&mut self) -> Result<(), Error> {
        self.must_be_usable()?;
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// Holds a line back until [`Journal::flush`].
    pub(super) fn append(&mut self, fact: &Fact<'_>) {
        fact.write(&mut self.buffer);
        self.count_group(fact);
        self.synced = false;
    }

    fn count_group(&mut self, fact: &Fact<'_>) {
        if let Fact::Group(group) = fact {
            self.group = group.number;
        }
    }

    /// Writes what was held back.
    ///
    /// # Errors
    /// [`Error::Disk`]: it is held back still, and the file as it was; [`Error::Broken`].
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.must_be_usable()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(e) = durable::write(&self.file, &self.path, &self.buffer) {
            // What cannot be taken back leaves half a line in mid-file as soon as anything is added.
            self.broken = self.take_back().is_err();
            return Err(e.into());
        }
        self.end = self.len();
        self.buffer.clear();
        Ok(())
    }

    /// Brings the file to the disk.  After a failure it is not used again in this run: the lines may be lost though
    /// they read back, and no second sync would report it.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Broken`].
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        if self.synced {
            return Ok(());
        }
        self.bring_to_disk()?;
        self.synced = true;
        self.synced_octets = self.end;
        Ok(())
    }

    /// After a failure the file is not used again: no second sync would report what was lost.
    fn bring_to_disk(&mut self) -> durable::Result<()> {
        let synced = durable::sync(&self.file, &self.path);
        self.broken |= synced.is_err();
        synced
    }

    /// How much of the file this run has synced; `None` when nothing.
    pub(super) fn extent(&self) -> Option<LedgerExtent> {
        (self.synced_octets > 0)
            .then_some(LedgerExtent { generation: self.generation, octets: self.synced_octets })
    }

    /// How often the file was rewritten.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes these lines, behind everything held back, and syncs them; before, makes sure that `outcomes` more octets
    /// will find room.  Returns where each of them stands.
    ///
    /// # Errors
    /// [`NotNoted`].
    pub(super) fn commit(&mut self, facts: &[&Fact<'_>], outcomes: u64) -> Result<Vec<u64>, NotNoted> {
        // Into the room that was reserved for it.
        self.flush().map_err(NotNoted::Undone)?;
        let mut octets = Vec::new();
        let mut offsets = Vec::with_capacity(facts.len());
        for fact in facts {
            offsets.push(self.end.saturating_add(wide(octets.len())));
            fact.write(&mut octets);
        }
        let length = wide(octets.len());
        durable::reserve(&self.file, &self.path, length.saturating_add(outcomes))
            .map_err(|e| NotNoted::Undone(e.into()))?;
        if let Err(e) = durable::write(&self.file, &self.path, &octets) {
            // The disk may have seen some of these lines already.  Until it has seen them cut off, a power failure
            // could bring them back, and with them a name whose file is gone: "published, and moved by its reader".
            let cut = self.take_back().and_then(|()| durable::sync(&self.file, &self.path));
            self.broken = cut.is_err();
            return Err(if self.broken { NotNoted::Doubtful(e.into()) } else { NotNoted::Undone(e.into()) });
        }
        self.bring_to_disk().map_err(|e| NotNoted::Doubtful(e.into()))?;
        self.end = self.end.saturating_add(length);
        facts.iter().for_each(|fact| self.count_group(fact));
        self.synced = true;
        self.synced_octets = self.end;
        Ok(offsets)
    }

    /// Reads the line at `offset`, which may be held back still, and has `read` make something of it.
    ///
    /// # Errors
    /// [`Error::Damaged`] when there is no such line, or `read` can't use it; [`Error::Disk`].
    pub(super) fn look_up<T>(
        &self,
        offset: u64,
        read: impl FnOnce(&Fact<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        self.look_up_content(offset, |content| read(&Fact::parse(content)?))
    }

    /// As [`Journal::look_up`], for callers that don't need all of the line.
    ///
    /// # Errors
    /// [`Error::Disk`]; [`Error::Damaged`] when it is not what it was.
    pub(super) fn look_up_content<T>(
        &self,
        offset: u64,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        let mut window = self.window.take();
        let found = self.look_up_in(&mut window, offset, read);
        self.window.replace(window);
        found
    }

    fn look_up_in<T>(
        &self,
        window: &mut Window,
        offset: u64,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        let disk = |e| Error::Disk(durable::Error::new(Step::Read, &self.path, e));
        let line = if let Some(at) = offset.checked_sub(self.end) {
            let held = usize::try_from(at).ok().and_then(|at| self.buffer.get(at..)).unwrap_or_default();
            memchr::memchr(b'\n', held).and_then(|end| held.get(..end))
        } else {
            window.line(&self.file, offset).map_err(disk)?
        };
        match line.and_then(checked).and_then(read) {
            Some(value) => Ok(value),
            None => Err(Error::damaged(&self.path, self.number_of(offset), "has changed since it was read")),
        }
    }

    /// The number of the line at `offset`: for error messages, so never mind the cost.
    fn number_of(&self, offset: u64) -> u64 {
        let mut lines = FileLines::new(&self.file);
        let mut number = 1;
        while lines.offset < offset && matches!(lines.next(), Ok(NextLine::Line(_))) {
            number += 1;
        }
        number
    }

    fn take_back(&self) -> Result<(), durable::Error> {
        durable::truncate(&self.file, &self.path, self.end)?;
        self.rewind()
    }

    fn rewind(&self) -> Result<(), durable::Error> {
        (&self.file)
            .seek(SeekFrom::Start(self.end))
            .map(drop)
            .map_err(|e| durable::Error::new(Step::Write, &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, NotNoted, Tail};
    use crate::ledger::Error;
    use crate::ledger::lines::{End, Rewritten};

    /// What can't be brought to the disk is neither noted nor settled, and no later sync makes it good.
    #[cfg(feature = "crash-points")]
    #[test]
    fn a_sync_that_fails_is_reported_and_ends_the_use_of_the_file() {
        use crate::durable::{Step, trial::steps};
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger");
        let open = || {
            let file =
                std::fs::File::options().create(true).truncate(true).read(true).write(true).open(&path);
            Journal::resume(file.unwrap(), &path, Tail::default()).unwrap()
        };
        let no_sync = |step, _: &std::path::Path| step == Step::Sync;
        let mut journal = open();
        journal.append(&End {}.into());
        let (refused, _) = steps(no_sync, || journal.sync());
        assert!(matches!(refused, Err(Error::Disk(_))), "{refused:?}");
        assert!(matches!(journal.sync(), Err(Error::Broken { .. })));
        assert_eq!(journal.extent(), None);
        let mut journal = open();
        let (refused, _) = steps(no_sync, || journal.commit(&[&Rewritten {}.into()], 1));
        assert!(matches!(refused, Err(NotNoted::Doubtful(Error::Disk(_)))), "{refused:?}");
        assert!(matches!(journal.sync(), Err(Error::Broken { .. })));
    }

    #[test]
    fn a_file_that_cannot_be_repaired_is_given_up() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger");
        std::fs::write(&path, "").unwrap();
        // Neither written to nor cut back.
        let open = || Journal::resume(std::fs::File::open(&path).unwrap(), &path, Tail::default()).unwrap();
        let mut journal = open();
        journal.append(&End {}.into());
        assert!(matches!(journal.flush(), Err(Error::Disk(_))));
        for refused in [journal.flush(), journal.sync(), journal.make_room()] {
            assert!(matches!(refused, Err(Error::Broken { .. })));
        }
        // No room could be reserved: nothing was written, so the copies may be withdrawn.
        assert!(matches!(open().commit(&[&Rewritten {}.into()], 1), Err(NotNoted::Undone(Error::Disk(_)))));
    }
}
