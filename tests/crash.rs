//! Whatever instant a run dies at, the next one puts everything right: nothing lost, nothing twice, nothing partial.
pub(crate) mod case;
mod kill;
mod ledger;
mod maildir;
#[cfg(feature = "crash-points")]
mod matrix;
mod mbox;
mod order;
