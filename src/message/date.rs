//! Dates as mail writes them: RFC 5322 §3.3 for header fields, asctime(3) for From_ lines (RFC 4155), both in UTC.  It
//! reads no clock.

use std::ops::RangeInclusive;

use mail_parser::DateTime;

use crate::types::Time;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Thu, 01 Jan 1970 00:00:00 +0000`.
#[must_use]
pub(crate) fn rfc5322(time: Time) -> String {
    let t = Civil::of(time);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000",
        t.weekday, t.date.day, t.month, t.date.year, t.date.hour, t.date.minute, t.date.second
    )
}

/// `Thu Jan  1 00:00:00 1970`: always 24 characters.
#[must_use]
pub(crate) fn asctime(time: Time) -> String {
    let t = Civil::of(time);
    format!(
        "{} {} {:2} {:02}:{:02}:{:02} {:04}",
        t.weekday, t.month, t.date.day, t.date.hour, t.date.minute, t.date.second, t.date.year
    )
}

/// `1970-01-01T00:00:00Z` (RFC 3339), in UTC.
#[must_use]
pub(crate) fn rfc3339(time: Time) -> String {
    let DateTime { year, month, day, hour, minute, second, .. } = Civil::of(time).date;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The calendar's words for a time, in UTC.
struct Civil {
    date: DateTime,
    month: &'static str,
    weekday: &'static str,
}

impl Civil {
    /// The years that four digits can show; a clock beyond them is taken for the nearest.
    const YEARS: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

    fn of(time: Time) -> Self {
        let time = Time(time.0.clamp(*Self::YEARS.start(), *Self::YEARS.end()));
        let date = DateTime::from_timestamp(time.0);
        let month = name(&MONTHS, i64::from(date.month) - 1);
        Self { month, weekday: name(&DAYS, (time.day() + 4).rem_euclid(7)), date } // 1970-01-01 was a Thursday
    }
}

fn name(names: &[&'static str], index: i64) -> &'static str {
    usize::try_from(index).ok().and_then(|i| names.get(i)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{asctime, rfc3339, rfc5322};
    use crate::types::Time;

    #[test]
    fn dates() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000", "Thu Jan  1 00:00:00 1970"),
            (-1, "Wed, 31 Dec 1969 23:59:59 +0000", "Wed Dec 31 23:59:59 1969"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000", "Tue Feb 29 00:00:00 2000"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 +0000", "Wed Mar  1 00:00:00 2000"),
            (1_709_210_096, "Thu, 29 Feb 2024 12:34:56 +0000", "Thu Feb 29 12:34:56 2024"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000", "Mon Mar  1 00:00:00 2100"),
            (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 +0000", "Tue Jan 19 03:14:08 2038"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 +0000", "Fri Dec 31 23:59:59 9999"),
            (i64::MIN, "Sat, 01 Jan 0000 00:00:00 +0000", "Sat Jan  1 00:00:00 0000"),
        ];
        for (seconds, header, envelope) in cases {
            assert_eq!(rfc5322(Time(seconds)), header);
            assert_eq!(asctime(Time(seconds)), envelope);
            assert_eq!(envelope.len(), 24);
        }
        for (seconds, expected) in [
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_210_096, "2024-02-29T12:34:56Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Time(seconds)), expected);
        }
    }
}
