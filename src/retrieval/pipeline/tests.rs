mod sending;

use std::collections::{HashMap, HashSet};

use super::naming::{Candidates, ExpectedName, Naming, NamingForm};
use super::standing::{HeaderSupport, QuestionPace, SessionStanding};
use super::{
    AnswerMeaning, Answered, Ask, Deletion, Job, MOST_DELETIONS, Permit, Pipeline, Readiness, Rules, Send,
};
use crate::account::Retention;
use crate::ledger::memory::ListedAs;
use crate::plan::trial::World;
use crate::plan::{Allowance, Decision, Policy, Why};
use crate::proof::EntryId;
use crate::types::{MessageNumber, Octets};

/// A deletion that needs no proof.
#[derive(Debug, PartialEq, Eq)]
struct Known(MessageNumber);

impl Deletion for Known {
    fn number(&self) -> MessageNumber {
        self.0
    }

    fn entry(&self) -> EntryId {
        EntryId(self.0.get())
    }
}

/// Two messages of 100 octets.
struct Listing;

impl Candidates for Listing {
    fn places(&self) -> usize {
        2
    }

    fn sample(&self) -> &[usize] {
        &[]
    }

    fn at(&self, place: usize, _: NamingForm) -> Option<(MessageNumber, ExpectedName)> {
        Some((number(u32::try_from(place).unwrap() + 1), ExpectedName::Size(Octets(100))))
    }
}

fn number(number: u32) -> MessageNumber {
    MessageNumber::new(number).unwrap()
}

fn job(at: u32, died: bool) -> Job {
    Job {
        index: at as usize,
        number: number(at),
        decision: Decision::Retrieve(Why::New),
        size: 100,
        ask: Ask::Whole,
        counted: true,
        too_large: false,
        failures: 0,
        died,
    }
}

type Tried = Pipeline<std::vec::IntoIter<Job>, (), Known>;

fn pipeline(jobs: Vec<Job>, rules: Rules, standing: SessionStanding) -> Tried {
    let standing = SessionStanding {
        naming: Naming::new(1, Some(NamingForm::Size), false, None),
        pace: QuestionPace::new(0, 32),
        ..standing
    };
    Pipeline::new(jobs.into_iter(), rules, standing, Vec::new(), Allowance::default())
}

const LINE: Readiness = Readiness { pipelines: true, at_rest: true };

#[test]
fn a_session_asks_for_no_more_than_it_may_delete() {
    let rules = |waiting| Rules { asks: true, deletes: true, waiting, ..Rules::default() };
    let asked = |waiting: usize, gone: usize, ready: usize| {
        let gone: HashSet<MessageNumber> = (1..=gone).map(|at| number(at as u32 + 100)).collect();
        let standing = SessionStanding { gone, ..SessionStanding::default() };
        let mut pipeline = pipeline(vec![job(1, false)], rules(waiting), standing);
        (0..ready).for_each(|_| pipeline.delete(Known(number(50))));
        (pipeline.upcoming().is_some(), pipeline.cut_short)
    };
    assert_eq!(asked(MOST_DELETIONS - 1, 0, 0), (true, false));
    for (waiting, gone, ready) in
        [(MOST_DELETIONS, 0, 0), (0, MOST_DELETIONS, 0), (0, 0, MOST_DELETIONS), (MOST_DELETIONS - 2, 1, 1)]
    {
        assert_eq!(asked(waiting, gone, ready), (false, true), "{waiting}, {gone}, {ready}");
    }
}

/// Which messages are suspected when the connection ends, whether each has failed, and whether it has ended before at others.
#[test]
fn the_end_of_the_connection_is_blamed_on_what_it_has_ended_at_before() {
    let died = HashMap::from([(ListedAs::Numbered(number(9), None), 0)]);
    // The jobs, how far the first has come, what came through, and whether something died before.
    let ending = |died_before: bool, here: bool, confirmed: u32, others_came: bool, begun: bool| {
        let died = if died_before { died.clone() } else { HashMap::new() };
        let standing = SessionStanding { confirmed, others_came, died, ..SessionStanding::default() };
        let mut pipeline = pipeline(vec![job(1, here)], Rules { asks: true, ..Rules::default() }, standing);
        assert!(matches!(pipeline.next(LINE, &Listing), Ok(Some(Send::Ask(Job { index: 1, .. })))));
        if begun {
            let begun = pipeline.on(Answered::Began { ask: Ask::Whole, given: true });
            assert!(matches!(begun, AnswerMeaning::Begin(_)));
        }
        let ending = pipeline.ending();
        (ending.suspects.iter().map(|(job, failed)| (job.index, *failed)).collect::<Vec<_>>(), ending.again)
    };
    for begun in [false, true] {
        // The first time nobody is blamed.
        assert_eq!(ending(false, false, 0, false, begun), (vec![(1, false)], false));
        assert_eq!(ending(false, false, 3, true, begun), (vec![(1, false)], false));
        // At another one than before: the sessions are cut, if others came through in this one.
        assert_eq!(ending(true, false, 1, false, begun), (vec![(1, false)], true));
        assert_eq!(ending(true, false, 0, true, begun), (vec![(1, false)], false));
        // At the same again: it has failed, if others came through, in this session or before.
        assert_eq!(ending(true, true, 0, false, begun), (vec![(1, false)], false));
        assert_eq!(ending(true, true, 1, false, begun), (vec![(1, true)], false));
        assert_eq!(ending(true, true, 0, true, begun), (vec![(1, true)], false));
    }
}

/// The one whose end couldn't be believed, and the next.
#[test]
fn between_two_messages_both_are_suspected() {
    let standing = SessionStanding { confirmed: 1, ..SessionStanding::default() };
    let rules = Rules { asks: true, ..Rules::default() };
    let mut pipeline = pipeline(vec![job(1, false), job(2, false)], rules, standing);
    for _ in 0..2 {
        assert!(matches!(pipeline.next(LINE, &Listing), Ok(Some(Send::Ask(_)))));
    }
    pipeline.on(Answered::Began { ask: Ask::Whole, given: true });
    pipeline.on(Answered::Ended);
    let suspects: Vec<usize> = pipeline.ending().suspects.iter().map(|(job, _)| job.index).collect();
    assert_eq!(suspects, [1, 2]);
}

/// A message that is asked for by its header, and then whole, is one message.
#[test]
fn several_messages_are_told_from_one_that_is_asked_for_twice() {
    for (second, several) in [(1, false), (2, true)] {
        let jobs = vec![Job { ask: Ask::Header, ..job(1, false) }, job(second, false)];
        let mut pipeline =
            pipeline(jobs, Rules { asks: true, ..Rules::default() }, SessionStanding::default());
        for _ in 0..2 {
            assert!(matches!(pipeline.next(LINE, &Listing), Ok(Some(Send::Ask(_)))));
        }
        assert_eq!((pipeline.standing.several, pipeline.standing.asked), (several, 2));
    }
}

/// Whether a message may be asked for now, and by what.
#[test]
fn what_may_be_asked_for_in_this_session() {
    type Change = fn(&mut Tried, &mut Job);
    let cases: [(&str, Change, &str); 26] = [
        ("a new message", |_, _| {}, "now Whole"),
        ("one by its header", |_, job| header(job), "now Header"),
        // A server that takes only as many commands: the message, its question and its deletion must fit.
        (
            "enough commands are left",
            |p, _| (p.standing.budget, p.standing.charged) = (Some(10), 7),
            "now Whole",
        ),
        ("too few are left", |p, _| (p.standing.budget, p.standing.charged) = (Some(10), 8), "later"),
        (
            "too few, but none was sent",
            |p, _| (p.standing.budget, p.standing.charged) = (Some(2), 0),
            "now Whole",
        ),
        (
            "too few, but it has begun",
            |p, job| {
                (p.standing.budget, p.standing.charged) = (Some(10), 9);
                p.standing.begun.insert(job.number);
            },
            "now Whole",
        ),
        ("one was asked for where no answer names", |p, _| p.alone = true, "later"),
        // A session broke off at it before.
        ("it begins the session", |p, job| dead(p, job), "now Whole"),
        (
            "others were asked for before it",
            |p, job| {
                dead(p, job);
                p.standing.asked = 1;
            },
            "first only",
        ),
        (
            "it has begun itself",
            |p, job| {
                dead(p, job);
                p.standing.asked = 1;
                p.standing.begun.insert(job.number);
            },
            "now Whole",
        ),
        (
            "that was another one",
            |p, job| {
                dead(p, job);
                (p.standing.asked, job.died) = (1, false);
            },
            "now Whole",
        ),
        (
            "that is forgotten",
            |p, job| {
                dead(p, job);
                p.standing.asked = 1;
                p.standing.died.clear();
            },
            "now Whole",
        ),
        // No answer names a message.
        (
            "nothing names: whole",
            |p, job| {
                nothing_names(p);
                header(job);
            },
            "now Whole",
        ),
        (
            "nothing names: none is deleted",
            |p, job| {
                nothing_names(p);
                job.decision = Decision::Delete(Why::Days);
            },
            "never",
        ),
        (
            "nothing names: none is identified",
            |p, job| {
                nothing_names(p);
                header(job);
                job.decision = Decision::Identify;
            },
            "never",
        ),
        ("a deletion otherwise", |_, job| job.decision = Decision::Delete(Why::Days), "now Whole"),
        (
            "identified by its header",
            |_, job| {
                header(job);
                job.decision = Decision::Identify;
            },
            "now Header",
        ),
        // There is no TOP.
        (
            "no header: whole",
            |p, job| {
                p.standing.header = HeaderSupport::new(true);
                header(job);
            },
            "now Whole",
        ),
        (
            "no header: none is identified",
            |p, job| {
                p.standing.header = HeaderSupport::new(true);
                header(job);
                job.decision = Decision::Identify;
            },
            "never",
        ),
        // It was set aside after it had come whole.
        (
            "set aside, few commands",
            |p, job| {
                p.standing.budget = Some(100);
                p.standing.aside.insert(job.number);
                header(job);
            },
            "now Whole",
        ),
        (
            "set aside, as many as it likes",
            |p, job| {
                p.standing.aside.insert(job.number);
                header(job);
            },
            "now Header",
        ),
        (
            "not set aside, few commands",
            |p, job| {
                p.standing.budget = Some(100);
                header(job);
            },
            "now Header",
        ),
        // It isn't to be retrieved.
        ("too large to be compared whole", |_, job| (job.counted, job.too_large) = (false, true), "never"),
        (
            "too large, but by its header",
            |_, job| {
                header(job);
                job.too_large = true;
            },
            "now Header",
        ),
        (
            "a limit of the run",
            |p, job| {
                limited(p);
                job.counted = false;
            },
            "when counted",
        ),
        ("a limit, but it was counted", |p, _| limited(p), "now Whole"),
    ];
    for (what, change, expected) in cases {
        let mut pipeline =
            pipeline(Vec::new(), Rules { asks: true, ..Rules::default() }, SessionStanding::default());
        let mut job = job(1, false);
        change(&mut pipeline, &mut job);
        let permit = match pipeline.permitted(job) {
            Permit::Now(job) => format!("now {:?}", job.ask),
            Permit::LaterSession => "later".to_owned(),
            Permit::FirstOnly => "first only".to_owned(),
            Permit::Never => "never".to_owned(),
            Permit::WhenCounted => "when counted".to_owned(),
        };
        assert_eq!(permit, expected, "{what}");
    }
}

fn header(job: &mut Job) {
    (job.decision, job.ask, job.counted) = (Decision::Compare(Why::Doubtful), Ask::Header, false);
}

fn dead(pipeline: &mut Tried, job: &mut Job) {
    job.died = true;
    pipeline.standing.died.insert(ListedAs::Numbered(job.number, None), 0);
}

fn nothing_names(pipeline: &mut Tried) {
    pipeline.standing.naming = Naming::new(1, Some(NamingForm::Nothing), false, None);
}

/// One message was to be delivered in this run, and has been.
fn limited(pipeline: &mut Tried) {
    let policy = Policy { max_messages: Some(1), ..World::new().policy(Retention::Keep) };
    pipeline.allowance = Allowance::new(&policy);
    pipeline.allowance.delivered(1, Octets(100));
}
