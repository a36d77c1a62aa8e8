//! popfetch at work: `cargo run --release --example demo`.
//!
//! Starts a POP3 server on loopback with TLS and some mail in it, and runs popfetch against it as a user would: a first
//! time, a second time with nothing new, and with policies that delete.  Changes nothing outside a new temporary
//! folder, which stays for a look.
//!
//! The popfetch it runs is this program itself, called with `--as-popfetch`: cargo builds no other for an example.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the user")]

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

#[path = "../tests/support/mod.rs"]
mod support;

use support::demo::{PASSWORD, USER, message};
use support::mailboxes::Maildir;
use support::sandbox::Sandbox;
use support::server::Server;

const AS_POPFETCH: &str = "--as-popfetch";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == AS_POPFETCH).is_some() {
        return popfetch::cli::run(std::iter::once(OsString::from("popfetch")).chain(args));
    }
    match demonstrate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("\ndemo: {what}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<(), String> {
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut sandbox = Sandbox::of(vec![this.into(), AS_POPFETCH.into()]);
    let folder = sandbox.keep();
    let (server, ca_file) = support::demo::start(&sandbox);
    let maildir = sandbox.path("Maildir");
    let configure = |policy: &str| {
        sandbox.config(format!(
            "[accounts.demo]\nserver = \"127.0.0.1\"\nport = {}\nca-file = \"{}\"\nuser = \"{USER}\"\n\
             password = \"{PASSWORD}\"\nleave-on-server = {policy}\ndeliver = {{ maildir = \"~/Maildir\" }}\n",
            server.port(),
            ca_file.display()
        ))
    };

    heading("A POP3 server with five messages listens on loopback, with TLS.  The configuration:");
    let config = configure("true");
    println!("{}", indented(&std::fs::read_to_string(config).map_err(|e| e.to_string())?));

    heading("The first run fetches everything, and leaves it on the server:");
    run(&sandbox, &[])?;
    show_maildir(&maildir);
    show_server(&server);

    heading("The second run finds nothing new, which is no news off a terminal:");
    run(&sandbox, &[])?;
    expect(Maildir::read(&maildir).new.len(), 5, "messages in the Maildir")?;

    heading("What popfetch knows, without asking the server; and what is there, and would happen next:");
    run(&sandbox, &["status"])?;
    run(&sandbox, &["list"])?;

    heading("A new message arrives, and the policy becomes `leave-on-server = { newest = 2 }`:");
    server.add(USER, [message(6, "Tea at five")]);
    configure("{ newest = 2 }");
    show_server(&server);
    run(&sandbox, &[])?;
    show_maildir(&maildir);
    show_server(&server);
    expect(server.unique_ids(USER).len(), 2, "messages left on the server")?;

    heading("`--delete` keeps nothing on the server once it's delivered:");
    run(&sandbox, &["--delete"])?;
    expect(Maildir::read(&maildir).new.len(), 6, "messages in the Maildir")?;
    expect(server.unique_ids(USER).len(), 0, "messages left on the server")?;

    println!("\nAll of it is still there to look at: {}", folder.join("home").display());
    println!("Delivered mail is in Maildir/new, what popfetch knows of it in .local/state/popfetch.");
    Ok(())
}

fn heading(text: &str) {
    println!("\n* {text}\n");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn run(sandbox: &Sandbox, args: &[&str]) -> Result<(), String> {
    println!("    $ {}", [&["popfetch"], args].concat().join(" "));
    let run = sandbox.run(args);
    println!("{}", indented(&(run.out() + &run.err())));
    match run.code() {
        Some(0) => Ok(()),
        _ => Err(format!("popfetch ended with {}", run.status)),
    }
}

fn show_maildir(maildir: &Path) {
    println!("    In the Maildir:");
    for (name, octets) in &Maildir::read(maildir).new {
        println!("        new/{name}  {}", subject(octets));
    }
}

fn show_server(server: &Server) {
    let left = server.unique_ids(USER);
    println!("    On the server: {} messages {}", left.len(), left.join(" "));
}

/// Says how many there are, and ends the demo if that isn't what it claims.
fn expect(count: usize, expected: usize, what: &str) -> Result<(), String> {
    println!("    {count} {what}.");
    if count == expected { Ok(()) } else { Err(format!("expected {expected} {what}")) }
}

fn subject(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.lines().find(|line| line.starts_with("Subject:")).unwrap_or_default().to_owned()
}
