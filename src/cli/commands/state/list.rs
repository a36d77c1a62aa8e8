//! `popfetch state list`: what is kept of each mailbox, and where.
//!
//! # With `--json`
//!
//! One object for each mailbox, of type `kept`.
//!
//! - `account`: the account's name; the mailbox where no account names it.
//! - `configured`: whether an account names it.
//! - `mailbox`: `USER@HOST`, with `:PORT` where that is neither 110 nor 995; null where it cannot be read.
//! - `directory`, `octets`: where its state is kept, and the size of its files.
//! - `last_run`: when the last run ended, or began where it hasn't ended; or null.
//! - `messages`, `unfinished`: how many messages are known, and how many deliveries a run has left unfinished; null where
//!   the ledger cannot be read.

use clap::Args;
use serde::Serialize;

use crate::cli::setup::{Cli, ReadArgs};
use crate::clock;
use crate::exit::ExitCode;
use crate::message::date;
use crate::report::table::{Column, table};
use crate::report::{json, terminal};
use crate::state::inventory::{self, KeptMailbox};
use crate::text;

/// Show what is kept of each mailbox, and where.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "kept")]
struct StateListObject {
    configured: bool,
    mailbox: Option<String>,
    directory: String,
    octets: u64,
    last_run: Option<String>,
    messages: Option<u64>,
    unfinished: Option<u64>,
}

/// Prints a row for each mailbox: those of accounts in the order of the configuration, then those that no account names.
///
/// # Errors
/// The configuration.
pub(super) fn run(args: &ListArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let accounts = cli.accounts(&args.output.config, &[])?;
    let now = clock::now();
    let kept = inventory::all(&accounts, &cli.environment.state_directory()?, now);
    let text = if args.output.json {
        kept.iter().map(|kept| json::line(&kept.name(), &object(kept))).collect()
    } else {
        const COLUMNS: [Column; 6] = [
            Column::text("ACCOUNT"),
            Column::text("MAILBOX").cut(),
            Column::number("MESSAGES"),
            Column::number("SIZE"),
            Column::text("LAST RUN"),
            Column::text("DIRECTORY"),
        ];
        let rows: Vec<Vec<String>> = kept.iter().map(|kept| row(kept, now)).collect();
        // A directory that is cut short cannot be used.
        table(&COLUMNS, &rows, terminal::output_width().map(|width| width.max(LEAST)))
    };
    cli.show(&text, &args.output);
    Ok(ExitCode::Done)
}

/// A terminal that is narrower breaks the lines itself.
const LEAST: usize = 160;

fn row(kept: &KeptMailbox, now: crate::types::Time) -> Vec<String> {
    let account =
        kept.account.as_deref().map_or_else(|| "(none)".to_owned(), |name| text::printable(name.as_bytes()));
    let mailbox = kept.mailbox.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
    let messages = match &kept.known {
        Ok(known) => text::grouped(known.messages()),
        Err(_) => "unreadable".to_owned(),
    };
    let last_run = kept.last_run.map_or_else(|| "-".to_owned(), |time| clock::ago(time, now));
    vec![account, mailbox, messages, text::size(kept.octets), last_run, text::path(&kept.directory)]
}

fn object(kept: &KeptMailbox) -> StateListObject {
    let known = kept.known.as_ref().ok();
    StateListObject {
        configured: kept.account.is_some(),
        mailbox: kept.mailbox.as_ref().map(ToString::to_string),
        directory: text::path(&kept.directory),
        octets: kept.octets,
        last_run: kept.last_run.map(date::rfc3339),
        messages: known.map(|known| known.messages()),
        unfinished: known.map(|known| known.unfinished),
    }
}
