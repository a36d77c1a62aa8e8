//! `popfetch auth`: logins by OAuth, and what they have brought.

pub(in crate::cli) mod login;
pub(in crate::cli) mod logout;
mod setup;
mod status;
mod terminal;
mod token;

use clap::Subcommand;

use crate::cli::setup::{Cli, Color};
use crate::exit::ExitCode;

/// What can be done with OAuth logins.
#[derive(Debug, Clone, Subcommand)]
#[command(defer = true)]
pub(in crate::cli) enum AuthCommand {
    /// Log in at the provider of an account, in a browser or by a code.
    Login(login::LoginArgs),

    /// Give the tokens of an account back, and forget them.
    Logout(logout::LogoutArgs),

    /// Show which logins there are, and when they end.
    Status(status::StatusArgs),

    /// Print a valid access token of an account, for another program.
    Token(token::TokenArgs),
}

/// Runs one of them.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(command: &AuthCommand, cli: &Cli) -> anyhow::Result<ExitCode> {
    match command {
        AuthCommand::Login(args) => login::run(args, cli),
        AuthCommand::Logout(args) => logout::run(args, cli),
        AuthCommand::Status(args) => status::run(args, cli),
        AuthCommand::Token(args) => token::run(args, cli),
    }
}

impl AuthCommand {
    /// When it uses colours.
    pub(super) fn color(&self) -> Color {
        match self {
            Self::Status(args) => args.output.color,
            Self::Login(_) | Self::Logout(_) | Self::Token(_) => Color::Auto,
        }
    }
}
