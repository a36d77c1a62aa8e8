//! What is sent in which order, what an answer comes to, and what room is left: step by step, without a server.

use std::collections::HashMap;

use super::{
    AnswerMeaning, Answered, Ask, Deletion, Job, Known, LINE, Listing, Naming, NamingForm, Pipeline,
    QuestionPace, Readiness, Rules, Send, SessionStanding, Tried, header, job, number, pipeline,
};
use crate::account::Retention;
use crate::ledger::memory::ListedAs;
use crate::plan::trial::World;
use crate::plan::{Allowance, Decision, Policy, Why};
use crate::proof::EntryId;
use crate::retrieval::pipeline::{FIRST_HEADERS, MOST_TO_HAND_OVER, MOST_WAITING, NothingNames, ROOM};
use crate::types::Octets;

const ASKS: Rules = Rules { hands_over: false, deletes: false, asks: true, waiting: 0 };
/// One command at a time, and the last one is answered.
const ALONE: Readiness = Readiness { pipelines: false, at_rest: true };
/// One at a time, and an answer is due.
const BUSY: Readiness = Readiness { pipelines: false, at_rest: false };

fn tried(jobs: Vec<Job>) -> Tried {
    pipeline(jobs, ASKS, SessionStanding::default())
}

fn jobs(count: u32) -> Vec<Job> {
    (1..=count).map(|at| job(at, false)).collect()
}

/// What is sent next, in a word.
fn next<H>(pipeline: &mut Pipeline<std::vec::IntoIter<Job>, H, Known>, line: Readiness) -> String {
    match pipeline.next(line, &Listing) {
        Err(NothingNames) => "nothing names".to_owned(),
        Ok(None) => "-".to_owned(),
        Ok(Some(Send::Question(_))) => "question".to_owned(),
        Ok(Some(Send::Ask(Job { ask: Ask::Header, number, .. }))) => format!("TOP {number}"),
        Ok(Some(Send::Ask(Job { number, .. }))) => format!("RETR {number}"),
        Ok(Some(Send::Delete(known))) => format!("DELE {}", known.number()),
    }
}

/// All that may be sent now.
fn all(pipeline: &mut Tried, line: Readiness) -> Vec<String> {
    std::iter::repeat_with(|| next(pipeline, line)).take_while(|sent| sent != "-").take(3000).collect()
}

fn arrives(pipeline: &mut Tried) {
    assert!(matches!(pipeline.on(Answered::Began { ask: Ask::Whole, given: true }), AnswerMeaning::Begin(_)));
    assert!(matches!(pipeline.on(Answered::Ended), AnswerMeaning::Complete(_)));
    pipeline.hold(());
}

/// A true answer to the question that is out.
fn named(pipeline: &mut Tried) -> AnswerMeaning<()> {
    let number = pipeline.standing.naming.asked_about().unwrap();
    let text = format!("{number} 100");
    pipeline.on(Answered::Named { ok: true, text: text.as_bytes() })
}

/// In one flight: the messages, and behind the last of a batch the question that confirms them.
#[test]
fn a_question_follows_what_it_confirms_in_the_same_flight() {
    let mut pipeline = tried(jobs(3));
    assert_eq!(all(&mut pipeline, LINE), ["RETR 1", "RETR 2", "RETR 3", "question"]);
    assert_eq!(next(&mut pipeline, LINE), "-", "one question is enough");
    assert_eq!(pipeline.standing.charged, 4);
}

/// The first question comes early, the next ones cover twice as many; with care, one follows each message.
#[test]
fn questions_cover_more_each_time_and_one_message_with_care() {
    let mut early = tried(jobs(7));
    early.standing.pace = QuestionPace::new(0, 1);
    let sent = all(&mut early, LINE);
    let places: Vec<usize> =
        sent.iter().enumerate().filter(|(_, sent)| *sent == "question").map(|(at, _)| at).collect();
    assert_eq!(places, [1, 4, 9], "{sent:?}");
    let mut careful = tried(jobs(3));
    careful.standing.pace = QuestionPace::new(2, 32);
    assert_eq!(all(&mut careful, LINE), ["RETR 1", "question", "RETR 2", "question", "RETR 3", "question"]);
}

/// Care ends when as many messages have been confirmed as were in doubt.
#[test]
fn care_ends_with_what_it_was_for() {
    let mut pipeline = tried(jobs(3));
    pipeline.standing.pace = QuestionPace::new(2, 32);
    assert_eq!(all(&mut pipeline, LINE).len(), 6);
    for left in [1, 0, 0] {
        arrives(&mut pipeline);
        assert_eq!(named(&mut pipeline), AnswerMeaning::Release(vec![()]));
        assert_eq!(pipeline.standing.pace.careful, left);
    }
    assert_eq!(pipeline.standing.confirmed, 3);
}

/// A form of question that isn't known to work is tried before the first message; where commands share a flight, beside it.
#[test]
fn the_first_question_of_a_server_comes_before_its_first_message() {
    for (line, expected) in
        [(LINE, &["question", "RETR 1", "RETR 2", "question"][..]), (ALONE, &["question"])]
    {
        let mut pipeline = tried(jobs(2));
        pipeline.standing.naming = Naming::new(1, None, false, None);
        // Alone, each waits for the answer to the one before.
        let sent = if line.pipelines { all(&mut pipeline, line) } else { vec![next(&mut pipeline, line)] };
        assert_eq!(sent, expected);
    }
    let mut idle = tried(Vec::new());
    idle.standing.naming = Naming::new(1, None, false, None);
    assert_eq!(next(&mut idle, LINE), "-", "there is nothing to confirm");
    // Known from an earlier session: it isn't tried again.
    assert_eq!(next(&mut tried(jobs(1)), ALONE), "RETR 1");
}

/// One command at a time: the trial is repeated with another form until one works.
#[test]
fn a_form_on_trial_is_answered_before_the_first_message_where_commands_wait_for_each_other() {
    let mut pipeline = tried(jobs(1));
    pipeline.standing.naming = Naming::new(1, None, false, Some((2, Octets(200))));
    assert_eq!(next(&mut pipeline, ALONE), "question");
    for _ in 0..2 {
        assert_eq!(pipeline.on(Answered::Named { ok: false, text: b"what" }), AnswerMeaning::Wait);
        assert_eq!(next(&mut pipeline, ALONE), "question");
    }
    // After the third refusal the next form is tried: STAT.
    assert_eq!(pipeline.on(Answered::Named { ok: false, text: b"what" }), AnswerMeaning::Wait);
    assert_eq!(next(&mut pipeline, ALONE), "question");
    assert_eq!(pipeline.on(Answered::Named { ok: true, text: b"2 200" }), AnswerMeaning::Release(vec![]));
    assert_eq!(next(&mut pipeline, ALONE), "RETR 1");
}

/// Deletions go out with what is retrieved where commands share a flight; else messages come first.
#[test]
fn deletions_wait_behind_messages_where_each_command_waits() {
    for (line, expected) in [(LINE, &["DELE 9", "RETR 1"][..]), (ALONE, &["RETR 1", "DELE 9"])] {
        let mut pipeline = tried(jobs(1));
        pipeline.delete(Known(number(9)));
        let sent: Vec<String> = (0..2).map(|_| next(&mut pipeline, line)).collect();
        assert_eq!(sent, expected, "{line:?}");
        assert!(pipeline.standing.gone.contains(&number(9)));
    }
}

/// Where only STAT names, which counts deletions or not, none is sent before the last question.
#[test]
fn deletions_wait_for_the_last_question_where_it_counts_them() {
    for (form, asks, expected) in [
        (NamingForm::DropListing, true, "-"),
        (NamingForm::DropListing, false, "DELE 9"),
        (NamingForm::Size, true, "DELE 9"),
    ] {
        let standing = SessionStanding::default();
        let mut pipeline = pipeline(Vec::new(), Rules { asks, ..ASKS }, standing);
        pipeline.standing.naming = Naming::new(1, Some(form), false, Some((2, Octets(200))));
        pipeline.delete(Known(number(9)));
        assert_eq!(pipeline.has_deletions(), expected != "-", "{form:?} {asks}");
        assert_eq!(next(&mut pipeline, LINE), expected, "{form:?} {asks}");
        assert_eq!(pipeline.take_deletions().len(), usize::from(expected == "-"));
    }
}

/// A program starts with the first message: what comes is confirmed at once.
#[test]
fn what_is_handed_to_programs_is_confirmed_one_by_one() {
    let mut pipeline = pipeline(jobs(2), Rules { hands_over: true, ..ASKS }, SessionStanding::default());
    assert_eq!(all(&mut pipeline, LINE), ["RETR 1", "question", "RETR 2", "question"]);
}

/// What has failed before, or broke a session off, is asked for when nothing else is in doubt, and nothing behind it.
#[test]
fn what_may_fail_again_puts_nothing_else_in_doubt() {
    type Change = fn(&mut Job);
    let changes: [Change; 2] = [|job| job.failures = 2, |job| job.died = true];
    for change in changes {
        let mut second = job(2, false);
        change(&mut second);
        let mut pipeline = tried(vec![job(1, false), second, job(3, false)]);
        assert_eq!(all(&mut pipeline, LINE), ["RETR 1", "question"], "it waits for the first");
        arrives(&mut pipeline);
        assert_eq!(next(&mut pipeline, LINE), "-", "nothing has named yet");
        assert_eq!(named(&mut pipeline), AnswerMeaning::Release(vec![()]));
        assert_eq!(
            next(&mut pipeline, Readiness { at_rest: false, ..LINE }),
            "-",
            "something is to be answered"
        );
        assert_eq!(all(&mut pipeline, LINE), ["RETR 2", "question"], "nothing follows it");
        arrives(&mut pipeline);
        named(&mut pipeline);
        assert_eq!(all(&mut pipeline, LINE), ["RETR 3", "question"]);
    }
}

/// As long as the server has not given a header, only a few are asked for at a time.
#[test]
fn headers_are_asked_for_a_few_at_a_time_until_one_has_come() {
    let by_header = |at| {
        let mut job = job(at, false);
        header(&mut job);
        job
    };
    let mut pipeline = tried((1..=20).map(by_header).collect());
    assert_eq!(all(&mut pipeline, LINE).iter().filter(|sent| sent.starts_with("TOP")).count(), FIRST_HEADERS);
    assert!(matches!(
        pipeline.on(Answered::Began { ask: Ask::Header, given: true }),
        AnswerMeaning::Begin(_)
    ));
    assert!(matches!(pipeline.on(Answered::Ended), AnswerMeaning::Complete(_)));
    assert!(pipeline.standing.header.given);
    assert_eq!(
        all(&mut pipeline, LINE).iter().filter(|sent| sent.starts_with("TOP")).count(),
        20 - FIRST_HEADERS
    );
}

/// A refused header is followed by the whole message; what was only to be identified is left.
#[test]
fn a_refused_header_is_asked_for_whole_or_left() {
    let mut compared = job(1, false);
    header(&mut compared);
    let identified = Job { decision: Decision::Identify, ..Job { number: number(2), index: 2, ..compared } };
    let mut pipeline = tried(vec![compared, identified]);
    assert_eq!(all(&mut pipeline, LINE), ["TOP 1", "TOP 2", "question"]);
    for expected in [1, 2] {
        match pipeline.on(Answered::Began { ask: Ask::Header, given: false }) {
            AnswerMeaning::NoHeader(job, missing) => {
                assert_eq!((job.number.get(), missing), (expected, false))
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next(&mut pipeline, LINE), "RETR 1");
    assert_eq!(pipeline.take_skipped().iter().map(|job| job.number.get()).collect::<Vec<_>>(), [2]);
    assert!(!pipeline.standing.header.is_missing(), "two refusals are no proof");
}

/// What waits for the committer has a bound in octets and in messages; one alone always comes.
#[test]
fn no_more_is_asked_for_than_there_is_room() {
    let sized = |size| (1..=3000).map(|at| Job { size, ..job(at, false) }).collect::<Vec<_>>();
    let count =
        |mut pipeline: Tried| all(&mut pipeline, LINE).iter().filter(|sent| sent.starts_with("RETR")).count();
    assert_eq!(count(tried(sized(1))), MOST_WAITING);
    assert_eq!(count(tried(sized(ROOM / 4))), 4);
    assert_eq!(count(tried(sized(ROOM / 4 + 1))), 3);
    assert_eq!(count(tried(sized(ROOM * 3))), 1, "larger than all there is");
    let rules = Rules { hands_over: true, ..ASKS };
    assert_eq!(count(pipeline(sized(1), rules, SessionStanding::default())), MOST_TO_HAND_OVER);
}

/// Room comes back when a message is settled, given up or refused, and shrinks with what came beyond its size.
#[test]
fn room_comes_back_when_a_message_is_settled() {
    let half = || (1..=9).map(|at| Job { size: ROOM / 2, ..job(at, false) }).collect::<Vec<_>>();
    let mut pipeline = tried(half());
    let retrieved =
        |pipeline: &mut Tried| all(pipeline, LINE).iter().filter(|sent| sent.starts_with("RETR")).count();
    assert_eq!((retrieved(&mut pipeline), pipeline.under_way()), (2, 2));
    pipeline.free_room(ROOM / 2);
    assert_eq!((retrieved(&mut pipeline), pipeline.under_way()), (1, 2));
    // A refusal frees it as well.
    assert!(matches!(
        pipeline.on(Answered::Began { ask: Ask::Whole, given: false }),
        AnswerMeaning::Refused(_)
    ));
    assert_eq!((retrieved(&mut pipeline), pipeline.under_way()), (1, 2));
    pipeline.free_room(ROOM / 2);
    pipeline.grew(1);
    assert_eq!(retrieved(&mut pipeline), 0, "one octet too many");
}

/// An answer is that of the oldest command of its sort, and of no other.
#[test]
fn an_answer_belongs_to_one_command_or_to_none() {
    let began = |ask, given| Answered::Began { ask, given };
    let mut pipeline = tried(Vec::new());
    for answer in [began(Ask::Whole, true), began(Ask::Header, false), Answered::Ended] {
        assert_eq!(pipeline.on(answer), AnswerMeaning::Unasked, "{answer:?}");
    }
    assert_eq!(pipeline.on(Answered::Named { ok: true, text: b"1 100" }), AnswerMeaning::Unasked);
    let gone = Answered::Deleted { number: number(1), ok: true, octets: Octets(1) };
    assert_eq!(pipeline.on(gone), AnswerMeaning::Unasked);
    let mut pipeline = tried(jobs(2));
    all(&mut pipeline, LINE);
    assert_eq!(pipeline.on(began(Ask::Header, true)), AnswerMeaning::Unasked, "no header was asked for");
    assert!(matches!(pipeline.on(began(Ask::Whole, true)), AnswerMeaning::Begin(job) if job.index == 1));
    assert_eq!(pipeline.on(began(Ask::Whole, true)), AnswerMeaning::Unasked, "the first has not ended");
    assert!(matches!(pipeline.on(Answered::Ended), AnswerMeaning::Complete(job) if job.index == 1));
    assert_eq!(pipeline.on(Answered::Ended), AnswerMeaning::Unasked);
}

/// A deletion is answered once, for what was sent.
#[test]
fn a_deletion_is_sent_once_and_answered_once() {
    let answer = |n, ok| Answered::Deleted { number: number(n), ok, octets: Octets(100) };
    let mut pipeline = tried(Vec::new());
    (5..=6).for_each(|n| pipeline.delete(Known(number(n))));
    assert_eq!(all(&mut pipeline, LINE), ["DELE 5", "DELE 6"]);
    assert_eq!(pipeline.on(answer(7, true)), AnswerMeaning::Unasked);
    assert_eq!(pipeline.on(answer(6, false)), AnswerMeaning::Kept(EntryId(6)));
    assert_eq!(pipeline.on(answer(5, true)), AnswerMeaning::Gone(EntryId(5)));
    assert_eq!(pipeline.on(answer(5, true)), AnswerMeaning::Unasked);
}

/// Where a session broke off nothing of it counts: not what was held, nor what was asked for.
#[test]
fn what_is_void_is_neither_in_doubt_nor_held() {
    let mut pipeline = tried(jobs(3));
    all(&mut pipeline, LINE);
    arrives(&mut pipeline);
    pipeline.on(Answered::Began { ask: Ask::Whole, given: true });
    assert_eq!(pipeline.in_doubt().iter().map(|job| job.index).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(pipeline.holds() && pipeline.is_in_doubt());
    assert_eq!(pipeline.void(), [()]);
    assert!(!pipeline.holds() && !pipeline.is_in_doubt() && pipeline.in_doubt().is_empty());
    // A message that never ends is given up alone.
    let mut pipeline = tried(jobs(2));
    all(&mut pipeline, LINE);
    pipeline.on(Answered::Began { ask: Ask::Whole, given: true });
    pipeline.give_up_current();
    assert_eq!(pipeline.in_doubt().iter().map(|job| job.index).collect::<Vec<_>>(), [2]);
    // One that couldn't be sent was never asked for.
    let mut pipeline = tried(jobs(1));
    next(&mut pipeline, LINE);
    pipeline.not_sent();
    assert!(!pipeline.is_in_doubt());
}

/// A question that was refused is asked again, as long as it would confirm anything.
#[test]
fn a_refused_question_is_asked_again_for_what_is_in_doubt() {
    let mut pipeline = tried(jobs(1));
    all(&mut pipeline, LINE);
    arrives(&mut pipeline);
    assert_eq!(pipeline.on(Answered::Named { ok: false, text: b"busy" }), AnswerMeaning::Wait);
    assert!(pipeline.holds(), "a refusal proves nothing");
    assert_eq!(next(&mut pipeline, LINE), "question");
    assert_eq!(named(&mut pipeline), AnswerMeaning::Release(vec![()]));
    assert_eq!(next(&mut pipeline, LINE), "-");
    // While another question is out nothing need be asked again.
    let mut pipeline = tried(jobs(2));
    pipeline.standing.pace = QuestionPace::new(2, 32);
    assert_eq!(all(&mut pipeline, LINE).len(), 4);
    arrives(&mut pipeline);
    assert_eq!(pipeline.on(Answered::Named { ok: false, text: b"busy" }), AnswerMeaning::Wait);
    assert_eq!(next(&mut pipeline, LINE), "-", "the second covers both");
}

/// An answer that names another message than was asked about voids everything.
#[test]
fn an_answer_that_names_another_message_is_no_answer() {
    let mut pipeline = tried(jobs(1));
    all(&mut pipeline, LINE);
    arrives(&mut pipeline);
    assert_eq!(pipeline.on(Answered::Named { ok: true, text: b"1 99" }), AnswerMeaning::Unasked);
    assert!(pipeline.holds());
}

/// Where no answer names, there is one message in a session, alone on the line; more can't be believed.
#[test]
fn where_nothing_names_one_message_is_asked_for_and_no_other() {
    let nameless = || {
        let mut pipeline = tried(jobs(2));
        pipeline.standing.naming = Naming::new(1, Some(NamingForm::Nothing), false, None);
        pipeline
    };
    let mut pipeline = nameless();
    assert_eq!(next(&mut pipeline, BUSY), "-");
    assert_eq!(next(&mut pipeline, ALONE), "RETR 1");
    assert!(pipeline.is_alone());
    assert_eq!(next(&mut pipeline, ALONE), "-");
    assert!(pipeline.cut_short, "the rest is another session's");
    // It showed only after several had been asked for.
    let mut late = tried(jobs(2));
    all(&mut late, LINE);
    late.standing.naming = Naming::new(1, Some(NamingForm::Nothing), false, None);
    assert_eq!(next(&mut late, LINE), "nothing names");
}

/// Nothing new is begun once the round is closed; what is in doubt is still confirmed.
#[test]
fn a_closed_round_asks_only_its_last_question() {
    let mut pipeline = tried(jobs(2));
    assert_eq!(next(&mut pipeline, LINE), "RETR 1");
    pipeline.closed = true;
    assert_eq!(pipeline.upcoming(), None);
    assert_eq!(all(&mut pipeline, LINE), ["question"]);
    pipeline.closed = false;
    assert_eq!(pipeline.upcoming().map(|job| job.index), Some(2), "it was not lost");
}

/// `max-messages = 1`, and none has come.
fn one_may_come() -> Allowance {
    Allowance::new(&Policy { max_messages: Some(1), ..World::new().policy(Retention::Keep) })
}

/// What is compared counts in the limits only when it is retrieved whole, and waits until what is on its way is known.
#[test]
fn a_limit_is_asked_when_it_is_known_what_is_delivered() {
    let compared = |at| Job { counted: false, decision: Decision::Compare(Why::Duplicate), ..job(at, false) };
    let mut pipeline = tried(vec![compared(1), compared(2)]);
    pipeline.allowance = one_may_come();
    assert_eq!(all(&mut pipeline, LINE), ["RETR 1", "question"], "the second waits for the first");
    assert_eq!(pipeline.take_skipped().len(), 0);
    arrives(&mut pipeline);
    named(&mut pipeline);
    // It was one that we have.
    pipeline.allowance.give_back(Octets(100));
    assert_eq!(all(&mut pipeline, LINE), ["RETR 2", "question"]);
    let mut pipeline = tried(vec![compared(1), compared(2)]);
    pipeline.allowance = one_may_come();
    all(&mut pipeline, LINE);
    arrives(&mut pipeline);
    named(&mut pipeline);
    assert_eq!((all(&mut pipeline, LINE).len(), pipeline.take_skipped().len()), (0, 1), "it was other mail");
}

/// Commands that a session may still send are counted with what they lead to.
#[test]
fn a_message_is_charged_with_its_deletion_and_its_question() {
    for (deletes, decision, expected) in [
        (false, Decision::Retrieve(Why::New), 2),
        (true, Decision::Retrieve(Why::New), 3),
        (false, Decision::Delete(Why::Days), 3),
    ] {
        let jobs = vec![Job { decision, ..job(1, false) }];
        let mut pipeline = pipeline(jobs, Rules { deletes, ..ASKS }, SessionStanding::default());
        assert_eq!(all(&mut pipeline, LINE), ["RETR 1", "question"]);
        assert_eq!(pipeline.standing.charged, expected, "{deletes} {decision:?}");
    }
}

/// Where the session may end early, one that is compared is done to its end.
#[test]
fn what_has_begun_to_be_compared_is_noted_where_the_session_may_end() {
    let died = || HashMap::from([(ListedAs::Numbered(number(9), None), 0)]);
    let compare = Decision::Compare(Why::Doubtful);
    for (decision, budget, died, expected) in [
        (compare, Some(50), HashMap::new(), true),
        (compare, None, died(), true),
        (compare, None, HashMap::new(), false),
        (Decision::Retrieve(Why::New), Some(50), died(), false),
    ] {
        let standing = SessionStanding { budget, died, ..SessionStanding::default() };
        let mut pipeline = pipeline(vec![Job { decision, ..job(1, false) }], ASKS, standing);
        next(&mut pipeline, LINE);
        assert_eq!(pipeline.standing.begun.contains(&number(1)), expected, "{decision:?} {budget:?}");
    }
}
