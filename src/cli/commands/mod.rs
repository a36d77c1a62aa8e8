//! The commands, a file for each: its arguments, whose documentation is the help, and `run`, which gives an exit code.
//! Errors that concern all accounts go to the caller, which prints them.

pub(super) mod accounts;
pub(super) mod check;
pub(super) mod fetch;
pub(super) mod shell;
pub(super) mod state;

use clap::Subcommand;

use super::setup::{Cli, Color};
use crate::exit::ExitCode;

/// What popfetch does.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Retrieve mail, as popfetch does without a command.
    Fetch(Box<fetch::FetchArgs>),

    /// Show how much is new on the server, and fetch nothing.
    Check(check::CheckArgs),

    /// Print the names of the accounts.
    Accounts(accounts::AccountsArgs),

    /// Talk POP3 with an account's server by hand.
    Shell(shell::ShellArgs),

    /// Manage what is remembered of an account.
    #[command(subcommand)]
    State(state::StateCommand),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// What keeps every account from being tried: the arguments, the configuration, the system.
    pub(super) fn run(&self, cli: &Cli) -> anyhow::Result<ExitCode> {
        match self {
            Self::Fetch(args) => fetch::run(args, cli),
            Self::Check(args) => check::run(args, cli),
            Self::Accounts(args) => accounts::run(args, cli),
            Self::Shell(args) => shell::run(args, cli),
            Self::State(state::StateCommand::Release(args)) => state::release(args, cli),
        }
    }

    /// When it uses colours.
    pub(super) fn color(&self) -> Color {
        match self {
            Self::Fetch(args) => args.output.color,
            Self::Check(args) => args.output.color,
            Self::Accounts(args) => args.output.color,
            Self::Shell(_) | Self::State(_) => Color::Auto,
        }
    }
}
