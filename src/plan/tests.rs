use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::Decision::{Compare, Leave, Retrieve};
use super::{Maildrop, Policy, Spent, Why, decide, retire};
use crate::clock::Time;
use crate::config::account::{Limits, Retention};
use crate::ledger::lock::Lock;
use crate::ledger::{Ledger, Mailbox};
use crate::message::{Digest, Digests};
use crate::proof::{
    Arrival, DestinationId, DestinationKind, DestinationName, Key, Noted, Piece, Place, Published, Staged,
};
use crate::protocol::types::{MessageNumber, Octets, UniqueId};
use crate::stop::Stop;

const NOW: Time = Time(1_700_000_000);

/// A ledger, and what is told to it.
struct World {
    home: TempDir,
    ledger: Ledger,
    maildir: DestinationId,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut ledger = open(home.path(), NOW);
        let name = DestinationName { kind: DestinationKind::Maildir, address: b"/m".to_vec() };
        let maildir = ledger.destination(&name, Some((1, 2))).unwrap();
        Self { home, ledger, maildir }
    }

    /// Another run, so much later.
    fn later(self, seconds: i64) -> Self {
        let Self { home, ledger, maildir } = self;
        let now = Time(ledger.now().0 + seconds);
        ledger.close().unwrap();
        let ledger = open(home.path(), now);
        Self { home, ledger, maildir }
    }

    fn stage(&mut self, unique_id: &str, octets: u64) -> Noted {
        let digest = Digest::of(unique_id.as_bytes());
        let message = Arc::new(Arrival {
            number: MessageNumber::new(1).unwrap(),
            key: key(unique_id),
            listed: Some(Octets(octets)),
            octets,
            digests: Digests { message: digest, header: digest, identity: None },
            sender: String::new(),
            recipient: String::new(),
            set: vec![self.maildir],
        });
        let batch = Arc::new(File::open("/").unwrap());
        let place = Place::Maildir { name: unique_id.to_owned(), batch, file: None };
        let piece = Piece { message, destination: self.maildir, octets, digest, place };
        self.ledger.note(vec![Staged::attest(piece)]).unwrap().pop().unwrap()
    }

    fn deliver(&mut self, unique_id: &str, octets: u64) {
        let noted = self.stage(unique_id, octets);
        self.ledger.record(Published::attest(noted)).unwrap();
    }

    fn refuse(&mut self, unique_id: &str, octets: u64) {
        let noted = self.stage(unique_id, octets);
        self.ledger.refuse(noted, None).unwrap();
    }

    fn fail(&mut self, unique_id: &str) {
        self.ledger.fail(&key(unique_id), None, None).unwrap();
    }

    fn policy(&self) -> Policy {
        Policy {
            retention: Retention::Delete,
            max_message_size: None,
            max_messages: None,
            max_bytes: None,
            all: false,
            spent: Spent::default(),
            window: false,
            destinations: vec![self.maildir],
            age_now: self.ledger.trusted_now(),
            now: self.ledger.now(),
        }
    }

    /// A listing of these, numbered from 1.
    fn listing(&self, messages: &[(&str, u64)]) -> Maildrop {
        let mut maildrop = Maildrop::default();
        let numbers = || (1..).filter_map(MessageNumber::new);
        for (number, (unique_id, _)) in numbers().zip(messages) {
            let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
            maildrop.add(number, Some(unique_id), self.ledger.find(unique_id));
        }
        maildrop.complete().unwrap();
        for (number, (_, octets)) in numbers().zip(messages) {
            maildrop.size(number, Some(Octets(*octets)));
        }
        maildrop
    }

    fn retired(&self, listing: &[(&str, u64)], policy: &Policy) -> Vec<(u32, Why)> {
        let retired = retire(&self.listing(listing), &self.ledger, policy, &|_| false);
        retired.into_iter().map(|retired| (retired.number.get(), retired.why)).collect()
    }
}

fn open(directory: &Path, now: Time) -> Ledger {
    let lock = Lock::acquire(directory, None, &Stop::new().unwrap()).unwrap();
    let mailbox = Mailbox { user: "me".into(), host: "pop.example.com".into(), port: 110 };
    Ledger::open(directory, &mailbox, lock, now).unwrap()
}

fn key(unique_id: &str) -> Key {
    Key::UniqueId(UniqueId::new(unique_id.as_bytes()).unwrap().to_buf())
}

#[test]
fn what_is_listed_and_what_is_known() {
    let mut world = World::new();
    for (unique_id, octets) in [("a", 10), ("b", 10), ("twice", 10), ("half", 10), ("shaky", 10)] {
        world.deliver(unique_id, octets);
    }
    world.refuse("half", 20);
    world.fail("shaky");
    world.fail("failed");
    let listing = [
        ("new", 5),
        ("a", 10),
        ("b", 11),
        ("twice", 10),
        ("twice", 10),
        ("half", 20),
        ("shaky", 10),
        ("failed", 7),
    ];
    let policy = world.policy();
    let decisions = decide(&world.listing(&listing), &world.ledger, &policy);
    let expected = [
        Retrieve(Why::New),
        Leave(Why::Known),
        Compare(Why::SizeChanged),
        Compare(Why::Duplicate),
        Compare(Why::Duplicate),
        Compare(Why::Duplicate),
        Compare(Why::Duplicate),
        Retrieve(Why::Again),
    ];
    assert_eq!(decisions, expected);
    // What should be looked at first is not deleted, whether that was done or not.
    assert_eq!(world.retired(&listing, &policy), [(2, Why::Delete)]);
    // New mail comes first, then what is compared, and last what failed.
    for (most, taken) in [(1, &[1][..]), (3, &[1, 3, 4]), (5, &[1, 3, 4, 5, 6]), (9, &[1, 3, 4, 5, 6, 7, 8])]
    {
        let policy = Policy { max_messages: Some(most), ..policy.clone() };
        let decisions = decide(&world.listing(&listing), &world.ledger, &policy);
        let left = |n: &usize| !matches!(decisions[*n - 1], Leave(_));
        assert_eq!((1..=listing.len()).filter(left).collect::<Vec<_>>(), taken, "{most}");
    }
}

#[test]
fn a_window_is_no_renumbered_maildrop() {
    let mut world = World::new();
    world.deliver("a", 10);
    let world = world.later(60);
    for (window, why) in [(false, Compare(Why::Renumbered)), (true, Retrieve(Why::New))] {
        let policy = Policy { window, ..world.policy() };
        assert_eq!(decide(&world.listing(&[("b", 10)]), &world.ledger, &policy), [why]);
    }
    let policy = Policy { window: true, retention: Retention::Keep, ..world.policy() };
    assert_eq!(decide(&world.listing(&[("a", 10)]), &world.ledger, &policy), [Compare(Why::Window)]);
}

#[test]
fn a_further_session_goes_on_with_all_and_with_the_limits() {
    let mut world = World::new();
    world.deliver("old", 10);
    let mut world = world.later(60);
    let all = Policy { all: true, max_messages: Some(2), ..world.policy() };
    assert_eq!(decide(&world.listing(&[("old", 10)]), &world.ledger, &all), [Retrieve(Why::All)]);
    world.deliver("now", 10);
    let again = Policy { spent: Spent { messages: 1, octets: Octets(10) }, ..all };
    let listing = world.listing(&[("now", 10), ("old", 10), ("new", 10)]);
    let expected = [Leave(Why::Known), Retrieve(Why::All), Leave(Why::MaxMessages)];
    assert_eq!(decide(&listing, &world.ledger, &again), expected);
}

#[test]
fn limits_say_what_goes() {
    let mut world = World::new();
    for unique_id in ["a", "b"] {
        world.deliver(unique_id, 10);
    }
    let mut world = world.later(86_400);
    for (unique_id, octets) in [("c", 100), ("d", 10), ("unlisted", 1)] {
        world.deliver(unique_id, octets);
    }
    let listing = [("a", 10), ("b", 10), ("c", 100), ("d", 10), ("new", 1)];
    let none = Limits::default();
    let cases = [
        (Limits { days: Some(1), ..none }, vec![(1, Why::Days), (2, Why::Days)]),
        (Limits { days: Some(2), ..none }, vec![]),
        (Limits { newest: Some(3), ..none }, vec![(1, Why::Newest)]),
        (Limits { larger_than: Some(Octets(10)), ..none }, vec![(3, Why::LargerThan)]),
        // The oldest go first: what is older than the first that doesn't fit doesn't stay in its place.
        (
            Limits { total_size: Some(Octets(50)), ..none },
            vec![(1, Why::TotalSize), (2, Why::TotalSize), (3, Why::TotalSize)],
        ),
    ];
    for (limits, expected) in cases {
        let policy = Policy { retention: Retention::Limits(limits), ..world.policy() };
        assert_eq!(world.retired(&listing, &policy), expected, "{limits:?}");
    }
    // A clock that can't be believed deletes nothing by age.
    let limits = Limits { days: Some(1), ..none };
    let policy = Policy { retention: Retention::Limits(limits), age_now: None, ..world.policy() };
    assert_eq!(world.retired(&listing, &policy), []);
}
