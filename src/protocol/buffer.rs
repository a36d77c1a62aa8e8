//! The octets on their way in and out: one buffer for each direction.
//!
//! They must not know what the octets mean.

use crate::secret::Secret;

/// What a session begins with: enough for a poll that finds nothing new.
const FIRST_OCTETS: usize = 64 * 1024;

/// What it grows to when reads fill it.  Larger reads save few system calls, and would leave the processor's cache.
const MOST_OCTETS: usize = 256 * 1024;

/// Unread octets that are moved to the front without a thought when room is asked for.
const MOVED_OCTETS: usize = 4 * 1024;

/// A place in an [`Input`]; void when room was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// The last `length` octets of it.
    pub(super) fn last(self, length: usize) -> Self {
        Self { start: self.end.saturating_sub(length).max(self.start), end: self.end }
    }
}

/// Octets received.  Those between `start` and `end` are unread; what lies before them may still be lent.
#[derive(Debug, Default)]
pub(super) struct Input {
    octets: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether a read filled all there was.
    filled: bool,
}

impl Input {
    /// Where the next read goes.  Moves unread octets to the front, so every [`Span`] is void afterwards.  Empty only
    /// when a whole buffer is unread.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let wanted = if self.filled { MOST_OCTETS } else { FIRST_OCTETS };
        if self.octets.len() < wanted {
            // A new one instead of a longer one: nothing but the unread octets is worth copying.
            let mut larger = vec![0; wanted];
            let unread = self.unread();
            let length = unread.len();
            if let Some(front) = larger.get_mut(..length) {
                front.copy_from_slice(unread);
            }
            (self.octets, self.start, self.end) = (larger, 0, length);
        } else if self.start > 0 && (self.unread().len() <= MOVED_OCTETS || self.end == self.octets.len()) {
            self.octets.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.unread().len());
        }
        self.octets.get_mut(self.end..).unwrap_or_default()
    }

    /// So many octets were read into the room.
    pub(super) fn received(&mut self, octets: usize) {
        self.end = self.end.saturating_add(octets).min(self.octets.len());
        self.filled |= self.end == self.octets.len();
    }

    pub(super) fn unread(&self) -> &[u8] {
        self.octets.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn unread_mut(&mut self) -> &mut [u8] {
        self.octets.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first `length` unread octets.
    pub(super) fn span(&self, length: usize) -> Span {
        Span { start: self.start, end: self.start.saturating_add(length).min(self.end) }
    }

    /// So many unread octets are read.
    pub(super) fn consume(&mut self, octets: usize) {
        self.start = self.start.saturating_add(octets).min(self.end);
    }

    pub(super) fn get(&self, span: Span) -> &[u8] {
        self.octets.get(span.start..span.end).unwrap_or_default()
    }
}

/// Octets to be sent, in one piece, so that a whole flight of commands costs one system call.
///
/// As long as a secret is among them they live in a [`Secret`], which wipes them when they have gone out.
#[derive(Debug, Default)]
pub(super) struct Output {
    plain: Vec<u8>,
    secret: Option<Secret>,
    written: usize,
}

impl Output {
    pub(super) fn push(&mut self, line: &Secret, is_secret: bool) {
        if is_secret || self.secret.is_some() {
            // Made again each time: growing in place would leave copies behind.  A login has three such lines.
            let both = [self.unwritten(), line.expose()].concat();
            self.secret = Some(Secret::new(both));
            self.plain.clear();
            self.written = 0;
        } else {
            self.plain.extend_from_slice(line.expose());
        }
    }

    pub(super) fn unwritten(&self) -> &[u8] {
        let all = self.secret.as_ref().map_or(self.plain.as_slice(), Secret::expose);
        all.get(self.written..).unwrap_or_default()
    }

    pub(super) fn wrote(&mut self, octets: usize) {
        self.written = self.written.saturating_add(octets);
        if self.unwritten().is_empty() {
            *self = Self { plain: std::mem::take(&mut self.plain), ..Self::default() };
            self.plain.clear();
        } else if self.secret.is_none() && self.written >= MOVED_OCTETS {
            // A pipeline that never quite empties must not make it grow.
            self.plain.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST_OCTETS, Input, MOST_OCTETS, Output};
    use crate::secret::Secret;

    fn feed(input: &mut Input, octets: &[u8]) {
        input.room()[..octets.len()].copy_from_slice(octets);
        input.received(octets.len());
    }

    #[test]
    fn unread_octets_survive_moving_and_growing() {
        let mut input = Input::default();
        assert!(input.is_empty());
        assert_eq!(input.room().len(), FIRST_OCTETS);
        feed(&mut input, b"abcdef");
        input.consume(4);
        assert_eq!(input.get(input.span(1)), b"e");
        assert_eq!(input.room().len(), FIRST_OCTETS - 2);
        assert_eq!(input.unread(), b"ef");
        let room = input.room().len();
        feed(&mut input, &vec![b'x'; room]);
        assert_eq!(input.room().len(), MOST_OCTETS - FIRST_OCTETS, "a read that filled all makes it grow");
        assert!(input.unread().starts_with(b"efxx"));
        let room = input.room().len();
        feed(&mut input, &vec![b'y'; room]);
        assert!(input.room().is_empty(), "and no further");
        input.consume(MOST_OCTETS - 3);
        assert_eq!((input.room().len(), input.unread()), (MOST_OCTETS - 3, &b"yyy"[..]));
    }

    #[test]
    fn numbers_out_of_range_do_no_harm() {
        let mut input = Input::default();
        input.received(5);
        assert!(input.is_empty());
        feed(&mut input, b"ab");
        assert_eq!(input.get(input.span(9)), b"ab");
        assert_eq!(input.get(input.span(2).last(9)), b"ab");
        input.consume(9);
        assert!(input.is_empty());
    }

    #[test]
    fn output_in_pieces_with_and_without_secrets() {
        let mut output = Output::default();
        let line = |text: &str| Secret::new(text);
        output.push(&line("USER u\r\n"), false);
        output.wrote(5);
        output.push(&line("PASS p\r\n"), true);
        output.push(&line("UIDL\r\n"), false);
        assert_eq!(output.unwritten(), b"u\r\nPASS p\r\nUIDL\r\n");
        assert!(!format!("{output:?}").contains("80, 65, 83, 83"), "no octets of PASS in {output:?}");
        output.wrote(4);
        assert_eq!(output.unwritten(), b"ASS p\r\nUIDL\r\n");
        output.wrote(13);
        assert!(output.unwritten().is_empty() && output.secret.is_none());
        output.push(&line("NOOP\r\n"), false);
        assert_eq!(output.unwritten(), b"NOOP\r\n");
        output.wrote(99);
        assert!(output.unwritten().is_empty());
    }

    #[test]
    fn a_pipeline_that_never_empties_stays_small() {
        let mut output = Output::default();
        output.push(&Secret::new("RETR 0\r\n"), false);
        for _ in 0..10_000 {
            output.push(&Secret::new("RETR 1\r\n"), false);
            output.wrote(8);
        }
        assert_eq!(output.unwritten(), b"RETR 1\r\n");
        assert!(output.plain.capacity() < 32 * 1024);
    }
}
