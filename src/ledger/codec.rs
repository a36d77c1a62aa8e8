//! The fields of a ledger's lines: how each type is read and written.  Must not know which fields which line has
//! ([`super::lines`]).
//!
//! Fields are separated by single spaces.  What a server or a user chose stands in [`crate::text::field`]'s form, so that
//! no line can be made to look like two, or like another.

use std::borrow::Cow;
use std::io::Write as _;

use crate::message::{Digest, DigestText, Digests};
use crate::place::NotedPlace;
use crate::proof::{DestinationId, DestinationKind, Key};
use crate::text;
use crate::types::{Time, UniqueId, parse_decimal, split_decimal};

use super::entry::EntryState;

/// What a field or the word of a line begins with that a reader may pass over if it doesn't know it.
pub(super) const MAY_BE_PASSED_OVER: &[u8] = b"also-";

/// A type that a line can hold.
pub(super) trait LineField<'a>: Sized {
    /// What stands in the place of a value that is missing.
    const NONE: &'static [u8] = b"-";

    /// Takes it off the front; `None` for what no ledger of a known version holds.
    fn read(fields: &mut LineFields<'a>) -> Option<Self>;

    /// Appends it, with a space before it.
    fn write(&self, out: &mut Vec<u8>);
}

/// The fields that are left of a line; `None` when the last one has been taken.
pub(super) struct LineFields<'a>(Option<&'a [u8]>);

impl<'a> LineFields<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self(Some(content))
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_none()
    }

    /// The next field as it stands; `None` when there is none, or an empty one.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        // Most are too short for anything cleverer to pay.
        let end = rest.iter().position(|octet| *octet == b' ');
        let (field, rest) = match end.and_then(|end| rest.split_at_checked(end)) {
            Some((field, rest)) => (field, rest.get(1..)),
            None => (rest, None),
        };
        self.0 = rest;
        (!field.is_empty()).then_some(field)
    }

    /// Leaves out what is left.
    pub(super) fn pass_over(&mut self) {
        self.0 = None;
    }

    /// Takes `word` off the front, if it is the next field, or fields.
    #[inline]
    fn take(&mut self, word: &[u8]) -> bool {
        match self.0.and_then(|rest| rest.strip_prefix(word)) {
            Some(rest) => self.continue_at(rest).is_some(),
            None => false,
        }
    }

    /// The field that ends where `rest` begins has been taken; `None` when none ends there.
    fn continue_at(&mut self, rest: &'a [u8]) -> Option<()> {
        self.0 = match rest.split_first() {
            None => None,
            Some((b' ', rest)) => Some(rest),
            Some(_) => return None,
        };
        Some(())
    }

    fn decimal(&mut self) -> Option<u64> {
        let (value, rest) = split_decimal(self.0?)?;
        self.continue_at(rest).map(|()| value)
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
}

fn put_word(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b' ');
    out.extend_from_slice(word);
}

impl<'a, T: LineField<'a>> LineField<'a> for Option<T> {
    #[inline]
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        if fields.take(T::NONE) { Some(None) } else { T::read(fields).map(Some) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => put_word(out, T::NONE),
        }
    }
}

macro_rules! decimal_fields {
    ($($number:ty),*) => {$(
        impl<'a> LineField<'a> for $number {
            fn read(fields: &mut LineFields<'a>) -> Option<Self> {
                fields.decimal()?.try_into().ok()
            }
            fn write(&self, out: &mut Vec<u8>) {
                put(out, format_args!(" {self}"));
            }
        }
    )*};
}
decimal_fields!(u16, u32, u64);

impl<'a> LineField<'a> for Time {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        fields.decimal()?.try_into().ok().map(Self)
    }

    /// None is before 1970.
    fn write(&self, out: &mut Vec<u8>) {
        put(out, format_args!(" {}", self.0.max(0)));
    }
}

/// What a directory is known by: when it was made, or its device; and its inode.
impl<'a> LineField<'a> for (u64, u64) {
    const NONE: &'static [u8] = b"- -";

    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        Some((fields.decimal()?, fields.decimal()?))
    }

    fn write(&self, out: &mut Vec<u8>) {
        put(out, format_args!(" {} {}", self.0, self.1));
    }
}

impl<'a> LineField<'a> for DestinationId {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        u16::read(fields).map(Self)
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

impl<'a> LineField<'a> for Digest {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        Self::parse(fields.next()?)
    }

    fn write(&self, out: &mut Vec<u8>) {
        put(out, format_args!(" {self}"));
    }
}

impl<'a> LineField<'a> for &'a str {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        std::str::from_utf8(fields.next()?).ok()
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_word(out, self.as_bytes());
    }
}

/// Octets that a server or a user chose.
impl<'a> LineField<'a> for Cow<'a, [u8]> {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        unescape(fields.next()?)
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_word(out, text::field(self).as_bytes());
    }
}

/// Borrows where nothing is escaped, as hardly anything is.
fn unescape(field: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'%', field).is_some() {
        return text::from_field(field).map(Cow::Owned);
    }
    field.iter().all(u8::is_ascii_graphic).then_some(Cow::Borrowed(field))
}

macro_rules! word_fields {
    ($type:ty: $($value:ident $word:literal),* $(,)?) => {
        impl<'a> LineField<'a> for $type {
            fn read(fields: &mut LineFields<'a>) -> Option<Self> {
                $(if fields.take($word) {
                    return Some(Self::$value);
                })*
                None
            }
            fn write(&self, out: &mut Vec<u8>) {
                put_word(out, match self { $(Self::$value => $word,)* });
            }
        }
    };
}

word_fields!(EntryState:
    Delivered b"delivered",
    Deleted b"deleted",
    Open b"open",
    Seen b"seen",
    Recorded b"recorded",
);

impl<'a> LineField<'a> for DestinationKind {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| fields.take(kind.word().as_bytes()))
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_word(out, self.word().as_bytes());
    }
}

/// Whether anything was ever delivered to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Something was.
    Used,
    /// Not yet.
    Unused,
}
word_fields!(Use: Used b"used", Unused b"-");

/// A value that is left out where it is missing: the last one of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last<T>(pub(super) Option<T>);

impl<'a, T: LineField<'a>> LineField<'a> for Last<T> {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        if fields.is_over() { Some(Self(None)) } else { T::read(fields).map(|value| Self(Some(value))) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(value) = &self.0 {
            value.write(out);
        }
    }
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

impl KeyField<'_> {
    /// A key that owns its octets.
    pub(super) fn to_key(&self) -> Option<Key> {
        match self {
            Self::UniqueId(octets) => UniqueId::new(octets).map(|u| Key::UniqueId(u.to_buf())),
            Self::Header(digest) => Some(Key::Header(*digest)),
        }
    }
}

impl<'a> LineField<'a> for KeyField<'a> {
    /// Every key that is known.
    const NONE: &'static [u8] = b"*";

    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        // Nearly all are unique-ids with nothing escaped, and replay spends much of its time here.
        if let Some(rest) = fields.0?.strip_prefix(b"u:") {
            let end = memchr::memchr2(b' ', b'%', rest).unwrap_or(rest.len());
            let (plain, behind) = rest.split_at_checked(end)?;
            if behind.first() != Some(&b'%') {
                fields.continue_at(behind)?;
                return UniqueId::new(plain).map(|_| Self::UniqueId(Cow::Borrowed(plain)));
            }
        }
        let (sort, rest) = fields.next()?.split_at_checked(2)?;
        match sort {
            b"u:" => unescape(rest).filter(|octets| UniqueId::new(octets).is_some()).map(Self::UniqueId),
            b"h:" => Digest::parse(rest).map(Self::Header),
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::UniqueId(octets) => {
                put_word(out, b"u:");
                out.extend_from_slice(text::field(octets).as_bytes());
            }
            Self::Header(digest) => put(out, format_args!(" h:{digest}")),
        }
    }
}

/// The digests of a message, of its header and of what identifies it.  They are decoded only when they are needed:
/// replay doesn't need them, and they are half of a ledger.
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
                let mut fields = LineFields::new(text);
                Some(Digests {
                    message: Digest::read(&mut fields)?,
                    header: Digest::read(&mut fields)?,
                    identity: Option::read(&mut fields)?,
                })
            }
        }
    }

    /// The digests of the message and of its header, as they stand in the line.
    pub(super) fn texts(&self) -> Option<(DigestText, DigestText)> {
        match self {
            Self::Value(digests) => Some((digests.message.into(), digests.header.into())),
            Self::Text(text) => {
                let (message, rest) = text.split_first_chunk()?;
                let header = rest.get(1..)?.first_chunk()?;
                Some((DigestText::new(*message), DigestText::new(*header)))
            }
        }
    }
}

impl<'a> LineField<'a> for DigestsField<'a> {
    const NONE: &'static [u8] = b"- - -";

    /// Looks at the form alone: two digests, and a third or `-`.
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        let rest = fields.0?;
        let two = 2 * (Digest::CHARACTERS + 1);
        // A digest may begin with `-` too.
        let none = rest.get(two) == Some(&b'-') && matches!(rest.get(two + 1), None | Some(b' '));
        let third = if none { 1 } else { Digest::CHARACTERS };
        let (digests, rest) = rest.split_at_checked(two + third)?;
        let spaced = |at: usize| digests.get(at) == Some(&b' ');
        fields.continue_at(rest)?;
        (spaced(Digest::CHARACTERS) && spaced(two - 1)).then_some(Self::Text(digests))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => put_word(out, text),
            Self::Value(Digests { message, header, identity }) => {
                put(out, format_args!(" {message} {header}"));
                identity.write(out);
            }
        }
    }
}

/// A set of destinations, and whether each has the message: `0+,3`.
impl<'a> LineField<'a> for Vec<(DestinationId, bool)> {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        let member = |member: &[u8]| {
            let (digits, has) = match member.split_last()? {
                (b'+', digits) => (digits, true),
                _ => (member, false),
            };
            Some((DestinationId(parse_decimal(digits)?.try_into().ok()?), has))
        };
        match fields.next()? {
            b"-" => Some(Self::new()),
            members => members.split(|octet| *octet == b',').map(member).collect(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.is_empty() {
            return put_word(out, b"-");
        }
        for (i, (destination, has)) in self.iter().enumerate() {
            let before = if i == 0 { ' ' } else { ',' };
            put(out, format_args!("{before}{}{}", destination.0, if *has { "+" } else { "" }));
        }
    }
}

impl<'a> LineField<'a> for NotedPlace {
    fn read(fields: &mut LineFields<'a>) -> Option<Self> {
        Some(match fields.next()? {
            b"maildir" => Self::Maildir { name: file_name(fields)? },
            b"mbox" => Self::Mbox {
                offset: fields.decimal()?,
                spool: file_name(fields)?,
                spool_offset: fields.decimal()?,
            },
            b"handed" => Self::Handed,
            _ => return None,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Maildir { name } => put(out, format_args!(" maildir {}", text::field(name.as_bytes()))),
            Self::Mbox { offset, spool, spool_offset } => {
                put(out, format_args!(" mbox {offset} {} {spool_offset}", text::field(spool.as_bytes())));
            }
            Self::Handed => put_word(out, b"handed"),
        }
    }
}

/// One file in one directory: nothing that leads out of it.
fn file_name(fields: &mut LineFields<'_>) -> Option<String> {
    let name = String::from_utf8(text::from_field(fields.next()?)?).ok()?;
    let leads_away = matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']);
    (!leads_away).then_some(name)
}

/// Notes, from one table: `WORD` for what is true of few, `WORD=VALUE` for what few have.
macro_rules! notes {
    (
        $(#[$doc:meta])* $name:ident
        flags { $($(#[$flag_doc:meta])* $flag:ident $flag_word:literal,)* }
        values { $($(#[$value_doc:meta])* $value:ident $value_word:literal: $type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(super) struct $name {
            $($(#[$flag_doc])* pub(super) $flag: bool,)*
            $($(#[$value_doc])* pub(super) $value: $type,)*
        }

        impl<'a> LineField<'a> for $name {
            fn read(fields: &mut LineFields<'a>) -> Option<Self> {
                let mut notes = Self::default();
                while !fields.is_over() {
                    let note = fields.next()?;
                    let (word, value) = match memchr::memchr(b'=', note).and_then(|at| note.split_at_checked(at)) {
                        Some((word, value)) => (word, value.get(1..)?),
                        None => (note, &b""[..]),
                    };
                    match word {
                        $($flag_word => notes.$flag = true,)*
                        $($value_word => notes.$value.add(value)?,)*
                        _ if word.starts_with(MAY_BE_PASSED_OVER) => {}
                        _ => return None,
                    }
                }
                Some(notes)
            }

            fn write(&self, out: &mut Vec<u8>) {
                $(if self.$flag {
                    put_word(out, $flag_word);
                })*
                $(self.$value.note($value_word, out);)*
            }
        }
    };
}

notes! {
    /// What a line sets only where it isn't so by default.
    Notes
    flags {
        /// Deleted, and a listing has lacked it since; of a message on its way: its key stands for another one now.
        gone b"gone",
        /// Open, and what is held of it was only printed, or marked as seen.
        only_seen b"weak",
        /// Recognised after the last complete listing.
        since_listing b"unlisted",
        /// Reported as too large.
        too_large b"large",
        /// To be compared before it counts as known.
        doubtful b"doubtful",
        /// Delivered again after a comparison had failed.
        again b"again",
        /// The server's copies differ each time.
        varies b"varies",
        /// Delivered from a session in UTF-8 mode.
        utf8 b"utf8",
        /// May be listed under another key.
        candidate b"candidate",
    }
    values {
        /// The day since which complete listings have lacked it.
        absent b"absent": Option<u16>,
        /// The day on which the server confirmed its deletion.
        deleted b"deleted": Option<u16>,
        /// How often it has failed.
        failures b"failures": u16,
        /// Not to be tried again before then.
        retry_after b"retry": Option<Time>,
        /// Each other header that the server showed it by.
        headers b"header": Vec<Digest>,
    }
}

/// A value of [`Notes`].
trait Note {
    /// Takes one that was read.
    fn add(&mut self, value: &[u8]) -> Option<()>;
    /// Appends it, with its word, if there is anything to note.
    fn note(&self, word: &[u8], out: &mut Vec<u8>);
}

/// The whole of `value`, as a field.
fn whole<'a, T: LineField<'a>>(value: &'a [u8]) -> Option<T> {
    let mut fields = LineFields::new(value);
    T::read(&mut fields).filter(|_| fields.is_over())
}

fn put_note(out: &mut Vec<u8>, word: &[u8], value: impl std::fmt::Display) {
    put_word(out, word);
    put(out, format_args!("={value}"));
}

impl Note for u16 {
    fn add(&mut self, value: &[u8]) -> Option<()> {
        *self = whole(value)?;
        Some(())
    }
    fn note(&self, word: &[u8], out: &mut Vec<u8>) {
        if *self > 0 {
            put_note(out, word, self);
        }
    }
}

impl Note for Option<u16> {
    fn add(&mut self, value: &[u8]) -> Option<()> {
        *self = Some(whole(value)?);
        Some(())
    }
    fn note(&self, word: &[u8], out: &mut Vec<u8>) {
        if let Some(value) = self {
            put_note(out, word, value);
        }
    }
}

impl Note for Option<Time> {
    fn add(&mut self, value: &[u8]) -> Option<()> {
        *self = Some(whole(value)?);
        Some(())
    }
    fn note(&self, word: &[u8], out: &mut Vec<u8>) {
        if let Some(time) = self {
            put_note(out, word, time.0.max(0));
        }
    }
}

impl Note for Vec<Digest> {
    fn add(&mut self, value: &[u8]) -> Option<()> {
        self.push(whole(value)?);
        Some(())
    }
    fn note(&self, word: &[u8], out: &mut Vec<u8>) {
        self.iter().for_each(|digest| put_note(out, word, digest));
    }
}

#[cfg(test)]
mod tests {
    use super::{LineField as _, LineFields, NotedPlace};

    /// What a ledger names is removed and renamed: a planted one must not reach beyond its own directories.
    #[test]
    fn a_name_leads_nowhere() {
        let place = |line: &str| NotedPlace::read(&mut LineFields::new(line.as_bytes()));
        assert!(matches!(place("maildir 1.a.b"), Some(NotedPlace::Maildir { name }) if name == "1.a.b"));
        assert!(
            matches!(place("mbox 0 spool-1 64"), Some(NotedPlace::Mbox { spool, .. }) if spool == "spool-1")
        );
        for name in
            ["../../home/precious", "a/b", "/etc/passwd", "..", ".", "%", "a%2Fb", "%2E%2E", "a%00b", "a/"]
        {
            assert!(place(&format!("maildir {name}")).is_none(), "{name}");
            assert!(place(&format!("mbox 0 {name} 64")).is_none(), "{name}");
        }
    }
}
