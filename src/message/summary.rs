//! What a header holds for the reader: who wrote, about what, and when; decoded (RFC 2047, RFC 2231), and not yet fit for a
//! terminal: the caller that shows it makes it printable.
//!
//! Headers are written by strangers.  What can't be read is left out, never guessed; each part is bounded.

use mail_parser::{Address, MessageParser};

use super::header::Headline;
use crate::types::Time;

/// The longest part that is kept, in characters.
const LONGEST: usize = 1_000;

/// What a header holds for the reader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HeaderSummary {
    /// The first author: the display name, or the address where there is none (RFC 5322 §3.6.2).
    pub from: Option<String>,
    /// The first author's address.
    pub address: Option<String>,
    /// The subject, on one line (RFC 5322 §3.6.5).
    pub subject: Option<String>,
    /// When the author says it was sent (RFC 5322 §3.6.1): nobody has checked it.
    pub date: Option<Time>,
    /// The Message-ID without its angle brackets (RFC 5322 §3.6.4).
    pub message_id: Option<String>,
}

impl HeaderSummary {
    /// Reads a header: the octets of `TOP n 0` or of a message's beginning.  Octets behind the header don't matter.
    #[must_use]
    pub(crate) fn of(header: &[u8]) -> Self {
        let parser = MessageParser::new()
            .header_address("From")
            .header_text("Subject")
            .header_date("Date")
            .header_id("Message-ID")
            .default_header_ignore();
        let Some(message) = parser.parse_headers(header) else { return Self::default() };
        let author = message.from().and_then(Address::first);
        let address = author.and_then(|author| author.address()).and_then(line);
        Self {
            from: author.and_then(|author| author.name()).and_then(line).or_else(|| address.clone()),
            address,
            subject: message.subject().and_then(line),
            // The sums of a date that is none would be of no day.
            date: message.date().filter(|date| date.is_valid()).map(|date| Time(date.to_timestamp())),
            message_id: message.message_id().and_then(line),
        }
    }
}

impl HeaderSummary {
    /// Reads what was kept of a header.
    #[must_use]
    pub(crate) fn of_headline(headline: &Headline) -> Self {
        let Headline { from, subject, date, message_id } = headline;
        let mut header = Vec::new();
        for (name, value) in
            [("From", from), ("Subject", subject), ("Date", date), ("Message-ID", message_id)]
        {
            header.extend_from_slice(name.as_bytes());
            header.extend_from_slice(b": ");
            // A line end in it would begin another field.
            header.extend_from_slice(&Headline::shortened(value, Headline::LONGEST));
            header.push(b'\n');
        }
        header.push(b'\n');
        Self::of(&header)
    }
}

/// One line, its blanks made single, as far as it is kept; `None` when nothing is left.
fn line(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(LONGEST).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{HeaderSummary, LONGEST};
    use crate::types::Time;

    fn subject(header: &[u8]) -> Option<String> {
        HeaderSummary::of(header).subject
    }

    #[test]
    fn a_plain_header() {
        let summary = HeaderSummary::of(
            b"From: Ann Example <ann@example.org>\r\nSubject: Lunch\r\n\
              Date: Fri, 27 Nov 2026 09:12:00 +0100\r\nMessage-ID: <1@example.org>\r\n\r\nSubject: not this\r\n",
        );
        assert_eq!(
            summary,
            HeaderSummary {
                from: Some("Ann Example".into()),
                address: Some("ann@example.org".into()),
                subject: Some("Lunch".into()),
                date: Some(Time(1_795_767_120)),
                message_id: Some("1@example.org".into()),
            }
        );
    }

    #[test]
    fn an_address_stands_for_a_name() {
        assert_eq!(
            HeaderSummary::of(b"From: bob@example.org\r\n\r\n").from.as_deref(),
            Some("bob@example.org")
        );
        assert_eq!(
            HeaderSummary::of(b"From: <bob@example.org>\n\n").from.as_deref(),
            Some("bob@example.org")
        );
        let group = b"From: Friends: Ann <ann@example.org>, bob@example.org;\r\n\r\n";
        assert_eq!(HeaderSummary::of(group).from.as_deref(), Some("Ann"));
    }

    #[test]
    fn encoded_words_in_their_charsets() {
        let cases: [(&[u8], &str); 8] = [
            (b"=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Gr\u{fc}\u{df}e"),
            (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            (b"=?ISO-8859-15?Q?10_=A4?=", "10 \u{20ac}"),
            (b"=?KOI8-R?B?8NLJ18XU?=", "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}"),
            (b"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "\u{65e5}\u{672c}"),
            (b"=?GB18030?B?xOO6ww==?=", "\u{4f60}\u{597d}"),
            (b"=?windows-1255?Q?=F9=EC=E5=ED?=", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
            (b"two\r\n lines\r\n\tof  words", "two lines of words"),
        ];
        for (value, expected) in cases {
            let header = [b"Subject: ", value, b"\r\n\r\n"].concat();
            assert_eq!(subject(&header).as_deref(), Some(expected), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn what_is_missing_or_broken_is_left_out() {
        for header in [&b""[..], b"\r\n", b"From:\r\nSubject:\r\nDate: soon\r\n\r\n", b"\xff\xfe", b"Subject"]
        {
            assert_eq!(HeaderSummary::of(header), HeaderSummary::default(), "{}", header.escape_ascii());
        }
        assert_eq!(HeaderSummary::of(b"Date: Fri, 99 Xyz 99999 99:99:99 +9999\r\n\r\n").date, None);
    }

    #[test]
    fn no_part_is_longer_than_its_bound() {
        let header = [b"Subject: ", "\u{fc}".repeat(100_000).as_bytes(), b"\r\n\r\n"].concat();
        assert_eq!(subject(&header).unwrap().chars().count(), LONGEST);
    }

    proptest! {
        #[test]
        fn any_octets_can_be_read(octets in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = HeaderSummary::of(&[b"From: ", octets.as_slice(), b"\r\nSubject: =?utf-8?q?", &octets, b"?=\r\nDate: ", &octets].concat());
        }
    }
}
