//! What a person hears of a failure, and when: a passing one only once it has lasted, a refused login at once but not at
//! every run; and the pause that keeps a refused account from being hammered.
//!
//! Exit codes are not softened by any of this; only what `--quiet` prints is.

use std::time::Duration;

use super::error::Error;
use super::run::Run;
use crate::clock::Time;
use crate::ledger::memory::{Alert, Memory, Pause};
use crate::message::date;
use crate::report::{Event, Summary};

/// After the first refused login the next one waits so long, after each further one twice as long,
const FIRST_PAUSE: i64 = 15 * 60;
/// but never longer.
const LONGEST_PAUSE: i64 = 24 * 60 * 60;
/// The alert of failures that pass by themselves.
const PASSING: &str = "passing";

/// The judge of one run.
pub(super) struct Alerts<'a, 'b> {
    run: &'a Run<'b>,
    now: Time,
}

impl<'a, 'b> Alerts<'a, 'b> {
    pub(super) fn new(run: &'a Run<'b>, now: Time) -> Self {
        Self { run, now }
    }

    /// Whether the login was refused not long ago, under the same configuration, and nobody is there who insists.
    pub(super) fn check_pause(&self, memory: &Memory) -> Result<(), Error> {
        let Some(pause) = &memory.pause else { return Ok(()) };
        // A clock that was set back must not make the pause last for ever.
        let holds = self.now >= pause.refused && self.now < pause.until;
        if holds && !self.run.options.insist && pause.configuration == self.run.fingerprint() {
            return Err(Error::Paused { until: date::rfc5322(pause.until) });
        }
        Ok(())
    }

    /// Writes the outcome down; whether a person should hear of it even if he asked for quiet.
    pub(super) fn judge(&self, memory: &mut Memory, result: &Result<(), Error>, summary: &Summary) -> bool {
        match result {
            Ok(()) => {
                memory.pause = None;
                if summary.trouble.is_none() {
                    self.over(memory);
                }
                true
            }
            Err(Error::Paused { .. }) => false,
            Err(Error::Client(e)) if e.refuses_credentials() => self.refused(memory),
            Err(e) if e.is_transient() => {
                // Whatever stopped it, the credentials are not known to be bad any more.
                self.passing(memory)
            }
            Err(_) => true,
        }
    }

    fn refused(&self, memory: &mut Memory) -> bool {
        let fingerprint = self.run.fingerprint();
        let before = memory.pause.as_ref().filter(|pause| pause.configuration == fingerprint);
        let refusals = before.map_or(0, |pause| pause.refusals).saturating_add(1);
        let doublings = refusals.saturating_sub(1).min(16);
        let length = FIRST_PAUSE.saturating_mul(1_i64 << doublings).min(LONGEST_PAUSE);
        memory.pause = Some(Pause {
            refusals,
            refused: self.now,
            until: Time(self.now.0.saturating_add(length)),
            configuration: fingerprint.to_owned(),
        });
        refusals == 1
    }

    fn passing(&self, memory: &mut Memory) -> bool {
        let index = match memory.alerts.iter().position(|alert| alert.kind == PASSING) {
            Some(index) => index,
            None => {
                memory.alerts.push(Alert { kind: PASSING.to_owned(), since: self.now, reported: None });
                memory.alerts.len().saturating_sub(1)
            }
        };
        let Some(alert) = memory.alerts.get_mut(index) else { return true };
        // After a clock that was set back it begins anew.
        if self.now < alert.since {
            alert.since = self.now;
        }
        let lasted = Duration::from_secs(u64::try_from(self.now.seconds_since(alert.since)).unwrap_or(0));
        if alert.reported.is_some() || lasted < self.run.account.alert_after {
            return false;
        }
        alert.reported = Some(self.now);
        true
    }

    fn over(&self, memory: &mut Memory) {
        let Some(index) = memory.alerts.iter().position(|alert| alert.kind == PASSING) else { return };
        let alert = memory.alerts.swap_remove(index);
        if alert.reported.is_some() {
            let since = date::rfc5322(alert.since);
            self.run.report(&Event::Notice(format!("the trouble since {since} is over")));
        }
    }
}
