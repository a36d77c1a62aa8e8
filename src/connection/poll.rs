//! `poll(2)` until an instant, through interruptions.

use std::io;
use std::time::Instant;

use rustix::event::{PollFd, Timespec};
use rustix::io::Errno;

/// Whether one of `descriptors` became ready before `until`; each is looked at once at least.
///
/// # Errors
/// What poll(2) fails with: too many descriptors, or no memory.
pub(super) fn poll(descriptors: &mut [PollFd<'_>], until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // More seconds than the type holds is for ever.
        let limit = Timespec::try_from(left).ok();
        match rustix::event::poll(descriptors, limit.as_ref()) {
            // The kernel may round: only the clock shows that the time is over.
            Ok(0) if Instant::now() < until => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
