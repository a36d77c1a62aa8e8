//! The fields of a header that an mbox must not take from a message.

use memchr::memchr;

use super::Sink;
use crate::delivery::Error;

/// Fields that readers of an mbox believe, and that nobody else may therefore write.
pub(super) const DROPPED: [&str; 8] =
    ["Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "Lines"];

/// The longest of [`DROPPED`].
const LONGEST_NAME: usize = 14;

/// So many octets of a line are looked at to find a field's name, colon and blanks included.  A name with more white
/// space before its colon is no field that anyone writes or reads: it's kept.
const LOOK: usize = 8 * 1024;

/// What the first line is, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstLine {
    /// The entry's own From_ line: kept.
    IsFrom,
}

/// Drops the fields of [`DROPPED`], with their continuation lines, from the header; lets the body pass.
#[derive(Debug)]
pub(super) struct HeaderFilter {
    first: Option<FirstLine>,
    at: At,
    /// The start of a line that is too short to judge.
    partial: Vec<u8>,
    /// Whether the last field was dropped: its continuation lines go with it.
    dropping: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    KeptLine,
    DroppedLine,
    Body,
}

impl HeaderFilter {
    pub(super) fn new(first: Option<FirstLine>) -> Self {
        Self { first, at: At::LineStart, partial: Vec::new(), dropping: false }
    }

    pub(super) fn feed<S: Sink + ?Sized>(&mut self, mut text: &[u8], sink: &mut S) -> Result<(), Error> {
        while !text.is_empty() {
            if self.at == At::Body {
                return sink.put(text);
            }
            let end = memchr(b'\n', text).map_or(text.len(), |at| at + 1);
            let (line, rest) = text.split_at_checked(end).unwrap_or((text, b""));
            if self.at == At::LineStart && self.partial.is_empty() {
                text = rest;
                match self.judge(line) {
                    Some(at) => self.act(at, line, sink)?,
                    None => self.partial.extend_from_slice(line),
                }
            } else if self.at == At::LineStart {
                let room = LOOK.saturating_sub(self.partial.len());
                let (more, rest) = text.split_at_checked(room.min(end)).unwrap_or((text, b""));
                text = rest;
                self.partial.extend_from_slice(more);
                if let Some(at) = self.judge(&self.partial) {
                    let start = std::mem::take(&mut self.partial);
                    self.act(at, &start, sink)?;
                }
            } else {
                text = rest;
                self.act(self.at, line, sink)?;
            }
        }
        Ok(())
    }

    /// The message is whole; a line without an end may still wait to be judged, and is no field without a colon.
    pub(super) fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), Error> {
        sink.put(&std::mem::take(&mut self.partial))
    }

    /// Deals with a line, or the next piece of one.
    fn act<S: Sink + ?Sized>(&mut self, at: At, piece: &[u8], sink: &mut S) -> Result<(), Error> {
        if self.at == At::LineStart {
            self.dropping = at == At::DroppedLine;
            self.first = None;
        }
        // Where lines end in a bare CR, the whole message looks like one field: what follows the CR isn't its value.
        let cut = if at == At::DroppedLine { memchr(b'\r', piece).unwrap_or(piece.len()) } else { 0 };
        let (dropped, kept) = piece.split_at_checked(cut).unwrap_or((piece, b""));
        let at = if kept.is_empty() || at == At::Body { at } else { At::KeptLine };
        self.dropping &= at == At::DroppedLine;
        sink.leave_out(dropped);
        self.at = match at {
            At::Body => At::Body,
            _ if piece.last() == Some(&b'\n') => At::LineStart,
            _ => at,
        };
        sink.put(kept)
    }

    /// What is to be done with the line that begins so; `None` when more of it must be seen.
    fn judge(&self, start: &[u8]) -> Option<At> {
        if start == b"\n" {
            return Some(At::Body);
        }
        if self.first == Some(FirstLine::IsFrom) {
            return Some(At::KeptLine);
        }
        let continued = matches!(start.first(), Some(b' ' | b'\t'));
        if continued {
            return Some(if self.dropping { At::DroppedLine } else { At::KeptLine });
        }
        let Some(end) = start.iter().position(|octet| !(octet.is_ascii_alphanumeric() || *octet == b'-'))
        else {
            return (start.len() > LONGEST_NAME).then_some(At::KeptLine);
        };
        let (name, after) = start.split_at_checked(end)?;
        if !DROPPED.iter().any(|dropped| dropped.as_bytes().eq_ignore_ascii_case(name)) {
            return Some(At::KeptLine);
        }
        let blanks = after.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        if end + blanks >= LOOK {
            return Some(At::KeptLine);
        }
        after.get(blanks).map(|octet| if *octet == b':' { At::DroppedLine } else { At::KeptLine })
    }
}
