//! Locks that others hold.

use super::*;

#[test]
fn only_a_dead_dotlock_is_taken_over() {
    let host = crate::clock::host_name();
    let start = boot::id().unwrap_or("-");
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    let dead_pid = dead.id();
    dead.wait().unwrap();
    // Process 1 is always there.
    let alive = 1;
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
    let recorded = home.deliver(&mut outlet, &TEXTS).and_then(|_| home.deliver(&mut outlet, &TEXTS));
    fs::set_permissions(&mail, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(recorded.unwrap().published, [1, 2, 3]);
    assert_eq!(home.warnings.lock().unwrap().len(), 1);
}

#[test]
fn two_accounts_of_one_run_take_turns() {
    let symbolic: fn(&Path, &Path) = |file, link| std::os::unix::fs::symlink(file, link).unwrap();
    let hard: fn(&Path, &Path) = |file, link| {
        fs::write(file, "").unwrap();
        fs::hard_link(file, link).unwrap();
    };
    for link in [symbolic, hard] {
        let home = Home::new();
        let other = home.directory.path().join("other");
        link(&home.mbox(), &other);
        let mut first = home.outlet();
        let staged = first.stage(home.pieces(&TEXTS[..1])).unwrap();
        let mut second = home.outlet();
        second.settings.path = other;
        assert!(matches!(home.deliver(&mut second, &TEXTS[1..2]), Err(Error::Later { .. })));
        second.patience = Duration::from_secs(60);
        let begun = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                begun.wait();
                home.look(None, Duration::from_secs(60)).unwrap();
            });
            let waiting = scope.spawn(|| home.deliver(&mut second, &TEXTS[1..2]).unwrap());
            begun.wait();
            first.publish(noted(staged), &mut Recorded::default()).unwrap();
            looking.join().unwrap();
            waiting.join().unwrap();
        });
        assert_eq!(home.read(), entries()[..2].concat());
    }
}

/// The fcntl lock: another process holds it, and lets go when its standard input ends.
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
        home.look(None, Duration::ZERO).unwrap();
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
    home.look(None, Duration::ZERO).unwrap();
    home.deliver(&mut home.outlet(), &TEXTS).unwrap();
    assert_eq!(fs::read_to_string(&real).unwrap(), entries().concat());
    assert!(home.mbox().is_symlink() && !lock.exists());
}

#[test]
fn a_dotlock_that_another_program_has_put_in_place_of_ours_is_left_to_it() {
    let home = Home::new();
    let lock = home.directory.path().join("mail/mbox.lock");
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&TEXTS)).unwrap();
    let other = home.directory.path().join("mail/other");
    fs::write(&other, "of another").unwrap();
    fs::rename(&other, &lock).unwrap();
    let _ = outlet.publish(noted(staged), &mut Recorded::default());
    drop(outlet);
    assert_eq!(fs::read_to_string(&lock).unwrap(), "of another");
}

/// As the mail directories of many systems are: only the mbox is the user's.
#[test]
fn where_root_may_but_the_owner_may_not_make_a_dotlock_the_other_lock_must_do() {
    let Ok(Some(nobody)) = Owner::find("nobody", &[].into()) else { return };
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(home.directory.path(), 0o755);
    mode(home.mbox().parent().unwrap(), 0o755);
    let missing = home.look(Some(&nobody), Duration::ZERO);
    assert_eq!(missing.unwrap_err().exit_code(), ExitCode::CannotCreate, "nor could an mbox be made there");
    fs::write(home.mbox(), "").unwrap();
    std::os::unix::fs::chown(home.mbox(), Some(nobody.uid()), None).unwrap();
    let mut outlet = home.outlet();
    outlet.settings.owner = Some(nobody);
    for _ in 0..2 {
        home.deliver(&mut outlet, &TEXTS).unwrap();
    }
    assert_eq!((home.read(), home.names("mail")), (entries().concat().repeat(2), vec!["mbox".to_owned()]));
    let warnings = home.warnings.lock().unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("no dotlock can be made"), "{warnings:?}");
}

/// Even if there is nothing to deliver: others would wait for it until there is.
#[test]
fn a_look_removes_the_dotlock_of_a_dead_run() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\n").unwrap();
    let lock = home.directory.path().join("mail/mbox.lock");
    for (start, left) in [("another-start", false), (boot::id().unwrap_or("-"), true)] {
        let host = crate::clock::host_name();
        fs::write(&lock, format!("1\npopfetch {host} {start}\n")).unwrap();
        home.look(None, Duration::ZERO).unwrap();
        assert_eq!(lock.exists(), left, "{start}");
    }
}

/// That doesn't pass on its own.
#[test]
fn a_dead_dotlock_that_cannot_be_removed_needs_the_user() {
    let home = Home::new();
    fs::write(home.mbox(), "").unwrap();
    let lock = home.directory.path().join("mail/mbox.lock");
    fs::create_dir(&lock).unwrap();
    let then = SystemTime::now() - Duration::from_secs(310);
    File::open(&lock).unwrap().set_modified(then).unwrap();
    assert!(matches!(home.deliver(&mut home.outlet(), &TEXTS), Err(Error::Disk(_))));
    assert_eq!((home.read().as_str(), lock.is_dir()), ("", true));
}
