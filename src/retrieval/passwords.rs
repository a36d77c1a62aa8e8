//! Passwords that are asked for at the terminal: all of them first, in the order of the accounts, before anything else is
//! shown there; and only those of accounts whose login will be tried.

use std::collections::HashMap;

use super::alerts::Alerts;
use super::context::{Context, Options, Passwords};
use super::run::Run;
use crate::account::{Account, Auth, PasswordSource};
use crate::clock;
use crate::credentials;
use crate::ledger::lock::Lock;
use crate::ledger::memory::Memory;
use crate::types::Wait;

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
    Passwords::all(typed)
}

/// Whether a login will be tried, as far as can be seen: it isn't paused, and no other popfetch has the mailbox.
fn will_log_in(account: &Account, options: &Options, context: &Context<'_>) -> bool {
    let run = Run::new(account, options, context, clock::now());
    if options.dry_run || !run.directory.is_dir() {
        return true;
    }
    let pauses = Alerts::new(&run).check_pause(&Memory::load(&run.directory)).is_err();
    !pauses && (options.wait != Wait::NO || !Lock::is_held(&run.directory))
}
