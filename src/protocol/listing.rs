//! Lines of the drop listing (STAT), the scan listing (LIST) and the unique-id listing (UIDL).
//!
//! One line at a time: a whole listing is the caller's, and so is what two lines mean together (a number twice).
//! RFC 1939 §5, §7 and §11, and what servers make of them.

use super::error::{Error, ServerWords};
use super::limits::LISTING_LIMIT;
use crate::types::{MessageNumber, Octets, UniqueId, parse_decimal, split_decimal};

/// What STAT reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DropListing {
    /// Messages in the maildrop, those marked as deleted not counted.
    pub messages: u32,
    /// Their size; `None` when the server gives none, or one beyond 64 bits.
    pub octets: Option<Octets>,
}

/// From the text of a reply to STAT; what follows the two numbers is ignored.
///
/// # Errors
/// [`Error::MalformedListing`] without a number of messages, [`Error::TooManyMessages`] beyond [`LISTING_LIMIT`].
pub(crate) fn drop_listing(text: &[u8]) -> Result<DropListing, Error> {
    let malformed = || Error::MalformedListing { listing: "drop listing", line: ServerWords::new(text) };
    let (messages, rest) = word(text);
    let messages = parse_decimal(messages).ok_or_else(malformed)?;
    let in_range =
        u32::try_from(messages).ok().filter(|n| usize::try_from(*n).is_ok_and(|n| n <= LISTING_LIMIT));
    let Some(counted) = in_range else {
        return Err(Error::TooManyMessages { messages, limit: LISTING_LIMIT });
    };
    Ok(DropListing { messages: counted, octets: octets(rest) })
}

/// From a line of LIST, or the text of a reply to `LIST n`: number and size, what follows is ignored.  The size is
/// `None` when it's missing, no number, or beyond 64 bits.
///
/// # Errors
/// [`Error::MalformedListing`] when the line doesn't begin with a message-number.
pub(crate) fn scan_line(line: &[u8]) -> Result<(MessageNumber, Option<Octets>), Error> {
    let (number, rest) = numbered(line, "scan listing")?;
    Ok((number, octets(rest)))
}

/// From a line of UIDL, or the text of a reply to `UIDL n`: number and unique-id.  All from the first octet after the
/// blanks to the last that isn't one belongs to the unique-id, inner blanks included.  `None` when it's missing, or
/// none that [`UniqueId`] takes: such a message has to be known by something else.
///
/// # Errors
/// [`Error::MalformedListing`] when the line doesn't begin with a message-number.
pub(crate) fn unique_id_line(line: &[u8]) -> Result<(MessageNumber, Option<UniqueId<'_>>), Error> {
    let (number, rest) = numbered(line, "unique-id listing")?;
    Ok((number, UniqueId::new(trim_blanks(rest))))
}

/// The message-number that begins a line.  A leading `+OK ` is taken off: some servers put it before every line.
fn numbered<'a>(line: &'a [u8], listing: &'static str) -> Result<(MessageNumber, &'a [u8]), Error> {
    // Nearly every line begins with its number: seen at once, it costs 70 instructions instead of 170, and a long listing
    // an eighth less.
    if let Some((number, rest)) = split_decimal(line)
        && rest.first().is_none_or(is_blank)
        && let Some(number) = u32::try_from(number).ok().and_then(MessageNumber::new)
    {
        return Ok((number, rest));
    }
    let (first, rest) = word(line);
    let (number, rest) = if first.eq_ignore_ascii_case(b"+OK") { word(rest) } else { (first, rest) };
    let number = MessageNumber::parse(number)
        .ok_or_else(|| Error::MalformedListing { listing, line: ServerWords::new(line) })?;
    Ok((number, rest))
}

fn octets(text: &[u8]) -> Option<Octets> {
    parse_decimal(word(text).0).map(Octets)
}

fn is_blank(octet: &u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// The first word of `text`, and what follows it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = trim_start(text);
    let end = text.iter().position(is_blank).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

/// Without the blanks at either end.  Only blanks: other control characters are part of a unique-id.
fn trim_blanks(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let end = text.iter().rposition(|octet| !is_blank(octet)).map_or(0, |last| last.saturating_add(1));
    text.get(..end).unwrap_or_default()
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|octet| !is_blank(octet)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// For fuzzing: no line makes it fail, and a unique-id that it finds is a part of the line.
#[doc(hidden)]
pub fn fuzz_listing(line: &[u8]) {
    let _ = drop_listing(line);
    let _ = scan_line(line);
    if let Ok((number, Some(unique_id))) = unique_id_line(line) {
        assert!(number.get() > 0);
        assert!(trim_blanks(line).ends_with(unique_id.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::{DropListing, drop_listing, scan_line, unique_id_line};
    use crate::problem::Problem as _;
    use crate::types::Octets;

    #[test]
    fn unique_ids() {
        let long = |length: usize| format!("1 {}", "x".repeat(length));
        let cases: Vec<(Vec<u8>, Option<Vec<u8>>)> = vec![
            (b"1 a".to_vec(), Some(b"a".to_vec())),
            (b"1  a".to_vec(), Some(b"a".to_vec())),
            (b"+OK 1 a".to_vec(), Some(b"a".to_vec())),
            (b"1 a b".to_vec(), Some(b"a b".to_vec())),
            (b"1\ta".to_vec(), Some(b"a".to_vec())),
            (b"1 a ".to_vec(), Some(b"a".to_vec())),
            (b"1 \t a\t b \t".to_vec(), Some(b"a\t b".to_vec())),
            (b" 1 a".to_vec(), Some(b"a".to_vec())),
            (b"1 ".to_vec(), None),
            (b"1".to_vec(), None),
            (long(71).into_bytes(), Some(b"x".repeat(71))),
            (long(1000).into_bytes(), Some(b"x".repeat(1000))),
            (long(1024).into_bytes(), Some(b"x".repeat(1024))),
            (long(1025).into_bytes(), None),
            (b"1 ../%\x80\x1b#".to_vec(), Some(b"../%\x80\x1b#".to_vec())),
            (b"1 -x".to_vec(), Some(b"-x".to_vec())),
            (b"1 a\0b".to_vec(), None),
            (b"1 a\nb".to_vec(), None),
        ];
        for (line, expected) in cases {
            let (number, unique_id) = unique_id_line(&line).unwrap();
            assert_eq!(number.get(), 1);
            assert_eq!(unique_id.map(|id| id.as_bytes().to_vec()), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn sizes() {
        let cases: [(&[u8], Option<u64>); 10] = [
            (b"1 120", Some(120)),
            (b"1 120 extra", Some(120)),
            (b"1  120", Some(120)),
            (b"+OK 1 120", Some(120)),
            (b"1", None),
            (b"1 x", None),
            (b"1 0", Some(0)),
            (b"1 9223372036854775808", Some(1 << 63)),
            (b"1 18446744073709551616", None),
            (b"1 -5", None),
        ];
        for (line, size) in cases {
            let (number, octets) = scan_line(line).unwrap();
            assert_eq!((number.get(), octets), (1, size.map(Octets)), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn numbers_that_are_none() {
        for bad in
            ["0 a", "-1 a", "x a", "18446744073709551616 a", "4294967296 a", "", " ", "1a b", "+OK", "1,2 a"]
        {
            for error in [scan_line(bad.as_bytes()).err(), unique_id_line(bad.as_bytes()).err()] {
                assert_eq!(error.unwrap().exit_code().number(), 76, "{bad}");
            }
        }
        assert_eq!(unique_id_line(b"007 a").unwrap().0.get(), 7);
    }

    #[test]
    fn drop_listings() {
        let listing = |messages, octets: Option<u64>| DropListing { messages, octets: octets.map(Octets) };
        let cases: [(&[u8], DropListing); 6] = [
            (b"2 320", listing(2, Some(320))),
            (b"0 0", listing(0, Some(0))),
            (b"2 320 octets", listing(2, Some(320))),
            (b"2", listing(2, None)),
            (b"1000000 18446744073709551616", listing(1_000_000, None)),
            (b" 3\t4", listing(3, Some(4))),
        ];
        for (text, expected) in cases {
            assert_eq!(drop_listing(text).unwrap(), expected);
        }
        for bad in ["", "x", "-1 0", "18446744073709551616 1"] {
            assert!(drop_listing(bad.as_bytes()).unwrap_err().to_string().contains("malformed"), "{bad}");
        }
        let many = drop_listing(b"1000001 5").unwrap_err();
        assert_eq!(many.to_string(), "the server speaks of 1000001 messages, and the limit is 1000000");
    }

    #[test]
    fn no_prefix_of_a_line_fails() {
        for line in ["+OK 12 a b ", "12 340 x", "  1\t\tq"] {
            for end in 0..=line.len() {
                super::fuzz_listing(&line.as_bytes()[..end]);
            }
        }
    }
}
