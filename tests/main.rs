//! Every integration test, in one binary.

mod framing;
mod mailbox;
mod retrieving;
mod support;
