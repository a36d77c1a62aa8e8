//! Every integration test, in one binary.

mod login;
mod support;
mod tls;
