//! The disk refuses: at each durable step once, or from there on.  Nothing is deleted that isn't stored, nothing
//! partial is visible, the exit code shows it, and the next good run repairs everything on its own.
//!
//! Cases of docs/protocol.md §9: D3.
use crate::crash::case::Kind::{Maildir, Mbox, Pipe};
use crate::crash::case::{Case, Kind, Plan};
use crate::support::mailboxes::assert_same;

const ERRORS: [&str; 4] = ["EIO", "ENOSPC", "EDQUOT", "EFBIG"];

fn at_every_step(plan: &Plan, from_there_on: bool) {
    let longest = Case::new(plan.clone()).popfetch().record_steps().run().steps.len() as u64;
    for step in 1..=longest {
        let turn = step as usize + if from_there_on { 2 } else { 0 };
        let errno = ERRORS[turn % ERRORS.len()];
        let case = Case::new(plan.clone());
        let run = case.popfetch().record_steps();
        let run = if from_there_on { run.fail_from(step, errno) } else { run.fail_at(step, errno) }.run();
        let shown =
            || format!("step {step}, {errno}: {:?}\n{}", run.steps.get(step as usize - 1), run.shown());
        match run.code() {
            Some(73 | 74) => assert!(!run.stderr.is_empty(), "{}", shown()),
            // What was refused was not needed: all the mail is there.
            Some(0) => {
                for kind in plan.kinds {
                    assert_same(case.delivered(*kind), case.expected());
                }
                assert!(!plan.deletes || case.server.unique_ids("me").is_empty(), "{}", shown());
            }
            _ => panic!("{}", shown()),
        }
        case.nothing_partial_is_visible();
        case.deletions_were_safe();
        // Where not even cutting off a part is possible, the dotlock must hide it.
        assert!(from_there_on || !case.sandbox.path("mail/box.lock").exists(), "{}", shown());
        case.recovers(1);
    }
    assert!(longest > 12, "only {longest} steps?");
}

fn plan(kinds: &'static [Kind]) -> Plan {
    Plan::new(kinds, true)
}

#[test]
fn maildir_each_step_fails_once() {
    at_every_step(&plan(&[Maildir]), false);
}

#[test]
fn maildir_every_step_from_one_on_fails() {
    at_every_step(&plan(&[Maildir]).primed(), true);
}

#[test]
fn mbox_each_step_fails_once() {
    at_every_step(&plan(&[Mbox]).primed(), false);
}

#[test]
fn mbox_every_step_from_one_on_fails() {
    at_every_step(&plan(&[Mbox]), true);
}

#[test]
fn pipe_each_step_fails_once() {
    at_every_step(&plan(&[Pipe]), false);
}

#[test]
fn pipe_every_step_from_one_on_fails() {
    at_every_step(&plan(&[Pipe]).primed(), true);
}

#[test]
fn several_destinations_each_step_fails_once() {
    at_every_step(&plan(&[Maildir, Mbox]).primed(), false);
}
