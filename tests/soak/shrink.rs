//! Makes a failing story shorter: leaves parts out while it still fails in the same way.

use std::time::{Duration, Instant};

use crate::invariant::Kind;
use crate::life::{Outcome, play};
use crate::story::{Options, Policy, Step, Story};

/// Tries for this long at most.
const LONGEST: Duration = Duration::from_secs(20);

/// The shortest story found that fails like this one, and how it went.
pub fn shrink(mut story: Story, mut outcome: Outcome, kind: Kind) -> (Story, Outcome) {
    let began = Instant::now();
    'again: loop {
        for candidate in shorter(&story) {
            if began.elapsed() > LONGEST {
                return (story, outcome);
            }
            let tried = play(&candidate);
            if tried.violation.as_ref().is_some_and(|violation| violation.kind == kind) {
                (story, outcome) = (candidate, tried);
                continue 'again;
            }
        }
        return (story, outcome);
    }
}

/// The story with one part less, in every way; the largest parts first.
fn shorter(story: &Story) -> Vec<Story> {
    let mut found = Vec::new();
    for half in [story.steps.len() / 2, 1] {
        for index in (0..story.steps.len()).rev().step_by(half.max(1)) {
            let mut steps = story.steps.clone();
            steps.drain(index..(index + half.max(1)).min(story.steps.len()));
            found.push(Story { steps, ..story.clone() });
        }
    }
    for one in &story.traits.set {
        let mut traits = story.traits.clone();
        traits.set.remove(one);
        found.push(Story { traits, ..story.clone() });
    }
    for (index, step) in story.steps.iter().enumerate() {
        for simpler in simpler(step) {
            let mut steps = story.steps.clone();
            steps[index] = simpler;
            found.push(Story { steps, ..story.clone() });
        }
    }
    found
}

/// Plainer versions of a step.
fn simpler(step: &Step) -> Vec<Step> {
    match step {
        Step::Arrive(count) if *count > 1 => vec![Step::Arrive(count / 2), Step::Arrive(count - 1)],
        Step::Run(options) => {
            let changes: [fn(&mut Options); 10] = [
                |options| options.interruption = None,
                |options| options.flag = None,
                |options| options.max_messages = None,
                |options| options.max_bytes = None,
                |options| options.max_message_size = None,
                |options| options.refusal = None,
                |options| options.pipelining = "auto",
                |options| options.clock_off_by = 0,
                |options| options.policy = Policy::Keep,
                |options| {
                    options.named = true;
                    options.listing = "auto";
                },
            ];
            let changed = changes.into_iter().map(|change| {
                let mut simpler = options.clone();
                change(&mut simpler);
                simpler
            });
            let mut steps: Vec<Step> = changed.filter(|simpler| simpler != options).map(Step::Run).collect();
            if options.destinations.len() > 1 {
                for index in 0..options.destinations.len() {
                    let mut simpler = options.clone();
                    simpler.destinations.remove(index);
                    steps.push(Step::Run(simpler));
                }
            }
            steps
        }
        _ => Vec::new(),
    }
}
