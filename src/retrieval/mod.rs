//! One mailbox, end to end: lock, recover, connect, list, plan, retrieve and deliver, delete, settle.
//!
//! Recovery comes first and needs no network; only where the last run left nothing to recover, a quick poll may ask whether
//! there is anything to do at all.  Then one session (or, where a server shows only a window of the
//! maildrop, several); the ledger is the committer's while messages arrive, and comes back for the end of the session.

mod alerts;
mod committer;
mod compare;
mod conditions;
mod destinations;
mod doubts;
mod error;
mod fetch;
pub mod jobs;
mod login;
mod prepare;
mod quick;
mod recovery;
mod release;
mod rounds;
mod run;
mod session;

use std::path::Path;
use std::time::Instant;

pub use error::Error;
pub use release::{Offer, release};
pub use run::{Context, Options};

use crate::access;
use crate::account::{Account, Switch, SyncMode};
use crate::client::{Client, Transaction};
use crate::clock;
use crate::credentials;
use crate::delivery;
use crate::ledger::lock::Lock;
use crate::ledger::memory::{Limit, Memory, Pipelining};
use crate::ledger::{self, Ledger};
use crate::problem::Problem as _;
use crate::report::{Event, Summary, Trouble};
use crate::secret::Secret;
use crate::types::Octets;
use alerts::Alerts;
use destinations::Destinations;
use run::Run;
use session::{Course, Ended, Follows, Held, Outcome, Scope, Sessions};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A server that shows only a window of its maildrop is asked again at most so often in one run.
const MOST_WINDOWS: u32 = 100;
/// Sessions of one run: one that takes one message in each gets the rest at the next run.
const MOST_SESSIONS: u32 = 1000;
/// After this many sessions in a row that broke off at one message, and brought no other, the run ends.
const MOST_BROKEN: u32 = 3;
/// After this many of which several messages were void, though they were asked for one by one, the run ends.
const MOST_DISORDERED: u32 = 20;
/// After this many good ones in a row a session may last twice as long.
const GOOD_SESSIONS: u32 = 3;
/// The least that a session is for: one message, its question, its deletion.
const FEWEST_COMMANDS: u32 = 4;

/// Retrieves one account's mail, and tells how it went.
#[must_use]
pub fn retrieve(account: &Account, options: &Options, context: &Context<'_>) -> Summary {
    let started = Instant::now();
    let run = Run::new(account, options, context);
    let mut summary = Summary { dry_run: options.dry_run, ..Summary::default() };
    let (result, news) =
        if let Err(e) = access::check_path(&ledger::directory(&context.state, &account.mailbox())) {
            // Whoever can change what is in it could name files there that aren't his, and popfetch would remove them.
            (Err(e.into()), true)
        } else if options.dry_run {
            (prepare::dry_run(&run, &mut summary), true)
        } else {
            mailbox(&run, &mut summary)
        };
    if let Err(e) = result {
        summary.trouble = Some(Trouble::of(&e.at(&run.server()), news));
    }
    summary.elapsed = started.elapsed();
    run.report(&Event::Finished(summary.clone()));
    summary
}

/// How the run ended, and whether a person should hear of it who asked for quiet.
fn mailbox(run: &Run<'_>, summary: &mut Summary) -> (Result<(), Error>, bool) {
    let mailbox = run.account.mailbox();
    let directory = ledger::directory(&run.context.state, &mailbox);
    let alerts = Alerts::new(run, clock::now());
    let lock = match Lock::acquire(&directory, run.options.wait, &run.context.stop).map_err(Error::from) {
        Ok(lock) => lock,
        // A lock that another popfetch holds passes on its own; a state directory that can't be made doesn't.
        Err(e) => {
            let news = !e.is_transient() || alerts.locked(&directory);
            return (Err(e), news);
        }
    };
    let mut memory = Memory::load(&directory);
    Alerts::unlocked(&mut memory, &directory);
    let result = match alerts.check_pause(&memory) {
        // The memory is this run's until it has been written.
        Ok(()) => with_lock(run, summary, &directory, lock.clone(), &mut memory),
        paused => paused,
    };
    let news = alerts.judge(&mut memory, &result, summary);
    if let Err(e) = memory.save(&directory) {
        // What it holds can be learnt again.
        run.detail(|| format!("what was learnt of the server was not kept: {e}"));
    }
    (result, news)
}

fn with_lock(
    run: &Run<'_>,
    summary: &mut Summary,
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
    if let Some(question) = quick::question(run, memory, directory, clock::now()) {
        let secret = credentials::obtain(run.account, run.context.environment, &run.context.stop)?;
        let mut sessions = Sessions::new(run, summary, memory, &secret);
        let begun = match sessions.glance(question) {
            Ok(None) => return Ok(()),
            Ok(begun) => begun,
            Err(e) if sessions.goes_on_after(&e) => None,
            Err(e) => return Err(e),
        };
        let held = open(run, sessions.summary, directory, lock, sessions.memory)?;
        return sessions.finish(held, begun, directory);
    }
    let held = open(run, summary, directory, lock, memory)?;
    let secret = credentials::obtain(run.account, run.context.environment, &run.context.stop)?;
    Sessions::new(run, summary, memory, &secret).finish(held, None, directory)
}

/// Opens the ledger, settles what a run that died has left, and opens the destinations.
fn open(
    run: &Run<'_>,
    summary: &mut Summary,
    directory: &Path,
    lock: Lock,
    memory: &mut Memory,
) -> Result<Held, Error> {
    Ledger::check_extent(directory, memory.extent)?;
    let mut ledger = Ledger::open(directory, &run.account.mailbox(), lock, clock::now())?;
    for warning in ledger.warnings() {
        run.warn(warning.clone());
    }
    recovery::recover(run, &mut ledger, directory, summary)?;
    correct_clock(run, &mut ledger, memory)?;
    let destinations = Destinations::open(run, &mut ledger, directory)?;
    Ok((ledger, destinations))
}

/// In order, also after a line that broke: the next run then need not write the ledger anew.
fn close_up(run: &Run<'_>, mut ledger: Ledger, directory: &Path, memory: &mut Memory) -> Result<(), Error> {
    // A spool has served only when what became of its messages is on disk.
    ledger.sync()?;
    let around = destinations::surroundings(run.account, run.context, directory);
    let cleaned = delivery::clean_up(around, ledger.id(), &ledger.intents());
    if let Some(extent) = ledger.close()? {
        memory.extent = Some(extent);
    }
    Ok(cleaned?)
}

/// A clock that ran ahead once has left times that lie in the future.  They are given up when two runs agree that they do,
/// at least an hour apart by a clock that went forward: one run alone may be the one whose clock is wrong.
fn correct_clock(run: &Run<'_>, ledger: &mut Ledger, memory: &mut Memory) -> Result<(), Error> {
    let now = clock::now();
    if ledger.ahead_of_clock() <= DAY {
        memory.behind = None;
        return Ok(());
    }
    match memory.behind.map(|since| now.seconds_since(since)) {
        Some(HOUR..) => {
            run.warn("the clock had run ahead: times in the future are read as today's".to_owned());
            memory.behind = None;
            ledger.correct_clock()?;
        }
        // Gone back again: it begins from here.
        None | Some(..0) => memory.behind = Some(now),
        Some(_) => {}
    }
    Ok(())
}

impl<'a, 'b> Sessions<'a, 'b> {
    fn new(run: &'a Run<'b>, summary: &'a mut Summary, memory: &'a mut Memory, secret: &'a Secret) -> Self {
        Self { run, summary, memory, secret, taken: (0, Octets(0)), course: Course::default() }
    }

    /// All sessions, the first of which may have begun, and what has to be said when they are over.
    fn finish(
        &mut self,
        held: Held,
        begun: Option<Client<Transaction>>,
        directory: &Path,
    ) -> Result<(), Error> {
        let (ledger, result) = self.all(held, begun);
        let Some(ledger) = ledger else { return result };
        let closed = close_up(self.run, ledger, directory, self.memory);
        result.and(closed)
    }

    /// One session, or as many as it takes.
    fn all(
        &mut self,
        mut held: Held,
        mut begun: Option<Client<Transaction>>,
    ) -> (Option<Ledger>, Result<(), Error>) {
        let mut scope = Scope::Everything;
        let mut follows = Follows::First;
        let mut windows = 0;
        self.memory.expire(clock::now());
        for _ in 0..MOST_SESSIONS {
            let (back, result) = self.one(held, begun.take(), &scope, follows);
            let Some(back) = back else { return (None, result.map(drop)) };
            held = back;
            match result {
                // Where sessions are known to be cut it was one more cut; else it's nothing: the next listing tells.
                Ok(_)
                    if self.course.ended.quit_lost
                        && self.memory.limit.is_some()
                        && self
                            .lasts_less_long("the server did not confirm QUIT, and nothing was deleted") =>
                {
                    follows = Follows::Rest;
                }
                Ok(_) if self.run.context.stop.raised() => return (Some(held.0), Ok(())),
                Ok(Outcome { next: Some(next), .. }) => {
                    (scope, follows) = next;
                    self.may_last_longer();
                    windows += u32::from(follows == Follows::Window);
                    if windows >= MOST_WINDOWS {
                        break;
                    }
                }
                Ok(Outcome { next: None, left: true }) => break,
                Ok(_) => return (Some(held.0), Ok(())),
                Err(e) if self.goes_on_after(&e) => follows = Follows::Rest,
                Err(e) => {
                    if self.course.unpipelined && e.is_silence() {
                        // It falls silent also when asked one thing at a time: that is no matter of pipelining.
                        self.memory.pipelining = Pipelining::Unproven;
                    }
                    return (Some(held.0), Err(e));
                }
            }
        }
        (Some(held.0), Err(Error::Unfinished))
    }

    /// Whether there is another session after one that ended so.
    fn goes_on_after(&mut self, e: &Error) -> bool {
        if self.run.context.stop.raised() {
            return false;
        }
        let ended = self.course.ended;
        if e.is_disorder() {
            return self.asks_again(e, ended);
        }
        match e {
            // Nothing can be believed in a session that goes on: one message in each.
            Error::NothingNames if !self.course.nothing_names => {
                (self.course.nothing_names, self.course.unpipelined) = (true, true);
                true
            }
            // A server that takes no more than so much in one session: less, so that its end is reached.
            e if e.ends_session() && ended.unconfirmed => {
                self.lasts_less_long(&format!("{e}, and nothing was deleted"))
            }
            // Once is chance.
            e if e.ends_session() && ended.cut_again => self.lasts_less_long(&format!("{e}, once more")),
            _ => false,
        }
    }

    /// After a session that was cut before its deletions counted: the next one ends earlier, if it can.
    fn lasts_less_long(&mut self, why: &str) -> bool {
        self.course.good = 0;
        let commands = (self.course.ended.answered / 2).max(FEWEST_COMMANDS);
        let before = self.memory.limit.map(|limit| limit.commands);
        if self.run.context.stop.raised() || before.is_some_and(|before| before <= commands) {
            return false;
        }
        self.memory.limit = Some(Limit { commands, since: clock::now() });
        let text = format!("{why}: sessions end after {commands} commands from now on");
        if before.is_none() {
            self.run.warn(text)
        } else {
            self.run.detail(|| text)
        }
        true
    }

    /// After some sessions that ended well before their limit the next one may last longer: a line that broke by chance is
    /// no limit of the server's.
    fn may_last_longer(&mut self) {
        self.course.good = self.course.good.saturating_add(1);
        if let (Some(limit), true) = (&mut self.memory.limit, self.course.good >= GOOD_SESSIONS) {
            limit.commands = limit.commands.saturating_mul(2);
            self.course.good = 0;
        }
    }

    /// After a session whose answers could no longer be told apart: what they were asked for is asked for again, one
    /// command at a time.
    fn asks_again(&mut self, e: &Error, ended: Ended) -> bool {
        if matches!(e, Error::OutOfStep) {
            // It may be the question that the server answers otherwise now: it's tried again before it's relied on.
            self.memory.names = None;
        }
        if ended.blamed {
            // That message is told about; the others go on.
            self.course.broken = if ended.confirmed > 0 { 1 } else { self.course.broken.saturating_add(1) };
            return self.course.broken < MOST_BROKEN;
        }
        // Before the listing only a server that falls silent is known to have been asked several things at once.
        if self.course.unpipelined || !(ended.pipelined || e.is_silence()) {
            self.course.careful = ended.void;
            self.course.disordered = self.course.disordered.saturating_add(1);
            return ended.void > 1 && self.course.disordered < MOST_DISORDERED;
        }
        if self.run.account.pipelining == Switch::Auto {
            self.memory.pipelining = Pipelining::Broken(clock::now());
        }
        self.course.unpipelined = true;
        self.course.careful = ended.void;
        self.run.warn(format!("{e}: asked again, one command at a time, from now on"));
        true
    }
}
