//! The fields of a header that an mbox must not take from a message.

use crate::delivery::Error;
use crate::delivery::sink::Sink;
use crate::message::header_lines::{HeaderLines, HeaderSink};
use crate::message::is_changed_by_servers;

/// At most this many octets of a line are looked at to find a field's name, colon and blanks included.  A name with more white
/// space before its colon is no field that anyone writes or reads: it's kept.
const LOOK: usize = 8 * 1024;

/// Whether readers of an mbox believe a field of this name, so that nobody else may write it: all that servers change but
/// X-UIDL, which is for those who look.
fn is_dropped(name: &[u8]) -> bool {
    is_changed_by_servers(name) && !name.eq_ignore_ascii_case(b"X-UIDL")
}

/// Drops the fields that readers believe, with their continuation lines, from the header; lets the body pass.
#[derive(Debug)]
pub(super) struct HeaderFilter {
    lines: HeaderLines,
    in_body: bool,
}

impl HeaderFilter {
    pub(super) fn new() -> Self {
        Self { lines: HeaderLines::new(LOOK), in_body: false }
    }

    pub(super) fn feed<S: Sink + ?Sized>(&mut self, text: &[u8], sink: &mut S) -> Result<(), Error> {
        let body = match self.in_body {
            true => text,
            false => self.lines.take(text, &mut Dropping(sink))?,
        };
        self.in_body |= !body.is_empty();
        if body.is_empty() { Ok(()) } else { sink.put(body) }
    }

    /// The message is whole; a line without an end may still wait to be judged, and is no field without a colon.
    pub(super) fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), Error> {
        self.lines.finish(&mut Dropping(sink))
    }
}

/// A sink behind the filter.
struct Dropping<'a, S: ?Sized>(&'a mut S);

impl<S: Sink + ?Sized> HeaderSink for Dropping<'_, S> {
    type Error = Error;

    fn begins(&mut self, name: &[u8]) -> bool {
        is_dropped(name)
    }

    fn octets(&mut self, octets: &[u8], _: usize, left_out: bool) -> Result<(), Error> {
        if left_out {
            self.0.leave_out(octets);
            return Ok(());
        }
        self.0.put(octets)
    }
}
