//! What popfetch knows of its mailboxes, seen from outside of a run: how the last one went ([`status`]), what is kept where
//! ([`inventory`]).
//!
//! No network, and nothing here delivers.  What only looks takes no lock and changes nothing.

pub mod inventory;
pub mod status;
pub mod when;
