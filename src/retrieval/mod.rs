//! One mailbox, end to end: lock, recover, connect, list, plan, retrieve and deliver, delete, settle.
//!
//! Recovery comes first and needs no network; only where the last run left nothing to recover, a quick poll may ask whether
//! there is anything to do at all.  Then one session (or, where a server shows only a window of the
//! maildrop, several); the ledger is the committer's while messages arrive, and comes back for the end of the session.

mod alerts;
mod committer;
mod compare;
mod destinations;
mod error;
mod fetch;
pub mod jobs;
mod login;
mod prepare;
mod quick;
mod recovery;
mod run;
mod session;

use std::path::Path;
use std::time::Instant;

pub use error::Error;
pub use run::{Context, Options};

use crate::access;
use crate::client::{Client, Transaction};
use crate::clock::Time;
use crate::config::account::{Account, Switch, SyncMode};
use crate::config::password;
use crate::delivery::mbox;
use crate::ledger::Ledger;
use crate::ledger::lock::Lock;
use crate::ledger::memory::{Memory, Pipelining};
use crate::protocol::types::Octets;
use crate::report::{Event, Summary, Trouble};
use crate::secret::Secret;
use alerts::Alerts;
use destinations::Destinations;
use run::Run;
use session::{Held, Outcome, Scope, Sessions};

/// A server that shows only a window of its maildrop is asked again at most so often in one run.
const MOST_SESSIONS: u32 = 100;

/// Retrieves one account's mail, and tells how it went.
#[must_use]
pub fn retrieve(account: &Account, options: &Options, context: &Context<'_>) -> Summary {
    let started = Instant::now();
    let run = Run::new(account, options, context);
    let mut summary = Summary { dry_run: options.dry_run, ..Summary::default() };
    let (result, news) =
        if let Err(e) = access::check_path(&context.state.join(account.mailbox().directory_name())) {
            // Whoever can change what is in it could name files there that aren't his, and popfetch would remove them.
            (Err(e.into()), true)
        } else if options.dry_run {
            (prepare::dry_run(&run, &mut summary), true)
        } else {
            mailbox(&run, &mut summary)
        };
    if let Err(e) = result {
        let before = summary.trouble.take();
        summary.trouble = Some(Trouble {
            exit: before.map_or(e.exit_code(), |trouble| trouble.exit.merge(e.exit_code())),
            message: e.told(&run.server()),
            hint: e.hint(),
            news,
        });
    }
    summary.elapsed = started.elapsed();
    run.report(&Event::Finished(summary.clone()));
    summary
}

/// How the run ended, and whether a person should hear of it who asked for quiet.
fn mailbox(run: &Run<'_>, summary: &mut Summary) -> (Result<(), Error>, bool) {
    let mailbox = run.account.mailbox();
    let directory = run.context.state.join(mailbox.directory_name());
    let lock = match Lock::acquire(&directory, run.options.wait, &run.context.stop).map_err(Error::from) {
        Ok(lock) => lock,
        // A lock that another popfetch holds passes by itself; a state directory that can't be made doesn't.
        Err(e) => {
            let news = !e.is_transient();
            return (Err(e), news);
        }
    };
    let mut memory = Memory::load(&directory);
    let alerts = Alerts::new(run, Time::now());
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
    if let Some(question) = quick::question(run, memory, directory, Time::now()) {
        let secret = password::obtain(run.account, run.context.environment)?;
        let mut sessions = Sessions::new(run, summary, memory, &secret);
        let begun = match sessions.glance(question) {
            Ok(None) => return Ok(()),
            Ok(begun) => begun,
            Err(e) if sessions.gives_up_pipelining(&e) => None,
            Err(e) => return Err(e),
        };
        let held = open(run, sessions.summary, directory, lock)?;
        return sessions.finish(held, begun, directory);
    }
    let held = open(run, summary, directory, lock)?;
    let secret = password::obtain(run.account, run.context.environment)?;
    Sessions::new(run, summary, memory, &secret).finish(held, None, directory)
}

/// Opens the ledger, settles what a run that died has left, and opens the destinations.
fn open(run: &Run<'_>, summary: &mut Summary, directory: &Path, lock: Lock) -> Result<Held, Error> {
    let mut ledger = Ledger::open(directory, &run.account.mailbox(), lock, Time::now())?;
    for warning in ledger.warnings() {
        run.warn(warning.clone());
    }
    recovery::recover(run, &mut ledger, directory, summary)?;
    let destinations = Destinations::open(run, &mut ledger, directory)?;
    Ok((ledger, destinations))
}

/// In order, also after a line that broke: the next run then need not write the ledger anew.
fn close_up(run: &Run<'_>, mut ledger: Ledger, directory: &Path) -> Result<(), Error> {
    // A spool has served only when what became of its messages is on disk.
    ledger.sync()?;
    let cleaned = mbox::clean_up(&run.context.state, directory, ledger.id(), &ledger.intents());
    let closed = ledger.close().map_err(Error::from);
    cleaned.map_err(Error::from).and(closed)
}

impl<'a, 'b> Sessions<'a, 'b> {
    fn new(run: &'a Run<'b>, summary: &'a mut Summary, memory: &'a mut Memory, secret: &'a Secret) -> Self {
        Self { run, summary, memory, secret, taken: (0, Octets(0)), suspected: false }
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
        let closed = close_up(self.run, ledger, directory);
        result.and(closed)
    }

    /// One session, or as many as it takes.
    fn all(
        &mut self,
        mut held: Held,
        mut begun: Option<Client<Transaction>>,
    ) -> (Option<Ledger>, Result<(), Error>) {
        let mut scope = Scope::Everything;
        let mut extra = false;
        for _ in 0..MOST_SESSIONS {
            let (back, result) = self.one(held, begun.take(), &scope, extra);
            let Some(back) = back else { return (None, result.map(drop)) };
            held = back;
            match result {
                Ok(Outcome { next: Some(next) }) if !self.run.context.stop.raised() => {
                    scope = next;
                    extra = true;
                }
                Ok(_) => break,
                Err(e) if self.gives_up_pipelining(&e) => {}
                Err(e) => {
                    if self.suspected && e.is_silence() {
                        // It falls silent also when asked one thing at a time: that is no matter of pipelining.
                        self.memory.pipelining = Pipelining::Unproven;
                    }
                    return (Some(held.0), Err(e));
                }
            }
        }
        (Some(held.0), Ok(()))
    }

    /// Whether a session that ended so is to be had again, one command at a time: the server, which has yet to prove that
    /// it answers in step and isn't simply to be believed, may have answered out of step.
    fn gives_up_pipelining(&mut self, e: &Error) -> bool {
        let unproven =
            self.run.account.pipelining == Switch::Auto && self.memory.pipelining == Pipelining::Unproven;
        if !(unproven && e.forbids_pipelining()) {
            return false;
        }
        self.memory.pipelining = Pipelining::Broken;
        self.suspected = true;
        self.run.warn(format!("{e}: asked again, one command at a time, from now on"));
        true
    }
}
