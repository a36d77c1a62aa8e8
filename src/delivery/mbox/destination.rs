//! An mbox behind the door that all destinations have.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use super::{MboxInlet, MboxOutlet, MboxSettings, check, real_path, recover};
use crate::access;
use crate::account::SyncMode;
use crate::delivery::destination::{Destination, Opened, Opening, Order, Recovered, Surroundings};
use crate::delivery::{Error, Settler, Unsettled};
use crate::proof::{DestinationKind, DestinationName};
use crate::text;
use crate::types::Time;

/// An mbox by its path.
pub(in crate::delivery) struct MboxDestination<'a> {
    path: PathBuf,
    around: Surroundings<'a>,
}

impl<'a> MboxDestination<'a> {
    pub(in crate::delivery) fn new(path: PathBuf, around: Surroundings<'a>) -> Self {
        Self { path, around }
    }
}

impl Destination for MboxDestination<'_> {
    fn name(&self) -> DestinationName {
        DestinationName { kind: DestinationKind::Mbox, address: self.path.as_os_str().as_bytes().to_vec() }
    }

    fn described(&self) -> String {
        format!("mbox {}", text::path(&self.path))
    }

    fn order(&self) -> Order {
        Order::LockedFile(real_path(&self.path, self.around.owner))
    }

    fn allowed(&self) -> Result<(), access::Error> {
        access::check_destination(&self.path, &[], self.around.owner)
    }

    fn check(&self) -> Result<(), Error> {
        check(&self.path, self.around, None, Duration::ZERO).map(|_| ())
    }

    fn open(&self, opening: Opening<'_>) -> Result<Opened, Error> {
        let unsettled = check(&self.path, self.around, Some(opening.ledger), MboxSettings::PATIENCE)?;
        let Surroundings { owner, stop, state_root, state, .. } = self.around;
        let settings = MboxSettings {
            path: self.path.clone(),
            owner: owner.cloned(),
            state_root: state_root.to_owned(),
            state: state.to_owned(),
            ledger: opening.ledger.to_owned(),
            sync: opening.sync != SyncMode::Off,
            patience: MboxSettings::PATIENCE,
            stop: stop.clone(),
        };
        let mut outlet = MboxOutlet::new(settings, opening.neighbours, opening.warn);
        if unsettled {
            // There may be nothing to deliver, and its own run may never come.
            outlet.settle_neighbours()?;
        }
        Ok(Opened {
            inlet: Box::new(MboxInlet::new(state.to_owned(), opening.clock)),
            outlet: Box::new(outlet),
            inode: None,
        })
    }

    fn recover(
        &self,
        unsettled: &Unsettled,
        settler: &mut dyn Settler,
        now: Time,
    ) -> Result<Recovered, Error> {
        let Surroundings { owner, stop, state, .. } = self.around;
        recover(unsettled, state, settler, now, owner, stop)
    }
}
