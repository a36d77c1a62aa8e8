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

    /// The second in which a time of the system's lies.
    #[must_use]
    pub fn from_system(time: SystemTime) -> Self {
        let seconds = |d: std::time::Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => seconds(since),
            Err(before) => seconds(before.duration()).saturating_neg(),
        })
    }

    /// The same for the system; what it can't say is 1970.
    #[must_use]
    pub fn to_system(self) -> SystemTime {
        let seconds = std::time::Duration::from_secs(self.0.unsigned_abs());
        let time = if self.0 < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
        time.unwrap_or(UNIX_EPOCH)
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
