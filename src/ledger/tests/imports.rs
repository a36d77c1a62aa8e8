//! The user's word: what another program delivered, what counts as seen, what is to be forgotten.

use super::*;

const THEN: Time = Time(NOW.0 - 10 * DAY);

fn import(ledger: &mut Ledger, name: &str, word: UsersWord) -> EntryId {
    assert_eq!(ledger.import(&[(unique_id(name), word)]).unwrap(), 1, "{name}");
    ledger.find_key(&key(name)).unwrap()
}

fn unidentified(ledger: &Ledger) -> Vec<EntryId> {
    ledger.index.ids().filter(|id| ledger.entry(*id).unidentified).collect()
}

fn version(directory: &Path) -> String {
    let text = octets(directory);
    String::from_utf8(text.split(|octet| *octet == b' ').nth(1).unwrap().to_vec()).unwrap()
}

/// The same after it was read again, and after it was compacted.
fn check(directory: &Path, ledger: Ledger) -> Ledger {
    let before = picture(&ledger);
    ledger.close().unwrap();
    let ledger = open(directory);
    assert_eq!(picture(&ledger), before);
    compact(&ledger);
    drop(ledger);
    let ledger = open(directory);
    assert_eq!(picture(&ledger), before);
    ledger
}

#[test]
fn nothing_is_concluded_from_an_imported_message_before_it_is_identified() {
    for word in [UsersWord::Delivered(THEN), UsersWord::Seen] {
        let (home, mut ledger) = begun();
        let known = deliver(&mut ledger, "known", "known");
        let id = import(&mut ledger, "a", word);
        for _ in 0..2 {
            let entry = ledger.entry(id);
            assert_eq!((entry.state, entry.unidentified, entry.deliveries), (EntryState::Seen, true, 1));
            assert_eq!(ledger.prove_delivered(id, number(1)), None, "no word to delete it by");
            assert_eq!(unidentified(&ledger), [id]);
            assert_eq!(ledger.deliveries_of(id).unwrap(), []);
            assert!(ledger.deliveries(|_, _| true).unwrap().iter().all(|(other, ..)| *other == known));
            ledger.deleted(&[id]).unwrap();
            // No listing that lacks it puts it in doubt, nor a suspicious one, nor a renumbering.
            ledger.doubt(None).unwrap();
            ledger.doubt(Some(&[id])).unwrap();
            ledger.complete_listing(&mut [known].into_iter()).unwrap();
            ledger.begin_renumbering().unwrap();
            let entry = ledger.entry(id);
            assert_eq!((entry.state, entry.doubtful, entry.candidate), (EntryState::Seen, false, false));
            ledger.complete_listing(&mut [known, id].into_iter()).unwrap();
            ledger = check(home.path(), ledger);
        }
    }
}

#[test]
fn an_identified_message_is_what_the_user_says_that_it_is() {
    let (home, mut ledger) = begun();
    let [delivered, seen] = [("a", UsersWord::Delivered(THEN)), ("b", UsersWord::Seen)]
        .map(|(name, word)| import(&mut ledger, name, word));
    assert_eq!(version(home.path()), "3");
    for (id, content) in [(delivered, "a"), (seen, "b")] {
        let Digests { header, identity, .. } = digests(content);
        ledger.identify(id, header, identity).unwrap();
        assert!(matches!(ledger.identify(id, header, identity), Err(Error::Contradiction(_))));
    }
    assert_eq!(unidentified(&ledger), []);
    let ledger = check(home.path(), ledger);
    assert_eq!(version(home.path()), "2", "an older popfetch understands what is left");
    let states = [delivered, seen].map(|id| ledger.entry(id).state);
    assert_eq!(states, [EntryState::Delivered, EntryState::Seen]);
    assert_eq!(ledger.entry(delivered).delivered, Some(THEN));
    assert_eq!(ledger.prove_delivered(delivered, number(4)).unwrap().entry(), delivered);
    assert_eq!(ledger.prove_delivered(seen, number(5)), None, "what is only seen is never deleted");
    let record = &ledger.deliveries_of(delivered).unwrap()[0];
    assert_eq!(
        (record.digests.header, record.digests.identity),
        (digests("a").header, digests("a").identity)
    );
    assert_ne!(record.digests.message, digests("a").message, "its octets were never seen");
}

#[test]
fn what_was_seen_may_be_said_to_be_delivered() {
    let (home, mut ledger) = begun();
    let id = import(&mut ledger, "a", UsersWord::Seen);
    assert_eq!(ledger.import(&[(unique_id("a"), UsersWord::Seen)]).unwrap(), 0);
    assert_eq!(import(&mut ledger, "a", UsersWord::Delivered(Time(NOW.0 + DAY))), id);
    assert_eq!(ledger.entry(id).delivered, Some(NOW), "never later than now");
    assert_eq!(ledger.import(&[(unique_id("a"), UsersWord::Delivered(THEN))]).unwrap(), 0);
    ledger.identify(id, digests("a").header, None).unwrap();
    assert!(check(home.path(), ledger).prove_delivered(id, number(1)).is_some());
}

#[test]
fn what_is_known_already_is_not_imported() {
    let (home, mut ledger) = begun();
    let delivered = deliver(&mut ledger, "delivered", "x");
    let deleted = deliver(&mut ledger, "deleted", "y");
    ledger.deleted(&[deleted]).unwrap();
    let to = maildir(&mut ledger);
    let other = ledger.enter_destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    let noted = note(&mut ledger, vec![piece(&arrival(key("partly"), "z", &[to, other]), to)]).pop().unwrap();
    let _ = ledger.record(Published::attest(noted)).unwrap();
    let before = picture(&ledger);
    let all = ["delivered", "deleted", "partly"].map(|name| (unique_id(name), UsersWord::Delivered(THEN)));
    assert_eq!(ledger.import(&all).unwrap(), 0);
    assert_eq!(picture(&ledger), before);
    assert!(ledger.prove_delivered(delivered, number(1)).is_some());
    // What failed or was too large, and is with no destination, is.
    ledger.fail(&key("failed"), None, Some(NOW)).unwrap();
    let id = import(&mut ledger, "failed", UsersWord::Seen);
    assert_eq!((ledger.entry(id).state, ledger.entry(id).failures), (EntryState::Seen, 0));
    check(home.path(), ledger);
}

#[test]
fn an_imported_message_that_is_retrieved_after_all_is_delivered() {
    let (home, mut ledger) = begun();
    let id = import(&mut ledger, "a", UsersWord::Seen);
    assert_eq!(deliver(&mut ledger, "a", "a"), id);
    let entry = ledger.entry(id);
    assert_eq!((entry.state, entry.unidentified, entry.deliveries), (EntryState::Delivered, false, 1));
    assert_eq!(ledger.deliveries_of(id).unwrap()[0].digests, digests("a"));
    check(home.path(), ledger);
}

#[test]
fn a_forgotten_message_is_new_when_it_is_listed_again() {
    let (home, mut ledger) = begun();
    let [a, b, c] = ["a", "b", "c"].map(|name| deliver(&mut ledger, name, name));
    ledger.complete_listing(&mut [a, b, c].into_iter()).unwrap();
    ledger.deleted(&[c]).unwrap();
    let names = ["b", "c", "never known"].map(unique_id);
    assert_eq!(forget(&mut ledger, &names).unwrap(), 2);
    assert_eq!(forget(&mut ledger, &names).unwrap(), 0);
    for _ in 0..2 {
        assert_eq!(["a", "b", "c"].map(|name| ledger.find_key(&key(name)).is_some()), [true, false, false]);
        assert_eq!(ledger.present().collect::<Vec<_>>(), [a]);
        assert_eq!(ledger.deliveries(|_, _| true).unwrap().len(), 1);
        assert_eq!(ledger.prove_delivered(b, number(1)), None);
        ledger.complete_listing(&mut [a].into_iter()).unwrap();
        ledger = check(home.path(), ledger);
    }
    let again = deliver(&mut ledger, "b", "b");
    assert_eq!((ledger.entry(again).state, ledger.entry(again).deliveries), (EntryState::Delivered, 1));
    check(home.path(), ledger);
}

/// An entry that was delivered, and waits for another message of its unique-id, is not the user's to make.
#[test]
fn what_was_delivered_is_not_imported_though_another_message_of_its_unique_id_has_failed() {
    let (_home, mut ledger) = begun();
    let id = deliver(&mut ledger, "a", "a");
    let to = maildir(&mut ledger);
    let message = arrival(key("a"), "other", &[to]);
    let noted = note(&mut ledger, vec![piece(&message, to)]).pop().unwrap();
    ledger.refuse(noted, None).unwrap();
    assert_eq!(ledger.entry(id).state, EntryState::Open);
    assert_eq!(ledger.import(&[(unique_id("a"), UsersWord::Seen)]).unwrap(), 0);
    assert_eq!(ledger.import_whole(&[(unique_id("a"), UsersWord::Seen)]).unwrap(), 0);
    assert_eq!(ledger.entry(id).deliveries, 1);
}

#[test]
fn what_is_on_its_way_is_not_forgotten() {
    let (home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let message = arrival(key("a"), "a", &[to]);
    let noted = note(&mut ledger, vec![piece(&message, to)]).pop().unwrap();
    // The file is rewritten in the new version meanwhile, and the delivery goes on.
    assert_eq!(forget(&mut ledger, &[unique_id("a")]).unwrap(), 0);
    assert_eq!((version(home.path()).as_str(), ledger.intents().len()), ("3", 1));
    assert!(ledger.record(Published::attest(noted)).unwrap().is_some());
    assert_eq!(forget(&mut ledger, &[unique_id("a")]).unwrap(), 1);
    assert_eq!(ledger.index.len() - 1, u32::try_from(ledger.index.ids().count()).unwrap());
}

#[test]
fn what_another_program_remembers_is_recorded_whole_and_changes_nothing_that_is_known() {
    let (home, mut ledger) = begun();
    let known = deliver(&mut ledger, "known", "known");
    import(&mut ledger, "seen", UsersWord::Seen);
    ledger.fail(&key("failed"), None, Some(NOW)).unwrap();
    let names = ["known", "seen", "failed", "new", "new"];
    let words = names.map(|name| (unique_id(name), UsersWord::Delivered(THEN)));
    assert_eq!(ledger.import_whole(&words).unwrap(), 3);
    assert_eq!(ledger.import_whole(&words).unwrap(), 0);
    let ledger = check(home.path(), ledger);
    assert_ne!(ledger.entry(known).delivered, Some(THEN));
    for name in ["seen", "failed", "new"] {
        let id = ledger.find_key(&key(name)).unwrap();
        assert_eq!((ledger.entry(id).delivered, ledger.entry(id).unidentified), (Some(THEN), true), "{name}");
    }
    let mut read = read(home.path()).unwrap();
    assert!(matches!(read.import_whole(&[(unique_id("x"), UsersWord::Seen)]), Err(Error::ReadOnly)));
}

#[test]
fn reading_imports_and_forgets_nothing() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let before = octets(home.path());
    let mut ledger = read(home.path()).unwrap();
    assert!(matches!(ledger.import(&[(unique_id("a"), UsersWord::Seen)]), Err(Error::ReadOnly)));
    assert!(matches!(forget(&mut ledger, &[unique_id("a")]), Err(Error::ReadOnly)));
    ledger.pretend();
    assert_eq!(ledger.import(&[(unique_id("a"), UsersWord::Seen)]).unwrap(), 1);
    drop(ledger);
    assert_eq!(octets(home.path()), before);
}

#[test]
fn the_first_listing_counts_as_seen_once() {
    for names in [&["a", "b", "c"][..], &[]] {
        let (home, mut ledger) = begun();
        assert!(!ledger.has_begun());
        let to = maildir(&mut ledger);
        let unique_ids: Vec<UniqueIdBuf> = names.iter().map(|name| unique_id(name)).collect();
        ledger.begin_seen(&unique_ids).unwrap();
        assert!(ledger.destinations().iter().any(|known| known.id == to), "its numbers hold");
        let again = ledger.begin_seen(&[unique_id("later")]);
        assert!(matches!(again, Err(Error::Contradiction(_))), "{again:?}");
        for _ in 0..2 {
            assert!(ledger.has_begun());
            let known: Vec<EntryId> = names.iter().filter_map(|name| ledger.find_key(&key(name))).collect();
            assert_eq!(known.len(), names.len());
            assert_eq!(unidentified(&ledger), known);
            assert_eq!(ledger.present().next(), None, "no listing has been settled");
            ledger = check(home.path(), ledger);
        }
        let known: Vec<EntryId> = ledger.index.ids().collect();
        ledger.complete_listing(&mut known.iter().copied()).unwrap();
        assert_eq!(ledger.present().collect::<Vec<_>>(), known);
        let delivered = deliver(&mut ledger, "later", "later");
        assert_eq!(ledger.entry(delivered).state, EntryState::Delivered);
        check(home.path(), ledger);
    }
}

/// A server that lists two messages under one unique-id.  Twice recorded, it would be damage to every later run.
#[test]
fn a_unique_id_that_the_first_listing_holds_twice_is_recorded_once() {
    let (home, mut ledger) = begun();
    ledger.begin_seen(&["a", "b", "a"].map(unique_id)).unwrap();
    assert_eq!(ledger.len(), 2);
    check(home.path(), ledger);
}

#[test]
fn a_mailbox_that_holds_anything_has_no_first_listing() {
    let (_home, mut ledger) = begun();
    ledger.fail(&key("failed"), None, None).unwrap();
    assert!(ledger.has_begun());
    assert!(ledger.begin_seen(&[unique_id("b")]).is_err());
    assert_eq!(ledger.find_key(&key("b")), None);
}

/// Of a large mailbox: what is forgotten takes nothing else with it.
#[test]
fn what_is_forgotten_is_forgotten_alone() {
    let (_home, mut ledger) = begun();
    let all: Vec<UniqueIdBuf> = (0..9_000).map(|n| unique_id(&n.to_string())).collect();
    ledger.begin_seen(&all).unwrap();
    let forgotten: Vec<UniqueIdBuf> = all.iter().step_by(2).cloned().collect();
    assert_eq!(forget(&mut ledger, &forgotten).unwrap(), 4_500);
    for (id, is_known) in all.iter().zip([false, true].into_iter().cycle()) {
        assert_eq!(ledger.find(id.borrow()).is_some(), is_known, "{id}");
    }
}
