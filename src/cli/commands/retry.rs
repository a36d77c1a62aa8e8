//! `popfetch retry`: messages that failed, and logins that pause, are tried now.

use clap::Args;

use crate::cli::commands::fetch::connections;
use crate::cli::setup::{Cli, ConfigArgs, OutputArgs};
use crate::cli::words::{self, Named};
use crate::exit::ExitCode;
use crate::retrieval::Options;
use crate::retrieval::jobs::retrieve_all;

/// Try messages that failed, and logins that pause, now.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct RetryArgs {
    /// The accounts; then messages that have failed, where there is one account: numbers, unique-ids, last, -3, 3-7,
    /// lists; without any, all that have.
    #[arg(value_name = "ACCOUNT|ID", allow_negative_numbers = true, value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) words: Vec<String>,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,

    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}

/// Tries, and gives the exit code of all accounts together: 75 if a message failed again.
///
/// # Errors
/// What keeps every account from being tried: the arguments, the configuration, the system.
pub(super) fn run(args: &RetryArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let (configuration, only) = match words::read(cli, &args.config, &args.words)? {
        Named::These(configuration, messages) => (configuration, messages),
        Named::Nothing(code) => return Ok(code),
    };
    let options = Options { insist: true, retry: true, only, ..Options::default() };
    let reporter = cli.reporter(&args.output, &configuration.accounts);
    let connections = connections(&configuration, None);
    cli.run(reporter, |context| retrieve_all(&configuration.accounts, &options, context, connections))
}
