//! A clock that had run ahead, and what is kept for days.

use super::*;

/// A listing with only these.
fn listing(ledger: &mut Ledger, held: &[EntryId]) {
    ledger.complete_listing(&mut held.iter().copied()).unwrap();
}

#[test]
fn what_a_clock_that_ran_ahead_has_left_reads_as_now() {
    let home = tempfile::tempdir().unwrap();
    let ahead = Time(NOW.0 + 400 * DAY);
    let mut ledger = open_at(home.path(), ahead).unwrap();
    let [twice, absent, deleted] = ["twice", "absent", "deleted"].map(|m| deliver(&mut ledger, m, m));
    deliver(&mut ledger, "twice", "again");
    let failed = ledger.fail(&key("failed"), None, Some(Time(ahead.0 + 60))).unwrap();
    listing(&mut ledger, &[twice, absent, deleted]);
    ledger.deleted(&[deleted]).unwrap();
    listing(&mut ledger, &[twice]);
    ledger.close().unwrap();

    let mut ledger = open(home.path());
    assert_eq!((ledger.trusted_now(), ledger.ahead_of_clock()), (None, 400 * DAY));
    ledger.correct_clock().unwrap();
    let check = |ledger: &Ledger| {
        assert_eq!((ledger.trusted_now(), ledger.now(), ledger.ahead_of_clock()), (Some(NOW), NOW, 0));
        let times: Vec<_> = ledger.deliveries_of(twice).unwrap().iter().map(|past| past.delivered).collect();
        assert_eq!(times, [NOW; 2], "no age counts by the leap");
        assert_eq!(ledger.entry(absent).delivered, Some(NOW));
        assert_eq!(ledger.entry(failed).retry_after, None, "what waits for a retry waits no more");
        let today = u16::try_from(NOW.day()).unwrap();
        assert_eq!(ledger.index.notes(absent).absent, Some(today));
        assert_eq!(ledger.index.notes(deleted).deleted, Some(today));
        assert!(ledger.index.listings.iter().all(|time| *time <= NOW));
    };
    check(&ledger);
    drop(ledger);
    let ledger = open(home.path());
    check(&ledger);
    compact(&ledger);
    drop(ledger);
    check(&open(home.path()));
}

/// Ten listings must have lacked it: of a maildrop that is seldom polled, days alone prove little.
#[test]
fn only_listings_that_lacked_a_message_count_for_forgetting_it() {
    for (held, lacked, forgotten) in [(0, 10, true), (5, 5, false), (5, 9, false), (5, 10, true)] {
        let (home, mut ledger) = begun();
        let [gone, kept] = ["gone", "kept"].map(|m| deliver(&mut ledger, m, m));
        for day in 0..held + lacked + 100 {
            ledger.tick(Time(NOW.0 + day * DAY));
            if day < held {
                listing(&mut ledger, &[gone, kept]);
            } else if day < held + lacked {
                listing(&mut ledger, &[kept]);
            }
        }
        compact(&ledger);
        let ledger = read(home.path()).unwrap();
        assert_eq!(ledger.find_key(&key("gone")).is_none(), forgotten, "{held} {lacked}");
    }
}

/// Its key is the only way to know it again: else the destination that has it would get it twice.
#[test]
fn what_a_destination_still_lacks_is_not_forgotten() {
    for is_gone in [false, true] {
        let (home, mut ledger) = begun();
        let kept = deliver(&mut ledger, "kept", "kept");
        let first = maildir(&mut ledger);
        let second = ledger.enter_destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
        let delivered = deliver(&mut ledger, "a", "delivered");
        let message = arrival(key("a"), "partly", &[first, second]);
        let noted = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
        assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
        if is_gone {
            // Its key stands for the delivered one: then it lasts as long as that.
            ledger.part_from_key(delivered).unwrap();
        }
        for day in 0..120 {
            ledger.tick(Time(NOW.0 + day * DAY));
            listing(&mut ledger, &[kept]);
        }
        compact(&ledger);
        let ledger = read(home.path()).unwrap();
        assert_eq!(ledger.find_key(&key("a")).is_none(), is_gone);
        assert_eq!(ledger.begun().is_empty(), is_gone);
    }
}

/// It was deleted, and delivered again under the same unique-id: then its deletion says nothing about it.
#[test]
fn what_was_delivered_again_after_its_deletion_is_not_forgotten() {
    let (home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "a");
    ledger.deleted(&[id]).unwrap();
    deliver(&mut ledger, "a", "another");
    listing(&mut ledger, &[]);
    for day in 0..200 {
        ledger.tick(Time(NOW.0 + day * DAY));
    }
    compact(&ledger);
    let ledger = read(home.path()).unwrap();
    let id = ledger.find_key(&key("a")).unwrap();
    assert_eq!((ledger.entry(id).state, ledger.entry(id).absent), (EntryState::Delivered, false));
}
