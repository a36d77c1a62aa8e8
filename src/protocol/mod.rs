//! The protocol.
mod buffer;
pub mod capability;
pub mod command;
pub mod error;
pub mod framing;
pub mod listing;
pub mod response;
pub mod session;
pub mod types;
