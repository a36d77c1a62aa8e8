//! The ledger: what is known of each message of one mailbox, on disk.
//!
//! One directory for each mailbox, named by a digest of its identity, with these files:
//!
//! - `ledger`, an append-only text file with one fact a line.  `lines` is the table of its lines: the words on disk, and the
//!   names in the source, which are not always the same.  `codec` reads and writes their fields.  `source` and `replay` read
//!   the file, and tell a torn line from a damaged one.  `journal` appends to it, `compaction` rewrites it shorter, and
//!   `index` holds what all lines together record;
//! - `lock`, which a running popfetch holds ([`lock`]);
//! - `memory`, what may be lost without harm ([`memory`]);
//! - `history`, the last deliveries, for people ([`history`]).
//!
//! The ledger makes two proofs: [`Noted`], after the `staged` lines are on disk, and [`Delivered`].  It must not know
//! servers, destinations or policies: others report facts to it, and ask it for them.  [`memory`] is the exception: it is
//! about the server, and is here because its file is in the same directory.
//!
//! `open` opens and closes a [`Ledger`].  `read` answers questions; `batch` (deliveries) and `facts` (everything else)
//! write to it.  `recovery` handles what a killed run has left, and `transfer` a ledger as a whole.
//!
//! # What is on disk, and when
//!
//! [`Ledger::note`] syncs: nothing may be published before.  Outcomes are not synced one by one: where a crash
//! loses a `delivered` line, recovery finds the outcome again from the `staged` line.  [`Ledger::sync`] writes them to the disk
//! before `QUIT`.
//!
//! A killed run leaves lines that can be read but may not be on disk.  So does a run whose sync failed, and a second sync
//! neither repairs nor notices that.  Therefore a run that ends in order, with no delivery open, records it by an `end` line,
//! written after everything that matters was synced ([`Ledger::close`]).  Where lines that matter follow the last `end`,
//! the ledger is rewritten and synced before anything is concluded from it ([`Ledger::open`]).  So every entry of an open
//! ledger can be acted on, and a run that finds nothing new syncs nothing.  `listing` lines and what belongs to them, sizes,
//! failures and confirmed deletions don't matter in this sense: if they are lost, the server is asked again.
//!
//! A ledger that is missing where there is a `memory`, which is only ever written beside a ledger, is an error: it is
//! never silently begun again.

mod batch;
mod codec;
mod compaction;
mod entry;
mod error;
mod facts;
mod files;
mod fuzz;
pub(crate) mod history;
mod import;
mod index;
mod journal;
mod last_read;
mod lines;
pub(crate) mod lock;
pub(crate) mod memory;
mod open;
mod read;
mod recovery;
mod replay;
pub(crate) mod shown;
mod source;
#[cfg(test)]
mod tests;
mod transfer;

pub(crate) use entry::{Begun, Entry, EntryState, KnownDelivery};
pub(crate) use error::Error;
pub(crate) use facts::Match;
pub(crate) use files::directory;
#[doc(hidden)]
pub use fuzz::fuzz_replay;
pub(crate) use import::UsersWord;
pub(crate) use open::Ledger;
pub(crate) use transfer::Outline;
