//! The form of an mbox entry (mboxrd): a From_ line, the message with every `>*From ` line quoted by one more `>`, and
//! an empty line (RFC 4155; `docs/protocol.md` §8.2).
//!
//! Everything here streams, in whatever pieces the text comes; the pieces never show in what comes out.  It must not
//! know files or locks.
//!
//! Two things of a message are left out, and nothing else ever is.  One is fields by which readers keep their own
//! state: a sender could otherwise set flags, or hide the next message behind a `Content-Length`.  The other is a
//! first line that is a From_ line itself ([`super::from_line`]).  Each entry is read back while it is written
//! ([`super::read_back`]), and is refused unless it gives back, with what was left out, the message that came.

mod fingerprint;
mod header;
mod quoting;
#[cfg(test)]
mod tests;

use memchr::memchr;

pub(super) use self::fingerprint::EntryFingerprint;
use self::header::HeaderFilter;
use self::quoting::{Quoted, Quoting};
use super::from_line::{self, is_from_line};
use super::read_back::{Observed, ReadBack};
use crate::delivery::Error;
use crate::delivery::sink::Sink;
use crate::message::header_lines::{HEADER_HELD, header_end};
use crate::message::{self, Facts};

/// Makes one message, in text form, an entry of an mbox.
#[derive(Debug)]
pub(crate) struct Formatter {
    date: String,
    /// Lines of ours, above the message.
    prefix: Vec<u8>,
    /// The header as far as it has come; `None` once the From_ line is written.
    held: Option<Vec<u8>>,
    /// Whether the message's first line is still to come.
    first: bool,
    header: HeaderFilter,
    quoting: Quoting,
    read_back: ReadBack,
}

impl Formatter {
    /// For a message that is delivered at `date` (24 characters of `asctime`, UTC).
    pub(crate) fn new(date: String) -> Self {
        Self {
            date,
            prefix: Vec::new(),
            held: Some(Vec::new()),
            first: true,
            header: HeaderFilter::new(),
            quoting: Quoting::default(),
            read_back: ReadBack::default(),
        }
    }

    /// Header lines of ours, whole, that stand above the message; before any of it has come.
    pub(crate) fn prepend(&mut self, prefix: &[u8]) {
        self.prefix.extend_from_slice(prefix);
    }

    /// More of the message.
    pub(crate) fn feed<S: Sink + ?Sized>(&mut self, text: &[u8], sink: &mut S) -> Result<(), Error> {
        let Some(mut held) = self.held.take() else { return self.pass(text, sink) };
        // Commonly the whole header comes at once, and nothing need be copied.
        if held.is_empty()
            && let Some(end) = header_end(text, 0)
        {
            self.begin(text.get(..end).unwrap_or(text), sink)?;
            return self.pass(text, sink);
        }
        let seen = held.len().saturating_sub(1);
        let (now, later) =
            text.split_at_checked(HEADER_HELD.saturating_sub(held.len())).unwrap_or((text, b""));
        held.extend_from_slice(now);
        let end = header_end(&held, seen);
        if end.is_none() && held.len() < HEADER_HELD {
            self.held = Some(held);
            return Ok(());
        }
        self.begin(held.get(..end.unwrap_or(held.len())).unwrap_or(&held), sink)?;
        self.pass(&held, sink)?;
        self.pass(later, sink)
    }

    /// The message is whole: what was held back, a line end if the last line has none, and the empty line.
    ///
    /// # Errors
    /// The sink's error; or that what was written isn't the message that `facts` describes.
    pub(crate) fn finish<S: Sink + ?Sized>(mut self, facts: &Facts, sink: &mut S) -> Result<(), Error> {
        if let Some(held) = self.held.take() {
            self.begin(&held, sink)?;
            self.pass(&held, sink)?;
        }
        let observed = &mut Observed { read_back: &mut self.read_back, sink };
        self.header.finish(&mut Quoted { quoting: &mut self.quoting, sink: observed })?;
        self.quoting.finish(observed)?;
        let last = self.read_back.last();
        self.read_back.finish(facts)?;
        sink.put(if last == b'\n' { b"\n" } else { b"\n\n" })
    }

    fn begin<S: Sink + ?Sized>(&mut self, header: &[u8], sink: &mut S) -> Result<(), Error> {
        let sender = message::sender(header);
        // Readers find the date behind the first space, of which a sender has none ([`Facts::sender`]).
        let sender = if sender.is_empty() { "MAILER-DAEMON" } else { sender.as_str() };
        sink.put(format!("From {sender} {}\n", self.date).as_bytes())?;
        let prefix = std::mem::take(&mut self.prefix);
        self.read_back.verbatim(&prefix);
        sink.put(&prefix)
    }

    fn pass<S: Sink + ?Sized>(&mut self, text: &[u8], sink: &mut S) -> Result<(), Error> {
        let mut text = text;
        if std::mem::take(&mut self.first) {
            // It came with the header, or the beginning of one that is longer than any From_ line, or is all there is.
            let beginning = text.get(..from_line::LONGEST).unwrap_or(text);
            let end = memchr(b'\n', beginning).map_or(beginning.len(), |at| at + 1);
            let (first, later) = text.split_at_checked(end).unwrap_or((text, b""));
            self.first_line(first, sink)?;
            text = later;
        }
        let observed = &mut Observed { read_back: &mut self.read_back, sink };
        self.header.feed(text, &mut Quoted { quoting: &mut self.quoting, sink: observed })
    }

    /// Deals with the message's first line, or as much of it as may have been a From_ line.
    fn first_line<S: Sink + ?Sized>(&mut self, line: &[u8], sink: &mut S) -> Result<(), Error> {
        if is_from_line(line) {
            // Never two of them.
            self.read_back.left_out(line);
            return Ok(());
        }
        // Some gateway has quoted it, and readers know it so on top of a header, but not quoted again: they would take
        // the header for text.  A From_ line on top, of which it could be the quotation, is left out.
        if line.strip_prefix(b">").is_some_and(is_from_line) && line.ends_with(b"\n") {
            self.read_back.verbatim(line);
            return sink.put(line);
        }
        let observed = &mut Observed { read_back: &mut self.read_back, sink };
        self.header.feed(line, &mut Quoted { quoting: &mut self.quoting, sink: observed })
    }
}
