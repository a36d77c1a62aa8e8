//! What another ledger has left at the same mbox.

use super::*;
use crate::account::SyncMode;
use crate::delivery::destination::{Destination as _, Opening};
use crate::delivery::mbox::MboxDestination;

#[test]
fn what_another_ledger_left_is_settled_first() {
    let home = Home::new();
    let other = home.root().join("other");
    fs::create_dir(&other).unwrap();
    let open = || {
        let path = home.mbox().parent().unwrap().canonicalize().unwrap().join("mbox");
        super::super::Marker::new(&home.root(), "bb", &other, &path).open().unwrap();
    };
    open();
    assert!(matches!(home.deliver(&mut home.outlet(), &TEXTS), Err(Error::Later { .. })));
    // Whoever can settle it may have the locks, and nobody else.
    assert_eq!(home.names("mail"), ["mbox", "mbox.lock"]);
    assert!(fs::read_to_string(home.mbox().with_extension("lock")).unwrap().starts_with("0\n"));
    home.deliver(&mut home.outlet_with(Box::new(Answer(true))), &TEXTS).unwrap();
    assert_eq!(home.read(), entries().concat());
}

/// Whatever another ledger has left, it's neither looked at without end nor at full speed.
#[test]
fn a_neighbour_that_stays_open_is_not_asked_at_full_speed() {
    for answer in [|| Ok(true), || Ok(false), || Err(Error::later("the mbox is locked", "wait"))] {
        let (home, asked) = (Home::new(), Arc::default());
        let other = home.root().join("other");
        fs::create_dir(&other).unwrap();
        super::super::Marker::new(&home.root(), "bb", &other, &home.mbox()).open().unwrap();
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
    super::super::Marker::new(&home.root(), "bb", &other, &home.mbox()).open().unwrap();
    let damaged = || Err(broken_ledger());
    let mut outlet = home.outlet_with(Box::new(Counted(Arc::clone(&asked), damaged)));
    for _ in 0..2 {
        home.deliver(&mut outlet, &TEXTS).unwrap();
    }
    assert_eq!(home.read(), entries().concat().repeat(2));
    assert_eq!((*asked.lock().unwrap(), home.warnings.lock().unwrap().len()), (1, 1));
    assert_eq!(neighbours(&home.root(), &home.mbox(), "aa").unwrap().len(), 1, "for its own run");
}

/// What a run has left that was killed in the midst of an entry, nobody may read who takes both locks: also where this run
/// has nothing to deliver.
#[test]
fn a_look_leaves_a_dead_dotlock_where_another_ledger_is_unsettled() {
    let home = Home::new();
    let other = home.root().join("other");
    fs::create_dir(&other).unwrap();
    let path = home.mbox().parent().unwrap().canonicalize().unwrap().join("mbox");
    super::super::Marker::new(&home.root(), "bb", &other, &path).open().unwrap();
    fs::write(home.mbox(), &entries()[0][..20]).unwrap();
    let lock = home.mbox().with_extension("lock");
    fs::write(&lock, format!("999999999\npopfetch {} -\n", crate::clock::host_name())).unwrap();
    for _ in 0..2 {
        assert!(home.look(None, Duration::ZERO).unwrap(), "it must be settled");
        assert!(fs::read_to_string(&lock).unwrap().starts_with("0\npopfetch "));
    }
    home.outlet_with(Box::new(Answer(true))).settle_neighbours().unwrap();
    assert_eq!(home.names("mail"), ["mbox"]);
    assert!(!home.look(None, Duration::ZERO).unwrap());
}

/// Its own run may never come, and this one may have nothing to deliver.
#[test]
fn where_a_dotlock_is_a_dead_runs_the_mbox_is_settled_when_it_is_opened() {
    let home = Home::new();
    let other = home.root().join("other");
    fs::create_dir(&other).unwrap();
    let path = home.mbox().parent().unwrap().canonicalize().unwrap().join("mbox");
    super::super::Marker::new(&home.root(), "bb", &other, &path).open().unwrap();
    fs::write(home.mbox(), "").unwrap();
    let lock = home.mbox().with_extension("lock");
    let (stop, root, state) = (Stop::new().unwrap(), home.root(), home.state());
    let around = Surroundings {
        owner: None,
        stop: &stop,
        state_root: &root,
        state: &state,
        search: None,
        stdout_is_regular_file: false,
    };
    let destination = MboxDestination::new(home.mbox(), around);
    for (is_locked, expected) in [(false, 0), (true, 1)] {
        if is_locked {
            fs::write(&lock, format!("999999999\npopfetch {} -\n", crate::clock::host_name())).unwrap();
        }
        let asked = Arc::default();
        let opening = Opening {
            account: "me",
            server: "pop.example.com",
            host: "here",
            sync: SyncMode::Off,
            ledger: "aa",
            delivered: true,
            intents: Vec::new(),
            neighbours: Box::new(Counted(Arc::clone(&asked), || Err(broken_ledger()))),
            warn: Box::new(|_| {}),
            clock: || NOW,
        };
        destination.open(opening).map(drop).unwrap();
        assert_eq!(*asked.lock().unwrap(), expected);
    }
}

/// Its ledger was moved away, and another one begun in its place: nobody has intents there.
#[test]
fn what_a_ledger_left_that_was_moved_away_is_forgotten() {
    for linked in [false, true] {
        let (home, asked) = (Home::new(), Arc::default());
        let link = home.directory.path().join("link");
        std::os::unix::fs::symlink(home.root(), &link).unwrap();
        let ledger = if linked { link.join("ledger") } else { home.state() };
        super::super::Marker::new(&home.root(), "bb", &ledger, &home.mbox()).open().unwrap();
        let mut outlet = home.outlet_with(Box::new(Counted(Arc::clone(&asked), || Ok(false))));
        home.deliver(&mut outlet, &TEXTS).unwrap();
        assert_eq!(*asked.lock().unwrap(), 0);
        assert_eq!(home.names("state/mbox-open").len(), 1, "only ours");
    }
}

/// Its run may just be at the end.
#[test]
fn a_neighbour_that_is_at_work_is_asked_again() {
    struct AtTheSecond(Arc<Mutex<u32>>);
    impl Neighbours for AtTheSecond {
        fn settle(&mut self, neighbour: &Neighbour, mbox: &Path) -> Result<bool, Error> {
            let mut asked = self.0.lock().unwrap();
            *asked += 1;
            Answer(*asked == 2).settle(neighbour, mbox)
        }
    }
    let (home, asked) = (Home::new(), Arc::default());
    let other = home.root().join("other");
    fs::create_dir(&other).unwrap();
    super::super::Marker::new(&home.root(), "bb", &other, &home.mbox()).open().unwrap();
    let mut outlet = home.outlet_with(Box::new(AtTheSecond(Arc::clone(&asked))));
    outlet.patience = Duration::from_secs(60);
    home.deliver(&mut outlet, &TEXTS).unwrap();
    assert_eq!((home.read(), *asked.lock().unwrap()), (entries().concat(), 2));
}
