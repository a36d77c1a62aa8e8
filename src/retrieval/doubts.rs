//! What a listing puts in doubt, and what becomes of it.  A unique-id is a hint; what speaks against one is recorded before
//! anything is done on its word, so that a run that is killed here leaves the doubt to the next one.  What a session's
//! decisions rest on (the last listing, the candidates of a renumbering) is overwritten only when all that follows from it
//! has been done.

mod parted;

use super::Error;
use super::draws::Draws;
use super::fetch::Tally;
use super::run::Run;
use crate::clock;
use crate::ledger::memory::{Habits, UniqueIds};
use crate::ledger::{self, EntryState, KnownDelivery, Ledger};
use crate::message::Facts;
use crate::plan::{self, Decision, Listed, Maildrop, Policy, Suspicion, Who, Why};
use crate::proof::{EntryId, Key};
use crate::types::MessageNumber;

/// Of more messages than these that come back together, a sample is compared where such a set has matched before.
const MANY: usize = 64;
/// A sample is compared only after all of such a set have matched this many times.
const MATCHED_BEFORE: u32 = 2;
/// This many messages are compared as a sample, by their headers.
const SAMPLE: usize = 16;
/// This many, the smallest, are compared as a sample where there is no `TOP`.
const SAMPLE_RETRIEVED: usize = 3;

/// Whether the unique-ids prove nothing: each of several is its message's number (`all_numbers`), and the server has
/// never shown another.  Learns what this listing shows.
pub(super) fn are_numbers(habits: &mut Habits, messages: usize, all_numbers: bool) -> bool {
    habits.unique_ids = match habits.unique_ids {
        UniqueIds::Names => UniqueIds::Names,
        _ if messages > 0 && !all_numbers => UniqueIds::Names,
        _ if messages > 1 => UniqueIds::Numbers,
        before => before,
    };
    habits.unique_ids == UniqueIds::Numbers && messages > 0
}

/// Records what a listing puts in doubt; what it is suspected for.  To be called before anything is decided by it.
///
/// # Errors
/// When the ledger cannot be written, or read.
pub(super) fn raise(
    run: &Run<'_>,
    ledger: &mut Ledger,
    habits: &mut Habits,
    maildrop: &Maildrop,
    policy: &Policy,
    spot_checks: &[(MessageNumber, Facts)],
) -> Result<Option<Suspicion>, Error> {
    let raised = put_in_doubt(ledger, habits, maildrop, policy, spot_checks)?;
    if raised.renumbered {
        run.detail(|| "none of the last listing's messages is listed: all are compared".to_owned());
    }
    if let Some(reason) = raised.suspicion {
        run.detail(|| format!("{reason}: all messages that are known are compared"));
    }
    Ok(raised.suspicion)
}

/// What a listing shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Raised {
    /// None of the last listing's messages is listed.
    renumbered: bool,
    suspicion: Option<Suspicion>,
}

fn put_in_doubt(
    ledger: &mut Ledger,
    habits: &mut Habits,
    maildrop: &Maildrop,
    policy: &Policy,
    spot_checks: &[(MessageNumber, Facts)],
) -> Result<Raised, Error> {
    if policy.window || !(maildrop.has_unique_ids() || maildrop.is_empty()) {
        // Not what the maildrop holds, only what the server shows of it.
        return Ok(Raised::default());
    }
    // What this listing lacks may come back as other mail.
    let gone = gone(ledger, maildrop)?;
    ledger.doubt(Some(&gone))?;
    let unknown = maildrop.iter().any(|listed| match listed.who {
        Who::New(_) => true,
        Who::Known(id) => {
            let entry = ledger.entry(id);
            entry.state == EntryState::Open || maildrop.times_listed(id) > u32::from(entry.deliveries)
        }
        Who::Nameless => false,
    });
    let renumbered = unknown && plan::is_renumbered(maildrop, ledger);
    if renumbered {
        // Perhaps again, before it was settled: then what has come meanwhile may have another key as well.
        if !ledger.is_renumbering() || ledger.present().any(|id| !ledger.entry(id).candidate) {
            ledger.begin_renumbering()?;
        }
    }
    if ledger.is_renumbering() {
        // What interrupted sessions have delivered meanwhile may have another key by now.
        let recent = |listed: Listed<'_>| match listed.who {
            Who::Known(id) if ledger.is_recent(id) && ledger.entry(id).deliveries > 0 => Some(id),
            _ => None,
        };
        let recent: Vec<EntryId> = maildrop.iter().filter_map(recent).collect();
        ledger.doubt(Some(&recent))?;
    }
    let (suspicion, adds) = plan::suspicion(maildrop, ledger, habits.adds, habits.complete);
    habits.adds = adds;
    if let Some(reason) = suspicion {
        if reason == Suspicion::MostAreGone && !ledger.is_renumbering() {
            // Perhaps only some have kept their unique-ids.
            ledger.begin_renumbering()?;
        }
        ledger.doubt(None)?;
    }
    look(ledger, maildrop, policy, spot_checks)?;
    ledger.flush()?;
    Ok(Raised { renumbered, suspicion })
}

/// The messages that were delivered, and that this listing lacks.
fn gone(ledger: &Ledger, maildrop: &Maildrop) -> Result<Vec<EntryId>, ledger::Error> {
    let held = |id: &EntryId| {
        let entry = ledger.entry(*id);
        entry.deliveries > 0 && !entry.doubtful
    };
    let mut gone: Vec<EntryId> =
        ledger.present().filter(|id| maildrop.times_listed(*id) == 0).filter(held).collect();
    if ledger.knows_nameless() {
        // No listing shows whether these are there.
        let keys: Vec<Key> = gone.iter().map(|id| ledger.key(*id)).collect::<Result<_, _>>()?;
        let mut keys = keys.iter();
        gone.retain(|_| matches!(keys.next(), Some(Key::UniqueId(_))));
    }
    Ok(gone)
}

/// Records what spot checks put in doubt; whether they do.
///
/// # Errors
/// When the ledger cannot be written, or read.
pub(super) fn look(
    ledger: &mut Ledger,
    maildrop: &Maildrop,
    policy: &Policy,
    spot_checks: &[(MessageNumber, Facts)],
) -> Result<bool, Error> {
    let differing = differing(ledger, maildrop, policy, spot_checks)?;
    ledger.doubt(Some(&differing))?;
    Ok(!differing.is_empty())
}

/// Where messages that we have are gone and others have come, a known one whose header shows whether only the
/// unique-ids have moved; none if a spot check has looked at one.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn moved(
    ledger: &Ledger,
    maildrop: &Maildrop,
    policy: &Policy,
    spot_checks: &[(MessageNumber, Facts)],
) -> Result<Option<MessageNumber>, Error> {
    let come = maildrop.iter().any(|listed| matches!(listed.who, Who::New(_)));
    let gone = || ledger.present().any(|id| maildrop.times_listed(id) == 0);
    if policy.window || !come || !gone() {
        return Ok(None);
    }
    for (number, _) in spot_checks {
        let listed = maildrop.find(*number);
        if listed.map_or(Ok(None), |listed| telling(ledger, maildrop, policy, &listed))?.is_some() {
            return Ok(None);
        }
    }
    let known = maildrop.iter().filter(|listed| matches!(listed.who, Who::Known(_)));
    let known: Vec<Listed<'_>> = known.collect();
    for listed in known.iter().rev().take(SAMPLE) {
        if telling(ledger, maildrop, policy, listed)?.is_some() {
            return Ok(Some(listed.number));
        }
    }
    Ok(None)
}

/// What was delivered under the key of a listed message, if its header shows whether it's the same.
fn telling(
    ledger: &Ledger,
    maildrop: &Maildrop,
    policy: &Policy,
    listed: &Listed<'_>,
) -> Result<Option<(EntryId, Vec<KnownDelivery>)>, ledger::Error> {
    let Some(id) = listed.entry() else { return Ok(None) };
    let entry = ledger.entry(id);
    let usable = matches!(entry.state, EntryState::Delivered | EntryState::Recorded | EntryState::Seen)
        && !entry.varies
        && entry.utf8 == policy.utf8;
    if !usable {
        return Ok(None);
    }
    let records = ledger.deliveries_of(id)?;
    let has_identity = |record: &KnownDelivery| record.digests.identity.is_some();
    let times = maildrop.times_listed(id);
    // Of several each must be one of ours; what is listed more often than it was delivered is compared in any case.
    let telling = if times == 1 {
        records.iter().any(has_identity)
    } else {
        times <= u32::from(entry.deliveries) && records.iter().all(has_identity)
    };
    Ok(telling.then_some((id, records)))
}

/// The entries of which a spot check shows another header than that of the message that was delivered last, or where they
/// are listed more than once than that of any.  That alone doesn't count: they are compared.
fn differing(
    ledger: &Ledger,
    maildrop: &Maildrop,
    policy: &Policy,
    spot_checks: &[(MessageNumber, Facts)],
) -> Result<Vec<EntryId>, ledger::Error> {
    let mut differing = Vec::new();
    for (number, facts) in spot_checks {
        let Some(listed) = maildrop.find(*number) else { continue };
        let Some((id, records)) = telling(ledger, maildrop, policy, &listed)? else { continue };
        let header = facts.digests.header;
        let is_same = |record: &KnownDelivery| {
            record.digests.header == header
                || (record.digests.identity.is_some() && record.digests.identity == facts.digests.identity)
        };
        let is_shown = ledger.headers(id).contains(&header);
        // Of several that were delivered under one key the last is what it stood for when it was seen last, unless the key is
        // listed more than once.
        let same = match records.split_last() {
            Some((last, earlier)) if maildrop.times_listed(id) == 1 => {
                is_same(last) || (is_shown && !earlier.iter().any(is_same))
            }
            _ => is_shown || records.iter().any(is_same),
        };
        if !same {
            differing.push(id);
        }
    }
    Ok(differing)
}

/// A comparison has failed: what it rests on, all the other unique-ids, is in doubt as well, but for what was matched
/// in this very session.  The messages may be listed under other unique-ids.
///
/// # Errors
/// When the ledger cannot be written, or read.
pub(super) fn mismatch(
    run: &Run<'_>,
    ledger: &mut Ledger,
    habits: &mut Habits,
    suspected: bool,
    matched: &[EntryId],
) -> Result<(), Error> {
    habits.matched_gaps = 0;
    if habits.unique_ids == UniqueIds::Names {
        // If they are the numbers next time, they prove nothing again.
        habits.unique_ids = UniqueIds::Unknown;
    }
    if !ledger.is_renumbering() {
        ledger.begin_renumbering()?;
    }
    if !suspected {
        run.detail(|| format!("{}: all messages that are known are compared", Suspicion::Mismatch));
        ledger.doubt(None)?;
        ledger.trust(matched)?;
    }
    Ok(ledger.flush()?)
}

/// Messages that came back together, of which only a sample is compared: those that are not.
pub(super) fn sample(
    maildrop: &Maildrop,
    ledger: &Ledger,
    habits: &Habits,
    has_top: bool,
    decisions: &mut [Decision],
) -> Vec<EntryId> {
    let mut back: Vec<(usize, EntryId, u64)> = Vec::new();
    for (index, (listed, decision)) in maildrop.iter().zip(decisions.iter()).enumerate() {
        let (Decision::Compare(Why::Doubtful), Who::Known(id)) = (decision, listed.who) else { continue };
        // Only what has the size that it had.
        let Some(octets) = listed.octets.filter(|octets| ledger.entry(id).listed_size == Some(*octets))
        else {
            return Vec::new();
        };
        back.push((index, id, octets.0));
    }
    if back.len() <= MANY || habits.matched_gaps < MATCHED_BEFORE {
        return Vec::new();
    }
    let sample = if has_top {
        let Ok(seed) = clock::random() else { return Vec::new() };
        Draws::new(u64::from_ne_bytes(seed)).shuffle(&mut back);
        SAMPLE
    } else {
        back.sort_by_key(|(_, _, octets)| *octets);
        SAMPLE_RETRIEVED
    };
    let rest = back.split_off(sample.min(back.len()));
    for (index, _, _) in &rest {
        if let Some(decision) = decisions.get_mut(*index) {
            *decision = Decision::Leave(Why::Known);
        }
    }
    rest.into_iter().map(|(_, id, _)| id).collect()
}

/// Whether more than [`MANY`] came back together: if all of them match, the next ones may be sampled.
pub(super) fn are_many(decisions: &[Decision]) -> bool {
    decisions.iter().filter(|decision| **decision == Decision::Compare(Why::Doubtful)).count() > MANY
}

/// What isn't delivered waits while what is known is compared: if that fails, it may be known under other unique-ids.
pub(super) fn hold_back_new(maildrop: &Maildrop, decisions: &mut [Decision]) {
    let questioned = |decision: &Decision| {
        matches!(decision, Decision::Compare(Why::Doubtful | Why::SizeChanged | Why::CameBack))
    };
    if !decisions.iter().any(questioned) {
        // Nothing that is known is listed, or all of it varies.
        return;
    }
    for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
        if matches!(decision, Decision::Retrieve(Why::New | Why::Again)) && listed.who != Who::Nameless {
            *decision = Decision::Leave(Why::Waits);
        }
    }
}

/// A session in which everything was done that its decisions asked for: what they rested on may be overwritten.
///
/// # Errors
/// When the ledger cannot be written, or read.
pub(super) fn settle(
    ledger: &mut Ledger,
    habits: &mut Habits,
    maildrop: &Maildrop,
    policy: &Policy,
    tally: &Tally,
) -> Result<(), Error> {
    parted::part_nameless(ledger, maildrop, tally)?;
    ledger.doubt(Some(&parted::left_open(maildrop, tally)))?;
    if policy.window || !(maildrop.has_unique_ids() || maildrop.is_empty()) {
        return Ok(ledger.flush()?);
    }
    let unknown = maildrop.iter().any(|listed| matches!(listed.who, Who::New(_)));
    // What wasn't compared, or has failed, may be a message that we have under another key: that shows when it is.
    let unsettled = |listed: Listed<'_>| match listed.who {
        Who::New(_) => true,
        Who::Known(id) => {
            let entry = ledger.entry(id);
            match entry.state {
                EntryState::Open => entry.failures > 0,
                EntryState::Deleted => true,
                EntryState::Seen | EntryState::Recorded | EntryState::Delivered => entry.doubtful,
            }
        }
        Who::Nameless => false,
    };
    if ledger.is_renumbering() && !maildrop.iter().any(unsettled) {
        ledger.settle_renumbering()?;
    }
    parted::part_listed(ledger, maildrop, tally)?;
    ledger.complete_listing(&mut maildrop.iter().filter_map(|listed| listed.entry()))?;
    for listed in maildrop.iter() {
        if let (Who::Known(id), Some(octets)) = (listed.who, listed.octets) {
            ledger.learn_size(id, octets)?;
        }
    }
    let left = maildrop.len().saturating_sub(tally.accepted.len());
    habits.listed = u32::try_from(left).unwrap_or(u32::MAX);
    habits.complete = !unknown;
    Ok(ledger.flush()?)
}

#[cfg(test)]
mod tests {
    mod listed;
    mod settled;

    use super::{Raised, are_numbers, moved, put_in_doubt};
    use crate::account::Retention;
    use crate::ledger::memory::{Habits, UniqueIds};
    use crate::message::Facts;
    use crate::plan::Suspicion;
    use crate::plan::trial::{World, facts, key, number};
    use crate::proof::Key;
    use crate::types::MessageNumber;

    fn raise(
        world: &mut World,
        names: &[&str],
        window: bool,
        spot_checks: &[(MessageNumber, Facts)],
    ) -> Raised {
        let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
        let maildrop = world.maildrop(&listed);
        let policy = crate::plan::Policy { window, ..world.policy(Retention::Keep) };
        put_in_doubt(&mut world.ledger, &mut Habits::default(), &maildrop, &policy, spot_checks).unwrap()
    }

    fn doubted(world: &World, names: &[&str]) -> Vec<bool> {
        let entry = |name: &&str| world.ledger.entry(world.ledger.find_key(&key(name)).unwrap());
        names.iter().map(|name| entry(name).doubtful).collect()
    }

    const ALL: [&str; 4] = ["a", "b", "c", "d"];

    #[test]
    fn what_a_listing_lacks_is_in_doubt_when_it_comes_back() {
        for (names, window, expected) in [
            (&["a", "b", "c", "d"][..], false, [false; 4]),
            (&["a", "c", "d"], false, [false, true, false, false]),
            // An empty maildrop lacks them as well.
            (&[], false, [true; 4]),
            // A window doesn't show all, and what has no unique-id shows nothing.
            (&["a", "c", "d"], true, [false; 4]),
            (&["-", "-"], false, [false; 4]),
        ] {
            let mut world = World::holding(&ALL);
            let raised = raise(&mut world, names, window, &[]);
            assert_eq!(raised, Raised::default(), "{names:?}");
            assert_eq!(doubted(&world, &ALL), expected, "{names:?}, {window}");
            assert!(!world.ledger.is_renumbering());
        }
    }

    /// No listing shows whether a message without a unique-id is there: the others are in doubt all the same.
    #[test]
    fn what_never_had_a_unique_id_is_not_missed() {
        let mut world = World::new();
        world.deliver("a");
        world.deliver("b");
        let header = Key::Header(facts("n").digests.header);
        let nameless = world.deliver_content(header, "n");
        let [a, b] = ["a", "b"].map(|name| world.ledger.find_key(&key(name)).unwrap());
        world.ledger.complete_listing(&mut [a, b, nameless].into_iter()).unwrap();
        raise(&mut world, &["a"], false, &[]);
        assert_eq!(doubted(&world, &["a", "b"]), [false, true]);
        assert!(!world.ledger.entry(nameless).doubtful);
    }

    #[test]
    fn where_none_of_the_last_listing_is_listed_the_messages_are_looked_for_under_other_unique_ids() {
        let mut world = World::holding(&ALL);
        let raised = raise(&mut world, &["w", "x", "y", "z"], false, &[]);
        assert_eq!(raised, Raised { renumbered: true, suspicion: None });
        assert!(world.ledger.is_renumbering());
        // What has been delivered meanwhile may be listed under yet another one.
        world.deliver("w");
        raise(&mut world, &["w", "x"], false, &[]);
        assert_eq!(doubted(&world, &["w"]), [true]);
    }

    /// A unique-id of old that is listed again, and more often than it was delivered, is as good as an unknown one.
    #[test]
    fn unique_ids_that_are_given_twice_are_a_renumbering_as_well() {
        for (names, renumbered) in [(&["old"][..], false), (&["old", "old"], true)] {
            let mut world = World::holding(&["old"]);
            world.deliver("a");
            world.listed(&["a"]);
            assert_eq!(raise(&mut world, names, false, &[]).renumbered, renumbered, "{names:?}");
        }
    }

    #[test]
    fn a_suspect_listing_puts_all_that_is_known_in_doubt() {
        let mut world = World::holding(&ALL);
        let raised = raise(&mut world, &["d", "new"], false, &[]);
        assert_eq!(raised, Raised { renumbered: false, suspicion: Some(Suspicion::MostAreGone) });
        assert_eq!(doubted(&world, &ALL), [true; 4]);
        // Perhaps only some have kept their unique-ids.
        assert!(world.ledger.is_renumbering());
        let mut world = World::holding(&ALL);
        let raised = raise(&mut world, &["b", "a", "c", "d"], false, &[]);
        assert_eq!(raised.suspicion, Some(Suspicion::Reordered));
        assert_eq!(doubted(&world, &ALL), [true; 4]);
        assert!(!world.ledger.is_renumbering());
    }

    #[test]
    fn a_spot_check_puts_in_doubt_what_it_shows_to_be_other_mail() {
        for (content, expected) in [("a", false), ("z", true)] {
            let mut world = World::new();
            world.deliver_content(key("a"), "a/1@i");
            world.listed(&["a"]);
            let shown = if content == "a" { "a/1@i" } else { "z/1@j" };
            raise(&mut world, &["a"], false, &[(number(1), facts(shown))]);
            assert_eq!(doubted(&world, &["a"]), [expected], "{content}");
        }
        // Of two that were delivered under one unique-id the last is what it stands for.
        for (shown, expected) in [("b/2@j", false), ("a/1@i", true)] {
            let mut world = World::new();
            world.deliver_content(key("a"), "a/1@i");
            world.deliver_content(key("a"), "b/2@j");
            world.listed(&["a"]);
            raise(&mut world, &["a"], false, &[(number(1), facts(shown))]);
            assert_eq!(doubted(&world, &["a"]), [expected], "{shown}");
        }
    }

    /// Where messages that we have are gone, and others have come, one known header is looked at: the last that shows.
    #[test]
    fn where_some_are_gone_and_others_have_come_one_header_is_looked_at() {
        let mut world = World::new();
        for name in ["a/1@i", "b/2@j", "c/3@-"] {
            world.deliver_content(key(&name[..1]), name);
        }
        world.listed(&["a", "b", "c"]);
        let asked = |names: &[&str], window: bool, spot_checks: &[(MessageNumber, Facts)]| {
            let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
            let policy = crate::plan::Policy { window, ..world.policy(Retention::Keep) };
            moved(&world.ledger, &world.maildrop(&listed), &policy, spot_checks).unwrap()
        };
        assert_eq!(asked(&["b", "c", "new"], false, &[]), Some(number(1)), "c has nothing that names it");
        assert_eq!(asked(&["a", "b", "new"], false, &[]), Some(number(2)));
        assert_eq!(asked(&["b", "c", "new"], true, &[]), None, "a window");
        assert_eq!(asked(&["b", "c"], false, &[]), None, "none has come");
        assert_eq!(asked(&["a", "b", "c", "new"], false, &[]), None, "none is gone");
        assert_eq!(asked(&["c", "new"], false, &[]), None, "none that shows");
        assert_eq!(
            asked(&["b", "c", "new"], false, &[(number(1), facts("b/2@j"))]),
            None,
            "a spot check has shown it"
        );
        assert_eq!(asked(&["b", "c", "new"], false, &[(number(2), facts("c/3@-"))]), Some(number(1)));
        assert_eq!(asked(&["b", "c", "new"], false, &[(number(9), facts("x"))]), Some(number(1)));
    }

    /// Once is enough, and what was deleted is gone for good.
    #[test]
    fn what_was_deleted_or_never_delivered_is_not_missed() {
        let mut world = World::holding(&["a", "b"]);
        let id = world.ledger.find_key(&key("b")).unwrap();
        world.ledger.deleted(&[id]).unwrap();
        world.fail("c", None);
        raise(&mut world, &["a"], false, &[]);
        assert_eq!(doubted(&world, &["a", "b", "c"]), [false; 3]);
    }

    /// While a renumbering is sorted out, what has come since the last listing may be listed under yet another unique-id.
    #[test]
    fn what_came_during_a_renumbering_is_in_doubt() {
        for renumbering in [false, true] {
            let mut world = World::holding(&["a", "b"]);
            if renumbering {
                world.ledger.begin_renumbering().unwrap();
            }
            world.deliver("w");
            world.fail("f", None);
            raise(&mut world, &["a", "b", "w", "f"], false, &[]);
            assert_eq!(doubted(&world, &["a", "b", "w", "f"]), [false, false, renumbering, false]);
        }
    }

    /// Renumbered once more before the first time was settled: what was delivered meanwhile is looked for as well.
    #[test]
    fn a_second_renumbering_takes_in_what_came_after_the_first() {
        let mut world = World::holding(&["a"]);
        raise(&mut world, &["x"], false, &[]);
        let is_candidate =
            |world: &World, name| world.ledger.entry(world.ledger.find_key(&key(name)).unwrap()).candidate;
        world.deliver("x");
        world.listed(&["x"]);
        assert!(is_candidate(&world, "a") && !is_candidate(&world, "x"));
        raise(&mut world, &["y"], false, &[]);
        assert!(is_candidate(&world, "a") && is_candidate(&world, "x"));
    }

    /// A header tells something of a message that is known, and comes in this mode.
    #[test]
    fn a_spot_check_that_can_tell_nothing_puts_nothing_in_doubt() {
        let other = || [(number(1), facts("z/1@j"))];
        let scene = || {
            let mut world = World::new();
            world.deliver_content(key("a"), "a/1@i");
            world.listed(&["a"]);
            world
        };
        let mut world = scene();
        raise(&mut world, &["a"], false, &other());
        assert_eq!(doubted(&world, &["a"]), [true]);
        let mut varying = scene();
        let id = varying.ledger.find_key(&key("a")).unwrap();
        varying.ledger.varies(id).unwrap();
        raise(&mut varying, &["a"], false, &other());
        assert_eq!(doubted(&varying, &["a"]), [false], "its copies differ");
        let mut twice = scene();
        raise(&mut twice, &["a", "a"], false, &other());
        assert_eq!(doubted(&twice, &["a"]), [false], "both are compared anyway");
        let mut nameless = World::new();
        nameless.deliver_content(key("a"), "a/1@-");
        nameless.listed(&["a"]);
        raise(&mut nameless, &["a"], false, &[(number(1), facts("z/1@-"))]);
        assert_eq!(doubted(&nameless, &["a"]), [false], "nothing names it");
        let mut other_mode = scene();
        let maildrop = other_mode.maildrop(&[("a", None)]);
        let policy = crate::plan::Policy { utf8: true, ..other_mode.policy(Retention::Keep) };
        let habits = &mut Habits::default();
        put_in_doubt(&mut other_mode.ledger, habits, &maildrop, &policy, &other()).unwrap();
        assert_eq!(doubted(&other_mode, &["a"]), [false], "the other mode shows other headers");
    }

    /// By its header, by Message-ID, Date and From, or by a header that it was seen with before.
    #[test]
    fn a_spot_check_that_shows_the_message_in_any_way_puts_nothing_in_doubt() {
        for (shown, expected) in
            [("a/9@j", false), ("z/9@i", false), ("seen/9@j", false), ("z/9@j", true), ("z/9@-", true)]
        {
            let mut world = World::new();
            let id = world.deliver_content(key("a"), "a/1@i");
            let header = Some(facts("seen/9@j").digests.header);
            world
                .ledger
                .record_match(
                    &key("a"),
                    None,
                    crate::ledger::Match { header, ..crate::ledger::Match::first(id) },
                )
                .unwrap();
            world.listed(&["a"]);
            raise(&mut world, &["a"], false, &[(number(1), facts(shown))]);
            assert_eq!(doubted(&world, &["a"]), [expected], "{shown}");
        }
    }

    #[test]
    fn where_a_server_puts_new_messages_is_learnt() {
        let world = &mut World::holding(&["a", "b"]);
        let mut habits = Habits { complete: true, ..Habits::default() };
        let maildrop = world.maildrop(&[("new", None), ("a", None), ("b", None)]);
        let policy = world.policy(Retention::Keep);
        let raised = put_in_doubt(&mut world.ledger, &mut habits, &maildrop, &policy, &[]).unwrap();
        assert_eq!(raised.suspicion, Some(Suspicion::AddedElsewhere));
        assert_eq!(habits.adds, crate::ledger::memory::Adds::AtFront);
    }

    /// Two of them must show it; one that is no number shows the opposite, for good.
    #[test]
    fn unique_ids_that_are_the_numbers_prove_nothing_until_one_is_not() {
        use UniqueIds::{Names, Numbers, Unknown};
        // What was known; how many messages, and whether each one's is its number; what is known then, and whether these
        // prove nothing.
        for (before, messages, all_numbers, after, nothing) in [
            (Unknown, 0, true, Unknown, false),
            (Unknown, 1, true, Unknown, false),
            (Unknown, 2, true, Numbers, true),
            (Unknown, 1, false, Names, false),
            (Unknown, 2, false, Names, false),
            (Numbers, 0, true, Numbers, false),
            (Numbers, 0, false, Numbers, false),
            (Numbers, 1, true, Numbers, true),
            (Numbers, 2, false, Names, false),
            (Names, 2, true, Names, false),
        ] {
            let mut habits = Habits { unique_ids: before, ..Habits::default() };
            assert_eq!(are_numbers(&mut habits, messages, all_numbers), nothing, "{before:?} {messages}");
            assert_eq!(habits.unique_ids, after, "{before:?} {messages} {all_numbers}");
        }
    }
}
