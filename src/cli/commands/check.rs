//! `popfetch check`: how much is new on the server, for people, status bars and scripts.
//!
//! With `--json` there is an object for each account:
//!
//! `check`: what is on the server.
//!
//! - `new`: messages that were never delivered, and that no run has failed with; null where `error` says why that isn't
//!   known.
//! - `octets`: their octets, or null when not all are known.
//! - `listed`: messages on the server, or null.
//! - `time`: when the server was asked, in RFC 3339's form; or null.
//! - `remembered`: whether the last run's word was taken, by `--max-age`.
//! - `exit`: the exit code that this account alone would have made.
//! - `error`: what kept it from being known, or null; as of `account`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::fetch::connections;
use crate::account::Account;
use crate::cli::setup::{Cli, ReadArgs, duration};
use crate::config::Flags;
use crate::exit::ExitCode;
use crate::message::date;
use crate::report::plain::Level;
use crate::report::{ReportedError, json};
use crate::retrieval::{NewMail, Options, check_all};
use crate::text::{count, size};

/// Show how much is new on the server, and fetch nothing.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct CheckArgs {
    /// Accounts by name or as POP URLs; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT|URL", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    /// Print nothing but the number of new messages.
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) count: bool,

    /// Take the last run's word, without asking the server, if that run is no longer ago than DURATION.
    #[arg(long, value_name = "DURATION", value_parser = duration, value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) max_age: Option<Duration>,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "check")]
struct Check<'a> {
    new: Option<u64>,
    octets: Option<u64>,
    listed: Option<u64>,
    time: Option<String>,
    remembered: bool,
    exit: u8,
    error: Option<json::ErrorObject<'a>>,
}

/// Checks, and gives the exit code: the worst failure's; else 0 where anything is new, and 1 where nothing is.
///
/// # Errors
/// What keeps every account from being tried: the arguments, the configuration, the system.
pub(super) fn run(args: &CheckArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let configuration = cli.configuration(&args.output.config, &args.accounts, &Flags::default())?;
    // A status bar names its account each time: only a terminal tries a refused password again.
    let options = Options { insist: cli.insists(false), ..Options::default() };
    cli.run(cli.lines(Level::Normal, &configuration.accounts), |context| {
        let connections = connections(&configuration, None);
        let found = check_all(&configuration.accounts, &options, args.max_age, context, connections);
        report(args, cli, &found);
        exit_code(&found)
    })
}

fn exit_code(found: &[(&Account, Result<NewMail, ReportedError>)]) -> ExitCode {
    let failures = found.iter().filter_map(|(_, found)| found.as_ref().err());
    let worst = failures.map(|failure| failure.exit).fold(ExitCode::Done, ExitCode::merge);
    let any = found.iter().any(|(_, found)| found.as_ref().is_ok_and(|found| found.new > 0));
    match worst {
        ExitCode::Done if !any => ExitCode::No,
        worst => worst,
    }
}

fn report(args: &CheckArgs, cli: &Cli, found: &[(&Account, Result<NewMail, ReportedError>)]) {
    let known = || found.iter().filter_map(|(_, found)| found.as_ref().ok());
    let widest = found.iter().map(|(account, _)| account.name.chars().count()).max().unwrap_or(0);
    let several = found.len() > 1;
    let mut text = String::new();
    for (account, found) in found {
        if let Err(failure) = found {
            cli.failed(account, failure);
        }
        text.push_str(&match (args.output.json, found) {
            (true, found) => json::line(&account.name, &object(found)),
            (false, Ok(found)) if several => format!("{:widest$}  {}\n", account.name, sentence(found)),
            (false, Ok(found)) => format!("{}\n", sentence(found)),
            (false, Err(_)) => String::new(),
        });
    }
    if args.count {
        let sum = known().map(|found| found.new).fold(0, u64::saturating_add);
        text = if known().next().is_some() { format!("{sum}\n") } else { String::new() };
    }
    cli.show(&text, &args.output);
}

fn sentence(found: &NewMail) -> String {
    let octets = found.octets.map_or_else(String::new, |octets| format!(", {}", size(octets.0)));
    let new = match found.new {
        0 => "nothing new".to_owned(),
        new => format!("{new} new{octets}"),
    };
    format!("{new} ({} on the server)", count(found.listed, "message"))
}

fn object(found: &Result<NewMail, ReportedError>) -> Check<'_> {
    match found {
        Ok(found) => Check {
            new: Some(found.new),
            octets: found.octets.map(|octets| octets.0),
            listed: Some(found.listed),
            time: Some(date::rfc3339(found.asked)),
            remembered: found.remembered,
            exit: if found.new > 0 { ExitCode::Done.number() } else { ExitCode::No.number() },
            error: None,
        },
        Err(failure) => Check {
            new: None,
            octets: None,
            listed: None,
            time: None,
            remembered: false,
            exit: failure.exit.number(),
            error: Some(json::ErrorObject::of(failure)),
        },
    }
}
