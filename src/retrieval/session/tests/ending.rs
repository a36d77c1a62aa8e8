//! How a session ends, and what it adds to the run.

use super::{Scene, unique_id};
use crate::account::Retention;
use crate::client::{Client, Sending, Transaction};
use crate::ledger::EntryState;
use crate::ledger::memory::{KnownPipelining, ListedAs, Memory};
use crate::message::Digest;
use crate::plan::compare::Comparison;
use crate::plan::trial::{NOW, number};
use crate::plan::{Decision, Why};
use crate::proof::EntryId;
use crate::report::ConditionKind;
use crate::retrieval::course::{GivenUp, Scope};
use crate::retrieval::error::Error;
use crate::retrieval::fetch::Tally;
use crate::retrieval::login::log_in;
use crate::retrieval::session::Basis;
use crate::retrieval::trial::{Farewell, Home, Letter, Post};
use crate::secret::Secret;
use crate::types::Octets;

/// The end of a session at this server: whether what it did counts, and what was sent.
struct Ended {
    counts: bool,
    sent: Vec<String>,
    tally: Tally,
}

impl Scene {
    fn ends(&mut self, post: Post, prepare: impl FnOnce(&mut Client<Transaction>)) -> Ended {
        let (counts, sent, tally) = self.try_to_end(post, prepare);
        Ended { counts: counts.unwrap(), sent, tally }
    }

    fn try_to_end(
        &mut self,
        post: Post,
        prepare: impl FnOnce(&mut Client<Transaction>),
    ) -> (Result<bool, Error>, Vec<String>, Tally) {
        let home = Home::new(Post { letters: vec![Letter::new("a", "a")], ..post });
        let basis = Basis { maildrop: self.maildrop(), policy: self.policy.clone() };
        let mut tally = std::mem::take(&mut self.tally);
        let counts = self.session_at(&home, |session, world, _, _, _| {
            let secret = Secret::new("pencil");
            let mut client = log_in(session.run, &mut Memory::default(), &secret, None).unwrap();
            prepare(&mut client);
            session.end(client, &mut world.ledger, &basis, &mut tally)
        });
        home.wait_for_the_server();
        (counts, home.sent().concat(), tally)
    }

    fn deletes(&mut self) -> EntryId {
        let id = self.id("a");
        self.policy.retention = Retention::Delete;
        self.tally.accepted = vec![id];
        self.tally.retrieved = true;
        id
    }

    fn state(&self, id: EntryId) -> EntryState {
        self.world.ledger.entry(id).state
    }
}

fn quits(sent: &[String]) -> bool {
    sent.contains(&"QUIT".to_owned())
}

/// A deletion is recorded when the server has confirmed QUIT, and not before.
#[test]
fn a_deletion_counts_when_the_farewell_is_confirmed() {
    for (farewell, counts, condition) in [
        (Farewell::Kept, true, None),
        (Farewell::Refused, false, Some(ConditionKind::QuitRefused)),
        // What was delivered before this run was to be deleted by an earlier one: that one's end was lost as well.
        (Farewell::Lost, false, Some(ConditionKind::QuitRefused)),
    ] {
        let mut scene = Scene::new();
        let id = scene.deletes();
        let ended = scene.ends(Post { farewell, ..Post::default() }, |_| ());
        assert_eq!((ended.counts, quits(&ended.sent)), (counts, true), "{farewell:?}");
        assert_eq!(scene.state(id) == EntryState::Deleted, counts, "{farewell:?}");
        assert_eq!(scene.summary.deleted, u64::from(counts), "{farewell:?}");
        assert_eq!(scene.course.ended.quit_lost, !counts, "{farewell:?}");
        let kinds: Vec<_> = scene.summary.conditions.iter().map(|condition| condition.kind).collect();
        assert_eq!(kinds, Vec::from_iter(condition), "{farewell:?}");
    }
}

/// What was retrieved hangs on the farewell as well; but only deletions are lost with it.
#[test]
fn only_deletions_are_lost_with_a_farewell() {
    for (farewell, deletes, counts, lost, unanswered) in [
        (Farewell::Kept, false, true, false, false),
        (Farewell::Refused, false, false, false, false),
        (Farewell::Lost, false, false, false, false),
        (Farewell::Refused, true, false, true, false),
        (Farewell::Lost, true, false, true, true),
    ] {
        let mut scene = Scene::new();
        scene.tally.retrieved = true;
        if deletes {
            scene.deletes();
        }
        let ended = scene.ends(Post { farewell, ..Post::default() }, |_| ());
        assert_eq!((ended.counts, quits(&ended.sent)), (counts, true), "{farewell:?} {deletes}");
        let found = scene.course.ended;
        assert_eq!((found.quit_lost, found.quit_unanswered), (lost, unanswered), "{farewell:?} {deletes}");
    }
}

/// Deletions count from QUIT on: what they rest on must be on the disk by then, or there is no QUIT.
#[cfg(feature = "crash-points")]
#[test]
fn no_deletion_is_confirmed_before_the_ledger_is_on_the_disk() {
    use crate::durable::{Step, trial::steps};
    for refuses in [false, true] {
        let mut scene = Scene::new();
        let id = scene.deletes();
        let ((counts, sent, _), taken) = steps(
            move |step, path| refuses && step == Step::Sync && path.ends_with("ledger"),
            || scene.try_to_end(Post::default(), |_| ()),
        );
        assert!(taken.contains(&(Step::Sync, "ledger".to_owned())), "{taken:?}");
        assert_eq!((counts.is_ok(), quits(&sent)), (!refuses, !refuses));
        assert_eq!(scene.state(id) == EntryState::Deleted, !refuses);
    }
}

/// What the server refused to delete is there still, also where another message of its entry was deleted.
#[test]
fn what_the_server_refused_to_delete_stays_known() {
    let mut scene = Scene::new();
    let id = scene.deletes();
    scene.tally.refused = vec![id];
    let ended = scene.ends(Post::default(), |_| ());
    assert!(ended.counts);
    assert_eq!((scene.state(id), ended.tally.accepted), (EntryState::Delivered, vec![]));
}

/// Nothing hangs on the end of a session that only looked: it doesn't wait for the answer.
#[test]
fn a_session_that_did_nothing_has_nothing_to_lose() {
    for farewell in [Farewell::Kept, Farewell::Refused, Farewell::Lost] {
        let mut scene = Scene::new();
        let ended = scene.ends(Post { farewell, ..Post::default() }, |_| ());
        assert!(ended.counts && scene.summary.conditions.is_empty(), "{farewell:?}");
        assert!(!scene.course.ended.quit_lost);
    }
}

/// Where QUIT takes away what was retrieved, it is not sent before all of it is stored.
#[test]
fn a_server_that_drops_is_left_without_a_farewell_while_something_is_not_stored() {
    let drops = || Post { capabilities: vec!["UIDL", "TOP", "EXPIRE 0"], drops: true, ..Post::default() };
    type Change = fn(&mut Scene);
    let cases: [(&str, Change, bool); 3] = [
        ("not stored", |scene| scene.tally.not_stored = true, false),
        ("set aside", |scene| _ = scene.tally.standing.aside.insert(number(1)), false),
        ("all is stored", |_| {}, true),
    ];
    for (what, change, expected) in cases {
        let mut scene = Scene::new();
        let id = scene.deletes();
        change(&mut scene);
        let ended = scene.ends(drops(), |_| ());
        assert_eq!((ended.counts, quits(&ended.sent)), (expected, expected), "{what}");
        assert_eq!(scene.state(id) == EntryState::Deleted, expected, "{what}");
        // Elsewhere QUIT deletes only what was to be deleted.
        let mut scene = Scene::new();
        scene.deletes();
        change(&mut scene);
        let ended = scene.ends(Post::default(), |_| ());
        assert!(ended.counts && quits(&ended.sent), "{what}");
    }
}

/// Commands that weren't answered when the session had to end: no QUIT, and the next run deletes.
#[test]
fn a_session_that_was_stopped_in_the_middle_deletes_nothing() {
    let mut scene = Scene::new();
    let id = scene.deletes();
    let ended = scene.ends(Post::default(), |client| client.drop_listing().unwrap());
    assert!(!ended.counts && !quits(&ended.sent));
    assert_eq!(scene.state(id), EntryState::Delivered);
}

/// Where no answer names a message QUIT was answered already: it is not sent twice.
#[test]
fn a_session_that_is_over_is_only_hung_up() {
    let mut scene = Scene::new();
    scene.tally.over = true;
    let ended = scene.ends(Post::default(), |_| ());
    assert!(ended.counts && !quits(&ended.sent));
}

/// A server is known to pipeline when a session in which commands shared a flight has ended in step.
#[test]
fn a_server_has_shown_that_it_pipelines_when_something_was_retrieved_so() {
    let proven = KnownPipelining::InStep;
    for (retrieved, pipelines, before, expected) in [
        (true, true, KnownPipelining::Unproven, proven),
        (true, false, KnownPipelining::Unproven, KnownPipelining::Unproven),
        (false, true, KnownPipelining::Unproven, KnownPipelining::Unproven),
        (true, true, KnownPipelining::Broken(NOW), KnownPipelining::Broken(NOW)),
        (true, true, proven, proven),
    ] {
        let mut scene = Scene::new();
        scene.tally.retrieved = retrieved;
        scene.memory.pipelining = before;
        scene.ends(Post::default(), |client| {
            client.set_pipelining(if pipelines { Sending::On } else { Sending::Off });
        });
        assert_eq!(scene.memory.pipelining, expected, "{retrieved} {pipelines} {before:?}");
    }
}

/// What is announced before it begins: how many messages, and their octets if all are known.
#[test]
fn what_is_planned_is_announced() {
    let (new, known) = (Decision::Retrieve(Why::New), Decision::Leave(Why::Known));
    let waits = Decision::Leave(Why::Waits);
    for (decisions, sizes, expected) in [
        ([known, known], [Some(1), Some(2)], "planned 0 messages, Some(Octets(0))"),
        ([new, known], [Some(1), Some(2)], "planned 1 messages, Some(Octets(1))"),
        ([new, waits], [Some(1), Some(2)], "planned 2 messages, Some(Octets(3))"),
        (
            [Decision::Compare(Why::Doubtful), Decision::Delete(Why::Days)],
            [Some(1), Some(2)],
            "planned 2 messages, Some(Octets(3))",
        ),
        ([new, new], [Some(1), None], "planned 2 messages, None"),
        ([new, known], [Some(1), None], "planned 1 messages, Some(Octets(1))"),
        ([Decision::Identify, known], [Some(1), Some(2)], "planned 0 messages, Some(Octets(0))"),
    ] {
        let mut scene = Scene::new();
        scene.listed = vec![("a", sizes[0]), ("b", sizes[1])];
        scene
            .session(|session, world, maildrop, _, _| session.tell_plan(maildrop, &decisions, &world.ledger));
        let lines = scene.reported;
        assert!(lines.contains(&expected.to_owned()), "{decisions:?} {lines:?}");
        let headers: Vec<&String> = lines.iter().filter(|line| line.starts_with("the headers of")).collect();
        assert_eq!(headers.len(), usize::from(decisions[0] == Decision::Identify), "{lines:?}");
        assert!(headers.iter().all(|line| line.starts_with("the headers of 1 message are asked for")));
    }
}

/// Why a message is left for now is a detail; a session for what has failed takes it off those that wait.
#[test]
fn what_waits_is_counted_until_it_is_tried() {
    for (scope, decisions, expected) in [
        (Scope::Everything, [Decision::Leave(Why::BackingOff), Decision::Leave(Why::Known)], (1, 1)),
        (Scope::Failed, [Decision::Retrieve(Why::Again), Decision::Leave(Why::Known)], (4, 4)),
        (Scope::Failed, [Decision::Leave(Why::Known), Decision::Leave(Why::Known)], (5, 5)),
        (Scope::Broken, [Decision::Retrieve(Why::New), Decision::Leave(Why::Known)], (5, 5)),
    ] {
        let mut scene = Scene::new();
        (scene.summary.failed, scene.summary.waiting) = (5, 5);
        scene.scope = scope.clone();
        scene
            .session(|session, world, maildrop, _, _| session.tell_plan(maildrop, &decisions, &world.ledger));
        assert_eq!((scene.summary.failed, scene.summary.waiting), expected, "{scope:?} {decisions:?}");
        let left = scene.reported.iter().any(|line| line.starts_with("message 1 is left for now"));
        assert_eq!(left, decisions[0] == Decision::Leave(Why::BackingOff));
    }
}

/// Each session adds to the run; the server's own data is spoken of once in the life of a mailbox.
#[test]
fn what_a_session_came_to_is_added_to_the_run() {
    let mut scene = Scene::new();
    for expected in [1, 2] {
        scene.tally = Tally { delivered: 2, octets: 30, failed: 1, folder_data: true, ..Tally::default() };
        scene.reported.clear();
        scene.session(|session, world, maildrop, policy, tally| {
            session.count(tally, maildrop, &world.ledger, policy);
            assert_eq!(*session.taken, (2, Octets(30)), "of this session");
        });
        let summary = &scene.summary;
        assert_eq!(
            (summary.delivered, summary.octets, summary.failed),
            (2 * expected, 30 * expected, expected)
        );
        let warned = scene.reported.iter().any(|line| line.contains("FOLDER INTERNAL DATA"));
        assert_eq!(warned, expected == 1, "{:?}", scene.reported);
        assert!(scene.memory.habits.folder_data);
    }
    // Where it has none, it isn't spoken of.
    let mut scene = Scene::new();
    scene.session(|session, world, maildrop, policy, tally| {
        session.count(tally, maildrop, &world.ledger, policy);
    });
    assert!(scene.reported.is_empty() && !scene.memory.habits.folder_data, "{:?}", scene.reported);
}

/// What earlier runs saw in the place of deleted mail is remembered by unique-id, and concerns only what the ledger knows.
#[test]
fn a_round_is_reminded_of_what_was_withheld() {
    let digest = Digest::of(b"withheld");
    for (given_up, waits, broke_off, expected) in [
        (false, false, false, false),
        (true, false, false, true),
        (false, true, false, true),
        (false, false, true, true),
    ] {
        let mut scene = Scene::new();
        scene.memory.withheld = vec![(unique_id("a"), digest), (unique_id("unknown"), digest)];
        if given_up {
            scene.course.give_up(GivenUp::UniqueId(unique_id("x")), None);
        }
        if waits {
            scene.memory.alert(ConditionKind::MessagesFailed.word(), NOW);
        }
        if broke_off {
            scene.memory.died = vec![ListedAs::UniqueId(unique_id("x"))];
        }
        let id = scene.id("a");
        let mut comparison = Comparison::default();
        scene.session(|session, world, _, _, _| session.remind(&mut comparison, &world.ledger));
        assert_eq!(comparison.withheld, [(id, digest)].into());
        assert_eq!(comparison.some_failed, expected, "{given_up} {waits} {broke_off}");
    }
}

/// What a session withheld is known to the next by its unique-id; what has none can't be.
#[test]
fn what_was_withheld_is_remembered() {
    let mut scene = Scene::new();
    let digest = Digest::of(b"withheld");
    scene.tally.withheld = vec![(scene.id("a"), digest)];
    super::learn(&mut scene, false);
    assert_eq!(scene.memory.withheld, [(unique_id("a"), digest)]);
}
