//! The crash matrix (D1): a run is aborted at its durable step 1, 2, 3 … until one completes.  After each, a good run must
//! leave everything as an uninterrupted one would have, and one more change nothing.

use super::case::Kind::{Maildir, Mbox, Pipe};
use super::case::{Case, Plan};

fn at_every_step(plan: &Plan) {
    for step in 1.. {
        let case = Case::new(plan.clone());
        let run = case.popfetch().crash_at(step).run();
        if !run.crashed() {
            run.succeeds();
            case.is_complete(0);
            assert!(step > 12, "only {step} steps?");
            return;
        }
        case.nothing_partial_is_visible();
        case.deletions_were_safe();
        case.recovers(1);
    }
}

#[test]
fn d1_maildir_that_is_kept() {
    at_every_step(&Plan::new(&[Maildir], false));
}

#[test]
fn d1_maildir_that_is_deleted() {
    at_every_step(&Plan::new(&[Maildir], true).primed());
}

#[test]
fn d1_mbox_that_is_kept() {
    at_every_step(&Plan::new(&[Mbox], false).primed());
}

#[test]
fn d1_mbox_that_is_deleted() {
    at_every_step(&Plan::new(&[Mbox], true));
}

#[test]
fn d1_pipe_that_is_kept() {
    at_every_step(&Plan::new(&[Pipe], false));
}

#[test]
fn d1_pipe_that_is_deleted() {
    at_every_step(&Plan::new(&[Pipe], true).primed());
}

#[test]
fn d1_several_destinations_kept() {
    at_every_step(&Plan::new(&[Maildir, Mbox], false).with("sync = \"each\""));
}

#[test]
fn d1_several_destinations_deleted() {
    at_every_step(&Plan::new(&[Maildir, Mbox], true).primed());
}
