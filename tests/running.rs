//! Run after run: what is reported and when, pauses after refused logins, accounts in parallel, signals, and two
//! popfetches that want one mailbox.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::mailbox::{PASSWORD, account, after, change_memory, move_back, named_account, remembered};
use crate::support::mail;
use crate::support::mailboxes::{Maildir, assert_same};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, expect, reply, send};
use crate::support::server::{Hook, Message, Options, Server};

fn messages(numbers: std::ops::RangeInclusive<u64>) -> Vec<Message> {
    numbers.map(|n| Message::new(format!("uid-{n}"), mail::message(n, 400))).collect()
}

#[track_caller]
fn delivered(sandbox: &Sandbox, account: &str, numbers: impl IntoIterator<Item = u64>) {
    let expected = numbers.into_iter().map(|n| mail::stored(&mail::message(n, 400))).collect();
    let maildir = Maildir::read(&sandbox.path(account));
    assert_same(maildir.messages(), expected);
    assert!(maildir.tmp.is_empty(), "{:?}", maildir.tmp.keys());
}

/// The pause after refused logins, null if there is none.
fn pause(sandbox: &Sandbox) -> Value {
    remembered(sandbox)["pause"].clone()
}

/// How long that pause is, in seconds.
fn length(pause: &Value) -> i64 {
    pause["until"].as_i64().unwrap() - pause["refused"].as_i64().unwrap()
}

/// Moves the pause back, as if these seconds had passed.
fn age_pause(sandbox: &Sandbox, seconds: i64) {
    change_memory(sandbox, |memory| move_back(&mut memory["pause"], &["refused", "until"], seconds));
}

/// Moves what `--quiet` waits with back, as if these seconds had passed.
fn age_alerts(sandbox: &Sandbox, seconds: i64) {
    change_memory(sandbox, |memory| {
        for alert in memory["alerts"].as_object_mut().unwrap().values_mut() {
            move_back(alert, &["since", "reported"], seconds);
        }
    });
}

// ---- refused logins --------------------------------------------------------------------------------------------

#[test]
fn refused_login_is_reported_once_and_pauses() {
    let server = Server::with("me", "another", messages(1..=1));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    let quiet = || sandbox.run(["--quiet"]);
    quiet().exits(77).complains("account \"work\": ").complains("refused the login").complains("hint: ");
    assert_eq!(server.sessions(), 1);
    // Silent, still 77, and the server isn't asked.
    quiet().exits(77).is_silent();
    quiet().exits(77).is_silent();
    sandbox
        .run([""; 0])
        .exits(77)
        .complains("not tried again before")
        .complains("popfetch retry ACCOUNT tries at once");
    assert_eq!(server.sessions(), 1);
    // Whoever names the account insists, and the pause grows.
    sandbox.run(["work"]).exits(77).complains("refused the login");
    sandbox.run(["work"]).exits(77);
    assert_eq!(server.sessions(), 3);
    let pause = pause(&sandbox);
    assert_eq!((pause["refusals"].as_i64(), length(&pause)), (Some(3), 4 * 15 * 60));
    // When it's over, one more attempt; it was reported already.
    age_pause(&sandbox, 3601);
    quiet().exits(77).is_silent();
    assert_eq!(server.sessions(), 4);
    quiet().exits(77).is_silent();
    assert_eq!(server.sessions(), 4);
}

#[test]
fn pause_grows_to_a_day_at_most() {
    let server = Server::with("me", "another", []);
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    for _ in 0..9 {
        sandbox.run(["work"]).exits(77);
    }
    assert_eq!(length(&pause(&sandbox)), 24 * 60 * 60);
    let sessions = server.sessions();
    age_pause(&sandbox, -100_000);
    sandbox.run([""; 0]).exits(77);
    assert_eq!(server.sessions(), sessions + 1);
}

#[test]
fn what_ends_a_pause() {
    let right = || Server::with("me", PASSWORD, []);
    // A changed configuration, in the file itself or in that of the password.
    for in_file in [false, true] {
        let server = right();
        let sandbox = Sandbox::new();
        let config = |password: &str, more: &str| match in_file {
            false => {
                sandbox.config(account(server.port(), more).replace(PASSWORD, password));
            }
            true => {
                sandbox.write("secret", password);
                let more = format!("tls = \"none\"\npassword-file = \"~/secret\"\n{more}");
                sandbox.config(named_account("work", server.port(), &more));
            }
        };
        let change = |password: &str, seconds: u64| {
            config(password, "");
            let path = sandbox.path(if in_file { "secret" } else { ".config/popfetch/config.toml" });
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
            std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        };
        change("wrong", 1);
        sandbox.run(["-q"]).exits(77).complains("refused");
        sandbox.run(["-q"]).exits(77).is_silent();
        assert_eq!(server.sessions(), 1);
        // Written again, with the same words.
        change("wrong", 1000);
        sandbox.run(["-q"]).exits(77).is_silent();
        assert_eq!(server.sessions(), 1);
        // Still wrong: that's news.
        change("still wrong", 2);
        sandbox.run(["-q"]).exits(77).complains("refused");
        assert_eq!(server.sessions(), 2);
        change(PASSWORD, 3);
        sandbox.run(["-q"]).exits(0).is_silent();
        assert_eq!(pause(&sandbox), Value::Null);
        // And it begins from the beginning.
        change("wrong", 4);
        sandbox.run(["-q"]).exits(77).complains("refused");
        assert_eq!(pause(&sandbox)["refusals"], 1);
        // Another setting of the account, too.
        let sessions = server.sessions();
        config("wrong", "timeout = \"30s\"");
        sandbox.run(["-q"]).exits(77);
        assert_eq!(server.sessions(), sessions + 1);
    }
    // Naming the account, when the server has changed its mind.
    let server = Server::start(Options::with("me", PASSWORD, []).instead("PASS", "-ERR [AUTH] no\r\n"));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    sandbox.run([""; 0]).exits(77);
    server.change(|options| options.instead.clear());
    sandbox.run([""; 0]).exits(77);
    sandbox.run(["work"]).succeeds();
    sandbox.run([""; 0]).succeeds();
}

#[test]
fn every_way_of_refusing_a_password_pauses() {
    // SCRAM's own refusal is one as well, and so is a refused token.
    let first = reply(|line| {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let initial = STANDARD.decode(line.strip_prefix(b"AUTH SCRAM-SHA-256 ").unwrap()).unwrap();
        let initial = String::from_utf8(initial).unwrap();
        let nonce = initial.split_once(",r=").unwrap().1;
        let first = format!("r={nonce}more,s=c2FsdA==,i=4096");
        format!("+ {}\r\n", STANDARD.encode(first)).into_bytes()
    });
    let scram =
        [first, Step::ExpectAny, send("+ ZT1pbnZhbGlkLXByb29m\r\n"), Step::ExpectAny, send("-ERR\r\n")];
    let token = [expect("AUTH XOAUTH2"), send("+ \r\n"), Step::ExpectAny, send("-ERR\r\n")];
    let apop = [Step::ExpectAny, send("-ERR\r\n")];
    for (auth, script) in [
        ("scram-sha-256", after("SASL SCRAM-SHA-256\r\n", scram)),
        ("xoauth2", after("SASL XOAUTH2\r\n", token)),
        ("apop", [vec![send("+OK <1@b>\r\n")], after("USER\r\n", apop)[1..].to_vec()].concat()),
    ] {
        let server = Scripted::start(vec![script]);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), &format!("auth = \"{auth}\"")));
        sandbox.run(["-q"]).exits(77).complains("refused the login");
        sandbox.run(["-q"]).exits(77).is_silent();
        server.finish();
    }
}

#[test]
fn what_is_no_refusal_doesnt_pause() {
    for (answer, code, quiet) in [
        ("-ERR [IN-USE] x\r\n", 75, true),
        ("-ERR [LOGIN-DELAY] x\r\n", 75, true),
        ("-ERR [SYS/TEMP] x\r\n", 75, true),
        ("-ERR lock busy\r\n", 75, true),
        // The server's administrator must act: reported each time.
        ("-ERR [SYS/PERM] x\r\n", 69, false),
    ] {
        let server = Server::start(Options::with("me", PASSWORD, []).instead("PASS", answer));
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), ""));
        for _ in 0..2 {
            let run = sandbox.run(["-q"]);
            run.exits(code);
            assert_eq!(run.err().is_empty(), quiet, "{}", run.shown());
        }
        assert_eq!(server.sessions(), 2);
        sandbox.run([""; 0]).exits(code).complains("refused the login");
    }
}

// ---- failures that pass ----------------------------------------------------------------------------------------

/// A port on which nobody listens.
fn dead_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_passing_failure_is_silent_until_it_has_lasted() {
    let server = Server::start(Options::with("me", PASSWORD, []).instead("PASS", "-ERR [SYS/TEMP] x\r\n"));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    let quiet = || sandbox.run(["-q"]);
    quiet().exits(75).is_silent();
    quiet().exits(75).is_silent();
    age_alerts(&sandbox, 3000);
    quiet().exits(75).is_silent();
    age_alerts(&sandbox, 700);
    quiet().exits(75).complains("refused the login");
    quiet().exits(75).is_silent();
    // Without --quiet it is reported each time.
    sandbox.run([""; 0]).exits(75).complains("refused the login");
    server.change(|options| options.instead.clear());
    quiet().exits(0).complains("work: ").complains("is over");
    quiet().exits(0).is_silent();
}

#[test]
fn unreported_failure_is_not_reported_as_over() {
    let server = Server::start(Options::with("me", PASSWORD, []).instead("PASS", "-ERR [SYS/TEMP] x\r\n"));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    sandbox.run(["-q"]).exits(75).is_silent();
    server.change(|options| options.instead.clear());
    sandbox.run(["-q"]).exits(0).is_silent();
    // The time counts from the first failure after a success.
    server.change(|options| options.instead.push(("PASS".into(), b"-ERR [SYS/TEMP] x\r\n".to_vec())));
    sandbox.run(["-q"]).exits(75).is_silent();
}

#[test]
fn alert_after_nothing_reports_at_once_and_once() {
    for (name, script) in [
        ("refused", None),
        ("closed", Some(vec![])),
        ("reset", Some(vec![Step::Reset])),
        ("busy", Some(vec![send("-ERR [IN-USE] x\r\n")])),
    ] {
        let scripts: Vec<_> = script.into_iter().flat_map(|script| [script.clone(), script]).collect();
        let server = (!scripts.is_empty()).then(|| Scripted::start(scripts));
        let port = server.as_ref().map_or_else(dead_port, Scripted::port);
        let sandbox = Sandbox::new();
        sandbox.config(account(port, "alert-after = \"0s\""));
        let run = sandbox.run(["-q"]);
        assert_eq!(run.code(), Some(75), "{name}");
        run.complains("account \"work\": ").complains("127.0.0.1");
        sandbox.run(["-q"]).exits(75).is_silent();
    }
}

#[test]
fn a_failed_message_is_reported_once() {
    let refused = Message::new("uid-2", mail::message(2, 400)).refused("-ERR not now");
    let server = Server::with("me", PASSWORD, [messages(1..=1), vec![refused], messages(3..=3)].concat());
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    sandbox.run(["-q"]).exits(75).complains("message 2").complains("not now");
    delivered(&sandbox, "work", [1, 3]);
    for _ in 0..3 {
        sandbox.run(["-q"]).exits(75).is_silent();
    }
}

#[test]
fn what_needs_a_person_is_never_silent() {
    let server = Server::with("me", PASSWORD, messages(1..=1));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    // No place for the state, none for the mail, no password.
    sandbox.write(".local/state", "a file");
    for _ in 0..2 {
        sandbox.run(["-q"]).exits(73).complains(".local/state").complains("account \"work\"");
    }
    std::fs::remove_file(sandbox.path(".local/state")).unwrap();
    sandbox.write("work", "a file");
    for _ in 0..2 {
        sandbox.run(["-q"]).exits(73).complains("work");
    }
    std::fs::remove_file(sandbox.path("work")).unwrap();
    sandbox.config(named_account("work", server.port(), "tls = \"none\"\npassword-file = \"~/missing\""));
    for _ in 0..2 {
        sandbox.run(["-q"]).exits(78).complains("missing");
    }
    sandbox.config(named_account("work", server.port(), "tls = \"none\""));
    for _ in 0..2 {
        sandbox.run(["-q"]).exits(77).complains("cannot get a password").complains("password-command");
    }
}

// ---- several accounts ------------------------------------------------------------------------------------------

#[test]
fn one_account_that_fails_keeps_no_other_from_its_mail() {
    let good = Server::with("me", PASSWORD, messages(1..=2));
    let refusing = Server::with("me", "another", []);
    let also_good = Server::with("me", PASSWORD, messages(3..=3));
    let plain = format!("tls = \"none\"\npassword = \"{PASSWORD}\"");
    let of = |name, port| named_account(name, port, &plain);
    let sandbox = Sandbox::new();
    let config = [
        of("dead", dead_port()),
        of("refusing", refusing.port()),
        of("good", good.port()),
        of("also-good", also_good.port()),
    ];
    for (jobs, code) in [("--jobs=1", 77), ("--jobs=8", 77)] {
        sandbox.config(config.concat());
        let run = sandbox.run([jobs]);
        run.exits(code).complains("account \"dead\": ").complains("account \"refusing\": ");
        delivered(&sandbox, "good", [1, 2]);
        delivered(&sandbox, "also-good", [3]);
    }
    sandbox.run(["good", "also-good"]).exits(0);
    sandbox.run(["good", "dead"]).exits(75);
    // What needs the user outranks what is temporary.
    let missing = named_account("missing", good.port(), &plain.replace("tanstaaf", "x"))
        .replace("\"me\"", "\"other\"")
        .replace("maildir = \"~/missing\"", "pipe = [\"/nonexistent/mda\"]");
    sandbox.config([config.concat(), missing].concat());
    sandbox.run([""; 0]).exits(78).complains("/nonexistent/mda");
}

/// Counts the sessions that are between login and QUIT at one time; each waits a moment for others to come.
fn most_at_once(counter: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Hook {
    let (counter, most) = (Arc::clone(counter), Arc::clone(most));
    Arc::new(move |moment| match moment.command.split(' ').next() {
        Some("USER") => {
            let now = counter.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            let began = Instant::now();
            while counter.load(Ordering::SeqCst) < 2 && began.elapsed() < Duration::from_millis(300) {
                std::thread::sleep(Duration::from_millis(1));
            }
            most.fetch_max(counter.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        Some("QUIT") => {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
        _ => {}
    })
}

#[test]
fn accounts_side_by_side_as_many_as_allowed() {
    for (args, defaults, same_server, together) in [
        (&[][..], "", false, true),
        (&["--jobs", "2"], "", false, true),
        (&["--jobs", "1"], "", false, false),
        (&[], "[defaults]\nconnections = 1\n", false, false),
        (&["--jobs", "2"], "[defaults]\nconnections = 1\n", false, true),
        (&[], "[defaults]\nconnections-per-server = 1\n", true, false),
        (&[], "[defaults]\nconnections-per-server = 1\n", false, true),
        (&[], "", true, true),
    ] {
        let (counter, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let options = || {
            let mut options = Options::with("me", PASSWORD, messages(1..=1));
            options.accounts.extend(Options::with("you", PASSWORD, messages(2..=2)).accounts);
            options.hook = Some(most_at_once(&counter, &most));
            options
        };
        let servers = [Server::start(options()), Server::start(options())];
        let ports = if same_server { [servers[0].port(); 2] } else { [servers[0].port(), servers[1].port()] };
        let plain = format!("tls = \"none\"\nauth = \"user-pass\"\npassword = \"{PASSWORD}\"");
        let sandbox = Sandbox::new();
        let second = named_account("second", ports[1], &plain).replace("\"me\"", "\"you\"");
        sandbox.config([defaults.to_owned(), named_account("first", ports[0], &plain), second].concat());
        sandbox.run(args).succeeds();
        delivered(&sandbox, "first", [1]);
        delivered(&sandbox, "second", [2]);
        let seen = most.load(Ordering::SeqCst);
        assert_eq!(seen, if together { 2 } else { 1 }, "{args:?} {defaults:?} {same_server}");
    }
}

#[test]
fn two_accounts_of_one_mailbox_are_a_mistake() {
    let sandbox = Sandbox::new();
    let pair = |first: &str, second: &str| {
        let account = |name: &str, more: &str| {
            format!(
                "[accounts.{name}]\npassword = \"x\"\ndeliver.maildir = \"~/{name}\"\nuser = \"me\"\n{more}\n"
            )
        };
        sandbox.config([account("one", first), account("two", second)].concat());
        sandbox.run([""; 0])
    };
    for (first, second) in [
        ("server = \"h.invalid\"", "server = \"h.invalid\""),
        ("server = \"H.Invalid.\"", "server = \"h.invalid\""),
        ("server = \"h.invalid\"\ntls = \"none\"", "server = \"h.invalid\""),
        ("server = \"h.invalid\"\ntls = \"starttls\"", "server = \"h.invalid\"\nport = 995"),
        ("server = \"bücher.invalid\"", "server = \"xn--bcher-kva.invalid\""),
    ] {
        pair(first, second)
            .exits(78)
            .complains("\"one\" and \"two\" are the same mailbox")
            .complains("hint: ");
    }
}

// ---- signals ---------------------------------------------------------------------------------------------------

/// Calls back when `command` comes, and then lets the session wait until the answer.
fn hold(command: &'static str, arrived: Sender<()>, go_on: std::sync::mpsc::Receiver<()>) -> Hook {
    let (arrived, go_on) = (Mutex::new(arrived), Mutex::new(go_on));
    Arc::new(move |moment| {
        if moment.command == command {
            let _ = arrived.lock().unwrap().send(());
            let _ = go_on.lock().unwrap().recv();
        }
    })
}

/// Waits until a signal that was sent has been taken.
fn taken(pid: Pid) {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let began = Instant::now();
    loop {
        let Ok(status) = std::fs::read_to_string(&path) else { return };
        let pending =
            status.lines().filter(|line| line.starts_with("ShdPnd:") || line.starts_with("SigPnd:"));
        if pending.map(|line| line[7..].trim()).all(|mask| mask.bytes().all(|digit| digit == b'0')) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{status}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn signal_commits_and_deletes_what_arrived() {
    for signal in [Signal::TERM, Signal::INT] {
        for pipelining in [false, true] {
            let (arrived, at_second) = channel();
            let (go, go_on) = channel();
            let mut options = Options::with("me", PASSWORD, messages(1..=3));
            if !pipelining {
                options = options.without("PIPELINING");
            }
            options.hook = Some(hold("RETR 2", arrived, go_on));
            let server = Server::start(options);
            let sandbox = Sandbox::new();
            sandbox.config(account(server.port(), "leave-on-server = false"));
            let running = sandbox.popfetch([""; 0]).start();
            at_second.recv().unwrap();
            running.signal(signal);
            taken(running.pid());
            go.send(()).unwrap();
            running.finish().dies_by(signal);
            let commands = server.commands(1);
            assert_eq!(commands.last().map(String::as_str), Some("QUIT"), "{commands:?}");
            let arrived = if pipelining { 3 } else { 2 };
            assert_eq!(
                commands.iter().filter(|line| line.starts_with("RETR")).count(),
                arrived,
                "{commands:?}"
            );
            delivered(&sandbox, "work", 1..=arrived as u64);
            assert_eq!(server.unique_ids("me"), ["uid-3"][..3 - arrived]);
            server.change(|options| options.hook = None);
            sandbox.run([""; 0]).succeeds();
            delivered(&sandbox, "work", 1..=3);
            assert_eq!(server.unique_ids("me"), [""; 0]);
        }
    }
}

#[test]
fn second_signal_ends_it_at_once() {
    let (arrived, at_second) = channel();
    let (go, go_on) = channel();
    let mut options = Options::with("me", PASSWORD, messages(1..=3)).without("PIPELINING");
    options.hook = Some(hold("RETR 2", arrived, go_on));
    let server = Server::start(options);
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), "leave-on-server = false"));
    let running = sandbox.popfetch([""; 0]).limit(Duration::from_secs(8)).start();
    at_second.recv().unwrap();
    running.signal(Signal::TERM);
    taken(running.pid());
    running.signal(Signal::INT);
    // The server sends nothing more: only a kill ends it.
    let run = running.finish();
    run.dies_by(Signal::INT);
    assert!(run.elapsed < Duration::from_secs(8), "{:?}", run.elapsed);
    go.send(()).unwrap();
    server.change(|options| options.hook = None);
    sandbox.run([""; 0]).succeeds();
    delivered(&sandbox, "work", 1..=3);
    assert_eq!(server.unique_ids("me"), [""; 0]);
}

#[test]
fn signal_stops_every_account() {
    let (arrived, at_retr) = channel();
    let (go, go_on) = channel();
    let held = |arrived: &Sender<()>| {
        let mut options = Options::with("me", PASSWORD, messages(1..=2)).without("PIPELINING");
        options.hook = Some({
            let arrived = Mutex::new(arrived.clone());
            Arc::new(move |moment| {
                if moment.command == "RETR 1" {
                    let _ = arrived.lock().unwrap().send(());
                }
            })
        });
        options
    };
    let mut first = held(&arrived);
    first.hook = Some(hold("RETR 1", arrived, go_on));
    let first = Server::start(first);
    let waiting = Server::with("me", PASSWORD, messages(1..=1));
    let plain = format!("tls = \"none\"\npassword = \"{PASSWORD}\"");
    let sandbox = Sandbox::new();
    sandbox.config(
        [named_account("first", first.port(), &plain), named_account("second", waiting.port(), &plain)]
            .concat(),
    );
    let running = sandbox.popfetch(["--jobs", "1"]).start();
    at_retr.recv().unwrap();
    running.signal(Signal::TERM);
    taken(running.pid());
    go.send(()).unwrap();
    running.finish().dies_by(Signal::TERM);
    delivered(&sandbox, "first", [1]);
    assert_eq!(waiting.count("RETR"), 0);
    first.change(|options| options.hook = None);
    sandbox.run([""; 0]).succeeds();
    delivered(&sandbox, "first", [1, 2]);
    delivered(&sandbox, "second", [1]);
}

#[test]
fn signal_before_the_handshake_ends() {
    // A stop, not a failure: nothing is complained of, and quickly.
    let (arrived, connected) = channel();
    let arrived = Mutex::new(arrived);
    let step = Step::Call(Arc::new(move || arrived.lock().unwrap().send(()).unwrap()));
    let server = Scripted::start(vec![vec![step, Step::Stall]]);
    let sandbox = Sandbox::new();
    sandbox.config(named_account("work", server.port(), "password = \"x\""));
    let running = sandbox.popfetch([""; 0]).limit(Duration::from_secs(8)).start();
    connected.recv().unwrap();
    running.signal(Signal::INT);
    running.finish().dies_by(Signal::INT);
    server.finish();
}

// ---- two processes ---------------------------------------------------------------------------------------------

/// A run that is held at the first RETR, and what lets it go on.
fn busy(server: &Server) -> (std::sync::mpsc::Receiver<()>, Sender<()>) {
    let (arrived, at_retr) = channel();
    let (go, go_on) = channel();
    server.change(|options| options.hook = Some(hold("RETR 1", arrived, go_on)));
    (at_retr, go)
}

#[test]
fn second_popfetch_leaves_the_mailbox_alone() {
    let server = Server::with("me", PASSWORD, messages(1..=2));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), "leave-on-server = false"));
    let (at_retr, go) = busy(&server);
    let first = sandbox.popfetch([""; 0]).start();
    at_retr.recv().unwrap();
    let before = sandbox.files();
    let second = sandbox.run([""; 0]);
    second.exits(75).complains("account \"work\"").complains("another popfetch");
    sandbox.run(["--quiet"]).exits(75).is_silent();
    let waited = sandbox.run(["--wait=1s"]);
    waited.exits(75);
    assert!(waited.elapsed >= Duration::from_secs(1), "{:?}", waited.elapsed);
    assert_eq!(sandbox.files(), before);
    go.send(()).unwrap();
    first.finish().succeeds();
    delivered(&sandbox, "work", [1, 2]);
    assert_eq!(server.sessions(), 1);
    assert_eq!(server.unique_ids("me"), [""; 0]);
}

#[test]
fn wait_takes_its_turn() {
    let server = Server::with("me", PASSWORD, messages(1..=2));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    let (at_retr, go) = busy(&server);
    let first = sandbox.popfetch([""; 0]).start();
    at_retr.recv().unwrap();
    let mut waiting = [["--wait", "-v"], ["--wait=1h", "-v"]].map(|args| sandbox.popfetch(args).start());
    assert!(waiting.iter_mut().all(|run| run.is_alive()));
    server.change(|options| options.hook = None);
    go.send(()).unwrap();
    first.finish().succeeds();
    for run in waiting {
        run.finish().succeeds().complains("nothing new");
    }
    delivered(&sandbox, "work", [1, 2]);
    assert_eq!(server.sessions(), 3);
}

#[test]
fn signal_ends_the_wait() {
    let server = Server::with("me", PASSWORD, messages(1..=1));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    let (at_retr, go) = busy(&server);
    let first = sandbox.popfetch([""; 0]).start();
    at_retr.recv().unwrap();
    let waiting = sandbox.popfetch(["--wait"]).limit(Duration::from_secs(8)).start();
    // Once it looks for the lock it has its signal handlers.
    wait_for(|| opens(waiting.pid(), "lock"));
    waiting.signal(Signal::TERM);
    waiting.finish().dies_by(Signal::TERM);
    go.send(()).unwrap();
    first.finish().succeeds();
}

fn wait_for(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// Whether a process has a file of this name open.
fn opens(pid: Pid, name: &str) -> bool {
    let folder = PathBuf::from(format!("/proc/{}/fd", pid.as_raw_nonzero()));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|target| target.ends_with(name))
}

#[test]
fn lock_ends_with_its_holder() {
    let server = Server::with("me", PASSWORD, messages(1..=2));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    let (at_retr, _go) = busy(&server);
    let first = sandbox.popfetch([""; 0]).start();
    at_retr.recv().unwrap();
    server.change(|options| options.hook = None);
    first.signal(Signal::KILL);
    let killed: Run = first.finish();
    killed.dies_by(Signal::KILL);
    drop(_go);
    sandbox.run([""; 0]).succeeds();
    delivered(&sandbox, "work", [1, 2]);
    assert!(sandbox.files().keys().any(|path| path.ends_with(Path::new("lock"))));
}

/// With a relative one each working directory would have a ledger of its own, and all mail would come again.
#[test]
fn a_relative_home_is_no_home() {
    let sandbox = Sandbox::new();
    let mut line = sandbox.popfetch(["accounts"]).env("HOME", "here");
    for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"] {
        line = line.env(name, "");
    }
    line.run().exits(78).complains("there is no home directory").complains("set HOME to an absolute path");
}
