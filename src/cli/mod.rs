//! From a command line to an exit code: arguments, then a command, then what it came to.
//!
//! A command is a file in `commands`; the one that needs no name fetches.

pub mod args;
mod commands;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use args::{Arguments, Color, StateVerb, Verb};

use crate::access;
use crate::config::ConfigError;
use crate::config::locate::Environment;
use crate::exit;
use crate::problem::Problem;
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
    let environment = Environment::capture();
    let code = match args::parse(args) {
        Ok(arguments) => {
            let color = wants_color(arguments.color, &environment, io::stderr().is_terminal());
            let printer = Arc::new(Printer::new(color));
            report_panics(&printer);
            command(&arguments, &environment, &printer).merge(printer.outcome())
        }
        Err(answer) => answer_to(&answer, &environment),
    };
    ExitCode::from(code.number())
}

fn command(arguments: &Arguments, environment: &Environment, printer: &Arc<Printer>) -> exit::ExitCode {
    let run = || match &arguments.command {
        None => commands::fetch::run(arguments, environment, printer),
        Some(Verb::State { command: StateVerb::Release(release) }) => {
            commands::state::release_account(release, environment, printer)
        }
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            let config = error.downcast_ref::<ConfigError>();
            printer.complain(&format!("{error:#}"), config.and_then(Problem::hint).as_deref());
            // What isn't about the configuration is about the system: no descriptor or no signal handler available.
            config.map_or(exit::ExitCode::LocalIo, Problem::exit_code)
        }
        // The panic hook has printed it.
        Err(_) => exit::ExitCode::Bug,
    }
}

/// Prints the help or the version, or what could not be understood.
fn answer_to(answer: &clap::Error, environment: &Environment) -> exit::ExitCode {
    let text = answer.render();
    if answer.use_stderr() {
        let printer = Printer::new(wants_color(Color::Auto, environment, io::stderr().is_terminal()));
        let text = text.to_string();
        printer.complain(text.strip_prefix("error: ").unwrap_or(&text).trim_end(), args::hint(answer));
        return exit::ExitCode::Usage;
    }
    let printer = Printer::new(false);
    let colored = wants_color(Color::Auto, environment, io::stdout().is_terminal());
    printer.out(&if colored { text.ansi().to_string() } else { text.to_string() });
    printer.outcome()
}

/// Whether a stream gets colours that is, or isn't, a terminal.
fn wants_color(color: Color, environment: &Environment, is_terminal: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        // https://no-color.org: set, and not empty.
        Color::Auto => {
            let no_color =
                environment.variables.get(OsStr::new("NO_COLOR")).is_some_and(|value| !value.is_empty());
            is_terminal && !no_color && !is_dumb(environment)
        }
    }
}

/// Whether the terminal knows neither colours nor how to move the cursor.
fn is_dumb(environment: &Environment) -> bool {
    environment.variables.get(OsStr::new("TERM")).is_some_and(|term| term == "dumb")
}

/// Tells a panic in one line: where it was, but not its message, which may quote anything that was at hand, a secret
/// included.
fn report_panics(printer: &Arc<Printer>) {
    let printer = Arc::clone(printer);
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        printer.complain(&format!("a bug in popfetch {} at {place}", env!("CARGO_PKG_VERSION")), None);
    }));
}

#[cfg(test)]
mod tests {
    use super::{Color, Environment, is_dumb, wants_color};

    #[test]
    fn colours_are_for_terminals_that_know_them() {
        let cases: [(Color, bool, &str, bool); 7] = [
            (Color::Auto, true, "TERM=xterm", true),
            (Color::Auto, true, "NO_COLOR=", true),
            (Color::Auto, true, "NO_COLOR=1", false),
            (Color::Auto, true, "TERM=dumb", false),
            (Color::Auto, false, "TERM=xterm", false),
            (Color::Always, false, "NO_COLOR=1", true),
            (Color::Never, true, "TERM=xterm", false),
        ];
        for (color, is_terminal, variable, expected) in cases {
            let (name, value) = variable.split_once('=').unwrap();
            let variables = [(name.into(), value.into())].into();
            let environment = Environment { variables, ..Environment::default() };
            assert_eq!(wants_color(color, &environment, is_terminal), expected, "{color:?} {variable}");
        }
        assert!(!is_dumb(&Environment::default()));
    }
}
