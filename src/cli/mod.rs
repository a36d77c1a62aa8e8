//! From a command line to an exit code: parses the arguments, runs a command, shows its result.
//!
//! A command is a file in `commands`, with its arguments and its `run`; what commands share is in `setup.rs`.

pub(crate) mod args;
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

use clap::error::ErrorKind;
use commands::Command;
use setup::{Cli, Color, printer, wants_color};

use crate::access;
use crate::config::ConfigError;
use crate::environment::Environment;
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
        let (what, hint) = in_our_form(answer.kind(), &text.to_string());
        printer.complain(&what, flags::hint(answer).or(hint.as_deref()));
        return exit::ExitCode::Usage;
    }
    let printer = printer(Color::Never, environment);
    let colored = wants_color(Color::Auto, environment, io::stdout().is_terminal());
    printer.out(&if colored { text.ansi().to_string() } else { text.to_string() });
    printer.outcome()
}

/// What the standard library finds wrong with a number, and what is said of it.
const NUMBERS: [(&str, &str); 4] = [
    ("invalid digit found in string", "a number is needed"),
    ("cannot parse integer from empty string", "a number is needed"),
    ("number would be zero for non-zero type", "a number from 1 is needed"),
    ("number too large to fit in target type", "a smaller number is needed"),
];

/// What is wrong, and the hint: the values that there are, or clap's tips, else how the command is called.  Its other
/// paragraphs are left out.
fn in_our_form(kind: ErrorKind, text: &str) -> (String, Option<String>) {
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).map(str::to_owned);
    if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let name = usage.as_deref().unwrap_or_default().split(" [").next().unwrap_or_default();
        let name = name.trim_end_matches(" <COMMAND>");
        let hint = format!("popfetch help{} lists them", name.trim_start_matches("popfetch"));
        return (format!("after {name} a command is missing"), Some(hint));
    }
    let mut paragraphs = text.strip_prefix("error: ").unwrap_or(text).split("\n\n");
    let what = paragraphs.next().unwrap_or_default().trim_end();
    let (what, values) = match what.split_once("\n  [possible values: ") {
        Some((what, values)) => (what, values.strip_suffix(']')),
        None => (what, None),
    };
    let what = match what.split_once("required arguments were not provided:") {
        Some((_, missing)) => {
            let missing: Vec<&str> = missing.split_whitespace().collect();
            let verb = if missing.len() == 1 { "is" } else { "are" };
            format!("{} {verb} missing", missing.join(" and "))
        }
        None => what.to_owned(),
    };
    let ours =
        NUMBERS.iter().find_map(|(theirs, ours)| Some(format!("{}{ours}", what.strip_suffix(theirs)?)));
    let what = ours.unwrap_or(what);
    if let Some(values) = values {
        return (what, Some(format!("it is one of {values}")));
    }
    let mut tips = Vec::new();
    for line in paragraphs.flat_map(str::lines) {
        if let Some(tip) = line.trim_start().strip_prefix("tip: ") {
            tips.push(tip);
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
