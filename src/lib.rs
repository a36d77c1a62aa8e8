//! popfetch retrieves mail from POP3 maildrops and delivers it: no message is lost, deleted before it is safe, or
//! delivered twice.
//!
//! This library exists so that tests, fuzzers and generators can reach inside; it promises no stable API.
//!
//! # The way of the data
//!
//! ```text
//! config ─► Account ─► connection ─► protocol (client) ─► listing ─┐
//!                                                                  ▼
//!                         ledger (what is known) ─► plan (what to retrieve, delete, skip, and why)
//!                                                                  │
//! report ◄─ ledger ◄─ delivery: publish ◄─ ledger: staged ◄─ delivery: stage ◄─ RETR stream
//!              │
//!              └─► DELE … QUIT ─► ledger: settled
//! ```
//!
//! Each module is a room with one concern.  [`proof`] holds the values that make the order of the durable steps a
//! matter of types; [`durable`] is the one door to the disk; [`retrieval`] ties the rooms together.
//!
//! `docs/design.md` has what popfetch relies on, `docs/rooms.md` which room may import which, and `docs/protocol.md` what servers
//! do and what popfetch makes of it.

#![cfg_attr(
    test,
    allow(clippy::as_conversions, clippy::disallowed_methods, reason = "tests fail loudly, and set scenes")
)]

pub mod access;
pub mod account;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod connection;
pub mod credentials;
pub mod delivery;
pub mod discovery;
pub mod durable;
pub mod environment;
pub mod exit;
pub mod http;
pub mod import;
pub mod ledger;
pub mod message;
pub mod oauth;
pub mod place;
pub mod plan;
pub mod problem;
pub mod process;
pub mod proof;
pub mod protocol;
pub mod report;
pub mod retrieval;
pub mod secret;
pub mod signals;
pub mod state;
pub mod text;
pub mod types;
