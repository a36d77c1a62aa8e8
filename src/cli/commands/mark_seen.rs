//! `popfetch mark-seen`: messages count as retrieved, without being downloaded.

use std::fmt::Write as _;

use clap::{ArgAction, Args};

use crate::cli::setup::{Cli, ConfigArgs};
use crate::cli::words::{self, Named};
use crate::exit::ExitCode;
use crate::report::plain::Level;
use crate::retrieval::{self, MarkOrder, Marked};
use crate::text::{count, size};
use crate::types::{Time, wide};

/// Let messages count as retrieved, without downloading them.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct MarkSeenArgs {
    /// The accounts; then the messages, where there is one account: numbers, unique-ids, last, -3, 3-7, lists; without
    /// any, all that are on the server.
    #[arg(value_name = "ACCOUNT|ID", allow_negative_numbers = true, value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) words: Vec<String>,

    /// Only messages that were sent before this day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date, value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) before: Option<Time>,

    /// They were delivered on this day, by another program: leave-on-server may delete them.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date, value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) as_delivered: Option<Time>,

    /// Show which they are, and change nothing.
    #[arg(short = 'n', long, action = ArgAction::SetTrue)]
    pub(in crate::cli) dry_run: bool,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

fn date(text: &str) -> Result<Time, String> {
    Time::of_date(text).ok_or_else(|| "a day is needed, as 2026-01-31".to_owned())
}

/// Marks, and gives the exit code of all accounts together: 66 when a message is named that isn't there.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &MarkSeenArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let (accounts, messages) = match words::read(cli, &args.config, &args.words)? {
        Named::These(configuration, messages) => (configuration.accounts, messages),
        Named::Nothing(code) => return Ok(code),
    };
    let mark =
        MarkOrder { messages, before: args.before, delivered: args.as_delivered, dry_run: args.dry_run };
    cli.run(cli.lines(Level::Normal, &accounts), |context| {
        let mut code = ExitCode::Done;
        for account in &accounts {
            match retrieval::mark_seen(account, context, &mark) {
                Ok(marked) => cli.printer.out(&shown(&account.name, &marked, args.dry_run)),
                Err(e) => code = code.merge(cli.failed(account, &e)),
            }
        }
        code
    })
}

fn shown(account: &str, marked: &Marked, dry_run: bool) -> String {
    let number = |messages: usize| count(wide(messages), "message");
    let mut text = String::new();
    if dry_run {
        for message in &marked.messages {
            let octets = message.octets.map_or_else(|| "?".to_owned(), |octets| size(octets.0));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{account}: {}  {octets}  {}", message.number, message.unique_id);
        }
    }
    let verb = match (dry_run, marked.messages.len()) {
        (true, _) => "would count",
        (false, 1) => "counts",
        (false, _) => "count",
    };
    let _ = write!(text, "{account}: {} {verb} as seen", number(marked.messages.len()));
    if marked.known > 0 {
        let _ = write!(
            text,
            "; {} known before",
            if marked.known == 1 { "1 was".to_owned() } else { format!("{} were", marked.known) }
        );
    }
    if marked.undated > 0 {
        let _ = write!(text, "; {} without a date left alone", number(marked.undated));
    }
    text.push('\n');
    text
}
