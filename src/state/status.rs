//! How an account's mailbox stands, from what the last runs have written into its memory and from the files' metadata: the
//! ledger isn't opened, no lock is taken, nothing is waited for.

use std::path::{Path, PathBuf};

use crate::access;
use crate::account::{Account, PasswordSource};
use crate::clock;
use crate::exit::ExitCode;
use crate::ledger::lock::{Lock, LockStage, LockStatus};
use crate::ledger::memory::{LOCKED, LOGIN, LastRun, Lasting, Memory, PASSING};
use crate::ledger::{self, Ledger};
use crate::oauth;
use crate::problem::Problem as _;
use crate::text::count;
use crate::types::Time;

/// The finding of a login that was refused.
const REFUSED: &str = "login-refused";

/// How a mailbox stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailboxStatus {
    /// The directory of its state.
    pub directory: PathBuf,
    /// When the last run ended, or began where it hasn't ended.
    pub last_run: Option<Time>,
    /// Whether a run is at work.
    pub is_running: bool,
    /// The exit code that the last run would have had with this account alone; `None` where no run has ended.
    pub exit: Option<ExitCode>,
    /// When mail was last delivered, and how many messages.
    pub mail: Option<(Time, u64)>,
    /// How many messages the server held at the end of the last run; `None` where that took no listing.
    pub server: Option<u64>,
    /// How many of them are new, and were left by a limit.
    pub postponed: u64,
    /// Messages that fail, and stay on the server.
    pub failed: u64,
    /// What to report of it; what needs the user comes first.  Empty when all is well.
    pub findings: Vec<Finding>,
}

/// Something about a mailbox that isn't as it is on a quiet day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Its kind: a word for programs.
    pub kind: String,
    /// What it is, one sentence.
    pub message: String,
    pub hint: Option<String>,
    /// Messages that it is about.
    pub messages: u64,
    /// Since when it lasts.
    pub since: Option<Time>,
    /// When it is tried again.
    pub next: Option<Time>,
    /// Whether it needs the user: it doesn't pass on its own, or has lasted for longer than `alert-after`.
    pub needs_you: bool,
}

impl Finding {
    fn new(kind: &str, message: impl Into<String>, needs_you: bool) -> Self {
        let (kind, message) = (kind.to_owned(), message.into());
        Self { kind, message, hint: None, messages: 0, since: None, next: None, needs_you }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The sentence with its times: `… (since 23 Nov; next try 14:05)`.
    #[must_use]
    pub(crate) fn line(&self, now: Time) -> String {
        let since = self.since.map(|since| format!("since {}", clock::since(since, now)));
        let next =
            self.next.filter(|next| *next > now).map(|next| format!("next try {}", clock::due(next, now)));
        let times: Vec<String> = since.into_iter().chain(next).collect();
        if times.is_empty() {
            return self.message.clone();
        }
        format!("{} ({})", self.message, times.join("; "))
    }
}

impl MailboxStatus {
    /// How the account's mailbox stands `now`; `state` is the directory of all state.
    #[must_use]
    pub(crate) fn of(account: &Account, state: &Path, now: Time) -> Self {
        let directory = ledger::directory(state, &account.mailbox());
        let memory = Memory::load(&directory);
        let seen = Lock::look(&directory);
        let last = memory.last.as_ref();
        let judge = Judge { account, directory: &directory, memory: &memory, seen, state, now };
        let mut findings = judge.findings();
        // Stable: what was found first stays first.
        findings.sort_by_key(|finding| !finding.needs_you);
        let failing = |lasting: &Lasting| lasting.messages;
        Self {
            last_run: seen.and_then(|seen| seen.last_run),
            is_running: seen.is_some_and(|seen| seen.stage == LockStage::AtWork),
            exit: last.map(|last| last.exit),
            mail: last.and_then(|last| last.mail),
            server: last.and_then(|last| last.server),
            postponed: last.map_or(0, |last| last.postponed),
            failed: memory.alerts.values().filter_map(|alert| alert.lasting.as_ref()).map(failing).sum(),
            findings,
            directory,
        }
    }

    /// Whether anything needs the user.
    #[must_use]
    pub(crate) fn needs_you(&self) -> bool {
        self.findings.iter().any(|finding| finding.needs_you)
    }

    /// Whether the login was refused, and is not tried again at once.
    #[must_use]
    pub(crate) fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind == REFUSED)
    }

    /// What comes first, in a word: `ok` when all is well.
    #[must_use]
    pub(crate) fn word(&self) -> &str {
        self.findings.first().map_or("ok", |finding| finding.kind.as_str())
    }
}

/// What the findings are made of.
struct Judge<'a> {
    account: &'a Account,
    directory: &'a Path,
    memory: &'a Memory,
    seen: Option<LockStatus>,
    state: &'a Path,
    now: Time,
}

/// So long before a login ends it needs the user.
const WARNED_BEFORE: i64 = 3 * 86_400;

impl Judge<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.place().into_iter().chain(self.run()).collect();
        findings.extend(self.held());
        findings.extend(self.error());
        findings.extend(self.conditions());
        findings.extend(self.login());
        let postponed = self.memory.last.as_ref().map_or(0, |last| last.postponed);
        if postponed > 0 {
            let wait = if postponed == 1 { "waits" } else { "wait" };
            let message = format!("{} {wait} for the next run, by a limit", count(postponed, "new message"));
            findings.push(Finding { messages: postponed, ..Finding::new("postponed", message, false) });
        }
        findings
    }

    /// What is wrong with the directory itself.
    fn place(&self) -> Option<Finding> {
        if let Err(e) = access::check_path(self.directory) {
            return Some(Finding::new("state-exposed", e.what, true).hint(e.hint));
        }
        // Where a memory was saved, a ledger was.
        let lost = *self.memory != Memory::default() && Ledger::octets(self.directory).unwrap_or(0) == 0;
        lost.then(|| {
            let e = ledger::Error::missing(self.directory);
            let finding = Finding::new("state-missing", e.to_string(), true);
            Finding { hint: e.hint().map(Into::into), ..finding }
        })
    }

    /// Whether a run is at work, was interrupted, or has never been.
    fn run(&self) -> Option<Finding> {
        let Some(LockStatus { last_run: last_run @ Some(_), stage }) = self.seen else {
            let hint = format!("popfetch {} fetches its mail", self.account.name);
            return Some(Finding::new("never-run", "never run", true).hint(hint));
        };
        let finding = match stage {
            LockStage::Ended => return None,
            LockStage::AtWork => Finding::new("running", "running now", false),
            LockStage::BrokenOff => Finding::new("interrupted", "the last run was interrupted", false)
                .hint("nothing is lost: the next run puts it right"),
        };
        Some(Finding { since: last_run, ..finding })
    }

    /// Whether another popfetch has had the mailbox for so long that a run has reported it.
    fn held(&self) -> Option<Finding> {
        let reports = Memory::load_reports(self.directory);
        let alert = reports.alerts.get(LOCKED).filter(|alert| alert.reported.is_some())?;
        let is_the_same = Lock::held_since(self.directory) == Some(alert.since);
        is_the_same.then(|| {
            let finding =
                Finding::new("locked", "another popfetch does not end its work on this mailbox", true)
                    .hint("end it, if it hangs: the next run puts right what it leaves");
            Finding { since: Some(alert.since), ..finding }
        })
    }

    /// Whether an OAuth login ends soon, however much it is used.
    fn login(&self) -> Option<Finding> {
        let PasswordSource::OAuth(settings) = &self.account.password else { return None };
        let ends = oauth::end_of_login(&self.account.user, settings, self.state)?;
        let left = ends.seconds_since(self.now);
        (left < WARNED_BEFORE).then(|| {
            let message = match left {
                ..=0 => "the login has ended".to_owned(),
                _ => format!("the login ends {}", clock::due(ends, self.now)),
            };
            Finding::new("login-ends", message, true)
                .hint(format!("log in again: popfetch auth login {}", self.account.name))
        })
    }

    /// What ended the last run.
    fn error(&self) -> Option<Finding> {
        let error = self.memory.last.as_ref()?.error.as_ref()?;
        let since = |kind| self.memory.alerts.get(kind).map(|alert| alert.since);
        let finding = match &self.memory.pause {
            Some(pause) => Finding {
                since: since(LOGIN),
                next: Some(pause.until),
                ..Finding::new(REFUSED, &error.message, true)
            },
            None if error.exit == ExitCode::Later => {
                let since = since(PASSING);
                let lasts = since.map_or(0, |since| self.now.seconds_since(since));
                let patience = i64::try_from(self.account.alert_after.as_secs()).unwrap_or(i64::MAX);
                let needs_you = since.is_some() && lasts >= patience;
                Finding { since, ..Finding::new("passing", &error.message, needs_you) }
            }
            None => Finding::new("error", &error.message, true),
        };
        Some(Finding { hint: error.hint.clone(), ..finding })
    }

    /// What is wrong although the runs go on.
    fn conditions(&self) -> Vec<Finding> {
        // What may be chance doesn't count in the first run that meets it.
        let counts = self.memory.last.as_ref().is_none_or(|LastRun { exit, .. }| *exit != ExitCode::Done);
        let lasting = self
            .memory
            .alerts
            .iter()
            .filter_map(|(kind, alert)| Some((kind, alert, alert.lasting.as_ref()?)));
        lasting
            .map(|(kind, alert, Lasting { messages, message, hint, reason, next, .. })| {
                let message = match reason {
                    Some(reason) => {
                        let fail = if *messages == 1 { "fails" } else { "fail" };
                        format!("{} {fail}: {reason}", count(*messages, "message"))
                    }
                    None => message.clone(),
                };
                // What is tried again has its time in the sentence; the rest lasts.
                let since = reason.is_none().then_some(alert.since);
                let (hint, messages, next) = (hint.clone(), *messages, *next);
                Finding { hint, messages, since, next, ..Finding::new(kind, message, counts) }
            })
            .collect()
    }
}
