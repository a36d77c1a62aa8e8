//! `popfetch completions`: the script that completes command lines in a shell.  tests/generated.rs makes it.

use clap::{Args, ValueEnum};

use crate::cli::setup::Cli;
use crate::exit::ExitCode;

/// Print the script that completes command lines in a shell.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const AFTER_HELP: &str = "\
Where the script goes:
  bash  popfetch completions bash > ~/.local/share/bash-completion/completions/popfetch
  zsh   popfetch completions zsh > DIRECTORY/_popfetch, a directory of $fpath
  fish  popfetch completions fish > ~/.config/fish/completions/popfetch.fish";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs, cli: &Cli) -> ExitCode {
    cli.printer.out(match args.shell {
        Shell::Bash => include_str!("../../../completions/popfetch.bash"),
        Shell::Zsh => include_str!("../../../completions/_popfetch"),
        Shell::Fish => include_str!("../../../completions/popfetch.fish"),
    });
    ExitCode::Done
}
