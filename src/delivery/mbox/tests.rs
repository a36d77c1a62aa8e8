//! Deliveries into real files, and what recovery makes of every way in which one can break off.

use super::{
    MboxInlet, MboxOutlet, Neighbour, Neighbours, Recovered, Settings, boot, check, clean_up, neighbours,
    recover,
};
use crate::delivery::trial::{Told, broken_ledger, facts, noted, pieces};
use crate::delivery::{Error, Inlet as _, Outlet as _, Unsettled};
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::proof::{
    DestinationId, DestinationKind, DestinationName, DestinationRecord, Intent, IntentId, NotedPlace, Piece,
    Place,
};
use crate::stop::Stop;
use crate::types::Time;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const NOW: Time = Time(1_000_000);
const TEXTS: [&[u8]; 3] = [b"A: 1\n\none\n", b"A: 2\n\ntwo\nFrom here\n", b"A: 3\n\nthree\n"];
const FROM: &str = "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n";

/// A home with a state root, a ledger's directory in it, and a place for an mbox.
struct Home {
    directory: tempfile::TempDir,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("state/ledger")).unwrap();
        fs::create_dir(directory.path().join("mail")).unwrap();
        Self { directory, warnings: Arc::default() }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn state(&self) -> PathBuf {
        self.root().join("ledger")
    }

    fn mbox(&self) -> PathBuf {
        self.directory.path().join("mail/mbox")
    }

    fn read(&self) -> String {
        String::from_utf8(fs::read(self.mbox()).unwrap()).unwrap()
    }

    fn outlet(&self) -> MboxOutlet {
        self.outlet_with(Box::new(Answer(false)))
    }

    fn outlet_with(&self, neighbours: Box<dyn Neighbours>) -> MboxOutlet {
        let warnings = Arc::clone(&self.warnings);
        let settings = Settings {
            path: self.mbox(),
            owner: None,
            state_root: self.root(),
            state: self.state(),
            ledger: "aa".to_owned(),
            sync: true,
            patience: Duration::from_millis(50),
            stop: Stop::new().unwrap(),
        };
        MboxOutlet::new(settings, neighbours, Box::new(move |warning| warnings.lock().unwrap().push(warning)))
    }

    fn pieces(&self, texts: &[&[u8]]) -> Vec<Piece> {
        pieces(&mut MboxInlet::new(self.state(), || Time(0)), texts)
    }

    fn deliver(&self, outlet: &mut MboxOutlet, texts: &[&[u8]]) -> Result<Told, Error> {
        let staged = outlet.stage(self.pieces(texts))?;
        let mut told = Told::default();
        outlet.publish(noted(staged), &mut told)?;
        Ok(told)
    }

    /// Stages and notes the three texts, then dies, before or after they're appended.
    fn die(&self, appended: bool) -> Unsettled {
        let mut outlet = self.outlet();
        let staged = outlet.stage(self.pieces(&TEXTS)).unwrap();
        let intents = staged.iter().zip(1..).map(|(staged, id)| intent(staged.piece(), id)).collect();
        if appended {
            outlet.publish(noted(staged), &mut Told::default()).unwrap();
        }
        let address = self.mbox().as_os_str().as_bytes().to_owned();
        let name = DestinationName { kind: DestinationKind::Mbox, address };
        let destination = DestinationRecord { id: DestinationId(0), name, inode: None };
        Unsettled { destination, intents }
    }

    fn recover_at(&self, unsettled: &Unsettled, now: Time) -> Told {
        let mut told = Told::default();
        let recovered =
            recover(unsettled, &self.state(), &mut told, now, None, &Stop::new().unwrap()).unwrap();
        assert_eq!(recovered, Recovered { delivered: told.delivered.len(), again: told.dropped.len() });
        told
    }

    /// Takes back the word that the batch was appended, as if the machine had been started since.
    fn forget(&self) {
        for entry in fs::read_dir(self.state()).unwrap() {
            let path = entry.unwrap().path();
            let mut spool = fs::read(&path).unwrap();
            spool[25] = b'?';
            fs::write(&path, spool).unwrap();
        }
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join(directory)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn intent(piece: &Piece, id: u32) -> Intent {
    let Place::Mbox { spool, spool_offset, offset: Some(offset) } = &piece.place else { panic!("{piece:?}") };
    let spool = spool.path.file_name().unwrap().to_str().unwrap().to_owned();
    Intent {
        id: IntentId(id),
        key: piece.message.key.clone(),
        destination: piece.destination,
        octets: piece.octets,
        digest: piece.digest,
        since: NOW,
        place: NotedPlace::Mbox { offset: *offset, spool, spool_offset: *spool_offset },
    }
}

struct Answer(bool);

impl Neighbours for Answer {
    fn settle(&mut self, neighbour: &Neighbour, _: &Path) -> Result<bool, Error> {
        if self.0 {
            let root = neighbour.directory.parent().unwrap();
            clean_up(root, &neighbour.directory, &neighbour.ledger, &[])?;
        }
        Ok(self.0)
    }
}

/// One that says this, and counts how often it was asked.
struct Counted(Arc<Mutex<u32>>, fn() -> Result<bool, Error>);

impl Neighbours for Counted {
    fn settle(&mut self, _: &Neighbour, _: &Path) -> Result<bool, Error> {
        *self.0.lock().unwrap() += 1;
        (self.1)()
    }
}

/// The three texts as they stand in an mbox.
fn entries() -> [String; 3] {
    ["A: 1\n\none\n", "A: 2\n\ntwo\n>From here\n", "A: 3\n\nthree\n"].map(|text| format!("{FROM}{text}\n"))
}

#[test]
fn batches_are_appended() {
    let home = Home::new();
    let mut outlet = home.outlet();
    assert_eq!(home.deliver(&mut outlet, &TEXTS).unwrap().published, [1, 2, 3]);
    assert_eq!(home.read(), entries().concat());
    assert_eq!(home.mbox().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.names("mail"), ["mbox"]);
    assert_eq!(home.names("state/ledger").len(), 1, "until the ledger is synced the spool stays");
    home.deliver(&mut outlet, &TEXTS[..1]).unwrap();
    assert_eq!(home.read(), entries().concat() + &entries()[0]);
    assert_eq!(home.names("state/ledger").len(), 1, "the first batch's spool is gone");
    assert_eq!(home.names("state/mbox-open").len(), 1);
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap(), []);
    clean_up(&home.root(), &home.state(), "aa", &[]).unwrap();
    assert!(home.names("state/ledger").is_empty() && home.names("state/mbox-open").is_empty());
    assert_eq!(*home.warnings.lock().unwrap(), [""; 0]);
}

#[test]
fn what_was_abandoned_leaves_nothing() {
    let home = Home::new();
    let mut inlet = MboxInlet::new(home.state(), || Time(0));
    let large = vec![b'x'; 300_000];
    let mut waiting = Vec::new();
    for (text, whole) in
        [(TEXTS[0], true), (&large, false), (&large, true), (TEXTS[1], false), (TEXTS[2], true)]
    {
        let mut intake = inlet.open().unwrap();
        intake.write(text).unwrap();
        if whole {
            waiting.push(intake.finish(&facts(text, "", "")).unwrap());
        } else {
            intake.abandon();
        }
    }
    let Place::Mbox { spool, .. } = &waiting[0].place else { panic!() };
    let octets: u64 = waiting.iter().map(|waiting| waiting.octets).sum();
    assert_eq!(spool.file.metadata().unwrap().len(), 64 + octets);
    let stored = fs::read(&spool.path).unwrap();
    assert!(stored.ends_with(entries()[2].as_bytes()));
    for waiting in &waiting {
        let Place::Mbox { spool_offset, .. } = waiting.place else { panic!() };
        let entry = &stored[spool_offset as usize..][..waiting.octets as usize];
        assert_eq!(crate::message::Digest::of(entry), waiting.digest);
    }
}

/// M4
#[test]
fn entries_are_separated() {
    for (before, lead) in [
        ("", ""),
        ("From x\nA: b\n\nbody\n\n", ""),
        ("From x\nA: b\n\nbody\n\n\n", ""),
        ("From x\nA: b\n\nbody\n", "\n"),
        ("From x\nA: b\n\nbody", "\n\n"),
        ("From ", "\n\n"),
    ] {
        let home = Home::new();
        fs::write(home.mbox(), before).unwrap();
        home.deliver(&mut home.outlet(), &TEXTS[..1]).unwrap();
        assert_eq!(home.read(), format!("{before}{lead}{}", entries()[0]));
    }
}

#[test]
fn new_mail_stays_new_to_its_readers() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let file = File::options().write(true).open(home.mbox()).unwrap();
    file.set_times(fs::FileTimes::new().set_accessed(old)).unwrap();
    home.deliver(&mut home.outlet(), &TEXTS).unwrap();
    let status = home.mbox().metadata().unwrap();
    assert!(status.atime() == 1000 && status.mtime() > 1000);
}

/// M8
#[test]
fn what_is_no_mbox_is_refused() {
    let refused = |home: &Home| {
        let error = home.deliver(&mut home.outlet(), &TEXTS).unwrap_err();
        assert!(error.exit_code() == ExitCode::CannotCreate && error.hint().is_some(), "{error:?}");
        let error = check(&home.mbox(), None, &Stop::new().unwrap(), Duration::ZERO).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::CannotCreate);
    };
    for text in ["root:x:0:0\n", "from x\n", "\nFrom x\n", "Fro", "From"] {
        let home = Home::new();
        fs::write(home.mbox(), text).unwrap();
        refused(&home);
        assert_eq!(home.read(), text);
        assert_eq!(home.names("mail"), ["mbox"]);
    }
    let home = Home::new();
    fs::create_dir(home.mbox()).unwrap();
    refused(&home);
    let home = Home::new();
    fs::remove_dir(home.mbox().parent().unwrap()).unwrap();
    refused(&home);
    let home = Home::new();
    for text in [None, Some(""), Some("From x\n")] {
        if let Some(text) = text {
            fs::write(home.mbox(), text).unwrap();
        }
        check(&home.mbox(), None, &Stop::new().unwrap(), Duration::ZERO).unwrap();
    }
}

/// M5
#[test]
fn a_failed_append_is_taken_back() {
    let home = Home::new();
    let before = "From x\nA: b\n\nbody";
    fs::write(home.mbox(), before).unwrap();
    let large = b"0123456789abcde\n".repeat(100_000);
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&[TEXTS[0], &large])).unwrap();
    // The spool breaks off when much has been appended already.
    let Place::Mbox { spool, .. } = &staged[0].piece().place else { panic!() };
    spool.file.set_len(1_000_000).unwrap();
    let mut told = Told::default();
    assert!(matches!(outlet.publish(noted(staged), &mut told), Err(Error::Disk(_))));
    assert_eq!(home.read(), before);
    assert!(told.published.is_empty() && told.failed.is_empty());
    assert_eq!(home.names("mail"), ["mbox"], "unlocked");
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap(), []);
}

#[test]
fn a_replaced_mbox_gets_nothing_and_the_old_one_loses_it() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    let old = home.mbox().with_file_name("old");
    fs::rename(home.mbox(), &old).unwrap();
    fs::write(home.mbox(), "From y\n\n").unwrap();
    let outcome = outlet.publish(noted(staged), &mut Told::default());
    assert!(matches!(outcome, Err(Error::Later { .. })), "{outcome:?}");
    assert_eq!(
        (home.read().as_str(), fs::read_to_string(old).unwrap().as_str()),
        ("From y\n\n", "From x\n\n")
    );
}

/// The last look: while the disk was at work, another program has put its own file there.
#[test]
fn an_mbox_that_is_replaced_during_the_sync_has_not_got_the_mail() {
    let home = Home::new();
    let mut outlet = home.outlet();
    let noted = noted(outlet.stage(home.pieces(&TEXTS)).unwrap());
    let replace = |_: &File, path: &Path| {
        fs::write(path.with_extension("new"), "From other\n\n").unwrap();
        #[expect(clippy::disallowed_methods, reason = "as other programs do")]
        fs::rename(path.with_extension("new"), path).unwrap();
        Ok(())
    };
    let mut append = outlet.append.take().unwrap();
    let outcome = append.publish(&noted, &replace);
    assert!(outcome.is_err_and(|e| e.is_out_of_reach()));
    assert_eq!(home.read(), "From other\n\n");
}

#[test]
fn what_others_wrote_without_locks_is_never_cut() {
    let home = Home::new();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    assert!(matches!(outlet.publish(noted(staged), &mut Told::default()), Err(Error::Later { .. })));
    assert_eq!(home.read(), "From x\n\n");
    let found = neighbours(&home.root(), &home.mbox(), "bb").unwrap();
    assert_eq!(found.len(), 1, "what was left there is for recovery to find out");
}

#[test]
fn what_is_withdrawn_leaves_nothing() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    assert_eq!(home.names("mail"), ["mbox", "mbox.lock"]);
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap().len(), 1);
    outlet.withdraw(staged.into_iter().map(|staged| staged.withdraw()).collect());
    assert_eq!((home.read().as_str(), home.names("mail")), ("From x\n\n", vec!["mbox".to_owned()]));
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap(), []);
}

/// M6, the dotlock
#[test]
fn dotlocks() {
    let host = crate::clock::host_name();
    let start = boot::id().unwrap_or("-");
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    let dead_pid = dead.id();
    dead.wait().unwrap();
    let alive = std::process::id();
    let cases = [
        (format!("{alive}\n"), 0, false),
        (String::new(), 0, false),
        (format!("{dead_pid}\n"), 0, false),
        (format!("{dead_pid}\n"), 290, false),
        (format!("{alive}\n"), 310, true),
        (String::new(), 310, true),
        (format!("{dead_pid}\npopfetch {host} {start}\n"), 0, true),
        (format!("{alive}\npopfetch {host} {start}\n"), 0, false),
        (format!("{alive}\npopfetch {host} another-start\n"), 0, true),
        (format!("{dead_pid}\npopfetch elsewhere {start}\n"), 0, false),
        ("x\npopfetch\n".to_owned(), 0, false),
    ];
    for (content, age, broken) in cases {
        let home = Home::new();
        let lock = home.directory.path().join("mail/mbox.lock");
        fs::write(&lock, &content).unwrap();
        let then = SystemTime::now() - Duration::from_secs(age);
        File::options().write(true).open(&lock).unwrap().set_modified(then).unwrap();
        let outcome = home.deliver(&mut home.outlet(), &TEXTS);
        if broken {
            assert_eq!(outcome.unwrap().published, [1, 2, 3], "{content:?}");
            assert_eq!(home.names("mail"), ["mbox"]);
        } else {
            assert!(matches!(outcome, Err(Error::Later { .. })), "{content:?}: {outcome:?}");
            assert_eq!(home.names("mail"), ["mbox", "mbox.lock"]);
            assert_eq!(fs::read_to_string(&lock).unwrap(), content);
            fs::remove_file(&lock).unwrap();
            home.deliver(&mut home.outlet(), &TEXTS).unwrap();
        }
    }
}

#[test]
fn where_no_dotlock_can_be_made_the_other_lock_must_do() {
    if rustix::process::geteuid().is_root() {
        eprintln!("root may make files anywhere: not tested");
        return;
    }
    let home = Home::new();
    fs::write(home.mbox(), "").unwrap();
    let mail = home.directory.path().join("mail");
    fs::set_permissions(&mail, fs::Permissions::from_mode(0o500)).unwrap();
    let mut outlet = home.outlet();
    let told = home.deliver(&mut outlet, &TEXTS).and_then(|_| home.deliver(&mut outlet, &TEXTS));
    fs::set_permissions(&mail, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(told.unwrap().published, [1, 2, 3]);
    assert_eq!(home.warnings.lock().unwrap().len(), 1);
}

/// M6, within the process
#[test]
fn two_accounts_of_one_run_take_turns() {
    let home = Home::new();
    let mut first = home.outlet();
    let staged = first.stage(home.pieces(&TEXTS[..1])).unwrap();
    let other = home.directory.path().join("other");
    std::os::unix::fs::symlink(home.mbox(), &other).unwrap();
    let mut second = home.outlet();
    second.settings.path = other;
    assert!(matches!(home.deliver(&mut second, &TEXTS[1..2]), Err(Error::Later { .. })));
    second.patience = Duration::from_secs(60);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| home.deliver(&mut second, &TEXTS[1..2]).unwrap());
        first.publish(noted(staged), &mut Told::default()).unwrap();
        waiting.join().unwrap();
    });
    assert_eq!(home.read(), entries()[..2].concat());
}

/// M6, the fcntl lock: another process holds it, and lets go when its standard input ends.
#[test]
fn fcntl_locks_are_waited_for() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let script = "import fcntl,sys\nf=open(sys.argv[1],'r+')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('held',flush=True)\nsys.stdin.read()";
    let holder = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(home.mbox())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut holder) = holder else {
        eprintln!("python3 is not installed: not tested");
        return;
    };
    let mut held = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut held).unwrap();
    let mut outlet = home.outlet();
    assert!(matches!(home.deliver(&mut outlet, &TEXTS), Err(Error::Later { .. })));
    assert_eq!(home.names("mail"), ["mbox"], "no dotlock is kept while waiting");
    outlet.patience = Duration::from_secs(60);
    drop(holder.stdin.take());
    home.deliver(&mut outlet, &TEXTS).unwrap();
    holder.wait().unwrap();
}

#[test]
fn what_another_ledger_left_is_settled_first() {
    let home = Home::new();
    let other = home.root().join("other");
    fs::create_dir(&other).unwrap();
    let open = || {
        let path = home.mbox().parent().unwrap().canonicalize().unwrap().join("mbox");
        super::Marker::new(&home.root(), "bb", &other, &path).open().unwrap();
    };
    open();
    assert!(matches!(home.deliver(&mut home.outlet(), &TEXTS), Err(Error::Later { .. })));
    assert_eq!(home.names("mail"), ["mbox"], "unlocked while the other is waited for");
    home.deliver(&mut home.outlet_with(Box::new(Answer(true))), &TEXTS).unwrap();
    assert_eq!(home.read(), entries().concat());
}

/// Wherever an append broke off: what is whole is delivered, what isn't is cut off and comes again.
/// Whatever a neighbour's leavings are, they are neither looked at without end nor at full speed.
#[test]
fn a_neighbour_that_stays_open_is_not_asked_at_full_speed() {
    for answer in [|| Ok(true), || Ok(false), || Err(Error::later("the mbox is locked", "wait"))] {
        let (home, asked) = (Home::new(), Arc::default());
        let other = home.root().join("other");
        fs::create_dir(&other).unwrap();
        super::Marker::new(&home.root(), "bb", &other, &home.mbox()).open().unwrap();
        let mut outlet = home.outlet_with(Box::new(Counted(Arc::clone(&asked), answer)));
        assert!(matches!(home.deliver(&mut outlet, &TEXTS), Err(Error::Later { .. })));
        let asked = *asked.lock().unwrap();
        // 10, 20, 40 ms: more don't fit.
        assert!((1..=5).contains(&asked), "{asked}");
        assert_eq!(fs::read(home.mbox()).unwrap(), b"");
    }
}

/// A neighbour's damaged ledger does not stop others.
#[test]
fn a_neighbour_that_cannot_be_settled_is_passed_over() {
    let (home, asked) = (Home::new(), Arc::default());
    let other = home.root().join("other");
    fs::create_dir(&other).unwrap();
    super::Marker::new(&home.root(), "bb", &other, &home.mbox()).open().unwrap();
    let damaged = || Err(broken_ledger());
    let mut outlet = home.outlet_with(Box::new(Counted(Arc::clone(&asked), damaged)));
    for _ in 0..2 {
        home.deliver(&mut outlet, &TEXTS).unwrap();
    }
    assert_eq!(home.read(), entries().concat().repeat(2));
    assert_eq!((*asked.lock().unwrap(), home.warnings.lock().unwrap().len()), (1, 1));
    assert_eq!(neighbours(&home.root(), &home.mbox(), "aa").unwrap().len(), 1, "for its own run");
}

/// Its ledger was moved away, and another one begun in its place: nobody has intents there.
#[test]
fn what_a_ledger_left_that_was_moved_away_is_forgotten() {
    let (home, asked) = (Home::new(), Arc::default());
    super::Marker::new(&home.root(), "bb", &home.state(), &home.mbox()).open().unwrap();
    let mut outlet = home.outlet_with(Box::new(Counted(Arc::clone(&asked), || Ok(false))));
    home.deliver(&mut outlet, &TEXTS).unwrap();
    assert_eq!(*asked.lock().unwrap(), 0);
    assert_eq!(home.names("state/mbox-open").len(), 1, "only ours");
}

#[test]
fn a_foreign_lock_is_waited_for_once_and_not_for_each_batch() {
    let home = Home::new();
    let lock = home.mbox().with_extension("lock");
    fs::write(&lock, format!("{}\n", std::process::id())).unwrap();
    let mut outlet = home.outlet();
    for _ in 0..2 {
        assert!(matches!(home.deliver(&mut outlet, &TEXTS), Err(Error::Later { .. })));
        assert_eq!(outlet.patience, Duration::ZERO);
    }
    fs::remove_file(&lock).unwrap();
    home.deliver(&mut outlet, &TEXTS).unwrap();
    assert_eq!(outlet.patience, outlet.settings.patience);
}

/// In a directory where others can write, anything may stand under the lock's name.
#[test]
fn a_dotlock_that_is_no_file_is_not_waited_for() {
    let fifo = |path: &Path| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    type Put = fn(&Path, fn(&Path));
    let put: [Put; 3] = [
        |lock, fifo| fifo(lock),
        |lock, fifo| {
            fifo(&lock.with_extension("fifo"));
            std::os::unix::fs::symlink(lock.with_extension("fifo"), lock).unwrap();
        },
        |lock, _| fs::create_dir(lock).unwrap(),
    ];
    for put in put {
        let home = Home::new();
        fs::write(home.mbox(), "").unwrap();
        put(&home.mbox().with_extension("lock"), fifo);
        check(&home.mbox(), None, &Stop::new().unwrap(), Duration::ZERO).unwrap();
        assert!(matches!(home.deliver(&mut home.outlet(), &TEXTS), Err(Error::Later { .. })));
    }
}

/// A link to a file that is still to be made, and a dotlock dated by a clock that ran ahead.
#[test]
fn a_dangling_link_is_followed_and_tomorrows_dotlock_is_dead() {
    let home = Home::new();
    fs::create_dir(home.directory.path().join("elsewhere")).unwrap();
    let real = home.directory.path().join("elsewhere/inbox");
    std::os::unix::fs::symlink(&real, home.mbox()).unwrap();
    let lock = real.with_extension("lock");
    fs::write(&lock, "0").unwrap();
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    File::options().write(true).open(&lock).unwrap().set_modified(tomorrow).unwrap();
    check(&home.mbox(), None, &Stop::new().unwrap(), Duration::ZERO).unwrap();
    home.deliver(&mut home.outlet(), &TEXTS).unwrap();
    assert_eq!(fs::read_to_string(&real).unwrap(), entries().concat());
    assert!(home.mbox().is_symlink() && !lock.exists());
}

#[test]
fn every_torn_tail_is_put_right() {
    for (before, lead) in [("", 0), ("From x\n\nbody\n\n", 0), ("From x\n\nbody\n", 1), ("From x\n\nbody", 2)]
    {
        let home = Home::new();
        fs::write(home.mbox(), before).unwrap();
        let unsettled = home.die(true);
        home.forget();
        let whole = fs::read(home.mbox()).unwrap();
        let ends: Vec<usize> = entries()
            .iter()
            .scan(before.len() + lead, |end, entry| {
                *end += entry.len();
                Some(*end)
            })
            .collect();
        assert_eq!(ends[2], whole.len());
        for length in before.len()..=whole.len() {
            for nuls in [0, 1, 5000] {
                let mut torn = whole[..length].to_vec();
                torn.resize(length + nuls, 0);
                fs::write(home.mbox(), &torn).unwrap();
                let told = home.recover_at(&unsettled, NOW);
                let delivered: u32 = (1..=3).filter(|n| ends[*n as usize - 1] <= length).count() as u32;
                assert_eq!(told.delivered, (1..=delivered).collect::<Vec<_>>(), "{length} and {nuls}");
                assert_eq!(told.dropped, (delivered + 1..=3).collect::<Vec<_>>(), "{length} and {nuls}");
                let left = fs::read(home.mbox()).unwrap();
                if delivered > 0 && length + nuls > ends[delivered as usize - 1] && delivered < 3 {
                    assert_eq!(left.len(), ends[delivered as usize - 1], "{length} and {nuls}");
                } else if delivered == 0 && length + nuls > before.len() + lead {
                    assert!(left.starts_with(before.as_bytes()) && left.len() <= before.len() + lead);
                    assert!(!left.contains(&0));
                }
                // What comes again finds its place, and no part of it stands there twice.
                if nuls != 1 && length % 7 == 0 && length + nuls > before.len() + lead && delivered < 3 {
                    home.deliver(&mut home.outlet(), &TEXTS[delivered as usize..]).unwrap();
                    assert_eq!(fs::read(home.mbox()).unwrap(), whole);
                    clean_up_but(&home, &unsettled);
                }
                assert!(told.syncs.is_empty());
            }
        }
    }
}

/// Between two looks at the same crash.
fn clean_up_but(home: &Home, unsettled: &Unsettled) {
    clean_up(&home.root(), &home.state(), "aa", &unsettled.intents).unwrap();
    assert_eq!(home.names("state/ledger").len(), 1);
}

#[test]
fn nothing_appended_comes_again() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\nbody\n").unwrap();
    let unsettled = home.die(false);
    let told = home.recover_at(&unsettled, NOW);
    assert_eq!((told.delivered, told.dropped), (vec![], vec![1, 2, 3]));
    assert_eq!(home.read(), "From x\n\nbody\n");
}

#[test]
fn nothing_is_cut_that_others_appended() {
    let home = Home::new();
    let unsettled = home.die(true);
    home.forget();
    let [one, two, _] = entries();
    let torn = format!("{one}{}From other\n\nmail\n", &two[..20]);
    fs::write(home.mbox(), &torn).unwrap();
    let told = home.recover_at(&unsettled, NOW);
    assert_eq!((told.delivered, told.dropped), (vec![1], vec![2, 3]));
    assert_eq!(home.read(), torn);
    home.deliver(&mut home.outlet(), &TEXTS[1..2]).unwrap();
    assert_eq!(home.read(), format!("{torn}\n{two}"));
}

#[test]
fn what_a_reader_has_rewritten_is_known_again() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\nA: before\n\nbody\n\n").unwrap();
    let unsettled = home.die(true);
    home.forget();
    let [one, two, three] = entries().map(|entry| entry.replacen("\nA:", "\nStatus: RO\nX-UID: 7\nA:", 1));
    // The first is gone, the others have moved, the last lost its empty line.
    let rewritten = format!("From x\nX-IMAPbase: 1 2\nA: before\n\nbody\n\n{three}{}", two.trim_end());
    fs::write(home.mbox(), &rewritten).unwrap();
    let told = home.recover_at(&unsettled, NOW);
    assert_eq!((told.delivered, told.dropped), (vec![2, 3], vec![1]));
    assert_eq!(home.read(), rewritten);
    // Without the spool only what was not changed is.
    fs::remove_file(home.state().join(&home.names("state/ledger")[0])).unwrap();
    fs::write(home.mbox(), format!("{three}{}", entries()[0])).unwrap();
    let told = home.recover_at(&unsettled, NOW);
    assert_eq!((told.delivered, told.dropped), (vec![1], vec![2, 3]));
    drop(one);
}

#[test]
fn equal_messages_are_matched_one_for_one() {
    let home = Home::new();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&[TEXTS[0], TEXTS[0]])).unwrap();
    let intents = staged.iter().zip(1..).map(|(staged, id)| intent(staged.piece(), id)).collect();
    drop(outlet);
    let unsettled = Unsettled { intents, ..home.die(false) };
    fs::write(
        home.mbox(),
        format!("From x\n\nlonger than one of them, so that nothing is at its place\n\n{}", entries()[0]),
    )
    .unwrap();
    let told = home.recover_at(&unsettled, NOW);
    assert_eq!((told.delivered, told.dropped), (vec![1], vec![2]));
}

#[test]
fn what_a_reader_took_away_is_known_to_have_been_there() {
    let day = 24 * 60 * 60;
    type Reader = fn(&Home);
    let moves: Reader = |home| fs::rename(home.mbox(), home.mbox().with_file_name("old")).unwrap();
    let empties: Reader = |home| fs::write(home.mbox(), "").unwrap();
    let replaces: Reader = |home| {
        moves_away(home);
        fs::write(home.mbox(), "From new\n\nmail\n\n").unwrap();
    };
    for reader in [moves, empties, replaces] {
        for (appended, started_since, age, taken) in [
            (true, false, 0, true),
            (true, false, day - 1, true),
            (true, false, day, false),
            (true, false, -1, false),
            (true, true, 0, false),
            (false, false, 0, false),
        ] {
            let home = Home::new();
            let unsettled = home.die(appended);
            if started_since {
                home.forget();
            }
            reader(&home);
            let taken = taken && boot::id().is_some();
            let told = home.recover_at(&unsettled, Time(NOW.0 + age));
            assert_eq!((told.delivered.len(), told.dropped.len()), if taken { (3, 0) } else { (0, 3) });
        }
    }
}

fn moves_away(home: &Home) {
    fs::rename(home.mbox(), home.mbox().with_file_name("old")).unwrap();
}

#[test]
fn nothing_is_concluded_while_the_directory_is_gone() {
    let home = Home::new();
    let unsettled = home.die(true);
    fs::rename(home.directory.path().join("mail"), home.directory.path().join("elsewhere")).unwrap();
    let mut told = Told::default();
    let outcome = recover(&unsettled, &home.state(), &mut told, NOW, None, &Stop::new().unwrap());
    assert!(outcome.is_err_and(|e| e.is_out_of_reach() && e.hint().is_some()));
    assert!(told.delivered.is_empty() && told.dropped.is_empty());
}
