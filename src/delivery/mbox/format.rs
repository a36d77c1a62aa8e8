//! The form of an mbox entry (mboxrd): a From_ line, the message with every `>*From ` line quoted by one more `>`, and
//! an empty line (RFC 4155; `docs/protocol.md` §8.2).
//!
//! Everything here streams, in whatever pieces the text comes; the pieces never show in what comes out.  It must not
//! know files or locks.
//!
//! Two things of a message are left out, and nothing else ever is: fields by which readers keep their own state (a sender
//! could otherwise set flags, or hide the next message behind a `Content-Length`), and a first line that is a From_ line
//! itself ([`super::from_line`]).  Each entry is read back while it is written ([`super::read_back`]), and is refused
//! unless it gives back, with what was left out, the message that came.

use memchr::{memchr, memmem, memrchr};

use super::from_line::{self, is_from_line};
use super::read_back::{Observed, ReadBack};
use crate::delivery::Error;
use crate::message::{self, Digest, Facts};

/// What every entry begins with.
pub(super) const FROM: &[u8] = b"From ";

/// Fields that readers of an mbox believe, and that nobody else may therefore write.
const DROPPED: [&str; 8] =
    ["Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "Lines"];

/// The longest of [`DROPPED`].
const LONGEST_NAME: usize = 14;

/// So many octets of a line are looked at to find a field's name, colon and blanks included.  A name with more white
/// space before its colon is no field that anyone writes or reads: it's kept.
const LOOK: usize = 8 * 1024;

/// So much of a header is held back to find the envelope sender, which stands in the From_ line and so comes first.
const HEADER_HELD: usize = 64 * 1024;

/// Where octets go.
pub(crate) trait Sink {
    /// Takes the next octets.
    fn put(&mut self, octets: &[u8]) -> Result<(), Error>;

    /// These would have been next, and are left out.
    fn leave_out(&mut self, _: &[u8]) {}
}

impl Sink for Vec<u8> {
    fn put(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.extend_from_slice(octets);
        Ok(())
    }
}

/// Makes one message, in text form, an entry of an mbox.
#[derive(Debug)]
pub(crate) struct Formatter {
    date: String,
    /// Lines of ours, above the message.
    prefix: Vec<u8>,
    /// The header as far as it has come; `None` once the From_ line is written.
    held: Option<Vec<u8>>,
    /// The message's first line as far as it has come; `None` once it's known what it is.
    first: Option<Vec<u8>>,
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
            first: Some(Vec::new()),
            header: HeaderFilter::new(None),
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
    /// What the sink says; or that what was written isn't the message of which `facts` tells.
    pub(crate) fn finish<S: Sink + ?Sized>(mut self, facts: &Facts, sink: &mut S) -> Result<(), Error> {
        if let Some(held) = self.held.take() {
            self.begin(&held, sink)?;
            self.pass(&held, sink)?;
        }
        if let Some(first) = self.first.take() {
            self.first_line(&first, sink)?;
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
        // Readers find the date behind the first space.
        let fit = !sender.is_empty() && !sender.chars().any(|c| c.is_whitespace() || c.is_control());
        let sender = if fit { sender.as_str() } else { "MAILER-DAEMON" };
        sink.put(format!("From {sender} {}\n", self.date).as_bytes())?;
        sink.put(&std::mem::take(&mut self.prefix))
    }

    fn pass<S: Sink + ?Sized>(&mut self, text: &[u8], sink: &mut S) -> Result<(), Error> {
        let mut text = text;
        if let Some(mut first) = self.first.take() {
            let room = from_line::LONGEST.saturating_sub(first.len()).min(text.len());
            let end = memchr(b'\n', text.get(..room).unwrap_or(text)).map(|at| at + 1);
            let (now, later) = text.split_at_checked(end.unwrap_or(room)).unwrap_or((text, b""));
            first.extend_from_slice(now);
            if end.is_none() && first.len() < from_line::LONGEST {
                self.first = Some(first);
                return Ok(());
            }
            self.first_line(&first, sink)?;
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
        // Some gateway has quoted it, and readers know it so on top of a header, but not quoted once more: they would take
        // the header for text.  A From_ line on top, of which it could be the quotation, is left out.
        if line.strip_prefix(b">").is_some_and(is_from_line) && line.ends_with(b"\n") {
            self.read_back.verbatim(line);
            return sink.put(line);
        }
        let observed = &mut Observed { read_back: &mut self.read_back, sink };
        self.header.feed(line, &mut Quoted { quoting: &mut self.quoting, sink: observed })
    }
}

/// Where the first empty line ends; everything before `seen` is known to hold none.
fn header_end(text: &[u8], seen: usize) -> Option<usize> {
    if text.first() == Some(&b'\n') {
        return Some(1);
    }
    let at = memmem::find(text.get(seen..)?, b"\n\n")?;
    Some(seen + at + 2)
}

/// What the first line is, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstLine {
    /// The entry's own From_ line: kept.
    IsFrom,
}

/// Drops the fields of [`DROPPED`], with their continuation lines, from the header; lets the body pass.
#[derive(Debug)]
struct HeaderFilter {
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
    fn new(first: Option<FirstLine>) -> Self {
        Self { first, at: At::LineStart, partial: Vec::new(), dropping: false }
    }

    fn feed<S: Sink + ?Sized>(&mut self, mut text: &[u8], sink: &mut S) -> Result<(), Error> {
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
    fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), Error> {
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

/// Quotes every line of the form `>*From ` by one more `>`.
///
/// The `>` may go anywhere into the line's run of them: so it goes in behind, and a run of any length can be passed on
/// before it's known whether `From ` follows.
#[derive(Debug)]
struct Quoting {
    /// Octets of `From ` that are held back, at the start of a line of which only `>` has passed; `None` elsewhere.
    held: Option<usize>,
}

impl Default for Quoting {
    fn default() -> Self {
        Self { held: Some(0) }
    }
}

impl Quoting {
    fn feed<S: Sink + ?Sized>(&mut self, text: &[u8], sink: &mut S) -> Result<(), Error> {
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

    fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), Error> {
        let held = self.held.take().unwrap_or(0);
        put(FROM.get(..held).unwrap_or_default(), sink)
    }
}

fn put<S: Sink + ?Sized>(octets: &[u8], sink: &mut S) -> Result<(), Error> {
    if octets.is_empty() { Ok(()) } else { sink.put(octets) }
}

/// A sink behind the quoting.
struct Quoted<'a, S: ?Sized> {
    quoting: &'a mut Quoting,
    sink: &'a mut S,
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

/// By what an entry is known again after a reader has rewritten the mbox: a digest that leaves out what readers change,
/// the fields of [`DROPPED`] and the number of line ends at its end.  The From_ line counts: an equal message delivered
/// at another time is another delivery, and taking it for this one would lose this one.
#[derive(Debug)]
pub(super) struct Fingerprint {
    filter: HeaderFilter,
    body: TrimmedHasher,
}

impl Fingerprint {
    pub(super) fn new() -> Self {
        Self {
            filter: HeaderFilter::new(Some(FirstLine::IsFrom)),
            body: TrimmedHasher { hasher: blake3::Hasher::new(), line_ends: 0 },
        }
    }

    /// More of the entry.
    pub(super) fn feed(&mut self, entry: &[u8]) -> Result<(), Error> {
        self.filter.feed(entry, &mut self.body)
    }

    /// The entry is whole.
    pub(super) fn finish(mut self) -> Result<Digest, Error> {
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

#[cfg(test)]
mod tests {
    use super::{DROPPED, Fingerprint, Formatter, HEADER_HELD, Sink, is_from_line};
    use crate::delivery::Error;
    use crate::message::{Digest, Examiner};
    use proptest::prelude::*;

    const DATE: &str = "Thu Jan  1 00:00:00 1970";

    fn entry(text: &[u8], chunk: usize) -> Vec<u8> {
        entry_under(b"", text, chunk)
    }

    fn entry_under(prefix: &[u8], text: &[u8], chunk: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut formatter = Formatter::new(DATE.to_owned());
        formatter.prepend(prefix);
        for piece in text.chunks(chunk.max(1)) {
            formatter.feed(piece, &mut out).unwrap();
        }
        let mut examiner = Examiner::new(prefix);
        examiner.update(text);
        formatter.finish(&examiner.finish(), &mut out).unwrap();
        out
    }

    fn fingerprint(entry: &[u8], chunk: usize) -> Digest {
        let mut fingerprint = Fingerprint::new();
        entry.chunks(chunk).for_each(|piece| fingerprint.feed(piece).unwrap());
        fingerprint.finish().unwrap()
    }

    /// What a reader of mboxrd makes of an entry.
    fn unquoted(entry: &[u8], verbatim: bool) -> Vec<u8> {
        let body = entry.strip_suffix(b"\n").unwrap();
        let mut out = Vec::new();
        for (number, line) in body.split_inclusive(|octet| *octet == b'\n').skip(1).enumerate() {
            let quotes = line.iter().take_while(|octet| **octet == b'>').count();
            let verbatim = verbatim && number == 0;
            out.extend_from_slice(if quotes > 0 && !verbatim && line[quotes..].starts_with(b"From ") {
                &line[1..]
            } else {
                line
            });
        }
        out
    }

    /// The message without what an mbox doesn't take, found line by line.
    fn without_dropped(text: &[u8]) -> Vec<u8> {
        let (mut out, mut body, mut dropping) = (Vec::new(), false, false);
        for (number, line) in text.split_inclusive(|octet| *octet == b'\n').enumerate() {
            body |= line == b"\n";
            let continued = line.starts_with(b" ") || line.starts_with(b"\t");
            if !body && !continued {
                let text = String::from_utf8_lossy(line).to_ascii_lowercase();
                dropping = text.split_once(':').is_some_and(|(name, _)| {
                    DROPPED.iter().any(|d| d.eq_ignore_ascii_case(name.trim_end_matches([' ', '\t'])))
                });
            }
            let from = number == 0 && is_from_line(line);
            if body || !(dropping || from) {
                out.extend_from_slice(line);
            } else if let Some(cr) = line.iter().position(|octet| *octet == b'\r' && !from) {
                dropping = false;
                out.extend_from_slice(&line[cr..]);
            }
        }
        out
    }

    #[test]
    fn entries() {
        let cases: [(&str, &str, &str); 25] = [
            ("plain", "A: b\n\nbody\n", "A: b\n\nbody\n\n"),
            (
                "M3",
                "A: b\n\nFrom x\n>From x\n>>From x\n From\nfrom x\nFrom\nx From y\n",
                "A: b\n\n>From x\n>>From x\n>>>From x\n From\nfrom x\nFrom\nx From y\n\n",
            ),
            (
                "M7",
                "Content-Length: 5\nstatus: RO\n and more\nX-IMAPBASE : 1 2\nSubject: s\n t\nX-Status-Else: k\nLines: 3\n\nStatus: body\n",
                "Subject: s\n t\nX-Status-Else: k\n\nStatus: body\n\n",
            ),
            ("M7, folded at the top", "Lines: 1\n 2\n\t3\nA: b\n\n", "A: b\n\n\n"),
            (
                "R10",
                "From x Thu Jan  1 00:00:00 1970\nFrom y\nA: b\n\nFrom z\n",
                ">From y\nA: b\n\n>From z\n\n",
            ),
            (
                "R10, two of them",
                "From x Thu Jan  1 00:00:00 1970\nFrom x Thu Jan  1 00:00:00 1970\n\n",
                ">From x Thu Jan  1 00:00:00 1970\n\n\n",
            ),
            ("R10, nothing else", "From x Thu Jan  1 00:00:00 1970\n", "\n"),
            ("R10, before a blank", "From x Thu Jan  1 00:00:00 1970\n b\nLines: 1\n\n", " b\n\n\n"),
            (
                "R10, quoted by a gateway",
                ">From x Thu Jan  1 00:00:00 1970 remote from y\nA: b\n\n>From z Thu Jan  1 00:00:00 1970\n",
                ">From x Thu Jan  1 00:00:00 1970 remote from y\nA: b\n\n>>From z Thu Jan  1 00:00:00 1970\n\n",
            ),
            (
                "a field in an old spelling",
                "From  : A <a@b>\nTo: c\n\nd\n",
                ">From  : A <a@b>\nTo: c\n\nd\n\n",
            ),
            ("a text", "From here on\nall is well\n", ">From here on\nall is well\n\n"),
            ("a text, quoted", ">From here on\n", ">>From here on\n\n"),
            ("a field without an end", "From ", ">From \n\n"),
            ("lines end in CR", "From: a\rTo: b\r\rFrom c\r\n", "From: a\rTo: b\r\rFrom c\r\n\n"),
            (
                "lines end in CR, From_ line first",
                "From x Thu Jan  1 00:00:00 1970\rTo: b\r\rbody\r\n",
                ">From x Thu Jan  1 00:00:00 1970\rTo: b\r\rbody\r\n\n",
            ),
            (
                "lines end in CR, a dropped field first",
                "Status: RO\rTo: b\r\rbody\r\n more\nA: b\n\n",
                "\rTo: b\r\rbody\r\n more\nA: b\n\n\n",
            ),
            ("blanks before the colon", "Lines                             : 1\nLines\n\n", "Lines\n\n\n"),
            ("F12", "", "\n"),
            ("F13", "A: b\n", "A: b\n\n"),
            ("F13, dropped to the last", "Status: O\n", "\n"),
            ("empty body", "A: b\n\n", "A: b\n\n\n"),
            ("no last line end", "A: b\n\nFro", "A: b\n\nFro\n\n"),
            ("no last line end, header", "A: b\nStat", "A: b\nStat\n\n"),
            ("no header", "\nFrom x\n", "\n>From x\n\n"),
            ("header isn't one", ">From x\n>\n>>>\n", ">>From x\n>\n>>>\n\n"),
        ];
        for (name, text, expected) in cases {
            for chunk in 1..=text.len().max(1) {
                let expected = format!("From MAILER-DAEMON {DATE}\n{expected}");
                let out = String::from_utf8(entry(text.as_bytes(), chunk)).unwrap();
                assert_eq!(out, expected, "{name} by {chunk}");
            }
        }
    }

    /// With a line of ours above it, a From_ line is as much on top of the message as without.
    #[test]
    fn a_line_of_ours_stands_above_the_message() {
        let ours = "Received: from a by b\n\twith POP3; now\n";
        let cases = [
            (
                "From x Thu Jan  1 00:00:00 1970\nReturn-Path: <a@b>\nStatus: O\n\nb\n",
                "Return-Path: <a@b>\n\nb\n\n",
            ),
            ("From here on\n", ">From here on\n\n"),
            ("", "\n"),
        ];
        for (text, expected) in cases {
            for chunk in 1..=text.len().max(1) {
                let out = String::from_utf8(entry_under(ours.as_bytes(), text.as_bytes(), chunk)).unwrap();
                let sender = if text.contains("<a@b>") { "a@b" } else { "MAILER-DAEMON" };
                assert_eq!(out, format!("From {sender} {DATE}\n{ours}{expected}"), "{text:?} by {chunk}");
            }
        }
    }

    /// What is about to be written is compared with what came.
    #[test]
    fn an_entry_that_is_not_the_message_is_refused() {
        struct Nowhere;
        impl Sink for Nowhere {
            fn put(&mut self, _: &[u8]) -> Result<(), Error> {
                Ok(())
            }
        }
        let came = b"A: b\nLines: 1\n\nFrom me\n>From you\nto us\n".as_slice();
        let mut examiner = Examiner::new(b"");
        examiner.update(came);
        let facts = examiner.finish();
        let finish = |text: &[u8]| {
            let mut formatter = Formatter::new(DATE.to_owned());
            formatter.feed(text, &mut Nowhere).unwrap();
            formatter.finish(&facts, &mut Nowhere)
        };
        finish(came).unwrap();
        for at in 0..came.len() {
            let (mut less, mut other) = (came.to_vec(), came.to_vec());
            less.remove(at);
            other[at] ^= 1;
            // Only what a field says that servers change doesn't show.
            let unseen = (5..13).contains(&at);
            assert!(finish(&less).is_err(), "without {at}");
            assert!(unseen || finish(&other).is_err(), "changed {at}");
        }
    }

    #[test]
    fn the_from_line_names_the_sender() {
        let cases = [
            ("Return-Path: <a@b.example>\n\n", "a@b.example"),
            ("X: y\nReturn-Path: <a@b.example>\n\n", "a@b.example"),
            ("Return-Path: <>\n\n", "MAILER-DAEMON"),
            ("Return-Path: <a b@c>\n\n", "MAILER-DAEMON"),
            ("X: y\n\nReturn-Path: <a@b.example>\n", "MAILER-DAEMON"),
        ];
        for (text, sender) in cases {
            for chunk in 1..=text.len() {
                assert!(
                    entry(text.as_bytes(), chunk).starts_with(format!("From {sender} ").as_bytes()),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn an_endless_header_is_not_held_for_ever() {
        let mut formatter = Formatter::new(DATE.to_owned());
        let mut out = Vec::new();
        for _ in 0..HEADER_HELD / 512 {
            formatter.feed(&[b'x'; 512], &mut out).unwrap();
        }
        assert!(out.len() >= HEADER_HELD);
    }

    #[test]
    fn a_rewritten_entry_is_known_again() {
        let ours = b"From a Thu\nSubject: s\n\nbody\n\n".as_slice();
        let same: [&[u8]; 3] = [
            b"From a Thu\nSubject: s\nStatus: RO\nX-UID: 5\n\nbody\n\n",
            b"From a Thu\nX-IMAPbase: 1 2\n 3\nSubject: s\nContent-Length: 5\nLines: 1\n\nbody\n\n\n",
            b"From a Thu\nSubject: s\n\nbody\n",
        ];
        let other: [&[u8]; 4] = [
            b"From a Fri\nSubject: s\n\nbody\n\n",
            b"From a Thu\nSubject: s\n\n\nbody\n\n",
            b"From a Thu\nSubject: s\n\nStatus: O\nbody\n\n",
            b"From a Thu\nSubject: s\n\nbod",
        ];
        for chunk in 1..ours.len() {
            let digest = fingerprint(ours, chunk);
            assert!(same.iter().all(|entry| fingerprint(entry, chunk) == digest));
            assert!(other.iter().all(|entry| fingerprint(entry, chunk) != digest));
        }
    }

    /// Messages made of what matters here.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("From "),
            Just("Fro"),
            Just(">"),
            Just(">>>"),
            Just("\n"),
            Just("\n\n"),
            Just("\n"),
            Just(" "),
            Just("Status"),
            Just("Lines"),
            Just(":"),
            Just("\n\tmore"),
            Just("X-IMAP"),
            Just("base"),
            Just("x"),
            Just("content-LENGTH \t: 1"),
            Just("\0\r"),
            Just("From a Thu Jan  1 00:00:00 1970"),
            Just("From Thu Jan  1 00:00 1970 +0100\n"),
            Just("             "),
            Just("\u{fc}"),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| {
            let mut text = pieces.concat().into_bytes();
            if text.last().is_some_and(|octet| *octet != b'\n') {
                text.push(b'\n');
            }
            text
        })
    }

    proptest! {
        #[test]
        fn chunks_never_show(text in text(), chunk in 1_usize..9) {
            prop_assert_eq!(entry(&text, chunk), entry(&text, usize::MAX));
        }

        #[test]
        fn unquoting_gives_the_message_back(text in text()) {
            let entry = entry(&text, usize::MAX);
            let first = text.split_inclusive(|octet| *octet == b'\n').next().unwrap_or_default();
            let verbatim = first.strip_prefix(b">").is_some_and(is_from_line);
            prop_assert_eq!(unquoted(&entry, verbatim), without_dropped(&text));
            prop_assert!(entry.ends_with(b"\n\n"));
            prop_assert_eq!(entry.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"From ")).count(), 1);
        }
    }
}
