//! What a run that died has left: settled before anything else, without the network.
//!
//! Each open `staged` line is settled in the destination that the line names, whatever today's configuration says.  A
//! destination that cannot be looked at settles nothing: its lines stay open, and the run ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::committer::ledger_error;
use super::error::Error;
use super::run::Run;
use crate::access::{self, Owner};
use crate::clock::Time;
use crate::delivery::mbox::{self, Neighbour, Neighbours};
use crate::delivery::owned::RootsSettler;
use crate::delivery::{self, Settler, Unsettled, maildir, pipe};
use crate::ledger::lock::Lock;
use crate::ledger::{self, Ledger};
use crate::proof::{DestinationKind, IntentId, NotedPlace};
use crate::report::{Event, Summary};
use crate::stop::Stop;

/// Settles every open line of this ledger.
pub(super) fn recover(
    run: &Run<'_>,
    ledger: &mut Ledger,
    directory: &Path,
    summary: &mut Summary,
) -> Result<(), Error> {
    let settled = settle(ledger, directory, run.account.owner.as_ref(), &run.context.stop, |_| true);
    let (delivered, dropped) = match settled {
        Ok(counts) => counts,
        Err(e) => return Err(Error::Delivery(e)),
    };
    if delivered > 0 || dropped > 0 {
        run.report(&Event::Recovered { delivered, dropped });
        summary.delivered = summary.delivered.saturating_add(delivered);
    }
    mbox::clean_up(&run.context.state, directory, ledger.id(), &ledger.intents())?;
    Ok(())
}

/// Settles the open lines at destinations of the kinds wanted, with the rights of `owner`, if there is one; how many were
/// delivered, and how many come again.
fn settle(
    ledger: &mut Ledger,
    directory: &Path,
    owner: Option<&Owner>,
    stop: &Stop,
    wanted: impl Fn(DestinationKind) -> bool,
) -> Result<(u64, u64), delivery::Error> {
    // Not the ledger's, which never runs back: a line from a future that the clock has left since must not look new.
    let now = Time::now();
    let (mut delivered, mut dropped) = (0_usize, 0_usize);
    for destination in ledger.destinations().to_vec() {
        if !wanted(destination.name.kind) {
            continue;
        }
        let intents: Vec<_> =
            ledger.intents().into_iter().filter(|intent| intent.destination == destination.id).collect();
        if intents.is_empty() {
            continue;
        }
        super::destinations::allowed(&destination.name, owner)?;
        let unsettled = Unsettled { destination, intents };
        let mut settler = Settlement(ledger);
        let (more_delivered, more_dropped) = match unsettled.destination.name.kind {
            DestinationKind::Maildir => {
                let _acting = access::act(owner)?;
                let mut settler = RootsSettler { inner: &mut settler, owner };
                let recovered = maildir::recover(&unsettled, &mut settler, now)?;
                (recovered.delivered, recovered.again)
            }
            DestinationKind::Mbox => {
                let recovered = mbox::recover(&unsettled, directory, &mut settler, now, owner, stop)?;
                (recovered.delivered, recovered.again)
            }
            DestinationKind::Pipe | DestinationKind::Stdout => {
                pipe::recover(&unsettled, &mut settler)?;
                (0, unsettled.intents.len())
            }
        };
        delivered = delivered.saturating_add(more_delivered);
        dropped = dropped.saturating_add(more_dropped);
    }
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Ok((wide(delivered), wide(dropped)))
}

/// The names of Maildir files that open lines still name: no clean-up touches them.
pub(super) fn maildir_names(ledger: &Ledger) -> Vec<String> {
    ledger
        .intents()
        .into_iter()
        .filter_map(|intent| match intent.place {
            NotedPlace::Maildir { name } => Some(name),
            NotedPlace::Mbox { .. } | NotedPlace::Handed => None,
        })
        .collect()
}

/// The ledger, as a destination's recovery sees it.
struct Settlement<'a>(&'a mut Ledger);

impl Settler for Settlement<'_> {
    fn delivered(&mut self, intents: &[IntentId]) -> Result<(), delivery::Error> {
        self.0.settle_delivered(intents).map_err(ledger_error)
    }

    fn dropped(&mut self, intents: &[IntentId]) -> Result<(), delivery::Error> {
        self.0.settle_dropped(intents).map_err(ledger_error)
    }

    fn sync(&mut self) -> Result<(), delivery::Error> {
        self.0.sync().map_err(ledger_error)
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
    fn settle(&mut self, neighbour: &Neighbour) -> Result<bool, delivery::Error> {
        let lock = match Lock::acquire(&neighbour.directory, Some(Some(Duration::ZERO)), &self.stop) {
            Ok(lock) => lock,
            Err(ledger::Error::Locked) => return Ok(false),
            Err(e) => return Err(ledger_error(e)),
        };
        let Some(mailbox) = Ledger::mailbox_of(&neighbour.directory).map_err(ledger_error)? else {
            return Ok(true);
        };
        let mut ledger =
            Ledger::open(&neighbour.directory, &mailbox, lock, Time::now()).map_err(ledger_error)?;
        let owner = self.owner.as_ref();
        settle(&mut ledger, &neighbour.directory, owner, &self.stop, |kind| kind == DestinationKind::Mbox)?;
        mbox::clean_up(&self.state, &neighbour.directory, ledger.id(), &ledger.intents())?;
        ledger.close().map_err(ledger_error)?;
        Ok(true)
    }
}
