//! The protocol.  SKELETON.
pub mod redact;
pub mod types;
