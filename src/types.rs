//! The words of the protocol as types.  Unique-ids and message-numbers are made only by checking, so that a value is proof
//! of its form.

mod selection;

use std::fmt;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use selection::{NoSuchMessage, Selection};

use crate::text;

/// The number of a message in one session (RFC 1939 §5): decimal, from 1, meaningless in any other session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageNumber(NonZeroU32);

impl MessageNumber {
    /// 1: every maildrop that isn't empty has it, until it's deleted.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// From a number; `None` for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// From decimal digits (leading zeros allowed); `None` for anything else, for 0, and beyond 32 bits.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Option<Self> {
        parse_decimal(digits).and_then(|n| u32::try_from(n).ok()).and_then(Self::new)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for MessageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long to wait for something that another process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// This long; not at all if it's zero.
    AtMost(Duration),
    /// Until it's free, or a signal comes.
    Forever,
}

impl Wait {
    /// Not at all.
    pub(crate) const NO: Self = Self::AtMost(Duration::ZERO);

    /// Whether the waiting is over when it has lasted this long.
    #[must_use]
    pub(crate) fn is_over(self, waited: Duration) -> bool {
        match self {
            Self::AtMost(longest) => waited >= longest,
            Self::Forever => false,
        }
    }
}

impl Default for Wait {
    fn default() -> Self {
        Self::NO
    }
}

/// A number or a length in memory, as what is counted and stored is: nothing is cut, since no `usize` has more than 64 bits.
#[must_use]
pub(crate) fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Decimal digits, checked; `None` when empty, not digits, or beyond 64 bits.
#[must_use]
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    split_decimal(digits).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// The decimal digits that `octets` begin with, and what follows them; `None` when there are none, or beyond 64 bits.
#[must_use]
pub(crate) fn split_decimal(octets: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut digits) = (0_u64, 0);
    for digit in octets.iter().map(|octet| octet.wrapping_sub(b'0')).take_while(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        digits += 1;
    }
    if digits > 19 {
        // Only this many can be more than fits.  Asked of each digit, the question would take a fifth of the time.
        let value_of = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit & 0x0f));
        value = octets.iter().take(digits).try_fold(0, value_of)?;
    }
    let rest = octets.get(digits..)?;
    (digits > 0).then_some((value, rest))
}

/// A server's lasting name for a message (RFC 1939 §7), as lent from a buffer: 1 to 1024 octets, any but CR, LF and NUL.
/// Servers should send 1 to 70 octets of 0x21-0x7E; they do not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UniqueId<'a>(&'a [u8]);

impl<'a> UniqueId<'a> {
    /// The longest unique-id accepted; a longer one counts as none.
    pub(crate) const LONGEST: usize = 1024;

    /// From the octets of a listing; `None` when they are no unique-id.
    #[must_use]
    pub(crate) fn new(octets: &'a [u8]) -> Option<Self> {
        // The least of them decides nearly always, and is found many octets at a time.
        let least = octets.iter().fold(u8::MAX, |least, octet| least.min(*octet));
        let fine =
            (1..=Self::LONGEST).contains(&octets.len()) && (least > b'\r' || text::is_one_line(octets));
        fine.then_some(Self(octets))
    }

    /// The octets.
    #[must_use]
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// A copy that owns its octets.
    #[must_use]
    pub(crate) fn to_buf(self) -> UniqueIdBuf {
        UniqueIdBuf(self.0.into())
    }

    /// Whether it is nothing but this message-number.
    #[must_use]
    pub(crate) fn is_number(self, number: MessageNumber) -> bool {
        parse_decimal(self.0) == Some(u64::from(number.get()))
    }
}

impl fmt::Display for UniqueId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::printable(self.0))
    }
}

impl fmt::Debug for UniqueId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniqueId({self})")
    }
}

/// A [`UniqueId`] that owns its octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UniqueIdBuf(Box<[u8]>);

impl UniqueIdBuf {
    /// The borrowed form.
    #[must_use]
    pub(crate) fn borrow(&self) -> UniqueId<'_> {
        UniqueId(&self.0)
    }

    /// It in the form of [`text::field`].
    #[must_use]
    pub(crate) fn to_field(&self) -> String {
        text::field(&self.0)
    }

    /// Reads what [`UniqueIdBuf::to_field`] wrote; `None` for anything else.
    #[must_use]
    pub(crate) fn from_field(field: &[u8]) -> Option<Self> {
        UniqueId::new(&text::from_field(field)?).map(UniqueId::to_buf)
    }
}

impl fmt::Debug for UniqueIdBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.borrow().fmt(f)
    }
}

impl fmt::Display for UniqueIdBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.borrow(), f)
    }
}

/// A number of octets: of a message with CRLF line ends and without dot-stuffing when a server reports it (RFC 1939
/// §11). What servers report is a hint, never a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Octets(pub u64);

impl Octets {
    /// The sum, or the largest number there is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::size(self.0))
    }
}

/// Wall-clock time in whole seconds since 1970-01-01 UTC.  May run backwards: callers that need order keep the latest
/// seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Time(pub i64);

impl Time {
    /// The second in which a time of the system's lies.
    #[must_use]
    pub(crate) fn from_system(time: SystemTime) -> Self {
        let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => seconds(since),
            Err(before) => seconds(before.duration()).saturating_neg(),
        })
    }

    /// Seconds from `earlier` to `self`; negative when the clock has been set back.
    #[must_use]
    pub(crate) fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The beginning of a day by its date, as `2026-01-31`, in UTC; `None` for what is no date of the years 1970 to 9999.
    #[must_use]
    pub(crate) fn of_date(date: &str) -> Option<Self> {
        let digits = |text: &str, length: usize| {
            parse_decimal(text.as_bytes())
                .filter(|_| text.len() == length)
                .and_then(|n| i64::try_from(n).ok())
        };
        let mut parts = date.split('-');
        let (year, month, day) =
            (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let longest = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        if parts.next().is_some() || year < 1970 || !(1..=longest).contains(&day) {
            return None;
        }
        // Years that begin in March have the odd day at their end.
        let year = if month < 3 { year - 1 } else { year };
        let leap_days = year / 4 - year / 100 + year / 400;
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        Some(Self((365 * year + leap_days + of_year - 719_468) * 86_400))
    }

    /// The UTC day this time lies in, counted from 1970-01-01.
    #[must_use]
    pub(crate) fn day(self) -> i64 {
        self.0.div_euclid(86_400)
    }
}

/// How well a connection keeps what is sent on it: what may be sent depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// TLS, with the server that was meant (chain and name, or a pinned fingerprint).
    Tls,
    /// Clear text to this machine, which the user has named as such.
    Loopback,
    /// Clear text.
    Clear,
}

#[cfg(test)]
mod tests {
    use super::{MessageNumber, Time, UniqueId, parse_decimal};

    #[test]
    fn numbers() {
        let number = |d: &str| MessageNumber::parse(d.as_bytes()).map(MessageNumber::get);
        assert_eq!(number("1"), Some(1));
        assert_eq!(number("007"), Some(7));
        assert_eq!(number("4294967295"), Some(u32::MAX));
        for bad in ["", "0", "-1", "+1", "x", "1 ", "4294967296", "18446744073709551616"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_decimal(b"18446744073709551616"), None);
        assert_eq!(parse_decimal(b"36893488147419103233"), None);
        assert_eq!(parse_decimal(b"00000000000000000000000000000000000007"), Some(7));
    }

    #[test]
    fn dates() {
        let day = |date: &str| Time::of_date(date).map(|time| time.0 / 86_400);
        for (date, expected) in [
            ("1970-01-01", 0),
            ("1970-12-31", 364),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2026-01-31", 20_484),
        ] {
            assert_eq!(day(date), Some(expected), "{date}");
        }
        for bad in [
            "",
            "2026",
            "2026-1-1",
            "2026-02-29",
            "1900-01-01",
            "2026-04-31",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-01-01-",
            "20260101",
            "+026-01-01",
            "2026-01-01T00:00",
        ] {
            assert_eq!(day(bad), None, "{bad}");
        }
    }

    #[test]
    fn unique_ids() {
        assert!(UniqueId::new(b"").is_none());
        assert!(UniqueId::new(&[b'x'; 1024]).is_some());
        assert!(UniqueId::new(&[b'x'; 1025]).is_none());
        assert!(UniqueId::new(b"a\nb").is_none());
        assert!(UniqueId::new(b"a b\xff\x1b/..").is_some());
    }
}
