//! What a message's lines come to: deliveries that are continued, entries that hold several messages, and what is left
//! when one of them goes.

use super::*;

/// A message that the first of two destinations has and the second lacks.
fn half_delivered(ledger: &mut Ledger, name: &str, content: &str) -> (DestinationId, DestinationId, BegunId) {
    let first = maildir(ledger);
    let second = ledger.enter_destination(&self::name(DestinationKind::Mbox, "/m"), None).unwrap();
    let message = arrival(key(name), content, &[first, second]);
    let noted = note(ledger, vec![piece(&message, first)]).pop().unwrap();
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    (first, second, ledger.begun().pop().unwrap().id)
}

/// Of two equal messages, only one has a copy at the first destination.
#[test]
fn a_delivery_is_continued_by_one_message_only() {
    let (_home, mut ledger) = begun();
    let (first, second, begun) = half_delivered(&mut ledger, "a", "a");
    let pair = [(); 2].map(|()| continuing(Some(begun), key("a"), "a", &[first, second]));
    let mut proofs = Vec::new();
    for noted in note(&mut ledger, pair.iter().map(|message| piece(message, second)).collect()) {
        proofs.push(ledger.record(Published::attest(noted)).unwrap().is_some());
    }
    assert_eq!(proofs, [true, false]);
    assert_eq!(ledger.lacking(EntryId(0)), Some(vec![first]));
}

#[test]
fn what_is_on_its_way_is_not_replaced() {
    let (_home, mut ledger) = begun();
    let (first, second, begun) = half_delivered(&mut ledger, "a", "a");
    let message = continuing(Some(begun), key("a"), "a", &[first, second]);
    let on_its_way = note(&mut ledger, vec![piece(&message, second)]).pop().unwrap();
    let same = BegunId(begun.0 + 1);
    let other = continuing(Some(same), key("a"), "a", &[first, second]);
    let _ = note(&mut ledger, vec![piece(&other, second)]);
    assert_eq!(ledger.intents().len(), 2);
    assert!(ledger.record(Published::attest(on_its_way)).unwrap().is_some());
}

#[test]
fn what_a_destination_has_it_does_not_get_by_another_message_of_the_batch() {
    let (_home, mut ledger) = begun();
    let (first, second, begun) = half_delivered(&mut ledger, "a", "a");
    let third = ledger.enter_destination(&name(DestinationKind::Mbox, "/n"), None).unwrap();
    let again = continuing(Some(begun), key("a"), "a", &[first, second, third]);
    let other = arrival(key("b"), "b", &[first]);
    let mut noted = note(&mut ledger, vec![piece(&again, second), piece(&other, first)]);
    assert!(ledger.record(Published::attest(noted.pop().unwrap())).unwrap().is_some());
    assert_eq!(ledger.record(Published::attest(noted.pop().unwrap())).unwrap(), None);
    let id = ledger.find_key(&key("a")).unwrap();
    assert_eq!(ledger.lacking(id), Some(vec![third]), "a new destination of the set lacks it still");
}

#[test]
fn a_message_for_nobody_is_never_delivered() {
    let (_home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let message = arrival(key("a"), "a", &[]);
    let noted = note(&mut ledger, vec![piece(&message, to)]).pop().unwrap();
    let id = ledger.find_key(&key("a")).unwrap();
    assert_eq!(ledger.prove_delivered(id, number(1)), None);
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    assert_eq!(ledger.prove_delivered(id, number(1)), None);
}

/// While one of its messages is on its way, an entry isn't delivered by the word of an older one.
#[test]
fn a_key_stays_open_while_another_of_its_messages_is_on_its_way() {
    let (_home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "delivered");
    let (first, second, _) = half_delivered(&mut ledger, "a", "partly");
    let third = arrival(key("a"), "third", &[first, second]);
    let _noted = note(&mut ledger, vec![piece(&third, first)]);
    ledger.part_from_key(id).unwrap();
    assert_eq!((ledger.entry(id).state, ledger.prove_delivered(id, number(1))), (EntryState::Open, None));
    assert_eq!(ledger.intents().len(), 1);
}

/// A server lists several messages under one unique-id: what goes is one of them.
#[test]
fn of_several_messages_of_a_key_one_is_deleted_at_a_time() {
    let (home, mut ledger) = begun();
    let id = ["1", "2", "3"].map(|content| deliver(&mut ledger, "a", content))[0];
    let left = |ledger: &Ledger| -> Vec<Digest> {
        ledger.deliveries_of(id).unwrap().iter().map(|past| past.digests.message).collect()
    };
    let message = |content: &str| digests(content).message;
    let delete = |ledger: &mut Ledger, content: &str| {
        let asked = ledger.ask_deletion(&[(id, Some(message(content)))]).unwrap();
        assert!(ledger.entry(id).doubtful, "until the answer has come");
        ledger.confirm_deletion(asked).unwrap();
    };
    delete(&mut ledger, "2");
    assert_eq!(left(&ledger), [message("1"), message("3")]);
    assert_eq!((ledger.entry(id).state, ledger.entry(id).doubtful), (EntryState::Delivered, false));
    assert_eq!(ledger.entry(id).listed_size, None, "it was that of the last one");
    delete(&mut ledger, "1");
    assert_eq!((left(&ledger), ledger.entry(id).deliveries), (vec![message("3")], 1));
    let before = picture(&ledger);
    compact(&ledger);
    assert_eq!(picture(&read(home.path()).unwrap()), before);
    delete(&mut ledger, "3");
    assert_eq!(ledger.entry(id).state, EntryState::Deleted);
}

/// Nothing of the message that was deleted is left to the one that takes its unique-id.
#[test]
fn a_new_message_of_a_deleted_key_starts_from_nothing() {
    let (_home, mut ledger) = begun();
    let id = ["1", "2"].map(|content| deliver(&mut ledger, "a", content))[0];
    ledger.deleted(&[id]).unwrap();
    ledger.complete_listing(&mut std::iter::empty()).unwrap();
    let (first, _, _) = half_delivered(&mut ledger, "a", "new");
    let entry = ledger.entry(id);
    assert_eq!((entry.state, entry.deliveries, entry.delivered), (EntryState::Open, 0, None));
    assert_eq!((entry.listed_size, entry.absent, entry.doubtful), (None, false, false));
    assert_eq!(ledger.deliveries_of(id).unwrap(), []);
    assert!(ledger.present().any(|present| present == id));
    let message = arrival(key("a"), "newer", &[first]);
    let noted = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
    let _ = ledger.record(Published::attest(noted)).unwrap();
    assert_eq!(ledger.entry(id).deliveries, 1);
}

/// A line for each message at each poll would fill the disk.
#[test]
fn what_is_known_already_adds_no_line() {
    let (home, mut ledger) = begun();
    let [a, b] = ["a", "b"].map(|name| deliver(&mut ledger, name, name));
    ledger.import(&[(unique_id("i"), UsersWord::Seen)]).unwrap();
    let imported = ledger.find_key(&key("i")).unwrap();
    ledger.fail(&key("f"), Some(Octets(5)), None).unwrap();
    ledger.complete_listing(&mut [a, b].into_iter()).unwrap();
    type Record = fn(&mut Ledger, &[EntryId]) -> Result<(), Error>;
    let records: [(&str, Record); 8] = [
        ("doubt", |ledger, ids| ledger.doubt(Some(ids))),
        ("trust", |ledger, ids| ledger.trust(ids)),
        ("settled", |ledger, _| ledger.settle_renumbering()),
        ("size", |ledger, ids| ledger.learn_size(ids[0], Octets(9))),
        ("large", |ledger, _| ledger.too_large(&key("large"), Some(Octets(9))).map(drop)),
        ("large, of unknown size", |ledger, _| ledger.too_large(&key("large"), None).map(drop)),
        ("nothing known", |ledger, _| ledger.complete_listing(&mut std::iter::empty())),
        ("no deletion", |ledger, _| {
            let asked = ledger.ask_deletion(&[])?;
            ledger.confirm_deletion(asked)
        }),
    ];
    for (what, record) in records {
        let mut lengths = Vec::new();
        for _ in 0..3 {
            record(&mut ledger, &[a, b, imported]).unwrap();
            ledger.flush().unwrap();
            lengths.push(octets(home.path()).len());
        }
        assert_eq!(lengths[1], lengths[2], "{what}");
    }
}

/// Time never runs backwards, whatever was recorded last: else ages would grow when a clock is set back.
#[test]
fn the_time_of_every_line_counts() {
    type Record = fn(&mut Ledger, EntryId) -> Result<(), Error>;
    let records: [(&str, Record); 15] = [
        ("failed", |ledger, _| ledger.fail(&key("f"), None, None).map(drop)),
        ("large", |ledger, _| ledger.too_large(&key("l"), None).map(drop)),
        ("matched here", |ledger, id| ledger.record_match(&key("a"), None, Match::first(id)).map(drop)),
        ("matched elsewhere", |ledger, id| ledger.record_match(&key("z"), None, Match::first(id)).map(drop)),
        ("doubted", |ledger, id| ledger.doubt(Some(&[id]))),
        ("all doubted", |ledger, _| ledger.doubt(None)),
        ("varies", |ledger, id| ledger.varies(id)),
        ("asked", |ledger, id| ledger.ask_deletion(&[(id, None)]).map(drop)),
        ("renumbered", |ledger, _| ledger.begin_renumbering()),
        ("imported", |ledger, _| ledger.import(&[(unique_id("i"), UsersWord::Seen)]).map(drop)),
        ("forgotten", |ledger, _| forget(ledger, &[unique_id("a")]).map(drop)),
        ("listed", |ledger, id| ledger.complete_listing(&mut [id].into_iter())),
        ("nothing listed", |ledger, _| ledger.complete_listing(&mut std::iter::empty())),
        ("delivered", |ledger, _| {
            let intents: Vec<_> = ledger.intents().iter().map(|intent| intent.id).collect();
            ledger.settle_delivered(&intents)
        }),
        ("dropped", |ledger, _| {
            let intents: Vec<_> = ledger.intents().iter().map(|intent| intent.id).collect();
            ledger.settle_dropped(&intents)
        }),
    ];
    let later = Time(NOW.0 + 1000);
    for (what, record) in records {
        let (home, mut ledger) = begun();
        ledger.import(&[(unique_id("other"), UsersWord::Seen)]).unwrap();
        let id = deliver(&mut ledger, "a", "a");
        let to = maildir(&mut ledger);
        let _ = note(&mut ledger, vec![piece(&arrival(key("b"), "b", &[to]), to)]);
        // A group is begun now, so that the line that follows is alone with its time.
        ledger.learn_size(id, Octets(3)).unwrap();
        ledger.fail(&key("e"), None, None).unwrap();
        ledger.tick(later);
        record(&mut ledger, id).unwrap();
        assert_eq!(ledger.index.time, later, "{what}");
        ledger.flush().unwrap();
        drop(ledger);
        let ledger = read(home.path()).unwrap();
        assert_eq!((ledger.now(), ledger.ahead_of_clock()), (later, 1000), "{what}");
    }
}

/// What a server sends in UTF-8 mode differs; and that an id has stood for two messages is never forgotten.
#[test]
fn how_a_message_came_is_kept_with_it() {
    for (utf8, again) in [(false, false), (true, false), (false, true)] {
        let (home, mut ledger) = begun();
        let to = maildir(&mut ledger);
        let message = arrival(key("a"), "a", &[to]);
        let message = Arc::new(Arrival { utf8, again, ..Arc::try_unwrap(message).unwrap() });
        let noted = note(&mut ledger, vec![piece(&message, to)]).pop().unwrap();
        let id = ledger.record(Published::attest(noted)).unwrap().unwrap().entry();
        let moved = ledger.record_match(&key("z"), None, Match::first(id)).unwrap();
        let check = |ledger: &Ledger| {
            assert_eq!([id, moved].map(|id| ledger.entry(id).utf8), [utf8; 2]);
            assert_eq!(ledger.entry(id).again, again);
        };
        check(&ledger);
        compact(&ledger);
        check(&read(home.path()).unwrap());
        forget(&mut ledger, &[unique_id("z")]).unwrap();
        assert_eq!(ledger.has_unsteady_ids(), again);
    }
}

#[test]
fn only_what_was_delivered_can_be_doubted_or_stand_under_another_key() {
    let (home, mut ledger) = begun();
    let [present, absent, deleted] = ["present", "absent", "deleted"].map(|m| deliver(&mut ledger, m, m));
    let failed = ledger.fail(&key("failed"), None, None).unwrap();
    ledger.complete_listing(&mut [present, failed, deleted].into_iter()).unwrap();
    ledger.deleted(&[deleted]).unwrap();
    ledger.begin_renumbering().unwrap();
    let all = [present, absent, deleted, failed];
    assert_eq!(all.map(|id| ledger.entry(id).candidate), [true, false, false, false]);
    ledger.doubt(None).unwrap();
    assert_eq!(all.map(|id| ledger.entry(id).doubtful), [true, true, false, false]);
    compact(&ledger);
    assert!(read(home.path()).unwrap().is_renumbering(), "the next run goes on with it");
    ledger.settle_renumbering().unwrap();
    assert!(!ledger.is_renumbering() && !ledger.entry(present).candidate);
    // What comes back, and is known for what it is, is neither absent nor in doubt.
    ledger.record_match(&key("absent"), None, Match::first(absent)).unwrap();
    let entry = ledger.entry(absent);
    assert_eq!((entry.absent, entry.doubtful), (false, false));
    assert!(ledger.present().any(|id| id == absent));
    deliver(&mut ledger, "present", "again");
    assert!(!ledger.entry(present).doubtful);
}

/// Its header was the only key that it had: now another message with this header is another message.
#[test]
fn a_message_that_gets_a_unique_id_is_not_known_by_its_header_any_more() {
    let (_home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let header = Key::Header(digests("a").header);
    let message = arrival(header.clone(), "a", &[to]);
    let noted = note(&mut ledger, vec![piece(&message, to)]).pop().unwrap();
    let nameless = ledger.record(Published::attest(noted)).unwrap().unwrap().entry();
    assert!(ledger.knows_nameless() && !ledger.knows_unique_ids().unwrap());
    let other = deliver(&mut ledger, "other", "other");
    ledger.complete_listing(&mut [other].into_iter()).unwrap();
    assert!(!ledger.entry(nameless).absent, "no listing names it");
    assert!(ledger.knows_unique_ids().unwrap());
    ledger.record_match(&key("a"), None, Match::first(nameless)).unwrap();
    assert!(ledger.entry(nameless).absent && ledger.entry(nameless).doubtful);
    ledger.forget_entries(&[nameless]).unwrap();
    assert!(!ledger.knows_nameless());
    assert_eq!(ledger.find_key(&header), None);
}

/// It is on its way to the other destination, under the key that it had.
#[test]
fn what_is_on_its_way_is_not_renamed() {
    let (_home, mut ledger) = begun();
    let (first, second, begun) = half_delivered(&mut ledger, "a", "a");
    let message = continuing(Some(begun), key("a"), "a", &[first, second]);
    let on_its_way = note(&mut ledger, vec![piece(&message, second)]).pop().unwrap();
    let before = picture(&ledger);
    ledger.rename_begun(BegunId(begun.0 + 1), &key("b")).unwrap();
    assert_eq!(picture(&ledger), before);
    assert!(ledger.record(Published::attest(on_its_way)).unwrap().is_some());
}

/// Two equal messages under one unique-id are two.
#[test]
fn equal_messages_of_a_key_are_deleted_one_for_one() {
    let (_home, mut ledger) = begun();
    let id = ["1", "2", "1"].map(|content| deliver(&mut ledger, "a", content))[0];
    let one = digests("1").message;
    let asked = ledger.ask_deletion(&[(id, Some(one)), (id, Some(one))]).unwrap();
    ledger.confirm_deletion(asked).unwrap();
    let left: Vec<Digest> =
        ledger.deliveries_of(id).unwrap().iter().map(|past| past.digests.message).collect();
    assert_eq!(left, [digests("2").message]);
}

/// It may be another message by now.
#[test]
fn a_message_that_is_too_large_is_reported_again_when_its_size_has_changed() {
    let (home, mut ledger) = begun();
    let id = ledger.too_large(&key("a"), Some(Octets(100))).unwrap();
    for (size, expected) in [(Some(100), 100), (None, 100), (Some(200), 200)] {
        let lines = |ledger: &mut Ledger| {
            ledger.flush().unwrap();
            octets(home.path()).len()
        };
        let before = lines(&mut ledger);
        assert_eq!(ledger.too_large(&key("a"), size.map(Octets)).unwrap(), id);
        assert_eq!(ledger.entry(id).listed_size, Some(Octets(expected)));
        assert_eq!(lines(&mut ledger) > before, expected != 100, "{size:?}");
    }
}

/// The key stands for a message that has come since, and that is on its way.
#[test]
fn a_deletion_that_is_confirmed_late_deletes_nothing_that_has_come_since() {
    let (home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "a");
    let asked = ledger.ask_deletion(&[(id, None)]).unwrap();
    let to = maildir(&mut ledger);
    let message = arrival(key("a"), "b", &[to]);
    let noted = note(&mut ledger, vec![piece(&message, to)]).pop().unwrap();
    ledger.confirm_deletion(asked).unwrap();
    assert_eq!(ledger.entry(id).state, EntryState::Open);
    assert!(ledger.record(Published::attest(noted)).unwrap().is_some());
    let before = picture(&ledger);
    ledger.sync().unwrap();
    assert_eq!(picture(&read(home.path()).unwrap()), before);
}

/// Without them the next `TOP` proves nothing, and the whole message is retrieved to be compared.
#[test]
fn the_headers_that_a_message_was_shown_by_are_kept() {
    let (home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "a");
    let [one, two, three] = ["one", "two", "three"].map(|header| Digest::of(header.as_bytes()));
    for (header, known) in
        [(one, vec![one]), (two, vec![one, two]), (one, vec![two, one]), (three, vec![one, three])]
    {
        let seen = Match { entry: id, message: None, header: Some(header) };
        ledger.record_match(&key("a"), Some(Octets(1)), seen).unwrap();
        assert_eq!(ledger.index.headers(id), known);
        compact(&ledger);
        assert_eq!(read(home.path()).unwrap().index.headers(id), known);
    }
}

/// Whatever the destination that is given up lacked: the others have it.
#[test]
fn all_that_a_destination_lacks_is_given_up_at_once() {
    let (home, mut ledger) = begun();
    let (_, second, _) = half_delivered(&mut ledger, "a", "a");
    half_delivered(&mut ledger, "b", "b");
    ledger.give_up(&[second]).unwrap();
    assert!(ledger.begun().is_empty());
    for (name, at) in [("a", 1), ("b", 2)] {
        let id = ledger.find_key(&key(name)).unwrap();
        assert!(ledger.prove_delivered(id, number(at)).is_some(), "{name}");
    }
    let before = picture(&ledger);
    assert_eq!(picture(&read(home.path()).unwrap()), before);
}
