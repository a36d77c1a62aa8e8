//! `popfetch state move`: an account goes on with what is kept of its mailbox under another name.

use clap::Args;

use crate::account::Account;
use crate::cli::setup::{Cli, ConfigArgs};
use crate::exit::ExitCode;
use crate::state::inventory;
use crate::state::transfer::{TransferOutcome, adopt};
use crate::text;

/// Go on with what is kept, after a server, a user or a port has got another name.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct MoveArgs {
    /// The mailbox as it was called before: USER@HOST[:PORT], or the host or the user alone where that is enough.
    #[arg(value_name = "OLD-MAILBOX", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) old: String,

    /// The account of the configuration that has the new name.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: String,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Moves what is kept, and gives the exit code.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &MoveArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    // All of them: what another account goes on with is not to be taken from it.
    let accounts = cli.accounts(&args.config, &[])?;
    let wanted = cli.accounts(&args.config, std::slice::from_ref(&args.account))?;
    let Some(account): Option<&Account> = wanted.first() else { return Ok(ExitCode::Usage) };
    let state = cli.environment.state_directory()?;
    cli.stoppable(|stop| {
        let moved = inventory::find(&args.old, &accounts, account, &state)
            .and_then(|from| adopt(account, &state, &from, stop).map(|outcome| (from, outcome)));
        match moved {
            Ok((from, (outcome, messages))) => {
                let known = text::count(u64::from(messages), "message");
                let what = match outcome {
                    TransferOutcome::Done => format!("account \"{}\" goes on with what was kept as {from}: {known}", account.name),
                    TransferOutcome::DoneBefore => format!(
                        "account \"{}\" had what was kept as {from} already; what was left of that is removed",
                        account.name
                    ),
                };
                cli.printer.out(&format!("{what}\n"));
                ExitCode::Done
            }
            Err(e) => cli.complain(&format!("account \"{}\"", account.name), &e),
        }
    })
}
