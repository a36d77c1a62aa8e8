//! Runs a program whose first line of output is a secret, or whose standard input is one.  A time limit or a signal ends it,
//! and every buffer that holds the secret is wiped.
//!
//! The program stays in our process group, because one that asks for a passphrase must be able to read from the terminal.
//! Delivery has another runner for its programs: they get a process group of their own, and what they print is reported.

use std::convert::Infallible;
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::access::{self, Owner};
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text::{printable, shortened};

/// How often a signal is looked for while the program runs.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// So long after its end a program's line is waited for that has no end: another program that lives on in the background may
/// hold the other end of the pipe.  Long enough for all of it to be read on a busy machine: a part would be a wrong password.
const FOR_OUTPUT: Duration = Duration::from_secs(5);

/// What a program that failed has printed gets less.
const FOR_COMPLAINT: Duration = Duration::from_millis(200);

/// Of a program's complaint this much is shown.
const COMPLAINT_CHARACTERS: usize = 200;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct ProcessEnd {
    /// The first line of its output, with its end.
    pub printed: Secret,
    /// The first line of its errors, where it failed and printed nothing: else its complaint may hold what it printed.
    pub complaint: Secret,
    pub status: ExitStatus,
}

impl ProcessEnd {
    /// That it failed, in words, with the first line of its complaint made safe: `failed with exit status 1: no key`.
    #[must_use]
    pub(crate) fn failure(&self) -> String {
        use std::os::unix::process::ExitStatusExt as _;
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("failed with exit status {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "failed".to_owned(),
        };
        let line = printable(self.complaint.expose().trim_ascii_end());
        if line.is_empty() { how } else { format!("{how}: {}", shortened(&line, COMPLAINT_CHARACTERS)) }
    }
}

/// Why it did not come to its end.
#[derive(Debug)]
pub(crate) enum NoEnd {
    /// It could not be started.
    Start(io::Error),
    /// The system has no room for another process now: typically too many run, or memory is short.
    NoRoom(io::Error),
    /// The system lost sight of it.
    Wait(io::Error),
    /// The time is over, or a signal came.
    Late,
}

impl NoEnd {
    fn at_start(error: io::Error) -> Self {
        const NO_ROOM: [Errno; 4] = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
        match Errno::from_io_error(&error) {
            Some(errno) if NO_ROOM.contains(&errno) => Self::NoRoom(error),
            _ => Self::Start(error),
        }
    }
}

/// How a program is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program<'a> {
    /// Its name and its arguments.
    pub argv: &'a [String],
    /// As which user, if not as ourselves.
    pub owner: Option<&'a Owner>,
    /// What it gets on standard input; nothing without.
    pub input: Option<&'a Secret>,
    /// How long it may take.
    pub limit: Duration,
    /// At most this many octets of its output are taken, up to the first line end.
    pub longest: usize,
}

/// Runs a program to its end, or to its limit.
///
/// # Errors
/// [`NoEnd`].
pub(crate) fn run(
    Program { argv, owner, input, limit, longest }: Program<'_>,
    stop: &Stop,
) -> Result<ProcessEnd, NoEnd> {
    let deadline = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
    let missing = || NoEnd::Start(io::Error::new(io::ErrorKind::NotFound, "no program is named"));
    let (program, arguments) = argv.split_first().ok_or_else(missing)?;
    let mut command = Command::new(program);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Reaped(access::spawn(&mut command, owner).map_err(NoEnd::at_start)?);
    if let (Some(mut stdin), Some(input)) = (child.0.stdin.take(), input.cloned()) {
        // One that doesn't read it all is judged by its exit status.
        thread::Builder::new().spawn(move || stdin.write_all(input.expose())).map_err(NoEnd::at_start)?;
    }
    let out = FirstLine::of(child.0.stdout.take(), longest).map_err(NoEnd::at_start)?;
    let errors = FirstLine::of(child.0.stderr.take(), longest).map_err(NoEnd::at_start)?;
    let status = wait(&mut child.0, deadline, stop).map_err(NoEnd::Wait)?.ok_or(NoEnd::Late)?;
    let within = |time| Instant::now().checked_add(time).unwrap_or(deadline);
    let printed = out
        .taken(within(if status.success() { FOR_OUTPUT } else { FOR_COMPLAINT }), stop)
        .ok_or(NoEnd::Late)?;
    let complaint = match !status.success() && printed.expose().is_empty() {
        true => errors.taken(within(FOR_COMPLAINT), stop),
        false => None,
    };
    let complaint = complaint.unwrap_or_else(|| Secret::new(""));
    Ok(ProcessEnd { printed, complaint, status })
}

/// Kills and reaps what still runs when we leave early; after a normal end there is nothing left to do.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Neither can fail in a way that matters: the program is gone already, or cannot be helped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line of what a program prints, with its end.
struct FirstLine {
    line: Arc<Mutex<Vec<u8>>>,
    /// Ends with the line.
    end: Receiver<Infallible>,
}

impl FirstLine {
    /// Reads in a thread of its own, which drains the rest, so that the program is never stopped by a full or a closed pipe.
    ///
    /// # Errors
    /// When the system refuses the thread.
    fn of(source: Option<impl Read + Send + 'static>, longest: usize) -> io::Result<Self> {
        let (sender, end) = channel();
        // Octet by octet, into one place: what buffers hold is left behind in memory.
        let line = Arc::new(Mutex::new(Vec::with_capacity(longest)));
        if let Some(mut source) = source {
            let line = Arc::clone(&line);
            thread::Builder::new().spawn(move || {
                let mut octet = [0];
                // What can't be read is as good as ended.
                while source.read_exact(&mut octet).is_ok() {
                    let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
                    line.extend_from_slice(&octet);
                    if octet == [b'\n'] || line.len() >= longest {
                        break;
                    }
                }
                drop((line, sender));
                let _ = io::copy(&mut source, &mut io::sink());
            })?;
        }
        Ok(Self { line, end })
    }

    /// The line, as much of it as there is at `deadline`; `None` at a signal.
    fn taken(&self, deadline: Instant, stop: &Stop) -> Option<Secret> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = self.end.recv_timeout(left.min(BETWEEN_LOOKS));
            if waited != Err(RecvTimeoutError::Timeout) || left.is_zero() {
                break;
            }
            if stop.raised() {
                return None;
            }
        }
        Some(Secret::new(std::mem::take(&mut *self.line.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}

/// Waits for the end of the program; `None` at the deadline or a signal.  It ends right after its output as a rule, so the
/// first looks follow each other quickly.
fn wait(child: &mut Child, deadline: Instant, stop: &Stop) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline || stop.raised() {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = pause.saturating_mul(2).min(BETWEEN_LOOKS);
    }
}

#[cfg(test)]
mod tests {
    use super::{NoEnd, ProcessEnd, Program, run};
    use crate::signals::Stop;
    use rustix::io::Errno;
    use std::time::{Duration, Instant};

    fn shell(script: &str) -> Result<ProcessEnd, NoEnd> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        let limit = Duration::from_secs(60);
        let program = Program { argv: &argv, owner: None, input: None, limit, longest: 100 };
        run(program, &Stop::new().unwrap())
    }

    /// A keyring's helper starts its agent, which holds the same output open.
    #[test]
    fn a_program_that_is_over_is_not_waited_for_though_another_lives_on_with_its_output() {
        let began = Instant::now();
        for (script, printed, code) in [
            ("sleep 50 & echo secret", "secret\n", 0),
            ("sleep 50 & printf secret", "secret", 0),
            ("sleep 50 & exit 3", "", 3),
            ("sleep 50 & echo no key >&2; exit 3", "", 3),
        ] {
            let ended = shell(script).unwrap();
            assert_eq!(
                (ended.printed.expose(), ended.status.code()),
                (printed.as_bytes(), Some(code)),
                "{script}"
            );
        }
        assert_eq!(shell("sleep 50 & echo no key >&2; exit 3").unwrap().complaint.expose(), b"no key\n");
        assert!(began.elapsed() < Duration::from_secs(50), "nothing waits for the other program");
    }

    #[test]
    fn a_system_without_room_for_a_process_is_not_a_program_that_is_missing() {
        for errno in [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE] {
            assert!(matches!(NoEnd::at_start(errno.into()), NoEnd::NoRoom(_)), "{errno}");
        }
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC] {
            assert!(matches!(NoEnd::at_start(errno.into()), NoEnd::Start(_)), "{errno}");
        }
    }
}
