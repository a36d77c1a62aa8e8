//! The soak: made-up lives of popfetch at made-up servers, and one invariant.
//!
//! A life is a server with a few [traits](traits::Trait) that real servers have, and a [story](story).  Mail arrives,
//! other clients delete, backups are restored, time passes, the clock leaps. popfetch runs with this policy and that
//! destination, is killed, is cut off.  After each run the [invariant](invariant::check) is asked: no mail is lost,
//! none is delivered more often than it may be, nothing partial is visible, exit code 0 is true.  At the end all is
//! well again, and everything must settle.  Both are made up from one number, the seed.
//!
//! ```text
//! cargo test --all-features --test soak                                          300 lives, in two minutes at most
//! POPFETCH_SOAK_LIVES=20000 cargo test --all-features --test soak                any number of lives
//! POPFETCH_SOAK_SEED=4711 cargo test --all-features --test soak -- --nocapture   one life, shown in full
//! ```
//!
//! A life that fails is made shorter, by leaving out traits and steps while it still fails in the same way.  Its story
//! is printed with what the server sent and popfetch printed, and with popfetch's ledger.  A seed repeats a life except
//! for what the timing of the two processes decides: which octets arrive together, and where exactly a kill falls.
//!
//! More variables:
//! - `POPFETCH_SOAK_TRAITS=Cuts,NoTop`: servers have no other traits than these.  A seed then means another life, so
//!   give the same traits with `POPFETCH_SOAK_SEED`.
//! - `POPFETCH_SOAK_FROM=1000`: the first seed.  Those below 10,620 mean lives with fewer traits and steps, and those below
//!   20,801 with a few less.
//! - `POPFETCH_SOAK_SHRINK=0`: failing stories stay as long as they are.
//! - `POPFETCH_SOAK_PROGRAM=FILE`: another build of popfetch.
//!
//! The clock of popfetch is moved by a small library, `clock.c`, which needs a C compiler.  Without one the clock
//! doesn't move, and this is printed.  Crashes at durable steps and full disks need the feature `crash-points`.
//!
//! - [`random`] - numbers that a seed repeats
//! - [`traits`] - what a server is like
//! - [`mail`] - the mails, each with a marker of its own
//! - [`world`] - the maildrop as it truly is
//! - [`server`] - the maildrop as the server shows it, over POP3
//! - [`story`] - what happens, as plain data
//! - [`kinds`] - a test that all that can happen does
//! - [`life`] - plays a story
//! - [`stores`] - what readers see
//! - [`invariant`] - what must hold
//! - [`shrink`] - makes a story that fails shorter
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "a test, not a library")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests fail loudly, and set scenes"
)]

mod invariant;
mod kinds;
mod life;
mod mail;
mod random;
mod server;
mod shrink;
mod stores;
mod story;
mod traits;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use invariant::Kind;
use life::{Outcome, play};
use story::Story;
use traits::Trait;

/// The first life of an ordinary run of the tests, beside [`FAILED_ONCE`],
const FIRST: u64 = traits::LATEST;
/// how many there are,
const LIVES: u64 = 300;
/// and after how long none is begun.
const LONGEST: Duration = Duration::from_secs(100);
/// Lives that failed once: an ordinary run begins with them.
const FAILED_ONCE: [u64; 69] = [
    2180, 2188, 2209, 2232, 2256, 2301, 2314, 2656, 2758, 2994, 3152, 3191, 3234, 3239, 3305, 3387, 3665,
    3734, 3742, 3757, 3825, 3834, 3912, 4287, 4343, 4382, 4422, 4616, 4625, 4627, 5523, 5847, 5920, 6175,
    6235, 6642, 6788, 7102, 7358, 7632, 8025, 8198, 8257, 8513, 8549, 8713, 8814, 8902, 8939, 9095, 9190,
    9245, 9541, 9561, 9641, 10269, 20951, 21221, 21550, 21584, 21716, 21735, 21975, 31693, 32378, 32395,
    33110, 33585, 34168,
];
/// Failures of a kind that are made shorter and printed.
const SHOWN: usize = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value}: not a number")))
}

/// The traits that servers may have.
fn choice() -> Vec<Trait> {
    let Ok(names) = std::env::var("POPFETCH_SOAK_TRAITS") else { return Trait::ALL.to_vec() };
    let named = |name: &str| {
        let found = Trait::ALL.into_iter().find(|one| format!("{one:?}") == name);
        found.unwrap_or_else(|| panic!("POPFETCH_SOAK_TRAITS: there's no {name}"))
    };
    names.split(',').filter(|name| !name.is_empty()).map(named).collect()
}

#[test]
fn no_life_breaks_the_invariant() {
    let choice = choice();
    if let Some(seed) = number("POPFETCH_SOAK_SEED") {
        let story = Story::made_up(seed, &choice);
        let outcome = play(&story);
        eprintln!("{story}\n{}", outcome.protocol);
        return report(BTreeMap::from([(seed, (story, outcome))]));
    }
    let asked = number("POPFETCH_SOAK_LIVES");
    let first = number("POPFETCH_SOAK_FROM").unwrap_or(FIRST);
    // With other traits a seed means another life.
    let is_ordinary = asked.is_none() && first == FIRST && choice == Trait::ALL;
    let before: &[u64] = if is_ordinary { &FAILED_ONCE } else { &[] };
    let seeds = before.iter().copied().chain(first..first + asked.unwrap_or(LIVES));
    let seeds = Mutex::new(seeds);
    let (began, failures, runs) = (Instant::now(), Mutex::new(BTreeMap::new()), AtomicU64::new(0));
    let slowest = Mutex::new((Duration::ZERO, 0));
    let live = || {
        loop {
            let late = asked.is_none() && began.elapsed() > LONGEST;
            let Some(seed) = seeds.lock().unwrap().next().filter(|_| !late) else { return };
            let (story, its_beginning) = (Story::made_up(seed, &choice), Instant::now());
            let outcome = play(&story);
            let mut slowest = slowest.lock().unwrap();
            *slowest = (*slowest).max((its_beginning.elapsed(), seed));
            drop(slowest);
            runs.fetch_add(outcome.runs as u64, Ordering::SeqCst);
            if let Some(violation) = &outcome.violation {
                eprintln!(
                    "seed {seed}: {:?}: {}",
                    violation.kind,
                    violation.text.lines().next().unwrap_or("")
                );
                failures.lock().unwrap().insert(seed, (story, outcome));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |count| count.get().max(2)) {
            scope.spawn(live);
        }
    });
    let (runs, slowest) = (runs.into_inner(), slowest.into_inner().unwrap());
    eprintln!("{runs} runs of popfetch in {:.1?}; the slowest life: {slowest:.1?}", began.elapsed());
    report(failures.into_inner().unwrap());
}

/// Prints the failures, shortened, and fails if there are any.
fn report(failures: BTreeMap<u64, (Story, Outcome)>) {
    let mut kinds: BTreeMap<Kind, Vec<u64>> = BTreeMap::new();
    let shrinks = number("POPFETCH_SOAK_SHRINK") != Some(0);
    for (seed, (story, outcome)) in failures {
        let Some(violation) = outcome.violation.clone() else { continue };
        let seeds = kinds.entry(violation.kind).or_default();
        seeds.push(seed);
        if seeds.len() > SHOWN {
            continue;
        }
        let (story, outcome) =
            if shrinks { shrink::shrink(story, outcome, violation.kind) } else { (story, outcome) };
        let violation = outcome.violation.unwrap_or(violation);
        eprintln!("\n######## {:?}: {}\n{story}\n{}", violation.kind, violation.text, outcome.protocol);
    }
    let summary: Vec<String> = kinds
        .iter()
        .map(|(kind, seeds)| format!("{kind:?}: {} lives, seeds {seeds:?}", seeds.len()))
        .collect();
    assert!(kinds.is_empty(), "lives that failed:\n{}", summary.join("\n"));
}
