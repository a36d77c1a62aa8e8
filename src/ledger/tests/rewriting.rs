//! When a ledger is rewritten, what is left out, and what older versions have written.

use super::*;

#[test]
fn after_a_run_that_did_not_end_in_order_the_ledger_is_rewritten() {
    use std::os::unix::fs::MetadataExt as _;
    let home = tempfile::tempdir().unwrap();
    let inode = || home.path().join("ledger").metadata().unwrap().ino();
    let mut ledger = open(home.path());
    let to = maildir(&mut ledger);
    let message = arrival(key("a"), "a", &[to]);
    let noted = note(&mut ledger, vec![piece(&message, to)]);
    let (before, first) = (picture(&ledger), inode());
    drop((ledger, noted));
    let mut ledger = open(home.path());
    assert_ne!(inode(), first);
    assert_eq!(picture(&ledger), before, "the intent is still open, under its number");
    let last = || String::from_utf8(octets(home.path())).unwrap().lines().last().unwrap().to_owned();
    assert!(!last().starts_with("end "), "{}: it is not at rest", last());
    let intents: Vec<_> = ledger.intents().iter().map(|intent| intent.id).collect();
    ledger.settle_delivered(&intents).unwrap();
    ledger.sync().unwrap();
    assert!(ledger.prove_delivered(EntryId(0), number(1)).is_some());
    ledger.close().unwrap();
    let second = inode();
    open(home.path()).close().unwrap();
    assert_eq!(inode(), second, "after an orderly end it is left alone");
}

#[test]
fn a_ledger_whose_name_may_not_be_on_disk_is_rewritten() {
    use std::os::unix::fs::MetadataExt as _;
    let home = tempfile::tempdir().unwrap();
    let inode = || home.path().join("ledger").metadata().unwrap().ino();
    drop(open(home.path()));
    let full = octets(home.path());
    let end = memchr::memmem::find(&full, b"\nnew ").unwrap() + 1;
    let end = end + full[end..].iter().position(|octet| *octet == b'\n').unwrap() + 1;
    // Killed after the file took its place, and before its directory was synced.
    std::fs::write(home.path().join("ledger"), &full[..end]).unwrap();
    let before = inode();
    let id = open(home.path()).id().to_owned();
    assert_ne!(inode(), before);
    assert_eq!(read(home.path()).unwrap().id(), id);
    let before = inode();
    drop(open(home.path()));
    assert_eq!(inode(), before);
}

#[test]
fn forgotten_after_90_days_and_10_listings() {
    // Days of the complete listings that lack it, the day of compaction; whether it is forgotten.
    let every = |n: i64, step: i64| (1..=n).map(|i| i * step).collect::<Vec<_>>();
    let cases = [
        (every(10, 1), 92, true),
        (every(9, 1), 92, false),
        (every(10, 1), 91, false),
        (vec![1; 20], 200, false),
        (every(30, 10), 300, true),
    ];
    for (days, today, forgotten) in cases {
        let (home, mut ledger) = begun();
        let [_, kept] = ["a", "b"].map(|m| deliver(&mut ledger, m, m));
        for day in &days {
            ledger.tick(Time(NOW.0 + day * DAY));
            ledger.complete_listing(&mut [kept].into_iter()).unwrap();
        }
        // Small steps: a clock that leaps is not trusted, and nothing is forgotten by it.
        for day in (*days.last().unwrap()..=today).step_by(20).chain([today]) {
            ledger.tick(Time(NOW.0 + day * DAY));
        }
        // Not where the clock is in doubt.
        ledger.rewrite(LedgerShape::plain(PLAIN_VERSION)).unwrap();
        assert_eq!(picture(&read(home.path()).unwrap()), picture(&ledger), "and the days of all listings");
        compact(&ledger);
        let ledger = read(home.path()).unwrap();
        assert_eq!(ledger.find_key(&key("a")).is_none(), forgotten, "{days:?} {today}");
        assert!(ledger.find_key(&key("b")).is_some());
    }
}

#[test]
fn what_was_deleted_long_ago_and_is_gone_is_forgotten() {
    let (home, mut ledger) = begun();
    let [gone, unconfirmed] = ["a", "b"].map(|name| deliver(&mut ledger, name, name));
    // A policy deletes them after 100 days: from then on the days count.
    let deleted = 100;
    for day in (0..=deleted).step_by(20) {
        ledger.tick(Time(NOW.0 + day * DAY));
    }
    ledger.deleted(&[gone]).unwrap();
    ledger.complete_listing(&mut std::iter::empty()).unwrap();
    ledger.deleted(&[unconfirmed]).unwrap();
    for (days, kept) in [(30, 2), (60, 2), (90, 2), (91, 1)] {
        ledger.tick(Time(NOW.0 + (deleted + days) * DAY));
        compact(&ledger);
        assert_eq!(read(home.path()).unwrap().len(), kept, "{days} days");
    }
}

#[test]
fn a_ledger_of_history_is_compacted_at_the_end_of_a_run() {
    let (home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let messages: Vec<_> = (0..400).map(|i| arrival(key(&format!("id{i}")), &i.to_string(), &[to])).collect();
    let noted = note(&mut ledger, messages.iter().map(|m| piece(m, to)).collect());
    for piece in noted {
        let _ = ledger.record(Published::attest(piece)).unwrap().unwrap();
    }
    let before = picture(&ledger);
    ledger.close().unwrap();
    assert_eq!((count_of(home.path(), "known "), count_of(home.path(), "message ")), (400, 0));
    assert!(octets(home.path()).len() < 400 * 140);
    assert!(!home.path().join("ledger.new").exists());
    assert_eq!(picture(&open(home.path())), before);
}

#[test]
fn a_hundred_thousand_entries_load() {
    let mut text = Vec::new();
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    text.append(&mut octets(home.path()));
    for i in 0..100_000 {
        let unique_id = format!("{i:016x}");
        let known = KnownEntry {
            state: EntryState::Delivered,
            key: KeyField::UniqueId(unique_id.as_bytes().into()),
            listed_size: Some(i),
            delivered: Some(NOW),
            digests: Some(DigestsField::Value(digests("same"))),
            notes: Notes::default(),
        };
        Fact::from(known).write(&mut text);
    }
    let ledger = load(&text).unwrap();
    assert_eq!(ledger.len(), 100_000);
    let id = ledger.find(UniqueId::new(b"000000000001869f").unwrap()).unwrap();
    assert_eq!((id, ledger.entry(id).listed_size), (EntryId(99_999), Some(Octets(99_999))));
    assert!(ledger.find(UniqueId::new(b"00000000000186a0").unwrap()).is_none());
}

/// Version 2, as a run of several sessions left it that moved, doubted, and deleted messages: must load for ever.
#[test]
fn ledgers_of_version_2_load_and_are_rewritten_without_loss() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledger-2.txt");
    let home = tempfile::tempdir().unwrap();
    std::fs::copy(fixture, home.path().join("ledger")).unwrap();
    let mailbox = Mailbox { user: "me".into(), host: "127.0.0.1".into(), port: 47113 };
    let now = Time(1_795_754_200);
    let ledger = Ledger::read(home.path(), &mailbox, now).unwrap();
    use EntryState::{Deleted, Delivered, Open};
    let entry = |name: &str| ledger.entry(ledger.find_key(&key(name)).unwrap());
    for (name, state, absent, doubtful) in [
        ("alpha", Deleted, false, false),
        ("beta", Delivered, true, true),
        ("gamma", Delivered, true, true),
        ("moved", Delivered, true, true),
        ("delta", Open, true, false),
        ("eta", Deleted, false, false),
        ("theta", Delivered, false, false),
        ("odd id?", Delivered, false, false),
    ] {
        let entry = entry(name);
        assert_eq!((entry.state, entry.absent, entry.doubtful), (state, absent, doubtful), "{name}");
    }
    assert_eq!((entry("delta").failures, entry("theta").listed_size), (1, Some(Octets(188))));
    let records = |name: &str| ledger.deliveries_of(ledger.find_key(&key(name)).unwrap()).unwrap();
    assert_eq!(
        records("gamma"),
        records("moved")
            .iter()
            .map(|r| KnownDelivery { delivered: records("gamma")[0].delivered, ..r.clone() })
            .collect::<Vec<_>>()
    );
    assert!(ledger.unfinished().is_empty() && ledger.warnings().is_empty());
    let before = picture(&ledger);
    let lock = Lock::acquire(home.path(), Wait::NO, &Stop::new().unwrap()).unwrap();
    let ledger = Ledger::open(home.path(), &mailbox, lock, now).unwrap();
    assert_eq!(picture(&ledger), before);
    compact(&ledger);
    drop(ledger);
    assert_eq!(picture(&Ledger::read(home.path(), &mailbox, now).unwrap()), before);
}

/// Version 1 as it was first written: must load for ever.
#[test]
fn the_first_ledgers_load() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledger-1.txt");
    let ledger = load(&std::fs::read(fixture).unwrap()).unwrap();
    assert!(ledger.warnings().is_empty());
    assert_eq!(ledger.id(), "0123456789abcdef");
    let states = (0..ledger.len()).map(|id| ledger.entry(EntryId(id)).state).collect::<Vec<_>>();
    use EntryState::{Deleted, Delivered, Open, Recorded, Seen};
    assert_eq!(states, [Delivered, Deleted, Open, Seen, Recorded, Open, Delivered, Open]);
    let large = ledger.entry(ledger.find(UniqueId::new(b"large one").unwrap()).unwrap());
    assert_eq!((large.listed_size, large.reported_too_large), (Some(Octets(5_000_000_000)), true));
    assert_eq!(ledger.entry(EntryId(6)).deliveries, 2);
    assert_eq!(ledger.lacking(EntryId(5)), Some(vec![DestinationId(1)]));
    assert_eq!(ledger.intents().len(), 1);
    assert_eq!(ledger.destinations().len(), 3);
    assert_eq!(ledger.index.listings.back(), Some(&Time(1_700_090_000)));
    assert!(
        ledger.deliveries(|_, _| true).unwrap().iter().any(|(_, _, record)| record.digests == digests("a"))
    );
}

#[test]
fn an_end_that_polls_have_left_far_behind_is_written_again() {
    let (home, mut ledger) = begun();
    // Long unique-ids: else what the polls add would be worth a compaction.
    for n in 0..200 {
        deliver(&mut ledger, &format!("{n:01000}"), &n.to_string());
    }
    ledger.close().unwrap();
    let ends = || {
        std::fs::read_to_string(home.path().join("ledger")).unwrap().lines().last().unwrap()[..4].to_owned()
    };
    assert_eq!(ends(), "end ");
    for (polls, expected) in [(1, "list"), (15_000, "end ")] {
        let mut ledger = open(home.path());
        for _ in 0..polls {
            let held: Vec<EntryId> = ledger.present().collect();
            ledger.complete_listing(&mut held.into_iter()).unwrap();
        }
        ledger.close().unwrap();
        assert_eq!(ends(), expected, "{polls}");
    }
}

/// Known mail that is listed in another order than the last time is suspect.
#[test]
fn entries_are_brought_into_the_order_in_which_the_server_lists_them() {
    let (home, mut ledger) = begun();
    let [a, _, c] = ["a", "b", "c"].map(|name| deliver(&mut ledger, name, name));
    ledger.complete_listing(&mut [c, a].into_iter()).unwrap();
    deliver(&mut ledger, "d", "d");
    ledger.close().unwrap();
    let ledger = read(home.path()).unwrap();
    let keys: Vec<Key> = ledger.index.ids().map(|id| ledger.key(id).unwrap()).collect();
    assert_eq!(keys, ["b", "c", "a", "d"].map(key), "what it lacked stands first, what has come since last");
}

/// However large it is, and whatever is added while it's in one piece only in memory.
#[test]
fn a_large_ledger_is_rewritten_line_by_line() {
    let (home, mut ledger) = begun();
    let seen: Vec<UniqueIdBuf> = (0..1_500).map(|n| unique_id(&format!("{n:0900}"))).collect();
    ledger.begin_seen(&seen).unwrap();
    compact(&ledger);
    assert_eq!((count_of(home.path(), "known "), read(home.path()).unwrap().len()), (1_500, 1_500));
}

/// Until its first listing, what a mailbox holds may count as seen.
#[test]
fn a_ledger_that_has_not_begun_has_not_begun_when_it_is_rewritten() {
    let (home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    compact(&ledger);
    assert!(!read(home.path()).unwrap().has_begun());
    // What was written before that listing, and not yet flushed, is kept.
    ledger.begin_seen(&[unique_id("a")]).unwrap();
    let ledger = read(home.path()).unwrap();
    assert_eq!((ledger.len(), ledger.destinations().len()), (1, 1));
    assert_eq!(ledger.destinations().first().map(|known| known.id), Some(to));
}

/// What an older reader can't understand it must refuse, not pass over.
#[test]
fn entries_that_are_still_to_be_identified_need_the_newest_form() {
    let (home, mut ledger) = begun();
    let version = || String::from_utf8(octets(home.path())).unwrap().split(' ').nth(1).unwrap().to_owned();
    compact(&ledger);
    let plain = version();
    ledger.fail(&key("failed"), None, None).unwrap();
    assert_eq!(ledger.import_whole(&[(unique_id("i"), UsersWord::Seen)]).unwrap(), 1);
    assert!(ledger.find_key(&key("failed")).is_some() && read(home.path()).unwrap().len() == 2);
    let newest = version();
    compact(&ledger);
    assert_eq!((version(), newest == plain), (newest, false));
}

/// However long that takes: what one of its destinations has, it would get again.
#[test]
fn what_a_destination_lacks_is_not_forgotten() {
    let (home, mut ledger) = begun();
    let [_, kept] = ["a", "b"].map(|name| deliver(&mut ledger, name, name));
    let first = maildir(&mut ledger);
    let second = ledger.enter_destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    let message = arrival(key("a"), "another", &[first, second]);
    let noted = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    for day in (1..=10).chain([20, 40, 60, 80, 100, 120]) {
        ledger.tick(Time(NOW.0 + day * DAY));
        ledger.complete_listing(&mut [kept].into_iter()).unwrap();
    }
    compact(&ledger);
    let again = read(home.path()).unwrap();
    let lacked = again.find_key(&key("a")).unwrap();
    assert_eq!((again.entry(lacked).deliveries, again.begun().len()), (1, 1));
}

/// What is open is for the next run to settle, before anything else.
#[test]
fn a_run_that_leaves_a_delivery_open_does_not_end_in_order() {
    let (home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let message = arrival(key("a"), "a", &[to]);
    let noted = note(&mut ledger, vec![piece(&message, to)]);
    ledger.close().unwrap();
    drop(noted);
    let left = octets(home.path());
    assert!(!String::from_utf8(left.clone()).unwrap().lines().last().unwrap().starts_with("end "));
    // Nor does one end it that has only looked.
    assert_eq!(read(home.path()).unwrap().close().unwrap(), None);
    assert_eq!(octets(home.path()), left);
    assert_eq!(open(home.path()).intents().len(), 1);
}
