//! `popfetch state`: what is remembered of each account's mailbox, and what can be done with it.

mod export;
mod forget;
mod list;
mod move_to;
pub(in crate::cli) mod release;
mod restore;
mod verify;

use clap::Subcommand;

use crate::cli::setup::{Cli, Color};
use crate::exit::ExitCode;

/// What can be done with the state.
#[derive(Debug, Clone, Subcommand)]
#[command(defer = true)]
pub(in crate::cli) enum StateCommand {
    /// Show what is kept of each mailbox, and where.
    List(list::ListArgs),

    /// Check all that is kept, from beginning to end.
    Verify(verify::VerifyArgs),

    /// Forget messages, so that those which are still on the server are retrieved again.
    Forget(forget::ForgetArgs),

    /// Go on with what is kept, after a server, a user or a port has got another name.
    Move(move_to::MoveArgs),

    /// Write what is kept to standard output, for another machine.
    Export(export::ExportArgs),

    /// Read in what popfetch state export has written.
    Restore(restore::RestoreArgs),

    /// Give up unfinished deliveries to destinations that are no longer configured, or are gone.
    Release(release::ReleaseArgs),
}

/// Runs one of them.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(command: &StateCommand, cli: &Cli) -> anyhow::Result<ExitCode> {
    match command {
        StateCommand::List(args) => list::run(args, cli),
        StateCommand::Verify(args) => verify::run(args, cli),
        StateCommand::Forget(args) => forget::run(args, cli),
        StateCommand::Move(args) => move_to::run(args, cli),
        StateCommand::Export(args) => export::run(args, cli),
        StateCommand::Restore(args) => restore::run(args, cli),
        StateCommand::Release(args) => release::run(args, cli),
    }
}

impl StateCommand {
    /// When it uses colours.
    pub(super) fn color(&self) -> Color {
        match self {
            Self::List(args) => args.output.color,
            Self::Verify(args) => args.output.color,
            Self::Forget(_) | Self::Move(_) | Self::Export(_) | Self::Restore(_) | Self::Release(_) => {
                Color::Auto
            }
        }
    }
}
