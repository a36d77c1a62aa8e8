//! In which order a Maildir's files and names reach the disk, and what is left where the disk refuses.

use super::*;
use crate::durable::{self, Step, trial::steps};

/// The files and directories that were synced, in order.
fn synced(taken: &[(Step, String)]) -> Vec<&str> {
    taken.iter().filter(|(step, _)| *step == Step::Sync).map(|(_, name)| name.as_str()).collect()
}

fn fine(_: Step, _: &Path) -> bool {
    false
}

#[test]
fn files_then_their_names_and_once_those_of_the_maildir_are_synced_before_they_count() {
    let mut home = Home::new(SyncMode::Each);
    let parent = home.path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    for own in [&["Maildir", parent.as_str()][..], &[]] {
        let pieces: Vec<Piece> = (0..2).map(|_| home.arrive(MESSAGE, 100)).collect();
        let names: Vec<String> = pieces.iter().map(name).collect();
        let outlet = &mut home.opened.outlet;
        let (staged, taken) = steps(fine, || outlet.stage(pieces));
        let expected: Vec<&str> =
            names.iter().map(String::as_str).chain(["tmp"]).chain(own.iter().copied()).collect();
        assert_eq!(synced(&taken), expected);
        let noted = staged.unwrap().into_iter().map(Noted::attest).collect();
        let mut recorded = Recorded::default();
        let (published, taken) = steps(fine, || outlet.publish(noted, &mut recorded));
        published.unwrap();
        assert_eq!(synced(&taken), ["new"]);
        assert_eq!(taken.last(), Some(&(Step::Sync, "new".to_owned())), "behind all renames");
    }
}

/// Many files are brought to the disk at once where that is to be trusted: each batch by the descriptor that is older
/// than its first write.
#[test]
fn a_large_batch_costs_one_sync_where_the_file_system_can_be_trusted() {
    let mut home = Home::new(SyncMode::Auto);
    let trusted =
        durable::file_system_sync_is_trustworthy(&durable::open_to_read(&home.path.join("tmp")).unwrap());
    for (batches, few) in [(&[3][..], true), (&[4], false), (&[5, 5], false)] {
        let mut pieces = Vec::new();
        for count in batches {
            pieces.extend((0..*count).map(|_| home.arrive(MESSAGE, 100)));
            home.opened.inlet.cut();
        }
        let files = pieces.len();
        let (staged, taken) = steps(fine, || home.opened.outlet.stage(pieces));
        assert_eq!(staged.unwrap().len(), files);
        let synced = synced(&taken);
        if trusted && !few {
            assert_eq!(synced, vec!["tmp"; batches.len()]);
        } else {
            assert!(synced.len() > files, "{synced:?}");
        }
    }
}

#[test]
fn nothing_is_synced_where_that_is_switched_off() {
    let mut home = Home::new(SyncMode::Off);
    let pieces: Vec<Piece> = (0..5).map(|_| home.arrive(MESSAGE, 100)).collect();
    let outlet = &mut home.opened.outlet;
    let (published, taken) = steps(fine, || {
        let noted = outlet.stage(pieces)?.into_iter().map(Noted::attest).collect();
        outlet.publish(noted, &mut Recorded::default())
    });
    published.unwrap();
    assert_eq!(synced(&taken), [""; 0]);
}

/// A sync that fails shows that something was lost: nothing counts, and no second sync may succeed over it.
#[test]
fn what_a_sync_has_lost_never_counts() {
    for refused in ["tmp", "Maildir", "the file"] {
        let mut home = Home::new(SyncMode::Each);
        let piece = home.arrive(MESSAGE, 100);
        let name = if refused == "the file" { name(&piece) } else { refused.to_owned() };
        let outlet = &mut home.opened.outlet;
        let (staged, taken) = steps(
            move |step, path| step == Step::Sync && path.ends_with(&name),
            || outlet.stage(vec![piece]),
        );
        assert!(matches!(staged, Err(Error::Disk(_))), "{refused}");
        assert!(home.list("tmp").is_empty() && home.list("new").is_empty(), "{refused}");
        let (last, before) = synced(&taken).split_last().map(|(last, before)| (*last, before.len())).unwrap();
        assert!(!synced(&taken)[..before].contains(&last), "{refused}: {taken:?}");
    }
    // A name that may not be on the disk is no delivery.
    let mut home = Home::new(SyncMode::Each);
    let noted = home.staged(2);
    let mut recorded = Recorded::default();
    let outlet = &mut home.opened.outlet;
    let (published, _) = steps(
        |step, path| step == Step::Sync && path.ends_with("new"),
        || outlet.publish(noted, &mut recorded),
    );
    assert!(matches!(published, Err(Error::Disk(_))));
    assert!(recorded.published.is_empty() && recorded.failed.is_empty());
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let mut home = Home::new(SyncMode::Each);
    let mut examiner = Examiner::new(b"");
    examiner.update(MESSAGE);
    let facts = examiner.finish();
    let mut intake = home.opened.inlet.open().unwrap();
    intake.write(MESSAGE).unwrap();
    let (finished, _) = steps(|step, _| step == Step::Write, || intake.finish(&facts));
    assert!(matches!(finished, Err(Error::Disk(_))));
    assert!(home.list("tmp").is_empty());
}
