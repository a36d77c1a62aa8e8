//! What the lives of an ordinary run are like: a kind of server or life that doesn't occur in them is tested by none.

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::story::{Interruption, Options, Policy, Step, Story};
use crate::traits::Trait;
use crate::{FIRST, LIVES};

/// Each kind occurs in at least this many of the lives.
const LEAST: usize = 3;

/// All kinds of steps and runs, as [`kinds_of`] has them.
const KINDS: [&str; 44] = [
    "mail arrives",
    "another client deletes",
    "another client moves",
    "another client copies",
    "mail arrives again",
    "a backup is restored",
    "a backup is restored, and the policy changes",
    "months pass",
    "a reader looks",
    "leaves all",
    "deletes all",
    "deletes by age",
    "keeps the newest",
    "keeps a total size",
    "deletes what is large",
    "the policy changes",
    "keeps, then deletes",
    "deletes, then keeps",
    "--keep",
    "--delete",
    "--dry-run",
    "max-messages",
    "max-bytes",
    "max-message-size",
    "a limit comes or goes",
    "to a Maildir",
    "to an mbox",
    "to a program",
    "to two destinations",
    "a destination comes or goes",
    "the program refuses",
    "the program refuses for now",
    "not pipelined",
    "full listings",
    "by name",
    "not by name",
    "the clock leaps ahead",
    "the clock goes back",
    "kill -9",
    "SIGTERM",
    "a crash",
    "a full disk for a moment",
    "a full disk that stays full",
    "nothing is interrupted",
];

/// The kinds of things that happen in a life.
fn kinds_of(story: &Story) -> Vec<&'static str> {
    let mut kinds: Vec<&str> = story.steps.iter().flat_map(of_step).collect();
    let runs: Vec<&Options> = story
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Run(options) => Some(&**options),
            _ => None,
        })
        .collect();
    let deletes = |policy: Policy| policy == Policy::Delete;
    let keeps = |policy: Policy| policy == Policy::Keep;
    let mut changes = false;
    for pair in runs.windows(2) {
        let [before, after] = pair else { continue };
        changes |= before.policy != after.policy;
        let limited = |run: &Options| {
            [run.max_messages, run.max_bytes, run.max_message_size].map(|limit| limit.is_some())
        };
        for (kind, holds) in [
            ("the policy changes", before.policy != after.policy),
            ("keeps, then deletes", keeps(before.policy) && deletes(after.policy)),
            ("deletes, then keeps", deletes(before.policy) && keeps(after.policy)),
            ("a limit comes or goes", limited(before) != limited(after)),
            ("a destination comes or goes", before.destinations != after.destinations),
        ] {
            kinds.extend(holds.then_some(kind));
        }
    }
    if changes && kinds.contains(&"a backup is restored") {
        kinds.push("a backup is restored, and the policy changes");
    }
    if runs.iter().all(|run| run.interruption.is_none()) {
        kinds.push("nothing is interrupted");
    }
    let arrivals = story.steps.iter().filter(|step| matches!(step, Step::Arrive(_))).count();
    if arrivals > 1 {
        kinds.push("mail arrives again");
    }
    kinds
}

fn of_step(step: &Step) -> Vec<&'static str> {
    match step {
        Step::Arrive(_) => vec!["mail arrives"],
        Step::OtherClientDeletes { .. } => vec!["another client deletes"],
        Step::OtherClientMoves { .. } => vec!["another client moves"],
        Step::OtherClientCopies { .. } => vec!["another client copies"],
        Step::Restore { .. } => vec!["a backup is restored"],
        Step::Pass { seconds } => Vec::from_iter((*seconds > 90 * 86_400).then_some("months pass")),
        Step::ReaderLooks => vec!["a reader looks"],
        Step::Run(options) => of_run(options),
    }
}

fn of_run(run: &Options) -> Vec<&'static str> {
    use crate::stores::Store;

    let policy = match run.policy {
        Policy::Keep => "leaves all",
        Policy::Delete => "deletes all",
        Policy::Days(_) => "deletes by age",
        Policy::Newest(_) => "keeps the newest",
        Policy::TotalSize(_) => "keeps a total size",
        Policy::LargerThan(_) => "deletes what is large",
    };
    let interruption = run.interruption.map(|interruption| match interruption {
        Interruption::Signal { signal, .. } if signal == Signal::KILL => "kill -9",
        Interruption::Signal { .. } => "SIGTERM",
        Interruption::Crash { .. } => "a crash",
        Interruption::FullDisk { lasts: false, .. } => "a full disk for a moment",
        Interruption::FullDisk { lasts: true, .. } => "a full disk that stays full",
    });
    let rest = [
        ("max-messages", run.max_messages.is_some()),
        ("max-bytes", run.max_bytes.is_some()),
        ("max-message-size", run.max_message_size.is_some()),
        ("to a Maildir", run.destinations.contains(&Store::Maildir)),
        ("to an mbox", run.destinations.contains(&Store::Mbox)),
        ("to a program", run.destinations.contains(&Store::Pipe)),
        ("to two destinations", run.destinations.len() > 1),
        ("the program refuses", run.refusal == Some(67) && run.destinations.contains(&Store::Pipe)),
        ("the program refuses for now", run.refusal == Some(75) && run.destinations.contains(&Store::Pipe)),
        ("not pipelined", run.pipelining == "off"),
        ("full listings", run.listing == "full"),
        ("by name", run.named),
        ("not by name", !run.named),
        ("the clock leaps ahead", run.clock_off_by > 0),
        ("the clock goes back", run.clock_off_by < 0),
    ];
    let rest = rest.into_iter().filter_map(|(kind, holds)| holds.then_some(kind));
    [Some(policy), run.flag, interruption].into_iter().flatten().chain(rest).collect()
}

#[test]
fn every_kind_of_server_and_life_occurs() {
    let mut lives: BTreeMap<String, usize> = BTreeMap::new();
    for seed in FIRST..FIRST + LIVES {
        let story = Story::made_up(seed, &Trait::ALL);
        let mut kinds: Vec<String> = kinds_of(&story).into_iter().map(str::to_owned).collect();
        kinds.extend(story.traits.set.iter().map(|one| format!("{one:?}")));
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            *lives.entry(kind).or_default() += 1;
        }
    }
    let traits = Trait::ALL.map(|one| format!("{one:?}"));
    let wanted = KINDS.into_iter().map(str::to_owned).chain(traits);
    let seldom: Vec<(String, usize)> = wanted
        .map(|kind| {
            let count = lives.get(&kind).copied().unwrap_or(0);
            (kind, count)
        })
        .filter(|(_, count)| *count < LEAST)
        .collect();
    assert!(seldom.is_empty(), "in {LIVES} lives these occur less than {LEAST} times: {seldom:?}");
}
