//! `popfetch state export`: what is kept, on standard output, for another machine.

use std::io::IsTerminal as _;

use clap::Args;

use crate::cli::setup::{Cli, ConfigArgs};
use crate::exit::ExitCode;
use crate::state::transfer;
use crate::text;

/// Write what is kept to standard output, for another machine.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ExportArgs {
    /// Accounts by name; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Writes what is kept, and gives the exit code.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &ExportArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    if std::io::stdout().is_terminal() {
        let hint = "write it to a file: popfetch state export > FILE";
        cli.printer.complain("what is kept is not for the terminal", Some(hint));
        return Ok(ExitCode::Usage);
    }
    let accounts = cli.accounts(&args.config, &args.accounts)?;
    let state = cli.environment.state_directory()?;
    cli.stoppable(|stop| match transfer::export(&accounts, &state, stop) {
        Ok((octets, mailboxes)) => {
            cli.printer.out_octets(&octets);
            cli.printer.err(&format!("{} exported\n", counted(mailboxes)));
            ExitCode::Done
        }
        Err(e) => cli.complain("", &e),
    })
}

/// `1 mailbox`, `2 mailboxes`.
pub(super) fn counted(mailboxes: u32) -> String {
    if mailboxes == 1 {
        "1 mailbox".to_owned()
    } else {
        format!("{} mailboxes", text::grouped(u64::from(mailboxes)))
    }
}
