//! What a program remembers of messages that it has retrieved.

use std::collections::HashMap;
use std::path::Path;

use super::foreign::StateLines;
use super::{Error, SourceLine, StateFile};
use crate::types::{Time, UniqueId, UniqueIdBuf};

/// Octets of a state file at most: some millions of messages.
pub(crate) const LARGEST_STATE: u64 = 256 * 1024 * 1024;

/// What a state file holds of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RetrievedMail {
    /// Each unique-id once, in the order of the file, and when its message was retrieved, if the program knows.
    pub messages: Vec<(UniqueIdBuf, Option<Time>)>,
    /// Lines that the program itself passes over.
    pub passed_over: u64,
}

/// Reads a state file.
///
/// # Errors
/// [`Error::Syntax`] where the program itself would refuse the file.
pub(crate) fn read(state: &StateFile, octets: &[u8]) -> Result<RetrievedMail, Error> {
    match &state.lines {
        StateLines::Fetchmail { user, hosts } => Ok(fetchmail(octets, user, hosts)),
        StateLines::Getmail => Ok(getmail(octets)),
        StateLines::Mpop { user, host } => mpop(octets, user, host, &state.path),
        StateLines::Fdm => fdm(octets, &state.path),
    }
}

/// Each unique-id once.
#[derive(Default)]
struct Gathered<'a> {
    at: HashMap<&'a [u8], usize>,
    seen: RetrievedMail,
}

impl<'a> Gathered<'a> {
    fn add(&mut self, unique_id: &'a [u8], time: Option<Time>) {
        let Some(owned) = UniqueId::new(unique_id) else {
            self.pass_over();
            return;
        };
        let next = self.seen.messages.len();
        let at = *self.at.entry(unique_id).or_insert(next);
        match self.seen.messages.get_mut(at) {
            // Of two times the later one counts: what is deleted by age goes no earlier than the program would delete it.
            Some((_, known)) => *known = (*known).max(time),
            None => self.seen.messages.push((owned.to_buf(), time)),
        }
    }

    fn pass_over(&mut self) {
        self.seen.passed_over = self.seen.passed_over.saturating_add(1);
    }
}

fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = octets.strip_suffix(b"\n").unwrap_or(octets);
    text.split(|octet| *octet == b'\n').filter(move |_| !octets.is_empty())
}

fn is_blank(octet: &u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// `USER@HOST UID`.  The user may hold blanks before its first `@`, the unique-id may hold an `@`.
fn fetchmail(octets: &[u8], user: &str, hosts: &[String]) -> RetrievedMail {
    let mut gathered = Gathered::default();
    for line in lines(octets) {
        let Some((theirs, host, unique_id)) = fetchmail_line(line) else {
            if !line.trim_ascii().is_empty() {
                gathered.pass_over();
            }
            continue;
        };
        let is_host = hosts.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(host));
        if is_host && user.as_bytes().eq_ignore_ascii_case(theirs) {
            gathered.add(unique_id, None);
        }
    }
    gathered.seen
}

fn fetchmail_line(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let line = line.trim_ascii_start();
    let at = line.iter().position(|octet| *octet == b'@')?;
    let space = line.iter().skip(at).position(|octet| *octet == b' ')?.checked_add(at)?;
    let (head, unique_id) = line.split_at_checked(space)?;
    let at = head.iter().rposition(|octet| *octet == b'@')?;
    let (user, host) = head.split_at_checked(at)?;
    let unique_id =
        unique_id.trim_ascii_start().split(is_blank).next().filter(|unique_id| !unique_id.is_empty())?;
    Some((user, host.get(1..)?.trim_ascii_end(), unique_id))
}

/// `UID NUL SECONDS`.
fn getmail(octets: &[u8]) -> RetrievedMail {
    let mut gathered = Gathered::default();
    for line in lines(octets) {
        let line = line.trim_ascii();
        let nul = line.iter().position(|octet| *octet == 0);
        let parts = nul.and_then(|nul| line.split_at_checked(nul));
        match parts.and_then(|(unique_id, time)| Some((unique_id, seconds(time.get(1..)?)?))) {
            Some((unique_id, time)) => gathered.add(unique_id, Some(time)),
            None if line.is_empty() => {}
            None => gathered.pass_over(),
        }
    }
    gathered.seen
}

fn seconds(digits: &[u8]) -> Option<Time> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok().filter(|seconds| *seconds >= 0).map(Time)
}

/// Comments, then for each mailbox ` COUNT HOST USER` and that many lines `UID SECONDS`; up to mpop 1.4.22 without the time.
fn mpop(octets: &[u8], user: &str, host: &str, path: &Path) -> Result<RetrievedMail, Error> {
    let wrong = |line: usize, what: &str| Error::Syntax {
        place: SourceLine { file: path.to_owned(), line },
        what: what.to_owned(),
    };
    let mut rest = lines(octets).enumerate().map(|(index, line)| (index.saturating_add(1), line)).peekable();
    while rest.next_if(|(_, line)| line.starts_with(b"#")).is_some() {}
    let mut gathered = Gathered::default();
    while let Some((number, line)) = rest.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let heading = mpop_heading(line)
            .ok_or_else(|| wrong(number, "a line with count, host and user is expected"))?;
        let (count, theirs, name) = heading;
        let mut messages = Vec::new();
        for _ in 0..count {
            messages.push(rest.next().ok_or_else(|| wrong(number, "lines are missing below"))?.1);
        }
        if theirs.eq_ignore_ascii_case(host.as_bytes()) && name == user.as_bytes() {
            // A unique-id may end in a blank and digits as well: only where all lines have them they are times.
            let split = |line: &'_ [u8]| {
                let at = line.iter().rposition(|octet| *octet == b' ')?;
                seconds(line.get(at.checked_add(1)?..)?).map(|time| (at, time))
            };
            let has_times = messages.iter().all(|line| split(line).is_some());
            for line in messages {
                match split(line).filter(|_| has_times) {
                    Some((at, time)) => gathered.add(line.get(..at).unwrap_or_default(), Some(time)),
                    None => gathered.add(line, None),
                }
            }
        }
    }
    Ok(gathered.seen)
}

fn mpop_heading(line: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let mut parts = line.strip_prefix(b" ").unwrap_or(line).splitn(3, |octet| *octet == b' ');
    let count = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    Some((count, parts.next()?, parts.next()?))
}

/// `LENGTH UID`, where only the length shows where the unique-id ends.
fn fdm(octets: &[u8], path: &Path) -> Result<RetrievedMail, Error> {
    let mut gathered = Gathered::default();
    let (mut rest, mut line) = (octets.trim_ascii_start(), 1_usize);
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let entry = || {
            let (length, after) = rest.split_at_checked(digits)?;
            let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
            after.trim_ascii_start().split_at_checked(length)
        };
        let Some((unique_id, after)) = entry() else {
            let place = SourceLine { file: path.to_owned(), line };
            return Err(Error::Syntax { place, what: "a length and a unique-id are expected".to_owned() });
        };
        gathered.add(unique_id, None);
        rest = after.trim_ascii_start();
        line = line.saturating_add(1);
    }
    Ok(gathered.seen)
}
