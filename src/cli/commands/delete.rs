//! `popfetch delete`: deletes the messages that are named from the server, after having shown them.

use clap::Args;

use crate::account::Account;
use crate::cli::questions::agrees_while;
use crate::cli::setup::{Cli, ConfigArgs};
use crate::clock;
use crate::exit::ExitCode;
use crate::report::plain::Level;
use crate::report::table::{Column, table};
use crate::report::terminal;
use crate::retrieval::{Deleted, Doomed, KeepAlive, Options, delete};
use crate::text::{count, readable, size};
use crate::types::{Selection, Time, wide};

/// Delete messages from the server.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The account, by name or as a POP URL.
    #[arg(value_name = "ACCOUNT|URL", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: String,

    /// The messages: numbers, ranges as 3-7, unique-ids, last, or -3 for the third from the end.
    #[arg(value_name = "MESSAGE", required = true, allow_negative_numbers = true)]
    #[arg(value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) messages: Vec<String>,

    /// Delete what was never delivered as well.
    #[arg(long)]
    pub(in crate::cli) undelivered: bool,

    /// Do not ask.
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,

    /// Show what would be deleted, and delete nothing.
    #[arg(short = 'n', long, conflicts_with = "yes")]
    pub(in crate::cli) dry_run: bool,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Shows the messages, asks, deletes them, and gives the exit code: 75 when the server hasn't confirmed all.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &DeleteArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let Some(selection) = Selection::of(&args.messages) else {
        cli.printer.complain("no message is named", None);
        return Ok(ExitCode::Usage);
    };
    if !cli.can_ask(args.yes || args.dry_run, "with -y they are deleted unasked") {
        return Ok(ExitCode::Usage);
    }
    let account = cli.account(&args.config, Some(&args.account))?;
    cli.run(cli.lines(Level::Normal, std::slice::from_ref(&account)), |context| {
        let mut withheld = 0;
        let mut ask = |doomed: &[Doomed], keep_alive: KeepAlive<'_>| {
            cli.printer.out(&rows(doomed, clock::now()));
            withheld = doomed.iter().filter(|doomed| doomed.undelivered.is_some()).count();
            if args.undelivered {
                withheld = 0;
            }
            withheld == 0
                && !args.dry_run
                && (args.yes || agrees_while(&cli.environment, &question(doomed.len()), keep_alive))
        };
        // The account was named.
        let options = Options { insist: true, ..Options::default() };
        let deleted = delete(&account, &options, context, &selection, args.dry_run, &mut ask);
        match deleted {
            Err(failure) => cli.failed(&account, &failure),
            Ok(_) if args.dry_run => ExitCode::Done,
            Ok(_) if withheld > 0 => {
                let what = format!(
                    "nothing is deleted: {} never delivered",
                    if withheld == 1 {
                        "1 message was".to_owned()
                    } else {
                        format!("{withheld} messages were")
                    }
                );
                cli.printer.complain(&what, Some("--undelivered deletes it all the same"));
                ExitCode::Usage
            }
            Ok(deleted) => outcome(cli, &account, &deleted),
        }
    })
}

fn outcome(cli: &Cli, account: &Account, deleted: &Deleted) -> ExitCode {
    let Deleted { messages: number, agreed, refused, unconfirmed } = deleted;
    if !agreed {
        cli.printer.out("nothing is deleted\n");
        return ExitCode::Done;
    }
    let messages = |n: usize| count(wide(n), "message");
    for (number, text) in refused {
        let what =
            format!("account \"{}\": the server did not delete message {number}: {text}", account.name);
        cli.printer.complain(&what, None);
    }
    if let Some(text) = unconfirmed {
        let said = if text.is_empty() { String::new() } else { format!(": {text}") };
        let what = format!("account \"{}\": the server did not confirm the deletion{said}", account.name);
        let hint = "\"popfetch list\" shows whether they are there still";
        cli.printer.complain(&what, Some(hint));
        return ExitCode::Later;
    }
    cli.printer.out(&format!("{} deleted\n", messages(*number)));
    if refused.is_empty() { ExitCode::Done } else { ExitCode::Later }
}

fn question(messages: usize) -> String {
    let what = if messages == 1 { "it".to_owned() } else { format!("these {messages} messages") };
    format!("delete {what} from the server?")
}

fn rows(doomed: &[Doomed], now: Time) -> String {
    const COLUMNS: [Column; 6] = [
        Column::number("N"),
        Column::text("DATE"),
        Column::text("FROM").cut(),
        Column::number("SIZE"),
        Column::text("SUBJECT").cut(),
        Column::text("STATE"),
    ];
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let row = |doomed: &Doomed| {
        let summary = doomed.summary.as_ref();
        let state = match (doomed.undelivered, doomed.delivered) {
            (Some(why), _) => why.to_owned(),
            (None, Some(when)) => format!("delivered {}", clock::short(when, now)),
            (None, None) => "delivered".to_owned(),
        };
        vec![
            doomed.number.to_string(),
            or_dash(summary.and_then(|summary| summary.date).map(|date| clock::short(date, now))),
            or_dash(summary.and_then(|summary| summary.from.as_deref()).map(readable)),
            or_dash(doomed.octets.map(|octets| size(octets.0))),
            or_dash(summary.and_then(|summary| summary.subject.as_deref()).map(readable)),
            state,
        ]
    };
    let rows: Vec<Vec<String>> = doomed.iter().map(row).collect();
    table(&COLUMNS, &rows, terminal::output_width())
}
