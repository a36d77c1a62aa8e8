//! What is torn, damaged, missing, or not ours.

use super::*;

#[test]
fn nothing_to_read_is_an_empty_ledger() {
    let home = tempfile::tempdir().unwrap();
    let ledger = read(&home.path().join("none")).unwrap();
    assert!(ledger.is_empty() && ledger.id().is_empty() && ledger.intents().is_empty());
    assert!(!home.path().join("none").exists());
    assert!(Ledger::mailbox_of(home.path()).unwrap().is_none());
}

#[test]
fn reading_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let before = octets(home.path());
    let mut ledger = read(home.path()).unwrap();
    assert!(matches!(ledger.fail(&key("a"), None, None), Err(Error::ReadOnly)));
    assert!(matches!(ledger.note(vec![piece(&arrival(key("a"), "x", &[]), DestinationId(0))]),
        Err((Error::ReadOnly, back)) if back.len() == 1));
    ledger.close().unwrap();
    assert_eq!(octets(home.path()), before);
    assert_eq!(Ledger::mailbox_of(home.path()).unwrap(), Some(mailbox()));
}

#[test]
fn every_prefix_loads_to_a_state_passed_through() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path();
    let mut ledger = open(directory);
    let mut passed = vec![(octets(directory).len(), picture(&ledger))];
    let mut step = |ledger: &mut Ledger| {
        ledger.flush().unwrap();
        passed.push((octets(directory).len(), picture(ledger)));
    };
    let to = maildir(&mut ledger);
    step(&mut ledger);
    let messages: Vec<_> = ["a", "b"].map(|m| arrival(key(m), m, &[to])).into();
    let mut noted = note(&mut ledger, messages.iter().map(|m| piece(m, to)).collect());
    step(&mut ledger);
    ledger.refuse(noted.pop().unwrap(), Some(Time(NOW.0 + 60))).unwrap();
    step(&mut ledger);
    let _ = ledger.record(Published::attest(noted.pop().unwrap())).unwrap().unwrap();
    step(&mut ledger);
    deliver(&mut ledger, "c", "c");
    ledger.sync().unwrap();
    step(&mut ledger);
    let full = octets(directory);
    for cut in 0..full.len() {
        let loaded = load(&full[..cut]).unwrap();
        let whole = full[..cut].iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        assert_eq!(picture(&loaded), picture(&load(&full[..whole]).unwrap()), "cut at {cut}");
        if let Some((_, live)) = passed.iter().rfind(|(length, _)| *length == cut) {
            assert_eq!(picture(&loaded), *live, "cut at {cut}");
        }
    }
}

#[test]
fn damage_is_dropped_from_the_last_group_and_named_elsewhere() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    deliver(&mut ledger, "b", "b");
    ledger.flush().unwrap();
    let full = octets(home.path());
    let groups: Vec<usize> = memchr::memmem::find_iter(&full, "\ngroup ").map(|at| at + 1).collect();
    assert_eq!(groups.len(), 4, "creation, two batches, and what followed the second sync");
    let last = *groups.last().unwrap();
    for at in 0..full.len() {
        for flip in [1, b'\n', 0x80] {
            let mut damaged = full.clone();
            damaged[at] ^= flip;
            let line = 1 + full[..at].iter().filter(|octet| **octet == b'\n').count();
            let begin = full[..at].iter().rposition(|octet| *octet == b'\n').map_or(0, |newline| newline + 1);
            match load(&damaged) {
                Ok(loaded) if at >= last => {
                    assert_eq!(picture(&loaded), picture(&load(&full[..begin]).unwrap()), "at {at}");
                    assert_eq!(loaded.warnings().len(), 1, "at {at}");
                }
                Err(Error::Damaged { line: named, .. }) if at < last => {
                    assert_eq!(named, u64::try_from(line).unwrap(), "at {at}");
                }
                other => panic!("at {at} of {last}: {other:?}"),
            }
        }
    }
}

/// What a newer popfetch adds to this version of the format is passed over where it says that it may be.
#[test]
fn what_a_newer_popfetch_has_added_is_passed_over_where_it_may_be() {
    let (home, mut ledger) = begun();
    for name in ["a", "b"] {
        deliver(&mut ledger, name, name);
    }
    ledger.sync().unwrap();
    compact(&ledger);
    let text = String::from_utf8(octets(home.path())).unwrap();
    let expected = picture(&load(text.as_bytes()).unwrap());
    let checked = |content: &str| {
        format!("{content} {:08x}\n", twox_hash::XxHash3_64::oneshot(content.as_bytes()) & 0xffff_ffff)
    };
    let loads = |text: &str| match load(text.as_bytes()) {
        Ok(ledger) => picture(&ledger) == expected && ledger.warnings().is_empty(),
        Err(Error::Damaged { .. }) => false,
        Err(other) => panic!("{other:?}"),
    };
    let group = text.find("\ngroup ").unwrap() + 1;
    let behind = group + text[group..].find('\n').unwrap() + 1;
    for (line, passes) in [
        ("also-labelled u:a work", true),
        ("also-", true),
        ("labelled u:a work", false),
        ("alsolabelled", false),
    ] {
        let more = [&text[..behind], &checked(line), &text[behind..]].concat();
        assert_eq!(loads(&more), passes, "{line}");
    }
    let known = text.lines().find(|line| line.starts_with("known ")).unwrap();
    let content = known.rsplit_once(' ').unwrap().0;
    for (note, passes) in [("also-label=5", true), ("also-label", true), ("label=5", false)] {
        let more = text.replacen(&format!("{known}\n"), &checked(&format!("{content} {note}")), 1);
        assert_eq!(loads(&more), passes, "{note}");
    }
}

#[test]
fn a_torn_tail_is_gone_after_the_next_run() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    ledger.sync().unwrap();
    ledger.close().unwrap();
    let mut torn = octets(home.path());
    let whole = picture(&read(home.path()).unwrap());
    torn.extend_from_slice(b"staged 5 5 0 17000\0\0\0\0\0");
    std::fs::write(home.path().join("ledger"), &torn).unwrap();
    let mut ledger = open(home.path());
    assert_eq!(ledger.warnings().len(), 1);
    assert_eq!(picture(&ledger), whole);
    deliver(&mut ledger, "b", "b");
    let after = picture(&ledger);
    ledger.close().unwrap();
    let ledger = open(home.path());
    assert!(ledger.warnings().is_empty());
    assert_eq!(picture(&ledger), after);
}

#[test]
fn a_ledger_that_is_gone_is_never_silently_begun_again() {
    // What is in the directory, and what comes of it.
    let memory = Some("popfetch-memory 1\n");
    let cases = [
        (None, None, "fresh"),
        (None, memory, "missing"),
        (Some(""), None, "fresh, with a warning"),
        (Some("popfe"), None, "fresh, with a warning"),
        (Some("popfetch-ledger 1 0123"), None, "fresh, with a warning"),
        (Some(""), memory, "missing"),
        (Some("popfetch-ledger 1 0123\n"), None, "damaged"),
        (Some("\0\0\0"), None, "damaged"),
        (Some("mail\n"), None, "damaged"),
    ];
    for (ledger, memory, expected) in cases {
        let home = tempfile::tempdir().unwrap();
        for (file, content) in [("ledger", ledger), ("memory", memory)] {
            if let Some(content) = content {
                std::fs::write(home.path().join(file), content).unwrap();
            }
        }
        let came = match open_at(home.path(), NOW) {
            Ok(ledger) if ledger.warnings().is_empty() => "fresh",
            Ok(_) => "fresh, with a warning",
            Err(Error::Missing { .. }) => "missing",
            Err(e @ Error::Damaged { .. }) => {
                assert!(e.hint().unwrap().contains("mv "), "{e}");
                "damaged"
            }
            Err(e) => panic!("{e}"),
        };
        assert_eq!(came, expected, "{ledger:?} {memory:?}");
    }
}

#[test]
fn another_mailbox_or_version_is_refused() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let other = Mailbox { user: "you@example.com".into(), ..mailbox() };
    assert!(matches!(Ledger::read(home.path(), &other, NOW), Err(Error::Damaged { line: 1, .. })));
    let mut newer = Vec::new();
    let (user, host) = (b"me@example.com"[..].into(), b"pop.example.com"[..].into());
    let title = Title { version: 4, id: "0", user, host, port: 110, generation: 1 };
    Fact::from(FirstLine { title }).write(&mut newer);
    // Whatever else such a line may hold.
    let line = String::from_utf8(newer.clone()).unwrap();
    let more = format!("{} more 1", line.trim_end().rsplit_once(' ').unwrap().0);
    let checksum = twox_hash::XxHash3_64::oneshot(more.as_bytes()) & 0xffff_ffff;
    for newer in [line, format!("{more} {checksum:08x}\n")] {
        let refused = load(newer.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("newer popfetch"), "{refused}");
    }
}

#[test]
fn a_disk_that_refuses_leaves_the_old_ledger() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    ledger.flush().unwrap();
    drop(ledger);
    let before = octets(home.path());
    // Nothing can take the place of a directory.
    std::fs::create_dir(home.path().join("ledger.new")).unwrap();
    assert!(matches!(open_at(home.path(), NOW), Err(Error::Disk(_))));
    assert_eq!(octets(home.path()), before);
    std::fs::remove_dir(home.path().join("ledger.new")).unwrap();
    std::fs::write(home.path().join("ledger.new"), "left by a crash").unwrap();
    assert_eq!(open(home.path()).len(), 1);
}

/// The lines of a group that were written before the crash stay, and a message is written before its copies.
#[test]
fn a_message_whose_copies_were_torn_off_does_not_keep_its_entry_open() {
    let (home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let _noted = note(&mut ledger, vec![piece(&arrival(key("a"), "a", &[to]), to)]);
    drop(ledger);
    let whole = octets(home.path());
    let copies = whole.windows(7).rposition(|word| word == b"staged ").unwrap();
    std::fs::write(home.path().join("ledger"), &whole[..copies]).unwrap();
    let mut ledger = open(home.path());
    deliver(&mut ledger, "a", "a");
    let entry = ledger.find_key(&key("a")).unwrap();
    assert_eq!(ledger.entry(entry).state, EntryState::Delivered);
}
