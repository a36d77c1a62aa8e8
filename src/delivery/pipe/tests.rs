//! Real programs, run by `sh -c`.

use super::{PipeCommand, PipeInlet, PipeOutlet, PipeSettings, check};
use crate::delivery::trial::{Recorded, noted, piece, pieces};
use crate::delivery::{Error, Outlet as _};
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::signals::Stop;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

fn outlet(home: &Path, command: PipeCommand, parallel: u16, time_limit: Duration) -> PipeOutlet {
    PipeOutlet::new(PipeSettings {
        command,
        time_limit,
        parallel,
        account: "work".to_owned(),
        server: "pop.example".to_owned(),
        state: home.to_owned(),
        owner: None,
        bound: false,
        stop: Stop::new().unwrap(),
        grace: PipeSettings::GRACE,
    })
}

fn shell(home: &Path, line: &str, parallel: u16) -> PipeOutlet {
    let line = line.replace("HERE", home.to_str().unwrap());
    outlet(home, PipeCommand::Shell(line), parallel, Duration::from_secs(60))
}

fn publish(
    home: &Path,
    outlet: &mut PipeOutlet,
    texts: &[&[u8]],
    recorded: &mut Recorded,
) -> Result<(), Error> {
    let staged = outlet.stage(pieces(&mut PipeInlet::new(home.to_owned()), texts)).unwrap();
    outlet.publish(noted(staged), recorded)
}

#[test]
fn only_exit_0_delivers() {
    let home = tempfile::tempdir().unwrap();
    let cases = [
        ("cat >/dev/null; exit 0", None),
        ("exit 0", None),
        ("echo why >&2; exit 75", Some((false, "exit status 75): \"why\""))),
        ("exit 65", Some((true, "exit status 65)"))),
        ("exit 67", Some((true, "exit status 67)"))),
        ("exit 69", Some((true, "exit status 69)"))),
        ("printf '\\033[31m'; exit 77", Some((true, "exit status 77): \"\\x1b[31m\""))),
        ("exit 1", Some((false, "exit status 1)"))),
        ("exit 78", Some((false, "exit status 78)"))),
        ("kill -15 $$", Some((false, "killed by signal 15"))),
    ];
    for (line, expected) in cases {
        let mut recorded = Recorded::default();
        publish(home.path(), &mut shell(home.path(), line, 1), &[b"x\n"], &mut recorded).unwrap();
        match expected {
            None => assert_eq!(recorded.published, [1], "{line}"),
            Some((permanent, reason)) => {
                let (1, failure) = &recorded.failed[0] else { panic!("{line}") };
                assert_eq!((failure.permanent, failure.exit), (permanent, ExitCode::Later), "{line}");
                assert!(failure.reason.ends_with(reason), "{line}: {}", failure.reason);
            }
        }
    }
    let mut recorded = Recorded::default();
    let command = PipeCommand::Shell("exec sleep 60".to_owned());
    let mut outlet = outlet(home.path(), command, 1, Duration::from_millis(50));
    publish(home.path(), &mut outlet, &[b"x\n"], &mut recorded).unwrap();
    assert!(recorded.failed[0].1.reason.ends_with("time limit of 50ms") && !recorded.failed[0].1.permanent);
}

#[test]
fn a_missing_program_needs_a_human() {
    let home = tempfile::tempdir().unwrap();
    let here = home.path().to_str().unwrap();
    let plain = format!("{here}/plain");
    std::fs::write(&plain, "not executable").unwrap();
    let argv = |program: &str| PipeCommand::Argv(vec![program.to_owned()]);
    let search = Some(OsStr::new("/nowhere:/bin"));
    for program in ["/no/such", "nosuch", &plain, here, ""] {
        let refused = check(&argv(program), search).unwrap_err();
        assert_eq!(refused.exit_code(), ExitCode::Configuration, "{program}");
        let mut recorded = Recorded::default();
        let mut outlet = outlet(home.path(), argv(program), 1, Duration::from_secs(60));
        publish(home.path(), &mut outlet, &[b"x\n", b"y\n"], &mut recorded).unwrap();
        let exits: Vec<ExitCode> = recorded.failed.iter().map(|(_, failure)| failure.exit).collect();
        assert_eq!(exits, [ExitCode::Configuration; 2], "{program}");
    }
    for program in ["sh", "/bin/sh"] {
        check(&argv(program), search).unwrap();
    }
    assert!(check(&argv("bin/sh"), Some(OsStr::new("/"))).is_err(), "a path is not looked for");
    let mut recorded = Recorded::default();
    publish(home.path(), &mut shell(home.path(), "nosuchcommand", 1), &[b"x\n"], &mut recorded).unwrap();
    assert_eq!(recorded.failed[0].1.exit, ExitCode::Configuration);
}

#[test]
fn a_program_gets_the_message_and_who_it_is_from() {
    let home = tempfile::tempdir().unwrap();
    let mut inlet = PipeInlet::new(home.path().to_owned());
    let large: Vec<u8> = b"0123456789abcde\n".repeat(40_000);
    let line = "{ echo $SENDER,$RECIPIENT,$POPFETCH_ACCOUNT,$POPFETCH_SERVER; cat; } >HERE/$RECIPIENT; ls /proc/$$/fd >HERE/fds";
    let pieces = vec![
        piece(&mut inlet, b"small\n", 1, "a@b", "one"),
        piece(&mut inlet, &large, 2, "", "two"),
        piece(&mut inlet, b"", 3, "$(x)", "three"),
    ];
    let mut outlet = shell(home.path(), line, 1);
    let mut recorded = Recorded::default();
    let staged = outlet.stage(pieces).unwrap();
    outlet.publish(noted(staged), &mut recorded).unwrap();
    assert_eq!(recorded.published, [1, 2, 3]);
    let got = |name: &str| std::fs::read(home.path().join(name)).unwrap();
    assert_eq!(got("one"), b"a@b,one,work,pop.example\nsmall\n");
    assert_eq!(got("three"), b"$(x),three,work,pop.example\n");
    assert!(got("two") == [b"MAILER-DAEMON,two,work,pop.example\n", large.as_slice()].concat());
    let inherited = String::from_utf8(got("fds")).unwrap();
    assert!(
        inherited.lines().filter_map(|fd| fd.parse().ok()).all(|fd: u32| !(3..10).contains(&fd)),
        "{inherited}"
    );
}

#[test]
fn each_outcome_is_synced_before_the_next_but_one_is_handed_over() {
    let home = tempfile::tempdir().unwrap();
    let mut recorded = Recorded::default();
    publish(
        home.path(),
        &mut shell(home.path(), "cat >>HERE/out", 1),
        &[b"1\n", b"2\n", b"3\n", b"4\n"],
        &mut recorded,
    )
    .unwrap();
    assert_eq!((recorded.published, recorded.syncs), (vec![1, 2, 3, 4], vec![1, 2, 3]));
    assert_eq!(std::fs::read(home.path().join("out")).unwrap(), b"1\n2\n3\n4\n");
}

#[test]
fn several_run_at_once_and_no_more_than_that() {
    let home = tempfile::tempdir().unwrap();
    // Each waits until a second one is there; a third never is.
    let line = "touch HERE/$$; while [ $(ls HERE | grep -c '^[0-9]*$') -lt 2 ] && [ ! -e HERE/go ]; do sleep 0.01; done; \
                touch HERE/go; ls HERE | grep -c '^[0-9]*$' >>HERE/counts; rm HERE/$$";
    let mut recorded = Recorded::default();
    publish(home.path(), &mut shell(home.path(), line, 2), &[b"1\n".as_slice(); 6], &mut recorded).unwrap();
    recorded.published.sort_unstable();
    assert_eq!(recorded.published, [1, 2, 3, 4, 5, 6]);
    let counts = std::fs::read_to_string(home.path().join("counts")).unwrap();
    assert!(counts.lines().all(|count| count.parse::<u32>().unwrap() <= 2), "{counts}");
}

#[test]
fn nothing_more_is_handed_over_when_the_ledger_breaks() {
    let home = tempfile::tempdir().unwrap();
    let mut recorded = Recorded { breaks_after: Some(2), ..Recorded::default() };
    let mut outlet = shell(home.path(), "cat >>HERE/out", 1);
    let texts: [&[u8]; 4] = [b"1\n", b"2\n", b"3\n", b"4\n"];
    assert!(matches!(publish(home.path(), &mut outlet, &texts, &mut recorded), Err(Error::Ledger(_))));
    assert_eq!(std::fs::read(home.path().join("out")).unwrap(), b"1\n2\n");
}

/// With the programs themselves where they are installed.
#[test]
fn procmail_and_maildrop_store_what_they_get() {
    let home = tempfile::tempdir().unwrap();
    let here = home.path().to_str().unwrap();
    std::fs::write(
        home.path().join("procmailrc"),
        format!("DEFAULT={here}/procmail\n:0:\n{here}/procmail\n"),
    )
    .unwrap();
    std::fs::write(home.path().join("maildroprc"), format!("to \"{here}/maildrop\"\n")).unwrap();
    std::fs::set_permissions(
        home.path().join("maildroprc"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    for mda in ["procmail", "maildrop"] {
        let argv = PipeCommand::Argv(vec![mda.to_owned(), format!("{here}/{mda}rc")]);
        if check(&argv, Some(OsStr::new("/bin:/usr/bin"))).is_err() {
            eprintln!("{mda} is not installed: not tested with it");
            continue;
        }
        let mut inlet = PipeInlet::new(home.path().to_owned());
        let senders = ["a@b.example", "", "-x", "$(touch evil)"];
        let pieces = senders
            .iter()
            .zip(1..)
            .map(|(sender, n)| piece(&mut inlet, b"Subject: s\n\nbody\n", n, sender, ""))
            .collect();
        let mut outlet = outlet(home.path(), argv, 1, Duration::from_secs(60));
        let mut recorded = Recorded::default();
        let staged = outlet.stage(pieces).unwrap();
        outlet.publish(noted(staged), &mut recorded).unwrap();
        assert_eq!((&recorded.published, &recorded.failed), (&vec![1, 2, 3, 4], &Vec::new()), "{mda}");
        let stored = std::fs::read_to_string(home.path().join(mda)).unwrap();
        let from: Vec<&str> = stored
            .lines()
            .filter(|line| line.starts_with("From "))
            .map(|line| line.split(' ').nth(1).unwrap())
            .collect();
        assert_eq!(from[..3], ["a@b.example", "MAILER-DAEMON", "-x"], "{mda}: {stored}");
        assert_eq!(from.len(), 4, "{mda}: {stored}");
    }
}

#[test]
fn only_what_came_is_handed_over() {
    let home = tempfile::tempdir().unwrap();
    crate::delivery::trial::takes_only_what_came(&mut PipeInlet::new(home.path().to_owned()));
}

/// What may pass on its own doesn't need the user, and what a program prints is shown as its own words.
#[test]
fn a_program_that_is_there_but_fails_is_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let words = |words: &[&str]| PipeCommand::Argv(words.iter().map(|word| (*word).to_owned()).collect());
    let too_long = "x".repeat(3_000_000);
    for (command, bound, reason) in [
        (words(&["/bin/sh", &too_long]), false, "cannot be started"),
        (words(&["/bin/sh", "-c", "exit 127"]), false, "did not take it (exit status 127)"),
        (words(&["/bin/sh", "-c", "exit 1"]), true, "did not take it (exit status 1); NoNewPrivileges="),
    ] {
        let mut outlet = outlet(home.path(), command, 1, Duration::from_secs(60));
        outlet.settings.bound = bound;
        let mut recorded = Recorded::default();
        publish(home.path(), &mut outlet, &[b"x\n"], &mut recorded).unwrap();
        let (_, failure) = &recorded.failed[0];
        assert_eq!((failure.exit, failure.permanent), (ExitCode::Later, false), "{reason}");
        assert!(failure.reason.contains(reason), "{}", failure.reason);
        assert_eq!(failure.reason.contains("NoNewPrivileges"), bound);
    }
}

/// However large a batch is.
#[test]
fn so_much_of_a_batch_stays_in_memory_and_no_more() {
    let home = tempfile::tempdir().unwrap();
    let mut inlet = PipeInlet::new(home.path().to_owned());
    let text = b"0123456789abcde\n".repeat(16 * 1024);
    let stay = |inlet: &mut PipeInlet, count: u32| {
        let pieces: Vec<_> = (1..=count).map(|number| piece(inlet, &text, number, "", "")).collect();
        let in_memory = |piece: &&crate::proof::Piece| {
            matches!(piece.place, crate::place::Place::Spooled(crate::place::Spooled::Memory(_)))
        };
        pieces.iter().filter(in_memory).count()
    };
    assert_eq!(stay(&mut inlet, 18), super::BATCH_IN_MEMORY / text.len());
    crate::delivery::Inlet::cut(&mut inlet);
    assert_eq!(stay(&mut inlet, 1), 1, "another batch");
}

/// A program that has lost its own rights fails in a way that nobody would understand.
#[test]
fn a_setuid_program_of_a_service_without_new_rights_is_bound() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let argv =
        |name: &str| PipeCommand::Argv(vec![home.path().join(name).into_os_string().into_string().unwrap()]);
    for (name, mode) in [("plain", 0o755), ("setuid", 0o4755), ("setgid", 0o2755)] {
        let path = home.path().join(name);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(!super::is_bound(&argv(name), None) || rustix::thread::no_new_privs().unwrap());
    }
    // For the rest of that thread's life.
    let bound = || {
        rustix::thread::set_no_new_privs(true).unwrap();
        ["plain", "setuid", "setgid", "missing"].map(|name| super::is_bound(&argv(name), None))
    };
    let bound = std::thread::scope(|scope| scope.spawn(bound).join().unwrap());
    assert_eq!(bound, [false, true, true, false]);
}

/// A program may take minutes, and a batch has hundreds of messages.
#[test]
fn what_is_not_handed_over_soon_after_a_stop_signal_comes_again() {
    let home = tempfile::tempdir().unwrap();
    for (raised, grace, handed) in
        [(false, Duration::ZERO, true), (true, Duration::from_secs(60), true), (true, Duration::ZERO, false)]
    {
        let mut outlet = shell(home.path(), "exit 0", 1);
        outlet.settings.grace = grace;
        if raised {
            outlet.settings.stop.raise();
        }
        let mut recorded = Recorded::default();
        publish(home.path(), &mut outlet, &[b"x\n", b"y\n"], &mut recorded).unwrap();
        assert_eq!(recorded.published.len(), if handed { 2 } else { 0 }, "{raised} {grace:?}");
        for (_, failure) in &recorded.failed {
            assert!(!failure.permanent && failure.reason.starts_with("popfetch was stopped before"));
        }
        assert_eq!(recorded.published.len() + recorded.failed.len(), 2);
    }
}

/// The time counts from the signal, and not from the end of the program that runs then.
#[test]
fn no_program_is_started_when_the_time_has_passed_while_another_one_ran() {
    let home = tempfile::tempdir().unwrap();
    let mut outlet = shell(home.path(), "sleep 0.8", 1);
    outlet.settings.grace = Duration::from_millis(300);
    let stop = outlet.settings.stop.clone();
    let raising = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        stop.raise();
    });
    let mut recorded = Recorded::default();
    publish(home.path(), &mut outlet, &[b"x\n", b"y\n"], &mut recorded).unwrap();
    raising.join().unwrap();
    assert_eq!((recorded.published.len(), recorded.failed.len()), (1, 1));
}
