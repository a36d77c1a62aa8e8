//! What stands in the ledger's file before anybody hears of a message.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Does, ends, parcel};
use crate::delivery::{self, Failure, Outlet, Recorder};
use crate::exit::ExitCode;
use crate::place::{MboxSpool, Place};
use crate::plan::trial::World;
use crate::proof::{Arrival, Noted, Piece, Published, Staged};
use crate::retrieval::committer::{BatchProgress, CommitterEnd, Put, Witness, Work, commit, reports, run};
use crate::types::Time;

/// How long the ledger's file was when something happened.
#[derive(Clone, Default)]
struct Lengths(Arc<Mutex<Vec<(&'static str, u64)>>>);

impl Lengths {
    fn note(&self, what: &'static str, file: &Path) {
        self.0.lock().unwrap().push((what, std::fs::metadata(file).unwrap().len()));
    }

    fn of(&self, what: &str) -> Vec<u64> {
        self.0.lock().unwrap().iter().filter(|(when, _)| *when == what).map(|(_, length)| *length).collect()
    }
}

/// A destination, and one that hears of it.
struct Watched {
    file: PathBuf,
    takes: bool,
    lengths: Lengths,
}

impl Outlet for Watched {
    fn stage(&mut self, pieces: Vec<Piece>) -> Result<Vec<Staged>, delivery::Error> {
        self.lengths.note("stage", &self.file);
        Ok(pieces.into_iter().map(Staged::attest).collect())
    }

    fn publish(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), delivery::Error> {
        for noted in noted {
            self.lengths.note("publish", &self.file);
            if self.takes {
                recorder.published(Published::attest(noted))?;
            } else {
                let failure = Failure { permanent: false, reason: "no".to_owned(), exit: ExitCode::Later };
                recorder.failed(noted, failure)?;
            }
        }
        Ok(())
    }

    fn withdraw(&mut self, _: Vec<Piece>) {
        self.lengths.note("withdraw", &self.file);
    }
}

impl Witness for Watched {
    fn whole(&mut self, _: &Arrival, _: Vec<Put>, _: Time) {
        self.lengths.note("heard", &self.file);
    }

    fn partly(&mut self, _: &Arrival, _: Vec<Put>, _: Time) {
        self.lengths.note("heard", &self.file);
    }

    fn keep(&mut self) {
        self.lengths.note("keep", &self.file);
    }
}

/// A copy counts only once it is noted.  A program's outcome is written before the next one runs, since nothing takes that
/// back; others are written once for a batch.  And nobody hears of a message, nor may it be deleted, before its outcome is in
/// the file: a run that is killed then would deliver it again.
#[test]
fn nobody_hears_of_a_message_before_its_outcome_is_written() {
    for (one_by_one, takes) in [(false, true), (false, false), (true, true), (true, false)] {
        let what = format!("{one_by_one}, {takes}");
        let mut world = World::new();
        let (file, lengths) = (world.file(), Lengths::default());
        let watched = || Watched { file: file.clone(), takes, lengths: lengths.clone() };
        let (id, mut witness) = (world.maildirs[0], watched());
        let mut ends = [CommitterEnd { id, one_by_one, sync_after: false, outlet: Box::new(watched()) }];
        let (reports, inbox) = reports().unwrap();
        let (sender, work) = std::sync::mpsc::channel();
        sender.send(Work::Batch(vec![parcel(1, "a", &[id]), parcel(2, "b", &[id])])).unwrap();
        drop(sender);
        run(&mut world.ledger, &mut ends, &work, &reports, &mut witness).unwrap();
        assert_eq!(inbox.settled.try_iter().count(), 2, "{what}");
        let [staged] = lengths.of("stage")[..] else { panic!("{what}") };
        let [first, second] = lengths.of("publish")[..] else { panic!("{what}") };
        let [one, other] = lengths.of("heard")[..] else { panic!("{what}") };
        assert!(first > staged, "it was noted: {what}");
        assert_eq!(second > first, one_by_one, "{what}");
        assert!(one > first && other > second, "{what}");
        // After the batch what was heard is kept, once.
        assert_eq!(lengths.of("keep"), [other], "{what}");
    }
}

/// What can't be noted must not be published, and leaves nothing behind.
#[test]
fn what_cannot_be_noted_is_taken_back() {
    let mut world = World::new();
    let (mut ends, log) = ends(&world, &[Does::Takes], false, false);
    let mut parcels = vec![parcel(1, "a", &world.maildirs[..1])];
    let path = world.file();
    let spool = Arc::new(MboxSpool { file: std::fs::File::open(&path).unwrap(), path });
    // An mbox that doesn't know where it will stand.
    parcels[0].waiting[0].1.place = Place::Mbox { spool, spool_offset: 0, offset: None };
    let (reports, inbox) = reports().unwrap();
    let mut witness = super::Told(Arc::clone(&log));
    let tally = &mut BatchProgress::new(&reports, &mut witness);
    assert!(commit(&mut world.ledger, &mut ends, parcels, tally).is_err());
    assert_eq!(*log.lock().unwrap(), ["withdraw 1 at 0"]);
    assert_eq!((world.ledger.len(), inbox.settled.try_iter().count()), (0, 0));
}

/// A destination that gets nothing of a batch isn't touched: its disk may be full, or its lock held.
#[test]
fn a_destination_without_mail_in_the_batch_cannot_fail_it() {
    for does in [[Does::Takes, Does::CannotStage], [Does::Takes, Does::OutOfReach]] {
        let mut world = World::new();
        let (mut ends, log) = ends(&world, &does, false, false);
        let parcels = vec![parcel(1, "a", &world.maildirs[..1])];
        let (reports, _inbox) = reports().unwrap();
        let mut witness = super::Told(Arc::clone(&log));
        let tally = &mut BatchProgress::new(&reports, &mut witness);
        commit(&mut world.ledger, &mut ends, parcels, tally).unwrap();
        assert_eq!(*log.lock().unwrap(), ["publish 1 at 0", "whole 1 1"], "{does:?}");
    }
}

/// Programs rarely sync what they write: before a deletion may rest on one's word everything is brought to the disk, and
/// where that fails nobody hears of the message.
#[cfg(feature = "crash-points")]
#[test]
fn what_a_program_has_taken_is_on_the_disk_before_anybody_hears_of_it() {
    use crate::durable::{Step, trial::steps};
    let is_all = |step: Step, path: &Path| step == Step::Sync && path.ends_with("every file system");
    for (sync_after, fails) in [(false, false), (true, false), (true, true)] {
        let mut world = World::new();
        let (mut ends, log) = ends(&world, &[Does::Takes], true, sync_after);
        let parcels = vec![parcel(1, "a", &world.maildirs[..1])];
        let (reports, inbox) = reports().unwrap();
        let mut witness = super::Told(Arc::clone(&log));
        let tally = &mut BatchProgress::new(&reports, &mut witness);
        let work = || commit(&mut world.ledger, &mut ends, parcels, tally);
        let (result, taken) = steps(move |step, path| fails && is_all(step, path), work);
        assert_eq!(result.is_err(), fails);
        let synced: Vec<bool> = taken.iter().map(|(step, name)| is_all(*step, Path::new(name))).collect();
        assert_eq!(synced.iter().filter(|synced| **synced).count(), usize::from(sync_after));
        assert_eq!(synced.last(), Some(&sync_after), "behind all else");
        assert_eq!(inbox.settled.try_iter().count(), usize::from(!fails));
        assert_eq!(log.lock().unwrap().contains(&"whole 1 1".to_owned()), !fails);
    }
}

/// A disk that is full by then: what was published is found by the next run, and nobody hears of it in this one.
#[cfg(feature = "crash-points")]
#[test]
fn nobody_hears_of_an_outcome_that_could_not_be_written() {
    use crate::durable::{Step, trial::steps};
    for (one_by_one, does) in [
        (false, Does::Takes),
        (true, Does::Takes),
        (false, Does::Refuses { permanent: false }),
        (true, Does::Refuses { permanent: false }),
    ] {
        let mut world = World::new();
        let (mut ends, log) = ends(&world, &[does], one_by_one, false);
        let parcels = vec![parcel(1, "a", &world.maildirs[..1])];
        let (reports, inbox) = reports().unwrap();
        let mut witness = super::Told(Arc::clone(&log));
        let tally = &mut BatchProgress::new(&reports, &mut witness);
        // From the moment on when it is published.
        let published = Arc::clone(&log);
        let refuses =
            move |step: Step, _: &Path| step == Step::Write && !published.lock().unwrap().is_empty();
        let (result, _) = steps(refuses, || commit(&mut world.ledger, &mut ends, parcels, tally));
        assert!(result.is_err());
        assert_eq!(*log.lock().unwrap(), ["publish 1 at 0"], "{one_by_one} {does:?}");
        assert_eq!(inbox.settled.try_iter().count(), 0);
    }
}
