//! The commands, a file for each: its arguments, whose documentation is the help, and `run`, which gives an exit code.
//! Errors that concern all accounts go to the caller, which prints them.
//!
//! A command's arguments are described to clap only when it has been chosen (`defer`): a fetch must not pay for the
//! options of forty commands.  So its sentence stands twice, here for the list of commands, and with its arguments for
//! its own help.

pub(super) mod accounts;
pub(super) mod auth;
pub(super) mod check;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod cron;
pub(super) mod delete;
pub(super) mod fetch;
pub(super) mod help;
pub(super) mod history;
pub(super) mod import;
pub(super) mod init;
pub(super) mod list;
pub(super) mod man;
pub(super) mod mark_seen;
pub(super) mod retry;
pub(super) mod server_info;
pub(super) mod shell;
pub(super) mod show;
pub(super) mod state;
pub(super) mod status;

use clap::Subcommand;

use super::setup::{Cli, Color};
use crate::exit::ExitCode;

/// What popfetch does.
#[derive(Debug, Clone, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Retrieve mail, as popfetch does without a command.
    Fetch(Box<fetch::FetchArgs>),

    /// Set an account up from its mail address.
    #[command(visible_alias = "add")]
    Init(Box<init::InitArgs>),

    /// Show how much is new on the server, and fetch nothing.
    Check(check::CheckArgs),

    /// List the messages on the server, and what the next run would do with each.
    List(list::ListArgs),

    /// Show one message.
    Show(show::ShowArgs),

    /// Delete messages from the server.
    Delete(delete::DeleteArgs),

    /// Take over accounts, and what was retrieved, from fetchmail, getmail, mpop or fdm.
    Import(import::ImportArgs),

    /// Print the names of the accounts.
    Accounts(accounts::AccountsArgs),

    /// Show the last deliveries: where is that mail?
    History(history::HistoryArgs),

    /// Show how each account stands: the last run, the last mail, what needs you.
    Status(status::StatusArgs),

    /// Let messages count as retrieved, without downloading them.
    MarkSeen(mark_seen::MarkSeenArgs),

    /// Try messages that failed, and logins that pause, now.
    Retry(retry::RetryArgs),

    /// Talk POP3 with an account's server by hand.
    Shell(shell::ShellArgs),

    /// Log in by OAuth, and show, print or give back what that has brought.
    #[command(subcommand)]
    Auth(auth::AuthCommand),

    /// Log in at the provider of an account, in a browser or by a code.
    #[command(hide = true)]
    Login(auth::login::LoginArgs),

    /// Give the tokens of an account back, and forget them.
    #[command(hide = true)]
    Logout(auth::logout::LogoutArgs),

    /// Show what a server offers, and which setting would be better.
    ServerInfo(server_info::ServerInfoArgs),

    /// Show, check or change the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),

    /// Manage what is remembered of an account.
    #[command(subcommand)]
    State(state::StateCommand),

    /// Print what cron or systemd needs to run popfetch again and again.
    Cron(cron::CronArgs),

    /// Print or install the script that completes command lines in a shell.
    Completions(completions::CompletionsArgs),

    /// Show or install the manual.
    Man(man::ManArgs),

    /// Show all of the help, of popfetch or of a command.
    Help(help::HelpArgs),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// What keeps every account from being tried: the arguments, the configuration, the system.
    pub(super) fn run(&self, cli: &Cli) -> anyhow::Result<ExitCode> {
        match self {
            Self::Fetch(args) => fetch::run(args, cli),
            Self::Init(args) => init::run(args, cli),
            Self::Check(args) => check::run(args, cli),
            Self::List(args) => list::run(args, cli),
            Self::Show(args) => show::run(args, cli),
            Self::Delete(args) => delete::run(args, cli),
            Self::Import(args) => import::run(args, cli),
            Self::Accounts(args) => accounts::run(args, cli),
            Self::History(args) => history::run(args, cli),
            Self::MarkSeen(args) => mark_seen::run(args, cli),
            Self::Retry(args) => retry::run(args, cli),
            Self::Status(args) => status::run(args, cli),
            Self::Shell(args) => shell::run(args, cli),
            Self::ServerInfo(args) => server_info::run(args, cli),
            Self::State(command) => state::run(command, cli),
            Self::Auth(command) => auth::run(command, cli),
            Self::Login(args) => auth::login::run(args, cli),
            Self::Logout(args) => auth::logout::run(args, cli),
            Self::Config(command) => config::run(command, cli),
            Self::Cron(args) => cron::run(args, cli),
            Self::Completions(args) => Ok(completions::run(args, cli)),
            Self::Man(args) => Ok(man::run(args, cli)),
            Self::Help(args) => Ok(help::run(args, cli)),
        }
    }

    /// When it uses colours.
    pub(super) fn color(&self) -> Color {
        match self {
            Self::Fetch(args) => args.output.color,
            Self::Check(args) => args.output.color,
            Self::List(args) => args.output.color,
            Self::Show(args) => args.output.color,
            Self::Accounts(args) => args.output.color,
            Self::History(args) => args.output.color,
            Self::Retry(args) => args.output.color,
            Self::Status(args) => args.output.color,
            Self::ServerInfo(args) => args.output.color,
            Self::State(command) => command.color(),
            Self::Auth(command) => command.color(),
            Self::Config(command) => command.color(),
            _ => Color::Auto,
        }
    }
}
