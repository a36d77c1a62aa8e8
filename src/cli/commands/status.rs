//! `popfetch status`: how each account stands, without network, lock or ledger.
//!
//! # With `--json`
//!
//! One object for each account, of type `status`.  Times are in UTC, as in RFC 3339.
//!
//! - `state`: what comes first, in a word: `ok`, `never-run`, `running`, `interrupted`, `login-refused`, `login-ends`, `passing` (a
//!   failure that may pass), `error`, `locked`, `state-exposed`, `state-missing`, `postponed`, or a kind of condition as
//!   in `account`'s `conditions`.
//! - `needs_you`: whether anything doesn't pass on its own, or has lasted for longer than `alert-after`.
//! - `running`: whether a run is at work.
//! - `last_run`: when the last run ended, or began where it hasn't ended; null before the first.
//! - `exit`: the exit code that the last run would have had with this account alone; null where none has ended.
//! - `last_mail`, `last_mail_messages`: when a run last delivered mail, and how many messages; or null.
//! - `server_messages`: how many the server held at the end of the last run; null where that took no listing.
//! - `failed`: messages that failed and stay on the server.
//! - `postponed`: new messages that a limit left for the next run.
//! - `findings`: what to report, in an array; what needs the user comes first.
//!   - `kind`: as `state`.
//!   - `needs_you`, `messages`: as above, for it alone.
//!   - `message`, `hint`: what it is and what to do, for people; `hint` may be null.
//!   - `since`, `next_try`: times, or null.

use clap::Args;
use serde::Serialize;

use crate::account::Account;
use crate::cli::setup::{Cli, ReadArgs};
use crate::clock;
use crate::exit::ExitCode;
use crate::message::date;
use crate::report::table::{Column, table};
use crate::report::{json, terminal};
use crate::state::inventory::{self, KnownMessages};
use crate::state::status::{Finding, MailboxStatus};
use crate::text;
use crate::types::Time;

/// Show how each account stands: the last run, the last mail, what needs you.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct StatusArgs {
    /// Accounts by name; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    /// Print more of each account: what to do, what is kept, where mail went.
    #[arg(short, long, conflicts_with_all = ["json", "prometheus"])]
    pub(in crate::cli) verbose: bool,

    /// Print metrics for the textfile collector of Prometheus's node exporter.
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) prometheus: bool,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

/// Prints how the accounts stand, and gives the exit code: 0 when all is well, 1 when something needs the user.
///
/// # Errors
/// The configuration.
pub(super) fn run(args: &StatusArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let accounts = cli.accounts(&args.output.config, &args.accounts)?;
    let (state, now) = (cli.environment.state_directory()?, clock::now());
    let stand = |account| (account, MailboxStatus::of(account, &state, now));
    let statuses: Vec<(&Account, MailboxStatus)> = accounts.iter().map(stand).collect();
    let text = if args.output.json {
        statuses.iter().map(|(account, status)| json::line(&account.name, &object(status))).collect()
    } else if args.prometheus {
        metrics(&statuses)
    } else {
        let mut text = rows(&statuses, now);
        if args.verbose {
            statuses.iter().for_each(|(account, status)| text.push_str(&details(account, status, now)));
        }
        text
    };
    if args.prometheus {
        cli.printer.out(&text);
    } else {
        cli.show(&text, &args.output);
    }
    let needs_you = statuses.iter().any(|(_, status)| status.needs_you());
    Ok(if needs_you { ExitCode::No } else { ExitCode::Done })
}

// ---- for people ---------------------------------------------------------------------------------------------------

fn rows(statuses: &[(&Account, MailboxStatus)], now: Time) -> String {
    const COLUMNS: [Column; 5] = [
        Column::text("ACCOUNT"),
        Column::text("LAST RUN"),
        Column::text("LAST MAIL"),
        Column::number("SERVER"),
        Column::text("STATE").cut(),
    ];
    let row = |(account, status): &(&Account, MailboxStatus)| {
        let last_run = status.last_run.map_or_else(|| "-".to_owned(), |time| clock::ago(time, now));
        let mail = |(time, messages)| format!("{} ({})", clock::day(time, now), text::grouped(messages));
        let last_mail = status.mail.map_or_else(|| "-".to_owned(), mail);
        let server = status.server.map_or_else(|| "?".to_owned(), text::grouped);
        vec![text::printable(account.name.as_bytes()), last_run, last_mail, server, state(status, now)]
    };
    let width = terminal::output_width();
    table(&COLUMNS, &statuses.iter().map(row).collect::<Vec<_>>(), width)
}

/// What comes first, and how much more needs the user.
fn state(status: &MailboxStatus, now: Time) -> String {
    let mut findings = status.findings.iter();
    let Some(first) = findings.next() else { return "ok".to_owned() };
    match findings.filter(|finding| finding.needs_you).count() {
        0 => first.line(now),
        more => format!("{}; and {more} more (-v)", first.line(now)),
    }
}

/// More of an account, below the table.
fn details(account: &Account, status: &MailboxStatus, now: Time) -> String {
    let mut lines = vec![format!("\n{}", text::printable(account.name.as_bytes()))];
    let mut put = |name: &str, value: &str| lines.push(format!("  {name:<10}{value}"));
    put("server", &format!("{}, port {}", account.host, account.port));
    put("user", &text::printable(account.user.as_bytes()));
    if let Some(exit) = status.exit {
        put("exit code", &exit.number().to_string());
    }
    for finding in &status.findings {
        put("state", &finding.line(now));
        if let Some(hint) = &finding.hint {
            put("hint", hint);
        }
    }
    let directory = text::path(&status.directory);
    if !status.directory.is_dir() {
        return lines.join("\n") + "\n";
    }
    put("kept in", &format!("{directory} ({})", text::size(inventory::octets(&status.directory))));
    match KnownMessages::read(&status.directory, &account.mailbox(), now) {
        Ok(known) => {
            put("known", &counted(&known));
            known.destinations.iter().for_each(|destination| put("mail in", destination));
        }
        Err(e) => put("known", &e.to_string()),
    }
    lines.join("\n") + "\n"
}

/// `212 messages: 200 delivered, 2 open (2 failed), 10 deleted`.
fn counted(known: &KnownMessages) -> String {
    let KnownMessages { delivered, seen, open, failed, deleted, absent, unfinished, .. } = *known;
    let failed = if failed > 0 { format!(" ({} failed)", text::grouped(failed)) } else { String::new() };
    let parts = [
        (delivered, "delivered", ""),
        (seen, "seen", ""),
        (open, "not delivered", failed.as_str()),
        (deleted, "deleted", ""),
        (absent, "no longer listed", ""),
        (unfinished, "on their way when a run died", ""),
    ];
    let parts = parts.iter().filter(|(number, ..)| *number > 0);
    let parts: Vec<String> =
        parts.map(|(number, what, more)| format!("{} {what}{more}", text::grouped(*number))).collect();
    let messages = text::count(known.messages(), "message");
    if parts.is_empty() { messages } else { format!("{messages}: {}", parts.join(", ")) }
}

// ---- for programs -------------------------------------------------------------------------------------------------

#[derive(Serialize)]
#[serde(tag = "type", rename = "status")]
struct StatusObject<'a> {
    state: &'a str,
    needs_you: bool,
    running: bool,
    last_run: Option<String>,
    exit: Option<u8>,
    last_mail: Option<String>,
    last_mail_messages: Option<u64>,
    server_messages: Option<u64>,
    failed: u64,
    postponed: u64,
    findings: Vec<ProblemObject<'a>>,
}

#[derive(Serialize)]
struct ProblemObject<'a> {
    kind: &'a str,
    needs_you: bool,
    messages: u64,
    message: &'a str,
    hint: Option<&'a str>,
    since: Option<String>,
    next_try: Option<String>,
}

fn object(status: &MailboxStatus) -> StatusObject<'_> {
    StatusObject {
        state: status.word(),
        needs_you: status.needs_you(),
        running: status.is_running,
        last_run: status.last_run.map(date::rfc3339),
        exit: status.exit.map(ExitCode::number),
        last_mail: status.mail.map(|(time, _)| date::rfc3339(time)),
        last_mail_messages: status.mail.map(|(_, messages)| messages),
        server_messages: status.server,
        failed: status.failed,
        postponed: status.postponed,
        findings: status.findings.iter().map(found).collect(),
    }
}

fn found(finding: &Finding) -> ProblemObject<'_> {
    ProblemObject {
        kind: &finding.kind,
        needs_you: finding.needs_you,
        messages: finding.messages,
        message: &finding.message,
        hint: finding.hint.as_deref(),
        since: finding.since.map(date::rfc3339),
        next_try: finding.next.map(date::rfc3339),
    }
}

/// A metric of an account; `None` where it has no value.
type Metric = (&'static str, &'static str, fn(&MailboxStatus) -> Option<i64>);

const METRICS: [Metric; 8] = [
    ("last_run_timestamp_seconds", "When the last run ended, or began where it has not ended.", |status| {
        status.last_run.map(|time| time.0)
    }),
    ("last_mail_timestamp_seconds", "When a run last delivered mail.", |status| {
        status.mail.map(|(time, _)| time.0)
    }),
    ("last_exit_code", "Exit code of the last run for this account alone.", |status| {
        status.exit.map(|exit| i64::from(exit.number()))
    }),
    ("running", "Whether a run is at work.", |status| Some(i64::from(status.is_running))),
    ("needs_attention", "Whether something needs the user.", |status| Some(i64::from(status.needs_you()))),
    ("server_messages", "Messages on the server at the end of the last run.", |status| {
        number(status.server?)
    }),
    ("failed_messages", "Messages that failed and stay on the server.", |status| number(status.failed)),
    ("postponed_messages", "New messages that a limit left for the next run.", |status| {
        number(status.postponed)
    }),
];

fn number(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

/// The text format of Prometheus, each metric with its help and type once.
fn metrics(statuses: &[(&Account, MailboxStatus)]) -> String {
    let mut text = String::new();
    for (name, help, value) in METRICS {
        text.push_str(&format!("# HELP popfetch_{name} {help}\n# TYPE popfetch_{name} gauge\n"));
        for (account, status) in statuses {
            if let Some(value) = value(status) {
                let account = label(&account.name);
                text.push_str(&format!("popfetch_{name}{{account=\"{account}\"}} {value}\n"));
            }
        }
    }
    text
}

/// The value of a label: backslash, quote and line end are escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }
}
