//! Every integration test, in one binary.

mod architecture;
mod generated;
mod readme;
mod support;
