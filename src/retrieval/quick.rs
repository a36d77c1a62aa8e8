//! The quick poll of a run: whether it asks for one before it lists, and what it leaves to the next one.  What a quick poll
//! is worth is the plan's to say ([`crate::plan::quick`]).

use super::alerts;
use super::run::Run;
use crate::account::{ListingMode, Retention};
use crate::client::{Prefetch, QuickPoll};
use crate::ledger::memory::{Memory, Quick};
use crate::ledger::{self, Ledger};
use crate::plan::Maildrop;
use crate::plan::quick::{self, unsettled};

/// Whether this run takes quick polls where it may.
pub(super) fn wanted(run: &Run<'_>) -> bool {
    run.account.listing == ListingMode::Auto && !run.options.all && !run.options.dry_run && !run.options.retry
}

/// What is to be asked before anything else, even before the ledger is read, if that may do.
pub(super) fn question(run: &Run<'_>, memory: &Memory) -> Option<Prefetch> {
    if !wanted(run) || (run.options.insist && alerts::messages_wait(memory)) {
        return None;
    }
    let every = run.account.full_listing_every;
    let last = quick::may_stand(memory.quick.as_ref()?, || configuration(run), run.now, every)?;
    let rests = Ledger::rests(&run.directory) && run.destinations().are_there();
    rests.then_some(Prefetch::QuickPoll { last })
}

/// Whether there will be something to do with whatever is listed: the last session left an empty maildrop, or something
/// undone.  Then the sizes, which are needed before anything is retrieved, had better travel with the listing.
pub(super) fn expects_mail(run: &Run<'_>, memory: &Memory) -> bool {
    wanted(run) && memory.quick.as_ref().is_some_and(|quick| quick.grows_at_end && quick.idle_under.is_none())
}

/// How many messages there are, if the maildrop is as it was left.
pub(super) fn unchanged(memory: &Memory, poll: &QuickPoll) -> Option<u64> {
    let QuickPoll { drop_listing, first, last } = poll;
    let (messages, _) = (*drop_listing)?;
    let quick = memory.quick.as_ref()?;
    quick::is_unchanged(quick, *drop_listing, first.as_ref(), last.as_ref()).then_some(u64::from(messages))
}

/// Under which configuration nothing was left to do: the command line of this run counts, too.
fn configuration(run: &Run<'_>) -> String {
    let digest = run.configuration();
    match run.options.retention {
        None => digest.to_owned(),
        Some(Retention::Keep) => format!("{digest} keep"),
        Some(Retention::Delete) => format!("{digest} delete"),
        Some(Retention::Limits(_)) => format!("{digest} limits"),
    }
}

/// After a full listing, before anything of it is retrieved: where it shows that quick polls were misled, there are no more.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn check(memory: &mut Memory, maildrop: &Maildrop, ledger: &Ledger) -> Result<(), ledger::Error> {
    if let Some(before) = &memory.quick
        && quick::was_misled(before, maildrop, ledger)?
    {
        memory.quick = Some(unsettled(false));
    }
    Ok(())
}

/// Whether a session that ended well can leave the next one anything to compare with.
pub(super) fn grows_at_end(memory: &Memory) -> bool {
    memory.quick.as_ref().is_none_or(|quick| quick.grows_at_end)
}

/// After a session that has ended well: what it leaves to be compared, if nothing is left to do.
pub(super) fn remember(run: &Run<'_>, memory: &mut Memory, settled: Option<Quick>) {
    memory.quick = Some(match settled {
        Some(quick) => Quick { idle_under: Some(configuration(run)), ..quick },
        None => unsettled(grows_at_end(memory)),
    });
}

/// After a session that did not end well.
pub(super) fn forget(memory: &mut Memory) {
    if let Some(quick) = &mut memory.quick {
        *quick = unsettled(quick.grows_at_end);
    }
}
