//! The calendar of this machine's time zone (`TZ`, else `/etc/localtime`), read once.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::types::Time;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Beyond half a year the day alone would be taken for that of another year.
const HALF_A_YEAR: i64 = 183 * 86_400;

fn zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    // A machine without a time zone, or with one that can't be read, lives by UTC.
    ZONE.get_or_init(|| TimeZone::try_system().unwrap_or(TimeZone::UTC))
}

/// A time as people name it, in this machine's time zone: `09:12` today, `yesterday`, `23 Nov` within half a year, else
/// `2025-11-23`.
#[must_use]
pub fn short(time: Time, now: Time) -> String {
    short_in(zone(), time, now)
}

fn short_in(zone: &TimeZone, time: Time, now: Time) -> String {
    // Beyond what a calendar can hold it is the nearest.
    let at = |time: Time| {
        let nearest = if time.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        zone.to_datetime(Timestamp::from_second(time.0).unwrap_or(nearest))
    };
    let (then, today) = (at(time), at(now).date());
    if then.date() == today {
        return format!("{:02}:{:02}", then.hour(), then.minute());
    }
    if then.date().tomorrow().is_ok_and(|next| next == today) {
        return "yesterday".to_owned();
    }
    if now.seconds_since(time).abs() < HALF_A_YEAR {
        return format!("{} {}", then.day(), month(then.date()));
    }
    format!("{:04}-{:02}-{:02}", then.year(), then.month(), then.day())
}

fn month(date: Date) -> &'static str {
    let index = usize::try_from(i16::from(date.month()) - 1);
    index.ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::short_in;
    use crate::types::Time;

    #[test]
    fn times_are_named_as_people_do() {
        // Fri, 27 Nov 2026 09:12:00 UTC.
        let now = Time(1_795_770_720);
        let (utc, east) = (TimeZone::UTC, TimeZone::posix("EAST-10").unwrap());
        for (seconds, in_utc, in_the_east) in [
            (0, "09:12", "19:12"),
            (9 * 3_600, "00:12", "10:12"),
            // Where it's later, that was yesterday.
            (10 * 3_600, "yesterday", "09:12"),
            (34 * 3_600, "25 Nov", "yesterday"),
            (-2 * 86_400, "29 Nov", "29 Nov"),
            (182 * 86_400, "29 May", "29 May"),
            (184 * 86_400, "2026-05-27", "2026-05-27"),
            (-200 * 86_400, "2027-06-15", "2027-06-15"),
        ] {
            let time = Time(now.0 - seconds);
            assert_eq!(short_in(&utc, time, now), in_utc, "{seconds}");
            assert_eq!(short_in(&east, time, now), in_the_east, "{seconds}");
        }
        for far in [i64::MIN, i64::MAX] {
            assert!(!short_in(&utc, Time(far), now).is_empty());
        }
    }
}
