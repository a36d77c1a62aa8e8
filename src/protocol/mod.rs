//! The protocol.
pub mod auth;
mod buffer;
pub mod capability;
pub mod command;
pub mod error;
pub mod framing;
pub mod listing;
pub mod redact;
pub mod response;
pub mod sasl;
pub mod session;
pub mod types;
