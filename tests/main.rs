//! Every integration test, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::type_complexity,
    reason = "tests fail loudly, and set scenes"
)]

mod architecture;
mod check;
mod cli;
mod command_lines;
mod configuration;
mod configuring;
mod crash;
mod cron;
mod delete;
mod deliveries;
mod destinations;
mod docs;
mod dovecot;
mod ends;
mod evidence;
mod faults;
mod framing;
mod fuzzing;
mod generated;
mod hooks;
mod identity;
mod importing;
mod init;
mod installing;
mod interleaving;
mod json;
mod lasting;
mod list;
mod listing;
mod login;
mod mailbox;
mod manual;
mod marking;
mod nameless;
mod newcomer;
mod oauth;
mod ownership;
mod packaging;
mod pipelining;
mod policy;
mod quick_poll;
mod quit;
mod readme;
mod recording;
mod resources;
mod retrieving;
mod retry;
mod running;
mod sasl;
mod secrets;
mod server_info;
mod servers;
mod sessions;
mod shapes;
mod shell;
mod shells;
mod show;
mod signals;
mod state;
mod status;
mod support;
mod terminal;
mod tls;
mod units;
mod utf8;
mod ways;
