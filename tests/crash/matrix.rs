//! The crash matrix: a run is aborted at its durable step 1, 2, 3 … until one completes.  After each, a good run must
//! leave everything as an uninterrupted one would have, and one more change nothing.

use super::case::Kind::{Maildir, Mbox, Pipe};
use super::case::{Case, Plan, killed_at_every_step, tiny};

fn at_every_step(plan: &Plan) {
    killed_at_every_step(|| (Case::new(plan.clone()), ()));
}

#[test]
fn maildir_keeping() {
    at_every_step(&Plan::new(&[Maildir], false).on_disk());
}

#[test]
fn maildir_deleting() {
    at_every_step(&Plan::new(&[Maildir], true).primed());
}

#[test]
fn mbox_keeping() {
    at_every_step(&Plan::new(&[Mbox], false).primed());
}

#[test]
fn mbox_deleting() {
    at_every_step(&Plan::new(&[Mbox], true));
}

#[test]
fn pipe_keeping() {
    at_every_step(&Plan::new(&[Pipe], false));
}

#[test]
fn pipe_deleting() {
    at_every_step(&Plan::new(&[Pipe], true).primed());
}

#[test]
fn several_destinations_keeping() {
    at_every_step(&Plan::new(&[Maildir, Mbox], false));
}

#[test]
fn several_destinations_deleting() {
    at_every_step(&Plan::new(&[Maildir, Mbox], true).primed());
}

/// Some hundred messages in one run: several batches, with the committer at work on one while the next arrives.
fn across_batches(plan: &Plan) {
    let trial = Case::new(plan.clone());
    let steps = trial.popfetch().record_steps().run().steps;
    trial.is_complete(0);
    // What isn't a message's own: where the kind of step changes, and some in between.
    let folder_and_step = |line: &String| {
        let (_, step) = line.split_once(' ').unwrap();
        step.rsplit_once('/').map_or(step.to_owned(), |(folder, _)| folder.to_owned())
    };
    let mut changes: Vec<usize> = (1..steps.len())
        .filter(|at| folder_and_step(&steps[*at]) != folder_and_step(&steps[at - 1]))
        .collect();
    let between = changes.len().div_ceil(20);
    changes = changes.into_iter().step_by(between).chain((0..steps.len()).step_by(steps.len() / 8)).collect();
    for step in changes {
        let case = Case::new(plan.clone());
        if case.popfetch().crash_at(step as u64 + 1).run().crashed() {
            case.nothing_partial_is_visible();
            case.deletions_were_safe();
        }
        case.recovers(1);
    }
}

#[test]
fn maildir_in_several_batches() {
    across_batches(&Plan::new(&[Maildir], true).primed().of(tiny(300)));
}

#[test]
fn mbox_in_several_batches() {
    across_batches(&Plan::new(&[Mbox], false).primed().of(tiny(300)));
}

/// A run dies, and then the run that repairs it dies at each of its steps.
fn twice(plan: &Plan, begins: impl Fn(&str) -> bool) {
    let plan = plan.clone().of(tiny(2));
    let steps = Case::new(plan.clone()).popfetch().record_steps().run().steps;
    let first =
        steps.iter().position(|step| begins(step)).expect("where the ledger begins to know") as u64 + 1;
    for first in first.. {
        let case = Case::new(plan.clone());
        if !case.popfetch().crash_at(first).run().crashed() {
            assert!(first > 12, "only {first} steps?");
            return;
        }
        let (saved, maildrop) = (case.save(), case.server.maildrop("me"));
        for second in 1.. {
            case.restore(&saved, &maildrop);
            let crashed = case.popfetch().crash_at(second).run().crashed();
            if !crashed {
                case.is_complete(2);
                break;
            }
            case.nothing_partial_is_visible();
            case.run().succeeds();
            case.is_complete(2);
        }
    }
}

#[test]
fn maildir_crash_in_recovery() {
    twice(&Plan::new(&[Maildir], true), |step| step.contains(" Reserve "));
}

#[test]
fn mbox_crash_in_recovery() {
    twice(&Plan::new(&[Mbox], true), |step| step.contains(" Reserve "));
}
