//! `popfetch list`: the messages on the server, with author, date and subject, and what the next run would do with each.
//!
//! With `--json` there is an object for each message, ascending by number:
//!
//! `listed`: a message on the server.
//!
//! - `number`: its number in this session.
//! - `unique_id`: its unique-id, or null.
//! - `octets`: its size as listed, or null.
//! - `date`: when its author says that it was sent, in RFC 3339's form; or null.
//! - `from`, `address`: its first author's name (the address where there is none) and address, decoded; or null.
//! - `subject`, `message_id`: as in its header, decoded; or null.
//! - `new`: whether it was never delivered, and no run has failed with it.
//! - `action`, `why`: what the next run would do with it, as of `plan`.

use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;

use clap::Args;
use serde::Serialize;

use crate::cli::setup::{Cli, ReadArgs};
use crate::clock;
use crate::exit::ExitCode;
use crate::message::date;
use crate::message::summary::HeaderSummary;
use crate::report::plain::Level;
use crate::report::table::{Column, table};
use crate::report::{Action, json, terminal};
use crate::retrieval::{ListFilter, MessageRow, MessageRows, Options, list};
use crate::text::{count, printable, readable, size};
use crate::types::{Time, wide};

/// List the messages on the server, and what the next run would do with each.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ListArgs {
    /// The account, by name or as a POP URL; it may be left out where there is one.
    #[arg(value_name = "ACCOUNT|URL", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: Option<String>,

    /// List only what was never delivered, and what no run has failed with.
    #[arg(long, group = "which")]
    pub(in crate::cli) new: bool,

    /// List only what was delivered before.
    #[arg(long, group = "which")]
    pub(in crate::cli) seen: bool,

    /// List only what a run has failed with.
    #[arg(long, group = "which")]
    pub(in crate::cli) failed: bool,

    /// List the last NUMBER messages.
    #[arg(short, value_name = "NUMBER", default_value = "50", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) number: NonZeroUsize,

    /// List all messages.
    #[arg(long, conflicts_with = "number")]
    pub(in crate::cli) all: bool,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "listed")]
struct ListObject<'a> {
    number: u32,
    unique_id: Option<&'a str>,
    octets: Option<u64>,
    date: Option<String>,
    from: Option<String>,
    address: Option<String>,
    subject: Option<String>,
    message_id: Option<String>,
    new: bool,
    action: &'static str,
    why: &'static str,
}

/// Lists, and gives the exit code.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &ListArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let account = cli.account(&args.output.config, args.account.as_deref())?;
    let which = match (args.new, args.seen, args.failed) {
        (true, _, _) => ListFilter::New,
        (_, true, _) => ListFilter::Seen,
        (_, _, true) => ListFilter::Failed,
        _ => ListFilter::All,
    };
    let most = if args.all { usize::MAX } else { args.number.get() };
    let options = Options { insist: cli.insists(args.account.is_some()), ..Options::default() };
    cli.run(cli.lines(Level::Normal, std::slice::from_ref(&account)), |context| {
        match list(&account, &options, context, which, most) {
            Ok(found) => {
                if args.output.json {
                    let lines = found.rows.iter().map(|row| json::line(&account.name, &object(row)));
                    cli.show(&lines.collect::<String>(), &args.output);
                } else {
                    print(cli, args, which, &found);
                }
                ExitCode::Done
            }
            Err(failure) => cli.failed(&account, &failure),
        }
    })
}

fn print(cli: &Cli, args: &ListArgs, which: ListFilter, found: &MessageRows) {
    let MessageRows { rows, matching, listed } = found;
    if rows.is_empty() {
        let all = count(wide(*listed), "message");
        let what = match (which, listed) {
            (_, 0) => "no messages on the server".to_owned(),
            (ListFilter::New, _) => format!("nothing new ({all} on the server)"),
            (ListFilter::Seen, _) => format!("none was delivered before ({all} on the server)"),
            (ListFilter::All | ListFilter::Failed, _) => format!("none has failed ({all} on the server)"),
        };
        return cli.show(&format!("{what}\n"), &args.output);
    }
    let width = terminal::output_width();
    cli.show(&text(rows, width, clock::now()), &args.output);
    if rows.len() < *matching && io::stderr().is_terminal() {
        cli.printer.err(&format!("the last {} of {matching}; --all lists them all\n", rows.len()));
    }
}

/// Narrower terminals get neither sizes nor plans: there would be no place left for names and subjects.
const NARROW: usize = 64;

fn text(rows: &[MessageRow], width: Option<usize>, now: Time) -> String {
    let mut columns = vec![
        (Column::number("N"), rows.iter().map(|row| row.number.to_string()).collect::<Vec<String>>()),
        (Column::text("DATE"), rows.iter().map(|row| date_cell(row, now)).collect()),
        (Column::text("FROM").cut(), rows.iter().map(|row| cell(row, |summary| &summary.from)).collect()),
        (Column::number("SIZE"), rows.iter().map(size_cell).collect()),
        (
            Column::text("SUBJECT").cut(),
            rows.iter().map(|row| cell(row, |summary| &summary.subject)).collect(),
        ),
        (Column::text("PLAN"), rows.iter().map(|row| plan(row, now)).collect()),
    ];
    if width.is_some_and(|width| width < NARROW) {
        columns.retain(|(column, _)| !matches!(column.heading, "SIZE" | "PLAN"));
    }
    let (columns, cells): (Vec<Column>, Vec<Vec<String>>) = columns.into_iter().unzip();
    let mut cells: Vec<_> = cells.into_iter().map(Vec::into_iter).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|_| cells.iter_mut().filter_map(Iterator::next).collect()).collect();
    table(&columns, &rows, width)
}

/// What stands where nothing is known.
const NOTHING: &str = "-";

fn cell(row: &MessageRow, part: impl Fn(&HeaderSummary) -> &Option<String>) -> String {
    let text = row.summary.as_ref().and_then(|summary| part(summary).as_deref()).map(readable);
    text.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| NOTHING.to_owned())
}

fn date_cell(row: &MessageRow, now: Time) -> String {
    let date = row.summary.as_ref().and_then(|summary| summary.date);
    date.map_or_else(|| NOTHING.to_owned(), |date| clock::short(date, now))
}

fn size_cell(row: &MessageRow) -> String {
    row.octets.map_or_else(|| NOTHING.to_owned(), |octets| size(octets.0))
}

/// What the next run would do, in few words: there's little room.
fn plan(row: &MessageRow, now: Time) -> String {
    let text = match (row.action, row.why.word) {
        (Action::Retrieve, "new") if row.then_deleted => "retrieve, delete",
        (Action::Retrieve, "new") => "retrieve",
        (Action::Retrieve, "again") => "retrieve again",
        (Action::Delete, "delete") => "delete",
        (Action::Leave, "known") => "keep",
        (Action::Leave, "seen") => "keep (seen)",
        (Action::Leave, "backing-off") => {
            let at = row.retry_after.map(|at| format!("retry {}", clock::short(at, now)));
            return at.unwrap_or_else(|| "retry later".to_owned());
        }
        (Action::Leave, "max-messages" | "max-bytes" | "waits") => {
            return format!("later ({})", row.why.word);
        }
        (action, word) => {
            let verb = if action == Action::Leave { "keep" } else { action.verb() };
            return format!("{verb} ({word})");
        }
    };
    text.to_owned()
}

fn object(row: &MessageRow) -> ListObject<'_> {
    let summary = row.summary.clone().unwrap_or_default();
    let text = |text: Option<String>| text.map(|text| printable(text.as_bytes()));
    ListObject {
        number: row.number.get(),
        unique_id: row.unique_id.as_deref(),
        octets: row.octets.map(|octets| octets.0),
        date: summary.date.map(date::rfc3339),
        from: text(summary.from),
        address: text(summary.address),
        subject: text(summary.subject),
        message_id: text(summary.message_id),
        new: row.is_new,
        action: row.action.verb(),
        why: row.why.word,
    }
}
