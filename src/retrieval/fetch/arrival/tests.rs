//! What becomes of a message when its terminator has come: stored for now, discarded, or found to be one that we have.

use std::collections::BTreeSet;

use super::{LEAST_BOUND, MOST_OF_UNKNOWN_SIZE};
use crate::account::Retention;
use crate::exit::ExitCode;
use crate::message::Facts;
use crate::plan::compare::Search;
use crate::plan::trial::{SIZE, World, facts, key, number};
use crate::plan::{Decision, Why};
use crate::proof::{EntryId, Key};
use crate::retrieval::Error;
use crate::retrieval::fetch::CompareResult::Undone;
use crate::retrieval::fetch::incoming::{IncomingHeader, Whole};
use crate::retrieval::fetch::round::{Fetch, Held};
use crate::retrieval::fetch::trial::{Bench, Came, Takes};
use crate::retrieval::pipeline::{AnswerMeaning, Answered, Ask, Job};

const NEW: Decision = Decision::Retrieve(Why::New);
const AGAIN: Decision = Decision::Retrieve(Why::Again);
const ALL: Decision = Decision::Retrieve(Why::All);
const DOUBTFUL: Decision = Decision::Compare(Why::Doubtful);

/// A ledger that has delivered "a".
fn world() -> World {
    let mut world = World::new();
    world.now();
    world.deliver_content(key("a"), "h/a@i");
    world
}

fn bench(name: &'static str, decision: Decision) -> Bench {
    Bench::new(world(), &[name], &[decision])
}

/// The message that is listed first has arrived.
fn arrives(fetch: &mut Fetch<'_>, octets: u64, facts: Facts) {
    let job = fetch.job(0);
    fetch.begin(job);
    let (intakes, failure) = fetch.state.incoming.take().unwrap().copies.end(fetch.network_ends);
    fetch.ended(job, octets, facts, intakes, failure);
}

/// What is held of it then, in a word.
fn held(fetch: &mut Fetch<'_>) -> String {
    match fetch.state.pipeline.void().as_slice() {
        [] => "nothing".to_owned(),
        [Held::Whole(_, Whole::Parcel(parcel))] => {
            let slots: Vec<usize> = parcel.waiting.iter().map(|(slot, _)| *slot).collect();
            format!("for {slots:?}")
        }
        [Held::Whole(_, Whole::Same { same_as, .. })] => format!("entry {}", same_as.entry.0),
        [Held::Whole(_, Whole::Aside)] => "aside".to_owned(),
        [Held::Whole(_, Whole::Varies(entry))] => format!("entry {} varies", entry.0),
        [Held::Whole(_, Whole::Elsewhere { entry, .. })] => format!("entry {} elsewhere", entry.0),
        [Held::Nothing(_)] => "an empty answer".to_owned(),
        _ => "something else".to_owned(),
    }
}

fn arrived(bench: &mut Bench, octets: u64, facts: Facts) -> Came<String> {
    bench.run(|fetch| {
        arrives(fetch, octets, facts);
        held(fetch)
    })
}

#[test]
fn what_is_new_waits_at_every_destination() {
    let mut bench = bench("new", NEW);
    bench.destinations = vec![Takes::All, Takes::All];
    let came = arrived(&mut bench, SIZE, facts("new"));
    assert_eq!((came.result.as_str(), &came.copies[..]), ("for [0, 1]", &["taken", "taken"][..]));
    assert_eq!((came.unstored(), came.tally.not_stored), (vec![], false));
}

/// Nothing of a message is kept that one of its destinations could not take; the others give theirs back.
#[test]
fn a_message_that_one_destination_cannot_take_is_kept_by_none() {
    for (second, expected) in [(Takes::NothingNew, &["abandoned"][..]), (Takes::NoEnd, &["taken"])] {
        let mut bench = bench("new", NEW);
        bench.destinations = vec![Takes::All, second];
        let came = arrived(&mut bench, SIZE, facts("new"));
        assert_eq!((came.result.as_str(), came.copies.as_slice()), ("nothing", expected), "{second:?}");
        assert_eq!((came.unstored(), came.tally.exit), (vec![1], Some(ExitCode::LocalIo)), "{second:?}");
        assert!(matches!(came.tally.failure, Some(Error::Delivery(_))), "{second:?}");
        let withdrawn =
            if second == Takes::NoEnd { vec!["discard 1", "new failed"] } else { vec!["new failed"] };
        assert_eq!(came.work, withdrawn, "what waits at the first is taken back: {second:?}");
    }
    let mut bench = bench("new", NEW);
    bench.destinations = vec![Takes::NoEnd, Takes::All];
    let came = arrived(&mut bench, SIZE, facts("new"));
    assert_eq!(came.copies, ["abandoned"], "the second isn't asked to end it any more");
}

/// The disk is full while a message comes: the rest of it is read, and goes nowhere.
#[test]
fn what_comes_after_the_disk_is_full_is_not_examined() {
    let mut bench = bench("new", NEW);
    bench.destinations = vec![Takes::NoText];
    let came = bench.run(|fetch| {
        fetch.begin(fetch.job(0));
        let incoming = fetch.state.incoming.as_mut().unwrap();
        let failed: Vec<bool> = (0..2)
            .map(|_| {
                incoming.take(b"From: a\n\nb\n", fetch.network_ends);
                incoming.copies.have_failed()
            })
            .collect();
        (failed, incoming.octets)
    });
    assert_eq!(came.result, (vec![true, true], 22));
}

/// A message may be longer than it was listed, but not without bound.
#[test]
fn a_message_may_grow_up_to_a_bound() {
    for (size, expected) in [
        (Some(0), LEAST_BOUND),
        (Some(100), LEAST_BOUND),
        (Some(LEAST_BOUND / 16), LEAST_BOUND),
        (Some(LEAST_BOUND / 16 + 1), LEAST_BOUND + 16),
        (Some(LEAST_BOUND), LEAST_BOUND * 16),
        (Some(1 << 60), u64::MAX),
        (None, MOST_OF_UNKNOWN_SIZE),
    ] {
        let mut bench = bench("new", NEW);
        bench.listed[0].1 = size;
        let came = bench.run(|fetch| {
            fetch.begin(fetch.job(0));
            fetch.state.incoming.as_ref().unwrap().most
        });
        assert_eq!(came.result, expected, "{size:?}");
    }
}

/// After a failure of the disk what is still on its way has nowhere to go: it is read, and stays on the server.
#[test]
fn what_arrives_after_a_failure_is_not_stored() {
    let mut bench = bench("new", NEW);
    let came = bench.run(|fetch| {
        fetch.state.tally.failure = Some(Error::OutOfStep);
        arrives(fetch, SIZE, facts("new"));
        held(fetch)
    });
    assert_eq!((came.result.as_str(), came.copies.len()), ("nothing", 0));
    assert_eq!((came.unstored(), came.tally.failed, came.work.len()), (vec![1], 0, 0), "nobody is blamed");
}

/// A message of no octets that was listed with some was not sent.
#[test]
fn an_answer_without_text_is_only_mail_where_none_was_listed() {
    for (size, octets, expected) in [
        (Some(100), 0, "an empty answer"),
        (Some(100), 1, "for [0]"),
        (Some(0), 0, "for [0]"),
        (None, 0, "for [0]"),
    ] {
        let mut bench = bench("new", NEW);
        bench.listed[0].1 = size;
        assert_eq!(arrived(&mut bench, octets, facts("new")).result, expected, "{size:?} {octets}");
    }
}

/// Some servers keep their own data in the first message: it is neither delivered nor deleted.  A mail that looks like it
/// comes as any other at any other place.
#[test]
fn the_server_s_own_data_is_left_alone_in_the_first_place_only() {
    let internal = || Facts { internal: true, ..facts("new") };
    let came = arrived(&mut bench("new", NEW), SIZE, internal());
    assert_eq!((came.result.as_str(), came.tally.folder_data, came.unstored()), ("nothing", true, vec![1]));
    assert_eq!((came.tally.failed, came.copies), (0, vec!["abandoned"]));
    let mut bench = Bench::new(world(), &["a", "new"], &[Decision::Leave(Why::Known), NEW]);
    let came = bench.run(|fetch| {
        let job = fetch.job(1);
        fetch.begin(job);
        let (intakes, failure) = fetch.state.incoming.take().unwrap().copies.end(fetch.network_ends);
        fetch.ended(job, SIZE, internal(), intakes, failure);
        held(fetch)
    });
    assert_eq!((came.result.as_str(), came.tally.folder_data), ("for [0]", false));
}

/// A unique-id may stand for other mail, and the same mail may have another unique-id: what it is decides.
#[test]
fn what_is_compared_is_delivered_only_if_it_is_other_mail() {
    for (name, decision, search, content, expected) in [
        ("a", DOUBTFUL, Search::OwnKey, "h/a@i", "entry 0"),
        ("a", DOUBTFUL, Search::OwnKey, "other", "aside"),
        ("a", DOUBTFUL, Search::EveryKey, "other", "for [0]"),
        // Its copies differ, and it names itself alike.
        ("a", DOUBTFUL, Search::OwnKey, "h2/a2@i", "entry 0"),
        // It was listed under "a" before.
        ("moved", Decision::Compare(Why::Renumbered), Search::EveryKey, "h/a@i", "entry 0"),
        ("moved", Decision::Compare(Why::Renumbered), Search::EveryKey, "other", "for [0]"),
        ("moved", NEW, Search::EveryKey, "h/a@i", "entry 0"),
        ("moved", NEW, Search::OwnKey, "h/a@i", "aside"),
        // --all: it is wanted again.
        ("a", ALL, Search::OwnKey, "h/a@i", "for [0]"),
        ("a", ALL, Search::EveryKey, "h/a@i", "for [0]"),
    ] {
        let mut bench = bench(name, decision);
        bench.search = search;
        let came = arrived(&mut bench, SIZE, facts(content));
        assert_eq!(came.result, expected, "{name} {decision:?} {search:?} {content}");
        let kept = expected.starts_with("for");
        assert_eq!(came.copies, [if kept { "taken" } else { "abandoned" }], "{name} {content}");
    }
}

/// In a window of the maildrop nothing shows that unique-ids have moved: what seems new is compared.
#[test]
fn what_seems_new_in_a_window_is_compared_with_all_that_we_have() {
    for (decision, content, window, expected) in [
        (NEW, "h/a@i", true, "entry 0"),
        (NEW, "h/other@i", true, "for [0]"),
        (NEW, "h/a@i", false, "entry 0"),
        // Elsewhere the header shows that only its unique-id has changed.
        (NEW, "h/other@i", false, "entry 0"),
        // --all: it is wanted again.
        (ALL, "h/a@i", true, "for [0]"),
    ] {
        let mut bench = bench("moved", decision);
        (bench.policy.window, bench.search) = (window, Search::EveryKey);
        let came = bench.run(|fetch| {
            arrives(fetch, SIZE, facts(content));
            match fetch.state.pipeline.void().pop() {
                Some(Held::Whole(_, Whole::Parcel(parcel))) => ("for [0]", parcel.message.again),
                Some(Held::Whole(_, Whole::Same { .. })) => ("entry 0", false),
                _ => ("something else", false),
            }
        });
        assert_eq!(came.result, (expected, false), "{decision:?} {content} {window}");
    }
}

/// What differs each time can't be recognised: it is left as it was delivered, where nothing deletes it.
#[test]
fn a_message_that_differs_each_time_is_delivered_again_only_where_it_would_be_gone() {
    let varying = || {
        let mut world = World::new();
        world.now();
        world.deliver_content(key("a"), "h/a@-");
        world.ledger.varies(EntryId(0)).unwrap();
        world
    };
    for (retention, decision, drops, expected) in [
        (Retention::Keep, DOUBTFUL, false, "entry 0 varies"),
        (Retention::Keep, DOUBTFUL, true, "for [0]"),
        (Retention::Delete, DOUBTFUL, false, "for [0]"),
        (Retention::Keep, Decision::Delete(Why::Days), false, "for [0]"),
    ] {
        let mut bench = Bench::new(varying(), &["a"], &[decision]);
        bench.policy.retention = retention;
        if drops {
            bench.drops_at_quit();
        }
        let came = bench.run(|fetch| {
            arrives(fetch, SIZE, facts("h/differs@-"));
            (held(fetch), fetch.state.delete_when_delivered.contains(&number(1)))
        });
        let goes = decision == Decision::Delete(Why::Days);
        assert_eq!(came.result, (expected.to_owned(), goes), "{retention:?} {decision:?} {drops}");
    }
}

/// The server confirmed its deletion and lists it still, with other octets each time: it isn't delivered again; and where QUIT
/// would take it away, the session ends without, for it may be other mail.
#[test]
fn what_was_deleted_and_never_left_is_withheld_once() {
    for drops in [false, true] {
        let mut world = World::new();
        world.now();
        world.deliver_content(key("a"), "h/a@-");
        world.ledger.deleted(&[EntryId(0)]).unwrap();
        world.ledger.varies(EntryId(0)).unwrap();
        let mut bench = Bench::new(world, &["a"], &[Decision::Compare(Why::CameBack)]);
        bench.policy.retention = Retention::Keep;
        if drops {
            bench.drops_at_quit();
        }
        let came = arrived(&mut bench, SIZE, facts("h/differs@-"));
        assert_eq!(came.result, "entry 0 varies");
        assert_eq!(came.tally.withheld, [(EntryId(0), facts("h/differs@-").digests.message)]);
        assert_eq!((came.unstored(), came.tally.not_stored), (if drops { vec![1] } else { vec![] }, drops));
        // It came in the same form before: so its copies don't differ each time, and it is other mail.
        let came = bench.run(|fetch| {
            fetch.comparison.withheld.insert(EntryId(0), facts("h/differs@-").digests.message);
            arrives(fetch, SIZE, facts("h/differs@-"));
            held(fetch)
        });
        assert_eq!(came.result, "for [0]");
        assert_eq!(came.tally.withheld, []);
    }
}

/// What was to be deleted, and isn't what was delivered under its key, is other mail: it is delivered, and stays until the
/// policy says of it that it goes.
#[test]
fn other_mail_in_the_place_of_what_was_to_be_deleted_is_not_deleted_with_it() {
    for (content, expected) in [("h/a@i", "entry 0"), ("other", "for [0]")] {
        let mut bench = bench("a", Decision::Delete(Why::Days));
        (bench.policy.retention, bench.search) = (Retention::Keep, Search::EveryKey);
        let came = bench.run(|fetch| {
            arrives(fetch, SIZE, facts(content));
            (held(fetch), fetch.state.delete_when_delivered.len())
        });
        assert_eq!(came.result, (expected.to_owned(), 0), "{content}");
    }
}

/// A destination lacks it: it goes there, and not to the one that has it.
#[test]
fn a_message_goes_to_the_destinations_that_lack_it() {
    let partly = || {
        let mut world = World::new();
        world.now();
        world.deliver_to_one("a");
        world
    };
    for (decision, content, destinations, expected) in [
        (AGAIN, "a", 2, "for [1]"),
        // This run doesn't have the second one.
        (AGAIN, "a", 1, "entry 0 elsewhere"),
        // Other mail under its unique-id.
        (AGAIN, "other", 2, "for [0, 1]"),
        // The user wants it everywhere.
        (ALL, "a", 2, "for [0, 1]"),
    ] {
        let mut bench = Bench::new(partly(), &["a"], &[decision]);
        bench.destinations = vec![Takes::All; destinations];
        let came = arrived(&mut bench, SIZE, facts(content));
        assert_eq!(came.result, expected, "{decision:?} {content} {destinations}");
        assert_eq!(came.unstored().len(), usize::from(destinations == 1), "{content}");
        let taken = expected.matches(char::is_numeric).count() - usize::from(expected.ends_with("elsewhere"));
        let fates = [vec!["taken"; taken], vec!["abandoned"; destinations - taken]].concat();
        assert_eq!(came.copies.iter().collect::<BTreeSet<_>>(), fates.iter().collect(), "{content}");
    }
}

/// Whether a delivery is of another message than its key stood for before: then the ledger counts one more.
#[test]
fn another_message_under_a_known_key_is_one_more() {
    let partly = || {
        let mut world = World::new();
        world.now();
        world.deliver_to_one("a");
        world
    };
    // Of two messages of its key, the second lacks both.
    let two_partly = || {
        let mut world = World::new();
        world.now();
        world.deliver_to_one("a");
        world.deliver_content_to_one(key("a"), "b");
        world
    };
    type Make = fn() -> World;
    let cases: [(Make, Decision, &str, bool); 6] = [
        (world, Decision::Compare(Why::Duplicate), "other", true),
        (world, NEW, "other", false),
        (World::new, NEW, "other", false),
        (partly, AGAIN, "a", false),
        (partly, AGAIN, "other", true),
        (two_partly, AGAIN, "a", false),
    ];
    for (world, decision, content, expected) in cases {
        let mut bench = Bench::new(world(), &["a"], &[decision]);
        (bench.destinations, bench.search) = (vec![Takes::All; 2], Search::EveryKey);
        let came = bench.run(|fetch| {
            arrives(fetch, SIZE, facts(content));
            match fetch.state.pipeline.void().pop() {
                Some(Held::Whole(_, Whole::Parcel(parcel))) => Some(parcel.message.again),
                _ => None,
            }
        });
        assert_eq!(came.result, Some(expected), "{decision:?} {content}");
    }
}

/// Under which key it is recorded: its unique-id, or its header where it has none.
#[test]
fn a_message_without_a_unique_id_is_known_by_its_header() {
    for (name, expected) in
        [("new", key("new")), ("a", key("a")), ("-", Key::Header(facts("other").digests.header))]
    {
        let came = bench(name, NEW).run(|fetch| {
            let listed = fetch.maildrop.at(0).unwrap();
            fetch.key_of(&listed, &facts("other"))
        });
        assert_eq!(came.result, expected);
    }
}

/// What begins as an answer may be one that belongs to another command; alone, it is only a strange mail.
#[test]
fn a_text_that_looks_like_an_answer_is_believed_only_when_nothing_else_is_in_doubt() {
    for (pipelines, others, is_believed) in [(false, 0, true), (false, 1, false), (true, 0, false)] {
        let mut bench = Bench::new(world(), &["new", "newer"], &[NEW, NEW]);
        bench.pipelines = pipelines;
        let came = bench.run(|fetch| {
            (0..=others).for_each(|place| fetch.state.pipeline.asked_for(fetch.job(place)));
            assert!(matches!(
                fetch.state.pipeline.on(Answered::Began { ask: Ask::Whole, given: true }),
                AnswerMeaning::Begin(_)
            ));
            fetch.begin(fetch.job(0));
            let text = b"+OK 120 octets\n";
            fetch.state.incoming.as_mut().unwrap().take(text, fetch.network_ends);
            fetch.state.pipeline.on(Answered::Ended);
            (fetch.end(15).is_ok(), held(fetch))
        });
        let expected = if is_believed { (true, "for [0]") } else { (false, "nothing") };
        assert_eq!((came.result.0, came.result.1.as_str()), expected, "{pipelines} {others}");
        assert_eq!(came.copies, [if is_believed { "taken" } else { "abandoned" }]);
    }
    let came = bench("new", NEW).run(|fetch| fetch.end(15).is_ok());
    assert!(came.result, "an end without a beginning is nothing");
}

/// What never ends closes the line, and is the message's own failure.
#[test]
fn a_message_without_end_fails_and_closes_the_line() {
    let mut bench = bench("new", NEW);
    let came = bench.run(|fetch| {
        fetch.begin(fetch.job(0));
        fetch.state.incoming.as_mut().unwrap().octets = 7_000_000;
        fetch.too_long()
    });
    assert!(matches!(came.result, Err(Error::Endless { number }) if number.get() == 1));
    assert_eq!(
        (came.work, came.tally.exit),
        (vec!["new failed and waits".to_owned()], Some(ExitCode::Protocol))
    );
    assert_eq!(came.copies, ["abandoned"]);
    assert!(
        came.reported.iter().any(|line| line.contains("with 100 octets and went on beyond 6.6 MiB")),
        "{:?}",
        came.reported
    );
    assert!(bench.run(|fetch| fetch.too_long().is_ok()).result, "nothing is arriving");
}

/// A header that never ends: the message fails; one that is known by word isn't asked about again.
#[test]
fn a_header_without_end_is_not_asked_for_again() {
    for (name, decision, expected, failed) in [
        ("a", DOUBTFUL, "a failed and waits", 1),
        ("a", Decision::Identify, "entry 0 has no header", 0),
        ("new", Decision::Compare(Why::Renumbered), "new failed and waits", 1),
    ] {
        let mut bench = bench(name, decision);
        let came = bench.run(|fetch| {
            fetch.state.incoming_header = Some(IncomingHeader::new(fetch.job(0)));
            fetch.header_too_long()
        });
        assert!(matches!(came.result, Err(Error::Endless { .. })), "{decision:?}");
        assert_eq!(
            (came.work.as_slice(), came.tally.failed),
            (&[expected.to_owned()][..], failed),
            "{decision:?}"
        );
        assert_eq!(came.compared(), [(1, Undone)], "{decision:?}");
        assert!(bench.run(|fetch| fetch.header_too_long().is_ok()).result);
    }
}

/// Without unique-ids and without headers no message can be known again: nothing is left on such a server.
#[test]
fn without_unique_ids_and_headers_mail_is_only_retrieved_to_be_deleted() {
    for (name, retention, missing, goes_on) in [
        ("-", Retention::Keep, true, false),
        ("-", Retention::Keep, false, true),
        ("-", Retention::Delete, true, true),
        ("a", Retention::Keep, true, true),
    ] {
        let mut bench = bench(name, Decision::Compare(Why::Nameless));
        bench.policy.retention = retention;
        let came = bench.run(|fetch| fetch.no_header(missing));
        match came.result {
            Ok(()) => assert!(goes_on, "{name} {retention:?} {missing}"),
            Err(e) => assert!(!goes_on && matches!(e, Error::NoIdentity { .. }), "{e}"),
        }
    }
}

/// A header is held until an answer names; that it came whole shows only then.
#[test]
fn a_header_is_held_when_it_has_come() {
    let came = bench("a", DOUBTFUL).run(|fetch| {
        let mut heading = IncomingHeader::new(fetch.job(0));
        heading.take(b"Subject: x\n");
        heading.take(b"\n");
        let octets = heading.octets;
        fetch.state.incoming_header = Some(heading);
        fetch.end_header();
        fetch.end_header();
        let held = fetch.state.pipeline.void();
        (octets, held.len(), matches!(held.as_slice(), [Held::Header(job, _)] if job.index == 0))
    });
    assert_eq!(came.result, (12, 1, true));
    assert_eq!(came.tally.compared.len(), 0);
}

/// What takes room is given back when a message is not kept, and grows with what came beyond its listed size.
#[test]
fn room_is_taken_by_what_is_kept() {
    for (name, content, octets, expected) in
        [("new", "new", SIZE, SIZE), ("new", "new", SIZE + 7, SIZE + 7), ("a", "h/a@i", SIZE, 0)]
    {
        let decision = if name == "a" { DOUBTFUL } else { NEW };
        let came = bench(name, decision).run(|fetch| {
            fetch.state.pipeline.asked_for(Job { ask: Ask::Whole, ..fetch.job(0) });
            arrives(fetch, octets, Facts { octets, ..facts(content) });
            fetch.state.pipeline.unsettled()
        });
        assert_eq!(came.result, expected, "{content} {octets}");
    }
}
