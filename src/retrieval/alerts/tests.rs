//! What is reported of failures that come again and again, and when a refused login is tried again.

use super::{Alerts, FIRST_PAUSE, LONGEST_PAUSE, RunNews, messages_reported, messages_wait};
use crate::client;
use crate::exit::ExitCode;
use crate::ledger::memory::Memory;
use crate::plan::trial::NOW;
use crate::protocol::auth::RefusalReason;
use crate::report::{Condition, ConditionKind, RunSummary};
use crate::retrieval::Options;
use crate::retrieval::error::Error;
use crate::retrieval::run::Run;
use crate::retrieval::trial::{Home, refused_login};
use crate::types::Time;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Failures that may pass count after an hour, and again after a day.
const SETTINGS: &str = "alert-after = \"1h\"\nremind-after = \"1d\"";

/// An account with a memory, and the failures of its runs.
struct Desk {
    home: Home,
    memory: Memory,
    options: Options,
    settings: &'static str,
}

impl Desk {
    fn new() -> Self {
        let home = Home::holding(&[]);
        std::fs::create_dir(home.path().join("state")).unwrap();
        Self { home, memory: Memory::default(), options: Options::default(), settings: SETTINGS }
    }

    /// What the judge does this many seconds after the beginning.
    fn at<T>(&mut self, seconds: i64, work: impl FnOnce(&Alerts<'_, '_>, &mut Memory) -> T) -> T {
        let (account, context) = (self.home.account(self.settings), self.home.context());
        let run = Run::new(&account, &self.options, &context, Time(NOW.0 + seconds));
        work(&Alerts::new(&run), &mut self.memory)
    }

    /// A run that ended so: whether that is news, any failure counts, and something is over.
    fn ends(&mut self, seconds: i64, result: Result<(), Error>) -> (bool, bool, bool) {
        let mut summary = RunSummary::default();
        let RunNews { news, failure, recovered } =
            self.at(seconds, |alerts, memory| alerts.judge(memory, &result, &mut summary));
        (news, failure, recovered)
    }

    /// A run that met this condition: its exit code, and whether it is news.
    fn meets(&mut self, seconds: i64, kind: ConditionKind, said: bool) -> (u8, bool) {
        let mut summary = RunSummary::default();
        summary.put(condition(kind, said));
        self.at(seconds, |alerts, memory| alerts.judge(memory, &Ok(()), &mut summary));
        (summary.exit().number(), summary.conditions[0].news)
    }

    fn is_paused(&mut self, seconds: i64) -> bool {
        self.at(seconds, |alerts, memory| alerts.check_pause(memory).is_err())
    }
}

fn condition(kind: ConditionKind, said: bool) -> Condition {
    let (message, exit) = ("what is wrong".to_owned(), ExitCode::Later);
    Condition { kind, exit, messages: 1, message, hint: None, reason: None, next: None, news: false, said }
}

fn refused() -> Error {
    refused_login(RefusalReason::Credentials).into()
}

fn passing() -> Error {
    let (server, during) = ("127.0.0.1:110".to_owned(), "UIDL".to_owned());
    client::Error::TimedOut { server, during, pipelined: false }.into()
}

/// Twice as long each time, but no longer than a day: a wrong password must not lock the account, nor be tried for ever.
#[test]
fn each_refused_login_makes_the_next_one_wait_longer() {
    let mut desk = Desk::new();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        desk.at(0, |alerts, memory| alerts.note_login(memory, Some(&refused())));
        let pause = desk.memory.pause.clone().unwrap();
        assert_eq!(pause.refused, NOW);
        pauses.push(pause.until.seconds_since(NOW));
    }
    let expected: Vec<i64> = (0..9).map(|n| (FIRST_PAUSE << n).min(LONGEST_PAUSE)).collect();
    assert_eq!(pauses, expected);
    assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
    // What isn't about the password changes nothing; a login that works ends it.
    desk.at(1, |alerts, memory| alerts.note_login(memory, Some(&passing())));
    assert!(desk.memory.pause.is_some());
    desk.at(1, |alerts, memory| alerts.note_login(memory, None));
    assert_eq!(desk.memory.pause, None);
}

#[test]
fn a_pause_holds_for_this_configuration_and_a_user_who_does_not_insist() {
    let mut desk = Desk::new();
    assert!(!desk.is_paused(0));
    desk.at(0, |alerts, memory| alerts.note_login(memory, Some(&refused())));
    let found = [-1, 0, FIRST_PAUSE - 1, FIRST_PAUSE].map(|seconds| desk.is_paused(seconds));
    assert_eq!(found, [false, true, true, false], "a clock that was set back ends it");
    desk.options.insist = true;
    assert!(!desk.is_paused(1));
    desk.options.insist = false;
    desk.settings = "alert-after = \"2h\"\nremind-after = \"1d\"\nlisting = \"full\"";
    assert!(!desk.is_paused(1), "what was refused was refused under another configuration");
    desk.at(1, |alerts, memory| alerts.note_login(memory, Some(&refused())));
    assert_eq!(desk.memory.pause.as_ref().unwrap().refusals, 1, "counted from one again");
}

/// What is reported of an account's password is reported again when another one is refused.
#[test]
fn a_password_that_was_changed_in_vain_is_reported_again() {
    let mut desk = Desk::new();
    assert_eq!(desk.ends(0, Err(refused())), (true, true, false));
    assert_eq!(desk.ends(1, Err(refused())), (false, false, false));
    desk.settings = "alert-after = \"1h\"\nremind-after = \"1d\"\nlisting = \"full\"";
    assert_eq!(desk.ends(2, Err(refused())), (true, true, false), "another configuration");
}

/// A clock that was ahead must not keep a failure quiet until its time has come.
#[test]
fn a_clock_that_was_set_back_does_not_silence_a_failure() {
    let mut desk = Desk::new();
    assert_eq!(desk.ends(0, Err(passing())), (false, false, false));
    assert_eq!(desk.ends(90 * DAY, Err(passing())), (true, true, false));
    assert_eq!(desk.ends(HOUR, Err(passing())), (false, false, false));
    assert_eq!(desk.ends(HOUR + DAY, Err(passing())), (true, true, false));
}

/// What has been said is not said again, and counts as reported.
#[test]
fn what_the_run_has_said_itself_is_no_news() {
    let mut desk = Desk::new();
    let at = [(0, false), (HOUR, true), (HOUR + 1, false)];
    let news = at.map(|(seconds, said)| desk.meets(seconds, ConditionKind::DeletionRefused, said).1);
    assert_eq!(news, [false; 3]);
}

/// Only what was reported is what a user knows of.
#[test]
fn what_was_not_reported_is_not_known_to_the_user() {
    let mut memory = Memory::default();
    let kind = ConditionKind::MessagesFailed.word();
    memory.alert(kind, NOW);
    assert!(messages_wait(&memory) && !messages_reported(&memory));
    memory.alert(kind, NOW).reported = Some(NOW);
    assert!(messages_reported(&memory));
}

/// An empty mailbox was seen as well: `status` shows no message there, rather than that nothing is known.
#[test]
fn a_run_that_listed_nothing_has_seen_an_empty_mailbox() {
    for (result, expected) in [(Ok(()), Some(0)), (Err(passing()), None)] {
        let mut desk = Desk::new();
        desk.at(0, |alerts, memory| alerts.remember(memory, &result, &RunSummary::default()));
        assert_eq!(desk.memory.last.unwrap().server, expected);
    }
}

/// A note of what was reported once is no failure that lasts.
#[test]
fn a_login_that_works_again_leaves_no_failure_behind() {
    let mut desk = Desk::new();
    desk.at(0, |alerts, memory| {
        memory.alert("a note", NOW);
        alerts.note_login(memory, Some(&refused()));
        assert_eq!(memory.last.as_ref().unwrap().exit, ExitCode::Refused);
        alerts.note_login(memory, None);
    });
    assert_eq!(desk.memory.last.unwrap().exit, ExitCode::Done);
}

/// What may pass is reported when it has lasted, and again when it lasts still; then that it is over.
#[test]
fn a_failure_that_may_pass_is_reported_when_it_has_lasted() {
    let mut desk = Desk::new();
    let quiet = (false, false, false);
    let news = (true, true, false);
    for (seconds, expected) in [
        (0, quiet),
        (HOUR - 1, quiet),
        (HOUR, news),
        (HOUR + 1, quiet),
        (HOUR + DAY - 1, quiet),
        (HOUR + DAY, news),
        (HOUR + DAY + 1, quiet),
    ] {
        assert_eq!(desk.ends(seconds, Err(passing())), expected, "{seconds}");
    }
    assert_eq!(desk.ends(2 * DAY, Ok(())), (true, false, true));
    assert_eq!(desk.ends(2 * DAY, Ok(())), (true, false, false), "it is over once");
    // One that passes before it was reported is never spoken of.
    let mut desk = Desk::new();
    desk.ends(0, Err(passing()));
    assert_eq!(desk.ends(60, Ok(())), (true, false, false));
    assert!(desk.memory.alerts.is_empty());
    // After a clock that was set back the time begins again.
    let mut desk = Desk::new();
    desk.ends(DAY, Err(passing()));
    assert_eq!(desk.ends(0, Err(passing())), quiet);
    assert_eq!(desk.ends(HOUR, Err(passing())), news);
}

#[test]
fn a_refused_login_is_reported_at_once_and_what_only_the_user_can_mend_each_time() {
    let mut desk = Desk::new();
    assert_eq!(desk.ends(0, Err(refused())), (true, true, false));
    let paused = || Err(Error::Paused { until: "then".to_owned() });
    assert_eq!(desk.ends(60, paused()), (false, false, false));
    assert_eq!(desk.ends(DAY, paused()), (true, true, false), "reminded");
    assert!(desk.memory.pause.is_some());
    assert_eq!(desk.ends(DAY + 1, Ok(())), (true, false, true));
    assert_eq!(desk.memory.pause, None);
    let mut desk = Desk::new();
    for _ in 0..3 {
        assert_eq!(desk.ends(0, Err(Error::OnlyNumbers { program: "getmail" })), (true, true, false));
    }
    // A signal says nothing of the server.
    assert_eq!(desk.ends(0, Err(client::Error::Stopped.into())), (false, false, false));
    assert!(desk.memory.alerts.is_empty());
}

/// What may be chance counts from the second time on; everything else at once; and all of it shows in the exit code for as
/// long as it lasts, whatever is printed.
#[test]
fn a_condition_counts_for_as_long_as_it_lasts() {
    use ConditionKind::{DeletionRefused, MessagesFailed, QuitRefused};
    for (kind, first) in [(QuitRefused, 0), (DeletionRefused, 75), (MessagesFailed, 75)] {
        let mut desk = Desk::new();
        assert_eq!(desk.meets(0, kind, false), (first, false), "{kind:?}");
        for (seconds, news) in [(60, false), (HOUR, true), (HOUR + 60, false), (HOUR + DAY, true)] {
            assert_eq!(desk.meets(seconds, kind, false), (75, news), "{kind:?}, {seconds}");
        }
        assert_eq!(messages_wait(&desk.memory), kind == MessagesFailed);
        assert_eq!(messages_reported(&desk.memory), kind == MessagesFailed);
        // A run that was stopped, or only tried what had failed, hasn't seen whether it is over.
        desk.options.retry = true;
        assert_eq!(desk.ends(2 * DAY, Ok(())), (true, false, false), "{kind:?}");
        desk.options.retry = false;
        assert!(!desk.memory.alerts.is_empty());
        assert_eq!(desk.ends(2 * DAY, Ok(())), (true, false, true), "{kind:?}");
        assert!(desk.memory.alerts.is_empty());
        assert_eq!(desk.meets(3 * DAY, kind, false), (first, false), "it begins again: {kind:?}");
    }
    // What was reported while it happened isn't reported again at the end, and the day counts from there.
    let mut desk = Desk::new();
    assert_eq!(desk.meets(0, MessagesFailed, true), (75, false));
    assert!(messages_reported(&desk.memory));
    assert_eq!(desk.meets(HOUR, MessagesFailed, false), (75, false));
    assert_eq!(desk.meets(DAY, MessagesFailed, false), (75, true));
}

/// What `status` shows: the last run that showed anything of the mailbox, and when mail last came.
#[test]
fn what_the_last_run_came_to_is_kept() {
    let mut desk = Desk::new();
    let remember = |desk: &mut Desk, seconds, result: Result<(), Error>, summary: RunSummary| {
        desk.at(seconds, |alerts, memory| alerts.remember(memory, &result, &summary));
        let last = desk.memory.last.clone().unwrap();
        (last.exit.number(), last.server, last.mail.map(|(at, messages)| (at.seconds_since(NOW), messages)))
    };
    let summary =
        |listed, delivered, deleted| RunSummary { listed, delivered, deleted, ..RunSummary::default() };
    assert_eq!(remember(&mut desk, 0, Ok(()), summary(5, 2, 1)), (0, Some(4), Some((0, 2))));
    assert_eq!(remember(&mut desk, 60, Ok(()), summary(4, 0, 0)), (0, Some(4), Some((0, 2))));
    // Neither shows anything new of the mailbox.
    let paused = Err(Error::Paused { until: "then".to_owned() });
    assert_eq!(remember(&mut desk, 70, paused, summary(0, 0, 0)), (0, Some(4), Some((0, 2))));
    let stopped = Err(client::Error::Stopped.into());
    assert_eq!(remember(&mut desk, 80, stopped, summary(9, 1, 0)), (0, Some(4), Some((80, 1))));
    assert_eq!(remember(&mut desk, 90, Err(passing()), summary(0, 0, 0)), (75, None, Some((80, 1))));
    assert!(desk.memory.last.as_ref().unwrap().error.is_some());
    assert_eq!(remember(&mut desk, 95, Err(passing()), summary(3, 0, 0)), (75, Some(3), Some((80, 1))));
    let mut failing = summary(3, 0, 0);
    failing.put(condition(ConditionKind::MessagesFailed, false));
    assert_eq!(remember(&mut desk, 99, Ok(()), failing), (75, Some(3), Some((80, 1))));
    assert!(desk.memory.last.as_ref().unwrap().error.is_none());
}

/// A refused login of a command shows in `status`, and one that works takes that back; other conditions last.
#[test]
fn a_login_of_a_command_counts_as_a_run_s_does() {
    let mut desk = Desk::new();
    desk.at(0, |alerts, memory| alerts.note_login(memory, Some(&passing())));
    assert_eq!((&desk.memory.pause, &desk.memory.last), (&None, &None), "it proves nothing about the login");
    desk.at(0, |alerts, memory| alerts.note_login(memory, Some(&refused())));
    let last = desk.memory.last.clone().unwrap();
    assert_eq!((last.exit, last.server, last.mail), (ExitCode::Refused, None, None));
    assert!(last.error.unwrap().message.contains("refused the login"));
    assert!(desk.is_paused(60));
    desk.at(60, |alerts, memory| alerts.note_login(memory, None));
    let last = desk.memory.last.clone().unwrap();
    assert_eq!((last.exit, last.error), (ExitCode::Done, None));
    assert!(!desk.is_paused(61));
}

/// What is wrong with messages isn't over because a login works.
#[test]
fn a_login_that_works_takes_back_only_its_own_failure() {
    let mut desk = Desk::new();
    desk.meets(0, ConditionKind::MessagesFailed, false);
    desk.at(0, |alerts, memory| alerts.remember(memory, &Err(refused()), &RunSummary::default()));
    desk.at(60, |alerts, memory| alerts.note_login(memory, None));
    let last = desk.memory.last.clone().unwrap();
    assert_eq!((last.exit, last.error), (ExitCode::Later, None));
    // What ended the last run otherwise stays.
    let mut desk = Desk::new();
    desk.at(0, |alerts, memory| alerts.remember(memory, &Err(passing()), &RunSummary::default()));
    desk.at(60, |alerts, memory| alerts.note_login(memory, None));
    assert!(desk.memory.last.as_ref().unwrap().error.is_some());
}

/// What was known of the mailbox before a refused login stays known.
#[test]
fn a_refused_login_keeps_what_the_last_run_has_seen() {
    let mut desk = Desk::new();
    let summary = RunSummary { listed: 5, delivered: 2, ..RunSummary::default() };
    desk.at(0, |alerts, memory| alerts.remember(memory, &Ok(()), &summary));
    desk.at(60, |alerts, memory| alerts.note_login(memory, Some(&refused())));
    let last = desk.memory.last.clone().unwrap();
    assert_eq!((last.exit, last.server, last.mail), (ExitCode::Refused, Some(5), Some((NOW, 2))));
}

/// A lock that another popfetch holds for long is reported once, though nobody but its holder may write the memory.
#[test]
fn a_lock_that_is_held_for_long_is_reported_once() {
    let mut desk = Desk::new();
    let account = desk.home.account(SETTINGS);
    let directory = crate::ledger::directory(&desk.home.context().state, &account.mailbox());
    let stop = crate::signals::Stop::new().unwrap();
    let lock = crate::ledger::lock::Lock::acquire(&directory, crate::types::Wait::NO, &stop).unwrap();
    let ledger = crate::ledger::Ledger::open(&directory, &account.mailbox(), lock.clone(), NOW).unwrap();
    let since = crate::ledger::lock::Lock::held_since(&directory).unwrap().seconds_since(NOW);
    let locked = |desk: &mut Desk, seconds| desk.at(since + seconds, |alerts, _| alerts.locked());
    assert!(!locked(&mut desk, HOUR - 60));
    assert!(locked(&mut desk, HOUR + 60));
    assert!(!locked(&mut desk, HOUR + 120), "it was reported");
    assert!(locked(&mut desk, HOUR + DAY + 120), "and lasts still");
    // The next run that gets the lock knows of it, and says that it is over.
    drop(ledger);
    drop(lock);
    desk.at(since + 2 * DAY, |alerts, memory| alerts.unlocked(memory));
    assert_eq!(desk.ends(since + 2 * DAY, Ok(())), (true, false, true));
    let mut other = Memory::default();
    std::mem::swap(&mut desk.memory, &mut other);
    desk.at(since + 2 * DAY, |alerts, memory| alerts.unlocked(memory));
    assert!(desk.memory.alerts.is_empty(), "it is taken once");
}

/// The reason of a failure is kept while it lasts, though a run that doesn't try again doesn't see it.
#[test]
fn the_reason_of_a_failure_outlives_runs_that_did_not_try_again() {
    let mut desk = Desk::new();
    let met = |desk: &mut Desk, seconds, reason: Option<&str>| {
        let mut summary = RunSummary::default();
        let kind = ConditionKind::MessagesFailed;
        summary.put(Condition { reason: reason.map(str::to_owned), ..condition(kind, false) });
        desk.at(seconds, |alerts, memory| alerts.judge(memory, &Ok(()), &mut summary));
        desk.memory.alerts[kind.word()].lasting.as_ref().and_then(|lasting| lasting.reason.clone())
    };
    assert_eq!(met(&mut desk, 0, Some("quota")).as_deref(), Some("quota"));
    assert_eq!(met(&mut desk, 60, None).as_deref(), Some("quota"));
    assert_eq!(met(&mut desk, 120, Some("broken")).as_deref(), Some("broken"));
}

/// A program that the user wants to be run on failures hears of each once it counts, and of what was reported while it happened.
#[test]
fn a_condition_that_is_news_is_a_failure_of_the_run() {
    for (seconds, said, expected) in [(0, false, false), (HOUR, false, true), (0, true, true)] {
        let mut desk = Desk::new();
        desk.meets(0, ConditionKind::DeletionRefused, false);
        let mut summary = RunSummary::default();
        summary.put(condition(ConditionKind::DeletionRefused, said));
        let verdict = desk.at(seconds, |alerts, memory| alerts.judge(memory, &Ok(()), &mut summary));
        assert_eq!((verdict.failure, verdict.recovered), (expected, false), "{seconds} {said}");
    }
}

/// Notes of what was reported once are no failures, and are never over.
#[test]
fn a_note_stays_in_the_memory() {
    for (kind, expected) in
        [("passing", true), ("login", true), ("locked", true), ("messages-failed", true), ("a note", false)]
    {
        assert_eq!(super::is_failure(kind), expected, "{kind}");
    }
    let mut desk = Desk::new();
    desk.memory.alert("a note", NOW).reported = Some(NOW);
    assert_eq!(desk.ends(60, Ok(())), (true, false, false));
    assert!(desk.memory.alerts.contains_key("a note"));
}

/// A run that was stopped hasn't seen whether anything is over.
#[test]
fn a_run_that_was_stopped_ends_no_failure() {
    let mut desk = Desk::new();
    desk.meets(0, ConditionKind::MessagesFailed, true);
    desk.home.stop.raise();
    assert_eq!(desk.ends(DAY, Ok(())), (true, false, false));
    assert!(messages_reported(&desk.memory));
}

/// A server may write a whole page: what is kept of it has a bound.
#[test]
fn an_error_is_kept_in_a_bounded_form() {
    let mut desk = Desk::new();
    let long = Error::Refuses { text: "x".repeat(100_000) };
    desk.at(0, |alerts, memory| alerts.remember(memory, &Err(long), &RunSummary::default()));
    let error = desk.memory.last.as_ref().unwrap().error.clone().unwrap();
    assert!(error.message.chars().count() <= super::LONGEST);
    assert_eq!(error.exit, ExitCode::Later);
}
