//! Listed messages that are known by the user's word alone: which ones a selection means, whether they can be marked, and
//! what the first listing of an account with `first-run = "new-only"` counts as.

use super::error::Error;
use super::run::Run;
use crate::account::FirstRun;
use crate::ledger::Ledger;
use crate::plan::{Listed, Maildrop, Policy, Who};
use crate::types::{MessageNumber, Selection, wide};

/// The messages that are meant, ascending by number.
///
/// # Errors
/// [`Error::NoSuchMessage`]; when the ledger cannot be read.
pub(super) fn named(
    selection: &Selection,
    maildrop: &Maildrop,
    ledger: &Ledger,
) -> Result<Vec<MessageNumber>, Error> {
    let needed = selection.needs_unique_ids();
    let named = |listed: Listed<'_>| {
        let unique_id = if needed { listed.unique_id(ledger)? } else { None };
        Ok((listed.number, unique_id))
    };
    Ok(selection.resolve(maildrop.iter().map(named).collect::<Result<Vec<_>, Error>>()?)?)
}

/// Whether what is listed can be marked at all; `all` of it.
pub(super) fn check(run: &Run<'_>, maildrop: &Maildrop, policy: &Policy, all: bool) -> Result<(), Error> {
    if policy.window && all {
        return Err(Error::OnlyWindow { server: run.server() });
    }
    if !maildrop.is_empty() && !maildrop.has_unique_ids() {
        return Err(Error::NoUniqueIds { server: run.server() });
    }
    Ok(())
}

/// Gives messages their entries that the ledger has learnt of since the listing.
pub(super) fn adopt(maildrop: &mut Maildrop, ledger: &Ledger) {
    let new = maildrop.iter().filter_map(|listed| match listed.who {
        Who::New(unique_id) => Some((listed.number, ledger.find(unique_id)?)),
        Who::Known(_) | Who::Nameless => None,
    });
    for (number, id) in new.collect::<Vec<_>>() {
        maildrop.assign(number, id);
    }
}

/// Whether this listing is the first, and counts as seen.
pub(super) fn is_first(run: &Run<'_>, ledger: &Ledger) -> bool {
    run.account.first_run == FirstRun::NewOnly
        && !run.options.all
        && !run.options.retry
        && !ledger.has_begun()
}

/// Records the first listing, all of which counts as seen.
///
/// # Errors
/// [`Error::OnlyWindow`], [`Error::NoUniqueIds`]; when the ledger cannot be written.
pub(super) fn begin(
    run: &Run<'_>,
    maildrop: &mut Maildrop,
    ledger: &mut Ledger,
    policy: &Policy,
) -> Result<(), Error> {
    check(run, maildrop, policy, true)?;
    let named = |listed: Listed<'_>| listed.unique_id(ledger).transpose();
    let unique_ids = maildrop.iter().filter_map(named).collect::<Result<Vec<_>, _>>()?;
    ledger.begin_seen(&unique_ids)?;
    adopt(maildrop, ledger);
    if !unique_ids.is_empty() {
        let messages = wide(unique_ids.len());
        let messages = crate::text::count(messages, "message");
        run.warn(format!("{messages} that were there before count as seen (first-run = \"new-only\")"));
    }
    Ok(())
}
