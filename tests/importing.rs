//! Moving in from fetchmail, getmail, mpop and fdm: `popfetch import`.

mod real;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::mail;
use crate::support::mailboxes::Maildir;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, Server};

const DAY: i64 = 86_400;

/// `count` messages, `uid-1` and on.
fn messages(from: u64, to: u64) -> Vec<Message> {
    (from..=to).map(|n| Message::new(format!("uid-{n}"), mail::message(n, 600))).collect()
}

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// getmail's configuration, and its state: unique-ids, and how many days ago each was retrieved.
fn getmail(sandbox: &Sandbox, server: &Server, options: &str, seen: &[(&str, i64)]) {
    sandbox.write(
        ".getmail/getmailrc",
        format!(
            "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {}\nusername = me\npassword = secret\n\
             [destination]\ntype = Maildir\npath = ~/Mail/\n[options]\nread_all = false\n{options}\n",
            server.port()
        ),
    );
    let lines: String = seen.iter().map(|(id, days)| format!("{id}\0{}\n", now() - days * DAY)).collect();
    sandbox.write(format!(".getmail/oldmail-127.0.0.1-{}-me", server.port()), lines);
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("uid-{n}")).collect()
}

fn delivered(sandbox: &Sandbox) -> usize {
    let mail = sandbox.path("Mail");
    if mail.exists() { Maildir::read(&mail).messages().len() } else { 0 }
}

/// A crontab of this user, as crontab(1) shows it.
fn crontab(sandbox: &Sandbox, text: &str) -> String {
    sandbox.write("crontab.txt", text);
    sandbox.script("bin/crontab", "[ \"$1\" = -l ] && cat \"$HOME/crontab.txt\"");
    format!("{}:/usr/bin:/bin", sandbox.path("bin").display())
}

fn import(sandbox: &Sandbox, args: &[&str]) -> Run {
    sandbox.run(["import"].iter().chain(args))
}

#[test]
fn the_accounts_of_each_program_are_shown_as_they_would_be_written() {
    for (program, path, more) in [
        ("fetchmail", ".fetchmailrc", None),
        ("getmail", ".config/getmail/getmailrc", None),
        ("mpop", ".mpoprc", None),
        ("fdm", ".fdm.conf", Some("more.conf")),
    ] {
        let sandbox = Sandbox::new();
        let fixture = |name: &str| std::fs::read(format!("tests/fixtures/import/{name}")).unwrap();
        sandbox.write(path, fixture(path.rsplit('/').next().unwrap().trim_start_matches('.')));
        if let Some(more) = more {
            sandbox.write(more, fixture(more));
        }
        let path = crontab(
            &sandbox,
            "MAILTO=me\n# fetchmail\n*/5 * * * * fetchmail -s; mpop -Q; getmail -q\n1 1 * * * fdm f\n",
        );
        let before = sandbox.files();
        let run =
            sandbox.popfetch(["import", program, "--no-login"]).env("PATH", path).env("USER", "me").run();
        run.exits(0).looks_like(&format!("import-{program}"));
        for secret in ["s3", "1234", "joespw", "hidden", "p w", "homepw"] {
            run.never_says(secret);
        }
        assert_eq!(sandbox.files(), before);
        // What is printed is a configuration.
        let toml = String::from_utf8(run.stdout.clone()).unwrap();
        sandbox.config(toml);
        for file in ["example", "work", "two", "home"] {
            sandbox.write(format!(".config/popfetch/{file}.password"), "x\n");
        }
        sandbox.run(["accounts"]).succeeds();
    }
}

#[test]
fn what_another_program_retrieved_does_not_come_again() {
    let server = Server::with("me", "secret", messages(1, 5));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "", &[("uid-1", 30), ("uid-2", 3), ("uid-3", 1), ("uid-9", 1)]);
    let path = crontab(&sandbox, "\n\n*/5 * * * * getmail -q\n");
    let run = sandbox.popfetch(["import", "getmail", "--write"]).env("PATH", &path).run();
    run.succeeds()
        .complains("me: 3 of 4 are on the server now; 2 there are new\n")
        .complains("me: 4 taken over\n")
        .complains("now remove getmail from your crontab (line 3), or both fetch\n")
        .never_says("secret");
    assert_eq!((server.count("RETR"), server.count("DELE"), delivered(&sandbox)), (0, 0, 0));
    let file = sandbox.path(".config/popfetch/config.toml");
    let password = sandbox.path(".config/popfetch/me.password");
    for file in [&file, &password] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(std::fs::read(password).unwrap(), b"secret\n");
    for retrieved in [2, 2] {
        sandbox.run(["me"]).succeeds();
        assert_eq!((server.count("RETR"), server.count("DELE"), delivered(&sandbox)), (retrieved, 0, 2));
    }
    // To import twice is to import once.
    let before = std::fs::read(&file).unwrap();
    let again = import(&sandbox, &["getmail", "--write"]);
    again
        .succeeds()
        .complains("me: 0 taken over; 4 known before")
        .complains("is in the configuration already");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    sandbox.run(["me"]).succeeds();
    assert_eq!((server.count("RETR"), delivered(&sandbox)), (2, 2));
}

#[test]
fn a_policy_of_days_goes_on_from_the_old_dates() {
    let server = Server::with("me", "secret", messages(1, 4));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "delete_after = 14", &[("uid-1", 30), ("uid-2", 13), ("uid-3", 15)]);
    import(&sandbox, &["getmail", "--write"]).succeeds();
    assert_eq!(server.count("DELE"), 0, "not by the command itself");
    sandbox.run(["me"]).succeeds();
    assert_eq!(server.unique_ids("me"), ids([2, 4]));
    assert_eq!(server.count("RETR"), 1);
}

/// The server has other mail by now under a unique-id that was retrieved: it is recognised as other mail, and delivered.
#[test]
fn an_imported_message_is_recognised_before_it_is_deleted() {
    let server = Server::with("me", "secret", messages(1, 2));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "delete_after = 14", &[("uid-1", 30), ("uid-2", 1)]);
    import(&sandbox, &["getmail", "--write"]).succeeds();
    let other = Message::new("uid-1", mail::message(77, 700));
    server.replace("me", [other].into_iter().chain(messages(2, 2)));
    sandbox.run(["me"]).succeeds();
    assert_eq!(delivered(&sandbox), 1);
}

#[test]
fn json_has_an_object_for_each_account() {
    let server = Server::with("me", "secret", messages(1, 3));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "", &[("uid-1", 1), ("uid-9", 1)]);
    let objects = |args: &[&str]| -> Vec<Value> {
        let run = import(&sandbox, &[&["--json", "getmail"], args].concat());
        run.succeeds().out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let fields = ["type", "account", "program", "line", "left_out", "configured", "taken"];
    let counts = ["remembered", "on_server", "new", "recorded"];
    for (args, configured, expected) in [
        (&["--no-login"][..], false, json!([2, null, null, 0])),
        (&[], false, json!([2, 1, 2, 0])),
        (&["--write"], false, json!([2, 1, 2, 2])),
        (&["--write"], true, json!([2, 1, 2, 0])),
    ] {
        let [object] = &objects(args)[..] else { panic!("{args:?}") };
        let of = |names: &[&str]| names.iter().map(|name| object[name].clone()).collect::<Value>();
        let account = json!(["imported", "me", "getmail", 2, null, configured, true]);
        assert_eq!((of(&fields), of(&counts)), (account, expected), "{args:?}");
    }
}

#[test]
fn where_every_account_is_left_out_the_exit_code_is_not_that_of_success() {
    let sandbox = Sandbox::new();
    sandbox.write(".fetchmailrc", "poll imap.example.com protocol imap user me password secret\n");
    for more in [&[][..], &["--write"]] {
        let run = import(&sandbox, &[&["fetchmail", "--json"], more].concat());
        run.exits(78).complains("it is not POP3").complains("nothing is taken over").never_says("secret");
        let object: Value = serde_json::from_str(&run.out()).unwrap();
        assert_eq!((&object["left_out"], &object["taken"]), (&json!("it is not POP3"), &json!(false)));
    }
    assert!(!sandbox.path(".config/popfetch").exists());
}

#[test]
fn nothing_is_taken_over_from_another_mailbox() {
    let server = Server::with("me", "secret", messages(1, 3));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "", &[("other-1", 1), ("other-2", 1)]);
    let run = import(&sandbox, &["getmail", "--write"]);
    run.exits(76)
        .complains("none of the 2 messages that getmail has retrieved is among the 3 on 127.0.0.1")
        .complains("me: nothing is taken over");
    assert!(!sandbox.path(".config/popfetch").exists());
    // Without a mailbox to compare with, nothing contradicts.
    server.replace("me", []);
    import(&sandbox, &["getmail", "--write"]).succeeds().complains("me: 0 of 2 are on the server now\n");
    server.add(
        "me",
        [Message::new("other-2", mail::message(2, 600)), Message::new("new", mail::message(3, 600))],
    );
    sandbox.run(["me"]).succeeds();
    assert_eq!(server.count("RETR"), 1);
}

#[test]
fn a_login_that_fails_leaves_everything_as_it_was() {
    let server = Server::with("me", "another", messages(1, 3));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "", &[("uid-1", 1)]);
    import(&sandbox, &["getmail", "--write"]).exits(77).never_says("secret");
    assert!(!sandbox.path(".config/popfetch").exists());
}

#[test]
fn a_server_that_is_out_of_reach_is_believed_later() {
    let server = Server::with("me", "secret", messages(1, 3));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "", &[("uid-1", 1), ("a-b", 1)]);
    let sessions = server.sessions();
    import(&sandbox, &["getmail", "--write", "--no-login"]).succeeds().complains("me: 2 taken over");
    assert_eq!(server.sessions(), sessions);
    server.add("me", [Message::new("a/b", mail::message(9, 600))]);
    sandbox.run(["me"]).succeeds();
    assert_eq!((server.count("RETR"), delivered(&sandbox)), (2, 2));
}

#[test]
fn numbers_prove_nothing_without_a_listing() {
    let server = Server::with("me", "secret", messages(1, 3));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "", &[("1", 1), ("2", 1)]);
    let run = import(&sandbox, &["getmail", "--write", "--no-login"]);
    run.exits(76).complains("message numbers, which prove nothing");
    assert!(!sandbox.path(".config/popfetch").exists());
}

#[test]
fn a_hyphen_of_getmail_may_be_a_slash_of_the_server() {
    let names = ["a/b", "c-d", "e/f", "e-f"];
    let all = names.iter().zip(1..).map(|(id, n)| Message::new(*id, mail::message(n, 600)));
    let server = Server::with("me", "secret", all);
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "", &[("a-b", 1), ("c-d", 1), ("e-f", 1)]);
    let run = import(&sandbox, &["getmail", "--write"]);
    run.succeeds()
        .complains("me: 2 of 3 are on the server now; 2 there are new")
        .complains("they come again");
    sandbox.run(["me"]).succeeds();
    assert_eq!((server.count("RETR"), delivered(&sandbox)), (2, 2), "what fits two is about neither");
}

#[test]
fn what_stands_in_the_configuration_stays() {
    let server = Server::with("me", "secret", messages(1, 2));
    let sandbox = Sandbox::new();
    let before = "# mine\n[defaults]\ntimeout = '30s' # short\n\n[accounts.me]   # another\nserver = \"pop.example.com\"\n\
                  user = \"x\"\npassword-command = \"pass x\"\ndeliver = { maildir = \"~/x\" }\n# end\n";
    let file = sandbox.config(before);
    getmail(&sandbox, &server, "", &[("uid-1", 1)]);
    import(&sandbox, &["getmail", "--write"]).succeeds().complains("config.toml now has the account me-me\n");
    let after = std::fs::read_to_string(file).unwrap();
    let (head, tail) = after.split_once("\n# from ~/.getmail/getmailrc\n").unwrap();
    assert_eq!(head, before);
    assert!(tail.contains("[accounts.me-me]\nserver = \"127.0.0.1\"\n"), "{after}");
    sandbox.run(["me-me"]).succeeds();
    assert_eq!(server.count("RETR"), 1);
}

/// The account was written by hand: what was retrieved goes to its mailbox.
#[test]
fn an_account_that_is_there_gets_what_was_retrieved() {
    let server = Server::with("me", "secret", messages(1, 3));
    let sandbox = Sandbox::new();
    let file = sandbox.config(crate::destinations::account(&server, "deliver = { maildir = \"~/Mail\" }"));
    let before = std::fs::read(&file).unwrap();
    getmail(&sandbox, &server, "", &[("uid-1", 1)]);
    import(&sandbox, &["getmail", "--write"]).succeeds().complains("work: 1 of 1 are on the server now");
    assert_eq!(std::fs::read(file).unwrap(), before);
    sandbox.run(["work"]).succeeds();
    assert_eq!(server.count("RETR"), 2);
}

/// What popfetch has delivered stays as it is, and what it doesn't know is added.
#[test]
fn a_mailbox_that_popfetch_knows_may_be_imported_into() {
    let server = Server::with("me", "secret", messages(1, 2));
    let sandbox = Sandbox::new();
    sandbox.config(crate::destinations::account(&server, "deliver = { maildir = \"~/Mail\" }"));
    sandbox.run(["work"]).succeeds();
    server.add("me", messages(3, 4));
    getmail(&sandbox, &server, "", &[("uid-2", 900), ("uid-3", 1)]);
    import(&sandbox, &["getmail", "--write"]).succeeds().complains("work: 1 taken over; 1 known before");
    sandbox.run(["work"]).succeeds();
    assert_eq!((server.count("RETR"), delivered(&sandbox)), (3, 3));
}

#[test]
fn a_mailbox_that_another_popfetch_has_is_left_alone() {
    let server = Server::with("me", "secret", messages(1, 2));
    let sandbox = Sandbox::new();
    getmail(&sandbox, &server, "", &[("uid-1", 1)]);
    import(&sandbox, &["getmail", "--write"]).succeeds();
    let lock = crate::support::sandbox::files(&sandbox.state());
    let lock = lock.keys().find(|path| path.ends_with("lock")).unwrap();
    let file = std::fs::File::open(sandbox.state().join(lock)).unwrap();
    file.lock().unwrap();
    import(&sandbox, &["getmail", "--write"]).exits(75);
}

#[test]
fn a_file_that_nobody_recognises_is_refused() {
    let sandbox = Sandbox::new();
    import(&sandbox, &[]).exits(64).complains("there is no configuration of fetchmail, getmail, mpop, fdm");
    import(&sandbox, &["/nowhere/rc"]).exits(64).complains("whose file is /nowhere/rc?");
    import(&sandbox, &["fetchmail", "/nowhere/rc"]).exits(65);
    let file = sandbox.write(".fetchmailrc", "poll a user b\npasword \"hunter2\"\n");
    let run = import(&sandbox, &[file.to_str().unwrap()]);
    run.exits(65).complains(".fetchmailrc:2: after the user an option is expected").never_says("hunter2");
}

/// Killed at every step that lasts: what was retrieved is known whole or not at all, no account is in the configuration before
/// it is, and the same command finishes it.
#[cfg(feature = "crash-points")]
#[test]
fn an_import_that_dies_at_any_step_is_finished_by_the_next() {
    let server = Server::with("me", "secret", messages(1, 6));
    let mut step = 0;
    loop {
        step += 1;
        let sandbox = Sandbox::in_memory();
        let old = "# old\n[accounts.x]\nserver = \"pop.example.com\"\nuser = \"x\"\npassword-command = \"x\"\n\
                   deliver = { maildir = \"~/x\" }\n";
        let config = sandbox.config(old);
        getmail(
            &sandbox,
            &server,
            "delete_after = 14",
            &[("uid-1", 20), ("uid-2", 1), ("uid-3", 1), ("uid-4", 1)],
        );
        let retrieved = server.count("RETR");
        let run = sandbox.popfetch(["import", "getmail", "--write"]).crash_at(step).run();
        let text = std::fs::read_to_string(&config).unwrap();
        let is_written = text.contains("[accounts.me]");
        assert!(is_written || text == old, "step {step}: {text}");
        if run.crashed() && !is_written {
            // A run of what is there retrieves nothing of it.
            let known = sandbox.files_with("u:uid-");
            let ledger: Vec<_> = known.iter().filter(|path| path.ends_with("ledger")).collect();
            if let [ledger] = ledger.as_slice() {
                let text = String::from_utf8(std::fs::read(sandbox.path(ledger)).unwrap()).unwrap();
                let ids: BTreeSet<&str> = text.split(' ').filter(|word| word.starts_with("u:uid-")).collect();
                assert_eq!(ids.len(), 4, "step {step}: all or nothing\n{text}");
            }
            import(&sandbox, &["getmail", "--write"]).succeeds();
        }
        sandbox.run(["me"]).succeeds();
        assert_eq!(server.count("RETR") - retrieved, 2, "step {step}");
        assert_eq!(server.unique_ids("me"), ids(2..=6), "step {step}");
        server.replace("me", messages(1, 6));
        if !run.crashed() {
            assert!(step > 8, "{step}");
            break;
        }
    }
}
