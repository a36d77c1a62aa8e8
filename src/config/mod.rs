//! Configuration: load → accounts; errors with line and remedy.

pub mod account;
