//! The file in which a memory lies beside its ledger, and its text.

use std::path::Path;

use super::{MOST_DIED, Memory, first_form};
use crate::durable;
use crate::ledger::files;

/// Its name in the mailbox's directory.
pub(in crate::ledger) const FILE: &str = "memory";
/// What runs that found the mailbox locked have reported: the memory is its holder's.
const REPORTS: &str = "reports";
/// All files of this room in the mailbox's directory.
pub(in crate::ledger) const FILES: [&str; 4] = [FILE, "memory.new", REPORTS, "reports.new"];
/// A file beyond this is not ours.
const LONGEST: u64 = 1024 * 1024;

impl Memory {
    /// Reads the memory in a mailbox's directory; empty when there is none, or none that can be read.
    #[must_use]
    pub(crate) fn load(directory: &Path) -> Self {
        Self::load_file(&directory.join(FILE))
    }

    /// Reads what runs that found the mailbox locked have reported.
    #[must_use]
    pub(crate) fn load_reports(directory: &Path) -> Self {
        Self::load_file(&directory.join(REPORTS))
    }

    /// The same, for the run that has the lock now: they are read and removed.
    #[must_use]
    pub(crate) fn take_reports(directory: &Path) -> Self {
        let path = directory.join(REPORTS);
        if !path.exists() {
            return Self::default();
        }
        let reports = Self::load_file(&path);
        // If it can't be removed, it is taken again.
        let _ = durable::remove(&path);
        reports
    }

    fn load_file(path: &Path) -> Self {
        read(path).and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Writes it, if it has changed.  Without a ledger beside it nothing is written: a memory shows that there
    /// has been a ledger, should that be lost.
    ///
    /// # Errors
    /// When it cannot be written; the run may go on.
    pub(crate) fn save(&self, directory: &Path) -> durable::Result<()> {
        self.save_as(directory, FILE)
    }

    /// Writes what was reported though another popfetch has the lock.
    ///
    /// # Errors
    /// As for [`Memory::save`].
    pub(crate) fn save_reports(&self, directory: &Path) -> durable::Result<()> {
        self.save_as(directory, REPORTS)
    }

    fn save_as(&self, directory: &Path, name: &str) -> durable::Result<()> {
        let text = self.to_text();
        let path = directory.join(name);
        let new = directory.join(format!("{name}.new"));
        if !directory.join(files::FILE).exists() || read(&path).as_deref() == Some(&text) {
            // What a run has left that was killed in the middle of this.
            return if new.symlink_metadata().is_ok() { durable::remove(&new) } else { Ok(()) };
        }
        durable::put_unsynced(&new, &path, &text)
    }

    /// What of it is true on another machine too, as text: nothing of this configuration, nothing of the line.
    #[must_use]
    pub(crate) fn portable(&self) -> Vec<u8> {
        let habits = self.habits.clone();
        let (strongest, utf8, last) = (self.strongest.clone(), self.utf8, self.last.clone());
        Self { strongest, habits, utf8, last, ..Self::default() }.to_text()
    }

    /// What [`Memory::portable`] wrote; empty when that cannot be read.
    #[must_use]
    pub(crate) fn of_portable(text: &[u8]) -> Self {
        Self::parse(text).unwrap_or_default()
    }

    pub(super) fn to_text(&self) -> Vec<u8> {
        // Nothing in it can fail to be written.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// `None` when this is no memory.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut memory = if text.starts_with(first_form::HEADING) {
            first_form::read(text)?
        } else {
            serde_json::from_slice::<Self>(text).ok()?
        };
        let most = memory.died.len().saturating_sub(MOST_DIED);
        memory.died.drain(..most);
        memory.withheld.truncate(MOST_DIED);
        Some(memory)
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let file = durable::open_to_read(path).ok()?;
    // Room for nearly all: a file that has to be felt for is read in pieces of 32 octets, 64, and so on.
    let mut text = Vec::with_capacity(4096);
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// For fuzzing: any octets as a memory; one that is read is written in a form that reads back as the same.
#[doc(hidden)]
pub fn fuzz_memory(octets: &[u8]) {
    let lines = [first_form::HEADING, octets, b"\n"].concat();
    for text in [octets, &lines] {
        if let Some(memory) = Memory::parse(text) {
            assert_eq!(Memory::parse(&memory.to_text()).as_ref(), Some(&memory));
        }
    }
}
