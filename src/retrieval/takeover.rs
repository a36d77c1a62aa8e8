//! What another program has retrieved, taken over: compared with what the server lists, and recorded as delivered then, or as
//! seen.  Nothing is retrieved, and nothing deleted.
//!
//! The comparison guards against the wrong mailbox, or the wrong file.  It cannot show that a unique-id still names
//! the message that the program retrieved.  So an imported message is recognised by its header or content before any
//! policy deletes it ("Evidence"), like every other message.
//!
//! A mailbox in which popfetch has delivered mail may be imported into: what the ledger knows stays as it is, and only what
//! it doesn't know is added.  So to import twice is to import once.

#[cfg(test)]
mod tests;

use super::context::{Context, Options};
use super::error::Error;
use super::marking::{self, locked};
use super::run::Run;
use super::survey;
use crate::account::Account;
use crate::client::{Client, Transaction};
use crate::clock;
use crate::import::ForeignProgram;
use crate::import::matching::{self, Matched};
use crate::ledger::lock::{Lock, PATIENCE};
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger, UsersWord};
use crate::plan::{Listed, Maildrop};
use crate::report::ReportedError;
use crate::types::{Time, UniqueIdBuf, Wait};

/// What a program remembers of an account's mailbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memories<'a> {
    pub program: ForeignProgram,
    /// Unique-ids, and when their messages were retrieved, if the program knows.
    pub seen: &'a [(UniqueIdBuf, Option<Time>)],
    /// Whether they were delivered; else they were only seen, and no policy deletes them.
    pub delivered: bool,
}

/// What the server has of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Messages that the program has retrieved.
    pub seen: usize,
    /// How many of them are on the server.
    pub on_server: usize,
    /// How many others are there, which the next run retrieves.
    pub new: usize,
    /// How many of those fit a line that fits others too.
    pub ambiguous: usize,
    /// How many were recorded; the others were known before.  0 where nothing was to be.
    pub recorded: usize,
    /// Whether the server was asked.
    pub asked: bool,
}

/// Logs in and compares; nothing is recorded.  Waits a little for a run that holds the mailbox.
///
/// # Errors
/// As for a run; [`Error::NothingMatches`], [`Error::NoUniqueIds`].
pub(crate) fn compare(
    account: &Account,
    context: &Context<'_>,
    memories: Memories<'_>,
) -> Result<Taken, ReportedError> {
    act(account, context, |run| {
        let ledger = Ledger::read(&run.directory, &run.account.mailbox(), run.now)?;
        let mut memory = Memory::load(&run.directory);
        let mut client = marking::connect(run, &mut memory)?;
        let (taken, ..) = look(run, memories, &mut client, &ledger, &mut memory)?;
        client.leave();
        Ok(taken)
    })
}

/// Logs in, compares, and records, all or nothing.  Waits a little for a run that holds the mailbox.
///
/// # Errors
/// As of [`compare`]; when the ledger cannot be written.
pub(crate) fn take_over(
    account: &Account,
    context: &Context<'_>,
    memories: Memories<'_>,
) -> Result<Taken, ReportedError> {
    act(account, context, |run| locked(run, |run, lock, memory| with_lock(run, lock, memory, memories)))
}

/// Records without having asked the server: for one that is out of reach now.
///
/// # Errors
/// The lock; the ledger; [`Error::OnlyNumbers`].
pub(crate) fn take_unseen(
    account: &Account,
    context: &Context<'_>,
    memories: Memories<'_>,
) -> Result<Taken, ReportedError> {
    act(account, context, |run| {
        if matching::are_numbers(memories.seen) {
            return Err(Error::OnlyNumbers { program: memories.program.name() });
        }
        locked(run, |run, lock, memory| {
            let mut ledger = run.open_ledger(lock)?;
            let all = matching::either_way(memories.program, memories.seen);
            let recorded = ledger.import_whole(&words(run, memories, &all))?;
            memory.extent = ledger.close()?.or(memory.extent);
            Ok(Taken { seen: memories.seen.len(), recorded, ..Taken::default() })
        })
    })
}

fn act<'a>(
    account: &'a Account,
    context: &'a Context<'a>,
    work: impl FnOnce(&mut Run<'_>) -> Result<Taken, Error>,
) -> Result<Taken, ReportedError> {
    let options = Options { insist: true, wait: Wait::AtMost(PATIENCE), ..Options::default() };
    let mut run = Run::new(account, &options, context, clock::now());
    work(&mut run).map_err(|e| run.failure(&e))
}

fn with_lock(run: &Run<'_>, lock: Lock, memory: &mut Memory, memories: Memories<'_>) -> Result<Taken, Error> {
    let mut ledger = run.open_ledger(lock)?;
    let mut client = marking::connect(run, memory)?;
    let (taken, matched, maildrop) = look(run, memories, &mut client, &ledger, memory)?;
    let all = [matched.listed, matched.unlisted].concat();
    let recorded = ledger.import_whole(&words(run, memories, &all))?;
    let policy = survey::policy(run, &ledger, &client);
    marking::identify(run, client, ledger, (maildrop, policy), memory)?;
    Ok(Taken { recorded, ..taken })
}

/// Lists, and finds what the program has retrieved.
fn look(
    run: &Run<'_>,
    memories: Memories<'_>,
    client: &mut Client<Transaction>,
    ledger: &Ledger,
    memory: &mut Memory,
) -> Result<(Taken, Matched, Maildrop), Error> {
    let maildrop = survey::list(run, client, ledger, &mut memory.habits)?;
    if !memories.seen.is_empty() && !maildrop.is_empty() && !maildrop.has_unique_ids() {
        return Err(Error::NoUniqueIds { server: run.server() });
    }
    let named = |listed: Listed<'_>| listed.unique_id(ledger).transpose();
    let listing = maildrop.iter().filter_map(named).collect::<Result<Vec<UniqueIdBuf>, ledger::Error>>()?;
    let matched = matching::compare(memories.program, memories.seen, &listing);
    // An empty maildrop contradicts nothing.
    if matched.listed.is_empty() && !memories.seen.is_empty() && !maildrop.is_empty() {
        return Err(Error::NothingMatches {
            server: run.server(),
            program: memories.program.name(),
            seen: memories.seen.len(),
            listed: maildrop.len(),
        });
    }
    let taken = Taken {
        seen: memories.seen.len(),
        on_server: matched.listed.len(),
        new: maildrop.len().saturating_sub(matched.listed.len()),
        ambiguous: matched.ambiguous,
        recorded: 0,
        asked: true,
    };
    Ok((taken, matched, maildrop))
}

/// What the ledger records: the program's own times; without one, the delivery counts from now.
fn words(
    run: &Run<'_>,
    memories: Memories<'_>,
    messages: &[(UniqueIdBuf, Option<Time>)],
) -> Vec<(UniqueIdBuf, UsersWord)> {
    let word = |time: &Option<Time>| match memories.delivered {
        true => UsersWord::Delivered(time.unwrap_or(run.now)),
        false => UsersWord::Seen,
    };
    messages.iter().map(|(unique_id, time)| (unique_id.clone(), word(time))).collect()
}
