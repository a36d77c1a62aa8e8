//! popfetch retrieves mail from POP3 maildrops and delivers it: no message is lost, deleted before it is safe, or
//! delivered twice.
//!
//! The library exists so that tests, fuzzers and generators can reach inside; it promises no stable API.  What they reach
//! is listed at the end of this file, and all else is private: the compiler reports what nobody uses.
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
//! Each module is a room with one concern.  `proof` holds the values that make the order of the durable steps a
//! matter of types; `durable` is the one door to the disk; `retrieval` ties the rooms together.
//!
//! `docs/design.md` has what popfetch relies on, `docs/rooms.md` which room may import which, and `docs/protocol.md` what servers
//! do and what popfetch makes of it.

#![cfg_attr(
    test,
    allow(clippy::as_conversions, clippy::disallowed_methods, reason = "tests fail loudly, and set scenes")
)]

mod access;
mod account;
pub mod cli;
mod client;
mod clock;
mod config;
mod connection;
mod credentials;
mod delivery;
mod discovery;
mod durable;
mod environment;
mod exit;
mod http;
mod import;
mod ledger;
mod message;
mod oauth;
mod place;
mod plan;
mod problem;
mod process;
mod proof;
mod protocol;
mod report;
mod retrieval;
mod secret;
mod signals;
mod state;
mod text;
mod types;

/// What the manual and the completions are generated from, and what tests hold them to.
pub mod reference {
    pub use crate::cli::args::command;
    pub use crate::config::RESERVED_NAMES;
    pub use crate::config::settings::{
        ACCOUNT_KEYS, DESTINATION_KEYS, OAUTH_KEYS, PROVIDER_KEYS, Preset, RETENTION_KEYS, SHARED_KEYS,
        SettingKey,
    };
    pub use crate::exit::ExitCode;
}

/// A configuration from its text to its accounts: tests read the examples of README and the manual.
pub mod configuration {
    pub use crate::config::{ConfigError, Request, for_run};
    pub use crate::environment::Environment;
}

/// POP3 without a socket: tests play whole dialogues through it.
pub mod dialogue {
    pub use crate::problem::Problem;
    pub use crate::protocol::command::Command;
    pub use crate::protocol::error::Error;
    pub use crate::protocol::session::{Reply, ServerEvent, Session};
    pub use crate::secret::Secret;
    pub use crate::types::MessageNumber;
}

/// One function for each fuzz target, of the target's name: it takes any octets, and panics if it finds a fault.
pub mod fuzz {
    pub use crate::client::fuzz_client as client;
    pub use crate::config::fuzz_config as config;
    pub use crate::connection::fuzz_proxy as proxy;
    pub use crate::credentials::fuzz_netrc as netrc;
    pub use crate::delivery::mbox::fuzz_quoting as quoting;
    pub use crate::discovery::fuzz_discovery as discovery;
    pub use crate::http::fuzz_answer as http;
    pub use crate::import::fuzz_import as import;
    pub use crate::ledger::fuzz_replay as ledger;
    pub use crate::ledger::memory::fuzz_memory as memory;
    pub use crate::message::fuzz_examiner as examiner;
    pub use crate::oauth::fuzz_oauth as oauth;
    pub use crate::protocol::auth::fuzz_greeting as greeting;
    pub use crate::protocol::capability::fuzz_capability as capability;
    pub use crate::protocol::framing::fuzz_framing as framing;
    pub use crate::protocol::listing::fuzz_listing as listing;
    pub use crate::protocol::redact::fuzz_redactor as redactor;
    pub use crate::protocol::response::fuzz_response as response;
    pub use crate::protocol::sasl::fuzz_exchange as sasl;
    pub use crate::protocol::session::fuzz_session as session;
    pub use crate::retrieval::fuzz_pipeline as pipeline;
    pub use crate::text::fuzz_printable as printable;
}
