//! One value as written, in TOML or behind a flag, and what it can be read as.
//!
//! A value of the wrong shape is never quoted when it comes from the file: it may be a password.
//!
//! Values are read from the parsed document by hand.  Serde over `toml::Spanned` was tried (toml 0.9): it points at
//! the right place, and quotes no value as long as each leaf overrides every `visit_` method.  But a visitor for each
//! leaf is longer than a [`Read`], and serde's errors carry no hint.  Untagged enums lose the places inside
//! (`leave-on-server`, `deliver`).  And flags, which are text, would need a second reader.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::mistake::{LocatedMistake, Mistake, SettingPlace, nearest, quoted};
use super::names;
use super::units;
use crate::account::{SettingWord, check_one_line};
use crate::secret::Secret;
use crate::types::Octets;

/// A value before it is read, with the key that it is for.
pub(super) struct Value<'a> {
    pub(super) key: &'a str,
    pub(super) place: SettingPlace,
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
        Self { key, place: SettingPlace::File(value.span()), written: Written::Toml(value.get_ref()) }
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

    /// The strings of a list, if it is one.
    fn list(&self) -> Result<Option<Vec<String>>, LocatedMistake> {
        let Written::Toml(DeValue::Array(array)) = self.written else { return Ok(None) };
        array
            .iter()
            .map(|value| Value::of(self.key, value).meaning(|text| Ok(text.to_owned())))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// The strings of a list, or the one string; as a flag, those between commas.
    pub(super) fn words(&self) -> Result<Vec<String>, LocatedMistake> {
        let words = match self.written {
            Written::Text(text) => Some(text.split(',').map(str::to_owned).collect()),
            Written::Toml(_) => self.list()?.or_else(|| self.text().map(|text| vec![text.to_owned()])),
        };
        words.ok_or_else(|| self.misshapen("a string or a list of strings"))
    }

    /// It isn't of a shape that its key can have.  The value itself isn't quoted: it may be a secret.
    pub(super) fn misshapen(&self, expected: &str) -> LocatedMistake {
        self.wrong(self.expected(expected))
    }

    /// The same, with a hint of its own.
    pub(super) fn misshapen_but(&self, expected: &str, hint: impl Into<String>) -> LocatedMistake {
        self.wrong(self.expected(expected).hint(hint))
    }

    fn expected(&self, expected: &str) -> Mistake {
        match self.written {
            Written::Toml(value) => {
                let what = format!("expected {expected}, found {}", kind(value));
                Mistake { what, hint: self.rewritten(value, expected) }
            }
            Written::Text(text) => Mistake::new(format!("expected {expected}, found {}", quoted(text))),
        }
    }

    /// How the value would be written, where only its shape is wrong.
    fn rewritten(&self, value: &DeValue<'_>, expected: &str) -> Option<String> {
        let key = self.key;
        match value {
            DeValue::String(text) if expected.contains("number") => {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                // What has to be a number is no secret.
                Some(if digits {
                    format!("without quotes: {key} = {text}")
                } else {
                    format!("a number stands without quotes, and without a unit: {key} = 3")
                })
            }
            DeValue::String(_) if expected == "true or false" => {
                Some(format!("without quotes: {key} = true, or {key} = false"))
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)
                if expected.starts_with("a string") =>
            {
                Some(format!("a text stands in quotes: {key} = \"…\""))
            }
            _ => None,
        }
    }

    /// It has the right shape and no meaning.
    pub(super) fn wrong(&self, mistake: Mistake) -> LocatedMistake {
        LocatedMistake::new(self.place.clone(), labelled(self.key, &self.place, mistake))
    }

    /// A string's meaning.
    pub(super) fn meaning<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
    ) -> Result<T, LocatedMistake> {
        let text = self.text().ok_or_else(|| self.misshapen("a string"))?;
        parse(text).map_err(|mistake| self.wrong(mistake))
    }

    /// A whole number.
    fn number(&self) -> Result<i64, LocatedMistake> {
        let number = match self.written {
            Written::Toml(DeValue::Integer(integer)) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            Written::Text(text) => text.parse().ok(),
            Written::Toml(_) => None,
        };
        number.ok_or_else(|| self.misshapen("a whole number"))
    }

    /// A string, or a number as text.
    fn text_or_number(&self, expected: &str) -> Result<String, LocatedMistake> {
        match self.written {
            Written::Toml(DeValue::Integer(_)) => Ok(self.number()?.to_string()),
            _ => self.text().map(str::to_owned).ok_or_else(|| self.misshapen(expected)),
        }
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
    /// The values that it takes, as the manual names them: literal words in lower case, kinds in upper case, separated by
    /// `|`.
    const VALUES: &'static str;

    /// Reads a value.
    ///
    /// # Errors
    /// A value of another shape, or one that means nothing.  Neither is quoted where it may be a secret.
    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake>;
}

impl<T: SettingWord> Read for T {
    const VALUES: &'static str = T::VALUES;

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        let names = || T::WORDS.iter().map(|(name, _)| *name);
        if value.text().is_none() {
            let words: Vec<String> = names().map(|name| format!("\"{name}\"")).collect();
            return Err(
                value.misshapen_but("a word in quotes", format!("{} = {}", value.key, words.join(" or ")))
            );
        }
        value.meaning(|text| {
            if let Some((_, word)) = T::WORDS.iter().find(|(name, _)| *name == text) {
                return Ok(*word);
            }
            let hint = match nearest(text, names()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("one of {}", names().collect::<Vec<_>>().join(", ")),
            };
            Err(Mistake::new(format!("there is no {}", quoted(text))).hint(hint))
        })
    }
}

impl Read for bool {
    const VALUES: &'static str = "true|false";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.boolean().ok_or_else(|| value.misshapen("true or false"))
    }
}

impl Read for Secret {
    const VALUES: &'static str = "TEXT";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(|text| {
            check_one_line(text.as_bytes())?;
            Ok(Self::new(text))
        })
    }
}

/// The name of a file, before variables and `~` are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileName(pub(super) String);

impl Read for FileName {
    const VALUES: &'static str = "FILE";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(|text| Ok(Self(text.to_owned())))
    }
}

/// The name of a directory, before variables and `~` are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirectoryName(pub(super) String);

impl Read for DirectoryName {
    const VALUES: &'static str = "DIRECTORY";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(|text| Ok(Self(text.to_owned())))
    }
}

/// A number from 1 to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number<T, const MOST: u32>(pub(super) T);

impl<T: TryFrom<i64>, const MOST: u32> Read for Number<T, MOST> {
    const VALUES: &'static str = "NUMBER";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        let given = value.number()?;
        let number =
            Some(given).filter(|n| (1..=i64::from(MOST)).contains(n)).and_then(|n| T::try_from(n).ok());
        number
            .map(Self)
            .ok_or_else(|| value.wrong(Mistake::new(format!("{given} is not a number from 1 to {MOST}"))))
    }
}

/// A number from 1 to `MOST` above which delivered messages are deleted.  Zero is an error of its own: some read it as
/// "at once", some as "never", and mail depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LimitNumber<const MOST: u32>(pub(super) u32);

impl<const MOST: u32> Read for LimitNumber<MOST> {
    const VALUES: &'static str = "NUMBER";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        if value.number()? == 0 {
            let hint = "leave-on-server = false deletes what is delivered";
            return Err(value.wrong(Mistake::new("0 is not a limit").hint(hint)));
        }
        Number::<u32, MOST>::read(value).map(|number| Self(number.0))
    }
}

/// A size that a message can have.  Zero means "no limit" in other programs, and would mean "no mail" here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LimitSize(pub(super) Octets);

impl Read for LimitSize {
    const VALUES: &'static str = "SIZE";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        match units::octets(&value.text_or_number("a size")?) {
            Ok(Octets(0)) => {
                Err(value.wrong(Mistake::new("0 is not a limit").hint("leave the key out for no limit")))
            }
            Ok(octets) => Ok(Self(octets)),
            Err(mistake) => Err(value.wrong(mistake)),
        }
    }
}

impl Read for Duration {
    const VALUES: &'static str = "DURATION";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        match value.text() {
            Some(text) => units::duration(text).map_err(|mistake| value.wrong(mistake)),
            // A number without its unit is a likely one.
            None => Err(value.wrong(value.expected("a string").hint(units::DURATIONS))),
        }
    }
}

/// A duration that is waited for: more than zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence(pub(super) Duration);

impl Read for Silence {
    const VALUES: &'static str = Duration::VALUES;

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        match Duration::read(value)? {
            Duration::ZERO => Err(value.wrong(Mistake::new("it must be more than 0"))),
            duration => Ok(Self(duration)),
        }
    }
}

/// A program: a line for the shell, or its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProgramValue {
    /// For `sh -c`; not blank.
    Line(String),
    /// Executed as it stands; the first one is the program's name.
    Argv(Vec<String>),
}

impl ProgramValue {
    /// As it is executed.
    pub(super) fn argv(&self) -> Vec<String> {
        match self {
            Self::Line(line) => ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
            Self::Argv(argv) => argv.clone(),
        }
    }
}

impl Read for ProgramValue {
    const VALUES: &'static str = "COMMAND|LIST";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        let command = match value.text() {
            Some(line) => Self::Line(line.to_owned()),
            None => Self::Argv(
                value.list()?.ok_or_else(|| value.misshapen("a string (for sh -c) or a list of strings"))?,
            ),
        };
        let words = match &command {
            Self::Line(line) => std::slice::from_ref(line),
            Self::Argv(argv) => argv,
        };
        if words.first().is_none_or(|word| word.trim().is_empty()) {
            let hint = "a line for the shell, or a program and its arguments: [\"procmail\", \"-d\", \"me\"]";
            return Err(value.wrong(Mistake::new("there is no command").hint(hint)));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(value.wrong(Mistake::new("it holds NUL, which no argument can")));
        }
        Ok(command)
    }
}

/// `netrc = true` or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Netrc {
    /// `~/.netrc`.
    Usual,
    File(String),
}

impl Read for Netrc {
    const VALUES: &'static str = "true|FILE";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        match (value.boolean(), value.text()) {
            (Some(true), _) => Ok(Self::Usual),
            (None, Some(file)) => Ok(Self::File(file.to_owned())),
            (Some(false), _) | (None, None) => Err(value.misshapen("true or the name of a file")),
        }
    }
}

/// The name of a systemd credential: that of a file in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemdCredential(pub(super) String);

impl Read for SystemdCredential {
    const VALUES: &'static str = "NAME";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(|name| {
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                return Err(Mistake::new(format!("{} is not a file name", quoted(name))));
            }
            Ok(Self(name.to_owned()))
        })
    }
}

/// `stdout = true`, which is the only value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stdout;

impl Read for Stdout {
    const VALUES: &'static str = "true";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        if bool::read(value)? {
            return Ok(Self);
        }
        Err(value.wrong(Mistake::new("there is no destination").hint("stdout can only be true")))
    }
}

/// A text on one line, which isn't empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OneLine(pub(super) String);

impl Read for OneLine {
    const VALUES: &'static str = "TEXT";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(|text| {
            check_one_line(text.as_bytes())?;
            Ok(Self(text.to_owned()))
        })
    }
}

/// A text of several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prose(pub(super) String);

impl Read for Prose {
    const VALUES: &'static str = "TEXT";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(|text| Ok(Self(text.trim().to_owned())))
    }
}

/// An address of the web; one in clear text can only be of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebAddress(pub(super) String);

impl Read for WebAddress {
    const VALUES: &'static str = "URL";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(|text| {
            check_one_line(text.as_bytes())?;
            let begins = |start: &str| text.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start));
            if begins("https://") || begins("http://127.") || begins("http://[::1]") {
                return Ok(Self(text.to_owned()));
            }
            let mistake = Mistake::new("it does not begin with https://");
            Err(mistake.hint("tokens are sent there: only an address of this machine may be http"))
        })
    }
}

/// A user of this machine: a name, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserId(pub(super) String);

impl Read for UserId {
    const VALUES: &'static str = "USER";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.text_or_number("a user's name or number").map(Self)
    }
}

impl Read for names::Host {
    const VALUES: &'static str = "HOST";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(Self::parse)
    }
}

impl Read for names::UserName {
    const VALUES: &'static str = "NAME";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(Self::parse)
    }
}

impl Read for names::Fingerprints {
    const VALUES: &'static str = "FINGERPRINT|LIST";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        Self::parse(&value.words()?).map_err(|mistake| value.wrong(mistake))
    }
}

/// Names the key, as the user wrote it.
pub(super) fn labelled(key: &str, place: &SettingPlace, mistake: Mistake) -> Mistake {
    let label = match place {
        SettingPlace::File(_) => key.to_owned(),
        SettingPlace::Flag => format!("--{key}"),
        SettingPlace::Url => format!("{key} of the URL"),
    };
    Mistake { what: format!("{label}: {}", mistake.what), ..mistake }
}
