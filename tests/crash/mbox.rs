//! What is an mbox's own: torn tails, two accounts in one file, locks.

use std::fs::{File, FileTimes};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::case::Kind::Mbox;
use super::case::{Case, Plan, tiny};
use crate::support::installed;
use crate::support::mailboxes::{assert_same, mbox_messages};

fn plan() -> Plan {
    Plan::new(&[Mbox], true)
}

/// Python with these lines, `path` set to the mbox; once it has printed a line.
fn python(path: &Path, script: &str) -> Option<Child> {
    let script = format!("import fcntl, mailbox, sys\npath = sys.argv[1]\n{script}");
    let mut command = Command::new(installed("python3")?);
    command.arg("-c").arg(script).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    Some(child)
}

const HOLD: &str =
    "f = open(path, 'r+b')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint('ready', flush=True)\nsys.stdin.read()";

fn release(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[cfg(feature = "crash-points")]
mod torn {
    use super::*;
    use crate::support::mail::message;
    use crate::support::mailboxes::split_mbox;
    use crate::support::sandbox::Sandbox;
    use crate::support::server::{Account, Message, Options, Server};

    fn half_appended(plan: &Plan) -> Case {
        // A write counts twice: before it, and when half of it is done.
        Case::crashed_at(plan, 1, |step| step == "Write ~/mail/box")
    }

    #[test]
    fn torn_tail_is_cut_off() {
        let case = half_appended(&plan().primed());
        let torn = std::fs::read(case.mbox()).unwrap();
        case.recovers(0);
        let primer = split_mbox(&std::fs::read(case.mbox()).unwrap()).remove(0);
        assert_eq!(primer.octets, case.message("primer"));
        assert!(torn.len() > primer.octets.len() + 200, "nothing was torn");
    }

    /// Other accounts must see, also after a power failure, that the mbox may end in a part of ours.
    #[test]
    fn append_is_noted_on_disk_before_it_begins() {
        let run = Case::new(plan().of(tiny(2))).popfetch().record_steps().run();
        run.succeeds();
        let at = |wanted: &dyn Fn(&str) -> bool| run.steps.iter().position(|step| wanted(step));
        let appended = at(&|step| step.contains(" Write ") && step.ends_with("/mail/box")).unwrap();
        let marked = at(&|step| step.contains(" Sync ") && step.contains("/mbox-open/"));
        let named = at(&|step| step.contains(" Sync ") && step.ends_with("/mbox-open"));
        assert!(marked.is_some_and(|at| at < appended), "{:#?}", run.steps);
        assert!(named.is_some_and(|at| at < appended), "{:#?}", run.steps);
    }

    /// A killed run leaves what it appended in the page cache only.
    #[test]
    fn recovery_syncs_what_was_appended() {
        let case = Case::crashed_at(&plan().primed(), 0, |step| step == "Sync ~/mail/box");
        let run = case.popfetch().record_steps().run();
        run.succeeds();
        let at = |from: usize, what: &str, file: &str| {
            let is = |step: &String| step.contains(&format!(" {what} ")) && step.ends_with(file);
            run.steps.iter().skip(from).position(is).map(|at| at + from)
        };
        let synced = at(0, "Sync", "/mail/box").expect("the sync of the mbox");
        let recorded = at(synced, "Write", "/ledger").expect("the word that they're delivered");
        let kept = at(recorded, "Sync", "/ledger").expect("the sync of the ledger");
        assert!(at(0, "Write", "/mail/box").is_none_or(|appended| appended > kept), "{:#?}", run.steps);
        assert!(at(0, "Remove", "/mail/box").is_none());
        case.is_complete(0);
    }

    /// Where they went is not known: the folder that a reader writes to is on the disk before they count as delivered.
    #[test]
    fn what_a_reader_took_away_counts_as_delivered_when_its_folder_is_on_the_disk() {
        let case = Case::crashed_at(&plan().primed(), 0, |step| step == "Sync ~/mail/box");
        std::fs::write(case.mbox(), "").unwrap();
        let run = case.popfetch().record_steps().run();
        run.succeeds();
        let at = |from: usize, what: &str, path: &str| {
            let is = |step: &String| step.contains(&format!(" {what} ")) && step.contains(path);
            run.steps.iter().skip(from).position(is).map(|at| at + from)
        };
        let ends = |step: &String| step.contains(" Sync ") && step.ends_with("/mail");
        let synced = run.steps.iter().position(ends).expect("the sync of the folder");
        let recorded = at(synced, "Write", "/ledger").expect("the word that they're delivered");
        let kept = at(recorded, "Sync", "/ledger").expect("the sync of the ledger");
        assert!(at(0, "Remove", "/spool-").is_some_and(|removed| kept < removed), "{:#?}", run.steps);
        assert!(mbox_messages(&case.mbox()).is_empty() && case.server.unique_ids("me").is_empty());
    }

    #[test]
    fn mail_behind_a_torn_tail_is_kept() {
        let case = half_appended(&plan().of(vec![message(1, 20_000)]));
        // As a program does that has waited long enough.
        std::fs::remove_file(case.sandbox.path("mail/box.lock")).unwrap();
        let add = "box = mailbox.mbox(path)\nbox.lock()\nbox.add(b'Subject: theirs\\n\\nhello\\n')\nbox.flush()\n\
                   box.unlock()\nprint('ready')";
        let Some(child) = python(&case.mbox(), add) else { return };
        release(child);
        let before = std::fs::read(case.mbox()).unwrap();
        assert!(before.ends_with(b"Subject: theirs\n\nhello\n\n") && before.len() > 5_000);
        case.run().succeeds();
        let after = std::fs::read(case.mbox()).unwrap();
        let added = after.strip_prefix(&before[..]).expect("nothing is cut");
        let added: Vec<Vec<u8>> = split_mbox(added).into_iter().map(|message| message.octets).collect();
        assert_same(added, case.expected());
        assert!(case.server.unique_ids("me").is_empty());
        case.nothing_is_left_over();
        case.idles();
    }

    #[test]
    fn failed_write_leaves_the_old_length() {
        for half in [0, 1] {
            let case = Case::failed_at(&plan().primed(), half, |step| step == "Write ~/mail/box");
            assert_same(mbox_messages(&case.mbox()), vec![case.message("primer")]);
            let octets = std::fs::read(case.mbox()).unwrap();
            assert!(!octets.ends_with(b"\n\n\n"));
            case.recovers(0);
        }
    }

    /// Two accounts, one mbox.  The first one's run dies at each of its steps; then the second one comes, or both at once.
    #[test]
    fn two_accounts_in_one_mbox() {
        for step in 1.. {
            let account = |user: &str| {
                let messages = [0, 1].map(|number| {
                    let body = format!("From {number}\r\n").repeat(1 + 5 * number);
                    Message::new(format!("uid-{number}"), format!("Subject: {user}\r\n\r\n{body}"))
                });
                Account::new(user, "secret", messages)
            };
            let users = ["first", "second"];
            let server =
                Server::start(Options { accounts: users.map(account).to_vec(), ..Options::default() });
            let sandbox = Sandbox::in_memory();
            let config = users.map(|user| {
                format!(
                    "[accounts.{user}]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"{user}\"\n\
                     password = \"secret\"\nleave-on-server = false\ndeliver = {{ mbox = \"~/box\" }}\n",
                    server.port()
                )
            });
            sandbox.config(config.concat());
            let of = |user: &str| {
                [0, 1].map(|number| {
                    let body = format!("From {number}\n").repeat(1 + 5 * number);
                    format!("Subject: {user}\n\n{body}").into_bytes()
                })
            };
            let crashed = sandbox.popfetch(["first"]).crash_at(step).run().crashed();
            if step % 3 != 0 {
                sandbox.run(["second"]).succeeds();
                assert!(!sandbox.path("box.lock").exists());
                let found = mbox_messages(&sandbox.path("box"));
                assert!(of("second").iter().all(|message| found.contains(message)));
                // What the first has left half written is gone before the second appends.
                let whole = users.map(of).concat();
                assert!(found.iter().all(|message| whole.contains(message)), "step {step}: {found:?}");
            }
            sandbox.run([] as [&str; 0]).succeeds();
            assert_same(mbox_messages(&sandbox.path("box")), users.map(of).concat());
            assert!(users.iter().all(|user| server.unique_ids(user).is_empty()));
            if !crashed {
                assert!(step > 12);
                return;
            }
        }
    }
}

#[test]
fn missing_last_line_end_is_added() {
    for (end, old) in [("body", "body\n"), ("body\n", "body\n"), ("body\n\n", "body\n")] {
        let case = Case::new(plan().of(tiny(2)));
        case.sandbox.write("mail/box", format!("From x Thu Jan  1 00:00:00 1970\nSubject: old\n\n{end}"));
        case.run().succeeds();
        let mut expected = case.expected();
        expected.push(format!("Subject: old\n\n{old}").into_bytes());
        assert_same(mbox_messages(&case.mbox()), expected);
        case.idles();
    }
}

/// Until popfetch has something to put into the mbox.
fn spooled(case: &Case) {
    let began = Instant::now();
    let spool =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("spool-"));
    while !case.sandbox.files().keys().any(|path| spool(path)) {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
}

#[test]
fn fcntl_lock_is_waited_for() {
    let case = Case::new(plan().primed().of(tiny(2)));
    let Some(holder) = python(&case.mbox(), HOLD) else { return };
    let before = std::fs::read(case.mbox()).unwrap();
    let mut running = case.popfetch().start();
    spooled(&case);
    assert!(running.is_alive() && std::fs::read(case.mbox()).unwrap() == before);
    release(holder);
    running.finish().succeeds();
    case.is_complete(0);
}

#[test]
fn fresh_dotlock_is_waited_for_with_fcntl_released() {
    let case = Case::new(plan().primed().of(tiny(2)));
    let lock = case.sandbox.write("mail/box.lock", "1");
    let before = std::fs::read(case.mbox()).unwrap();
    let mut running = case.popfetch().start();
    spooled(&case);
    // Whoever takes them in the other order gets the fcntl lock meanwhile.
    let Some(holder) = python(&case.mbox(), HOLD) else { return };
    assert!(running.is_alive() && std::fs::read(case.mbox()).unwrap() == before);
    release(holder);
    std::fs::remove_file(lock).unwrap();
    running.finish().succeeds();
    case.is_complete(0);
}

#[test]
fn stale_dotlock_is_broken() {
    let case = Case::new(plan().of(tiny(2)));
    let lock = case.sandbox.write("mail/box.lock", "1");
    let old = SystemTime::now() - Duration::from_secs(6 * 60);
    File::options().write(true).open(lock).unwrap().set_times(FileTimes::new().set_modified(old)).unwrap();
    let run = case.run();
    run.succeeds();
    assert!(run.elapsed < Duration::from_secs(5), "{:?}", run.elapsed);
    case.is_complete(0);
}

#[test]
fn file_that_is_not_an_mbox_is_not_touched() {
    let case = Case::new(plan().of(tiny(2)));
    case.sandbox.write("mail/box", "a letter to my aunt\n");
    case.run().exits(73).complains("mbox");
    assert_eq!(std::fs::read(case.mbox()).unwrap(), b"a letter to my aunt\n");
    assert_eq!(case.server.count("RETR"), 0);
}
