//! A destination in the hands of the user that `owner` names: everything done there is done with that user's rights, and
//! what goes to the ledger meanwhile is written by root, whose ledger it is.

use super::{Error, Failure, Inlet, Intake, Outlet, Recorder, Settler, Waiting};
use crate::access::{AsRoot, Owner};
use crate::message::Facts;
use crate::proof::{IntentId, Noted, Piece, Published, Staged};
use crate::text::shown_by;

/// The network's end, used as `owner`.
#[must_use]
pub(crate) fn inlet(inner: Box<dyn Inlet>, owner: Option<&Owner>) -> Box<dyn Inlet> {
    match owner {
        Some(owner) => Box::new(OwnedInlet { inner, owner: owner.clone() }),
        None => inner,
    }
}

/// The committer's end, used as `owner`.
#[must_use]
pub(crate) fn outlet(inner: Box<dyn Outlet>, owner: Option<&Owner>) -> Box<dyn Outlet> {
    match owner {
        Some(owner) => Box::new(OwnedOutlet { inner, owner: owner.clone() }),
        None => inner,
    }
}

struct OwnedInlet {
    inner: Box<dyn Inlet>,
    owner: Owner,
}

impl Inlet for OwnedInlet {
    fn open(&mut self) -> Result<Box<dyn Intake>, Error> {
        let _acting = self.owner.act()?;
        Ok(Box::new(OwnedIntake { inner: self.inner.open()?, owner: self.owner.clone() }))
    }

    fn reads_back(&self) -> bool {
        self.inner.reads_back()
    }

    fn cut(&mut self) {
        self.inner.cut();
    }
}

struct OwnedIntake {
    inner: Box<dyn Intake>,
    owner: Owner,
}

impl Intake for OwnedIntake {
    fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        // The user's quota holds for what is written, too.
        let _acting = self.owner.act()?;
        self.inner.write(text)
    }

    fn prepend(&mut self, prefix: &[u8]) -> Result<(), Error> {
        let _acting = self.owner.act()?;
        self.inner.prepend(prefix)
    }

    fn finish(self: Box<Self>, facts: &Facts) -> Result<Waiting, Error> {
        let _acting = self.owner.act()?;
        self.inner.finish(facts)
    }

    fn abandon(self: Box<Self>) {
        // What can't be removed now is removed by the next clean-up.
        if let Ok(_acting) = self.owner.act() {
            self.inner.abandon();
        }
    }
}

struct OwnedOutlet {
    inner: Box<dyn Outlet>,
    owner: Owner,
}

impl Outlet for OwnedOutlet {
    fn stage(&mut self, pieces: Vec<Piece>) -> Result<Vec<Staged>, Error> {
        let _acting = self.owner.act()?;
        self.inner.stage(pieces)
    }

    fn publish(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), Error> {
        let _acting = self.owner.act()?;
        self.inner.publish(noted, &mut RootsRecorder { inner: recorder, owner: &self.owner })
    }

    fn withdraw(&mut self, pieces: Vec<Piece>) {
        if let Ok(_acting) = self.owner.act() {
            self.inner.withdraw(pieces);
        }
    }
}

/// The ledger, used by a thread that acts as a user.
struct RootsRecorder<'a> {
    inner: &'a mut dyn Recorder,
    owner: &'a Owner,
}

impl Recorder for RootsRecorder<'_> {
    fn published(&mut self, piece: Published) -> Result<(), Error> {
        let _root = AsRoot::while_acting_as(Some(self.owner));
        self.inner.published(piece)
    }

    fn failed(&mut self, piece: Noted, failure: Failure) -> Result<(), Error> {
        let _root = AsRoot::while_acting_as(Some(self.owner));
        self.inner.failed(piece, failure)
    }

    fn sync(&mut self) -> Result<(), Error> {
        let _root = AsRoot::while_acting_as(Some(self.owner));
        self.inner.sync()
    }
}

/// The ledger, settled by a thread that acts as `owner`, if there is one.
pub(crate) struct RootsSettler<'a> {
    pub inner: &'a mut dyn Settler,
    /// Whom the thread acts as.
    pub owner: Option<&'a Owner>,
}

shown_by!(RootsSettler<'_>, owner);

impl Settler for RootsSettler<'_> {
    fn delivered(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        let _root = AsRoot::while_acting_as(self.owner);
        self.inner.delivered(intents)
    }

    fn dropped(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        let _root = AsRoot::while_acting_as(self.owner);
        self.inner.dropped(intents)
    }

    fn sync(&mut self) -> Result<(), Error> {
        let _root = AsRoot::while_acting_as(self.owner);
        self.inner.sync()
    }
}
