//! The ledger as its users see it: through files.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::compaction::{self, Heading, Shape};
use super::lock::Lock;
use super::{Error, Ledger, Match, State};
use crate::account::Mailbox;
use crate::message::{Digest, Digests};
use crate::place::{NotedPlace, Place, Spooled};
use crate::problem::Problem as _;
use crate::proof::{
    Arrival, BegunId, Delivered, DestinationId, DestinationKind, DestinationName, EntryId, Key, Noted, Piece,
    Published, Staged,
};
use crate::signals::Stop;
use crate::types::{MessageNumber, Octets, Time, UniqueId};

const NOW: Time = Time(1_700_000_000);
const DAY: i64 = 86_400;

fn mailbox() -> Mailbox {
    Mailbox { user: "me@example.com".into(), host: "pop.example.com".into(), port: 110 }
}

fn open_at(directory: &Path, now: Time) -> Result<Ledger, Error> {
    let lock = Lock::acquire(directory, None, &Stop::new().unwrap())?;
    Ledger::open(directory, &mailbox(), lock, now)
}

fn open(directory: &Path) -> Ledger {
    open_at(directory, NOW).unwrap()
}

fn key(name: &str) -> Key {
    Key::UniqueId(UniqueId::new(name.as_bytes()).unwrap().to_buf())
}

fn digests(content: &str) -> Digests {
    let digest = |part: &str| Digest::of(format!("{part} {content}").as_bytes());
    Digests { message: digest("message"), header: digest("header"), identity: Some(digest("identity")) }
}

fn name(kind: DestinationKind, address: &str) -> DestinationName {
    DestinationName { kind, address: address.as_bytes().to_vec() }
}

fn maildir(ledger: &mut Ledger) -> DestinationId {
    ledger.destination(&name(DestinationKind::Maildir, "/home/me/Mail box"), Some((1, 2))).unwrap()
}

fn number(n: u32) -> MessageNumber {
    MessageNumber::new(n).unwrap()
}

fn arrival(key: Key, content: &str, set: &[DestinationId]) -> Arc<Arrival> {
    continuing(None, key, content, set)
}

/// It goes on with what some destinations have.
fn continuing(continues: Option<BegunId>, key: Key, content: &str, set: &[DestinationId]) -> Arc<Arrival> {
    Arc::new(Arrival {
        number: number(7),
        key,
        listed: Some(Octets(u64::try_from(content.len()).unwrap())),
        octets: 10,
        digests: digests(content),
        sender: String::new(),
        recipient: String::new(),
        utf8: false,
        again: false,
        set: set.to_vec(),
        continues,
    })
}

fn piece(message: &Arc<Arrival>, destination: DestinationId) -> Staged {
    let batch = Arc::new(File::open("/").unwrap());
    let name = format!("1.{:?}", message.digests.message);
    let (message, digest) = (Arc::clone(message), Digest::of(b"stored"));
    Staged::attest(Piece {
        message,
        destination,
        octets: 11,
        digest,
        place: Place::Maildir { name, batch, file: None },
    })
}

fn note(ledger: &mut Ledger, pieces: Vec<Staged>) -> Vec<Noted> {
    ledger.note(pieces).unwrap()
}

fn deliver(ledger: &mut Ledger, unique_id: &str, content: &str) -> EntryId {
    let to = maildir(ledger);
    let message = arrival(key(unique_id), content, &[to]);
    let noted = note(ledger, vec![piece(&message, to)]).pop().unwrap();
    ledger.record(Published::attest(noted)).unwrap().unwrap().entry()
}

/// Everything that can be asked of a ledger.
fn picture(ledger: &Ledger) -> String {
    let mut out = format!("{} {:?} {:?}\n", ledger.id(), ledger.now(), ledger.index.listings.back());
    for destination in ledger.destinations() {
        let _ = writeln!(out, "{destination:?} {}", ledger.has_delivered_to(destination.id));
    }
    for id in (0..ledger.len()).map(EntryId) {
        let key = ledger.key(id).unwrap();
        assert_eq!(ledger.find_key(&key), Some(id));
        let (entry, records, lacking) = (ledger.entry(id), ledger.records(id).unwrap(), ledger.lacking(id));
        let present = ledger.present().any(|other| other == id);
        let since = ledger.index.absent_since(id);
        let _ = writeln!(out, "{key:?} {entry:?} {records:?} {lacking:?} {present} {since:?}");
    }
    let _ = writeln!(out, "{:#?} {}", ledger.intents(), ledger.index.lingers());
    let _ = writeln!(out, "{:?}", ledger.index.listings);
    out
}

fn read(directory: &Path) -> Result<Ledger, Error> {
    Ledger::read(directory, &mailbox(), NOW)
}

/// The ledger that `octets` are.
fn load(octets: &[u8]) -> Result<Ledger, Error> {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ledger"), octets).unwrap();
    read(home.path())
}

fn octets(directory: &Path) -> Vec<u8> {
    std::fs::read(directory.join("ledger")).unwrap()
}

fn count_of(directory: &Path, word: &str) -> usize {
    String::from_utf8(octets(directory)).unwrap().lines().filter(|line| line.starts_with(word)).count()
}

#[test]
fn from_staged_to_deleted() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    assert!(ledger.is_empty() && ledger.id().len() == 16 && ledger.warnings().is_empty());
    let to = maildir(&mut ledger);
    assert!(!ledger.has_delivered_to(to));
    let message = arrival(key("a b\x1b"), "x", &[to]);
    let noted = note(&mut ledger, vec![piece(&message, to)]).pop().unwrap();
    let id = ledger.find_key(&message.key).unwrap();
    assert_eq!(ledger.entry(id).state, State::Open);
    assert_eq!((ledger.intents().len(), ledger.delivered(id, number(1))), (1, None));
    let proof = ledger.record(Published::attest(noted)).unwrap().unwrap();
    assert_eq!((proof.number(), proof.entry()), (number(7), id));
    assert!(ledger.has_delivered_to(to) && ledger.intents().is_empty());
    let entry = ledger.entry(id);
    assert_eq!((entry.state, entry.copies, entry.delivered), (State::Delivered, 1, Some(NOW)));
    assert_eq!(ledger.key(id).unwrap(), message.key);
    assert_eq!(ledger.records(id).unwrap()[0].digests, message.digests);
    assert_eq!(ledger.deliveries(|_, _| true).unwrap()[0].2.digests, message.digests);
    ledger.sync().unwrap();
    ledger.deleted(&[id, id]).unwrap();
    assert_eq!(ledger.delivered(id, number(1)), None, "what came back after its deletion is looked at first");
    let before = picture(&ledger);
    ledger.close().unwrap();
    assert_eq!(picture(&open(home.path())), before);
    assert_eq!(picture(&read(home.path()).unwrap()), before);
}

#[test]
fn nothing_to_read_is_an_empty_ledger() {
    let home = tempfile::tempdir().unwrap();
    let ledger = read(&home.path().join("none")).unwrap();
    assert!(ledger.is_empty() && ledger.id().is_empty() && ledger.intents().is_empty());
    assert!(!home.path().join("none").exists());
    assert!(Ledger::mailbox_of(home.path()).unwrap().is_none());
}

#[test]
fn who_only_reads_changes_nothing() {
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
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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

#[test]
fn a_torn_tail_is_gone_after_the_next_run() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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
fn a_run_that_did_not_end_in_order_has_its_ledger_written_anew() {
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
    let intents: Vec<_> = ledger.intents().iter().map(|intent| intent.id).collect();
    ledger.settle_delivered(&intents).unwrap();
    ledger.sync().unwrap();
    assert!(ledger.delivered(EntryId(0), number(1)).is_some());
    ledger.close().unwrap();
    let second = inode();
    open(home.path()).close().unwrap();
    assert_eq!(inode(), second, "after an orderly end it is left alone");
}

#[test]
fn a_ledger_whose_name_may_not_be_on_disk_is_written_anew() {
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
fn a_ledger_may_go_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<Ledger>();
}

#[test]
fn dropped_intents_come_again() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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
    assert_eq!((ledger.entry(id).state, ledger.entry(id).failures), (State::Open, 0));
    assert_eq!((ledger.lacking(id), ledger.intents().len()), (None, 0));
    assert!(matches!(ledger.settle_dropped(&[intent.id]), Err(Error::Contradiction(_))));
}

#[test]
fn a_poll_that_finds_nothing_new_adds_a_line() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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
fn absence() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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
    let a_again = ledger.recognise(&key("a"), Some(Octets(5)), Match::first(a)).unwrap();
    assert_eq!((a_again, ledger.entry(a).state, ledger.entry(a).absent), (a, State::Delivered, false));
    assert!(ledger.delivered(a, number(3)).is_some());
    let before = picture(&ledger);
    ledger.close().unwrap();
    assert_eq!(picture(&open(home.path())), before);
}

/// Writes the ledger anew, as [`Ledger::close`] does when it is worth it.
fn compact(ledger: &Ledger) {
    let heading = Heading {
        id: &ledger.id,
        mailbox: &ledger.mailbox,
        generation: 2,
        time: ledger.now(),
        clock: ledger.clock,
    };
    let journal = ledger.journal.as_ref().unwrap();
    compaction::rewrite(
        &ledger.directory,
        heading,
        &ledger.index,
        journal,
        Shape { forget: ledger.trusted, order: None },
    )
    .unwrap();
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
        let home = tempfile::tempdir().unwrap();
        let mut ledger = open(home.path());
        let [_, kept] = ["a", "b"].map(|m| deliver(&mut ledger, m, m));
        for day in &days {
            ledger.tick(Time(NOW.0 + day * DAY));
            ledger.complete_listing(&mut [kept].into_iter()).unwrap();
        }
        // Small steps: a clock that leaps is not trusted, and nothing is forgotten by it.
        for day in (*days.last().unwrap()..=today).step_by(20).chain([today]) {
            ledger.tick(Time(NOW.0 + day * DAY));
        }
        compact(&ledger);
        let ledger = read(home.path()).unwrap();
        assert_eq!(ledger.find_key(&key("a")).is_none(), forgotten, "{days:?} {today}");
        assert!(ledger.find_key(&key("b")).is_some());
    }
}

#[test]
fn clocks() {
    // Seconds after the clock that the ledger saw last, and whether ages can be told.
    for (after, trusted) in [(0, true), (30 * DAY, true), (30 * DAY + 1, false), (-1, false)] {
        let home = tempfile::tempdir().unwrap();
        let mut ledger = open(home.path());
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

/// A clock that ran ahead has left times that are still to come: given up, they are the day of the correction, and so they
/// stay.
#[test]
fn times_from_a_clock_that_ran_ahead_are_given_up() {
    let home = tempfile::tempdir().unwrap();
    let ahead = Time(NOW.0 + 40 * DAY);
    let mut ledger = open_at(home.path(), ahead).unwrap();
    let id = deliver(&mut ledger, "a", "a");
    ledger.complete_listing(&mut [id].into_iter()).unwrap();
    ledger.fail(&key("b"), None, Some(ahead)).unwrap();
    ledger.close().unwrap();
    let mut ledger = open(home.path());
    assert_eq!((ledger.ahead_of_clock(), ledger.trusted_now()), (40 * DAY, None));
    ledger.correct_clock().unwrap();
    for _ in 0..2 {
        assert_eq!((ledger.ahead_of_clock(), ledger.trusted_now()), (0, Some(NOW)));
        assert_eq!(ledger.entry(id).delivered, Some(NOW));
        assert!(ledger.index.listings.iter().all(|time| *time <= NOW));
        let other = ledger.find(UniqueId::new(b"b").unwrap()).unwrap();
        assert_eq!((ledger.entry(other).failures, ledger.entry(other).retry_after), (1, None));
        ledger.close().unwrap();
        ledger = open(home.path());
    }
}

#[test]
fn several_destinations() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let first = maildir(&mut ledger);
    let second = ledger.destination(&name(DestinationKind::Pipe, "procmail\0-d\0me"), None).unwrap();
    let message = arrival(key("a"), "a", &[first, second]);
    let one = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
    let two = note(&mut ledger, vec![piece(&message, second)]).pop().unwrap();
    let id = ledger.find_key(&key("a")).unwrap();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger.record(Published::attest(one)).unwrap(), None);
    ledger.refuse(two, Some(Time(NOW.0 + 60))).unwrap();
    let check = |ledger: &Ledger| {
        let entry = ledger.entry(id);
        assert_eq!((entry.state, entry.copies, entry.failures), (State::Open, 0, 1));
        assert_eq!(entry.retry_after, Some(Time(NOW.0 + 60)));
        assert_eq!(ledger.lacking(id), Some(vec![second]));
        assert_eq!(ledger.delivered(id, number(1)), None);
    };
    check(&ledger);
    ledger.close().unwrap();
    let ledger = open(home.path());
    check(&ledger);
    compact(&ledger);
    drop(ledger);
    let mut ledger = open(home.path());
    check(&ledger);
    // The next run serves who lacks it.
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
    assert_eq!((entry.state, entry.copies, entry.failures), (State::Delivered, 1, 0));
    assert_eq!((entry.retry_after, ledger.lacking(id)), (None, None));
}

/// What has a message and is given it all the same has it when it's delivered there.
#[test]
fn a_message_that_is_given_to_all_again_is_not_delivered_before_it_is() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let first = maildir(&mut ledger);
    let second = ledger.destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    let message = arrival(key("a"), "a", &[first, second]);
    let noted = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    drop(message);
    let begun = ledger.begun().pop().unwrap().id;
    let again = continuing(Some(begun), key("a"), "a", &[first]);
    let noted = note(&mut ledger, vec![piece(&again, first)]).pop().unwrap();
    assert_eq!(ledger.entry(EntryId(0)).state, State::Open);
    assert!(ledger.record(Published::attest(noted)).unwrap().is_some());
}

#[test]
fn another_message_under_a_partly_delivered_unique_id_begins_anew() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let first = maildir(&mut ledger);
    let second = ledger.destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    let message = arrival(key("a"), "a", &[first, second]);
    let noted = note(&mut ledger, vec![piece(&message, first)]).pop().unwrap();
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    drop(message);
    let other = arrival(key("a"), "other", &[first, second]);
    let noted = note(&mut ledger, vec![piece(&other, second)]).pop().unwrap();
    assert_eq!(ledger.record(Published::attest(noted)).unwrap(), None);
    let sets = ledger.begun().into_iter().map(|begun| begun.set).collect::<Vec<_>>();
    assert_eq!(sets, [[(first, true), (second, false)], [(first, false), (second, true)]]);
}

#[test]
fn duplicates_are_counted_and_kept_apart() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let to = maildir(&mut ledger);
    let pair = ["x", "y"].map(|content| arrival(key("a"), content, &[to]));
    let mut noted = note(&mut ledger, pair.iter().map(|m| piece(m, to)).collect());
    let id = ledger.find_key(&key("a")).unwrap();
    assert!(ledger.record(Published::attest(noted.remove(0))).unwrap().is_some());
    assert_eq!(ledger.entry(id).state, State::Open, "the other one is still on its way");
    assert_eq!(ledger.delivered(id, number(1)), None);
    assert!(ledger.record(Published::attest(noted.remove(0))).unwrap().is_some());
    assert_eq!((ledger.entry(id).state, ledger.entry(id).copies, ledger.len()), (State::Delivered, 2, 1));
    let found: Vec<_> = ledger.records(id).unwrap().iter().map(|record| record.digests).collect();
    assert_eq!(found, pair.each_ref().map(|m| m.digests));
    let before = picture(&ledger);
    compact(&ledger);
    assert_eq!(picture(&read(home.path()).unwrap()), before);
}

#[test]
fn a_unique_id_used_again_is_not_delivered_by_the_old_messages_word() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let [a, b] = ["a", "b"].map(|m| deliver(&mut ledger, m, m));
    ledger.deleted(&[b]).unwrap();
    let to = maildir(&mut ledger);
    let again = ["a", "b"].map(|m| arrival(key(m), "another", &[to]));
    let noted = note(&mut ledger, again.iter().map(|m| piece(m, to)).collect());
    for piece in noted {
        ledger.refuse(piece, None).unwrap();
    }
    for id in [a, b] {
        assert_eq!((ledger.entry(id).state, ledger.delivered(id, number(1))), (State::Open, None));
    }
    assert_eq!([a, b].map(|id| ledger.entry(id).copies), [1, 0], "what was deleted is no copy any more");
    let before = picture(&ledger);
    compact(&ledger);
    assert_eq!(picture(&read(home.path()).unwrap()), before);
    deliver(&mut ledger, "b", "another");
    assert_eq!((ledger.entry(b).state, ledger.entry(b).copies), (State::Delivered, 1));
}

#[test]
fn the_size_of_a_delivered_message_does_not_change_unseen() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let id = deliver(&mut ledger, "a", "1234");
    let size = |ledger: &Ledger| ledger.entry(id).listed;
    ledger.listed(id, Octets(9)).unwrap();
    ledger.fail(&key("a"), Some(Octets(9)), None).unwrap();
    assert_eq!(size(&ledger), Some(Octets(4)));
    ledger.recognise(&key("a"), Some(Octets(9)), Match::first(id)).unwrap();
    assert_eq!((size(&ledger), ledger.entry(id).failures), (Some(Octets(9)), 0));
    let huge = Octets(1 << 40);
    let open = ledger.fail(&key("b"), None, None).unwrap();
    ledger.listed_all(&mut [(open, Octets(1)), (open, huge), (id, huge)].into_iter()).unwrap();
    assert_eq!((ledger.entry(open).listed, size(&ledger)), (Some(huge), Some(Octets(9))));
}

#[test]
fn renumbered_messages_are_recorded_as_good_as_delivered() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let old = deliver(&mut ledger, "a", "a");
    ledger.complete_listing(&mut [old].into_iter()).unwrap();
    let new = ledger.recognise(&key("z"), Some(Octets(1)), Match::first(old)).unwrap();
    assert_eq!(ledger.present().collect::<Vec<_>>(), [old], "until a listing has it, the old one counts");
    let entry = ledger.entry(new);
    assert_eq!((entry.state, entry.delivered, entry.copies), (State::Recorded, Some(NOW), 1));
    assert_eq!(ledger.records(new).unwrap(), ledger.records(old).unwrap());
    assert_eq!(ledger.delivered(new, number(1)).unwrap().entry(), new);
    compact(&ledger);
    assert_eq!(read(home.path()).unwrap().present().collect::<Vec<_>>(), [old]);
    ledger.complete_listing(&mut [new].into_iter()).unwrap();
    assert_eq!(ledger.present().collect::<Vec<_>>(), [new]);
    ledger.deleted(&[new]).unwrap();
    assert_eq!(ledger.entry(new).state, State::Deleted);
}

#[test]
fn what_was_deleted_long_ago_and_is_gone_is_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let [gone, lingering] = ["a", "b"].map(|name| deliver(&mut ledger, name, name));
    ledger.deleted(&[gone]).unwrap();
    ledger.complete_listing(&mut std::iter::empty()).unwrap();
    ledger.deleted(&[lingering]).unwrap();
    for (days, kept) in [(30, 2), (60, 2), (90, 2), (91, 1)] {
        ledger.tick(Time(NOW.0 + days * 86_400));
        compact(&ledger);
        assert_eq!(read(home.path()).unwrap().len(), kept, "{days} days");
    }
}

#[test]
fn what_was_only_printed_is_seen() {
    // Where the stream goes, and what becomes of the message.
    let cases = [("-", State::Seen), ("/home/me/mail.mbox", State::Delivered)];
    for (address, state) in cases {
        let home = tempfile::tempdir().unwrap();
        let mut ledger = open(home.path());
        let to = ledger.destination(&name(DestinationKind::Stdout, address), None).unwrap();
        let message = arrival(key("a"), "a", &[to]);
        let place = Place::Spooled(Spooled::Memory(vec![]));
        let staged = Piece { message, destination: to, octets: 1, digest: Digest::of(b""), place };
        let noted = note(&mut ledger, vec![Staged::attest(staged)]).pop().unwrap();
        let proof: Option<Delivered> = ledger.record(Published::attest(noted)).unwrap();
        assert_eq!((proof.is_some(), ledger.entry(EntryId(0)).state), (state == State::Delivered, state));
    }
}

#[test]
fn messages_without_a_unique_id() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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
    assert_eq!(octets(home.path()), before, "it says so once");
}

#[test]
fn destinations_keep_their_numbers() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
    let first = maildir(&mut ledger);
    let second = ledger.destination(&name(DestinationKind::Mbox, "/m"), None).unwrap();
    assert_ne!(first, second);
    assert_eq!(maildir(&mut ledger), first);
    let moved = name(DestinationKind::Maildir, "/home/me/Mail box");
    assert_eq!(ledger.destination(&moved, None).unwrap(), first);
    assert_eq!(ledger.destinations()[0].inode, Some((1, 2)));
    assert_eq!(ledger.destination(&moved, Some((1, 3))).unwrap(), first);
    assert_eq!(ledger.destinations()[0].inode, Some((1, 3)));
    assert_eq!(ledger.destinations().len(), 2);
    ledger.close().unwrap();
    assert_eq!(count_of(home.path(), "destination "), 3);
    assert_eq!(open(home.path()).destinations()[0].inode, Some((1, 3)));
}

#[test]
fn a_ledger_of_history_is_compacted_at_the_end_of_a_run() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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
        let line = super::line::Line::Known {
            state: State::Delivered,
            key: super::line::KeyField::UniqueId(unique_id.as_bytes().into()),
            listed: Some(i),
            delivered: Some(NOW),
            digests: Some(super::line::DigestsField::Value(digests("same"))),
            notes: super::line::Notes::default(),
        };
        line.write(&mut text);
    }
    let ledger = load(&text).unwrap();
    assert_eq!(ledger.len(), 100_000);
    let id = ledger.find(UniqueId::new(b"000000000001869f").unwrap()).unwrap();
    assert_eq!((id, ledger.entry(id).listed), (EntryId(99_999), Some(Octets(99_999))));
    assert!(ledger.find(UniqueId::new(b"00000000000186a0").unwrap()).is_none());
}

#[test]
fn a_ledger_is_never_silently_begun_afresh() {
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
    super::line::Line::First { version: 3, id: "0", user, host, port: 110, generation: 1 }.write(&mut newer);
    let refused = load(&newer).unwrap_err();
    assert!(refused.to_string().contains("newer popfetch"), "{refused}");
}

#[test]
fn directory_names() {
    let mailbox = |user: &str, host: &str, port| Mailbox { user: user.into(), host: host.into(), port };
    let names: Vec<_> = [
        mailbox("me", "a.example", 110),
        mailbox("you", "a.example", 110),
        mailbox("me", "b.example", 110),
        mailbox("me", "a.example", 1110),
        mailbox("../../etc", "a.example", 110),
    ]
    .iter()
    .map(super::directory_name)
    .collect();
    let different: std::collections::HashSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len());
    assert!(names.iter().all(|name| name.len() == 36 && name.bytes().all(|b| b.is_ascii_hexdigit())));
    assert_eq!(names[0], super::directory_name(&mailbox("me", "a.example", 110)));
}

#[test]
fn a_disk_that_refuses_leaves_the_old_ledger() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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

/// Version 1 as it was first written: must load for ever.
#[test]
fn the_first_ledgers_load() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledger-1.txt");
    let ledger = load(&std::fs::read(fixture).unwrap()).unwrap();
    assert!(ledger.warnings().is_empty());
    assert_eq!(ledger.id(), "0123456789abcdef");
    let states = (0..ledger.len()).map(|id| ledger.entry(EntryId(id)).state).collect::<Vec<_>>();
    use State::{Deleted, Delivered, Open, Recorded, Seen};
    assert_eq!(states, [Delivered, Deleted, Open, Seen, Recorded, Open, Delivered, Open]);
    let large = ledger.entry(ledger.find(UniqueId::new(b"large one").unwrap()).unwrap());
    assert_eq!((large.listed, large.reported_too_large), (Some(Octets(5_000_000_000)), true));
    assert_eq!(ledger.entry(EntryId(6)).copies, 2);
    assert_eq!(ledger.lacking(EntryId(5)), Some(vec![DestinationId(1)]));
    assert_eq!(ledger.intents().len(), 1);
    assert_eq!(ledger.destinations().len(), 3);
    assert_eq!(ledger.index.listings.back(), Some(&Time(1_700_090_000)));
    assert!(
        ledger.deliveries(|_, _| true).unwrap().iter().any(|(_, _, record)| record.digests == digests("a"))
    );
}

/// What may be said to a ledger, on a few unique-ids.
#[derive(Debug, Clone)]
enum Saying {
    Batch(Vec<(u8, u8, u8)>),
    Fail(u8, Option<u64>),
    TooLarge(u8, Option<u64>),
    Listed(u8, u64),
    Deleted(u8),
    Listing(u8),
    Recognise(u8, u8),
    Settle(bool),
    Tick(i64),
    Sync,
    Reopen(bool),
    Compact,
}

fn saying() -> impl Strategy<Value = Saying> {
    let who = 0..5_u8;
    let size = proptest::option::of(prop_oneof![0..100_u64, Just(u64::MAX), Just(u64::from(u32::MAX))]);
    prop_oneof![
        4 => proptest::collection::vec((who.clone(), 0..3_u8, 0..8_u8), 1..4).prop_map(Saying::Batch),
        1 => (who.clone(), size.clone()).prop_map(|(m, size)| Saying::Fail(m, size)),
        1 => (who.clone(), size).prop_map(|(m, size)| Saying::TooLarge(m, size)),
        1 => (who.clone(), 0..9_u64).prop_map(|(m, size)| Saying::Listed(m, size)),
        2 => who.clone().prop_map(Saying::Deleted),
        2 => (0..32_u8).prop_map(Saying::Listing),
        1 => (who.clone(), who).prop_map(|(m, n)| Saying::Recognise(m, n)),
        1 => any::<bool>().prop_map(Saying::Settle),
        1 => (-DAY..3 * DAY).prop_map(Saying::Tick),
        1 => Just(Saying::Sync),
        1 => any::<bool>().prop_map(Saying::Reopen),
        1 => Just(Saying::Compact),
    ]
}

fn say(mut ledger: Ledger, saying: Saying) -> Ledger {
    let key = |m: u8| key(&format!("id {m}"));
    let size = |size: Option<u64>| size.map(Octets);
    let first = maildir(&mut ledger);
    let second = ledger.destination(&name(DestinationKind::Stdout, "-"), None).unwrap();
    match saying {
        Saying::Batch(batch) => {
            // Each: which unique-id, which content, and a bit for each outcome.
            let set = [first, second];
            let mut begun = ledger.begun();
            let messages: Vec<_> = batch
                .iter()
                .map(|(m, content, _)| {
                    let at = begun.iter().position(|begun| begun.digests == digests(&content.to_string()));
                    let continues = at.map(|at| begun.remove(at).id);
                    continuing(continues, key(*m), &content.to_string(), &set)
                })
                .collect();
            for to in set {
                let serves = |ledger: &Ledger, m: &Arc<Arrival>| {
                    let begun = ledger.begun().into_iter().find(|begun| Some(begun.id) == m.continues);
                    begun.is_none_or(|begun| begun.set.contains(&(to, false)))
                };
                let pieces = messages.iter().filter(|m| serves(&ledger, m)).map(|m| piece(m, to)).collect();
                for noted in note(&mut ledger, pieces) {
                    let at = messages.iter().position(|m| Arc::ptr_eq(m, &noted.piece().message)).unwrap();
                    match (batch[at].2 >> to.0) & 3 {
                        0 | 1 => drop(ledger.record(Published::attest(noted)).unwrap()),
                        2 => ledger.refuse(noted, Some(NOW)).unwrap(),
                        _ => drop(noted),
                    }
                }
            }
        }
        Saying::Fail(m, listed) => drop(ledger.fail(&key(m), size(listed), None).unwrap()),
        Saying::TooLarge(m, listed) => drop(ledger.too_large(&key(m), size(listed)).unwrap()),
        Saying::Listed(m, octets) => {
            if let Some(id) = ledger.find_key(&key(m)) {
                ledger.listed(id, Octets(octets)).unwrap();
            }
        }
        Saying::Deleted(m) => {
            if let Some(id) = ledger.find_key(&key(m)).filter(|id| ledger.delivered(*id, number(1)).is_some())
            {
                ledger.deleted(&[id]).unwrap();
            }
        }
        Saying::Listing(held) => {
            let mut held: Vec<_> =
                (0..5).filter(|m| held >> m & 1 == 1).filter_map(|m| ledger.find_key(&key(m))).collect();
            // In another order the entries would change their places.
            held.sort_unstable();
            ledger.complete_listing(&mut held.into_iter()).unwrap();
        }
        Saying::Recognise(m, n) => {
            if let Some(id) = ledger.find_key(&key(n)).filter(|id| ledger.entry(*id).copies > 0) {
                ledger.recognise(&key(m), Some(Octets(1)), Match::first(id)).unwrap();
            }
        }
        Saying::Settle(published) => {
            let intents: Vec<_> = ledger.intents().iter().map(|intent| intent.id).collect();
            if published {
                ledger.settle_delivered(&intents).unwrap();
            } else {
                ledger.settle_dropped(&intents).unwrap();
            }
        }
        Saying::Tick(seconds) => ledger.tick(Time(ledger.now().0 + seconds)),
        Saying::Sync => ledger.sync().unwrap(),
        Saying::Reopen(in_order) => {
            ledger.flush().unwrap();
            let (directory, clock, before) = (ledger.directory.clone(), ledger.clock, picture(&ledger));
            if in_order {
                ledger.close().unwrap();
            } else {
                drop(ledger);
            }
            ledger = open_at(&directory, clock).unwrap();
            assert_eq!(picture(&ledger), before);
        }
        Saying::Compact => {
            ledger.flush().unwrap();
            let before = picture(&ledger);
            compact(&ledger);
            let (directory, clock) = (ledger.directory.clone(), ledger.clock);
            drop(ledger);
            ledger = open_at(&directory, clock).unwrap();
            assert_eq!(picture(&ledger), before);
        }
    }
    ledger
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_reads_back(sayings in proptest::collection::vec(saying(), 1..25), cuts in any::<[u16; 8]>()) {
        let home = tempfile::tempdir().unwrap();
        let mut ledger = open(home.path());
        for saying in sayings {
            ledger = say(ledger, saying);
        }
        ledger.flush().unwrap();
        let at = |octets: &[u8]| Ledger { clock: ledger.clock, ..load(octets).unwrap() };
        let full = octets(home.path());
        prop_assert_eq!(picture(&at(&full)), picture(&ledger));
        for cut in cuts {
            let cut = usize::from(cut) % full.len();
            let whole = full[..cut].iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
            prop_assert_eq!(picture(&at(&full[..cut])), picture(&at(&full[..whole])));
        }
    }

    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        super::fuzz_replay(&octets);
    }

    #[test]
    fn no_lines_make_it_panic(lines in proptest::collection::vec(strange_line(), 0..40)) {
        super::fuzz_replay(lines.join("\n").as_bytes());
    }
}

/// Lines of the right form that need make no sense together.
fn strange_line() -> impl Strategy<Value = String> {
    let sum = digests("x").message;
    let small = prop_oneof![0..4_u32, Just(u32::MAX)];
    (0..16_u8, small.clone(), small.clone(), small, 0..3_u8).prop_map(move |(kind, a, b, c, id)| match kind {
        0 | 1 => format!(
            "message {a} 5 u:{id} - {sum} {sum} - {} {}+,{}",
            if b < 3 { "-" } else { "2" },
            c % 3,
            b % 3
        ),
        2 | 3 => format!("staged {a} {b} {} 5 1 {sum} handed", c % 65536),
        4 | 5 => format!("delivered {a} {b}"),
        6 => format!("refused {a} {b} {c}"),
        7 => format!("dropped {a} {b}"),
        8 => format!(
            "known {} u:{id} {a} {b} {sum} {sum} - absent={}",
            ["open", "deleted", "delivered"][usize::from(id)],
            a % 65536
        ),
        9 => format!("copy u:{id} {a} {sum} {sum} -"),
        10 => format!("destination {} pipe x - - -", a % 3),
        11 => format!("recorded {a} u:{id} {b} {c} {sum} {sum} {sum}"),
        12 => format!("same {a} u:{id} {b}"),
        13 => format!("deleted {a} u:{id}"),
        14 => format!("absent u:{id} {}", a % 65536),
        _ => format!("unlisted {a} {b}"),
    })
}

#[test]
fn an_end_that_polls_have_left_far_behind_is_written_again() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = open(home.path());
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
