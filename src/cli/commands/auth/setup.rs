//! What the commands about OAuth share: which account, and how its errors are reported.

use std::sync::Arc;

use crate::account::{Account, OAuth, PasswordSource};
use crate::cli::setup::{Cli, ConfigArgs, level};
use crate::config::{self, Flags};
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::report::ReportedError;
use crate::report::plain::Plain;
use crate::text;

/// An account that logs in by OAuth: the one that is named, else the only one.  One that doesn't is refused, in words.
///
/// # Errors
/// The configuration; several accounts of which none was named.
pub(super) fn account(cli: &Cli, config: &ConfigArgs, name: Option<&str>) -> anyhow::Result<Option<Account>> {
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

pub(super) fn oauth(account: &Account) -> Option<&OAuth> {
    match &account.password {
        PasswordSource::OAuth(oauth) => Some(oauth),
        _ => None,
    }
}

/// Reports in lines, as `-v` asks.
pub(super) fn reporter(cli: &Cli, account: &Account, verbose: u8) -> Arc<Plain> {
    cli.lines(level(verbose), std::slice::from_ref(account))
}

/// Reports what went wrong, and gives its exit code.
pub(super) fn failed(cli: &Cli, account: &Account, problem: &dyn Problem) -> ExitCode {
    cli.failed(account, &ReportedError::of(problem))
}
