//! An account's destinations: those that its configuration names, and, opened for one run, the network's ends and the
//! committer's, under the numbers that the ledger knows them by.

use std::sync::Arc;

use super::committer::CommitterEnd;
use super::error::Error;
use super::recovery::Settling;
use super::run::Run;
use crate::account::{Retention, SyncMode};
use crate::clock;
use crate::delivery::routing::{NetworkEnd, NetworkEnds};
use crate::delivery::{self, Destination, Opening, Order};
use crate::exit::ExitCode;
use crate::ledger::Ledger;
use crate::proof::DestinationName;
use crate::report::Event;

/// All destinations of an account.
pub(super) struct OpenDestinations {
    pub(super) network_ends: NetworkEnds,
    pub(super) committer_ends: Vec<CommitterEnd>,
}

impl OpenDestinations {
    /// For a session that delivers nothing.
    pub(super) fn none() -> Self {
        Self { network_ends: NetworkEnds::new(None), committer_ends: Vec::new() }
    }

    /// Opens them, creating what may be created.  Before anything is retrieved: a destination that's not fit is reported
    /// while nothing is in flight.
    pub(super) fn open(run: &Run<'_>, ledger: &mut Ledger) -> Result<Self, Error> {
        let mut destinations = Self::none();
        let mut wanted = run.destinations().0;
        wanted.sort_by_cached_key(|wanted| wanted.order());
        one_name_each(&wanted)?;
        let deletes = run.options.retention.unwrap_or(run.account.retention) != Retention::Keep;
        let syncs = deletes && run.account.sync != SyncMode::Off;
        for wanted in wanted {
            wanted.allowed()?;
            let name = wanted.name();
            let opened = wanted.open(opening(run, ledger, &name))?;
            let id = ledger.enter_destination(&name, opened.inode)?;
            destinations.network_ends.push(NetworkEnd { id, inlet: opened.inlet });
            let (one_by_one, sync_after) = (wanted.hands_over(), wanted.leaves_unsynced() && syncs);
            destinations.committer_ends.push(CommitterEnd {
                id,
                one_by_one,
                sync_after,
                outlet: opened.outlet,
            });
        }
        ledger.flush()?;
        Ok(destinations)
    }
}

/// An mbox that an account has under two names would wait for itself.
fn one_name_each(wanted: &[Box<dyn Destination + '_>]) -> Result<(), delivery::Error> {
    let orders: Vec<Order> = wanted.iter().map(|wanted| wanted.order()).collect();
    for (at, (order, one)) in orders.iter().zip(wanted).enumerate() {
        let mut before = orders.iter().zip(wanted).take(at);
        if let Some((_, other)) = before.find(|(before, _)| order.is_same_file(before)) {
            return Err(delivery::Error::unfit(
                ExitCode::Configuration,
                format!("{} and {} are one file", other.described(), one.described()),
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
