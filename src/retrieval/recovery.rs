//! What a killed run has left: settled before anything else, without the network.
//!
//! Each open `staged` line is settled in the destination that the line names, whatever today's configuration is.  A
//! destination that cannot be looked at settles nothing: its lines stay open, and the run ends when the others are settled.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::deliveries::DeliveryReports;
use super::error::Error;
use super::run::Run;
use crate::access::Owner;
use crate::clock;
use crate::delivery::mbox;
use crate::delivery::neighbours::{Neighbour, Neighbours};
use crate::delivery::{self, Settler, Surroundings, Unsettled};
use crate::ledger::lock::Lock;
use crate::ledger::{self, Ledger};
use crate::proof::{DestinationKind, DestinationName, DestinationRecord, Intent, IntentId};
use crate::report::{Event, RunSummary};
use crate::signals::Stop;
use crate::types::{Wait, wide};

/// Settles every open line of this ledger.
pub(super) fn recover(run: &Run<'_>, ledger: &mut Ledger, summary: &mut RunSummary) -> Result<(), Error> {
    let around = run.surroundings();
    let SettledIntents { delivered, dropped, failed, published } = settle(ledger, around, |_| true);
    if delivered > 0 || dropped > 0 {
        run.report(&Event::Recovered { delivered, dropped });
        summary.delivered = summary.delivered.saturating_add(delivered);
        DeliveryReports::new(run, ledger).settled(&published);
    }
    if let Some((name, e)) = failed.into_iter().next() {
        return Err(Error::Delivery(release_hint(run, &name, e)));
    }
    delivery::clean_up(around, ledger.id(), &ledger.intents())?;
    Ok(())
}

/// Where a destination is out of reach: how its unfinished deliveries can be given up.
fn release_hint(run: &Run<'_>, name: &DestinationName, e: delivery::Error) -> delivery::Error {
    let delivery::Error::Later { what, hint } = e else { return e };
    let account = &run.account.name;
    let command = match run.destinations().has(name) {
        true => format!("popfetch state release {account} --destination '{}'", name.shown()),
        false => format!("popfetch state release {account}"),
    };
    delivery::Error::later(what, format!("{hint}; or give up what is unfinished there: {command}"))
}

/// What settling came to.
#[derive(Default)]
pub(super) struct SettledIntents {
    /// How many were delivered.
    pub(super) delivered: u64,
    /// How many come again.
    pub(super) dropped: u64,
    /// What was delivered.
    pub(super) published: Vec<Intent>,
    /// The destinations that could not be settled, and why; their lines stay open.
    pub(super) failed: Vec<(DestinationName, delivery::Error)>,
}

/// Settles the open lines at the destinations wanted, with the rights of the surroundings' owner, if there is one.  One
/// that's out of reach keeps no other from being settled.
pub(super) fn settle(
    ledger: &mut Ledger,
    around: Surroundings<'_>,
    wanted: impl Fn(&DestinationName) -> bool,
) -> SettledIntents {
    let mut settled = SettledIntents::default();
    for destination in ledger.destinations().to_vec() {
        if !wanted(&destination.name) {
            continue;
        }
        let name = destination.name.clone();
        match settle_one(ledger, around, destination) {
            Ok(SettledIntents { delivered, dropped, published, .. }) => {
                settled.delivered = settled.delivered.saturating_add(delivered);
                settled.dropped = settled.dropped.saturating_add(dropped);
                settled.published.extend(published);
            }
            Err(e) => {
                let broken = matches!(e, delivery::Error::Ledger(_));
                settled.failed.push((name, e));
                if broken {
                    break;
                }
            }
        }
    }
    settled
}

/// Settles the open lines at one destination.
fn settle_one(
    ledger: &mut Ledger,
    around: Surroundings<'_>,
    destination: DestinationRecord,
) -> Result<SettledIntents, delivery::Error> {
    // Not the ledger's, which never runs back: a line from a future that the clock has left since must not look new.
    let now = clock::now();
    let intents: Vec<_> =
        ledger.intents().into_iter().filter(|intent| intent.destination == destination.id).collect();
    if intents.is_empty() {
        return Ok(SettledIntents::default());
    }
    let named = delivery::named(&destination.name, around);
    named.allowed()?;
    let unsettled = Unsettled { destination, intents };
    let mut settlement = Settlement { ledger, published: HashSet::new() };
    let recovered = named.recover(&unsettled, &mut settlement, now)?;
    let published = settlement.published;
    Ok(SettledIntents {
        delivered: wide(recovered.delivered),
        dropped: wide(recovered.again),
        published: unsettled.intents.into_iter().filter(|intent| published.contains(&intent.id)).collect(),
        failed: Vec::new(),
    })
}

/// The ledger, as a destination's recovery sees it.
struct Settlement<'a> {
    ledger: &'a mut Ledger,
    published: HashSet<IntentId>,
}

impl Settler for Settlement<'_> {
    fn delivered(&mut self, intents: &[IntentId]) -> Result<(), delivery::Error> {
        self.published.extend(intents);
        Ok(self.ledger.settle_delivered(intents)?)
    }

    fn dropped(&mut self, intents: &[IntentId]) -> Result<(), delivery::Error> {
        Ok(self.ledger.settle_dropped(intents)?)
    }

    fn sync(&mut self) -> Result<(), delivery::Error> {
        Ok(self.ledger.sync()?)
    }
}

/// Settles other ledgers' lines at an mbox before this run appends to it.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) state: PathBuf,
    pub(super) owner: Option<Owner>,
    pub(super) stop: Stop,
}

impl Neighbours for Settling {
    fn settle(&mut self, neighbour: &Neighbour, mbox: &Path) -> Result<bool, delivery::Error> {
        let lock = match Lock::acquire(&neighbour.directory, Wait::NO, &self.stop) {
            Ok(lock) => lock,
            Err(ledger::Error::Locked) => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        let directory = &neighbour.directory;
        let owner = self.owner.as_ref();
        let around = Surroundings {
            owner,
            stop: &self.stop,
            state_root: &self.state,
            state: directory,
            search: None,
            stdout_is_regular_file: false,
        };
        if let Some(mailbox) = Ledger::mailbox_of(directory)? {
            let mut ledger = Ledger::open(directory, &mailbox, lock.clone(), clock::now())?;
            if ledger.id() == neighbour.ledger {
                let here = |name: &DestinationName| {
                    let path = Path::new(OsStr::from_bytes(&name.address));
                    name.kind == DestinationKind::Mbox && mbox::leads_to(path, owner, mbox)
                };
                let settled = settle(&mut ledger, around, here);
                if let Some((_, e)) = settled.failed.into_iter().next() {
                    ledger.close()?;
                    return Err(e);
                }
            }
            ledger.sync()?;
            delivery::clean_up(around, ledger.id(), &ledger.intents())?;
            ledger.close()?;
        }
        mbox::forget(&self.state, &neighbour.ledger, mbox)?;
        drop(lock);
        Ok(true)
    }
}
