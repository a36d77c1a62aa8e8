//! What is sent in which order, how much of it at once, and which answers it takes.

use std::collections::VecDeque;

use super::{Known, Listing, Tried, dead, header, job, nothing_names, number, pipeline};
use crate::account::Retention;
use crate::plan::trial::World;
use crate::plan::{Allowance, Decision, Policy, Why};
use crate::proof::EntryId;
use crate::retrieval::pipeline::naming::{ExpectedName, Naming, NamingForm, NamingQuestion};
use crate::retrieval::pipeline::standing::{HeaderSupport, QuestionPace, SessionStanding};
use crate::retrieval::pipeline::{
    AnswerMeaning, Answered, Ask, FIRST_HEADERS, Job, MOST_TO_HAND_OVER, MOST_WAITING, ROOM, Readiness,
    Rules, Send,
};
use crate::types::Octets;

const MIB: u64 = 1 << 20;

/// A pipeline, and a server that answers when the test wants it to.
struct Wire {
    pipeline: Tried,
    line: Readiness,
    questions: VecDeque<NamingQuestion>,
}

impl Wire {
    fn new(jobs: Vec<Job>) -> Self {
        Self::with(jobs, Rules::default())
    }

    /// A round that asks for messages, by these rules besides.
    fn with(jobs: Vec<Job>, rules: Rules) -> Self {
        let pipeline = pipeline(jobs, Rules { asks: true, ..rules }, SessionStanding::default());
        let line = Readiness { pipelines: true, at_rest: true };
        Self { pipeline, line, questions: VecDeque::new() }
    }

    /// What is sent next: `R1` and `T1` ask for message 1, `D1` deletes it, `?` is a question; none where nothing is.
    fn next(&mut self) -> Option<String> {
        Some(match self.pipeline.next(self.line, &Listing) {
            Ok(None) => return None,
            Err(_) => "nothing names".to_owned(),
            Ok(Some(Send::Ask(Job { ask: Ask::Whole, number, .. }))) => format!("R{number}"),
            Ok(Some(Send::Ask(Job { ask: Ask::Header, number, .. }))) => format!("T{number}"),
            Ok(Some(Send::Delete(Known(number)))) => format!("D{number}"),
            Ok(Some(Send::Question(question))) => {
                self.questions.push_back(question);
                "?".to_owned()
            }
        })
    }

    /// All that may be sent now.
    fn all(&mut self) -> String {
        let mut sent = Vec::new();
        while let Some(next) = self.next() {
            let is_over = next == "nothing names";
            sent.push(next);
            assert!(sent.len() < 50, "it goes on for ever: {sent:?}");
            if is_over {
                break;
            }
        }
        sent.join(" ")
    }

    /// How many messages may be asked for now.
    fn asked(&mut self) -> usize {
        let mut asked = 0;
        while let Some(next) = self.next() {
            asked += usize::from(next != "?");
        }
        asked
    }

    /// The message that was asked for first comes, and is held.
    fn comes(&mut self, ask: Ask) {
        assert!(matches!(self.pipeline.on(Answered::Began { ask, given: true }), AnswerMeaning::Begin(_)));
        assert!(matches!(self.pipeline.on(Answered::Ended), AnswerMeaning::Complete(_)));
        self.pipeline.hold(());
    }

    /// The oldest question is answered as it should be; how many messages that releases.
    fn named(&mut self) -> usize {
        let question = self.questions.pop_front().unwrap();
        let text = match (question.expected, question.number) {
            (ExpectedName::Size(Octets(octets)), Some(number)) => format!("{number} {octets}"),
            other => panic!("{other:?}"),
        };
        match self.pipeline.on(Answered::Named { ok: true, text: text.as_bytes() }) {
            AnswerMeaning::Release(released) => released.len(),
            other => panic!("{other:?}"),
        }
    }

    /// The oldest question is refused.
    fn refused(&mut self) {
        self.questions.pop_front().unwrap();
        assert_eq!(self.pipeline.on(Answered::Named { ok: false, text: b"no" }), AnswerMeaning::Wait);
    }
}

fn jobs(count: u32) -> Vec<Job> {
    (1..=count).map(|at| job(at, false)).collect()
}

fn by_header(at: u32) -> Job {
    let mut job = job(at, false);
    header(&mut job);
    job
}

fn failed(at: u32) -> Job {
    Job { failures: 1, ..job(at, false) }
}

/// Compared whole: it isn't counted among what may be delivered.
fn uncounted(at: u32) -> Job {
    Job { decision: Decision::Compare(Why::Doubtful), counted: false, ..job(at, false) }
}

fn at_most(messages: u64) -> Allowance {
    let policy = Policy { max_messages: Some(messages), ..World::new().policy(Retention::Keep) };
    Allowance::new(&policy)
}

fn untried() -> Naming {
    Naming::new(1, None, false, Some((2, Octets(200))))
}

/// What a program gets is confirmed one by one, and what has failed or ended a connection puts nothing else in doubt, whether
/// it stands before the others or behind them.
#[test]
fn what_has_failed_is_asked_for_alone() {
    let programs = Rules { hands_over: true, ..Rules::default() };
    let cases: [(&str, Vec<Job>, Rules, &str, &str); 6] = [
        ("nothing special", jobs(2), Rules::default(), "R1 R2 ?", ""),
        ("a program", jobs(2), programs, "R1 ? R2 ?", ""),
        ("the first has failed", vec![failed(1), job(2, false)], Rules::default(), "R1 ?", "R2 ?"),
        ("the first ended a connection", vec![job(1, true), job(2, false)], Rules::default(), "R1 ?", "R2 ?"),
        ("the second has failed", vec![job(1, false), failed(2)], Rules::default(), "R1 ?", "R2 ?"),
        (
            "the second ended a connection",
            vec![job(1, false), job(2, true)],
            Rules::default(),
            "R1 ?",
            "R2 ?",
        ),
    ];
    for (what, jobs, rules, first, then) in cases {
        let mut wire = Wire::with(jobs, rules);
        assert_eq!(wire.all(), first, "{what}");
        if !then.is_empty() {
            wire.comes(Ask::Whole);
            assert_eq!(wire.all(), "", "{what}: it isn't confirmed");
            assert_eq!(wire.named(), 1);
            assert_eq!(wire.all(), then, "{what}");
        }
    }
    // Nor while a deletion waits for its answer: should the connection end now, it would be blamed.
    let mut wire = Wire::new(vec![failed(1)]);
    wire.line.at_rest = false;
    assert_eq!(wire.all(), "");
    wire.line.at_rest = true;
    assert_eq!(wire.all(), "R1 ?");
}

/// Where no answer names a message a session asks for one, at rest, and its end confirms it.
#[test]
fn where_nothing_names_a_session_asks_for_one_message() {
    for hands_over in [false, true] {
        let mut wire = Wire::with(jobs(2), Rules { hands_over, ..Rules::default() });
        nothing_names(&mut wire.pipeline);
        wire.line.at_rest = false;
        assert_eq!((wire.all().as_str(), wire.pipeline.is_alone()), ("", false));
        wire.line.at_rest = true;
        assert_eq!(wire.all(), "R1");
        assert!(wire.pipeline.is_alone() && wire.pipeline.cut_short);
        wire.comes(Ask::Whole);
        assert_eq!(wire.all(), "");
        assert!(wire.pipeline.holds());
        assert_eq!(wire.pipeline.release().len(), 1);
        assert!(!wire.pipeline.holds() && !wire.pipeline.is_in_doubt());
    }
    // What was asked for before that showed can't be confirmed any more.
    let mut wire = Wire::new(jobs(2));
    wire.pipeline.standing.naming =
        Naming::new(1, Some(NamingForm::DropListing), false, Some((2, Octets(200))));
    assert_eq!(wire.all(), "R1 R2 ?");
    for question in ["?", "?", "nothing names"] {
        wire.refused();
        assert_eq!(wire.all(), question);
    }
    // Nor where STAT was never answered, so that nothing can be asked.
    let mut wire = Wire::new(jobs(1));
    wire.pipeline.standing.naming = Naming::new(1, Some(NamingForm::DropListing), false, None);
    assert_eq!(wire.all(), "R1 nothing names");
}

/// Before the first message the server shows which question it can answer; where commands share a flight they go together.
#[test]
fn the_first_question_goes_before_the_first_message() {
    let fresh = |jobs: Vec<Job>, pipelines| {
        let mut wire = Wire::new(jobs);
        wire.pipeline.standing.naming = untried();
        wire.line.pipelines = pipelines;
        wire
    };
    let mut wire = fresh(jobs(2), true);
    assert_eq!(wire.all(), "? R1 R2 ?");
    // A refusal then doesn't hold the message up.
    let mut wire = fresh(jobs(2), true);
    assert_eq!(wire.next().as_deref(), Some("?"));
    wire.refused();
    assert_eq!(wire.all(), "R1 R2 ?");
    // One after the other: no message before one is known to work.
    let mut wire = fresh(jobs(2), false);
    for _ in 0..2 {
        assert_eq!(wire.next().as_deref(), Some("?"));
        wire.refused();
    }
    assert_eq!(wire.next().as_deref(), Some("?"));
    assert_eq!(wire.named(), 0);
    assert_eq!(wire.all(), "R1 R2 ?");
    // Nothing is asked where nothing is to be retrieved.
    for pipelines in [true, false] {
        let mut wire = fresh(Vec::new(), pipelines);
        wire.pipeline.delete(Known(number(2)));
        assert_eq!(wire.all(), "D2");
    }
}

/// The first messages are confirmed soon, the next ones in larger and larger groups; the question before them counts as
/// none.
#[test]
fn questions_become_rarer() {
    let mut wire = Wire::new(jobs(20));
    wire.pipeline.standing.naming = untried();
    wire.pipeline.standing.pace = QuestionPace::new(0, 1);
    let sent: String = wire.all().replace(' ', "").chars().filter(|c| !c.is_ascii_digit()).collect();
    assert_eq!(sent, "?R?RR?RRRR?RRRRRRRR?RRRRR?");
    // Large ones count by their octets; a header has none to speak of.
    let large = |job: Job| Job { size: 2 * MIB, ..job };
    let mut wire = Wire::new((1..=3).map(|at| large(job(at, false))).collect());
    assert_eq!(wire.all(), "R1 ? R2 ? R3 ?");
    let mut wire = Wire::new((1..=3).map(|at| large(by_header(at))).collect());
    assert_eq!(wire.all(), "T1 T2 T3 ?");
    // After a session that broke off they go one by one until as many have come as were in doubt then.
    let mut wire = Wire::new(jobs(6));
    wire.pipeline.standing.pace = QuestionPace::new(2, 32);
    for confirmed in 1..=2 {
        assert!(wire.next().unwrap().starts_with('R'));
        assert_eq!(wire.next().as_deref(), Some("?"));
        wire.comes(Ask::Whole);
        wire.named();
        assert_eq!(wire.pipeline.standing.confirmed, confirmed);
    }
    assert_eq!(wire.all(), "R3 R4 R5 R6 ?");
}

/// A question that was refused is asked again before anything else, unless another one is on its way already.
#[test]
fn a_refused_question_is_asked_again_at_once() {
    let scene = || {
        let mut wire = Wire::new(jobs(6));
        wire.pipeline.standing.pace = QuestionPace::new(0, 1);
        wire
    };
    let mut wire = scene();
    assert_eq!((wire.next().as_deref(), wire.next().as_deref()), (Some("R1"), Some("?")));
    wire.comes(Ask::Whole);
    wire.refused();
    assert_eq!(wire.next().as_deref(), Some("?"));
    assert_eq!(wire.named(), 1);
    let mut wire = scene();
    let sent: Vec<String> = (0..5).map_while(|_| wire.next()).collect();
    assert_eq!(sent, ["R1", "?", "R2", "R3", "?"]);
    wire.comes(Ask::Whole);
    wire.refused();
    assert_eq!(wire.next().as_deref(), Some("R4"));
}

/// As long as no header has come there may be no `TOP`; a message that came whole shows nothing of that.
#[test]
fn few_headers_are_asked_for_until_one_has_come() {
    for whole_before in [false, true] {
        let mut jobs: Vec<Job> = (2..=8).map(by_header).collect();
        if whole_before {
            jobs.insert(0, job(1, false));
        }
        let mut wire = Wire::new(jobs.clone());
        if whole_before {
            assert_eq!(wire.next().as_deref(), Some("R1"));
            wire.comes(Ask::Whole);
        }
        assert_eq!(wire.asked(), FIRST_HEADERS);
        wire.comes(Ask::Header);
        assert_eq!(wire.asked(), 7 - FIRST_HEADERS);
        // After three refusals there is none, and they are asked for whole: 6 was next, 5 is on its way.
        let mut wire = Wire::new(jobs);
        if whole_before {
            assert_eq!(wire.next().as_deref(), Some("R1"));
            wire.comes(Ask::Whole);
        }
        wire.asked();
        let refusals =
            (0..3).map(|_| match wire.pipeline.on(Answered::Began { ask: Ask::Header, given: false }) {
                AnswerMeaning::NoHeader(_, missing) => missing,
                other => panic!("{other:?}"),
            });
        assert!(refusals.eq([false, false, true]));
        assert_eq!(wire.all(), "R6 R2 R3 R4 R7 R8 ?");
    }
}

/// What is on its way or waits for the committer is bounded, in messages and in octets; but one is always asked for.
#[test]
fn a_slow_destination_stops_the_server() {
    for (hands_over, size, expected) in [
        (false, 0, MOST_WAITING),
        (true, 0, MOST_TO_HAND_OVER),
        (false, MIB, 64),
        (true, MIB, 64),
        (false, ROOM + 1, 1),
    ] {
        let what = format!("{hands_over}, {size}");
        let jobs: Vec<Job> = jobs(1100).into_iter().map(|job| Job { size, ..job }).collect();
        let mut wire = Wire::with(jobs, Rules { hands_over, ..Rules::default() });
        assert_eq!(wire.asked(), expected, "{what}");
        assert_eq!(wire.pipeline.under_way(), u64::try_from(expected).unwrap());
        // One was stored, one refused.
        wire.pipeline.free_room(size);
        assert_eq!(wire.asked(), 1, "{what}");
        let refused = wire.pipeline.on(Answered::Began { ask: Ask::Whole, given: false });
        assert!(matches!(refused, AnswerMeaning::Refused(_)));
        assert_eq!(wire.asked(), 1, "{what}");
        // One was larger than it was listed.
        wire.pipeline.grew(MIB);
        wire.pipeline.free_room(size);
        assert_eq!(wire.asked(), usize::from(size != MIB), "{what}");
    }
}

/// What is compared whole counts for the limits of the run if it may be other mail, and waits until the others are settled.
#[test]
fn a_limit_of_the_run_holds_for_what_is_compared_whole() {
    let scene = |jobs| {
        let mut wire = Wire::new(jobs);
        wire.pipeline.allowance = at_most(1);
        wire
    };
    for is_known in [false, true] {
        let mut wire = scene(vec![uncounted(1), uncounted(2)]);
        assert_eq!(wire.all(), "R1 ?");
        wire.comes(Ask::Whole);
        assert_eq!(
            (wire.all().as_str(), wire.pipeline.take_skipped()),
            ("", Vec::new()),
            "it may yet be known"
        );
        wire.named();
        if is_known {
            wire.pipeline.allowance.give_back(Octets(100));
        }
        let skipped =
            |wire: &mut Wire| wire.pipeline.take_skipped().iter().map(|job| job.index).collect::<Vec<_>>();
        let found = (wire.all(), skipped(&mut wire));
        assert_eq!(found, if is_known { ("R2 ?".to_owned(), vec![]) } else { (String::new(), vec![2]) });
    }
    // What was counted when it was decided isn't counted twice.
    assert_eq!(scene(vec![job(1, false), uncounted(2)]).all(), "R1 R2 ?");
}

/// On a server that takes few commands each message is charged with all that it will need.
#[test]
fn a_message_is_charged_with_its_deletion_where_one_may_follow() {
    for (deletes, decision, charged) in [
        (false, Decision::Retrieve(Why::New), 2),
        (true, Decision::Retrieve(Why::New), 3),
        (false, Decision::Delete(Why::Days), 3),
    ] {
        let jobs = vec![Job { decision, ..job(1, false) }];
        let mut wire = Wire::with(jobs, Rules { deletes, ..Rules::default() });
        assert_eq!(wire.all(), "R1 ?");
        assert_eq!(wire.pipeline.standing.charged, charged, "{deletes} {decision:?}");
    }
}

/// Where the session may end early, what is compared is done to its end.
#[test]
fn what_is_compared_has_begun_where_the_session_may_end_early() {
    for (compared, few, died, begun) in [
        (true, true, false, true),
        (true, false, true, true),
        (true, false, false, false),
        (false, true, true, false),
    ] {
        let asked = if compared { uncounted(1) } else { job(1, false) };
        let mut wire = Wire::new(vec![asked]);
        wire.pipeline.standing.budget = few.then_some(100);
        if died {
            dead(&mut wire.pipeline, &mut job(9, true));
        }
        assert_eq!(wire.next().as_deref(), Some("R1"));
        assert_eq!(wire.pipeline.standing.begun.contains(&number(1)), begun, "{compared} {few} {died}");
    }
}

/// Deletions share a flight with messages; else messages come first, each deletion costs a round trip.  Where only the drop
/// listing names they wait for a round that asks nothing.
#[test]
fn deletions_go_out_when_they_hold_nothing_up() {
    for (pipelines, expected) in [(true, "D2 R1 ?"), (false, "R1 D2 ?")] {
        let mut wire = Wire::new(jobs(1));
        wire.line.pipelines = pipelines;
        wire.pipeline.delete(Known(number(2)));
        assert!(wire.pipeline.has_deletions());
        assert_eq!(wire.all(), expected);
        assert!(!wire.pipeline.has_deletions());
    }
    for (form, asks, expected) in [
        (NamingForm::DropListing, true, ""),
        (NamingForm::DropListing, false, "D2"),
        (NamingForm::Size, true, "D2"),
    ] {
        let mut wire = Wire::new(Vec::new());
        wire.pipeline.rules.asks = asks;
        wire.pipeline.standing.naming = Naming::new(1, Some(form), false, Some((2, Octets(200))));
        wire.pipeline.delete(Known(number(2)));
        assert_eq!(wire.pipeline.has_deletions(), !expected.is_empty(), "{form:?} {asks}");
        assert_eq!(wire.all(), expected, "{form:?} {asks}");
        assert_eq!(wire.pipeline.take_deletions().is_empty(), !expected.is_empty());
    }
}

/// Where sizes are refused after a deletion, what the drop listing counts then names as well.
#[test]
fn what_was_deleted_may_be_missing_in_the_drop_listing() {
    for (answer, names) in [("1 100", true), ("2 200", true), ("1 200", false)] {
        let mut wire = Wire::new(jobs(1));
        wire.pipeline.standing.naming = Naming::new(1, Some(NamingForm::Size), false, Some((2, Octets(200))));
        wire.pipeline.delete(Known(number(2)));
        assert_eq!(wire.all(), "D2 R1 ?");
        let deleted = Answered::Deleted { number: number(2), ok: true, octets: Octets(100) };
        assert_eq!(wire.pipeline.on(deleted), AnswerMeaning::Gone(EntryId(2)));
        wire.comes(Ask::Whole);
        for _ in 0..3 {
            wire.refused();
            assert_eq!(wire.all(), "?");
        }
        let answer = wire.pipeline.on(Answered::Named { ok: true, text: answer.as_bytes() });
        assert_eq!(answer, if names { AnswerMeaning::Release(vec![()]) } else { AnswerMeaning::Unasked });
    }
}

/// An answer that nothing in flight can have belongs to no command, and changes nothing.
#[test]
fn an_answer_belongs_to_the_oldest_command_of_its_sort() {
    let mut wire = Wire::new(vec![job(1, false), by_header(2), job(3, false)]);
    let began = |wire: &mut Wire, ask| match wire.pipeline.on(Answered::Began { ask, given: true }) {
        AnswerMeaning::Begin(job) => Some(job.index),
        AnswerMeaning::Unasked => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(began(&mut wire, Ask::Whole), None, "nothing was asked for");
    assert_eq!(wire.all(), "R1 T2 R3 ?");
    assert_eq!(began(&mut wire, Ask::Header), None, "a message was asked for before it");
    assert_eq!(wire.pipeline.on(Answered::Ended), AnswerMeaning::Unasked, "none has begun");
    let unknown = Answered::Deleted { number: number(1), ok: true, octets: Octets(100) };
    assert_eq!(wire.pipeline.on(unknown), AnswerMeaning::Unasked);
    assert_eq!(began(&mut wire, Ask::Whole), Some(1));
    for ask in [Ask::Header, Ask::Whole] {
        assert_eq!(began(&mut wire, ask), None, "one is arriving");
    }
    assert!(matches!(wire.pipeline.on(Answered::Ended), AnswerMeaning::Complete(Job { index: 1, .. })));
    assert_eq!(began(&mut wire, Ask::Whole), None, "a header was asked for before it");
    assert_eq!(began(&mut wire, Ask::Header), Some(2));
    assert!(matches!(wire.pipeline.on(Answered::Ended), AnswerMeaning::Complete(Job { index: 2, .. })));
    assert_eq!(began(&mut wire, Ask::Whole), Some(3));
    assert_eq!(wire.pipeline.in_doubt().iter().map(|job| job.index).collect::<Vec<_>>(), [1, 2, 3]);
}

/// What never went out can't be what the connection ended at, and what was given up isn't blamed twice.
#[test]
fn only_what_was_sent_and_is_not_settled_is_in_doubt() {
    let mut wire = Wire::new(jobs(2));
    assert_eq!(wire.next().as_deref(), Some("R1"));
    wire.pipeline.not_sent();
    assert!(!wire.pipeline.is_in_doubt() && wire.pipeline.ending().suspects.is_empty());
    let mut wire = Wire::new(jobs(1));
    wire.all();
    wire.pipeline.on(Answered::Began { ask: Ask::Whole, given: true });
    wire.pipeline.give_up_current();
    assert!(!wire.pipeline.is_in_doubt() && wire.pipeline.ending().suspects.is_empty());
    // One of each: confirmed by nothing, arriving, and asked for.
    let mut wire = Wire::new(jobs(3));
    wire.all();
    wire.comes(Ask::Whole);
    wire.pipeline.on(Answered::Began { ask: Ask::Whole, given: true });
    assert_eq!(wire.pipeline.in_doubt().len(), 3);
    assert_eq!(wire.pipeline.void().len(), 1, "what was held");
    assert!(wire.pipeline.in_doubt().is_empty() && !wire.pipeline.is_in_doubt() && !wire.pipeline.holds());
}

/// A stop, or an error, lets what is on its way come, and nothing more.
#[test]
fn nothing_new_is_asked_for_once_it_is_closed() {
    let mut wire = Wire::new(jobs(2));
    assert_eq!(wire.next().as_deref(), Some("R1"));
    wire.pipeline.closed = true;
    assert_eq!(wire.all(), "?", "what was asked for is confirmed");
    assert!(wire.pipeline.upcoming().is_none());
    wire.pipeline.closed = false;
    assert_eq!(wire.all(), "R2 ?");
    // A header that is missing after all is asked for whole, however often it is looked at.
    let mut wire = Wire::new(vec![by_header(1)]);
    wire.pipeline.standing.header = HeaderSupport::new(true);
    assert_eq!(
        [wire.pipeline.upcoming(), wire.pipeline.upcoming()].map(|job| job.unwrap().ask),
        [Ask::Whole; 2]
    );
    assert_eq!(wire.all(), "R1 ?");
}
