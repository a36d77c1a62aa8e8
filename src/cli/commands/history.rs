//! `popfetch history`: the last deliveries, from whom and about what, where they went and what became of them on the server:
//! where is that mail?  It asks no server, and waits for no run.
//!
//! # With `--json`
//!
//! `history`, as `report::json` has it, for each delivery.  With `--failed`:
//!
//! `failing`: a message that has failed and waits on the server; or several that the last run counts as failed, of which
//! it isn't known whether each failed on its own.
//!
//! - `messages`: the number of messages that it sums up.
//! - `unique_id`: its unique-id, or null.
//! - `octets`: its size as listed, or null.
//! - `failures`: how often it has failed; 0 where it isn't known to be its own failure.
//! - `next_try`: when it is tried again, as RFC 3339 has it, in UTC; null at the next run.
//! - `reason`: why; null where that isn't kept.

use clap::Args;
use serde::Serialize;

use crate::cli::setup::{Cli, ReadArgs};
use crate::clock;
use crate::exit::ExitCode;
use crate::message::date;
use crate::report::json;
use crate::report::table::{Column, table};
use crate::report::terminal;
use crate::retrieval::history::{Failing, Remembered, failing, remembered};
use crate::text::{self, in_home, size};

/// Show the last deliveries: where is that mail?
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// Accounts by name; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    /// Show the last NUMBER deliveries.
    #[arg(short = 'n', long = "number", value_name = "NUMBER", default_value_t = 20)]
    #[arg(value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) number: usize,

    /// Show the messages that have failed, and when each is tried again.
    #[arg(long, conflicts_with = "number")]
    pub(in crate::cli) failed: bool,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

/// Prints what is remembered, the oldest first.  An account whose state can't be read is reported; the others are shown.
///
/// # Errors
/// The configuration.
pub(super) fn run(args: &HistoryArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let accounts = cli.accounts(&args.output.config, &args.accounts)?;
    let state = cli.environment.state_directory()?;
    let now = clock::now();
    let mut code = ExitCode::Done;
    let (mut past, mut failed) = (Vec::new(), Vec::new());
    for account in &accounts {
        let name = text::printable(account.name.as_bytes());
        let read = match args.failed {
            true => failing(account, &state, now)
                .map(|found| failed.extend(found.into_iter().map(|message| (name.clone(), message)))),
            false => remembered(account, &state, now)
                .map(|found| past.extend(found.into_iter().map(|message| (name.clone(), message)))),
        };
        if let Err(e) = read {
            code = code.merge(cli.complain(&format!("account \"{name}\""), &e));
        }
    }
    // What came in one second stays in its order.
    past.sort_by_key(|(_, message)| message.time);
    let past = past.split_off(past.len().saturating_sub(args.number));
    let names_accounts = accounts.len() > 1;
    let shown = match (args.output.json, args.failed) {
        (true, true) => failed.iter().map(|(name, message)| failing_line(name, message)).collect(),
        (true, false) => past.iter().map(|(name, message)| remembered_line(name, message)).collect(),
        (false, true) if failed.is_empty() => String::new(),
        (false, true) => failed_table(&failed, names_accounts),
        (false, false) if past.is_empty() => String::new(),
        (false, false) => {
            let home = cli.environment.home.as_deref().map(text::path);
            past_table(&past, names_accounts, home.as_deref())
        }
    };
    cli.show(&shown, &args.output);
    Ok(code)
}

fn remembered_line(account: &str, message: &Remembered) -> String {
    json::history_line(account, &message.delivery, message.on_server.map(|server| server.word()))
}

fn failing_line(account: &str, message: &Failing) -> String {
    let Failing { messages, unique_id, octets, failures, next_try, reason } = message;
    json::line(
        account,
        &FailingObject {
            messages: *messages,
            unique_id: unique_id.as_deref(),
            octets: octets.map(|octets| octets.0),
            failures: *failures,
            next_try: next_try.map(date::rfc3339),
            reason: reason.as_deref(),
        },
    )
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "failing")]
struct FailingObject<'a> {
    messages: u64,
    unique_id: Option<&'a str>,
    octets: Option<u64>,
    failures: u16,
    next_try: Option<String>,
    reason: Option<&'a str>,
}

/// Characters of a unique-id that distinguish it from others.
const UNIQUE_ID: usize = 24;

fn past_table(past: &[(String, Remembered)], names_accounts: bool, home: Option<&str>) -> String {
    let width = terminal::output_width();
    let mut columns = vec![
        Column::text("TIME"),
        Column::text("ACCOUNT"),
        Column::number("SIZE"),
        Column::text("SERVER"),
        Column::text("FROM").cut(),
        Column::text("SUBJECT").cut(),
        Column::text("WHERE").cut(),
        Column::text("UNIQUE-ID").cut(),
    ];
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |(account, message): &(String, Remembered)| {
        let Remembered { delivery, on_server, .. } = message;
        let places = delivery.destinations.iter().map(|place| match place.kind {
            "stdout" => "standard output".into(),
            _ => in_home(&place.path, home),
        });
        let id = or_dash(&delivery.unique_id);
        let id = if width.is_some() { text::shortened(&id, UNIQUE_ID).into_owned() } else { id };
        vec![
            clock::minute(message.time),
            account.clone(),
            size(delivery.octets),
            on_server.map_or("?", |server| server.word()).to_owned(),
            or_dash(&delivery.from),
            or_dash(&delivery.subject),
            places.collect::<Vec<_>>().join(", "),
            id,
        ]
    };
    let mut rows: Vec<Vec<String>> = past.iter().map(row).collect();
    without_accounts(names_accounts, &mut columns, &mut rows);
    table(&columns, &rows, width)
}

fn failed_table(failed: &[(String, Failing)], names_accounts: bool) -> String {
    let width = terminal::output_width();
    let mut columns = vec![
        Column::text("NEXT TRY"),
        Column::text("ACCOUNT"),
        Column::number("SIZE"),
        Column::number("FAILED"),
        Column::text("UNIQUE-ID").cut(),
    ];
    let row = |(account, message): &(String, Failing)| {
        let Failing { messages, unique_id, octets, failures, next_try, reason } = message;
        let which = match (unique_id, failures) {
            (Some(unique_id), _) => unique_id.clone(),
            (None, 0) => {
                let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
                format!("({}, not known to fail alone{reason})", text::count(*messages, "message"))
            }
            (None, _) => "-".to_owned(),
        };
        vec![
            next_try.map_or_else(|| "at the next run".to_owned(), clock::minute),
            account.clone(),
            octets.map_or_else(|| "?".to_owned(), |octets| size(octets.0)),
            match failures {
                0 => "?".to_owned(),
                1 => "once".to_owned(),
                n => format!("{n} times"),
            },
            which,
        ]
    };
    let mut rows: Vec<Vec<String>> = failed.iter().map(row).collect();
    without_accounts(names_accounts, &mut columns, &mut rows);
    table(&columns, &rows, width)
}

/// The place of the column of accounts.
const ACCOUNT: usize = 1;

/// Takes the column of accounts out where there is only one.
fn without_accounts(names_accounts: bool, columns: &mut Vec<Column>, rows: &mut [Vec<String>]) {
    if names_accounts {
        return;
    }
    columns.retain(|column| column.heading != "ACCOUNT");
    for row in rows {
        *row = row.drain(..).enumerate().filter(|(at, _)| *at != ACCOUNT).map(|(_, cell)| cell).collect();
    }
}
