//! Accounts side by side: so many at once, so many at one server, and never a failure of one in the way of another.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Context, Options, retrieve};
use crate::config::account::Account;
use crate::exit::ExitCode;
use crate::report::{Event, Summary, Trouble};

/// How many sessions there may be at once.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// In all.
    pub total: NonZeroUsize,
    /// At one server (host and port).
    pub per_server: NonZeroUsize,
}

/// Retrieves every account's mail, and gives the exit code of all together: what needs a person outranks what passes.
#[must_use]
pub fn retrieve_all(
    accounts: &[Account],
    options: &Options,
    context: &Context<'_>,
    connections: Connections,
) -> ExitCode {
    let queue = Queue::new(accounts, connections.per_server);
    let workers = connections.total.get().min(accounts.len());
    let work = || {
        let mut worst = ExitCode::Done;
        while let Some(account) = queue.take() {
            worst = worst.merge(one(account, options, context));
            queue.give_back(account);
        }
        worst
    };
    if workers <= 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(ExitCode::Bug))
            .fold(ExitCode::Done, ExitCode::merge)
    })
}

/// One account; a bug of ours in it ends this account only.
fn one(account: &Account, options: &Options, context: &Context<'_>) -> ExitCode {
    match catch_unwind(AssertUnwindSafe(|| retrieve(account, options, context))) {
        Ok(summary) => summary.trouble.map_or(ExitCode::Done, |trouble| trouble.exit),
        Err(_) => {
            let trouble = Trouble {
                exit: ExitCode::Bug,
                message: "a bug in popfetch ended this account's run".to_owned(),
                hint: Some("please report it; nothing is lost, the next run recovers".to_owned()),
                news: true,
            };
            let summary = Summary { trouble: Some(trouble), ..Summary::default() };
            context.reporter.report(&account.name, &Event::Finished(summary));
            ExitCode::Bug
        }
    }
}

/// Accounts that wait for their turn, in the order given but for those whose server has its fill.
struct Queue<'a> {
    per_server: usize,
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    waiting: Vec<&'a Account>,
    busy: HashMap<(&'a str, u16), usize>,
}

impl<'a> Queue<'a> {
    fn new(accounts: &'a [Account], per_server: NonZeroUsize) -> Self {
        let state = State { waiting: accounts.iter().collect(), busy: HashMap::new() };
        Self { per_server: per_server.get(), state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        // A panic while it is held leaves whole values only.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<&'a Account> {
        let mut state = self.lock();
        loop {
            if state.waiting.is_empty() {
                return None;
            }
            let free = |account: &&Account| {
                state.busy.get(&server(account)).is_none_or(|busy| *busy < self.per_server)
            };
            if let Some(position) = state.waiting.iter().position(free) {
                let account = state.waiting.remove(position);
                *state.busy.entry(server(account)).or_default() += 1;
                return Some(account);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, account: &'a Account) {
        if let Some(busy) = self.lock().busy.get_mut(&server(account)) {
            *busy = busy.saturating_sub(1);
        }
        self.changed.notify_all();
    }
}

fn server(account: &Account) -> (&str, u16) {
    (&account.host, account.port)
}
