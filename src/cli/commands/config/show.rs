//! `popfetch config show`: the settings of each account as they count.
//!
//! # With `--json`
//!
//! One object for each setting, of type `setting`.
//!
//! - `key`, `value`: the value as the file would write it; `***` for what may be a secret.
//! - `origin`: `account`, `defaults` or `default`: where it comes from.
//! - `line`: the line of the file; null for a default.

use clap::Args;
use serde::Serialize;

use crate::cli::setup::{Cli, ReadArgs};
use crate::config::{self, Explained, Origin};
use crate::exit::ExitCode;
use crate::report::json;
use crate::text;

/// Show the settings of each account as they count, and where each comes from.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Accounts by name; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) accounts: Vec<String>,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "setting")]
struct ShownSetting<'a> {
    key: &'a str,
    value: &'a str,
    origin: &'static str,
    line: Option<usize>,
}

/// Prints a section for each account.
///
/// # Errors
/// The configuration.
pub(super) fn run(args: &ShowArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let path = cli.configuration_file(&args.output.config)?;
    let accounts = config::explain(&path, &args.accounts, &cli.environment)?;
    let mut all = String::new();
    if !args.output.json {
        all.push_str(&format!("# {}\n", text::path(&path)));
    }
    for (name, settings) in &accounts {
        if args.output.json {
            all.extend(settings.iter().map(|setting| json::line(name, &object(setting))));
        } else {
            all.push_str(&section(name, settings));
        }
    }
    cli.show(&all, &args.output);
    Ok(ExitCode::Done)
}

/// As the file would have it, with where each setting comes from.
fn section(name: &str, settings: &[Explained]) -> String {
    /// A longer setting has its comment right behind it.
    const WIDEST: usize = 48;
    let mut text = format!("\n[accounts.{}]\n", text::printable(name.as_bytes()));
    let lines: Vec<(String, String)> = settings
        .iter()
        .map(|setting| {
            let comment = match setting.origin {
                Origin::Account(line) => format!("line {line}"),
                Origin::Defaults(line) => format!("line {line}, [defaults]"),
                Origin::Default => "default".to_owned(),
            };
            (format!("{} = {}", setting.key, setting.value), comment)
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= WIDEST).max();
    for (line, comment) in lines {
        text.push_str(&format!("{line:<width$}  # {comment}\n", width = width.unwrap_or(0)));
    }
    text
}

fn object(setting: &Explained) -> ShownSetting<'_> {
    let (origin, line) = match setting.origin {
        Origin::Account(line) => ("account", Some(line)),
        Origin::Defaults(line) => ("defaults", Some(line)),
        Origin::Default => ("default", None),
    };
    ShownSetting { key: setting.key, value: &setting.value, origin, line }
}
