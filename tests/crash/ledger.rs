//! The ledger's own accidents: torn, rotten, not to be written.

use super::case::Kind::{Maildir, Mbox};
use super::case::{Case, Plan, tiny};
use crate::support::installed;
use crate::support::server::numbered;

#[test]
fn damaged_ledger_stops_the_run_and_names_the_line() {
    for kinds in [&[Maildir] as &[_], &[Mbox]] {
        let case = Case::new(Plan::new(kinds, false).of(tiny(2)).primed());
        case.run().succeeds();
        case.server.add("me", numbered(tiny(3)).split_off(2));
        let ledger = std::fs::read(case.ledger()).unwrap();
        let text = String::from_utf8(ledger.clone()).unwrap();
        let rotten = text.lines().position(|line| line.starts_with("message ")).unwrap();
        let later = text.lines().skip(rotten).any(|line| line.starts_with("group "));
        assert!(later, "a later group shows that the line was on disk:\n{text}");
        let at: usize = text.split_inclusive('\n').take(rotten).map(str::len).sum();
        let mut octets = ledger.clone();
        octets[at + 20] ^= 1;
        std::fs::write(case.ledger(), &octets).unwrap();
        let (before, sessions) = (case.sandbox.files(), case.server.sessions());
        case.run().exits(74).complains(&format!("line {}", rotten + 1)).complains("hint: ");
        assert_eq!(case.server.sessions(), sessions);
        let changed: Vec<_> =
            case.sandbox.files().into_iter().filter(|(path, now)| before.get(path) != Some(now)).collect();
        assert!(changed.iter().all(|(path, _)| path.ends_with("memory")), "{changed:?}");
        std::fs::write(case.ledger(), &ledger).unwrap();
        case.run().succeeds();
        assert_eq!(case.delivered(kinds[0]).len(), 4);
    }
}

/// The groups of a ledger follow one another: one that is missing, or stands there twice, has been tampered with or lost.
#[test]
fn a_ledger_whose_groups_do_not_follow_one_another_stops_everything() {
    let case = Case::new(Plan::new(&[Maildir], false).of(tiny(3)).primed());
    case.run().succeeds();
    let ledger = std::fs::read(case.ledger()).unwrap();
    let text = String::from_utf8(ledger.clone()).unwrap();
    let groups: Vec<usize> = text.match_indices("\ngroup ").map(|(at, _)| at + 1).collect();
    let (from, to) = (groups[1], groups[2]);
    let lacking = [&ledger[..from], &ledger[to..]].concat();
    let twice = [&ledger[..to], &ledger[from..]].concat();
    let line = |at: usize| text[..at].lines().count() + 1;
    case.server.add("me", numbered(tiny(4)).split_off(3));
    for (octets, line) in [(lacking, line(from)), (twice, line(to))] {
        std::fs::write(case.ledger(), &octets).unwrap();
        // Not for its length.
        std::fs::remove_file(case.ledger().with_file_name("memory")).unwrap();
        let retrieved = case.server.count("RETR");
        case.run().exits(74).complains(&format!("line {line}")).complains("hint: ");
        assert_eq!(case.server.count("RETR"), retrieved);
    }
    std::fs::write(case.ledger(), &ledger).unwrap();
    case.run().succeeds();
    assert_eq!(case.delivered(Maildir).len(), 5);
}

/// An older copy of the ledger looks whole: only that it was longer shows what is missing.
#[test]
fn a_ledger_from_before_the_last_run_stops_everything() {
    let case = Case::new(Plan::new(&[Maildir], false).of(tiny(3)).primed());
    let older = std::fs::read(case.ledger()).unwrap();
    case.run().succeeds();
    let ledger = std::fs::read(case.ledger()).unwrap();
    assert!(ledger.starts_with(&older), "rewritten");
    std::fs::write(case.ledger(), &older).unwrap();
    case.server.add("me", numbered(tiny(4)).split_off(3));
    let (mail, retrieved) = (case.delivered(Maildir), case.server.count("RETR"));
    case.run().exits(74).complains("at the end of the last run").complains("hint: ");
    assert_eq!(case.server.count("RETR"), retrieved);
    assert_eq!(case.delivered(Maildir), mail);
    std::fs::write(case.ledger(), &ledger).unwrap();
    case.run().succeeds();
    assert_eq!(case.delivered(Maildir).len(), 5);
}

#[test]
fn state_directory_that_cannot_be_made() {
    let case = Case::new(Plan::new(&[Maildir], true).of(tiny(2)));
    case.sandbox.write(".local/state/popfetch", "a file");
    case.run().exits(73);
    assert_eq!(case.server.count("RETR"), 0);
    assert!(case.delivered(Maildir).is_empty());
    std::fs::remove_file(case.sandbox.state()).unwrap();
    case.recovers(0);
}

#[test]
fn unwritable_ledger_stops_the_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let case = Case::new(Plan::new(&[Maildir], true).of(tiny(2)).primed());
    let mut popfetch = case.popfetch();
    if rustix::process::geteuid().is_root() {
        // Without the right of root to write everywhere.
        let Some(setpriv) = installed("setpriv") else { return };
        popfetch = popfetch.under([setpriv.to_str().unwrap(), "--bounding-set=-dac_override"]);
    }
    let mode = |mode| std::fs::set_permissions(case.ledger(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o400);
    popfetch.run().exits(73).complains("hint");
    assert_eq!(case.server.unique_ids("me").len(), 2);
    assert_eq!(case.delivered(Maildir).len(), 1);
    mode(0o600);
    case.recovers(0);
}

/// A limit on the size of files (RLIMIT_FSIZE) is an error like any other, not a signal that kills.
#[test]
fn file_size_limit_loses_nothing() {
    for kinds in [&[Maildir] as &[_], &[Mbox]] {
        let case = Case::new(Plan::new(kinds, true));
        let limit = ["sh", "-c", "ulimit -f 64; exec \"$@\"", "sh"];
        case.popfetch().under(limit).run().exits(74).complains("too large");
        case.nothing_partial_is_visible();
        case.deletions_were_safe();
        case.recovers(0);
    }
}

#[cfg(feature = "crash-points")]
mod torn {
    use super::*;

    /// What the disk may lack of a ledger whose last group wasn't synced: any part of that group.
    fn at_every_octet(case: &Case) {
        let (saved, maildrop) = (case.save(), case.server.maildrop("me"));
        let ledger = std::fs::read(case.ledger()).unwrap();
        let group = ledger.windows(7).rposition(|window| window == b"\ngroup ").unwrap() + 1;
        assert!(ledger.len() > group + 50);
        for length in (group..=ledger.len()).step_by(1 + (ledger.len() - group) / 120) {
            case.restore(&saved, &maildrop);
            std::fs::write(case.ledger(), &ledger[..length]).unwrap();
            case.run().succeeds();
            case.is_complete(0);
        }
    }

    fn plan(kinds: &'static [super::super::case::Kind]) -> Plan {
        Plan::new(kinds, true).primed().of(tiny(2))
    }

    #[test]
    fn maildir_torn_staged_lines() {
        at_every_octet(&Case::crashed_at(&plan(&[Maildir]), 0, |step| {
            step.starts_with("Sync") && step.ends_with("/ledger")
        }));
    }

    #[test]
    fn maildir_torn_delivered_lines() {
        at_every_octet(&Case::crashed_at(&plan(&[Maildir]), 1, |step| {
            step.starts_with("Sync") && step.ends_with("/ledger")
        }));
    }

    #[test]
    fn mbox_torn_staged_lines() {
        at_every_octet(&Case::crashed_at(&plan(&[Mbox]), 0, |step| {
            step.starts_with("Sync") && step.ends_with("/ledger")
        }));
    }

    #[test]
    fn mbox_torn_delivered_lines() {
        at_every_octet(&Case::crashed_at(&plan(&[Mbox]), 1, |step| {
            step.starts_with("Sync") && step.ends_with("/ledger")
        }));
    }
}
