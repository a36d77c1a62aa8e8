//! What the tests of the plan and of what rests on it share: a ledger in a temporary directory, with entries in every
//! state.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Maildrop, Policy};
use crate::account::Mailbox;
use crate::account::Retention;
use crate::ledger::lock::Lock;
use crate::ledger::{Ledger, Match};
use crate::message::{Digest, Digests, Facts, Headline};
use crate::place::{Place, Spooled};
use crate::proof::{
    Arrival, ArrivalId, DestinationId, DestinationKind, DestinationName, EntryId, Key, Noted, Piece,
    Published, Staged,
};
use crate::signals::Stop;
use crate::types::{MessageNumber, Octets, Time, UniqueId, Wait};

pub(crate) const NOW: Time = Time(1_700_000_000);
pub(crate) const DAY: i64 = 86_400;
/// What every message here weighs, unless [`World::size`] sets another.
pub(crate) const SIZE: u64 = 100;

/// A ledger, and two Maildirs and a stream for it to know.
pub(crate) struct World {
    home: TempDir,
    pub(crate) ledger: Ledger,
    pub(crate) maildirs: [DestinationId; 2],
    stream: DestinationId,
    /// Of what is delivered from now on.
    pub(crate) size: u64,
    /// Whether that comes after failed comparisons.
    pub(crate) again: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mailbox = Mailbox { user: "me".into(), host: "pop.example.com".into(), port: 110 };
        let lock = Lock::acquire(home.path(), Wait::NO, &Stop::new().unwrap()).unwrap();
        // Begun long ago: no time in it is before its beginning.
        let mut ledger = Ledger::open(home.path(), &mailbox, lock, Time(NOW.0 - 60 * DAY)).unwrap();
        let mut enter = |kind, address: &str| {
            ledger.enter_destination(&DestinationName { kind, address: address.into() }, None).unwrap()
        };
        let maildirs = [enter(DestinationKind::Maildir, "/one"), enter(DestinationKind::Maildir, "/two")];
        let stream = enter(DestinationKind::Stdout, "-");
        Self { home, ledger, maildirs, stream, size: SIZE, again: false }
    }

    /// One whose last listing held these, all of them delivered.
    pub(crate) fn holding(names: &[&str]) -> Self {
        let mut world = Self::new();
        for name in names {
            world.deliver(name);
        }
        world.listed(names);
        world
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.home.path().join("ledger")
    }

    /// How many octets of the ledger are in its file: lines that are held back aren't.
    pub(crate) fn written(&self) -> u64 {
        std::fs::metadata(self.file()).unwrap().len()
    }

    fn noted(&mut self, key: Key, content: &str, set: &[DestinationId]) -> Vec<Noted> {
        let message = Arc::new(Arrival {
            id: ArrivalId::next(),
            number: number(1),
            key,
            listed_size: Some(Octets(self.size)),
            octets: self.size,
            digests: facts(content).digests,
            headline: Headline::default(),
            sender: String::new(),
            recipient: String::new(),
            utf8: false,
            again: self.again,
            set: set.to_vec(),
            continues: None,
        });
        let staged = |destination: &DestinationId| {
            Staged::attest(Piece {
                message: Arc::clone(&message),
                destination: *destination,
                octets: message.octets,
                digest: Digest::of(content.as_bytes()),
                place: Place::Spooled(Spooled::Memory(Vec::new())),
            })
        };
        self.ledger.note(set.iter().map(staged).collect()).unwrap()
    }

    fn find(&self, name: &str) -> EntryId {
        self.ledger.find_key(&key(name)).unwrap()
    }

    /// A message of this unique-id (and content) is delivered now.
    pub(crate) fn deliver(&mut self, name: &str) -> EntryId {
        self.deliver_content(key(name), name)
    }

    /// A message with this content is delivered now.
    pub(crate) fn deliver_content(&mut self, key: Key, content: &str) -> EntryId {
        let set = self.maildirs;
        let mut proof = None;
        for noted in self.noted(key, content, &set) {
            proof = self.ledger.record(Published::attest(noted)).unwrap();
        }
        proof.unwrap().entry()
    }

    /// As many days ago; the oldest come first, for time never runs backwards.
    pub(crate) fn deliver_days_ago(&mut self, days: i64, name: &str) -> EntryId {
        self.ledger.tick(Time(NOW.0 - days * DAY));
        self.deliver(name)
    }

    /// It is now again.
    pub(crate) fn now(&mut self) {
        self.ledger.tick(NOW);
    }

    /// The first Maildir has it, the second doesn't.
    pub(crate) fn deliver_to_one(&mut self, name: &str) -> EntryId {
        self.deliver_content_to_one(key(name), name)
    }

    pub(crate) fn deliver_content_to_one(&mut self, key: Key, content: &str) -> EntryId {
        let set = self.maildirs;
        let mut noted = self.noted(key.clone(), content, &set).into_iter();
        let delivered = self.ledger.record(Published::attest(noted.next().unwrap())).unwrap();
        assert_eq!(delivered, None);
        self.ledger.refuse(noted.next().unwrap(), None).unwrap();
        self.ledger.find_key(&key).unwrap()
    }

    /// Another message of this unique-id is refused.
    pub(crate) fn fail_at_destination(&mut self, name: &str, content: &str) {
        let set = [self.maildirs[0]];
        let noted = self.noted(key(name), content, &set).pop().unwrap();
        self.ledger.refuse(noted, None).unwrap();
    }

    /// A run has died while this message was on its way to the first Maildir.
    pub(crate) fn begin(&mut self, name: &str) {
        let set = [self.maildirs[0]];
        self.noted(key(name), name, &set);
    }

    pub(crate) fn print(&mut self, name: &str) -> EntryId {
        let stream = [self.stream];
        let noted = self.noted(key(name), name, &stream).pop().unwrap();
        assert_eq!(self.ledger.record(Published::attest(noted)).unwrap(), None);
        self.find(name)
    }

    pub(crate) fn delete(&mut self, name: &str) -> EntryId {
        let id = self.deliver(name);
        self.ledger.deleted(&[id]).unwrap();
        id
    }

    pub(crate) fn fail(&mut self, name: &str, retry_in: Option<i64>) -> EntryId {
        let at = retry_in.map(|seconds| Time(NOW.0 + seconds));
        self.ledger.fail(&key(name), Some(Octets(SIZE)), at).unwrap()
    }

    /// A message of that unique-id turned out to be this one, which was delivered.
    pub(crate) fn record_match(&mut self, name: &str, same_as: EntryId) -> EntryId {
        self.ledger.record_match(&key(name), Some(Octets(SIZE)), Match::first(same_as)).unwrap()
    }

    /// The last complete listing held these.
    pub(crate) fn listed(&mut self, names: &[&str]) {
        let ids: Vec<EntryId> = names.iter().map(|name| self.find(name)).collect();
        self.ledger.complete_listing(&mut ids.into_iter()).unwrap();
    }

    /// A listing of these unique-ids (`-`: none), numbered from 1, with these sizes; without any, `LIST` wasn't asked.
    pub(crate) fn maildrop(&self, listed: &[(&str, Option<u64>)]) -> Maildrop {
        let mut maildrop = Maildrop::default();
        for (n, (name, _)) in (1..).zip(listed) {
            let unique_id = UniqueId::new(name.as_bytes()).filter(|_| *name != "-");
            maildrop.add(number(n), unique_id, unique_id.and_then(|name| self.ledger.find(name)));
        }
        maildrop.complete().unwrap();
        let asked = listed.iter().any(|(_, octets)| octets.is_some());
        for (n, (_, octets)) in (1..).zip(listed).filter(|_| asked) {
            maildrop.set_size(number(n), octets.map(Octets));
        }
        maildrop
    }

    /// A policy without limits, for both Maildirs.
    pub(crate) fn policy(&self, retention: Retention) -> Policy {
        Policy {
            retention,
            max_message_size: None,
            max_messages: None,
            max_bytes: None,
            taken: (0, Octets(0)),
            all: false,
            insist: false,
            utf8: false,
            window: false,
            popped: Vec::new(),
            destinations: self.maildirs.to_vec(),
            age_now: Some(NOW),
            now: NOW,
        }
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::UniqueId(UniqueId::new(name.as_bytes()).unwrap().to_buf())
}

pub(crate) fn number(n: u32) -> MessageNumber {
    MessageNumber::new(n).unwrap()
}

/// Of a message with this content: `HEADER/BODY@IDENTITY`, or one word that is all of them.  The identity is what
/// Message-ID, Date and From come to; `-` where there is none.
pub(crate) fn facts(content: &str) -> Facts {
    let (rest, identity) = content.split_once('@').unwrap_or((content, content));
    let (header, body) = rest.split_once('/').unwrap_or((rest, rest));
    let digest = |what: &str| Digest::of(what.as_bytes());
    Facts {
        octets: SIZE,
        stored_octets: SIZE,
        stored: digest(rest),
        sum: None,
        digests: Digests {
            message: digest(&format!("{header}/{body}")),
            header: digest(header),
            identity: Some(digest(identity)).filter(|_| identity != "-"),
        },
        headline: Headline::default(),
        sender: String::new(),
        recipient: String::new(),
        traced: true,
        internal: false,
        begins_as_answer: false,
    }
}
