//! What a session leaves that is wrong, in words: one [`Condition`] for each sort.  What is made of them is the same for
//! all, and not decided here: see `alerts.rs`.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::deliveries;
use super::fetch::Tally;
use crate::account::Retention;
use crate::clock;
use crate::exit::ExitCode;
use crate::ledger::memory::{Alert, Lasting, Memory};
use crate::ledger::{EntryState, Ledger};
use crate::plan::{self, Decision, Listed, Maildrop, Policy, Who, Why};
use crate::proof::{DestinationId, DestinationKind, EntryId};
use crate::report::{Condition, ConditionKind, Elsewhere, Postponed, RunSummary};
use crate::text::{count, shortened};
use crate::types::{Time, wide};

/// Destinations that are named at most.
const MOST_NAMED: usize = 3;
/// Characters of a sentence at most: it is kept in the memory.
const LONGEST: usize = 600;

fn condition(kind: ConditionKind, messages: u64, message: &str, hint: Option<&str>) -> Condition {
    Condition {
        kind,
        exit: ExitCode::Later,
        messages,
        message: shortened(message, LONGEST).into_owned(),
        hint: hint.map(str::to_owned),
        reason: None,
        next: None,
        news: false,
        said: false,
    }
}

/// What the plan leaves: messages that back off, or that only a destination lacks which isn't configured, and what a
/// limit postpones.
pub(super) fn planned(
    summary: &mut RunSummary,
    maildrop: &Maildrop,
    decisions: &[Decision],
    ledger: &Ledger,
    account: &str,
) {
    let (mut backing_off, mut elsewhere) = (0_u64, 0_u64);
    let mut lacking = BTreeSet::new();
    let mut postponed = Postponed::default();
    for (listed, decision) in maildrop.iter().zip(decisions) {
        let (Decision::Leave(why), who) = (decision, listed.who) else { continue };
        match (why, who) {
            // It failed, be it in an earlier session of this run, which no entry need record.
            (Why::BackingOff, _) => backing_off = backing_off.saturating_add(1),
            (Why::Elsewhere, Who::Known(id)) => {
                elsewhere = elsewhere.saturating_add(1);
                lacking.extend(ledger.lacking(id).into_iter().flatten());
            }
            (Why::MaxMessages, _) => postponed.by_messages = true,
            (Why::MaxBytes, _) => postponed.by_bytes = true,
            _ => {}
        }
        if matches!(why, Why::MaxMessages | Why::MaxBytes) {
            postponed.messages = postponed.messages.saturating_add(1);
        }
    }
    // What failed in an earlier session of this run is listed again: it waits, or is tried again.
    summary.failed = backing_off.saturating_add(elsewhere);
    summary.waiting = summary.failed;
    summary.postponed = postponed;
    destination_gone(summary, ledger, &lacking, elsewhere, account);
}

/// Messages that only destinations lack which this run doesn't have.
fn destination_gone(
    summary: &mut RunSummary,
    ledger: &Ledger,
    lacking: &BTreeSet<DestinationId>,
    messages: u64,
    account: &str,
) {
    if messages > 0 {
        let names: Vec<String> = ledger
            .destinations()
            .iter()
            .filter(|destination| lacking.contains(&destination.id))
            .map(|destination| destination.name.shown())
            .collect();
        let (counted, names) = (count(messages, "message"), some_of(names));
        summary.put(condition(
            ConditionKind::DestinationGone,
            messages,
            &format!("{counted} still to be delivered to a destination that isn't configured now: {names}"),
            Some(&format!(
                "configure it again, give the message to all that are with --all, or give it up: popfetch state release \
                 {account}"
            )),
        ));
    }
}

/// At most [`MOST_NAMED`] of these, in a row.
fn some_of(mut names: Vec<String>) -> String {
    if names.len() > MOST_NAMED {
        names.truncate(MOST_NAMED);
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// Retrieved, and found to be lacked only by destinations that this run doesn't have.
pub(super) fn elsewhere(
    summary: &mut RunSummary,
    ledger: &Ledger,
    policy: &Policy,
    tally: &Tally,
    account: &str,
) {
    if tally.elsewhere.is_empty() {
        return;
    }
    let more = wide(tally.elsewhere.len());
    summary.failed = summary.failed.saturating_add(more);
    summary.waiting = summary.waiting.saturating_add(more);
    let lacks = ledger.unfinished().into_iter().flat_map(|unfinished| unfinished.lacks);
    let lacking = lacks.filter(|id| !policy.destinations.contains(id)).collect();
    let messages = messages_of(summary, ConditionKind::DestinationGone).saturating_add(more);
    destination_gone(summary, ledger, &lacking, messages, account);
}

/// A session is about to try one of those that wait.
pub(super) fn tried(summary: &mut RunSummary) {
    summary.failed = summary.failed.saturating_sub(1);
    summary.waiting = summary.waiting.saturating_sub(1);
}

/// Nothing is new, and a destination has never had a delivery: a user who has named another one waits for mail that won't
/// come there, because it was delivered before.
pub(super) fn delivered_elsewhere(
    summary: &mut RunSummary,
    maildrop: &Maildrop,
    ledger: &Ledger,
    configured: &[DestinationId],
) {
    summary.delivered_elsewhere = None;
    if summary.delivered > 0 || configured.iter().all(|id| ledger.has_delivered_to(*id)) {
        return;
    }
    let is_known = |listed: Listed<'_>| match listed.who {
        Who::Known(id) => ledger.entry(id).state != EntryState::Open,
        Who::New(_) | Who::Nameless => false,
    };
    let messages = maildrop.iter().filter(|listed| is_known(*listed)).count();
    let used = ledger.destinations().iter().filter(|known| ledger.has_delivered_to(known.id));
    let names: Vec<String> = used
        .map(|known| match known.name.kind {
            DestinationKind::Stdout => "standard output".to_owned(),
            _ => deliveries::path(&known.name),
        })
        .collect();
    if messages == 0 || names.is_empty() {
        return;
    }
    let messages = wide(messages);
    summary.delivered_elsewhere = Some(Elsewhere { messages, to: some_of(names) });
}

/// Messages that have failed, in this session or before: when they are tried again.
pub(super) fn failed(
    summary: &mut RunSummary,
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    tally: &Tally,
) {
    let elsewhere = messages_of(summary, ConditionKind::DestinationGone);
    let messages = summary.failed.saturating_sub(elsewhere);
    if messages == 0 {
        summary.conditions.retain(|condition| condition.kind != ConditionKind::MessagesFailed);
        return;
    }
    let entries = maildrop.iter().filter_map(|listed| match listed.who {
        Who::Known(id) => Some(id),
        // Only those that failed in this session have an entry by now, or were delivered.
        Who::New(unique_id) if tally.failed > 0 => ledger.find(unique_id),
        Who::New(_) | Who::Nameless => None,
    });
    let next = next_try(entries, ledger);
    let when = match next {
        Some(at) if at > policy.now => format!("next try {}", clock::due(at, policy.now)),
        _ => "tried again at the next run".to_owned(),
    };
    let mut failed = condition(
        ConditionKind::MessagesFailed,
        messages,
        &format!("{} failed, {when}", count(messages, "message")),
        None,
    );
    failed.said = tally.news;
    failed.reason = Some(tally.reasons.line()).filter(|line| !line.is_empty());
    failed.next = next;
    failed.exit = tally.exit.map_or(failed.exit, |exit| exit.merge(failed.exit));
    if let Some(earlier) = summary.conditions.iter().find(|earlier| earlier.kind == failed.kind) {
        failed.exit = failed.exit.merge(earlier.exit);
        failed.said |= earlier.said;
        failed.reason = failed.reason.or_else(|| earlier.reason.clone());
    }
    summary.put(failed);
}

fn messages_of(summary: &RunSummary, kind: ConditionKind) -> u64 {
    summary
        .conditions
        .iter()
        .filter(|condition| condition.kind == kind)
        .map(|condition| condition.messages)
        .sum()
}

/// When the first of the messages that have failed is tried again; none where that's at the next run.
fn next_try(entries: impl Iterator<Item = EntryId>, ledger: &Ledger) -> Option<Time> {
    entries
        .map(|id| ledger.entry(id))
        .filter(|entry| entry.state == EntryState::Open && entry.failures > 0)
        .map(|entry| entry.retry_after)
        .min()
        .flatten()
}

/// Deletions that the server refused.
pub(super) fn deletions(summary: &mut RunSummary, tally: &Tally) {
    if tally.refused.is_empty() {
        return;
    }
    let refused = count(wide(tally.refused.len()), "message");
    summary.put(condition(
        ConditionKind::DeletionRefused,
        0,
        &format!("the server did not delete {refused}: {}", tally.refusals.line()),
        Some("the next run tries again; if it goes on, ask the provider, or set leave-on-server = true"),
    ));
}

/// The server's answer to `QUIT` was a refusal, or (without words) none at all.
///
/// No answer may be the connection's fault, and isn't reported, unless messages were to be deleted that an earlier run
/// would have deleted already: then its end was lost as well.
pub(super) fn quit(
    summary: &mut RunSummary,
    ledger: &Ledger,
    policy: &Policy,
    tally: &Tally,
    words: Option<&str>,
) {
    let is_late = |id: &EntryId| {
        let entry = ledger.entry(*id);
        entry.delivered < Some(policy.now) && plan::at_once(policy, entry.listed_size).is_some()
    };
    let messages = match words {
        Some(_) => tally.accepted.len(),
        None => tally.accepted.iter().filter(|id| is_late(id)).count(),
    };
    if messages == 0 {
        return;
    }
    let messages = count(wide(messages), "message");
    let message = match words {
        Some(words) => format!("the server did not confirm the deletion of {messages}: {words}"),
        None => format!("the server did not answer QUIT: {messages} had to be deleted again"),
    };
    let hint =
        "the next run sees what is deleted; if it goes on, ask the provider, or set leave-on-server = true";
    summary.put(condition(ConditionKind::QuitRefused, 0, &message, Some(hint)));
}

/// The server lists what it had confirmed to be deleted, and it is the same mail.
pub(super) fn not_deleted(summary: &mut RunSummary, messages: u64) {
    if messages == 0 {
        return;
    }
    let listed = if messages == 1 { "is listed again" } else { "are listed again" };
    let message = format!("{} that the server confirmed as deleted {listed}", count(messages, "message"));
    let hint = "ask the provider, or set leave-on-server = true";
    summary.put(condition(ConditionKind::NotDeleted, 0, &message, Some(hint)));
}

/// The server refuses `LIST`: `total-size` has nothing to add up, and `max-message-size` nothing to go by.
pub(super) fn sizes_refused(
    summary: &mut RunSummary,
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    tally: &Tally,
) {
    let is_unknown = |listed: Listed<'_>| match listed.who {
        Who::Known(id) => listed.octets.is_none() && ledger.entry(id).listed_size.is_none(),
        Who::New(_) | Who::Nameless => false,
    };
    if maildrop.has_sizes() {
        return;
    }
    let adds_up = matches!(policy.retention, Retention::Limits(limits) if limits.total_size.is_some());
    if adds_up && maildrop.iter().any(is_unknown) {
        return without_effect(
            summary,
            "leave-on-server's total-size has no effect: the server refuses LIST, which has the sizes",
            "the next run tries again; if it goes on, set another limit",
        );
    }
    if policy.max_message_size.is_some() && tally.delivered > 0 {
        without_effect(
            summary,
            "max-message-size has no effect: the server refuses LIST, which has the sizes",
            "the next run tries again; if it goes on, ask the provider",
        );
    }
}

/// No answer of the server names a message: each is believed only when its session has ended, which is too late to delete
/// it.
pub(super) fn nothing_names(
    summary: &mut RunSummary,
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    tally: &Tally,
) {
    if tally.standing.naming.is_impossible() && !plan::retire(maildrop, ledger, policy, &|_| false).is_empty()
    {
        without_effect(
            summary,
            "leave-on-server has no effect: the server answers none of UIDL n, LIST n and STAT, by which popfetch \
             makes sure what it deletes",
            "ask the provider, or set leave-on-server = true",
        );
    }
}

fn without_effect(summary: &mut RunSummary, message: &str, hint: &str) {
    summary.put(condition(ConditionKind::PolicyWithoutEffect, 0, message, Some(hint)));
}

/// What the memory keeps of a condition.
pub(super) fn kept(condition: &Condition) -> Lasting {
    let Condition { exit, messages, message, hint, reason, next, .. } = condition.clone();
    Lasting { exit, messages, message, hint, reason, next }
}

/// Whether all that is wrong is so with messages that are left alone, as long as the maildrop is as it was left; the rest
/// shows only when it is tried again.
pub(super) fn show_in_a_quick_poll(summary: &RunSummary) -> bool {
    summary.conditions.iter().all(|condition| is_left_alone(condition.messages))
}

fn is_left_alone(messages: u64) -> bool {
    messages > 0
}

/// A quick poll found the maildrop as it was left: so is what was wrong.
pub(super) fn carry(memory: &Memory, summary: &mut RunSummary) {
    for (kind, Alert { lasting, .. }) in &memory.alerts {
        let kind = ConditionKind::ALL.into_iter().find(|known| known.word() == kind);
        let lasting = lasting.as_ref().filter(|lasting| is_left_alone(lasting.messages));
        let (Some(kind), Some(lasting)) = (kind, lasting) else { continue };
        let Lasting { exit, messages, message, hint, reason, next } = lasting.clone();
        summary.failed = summary.failed.saturating_add(messages);
        summary.waiting = summary.waiting.saturating_add(messages);
        let (news, said) = (false, false);
        summary.put(Condition { kind, exit, messages, message, hint, reason, next, news, said });
    }
}
