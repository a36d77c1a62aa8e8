//! Every integration test, in one binary.

mod architecture;
mod crash;
mod generated;
mod login;
mod readme;
mod support;
mod tls;
