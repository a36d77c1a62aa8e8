//! What is looked at before a ledger is opened, and what the user gives up of what a run has left open.

use super::*;
use crate::ledger::entry::LedgerExtent;
use crate::ledger::recovery::Unfinished;

/// What has become of each message, by its unique-id, sorted.
fn unfinished(ledger: &Ledger) -> Vec<(Vec<DestinationId>, Vec<DestinationId>, Vec<DestinationId>)> {
    let parts = |Unfinished { has, lacks, staged }: Unfinished| (has, lacks, staged);
    ledger.unfinished().into_iter().map(parts).collect()
}

/// Notes the message for one destination and records that it has it.
fn delivered_to(ledger: &mut Ledger, message: &Arc<Arrival>, to: DestinationId) {
    let noted = note(ledger, vec![piece(message, to)]).pop().unwrap();
    let _ = ledger.record(Published::attest(noted)).unwrap();
}

#[test]
fn what_a_destination_lacks_is_given_up_there_and_nowhere_else() {
    let (home, mut ledger) = begun();
    let first = maildir(&mut ledger);
    let second = ledger.enter_destination(&name(DestinationKind::Pipe, "procmail"), None).unwrap();
    let third = ledger.enter_destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    let both = [first, second];
    let [one, two] = ["one", "two"].map(|name| arrival(key(name), name, &both));
    delivered_to(&mut ledger, &one, first);
    delivered_to(&mut ledger, &two, first);
    let [three, four] = ["three", "four"].map(|name| arrival(key(name), name, &[first, second, third]));
    delivered_to(&mut ledger, &three, first);
    delivered_to(&mut ledger, &four, first);
    let other = arrival(key("other"), "other", &both);
    delivered_to(&mut ledger, &other, second);
    // Two whose outcome nobody knows: at the destination that is given up, and at another one.
    let [here, elsewhere] = ["here", "elsewhere"].map(|name| arrival(key(name), name, &both));
    let _ = note(&mut ledger, vec![piece(&here, second)]);
    let _ = note(&mut ledger, vec![piece(&elsewhere, first)]);
    drop(ledger);
    let mut ledger = open(home.path());
    let before = [
        (vec![first], vec![second], vec![]),
        (vec![first], vec![second], vec![]),
        (vec![first], vec![second, third], vec![]),
        (vec![first], vec![second, third], vec![]),
        (vec![second], vec![first], vec![]),
        (vec![], vec![first, second], vec![second]),
        (vec![], vec![first, second], vec![first]),
    ];
    assert_eq!(unfinished(&ledger), before);

    ledger.give_up(&[second]).unwrap();
    let check = |ledger: &Ledger| {
        let left = [
            (vec![second], vec![first], vec![]),
            (vec![], vec![first, second], vec![first]),
            (vec![first], vec![third], vec![]),
            (vec![first], vec![third], vec![]),
        ];
        assert_eq!(unfinished(ledger), left);
        let state = |name| ledger.entry(ledger.find_key(&key(name)).unwrap()).state;
        for (name, expected) in [
            ("one", EntryState::Delivered),
            ("two", EntryState::Delivered),
            ("three", EntryState::Open),
            ("four", EntryState::Open),
            ("other", EntryState::Open),
            ("here", EntryState::Open),
            ("elsewhere", EntryState::Open),
        ] {
            assert_eq!(state(name), expected, "{name}");
        }
        let intents: Vec<_> = ledger.intents().iter().map(|intent| intent.destination).collect();
        assert_eq!(intents, [first], "only what isn't given up is for recovery");
        assert_eq!(ledger.lacking(ledger.find_key(&key("here")).unwrap()), None, "it comes again");
    };
    check(&ledger);
    drop(ledger);
    check(&open(home.path()));
}

#[test]
fn to_give_up_what_nothing_lacks_changes_nothing() {
    let (home, mut ledger) = begun();
    let first = maildir(&mut ledger);
    let second = ledger.enter_destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    deliver(&mut ledger, "a", "a");
    let message = arrival(key("b"), "b", &[first, second]);
    delivered_to(&mut ledger, &message, first);
    let before = picture(&ledger);
    // The one has it, the other is in no set.
    let other = ledger.enter_destination(&name(DestinationKind::Mbox, "/n"), None).unwrap();
    ledger.give_up(&[first, other]).unwrap();
    assert_eq!(ledger.unfinished().len(), 1);
    ledger.flush().unwrap();
    assert_eq!(count_of(home.path(), "message "), 2);
    assert!(picture(&ledger).lines().next() == before.lines().next());
}

/// A file that has lost its end would be taken for one whose end is torn, and what it has lost would come again.
#[test]
fn a_file_that_has_become_shorter_is_refused() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    let known = ledger.close().unwrap().unwrap();
    let LedgerExtent { generation, octets } = known;
    let check = |known| match Ledger::check_extent(home.path(), known) {
        Ok(()) => "fine",
        Err(Error::Shortened { .. }) => "shortened",
        Err(e) => panic!("{e}"),
    };
    let file = File::options().write(true).open(home.path().join("ledger")).unwrap();
    let length = file.metadata().unwrap().len();
    let synced = usize::try_from(octets).unwrap();
    let text = self::octets(home.path());
    assert!(
        memchr::memmem::find(&text[..synced], b"\ndelivered ").is_some(),
        "all that the run has done counts"
    );
    for (cut, known, expected) in [
        (length, None, "fine"),
        (length, Some((generation, octets)), "fine"),
        (octets, Some((generation, octets)), "fine"),
        (octets - 1, Some((generation, octets)), "shortened"),
        // Since then it was rewritten, which makes it shorter.
        (octets - 1, Some((generation - 1, octets)), "fine"),
        (octets - 1, None, "fine"),
        // Without a first line nothing shows that it was.
        (3, Some((generation - 1, octets)), "shortened"),
        (0, Some((generation, octets)), "shortened"),
    ] {
        file.set_len(cut).unwrap();
        let known = known.map(|(generation, octets)| LedgerExtent { generation, octets });
        assert_eq!(check(known), expected, "{cut} {known:?}");
    }
    std::fs::remove_file(home.path().join("ledger")).unwrap();
    assert_eq!(check(Some(known)), "fine", "what is missing is found out elsewhere");
}

#[test]
fn what_a_directory_holds_is_seen_without_opening_its_ledger() {
    let home = tempfile::tempdir().unwrap();
    let looks = || {
        let directory = home.path();
        (Ledger::exists(directory), Ledger::rests(directory), Ledger::octets(directory).is_some())
    };
    assert_eq!(looks(), (false, false, false));
    let mut ledger = open(home.path());
    assert_eq!(looks(), (true, true, true));
    deliver(&mut ledger, "a", "a");
    ledger.flush().unwrap();
    assert_eq!(looks(), (true, false, true), "a run is at work, or has died");
    ledger.close().unwrap();
    assert_eq!(looks(), (true, true, true));
}

/// Else every message would be retrieved again, as if there had never been a ledger.
#[test]
fn a_ledger_that_cannot_be_reached_is_not_taken_for_none() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Ledger::mailbox_of(&file), Err(Error::Disk(_))));
    assert!(matches!(read(&file), Err(Error::Disk(_))));
}

#[test]
fn a_ledger_of_version_1_is_rewritten_when_it_is_opened() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let old = String::from_utf8(octets(home.path())).unwrap();
    let mut first = Vec::new();
    let (user, host) = (b"me@example.com"[..].into(), b"pop.example.com"[..].into());
    let title = Title { version: 1, id: "0123456789abcdef", user, host, port: 110, generation: 0 };
    Fact::from(FirstLine { title }).write(&mut first);
    let rest = old.split_once('\n').unwrap().1;
    std::fs::write(home.path().join("ledger"), [first.as_slice(), rest.as_bytes()].concat()).unwrap();
    assert!(Ledger::rests(home.path()));
    let ledger = open(home.path());
    assert!(octets(home.path()).starts_with(b"popfetch-ledger 2 0123456789abcdef "));
    assert!(ledger.warnings().is_empty());
}

#[test]
fn what_a_dead_run_has_left_of_a_rewriting_is_removed() {
    let home = tempfile::tempdir().unwrap();
    open(home.path()).close().unwrap();
    let left = home.path().join("ledger.new");
    std::fs::write(&left, "half of it").unwrap();
    let before = octets(home.path());
    drop(open(home.path()));
    assert!(!left.exists());
    assert_eq!(octets(home.path()), before);
}

/// What is left of that line must not stand behind the next one.
#[test]
fn a_poll_that_broke_off_within_a_line_is_reported_once_and_spoils_nothing() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    ledger.close().unwrap();
    let torn = [octets(home.path()).as_slice(), &[b'x'; 1000]].concat();
    std::fs::write(home.path().join("ledger"), torn).unwrap();
    let mut ledger = open(home.path());
    assert_eq!(ledger.warnings().len(), 1);
    let id = ledger.find_key(&key("a")).unwrap();
    ledger.complete_listing(&mut [id].into_iter()).unwrap();
    ledger.close().unwrap();
    let ledger = open(home.path());
    assert_eq!(ledger.warnings(), [""; 0]);
    assert!(ledger.find_key(&key("a")).is_some());
}
