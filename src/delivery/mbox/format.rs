//! The form of an mbox entry (mboxrd): a From_ line, the message with every `>*From ` line quoted by one more `>`, and
//! an empty line (RFC 4155; `protocol.md` §9).
//!
//! Everything here streams, in whatever pieces the text comes; the pieces never show in what comes out.  It must not
//! know files or locks.
//!
//! Fields by which readers keep their own state are dropped from the header: a sender could otherwise set flags, or
//! hide the next message behind a `Content-Length`.

use memchr::{memchr, memmem, memrchr};

use crate::delivery::Error;
use crate::message::{self, Digest};

/// What every entry begins with.
pub(super) const FROM: &[u8] = b"From ";

/// Fields that readers of an mbox believe, and that nobody else may therefore write.
const DROPPED: [&str; 8] =
    ["Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "Lines"];

/// The longest of [`DROPPED`].
const LONGEST_NAME: usize = 14;

/// So many octets of a line are looked at to find a field's name.  A dropped name with more white space than that
/// before its colon is no field that anyone writes; it is dropped all the same.
const LOOK: usize = 1024;

/// So much of a header is held back to find the envelope sender, which stands in the From_ line and so comes first.
const HEADER_HELD: usize = 64 * 1024;

/// Where octets go.
pub(crate) trait Sink {
    /// Takes the next octets.
    fn put(&mut self, octets: &[u8]) -> Result<(), Error>;
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
    /// The header as far as it has come; `None` once the From_ line is written.
    held: Option<Vec<u8>>,
    header: HeaderFilter,
    quoting: Quoting,
}

impl Formatter {
    /// For a message that is delivered at `date` (24 characters of `asctime`, UTC).
    pub(crate) fn new(date: String) -> Self {
        Self {
            date,
            held: Some(Vec::new()),
            header: HeaderFilter::new(FirstLine::MayBeFrom),
            quoting: Quoting::default(),
        }
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
    pub(crate) fn finish<S: Sink + ?Sized>(mut self, sink: &mut S) -> Result<(), Error> {
        if let Some(held) = self.held.take() {
            self.begin(&held, sink)?;
            self.pass(&held, sink)?;
        }
        self.header.finish(&mut Quoted { quoting: &mut self.quoting, sink })?;
        self.quoting.finish(sink)?;
        sink.put(if self.quoting.last == b'\n' { b"\n" } else { b"\n\n" })
    }

    fn begin<S: Sink + ?Sized>(&mut self, header: &[u8], sink: &mut S) -> Result<(), Error> {
        let sender = message::sender(header);
        // Readers find the date behind the first space.
        let fit = !sender.is_empty() && !sender.chars().any(|c| c.is_whitespace() || c.is_control());
        let sender = if fit { sender.as_str() } else { "MAILER-DAEMON" };
        sink.put(format!("From {sender} {}\n", self.date).as_bytes())
    }

    fn pass<S: Sink + ?Sized>(&mut self, text: &[u8], sink: &mut S) -> Result<(), Error> {
        self.header.feed(text, &mut Quoted { quoting: &mut self.quoting, sink })
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

/// What the first line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstLine {
    /// A From_ line that some server left there: dropped, so that there are never two.
    MayBeFrom,
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
    fn new(first: FirstLine) -> Self {
        Self { first: Some(first), at: At::LineStart, partial: Vec::new(), dropping: false }
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
            // A From_ line at the top isn't a field: nothing is folded into it.
            self.dropping = at == At::DroppedLine && !piece.starts_with(FROM);
            self.first = None;
        }
        self.at = match at {
            At::Body => At::Body,
            _ if piece.last() == Some(&b'\n') => At::LineStart,
            _ => at,
        };
        if at == At::DroppedLine { Ok(()) } else { sink.put(piece) }
    }

    /// What is to be done with the line that begins so; `None` when more of it must be seen.
    fn judge(&self, start: &[u8]) -> Option<At> {
        let whole = start.last() == Some(&b'\n');
        if start == b"\n" {
            return Some(At::Body);
        }
        match self.first {
            Some(FirstLine::IsFrom) => return Some(At::KeptLine),
            Some(FirstLine::MayBeFrom) if start.starts_with(FROM) => return Some(At::DroppedLine),
            Some(FirstLine::MayBeFrom) if FROM.starts_with(start) => return None,
            Some(FirstLine::MayBeFrom) | None => {}
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
        match after.iter().find(|octet| !matches!(octet, b' ' | b'\t')) {
            Some(b':') => Some(At::DroppedLine),
            Some(_) => Some(At::KeptLine),
            None if whole || start.len() >= LOOK => Some(At::DroppedLine),
            None => None,
        }
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
    /// The last octet that went out.
    last: u8,
}

impl Default for Quoting {
    fn default() -> Self {
        Self { held: Some(0), last: b'\n' }
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
                    self.put(b">From ", sink)?;
                }
            } else if held == 0 && *octet == b'>' {
                rest = after;
                self.put(b">", sink)?;
            } else {
                self.held = None;
                self.put(FROM.get(..held).unwrap_or_default(), sink)?;
            }
        }
        let mut copied = 0;
        for hit in memmem::find_iter(rest, FROM) {
            // `rest` begins inside a line, so that a From_ line has its LF here.
            let before = rest.get(..hit).unwrap_or_default().iter().rfind(|octet| **octet != b'>');
            if before == Some(&b'\n') {
                self.put(rest.get(copied..hit).unwrap_or_default(), sink)?;
                self.put(b">", sink)?;
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
        self.put(rest.get(..passed).unwrap_or_default(), sink)
    }

    fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), Error> {
        let held = self.held.take().unwrap_or(0);
        self.put(FROM.get(..held).unwrap_or_default(), sink)
    }

    fn put<S: Sink + ?Sized>(&mut self, octets: &[u8], sink: &mut S) -> Result<(), Error> {
        let Some(last) = octets.last() else { return Ok(()) };
        self.last = *last;
        sink.put(octets)
    }
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
            filter: HeaderFilter::new(FirstLine::IsFrom),
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
    use super::{DROPPED, Fingerprint, Formatter, HEADER_HELD};
    use crate::message::Digest;
    use proptest::prelude::*;

    const DATE: &str = "Thu Jan  1 00:00:00 1970";

    fn entry(text: &[u8], chunk: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut formatter = Formatter::new(DATE.to_owned());
        for piece in text.chunks(chunk.max(1)) {
            formatter.feed(piece, &mut out).unwrap();
        }
        formatter.finish(&mut out).unwrap();
        out
    }

    fn fingerprint(entry: &[u8], chunk: usize) -> Digest {
        let mut fingerprint = Fingerprint::new();
        entry.chunks(chunk).for_each(|piece| fingerprint.feed(piece).unwrap());
        fingerprint.finish().unwrap()
    }

    /// What a reader of mboxrd makes of an entry.
    fn unquoted(entry: &[u8]) -> Vec<u8> {
        let body = entry.strip_suffix(b"\n").unwrap();
        let mut out = Vec::new();
        for line in body.split_inclusive(|octet| *octet == b'\n').skip(1) {
            let quotes = line.iter().take_while(|octet| **octet == b'>').count();
            out.extend_from_slice(if quotes > 0 && line[quotes..].starts_with(b"From ") {
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
            let from = number == 0 && line.starts_with(b"From ");
            if body || !(dropping || from) {
                out.extend_from_slice(line);
            }
        }
        out
    }

    #[test]
    fn entries() {
        let cases: [(&str, &str, &str); 14] = [
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
            ("R10", "From x\nFrom y\nA: b\n\nFrom z\n", ">From y\nA: b\n\n>From z\n\n"),
            ("R10, nothing else", "From x\n", "\n"),
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
            prop_assert_eq!(unquoted(&entry), without_dropped(&text));
            prop_assert!(entry.ends_with(b"\n\n"));
            prop_assert_eq!(entry.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"From ")).count(), 1);
        }
    }
}
