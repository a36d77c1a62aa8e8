//! Every integration test, in one binary.

mod architecture;
mod cli;
mod crash;
mod destinations;
mod faults;
mod framing;
mod generated;
mod json;
mod login;
mod mailbox;
mod policy;
mod readme;
mod retrieving;
mod sasl;
mod sessions;
mod support;
mod tls;
