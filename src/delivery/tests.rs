//! Every kind of destination, through the door that they share.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::neighbours::{Neighbour, Neighbours};
use super::trial::{facts, noted, pieces};
use super::{
    Destination, Error, Failure, Opened, Opening, Recorder, Settler, Surroundings, Unsettled, clean_up,
    destination, named,
};
use crate::access::{Owner, is_root};
use crate::account::{Deliver, Pipe, PipeCommand, SyncMode};
use crate::exit::ExitCode;
use crate::place::{NotedPlace, Place};
use crate::problem::Problem as _;
use crate::proof::{
    DestinationId, DestinationName, DestinationRecord, Intent, IntentId, Noted, Piece, Published,
};
use crate::signals::Stop;
use crate::types::Time;

const LEDGER: &str = "0123456789abcdef";
const TEXTS: [&[u8]; 2] = [b"A: 1\n\none\n", b"A: 2\n\ntwo\n"];

/// A home with a ledger's directory, and room for mail.
struct Ground {
    home: tempfile::TempDir,
    state_root: PathBuf,
    state: PathBuf,
    stop: Stop,
    owner: Option<Owner>,
}

impl Ground {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let state_root = home.path().join("state");
        let state = state_root.join("ledger");
        fs::create_dir_all(&state).unwrap();
        fs::create_dir(home.path().join("mail")).unwrap();
        Self { home, state_root, state, stop: Stop::new().unwrap(), owner: None }
    }

    /// Root's, delivering for a user whose the directory for mail is.
    fn of_nobody() -> Option<Self> {
        let owner = Owner::find("nobody", &[].into()).ok().flatten().filter(|_| is_root())?;
        let ground = Self { owner: Some(owner.clone()), ..Self::new() };
        fs::set_permissions(ground.home.path(), fs::Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(ground.at("state"), fs::Permissions::from_mode(0o700)).unwrap();
        chown(ground.at("mail"), Some(owner.uid()), None).unwrap();
        Some(ground)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn destination(&self, deliver: &Deliver) -> Box<dyn Destination + '_> {
        destination(deliver, self.around())
    }

    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            owner: self.owner.as_ref(),
            stop: &self.stop,
            state_root: &self.state_root,
            state: &self.state,
            search: Some(OsStr::new("/bin:/usr/bin")),
            stdout_is_regular_file: false,
        }
    }

    fn open(&self, deliver: &Deliver, intents: Vec<Intent>) -> Result<Opened, Error> {
        self.open_with(deliver, intents, SyncMode::Each)
    }

    fn open_with(&self, deliver: &Deliver, intents: Vec<Intent>, sync: SyncMode) -> Result<Opened, Error> {
        self.destination(deliver).open(Opening {
            account: "work",
            server: "pop.example",
            host: "laptop",
            sync,
            ledger: LEDGER,
            delivered: false,
            intents,
            neighbours: Box::new(Nobody),
            warn: Box::new(|warning| panic!("{warning}")),
            clock: || Time(0),
        })
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

struct Nobody;

impl Neighbours for Nobody {
    fn settle(&mut self, _: &Neighbour, _: &Path) -> Result<bool, Error> {
        Ok(true)
    }
}

fn pipe(command: PipeCommand) -> Deliver {
    Deliver::Pipe(Pipe { command, time_limit: Duration::from_secs(60), parallel: 1 })
}

fn argv(words: &[&str]) -> PipeCommand {
    PipeCommand::Argv(words.iter().map(|word| (*word).to_owned()).collect())
}

/// What a message lacks is known by this name over runs and configurations.
#[test]
fn a_ledgers_line_leads_to_the_destination_that_it_was_written_for() {
    let ground = Ground::new();
    let all = [
        (Deliver::Maildir(ground.at("one")), format!("Maildir {}", ground.at("one").display())),
        (Deliver::Mbox(ground.at("one")), format!("mbox {}", ground.at("one").display())),
        (Deliver::Mbox(ground.at("two")), format!("mbox {}", ground.at("two").display())),
        (pipe(argv(&["mda", "-d", "a b"])), "the program mda -d a b".to_owned()),
        (pipe(argv(&["mda", "-d"])), "the program mda -d".to_owned()),
        (pipe(PipeCommand::Shell("mda; true".to_owned())), "the program sh -c mda; true".to_owned()),
        (Deliver::Stdout, "standard output".to_owned()),
    ];
    let names: Vec<DestinationName> =
        all.iter().map(|(deliver, _)| ground.destination(deliver).name()).collect();
    for (at, (deliver, described)) in all.iter().enumerate() {
        let configured = ground.destination(deliver);
        let in_the_ledger = named(&names[at], ground.around());
        assert_eq!((&configured.described(), &in_the_ledger.described()), (described, described));
        assert_eq!(in_the_ledger.name(), names[at], "{described}");
        assert_eq!(configured.order(), in_the_ledger.order(), "{described}");
        for (other, name) in names.iter().enumerate() {
            assert_eq!(configured.is_called(name), other == at, "{described}: {name:?}");
        }
    }
    // What was printed is gone, what went into a file isn't; but it is the one standard output.
    let to_a_file =
        destination(&Deliver::Stdout, Surroundings { stdout_is_regular_file: true, ..ground.around() });
    assert_ne!(to_a_file.name(), names[6]);
    assert!(to_a_file.is_called(&names[6]) && !to_a_file.is_called(&names[0]));
}

/// Found out before anything is retrieved.
#[test]
fn what_is_not_fit_is_neither_checked_nor_opened() {
    let ground = Ground::new();
    fs::write(ground.at("file"), "root:x:0:0\n").unwrap();
    for (deliver, exit) in [
        (Deliver::Maildir(ground.at("file")), ExitCode::CannotCreate),
        (Deliver::Mbox(ground.at("file")), ExitCode::CannotCreate),
        (Deliver::Mbox(ground.at("missing/mbox")), ExitCode::CannotCreate),
        (pipe(argv(&["/no/such/program"])), ExitCode::Configuration),
        (pipe(PipeCommand::Shell("mda {sender}".to_owned())), ExitCode::Configuration),
    ] {
        for error in [ground.destination(&deliver).check().err(), ground.open(&deliver, Vec::new()).err()] {
            assert_eq!(error.map(|error| error.exit_code()), Some(exit), "{deliver:?}");
        }
    }
    assert_eq!(fs::read(ground.at("file")).unwrap(), b"root:x:0:0\n");
    for deliver in [Deliver::Mbox(ground.at("mail/mbox")), pipe(argv(&["sh", "x"])), Deliver::Stdout] {
        let destination = ground.destination(&deliver);
        destination.check().unwrap();
        named(&destination.name(), ground.around()).check().unwrap();
        ground.open(&deliver, Vec::new()).unwrap();
    }
}

#[test]
fn root_does_not_deliver_where_another_user_leads_it() {
    if !is_root() {
        return;
    }
    let ground = Ground::new();
    for directory in ["cur", "new", "tmp"] {
        fs::create_dir_all(ground.at("mail/Maildir").join(directory)).unwrap();
    }
    fs::write(ground.at("mail/mbox"), "").unwrap();
    let (maildir, mbox) =
        (Deliver::Maildir(ground.at("mail/Maildir")), Deliver::Mbox(ground.at("mail/mbox")));
    for (deliver, theirs) in [
        (&maildir, "mail"),
        (&maildir, "mail/Maildir"),
        (&maildir, "mail/Maildir/cur"),
        (&maildir, "mail/Maildir/new"),
        (&maildir, "mail/Maildir/tmp"),
        (&mbox, "mail"),
        (&mbox, "mail/mbox"),
    ] {
        ground.destination(deliver).allowed().unwrap();
        chown(ground.at(theirs), Some(12_345), None).unwrap();
        assert!(ground.destination(deliver).allowed().unwrap_err().what.contains("12345"), "{theirs}");
        chown(ground.at(theirs), Some(0), None).unwrap();
    }
    for deliver in [pipe(argv(&["sh"])), Deliver::Stdout] {
        ground.destination(&deliver).allowed().unwrap();
    }
}

fn intent(place: NotedPlace, piece: &Piece) -> Intent {
    Intent {
        id: IntentId(1),
        key: piece.message.key.clone(),
        destination: DestinationId(0),
        octets: piece.octets,
        digest: piece.digest,
        since: Time(0),
        place,
    }
}

fn maildir_name(piece: &Piece) -> String {
    match &piece.place {
        Place::Maildir { name, .. } => name.clone(),
        place => panic!("{place:?}"),
    }
}

#[test]
fn a_run_removes_only_what_no_line_of_its_ledger_names() {
    let ground = Ground::new();
    let maildir = Deliver::Maildir(ground.at("mail/Maildir"));
    let mut opened = ground.open(&maildir, Vec::new()).unwrap();
    let left = pieces(opened.inlet.as_mut(), &[TEXTS[0], TEXTS[1], TEXTS[0]]);
    let [first, second, third] = [0, 1, 2].map(|at: usize| maildir_name(&left[at]));
    let handed = NotedPlace::Mbox { offset: 0, spool: third.clone(), spool_offset: 0 };
    let lines = vec![
        intent(NotedPlace::Handed, &left[0]),
        intent(handed, &left[2]),
        intent(NotedPlace::Maildir { name: first.clone() }, &left[0]),
        intent(NotedPlace::Maildir { name: second.clone() }, &left[1]),
    ];
    drop(opened);
    ground.open(&maildir, lines).unwrap();
    let mut kept = ground.names("mail/Maildir/tmp");
    kept.sort();
    let mut expected = vec![first, second];
    expected.sort();
    assert_eq!(kept, expected);
    // Of what mboxes leave beside the ledger, the same.
    fs::write(ground.at("state/ledger/spool-1"), "").unwrap();
    clean_up(ground.around(), LEDGER, &[]).unwrap();
    assert!(ground.names("state/ledger").is_empty());
}

/// What is reported to the ledger, and as whom.
#[derive(Default)]
struct AsWhom(Vec<(&'static str, u32)>);

impl AsWhom {
    fn note(&mut self, what: &'static str) -> Result<(), Error> {
        self.0.push((what, rustix::process::geteuid().as_raw()));
        Ok(())
    }
}

impl Recorder for AsWhom {
    fn published(&mut self, _: Published) -> Result<(), Error> {
        self.note("published")
    }
    fn failed(&mut self, _: Noted, _: Failure) -> Result<(), Error> {
        self.note("failed")
    }
    fn sync(&mut self) -> Result<(), Error> {
        self.note("sync")
    }
}

impl Settler for AsWhom {
    fn delivered(&mut self, _: &[IntentId]) -> Result<(), Error> {
        self.note("delivered")
    }
    fn dropped(&mut self, _: &[IntentId]) -> Result<(), Error> {
        self.note("dropped")
    }
    fn sync(&mut self) -> Result<(), Error> {
        self.note("synced")
    }
}

/// Mail is the user's, the ledger is root's.
#[test]
fn what_root_delivers_for_a_user_is_the_users() {
    let Some(ground) = Ground::of_nobody() else { return };
    let owner = ground.owner.clone().unwrap();
    let maildir = Deliver::Maildir(ground.at("mail/Maildir"));
    let mut opened = ground.open(&maildir, Vec::new()).unwrap();
    let mut intake = opened.inlet.open().unwrap();
    intake.prepend(b"Received: here\n").unwrap();
    intake.write(TEXTS[0]).unwrap();
    let whole = [b"Received: here\n".as_slice(), TEXTS[0]].concat();
    assert!(intake.finish(&facts(&whole, "", "")).is_ok());
    let mut abandoned = opened.inlet.open().unwrap();
    abandoned.write(TEXTS[0]).unwrap();
    abandoned.abandon();
    let [left] = ground.names("mail/Maildir/tmp").try_into().unwrap();
    assert_eq!(fs::read(ground.at("mail/Maildir/tmp").join(&left)).unwrap(), whole);
    fs::remove_file(ground.at("mail/Maildir/tmp").join(left)).unwrap();
    let mut arrived = pieces(opened.inlet.as_mut(), &[TEXTS[0], TEXTS[1], TEXTS[0]]);
    let batch = |piece: &Piece| match &piece.place {
        Place::Maildir { batch, .. } => Arc::clone(batch),
        place => panic!("{place:?}"),
    };
    let first = batch(&arrived[0]);
    assert!(Arc::ptr_eq(&first, &batch(&arrived[1])));
    opened.outlet.withdraw(vec![arrived.pop().unwrap()]);
    assert_eq!(ground.names("mail/Maildir/tmp").len(), 2);
    // One that another program has taken away is not published.
    let staged = opened.outlet.stage(arrived).unwrap();
    fs::remove_file(ground.at("mail/Maildir/tmp").join(maildir_name(staged[1].piece()))).unwrap();
    let mut reported = AsWhom::default();
    opened.outlet.publish(noted(staged), &mut reported).unwrap();
    assert_eq!(reported.0, [("published", 0), ("failed", 0)]);
    let [name] = ground.names("mail/Maildir/new").try_into().unwrap();
    for path in [ground.at("mail/Maildir/new").join(name), ground.at("mail/Maildir/new")] {
        assert_eq!(path.metadata().unwrap().uid(), owner.uid());
    }
    // And so after a crash.
    let lines = pieces(opened.inlet.as_mut(), &[TEXTS[0], TEXTS[1]]);
    assert!(!Arc::ptr_eq(&first, &batch(&lines[0])), "another batch");
    fs::write(ground.at("mail/Maildir/tmp").join(maildir_name(&lines[1])), "torn").unwrap();
    let destination = ground.destination(&maildir);
    let intents =
        lines.iter().map(|piece| intent(NotedPlace::Maildir { name: maildir_name(piece) }, piece)).collect();
    let record = DestinationRecord { id: DestinationId(0), name: destination.name(), inode: opened.inode };
    let mut reported = AsWhom::default();
    let recovered =
        destination.recover(&Unsettled { destination: record, intents }, &mut reported, Time(0)).unwrap();
    assert_eq!((recovered.delivered, recovered.again), (1, 1));
    assert_eq!(reported.0, [("synced", 0), ("delivered", 0), ("synced", 0), ("dropped", 0)]);
    assert_eq!(rustix::process::geteuid().as_raw(), 0, "this thread is as it was");
}

/// Nobody knows whether a program, or a reader of standard output, took what it was being given.
#[test]
fn what_was_being_handed_over_comes_again() {
    let ground = Ground::new();
    for deliver in [pipe(argv(&["sh"])), Deliver::Stdout] {
        let destination = ground.destination(&deliver);
        let mut opened = ground.open(&deliver, Vec::new()).unwrap();
        let handed: Vec<Intent> = pieces(opened.inlet.as_mut(), &TEXTS)
            .iter()
            .map(|piece| intent(NotedPlace::Handed, piece))
            .collect();
        for (intents, reported) in [(handed, &["dropped"][..]), (Vec::new(), &[])] {
            let again = intents.len();
            let record = DestinationRecord { id: DestinationId(0), name: destination.name(), inode: None };
            let mut settled = AsWhom::default();
            let unsettled = Unsettled { destination: record, intents };
            let recovered = destination.recover(&unsettled, &mut settled, Time(0)).unwrap();
            assert_eq!((recovered.delivered, recovered.again), (0, again));
            assert_eq!(settled.0.iter().map(|(what, _)| *what).collect::<Vec<_>>(), reported);
        }
    }
}

#[cfg(feature = "crash-points")]
#[test]
fn mail_is_brought_to_the_disk_unless_that_is_switched_off() {
    use crate::durable::{Step, trial::steps};
    for (sync, synced) in [(SyncMode::Auto, true), (SyncMode::Each, true), (SyncMode::Off, false)] {
        for (deliver, file) in [("mbox", "mbox"), ("maildir", "new")] {
            let ground = Ground::new();
            let deliver = match deliver {
                "mbox" => Deliver::Mbox(ground.at("mail/mbox")),
                _ => Deliver::Maildir(ground.at("mail/Maildir")),
            };
            let mut opened = ground.open_with(&deliver, Vec::new(), sync).unwrap();
            let pieces = pieces(opened.inlet.as_mut(), &TEXTS);
            let (published, taken) = steps(
                |_, _| false,
                || {
                    let staged = opened.outlet.stage(pieces)?;
                    opened.outlet.publish(noted(staged), &mut AsWhom::default())
                },
            );
            published.unwrap();
            assert_eq!(taken.contains(&(Step::Sync, file.to_owned())), synced, "{sync:?} {file}");
        }
    }
}
