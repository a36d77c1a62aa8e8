//! The protocol.  SKELETON.
pub mod redact;
pub mod sasl;
pub mod types;
