//! The words of a command that takes accounts and messages.

use super::setup::{Cli, ConfigArgs};
use crate::config::{Configuration, Flags};
use crate::exit::ExitCode;
use crate::types::Selection;

/// What the words name: accounts come first; what follows names messages, where there is one account.
pub(super) enum Named {
    /// These accounts, and of the only one perhaps these messages.
    These(Configuration, Option<Selection>),
    /// Nothing that can be understood, which has been reported.
    Nothing(ExitCode),
}

/// Reads them.  Without an account the only one of the configuration is meant.
///
/// # Errors
/// The configuration.
pub(super) fn read(cli: &Cli, config: &ConfigArgs, words: &[String]) -> anyhow::Result<Named> {
    let refuse = |what: &str, hint: &str| {
        cli.printer.complain(what, Some(hint));
        Ok(Named::Nothing(ExitCode::Usage))
    };
    let all = cli.configuration(config, &[], &Flags::default())?;
    let is_name = |word: &&String| all.accounts.iter().any(|account| account.name == **word);
    let (names, messages) = words.split_at(words.iter().take_while(is_name).count());
    let messages = Selection::of(messages);
    if names.is_empty() && all.accounts.len() == 1 {
        return Ok(Named::These(all, messages));
    }
    if names.is_empty() {
        if let Some(unknown) = words.first() {
            // The error shows the near ones.
            cli.configuration(config, std::slice::from_ref(unknown), &Flags::default())?;
        }
        return refuse("which account?", "name the accounts; popfetch accounts lists them");
    }
    if messages.is_some() && names.len() > 1 {
        return refuse("messages of several accounts are named", "name them account by account");
    }
    Ok(Named::These(cli.configuration(config, names, &Flags::default())?, messages))
}
