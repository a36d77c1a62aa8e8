//! In which order an mbox, its spool and its marker reach the disk, and what is left where the disk refuses.

use super::*;
use crate::durable::{Step, trial::steps};
use std::cell::Cell;

fn fine(_: Step, _: &Path) -> bool {
    false
}

/// Refuses these steps at files whose names begin so, each but for the first few.
fn refuses(all: &[(Step, &'static str, u32)]) -> impl Fn(Step, &Path) -> bool + 'static {
    let all: Vec<_> = all.iter().map(|(step, name, but)| (*step, *name, Cell::new(*but))).collect();
    move |taken, path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        all.iter().any(|(step, begin, left)| {
            let is_it = *step == taken && name.starts_with(begin);
            is_it && (left.get() == 0 || left.replace(left.get() - 1) == 0)
        })
    }
}

/// The steps at files whose names begin so, by their places.
fn places(taken: &[(Step, String)], step: Step, name: &str) -> Vec<usize> {
    let all = taken.iter().enumerate();
    all.filter(|(_, (kind, file))| *kind == step && file.starts_with(name)).map(|(at, _)| at).collect()
}

/// The ledger that the marker is of.
const MARKER: &str = "aa-";

#[test]
fn what_recovery_needs_is_on_disk_before_a_batch_counts_as_staged() {
    let home = Home::new();
    let mut outlet = home.outlet();
    let pieces = home.pieces(&TEXTS);
    let (staged, taken) = steps(fine, || outlet.stage(pieces));
    staged.unwrap();
    for name in ["spool-", "ledger", MARKER, "mbox-open"] {
        assert_eq!(places(&taken, Step::Sync, name).len(), 1, "{name}: {taken:?}");
    }
    for refused in ["spool-", "ledger", MARKER, "mbox-open"] {
        let home = Home::new();
        fs::write(home.mbox(), "From x\n\n").unwrap();
        let mut outlet = home.outlet();
        let pieces = home.pieces(&TEXTS);
        let (staged, _) = steps(refuses(&[(Step::Sync, refused, 0)]), || outlet.stage(pieces));
        assert!(matches!(staged, Err(Error::Disk(_))), "{refused}");
        assert_eq!((home.read().as_str(), home.names("mail")), ("From x\n\n", vec!["mbox".to_owned()]));
    }
}

#[test]
fn a_new_mboxs_name_is_on_disk_before_mail_stands_in_it() {
    let home = Home::new();
    let pieces = home.pieces(&TEXTS);
    let mut outlet = home.outlet();
    let (staged, _) = steps(refuses(&[(Step::Sync, "mail", 0)]), || outlet.stage(pieces));
    assert!(matches!(staged, Err(Error::Disk(_))));
}

#[test]
fn nothing_but_the_marker_is_synced_where_that_is_switched_off() {
    let home = Home::new();
    fs::write(home.mbox(), "").unwrap();
    let mut outlet = home.outlet();
    outlet.settings.sync = false;
    let pieces = home.pieces(&TEXTS);
    let (published, taken) = steps(fine, || {
        let staged = outlet.stage(pieces)?;
        outlet.publish(noted(staged), &mut Recorded::default())
    });
    published.unwrap();
    for name in ["spool-", "ledger", "mbox"] {
        let exact: Vec<_> = taken.iter().filter(|(step, file)| *step == Step::Sync && file == name).collect();
        assert!(exact.is_empty(), "{name}: {taken:?}");
    }
}

#[test]
fn what_is_appended_is_on_disk_before_it_counts() {
    let home = Home::new();
    fs::write(home.mbox(), "").unwrap();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    let (published, taken) = steps(fine, || outlet.publish(noted(staged), &mut Recorded::default()));
    published.unwrap();
    let synced = taken.iter().position(|step| *step == (Step::Sync, "mbox".to_owned())).unwrap();
    let appended = taken.iter().rposition(|step| *step == (Step::Write, "mbox".to_owned())).unwrap();
    let [marked, ..] = places(&taken, Step::Write, "spool-")[..] else { panic!("{taken:?}") };
    let [settled, ..] = places(&taken, Step::Write, MARKER)[..] else { panic!("{taken:?}") };
    assert!(appended < marked && marked < synced && synced < settled, "{taken:?}");
}

/// A second sync would succeed over what the first has lost.
#[test]
fn a_sync_that_fails_is_not_repeated_and_what_was_appended_is_cut_off() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let mut outlet = home.outlet();
    let unsettled: Vec<_> = outlet.stage(home.pieces(&TEXTS)).unwrap();
    let mut recorded = Recorded::default();
    let (published, taken) = steps(
        |step, path| step == Step::Sync && path.ends_with("mbox"),
        || outlet.publish(noted(unsettled), &mut recorded),
    );
    assert!(matches!(published, Err(Error::Disk(_))));
    assert!(recorded.published.is_empty());
    assert_eq!(home.read(), "From x\n\n");
    let synced = taken.iter().filter(|step| **step == (Step::Sync, "mbox".to_owned())).count();
    assert_eq!(synced, 1, "{taken:?}");
    // A run that is killed before it is cut off must not find the word that all of it was there.
    let [cut] = places(&taken, Step::Truncate, "mbox")[..] else { panic!("{taken:?}") };
    assert_eq!(places(&taken, Step::Write, "spool-").len(), 4, "marked, and taken back, in two halves each");
    assert!(places(&taken, Step::Write, "spool-").into_iter().all(|marked| marked < cut), "{taken:?}");
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap(), [], "nothing is left to settle");
}

/// A batch that is marked as appended, and isn't there, has been taken by its reader: so recovery concludes.
#[test]
fn a_batch_is_not_marked_as_appended_to_an_mbox_that_was_replaced() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    fs::remove_file(home.mbox()).unwrap();
    fs::write(home.mbox(), "From y\n\n").unwrap();
    let (published, taken) = steps(fine, || outlet.publish(noted(staged), &mut Recorded::default()));
    assert!(matches!(published, Err(Error::Later { .. })), "{published:?}");
    assert_eq!(places(&taken, Step::Write, "spool-").len(), 2, "only taken back, in two halves");
}

#[test]
fn an_append_that_breaks_off_is_cut_off_and_synced() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\nbody").unwrap();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    let refuses = refuses(&[(Step::Write, "mbox", 1)]);
    let (published, taken) = steps(refuses, || outlet.publish(noted(staged), &mut Recorded::default()));
    assert!(matches!(published, Err(Error::Disk(_))));
    assert_eq!(home.read(), "From x\n\nbody");
    let [cut] = places(&taken, Step::Truncate, "mbox")[..] else { panic!("{taken:?}") };
    assert!(taken[cut..].contains(&(Step::Sync, "mbox".to_owned())), "{taken:?}");
}

/// Nobody who takes both locks may see a part of a message.
#[test]
fn a_part_that_cannot_be_cut_off_stays_locked_and_unsettled() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    let refuses = refuses(&[(Step::Write, "mbox", 1), (Step::Truncate, "mbox", 0)]);
    let (published, _) = steps(refuses, || outlet.publish(noted(staged), &mut Recorded::default()));
    assert!(matches!(published, Err(Error::Disk(_))));
    drop(outlet);
    assert!(home.read().len() > "From x\n\n".len(), "half of it stands there");
    assert_eq!(home.names("mail"), ["mbox", "mbox.lock"]);
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap().len(), 1);
}

/// What a killed run has left is in the page cache only.
#[test]
fn where_recovery_cannot_sync_nothing_counts_as_delivered() {
    type Reader = fn(&Home);
    let stands: Reader = |_| ();
    let moved: Reader = |home| fs::write(home.mbox(), ["From y\n\n", &entries().concat()].concat()).unwrap();
    let taken: Reader = |home| fs::rename(home.mbox(), home.mbox().with_file_name("old")).unwrap();
    for (reader, refused) in [(stands, "mbox"), (moved, "mbox"), (taken, "mail")] {
        let home = Home::new();
        let unsettled = home.die(true);
        reader(&home);
        if refused == "mail" && boot::id().is_none() {
            continue;
        }
        let mut recorded = Recorded::default();
        let stop = Stop::new().unwrap();
        let (recovered, _) = steps(refuses(&[(Step::Sync, refused, 0)]), || {
            recover(&unsettled, &home.state(), &mut recorded, NOW, None, &stop)
        });
        assert!(matches!(recovered, Err(Error::Disk(_))), "{refused}");
        assert!(recorded.delivered.is_empty() && recorded.dropped.is_empty());
    }
}

/// First cut, then recorded: a part that no line records would stay for ever.
#[test]
fn a_torn_tail_that_cannot_be_cut_off_is_not_given_up() {
    for step in [Step::Truncate, Step::Sync] {
        let home = Home::new();
        let unsettled = home.die(true);
        home.forget();
        let whole = home.read();
        fs::write(home.mbox(), &whole[..20]).unwrap();
        let mut recorded = Recorded::default();
        let stop = Stop::new().unwrap();
        let (recovered, _) = steps(refuses(&[(step, "mbox", 0)]), || {
            recover(&unsettled, &home.state(), &mut recorded, NOW, None, &stop)
        });
        assert!(matches!(recovered, Err(Error::Disk(_))));
        assert!(recorded.delivered.is_empty() && recorded.dropped.is_empty(), "{step:?}");
        assert_eq!(home.names("mail"), ["mbox", "mbox.lock"], "there may be a torn tail still");
    }
}

/// Half an entry in a spool is never taken for a whole one, nor does it move the next.
#[test]
fn an_entry_that_breaks_off_is_cut_off_the_spool() {
    let home = Home::new();
    let mut inlet = MboxInlet::new(home.state(), || Time(0));
    let large = b"0123456789abcde\n".repeat(10_000);
    let facts = facts(&large, "", "");
    let mut intake = inlet.open().unwrap();
    let (finished, _) = steps(refuses(&[(Step::Write, "spool-", 1)]), || {
        intake.write(&large)?;
        intake.finish(&facts)
    });
    assert!(matches!(finished, Err(Error::Disk(_))));
    let mut outlet = home.outlet();
    let staged = outlet.stage(pieces(&mut inlet, &TEXTS)).unwrap();
    let Place::Mbox { spool, .. } = &staged[0].piece().place else { panic!() };
    assert_eq!(spool.file.metadata().unwrap().len(), 64 + u64::try_from(entries().concat().len()).unwrap());
    outlet.publish(noted(staged), &mut Recorded::default()).unwrap();
    assert_eq!(home.read(), entries().concat());
}

/// The spools of all batches that are appended at once are brought to the disk, and each knows that it was.
#[test]
fn a_run_that_is_behind_appends_several_batches_at_once() {
    let home = Home::new();
    let mut inlet = MboxInlet::new(home.state(), || Time(0));
    let mut all = pieces(&mut inlet, &TEXTS[..2]);
    all.extend(pieces(&mut inlet, &TEXTS[2..]));
    assert_eq!(home.names("state/ledger").len(), 2, "one is removed when the other is still needed");
    let mut outlet = home.outlet();
    let (staged, taken) = steps(fine, || outlet.stage(all));
    assert_eq!(places(&taken, Step::Sync, "spool-").len(), 2, "{taken:?}");
    let noted = noted(staged.unwrap());
    let (published, taken) = steps(fine, || outlet.publish(noted, &mut Recorded::default()));
    published.unwrap();
    assert_eq!(places(&taken, Step::Write, "spool-").len(), 4, "marked, in two halves each");
    assert_eq!(home.read(), entries().concat());
}

/// The marker of a run that died may be in the page cache only; that of this run needs the disk but once.
#[test]
fn a_marker_is_brought_to_the_disk_once_by_each_run() {
    let home = Home::new();
    for _ in 0..2 {
        let mut outlet = home.outlet();
        for syncs in [1, 0] {
            let pieces = home.pieces(&TEXTS);
            let (staged, taken) = steps(fine, || outlet.stage(pieces));
            let expected = if boot::id().is_some() { syncs } else { 1 };
            assert_eq!(places(&taken, Step::Sync, MARKER).len(), expected, "{taken:?}");
            outlet.publish(noted(staged.unwrap()), &mut Recorded::default()).unwrap();
        }
    }
}

/// Mail that is appended to a file without a name is lost.
#[test]
fn an_mbox_that_is_replaced_while_it_is_being_locked_is_opened_again() {
    let home = Home::new();
    let (mbox, replaced) = (home.mbox(), Cell::new(false));
    let mut outlet = home.outlet();
    outlet.patience = Duration::from_secs(60);
    let pieces = home.pieces(&TEXTS);
    let (staged, _) = steps(
        move |step, path| {
            if step == Step::Sync && path.ends_with("mail") && !replaced.replace(true) {
                fs::write(mbox.with_extension("new"), "From other\n\n").unwrap();
                #[expect(clippy::disallowed_methods, reason = "as other programs do")]
                fs::rename(mbox.with_extension("new"), &mbox).unwrap();
            }
            false
        },
        || outlet.stage(pieces),
    );
    outlet.publish(noted(staged.unwrap()), &mut Recorded::default()).unwrap();
    assert_eq!(home.read(), format!("From other\n\n{}", entries().concat()));
}

/// Then our entries are not where the ledger records them.
#[test]
fn what_another_program_adds_during_an_append_is_not_cut_and_nothing_counts() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let (mbox, writes) = (home.mbox(), Cell::new(0));
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    let mut recorded = Recorded::default();
    let (published, _) = steps(
        move |step, path| {
            if step == Step::Write && path.ends_with("mbox") && writes.replace(writes.get() + 1) == 1 {
                let mut file = File::options().append(true).open(&mbox).unwrap();
                std::io::Write::write_all(&mut file, b"\nFrom other\n\n").unwrap();
            }
            false
        },
        || outlet.publish(noted(staged), &mut recorded),
    );
    assert!(published.is_err_and(|e| e.is_out_of_reach()) && recorded.published.is_empty());
    assert!(home.read().starts_with("From x\n\n") && home.read().contains("\nFrom other\n\n"));
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap().len(), 1, "recovery finds out");
}
