//! The protocol.  SKELETON.
pub mod auth;
pub mod redact;
pub mod response;
pub mod sasl;
pub mod types;
