//! Maildir.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use super::{poll, set_up, small};
use crate::support::mail;
use crate::support::mailboxes::{Maildir, assert_same, create_maildir, python_maildir};
use crate::support::server::numbered;

const INTO_MAILDIR: &str = "deliver = { maildir = \"~/Mail\" }";

#[test]
fn new_maildir_is_private() {
    let (server, sandbox) = set_up(numbered([small("a")]), INTO_MAILDIR);
    // Even where nothing is masked.
    sandbox.popfetch([""; 0]).under(["sh", "-c", "umask 0; exec \"$@\"", "sh"]).run().succeeds();
    let mode = |path: &str| std::fs::metadata(sandbox.path(path)).unwrap().permissions().mode() & 0o7777;
    for folder in ["Mail", "Mail/tmp", "Mail/new", "Mail/cur"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    let maildir = Maildir::read(&sandbox.path("Mail"));
    assert_eq!((maildir.new.len(), maildir.cur.len(), maildir.tmp.len()), (1, 0, 0));
    let name = maildir.new.keys().next().unwrap();
    assert_eq!(mode(&format!("Mail/new/{name}")), 0o600);
    assert!(!name.contains([':', ',', '/']), "M2: no size that could be wrong, no flags: {name}");
    let modified = sandbox.path("Mail/new").join(name).metadata().unwrap().modified().unwrap();
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    assert!(age < Duration::from_secs(60), "readers take it for the time of delivery: {age:?}");
    assert_eq!(server.count("DELE"), 0);
}

#[test]
fn impossible_maildir_is_reported_before_retrieving() {
    type Case = (&'static str, fn(&crate::support::sandbox::Sandbox), &'static str);
    let cases: [Case; 4] = [
        ("a plain file", |sandbox| drop(sandbox.write("Mail", "x")), "not a directory"),
        ("no parent", |_| {}, "mkdir -p"),
        ("something else in it", |sandbox| drop(sandbox.write("Mail/notes", "x")), "no Maildir"),
        ("a file in place of new", |sandbox| drop(sandbox.write("Mail/new", "x")), "not a directory"),
    ];
    for (case, prepare, said) in cases {
        let path = if case == "no parent" { "~/missing/Mail" } else { "~/Mail" };
        let (server, sandbox) = set_up(
            numbered([small("a")]),
            &format!("deliver = {{ maildir = \"{path}\" }}\nleave-on-server = false"),
        );
        prepare(&sandbox);
        let before = crate::support::sandbox::files(&sandbox.path("Mail"));
        poll(&sandbox).exits(73).complains(said).complains("Mail");
        assert_eq!(crate::support::sandbox::files(&sandbox.path("Mail")), before, "{case}");
        assert!(!sandbox.path("missing").exists());
        assert_eq!(server.sessions(), 0, "{case}");
    }
}

#[test]
fn missing_subdirectory_is_created() {
    for missing in ["tmp", "new", "cur"] {
        let (_server, sandbox) = set_up(numbered([small("a")]), INTO_MAILDIR);
        create_maildir(&sandbox.path("Mail"));
        std::fs::remove_dir(sandbox.path("Mail").join(missing)).unwrap();
        poll(&sandbox).succeeds();
        assert_same(Maildir::read(&sandbox.path("Mail")).messages(), vec![mail::stored(&small("a"))]);
    }
}

/// What to do stands beside what happened, not in it.
#[test]
fn the_hint_about_a_maildir_is_a_field_of_its_own() {
    let (_server, sandbox) = set_up(numbered([small("a")]), "deliver = { maildir = \"~/no/parent\" }");
    let run = sandbox.run(["--json"]);
    let line = run.out();
    run.exits(73);
    let failure: serde_json::Value = line
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|v: &serde_json::Value| v["error"].is_object())
        .unwrap();
    let (message, hint) =
        (failure["error"]["message"].as_str().unwrap(), failure["error"]["hint"].as_str().unwrap());
    assert!(message.contains("there is no directory") && !message.contains("hint"), "{message}");
    assert!(hint.starts_with("mkdir -p "), "{hint}");
}

#[test]
fn maildir_that_had_mail_is_not_created_again() {
    let (server, sandbox) = set_up(numbered([small("a")]), INTO_MAILDIR);
    poll(&sandbox).succeeds();
    std::fs::rename(sandbox.path("Mail"), sandbox.path("unmounted")).unwrap();
    server.add("me", [crate::support::server::Message::new("b", small("b"))]);
    poll(&sandbox).exits(75).complains("mount");
    assert!(!sandbox.path("Mail").exists());
    std::fs::rename(sandbox.path("unmounted"), sandbox.path("Mail")).unwrap();
    poll(&sandbox).succeeds();
    let expected = ["a", "b"].map(|subject| mail::stored(&small(subject)));
    assert_same(Maildir::read(&sandbox.path("Mail")).messages(), expected.to_vec());
}

/// Names stay apart in one second, in one process and in several.
#[test]
fn names_are_unique_across_processes() {
    const EACH: usize = 700;
    let messages = || numbered((0..EACH).map(|n| small(&n.to_string())));
    let (one, other) =
        (set_up(messages(), "deliver = { maildir = \"shared\" }"), set_up(messages(), INTO_MAILDIR));
    let shared = other.1.path("Mail");
    create_maildir(&shared);
    one.1.config(super::account(&one.0, &format!("deliver = {{ maildir = \"{}\" }}", shared.display())));
    let (first, second) = (one.1.popfetch([""; 0]).start(), other.1.popfetch([""; 0]).start());
    first.finish().succeeds();
    second.finish().succeeds();
    let maildir = Maildir::read(&shared);
    assert_eq!((maildir.new.len(), maildir.tmp.len()), (2 * EACH, 0));
    let unique: BTreeSet<&str> = maildir.new.keys().map(|name| name.split('.').nth(1).unwrap()).collect();
    assert_eq!(unique.len(), 2 * EACH);
    let read = python_maildir(&shared);
    assert!(read.is_none_or(|read| read.len() == 2 * EACH));
}

/// Whatever the number of messages: which way they are synced depends on it.
#[test]
#[cfg(feature = "crash-points")]
fn nothing_is_in_new_before_its_ledger_line_is_on_disk() {
    for (count, sync) in [(1, "auto"), (20, "auto"), (3, "each")] {
        let messages = numbered((0..count).map(|n| small(&n.to_string())));
        let (_server, sandbox) = set_up(messages, &format!("{INTO_MAILDIR}\nsync = \"{sync}\""));
        let run = sandbox.popfetch([""; 0]).record_steps().run();
        run.succeeds();
        let steps: Vec<(&str, &str)> =
            run.steps.iter().map(|step| step.split_once(' ').unwrap().1.split_once(' ').unwrap()).collect();
        let at = |from: usize, kind: &str, path: &str| {
            let found =
                steps.iter().skip(from).position(|(step, file)| *step == kind && file.ends_with(path));
            found.map(|at| at + from)
        };
        let written =
            steps.iter().rposition(|(step, file)| *step == "Write" && file.contains("/Mail/tmp/")).unwrap();
        let file_system = at(written, "Sync", "/Mail/tmp").unwrap_or_else(|| panic!("{:#?}", run.steps));
        let noted = at(file_system, "Sync", "/ledger").unwrap();
        let published =
            steps.iter().position(|(step, file)| *step == "Rename" && file.contains("/Mail/new/")).unwrap();
        let last =
            steps.iter().rposition(|(step, file)| *step == "Rename" && file.contains("/Mail/new/")).unwrap();
        assert!(noted < published, "{:#?}", run.steps);
        let named = at(last, "Sync", "/Mail/new").unwrap();
        let delivered = at(named, "Sync", "/ledger").unwrap();
        assert!(named < delivered);
        if sync == "each" {
            let synced = |(step, file): &&(&str, &str)| *step == "Sync" && file.contains("/Mail/tmp/");
            assert_eq!(steps.iter().take(file_system).filter(synced).count(), count);
        }
    }
}

/// A run dies at each step; a reader takes what is in `new/` to `cur/`, with a flag, before the next run.
#[test]
#[cfg(feature = "crash-points")]
fn message_moved_after_a_crash_does_not_come_twice() {
    let expected = ["a", "b"].map(|subject| mail::stored(&small(subject))).to_vec();
    let mut step = 1;
    loop {
        let (_server, sandbox) = set_up(numbered([small("a"), small("b")]), INTO_MAILDIR);
        let crashed = sandbox.popfetch([""; 0]).crash_at(step).run().crashed();
        let maildir = sandbox.path("Mail");
        for name in Maildir::read(&maildir).new.keys() {
            std::fs::rename(maildir.join("new").join(name), maildir.join("cur").join(format!("{name}:2,S")))
                .unwrap();
        }
        poll(&sandbox).succeeds();
        let found = Maildir::read(&maildir);
        assert_same(found.messages(), expected.clone());
        assert!(found.tmp.is_empty(), "step {step}");
        if !crashed {
            assert!(step > 10, "crash points work");
            return;
        }
        step += 1;
    }
}
