//! A program that takes a message on standard input: run in a process group of its own, within a time limit, with what
//! it prints kept for the report.  No thread is needed: exits and output are waited for together.

use std::fs::File;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::access::{self, Owner};
use crate::signals::Stop;

/// At most this many octets of a program's output are kept.
const SAID: usize = 2048;

/// Between the polite end and the other one.
const GRACE: Duration = Duration::from_secs(5);

/// Where the system has no descriptors for processes, they are polled at this interval.
const GLANCE: Duration = Duration::from_millis(10);

/// What a program came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildOutcome {
    /// It exited with this status.
    Exited(i32),
    /// It was ended by this signal.
    Killed(i32),
    /// It was stopped at the time limit.  Its status then proves no delivery.
    TimedOut,
}

#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    group: Option<Pid>,
    /// Readable once the process has ended.
    handle: Option<OwnedFd>,
    output: Option<PipeReader>,
    said: Vec<u8>,
    deadline: Instant,
    end: ChildEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChildEnd {
    Awaited,
    Asked,
    Forced,
}

impl Child {
    /// Starts a program whose standard input is `input`, from its position on; as `owner`, if there is one, whose `input`
    /// then becomes, so that the program can open it by its name as well (`/dev/stdin`).
    pub(super) fn start(
        argv: &[String],
        environment: &[(&str, &str)],
        input: File,
        limit: Duration,
        owner: Option<&Owner>,
    ) -> io::Result<Self> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no program is named"))?;
        // What it prints must not mix with what we print.
        let (output, theirs) = io::pipe()?;
        rustix::io::ioctl_fionbio(&output, true)?;
        if let Some(owner) = owner {
            std::os::unix::fs::fchown(&input, Some(owner.uid()), None)?;
        }
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::from(input))
            .stdout(theirs.try_clone()?)
            .stderr(theirs)
            .process_group(0);
        let process = access::spawn(&mut command, owner)?;
        // The command holds the other end of the pipe.
        drop(command);
        let group = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let handle = group.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        // A limit beyond the clock's end is none.
        let now = Instant::now();
        let deadline = now.checked_add(limit).unwrap_or(now + Duration::from_secs(1 << 30));
        let output = Some(output);
        Ok(Self { process, group, handle, output, said: Vec::new(), deadline, end: ChildEnd::Awaited })
    }

    /// What it has come to; called once, for one that has ended.
    fn outcome(&mut self) -> io::Result<ChildOutcome> {
        self.listen();
        // Not reaped yet, so that the group's number cannot be another's.
        if self.end != ChildEnd::Awaited {
            self.signal(Signal::KILL);
        }
        let status = self.process.wait()?;
        Ok(match (self.end, status.code()) {
            (ChildEnd::Asked | ChildEnd::Forced, _) => ChildOutcome::TimedOut,
            (ChildEnd::Awaited, Some(code)) => ChildOutcome::Exited(code),
            (ChildEnd::Awaited, None) => ChildOutcome::Killed(status.signal().unwrap_or(0)),
        })
    }

    /// What it has printed, unescaped.
    pub(super) fn said(&self) -> &[u8] {
        &self.said
    }

    /// Reads what is there to be read, and keeps its beginning.
    fn listen(&mut self) {
        let Some(output) = &mut self.output else { return };
        let mut buffer = [0; 4096];
        loop {
            match output.read(&mut buffer) {
                Ok(read) if read > 0 => {
                    let room = SAID.saturating_sub(self.said.len()).min(read);
                    self.said.extend_from_slice(buffer.get(..room).unwrap_or_default());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                // The end, or an error after which nothing more will come.
                _ => {
                    self.output = None;
                    return;
                }
            }
        }
    }

    /// A signal has come: it gets no more time than [`GRACE`].
    fn end_soon(&mut self, now: Instant) {
        if self.end == ChildEnd::Awaited {
            self.deadline = self.deadline.min(now + GRACE);
        }
    }

    /// At the time limit: asks, then forces.
    fn hurry(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        self.signal(if self.end == ChildEnd::Awaited { Signal::TERM } else { Signal::KILL });
        self.end = if self.end == ChildEnd::Awaited { ChildEnd::Asked } else { ChildEnd::Forced };
        self.deadline = now + GRACE;
    }

    fn signal(&mut self, signal: Signal) {
        let Some(pid) = self.group else { return };
        // It may have left its group, or have ended: then there's nothing to kill.
        let _ = rustix::process::kill_process_group(pid, signal);
        if signal == Signal::KILL {
            let _ = self.process.kill();
        }
    }

    fn has_ended(&mut self, woken: bool) -> bool {
        match self.handle {
            Some(_) => woken,
            // An error means that there's no such process any more.
            None => self.process.try_wait().map_or(true, |status| status.is_some()),
        }
    }
}

/// What a stop signal means for programs that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtStop {
    /// They get all the time that they have.
    Await,
    /// They get no more than [`GRACE`].
    EndSoon,
}

/// Waits until one of them has ended: which, and what it came to.  That `stop` is raised is seen at once.
///
/// # Errors
/// When the system cannot wait.  `None` for nobody to wait for.
pub(super) fn wait_for_one(
    children: &mut [&mut Child],
    stop: &Stop,
    at_stop: AtStop,
) -> io::Result<Option<(usize, ChildOutcome)>> {
    while !children.is_empty() {
        let now = Instant::now();
        let mut timeout = Duration::MAX;
        let raised = stop.raised();
        if raised && at_stop == AtStop::EndSoon {
            children.iter_mut().for_each(|child| child.end_soon(now));
        }
        let mut descriptors = Vec::with_capacity(children.len() * 2);
        for child in children.iter() {
            timeout = timeout.min(child.deadline.saturating_duration_since(now));
            match &child.handle {
                Some(handle) => descriptors.push(PollFd::new(handle, PollFlags::IN)),
                None => timeout = timeout.min(GLANCE),
            }
        }
        let handles = descriptors.len();
        for output in children.iter().filter_map(|child| child.output.as_ref()) {
            descriptors.push(PollFd::new(output, PollFlags::IN));
        }
        if !raised {
            descriptors.push(PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN));
        }
        match rustix::event::poll(&mut descriptors, Timespec::try_from(timeout).ok().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let woken: Vec<bool> = descriptors.iter().take(handles).map(|d| !d.revents().is_empty()).collect();
        drop(descriptors);
        let mut woken = woken.into_iter();
        for (index, child) in children.iter_mut().enumerate() {
            child.listen();
            let woken = child.handle.is_some() && woken.next().unwrap_or(false);
            if child.has_ended(woken) {
                return Ok(Some((index, child.outcome()?)));
            }
            child.hurry(Instant::now());
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{AtStop, Child, ChildEnd, ChildOutcome, GRACE, SAID};
    use crate::access::{Owner, is_root};
    use crate::signals::Stop;
    use rustix::event::{PollFd, PollFlags, Timespec};
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::unix::fs::MetadataExt as _;
    use std::time::{Duration, Instant};

    /// No signal comes.
    fn wait(child: &mut Child) -> Option<(usize, ChildOutcome)> {
        super::wait_for_one(&mut [child], &Stop::new().unwrap(), AtStop::EndSoon).unwrap()
    }

    fn run(line: &str, limit: Duration, handle: bool) -> (ChildOutcome, Vec<u8>) {
        let mut input = tempfile::tempfile().unwrap();
        input.write_all(&vec![b'x'; 200_000]).unwrap();
        input.rewind().unwrap();
        let argv = ["sh", "-c", line].map(str::to_owned);
        let mut child = Child::start(&argv, &[("WHO", "me")], input, limit, None).unwrap();
        if !handle {
            child.handle = None;
        }
        let outcome = wait(&mut child).unwrap().1;
        (outcome, child.said)
    }

    #[test]
    fn programs_end_in_many_ways() {
        let long = Duration::from_secs(60);
        let short = Duration::from_millis(50);
        let cases: [(&str, Duration, ChildOutcome, &str); 9] = [
            ("wc -c", long, ChildOutcome::Exited(0), "200000\n"),
            ("exit 75", long, ChildOutcome::Exited(75), ""),
            ("echo out; echo $WHO >&2; exit 1", long, ChildOutcome::Exited(1), "out\nme\n"),
            ("kill -9 $$", long, ChildOutcome::Killed(9), ""),
            ("exec 0<&-; exit 0", long, ChildOutcome::Exited(0), ""),
            ("exec sleep 60", short, ChildOutcome::TimedOut, ""),
            ("trap 'exit 0' TERM; while :; do sleep 0.01; done", short, ChildOutcome::TimedOut, "?"),
            ("sleep 60 & exit 3", long, ChildOutcome::Exited(3), ""),
            ("head -c 1000000 /dev/zero; echo >&2; exit 4", long, ChildOutcome::Exited(4), "*"),
        ];
        for (line, limit, expected, said) in cases {
            for handle in [true, false] {
                let (outcome, output) = run(line, limit, handle);
                assert_eq!(outcome, expected, "{line}");
                match said {
                    "?" => {}
                    "*" => assert_eq!(output.len(), SAID),
                    _ => assert_eq!(String::from_utf8(output).unwrap().trim_start(), said, "{line}"),
                }
            }
        }
    }

    #[test]
    fn the_whole_group_ends_at_the_time_limit() {
        // The grandchild holds the pipe; when it's gone, nobody does.
        let (ours, theirs) = std::io::pipe().unwrap();
        let argv = ["sh", "-c", "sleep 60 & sleep 60; :"].map(str::to_owned);
        let input = File::from(std::os::fd::OwnedFd::from(theirs));
        let mut child = Child::start(&argv, &[], input, Duration::from_millis(50), None).unwrap();
        assert_eq!(wait(&mut child), Some((0, ChildOutcome::TimedOut)));
        drop(child);
        assert_eq!(std::io::read_to_string(ours).unwrap(), "");
    }

    fn started(line: &str, input: File) -> Child {
        let argv = ["sh", "-c", line].map(str::to_owned);
        Child::start(&argv, &[], input, Duration::from_secs(600), None).unwrap()
    }

    /// Whether something can be read, or will never be; waited for up to ten seconds.
    fn is_ready(file: &impl std::os::fd::AsFd) -> bool {
        let ten = Timespec { tv_sec: 10, tv_nsec: 0 };
        rustix::event::poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&ten)).unwrap() > 0
    }

    /// Politely first, so that it can undo what it has begun; what it leaves behind goes with it.
    #[test]
    fn a_program_is_asked_to_end_and_then_forced() {
        let (ours, theirs) = std::io::pipe().unwrap();
        let input = File::from(std::os::fd::OwnedFd::from(theirs));
        // A shell takes standard input away from what it runs in the background, but for a copy.
        let line = "exec 3<&0; trap 'echo asked' TERM; (trap '' TERM; exec sleep 600) & echo begun; \
                    while :; do wait; done";
        let mut child = started(line, input);
        let hear = |child: &mut Child, word: &str| {
            while !String::from_utf8_lossy(&child.said).contains(word) {
                assert!(is_ready(child.output.as_ref().unwrap()), "{word}");
                child.listen();
            }
        };
        hear(&mut child, "begun");
        let now = Instant::now();
        child.end_soon(now);
        assert_eq!((child.deadline, child.end), (now + GRACE, ChildEnd::Awaited));
        child.hurry((now + GRACE).checked_sub(Duration::from_nanos(1)).unwrap());
        assert_eq!(child.end, ChildEnd::Awaited);
        child.hurry(now + GRACE);
        assert_eq!((child.deadline, child.end), (now + GRACE * 2, ChildEnd::Asked));
        hear(&mut child, "asked");
        child.end_soon(now);
        assert_eq!(child.deadline, now + GRACE * 2, "it has had its time");
        child.hurry(now + GRACE * 2);
        assert_eq!(child.end, ChildEnd::Forced);
        assert_eq!(wait(&mut child), Some((0, ChildOutcome::TimedOut)));
        drop(child);
        assert!(is_ready(&ours), "the other one, which had taken no notice, is gone too");
    }

    /// A program's status after its time limit proves nothing, nor does what it has left running live on.
    #[test]
    fn what_ends_when_it_is_asked_takes_the_rest_of_its_group_with_it() {
        let (ours, theirs) = std::io::pipe().unwrap();
        let input = File::from(std::os::fd::OwnedFd::from(theirs));
        let mut child =
            started("exec 3<&0; (trap '' TERM; echo begun; exec sleep 600) & exec sleep 600", input);
        while child.said.is_empty() {
            assert!(is_ready(child.output.as_ref().unwrap()));
            child.listen();
        }
        child.deadline = Instant::now();
        assert_eq!(wait(&mut child), Some((0, ChildOutcome::TimedOut)));
        drop(child);
        assert!(is_ready(&ours));
    }

    /// Some programs leave something running on purpose.
    #[test]
    fn what_a_program_that_ends_in_time_leaves_running_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let fifo = home.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let mut answers = File::options().read(true).write(true).open(&fifo).unwrap();
        let (theirs, mut ours) = std::io::pipe().unwrap();
        let line = format!("exec 3<&0; {{ read x <&3; echo $x >{}; }} & exit 3", fifo.display());
        let mut child = started(&line, File::from(std::os::fd::OwnedFd::from(theirs)));
        assert_eq!(wait(&mut child), Some((0, ChildOutcome::Exited(3))));
        drop(child);
        ours.write_all(b"alive\n").unwrap();
        let mut answer = [0; 6];
        assert!(is_ready(&answers));
        answers.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"alive\n");
    }

    /// Only a signal cuts its time short.
    #[test]
    fn a_signal_leaves_a_program_a_few_seconds() {
        for (at_stop, raised) in [(AtStop::Await, true), (AtStop::EndSoon, false), (AtStop::EndSoon, true)] {
            let stop = Stop::new().unwrap();
            if raised {
                stop.raise();
            }
            let mut child = started("exit 0", tempfile::tempfile().unwrap());
            let limit = child.deadline;
            super::wait_for_one(&mut [&mut child], &stop, at_stop).unwrap();
            assert_eq!(child.deadline < limit, raised && at_stop == AtStop::EndSoon);
        }
    }

    /// It isn't noticed only when the program ends, or its time is up.
    #[test]
    fn a_signal_is_heard_while_a_program_runs() {
        let (theirs, mut ours) = std::io::pipe().unwrap();
        let stop = Stop::new().unwrap();
        let mut child = started("read x", File::from(std::os::fd::OwnedFd::from(theirs)));
        let limit = child.deadline;
        // The end of its output would wake us before its own does.
        child.output = None;
        std::thread::scope(|threads| {
            let _ = threads.spawn(|| {
                // When it is being waited for.
                std::thread::sleep(Duration::from_millis(300));
                stop.raise();
                std::thread::sleep(Duration::from_secs(1));
                ours.write_all(b"end\n").unwrap();
            });
            let ended = super::wait_for_one(&mut [&mut child], &stop, AtStop::EndSoon).unwrap();
            assert_eq!(ended, Some((0, ChildOutcome::Exited(0))));
        });
        assert!(child.deadline < limit);
    }

    /// `/dev/stdin` can be opened only by its owner.
    #[test]
    fn what_a_users_program_reads_is_the_users() {
        let Some(nobody) = Owner::find("nobody", &[].into()).ok().flatten().filter(|_| is_root()) else {
            return;
        };
        let mut input = tempfile::tempfile().unwrap();
        input.write_all(b"x").unwrap();
        input.rewind().unwrap();
        let argv = ["/bin/sh", "-c", "cat /dev/stdin"].map(str::to_owned);
        let theirs = input.try_clone().unwrap();
        let mut child = Child::start(&argv, &[], theirs, Duration::from_secs(60), Some(&nobody)).unwrap();
        let ended = wait(&mut child);
        assert_eq!((ended, child.said()), (Some((0, ChildOutcome::Exited(0))), b"x".as_slice()));
        assert_eq!(input.metadata().unwrap().uid(), nobody.uid());
    }
}
