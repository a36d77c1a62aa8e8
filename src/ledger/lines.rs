//! The grammar of a ledger's lines.  Must not know what the lines mean ([`super::index`]) nor where they are kept
//! ([`super::journal`]).
//!
//! A line is `WORD FIELD… CHECKSUM`, separated by single spaces and ended by LF.  The checksum is the low half of XXH3-64
//! over everything before its space, in eight hex digits: it tells torn and rotten lines, at a tenth of the cost of
//! reading them; it is no defence against people, who can write what they like into their own files.  What a server
//! said stands in [`crate::text::field`]'s form, so that no line can be made to look like two, or like another.
//!
//! | line | says |
//! |---|---|
//! | `popfetch-ledger 2 ID USER HOST PORT GENERATION` | whose ledger this is, and how often it was rewritten; always the first line |
//! | `group N TIME CLOCK COUNT` | everything before is on disk; COUNT entries follow, as far as known |
//! | `destination D KIND ADDRESS DEVICE INODE USED` | a number for a destination |
//! | `message M TIME KEY LISTED DIGESTS REPLACES SET NOTE…` | a message about to be delivered to a set of destinations |
//! | `staged N M D TIME OCTETS DIGEST PLACE…` | it waits, whole and durable, at one of them |
//! | `delivered N TIME`, `refused N TIME RETRY`, `dropped N TIME` | what became of that |
//! | `failed TIME KEY LISTED RETRY`, `large TIME KEY LISTED` | a message that was not delivered |
//! | `recorded TIME KEY LISTED DELIVERED DIGESTS NOTE…` | a message recognised under another key |
//! | `header KEY DIGEST` | another header by which the server showed a message that we have |
//! | `same TIME KEY LISTED [COPY]` | a message that changed its size, or came back, and is the one we have; COPY: of several, not the last |
//! | `listed KEY OCTETS` | its size by `LIST` |
//! | `asked TIME KEY` | `QUIT` is about to be sent in a session in which the server accepted its `DELE` |
//! | `confirmed TIME COUNT` | the server answered that `QUIT`: the last COUNT asked for are deleted |
//! | `deleted TIME KEY` | version 1: the server confirmed its deletion |
//! | `listing TIME CLOCK`, `absent KEY DAY`, `present KEY` | a complete listing, and what it changed |
//! | `unlisted TIME CLOCK` | a complete listing that held nothing known |
//! | `doubtful TIME KEY`, `doubtful TIME *` | it, or all, may stand for other mail: compared before it counts as known |
//! | `certain TIME KEY` | no more, though it was not compared itself |
//! | `varies TIME KEY` | the server's copies of it differ each time: not compared any more |
//! | `candidates TIME`, `settled TIME` | a renumbering: what was listed last may be listed under other keys; that is over |
//! | `clock TIME` | the clock had run ahead: times behind this one are this one |
//! | `known STATE KEY LISTED DELIVERED DIGESTS NOTE…`, `copy KEY DELIVERED DIGESTS` | an entry after compaction |
//! | `new` | the file was written anew; until an `end` follows, its name may not be on disk |
//! | `end` | the run ended in order: what matters before this line is on disk, and nothing of it is open |
//!
//! DIGESTS are three fields: message, header, identity.  `-` stands for what is not known.  A line whose word begins with
//! `also-` may be passed over by a reader that doesn't know it; any other unknown word is damage.

use std::borrow::Cow;
use std::io::Write as _;

use crate::message::{Digest, Digests};
use crate::proof::{DestinationId, DestinationKind, Key, NotedPlace};
use crate::text;
use crate::types::{Time, UniqueId, parse_decimal};

use super::State;
use super::codec::{Fields, short, shorter, unescape};

/// The first word of every ledger.
pub(super) const MAGIC: &[u8] = b"popfetch-ledger";
/// The version of this grammar.  Version 1 has no GENERATION, and is read as well.
pub(super) const VERSION: u64 = 2;
/// What the word of a line begins with that may be passed over.
pub(super) const MAY_BE_PASSED_OVER: &[u8] = b"also-";
/// The longest outcome line (`delivered`, `refused`, `dropped`) with its LF: what is reserved for each piece.
pub(super) const LONGEST_OUTCOME: u64 = 80;
/// The longest `group` or `end` line with its LF.
pub(super) const LONGEST_HEADER: u64 = 112;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line<'a> {
    First {
        version: u64,
        id: &'a str,
        user: Cow<'a, [u8]>,
        host: Cow<'a, [u8]>,
        port: u16,
        generation: u64,
    },
    Group {
        number: u64,
        time: Time,
        clock: Time,
        count: u64,
    },
    Destination {
        number: DestinationId,
        kind: DestinationKind,
        address: Cow<'a, [u8]>,
        inode: Option<(u64, u64)>,
        used: bool,
    },
    Message {
        number: u32,
        time: Time,
        key: KeyField<'a>,
        listed: Option<u64>,
        digests: DigestsField<'a>,
        replaces: Option<u32>,
        set: Vec<(DestinationId, bool)>,
        notes: Notes,
    },
    Staged {
        number: u32,
        message: u32,
        destination: DestinationId,
        time: Time,
        octets: u64,
        digest: Digest,
        place: NotedPlace,
    },
    Delivered {
        intent: u32,
        time: Time,
    },
    Refused {
        intent: u32,
        time: Time,
        retry_after: Option<Time>,
    },
    Dropped {
        intent: u32,
        time: Time,
    },
    Failed {
        time: Time,
        key: KeyField<'a>,
        listed: Option<u64>,
        retry_after: Option<Time>,
    },
    Large {
        time: Time,
        key: KeyField<'a>,
        listed: Option<u64>,
    },
    Recorded {
        time: Time,
        key: KeyField<'a>,
        listed: Option<u64>,
        delivered: Time,
        digests: DigestsField<'a>,
        notes: Notes,
    },
    Header {
        key: KeyField<'a>,
        digest: Digest,
    },
    Same {
        time: Time,
        key: KeyField<'a>,
        listed: Option<u64>,
        /// Which of its copies, if it isn't the last.
        copy: Option<u16>,
    },
    Listed {
        key: KeyField<'a>,
        octets: u64,
    },
    Asked {
        time: Time,
        key: KeyField<'a>,
    },
    Confirmed {
        time: Time,
        count: u32,
    },
    Deleted {
        time: Time,
        key: KeyField<'a>,
    },
    Doubtful {
        time: Time,
        /// `None`: all.
        key: Option<KeyField<'a>>,
    },
    Certain {
        time: Time,
        key: KeyField<'a>,
    },
    Varies {
        time: Time,
        key: KeyField<'a>,
    },
    Candidates {
        time: Time,
    },
    Settled {
        time: Time,
    },
    Clock {
        time: Time,
    },
    Listing {
        time: Time,
        clock: Time,
    },
    Unlisted {
        time: Time,
        clock: Time,
    },
    Absent {
        key: KeyField<'a>,
        day: u16,
    },
    Present {
        key: KeyField<'a>,
    },
    Known {
        state: State,
        key: KeyField<'a>,
        listed: Option<u64>,
        delivered: Option<Time>,
        digests: Option<DigestsField<'a>>,
        notes: Notes,
    },
    Copy {
        key: KeyField<'a>,
        delivered: Time,
        digests: DigestsField<'a>,
    },
    New,
    End,
}

/// What a line sets only where it isn't so by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// `absent=DAY`: complete listings have lacked it since that day.
    pub(super) absent: Option<u16>,
    /// `gone`: deleted, and a listing has lacked it since.
    pub(super) gone: bool,
    /// `weak`: open, and what is held of it was only seen or recorded.
    pub(super) weak: bool,
    /// `unlisted`: recognised after the last complete listing.
    pub(super) unlisted: bool,
    /// `large`: reported as too large.
    pub(super) large: bool,
    /// `doubtful`: to be compared before it counts as known.
    pub(super) doubtful: bool,
    /// `again`: delivered again after a comparison had failed.
    pub(super) again: bool,
    /// `varies`: the server's copies differ each time.
    pub(super) varies: bool,
    /// `utf8`: delivered from a session in UTF-8 mode.
    pub(super) utf8: bool,
    /// `candidate`: may be listed under another key.
    pub(super) candidate: bool,
    /// `deleted=DAY`: when the server confirmed its deletion.
    pub(super) deleted: Option<u16>,
    /// `failures=COUNT`.
    pub(super) failures: u16,
    /// `retry=TIME`.
    pub(super) retry_after: Option<Time>,
    /// `header=DIGEST`, for each other header that the server showed it by.
    pub(super) headers: Vec<Digest>,
}

/// A message's key, as a line lends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyField<'a> {
    UniqueId(Cow<'a, [u8]>),
    Header(Digest),
}

impl<'a> From<&'a Key> for KeyField<'a> {
    fn from(key: &'a Key) -> Self {
        match key {
            Key::UniqueId(unique_id) => Self::UniqueId(Cow::Borrowed(unique_id.borrow().as_bytes())),
            Key::Header(digest) => Self::Header(*digest),
        }
    }
}

impl<'a> KeyField<'a> {
    pub(super) fn parse(field: &'a [u8]) -> Option<Self> {
        let (sort, rest) = field.split_at_checked(2)?;
        match sort {
            b"u:" => unescape(rest).filter(|octets| UniqueId::new(octets).is_some()).map(Self::UniqueId),
            b"h:" => Digest::parse(rest).map(Self::Header),
            _ => None,
        }
    }

    /// A key that owns its octets.
    pub(super) fn to_key(&self) -> Option<Key> {
        match self {
            Self::UniqueId(octets) => UniqueId::new(octets).map(|u| Key::UniqueId(u.to_buf())),
            Self::Header(digest) => Some(Key::Header(*digest)),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::UniqueId(octets) => {
                out.extend_from_slice(b"u:");
                out.extend_from_slice(text::field(octets).as_bytes());
            }
            Self::Header(digest) => put(out, format_args!("h:{digest}")),
        }
    }
}

/// Three digests, decoded only when somebody wants them: replay doesn't, and they are half of a ledger.
#[derive(Debug, Clone, Copy)]
pub(super) enum DigestsField<'a> {
    Text(&'a [u8]),
    Value(Digests),
}

impl PartialEq for DigestsField<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}
impl Eq for DigestsField<'_> {}

impl DigestsField<'_> {
    /// The digests; `None` when the text is not what it should be.
    pub(super) fn value(&self) -> Option<Digests> {
        match self {
            Self::Value(digests) => Some(*digests),
            Self::Text(text) => {
                let mut fields = Fields::new(text);
                Some(Digests {
                    message: Digest::parse(fields.next()?)?,
                    header: Digest::parse(fields.next()?)?,
                    identity: fields.optional(Digest::parse)?,
                })
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Value(Digests { message, header, identity }) => {
                put(out, format_args!("{message} {header} {}", Or(*identity)));
            }
        }
    }
}

/// The line without its checksum; `None` when that does not match.  `line` has no LF.
pub(super) fn checked(line: &[u8]) -> Option<&[u8]> {
    let (rest, sum) = line.split_last_chunk::<8>()?;
    let (space, content) = rest.split_last()?;
    let value = sum.iter().try_fold(0_u32, |value, octet| {
        let digit = match octet {
            b'0'..=b'9' => octet - b'0',
            b'a'..=b'f' => octet - b'a' + 10,
            _ => return None,
        };
        Some((value << 4) | u32::from(digit))
    })?;
    (*space == b' ' && value == checksum(content)).then_some(content)
}

fn checksum(content: &[u8]) -> u32 {
    let [a, b, c, d, ..] = xxhash_rust::xxh3::xxh3_64(content).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

impl<'a> Line<'a> {
    /// Reads what [`checked`] has let through; `None` for what no ledger of a known version holds.
    pub(super) fn parse(content: &'a [u8]) -> Option<Self> {
        let mut f = Fields::new(content);
        let line = match f.next()? {
            b"known" => Self::Known {
                state: state(f.next()?)?,
                key: f.key()?,
                listed: f.optional_decimal()?,
                delivered: f.optional_time()?,
                digests: f.digests_or_none()?,
                notes: f.notes()?,
            },
            b"copy" => Self::Copy { key: f.key()?, delivered: f.time()?, digests: f.digests()? },
            b"message" => Self::Message {
                number: f.number()?,
                time: f.time()?,
                key: f.key()?,
                listed: f.optional_decimal()?,
                digests: f.digests()?,
                replaces: f.optional(short)?,
                set: set(f.next()?)?,
                notes: f.notes()?,
            },
            b"staged" => Self::Staged {
                number: f.number()?,
                message: f.number()?,
                destination: f.destination()?,
                time: f.time()?,
                octets: parse_decimal(f.next()?)?,
                digest: Digest::parse(f.next()?)?,
                place: f.place()?,
            },
            b"delivered" => Self::Delivered { intent: f.number()?, time: f.time()? },
            b"refused" => {
                Self::Refused { intent: f.number()?, time: f.time()?, retry_after: f.optional_time()? }
            }
            b"dropped" => Self::Dropped { intent: f.number()?, time: f.time()? },
            b"failed" => Self::Failed {
                time: f.time()?,
                key: f.key()?,
                listed: f.optional_decimal()?,
                retry_after: f.optional_time()?,
            },
            b"large" => Self::Large { time: f.time()?, key: f.key()?, listed: f.optional_decimal()? },
            b"recorded" => Self::Recorded {
                time: f.time()?,
                key: f.key()?,
                listed: f.optional_decimal()?,
                delivered: f.time()?,
                digests: f.digests()?,
                notes: f.notes()?,
            },
            b"header" => Self::Header { key: f.key()?, digest: Digest::parse(f.next()?)? },
            b"same" => Self::Same {
                time: f.time()?,
                key: f.key()?,
                listed: f.optional_decimal()?,
                copy: f.last(shorter)?,
            },
            b"listed" => Self::Listed { key: f.key()?, octets: parse_decimal(f.next()?)? },
            b"asked" => Self::Asked { time: f.time()?, key: f.key()? },
            b"confirmed" => Self::Confirmed { time: f.time()?, count: f.number()? },
            b"deleted" => Self::Deleted { time: f.time()?, key: f.key()? },
            b"doubtful" => Self::Doubtful { time: f.time()?, key: f.key_or_all()? },
            b"certain" => Self::Certain { time: f.time()?, key: f.key()? },
            b"varies" => Self::Varies { time: f.time()?, key: f.key()? },
            b"candidates" => Self::Candidates { time: f.time()? },
            b"settled" => Self::Settled { time: f.time()? },
            b"clock" => Self::Clock { time: f.time()? },
            b"listing" => Self::Listing { time: f.time()?, clock: f.time()? },
            b"unlisted" => Self::Unlisted { time: f.time()?, clock: f.time()? },
            b"absent" => Self::Absent { key: f.key()?, day: shorter(f.next()?)? },
            b"present" => Self::Present { key: f.key()? },
            b"group" => Self::Group {
                number: parse_decimal(f.next()?)?,
                time: f.time()?,
                clock: f.time()?,
                count: parse_decimal(f.next()?)?,
            },
            b"destination" => Self::Destination {
                number: f.destination()?,
                kind: kind(f.next()?)?,
                address: unescape(f.next()?)?,
                inode: f.optional_decimal()?.zip(f.optional_decimal()?),
                used: yes(f.next()?)?,
            },
            MAGIC => {
                let version = parse_decimal(f.next()?)?;
                let first = Self::First {
                    version,
                    id: std::str::from_utf8(f.next()?).ok()?,
                    user: unescape(f.next()?)?,
                    host: unescape(f.next()?)?,
                    port: shorter(f.next()?)?,
                    generation: if version < 2 { 0 } else { parse_decimal(f.next()?)? },
                };
                // What a later version adds is for the caller to refuse, by the version.
                return (version > VERSION || f.is_over()).then_some(first);
            }
            b"new" => Self::New,
            b"end" => Self::End,
            _ => return None,
        };
        f.is_over().then_some(line)
    }

    /// Appends the line, with checksum and LF.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        self.write_content(out);
        let sum = checksum(out.get(begin..).unwrap_or_default());
        put(out, format_args!(" {sum:08x}\n"));
    }

    fn write_content(&self, out: &mut Vec<u8>) {
        match self {
            Self::First { version, id, user, host, port, generation } => {
                out.extend_from_slice(MAGIC);
                let [user, host] = [user, host].map(|octets| text::field(octets));
                put(out, format_args!(" {version} {id} {user} {host} {port}"));
                if *version > 1 {
                    put(out, format_args!(" {generation}"));
                }
            }
            Self::Group { number, time, clock, count } => {
                put(out, format_args!("group {number} {} {} {count}", At(*time), At(*clock)));
            }
            Self::Destination { number, kind, address, inode, used } => {
                let (device, inode) = inode.unzip();
                put(
                    out,
                    format_args!(
                        "destination {} {} {} {} {} {}",
                        number.0,
                        kind_word(*kind),
                        text::field(address),
                        Or(device),
                        Or(inode),
                        if *used { "used" } else { "-" }
                    ),
                );
            }
            Self::Message { number, time, key, listed, digests, replaces, set, notes } => {
                put(out, format_args!("message {number} {} ", At(*time)));
                key.write(out);
                put(out, format_args!(" {} ", Or(*listed)));
                digests.write(out);
                put(out, format_args!(" {} ", Or(*replaces)));
                for (i, (destination, has)) in set.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    put(out, format_args!("{comma}{}{}", destination.0, if *has { "+" } else { "" }));
                }
                if set.is_empty() {
                    out.push(b'-');
                }
                notes.write(out);
            }
            Self::Staged { number, message, destination, time, octets, digest, place } => {
                let (time, destination) = (At(*time), destination.0);
                put(out, format_args!("staged {number} {message} {destination} {time} {octets} {digest} "));
                match place {
                    NotedPlace::Maildir { name } => {
                        put(out, format_args!("maildir {}", text::field(name.as_bytes())));
                    }
                    NotedPlace::Mbox { offset, spool, spool_offset } => {
                        let spool = text::field(spool.as_bytes());
                        put(out, format_args!("mbox {offset} {spool} {spool_offset}"));
                    }
                    NotedPlace::Handed => put(out, format_args!("handed")),
                }
            }
            Self::Delivered { intent, time } => put(out, format_args!("delivered {intent} {}", At(*time))),
            Self::Refused { intent, time, retry_after } => {
                put(out, format_args!("refused {intent} {} {}", At(*time), Or(retry_after.map(At))));
            }
            Self::Dropped { intent, time } => put(out, format_args!("dropped {intent} {}", At(*time))),
            Self::Failed { time, key, listed, retry_after } => {
                put(out, format_args!("failed {} ", At(*time)));
                key.write(out);
                put(out, format_args!(" {} {}", Or(*listed), Or(retry_after.map(At))));
            }
            Self::Large { time, key, listed } => {
                put(out, format_args!("large {} ", At(*time)));
                key.write(out);
                put(out, format_args!(" {}", Or(*listed)));
            }
            Self::Recorded { time, key, listed, delivered, digests, notes } => {
                put(out, format_args!("recorded {} ", At(*time)));
                key.write(out);
                put(out, format_args!(" {} {} ", Or(*listed), At(*delivered)));
                digests.write(out);
                notes.write(out);
            }
            Self::Header { key, digest } => {
                out.extend_from_slice(b"header ");
                key.write(out);
                put(out, format_args!(" {digest}"));
            }
            Self::Same { time, key, listed, copy } => {
                put(out, format_args!("same {} ", At(*time)));
                key.write(out);
                put(out, format_args!(" {}", Or(*listed)));
                if let Some(copy) = copy {
                    put(out, format_args!(" {copy}"));
                }
            }
            Self::Listed { key, octets } => {
                out.extend_from_slice(b"listed ");
                key.write(out);
                put(out, format_args!(" {octets}"));
            }
            Self::Asked { time, key } => timed(out, "asked", *time, key),
            Self::Confirmed { time, count } => put(out, format_args!("confirmed {} {count}", At(*time))),
            Self::Deleted { time, key } => timed(out, "deleted", *time, key),
            Self::Doubtful { time, key: Some(key) } => timed(out, "doubtful", *time, key),
            Self::Doubtful { time, key: None } => put(out, format_args!("doubtful {} *", At(*time))),
            Self::Certain { time, key } => timed(out, "certain", *time, key),
            Self::Varies { time, key } => timed(out, "varies", *time, key),
            Self::Candidates { time } => put(out, format_args!("candidates {}", At(*time))),
            Self::Settled { time } => put(out, format_args!("settled {}", At(*time))),
            Self::Clock { time } => put(out, format_args!("clock {}", At(*time))),
            Self::Listing { time, clock } => put(out, format_args!("listing {} {}", At(*time), At(*clock))),
            Self::Unlisted { time, clock } => {
                put(out, format_args!("unlisted {} {}", At(*time), At(*clock)));
            }
            Self::Absent { key, day } => {
                out.extend_from_slice(b"absent ");
                key.write(out);
                put(out, format_args!(" {day}"));
            }
            Self::Present { key } => {
                out.extend_from_slice(b"present ");
                key.write(out);
            }
            Self::Known { state, key, listed, delivered, digests, notes } => {
                put(out, format_args!("known {} ", state_word(*state)));
                key.write(out);
                put(out, format_args!(" {} {} ", Or(*listed), Or(delivered.map(At))));
                match digests {
                    Some(digests) => digests.write(out),
                    None => out.extend_from_slice(b"- - -"),
                }
                notes.write(out);
            }
            Self::Copy { key, delivered, digests } => {
                out.extend_from_slice(b"copy ");
                key.write(out);
                put(out, format_args!(" {} ", At(*delivered)));
                digests.write(out);
            }
            Self::New => out.extend_from_slice(b"new"),
            Self::End => out.extend_from_slice(b"end"),
        }
    }
}

impl Notes {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(day) = self.absent {
            put(out, format_args!(" absent={day}"));
        }
        for (set, word) in [
            (self.gone, " gone"),
            (self.weak, " weak"),
            (self.unlisted, " unlisted"),
            (self.large, " large"),
            (self.doubtful, " doubtful"),
            (self.again, " again"),
            (self.varies, " varies"),
            (self.utf8, " utf8"),
            (self.candidate, " candidate"),
        ] {
            if set {
                out.extend_from_slice(word.as_bytes());
            }
        }
        if let Some(day) = self.deleted {
            put(out, format_args!(" deleted={day}"));
        }
        if self.failures > 0 {
            put(out, format_args!(" failures={}", self.failures));
        }
        if let Some(time) = self.retry_after {
            put(out, format_args!(" retry={}", At(time)));
        }
        for header in &self.headers {
            put(out, format_args!(" header={header}"));
        }
    }
}

/// A word, a time and a key.
fn timed(out: &mut Vec<u8>, word: &str, time: Time, key: &KeyField<'_>) {
    put(out, format_args!("{word} {} ", At(time)));
    key.write(out);
}

fn yes(field: &[u8]) -> Option<bool> {
    match field {
        b"used" => Some(true),
        b"-" => Some(false),
        _ => None,
    }
}

fn set(field: &[u8]) -> Option<Vec<(DestinationId, bool)>> {
    if field == b"-" {
        return Some(Vec::new());
    }
    let member = |member: &[u8]| {
        let (digits, has) = match member.split_last()? {
            (b'+', digits) => (digits, true),
            _ => (member, false),
        };
        Some((DestinationId(shorter(digits)?), has))
    };
    field.split(|octet| *octet == b',').map(member).collect()
}

const STATES: [(State, &str); 5] = [
    (State::Delivered, "delivered"),
    (State::Deleted, "deleted"),
    (State::Open, "open"),
    (State::Seen, "seen"),
    (State::Recorded, "recorded"),
];

fn state(word: &[u8]) -> Option<State> {
    STATES.iter().find(|(_, known)| known.as_bytes() == word).map(|(state, _)| *state)
}

fn state_word(state: State) -> &'static str {
    STATES.iter().find(|(known, _)| *known == state).map_or("open", |(_, word)| word)
}

const KINDS: [(DestinationKind, &str); 4] = [
    (DestinationKind::Maildir, "maildir"),
    (DestinationKind::Mbox, "mbox"),
    (DestinationKind::Pipe, "pipe"),
    (DestinationKind::Stdout, "stdout"),
];

fn kind(word: &[u8]) -> Option<DestinationKind> {
    KINDS.iter().find(|(_, known)| known.as_bytes() == word).map(|(kind, _)| *kind)
}

fn kind_word(kind: DestinationKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("pipe", |(_, word)| word)
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
}

/// A time as the file has it: none is before 1970.
struct At(Time);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.0.max(0).fmt(f)
    }
}

/// Something, or `-`.
struct Or<T>(Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Or<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_HEADER, LONGEST_OUTCOME, Line, checked};
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
            "failed 1700000000 u:x - -".to_owned(),
            "large 1700000000 u:x 99999999999".to_owned(),
            format!("recorded 1700000000 u:x 12 1600000000 {SUM} {SUM} -"),
            format!("recorded 1700000000 u:x 12 1600000000 {SUM} {SUM} - utf8"),
            format!("header u:x {SUM}"),
            "same 1700000000 u:x 13".to_owned(),
            "same 1700000000 u:x - 2".to_owned(),
            "listed u:x 13".to_owned(),
            "deleted 1700000000 u:x".to_owned(),
            "asked 1700000000 u:x".to_owned(),
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
            format!("known deleted u:x - 1700000000 {SUM} {SUM} - absent=19675 gone"),
            "known open u:x 13 - - - - weak unlisted large failures=3 retry=1700000000".to_owned(),
            format!("copy u:x 1700000000 {SUM} {SUM} -"),
            "new".to_owned(),
            "end".to_owned(),
        ];
        for text in lines {
            let line = Line::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            let mut written = Vec::new();
            line.write(&mut written);
            let content = checked(written.strip_suffix(b"\n").unwrap()).unwrap();
            assert_eq!(String::from_utf8_lossy(content), text);
            // No prefix of it passes for a line, nor does it with anything behind.
            for cut in 0..written.len() - 1 {
                assert!(checked(&written[..cut]).is_none(), "{text} cut at {cut}");
            }
            assert!(Line::parse(format!("{text} x").as_bytes()).is_none(), "{text}");
            assert!(Line::parse(format!("{text} ").as_bytes()).is_none(), "{text}");
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
            assert!(Line::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn what_is_reserved_is_enough() {
        let far = Time(i64::MAX);
        let cases = [
            (Line::Refused { intent: u32::MAX, time: far, retry_after: Some(far) }, LONGEST_OUTCOME),
            (Line::Delivered { intent: u32::MAX, time: far }, LONGEST_OUTCOME),
            (Line::Group { number: u64::MAX, time: far, clock: far, count: u64::MAX }, LONGEST_HEADER),
            (Line::End, LONGEST_HEADER),
        ];
        for (line, room) in cases {
            let mut out = Vec::new();
            line.write(&mut out);
            assert!(u64::try_from(out.len()).unwrap() <= room, "{line:?}");
        }
    }
}
