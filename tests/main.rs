//! Every integration test, in one binary.

mod architecture;
mod destinations;
mod policy;
mod support;
