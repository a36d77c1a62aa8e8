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

#[cfg(test)]
mod tests {
    use super::{ask, will_log_in};
    use crate::account::{Account, Auth};
    use crate::ledger::lock::Lock;
    use crate::ledger::memory::{Memory, Pause};
    use crate::retrieval::Options;
    use crate::retrieval::run::Run;
    use crate::retrieval::trial::{Home, Letter};
    use crate::types::{Time, Wait};
    use std::time::Duration;

    /// Only what has no other source is asked for: a certificate is no password, and a configured one is there.
    #[test]
    fn nothing_is_asked_for_that_has_another_source() {
        let home = Home::holding(&[]);
        let external = Account { auth: Auth::External, ..home.account("") };
        let accounts = [home.account_with_password(""), external];
        let passwords = ask(&accounts, &Options::default(), &home.context());
        assert!(passwords.take("work").is_none());
    }

    /// A password isn't asked for in vain: not where another popfetch has the mailbox, nor where the login is paused.
    #[test]
    fn a_password_is_asked_for_only_where_a_login_will_be_tried() {
        let home = Home::holding(&[Letter::new("a", "a")]);
        let account = home.account("");
        let plain = Options::default;
        let will = |options: &Options| will_log_in(&account, options, &home.context());
        assert!(will(&plain()), "before the first run");
        home.run("");
        assert!(will(&plain()));
        let context = home.context();
        let (options, now) = (plain(), crate::clock::now());
        let run = Run::new(&account, &options, &context, now);
        let paused = Pause {
            refusals: 1,
            refused: Time(now.0 - 60),
            until: Time(now.0 + 600),
            configuration: run.configuration().to_owned(),
        };
        let mut memory = Memory::load(&run.directory);
        memory.pause = Some(paused);
        memory.save(&run.directory).unwrap();
        let insist = Options { insist: true, ..plain() };
        let dry = Options { dry_run: true, ..plain() };
        assert_eq!([&plain(), &insist, &dry].map(will), [false, true, true]);
        memory.pause = None;
        memory.save(&run.directory).unwrap();
        let _held = Lock::acquire(&run.directory, Wait::NO, &home.stop).unwrap();
        let wait = Options { wait: Wait::AtMost(Duration::from_secs(5)), ..plain() };
        assert_eq!([&plain(), &insist, &wait, &dry].map(will), [false, false, true, true]);
    }
}
