//! Every integration test, in one binary.

mod architecture;
mod cli;
mod crash;
mod destinations;
mod faults;
mod framing;
mod generated;
mod identity;
mod listing;
mod login;
mod mailbox;
mod pipelining;
mod policy;
mod quit;
mod readme;
mod running;
mod retrieving;
mod sasl;
mod sessions;
mod support;
mod tls;
