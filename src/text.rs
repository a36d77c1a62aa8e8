//! Bytes from elsewhere made safe to print, and numbers made easy to read.  Nothing from a server, a message or a file
//! reaches a terminal, a log or a state file but through here.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// `octets` as printable text: control characters, invalid UTF-8, and characters that reorder or hide text become
/// `\xNN` or `\u{…}`; a backslash becomes two.
#[must_use]
pub(crate) fn printable(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                ' '..='~' => out.push(c),
                c if conceals(c) => {
                    // Writing to a String cannot fail.
                    let _ = if c.is_ascii() {
                        write!(out, "\\x{:02x}", u32::from(c))
                    } else {
                        write!(out, "\\u{{{:x}}}", u32::from(c))
                    };
                }
                c => out.push(c),
            }
        }
        for octet in chunk.invalid() {
            let _ = write!(out, "\\x{octet:02x}");
        }
    }
    out
}

/// A line of prose for people: as [`printable`], but what only can't be seen is left out rather than written out (a
/// soft hyphen, a joiner, a mark of direction, a tag of an emoji).  A tab becomes a blank, and a backslash stays one.
/// Not for what is compared or typed: two that look alike may differ.
#[must_use]
pub(crate) fn readable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c),
            '\t' => out.push(' '),
            c if c.is_control() => out.push_str(&printable(c.encode_utf8(&mut [0; 4]).as_bytes())),
            c if conceals(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Whether `octets` can stand on one line of the protocol: they hold no CR, LF or NUL.  With one of these a user name or a
/// password would end its command early, and what follows would be read as a command of its own.
#[must_use]
pub(crate) fn is_one_line(octets: &[u8]) -> bool {
    !octets.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0))
}

/// Whether a character is invisible, reorders what stands around it, or has no agreed look.  These are controls,
/// bidirectional and other format characters, line separators, private and unassigned ones, and what Unicode calls
/// default ignorable (zero width, variation selectors, tags, fillers of Hangul).
fn conceals(c: char) -> bool {
    let point = u32::from(c);
    // DerivedCoreProperties.txt, Default_Ignorable_Code_Point, as far as their category doesn't show it; and BRAILLE
    // PATTERN BLANK.
    let ignorable = matches!(
        point,
        0x34F | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F | 0xFFA0
            | 0xE0100..=0xE01EF
    );
    // Format characters that are seen (PropList.txt, Prepended_Concatenation_Mark): signs before numbers and words.
    let seen = matches!(point, 0x600..=0x605 | 0x6DD | 0x70F | 0x890 | 0x891 | 0x8E2 | 0x110BD | 0x110CD);
    ignorable
        || match c.general_category() {
            GeneralCategory::Format => !seen,
            GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned => true,
            _ => false,
        }
}

/// `Debug` by one field alone, for types that hold what has no `Debug`, or secrets.
macro_rules! shown_by {
    ($name:ident $(<$life:lifetime>)?, $field:ident) => {
        impl ::std::fmt::Debug for $name$(<$life>)? {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name)).field(stringify!($field), &self.$field).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use shown_by;

/// A path as text for people, as [`printable`] has it.
#[must_use]
pub(crate) fn path(path: &Path) -> String {
    printable(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}

/// A printed path as people write it: `~` for the home directory, which is printed too.
#[must_use]
pub(crate) fn in_home<'a>(path: &'a str, home: Option<&str>) -> Cow<'a, str> {
    let within = home.filter(|home| !matches!(*home, "" | "/")).and_then(|home| path.strip_prefix(home));
    match within {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Cow::Owned(format!("~{rest}")),
        _ => Cow::Borrowed(path),
    }
}

/// `octets` for a field of a state file: `%HH` for everything but printable ASCII without space and `%`; empty is `%`.
#[must_use]
pub(crate) fn field(octets: &[u8]) -> String {
    if octets.is_empty() {
        return "%".to_owned();
    }
    // Nearly all are, and this is called for each message.
    if octets.iter().all(|octet| octet.is_ascii_graphic() && *octet != b'%') {
        return String::from_utf8_lossy(octets).into_owned();
    }
    let mut out = String::with_capacity(octets.len());
    for &octet in octets {
        if octet.is_ascii_graphic() && octet != b'%' {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

/// What [`field`] made, read back.  `None` when it isn't of that form.
#[must_use]
pub(crate) fn from_field(text: &[u8]) -> Option<Vec<u8>> {
    if text == b"%" {
        return Some(Vec::new());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        if octet == b'%' {
            let (hex, after) = after.split_at_checked(2)?;
            let hex = std::str::from_utf8(hex).ok().filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
            rest = after;
        } else if octet.is_ascii_graphic() {
            out.push(octet);
            rest = after;
        } else {
            return None;
        }
    }
    Some(out)
}

/// Octets as hex digits in lower case.
#[must_use]
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// How much of a size there is, for people, in the unit of the whole: `1.2 of 5.2 MiB`.
#[must_use]
pub(crate) fn part(octets: u64, all: u64) -> String {
    let whole = size(all);
    let Some((_, unit)) = whole.split_once(' ') else { return whole };
    let doublings = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return format!("{octets} of {whole}"),
    };
    let tenths = (u128::from(octets) * 10) >> doublings;
    format!("{}.{} of {whole}", tenths / 10, tenths % 10)
}

/// A size for people: `512 octets`, `1.4 KiB`, `25.0 MiB`.
#[must_use]
pub(crate) fn size(octets: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if octets < 1024 {
        return format!("{octets} octet{}", if octets == 1 { "" } else { "s" });
    }
    // Tenths of the unit, rounded: exact integer arithmetic, so that no size prints as 1024.0 of anything.
    let mut tenths = u128::from(octets) * 10 / 1024;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while tenths >= 10_240 {
        let Some(next) = units.next() else { break };
        tenths /= 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A number for people: `1,024`.
#[must_use]
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 message`, `2 messages`, `2 deliveries`.
#[must_use]
pub(crate) fn count(n: u64, noun: &str) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        (_, None) => format!("{n} {noun}s"),
    }
}

/// At most `most` characters of `text`, with an ellipsis where some are missing.
#[must_use]
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    // Most are short by their octets already.
    if text.len() <= most || text.chars().nth(most).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(most.saturating_sub(1)).chain(['…']).collect())
}

/// For fuzzing: what is printed holds nothing that steers a terminal, and doesn't change when it is escaped again; a
/// field reads back.
#[doc(hidden)]
pub fn fuzz_printable(octets: &[u8]) {
    let text = printable(octets);
    assert!(!text.chars().any(|c| c.is_control() || conceals(c)));
    assert!(text.len() >= octets.len());
    let plain = octets.iter().all(|octet| matches!(octet, b' '..=b'[' | b']'..=b'~'));
    assert!(!plain || text.as_bytes() == octets);
    let field = field(octets);
    assert!(field.bytes().all(|octet| octet.is_ascii_graphic()));
    assert_eq!(from_field(field.as_bytes()).as_deref(), Some(octets));
    if let Some(read) = from_field(octets) {
        assert!(read.len() <= octets.len());
    }
}

#[cfg(test)]
mod tests {
    use super::{field, from_field, in_home, is_one_line, part, printable, readable, shortened, size};

    #[test]
    fn a_part_has_the_unit_of_the_whole() {
        for (octets, all, expected) in [
            (1 << 20, 5 << 20, "1.0 of 5.0 MiB"),
            (0, 5_452_596, "0.0 of 5.2 MiB"),
            (5_452_596, 5_452_596, "5.2 of 5.2 MiB"),
            (1_300_000, 5_452_596, "1.2 of 5.2 MiB"),
            (12, 900, "12 of 900 octets"),
            (3 << 40, 7 << 40, "3.0 of 7.0 TiB"),
        ] {
            assert_eq!(part(octets, all), expected);
        }
    }

    #[test]
    fn a_line_end_or_nul_does_not_fit_on_one_line() {
        for text in ["", " ", "a b", "\u{85}\u{2028}", "\t\u{b}\u{c}\u{1b}"] {
            assert!(is_one_line(text.as_bytes()), "{text:?}");
        }
        for text in ["\n", "a\r", "a\r\nDELE 1", "\0a"] {
            assert!(!is_one_line(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn the_home_directory_is_a_tilde() {
        for (path, home, expected) in [
            ("/home/me/Mail", Some("/home/me"), "~/Mail"),
            ("/home/me", Some("/home/me"), "~"),
            ("/home/meta", Some("/home/me"), "/home/meta"),
            ("/var/mail/me", Some("/"), "/var/mail/me"),
            ("/var/mail/me", Some(""), "/var/mail/me"),
            ("/home/me/Mail", None, "/home/me/Mail"),
        ] {
            assert_eq!(in_home(path, home), expected);
        }
    }

    #[test]
    fn long_text_is_cut() {
        for (text, most, expected) in [
            ("", 0, ""),
            ("abc", 3, "abc"),
            ("abc", 2, "a…"),
            ("üüü", 3, "üüü"),
            ("üüüü", 3, "üü…"),
            ("a", 0, "…"),
        ] {
            assert_eq!(shortened(text, most), expected);
        }
    }

    #[test]
    fn nothing_that_steers_a_terminal_survives() {
        let cases: [(&[u8], &str); 6] = [
            (b"plain text", "plain text"),
            (b"\x1b[31mred\x07", "\\x1b[31mred\\x07"),
            (b"a\\b", "a\\\\b"),
            (b"\xc4\xe3\xba\xc3", "\\xc4\\xe3\\xba\\xc3"),
            ("gr\u{fc}n \u{202e}evil \u{9b}x".as_bytes(), "gr\u{fc}n \\u{202e}evil \\u{9b}x"),
            (b"a\r\nb\x7f", "a\\x0d\\x0ab\\x7f"),
        ];
        for (octets, expected) in cases {
            assert_eq!(printable(octets), expected);
        }
    }

    #[test]
    fn prose_is_read_without_what_only_steers_it() {
        for (text, expected) in [
            ("a\\b\tc", "a\\b c"),
            ("\x1b[31mred\x07\u{9b}", "\\x1b[31mred\\x07\\u{9b}"),
            ("shy\u{ad}ly, \u{202e}evil\u{2066}, pay\u{200b}pal\u{feff}", "shyly, evil, paypal"),
            ("\u{2764}\u{fe0f} \u{5e9}\u{5dc}", "\u{2764} \u{5e9}\u{5dc}"),
            ("line\u{2028}end\n", "lineend\\x0a"),
        ] {
            assert_eq!(readable(text), expected);
        }
    }

    #[test]
    fn nothing_that_cannot_be_seen_survives() {
        let hidden = [
            0x7F, 0x85, 0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180E, 0x180F, 0x200B,
            0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202E, 0x2060, 0x2063, 0x2066, 0x2069, 0x206F,
            0x2800, 0x3164, 0xE000, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0, 0xFFF9, 0xFFFB, 0x1BCA0, 0x1D173,
            0xE0000, 0xE0001, 0xE0020, 0xE0041, 0xE007F, 0xE0100, 0xE01EF, 0xE0FFF, 0xF0000, 0x10FFFD,
        ];
        for point in hidden {
            let text = format!("pay{}pal", char::from_u32(point).unwrap());
            let shown = printable(text.as_bytes());
            assert!(shown.contains(&format!("{point:x}")), "U+{point:04X}: {shown}");
            assert!(shown.chars().all(|c| c.is_ascii_graphic()), "U+{point:04X}: {shown}");
        }
        for seen in
            ["Grüße", "日本語\u{3000}", "مرحبا \u{600}12", "नमस्ते", "e\u{301}", "😀", "a\u{a0}b", "한글"]
        {
            assert_eq!(printable(seen.as_bytes()), seen);
        }
    }

    #[test]
    fn fields_read_back() {
        for octets in [&b""[..], b"%", b"a b", b"\x00\xff/..", b"plain", b"=x", b"-x", b"#"] {
            let text = field(octets);
            assert!(!text.contains(' ') && !text.is_empty());
            assert_eq!(from_field(text.as_bytes()).as_deref(), Some(octets));
        }
        for bad in ["%4", "%zz", "a b", "%+1", ""] {
            assert!(bad.is_empty() || from_field(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn sizes_for_people() {
        let cases = [
            (0, "0 octets"),
            (1, "1 octet"),
            (1023, "1023 octets"),
            (1024, "1.0 KiB"),
            (26_214_400, "25.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ];
        for (octets, text) in cases {
            assert_eq!(size(octets), text);
        }
    }

    #[test]
    fn any_octets_are_printed() {
        let all: Vec<u8> = (0..=255).collect();
        for text in [
            &all[..],
            b"",
            b"\\",
            b"%",
            b"%%41",
            "\u{202e}\u{fc}\u{feff}".as_bytes(),
            b"\xc3",
            b"plain [text]",
        ] {
            super::fuzz_printable(text);
        }
    }
}
