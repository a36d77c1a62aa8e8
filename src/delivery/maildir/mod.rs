//! Maildir (<https://cr.yp.to/proto/maildir.html>): a message is streamed into `tmp/NAME`, and renamed to `new/NAME`
//! when it's durable and the ledger knows it.  It knows no server, no ledger but its id, and no policy.
//!
//! The order of the steps is what makes crashes harmless:
//!
//! 1. The file **and `tmp/`** are synced before the ledger's line is written.  So a line proves that its name once stood
//!    on the disk, and a name that is gone later was renamed: published.
//! 2. The rename never replaces, and never leaves two names (`link` and `unlink` would, and a reader may take one).
//! 3. `new/` is synced before the message counts as published: a name that is only in the page cache dies with the power,
//!    and `DELE` would have deleted the other copy.
//!
//! What a killed run leaves is repaired by [`recovery`].

mod destination;
mod folders;
mod name;
mod recovery;
mod store;
#[cfg(test)]
mod tests;

pub(super) use destination::MaildirDestination;
pub(crate) use store::check;
