//! What answers come to, as the network thread meets them.

use super::refusal::RetrRefusal;
use super::trial::Bench;
use crate::message::Digest;
use crate::plan::trial::{World, number};
use crate::plan::{Decision, Why};
use crate::proof::{EntryId, Recognised};
use crate::protocol::response::Reply;
use crate::retrieval::Error;
use crate::retrieval::fetch::round::{Fetch, Held};

/// "a" has been delivered; "new" is to be retrieved.
fn bench() -> Bench {
    let mut world = World::new();
    world.now();
    world.deliver("a");
    Bench::new(world, &["a", "new"], &[Decision::Leave(Why::Known), Decision::Retrieve(Why::New)])
}

/// `DELE 1` has been sent, with both its proofs.
fn deleting(bench: &mut Bench) -> impl FnOnce(&mut Fetch<'_>) + use<> {
    let proof = bench.world.ledger.prove_delivered(EntryId(0), number(1)).unwrap();
    move |fetch| {
        let recognised = Recognised::attest(fetch.client.session(), number(1), Some(EntryId(0)));
        fetch.state.tally.recognised.insert(number(1), recognised);
        fetch.state.pipeline.delete(proof);
        fetch.state.stopping = true;
        fetch.fill().unwrap();
    }
}

/// What is accepted is known by its entry, and by which of the entry's deliveries it was.
#[test]
fn an_accepted_deletion_is_known_by_its_delivery() {
    let delivery = Digest::of(b"delivery");
    for which in [Some(delivery), None] {
        let mut bench = bench();
        let send = deleting(&mut bench);
        let came = bench.run(|fetch| {
            send(fetch);
            fetch.state.tally.which_delivery.extend(which.map(|which| (number(1), which)));
            fetch.deletion_answered(number(1), None).unwrap();
        });
        assert_eq!((came.tally.accepted, came.tally.refused), (vec![EntryId(0)], vec![]));
        assert_eq!(came.tally.accepted_deliveries, Vec::from_iter(which.map(|which| (EntryId(0), which))));
    }
}

#[test]
fn a_refused_deletion_is_not_accepted() {
    let mut bench = bench();
    let send = deleting(&mut bench);
    let came = bench.run(|fetch| {
        send(fetch);
        fetch.deletion_answered(number(1), Some("\"read-only\"".to_owned())).unwrap();
    });
    assert_eq!((came.tally.accepted, came.tally.refused), (vec![], vec![EntryId(0)]));
    assert_eq!(came.tally.accepted_deliveries, []);
}

/// An answer that belongs to nothing that was asked: from there on nothing can be believed.
#[test]
fn an_answer_that_was_not_asked_for_is_disorder() {
    let refusal = || {
        let reply = Reply { ok: false, code: None, text: b"no" };
        RetrRefusal::of(&reply, "no".to_owned(), "refused".to_owned())
    };
    let came = bench().run(|fetch| {
        [
            fetch.deletion_answered(number(1), None),
            fetch.deletion_answered(number(1), Some("no".to_owned())),
            fetch.retrieval_answered(None),
            fetch.retrieval_answered(Some(refusal())),
        ]
        .map(|result| matches!(result, Err(Error::OutOfStep)))
    });
    assert_eq!(came.result, [true; 4]);
    assert_eq!((came.tally.accepted, came.tally.refused, came.copies.len()), (vec![], vec![], 0));
    // Answered twice.
    let mut bench = bench();
    let send = deleting(&mut bench);
    let came = bench.run(|fetch| {
        send(fetch);
        fetch.deletion_answered(number(1), None).unwrap();
        fetch.deletion_answered(number(1), None).is_err()
    });
    assert_eq!((came.result, came.tally.accepted), (true, vec![EntryId(0)]));
}

/// A message begins with its `+OK`; a refusal is held until an answer names, as the message would be.
#[test]
fn the_status_of_a_message_begins_it_or_is_held() {
    let came = bench().run(|fetch| {
        let job = fetch.job(1);
        fetch.state.pipeline.asked_for(job);
        fetch.retrieval_answered(None).unwrap();
        fetch.state.incoming.as_ref().map(|incoming| incoming.job.number.get())
    });
    assert_eq!(came.result, Some(2));
    let came = bench().run(|fetch| {
        let job = fetch.job(1);
        fetch.state.pipeline.asked_for(job);
        let reply = Reply { ok: false, code: None, text: b"no" };
        let refusal = RetrRefusal::of(&reply, "no".to_owned(), "refused".to_owned());
        fetch.retrieval_answered(Some(refusal)).unwrap();
        let held = fetch.state.pipeline.void();
        matches!(held.as_slice(), [Held::Refused(refused)] if refused.job.number.get() == 2)
    });
    assert!(came.result);
    assert_eq!((came.tally.failed, came.work.len()), (0, 0), "nobody is blamed yet");
}

/// What all accounts have on their way is counted together, up and down.
#[test]
fn what_is_on_its_way_is_counted_and_taken_back() {
    let came = bench().run(|fetch| {
        let counted = |fetch: &Fetch<'_>| fetch.run.options.under_way.messages();
        [5, 5, 2, 0].map(|now| {
            fetch.count_under_way(now);
            counted(fetch)
        })
    });
    assert_eq!(came.result, [5, 5, 2, 0]);
}

/// A signal that came before the round: nothing is begun, and the round ends in order.
#[test]
fn a_round_that_was_stopped_before_it_began_asks_for_nothing() {
    let mut bench = bench();
    let stop = bench.home.stop.clone();
    let came = bench.run(|fetch| {
        stop.raise();
        (fetch.run().is_ok(), fetch.client.outstanding())
    });
    assert_eq!(came.result, (true, 0));
    assert!(!came.tally.retrieved);
}
