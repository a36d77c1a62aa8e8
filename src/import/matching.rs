//! Which messages of a listing a program has retrieved: pure, so that it can be tested.
//!
//! Programs don't remember every unique-id as the server writes it.  A line that fits one message only is about that
//! message; one that fits two is about neither: what is retrieved again is there twice, what is passed over is lost.

use std::borrow::Cow;
use std::collections::HashMap;

use super::ForeignProgram;
use crate::types::{Time, UniqueId, UniqueIdBuf};

/// What a comparison has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Matched {
    /// Messages on the server that the program has retrieved, by the unique-ids that the server lists.
    pub listed: Vec<(UniqueIdBuf, Option<Time>)>,
    /// What it has retrieved and is not listed now.
    pub unlisted: Vec<(UniqueIdBuf, Option<Time>)>,
    /// How many messages on the server it has not retrieved.
    pub new: usize,
    /// How many messages on the server fit a line that fits others too.
    pub ambiguous: usize,
}

/// Compares what `program` has seen with a listing.
#[must_use]
pub(crate) fn compare(
    program: ForeignProgram,
    seen: &[(UniqueIdBuf, Option<Time>)],
    listing: &[UniqueIdBuf],
) -> Matched {
    let mut by_key: HashMap<Cow<'_, [u8]>, (usize, usize)> = HashMap::new();
    for (index, unique_id) in listing.iter().enumerate() {
        let (_, times) = by_key.entry(remembered(program, unique_id)).or_insert((index, 0));
        *times = times.saturating_add(1);
    }
    let mut matched = Matched::default();
    for (unique_id, time) in seen {
        match by_key.get(unique_id.borrow().as_bytes()) {
            Some((index, 1)) => {
                matched.listed.extend(listing.get(*index).map(|unique_id| (unique_id.clone(), *time)));
            }
            Some((_, times)) => matched.ambiguous = matched.ambiguous.saturating_add(*times),
            None => matched.unlisted.push((unique_id.clone(), *time)),
        }
    }
    matched.new = listing.len().saturating_sub(matched.listed.len());
    matched
}

/// A unique-id as the program writes it into its state file.
fn remembered(program: ForeignProgram, unique_id: &UniqueIdBuf) -> Cow<'_, [u8]> {
    let octets = unique_id.borrow().as_bytes();
    match program {
        // Its file has a meaning for slashes.
        ForeignProgram::Getmail if octets.contains(&b'/') => {
            Cow::Owned(octets.iter().map(|octet| if *octet == b'/' { b'-' } else { *octet }).collect())
        }
        // It reads up to the first blank.
        ForeignProgram::Fetchmail => {
            Cow::Borrowed(octets.split(|o| matches!(o, b' ' | b'\t')).next().unwrap_or(octets))
        }
        _ => Cow::Borrowed(octets),
    }
}

/// What `program` has seen, in every way in which a server may write it that was not asked: a hyphen in getmail's file may
/// be a slash.
#[must_use]
pub(crate) fn either_way(
    program: ForeignProgram,
    seen: &[(UniqueIdBuf, Option<Time>)],
) -> Vec<(UniqueIdBuf, Option<Time>)> {
    let mut all = seen.to_vec();
    if program == ForeignProgram::Getmail {
        for (unique_id, time) in seen {
            let octets = unique_id.borrow().as_bytes();
            let slashes: Vec<u8> =
                octets.iter().map(|octet| if *octet == b'-' { b'/' } else { *octet }).collect();
            if slashes != octets {
                all.extend(UniqueId::new(&slashes).map(|unique_id| (unique_id.to_buf(), *time)));
            }
        }
    }
    all
}

/// Whether unique-ids are nothing but small numbers: what they were numbers of may have moved on, and only a listing can
/// show whether they are more than that.
#[must_use]
pub(crate) fn are_numbers(seen: &[(UniqueIdBuf, Option<Time>)]) -> bool {
    let is_number = |unique_id: &UniqueIdBuf| {
        let octets = unique_id.borrow().as_bytes();
        octets.len() <= 7 && octets.iter().all(u8::is_ascii_digit)
    };
    !seen.is_empty() && seen.iter().all(|(unique_id, _)| is_number(unique_id))
}

#[cfg(test)]
mod tests {
    use super::{Matched, compare};
    use crate::import::ForeignProgram;
    use crate::types::{Time, UniqueId, UniqueIdBuf};

    fn ids(names: &[&str]) -> Vec<UniqueIdBuf> {
        names.iter().map(|name| UniqueId::new(name.as_bytes()).unwrap().to_buf()).collect()
    }

    fn seen(names: &[&str]) -> Vec<(UniqueIdBuf, Option<Time>)> {
        ids(names).into_iter().map(|unique_id| (unique_id, Some(Time(7)))).collect()
    }

    #[test]
    fn a_line_of_getmail_may_stand_for_a_slash_or_a_hyphen() {
        let listing = ids(&["a/b", "c-d", "e/f", "e-f", "new"]);
        let matched = compare(ForeignProgram::Getmail, &seen(&["a-b", "c-d", "e-f", "gone"]), &listing);
        let expected =
            Matched { listed: seen(&["a/b", "c-d"]), unlisted: seen(&["gone"]), new: 3, ambiguous: 2 };
        assert_eq!(matched, expected);
        // Other programs write what they read.
        let matched = compare(ForeignProgram::Mpop, &seen(&["a-b", "c-d"]), &listing);
        assert_eq!((matched.listed, matched.new), (seen(&["c-d"]), 4));
    }

    #[test]
    fn fetchmail_knows_a_unique_id_up_to_its_first_blank() {
        let listing = ids(&["a b", "c d", "c e", "f"]);
        let matched = compare(ForeignProgram::Fetchmail, &seen(&["a", "c", "f"]), &listing);
        assert_eq!((matched.listed, matched.ambiguous), (seen(&["a b", "f"]), 2));
    }
}
