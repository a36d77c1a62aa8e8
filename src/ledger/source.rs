//! Lines read from a file: one after another, or single ones by their offset.  Must not know what they hold.

use std::fs::File;
use std::io;

use crate::durable;
use crate::types::wide;

/// What is read at once.
pub(super) const CHUNK: usize = 64 * 1024;
/// A longer line is damage: no unique-id and no argv makes one.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// Something to read lines from: a file, or octets in a test.
pub(super) trait LineSource {
    /// Fills as much of `into` as there is from `offset` on; how much that is.
    fn read_up_to(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl LineSource for File {
    fn read_up_to(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        durable::read_up_to(self, into, offset)
    }
}

impl LineSource for [u8] {
    fn read_up_to(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}

/// The lines of a source, one after another, lent from one buffer.
pub(super) struct FileLines<'s, S: ?Sized> {
    source: &'s S,
    buffer: Vec<u8>,
    begin: usize,
    filled: usize,
    /// Where the next line begins in the source.
    pub(super) offset: u64,
}

pub(super) enum NextLine<'a> {
    /// A line, without its LF.
    Line(&'a [u8]),
    /// What follows the last LF, or the beginning of something far too long for a line.
    Unended(&'a [u8]),
    End,
}

impl<'s, S: LineSource + ?Sized> FileLines<'s, S> {
    pub(super) fn new(source: &'s S) -> Self {
        Self { source, buffer: vec![0; CHUNK], begin: 0, filled: 0, offset: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<NextLine<'_>> {
        let mut searched = self.begin;
        loop {
            let unsearched = self.buffer.get(searched..self.filled).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', unsearched) {
                let (begin, end) = (self.begin, searched + at);
                self.begin = end + 1;
                self.offset += u64::try_from(end + 1 - begin).unwrap_or(0);
                return Ok(NextLine::Line(self.buffer.get(begin..end).unwrap_or_default()));
            }
            searched = self.filled;
            if self.begin > 0 {
                self.buffer.copy_within(self.begin..self.filled, 0);
                searched -= self.begin;
                self.filled -= self.begin;
                self.begin = 0;
            }
            if self.filled == self.buffer.len() && self.filled < LONGEST_LINE {
                self.buffer.resize(self.filled * 2, 0);
            }
            let at = self.offset.saturating_add(wide(self.filled));
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match if room.is_empty() { 0 } else { self.source.read_up_to(room, at)? } {
                0 if self.filled == 0 => return Ok(NextLine::End),
                0 => return Ok(NextLine::Unended(self.buffer.get(..self.filled).unwrap_or_default())),
                n => self.filled += n,
            }
        }
    }
}

/// Single lines by their offset, read in stretches that grow as long as one line follows the other: callers usually ask
/// for one line alone, or for many in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Window {
    octets: Vec<u8>,
    begin: u64,
    stretch: usize,
}

/// What is read for one line alone; most are shorter.
const ONE_LINE: usize = 512;

impl Window {
    /// The line at `offset`, without its LF; `None` when no line ends after it.
    pub(super) fn line<S: LineSource + ?Sized>(
        &mut self,
        source: &S,
        offset: u64,
    ) -> io::Result<Option<&[u8]>> {
        let mut range = self.find(offset);
        if range.is_none() {
            self.stretch = if self.reaches(offset) { (self.stretch * 2).min(CHUNK) } else { ONE_LINE };
        }
        let mut stretch = self.stretch;
        while range.is_none() && stretch <= LONGEST_LINE {
            self.octets.resize(stretch, 0);
            let filled = source.read_up_to(&mut self.octets, offset)?;
            self.octets.truncate(filled);
            self.begin = offset;
            range = self.find(offset);
            if filled < stretch {
                break;
            }
            stretch *= 2;
        }
        Ok(range.and_then(|range| self.octets.get(range)))
    }

    /// Whether this is in the window, or not far behind it.
    fn reaches(&self, offset: u64) -> bool {
        let at = offset.checked_sub(self.begin).and_then(|at| usize::try_from(at).ok());
        at.is_some_and(|at| at <= self.octets.len() + self.stretch) && self.stretch > 0
    }

    fn find(&self, offset: u64) -> Option<std::ops::Range<usize>> {
        let at = usize::try_from(offset.checked_sub(self.begin)?).ok()?;
        let end = memchr::memchr(b'\n', self.octets.get(at..)?)?;
        Some(at..at + end)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, FileLines, LineSource, NextLine, Window};
    use std::cell::RefCell;
    use std::io;

    /// How much was read at once, each time.
    struct Counted<'t>(&'t [u8], RefCell<Vec<usize>>);

    impl LineSource for Counted<'_> {
        fn read_up_to(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
            self.1.borrow_mut().push(into.len());
            self.0.read_up_to(into, offset)
        }
    }

    /// Lines of many lengths, one of them longer than what is read at once.
    fn text() -> Vec<u8> {
        let mut text: Vec<u8> =
            (0..3000_u32).flat_map(|i| format!("{i} {}\n", "x".repeat(200)).into_bytes()).collect();
        text.extend(std::iter::repeat_n(b'y', 3 * CHUNK));
        text.extend(b"\nlast\nunended");
        text
    }

    #[test]
    fn lines_are_found_across_reads() {
        let text = text();
        let mut lines = FileLines::new(text.as_slice());
        let mut window = Window::default();
        for expected in text.split_inclusive(|octet| *octet == b'\n') {
            let offset = lines.offset;
            match (lines.next().unwrap(), expected.strip_suffix(b"\n")) {
                (NextLine::Line(line), Some(expected)) => {
                    assert_eq!(line, expected);
                    assert_eq!(window.line(text.as_slice(), offset).unwrap(), Some(expected));
                }
                (NextLine::Unended(rest), None) => {
                    assert_eq!(rest, b"unended");
                    assert_eq!(window.line(text.as_slice(), offset).unwrap(), None);
                }
                _ => panic!("at {offset}"),
            }
        }
    }

    /// What was read before must not be taken for what has been written since.
    #[test]
    fn a_line_that_was_added_is_found_where_the_file_had_ended() {
        let before = "a line of 20 octets\n".repeat(50).into_bytes();
        let after = [before.as_slice(), b"added\n"].concat();
        let mut window = Window::default();
        for offset in [0, 980] {
            assert_eq!(window.line(before.as_slice(), offset).unwrap(), before.get(..19));
        }
        assert_eq!(window.line(after.as_slice(), 1000).unwrap(), Some(&b"added"[..]));
    }

    /// What has no end must not be read to its end.
    #[test]
    fn a_line_that_is_far_too_long_is_none() {
        let text = [vec![b'x'; 4 * super::LONGEST_LINE], b"\n".to_vec()].concat();
        let mut lines = FileLines::new(text.as_slice());
        match lines.next().unwrap() {
            NextLine::Unended(begin) => assert!(begin.len() <= 2 * super::LONGEST_LINE),
            NextLine::Line(_) | NextLine::End => panic!("it is taken for a line"),
        }
        let mut window = Window::default();
        assert_eq!(window.line(text.as_slice(), 0).unwrap(), None);
        assert!(window.octets.len() <= super::LONGEST_LINE);
    }

    /// A thousand keys that are looked up one after another cost a few system calls, and a single one costs little.
    #[test]
    fn lines_that_follow_one_another_are_read_together() {
        let lines: Vec<String> = (0..1000).map(|number| format!("{number:0249}\n")).collect();
        let text = lines.concat();
        let place = |line: usize| u64::try_from(line * 250).unwrap();
        let reads = |asked: &mut dyn Iterator<Item = usize>| {
            let source = Counted(text.as_bytes(), RefCell::default());
            let mut window = Window::default();
            for line in asked {
                let found = window.line(&source, place(line)).unwrap();
                assert_eq!(found, Some(lines[line].trim_end().as_bytes()), "{line}");
            }
            source.1.into_inner()
        };
        let (all, some) = (reads(&mut (0..1000)), reads(&mut (0..1000).step_by(3)));
        assert!(all.len() < 15 && some.len() < 15, "{all:?}, {some:?}");
        assert_eq!(all.iter().max(), Some(&CHUNK));
        // What stands here and there isn't read for the sake of what is between.
        assert_eq!(reads(&mut [900, 3, 500, 200].into_iter()), [512; 4]);
    }
}
