//! `popfetch state restore`: reads in what `state export` has written.

use std::path::PathBuf;

use clap::Args;

use crate::access;
use crate::cli::setup::Cli;
use crate::exit::ExitCode;
use crate::state::transfer::{TransferOutcome, read_exported};
use crate::text;

/// Read in what popfetch state export has written.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct RestoreArgs {
    /// The file that popfetch state export has written.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(in crate::cli) file: PathBuf,
}

/// A larger file is not ours.
const LARGEST: u64 = 4 * 1024 * 1024 * 1024;

/// Checks the file as a whole, puts each mailbox in its place, and gives the exit code.
///
/// # Errors
/// The arguments, the system.
pub(super) fn run(args: &RestoreArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let state = cli.environment.state_directory()?;
    let path = cli.environment.current_directory.join(&args.file);
    let read =
        access::open_regular(&path).and_then(|(file, metadata)| access::contents(&file, &metadata, LARGEST));
    let octets = match read {
        Ok(Some(octets)) => octets,
        Ok(None) => {
            cli.printer.complain(&format!("{} is larger than any exported file", text::path(&path)), None);
            return Ok(ExitCode::Data);
        }
        Err(e) => {
            cli.printer.complain(&format!("cannot read {}: {e}", text::path(&path)), None);
            return Ok(ExitCode::LocalIo);
        }
    };
    cli.stoppable(|stop| {
        let all = match read_exported(octets.expose()) {
            Ok(all) => all,
            Err(e) => return cli.complain(&text::path(&path), &e),
        };
        let mut code = ExitCode::Done;
        for exported in &all {
            match exported.restore(&state, stop) {
                Ok(outcome) => {
                    let known = text::count(u64::from(exported.outline.messages), "message");
                    let what = match outcome {
                        TransferOutcome::Done => "restored",
                        TransferOutcome::DoneBefore => "is there already",
                    };
                    cli.printer.out(&format!("{}: {what} ({known})\n", exported.mailbox));
                }
                Err(e) => code = code.merge(cli.complain("", &e)),
            }
        }
        code
    })
}
