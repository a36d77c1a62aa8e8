//! Maildirs on a real disk: what a reader sees, and what is left behind.

#![expect(clippy::disallowed_methods, reason = "tests rename as readers do")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check;
use super::recovery::clean;
use super::store::{MaildirSettings, Syncs, open};
use crate::account::SyncMode;
use crate::delivery::Opened;
use crate::delivery::trial::arrived;
use crate::delivery::{Error, Failure, Recorder};
use crate::exit::ExitCode;
use crate::message::Examiner;
use crate::place::Place;
use crate::problem::Problem as _;
use crate::proof::{Noted, Piece, Published, Staged};

#[cfg(feature = "crash-points")]
mod disk;

pub(super) const ID: &str = "0123456789abcdef";
const MESSAGE: &[u8] = b"Subject: x\n\nbody\n";

/// A home with a Maildir in it, opened for a ledger that never delivered there.
pub(super) struct Home {
    _home: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) opened: Opened,
}

pub(super) fn settings(sync: SyncMode, may_create: bool) -> MaildirSettings {
    MaildirSettings { ledger: ID.to_owned(), host: "laptop".to_owned(), sync, may_create }
}

impl Home {
    pub(super) fn new(sync: SyncMode) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("Maildir");
        let opened = open(&path, &settings(sync, true)).unwrap();
        Self { _home: home, path, opened }
    }

    /// Streams a message in, in pieces of the given size.
    pub(super) fn arrive(&mut self, message: &[u8], size: usize) -> Piece {
        let mut intake = self.opened.inlet.open().unwrap();
        let mut examiner = Examiner::new(b"");
        for chunk in message.chunks(size) {
            intake.write(chunk).unwrap();
            examiner.update(chunk);
        }
        let facts = examiner.finish();
        let waiting = intake.finish(&facts).unwrap();
        arrived(facts, waiting, 1)
    }

    pub(super) fn staged(&mut self, count: usize) -> Vec<Noted> {
        let pieces = (0..count).map(|_| self.arrive(MESSAGE, 5)).collect();
        self.opened.outlet.stage(pieces).unwrap().into_iter().map(Noted::attest).collect()
    }

    /// The files in one of the three directories.
    pub(super) fn list(&self, directory: &str) -> Vec<String> {
        list(&self.path.join(directory))
    }
}

fn list(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

pub(super) fn name(piece: &Piece) -> String {
    match &piece.place {
        Place::Maildir { name, .. } => name.clone(),
        place => panic!("{place:?}"),
    }
}

/// A ledger's ear.
#[derive(Default)]
struct Recorded {
    published: Vec<String>,
    failed: Vec<(String, Failure)>,
}

impl Recorder for Recorded {
    fn published(&mut self, piece: Published) -> Result<(), Error> {
        self.published.push(name(piece.piece()));
        Ok(())
    }
    fn failed(&mut self, piece: Noted, failure: Failure) -> Result<(), Error> {
        self.failed.push((name(piece.piece()), failure));
        Ok(())
    }
    fn sync(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Nothing is in new/ before it's staged and noted; modes; the octets are the sender's.
#[test]
fn a_message_goes_through_tmp_to_new() {
    let message: Vec<u8> =
        [b"From x\nA: b\n\n\0\x1a\xff\xc3(\r\n".as_slice(), &[b'x'; 100_000], b"no end"].concat();
    for (sync, size) in [(SyncMode::Auto, 1), (SyncMode::Each, 40_000), (SyncMode::Off, 16_383)] {
        for count in [1, 5] {
            let mut home = Home::new(sync);
            let pieces: Vec<Piece> = (0..count).map(|_| home.arrive(&message, size)).collect();
            assert_eq!(home.list("tmp").len(), count);
            let staged: Vec<Staged> = home.opened.outlet.stage(pieces).unwrap();
            assert!(home.list("new").is_empty());
            let mut recorded = Recorded::default();
            let noted = staged.into_iter().map(Noted::attest).collect();
            home.opened.outlet.publish(noted, &mut recorded).unwrap();
            assert_eq!(recorded.published.len(), count);
            assert!(home.list("tmp").is_empty() && recorded.failed.is_empty());
            let mut new = home.list("new");
            new.sort();
            recorded.published.sort();
            assert_eq!(new, recorded.published);
            for name in new {
                let file = home.path.join("new").join(name);
                assert_eq!(mode(&file), 0o600);
                assert!(fs::read(&file).unwrap() == message);
            }
        }
    }
}

#[test]
fn what_does_not_come_is_taken_back() {
    let mut home = Home::new(SyncMode::Each);
    let mut intake = home.opened.inlet.open().unwrap();
    intake.write(&[b'x'; 20_000]).unwrap();
    intake.abandon();
    let piece = home.arrive(MESSAGE, 100);
    home.opened.outlet.withdraw(vec![piece]);
    assert!(home.list("tmp").is_empty());
}

/// What cannot be synced is withdrawn, and never counts as staged.
#[test]
fn a_failed_sync_withdraws_the_batch() {
    let mut home = Home::new(SyncMode::Each);
    home.opened.inlet.cut();
    let mut pieces: Vec<Piece> = (0..3).map(|_| home.arrive(MESSAGE, 100)).collect();
    // A file that has gone can't be synced.
    if let Place::Maildir { name, file, .. } = &mut pieces[1].place {
        fs::remove_file(home.path.join("tmp").join(name)).unwrap();
        *file = None;
    }
    assert!(matches!(home.opened.outlet.stage(pieces), Err(Error::Disk(_))));
    assert!(home.list("tmp").is_empty());
}

/// A descriptor that is older than the batch's first write sees every write that fails.
#[test]
fn a_batch_has_one_descriptor() {
    let mut home = Home::new(SyncMode::Each);
    let mut batch = |cut: bool| {
        if cut {
            home.opened.inlet.cut();
        }
        match home.arrive(MESSAGE, 100).place {
            Place::Maildir { batch, file, .. } => (batch, file.is_some()),
            place => panic!("{place:?}"),
        }
    };
    let (first, second, third) = (batch(false), batch(false), batch(true));
    assert!(Arc::ptr_eq(&first.0, &second.0) && !Arc::ptr_eq(&second.0, &third.0));
    let kept = 1 + (0..100).filter(|_| batch(false).1).count();
    assert_eq!(kept, Syncs::Each.kept_open());
}

#[test]
fn a_rename_that_seems_to_fail_is_settled_by_looking() {
    let mut home = Home::new(SyncMode::Each);
    let noted = home.staged(6);
    let names: Vec<String> = noted.iter().map(|noted| name(noted.piece())).collect();
    let at = |directory: &str, name: &str| home.path.join(directory).join(name);
    // Carried out already, and seen by a reader; answered twice; taken by another program; and one that is as it should
    // be.
    fs::rename(at("tmp", &names[0]), at("new", &names[0])).unwrap();
    fs::rename(at("tmp", &names[1]), at("cur", &format!("{}:2,RS", names[1]))).unwrap();
    fs::rename(at("tmp", &names[2]), at("cur", &names[2])).unwrap();
    fs::copy(at("tmp", &names[3]), at("new", &names[3])).unwrap();
    fs::remove_file(at("tmp", &names[4])).unwrap();
    let mut recorded = Recorded::default();
    home.opened.outlet.publish(noted, &mut recorded).unwrap();
    let mut published = recorded.published.clone();
    published.sort();
    let mut expected: Vec<String> = [0, 1, 2, 3, 5].map(|i: usize| names[i].clone()).to_vec();
    expected.sort();
    assert_eq!(published, expected);
    let [(failed, failure)] = recorded.failed.as_slice() else { panic!("{:?}", recorded.failed) };
    assert_eq!(failed, &names[4]);
    assert!(!failure.permanent && failure.exit == ExitCode::Later, "{failure:?}");
}

/// What a reader has moved is delivered only when its name there is on the disk.
#[cfg(feature = "crash-points")]
#[test]
fn where_a_reader_has_moved_a_message_its_folder_is_synced() {
    use crate::durable::{Step, trial::steps};
    for (moved, synced) in [(false, vec!["new"]), (true, vec!["cur", "new"])] {
        let mut home = Home::new(SyncMode::Each);
        let noted = home.staged(1);
        let name = name(noted[0].piece());
        let to = if moved {
            home.path.join("cur").join(format!("{name}:2,S"))
        } else {
            home.path.join("new").join(&name)
        };
        fs::rename(home.path.join("tmp").join(&name), to).unwrap();
        let mut recorded = Recorded::default();
        let publish =
            |home: &mut Home, recorded: &mut Recorded, noted| home.opened.outlet.publish(noted, recorded);
        let (published, steps) = steps(|_, _| false, || publish(&mut home, &mut recorded, noted));
        published.unwrap();
        assert_eq!(recorded.published, [name]);
        let mut folders: Vec<&str> =
            steps.iter().filter(|(step, _)| *step == Step::Sync).map(|(_, name)| name.as_str()).collect();
        folders.sort_unstable();
        assert_eq!(folders, synced);
    }
}

/// Never over an existing name.
#[test]
fn nothing_is_overwritten() {
    let mut home = Home::new(SyncMode::Each);
    let noted = home.staged(1);
    let new = home.path.join("new").join(name(noted[0].piece()));
    fs::write(&new, "here before").unwrap();
    let mut recorded = Recorded::default();
    home.opened.outlet.publish(noted, &mut recorded).unwrap();
    assert_eq!(fs::read(&new).unwrap(), b"here before");
    // It comes again, under another name.
    assert!(recorded.published.is_empty() && recorded.failed.len() == 1);
}

#[test]
fn a_rename_that_is_refused_leaves_the_rest_to_recovery() {
    let mut home = Home::new(SyncMode::Each);
    let noted = home.staged(2);
    fs::remove_dir(home.path.join("new")).unwrap();
    fs::write(home.path.join("new"), "").unwrap();
    let mut recorded = Recorded::default();
    let refused = home.opened.outlet.publish(noted, &mut recorded).unwrap_err();
    assert_eq!(refused.exit_code(), ExitCode::CannotCreate);
    assert!(recorded.published.is_empty() && recorded.failed.is_empty());
    assert_eq!(home.list("tmp").len(), 2);
}

#[test]
fn a_maildir_is_created_or_repaired() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("Maildir");
    let opened = open(&path, &settings(SyncMode::Auto, true)).unwrap();
    let tmp = path.join("tmp").metadata().unwrap();
    assert_eq!(opened.inode.map(|(_, inode)| inode), Some(tmp.ino()));
    for directory in ["", "cur", "new", "tmp"] {
        assert_eq!(mode(&path.join(directory)), 0o700);
    }
    // Again, and with one directory missing, also where mail was delivered.
    for missing in ["cur", "new", "tmp"] {
        fs::remove_dir(path.join(missing)).unwrap();
        assert!(check(&path, false).is_ok());
        assert!(!path.join(missing).exists());
        open(&path, &settings(SyncMode::Auto, false)).unwrap();
        assert!(path.join(missing).is_dir());
    }
    // In a directory that is empty.
    fs::create_dir(home.path().join("empty")).unwrap();
    open(&home.path().join("empty"), &settings(SyncMode::Off, true)).unwrap();
}

#[test]
fn a_maildir_that_cannot_be_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let at = |path: &str| home.path().join(path);
    fs::write(at("file"), "From x\n").unwrap();
    fs::create_dir_all(at("full/Documents")).unwrap();
    fs::create_dir_all(at("odd/cur")).unwrap();
    fs::write(at("odd/new"), "").unwrap();
    fs::create_dir(at("empty")).unwrap();
    let cases = [
        ("file", true, ExitCode::CannotCreate, "not a directory"),
        ("file", false, ExitCode::CannotCreate, "not a directory"),
        ("odd", true, ExitCode::CannotCreate, "not a directory"),
        ("full", true, ExitCode::CannotCreate, "is no Maildir"),
        ("no/parent", true, ExitCode::CannotCreate, "mkdir -p "),
        ("no/parent", false, ExitCode::Later, "mount it"),
        ("absent", false, ExitCode::Later, "mount it"),
        ("empty", false, ExitCode::Later, "mount it"),
        ("full", false, ExitCode::Later, "mount it"),
        ("Mail/new", true, ExitCode::CannotCreate, "deliver to "),
    ];
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(at("Mail").join(part)).unwrap();
    }
    let before = list(home.path()).len();
    for (path, may_create, exit, words) in cases {
        let error = open(&at(path), &settings(SyncMode::Auto, may_create)).unwrap_err();
        assert_eq!(error.exit_code(), exit, "{path}: {error}");
        let recorded = format!("{error}; {}", error.hint().unwrap_or_default());
        assert!(recorded.contains(words) && !error.to_string().contains("hint"), "{path}: {recorded}");
        assert_eq!(check(&at(path), may_create).unwrap_err().to_string(), error.to_string());
    }
    assert_eq!(list(home.path()).len(), before);
}

#[test]
fn only_our_left_overs_are_cleaned() {
    let mut home = Home::new(SyncMode::Each);
    let pieces = [home.arrive(MESSAGE, 100), home.arrive(MESSAGE, 100)];
    let names = pieces.each_ref().map(name);
    let foreign = ["1.M2P3Q4_ffffffffffffffff_0123456789abcdef.h", "1234.567.laptop", "x"];
    for name in foreign {
        fs::write(home.path.join("tmp").join(name), "").unwrap();
    }
    let removed = clean(&home.path, ID, &|name| name == names[0]).unwrap();
    assert_eq!(removed, 1);
    let mut left = home.list("tmp");
    left.sort();
    let mut expected: Vec<&str> = [foreign.as_slice(), &[&names[0]]].concat();
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert_eq!(clean(Path::new("/nonexistent"), ID, &|_| false).unwrap(), 0);
}

#[test]
fn only_what_came_is_staged() {
    let mut home = Home::new(SyncMode::Auto);
    crate::delivery::trial::takes_only_what_came(home.opened.inlet.as_mut());
    // Three that came as they were sent; the others have left nothing.
    assert_eq!(home.list("tmp").len(), 3);
}

/// Small pieces are collected: neither out of their order, nor without end.
#[test]
fn pieces_of_any_size_are_written_in_order_and_soon() {
    let mut home = Home::new(SyncMode::Each);
    let mut intake = home.opened.inlet.open().unwrap();
    let (mut message, mut written) = (Vec::new(), 0);
    let [tmp] = home.list("tmp").try_into().unwrap();
    let file = home.path.join("tmp").join(tmp);
    for (piece, size) in (0_u8..).zip([10, 70_000, 100, 65_535, 65_536, 1].into_iter().chain([5_000; 40])) {
        message.resize(message.len() + size, piece);
        intake.write(&message[message.len() - size..]).unwrap();
        written = file.metadata().unwrap().len();
        assert!(u64::try_from(message.len()).unwrap() - written <= 64 * 1024, "{size}");
    }
    assert!(written > 300_000);
    let mut examiner = Examiner::new(b"");
    examiner.update(&message);
    let _ = intake.finish(&examiner.finish()).unwrap();
    assert!(fs::read(&file).unwrap() == message);
}

/// Some servers of file systems answer with errors that say nothing about whether something is there.
#[test]
fn what_cannot_be_looked_at_is_neither_made_nor_taken_for_missing() {
    let home = tempfile::tempdir().unwrap();
    let looped = home.path().join("looped");
    fs::create_dir_all(looped.join("new")).unwrap();
    std::os::unix::fs::symlink("cur", looped.join("cur")).unwrap();
    for path in [looped, home.path().join("x".repeat(300))] {
        for may_create in [true, false] {
            let error = check(&path, may_create).unwrap_err();
            assert!(matches!(error, Error::Disk(_)), "{error}");
        }
    }
}

#[test]
fn an_empty_directory_may_become_a_maildir_unless_it_is_part_of_one() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(whole.join(part)).unwrap();
    }
    fs::create_dir_all(home.path().join("other/new")).unwrap();
    fs::create_dir(home.path().join("other/tmp")).unwrap();
    fs::create_dir(whole.join("sub")).unwrap();
    for (path, may) in [("whole/new", false), ("whole/cur", false), ("whole/sub", true), ("other/new", true)]
    {
        assert_eq!(check(&home.path().join(path), true).is_ok(), may, "{path}");
    }
}
