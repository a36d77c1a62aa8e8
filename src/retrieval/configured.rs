//! The destinations that an account's configuration names, before any is opened.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::context::Context;
use crate::access;
use crate::account::Account;
use crate::delivery::{Destination, Surroundings, destination};
use crate::ledger::Ledger;
use crate::proof::{DestinationId, DestinationName};

/// The destinations that an account's configuration names, in its order.
pub(super) struct ConfiguredDestinations<'a>(pub(super) Vec<Box<dyn Destination + 'a>>);

impl<'a> ConfiguredDestinations<'a> {
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
