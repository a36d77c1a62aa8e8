//! The disk refuses: at each durable step once, or from there on.  Nothing is deleted that isn't stored, nothing
//! partial is visible, the exit code shows it, and the next good run repairs everything on its own.
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

/// The disk fails at each step of a run that has to settle what the run before, which was killed, has left.
#[cfg(feature = "crash-points")]
fn while_settling(left: &Case, errors: &[&str]) {
    let (saved, maildrop) = (left.save(), left.server.maildrop("me"));
    let longest = left.popfetch().record_steps().run().steps.len();
    assert!(longest > 12, "only {longest} steps?");
    // It settles first.
    for step in 1..=longest.min(30) {
        left.restore(&saved, &maildrop);
        let errno = errors[step % errors.len()];
        let run = left.popfetch().record_steps().fail_at(step as u64, errno).run();
        let shown = || format!("step {step}, {errno}: {:?}\n{}", run.steps.get(step - 1), run.shown());
        assert!(matches!(run.code(), Some(0 | 73 | 74)), "{}", shown());
        left.nothing_partial_is_visible();
        left.run().succeeds();
        left.is_complete(0);
    }
}

#[test]
#[cfg(feature = "crash-points")]
fn a_disk_that_fails_while_waiting_messages_are_published_loses_and_doubles_nothing() {
    let plan = plan(&[Maildir]).primed();
    while_settling(
        &Case::crashed_at(&plan, 0, |step| step.starts_with("Rename ~/mail/dir/new/")),
        &["EIO", "ENOENT", "ENOSPC"],
    );
}

#[test]
#[cfg(feature = "crash-points")]
fn a_disk_that_fails_while_published_messages_are_recorded_loses_and_doubles_nothing() {
    let plan = plan(&[Maildir]).primed();
    while_settling(&Case::crashed_at(&plan, 0, |step| step == "Sync ~/mail/dir/new"), &["EIO", "ENOENT"]);
}

#[test]
#[cfg(feature = "crash-points")]
fn a_disk_that_fails_while_a_torn_mbox_is_repaired_loses_and_doubles_nothing() {
    let plan = plan(&[Mbox]).primed();
    while_settling(
        &Case::crashed_at(&plan, 1, |step| step == "Write ~/mail/box"),
        &["EIO", "ENOENT", "ENOSPC"],
    );
}

/// A file whose sync has failed is not synced again, which would succeed over what was lost: it is given up, and its
/// message comes again.
#[test]
#[cfg(feature = "crash-points")]
fn a_waiting_message_whose_sync_fails_comes_again_from_the_server() {
    let plan = plan(&[Maildir]).primed();
    let case = Case::crashed_at(&plan, 0, |step| step.starts_with("Rename ~/mail/dir/new/"));
    let waiting = std::fs::read_dir(case.maildir().join("tmp")).unwrap().count();
    let (saved, maildrop) = (case.save(), case.server.maildrop("me"));
    let steps = case.popfetch().record_steps().run().steps;
    let first = steps.iter().position(|step| step.contains(" Sync ") && step.contains("/mail/dir/tmp/"));
    case.restore(&saved, &maildrop);
    let run = case.popfetch().record_steps().fail_at(first.unwrap() as u64 + 1, "EIO").run();
    run.exits(74);
    // What it came to is written down, in the memory; nothing else.
    let last = run.steps.iter().rfind(|step| !step.contains("/memory")).unwrap();
    assert!(last.contains("/mail/dir/tmp/"), "{:#?}", run.steps);
    assert_eq!(std::fs::read_dir(case.maildir().join("tmp")).unwrap().count(), waiting - 1);
    case.recovers(0);
}
