//! The pipeline against a server and a committer that choose what they do by a row of octets: for properties over every
//! order of answers, reports and stops, and for a fuzzer.

use std::collections::{HashMap, HashSet, VecDeque};

use super::naming::{Candidates, ExpectedName, Naming, NamingForm, NamingQuestion};
use super::standing::{HeaderSupport, QuestionPace, SessionStanding};
use super::{AnswerMeaning, Answered, Ask, Deletion, Job, Pipeline, Readiness, Rules, Send};
use crate::plan::{Allowance, Decision, Why};
use crate::proof::EntryId;
use crate::types::{MessageNumber, Octets, UniqueId};

/// More steps than these no simulation takes: it hangs.
const MOST_STEPS: usize = 5_000;
/// What every message counts.
const SIZE: u64 = 100;

/// Plays what these octets choose.
///
/// # Panics
/// When a property doesn't hold.
pub fn fuzz_pipeline(octets: &[u8]) {
    let played = simulate(octets);
    assert!(played.is_ok(), "{played:?}");
    let played = noise(octets);
    assert!(played.is_ok(), "{played:?}");
}

/// Choices, one for each octet; when there are no more, the first of those offered.
struct FuzzChoices<'o>(std::slice::Iter<'o, u8>);

impl FuzzChoices<'_> {
    fn below(&mut self, most: usize) -> usize {
        self.0.next().map_or(0, |octet| usize::from(*octet).checked_rem(most).unwrap_or(0))
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times.saturating_sub(1)
    }

    fn is_over(&self) -> bool {
        self.0.as_slice().is_empty()
    }
}

/// A message that may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SimulatedDelivery(MessageNumber);

impl Deletion for SimulatedDelivery {
    fn number(&self) -> MessageNumber {
        self.0
    }

    fn entry(&self) -> EntryId {
        EntryId(self.0.get())
    }
}

/// As many messages, `u1` and so on.
struct SimulatedListing(u32);

impl Candidates for SimulatedListing {
    fn places(&self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    fn sample(&self) -> &[usize] {
        &[]
    }

    fn at(&self, place: usize, form: NamingForm) -> Option<(MessageNumber, ExpectedName)> {
        let number = MessageNumber::new(u32::try_from(place).ok()?.checked_add(1)?)?;
        let expected = match form {
            NamingForm::UniqueId => {
                ExpectedName::UniqueId(UniqueId::new(format!("u{number}").as_bytes())?.to_buf())
            }
            _ => ExpectedName::Size(Octets(SIZE)),
        };
        (number.get() <= self.0).then_some((number, expected))
    }
}

/// What an answer will come to: the message, and whether it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    job: Job,
    given: bool,
    /// The command's place among all that were sent.
    sent: usize,
}

type Simulated = Pipeline<std::vec::IntoIter<Job>, Heard, SimulatedDelivery>;

/// A command on its way, and its place among all that were sent.
#[derive(Debug)]
enum SimulatedCommand {
    Asked(Job),
    Question(NamingQuestion),
    Delete(MessageNumber),
}

/// Which questions the server can answer.
#[derive(Debug, Clone, Copy)]
struct Answers {
    unique_ids: bool,
    sizes: bool,
    drop_listing: bool,
}

struct Play<'o> {
    choices: FuzzChoices<'o>,
    pipeline: Simulated,
    listing: SimulatedListing,
    answers: Answers,
    pipelines: bool,
    window: usize,
    deletes: bool,
    jobs: Vec<Job>,
    wire: VecDeque<(usize, SimulatedCommand)>,
    /// Commands sent,
    sent: usize,
    /// and answered.
    answered: usize,
    /// The message at the head of the wire has begun.
    begun: bool,
    /// Released, and with the committer.
    committing: Vec<Job>,
    /// Whatever came of it has been confirmed.
    confirmed: HashSet<MessageNumber>,
    deletable: HashSet<MessageNumber>,
    gone: HashSet<MessageNumber>,
    /// A deletion was sent where only the drop listing names.
    counted_otherwise: bool,
    /// Asked for, and not confirmed.
    doubted: HashMap<MessageNumber, Job>,
    skipped: HashSet<MessageNumber>,
}

type Played<T = ()> = Result<T, String>;

fn hold_that(holds: bool, what: impl FnOnce() -> String) -> Played {
    if holds { Ok(()) } else { Err(what()) }
}

/// A server that answers truly, if not everything, and a committer, in the order that the octets choose.
fn simulate(octets: &[u8]) -> Played {
    let mut play = Play::new(FuzzChoices(octets.iter()));
    for _ in 0..MOST_STEPS {
        if !play.fill()? {
            return Ok(());
        }
        if play.wire.is_empty() && play.committing.is_empty() {
            return play.end();
        }
        let commits = !play.committing.is_empty() && (play.wire.is_empty() || play.choices.once_in(3));
        if play.choices.once_in(40) {
            play.pipeline.closed = true;
        }
        if commits { play.commit() } else { play.answer()? }
    }
    Err("it doesn't end".to_owned())
}

impl<'o> Play<'o> {
    fn new(mut choices: FuzzChoices<'o>) -> Self {
        let count = u32::try_from(choices.below(12)).unwrap_or(0).saturating_add(1);
        let pipelines = !choices.once_in(3);
        let window = if pipelines { choices.below(6).saturating_add(1) } else { 1 };
        let answers = Answers {
            unique_ids: !choices.once_in(3),
            sizes: !choices.once_in(3),
            drop_listing: !choices.once_in(3),
        };
        let deletes = choices.once_in(2);
        let mut jobs: Vec<Job> = (0..count).filter_map(|place| job(&mut choices, place, deletes)).collect();
        jobs.sort_by_key(|job| (job.died, job.failures));
        let seed = u64::try_from(choices.below(256)).unwrap_or(0);
        let drop_listing = Some((count, Octets(u64::from(count).saturating_mul(SIZE))));
        let unique_ids = !choices.once_in(4);
        // What isn't listed isn't asked about.
        let answers = Answers { unique_ids: answers.unique_ids && unique_ids, ..answers };
        let careful = if choices.once_in(4) { choices.below(5) } else { 0 };
        let first = choices.below(4).saturating_add(1);
        let standing = SessionStanding {
            naming: Naming::new(seed, None, unique_ids, drop_listing),
            pace: QuestionPace::new(careful, first),
            header: HeaderSupport::new(choices.once_in(4)),
            budget: choices.once_in(5).then(|| u32::try_from(choices.below(20)).unwrap_or(0)),
            ..SessionStanding::default()
        };
        let rules = Rules { hands_over: choices.once_in(4), deletes, asks: true, waiting: 0 };
        let pipeline =
            Pipeline::new(jobs.clone().into_iter(), rules, standing, Vec::new(), Allowance::default());
        Self {
            choices,
            pipeline,
            listing: SimulatedListing(count),
            answers,
            pipelines,
            window,
            deletes,
            jobs,
            wire: VecDeque::new(),
            sent: 0,
            answered: 0,
            begun: false,
            committing: Vec::new(),
            confirmed: HashSet::new(),
            deletable: HashSet::new(),
            gone: HashSet::new(),
            counted_otherwise: false,
            doubted: HashMap::new(),
            skipped: HashSet::new(),
        }
    }

    /// Sends what may be sent; `false` when the session can't go on.
    fn fill(&mut self) -> Played<bool> {
        while self.wire.len() < self.window {
            let line = Readiness { pipelines: self.pipelines, at_rest: self.wire.is_empty() };
            let Ok(next) = self.pipeline.next(line, &self.listing) else {
                let Answers { unique_ids, sizes, drop_listing } = self.answers;
                let names = sizes || drop_listing || unique_ids;
                hold_that(!names, || "nothing names, it says, though something does".to_owned())?;
                return Ok(false);
            };
            self.skipped.extend(self.pipeline.take_skipped().iter().map(|job| job.number));
            let Some(next) = next else { return Ok(true) };
            let sent = match next {
                Send::Ask(job) => self.asked(job)?,
                Send::Question(question) => self.questioned(question)?,
                Send::Delete(SimulatedDelivery(number)) => self.deleted(number)?,
            };
            self.wire.push_back((self.sent, sent));
            self.sent = self.sent.saturating_add(1);
        }
        Ok(true)
    }

    fn asked(&mut self, job: Job) -> Played<SimulatedCommand> {
        let number = job.number;
        hold_that(!self.gone.contains(&number), || format!("{number} is asked for after its DELE"))?;
        let has_failed = |job: &Job| job.failures > 0 || job.died;
        let alone = self.doubted.is_empty() && self.wire.is_empty();
        hold_that(alone || !has_failed(&job), || format!("{number} has failed, and puts others in doubt"))?;
        let failed = self.doubted.values().find(|doubted| has_failed(doubted));
        hold_that(failed.is_none(), || format!("{number} is asked for behind {failed:?}"))?;
        hold_that(self.doubted.insert(number, job).is_none(), || format!("{number} is asked for twice"))?;
        Ok(SimulatedCommand::Asked(job))
    }

    fn questioned(&self, question: NamingQuestion) -> Played<SimulatedCommand> {
        let number = question.number;
        let asks_for_gone = number.is_some_and(|number| self.gone.contains(&number));
        hold_that(!asks_for_gone, || format!("{number:?} is asked about after its DELE"))?;
        hold_that(!self.counted_otherwise, || "something is asked behind a DELE that changes it".to_owned())?;
        Ok(SimulatedCommand::Question(question))
    }

    fn deleted(&mut self, number: MessageNumber) -> Played<SimulatedCommand> {
        hold_that(self.deletable.contains(&number), || format!("{number} is deleted unproven"))?;
        hold_that(self.gone.insert(number), || format!("{number} is deleted twice"))?;
        self.counted_otherwise |= self.pipeline.standing.naming.counts();
        Ok(SimulatedCommand::Delete(number))
    }

    /// The committer reports one of its messages.
    fn commit(&mut self) {
        let at = self.choices.below(self.committing.len());
        let job = self.committing.swap_remove(at);
        if job.ask == Ask::Whole {
            self.pipeline.free_room(job.size);
        }
        let failed = self.choices.once_in(5);
        if self.deletes && !failed {
            self.deletable.insert(job.number);
            self.pipeline.delete(SimulatedDelivery(job.number));
        }
    }

    /// The server answers the command at the head of the wire, or goes on with it.
    fn answer(&mut self) -> Played {
        let Some((sent, command)) = self.wire.front() else { return Ok(()) };
        let sent = *sent;
        let step = match command {
            SimulatedCommand::Asked(job) if !self.begun => {
                let (job, given) = (*job, !self.choices.once_in(4));
                let step = self.pipeline.on(Answered::Began { ask: job.ask, given });
                let expected = match (given, job.ask) {
                    (true, _) => matches!(step, AnswerMeaning::Begin(begun) if begun == job),
                    (false, Ask::Whole) => matches!(step, AnswerMeaning::Refused(refused) if refused == job),
                    (false, Ask::Header) => {
                        matches!(step, AnswerMeaning::NoHeader(refused, _) if refused == job)
                    }
                };
                hold_that(expected, || format!("{job:?}, given: {given}, comes to {step:?}"))?;
                if given {
                    self.begun = true;
                    return Ok(());
                }
                match job.ask {
                    Ask::Whole => self.pipeline.hold(Heard { job, given, sent }),
                    // It's asked for whole instead.
                    Ask::Header => drop(self.doubted.remove(&job.number)),
                }
                None
            }
            SimulatedCommand::Asked(job) => {
                let job = *job;
                let step = self.pipeline.on(Answered::Ended);
                let expected = matches!(step, AnswerMeaning::Complete(complete) if complete == job);
                hold_that(expected, || format!("the end of {job:?} comes to {step:?}"))?;
                self.begun = false;
                self.pipeline.hold(Heard { job, given: true, sent });
                None
            }
            SimulatedCommand::Question(question) => Some(self.answer_question(&question.clone())),
            SimulatedCommand::Delete(number) => {
                let (number, ok) = (*number, !self.choices.once_in(4));
                Some(self.pipeline.on(Answered::Deleted { number, ok, octets: Octets(SIZE) }))
            }
        };
        self.wire.pop_front();
        self.answered = self.answered.saturating_add(1);
        match step {
            Some(AnswerMeaning::Release(released)) => self.released(released, sent),
            Some(AnswerMeaning::Unasked) => Err("a true answer is out of step".to_owned()),
            _ => Ok(()),
        }
    }

    fn answer_question(&mut self, question: &NamingQuestion) -> AnswerMeaning<Heard> {
        let works = match question.expected {
            ExpectedName::UniqueId(_) => self.answers.unique_ids,
            ExpectedName::Size(_) => self.answers.sizes,
            ExpectedName::DropListing => self.answers.drop_listing,
        };
        let text = match (&question.expected, question.number) {
            (ExpectedName::UniqueId(id), Some(number)) => {
                format!("{number} {}", String::from_utf8_lossy(id.borrow().as_bytes()))
            }
            (ExpectedName::Size(octets), Some(number)) => format!("{number} {}", octets.0),
            _ => format!("{} {}", self.listing.0, u64::from(self.listing.0).saturating_mul(SIZE)),
        };
        self.pipeline.on(Answered::Named { ok: works, text: text.as_bytes() })
    }

    /// What is released has been asked for before the question at `asked` was.
    fn released(&mut self, released: Vec<Heard>, asked: usize) -> Played {
        // A header that was refused is held by nothing, and in doubt no more.
        let still: HashSet<MessageNumber> = self.pipeline.in_doubt().iter().map(|job| job.number).collect();
        self.doubted.retain(|number, _| still.contains(number));
        for Heard { job, given, sent } in released {
            hold_that(sent < asked, || format!("{} is released unnamed", job.number))?;
            hold_that(!still.contains(&job.number), || format!("{} is released in doubt", job.number))?;
            self.settle(job, given);
        }
        Ok(())
    }

    fn settle(&mut self, job: Job, given: bool) {
        if !given {
            self.confirmed.insert(job.number);
        } else if job.ask == Ask::Header {
            match self.choices.below(3) {
                0 => {
                    self.confirmed.insert(job.number);
                    self.committing.push(job);
                }
                1 => self.pipeline.again(Job { ask: Ask::Whole, ..job }),
                _ => {
                    let decision = Decision::Retrieve(Why::Doubtful);
                    self.pipeline.again(Job { ask: Ask::Whole, decision, ..job });
                }
            }
        } else {
            self.confirmed.insert(job.number);
            self.committing.push(job);
        }
    }

    /// Nothing is on its way, and nothing is sent any more.
    fn end(&mut self) -> Played {
        hold_that(self.sent == self.answered, || format!("{} of {}", self.answered, self.sent))?;
        if self.pipeline.is_alone() {
            // The farewell, answered in step, confirms it.
            let released = self.pipeline.release();
            return self.released(released, self.sent);
        }
        hold_that(!self.pipeline.is_in_doubt(), || format!("in doubt: {:?}", self.pipeline.in_doubt()))?;
        hold_that(!self.pipeline.holds(), || "something is held".to_owned())?;
        hold_that(!self.pipeline.has_deletions(), || "something is to be deleted".to_owned())?;
        let upcoming = self.pipeline.upcoming();
        hold_that(upcoming.is_none(), || format!("it waits for nothing with {upcoming:?}"))?;
        self.skipped.extend(self.pipeline.take_skipped().iter().map(|job| job.number));
        if self.pipeline.closed || self.pipeline.cut_short || self.pipeline.left_alone {
            return Ok(());
        }
        let missed = self
            .jobs
            .iter()
            .map(|job| job.number)
            .find(|number| !self.confirmed.contains(number) && !self.skipped.contains(number));
        hold_that(missed.is_none(), || format!("{missed:?} was forgotten"))
    }
}

fn job(choices: &mut FuzzChoices<'_>, place: u32, deletes: bool) -> Option<Job> {
    let number = MessageNumber::new(place.checked_add(1)?)?;
    let decision = match choices.below(4) {
        1 => Decision::Compare(Why::Doubtful),
        2 if deletes => Decision::Delete(Why::Days),
        _ => Decision::Retrieve(Why::New),
    };
    let compares = decision.why_compared().is_some();
    Some(Job {
        index: usize::try_from(place).ok()?,
        number,
        decision,
        size: SIZE,
        ask: if compares && !choices.once_in(3) { Ask::Header } else { Ask::Whole },
        counted: !compares,
        too_large: compares && choices.once_in(5),
        failures: u16::from(choices.once_in(5)),
        died: choices.once_in(8),
    })
}

/// A server that answers anything at any time: nothing is released but by an answer that names, and nothing is deleted
/// that wasn't to be.
fn noise(octets: &[u8]) -> Played {
    let mut play = Play::new(FuzzChoices(octets.iter()));
    while !play.choices.is_over() {
        let line = Readiness { pipelines: true, at_rest: play.choices.once_in(4) };
        if let Ok(Some(Send::Delete(SimulatedDelivery(number)))) = play.pipeline.next(line, &play.listing) {
            hold_that(play.deletable.contains(&number), || format!("{number} is deleted unproven"))?;
        }
        let number = MessageNumber::FIRST;
        let ask = if play.choices.once_in(3) { Ask::Header } else { Ask::Whole };
        let (given, ok) = (play.choices.once_in(2), play.choices.once_in(2));
        let answered = match play.choices.below(5) {
            0 => Answered::Began { ask, given },
            1 => Answered::Ended,
            2 => Answered::Named { ok, text: b"1 u1" },
            3 => Answered::Named { ok, text: b"" },
            _ => Answered::Deleted { number, ok, octets: Octets(SIZE) },
        };
        let names = matches!(answered, Answered::Named { ok: true, .. });
        match play.pipeline.on(answered) {
            AnswerMeaning::Release(_) => {
                hold_that(names, || format!("released by {answered:?}"))?;
                hold_that(play.pipeline.last_done().is_none(), || "released, and still in doubt".to_owned())?;
            }
            AnswerMeaning::Complete(job) => play.pipeline.hold(Heard { job, given: true, sent: 0 }),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::{noise, simulate};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Whatever is answered, reported or stopped in whatever order: nothing is released unnamed, nothing is deleted
        /// unproven, each answer belongs to one command, what has failed puts no other in doubt, and it ends.
        #[test]
        fn every_order_of_answers_and_reports_comes_to_an_end(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            simulate(&octets).unwrap();
        }

        #[test]
        fn no_noise_releases_or_deletes_anything(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            noise(&octets).unwrap();
        }
    }
}
