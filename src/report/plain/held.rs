//! What is held back until an account is done, to be printed in a few lines whatever the number of messages.

use super::row::RowReason;
use crate::report::reasons::Reasons;
use crate::text::{count, size};
use crate::types::{MessageNumber, Octets};

/// At most this many warnings about one account are printed, unless details are wanted.
pub(super) const MOST_WARNINGS: u64 = 100;

/// What is held back of one account.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    pub(super) failed: Reasons,
    /// The first message that failed for each of the reasons.
    pub(super) first_failed: Vec<MessageNumber>,
    pub(super) too_large: u64,
    pub(super) first_too_large: Option<(MessageNumber, Octets)>,
    pub(super) warnings: u64,
}

impl HeldBack {
    /// The reason that all messages of this run failed for, if it is one.
    pub(super) fn only_reason(&self) -> Option<RowReason<'_>> {
        match (self.failed.kept(), self.first_failed.first()) {
            ([only], Some(first)) if self.failed.others() == 0 => {
                Some(RowReason { text: &only.text, number: (only.times == 1).then_some(*first) })
            }
            _ => None,
        }
    }

    /// The lines about it; without the reasons of failures, where those stand elsewhere.
    pub(super) fn lines(&self, with_reasons: bool) -> Vec<String> {
        let mut lines = Vec::new();
        if with_reasons {
            self.reasons(&mut lines);
        }
        if let Some((number, octets)) = self.first_too_large {
            let size = size(octets.0);
            lines.push(match self.too_large {
                1 => format!("message {number} ({size}) stays on the server: it is too large"),
                n => format!(
                    "{n} messages, the first of them message {number} ({size}), stay on the server: they are too large"
                ),
            });
        }
        if self.warnings > MOST_WARNINGS {
            let more = count(self.warnings.saturating_sub(MOST_WARNINGS), "warning");
            lines.push(format!("{more} not shown: -v shows all"));
        }
        lines
    }

    fn reasons(&self, lines: &mut Vec<String>) {
        for (reason, number) in self.failed.kept().iter().zip(&self.first_failed) {
            lines.push(match reason.times {
                1 => format!("message {number} failed and stays on the server: {}", reason.text),
                n => format!("{} failed: {}", count(n, "message"), reason.text),
            });
        }
        if self.failed.others() > 0 {
            let messages = count(self.failed.others(), "message");
            lines.push(format!("{messages} failed for other reasons: -v gives them all"));
        }
    }
}
