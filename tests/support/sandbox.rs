//! An empty home and the real popfetch in it, with no environment but `PATH`, `HOME` and the XDG folders.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{schema, show};

/// A folder with a home in it, gone when this is dropped.
pub struct Sandbox {
    folder: tempfile::TempDir,
    program: Vec<OsString>,
}

impl Sandbox {
    pub fn new() -> Self {
        let program = match option_env!("CARGO_BIN_EXE_popfetch") {
            Some(path) => PathBuf::from(path),
            // An example stands in target/PROFILE/examples, the binary one folder up.
            None => std::env::current_exe().unwrap().parent().unwrap().join("../popfetch"),
        };
        Self::of(vec![program.into()])
    }

    /// As [`Sandbox::new`], but in a file system in memory, if this machine has one: there a sync costs nothing.  For
    /// tests that run popfetch hundreds of times.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let mut sandbox = Self::new();
        if let Ok(folder) = tempfile::Builder::new().prefix("popfetch-").tempdir_in(memory) {
            std::fs::create_dir(folder.path().join("home")).unwrap();
            sandbox.folder = folder;
        }
        sandbox
    }

    /// A sandbox that runs `program`, a path and perhaps first arguments, in popfetch's place.
    pub fn of(program: Vec<OsString>) -> Self {
        let folder = tempfile::Builder::new().prefix("popfetch-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        Self { folder, program }
    }

    /// Keeps the folder when this is dropped, and returns where it is.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// The program that is run.
    pub fn program(&self) -> PathBuf {
        PathBuf::from(&self.program[0])
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A path in the home folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.home().join(name)
    }

    /// Where popfetch keeps its ledgers.
    pub fn state(&self) -> PathBuf {
        self.path(".local/state/popfetch")
    }

    /// Writes a file that only its owner can read into the home folder, and its folders.
    pub fn write(&self, name: impl AsRef<Path>, octets: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        file.write_all(octets.as_ref()).unwrap();
        path
    }

    /// Writes an executable shell script into the home folder.
    pub fn script(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.write(name, format!("#!/bin/sh\n{text}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// Writes the configuration file that popfetch reads by default.
    pub fn config(&self, toml: impl AsRef<[u8]>) -> PathBuf {
        self.write(".config/popfetch/config.toml", toml)
    }

    /// Every file in the sandbox, by its path below the home folder, with its octets: two of these compared show
    /// whether anything changed.  A folder has a `/` at its end and no octets.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(&self.home())
    }

    /// The files, by path, whose octets or name contain `needle`.
    pub fn files_with(&self, needle: impl AsRef<[u8]>) -> Vec<PathBuf> {
        let needle = needle.as_ref();
        let holds = |octets: &[u8]| octets.windows(needle.len()).any(|window| window == needle);
        let mut found = self.files();
        found.retain(|path, octets| holds(octets) || holds(path.as_os_str().as_encoded_bytes()));
        found.into_keys().collect()
    }

    /// popfetch with these arguments, to be run.
    pub fn popfetch<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Invocation<'_> {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        Invocation {
            sandbox: self,
            words: self.program.iter().cloned().chain(args).collect(),
            env: Vec::new(),
            stdin: Vec::new(),
            limit: Duration::from_secs(60),
        }
    }

    /// Runs popfetch with these arguments.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        self.popfetch(args).run()
    }

    pub fn steps_file(&self) -> PathBuf {
        self.folder.path().join("steps")
    }
}

/// As [`Sandbox::files`], of any folder.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if path.is_dir() && !path.is_symlink() {
                found.insert(name.join(""), Vec::new());
                folders.push(path);
            } else {
                found.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

/// A run of popfetch, not yet begun.
pub struct Invocation<'s> {
    sandbox: &'s Sandbox,
    words: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    limit: Duration,
}

impl Invocation<'_> {
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn stdin(mut self, octets: impl Into<Vec<u8>>) -> Self {
        self.stdin = octets.into();
        self
    }

    /// How long it may take (a minute by default): then it's killed, and the test fails.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it by another program, for example `["strace", "-f", "-o", "trace"]`.
    pub fn under<A: AsRef<OsStr>>(mut self, program: impl IntoIterator<Item = A>) -> Self {
        self.words.splice(0..0, program.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Aborts at the durable step `step` (from 1).  Like the next three, it needs the feature `crash-points`.
    pub fn crash_at(self, step: u64) -> Self {
        self.env("POPFETCH_CRASH_AT", step.to_string())
    }

    /// Makes the durable step `step` fail with `errno`, e.g. `ENOSPC`.
    pub fn fail_at(self, step: u64, errno: &str) -> Self {
        self.env("POPFETCH_FAIL_AT", format!("{step}:{errno}"))
    }

    /// Makes every durable step from `step` on fail with `errno`.
    pub fn fail_from(self, step: u64, errno: &str) -> Self {
        self.env("POPFETCH_FAIL_FROM", format!("{step}:{errno}"))
    }

    /// Records the durable steps, to be read in [`Run::steps`].
    pub fn record_steps(self) -> Self {
        let file = self.sandbox.steps_file();
        let _ = std::fs::remove_file(&file);
        self.env("POPFETCH_STEPS", file)
    }

    /// Runs to the end.
    #[track_caller]
    pub fn run(self) -> Run {
        self.start().finish()
    }

    /// Begins to run; the test goes on.
    #[track_caller]
    pub fn start(self) -> Running {
        let home = self.sandbox.home();
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).env_clear().current_dir(&home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &home);
        for (name, folder) in [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_CACHE_HOME", ".cache"),
        ] {
            command.env(name, home.join(folder));
        }
        command.envs(self.env.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that what it started can be ended with it.
        command.process_group(0);
        let shown: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        let is_json = shown.iter().skip(self.sandbox.program.len()).any(|word| word == "--json");
        let shown = shown.join(" ");
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {shown}: {e}"));
        let mut stdin = child.stdin.take().unwrap();
        let octets = self.stdin;
        // It may end without reading: then writing fails, and that's its right.
        thread::spawn(move || stdin.write_all(&octets).and_then(|()| stdin.flush()).ok());
        let (stdout, stderr) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        let steps = self.sandbox.steps_file();
        Running {
            child,
            stdout,
            stderr,
            shown,
            is_json,
            home,
            steps,
            began: Instant::now(),
            limit: self.limit,
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = from.read_to_end(&mut octets);
        let _ = sender.send(octets);
    });
    receiver
}

/// popfetch at work.  Killed when dropped.
pub struct Running {
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    shown: String,
    is_json: bool,
    home: PathBuf,
    steps: PathBuf,
    began: Instant,
    limit: Duration,
}

impl Running {
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Run {
        let mut pause = Duration::from_micros(500);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break Some(status);
            }
            if self.began.elapsed() > self.limit {
                self.kill();
                break None;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(8));
        };
        let elapsed = self.began.elapsed();
        // What it started may hold the pipes open.
        let output =
            |from: &Receiver<Vec<u8>>| from.recv_timeout(Duration::from_secs(10)).unwrap_or_default();
        let (stdout, stderr) = (output(&self.stdout), output(&self.stderr));
        let run = Run {
            command: self.shown.clone(),
            home: self.home.clone(),
            status: status.unwrap_or(ExitStatus::from_raw(9)),
            stdout,
            stderr,
            elapsed,
            steps: std::fs::read_to_string(&self.steps)
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect(),
        };
        if self.is_json {
            schema::check(&run.stdout);
        }
        assert!(status.is_some(), "still running after {:?}\n{}", self.limit, run.shown());
        run
    }

    fn kill(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_alive() {
            self.kill();
        }
    }
}

/// How popfetch ended, and all that it printed.
pub struct Run {
    pub command: String,
    pub home: PathBuf,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub elapsed: Duration,
    /// A line `N step path` for each durable step, if they were recorded.
    pub steps: Vec<String>,
}

impl Run {
    /// The exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert!(self.code() == Some(code), "expected exit code {code}\n{}", self.shown());
        self
    }

    /// Asserts exit code 0.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        self.exits(0)
    }

    /// Asserts that it was ended by this signal.
    #[track_caller]
    pub fn dies_by(&self, signal: Signal) -> &Self {
        assert!(self.status.signal() == Some(signal.as_raw()), "expected {signal:?}\n{}", self.shown());
        self
    }

    /// Whether a crash point was reached: then it aborted.
    pub fn crashed(&self) -> bool {
        self.status.signal() == Some(Signal::ABORT.as_raw())
    }

    /// Asserts that nothing was printed at all.
    #[track_caller]
    pub fn is_silent(&self) -> &Self {
        assert!(self.stdout.is_empty() && self.stderr.is_empty(), "expected silence\n{}", self.shown());
        self
    }

    /// Asserts that standard output holds `text`.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.out().contains(text), "expected {text:?} on stdout\n{}", self.shown());
        self
    }

    /// Asserts that standard error holds `text`.
    #[track_caller]
    pub fn complains(&self, text: &str) -> &Self {
        assert!(self.err().contains(text), "expected {text:?} on stderr\n{}", self.shown());
        self
    }

    /// Asserts that `octets` were printed nowhere: a secret, or a raw control character.
    #[track_caller]
    pub fn never_says(&self, octets: impl AsRef<[u8]>) -> &Self {
        let octets = octets.as_ref();
        for output in [&self.stdout, &self.stderr] {
            let said = output.windows(octets.len()).any(|window| window == octets);
            assert!(!said, "expected {:?} nowhere\n{}", show(octets), self.shown());
        }
        self
    }

    /// Everything, for a failure's message.
    pub fn shown(&self) -> String {
        let Self { command, status, elapsed, .. } = self;
        let (stdout, stderr) = (show(&self.stdout), show(&self.stderr));
        format!("$ {command}\n({status}, {elapsed:.1?})\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
    }
}

#[cfg(test)]
mod tests {
    use super::Sandbox;
    use rustix::process::Signal;
    use std::time::Duration;

    fn shell() -> Sandbox {
        Sandbox::of(["/bin/sh", "-c"].map(Into::into).to_vec())
    }

    #[test]
    fn nothing_is_inherited() {
        let sandbox = shell();
        let run = sandbox.popfetch(["env; cat; echo x >&2; exit 7"]).env("MORE", "1").stdin("in").run();
        run.exits(7).says("MORE=1").says("in").complains("x").never_says("CARGO");
        run.says(&format!("HOME={}\n", sandbox.home().display()));
    }

    #[test]
    #[should_panic(expected = "still running")]
    fn a_run_without_end_is_ended() {
        shell().popfetch(["sleep 60 & wait"]).limit(Duration::from_millis(50)).run();
    }

    #[test]
    fn files_are_seen() {
        let sandbox = shell();
        sandbox.write("a/b", "the secret is out");
        let before = sandbox.files();
        assert_eq!(sandbox.files_with("secret"), [std::path::Path::new("a/b")]);
        sandbox.run(["mkdir c; kill -TERM $$"]).dies_by(Signal::TERM);
        assert_ne!(before, sandbox.files());
    }
}
