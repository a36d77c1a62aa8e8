//! What listings and the clock leave.

use super::*;

#[test]
fn a_poll_that_finds_nothing_new_adds_a_line() {
    let (home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "a");
    ledger.close().unwrap();
    let before = octets(home.path());
    let mut ledger = open_at(home.path(), Time(NOW.0 + 60)).unwrap();
    ledger.complete_listing(&mut [id].into_iter()).unwrap();
    ledger.sync().unwrap();
    ledger.close().unwrap();
    let after = octets(home.path());
    let added = String::from_utf8(after.strip_prefix(before.as_slice()).unwrap().to_vec()).unwrap();
    assert_eq!(added.lines().count(), 1, "{added}");
    assert!(added.starts_with("listing 1700000060 1700000060 "), "no group: nothing was synced: {added}");
    assert_eq!(read(home.path()).unwrap().index.listings.back(), Some(&Time(NOW.0 + 60)));
}

#[test]
fn a_listing_that_lacks_a_message() {
    let (home, mut ledger) = begun();
    let [a, b, c] = ["a", "b", "c"].map(|m| deliver(&mut ledger, m, m));
    let listing = |ledger: &mut Ledger, held: &[EntryId]| {
        ledger.complete_listing(&mut held.iter().copied()).unwrap();
    };
    let absent = |ledger: &Ledger| [a, b, c].map(|id| ledger.entry(id).absent);
    let present = |ledger: &Ledger| ledger.present().collect::<Vec<_>>();
    listing(&mut ledger, &[a, b]);
    assert_eq!((absent(&ledger), present(&ledger)), ([false, false, true], vec![a, b]));
    listing(&mut ledger, &[]);
    assert_eq!((absent(&ledger), present(&ledger)), ([false, false, true], vec![a, b]), "counts for nothing");
    ledger.deleted(&[a]).unwrap();
    assert_eq!(present(&ledger), [b]);
    listing(&mut ledger, &[]);
    assert_eq!(absent(&ledger), [true, false, true], "what was deleted is gone");
    listing(&mut ledger, &[a, b, c]);
    assert_eq!(absent(&ledger), [true, false, false], "what came back after its deletion is not believed");
    let a_again = ledger.record_match(&key("a"), Some(Octets(5)), Match::first(a)).unwrap();
    assert_eq!((a_again, ledger.entry(a).state, ledger.entry(a).absent), (a, EntryState::Delivered, false));
    assert!(ledger.prove_delivered(a, number(3)).is_some());
    let before = picture(&ledger);
    ledger.close().unwrap();
    assert_eq!(picture(&open(home.path())), before);
}

#[test]
fn a_clock_that_leaps_is_not_trusted_once() {
    // Seconds after the clock that the ledger saw last, and whether ages can be known.
    for (after, trusted) in [(0, true), (30 * DAY, true), (30 * DAY + 1, false), (-1, false)] {
        let (home, mut ledger) = begun();
        let id = deliver(&mut ledger, "a", "a");
        ledger.close().unwrap();
        let now = Time(NOW.0 + after);
        let mut ledger = open_at(home.path(), now).unwrap();
        assert_eq!(ledger.trusted_now(), trusted.then_some(now), "{after}");
        assert_eq!(ledger.now(), now.max(NOW), "{after}");
        ledger.complete_listing(&mut [id].into_iter()).unwrap();
        ledger.close().unwrap();
        let ledger = open_at(home.path(), now).unwrap();
        assert_eq!(ledger.trusted_now(), Some(now), "the next run: {after}");
        assert_eq!(ledger.now(), now.max(NOW), "time never runs backwards: {after}");
    }
}

#[test]
fn the_size_of_a_delivered_message_does_not_change_unseen() {
    let (_home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "1234");
    let size = |ledger: &Ledger| ledger.entry(id).listed_size;
    ledger.learn_size(id, Octets(9)).unwrap();
    ledger.fail(&key("a"), Some(Octets(9)), None).unwrap();
    assert_eq!(size(&ledger), Some(Octets(4)));
    ledger.record_match(&key("a"), Some(Octets(9)), Match::first(id)).unwrap();
    assert_eq!((size(&ledger), ledger.entry(id).failures), (Some(Octets(9)), 0));
    let unlisted = ledger.fail(&key("c"), None, None).unwrap();
    assert_eq!(deliver_without_size(&mut ledger, "c"), unlisted);
    ledger.learn_size(unlisted, Octets(7)).unwrap();
    assert_eq!(ledger.entry(unlisted).listed_size, Some(Octets(7)), "it was not known");
    let huge = Octets(1 << 40);
    let open = ledger.fail(&key("b"), Some(Octets(3)), None).unwrap();
    assert_eq!(ledger.entry(open).listed_size, Some(Octets(3)));
    for (id, octets) in [(open, Octets(1)), (open, huge), (id, huge)] {
        ledger.learn_size(id, octets).unwrap();
    }
    assert_eq!((ledger.entry(open).listed_size, size(&ledger)), (Some(huge), Some(Octets(9))));
}

#[test]
fn renumbered_messages_are_recorded_as_good_as_delivered() {
    let (home, mut ledger) = begun();
    let old = deliver(&mut ledger, "a", "a");
    ledger.complete_listing(&mut [old].into_iter()).unwrap();
    let new = ledger.record_match(&key("z"), Some(Octets(1)), Match::first(old)).unwrap();
    assert_eq!(ledger.present().collect::<Vec<_>>(), [old], "until a listing has it, the old one counts");
    let entry = ledger.entry(new);
    assert_eq!((entry.state, entry.delivered, entry.deliveries), (EntryState::Recorded, Some(NOW), 1));
    assert_eq!(ledger.deliveries_of(new).unwrap(), ledger.deliveries_of(old).unwrap());
    assert_eq!(ledger.prove_delivered(new, number(1)).unwrap().entry(), new);
    compact(&ledger);
    assert_eq!(read(home.path()).unwrap().present().collect::<Vec<_>>(), [old]);
    ledger.complete_listing(&mut [new].into_iter()).unwrap();
    assert_eq!(ledger.present().collect::<Vec<_>>(), [new]);
    ledger.deleted(&[new]).unwrap();
    assert_eq!(ledger.entry(new).state, EntryState::Deleted);
}

#[test]
fn messages_without_a_unique_id() {
    let (home, mut ledger) = begun();
    let header = digests("a").header;
    let id = ledger.fail(&Key::Header(header), None, None).unwrap();
    assert_eq!(ledger.find_key(&Key::Header(header)), Some(id));
    assert_eq!(ledger.find_key(&key(&format!("{header}"))), None, "nor is it the unique-id of that text");
    assert_eq!(ledger.key(id).unwrap(), Key::Header(header), "read before it is written");
    let id = ledger.too_large(&Key::Header(header), Some(Octets(5))).unwrap();
    assert!(ledger.entry(id).reported_too_large);
    ledger.flush().unwrap();
    let before = octets(home.path());
    ledger.too_large(&Key::Header(header), Some(Octets(5))).unwrap();
    ledger.close().unwrap();
    assert_eq!(octets(home.path()), before, "it is reported once");
}

/// It would be forgotten, as what was deleted long ago is, and delivered again.
#[test]
fn what_came_under_the_key_of_a_deleted_message_is_not_gone_with_it() {
    let (home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "a");
    ledger.deleted(&[id]).unwrap();
    assert_eq!(deliver(&mut ledger, "a", "b"), id);
    // What waits for it to be known as gone is another one.
    let other = deliver(&mut ledger, "c", "c");
    ledger.deleted(&[other]).unwrap();
    ledger.complete_listing(&mut std::iter::empty()).unwrap();
    for day in (20..=100).step_by(20) {
        ledger.tick(Time(NOW.0 + day * DAY));
    }
    compact(&ledger);
    let again = read(home.path()).unwrap();
    assert_eq!((again.find_key(&key("a")).is_some(), again.find_key(&key("c"))), (true, None));
}

/// Whether its copies differed is no matter any more when it was deleted and is gone: what has its key next is other mail.
#[test]
fn what_was_deleted_and_is_gone_leaves_no_word_about_its_copies() {
    for (listed, expected) in [(true, true), (false, false)] {
        for others in [0, 1] {
            let home = tempfile::tempdir().unwrap();
            let mut ledger = open(home.path());
            let [a, b] = ["a", "b"].map(|name| deliver(&mut ledger, name, name));
            ledger.varies(a).unwrap();
            ledger.deleted(&[a]).unwrap();
            let held = [Some(b).filter(|_| others > 0), Some(a).filter(|_| listed)];
            ledger.complete_listing(&mut held.into_iter().flatten()).unwrap();
            assert_eq!(ledger.entry(a).varies, expected, "{listed}, {others}");
            assert_eq!(ledger.entry(a).absent, !listed, "{listed}, {others}");
        }
    }
}

/// A rewritten ledger holds what is absent as in doubt: so it is before, too.
#[test]
fn what_is_identified_after_listings_that_lacked_it_is_in_doubt() {
    let (home, mut ledger) = begun();
    ledger.import(&[(unique_id("id seen"), UsersWord::Seen)]).unwrap();
    let other = deliver(&mut ledger, "other", "other");
    ledger.complete_listing(&mut [other].into_iter()).unwrap();
    let id = ledger.find(unique_id("id seen").borrow()).unwrap();
    assert!(!ledger.entry(id).doubtful, "there is nothing to compare it with");
    ledger.identify(id, digests("1").header, digests("1").identity).unwrap();
    assert!(ledger.entry(id).doubtful);
    ledger.close().unwrap();
    assert!(read(home.path()).unwrap().entry(id).doubtful);
}

/// By a session that has asked for no sizes.
fn deliver_without_size(ledger: &mut Ledger, unique_id: &str) -> EntryId {
    let to = maildir(ledger);
    let message =
        Arrival { listed_size: None, ..Arc::into_inner(arrival(key(unique_id), "x", &[to])).unwrap() };
    let noted = note(ledger, vec![piece(&Arc::new(message), to)]).pop().unwrap();
    ledger.record(Published::attest(noted)).unwrap().unwrap().entry()
}
