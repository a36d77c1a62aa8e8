//! Durations and sizes as people write them.

use std::time::Duration;

use super::mistake::{Mistake, quoted};
use crate::types::Octets;

/// The longest duration: ten years.  Sums with a clock's reading then stay far from any limit.
pub(crate) const LONGEST_DURATION: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// What durations look like.
pub(super) const DURATIONS: &str = "a number and s, m, h or d: \"90s\", \"5m\", \"2h\", \"14d\"";

/// `90s`, `5m`, `2h`, `14d`: a decimal number and one unit.
///
/// # Errors
/// Anything else, and what is longer than ten years.
pub(crate) fn duration(text: &str) -> Result<Duration, Mistake> {
    let mistake = || Mistake::new(format!("{} is not a duration", quoted(text))).hint(DURATIONS);
    let (number, unit) = split_unit(text);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(mistake()),
    };
    let duration = decimal(number).ok_or_else(mistake)?.checked_mul(seconds).map(Duration::from_secs);
    duration.filter(|d| *d <= LONGEST_DURATION).ok_or_else(|| {
        Mistake::new(format!("{} is more than ten years", quoted(text))).hint("at most \"3650d\"")
    })
}

/// `300K`, `25M`, `2G`, of 1024; or a number of octets.
pub(super) fn octets(text: &str) -> Result<Octets, Mistake> {
    let hint = "octets, or a number with K, M or G (of 1024) behind it: 5000, \"300K\", \"25M\", \"2G\"";
    let mistake = || Mistake::new(format!("{} is not a size", quoted(text))).hint(hint);
    let (number, unit) = split_unit(text);
    let factor: u64 = match unit {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err(mistake()),
    };
    let number = decimal(number).ok_or_else(mistake)?;
    number.checked_mul(factor).map(Octets).ok_or_else(mistake)
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn decimal(digits: &str) -> Option<u64> {
    // `parse` takes a leading `+` too; split_unit lets none through.
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{duration, octets};

    #[test]
    fn durations() {
        let cases = [
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("2h", Some(7200)),
            ("14d", Some(1_209_600)),
            ("0s", Some(0)),
            ("3650d", Some(315_360_000)),
            ("3651d", None),
            ("18446744073709551615d", None),
            ("99999999999999999999s", None),
            ("60", None),
            ("1h30m", None),
            ("5 m", None),
            ("-5m", None),
            ("+5m", None),
            ("5M", None),
            ("m", None),
            ("", None),
            ("٥m", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(duration(text).ok().map(|d| d.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("5000", Some(5000)),
            ("300K", Some(307_200)),
            ("25M", Some(26_214_400)),
            ("2G", Some(2_147_483_648)),
            ("17179869183G", Some(18_446_744_072_635_809_792)),
            ("17179869184G", None),
            ("25Q", None),
            ("25m", None),
            ("25MB", None),
            ("2.5M", None),
            ("-1", None),
            ("M", None),
            ("", None),
        ];
        for (text, size) in cases {
            assert_eq!(octets(text).ok().map(|o| o.0), size, "{text}");
        }
    }
}
