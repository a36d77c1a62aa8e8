//! What is wrong with a setting, and where it was made.  Values are quoted only by those that know them to be harmless.

use std::ops::Range;

use crate::account::NotOneLine;
use crate::account::host::NotAHost;
use crate::text::printable;

/// What is wrong, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// One line, safe to print.
    pub what: String,
    pub hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<NotOneLine> for Mistake {
    fn from(e: NotOneLine) -> Self {
        Self::new(e.to_string())
    }
}

impl From<NotAHost> for Mistake {
    fn from(e: NotAHost) -> Self {
        Self { what: e.to_string(), hint: e.hint() }
    }
}

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettingPlace {
    /// Octets of the configuration file.
    File(Range<usize>),
    Flag,
    Url,
}

/// A mistake and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocatedMistake {
    pub mistake: Mistake,
    pub place: SettingPlace,
}

impl LocatedMistake {
    pub(super) fn new(place: SettingPlace, mistake: Mistake) -> Self {
        Self { mistake, place }
    }
}

/// Text for people, in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text.as_bytes()))
}

/// The candidate that was perhaps meant: of several that are as near the first.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best = (NEAR, None);
    // The distance takes time by the product of the lengths: a long text is not a typing error.
    if text.len() <= LONGEST_SLIP {
        for candidate in candidates {
            let likeness = strsim::normalized_damerau_levenshtein(text, candidate);
            if likeness > best.0 {
                best = (likeness, Some(candidate));
            }
        }
    }
    best.1
}

const NEAR: f64 = 0.55;
const LONGEST_SLIP: usize = 100;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_misses() {
        for (typed, meant) in [("max-byte", Some("max-bytes")), ("usre", Some("user")), ("zzz", None)] {
            assert_eq!(nearest(typed, ["user", "max-bytes", "server"]), meant);
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), ["user"]), None);
    }
}
