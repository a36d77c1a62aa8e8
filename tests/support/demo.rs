//! The server of the demo and of the recording in README.md: on loopback, with TLS, with five messages for Ada.

use std::path::PathBuf;

use super::certificates::{Authority, Leaf};
use super::sandbox::Sandbox;
use super::server::{Message, Options, Server, Tls};

pub const USER: &str = "ada";
pub const PASSWORD: &str = "analytical engine";

/// Starts it, and writes the certificate of the authority that it is known by into the sandbox.
pub fn start(sandbox: &Sandbox) -> (Server, PathBuf) {
    let authority = Authority::new();
    let ca_file = sandbox.path("demo-ca.pem");
    authority.write(&ca_file);
    let server = Server::start(Options {
        tls: Tls::Implicit(authority.issue(&Leaf::default())),
        ..Options::with(USER, PASSWORD, messages())
    });
    (server, ca_file)
}

/// What is on it at first.
pub fn messages() -> Vec<Message> {
    let subjects =
        ["Welcome", "Lunch on Friday?", "Invoice 1842", "Notes on the engine", "Re: Lunch on Friday?"];
    (1..).zip(subjects).map(|(number, subject)| message(number, subject)).collect()
}

/// The message of this number.
pub fn message(number: u32, subject: &str) -> Message {
    let octets = format!(
        "From: Charles <charles@example.org>\r\nTo: Ada <{USER}@example.org>\r\nSubject: {subject}\r\n\
         Date: Thu, {number} Jan 2026 09:00:00 +0000\r\nMessage-ID: <{number}@example.org>\r\n\r\n\
         Dear Ada,\r\n\r\nthis is message {number}.\r\n"
    );
    Message::new(format!("demo-{number}"), octets)
}
