//! The lines of a ledger: one table, from which the types, the reader and the writer come.  Must not know what the lines
//! mean ([`super::index`]) nor where they are kept ([`super::journal`]).
//!
//! A line is `WORD FIELD… CHECKSUM`, separated by single spaces and ended by LF; it holds one [`Fact`], whose fields
//! stand in the order of the table, in the forms of [`super::codec`].  `-` stands for what is not known.  The
//! checksum is the low half of XXH3-64 over everything before its space, in eight hex digits: it finds torn and
//! rotten lines, at a tenth of the cost of reading them.  It does not defend against a user, who may change these
//! files anyway.
//!
//! A line whose word begins with `also-` may be passed over by a reader that doesn't know it; any other unknown word is
//! damage.

use std::borrow::Cow;

use crate::message::Digest;
use crate::place::NotedPlace;
use crate::proof::{DestinationId, DestinationKind};
use crate::types::Time;

use super::codec::{DigestsField, KeyField, Last, LineField, LineFields, Notes, Use};
use super::entry::EntryState;

/// The first word of every ledger.
pub(super) const MAGIC: &[u8] = b"popfetch-ledger";
/// The version of this grammar: the newest that is read.
pub(super) const VERSION: u64 = 3;
/// The version in which a ledger is written that holds nothing which only version 3 can express: entries without digests
/// (`imported`) and what follows from the user's word.  So an older popfetch reads it, unless it would misunderstand it.
/// Version 1 has no generation, and is read as well.
pub(super) const PLAIN_VERSION: u64 = 2;
/// The longest outcome line (`delivered`, `refused`, `dropped`) with its LF: what is reserved for each copy.
pub(super) const LONGEST_OUTCOME: u64 = 80;
/// The longest `group` or `end` line with its LF.
pub(super) const LONGEST_GROUP: u64 = 112;

/// Why a line cannot be true.
pub(super) type Contradiction = &'static str;

/// How a ledger stands that ends with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Something depends on lines that may not be on disk.
    Working,
    /// Nothing does.
    Resting,
    /// As it stood before: if this line gets lost, something is asked again.
    AsItWas,
}

macro_rules! lines {
    ($(
        $(#[$doc:meta])*
        $word:literal $leaves:ident $name:ident $(<$lifetime:lifetime>)? {
            $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)?
        }
    )*) => {
        /// What one line records.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) enum Fact<'a> {
            $($(#[$doc])* $name($name $(<$lifetime>)?),)*
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub(super) struct $name $(<$lifetime>)? {
                $($(#[$field_doc])* pub(super) $field: $type,)*
            }

            impl<'a> LineField<'a> for $name $(<$lifetime>)? {
                // Made where it is to stand: to move each line of a long ledger would cost a thirtieth of reading it.
                #[inline(always)]
                fn read(_fields: &mut LineFields<'a>) -> Option<Self> {
                    Some(Self { $($field: LineField::read(_fields)?,)* })
                }
                fn write(&self, out: &mut Vec<u8>) {
                    out.extend_from_slice($word);
                    $(self.$field.write(out);)*
                }
            }

            impl<'a> From<$name $(<$lifetime>)?> for Fact<'a> {
                fn from(fact: $name $(<$lifetime>)?) -> Self {
                    Self::$name(fact)
                }
            }
        )*

        impl<'a> Fact<'a> {
            /// Reads what [`checked`] has let through; `None` for what no ledger of a known version holds.
            pub(super) fn parse(content: &'a [u8]) -> Option<Self> {
                let mut fields = LineFields::new(content);
                let fact = match fields.next()? {
                    $($word => Self::$name(LineField::read(&mut fields)?),)*
                    _ => return None,
                };
                fields.is_over().then_some(fact)
            }

            /// The field `digests` of a line that [`Fact::parse`] has read before: what stands before it is passed over.
            /// `None` where there is no such field.
            pub(super) fn digests(content: &'a [u8]) -> Option<Option<DigestsField<'a>>> {
                let mut fields = LineFields::new(content);
                match fields.next()? {
                    $($word => {
                        $(if stringify!($field) == "digests" {
                            return LineField::read(&mut fields);
                        }
                        fields.next()?;)*
                        None
                    })*
                    _ => None,
                }
            }

            fn write_content(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(fact) => fact.write(out),)*
                }
            }

            /// How the ledger stands after this line.
            pub(super) fn leaves(&self) -> Leaves {
                match self {
                    $(Self::$name(_) => Leaves::$leaves,)*
                }
            }
        }
    };
}

lines! {
    // The frame.

    /// Whose ledger this is: always the first line.
    b"popfetch-ledger" AsItWas FirstLine<'a> { title: Title<'a> }
    /// Everything before is on disk; `count` entries follow, as far as known.
    b"group" AsItWas Group { number: u64, time: Time, clock: Time, count: u64 }
    /// The file was rewritten; until an `end` follows, its name may not be on disk.
    b"new" Working Rewritten {}
    /// The run ended in order: what matters before this line is on disk, and nothing of it is open.
    b"end" Resting End {}

    // What a compacted ledger consists of.

    /// An entry.
    b"known" AsItWas KnownEntry<'a> {
        state: EntryState,
        key: KeyField<'a>,
        listed_size: Option<u64>,
        delivered: Option<Time>,
        digests: Option<DigestsField<'a>>,
        notes: Notes,
    }
    /// Another delivery under an entry's key.  On disk it is a copy; elsewhere a copy is a message at one of its destinations.
    b"copy" AsItWas FurtherDelivery<'a> { key: KeyField<'a>, delivered: Time, digests: DigestsField<'a> }

    // Deliveries.

    /// A number for a destination, or its new device and inode.
    b"destination" AsItWas NumberedDestination<'a> {
        number: DestinationId,
        kind: DestinationKind,
        address: Cow<'a, [u8]>,
        inode: Option<(u64, u64)>,
        used: Use,
    }
    /// A message is about to be delivered to a set of destinations.
    b"message" Working MessageBegun<'a> {
        number: u32,
        time: Time,
        key: KeyField<'a>,
        listed_size: Option<u64>,
        digests: DigestsField<'a>,
        /// The number of an open message that this one takes the place of.
        replaces: Option<u32>,
        /// Each destination, and whether it has the message already.
        set: Vec<(DestinationId, bool)>,
        notes: Notes,
    }
    /// A copy waits, whole and durable, at one of them.
    b"staged" Working CopyStaged {
        number: u32,
        message: u32,
        destination: DestinationId,
        time: Time,
        octets: u64,
        digest: Digest,
        place: NotedPlace,
    }
    /// Its destination has it.
    b"delivered" Working CopyDelivered { intent: u32, time: Time }
    /// Its destination did not take it.
    b"refused" Working CopyRefused { intent: u32, time: Time, retry_after: Option<Time> }
    /// It was given up, and the message comes again.
    b"dropped" Working CopyDropped { intent: u32, time: Time }
    /// Its key stands for another message now, that was delivered: this one, which only some of its set have, isn't what
    /// holds up its entry.  It is known again by its header.
    b"also-gone" AsItWas MessageGone { message: u32 }

    // Messages.

    /// A message was not delivered.
    b"failed" AsItWas MessageFailed<'a> {
        time: Time,
        key: KeyField<'a>,
        listed_size: Option<u64>,
        retry_after: Option<Time>,
    }
    /// A message is left where it is for its size.
    b"large" AsItWas MessageTooLarge<'a> { time: Time, key: KeyField<'a>, listed_size: Option<u64> }
    /// A message that we have is known under another key.
    b"recorded" Working MatchedElsewhere<'a> {
        time: Time,
        key: KeyField<'a>,
        listed_size: Option<u64>,
        delivered: Time,
        digests: DigestsField<'a>,
        notes: Notes,
    }
    /// A message that changed its size, came back, or was in doubt is the one that we have.
    b"same" Working MatchedHere<'a> {
        time: Time,
        key: KeyField<'a>,
        listed_size: Option<u64>,
        /// Which of its deliveries, if it isn't the last.
        delivery: Last<u16>,
    }
    /// Another header by which the server showed a message that we have.
    b"header" AsItWas OtherHeader<'a> { key: KeyField<'a>, digest: Digest }
    /// Its size by `LIST`.
    b"listed" AsItWas SizeListed<'a> { key: KeyField<'a>, octets: u64 }
    /// It, or all (`*`), may stand for other mail: compared before it counts as known.
    b"doubtful" AsItWas Doubted<'a> { time: Time, key: Option<KeyField<'a>> }
    /// No longer, though it was not compared itself.
    b"certain" AsItWas DoubtEnded<'a> { time: Time, key: KeyField<'a> }
    /// The server's copies of it differ each time: not compared any more.
    b"varies" AsItWas Varying<'a> { time: Time, key: KeyField<'a> }

    // The user's word, from version 3 on.

    /// A message that another program has delivered, at that time; or that counts as seen (`-`).
    b"imported" Working MessageImported<'a> { time: Time, key: KeyField<'a>, delivered: Option<Time> }
    /// How the server shows an imported message: its header, and what identifies it.
    b"identified" AsItWas MessageIdentified<'a> {
        time: Time,
        key: KeyField<'a>,
        header: Digest,
        identity: Option<Digest>,
    }
    /// The first listing has been taken, and all of it counts as seen.  An older popfetch may pass over it: it knows
    /// nothing of this, and what it has to know stands in the lines of the messages.
    b"also-begun" AsItWas FirstListingSeen { time: Time }
    /// Nothing is known of this key any more.
    b"forgotten" Working MessageForgotten<'a> { time: Time, key: KeyField<'a> }

    // Deletions.

    /// `QUIT` is about to be sent in a session in which the server accepted its `DELE`.
    b"asked" Working DeletionAsked<'a> {
        time: Time,
        key: KeyField<'a>,
        /// Which of its deliveries, where others of that key stay.
        delivery: Last<u16>,
    }
    /// The server answered that `QUIT`: the last `count` asked for are deleted.
    b"confirmed" AsItWas DeletionsConfirmed { time: Time, count: u32 }
    /// Version 1: the server confirmed its deletion.
    b"deleted" AsItWas MessageDeleted<'a> { time: Time, key: KeyField<'a> }

    // Listings.

    /// A complete listing was taken.
    b"listing" AsItWas ListingTaken { time: Time, clock: Time }
    /// A complete listing held nothing known.
    b"unlisted" AsItWas NothingKnownListed { time: Time, clock: Time }
    /// The last complete listing was the first to lack it.
    b"absent" AsItWas Absent<'a> { key: KeyField<'a>, day: u16 }
    /// The last complete listing held it again.
    b"present" AsItWas Present<'a> { key: KeyField<'a> }
    /// The server has renumbered: what was listed last may be listed under other keys.
    b"candidates" AsItWas RenumberingBegun { time: Time }
    /// All that the server lists now has been compared.
    b"settled" AsItWas RenumberingSettled { time: Time }
    /// The clock had run ahead: times after this one are this one.
    b"clock" AsItWas ClockCorrected { time: Time }
}

/// Whose ledger it is, and how often it was rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Title<'a> {
    pub(super) version: u64,
    pub(super) id: &'a str,
    pub(super) user: Cow<'a, [u8]>,
    pub(super) host: Cow<'a, [u8]>,
    pub(super) port: u16,
    /// From version 2 on.
    pub(super) generation: u64,
}

impl<'a> LineField<'a> for Title<'a> {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        let version = LineField::read(fields)?;
        let title = Self {
            version,
            id: LineField::read(fields)?,
            user: LineField::read(fields)?,
            host: LineField::read(fields)?,
            port: LineField::read(fields)?,
            generation: if version < 2 { 0 } else { LineField::read(fields)? },
        };
        if version > VERSION {
            // What a later version adds is for the caller to refuse, by the version.
            fields.pass_over();
        }
        Some(title)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Self { version, id, user, host, port, generation } = self;
        version.write(out);
        id.write(out);
        user.write(out);
        host.write(out);
        port.write(out);
        if *version > 1 {
            generation.write(out);
        }
    }
}

impl Fact<'_> {
    /// Appends its line, with checksum and LF.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        self.write_content(out);
        let sum = checksum(out.get(begin..).unwrap_or_default());
        out.push(b' ');
        out.extend_from_slice(&sum);
        out.push(b'\n');
    }
}

/// The line without its checksum; `None` when that does not match.  `line` has no LF.
pub(super) fn checked(line: &[u8]) -> Option<&[u8]> {
    let (rest, sum) = line.split_last_chunk::<8>()?;
    let (space, content) = rest.split_last()?;
    (*space == b' ' && *sum == checksum(content)).then_some(content)
}

fn checksum(content: &[u8]) -> [u8; 8] {
    let sum = twox_hash::XxHash3_64::oneshot(content);
    // The low half, its highest digit first.
    [28, 24, 20, 16, 12, 8, 4, 0].map(|shift| {
        let [octet, ..] = (sum >> shift).to_le_bytes();
        match octet & 15 {
            digit @ 0..=9 => b'0' + digit,
            digit => b'a' - 10 + digit,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{CopyDelivered, CopyRefused, End, Fact, Group, LONGEST_GROUP, LONGEST_OUTCOME, checked};
    use crate::ledger::compaction::{digests_of, key_and_digests};
    use crate::types::Time;

    const SUM: &str = "-2-M0kXyWq_8-4nDbxJ3VYhR";

    #[test]
    fn every_kind_reads_back_as_written() {
        let lines = [
            "popfetch-ledger 1 0123456789abcdef me@example.com pop.example.com 110".to_owned(),
            "popfetch-ledger 2 0123456789abcdef me@example.com pop.example.com 110 7".to_owned(),
            "group 7 1700000000 1699999999 12".to_owned(),
            "destination 3 maildir /home/me/Mail%20box 64769 1234 used".to_owned(),
            "destination 4 stdout - - - -".to_owned(),
            format!("message 9 1700000000 u:a%20b 4096 {SUM} {SUM} - - 0+,3"),
            format!("message 9 1700000000 h:{SUM} - {SUM} {SUM} {SUM} 8 0"),
            format!("message 9 1700000000 h:{SUM} - {SUM} {SUM} {SUM} 8 0 again utf8"),
            format!("staged 1 9 0 1700000000 4000 {SUM} maildir 1.a_b.host"),
            format!("staged 1 9 0 1700000000 4000 {SUM} mbox 10 spool-1 20"),
            format!("staged 1 9 0 1700000000 4000 {SUM} handed"),
            "delivered 1 1700000000".to_owned(),
            "refused 1 1700000000 1700003600".to_owned(),
            "dropped 1 1700000000".to_owned(),
            "also-gone 9".to_owned(),
            "failed 1700000000 u:x - -".to_owned(),
            "large 1700000000 u:x 99999999999".to_owned(),
            format!("recorded 1700000000 u:x 12 1600000000 {SUM} {SUM} -"),
            format!("recorded 1700000000 u:x 12 1600000000 {SUM} {SUM} - utf8"),
            format!("header u:x {SUM}"),
            "same 1700000000 u:x 13".to_owned(),
            "same 1700000000 u:x - 2".to_owned(),
            "listed u:x 13".to_owned(),
            "deleted 1700000000 u:x".to_owned(),
            "imported 1700000000 u:x 1600000000".to_owned(),
            "imported 1700000000 u:x -".to_owned(),
            format!("identified 1700000000 u:x {SUM} {SUM}"),
            format!("identified 1700000000 u:x {SUM} -"),
            "forgotten 1700000000 u:x".to_owned(),
            "asked 1700000000 u:x".to_owned(),
            "asked 1700000000 u:x 2".to_owned(),
            "confirmed 1700000000 3".to_owned(),
            "doubtful 1700000000 u:x".to_owned(),
            "doubtful 1700000000 *".to_owned(),
            "certain 1700000000 u:*".to_owned(),
            format!("varies 1700000000 h:{SUM}"),
            "candidates 1700000000".to_owned(),
            "settled 1700000000".to_owned(),
            "clock 1700000000".to_owned(),
            format!(
                "known deleted u:x - 1700000000 {SUM} {SUM} - gone doubtful again varies utf8 candidate deleted=19675 header={SUM} header={SUM}"
            ),
            "listing 1700000000 1700000000".to_owned(),
            "unlisted 1700000000 0".to_owned(),
            "absent u:x 19675".to_owned(),
            "present u:x".to_owned(),
            format!("known delivered u:x 13 1700000000 {SUM} {SUM} {SUM}"),
            format!("known deleted u:x - 1700000000 {SUM} {SUM} - gone absent=19675"),
            "known open u:x 13 - - - - weak unlisted large failures=3 retry=1700000000".to_owned(),
            format!("copy u:x 1700000000 {SUM} {SUM} -"),
            "new".to_owned(),
            "end".to_owned(),
        ];
        for text in lines {
            let line = Fact::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            let mut written = Vec::new();
            line.write(&mut written);
            let content = checked(written.strip_suffix(b"\n").unwrap()).unwrap();
            assert_eq!(String::from_utf8_lossy(content), text);
            // Its digests are found without the rest.
            assert_eq!(digests_of(content), key_and_digests(&line).map(|(_, digests)| digests), "{text}");
            // No prefix of it passes for a line, nor does it with anything behind.
            for cut in 0..written.len() - 1 {
                assert!(checked(&written[..cut]).is_none(), "{text} cut at {cut}");
            }
            assert!(Fact::parse(format!("{text} x").as_bytes()).is_none(), "{text}");
            assert!(Fact::parse(format!("{text} ").as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn what_no_ledger_holds_is_refused() {
        for text in [
            "",
            " ",
            "knows",
            "end ",
            "delivered 1",
            "delivered -1 5",
            "delivered 4294967296 5",
            "listed u: 13",
            "listed x:a 13",
            "listed h:short 13",
            "listed u:%00 13",
            "listed u:a\r 13",
            "known gone u:x - - - - -",
            "known open u:x - - - - x",
            "known open u:x - - - -",
            "group 1  5 5 0",
            "absent u:x 70000",
        ] {
            assert!(Fact::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn what_is_reserved_is_enough() {
        let far = Time(i64::MAX);
        let cases = [
            (CopyRefused { intent: u32::MAX, time: far, retry_after: Some(far) }.into(), LONGEST_OUTCOME),
            (CopyDelivered { intent: u32::MAX, time: far }.into(), LONGEST_OUTCOME),
            (Group { number: u64::MAX, time: far, clock: far, count: u64::MAX }.into(), LONGEST_GROUP),
            (End {}.into(), LONGEST_GROUP),
        ];
        for (fact, room) in cases {
            let fact: Fact<'_> = fact;
            let mut out = Vec::new();
            fact.write(&mut out);
            assert!(u64::try_from(out.len()).unwrap() <= room, "{fact:?}");
        }
    }
}
