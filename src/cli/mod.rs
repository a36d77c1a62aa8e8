//! From a command line to an exit code: arguments, then a command, then what it came to.
//!
//! A command is a file in `commands`, with its arguments and its `run`; what commands share is in `setup.rs`.

pub mod args;
mod commands;
mod flags;
mod foreign;
mod install;
mod nearby;
mod pager;
mod questions;
mod rewrite;
mod setup;
mod words;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use commands::Command;
use setup::{Cli, Color, printer, wants_color};

use crate::access;
use crate::config::ConfigError;
use crate::config::locate::Environment;
use crate::exit;
use crate::problem::Problem as _;
use crate::report::plain::Printer;

/// Runs popfetch with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs popfetch with a command line, the program's name first, in this process's environment.  A signal that ended the
/// run ends the process.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    access::keep_memory_private();
    access::keep_descriptors_private();
    let environment = Environment::capture();
    let code = match args::parse(args) {
        Ok(command) => {
            let cli = Cli::new(environment, command.color(), args::command);
            report_panics(&cli.printer);
            run_command(&command, &cli).merge(cli.printer.outcome())
        }
        Err(answer) => answer_to(&answer, &environment),
    };
    ExitCode::from(code.number())
}

fn run_command(command: &Command, cli: &Cli) -> exit::ExitCode {
    let run = || {
        command.run(cli).map_err(|error| match command {
            Command::Fetch(fetch) if fetch.is_bare => {
                nearby::or_command(error, &fetch.accounts, &args::names())
            }
            _ => error,
        })
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            let config = error.downcast_ref::<ConfigError>();
            cli.printer.complain(&format!("{error:#}"), config.and_then(ConfigError::hint).as_deref());
            // What isn't about the configuration is about the system: no descriptor, no signal handler.
            config.map_or(exit::ExitCode::LocalIo, ConfigError::exit_code)
        }
        // The panic hook has reported it.
        Err(_) => exit::ExitCode::Bug,
    }
}

/// Prints the help or the version; or what could not be understood.
fn answer_to(answer: &clap::Error, environment: &Environment) -> exit::ExitCode {
    let text = answer.render();
    if answer.use_stderr() {
        let printer = printer(Color::Auto, environment);
        let (what, hint) = in_our_form(&text.to_string());
        printer.complain(&what, flags::hint(answer).or(hint.as_deref()));
        return exit::ExitCode::Usage;
    }
    let printer = printer(Color::Never, environment);
    let colored = wants_color(Color::Auto, environment, io::stdout().is_terminal());
    printer.out(&if colored { text.ansi().to_string() } else { text.to_string() });
    printer.outcome()
}

/// What is wrong, and the hint: clap's tips, else how the command is called.  Its other paragraphs are left out.
fn in_our_form(text: &str) -> (String, Option<String>) {
    let mut paragraphs = text.strip_prefix("error: ").unwrap_or(text).split("\n\n");
    let what = paragraphs.next().unwrap_or_default().trim_end();
    let what = match what.split_once("required arguments were not provided:") {
        Some((_, missing)) => {
            format!("{} is missing", missing.split_whitespace().collect::<Vec<_>>().join(" and "))
        }
        None => what.to_owned(),
    };
    let (mut tips, mut usage) = (Vec::new(), None);
    for line in paragraphs.flat_map(str::lines) {
        if let Some(tip) = line.trim_start().strip_prefix("tip: ") {
            tips.push(tip);
        } else if let Some(line) = line.strip_prefix("Usage: ") {
            usage = Some(line.to_owned());
        }
    }
    (what, if tips.is_empty() { usage } else { Some(tips.join("; ")) })
}

/// Reports a panic in one line: where it was, but not its message, which may quote any value, a secret
/// included.
fn report_panics(printer: &Arc<Printer>) {
    let printer = Arc::clone(printer);
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        printer.complain(&format!("a bug in popfetch {} at {place}", env!("CARGO_PKG_VERSION")), None);
    }));
}
