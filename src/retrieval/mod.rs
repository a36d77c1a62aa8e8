//! One mailbox, end to end: lock, recover, connect, list, plan, retrieve and deliver, delete, settle.
//!
//! Recovery comes first and needs no network; only where the last run left nothing to recover, a quick poll may ask whether
//! there is anything to do at all.  Then one session (or, where a server shows only a window of the
//! maildrop, several); the ledger is the committer's while messages arrive, and comes back for the end of the session.

mod alerts;
mod by_word;
pub mod check;
mod committer;
mod compare;
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
mod visit;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use context::{Context, Options, Passwords};
pub use error::Error;
pub use marking::{Mark, Marked, MarkedMessage, mark_seen};
#[doc(hidden)]
pub use pipeline::simulation::fuzz_pipeline;
pub use release::{Offer, release};
pub use visit::by_hand;
pub use visit::{
    Ask, Better, Capabilities, CertificateInfo, Chosen, Deleted, Doomed, Expire, Extent, Found, KeepAlive,
    LoginInfo, Row, Rows, Server, ServerInfo, Taker, Which, check_all, delete, find_server, list, probe,
    server_info, show, try_login,
};

use crate::access;
use crate::account::{Account, OAuth, SyncMode};
use crate::client::{Client, Transaction};
use crate::clock;
use crate::credentials;
use crate::delivery;
use crate::ledger::lock::Lock;
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger};
use crate::oauth::TokenHolder;
use crate::problem::Problem as _;
use crate::report::{Event, ReportedError, RunSummary};
use crate::types::Time;
use alerts::{Alerts, Verdict};
use configured::surroundings;
use destinations::Destinations;
use hooks::Listener;
use run::Run;
use session::Held;
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
        hooks.on_new_mail.is_some().then(|| Arc::new(Listener::new(Arc::clone(&context.reporter))));
    let heard = listener.clone().map(|listener| Context { reporter: listener, ..context.clone() });
    let (summary, verdict) = one_run(account, options, heard.as_ref().unwrap_or(context));
    let delivered = listener.map_or_else(Vec::new, |listener| listener.lines());
    hooks::after(account, context, &summary, verdict, &delivered);
    summary
}

/// The run itself, between its hooks.
fn one_run(account: &Account, options: &Options, context: &Context<'_>) -> (RunSummary, Verdict) {
    let started = Instant::now();
    let mut run = Run::new(account, options, context, clock::now());
    let mut summary = RunSummary { dry_run: options.dry_run, ..RunSummary::default() };
    let (result, verdict) =
        if let Err(e) = access::check_path(&ledger::directory(&context.state, &account.mailbox())) {
            // A user who can change its content could name other users' files there, and popfetch would remove them.
            (Err(e.into()), Verdict::failed())
        } else if options.dry_run {
            (dry_run::dry_run(&run, &mut summary), Verdict::failed())
        } else {
            mailbox(&mut run, &mut summary)
        };
    if let Err(e) = result {
        summary.failure = Some(ReportedError::of(&e.at(&run.server()), verdict.news));
    }
    summary.elapsed = started.elapsed();
    run.report(&Event::Finished(summary.clone()));
    (summary, verdict)
}

/// How the run ended, and what of it is news.
fn mailbox(run: &mut Run<'_>, summary: &mut RunSummary) -> (Result<(), Error>, Verdict) {
    let mailbox = run.account.mailbox();
    let directory = ledger::directory(&run.context.state, &mailbox);
    let lock = match Lock::acquire(&directory, run.options.wait, &run.context.stop).map_err(Error::from) {
        Ok(lock) => lock,
        // A lock that another popfetch holds passes on its own; a state directory that can't be made doesn't.
        Err(e) => {
            let news = !e.is_transient() || Alerts::new(run).locked(&directory);
            return (Err(e), Verdict { news, failure: news, recovered: false });
        }
    };
    lock.begin_run();
    // It may have been waited for.
    run.now = clock::now();
    let run = &*run;
    let alerts = Alerts::new(run);
    let mut memory = Memory::load(&directory);
    Alerts::unlocked(&mut memory, &directory);
    let result = match alerts.check_pause(&memory) {
        // The memory is this run's until it has been written.
        Ok(()) => with_lock(run, summary, &directory, lock.clone(), &mut memory),
        paused => paused,
    };
    let verdict = alerts.judge(&mut memory, &result, summary);
    alerts.remember(&mut memory, &result, summary);
    if let Err(e) = memory.save(&directory) {
        // What it holds can be learnt again.
        run.detail(|| format!("what was learnt of the server was not kept: {e}"));
    }
    lock.end_run();
    (result, verdict)
}

fn with_lock(
    run: &Run<'_>,
    summary: &mut RunSummary,
    directory: &Path,
    lock: Lock,
    memory: &mut Memory,
) -> Result<(), Error> {
    if run.account.sync == SyncMode::Off {
        run.warn(
            "sync = \"off\": after a power failure mail that was deleted on the server may be missing here"
                .to_owned(),
        );
    }
    if let Some(question) = quick::question(run, memory, directory) {
        let secret = run.secret()?;
        let mut sessions = Sessions::new(run, summary, memory, &secret);
        let begun = match sessions.glance(question) {
            Ok(None) => return Ok(()),
            Ok(begun) => begun,
            Err(e) if sessions.goes_on_after(&e) => None,
            Err(e) => return Err(e),
        };
        let held = open(run, sessions.summary, directory, lock, sessions.memory)?;
        return finish(sessions, held, begun, directory);
    }
    let held = open(run, summary, directory, lock, memory)?;
    let secret = run.secret()?;
    finish(Sessions::new(run, summary, memory, &secret), held, None, directory)
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
    mut held: Held,
    begun: Option<Client<Transaction>>,
    directory: &Path,
) -> Result<(), Error> {
    let result = sessions.all(&mut held, begun);
    if matches!(result, Err(Error::Bug)) {
        // The committer died in the midst of something: the next run begins with what is on disk.
        return result;
    }
    let closed = close_up(sessions.run, held.ledger, directory, sessions.memory);
    result.and(closed)
}

/// Opens the ledger, settles what a killed run has left, and opens the destinations.
fn open(
    run: &Run<'_>,
    summary: &mut RunSummary,
    directory: &Path,
    lock: Lock,
    memory: &mut Memory,
) -> Result<Held, Error> {
    Ledger::check_extent(directory, memory.extent)?;
    let mut ledger = Ledger::open(directory, &run.account.mailbox(), lock, run.now)?;
    for warning in ledger.warnings() {
        run.warn(warning.clone());
    }
    if !ledger.intents().is_empty() {
        run.report(&Event::Doing("putting an interrupted run right"));
    }
    recovery::recover(run, &mut ledger, directory, summary)?;
    correct_clock(run, &mut ledger, memory)?;
    let destinations = Destinations::open(run, &mut ledger, directory)?;
    Ok(Held { ledger, destinations })
}

/// In order, also after a line that broke: the next run then need not rewrite the ledger.
fn close_up(run: &Run<'_>, mut ledger: Ledger, directory: &Path, memory: &mut Memory) -> Result<(), Error> {
    // A spool has served only when what became of its messages is on disk.
    ledger.sync()?;
    let around = surroundings(run.account, run.context, directory);
    let cleaned = delivery::clean_up(around, ledger.id(), &ledger.intents());
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
