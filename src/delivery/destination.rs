//! The door to the destinations: what every kind of them can do.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::neighbours::Neighbours;
use super::{Error, Inlet, Outlet, Settler, Unsettled};
use crate::access::{self, Owner};
use crate::account::SyncMode;
use crate::proof::{DestinationName, Intent};
use crate::signals::Stop;
use crate::text::shown_by;
use crate::types::Time;

/// A place that messages go to.
pub(crate) trait Destination {
    /// What the ledger calls it.  It must stay the same over runs: what a message lacks is known by it.
    fn name(&self) -> DestinationName;

    /// What it is called in sentences: "mbox /var/mail/me".
    fn described(&self) -> String;

    /// Whether the ledger's `name` means it.
    fn is_called(&self, name: &DestinationName) -> bool {
        self.name() == *name
    }

    /// Its turn when a batch is handed out.
    fn order(&self) -> Order;

    /// Whether it takes messages one by one, each as soon as it has arrived: then a run doesn't collect batches.
    fn hands_over(&self) -> bool {
        false
    }

    /// Whether what it took is perhaps not on the disk yet, so that a `sync` must follow before a message is deleted.
    fn leaves_unsynced(&self) -> bool {
        false
    }

    /// Whether mail may go there: root must not follow other users' links, nor leave files with them that they can't
    /// read.  See [`access::check_destination`].
    ///
    /// # Errors
    /// When it may not.
    fn allowed(&self) -> Result<(), access::Error> {
        Ok(())
    }

    /// Whether it is there and fit, without waiting; changes nothing.
    ///
    /// # Errors
    /// [`Error::Later`], [`Error::Unfit`], [`Error::Disk`].
    fn check(&self) -> Result<(), Error>;

    /// Opens it for a run, and makes what may be made.  What a former run left open there has been recovered before.
    ///
    /// # Errors
    /// As [`Destination::check`].
    fn open(&self, opening: Opening<'_>) -> Result<Opened, Error>;

    /// Settles what a killed run has left there.  No network, and no setting but the rights to act with.
    ///
    /// # Errors
    /// [`Error::Later`] when it is out of reach: nothing is concluded.  [`Error::Disk`], or what the settler reports.
    fn recover(
        &self,
        unsettled: &Unsettled,
        settler: &mut dyn Settler,
        now: Time,
    ) -> Result<Recovered, Error>;
}

/// The order in which destinations get a batch, which is also the order of the locks that their outlets take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// A directory, by its path: no lock.
    Directory(PathBuf),
    /// A file that is locked, by where it really is: the same for every account, so that no two committers hold one and
    /// wait for the other's.
    LockedFile(PathBuf),
    /// A program: late, because what it does cannot be taken back.
    Program,
    Output,
}

impl Order {
    /// Whether both are the same locked file, by its path or by a hard link.
    #[must_use]
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        let (Self::LockedFile(one), Self::LockedFile(other)) = (self, other) else { return false };
        let inode = |path: &Path| path.metadata().ok().map(|status| (status.dev(), status.ino()));
        one == other || inode(one).is_some_and(|one| inode(other) == Some(one))
    }
}

/// What all destinations of a mailbox may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// As whom they are written, when root delivers for a user.
    pub owner: Option<&'a Owner>,
    pub stop: &'a Stop,
    /// The directory of all ledgers.
    pub state_root: &'a Path,
    /// The directory of this mailbox's ledger.
    pub state: &'a Path,
    /// Where programs are looked for: the environment's `PATH`.
    pub search: Option<&'a OsStr>,
    /// Whether standard output is a regular file.
    pub stdout_is_regular_file: bool,
}

/// What a destination needs for a run, besides its [`Surroundings`].
pub(crate) struct Opening<'a> {
    /// The account's name.
    pub account: &'a str,
    /// The server's host.
    pub server: &'a str,
    /// This machine's name.
    pub host: &'a str,
    /// How data are brought to the disk.
    pub sync: SyncMode,
    /// The ledger's random id.
    pub ledger: &'a str,
    /// Whether this ledger has ever delivered there: then it must be there, and isn't made.
    pub delivered: bool,
    /// The ledger's open intents, of all destinations: what they name isn't cleaned away.
    pub intents: Vec<Intent>,
    /// Settles what other ledgers have left at an mbox.
    pub neighbours: Box<dyn Neighbours>,
    /// Takes what the user should know and what is not an error.
    pub warn: Box<dyn FnMut(String) + Send>,
    /// The clock, for the time of delivery.
    pub clock: fn() -> Time,
}

shown_by!(Opening<'_>, account);

/// A destination ready to take messages.
pub(crate) struct Opened {
    /// For the network thread.
    pub inlet: Box<dyn Inlet>,
    /// For the committer thread.
    pub outlet: Box<dyn Outlet>,
    /// What recovery knows it again by, where it has such (when it was made, or its device, and its inode): for the ledger's
    /// table of destinations.
    pub inode: Option<(u64, u64)>,
}

shown_by!(Opened, inode);

/// What recovery came to at one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Recovered {
    /// How many had been delivered before the crash, or were published now.
    pub delivered: usize,
    /// How many come again.
    pub again: usize,
}
