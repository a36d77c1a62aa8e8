//! `popfetch status`: every state that the memory and the ledger know, each brought about by real runs; and that it reads
//! nothing but the memory and the files' metadata.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::Value;

use crate::mailbox::{DELETE, IN_CLEAR, KEEP, change_memory, good, move_back, section, serve, small};
use crate::support::installed;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, Options, Server};
use crate::support::snapshot;
use crate::support::tmux::Tmux;

/// Accounts, each with a server of its own.
#[derive(Default)]
struct World {
    sandbox: Option<Sandbox>,
    accounts: BTreeMap<&'static str, (u16, String)>,
    servers: BTreeMap<&'static str, Server>,
}

impl World {
    fn new() -> Self {
        Self { sandbox: Some(Sandbox::new()), ..Self::default() }
    }

    fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().unwrap()
    }

    /// Adds an account, and its server.
    fn add(&mut self, name: &'static str, options: Options, keys: &str) -> &mut Self {
        let server = Server::start(options);
        let port = server.port();
        self.servers.insert(name, server);
        self.configure(name, port, keys)
    }

    fn configure(&mut self, name: &'static str, port: u16, keys: &str) -> &mut Self {
        self.accounts.insert(name, (port, keys.to_owned()));
        let sections = self.accounts.iter().map(|(name, (port, keys))| {
            let deliver = format!("deliver = {{ maildir = \"~/{name}\" }}\n");
            let deliver = if keys.contains("deliver") { "" } else { deliver.as_str() };
            let login = if keys.contains("tls") { "password = \"secret\"\n" } else { IN_CLEAR };
            section(name, *port, &format!("{login}{deliver}{keys}"))
        });
        self.sandbox().config(sections.collect::<String>());
        self
    }

    fn fetch(&self, name: &str) -> Run {
        self.sandbox().run(["--quiet", name])
    }

    /// The directory of its state.
    fn state(&self, name: &str) -> PathBuf {
        let run = self.sandbox().run(["status", "-v", name]);
        let line =
            run.out().lines().find_map(|line| line.strip_prefix("  kept in   ").map(str::to_owned)).unwrap();
        PathBuf::from(line.split(" (").next().unwrap())
    }

    /// Moves the times of what lasts back, as if these seconds had passed.
    fn pass(&self, name: &str, seconds: i64) {
        let path = self.state(name).join("memory");
        let mut memory: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let alerts = memory["alerts"].as_object_mut().unwrap();
        assert!(!alerts.is_empty(), "nothing lasts");
        alerts.values_mut().for_each(|alert| move_back(alert, &["since", "reported"], seconds));
        fs::write(path, serde_json::to_vec(&memory).unwrap()).unwrap();
    }

    fn objects(&self) -> BTreeMap<String, Value> {
        let run = self.sandbox().run(["status", "--json"]);
        let object = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
        run.out()
            .lines()
            .map(object)
            .map(|value| (value["account"].as_str().unwrap().to_owned(), value))
            .collect()
    }
}

/// A server's hook that stops at a command until it is let go.
fn stops_at(command: &'static str, options: Options) -> (Options, Receiver<()>, Sender<()>) {
    let ((reached, wait_for), (go, let_go)) = (channel(), channel());
    let (reached, let_go) = (Mutex::new(reached), Mutex::new(let_go));
    let hook = move |moment: &crate::support::server::Moment<'_>| {
        if moment.command.starts_with(command) {
            let _ = reached.lock().unwrap().send(());
            let _ = let_go.lock().unwrap().recv();
        }
    };
    (Options { hook: Some(Arc::new(hook)), ..options }, wait_for, go)
}

fn refusing_second() -> Vec<Message> {
    let mut messages = small(3);
    messages[1] = messages[1].clone().refused("-ERR the subject is \"Lunch\"");
    messages
}

/// The first line of the table that is this account's.
#[track_caller]
fn row(table: &str, account: &str) -> String {
    let begin = format!("{account} ");
    table
        .lines()
        .find(|line| line.starts_with(&begin))
        .unwrap_or_else(|| panic!("{account}:\n{table}"))
        .to_owned()
}

/// A line whose columns are two blanks apart.
fn with_two_blanks(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let cells = line.trim_start().split("  ").map(str::trim_start).filter(|cell| !cell.is_empty());
    format!("{}{}", &line[..indent], cells.collect::<Vec<_>>().join("  "))
}

/// What `status -v` gives as the size of an account's state.
fn size_in(details: &str) -> String {
    let line = details.lines().find(|line| line.contains("kept in")).unwrap();
    line.rsplit_once('(').unwrap().1.trim_end_matches(')').to_owned()
}

#[test]
fn every_state_has_its_row() {
    let mut world = World::new();
    world.add("fine", good(small(2)), KEEP);
    world.add("never", good(small(1)), KEEP);
    world.add("fails", good(refusing_second()), KEEP);
    world.add("password", Options::with("me", "another", small(1)), KEEP);
    world.add("brief", good(small(1)), KEEP).add("gone", good(small(1)), KEEP);
    world.add("tls", good(small(1)), "tls = \"implicit\"");
    world.add("pipe", good(small(2)), "deliver = [{ maildir = \"~/pipe\" }, { pipe = [\"false\"] }]");
    world.add("dele", good(small(4)).instead("DELE", "-ERR not here\r\n"), DELETE);
    world.add("quit", good(small(3)).instead("QUIT", "-ERR not removed\r\n"), DELETE);
    world.add("again", good(small(3)).instead("DELE", "+OK gone\r\n"), DELETE);
    world.add(
        "policy",
        good(small(3)).instead("LIST", "-ERR no\r\n"),
        "leave-on-server = { total-size = \"1K\" }",
    );
    world.add("limit", good(small(5)), "max-messages = 2");
    world.add("lost", good(small(1)), KEEP);
    let (options, _, release) = stops_at("RETR", good(small(1)));
    world.add("killed", options, KEEP);
    let (options, reached, go) = stops_at("PASS", good(small(1)));
    world.add("runs", options, KEEP);

    for (name, code) in [
        ("fine", 0),
        ("fails", 75),
        ("password", 77),
        ("brief", 0),
        ("gone", 0),
        ("tls", 76),
        ("pipe", 75),
        ("dele", 75),
        ("quit", 0),
        ("quit", 75),
        ("again", 0),
        ("again", 0),
        ("again", 75),
        ("policy", 75),
        ("limit", 0),
        ("lost", 0),
    ] {
        world.fetch(name).exits(code);
    }
    let port = world.servers["pipe"].port();
    world.configure("pipe", port, "deliver = { maildir = \"~/pipe\" }");
    world.fetch("pipe").exits(75);
    for name in ["brief", "gone"] {
        world.servers.remove(name);
        world.fetch(name).exits(75);
    }
    world.pass("gone", 3600);
    fs::remove_file(world.state("lost").join("ledger")).unwrap();
    let sandbox = world.sandbox();
    let killed = sandbox.popfetch(["killed"]).start();
    world.servers["killed"].wait_for("RETR");
    killed.signal(Signal::KILL);
    killed.finish().dies_by(Signal::KILL);
    drop(release);
    let running = sandbox.popfetch(["runs"]).start();
    reached.recv().unwrap();

    let table = sandbox.run(["status"]);
    table.exits(1);
    let table = table.out();
    // Not how wide the columns are: with the machine's load "just now" becomes "1 min ago".
    let one_blank = |text: &str| text.split_inclusive('\n').map(with_two_blanks).collect::<String>();
    let home = sandbox.home();
    let masked = |text: &str| text.replace("1 min ago", "just now").replace(home.to_str().unwrap(), "~");
    snapshot::assert("status", &one_blank(&masked(&table)));
    let details = masked(&sandbox.run(["status", "-v", "fails"]).out());
    let details = details.replace(&world.servers["fails"].port().to_string(), "PORT");
    snapshot::assert("status-details", &one_blank(&details.replace(&size_in(&details), "SIZE")));
    let json = sandbox.run(["status", "--json", "fails", "never", "password"]);
    snapshot::assert("status-json", &json.out());
    let objects = world.objects();
    for (name, state, needs_you, in_row) in [
        ("fine", "ok", false, "  just now  today "),
        ("never", "never-run", true, "-         -                     ?  never run"),
        ("fails", "messages-failed", true, "3  1 message fails: "),
        ("password", "login-refused", true, "refused the login (USER)"),
        ("brief", "passing", false, "?  cannot connect to 127.0.0.1"),
        ("gone", "passing", true, " (since "),
        ("tls", "error", true, "  ?  "),
        ("pipe", "destination-gone", true, "2 messages still to be delivered to a destination"),
        ("dele", "deletion-refused", true, "the server did not delete 4 messages"),
        ("quit", "quit-refused", true, "the server did not confirm the deletion of 3 messages"),
        ("again", "not-deleted", true, "3 messages that the server confirmed as deleted"),
        ("policy", "policy-without-effect", true, "leave-on-server's total-size has no effect"),
        ("limit", "postponed", false, "5  3 new messages wait for the next run, by a limit"),
        ("lost", "state-missing", true, "is missing, though there has been one"),
        ("killed", "interrupted", false, "the last run was interrupted"),
        ("runs", "running", false, "running now (since "),
    ] {
        let object = &objects[name];
        assert_eq!(
            (object["state"].as_str(), object["needs_you"].as_bool()),
            (Some(state), Some(needs_you)),
            "{object}"
        );
        let row = row(&table, name);
        assert!(row.contains(in_row), "{name}: {row}");
        assert!(!row.contains("Lunch"), "the words of a server may be those of a message: {row}");
    }
    assert!(row(&table, "password").contains("; next try "), "{table}");
    assert_eq!(objects["fine"]["server_messages"], 2);
    assert_eq!(objects["fine"]["last_mail_messages"], 2);
    assert_eq!(objects["fails"]["failed"], 1);
    assert_eq!(objects["limit"]["postponed"], 3);
    assert_eq!(objects["gone"]["server_messages"], Value::Null);
    // An account that is well, alone.
    sandbox.run(["status", "fine", "limit", "killed", "runs"]).succeeds();
    go.send(()).unwrap();
    drop(go);
    running.finish().succeeds();
    sandbox.run(["status", "runs"]).succeeds().says("  ok\n");
    // What ends the state of a killed run is the next one.
    world.fetch("killed").succeeds();
    sandbox.run(["status", "killed"]).succeeds().says("  ok\n");
}

#[test]
fn a_run_that_is_over_leaves_its_numbers_and_an_idle_one_writes_nothing() {
    let served = serve(good(small(3)), "leave-on-server = { days = 3650 }");
    served.fetch().succeeds();
    let memory = || fs::read(crate::mailbox::memory(&served.sandbox)).unwrap();
    served.fetch().succeeds();
    let before = memory();
    let idle = served.sandbox.popfetch([""; 0]).record_steps().run();
    idle.succeeds();
    assert_eq!(memory(), before);
    assert!(!idle.steps.iter().any(|step| step.contains("memory")), "{:?}", idle.steps);
    served.sandbox.run(["status"]).succeeds().says("(3)").says("  3  ok");
    // A refused login, and a pause that isn't over, take nothing of it away but what isn't known any more.
    served.server.change(|options| options.instead.push(("PASS".into(), b"-ERR [AUTH] no\r\n".to_vec())));
    for _ in 0..2 {
        served.fetch().exits(77);
        let status = served.sandbox.run(["status"]);
        status.exits(1).says("today").says("(3)").says("\"[AUTH] no\" (since ").says("; next try ");
    }
    served.server.change(|options| options.instead.clear());
    served.sandbox.run(["me"]).succeeds();
    served.sandbox.run(["status"]).succeeds().says("ok");
}

#[test]
fn a_command_that_fetches_nothing_is_no_run() {
    let served = serve(good(small(1)), "");
    served.sandbox.run(["state", "release", "me", "-y"]).succeeds();
    served.sandbox.run(["status"]).exits(1).says("never run");
    served.fetch().succeeds();
    change_memory(&served.sandbox, |memory| memory["last"]["mail"] = serde_json::json!([1_700_000_000, 1]));
    let lock = crate::mailbox::memory(&served.sandbox).with_file_name("lock");
    let modified = || lock.metadata().unwrap().modified().unwrap();
    let before = modified();
    served.sandbox.run(["state", "release", "me", "-y"]).succeeds();
    assert_eq!(modified(), before);
    served.sandbox.run(["status"]).succeeds().says("14 Nov 2023 (1)");
}

#[test]
fn a_mailbox_that_another_popfetch_never_gives_back_needs_you() {
    let served = serve(good(small(1)), "alert-after = \"1s\"");
    served.fetch().succeeds();
    let path = crate::mailbox::memory(&served.sandbox).with_file_name("lock");
    let lock = fs::File::options().write(true).open(path).unwrap();
    lock.try_lock().unwrap();
    let since = std::time::SystemTime::now() - std::time::Duration::from_secs(90);
    lock.set_times(fs::FileTimes::new().set_accessed(since)).unwrap();
    served.sandbox.run(["--quiet"]).exits(75);
    served
        .sandbox
        .run(["status"])
        .exits(1)
        .says("another popfetch does not end its work on this mailbox (since ");
    drop(lock);
    served.sandbox.run(["--quiet"]).succeeds();
    served.sandbox.run(["status"]).succeeds();
}

#[test]
fn state_that_others_can_change_needs_you() {
    let served = serve(good(small(1)), "");
    served.fetch().succeeds();
    let directory = crate::mailbox::memory(&served.sandbox).parent().unwrap().to_owned();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let status = served.sandbox.run(["status", "--json"]);
    status.exits(1).says("\"state\":\"state-exposed\"");
}

/// Neither the ledger nor anything else that grows with the mailbox is opened.
#[test]
fn the_ledger_is_not_opened() {
    let served = serve(good(small(3)), "");
    served.fetch().succeeds();
    let memory = crate::mailbox::memory(&served.sandbox);
    fs::write(memory.with_file_name("ledger"), "no ledger at all").unwrap();
    served.sandbox.run(["status"]).succeeds().says("  3  ok");
    served.sandbox.run(["status", "-v"]).succeeds().says(" bytes, and had ");
    if installed("strace").is_none() {
        return;
    }
    let trace = served.sandbox.path("trace");
    let strace =
        ["strace", "-f", "-qq", "-o", trace.to_str().unwrap(), "-e", "trace=openat,flock,socket,connect"];
    served.sandbox.popfetch(["status"]).under(strace).run().succeeds();
    let trace = fs::read_to_string(trace).unwrap();
    let opened: Vec<&str> = trace.lines().filter(|line| line.contains("popfetch/")).collect();
    assert!(opened.iter().any(|line| line.contains("/memory")), "{trace}");
    assert!(!opened.iter().any(|line| line.contains("/ledger")), "{opened:?}");
    for call in ["flock(", "socket(", "connect("] {
        assert!(!trace.contains(call), "{call}: {trace}");
    }
}

#[test]
fn metrics_are_of_the_textfile_collectors_form() {
    let mut world = World::new();
    world.add("fine", good(small(2)), KEEP).add("never", good(small(1)), KEEP);
    world.fetch("fine").succeeds();
    let run = world.sandbox().run(["status", "--prometheus"]);
    run.exits(1)
        .says("popfetch_server_messages{account=\"fine\"} 2\n")
        .says("popfetch_running{account=\"never\"} 0\n");
    let out = run.out();
    let is_time = |line: &str| line.contains("_timestamp_seconds{");
    let masked = |line: &str| match line.rsplit_once(' ').filter(|_| is_time(line)) {
        Some((name, _)) => format!("{name} TIME\n"),
        None => format!("{line}\n"),
    };
    snapshot::assert("status-prometheus", &out.lines().map(masked).collect::<String>());
    assert!(!out.contains("last_run_timestamp_seconds{account=\"never\"}"), "{out}");
    for line in out.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        value.parse::<i64>().unwrap();
        let name = name.split('{').next().unwrap();
        assert_eq!(out.matches(&format!("# TYPE {name} gauge\n")).count(), 1, "{line}");
        assert_eq!(out.matches(&format!("# HELP {name} ")).count(), 1, "{line}");
    }
}

/// A row is a line, however narrow the terminal; what doesn't fit is cut at the end of the row.
#[test]
fn the_table_fits_the_terminal() {
    let mut world = World::new();
    world.add("fine", good(small(2)), KEEP);
    world.add("fails", good(refusing_second()), KEEP);
    world.add("password", Options::with("me", "another", small(1)), KEEP);
    world.fetch("fine").succeeds();
    world.fetch("fails").exits(75);
    world.fetch("password").exits(77);
    for columns in [40_u16, 80, 200] {
        let Some(tmux) = Tmux::start(world.sandbox(), (columns, 24), "popfetch status --no-pager") else {
            return;
        };
        let screen = tmux.wait_for("[1]");
        let lines: Vec<&str> = screen.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines[0].starts_with("ACCOUNT") && lines[0].contains("STATE"), "{screen}");
        assert_eq!(lines.len(), 5, "{columns}: {screen}");
        let refused = row(&screen, "password");
        assert_eq!(refused.contains("refused the login (USER)"), columns == 200, "{refused}");
        assert_eq!(refused.ends_with('\u{2026}'), columns < 200, "{refused}");
    }
}

#[test]
fn a_login_that_another_command_found_refused_is_what_status_shows() {
    let mut world = World::new();
    world.add("home", good(small(1)), "");
    world.fetch("home").succeeds();
    let refuse = |refuses: bool| {
        world.servers["home"].change(|options| {
            options.instead.clear();
            if refuses {
                options.instead.push(("PASS".into(), b"-ERR [AUTH] no\r\n".to_vec()));
            }
        });
    };
    let status = || world.sandbox().run(["status", "home"]);
    refuse(true);
    world.sandbox().run(["check", "home"]).exits(77);
    status().exits(1).says("refused the login").says("next try");
    // A run that waits tries nothing, and changes nothing of it.
    world.sandbox().run(["--quiet"]).exits(77);
    let status_of = |run: &Run| row(&run.out(), "home");
    let run = status();
    assert!(status_of(run.exits(1)).contains("refused the login"), "{}", run.out());
    world.sandbox().run(["check", "home"]).exits(77).complains("popfetch retry ACCOUNT tries at once");
    refuse(false);
    world.sandbox().run(["list", "home"]).succeeds();
    let run = status();
    assert!(status_of(run.exits(0)).ends_with("ok"), "{}", run.out());
}
