//! `popfetch auth`: logins by OAuth, and what they have brought.

pub(in crate::cli) mod login;
pub(in crate::cli) mod logout;
mod status;
mod terminal;
mod token;

use std::sync::Arc;

use clap::Subcommand;

use crate::account::{Account, OAuth, PasswordSource};
use crate::cli::setup::{Cli, Color, ConfigArgs};
use crate::config::{self, Flags};
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::report::plain::{Level, Plain};
use crate::text;

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

/// An account that logs in by OAuth: the one that is named, else the only one.  One that doesn't is refused, in words.
///
/// # Errors
/// The configuration; several accounts of which none was named.
fn account(cli: &Cli, config: &ConfigArgs, name: Option<&str>) -> anyhow::Result<Option<Account>> {
    let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
    let mut configuration = cli.configuration(config, &names, &Flags::default())?;
    if name.is_none() && configuration.accounts.iter().any(|account| oauth(account).is_some()) {
        configuration.accounts.retain(|account| oauth(account).is_some());
    }
    let account = config::only(configuration)?;
    if oauth(&account).is_some() {
        return Ok(Some(account));
    }
    let name = text::printable(account.name.as_bytes());
    let hint = "add oauth to it: oauth = { provider = \"google\", client-id = \"…\", client-secret = \"…\" }; \
                popfetch.toml(5) has more";
    cli.printer.complain(&format!("account \"{name}\" does not log in by OAuth"), Some(hint));
    Ok(None)
}

fn oauth(account: &Account) -> Option<&OAuth> {
    match &account.password {
        PasswordSource::OAuth(oauth) => Some(oauth),
        _ => None,
    }
}

/// Reports in lines, as `-v` asks.
fn reporter(cli: &Cli, account: &Account, verbose: u8) -> Arc<Plain> {
    let level = match verbose {
        0 => Level::Normal,
        1 => Level::Details,
        _ => Level::Dialogue,
    };
    Arc::new(Plain::new(Arc::clone(&cli.printer), level, &[account.name.as_str()]))
}

/// Reports what went wrong, and gives its exit code.
fn failed(cli: &Cli, account: &Account, problem: &dyn crate::problem::Problem) -> ExitCode {
    cli.failed(account, &ReportedError::of(problem, true))
}
