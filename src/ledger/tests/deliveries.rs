//! From `staged` to `delivered`, and what comes between.

use super::*;

#[test]
fn from_staged_to_deleted() {
    let (home, mut ledger) = begun();
    assert!(ledger.is_empty() && ledger.id().len() == 16 && ledger.warnings().is_empty());
    let to = maildir(&mut ledger);
    assert!(!ledger.has_delivered_to(to));
    let message = arrival(key("a b\x1b"), "x", &[to]);
    let noted = note(&mut ledger, vec![piece(&message, to)]).pop().unwrap();
    let id = ledger.find_key(&message.key).unwrap();
    assert_eq!(ledger.entry(id).state, EntryState::Open);
    assert_eq!((ledger.intents().len(), ledger.prove_delivered(id, number(1))), (1, None));
    let proof = ledger.record(Published::attest(noted)).unwrap().unwrap();
    assert_eq!((proof.number(), proof.entry()), (number(7), id));
    assert!(ledger.has_delivered_to(to) && ledger.intents().is_empty());
    let entry = ledger.entry(id);
    assert_eq!((entry.state, entry.deliveries, entry.delivered), (EntryState::Delivered, 1, Some(NOW)));
    assert_eq!(ledger.key(id).unwrap(), message.key);
    assert_eq!(ledger.deliveries_of(id).unwrap()[0].digests, message.digests);
    assert_eq!(ledger.deliveries(|_, _| true).unwrap()[0].2.digests, message.digests);
    ledger.sync().unwrap();
    ledger.deleted(&[id, id]).unwrap();
    assert_eq!(
        ledger.prove_delivered(id, number(1)),
        None,
        "what came back after its deletion is looked at first"
    );
    let before = picture(&ledger);
    ledger.close().unwrap();
    assert_eq!(picture(&open(home.path())), before);
    assert_eq!(picture(&read(home.path()).unwrap()), before);
}

#[test]
fn a_ledger_may_go_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<Ledger>();
}

#[test]
fn dropped_intents_come_again() {
    let (home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let message = arrival(key("a"), "a", &[to]);
    let _ = note(&mut ledger, vec![piece(&message, to)]);
    drop(ledger);
    let mut ledger = open(home.path());
    let intent = ledger.intents().pop().unwrap();
    assert_eq!(intent.place, NotedPlace::Maildir { name: format!("1.{:?}", message.digests.message) });
    assert_eq!((intent.octets, intent.since, intent.key), (11, NOW, key("a")));
    ledger.settle_dropped(&[intent.id]).unwrap();
    let id = ledger.find_key(&key("a")).unwrap();
    assert_eq!((ledger.entry(id).state, ledger.entry(id).failures), (EntryState::Open, 0));
    assert_eq!((ledger.lacking(id), ledger.intents().len()), (None, 0));
    assert!(matches!(ledger.settle_dropped(&[intent.id]), Err(Error::Contradiction(_))));
}

#[test]
fn a_message_is_delivered_when_all_of_its_destinations_have_it() {
    let (home, mut ledger) = begun();
    let first = maildir(&mut ledger);
    let second = ledger.enter_destination(&name(DestinationKind::Pipe, "procmail\0-d\0me"), None).unwrap();
    let message = arrival(key("a"), "a", &[first, second]);
    let one = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
    let two = note(&mut ledger, vec![piece(&message, second)]).pop().unwrap();
    let id = ledger.find_key(&key("a")).unwrap();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger.record(Published::attest(one)).unwrap(), None);
    ledger.refuse(two, Some(Time(NOW.0 + 60))).unwrap();
    let check = |ledger: &Ledger| {
        let entry = ledger.entry(id);
        assert_eq!((entry.state, entry.deliveries, entry.failures), (EntryState::Open, 0, 1));
        assert_eq!(entry.retry_after, Some(Time(NOW.0 + 60)));
        assert_eq!(ledger.lacking(id), Some(vec![second]));
        assert_eq!(ledger.prove_delivered(id, number(1)), None);
    };
    check(&ledger);
    ledger.close().unwrap();
    let ledger = open(home.path());
    check(&ledger);
    compact(&ledger);
    drop(ledger);
    let mut ledger = open(home.path());
    check(&ledger);
    // The next run serves the destination that lacks it.
    let begun = ledger.begun().pop().unwrap();
    assert_eq!((begun.entry, begun.digests, begun.nameless), (id, digests("a"), false));
    assert_eq!(begun.set, [(first, true), (second, false)]);
    // Under another key as well: the old one then stands for nothing.
    let again = continuing(Some(begun.id), key("b"), "a", &[first, second]);
    let noted = note(&mut ledger, vec![piece(&again, second)]).pop().unwrap();
    assert!(ledger.record(Published::attest(noted)).unwrap().is_some());
    assert_eq!((ledger.begun(), ledger.lacking(id)), (Vec::new(), None));
    let id = ledger.find_key(&key("b")).unwrap();
    let entry = ledger.entry(id);
    assert_eq!((entry.state, entry.deliveries, entry.failures), (EntryState::Delivered, 1, 0));
    assert_eq!((entry.retry_after, ledger.lacking(id)), (None, None));
}

/// The message that holds up an entry is listed no more; the one that is was delivered before.
#[test]
fn a_message_whose_key_stands_for_another_holds_up_nothing() {
    let (home, mut ledger) = begun();
    let first = maildir(&mut ledger);
    let second = ledger.enter_destination(&name(DestinationKind::Pipe, "procmail\0-d\0me"), None).unwrap();
    let id = deliver(&mut ledger, "a", "delivered");
    let message = arrival(key("a"), "partly", &[first, second]);
    let noted = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
    // On its way it isn't given up.
    ledger.part_from_key(id).unwrap();
    assert_eq!((ledger.entry(id).state, ledger.begun().len()), (EntryState::Open, 0));
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    assert_eq!(ledger.lacking(id), Some(vec![second]));
    let noted = note(&mut ledger, vec![piece(&message, second)]).pop().unwrap();
    assert_eq!(ledger.begun(), [], "the one that lacks it is about to get it");
    ledger.refuse(noted, None).unwrap();
    assert_eq!(ledger.begun().len(), 1);
    drop(message);
    ledger.part_from_key(id).unwrap();
    let check = |ledger: &Ledger, state| {
        assert_eq!(
            (ledger.entry(id).state, ledger.entry(id).deliveries, ledger.lacking(id)),
            (state, 1, None)
        );
        let begun = ledger.begun().pop().unwrap();
        assert!(begun.gone);
        assert_eq!((begun.digests, begun.set), (digests("partly"), vec![(first, true), (second, false)]));
    };
    check(&ledger, EntryState::Delivered);
    assert!(ledger.prove_delivered(id, number(1)).is_some());
    ledger.deleted(&[id]).unwrap();
    check(&ledger, EntryState::Deleted);
    let before = picture(&ledger);
    compact(&ledger);
    drop(ledger);
    let mut ledger = open(home.path());
    assert_eq!(picture(&ledger), before);
    // Under another key it goes on.
    let begun = ledger.begun().pop().unwrap();
    let again = continuing(Some(begun.id), key("b"), "partly", &[first, second]);
    let noted = note(&mut ledger, vec![piece(&again, second)]).pop().unwrap();
    assert!(ledger.record(Published::attest(noted)).unwrap().is_some());
    assert_eq!(ledger.begun(), []);
}

/// What some destinations lack is listed under another key: what its former key was delivered for counts again, and it goes
/// on under the new one, whether they get it or not.
#[test]
fn a_message_that_moves_to_another_key_holds_up_nothing_under_its_former_one() {
    for is_delivered in [false, true] {
        let (home, mut ledger) = begun();
        let first = maildir(&mut ledger);
        let second =
            ledger.enter_destination(&name(DestinationKind::Pipe, "procmail\0-d\0me"), None).unwrap();
        let id = deliver(&mut ledger, "a", "delivered");
        let message = arrival(key("a"), "partly", &[first, second]);
        let noted = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
        assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
        drop(message);
        let begun = ledger.begun().pop().unwrap().id;
        if is_delivered {
            let again = continuing(Some(begun), key("b"), "partly", &[first, second]);
            let noted = note(&mut ledger, vec![piece(&again, second)]).pop().unwrap();
            assert!(ledger.record(Published::attest(noted)).unwrap().is_some());
        } else {
            ledger.rename_begun(begun, &key("b")).unwrap();
        }
        ledger.close().unwrap();
        let ledger = open(home.path());
        let state = |ledger: &Ledger, name| {
            let id = ledger.find_key(&key(name)).unwrap();
            (ledger.entry(id).state, ledger.lacking(id))
        };
        let expected = match is_delivered {
            true => (EntryState::Delivered, None),
            false => (EntryState::Open, Some(vec![second])),
        };
        assert_eq!(state(&ledger, "b"), expected);
        assert_eq!((state(&ledger, "a"), ledger.entry(id).deliveries), ((EntryState::Delivered, None), 1));
        let before = picture(&ledger);
        compact(&ledger);
        drop(ledger);
        assert_eq!(picture(&open(home.path())), before);
    }
}

/// What was only printed is never deleted, whatever becomes of other mail under its unique-id.
#[test]
fn what_was_only_printed_is_not_as_good_as_delivered_after_another_message_of_its_key_has_failed() {
    let (home, mut ledger) = begun();
    let stream = ledger.enter_destination(&name(DestinationKind::Stdout, "-"), None).unwrap();
    let to = maildir(&mut ledger);
    let printed = arrival(key("a"), "printed", &[stream]);
    let noted = note(&mut ledger, vec![piece(&printed, stream)]).pop().unwrap();
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    let id = ledger.find_key(&key("a")).unwrap();
    let other = arrival(key("a"), "other", &[to]);
    let noted = note(&mut ledger, vec![piece(&other, to)]).pop().unwrap();
    ledger.refuse(noted, None).unwrap();
    assert_eq!((ledger.entry(id).state, ledger.entry(id).only_seen), (EntryState::Open, true));
    compact(&ledger);
    drop(ledger);
    let mut ledger = open(home.path());
    ledger.record_match(&key("a"), None, Match::first(id)).unwrap();
    assert_eq!(ledger.entry(id).state, EntryState::Seen);
    assert_eq!(ledger.prove_delivered(id, number(1)), None);
}

/// Delivers a message to the first of two destinations.
fn one_of_two(ledger: &mut Ledger) -> [DestinationId; 2] {
    let first = maildir(ledger);
    let second = ledger.enter_destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    let message = arrival(key("a"), "a", &[first, second]);
    let noted = note(ledger, vec![piece(&message, first)]).pop().unwrap();
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    [first, second]
}

/// What has a message and is given it all the same has it when it's delivered there.
#[test]
fn a_message_that_is_given_to_all_again_is_not_delivered_before_it_is() {
    let (_home, mut ledger) = begun();
    let [first, _] = one_of_two(&mut ledger);
    let begun = ledger.begun().pop().unwrap().id;
    let again = continuing(Some(begun), key("a"), "a", &[first]);
    let noted = note(&mut ledger, vec![piece(&again, first)]).pop().unwrap();
    assert_eq!(ledger.entry(EntryId(0)).state, EntryState::Open);
    assert!(ledger.record(Published::attest(noted)).unwrap().is_some());
}

#[test]
fn another_message_under_a_partly_delivered_unique_id_starts_from_the_beginning() {
    let (_home, mut ledger) = begun();
    let [first, second] = one_of_two(&mut ledger);
    let other = arrival(key("a"), "other", &[first, second]);
    let noted = note(&mut ledger, vec![piece(&other, second)]).pop().unwrap();
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    let sets = ledger.begun().into_iter().map(|begun| begun.set).collect::<Vec<_>>();
    assert_eq!(sets, [[(first, true), (second, false)], [(first, false), (second, true)]]);
}

#[test]
fn duplicates_are_counted_and_kept_apart() {
    let (home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let pair = ["x", "y"].map(|content| arrival(key("a"), content, &[to]));
    let mut noted = note(&mut ledger, pair.iter().map(|m| piece(m, to)).collect());
    let id = ledger.find_key(&key("a")).unwrap();
    assert!(ledger.record(Published::attest(noted.remove(0))).unwrap().is_some());
    assert_eq!(ledger.entry(id).state, EntryState::Open, "the other one is still on its way");
    assert_eq!(ledger.prove_delivered(id, number(1)), None);
    assert!(ledger.record(Published::attest(noted.remove(0))).unwrap().is_some());
    assert_eq!(
        (ledger.entry(id).state, ledger.entry(id).deliveries, ledger.len()),
        (EntryState::Delivered, 2, 1)
    );
    let found: Vec<_> = ledger.deliveries_of(id).unwrap().iter().map(|record| record.digests).collect();
    assert_eq!(found, pair.each_ref().map(|m| m.digests));
    let before = picture(&ledger);
    compact(&ledger);
    assert_eq!(picture(&read(home.path()).unwrap()), before);
}

#[test]
fn a_unique_id_used_again_is_not_delivered_by_the_old_messages_word() {
    let (home, mut ledger) = begun();
    let [a, b] = ["a", "b"].map(|m| deliver(&mut ledger, m, m));
    ledger.deleted(&[b]).unwrap();
    let to = maildir(&mut ledger);
    let again = ["a", "b"].map(|m| arrival(key(m), "another", &[to]));
    let noted = note(&mut ledger, again.iter().map(|m| piece(m, to)).collect());
    for piece in noted {
        ledger.refuse(piece, None).unwrap();
    }
    for id in [a, b] {
        assert_eq!((ledger.entry(id).state, ledger.prove_delivered(id, number(1))), (EntryState::Open, None));
    }
    assert_eq!([a, b].map(|id| ledger.entry(id).deliveries), [1, 0], "what was deleted is no copy any more");
    let before = picture(&ledger);
    compact(&ledger);
    assert_eq!(picture(&read(home.path()).unwrap()), before);
    deliver(&mut ledger, "b", "another");
    assert_eq!((ledger.entry(b).state, ledger.entry(b).deliveries), (EntryState::Delivered, 1));
}

#[test]
fn what_was_only_printed_is_seen() {
    // Where the stream goes, and what becomes of the message.
    let cases = [("-", EntryState::Seen), ("/home/me/mail.mbox", EntryState::Delivered)];
    for (address, state) in cases {
        let (_home, mut ledger) = begun();
        let to = ledger.enter_destination(&name(DestinationKind::Stdout, address), None).unwrap();
        let message = arrival(key("a"), "a", &[to]);
        let place = Place::Spooled(Spooled::Memory(vec![]));
        let staged = Piece { message, destination: to, octets: 1, digest: Digest::of(b""), place };
        let noted = note(&mut ledger, vec![Staged::attest(staged)]).pop().unwrap();
        let proof: Option<Delivered> = ledger.record(Published::attest(noted)).unwrap();
        assert_eq!(
            (proof.is_some(), ledger.entry(EntryId(0)).state),
            (state == EntryState::Delivered, state)
        );
    }
}

#[test]
fn destinations_keep_their_numbers() {
    let (home, mut ledger) = begun();
    let first = maildir(&mut ledger);
    let second = ledger.enter_destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    assert_ne!(first, second);
    assert_eq!(maildir(&mut ledger), first);
    let moved = name(DestinationKind::Maildir, "/home/me/Mail box");
    assert_eq!(ledger.enter_destination(&moved, None).unwrap(), first);
    assert_eq!(ledger.destinations()[0].inode, Some((1, 2)));
    assert_eq!(ledger.enter_destination(&moved, Some((1, 3))).unwrap(), first);
    assert_eq!(ledger.destinations()[0].inode, Some((1, 3)));
    assert_eq!(ledger.destinations().len(), 2);
    ledger.close().unwrap();
    assert_eq!(count_of(home.path(), "destination "), 3);
    assert_eq!(open(home.path()).destinations()[0].inode, Some((1, 3)));
}

/// More would let a server fill the ledger.
#[test]
fn two_headers_are_kept_besides_the_first() {
    let (home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "a");
    let [first, second, third] = ["1", "2", "3"].map(|text| Digest::of(text.as_bytes()));
    for header in [first, second, third, second] {
        ledger.record_match(&key("a"), None, Match { header: Some(header), ..Match::first(id) }).unwrap();
    }
    assert_eq!(ledger.headers(id), [third, second]);
    ledger.close().unwrap();
    assert_eq!(read(home.path()).unwrap().headers(id), [third, second]);
}

/// What a key was seen to stand for last comes after the others.
#[test]
fn deliveries_stand_in_the_order_in_which_they_were_seen_last() {
    let (home, mut ledger) = begun();
    let id = ["1", "2", "3", "4", "5"].map(|content| deliver(&mut ledger, "a", content))[0];
    deliver(&mut ledger, "b", "b");
    let see = |ledger: &mut Ledger, content: &str| {
        let message = Some(digests(content).message);
        ledger.record_match(&key("a"), None, Match { message, ..Match::first(id) }).unwrap();
    };
    let order = |ledger: &Ledger| -> Vec<Digest> {
        ledger.deliveries_of(id).unwrap().iter().map(|record| record.digests.message).collect()
    };
    let expected = |contents: &[&str]| -> Vec<Digest> {
        contents.iter().map(|content| digests(content).message).collect()
    };
    ["3", "1", "5", "1"].into_iter().for_each(|content| see(&mut ledger, content));
    assert_eq!(order(&ledger), expected(&["2", "4", "3", "5", "1"]));
    deliver(&mut ledger, "a", "6");
    ["2", "6", "3"].into_iter().for_each(|content| see(&mut ledger, content));
    assert_eq!(order(&ledger), expected(&["4", "5", "1", "2", "6", "3"]));
    ledger.close().unwrap();
    assert_eq!(order(&read(home.path()).unwrap()), expected(&["4", "5", "1", "2", "6", "3"]));
}

/// Else the message goes to the one again that has it, and never to the other.
#[test]
fn what_becomes_of_a_copy_counts_for_its_own_destination() {
    for (lacks, has) in [(0, 1), (1, 0)] {
        let (_home, mut ledger) = begun();
        let first = maildir(&mut ledger);
        let second = ledger.enter_destination(&name(DestinationKind::Pipe, "procmail"), None).unwrap();
        let set = [first, second];
        let message = arrival(key("a"), "a", &set);
        let mut noted = note(&mut ledger, set.map(|to| piece(&message, to)).into());
        let delivered = noted.remove(has);
        ledger.refuse(noted.remove(0), None).unwrap();
        assert_eq!(ledger.record(Published::attest(delivered)).unwrap(), None);
        let id = ledger.find_key(&message.key).unwrap();
        assert_eq!(ledger.lacking(id), Some(vec![set[lacks]]));
    }
}

/// Else the newer one is deleted before the days are over that the user has set.
#[test]
fn of_two_messages_under_one_unique_id_the_later_delivery_counts_for_the_age() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "one");
    let later = Time(NOW.0 + 5 * DAY);
    ledger.tick(later);
    let id = deliver(&mut ledger, "a", "two");
    assert_eq!((ledger.entry(id).deliveries, ledger.entry(id).delivered), (2, Some(later)));
    compact(&ledger);
    assert_eq!(read(home.path()).unwrap().entry(id).delivered, Some(later));
}
