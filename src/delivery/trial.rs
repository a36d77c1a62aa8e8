//! What the destinations' tests share: messages to deliver, and a ledger that only remembers what was reported to it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::{Error, Failure, Inlet, Recorder, Settler, Waiting};
use crate::durable::{self, Step};
use crate::message::{Examiner, Facts};
use crate::proof::{Arrival, ArrivalId, DestinationId, IntentId, Key, Noted, Piece, Published, Staged};
use crate::types::MessageNumber;

/// A ledger that can no longer be written.
pub(super) fn broken_ledger() -> Error {
    Error::Ledger(Box::new(durable::Error::new(Step::Write, Path::new("ledger"), ErrorKind::StorageFull)))
}

pub(super) fn facts(text: &[u8], sender: &str, recipient: &str) -> Facts {
    let mut examiner = Examiner::summing(b"");
    examiner.update(text);
    Facts { sender: sender.to_owned(), recipient: recipient.to_owned(), ..examiner.finish() }
}

/// One batch of these messages, numbered from 1, as they wait after their arrival.
pub(super) fn pieces(inlet: &mut dyn Inlet, texts: &[&[u8]]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (text, number) in texts.iter().zip(1..) {
        pieces.push(piece(inlet, text, number, "a@b.example", "me@here.example"));
    }
    inlet.cut();
    pieces
}

pub(super) fn piece(inlet: &mut dyn Inlet, text: &[u8], number: u32, sender: &str, recipient: &str) -> Piece {
    let facts = facts(text, sender, recipient);
    let mut intake = inlet.open().unwrap();
    text.chunks(1000).for_each(|chunk| intake.write(chunk).unwrap());
    let waiting = intake.finish(&facts).unwrap();
    arrived(facts, waiting, number)
}

/// What waits at its only destination, known by its header.
pub(super) fn arrived(facts: Facts, waiting: Waiting, number: u32) -> Piece {
    let message = Arrival {
        id: ArrivalId::next(),
        number: MessageNumber::new(number).unwrap(),
        key: Key::Header(facts.digests.header),
        listed_size: None,
        octets: facts.octets,
        digests: facts.digests,
        headline: facts.headline,
        sender: facts.sender,
        recipient: facts.recipient,
        utf8: false,
        again: false,
        set: vec![DestinationId(0)],
        continues: None,
    };
    let Waiting { octets, digest, place } = waiting;
    Piece { message: Arc::new(message), destination: DestinationId(0), octets, digest, place }
}

pub(super) fn noted(staged: Vec<Staged>) -> Vec<Noted> {
    staged.into_iter().map(Noted::attest).collect()
}

/// What was reported to a ledger.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// The numbers of the messages published.
    pub(super) published: Vec<u32>,
    /// Those that were not taken.
    pub(super) failed: Vec<(u32, Failure)>,
    /// Intents found delivered, and those that come again.
    pub(super) delivered: Vec<u32>,
    pub(super) dropped: Vec<u32>,
    /// How many intents were known to be delivered at each sync of theirs.
    pub(super) settled: Vec<usize>,
    /// How many outcomes were known at each sync.
    pub(super) syncs: Vec<usize>,
    /// When this many outcomes have been reported, the ledger breaks.
    pub(super) breaks_after: Option<usize>,
}

impl Recorded {
    fn outcome(&self) -> Result<(), Error> {
        match self.breaks_after {
            Some(limit) if self.published.len() + self.failed.len() >= limit => Err(broken_ledger()),
            _ => Ok(()),
        }
    }
}

impl Recorder for Recorded {
    fn published(&mut self, piece: Published) -> Result<(), Error> {
        self.published.push(piece.piece().message.number.get());
        self.outcome()
    }
    fn failed(&mut self, piece: Noted, failure: Failure) -> Result<(), Error> {
        self.failed.push((piece.piece().message.number.get(), failure));
        self.outcome()
    }
    fn sync(&mut self) -> Result<(), Error> {
        self.syncs.push(self.published.len() + self.failed.len());
        Ok(())
    }
}

impl Settler for Recorded {
    fn delivered(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        self.delivered.extend(intents.iter().map(|id| id.0));
        self.delivered.sort_unstable();
        Ok(())
    }
    fn dropped(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        self.dropped.extend(intents.iter().map(|id| id.0));
        self.dropped.sort_unstable();
        Ok(())
    }
    fn sync(&mut self) -> Result<(), Error> {
        self.settled.push(self.delivered.len());
        Ok(())
    }
}

/// Of what is written, only what came is taken, octet by octet; otherwise nothing may count as staged.
pub(super) fn takes_only_what_came(inlet: &mut dyn Inlet) {
    let body = |octets: usize| (0..octets).map(|n| b"abcdefg\n"[n % 8]).collect::<Vec<u8>>();
    for octets in [8, 4096, 300_000] {
        let came = [b"Subject: x\nStatus: O\n\n".as_slice(), &body(octets)].concat();
        let changed = |at: usize, to: u8| {
            let mut text = came.clone();
            text[at] = to;
            text
        };
        let last = came.len() - 1;
        let mut others = vec![
            came[..last].to_vec(),
            [&came[..last / 2], &came[last / 2 + 1..]].concat(),
            [came.as_slice(), b"\n"].concat(),
            Vec::new(),
        ];
        if inlet.reads_back() {
            others.push(changed(came.len() / 2, b'!'));
            // Fields that servers change, and that digests pass over, are stored as they came all the same.
            others.push(changed(19, b'R'));
        }
        for (written, is_taken) in
            std::iter::once((&came, true)).chain(others.iter().map(|other| (other, false)))
        {
            let mut intake = inlet.open().unwrap();
            written.chunks(70_000).for_each(|chunk| intake.write(chunk).unwrap());
            let finished = intake.finish(&facts(&came, "", ""));
            assert_eq!(finished.is_ok(), is_taken, "{} of {octets} octets", written.len());
        }
    }
}
