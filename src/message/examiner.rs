//! One pass over a message while it arrives: its digests and the few header fields that matter, in bounded memory,
//! whatever it holds.  A body octet is hashed once.
//!
//! A message is cut in two where its first empty line begins.  The digest of the whole is the digest of the two parts'
//! digests, so that the body's serves twice: with the header as stored, and with the header without what servers change.

use std::convert::Infallible;
use std::io::{self, Read};

use blake3::Hasher;

use super::digest::{Digest, Digests};
use super::header::{HeaderField, HeaderFields, Headline};
use super::header_lines::{HeaderLines, HeaderSink};
use super::sum::{Sum, Summing};

use crate::types::wide;

/// What one pass over a message has found.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Octets received, line ends counted as LF.
    pub octets: u64,
    /// Octets as stored in a file of its own: with the prefix.
    pub stored_octets: u64,
    /// Digest as stored in a file of its own: with the prefix, every header line.  Checked by [`stored`].
    pub stored: Digest,
    /// Number and checksum of the octets as stored, the prefix included: what is read back of an entry is compared with it.
    /// Only by [`Examiner::summing`].
    pub sum: Option<Sum>,
    /// Digests as received.
    pub digests: Digests,
    /// What the header holds for the reader, as it came.
    pub headline: Headline,
    /// Envelope sender, from the topmost `Return-Path`; empty for `<>`, none, or one that isn't an address.
    pub sender: String,
    /// Envelope recipient, from the topmost of `Delivered-To`, `X-Original-To`, `Envelope-To`; else empty.
    pub recipient: String,
    /// Whether the header has both a `Received` and a `Message-ID` field: then equal headers mean the same message.
    pub traced: bool,
    /// Whether this claims to be a server's own data (UW's "DON'T DELETE THIS MESSAGE").  It is, if it's
    /// message 1 besides: then it's neither delivered nor deleted.
    pub internal: bool,
    /// Whether its first line is what the server's own answers begin with, `+OK` or `-ERR`, and no header field: where
    /// commands share a flight, answers to other commands may have been taken for this message.
    pub begins_as_answer: bool,
}

/// Takes a message in text form, in pieces of any size, and finds its [`Facts`].
#[derive(Debug)]
pub(crate) struct Examiner {
    prefix_octets: u64,
    octets: u64,
    beginning: Beginning,
    in_header: bool,
    header: HeaderReader,
    stored_header: Bulk,
    body: BodyDigest,
    sum: Option<Summing>,
}

impl Examiner {
    /// For a message that is stored with `prefix` on top: whole header lines without an empty one, or nothing.  It is
    /// part of the stored digest only.
    #[must_use]
    pub(crate) fn new(prefix: &[u8]) -> Self {
        let mut stored_header = Bulk::default();
        stored_header.update(prefix);
        Self {
            prefix_octets: wide(prefix.len()),
            octets: 0,
            beginning: Beginning::default(),
            in_header: true,
            header: HeaderReader::default(),
            stored_header,
            body: BodyDigest::default(),
            sum: None,
        }
    }

    /// The same, for a destination that reads back what it stores.
    #[must_use]
    pub(crate) fn summing(prefix: &[u8]) -> Self {
        let mut sum = Summing::default();
        sum.update(prefix);
        Self { sum: Some(sum), ..Self::new(prefix) }
    }

    /// More of the message.
    pub(crate) fn update(&mut self, text: &[u8]) {
        if self.octets < Beginning::OCTETS {
            self.beginning.update(text);
        }
        self.octets = self.octets.saturating_add(wide(text.len()));
        if let Some(sum) = &mut self.sum {
            sum.update(text);
        }
        let mut body = text;
        if self.in_header {
            let (header, rest) = self.header.take(text);
            self.stored_header.update(header);
            self.in_header = rest.is_empty();
            body = rest;
        }
        self.body.update(body);
    }

    /// The message is whole.
    #[must_use]
    pub(crate) fn finish(self) -> Facts {
        let (body, stored_body) = self.body.finish();
        let (filtered, fields) = self.header.finish();
        let summary = fields.read();
        Facts {
            octets: self.octets,
            stored_octets: self.octets.saturating_add(self.prefix_octets),
            stored: joined(&self.stored_header.finish(), &stored_body),
            sum: self.sum.map(|sum| sum.sum()),
            digests: Digests {
                message: joined(&filtered, &body),
                header: Digest::from_hasher(&filtered),
                identity: summary.identity,
            },
            headline: summary.headline,
            sender: summary.sender,
            recipient: summary.recipient,
            traced: summary.traced,
            internal: summary.internal,
            begins_as_answer: self.beginning.is_answer(),
        }
    }
}

/// Octets and digest of a stored file, as [`Facts`] has them in `stored_octets` and `stored`.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn stored(mut file: impl Read) -> io::Result<(u64, Digest)> {
    let mut examiner = Examiner::new(b"");
    let mut buffer = vec![0; 4 * Bulk::STRIDE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => examiner.update(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let facts = examiner.finish();
    Ok((facts.stored_octets, facts.stored))
}

/// The envelope sender that a header, or the beginning of one, names; see [`Facts::sender`].
#[must_use]
pub(crate) fn sender(header: &[u8]) -> String {
    let mut examiner = Examiner::new(b"");
    examiner.update(header);
    examiner.finish().sender
}

/// Two digests of fixed length: no octet can be shifted from header to body.
fn joined(header: &Hasher, body: &Hasher) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(header.finalize().as_bytes()).update(body.finalize().as_bytes());
    Digest::from_hasher(&hasher)
}

/// The first octets of a message: enough to see whether it begins as a status line does (RFC 1939 §3).
#[derive(Debug, Default)]
struct Beginning(Vec<u8>);

impl Beginning {
    /// An indicator, and what follows it.
    const OCTETS: u64 = 5;

    fn update(&mut self, text: &[u8]) {
        let most = usize::try_from(Self::OCTETS).unwrap_or_default();
        let missing = most.saturating_sub(self.0.len()).min(text.len());
        self.0.extend_from_slice(text.get(..missing).unwrap_or_default());
    }

    fn is_answer(&self) -> bool {
        let rest = self.0.strip_prefix(b"+OK").or_else(|| self.0.strip_prefix(b"-ERR"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n')))
    }
}

/// The header as it streams by: the lines that count, hashed; the fields that matter, gathered.
#[derive(Debug)]
struct HeaderReader {
    lines: HeaderLines,
    found: HeaderFindings,
}

#[derive(Debug, Default)]
struct HeaderFindings {
    filtered: Bulk,
    fields: HeaderFields,
}

impl Default for HeaderReader {
    fn default() -> Self {
        Self { lines: HeaderLines::new(HeaderField::LONGEST_NAME), found: HeaderFindings::default() }
    }
}

impl HeaderReader {
    /// Takes what belongs to the header; what remains begins with the empty line that ends it.
    fn take<'a>(&mut self, text: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let Ok(rest) = self.lines.take(text, &mut self.found);
        text.split_at(text.len() - rest.len())
    }

    fn finish(mut self) -> (Box<Hasher>, HeaderFields) {
        let Ok(()) = self.lines.finish(&mut self.found);
        (self.found.filtered.finish(), self.found.fields)
    }
}

impl HeaderSink for HeaderFindings {
    type Error = Infallible;

    fn begins(&mut self, name: &[u8]) -> bool {
        let field = HeaderField::named(name);
        self.fields.begin(field);
        field.is_changeable()
    }

    fn octets(&mut self, octets: &[u8], value: usize, left_out: bool) -> Result<(), Infallible> {
        if !left_out {
            self.filtered.update(octets);
        }
        self.fields.add(octets.get(value..).unwrap_or_default());
        Ok(())
    }
}

/// The body as it streams by.  Servers that rewrite their mbox add an empty line to a message's end, or take one away: the
/// digest as received leaves line ends at the end out, but for one.
#[derive(Debug, Default)]
struct BodyDigest {
    bulk: Bulk,
    /// Whether anything but line ends has come.
    begun: bool,
    /// Line ends that have come since, not hashed yet.
    line_ends: u64,
}

impl BodyDigest {
    fn update(&mut self, octets: &[u8]) {
        let content = octets.iter().rposition(|octet| *octet != b'\n').map_or(0, |at| at + 1);
        let (content, line_ends) = octets.split_at(content);
        if !content.is_empty() {
            let before = std::mem::take(&mut self.line_ends);
            add_line_ends(before, |octets| self.bulk.update(octets));
            self.bulk.update(content);
            self.begun = true;
        }
        self.line_ends = self.line_ends.saturating_add(wide(line_ends.len()));
    }

    /// As received, and as stored.
    fn finish(self) -> (Box<Hasher>, Box<Hasher>) {
        let mut received = self.bulk.finish();
        let mut stored = received.clone();
        add_line_ends(self.line_ends, |octets| {
            stored.update(octets);
        });
        if self.begun {
            received.update(b"\n");
        }
        (received, stored)
    }
}

fn add_line_ends(mut line_ends: u64, mut add: impl FnMut(&[u8])) {
    const LINE_ENDS: [u8; 64] = [b'\n'; 64];
    while line_ends > 0 {
        let now = usize::try_from(line_ends).map_or(LINE_ENDS.len(), |left| left.min(LINE_ENDS.len()));
        add(LINE_ENDS.get(..now).unwrap_or_default());
        line_ends = line_ends.saturating_sub(wide(now));
    }
}

/// A hasher fed in strides.  BLAKE3 hashes many 1 KiB chunks at once, but only those of one call, and only where the
/// call begins at a multiple of as many.  So pieces are gathered as they come until they make a stride.
#[derive(Debug, Default)]
struct Bulk {
    /// Of two kilobytes, which would be copied wherever a message is handed on.
    hasher: Box<Hasher>,
    held: Vec<u8>,
}

impl Bulk {
    /// As many chunks as the widest vectors (AVX-512) take at once.
    const STRIDE: usize = 16 * 1024;

    fn update(&mut self, mut octets: &[u8]) {
        if !self.held.is_empty() {
            let missing = Self::STRIDE.saturating_sub(self.held.len());
            let (now, rest) = octets.split_at(missing.min(octets.len()));
            self.held.extend_from_slice(now);
            octets = rest;
            if self.held.len() == Self::STRIDE {
                self.hasher.update(&self.held);
                self.held.clear();
            }
        }
        let (strides, rest) = octets.split_at(octets.len() - octets.len() % Self::STRIDE);
        if !strides.is_empty() {
            self.hasher.update(strides);
        }
        // Nothing is left here while something is held: then `octets` was used up above.
        self.held.extend_from_slice(rest);
    }

    fn finish(mut self) -> Box<Hasher> {
        self.hasher.update(&self.held);
        self.hasher
    }
}

/// For fuzzing: any text, in pieces whose size its first octet sets, is found to be the same, whatever the pieces; what
/// was stored of it is known by reading it back.
#[doc(hidden)]
pub fn fuzz_examiner(octets: &[u8]) {
    let Some((size, text)) = octets.split_first() else { return };
    let examined = |size: usize| {
        let mut examiner = Examiner::new(b"");
        text.chunks(size.max(1)).for_each(|piece| examiner.update(piece));
        examiner.finish()
    };
    let (whole, pieces) = (examined(text.len()), examined(usize::from(*size)));
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
    assert_eq!(whole.octets, wide(text.len()));
    assert!(stored(text).is_ok_and(|found| found == (whole.stored_octets, whole.stored)));
    for address in [&whole.sender, &whole.recipient] {
        assert!(!address.chars().any(char::is_control));
    }
}

#[cfg(test)]
mod tests {
    use super::{Bulk, Examiner, stored};
    use crate::message::{Digest, Facts};
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

    const PREFIX: &[u8] = b"Received: from a by b\n\twith POP3; now\n";

    fn facts_in_pieces(prefix: &[u8], message: &[u8], cuts: &[usize]) -> Facts {
        let mut examiner = Examiner::new(prefix);
        let mut rest = message;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut % (rest.len() + 1));
            examiner.update(piece);
            rest = after;
        }
        examiner.update(rest);
        examiner.finish()
    }

    fn facts(message: &[u8]) -> Facts {
        facts_in_pieces(b"", message, &[])
    }

    #[test]
    fn a_beginning_as_that_of_an_answer_is_seen_in_any_pieces() {
        let cases = [
            ("+OK\n\nx\n", true),
            ("+OK", true),
            ("-ERR no\n", true),
            ("-ERR\tno\n", true),
            ("+OKAY\n", false),
            ("-ERROR\n", false),
            ("+O", false),
            ("", false),
            ("\n+OK\n", false),
            ("Subject: +OK\n", false),
        ];
        for (text, expected) in cases {
            let cuts: Vec<usize> = vec![1; text.len()];
            for cuts in [&[][..], &cuts] {
                let facts = facts_in_pieces(b"Received: x\n", text.as_bytes(), cuts);
                assert_eq!(facts.begins_as_answer, expected, "{text:?}, {cuts:?}");
            }
        }
    }

    /// A server that rewrites its mbox adds an empty line, or takes one away.
    #[test]
    fn line_ends_at_the_end_count_only_as_stored() {
        for (one, other, same) in [
            ("A: b\n\nbody\n", "A: b\n\nbody\n\n\n", true),
            ("A: b\n", "A: b\n\n", true),
            ("A: b\n\nbo\n\ndy\n", "A: b\n\nbo\ndy\n", false),
            ("A: b\n\n\nbody\n", "A: b\n\nbody\n", false),
        ] {
            let (one, other) = (facts(one.as_bytes()), facts(other.as_bytes()));
            assert_eq!(one.digests == other.digests, same);
            assert_ne!(one.stored, other.stored);
        }
    }

    #[test]
    fn what_servers_change_counts_only_as_stored() {
        let plain = b"From: a\nSubject: b\n c\n\nStatus: body\n";
        let marked = b"STATUS: RO\nFrom: a\nx-keywords : one\n two\n\tthree\nContent-Length: 5\nSubject: b\n c\nX-IMAPbase: 1\n\nStatus: body\n";
        let (plain, marked) = (facts(plain), facts(marked));
        assert_eq!(plain.digests.message, marked.digests.message);
        assert_eq!(plain.digests.header, marked.digests.header);
        assert_ne!(plain.stored, marked.stored);
        for name in [
            "Status",
            "X-Status",
            "X-Keywords",
            "X-UID",
            "X-UIDL",
            "X-IMAP",
            "X-IMAPbase",
            "Content-Length",
            "Lines",
        ] {
            let with = format!("From: a\n{name}: x\n y\nSubject: b\n c\n\nStatus: body\n");
            assert_eq!(facts(with.as_bytes()).digests, plain.digests, "{name}");
            let near = format!("From: a\n{name}x: x\n y\nSubject: b\n c\n\nStatus: body\n");
            assert_ne!(facts(near.as_bytes()).digests, plain.digests, "{name}");
        }
    }

    /// Where lines end in a bare CR, all of a message looks like one field: two of them are two messages all the same.
    #[test]
    fn what_follows_a_bare_cr_always_counts() {
        let one = facts(b"Status: RO\rSubject: one\r\rbody\r\n");
        let other = facts(b"Status: RO\rSubject: two\r\rbody\r\n");
        assert_ne!(one.digests.message, other.digests.message);
        assert_ne!(one.digests.header, other.digests.header);
        assert_eq!(one.digests, facts(b"Status: O\rSubject: one\r\rbody\r\n").digests);
        assert_ne!(facts(b"Lines: 1\r\n folded\n").digests, facts(b"Lines: 1\r\n other\n").digests);
        assert_ne!(facts(b"Lines: 1\n folded\r1\n").digests, facts(b"Lines: 1\n folded\r2\n").digests);
    }

    #[test]
    fn header_ends_at_the_first_empty_line() {
        let header = |message: &[u8]| facts(message).digests.header;
        // As TOP n 0 gives it, with or without its empty line.
        assert_eq!(header(b"A: b\nC: d\n\nbody\n\nmore"), header(b"A: b\nC: d\n\n"));
        assert_eq!(header(b"A: b\nC: d\n\nbody"), header(b"A: b\nC: d\n"));
        assert_ne!(header(b"A: b\n \nC: d\n\nbody"), header(b"A: b\n"));
        assert_eq!(header(b"\nA: b\n"), header(b""));
    }

    #[test]
    fn every_octet_counts() {
        let messages: [&[u8]; 10] = [
            b"",
            b"A",
            b"A\n",
            b"A: b",
            b"A: b\n",
            b"A: b\n\nc\n",
            b"From x Thu Jan  1 00:00:00 1970\nA: b\n\nc\n",
            b"A: b\n\nc\0\n",
            b"A: b\n\nc\xff\n",
            b"A: b\n\r\nc\n",
        ];
        for (i, one) in messages.iter().enumerate() {
            assert_eq!(facts(one).octets, super::wide(one.len()));
            for other in messages.iter().take(i) {
                assert_ne!(facts(one).stored, facts(other).stored, "{one:?} {other:?}");
                assert_ne!(facts(one).digests.message, facts(other).digests.message, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn endless_header_lines_take_no_memory() {
        let mut examiner = Examiner::new(b"");
        let block = vec![b'x'; 1 << 20];
        for start in ["From: ", "\nStatus: ", "\n", "\nSubject: x\n "] {
            examiner.update(start.as_bytes());
            for _ in 0..10 {
                examiner.update(&block);
            }
        }
        for held in
            [&examiner.header.found.filtered.held, &examiner.stored_header.held, examiner.header.lines.held()]
        {
            assert!(held.capacity() <= 2 * Bulk::STRIDE);
        }
        let facts = examiner.finish();
        assert_eq!(facts.octets, 40 * (1 << 20) + 6 + 9 + 1 + 13);
        assert!(facts.digests.identity.is_none());
    }

    #[test]
    fn strides_change_nothing() {
        let octets: Vec<u8> = (0..100_000_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
        for size in [1, 1000, 16_383, 16_384, 16_385, 50_000, 100_000] {
            let mut bulk = Bulk::default();
            octets.chunks(size).for_each(|piece| bulk.update(piece));
            assert!(bulk.held.len() < Bulk::STRIDE);
            assert_eq!(Digest::from_hasher(&bulk.finish()), Digest::of(&octets), "{size}");
        }
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            "Status:",
            "status : ",
            "X-UIDL:",
            "Subject:",
            "Return-Path: <a@b>",
            "Received:",
            "Message-ID: <x>",
            "From: a",
            "Date: d",
            "From ",
            " ",
            "\t",
            "",
            "",
            ":",
            "Content-Length",
            "X-IMAP: 1",
            "An-Unusually-Long-Name-Of-A-Field:",
        ]);
        let noise = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..60)];
        (known, noise).prop_map(|(known, noise)| [known.as_bytes(), &noise].concat())
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            lines in prop::collection::vec(line(), 0..20),
            cuts in prop::collection::vec(0_usize..40, 0..60),
            prefixed in any::<bool>(),
        ) {
            let message = lines.join(&b'\n');
            let prefix = if prefixed { PREFIX } else { b"" };
            let whole = facts_in_pieces(prefix, &message, &[]);
            let pieces = facts_in_pieces(prefix, &message, &cuts);
            let single = facts_in_pieces(prefix, &message, &vec![1; message.len()]);
            prop_assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
            prop_assert_eq!(format!("{whole:?}"), format!("{single:?}"));
            prop_assert_eq!(whole.digests, facts(&message).digests);
            let file = [prefix, &message].concat();
            prop_assert_eq!(stored(file.as_slice()).unwrap(), (whole.stored_octets, whole.stored));
        }
    }

    #[test]
    fn any_text_is_examined() {
        let text = "Return-Path: <a@b>\nDelivered-To: c\x01@d\nReceived: x\nMessage-ID: <1>\n\nbody\n\n\n";
        for size in 1..20 {
            super::fuzz_examiner(&[&[size], text.as_bytes()].concat());
            super::fuzz_examiner(&[size, b'\n', b'\n', 0, b'\r']);
        }
    }

    /// Ledgers hold these: were they made otherwise one day, all mail that was left on servers would come again.
    #[test]
    fn digests_are_those_that_ledgers_hold() {
        let whole =
            "Received: from a by b\nMessage-ID: <1@x>\nDate: today\nFrom: a@b\nStatus: RO\n\nbody\n\n";
        let shown = |text: &str| {
            let digests = facts(text.as_bytes()).digests;
            let identity = digests.identity.map_or_else(String::new, |identity| identity.to_string());
            format!("{} {} {identity}", digests.message, digests.header)
        };
        let expected = [
            "fqXDZ4kDMR4L8sftBw7yYqtV 7SzIw5YarTbJMMF4cwrIW4MI 0-MMSI8VFuhjF9rkNp0Wh8j0",
            "nsBnevRsgP-mXMKGeh26LLUa QGzL_ZF_BpoIM4Bcf7mN4mDg ",
            "uZ0zyqoaduft2wYREon137Cf rxNJufX5oaagQE3qNtzJSZvL ",
        ];
        assert_eq!([whole, "A: b\n\n\n\n", ""].map(shown), expected);
    }
}
