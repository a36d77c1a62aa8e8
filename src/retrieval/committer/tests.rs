//! Batches at destinations that do as they are told, in a real ledger.

mod durability;

use std::sync::{Arc, Mutex};

use super::{
    BatchProgress, CommitterEnd, Error, MessageOutcome, Parcel, Put, SettledMessage, Witness, Work, back_off,
    commit, reports, run,
};
use crate::delivery::{self, Failure, Outlet, Recorder, Waiting};
use crate::exit::ExitCode;
use crate::ledger::EntryState;
use crate::message::{Digest, Headline};
use crate::place::{Place, Spooled};
use crate::plan::trial::{NOW, World, facts, key, number};
use crate::proof::{Arrival, ArrivalId, DestinationId, Noted, Piece, Published, Staged};
use crate::types::{Octets, Time};

/// What happened, in its order.
type Log = Arc<Mutex<Vec<String>>>;

/// What a destination does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Takes,
    /// It is out of reach when the batch is staged.
    OutOfReach,
    /// Its disk is full then.
    CannotStage,
    /// It fails after it has published all.
    FailsAtLast,
    /// It refuses the first message, for good or for now.
    Refuses {
        permanent: bool,
    },
}

struct Scripted {
    name: u16,
    does: Does,
    log: Log,
}

impl Scripted {
    fn note(&self, what: &str, piece: &Piece) {
        let line = format!("{what} {} at {}", piece.message.number, self.name);
        self.log.lock().unwrap().push(line);
    }
}

impl Outlet for Scripted {
    fn stage(&mut self, pieces: Vec<Piece>) -> Result<Vec<Staged>, delivery::Error> {
        match self.does {
            Does::OutOfReach => Err(delivery::Error::later("locked", "wait")),
            Does::CannotStage => Err(delivery::Error::unfit(ExitCode::LocalIo, "full", "make room")),
            _ => Ok(pieces.into_iter().map(Staged::attest).collect()),
        }
    }

    fn publish(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), delivery::Error> {
        for noted in noted {
            self.note("publish", noted.piece());
            match self.does {
                Does::Refuses { permanent } if noted.piece().message.number == number(1) => {
                    let failure = Failure { permanent, reason: "no".to_owned(), exit: ExitCode::Later };
                    recorder.failed(noted, failure)?;
                }
                _ => recorder.published(Published::attest(noted))?,
            }
        }
        match self.does {
            Does::FailsAtLast => Err(delivery::Error::unfit(ExitCode::LocalIo, "not synced", "look")),
            _ => Ok(()),
        }
    }

    fn withdraw(&mut self, pieces: Vec<Piece>) {
        pieces.iter().for_each(|piece| self.note("withdraw", piece));
    }
}

struct Told(Log);

impl Witness for Told {
    fn whole(&mut self, message: &Arrival, puts: Vec<Put>, _: Time) {
        self.0.lock().unwrap().push(format!("whole {} {}", message.number, puts.len()));
    }
    fn partly(&mut self, message: &Arrival, puts: Vec<Put>, _: Time) {
        self.0.lock().unwrap().push(format!("partly {} {}", message.number, puts.len()));
    }
    fn keep(&mut self) {}
}

/// What a batch came to.
struct Course {
    world: World,
    result: Result<(), Error>,
    settled: Vec<SettledMessage>,
    log: Vec<String>,
}

impl Course {
    fn states(&self) -> Vec<(EntryState, u16, Option<Time>)> {
        let entry = |name| self.world.ledger.entry(self.world.ledger.find_key(&key(name)).unwrap());
        ["a", "b"].map(entry).iter().map(|entry| (entry.state, entry.failures, entry.retry_after)).collect()
    }

    fn delivered(&self) -> Vec<u32> {
        let proof = |settled: &SettledMessage| match &settled.outcome {
            MessageOutcome::Delivered(proof) => proof.as_ref().map(|proof| proof.number().get()),
            MessageOutcome::Same(_) | MessageOutcome::Failed(_) => None,
        };
        self.settled.iter().filter_map(proof).collect()
    }

    fn failed(&self) -> Vec<u32> {
        let failed = |settled: &&SettledMessage| matches!(settled.outcome, MessageOutcome::Failed(_));
        self.settled.iter().filter(failed).map(|settled| settled.number.get()).collect()
    }
}

fn parcel(at: u32, name: &str, set: &[DestinationId]) -> Parcel {
    let message = Arc::new(Arrival {
        id: ArrivalId::next(),
        number: number(at),
        key: key(name),
        listed_size: Some(Octets(100)),
        octets: 100,
        digests: facts(name).digests,
        headline: Headline::default(),
        sender: String::new(),
        recipient: String::new(),
        utf8: false,
        again: false,
        set: set.to_vec(),
        continues: None,
    });
    let waiting = || Waiting {
        octets: 100,
        digest: Digest::of(name.as_bytes()),
        place: Place::Spooled(Spooled::Memory(Vec::new())),
    };
    Parcel { message, waiting: (0..set.len()).map(|slot| (slot, waiting())).collect() }
}

fn ends(world: &World, does: &[Does], one_by_one: bool, sync_after: bool) -> (Vec<CommitterEnd>, Log) {
    let log = Log::default();
    let end = |(id, (name, does)): (&DestinationId, (u16, &Does))| CommitterEnd {
        id: *id,
        one_by_one,
        sync_after,
        outlet: Box::new(Scripted { name, does: *does, log: Arc::clone(&log) }),
    };
    (world.maildirs.iter().zip((0..).zip(does)).map(end).collect(), log)
}

/// The messages a and b, as a batch for destinations that do this.
fn batch(does: &[Does], one_by_one: bool, sync_after: bool) -> Course {
    let mut world = World::new();
    world.now();
    let (mut ends, log) = ends(&world, does, one_by_one, sync_after);
    let set: Vec<DestinationId> = ends.iter().map(|end| end.id).collect();
    let parcels = vec![parcel(1, "a", &set), parcel(2, "b", &set)];
    let (reports, inbox) = reports().unwrap();
    let mut told = Told(Arc::clone(&log));
    let result = commit(&mut world.ledger, &mut ends, parcels, &mut BatchProgress::new(&reports, &mut told));
    let settled = inbox.settled.try_iter().collect();
    let log = log.lock().unwrap().clone();
    Course { world, result, settled, log }
}

#[test]
fn a_message_is_delivered_when_every_destination_has_it() {
    let course = batch(&[Does::Takes, Does::Takes], false, false);
    course.result.as_ref().unwrap();
    assert_eq!(course.delivered(), [1, 2]);
    assert_eq!(course.states(), [(EntryState::Delivered, 0, None); 2]);
    // Nobody hears of a message before all of the batch stands in the ledger.
    let order =
        ["publish 1 at 0", "publish 2 at 0", "publish 1 at 1", "publish 2 at 1", "whole 1 2", "whole 2 2"];
    assert_eq!(course.log, order);
}

#[test]
fn a_destination_out_of_reach_keeps_no_mail_from_the_others() {
    for (does, has) in
        [([Does::Takes, Does::OutOfReach], [true, false]), ([Does::OutOfReach, Does::Takes], [false, true])]
    {
        let course = batch(&does, false, false);
        course.result.as_ref().unwrap();
        assert_eq!((course.delivered(), course.failed()), (vec![], vec![1, 2]), "{does:?}");
        // It isn't the messages' fault: the next run tries them at once.
        assert_eq!(course.states(), [(EntryState::Open, 1, None); 2]);
        let begun = course.world.ledger.begun();
        let sets: Vec<Vec<bool>> =
            begun.iter().map(|begun| begun.set.iter().map(|(_, has)| *has).collect()).collect();
        assert_eq!(sets, [has.to_vec(), has.to_vec()], "{does:?}");
        let exits = course.settled.iter().map(|settled| match &settled.outcome {
            MessageOutcome::Failed(Failure { permanent, exit, .. }) => (*permanent, *exit),
            other => panic!("{other:?}"),
        });
        assert!(exits.eq([(false, ExitCode::Later); 2]));
    }
}

#[test]
fn nothing_is_recorded_where_no_destination_can_be_reached() {
    for does in [&[Does::OutOfReach][..], &[Does::OutOfReach, Does::OutOfReach]] {
        let course = batch(does, false, false);
        assert!(matches!(&course.result, Err(Error::Delivery(e)) if e.is_out_of_reach()), "{does:?}");
        assert_eq!((course.world.ledger.len(), course.settled.len(), course.log.len()), (0, 0, 0));
    }
}

/// A full disk ends the run: what waits at the others is taken back, and nothing of it is noted.
#[test]
fn where_one_destination_cannot_stage_all_is_taken_back() {
    let course = batch(&[Does::Takes, Does::CannotStage], false, false);
    assert!(matches!(&course.result, Err(Error::Delivery(e)) if !e.is_out_of_reach()));
    assert_eq!(course.log, ["withdraw 1 at 0", "withdraw 2 at 0"]);
    assert_eq!((course.world.ledger.len(), course.settled.len()), (0, 0));
    let course = batch(&[Does::CannotStage, Does::Takes], false, false);
    assert!(course.result.is_err());
    assert_eq!((course.log.len(), course.world.ledger.len()), (0, 0));
}

#[test]
fn a_destination_whose_disk_fails_while_it_publishes_keeps_no_other_from_it() {
    let course = batch(&[Does::FailsAtLast, Does::Takes], false, false);
    assert!(course.result.is_err());
    assert_eq!(course.delivered(), [1, 2]);
    assert_eq!(course.states(), [(EntryState::Delivered, 0, None); 2]);
}

#[test]
fn a_refused_message_is_not_delivered_and_waits_only_where_it_is_refused_for_good() {
    for (permanent, retry) in [(false, None), (true, Some(Time(NOW.0 + 3600)))] {
        let course = batch(&[Does::Takes, Does::Refuses { permanent }], false, false);
        course.result.as_ref().unwrap();
        assert_eq!((course.delivered(), course.failed()), (vec![2], vec![1]));
        assert_eq!(course.states(), [(EntryState::Open, 1, retry), (EntryState::Delivered, 0, None)]);
        assert!(course.log.contains(&"partly 1 1".to_owned()), "{:?}", course.log);
    }
}

/// What a program has accepted is reported at once, unless it is still to be brought to the disk.
#[test]
fn a_program_s_word_is_reported_at_once_unless_a_deletion_rests_on_it() {
    let course = batch(&[Does::Takes], true, false);
    assert_eq!(course.log, ["publish 1 at 0", "whole 1 1", "publish 2 at 0", "whole 2 1"]);
    let course = batch(&[Does::Takes], true, true);
    assert_eq!(course.log, ["publish 1 at 0", "publish 2 at 0", "whole 1 1", "whole 2 1"]);
}

/// The first time may have been chance.
#[test]
fn a_message_that_fails_again_waits_longer_each_time() {
    let mut world = World::new();
    world.now();
    let mut waits = Vec::new();
    for backs_off in [true, true, true, false] {
        let (reports, _inbox) = reports().unwrap();
        let (work, orders) = std::sync::mpsc::channel();
        work.send(Work::Failed { key: key("a"), listed_size: None, backs_off }).unwrap();
        drop(work);
        run(&mut world.ledger, &mut [], &orders, &reports, &mut Told(Log::default())).unwrap();
        let id = world.ledger.find_key(&key("a")).unwrap();
        waits.push(world.ledger.entry(id).retry_after.map(|at| at.seconds_since(NOW) / 3600));
    }
    assert_eq!(waits, [None, Some(2), Some(4), None]);
    let hours = |failures| back_off(&world.ledger, failures).seconds_since(NOW) / 3600;
    assert_eq!([0, 1, 7, 8, 9, u16::MAX].map(hours), [1, 2, 128, 168, 168, 168]);
}
