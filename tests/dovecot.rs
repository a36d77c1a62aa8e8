//! Against a real server, Debian's Dovecot: every mechanism it has, clear, by STLS and with TLS from the start; mail read
//! back by other programs; what it keeps and deletes.

use std::fs;
use std::path::Path;

use crate::support::certificates::Leaf;
use crate::support::dovecot::Dovecot;
use crate::support::mail;
use crate::support::mailboxes::{Maildir, assert_same, python_maildir};
use crate::support::sandbox::Sandbox;

const PASSWORD: &str = "Xyzzy plugh, 42=!";

/// How the connection is protected.
const MODES: [&str; 3] = ["none", "starttls", "implicit"];

/// An account of `me` there, that delivers to `~/in`.
fn account(dovecot: &Dovecot, tls: &str, more: &str) -> String {
    let port = if tls == "implicit" { dovecot.pop3s_port } else { dovecot.pop3_port };
    format!(
        "[accounts.work]\nserver = \"localhost\"\nport = {port}\ntls = \"{tls}\"\nuser = \"me\"\n\
         deliver.maildir = \"~/in\"\n{more}\n"
    )
}

fn trusted(dovecot: &Dovecot, tls: &str, more: &str) -> String {
    let ca = match tls {
        "none" => String::new(),
        _ => format!("ca-file = \"{}\"\n", dovecot.ca_file().display()),
    };
    account(dovecot, tls, &format!("{ca}password = \"{PASSWORD}\"\n{more}"))
}

#[test]
fn every_mechanism_over_every_sort_of_line() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    dovecot.put("me", &mail::message(1, 1000));
    for tls in MODES {
        for (auth, name) in [
            ("auto", "SCRAM-SHA-256"),
            ("user-pass", "USER"),
            ("apop", "APOP"),
            ("plain", "PLAIN"),
            ("login", "LOGIN"),
            ("cram-md5", "CRAM-MD5"),
            ("scram-sha-1", "SCRAM-SHA-1"),
            ("scram-sha-256", "SCRAM-SHA-256"),
        ] {
            let sandbox = Sandbox::new();
            sandbox.config(trusted(&dovecot, tls, &format!("auth = \"{auth}\"")));
            let run = sandbox.run(["-vv"]);
            if (tls, auth) == ("starttls", "apop") {
                // Its greeting came in clear, and is void.
                run.exits(77).complains("APOP timestamp");
                continue;
            }
            run.succeeds().complains(&format!("logged in with {name}")).never_says(PASSWORD);
            let expected = vec![mail::stored(&mail::message(1, 1000))];
            assert_same(Maildir::read(&sandbox.path("in")).messages(), expected);
        }
    }
}

#[test]
fn wrong_password_is_tried_once_with_every_mechanism() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    for auth in ["auto", "user-pass", "apop", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"] {
        let sandbox = Sandbox::new();
        let config = trusted(&dovecot, "implicit", &format!("auth = \"{auth}\""));
        sandbox.config(config.replace(PASSWORD, "another"));
        sandbox.run([""; 0]).exits(77).complains("[AUTH]").complains("hint: check user name and password");
        sandbox.run(["-q"]).exits(77).is_silent();
    }
    dovecot.wait_for_log("auth failed, 1 attempts", 8);
}

#[test]
fn names_and_passwords_of_all_kinds() {
    let users = [
        ("a,b=c@example.com", "x"),
        ("me", "päss wörd"),
        ("other", " lead and trail "),
        ("long", &"p".repeat(230)),
    ];
    // The file of users has colons between its fields.
    let Some(dovecot) = Dovecot::start_with(&users, "auth_username_chars =") else { return };
    for (user, password) in users {
        for auth in ["auto", "user-pass", "plain", "login", "cram-md5", "scram-sha-256"] {
            let sandbox = Sandbox::new();
            sandbox.write("secret", password);
            let config =
                account(&dovecot, "none", &format!("auth = \"{auth}\"\npassword-file = \"~/secret\""));
            sandbox.config(config.replace("\"me\"", &format!("\"{user}\"")));
            let run = sandbox.run([""; 0]);
            assert_eq!(run.code(), Some(0), "{user} {auth}\n{}\n{}", run.shown(), dovecot.log());
        }
    }
}

/// Samples that a Maildir can hold as they are: Dovecot turns LF into CRLF, and ends the last line.
fn samples() -> Vec<Vec<u8>> {
    let whole = |octets: &[u8]| octets.ends_with(b"\r\n") && !bare(octets);
    mail::samples().into_iter().map(|sample| sample.octets).filter(|octets| whole(octets)).collect()
}

/// Whether a CR or an LF stands alone.
fn bare(octets: &[u8]) -> bool {
    let lf = (0..octets.len()).filter(|at| octets[*at] == b'\n' && (*at == 0 || octets[at - 1] != b'\r'));
    let cr = (0..octets.len()).filter(|at| octets[*at] == b'\r' && octets.get(at + 1) != Some(&b'\n'));
    lf.chain(cr).next().is_some()
}

#[test]
fn mail_fetched_over_tls_is_readable_by_others() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD), ("copy", PASSWORD)]) else { return };
    let samples = samples();
    assert!(samples.len() > 10);
    for sample in &samples {
        dovecot.put("me", sample);
    }
    let sandbox = Sandbox::new();
    sandbox.config(trusted(&dovecot, "implicit", "leave-on-server = false"));
    sandbox.run([""; 0]).succeeds().complains(&format!("{} new", samples.len()));
    let expected: Vec<_> = samples.iter().map(|sample| mail::stored(sample)).collect();
    let maildir = sandbox.path("in");
    assert_same(Maildir::read(&maildir).messages(), expected.clone());
    if let Some(read) = python_maildir(&maildir) {
        assert_same(read, expected.clone());
    }
    dovecot.wait_for_log("pop3(me)", 1);
    dovecot.wait_for_log("Logged out", 1);
    assert!(dovecot.messages("me").is_empty());

    // What was delivered, served in turn to another popfetch.
    copy_to(&maildir, &dovecot.maildir("copy"));
    let again = Sandbox::new();
    again.config(trusted(&dovecot, "starttls", "").replace("\"me\"", "\"copy\""));
    again.run([""; 0]).succeeds();
    assert_same(Maildir::read(&again.path("in")).messages(), expected);
}

/// As a delivery agent would, with the sizes in the names left as they are: Dovecot believes them, so they had better be
/// right.
fn copy_to(from: &Path, to: &Path) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let owner = to.metadata().unwrap();
    for entry in fs::read_dir(from.join("new")).unwrap() {
        let entry = entry.unwrap();
        let target = to.join("new").join(entry.file_name());
        fs::copy(entry.path(), &target).unwrap();
        if target.metadata().unwrap().uid() != owner.uid() {
            chown(&target, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }
}

#[test]
fn what_stays_and_what_goes() {
    let policies = [
        ("leave-on-server = true", 4),
        ("leave-on-server = false", 0),
        ("leave-on-server = { newest = 3 }", 3),
        ("leave-on-server = { larger-than = \"2K\" }", 2),
        ("leave-on-server = { total-size = 5000 }", 1),
        ("leave-on-server = { days = 1 }", 4),
    ];
    let users: Vec<String> = (0..policies.len()).map(|number| format!("user{number}")).collect();
    let with_passwords: Vec<_> = users.iter().map(|user| (user.as_str(), PASSWORD)).collect();
    let Some(dovecot) = Dovecot::start(&with_passwords) else { return };
    let messages = [(1, 1000), (2, 4000), (3, 1500), (4, 4500)].map(|(n, size)| mail::message(n, size));
    for ((policy, left), user) in policies.into_iter().zip(&users) {
        messages.iter().for_each(|message| dovecot.put(user, message));
        let sandbox = Sandbox::new();
        sandbox.config(trusted(&dovecot, "none", policy).replace("\"me\"", &format!("\"{user}\"")));
        for session in 1..=2 {
            let run = sandbox.run([""; 0]);
            run.succeeds();
            dovecot.wait_for_log(&format!("pop3({user})"), session);
            assert_eq!(dovecot.messages(user).len(), left, "{policy}, session {session}\n{}", run.shown());
            let expected = messages.iter().map(|message| mail::stored(message)).collect();
            assert_same(Maildir::read(&sandbox.path("in")).messages(), expected);
        }
    }
}

#[test]
fn new_mail_comes_once_and_a_dry_run_changes_nothing() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    let sandbox = Sandbox::new();
    sandbox.config(trusted(&dovecot, "implicit", ""));
    sandbox.run(["-v"]).succeeds().complains("nothing new");
    let mut expected = Vec::new();
    for number in 1..=3 {
        dovecot.put("me", &mail::message(number, 700));
        let before = sandbox.files();
        sandbox.run(["--dry-run"]).succeeds().says("retrieve 1 message");
        assert_eq!(sandbox.files(), before);
        sandbox.run([""; 0]).succeeds().complains("1 new");
        sandbox.run(["--quiet"]).succeeds().is_silent();
        expected.push(mail::stored(&mail::message(number, 700)));
        assert_same(Maildir::read(&sandbox.path("in")).messages(), expected.clone());
    }
    sandbox.run(["--delete"]).succeeds().complains("3 deleted");
    dovecot.wait_for_log("del=3/3", 1);
    assert!(dovecot.messages("me").is_empty());
    assert_same(Maildir::read(&sandbox.path("in")).messages(), expected);
}

#[test]
fn hundreds_of_messages_are_pipelined() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    let messages: Vec<_> = (0..600).map(|number| mail::message(number, 600)).collect();
    for message in &messages {
        dovecot.put("me", message);
    }
    let sandbox = Sandbox::new();
    sandbox.config(trusted(&dovecot, "implicit", "leave-on-server = false"));
    sandbox.run([""; 0]).succeeds().complains("600 new").complains("600 deleted");
    let expected = messages.iter().map(|message| mail::stored(message)).collect();
    assert_same(Maildir::read(&sandbox.path("in")).messages(), expected);
    dovecot.wait_for_log("del=600/600", 1);
}

#[test]
fn certificate_accepted_by_authority_or_fingerprint() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    let password = format!("password = \"{PASSWORD}\"");
    for tls in ["starttls", "implicit"] {
        let sandbox = Sandbox::new();
        let run = |more: &str| {
            sandbox.config(account(&dovecot, tls, &format!("{password}\n{more}")));
            sandbox.run([""; 0])
        };
        run("").exits(77).complains("certificate refused").complains("hint: ");
        run(&format!("tls-fingerprint = \"{}\"", dovecot.certified.fingerprint())).succeeds();
        let other = dovecot.authority.issue(&Leaf::default()).fingerprint();
        run(&format!("tls-fingerprint = \"{other}\"")).exits(77).complains(&dovecot.certified.fingerprint());
        run(&format!("ca-file = \"{}\"", dovecot.ca_file().display())).succeeds();
    }
    // The wrong way to talk to each port.
    let sandbox = Sandbox::new();
    let config = |tls, port: u16| {
        let text = trusted(&dovecot, tls, "timeout = \"2s\"");
        let own = if tls == "implicit" { dovecot.pop3s_port } else { dovecot.pop3_port };
        sandbox.config(text.replace(&format!("port = {own}"), &format!("port = {port}")));
        sandbox.run([""; 0])
    };
    config("implicit", dovecot.pop3_port).exits(76).complains("does not speak TLS").complains("starttls");
    config("none", dovecot.pop3s_port).exits(76).complains("it answers to TLS").complains("implicit");
}

#[test]
fn a_client_certificate_logs_in_by_external() {
    let more = "ssl_ca = <{folder}/ca.pem\nssl_require_crl = no\nssl_verify_client_cert = yes\nauth_ssl_username_from_cert = yes\n\
                ssl_cert_username_field = commonName\nauth_mechanisms = external plain\n\
                passdb {\n  driver = static\n  args = nopassword=y\n  mechanisms = external\n}\n";
    let Some(dovecot) = Dovecot::start_with(&[("me", PASSWORD)], more) else { return };
    dovecot.put("me", &mail::message(1, 1000));
    let leaf = Leaf { client: true, common_name: Some("me".into()), ..Leaf::named(&["me"]) };
    let ours = dovecot.authority.issue(&leaf);
    for tls in ["implicit", "starttls"] {
        let sandbox = Sandbox::new();
        sandbox.write("certificate.pem", &ours.certificate);
        sandbox.write("key.pem", &ours.key);
        let ca = format!("ca-file = \"{}\"", dovecot.ca_file().display());
        let more = "auth = \"external\"\ntls-client-certificate = \"~/certificate.pem\"\ntls-client-key = \"~/key.pem\"";
        sandbox.config(account(&dovecot, tls, &format!("{ca}\n{more}")));
        let run = sandbox.run(["-v"]);
        assert_eq!(run.code(), Some(0), "{}\n{}", run.shown(), dovecot.log());
        run.complains("logged in with EXTERNAL");
        let expected = vec![mail::stored(&mail::message(1, 1000))];
        assert_same(Maildir::read(&sandbox.path("in")).messages(), expected);
    }
}

#[test]
fn two_popfetches_of_two_homes_share_a_mailbox() {
    // Dovecot has no lock between sessions: a message may be gone when its turn comes.
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    for number in 0..100 {
        dovecot.put("me", &mail::message(number, 600));
    }
    let sandboxes = [Sandbox::new(), Sandbox::new()];
    for sandbox in &sandboxes {
        sandbox.config(trusted(&dovecot, "none", "leave-on-server = false"));
    }
    let runs = sandboxes.each_ref().map(|sandbox| sandbox.popfetch([""; 0]).start());
    for run in runs {
        let run = run.finish();
        assert!(matches!(run.code(), Some(0 | 75)), "{}", run.shown());
    }
    // Whatever either got, nothing is lost.
    let mut all: Vec<_> =
        sandboxes.iter().flat_map(|sandbox| Maildir::read(&sandbox.path("in")).messages()).collect();
    all.sort();
    all.dedup();
    assert_same(all, (0..100).map(|number| mail::stored(&mail::message(number, 600))).collect());
}

/// Commands that look leave the mailbox as it is, flags included; one that deletes, deletes what the user named.
#[test]
fn looking_changes_nothing_and_deleting_what_was_named() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    for number in 1..=3 {
        dovecot.put("me", &mail::message(number, 700));
    }
    let sandbox = Sandbox::new();
    sandbox.config(trusted(&dovecot, "implicit", ""));
    let files = || {
        let mut files = crate::support::sandbox::files(&dovecot.maildir("me"));
        // Its own indexes.
        files.retain(|path, _| !path.to_string_lossy().contains("dovecot"));
        files
            .into_keys()
            .filter(|path| !path.ends_with(""))
            .map(|path| path.file_name().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    sandbox.run(["check"]).succeeds().says("3 new");
    let before = files();
    sandbox.run(["list"]).succeeds().says("SUBJECT").says("retrieve");
    let shown = sandbox.run(["show", "work", "2", "--raw"]);
    assert_eq!(shown.succeeds().stdout, mail::stored(&mail::message(2, 700)));
    sandbox.run(["show", "work", "last"]).succeeds().says("Subject: ");
    assert_eq!(files(), before);
    sandbox.run(["delete", "work", "2", "-y"]).exits(64);
    sandbox.run([""; 0]).succeeds();
    sandbox.run(["check"]).exits(1).says("nothing new (3 messages on the server)");
    sandbox.run(["list", "--seen"]).succeeds().says("keep");
    sandbox.run(["delete", "work", "2", "-y"]).succeeds().says("1 message deleted");
    dovecot.wait_for_log("del=1/3", 1);
    assert_eq!(dovecot.messages("me").len(), 2);
    sandbox.run([""; 0]).succeeds().is_silent();
}

/// What counts as seen isn't retrieved, until it is forgotten; a message that fails is tried again on demand.
#[test]
fn seen_forgotten_and_tried_again() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    for number in 1..=3 {
        dovecot.put("me", &mail::message(number, 700));
    }
    let stored =
        |numbers: &[u64]| numbers.iter().map(|n| mail::stored(&mail::message(*n, 700))).collect::<Vec<_>>();
    let sandbox = Sandbox::new();
    sandbox.config(trusted(&dovecot, "implicit", ""));
    sandbox.run(["mark-seen", "work", "1-2"]).succeeds();
    sandbox.run(["list"]).succeeds().says("retrieve");
    sandbox.run([""; 0]).succeeds().complains("1 new");
    assert_same(Maildir::read(&sandbox.path("in")).messages(), stored(&[3]));
    sandbox.run(["state", "forget", "work", "--seen", "-y"]).succeeds().says("2 messages forgotten");
    sandbox.run([""; 0]).succeeds().complains("2 new");
    assert_same(Maildir::read(&sandbox.path("in")).messages(), stored(&[1, 2, 3]));
    assert_eq!(dovecot.messages("me").len(), 3);
    // A destination that refuses, until it doesn't.
    let pipe = "deliver = { pipe = [\"sh\", \"-c\", \"test -e ~/ok || exit 67; cat >> ~/taken\"] }";
    let config = trusted(&dovecot, "implicit", pipe).replace("deliver.maildir = \"~/in\"\n", "");
    let failing = Sandbox::new();
    failing.config(config);
    for _ in 0..2 {
        failing.run([""; 0]).exits(75);
    }
    failing.run([""; 0]).exits(75).complains("3 messages failed, next try ");
    failing.run(["history", "--failed"]).succeeds().says("once");
    failing.run(["status"]).exits(1).says("3 messages fail: ");
    failing.write("ok", "");
    failing.run(["retry"]).succeeds();
    assert!(fs::read(failing.path("taken")).unwrap().len() > 2000);
    failing.run(["status"]).succeeds();
    failing.run(["history", "work", "-n", "2"]).succeeds().says("kept");
}

/// By hand: what the shell sends, a real server answers; and what `quit` deletes is known afterwards.
#[test]
fn a_session_by_hand() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    for number in 1..=3 {
        dovecot.put("me", &mail::message(number, 700));
    }
    for tls in MODES {
        let sandbox = Sandbox::new();
        sandbox.config(trusted(&dovecot, tls, ""));
        let lines = "stat\ncapa\nlist\nuidl 2\ntop 1 0\nretr 1\nnoop\ndele 1\nrset\nabort\n";
        let run = sandbox.popfetch(["shell", "--strict"]).stdin(lines).run();
        run.succeeds().says("+OK 3 ").says("PIPELINING").says("Subject: ").never_says(PASSWORD);
        assert_eq!(dovecot.messages("me").len(), 3);
        let run = sandbox.popfetch(["shell", "--strict"]).stdin("retr 9\nstat\n").run();
        run.exits(75).says("-ERR ").never_says("+OK 3 ");
    }
    let sandbox = Sandbox::new();
    sandbox.config(trusted(&dovecot, "implicit", ""));
    sandbox.run([""; 0]).succeeds();
    sandbox.popfetch(["shell"]).stdin("dele 2\nquit\n").run().succeeds().says("1 message deleted");
    dovecot.wait_for_log("del=1/3", 1);
    assert_eq!(dovecot.messages("me").len(), 2);
    sandbox.run([""; 0]).succeeds().is_silent();
}

/// What is kept goes to another machine, and to another name of the server; nothing comes twice.
#[test]
fn what_is_known_of_a_mailbox_goes_on_elsewhere() {
    let Some(dovecot) = Dovecot::start(&[("me", PASSWORD)]) else { return };
    for number in 1..=3 {
        dovecot.put("me", &mail::message(number, 700));
    }
    let sandbox = Sandbox::new();
    sandbox.config(trusted(&dovecot, "none", ""));
    sandbox.run([""; 0]).succeeds();
    sandbox.run(["state", "list"]).succeeds().says("me@localhost");
    sandbox.run(["state", "verify"]).succeeds().says("work: ok (3 messages)");
    let exported = sandbox.run(["state", "export"]);
    exported.succeeds().never_says(PASSWORD);
    let other = Sandbox::new();
    other.config(trusted(&dovecot, "none", ""));
    other.write("kept", &exported.stdout);
    other.run(["state", "restore", "kept"]).succeeds().says("restored (3 messages)");
    other.run(["-v"]).succeeds().complains("nothing new");
    // The same server by another name.
    let renamed = trusted(&dovecot, "none", "").replace("\"localhost\"", "\"127.0.0.1\"");
    other.config(renamed);
    other.run(["state", "move", "localhost", "work"]).succeeds().says("3 messages");
    other.run(["-v"]).succeeds().complains("nothing new");
    other.run(["state", "release", "work", "-y"]).succeeds().says("nothing is given up");
    other.run(["config", "check", "--login"]).succeeds().says("work: ok: login at 127.0.0.1");
    assert_eq!(dovecot.messages("me").len(), 3);
}
