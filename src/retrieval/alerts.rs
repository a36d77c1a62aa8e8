//! What `--quiet` reports of a failure, and when: one that may pass only once it has lasted, a refused login at once; again
//! if it still lasts after `remind-after`; and again when it is over.  And the pause that keeps a refused account from
//! being hammered.
//!
//! What ended a run and the conditions that it met are judged in the same way; only how soon differs.  Exit codes are
//! not softened by any of this; only what `--quiet` prints is.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::conditions;
use super::error::Error;
use super::run::Run;
use crate::client;
use crate::clock;
use crate::exit::ExitCode;
use crate::ledger::lock::Lock;
use crate::ledger::memory::{Alert, LOCKED, LOGIN, LastRun, Lasting, Memory, PASSING, Pause, Said};
use crate::problem::Problem as _;
use crate::report::{ConditionKind, Event, RunSummary};
use crate::text::shortened;
use crate::types::Time;

/// After the first refused login the next one waits this many seconds, after each further one twice as long.
const FIRST_PAUSE: i64 = 15 * 60;
/// No refused login makes the next one wait longer than this many seconds.
const LONGEST_PAUSE: i64 = 24 * 60 * 60;
/// Characters of an error at most that the memory keeps.
const LONGEST: usize = 1000;

/// What of a run is news, by the rules of `--quiet`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunNews {
    /// What ended the run is to be reported under `--quiet`.
    pub(super) news: bool,
    /// A failure is reported, or was during the run: it's new, or has lasted.
    pub(super) failure: bool,
    /// A failure that was reported is over.
    pub(super) recovered: bool,
}

impl RunNews {
    /// Of a failure that is news each time.
    pub(super) fn failed() -> Self {
        Self { news: true, failure: true, recovered: false }
    }
}

/// The judge of one run.
pub(super) struct Alerts<'a, 'b> {
    run: &'a Run<'b>,
    now: Time,
}

fn refuses_credentials(said: &Said) -> bool {
    said.exit == ExitCode::Refused
}

impl<'a, 'b> Alerts<'a, 'b> {
    pub(super) fn new(run: &'a Run<'b>) -> Self {
        Self { run, now: run.now }
    }

    /// Whether the login was refused not long ago, under the same configuration, and the user doesn't insist.
    pub(super) fn check_pause(&self, memory: &Memory) -> Result<(), Error> {
        let Some(pause) = &memory.pause else { return Ok(()) };
        // A clock that was set back must not make the pause last for ever.
        let holds = self.now >= pause.refused && self.now < pause.until;
        if holds && !self.run.options.insist && pause.configuration == self.run.configuration() {
            return Err(Error::Paused { until: clock::due(pause.until, self.now) });
        }
        Ok(())
    }

    /// Writes down how the run went, and decides of each condition whether it is news, and whether it counts yet; gives
    /// the same for what ended the run.
    pub(super) fn judge(
        &self,
        memory: &mut Memory,
        result: &Result<(), Error>,
        summary: &mut RunSummary,
    ) -> RunNews {
        let mut met: Vec<&str> = Vec::new();
        let mut verdict = RunNews::default();
        verdict.news = match result {
            Ok(()) => {
                memory.pause = None;
                // The user who corrected the password knows.
                let login = memory.alerts.remove(LOGIN);
                verdict.recovered = login.is_some_and(|alert| alert.reported.is_some());
                true
            }
            // It proves nothing about the server.
            Err(Error::Client(client::Error::Stopped)) => false,
            Err(e) => {
                if e.refuses_credentials() {
                    self.pause(memory);
                }
                match self.patience(e) {
                    Some((kind, patience)) => self.is_news(memory.alert(kind, self.now), patience, false),
                    None => true,
                }
            }
        };
        verdict.failure = verdict.news && result.is_err();
        for condition in &mut summary.conditions {
            let kind = condition.kind.word();
            met.push(kind);
            let is_first = !memory.alerts.contains_key(kind);
            let alert = memory.alert(kind, self.now);
            let reason_before = alert.lasting.take().and_then(|lasting| lasting.reason);
            let kept = conditions::kept(condition);
            // A run that doesn't try again doesn't see why it failed.
            alert.lasting = Some(Lasting { reason: kept.reason.or(reason_before), ..kept });
            let patience = self.patience_for(condition.exit);
            condition.news = self.is_news(alert, patience, condition.said);
            verdict.failure |= condition.news || condition.said;
            if is_first && condition.kind.may_be_chance() {
                condition.exit = ExitCode::Done;
            }
        }
        if result.is_ok() && !self.run.context.stop.raised() && !self.run.options.retry {
            // A run that ended early, or had one purpose, hasn't seen whether anything is over.
            verdict.recovered |= self.over(memory, &met);
        }
        verdict
    }

    /// Writes down what the run came to, for `status`.  To be asked after [`Alerts::judge`].
    pub(super) fn remember(&self, memory: &mut Memory, result: &Result<(), Error>, summary: &RunSummary) {
        let before = memory.last.take();
        let mail = match summary.delivered {
            0 => before.as_ref().and_then(|last| last.mail),
            messages => Some((self.now, messages)),
        };
        memory.last = match (result, before) {
            // Neither shows anything new of the mailbox.
            (Err(Error::Paused { .. } | Error::Client(client::Error::Stopped)), Some(before)) => {
                Some(LastRun { mail, ..before })
            }
            (result, _) => {
                let error = result.as_ref().err().map(|e| self.said(e));
                let exit = error.as_ref().map_or(ExitCode::Done, |error| error.exit).merge(summary.exit());
                let is_listed = result.is_ok() || summary.listed > 0;
                let server = is_listed.then(|| summary.listed.saturating_sub(summary.deleted));
                Some(LastRun { exit, error, server, postponed: summary.postponed.messages, mail })
            }
        };
    }

    fn said(&self, e: &Error) -> Said {
        let server = self.run.server();
        let e = e.at(&server);
        let hint = e.hint().map(|hint| shortened(&hint, LONGEST).into_owned());
        Said { exit: e.exit_code(), message: shortened(&e.to_string(), LONGEST).into_owned(), hint }
    }

    /// What a command has shown of the login: a refused one isn't tried again at once, and `status` shows why.
    pub(super) fn note_login(&self, memory: &mut Memory, e: Option<&Error>) {
        match e {
            Some(e) if e.refuses_credentials() => {
                self.pause(memory);
                let (exit, error) = (e.exit_code(), Some(self.said(e)));
                let before = memory.last.take();
                memory.last = Some(match before {
                    Some(before) => LastRun { exit, error, ..before },
                    None => LastRun { exit, error, server: None, postponed: 0, mail: None },
                });
            }
            None => {
                memory.pause = None;
                let lasts = memory.alerts.values().any(|alert| alert.lasting.is_some());
                if let Some(last) =
                    memory.last.as_mut().filter(|last| last.error.as_ref().is_some_and(refuses_credentials))
                {
                    last.error = None;
                    last.exit = if lasts { ExitCode::Later } else { ExitCode::Done };
                }
            }
            Some(_) => {}
        }
    }

    /// Another popfetch has the mailbox, and its memory: whether that is news.
    pub(super) fn locked(&self) -> bool {
        let directory = &self.run.directory;
        // Since when is known by the lock itself; what is written down is only that it was reported.
        let since = Lock::held_since(directory).unwrap_or(self.now);
        let mut memory = Memory::load_reports(directory);
        let alert = memory.alert(LOCKED, since);
        if alert.since != since {
            // It was another one that was reported.
            *alert = Alert::since(since);
        }
        let news = self.is_news(alert, self.run.account.alert_after, false);
        if news && let Err(e) = memory.save_reports(directory) {
            self.run.detail(|| format!("that the lock was reported is not written down: {e}"));
        }
        news
    }

    /// The lock is ours: what was reported of it is over as soon as the run has gone well.
    pub(super) fn unlocked(&self, memory: &mut Memory) {
        memory.alerts.append(&mut Memory::take_reports(&self.run.directory).alerts);
    }

    /// Under which name an error that ended a run is remembered, and how long it may last before it is news; none where
    /// it is news each time, because the user must act.
    fn patience(&self, e: &Error) -> Option<(&'static str, Duration)> {
        match e {
            Error::Paused { .. } => Some((LOGIN, Duration::ZERO)),
            e if e.refuses_credentials() => Some((LOGIN, Duration::ZERO)),
            e if e.is_transient() => Some((PASSING, self.run.account.alert_after)),
            _ => None,
        }
    }

    fn patience_for(&self, exit: ExitCode) -> Duration {
        match exit {
            ExitCode::Done | ExitCode::Later => self.run.account.alert_after,
            _ => Duration::ZERO,
        }
    }

    fn pause(&self, memory: &mut Memory) {
        let configuration = self.run.configuration();
        let before = memory.pause.as_ref().filter(|pause| pause.configuration == configuration);
        let refusals = before.map_or(0, |pause| pause.refusals).saturating_add(1);
        if refusals == 1 {
            // What was reported was refused under another configuration, or before a success.
            memory.alerts.remove(LOGIN);
        }
        let doublings = refusals.saturating_sub(1).min(16);
        let length = FIRST_PAUSE.saturating_mul(1_i64 << doublings).min(LONGEST_PAUSE);
        memory.pause = Some(Pause {
            refusals,
            refused: self.now,
            until: Time(self.now.0.saturating_add(length)),
            configuration: configuration.to_owned(),
        });
    }

    /// Whether a failure is to be reported now.  `said`: it has been already.
    fn is_news(&self, alert: &mut Alert, patience: Duration, said: bool) -> bool {
        // After a clock that was set back it begins again.
        alert.since = alert.since.min(self.now);
        alert.reported = alert.reported.map(|at| at.min(self.now));
        let lasts = |since: Time| {
            Duration::from_secs(u64::try_from(self.now.seconds_since(since)).unwrap_or_default())
        };
        let due = match alert.reported {
            None => lasts(alert.since) >= patience,
            Some(at) => lasts(at) >= self.run.account.remind_after,
        };
        if due || said {
            alert.reported = Some(self.now);
        }
        due && !said
    }

    /// All that this run hasn't met is over; what was reported of it, is reported to be.  Whether anything was.
    fn over(&self, memory: &mut Memory, met: &[&str]) -> bool {
        let (met, over): (BTreeMap<String, Alert>, BTreeMap<String, Alert>) =
            std::mem::take(&mut memory.alerts)
                .into_iter()
                .partition(|(kind, _)| met.contains(&kind.as_str()) || !is_failure(kind));
        memory.alerts = met;
        let reported = || over.values().filter(|alert| alert.reported.is_some());
        for alert in reported() {
            let since = clock::since(alert.since, self.now);
            let what = alert.lasting.as_ref().map_or_else(String::new, |what| format!(": {}", what.message));
            self.run.report(&Event::Notice(format!("the failure since {since} is over{what}")));
        }
        reported().next().is_some()
    }
}

/// Whether an alert is of a failure; others are notes of what was reported once, and stay.
fn is_failure(kind: &str) -> bool {
    [PASSING, LOGIN, LOCKED].contains(&kind) || ConditionKind::ALL.iter().any(|known| known.word() == kind)
}

/// Whether messages that failed have been reported, and not to be over.
pub(super) fn messages_reported(memory: &Memory) -> bool {
    memory.alerts.get(ConditionKind::MessagesFailed.word()).is_some_and(|alert| alert.reported.is_some())
}

/// Whether messages wait that are tried again only later: then a quick poll does not answer a user who insists.
pub(super) fn messages_wait(memory: &Memory) -> bool {
    memory.alerts.contains_key(ConditionKind::MessagesFailed.word())
}
