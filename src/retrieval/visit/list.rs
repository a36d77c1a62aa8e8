//! The messages on a server, with what their headers say and what the next run would do with each.

use std::collections::HashMap;

use super::{Outlook, Sizes, Visit, cause};
use crate::account::Account;
use crate::client::{Client, Transaction};
use crate::clock;
use crate::ledger::EntryState;
use crate::ledger::shown::Shown;
use crate::message::summary::HeaderSummary;
use crate::plan::{self, Why};
use crate::report::{Action, Cause, ReportedError};
use crate::retrieval::error::Error;
use crate::retrieval::run::Run;
use crate::retrieval::survey;
use crate::retrieval::{Context, Options};
use crate::types::{MessageNumber, Octets, Time};

/// Which messages are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListFilter {
    All,
    /// Those that were never delivered, and that no run has failed with.
    New,
    /// Those that were delivered, printed or marked as seen.
    Seen,
    /// Those that a run has failed with.
    Failed,
}

/// A message on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageRow {
    /// Its number in this session.
    pub number: MessageNumber,
    /// Its unique-id, fit to print.
    pub unique_id: Option<String>,
    /// Its size as listed.
    pub octets: Option<Octets>,
    /// What its header holds; `None` where the server gives no header.  Not fit to print.
    pub summary: Option<HeaderSummary>,
    /// Whether it was never delivered, and no run has failed with it.
    pub is_new: bool,
    /// What the next run would do with it,
    pub action: Action,
    /// and why.
    pub why: Cause,
    /// Where it is retrieved, whether it is deleted at once.
    pub then_deleted: bool,
    /// Where it failed, and isn't tried yet, when it will be.
    pub retry_after: Option<Time>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageRows {
    /// The last of those that were asked for, ascending by number.
    pub rows: Vec<MessageRow>,
    /// How many there are of those that were asked for.
    pub matching: usize,
    /// Messages on the server.
    pub listed: usize,
}

/// Lists the last `most` messages of an account.  The headers come in one flight, where the server pipelines.
///
/// # Errors
/// As of a run that ends with the listing.
pub(crate) fn list(
    account: &Account,
    options: &Options,
    context: &Context<'_>,
    which: ListFilter,
    most: usize,
) -> Result<MessageRows, ReportedError> {
    let run = Run::new(account, options, context, clock::now());
    look(&run, which, most).map_err(|e| run.failure(&e))
}

fn look(run: &Run<'_>, which: ListFilter, most: usize) -> Result<MessageRows, Error> {
    let (mut visit, mut client, ledger) = Visit::open(run, Sizes::Wanted)?;
    let mut outlook = Outlook::of(&mut visit, &mut client, ledger)?;
    if which != ListFilter::All {
        outlook.examine(&mut client)?;
    }
    let matching: Vec<usize> =
        (0..outlook.maildrop.len()).filter(|index| is_wanted(&outlook, *index, which)).collect();
    let shown = matching.get(matching.len().saturating_sub(most)..).unwrap_or_default();
    let numbers: Vec<MessageNumber> =
        shown.iter().filter_map(|index| Some(outlook.maildrop.at(*index)?.number)).collect();
    let mut summaries = HashMap::new();
    let headers = survey::headers(&mut client, &numbers)?;
    for number in &numbers {
        let Some(facts) = headers.get(number) else { continue };
        outlook.settle(*number, facts);
        summaries.insert(*number, HeaderSummary::of_headline(&facts.headline));
    }
    let rows = shown.iter().filter_map(|index| row(&outlook, &client, *index, &mut summaries).transpose());
    let rows: Vec<MessageRow> = rows.collect::<Result<_, _>>()?;
    remember(&visit, &outlook, shown)?;
    client.leave();
    Ok(MessageRows { rows, matching: matching.len(), listed: outlook.maildrop.len() })
}

fn is_wanted(outlook: &Outlook, index: usize, which: ListFilter) -> bool {
    let entry =
        outlook.maildrop.at(index).and_then(|listed| listed.entry()).map(|id| outlook.ledger.entry(id));
    match which {
        ListFilter::All => true,
        ListFilter::New => outlook.is_new(index),
        ListFilter::Seen => {
            !outlook.is_new(index) && entry.is_none_or(|entry| entry.state != EntryState::Open)
        }
        ListFilter::Failed => entry.is_some_and(|entry| entry.failures > 0),
    }
}

fn row(
    outlook: &Outlook,
    client: &Client<Transaction>,
    index: usize,
    summaries: &mut HashMap<MessageNumber, HeaderSummary>,
) -> Result<Option<MessageRow>, Error> {
    let (Some(listed), Some((action, why))) = (outlook.maildrop.at(index), outlook.intention(index)) else {
        return Ok(None);
    };
    let unique_id = listed.unique_id(&outlook.ledger)?.map(|unique_id| client.shown(unique_id.borrow()));
    let waits = listed.entry().filter(|_| why == Why::BackingOff);
    let retry_after = waits.and_then(|id| outlook.ledger.entry(id).retry_after);
    Ok(Some(MessageRow {
        number: listed.number,
        unique_id,
        octets: listed.octets,
        summary: summaries.remove(&listed.number),
        is_new: outlook.is_new(index),
        action,
        why: cause(why),
        then_deleted: action == Action::Retrieve && plan::at_once(&outlook.policy, listed.octets).is_some(),
        retry_after,
    }))
}

/// Which message each number named.
fn remember(visit: &Visit<'_, '_>, outlook: &Outlook, shown: &[usize]) -> Result<(), Error> {
    let mut names = Shown::default();
    for listed in shown.iter().filter_map(|index| outlook.maildrop.at(*index)) {
        if let Some(unique_id) = listed.unique_id(&outlook.ledger)? {
            names.0.insert(listed.number, unique_id);
        }
    }
    if let Err(e) = names.save(&visit.run.directory) {
        visit.run.detail(|| format!("what was listed is not remembered: {e}"));
    }
    Ok(())
}
