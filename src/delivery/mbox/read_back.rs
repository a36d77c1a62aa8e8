//! Reads an entry back while it is written, as a reader of mboxrd will: the last look before a message counts as staged.
//! The caller that leaves something out names it; with that in its place it must be the message, octet by octet.

use memchr::memmem;

use super::from_line::FROM;
use crate::delivery::Error;
use crate::delivery::sink::Sink;
use crate::message::{Facts, Summing};

/// The message that has been written so far.
#[derive(Debug)]
pub(super) struct ReadBack {
    sum: Summing,
    /// At the start of a line: whether a `>` is held back, and how many octets of `From ` behind it.  `None` elsewhere.
    held: Option<(bool, usize)>,
    /// The last octet that was written.
    last: u8,
}

impl Default for ReadBack {
    fn default() -> Self {
        Self { sum: Summing::default(), held: Some((false, 0)), last: b'\n' }
    }
}

impl ReadBack {
    /// The message had these octets, which are not written: whole lines, or the beginning of one.
    pub(super) fn left_out(&mut self, octets: &[u8]) {
        self.sum.update(octets);
    }

    /// This line, with its end, is written as it is, and read so.
    pub(super) fn verbatim(&mut self, line: &[u8]) {
        self.sum.update(line);
    }

    /// The last octet written of the message; a line end where there is none yet.
    pub(super) fn last(&self) -> u8 {
        self.last
    }

    fn see(&mut self, octets: &[u8]) {
        self.last = octets.last().copied().unwrap_or(self.last);
        let mut rest = octets;
        loop {
            while let Some((quoted, word)) = self.held {
                let Some((octet, after)) = rest.split_first() else { return };
                if quoted && FROM.get(word) == Some(octet) {
                    rest = after;
                    self.held = (word + 1 < FROM.len()).then_some((true, word + 1));
                    if self.held.is_none() {
                        self.sum.update(FROM);
                    }
                } else if word == 0 && *octet == b'>' {
                    rest = after;
                    if quoted {
                        self.sum.update(b">");
                    }
                    self.held = Some((true, 0));
                } else {
                    if quoted {
                        self.sum.update(b">");
                    }
                    self.sum.update(FROM.get(..word).unwrap_or_default());
                    self.held = None;
                }
            }
            let end = memmem::find(rest, b"\n>").map(|at| at + 1);
            let (now, later) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, b""));
            self.sum.update(now);
            if now.ends_with(b"\n") {
                self.held = Some((false, 0));
            }
            if later.is_empty() {
                return;
            }
            rest = later;
        }
    }

    /// Compares it with the message that came.
    ///
    /// # Errors
    /// When it's another one.
    pub(super) fn finish(mut self, facts: &Facts) -> Result<(), Error> {
        if let Some((quoted, word)) = self.held.take() {
            self.sum.update(if quoted { b">" } else { b"" });
            self.sum.update(FROM.get(..word).unwrap_or_default());
        }
        if facts.sum == Some(self.sum.sum()) { Ok(()) } else { Err(Error::differs()) }
    }
}

/// A sink whose octets are read back.
pub(super) struct Observed<'a, S: ?Sized> {
    pub(super) read_back: &'a mut ReadBack,
    pub(super) sink: &'a mut S,
}

impl<S: Sink + ?Sized> Sink for Observed<'_, S> {
    fn put(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.read_back.see(octets);
        self.sink.put(octets)
    }

    fn leave_out(&mut self, octets: &[u8]) {
        self.read_back.left_out(octets);
    }
}
