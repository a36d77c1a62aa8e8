//! `popfetch config path`: where the configuration is, or would be.

use std::os::unix::ffi::OsStrExt as _;

use clap::Args;

use crate::cli::setup::{Cli, ConfigArgs};
use crate::exit::ExitCode;

/// Print where the configuration is.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct PathArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Prints the path as it is, for scripts.
///
/// # Errors
/// There is no home directory.
pub(super) fn run(args: &PathArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let path = cli.configuration_file(&args.config)?;
    cli.printer.out_octets(&[path.as_os_str().as_bytes(), b"\n"].concat());
    Ok(ExitCode::Done)
}
