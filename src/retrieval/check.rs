//! Tries what an account's configuration names, and delivers, retrieves and changes nothing: its destinations, where its
//! password comes from, and, if asked to, the login.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::context::{Context, Options};
use super::error::Error;
use super::login::log_in;
use super::run::Run;
use crate::access;
use crate::account::{Account, Auth, Deliver, PasswordSource};
use crate::clock;
use crate::delivery::{self, Destination};
use crate::durable;
use crate::ledger::Ledger;
use crate::ledger::memory::Memory;
use crate::report::ReportedError;

/// Something that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    /// What it was, for people.
    pub what: String,
    pub failure: Option<ReportedError>,
}

/// Tries the destinations that `account` names.
#[must_use]
pub(crate) fn destinations(account: &Account, context: &Context<'_>) -> Vec<Checked> {
    let options = Options::default();
    let run = Run::new(account, &options, context, clock::now());
    let configured = run.destinations();
    let each = account.deliver.iter().zip(&configured.0);
    let tried = each.map(|(deliver, destination)| {
        let failure = place(account, deliver, destination.as_ref(), &run.directory).err();
        Checked { what: destination.described(), failure: failure.map(|e| run.failure(&e)) }
    });
    tried.collect()
}

/// Tries everything that `account` names; its login too if `login`.  May run a program, or ask for a password.
#[must_use]
pub(crate) fn check(account: &Account, context: &Context<'_>, login: bool) -> Vec<Checked> {
    let options = Options { insist: true, ..Options::default() };
    let run = Run::new(account, &options, context, clock::now());
    let server = run.server();
    let checked = |what: String, result: Result<(), Error>| Checked {
        what,
        failure: result.err().map(|e| run.failure(&e)),
    };
    let mut all =
        vec![checked("state directory".to_owned(), access::check_path(&run.directory).map_err(Error::from))];
    all.extend(destinations(account, context));
    let asks = matches!(account.password, PasswordSource::Prompt) && account.auth != Auth::External;
    if asks && !login {
        all.push(checked("password, asked for in each run".to_owned(), Ok(())));
        return all;
    }
    let what = if matches!(account.password, PasswordSource::OAuth(_)) { "token" } else { "password" };
    match run.secret() {
        Ok(secret) => {
            all.push(checked(what.to_owned(), Ok(())));
            if login {
                // What is learnt of the server here is not kept: it is a look, not a run.
                let mut memory = Memory::load(&run.directory);
                let tried = log_in(&run, &mut memory, &secret, None)
                    .and_then(|client| client.quit_without_answer().map_err(Error::from));
                all.push(checked(format!("login at {server}"), tried));
            }
        }
        Err(e) => all.push(checked(what.to_owned(), Err(e))),
    }
    all
}

/// Whether mail may go there, and could: nothing is left there.
fn place(
    account: &Account,
    deliver: &Deliver,
    destination: &dyn Destination,
    directory: &Path,
) -> Result<(), Error> {
    destination.allowed()?;
    let _acting = access::act(account.owner.as_ref())?;
    match deliver {
        // The first run makes it; a later one doesn't.
        Deliver::Maildir(path) if path.symlink_metadata().is_err() => {
            let may_create = !has_delivered(account, destination, directory)?;
            Ok(delivery::maildir::check(path, may_create)?)
        }
        Deliver::Maildir(path) => {
            destination.check()?;
            Ok(["tmp", "new"].iter().try_for_each(|folder| may_write(&path.join(folder)))?)
        }
        _ => Ok(destination.check()?),
    }
}

/// Whether a run has delivered there.
fn has_delivered(account: &Account, destination: &dyn Destination, directory: &Path) -> Result<bool, Error> {
    if !Ledger::exists(directory) {
        return Ok(false);
    }
    let ledger = Ledger::read(directory, &account.mailbox(), clock::now())?;
    let known = ledger.destinations().iter().find(|record| destination.is_called(&record.name));
    Ok(known.is_some_and(|record| ledger.has_delivered_to(record.id)))
}

fn may_write(directory: &Path) -> Result<(), delivery::Error> {
    durable::may_write(directory).map_err(|e| durable::Error::new(durable::Step::Open, directory, e).into())
}
