//! One mailbox, end to end: lock, recover, connect, list, plan, retrieve and deliver, delete, settle.
//!
//! Recovery comes first and needs no network; only where the last run left nothing to recover, a quick poll may ask whether
//! there is anything to do at all.  Then one session (or, where a server shows only a window of the
//! maildrop, several); the ledger is the committer's while messages arrive, and comes back for the end of the session.

mod alerts;
mod by_word;
pub mod check;
mod committer;
mod conditions;
mod configured;
mod context;
mod course;
mod deliveries;
mod destinations;
mod doubts;
mod dry_run;
mod error;
mod fetch;
pub mod history;
mod hooks;
pub mod jobs;
mod login;
mod marking;
mod passwords;
mod pipeline;
mod quick;
mod recovery;
mod release;
mod rounds;
mod run;
mod session;
mod sessions;
mod survey;
pub mod takeover;
#[cfg(test)]
mod trial;
mod visit;
mod window;

use std::sync::Arc;
use std::time::Instant;

pub use context::{Context, Options, Passwords};
pub use error::Error;
pub use marking::{Mark, Marked, MarkedMessage, mark_seen};
#[doc(hidden)]
pub use pipeline::simulation::fuzz_pipeline;
pub use release::{ReleaseOffer, release};
pub use visit::by_hand;
pub use visit::{
    AskUser, Better, Capabilities, CertificateInfo, Deleted, Doomed, Expire, KeepAlive, ListFilter,
    LoginInfo, MessageRow, MessageRows, NewMail, Server, ServerInfo, ShownMessage, ShownPart, Taker,
    check_all, delete, find_server, list, probe, server_info, show, try_login,
};

use crate::access;
use crate::account::{Account, OAuth, SyncMode};
use crate::client::{Client, Transaction};
use crate::clock;
use crate::credentials;
use crate::delivery;
use crate::ledger::Ledger;
use crate::ledger::lock::Lock;
use crate::ledger::memory::Memory;
use crate::oauth::TokenHolder;
use crate::problem::Problem as _;
use crate::report::{Event, RunSummary};
use crate::types::Time;
use alerts::{Alerts, RunNews};
use destinations::OpenDestinations;
use hooks::DeliveryListener;
use run::Run;
use session::Stores;
use sessions::Sessions;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Retrieves one account's mail, and reports how it went.
#[must_use]
pub fn retrieve(account: &Account, options: &Options, context: &Context<'_>) -> RunSummary {
    let hooks = &account.hooks;
    if options.dry_run || hooks.is_empty() {
        return one_run(account, options, context).0;
    }
    hooks::before(account, context);
    let listener =
        hooks.on_new_mail.is_some().then(|| Arc::new(DeliveryListener::new(Arc::clone(&context.reporter))));
    let heard = listener.clone().map(|listener| Context { reporter: listener, ..context.clone() });
    let (summary, verdict) = one_run(account, options, heard.as_ref().unwrap_or(context));
    let delivered = listener.map_or_else(Vec::new, |listener| listener.lines());
    hooks::after(account, context, &summary, verdict, &delivered);
    summary
}

/// The run itself, between its hooks.
fn one_run(account: &Account, options: &Options, context: &Context<'_>) -> (RunSummary, RunNews) {
    let started = Instant::now();
    let mut run = Run::new(account, options, context, clock::now());
    let mut summary = RunSummary { dry_run: options.dry_run, ..RunSummary::default() };
    let (result, verdict) = if let Err(e) = access::check_path(&run.directory) {
        // A user who can change its content could name other users' files there, and popfetch would remove them.
        (Err(e.into()), RunNews::failed())
    } else if options.dry_run {
        (dry_run::dry_run(&run, &mut summary), RunNews::failed())
    } else {
        mailbox(&mut run, &mut summary)
    };
    if let Err(e) = result {
        summary.failure = Some(run.failure(&e, verdict.news));
    }
    summary.elapsed = started.elapsed();
    run.report(&Event::Finished(summary.clone()));
    (summary, verdict)
}

/// How the run ended, and what of it is news.
fn mailbox(run: &mut Run<'_>, summary: &mut RunSummary) -> (Result<(), Error>, RunNews) {
    let lock = match Lock::acquire(&run.directory, run.options.wait, &run.context.stop).map_err(Error::from) {
        Ok(lock) => lock,
        // A lock that another popfetch holds passes on its own; a state directory that can't be made doesn't.
        Err(e) => {
            let news = !e.is_transient() || Alerts::new(run).locked();
            return (Err(e), RunNews { news, failure: news, recovered: false });
        }
    };
    lock.begin_run();
    // It may have been waited for.
    run.now = clock::now();
    let run = &*run;
    let alerts = Alerts::new(run);
    let mut memory = Memory::load(&run.directory);
    alerts.unlocked(&mut memory);
    let result = match alerts.check_pause(&memory) {
        // The memory is this run's until it has been written.
        Ok(()) => with_lock(run, summary, lock.clone(), &mut memory),
        paused => paused,
    };
    let verdict = alerts.judge(&mut memory, &result, summary);
    alerts.remember(&mut memory, &result, summary);
    run.keep(&memory);
    lock.end_run();
    (result, verdict)
}

fn with_lock(run: &Run<'_>, summary: &mut RunSummary, lock: Lock, memory: &mut Memory) -> Result<(), Error> {
    if run.account.sync == SyncMode::Off {
        run.warn(
            "sync = \"off\": after a power failure mail that was deleted on the server may be missing here"
                .to_owned(),
        );
    }
    if let Some(question) = quick::question(run, memory) {
        let secret = run.secret()?;
        let mut sessions = Sessions::new(run, summary, memory, &secret);
        let begun = match sessions.glance(question) {
            Ok(None) => return Ok(()),
            Ok(begun) => begun,
            Err(e) if sessions.goes_on_after(&e) => None,
            Err(e) => return Err(e),
        };
        let stores = open(run, sessions.summary, lock, sessions.memory)?;
        return finish(sessions, stores, begun);
    }
    let stores = open(run, summary, lock, memory)?;
    let secret = run.secret()?;
    finish(Sessions::new(run, summary, memory, &secret), stores, None)
}

/// Does `work` with all that is needed to get, renew or give up the tokens of `account`.
pub fn with_holder<T>(
    account: &Account,
    oauth: &OAuth,
    context: &Context<'_>,
    work: impl FnOnce(&TokenHolder<'_>) -> T,
) -> T {
    let options = Options::default();
    let run = Run::new(account, &options, context, clock::now());
    credentials::with_holder(account, oauth, &run.means(), work)
}

/// The time now, as RFC 3339 has it, by this machine's time zone.
#[must_use]
pub fn timestamp() -> String {
    clock::stamp(clock::now())
}

/// All sessions, the first of which may have begun, and the end of the ledger.
fn finish(
    mut sessions: Sessions<'_, '_>,
    mut stores: Stores,
    begun: Option<Client<Transaction>>,
) -> Result<(), Error> {
    let result = sessions.all(&mut stores, begun);
    if matches!(result, Err(Error::Bug)) {
        // The committer died in the midst of something: the next run begins with what is on disk.
        return result;
    }
    let closed = close_up(sessions.run, stores.ledger, sessions.memory);
    result.and(closed)
}

/// Opens the ledger, settles what a killed run has left, and opens the destinations.
fn open(run: &Run<'_>, summary: &mut RunSummary, lock: Lock, memory: &mut Memory) -> Result<Stores, Error> {
    let mut ledger = run.open_ledger(lock, memory)?;
    if !ledger.intents().is_empty() {
        run.report(&Event::Doing("putting an interrupted run right"));
    }
    recovery::recover(run, &mut ledger, summary)?;
    correct_clock(run, &mut ledger, memory)?;
    let destinations = OpenDestinations::open(run, &mut ledger)?;
    Ok(Stores { ledger, destinations })
}

/// In order, also after a connection that broke: the next run then need not rewrite the ledger.
fn close_up(run: &Run<'_>, mut ledger: Ledger, memory: &mut Memory) -> Result<(), Error> {
    ledger.sync()?;
    let cleaned = delivery::clean_up(run.surroundings(), ledger.id(), &ledger.intents());
    if let Some(extent) = ledger.close()? {
        memory.extent = Some(extent);
    }
    Ok(cleaned?)
}

/// A clock that ran ahead once has left times that lie in the future.  They are given up when two runs agree that they do,
/// at least an hour apart by a clock that went forward: one run alone may be the one whose clock is wrong.
fn correct_clock(run: &Run<'_>, ledger: &mut Ledger, memory: &mut Memory) -> Result<(), Error> {
    let (behind, gives_up) = had_run_ahead(ledger.ahead_of_clock(), memory.behind, run.now);
    memory.behind = behind;
    if gives_up {
        run.warn("the clock had run ahead: times in the future are read as today's".to_owned());
        ledger.correct_clock()?;
    }
    Ok(())
}

/// Since when runs have agreed that times lie in the future, and whether these are given up now.
fn had_run_ahead(seconds: i64, since: Option<Time>, now: Time) -> (Option<Time>, bool) {
    if seconds <= DAY {
        return (None, false);
    }
    match since.map(|since| now.seconds_since(since)) {
        Some(HOUR..) => (None, true),
        // Gone back again: it begins from here.
        None | Some(..0) => (Some(now), false),
        Some(_) => (since, false),
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, HOUR, had_run_ahead};
    use crate::types::Time;

    #[test]
    fn times_in_the_future_are_given_up_when_two_runs_agree() {
        let at = |seconds: i64| Some(Time(seconds));
        let now = Time(10_000);
        for (seconds, since, expected) in [
            (0, None, (None, false)),
            (DAY, at(1), (None, false)),
            (DAY + 1, None, (at(10_000), false)),
            (DAY + 1, at(10_000), (at(10_000), false)),
            (DAY + 1, at(10_001 - HOUR), (at(10_001 - HOUR), false)),
            (DAY + 1, at(10_000 - HOUR), (None, true)),
            (DAY + 1, at(10_001), (at(10_000), false)),
        ] {
            assert_eq!(had_run_ahead(seconds, since, now), expected, "{seconds}, {since:?}");
        }
    }
}
