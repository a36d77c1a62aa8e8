//! What signals ask of popfetch.  Today that is to stop: [`Stop`] is a flag that SIGINT, SIGTERM or SIGHUP raises, and that
//! the rest of the program checks between steps.  A signal to reload or to poll now would be a flag beside it.
//!
//! The first signal raises the flag and wakes every thread that waits on [`Stop::descriptor`]; the second one kills the
//! process at once, by the signal's own default action; but for SIGHUP, which comes twice where a terminal is closed, from
//! the kernel and from the shell.  Process 1 has no default action: it exits with the code that a shell would show.
//!
//! A SIGHUP that is ignored stays so: `nohup` asks for that.  Other inherited settings are corrected here: a blocked signal would never arrive, and where SIGCHLD is ignored (some
//! supervisors do that) the exit status of a program is lost.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::low_level;

/// Shared by every thread of a run; clones see the same flag.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raised: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    /// When the flag was first seen up.
    seen: OnceLock<Instant>,
    // A byte arrives here with each signal and is never read, so that every sleeper wakes, and stays awake.
    wake: UnixStream,
    _keep: UnixStream,
}

impl Stop {
    /// A flag that no signal raises (tests, and library use); see [`Stop::raise`].
    ///
    /// # Errors
    /// When no socket pair can be created, usually for lack of descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let (keep, wake) = UnixStream::pair()?;
        Ok(Self(Arc::new(Inner {
            raised: Arc::new(AtomicBool::new(false)),
            signal: Arc::new(AtomicUsize::new(0)),
            seen: OnceLock::new(),
            wake,
            _keep: keep,
        })))
    }

    /// A flag that the first signal raises; a second SIGINT or SIGTERM ends the process.  SIGXFSZ no longer has an effect.
    ///
    /// # Errors
    /// When no handler can be installed.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let stop = Self::new()?;
        stop.register(true)?;
        // With a handler it isn't ignored any more, and what we execute begins with the default.
        signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
        // A limit on the size of files is an error of the write that meets it, and must not kill.  A handler, and not
        // ignored, because what we execute would inherit that.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        // Last: what has waited comes now, and finds its handler.  Threads inherit the mask, programs get an empty one.
        let heeded = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD, Signal::SIGXFSZ];
        heeded.into_iter().collect::<SigSet>().thread_unblock()?;
        Ok(stop)
    }

    /// A flag that a signal raises, and no number of them ends the process: for as long as another program has the
    /// terminal, where Ctrl-C means something to that program (system(3) ignores it meanwhile).
    ///
    /// # Errors
    /// When no handler can be installed.
    pub(crate) fn beside_a_program() -> io::Result<Self> {
        let stop = Self::new()?;
        stop.register(false)?;
        Ok(stop)
    }

    /// Lets SIGINT, SIGTERM and SIGHUP raise the flag; once it is up, the next SIGINT or SIGTERM kills if `kills`.
    fn register(&self, kills: bool) -> io::Result<()> {
        let is_first_process = is_first_process();
        let hangup = (!ignores_hangup()).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            // The order of registration is the order of execution: this kills only when the flag was up before.
            let raised = Arc::clone(&self.0.raised);
            match (kills && signal != SIGHUP, is_first_process) {
                (false, _) => {}
                (true, true) => {
                    _ = signal_hook::flag::register_conditional_shutdown(
                        signal,
                        shown_by_shells(signal),
                        raised,
                    )?
                }
                (true, false) => _ = signal_hook::flag::register_conditional_default(signal, raised)?,
            }
            signal_hook::flag::register(signal, Arc::clone(&self.0.raised))?;
            let number = usize::try_from(signal).unwrap_or(0);
            signal_hook::flag::register_usize(signal, Arc::clone(&self.0.signal), number)?;
            low_level::pipe::register(signal, self.0._keep.try_clone()?)?;
        }
        Ok(())
    }

    /// Whether a signal has come.
    #[must_use]
    pub(crate) fn raised(&self) -> bool {
        self.raised_for().is_some()
    }

    /// How long ago a signal came.  The time begins when the flag is first looked at, which a thread that waits does at once.
    #[must_use]
    pub(crate) fn raised_for(&self) -> Option<Duration> {
        let raised = self.0.raised.load(Ordering::SeqCst);
        raised.then(|| self.0.seen.get_or_init(Instant::now).elapsed())
    }

    /// The signal that came, to die by it at the end.
    #[must_use]
    pub(crate) fn signal(&self) -> Option<i32> {
        match self.0.signal.load(Ordering::SeqCst) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }

    /// Ends the process by the signal that came, so that the parent can see why it ended.  Returns if none came.
    pub(crate) fn die(&self) {
        if let Some(signal) = self.signal() {
            if is_first_process() {
                // The kernel gives it no default action: raising the signal would do nothing.
                low_level::exit(shown_by_shells(signal));
            }
            // Only fails for signals that cannot be caught, and those don't come here.
            let _ = low_level::emulate_default_handler(signal);
        }
    }

    /// Waits for `time`, or for a signal: whether one has come.
    #[must_use]
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let until = Instant::now().checked_add(time);
        loop {
            let left = until.map_or(time, |until| until.saturating_duration_since(Instant::now()));
            if self.raised() || left.is_zero() {
                return self.raised();
            }
            let limit = Timespec::try_from(left).ok();
            // Interrupted or not: the flag decides.
            let _ = rustix::event::poll(&mut [PollFd::new(&self.0.wake, PollFlags::IN)], limit.as_ref());
        }
    }

    /// Waits, without an end of its own, until there is something to read from `input`.  `false` where a signal came first.
    #[must_use]
    pub(crate) fn wait_for(&self, input: BorrowedFd<'_>) -> bool {
        while !self.raised() {
            let mut sources =
                [PollFd::new(&self.0.wake, PollFlags::IN), PollFd::from_borrowed_fd(input, PollFlags::IN)];
            let woken = rustix::event::poll(&mut sources, None);
            let [_, input] = &sources;
            match woken {
                // That nothing more can come is read as well.
                Ok(_) if !input.revents().is_empty() => return !self.raised(),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Raises the flag without a signal.
    #[cfg(test)]
    pub(crate) fn raise(&self) {
        use std::io::Write;
        self.0.raised.store(true, Ordering::SeqCst);
        // A full socket already wakes everybody: nothing is lost if this fails.
        let _ = (&self.0._keep).write(&[1]);
    }

    /// Readable from the first signal on: for `poll(2)` beside a socket.
    #[must_use]
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }
}

/// Whether SIGHUP is ignored, as by `nohup`: where that can't be seen, it isn't.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // The lowest bit is signal 1.
    ignored & 1 == 1
}

/// Whether this is process 1 of its namespace, as in a container: signals have no default action there.
fn is_first_process() -> bool {
    std::process::id() == 1
}

/// The exit code by which shells and container engines show that a signal ended a process.
fn shown_by_shells(signal: i32) -> i32 {
    signal.saturating_add(128)
}
