//! What goes wrong for someone who sets popfetch up: each mistake with the whole text that answers it, which says what to
//! do next, and its exit code.  The texts are in tests/snapshots/newcomer-*.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::mailbox::{PASSWORD, account, good, named_account, serve, small};
use crate::support::certificates::{Authority, Certified, Leaf};
use crate::support::installed;
use crate::support::mailboxes::create_maildir;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, send};
use crate::support::server::{Message, Server};

/// The code, the whole text, and that a hint is part of it.
#[track_caller]
fn answers(name: &str, code: i32, run: &Run) {
    run.exits(code).looks_like(&format!("newcomer-{name}"));
    let has_hint = run.err().contains("\nhint: ") || run.err().contains("(hint: ");
    assert!(has_hint && run.out().is_empty(), "{}", run.shown());
}

/// A run with this configuration, which concerns no server.
#[track_caller]
fn answers_configuration(name: &str, config: &str) {
    let sandbox = Sandbox::new();
    sandbox.config(config);
    answers(name, 78, &sandbox.run([""; 0]));
}

fn dead_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

// ---- the server ------------------------------------------------------------------------------------------------

#[test]
fn wrong_host_or_port() {
    let sandbox = Sandbox::new();
    // RFC 6761: nothing under .invalid has an address.
    let typo = named_account("work", 995, "password = \"x\"").replace("127.0.0.1", "pop.exmaple.invalid");
    sandbox.config(typo);
    answers("host", 75, &sandbox.run([""; 0]));
    sandbox.config(account(dead_port(), ""));
    answers("port", 75, &sandbox.run([""; 0]));
    // A web server.
    let server = Scripted::start(vec![vec![send("HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n")]]);
    sandbox.config(account(server.port(), ""));
    answers("no-pop3", 76, &sandbox.run([""; 0]));
    server.finish();
}

#[test]
fn wrong_mode_of_tls() {
    let sandbox = Sandbox::new();
    let with = |port, more: &str| {
        sandbox.config(named_account(
            "work",
            port,
            &format!("password = \"{PASSWORD}\"\ntimeout = \"2s\"\n{more}"),
        ));
        sandbox.run([""; 0])
    };
    let plain = Scripted::start(vec![vec![send("+OK ready\r\n"), Step::Stall]]);
    answers("tls-on-a-plain-port", 76, &with(plain.port(), ""));
    let certified = Authority::new().issue(&Leaf::self_signed());
    let script = vec![vec![Step::Stall], vec![Step::StartTls]];
    let server = Scripted::start_tls(certified.clone(), script.clone());
    answers("plain-on-a-tls-port", 76, &with(server.port(), "tls = \"none\""));
    let server = Scripted::start_tls(certified, script);
    answers("starttls-on-a-tls-port", 76, &with(server.port(), "tls = \"starttls\""));
    let server = Server::start(good(small(1)).instead("STLS", "-ERR unknown command\r\n"));
    answers("no-starttls", 76, &with(server.port(), "tls = \"starttls\""));
}

#[test]
fn certificates_that_are_not_trusted() {
    let authority = Authority::new();
    let answers = |name: &str, certified: Certified| {
        let server = Scripted::start_tls(certified, vec![vec![Step::StartTls]; 2]);
        let sandbox = Sandbox::new();
        authority.write(&sandbox.path("ca.pem"));
        let trust = format!("password = \"{PASSWORD}\"\nca-file = \"~/ca.pem\"");
        sandbox.config(named_account("work", server.port(), &trust).replace("127.0.0.1", "localhost"));
        let run = sandbox.run([""; 0]);
        answers(name, 77, &run);
        run.complains("it is valid from 20").complains("tls-fingerprint = \"sha256:");
    };
    answers("certificate-expired", authority.issue(&Leaf::expired()));
    answers("certificate-self-signed", authority.issue(&Leaf::self_signed()));
    answers("certificate-unknown-issuer", Authority::new().issue(&Leaf::default()));
    answers(
        "certificate-other-name",
        authority.issue(&Leaf::named(&["mail.example.net", "pop.example.net"])),
    );
}

// ---- the login -------------------------------------------------------------------------------------------------

/// What servers answer to the password, and what is said of it.
#[test]
fn logins_that_are_refused() {
    for (name, code, answer) in [
        ("password", 77, "-ERR Authentication failed.\r\n"),
        ("password-auth", 77, "-ERR [AUTH] Username and password not accepted.\r\n"),
        (
            "gmail-app-password",
            77,
            "-ERR [AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833\r\n",
        ),
        (
            "gmail-pop-off",
            77,
            "-ERR [AUTH] Your account is not enabled for POP access. Please visit your Gmail settings page and enable \
             your account for POP access.\r\n",
        ),
        ("outlook", 77, "-ERR Logon failure: unknown user name or bad password.\r\n"),
        ("yandex-pop-off", 77, "-ERR [AUTH] login failure or POP3 disabled, try later. sc=x\r\n"),
        ("in-use", 75, "-ERR [IN-USE] Mailbox is locked by another session\r\n"),
    ] {
        let server = Server::start(good(small(1)).without("AUTH-RESP-CODE").instead("PASS", answer));
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), "auth = \"user-pass\""));
        answers(name, code, &sandbox.run([""; 0]));
    }
}

/// Gmail takes the login, and refuses what comes after it.
#[test]
fn pop_that_is_switched_off_behind_the_login() {
    let answer = "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and \
                  enable your account for POP access.\r\n";
    let mut options = good(small(1));
    for command in ["STAT", "LIST", "UIDL"] {
        options = options.instead(command, answer);
    }
    let served = serve(options, "");
    let run = served.fetch();
    run.complains("switch");
    answers("gmail-pop-off-after-login", 69, &run);
}

#[test]
fn no_password_and_nobody_to_ask() {
    let sandbox = Sandbox::new();
    sandbox.config(named_account("work", dead_port(), "tls = \"none\""));
    answers("no-terminal", 77, &sandbox.run([""; 0]));
}

// ---- where mail goes -------------------------------------------------------------------------------------------

#[test]
fn folders_that_are_not_what_they_should_be() {
    type Prepare = fn(&Sandbox);
    let cases: [(&str, i32, &str, Prepare); 8] = [
        ("maildir-is-a-file", 73, "maildir = \"~/Mail\"", |sandbox| drop(sandbox.write("Mail", "x"))),
        ("maildir-is-an-mbox", 73, "maildir = \"~/Mail\"", |sandbox| {
            sandbox.write("Mail", "From me Thu Jan  1 00:00:00 1970\nSubject: x\n\nx\n\n");
        }),
        ("maildir-is-new", 73, "maildir = \"~/Mail/new\"", |sandbox| create_maildir(&sandbox.path("Mail"))),
        ("maildir-without-parent", 73, "maildir = \"~/Mail/work/in\"", |_| {}),
        ("maildir-has-other-files", 73, "maildir = \"~/Mail\"", |sandbox| {
            drop(sandbox.write("Mail/notes", "x"))
        }),
        ("mbox-is-a-folder", 73, "mbox = \"~/Mail\"", |sandbox| create_maildir(&sandbox.path("Mail"))),
        ("mbox-is-no-mbox", 73, "mbox = \"~/Mail\"", |sandbox| drop(sandbox.write("Mail", "hello\n"))),
        ("mbox-is-a-dead-link", 73, "mbox = \"~/Mail\"", |sandbox| {
            symlink("/nonexistent/box", sandbox.path("Mail")).unwrap();
        }),
    ];
    for (name, code, destination, prepare) in cases {
        let served = serve(good(small(1)), &format!("deliver = {{ {destination} }}"));
        prepare(&served.sandbox);
        answers(name, code, &served.fetch());
    }
}

#[test]
fn folder_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: giving a folder away needs root");
        return;
    }
    let served = serve(good(small(1)), "");
    create_maildir(&served.path());
    std::os::unix::fs::chown(served.path(), Some(65_534), Some(65_534)).unwrap();
    answers("folder-of-another", 78, &served.fetch());
}

#[test]
fn program_that_is_missing() {
    let served = serve(good(small(1)), "deliver = { pipe = [\"procmial\"] }");
    answers("program-missing", 78, &served.fetch());
}

#[test]
fn disk_that_is_full() {
    let served = serve(good(small(1)), "");
    served.fetch().succeeds();
    served.server.add("me", [Message::new("more", "Subject: more\r\n\r\nx\r\n")]);
    answers("disk-full", 73, &served.sandbox.popfetch([""; 0]).fail_from(1, "ENOSPC").run());
}

/// Some network file systems have no locks: that doesn't pass on its own.
#[test]
fn file_system_that_refuses_locks() {
    let Some(strace) = installed("strace") else { return };
    // Which call it is that locks depends on those before it.
    let refused = |call: &str, calls: u32, destination: &str, what: &str| {
        for number in 1..=calls {
            let served = serve(good(small(1)), &format!("deliver = {{ {destination} }}"));
            let (trace, inject) =
                (format!("trace={call}"), format!("inject={call}:error=ENOLCK:when={number}"));
            let strace =
                [strace.to_str().unwrap(), "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let run = served.sandbox.popfetch([""; 0]).under(strace).run();
            if run.err().contains("No locks available") {
                run.exits(73).complains(what).complains("hint: ");
                assert!(served.server.unique_ids("me").len() == 1 && run.out().is_empty(), "{}", run.shown());
                return;
            }
        }
        panic!("{call} never refused a lock");
    };
    refused("flock", 3, "maildir = \"~/mail\"", "on a file system that has locks");
    refused("fcntl", 60, "mbox = \"~/box\"", "its file system refuses locks");
}

#[test]
fn two_runs_at_once() {
    let served = serve(good(small(1)), "");
    let server = Scripted::start(vec![vec![Step::Stall]]);
    served.configure(server.port(), "timeout = \"30s\"");
    let first = served.sandbox.popfetch([""; 0]).start();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while server.connections() == 0 && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = served.sandbox.run(["me"]);
    first.signal(rustix::process::Signal::TERM);
    first.finish();
    second.complains("another popfetch is at work");
    answers("two-runs", 75, &second);
}

// ---- the configuration -----------------------------------------------------------------------------------------

#[test]
fn no_configuration_and_no_home() {
    let sandbox = Sandbox::new();
    answers("no-configuration", 78, &sandbox.run([""; 0]));
    // A user whom the system doesn't know has none.
    let Some(setpriv) = installed("setpriv").filter(|_| rustix::process::geteuid().is_root()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("popfetch");
    std::fs::copy(env!("CARGO_BIN_EXE_popfetch"), &program).unwrap();
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let sandbox = Sandbox::of(vec![program.clone().into()]);
    for path in [sandbox.home().parent().unwrap(), &sandbox.home()] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let unset = ["env", "-u", "HOME", "-u", "XDG_CONFIG_HOME", "-u", "XDG_STATE_HOME"];
    let setpriv = [setpriv.to_str().unwrap(), "--reuid=43210", "--regid=43210", "--clear-groups"];
    let run = sandbox.popfetch([""; 0]).under([&setpriv[..], &unset[..]].concat()).run();
    run.exits(78);
    crate::support::snapshot::assert("newcomer-no-home", &run.err());
}

#[test]
fn configurations_with_a_slip() {
    let least =
        "[accounts.home]\nserver = \"pop.example.com\"\nuser = \"me\"\ndeliver.maildir = \"~/Mail\"\n";
    for (name, line) in [
        ("tls-true", "tls = true"),
        ("tls-false", "tls = false"),
        ("tls-ssl", "tls = \"ssl\""),
        ("port-in-quotes", "port = \"995\""),
        ("days-in-quotes", "leave-on-server = \"14d\""),
        ("days-as-a-number", "leave-on-server = 14"),
        ("timeout-as-a-number", "timeout = 30"),
        ("yes", "received-header = yes"),
        ("text-without-quotes", "password-file = ~/secret"),
        ("word-without-quotes", "tls = none"),
        ("quote-missing", "password-file = \"~/secret"),
        ("curly-quotes", "password-file = “~/secret”"),
        ("equals-sign-missing", "password-file \"~/secret\""),
        ("colon", "password-file: \"~/secret\""),
        ("key-twice", "server = \"pop.example.com\""),
        ("key-of-fetchmail", "keep = true"),
        ("key-of-getmail", "read_all = false"),
    ] {
        answers_configuration(name, &format!("{least}{line}\n"));
    }
    for (name, config) in [
        ("section-without-accounts", least.replace("accounts.home", "home")),
        ("domain-as-a-name", least.replace("accounts.home", "accounts.example.com")),
        ("address-as-a-name", least.replace("accounts.home", "accounts.me@example.com")),
        ("account-twice", format!("{least}\n{least}")),
        ("mailbox-twice", format!("{least}\n{}", least.replace("home", "work"))),
        ("account-called-as-a-command", least.replace("accounts.home", "accounts.check")),
        ("getmail-section", "[retriever]\ntype = \"SimplePOP3Retriever\"\n".to_owned()),
        ("fetchmail-file", "poll pop.example.com proto pop3 user me\n".to_owned()),
        ("server-is-a-url", least.replace("pop.example.com", "pops://pop.example.com")),
        ("server-with-port", least.replace("pop.example.com", "pop.example.com:995")),
        ("deliver-is-a-path", least.replace("deliver.maildir", "deliver")),
        ("no-deliver", least.replace("deliver.maildir = \"~/Mail\"\n", "")),
    ] {
        answers_configuration(name, &config);
    }
}

#[test]
fn configuration_that_others_can_read_or_write() {
    let sandbox = Sandbox::new();
    let path = sandbox.config(account(995, ""));
    let mode =
        |mode| std::fs::set_permissions::<&Path>(&path, std::os::unix::fs::PermissionsExt::from_mode(mode));
    mode(0o644).unwrap();
    answers("readable-by-others", 78, &sandbox.run([""; 0]));
    mode(0o666).unwrap();
    answers("writable-by-others", 78, &sandbox.run([""; 0]));
}
