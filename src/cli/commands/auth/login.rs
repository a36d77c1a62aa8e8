//! `popfetch auth login`: a login at the provider, and then one at the mailbox, so that a wrong account, or POP3 that is
//! switched off, shows at once and not in cron.
//!
//! Without a client id there is nothing to log in with: then it is a guide.

use std::num::NonZeroUsize;

use clap::{ArgAction, Args, ValueEnum};

use super::setup::{account, failed, oauth, reporter};
use super::terminal::{self, Terminal};
use crate::account::{Account, OAuth, OAuthFlow};
use crate::cli::setup::{Cli, ConfigArgs};
use crate::exit::ExitCode;
use crate::retrieval::jobs::Connections;
use crate::retrieval::{Context, Options, check_all, with_holder};
use crate::text::{count, printable};

/// Log in at the provider of an account, in a browser or by a code.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct LoginArgs {
    /// The account; it may be left out where only one logs in by OAuth.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: Option<String>,

    /// Log in in a browser, or by a code that is typed on another device; without it, as fits where you sit.
    #[arg(long, value_name = "FLOW", value_enum)]
    pub(in crate::cli) flow: Option<FlowArg>,

    /// Start no browser: print the address.
    #[arg(long)]
    pub(in crate::cli) no_browser: bool,

    /// Print what is done and why; twice, the dialogue with the servers as well.
    #[arg(short, long, action = ArgAction::Count)]
    pub(in crate::cli) verbose: u8,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// The flows that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum FlowArg {
    /// In a browser.
    Browser,
    /// By a code.
    Device,
}

// By hand, because the derived one makes help of the variants' documentation.
impl ValueEnum for FlowArg {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Browser, Self::Device]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Browser => "browser",
            Self::Device => "device",
        }))
    }
}

/// Logs in: 0 when the mailbox has let us in, too.
///
/// # Errors
/// The configuration, the system.
pub(in crate::cli) fn run(args: &LoginArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let Some(account) = account(cli, &args.config, args.account.as_deref())? else {
        return Ok(ExitCode::Configuration);
    };
    let Some(settings) = oauth(&account) else { return Ok(ExitCode::Configuration) };
    if settings.client_id.is_none() && settings.provider.issuer.is_none() {
        cli.printer.out(&guide(&account, settings));
        return Ok(ExitCode::Configuration);
    }
    let flow = match args.flow {
        Some(FlowArg::Browser) => OAuthFlow::Browser,
        Some(FlowArg::Device) => OAuthFlow::Device,
        None => settings.flow,
    };
    let place = terminal::place(&cli.environment, args.no_browser);
    cli.run(reporter(cli, &account, args.verbose), |context| {
        let terminal = Terminal::new(cli);
        let logged_in = with_holder(&account, settings, context, |holder| {
            holder.log_in(flow, place, &terminal).map(|_| holder.place())
        });
        match logged_in {
            Ok(place) => {
                cli.printer.err(&format!("logged in; the tokens are kept in {place}\n"));
                try_mailbox(cli, &account, context)
            }
            Err(e) => failed(cli, &account, &e),
        }
    })
}

/// Logs in to the mailbox, and shows what is there.
fn try_mailbox(cli: &Cli, account: &Account, context: &Context<'_>) -> ExitCode {
    let options = Options { insist: true, ..Options::default() };
    let one = Connections { total: NonZeroUsize::MIN, per_server: NonZeroUsize::MIN };
    match check_all(std::slice::from_ref(account), &options, None, context, one).pop() {
        Some((_, Ok(found))) => {
            let (host, new) = (printable(account.host.as_bytes()), found.new);
            let there = count(found.listed, "message");
            cli.printer.out(&format!("{host} has let you in: {there} there, {new} new\n"));
            ExitCode::Done
        }
        Some((_, Err(failure))) => {
            cli.printer.note("the token is kept, but the mailbox could not be looked into with it:");
            cli.failed(account, &failure)
        }
        None => ExitCode::Later,
    }
}

/// What to do where there is no client id: first the shorter way, if there is one.
fn guide(account: &Account, settings: &OAuth) -> String {
    let provider = &settings.provider;
    let title = printable(provider.called().as_bytes());
    let name = printable(account.name.as_bytes());
    let mut text = format!(
        "popfetch has no client id of its own to log in at {title} with: every user, or every firm, has to bring one.\n"
    );
    if let Some(page) = &provider.app_password_page {
        text.push_str(&format!(
            "\nThe shorter way is an app password, which needs no renewal:\n  1. Make one at {page}\n  2. In the account \"{name}\" \
             of the configuration write it in place of oauth, for example\n       password-command = \"pass show mail\"\n\nThe \
             longer way is OAuth:\n"
        ));
    }
    for line in provider.guide.iter().flat_map(|guide| guide.lines()) {
        text.push_str(&format!("  {}\n", printable(line.as_bytes())));
    }
    let key = if provider.name.is_empty() { "…" } else { &provider.name };
    text.push_str(&format!(
        "\nThen write its id into the account \"{name}\":\n  oauth = {{ provider = \"{}\", client-id = \"…\"{} }}\nand run: popfetch \
         auth login\n",
        printable(key.as_bytes()),
        if provider.name == "google" { ", client-secret = \"…\"" } else { "" },
    ));
    text
}
