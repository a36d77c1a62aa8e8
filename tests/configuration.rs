//! The configuration through the binary: errors that show what to correct, files that others must not read,
//! every source of a password, POP URLs and flags in the place of a file.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::mailbox::{PASSWORD, account, named_account, stored};
use crate::support::mail;
use crate::support::mailboxes::{Maildir, assert_same, mbox_messages, split_mbox};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, expect_start, send};
use crate::support::server::{Message, Options, Server};

/// The least that an account needs.
const LEAST: &str = "[accounts.work]\nserver = \"h.invalid\"\nuser = \"me\"\ndeliver.maildir = \"~/in\"\n";

fn server(numbers: std::ops::RangeInclusive<u64>) -> Server {
    Server::with("me", PASSWORD, numbers.map(|n| Message::new(format!("uid-{n}"), mail::message(n, 400))))
}

/// Runs with this configuration; nothing but it may be in the home folder afterwards.
#[track_caller]
fn refused(config: &str) -> Run {
    let sandbox = Sandbox::new();
    sandbox.config(config);
    let before = sandbox.files();
    let run = sandbox.run([""; 0]);
    run.exits(78);
    assert!(run.err().starts_with("popfetch: ") && run.out().is_empty(), "{}", run.shown());
    assert_eq!(sandbox.files(), before, "a wrong configuration leaves nothing behind");
    run
}

#[test]
fn error_points_at_the_line_and_suggests_the_key() {
    for (line, marks, hint) in [
        ("usr = \"me\"", "^^^", "did you mean \"user\"?"),
        ("leave_on_server = true", "^^^^^^^^^^^^^^^", "leave-on-server"),
        ("hostname = \"h\"", "^^^^^^^^", "here it is \"server\""),
        ("username = \"x\"", "^^^^^^^^", "here it is \"user\""),
        ("maildir = \"x\"", "^^^^^^^", "deliver = { maildir"),
        ("days = 3", "^^^^", "leave-on-server = { days"),
        ("connections = 3", "^^^^^^^^^^^", "[defaults]"),
        ("port = 0", "^", ""),
        ("port = 65536", "^^^^^", ""),
        ("port = \"x\"", "^^^", ""),
        ("tls = \"sometimes\"", "^^^^^^^^^^^", "implicit"),
        ("auth = \"magic\"", "^^^^^^^", "user-pass"),
        ("timeout = \"60\"", "^^^^", "\"90s\""),
        ("timeout = 60", "^^", "\"90s\""),
        ("max-message-size = \"25MB\"", "^^^^^^", "\"25M\""),
        ("tls-fingerprint = \"sha256:abc\"", "^^^^^^^^^^^^", "64 hexadecimal digits"),
        ("leave-on-server = {}", "^^", ""),
        ("leave-on-server = { dys = 3 }", "^^^", "did you mean \"days\"?"),
        ("password-command = \"\"", "^", "no command"),
        ("max-messages = -1", "^^", ""),
        ("sync = \"never\"", "^^^^^^^", "off"),
        ("ca-file = \"$NOWHERE/x\"", "^^^^^^^^^^^^", "$NOWHERE is not set"),
        ("ca-file = \"~root/x\"", "^^^^^^^^^", "another user's home"),
    ] {
        let run = refused(&format!("{LEAST}{line}\n"));
        // Of a setting that isn't known the value isn't shown: it may be a misspelt password's.
        let (key, _) = line.split_once('=').unwrap();
        run.complains("config.toml:5").complains(&format!("  5 | {key}"));
        let err = run.err();
        let marked = err.lines().any(|shown| shown.trim_start_matches([' ', '|']) == marks);
        assert!(marked, "{marks} under {line}\n{}", run.shown());
        assert!(err.contains(hint), "{hint}\n{}", run.shown());
    }
}

#[test]
fn what_is_no_configuration_at_all() {
    for (config, text) in [
        (&b""[..], "no account"),
        (b"[defaults]\ntimeout = \"5s\"\n", "no account"),
        (b"[accounts]\n", "no account"),
        (b"accounts = 3\n", "expected a table"),
        (b"[accounts.work\n", "not TOML"),
        (b"[acounts.work]\n", "did you mean \"accounts\"?"),
        (b"# \xff\n", "UTF-8"),
        (b"[accounts.work]\nuser = \"me\"\ndeliver.stdout = true\n", "no server"),
        (b"[accounts.work]\nserver = \"h\"\ndeliver.stdout = true\n", "no user"),
        (b"[accounts.work]\nserver = \"h\"\nuser = \"me\"\n", "no destination"),
        (b"[accounts.work]\nserver = \"a b\"\nuser = \"me\"\ndeliver.stdout = true\n", "server"),
        (b"[accounts.work]\nserver = \"h\"\nuser = \"me\"\ndeliver = []\n", "deliver"),
        (
            b"[accounts.work]\nserver = \"h\"\nuser = \"me\"\ndeliver = { maildir = \"a\", mbox = \"b\" }\n",
            "deliver",
        ),
        (b"[accounts.check]\nserver = \"h\"\nuser = \"me\"\ndeliver.stdout = true\n", "is a command"),
        (b"[accounts.-x]\nserver = \"h\"\nuser = \"me\"\ndeliver.stdout = true\n", "begin with -"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.config(config);
        sandbox.run([""; 0]).exits(78).complains(text);
    }
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path(".config/popfetch/config.toml")).unwrap();
    sandbox.run([""; 0]).exits(78).complains("config.toml");
    sandbox.run(["--config", "/dev/zero"]).exits(78);
    sandbox.run(["--config", "missing.toml"]).exits(78).complains("missing.toml").complains("hint: ");
}

#[test]
fn bad_account_or_unknown_name_stops_the_run() {
    let server = server(1..=1);
    let sandbox = Sandbox::new();
    let good = account(server.port(), "");
    sandbox.config(format!("{good}\n[accounts.home]\nserver = \"h\"\nuser = \"me\"\n"));
    sandbox.run(["work"]).exits(78).complains("home");
    sandbox.config(&good);
    sandbox.run(["wrok"]).exits(64).complains("did you mean the account \"work\"?");
    sandbox.run(["fetch", "wrok"]).exits(64).complains("did you mean \"work\"?");
    sandbox.run(["work", "nobody"]).exits(64).complains("\"nobody\"");
    assert_eq!(server.sessions(), 0, "64 comes before any is tried");
}

fn set_mode(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_with_a_password_are_for_their_owner_only() {
    let server = server(1..=1);
    let sandbox = Sandbox::new();
    let secret = sandbox.write("secret", PASSWORD);
    let netrc = sandbox.write(".netrc", format!("machine 127.0.0.1 login me password {PASSWORD}\n"));
    let inline = format!("password = \"{PASSWORD}\"");
    for source in [inline.as_str(), "password-file = \"~/secret\"", "netrc = true"] {
        let config =
            sandbox.config(named_account("work", server.port(), &format!("tls = \"none\"\n{source}")));
        let guarded = match source {
            "netrc = true" => &netrc,
            source if source.starts_with("password-file") => &secret,
            _ => &config,
        };
        for mode in [0o644, 0o640, 0o604, 0o660] {
            set_mode(guarded, mode);
            let run = sandbox.run([""; 0]);
            run.exits(78).complains(&format!("chmod 600 {}", guarded.display())).never_says(PASSWORD);
        }
        for mode in [0o600, 0o400] {
            set_mode(guarded, mode);
            sandbox.run([""; 0]).succeeds();
        }
        set_mode(guarded, 0o600);
    }
    // Without a password in it others may read it, but not change it: it names programs to run.
    let config = sandbox.config(named_account("work", server.port(), "tls = \"none\"\nnetrc = true"));
    set_mode(&config, 0o644);
    sandbox.run([""; 0]).succeeds();
    set_mode(&config, 0o646);
    sandbox.run([""; 0]).exits(78).complains("chmod 600");
    assert_eq!(server.sessions(), 7);
}

#[test]
fn every_source_of_a_password() {
    let sandbox = Sandbox::new();
    sandbox.write("secret", format!("{PASSWORD}\r\nanother line\n"));
    sandbox.write(
        "netrc",
        format!("default login x password y\nmachine 127.0.0.1 login me password {PASSWORD}\n"),
    );
    sandbox.write(
        ".netrc",
        format!("machine 127.0.0.1\n\tlogin you password z\nmachine 127.0.0.1 login me password {PASSWORD}"),
    );
    sandbox.write("credentials/pop", PASSWORD);
    sandbox.write(".config/popfetch/relative", PASSWORD);
    let script = sandbox.script("ask", &format!("echo {PASSWORD}; echo more"));
    for source in [
        format!("password = \"{PASSWORD}\""),
        "password-file = \"~/secret\"".to_owned(),
        "password-file = \"$HOME/secret\"".to_owned(),
        "password-file = \"relative\"".to_owned(),
        format!("password-command = \"echo ignored >&2; echo {PASSWORD}\""),
        format!("password-command = [\"{}\"]", script.display()),
        "netrc = true".to_owned(),
        "netrc = \"~/netrc\"".to_owned(),
        "credential = \"pop\"".to_owned(),
    ] {
        let server = server(1..=1);
        for text in [
            named_account("work", server.port(), &format!("tls = \"none\"\n{source}")),
            // The same for all accounts.
            format!("[defaults]\n{source}\n{}", named_account("work", server.port(), "tls = \"none\"")),
        ] {
            sandbox.config(text);
            let run =
                sandbox.popfetch([""; 0]).env("CREDENTIALS_DIRECTORY", sandbox.path("credentials")).run();
            assert_eq!(run.code(), Some(0), "{source}\n{}", run.shown());
        }
        assert_eq!(server.count("PASS tanstaaf"), 2);
    }
}

#[test]
fn no_password_to_be_had() {
    let sandbox = Sandbox::new();
    sandbox.write("empty", "\nsecond line\n");
    sandbox.write(".netrc", "machine elsewhere login me password x\n");
    for (source, code, text) in [
        ("", 77, "no terminal"),
        ("password = \"\"", 78, "password"),
        ("password-file = \"~/empty\"", 77, "empty"),
        ("password-file = \"~/missing\"", 78, "missing"),
        ("netrc = true", 77, "machine 127.0.0.1 login"),
        ("netrc = \"~/missing\"", 78, "missing"),
        ("credential = \"pop\"", 77, "LoadCredential"),
        ("password-command = \"exit 3\"", 77, "exit status 3"),
        ("password-command = \"echo why not >&2; false\"", 77, "why not"),
        ("password-command = \"kill -9 $$\"", 77, "signal 9"),
        ("password-command = \"true\"", 77, "printed nothing"),
        ("password-command = [\"/nonexistent/pass\"]", 77, "/nonexistent/pass"),
    ] {
        // Nothing is asked of the server before there is one.
        let server = Scripted::start(vec![]);
        sandbox.config(named_account("work", server.port(), &format!("tls = \"none\"\n{source}")));
        let run = sandbox.run([""; 0]);
        assert_eq!(run.code(), Some(code), "{source}\n{}", run.shown());
        run.complains(text);
        assert!(run.err().contains("hint: ") || source == "password = \"\"", "{}", run.shown());
        server.finish();
    }
}

// ---- without a file --------------------------------------------------------------------------------------------

#[test]
fn flags_instead_of_a_file() {
    let server = server(1..=2);
    let sandbox = Sandbox::new();
    let secret = sandbox.write("secret", PASSWORD);
    // A broken file: not read.
    sandbox.config("nonsense");
    let port = server.port().to_string();
    let login = [
        "--server",
        "127.0.0.1",
        "--port",
        &port,
        "--tls",
        "none",
        "--user",
        "me",
        "--password-file",
        "secret",
    ];
    let run = |more: &[&str]| {
        // Another ledger each time.
        let _ = std::fs::remove_dir_all(sandbox.path(".local"));
        sandbox.run(login.iter().chain(more))
    };
    run(&["--maildir", "in"]).succeeds().complains("me@127.0.0.1  2 new, ");
    assert_same(Maildir::read(&sandbox.path("in")).messages(), stored(1..=2));
    run(&["--mbox", "box"]).succeeds();
    assert_same(mbox_messages(&sandbox.path("box")), stored(1..=2));
    run(&["--pipe", "cat >>piped"]).succeeds();
    assert_same(vec![std::fs::read(sandbox.path("piped")).unwrap()], vec![stored(1..=2).concat()]);
    let printed = run(&["--stdout"]);
    printed.succeeds();
    assert_same(
        split_mbox(&printed.stdout).into_iter().map(|message| message.octets).collect(),
        stored(1..=2),
    );
    run(&["--maildir", "small", "--max-messages", "1", "--leave-on-server", "false"]).succeeds();
    assert_same(Maildir::read(&sandbox.path("small")).messages(), stored(1..=1));
    assert_eq!(server.unique_ids("me"), ["uid-2"]);
    // What is missing is named as flags.
    for (args, text) in [
        (&login[..], "--maildir"),
        (&["--server", "h", "--maildir", "x"][..], "--user"),
        (&["--user", "u", "--maildir", "x", "--server", "h", "--port", "x"], "--port"),
        (&["--server", "h", "--user", "u", "--maildir", "x", "--tls", "no"], "--tls"),
        (&["--server", "h", "--user", "u", "--maildir", "x", "--password", PASSWORD], "--password"),
    ] {
        sandbox.run(args).exits(64).complains(text).never_says(PASSWORD);
    }
    assert!(secret.exists());
}

#[test]
fn flags_over_a_file() {
    let server = server(1..=2);
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), "max-messages = 1"));
    sandbox
        .run(["--maildir", "elsewhere", "--max-messages", "2", "--leave-on-server", "newest=1"])
        .succeeds();
    // A relative path of the command line starts where the user is.
    assert_same(Maildir::read(&sandbox.path("elsewhere")).messages(), stored(1..=2));
    assert!(!sandbox.path("work").exists());
    assert_eq!(server.unique_ids("me"), ["uid-2"]);
}

#[test]
fn defaults_are_inherited_and_paths_start_at_the_file() {
    let server = server(1..=2);
    let sandbox = Sandbox::new();
    let config = format!(
        "[defaults]\ntls = \"none\"\nserver = \"127.0.0.1\"\nport = {}\nmax-messages = 1\nleave-on-server = false\n\
         deliver.maildir = \"box\"\npassword = \"wrong\"\n\
         [accounts.work]\nuser = \"me\"\nmax-messages = 5\npassword = \"{PASSWORD}\"\n",
        server.port()
    );
    sandbox.write("place/c.toml", config);
    sandbox.run(["--config", "place/c.toml"]).succeeds();
    assert_same(Maildir::read(&sandbox.path("place/box")).messages(), stored(1..=2));
    assert_eq!(server.unique_ids("me"), [""; 0]);
}

#[test]
fn url_with_user_mechanism_and_port() {
    let sandbox = Sandbox::new();
    sandbox.write("secret", PASSWORD);
    let more = ["--tls", "none", "--password-file", "secret", "--maildir", "in"];
    for (url, user, offers, first) in [
        ("u%40x;AUTH=SCRAM-SHA-256", "u@x", "SASL PLAIN SCRAM-SHA-256\r\n", "AUTH SCRAM-SHA-256 "),
        ("u;AUTH=PLAIN", "u", "SASL PLAIN SCRAM-SHA-256\r\n", "AUTH PLAIN "),
        ("u;auth=login", "u", "SASL PLAIN LOGIN\r\n", "AUTH LOGIN"),
        ("u;AUTH=*", "u", "SASL PLAIN SCRAM-SHA-256\r\n", "AUTH SCRAM-SHA-256 "),
        ("u", "u", "USER\r\n", "USER u"),
        ("u%20v", "u v", "USER\r\n", "USER u v"),
        ("u;AUTH=+APOP", "u", "USER\r\n", "APOP u "),
    ] {
        let script = vec![
            send("+OK <1@b>\r\n"),
            expect_start("CAPA"),
            send(format!("+OK\r\n{offers}.\r\n")),
            expect_start(first),
            send("-ERR [SYS/TEMP] enough\r\n"),
        ];
        let server = Scripted::start(vec![script]);
        let url = format!("pop://{url}@127.0.0.1:{}", server.port());
        let run = sandbox.run([&[url.as_str()][..], &more].concat());
        run.exits(75).complains(&format!("account \"{user}@127.0.0.1\""));
        server.finish();
    }
    // That one and no other.
    let script = vec![
        send("+OK <1@b>\r\n"),
        expect_start("CAPA"),
        send("+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n"),
        Step::ExpectEnd,
    ];
    let server = Scripted::start(vec![script]);
    let url = format!("pop://u;AUTH=CRAM-MD5@127.0.0.1:{}", server.port());
    sandbox.run([&[url.as_str()][..], &more].concat()).exits(77).complains("CRAM-MD5");
    server.finish();
}

#[test]
fn url_fetches_mail() {
    let server = Server::start(Options::with("me", PASSWORD, [Message::new("a", mail::message(1, 400))]));
    let sandbox = Sandbox::new();
    sandbox.write("secret", PASSWORD);
    let url = format!("pop://me@127.0.0.1:{}", server.port());
    sandbox.run([&url, "--tls", "none", "--password-file", "secret", "--maildir", "in"]).succeeds();
    assert_same(Maildir::read(&sandbox.path("in")).messages(), stored(1..=1));
    // pop:// is STLS unless set otherwise; nothing secret goes out without it.
    let plain =
        Scripted::start(vec![vec![send("+OK\r\n"), expect_start("STLS"), send("-ERR\r\n"), Step::ExpectEnd]]);
    let url = format!("pop://me@127.0.0.1:{}", plain.port());
    sandbox.run([&url, "--password-file", "secret", "--maildir", "in"]).exits(76).complains("STLS");
    plain.finish();
    // pops:// is TLS from the start.
    let clear = Scripted::start(vec![vec![send("+OK\r\n"), Step::Stall]]);
    let url = format!("pops://me@127.0.0.1:{}", clear.port());
    sandbox
        .run([&url, "--password-file", "secret", "--maildir", "in"])
        .exits(76)
        .complains("does not speak TLS");
    clear.finish();
}

#[test]
fn bad_urls_are_refused() {
    let sandbox = Sandbox::new();
    for url in [
        "pop://u%zz@h",
        "pop://u%4@h",
        "pop://u@h:0",
        "pop://u@h:65536",
        "pop://u@h:x",
        "pop://u@h/path",
        "pop://u@h/?q",
        "pop://u@h#f",
        "pop://u%0d%0aDELE%201@h",
        "pop://u%00@h",
        "pop://@h",
        "pop://u@",
        "pop://",
        "pop://h",
        "pop://u;AUTH=@h",
        "pop://u;AUTH=MAGIC@h",
        "imap://u@h",
        "http://u@h",
        "pop://u@a b",
        "pop://u@h\x1b",
    ] {
        let run = sandbox.run([url, "--maildir", "in"]);
        assert_eq!(run.code(), Some(64), "{url}\n{}", run.shown());
        run.never_says("\x1b");
        assert!(sandbox.files().is_empty());
    }
}

#[test]
fn international_host_name_becomes_an_a_label() {
    let sandbox = Sandbox::new();
    sandbox.config(LEAST.replace("h.invalid", "bücher.invalid") + "password = \"x\"\ntimeout = \"2s\"\n");
    // RFC 6761: nothing under .invalid has an address.
    sandbox.run([""; 0]).exits(75).complains("xn--bcher-kva.invalid").complains("hint: ");
    for bad in ["a..b", "a_b\\u0007.c", "\\u202e.b", "xn--\\u0000", "[::1", "1.2.3.256"] {
        let run = refused(&LEAST.replace("h.invalid", bad));
        run.complains("server");
        assert!(!run.err().contains('\u{202e}') && !run.err().contains('\x07'), "{}", run.shown());
    }
}

#[test]
fn an_address_of_version_6_is_one() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("SKIPPED: this machine has no ::1");
        return;
    };
    drop(listener);
    let script = vec![send("-ERR [SYS/PERM] closed\r\n")];
    for host in ["::1", "[::1]"] {
        let server = Scripted::start_at("::1".parse().unwrap(), vec![script.clone()]);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), "").replace("127.0.0.1", host));
        sandbox.run([""; 0]).exits(69).complains(&format!("[::1]:{}", server.port()));
        server.finish();
    }
}
