//! Time, host name, process id and randomness: read here and nowhere else, so that everything below takes them as
//! arguments.

mod local;

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use local::{ago, day, due, minute, short, since, stamp};

use crate::types::Time;

#[must_use]
pub(crate) fn now() -> Time {
    Time::from_system(system_now())
}

/// The time now as files have it, to the nanosecond.
#[must_use]
pub(crate) fn now_of_files() -> SystemTime {
    system_now()
}

#[expect(clippy::disallowed_methods, reason = "this is the room that reads the clock")]
fn system_now() -> SystemTime {
    SystemTime::now()
}

/// Microseconds within the current second, for Maildir names.
#[must_use]
pub(crate) fn microseconds() -> u32 {
    system_now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_micros())
}

/// This machine's name, or `localhost` where it has none.
#[must_use]
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// This process's id.
#[must_use]
pub(crate) fn process_id() -> u32 {
    std::process::id()
}

/// `N` octets from the system's random generator.
///
/// # Errors
/// When the system's generator fails.
pub(crate) fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(octets)
}
