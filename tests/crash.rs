//! Whatever instant a run dies at, the next one puts everything right: nothing lost, nothing twice, nothing partial.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests fail loudly, and do to files and clocks what the world does"
)]

pub(crate) mod case;
mod kill;
mod ledger;
mod maildir;
#[cfg(feature = "crash-points")]
mod matrix;
mod mbox;
mod order;
