//! A Maildir behind the door that all destinations have.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::recovery::{clean, recover};
use super::store::{MaildirSettings, check, open};
use crate::access;
use crate::delivery::destination::{Destination, Opened, Opening, Order, Recovered, Surroundings};
use crate::delivery::owned::{self, RootsSettler};
use crate::delivery::{Error, Settler, Unsettled};
use crate::place::NotedPlace;
use crate::proof::{DestinationKind, DestinationName, Intent};
use crate::text;
use crate::types::Time;

/// A Maildir by its path.
pub(in crate::delivery) struct MaildirDestination<'a> {
    path: PathBuf,
    around: Surroundings<'a>,
}

impl<'a> MaildirDestination<'a> {
    pub(in crate::delivery) fn new(path: PathBuf, around: Surroundings<'a>) -> Self {
        Self { path, around }
    }
}

impl Destination for MaildirDestination<'_> {
    fn name(&self) -> DestinationName {
        let address = self.path.as_os_str().as_bytes().to_vec();
        DestinationName { kind: DestinationKind::Maildir, address }
    }

    fn described(&self) -> String {
        format!("Maildir {}", text::path(&self.path))
    }

    fn order(&self) -> Order {
        Order::Directory(self.path.clone())
    }

    fn allowed(&self) -> Result<(), access::Error> {
        access::check_destination(&self.path, &["cur", "new", "tmp"], self.around.owner)
    }

    fn check(&self) -> Result<(), Error> {
        let _acting = access::act(self.around.owner)?;
        check(&self.path, false)
    }

    fn open(&self, opening: Opening<'_>) -> Result<Opened, Error> {
        let owner = self.around.owner;
        let _acting = access::act(owner)?;
        if self.path.is_dir() {
            let is_named = |name: &str| opening.intents.iter().any(|intent| names(intent, name));
            clean(&self.path, opening.ledger, &is_named)?;
        }
        let settings = MaildirSettings {
            ledger: opening.ledger.to_owned(),
            host: opening.host.to_owned(),
            sync: opening.sync,
            may_create: !opening.delivered,
        };
        let Opened { inlet, outlet, inode } = open(&self.path, &settings)?;
        Ok(Opened { inlet: owned::inlet(inlet, owner), outlet: owned::outlet(outlet, owner), inode })
    }

    fn recover(
        &self,
        unsettled: &Unsettled,
        settler: &mut dyn Settler,
        now: Time,
    ) -> Result<Recovered, Error> {
        let owner = self.around.owner;
        let _acting = access::act(owner)?;
        recover(unsettled, &mut RootsSettler { inner: settler, owner }, now)
    }
}

/// Whether an open line is about the file of that name: no clean-up touches it.
fn names(intent: &Intent, name: &str) -> bool {
    match &intent.place {
        NotedPlace::Maildir { name: named } => named == name,
        NotedPlace::Mbox { .. } | NotedPlace::Handed => false,
    }
}
