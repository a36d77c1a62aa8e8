//! A whole message, waiting to be handed over: small ones in memory, others in a file without a name beside the ledger.
//! In text form (LF line ends), as it will be handed over.  It need not survive: a message that was not handed over comes
//! again from the server.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::delivery::Error;
use crate::durable;
use crate::message::Facts;
use crate::place::Spooled;
use crate::types::wide;

/// Larger messages go to a file.
const IN_MEMORY: usize = 256 * 1024;

/// Octets that are written at a time.
const BUFFER: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
    file: Option<File>,
    /// All of it, or what is still to be written to the file.
    buffer: Vec<u8>,
    in_memory: usize,
    octets: u64,
    /// Octets that have been written to the file.
    written: u64,
}

impl Spool {
    /// An empty one; a file it may need is made in `directory`.  Up to `spare` octets it may stay in memory, but never more
    /// than 256 KiB.
    #[must_use]
    pub(crate) fn new(directory: &Path, spare: usize) -> Self {
        Self {
            directory: directory.to_owned(),
            file: None,
            buffer: Vec::new(),
            in_memory: spare.min(IN_MEMORY),
            octets: 0,
            written: 0,
        }
    }

    /// More of the message.
    ///
    /// # Errors
    /// When the file cannot be made or written.
    pub(crate) fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        self.octets = self.octets.saturating_add(wide(text.len()));
        let limit = if self.file.is_some() { BUFFER } else { self.in_memory };
        if self.buffer.len() + text.len() <= limit {
            self.buffer.extend_from_slice(text);
            return Ok(());
        }
        self.flush()?;
        if text.len() < BUFFER {
            self.buffer.extend_from_slice(text);
            return Ok(());
        }
        self.write_through(text)
    }

    /// Octets so far.
    #[must_use]
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// The message is whole.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn finish(mut self) -> Result<Spooled, Error> {
        if self.file.is_some() {
            self.flush()?;
        }
        Ok(match self.file {
            Some(file) => Spooled::File(file),
            None => Spooled::Memory(self.buffer),
        })
    }

    /// As [`Spool::finish`], of a message that is handed over as it came, under lines of ours.
    ///
    /// # Errors
    /// When the file cannot be written, or what was spooled is not the message that `facts` describes.
    pub(crate) fn finish_as(mut self, facts: &Facts) -> Result<Spooled, Error> {
        if self.file.is_some() {
            self.flush()?;
        }
        // An octet lost between two buffers.
        if self.written.saturating_add(wide(self.buffer.len())) != facts.stored_octets {
            return Err(Error::differs());
        }
        self.finish()
    }

    /// Everything collected goes to the file.
    fn flush(&mut self) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write_through(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        // From now on a small buffer will do.
        self.buffer.shrink_to(BUFFER);
        Ok(())
    }

    fn write_through(&mut self, text: &[u8]) -> Result<(), Error> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(durable::create_unnamed(&self.directory)?),
        };
        durable::write(file, &self.directory, text)?;
        self.written = self.written.saturating_add(wide(text.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{IN_MEMORY, Spool};
    use crate::place::Spooled;
    use std::io::{Read as _, Seek as _};

    #[test]
    fn small_ones_stay_in_memory_and_none_changes() {
        let home = tempfile::tempdir().unwrap();
        for (octets, spare, file) in [
            (0, usize::MAX, false),
            (1000, usize::MAX, false),
            (IN_MEMORY, usize::MAX, false),
            (IN_MEMORY + 1, usize::MAX, true),
            (1_000_000, usize::MAX, true),
            (1000, 999, true),
            (0, 0, false),
            (1, 0, true),
        ] {
            let text: Vec<u8> = (0..=250_u8).cycle().take(octets).collect();
            for chunk in [1000, 70_000, usize::MAX] {
                let mut spool = Spool::new(home.path(), spare);
                text.chunks(chunk).for_each(|piece| spool.write(piece).unwrap());
                assert_eq!(spool.octets(), octets as u64);
                let found = match spool.finish().unwrap() {
                    Spooled::Memory(found) if !file => found,
                    Spooled::File(mut it) if file => {
                        let mut found = Vec::new();
                        it.rewind().unwrap();
                        it.read_to_end(&mut found).unwrap();
                        found
                    }
                    other => panic!("{octets} octets with {spare} to spare: {other:?}"),
                };
                assert!(found == text, "{octets} by {chunk}");
            }
        }
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
