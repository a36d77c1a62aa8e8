//! Every integration test, in one binary.

mod architecture;
mod cli;
mod configuration;
mod crash;
mod destinations;
mod dovecot;
mod faults;
mod framing;
mod generated;
mod identity;
mod interleaving;
mod json;
mod listing;
mod login;
mod mailbox;
mod pipelining;
mod policy;
mod quit;
mod readme;
mod retrieving;
mod running;
mod sasl;
mod secrets;
mod sessions;
mod support;
mod tls;
