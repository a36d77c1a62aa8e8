//! `popfetch shell`: POP3 by hand, with the account's TLS and login.

mod input;
mod lines;

use std::io::{self, IsTerminal as _};

use clap::Args;

use crate::cli::setup::{Cli, ConfigArgs};
use crate::config::Flags;
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::report::plain::{Level, Plain};
use crate::retrieval::by_hand::{ByHand, Ended, Farewell, Mark, Piece, Question, Waited};
use crate::retrieval::{self};
use crate::text::{count, printable, size};
use input::{Input, WORDS, Word};
use lines::{Lines, Typed};

/// The arguments of `popfetch shell`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ShellArgs {
    /// The account whose server answers.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: Option<String>,

    /// Stop at the first -ERR, without quit: nothing is deleted.
    #[arg(long)]
    pub(in crate::cli) strict: bool,

    /// Do not ask before messages are deleted that were never delivered.
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

