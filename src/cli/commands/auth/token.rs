//! `popfetch auth token`: a valid access token and nothing else, for another program: an IMAP client, a script.

use std::io::{self, IsTerminal as _};

use clap::Args;
use zeroize::Zeroizing;

use super::setup::{account, failed, oauth, reporter};
use crate::cli::setup::{Cli, ConfigArgs};
use crate::exit::ExitCode;
use crate::retrieval::with_holder;

/// Print a valid access token of an account, for another program.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct TokenArgs {
    /// The account.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: String,

    /// Print it on a terminal, too.
    #[arg(long)]
    pub(in crate::cli) show: bool,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Prints the token, renewed if need be.
///
/// # Errors
/// The configuration, the system.
pub(super) fn run(args: &TokenArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let Some(account) = account(cli, &args.config, Some(&args.account))? else {
        return Ok(ExitCode::Configuration);
    };
    let Some(settings) = oauth(&account) else { return Ok(ExitCode::Configuration) };
    if io::stdout().is_terminal() && !args.show {
        let hint = "--show prints it all the same";
        cli.printer.complain("a token is a secret, and standard output is a terminal", Some(hint));
        return Ok(ExitCode::Usage);
    }
    cli.run(reporter(cli, &account, 0), |context| {
        match with_holder(&account, settings, context, |holder| holder.token()) {
            Ok(token) => {
                let mut line =
                    Zeroizing::new(Vec::with_capacity(token.secret.expose().len().saturating_add(1)));
                line.extend_from_slice(token.secret.expose());
                line.push(b'\n');
                cli.printer.out_octets(&line);
                ExitCode::Done
            }
            Err(e) => failed(cli, &account, &e),
        }
    })
}
