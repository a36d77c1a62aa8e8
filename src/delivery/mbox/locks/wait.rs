//! Waiting for locks: how long, how often a look is taken, what ends it, and what is reported where it was in vain.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::delivery::Error;
use crate::problem::TRY_AGAIN;
use crate::signals::Stop;
use crate::text;

/// A busy mbox is waited for this long, in all.
pub(in crate::delivery::mbox) const PATIENCE: Duration = Duration::from_secs(60);

/// Waiting for locks: until when, and what may end it.
#[derive(Debug)]
pub(in crate::delivery::mbox) struct LockWait<'a> {
    stop: &'a Stop,
    deadline: Instant,
    pause: Duration,
}

impl<'a> LockWait<'a> {
    pub(in crate::delivery::mbox) fn new(stop: &'a Stop, patience: Duration) -> Self {
        let deadline = Instant::now() + patience;
        Self { stop, deadline, pause: Duration::from_millis(10) }
    }

    /// What is left; `None` when the time is up, or a signal has come.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (!left.is_zero() && !self.stop.raised()).then_some(left)
    }

    /// Sleeps a little, each time longer; `false` when the time is up, or a signal has come.
    pub(in crate::delivery::mbox) fn pause(&mut self) -> bool {
        let Some(left) = self.left() else { return false };
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(Duration::from_millis(500));
        let timeout = Timespec::try_from(pause).ok();
        let descriptor = self.stop.descriptor();
        // Interrupted or not: the caller looks again.
        let _ = rustix::event::poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], timeout.as_ref());
        !self.stop.raised()
    }
}

/// The mbox is locked by `holder`, and was waited for in vain.
pub(super) fn busy(path: &Path, holder: &str) -> Error {
    Error::later(format!("mbox {} is locked: {holder}", text::path(path)), TRY_AGAIN)
}

#[cfg(test)]
mod tests {
    use super::{Duration, LockWait, Stop};

    #[test]
    fn a_lock_is_waited_for_until_the_time_is_up_or_a_signal_comes() {
        let stop = Stop::new().unwrap();
        let mut none = LockWait::new(&stop, Duration::ZERO);
        assert!(none.left().is_none() && !none.pause());
        let minute = Duration::from_secs(60);
        let mut wait = LockWait::new(&stop, minute);
        assert!(wait.pause() && wait.left().is_some_and(|left| left < minute));
        stop.raise();
        assert!(wait.left().is_none() && !wait.pause());
    }

    /// A signal that comes while it sleeps ends the sleep, and the waiting.
    #[test]
    fn a_signal_ends_the_sleep() {
        let stop = Stop::new().unwrap();
        let mut wait = LockWait::new(&stop, Duration::from_secs(60));
        wait.pause = Duration::from_secs(60);
        std::thread::scope(|scope| {
            let sleeping = scope.spawn(|| wait.pause());
            stop.raise();
            assert!(!sleeping.join().unwrap());
        });
    }
}
