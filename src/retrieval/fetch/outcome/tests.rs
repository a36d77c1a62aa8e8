//! Who is blamed for what, what may be deleted, and what is handed to the committer.

use std::sync::mpsc::channel;

use super::{Blame, UNKNOWN_SIZE};
use crate::account::{Limits, Retention};
use crate::client;
use crate::delivery::{self, Failure};
use crate::exit::ExitCode;
use crate::ledger::memory::ListedAs;
use crate::message::Examiner;
use crate::plan::trial::{SIZE, World, number};
use crate::plan::{Decision, Why};
use crate::proof::{Delivered, EntryId, Recognised};
use crate::protocol;
use crate::protocol::response::{Reply, ResponseCode};
use crate::retrieval::Error;
use crate::retrieval::committer::{MessageOutcome, SettledMessage, Work};
use crate::retrieval::fetch::incoming::{IncomingHeader, Whole};
use crate::retrieval::fetch::refusal::{RefusedMessage, RetrRefusal};
use crate::retrieval::fetch::round::{Fetch, Held};
use crate::retrieval::fetch::trial::{Bench, Came};
use crate::retrieval::pipeline::{AnswerMeaning, Answered, Ask, Job};
use crate::retrieval::trial::{parcel, unique_id};
use crate::types::Octets;

const NEW: Decision = Decision::Retrieve(Why::New);
const AGAIN: Decision = Decision::Retrieve(Why::Again);

/// "a" has been delivered, "failed" has failed; "new" and one without a unique-id are listed besides.
fn bench() -> Bench {
    let mut world = World::new();
    world.now();
    world.deliver("a");
    world.fail("failed", None);
    let decisions = [Decision::Compare(Why::Doubtful), AGAIN, NEW, Decision::Compare(Why::Nameless)];
    Bench::new(world, &["a", "failed", "new", "-"], &decisions)
}

/// Their places in the listing.
const A: usize = 0;
const FAILED: usize = 1;
const THE_NEW: usize = 2;
const NAMELESS: usize = 3;

fn refused(fetch: &Fetch<'_>, place: usize, code: Option<ResponseCode>, words: &str) -> RefusedMessage {
    let reply = Reply { ok: false, code, text: words.as_bytes() };
    let refusal = RetrRefusal::of(&reply, words.to_owned(), format!("the server refused it: \"{words}\""));
    RefusedMessage { job: fetch.job(place), refusal }
}

/// These were refused one after the other.
fn refusals(fetch: &mut Fetch<'_>, places: &[usize], words: &str) {
    for place in places {
        let refused = refused(fetch, *place, None, words);
        fetch.confirm_refusal(refused);
    }
}

/// Whether it is one message's fault shows only when another comes through.
#[test]
fn a_refused_message_is_not_blamed_before_another_comes_through() {
    let came = bench().run(|fetch| refusals(fetch, &[THE_NEW], "no such message"));
    assert_eq!((came.tally.failed, came.work.len(), came.unstored()), (0, 0, vec![]));
    let came = bench().run(|fetch| {
        refusals(fetch, &[THE_NEW], "no such message");
        fetch.one_came_through();
    });
    assert_eq!(came.work, ["new failed and waits"]);
    assert_eq!((came.tally.failed, came.unstored(), came.tally.exit), (1, vec![3], Some(ExitCode::Later)));
}

/// A quota is the account's matter: the message is tried last, and doesn't wait.
#[test]
fn a_message_refused_for_a_quota_does_not_wait_longer() {
    let came = bench().run(|fetch| {
        refusals(fetch, &[THE_NEW], "quota exceeded");
        fetch.one_came_through();
    });
    assert_eq!((came.work, came.tally.failed), (vec!["new failed".to_owned()], 1));
}

/// One that has failed before is asked for alone: the refusal is its own.
#[test]
fn a_message_that_was_refused_before_is_blamed_at_once() {
    let came = bench().run(|fetch| refusals(fetch, &[FAILED], "cannot read it"));
    assert_eq!((came.work, came.tally.failed), (vec!["failed failed and waits".to_owned()], 1));
    assert_eq!(came.tally.uncertain, [EntryId(1)], "nothing is concluded about it");
    let came = bench().run(|fetch| refusals(fetch, &[FAILED], "try again later"));
    assert_eq!((came.work.len(), came.tally.failed), (0, 0), "it may be everything that is refused");
}

/// The connection ended at it before, and has not now: it isn't tried last any more.
#[test]
fn a_refusal_is_no_end_of_the_connection() {
    for died in [vec![], vec![3]] {
        let mut bench = bench();
        bench.died.clone_from(&died);
        let came = bench.run(|fetch| refusals(fetch, &[THE_NEW], "no such message"));
        assert_eq!(came.tally.survived.len(), died.len());
    }
}

/// A server whose storage is away refuses everything: no message is blamed, and the run says why.
#[test]
fn a_server_that_refuses_everything_blames_no_message() {
    let came = bench().run(|fetch| refusals(fetch, &[A, THE_NEW, NAMELESS], "temporary failure"));
    assert_eq!((came.tally.failed, came.work.len()), (0, 0));
    assert_eq!(came.unstored(), [1, 3, 4], "all of them stay, and no QUIT may drop them");
    assert!(matches!(&came.tally.failure, Some(Error::Refuses { text }) if text == "temporary failure"));
    // What is refused after that is no news.
    let came = bench().run(|fetch| {
        fetch.state.tally.failure = Some(Error::OutOfStep);
        refusals(fetch, &[FAILED], "no");
    });
    assert_eq!((came.tally.failed, came.work.len(), came.unstored()), (0, 0, vec![2]));
}

/// At the end of a round nothing has come through behind a refusal: only one that was asked for alone is blamed for it.
#[test]
fn refusals_that_nothing_followed_count_and_blame_only_what_was_alone() {
    for (several, place, words, expected) in [
        (true, THE_NEW, "no", &[][..]),
        (false, THE_NEW, "no", &["new failed and waits"]),
        (false, THE_NEW, "try later", &["new failed"]),
        (true, FAILED, "try later", &["failed failed"]),
        (false, NAMELESS, "no", &[]),
    ] {
        let came = bench().run(|fetch| {
            fetch.state.pipeline.standing.several = several;
            refusals(fetch, &[place], words);
            fetch.last_refusals();
            fetch.state.refusals.len()
        });
        assert_eq!((came.result, came.tally.failed), (0, 1), "{place} {words}");
        assert_eq!(came.work, expected, "{several} {place} {words}");
    }
}

/// `--quiet` reports a message that fails for the first time, and not the same one in every run.
#[test]
fn a_failure_is_news_once() {
    for (place, some_failed_before, expected) in [
        (THE_NEW, false, true),
        (FAILED, false, false),
        (A, false, true),
        (NAMELESS, false, true),
        (NAMELESS, true, false),
    ] {
        let mut bench = bench();
        bench.some_failed_before = some_failed_before;
        let came = bench.run(|fetch| {
            let listed = fetch.maildrop.at(place).unwrap();
            fetch.message_failed(&listed, "it is broken".to_owned(), ExitCode::Protocol);
        });
        assert_eq!(came.tally.news, expected, "{place} {some_failed_before}");
        assert_eq!(came.tally.exit, Some(ExitCode::Protocol));
    }
}

/// The disk ends the run with its own exit code; the message is tried last in the next one, and doesn't wait: it isn't its fault.
#[test]
fn a_full_disk_ends_the_run_and_makes_no_message_wait() {
    let full = || delivery::Error::unfit(ExitCode::LocalIo, "the disk is full", "make room");
    let came = bench().run(|fetch| {
        for place in [THE_NEW, A] {
            let listed = fetch.maildrop.at(place).unwrap();
            fetch.storage_failed(&listed, full());
        }
        let listed = fetch.maildrop.at(NAMELESS).unwrap();
        fetch.count_failed(&listed, "no".to_owned(), ExitCode::Later, Blame::BacksOff);
    });
    assert_eq!(came.work, ["new failed", "a failed"], "what has no unique-id can't be remembered");
    assert!(matches!(came.tally.failure, Some(Error::Delivery(_))));
    assert_eq!((came.unstored(), came.tally.not_stored), (vec![3, 1, 4], true));
    assert_eq!(came.tally.uncertain, [EntryId(0)]);
}

fn delivered(bench: &mut Bench) -> Delivered {
    bench.world.ledger.prove_delivered(EntryId(0), number(1)).unwrap()
}

/// The committer reports this of message 1, which is recognised or not.
fn settled(
    mut bench: Bench,
    outcome: impl FnOnce(Delivered) -> MessageOutcome,
    is_recognised: bool,
    prepare: impl FnOnce(&mut Fetch<'_>),
) -> Came<()> {
    let outcome = outcome(delivered(&mut bench));
    bench.run(|fetch| {
        if is_recognised {
            let recognised = Recognised::attest(fetch.client.session(), number(1), Some(EntryId(0)));
            fetch.state.tally.recognised.insert(number(1), recognised);
        }
        prepare(fetch);
        fetch.settled(SettledMessage { number: number(1), octets: 70, outcome });
    })
}

fn now(proof: Delivered) -> MessageOutcome {
    MessageOutcome::Delivered(Some(proof))
}

fn known(proof: Delivered) -> MessageOutcome {
    MessageOutcome::Same(Some(proof))
}

/// A deletion needs a policy that wants it now, the proof of delivery, and that the message was recognised in this session.
#[test]
fn only_what_was_recognised_and_is_due_is_deleted() {
    let limits = |larger_than| Retention::Limits(Limits { larger_than, ..Limits::default() });
    let (small, large) = (limits(Some(Octets(SIZE))), limits(Some(Octets(SIZE - 1))));
    type Make = fn(Delivered) -> MessageOutcome;
    let (now, known): (Make, Make) = (now, known);
    let compare = Decision::Compare(Why::Doubtful);
    let delete = Decision::Delete(Why::Days);
    for (retention, decision, outcome, recognised, expected) in [
        (Retention::Delete, NEW, now, true, true),
        (Retention::Delete, NEW, now, false, false),
        (Retention::Delete, compare, known, true, true),
        (Retention::Delete, compare, known, false, false),
        (Retention::Keep, NEW, now, true, false),
        (large, NEW, now, true, true),
        (small, NEW, now, true, false),
        (small, compare, known, true, false),
        // Due by its age: what is recognised goes, what was delivered now has just come.
        (small, delete, known, true, true),
        (small, delete, known, false, false),
        (small, delete, now, true, false),
    ] {
        let mut bench = bench();
        bench.policy.retention = retention;
        bench.decisions[A] = decision;
        let came = settled(bench, outcome, recognised, |_| {});
        assert_eq!(
            came.deletions(),
            if expected { vec![1] } else { vec![] },
            "{retention:?} {decision:?} {recognised}"
        );
    }
}

/// What was due for deletion, and was delivered again because its copies differ each time, goes by that delivery.
#[test]
fn what_is_to_go_when_it_is_delivered_goes() {
    for (marked, recognised, expected) in
        [(true, true, vec![1]), (false, true, vec![]), (true, false, vec![])]
    {
        let mut bench = bench();
        bench.policy.retention = Retention::Limits(Limits { days: Some(1), ..Limits::default() });
        let came = settled(bench, now, recognised, |fetch| {
            if marked {
                fetch.state.delete_when_delivered.insert(number(1));
            }
        });
        assert_eq!(came.deletions(), expected, "{marked} {recognised}");
    }
}

/// Printed only, or unproven: nothing of it is deleted, though it counts as delivered.
#[test]
fn what_was_only_printed_is_counted_and_stays() {
    let came = settled(bench(), |_| MessageOutcome::Delivered(None), true, |_| {});
    assert_eq!((came.deletions(), came.tally.delivered, came.tally.octets), (vec![], 1, 70));
    let came = settled(bench(), |_| MessageOutcome::Same(None), true, |_| {});
    assert_eq!((came.deletions(), came.tally.delivered, came.tally.octets), (vec![], 0, 0));
}

#[test]
fn what_a_destination_refused_stays_and_fails() {
    let refuses = |_| {
        let failure =
            Failure { permanent: true, reason: "no such user".to_owned(), exit: ExitCode::Configuration };
        MessageOutcome::Failed(failure)
    };
    let came = settled(bench(), refuses, true, |_| {});
    assert_eq!((came.deletions(), came.unstored(), came.tally.failed), (vec![], vec![1], 1));
    assert_eq!((came.tally.exit, came.tally.news), (Some(ExitCode::Configuration), true));
    assert!(came.reported.contains(&"message 1 failed: no such user".to_owned()), "{:?}", came.reported);
    assert_eq!(came.work.len(), 0, "the committer has recorded it");
}

/// What is settled makes room for the next: as much as was taken when it was asked for, or when it had come.
#[test]
fn what_is_settled_frees_the_room_that_it_took() {
    for (size, octets, asked) in [(Some(SIZE), 70, SIZE), (Some(SIZE), 700, 700), (None, 70, UNKNOWN_SIZE)] {
        let mut bench = bench();
        for (_, listed) in &mut bench.listed {
            *listed = size;
        }
        let outcome = MessageOutcome::Delivered(None);
        let came = bench.run(|fetch| {
            fetch.state.committing = 1;
            fetch.state.pipeline.grew(asked);
            fetch.settled(SettledMessage { number: number(1), octets, outcome });
            (fetch.state.committing, fetch.state.pipeline.unsettled())
        });
        assert_eq!(came.result, (0, 0), "{size:?} {octets}");
    }
}

/// As if these messages had been asked for, and nothing had named them yet.
fn in_doubt(fetch: &mut Fetch<'_>, places: &[usize], begun: bool) {
    for place in places {
        let job = fetch.job(*place);
        fetch.state.pipeline.asked_for(job);
    }
    if begun {
        let meaning = fetch.state.pipeline.on(Answered::Began { ask: Ask::Whole, given: true });
        assert!(matches!(meaning, AnswerMeaning::Begin(_)));
    }
}

fn closed() -> Error {
    let source = protocol::error::Error::Closed { during: protocol::error::Awaiting::Greeting };
    client::Error::Protocol { server: "h:110".to_owned(), source }.into()
}

/// Where answers no longer fit the commands: the message is blamed that alone can be meant, and else nobody.
#[test]
fn disorder_is_blamed_on_a_message_that_was_alone() {
    for (places, pipelines, expected) in [
        (&[THE_NEW][..], false, Some(3)),
        (&[THE_NEW], true, None),
        (&[THE_NEW, FAILED], false, None),
        (&[], false, None),
    ] {
        let mut bench = bench();
        bench.pipelines = pipelines;
        let came = bench.run(|fetch| {
            in_doubt(fetch, places, false);
            fetch.broke_off(&Error::OutOfStep);
        });
        let what = format!("{places:?} {pipelines}");
        assert_eq!(came.tally.blamed.map(|number| number.get()), expected, "{what}");
        assert_eq!(came.tally.void, places.len(), "{what}");
        let (work, died): (&[&str], Vec<ListedAs>) = match expected {
            Some(_) => (&["new failed and waits"], vec![ListedAs::UniqueId(unique_id("new"))]),
            None => (&[], vec![]),
        };
        assert_eq!(
            (came.work.as_slice(), came.tally.died),
            (&work.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..], died),
            "{what}"
        );
    }
}

/// The end of the connection is nobody's fault at first; at the same message again, it is, if others come through.
#[test]
fn a_connection_that_ends_blames_a_message_the_second_time() {
    for (died_before, others_came, failed) in [(false, true, false), (true, false, false), (true, true, true)]
    {
        let mut bench = bench();
        if died_before {
            bench.died = vec![3];
        }
        let came = bench.run(|fetch| {
            fetch.state.pipeline.standing.others_came = others_came;
            in_doubt(fetch, &[THE_NEW], true);
            fetch.broke_off(&closed());
        });
        let what = format!("{died_before} {others_came}");
        assert_eq!(came.tally.died, [ListedAs::UniqueId(unique_id("new"))], "{what}");
        assert_eq!(came.work, vec!["new failed and waits".to_owned(); usize::from(failed)], "{what}");
        assert_eq!(came.tally.blamed, None, "{what}");
    }
}

/// With deletions open it is most likely the session that was too long, and no message is suspected.
#[test]
fn a_connection_that_ends_behind_deletions_suspects_no_message() {
    for (accepted, error, suspects) in [
        (vec![], closed(), 1),
        (vec![EntryId(0)], closed(), 0),
        // A disk that fails says nothing of the message.
        (vec![], Error::NothingNames, 0),
    ] {
        let came = bench().run(|fetch| {
            fetch.state.tally.accepted.clone_from(&accepted);
            in_doubt(fetch, &[THE_NEW], true);
            fetch.broke_off(&error);
        });
        assert_eq!((came.tally.died.len(), came.work.len()), (suspects, 0), "{accepted:?} {error}");
    }
}

/// Nothing that no answer has named is stored: what has come is taken back, and asked for again.
#[test]
fn what_nothing_has_named_is_discarded() {
    let came = bench().run(|fetch| {
        let new = fetch.job(THE_NEW);
        fetch.state.incoming_header = Some(IncomingHeader::new(new));
        fetch
            .state
            .pipeline
            .hold(Held::Whole(new, Whole::Parcel(parcel(3, "new", &fetch.policy.destinations))));
        fetch.abandon();
        (fetch.state.incoming_header.is_some(), fetch.state.pipeline.holds())
    });
    assert_eq!((came.result, came.tally.not_stored), ((false, false), true));
    assert_eq!((came.unstored(), came.work), (vec![], vec!["discard 3".to_owned()]));
    // A message that is on its way is taken back as well.
    let came = bench().run(|fetch| {
        fetch.begin(fetch.job(THE_NEW));
        fetch.abandon();
    });
    assert_eq!((came.copies, came.tally.not_stored), (vec!["abandoned"], true));
    // A header that wasn't believed is no message.
    let came = bench().run(|fetch| {
        let header = Held::Header(fetch.job(A), Examiner::new(b"").finish());
        fetch.state.pipeline.hold(header);
        fetch.abandon();
    });
    assert_eq!((came.work.len(), came.tally.not_stored), (0, false));
}

/// A quiet line: the batch goes, unless what is on its way may share its file.
#[test]
fn a_quiet_line_sends_the_batch_unless_something_is_on_its_way() {
    for (arriving, held, goes) in [(false, false, true), (true, false, false), (false, true, false)] {
        let came = bench().run(|fetch| {
            fetch.state.batch = vec![parcel(1, "a", &fetch.policy.destinations)];
            fetch.state.batch_octets = 100;
            if arriving {
                fetch.begin(fetch.job(THE_NEW));
            }
            if held {
                fetch.state.pipeline.hold(Held::Nothing(fetch.job(THE_NEW)));
            }
            fetch.paused();
            (fetch.state.cut_due, fetch.state.committing, fetch.state.batch_octets)
        });
        assert_eq!(came.result, if goes { (false, 1, 0) } else { (true, 0, 100) }, "{arriving} {held}");
        assert_eq!((came.work.len(), came.copies.contains(&"cut")), (usize::from(goes), goes));
    }
    let came = bench().run(|fetch| fetch.cut());
    assert_eq!((came.work.len(), came.copies.len()), (0, 0), "there is no batch");
}

/// What a committer that has given up doesn't take isn't waited for.
#[test]
fn nothing_is_waited_for_that_the_committer_did_not_take() {
    for (is_there, expected) in [(Some(true), 2), (Some(false), 0), (None, 0)] {
        let came = bench().run(|fetch| {
            fetch.work = match is_there {
                Some(true) => fetch.work.take(),
                Some(false) => Some(channel().0),
                None => None,
            };
            fetch.submit(Work::Batch(Vec::new()), 2);
            fetch.state.committing
        });
        assert_eq!(came.result, expected, "{is_there:?}");
    }
}

/// What the committer reports at its very end is heard, and what failed there makes room for others.
#[test]
fn what_the_committer_reports_at_its_end_is_heard() {
    let mut bench = bench();
    let proof = delivered(&mut bench);
    let came = bench.run_with(|fetch, reports| {
        for place in [A, THE_NEW] {
            fetch.state.pipeline.asked_for(Job { ask: Ask::Whole, ..fetch.job(place) });
        }
        fetch.state.committing = 2;
        let failure = Failure { permanent: false, reason: "refused".to_owned(), exit: ExitCode::Later };
        let outcome = MessageOutcome::Failed(failure);
        let failed = SettledMessage { number: number(3), octets: 70, outcome };
        let delivered = SettledMessage { number: number(1), octets: 70, outcome: now(proof) };
        reports.tell([failed, delivered]);
        fetch.last_reports();
        (fetch.state.committing, fetch.state.pipeline.unsettled())
    });
    assert_eq!(came.result, (0, 0));
    assert_eq!((came.tally.delivered, came.tally.failed, came.unstored()), (1, 1, vec![3]));
}

/// A committer that ends before its work is over has died: the ledger must not be used again.
#[test]
fn a_committer_that_died_is_a_bug_and_one_that_is_done_is_not() {
    for (has_work, is_bug) in [(true, true), (false, false)] {
        let came = bench().run_with(|fetch, reports| {
            fetch.state.committing = 3;
            assert!(fetch.take_reports().is_ok() && !fetch.state.ended, "there is nothing to report yet");
            drop(reports);
            if !has_work {
                fetch.work = None;
            }
            let result = fetch.take_reports();
            (matches!(result, Err(Error::Bug)), fetch.state.ended, fetch.state.committing)
        });
        assert_eq!(came.result, (is_bug, true, 0));
    }
}

/// With the server's words, and the entry: it stays, and the next run tries again.
#[test]
fn a_deletion_that_is_refused_is_kept_with_the_server_s_words() {
    let came = bench().run(|fetch| fetch.deletion_refused(number(1), EntryId(0), "\"read-only\""));
    assert_eq!((came.tally.refused, came.tally.accepted), (vec![EntryId(0)], vec![]));
    assert!(came.tally.refusals.line().contains("read-only"));
    assert!(
        came.reported.iter().any(|line| line.contains("did not delete message 1")),
        "{:?}",
        came.reported
    );
}
