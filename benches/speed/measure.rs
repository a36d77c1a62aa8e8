//! Runs a program and measures what it took: time, memory, system calls, instructions.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};
use rustix::process::{Pid, Signal, kill_process};

/// What a run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    pub seconds: f64,
    /// The largest of its processes' resident sets.
    pub rss_kib: u64,
    /// Time of the processor in the program itself, and for it in the kernel.
    pub user: f64,
    pub system: f64,
}

/// The first argument with which this program calls itself to measure another one, from a process that is so small that
/// a child's memory isn't its own (a child begins with its parent's).
pub const HELPER: &str = "--measured";

/// What a program may take: it's stopped when it's not done by then, so that one that hangs spoils its own line only.
const TIME: Duration = Duration::from_secs(300);
/// Address space, in octets: the machine belongs to the others too.
const SPACE: u64 = 4 << 30;

/// `RESULT WORD…`
pub fn helper(mut args: impl Iterator<Item = OsString>) -> std::io::Result<()> {
    let result = PathBuf::from(args.next().unwrap());
    let mut command = Command::new(args.next().unwrap());
    command.args(args).stdin(Stdio::null());
    setrlimit(Resource::RLIMIT_AS, SPACE, SPACE)?;
    let began = Instant::now();
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    let (ended, end) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if end.recv_timeout(TIME) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("stopped after {TIME:?}");
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let status = child.wait()?;
    let seconds = began.elapsed().as_secs_f64();
    drop(ended);
    watch.join().unwrap();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = |value: nix::sys::time::TimeVal| value.tv_sec() as f64 + value.tv_usec() as f64 / 1e6;
    let [user, system] = [time(usage.user_time()), time(usage.system_time())];
    // A signal is no code.
    let code = status.code().unwrap_or(-1);
    std::fs::write(result, format!("{seconds} {} {user} {system} {code}", usage.max_rss()))
}

/// A program with its arguments, and the home it runs in.
pub struct Invocation {
    pub words: Vec<OsString>,
    pub home: PathBuf,
    /// The exit code, besides 0, that means that there was nothing to do.
    pub idle: i32,
    pub environment: Vec<(&'static str, OsString)>,
}

impl Invocation {
    fn command(&self, before: Vec<OsString>) -> Command {
        let mut words = before.into_iter().chain(self.words.iter().cloned());
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env_clear().current_dir(&self.home).env("HOME", &self.home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, folder) in [("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state")] {
            command.env(name, self.home.join(folder));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = File::create(self.home.join("output")).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        command
    }

    /// Of what it printed, the last line that speaks of an error, or else the last one.
    fn output(&self) -> String {
        let output = std::fs::read(self.home.join("output")).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let mut lines = output.lines().rev();
        let error = lines.clone().find(|line| line.contains("rror") || line.contains("stopped"));
        error.or(lines.next()).unwrap_or("and printed nothing").trim().to_owned()
    }

    /// Runs it; an error is what it printed.
    pub fn measure(&self) -> Result<Measured, String> {
        let result = self.home.join("measured");
        let _ = std::fs::remove_file(&result);
        let this = std::env::current_exe().unwrap();
        let mut command = self.command(vec![this.into(), HELPER.into(), result.clone().into()]);
        command.status().map_err(|e| e.to_string())?;
        let text = std::fs::read_to_string(&result).map_err(|_| self.output())?;
        let mut words = text.split(' ');
        let mut number = || words.next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(f64::NAN);
        let (seconds, rss, user, system) = (number(), number(), number(), number());
        let code = number();
        if code != 0.0 && code != f64::from(self.idle) {
            return Err(self.output());
        }
        Ok(Measured { seconds, rss_kib: rss as u64, user, system })
    }

    /// Runs it under strace: system calls in all, those that bring something to the disk, and which are most frequent.
    pub fn system_calls(&self) -> Result<(u64, u64, String), String> {
        let trace = self.home.join("trace");
        let mut words: Vec<OsString> = ["strace", "-f", "-c", "-o"].map(OsString::from).into();
        words.push(trace.clone().into());
        let status = self.command(words).status().map_err(|e| format!("strace: {e}"))?;
        if !status.success() {
            return Err(self.output());
        }
        let (mut all, mut syncs) = (0, 0);
        let mut most: Vec<(u64, String)> = Vec::new();
        for line in std::fs::read_to_string(trace).unwrap().lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(calls), Some(name)) =
                (fields.get(3).and_then(|f| f.parse::<u64>().ok()), fields.last())
            else {
                continue;
            };
            if *name != "total" {
                all += calls;
                most.push((calls, (*name).to_owned()));
                if name.contains("sync") {
                    syncs += calls;
                }
            }
        }
        most.sort_unstable_by(|a, b| b.cmp(a));
        let most: Vec<String> = most.iter().take(8).map(|(calls, name)| format!("{name} {calls}")).collect();
        Ok((all, syncs, most.join(", ")))
    }

    /// Runs it under callgrind: instructions in user space.
    pub fn instructions(&self) -> Result<u64, String> {
        let out = self.home.join("callgrind");
        let words = ["valgrind", "--tool=callgrind"].map(OsString::from).into_iter();
        let file = format!("--callgrind-out-file={}", out.display()).into();
        let status =
            self.command(words.chain([file]).collect()).status().map_err(|e| format!("valgrind: {e}"))?;
        if !status.success() {
            return Err(self.output());
        }
        let text = std::fs::read_to_string(&out).map_err(|e| e.to_string())?;
        let total =
            text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
        total
            .and_then(|total| total.trim().parse().ok())
            .ok_or_else(|| "no total in callgrind's output".to_owned())
    }
}

/// Lets what other runs have written reach the disk first.
pub fn settle(folder: &Path) {
    let _ = rustix::fs::syncfs(File::open(folder).unwrap());
}
