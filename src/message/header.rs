//! Read-only view of a header: the few fields that popfetch acts on.  What it reads is bounded, whatever the header
//! holds, and nothing it returns is more than one printable word or a digest.  RFC 5322 §3.6, RFC 5321 §4.4.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use super::digest::Digest;

use crate::types::wide;

/// What the header holds.
#[derive(Debug)]
pub(super) struct HeaderFacts {
    pub(super) sender: String,
    pub(super) recipient: String,
    pub(super) identity: Option<Digest>,
    pub(super) headline: Headline,
    pub(super) traced: bool,
    pub(super) internal: bool,
}

/// The topmost fields of a header that tell people what a message is, as they came: undecoded, and written by strangers.
/// Each has at most [`Headline::LONGEST`] octets; empty when the header lacks it.  They are decoded only where they are shown
/// ([`super::summary::HeaderSummary::of_headline`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Headline {
    /// RFC 5322 §3.6.2; its words parted by single blanks.
    pub from: Vec<u8>,
    /// RFC 5322 §3.6.5; still folded.
    pub subject: Vec<u8>,
    /// RFC 5322 §3.6.1; its words parted by single blanks.
    pub date: Vec<u8>,
    /// RFC 5322 §3.6.4; its words parted by single blanks.
    pub message_id: Vec<u8>,
}

impl Headline {
    /// Octets of a field that are kept at most: of a batch there may be thousands in memory.
    pub(crate) const LONGEST: usize = 1024;

    /// At most `most` octets of a field, on one line: whole words, where there are several.
    #[must_use]
    pub(crate) fn shortened(value: &[u8], most: usize) -> Vec<u8> {
        let trimmed = value.trim_ascii();
        if trimmed.len() <= most && !trimmed.iter().any(|octet| matches!(octet, b'\n' | b'\r' | b'\t')) {
            return trimmed.to_vec();
        }
        let value = words(value);
        match value.get(..most) {
            // Half of an encoded word would be shown as it is written.
            Some(start) if value.len() > most => {
                let end = value.get(..=most).and_then(|start| start.iter().rposition(|octet| *octet == b' '));
                start.get(..end.unwrap_or(most)).unwrap_or(start).to_vec()
            }
            _ => value,
        }
    }

    fn new(from: Vec<u8>, subject: Vec<u8>, date: Vec<u8>, message_id: Vec<u8>) -> Self {
        let [from, subject, date, message_id] = [from, subject, date, message_id].map(|mut value| {
            if value.len() > Self::LONGEST {
                value = Self::shortened(&value, Self::LONGEST);
            }
            value
        });
        Self { from, subject, date, message_id }
    }
}

/// The fields that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum HeaderField {
    ReturnPath,
    /// `Delivered-To`, `X-Original-To`, `Envelope-To`: any of them names the recipient for whom the server took the
    /// message.
    Recipient,
    MessageId,
    Date,
    From,
    Subject,
    Received,
    /// `X-IMAP`, `X-IMAPbase`: where a server keeps its books in the mbox.
    FolderData,
    /// The others that servers add, change and remove while a message lies there.
    Changeable,
    /// All others, and lines that are no field.
    #[default]
    Other,
}

impl HeaderField {
    /// Longer names (with the blanks that obsolete syntax allows before the colon) are [`HeaderField::Other`] unseen.
    pub(super) const LONGEST_NAME: usize = 32;

    const NAMES: [(&[u8], Self); 18] = [
        (b"Received", Self::Received),
        (b"From", Self::From),
        (b"Date", Self::Date),
        (b"Subject", Self::Subject),
        (b"Message-ID", Self::MessageId),
        (b"Return-Path", Self::ReturnPath),
        (b"Delivered-To", Self::Recipient),
        (b"X-Original-To", Self::Recipient),
        (b"Envelope-To", Self::Recipient),
        (b"Status", Self::Changeable),
        (b"X-Status", Self::Changeable),
        (b"X-Keywords", Self::Changeable),
        (b"X-UID", Self::Changeable),
        (b"X-UIDL", Self::Changeable),
        (b"X-IMAP", Self::FolderData),
        (b"X-IMAPbase", Self::FolderData),
        (b"Content-Length", Self::Changeable),
        (b"Lines", Self::Changeable),
    ];

    /// The field of this name, in any case.
    pub(super) fn named(name: &[u8]) -> Self {
        Self::NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(_, field)| *field)
    }

    /// Whether servers and readers change it, so that digests leave it out.
    pub(super) fn is_changeable(self) -> bool {
        matches!(self, Self::FolderData | Self::Changeable)
    }
}

/// Whether servers and mail readers change a field of this name while a message lies in a mailbox.
pub(crate) fn is_changed_by_servers(name: &[u8]) -> bool {
    HeaderField::named(name).is_changeable()
}

/// Longest part of a field's value that is looked at.
const LONGEST_VALUE: usize = 8 * 1024;

/// The topmost fields of a header, gathered while it streams by: 48 KiB at most.
#[derive(Debug, Default)]
pub(super) struct HeaderFields {
    return_path: Option<Vec<u8>>,
    recipient: Option<Vec<u8>>,
    message_id: Option<Vec<u8>>,
    date: Option<Vec<u8>>,
    from: Option<Vec<u8>>,
    subject: Option<Vec<u8>>,
    received: bool,
    folder_data: bool,
    /// Whose value is coming: `Other` when it is not wanted.
    current: HeaderField,
}

impl HeaderFields {
    /// A field begins; its value follows.
    pub(super) fn begin(&mut self, field: HeaderField) {
        self.current = HeaderField::Other;
        match field {
            HeaderField::Received => self.received = true,
            HeaderField::FolderData => self.folder_data = true,
            _ => {
                if let Some(value) = self.value(field)
                    && value.is_none()
                {
                    *value = Some(Vec::new());
                    self.current = field;
                }
            }
        }
    }

    /// More of the value of the field that began last.
    pub(super) fn add(&mut self, octets: &[u8]) {
        if let Some(Some(value)) = self.value(self.current) {
            let room = LONGEST_VALUE.saturating_sub(value.len());
            value.extend_from_slice(octets.get(..room).unwrap_or(octets));
        }
    }

    fn value(&mut self, field: HeaderField) -> Option<&mut Option<Vec<u8>>> {
        match field {
            HeaderField::ReturnPath => Some(&mut self.return_path),
            HeaderField::Recipient => Some(&mut self.recipient),
            HeaderField::MessageId => Some(&mut self.message_id),
            HeaderField::Date => Some(&mut self.date),
            HeaderField::From => Some(&mut self.from),
            HeaderField::Subject => Some(&mut self.subject),
            HeaderField::Received
            | HeaderField::FolderData
            | HeaderField::Changeable
            | HeaderField::Other => None,
        }
    }

    /// The result.
    pub(super) fn read(self) -> HeaderFacts {
        let identity = [&self.message_id, &self.date, &self.from]
            .map(|value| words(value.as_deref().unwrap_or_default()));
        let internal = self.folder_data && is_folder_internal(self.subject.as_deref(), self.from.as_deref());
        let digest = digest_of(&identity);
        let [message_id, date, from] = identity;
        HeaderFacts {
            sender: address(self.return_path),
            recipient: address(self.recipient),
            identity: digest,
            traced: self.received && !message_id.is_empty(),
            internal,
            headline: Headline::new(from, self.subject.unwrap_or_default(), date, message_id),
        }
    }
}

/// The words of a value, parted by one space: equal however it was folded.
fn words(value: &[u8]) -> Vec<u8> {
    let mut words = Vec::with_capacity(value.len());
    for word in value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        if !words.is_empty() {
            words.push(b' ');
        }
        words.extend_from_slice(word);
    }
    words
}

fn digest_of(values: &[Vec<u8>]) -> Option<Digest> {
    let mut hasher = blake3::Hasher::new();
    for value in values {
        if value.is_empty() {
            return None;
        }
        // With its length before it, no octet can be shifted from one value to the next.
        hasher.update(&wide(value.len()).to_le_bytes());
        hasher.update(value);
    }
    Some(Digest::from_hasher(&hasher))
}

/// Longest envelope address: local part, `@` and domain (RFC 5321 §4.5.3.1).
const LONGEST_ADDRESS: usize = 64 + 1 + 255;

/// The address in a `Return-Path` or its like; empty when there is none.  It is also empty where the address cannot
/// safely become a word of a command line and of a From_ line: with blanks, control characters, 8-bit, or a leading
/// hyphen (an option to an MDA).
fn address(value: Option<Vec<u8>>) -> String {
    let Some(mut value) = value else { return String::new() };
    value.push(b'\n'); // without which the parser finds nothing
    let HeaderValue::Text(text) = MessageStream::new(&value).parse_id() else { return String::new() };
    // A source route is accepted and ignored (RFC 5321 §4.1.1.3).
    let address = match text.strip_prefix('@') {
        Some(route) => route.split_once(':').map_or("", |(_, address)| address),
        None => &text,
    };
    let fine = address.len() <= LONGEST_ADDRESS
        && !address.starts_with('-')
        && address.bytes().all(|octet| octet.is_ascii_graphic());
    if fine { address.to_owned() } else { String::new() }
}

/// UW's c-client keeps a folder's state in a message of its own, which its POP3 server lists as any other, and first.  Its
/// subject is this one to the letter, and it comes from the machine; any other message is mail, whatever it
/// claims to be.
fn is_folder_internal(subject: Option<&[u8]>, from: Option<&[u8]>) -> bool {
    const SUBJECT: &[u8] = b"DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA";
    let (subject, from) = (words(subject.unwrap_or_default()), words(from.unwrap_or_default()));
    let address = match from.iter().rposition(|octet| *octet == b'<') {
        Some(at) => from.get(at + 1..).and_then(|rest| rest.strip_suffix(b">")).unwrap_or_default(),
        None => from.as_slice(),
    };
    let local = address.split(|octet| *octet == b'@').next().unwrap_or_default();
    subject == SUBJECT && local.eq_ignore_ascii_case(b"MAILER-DAEMON")
}

#[cfg(test)]
mod tests {
    use super::{HeaderField, Headline, address};
    use crate::message::{Examiner, Facts};
    use proptest::prelude::{any, prop, prop_assert, proptest};

    fn facts(message: &str) -> Facts {
        let mut examiner = Examiner::new(b"");
        examiner.update(message.as_bytes());
        examiner.finish()
    }

    #[test]
    fn sender_is_an_address_or_empty() {
        let long = format!("<{}@example.com>", "x".repeat(400));
        let cases = [
            ("<me@example.com>", "me@example.com"),
            (" <me@example.com> (kept)", "me@example.com"),
            ("me@example.com", "me@example.com"),
            ("<user>", "user"),
            ("\n <me@example.com>\n", "me@example.com"),
            ("<@a.example,@b.example:me@c.example>", "me@c.example"),
            ("<me@[IPv6:2001:db8::1]>", "me@[IPv6:2001:db8::1]"),
            ("<>", ""),
            ("", ""),
            ("<", ""),
            ("<me@example.com", ""),
            ("<@>", ""),
            ("<a@b> <c@d>", ""),
            ("<a b@example.com>", ""),
            ("mailing list x@example.com", ""),
            ("<-oProxyCommand=x@example.com>", ""),
            ("<m\u{fc}ller@example.com>", ""),
            ("<a\u{1b}[31m@example.com>", ""),
            ("<a\0b@example.com>", ""),
            (&long, ""),
        ];
        for (value, expected) in cases {
            assert_eq!(address(Some(value.as_bytes().to_vec())), expected, "{value:?}");
        }
    }

    /// Of a batch there may be thousands in memory.
    #[test]
    fn a_long_field_is_kept_as_whole_words_on_one_line() {
        for (value, most, kept) in [
            ("  a b  ", 10, "a b"),
            ("a\tb\r\n c", 10, "a b c"),
            ("aaa bbb ccc", 11, "aaa bbb ccc"),
            ("aaa bbb ccc", 10, "aaa bbb"),
            ("aaa bbb ccc", 7, "aaa bbb"),
            ("aaa bbb ccc", 6, "aaa"),
            ("aaa\nbbb ccc", 11, "aaa bbb ccc"),
            ("aaaaaaaa", 4, "aaaa"),
            ("aaaa", 4, "aaaa"),
            ("", 4, ""),
        ] {
            assert_eq!(Headline::shortened(value.as_bytes(), most), kept.as_bytes(), "{value:?} {most}");
        }
        let long =
            format!("From: a@b\nSubject: {}\nMessage-ID: <{}>\n\n", "word ".repeat(1_000), "x".repeat(4_000));
        let headline = facts(&long).headline;
        assert_eq!((headline.from.as_slice(), headline.message_id.len()), (&b"a@b"[..], Headline::LONGEST));
        assert!(headline.subject.len() <= Headline::LONGEST && headline.subject.ends_with(b"word"));
    }

    #[test]
    fn topmost_envelope_fields_count() {
        let found = facts(concat!(
            "return-PATH : <first@example.com>\n",
            "Return-Path: <second@example.com>\n",
            "X-Original-To: alias@example.org\n",
            "Delivered-To: me@example.org\n",
            "Subject: x\n\nReturn-Path: <body@example.com>\n",
        ));
        assert_eq!(found.sender, "first@example.com");
        assert_eq!(found.recipient, "alias@example.org");
        // The topmost one is empty: the others don't count.
        assert_eq!(facts("Return-Path: <>\nReturn-Path: <a@b>\n\n").sender, "");
    }

    #[test]
    fn identity_needs_all_three() {
        let whole = facts("Message-ID: <1@x>\nDate: today\nFrom: a@b\n\n").digests.identity;
        assert!(whole.is_some());
        let refolded = facts("FROM:a@b\nX: y\nMessage-Id:\n <1@x>\nDate:\t today\n\nbody").digests.identity;
        assert_eq!(whole, refolded);
        for other in [
            "Message-ID: <1@x>\nDate: today\n\n",
            "Message-ID: <1@x>\nDate: \nFrom: a@b\n\n",
            "Message-ID:\nDate: today\nFrom: a@b\n\n",
        ] {
            assert_eq!(facts(other).digests.identity, None, "{other}");
        }
        // Each of them counts, and where it ends.
        for other in [
            "Message-ID: <1@x> today\nDate: a@b\nFrom: a@b\n\n",
            "Message-ID: <2@x>\nDate: today\nFrom: a@b\n\n",
            "Message-ID: <1@x>\nDate: todaz\nFrom: a@b\n\n",
            "Message-ID: <1@x>\nDate: today\nFrom: a@c\n\n",
            "Message-ID: <1@x>t\nDate: oday\nFrom: a@b\n\n",
            "Message-ID: <1@x>\nDate: toda\nFrom: ya@b\n\n",
        ] {
            let other = facts(other).digests.identity;
            assert!(other.is_some() && other != whole, "{other:?}");
        }
    }

    #[test]
    fn traced_needs_received_and_message_id() {
        assert!(facts("Received: from x\nMessage-ID: <1@x>\n\n").traced);
        assert!(!facts("Received: from x\nMessage-ID:  \n\n").traced);
        assert!(!facts("Message-ID: <1@x>\n\nReceived: from x\n").traced);
    }

    #[test]
    fn book_keeping_of_a_server_is_recognised() {
        let subject = "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n";
        let from = "From: Mail System Internal Data <MAILER-DAEMON@host>\n";
        for field in ["X-IMAP: 1 2\n", "X-IMAPbase: 1 2\n"] {
            for from in [from, "From: mailer-daemon@host\n", "From: MAILER-DAEMON\n"] {
                assert!(facts(&format!("{from}{subject}{field}\nbody\n")).internal);
            }
            assert!(!facts(&format!("{from}{field}Subject: hello\n\nbody\n")).internal);
        }
        assert!(!facts(&format!("{from}{subject}\nX-IMAP: 1 2\n")).internal);
        // Anybody can write such a subject.
        for (from, subject) in [
            ("From: Eve <eve@host>\n", subject),
            ("From: \"MAILER-DAEMON\" <eve@host>\n", subject),
            ("", subject),
            (from, "Subject: Don't delete this message\n"),
            (from, "Subject: Don't delete this message -- folder internal data\n"),
            (from, "Subject: Re: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"),
            (from, "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA!\n"),
        ] {
            assert!(!facts(&format!("{from}{subject}X-IMAP: 1 2\n\nbody\n")).internal, "{from}{subject}");
        }
    }

    #[test]
    fn names_in_any_case_with_blanks() {
        assert_eq!(HeaderField::named(b"x-UIDL"), HeaderField::Changeable);
        assert_eq!(HeaderField::named(b"X-UIDLs"), HeaderField::Other);
        assert_eq!(HeaderField::named(b""), HeaderField::Other);
        assert_eq!(HeaderField::named(b"Status\r"), HeaderField::Other);
    }

    proptest! {
        #[test]
        fn any_header_is_read(
            name in prop::sample::select(vec!["Return-Path", "Delivered-To", "Subject", "From"]),
            value in prop::collection::vec(
                prop::sample::select(b"<>@\"\\()=?:;, \t\n\r\0ab-\xff".to_vec()), 0..200),
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut examiner = Examiner::new(b"");
            examiner.update(format!("X-IMAP: 1\n{name}:").as_bytes());
            examiner.update(&value);
            examiner.update(&noise);
            let found = examiner.finish();
            for address in [found.sender, found.recipient] {
                prop_assert!(address.bytes().all(|b| b.is_ascii_graphic()) && !address.starts_with('-'));
            }
        }
    }
}
