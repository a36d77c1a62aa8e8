//! `popfetch state verify`: reads all that is kept, and reports what is damaged.
//!
//! # With `--json`
//!
//! One object for each mailbox, of type `verified`.
//!
//! - `account`: the account's name; the mailbox where no account names it.
//! - `directory`: where the ledger is.
//! - `exit`: the exit code that it alone would have made, 0 when all is well.
//! - `messages`: how many messages it knows; null where it cannot be read.
//! - `error`, `hint`: what is wrong, and what to do; or null.
//! - `warnings`: what the next run puts right, in an array.

use clap::Args;
use serde::Serialize;

use crate::cli::setup::{Cli, ReadArgs};
use crate::clock;
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::report::json;
use crate::state::inventory::{self, KeptMailbox, Verified};
use crate::text;

/// Check all that is kept, from beginning to end.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Accounts by name; without any, all that is kept.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "verified")]
struct VerifyObject<'a> {
    directory: String,
    exit: u8,
    messages: Option<u64>,
    error: Option<String>,
    hint: Option<String>,
    warnings: &'a [String],
}

/// Prints a line for each mailbox, and gives the exit code of what is wrong.
///
/// # Errors
/// The configuration.
pub(super) fn run(args: &VerifyArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let accounts = cli.accounts(&args.output.config, &args.accounts)?;
    let (state, now) = (cli.environment.state_directory()?, clock::now());
    let mut kept = inventory::all(&accounts, &state, now);
    if !args.accounts.is_empty() {
        kept.retain(|kept| kept.account.is_some());
    }
    let (mut text, mut code) = (String::new(), ExitCode::Done);
    for kept in &kept {
        let verified = inventory::verify(kept, now);
        let exit = verified.error.as_ref().map_or(ExitCode::Done, |e| e.exit_code());
        code = code.merge(exit);
        if args.output.json {
            text.push_str(&json::line(&kept.name(), &object(kept, &verified, exit)));
        } else {
            text.push_str(&lines(kept, &verified));
        }
    }
    cli.show(&text, &args.output);
    Ok(code)
}

fn lines(kept: &KeptMailbox, verified: &Verified) -> String {
    let name = text::printable(kept.name().as_bytes());
    let mut text = match &verified.error {
        Some(e) => {
            let hint = e.hint().map_or_else(String::new, |hint| format!("  hint: {hint}\n"));
            format!("{name}: error: {e}\n{hint}")
        }
        None => format!("{name}: ok ({})\n", text::count(verified.messages, "message")),
    };
    for warning in &verified.warnings {
        text.push_str(&format!("  {warning}\n"));
    }
    text
}

fn object<'a>(kept: &KeptMailbox, verified: &'a Verified, exit: ExitCode) -> VerifyObject<'a> {
    let error = verified.error.as_ref();
    VerifyObject {
        directory: text::path(&kept.directory),
        exit: exit.number(),
        messages: error.is_none().then_some(verified.messages),
        error: error.map(ToString::to_string),
        hint: error.and_then(|e| e.hint().map(Into::into)),
        warnings: &verified.warnings,
    }
}
