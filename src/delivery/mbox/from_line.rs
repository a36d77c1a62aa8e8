//! Which line is a From_ line: the one that begins an entry of an mbox, and that some servers leave on top of a message.
//! Any other line that begins with `From ` is text, or a field in an old spelling, and belongs to the message.

/// What every entry begins with.
pub(super) const FROM: &[u8] = b"From ";

/// No From_ line is longer, its line end included.
pub(super) const LONGEST: usize = 512;

/// Whether this line, with its line end if it has one, is a From_ line: `From `, an address or nothing, weekday, month,
/// day, time with or without seconds, year, a zone before or after the year, perhaps ` remote from HOST`.
pub(super) fn is_from_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let Some(rest) = line.strip_prefix(FROM) else { return false };
    // A bare CR would be white space to `split_whitespace`, and isn't: it's the line end of other people's text.
    if line.len() >= LONGEST || !rest.iter().all(|octet| (0x20..0x7f).contains(octet) || *octet >= 0x80) {
        return false;
    }
    let words: Vec<&[u8]> = rest.split(|octet| *octet == b' ').filter(|word| !word.is_empty()).collect();
    is_date(&words) || words.get(1..).is_some_and(is_date)
}

fn is_date(words: &[&[u8]]) -> bool {
    let [weekday, month, day, time, rest @ ..] = words else { return false };
    let stamped = is_name(weekday, &["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"])
        && is_name(
            month,
            &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
        )
        && number(day, 1, 2).is_some_and(|day| (1..=31).contains(&day))
        && is_time(time);
    let rest = match rest {
        [rest @ .., b"remote", b"from", _] => rest,
        rest => rest,
    };
    stamped
        && match rest {
            [year] => is_year(year),
            [zone, year] if is_year(year) => is_zone(zone),
            [year, zone] => is_year(year) && is_zone(zone),
            _ => false,
        }
}

fn is_name(word: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(word))
}

/// A number with this many digits.
fn number(word: &[u8], least: usize, most: usize) -> Option<u32> {
    let fits = (least..=most).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| fits)?.parse().ok()
}

fn is_time(word: &[u8]) -> bool {
    let parts: Vec<&[u8]> = word.split(|octet| *octet == b':').collect();
    let below = |part: &[u8], least, limit| number(part, least, 2).is_some_and(|part| part < limit);
    match parts.as_slice() {
        [hour, minute] => below(hour, 1, 24) && below(minute, 2, 60),
        [hour, minute, second] => below(hour, 1, 24) && below(minute, 2, 60) && below(second, 2, 62),
        _ => false,
    }
}

fn is_year(word: &[u8]) -> bool {
    number(word, 4, 4).is_some_and(|year| year >= 1900)
}

/// `+0100`, `-0330`, or letters such as `CET`.
fn is_zone(word: &[u8]) -> bool {
    match word.split_first() {
        Some((b'+' | b'-', digits)) => number(digits, 4, 4).is_some(),
        _ => (1..=5).contains(&word.len()) && word.iter().all(u8::is_ascii_alphabetic),
    }
}

#[cfg(test)]
mod tests {
    use super::is_from_line;

    #[test]
    fn only_a_true_from_line_is_one() {
        let lines = [
            ("From ada@example.org Thu Jan  1 00:00:00 1970", true),
            ("From Thu Jan  1 00:00:00 1970", true),
            ("From  Thu Jan  1 00:00:00 1970", true),
            ("From - Thu Jan 01 00:00:00 1970", true),
            ("From ada Thu Jan 1 00:00 1970", true),
            ("From ada Thu Jan  1 00:00:00 CET 1970", true),
            ("From ada Thu Jan  1 00:00:00 1970 +0100", true),
            ("From ada Thu Jan  1 00:00:00 1970 GMT remote from host.example", true),
            ("From ada Thu Jan  1 00:00:00 1970 remote from host", true),
            ("From ada Fri Dec 31 23:59:60 1999", true),
            ("From  : A <a@b>", false),
            ("From here on", false),
            ("From x", false),
            ("From ", false),
            ("From", false),
            ("From: a@b", false),
            ("from ada Thu Jan  1 00:00:00 1970", false),
            (">From ada Thu Jan  1 00:00:00 1970", false),
            ("From a b Thu Jan  1 00:00:00 1970", false),
            ("From ada Thu Jan  1 00:00:00", false),
            ("From ada Thu Jan 32 00:00:00 1970", false),
            ("From ada Thu Jan  1 24:00:00 1970", false),
            ("From ada Thu Jan  1 00:00:00 70", false),
            ("From ada Thu Jan  1 00:00:00 1970 and so on", false),
            ("From ada Thu Jan  1 00:00:00 1970\rSubject: x\r\rbody", false),
            ("From ada Thu Jan  1 00:00:00 1970\r", false),
            ("From gr\u{fc}n Thu Jan  1 00:00:00 1970", true),
            ("From ada\u{7f} Thu Jan  1 00:00:00 1970", false),
            ("From ada Thx Jan  1 00:00:00 1970", false),
            ("From ada Thu Jam  1 00:00:00 1970", false),
            ("From ada Thu Jan  0 00:00:00 1970", false),
            ("From ada Thu Jan  1x 00:00:00 1970", false),
            ("From ada Thu Jan  001 00:00:00 1970", false),
            ("From ada Thu Jan  +1 00:00:00 1970", false),
            ("From ada Thu Jan  1 00:60:00 1970", false),
            ("From ada Thu Jan  1 24:00 1970", false),
            ("From ada Thu Jan  1 00:60 1970", false),
            ("From ada Thu Jan  1 00:0 1970", false),
            ("From ada Thu Jan  1 00:00:61 1970", true),
            ("From ada Thu Jan  1 00:00:62 1970", false),
            ("From ada Thu Jan  1 00:00:00:00 1970", false),
            ("From ada Thu Jan  1 00:00:00 1900", true),
            ("From ada Thu Jan  1 00:00:00 1899", false),
            ("From ada Thu Jan  1 00:00:00 19700", false),
            ("From ada Thu Jan  1 00:00:00 197o", false),
            ("From ada Thu Jan  1 00:00:00 C3T 1970", false),
            ("From ada Thu Jan  1 00:00:00 LOCALTIME 1970", false),
            ("From ada Thu Jan  1 00:00:00 1970 +010", false),
            ("From ada Thu Jan  1 00:00:00 1970 hereby", false),
            ("From ada Thu Jan  1 00:00:00 70 GMT", false),
            ("From gr\u{80}n Thu Jan  1 00:00:00 1970", true),
        ];
        for (line, is) in lines {
            assert_eq!(is_from_line(line.as_bytes()), is, "{line:?}");
            assert_eq!(is_from_line(format!("{line}\n").as_bytes()), is, "{line:?}");
        }
        let long = format!("From {} Thu Jan  1 00:00:00 1970\n", "x".repeat(600));
        assert!(!is_from_line(long.as_bytes()));
        for (length, is) in [(super::LONGEST - 1, true), (super::LONGEST, false)] {
            let line = format!("From {} Thu Jan  1 00:00:00 1970", "x".repeat(length - 30));
            assert_eq!((line.len(), is_from_line(line.as_bytes())), (length, is));
        }
    }
}
