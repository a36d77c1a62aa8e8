//! `popfetch import`: what fetchmail, getmail, mpop and fdm have set up and remember, taken over.
//!
//! The order under `--write` is that of what can be lost: first what was retrieved goes into the ledger, then passwords
//! into files of their own, then the accounts into the configuration, in one step.  Until the last of these nothing uses
//! what was written before, so that a run that begins meanwhile retrieves nothing twice, and the same command finishes
//! what was interrupted.
//!
//! # With `--json`
//!
//! Instead of the configuration one object for each account, of type `imported`.
//!
//! - `account`: its name in popfetch's configuration, or as it would be.
//! - `program`, `file`, `line`: whose account it was, and where it was found.
//! - `left_out`: why it is left out, or null.
//! - `configured`: whether the configuration has its mailbox already.
//! - `taken`: whether it has been, or would be, taken over.
//! - `remembered`, `on_server`, `new`: how many messages the program has retrieved, how many of them are on the server, and
//!   how many others; null where that is not known.
//! - `recorded`: how many were recorded now; the others were known before, or nothing was to be written.

mod accounts;
mod find;
mod running;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, Args};

use crate::cli::setup::{Cli, ConfigArgs};
use crate::config;
use crate::exit::ExitCode;
use crate::import::ForeignProgram;
use crate::import::document::remark_text;
use crate::report::plain::{Level, Plain};
use crate::text;
use crate::types::wide;
use accounts::{ConfigTarget, DraftAccount};
use find::FoundFile;

/// Take over accounts, and what was retrieved, from fetchmail, getmail, mpop or fdm.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ImportArgs {
    /// fetchmail, getmail, mpop or fdm, and files of its configuration; without any, all four are looked for at their
    /// usual places.
    #[arg(value_name = "PROGRAM|FILE", value_hint = clap::ValueHint::FilePath)]
    words: Vec<PathBuf>,

    /// Write the accounts into the configuration, and take over which messages were retrieved, and when.
    #[arg(long, action = ArgAction::SetTrue)]
    write: bool,

    /// Do not ask the servers which of these messages they still have.
    #[arg(long, action = ArgAction::SetTrue)]
    no_login: bool,

    /// Print one JSON object per account, for programs.
    #[arg(long, action = ArgAction::SetTrue)]
    json: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

impl ImportArgs {
    /// The same command, so that it writes.
    fn again(&self) -> String {
        let mut line = "popfetch import --write".to_owned();
        if self.no_login {
            line.push_str(" --no-login");
        }
        for word in &self.words {
            line.push_str(&format!(" {}", text::path(word)));
        }
        if let Some(file) = &self.config.file {
            line.push_str(&format!(" --config {}", text::path(file)));
        }
        line
    }
}

/// Reads, compares, and writes if that is asked for.  The exit code is that of all accounts together: 76 where a server has
/// none of the messages, 78 where all accounts are left out.
///
/// # Errors
/// popfetch's own configuration, the system.
pub(super) fn run(args: &ImportArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let found = match find::all(&args.words, cli) {
        Ok(found) => found,
        Err(code) => return Ok(code),
    };
    let path = cli.configuration_file(&args.config)?;
    let home = cli.environment.home.clone();
    let programs = programs(&found);
    for FoundFile { program, path, reading, .. } in &found {
        let number = wide(reading.accounts.len());
        let shown = find::shown(path, home.as_deref());
        cli.printer.err(&format!("{}: {shown} has {}\n", program.name(), text::count(number, "account")));
        for remark in &reading.remarks {
            cli.printer.err(&format!("{}\n", remark_text(remark, home.as_deref())));
        }
    }
    let existing = config::existing(&path, &cli.environment)?;
    let file = ConfigTarget { args: &args.config, path: &path, existing: &existing };
    let mut accounts = accounts::resolve(found, &file, cli)?;
    let names: Vec<String> = accounts.iter().map(|account| account.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let reporter = Plain::new(Arc::clone(&cli.printer), Level::Normal, &names);
    cli.run(Arc::new(reporter), |context| {
        let mut code = ExitCode::Done;
        for account in &mut accounts {
            code = code.merge(account.take(args.write, !args.no_login, context, cli));
        }
        if args.write {
            code = code.merge(accounts::write(&accounts, &file, cli));
        }
        if args.json {
            accounts.iter().for_each(|account| cli.printer.out(&account.object()));
        } else if !args.write {
            cli.printer.out(&accounts::shown(&accounts, home.as_deref()));
        }
        if accounts.iter().all(DraftAccount::is_left_out) {
            code = code.merge(ExitCode::Configuration);
        }
        if accounts.iter().any(DraftAccount::is_taken) {
            let again = (!args.write).then(|| args.again());
            running::report(&programs, again.as_deref(), cli);
        } else {
            cli.printer.err("nothing is taken over: go on with what you have, until that is set right\n");
        }
        code
    })
}

fn programs(found: &[FoundFile]) -> Vec<ForeignProgram> {
    let mut programs: Vec<ForeignProgram> = found.iter().map(|found| found.program).collect();
    programs.dedup();
    programs
}

impl DraftAccount {
    /// `account "NAME"`.
    fn label(&self) -> String {
        format!("account \"{}\"", text::printable(self.name.as_bytes()))
    }
}
