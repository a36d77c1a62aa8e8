//! `popfetch auth status`: which logins there are, and what ends when.  No network, never a secret.
//!
//! # With `--json`
//!
//! One object for each account that logs in by OAuth, of type `login`.  Times are in UTC, as in RFC 3339.
//!
//! - `provider`: who gives the tokens.
//! - `due`: whether you have to log in: there is no login, it has ended, or the last run was refused with it.
//! - `logged_in`: when you logged in; null where you haven't.
//! - `renewed`: when a token was given last; or null.
//! - `token_ends`: when the present token ends, and is renewed; or null.
//! - `login_ends`: when the login ends, if it isn't used until then; null where that isn't known.
//! - `store`: where the tokens are kept.
//! - `error`: what is wrong with the store, or null.

use clap::Args;
use serde::Serialize;

use super::setup::{oauth, reporter};
use crate::account::Account;
use crate::cli::setup::{Cli, ReadArgs};
use crate::clock;
use crate::exit::ExitCode;
use crate::message::date;
use crate::oauth::LoginStanding;
use crate::problem::Problem as _;
use crate::report::table::{Column, table};
use crate::report::{json, terminal};
use crate::retrieval::with_holder;
use crate::state::status::MailboxStatus;
use crate::text::printable;
use crate::types::Time;

/// Show which logins there are, and when they end.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct StatusArgs {
    /// Accounts by name; without any, all that log in by OAuth.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "login")]
struct AuthStatusObject<'a> {
    provider: &'a str,
    due: bool,
    logged_in: Option<String>,
    renewed: Option<String>,
    token_ends: Option<String>,
    login_ends: Option<String>,
    store: &'a str,
    error: Option<&'a str>,
}

/// A login and what is known of it.
struct ShownLogin<'a> {
    account: &'a Account,
    provider: String,
    store: String,
    standing: Result<Option<LoginStanding>, String>,
    /// Whether the last one who used it was refused.
    is_refused: bool,
}

impl ShownLogin<'_> {
    fn is_due(&self, now: Time) -> bool {
        match &self.standing {
            Ok(Some(standing)) => self.is_refused || standing.is_due(now),
            Ok(None) | Err(_) => true,
        }
    }
}

/// Prints the logins: 0, or 1 if one is due.
///
/// # Errors
/// The configuration, the system.
pub(super) fn run(args: &StatusArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let accounts = cli.accounts(&args.output.config, &args.accounts)?;
    let Some(first) = accounts.first() else { return Ok(ExitCode::Done) };
    let state = cli.environment.state_directory()?;
    cli.run(reporter(cli, first, 0), |context| {
        let now = clock::now();
        let logins: Vec<ShownLogin<'_>> = accounts
            .iter()
            .filter_map(|account| {
                let settings = oauth(account)?;
                let (store, standing) = with_holder(account, settings, context, |holder| {
                    let standing = holder.standing().map_err(|e| match e.hint() {
                        Some(hint) => format!("{e} ({hint})"),
                        None => e.to_string(),
                    });
                    (holder.place(), standing)
                });
                let provider = printable(settings.provider.called().as_bytes());
                let is_refused = MailboxStatus::of(account, &state, now).is_refused();
                Some(ShownLogin { account, provider, store, standing, is_refused })
            })
            .collect();
        if logins.is_empty() && !args.output.json {
            cli.printer.err("no account logs in by OAuth\n");
        } else {
            cli.show(&text(&logins, args.output.json, now), &args.output);
        }
        if logins.iter().any(|login| login.is_due(now)) { ExitCode::No } else { ExitCode::Done }
    })
}

fn text(logins: &[ShownLogin<'_>], as_json: bool, now: Time) -> String {
    if as_json {
        return logins.iter().map(|login| json::line(&login.account.name, &object(login, now))).collect();
    }
    const COLUMNS: [Column; 5] = [
        Column::text("ACCOUNT"),
        Column::text("PROVIDER"),
        Column::text("LOGGED IN"),
        Column::text("TOKEN"),
        Column::text("LOGIN").cut(),
    ];
    let rows: Vec<Vec<String>> = logins.iter().map(|login| row(login, now)).collect();
    table(&COLUMNS, &rows, terminal::output_width())
}

fn row(login: &ShownLogin<'_>, now: Time) -> Vec<String> {
    let name = printable(login.account.name.as_bytes());
    let (logged_in, token, state) = match &login.standing {
        Ok(Some(standing)) => {
            let token = match standing.ends.seconds_since(now) {
                ..=0 => "to be renewed".to_owned(),
                _ => format!("until {}", clock::due(standing.ends, now)),
            };
            let state = match standing.login_ends {
                _ if login.is_refused => format!("refused: popfetch auth login {name}"),
                _ if standing.is_due(now) => format!("due: popfetch auth login {name}"),
                Some(ends) => format!("until {}, longer when used", clock::day(ends, now)),
                None => "ok".to_owned(),
            };
            (clock::day(standing.login, now), token, state)
        }
        Ok(None) => ("-".to_owned(), "-".to_owned(), format!("due: popfetch auth login {name}")),
        Err(e) => ("?".to_owned(), "?".to_owned(), e.clone()),
    };
    vec![name, login.provider.clone(), logged_in, token, state]
}

fn object<'a>(login: &'a ShownLogin<'_>, now: Time) -> AuthStatusObject<'a> {
    let standing = login.standing.as_ref().ok().copied().flatten();
    let at = date::rfc3339;
    AuthStatusObject {
        provider: &login.provider,
        due: login.is_due(now),
        logged_in: standing.map(|standing| at(standing.login)),
        renewed: standing.map(|standing| at(standing.renewed)),
        token_ends: standing.map(|standing| at(standing.ends)),
        login_ends: standing.and_then(|standing| standing.login_ends).map(at),
        store: &login.store,
        error: login.standing.as_ref().err().map(String::as_str),
    }
}
