//! Plays a story: the server in a thread, the real popfetch in a home of its own, the invariant after each run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::invariant::{History, Kind, Violation, check, check_zero};
use crate::mail::{MailId, marked};
use crate::random::Random;
use crate::server::{Server, Strike};
use crate::stores::{self, Store, TAKE_IN};
use crate::story::{Interruption, Options, Policy, Step, Story};
use crate::world::World;

/// A run that takes longer hangs.
const LONGEST_RUN: Duration = Duration::from_secs(40);
/// After this many runs since all is well again, everything must be settled; and one more for each message of a limited
/// session.
const RUNS_TO_SETTLE: usize = 12;

/// And at most this much time, whatever the number of runs.
const TIME_TO_SETTLE: Duration = Duration::from_secs(60);

/// How a life went.
pub struct Outcome {
    pub violation: Option<Violation>,
    /// Each run: what popfetch and the server sent.
    pub protocol: String,
    pub runs: usize,
}

/// Plays a story to its end, or to the first violation.
pub fn play(story: &Story) -> Outcome {
    let mut life = Life::new(story);
    let violation = life.play(story).err();
    if violation.is_some() {
        life.show_ledgers();
    }
    Outcome { violation, protocol: std::mem::take(&mut life.protocol), runs: life.runs }
}

struct Life {
    folder: tempfile::TempDir,
    server: Server,
    history: History,
    protocol: String,
    runs: usize,
}

impl Life {
    fn new(story: &Story) -> Self {
        // In memory a sync costs nothing.  What was written outlives a killed process in either place.
        let folder = tempfile::Builder::new().prefix("popfetch-soak-").tempdir_in("/dev/shm");
        let folder = folder.or_else(|_| tempfile::tempdir()).unwrap();
        let home = folder.path();
        std::fs::create_dir_all(home.join(".config/popfetch")).unwrap();
        std::fs::create_dir(home.join("piped")).unwrap();
        std::fs::write(home.join("take-in"), TAKE_IN).unwrap();
        std::fs::set_permissions(home.join("take-in"), Permissions::from_mode(0o700)).unwrap();
        let server = Server::start(World::new(story.traits.clone()));
        Self { folder, server, history: History::default(), protocol: String::new(), runs: 0 }
    }

    fn home(&self) -> &Path {
        self.folder.path()
    }

    fn play(&mut self, story: &Story) -> Result<(), Violation> {
        for step in &story.steps {
            self.step(step)?;
        }
        self.settle(story)
    }

    fn step(&mut self, step: &Step) -> Result<(), Violation> {
        if !matches!(step, Step::Run(_)) {
            let _ = writeln!(self.protocol, "== {step:?}");
        }
        let mut shared = self.server.lock();
        let world = &mut shared.world;
        match step {
            Step::Arrive(count) => world.arrive(*count),
            Step::OtherClientDeletes { percent, seed } => {
                world.other_client_deletes(*percent, &mut Random::new(*seed, "other client", 0));
            }
            Step::OtherClientMoves { percent, seed } => {
                world.other_client_moves(*percent, &mut Random::new(*seed, "other client moves", 0));
            }
            Step::OtherClientCopies { percent, seed } => {
                world.other_client_copies(*percent, &mut Random::new(*seed, "other client copies", 0));
            }
            Step::Restore { seed } => world.restore(&mut Random::new(*seed, "restore", 0)),
            Step::Pass { seconds } => world.now += seconds,
            Step::ReaderLooks => {
                drop(shared);
                move_to_cur(&Store::Maildir.path(self.home()));
            }
            Step::Run(options) => {
                world.back_up();
                drop(shared);
                self.run(options)?;
            }
        }
        Ok(())
    }

    /// One run, and the invariant after it.  The exit code, unless a signal ended it.
    fn run(&mut self, options: &Options) -> Result<Option<i32>, Violation> {
        self.runs += 1;
        let _ = writeln!(self.protocol, "== Run {options}");
        self.history.destinations.insert(options.destinations.clone());
        if options.forgets_outcomes() && options.destinations.contains(&Store::Pipe) {
            self.history.forgotten_outcomes += 1;
        }
        self.configure(options);
        let began = Instant::now();
        let (status, output) = self.popfetch(options);
        self.server.settle();
        let contents = stores::read(self.home());
        let shared = self.server.lock();
        for line in shared.dialogue.iter().take(400) {
            let _ = writeln!(self.protocol, "     {line}");
        }
        let _ = writeln!(self.protocol, "   {status:?} after {:.1?}\n{output}", began.elapsed());
        let status = status.ok_or_else(|| Violation::new(Kind::Hangs, format!("after {LONGEST_RUN:?}")))?;
        let contents = contents.map_err(|text| Violation::new(Kind::NotWhole, text))?;
        check(&shared.world, &contents, &self.history)?;
        check_exit(options, status, &output)?;
        if status.code() == Some(0) && !options.withholds() {
            check_zero(&shared.world, &contents, &shared.listed)?;
        }
        Ok(status.code())
    }

    fn configure(&self, options: &Options) {
        let home = self.home();
        let deliver: Vec<String> = options.destinations.iter().map(|store| store.configured(home)).collect();
        let mut text = format!(
            "[accounts.a]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nauth = \"user-pass\"\nuser = \"me\"\n\
             password = \"secret\"\ntimeout = \"1s\"\ndeliver = [{}]\nleave-on-server = {}\npipelining = {:?}\n\
             listing = {:?}\n",
            self.server.port(),
            deliver.join(", "),
            options.policy,
            options.pipelining,
            options.listing,
        );
        let limits = [
            ("max-messages", options.max_messages),
            ("max-bytes", options.max_bytes),
            ("max-message-size", options.max_message_size),
        ];
        for (name, limit) in limits {
            if let Some(limit) = limit {
                let _ = writeln!(text, "{name} = {limit}");
            }
        }
        let path = home.join(".config/popfetch/config.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let refused = |code| {
            let mails = self.server.lock().world.mails.iter().map(|mail| mail.id.0).collect::<Vec<_>>();
            // Of those, too, that arrive meanwhile.
            let most = mails.last().copied().unwrap_or(0) + 10;
            (1..=most).filter(|id| id % 3 == 0).map(|id| format!("marker={id:06} {code}\n")).collect()
        };
        let refused: String = options.refusal.map_or_else(String::new, refused);
        std::fs::write(home.join("refused"), refused).unwrap();
    }

    /// Runs popfetch; `None` when it didn't end.
    fn popfetch(&self, options: &Options) -> (Option<ExitStatus>, String) {
        let home = self.home();
        let program = std::env::var_os("POPFETCH_SOAK_PROGRAM");
        let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_popfetch").into()));
        command.env_clear().current_dir(home).env("HOME", home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if let Some(library) = clock_library() {
            let ahead = self.server.lock().world.set_clock(options.clock_off_by);
            command.env("LD_PRELOAD", library).env("SOAK_CLOCK_AHEAD", ahead.to_string());
        }
        match options.interruption {
            Some(Interruption::Crash { step }) => {
                command.env("POPFETCH_CRASH_AT", step.to_string());
            }
            Some(Interruption::FullDisk { step, lasts }) => {
                let name = if lasts { "POPFETCH_FAIL_FROM" } else { "POPFETCH_FAIL_AT" };
                command.env(name, format!("{step}:ENOSPC"));
            }
            _ => {}
        }
        command.args(options.flag);
        if options.named {
            command.arg("a");
        }
        let output = std::fs::File::create(home.join("output")).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        command.process_group(0);
        let mut shared = self.server.lock();
        shared.dialogue.clear();
        shared.listed.clear();
        shared.sent = 0;
        shared.strike = match options.interruption {
            Some(Interruption::Signal { signal, after_octets }) => Some(Strike { after_octets, signal }),
            _ => None,
        };
        let mut child = command.spawn().unwrap();
        shared.process = Some(Pid::from_child(&child));
        drop(shared);
        let status = wait(&mut child);
        let mut shared = self.server.lock();
        // Its number may be another process's from now on.
        shared.process = None;
        shared.strike = None;
        drop(shared);
        let output = std::fs::read(home.join("output")).unwrap();
        (status, String::from_utf8_lossy(&output).into_owned())
    }

    /// All is well again: every mail that can be delivered must be, and nothing may be left to do.
    fn settle(&mut self, story: &Story) -> Result<(), Violation> {
        // All that any run has had: what one of them lacks waits for it.
        let had = story.steps.iter().filter_map(|step| match step {
            Step::Run(options) => Some(&options.destinations),
            _ => None,
        });
        let had: BTreeSet<Store> = had.flatten().copied().collect();
        let stores = if had.is_empty() { vec![Store::Maildir] } else { had.into_iter().collect() };
        let mut options = Options::plain(stores);
        let _ = writeln!(self.protocol, "== all is well from here on");
        self.server.lock().world.well = true;
        // First as it is, with everything left on the server.
        for _ in 0..2 {
            self.pass_a_day();
            self.run(&options)?;
        }
        // Then everything is to go: each mail is delivered, and deleted.
        options.policy = Policy::Delete;
        let runs = RUNS_TO_SETTLE + self.server.lock().world.on_server().len();
        let began = Instant::now();
        for _ in 0..runs {
            if began.elapsed() > TIME_TO_SETTLE {
                break;
            }
            self.pass_a_day();
            let code = self.run(&options)?;
            let shared = self.server.lock();
            let left = shared.world.shown();
            let hopeless = left.iter().filter(|id| shared.world.is_undeliverable(**id)).count();
            if hopeless == left.len() && (code == Some(0)) == (hopeless == 0) {
                return Ok(());
            }
            // Where QUIT would delete it as well, it may not even be retrieved: it's enough that it stays, and that this is
            // reported.
            if shared.world.nothing_names(&left)
                && shared.world.quit_takes_what_was_retrieved()
                && code == Some(76)
            {
                return Ok(());
            }
            // Where no answer names a message, nothing may be deleted: it's enough that all of it is delivered, and that this
            // is reported.
            if shared.world.nothing_names(&left) && code == Some(75) {
                let contents = stores::read(self.home()).unwrap_or_default();
                let waits = |id: &MailId| !shared.world.is_undeliverable(*id);
                let is_in = |store: &Store, id: MailId| {
                    contents
                        .get(store)
                        .is_some_and(|messages| messages.iter().any(|text| marked(text) == Some(id)))
                };
                if left
                    .iter()
                    .copied()
                    .filter(waits)
                    .map(|id| shared.world.mail(id).original())
                    .all(|id| options.destinations.iter().all(|store| is_in(store, id)))
                {
                    return Ok(());
                }
            }
            if hopeless > 0 && code == Some(0) {
                let text = format!("exit code 0, though mails {left:?} can't be had");
                return Err(Violation::new(Kind::FalseZero, text));
            }
        }
        let left = self.server.lock().world.on_server();
        let left: Vec<u32> = left.iter().map(|id| id.0).collect();
        let text =
            format!("{runs} runs in a good world (or {TIME_TO_SETTLE:?}) left mails {left:?} on the server");
        Err(Violation::new(Kind::NeverSettled, text))
    }

    /// What popfetch remembers, into the protocol.
    fn show_ledgers(&mut self) {
        let folders = std::fs::read_dir(self.home().join(".local/state/popfetch")).into_iter().flatten();
        let ledgers = folders.filter_map(|entry| std::fs::read(entry.unwrap().path().join("ledger")).ok());
        let ledgers: Vec<Vec<u8>> = ledgers.collect();
        for ledger in ledgers {
            let _ = writeln!(self.protocol, "== the ledger\n{}", String::from_utf8_lossy(&ledger));
        }
    }

    fn pass_a_day(&self) {
        self.server.lock().world.now += 86_400 + 60;
    }
}

/// Exit codes that something in a life explains: 0, 75 and 76, the signal that was sent, and 73 and 74 for a full disk.
fn check_exit(options: &Options, status: ExitStatus, output: &str) -> Result<(), Violation> {
    let explained = match (status.code(), status.signal()) {
        (Some(0 | 75 | 76), _) => true,
        (Some(73 | 74), _) => matches!(options.interruption, Some(Interruption::FullDisk { .. })),
        (_, Some(signal)) => match options.interruption {
            Some(Interruption::Signal { signal: sent, .. }) => signal == sent.as_raw(),
            Some(Interruption::Crash { .. }) => signal == Signal::ABORT.as_raw(),
            Some(Interruption::FullDisk { .. }) | None => false,
        },
        _ => false,
    };
    if output.contains("panicked") || !explained {
        return Err(Violation::new(Kind::WrongExit, format!("{status:?}")));
    }
    Ok(())
}

/// Waits for its end, and ends it when it takes too long.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let began = Instant::now();
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if began.elapsed() > LONGEST_RUN {
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            let _ = child.wait();
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(4));
    }
}

fn move_to_cur(maildir: &Path) {
    let Ok(entries) = std::fs::read_dir(maildir.join("new")) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        std::fs::rename(entry.path(), maildir.join("cur").join(format!("{name}:2,S"))).unwrap();
    }
}

/// The library that moves popfetch's clock, compiled once; without a C compiler the clock stands still, and this is
/// printed.
fn clock_library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        // Under a name of its own first: another process may be loading it.
        let [new, library] = [format!("soak-clock-{}.so", std::process::id()), "soak-clock.so".to_owned()]
            .map(|name| folder.join(name));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/soak/clock.c");
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&new).arg(source).status();
        if !compiled.is_ok_and(|status| status.success()) {
            let required = std::env::var_os("POPFETCH_REQUIRE_SERVERS").is_some_and(|v| v == "1");
            assert!(!required, "without a C compiler (cc) the soak's clock doesn't move");
            eprintln!("SKIPPED: without a C compiler (cc) the soak's clock doesn't move");
            return None;
        }
        std::fs::rename(&new, &library).unwrap();
        Some(library)
    });
    library.as_deref()
}
