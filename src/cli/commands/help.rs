//! `popfetch help`: all of the help, of popfetch or of one command.

use std::io::{self, IsTerminal as _};

use clap::Args;

use crate::cli::nearby;
use crate::cli::setup::{Cli, Color, ReadArgs, wants_color};
use crate::exit::ExitCode;

/// Show all of the help, of popfetch or of a command.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct HelpArgs {
    /// The command; several words for a command like "state release".
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Prints what `--help` prints, by the pager if it is long.  64 where there is no such command.
pub(super) fn run(args: &HelpArgs, cli: &Cli) -> ExitCode {
    let root = (cli.grammar)();
    let mut command = &root;
    for word in &args.command {
        let Some(found) = command.find_subcommand(word) else {
            let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            let (what, hint) = nearby::no_command(word, &known);
            cli.printer.complain(&what, Some(&hint));
            return ExitCode::Usage;
        };
        command = found;
    }
    let words = ["popfetch"].into_iter().chain(args.command.iter().map(String::as_str)).chain(["--help"]);
    if let Err(help) = (cli.grammar)().try_get_matches_from(words) {
        let colored = wants_color(Color::Auto, &cli.environment, io::stdout().is_terminal());
        let help = help.render();
        let text = if colored { help.ansi().to_string() } else { help.to_string() };
        cli.show(&text, &ReadArgs::default());
    }
    ExitCode::Done
}
