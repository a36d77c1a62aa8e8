//! One round on a bench.  The test sets up a listing, decisions and a ledger; a server only lets the client in; and
//! in the committer's place there is a look at what would have been handed over.

use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use super::queue::JobQueue;
use super::round::{Fetch, RoundState};
use super::tally::{CompareResult, Tally};
use crate::client::Sending;
use crate::delivery::routing::{NetworkEnd, NetworkEnds};
use crate::delivery::{self, Inlet, Intake, Waiting};
use crate::exit::ExitCode;
use crate::ledger::memory::{ListedAs, Memory};
use crate::message::{Digest, Facts};
use crate::place::{Place, Spooled};
use crate::plan::compare::{Comparison, Search};
use crate::plan::trial::{NOW, World, number};
use crate::plan::{Decision, Policy, Who};
use crate::proof::Key;
use crate::retrieval::Options;
use crate::retrieval::committer::{self, Inbox, Reports, Work};
use crate::retrieval::login::log_in;
use crate::retrieval::pipeline::Job;
use crate::retrieval::pipeline::naming::{Naming, NamingForm};
use crate::retrieval::pipeline::standing::{QuestionPace, SessionStanding};
use crate::retrieval::run::Run;
use crate::retrieval::trial::Home;
use crate::secret::Secret;
use crate::types::MessageNumber;

/// Where a message that arrives is put: it takes what it is given, or fails at one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Takes {
    #[default]
    All,
    /// The disk is full when a message begins,
    NothingNew,
    /// while it comes,
    NoText,
    /// or at its end.
    NoEnd,
}

/// What became of the copies that were begun.
type Fates = Arc<Mutex<Vec<&'static str>>>;

struct Letterbox(Takes, Fates);

struct Letter(Takes, Fates);

fn full() -> delivery::Error {
    delivery::Error::unfit(ExitCode::LocalIo, "the disk is full", "make room")
}

impl Inlet for Letterbox {
    fn open(&mut self) -> Result<Box<dyn Intake>, delivery::Error> {
        match self.0 {
            Takes::NothingNew => Err(full()),
            takes => Ok(Box::new(Letter(takes, Arc::clone(&self.1)))),
        }
    }

    fn reads_back(&self) -> bool {
        false
    }

    fn cut(&mut self) {
        self.1.lock().unwrap().push("cut");
    }
}

impl Intake for Letter {
    fn write(&mut self, _: &[u8]) -> Result<(), delivery::Error> {
        if self.0 == Takes::NoText { Err(full()) } else { Ok(()) }
    }

    fn finish(self: Box<Self>, facts: &Facts) -> Result<Waiting, delivery::Error> {
        if self.0 == Takes::NoEnd {
            return Err(full());
        }
        self.1.lock().unwrap().push("taken");
        let place = Place::Spooled(Spooled::Memory(Vec::new()));
        Ok(Waiting { octets: facts.octets, digest: Digest::of(b"stored"), place })
    }

    fn abandon(self: Box<Self>) {
        self.1.lock().unwrap().push("abandoned");
    }
}

/// What a round is begun with.
pub(super) struct Bench {
    pub(super) home: Home,
    pub(super) world: World,
    pub(super) listed: Vec<(&'static str, Option<u64>)>,
    pub(super) decisions: Vec<Decision>,
    pub(super) policy: Policy,
    pub(super) search: Search,
    /// What earlier rounds came to.
    pub(super) tally: Tally,
    /// A destination takes messages one by one.
    pub(super) hands_over: bool,
    /// Commands share a flight.
    pub(super) pipelines: bool,
    /// Failures of messages that can't be distinguished have been reported.
    pub(super) some_failed_before: bool,
    /// The numbers of messages at which a session broke off before.
    pub(super) died: Vec<u32>,
    /// The account's destinations: the world's Maildirs.
    pub(super) destinations: Vec<Takes>,
}

pub(super) struct Came<T> {
    pub(super) result: T,
    /// What was handed to the committer, in words.
    pub(super) work: Vec<String>,
    pub(super) tally: Tally,
    pub(super) reported: Vec<String>,
    /// What became of the copies of messages that had begun to arrive.
    pub(super) copies: Vec<&'static str>,
}

impl Bench {
    pub(super) fn new(world: World, listed: &[&'static str], decisions: &[Decision]) -> Self {
        let policy = world.policy(crate::account::Retention::Delete);
        Self {
            home: Home::holding(&[]),
            world,
            listed: listed.iter().map(|name| (*name, Some(crate::plan::trial::SIZE))).collect(),
            decisions: decisions.to_vec(),
            policy,
            search: Search::OwnKey,
            tally: Tally::default(),
            hands_over: false,
            pipelines: true,
            some_failed_before: false,
            died: Vec::new(),
            destinations: vec![Takes::All],
        }
    }

    /// The server deletes at `QUIT` what was retrieved.
    pub(super) fn drops_at_quit(&mut self) {
        self.home.post().capabilities.push("EXPIRE 0");
    }

    /// Does this in a round.
    pub(super) fn run<T>(&mut self, work: impl FnOnce(&mut Fetch<'_>) -> T) -> Came<T> {
        self.run_with(|fetch, _| work(fetch))
    }

    /// Does this in a round, and with the committer's side of its reports.
    pub(super) fn run_with<T>(&mut self, work: impl FnOnce(&mut Fetch<'_>, Reports) -> T) -> Came<T> {
        let (account, options, context) = (self.home.account(""), Options::default(), self.home.context());
        let mut run = Run::new(&account, &options, &context, NOW);
        run.hands_over = self.hands_over;
        let mut client = log_in(&run, &mut Memory::default(), &Secret::new("pencil"), None).unwrap();
        client.set_pipelining(if self.pipelines { Sending::On } else { Sending::Off });
        let maildrop = self.world.maildrop(&self.listed);
        let ledger = &self.world.ledger;
        let (mut keys, mut failed_before) = (HashMap::new(), HashMap::new());
        for listed in maildrop.iter() {
            let Who::Known(id) = listed.who else { continue };
            keys.insert(id, ledger.key(id).unwrap());
            let failures = ledger.entry(id).failures;
            failed_before.extend((failures > 0).then_some((id, failures)));
        }
        let fates = Fates::default();
        let mut network_ends = NetworkEnds::new(None);
        for (id, takes) in self.world.maildirs.iter().zip(&self.destinations) {
            let inlet = Box::new(Letterbox(*takes, Arc::clone(&fates)));
            network_ends.push(NetworkEnd { id: *id, inlet });
        }
        let (reports, inbox): (Reports, Inbox) = committer::reports().unwrap();
        let (sender, orders): (Sender<Work>, _) = channel();
        let broken: HashMap<MessageNumber, usize> = self.died.iter().map(|n| number(*n)).zip(0..).collect();
        let died = broken.iter().map(|(number, order)| (ListedAs::Numbered(*number, None), *order)).collect();
        let mut tally = std::mem::take(&mut self.tally);
        tally.standing = SessionStanding {
            naming: Naming::new(1, Some(NamingForm::Size), false, None),
            pace: QuestionPace::new(0, 32),
            died,
            ..tally.standing
        };
        let comparison =
            Comparison::new(&maildrop, &self.decisions, ledger, self.search, self.policy.utf8).unwrap();
        // As the rounds have it.
        let comparison = match self.search {
            Search::OwnKey => comparison.watching(ledger, &maildrop).unwrap(),
            Search::EveryKey => comparison,
        };
        let queue = JobQueue::new((&maildrop, &self.decisions, &self.policy), &failed_before, broken);
        let mut fetch = Fetch {
            run: &run,
            client: &mut client,
            maildrop: &maildrop,
            decisions: &self.decisions,
            comparison,
            keys: &keys,
            sample: Vec::new(),
            failed_before: &failed_before,
            some_failed_before: self.some_failed_before,
            network_ends: &mut network_ends,
            policy: &self.policy,
            work: Some(sender),
            inbox,
            state: RoundState::new(&run, tally, Vec::new(), queue),
        };
        let result = work(&mut fetch, reports);
        let tally = fetch.state.end();
        drop(fetch);
        Came {
            result,
            work: orders.try_iter().map(|work| word(&work)).collect(),
            tally,
            reported: self.home.reported(),
            copies: fates.lock().unwrap().clone(),
        }
    }
}

impl<T> Came<T> {
    /// The numbers that may be deleted, because they were recognised.
    pub(super) fn recognised(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.tally.recognised.keys().map(|number| number.get()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// What comparisons came to, by number.
    pub(super) fn compared(&self) -> Vec<(u32, CompareResult)> {
        self.tally.compared.iter().map(|compared| (compared.number.get(), compared.result)).collect()
    }

    /// The numbers of what is to be deleted.
    pub(super) fn deletions(&self) -> Vec<u32> {
        self.tally.waiting.iter().map(|delivered| delivered.number().get()).collect()
    }

    pub(super) fn unstored(&self) -> Vec<u32> {
        self.tally.unstored.iter().map(|number| number.get()).collect()
    }
}

impl Fetch<'_> {
    /// The job for the message at this place, as the queue makes it.
    pub(super) fn job(&self, place: usize) -> Job {
        let broken = self.state.pipeline.standing.died.iter().filter_map(|(died, order)| match died {
            ListedAs::Numbered(number, _) => Some((*number, *order)),
            ListedAs::UniqueId(_) => None,
        });
        let listing = (self.maildrop, self.decisions, self.policy);
        JobQueue::new(listing, self.failed_before, broken.collect()).find(|job| job.index == place).unwrap()
    }
}

/// What the committer is asked to do, in words.
fn word(work: &Work) -> String {
    let name = |key: &Key| match key {
        Key::UniqueId(unique_id) => String::from_utf8_lossy(unique_id.borrow().as_bytes()).into_owned(),
        Key::Header(_) => "its header".to_owned(),
    };
    match work {
        Work::Batch(parcels) => {
            let numbers: Vec<String> =
                parcels.iter().map(|parcel| parcel.message.number.to_string()).collect();
            format!("deliver {}", numbers.join(" "))
        }
        Work::Same { number, same_as, .. } => format!("{number} is entry {}", same_as.entry.0),
        Work::Identify { entry, header, .. } if *header == Digest::UNKNOWN => {
            format!("entry {} has no header", entry.0)
        }
        Work::Identify { entry, .. } => format!("entry {} has this header", entry.0),
        Work::Varies { entry } => format!("entry {} varies", entry.0),
        Work::Renamed { key, .. } => format!("what was begun is listed as {}", name(key)),
        Work::TooLarge { key, .. } => format!("{} is too large", name(key)),
        Work::Discard(parcel) => format!("discard {}", parcel.message.number),
        Work::Failed { key, backs_off: true, .. } => format!("{} failed and waits", name(key)),
        Work::Failed { key, .. } => format!("{} failed", name(key)),
    }
}
