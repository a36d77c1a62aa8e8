//! The protocol.  SKELETON.
pub mod types;
