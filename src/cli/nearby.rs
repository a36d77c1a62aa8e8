//! What was perhaps meant: a command in the place of an account, and the other way round; a flag that is spelt otherwise
//! here.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{flags, foreign};
use crate::config::{ConfigError, nearest};
use crate::text::printable;

/// The message about a word that is not among these commands, and its hint.
pub(super) fn no_command(word: &str, known: &[&str]) -> (String, String) {
    let what = format!("there is no command \"{}\"", printable(word.as_bytes()));
    let hint = match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => "leave it out".to_owned(),
        None => format!("the commands are {}", known.join(", ")),
    };
    (what, hint)
}

/// clap's error in words of ours, where it is about a flag or a command that there is not.
pub(super) fn answered(error: clap::Error) -> clap::Error {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let (noun, wrong, suggestion) = match error.kind() {
        ErrorKind::UnknownArgument => ("flag", ContextKind::InvalidArg, ContextKind::SuggestedArg),
        ErrorKind::InvalidSubcommand => {
            ("command", ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand)
        }
        _ => return error,
    };
    // A second account is one argument too many, and not a flag.
    let Some(word) = context(wrong).filter(|word| noun == "command" || word.starts_with('-')) else {
        return error;
    };
    let hint = foreign::meaning(&word)
        .map(str::to_owned)
        .or_else(|| context(suggestion).map(|near| format!("did you mean {near}?")));
    let hint = hint.unwrap_or_else(|| "--help shows all that there are".to_owned());
    let what = format!("there is no {noun} {}", printable(word.as_bytes()));
    flags::error(error.kind(), what, Some(hint))
}

/// The error of a command line without a command, whose first words are accounts: one that is not may be one of the
/// commands.
pub(super) fn or_command(error: anyhow::Error, accounts: &[String], commands: &[String]) -> anyhow::Error {
    match error.downcast() {
        Ok(error) => commands_too(error, accounts, commands).into(),
        Err(other) => other,
    }
}

fn commands_too(error: ConfigError, accounts: &[String], commands: &[String]) -> ConfigError {
    let commands = || commands.iter().map(String::as_str);
    let what =
        |name: &str| format!("there is neither a command nor an account \"{}\"", printable(name.as_bytes()));
    match error {
        ConfigError::NoAccount { name, known, mistake } => {
            // Of two that are as near the account counts.
            let near = nearest(&name, known.iter().map(String::as_str).chain(commands()));
            let hint = match near {
                Some(near) if known.iter().any(|name| name == near) => {
                    format!("did you mean the account \"{near}\"?")
                }
                Some(near) => format!("did you mean the command \"{near}\"?"),
                None => format!("{}; popfetch -h lists the commands", mistake.hint.unwrap_or_default()),
            };
            ConfigError::arguments(what(&name), hint)
        }
        ConfigError::NoFile { mut mistake } => {
            if let Some(address) = accounts.iter().find(|name| name.contains('@')) {
                let address = printable(address.as_bytes());
                mistake.hint = Some(format!("popfetch init {address} sets that account up"));
                return ConfigError::NoFile { mistake };
            }
            match accounts.iter().find_map(|name| Some((name, nearest(name, commands())?))) {
                Some((name, near)) => {
                    ConfigError::arguments(what(name), format!("did you mean the command \"{near}\"?"))
                }
                None => ConfigError::NoFile { mistake },
            }
        }
        other => other,
    }
}
