//! Accounts in parallel: a limit for all, a limit for one server, and never a failure of one in the way of another.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Context, Options, passwords, retrieve};
use crate::account::Account;
use crate::delivery;
use crate::exit::ExitCode;
use crate::problem::REPORT_BUG;
use crate::report::{Event, ReportedError, RunSummary};

/// How many sessions there may be at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connections {
    /// For all accounts together.
    pub total: NonZeroUsize,
    /// At one server (host and port).
    pub per_server: NonZeroUsize,
}

/// Retrieves every account's mail, and gives the exit code of all together: what needs the user outranks what is
/// temporary.
#[must_use]
pub(crate) fn retrieve_all(
    accounts: &[Account],
    options: &Options,
    context: &Context<'_>,
    connections: Connections,
) -> ExitCode {
    for account in accounts {
        let destinations = super::deliveries::destinations(account, context);
        context.reporter.report(&account.name, &Event::Waiting { destinations });
    }
    let options = &Options { passwords: passwords::ask(accounts, options, context), ..options.clone() };
    let codes = answering_signals(options, context, || {
        each(accounts, context, connections, &|account| one(account, options, context))
    });
    context.reporter.ended();
    codes.into_iter().fold(ExitCode::Done, |worst, (_, code)| worst.merge(code))
}

/// Does this work; where a user looks on, a signal is answered at once, though what is on its way comes first.
fn answering_signals<T>(options: &Options, context: &Context<'_>, work: impl FnOnce() -> T) -> T {
    let (true, Ok((done, working))) = (context.reporter.is_watched(), io::pipe()) else { return work() };
    thread::scope(|scope| {
        // Without this thread it is only not announced.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            while !context.stop.raised() {
                let mut waited = [
                    PollFd::from_borrowed_fd(context.stop.descriptor(), PollFlags::IN),
                    PollFd::new(&done, PollFlags::IN),
                ];
                // Interrupted or not: the flag decides.
                let _ = rustix::event::poll(&mut waited, None);
                let [_, over] = waited.map(|waited| !waited.revents().is_empty());
                if over {
                    return;
                }
            }
            context.reporter.stopping(options.under_way.messages());
        });
        let result = work();
        drop(working);
        result
    })
}

/// What `work` gives for each account, several at a time, in the order in which they are done.  After a signal those that
/// haven't begun are left out.
pub(crate) fn each<'a, T: Send>(
    accounts: &'a [Account],
    context: &Context<'_>,
    connections: Connections,
    work: &(dyn Fn(&Account) -> T + Sync),
) -> Vec<(&'a Account, T)> {
    let queue = AccountQueue::new(accounts, connections.per_server, descriptors());
    let workers = connections.total.get().min(accounts.len());
    let turns = || {
        let mut done = Vec::new();
        while let Some(account) = queue.take() {
            done.push((account, work(account)));
            if context.stop.raised() {
                // Those that haven't begun would run password commands, or wait for locks, only to be stopped.
                queue.clear();
            }
            queue.give_back(account);
        }
        done
    };
    if workers <= 1 {
        return turns();
    }
    thread::scope(|scope| {
        // Where the system refuses more threads, fewer accounts are worked on at a time: in this one, one by one.
        let begin = |_| thread::Builder::new().spawn_scoped(scope, turns).ok();
        let others: Vec<_> = (1..workers).map_while(begin).collect();
        let mut done = turns();
        // A panic that `work` doesn't catch is a bug in it.
        done.extend(others.into_iter().flat_map(|other| other.join().unwrap_or_default()));
        done
    })
}

/// One account's run.
fn one(account: &Account, options: &Options, context: &Context<'_>) -> ExitCode {
    match guarded("run", || retrieve(account, options, context)) {
        Ok(summary) => summary.exit(),
        Err(failure) => {
            let summary = RunSummary { failure: Some(failure), ..RunSummary::default() };
            context.reporter.report(&account.name, &Event::Finished(summary));
            ExitCode::Bug
        }
    }
}

/// Does one account's work, of which `what` is the name; a bug of ours in it ends this account only.
pub(super) fn guarded<T>(what: &str, work: impl FnOnce() -> T) -> Result<T, ReportedError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| ReportedError {
        exit: ExitCode::Bug,
        message: format!("a bug in popfetch ended this account's {what}"),
        hint: Some(REPORT_BUG.to_owned()),
        news: true,
    })
}

/// Accounts that wait for their turn, in the order given but for those whose server has its fill.
struct AccountQueue<'a> {
    per_server: usize,
    /// Files that all accounts together may have open.
    descriptors: usize,
    state: Mutex<QueueState<'a>>,
    changed: Condvar,
}

struct QueueState<'a> {
    waiting: Vec<&'a Account>,
    busy: HashMap<(&'a str, u16), usize>,
    /// Files that those at work may have open.
    open: usize,
}

impl<'a> AccountQueue<'a> {
    fn new(accounts: &'a [Account], per_server: NonZeroUsize, descriptors: usize) -> Self {
        let state = QueueState { waiting: accounts.iter().collect(), busy: HashMap::new(), open: 0 };
        Self { per_server: per_server.get(), descriptors, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<'a>> {
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
                // One alone has what there is.
                let fits =
                    state.open == 0 || state.open.saturating_add(most_open(account)) <= self.descriptors;
                fits && state.busy.get(&server(account)).is_none_or(|busy| *busy < self.per_server)
            };
            if let Some(position) = state.waiting.iter().position(free) {
                let account = state.waiting.remove(position);
                *state.busy.entry(server(account)).or_default() += 1;
                state.open = state.open.saturating_add(most_open(account));
                return Some(account);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn clear(&self) {
        self.lock().waiting.clear();
    }

    fn give_back(&self, account: &'a Account) {
        let mut state = self.lock();
        state.open = state.open.saturating_sub(most_open(account));
        if let Some(busy) = state.busy.get_mut(&server(account)) {
            *busy = busy.saturating_sub(1);
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// As many open files as are asked for: enough for dozens of accounts.  Not without end, because the programs that are run
/// inherit the limit, and some close every number below it when they start.
const ENOUGH_DESCRIPTORS: u64 = 16_384;

/// Kept for what belongs to no account: the standard streams, signals, the resolver, libraries.
const KEPT_DESCRIPTORS: usize = 64;

/// Raises the limit of open files as far as it may be, and returns how many the accounts may have.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // None is no limit.
    let most = limit.maximum.unwrap_or(u64::MAX).min(ENOUGH_DESCRIPTORS);
    let mut current = limit.current.unwrap_or(u64::MAX);
    // Where it can't be raised, fewer accounts are served at once.
    if current < most && setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).is_ok() {
        current = most;
    }
    usize::try_from(current).unwrap_or(usize::MAX).saturating_sub(KEPT_DESCRIPTORS)
}

/// How many files the run of an account may have open at once: its own, and those of each destination.
fn most_open(account: &Account) -> usize {
    account.deliver.iter().fold(32, |sum: usize, deliver| sum.saturating_add(delivery::most_open(deliver)))
}

fn server(account: &Account) -> (&str, u16) {
    (&account.host, account.port)
}

#[cfg(test)]
mod tests {
    use super::{
        Account, AccountQueue, Connections, Context, Event, ExitCode, Options, answering_signals, each,
        most_open, one, retrieve_all, server,
    };
    use crate::account::{
        Auth, Deliver, FirstRun, Hooks, ListingMode, PasswordSource, Retention, Switch, SyncMode, Tls, Trust,
        Utf8Mode, Way,
    };
    use crate::report::Reporter;
    use crate::retrieval::trial::{Home, Letter};
    use std::collections::HashMap;
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier, Mutex};
    use std::time::Duration;

    fn account(name: usize, host: &str, port: u16) -> Account {
        Account {
            name: name.to_string(),
            host: host.to_owned(),
            port,
            tls: Tls::None,
            trust: Trust::default(),
            way: Way::default(),
            user: name.to_string(),
            auth: Auth::Auto,
            password: PasswordSource::Prompt,
            retention: Retention::Keep,
            deliver: vec![Deliver::Stdout],
            max_message_size: None,
            first_run: FirstRun::All,
            hooks: Hooks::default(),
            max_messages: None,
            max_bytes: None,
            owner: None,
            received_header: false,
            alert_after: Duration::ZERO,
            remind_after: Duration::ZERO,
            pipelining: Switch::Auto,
            utf8: Utf8Mode::Auto,
            listing: ListingMode::Auto,
            full_listing_every: Duration::ZERO,
            sync: SyncMode::Off,
            timeout: Duration::from_secs(1),
        }
    }

    fn count(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    /// Every account gets its turn, once; no server ever has more than its fill.
    #[test]
    fn all_have_their_turn_within_the_limits() {
        let servers = [("a", 110), ("a", 995), ("b", 110)];
        for (accounts, workers, per_server) in
            [(1, 1, 1), (30, 1, 1), (60, 8, 1), (60, 8, 3), (60, 2, 5), (5, 16, 4)]
        {
            let accounts: Vec<Account> = (0..accounts)
                // Half of them at the first server, as it is in life.
                .map(|n| (n, servers[if n % 2 == 0 { 0 } else { n % 3 }]))
                .map(|(n, (host, port))| account(n, host, port))
                .collect();
            let connections = Connections { total: count(workers), per_server: count(per_server) };
            let queue = AccountQueue::new(&accounts, connections.per_server, usize::MAX);
            let busy: HashMap<_, AtomicUsize> =
                accounts.iter().map(|a| (server(a), AtomicUsize::new(0))).collect();
            let (served, most) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..connections.total.get() {
                    scope.spawn(|| {
                        while let Some(account) = queue.take() {
                            let here = &busy[&server(account)];
                            // Judged at the end: a worker that panics would leave the others waiting.
                            most.fetch_max(here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            served.lock().unwrap().push(account.name.clone());
                            here.fetch_sub(1, Ordering::SeqCst);
                            queue.give_back(account);
                        }
                    });
                }
            });
            assert!(most.into_inner() <= per_server, "{connections:?}");
            let mut served = served.into_inner().unwrap();
            let mut all: Vec<String> = accounts.iter().map(|account| account.name.clone()).collect();
            served.sort();
            all.sort();
            assert_eq!(served, all, "{connections:?}");
        }
    }

    /// Starts what may run at once; an account that waits for its server does not block accounts of other servers.
    #[test]
    fn accounts_run_side_by_side() {
        let accounts: Vec<Account> =
            [(0, "a"), (1, "a"), (2, "a"), (3, "b")].map(|(n, host)| account(n, host, 110)).into();
        let queue = AccountQueue::new(&accounts, count(2), usize::MAX);
        let order = [queue.take(), queue.take(), queue.take()].map(|taken| taken.unwrap().name.clone());
        assert_eq!(order, ["0", "1", "3"], "in the order given, but for a server that has its fill");
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                together.wait();
                queue.take().map(|account| account.name.clone())
            });
            together.wait();
            queue.give_back(&accounts[1]);
            assert_eq!(waiting.join().unwrap().as_deref(), Some("2"));
        });
        assert!(queue.take().is_none());
    }

    /// What all have open together has a bound; one alone always has its turn.
    #[test]
    fn no_more_accounts_than_there_are_files_for() {
        let accounts: Vec<Account> = ["a", "b", "c"].map(|host| account(0, host, 110)).into();
        let queue = AccountQueue::new(&accounts, count(4), most_open(&accounts[0]) * 2);
        let (first, second) = (queue.take().unwrap(), queue.take().unwrap());
        std::thread::scope(|scope| {
            let third = scope.spawn(|| queue.take().map(|account| account.host.clone()));
            queue.give_back(first);
            assert_eq!(third.join().unwrap().as_deref(), Some("c"));
        });
        queue.give_back(second);
        let queue = AccountQueue::new(&accounts, count(4), 1);
        assert!(queue.take().is_some());
    }

    /// One that there are no files left for waits; one that needs fewer has its turn before it.
    #[test]
    fn an_account_that_needs_more_files_than_are_left_waits() {
        let small = Account { deliver: vec![], ..account(0, "small", 110) };
        let accounts = [account(0, "a", 110), account(0, "b", 110), small];
        let left = most_open(&accounts[0]) + most_open(&accounts[2]);
        let queue = AccountQueue::new(&accounts, count(4), left);
        let (first, second) = (queue.take().unwrap(), queue.take().unwrap());
        assert_eq!([&first.host, &second.host], ["a", "small"]);
        queue.give_back(second);
        queue.give_back(first);
        assert_eq!(queue.take().unwrap().host, "b");
    }

    /// After a signal those that haven't begun are left out; those at work end in order.
    #[test]
    fn after_a_signal_no_other_account_begins() {
        let home = Home::holding(&[]);
        let accounts: Vec<Account> = (0..9).map(|n| account(n, "a", 110)).collect();
        let connections = |total| Connections { total: count(total), per_server: count(total) };
        let done = each(&accounts, &home.context(), connections(1), &|account| account.name.clone());
        let names: Vec<&str> = done.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
        for total in [1, 3] {
            home.stop.raise();
            let done = each(&accounts, &home.context(), connections(total), &|_| ());
            assert!((1..=total).contains(&done.len()), "{}", done.len());
        }
    }

    /// A bug in one account's work is that account's alone, and everyone sees that it was a bug.
    #[test]
    fn a_bug_ends_one_account_and_is_reported() {
        let home = Home::holding(&[]);
        let finished = Arc::new(Finished::default());
        let context = Context { reporter: Arc::clone(&finished) as Arc<dyn Reporter>, ..home.context() };
        let account = home.account_with_password("");
        assert_eq!(one(&account, &Options::default(), &context), ExitCode::Bug);
        assert_eq!(*finished.0.lock().unwrap(), [(account.name, ExitCode::Bug)]);
    }

    /// Fails at all but the end.
    #[derive(Default)]
    struct Finished(Mutex<Vec<(String, ExitCode)>>);

    impl Reporter for Finished {
        fn report(&self, account: &str, event: &Event) {
            let Event::Finished(summary) = event else { panic!("a bug, for this test") };
            self.0.lock().unwrap().push((account.to_owned(), summary.exit()));
        }
        fn wants_detail(&self) -> bool {
            true
        }
    }

    /// Of all accounts the worst exit code is that of the command.
    #[test]
    fn the_exit_code_is_that_which_needs_the_user_most() {
        let home = Home::holding(&[Letter::new("a", "a")]);
        let well = home.account_with_password("");
        let gone =
            Account { name: "gone".to_owned(), user: "other".to_owned(), ..home.account_at_a_closed_port() };
        let gone = Account { password: well.password.clone(), ..gone };
        let refused = Account {
            name: "refused".to_owned(),
            user: "third".to_owned(),
            auth: Auth::CramMd5,
            ..well.clone()
        };
        let connections = Connections { total: count(2), per_server: count(2) };
        for (accounts, expected) in [
            (vec![well.clone()], ExitCode::Done),
            (vec![well.clone(), gone.clone()], ExitCode::Later),
            (vec![gone, refused, well], ExitCode::Refused),
            (vec![], ExitCode::Done),
        ] {
            let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
            let found = retrieve_all(&accounts, &Options::default(), &home.context(), connections);
            assert_eq!(found, expected, "{names:?} {:?}", home.reported());
        }
    }

    /// Programs and mboxes keep files open: a run's share grows with what it has to hold.
    #[test]
    fn what_an_account_may_have_open_grows_with_its_destinations() {
        let one = Account { deliver: vec![Deliver::Stdout], ..account(0, "a", 110) };
        let two = Account { deliver: vec![Deliver::Stdout, Deliver::Maildir("/m".into())], ..one.clone() };
        let none = Account { deliver: vec![], ..one.clone() };
        assert!(most_open(&none) < most_open(&one) && most_open(&one) < most_open(&two));
    }

    /// Two ports of one host are two servers: each has its own limit.
    #[test]
    fn a_server_is_a_host_and_a_port() {
        let accounts: Vec<Account> =
            [("a", 110), ("a", 995), ("a", 110)].map(|(host, port)| account(0, host, port)).into();
        let queue = AccountQueue::new(&accounts, count(1), usize::MAX);
        let ports = [queue.take(), queue.take()].map(|taken| taken.unwrap().port);
        assert_eq!(ports, [110, 995]);
        queue.clear();
        assert!(queue.take().is_none(), "the third is given up");
    }

    /// What is done while a user looks on is done all the same, and a signal is announced once.
    #[test]
    fn a_signal_is_answered_at_once_where_a_user_looks_on() {
        for (is_watched, raised, expected) in [(true, true, 1), (true, false, 0), (false, true, 0)] {
            let home = Home::holding(&[]);
            let screen =
                Arc::new(Screen { is_watched, announced: AtomicUsize::new(0), heard: Barrier::new(2) });
            let context = Context { reporter: Arc::clone(&screen) as Arc<dyn Reporter>, ..home.context() };
            let result = answering_signals(&Options::default(), &context, || {
                if raised {
                    home.stop.raise();
                }
                if expected == 1 {
                    screen.heard.wait();
                }
                7
            });
            assert_eq!(
                (result, screen.announced.load(Ordering::SeqCst)),
                (7, expected),
                "{is_watched} {raised}"
            );
        }
    }

    /// Counts what is announced.
    struct Screen {
        is_watched: bool,
        announced: AtomicUsize,
        heard: Barrier,
    }

    impl Reporter for Screen {
        fn report(&self, _: &str, _: &Event) {}
        fn stopping(&self, _: u64) {
            self.announced.fetch_add(1, Ordering::SeqCst);
            self.heard.wait();
        }
        fn is_watched(&self) -> bool {
            self.is_watched
        }
    }
}
