//! Times as people name them, in this machine's time zone (`TZ`, else `/etc/localtime`), which is read once.

use std::sync::OnceLock;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::types::Time;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Beyond half a year the day alone would be taken for that of another year.
const HALF_A_YEAR: i64 = 183 * DAY;

fn zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    // A machine without a time zone, or with one that can't be read, lives by UTC.
    ZONE.get_or_init(|| TimeZone::try_system().unwrap_or(TimeZone::UTC))
}

/// For a column of dates: `09:12` today, `yesterday`, `23 Nov` within half a year, else `2025-11-23`.
#[must_use]
pub(crate) fn short(time: Time, now: Time) -> String {
    Calendar::local(time, now).short()
}

/// How long ago: `just now`, `3 min ago`, `5 h ago`, `3 days ago`; a time that is still to come, by its day.
#[must_use]
pub(crate) fn ago(time: Time, now: Time) -> String {
    match now.seconds_since(time) {
        // Clocks of file servers differ a little.
        passed if passed < -MINUTE => day(time, now),
        passed if passed < MINUTE => "just now".to_owned(),
        passed if passed < HOUR => format!("{} min ago", passed / MINUTE),
        passed if passed < 2 * DAY => format!("{} h ago", passed / HOUR),
        passed => format!("{} days ago", passed / DAY),
    }
}

/// On which day: `today 09:12`, `yesterday`, `23 Nov`, `23 Nov 2024`.
#[must_use]
pub(crate) fn day(time: Time, now: Time) -> String {
    Calendar::local(time, now).day()
}

/// Since when something lasts: `14:05`, or `23 Nov` where that is another day.
#[must_use]
pub(crate) fn since(time: Time, now: Time) -> String {
    Calendar::local(time, now).since()
}

/// When something is due: `14:05`, or `14:05 on 23 Nov`.
#[must_use]
pub(crate) fn due(time: Time, now: Time) -> String {
    Calendar::local(time, now).due()
}

/// To the minute, for a column of times: `2026-11-27 09:12`.
#[must_use]
pub(crate) fn minute(time: Time) -> String {
    let at = zoned(zone(), time);
    format!("{} {}", at.date(), clock(at.datetime()))
}

/// For a log: `2026-11-27T09:12:34+01:00` (RFC 3339).
#[must_use]
pub(crate) fn stamp(time: Time) -> String {
    zoned(zone(), time).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A time in a time zone.  Beyond what a calendar can hold it is the nearest.
fn zoned(zone: &TimeZone, time: Time) -> Zoned {
    let nearest = if time.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(time.0).unwrap_or(nearest).to_zoned(zone.clone())
}

/// A time, and now, by the calendar and by the clock.
struct Calendar {
    then: DateTime,
    today: Date,
    /// How many seconds lie between them.
    apart: i64,
}

impl Calendar {
    fn local(time: Time, now: Time) -> Self {
        Self::of(zone(), time, now)
    }

    fn of(zone: &TimeZone, time: Time, now: Time) -> Self {
        let (then, today) = (zoned(zone, time).datetime(), zoned(zone, now).date());
        Self { then, today, apart: now.seconds_since(time).saturating_abs() }
    }

    fn is_today(&self) -> bool {
        self.then.date() == self.today
    }

    fn is_yesterday(&self) -> bool {
        self.then.date().tomorrow().is_ok_and(|next| next == self.today)
    }

    fn short(&self) -> String {
        if self.is_today() {
            return clock(self.then);
        }
        if self.is_yesterday() {
            return "yesterday".to_owned();
        }
        if self.apart < HALF_A_YEAR { day_of_month(self.then) } else { self.then.date().to_string() }
    }

    fn day(&self) -> String {
        if self.is_today() {
            return format!("today {}", clock(self.then));
        }
        if self.is_yesterday() { "yesterday".to_owned() } else { self.date() }
    }

    fn since(&self) -> String {
        if self.is_today() { clock(self.then) } else { self.date() }
    }

    fn due(&self) -> String {
        let clock = clock(self.then);
        if self.is_today() { clock } else { format!("{clock} on {}", self.date()) }
    }

    fn date(&self) -> String {
        let day = day_of_month(self.then);
        if self.then.year() == self.today.year() { day } else { format!("{day} {}", self.then.year()) }
    }
}

fn clock(time: DateTime) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

fn day_of_month(time: DateTime) -> String {
    let index = usize::try_from(i16::from(time.month()) - 1);
    let month = index.ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or_default();
    format!("{} {month}", time.day())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{Calendar, ago, day, minute, short, stamp};
    use crate::types::Time;

    /// Fri, 27 Nov 2026 09:12:00 UTC.
    const NOW: i64 = 1_795_770_720;

    #[test]
    fn times_are_named_as_people_do() {
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
            let (time, now) = (Time(NOW - seconds), Time(NOW));
            assert_eq!(Calendar::of(&utc, time, now).short(), in_utc, "{seconds}");
            assert_eq!(Calendar::of(&east, time, now).short(), in_the_east, "{seconds}");
        }
    }

    #[test]
    fn days_since_when_and_until_when() {
        let east = TimeZone::posix("EAST-10").unwrap();
        for (seconds, day, since, due) in [
            (0, "today 19:12", "19:12", "19:12"),
            (-60, "today 19:13", "19:13", "19:13"),
            (86_400, "yesterday", "26 Nov", "19:12 on 26 Nov"),
            (-86_400, "28 Nov", "28 Nov", "19:12 on 28 Nov"),
            (400 * 86_400, "23 Oct 2025", "23 Oct 2025", "19:12 on 23 Oct 2025"),
        ] {
            let calendar = Calendar::of(&east, Time(NOW - seconds), Time(NOW));
            assert_eq!(calendar.day(), day, "{seconds}");
            assert_eq!(calendar.since(), since, "{seconds}");
            assert_eq!(calendar.due(), due, "{seconds}");
        }
    }

    #[test]
    fn how_long_ago() {
        for (seconds, expected) in [
            (0, "just now"),
            (-30, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (3_600, "1 h ago"),
            (2 * 86_400 - 1, "47 h ago"),
            (2 * 86_400, "2 days ago"),
        ] {
            assert_eq!(ago(Time(NOW - seconds), Time(NOW)), expected, "{seconds}");
        }
        assert_eq!(ago(Time(NOW + 86_400 * 3), Time(NOW)), day(Time(NOW + 86_400 * 3), Time(NOW)));
    }

    #[test]
    fn times_that_no_calendar_holds_are_named_as_well() {
        for far in [i64::MIN, i64::MAX].map(Time) {
            for text in
                [short(far, Time(NOW)), day(far, Time(NOW)), minute(far), stamp(far), ago(far, Time(NOW))]
            {
                assert!(!text.is_empty());
            }
        }
        assert_eq!(stamp(Time(NOW)).len(), "2026-11-27T09:12:00+00:00".len());
        assert_eq!(minute(Time(NOW)).len(), "2026-11-27 09:12".len());
    }
}
