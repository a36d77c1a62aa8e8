//! What a fuzzer calls.

use super::format::Formatter;
use crate::message::Examiner;

const DATE: &str = "Thu Jan  1 00:00:00 1970";

/// For fuzzing: any text, in pieces whose size its first octet sets, is one entry of an mbox, whatever the pieces; what
/// a reader of mboxrd makes of its body is what came.
#[doc(hidden)]
pub fn fuzz_quoting(octets: &[u8]) {
    let Some((size, text)) = octets.split_first() else { return };
    // As framing hands it over: the last line has its end.
    let end: &[u8] = if text.last().is_none_or(|octet| *octet == b'\n') { b"" } else { b"\n" };
    let text = &[text, end].concat();
    let whole = entry(text, text.len());
    assert_eq!(whole, entry(text, usize::from(*size)));
    let lines = || whole.split_inclusive(|octet| *octet == b'\n');
    assert_eq!(lines().filter(|line| line.starts_with(b"From ")).count(), 1);
    assert!(whole.starts_with(b"From ") && whole.ends_with(b"\n\n"));
    // Of the header some fields are left out: the body is what begins with the first empty line.
    let body = after_header(text);
    let quoted = whole.strip_suffix(b"\n").unwrap_or_default();
    let read: Vec<u8> =
        after_header(quoted).split_inclusive(|octet| *octet == b'\n').flat_map(unquoted).copied().collect();
    assert_eq!(read.strip_suffix(b"\n").unwrap_or(&read), body.strip_suffix(b"\n").unwrap_or(body));
}

fn entry(text: &[u8], size: usize) -> Vec<u8> {
    let mut formatter = Formatter::new(DATE.to_owned());
    let mut out = Vec::new();
    let written = text.chunks(size.max(1)).try_for_each(|piece| formatter.feed(piece, &mut out));
    let mut examiner = Examiner::summing(b"");
    examiner.update(text);
    // Which reads it back, and compares it with what came.
    assert!(written.and_then(|()| formatter.finish(&examiner.finish(), &mut out)).is_ok());
    out
}

/// From the first empty line on; nothing where there is none.
fn after_header(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
        if end == 0 {
            return rest;
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    b""
}

fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|octet| **octet == b'>').count();
    let is_quoted = marks > 0 && line.get(marks..).is_some_and(|word| word.starts_with(b"From "));
    if is_quoted { line.get(1..).unwrap_or_default() } else { line }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_read_back(pieces in proptest::collection::vec(prop_oneof![
            Just("From "), Just("From a@b Thu Jan  1 00:00:00 1970"), Just(">"), Just("\n"), Just("\r"), Just("Status: x"), Just("\0"), Just(" "),
        ], 0..30), size in 1_u8..9) {
            super::fuzz_quoting(&[&[size], pieces.concat().as_bytes()].concat());
        }
    }
}
