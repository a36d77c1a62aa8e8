//! Long output goes through `$PAGER`, as in git and man: only on a terminal, and only what doesn't fit into it.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::environment::Environment;
use crate::report::plain::Printer;
use crate::report::terminal;

/// Prints `text` to standard output; through the pager if it has more lines than the terminal.
pub(super) fn print(text: &str, environment: &Environment, printer: &Printer) {
    let fits = terminal::output_size().is_none_or(|(_, rows)| text.lines().count() < rows);
    let shown = !fits && pager(environment).is_some_and(|pager| page(text, &pager, environment));
    if !shown {
        printer.out(text);
    }
}

/// What `$PAGER` names; `less` when it isn't set.  Set and empty, or `cat`: none.
fn pager(environment: &Environment) -> Option<OsString> {
    let pager = environment.variables.get(OsStr::new("PAGER")).cloned();
    let pager = pager.unwrap_or_else(|| OsString::from("less"));
    (!pager.is_empty() && pager != "cat").then_some(pager)
}

/// Whether the pager could be started.  That it is left before it has read everything is no error.
fn page(text: &str, pager: &OsStr, environment: &Environment) -> bool {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(pager).stdin(Stdio::piped());
    if !environment.variables.contains_key(OsStr::new("LESS")) {
        // Quits at once where all fits, keeps colours, leaves the text on the screen.
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else { return false };
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(text.as_bytes());
    }
    // The shell answers 127 where there is no such program: the text is then printed without it.
    child.wait().is_ok_and(|status| status.code() != Some(127))
}
