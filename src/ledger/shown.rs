//! What `list` showed last: which unique-id stood under which number.  So `show` and `delete` can say when a number names
//! another message by now.  A small file beside the ledger, never synced; one that is lost costs that warning.

use std::collections::BTreeMap;
use std::path::Path;

use super::files;
use crate::durable;
use crate::types::{MessageNumber, UniqueIdBuf};

const FILE: &str = "shown";
/// A file beyond this is not ours: a million unique-ids of 70 octets.
const LONGEST: u64 = 100 * 1024 * 1024;

/// Unique-ids by the numbers that they were shown under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown(pub BTreeMap<MessageNumber, UniqueIdBuf>);

impl Shown {
    /// Reads what was shown last of the mailbox in `directory`; nothing where that isn't known.
    #[must_use]
    pub(crate) fn load(directory: &Path) -> Self {
        let path = directory.join(FILE);
        let is_ours =
            std::fs::metadata(&path).is_ok_and(|status| status.is_file() && status.len() <= LONGEST);
        let text = if is_ours { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        Self(text.split(|octet| *octet == b'\n').filter_map(line).collect())
    }

    /// Writes it, where the mailbox has a ledger.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn save(&self, directory: &Path) -> durable::Result<()> {
        if !directory.join(files::FILE).exists() {
            return Ok(());
        }
        let mut out = String::new();
        for (number, unique_id) in &self.0 {
            out.push_str(&format!("{number} {}\n", unique_id.to_field()));
        }
        let (path, new) = (directory.join(FILE), directory.join(format!("{FILE}.new")));
        // Another `list` may be writing it: the last one counts.
        durable::put_unsynced(&new, &path, out.as_bytes())
    }
}

fn line(line: &[u8]) -> Option<(MessageNumber, UniqueIdBuf)> {
    let at = memchr::memchr(b' ', line)?;
    let (number, field) = line.split_at_checked(at)?;
    Some((MessageNumber::parse(number)?, UniqueIdBuf::from_field(field.get(1..)?)?))
}

#[cfg(test)]
mod tests {
    use super::{FILE, Shown};
    use crate::types::{MessageNumber, UniqueId};

    #[test]
    fn what_was_shown_reads_back() {
        let home = tempfile::tempdir().unwrap();
        let entry =
            |number, id: &[u8]| (MessageNumber::new(number).unwrap(), UniqueId::new(id).unwrap().to_buf());
        let shown = Shown([entry(1, b"a"), entry(7, b"\xff %x\x1b"), entry(30_000, b"-")].into());
        shown.save(home.path()).unwrap();
        assert_eq!(Shown::load(home.path()), Shown::default(), "without a ledger nothing is written");
        std::fs::write(home.path().join("ledger"), "").unwrap();
        shown.save(home.path()).unwrap();
        assert_eq!(Shown::load(home.path()), shown);
        std::fs::write(home.path().join(FILE), b"x\n1\n1 %\n0 a\n2 %zz\n3 c\n\xff\n4 d").unwrap();
        assert_eq!(Shown::load(home.path()), Shown([entry(3, b"c"), entry(4, b"d")].into()));
    }

    /// Anything may stand in its place.
    #[test]
    fn what_cannot_be_ours_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE);
        std::fs::write(&path, b"3 c\n").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(super::LONGEST + 1).unwrap();
        assert_eq!(Shown::load(home.path()), Shown::default());
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        assert_eq!(Shown::load(home.path()), Shown::default());
    }

    #[cfg(feature = "crash-points")]
    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        use crate::durable::{Step, trial::steps};
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("ledger"), "").unwrap();
        std::fs::write(home.path().join("shown.new"), "left by a crash").unwrap();
        let shown = Shown([(MessageNumber::FIRST, UniqueId::new(b"a").unwrap().to_buf())].into());
        shown.save(home.path()).unwrap();
        let (refused, _) = steps(|step, _| step == Step::Write, || Shown::default().save(home.path()));
        assert!(refused.is_err() && !home.path().join("shown.new").exists());
        assert_eq!(Shown::load(home.path()), shown);
    }
}
