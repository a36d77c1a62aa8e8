//! What a run was asked for, and what surrounds it: the same for every account.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::account::Retention;
use crate::connection::Connectors;
use crate::credentials;
use crate::environment::Environment;
use crate::report::Reporter;
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text::shown_by;
use crate::types::{Selection, Wait};

/// What was asked for on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// `--keep`, `--delete`: in place of the account's own policy.
    pub retention: Option<Retention>,
    /// `--all`: what was retrieved before is retrieved again.
    pub all: bool,
    /// `--dry-run`: shows, and changes nothing.
    pub dry_run: bool,
    /// `--wait[=DURATION]`: waits for another popfetch to leave the mailbox; without a duration, for as long as it takes.
    pub wait: Wait,
    /// The user insists (the account was named, or there is a terminal): a pause after a refused login doesn't hold.
    pub insist: bool,
    /// `retry`: only messages that have failed are tried, and nothing else is done.
    pub retry: bool,
    /// Of them only these.
    pub only: Option<Selection>,
    /// How many messages are on their way in all accounts.
    pub under_way: UnderWay,
    /// What was typed before the run began.
    pub passwords: Passwords,
}

/// How many messages are on their way: asked for, and not yet settled.  Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnderWay(Arc<AtomicU64>);

impl UnderWay {
    /// How many there are now.
    #[must_use]
    pub(crate) fn messages(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Of those counted, a session had `before`, and has `now`.
    pub(super) fn change(&self, before: u64, now: u64) {
        match now.checked_sub(before) {
            Some(more) => self.0.fetch_add(more, Ordering::Relaxed),
            None => self.0.fetch_sub(before.saturating_sub(now), Ordering::Relaxed),
        };
    }
}

/// The surroundings, shared by every account's run.
#[derive(Clone)]
pub(crate) struct Context<'a> {
    /// The state directory, `$XDG_STATE_HOME/popfetch`.
    pub state: PathBuf,
    pub stop: Stop,
    /// TLS connectors, one for each set of trust settings.
    pub connectors: &'a Connectors,
    /// Takes the events.
    pub reporter: Arc<dyn Reporter>,
    /// This machine's name.
    pub host_name: String,
    /// The environment, as found at the start.
    pub environment: &'a Environment,
    /// Whether standard output is a regular file, which can be synced.
    pub stdout_is_regular_file: bool,
}

shown_by!(Context<'_>, state);

/// What was typed, by account, or why nothing was; each to be taken once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passwords(Arc<Mutex<HashMap<String, Result<Secret, credentials::Error>>>>);

impl Passwords {
    /// What the user has typed for one account.
    #[must_use]
    pub(crate) fn typed(account: &str, secret: Secret) -> Self {
        Self::all([(account.to_owned(), Ok(secret))].into())
    }

    /// What was typed for each account.
    pub(super) fn all(typed: HashMap<String, Result<Secret, credentials::Error>>) -> Self {
        Self(Arc::new(Mutex::new(typed)))
    }

    pub(super) fn take(&self, account: &str) -> Option<Result<Secret, credentials::Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(account)
    }
}
