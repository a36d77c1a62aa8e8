//! `kill -9` at system calls: strace kills popfetch as it enters the N-th one of a kind, for N = 1, 2, 3 …

use super::case::Kind::{Maildir, Mbox};
use super::case::{Case, Plan};
use crate::support::installed;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt as _;

/// Every `stride`-th call of this kind.
fn at_each(call: &str, plan: &Plan, stride: usize) {
    if installed("strace").is_none() {
        return;
    }
    for number in (1..).step_by(stride) {
        let case = Case::new(plan.clone());
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:signal=KILL:when={number}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let run = case.popfetch().under(strace).run();
        let killed = run.status.signal() == Some(Signal::KILL.as_raw());
        if killed {
            case.nothing_partial_is_visible();
            case.deletions_were_safe();
            case.run().succeeds();
        } else {
            run.succeeds();
        }
        case.is_complete(0);
        if !killed {
            assert!(number > 1, "{call} is never called");
            return;
        }
    }
}

fn maildir() -> Plan {
    Plan::new(&[Maildir], true)
}

fn mbox() -> Plan {
    Plan::new(&[Mbox], true)
}

#[test]
fn killed_at_a_write() {
    at_each("write", &maildir(), 2);
    at_each("write", &mbox(), 2);
}

#[test]
fn killed_at_an_open() {
    at_each("openat", &maildir(), 5);
    at_each("openat", &mbox(), 5);
}

#[test]
fn killed_at_a_close() {
    at_each("close", &maildir(), 7);
    at_each("close", &mbox(), 7);
}

#[test]
fn killed_at_a_rename() {
    at_each("renameat2", &maildir(), 1);
    at_each("renameat", &mbox(), 1);
}

#[test]
fn killed_at_a_sync() {
    at_each("fsync", &maildir(), 3);
    at_each("fsync", &mbox(), 3);
    at_each("syncfs", &maildir().on_disk(), 1);
}

#[test]
fn killed_at_a_removal() {
    at_each("unlink", &mbox(), 1);
    at_each("linkat", &mbox(), 1);
}

#[test]
fn killed_at_the_network() {
    at_each("sendto", &maildir(), 1);
    at_each("recvfrom", &mbox(), 1);
}
