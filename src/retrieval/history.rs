//! What is remembered of past deliveries, and of messages that failed: read from the state, without a lock or a server.

use std::path::Path;

use super::deliveries::delivery;
use super::error::Error;
use crate::account::Account;
use crate::ledger::history::{self, Past};
use crate::ledger::memory::Memory;
use crate::ledger::{self, EntryState, Ledger};
use crate::message::summary::HeaderSummary;
use crate::proof::{EntryId, Key};
use crate::report::{ConditionKind, Delivery};
use crate::text;
use crate::types::{Octets, Time, wide};

/// A past delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// What was delivered, and where.
    pub delivery: Delivery,
    /// When.
    pub time: Time,
    /// What has become of it on the server; `None` where that isn't known.
    pub on_server: Option<OnServer>,
}

/// What has become of a message on the server, as far as the last runs saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnServer {
    /// It is there.
    Kept,
    /// popfetch deleted it, and the server has confirmed it.
    Deleted,
    /// The server doesn't list it any more, and popfetch has not deleted it.
    Gone,
}

impl OnServer {
    /// Its name, in tables and in `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Deleted => "deleted",
            Self::Gone => "gone",
        }
    }
}

/// A message that has failed, and waits on the server; or several of which no more is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// How many messages it stands for.
    pub messages: u64,
    /// Its unique-id, fit to print, if it has one.
    pub unique_id: Option<String>,
    /// Its size as listed.
    pub octets: Option<Octets>,
    /// How often it has failed; 0 where it isn't known to be its own failure: the server refused it, and others as well.
    pub failures: u16,
    /// When it is tried again; `None` at the next run.
    pub next_try: Option<Time>,
    /// Why, where that is known for all that this stands for.
    pub reason: Option<String>,
}

/// The last deliveries of an account's mailbox, the oldest first.
///
/// # Errors
/// A ledger that cannot be read.
pub fn remembered(account: &Account, state: &Path, now: Time) -> Result<Vec<Remembered>, Error> {
    let mailbox = account.mailbox();
    let directory = ledger::directory(state, &mailbox);
    let past = history::read(&directory);
    if past.is_empty() {
        return Ok(Vec::new());
    }
    let ledger = Ledger::read(&directory, &mailbox, now)?;
    let remembered = |past: Past| Remembered {
        delivery: delivery(&past, None, HeaderSummary::of_headline(&past.headline)),
        time: past.time,
        on_server: on_server(&ledger, &past),
    };
    Ok(past.into_iter().map(remembered).collect())
}

fn on_server(ledger: &Ledger, past: &Past) -> Option<OnServer> {
    let entry = ledger.entry(ledger.find(past.unique_id.as_ref()?.borrow())?);
    Some(match entry.state {
        EntryState::Deleted => OnServer::Deleted,
        _ if entry.absent => OnServer::Gone,
        _ => OnServer::Kept,
    })
}

/// The messages of an account's mailbox that have failed, the oldest first; at the end, as one, those which the last run
/// counts as failed and the ledger doesn't, because it isn't known whether each failed on its own.
///
/// # Errors
/// A ledger that cannot be read.
pub fn failing(account: &Account, state: &Path, now: Time) -> Result<Vec<Failing>, Error> {
    let mailbox = account.mailbox();
    let directory = ledger::directory(state, &mailbox);
    let ledger = Ledger::read(&directory, &mailbox, now)?;
    let mut found = Vec::new();
    for id in (0..ledger.len()).map(EntryId) {
        let entry = ledger.entry(id);
        // What a listing has lacked isn't there to be tried.
        if entry.failures == 0 || entry.state != EntryState::Open || entry.absent {
            continue;
        }
        let unique_id = match ledger.key(id)? {
            Key::UniqueId(unique_id) => Some(text::printable(unique_id.borrow().as_bytes())),
            Key::Header(_) => None,
        };
        let next_try = entry.retry_after.filter(|at| *at > now);
        let (octets, failures) = (entry.listed_size, entry.failures);
        found.push(Failing { messages: 1, unique_id, octets, failures, next_try, reason: None });
    }
    let known = wide(found.len());
    found.extend(not_blamed(&Memory::load(&directory), known));
    Ok(found)
}

/// Messages that the last run counts as failed, beyond those which the ledger has recorded.
fn not_blamed(memory: &Memory, known: u64) -> Option<Failing> {
    let lasting = memory.alerts.get(ConditionKind::MessagesFailed.word())?.lasting.as_ref()?;
    let messages = lasting.messages.checked_sub(known).filter(|messages| *messages > 0)?;
    // With others the reason may be that of theirs.
    let reason = lasting.reason.clone().filter(|_| known == 0);
    Some(Failing { messages, unique_id: None, octets: None, failures: 0, next_try: None, reason })
}
