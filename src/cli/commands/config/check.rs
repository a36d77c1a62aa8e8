//! `popfetch config check`: all that is wrong with the configuration, and with what it names.
//!
//! # With `--json`
//!
//! One object for each thing that was tried, of type `checked`.
//!
//! - `account`: the account's name; empty for the file itself.
//! - `what`: what was tried, for people.
//! - `exit`: the exit code that it alone would have made, 0 when it is right.
//! - `error`, `hint`: what is wrong, and what to do; or null.

use clap::Args;
use serde::Serialize;

use crate::cli::setup::{Cli, ReadArgs};
use crate::config;
use crate::exit::ExitCode;
use crate::report::plain::Level;
use crate::report::{ReportedError, json};
use crate::retrieval::check::check;
use crate::text;

/// Read the configuration, and try the destinations and passwords that it names.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct CheckArgs {
    /// Accounts by name, whose destinations and passwords are tried; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    /// Log in at each server as well; nothing is retrieved or deleted.
    #[arg(long)]
    pub(in crate::cli) login: bool,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "checked")]
struct ConfigCheckObject<'a> {
    what: &'a str,
    exit: u8,
    error: Option<&'a str>,
    hint: Option<&'a str>,
}

/// Prints a line for each thing that was tried, and gives the exit code of all that is wrong.
///
/// # Errors
/// A name that no account has; the system.
pub(super) fn run(args: &CheckArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let path = cli.configuration_file(&args.output.config)?;
    let review = config::review(&path, &cli.environment).of(&args.accounts)?;
    let shown = text::path(&path);
    let mut code = ExitCode::Done;
    let mut put = |account: &str, what: &str, failure: Option<&ReportedError>| {
        code = code.merge(failure.map_or(ExitCode::Done, |failure| failure.exit));
        cli.printer.out(&if args.output.json {
            let (exit, error) = (failure.map_or(0, |failure| failure.exit.number()), failure);
            let object = ConfigCheckObject {
                what,
                exit,
                error: error.map(|failure| failure.message.as_str()),
                hint: error.and_then(|failure| failure.hint.as_deref()),
            };
            json::line(account, &object)
        } else {
            line(account, what, failure)
        });
    };
    for problem in &review.problems {
        put("", &shown, Some(&ReportedError::of(problem)));
    }
    if review.problems.is_empty() {
        put("", &shown, None);
    }
    let stopped = cli.run(cli.lines(Level::Quiet, &review.accounts), |context| {
        for account in &review.accounts {
            if context.stop.raised() {
                break;
            }
            for checked in check(account, context, args.login) {
                put(&account.name, &checked.what, checked.failure.as_ref());
            }
        }
        ExitCode::Done
    })?;
    Ok(code.merge(stopped))
}

/// `home: ok: maildir /home/me/Mail`, or `home: error: …` and the hint.
fn line(account: &str, what: &str, failure: Option<&ReportedError>) -> String {
    let account =
        if account.is_empty() { String::new() } else { format!("{}: ", text::printable(account.as_bytes())) };
    match failure {
        None => format!("{account}ok: {what}\n"),
        Some(ReportedError { message, hint, .. }) => {
            let hint = hint.as_ref().map_or_else(String::new, |hint| format!("  hint: {hint}\n"));
            // What is wrong names it already, in most cases.
            let what = if message.contains(what) { String::new() } else { format!("{what}: ") };
            format!("{account}error: {what}{message}\n{hint}")
        }
    }
}
