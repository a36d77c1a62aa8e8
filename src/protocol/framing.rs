//! Where lines and multi-line answers end, and what the text in them is.
//!
//! It must not know what the lines mean, so that garbage can be passed over without losing the boundary.
//! RFC 1939 §3.
//!
//! "The beginning of a line" is after CRLF, or after the status line.  Bare LF and bare CR are data: some servers pass
//! them through, and a sender could otherwise end a message early and forge what follows it.  Only a session whose
//! greeting ended in a bare LF is in LF mode: there lines end at LF, and one CR before it is dropped.

use std::ops::ControlFlow;

/// What ends a line of a multi-line answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LineEnd {
    /// CRLF and nothing else.
    #[default]
    CrLf,
    /// LF, and a CR before it is part of the line end.  Also the rule for status lines, everywhere: some servers end
    /// single ones of them in a bare LF.
    Lf,
}

impl LineEnd {
    /// The first line end: where it begins and how long it is.
    fn find(self, octets: &[u8]) -> Option<(usize, usize)> {
        match self {
            Self::CrLf => {
                let found = memchr::memchr_iter(b'\r', octets).try_for_each(|at| {
                    match octets.get(at.saturating_add(1)) {
                        Some(b'\n') => ControlFlow::Break(at),
                        _ => ControlFlow::Continue(()),
                    }
                });
                found.break_value().map(|at| (at, 2))
            }
            Self::Lf => {
                let at = memchr::memchr(b'\n', octets)?;
                match at.checked_sub(1).and_then(|before| Some((before, octets.get(before)?))) {
                    Some((before, b'\r')) => Some((before, 2)),
                    _ => Some((at, 1)),
                }
            }
        }
    }
}

/// What stands at the front of unread octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// A line of this many octets, and its end of this many more.
    Line {
        /// Without its end.
        length: usize,
        /// Octets of its end: 1 for a bare LF, 2 for CRLF.
        end: usize,
    },
    /// Not a whole line yet.
    Partial,
    /// Over the limit.
    TooLong,
}

/// Looks for a line of at most `limit` octets, its end included.
#[must_use]
pub(crate) fn front(unread: &[u8], line_end: LineEnd, limit: usize) -> Front {
    let window = unread.get(..limit).unwrap_or(unread);
    match line_end.find(window) {
        Some((length, end)) => Front::Line { length, end },
        None if unread.len() >= limit => Front::TooLong,
        None => Front::Partial,
    }
}

/// A line of a multi-line answer, as it was before it was stuffed; `None` when it's the terminator.
#[must_use]
pub(crate) fn unstuffed(line: &[u8]) -> Option<&[u8]> {
    match line {
        b"." => None,
        [b'.', rest @ ..] => Some(rest),
        line => Some(line),
    }
}

/// Whether an empty line ends in this piece of a text, which follows the octet `before`: a line end where the text begins.
#[must_use]
pub(crate) fn has_empty_line(before: u8, text: &[u8]) -> bool {
    (before == b'\n' && text.first() == Some(&b'\n')) || memchr::memmem::find(text, b"\n\n").is_some()
}

/// The text of a message, as its octets come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyDecoder {
    line_end: LineEnd,
    at_line_start: bool,
}

/// What one look at unread octets gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Unstuffed {
    /// So many octets at their front are text now.
    pub text: usize,
    /// So many of them are used up; the rest must be there again, at the front, next time.
    pub used: usize,
    /// So many octets these are of the message as the server counts it: with its line ends, without stuffing.
    pub octets: usize,
    /// The terminator was among the used ones.  There is no text then.
    pub ended: bool,
}

impl BodyDecoder {
    /// Right after the status line.
    #[must_use]
    pub(crate) fn new(line_end: LineEnd) -> Self {
        Self { line_end, at_line_start: true }
    }

    /// Makes text of as many unread octets as are known to be text: dots unstuffed, line ends LF.  It's moved
    /// together at their front, in one pass.  Nothing used and not ended: more octets are needed.
    ///
    /// Up to two octets may stay unused, whose meaning the next one decides (`.`, `.` CR, CR): so no other state than
    /// "at the beginning of a line" is carried over, and every split is right.
    pub(crate) fn unstuff(&mut self, unread: &mut [u8]) -> Unstuffed {
        let mut piece = Unstuffed::default();
        loop {
            let rest = unread.get(piece.used..).unwrap_or_default();
            let mut dot = 0;
            if self.at_line_start {
                match (rest, self.line_end) {
                    ([] | [b'.'] | [b'.', b'\r'], _) => return piece,
                    ([b'.', b'\r', b'\n', ..], _) => return terminated(piece, 3),
                    ([b'.', b'\n', ..], LineEnd::Lf) => return terminated(piece, 2),
                    ([b'.', ..], _) => dot = 1,
                    _ => {}
                }
            }
            let line = rest.get(dot..).unwrap_or_default();
            // Without an end the line goes on.  A CR at the end may be half of one.
            let part = || (line.strip_suffix(b"\r").unwrap_or(line).len(), 0);
            let (length, end) = self.line_end.find(line).unwrap_or_else(part);
            let start = piece.used.saturating_add(dot);
            let wire = length.saturating_add(end);
            unread.copy_within(start..start.saturating_add(length), piece.text);
            piece.text = piece.text.saturating_add(length);
            piece.used = start.saturating_add(wire);
            piece.octets = piece.octets.saturating_add(wire);
            self.at_line_start = end > 0;
            if end == 0 {
                return piece;
            }
            // Not before the move: to read an octet among others that was written just now makes the processor wait.
            if let Some(octet) = unread.get_mut(piece.text) {
                *octet = b'\n';
            }
            piece.text = piece.text.saturating_add(1);
        }
    }
}

/// The terminator is only taken when there's no text before it to be lent first.
fn terminated(piece: Unstuffed, length: usize) -> Unstuffed {
    if piece.text == 0 {
        Unstuffed { used: piece.used.saturating_add(length), ended: true, ..piece }
    } else {
        piece
    }
}

/// For fuzzing: the same text, size and end, whether `wire` comes whole or in two pieces.
#[doc(hidden)]
pub fn fuzz_framing(wire: &[u8]) {
    for line_end in [LineEnd::CrLf, LineEnd::Lf] {
        let whole = collect(line_end, &[wire]);
        let split = wire.first().map_or(0, |octet| usize::from(*octet)).min(wire.len());
        let (first, second) = wire.split_at_checked(split).unwrap_or_default();
        assert_eq!(whole, collect(line_end, &[first, second]));
        assert!(whole.text.len() <= wire.len());
    }
}

/// What a body came to.
#[derive(Debug, PartialEq, Eq, Default)]
struct Collected {
    text: Vec<u8>,
    octets: usize,
    /// Behind the terminator, if it came.
    rest: Option<Vec<u8>>,
}

/// A body in chunks, put together; for tests and fuzzing.
fn collect(line_end: LineEnd, chunks: &[&[u8]]) -> Collected {
    let mut body = BodyDecoder::new(line_end);
    let mut all = Collected::default();
    let mut unread: Vec<u8> = Vec::new();
    for chunk in chunks {
        unread.extend_from_slice(chunk);
        while all.rest.is_none() {
            let piece = body.unstuff(&mut unread);
            all.text.extend_from_slice(unread.get(..piece.text).unwrap_or_default());
            all.octets = all.octets.saturating_add(piece.octets);
            unread.drain(..piece.used);
            if piece.ended {
                all.rest = Some(Vec::new());
            } else if piece.used == 0 {
                break;
            }
        }
    }
    if let Some(rest) = &mut all.rest {
        *rest = unread;
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BodyDecoder, Collected, Front, LineEnd, collect, front, has_empty_line, unstuffed};

    /// What a server does to a text: CRLF for LF, and a dot before a dot at the beginning of a line.
    fn stuffed(text: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in text.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }

    fn every_way(line_end: LineEnd, wire: &[u8]) -> Collected {
        let whole = collect(line_end, &[wire]);
        let octets: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(collect(line_end, &octets), whole, "one octet at a time: {}", wire.escape_ascii());
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                let parts = [&wire[..first], &wire[first..second], &wire[second..]];
                assert_eq!(collect(line_end, &parts), whole, "{first}, {second}: {}", wire.escape_ascii());
            }
        }
        whole
    }

    #[test]
    fn bodies_at_every_split() {
        // Name, wire form up to and with the terminator, text.  `+OK` follows each and must be left.
        let cases: [(&str, &[u8], &[u8]); 26] = [
            ("F1 empty", b".\r\n", b""),
            ("F2", b"..\r\n.\r\n", b".\n"),
            ("F2", b"..a\r\n.\r\n", b".a\n"),
            ("F2", b"...\r\n.\r\n", b"..\n"),
            ("F3 not stuffed", b".a\r\nb\r\n.\r\n", b"a\nb\n"),
            ("F4", b"a..b\r\n.\r\n", b"a..b\n"),
            ("F4", b"a.\r\n.\r\n", b"a.\n"),
            ("F5", b"x\r\n..y\r\n.\r\n", b"x\n.y\n"),
            ("F7 LF . LF", b"x\n.\ny\r\n.\r\n", b"x\n.\ny\n"),
            ("F7 LF . CRLF", b"x\n.\r\ny\r\n.\r\n", b"x\n.\ny\n"),
            ("F7 CRLF . LF", b"x\r\n.\ny\r\n.\r\n", b"x\n\ny\n"),
            ("F8 forged", b"a\n.\r\n+OK 1 messages\r\n.\r\n", b"a\n.\n+OK 1 messages\n"),
            ("F9", b"x\r.\r\n.\r\n", b"x\r.\n"),
            ("F9", b"x\r\r\n.\r\n", b"x\r\n"),
            ("F9", b"\rx\r\n.\r\n", b"\rx\n"),
            ("F9 dot CR", b".\rx\r\n.\r\n", b"\rx\n"),
            ("F9 dot CR CR", b".\r\r\n.\r\n", b"\r\n"),
            ("F9 CR only", b"\r\r\r\n\r\r\n.\r\n", b"\r\r\n\r\n"),
            ("F11", b"abc\r\n.\r\n", b"abc\n"),
            ("F13", b"A: b\r\n.\r\n", b"A: b\n"),
            ("F14", b"\0\x80\xff\xc3\x28\x1a\r\n.\r\n", b"\0\x80\xff\xc3\x28\x1a\n"),
            ("F15", b"a\r\r\nb\r\n.\r\n", b"a\r\nb\n"),
            ("empty lines", b"\r\n\r\n.\r\n", b"\n\n"),
            ("LF at the beginning", b"\n.\r\n\r\n.\r\n", b"\n.\n\n"),
            ("LF then CRLF", b"a\n\r\n.\r\n", b"a\n\n"),
            ("dots only", b"....\r\n..\r\n.\r\n", b"...\n.\n"),
        ];
        for (name, wire, text) in cases {
            let found = every_way(LineEnd::CrLf, &[wire, b"+OK"].concat());
            assert_eq!(found.text.escape_ascii().to_string(), text.escape_ascii().to_string(), "{name}");
            assert_eq!(found.rest.as_deref(), Some(&b"+OK"[..]), "{name}");
        }
    }

    #[test]
    fn an_empty_line_is_found_wherever_a_text_is_cut() {
        for (text, expected) in
            [("\nb\n", true), ("A: b\n\nc\n", true), ("A: b\n\n", true), ("A: b\nc\n", false), ("b", false)]
        {
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                let between = first.last().copied().unwrap_or(b'\n');
                let found = has_empty_line(b'\n', first) || has_empty_line(between, second);
                assert_eq!(found, expected, "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn lf_mode_at_every_split() {
        let cases: [(&str, &[u8], &[u8]); 9] = [
            ("empty", b".\n", b""),
            ("F2", b"..\n.\n", b".\n"),
            ("F2", b"..a\n...\n.\n", b".a\n..\n"),
            ("F3", b".a\nb\n.\n", b"a\nb\n"),
            ("CRLF as well", b"a\r\nb\n.\r\n", b"a\nb\n"),
            ("CR CRLF", b"a\r\r\n.\n", b"a\r\n"),
            ("bare CR", b"a\rb\n.\rc\n.\n", b"a\rb\n\rc\n"),
            ("empty lines", b"\n\r\n\n.\n", b"\n\n\n"),
            ("CR alone in a line", b"\r\r\n.\n", b"\r\n"),
        ];
        for (name, wire, text) in cases {
            let found = every_way(LineEnd::Lf, &[wire, b"+OK"].concat());
            assert_eq!(found.text.escape_ascii().to_string(), text.escape_ascii().to_string(), "{name}");
            assert_eq!(found.rest.as_deref(), Some(&b"+OK"[..]), "{name}");
        }
    }

    #[test]
    fn no_prefix_ends() {
        // Neither CRLF-dot nor dot-CR is an end.
        for (line_end, wire) in [(LineEnd::CrLf, &b"a\r\n..b\r\n.\r\n"[..]), (LineEnd::Lf, b"a\n..b\n.\n")] {
            for end in 0..wire.len() {
                assert_eq!(collect(line_end, &[&wire[..end]]).rest, None);
            }
        }
    }

    #[test]
    fn octets_are_the_servers_count() {
        // RFC 1939 §11: with CRLF, without stuffing and terminator.
        let cases: [(LineEnd, &[u8], usize); 5] = [
            (LineEnd::CrLf, b".\r\n", 0),
            (LineEnd::CrLf, b"\r\n.\r\n", 2),
            (LineEnd::CrLf, b"ab\r\n..c\r\n.\r\n", 8),
            (LineEnd::CrLf, b"a\nb\r\n.\r\n", 5),
            (LineEnd::Lf, b"ab\n..c\r\n.\n", 7),
        ];
        for (line_end, wire, octets) in cases {
            assert_eq!(every_way(line_end, wire).octets, octets, "{}", wire.escape_ascii());
        }
    }

    #[test]
    fn long_line_with_a_dot_at_every_boundary() {
        for size in [16, 1000, 4096] {
            let line: Vec<u8> =
                (0..1_048_576).map(|at| if at > 0 && at % size == 0 { b'.' } else { b'x' }).collect();
            let wire = [&line[..], b"\r\n.\r\n"].concat();
            let chunks: Vec<&[u8]> = wire.chunks(size).collect();
            let mut body = BodyDecoder::new(LineEnd::CrLf);
            let mut text = Vec::new();
            for chunk in &chunks[..chunks.len() - 1] {
                let mut unread = chunk.to_vec();
                let piece = body.unstuff(&mut unread);
                assert_eq!(piece.used, chunk.len());
                text.extend_from_slice(&unread[..piece.text]);
            }
            assert_eq!(text, line[..text.len()]);
            assert_eq!(collect(LineEnd::CrLf, &chunks).text.len(), line.len() + 1);
        }
    }

    #[test]
    fn lines() {
        use Front::{Line, Partial, TooLong};
        let cases: [(&[u8], LineEnd, usize, Front); 13] = [
            (b"", LineEnd::CrLf, 9, Partial),
            (b"ab\r", LineEnd::CrLf, 9, Partial),
            (b"ab\r\ncd", LineEnd::CrLf, 9, Line { length: 2, end: 2 }),
            (b"a\nb\r\n", LineEnd::CrLf, 9, Line { length: 3, end: 2 }),
            (b"a\rb\r\n", LineEnd::CrLf, 9, Line { length: 3, end: 2 }),
            (b"\r\n", LineEnd::CrLf, 9, Line { length: 0, end: 2 }),
            (b"\n", LineEnd::CrLf, 9, Partial),
            (b"\n", LineEnd::Lf, 9, Line { length: 0, end: 1 }),
            (b"ab\n", LineEnd::Lf, 9, Line { length: 2, end: 1 }),
            (b"ab\r\n", LineEnd::Lf, 9, Line { length: 2, end: 2 }),
            (b"1234567\r\n", LineEnd::CrLf, 9, Line { length: 7, end: 2 }),
            (b"12345678\r\n", LineEnd::CrLf, 9, TooLong),
            (b"123456789", LineEnd::Lf, 9, TooLong),
        ];
        for (unread, line_end, limit, expected) in cases {
            assert_eq!(front(unread, line_end, limit), expected, "{}", unread.escape_ascii());
        }
        assert_eq!(unstuffed(b"."), None);
        assert_eq!(unstuffed(b".."), Some(&b"."[..]));
        assert_eq!(unstuffed(b"..foo"), Some(&b".foo"[..]));
        assert_eq!(unstuffed(b".foo"), Some(&b"foo"[..]));
        assert_eq!(unstuffed(b""), Some(&b""[..]));
    }

    proptest! {
        #[test]
        fn stuffing_then_unstuffing_is_identity(
            mut text in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200)
        ) {
            // The wire form always ends its last line, and CR before LF is the one thing text form cannot hold apart.
            text.dedup_by(|after, before| *after == b'\n' && *before == b'\r');
            if text.last().is_some_and(|octet| *octet != b'\n') {
                text.push(b'\n');
            }
            let found = collect(LineEnd::CrLf, &[&stuffed(&text), b"-ERR"]);
            prop_assert_eq!(found.text, text);
            prop_assert_eq!(found.rest.as_deref(), Some(&b"-ERR"[..]));
        }

        #[test]
        fn chunking_changes_nothing(
            wire in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'\n'), Just(b'\r'), Just(b'x')], 0..60),
            size in 1_usize..8,
        ) {
            for line_end in [LineEnd::CrLf, LineEnd::Lf] {
                let chunks: Vec<&[u8]> = wire.chunks(size).collect();
                prop_assert_eq!(collect(line_end, &chunks), collect(line_end, &[&wire]));
            }
            super::fuzz_framing(&wire);
        }
    }
}
