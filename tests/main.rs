//! Every integration test, in one binary.

mod architecture;
mod cli;
mod generated;
mod readme;
mod support;
