//! What can be wrong with a configuration, reported so that the user can correct it: what, where (file and line, the
//! line itself with a caret), and what to do.
//!
//! The line is shown only as far as it cannot hold a secret: see [`shown_part`].  Values of settings are quoted by the
//! rooms that know them to be harmless, never here.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::mistake::{LocatedMistake, Mistake, SettingPlace};
use super::settings;
use crate::access;
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::text::{self, printable};

/// Why there is no configuration, or no account.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value in the file has no meaning: typically an unknown key, a misspelt word, or broken TOML.
    #[error("{}\n{location}", mistake.what)]
    FileWrong {
        /// What is wrong.
        mistake: Mistake,
        /// Where.
        location: Location,
    },
    /// A flag, a URL or an account's name on the command line has no meaning.
    #[error("{}", mistake.what)]
    ArgumentsWrong {
        /// What is wrong.
        mistake: Mistake,
    },
    /// There is no account of that name: typically a misspelt one, or a command.
    #[error("{}", mistake.what)]
    NoAccount {
        /// What was asked for.
        name: String,
        /// The accounts that there are.
        known: Vec<String>,
        /// What is wrong.
        mistake: Mistake,
    },
    /// There is no configuration file yet.
    #[error("{}", mistake.what)]
    NoFile {
        /// What is wrong, naming the file.
        mistake: Mistake,
    },
    /// The configuration is unreadable, or open to others.
    #[error("{}", mistake.what)]
    FileUnusable {
        /// What is wrong, naming the file.
        mistake: Mistake,
    },
}

impl From<access::Error> for ConfigError {
    fn from(e: access::Error) -> Self {
        Self::file(e.what, e.hint)
    }
}

impl ConfigError {
    /// A mistake on the command line.
    pub(crate) fn arguments(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::ArgumentsWrong { mistake: Mistake::new(what).hint(hint) }
    }

    /// The error for the user, given the file that the place is in.
    pub(super) fn of(fault: LocatedMistake, path: &Path, text: &str) -> Self {
        let LocatedMistake { mistake, place } = fault;
        match place {
            SettingPlace::File(span) => {
                Self::FileWrong { mistake, location: Location::of(path, text, &span) }
            }
            SettingPlace::Flag | SettingPlace::Url => Self::ArgumentsWrong { mistake },
        }
    }

    /// A path that cannot be written where it has to be.
    pub(crate) fn unusable_path(path: &Path, hint: &str) -> Self {
        Self::file(format!("{} has characters that are not text", text::path(path)), hint)
    }

    /// A file that cannot be used.
    pub(super) fn file(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::FileUnusable { mistake: Mistake::new(what).hint(hint) }
    }
}

impl Problem for ConfigError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::FileWrong { mistake, .. }
            | Self::ArgumentsWrong { mistake }
            | Self::NoAccount { mistake, .. }
            | Self::NoFile { mistake }
            | Self::FileUnusable { mistake } => mistake.hint.as_deref().map(Cow::Borrowed),
        }
    }

    /// 64 for what stands on the command line, else 78.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::ArgumentsWrong { .. } | Self::NoAccount { .. } => ExitCode::Usage,
            Self::FileWrong { .. } | Self::NoFile { .. } | Self::FileUnusable { .. } => {
                ExitCode::Configuration
            }
        }
    }
}

/// The line of a text that an offset is in, counted from 1.
pub(super) fn line_of(text: &[u8], offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or_default();
    before.iter().filter(|octet| **octet == b'\n').count().saturating_add(1)
}

/// The line of a text that an offset is in, or the last one with anything in it; and where it begins.
pub(super) fn line_at(text: &str, offset: usize) -> (usize, &str) {
    let offset = offset.min(text.trim_end().len());
    let start = text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at.saturating_add(1));
    (start, text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default())
}

/// A place in a file, and what may be shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    path: PathBuf,
    line: usize,
    excerpt: Option<FileExcerpt>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileExcerpt {
    text: String,
    // Columns of `text`.
    caret: usize,
    carets: usize,
}

impl Location {
    pub(super) fn of(path: &Path, text: &str, span: &Range<usize>) -> Self {
        // The parser may point behind the last line end: the last line is meant.
        let start = span.start.min(text.trim_end().len());
        let (line_start, line) = line_at(text, start);
        let excerpt = shown_part(text.get(..line_start).unwrap_or_default(), line).map(|shown| {
            let hidden = shown.len() < line.len();
            let from = start.saturating_sub(line_start).min(shown.len());
            let to = span.end.saturating_sub(line_start).clamp(from, shown.len());
            let width = |part: Option<&str>| columns(part.unwrap_or_default()).chars().count();
            let caret = width(shown.get(..from)).saturating_add(usize::from(hidden && from == shown.len()));
            let text = columns(shown) + if hidden { " …" } else { "" };
            FileExcerpt { text, caret, carets: width(shown.get(from..to)).max(1) }
        });
        Self { path: path.to_owned(), line: line_of(text.as_bytes(), start), excerpt }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  at {}:{}", text::path(&self.path), self.line)?;
        let Some(FileExcerpt { text, caret, carets }) = &self.excerpt else { return Ok(()) };
        // A long line is cut on both sides of the caret.
        let skipped = caret.saturating_sub(WIDTH / 2);
        let text: String = text.chars().skip(skipped).take(WIDTH).collect();
        let caret = caret.saturating_sub(skipped);
        let carets = (*carets).min(WIDTH.saturating_sub(caret)).max(1);
        let gutter = self.line.to_string().len();
        write!(f, "\n\n  {} | {text}\n  {:gutter$} | {:caret$}{:^<carets$}", self.line, "", "", "")
    }
}

/// Columns of a line that are shown at most.
const WIDTH: usize = 100;

fn columns(text: &str) -> String {
    printable(text.replace('\t', " ").as_bytes())
}

/// How much of a line may be shown.  The error may be anywhere, a misspelt `password` included, so this is a list of
/// what is known to be harmless: section headers, and lines of one known key that holds no secret.  Of other settings
/// the key is shown; of anything else (the inside of a list, of a string over several lines, a comment) nothing.
fn shown_part<'a>(before: &str, line: &'a str) -> Option<&'a str> {
    let odd = |quotes: &str| before.matches(quotes).count() % 2 == 1;
    if odd("\"\"\"") || odd("'''") {
        return None;
    }
    let Some((head, value)) = line.split_once('=') else {
        let header =
            ["[accounts", "[[accounts", "[defaults"].iter().any(|h| line.trim_start().starts_with(h));
        return header.then_some(line);
    };
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let key = head.trim();
    if key.is_empty() || !key.chars().all(bare) {
        return None;
    }
    let name = key.rsplit('.').next().unwrap_or(key);
    let harmless = match name {
        "deliver" | "leave-on-server" => !value.contains("pass"),
        "user" => !["pass", "="].iter().any(|part| value.contains(part)),
        // A URL where a host belongs may hold a password, and so may an inline table or a second setting.
        _ => {
            settings::is_public(name)
                && !["pass", "://", "@", "{", "="].iter().any(|part| value.contains(part))
        }
    };
    if harmless { Some(line) } else { line.get(..head.len().saturating_add(1)) }
}

#[cfg(test)]
mod tests {
    use super::{Location, shown_part};
    use std::path::Path;

    #[test]
    fn nothing_that_may_be_secret_is_shown() {
        let cases: [(&str, &str, Option<&str>); 17] = [
            ("", "max-bytes = \"25Q\"", Some("max-bytes = \"25Q\"")),
            ("", "  accounts.a.port = 0", Some("  accounts.a.port = 0")),
            ("", "[accounts.work]", Some("[accounts.work]")),
            ("", "password = \"hunter2\"", Some("password =")),
            ("", "passwrod = \"hunter2\"", Some("passwrod =")),
            ("", "password-command = \"echo hunter2\"", Some("password-command =")),
            ("", "a = { port = 1, password = \"hunter2\" }", Some("a =")),
            ("", "server = \"pops://me:hunter2@pop.example.com\"", Some("server =")),
            ("", "user = \"me@example.com", Some("user = \"me@example.com")),
            ("", "user = \"me\" password = \"hunter2\"", Some("user =")),
            ("", "port = 995 pw = \"hunter2\"", Some("port =")),
            ("", "[accounts.work] password = \"hunter2\"", None),
            ("password = '''\n", "port = hunter2", None),
            ("password = \"\"\"\n", "hunter2", None),
            ("password-command = [\n", "  \"echo=hunter2\", oops", None),
            ("", "password \"hunter2\"", None),
            ("", "# my password is hunter2 \u{0}", None),
        ];
        for (before, line, shown) in cases {
            assert_eq!(shown_part(before, line), shown, "{line}");
        }
    }

    #[test]
    fn a_caret_stands_under_the_place() {
        let text = "[defaults]\n\tport = 99999 # \u{1b}\n";
        let location = Location::of(Path::new("c.toml"), text, &(19..24));
        assert_eq!(location.to_string(), "  at c.toml:2\n\n  2 |  port = 99999 # \\x1b\n    |         ^^^^^");
        // Behind the end, in a long line, outside of character boundaries: never a panic.
        let long = format!("port = {}", "9".repeat(500));
        for (text, span) in
            [("", 0..0), ("port = ", 7..7), ("é", 1..9), ("port = é", 8..9), (&long, 400..507)]
        {
            let shown = Location::of(Path::new("c"), text, &span).to_string();
            assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        }
        let (from, to) = (7, 5);
        let _ = Location::of(Path::new("c"), "port = 1", &(from..to)).to_string();
    }
}
