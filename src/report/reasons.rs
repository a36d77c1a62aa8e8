//! Reasons, folded: equal ones are counted, at most five different ones are kept, and each is cut to a length.  So
//! the text of a server or a program about thousands of messages stays a few lines.

use crate::text::shortened;

/// At most this many different reasons are kept.
const MOST: usize = 5;
/// At most this many characters of a reason are kept.
pub(super) const LONGEST: usize = 300;

/// Reasons, and how often each was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reasons {
    kept: Vec<Reason>,
    others: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    /// What happened, fit to print.
    pub text: String,
    /// How often it was given.
    pub times: u64,
}

impl Reasons {
    pub(crate) fn add(&mut self, text: &str) {
        let text = shortened(text, LONGEST);
        if let Some(known) = self.kept.iter_mut().find(|known| known.text == text) {
            known.times = known.times.saturating_add(1);
        } else if self.kept.len() < MOST {
            self.kept.push(Reason { text: text.into_owned(), times: 1 });
        } else {
            self.others = self.others.saturating_add(1);
        }
    }

    /// The reasons that were kept, the first one given first.
    #[must_use]
    pub(crate) fn kept(&self) -> &[Reason] {
        &self.kept
    }

    /// How often others were given, beyond those that were kept.
    #[must_use]
    pub(crate) fn others(&self) -> u64 {
        self.others
    }

    /// All of them in one line: `a; b (3 times); 7 others`.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        let times = |reason: &Reason| match reason.times {
            1 => reason.text.clone(),
            n => format!("{} ({n} times)", reason.text),
        };
        let mut parts: Vec<String> = match self.kept.as_slice() {
            // The caller prints how often.
            [only] if self.others == 0 => vec![only.text.clone()],
            kept => kept.iter().map(times).collect(),
        };
        if self.others > 0 {
            parts.push(format!("{} others", self.others));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, MOST, Reasons};

    #[test]
    fn equal_reasons_are_one() {
        let mut reasons = Reasons::default();
        assert_eq!(reasons.line(), "");
        for _ in 0..3 {
            reasons.add("no");
        }
        assert_eq!(reasons.line(), "no");
        reasons.add("gone");
        assert_eq!(reasons.line(), "no (3 times); gone");
    }

    #[test]
    fn many_and_long_ones_stay_a_line() {
        let mut reasons = Reasons::default();
        for n in 0..5_000 {
            reasons.add(&format!("{n} {}", "ü".repeat(5000)));
        }
        let line = reasons.line();
        assert!(line.chars().count() < MOST * (LONGEST + 10) + 20, "{}", line.len());
        assert!(line.ends_with("; 4995 others"), "{line}");
    }
}
