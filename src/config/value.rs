//! One value as written, in TOML or behind a flag, and the shapes that it can be read as.  No shape has a meaning yet.
//!
//! A value of the wrong shape is never quoted when it stands in the file: it may be a password.

use toml::Spanned;
use toml::de::DeValue;

use super::error::{Fault, Mistake, Place, quoted};
use super::keys::{self, DESTINATION_KEYS, KEYS};
use super::units::DURATIONS;
use crate::secret::Secret;

/// A program: a line for the shell, or its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// For `sh -c`.
    Line(String),
    /// Executed as it stands.
    Argv(Vec<String>),
}

/// `netrc = true` or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Netrc {
    /// `~/.netrc`.
    Usual,
    /// This one.
    File(String),
}

/// A size: a number of octets, or text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount(pub String);

/// A user of this machine: a name, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserId(pub String);

/// A string or a list of strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

/// A value before it is read, with the key that it is for.
pub(super) struct Value<'a> {
    pub(super) key: &'a str,
    pub(super) place: Place,
    pub(super) written: Written<'a>,
}

pub(super) enum Written<'a> {
    /// In the file.
    Toml(&'a DeValue<'a>),
    /// Behind a flag.
    Text(&'a str),
}

impl<'a> Value<'a> {
    pub(super) fn of(key: &'a str, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { key, place: Place::File(value.span()), written: Written::Toml(value.get_ref()) }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.written {
            Written::Toml(DeValue::String(text)) => Some(text),
            Written::Text(text) => Some(text),
            Written::Toml(_) => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.written {
            Written::Toml(DeValue::Boolean(value)) => Some(*value),
            Written::Text("true") => Some(true),
            Written::Text("false") => Some(false),
            Written::Toml(_) | Written::Text(_) => None,
        }
    }

    /// The strings of a list.
    fn list(&self) -> Result<Option<Vec<String>>, Fault> {
        let Written::Toml(DeValue::Array(array)) = self.written else { return Ok(None) };
        array
            .iter()
            .map(|value| String::read(&Value::of(self.key, value)))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// It isn't of a shape that its key can have.  The value itself isn't quoted: it may be a secret.
    pub(super) fn misshapen(&self, expected: &str) -> Fault {
        let what = match self.written {
            Written::Toml(value) => format!("expected {expected}, found {}", kind(value)),
            Written::Text(text) => format!("expected {expected}, found {}", quoted(text)),
        };
        let mut mistake = Mistake::new(what);
        // A number without its unit is a likely one.
        let known = [KEYS, DESTINATION_KEYS].iter().find_map(|keys| keys::find(keys, self.key));
        if known.is_some_and(|key| key.values == "DURATION") {
            mistake = mistake.hint(DURATIONS);
        }
        Fault::new(self.place.clone(), labelled(self.key, &self.place, mistake))
    }
}

/// What a value is, without saying it.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What a setting can be read as.
pub(super) trait Read: Sized {
    fn read(value: &Value<'_>) -> Result<Self, Fault>;
}

impl Read for String {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        value.text().map(str::to_owned).ok_or_else(|| value.misshapen("a string"))
    }
}

impl Read for Secret {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        value.text().map(Self::new).ok_or_else(|| value.misshapen("a string"))
    }
}

impl Read for bool {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        value.boolean().ok_or_else(|| value.misshapen("true or false"))
    }
}

impl Read for i64 {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let number = match value.written {
            Written::Toml(DeValue::Integer(integer)) => {
                Self::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            Written::Text(text) => text.parse().ok(),
            Written::Toml(_) => None,
        };
        number.ok_or_else(|| value.misshapen("a whole number"))
    }
}

impl Read for Amount {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let text = match value.written {
            Written::Toml(DeValue::Integer(_)) => Some(i64::read(value)?.to_string()),
            _ => value.text().map(str::to_owned),
        };
        text.map(Self).ok_or_else(|| value.misshapen("a size"))
    }
}

impl Read for UserId {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let text = match value.written {
            Written::Toml(DeValue::Integer(_)) => Some(i64::read(value)?.to_string()),
            _ => value.text().map(str::to_owned),
        };
        text.map(Self).ok_or_else(|| value.misshapen("a user's name or number"))
    }
}

impl Read for Words {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let words = match value.written {
            Written::Text(text) => Some(text.split(',').map(str::to_owned).collect()),
            Written::Toml(_) => value.list()?.or_else(|| value.text().map(|text| vec![text.to_owned()])),
        };
        words.map(Self).ok_or_else(|| value.misshapen("a string or a list of strings"))
    }
}

impl Read for Command {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let line = value.text().map(|line| Self::Line(line.to_owned()));
        let command = if line.is_some() { line } else { value.list()?.map(Self::Argv) };
        command.ok_or_else(|| value.misshapen("a string (for sh -c) or a list of strings"))
    }
}

impl Read for Netrc {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        match (value.boolean(), value.text()) {
            (Some(true), _) => Ok(Self::Usual),
            (None, Some(file)) => Ok(Self::File(file.to_owned())),
            (Some(false), _) | (None, None) => Err(value.misshapen("true or the name of a file")),
        }
    }
}

/// Names the key, as the user wrote it.
pub(super) fn labelled(key: &str, place: &Place, mistake: Mistake) -> Mistake {
    let label = match place {
        Place::File(_) => key.to_owned(),
        Place::Flag => format!("--{key}"),
        Place::Url => format!("{key} of the URL"),
    };
    Mistake { what: format!("{label}: {}", mistake.what), ..mistake }
}
