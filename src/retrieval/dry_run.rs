//! `--dry-run`: what a run would do, as far as listings and headers tell.

use std::collections::HashMap;

use super::compare::{self, Comparison, Search};
use super::configured::Configured;
use super::doubts;
use super::error::Error;
use super::login::log_in;
use super::marking;
use super::run::Run;
use super::survey::{Headers, decide, list, policy};
use crate::client::{Client, Transaction};
use crate::credentials;
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger};
use crate::message::Facts;
use crate::plan::{self, Decision, Maildrop, Policy, Who, Why};
use crate::proof::Key;
use crate::report::{Action, Cause, Event, Summary};
use crate::types::MessageNumber;

/// Shows what a run would do, and changes nothing: no lock, no recovery, no file.
pub(super) fn dry_run(run: &Run<'_>, summary: &mut Summary) -> Result<(), Error> {
    let mailbox = run.account.mailbox();
    let directory = ledger::directory(&run.context.state, &mailbox);
    Configured::of(run.account, run.context, &directory).allowed()?;
    let mut ledger = Ledger::read(&directory, &mailbox, run.now)?;
    match u64::try_from(ledger.intents().len()) {
        Ok(0) => {}
        open => {
            let open = crate::text::count(open.unwrap_or(u64::MAX), "delivery");
            run.warn(format!("a run was interrupted: the next one settles {open} first"));
        }
    }
    // What it learns is this run's alone.
    let mut memory = Memory::load(&directory);
    let secret = credentials::obtain(run.account, run.context.environment, &run.context.stop)?;
    let mut client = log_in(run, &mut memory, &secret, None)?;
    ledger.pretend();
    let policy = policy(run, &ledger, &client);
    let mut maildrop = list(run, &mut client, &ledger, &mut memory.habits)?;
    doubts::raise(run, &mut ledger, &mut memory.habits, &maildrop, &policy, &[])?;
    let mut decisions = decide(&mut client, &mut maildrop, &ledger, &policy, memory.sizes, None)?;
    if marking::is_first(run, &ledger) {
        for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
            if matches!(listed.who, Who::New(_)) {
                *decision = Decision::Leave(Why::Seen);
            }
        }
    }
    let mut comparison = Comparison::new(&maildrop, &decisions, &ledger, Search::OwnKey, policy.utf8)?;
    examine(&mut client, &maildrop, &policy, &mut comparison, &mut decisions)?;
    summary.listed = u64::try_from(maildrop.len()).unwrap_or(u64::MAX);
    let retired: HashMap<MessageNumber, Why> = plan::retire(&maildrop, &ledger, &policy, &|_| false)
        .into_iter()
        .map(|retired| (retired.number, retired.why))
        .collect();
    for (listed, decision) in maildrop.iter().zip(&decisions) {
        let (action, why) = match (decision, retired.get(&listed.number)) {
            (Decision::Retrieve(why), _) => (Action::Retrieve, *why),
            (Decision::Compare(why), _) => (Action::Compare, *why),
            (Decision::Identify, _) => (Action::Leave, Why::Seen),
            (Decision::Delete(why), _) | (Decision::Leave(_), Some(why)) => (Action::Delete, *why),
            (Decision::Leave(why), None) => (Action::Leave, *why),
        };
        let unique_id = match listed.who {
            Who::New(unique_id) => Some(client.shown(unique_id)),
            Who::Known(id) => match ledger.key(id)? {
                Key::UniqueId(unique_id) => Some(client.shown(unique_id.borrow())),
                Key::Header(_) => None,
            },
            Who::Nameless => None,
        };
        let cause = Cause { word: why.word(), text: why.text() };
        run.report(&Event::Intended {
            number: listed.number,
            unique_id,
            octets: listed.octets,
            action,
            why: cause,
        });
    }
    client.quit_without_answer()?;
    Ok(())
}

/// What headers settle of what is to be compared (`TOP n 0`), for `--dry-run`, which retrieves nothing.
fn examine(
    client: &mut Client<Transaction>,
    maildrop: &Maildrop,
    policy: &Policy,
    comparison: &mut Comparison,
    decisions: &mut [Decision],
) -> Result<(), Error> {
    let asked: Vec<(usize, MessageNumber, Why)> = maildrop
        .iter()
        .zip(decisions.iter())
        .enumerate()
        .filter_map(|(index, (listed, decision))| Some((index, listed.number, decision.compares()?)))
        .filter(|(_, _, why)| Comparison::asks_header(*why, policy.deletes_everything()))
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    let numbers: Vec<MessageNumber> = asked.iter().map(|(_, number, _)| *number).collect();
    let mut headers = Headers::default();
    headers.ask(client, &numbers)?;
    let headers: HashMap<MessageNumber, Facts> = headers.known.into_iter().collect();
    for (index, number, why) in asked {
        let (Some(facts), Some(listed)) = (headers.get(&number), maildrop.at(index)) else { continue };
        let Some(slot) = decisions.get_mut(index) else { continue };
        match comparison.by_header(&listed, why, facts, policy.deletes_everything()) {
            compare::Verdict::Another => *slot = Decision::Retrieve(why),
            compare::Verdict::Same(_) if matches!(slot, Decision::Compare(_)) => {
                *slot = Decision::Leave(Why::Known);
            }
            _ => {}
        }
    }
    Ok(())
}
