//! Settings as flags: each row of `config::settings` that has one becomes an argument, whose value is read as the
//! configuration reads it.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::Flags;
use crate::config::settings::{self, Flag, HelpSection, Preset, SettingKey};

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        HelpSection::ALL.iter().fold(command, |command, heading| {
            command.next_help_heading(heading.title()).args(settings::flags().filter_map(|key| {
                key.flag.filter(|flag| flag.heading == *heading).map(|flag| argument(key, flag))
            }))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = settings::flags().filter(|key| matches.contains_id(key.name));
        let given = given.filter_map(|key| matches.get_many::<Self>(key.name)).flatten();
        Ok(given.cloned().fold(Self::default(), Self::and))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = std::mem::take(self).and(Self::from_arg_matches(matches)?);
        Ok(())
    }
}

fn argument(key: &'static SettingKey, flag: Flag) -> Arg {
    let help = match key.default {
        Preset::Value(value) if key.values != "true|false" => format!("{} [default: {value}]", flag.help),
        Preset::Value(_) | Preset::Depends(_) | Preset::None => flag.help.to_owned(),
    };
    let action = if flag.repeats { ArgAction::Append } else { ArgAction::Set };
    let arg = Arg::new(key.name).long(key.name).help(help).action(action).value_parser(SettingParser(key));
    // `-h` has what most runs need; `--help` has everything.
    let arg = arg.hide_short_help(true);
    let kind = match key.values {
        "true" => return arg.num_args(0).default_missing_value("true"),
        "true|false" => return optional(arg, key.values),
        values if words(values).is_some() => return arg.value_name("MODE"),
        // Tables have a short form on the command line; lists exist in files only.
        "true|false|TABLE" => "true|false|LIMITS",
        values => values.strip_suffix("|LIST").unwrap_or(values),
    };
    let (arg, kind) = match kind.strip_prefix("true|") {
        Some(kind) if !kind.contains('|') => (optional(arg, kind), kind),
        _ => (arg.value_name(kind), kind),
    };
    arg.value_hint(match kind {
        "FILE" => clap::ValueHint::FilePath,
        "DIRECTORY" => clap::ValueHint::DirPath,
        "COMMAND" => clap::ValueHint::CommandString,
        "HOST" => clap::ValueHint::Hostname,
        // No files: shells offer those by default.
        _ => clap::ValueHint::Other,
    })
}

/// A value of this kind, behind an equals sign; `true` without one.
fn optional(arg: Arg, kind: &'static str) -> Arg {
    let arg = arg.value_name(kind).value_hint(clap::ValueHint::Other);
    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
}

/// The words that a setting takes, where it takes nothing else.
fn words(values: &'static str) -> Option<impl Iterator<Item = &'static str>> {
    let is_word = values.chars().all(|c| !c.is_ascii_uppercase()) && !values.starts_with("true");
    is_word.then(|| values.split('|'))
}

/// Reads the value of a setting's flag as the configuration reads it.
#[derive(Clone, Copy)]
struct SettingParser(&'static SettingKey);

impl TypedValueParser for SettingParser {
    type Value = Flags;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Flags, clap::Error> {
        if let Some(words) = words(self.0.values) {
            // For clap's list of the words, and its near misses.
            PossibleValuesParser::new(words).parse_ref(command, arg, value)?;
        }
        let text =
            value.to_str().ok_or_else(|| clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command))?;
        Flags::one(self.0, text).map_err(|mistake| {
            // Not clap's own message: that quotes the value, which may be a URL with a password.
            error(ErrorKind::ValueValidation, mistake.what, mistake.hint)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(words(self.0.values)?.map(PossibleValue::new)))
    }
}

/// An error of the command line in words of ours.
pub(super) fn error(kind: ErrorKind, what: String, hint: Option<String>) -> clap::Error {
    let mut error = clap::Error::raw(kind, what);
    if let Some(hint) = hint {
        error.insert(HINT, ContextValue::String(hint));
    }
    error
}

/// Where an error of ours keeps its hint.
const HINT: ContextKind = ContextKind::Custom;

/// The hint of an error of the command line, if it is one of ours.
pub(super) fn hint(error: &clap::Error) -> Option<&str> {
    match error.get(HINT) {
        Some(ContextValue::String(hint)) => Some(hint),
        _ => None,
    }
}
