//! Programs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{account, poll, set_up, small};
use crate::support::installed;
use crate::support::mail::{self, stored};
use crate::support::mailboxes::{Maildir, MboxMessage, assert_same, mbox, python_maildir, python_mbox};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, Server, numbered};

/// A program that leaves in the home folder, for each message, its argv, some of its environment, and its input.
const RECORDER: &str = r#"n=$(ls "$HOME" | grep -c '\.argv$')
for argument in "$0" "$@"; do printf '%s\n' "$argument"; done > "$HOME/$n.argv"
env | grep -E '^(SENDER|RECIPIENT|POPFETCH_[A-Z]*)=' | sort > "$HOME/$n.env"
cat > "$HOME/$n.input""#;

/// How often a script that appends a line to `calls` was run.
fn calls(sandbox: &Sandbox) -> usize {
    std::fs::read_to_string(sandbox.path("calls")).unwrap_or_default().lines().count()
}

#[test]
fn only_exit_code_0_delivers() {
    /// What a script does, whether it took the message, whether it is handed over again at once.
    type Case = (&'static str, bool, bool);
    let cases: [Case; 14] = [
        ("cat >/dev/null; exit 0", true, false),
        ("exit 0", true, false),
        ("exec <&-; exit 0", true, false),
        ("exit 75", false, true),
        ("cat >/dev/null; exit 75", false, true),
        ("exit 1", false, true),
        ("exit 64", false, true),
        ("exit 70", false, true),
        ("exit 255", false, true),
        ("kill -9 $$", false, true),
        ("exit 65", false, false),
        ("exit 67", false, false),
        ("exit 69", false, false),
        ("exit 77", false, false),
    ];
    for (script, takes, again) in cases {
        // Larger than a pipe holds, so that a program that doesn't read is noticed.
        let (server, sandbox) = set_up([Message::new("a", mail::message(1, 200_000))], "");
        let program = sandbox.script("mda", &format!("echo >> ~/calls\necho complaint >&2\n{script}"));
        sandbox.config(account(
            &server,
            &format!("deliver = {{ pipe = [\"{}\"] }}\nleave-on-server = false", program.display()),
        ));
        let run = poll(&sandbox);
        if takes {
            run.succeeds();
            assert_eq!(server.unique_ids("me"), [""; 0], "{script}");
            continue;
        }
        run.exits(75).complains("message 1").complains("mda").complains("complaint");
        assert_eq!(server.count("DELE"), 0, "{script}");
        assert_eq!(server.unique_ids("me"), ["a"], "{script}");
        // What refused this very message isn't asked again at each poll, nor is it reported again.
        let quiet = sandbox.run(["--quiet"]);
        assert_eq!(calls(&sandbox), if again { 2 } else { 1 }, "{script}");
        assert_eq!(server.count("RETR"), calls(&sandbox));
        quiet.never_says("message 1");
        quiet.exits(75);
        assert_eq!(server.count("DELE"), 0, "{script}");
    }
}

#[test]
fn temporary_failure_is_tried_again_in_each_run() {
    let (server, sandbox) = set_up(numbered([small("a")]), "");
    let program = sandbox.script("mda", "echo >> ~/calls\n[ $(wc -l < ~/calls) -gt 3 ] || exit 75");
    let keys = format!("deliver = {{ pipe = [\"{}\"] }}\nleave-on-server = false", program.display());
    sandbox.config(account(&server, &keys));
    for _ in 0..3 {
        poll(&sandbox).exits(75);
    }
    poll(&sandbox).succeeds();
    assert!(server.unique_ids("me").is_empty());
}

#[test]
fn program_over_its_time_limit_is_stopped() {
    let (server, sandbox) = set_up(numbered([small("a")]), "");
    // What it started goes with it.
    let program = sandbox.script("mda", "sleep 60 &\necho $! > ~/pid\nwait");
    sandbox.config(account(
        &server,
        &format!(
            "deliver = {{ pipe = [\"{}\"], time-limit = \"1s\" }}\nleave-on-server = false",
            program.display()
        ),
    ));
    let run = poll(&sandbox);
    run.exits(75).complains("time limit");
    assert!(run.elapsed < Duration::from_secs(10));
    assert_eq!(server.unique_ids("me"), ["uid-1"]);
    let pid: i32 = std::fs::read_to_string(sandbox.path("pid")).unwrap().trim().parse().unwrap();
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn missing_program_is_reported_before_retrieving() {
    for program in ["no-such-mda", "/no/such/mda", "~/not-executable"] {
        let (server, sandbox) = set_up(numbered([small("a")]), "");
        let plain = sandbox.write("not-executable", "#!/bin/sh\nexit 0\n");
        let program = program.replace("~/not-executable", plain.to_str().unwrap());
        sandbox.config(account(
            &server,
            &format!("deliver = {{ pipe = [\"{program}\"] }}\nleave-on-server = false"),
        ));
        poll(&sandbox).exits(78).complains(&program);
        assert_eq!(server.sessions(), 0);
        assert_eq!(server.unique_ids("me"), ["uid-1"]);
    }
    // A shell finds out on its own.
    let (server, sandbox) = set_up(
        numbered([small("a"), small("b")]),
        "deliver = { pipe = \"no-such-mda -d me\" }\nleave-on-server = false",
    );
    poll(&sandbox).exits(78).complains("no such command");
    assert_eq!(server.unique_ids("me").len(), 2);
}

#[test]
fn messages_are_handed_over_one_by_one_in_order() {
    let (server, sandbox) = set_up(numbered((0..30).map(|n| small(&n.to_string()))), "");
    let program = sandbox.script(
        "mda",
        "mkdir ~/busy || { echo two at once >> ~/wrong; exit 1; }\nsed -n 's/^Subject: //p' >> ~/subjects\nrmdir ~/busy",
    );
    sandbox.config(account(&server, &format!("deliver = {{ pipe = [\"{}\"] }}", program.display())));
    poll(&sandbox).succeeds();
    assert!(!sandbox.path("wrong").exists());
    let subjects = std::fs::read_to_string(sandbox.path("subjects")).unwrap();
    assert_eq!(subjects, (0..30).map(|n| format!("{n}\n")).collect::<String>());
}

/// `parallel = 3` means three, not one and not four.  The first message may go alone, before the others have come.
#[test]
fn parallel_programs_run_at_once_and_never_more() {
    let (server, sandbox) = set_up(numbered((0..10).map(|n| small(&n.to_string()))), "");
    let program = sandbox.script(
        "mda",
        "cat > /tmp/mda.$$; subject=$(sed -n 's/^Subject: //p' /tmp/mda.$$); rm /tmp/mda.$$\n\
         [ $subject = 0 ] && exit 0\n\
         touch ~/running/$subject\n\
         [ $(ls ~/running | wc -l) -le 3 ] || echo >> ~/too-many\n\
         until [ -e ~/three ]; do [ $(ls ~/running | wc -l) -eq 3 ] && touch ~/three; sleep 0.01; done\n\
         rm ~/running/$subject; echo >> ~/calls",
    );
    std::fs::create_dir(sandbox.path("running")).unwrap();
    sandbox.config(account(
        &server,
        &format!(
            "deliver = {{ pipe = [\"{}\"], parallel = 3, time-limit = \"20s\" }}\nleave-on-server = false",
            program.display()
        ),
    ));
    poll(&sandbox).succeeds();
    assert!(sandbox.path("three").exists(), "three ran at once");
    assert!(!sandbox.path("too-many").exists());
    assert_eq!(calls(&sandbox), 9);
    assert_eq!(server.unique_ids("me"), [""; 0]);
}

#[test]
fn a_program_never_gets_half_a_message() {
    let large = mail::message(1, 300_000);
    let (server, sandbox) =
        set_up([Message::new("a", &large).cut_after(250_000)], "deliver = { pipe = \"cat > ~/got\" }");
    poll(&sandbox).exits(75);
    assert!(!sandbox.path("got").exists());
    server.replace("me", [Message::new("a", &large)]);
    poll(&sandbox).succeeds();
    assert_eq!(std::fs::read(sandbox.path("got")).unwrap(), stored(&large));
}

struct Recorded {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    input: Vec<u8>,
}

fn recorded(sandbox: &Sandbox) -> Vec<Recorded> {
    let read = |n: usize, what: &str| std::fs::read(sandbox.path(format!("{n}.{what}")));
    let text = |n: usize, what: &str| String::from_utf8(read(n, what).unwrap()).unwrap();
    (0..)
        .take_while(|n| read(*n, "argv").is_ok())
        .map(|n| Recorded {
            argv: text(n, "argv").lines().map(str::to_owned).collect(),
            env: text(n, "env")
                .lines()
                .map(|line| line.split_once('=').unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            input: read(n, "input").unwrap(),
        })
        .collect()
}

fn from(path: &str) -> Vec<u8> {
    format!("Return-Path: {path}\r\nDelivered-To: me@example.org\r\nSubject: x\r\n\r\nbody\r\n").into_bytes()
}

/// Runs popfetch with our own programs of these names first in PATH.
fn with_recorder(program: &str, arguments: &str, messages: &[Vec<u8>]) -> (Run, Sandbox, Server) {
    let (server, sandbox) = set_up(numbered(messages), "");
    sandbox.script(format!("bin/{program}"), RECORDER);
    sandbox.config(account(&server, &format!("deliver = {{ pipe = [\"{program}\"{arguments}] }}")));
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let run = sandbox.popfetch([""; 0]).env("PATH", path).run();
    (run, sandbox, server)
}

/// Each MDA is called with the options that it needs, whatever the sender's address is.
#[test]
fn hostile_senders_are_harmless() {
    let senders = [
        ("<ada@example.org>", "ada@example.org"),
        ("<>", "MAILER-DAEMON"),
        ("<-x>", "MAILER-DAEMON"),
        ("<-d@example.org>", "MAILER-DAEMON"),
        ("<a b>", "MAILER-DAEMON"),
        ("<$(touch${IFS}pwned)@x>", "$(touch${IFS}pwned)@x"),
        ("<`id`;x@y>", "`id`;x@y"),
        ("<{account}@x>", "{account}@x"),
        ("<a\x1b[1m@x>", "MAILER-DAEMON"),
        ("<j\u{f6}@x>", "MAILER-DAEMON"),
    ];
    let messages: Vec<Vec<u8>> = senders.iter().map(|(path, _)| from(path)).collect();
    let mdas: [(&str, &[&str]); 4] = [
        ("procmail", &["-t", "-f", "S"]),
        ("maildrop", &["-f", "S"]),
        ("dovecot-lda", &["-e", "-f", "S"]),
        ("other", &[]),
    ];
    for (program, inserted) in mdas {
        let (run, sandbox, _server) = with_recorder(program, ", \"-d\", \"me\", \"{account}\"", &messages);
        run.succeeds();
        let recorded = recorded(&sandbox);
        assert_eq!(recorded.len(), senders.len());
        for (((_, sender), octets), Recorded { argv, env, input }) in
            senders.iter().zip(&messages).zip(&recorded)
        {
            let inserted = inserted.iter().map(|word| if *word == "S" { *sender } else { *word });
            let expected: Vec<&str> = inserted.chain(["-d", "me", "work"]).collect();
            assert_eq!(argv[1..], expected, "{program}");
            let expected = [
                ("POPFETCH_ACCOUNT", "work"),
                ("POPFETCH_SERVER", "127.0.0.1"),
                ("RECIPIENT", "me@example.org"),
                ("SENDER", sender),
            ];
            assert_eq!(*env, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
            assert_eq!(*input, stored(octets), "no From_ line, nothing added");
        }
        assert!(sandbox.files_with("pwned").iter().all(|path| path.extension().is_some()), "only recorded");
    }
}

#[test]
fn a_shell_line_gets_the_sender_in_its_environment_only() {
    let (_server, sandbox) = set_up(
        numbered([from("<$(touch${IFS}pwned)@x>")]),
        "deliver = { pipe = \"printf %s \\\"$SENDER\\\" > ~/said\" }",
    );
    poll(&sandbox).succeeds();
    assert_eq!(std::fs::read_to_string(sandbox.path("said")).unwrap(), "$(touch${IFS}pwned)@x");
    assert!(!sandbox.path("pwned").exists());
}

#[test]
fn a_strangers_words_never_go_to_a_shell() {
    for pipe in [
        "[\"sh\", \"-c\", \"echo {sender} >> ~/said\"]",
        "[\"env\", \"A=b\", \"nice\", \"bash\", \"-ec\", \"echo {sender} >> ~/said\"]",
        "\"echo {sender} >> ~/said\"",
    ] {
        let (server, sandbox) =
            set_up(numbered([from("<$(touch${IFS}pwned)@x>")]), &format!("deliver = {{ pipe = {pipe} }}"));
        poll(&sandbox).exits(78).complains("{sender}").complains("use \"$SENDER\"");
        assert_eq!((server.sessions(), sandbox.path("said").exists()), (0, false));
    }
}

/// A program that has taken a message may have left it in memory: nothing is deleted for it before that's on the disk.
#[cfg(feature = "crash-points")]
#[test]
fn accepted_mail_is_synced_before_dele() {
    let everything = |step: &&String| step.ends_with(" Sync every file system");
    let scene = |lines: &str| {
        let deliver = "deliver = [{ maildir = \"~/Mail\" }, { pipe = \"cat >> ~/taken\" }]";
        set_up(numbered([from("<a@b>"), from("<c@d>")]), &format!("{deliver}\n{lines}"))
    };
    for (lines, arguments, syncs) in [
        ("leave-on-server = false", &[][..], true),
        ("leave-on-server = { days = 3 }", &[], true),
        ("", &["--delete"], true),
        ("", &[], false),
        ("leave-on-server = false", &["--keep"], false),
        ("leave-on-server = false\nsync = \"off\"", &[], false),
    ] {
        let (_server, sandbox) = scene(lines);
        let run = sandbox.popfetch(arguments).record_steps().run();
        run.succeeds();
        let warned =
            run.err().contains("after a power failure mail that was deleted on the server may be missing");
        assert_eq!(warned, lines.contains("off"), "{}", run.shown());
        assert_eq!(run.steps.iter().any(|step| everything(&step)), syncs, "{lines} {arguments:?}");
        if syncs {
            let (server, sandbox) = scene(lines);
            let step = run.steps.iter().find(everything).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert!(sandbox.popfetch(arguments).crash_at(step).run().crashed());
            assert!(sandbox.path("taken").exists());
            assert_eq!(server.count("DELE"), 0, "{lines}");
        }
    }
}

/// What cannot confuse a filter: every message has a header, and none is altered by procmail (which takes
/// `Content-Length` out of what it writes to an mbox).
fn ordinary() -> Vec<Vec<u8>> {
    vec![
        from("<ada@example.org>"),
        from("<>"),
        mail::message(3, 5_000),
        mail::message(4, 300_000),
        b"Subject: from\r\n\r\nFrom here\r\n>From there\r\n".to_vec(),
        "Subject: eight\r\n\r\nGr\u{fc}\u{df}e\r\n".as_bytes().to_vec(),
    ]
}

/// The senders in the From_ lines.
fn senders(mbox: &[MboxMessage]) -> Vec<String> {
    let sender = |from: &[u8]| String::from_utf8_lossy(from).split(' ').nth(1).unwrap().to_owned();
    mbox.iter().map(|entry| sender(&entry.from)).collect()
}

#[test]
fn procmail_delivers_to_maildir_and_mbox() {
    if installed("procmail").is_none() {
        return;
    }
    let messages = ordinary();
    let expected: Vec<Vec<u8>> = messages.iter().map(|octets| stored(octets)).collect();
    for target in ["Mail/", "inbox"] {
        let (server, sandbox) = set_up(numbered(&messages), "");
        let home = sandbox.home();
        let rc = sandbox.write("procmailrc", format!("MAILDIR={0}\nDEFAULT={0}/{target}\n", home.display()));
        sandbox.config(account(
            &server,
            &format!("deliver = {{ pipe = [\"procmail\", \"{}\"] }}\nleave-on-server = false", rc.display()),
        ));
        poll(&sandbox).succeeds();
        assert_eq!(server.unique_ids("me"), [""; 0]);
        if target == "Mail/" {
            assert_same(Maildir::read(&home.join("Mail")).messages(), expected.clone());
            if let Some(read) = python_maildir(&home.join("Mail")) {
                assert_same(read, expected.clone());
            }
        } else {
            let found = mbox(&home.join("inbox"));
            assert_eq!(senders(&found)[..2], ["ada@example.org", "MAILER-DAEMON"]);
            assert_eq!(found.len(), messages.len(), "each has its From_ line");
            if let Some(read) = python_mbox(&home.join("inbox")) {
                assert_eq!(read.len(), messages.len());
            }
        }
    }
}

/// The last word of a filter that gives up (procmail itself waits for minutes for what it cannot write).
#[test]
fn message_refused_by_procmail_stays() {
    if installed("procmail").is_none() {
        return;
    }
    let (server, sandbox) = set_up(numbered([small("a")]), "");
    let rc = sandbox.write("procmailrc", "EXITCODE=75\nDEFAULT=/dev/null\n");
    sandbox.config(account(
        &server,
        &format!("deliver = {{ pipe = [\"procmail\", \"{}\"] }}\nleave-on-server = false", rc.display()),
    ));
    poll(&sandbox).exits(75).complains("procmail");
    assert_eq!(server.unique_ids("me"), ["uid-1"]);
}

#[test]
fn maildrop_delivers_to_maildir_and_mbox() {
    if installed("maildrop").is_none() {
        return;
    }
    let messages = ordinary();
    let expected: Vec<Vec<u8>> = messages.iter().map(|octets| stored(octets)).collect();
    for target in ["Mail", "inbox"] {
        let (server, sandbox) = set_up(numbered(&messages), "");
        let home = sandbox.home();
        crate::support::mailboxes::create_maildir(&home.join("Mail"));
        let filter = sandbox.write("filter", format!("to \"{}/{target}\"\n", home.display()));
        sandbox.config(account(
            &server,
            &format!(
                "deliver = {{ pipe = [\"maildrop\", \"{}\"] }}\nleave-on-server = false",
                filter.display()
            ),
        ));
        poll(&sandbox).succeeds();
        assert_eq!(server.unique_ids("me"), [""; 0]);
        if target == "Mail" {
            let found = Maildir::read(&home.join("Mail")).messages();
            // maildrop may add fields of its own on top; no From_ line has become text.
            assert_eq!(found.len(), expected.len());
            for octets in &expected {
                assert!(
                    found.iter().any(|message| message.ends_with(octets)),
                    "{}",
                    crate::support::show(octets)
                );
            }
            assert!(found.iter().all(|message| !message.starts_with(b"From ")));
            assert!(python_maildir(&home.join("Mail")).is_none_or(|read| read.len() == found.len()));
        } else {
            let found = mbox(&home.join("inbox"));
            assert_eq!(senders(&found)[..2], ["ada@example.org", "MAILER-DAEMON"]);
            assert_eq!(found.len(), messages.len());
        }
    }
}
