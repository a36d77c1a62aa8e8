//! What became of a batch that a run left behind: looked up in the mbox itself, under its locks.
//!
//! Nothing is ever appended here.  No `DELE` was sent for an open intent, so that what isn't found simply comes again.
//!
//! Each open intent is, in this order:
//! 1. delivered, if it stands whole at its place;
//! 2. cut off, and to come again with those behind it.  That is so if nothing stands from its place to the file's end
//!    but a beginning of what the spool holds (then perhaps NULs, which file systems leave when the machine dies).
//!    If there's anything else, nothing is cut: the next append closes the part with an empty line;
//! 3. delivered, if it stands whole elsewhere, which is so when a reader has rewritten the mbox: its entries are compared
//!    with the spool's, leaving out what readers change;
//! 4. delivered, if the spool records that the whole batch had been appended, the machine hasn't been started since,
//!    and the intent is less than a day old.  It was there, and a reader has taken it away (moved the file, or the
//!    message);
//! 5. to come again.
//!
//! Rule 4 never holds for what was not appended whole, nor for what rule 2 cuts off, so it cannot lose a message.  It
//! doesn't hold after a power failure, if the run died inside the append, or after more than a day.  What a reader
//! took away between the crash and this run is then delivered twice.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use memchr::memmem;

use super::batch::{PREFIX, is_appended};
use super::boot;
use super::format::EntryFingerprint;
use super::from_line::FROM;
use super::locks::{LockWait, LockedMbox, PATIENCE, resolve};
use crate::access::{self, Owner};
use crate::delivery::{Error, Recovered, Settler, Unsettled};
use crate::durable::{self, Step, read_up_to};
use crate::message::Digest;
use crate::place::{NotedPlace, Place};
use crate::proof::{Intent, IntentId, Piece};
use crate::signals::Stop;
use crate::text;
use crate::types::{Time, wide};

/// Octets that are read at a time.
const CHUNK: usize = 128 * 1024;

/// So long (in seconds) a message that is gone counts as taken by its reader.
const DAY: i64 = 24 * 60 * 60;

/// Settles the open intents of one ledger at one mbox, whose spools are in `state`, that ledger's directory.
///
/// # Errors
/// [`Error::Later`] when the mbox is locked, or its directory isn't there: then nothing is concluded.
pub(crate) fn recover(
    unsettled: &Unsettled,
    state: &Path,
    settler: &mut dyn Settler,
    now: Time,
    owner: Option<&Owner>,
    stop: &Stop,
) -> Result<Recovered, Error> {
    if unsettled.intents.is_empty() {
        return Ok(Recovered::default());
    }
    let path = Path::new(std::ffi::OsStr::from_bytes(&unsettled.destination.name.address));
    let acting = access::act(owner)?;
    let path = resolve(path).map_err(|e| {
        let path = text::path(path);
        Error::later(
            format!("mbox {path} is out of reach ({e}), and deliveries to it are unsettled"),
            "is its directory mounted?  Bring it back, and run again",
        )
    })?;
    drop(acting);
    let mut locked = LockedMbox::take(&path, owner, false, &mut LockWait::new(stop, PATIENCE))?.locked;
    let search = match EntrySearch::of(locked.as_ref(), &unsettled.intents, state, now) {
        Ok(search) => search,
        Err(e) => {
            // There may be a torn tail still.
            locked.iter_mut().for_each(LockedMbox::keep_dotlock);
            return Err(e);
        }
    };
    let EntrySearch { mbox, whole, found, taken, again, .. } = search;
    // A run that was killed leaves its work in the page cache only.
    if let Some(mbox) = mbox
        && !(whole.is_empty() && found.is_empty())
    {
        durable::sync(mbox.file(), mbox.path())?;
    }
    if !taken.is_empty() {
        let _acting = access::act(owner)?;
        sync_elsewhere(durable::parent_of(&path))?;
    }
    let delivered: Vec<IntentId> = whole.iter().map(|(_, id)| *id).chain(found).chain(taken).collect();
    if !delivered.is_empty() {
        settler.delivered(&delivered)?;
        settler.sync()?;
    }
    if !again.is_empty() {
        settler.dropped(&again)?;
    }
    Ok(Recovered { delivered: delivered.len(), again: again.len() })
}

/// A reader may have moved the whole file, of which only its file system still knows.
#[cfg(target_os = "linux")]
fn sync_elsewhere(directory: &Path) -> Result<(), Error> {
    Ok(durable::sync_file_system(&durable::open_to_read(directory)?, directory)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_elsewhere(_: &Path) -> Result<(), Error> {
    Ok(())
}

/// An open intent at an mbox.
#[derive(Clone, Copy)]
struct OpenEntry<'a> {
    intent: &'a Intent,
    offset: u64,
    spool: &'a str,
    spool_offset: u64,
}

/// The intents of each spool, in the order in which they were appended.
fn batches(intents: &[Intent]) -> Vec<Vec<OpenEntry<'_>>> {
    let mut batches: Vec<Vec<OpenEntry<'_>>> = Vec::new();
    for intent in intents {
        let NotedPlace::Mbox { offset, spool, spool_offset } = &intent.place else { continue };
        let open = OpenEntry { intent, offset: *offset, spool, spool_offset: *spool_offset };
        match batches.iter_mut().find(|batch| batch.first().is_some_and(|first| first.spool == spool)) {
            Some(batch) => batch.push(open),
            None => batches.push(vec![open]),
        }
    }
    for batch in &mut batches {
        batch.sort_by_key(|open| open.offset);
    }
    batches
}

/// A stretch of a file: one entry, in a spool or in the mbox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    pub(super) offset: u64,
    pub(super) octets: u64,
}

impl<'a> Stretch<'a> {
    /// Where a piece waits, if that is in a spool of an mbox.
    pub(super) fn of(piece: &'a Piece) -> Option<Self> {
        match &piece.place {
            Place::Mbox { spool, spool_offset, .. } => Some(Self {
                file: &spool.file,
                path: &spool.path,
                offset: *spool_offset,
                octets: piece.octets,
            }),
            Place::Maildir { .. } | Place::Spooled(_) => None,
        }
    }

    /// Both as one, if the other one follows it in its file.
    pub(super) fn joined(self, next: Stretch<'_>) -> Option<Self> {
        let follows =
            std::ptr::eq(self.file, next.file) && self.offset.checked_add(self.octets) == Some(next.offset);
        follows.then(|| Self { octets: self.octets.saturating_add(next.octets), ..self })
    }
}

/// What is not at its place.
struct Wanted {
    id: IntentId,
    /// By the spool, as it is known again after a reader has rewritten the mbox.
    fingerprint: Option<Digest>,
    stored: Digest,
    taken: bool,
}

#[derive(Default)]
struct EntrySearch<'a> {
    mbox: Option<&'a LockedMbox>,
    /// At their place, which is given.
    whole: Vec<(u64, IntentId)>,
    wanted: Vec<Wanted>,
    found: Vec<IntentId>,
    taken: Vec<IntentId>,
    again: Vec<IntentId>,
}

impl<'a> EntrySearch<'a> {
    fn of(mbox: Option<&'a LockedMbox>, intents: &[Intent], state: &Path, now: Time) -> Result<Self, Error> {
        let mut search = Self { mbox, ..Self::default() };
        for batch in batches(intents) {
            search.batch(&batch, state, now)?;
        }
        search.everywhere()?;
        Ok(search)
    }

    /// Looks at the places of one batch, and cuts a torn tail off.
    fn batch(&mut self, batch: &[OpenEntry<'_>], state: &Path, now: Time) -> Result<(), Error> {
        let spool = batch.first().map(|first| first.spool).unwrap_or_default();
        let path = state.join(spool);
        // A spool's name has no slash in it, whatever the ledger holds.
        let known = spool.starts_with(PREFIX) && !spool.contains('/');
        let spool = match durable::open_plain_file(&path) {
            Ok(file) => Some(file),
            Err(e) if e.source.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e.into()),
        }
        .filter(|_| known);
        let appended = spool.as_ref().is_some_and(|spool| is_appended(spool, boot::id()));
        let mut missing = Vec::new();
        for open in batch {
            let digest = match self.mbox {
                Some(mbox) => digest_at(mbox.file(), mbox.path(), open.offset, open.intent.octets)?,
                None => None,
            };
            if digest == Some(open.intent.digest) {
                self.whole.push((open.offset, open.intent.id));
            } else {
                missing.push(*open);
            }
        }
        let was_cut = match (self.mbox, &spool, missing.first()) {
            (Some(mbox), Some(spool), Some(first)) if mbox.size()? > first.offset => {
                cut_torn(mbox, spool, &path, first)?
            }
            _ => false,
        };
        for open in missing {
            let fingerprint = match &spool {
                Some(spool) => fingerprint_at(spool, &path, open)?,
                None => None,
            };
            let age = now.seconds_since(open.intent.since);
            // Whatever cut the file short after all had been appended, no reader has taken what was cut off.
            let taken = appended && !was_cut && (0..DAY).contains(&age);
            let Intent { id, digest, .. } = *open.intent;
            self.wanted.push(Wanted { id, fingerprint, stored: digest, taken });
        }
        Ok(())
    }

    /// Looks for what is not at its place in the whole mbox.
    fn everywhere(&mut self) -> Result<(), Error> {
        // How often each is there: equal entries in one batch are matched one for one.
        let mut there: HashMap<Digest, usize> = HashMap::new();
        if let Some(mbox) = self.mbox.filter(|_| !self.wanted.is_empty()) {
            let placed: HashSet<u64> = self.whole.iter().map(|(offset, _)| *offset).collect();
            entries(mbox.file(), mbox.path(), |entry| {
                if !placed.contains(&entry.offset) {
                    for digest in [entry.fingerprint, entry.stored] {
                        *there.entry(digest).or_default() += 1;
                    }
                }
            })?;
        }
        for wanted in std::mem::take(&mut self.wanted) {
            // Without its spool, only an entry that no reader has changed is known again.
            let count =
                there.get_mut(&wanted.fingerprint.unwrap_or(wanted.stored)).filter(|count| **count > 0);
            if let Some(count) = count {
                *count -= 1;
                self.found.push(wanted.id);
            } else if wanted.taken {
                self.taken.push(wanted.id);
            } else {
                self.again.push(wanted.id);
            }
        }
        Ok(())
    }
}

/// Cuts the mbox back to the place of `torn`, the first entry that isn't whole, if there's nothing there but the beginning
/// of it; whether it did.
fn cut_torn(mbox: &LockedMbox, spool: &File, path: &Path, torn: &OpenEntry<'_>) -> Result<bool, Error> {
    let from = torn.offset;
    let entry = Stretch { file: spool, path, offset: torn.spool_offset, octets: torn.intent.octets };
    if !is_torn(mbox.file(), mbox.path(), from, &[entry])? {
        return Ok(false);
    }
    // The two octets before an entry are line ends: the last entry's, or ours to separate it.  NULs there were never
    // anybody's.
    let mut before = [0; 2];
    let from = match from.checked_sub(2) {
        Some(at) if read_at(mbox.file(), mbox.path(), &mut before, at)? == 2 => {
            let nuls = before.iter().rev().take_while(|octet| **octet == 0).count();
            from.saturating_sub(u64::try_from(nuls).unwrap_or(0))
        }
        _ => from,
    };
    // First cut, then (by the caller) recorded: a cut that is repeated does no harm, a part that no line records stays.
    durable::truncate(mbox.file(), mbox.path(), from)?;
    durable::sync(mbox.file(), mbox.path())?;
    Ok(true)
}

/// Whether the file, from `from` to its end, is a beginning of these stretches of the spool, perhaps followed by NULs.
pub(super) fn is_torn(file: &File, path: &Path, from: u64, stretches: &[Stretch<'_>]) -> Result<bool, Error> {
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = from;
    'stretches: for stretch in stretches {
        let mut done = 0;
        while done < stretch.octets {
            let length = usize::try_from(stretch.octets - done).map_or(CHUNK, |left| left.min(CHUNK));
            let buffer = ours.get_mut(..length).unwrap_or_default();
            let read = read_at(stretch.file, stretch.path, buffer, stretch.offset.saturating_add(done))?;
            let expected = ours.get(..read).unwrap_or_default();
            let buffer = theirs.get_mut(..read).unwrap_or_default();
            let there = read_at(file, path, buffer, at)?;
            let found = theirs.get(..there).unwrap_or_default();
            let equal = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
            at = at.saturating_add(wide(equal));
            if equal < length {
                break 'stretches;
            }
            done = done.saturating_add(wide(equal));
        }
    }
    loop {
        let read = read_at(file, path, &mut theirs, at)?;
        if read == 0 {
            return Ok(true);
        }
        if theirs.get(..read).unwrap_or_default().iter().any(|octet| *octet != 0) {
            return Ok(false);
        }
        at = at.saturating_add(wide(read));
    }
}

fn read_at(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
    Ok(read_up_to(file, buffer, offset).map_err(|e| durable::Error::new(Step::Read, path, e))?)
}

/// Reads a stretch of a file to its end; whether all of it was there.
fn each_chunk(stretch: Stretch<'_>, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<bool, Error> {
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    while done < stretch.octets {
        let length = usize::try_from(stretch.octets - done).map_or(CHUNK, |left| left.min(CHUNK));
        let part = buffer.get_mut(..length).unwrap_or_default();
        let read = read_at(stretch.file, stretch.path, part, stretch.offset.saturating_add(done))?;
        take(buffer.get(..read).unwrap_or_default())?;
        done = done.saturating_add(wide(read));
        if read < length {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The digest of that many octets; `None` when the file has fewer.
fn digest_at(file: &File, path: &Path, offset: u64, octets: u64) -> Result<Option<Digest>, Error> {
    let mut hasher = blake3::Hasher::new();
    let whole = each_chunk(Stretch { file, path, offset, octets }, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    Ok(whole.then(|| Digest::from_hasher(&hasher)))
}

/// The fingerprint of an entry in the spool; `None` when the spool doesn't hold what the ledger records.
fn fingerprint_at(spool: &File, path: &Path, open: OpenEntry<'_>) -> Result<Option<Digest>, Error> {
    let mut fingerprint = EntryFingerprint::new();
    let mut hasher = blake3::Hasher::new();
    let stretch = Stretch { file: spool, path, offset: open.spool_offset, octets: open.intent.octets };
    let whole = each_chunk(stretch, |chunk| {
        hasher.update(chunk);
        fingerprint.feed(chunk)
    })?;
    let fingerprint = fingerprint.finish()?;
    Ok((whole && Digest::from_hasher(&hasher) == open.intent.digest).then_some(fingerprint))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct MboxEntry {
    offset: u64,
    fingerprint: Digest,
    stored: Digest,
}

/// Walks through an mbox: an entry begins at every line that begins with `From `.  (In an entry of ours there's no other
/// such line.  In those of other programs there may be; cut up wrongly, they are as little ours as before.)
fn entries(file: &File, path: &Path, mut each: impl FnMut(MboxEntry)) -> Result<(), Error> {
    let mut buffer = vec![0; CHUNK];
    let mut walk: Option<(u64, EntryFingerprint, blake3::Hasher)> = None;
    // Octets at the buffer's start that stand there already: the beginning of a line that may be a From_ line.
    let mut kept = 0;
    let mut base: u64 = 0;
    let mut line_start = true;
    loop {
        let free = buffer.get_mut(kept..).unwrap_or_default();
        let read = read_at(file, path, free, base.saturating_add(wide(kept)))?;
        let filled = buffer.get(..kept + read).unwrap_or_default();
        // What remains at the end of the buffer may be the start of a From_ line, unless the file ends too.
        let keep = if read == 0 { 0 } else { undecided(filled, line_start) };
        let judged = filled.get(..filled.len() - keep).unwrap_or_default();
        let mut start = 0;
        for hit in memmem::find_iter(judged, FROM) {
            let at_start = match hit.checked_sub(1) {
                None => line_start,
                Some(before) => judged.get(before) == Some(&b'\n'),
            };
            if at_start {
                feed(&mut walk, judged.get(start..hit).unwrap_or_default())?;
                finish(&mut walk, &mut each)?;
                let offset = base.saturating_add(wide(hit));
                walk = Some((offset, EntryFingerprint::new(), blake3::Hasher::new()));
                start = hit;
            }
        }
        feed(&mut walk, judged.get(start..).unwrap_or_default())?;
        if read == 0 {
            return finish(&mut walk, &mut each);
        }
        line_start = judged.last().map_or(line_start, |octet| *octet == b'\n');
        base = base.saturating_add(wide(judged.len()));
        let (from, to) = (judged.len(), filled.len());
        buffer.copy_within(from..to, 0);
        kept = keep;
    }
}

/// How many octets at the end are a line's start that could still become `From `.
fn undecided(filled: &[u8], line_start: bool) -> usize {
    (1..FROM.len())
        .rev()
        .find(|length| {
            let (before, end) =
                filled.split_at_checked(filled.len().wrapping_sub(*length)).unwrap_or((b"", b""));
            !end.is_empty()
                && FROM.starts_with(end)
                && before.last().map_or(line_start, |octet| *octet == b'\n')
        })
        .unwrap_or(0)
}

fn feed(walk: &mut Option<(u64, EntryFingerprint, blake3::Hasher)>, octets: &[u8]) -> Result<(), Error> {
    if let Some((_, fingerprint, hasher)) = walk {
        fingerprint.feed(octets)?;
        hasher.update(octets);
    }
    Ok(())
}

fn finish(
    walk: &mut Option<(u64, EntryFingerprint, blake3::Hasher)>,
    each: &mut impl FnMut(MboxEntry),
) -> Result<(), Error> {
    if let Some((offset, fingerprint, hasher)) = walk.take() {
        each(MboxEntry { offset, fingerprint: fingerprint.finish()?, stored: Digest::from_hasher(&hasher) });
    }
    Ok(())
}
