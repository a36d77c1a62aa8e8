//! A program whose standard input and output are the connection (`connect-command`).
//!
//! It runs in a process group of its own, so that nothing that it has started is left behind, and a Ctrl-C at the terminal
//! reaches only popfetch, which then ends the session in order.  What it prints on its standard error is drained all the
//! time, by a thread, so that it never waits for us; the end of it is kept for the error of a line that fails.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use super::error::{Error, plain};
use super::patience::after;
use super::poll::poll;
use super::route_problem::RouteProblem;
use super::target::{Target, server};
use crate::access;
use crate::account::ConnectCommand;
use crate::signals::Stop;
use crate::text::printable;

/// Octets of its standard error that are kept: the last ones.
const KEPT: usize = 4096;

/// How long it may take to end on its own once its input has ended, and again once it was asked to.  With ssh the rest of
/// what we sent is on its way meanwhile.
const GRACE: Duration = Duration::from_secs(2);
/// The same after a signal.
const SHORT_GRACE: Duration = Duration::from_millis(300);

/// How long to wait for the program to end once its output has ended, so that its exit status can be reported.
const MOMENT: Duration = Duration::from_millis(500);

/// How long the rest of what it printed is awaited: a process that it has left behind may hold the pipe.
const REST: Duration = Duration::from_millis(200);

/// Where the system has no descriptors for processes, they are polled at this interval.
const GLANCE: Duration = Duration::from_millis(10);

/// What shells and env(1) report of a program that can't be executed, or isn't found.
const NOT_FOUND: [i32; 2] = [126, 127];

/// Of our environment it doesn't get what belongs to this process alone (sd_notify(3), sd_listen_fds(3)).
const OURS: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// A running program.  It is ended when this is dropped; the connection must be closed before.
#[derive(Debug)]
pub(super) struct RunningProgram {
    child: std::process::Child,
    /// The program, and its process group.
    id: Option<Pid>,
    /// Readable once it has ended.
    handle: Option<OwnedFd>,
    said: Arc<Mutex<Vec<u8>>>,
    /// Ends when the pipe has.
    drained: Receiver<()>,
    /// Closed, it ends the thread that drains.
    _leash: UnixStream,
    server: String,
    stop: Stop,
}

impl RunningProgram {
    /// Starts it, with the rights of the target's owner.  The stream is its input and output.
    pub(super) fn start(
        command: &ConnectCommand,
        target: &Target<'_>,
        stop: &Stop,
    ) -> Result<(UnixStream, Self), Error> {
        let local = |source| Error::Local { action: "start connect-command", source };
        let argv = command.argv(target.host, target.port);
        let (program, arguments) = argv.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let (ours, theirs) = UnixStream::pair().map_err(local)?;
        ours.set_nonblocking(true).map_err(local)?;
        let (errors, their_errors) = io::pipe().map_err(local)?;
        let mut process = std::process::Command::new(program);
        process
            .args(arguments)
            .env("POPFETCH_HOST", target.host)
            .env("POPFETCH_PORT", target.port.to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs.try_clone().map_err(local)?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(their_errors)
            .process_group(0);
        for name in OURS {
            process.env_remove(name);
        }
        let child = access::spawn(&mut process, target.owner).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => {
                let reason = format!("cannot run {}: {}", name(command), plain(&e));
                RouteProblem::NoCommand { reason, said: Vec::new() }.into()
            }
            _ => local(e),
        })?;
        // The process holds the other ends.
        drop(process);
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let handle = id.and_then(|id| rustix::process::pidfd_open(id, PidfdFlags::empty()).ok());
        let (leash, theirs) = UnixStream::pair().map_err(local)?;
        let said = Arc::default();
        let drained = drain(errors, theirs, Arc::clone(&said)).map_err(local)?;
        let (server, stop) = (server(target), stop.clone());
        Ok((ours, Self { child, id, handle, said, drained, _leash: leash, server, stop }))
    }

    /// Why the connection has ended, where the program has failed or complained.
    pub(super) fn failure(&self) -> Option<Error> {
        if !self.ends_within(MOMENT, false) {
            return None;
        }
        let (code, signal) = self.outcome()?;
        let _ = self.drained.recv_timeout(REST);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let server = self.server.clone();
        let problem = match (code, signal) {
            (Some(code), _) if NOT_FOUND.contains(&code) => {
                RouteProblem::NoCommand { reason: format!("exit status {code}"), said }
            }
            (Some(0), _) if said.trim_ascii().is_empty() => return None,
            (Some(code), _) => {
                RouteProblem::CommandEnded { server, how: format!("exit status {code}"), said }
            }
            (None, signal) => {
                let how = format!("killed by signal {}", signal.unwrap_or(0));
                RouteProblem::CommandEnded { server, how, said }
            }
        };
        Some(problem.into())
    }

    /// Exit status, or signal, of the program, which stays unreaped, so that no other process gets its number.
    fn outcome(&self) -> Option<(Option<i32>, Option<i32>)> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(WaitId::Pid(self.id?), options).ok()??;
        Some((status.exit_status(), status.terminating_signal()))
    }

    /// Whether it ends within `limit`, which a signal cuts short if `heed_stop`.
    fn ends_within(&self, limit: Duration, heed_stop: bool) -> bool {
        let until = after(Instant::now(), limit);
        loop {
            if self.outcome().is_some() {
                return true;
            }
            if Instant::now() >= until || heed_stop && self.stop.raised() {
                return false;
            }
            let mut descriptors = Vec::with_capacity(2);
            descriptors.extend(self.handle.as_ref().map(|handle| PollFd::new(handle, PollFlags::IN)));
            if heed_stop {
                descriptors.push(PollFd::from_borrowed_fd(self.stop.descriptor(), PollFlags::IN));
            }
            let glance = after(Instant::now(), GLANCE);
            let wake = if self.handle.is_some() { until } else { until.min(glance) };
            if poll(&mut descriptors, wake).is_err() {
                return false;
            }
        }
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(id) = self.id {
            // Whoever isn't there any more needs no signal.
            let _ = rustix::process::kill_process_group(id, signal);
        }
        if signal == Signal::KILL {
            let _ = self.child.kill();
        }
    }
}

impl Drop for RunningProgram {
    /// Asks it to end, and all that it has started, then kills them.
    fn drop(&mut self) {
        let mut ended =
            self.ends_within(GRACE, true) || self.stop.raised() && self.ends_within(SHORT_GRACE, false);
        self.signal(Signal::TERM);
        if ended {
            // Others of its group may hold on to the pipe: they have been asked, too.
            let _ = self.drained.recv_timeout(REST);
        } else {
            let grace = if self.stop.raised() { SHORT_GRACE } else { GRACE };
            ended = self.ends_within(grace, false);
        }
        self.signal(Signal::KILL);
        // One that the kernel doesn't let go of stays behind as it is.
        if ended || self.ends_within(MOMENT, false) {
            let _ = self.child.wait();
        }
    }
}

fn name(command: &ConnectCommand) -> String {
    match command.program() {
        // A whole command line in the place of a program, which may hold anything.
        Some(program) if program.contains(char::is_whitespace) => {
            "its first element (a command line for the shell is a string)".to_owned()
        }
        Some(program) => printable(program.as_bytes()),
        None => "the shell".to_owned(),
    }
}

/// Reads what it prints, to the end, or until the leash is let go; what comes last is kept.
fn drain(mut errors: PipeReader, leash: UnixStream, said: Arc<Mutex<Vec<u8>>>) -> io::Result<Receiver<()>> {
    let (sender, drained) = channel();
    let work = move || {
        let _sender = sender;
        let mut buffer = [0; KEPT];
        loop {
            // Both are read only when there is something to read, so neither needs to be made non-blocking.
            let mut descriptors = [PollFd::new(&errors, PollFlags::IN), PollFd::new(&leash, PollFlags::IN)];
            let waited = rustix::event::poll(&mut descriptors, None);
            let [came, let_go] = descriptors.map(|descriptor| !descriptor.revents().is_empty());
            match waited {
                Ok(_) if came => {}
                Err(rustix::io::Errno::INTR) => continue,
                Ok(_) if !let_go => continue,
                _ => return,
            }
            match errors.read(&mut buffer) {
                Ok(read) if read > 0 => {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    said.extend_from_slice(buffer.get(..read).unwrap_or_default());
                    let excess = said.len().saturating_sub(KEPT);
                    said.drain(..excess);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
            if let_go {
                return;
            }
        }
    };
    std::thread::Builder::new().name("connect-command".to_owned()).spawn(work)?;
    Ok(drained)
}
