//! `popfetch accounts`: the names of the accounts, for people, scripts and completions.

use clap::Args;
use serde::Serialize;

use crate::cli::setup::{Cli, ReadArgs};
use crate::exit::ExitCode;
use crate::report::json;

/// Print the names of the accounts.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct AccountsArgs {
    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "configured")]
struct AccountObject<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
}

/// Prints the names, one a line, in the order of the configuration.
///
/// # Errors
/// The configuration.
pub(super) fn run(args: &AccountsArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let accounts = cli.accounts(&args.output.config, &[])?;
    let lines = accounts.iter().map(|account| match args.output.json {
        true => {
            let (host, user) = (account.host.as_str(), account.user.as_str());
            json::line(&account.name, &AccountObject { host, port: account.port, user })
        }
        false => format!("{}\n", account.name),
    });
    cli.show(&lines.collect::<String>(), &args.output);
    Ok(ExitCode::Done)
}
