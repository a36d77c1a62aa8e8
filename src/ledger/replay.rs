//! A ledger's file read into an [`Index`], and what is whole kept apart from what is torn.
//!
//! A group is what is written between two syncs.  Its header has a number, and is written only after the group before
//! was synced.  So all that a crash or a disk leaves unfinished lies in the last group, and may be dropped from the
//! first bad line on.  Nothing was ever done on the word of a line that was not synced.  A bad line with a later
//! header behind it was once safely on disk: that is rot, and for the user to judge.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;

use crate::account::Mailbox;
use crate::durable::{self, Step};
use crate::text;
use crate::types::wide;

use super::codec::MAY_BE_PASSED_OVER;
use super::error::Error;
use super::index::Index;
use super::journal::Tail;
use super::lines::{Fact, Group, LONGEST_GROUP, Leaves, MAGIC, PLAIN_VERSION, Title, VERSION, checked};
use super::source::{CHUNK, FileLines, LineSource, NextLine};

/// As much of a ledger's end as can be looked at in passing.
pub(super) const LOOK: u64 = 1024 * 1024;
/// The shortest an entry can be: bounds what a `group` line may make us reserve.
const SHORTEST_ENTRY: u64 = 40;

/// What a replay has found.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The ledger's id; `None` when the file holds less than a first line, so that it never was a ledger.
    pub(super) id: Option<String>,
    /// The version of the grammar.
    pub(super) version: u64,
    /// Where the good lines end.
    pub(super) tail: Tail,
    /// The first line that was dropped, from 1.
    pub(super) torn: Option<u64>,
}

/// Reads a whole ledger into `index`.
///
/// # Errors
/// [`Error::Damaged`] for damage that no crash explains, and for another mailbox's ledger; [`Error::Newer`];
/// [`Error::Disk`].
pub(super) fn replay<S: LineSource + ?Sized>(
    source: &S,
    octets: u64,
    path: &Path,
    mailbox: &Mailbox,
    index: &mut Index,
) -> Result<Replayed, Error> {
    let disk = |e| Error::Disk(durable::Error::new(Step::Read, path, e));
    let mut lines = FileLines::new(source);
    let nothing = Replayed { id: None, version: PLAIN_VERSION, tail: Tail::default(), torn: None };
    let title =
        first_line(lines.next().map_err(disk)?).map_err(|problem| Error::damaged(path, 1, problem))?;
    let Some(title) = title else { return Ok(nothing) };
    let mut replayed = begin(&title, path, mailbox)?;
    let mut number = 1_u64;
    loop {
        let offset = lines.offset;
        replayed.tail.end = offset;
        number += 1;
        let damaged = |problem: &str| Error::damaged(path, number, problem);
        let content = match lines.next().map_err(disk)? {
            NextLine::End => return Ok(replayed),
            NextLine::Unended(_) => None,
            NextLine::Line(line) => checked(line),
        };
        let Some(content) = content else {
            return match later_group(source, offset, replayed.tail.group).map_err(disk)? {
                Some(later) => Err(damaged(&format!(
                    "does not match its checksum, and group {later} behind it shows that it once was on disk"
                ))),
                None => Ok(Replayed { torn: Some(number), ..replayed }),
            };
        };
        let Some(fact) = Fact::parse(content) else {
            if content.starts_with(MAY_BE_PASSED_OVER) && replayed.tail.group > 0 {
                continue;
            }
            return Err(damaged("is of no kind that is known here"));
        };
        match &fact {
            Fact::Group(Group { number: this, count, .. }) => {
                let due = replayed.tail.group + 1;
                if *this != due {
                    return Err(damaged(&format!("begins group {this}, where {due} was due")));
                }
                replayed.tail.group = due;
                index.expect(usize::try_from((*count).min(octets / SHORTEST_ENTRY)).unwrap_or(0));
            }
            _ if replayed.tail.group == 0 => return Err(damaged("stands before the first group")),
            _ => {}
        }
        index.apply(&fact, offset).map_err(|problem| damaged(&format!("contradicts the rest: {problem}")))?;
    }
}

/// What the first line holds; `None` when there is less than a line.  The first line was synced under another name before
/// there was a ledger: no crash leaves half of it.
fn first_line(line: NextLine<'_>) -> Result<Option<Title<'_>>, &'static str> {
    const NOT_A_LEDGER: &str = "is not what a ledger begins with";
    let line = match line {
        NextLine::End => return Ok(None),
        NextLine::Unended(rest) if rest.starts_with(MAGIC) || MAGIC.starts_with(rest) => return Ok(None),
        NextLine::Unended(_) => return Err(NOT_A_LEDGER),
        NextLine::Line(line) => line,
    };
    match checked(line).map(Fact::parse) {
        Some(Some(Fact::FirstLine(first))) => Ok(Some(first.title)),
        Some(None) => Err("is of no kind that is known here"),
        _ => Err(NOT_A_LEDGER),
    }
}

/// Checks what the first line holds.
fn begin(title: &Title<'_>, path: &Path, mailbox: &Mailbox) -> Result<Replayed, Error> {
    let Title { version, id, user, host, port, generation } = title;
    if *version > VERSION {
        return Err(Error::Newer { path: text::path(path), version: *version });
    }
    let identity = (mailbox.user.as_bytes(), mailbox.host.as_bytes(), mailbox.port);
    if (user.as_ref(), host.as_ref(), *port) != identity {
        return Err(Error::damaged(path, 1, "names another mailbox"));
    }
    let tail = Tail { end: 0, group: 0, generation: *generation };
    Ok(Replayed { id: Some((*id).to_owned()), version: *version, tail, torn: None })
}

/// The mailbox that the file's first line names; `None` when there is no first line.
///
/// # Errors
/// [`Error::Damaged`], [`Error::Disk`].
pub(super) fn mailbox(file: &File, path: &Path) -> Result<Option<Mailbox>, Error> {
    let mut lines = FileLines::new(file);
    let line = lines.next().map_err(|e| durable::Error::new(Step::Read, path, e))?;
    if !matches!(line, NextLine::Line(_)) {
        return Ok(None);
    }
    let title = first_line(line).map_err(|problem| Error::damaged(path, 1, problem))?;
    let name = |octets: Cow<'_, [u8]>| String::from_utf8(octets.into_owned()).ok();
    Ok(title.and_then(|title| {
        Some(Mailbox { user: name(title.user)?, host: name(title.host)?, port: title.port })
    }))
}

/// How often the file was rewritten, by its first line; `None` when there is no such line.
///
/// # Errors
/// When it cannot be read.
pub(super) fn generation(file: &File) -> io::Result<Option<u64>> {
    let mut lines = FileLines::new(file);
    let title = first_line(lines.next()?);
    Ok(title.ok().flatten().map(|title| title.generation))
}

/// Whether the file ends in order, by no more than its last MiB: no line in it is torn or rotten, and none that matters
/// follows the last `end`.  `false` too where that would take more than a look.
///
/// # Errors
/// When it cannot be read.
pub(super) fn ends_in_order<S: LineSource + ?Sized>(source: &S, octets: u64) -> io::Result<bool> {
    let begin = octets.saturating_sub(LOOK);
    let mut tail = vec![0; usize::try_from(octets - begin).unwrap_or(0)];
    let filled = source.read_up_to(&mut tail, begin)?;
    let mut lines = tail.get(..filled).unwrap_or_default();
    if begin > 0 {
        // The first one lacks its beginning.
        lines = memchr::memchr(b'\n', lines).and_then(|at| lines.get(at + 1..)).unwrap_or_default();
    }
    let Some(lines) = lines.strip_suffix(b"\n") else { return Ok(false) };
    let mut leaves = Leaves::AsItWas;
    for line in lines.rsplit(|octet| *octet == b'\n') {
        let Some(content) = checked(line) else { return Ok(false) };
        if leaves == Leaves::AsItWas {
            let Some(fact) = Fact::parse(content) else { return Ok(false) };
            leaves = fact.leaves();
        }
    }
    Ok(leaves == Leaves::Resting)
}

/// The number of a group after `group` whose header stands whole at or after `from`.  It is looked for within lines
/// too: the damage may have taken the line end before it.
fn later_group<S: LineSource + ?Sized>(source: &S, from: u64, group: u64) -> io::Result<Option<u64>> {
    const WORD: &[u8] = b"group ";
    let longest = usize::try_from(LONGEST_GROUP).unwrap_or(0);
    let mut octets = vec![0; CHUNK + longest];
    let mut at = from;
    loop {
        let filled = source.read_up_to(&mut octets, at)?;
        let window = octets.get(..filled).unwrap_or_default();
        let found = memchr::memmem::find_iter(window, WORD).take_while(|i| *i < CHUNK).find_map(|i| {
            let rest = window.get(i..window.len().min(i + longest))?;
            let line = rest.get(..memchr::memchr(b'\n', rest)?)?;
            match Fact::parse(checked(line)?)? {
                Fact::Group(Group { number, .. }) if number > group => Some(number),
                _ => None,
            }
        });
        if found.is_some() || filled <= CHUNK {
            return Ok(found);
        }
        at = at.saturating_add(wide(CHUNK));
    }
}

#[cfg(test)]
mod tests {
    use super::{LOOK, ends_in_order, later_group};
    use crate::ledger::lines::{CopyDelivered, End, Fact, Group, ListingTaken, Rewritten};
    use crate::ledger::source::CHUNK;
    use crate::types::Time;

    #[test]
    fn a_later_group_is_found_wherever_it_stands() {
        let mut header = Vec::new();
        Fact::from(Group { number: 7, time: Time(1), clock: Time(1), count: 0 }).write(&mut header);
        for before in [0, 1, CHUNK - 8, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 50] {
            // Without a line end before it, and among words that look like it.
            let mut octets = b"group ".iter().copied().cycle().take(before).collect::<Vec<_>>();
            octets.extend_from_slice(&header);
            assert_eq!(later_group(octets.as_slice(), 0, 6).unwrap(), Some(7), "{before}");
            assert_eq!(later_group(octets.as_slice(), 0, 7).unwrap(), None, "{before}");
            octets.pop();
            assert_eq!(later_group(octets.as_slice(), 0, 6).unwrap(), None, "{before}");
        }
    }

    #[test]
    fn an_end_in_order_is_found_by_the_last_lines() {
        let lines = |facts: &[Fact<'_>]| {
            let mut octets = Vec::new();
            facts.iter().for_each(|fact| fact.write(&mut octets));
            octets
        };
        let ends = |octets: &[u8]| ends_in_order(octets, u64::try_from(octets.len()).unwrap()).unwrap();
        let first = || Fact::from(Group { number: 1, time: Time(1), clock: Time(1), count: 0 });
        let listing = || Fact::from(ListingTaken { time: Time(1), clock: Time(1) });
        let matters = || Fact::from(CopyDelivered { intent: 1, time: Time(1) });
        let [end, rewritten] = [|| Fact::from(End {}), || Fact::from(Rewritten {})];
        let polls = |n: u64| lines(&vec![listing(); usize::try_from(n).unwrap()]);
        assert!(ends(&lines(&[first(), matters(), end()])));
        assert!(ends(&lines(&[first(), end(), listing(), first()])));
        for bad in [&[][..], &[first()], &[first(), end(), matters()], &[first(), rewritten(), listing()]] {
            assert!(!ends(&lines(bad)), "{bad:?}");
        }
        // However far behind, within what is looked at; and not when a line is torn or rotten.
        let end = lines(&[first(), end()]);
        for (n, found) in [(50, true), (1000, true), (LOOK / 20, false)] {
            let whole = [end.as_slice(), &polls(n)].concat();
            assert_eq!(ends(&whole), found, "{n}");
            assert!(!ends(&whole[..whole.len() - 1]), "{n}");
            let mut rotten = whole.clone();
            *rotten.iter_mut().rev().nth(40).unwrap() ^= 1;
            assert!(!ends(&rotten), "{n}");
        }
    }
}
