//! The ledger's file: appended to in groups, replayed, told whole from torn.  Must not know what the lines mean.
//!
//! A group is what is written between two syncs.  Its header has a number, and is written only after the group before
//! was synced.  So whatever a crash or a disk leaves unfinished lies in the last group, and may be dropped from the
//! first bad line on, because nothing was ever done on the word of a line that was not synced.  A bad line with a later
//! header behind it was once safely on disk: that is rot, which nobody but a person can judge.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::durable::{self, Step};
use crate::types::Time;

use super::index::{Index, leaves_working};
use super::lines::{self, LONGEST_HEADER, Line, MAGIC, MAY_BE_PASSED_OVER, VERSION};
use super::{Error, Extent};
use crate::account::Mailbox;

/// What is read or written at once.
const CHUNK: usize = 256 * 1024;
/// As much of a ledger's end as can be looked at by the way.
pub(super) const LOOK: u64 = 1024 * 1024;
/// A longer line is damage: no unique-id and no argv makes one.
const LONGEST_LINE: usize = 4 * 1024 * 1024;
/// The shortest an entry can be: bounds what a `group` line may make us reserve.
const SHORTEST_ENTRY: u64 = 40;

/// Something to read lines from: a file, or octets in a test.
pub(super) trait Source {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match std::os::unix::fs::FileExt::read_at(self, into, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Source for [u8] {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}

/// What a replay has found.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The ledger's id; `None` when the file holds less than a first line, so that it never was a ledger.
    pub(super) id: Option<String>,
    /// The version of the grammar.
    pub(super) version: u64,
    /// How often the file was rewritten.
    pub(super) generation: u64,
    /// Where the good lines end.
    pub(super) end: u64,
    /// The number of the last group; 0 is none.
    pub(super) group: u64,
    /// The first line that was dropped, from 1.
    pub(super) torn: Option<u64>,
}

impl Replayed {
    /// There is less than a first line.
    fn nothing() -> Self {
        Self { id: None, version: VERSION, generation: 0, end: 0, group: 0, torn: None }
    }
}

/// Reads a whole ledger into `index`.
///
/// # Errors
/// [`Error::Damaged`] for damage that no crash explains, and for another mailbox's ledger; [`Error::Disk`].
pub(super) fn replay<S: Source + ?Sized>(
    source: &S,
    octets: u64,
    path: &Path,
    mailbox: &Mailbox,
    index: &mut Index,
) -> Result<Replayed, Error> {
    let disk = |e| Error::Disk(durable::Error::new(Step::Read, path, e));
    let mut lines = Lines::new(source);
    let (mut id, mut group, mut number) = (None, 0, 0_u64);
    let (mut version, mut generation) = (VERSION, 0);
    loop {
        let offset = lines.offset;
        number += 1;
        let damaged = |problem: &str| Error::damaged(path, number, problem);
        let content = match lines.next().map_err(disk)? {
            Next::End if number == 1 => return Ok(Replayed::nothing()),
            Next::End => return Ok(Replayed { id, version, generation, end: offset, group, torn: None }),
            Next::Unended(rest) if number == 1 && (rest.starts_with(MAGIC) || MAGIC.starts_with(rest)) => {
                return Ok(Replayed::nothing());
            }
            Next::Unended(_) => None,
            Next::Line(line) => lines::checked(line),
        };
        let Some(content) = content else {
            // The first line was synced under another name before there was a ledger.
            if number == 1 {
                return Err(damaged("is not what a ledger begins with"));
            }
            return match later_group(source, offset, group).map_err(disk)? {
                Some(later) => Err(damaged(&format!(
                    "does not match its checksum, and group {later} behind it shows that it once was on disk"
                ))),
                None => Ok(Replayed { id, version, generation, end: offset, group, torn: Some(number) }),
            };
        };
        let Some(line) = Line::parse(content) else {
            if content.starts_with(MAY_BE_PASSED_OVER) && group > 0 {
                continue;
            }
            return Err(damaged("is of no kind that is known here"));
        };
        match &line {
            Line::First {
                version: this_version,
                id: this,
                user,
                host,
                port,
                generation: this_generation,
            } if number == 1 => {
                if *this_version > VERSION {
                    return Err(Error::Newer { path: super::printable(path), version: *this_version });
                }
                if (user.as_ref(), host.as_ref(), *port)
                    != (mailbox.user.as_bytes(), mailbox.host.as_bytes(), mailbox.port)
                {
                    return Err(damaged("names another mailbox"));
                }
                id = Some((*this).to_owned());
                (version, generation) = (*this_version, *this_generation);
                continue;
            }
            _ if number == 1 => return Err(damaged("is not what a ledger begins with")),
            Line::Group { number: this, count, .. } => {
                if *this != group + 1 {
                    return Err(damaged(&format!("begins group {this}, where {} was due", group + 1)));
                }
                group = *this;
                index.slots.expect(usize::try_from((*count).min(octets / SHORTEST_ENTRY)).unwrap_or(0));
            }
            _ if group == 0 => return Err(damaged("stands before the first group")),
            _ => {}
        }
        index.apply(&line, offset).map_err(|problem| damaged(&format!("contradicts the rest: {problem}")))?;
    }
}

/// The mailbox that the file's first line names; `None` when there is no first line.
///
/// # Errors
/// [`Error::Damaged`], [`Error::Disk`].
pub(super) fn mailbox(file: &File, path: &Path) -> Result<Option<Mailbox>, Error> {
    let mut lines = Lines::new(file);
    let content = match lines.next().map_err(|e| durable::Error::new(Step::Read, path, e))? {
        Next::Line(line) => lines::checked(line).and_then(Line::parse),
        _ => return Ok(None),
    };
    let name = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
    match content {
        Some(Line::First { user, host, port, .. }) => {
            Ok(name(&user).zip(name(&host)).map(|(user, host)| Mailbox { user, host, port }))
        }
        _ => Err(Error::damaged(path, 1, "is not what a ledger begins with")),
    }
}

/// How often the file was rewritten, by its first line; `None` when that can't be told.
///
/// # Errors
/// When it cannot be read.
pub(super) fn generation(file: &File) -> io::Result<Option<u64>> {
    Ok(match Lines::new(file).next()? {
        Next::Line(line) => match lines::checked(line).and_then(Line::parse) {
            Some(Line::First { generation, .. }) => Some(generation),
            _ => None,
        },
        Next::Unended(_) | Next::End => None,
    })
}

/// Whether the file ends in order, told by no more than the last MiB: no line in it is torn or rotten, and none that
/// matters stands behind the last `end`.  `false` too where that would take more than a look.
///
/// # Errors
/// When it cannot be read.
pub(super) fn ends_in_order<S: Source + ?Sized>(source: &S, octets: u64) -> io::Result<bool> {
    let begin = octets.saturating_sub(LOOK);
    let mut tail = vec![0; usize::try_from(octets - begin).unwrap_or(0)];
    let filled = fill(source, &mut tail, begin)?;
    let mut lines = tail.get(..filled).unwrap_or_default();
    if begin > 0 {
        // The first one lacks its beginning.
        lines = memchr::memchr(b'\n', lines).and_then(|at| lines.get(at + 1..)).unwrap_or_default();
    }
    let Some(lines) = lines.strip_suffix(b"\n") else { return Ok(false) };
    let mut working = None;
    for line in lines.rsplit(|octet| *octet == b'\n') {
        let Some(content) = lines::checked(line) else { return Ok(false) };
        if working.is_none() {
            let Some(line) = Line::parse(content) else { return Ok(false) };
            working = leaves_working(&line);
        }
    }
    Ok(working == Some(false))
}

/// The number of a group after `group` whose header stands whole at or after `from`.  It is looked for within lines
/// too: the damage may have taken the line end before it.
fn later_group<S: Source + ?Sized>(source: &S, from: u64, group: u64) -> io::Result<Option<u64>> {
    const WORD: &[u8] = b"group ";
    let longest = usize::try_from(LONGEST_HEADER).unwrap_or(0);
    let mut octets = vec![0; CHUNK + longest];
    let mut at = from;
    loop {
        let filled = fill(source, &mut octets, at)?;
        let window = octets.get(..filled).unwrap_or_default();
        let found = memchr::memmem::find_iter(window, WORD).take_while(|i| *i < CHUNK).find_map(|i| {
            let rest = window.get(i..window.len().min(i + longest))?;
            let line = rest.get(..memchr::memchr(b'\n', rest)?)?;
            match Line::parse(lines::checked(line)?)? {
                Line::Group { number, .. } if number > group => Some(number),
                _ => None,
            }
        });
        if found.is_some() || filled <= CHUNK {
            return Ok(found);
        }
        at = at.saturating_add(u64::try_from(CHUNK).unwrap_or(u64::MAX));
    }
}

fn fill<S: Source + ?Sized>(source: &S, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read_at(rest, offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX)))? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// The lines of a source, one after another, lent from one buffer.
struct Lines<'s, S: ?Sized> {
    source: &'s S,
    buffer: Vec<u8>,
    begin: usize,
    filled: usize,
    /// Where the next line begins in the source.
    offset: u64,
}

enum Next<'a> {
    /// A line, without its LF.
    Line(&'a [u8]),
    /// What stands behind the last LF, or the beginning of something far too long for a line.
    Unended(&'a [u8]),
    End,
}

impl<'s, S: Source + ?Sized> Lines<'s, S> {
    fn new(source: &'s S) -> Self {
        Self { source, buffer: vec![0; CHUNK], begin: 0, filled: 0, offset: 0 }
    }

    fn next(&mut self) -> io::Result<Next<'_>> {
        let mut searched = self.begin;
        loop {
            let unsearched = self.buffer.get(searched..self.filled).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', unsearched) {
                let (begin, end) = (self.begin, searched + at);
                self.begin = end + 1;
                self.offset += u64::try_from(end + 1 - begin).unwrap_or(0);
                return Ok(Next::Line(self.buffer.get(begin..end).unwrap_or_default()));
            }
            searched = self.filled;
            if self.begin > 0 {
                self.buffer.copy_within(self.begin..self.filled, 0);
                searched -= self.begin;
                self.filled -= self.begin;
                self.begin = 0;
            }
            if self.filled == self.buffer.len() && self.filled < LONGEST_LINE {
                self.buffer.resize(self.filled * 2, 0);
            }
            let at = self.offset.saturating_add(u64::try_from(self.filled).unwrap_or(u64::MAX));
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match if room.is_empty() { 0 } else { self.source.read_at(room, at)? } {
                0 if self.filled == 0 => return Ok(Next::End),
                0 => return Ok(Next::Unended(self.buffer.get(..self.filled).unwrap_or_default())),
                n => self.filled += n,
            }
        }
    }
}

/// Single lines by their offset, read in stretches, since who wants one usually wants the next one too.
#[derive(Debug)]
pub(super) struct Window {
    octets: Vec<u8>,
    begin: u64,
    stretch: usize,
}

impl Window {
    /// For one line.
    pub(super) fn narrow() -> Self {
        Self { octets: Vec::new(), begin: 0, stretch: 512 }
    }

    /// For many, mostly in the order of the file.
    pub(super) fn wide() -> Self {
        Self { octets: Vec::new(), begin: 0, stretch: CHUNK }
    }

    /// The line at `offset`, without its LF; `None` when no line ends behind it.
    fn line<S: Source + ?Sized>(&mut self, source: &S, offset: u64) -> io::Result<Option<&[u8]>> {
        let mut stretch = self.stretch;
        let mut range = self.find(offset);
        while range.is_none() && stretch <= LONGEST_LINE {
            self.octets.resize(stretch, 0);
            let filled = fill(source, &mut self.octets, offset)?;
            self.octets.truncate(filled);
            self.begin = offset;
            range = self.find(offset);
            if filled < stretch {
                break;
            }
            stretch *= 2;
        }
        Ok(range.and_then(|range| self.octets.get(range)))
    }

    fn find(&self, offset: u64) -> Option<std::ops::Range<usize>> {
        let at = usize::try_from(offset.checked_sub(self.begin)?).ok()?;
        let end = memchr::memchr(b'\n', self.octets.get(at..)?)?;
        Some(at..at + end)
    }
}

/// The end of a ledger's file, where lines are added; and the file, to look lines up.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    /// Octets of whole lines in the file.
    end: u64,
    /// Lines not yet in the file.
    buffer: Vec<u8>,
    group: u64,
    /// How often the file was rewritten.
    generation: u64,
    /// Everything in the file is on disk: the next line begins a group.
    synced: bool,
    /// Octets that this run has synced.
    synced_octets: u64,
    /// A sync failed, or half a line could not be taken back.
    broken: bool,
}

impl Journal {
    /// Goes on after what a replay has found.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub(super) fn resume(file: File, path: &Path, replayed: &Replayed) -> Result<Self, Error> {
        let journal = Self {
            file,
            path: path.to_owned(),
            end: replayed.end,
            buffer: Vec::new(),
            group: replayed.group,
            generation: replayed.generation,
            synced_octets: 0,
            // What was read may be in the page cache only.
            synced: replayed.group == 0,
            broken: false,
        };
        journal.rewind()?;
        Ok(journal)
    }

    /// Octets of the ledger.
    pub(super) fn len(&self) -> u64 {
        self.end.saturating_add(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX))
    }

    /// Refuses to go on with a file that can't be trusted any more.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub(super) fn usable(&self) -> Result<(), Error> {
        if self.broken { Err(Error::Broken { path: self.printable_path() }) } else { Ok(()) }
    }

    /// The header that is due before the next line, if one is.
    fn header(&self, time: Time, clock: Time, count: u64) -> Option<Line<'static>> {
        self.synced.then(|| Line::Group { number: self.group + 1, time, clock, count })
    }

    /// Enters a line in `index`, and holds it back until [`Journal::flush`].
    ///
    /// # Errors
    /// [`Error::Contradiction`] is our own mistake; [`Error::Broken`]; [`Error::Disk`] when much was held back.
    pub(super) fn append(
        &mut self,
        index: &mut Index,
        line: &Line<'_>,
        (time, clock): (Time, Time),
    ) -> Result<(), Error> {
        self.usable()?;
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        if let Some(header) = self.header(time, clock, 0) {
            index.apply(&header, self.len()).map_err(Error::Contradiction)?;
            header.write(&mut self.buffer);
            self.group += 1;
            self.synced = false;
        }
        index.apply(line, self.len()).map_err(Error::Contradiction)?;
        line.write(&mut self.buffer);
        Ok(())
    }

    /// Writes what was held back.
    ///
    /// # Errors
    /// [`Error::Disk`]: it is held back still, and the file as it was; [`Error::Broken`].
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.usable()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(e) = durable::write(&self.file, &self.path, &self.buffer) {
            // What cannot be taken back leaves half a line in mid-file as soon as anything is added.
            self.broken = self.take_back().is_err();
            return Err(e.into());
        }
        self.end = self.len();
        self.buffer.clear();
        Ok(())
    }

    /// Brings the file to the disk.  After a failure it is not used again in this run: the lines may be lost though
    /// they read back, and no second sync would tell.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Broken`].
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        if self.synced {
            return Ok(());
        }
        if let Err(e) = durable::sync(&self.file, &self.path) {
            self.broken = true;
            return Err(e.into());
        }
        self.synced = true;
        self.synced_octets = self.end;
        Ok(())
    }

    /// How much of the file this run has synced; `None` when nothing.
    pub(super) fn extent(&self) -> Option<Extent> {
        (self.synced_octets > 0).then_some(Extent { generation: self.generation, octets: self.synced_octets })
    }

    /// How often the file was rewritten.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes these lines, behind everything held back, syncs them, and only then enters them in `index`; before, makes
    /// sure that `outcomes` more octets will find room.
    ///
    /// # Errors
    /// Nothing is entered then.  The second value says whether the lines are certainly not on disk, nor ever will be.
    pub(super) fn commit(
        &mut self,
        index: &mut Index,
        lines: &[Line<'_>],
        outcomes: u64,
        (time, clock): (Time, Time),
    ) -> Result<(), (Error, bool)> {
        let unharmed = |e: Error| (e, true);
        // Into the room that was reserved for it.
        self.flush().map_err(unharmed)?;
        let mut octets = Vec::new();
        let mut offsets = Vec::with_capacity(lines.len() + 1);
        let header = self.header(time, clock, 0);
        for line in header.iter().chain(lines) {
            offsets.push(self.end.saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX)));
            line.write(&mut octets);
        }
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        durable::reserve(&self.file, &self.path, length.saturating_add(outcomes))
            .map_err(|e| unharmed(e.into()))?;
        if let Err(e) = durable::write(&self.file, &self.path, &octets) {
            // The disk may have seen some of these lines already.  Until it has seen them cut off, a power failure
            // could bring them back, and with them a name whose file is gone: "published, and moved by its reader".
            let cut = self.take_back().and_then(|()| durable::sync(&self.file, &self.path));
            self.broken = cut.is_err();
            return Err((e.into(), cut.is_ok()));
        }
        if let Err(e) = durable::sync(&self.file, &self.path) {
            self.broken = true;
            return Err((e.into(), false));
        }
        self.end = self.end.saturating_add(length);
        self.group += u64::from(header.is_some());
        self.synced = true;
        self.synced_octets = self.end;
        for (line, offset) in header.iter().chain(lines).zip(offsets) {
            if let Err(problem) = index.apply(line, offset) {
                self.broken = true;
                return Err((Error::Contradiction(problem), false));
            }
        }
        Ok(())
    }

    /// Reads the line at `offset`, which may be held back still, and has `read` make something of it.
    ///
    /// # Errors
    /// [`Error::Damaged`] when there is no such line, or `read` can't use it; [`Error::Disk`].
    pub(super) fn look_up<T>(
        &self,
        window: &mut Window,
        offset: u64,
        read: impl FnOnce(&Line<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let disk = |e| Error::Disk(durable::Error::new(Step::Read, &self.path, e));
        let line = if let Some(at) = offset.checked_sub(self.end) {
            let held = usize::try_from(at).ok().and_then(|at| self.buffer.get(at..)).unwrap_or_default();
            memchr::memchr(b'\n', held).and_then(|end| held.get(..end))
        } else {
            window.line(&self.file, offset).map_err(disk)?
        };
        match line.and_then(lines::checked).and_then(Line::parse).and_then(|line| read(&line)) {
            Some(value) => Ok(value),
            None => Err(Error::damaged(&self.path, self.number_of(offset), "has changed since it was read")),
        }
    }

    /// The number of the line at `offset`: for error messages, so never mind the cost.
    fn number_of(&self, offset: u64) -> u64 {
        let mut lines = Lines::new(&self.file);
        let mut number = 1;
        while lines.offset < offset && matches!(lines.next(), Ok(Next::Line(_))) {
            number += 1;
        }
        number
    }

    fn take_back(&self) -> Result<(), durable::Error> {
        durable::truncate(&self.file, &self.path, self.end)?;
        self.rewind()
    }

    fn rewind(&self) -> Result<(), durable::Error> {
        (&self.file)
            .seek(SeekFrom::Start(self.end))
            .map(drop)
            .map_err(|e| durable::Error::new(Step::Write, &self.path, e))
    }

    fn printable_path(&self) -> String {
        super::printable(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Journal, LOOK, Lines, Next, Replayed, Window, ends_in_order, later_group};
    use crate::ledger::Error;
    use crate::ledger::index::Index;
    use crate::ledger::lines::Line;
    use crate::types::Time;

    const STAMP: (Time, Time) = (Time(1), Time(1));

    /// Lines of many lengths, one of them longer than what is read at once.
    fn text() -> Vec<u8> {
        let mut text: Vec<u8> =
            (0..3000_u32).flat_map(|i| format!("{i} {}\n", "x".repeat(200)).into_bytes()).collect();
        text.extend(std::iter::repeat_n(b'y', 3 * CHUNK));
        text.extend(b"\nlast\nunended");
        text
    }

    #[test]
    fn lines_are_found_across_reads() {
        let text = text();
        let mut lines = Lines::new(text.as_slice());
        let mut window = Window::narrow();
        for expected in text.split_inclusive(|octet| *octet == b'\n') {
            let offset = lines.offset;
            match (lines.next().unwrap(), expected.strip_suffix(b"\n")) {
                (Next::Line(line), Some(expected)) => {
                    assert_eq!(line, expected);
                    assert_eq!(window.line(text.as_slice(), offset).unwrap(), Some(expected));
                }
                (Next::Unended(rest), None) => {
                    assert_eq!(rest, b"unended");
                    assert_eq!(window.line(text.as_slice(), offset).unwrap(), None);
                }
                _ => panic!("at {offset}"),
            }
        }
    }

    #[test]
    fn a_later_group_is_found_wherever_it_stands() {
        let mut header = Vec::new();
        Line::Group { number: 7, time: Time(1), clock: Time(1), count: 0 }.write(&mut header);
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
    fn an_end_in_order_is_told_by_the_last_lines() {
        let lines = |lines: &[Line<'_>]| {
            let mut octets = Vec::new();
            lines.iter().for_each(|line| line.write(&mut octets));
            octets
        };
        let ends = |octets: &[u8]| ends_in_order(octets, u64::try_from(octets.len()).unwrap()).unwrap();
        let first = || Line::Group { number: 1, time: Time(1), clock: Time(1), count: 0 };
        let listing = || Line::Listing { time: Time(1), clock: Time(1) };
        let matters = || Line::Delivered { intent: 1, time: Time(1) };
        let polls = |n: u64| lines(&vec![listing(); usize::try_from(n).unwrap()]);
        assert!(ends(&lines(&[first(), matters(), Line::End])));
        assert!(ends(&lines(&[first(), Line::End, listing(), first()])));
        for bad in [&[][..], &[first()], &[first(), Line::End, matters()], &[first(), Line::New, listing()]] {
            assert!(!ends(&lines(bad)), "{bad:?}");
        }
        // However far behind, within what is looked at; and no word of it when a line is torn or rotten.
        let end = lines(&[first(), Line::End]);
        for (n, found) in [(50, true), (1000, true), (LOOK / 20, false)] {
            let whole = [end.as_slice(), &polls(n)].concat();
            assert_eq!(ends(&whole), found, "{n}");
            assert!(!ends(&whole[..whole.len() - 1]), "{n}");
            let mut rotten = whole.clone();
            *rotten.iter_mut().rev().nth(40).unwrap() ^= 1;
            assert!(!ends(&rotten), "{n}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_put_right_is_given_up() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger");
        std::fs::write(&path, "").unwrap();
        let replayed = Replayed::nothing();
        // Neither written to nor cut back.
        let open = || Journal::resume(std::fs::File::open(&path).unwrap(), &path, &replayed).unwrap();
        let mut index = Index::new(&[0; 32]);
        let mut journal = open();
        journal.append(&mut index, &Line::End, STAMP).unwrap();
        assert!(matches!(journal.flush(), Err(Error::Disk(_))));
        for refused in [journal.flush(), journal.sync(), journal.append(&mut index, &Line::End, STAMP)] {
            assert!(matches!(refused, Err(Error::Broken { .. })));
        }
        // No room could be reserved: nothing was written, so the pieces may be withdrawn.
        assert!(matches!(open().commit(&mut index, &[Line::New], 1, STAMP), Err((Error::Disk(_), true))));
        assert!(!index.working);
    }
}
