//! What an account's run came to, in one line: where the mail went, and what stays on the server.

use crate::report::{ConditionKind, Postponed, RunSummary};
use crate::text::{count, size};
use crate::types::MessageNumber;

/// An account's line, in two parts: what is new, and what is left.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::report) struct AccountRow {
    pub(in crate::report) news: String,
    pub(in crate::report) left: String,
}

/// Whether anything came of it that a reader of a log should see.
pub(super) fn is_eventful(summary: &RunSummary) -> bool {
    let RunSummary { delivered, deleted, failed, .. } = *summary;
    delivered > 0 || deleted > 0 || failed > 0
}

/// Why messages failed, where that is one reason.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct RowReason<'a> {
    pub(in crate::report) text: &'a str,
    /// The message, if it is one.
    pub(in crate::report) number: Option<MessageNumber>,
}

/// The line of an account whose mail goes `to` there.
pub(in crate::report) fn row(summary: &RunSummary, to: &str, reason: Option<RowReason<'_>>) -> AccountRow {
    AccountRow { news: news(summary, to), left: left(summary, reason) }
}

fn news(summary: &RunSummary, to: &str) -> String {
    let RunSummary { delivered, octets, listed, failed, .. } = *summary;
    if delivered > 0 {
        let arrow = if to.is_empty() { String::new() } else { format!(" \u{2192} {to}") };
        return format!("{delivered} new, {}{arrow}", size(octets));
    }
    if failed > 0 || summary.postponed.messages > 0 || summary.failure.is_some() {
        return "nothing delivered".to_owned();
    }
    match &summary.delivered_elsewhere {
        Some(elsewhere) => format!(
            "nothing new: {} of {listed} were delivered before, to {}; --all retrieves them again",
            elsewhere.messages, elsewhere.to
        ),
        None => "nothing new".to_owned(),
    }
}

fn left(summary: &RunSummary, reason: Option<RowReason<'_>>) -> String {
    let RunSummary { deleted, listed, .. } = *summary;
    let kept = listed.saturating_sub(deleted);
    let mut parts = Vec::new();
    if deleted > 0 {
        parts.push(format!("{deleted} deleted"));
    }
    parts.push(match kept {
        0 if deleted > 0 => "nothing left on the server".to_owned(),
        0 => "nothing on the server".to_owned(),
        kept => format!("{kept} kept on the server"),
    });
    for condition in summary.conditions.iter().filter(|condition| condition.messages > 0) {
        let message = &condition.message;
        parts.push(match reason.filter(|_| condition.kind == ConditionKind::MessagesFailed) {
            Some(RowReason { text, number }) => {
                let rest = message.strip_prefix("1 message").zip(number);
                let failed = rest.map(|(rest, number)| format!("message {number}{rest}"));
                format!("{}: {text}", failed.as_ref().unwrap_or(message))
            }
            None => message.clone(),
        });
    }
    let Postponed { messages, by_messages, by_bytes } = summary.postponed;
    if messages > 0 {
        let limits: Vec<&str> = [(by_messages, "max-messages"), (by_bytes, "max-bytes")]
            .into_iter()
            .filter_map(|(by, limit)| by.then_some(limit))
            .collect();
        parts.push(format!("{messages} left for the next run ({})", limits.join(", ")));
    }
    parts.join(", ")
}

/// All accounts' runs.
#[derive(Debug, Default)]
pub(super) struct Total {
    pub(super) accounts: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    /// Accounts whose run was ended by an error.
    pub(super) in_error: u64,
}

impl Total {
    pub(super) fn add(&mut self, summary: &RunSummary) {
        let one_if = |condition: bool| u64::from(condition);
        self.accounts = self.accounts.saturating_add(1);
        self.delivered = self.delivered.saturating_add(summary.delivered);
        self.failed = self.failed.saturating_add(summary.failed);
        self.in_error = self.in_error.saturating_add(one_if(summary.failure.is_some()));
    }

    /// `3 accounts: 22 new, 1 failed (4.1 s)`.
    pub(super) fn line(&self, elapsed: std::time::Duration) -> String {
        let mut parts = vec![match self.delivered {
            0 => "nothing new".to_owned(),
            new => format!("{new} new"),
        }];
        if self.failed > 0 {
            parts.push(format!("{} failed", self.failed));
        }
        if self.in_error > 0 {
            parts.push(format!("{} with an error", count(self.in_error, "account")));
        }
        format!("{}: {} ({:.1} s)", count(self.accounts, "account"), parts.join(", "), elapsed.as_secs_f64())
    }
}
