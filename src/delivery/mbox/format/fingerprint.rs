//! An entry of an mbox, known again after a reader has rewritten it.

use super::header::HeaderFilter;
use crate::delivery::Error;
use crate::delivery::sink::Sink;
use crate::message::Digest;

/// By what an entry is known again after a reader has rewritten the mbox: a digest that leaves out what readers change,
/// the fields that [`super::header`] drops and the number of line ends at its end.  The From_ line counts: an equal message delivered
/// at another time is another delivery, and taking it for this one would lose this one.
#[derive(Debug)]
pub(in crate::delivery::mbox) struct EntryFingerprint {
    filter: HeaderFilter,
    body: TrimmedHasher,
}

impl EntryFingerprint {
    pub(in crate::delivery::mbox) fn new() -> Self {
        Self {
            filter: HeaderFilter::new(),
            body: TrimmedHasher { hasher: blake3::Hasher::new(), line_ends: 0 },
        }
    }

    /// More of the entry.
    pub(in crate::delivery::mbox) fn feed(&mut self, entry: &[u8]) -> Result<(), Error> {
        self.filter.feed(entry, &mut self.body)
    }

    /// The entry is whole.
    pub(in crate::delivery::mbox) fn finish(mut self) -> Result<Digest, Error> {
        self.filter.finish(&mut self.body)?;
        Ok(Digest::from_hasher(&self.body.hasher))
    }
}

/// Hashes all but the line ends at the end.
#[derive(Debug)]
struct TrimmedHasher {
    hasher: blake3::Hasher,
    line_ends: usize,
}

impl Sink for TrimmedHasher {
    fn put(&mut self, octets: &[u8]) -> Result<(), Error> {
        let kept = octets.iter().rposition(|octet| *octet != b'\n').map_or(0, |at| at + 1);
        if kept > 0 {
            for _ in 0..std::mem::take(&mut self.line_ends) {
                self.hasher.update(b"\n");
            }
            self.hasher.update(octets.get(..kept).unwrap_or_default());
        }
        self.line_ends = self.line_ends.saturating_add(octets.len() - kept);
        Ok(())
    }
}
