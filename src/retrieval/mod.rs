//! One mailbox, end to end: lock, recover, connect, list, plan, retrieve and deliver, delete, settle.
//!
//! Recovery comes first and needs no network.  Where the last run left nothing to recover, a quick poll may ask whether
//! there is anything to do at all.  Then one session follows, or several where a server shows only a window of the maildrop.
//! The committer owns the ledger while messages arrive, and gives it back for the end of the session.

mod alerts;
mod by_word;
pub(crate) mod check;
mod committer;
mod conditions;
mod configured;
mod context;
mod course;
mod deliveries;
mod destinations;
mod doubts;
mod draws;
mod dry_run;
mod error;
mod fetch;
pub(crate) mod history;
mod hooks;
pub(crate) mod jobs;
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
pub(crate) mod takeover;
#[cfg(test)]
mod trial;
mod visit;
mod window;

use std::sync::Arc;
use std::time::Instant;

pub(crate) use context::{Context, Options, Passwords};
pub(crate) use error::Error;
pub(crate) use marking::{MarkOrder, Marked, mark_seen};
#[doc(hidden)]
pub use pipeline::simulation::fuzz_pipeline;
pub(crate) use release::{ReleaseOffer, release};
pub(crate) use visit::by_hand;
pub(crate) use visit::{
    Better, Capabilities, CertificateInfo, Deleted, Doomed, Expire, KeepAlive, ListFilter, LoginInfo,
    MessageRow, MessageRows, NewMail, Server, ServerInfo, ShownMessage, ShownPart, Taker, check_all, delete,
    find_server, list, probe, server_info, show, try_login,
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
use crate::report::{Event, ReportedError, RunSummary};
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
pub(crate) fn retrieve(account: &Account, options: &Options, context: &Context<'_>) -> RunSummary {
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
        summary.failure = Some(ReportedError { news: verdict.news, ..run.failure(&e) });
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
pub(crate) fn with_holder<T>(
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
pub(crate) fn timestamp() -> String {
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
    let mut ledger = run.open_ledger(lock)?;
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
    use super::{Account, DAY, HOUR, Lock, Memory, Options, Run, SyncMode, correct_clock, had_run_ahead};
    use crate::exit::ExitCode;
    use crate::ledger::{self, lock::LockStage};
    use crate::plan::trial::{NOW, World};
    use crate::retrieval::trial::{Home, Letter};
    use crate::types::{Time, Wait};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

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

    /// A single run may be the one whose clock is wrong: the second one, an hour later, gives such times up, and reports it.
    #[test]
    fn times_in_the_future_are_given_up_once() {
        let home = Home::holding(&[]);
        let (account, options, context) = (home.account(""), Options::default(), home.context());
        let run = |seconds| Run::new(&account, &options, &context, Time(NOW.0 + seconds));
        let mut world = World::new();
        world.ledger.tick(Time(NOW.0 + 3 * DAY));
        world.deliver("a");
        world.now();
        let mut memory = Memory::default();
        for (seconds, ahead, behind, warned) in [
            (0, 3 * DAY, Some(NOW), 0),
            (HOUR - 1, 3 * DAY, Some(NOW), 0),
            (HOUR, 0, None, 1),
            (HOUR + 1, 0, None, 1),
        ] {
            correct_clock(&run(seconds), &mut world.ledger, &mut memory).unwrap();
            assert_eq!((world.ledger.ahead_of_clock(), memory.behind), (ahead, behind), "{seconds}");
            let warnings =
                home.reported().iter().filter(|line| line.contains("the clock had run ahead")).count();
            assert_eq!(warnings, warned, "{seconds}");
        }
    }

    fn directory(home: &Home) -> PathBuf {
        ledger::directory(&home.context().state, &home.account("").mailbox())
    }

    /// Those who look from outside see by the lock that a run has ended in order, and by the memory how.
    #[test]
    fn a_run_leaves_how_it_ended() {
        let home = Home::holding(&[Letter::new("a", "a")]);
        home.run("");
        let status = Lock::look(&directory(&home)).unwrap();
        assert_eq!(status.stage, LockStage::Ended);
        assert!(status.last_run.is_some());
        let memory = Memory::load(&directory(&home));
        let last = memory.last.unwrap();
        assert_eq!(
            (last.exit, last.server, last.mail.map(|(_, messages)| messages)),
            (ExitCode::Done, Some(1), Some(1))
        );
        home.post().refused_before = vec![("PASS".to_owned(), "-ERR [AUTH] no".to_owned())];
        home.run("listing = \"full\"");
        let memory = Memory::load(&directory(&home));
        assert_eq!(memory.last.unwrap().exit, ExitCode::Refused);
        assert!(memory.pause.is_some(), "the next run doesn't try the same at once");
        assert_eq!(Lock::look(&directory(&home)).unwrap().stage, LockStage::Ended);
    }

    /// A refused login isn't tried again before its time, unless the user insists.
    #[test]
    fn a_refused_password_is_not_sent_at_every_run() {
        let home = Home::holding(&[Letter::new("a", "a")]);
        home.run("");
        home.post().refused_before = vec![("PASS".to_owned(), "-ERR [AUTH] no".to_owned())];
        home.run("");
        home.post().refused_before.clear();
        let summary = home.run("");
        assert_eq!(summary.exit(), ExitCode::Refused);
        assert!(summary.failure.unwrap().message.contains("not tried again before"));
        assert_eq!(home.sent().len(), 0);
        let insists = Options { insist: true, ..Options::default() };
        assert_eq!(home.run_as("", insists).exit(), ExitCode::Done);
        assert_eq!(home.run("").exit(), ExitCode::Done, "it works again");
    }

    /// A ledger that has become shorter than it was is damaged, not torn: to go on would deliver everything again.
    #[test]
    fn a_ledger_that_was_cut_off_ends_the_run() {
        let home = Home::holding(&[Letter::new("a", "a"), Letter::new("b", "b")]);
        home.run("");
        let path = directory(&home).join("ledger");
        let octets = std::fs::metadata(&path).unwrap().len();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(octets / 2).unwrap();
        drop(file);
        let summary = home.run("leave-on-server = false");
        assert_ne!(summary.exit(), ExitCode::Done);
        assert_eq!((home.sent().len(), home.left().len()), (0, 2), "{summary:?}");
        assert_eq!(home.delivered().values().sum::<usize>(), 2);
    }

    /// Another user could put names of other files there.
    #[test]
    fn a_state_directory_that_others_can_write_is_not_used() {
        let home = Home::holding(&[Letter::new("a", "a")]);
        home.run("");
        std::fs::set_permissions(directory(&home), std::fs::Permissions::from_mode(0o777)).unwrap();
        let summary = home.run("");
        assert_eq!(summary.exit(), ExitCode::Configuration, "{summary:?}");
        assert_eq!(home.sent().len(), 0);
    }

    /// Another popfetch has the mailbox: it is left to it, and that passes on its own.
    #[test]
    fn a_mailbox_that_another_run_has_is_left_to_it() {
        let home = Home::holding(&[Letter::new("a", "a")]);
        home.run("");
        home.post().letters.push(Letter::new("b", "b"));
        let lock = Lock::acquire(&directory(&home), Wait::NO, &home.stop).unwrap();
        let summary = home.run("alert-after = \"1h\"");
        let failure = summary.failure.as_ref().unwrap();
        assert_eq!((summary.exit(), failure.news), (ExitCode::Later, false));
        assert_eq!((home.sent().len(), home.delivered().len()), (0, 1));
        drop(lock);
        assert_eq!(home.run("").delivered, 1);
    }

    /// A user who switches syncing off hears in each run what that may cost.
    #[test]
    fn mail_that_is_not_synced_is_warned_of() {
        let home = Home::holding(&[]);
        let account = home.account("");
        assert_eq!(account.sync, SyncMode::Off);
        home.run("");
        let warns =
            |home: &Home| home.reported().iter().filter(|line| line.contains("sync = \"off\"")).count();
        assert_eq!(warns(&home), 1);
        let account = Account { sync: SyncMode::Each, ..account };
        home.take_reported();
        let summary = super::retrieve(&account, &home.options(), &home.context());
        assert_eq!((summary.exit(), warns(&home)), (ExitCode::Done, 0));
    }

    /// A poll that finds everything as it was left reads neither the listing nor the ledger.
    #[test]
    fn an_idle_poll_asks_for_the_ends_of_the_maildrop_only() {
        let home = Home::holding(&[Letter::new("a", "a"), Letter::new("b", "b")]);
        home.run("");
        let before = std::fs::read(directory(&home).join("ledger")).unwrap();
        let summary = home.run("");
        assert_eq!((summary.listed, summary.delivered), (2, 0));
        let asked = home.sent().concat();
        assert!(asked.contains(&"STAT".to_owned()) && !asked.contains(&"UIDL".to_owned()), "{asked:?}");
        assert_eq!(std::fs::read(directory(&home).join("ledger")).unwrap(), before);
        // What has come is seen by the count, and the session goes on with the listing.
        home.post().letters.push(Letter::new("c", "c"));
        assert_eq!(home.run("").delivered, 1);
        assert_eq!(home.sent().len(), 1, "in the same session");
    }
}
