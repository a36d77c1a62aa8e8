//! What is wrong after a session, in words and in the exit code.

use super::{
    Condition, Elsewhere, ExitCode, LONGEST, carry, condition, deletions, delivered_elsewhere, elsewhere,
    failed, kept, next_try, not_deleted, nothing_names, planned, quit, show_in_a_quick_poll, sizes_refused,
    some_of, tried,
};
use crate::account::{Limits, Retention};
use crate::ledger::memory::{Alert, Memory};
use crate::plan::trial::{NOW, World, key};
use crate::plan::{Decision, Policy, Why};
use crate::proof::EntryId;
use crate::report::{ConditionKind, RunSummary};
use crate::retrieval::fetch::Tally;
use crate::retrieval::pipeline::naming::Naming;
use crate::types::{Octets, Time};

/// A message that was refused in an earlier session of the run, without an entry that records it, is still a failure.
#[test]
fn what_failed_in_an_earlier_session_is_still_reported_by_the_last() {
    let mut world = World::new();
    world.deliver("known");
    for (name, failed) in [("new", 1), ("-", 1), ("known", 1)] {
        let maildrop = world.maildrop(&[(name, None)]);
        let mut summary = RunSummary::default();
        planned(&mut summary, &maildrop, &[Decision::Leave(Why::BackingOff)], &world.ledger, "work");
        assert_eq!((summary.failed, summary.waiting), (failed, failed), "{name}");
    }
}

/// The kinds of what is wrong, and the exit code.
fn wrong(summary: &RunSummary) -> (Vec<ConditionKind>, u8) {
    (summary.conditions.iter().map(|condition| condition.kind).collect(), summary.exit().number())
}

/// What is wrong after this.
fn after(work: impl FnOnce(&mut RunSummary)) -> (Vec<ConditionKind>, u8) {
    let mut summary = RunSummary::default();
    work(&mut summary);
    wrong(&summary)
}

fn world() -> World {
    let mut world = World::new();
    world.now();
    world.deliver("a");
    world
}

const NOTHING: (Vec<ConditionKind>, u8) = (Vec::new(), 0);

#[test]
fn deletions_that_the_server_refuses_or_does_not_carry_out_are_reported() {
    let refused = |count| {
        let mut tally = Tally { refused: vec![EntryId(0); count], ..Tally::default() };
        tally.refusals.add("no");
        after(|summary| deletions(summary, &tally))
    };
    assert_eq!((refused(0), refused(1)), (NOTHING, (vec![ConditionKind::DeletionRefused], 75)));
    assert_eq!(after(|summary| not_deleted(summary, 0)), NOTHING);
    assert_eq!(after(|summary| not_deleted(summary, 2)), (vec![ConditionKind::NotDeleted], 75));
}

/// A refused QUIT counts for all that was to be deleted; one that wasn't answered only for what an earlier run would have
/// deleted already.
#[test]
fn a_farewell_that_is_not_confirmed_counts_where_deletions_hung_on_it() {
    let world = world();
    let id = world.ledger.find_key(&key("a")).unwrap();
    let later = Time(NOW.0 + 1);
    for (accepted, words, retention, now, expected) in [
        (1, Some("no"), Retention::Delete, NOW, true),
        (0, Some("no"), Retention::Delete, NOW, false),
        (1, None, Retention::Delete, NOW, false),
        (1, None, Retention::Delete, later, true),
        (1, None, Retention::Keep, later, false),
        (0, None, Retention::Delete, later, false),
    ] {
        let policy = Policy { now, ..world.policy(retention) };
        let tally = Tally { accepted: vec![id; accepted], ..Tally::default() };
        let found = after(|summary| quit(summary, &world.ledger, &policy, &tally, words));
        let kinds = if expected { vec![ConditionKind::QuitRefused] } else { Vec::new() };
        assert_eq!(found, (kinds, if expected { 75 } else { 0 }), "{accepted} {words:?} {retention:?}");
    }
}

#[test]
fn a_policy_that_has_no_effect_is_reported() {
    let mut world = world();
    world.ledger.fail(&key("unknown"), None, None).unwrap();
    let total = Retention::Limits(Limits { total_size: Some(Octets(1)), ..Limits::default() });
    let most = Some(Octets(5));
    for (listed, retention, max_message_size, delivered, expected) in [
        (("unknown", None), total, None, 0, true),
        (("unknown", Some(1)), total, None, 0, false),
        (("a", None), total, None, 0, false),
        (("unknown", None), Retention::Delete, None, 0, false),
        (("unknown", None), Retention::Delete, most, 1, true),
        (("unknown", None), Retention::Delete, most, 0, false),
        (("a", Some(1)), Retention::Delete, most, 1, false),
    ] {
        let policy = Policy { max_message_size, ..world.policy(retention) };
        let tally = Tally { delivered, ..Tally::default() };
        let maildrop = world.maildrop(&[listed]);
        let found = after(|summary| sizes_refused(summary, &maildrop, &world.ledger, &policy, &tally));
        assert_eq!(found.1 != 0, expected, "{listed:?} {retention:?} {max_message_size:?} {delivered}");
    }
    // Where no answer names a message nothing is ever deleted.
    let maildrop = world.maildrop(&[("a", None)]);
    for (retention, named, expected) in
        [(Retention::Delete, false, true), (Retention::Keep, false, false), (Retention::Delete, true, false)]
    {
        let mut tally = Tally::default();
        if named {
            tally.standing.naming = Naming::new(1, None, true, None);
        }
        let policy = world.policy(retention);
        let found = after(|summary| nothing_names(summary, &maildrop, &world.ledger, &policy, &tally));
        assert_eq!(found.1 != 0, expected, "{retention:?} {named}");
    }
}

/// A user who names another destination waits for mail that won't come there: it was delivered before.
#[test]
fn mail_that_was_delivered_elsewhere_is_spoken_of_where_nothing_new_came() {
    let mut world = World::new();
    world.print("p");
    let elsewhere = |world: &World, listed: &str, delivered| {
        let mut summary = RunSummary { delivered, ..RunSummary::default() };
        let maildrop = world.maildrop(&[(listed, None)]);
        delivered_elsewhere(&mut summary, &maildrop, &world.ledger, &world.maildirs);
        summary.delivered_elsewhere.map(|elsewhere| elsewhere.messages)
    };
    assert_eq!(elsewhere(&world, "p", 0), Some(1));
    assert_eq!(elsewhere(&world, "p", 1), None, "something came");
    assert_eq!(elsewhere(&world, "new", 0), None, "nothing is known");
    world.deliver("a");
    assert_eq!(elsewhere(&world, "p", 0), None, "mail comes here");
}

/// What has failed is counted apart from what only waits for its destination, and its next try is named.
#[test]
fn what_failed_counts_until_it_is_over() {
    let mut world = World::new();
    world.now();
    for (retry_in, words) in
        [(Some(3600), "next try"), (Some(0), "at the next run"), (None, "at the next run")]
    {
        world.fail("f", retry_in);
        let maildrop = world.maildrop(&[("f", None)]);
        let policy = world.policy(Retention::Keep);
        let mut summary = RunSummary { failed: 1, ..RunSummary::default() };
        failed(&mut summary, &maildrop, &world.ledger, &policy, &Tally::default());
        assert_eq!(wrong(&summary), (vec![ConditionKind::MessagesFailed], 75));
        assert!(summary.conditions[0].message.contains(words), "{}", summary.conditions[0].message);
        summary.failed = 0;
        failed(&mut summary, &maildrop, &world.ledger, &policy, &Tally::default());
        assert_eq!(wrong(&summary), NOTHING);
    }
    let mut summary = RunSummary { failed: 1, waiting: 1, ..RunSummary::default() };
    tried(&mut summary);
    tried(&mut summary);
    assert_eq!((summary.failed, summary.waiting), (0, 0));
}

/// What a limit leaves, and what only a destination lacks that isn't configured now.
#[test]
fn what_the_plan_leaves_is_counted_by_its_reason() {
    let mut world = World::new();
    world.deliver_to_one("partly");
    let maildrop = world.maildrop(&[("a", None), ("b", None), ("partly", None), ("c", None)]);
    let decisions = [Why::MaxMessages, Why::MaxBytes, Why::Elsewhere, Why::Known].map(Decision::Leave);
    let mut summary = RunSummary::default();
    planned(&mut summary, &maildrop, &decisions, &world.ledger, "work");
    let postponed = &summary.postponed;
    assert_eq!((postponed.messages, postponed.by_messages, postponed.by_bytes), (2, true, true));
    assert_eq!((summary.failed, summary.waiting), (1, 1));
    assert_eq!(wrong(&summary), (vec![ConditionKind::DestinationGone], 75));
    let policy = world.policy(Retention::Keep);
    failed(&mut summary, &maildrop, &world.ledger, &policy, &Tally::default());
    assert_eq!(wrong(&summary).0, [ConditionKind::DestinationGone], "it has not failed");
    assert!(summary.conditions[0].message.contains("/two"), "{}", summary.conditions[0].message);
}

/// A quick poll that finds the maildrop as it was left carries on what is wrong with messages in it, and nothing else.
#[test]
fn a_quick_poll_carries_on_what_is_wrong_with_messages() {
    let mut memory = Memory::default();
    for (kind, messages) in [("messages-failed", 2), ("deletion-refused", 0), ("login", 1)] {
        let mut alert = Alert::since(NOW);
        alert.lasting = Some(kept(&condition(ConditionKind::MessagesFailed, messages, "words", None)));
        memory.alerts.insert(kind.to_owned(), alert);
    }
    let mut summary = RunSummary::default();
    carry(&memory, &mut summary);
    assert_eq!(wrong(&summary), (vec![ConditionKind::MessagesFailed], 75));
    assert_eq!((summary.failed, summary.waiting), (2, 2));
    assert!(show_in_a_quick_poll(&summary));
    not_deleted(&mut summary, 1);
    assert!(!show_in_a_quick_poll(&summary), "whether that is over shows only in a listing");
}

/// The condition of that kind.
fn one(summary: &RunSummary) -> &Condition {
    assert_eq!(summary.conditions.len(), 1);
    &summary.conditions[0]
}

/// What a report says of failures: how many, why in our words, and when they are tried again.
#[test]
fn failures_are_reported_with_reason_and_time() {
    let mut world = World::new();
    world.now();
    world.fail("f", Some(7200));
    world.fail("g", Some(3600));
    let maildrop = world.maildrop(&[("f", None), ("g", None)]);
    let policy = world.policy(Retention::Keep);
    let mut tally = Tally { news: true, ..Tally::default() };
    tally.fail(ExitCode::Protocol, "it was broken");
    let mut summary = RunSummary { failed: 2, ..RunSummary::default() };
    failed(&mut summary, &maildrop, &world.ledger, &policy, &tally);
    let found = one(&summary);
    assert!(found.message.starts_with("2 messages failed, next try"), "{}", found.message);
    assert_eq!((found.messages, found.exit, found.said), (2, ExitCode::Protocol, true));
    assert_eq!(found.next, Some(Time(NOW.0 + 3600)), "the first of them");
    assert!(found.reason.as_deref().unwrap().contains("it was broken"));
}

/// What an earlier session of the run has reported isn't taken back by one that met nothing new.
#[test]
fn a_later_session_keeps_what_an_earlier_one_has_reported() {
    let mut world = World::new();
    world.now();
    world.fail("f", None);
    let maildrop = world.maildrop(&[("f", None)]);
    let policy = world.policy(Retention::Keep);
    let mut first = Tally { news: true, ..Tally::default() };
    first.fail(ExitCode::Protocol, "it was broken");
    let mut summary = RunSummary { failed: 1, ..RunSummary::default() };
    failed(&mut summary, &maildrop, &world.ledger, &policy, &first);
    failed(&mut summary, &maildrop, &world.ledger, &policy, &Tally::default());
    let found = one(&summary);
    assert_eq!((found.exit, found.said), (ExitCode::Protocol, true));
    assert!(found.reason.as_deref().unwrap().contains("it was broken"), "{:?}", found.reason);
    // Another condition lends it nothing.
    let mut summary = RunSummary { failed: 1, ..RunSummary::default() };
    summary.put(Condition {
        said: true,
        exit: ExitCode::Protocol,
        ..condition(ConditionKind::NotDeleted, 0, "x", None)
    });
    failed(&mut summary, &maildrop, &world.ledger, &policy, &Tally::default());
    let found = summary.conditions.iter().find(|found| found.kind == ConditionKind::MessagesFailed).unwrap();
    assert_eq!((found.exit, found.said, found.reason.as_deref()), (ExitCode::Later, false, None));
}

/// The next try is that of messages that wait: not of what was delivered, nor of what isn't listed.
#[test]
fn only_what_waits_has_a_next_try() {
    let mut world = World::new();
    world.now();
    world.fail("f", Some(3600));
    world.deliver("a");
    world.fail("a", Some(60));
    let policy = world.policy(Retention::Keep);
    let next = |listed: &[(&str, Option<u64>)], failed_now| {
        let maildrop = world.maildrop(listed);
        let mut summary = RunSummary { failed: 1, ..RunSummary::default() };
        let tally = Tally { failed: failed_now, ..Tally::default() };
        failed(&mut summary, &maildrop, &world.ledger, &policy, &tally);
        one(&summary).next.map(|at| at.seconds_since(NOW))
    };
    assert_eq!(next(&[("f", None)], 0), Some(3600));
    assert_eq!(next(&[("new", None), ("-", None)], 0), None);
    assert_eq!(next(&[("new", None)], 1), None);
}

/// One that failed in this very session was listed as new, and has an entry by now.
#[test]
fn what_failed_just_now_has_its_next_try_as_well() {
    let mut world = World::new();
    world.now();
    let maildrop = world.maildrop(&[("new", None)]);
    world.fail("new", Some(3600));
    let policy = world.policy(Retention::Keep);
    for (failed_now, expected) in [(1, Some(3600)), (0, None)] {
        let mut summary = RunSummary { failed: 1, ..RunSummary::default() };
        let tally = Tally { failed: failed_now, ..Tally::default() };
        failed(&mut summary, &maildrop, &world.ledger, &policy, &tally);
        assert_eq!(one(&summary).next.map(|at| at.seconds_since(NOW)), expected);
    }
}

/// Some destinations are named, and not a whole screen of them.
#[test]
fn three_destinations_are_named_at_most() {
    let names = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    for (n, expected) in [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2, …"), (9, "0, 1, 2, …")] {
        assert_eq!(some_of(names(n)), expected);
    }
}

/// Retrieved, and found to be what only a destination of another configuration lacks.
#[test]
fn what_turns_out_to_wait_for_another_destination_is_counted_and_named() {
    let mut world = World::new();
    let id = world.deliver_to_one("partly");
    let policy = Policy { destinations: vec![world.maildirs[0]], ..world.policy(Retention::Keep) };
    let mut summary = RunSummary { failed: 3, waiting: 1, ..RunSummary::default() };
    elsewhere(&mut summary, &world.ledger, &policy, &Tally::default(), "work");
    assert_eq!((summary.failed, summary.waiting, summary.conditions.len()), (3, 1, 0));
    let tally = Tally { elsewhere: vec![id, id], ..Tally::default() };
    elsewhere(&mut summary, &world.ledger, &policy, &tally, "work");
    assert_eq!((summary.failed, summary.waiting), (5, 3));
    let found = one(&summary);
    assert_eq!((found.kind, found.messages), (ConditionKind::DestinationGone, 2));
    assert!(found.message.ends_with("/two") && !found.message.contains("/one"), "{}", found.message);
    assert!(found.hint.as_deref().unwrap().ends_with("popfetch state release work"));
    // Those of the plan are counted with them.
    elsewhere(&mut summary, &world.ledger, &policy, &tally, "work");
    assert_eq!(one(&summary).messages, 4);
}

/// A user who names standard output, or another Maildir, hears where the mail went before.
#[test]
fn where_mail_went_before_is_named_as_the_user_knows_it() {
    let mut world = World::new();
    world.print("p");
    let elsewhere =
        |world: &World, configured: &[crate::proof::DestinationId], listed: &[(&str, Option<u64>)]| {
            let mut summary = RunSummary::default();
            let maildrop = world.maildrop(listed);
            delivered_elsewhere(&mut summary, &maildrop, &world.ledger, configured);
            summary.delivered_elsewhere.map(|found| (found.messages, found.to))
        };
    assert_eq!(elsewhere(&world, &world.maildirs, &[("p", None)]), Some((1, "standard output".to_owned())));
    world.fail("f", None);
    let both = [("p", None), ("f", None)];
    assert_eq!(elsewhere(&world, &world.maildirs, &both).map(|(n, _)| n), Some(1), "what failed is nowhere");
    let mut world = World::new();
    world.deliver_to_one("a");
    world.deliver("b");
    let other = [crate::proof::DestinationId(9)];
    let found = elsewhere(&world, &other, &[("a", None), ("b", None)]);
    assert_eq!(found, Some((1, "/one, /two".to_owned())));
    // An earlier session of the run may have found nothing; what the last one finds counts.
    let mut summary = RunSummary { delivered: 1, ..RunSummary::default() };
    summary.delivered_elsewhere = Some(Elsewhere { messages: 1, to: String::new() });
    delivered_elsewhere(&mut summary, &world.maildrop(&[("b", None)]), &world.ledger, &other);
    assert_eq!(summary.delivered_elsewhere, None);
}

/// Each sentence counts as people do.
#[test]
fn one_message_is_listed_again_and_two_are() {
    for (messages, expected) in [
        (1, "1 message that the server confirmed as deleted is listed again"),
        (2, "2 messages that the server confirmed as deleted are listed again"),
    ] {
        let mut summary = RunSummary::default();
        not_deleted(&mut summary, messages);
        assert_eq!(one(&summary).message, expected);
    }
}

/// What is kept from run to run has a bound, whatever a server writes.
#[test]
fn a_sentence_is_never_longer_than_what_is_kept() {
    let found = condition(ConditionKind::QuitRefused, 0, &"x".repeat(5000), None);
    assert!(found.message.chars().count() <= LONGEST, "{}", found.message.len());
    assert_eq!(kept(&found).message, found.message);
}

/// Only messages that were left alone are failures of a run that found nothing changed.
#[test]
fn conditions_without_messages_are_not_carried_on() {
    for (messages, expected) in [(0, false), (1, true)] {
        let mut summary = RunSummary::default();
        summary.put(condition(ConditionKind::MessagesFailed, messages, "x", None));
        assert_eq!(show_in_a_quick_poll(&summary), expected);
    }
    assert!(show_in_a_quick_poll(&RunSummary::default()));
}

/// When the first is tried again of those that were never delivered, and have failed: what never failed has no time of its own.
#[test]
fn the_next_try_is_that_of_what_has_failed() {
    let mut world = World::new();
    world.now();
    world.deliver("delivered");
    world.fail("delivered", Some(60));
    world.begin("broke off");
    let intents: Vec<_> = world.ledger.intents().iter().map(|intent| intent.id).collect();
    world.ledger.settle_dropped(&intents).unwrap();
    let (failed, later) = (world.fail("failed", Some(500)), world.fail("later", Some(900)));
    let at_once = world.fail("at once", None);
    let id = |name: &str| world.ledger.find_key(&key(name)).unwrap();
    let (delivered, broke_off) = (id("delivered"), id("broke off"));
    let next = |ids: &[EntryId]| next_try(ids.iter().copied(), &world.ledger);
    let at = |seconds| Some(Time(NOW.0 + seconds));
    assert_eq!(next(&[later, delivered, broke_off, failed]), at(500));
    assert_eq!(next(&[delivered, broke_off]), None);
    assert_eq!(next(&[failed, at_once]), None, "one is tried at the next run");
}
