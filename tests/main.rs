//! Every integration test, in one binary.

mod architecture;
mod cli;
mod crash;
mod destinations;
#[cfg(feature = "crash-points")]
mod faults;
mod generated;
mod login;
mod policy;
mod readme;
mod running;
mod sasl;
mod secrets;
mod sessions;
mod support;
mod tls;
