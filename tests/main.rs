//! Every integration test, in one binary.

mod architecture;
mod cli;
mod crash;
mod destinations;
mod generated;
mod login;
mod policy;
mod readme;
mod sasl;
mod sessions;
mod support;
mod tls;
