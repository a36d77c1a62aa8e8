//! Every integration test, in one binary.

mod architecture;
mod crash;
mod destinations;
mod framing;
mod generated;
mod interleaving;
mod login;
mod mailbox;
mod policy;
mod readme;
mod retrieving;
mod sessions;
mod support;
mod tls;
