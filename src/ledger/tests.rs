//! The ledger as its users see it: through files.

mod clock;
mod damage;
mod deliveries;
#[cfg(feature = "crash-points")]
mod disk;
mod events;
mod imports;
mod lines;
mod listings;
mod messages;
mod recovering;
mod rewriting;
mod transfer;

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::codec::{DigestsField, KeyField, Notes};
use super::compaction::LedgerShape;
use super::entry::{Entry, EntryState, KnownDelivery};
use super::lines::{Fact, FirstLine, KnownEntry, PLAIN_VERSION, Title};
use super::lock::Lock;
use super::{Error, Ledger, Match, UsersWord};
use crate::account::Mailbox;
use crate::message::{Digest, Digests, Headline};
use crate::place::{NotedPlace, Place, Spooled};
use crate::problem::Problem as _;
use crate::proof::{
    Arrival, ArrivalId, BegunId, Delivered, DestinationId, DestinationKind, DestinationName, EntryId, Key,
    Noted, Piece, Published, Staged,
};
use crate::signals::Stop;
use crate::types::{MessageNumber, Octets, Time, UniqueId, UniqueIdBuf, Wait};

const NOW: Time = Time(1_700_000_000);
const DAY: i64 = 86_400;

fn mailbox() -> Mailbox {
    Mailbox { user: "me@example.com".into(), host: "pop.example.com".into(), port: 110 }
}

fn open_at(directory: &Path, now: Time) -> Result<Ledger, Error> {
    let lock = Lock::acquire(directory, Wait::NO, &Stop::new().unwrap())?;
    Ledger::open(directory, &mailbox(), lock, now)
}

fn open(directory: &Path) -> Ledger {
    open_at(directory, NOW).unwrap()
}

/// A ledger that has just been begun, and where it is.
fn begun() -> (tempfile::TempDir, Ledger) {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    (home, ledger)
}

fn key(name: &str) -> Key {
    Key::UniqueId(unique_id(name))
}

fn unique_id(name: &str) -> UniqueIdBuf {
    UniqueId::new(name.as_bytes()).unwrap().to_buf()
}

fn forget(ledger: &mut Ledger, unique_ids: &[UniqueIdBuf]) -> Result<usize, Error> {
    let entries: Vec<EntryId> = unique_ids.iter().filter_map(|id| ledger.find(id.borrow())).collect();
    ledger.forget_entries(&entries)
}

fn digests(content: &str) -> Digests {
    let digest = |part: &str| Digest::of(format!("{part} {content}").as_bytes());
    Digests { message: digest("message"), header: digest("header"), identity: Some(digest("identity")) }
}

fn name(kind: DestinationKind, address: &str) -> DestinationName {
    DestinationName { kind, address: address.as_bytes().to_vec() }
}

fn maildir(ledger: &mut Ledger) -> DestinationId {
    ledger.enter_destination(&name(DestinationKind::Maildir, "/home/me/Mail box"), Some((1, 2))).unwrap()
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
        id: ArrivalId::next(),
        number: number(7),
        key,
        listed_size: Some(Octets(u64::try_from(content.len()).unwrap())),
        octets: 10,
        digests: digests(content),
        headline: Headline::default(),
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
    for (order, id) in (0..).zip(ledger.index.ids()) {
        let key = ledger.key(id).unwrap();
        assert_eq!(ledger.find_key(&key), Some(id));
        // Compaction closes the gaps that forgotten ones have left.
        let entry = Entry { order, ..ledger.entry(id) };
        let (records, lacking) = (ledger.deliveries_of(id).unwrap(), ledger.lacking(id));
        let present = ledger.present().any(|other| other == id);
        let since = ledger.index.notes(id).absent;
        let _ = writeln!(out, "{key:?} {entry:?} {records:?} {lacking:?} {present} {since:?}");
    }
    let order = |id| ledger.index.ids().position(|other| other == id);
    for begun in ledger.begun() {
        let _ = writeln!(
            out,
            "{:?} {begun:?}",
            order(begun.entry),
            begun = crate::ledger::Begun { entry: EntryId(0), ..begun }
        );
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

/// Rewrites the ledger, as [`Ledger::close`] does when it is worth it.
fn compact(ledger: &Ledger) {
    ledger.rewrite(LedgerShape { forget: ledger.trusted, ..LedgerShape::plain(PLAIN_VERSION) }).unwrap();
}
