//! What another program has retrieved, taken over: compared with what the server lists, and recorded as delivered then, or as
//! seen.  Nothing is retrieved, and nothing deleted.
//!
//! The comparison guards against the wrong mailbox, or the wrong file.  It cannot show that a unique-id still stands for
//! the message that the program retrieved: an imported message is recognised by its header, or its content, before any
//! policy deletes it ("Evidence"), as every other is.
//!
//! A mailbox in which popfetch has delivered mail may be imported into: what the ledger knows stays as it is, and only what
//! it doesn't know is added.  So to import twice is to import once.

use std::path::Path;
use std::time::Duration;

use super::alerts::Alerts;
use super::context::{Context, Options};
use super::course::{Course, Scope};
use super::destinations::Destinations;
use super::error::Error;
use super::run::Run;
use super::session::{Held, Session};
use super::{by_word, marking};
use super::{quick, survey};
use crate::access;
use crate::account::Account;
use crate::client::{Client, Transaction};
use crate::clock;
use crate::import::Program;
use crate::import::matching::{self, Matched};
use crate::ledger::lock::Lock;
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger, Word};
use crate::plan::{Listed, Maildrop};
use crate::report::{Summary, Trouble};
use crate::types::{Octets, Time, UniqueIdBuf, Wait};

/// So long a run is waited for that holds the mailbox.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a program remembers of an account's mailbox.
#[derive(Debug, Clone, Copy)]
pub struct Memories<'a> {
    /// Whose they are.
    pub program: Program,
    /// Unique-ids, and when their messages were retrieved, if the program knows.
    pub seen: &'a [(UniqueIdBuf, Option<Time>)],
    /// Whether they were delivered; else they were only seen, and no policy deletes them.
    pub delivered: bool,
}

/// What the server has of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
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
pub fn compare(account: &Account, context: &Context<'_>, memories: Memories<'_>) -> Result<Taken, Trouble> {
    act(account, context, |run| {
        let mailbox = run.account.mailbox();
        let directory = ledger::directory(&run.context.state, &mailbox);
        let ledger = Ledger::read(&directory, &mailbox, run.now)?;
        let mut memory = Memory::load(&directory);
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
pub fn take_over(account: &Account, context: &Context<'_>, memories: Memories<'_>) -> Result<Taken, Trouble> {
    act(account, context, |run| locked(run, |run, lock, memory| with_lock(run, lock, memory, memories)))
}

/// Records without having asked the server: for one that is out of reach now.
///
/// # Errors
/// The lock; the ledger; [`Error::OnlyNumbers`].
pub fn take_unseen(
    account: &Account,
    context: &Context<'_>,
    memories: Memories<'_>,
) -> Result<Taken, Trouble> {
    act(account, context, |run| {
        if matching::are_numbers(memories.seen) {
            return Err(Error::OnlyNumbers { program: memories.program.name() });
        }
        locked(run, |run, (directory, lock), memory| {
            let mut ledger = open(run, directory, lock, memory)?;
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
) -> Result<Taken, Trouble> {
    let options = Options { insist: true, wait: Wait::AtMost(PATIENCE), ..Options::default() };
    let mut run = Run::new(account, &options, context, clock::now());
    work(&mut run).map_err(|e| Trouble::of(&e.at(&run.server()), true))
}

/// Does `work` while no other popfetch has the mailbox, and keeps what was learnt of the server.
fn locked(
    run: &mut Run<'_>,
    work: impl FnOnce(&Run<'_>, (&Path, Lock), &mut Memory) -> Result<Taken, Error>,
) -> Result<Taken, Error> {
    let directory = ledger::directory(&run.context.state, &run.account.mailbox());
    access::check_path(&directory)?;
    let lock = Lock::acquire(&directory, run.options.wait, &run.context.stop)?;
    // It may have been waited for.
    run.now = clock::now();
    let run = &*run;
    let mut memory = Memory::load(&directory);
    let taken = work(run, (&directory, lock), &mut memory);
    Alerts::new(run).note_login(&mut memory, taken.as_ref().err());
    // What was known of an idle maildrop no longer holds.
    quick::forget(&mut memory);
    if let Err(e) = memory.save(&directory) {
        run.detail(|| format!("what was learnt of the server was not kept: {e}"));
    }
    taken
}

fn open(run: &Run<'_>, directory: &Path, lock: Lock, memory: &Memory) -> Result<Ledger, Error> {
    Ledger::check_extent(directory, memory.extent)?;
    // What an interrupted run has left is for the next run to settle: no destination is needed here.
    let ledger = Ledger::open(directory, &run.account.mailbox(), lock, run.now)?;
    for warning in ledger.warnings() {
        run.warn(warning.clone());
    }
    Ok(ledger)
}

fn with_lock(
    run: &Run<'_>,
    (directory, lock): (&Path, Lock),
    memory: &mut Memory,
    memories: Memories<'_>,
) -> Result<Taken, Error> {
    let ledger = open(run, directory, lock, memory)?;
    let mut held = Held { ledger, destinations: Destinations::none() };
    let mut client = marking::connect(run, memory)?;
    let (taken, matched, mut maildrop) = look(run, memories, &mut client, &held.ledger, memory)?;
    let all = [matched.listed, matched.unlisted].concat();
    let recorded = held.ledger.import_whole(&words(run, memories, &all))?;
    by_word::adopt(&mut maildrop, &held.ledger);
    let policy = survey::policy(run, &held.ledger, &client);
    let (mut summary, mut course, mut octets) = (Summary::default(), Course::default(), (0, Octets(0)));
    let session = Session {
        run,
        summary: &mut summary,
        memory,
        scope: &Scope::Everything,
        taken: &mut octets,
        course: &mut course,
    };
    match session.identify(client, &mut held, maildrop, policy) {
        Err(Error::Bug) => return Err(Error::Bug),
        // They are recorded; how the server shows them is asked again.
        Err(e) => run.warn(format!("{e}: the next run asks for the rest of the headers")),
        Ok(()) => {}
    }
    if let Some(extent) = held.ledger.close()? {
        memory.extent = Some(extent);
    }
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
    let named = |listed: Listed<'_>| by_word::unique_id(&listed, ledger).transpose();
    let listing = maildrop.iter().filter_map(named).collect::<Result<Vec<UniqueIdBuf>, Error>>()?;
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

/// What the ledger is told: the program's own times; without one, the delivery counts from now.
fn words(
    run: &Run<'_>,
    memories: Memories<'_>,
    messages: &[(UniqueIdBuf, Option<Time>)],
) -> Vec<(UniqueIdBuf, Word)> {
    let word = |time: &Option<Time>| match memories.delivered {
        true => Word::Delivered(time.unwrap_or(run.now)),
        false => Word::Seen,
    };
    messages.iter().map(|(unique_id, time)| (unique_id.clone(), word(time))).collect()
}
