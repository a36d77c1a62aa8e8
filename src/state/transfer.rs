//! What is kept of a mailbox, taken elsewhere: to the directory of a mailbox with another name, or to another machine.
//!
//! # The exported form
//!
//! Lines of text, each field escaped as in the ledger, and the files between them as they are:
//!
//! ```text
//! popfetch-state 1
//! mailbox USER HOST PORT
//! file ledger OCTETS
//! …
//! file memory OCTETS
//! …
//! end DIGEST
//! ```
//!
//! A `mailbox` line and its files for each mailbox.  DIGEST is BLAKE3's of all before its line, in hexadecimal.  There is no
//! secret in it: the memory goes without what depends on the configuration.

use std::path::Path;

use super::Error;
use crate::account::{Account, Mailbox};
use crate::clock;
use crate::durable;
use crate::ledger::lock::Lock;
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger, Outline};
use crate::message::Digest;
use crate::signals::Stop;
use crate::text;
use crate::types::{parse_decimal, wide};

/// The first line of an exported file.
const HEADING: &str = "popfetch-state 1\n";
/// Files of a mailbox's directory that cannot be used elsewhere, or are written again there.
const STAYS: [&str; 7] = ["lock", "ledger", "ledger.new", "memory", "memory.new", "reports", "reports.new"];
/// Octets of another file at most that goes with its ledger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What became of a mailbox that was to be moved or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransferOutcome {
    Done,
    /// It had been before; what was left of that was finished.
    DoneBefore,
}

/// Has `account` go on with what is kept as `from`: the mailbox has got another name.  What is moved is on disk before the old
/// files are removed; whatever happens on the way, the same command finishes it.
///
/// # Errors
/// [`Error::Unfinished`]; [`Error::InTheWay`] where the account has retrieved mail under its new name; locks, ledgers.
pub(crate) fn adopt(
    account: &Account,
    state: &Path,
    from: &Mailbox,
    stop: &Stop,
) -> Result<(TransferOutcome, u32), Error> {
    let to = account.mailbox();
    let (old, new) = (ledger::directory(state, from), ledger::directory(state, &to));
    let old_lock = super::lock(&old, stop)?;
    let new_lock = super::lock(&new, stop)?;
    let mut memory = Memory::load(&old);
    let ledger = Ledger::open(&old, from, old_lock.clone(), clock::now())?;
    let outcome = match present(&new, &to)? {
        // The last attempt ended before the old one was removed.
        Some(outline) if outline.id == ledger.id() => TransferOutcome::DoneBefore,
        Some(outline) if outline.messages > 0 || outline.unfinished => {
            let directory = text::path(&new);
            return Err(Error::InTheWay {
                what: format!(
                    "mail has been retrieved under the new name: {} known",
                    text::count(u64::from(outline.messages), "message")
                ),
                hint: format!(
                    "to go on with what is kept as {from} instead, move that away first: mv '{directory}' \
                     '{directory}.old'"
                ),
            });
        }
        Some(_) | None => TransferOutcome::Done,
    };
    let messages = u32::try_from(ledger.entries().count()).unwrap_or(u32::MAX);
    if outcome == TransferOutcome::Done {
        let unfinished = ledger.unfinished().iter().filter(|message| !message.staged.is_empty()).count();
        if unfinished > 0 {
            let messages = wide(unfinished);
            return Err(Error::Unfinished { mailbox: from.to_string(), messages });
        }
        let extent = ledger.copy_to(&new, &to, &new_lock)?;
        // What was learnt of the server under its old name is learnt again.
        memory = Memory { last: memory.last, extent: Some(extent), ..Memory::default() };
        memory.save(&new)?;
    }
    drop(ledger);
    carry_others(&old, &new)?;
    remove_others(&old)?;
    Ledger::discard(&old, old_lock)?;
    Ok((outcome, messages))
}

/// What the ledger in a directory holds, if there is one.
fn present(directory: &Path, mailbox: &Mailbox) -> Result<Option<Outline>, Error> {
    match Ledger::octets(directory) {
        None | Some(0) => Ok(None),
        Some(_) => Ok(Some(Outline::of(&Ledger::text(directory)?, mailbox)?)),
    }
}

/// The other files of a mailbox's directory, which hold nothing that deliveries depend on.
fn others(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let files = entries
        .filter(|entry| entry.metadata().is_ok_and(|status| status.is_file() && status.len() <= LARGEST));
    let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !STAYS.contains(&name.as_str()) && !name.starts_with('.') && !name.ends_with(".new"));
    names.sort();
    names
}

fn carry_others(from: &Path, to: &Path) -> Result<(), Error> {
    for name in others(from) {
        let path = to.join(&name);
        if !path.exists() {
            put(&path, &read(&from.join(&name))?)?;
        }
    }
    Ok(())
}

fn remove_others(directory: &Path) -> Result<(), Error> {
    others(directory).iter().try_for_each(|name| Ok(durable::remove(&directory.join(name))?))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |e| durable::Error::new(durable::Step::Read, path, e);
    let file = durable::open_plain_file(path)?;
    let length = file.metadata().map_err(fail)?.len().min(LARGEST);
    let mut octets = vec![0; usize::try_from(length).unwrap_or(0)];
    let length = durable::read_up_to(&file, &mut octets, 0).map_err(fail)?;
    octets.truncate(length);
    Ok(octets)
}

/// Writes a file whole or not at all.
fn put(path: &Path, octets: &[u8]) -> Result<(), Error> {
    Ok(durable::put_unsynced(&path.with_extension("new"), path, octets)?)
}

/// What is kept of the accounts' mailboxes, in the exported form.
///
/// # Errors
/// [`Error::Unfinished`]; locks, ledgers.
pub(crate) fn export(accounts: &[Account], state: &Path, stop: &Stop) -> Result<(Vec<u8>, u32), Error> {
    let (mut out, mut mailboxes) = (HEADING.as_bytes().to_vec(), 0);
    for account in accounts {
        let mailbox = account.mailbox();
        let directory = ledger::directory(state, &mailbox);
        if Ledger::octets(&directory).is_none() {
            // One that is missing is no empty one: what is exported would not be all.
            Ledger::read(&directory, &mailbox, clock::now())?;
            continue;
        }
        let lock = super::lock(&directory, stop)?;
        let memory = Memory::load(&directory);
        let ledger = Ledger::open(&directory, &mailbox, lock.clone(), clock::now())?;
        let unfinished = ledger.unfinished().iter().filter(|message| !message.staged.is_empty()).count();
        if unfinished > 0 {
            let messages = wide(unfinished);
            return Err(Error::Unfinished { mailbox: mailbox.to_string(), messages });
        }
        drop(ledger);
        let field = |text: &str| text::field(text.as_bytes());
        let (user, host) = (field(&mailbox.user), field(&mailbox.host));
        out.extend_from_slice(format!("mailbox {user} {host} {}\n", mailbox.port).as_bytes());
        let mut file = |name: &str, octets: &[u8]| {
            out.extend_from_slice(format!("file {} {}\n", field(name), octets.len()).as_bytes());
            out.extend_from_slice(octets);
            out.push(b'\n');
        };
        file("ledger", &Ledger::text(&directory)?);
        file("memory", &memory.portable());
        for name in others(&directory) {
            file(&name, &read(&directory.join(&name))?);
        }
        drop(lock);
        mailboxes += 1;
    }
    let digest = text::hex(Digest::of(&out).as_bytes());
    out.extend_from_slice(format!("end {digest}\n").as_bytes());
    Ok((out, mailboxes))
}

/// A mailbox in the exported form.
#[derive(Debug)]
pub(crate) struct Exported<'a> {
    pub mailbox: Mailbox,
    pub outline: Outline,
    ledger: &'a [u8],
    memory: Memory,
    others: Vec<(String, &'a [u8])>,
}

/// Reads the exported form, all of it: its checksum, and each ledger.
///
/// # Errors
/// [`Error::NotExported`]; a ledger that is damaged, or was written by a newer popfetch.
pub(crate) fn read_exported(octets: &[u8]) -> Result<Vec<Exported<'_>>, Error> {
    let wrong = |what: &str| Error::NotExported { what: what.to_owned() };
    let body = octets
        .strip_prefix(HEADING.as_bytes())
        .ok_or_else(|| wrong("this is no file that popfetch state export has written"))?;
    let at = body.strip_suffix(b"\n").and_then(last_line).unwrap_or(0);
    let (files, end) = body.split_at_checked(at).unwrap_or((body, &[]));
    let digest = end.strip_prefix(b"end ").and_then(|end| end.strip_suffix(b"\n"));
    let whole = octets.get(..HEADING.len().saturating_add(at)).unwrap_or_default();
    if digest != Some(text::hex(Digest::of(whole).as_bytes()).as_bytes()) {
        return Err(wrong("the file does not match its checksum: its end is missing, or it was changed"));
    }
    let mut reader = ArchiveReader(files);
    let mut all = Vec::new();
    while !reader.0.is_empty() {
        all.push(
            reader
                .mailbox()
                .ok_or_else(|| wrong("the file holds something that this popfetch does not know"))??,
        );
    }
    Ok(all)
}

/// Where the last line of `body` begins.
fn last_line(body: &[u8]) -> Option<usize> {
    body.iter().rposition(|octet| *octet == b'\n').map(|at| at.saturating_add(1))
}

/// What is left to be read.
struct ArchiveReader<'a>(&'a [u8]);

impl<'a> ArchiveReader<'a> {
    /// A line of fields, the first of which is `word`; `None` when there is another one.
    fn line(&mut self, word: &str) -> Option<Vec<&'a [u8]>> {
        let end = self.0.iter().position(|octet| *octet == b'\n')?;
        let (line, rest) = self.0.split_at_checked(end)?;
        let mut fields: Vec<&[u8]> = line.split(|octet| *octet == b' ').collect();
        if fields.first() != Some(&word.as_bytes()) {
            return None;
        }
        fields.remove(0);
        self.0 = rest.get(1..)?;
        Some(fields)
    }

    fn file(&mut self) -> Option<(String, &'a [u8])> {
        let line = self.line("file")?;
        let [name, octets] = line.as_slice() else { return None };
        let octets = usize::try_from(parse_decimal(octets)?).ok()?;
        let (file, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest.strip_prefix(b"\n")?;
        Some((string(name)?, file))
    }

    /// A mailbox and its files; `None` for what no known version writes.
    fn mailbox(&mut self) -> Option<Result<Exported<'a>, Error>> {
        let line = self.line("mailbox")?;
        let [user, host, port] = line.as_slice() else { return None };
        let port = u16::try_from(parse_decimal(port)?).ok()?;
        let mailbox = Mailbox { user: string(user)?, host: string(host)?, port };
        let (mut ledger, mut memory, mut others) = (None, Memory::default(), Vec::new());
        while let Some((name, octets)) = self.file() {
            match name.as_str() {
                "ledger" => ledger = Some(octets),
                "memory" => memory = Memory::of_portable(octets),
                // Never outside of the mailbox's directory, nor in the place of what is ours alone.
                name if name.contains('/') || name.starts_with('.') || STAYS.contains(&name) => return None,
                _ => others.push((name, octets)),
            }
        }
        let ledger = ledger?;
        Some(Outline::of(ledger, &mailbox).map_err(Error::from).map(|outline| Exported {
            mailbox,
            outline,
            ledger,
            memory,
            others,
        }))
    }
}

fn string(field: &[u8]) -> Option<String> {
    String::from_utf8(text::from_field(field)?).ok()
}

impl Exported<'_> {
    /// Puts it in its place.  A crash on the way leaves what was there or this, whole.
    ///
    /// # Errors
    /// [`Error::InTheWay`] where what is there is another ledger, or has gone on since this one was written.
    pub(crate) fn restore(&self, state: &Path, stop: &Stop) -> Result<TransferOutcome, Error> {
        let directory = ledger::directory(state, &self.mailbox);
        let lock: Lock = super::lock(&directory, stop)?;
        let there = present(&directory, &self.mailbox)?;
        let is_there = there.as_ref() == Some(&self.outline);
        match there {
            Some(_) if is_there => {}
            Some(there) if there.id != self.outline.id && there.messages > 0 => {
                return Err(self.in_the_way(&directory, "another popfetch's work is kept here already"));
            }
            Some(there) if there.id == self.outline.id && !self.is_after(&there) => {
                return Err(
                    self.in_the_way(&directory, "what is kept here is newer than what the file holds")
                );
            }
            Some(_) | None => {}
        }
        if !is_there {
            let extent = Ledger::install(&directory, self.ledger, &self.outline, &lock)?;
            Memory { extent: Some(extent), ..self.memory.clone() }.save(&directory)?;
        }
        for (name, octets) in &self.others {
            let path = directory.join(name);
            // What the last attempt had no time for, but nothing that has gone on since.
            if !is_there || !path.exists() {
                put(&path, octets)?;
            }
        }
        Ok(if is_there { TransferOutcome::DoneBefore } else { TransferOutcome::Done })
    }

    /// Whether this one has gone on since `there` was written.
    fn is_after(&self, there: &Outline) -> bool {
        let place = |outline: &Outline| (outline.time, outline.generation);
        place(&self.outline) > place(there)
    }

    fn in_the_way(&self, directory: &Path, what: &str) -> Error {
        let directory = text::path(directory);
        Error::InTheWay {
            what: format!("{}: {what}", self.mailbox),
            hint: format!(
                "if it is not wanted any more, move it away first: mv '{directory}' '{directory}.old'"
            ),
        }
    }
}
