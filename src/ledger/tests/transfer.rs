//! A ledger as a whole: taken elsewhere, written out and put back, removed.

use super::*;
use crate::ledger::Outline;

fn lock(directory: &Path) -> Lock {
    Lock::acquire(directory, Wait::NO, &Stop::new().unwrap()).unwrap()
}

#[test]
fn a_copy_for_another_mailbox_holds_the_same_and_belongs_to_that() {
    let [old, new] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let other = Mailbox { user: "you".into(), host: "other.example".into(), port: 995 };
    let mut ledger = open(old.path());
    deliver(&mut ledger, "a", "a");
    ledger.fail(&key("b"), None, Some(Time(NOW.0 + 60))).unwrap();
    ledger.sync().unwrap();
    let before = octets(old.path());
    let extent = ledger.copy_to(new.path(), &other, &lock(new.path())).unwrap();
    assert_eq!(octets(old.path()), before, "the old one stays");
    assert_eq!(Ledger::mailbox_of(new.path()).unwrap(), Some(other.clone()));
    let copied = Ledger::read(new.path(), &other, NOW).unwrap();
    assert_eq!(picture(&copied), picture(&ledger));
    assert!(matches!(Ledger::read(new.path(), &mailbox(), NOW), Err(Error::Damaged { .. })));
    Ledger::check_extent(new.path(), Some(extent)).unwrap();
}

#[test]
fn a_ledgers_text_is_outlined_and_put_back() {
    let [home, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut ledger = open(home.path());
    deliver(&mut ledger, "a", "a");
    deliver(&mut ledger, "b", "b");
    let (id, before) = (ledger.id().to_owned(), picture(&ledger));
    ledger.close().unwrap();
    let text = Ledger::text(home.path()).unwrap();
    assert_eq!(text, octets(home.path()));
    let outline = Outline::of(&text, &mailbox()).unwrap();
    assert_eq!(outline, Outline { id, generation: 1, time: NOW, messages: 2, unfinished: false });
    std::fs::write(elsewhere.path().join("ledger"), "what was there").unwrap();
    let extent = Ledger::install(elsewhere.path(), &text, &outline, &lock(elsewhere.path())).unwrap();
    assert_eq!(octets(elsewhere.path()), text);
    assert_eq!(picture(&open(elsewhere.path())), before);
    assert_eq!(extent.octets, u64::try_from(text.len()).unwrap());
    Ledger::check_extent(elsewhere.path(), Some(extent)).unwrap();
}

#[test]
fn what_is_unfinished_in_a_ledgers_text_is_reported() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "a");
    ledger.sync().unwrap();
    let of = |text: &[u8]| Outline::of(text, &mailbox()).map(|outline| outline.unfinished);
    let text = octets(home.path());
    assert!(!of(&text).unwrap());
    assert!(of(&[text.as_slice(), b"tor"].concat()).unwrap(), "its end is torn");
    let to = maildir(&mut ledger);
    let _ = note(&mut ledger, vec![piece(&arrival(key("b"), "b", &[to]), to)]);
    assert!(of(&octets(home.path())).unwrap(), "a delivery is open");
    for bad in [&b""[..], b"popfetch-led", b"mail\n"] {
        assert!(matches!(of(bad), Err(Error::Damaged { line: 1, .. })), "{bad:?}");
    }
}

#[test]
fn a_file_that_is_too_large_for_a_ledger_is_not_read() {
    let home = tempfile::tempdir().unwrap();
    let file = File::create(home.path().join("ledger")).unwrap();
    file.set_len(1024 * 1024 * 1024 + 1).unwrap();
    assert!(matches!(Ledger::text(home.path()), Err(Error::Disk(_))));
}

/// Before it is taken for whole, each line that something would be looked up in is read.
#[test]
fn a_line_that_has_changed_since_it_was_read_is_found() {
    let (home, mut ledger) = begun();
    deliver(&mut ledger, "a", "one");
    deliver(&mut ledger, "a", "another");
    ledger.fail(&key("never delivered"), None, None).unwrap();
    ledger.close().unwrap();
    let text = String::from_utf8(octets(home.path())).unwrap();
    assert_eq!(text.matches("message ").count(), 2);
    read(home.path()).unwrap().read_lines().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for word in ["message 0", "message 1", "failed "] {
        let at = lines.iter().position(|line| line.starts_with(word)).unwrap();
        let ledger = read(home.path()).unwrap();
        std::fs::write(home.path().join("ledger"), text.replacen(word, &word.to_uppercase(), 1)).unwrap();
        match ledger.read_lines() {
            Err(Error::Damaged { line, .. }) => assert_eq!(line, u64::try_from(at + 1).unwrap(), "{word}"),
            other => panic!("{word}: {other:?}"),
        }
        std::fs::write(home.path().join("ledger"), &text).unwrap();
    }
}

#[test]
fn a_discarded_ledger_leaves_nothing_but_what_others_have_put_there() {
    for other in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("state");
        open(&directory).close().unwrap();
        for file in ["memory", "memory.new", "reports", "reports.new", "ledger.new"] {
            std::fs::write(directory.join(file), "x").unwrap();
        }
        if other {
            std::fs::write(directory.join("mine"), "x").unwrap();
        }
        Ledger::discard(&directory, lock(&directory)).unwrap();
        assert_eq!(directory.exists(), other);
        if other {
            let names: Vec<_> = directory.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, ["mine"]);
        }
    }
}
