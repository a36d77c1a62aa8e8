//! A life as plain data: the server's traits and what happens, step by step.  Made up from a seed; printed when it
//! fails; made shorter by leaving parts out.

use std::fmt;

use rustix::process::Signal;

use crate::random::Random;
use crate::stores::Store;
use crate::traits::{LATER, LATEST, Trait, Traits};

/// A life.
#[derive(Debug, Clone)]
pub struct Story {
    pub seed: u64,
    pub traits: Traits,
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Step {
    /// New mail.
    Arrive(u64),
    /// Another client deletes mail, each with this chance in 100.
    OtherClientDeletes { percent: u64, seed: u64 },
    /// Another client moves mail to a folder and back, each with this chance in 100.
    OtherClientMoves { percent: u64, seed: u64 },
    /// Another client copies mail, that which is gone as well, each with this chance in 100.
    OtherClientCopies { percent: u64, seed: u64 },
    /// The server's operator restores a backup.
    Restore { seed: u64 },
    /// Time passes.
    Pass { seconds: i64 },
    /// A mail reader opens the Maildir: it moves what's new to `cur/`.
    ReaderLooks,
    /// popfetch runs.
    Run(Box<Options>),
}

/// What stays on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Keep,
    Delete,
    Days(u64),
    Newest(u64),
    /// In octets.
    TotalSize(u64),
    /// In octets.
    LargerThan(u64),
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("true"),
            Self::Delete => f.write_str("false"),
            Self::Days(days) => write!(f, "{{ days = {days} }}"),
            Self::Newest(count) => write!(f, "{{ newest = {count} }}"),
            Self::TotalSize(octets) => write!(f, "{{ total-size = {octets} }}"),
            Self::LargerThan(octets) => write!(f, "{{ larger-than = {octets} }}"),
        }
    }
}

/// How a run is broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// A signal when the server has sent this many octets.
    Signal { signal: Signal, after_octets: u64 },
    /// popfetch aborts at this durable step (feature `crash-points`).
    Crash { step: u64 },
    /// The disk is full at this durable step, and, if it lasts, at each from there on (feature `crash-points`).
    FullDisk { step: u64, lasts: bool },
}

/// One run of popfetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub policy: Policy,
    /// `--keep`, `--delete` or `--dry-run`.
    pub flag: Option<&'static str>,
    pub max_messages: Option<u64>,
    pub max_bytes: Option<u64>,
    pub max_message_size: Option<u64>,
    pub destinations: Vec<Store>,
    /// The program refuses one mail in three with this code.
    pub refusal: Option<u8>,
    pub pipelining: &'static str,
    pub listing: &'static str,
    /// The account is named on the command line, which ends pauses.
    pub named: bool,
    /// popfetch's clock against the true time, in seconds.
    pub clock_off_by: i64,
    pub interruption: Option<Interruption>,
}

impl Options {
    /// The plainest run.
    pub fn plain(destinations: Vec<Store>) -> Self {
        Self {
            policy: Policy::Keep,
            flag: None,
            max_messages: None,
            max_bytes: None,
            max_message_size: None,
            destinations,
            refusal: None,
            pipelining: "auto",
            listing: "auto",
            named: true,
            clock_off_by: 0,
            interruption: None,
        }
    }

    /// Whether the user has withheld mail.
    pub fn withholds(&self) -> bool {
        self.flag == Some("--dry-run")
            || self.max_messages.is_some()
            || self.max_bytes.is_some()
            || self.max_message_size.is_some()
    }

    /// Whether what was handed to a program may have to be handed over again: its outcome couldn't be written down.
    pub fn forgets_outcomes(&self) -> bool {
        match self.interruption {
            Some(Interruption::Signal { signal, .. }) => signal == Signal::KILL,
            Some(Interruption::Crash { .. } | Interruption::FullDisk { .. }) => true,
            None => false,
        }
    }

    /// A run, in which each choice is a plain one more often than not.
    fn made_up(random: &mut Random, habits: &Habits) -> Self {
        let sometimes = |random: &mut Random, low, high| random.once_in(6).then(|| random.between(low, high));
        let policy = if random.once_in(3) { any_policy(random) } else { habits.policy };
        let interruption = match random.between(1, 10) {
            1 | 2 => Some(Interruption::Signal { signal: Signal::KILL, after_octets: some_octets(random) }),
            3 => Some(Interruption::Signal { signal: Signal::TERM, after_octets: some_octets(random) }),
            4 => Some(Interruption::Crash { step: random.between(1, 90) }),
            5 => Some(Interruption::FullDisk { step: random.between(1, 90), lasts: random.coin() }),
            _ => None,
        };
        let clock_off_by = match random.between(1, 12) {
            1 => 86_400 * i64::try_from(random.between(1, 400)).unwrap(),
            2 => -86_400 * i64::try_from(random.between(1, 40)).unwrap(),
            _ => 0,
        };
        Self {
            policy,
            flag: random.once_in(8).then(|| *random.pick(&["--keep", "--delete", "--dry-run"])),
            max_messages: sometimes(random, 1, 5),
            max_bytes: sometimes(random, 500, 20_000),
            max_message_size: sometimes(random, 500, 10_000),
            destinations: if random.once_in(8) { any_stores(random) } else { habits.destinations.clone() },
            refusal: random.once_in(4).then(|| *random.pick(&[75, 67])),
            pipelining: if random.once_in(8) { "off" } else { "auto" },
            listing: if random.once_in(4) { "full" } else { "auto" },
            named: random.coin(),
            clock_off_by,
            interruption: interruption.filter(|_| habits.interrupted),
        }
    }
}

/// What a user has configured, most of the time.
struct Habits {
    policy: Policy,
    destinations: Vec<Store>,
    interrupted: bool,
}

fn any_policy(random: &mut Random) -> Policy {
    match random.between(1, 8) {
        1..=3 => Policy::Keep,
        4 | 5 => Policy::Delete,
        6 => Policy::Days(*random.pick(&[1, 2, 14, 100])),
        7 => Policy::Newest(random.between(1, 6)),
        _ => Policy::TotalSize(random.between(500, 20_000)),
    }
}

fn any_stores(random: &mut Random) -> Vec<Store> {
    let first = *random.pick(&[Store::Maildir, Store::Maildir, Store::Mbox, Store::Mbox, Store::Pipe]);
    let mut stores = vec![first];
    if random.once_in(4) {
        stores.extend(Store::ALL.into_iter().find(|other| *other != first));
    }
    stores.sort_unstable();
    stores
}

/// Any moment of a run: near its beginning as likely as in the middle of a large mail.
fn some_octets(random: &mut Random) -> u64 {
    let most = 1 << random.between(5, 16);
    random.between(1, most)
}

impl Story {
    /// The life of this seed, at a server with some of these traits.
    pub fn made_up(seed: u64, choice: &[Trait]) -> Self {
        let traits = Traits::made_up(seed, choice);
        let mut random = Random::new(seed, "story", 0);
        let habits = Habits {
            policy: any_policy(&mut random),
            destinations: any_stores(&mut random),
            // In half of the lives the only faults are the server's.
            interrupted: random.coin(),
        };
        let mut steps = vec![Step::Arrive(random.between(1, 12))];
        // A server that deletes what was retrieved has no other client's mail to speak of.
        let others = random.coin() || traits.has(Trait::ReusesIds) || traits.has(Trait::CountsAgain);
        let restores = random.once_in(4);
        let mut more = Random::new(seed, "more", 0);
        let moves = seed >= LATER && more.once_in(3);
        let mut latest = Random::new(seed, "latest", 0);
        let copies = seed >= LATEST && latest.once_in(4);
        for _ in 0..random.between(2, 8) {
            if random.once_in(3) {
                steps.push(Step::Arrive(random.between(1, 5)));
            }
            if others && random.once_in(2) {
                let percent = *random.pick(&[10, 30, 60, 100]);
                steps.push(Step::OtherClientDeletes { percent, seed: random.next() });
                if random.coin() {
                    steps.push(Step::Arrive(random.between(1, 5)));
                }
            }
            if restores && random.once_in(3) {
                steps.push(Step::Restore { seed: random.next() });
            }
            if moves && more.once_in(2) {
                let percent = *more.pick(&[10, 30, 60]);
                steps.push(Step::OtherClientMoves { percent, seed: more.next() });
            }
            if copies && latest.once_in(2) {
                let percent = *latest.pick(&[10, 30, 100]);
                steps.push(Step::OtherClientCopies { percent, seed: latest.next() });
            }
            if random.once_in(6) {
                steps.push(Step::ReaderLooks);
            }
            let seconds =
                *random.pick(&[1, 60, 60, 4000, 4000, 86_400, 3 * 86_400, 15 * 86_400, 101 * 86_400]);
            steps.push(Step::Pass { seconds });
            let mut options = Options::made_up(&mut random, &habits);
            if seed >= LATER && more.once_in(12) {
                options.policy = Policy::LargerThan(more.between(300, 3000));
            }
            steps.push(Step::Run(Box::new(options)));
        }
        Self { seed, traits, steps }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}; the server: {:?}", self.seed, self.traits.set)?;
        for step in &self.steps {
            match step {
                Step::Run(options) => writeln!(f, "  Run {options}")?,
                other => writeln!(f, "  {other:?}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leave-on-server = {}, to {:?}", self.policy, self.destinations)?;
        if let Some(flag) = self.flag {
            write!(f, ", {flag}")?;
        }
        let limits = [
            ("max-messages", self.max_messages),
            ("max-bytes", self.max_bytes),
            ("max-message-size", self.max_message_size),
        ];
        for (name, limit) in limits {
            if let Some(limit) = limit {
                write!(f, ", {name} = {limit}")?;
            }
        }
        if let Some(code) = self.refusal {
            write!(f, ", the program exits with {code}")?;
        }
        if self.pipelining != "auto" {
            write!(f, ", pipelining = {}", self.pipelining)?;
        }
        if self.listing != "auto" {
            write!(f, ", listing = {}", self.listing)?;
        }
        if self.clock_off_by != 0 {
            write!(f, ", clock off by {} days", self.clock_off_by / 86_400)?;
        }
        if !self.named {
            write!(f, ", account not named")?;
        }
        if let Some(interruption) = self.interruption {
            write!(f, ", {interruption:?}")?;
        }
        Ok(())
    }
}
