//! Messages as the user names them on a command line: by number, by unique-id, from the end, several by ranges and lists.
//! One grammar for every command:
//!
//! | word | names |
//! |---|---|
//! | `3` | message 3 of the session |
//! | `last`, `-1` | the last message of the listing |
//! | `-3` | the third from the end |
//! | `3-7`, `3-last`, `3-` | those messages of the range that are listed |
//! | `3,5,9-12` | all of them |
//! | `uid:TEXT` | the messages of that unique-id, whatever it looks like |
//! | anything else | the messages of that unique-id |
//!
//! Where a word could be both, it is a number, and `uid:` names the unique-id.  A unique-id with octets that can't be
//! typed may be given as popfetch prints it.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::{MessageNumber, UniqueIdBuf, parse_decimal};
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::text::{count, printable};
use crate::types::wide;

/// Messages that the user has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection(Vec<SelectionPart>);

/// What one word, or one element of a list, names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SelectionPart {
    One(Position),
    Range(Position, Position),
    /// As it was typed.
    UniqueId(String),
}

/// A place in the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Number(MessageNumber),
    /// 1 is the last one.
    FromEnd(u32),
}

const LAST: Position = Position::FromEnd(1);

/// The listing lacks a message that was named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no message {named}: {}", listed(*.messages))]
pub(crate) struct NoSuchMessage {
    /// The first word, or element of a list, that names none; safe to print.
    pub named: String,
    /// How many messages are listed.
    pub messages: usize,
}

impl Problem for NoSuchMessage {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(
            "a message is named by number, as 3, 3-7 or 3,5; from the end, as last or -3; or by its unique-id"
                .into(),
        )
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::NoInput
    }
}

fn listed(messages: usize) -> String {
    match wide(messages) {
        0 => "the server lists none".to_owned(),
        messages => format!("the server lists {}", count(messages, "message")),
    }
}

impl Selection {
    /// What these words name together; `None` without any.
    #[must_use]
    pub(crate) fn of(words: &[String]) -> Option<Self> {
        let parts: Vec<SelectionPart> = words.iter().flat_map(|word| read(word)).collect();
        (!parts.is_empty()).then_some(Self(parts))
    }

    /// Whether unique-ids are needed to find the messages.
    #[must_use]
    pub(crate) fn needs_unique_ids(&self) -> bool {
        self.0.iter().any(|part| matches!(part, SelectionPart::UniqueId(_)))
    }

    /// The messages of a listing that are named, ascending, each once.  Of the listing every message is given, ascending
    /// by number, with its unique-id, which may be left out unless [`Self::needs_unique_ids`].
    ///
    /// # Errors
    /// The first word that names none of them; of a range one has to be there.
    pub(crate) fn resolve(
        &self,
        listing: impl IntoIterator<Item = (MessageNumber, Option<UniqueIdBuf>)>,
    ) -> Result<Vec<MessageNumber>, NoSuchMessage> {
        let named = self.0.iter().filter_map(|part| match part {
            SelectionPart::UniqueId(text) => Some((text.as_bytes(), Vec::new())),
            SelectionPart::One(_) | SelectionPart::Range(..) => None,
        });
        let mut by_unique_id: HashMap<&[u8], Vec<MessageNumber>> = named.collect();
        let mut numbers = Vec::new();
        for (number, unique_id) in listing {
            numbers.push(number);
            let Some(unique_id) = unique_id.filter(|_| !by_unique_id.is_empty()) else { continue };
            let octets = unique_id.borrow().as_bytes();
            if let Some(found) = by_unique_id.get_mut(octets) {
                found.push(number);
            } else if let Some(found) = by_unique_id.get_mut(printable(octets).as_bytes()) {
                found.push(number);
            }
        }
        let mut all = BTreeSet::new();
        for part in &self.0 {
            let found: &[MessageNumber] = match part {
                SelectionPart::One(place) => place.index(&numbers).and_then(|at| numbers.get(at..=at)),
                SelectionPart::Range(first, last) => first.until(*last, &numbers),
                SelectionPart::UniqueId(text) => by_unique_id.get(text.as_bytes()).map(Vec::as_slice),
            }
            .filter(|found| !found.is_empty())
            .ok_or_else(|| NoSuchMessage { named: part.to_string(), messages: numbers.len() })?;
            all.extend(found);
        }
        Ok(all.into_iter().collect())
    }
}

impl Position {
    /// Where in the ascending numbers it is.
    fn index(self, numbers: &[MessageNumber]) -> Option<usize> {
        match self {
            Self::Number(number) => numbers.binary_search(&number).ok(),
            Self::FromEnd(from_end) => numbers.len().checked_sub(usize::try_from(from_end).ok()?),
        }
    }

    /// The numbers from here to there; what lies beyond either end isn't missed.
    fn until(self, last: Self, numbers: &[MessageNumber]) -> Option<&[MessageNumber]> {
        let bound = |place: Self, is_first: bool| match place {
            Self::Number(number) => {
                numbers.partition_point(|listed| if is_first { *listed < number } else { *listed <= number })
            }
            Self::FromEnd(from_end) => {
                let places = usize::try_from(from_end).unwrap_or(usize::MAX);
                numbers
                    .len()
                    .saturating_sub(places)
                    .saturating_add(usize::from(!is_first && places <= numbers.len()))
            }
        };
        numbers.get(bound(self, true)..bound(last, false))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::FromEnd(1) => f.write_str("last"),
            Self::FromEnd(from_end) => write!(f, "-{from_end}"),
        }
    }
}

impl fmt::Display for SelectionPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(place) => place.fmt(f),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
            Self::UniqueId(text) => write!(f, "\"{}\"", printable(text.as_bytes())),
        }
    }
}

fn read(word: &str) -> Vec<SelectionPart> {
    if let Some(unique_id) = word.strip_prefix("uid:") {
        return vec![SelectionPart::UniqueId(unique_id.to_owned())];
    }
    let places: Option<Vec<SelectionPart>> = word.split(',').map(element).collect();
    places.unwrap_or_else(|| vec![SelectionPart::UniqueId(word.to_owned())])
}

/// A place or a range; `None` for what is neither, as a range that runs backwards.
fn element(text: &str) -> Option<SelectionPart> {
    if let Some(place) = place(text) {
        return Some(SelectionPart::One(place));
    }
    // A minus sign in front is the first place's own.
    let at = text.char_indices().skip(1).find_map(|(at, c)| (c == '-').then_some(at))?;
    let (first, last) = text.split_at_checked(at)?;
    let first = place(first)?;
    let last = match last.strip_prefix('-')? {
        "" => LAST,
        last => place(last)?,
    };
    let backwards = match (first, last) {
        (Position::Number(first), Position::Number(last)) => first > last,
        (Position::FromEnd(first), Position::FromEnd(last)) => first < last,
        _ => false,
    };
    (!backwards).then_some(SelectionPart::Range(first, last))
}

fn place(text: &str) -> Option<Position> {
    if text == "last" {
        return Some(LAST);
    }
    match text.strip_prefix('-') {
        Some(digits) => {
            let from_end = u32::try_from(parse_decimal(digits.as_bytes())?).ok();
            from_end.filter(|from_end| *from_end > 0).map(Position::FromEnd)
        }
        None => MessageNumber::parse(text.as_bytes()).map(Position::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::{MessageNumber, Problem as _, Selection, UniqueIdBuf};
    use crate::types::UniqueId;

    /// Resolved in a maildrop of these unique-ids, whose messages are numbered from 1, but that there is no message 5.
    fn resolve(words: &str, unique_ids: &[&str]) -> Result<Vec<u32>, String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let unique_id = |text: &str| UniqueId::new(text.as_bytes()).map(UniqueId::to_buf);
        let listing: Vec<(MessageNumber, Option<UniqueIdBuf>)> = (1..)
            .filter(|number| *number != 5)
            .map(|number| MessageNumber::new(number).unwrap())
            .zip(unique_ids.iter().map(|text| unique_id(text)))
            .collect();
        let found = Selection::of(&words).unwrap().resolve(listing);
        found.map(|found| found.into_iter().map(MessageNumber::get).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn messages_are_named_in_many_ways() {
        let unique_ids = ["a", "b", "c", "d", "a,b", "7", "3-4", "tw o", "\u{1b}[1m", "uid:x", "b", ""];
        let cases: [(&str, &[u32]); 24] = [
            ("1", &[1]),
            ("002", &[2]),
            ("last", &[13]),
            ("-1", &[13]),
            ("-3", &[11]),
            ("-12", &[1]),
            ("3-4", &[3, 4]),
            ("4-6", &[4, 6]),
            ("11-99", &[11, 12, 13]),
            ("12-", &[12, 13]),
            ("12-last", &[12, 13]),
            ("-3--2", &[11, 12]),
            ("-99--12", &[1]),
            ("-2-last", &[12, 13]),
            ("3,1,2-3,last", &[1, 2, 3, 13]),
            ("2 1,2", &[1, 2]),
            ("7", &[7]),
            ("uid:7", &[7]),
            ("uid:3-4", &[8]),
            ("a,b", &[6]),
            ("b", &[2, 12]),
            ("\\x1b[1m", &[10]),
            ("uid:uid:x", &[11]),
            ("c last", &[3, 13]),
        ];
        for (words, expected) in cases {
            assert_eq!(resolve(words, &unique_ids).as_deref(), Ok(expected), "{words}");
        }
    }

    #[test]
    fn what_names_no_message_is_said() {
        for (words, named) in [
            ("5", "5"),
            ("0", "\"0\""),
            ("-4", "-4"),
            ("5-5", "5-5"),
            ("9-", "9-last"),
            ("1,9", "9"),
            ("3-1", "\"3-1\""),
            ("-1--2", "\"-1--2\""),
            ("4294967296", "\"4294967296\""),
            ("B", "\"B\""),
            ("a,b", "\"a,b\""),
            ("uid:", "\"\""),
            ("", "\"\""),
            ("\u{1b}", "\"\\x1b\""),
        ] {
            let expected = format!("there is no message {named}: the server lists 3 messages");
            assert_eq!(resolve(words, &["a", "b", "c"]), Err(expected), "{words}");
        }
        assert_eq!(resolve("last", &[]).unwrap_err(), "there is no message last: the server lists none");
        assert_eq!(Selection::of(&[]), None);
        let e = Selection::of(&["x".to_owned()]).unwrap().resolve([]).unwrap_err();
        assert_eq!(e.exit_code().number(), 66);
    }

    #[test]
    fn unique_ids_are_looked_at_only_where_one_is_named() {
        let needs = |words: &str| Selection::of(&[words.to_owned()]).unwrap().needs_unique_ids();
        assert!(!needs("1,2-5,last,-3") && needs("abc") && needs("uid:3"));
    }
}
