//! What an answer that names makes of each message before it.

use std::sync::Arc;

use super::{BATCH_MESSAGES, BATCH_OCTETS};
use crate::account::Retention;
use crate::ledger::Match;
use crate::ledger::memory::ListedAs;
use crate::message::Digest;
use crate::plan::trial::{SIZE, World, facts, key, number};
use crate::plan::{Decision, Why};
use crate::proof::{BegunId, EntryId, Key};
use crate::retrieval::fetch::CompareResult::{Failed, Matched, Undone};
use crate::retrieval::fetch::incoming::Whole;
use crate::retrieval::fetch::round::{Fetch, Held};
use crate::retrieval::fetch::trial::{Bench, Came};
use crate::retrieval::pipeline::{Ask, Job};
use crate::retrieval::trial::{parcel, unique_id};
use crate::types::Octets;

const NEW: Decision = Decision::Retrieve(Why::New);
const DOUBTFUL: Decision = Decision::Compare(Why::Doubtful);

/// A ledger that has delivered "a", and "b" after it.
fn world() -> World {
    let mut world = World::new();
    world.now();
    world.deliver_content(key("a"), "h/a@i");
    world.deliver("b");
    world
}

/// What the one listed message comes to.
fn one(mut bench: Bench, whole: impl FnOnce(&Fetch<'_>) -> Whole) -> Came<()> {
    bench.run(|fetch| {
        let held = Held::Whole(fetch.job(0), whole(fetch));
        fetch.confirm(vec![held]);
    })
}

fn same(id: u32) -> Whole {
    Whole::Same { key: key("a"), listed_size: Some(Octets(SIZE)), same_as: Match::first(EntryId(id)) }
}

fn elsewhere() -> Whole {
    Whole::Elsewhere { begun: BegunId(0), entry: EntryId(0) }
}

fn twice() -> Whole {
    Whole::Twice { entry: EntryId(0), message: facts("h/c@-").digests.message }
}

fn bench(decision: Decision) -> Bench {
    Bench::new(world(), &["a"], &[decision])
}

/// Only what is handed over to be delivered, or is what was delivered, may be deleted later.
#[test]
fn what_is_neither_delivered_nor_known_is_never_recognised() {
    type Make = fn(&Fetch<'_>) -> Whole;
    let cases: [(&str, Make, bool); 6] = [
        ("delivered now", |fetch| Whole::Parcel(parcel(1, "a", &fetch.policy.destinations)), true),
        ("one that we have", |_| same(0), true),
        ("not what its key stands for", |_| Whole::Aside, false),
        ("its copies differ each time", |_| Whole::Varies(EntryId(0)), false),
        ("perhaps they do", |_| twice(), false),
        ("lacked by a destination of another run", |_| elsewhere(), false),
    ];
    for (what, whole, expected) in cases {
        let came = one(bench(DOUBTFUL), whole);
        assert_eq!(came.recognised(), if expected { vec![1] } else { vec![] }, "{what}");
        // Where nothing is ever deleted nothing need be.
        let mut keeps = bench(DOUBTFUL);
        keeps.policy.retention = Retention::Keep;
        assert_eq!(one(keeps, whole).recognised(), [0_u32; 0], "{what}");
    }
}

#[test]
fn what_is_new_is_handed_over_to_be_delivered() {
    let came = one(bench(NEW), |fetch| Whole::Parcel(parcel(1, "a", &fetch.policy.destinations)));
    assert_eq!(came.compared(), []);
    assert!(came.tally.which_delivery.contains_key(&number(1)));
}

/// What was to be compared and is other mail is delivered, and its key counts as doubtful from now on.
#[test]
fn what_was_compared_and_is_other_mail_is_delivered() {
    let mut bench = bench(DOUBTFUL);
    let came = bench.run(|fetch| {
        let parcel = parcel(1, "other", &fetch.policy.destinations);
        fetch.confirm(vec![Held::Whole(fetch.job(0), Whole::Parcel(parcel))]);
        fetch.cut();
    });
    assert_eq!((came.compared(), came.work), (vec![(1, Failed)], vec!["deliver 1".to_owned()]));
}

#[test]
fn what_we_have_is_recorded_and_not_delivered_again() {
    let came = one(bench(DOUBTFUL), |_| same(0));
    assert_eq!((came.compared(), came.work), (vec![(1, Matched)], vec!["1 is entry 0".to_owned()]));
}

/// Of several deliveries of an entry the one is deleted that the message proved to be.
#[test]
fn which_of_several_deliveries_it_is_is_known_when_it_is_deleted() {
    let one = facts("h/a@i").digests.message;
    let came = one_of(Some(one));
    assert_eq!(came.tally.which_delivery, [(number(1), one)].into());
    assert!(one_of(None).tally.which_delivery.is_empty());
    let came = header(&mut bench(DOUBTFUL), "h/a@i");
    assert_eq!(came.tally.which_delivery, [(number(1), one)].into());
}

/// Message 1 is this delivery of the entry.
fn one_of(message: Option<Digest>) -> Came<()> {
    one(bench(DOUBTFUL), |_| Whole::Same {
        key: key("a"),
        listed_size: Some(Octets(SIZE)),
        same_as: Match { message, ..Match::first(EntryId(0)) },
    })
}

/// It waits for the others to be compared: nothing of it is recorded, and it isn't asked for to be deleted.
#[test]
fn what_is_set_aside_waits() {
    let mut bench = bench(DOUBTFUL);
    let came = bench.run(|fetch| {
        fetch.confirm(vec![Held::Whole(fetch.job(0), Whole::Aside)]);
        fetch.state.pipeline.standing.aside.len()
    });
    assert_eq!((came.result, came.compared(), came.work.len()), (1, vec![(1, Failed)], 0));
    // It has come again, and proves to be ours.
    let came = bench.run(|fetch| {
        fetch.state.pipeline.standing.aside.insert(fetch.job(0).number);
        fetch.confirm(vec![Held::Whole(fetch.job(0), same(0))]);
        fetch.state.pipeline.standing.aside.len()
    });
    assert_eq!(came.result, 0);
}

/// Nothing is concluded about a message that only a destination of another run lacks.
#[test]
fn what_another_destination_lacks_is_left_for_it() {
    for (decision, expected) in [(DOUBTFUL, vec![(1, Undone)]), (Decision::Retrieve(Why::Again), vec![])] {
        let came = one(bench(decision), |_| elsewhere());
        assert_eq!(came.compared(), expected, "{decision:?}");
        assert_eq!((came.tally.elsewhere, came.work.len()), (vec![EntryId(0)], 0), "{decision:?}");
        assert_eq!(came.tally.uncertain.len(), expected.len());
    }
}

/// A message that some destinations have is listed under another unique-id: the next run must find it there.  Where its former
/// one is listed as well, this may be another copy.
#[test]
fn what_was_begun_is_followed_to_its_new_unique_id() {
    for (listed, expected) in [
        (&["new"][..], vec!["what was begun is listed as new".to_owned()]),
        (&["new", "a"], vec![]),
        (&["b"], vec![]),
        (&["-"], vec![]),
    ] {
        let decisions = vec![Decision::Retrieve(Why::Again); listed.len()];
        let came = one(Bench::new(world(), listed, &decisions), |_| elsewhere());
        assert_eq!(came.work, expected, "{listed:?}");
    }
}

/// Reported once, with a line in the ledger that keeps it from being compared again.
#[test]
fn a_message_whose_copies_differ_is_reported_once() {
    let came = one(bench(DOUBTFUL), |_| Whole::Varies(EntryId(0)));
    assert_eq!((came.compared(), &came.work[..]), (vec![(1, Matched)], &["entry 0 varies".to_owned()][..]));
    assert!(
        came.reported.iter().any(|line| line.contains("other contents each time")),
        "{:?}",
        came.reported
    );
    let mut again = bench(DOUBTFUL);
    again.world.ledger.varies(EntryId(0)).unwrap();
    let came = one(again, |_| Whole::Varies(EntryId(0)));
    assert_eq!((came.compared(), came.work.len()), (vec![(1, Matched)], 0));
    assert!(!came.reported.iter().any(|line| line.contains("other contents")), "{:?}", came.reported);
}

/// Whether a server's copies differ shows when it's asked for the same message again.
#[test]
fn what_perhaps_varies_is_asked_for_once_more() {
    let came = bench(DOUBTFUL).run(|fetch| {
        fetch.confirm(vec![Held::Whole(fetch.job(0), twice())]);
        let entry = EntryId(0);
        (fetch.upcoming().map(|job| (job.ask, job.decision)), fetch.comparison.came.contains_key(&entry))
    });
    assert_eq!(came.result.0.map(|(_, decision)| decision), Some(DOUBTFUL));
    assert!(came.result.1);
    assert_eq!((came.compared(), came.work.len()), (vec![], 0));
}

/// What is known takes nothing of max-messages: the next message may come in its place.
#[test]
fn what_is_not_delivered_does_not_count_in_the_limits_of_a_run() {
    type Make = fn() -> Whole;
    let known: [Make; 5] = [|| same(0), || Whole::Aside, elsewhere, twice, || Whole::Varies(EntryId(0))];
    for whole in known {
        let mut bench = bench(DOUBTFUL);
        bench.policy.max_messages = Some(1);
        let came = bench.run(|fetch| {
            let taken = fetch.state.pipeline.allowance.take(Octets(SIZE)).is_ok();
            fetch.confirm(vec![Held::Whole(fetch.job(0), whole())]);
            (taken, fetch.state.pipeline.allowance.take(Octets(SIZE)).is_ok())
        });
        assert_eq!(came.result, (true, true));
    }
    let mut bench = bench(NEW);
    bench.policy.max_messages = Some(1);
    let came = bench.run(|fetch| {
        let parcel = parcel(1, "a", &fetch.policy.destinations);
        fetch.confirm(vec![Held::Whole(fetch.job(0), Whole::Parcel(parcel))]);
        fetch.state.pipeline.allowance.take(Octets(SIZE)).is_ok()
    });
    assert!(!came.result, "it was delivered");
}

/// A server that sends an empty answer has not sent the message: it stays, and is tried again.
#[test]
fn an_empty_answer_is_a_failure_and_not_an_empty_mail() {
    let came = bench(NEW).run(|fetch| fetch.confirm(vec![Held::Nothing(fetch.job(0))]));
    assert_eq!((came.unstored(), came.tally.failed, came.tally.not_stored), (vec![1], 1, true));
    assert_eq!(came.work, ["a failed and waits"]);
    assert!(came.reported.iter().any(|line| line.contains("the server sent nothing of it")));
}

/// The first header that comes for a message that is asked about by `TOP`, and what is done then.
fn header(bench: &mut Bench, content: &str) -> Came<Option<Job>> {
    bench.run(|fetch| {
        fetch.confirm(vec![Held::Header(fetch.job(0), facts(content))]);
        fetch.upcoming().filter(|job| job.ask == Ask::Whole)
    })
}

/// The header alone settles what it can: then nothing is retrieved.
#[test]
fn a_header_that_is_ours_spares_the_message() {
    let came = header(&mut bench(DOUBTFUL), "h/a@i");
    assert_eq!((came.result, came.compared()), (None, vec![(1, Matched)]));
    assert_eq!((came.recognised(), came.work), (vec![1], vec!["1 is entry 0".to_owned()]));
}

#[test]
fn a_header_that_is_not_ours_is_followed_by_the_whole() {
    let came = header(&mut bench(DOUBTFUL), "other/a@other");
    let job = came.result.as_ref().unwrap();
    assert_eq!(
        (job.ask, job.decision),
        (Ask::Whole, DOUBTFUL),
        "only the whole can show that it is other mail"
    );
    assert_eq!((came.compared(), came.recognised(), came.work.len()), (vec![], vec![], 0));
}

/// `TOP` may give another header than `RETR`, so that the whole is compared, and not just delivered.
#[test]
fn a_header_that_seems_new_is_followed_by_the_whole_to_be_compared() {
    let mut bench = Bench::new(world(), &["new"], &[Decision::Compare(Why::Renumbered)]);
    let came = bench.run(|fetch| {
        let untraced = crate::message::Facts { traced: false, ..facts("n/n@n") };
        fetch.confirm(vec![Held::Header(fetch.job(0), untraced)]);
        fetch.upcoming()
    });
    let job = came.result.as_ref().unwrap();
    assert_eq!((job.ask, job.decision), (Ask::Whole, Decision::Compare(Why::Renumbered)));
    assert_eq!((came.compared(), came.recognised()), (vec![], vec![]));
}

/// Two mails of one script have one header: it is not enough to delete one of them.
#[test]
fn a_header_does_not_delete_what_has_no_unique_id() {
    let mut world = World::new();
    world.now();
    world.deliver_content(Key::Header(facts("h").digests.header), "h/a@i");
    let mut bench = Bench::new(world, &["-"], &[Decision::Compare(Why::Nameless)]);
    bench.policy.retention =
        Retention::Limits(crate::account::Limits { days: Some(1), ..Default::default() });
    let came = header(&mut bench, "h/a@i");
    assert_eq!((came.compared(), came.work), (vec![(1, Matched)], vec!["1 is entry 0".to_owned()]));
    assert_eq!(came.tally.recognised.len(), 0);
}

/// What is known by the user's word gets its header recorded, and is neither retrieved nor deleted.
#[test]
fn what_is_known_by_word_gets_its_header() {
    let came = header(&mut bench(Decision::Identify), "whatever");
    assert_eq!((came.result, came.work), (None, vec!["entry 0 has this header".to_owned()]));
    assert_eq!(came.tally.recognised.len(), 0);
    // A message that isn't compared for any reason has no use for a header.
    let came = header(&mut bench(NEW), "whatever");
    assert_eq!((came.tally.compared.len(), came.work.len()), (0, 0));
}

/// Counted only where the server had confirmed the deletion: a user must hear that it doesn't delete.
#[test]
fn only_what_was_deleted_and_is_back_counts_as_not_deleted() {
    for (decision, expected) in
        [(Decision::Compare(Why::CameBack), 1), (DOUBTFUL, 0), (Decision::Delete(Why::Delete), 0)]
    {
        assert_eq!(one(bench(decision), |_| same(0)).tally.not_deleted, expected, "{decision:?}");
    }
    // It is another message that we have, or a former one of its key: neither was deleted.
    let came_back = || bench(Decision::Compare(Why::CameBack));
    assert_eq!(one(came_back(), |_| same(1)).tally.not_deleted, 0);
    for (content, expected) in [("h/a@i", 0), ("h/b@j", 1)] {
        let mut bench = came_back();
        bench.world.deliver_content(key("a"), "h/b@j");
        let message = Some(facts(content).digests.message);
        let came = one(bench, |_| Whole::Same {
            key: key("a"),
            listed_size: Some(Octets(SIZE)),
            same_as: Match { message, ..Match::first(EntryId(0)) },
        });
        assert_eq!(came.tally.not_deleted, expected, "{content}");
    }
}

#[test]
fn what_could_not_be_compared_is_uncertain() {
    for (result, expected) in [(Undone, vec![EntryId(0)]), (Failed, vec![]), (Matched, vec![])] {
        let came = bench(DOUBTFUL).run(|fetch| fetch.compared(fetch.job(0), result));
        assert_eq!((came.compared(), came.tally.uncertain), (vec![(1, result)], expected));
    }
    let mut new = Bench::new(world(), &["new"], &[NEW]);
    let came = new.run(|fetch| fetch.compared(fetch.job(0), Undone));
    assert_eq!(came.tally.uncertain, [], "nothing is known of it");
}

/// A message at which sessions broke off has come through: it isn't tried last any more.
#[test]
fn what_came_through_is_no_longer_suspected() {
    for (died, expected) in [(true, 1), (false, 0)] {
        let mut bench = bench(DOUBTFUL);
        if died {
            bench.died = vec![1];
        }
        let survived = one(bench, |_| same(0)).tally.survived;
        assert_eq!(survived, vec![ListedAs::UniqueId(unique_id("a")); expected]);
    }
}

/// Also where its header settles it, or is all that is asked for; and where it is no message that may be deleted.
#[test]
fn what_came_through_by_its_header_alone_is_no_longer_suspected() {
    let nameless = || {
        let mut world = World::new();
        world.now();
        world.deliver_content(Key::Header(facts("h/a@i").digests.header), "h/a@i");
        let mut bench = Bench::new(world, &["-"], &[Decision::Compare(Why::Nameless)]);
        bench.policy.retention = Retention::Keep;
        bench
    };
    let survived = |mut bench: Bench| {
        bench.died = vec![1];
        header(&mut bench, "h/a@i").tally.survived
    };
    assert_eq!(survived(nameless()), [ListedAs::Numbered(number(1), Some(Octets(SIZE)))]);
    for decision in [DOUBTFUL, Decision::Identify] {
        assert_eq!(survived(bench(decision)), [ListedAs::UniqueId(unique_id("a"))], "{decision:?}");
    }
    let mut bench = bench(DOUBTFUL);
    bench.died = vec![1];
    assert_eq!(one(bench, |_| Whole::Varies(EntryId(0))).tally.survived.len(), 1);
}

/// A batch is handed over when the next one would not fit any more, or at once where something waits for it.
#[test]
fn a_batch_goes_when_it_is_half_full_or_is_waited_for() {
    for (held, octets, due, committing, goes) in [
        (1, 1, false, 0, false),
        (BATCH_MESSAGES / 2, 1, false, 0, false),
        (BATCH_MESSAGES / 2 + 1, 1, false, 9, true),
        (1, BATCH_OCTETS / 2 + 1, false, 9, true),
        (1, BATCH_OCTETS / 2, false, 9, false),
        (1, 1, true, 0, true),
        (1, 1, true, 1, false),
    ] {
        let came = bench(NEW).run(|fetch| {
            fetch.state.batch = (0..held).map(|_| parcel(1, "a", &fetch.policy.destinations)).collect();
            (fetch.state.batch_octets, fetch.state.cut_due, fetch.state.committing) =
                (octets, due, committing);
            fetch.confirm(Vec::new());
            (fetch.state.batch.is_empty(), fetch.state.cut_due && goes)
        });
        assert_eq!(came.result, (goes, false), "{held} {octets} {due} {committing}");
        assert_eq!(came.work.len(), usize::from(goes));
    }
    // What one message brings counts in the batch that it is part of.
    for (octets, goes) in [(BATCH_OCTETS / 2, false), (BATCH_OCTETS / 2 + 1, true)] {
        let came = bench(NEW).run(|fetch| {
            let mut parcel = parcel(1, "a", &fetch.policy.destinations);
            Arc::get_mut(&mut parcel.message).unwrap().octets = octets;
            fetch.confirm(vec![Held::Whole(fetch.job(0), Whole::Parcel(parcel))]);
        });
        assert_eq!(came.work.len(), usize::from(goes), "{octets}");
    }
    // A program is started with the first message.
    for hands_over in [false, true] {
        let mut bench = bench(NEW);
        bench.hands_over = hands_over;
        let came = bench.run(|fetch| {
            let parcel = parcel(1, "a", &fetch.policy.destinations);
            fetch.confirm(vec![Held::Whole(fetch.job(0), Whole::Parcel(parcel))]);
        });
        assert_eq!(came.work.len(), usize::from(hands_over));
    }
}
