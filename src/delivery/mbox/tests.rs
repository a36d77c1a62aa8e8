//! Deliveries into real files, and what recovery makes of every way in which one can break off.

mod appending;
#[cfg(feature = "crash-points")]
mod disk;
mod locking;
mod other_ledgers;
mod recovering;

use super::{MboxInlet, MboxOutlet, MboxSettings, boot, check, clean_up, leads_to, neighbours, recover};
use crate::access::Owner;
use crate::delivery::neighbours::{Neighbour, Neighbours};
use crate::delivery::trial::{Recorded, broken_ledger, facts, noted, pieces};
use crate::delivery::{Error, Inlet as _, Outlet as _, Recovered, Unsettled};
use crate::exit::ExitCode;
use crate::place::{NotedPlace, Place};
use crate::problem::Problem as _;
use crate::proof::{
    DestinationId, DestinationKind, DestinationName, DestinationRecord, Intent, IntentId, Piece,
};
use crate::signals::Stop;
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
        let settings = MboxSettings {
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

    fn deliver(&self, outlet: &mut MboxOutlet, texts: &[&[u8]]) -> Result<Recorded, Error> {
        let staged = outlet.stage(self.pieces(texts))?;
        let mut recorded = Recorded::default();
        outlet.publish(noted(staged), &mut recorded)?;
        Ok(recorded)
    }

    /// Stages and notes the three texts, then dies, before or after they're appended.
    fn die(&self, appended: bool) -> Unsettled {
        let mut outlet = self.outlet();
        let staged = outlet.stage(self.pieces(&TEXTS)).unwrap();
        let intents = staged.iter().zip(1..).map(|(staged, id)| intent(staged.piece(), id)).collect();
        if appended {
            outlet.publish(noted(staged), &mut Recorded::default()).unwrap();
        }
        let address = self.mbox().as_os_str().as_bytes().to_owned();
        let name = DestinationName { kind: DestinationKind::Mbox, address };
        let destination = DestinationRecord { id: DestinationId(0), name, inode: None };
        Unsettled { destination, intents }
    }

    fn recover_at(&self, unsettled: &Unsettled, now: Time) -> Recorded {
        let mut recorded = Recorded::default();
        let recovered =
            recover(unsettled, &self.state(), &mut recorded, now, None, &Stop::new().unwrap()).unwrap();
        assert_eq!(
            recovered,
            Recovered { delivered: recorded.delivered.len(), again: recorded.dropped.len() }
        );
        recorded
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

/// One that answers this, and counts how often it was asked.
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
fn only_what_came_is_staged() {
    let home = tempfile::tempdir().unwrap();
    crate::delivery::trial::takes_only_what_came(&mut MboxInlet::new(home.path().to_owned(), || Time(0)));
}

/// What leads to an mbox is found out by where it stands, not by its name.
#[test]
fn a_path_leads_to_an_mbox_through_its_links() {
    let home = Home::new();
    let mail = home.mbox().parent().unwrap().canonicalize().unwrap();
    std::os::unix::fs::symlink(&mail, mail.with_file_name("link")).unwrap();
    std::os::unix::fs::symlink("mbox", mail.join("inbox")).unwrap();
    let mbox = mail.join("mbox");
    for (path, leads) in
        [("mail/mbox", true), ("link/mbox", true), ("link/inbox", true), ("mail/other", false)]
    {
        assert_eq!(leads_to(&home.directory.path().join(path), None, &mbox), leads, "{path}");
    }
    assert!(!leads_to(Path::new("/nonexistent/mbox"), None, Path::new("/nonexistent/mbox")));
}

/// A spool without which an open line couldn't be settled stays, and so does the marker.
#[test]
fn only_spools_that_no_open_line_names_are_removed() {
    let home = Home::new();
    let unsettled = home.die(false);
    let named = home.names("state/ledger");
    for other in ["spool-0", "other", "ledger"] {
        fs::write(home.state().join(other), "x").unwrap();
    }
    assert_eq!(home.names("state/mbox-open").len(), 1);
    clean_up(&home.root(), &home.state(), "aa", &unsettled.intents).unwrap();
    let mut expected = [&named[..], &["ledger".to_owned(), "other".to_owned()]].concat();
    expected.sort();
    assert_eq!((home.names("state/ledger"), home.names("state/mbox-open").len()), (expected, 1));
    clean_up(&home.root(), &home.state(), "aa", &[]).unwrap();
    assert_eq!(
        (home.names("state/ledger"), home.names("state/mbox-open").len()),
        (vec!["ledger".into(), "other".into()], 0)
    );
    clean_up(&home.root(), &home.root().join("never made"), "aa", &[]).unwrap();
    assert!(clean_up(&home.root(), &home.state().join("other"), "aa", &[]).is_err(), "it cannot be known");
}
