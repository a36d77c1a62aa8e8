//! `popfetch config`: the configuration, seen, checked and changed.

mod check;
mod edit;
mod path;
mod show;

use clap::Subcommand;

use crate::cli::setup::{Cli, Color};
use crate::exit::ExitCode;

/// Show, check or change the configuration.
#[derive(Debug, Clone, Subcommand)]
#[command(defer = true)]
pub(in crate::cli) enum ConfigCommand {
    /// Print where the configuration is.
    Path(path::PathArgs),

    /// Show the settings of each account as they count, and where each comes from.
    Show(show::ShowArgs),

    /// Read the configuration, and try the destinations and passwords that it names.
    Check(check::CheckArgs),

    /// Change the configuration in an editor; it is checked before it counts.
    Edit(edit::EditArgs),
}

/// Runs one of them.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(command: &ConfigCommand, cli: &Cli) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Path(args) => path::run(args, cli),
        ConfigCommand::Show(args) => show::run(args, cli),
        ConfigCommand::Check(args) => check::run(args, cli),
        ConfigCommand::Edit(args) => edit::run(args, cli),
    }
}

impl ConfigCommand {
    /// When it uses colours.
    pub(super) fn color(&self) -> Color {
        match self {
            Self::Show(args) => args.output.color,
            Self::Check(args) => args.output.color,
            Self::Path(_) | Self::Edit(_) => Color::Auto,
        }
    }
}
