//! Time, host name, process id and randomness: read here and nowhere else, so that everything below takes them as
//! arguments.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time in whole seconds since 1970-01-01 UTC.  May run backwards: who needs order keeps the latest seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// The time now.
    #[must_use]
    pub fn now() -> Self {
        Self::from_system(system_now())
    }

    fn from_system(time: SystemTime) -> Self {
        let seconds = |d: std::time::Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => seconds(since),
            Err(before) => seconds(before.duration()).saturating_neg(),
        })
    }

    /// Seconds from `earlier` to `self`; negative when the clock has been set back.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The UTC day this time lies in, counted from 1970-01-01.
    #[must_use]
    pub fn day(self) -> i64 {
        self.0.div_euclid(86_400)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the room that reads the clock")]
fn system_now() -> SystemTime {
    SystemTime::now()
}

/// Microseconds within the current second, for Maildir names.
#[must_use]
pub fn microseconds() -> u32 {
    system_now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_micros())
}

/// This machine's name, or `localhost` where it has none.
#[must_use]
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// This process's id.
#[must_use]
pub fn process_id() -> u32 {
    std::process::id()
}

/// `N` octets from the system's random generator.
///
/// # Errors
/// When the system has none to give.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(octets)
}
