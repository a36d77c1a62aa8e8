//! What is looked at before a ledger is opened, and what becomes of deliveries that a run has left open: settled by
//! recovery, or given up by the user.

use std::collections::BTreeSet;
use std::path::Path;

use crate::account::Mailbox;
use crate::durable::{self, Step};
use crate::proof::{DestinationId, IntentId};
use crate::text;

use super::codec::{DigestsField, KeyField, Notes};
use super::entry::LedgerExtent;
use super::error::Error;
use super::files::FILE;
use super::index::OpenMessage;
use super::lines::{CopyDelivered, CopyDropped, MessageBegun};
use super::open::Ledger;
use super::replay;

/// A message that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub has: Vec<DestinationId>,
    /// Those of its set that lack it.
    pub lacks: Vec<DestinationId>,
    /// Those of which that isn't known, because a run has died.
    pub staged: Vec<DestinationId>,
}

impl Ledger {
    /// Whether there is a ledger in `directory`.
    #[must_use]
    pub(crate) fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Whether the ledger in `directory` lies there as a run left it that ended in order, without reading the whole of a
    /// long one: then nothing is to be recovered.  `false` too when that isn't known.
    #[must_use]
    pub(crate) fn rests(directory: &Path) -> bool {
        durable::open_to_read(&directory.join(FILE)).is_ok_and(|file| {
            let octets = file.metadata().map(|status| status.len());
            octets.is_ok_and(|octets| replay::ends_in_order(&file, octets).unwrap_or(false))
        })
    }

    /// How large the ledger in `directory` is, without opening it; `None` where there is none.
    #[must_use]
    pub(crate) fn octets(directory: &Path) -> Option<u64> {
        std::fs::metadata(directory.join(FILE)).ok().map(|status| status.len())
    }

    /// Makes sure that the file in `directory` has not become shorter than it was when `known` was remembered: what is left
    /// would be taken for a file whose end is torn.
    ///
    /// # Errors
    /// [`Error::Shortened`].
    pub(super) fn check_extent(directory: &Path, known: Option<LedgerExtent>) -> Result<(), Error> {
        let path = directory.join(FILE);
        let Some(known) = known else { return Ok(()) };
        let Ok(file) = durable::open_to_read(&path) else { return Ok(()) };
        let octets = file.metadata().map_err(|e| durable::Error::new(Step::Read, &path, e))?.len();
        let generation = replay::generation(&file).map_err(|e| durable::Error::new(Step::Read, &path, e))?;
        // One that was rewritten since may well be shorter.
        if octets < known.octets && generation.is_none_or(|generation| generation == known.generation) {
            return Err(Error::Shortened { path: text::path(&path), octets, known: known.octets });
        }
        Ok(())
    }

    /// Whose ledger `directory` holds; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Disk`].
    pub(crate) fn mailbox_of(directory: &Path) -> Result<Option<Mailbox>, Error> {
        let path = directory.join(FILE);
        match durable::open_to_read(&path) {
            Ok(file) => replay::mailbox(&file, &path),
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Records that recovery found these delivered; [`Ledger::sync`] must follow before anything is done about it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn settle_delivered(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        let time = self.now();
        intents.iter().try_for_each(|intent| self.append(CopyDelivered { intent: intent.0, time }))?;
        self.flush()
    }

    /// Writes and syncs that these come again; only then may their files be removed.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.
    pub(crate) fn settle_dropped(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        let time = self.now();
        intents.iter().try_for_each(|intent| self.append(CopyDropped { intent: intent.0, time }))?;
        self.sync()
    }

    /// The messages that are on their way.
    #[must_use]
    pub(crate) fn unfinished(&self) -> Vec<Unfinished> {
        let message = |message: &OpenMessage| {
            let those = |wanted: bool| {
                let set = message.set.iter().filter(|(_, has)| *has == wanted);
                set.map(|(destination, _)| *destination).collect()
            };
            let staged: BTreeSet<DestinationId> =
                message.intents.iter().map(|intent| intent.destination).collect();
            Unfinished { has: those(true), lacks: those(false), staged: staged.into_iter().collect() }
        };
        self.index.messages.iter().map(|(_, open)| message(open)).collect()
    }

    /// Gives up what is unfinished at these destinations: open lines there are dropped, and the sets of messages that
    /// another one has lose them.  A message that all of the rest have is delivered then; one that none has comes again.  Synced.
    ///
    /// # Errors
    /// When the ledger cannot be written or synced.
    pub(crate) fn give_up(&mut self, destinations: &[DestinationId]) -> Result<(), Error> {
        let intents: Vec<IntentId> = self
            .intents()
            .into_iter()
            .filter(|intent| destinations.contains(&intent.destination))
            .map(|intent| intent.id)
            .collect();
        if !intents.is_empty() {
            self.settle_dropped(&intents)?;
        }
        let time = self.now();
        let given_up =
            |(destination, has): &(DestinationId, bool)| !has && destinations.contains(destination);
        // Of one with an open line elsewhere it isn't known which destinations have it.
        let smaller = |message: &OpenMessage| message.intents.is_empty() && message.set.iter().any(given_up);
        let messages = self.index.messages.iter().filter(|(_, message)| smaller(message));
        let open: Vec<(u32, OpenMessage)> = messages.map(|(old, message)| (old, message.clone())).collect();
        for (old, OpenMessage { key, listed_size, digests, mut set, again, utf8, .. }) in open {
            set.retain(|place| !given_up(place));
            let (key, digests) = (KeyField::from(&key), DigestsField::Value(digests));
            let notes = Notes { again, utf8, ..Notes::default() };
            let (number, replaces) = (self.index.messages.next_message, Some(old));
            self.append(MessageBegun { number, time, key, listed_size, digests, replaces, set, notes })?;
        }
        self.sync()
    }
}
