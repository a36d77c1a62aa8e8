//! `popfetch state forget`: messages that popfetch knows are new to it again.

use clap::{ArgGroup, Args};

use crate::cli::setup::{Cli, ConfigArgs};
use crate::clock;
use crate::exit::ExitCode;
use crate::state::forget::{ForgetWhich, Forgotten, forget};
use crate::text;
use crate::types::{Time, wide};

/// Forget messages, so that those which are still on the server are retrieved again.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "popfetch state forget [OPTIONS] ACCOUNT <UNIQUE-ID...|--before DATE|--seen|--all>"
)]
#[command(group(ArgGroup::new("which").required(true).args(["messages", "before", "seen", "all"])))]
pub(in crate::cli) struct ForgetArgs {
    /// The account whose messages are forgotten.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: String,

    /// Messages by their unique-ids, as popfetch prints them.
    #[arg(value_name = "UNIQUE-ID", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) messages: Vec<String>,

    /// Those that were delivered, or marked as seen, before this day.
    #[arg(long, value_name = "DATE", value_parser = date, value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) before: Option<Time>,

    /// Those that were only marked as seen, and never delivered.
    #[arg(long)]
    pub(in crate::cli) seen: bool,

    /// All of them.
    #[arg(long)]
    pub(in crate::cli) all: bool,

    /// Do not ask.
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// As many messages are shown at most.
const SHOWN: usize = 20;

fn date(text: &str) -> Result<Time, String> {
    Time::of_date(text).ok_or_else(|| "a date such as 2026-01-31 is needed".to_owned())
}

/// Says what may come twice, asks, forgets, and gives the exit code.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &ForgetArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    if !cli.can_ask(args.yes, "with -y they are forgotten unasked") {
        return Ok(ExitCode::Usage);
    }
    let which = match args.before {
        Some(before) => ForgetWhich::Before(before),
        None if args.seen => ForgetWhich::Seen,
        None if args.all => ForgetWhich::All,
        None => ForgetWhich::Named(args.messages.clone()),
    };
    let accounts = cli.accounts(&args.config, std::slice::from_ref(&args.account))?;
    let state = cli.environment.state_directory()?;
    cli.stoppable(|stop| {
        let mut code = ExitCode::Done;
        for account in &accounts {
            let mut asked = |messages: &[Forgotten]| {
                cli.printer.out(&offer(messages));
                args.yes || cli.agrees("forget them?", stop)
            };
            match forget(account, &state, &which, stop, &mut asked) {
                Ok(0) => cli.printer.out("nothing is forgotten\n"),
                Ok(forgotten) => {
                    let forgotten = text::count(wide(forgotten), "message");
                    cli.printer.out(&format!("{forgotten} forgotten\n"));
                }
                Err(e) => code = code.merge(cli.complain(&format!("account \"{}\"", account.name), &e)),
            }
        }
        code
    })
}

/// The messages, and what forgetting them means.
fn offer(messages: &[Forgotten]) -> String {
    let now = clock::now();
    let mut text = String::new();
    for Forgotten { unique_id, when, delivered } in messages.iter().take(SHOWN) {
        let unique_id = unique_id.as_deref().unwrap_or("(without a unique-id)");
        let what = if *delivered { "delivered" } else { "not delivered" };
        let when = when.map_or_else(String::new, |time| format!(" {}", clock::day(time, now)));
        text.push_str(&format!("{unique_id}  {what}{when}\n"));
    }
    if let Some(more) = messages.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push_str(&format!("and {more} more\n"));
    }
    let delivered = messages.iter().filter(|message| message.delivered).count();
    if delivered > 0 {
        let delivered = text::count(wide(delivered), "message");
        text.push_str(&format!(
            "{delivered} delivered before: what is still on the server is delivered a second time\n"
        ));
    }
    text
}
