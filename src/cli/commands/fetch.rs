//! `popfetch fetch`, and popfetch without a command: retrieves the mail of the accounts named, or of all of them.

use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::account::{Account, Retention};
use crate::cli::setup::{Cli, ConfigArgs, OutputArgs, duration};
use crate::config::settings::MOST_CONNECTIONS;
use crate::config::{self, Configuration, Flags};
use crate::delivery;
use crate::environment::Environment;
use crate::exit::ExitCode;
use crate::report::log::Logged;
use crate::retrieval::jobs::{Connections, retrieve_all};
use crate::retrieval::{self, Options};
use crate::types::Wait;

/// Retrieve mail, as popfetch does without a command.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub(in crate::cli) struct FetchArgs {
    /// Accounts by name or as POP URLs; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT|URL", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,

    /// Poll up to NUMBER accounts at a time [default: 16].
    #[arg(long, value_name = "NUMBER", value_parser = jobs, value_hint = clap::ValueHint::Other)]
    #[arg(hide_short_help = true)]
    pub(in crate::cli) jobs: Option<NonZeroUsize>,

    /// Wait for another popfetch to leave the mailbox, at most for the duration if one is given.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = wait)]
    #[arg(default_value = "0s", hide_default_value = true, default_missing_value = FOREVER)]
    #[arg(value_hint = clap::ValueHint::Other, hide_short_help = true)]
    pub(in crate::cli) wait: Wait,

    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,

    /// Append a line to this file for each message that was delivered or has failed, and for each run.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, hide_short_help = true)]
    pub(in crate::cli) log_file: Option<PathBuf>,

    /// Leave everything on the server in this run.
    #[arg(long, help_heading = POLICY, conflicts_with_all = ["delete", "leave-on-server"])]
    pub(in crate::cli) keep: bool,

    /// Delete from the server in this run whatever is durably delivered.
    #[arg(long, help_heading = POLICY, conflicts_with = "leave-on-server")]
    pub(in crate::cli) delete: bool,

    /// Retrieve again what was retrieved before.
    #[arg(long, help_heading = POLICY)]
    pub(in crate::cli) all: bool,

    /// Show what would be done with each message and why, and change nothing.
    #[arg(long, help_heading = POLICY)]
    pub(in crate::cli) dry_run: bool,

    #[command(flatten)]
    pub(in crate::cli) settings: Flags,

    /// Whether `fetch` was left out: then an account that does not exist may be a misspelt command.
    #[arg(skip)]
    pub(in crate::cli) is_bare: bool,
}

const POLICY: &str = "What is done in this run";

/// `--wait` without a duration.
const FOREVER: &str = "forever";

/// As many as the configuration's `connections` may be.
fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let most = usize::try_from(MOST_CONNECTIONS).unwrap_or(usize::MAX);
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= most);
    number.ok_or_else(|| format!("a number from 1 to {MOST_CONNECTIONS} is needed"))
}

fn wait(text: &str) -> Result<Wait, String> {
    if text == FOREVER {
        return Ok(Wait::Forever);
    }
    duration(text).map(Wait::AtMost)
}

/// Retrieves, and gives the exit code of all accounts together.
///
/// # Errors
/// What keeps every account from being tried: the arguments, the configuration, the system.
pub(super) fn run(args: &FetchArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let configuration = cli.configuration(&args.config, &args.accounts, &args.settings)?;
    let options = Options {
        retention: args.retention(),
        all: args.all,
        dry_run: args.dry_run,
        wait: args.wait,
        insist: args.names_account() || cli.environment.stdin_is_terminal || io::stderr().is_terminal(),
        ..Options::default()
    };
    for account in &configuration.accounts {
        let retention = options.retention.unwrap_or(account.retention);
        let as_run = Account { retention, ..account.clone() };
        config::check_stdout(&as_run, delivery::stdout::is_regular_file())?;
        if args.output.json {
            config::check_json(account)?;
        }
    }
    if !args.output.quiet {
        configuration.warnings.iter().for_each(|warning| cli.printer.warn(warning));
    }
    let mut reporter = cli.reporter(&args.output, &configuration.accounts);
    if let Some(path) = args.log_file(&configuration, cli)
        && !args.dry_run
    {
        reporter = Arc::new(Logged::new(reporter, path, retrieval::timestamp));
    }
    let connections = connections(&configuration, args.jobs);
    // Nobody is asked anything.
    let may_ask = cli.environment.may_ask && !args.output.quiet;
    let cli = Cli {
        environment: Environment { may_ask, ..cli.environment.clone() },
        printer: Arc::clone(&cli.printer),
        grammar: cli.grammar,
    };
    cli.run(reporter, |context| retrieve_all(&configuration.accounts, &options, context, connections))
}

impl FetchArgs {
    fn retention(&self) -> Option<Retention> {
        match (self.keep, self.delete) {
            (true, _) => Some(Retention::Keep),
            (false, true) => Some(Retention::Delete),
            (false, false) => None,
        }
    }

    /// Whether the user has asked for just these accounts.
    fn names_account(&self) -> bool {
        !self.accounts.is_empty() || self.settings.name_server()
    }

    fn log_file(&self, configuration: &Configuration, cli: &Cli) -> Option<PathBuf> {
        let here = |path: &PathBuf| cli.environment.current_directory.join(path);
        self.log_file.as_ref().map(here).or_else(|| configuration.log_file.clone())
    }
}

/// How many sessions there may be at once: `jobs` in place of the configuration's number.
pub(super) fn connections(configuration: &Configuration, jobs: Option<NonZeroUsize>) -> Connections {
    // The configuration allows no zeros.
    let configured = |connections| NonZeroUsize::new(connections).unwrap_or(NonZeroUsize::MIN);
    Connections {
        total: jobs.unwrap_or_else(|| configured(configuration.connections)),
        per_server: configured(configuration.connections_per_server),
    }
}
