//! `popfetch man`: the manual, which the binary carries with it.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};

use crate::cli::setup::Cli;
use crate::exit::ExitCode;

/// Show the manual.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct ManArgs {
    /// The page.
    #[arg(value_name = "PAGE", default_value = "popfetch")]
    page: Page,
}

const AFTER_HELP: &str = "\
On a terminal man(1) shows it.  Elsewhere it is printed as it is, for man(1) or mandoc(1) to read:
  popfetch man popfetch.toml > ~/.local/share/man/man5/popfetch.toml.5";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    #[value(name = "popfetch", alias = "popfetch.1")]
    Popfetch,
    #[value(name = "popfetch.toml", aliases = ["toml", "popfetch.toml.5"])]
    Toml,
    #[value(name = "popfetch-json", aliases = ["json", "popfetch-json.5"])]
    Json,
}

/// Shows a page on a terminal; prints it as roff elsewhere, and where there is no man(1).
pub(super) fn run(args: &ManArgs, cli: &Cli) -> ExitCode {
    let page = match args.page {
        Page::Popfetch => include_str!("../../../man/popfetch.1"),
        Page::Toml => include_str!("../../../man/popfetch.toml.5"),
        Page::Json => include_str!("../../../man/popfetch-json.5"),
    };
    let is_terminal = io::stdout().is_terminal();
    let is_dumb = cli.environment.variables.get(OsStr::new("TERM")).is_some_and(|term| term == "dumb");
    if !is_terminal || is_dumb || !is_shown(page) {
        cli.printer.out(page);
    }
    ExitCode::Done
}

/// Whether man(1) has shown the page.
fn is_shown(page: &str) -> bool {
    let Ok(mut child) = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn() else {
        return false;
    };
    if let Some(mut input) = child.stdin.take() {
        // It may be left before it has read everything.
        let _ = input.write_all(page.as_bytes());
    }
    child.wait().is_ok_and(|status| status.success())
}
