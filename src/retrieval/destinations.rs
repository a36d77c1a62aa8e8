//! An account's destinations: those that its configuration names, and, opened for one run, the network's ends and the
//! committer's, under the numbers that the ledger knows them by.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use super::committer::Exit;
use super::error::Error;
use super::recovery::Settling;
use super::run::{Context, Run};
use crate::access;
use crate::account::{Account, Retention, SyncMode};
use crate::clock;
use crate::delivery::routing::{NetworkEnd, NetworkEnds};
use crate::delivery::{self, Destination, Opening, Order, Surroundings, destination};
use crate::exit::ExitCode;
use crate::ledger::Ledger;
use crate::proof::{DestinationId, DestinationName};
use crate::report::Event;

/// All destinations of an account.
pub(super) struct Destinations {
    pub(super) entrances: NetworkEnds,
    pub(super) exits: Vec<Exit>,
}

impl Destinations {
    /// Opens them, creating what may be created.  Before anything is retrieved: a destination that's not fit is reported
    /// while nothing is in flight.
    pub(super) fn open(run: &Run<'_>, ledger: &mut Ledger, directory: &Path) -> Result<Self, Error> {
        let mut destinations = Self { entrances: NetworkEnds::new(None), exits: Vec::new() };
        let mut wanted = Configured::of(run.account, run.context, directory).0;
        wanted.sort_by_cached_key(|wanted| wanted.order());
        one_name_each(&wanted)?;
        let deletes = run.options.retention.unwrap_or(run.account.retention) != Retention::Keep;
        let syncs = deletes && run.account.sync != SyncMode::Off;
        for wanted in wanted {
            wanted.allowed()?;
            let name = wanted.name();
            let opened = wanted.open(opening(run, ledger, &name))?;
            let id = ledger.destination(&name, opened.inode)?;
            destinations.entrances.push(NetworkEnd { id, inlet: opened.inlet });
            let (one_by_one, sync_after) = (wanted.hands_over(), wanted.leaves_unsynced() && syncs);
            destinations.exits.push(Exit { id, one_by_one, sync_after, outlet: opened.outlet });
        }
        ledger.flush()?;
        Ok(destinations)
    }
}

/// The destinations that an account's configuration names, in its order.
pub(super) struct Configured<'a>(Vec<Box<dyn Destination + 'a>>);

impl<'a> Configured<'a> {
    /// `directory`: that of the account's ledger.
    pub(super) fn of(account: &'a Account, context: &'a Context<'_>, directory: &'a Path) -> Self {
        let around = surroundings(account, context, directory);
        Self(account.deliver.iter().map(|deliver| destination(deliver, around)).collect())
    }

    /// Whether all of them are there and fit: only then may a run that delivers nothing do without opening them, which
    /// is where it is reported what's wrong with one.
    pub(super) fn are_there(&self) -> bool {
        self.0.iter().all(|wanted| wanted.allowed().is_ok() && wanted.check().is_ok())
    }

    /// Whether mail may go to all of them.
    pub(super) fn allowed(&self) -> Result<(), access::Error> {
        self.0.iter().try_for_each(|wanted| wanted.allowed())
    }

    /// Whether any of them takes messages one by one.
    pub(super) fn hand_over(&self) -> bool {
        self.0.iter().any(|wanted| wanted.hands_over())
    }

    /// Whether one of them is what the ledger calls `name`.
    pub(super) fn has(&self, name: &DestinationName) -> bool {
        self.0.iter().any(|wanted| wanted.is_called(name))
    }

    /// The numbers of those that the ledger knows.
    pub(super) fn numbers(&self, ledger: &Ledger) -> Vec<DestinationId> {
        let names: Vec<DestinationName> = self.0.iter().map(|wanted| wanted.name()).collect();
        let known = ledger.destinations().iter().filter(|record| names.contains(&record.name));
        known.map(|record| record.id).collect()
    }
}

/// What the destinations of an account may use.
pub(super) fn surroundings<'a>(
    account: &'a Account,
    context: &'a Context<'_>,
    directory: &'a Path,
) -> Surroundings<'a> {
    Surroundings {
        owner: account.owner.as_ref(),
        stop: &context.stop,
        state_root: &context.state,
        state: directory,
        search: context.environment.variables.get(OsStr::new("PATH")).map(OsString::as_os_str),
        stdout_is_regular_file: context.stdout_is_regular_file,
    }
}

/// An mbox that an account has under two names would wait for itself.
fn one_name_each(sorted: &[Box<dyn Destination + '_>]) -> Result<(), delivery::Error> {
    for pair in sorted.windows(2) {
        if let [one, other] = pair
            && matches!(one.order(), Order::LockedFile(_))
            && one.order() == other.order()
        {
            return Err(delivery::Error::unfit(
                ExitCode::Configuration,
                format!("{} and {} are one file", one.described(), other.described()),
                "leave one of them out",
            ));
        }
    }
    Ok(())
}

fn opening<'a>(run: &Run<'a>, ledger: &'a Ledger, name: &DestinationName) -> Opening<'a> {
    let known = ledger.destinations().iter().find(|record| record.name == *name);
    let (reporter, account) = (Arc::clone(&run.context.reporter), run.account.name.clone());
    Opening {
        account: &run.account.name,
        server: &run.account.host,
        host: &run.context.host_name,
        sync: run.account.sync,
        ledger: ledger.id(),
        delivered: known.is_some_and(|record| ledger.has_delivered_to(record.id)),
        intents: ledger.intents(),
        neighbours: Box::new(Settling {
            state: run.context.state.clone(),
            owner: run.account.owner.clone(),
            stop: run.context.stop.clone(),
        }),
        warn: Box::new(move |text| reporter.report(&account, &Event::Warning(text))),
        clock: clock::now,
    }
}
