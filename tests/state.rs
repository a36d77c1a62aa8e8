//! `popfetch state`: what is kept is listed and verified, forgotten, moved to another name and taken to another machine, and
//! no mail is lost or doubled by it, wherever it is interrupted.

use std::fs;
use std::path::PathBuf;

use crate::mailbox::{Served, good, serve, small, stored};
use crate::support::mailboxes::{Maildir, assert_same};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::Server;
use crate::support::tmux::Tmux;

/// An account of `me`, at the server on this port under the name `host`.
fn account(name: &str, host: &str, port: u16) -> String {
    format!(
        "[accounts.{name}]\nserver = \"{host}\"\nport = {port}\nuser = \"me\"\ntls = \"none\"\npassword = \"secret\"\n\
         deliver = {{ maildir = \"~/mail\" }}\n"
    )
}

/// A sandbox that has fetched three messages as `me@127.0.0.1`, and whose account is at `localhost` now.
struct Renamed {
    sandbox: Sandbox,
    server: Server,
}

impl Renamed {
    fn new() -> Self {
        let server = Server::start(good(small(3)));
        let sandbox = Sandbox::new();
        sandbox.config(account("work", "127.0.0.1", server.port()));
        sandbox.run([""; 0]).succeeds();
        sandbox.config(account("work", "localhost", server.port()));
        Self { sandbox, server }
    }

    fn old_name(&self) -> String {
        format!("me@127.0.0.1:{}", self.server.port())
    }

    fn moves(&self) -> Run {
        self.sandbox.run(["state", "move", &self.old_name(), "work"])
    }

    /// Asserts that everything is there once, and that a run finds nothing new.
    #[track_caller]
    fn is_settled(&self) {
        self.sandbox.run(["-v"]).succeeds().complains("nothing new");
        holds(&self.sandbox, 1..=3);
        let list = self.sandbox.run(["state", "list"]);
        list.succeeds();
        assert_eq!(list.out().lines().count(), 2, "{}", list.out());
    }
}

#[track_caller]
fn holds(sandbox: &Sandbox, numbers: impl IntoIterator<Item = u64>) {
    assert_same(Maildir::read(&sandbox.path("mail")).messages(), stored(numbers));
}

/// The directories of mailboxes.
fn kept(sandbox: &Sandbox) -> Vec<PathBuf> {
    let ledgers = sandbox.files().into_keys().filter(|path| path.ends_with("ledger"));
    ledgers.map(|path| sandbox.path(path).parent().unwrap().to_owned()).collect()
}

/// The cells of the column of sizes.
fn sizes(list: &str) -> Vec<String> {
    let cell = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).nth(3).unwrap().to_owned()
    };
    list.lines().skip(1).map(cell).collect()
}

// ---- list, verify ----------------------------------------------------------------------------------------------

#[test]
fn what_is_kept_is_listed_with_what_no_account_names() {
    let renamed = Renamed::new();
    let list = renamed.sandbox.run(["state", "list"]);
    list.succeeds().says("(none)").says(&renamed.old_name()).says("  3  ");
    renamed.sandbox.run([""; 0]).succeeds();
    let list = renamed.sandbox.run(["state", "list"]);
    assert_eq!(list.out().lines().count(), 3, "{}", list.out());
    assert!(list.out().lines().nth(1).unwrap().starts_with("work "), "{}", list.out());
    let json = renamed.sandbox.run(["state", "list", "--json"]);
    json.succeeds().says("\"configured\":false").says("\"messages\":3");
    // How much the files hold differs with the lengths of what they name.
    let sizes: Vec<String> = sizes(&list.out());
    let masks: Vec<(&str, &str)> = sizes.iter().map(|size| (size.as_str(), "SIZE")).collect();
    list.looks_like_masked("state-list", &masks);
    let octets: Vec<String> = json
        .out()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["octets"].to_string())
        .collect();
    let masks: Vec<(&str, &str)> = octets.iter().map(|octets| (octets.as_str(), "OCTETS")).collect();
    json.looks_like_masked("state-list-json", &masks);
}

#[test]
fn a_ledger_that_is_whole_is_verified_and_a_damaged_line_is_named() {
    let served = serve(good(small(4)), "");
    served.fetch().succeeds();
    served.server.add("me", small(5).split_off(4));
    served.fetch().succeeds();
    served.sandbox.run(["state", "verify"]).succeeds().says("me: ok (5 messages)").looks_like("state-verify");
    let ledger = kept(&served.sandbox)[0].join("ledger");
    let whole = fs::read(&ledger).unwrap();
    let at = whole.windows(5).position(|five| five == b"uid-2").unwrap();
    let mut rotten = whole.clone();
    rotten[at] ^= 1;
    fs::write(&ledger, &rotten).unwrap();
    let run = served.sandbox.run(["state", "verify"]);
    run.exits(74)
        .says("me: error: ledger ")
        .says(", line ")
        .says("does not match its checksum")
        .says("hint: ")
        .looks_like("state-verify-damaged");
    let json = served.sandbox.run(["state", "verify", "--json"]);
    json.exits(74).says("\"exit\":74").looks_like("state-verify-json");
    // Its end is missing: no line is damaged.
    fs::write(&ledger, &whole[..whole.iter().take(600).rposition(|octet| *octet == b'\n').unwrap() + 1])
        .unwrap();
    served.sandbox.run(["state", "verify", "me"]).exits(74).says("bytes, and had ");
    fs::remove_file(&ledger).unwrap();
    served.sandbox.run(["state", "verify"]).exits(74).says("is missing, though there has been one");
    fs::write(&ledger, &whole).unwrap();
    served.sandbox.run(["state", "verify"]).succeeds();
}

// ---- forget ----------------------------------------------------------------------------------------------------

#[test]
fn a_forgotten_message_is_delivered_again_and_no_other() {
    let served = serve(good(small(3)), "");
    for _ in 0..3 {
        served.fetch().succeeds();
    }
    let forget = |words: &[&str]| served.sandbox.run([&["state", "forget", "me"], words].concat());
    let run = forget(&["uid-2"]);
    run.exits(64).complains("without a terminal nobody can be asked").complains("-y");
    run.looks_like("state-forget-unasked");
    let run = forget(&["2", "-y"]);
    run.exits(66).complains("no message is known by the unique-id 2").complains("hint: ");
    run.looks_like("state-forget-unknown");
    served.fetch().succeeds();
    served.holds(stored(1..=3));
    let run = forget(&["uid:uid-2", "-y"]);
    run.succeeds().says("uid-2  delivered").says("a second time").says("1 message forgotten");
    run.looks_like("state-forget");
    served.fetch().succeeds();
    served.holds(stored([1, 2, 2, 3]));
    served.fetch().succeeds();
    served.holds(stored([1, 2, 2, 3]));
    forget(&["--before", "2020-01-01", "-y"]).succeeds().says("nothing is forgotten");
    forget(&["--seen", "-y"]).succeeds().says("nothing is forgotten");
    forget(&["--before", "2999-01-01", "-y"]).succeeds().says("3 messages forgotten");
    served.fetch().succeeds();
    served.holds(stored([1, 1, 2, 2, 2, 3, 3]));
    forget(&["--all", "-y"]).succeeds().says("3 messages forgotten");
    forget(&["--all", "uid-1", "-y"]).exits(64);
    forget(&["-y"]).exits(64);
}

#[test]
fn what_counts_as_seen_is_new_again_when_it_is_forgotten() {
    let served = serve(good(small(3)), "");
    served.sandbox.run(["mark-seen", "me", "1-2"]).succeeds();
    served.fetch().succeeds();
    served.holds(stored([3]));
    served.sandbox.run(["state", "forget", "me", "--seen", "-y"]).succeeds().says("2 messages forgotten");
    served.fetch().succeeds();
    served.holds(stored(1..=3));
}

/// As `delete` and the prompts for passwords do: standard input leads elsewhere, and the user is asked all the same.
#[test]
fn the_question_is_asked_at_the_terminal() {
    let served = serve(good(small(2)), "");
    served.fetch().succeeds();
    let command = "popfetch state forget me --all < /dev/null";
    for (key, code, says) in [
        ("n", "[0]", "nothing is forgotten"),
        ("C-c", "[130]", "nothing is forgotten"),
        ("y", "[0]", "2 messages forgotten"),
    ] {
        let Some(tmux) = Tmux::start(&served.sandbox, (80, 24), command) else { return };
        tmux.wait_for("forget them? [y/N]");
        tmux.keys(&[key]);
        if key != "C-c" {
            tmux.keys(&["Enter"]);
        }
        let screen = tmux.wait_for(code);
        assert!(screen.contains("uid-1  delivered today ") && screen.contains(says), "{screen}");
    }
    let Some(tmux) = Tmux::start(&served.sandbox, (80, 24), "popfetch state release me < /dev/null") else {
        return;
    };
    tmux.wait_for("nothing is given up: nothing is unfinished that could be");
}

// ---- move ------------------------------------------------------------------------------------------------------

#[test]
fn an_account_goes_on_under_its_new_name() {
    for called in ["{}", "me", "127.0.0.1", "ME@{}"] {
        let renamed = Renamed::new();
        let called = called.replace("{}", &renamed.old_name());
        let run = renamed.sandbox.run(["state", "move", &called, "work"]);
        if called.starts_with("ME@") {
            run.exits(64).complains("nothing is kept of a mailbox called").complains(&renamed.old_name());
            continue;
        }
        run.succeeds().says("goes on with what was kept as me@127.0.0.1:").says("3 messages");
        if called == "me" {
            run.looks_like("state-move");
        }
        renamed.is_settled();
        // It is as any other from now on.
        renamed.server.add("me", small(4).split_off(3));
        renamed.sandbox.run([""; 0]).succeeds();
        holds(&renamed.sandbox, 1..=4);
    }
}

/// Without it, everything comes again: that is what it is for.
#[test]
fn a_mailbox_that_was_not_moved_is_another() {
    let renamed = Renamed::new();
    renamed.sandbox.run([""; 0]).succeeds();
    holds(&renamed.sandbox, [1, 1, 2, 2, 3, 3]);
    let run = renamed.moves();
    run.exits(73)
        .complains("mail has been retrieved under the new name: 3 messages known")
        .complains("hint: ")
        .complains(".old'");
    run.looks_like("state-move-refused");
    assert_eq!(kept(&renamed.sandbox).len(), 2, "nothing was changed");
}

#[test]
fn what_another_account_goes_on_with_is_not_taken_from_it() {
    let renamed = Renamed::new();
    let port = renamed.server.port();
    renamed.sandbox.config(account("work", "localhost", port) + &account("home", "127.0.0.1", port));
    renamed.moves().exits(73).complains("is the mailbox of account \"home\"");
    renamed
        .sandbox
        .run(["state", "move", "nobody@nowhere", "work"])
        .exits(64)
        .complains("nothing is kept of");
    assert_eq!(kept(&renamed.sandbox).len(), 1);
}

/// After a crash at each step, and after each step that fails, the same command finishes what it began.
#[test]
#[cfg(feature = "crash-points")]
fn a_move_that_is_interrupted_is_finished_by_the_same_command() {
    let mut steps = 0;
    for step in 1.. {
        let renamed = Renamed::new();
        let words = ["state", "move", &renamed.old_name(), "work"];
        let crashed = renamed.sandbox.popfetch(words).crash_at(step).run().crashed();
        renamed.sandbox.run(["state", "verify"]).succeeds();
        if crashed {
            // Whatever was left: a ledger that is whole, at one of the two places or at both.
            let again = renamed.moves();
            let removed_already = again.code() == Some(64);
            assert!(removed_already || again.code() == Some(0), "{step}: {}", again.shown());
        }
        renamed.is_settled();
        if !crashed {
            break;
        }
        steps = step;
        let renamed = Renamed::new();
        let words = ["state", "move", &renamed.old_name(), "work"];
        let failed = renamed.sandbox.popfetch(words).fail_at(step, "EIO").run();
        if failed.code() != Some(0) {
            failed.complains("cannot ");
            let again = renamed.moves();
            assert!(matches!(again.code(), Some(0 | 64)), "{step}: {}", again.shown());
        }
        renamed.is_settled();
    }
    assert!(steps > 10, "{steps}");
}

// ---- export, restore -------------------------------------------------------------------------------------------

/// What is kept of a mailbox that was fetched, as `state export` writes it.
fn exported(served: &Served) -> Vec<u8> {
    let run = served.sandbox.run(["state", "export"]);
    run.succeeds().complains("1 mailbox exported").never_says("secret");
    run.stdout.clone()
}

/// The number of the step by which the first message of a run appears in the Maildir.
#[cfg(feature = "crash-points")]
fn first_publication(steps: &[String]) -> u64 {
    let is_it = |step: &String| step.contains(" Rename ") && step.contains("/mail/new/");
    let step = steps.iter().position(is_it).expect("nothing is published");
    u64::try_from(step).unwrap() + 1
}

/// Another machine with the same account; what it has retrieved is copied, as the user would.
fn other_machine(served: &Served, file: &[u8]) -> Sandbox {
    let other = Sandbox::new();
    other.config(crate::mailbox::section(
        "me",
        served.server.port(),
        "tls = \"none\"\npassword = \"secret\"\ndeliver = { maildir = \"~/mail\" }\n",
    ));
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(other.path("mail").join(folder)).unwrap();
    }
    for file in fs::read_dir(served.sandbox.path("mail/new")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), other.path("mail/new").join(file.file_name())).unwrap();
    }
    other.write("state.txt", file);
    other
}

#[test]
fn what_is_kept_goes_to_another_machine() {
    let served = serve(good(small(3)), "");
    served.fetch().succeeds();
    let file = exported(&served);
    let other = other_machine(&served, &file);
    let restore = || other.run(["state", "restore", "state.txt"]);
    restore().succeeds().says("restored (3 messages)").looks_like("state-restore");
    restore().succeeds().says("is there already").looks_like("state-restore-again");
    other.run(["status"]).says("(3)");
    other.run(["-v"]).succeeds().complains("nothing new");
    holds(&other, 1..=3);
    // It has gone on since.
    served.server.add("me", small(4).split_off(3));
    other.run([""; 0]).succeeds();
    let run = restore();
    run.exits(73)
        .complains("what is kept here is newer")
        .complains("hint: ")
        .looks_like("state-restore-newer");
    other.run(["-v"]).succeeds().complains("nothing new");
    holds(&other, 1..=4);
}

#[test]
fn a_file_that_was_cut_or_changed_is_not_restored() {
    let served = serve(good(small(3)), "");
    served.fetch().succeeds();
    let file = exported(&served);
    let other = other_machine(&served, &file);
    for at in (0..file.len()).step_by(97).chain([file.len() - 2]) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        for bad in [&changed[..], &file[..at]] {
            other.write("state.txt", bad);
            other
                .run(["state", "restore", "state.txt"])
                .exits(65)
                .complains("state.txt: ")
                .complains("hint: ");
        }
    }
    assert!(kept(&other).is_empty());
    other.run(["state", "restore", "missing.txt"]).exits(74);
}

#[test]
fn another_popfetchs_work_is_not_written_over() {
    let served = serve(good(small(3)), "");
    served.fetch().succeeds();
    let file = exported(&served);
    let other = other_machine(&served, &file);
    other.run([""; 0]).succeeds();
    let run = other.run(["state", "restore", "state.txt"]);
    run.exits(73).complains("another popfetch's work is kept here already").complains(".old'");
}

#[test]
#[cfg(feature = "crash-points")]
fn what_another_popfetch_had_begun_when_it_died_is_not_written_over() {
    let served = serve(good(small(3)), "");
    served.fetch().succeeds();
    let file = exported(&served);
    let other = other_machine(&served, &file);
    let steps = other_machine(&served, &file).popfetch([""; 0]).record_steps().run().steps;
    assert!(other.popfetch([""; 0]).crash_at(first_publication(&steps)).run().crashed());
    other.run(["state", "restore", "state.txt"]).exits(73).complains("another popfetch's work");
}

#[test]
#[cfg(feature = "crash-points")]
fn a_restore_that_is_interrupted_is_finished_by_the_same_command() {
    let served = serve(good(small(3)), "");
    served.fetch().succeeds();
    let file = exported(&served);
    for step in 1.. {
        let other = other_machine(&served, &file);
        let words = ["state", "restore", "state.txt"];
        let crashed = other.popfetch(words).crash_at(step).run().crashed();
        other.run(words).succeeds();
        other.run(["state", "verify"]).succeeds();
        other.run(["-v"]).succeeds().complains("nothing new");
        holds(&other, 1..=3);
        if !crashed {
            assert!(step > 5, "{step}");
            break;
        }
    }
}

#[test]
#[cfg(feature = "crash-points")]
fn what_a_run_left_unfinished_is_settled_before_anything_is_taken_elsewhere() {
    let renamed = Renamed::new();
    let ledger = kept(&renamed.sandbox)[0].join("ledger");
    let old = account("work", "127.0.0.1", renamed.server.port());
    renamed.sandbox.config(&old);
    renamed.server.add("me", small(4).split_off(3));
    let steps = renamed.sandbox.popfetch([""; 0]).record_steps().run().steps;
    // Once more, up to there.
    renamed.server.add("me", small(5).split_off(4));
    let crashed = renamed.sandbox.popfetch([""; 0]).crash_at(first_publication(&steps)).run();
    assert!(crashed.crashed(), "{}", crashed.shown());
    assert!(ledger.exists());
    renamed.sandbox.run(["state", "verify"]).succeeds().says("1 delivery left unfinished by a run");
    renamed.sandbox.run(["state", "export"]).exits(75).complains("was on the way when a run died");
    renamed.sandbox.config(account("work", "localhost", renamed.server.port()));
    renamed.moves().exits(75).complains("was on the way when a run died").complains("hint: ");
    renamed.sandbox.config(&old);
    renamed.sandbox.run([""; 0]).succeeds();
    renamed.sandbox.config(account("work", "localhost", renamed.server.port()));
    renamed.moves().succeeds();
    renamed.sandbox.run([""; 0]).succeeds();
    holds(&renamed.sandbox, 1..=5);
}

/// The ledger of the only mailbox.
fn ledger(sandbox: &Sandbox) -> PathBuf {
    let files = sandbox.files().into_keys();
    let mut ledgers = files.filter(|path| path.ends_with("ledger"));
    sandbox.path(ledgers.next().unwrap())
}

/// What has lost its end is no ledger whose end is torn: no command takes it for one, and none mends it unasked, after which
/// the next run would retrieve again what was lost.
#[test]
fn a_ledger_that_was_cut_is_refused_by_every_command_that_reads_it() {
    let server = Server::start(good(small(3)));
    let sandbox = Sandbox::new();
    sandbox.config(account("work", "127.0.0.1", server.port()));
    sandbox.run([""; 0]).succeeds();
    let ledger = ledger(&sandbox);
    let whole = fs::read(&ledger).unwrap();
    fs::write(&ledger, &whole[..whole.len() / 2]).unwrap();
    for args in [
        &["check"][..],
        &["list"],
        &["show", "work", "1"],
        &["delete", "-n", "work", "1"],
        &["mark-seen", "-n", "work"],
        &["shell", "work"],
        &["history", "--failed"],
        &["state", "release", "-y", "work"],
        &["--dry-run"],
        &[],
    ] {
        sandbox.run(args).exits(74).complains("at the end of the last run");
    }
    assert_eq!(fs::read(&ledger).unwrap(), whole[..whole.len() / 2], "none has written it again");
}

/// Whatever stands in the place of the state, there is something to do about it.
#[test]
fn what_stands_in_the_ledgers_place_is_to_be_moved_away() {
    let server = Server::start(good(small(1)));
    let sandbox = Sandbox::new();
    sandbox.config(account("work", "127.0.0.1", server.port()));
    sandbox.run([""; 0]).succeeds();
    let ledger = ledger(&sandbox);
    fs::remove_file(&ledger).unwrap();
    fs::create_dir(&ledger).unwrap();
    for args in [&["check"][..], &["history"], &[]] {
        sandbox.run(args).exits(74).complains("something else stands there");
    }
    fs::remove_dir_all(sandbox.state()).unwrap();
    sandbox.write(sandbox.state(), "");
    sandbox.run([""; 0]).exits(73).complains("something else stands there");
}

/// An export without it would be taken for all that there is.
#[test]
fn a_ledger_that_is_missing_is_not_exported_as_an_empty_one() {
    let server = Server::start(good(small(1)));
    let sandbox = Sandbox::new();
    sandbox.config(account("work", "127.0.0.1", server.port()));
    sandbox.run(["state", "export"]).succeeds().complains("0 mailboxes");
    sandbox.run([""; 0]).succeeds();
    fs::remove_file(ledger(&sandbox)).unwrap();
    sandbox.run(["state", "export"]).exits(74).complains("is missing, though there has been one");
    sandbox.run(["state", "forget", "-y", "work", "--all"]).exits(74).complains("is missing");
}
