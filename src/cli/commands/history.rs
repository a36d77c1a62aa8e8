//! `popfetch history`: the last deliveries, from whom and about what, where they went and what became of them on the server:
//! where is that mail?  It asks no server, and waits for no run.

use clap::Args;

use crate::cli::setup::{Cli, ConfigArgs, ReadArgs};
use crate::clock;
use crate::config::Flags;
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::report::columns::{Column, table};
use crate::report::json;
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
    pub(in crate::cli) config: ConfigArgs,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

/// Prints what is remembered, the oldest first.  An account whose state can't be read is reported; the others are shown.
///
/// # Errors
/// The configuration.
pub(super) fn run(args: &HistoryArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let accounts = cli.configuration(&args.config, &args.accounts, &Flags::default())?.accounts;
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
            cli.printer.complain(&format!("account \"{name}\": {e}"), e.hint().as_deref());
            code = code.merge(e.exit_code());
        }
    }
    // RFC 3339 in UTC sorts as it passes; what came in one second stays in its order.
    past.sort_by(|(_, one), (_, other)| one.delivery.time.cmp(&other.delivery.time));
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
    let Failing { unique_id, octets, failures, next_try } = message;
    json::failing_line(
        account,
        unique_id.as_deref(),
        octets.map(|octets| octets.0),
        *failures,
        next_try.as_deref(),
    )
}

/// Of a unique-id this much tells it from others.
const UNIQUE_ID: usize = 24;

fn past_table(past: &[(String, Remembered)], names_accounts: bool, home: Option<&str>) -> String {
    let width = terminal::output_size().map(|(columns, _)| columns);
    let mut columns = vec![
        Column::text("TIME (UTC)"),
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
        let Remembered { delivery, on_server } = message;
        let places = delivery.destinations.iter().map(|place| match place.kind {
            "stdout" => "standard output".into(),
            _ => in_home(&place.path, home),
        });
        let id = or_dash(&delivery.unique_id);
        let id = if width.is_some() { text::shortened(&id, UNIQUE_ID).into_owned() } else { id };
        vec![
            minute(&delivery.time),
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
    let width = terminal::output_size().map(|(columns, _)| columns);
    let mut columns = vec![
        Column::text("NEXT TRY (UTC)"),
        Column::text("ACCOUNT"),
        Column::number("SIZE"),
        Column::number("FAILED"),
        Column::text("UNIQUE-ID").cut(),
    ];
    let row = |(account, message): &(String, Failing)| {
        vec![
            message.next_try.as_deref().map_or_else(|| "at the next run".to_owned(), minute),
            account.clone(),
            message.octets.map_or_else(|| "?".to_owned(), |octets| size(octets.0)),
            match message.failures {
                1 => "once".to_owned(),
                n => format!("{n} times"),
            },
            message.unique_id.clone().unwrap_or_else(|| "-".to_owned()),
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

/// `2026-11-27 09:12` of a time in RFC 3339.
fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}
