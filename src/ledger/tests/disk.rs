//! In which order what is recorded reaches the disk, and what is left when the disk refuses.

use super::*;
use crate::durable::Step;
use crate::durable::trial::{steps, without_room};
use crate::ledger::Outline;
use std::cell::Cell;

fn fine(_: Step, _: &Path) -> bool {
    false
}

/// Refuses the step of this kind at a file of this name, but for the first `but`.
fn refuses(step: Step, name: &'static str, but: u32) -> impl Fn(Step, &Path) -> bool + 'static {
    let left = Cell::new(but);
    move |taken, path| {
        let is_it = taken == step && path.ends_with(name);
        is_it && (left.get() == 0 || left.replace(left.get() - 1) == 0)
    }
}

/// Where a step stands among those taken: the first of its kind at a file of this name.
fn place(taken: &[(Step, String)], step: Step, name: &str) -> usize {
    let found = taken.iter().position(|(kind, file)| *kind == step && file == name);
    found.unwrap_or_else(|| panic!("no {step:?} {name} in {taken:?}"))
}

fn directory_name(directory: &Path) -> String {
    directory.file_name().unwrap().to_string_lossy().into_owned()
}

fn lock(directory: &Path) -> Lock {
    Lock::acquire(directory, Wait::NO, &Stop::new().unwrap()).unwrap()
}

/// A power failure leaves the old ledger or the new one, whole; and the new one isn't taken for finished before its name
/// is on disk.
#[test]
fn a_rewritten_ledger_is_on_disk_before_it_replaces_the_old_one() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    ledger.sync().unwrap();
    let (_, taken) = steps(fine, || compact(&ledger));
    let written = place(&taken, Step::Write, "ledger.new");
    let synced = place(&taken, Step::Sync, "ledger.new");
    let replaced = place(&taken, Step::Rename, "ledger");
    let named = place(&taken, Step::Sync, &directory_name(home.path()));
    let finished = place(&taken, Step::Write, "ledger");
    let order = [written, synced, replaced, named, finished];
    assert!(order.is_sorted(), "{taken:?}");
    assert!(taken[synced..].iter().all(|step| *step != (Step::Write, "ledger.new".to_owned())));
}

/// Rot in what was just synced is then an error, not the end of a last group, to be dropped.
#[test]
fn damage_of_a_rewritten_ledger_is_never_taken_for_a_torn_end() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    ledger.sync().unwrap();
    compact(&ledger);
    let mut text = octets(home.path());
    let at = memchr::memmem::find(&text, b"known ").unwrap();
    text[at] ^= 1;
    assert!(matches!(load(&text), Err(Error::Damaged { .. })));
}

#[test]
fn where_a_rewriting_is_refused_the_old_ledger_stays_and_the_room_is_given_back() {
    for (step, file) in [
        (Step::Open, "ledger.new"),
        (Step::Write, "ledger.new"),
        (Step::Sync, "ledger.new"),
        (Step::Rename, "ledger"),
    ] {
        let (home, mut ledger) = begun();
        deliver(&mut ledger, "a", "a");
        ledger.sync().unwrap();
        let before = octets(home.path());
        let shape = LedgerShape::plain(PLAIN_VERSION);
        let (refused, _) = steps(refuses(step, file, 0), || ledger.rewrite(shape));
        assert!(matches!(refused, Err(Error::Disk(_))), "{step:?} {file}");
        assert_eq!(octets(home.path()), before);
        assert!(!home.path().join("ledger.new").exists(), "{step:?} {file}");
    }
}

#[test]
fn a_rewriting_that_the_disk_refuses_is_reported_but_not_where_it_only_lacks_room() {
    let full = || {
        let (home, mut ledger) = begun();
        let to = maildir(&mut ledger);
        let messages: Vec<_> =
            (0..400).map(|i| arrival(key(&format!("id{i}")), &i.to_string(), &[to])).collect();
        for noted in note(&mut ledger, messages.iter().map(|m| piece(m, to)).collect()) {
            let _ = ledger.record(Published::attest(noted)).unwrap();
        }
        (home, ledger)
    };
    let (_home, ledger) = full();
    let (closed, _) = steps(refuses(Step::Sync, "ledger.new", 0), || ledger.close());
    assert!(matches!(closed, Err(Error::Disk(_))));
    let (home, ledger) = full();
    let closed = without_room(refuses(Step::Write, "ledger.new", 0), || ledger.close());
    assert!(closed.unwrap().is_some(), "what is on disk is known");
    let ledger = open(home.path());
    assert_eq!((ledger.len(), ledger.intents().len()), (400, 0));
}

/// Else the next run takes for on disk what a power failure can still undo.
#[test]
fn a_run_has_ended_in_order_only_when_what_it_did_is_on_disk() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    let (closed, taken) = steps(fine, || ledger.close());
    closed.unwrap();
    let ended = taken.iter().rposition(|step| *step == (Step::Write, "ledger".to_owned())).unwrap();
    assert!(place(&taken, Step::Sync, "ledger") < ended, "{taken:?}");
    assert!(Ledger::rests(home.path()));
    let mut ledger = open(home.path());
    deliver(&mut ledger, "b", "b");
    let (closed, _) = steps(refuses(Step::Sync, "ledger", 0), || ledger.close());
    assert!(matches!(closed, Err(Error::Disk(_))));
    assert!(!Ledger::rests(home.path()));
}

/// A copy is removed only when the line that gives it up is on disk: else its absence would be taken for a delivery.
#[test]
fn what_is_dropped_or_settled_is_on_disk_when_that_is_reported() {
    let (_home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    let messages = ["a", "b", "c"].map(|m| arrival(key(m), m, &[to]));
    let _ = note(&mut ledger, messages.iter().map(|message| piece(message, to)).collect());
    let intents: Vec<_> = ledger.intents().iter().map(|intent| intent.id).collect();
    type Settle<'a> = Box<dyn FnOnce(&mut Ledger) -> Result<(), Error> + 'a>;
    let all: [(&str, Settle<'_>); 4] = [
        ("dropped", Box::new(|ledger| ledger.settle_dropped(&intents[..1]))),
        ("given up", Box::new(|ledger| ledger.give_up(&[to]))),
        ("imported", Box::new(|ledger| ledger.import(&[(unique_id("i"), UsersWord::Seen)]).map(drop))),
        ("forgotten", Box::new(|ledger| forget(ledger, &[unique_id("i")]).map(drop))),
    ];
    for (what, settle) in all {
        let (settled, taken) = steps(fine, || settle(&mut ledger));
        settled.unwrap();
        let written = taken.iter().rposition(|step| *step == (Step::Write, "ledger".to_owned())).unwrap();
        let synced = taken.iter().rposition(|step| *step == (Step::Sync, "ledger".to_owned()));
        assert!(synced.is_some_and(|synced| synced > written), "{what}: {taken:?}");
    }
}

/// Nothing of it may be left: half a line would be damage as soon as anything is added.
#[test]
fn a_write_that_breaks_off_is_taken_back() {
    let (home, mut ledger) = begun();
    let to = maildir(&mut ledger);
    ledger.sync().unwrap();
    let before = octets(home.path());
    ledger.fail(&key("failed"), None, None).unwrap();
    let (refused, _) = steps(refuses(Step::Write, "ledger", 1), || ledger.flush());
    assert!(matches!(refused, Err(Error::Disk(_))));
    assert_eq!(octets(home.path()), before);
    // It is held back still.
    ledger.flush().unwrap();
    let message = arrival(key("a"), "a", &[to]);
    let held = octets(home.path());
    let staged = vec![piece(&message, to)];
    let (refused, taken) = steps(refuses(Step::Write, "ledger", 1), || ledger.note(staged));
    let Err((Error::Disk(_), back)) = refused else { panic!("{refused:?}") };
    assert_eq!(back.len(), 1, "it may be withdrawn");
    assert_eq!(octets(home.path()), held);
    let cut = place(&taken, Step::Truncate, "ledger");
    assert!(place(&taken, Step::Sync, "ledger") > cut, "until then a power failure could bring it back");
    let _ = note(&mut ledger, back);
    assert_eq!(count_of(home.path(), "staged "), 1);
    let picture_now = picture(&ledger);
    assert_eq!(picture(&read(home.path()).unwrap()), picture_now);
}

/// A copy whose line may be on disk must stay where it is: its absence would be taken for a delivery.
#[test]
fn copies_whose_lines_may_be_on_disk_do_not_come_back() {
    let may_be_there: [&[(Step, u32)]; 3] =
        [&[(Step::Sync, 0)], &[(Step::Write, 1), (Step::Truncate, 0)], &[(Step::Write, 1), (Step::Sync, 0)]];
    for refused in may_be_there {
        let (_home, mut ledger) = begun();
        let to = maildir(&mut ledger);
        ledger.sync().unwrap();
        let message = arrival(key("a"), "a", &[to]);
        let staged = vec![piece(&message, to)];
        let all: Vec<_> = refused.iter().map(|(step, but)| refuses(*step, "ledger", *but)).collect();
        let (noted, _) =
            steps(move |step, path| all.iter().any(|refuses| refuses(step, path)), || ledger.note(staged));
        let Err((Error::Disk(_), back)) = noted else { panic!("{noted:?}") };
        assert!(back.is_empty(), "{refused:?}");
        assert!(matches!(ledger.sync(), Err(Error::Broken { .. })), "{refused:?}");
    }
}

#[test]
fn a_ledger_that_is_put_in_another_place_is_on_disk_first() {
    let [home, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    open(home.path()).close().unwrap();
    let text = Ledger::text(home.path()).unwrap();
    let outline = Outline::of(&text, &mailbox()).unwrap();
    let held = lock(elsewhere.path());
    let install = || Ledger::install(elsewhere.path(), &text, &outline, &held);
    for (step, file) in [(Step::Write, "ledger.new"), (Step::Sync, "ledger.new"), (Step::Rename, "ledger")] {
        std::fs::write(elsewhere.path().join("ledger"), "old").unwrap();
        std::fs::write(elsewhere.path().join("ledger.new"), "left by a crash").unwrap();
        let (refused, _) = steps(refuses(step, file, 0), install);
        assert!(matches!(refused, Err(Error::Disk(_))), "{step:?}");
        assert_eq!(octets(elsewhere.path()), b"old");
        assert!(!elsewhere.path().join("ledger.new").exists(), "{step:?}");
    }
    let (installed, taken) = steps(fine, install);
    installed.unwrap();
    let order = [
        place(&taken, Step::Sync, "ledger.new"),
        place(&taken, Step::Rename, "ledger"),
        place(&taken, Step::Sync, &directory_name(elsewhere.path())),
    ];
    assert!(order.is_sorted(), "{taken:?}");
}

/// A memory without a ledger would show that one was lost, and be an error for ever.
#[test]
fn a_discarded_ledgers_memory_goes_first_and_its_lock_last() {
    let home = tempfile::tempdir().unwrap();
    open(home.path()).close().unwrap();
    let (discarded, taken) = steps(fine, || Ledger::discard(home.path(), lock(home.path())));
    discarded.unwrap();
    let order = ["memory", "ledger", "lock"].map(|name| place(&taken, Step::Remove, name));
    assert!(order.is_sorted(), "{taken:?}");
}

/// However much is recorded between two syncs, it isn't all held in memory.
#[test]
fn what_is_held_back_is_bounded() {
    let (home, mut ledger) = begun();
    let before = octets(home.path()).len();
    for n in 0..200 {
        ledger.fail(&key(&format!("{n:0900}")), None, None).unwrap();
    }
    let written = octets(home.path()).len() - before;
    assert!(written > 100_000, "{written}");
}

/// A delivery that can no longer be recorded comes twice.
#[test]
fn room_for_the_outcomes_is_taken_before_anything_is_published() {
    use std::os::unix::fs::MetadataExt as _;
    let home = tempfile::tempdir().unwrap();
    let probe = File::create_new(home.path().join("probe")).unwrap();
    if rustix::fs::fallocate(&probe, rustix::fs::FallocateFlags::KEEP_SIZE, 0, 100_000).is_err()
        || probe.metadata().unwrap().blocks() * 512 < 100_000
    {
        eprintln!("no room can be taken here: not tested");
        return;
    }
    let mut ledger = open(home.path());
    let to = maildir(&mut ledger);
    let messages: Vec<_> = (0..1_000).map(|n| arrival(key(&n.to_string()), &n.to_string(), &[to])).collect();
    let noted = note(&mut ledger, messages.iter().map(|message| piece(message, to)).collect());
    let held = home.path().join("ledger").metadata().unwrap();
    let room = held.blocks() * 512;
    for noted in noted {
        let _ = ledger.record(Published::attest(noted)).unwrap().unwrap();
    }
    ledger.sync().unwrap();
    let all = u64::try_from(octets(home.path()).len()).unwrap();
    assert!(all > held.len() + 10_000 && room >= all, "{room} of {all}");
}
