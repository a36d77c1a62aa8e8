//! Programs that are run beside deliveries, such as hooks: as those that messages are handed to, but that what they come to
//! is nobody's proof, and that a signal cuts their time short.

use std::fs::File;
use std::io;
use std::time::Duration;

use super::child::{AtStop, Child, ChildOutcome, wait_for_one};
use crate::access::Owner;
use crate::signals::Stop;

/// A program to be run.
#[derive(Debug)]
pub(crate) struct HookProgram<'a> {
    /// Executed as it stands.
    pub argv: &'a [String],
    /// Besides what is inherited.
    pub environment: &'a [(&'a str, &'a str)],
    /// Its standard input, from its position on; it becomes the owner's, if there is one.
    pub input: File,
    /// It is stopped when it takes longer.
    pub limit: Duration,
    /// As whom it runs, if not as ourselves.
    pub owner: Option<&'a Owner>,
}

#[derive(Debug)]
pub(crate) struct ProgramEnd {
    /// How it failed, if it did: `exited with 1`.
    pub failure: Option<String>,
    /// The beginning of what it printed, unescaped.
    pub said: Vec<u8>,
}

/// Runs it to its end.  When `stop` is raised it gets a few seconds more.
///
/// # Errors
/// When it cannot be started, typically because it isn't there; when the system cannot wait for it.
pub(crate) fn run(program: HookProgram<'_>, stop: &Stop) -> io::Result<ProgramEnd> {
    let HookProgram { argv, environment, input, limit, owner } = program;
    let mut child = Child::start(argv, environment, input, limit, owner)?;
    let ended = wait_for_one(&mut [&mut child], stop, AtStop::EndSoon)?;
    let failure = match ended {
        None | Some((_, ChildOutcome::Exited(0))) => None,
        Some((_, ChildOutcome::Exited(code))) => Some(format!("exited with {code}")),
        Some((_, ChildOutcome::Killed(signal))) => Some(format!("was killed by signal {signal}")),
        Some((_, ChildOutcome::TimedOut)) if stop.raised() => Some("was stopped".to_owned()),
        Some((_, ChildOutcome::TimedOut)) => Some(format!("was stopped after {} s", limit.as_secs())),
    };
    Ok(ProgramEnd { failure, said: child.said().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::{Duration, HookProgram, Stop, run};

    #[test]
    fn how_a_program_has_failed_is_reported() {
        let stop = Stop::new().unwrap();
        let failure = |line: &str, limit: Duration| {
            let argv = ["/bin/sh", "-c", line].map(str::to_owned);
            let input = tempfile::tempfile().unwrap();
            let program = HookProgram { argv: &argv, environment: &[], input, limit, owner: None };
            let ended = run(program, &stop).unwrap();
            (ended.failure.unwrap_or_default(), String::from_utf8(ended.said).unwrap())
        };
        let (long, short) = (Duration::from_secs(60), Duration::from_millis(10));
        for (line, limit, expected, said) in [
            ("echo said", long, "", "said\n"),
            ("exit 3", long, "exited with 3", ""),
            ("kill -9 $$", long, "was killed by signal 9", ""),
            ("exec sleep 60", short, "was stopped after 0 s", ""),
        ] {
            assert_eq!(failure(line, limit), (expected.to_owned(), said.to_owned()), "{line}");
        }
        stop.raise();
        assert_eq!(failure("exec sleep 60", short).0, "was stopped");
    }
}
