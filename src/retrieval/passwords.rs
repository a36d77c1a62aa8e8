//! Passwords that are asked for at the terminal: all of them first, in the order of the accounts, before anything else is
//! shown there; and only those of accounts whose login will be tried.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::alerts::Alerts;
use super::context::{Context, Options};
use super::run::Run;
use crate::account::{Account, Auth, PasswordSource};
use crate::clock;
use crate::credentials::{self, Error};
use crate::ledger::lock::Lock;
use crate::ledger::{self, memory::Memory};
use crate::secret::Secret;
use crate::types::Wait;

/// What was typed, by account, or why nothing was; each to be taken once.
#[derive(Debug, Clone, Default)]
pub struct Passwords(Arc<Mutex<HashMap<String, Result<Secret, Error>>>>);

impl Passwords {
    /// What the user has typed for one account.
    #[must_use]
    pub fn typed(account: &str, secret: Secret) -> Self {
        Self(Arc::new(Mutex::new([(account.to_owned(), Ok(secret))].into())))
    }

    pub(super) fn take(&self, account: &str) -> Option<Result<Secret, Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(account)
    }
}

/// Asks for the passwords of these accounts that have no other source.
pub(super) fn ask(accounts: &[Account], options: &Options, context: &Context<'_>) -> Passwords {
    let asks = |account: &&Account| {
        matches!(account.password, PasswordSource::Prompt) && account.auth != Auth::External
    };
    let mut typed = HashMap::new();
    for account in accounts.iter().filter(asks).filter(|account| will_log_in(account, options, context)) {
        let run = Run::new(account, options, context, clock::now());
        let secret = credentials::obtain(account, &run.means()).map(|obtained| obtained.secret);
        let stopped = context.stop.raised();
        typed.insert(account.name.clone(), secret);
        if stopped {
            break;
        }
    }
    Passwords(Arc::new(Mutex::new(typed)))
}

/// Whether a login will be tried, as far as can be seen: it isn't paused, and no other popfetch has the mailbox.
fn will_log_in(account: &Account, options: &Options, context: &Context<'_>) -> bool {
    let directory = ledger::directory(&context.state, &account.mailbox());
    if options.dry_run || !directory.is_dir() {
        return true;
    }
    let run = Run::new(account, options, context, clock::now());
    let pauses = Alerts::new(&run).check_pause(&Memory::load(&directory)).is_err();
    !pauses && (options.wait != Wait::NO || !Lock::is_held(&directory))
}
