//! A header cut into its lines while it streams by, in whatever pieces: which field each line belongs to, and whether that
//! field is left out.  The pieces never show.

use memchr::{memchr, memmem};

/// Takes a header as [`HeaderLines`] cuts it.
pub(crate) trait HeaderSink {
    /// Why it can't go on.
    type Error;

    /// A line begins that isn't a continuation: with the field's name, without the blanks that obsolete syntax allows
    /// before the colon, or an empty one where it is no field.  Whether that field is left out.
    fn begins(&mut self, name: &[u8]) -> bool;

    /// The next octets, of one line; the field's value is what comes from `value` on.
    ///
    /// # Errors
    /// The sink's own.
    fn octets(&mut self, octets: &[u8], value: usize, left_out: bool) -> Result<(), Self::Error>;
}

/// Cuts a header into lines.
#[derive(Debug)]
pub(crate) struct HeaderLines {
    /// A colon is looked for among the first octets of a line, this many: without one the line is not a field.
    look: usize,
    /// The start of a line whose colon hasn't come yet.
    start: Vec<u8>,
    /// Whether the field of the present line is known.
    within: bool,
    /// Whether that field is left out: its continuation lines go with it.
    left_out: bool,
}

impl HeaderLines {
    pub(crate) fn new(look: usize) -> Self {
        Self { look, start: Vec::new(), within: false, left_out: false }
    }

    /// What is held of a line whose colon hasn't come yet.
    #[cfg(test)]
    pub(super) fn held(&self) -> &Vec<u8> {
        &self.start
    }

    /// Takes what belongs to the header; what remains begins with the empty line that ends it.
    ///
    /// # Errors
    /// The sink's.
    pub(crate) fn take<'a, S: HeaderSink>(
        &mut self,
        text: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], S::Error> {
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
            if self.within {
                self.pass(line, 0, sink)?;
            } else if self.start.is_empty() {
                if line == b"\n" {
                    break;
                }
                if !self.begin(line, sink)? {
                    self.start.extend_from_slice(line);
                }
            } else {
                let room = self.look.saturating_sub(self.start.len()).min(line.len());
                let (more, later) = line.split_at_checked(room).unwrap_or((line, b""));
                let mut start = std::mem::take(&mut self.start);
                start.extend_from_slice(more);
                if !self.begin(&start, sink)? {
                    self.start = start;
                } else if !later.is_empty() {
                    self.pass(later, 0, sink)?;
                }
            }
            rest = after;
        }
        Ok(rest)
    }

    /// The header is whole, and has no empty line: a last line without an end may still wait for its colon.
    ///
    /// # Errors
    /// The sink's.
    pub(crate) fn finish<S: HeaderSink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let start = std::mem::take(&mut self.start);
        if start.is_empty() {
            return Ok(());
        }
        self.left_out = sink.begins(b"");
        self.pass(&start, start.len(), sink)
    }

    /// Deals with the beginning of a line, or all of it; `false` when more of it must be seen.
    fn begin<S: HeaderSink>(&mut self, line: &[u8], sink: &mut S) -> Result<bool, S::Error> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return self.pass(line, 0, sink).map(|()| true);
        }
        let looked = line.get(..self.look).unwrap_or(line);
        let (name, value) = match memchr(b':', looked) {
            Some(colon) => (looked.get(..colon).unwrap_or_default(), colon + 1),
            None if looked.len() < self.look && !line.ends_with(b"\n") => return Ok(false),
            None => (&b""[..], looked.len()),
        };
        let end = name.iter().rposition(|octet| !matches!(octet, b' ' | b'\t')).map_or(0, |last| last + 1);
        self.left_out = sink.begins(name.get(..end).unwrap_or(name));
        self.pass(line, value, sink).map(|()| true)
    }

    fn pass<S: HeaderSink>(&mut self, octets: &[u8], value: usize, sink: &mut S) -> Result<(), S::Error> {
        self.within = !octets.ends_with(b"\n");
        if !self.left_out {
            return sink.octets(octets, value, false);
        }
        // Where lines end in a bare CR, the whole message looks like one field: what follows the CR isn't its value, and
        // is never left out.
        let end = memchr(b'\r', octets).unwrap_or(octets.len());
        let (left_out, kept) = octets.split_at_checked(end).unwrap_or((octets, b""));
        sink.octets(left_out, value.min(end), true)?;
        if kept.is_empty() {
            return Ok(());
        }
        self.left_out = false;
        sink.octets(kept, value.saturating_sub(end), false)
    }
}

/// Octets of a header that are held at most, where a message waits for it: to choose its destinations, or to name its sender
/// in an mbox.  One that is longer counts as it stands then.
pub(crate) const HEADER_HELD: usize = 64 * 1024;

/// Where the first empty line ends; everything before `seen` is known to hold none.
pub(crate) fn header_end(text: &[u8], seen: usize) -> Option<usize> {
    if text.first() == Some(&b'\n') {
        return Some(1);
    }
    let at = memmem::find(text.get(seen..)?, b"\n\n")?;
    Some(seen + at + 2)
}

#[cfg(test)]
mod tests {
    use super::{HeaderLines, HeaderSink};
    use std::convert::Infallible;

    /// What a sink that leaves out `Gone` gets: fields, octets kept, octets left out, and values.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Found {
        names: Vec<String>,
        kept: Vec<u8>,
        gone: Vec<u8>,
        values: Vec<u8>,
    }

    impl HeaderSink for Found {
        type Error = Infallible;

        fn begins(&mut self, name: &[u8]) -> bool {
            self.names.push(String::from_utf8_lossy(name).into_owned());
            name.eq_ignore_ascii_case(b"gone")
        }

        fn octets(&mut self, octets: &[u8], value: usize, left_out: bool) -> Result<(), Infallible> {
            let to = if left_out { &mut self.gone } else { &mut self.kept };
            to.extend_from_slice(octets);
            self.values.extend_from_slice(&octets[value..]);
            Ok(())
        }
    }

    fn found(text: &[u8], piece: usize) -> (Found, Vec<u8>) {
        let (mut lines, mut found, mut body) = (HeaderLines::new(12), Found::default(), Vec::new());
        for piece in text.chunks(piece) {
            let rest = if body.is_empty() { lines.take(piece, &mut found).unwrap() } else { piece };
            body.extend_from_slice(rest);
        }
        lines.finish(&mut found).unwrap();
        (found, body)
    }

    #[test]
    fn a_header_is_cut_into_fields_wherever_its_pieces_end() {
        let cases: [(&str, &[&str], &str, &str, &str); 9] = [
            ("A: b\nGone: c\n d\nE:f\n\nx\n", &["A", "Gone", "E"], "A: b\nE:f\n", " b\n c\n d\nf\n", "\nx\n"),
            ("gone \t: c\n", &["gone"], "", " c\n", ""),
            ("no field\n\n", &[""], "no field\n", "", "\n"),
            (" d\nA:\n", &["A"], " d\nA:\n", " d\n\n", ""),
            ("\nGone: body\n", &[], "", "", "\nGone: body\n"),
            ("Gone: a\rB: c\n d\n", &["Gone"], "\rB: c\n d\n", " a\rB: c\n d\n", ""),
            // The colon is looked for among twelve octets.
            ("Gone       :c\n", &["Gone"], "", "c\n", ""),
            ("Gone        :c\n", &[""], "Gone        :c\n", ":c\n", ""),
            ("Gone", &[""], "Gone", "", ""),
        ];
        for (text, names, kept, values, body) in cases {
            for piece in 1..=text.len() {
                let (found, rest) = found(text.as_bytes(), piece);
                assert_eq!(found.names, names, "{text:?} by {piece}");
                let shown = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
                assert_eq!(shown(&found.kept), kept, "{text:?} by {piece}");
                assert_eq!(shown(&found.values), values, "{text:?} by {piece}");
                assert_eq!(shown(&rest), body, "{text:?} by {piece}");
                assert_eq!(
                    found.kept.len() + found.gone.len() + rest.len(),
                    text.len(),
                    "{text:?} by {piece}"
                );
            }
        }
    }
}
