//! The ledger: what is known of each message of one mailbox, on disk.
//!
//! One directory for each mailbox, named by a digest of its identity, with these files:
//!
//! - `ledger`, an append-only text file, a line a fact: `lines` is the table of what they record, the words on disk beside
//!   the names here, which are not always the same; `codec` is how their fields are written; `source` and `replay` read it, and say what is torn and what is damaged; `journal` appends to it;
//!   `compaction` rewrites it shorter; `index` holds what its lines come to;
//! - `lock`, which a running popfetch holds ([`lock`]);
//! - `memory`, what may be lost without harm ([`memory`]);
//! - `history`, the last deliveries, for people ([`history`]).
//!
//! The ledger makes two proofs: [`Noted`], after the `staged` lines are on disk, and [`Delivered`].  It must not know
//! servers, destinations or policies: facts are reported to it, and it is asked for them.  [`memory`] is the exception: it is
//! about the server, and is here because its file is.  A [`Ledger`] is opened and closed
//! in `open`, asked in `read`, written to in `batch` (deliveries) and `facts` (everything else); `recover` is for what a
//! run that died has left, `transfer` for a ledger as a whole.
//!
//! # What is on disk, and when
//!
//! [`Ledger::note`] syncs: nothing may be published before.  Outcomes are not synced one by one: a `delivered` line that
//! a crash takes away is found out again from its `staged` line.  [`Ledger::sync`] brings them to the disk before `QUIT`.
//!
//! A killed run leaves lines that can be read but may not be on disk, and so does one whose sync failed, which no
//! second sync repairs or even notices.  So a run that ends in order, with no delivery open, records it by an `end` line,
//! written after everything that matters was synced ([`Ledger::close`]).  Where lines that matter follow the last `end`,
//! the ledger is rewritten and synced before anything is concluded from it ([`Ledger::open`]).  Therefore every entry of
//! an open ledger can be acted on, and a run that finds nothing new syncs nothing: `listing` lines and what belongs to
//! them, sizes, failures and confirmed deletions don't matter in this sense.  If they get lost, something is asked again.
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
