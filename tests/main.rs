//! Every integration test, in one binary.

mod login;
mod architecture;
mod generated;
mod readme;
mod sasl;
mod secrets;
mod support;
mod tls;
