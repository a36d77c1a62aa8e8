//! Lines that contradict what stands before them, or that no popfetch has written.

use super::*;
use crate::ledger::lines::Group;

/// A ledger with these lines behind its own, and what loading it came to.
fn with(lines: &[&str]) -> Result<Ledger, Error> {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let mut text = octets(home.path());
    for content in lines {
        let sum = twox_hash::XxHash3_64::oneshot(content.as_bytes()) & 0xffff_ffff;
        text.extend(format!("{content} {sum:08x}\n").bytes());
    }
    std::fs::write(home.path().join("ledger"), &text).unwrap();
    read(home.path())
}

/// What was never delivered must not count as delivered, whatever a file holds: a contradiction is damage, and named.
#[test]
fn a_line_that_contradicts_those_before_it_is_damage() {
    let sum = digests("x").message;
    let begun = format!("message 0 5 u:a - {sum} {sum} - - 0,1");
    let staged = format!("staged 0 0 0 5 1 {sum} handed");
    let known = format!("known delivered u:a - 5 {sum} {sum} -");
    let to = "destination 0 pipe x - - -";
    for (lines, problem) in [
        (&["group 4 5 5 0"][..], "begins group 4"),
        (&["group 2 5 5 0"], "begins group 2"),
        (&[to, "destination 0 pipe y - - -"], "another destination"),
        (&["destination 1 pipe x - - -"], "not the next"),
        (&[&begun, &begun.replace("u:a", "u:b")], "its number is in use"),
        (&[&begun.replace("message 0", "message 4294967295")], "its number is in use"),
        (&[&begun, &staged, &staged], "its number is in use"),
        (&[&begun, &staged.replace("staged 0", "staged 4294967295")], "its number is in use"),
        (&[&staged], "its message is unknown"),
        (&["delivered 0 5"], "no open intent"),
        (&[&begun, &staged, "dropped 0 5", "delivered 0 5"], "no open intent"),
        (&[&begun, &staged, "also-gone 0"], "on its way"),
        (&[&begun, &staged, "forgotten 5 u:a"], "on its way"),
        (&["deleted 5 u:a"], "unknown"),
        (&["failed 5 u:a - -", "deleted 5 u:a"], "not delivered"),
        (&["failed 5 u:a - -", "asked 5 u:a"], "not delivered"),
        (&["imported 5 u:a 5", "deleted 5 u:a"], "not delivered"),
        (&[&known, "deleted 5 u:a", "deleted 5 u:a"], "not delivered"),
        (&[&known, "imported 5 u:a 5"], "known already"),
        (&["imported 5 u:a -", "imported 5 u:a -"], "known already"),
        (
            &[&known, "failed 5 u:a - -", &begun, &staged, "refused 0 5 -", "imported 5 u:a 5"],
            "known already",
        ),
        (&[&known, &format!("identified 5 u:a {sum} -")], "known already"),
        (&[&known, "asked 5 u:a", "confirmed 5 2"], "more than were asked"),
        (&["popfetch-ledger 2 0 a b 1 1"], "isn't the first"),
        (&["same 5 u:a -"], "unknown"),
        (&["end x"], "no kind"),
        (&[&known.replace("u:a", "u:%61%")], "no kind"),
        (&[&format!("known delivered u:a - 5 {sum}_{sum} -")], "no kind"),
        (&[&format!("known delivered u:a - 5 {sum} {sum}_-")], "no kind"),
        (&[&format!("{known} failures=2%20")], "no kind"),
        (&["destination 0 pipe x\u{fc} - - -"], "no kind"),
        (&["known  u:a - - -"], "no kind"),
    ] {
        match with(lines) {
            Err(Error::Damaged { problem: found, .. }) => {
                assert!(found.contains(problem), "{lines:?}: {found}");
            }
            other => panic!("{lines:?}: {other:?}"),
        }
    }
}

#[test]
fn a_line_before_the_first_group_is_damage_even_if_it_may_be_passed_over() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let text = String::from_utf8(octets(home.path())).unwrap();
    let first = text.find('\n').unwrap() + 1;
    for content in ["also-new", "end", "listing 5 5"] {
        let sum = twox_hash::XxHash3_64::oneshot(content.as_bytes()) & 0xffff_ffff;
        let more = format!("{}{content} {sum:08x}\n{}", &text[..first], &text[first..]);
        assert!(matches!(load(more.as_bytes()), Err(Error::Damaged { line: 2, .. })), "{content}");
    }
}

/// Places that no ledger of ours holds are passed over, not followed.
#[test]
fn numbers_that_lead_nowhere_do_no_harm() {
    let sum = digests("x").message;
    let known = format!("known delivered u:a - 5 {sum} {sum} -");
    let copy = format!("copy u:a 6 {sum} {sum} -");
    for line in ["same 7 u:a - 2", "same 7 u:a - 65535", "asked 7 u:a 9"] {
        let ledger = with(&[&known, &copy, line]).unwrap();
        assert_eq!(ledger.entry(EntryId(0)).deliveries, 2, "{line}");
    }
    // Of two entries with one key, which no ledger of ours has, the first counts.
    let ledger = with(&[&known, &known.replace("delivered", "seen")]).unwrap();
    assert_eq!(ledger.find_key(&key("a")), Some(EntryId(0)));
}

/// As the first version wrote it: a deleted message that was missing since is gone.
#[test]
fn what_older_versions_wrote_of_deleted_messages_is_understood() {
    let sum = digests("x").message;
    let deleted = format!("known deleted u:a - 5 {sum} {sum} -");
    for (notes, more, gone) in
        [("", None, false), (" gone", None, true), (" absent=9", None, true), ("", Some("present u:a"), true)]
    {
        let line = format!("{deleted}{notes}");
        let lines: Vec<&str> = std::iter::once(line.as_str()).chain(more).collect();
        let ledger = with(&lines).unwrap();
        assert_eq!((ledger.entry(EntryId(0)).absent, ledger.index.lingers()), (gone, !gone), "{lines:?}");
    }
}

/// Nothing that a few entries have is lost when the ledger is rewritten.
#[test]
fn all_that_is_noted_of_an_entry_outlives_a_rewriting() {
    let sum = digests("x").message;
    let delivered = format!("known delivered u:a 12 5 {sum} {sum} -");
    for notes in [
        " doubtful again varies utf8 candidate",
        " large failures=3 retry=9",
        " unlisted",
        " absent=40",
        &format!(" header={sum} header={}", digests("y").message),
    ] {
        let ledger =
            with(&[&format!("{delivered}{notes}"), &format!("known open u:b - - - - -{notes}")]).unwrap();
        let before = picture(&ledger);
        let home = tempfile::tempdir().unwrap();
        let lock = Lock::acquire(home.path(), Wait::NO, &Stop::new().unwrap()).unwrap();
        ledger.copy_to(home.path(), &mailbox(), &lock).unwrap();
        assert_eq!(picture(&read(home.path()).unwrap()), before, "{notes}");
    }
}

/// A line without an end must not fill the memory, even one that could be passed over.
#[test]
fn a_line_that_is_far_too_long_is_damage() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    for (length, fits) in [(1000, true), (20 * 1024 * 1024, false)] {
        let mut text = octets(home.path());
        let content = format!("also-{}", "x".repeat(length));
        let sum = twox_hash::XxHash3_64::oneshot(content.as_bytes()) & 0xffff_ffff;
        text.extend(format!("{content} {sum:08x}\n").bytes());
        Fact::from(Group { number: 3, time: NOW, clock: NOW, count: 0 }).write(&mut text);
        match load(&text) {
            Ok(_) => assert!(fits),
            Err(Error::Damaged { .. }) => assert!(!fits),
            Err(e) => panic!("{e}"),
        }
    }
}
