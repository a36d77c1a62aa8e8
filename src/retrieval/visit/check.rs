//! How much is new on a server, nothing fetched: a quick poll where it will do, else the listing.

use std::time::Duration;

use super::{Outlook, Sizes, Visit};
use crate::access;
use crate::account::Account;
use crate::clock;
use crate::ledger::lock::{Lock, LockStage, LockStatus};
use crate::ledger::memory::Memory;
use crate::report::ReportedError;
use crate::retrieval::error::Error;
use crate::retrieval::jobs::{Connections, each, guarded};
use crate::retrieval::login::agree_on_pipelining;
use crate::retrieval::quick;
use crate::retrieval::run::Run;
use crate::retrieval::{Context, Options};
use crate::types::{Octets, Time, wide};

/// What a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewMail {
    /// Messages that were never delivered, and that no run has failed with.
    pub new: u64,
    /// Their octets; `None` when not all are known.
    pub octets: Option<Octets>,
    /// Messages on the server.
    pub listed: u64,
    /// When the server was asked.
    pub asked: Time,
    /// Whether this is what the last run left, and the server wasn't asked now.
    pub remembered: bool,
}

/// Checks several accounts, several at a time; what was found comes in the accounts' order.  After a signal some are left
/// out.
#[must_use]
pub(crate) fn check_all<'a>(
    accounts: &'a [Account],
    options: &Options,
    max_age: Option<Duration>,
    context: &Context<'_>,
    connections: Connections,
) -> Vec<(&'a Account, Result<NewMail, ReportedError>)> {
    let one = |account: &Account| guarded("check", || check(account, options, max_age, context))?;
    let mut found = each(accounts, context, connections, &one);
    found.sort_by_key(|(account, _)| accounts.iter().position(|other| other.name == account.name));
    found
}

/// Checks one account.  What was found at most `max_age` ago is believed.
///
/// # Errors
/// As of a run that ends with the listing.
fn check(
    account: &Account,
    options: &Options,
    max_age: Option<Duration>,
    context: &Context<'_>,
) -> Result<NewMail, ReportedError> {
    let run = Run::new(account, options, context, clock::now());
    if let Some(found) = max_age.and_then(|max_age| remembered(&run, max_age)) {
        return Ok(found);
    }
    ask(&run).map_err(|e| run.failure(&e))
}

fn ask(run: &Run<'_>) -> Result<NewMail, Error> {
    let mut visit = Visit::begin(run)?;
    let question = quick::question(run, &visit.memory);
    let secret = visit.secret()?;
    let mut client = visit.log_in(&secret, question.unwrap_or_else(|| visit.listing(Sizes::IfLikely)))?;
    if question.is_some()
        && let Some(glance) = client.quick_poll()?
    {
        if let Some(listed) = quick::unchanged(&visit.memory, &glance) {
            client.leave();
            let octets = Some(Octets(0));
            return Ok(NewMail { new: 0, octets, listed, asked: run.now, remembered: false });
        }
        client.ask_listing()?;
        agree_on_pipelining(run, &visit.memory, &mut client);
    }
    let ledger = visit.ledger()?;
    let mut outlook = Outlook::of(&mut visit, &mut client, ledger)?;
    outlook.examine(&mut client)?;
    client.leave();
    let new = outlook.maildrop.iter().enumerate().filter(|(index, _)| outlook.is_new(*index));
    let (mut count, mut octets) = (0_u64, Some(Octets(0)));
    for (_, listed) in new {
        count = count.saturating_add(1);
        octets = octets.zip(listed.octets).map(|(sum, octets)| sum.plus(octets));
    }
    let listed = wide(outlook.maildrop.len());
    Ok(NewMail { new: count, octets, listed, asked: run.now, remembered: false })
}

/// What the last run left, if it has ended, took a listing, and is less than `max_age` ago.  No network, no lock, no ledger.
fn remembered(run: &Run<'_>, max_age: Duration) -> Option<NewMail> {
    access::check_path(&run.directory).ok()?;
    let LockStatus { last_run, stage } = Lock::look(&run.directory)?;
    let asked = last_run.filter(|_| stage == LockStage::Ended)?;
    let age = u64::try_from(run.now.seconds_since(asked)).ok()?;
    let last = Memory::load(&run.directory).last.filter(|last| last.error.is_none())?;
    (age < max_age.as_secs()).then_some(NewMail {
        new: last.postponed,
        octets: (last.postponed == 0).then_some(Octets(0)),
        listed: last.server?,
        asked,
        remembered: true,
    })
}
