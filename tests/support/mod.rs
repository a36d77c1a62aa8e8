//! What the integration tests, the demo and the benches share: a sandbox to run popfetch in, servers to run it
//! against, sample mail, and readers of what was delivered.
//!
//! Nothing here uses the library it tests, so that a mistake there can't hide itself.  Each user includes this folder
//! with `#[path]` and takes a part of it.
//!
//! - [`sandbox`] - an empty home, the real binary, everything it printed
//! - [`scripted`] - a server that sends these bytes, expects those, and fails here
//! - [`server`] - a small POP3 server with maildrops, made to misbehave by option
//! - [`dovecot`] - a throw-away Dovecot
//! - [`authorization`] - an authorization server (OAuth)
//! - [`proxy`] - a proxy that connects to one server
//! - [`certificates`] - an authority and good or bad certificates from it
//! - [`demo`] - the server of the demo
//! - [`mail`] - sample messages
//! - [`schema`] - the JSON Schema of `--json`, to which each line that a run prints is held
//! - [`snapshot`] - what a run printed, compared with a file
//! - [`namespace`] - a network of a test's own, with names, DNS and a web server
//! - [`mailboxes`] - Maildir and mbox as delivered, read by us and by Python
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "several crates include this, each for a part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::type_complexity,
    reason = "support for tests: it fails loudly"
)]

pub mod authorization;
pub mod certificates;
pub mod demo;
pub mod dovecot;
pub mod mail;
pub mod mailboxes;
mod maildrop;
pub mod namespace;
mod options;
pub mod proxy;
pub mod relay;
pub mod sandbox;
mod sasl;
pub mod schema;
pub mod scripted;
pub mod server;
mod session;
pub mod snapshot;
pub mod tmux;
mod wire;

use std::path::PathBuf;

/// Where `program` is, or `None` when this machine lacks it: the caller then returns, having tested nothing.  That is
/// printed on stderr, and is a failure when `POPFETCH_REQUIRE_SERVERS=1`.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons live where an ordinary user's PATH doesn't lead.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file());
    if found.is_none() {
        skip(&format!("{program} isn't installed"));
    }
    found
}

/// The test can't run on this machine, and its caller returns: that is printed on stderr, and is a failure when
/// `POPFETCH_REQUIRE_SERVERS=1`.
pub fn skip(why: &str) {
    let required = std::env::var_os("POPFETCH_REQUIRE_SERVERS").is_some_and(|v| v == "1");
    assert!(!required, "{why}, and POPFETCH_REQUIRE_SERVERS=1 asks for it");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("SKIPPED {test}: {why}");
}

/// Octets for a failure's message: text as it is, everything else escaped, long ones cut.
pub fn show(octets: &[u8]) -> String {
    const SHOWN: usize = 4000;
    let start = &octets[..octets.len().min(SHOWN)];
    let mut text = String::new();
    for line in start.split_inclusive(|octet| *octet == b'\n') {
        let (line, end) = match line.strip_suffix(b"\n") {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        match std::str::from_utf8(line) {
            Ok(line) if !line.chars().any(char::is_control) => text.push_str(line),
            _ => text.push_str(&line.escape_ascii().to_string()),
        }
        text.push_str(end);
    }
    if octets.len() > SHOWN {
        text.push_str(&format!("… ({} octets in all)", octets.len()));
    }
    text
}
