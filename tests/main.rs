//! Every integration test, in one binary.

mod architecture;
mod cli;
mod crash;
mod destinations;
mod faults;
mod framing;
mod generated;
mod interleaving;
mod login;
mod mailbox;
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
