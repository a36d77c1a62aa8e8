//! How long a server may keep us waiting, as a pure function of instants: the first window of an answer may be longer
//! than the time-out (a server that indexes or rewrites a maildrop takes minutes), every later window must bring a
//! minimum of octets, and time in which we ourselves do not listen doesn't count.
//!
//! Reads no clock and knows no socket.  RFC 1939 §3 only has the server's side (ten minutes of silence); the rest is
//! experience: a server that drips an octet a minute would otherwise hold a run for ever.

use std::time::{Duration, Instant};

use crate::types::wide;

/// The patience that one answer gets.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    timeout: Duration,
    until: Instant,
    // The last moment at which we certainly listened: what passes from here to `resume` is our own delay.
    listened: Instant,
    brought: u64,
    /// When the answer was first awaited, moved on by our own delays.
    begun: Instant,
}

impl Patience {
    /// What a window must bring to be followed by another: a line of the longest that RFC 2449 §4 allows.
    pub(crate) const PROGRESS: u64 = 512;

    /// The factor for the answers that cost a server work: PASS, APOP, AUTH, the first UIDL or LIST, QUIT.
    pub(crate) const LONG: u32 = 5;

    /// For an answer awaited from `now` on: its first window is `factor` times the time-out.
    #[must_use]
    pub(crate) fn new(timeout: Duration, factor: u32, now: Instant) -> Self {
        let until = after(now, timeout.saturating_mul(factor));
        Self { timeout, until, listened: now, brought: 0, begun: now }
    }

    /// Octets of the answer have come.  512 of them, however many reads brought them, open a new window.
    pub(crate) fn brought(&mut self, octets: usize, now: Instant) {
        self.listened = now;
        self.brought = self.brought.saturating_add(wide(octets));
        if self.brought >= Self::PROGRESS {
            self.brought = 0;
            // A first window that is longer is never cut short by what it brings.
            self.until = self.until.max(after(now, self.timeout));
        }
    }

    /// Octets have come that are no progress, though more than silence: the keep-alive lines that a gateway on the way puts
    /// before a header's end while it examines the message.  They give one more time-out each, until the answer has
    /// taken [`Patience::LONG`] time-outs.
    pub(crate) fn lives(&mut self, now: Instant) {
        let most = after(self.begun, self.timeout.saturating_mul(Self::LONG));
        self.until = self.until.max(after(now, self.timeout).min(most));
    }

    /// We stop listening: from `now` to [`Patience::resume`] the clock stands still.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.listened = now;
    }

    /// We listen again: the time since [`Patience::pause`], or else since octets last came, is given back.
    pub(crate) fn resume(&mut self, now: Instant) {
        let delay = now.saturating_duration_since(self.listened);
        self.until = after(self.until, delay);
        self.begun = after(self.begun, delay);
        self.listened = now;
    }

    /// When patience ends, unless more comes.
    #[must_use]
    pub(crate) fn until(&self) -> Instant {
        self.until
    }
}

/// The least pace of a whole session: [`Patience`] bounds each answer, and a server that keeps just within it could hold a
/// session, and the place of another account, for months.
///
/// Only time in which something is due counts, and none in which a server may take long to begin (see
/// [`Patience::LONG`]), which happens a few times in a session.
#[derive(Debug, Clone)]
pub(crate) struct SessionPace {
    timeout: Duration,
    listened: Duration,
    octets: u64,
    window: Duration,
    window_octets: u64,
}

impl SessionPace {
    /// The time-outs of a window, and the octets that it must bring: about 27 a second with the default time-out.
    const WINDOW: (u32, u64) = (10, 16 << 10);

    /// After this many time-outs the average since the beginning must be this many octets a second: half of what the
    /// slowest telephone line carries.
    const AVERAGE: (u32, u64) = (60, 512);

    /// No session is longer; the next run goes on where it ended.
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// From the beginning of a session.
    #[must_use]
    pub(crate) fn new(timeout: Duration) -> Self {
        let zero = Duration::ZERO;
        Self { timeout, listened: zero, octets: 0, window: zero, window_octets: 0 }
    }

    /// Octets have come.
    pub(crate) fn brought(&mut self, octets: usize) {
        let octets = wide(octets);
        self.octets = self.octets.saturating_add(octets);
        self.window_octets = self.window_octets.saturating_add(octets);
    }

    /// So long was listened for something that is due.  `false`: too little comes, or it has gone on too long.
    #[must_use]
    pub(crate) fn listened(&mut self, time: Duration) -> bool {
        self.listened = self.listened.saturating_add(time);
        self.window = self.window.saturating_add(time);
        let mut enough = self.listened <= Self::LONGEST;
        if self.window >= self.timeout.saturating_mul(Self::WINDOW.0) {
            enough &= self.window_octets >= Self::WINDOW.1;
            self.window = Duration::ZERO;
            self.window_octets = 0;
        }
        if self.listened >= self.timeout.saturating_mul(Self::AVERAGE.0) {
            enough &= self.octets >= self.listened.as_secs().saturating_mul(Self::AVERAGE.1);
        }
        enough
    }

    /// How long was listened in all, and what came.
    #[must_use]
    pub(crate) fn so_far(&self) -> (Duration, u64) {
        (self.listened, self.octets)
    }
}

/// `wait` after `start`; of a wait too long for the clock, as much as a run will ever last.
pub(super) fn after(start: Instant, wait: Duration) -> Instant {
    const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    start.checked_add(wait).or_else(|| start.checked_add(A_YEAR)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Patience, SessionPace, after};

    enum Step {
        /// Octets, at a second.
        Brought(usize, u64),
        /// At a second.
        Pause(u64),
        /// At a second.
        Resume(u64),
    }
    use Step::{Brought, Pause, Resume};

    #[test]
    fn windows() {
        // name, factor, what happens, second at which patience ends; the time-out is 60 s
        let cases: [(&str, u32, &[Step], u64); 12] = [
            ("silence", 1, &[], 60),
            ("silence where a server works", Patience::LONG, &[], 300),
            ("too little", 1, &[Brought(511, 30)], 60),
            ("enough", 1, &[Brought(512, 30)], 90),
            ("enough in parts", 1, &[Brought(256, 10), Brought(256, 40)], 100),
            ("what was too much opens one window only", 1, &[Brought(1023, 30), Brought(1, 50)], 90),
            ("a drip (R7)", 1, &[Brought(1, 50), Brought(1, 59)], 60),
            ("a long window is not cut short", 5, &[Brought(4096, 10)], 300),
            ("later windows of a long one are plain", 5, &[Brought(4096, 280)], 340),
            ("our own delay is given back", 1, &[Brought(1, 20), Resume(50)], 90),
            ("and only that", 1, &[Pause(30), Resume(50)], 80),
            ("a second resume gives nothing", 1, &[Pause(30), Resume(50), Resume(50)], 80),
        ];
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        for (name, factor, steps, end) in cases {
            let mut patience = Patience::new(Duration::from_secs(60), factor, start);
            for step in steps {
                match *step {
                    Brought(octets, second) => patience.brought(octets, at(second)),
                    Pause(second) => patience.pause(at(second)),
                    Resume(second) => patience.resume(at(second)),
                }
            }
            assert_eq!(patience.until(), at(end), "{name}");
        }
    }

    #[test]
    fn signs_of_life_give_five_time_outs_in_all() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut patience = Patience::new(Duration::from_secs(60), 1, start);
        for (second, until) in [(50, 110), (100, 160), (150, 210), (200, 260), (250, 300), (290, 300)] {
            patience.brought(20, at(second));
            patience.lives(at(second));
            assert_eq!(patience.until(), at(until), "{second}");
        }
        // Time in which we didn't listen isn't the gateway's.
        patience.pause(at(295));
        patience.resume(at(395));
        patience.lives(at(396));
        assert_eq!(patience.until(), at(400));
    }

    #[test]
    fn a_session_has_a_least_pace() {
        let minute = Duration::from_secs(60);
        let minutes = |octets: &dyn Fn(u64) -> usize| {
            let mut pace = SessionPace::new(minute);
            (1..10_000)
                .take_while(|n| {
                    pace.brought(octets(*n));
                    pace.listened(minute)
                })
                .count()
        };
        assert_eq!(minutes(&|_| 512), 9, "what is just enough for each answer");
        assert_eq!(minutes(&|_| 2048), 59, "34 octets a second");
        assert_eq!(minutes(&|_| 512 * 60), 24 * 60, "512 octets a second");
        assert_eq!(minutes(&|_| 1 << 30), 24 * 60);
        // A pause in a session that has brought much does not matter.
        assert_eq!(minutes(&|n| if n % 10 == 0 { 1 << 20 } else { 0 }), 24 * 60);
    }

    #[test]
    fn no_time_out_is_too_long_for_the_clock() {
        let now = Instant::now();
        assert!(after(now, Duration::MAX) > now);
        assert!(Patience::new(Duration::MAX, 5, now).until() > now);
    }

    proptest! {
        // A server cannot buy more than one time-out with every 512 octets.
        #[test]
        fn patience_is_bounded_by_what_comes(reads in proptest::collection::vec((0_usize..2000, 0_u64..100), 0..50)) {
            let start = Instant::now();
            let timeout = Duration::from_secs(60);
            let mut patience = Patience::new(timeout, 1, start);
            let (mut now, mut octets) = (start, 0);
            for (brought, seconds) in reads {
                now += Duration::from_secs(seconds);
                if now > patience.until() {
                    break;
                }
                octets += brought;
                patience.brought(brought, now);
            }
            let windows = u32::try_from(octets / 512).unwrap() + 1;
            prop_assert!(patience.until() <= start + timeout * windows);
        }
    }
}
