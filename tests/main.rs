//! Every integration test, in one binary.

mod architecture;
mod cli;
mod configuration;
mod crash;
mod dovecot;
mod destinations;
mod faults;
mod framing;
mod generated;
mod interleaving;
mod login;
mod mailbox;
mod policy;
mod readme;
mod running;
mod retrieving;
mod sasl;
mod secrets;
mod sessions;
mod support;
mod tls;
