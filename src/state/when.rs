//! Times for people, in UTC: how long ago, and which day.

use crate::message::date;
use crate::types::Time;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `just now`, `3 min ago`, `5 h ago`, `3 days ago`; a time that is still to come, by its day.
#[must_use]
pub fn ago(time: Time, now: Time) -> String {
    match now.seconds_since(time) {
        // Clocks of file servers differ a little.
        passed if passed < -MINUTE => day(time, now),
        passed if passed < MINUTE => "just now".to_owned(),
        passed if passed < HOUR => format!("{} min ago", passed / MINUTE),
        passed if passed < 2 * DAY => format!("{} h ago", passed / HOUR),
        passed => format!("{} days ago", passed / DAY),
    }
}

/// `today 09:12 UTC`, `yesterday`, `23 Nov`, `23 Nov 2024`.
#[must_use]
pub fn day(time: Time, now: Time) -> String {
    match now.day().saturating_sub(time.day()) {
        0 => format!("today {}", date::time_of_day(time)),
        1 => "yesterday".to_owned(),
        _ => date(time, now),
    }
}

/// `14:05 UTC`, or `23 Nov` where that is another day: since when something lasts.
#[must_use]
pub fn since(time: Time, now: Time) -> String {
    if time.day() == now.day() { date::time_of_day(time) } else { date(time, now) }
}

/// `14:05 UTC`, or `14:05 UTC on 23 Nov`: when something is due.
#[must_use]
pub fn due(time: Time, now: Time) -> String {
    let clock = date::time_of_day(time);
    if time.day() == now.day() { clock } else { format!("{clock} on {}", date(time, now)) }
}

/// `2024-02-29T12:34:56Z`: for programs.
#[must_use]
pub fn exactly(time: Time) -> String {
    date::rfc3339(time)
}

fn date(time: Time, now: Time) -> String {
    let (day, year) = (date::day_of_month(time), date::year(time));
    if year == date::year(now) { day } else { format!("{day} {year}") }
}

#[cfg(test)]
mod tests {
    use super::{ago, day, due, exactly, since};
    use crate::types::Time;

    /// Thu, 29 Feb 2024 12:34:56 UTC.
    const NOW: i64 = 1_709_210_096;

    #[test]
    fn times_are_as_people_name_them() {
        let before = |seconds: i64| Time(NOW - seconds);
        for (seconds, expected) in [
            (0, "just now"),
            (-30, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (3_600, "1 h ago"),
            (2 * 86_400 - 1, "47 h ago"),
            (2 * 86_400, "2 days ago"),
            (-3_600, "today 13:34 UTC"),
        ] {
            assert_eq!(ago(before(seconds), Time(NOW)), expected, "{seconds}");
        }
        for (seconds, expected) in [
            (0, "today 12:34 UTC"),
            (86_400, "yesterday"),
            (3 * 86_400, "26 Feb"),
            (100 * 86_400, "21 Nov 2023"),
            (-86_400, "1 Mar"),
        ] {
            assert_eq!(day(before(seconds), Time(NOW)), expected, "{seconds}");
        }
        assert_eq!(exactly(Time(NOW)), "2024-02-29T12:34:56Z");
        assert_eq!(since(before(60), Time(NOW)), "12:33 UTC");
        assert_eq!(since(before(86_400), Time(NOW)), "28 Feb");
        assert_eq!(due(before(-86_400), Time(NOW)), "12:34 UTC on 1 Mar");
        assert_eq!(due(before(-60), Time(NOW)), "12:35 UTC");
    }
}
