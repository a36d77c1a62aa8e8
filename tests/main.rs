//! Every integration test, in one binary.

mod architecture;
mod crash;
mod destinations;
#[cfg(feature = "crash-points")]
mod faults;
mod generated;
mod login;
mod policy;
mod quit;
mod readme;
mod sessions;
mod support;
mod tls;
