//! What one account has left unfinished does not hold up another account.

use super::account;
use crate::support::mail::stored;
use crate::support::mailboxes::{assert_same, mbox_messages};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Account, Message, Options, Server};

const USERS: [&str; 2] = ["anna", "ben"];

fn text(user: &str) -> Vec<u8> {
    format!("Subject: for {user}\r\n\r\nbody\r\n").into_bytes()
}

/// Two accounts, with these destinations.
fn set_up(deliver: [&str; 2]) -> (Server, Sandbox) {
    let accounts = USERS.map(|user| Account::new(user, "secret", [Message::new("uid-1", text(user))]));
    let server = Server::start(Options { accounts: accounts.to_vec(), ..Options::default() });
    let sandbox = Sandbox::new();
    let config = USERS.iter().zip(deliver).map(|(user, deliver)| {
        account(&server, &format!("leave-on-server = false\ndeliver = {deliver}"))
            .replace("accounts.work", &format!("accounts.{user}"))
            .replace("\"me\"", &format!("\"{user}\""))
    });
    sandbox.config(config.collect::<String>());
    (server, sandbox)
}

/// Runs the account, and dies where the mbox is first written to.
#[cfg(feature = "crash-points")]
fn crash_in_the_append(sandbox: &Sandbox, user: &str, deliver: [&str; 2]) {
    let (_server, trial) = set_up(deliver);
    let steps = trial.popfetch([user]).record_steps().run().steps;
    let step = steps.iter().find(|step| step.contains(" Write ") && step.ends_with("/inbox")).unwrap();
    let step = step.split(' ').next().unwrap().parse().unwrap();
    assert!(sandbox.popfetch([user]).crash_at(step).run().crashed());
}

#[cfg(feature = "crash-points")]
fn ledger_directory(sandbox: &Sandbox) -> std::path::PathBuf {
    let mut found: Vec<_> = std::fs::read_dir(sandbox.state())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("ledger").exists())
        .collect();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[cfg(feature = "crash-points")]
#[test]
fn moved_ledger_blocks_no_account() {
    let both = ["{ mbox = \"~/inbox\" }"; 2];
    for first in [0, 1] {
        let (server, sandbox) = set_up(both);
        crash_in_the_append(&sandbox, "anna", both);
        // As the hint about a damaged ledger advises.
        let directory = ledger_directory(&sandbox);
        #[expect(clippy::disallowed_methods, reason = "as a user does")]
        std::fs::rename(&directory, directory.with_extension("old")).unwrap();
        for user in [USERS[first], USERS[1 - first]] {
            sandbox.run([user]).succeeds();
        }
        assert!(USERS.iter().all(|user| server.unique_ids(user).is_empty()));
        assert_same(mbox_messages(&sandbox.path("inbox")), USERS.map(|user| stored(&text(user))).to_vec());
    }
}

#[cfg(feature = "crash-points")]
#[test]
fn unfinished_work_at_another_mbox_blocks_only_its_account() {
    let deliver = ["[{ mbox = \"~/mnt/x\" }, { mbox = \"~/inbox\" }]", "{ mbox = \"~/inbox\" }"];
    let prepare = |sandbox: &Sandbox| std::fs::create_dir(sandbox.path("mnt")).unwrap();
    let (server, sandbox) = set_up(deliver);
    prepare(&sandbox);
    let (_server, trial) = set_up(deliver);
    prepare(&trial);
    let steps = trial.popfetch(["anna"]).record_steps().run().steps;
    let step = steps.iter().find(|step| step.contains(" Write ") && step.ends_with("/inbox")).unwrap();
    let step = step.split(' ').next().unwrap().parse().unwrap();
    assert!(sandbox.popfetch(["anna"]).crash_at(step).run().crashed());
    #[expect(clippy::disallowed_methods, reason = "unmounted")]
    std::fs::rename(sandbox.path("mnt"), sandbox.path("away")).unwrap();
    let ben: Run = sandbox.run(["ben"]);
    ben.succeeds();
    assert!(server.unique_ids("ben").is_empty());
    sandbox.run(["anna"]).exits(75).complains("popfetch state release anna");
    #[expect(clippy::disallowed_methods, reason = "mounted again")]
    std::fs::rename(sandbox.path("away"), sandbox.path("mnt")).unwrap();
    sandbox.run(["anna"]).succeeds();
    assert!(server.unique_ids("anna").is_empty());
    assert_same(mbox_messages(&sandbox.path("inbox")), USERS.map(|user| stored(&text(user))).to_vec());
    assert_eq!(mbox_messages(&sandbox.path("mnt/x")), [stored(&text("anna"))]);
}

/// By the names alone, anna would take x first and ben y, and each wait for the other.
#[cfg(feature = "crash-points")]
#[test]
fn linked_mboxes_of_two_accounts_do_not_deadlock() {
    let deliver =
        ["[{ mbox = \"~/x\" }, { mbox = \"~/y\" }]", "[{ mbox = \"~/a-link-to-y\" }, { mbox = \"~/x\" }]"];
    let (server, sandbox) = set_up(deliver);
    sandbox.write("y", "");
    std::os::unix::fs::symlink("y", sandbox.path("a-link-to-y")).unwrap();
    for user in USERS {
        // Each account's batch: x before y, whatever it's called.
        let run = sandbox.popfetch([user]).record_steps().run();
        run.succeeds();
        let written = run
            .steps
            .iter()
            .filter(|step| step.contains(" Write "))
            .filter_map(|step| ["x", "y"].into_iter().find(|name| step.ends_with(&format!("/{name}"))));
        let written: Vec<&str> = written.collect();
        assert!(written.is_sorted() && written.contains(&"x") && written.contains(&"y"), "{written:?}");
    }
    assert!(USERS.iter().all(|user| server.unique_ids(user).is_empty()));
    for name in ["x", "y"] {
        assert_same(mbox_messages(&sandbox.path(name)), USERS.map(|user| stored(&text(user))).to_vec());
    }
}

#[test]
fn an_mbox_under_two_names_is_refused() {
    let deliver = ["[{ mbox = \"~/x\" }, { mbox = \"~/link\" }]", "{ mbox = \"~/x\" }"];
    let (server, sandbox) = set_up(deliver);
    std::os::unix::fs::symlink("x", sandbox.path("link")).unwrap();
    sandbox.run(["anna"]).exits(78).complains("are one file").complains("leave one of them out");
    std::fs::remove_file(sandbox.path("link")).unwrap();
    sandbox.write("x", "");
    std::fs::hard_link(sandbox.path("x"), sandbox.path("link")).unwrap();
    sandbox.run(["anna"]).exits(78).complains("are one file").complains("leave one of them out");
    assert_eq!(server.unique_ids("anna").len(), 1);
    sandbox.run(["ben"]).succeeds();
}
