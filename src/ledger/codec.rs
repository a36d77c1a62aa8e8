//! A line taken apart, field by field.  Must not know which fields which line has ([`super::lines`]).

use std::borrow::Cow;

use super::lines::{self, DigestsField, KeyField, Notes};
use crate::message::Digest;
use crate::proof::{DestinationId, NotedPlace};
use crate::text;
use crate::types::{Time, UniqueId, parse_decimal, split_decimal};

/// The fields that are left of a line; `None` when the last one has been taken.
pub(super) struct Fields<'a>(Option<&'a [u8]>);

impl<'a> Fields<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self(Some(content))
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_none()
    }

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

    /// `-` is `Some(None)`; what `parse` won't have is `None`.
    pub(super) fn optional<T>(&mut self, parse: impl Fn(&'a [u8]) -> Option<T>) -> Option<Option<T>> {
        match self.next()? {
            b"-" => Some(None),
            field => parse(field).map(Some),
        }
    }

    /// `-` is `Some(None)`; what is no number is `None`.
    pub(super) fn optional_decimal(&mut self) -> Option<Option<u64>> {
        match split_decimal(self.0?) {
            Some((value, rest)) => self.go_on(rest).map(|()| Some(value)),
            None => (self.next()? == b"-").then_some(None),
        }
    }

    /// The field that ends where `rest` begins has been taken.
    fn go_on(&mut self, rest: &'a [u8]) -> Option<()> {
        self.0 = match rest.split_first() {
            None => None,
            Some((b' ', rest)) => Some(rest),
            Some(_) => return None,
        };
        Some(())
    }

    /// A field that may be left out at the end.
    pub(super) fn last<T>(&mut self, parse: impl Fn(&'a [u8]) -> Option<T>) -> Option<Option<T>> {
        match self.0 {
            None => Some(None),
            Some(_) => parse(self.next()?).map(Some),
        }
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        short(self.next()?)
    }

    pub(super) fn time(&mut self) -> Option<Time> {
        time(self.next()?)
    }

    pub(super) fn optional_time(&mut self) -> Option<Option<Time>> {
        match self.optional_decimal()? {
            None => Some(None),
            Some(seconds) => seconds.try_into().ok().map(Time).map(Some),
        }
    }

    pub(super) fn key(&mut self) -> Option<KeyField<'a>> {
        // Nearly all are unique-ids with nothing escaped, and replay spends much of its time here.
        if let Some(rest) = self.0?.strip_prefix(b"u:") {
            let end = memchr::memchr2(b' ', b'%', rest).unwrap_or(rest.len());
            let (plain, behind) = rest.split_at_checked(end)?;
            if behind.first() != Some(&b'%') {
                self.go_on(behind)?;
                return UniqueId::new(plain).map(|_| KeyField::UniqueId(Cow::Borrowed(plain)));
            }
        }
        KeyField::parse(self.next()?)
    }

    /// A key, or `*`, which is `Some(None)`.
    pub(super) fn key_or_all(&mut self) -> Option<Option<KeyField<'a>>> {
        match self.0?.first() {
            Some(b'*') => (self.next()? == b"*").then_some(None),
            _ => self.key().map(Some),
        }
    }

    pub(super) fn destination(&mut self) -> Option<DestinationId> {
        shorter(self.next()?).map(DestinationId)
    }

    /// The form alone is looked at: two digests and a third, or `-`.
    pub(super) fn digests(&mut self) -> Option<DigestsField<'a>> {
        let rest = self.0?;
        let two = 2 * (Digest::CHARACTERS + 1);
        // A digest may begin with `-` too.
        let none = rest.get(two) == Some(&b'-') && matches!(rest.get(two + 1), None | Some(b' '));
        let third = if none { 1 } else { Digest::CHARACTERS };
        let (digests, rest) = rest.split_at_checked(two + third)?;
        let spaced = |at: usize| digests.get(at) == Some(&b' ');
        self.go_on(rest)?;
        (spaced(Digest::CHARACTERS) && spaced(two - 1)).then_some(DigestsField::Text(digests))
    }

    pub(super) fn digests_or_none(&mut self) -> Option<Option<DigestsField<'a>>> {
        if self.0?.first() != Some(&b'-') || self.0?.get(1) != Some(&b' ') {
            return self.digests().map(Some);
        }
        (self.next()? == b"-" && self.next()? == b"-" && self.next()? == b"-").then_some(None)
    }

    pub(super) fn notes(&mut self) -> Option<Notes> {
        let mut notes = Notes::default();
        while self.0.is_some() {
            let field = self.next()?;
            let (name, value) = match memchr::memchr(b'=', field).and_then(|at| field.split_at_checked(at)) {
                Some((name, value)) => (name, value.get(1..)?),
                None => (field, &b""[..]),
            };
            match name {
                b"absent" => notes.absent = Some(shorter(value)?),
                b"gone" => notes.gone = true,
                b"weak" => notes.weak = true,
                b"unlisted" => notes.unlisted = true,
                b"large" => notes.large = true,
                b"doubtful" => notes.doubtful = true,
                b"again" => notes.again = true,
                b"varies" => notes.varies = true,
                b"utf8" => notes.utf8 = true,
                b"candidate" => notes.candidate = true,
                b"deleted" => notes.deleted = Some(shorter(value)?),
                b"header" => notes.headers.push(Digest::parse(value)?),
                b"failures" => notes.failures = shorter(value)?,
                b"retry" => notes.retry_after = Some(time(value)?),
                _ if name.starts_with(lines::MAY_BE_PASSED_OVER) => {}
                _ => return None,
            }
        }
        Some(notes)
    }

    pub(super) fn place(&mut self) -> Option<NotedPlace> {
        // One file in one directory: nothing that leads out of it.
        let name = |field: &[u8]| {
            let name = String::from_utf8(text::from_field(field)?).ok()?;
            let leads_away = matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']);
            (!leads_away).then_some(name)
        };
        Some(match self.next()? {
            b"maildir" => NotedPlace::Maildir { name: name(self.next()?)? },
            b"mbox" => NotedPlace::Mbox {
                offset: parse_decimal(self.next()?)?,
                spool: name(self.next()?)?,
                spool_offset: parse_decimal(self.next()?)?,
            },
            b"handed" => NotedPlace::Handed,
            _ => return None,
        })
    }
}

/// Borrows where nothing is escaped, as hardly anything is.
pub(super) fn unescape(field: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'%', field).is_some() {
        return text::from_field(field).map(Cow::Owned);
    }
    field.iter().all(u8::is_ascii_graphic).then_some(Cow::Borrowed(field))
}

pub(super) fn short(digits: &[u8]) -> Option<u32> {
    parse_decimal(digits)?.try_into().ok()
}

pub(super) fn shorter(digits: &[u8]) -> Option<u16> {
    parse_decimal(digits)?.try_into().ok()
}

pub(super) fn time(digits: &[u8]) -> Option<Time> {
    parse_decimal(digits)?.try_into().ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::{Fields, NotedPlace};

    /// What a ledger names is removed and renamed: a planted one must not reach beyond its own directories.
    #[test]
    fn a_name_leads_nowhere() {
        let place = |line: &str| Fields(Some(line.as_bytes())).place();
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
