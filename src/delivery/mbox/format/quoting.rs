//! The quoting of mboxrd: what begins with `>*From ` gets one more `>`.

use memchr::{memmem, memrchr};

use crate::delivery::Error;
use crate::delivery::mbox::from_line::FROM;
use crate::delivery::sink::Sink;

/// Quotes every line of the form `>*From ` by one more `>`.
///
/// The `>` may go anywhere into the line's run of them: so it goes in behind, and a run of any length can be passed on
/// before it's known whether `From ` follows.
#[derive(Debug)]
pub(super) struct Quoting {
    /// Octets of `From ` that are held back, at the start of a line of which only `>` has passed; `None` elsewhere.
    held: Option<usize>,
}

impl Default for Quoting {
    fn default() -> Self {
        Self { held: Some(0) }
    }
}

impl Quoting {
    pub(super) fn feed<S: Sink + ?Sized>(&mut self, text: &[u8], sink: &mut S) -> Result<(), Error> {
        let mut rest = text;
        while let Some(held) = self.held {
            let Some((octet, after)) = rest.split_first() else { return Ok(()) };
            if FROM.get(held) == Some(octet) {
                rest = after;
                self.held = (held + 1 < FROM.len()).then_some(held + 1);
                if self.held.is_none() {
                    put(b">From ", sink)?;
                }
            } else if held == 0 && *octet == b'>' {
                rest = after;
                put(b">", sink)?;
            } else {
                self.held = None;
                put(FROM.get(..held).unwrap_or_default(), sink)?;
            }
        }
        let mut copied = 0;
        for hit in memmem::find_iter(rest, FROM) {
            // `rest` begins inside a line, so that a From_ line has its LF here.
            let before = rest.get(..hit).unwrap_or_default().iter().rfind(|octet| **octet != b'>');
            if before == Some(&b'\n') {
                put(rest.get(copied..hit).unwrap_or_default(), sink)?;
                put(b">", sink)?;
                copied = hit;
            }
        }
        let rest = rest.get(copied..).unwrap_or_default();
        let (passed, held) = match memrchr(b'\n', rest) {
            Some(at) => {
                let line = rest.get(at + 1..).unwrap_or_default();
                let quotes = line.iter().take_while(|octet| **octet == b'>').count();
                let word = line.get(quotes..).unwrap_or_default();
                if word.len() < FROM.len() && FROM.starts_with(word) {
                    (rest.len() - word.len(), Some(word.len()))
                } else {
                    (rest.len(), None)
                }
            }
            None => (rest.len(), None),
        };
        self.held = held;
        put(rest.get(..passed).unwrap_or_default(), sink)
    }

    pub(super) fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), Error> {
        let held = self.held.take().unwrap_or(0);
        put(FROM.get(..held).unwrap_or_default(), sink)
    }
}

fn put<S: Sink + ?Sized>(octets: &[u8], sink: &mut S) -> Result<(), Error> {
    if octets.is_empty() { Ok(()) } else { sink.put(octets) }
}

/// A sink behind the quoting.
pub(super) struct Quoted<'a, S: ?Sized> {
    pub(super) quoting: &'a mut Quoting,
    pub(super) sink: &'a mut S,
}

impl<S: Sink + ?Sized> Sink for Quoted<'_, S> {
    fn put(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.quoting.feed(octets, self.sink)
    }

    // Whole lines, or the beginning of one: nothing is held back then.
    fn leave_out(&mut self, octets: &[u8]) {
        self.sink.leave_out(octets);
    }
}
