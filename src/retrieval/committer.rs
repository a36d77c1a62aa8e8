//! The committer: a thread that owns the ledger and the committing ends of the destinations while messages arrive.
//!
//! For each batch: every destination makes its pieces durable (`stage`), the ledger notes them and is synced, every
//! destination publishes, the ledger takes the outcomes.  It works in this order because a `staged` line proves that
//! its bytes and name were on disk, and because a `DELE` may go out only for a delivered message.  The network thread
//! gets the [`Delivered`] that it needs for that only from here.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use crate::clock;
use crate::delivery::{self, Failure, Outlet, Recorder, Waiting};
use crate::durable;
use crate::exit::ExitCode;
use crate::ledger::{self, Ledger, Match};
use crate::message::Digest;
use crate::proof::{
    Arrival, BegunId, Delivered, DestinationId, EntryId, Key, Noted, Piece, Published, Staged,
};
use crate::types::{MessageNumber, Octets, Time};

/// What the network thread hands over.
#[derive(Debug)]
pub(super) enum Work {
    /// Messages that have arrived whole.
    Batch(Vec<Parcel>),
    /// A listed message turned out to be one that we have.
    Same { number: MessageNumber, key: Key, listed_size: Option<Octets>, same_as: Match },
    /// How the server shows a message that is known by the user's word.
    Identify { entry: EntryId, header: Digest, identity: Option<Digest> },
    /// The server's copies of this entry's message differ each time.
    Varies { entry: EntryId },
    /// A message that only some of its destinations have is listed under this key now.
    Renamed { begun: BegunId, key: Key },
    /// A message that is left for its size.
    TooLarge { key: Key, listed_size: Option<Octets> },
    /// A message whose end cannot be believed.
    Discard(Parcel),
    /// A message could not be retrieved, or not taken in; unless that was our own fault it backs off.
    Failed { key: Key, listed_size: Option<Octets>, backs_off: bool },
}

/// One message with what waits for it at each destination (by its place in the account's list).
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) message: Arc<Arrival>,
    pub(super) waiting: Vec<(usize, Waiting)>,
}

/// What became of one message.
#[derive(Debug)]
pub(super) struct SettledMessage {
    pub(super) number: MessageNumber,
    pub(super) octets: u64,
    pub(super) outcome: MessageOutcome,
}

#[derive(Debug)]
pub(super) enum MessageOutcome {
    /// Delivered to all of its set by this run; the proof is there unless the message was only printed.
    Delivered(Option<Delivered>),
    /// It was ours already.
    Same(Option<Delivered>),
    /// At least one destination did not take it.
    Failed(Failure),
}

/// A destination of this run: its number in the ledger, and its committing end.
pub(super) struct CommitterEnd {
    pub(super) id: DestinationId,
    /// Whether each outcome is written at once (a program has side effects that cannot be taken back).
    pub(super) one_by_one: bool,
    /// Whether what it has accepted is still to be brought to the disk, once for a batch, before anything may be
    /// deleted for it.  Programs rarely sync the directories that they write to, and some sync nothing.
    pub(super) sync_after: bool,
    pub(super) outlet: Box<dyn Outlet>,
}

/// Why the committer gave up: nothing that was noted is lost, recovery finds it.
#[derive(Debug)]
pub(super) enum Error {
    Delivery(delivery::Error),
    Ledger(ledger::Error),
}

impl From<delivery::Error> for Error {
    fn from(e: delivery::Error) -> Self {
        Self::Delivery(e)
    }
}

impl From<ledger::Error> for Error {
    fn from(e: ledger::Error) -> Self {
        Self::Ledger(e)
    }
}

/// The committer's side of the conversation with the network thread.  Its end wakes that: the stream is closed with it.
#[derive(Debug)]
pub(super) struct Reports {
    settled: Sender<SettledMessage>,
    wake: UnixStream,
}

/// The network thread's side.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) settled: Receiver<SettledMessage>,
    wake: UnixStream,
}

/// Hears of messages once the ledger knows what became of them.
pub(super) trait Witness {
    /// All of its destinations have it.
    fn whole(&mut self, message: &Arrival, puts: Vec<Put>, time: Time);
    /// Some of them have refused it.
    fn partly(&mut self, message: &Arrival, puts: Vec<Put>, time: Time);
    /// The batch is over.
    fn keep(&mut self);
}

/// Both sides.
pub(super) fn reports() -> std::io::Result<(Reports, Inbox)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let (sender, receiver) = std::sync::mpsc::channel();
    Ok((Reports { settled: sender, wake: near }, Inbox { settled: receiver, wake: far }))
}

impl Reports {
    /// Tells what was settled; one wake-up call is enough for all of it.
    pub(super) fn tell(&self, settled: impl IntoIterator<Item = SettledMessage>) {
        use std::io::Write as _;
        // The network thread may be gone already (its line broke): the ledger knows all the same.
        let mut heard = false;
        for settled in settled {
            heard |= self.settled.send(settled).is_ok();
        }
        if heard {
            // A full socket wakes it as well.
            let _ = (&self.wake).write(&[1]);
        }
    }
}

impl Inbox {
    /// Readable when something was settled, or the committer is done.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Takes the wake-up calls back, before the reports are looked at.
    pub(super) fn heard(&self) {
        use std::io::Read as _;
        let mut calls = [0; 512];
        while matches!((&self.wake).read(&mut calls), Ok(octets) if octets == calls.len()) {}
    }
}

/// Commits what comes until the network thread hangs up, then brings the ledger to the disk.  `reports` ends with it, which
/// wakes the network thread.
pub(super) fn run(
    ledger: &mut Ledger,
    committer_ends: &mut [CommitterEnd],
    work: &Receiver<Work>,
    reports: &Reports,
    witness: &mut dyn Witness,
) -> Result<(), Error> {
    let mut result = Ok(());
    for work in work {
        result = match work {
            Work::Batch(parcels) => {
                let committed =
                    commit(ledger, committer_ends, parcels, &mut BatchProgress::new(reports, witness));
                witness.keep();
                committed
            }
            Work::Same { number, key, listed_size, same_as } => {
                same(ledger, number, &key, listed_size, same_as, reports)
            }
            Work::Identify { entry, header, identity } => match ledger.entry(entry).unidentified {
                true => ledger.identify(entry, header, identity).map_err(Error::from),
                // Its unique-id is listed twice.
                false => Ok(()),
            },
            Work::Varies { entry } => ledger.varies(entry).map_err(Error::from),
            Work::Renamed { begun, key } => ledger.rename_begun(begun, &key).map_err(Error::from),
            Work::TooLarge { key, listed_size } => {
                ledger.too_large(&key, listed_size).map(drop).map_err(Error::from)
            }
            Work::Discard(parcel) => {
                discard(committer_ends, parcel);
                Ok(())
            }
            Work::Failed { key, listed_size, backs_off } => {
                // The first time may have been chance: it's tried at the next run.
                let failures = failures(ledger, &key);
                let retry_after = (backs_off && failures > 0).then(|| back_off(ledger, failures));
                ledger.fail(&key, listed_size, retry_after).map(drop).map_err(Error::from)
            }
        };
        if result.is_err() {
            break;
        }
    }
    // Also after an error: what was published before it should be known to be delivered.
    let synced = ledger.sync().map_err(Error::from);
    result.and(synced)
}

fn discard(committer_ends: &mut [CommitterEnd], parcel: Parcel) {
    for (slot, waiting) in parcel.waiting {
        if let Some(end) = committer_ends.get_mut(slot) {
            end.outlet.withdraw(vec![piece(&parcel.message, end.id, waiting)]);
        }
    }
}

fn piece(message: &Arc<Arrival>, destination: DestinationId, waiting: Waiting) -> Piece {
    let Waiting { octets, digest, place } = waiting;
    Piece { message: Arc::clone(message), destination, octets, digest, place }
}

fn same(
    ledger: &mut Ledger,
    number: MessageNumber,
    key: &Key,
    listed_size: Option<Octets>,
    same_as: Match,
    reports: &Reports,
) -> Result<(), Error> {
    let entry = ledger.record_match(key, listed_size, same_as)?;
    let outcome = MessageOutcome::Same(ledger.prove_delivered(entry, number));
    reports.tell([SettledMessage { number, octets: 0, outcome }]);
    Ok(())
}

fn commit(
    ledger: &mut Ledger,
    committer_ends: &mut [CommitterEnd],
    parcels: Vec<Parcel>,
    tally: &mut BatchProgress<'_>,
) -> Result<(), Error> {
    tally.expect(&parcels);
    let mut pieces: Vec<Vec<Piece>> = committer_ends.iter().map(|_| Vec::new()).collect();
    for Parcel { message, waiting } in parcels {
        for (slot, waiting) in waiting {
            if let (Some(end), Some(pieces)) = (committer_ends.get(slot), pieces.get_mut(slot)) {
                pieces.push(piece(&message, end.id, waiting));
            }
        }
    }
    let mut staged: Vec<Staged> = Vec::new();
    let mut out_of_reach: Vec<(Vec<Arc<Arrival>>, delivery::Error)> = Vec::new();
    let mut pieces = pieces.into_iter();
    for end in committer_ends.iter_mut() {
        let pieces = pieces.next().unwrap_or_default();
        if pieces.is_empty() {
            continue;
        }
        let messages: Vec<Arc<Arrival>> = pieces.iter().map(|piece| Arc::clone(&piece.message)).collect();
        match end.outlet.stage(pieces) {
            Ok(more) => staged.extend(more),
            // Only this destination is out of reach: the others get their mail.
            Err(e) if e.is_out_of_reach() => out_of_reach.push((messages, e)),
            Err(e) => {
                withdraw(committer_ends, staged);
                return Err(e.into());
            }
        }
    }
    for (messages, error) in out_of_reach {
        if staged.is_empty() {
            // There are no others: what comes after it would only wait as long, and fail as well.
            return Err(error.into());
        }
        for message in messages {
            ledger.fail(&message.key, message.listed_size, None)?;
            let failure = Failure { permanent: false, reason: error.to_string(), exit: ExitCode::Later };
            tally.failed(&message, failure);
        }
    }
    let noted = match ledger.note(staged) {
        Ok(noted) => noted,
        Err((e, staged)) => {
            withdraw(committer_ends, staged);
            return Err(e.into());
        }
    };
    let mut by_destination: HashMap<DestinationId, Vec<Noted>> = HashMap::new();
    for noted in noted {
        by_destination.entry(noted.piece().destination).or_default().push(noted);
    }
    let mut first_error = None;
    let mut sync_after = false;
    for end in committer_ends.iter_mut() {
        let Some(noted) = by_destination.remove(&end.id) else { continue };
        sync_after |= end.sync_after;
        let (at_once, release) = (end.one_by_one, end.one_by_one && !end.sync_after);
        let mut recorder = LedgerRecorder { ledger, tally, at_once, release };
        // A destination whose disk fails must not keep the others from publishing what is noted for them.
        if let Err(e) = end.outlet.publish(noted, &mut recorder) {
            first_error = first_error.or(Some(e));
        }
    }
    ledger.flush()?;
    if sync_after {
        durable::sync_everything().map_err(delivery::Error::from)?;
    }
    tally.release();
    first_error.map_or(Ok(()), |e| Err(e.into()))
}

fn withdraw(committer_ends: &mut [CommitterEnd], staged: Vec<Staged>) {
    let mut by_destination: HashMap<DestinationId, Vec<Piece>> = HashMap::new();
    for piece in staged.into_iter().map(Staged::withdraw) {
        by_destination.entry(piece.destination).or_default().push(piece);
    }
    for end in committer_ends {
        if let Some(pieces) = by_destination.remove(&end.id) {
            end.outlet.withdraw(pieces);
        }
    }
}

/// How long a message waits that was refused: an hour, two, four … at most a week.
fn back_off(ledger: &Ledger, failures: u16) -> Time {
    let hours = 1_i64.checked_shl(u32::from(failures.min(8))).unwrap_or(256).min(168);
    Time(ledger.now().0.saturating_add(hours * 3600))
}

fn failures(ledger: &Ledger, key: &Key) -> u16 {
    ledger.find_key(key).map_or(0, |id| ledger.entry(id).failures)
}

struct LedgerRecorder<'a, 'b> {
    ledger: &'a mut Ledger,
    tally: &'a mut BatchProgress<'b>,
    /// Whether each outcome is written at once,
    at_once: bool,
    /// and reported at once.
    release: bool,
}

impl Recorder for LedgerRecorder<'_, '_> {
    fn published(&mut self, piece: Published) -> Result<(), delivery::Error> {
        let message = Arc::clone(&piece.piece().message);
        let put = Put::of(piece.piece());
        let delivered = self.ledger.record(piece)?;
        if self.at_once {
            self.ledger.flush()?;
        }
        self.tally.published(&message, put, delivered, self.release);
        Ok(())
    }

    fn failed(&mut self, piece: Noted, failure: Failure) -> Result<(), delivery::Error> {
        let message = Arc::clone(&piece.piece().message);
        // A destination that answers "later" is asked again at the next run.
        let failures = failures(self.ledger, &message.key);
        let retry_after = failure.permanent.then(|| back_off(self.ledger, failures));
        self.ledger.refuse(piece, retry_after)?;
        if self.at_once {
            self.ledger.flush()?;
        }
        self.tally.failed(&message, failure);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), delivery::Error> {
        Ok(self.ledger.sync()?)
    }
}

/// Where a message was put.
#[derive(Debug, Clone)]
pub(super) struct Put {
    pub(super) destination: DestinationId,
    /// The name of its file in a Maildir.
    pub(super) name: Option<String>,
}

impl Put {
    fn of(piece: &Piece) -> Self {
        let name = piece.place.file_name().map(str::to_owned);
        Self { destination: piece.destination, name }
    }
}

/// What is still open of each message of a batch: one report goes out for each when all of its pieces are settled.
struct BatchProgress<'a> {
    open: HashMap<MessageNumber, MessageProgress>,
    ready: Vec<SettledMessage>,
    done: Vec<MessageProgress>,
    reports: &'a Reports,
    witness: &'a mut dyn Witness,
}

struct MessageProgress {
    message: Arc<Arrival>,
    pieces: usize,
    puts: Vec<Put>,
    delivered: Option<Delivered>,
    failure: Option<Failure>,
}

impl<'a> BatchProgress<'a> {
    fn new(reports: &'a Reports, witness: &'a mut dyn Witness) -> Self {
        Self { open: HashMap::new(), ready: Vec::new(), done: Vec::new(), reports, witness }
    }

    /// These are to be settled.
    fn expect(&mut self, parcels: &[Parcel]) {
        let open = |parcel: &Parcel| {
            let open = MessageProgress {
                message: Arc::clone(&parcel.message),
                pieces: parcel.waiting.len(),
                puts: Vec::new(),
                delivered: None,
                failure: None,
            };
            (parcel.message.number, open)
        };
        self.open = parcels.iter().map(open).collect();
    }

    fn published(&mut self, message: &Arrival, put: Put, delivered: Option<Delivered>, release: bool) {
        if let Some(open) = self.open.get_mut(&message.number) {
            open.delivered = delivered;
            open.puts.push(put);
        }
        self.settle(message.number);
        if release {
            self.release();
        }
    }

    fn failed(&mut self, message: &Arrival, failure: Failure) {
        if let Some(open) = self.open.get_mut(&message.number) {
            open.failure = Some(failure);
        }
        self.settle(message.number);
    }

    fn settle(&mut self, number: MessageNumber) {
        let Some(open) = self.open.get_mut(&number) else { return };
        open.pieces = open.pieces.saturating_sub(1);
        if open.pieces > 0 {
            return;
        }
        if let Some(mut open) = self.open.remove(&number) {
            let outcome = match open.failure.clone() {
                Some(failure) => MessageOutcome::Failed(failure),
                None => MessageOutcome::Delivered(open.delivered.take()),
            };
            self.ready.push(SettledMessage { number, octets: open.message.octets, outcome });
            self.done.push(open);
        }
    }

    /// Reports to the network thread, and then to whom it may concern: not before the ledger has been written.
    fn release(&mut self) {
        self.reports.tell(self.ready.drain(..));
        let time = clock::now();
        for MessageProgress { message, puts, failure, .. } in self.done.drain(..) {
            match failure {
                Some(_) => self.witness.partly(&message, puts, time),
                None => self.witness.whole(&message, puts, time),
            }
        }
    }
}
