//! `popfetch auth logout`: gives the tokens back where the provider takes them, and removes what is stored.

use clap::{ArgAction, Args};

use super::setup::{account, failed, oauth, reporter};
use crate::cli::setup::{Cli, ConfigArgs};
use crate::exit::ExitCode;
use crate::retrieval::with_holder;
use crate::text::printable;

/// Give the tokens of an account back, and forget them.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct LogoutArgs {
    /// The account.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: String,

    /// Print what is done and why; twice, the dialogue with the server as well.
    #[arg(short, long, action = ArgAction::Count)]
    pub(in crate::cli) verbose: u8,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Logs out.
///
/// # Errors
/// The configuration, the system.
pub(in crate::cli) fn run(args: &LogoutArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let Some(account) = account(cli, &args.config, Some(&args.account))? else {
        return Ok(ExitCode::Configuration);
    };
    let Some(settings) = oauth(&account) else { return Ok(ExitCode::Configuration) };
    cli.run(reporter(cli, &account, args.verbose), |context| {
        let provider = &settings.provider;
        let title = printable(provider.called().as_bytes());
        match with_holder(&account, settings, context, |holder| holder.log_out()) {
            Ok(None) => {
                cli.printer.err("there was no login; nothing is stored any more\n");
                ExitCode::Done
            }
            Ok(Some(true)) => {
                cli.printer.err(&format!("logged out: {title} has taken the tokens back, and they are removed here\n"));
                ExitCode::Done
            }
            Ok(Some(false)) => {
                let page = provider.access_page.as_deref().map_or_else(
                    || "in its settings".to_owned(),
                    |page| format!("at {}", printable(page.as_bytes())),
                );
                cli.printer.err(&format!(
                    "logged out: the tokens are removed here; {title} may still accept them: take the access back {page}\n"
                ));
                ExitCode::Done
            }
            Err(e) => failed(cli, &account, &e),
        }
    })
}
