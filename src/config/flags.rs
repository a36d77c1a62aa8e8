//! Settings given as flags, into the same tables as the file's.

use super::error::ConfigError;
use super::mistake::{Mistake, SettingPlace};
use super::settings::{AccountTable, DestinationTable, Located, SettingKey, Table};
use crate::secret::Secret;

/// Settings of accounts that stand on the command line: every key that has a flag.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    table: AccountTable,
    // Options of --pipe, wherever they stand on the command line.
    pipe_options: DestinationTable,
    // As they were given, in their order, to be written into a file.  A command may hold a secret.
    written: Vec<(&'static SettingKey, Secret)>,
}

impl Flags {
    /// One flag alone, from its text.
    ///
    /// # Errors
    /// A value that the setting cannot have; the mistake names the flag.
    pub fn one(key: &'static SettingKey, text: &str) -> Result<Self, Mistake> {
        let mut flags = Self { written: vec![(key, Secret::new(text))], ..Self::default() };
        let mut destination = DestinationTable::default();
        let read = match DestinationTable::key(key.name) {
            None => flags.table.set_text(key.name, text),
            Some(_) => destination.set_text(key.name, text),
        };
        read.map_err(|fault| fault.mistake)?;
        if destination.time_limit.is_some() || destination.parallel.is_some() {
            flags.pipe_options = destination;
        } else if !destination.is_empty() {
            let value = vec![(SettingPlace::Flag, destination)];
            flags.table.deliver = Some(Located { value, key: "deliver", place: SettingPlace::Flag });
        }
        Ok(flags)
    }

    /// These flags and `later` ones: destinations add up, of everything else the last one counts.
    #[must_use]
    pub fn and(mut self, mut later: Self) -> Self {
        if let (Some(ours), Some(theirs)) = (&mut self.table.deliver, &mut later.table.deliver) {
            ours.value.append(&mut theirs.value);
            later.table.deliver = None;
        }
        self.written.append(&mut later.written);
        Self {
            table: later.table.or(self.table),
            pipe_options: later.pipe_options.or(self.pipe_options),
            written: self.written,
        }
    }

    /// Each flag as it was given, in the order of the command line.
    pub(super) fn written(&self) -> impl Iterator<Item = (&'static SettingKey, &str)> {
        self.written.iter().filter_map(|(key, text)| Some((*key, std::str::from_utf8(text.expose()).ok()?)))
    }

    /// The text of the last flag of this name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.written().filter(|(key, _)| key.name == name).last().map(|(_, text)| text)
    }

    /// Whether no flag was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty() && self.pipe_options.is_empty()
    }

    /// Whether they hold a password, which everybody on this machine can then see in the list of processes.
    pub(super) fn hold_password(&self) -> bool {
        self.table.proxy.as_ref().is_some_and(|proxy| proxy.value.holds_password())
    }

    /// Whether they describe an account of their own.
    #[must_use]
    pub fn name_server(&self) -> bool {
        self.table.server.is_some()
    }

    /// The settings.
    ///
    /// # Errors
    /// Options of `--pipe` without it.
    pub(super) fn table(&self) -> Result<AccountTable, ConfigError> {
        let mut table = self.table.clone();
        if self.pipe_options.is_empty() {
            return Ok(table);
        }
        let mut pipes = 0_u32;
        for (_, destination) in table.deliver.iter_mut().flat_map(|deliver| deliver.value.iter_mut()) {
            if destination.pipe.is_some() {
                *destination = destination.clone().or(self.pipe_options.clone());
                pipes = pipes.saturating_add(1);
            }
        }
        if pipes == 0 {
            return Err(ConfigError::arguments(
                "--time-limit and --parallel belong to --pipe",
                "add --pipe COMMAND",
            ));
        }
        Ok(table)
    }
}
