//! What a run that was killed, or a machine that lost its power, left in a Maildir.  Every sync is repeated before
//! anything counts as delivered: a killed run leaves its work in the page cache only.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::folders::{
    Folders, discard, holds, is_absent, is_same_directory, not_there, rename_may_have_succeeded,
};
use super::name;
use crate::delivery::{Error, Recovered, Settler, Unsettled};
use crate::durable::{self, Step};
use crate::place::NotedPlace;
use crate::proof::Intent;
use crate::text;
use crate::types::Time;

/// Readers clean `tmp/` of files that are 36 hours old; until this many seconds have passed, none has.
const TMP_IS_SAFE: i64 = 24 * 60 * 60;

/// Settles the open intents of one Maildir: each is published, was published, or comes again.  No setting leaves a sync
/// out here.
///
/// # Errors
/// [`Error::Later`] when the Maildir isn't there, or is another one: nothing is concluded.  [`Error::Disk`], or what the
/// settler reports: what wasn't settled is settled at the next run.
pub(crate) fn recover(
    unsettled: &Unsettled,
    settler: &mut dyn Settler,
    now: Time,
) -> Result<Recovered, Error> {
    let open: Vec<OpenIntent<'_>> = unsettled.intents.iter().filter_map(OpenIntent::of).collect();
    if open.is_empty() {
        return Ok(Recovered::default());
    }
    let path = Path::new(OsStr::from_bytes(&unsettled.destination.name.address));
    let folders = Folders::of(path);
    let same = has_inode(&folders, unsettled.destination.inode)?;
    if !folders.new.is_dir() || !folders.cur.is_dir() {
        return Err(not_there(&folders.path));
    }
    let found = folders.find(open.iter().map(|open| open.name))?;
    let mut sorted = Sorted::default();
    if !same {
        // Restored, moved, or on a file system that renumbers its files: the names decide.
        if !knows_one(&folders, &open, &found)? {
            return Err(another(&folders));
        }
        sorted.elsewhere = true;
    }
    for open in open {
        if let Some(path) = found.get(open.name) {
            sync_where_it_stands(path)?;
            sorted.delivered.push(open);
            continue;
        }
        match TmpFile::of(&folders.tmp.join(open.name), open.intent)? {
            TmpFile::Whole => sorted.whole.push(open),
            TmpFile::Torn => sorted.torn.push(open),
            TmpFile::Gone => sorted.gone.push(open),
        }
    }
    sorted.settle(&folders, settler, now)
}

/// An intent and its NAME.
#[derive(Debug, Clone, Copy)]
struct OpenIntent<'a> {
    intent: &'a Intent,
    name: &'a str,
}

impl<'a> OpenIntent<'a> {
    fn of(intent: &'a Intent) -> Option<Self> {
        match &intent.place {
            NotedPlace::Maildir { name } => Some(Self { intent, name }),
            NotedPlace::Mbox { .. } | NotedPlace::Handed => None,
        }
    }
}

/// Whether the directory is the one that was recorded.
fn has_inode(folders: &Folders, recorded: Option<(u64, u64)>) -> Result<bool, Error> {
    match folders.inode() {
        Ok(now) => Ok(recorded.is_some_and(|recorded| is_same_directory(recorded, now))),
        Err(e) if is_absent(&e) => Err(not_there(&folders.path)),
        Err(e) => Err(durable::Error::new(Step::Open, &folders.tmp, e).into()),
    }
}

/// Whether one of these files stands in it, with the right octets.
fn knows_one(
    folders: &Folders,
    open: &[OpenIntent<'_>],
    found: &HashMap<&str, PathBuf>,
) -> Result<bool, Error> {
    for open in open {
        let path = found.get(open.name).cloned().unwrap_or_else(|| folders.tmp.join(open.name));
        if matches!(TmpFile::of(&path, open.intent)?, TmpFile::Whole) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn another(folders: &Folders) -> Error {
    let path = text::path(&folders.path);
    Error::later(
        format!("Maildir {path} is not the one that mail was being delivered to when the last run broke off"),
        "is another file system mounted there?  Bring the former one back, and run again",
    )
}

/// What stands in `tmp/`.
enum TmpFile {
    Whole,
    Torn,
    Gone,
}

impl TmpFile {
    fn of(path: &Path, intent: &Intent) -> Result<Self, Error> {
        let unreadable = |e| Error::from(durable::Error::new(Step::Read, path, e));
        let file = match durable::open_plain_file(path) {
            Ok(file) => file,
            Err(e) if e.source.kind() == io::ErrorKind::NotFound => return Ok(Self::Gone),
            // Somebody has put something else there: not our message.
            Err(e) if e.source.kind() == io::ErrorKind::InvalidInput => return Ok(Self::Torn),
            Err(e) => return Err(e.into()),
        };
        let whole = holds(&file, intent.octets, intent.digest).map_err(unreadable)?;
        Ok(if whole { Self::Whole } else { Self::Torn })
    }
}

/// Syncs a published file, unless its reader has just moved it on.
fn sync_where_it_stands(path: &Path) -> Result<(), Error> {
    match durable::open_plain_file(path) {
        Ok(file) => Ok(durable::sync(&file, path)?),
        Err(e) if e.source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Intents by what was found.
#[derive(Debug, Default)]
struct Sorted<'a> {
    /// In `new/` or `cur/`.
    delivered: Vec<OpenIntent<'a>>,
    /// In `tmp/`, as it should be.
    whole: Vec<OpenIntent<'a>>,
    /// In `tmp/`, but not all of it.
    torn: Vec<OpenIntent<'a>>,
    /// In none of the three.
    gone: Vec<OpenIntent<'a>>,
    /// Whether this is another directory than the one that the lines were written about: what isn't in it needn't ever
    /// have been.
    elsewhere: bool,
}

impl Sorted<'_> {
    fn settle(mut self, folders: &Folders, settler: &mut dyn Settler, now: Time) -> Result<Recovered, Error> {
        self.publish(folders, settler)?;

        let names: Vec<&str> = self.gone.iter().map(|open| open.name).collect();
        let found = folders.look_twice(&names)?;
        for path in found.values() {
            sync_where_it_stands(path)?;
        }
        let (found, gone): (Vec<_>, Vec<_>) =
            self.gone.iter().copied().partition(|open| found.contains_key(open.name));
        self.delivered.extend(found);

        // Its line proves that tmp/NAME was on the disk.  Only its reader can have taken it so soon.
        let (taken, lost): (Vec<OpenIntent<'_>>, Vec<_>) = gone.into_iter().partition(|open| {
            let age = now.seconds_since(open.intent.since);
            !self.elsewhere && (0..TMP_IS_SAFE).contains(&age)
        });

        if !self.delivered.is_empty() || !taken.is_empty() {
            // tmp/ as well: were its old names to come back with the power, they would be cleaned away as left-overs.
            for directory in [&folders.new, &folders.cur, &folders.tmp] {
                durable::sync_directory(directory)?;
            }
        }
        let delivered: Vec<_> = self.delivered.iter().chain(&taken).map(|open| open.intent.id).collect();
        if !delivered.is_empty() {
            settler.delivered(&delivered)?;
            settler.sync()?;
        }
        for left_over in self.delivered.iter().map(|open| folders.tmp.join(open.name)) {
            if left_over.symlink_metadata().is_ok() {
                discard(&left_over);
            }
        }

        let again: Vec<_> = self.torn.iter().chain(&lost).map(|open| open.intent.id).collect();
        if !again.is_empty() {
            settler.dropped(&again)?;
        }
        for torn in &self.torn {
            discard(&folders.tmp.join(torn.name));
        }
        Ok(Recovered { delivered: delivered.len(), again: again.len() })
    }

    /// Brings what is whole from `tmp/` to `new/`, in the order of a live run.
    fn publish(&mut self, folders: &Folders, settler: &mut dyn Settler) -> Result<(), Error> {
        if self.whole.is_empty() {
            return Ok(());
        }
        for open in &self.whole {
            let path = folders.tmp.join(open.name);
            if let Err(e) = durable::open_plain_file(&path).and_then(|file| durable::sync(&file, &path)) {
                // Never synced again: the second time would succeed over what was lost.
                if e.step == Step::Sync {
                    settler.dropped(&[open.intent.id])?;
                    discard(&path);
                }
                return Err(e.into());
            }
        }
        durable::sync_directory(&folders.tmp)?;
        settler.sync()?;
        for open in self.whole.drain(..) {
            match durable::rename_new(&folders.tmp.join(open.name), &folders.new.join(open.name)) {
                Ok(()) => self.delivered.push(open),
                Err(e) if rename_may_have_succeeded(&e) => self.gone.push(open),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// Removes from `tmp/` the files of this ledger that no line of it names, and returns how many.  Call it under the
/// mailbox's lock only: another run's messages that are just arriving look the same.
///
/// # Errors
/// [`Error::Disk`] when `tmp/` can't be read, or a file not removed.
pub(crate) fn clean(path: &Path, ledger: &str, named: &dyn Fn(&str) -> bool) -> Result<usize, Error> {
    let tmp = Folders::of(path).tmp;
    let unreadable = |e| Error::from(durable::Error::new(Step::Read, &tmp, e));
    let entries = match fs::read_dir(&tmp) {
        Ok(entries) => entries,
        Err(e) if is_absent(&e) => return Ok(0),
        Err(e) => return Err(unreadable(e)),
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else { continue };
        if name::belongs_to(name, ledger) && !named(name) {
            durable::remove(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests rename as readers do")]
mod tests {
    use super::{TMP_IS_SAFE, recover};
    use crate::account::SyncMode;
    use crate::delivery::maildir::folders::BIRTH;
    use crate::delivery::maildir::tests::{Home, name};
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
            assert_eq!(
                steps,
                ["sync [] [true, false]", "delivered [0] [false, true]", "sync [] [false, true]"]
            );
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
        for (age, expected) in [
            (0, DELIVERED),
            (TMP_IS_SAFE - 1, DELIVERED),
            (TMP_IS_SAFE, AGAIN),
            (-1, AGAIN),
            (i64::MAX, AGAIN),
        ] {
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
    /// former did: what was in tmp/ was never published, and no reader has moved it.
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
        let put: [fn(&PathBuf); 2] = [
            |tmp| {
                let path = std::ffi::CString::new(tmp.as_os_str().as_bytes()).unwrap();
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    path.as_c_str(),
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::from_raw_mode(0o600),
                    0,
                )
                .unwrap();
            },
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
}
