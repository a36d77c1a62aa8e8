//! What a run that died left in a Maildir, in every state, and what is made of it.

#![expect(clippy::disallowed_methods, reason = "tests rename as readers do")]

use super::{TMP_IS_SAFE, clean, recover};
use crate::access::{Owner, is_root};
use crate::account::SyncMode;
use crate::delivery::maildir::folders::BIRTH;
use crate::delivery::maildir::tests::{Home, ID, name};
use crate::delivery::trial::broken_ledger;
use crate::delivery::{Error, Recovered, Settler, Unsettled};
use crate::exit::ExitCode;
use crate::place::NotedPlace;
use crate::problem::Problem as _;
use crate::proof::{
    DestinationId, DestinationKind, DestinationName, DestinationRecord, Intent, IntentId, Key, Piece,
};
use crate::types::Time;
use crate::types::UniqueId;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

const MESSAGE: &[u8] = b"Subject: x\n\nbody\n";
const NOW: i64 = 1_700_000_000;

/// What was reported to a ledger, in order; and what it saw of the Maildir then.
#[derive(Default)]
struct Recorded {
    steps: Vec<String>,
    watch: Vec<PathBuf>,
    broken: bool,
}

impl Recorded {
    fn step(&mut self, what: &str, intents: &[IntentId]) -> Result<(), Error> {
        let intents: Vec<u32> = intents.iter().map(|id| id.0).collect();
        let there: Vec<bool> = self.watch.iter().map(|path| path.exists()).collect();
        self.steps.push(format!("{what} {intents:?} {there:?}"));
        if self.broken {
            return Err(broken_ledger());
        }
        Ok(())
    }
}

impl Settler for Recorded {
    fn delivered(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        self.step("delivered", intents)
    }
    fn dropped(&mut self, intents: &[IntentId]) -> Result<(), Error> {
        self.step("dropped", intents)
    }
    fn sync(&mut self) -> Result<(), Error> {
        self.step("sync", &[])
    }
}

fn unsettled(home: &Home, pieces: &[Piece], age: i64) -> Unsettled {
    let intent = |(id, piece): (u32, &Piece)| Intent {
        id: IntentId(id),
        key: Key::UniqueId(UniqueId::new(b"uid").unwrap().to_buf()),
        destination: DestinationId(0),
        octets: piece.octets,
        digest: piece.digest,
        since: Time(NOW - age),
        place: NotedPlace::Maildir { name: name(piece) },
    };
    let destination = DestinationRecord {
        id: DestinationId(0),
        name: DestinationName {
            kind: DestinationKind::Maildir,
            address: home.path.as_os_str().as_bytes().to_vec(),
        },
        inode: home.opened.inode,
    };
    Unsettled { destination, intents: (0..).zip(pieces).map(intent).collect() }
}

/// One message in the state that `prepare` leaves (given the paths of tmp/NAME, new/NAME, cur/NAME), recovered.
fn case(age: i64, prepare: impl Fn(&PathBuf, &PathBuf, PathBuf)) -> (Recovered, Vec<String>, Home) {
    let mut home = Home::new(SyncMode::Each);
    let piece = home.arrive(MESSAGE, 100);
    let [tmp, new, cur] = ["tmp", "new", "cur"].map(|d| home.path.join(d).join(name(&piece)));
    prepare(&tmp, &new, cur);
    let mut recorded = Recorded { watch: vec![tmp, new], ..Recorded::default() };
    let recovered = recover(&unsettled(&home, &[piece], age), &mut recorded, Time(NOW)).unwrap();
    (recovered, recorded.steps, home)
}

const DELIVERED: Recovered = Recovered { delivered: 1, again: 0 };
const AGAIN: Recovered = Recovered { delivered: 0, again: 1 };

/// The line was written, the rename not done (or only in the page cache that died).
#[test]
fn whole_in_tmp_is_published_between_the_ledgers_syncs() {
    for age in [0, 10 * TMP_IS_SAFE, -5] {
        let (recovered, steps, home) = case(age, |_, _, _| ());
        assert_eq!(recovered, DELIVERED);
        assert_eq!(steps, ["sync [] [true, false]", "delivered [0] [false, true]", "sync [] [false, true]"]);
        let [file] = home.list("new").try_into().unwrap();
        assert_eq!(fs::read(home.path.join("new").join(file)).unwrap(), MESSAGE);
        assert!(home.list("tmp").is_empty());
    }
}

#[test]
fn published_is_delivered_wherever_its_reader_put_it() {
    let suffixes = ["", ":2,", ":2,FRS"];
    for suffix in suffixes {
        let (recovered, steps, home) = case(10 * TMP_IS_SAFE, |tmp, _, cur| {
            let mut cur = cur.into_os_string();
            cur.push(suffix);
            fs::rename(tmp, cur).unwrap();
        });
        assert_eq!(recovered, DELIVERED);
        assert_eq!(steps, ["delivered [0] [false, false]", "sync [] [false, false]"]);
        assert_eq!(home.list("cur").len(), 1);
    }
    let (recovered, _, home) = case(-5, |tmp, new, _| fs::rename(tmp, new).unwrap());
    assert_eq!(recovered, DELIVERED);
    assert_eq!(home.list("new").len(), 1);
}

/// Both names, and the reader has moved the new one: not a second time.
#[test]
fn a_left_over_goes_only_when_the_ledger_knows() {
    let (recovered, steps, home) = case(0, |tmp, _, cur| {
        let mut cur = cur.into_os_string();
        cur.push(":2,S");
        fs::hard_link(tmp, cur).unwrap();
    });
    assert_eq!(recovered, DELIVERED);
    assert_eq!(steps, ["delivered [0] [true, false]", "sync [] [true, false]"]);
    assert!(home.list("tmp").is_empty() && home.list("new").is_empty());
}

#[test]
fn torn_is_dropped_before_it_is_removed() {
    let damage: [fn(&PathBuf); 3] = [
        |tmp| fs::write(tmp, "Subject: x\n\nbo").unwrap(),
        |tmp| fs::write(tmp, "Subject: x\n\nb\0dy\n").unwrap(),
        |tmp| fs::write(tmp, "").unwrap(),
    ];
    for damage in damage {
        let (recovered, steps, home) = case(0, |tmp, _, _| damage(tmp));
        assert_eq!(recovered, AGAIN);
        assert_eq!(steps, ["dropped [0] [true, false]"]);
        assert!(home.list("tmp").is_empty() && home.list("new").is_empty());
    }
}

#[test]
fn a_line_that_cannot_be_dropped_keeps_its_file() {
    let mut home = Home::new(SyncMode::Each);
    let piece = home.arrive(MESSAGE, 100);
    fs::write(home.path.join("tmp").join(name(&piece)), "torn").unwrap();
    let mut recorded = Recorded { broken: true, ..Recorded::default() };
    let pieces = [piece];
    recover(&unsettled(&home, &pieces, 0), &mut recorded, Time(NOW)).unwrap_err();
    assert_eq!(home.list("tmp").len(), 1);
    // Nor is anything published that the ledger cannot confirm to know.
    fs::write(home.path.join("tmp").join(name(&pieces[0])), MESSAGE).unwrap();
    recover(&unsettled(&home, &pieces, 0), &mut recorded, Time(NOW)).unwrap_err();
    assert_eq!((home.list("tmp").len(), home.list("new").len()), (1, 0));
}

#[test]
fn gone_was_taken_by_its_reader_if_it_was_there_lately() {
    let gone = |age| case(age, |tmp, _, _| fs::remove_file(tmp).unwrap()).0;
    for (age, expected) in
        [(0, DELIVERED), (TMP_IS_SAFE - 1, DELIVERED), (TMP_IS_SAFE, AGAIN), (-1, AGAIN), (i64::MAX, AGAIN)]
    {
        assert_eq!(gone(age), expected, "{age}");
    }
}

#[test]
fn a_maildir_that_is_away_settles_nothing() {
    let changes: [fn(&PathBuf); 4] = [
        |path| fs::rename(path, path.with_extension("moved")).unwrap(),
        |path| fs::remove_dir(path.join("new")).unwrap(),
        |path| fs::remove_dir(path.join("cur")).unwrap(),
        |path| {
            // Another one in its place: the former's inode is taken until it goes.
            fs::rename(path.join("tmp"), path.join("old")).unwrap();
            fs::create_dir(path.join("tmp")).unwrap();
        },
    ];
    for change in changes {
        let mut home = Home::new(SyncMode::Each);
        let piece = home.arrive(MESSAGE, 100);
        change(&home.path);
        let mut recorded = Recorded::default();
        let error = recover(&unsettled(&home, &[piece], 0), &mut recorded, Time(NOW)).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Later);
        assert!(error.hint().is_some() && !error.to_string().contains("hint"), "{error}");
        assert!(recorded.steps.is_empty());
    }
}

#[test]
fn the_device_number_may_change() {
    let mut home = Home::new(SyncMode::Each);
    let piece = home.arrive(MESSAGE, 100);
    let mut unsettled = unsettled(&home, &[piece], 0);
    // Where the file system doesn't keep when it was made.
    unsettled.destination.inode = unsettled.destination.inode.map(|(_, inode)| (7, inode));
    assert_eq!(recover(&unsettled, &mut Recorded::default(), Time(NOW)).unwrap(), DELIVERED);
}

/// ext4 gives a new directory the inode of the one that was removed just before, and a new file system counts as the
/// former did.  What was in tmp/ was never published, and no reader has moved it.
#[test]
fn a_maildir_that_was_made_again_with_the_same_inode_settles_nothing() {
    let mut home = Home::new(SyncMode::Each);
    let piece = home.arrive(MESSAGE, 100);
    fs::remove_file(home.path.join("tmp").join(name(&piece))).unwrap();
    let mut lines = unsettled(&home, &[piece], 0);
    lines.destination.inode = lines.destination.inode.map(|(_, inode)| (BIRTH | 7, inode));
    let mut recorded = Recorded::default();
    let error = recover(&lines, &mut recorded, Time(NOW)).unwrap_err();
    assert_eq!((error.exit_code(), recorded.steps.len()), (ExitCode::Later, 0));
}

/// Restored from a backup, moved by rsync, or on a file system without lasting inode numbers.
#[test]
fn another_directory_is_the_same_if_a_message_stands_in_it_whole() {
    let mut home = Home::new(SyncMode::Each);
    let pieces: Vec<Piece> = (0..4).map(|_| home.arrive(MESSAGE, 100)).collect();
    let at = |directory: &str, name: &str| home.path.join(directory).join(name);
    let mut lines = unsettled(&home, &pieces, 0);
    lines.destination.inode = lines.destination.inode.map(|(device, inode)| (device, inode ^ 1));
    // Under the right names, but nothing of it whole: it could be anything.
    let wrong: [fn(&PathBuf); 3] = [
        |tmp| fs::write(tmp, "Subject: x\n\nbo").unwrap(),
        |tmp| fs::remove_file(tmp).unwrap(),
        |tmp| fs::create_dir(tmp).unwrap(),
    ];
    for wrong in wrong {
        pieces.iter().for_each(|piece| wrong(&at("tmp", &name(piece))));
        let mut recorded = Recorded::default();
        let error = recover(&lines, &mut recorded, Time(NOW)).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Later);
        assert!(error.hint().is_some() && recorded.steps.is_empty());
    }
    for piece in &pieces {
        fs::remove_dir(at("tmp", &name(piece))).unwrap();
    }
    // One was published, and read; one waits; one is torn; one isn't here, and nothing shows that it ever was.
    fs::write(at("cur", &format!("{}:2,S", name(&pieces[0]))), MESSAGE).unwrap();
    fs::write(at("tmp", &name(&pieces[1])), MESSAGE).unwrap();
    fs::write(at("tmp", &name(&pieces[2])), "Subject").unwrap();
    let recovered = recover(&lines, &mut Recorded::default(), Time(NOW)).unwrap();
    assert_eq!(recovered, Recovered { delivered: 2, again: 2 });
    assert_eq!(["tmp", "new", "cur"].map(|directory| home.list(directory).len()), [0, 1, 1]);
}

/// Others can write in tmp/: what they put there is neither read nor waited for.
#[test]
fn what_is_no_file_is_no_message() {
    fn node(tmp: &PathBuf, kind: rustix::fs::FileType) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, tmp, kind, mode, 0).unwrap();
    }
    let put: [fn(&PathBuf); 3] = [
        |tmp| node(tmp, rustix::fs::FileType::Fifo),
        |tmp| node(tmp, rustix::fs::FileType::Socket),
        |tmp| {
            fs::write(tmp.with_extension("real"), MESSAGE).unwrap();
            std::os::unix::fs::symlink(tmp.with_extension("real"), tmp).unwrap();
        },
    ];
    for put in put {
        let (recovered, steps, _home) = case(0, |tmp, _, _| {
            fs::remove_file(tmp).unwrap();
            put(tmp);
        });
        assert_eq!(recovered, AGAIN);
        assert_eq!(steps.len(), 1);
    }
}

/// What a killed run has left is in the page cache only: until it is on the disk, nothing is concluded from it.
#[cfg(feature = "crash-points")]
#[test]
fn where_a_sync_is_refused_nothing_counts_as_delivered() {
    use crate::durable::{Step, trial::steps};
    type Prepare = fn(&PathBuf, &PathBuf, &PathBuf);
    let waits: Prepare = |_, _, _| ();
    let published: Prepare = |tmp, new, _| fs::rename(tmp, new).unwrap();
    let read: Prepare = |tmp, _, cur| fs::rename(tmp, cur).unwrap();
    let taken: Prepare = |tmp, _, _| fs::remove_file(tmp).unwrap();
    for (prepare, refused, reported) in [
        // Never synced again: the second time would succeed over what was lost.
        (waits, "NAME", &["dropped [0] [true, false]"][..]),
        (waits, "tmp", &[]),
        (waits, "new", &["sync [] [true, false]"]),
        (published, "NAME", &[]),
        (published, "new", &[]),
        (published, "cur", &[]),
        (published, "tmp", &[]),
        (read, "NAME", &[]),
        (read, "cur", &[]),
        (taken, "new", &[]),
        (taken, "cur", &[]),
    ] {
        let mut home = Home::new(SyncMode::Each);
        let piece = home.arrive(MESSAGE, 100);
        let [tmp, new, cur] = ["tmp", "new", "cur"].map(|d| home.path.join(d).join(name(&piece)));
        prepare(&tmp, &new, &cur);
        let at = if refused == "NAME" { name(&piece) } else { refused.to_owned() };
        let lines = unsettled(&home, &[piece], 0);
        let mut recorded = Recorded { watch: vec![tmp.clone(), new], ..Recorded::default() };
        let (recovered, _) = steps(
            move |step, path| step == Step::Sync && path.ends_with(&at),
            || recover(&lines, &mut recorded, Time(NOW)),
        );
        assert!(matches!(recovered, Err(Error::Disk(_))), "{refused}");
        assert_eq!(recorded.steps, reported, "{refused}");
        assert!(!reported.iter().any(|step| step.starts_with("dropped")) || !tmp.exists());
    }
}

/// A batch in every state at once, and a second run that finds nothing to change.
#[test]
fn a_mixed_batch_settles_once() {
    let mut home = Home::new(SyncMode::Auto);
    let pieces: Vec<Piece> = (0..40).map(|_| home.arrive(MESSAGE, 100)).collect();
    let at = |directory: &str, name: &str| home.path.join(directory).join(name);
    for (i, piece) in pieces.iter().enumerate() {
        let name = name(piece);
        match i % 4 {
            0 => fs::rename(at("tmp", &name), at("new", &name)).unwrap(),
            1 => fs::rename(at("tmp", &name), at("cur", &format!("{name}:2,S"))).unwrap(),
            2 => fs::write(at("tmp", &name), "torn").unwrap(),
            _ => {}
        }
    }
    let unsettled = unsettled(&home, &pieces, TMP_IS_SAFE);
    let recovered = recover(&unsettled, &mut Recorded::default(), Time(NOW)).unwrap();
    assert_eq!(recovered, Recovered { delivered: 30, again: 10 });
    assert_eq!(["tmp", "new", "cur"].map(|d| home.list(d).len()), [0, 20, 10]);
    // As if the ledger's lines had been lost with the power.
    let recovered = recover(&unsettled, &mut Recorded::default(), Time(NOW)).unwrap();
    assert_eq!(recovered, Recovered { delivered: 30, again: 10 });
    assert_eq!(["tmp", "new", "cur"].map(|d| home.list(d).len()), [0, 20, 10]);
}

/// What stands in a directory that cannot be looked at isn't known, so nothing is concluded and nothing removed.
#[test]
fn what_cannot_be_looked_at_is_not_settled() {
    let looped = |path: &PathBuf| {
        fs::rename(path, path.with_extension("old")).unwrap();
        std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap();
    };
    let mut home = Home::new(SyncMode::Each);
    let piece = home.arrive(MESSAGE, 100);
    let lines = unsettled(&home, &[piece], 0);
    looped(&home.path.join("tmp"));
    let mut recorded = Recorded::default();
    assert!(matches!(recover(&lines, &mut recorded, Time(NOW)), Err(Error::Disk(_))));
    assert!(recorded.steps.is_empty());
    assert!(matches!(clean(&home.path, ID, &|_| false), Err(Error::Disk(_))));
    // Nor is a file torn that may only not be read.
    if let Ok(Some(nobody)) = Owner::find("nobody", &[].into())
        && is_root()
    {
        let mut home = Home::new(SyncMode::Each);
        let piece = home.arrive(MESSAGE, 100);
        let parts = ["cur", "new", "tmp"].map(|part| home.path.join(part));
        for path in parts.iter().map(PathBuf::as_path).chain([&*home.path, home.path.parent().unwrap()]) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let lines = unsettled(&home, &[piece], 0);
        let _acting = nobody.act().unwrap();
        assert!(matches!(recover(&lines, &mut recorded, Time(NOW)), Err(Error::Disk(_))));
        assert!(recorded.steps.is_empty());
    }
    // Without a line there is nothing to conclude, wherever the Maildir is.
    let none = Unsettled { intents: Vec::new(), ..lines };
    assert_eq!(recover(&none, &mut recorded, Time(NOW)).unwrap(), Recovered::default());
}

/// A name in `new/` that leads to something else shows nothing about the message.
#[test]
fn what_is_no_file_in_new_is_no_delivery() {
    let mut home = Home::new(SyncMode::Each);
    let piece = home.arrive(MESSAGE, 100);
    let (tmp, new) = (home.path.join("tmp").join(name(&piece)), home.path.join("new").join(name(&piece)));
    fs::create_dir(new).unwrap();
    let mut recorded = Recorded::default();
    assert!(recover(&unsettled(&home, &[piece], 0), &mut recorded, Time(NOW)).is_err());
    assert!(recorded.steps.is_empty() && tmp.exists());
}

/// Only a sync that fails shows that something was lost: what could not be opened or renamed waits for the next run.
#[cfg(feature = "crash-points")]
#[test]
fn what_is_whole_but_refused_is_neither_dropped_nor_delivered() {
    use crate::durable::{Step, trial::steps};
    for refused in [Step::Open, Step::Rename] {
        let mut home = Home::new(SyncMode::Each);
        let pieces = [home.arrive(MESSAGE, 100), home.arrive(MESSAGE, 100)];
        let second = home.path.join("tmp").join(name(&pieces[1]));
        let first = name(&pieces[0]);
        let lines = unsettled(&home, &pieces, 0);
        let mut recorded = Recorded::default();
        let (recovered, _) = steps(
            move |step, path| {
                // The second one is replaced while the disk is busy with the first.
                if refused == Step::Open && step == Step::Sync && path.ends_with(&first) {
                    fs::rename(&second, second.with_extension("old")).unwrap();
                    fs::create_dir(&second).unwrap();
                }
                step == refused
            },
            || recover(&lines, &mut recorded, Time(NOW)),
        );
        assert!(matches!(recovered, Err(Error::Disk(_))), "{refused:?}");
        assert!(recorded.steps.iter().all(|step| step.starts_with("sync")), "{:?}", recorded.steps);
        assert!(home.list("new").is_empty());
        assert!(pieces.iter().all(|piece| home.path.join("tmp").join(name(piece)).exists()), "{refused:?}");
    }
}

/// A file server that answers a repeated request reports that the old name is gone, though it has done the rename itself;
/// or the reader has moved the message on by then.
#[cfg(feature = "crash-points")]
#[test]
fn a_rename_that_seems_to_fail_in_recovery_is_settled_by_looking() {
    use crate::durable::{Step, trial::steps};
    for (to, age) in [("new/NAME", 10 * TMP_IS_SAFE), ("cur/NAME:2,S", 10 * TMP_IS_SAFE), ("old", 0)] {
        let mut home = Home::new(SyncMode::Each);
        let piece = home.arrive(MESSAGE, 100);
        let name = name(&piece);
        let (from, to) = (home.path.join("tmp").join(&name), home.path.join(to.replace("NAME", &name)));
        let lines = unsettled(&home, &[piece], age);
        let mut recorded = Recorded::default();
        let (recovered, taken) = steps(
            move |step, _| {
                if step == Step::Rename {
                    fs::rename(&from, &to).unwrap();
                }
                false
            },
            || recover(&lines, &mut recorded, Time(NOW)),
        );
        assert_eq!(recovered.unwrap(), DELIVERED);
        let steps: Vec<&str> = recorded.steps.iter().map(String::as_str).collect();
        assert_eq!(steps, ["sync [] []", "delivered [0] []", "sync [] []"]);
        // Where it stands it is brought to the disk once more, and its folders are.
        let renamed = taken.iter().position(|(step, _)| *step == Step::Rename).unwrap();
        let synced: Vec<&str> = taken[renamed..]
            .iter()
            .filter(|(step, _)| *step == Step::Sync)
            .map(|(_, name)| name.split(':').next().unwrap_or_default())
            .collect();
        let folders = ["new", "cur", "tmp"];
        let expected = if age == 0 { folders.to_vec() } else { [&[name.as_str()][..], &folders].concat() };
        assert_eq!(synced, expected);
    }
}

/// A reader is at work meanwhile.
#[cfg(feature = "crash-points")]
#[test]
fn a_published_message_that_is_moved_on_during_recovery_is_delivered() {
    use crate::durable::{Step, trial::steps};
    let mut home = Home::new(SyncMode::Each);
    let pieces = [home.arrive(MESSAGE, 100), home.arrive(MESSAGE, 100)];
    let at = |directory: &str, name: &str| home.path.join(directory).join(name);
    let names = pieces.each_ref().map(name);
    for name in &names {
        fs::rename(at("tmp", name), at("new", name)).unwrap();
    }
    let (from, to) = (at("new", &names[1]), at("cur", &format!("{}:2,S", names[1])));
    let lines = unsettled(&home, &pieces, 10 * TMP_IS_SAFE);
    let first = names[0].clone();
    let (recovered, _) = steps(
        move |step, path| {
            if step == Step::Sync && path.ends_with(&first) {
                fs::rename(&from, &to).unwrap();
            }
            false
        },
        || recover(&lines, &mut Recorded::default(), Time(NOW)),
    );
    assert_eq!(recovered.unwrap(), Recovered { delivered: 2, again: 0 });
    assert_eq!((home.list("new").len(), home.list("cur").len()), (1, 1));
}
