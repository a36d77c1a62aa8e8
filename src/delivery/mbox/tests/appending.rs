//! Batches that are appended, or taken back.

use super::*;

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
        [(TEXTS[0], true), (&large, true), (&large, false), (TEXTS[1], false), (TEXTS[2], true)]
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

#[test]
fn what_is_no_mbox_is_refused() {
    let refused = |home: &Home| {
        let error = home.deliver(&mut home.outlet(), &TEXTS).unwrap_err();
        assert!(error.exit_code() == ExitCode::CannotCreate && error.hint().is_some(), "{error:?}");
        let error = home.look(None, Duration::ZERO).unwrap_err();
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
        home.look(None, Duration::ZERO).unwrap();
    }
}

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
    let mut recorded = Recorded::default();
    assert!(matches!(outlet.publish(noted(staged), &mut recorded), Err(Error::Disk(_))));
    assert_eq!(home.read(), before);
    assert!(recorded.published.is_empty() && recorded.failed.is_empty());
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
    let outcome = outlet.publish(noted(staged), &mut Recorded::default());
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
    assert!(matches!(outlet.publish(noted(staged), &mut Recorded::default()), Err(Error::Later { .. })));
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
    // By custom, and to be known as dead if we die.
    let lock = fs::read_to_string(home.directory.path().join("mail/mbox.lock")).unwrap();
    assert!(lock.starts_with(&format!("{}\npopfetch ", std::process::id())), "{lock}");
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap().len(), 1);
    outlet.withdraw(staged.into_iter().map(|staged| staged.withdraw()).collect());
    assert_eq!((home.read().as_str(), home.names("mail")), ("From x\n\n", vec!["mbox".to_owned()]));
    assert_eq!(neighbours(&home.root(), &home.mbox(), "bb").unwrap(), []);
}

/// Small pieces are collected, but not without end.
#[test]
fn pieces_of_any_size_are_spooled_soon() {
    let home = Home::new();
    let mut inlet = MboxInlet::new(home.state(), || Time(0));
    let mut intake = inlet.open().unwrap();
    let spool = home.state().join(&home.names("state/ledger")[0]);
    let mut came = b"A: b\n\n".to_vec();
    intake.write(&came).unwrap();
    for (letter, size) in
        [10, 70_000, 100, 20_000, 65_535, 65_536, 1].into_iter().chain([5_000; 40]).enumerate()
    {
        let letter = b'a' + u8::try_from(letter % 26).unwrap();
        let piece = vec![letter; size];
        came.extend_from_slice(&piece);
        intake.write(&piece).unwrap();
        let spooled = usize::try_from(spool.metadata().unwrap().len()).unwrap();
        assert!(came.len() <= spooled + 64 * 1024, "{size}: {} of {}", spooled, came.len());
    }
    intake.finish(&facts(&came, "", "")).unwrap();
    let stored = fs::read(&spool).unwrap();
    assert!(stored[64 + FROM.len()..] == [came.as_slice(), b"\n\n"].concat());
}

/// The same octets at the end of the mbox are no proof that they are ours.
#[test]
fn what_others_wrote_in_place_of_our_line_ends_is_never_cut() {
    for (before, theirs) in [("From x\n\nbody", "X"), ("From x\n\nbody", "XY"), ("From x\n\nbody\n", "Z")] {
        let home = Home::new();
        fs::write(home.mbox(), before).unwrap();
        let mut outlet = home.outlet();
        let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
        fs::write(home.mbox(), format!("{before}{theirs}")).unwrap();
        assert!(matches!(outlet.publish(noted(staged), &mut Recorded::default()), Err(Error::Later { .. })));
        assert_eq!(home.read(), format!("{before}{theirs}"));
    }
}

/// Only what the ledger has noted is appended, at the places that it has noted.
#[test]
fn what_was_not_noted_or_not_staged_here_is_refused() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let refused = |outlet: &mut MboxOutlet, noted| {
        let error = outlet.publish(noted, &mut Recorded::default()).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Bug);
        assert_eq!(home.read(), "From x\n\n");
    };
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    refused(&mut outlet, noted(staged).split_off(1));
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    refused(&mut home.outlet(), noted(staged));
    drop(outlet);
    // Where nothing is to be delivered, no lock is taken.
    let mut outlet = home.outlet();
    assert_eq!(outlet.stage(Vec::new()).unwrap().len(), 0);
    assert_eq!(home.names("mail"), ["mbox"]);
    outlet.publish(Vec::new(), &mut Recorded::default()).unwrap();
    assert_eq!(home.names("mail"), ["mbox"]);
}

/// The user lets the link lead to another file while a run is at work.
#[test]
fn an_mbox_behind_a_link_that_is_led_elsewhere_has_a_marker_of_its_own() {
    let home = Home::new();
    let at = |name: &str| home.directory.path().canonicalize().unwrap().join("mail").join(name);
    let mut outlet = home.outlet();
    for name in ["one", "two"] {
        let _ = fs::remove_file(home.mbox());
        std::os::unix::fs::symlink(at(name), home.mbox()).unwrap();
        let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
        assert_eq!(neighbours(&home.root(), &at(name), "bb").unwrap().len(), 1, "{name}");
        outlet.publish(noted(staged), &mut Recorded::default()).unwrap();
        assert_eq!(neighbours(&home.root(), &at(name), "bb").unwrap(), [], "{name}");
        assert_eq!(fs::read_to_string(at(name)).unwrap(), entries().concat());
    }
}

#[test]
fn a_line_of_ours_stands_on_top_of_the_message() {
    let home = Home::new();
    let mut intake = MboxInlet::new(home.state(), || Time(0)).open().unwrap();
    let mut examiner = crate::message::Examiner::summing(b"Received: here\n");
    examiner.update(TEXTS[0]);
    intake.prepend(b"Received: here\n").unwrap();
    intake.write(TEXTS[0]).unwrap();
    let waiting = intake.finish(&examiner.finish()).unwrap();
    let stored = fs::read(home.state().join(&home.names("state/ledger")[0])).unwrap();
    let entry = entries()[0].replacen("A: 1", "Received: here\nA: 1", 1);
    assert!(stored.ends_with(entry.as_bytes()));
    assert_eq!(waiting.digest, crate::message::Digest::of(entry.as_bytes()));
}
