//! One session: log in, retrieve what is planned, delete, and part in the way that loses nothing.

use std::collections::HashSet;
use std::collections::hash_map::Entry;

use super::alerts;
use super::committer::{self, Work};
use super::compare::Comparison;
use super::conditions;
use super::destinations::Destinations;
use super::doubts;
use super::error::Error;
use super::fetch::naming::Naming;
use super::fetch::standing::{self, Header, Pace, Standing};
use super::fetch::{CompareResult, Fetch, State, Tally};
use super::login::{agree_on_pipelining, log_in};
use super::prepare::{self, Known, Prepared, prepare, sizes_are_due};
use super::quick;
use super::rounds::{Round, Rounds};
use super::run::Run;
use crate::client::{self, Client, Farewell, Pipelining, Prefetch, Transaction};
use crate::clock;
use crate::ledger::memory::{Flight, Memory, Pipelining as Verdict};
use crate::ledger::{self, Ledger};
use crate::plan::{self, Decision, Listed, Maildrop, Policy, Who, Why};
use crate::proof::{EntryId, Key};
use crate::protocol::capability::{Capabilities, Expire};
use crate::report::{Event, Summary};
use crate::secret::Secret;
use crate::types::{MessageNumber, Octets, UniqueIdBuf};

/// After so many sessions in a row that brought nothing there is no other one.
const MOST_IDLE: u32 = 2;

/// What the sessions of one run have in common.
pub(super) struct Sessions<'a, 'b> {
    pub(super) run: &'a Run<'b>,
    pub(super) summary: &'a mut Summary,
    pub(super) memory: &'a mut Memory,
    pub(super) secret: &'a Secret,
    /// Messages, and their octets, that its sessions have delivered.
    pub(super) taken: (u64, Octets),
    /// What its sessions have learnt for those that follow.
    pub(super) course: Course,
}

/// What the sessions of a run learn for those that follow.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// One command at a time from now on: the server was taken to have answered out of step.
    pub(super) unpipelined: bool,
    /// No answer of this server names a message: one in each session.
    pub(super) nothing_names: bool,
    /// This many messages are asked for one by one, each followed by a question: a session broke off at one of them.
    pub(super) careful: usize,
    /// Sessions in a row that broke off at a message, asked for alone, without any other coming through.
    pub(super) broken: u32,
    /// Sessions that broke off, one command at a time, with several messages in doubt.
    pub(super) disordered: u32,
    /// Sessions in a row that ended well before the limit that was set to them.
    pub(super) good: u32,
    /// Not asked for again in this run.
    set_aside: HashSet<SetAside>,
    /// Whether any session has brought something.
    pub(super) came: bool,
    /// Entries that were matched in a session: the same match again brings nothing,
    matched: HashSet<EntryId>,
    /// nor does the same deletion.
    deleted: HashSet<EntryId>,
    /// Whether the last session has brought anything but deletions.
    brought: bool,
    /// Sessions in a row that have brought nothing.
    idle: u32,
    /// How the last session ended.
    pub(super) ended: Ended,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ended {
    /// Commands shared a flight.
    pub(super) pipelined: bool,
    /// Messages asked for since the last answer that named.
    pub(super) void: usize,
    /// One message is certainly the cause.
    pub(super) blamed: bool,
    /// Something was to be deleted at its end.
    pub(super) unconfirmed: bool,
    /// The connection ended, as it has before at another message.
    pub(super) cut_again: bool,
    /// `QUIT` was not confirmed, and deletions hang on it.
    pub(super) quit_lost: bool,
    /// Messages, or headers, that were confirmed.
    pub(super) confirmed: u32,
    /// Commands answered after the listing.
    pub(super) answered: u32,
}

/// A message, as another session will list it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SetAside {
    Entry(EntryId),
    UniqueId(UniqueIdBuf),
    /// Without a unique-id: the same number and size.
    Numbered(MessageNumber, Option<Octets>),
}

/// Why there is another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// It's the first.
    First,
    /// The server shows only a window of the maildrop: nothing is lost if there is no other session.
    Window,
    /// Something is left to do.
    Rest,
}

/// Which messages a session is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// All.
    Everything,
    /// One that failed before: in a session of its own, because a server that drops at `QUIT` what was retrieved may
    /// see `QUIT` only when all of it was stored.
    Only { left: Vec<EntryId> },
    /// Those that failed before: the last session, which may have to end without `QUIT`.
    Failed,
    /// Those at which a session broke off: each session begins with one, and another one may follow.
    Broken,
}

/// What a session came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Whether there should be another one.
    pub(super) next: Option<(Scope, Follows)>,
    /// Whether something is left that it was meant to do, and that waits for another session.
    pub(super) left: bool,
}

/// What a run works with.
pub(super) type Held = (Ledger, Destinations);

impl Sessions<'_, '_> {
    /// A session that begins with a quick poll's question.  Mostly it ends with it, the maildrop being as it was left;
    /// else it goes on, with the listings on their way.
    pub(super) fn glance(&mut self, question: Prefetch) -> Result<Option<Client<Transaction>>, Error> {
        let mut client = log_in(self.run, self.memory, self.secret, Some(question))?;
        let glance = match client.quick_poll() {
            Ok(glance) => glance,
            Err(e) => {
                // The server may no longer answer what comes behind the password: the next run doesn't count on it.
                self.memory.flight = Flight::Unproven;
                quick::forget(self.memory);
                return Err(e.into());
            }
        };
        let Some(glance) = glance else { return Ok(Some(client)) };
        if let (true, Some((messages, _))) = (quick::is_unchanged(self.memory, &glance), glance.drop_listing)
        {
            self.summary.listed = u64::from(messages);
            self.run.report(&Event::Listed { messages: self.summary.listed });
            self.run.detail(|| "the maildrop is as it was left: no listing taken".to_owned());
            conditions::carry(self.memory, self.summary);
            client.quit_without_answer()?;
            return Ok(None);
        }
        client.ask_listing()?;
        agree_on_pipelining(self.run, self.memory, &mut client);
        Ok(Some(client))
    }

    /// One session, perhaps one that has begun.  Ledger and destinations come back, unless the committer died with them.
    pub(super) fn one(
        &mut self,
        held: Held,
        begun: Option<Client<Transaction>>,
        scope: &Scope,
        follows: Follows,
    ) -> (Option<Held>, Result<Outcome, Error>) {
        let (ledger, destinations) = held;
        let listing = Prefetch::Listing {
            drop_listing: true,
            headers: match (prepare::spot_checks(self.memory), self.memory.limit) {
                // Where commands are few, one must do.
                ([first, _], Some(_)) => [first, None],
                (headers, None) => headers,
            },
            sizes: sizes_are_due(self.memory.sizes, ledger.now())
                || quick::expects_mail(self.run, self.memory),
        };
        self.course.ended = Ended::default();
        let client = match begun.map_or_else(|| log_in(self.run, self.memory, self.secret, Some(listing)), Ok)
        {
            Ok(client) => client,
            // Nothing is lost when an extra session isn't to be had, whatever the server says about it: it has just let
            // us in.
            Err(e) if follows == Follows::Window => {
                self.run.detail(|| format!("no further session: {e}"));
                return (Some((ledger, destinations)), Ok(Outcome { next: None, left: false }));
            }
            Err(Error::Client(e)) if follows == Follows::Rest && e.refuses_credentials() => {
                return (Some((ledger, destinations)), Err(Error::NoFurtherSession(e)));
            }
            Err(e) => return (Some((ledger, destinations)), Err(e)),
        };
        let Self { run, summary, memory, taken, course, .. } = self;
        let session = Session { run, summary, memory, scope, taken, course };
        let (held, outcome) = session.transact(client, ledger, destinations);
        if outcome.is_err() {
            // What it was about may be due although the maildrop looks as it was left.
            quick::forget(self.memory);
        }
        (held, outcome)
    }
}

struct Session<'a, 'b> {
    run: &'a Run<'b>,
    summary: &'a mut Summary,
    memory: &'a mut Memory,
    scope: &'a Scope,
    taken: &'a mut (u64, Octets),
    course: &'a mut Course,
}

impl Session<'_, '_> {
    fn transact(
        mut self,
        mut client: Client<Transaction>,
        mut ledger: Ledger,
        mut destinations: Destinations,
    ) -> (Option<Held>, Result<Outcome, Error>) {
        if self.course.unpipelined {
            client.set_pipelining(Pipelining::Off);
        }
        self.course.ended.pipelined = client.pipelines();
        let prepared = match prepare(self.run, &mut client, &mut ledger, self.memory, self.scope, *self.taken)
        {
            Ok(prepared) => prepared,
            Err(e) => {
                client.hang_up();
                return (Some((ledger, destinations)), Err(e));
            }
        };
        let Prepared { mut maildrop, mut decisions, policy, suspicion, drop_listing } = prepared;
        self.summary.listed = u64::try_from(maildrop.len()).unwrap_or(u64::MAX);
        let others_wait =
            self.set_aside(&mut decisions, &maildrop, &ledger, drops_at_quit(&client) && !policy.window);
        self.tell_plan(&maildrop, &decisions, &ledger);
        let standing = match self.standing(&client, &maildrop, drop_listing) {
            Ok(standing) => standing,
            Err(e) => {
                client.hang_up();
                return (Some((ledger, destinations)), Err(e));
            }
        };
        let by_header = |decision: &Decision| *decision == Decision::Compare(Why::Nameless);
        if standing.header.is_missing()
            && !maildrop.has_unique_ids()
            && !policy.deletes_everything()
            && decisions.iter().any(by_header)
        {
            client.hang_up();
            return (Some((ledger, destinations)), Err(Error::NoIdentity { server: self.run.server() }));
        }
        // What is set aside isn't asked for to be deleted either.
        let uncertain = self.entries_set_aside(&ledger).into_iter().collect();
        let mut tally = Tally { standing, cut_short: others_wait, uncertain, ..Tally::default() };
        let mut kept = self.keep_for_the_end(&mut decisions, &maildrop, &ledger);
        let mut rounds = Rounds::new(suspicion.is_some(), &maildrop);
        let has_top = !tally.standing.header.is_missing();
        self.memory.habits.top = has_top && client.capabilities().is_some_and(Capabilities::top);
        let mut next =
            rounds.first(decisions, (&maildrop, &policy), &ledger, &self.memory.habits, has_top).map(Some);
        let mut result = Ok(());
        loop {
            let round = match next {
                Ok(Some(round)) => round,
                Ok(None) => break,
                Err(e) => {
                    result = Err(e);
                    break;
                }
            };
            let ended =
                self.round(&mut client, ledger, &mut destinations, (&maildrop, &policy), round, &mut tally);
            let comparison;
            (ledger, comparison, result) = match ended {
                Ok(ended) => ended,
                Err(e) => {
                    client.hang_up();
                    return (None, Err(e));
                }
            };
            let goes_on = result.is_ok() && tally.trouble.is_none();
            if !goes_on || !matches!(self.scope, Scope::Everything | Scope::Broken) {
                break;
            }
            let habits = &mut self.memory.habits;
            next =
                rounds.next(self.run, comparison, (&mut maildrop, &policy), &mut ledger, habits, &mut tally);
            if matches!(next, Ok(None)) && !kept.is_empty() && !self.run.context.stop.raised() {
                if tally.standing.asked == 0 && tally.standing.gone.is_empty() {
                    let kept = std::mem::take(&mut kept);
                    next = rounds.last(kept, (&maildrop, &policy), &ledger).map(Some);
                } else {
                    tally.left_alone = true;
                }
            }
            if tally.over {
                // What is left is another session's.
                match next {
                    Ok(Some(round)) => tally.cut_short |= !round.is_empty(),
                    Ok(None) => {}
                    Err(e) => result = Err(e),
                }
                break;
            }
        }
        if result.is_ok() && !tally.over && !tally.waiting.is_empty() {
            let round = Round { ready: std::mem::take(&mut tally.waiting), ..Round::default() };
            let ended =
                self.round(&mut client, ledger, &mut destinations, (&maildrop, &policy), round, &mut tally);
            (ledger, _, result) = match ended {
                Ok(ended) => ended,
                Err(e) => {
                    client.hang_up();
                    return (None, Err(e));
                }
            };
        }
        if result.is_ok() && tally.trouble.is_none() && *self.scope == Scope::Everything {
            result = doubts::settle(&mut ledger, &mut self.memory.habits, &maildrop, &policy, &tally);
        }
        self.count(&tally, &maildrop, &ledger, &policy);
        if let Err(e) = self.learn(&tally, &maildrop, &ledger, policy.deletes()) {
            result = result.and(Err(e));
        }
        if let Err(e) = result {
            client.hang_up();
            // The server accepted these deletions, and it isn't known whether it carries them out.
            let doubted = ledger.doubt(Some(&tally.accepted)).map_err(Error::from);
            return (Some((ledger, destinations)), doubted.and(Err(e)));
        }
        let drops = drops_at_quit(&client);
        let parted = self.part(client, &mut ledger, &policy, &mut tally);
        let parted = parted.and_then(|confirmed| {
            self.remember(confirmed, &maildrop, &ledger, &policy, drop_listing, &tally)?;
            Ok(confirmed)
        });
        let outcome = match (parted, tally.trouble.take()) {
            (Err(e), _) | (Ok(_), Some(e)) => Err(e),
            (Ok(confirmed), None) => {
                Ok(self.outcome((confirmed, drops), &policy, &maildrop, &ledger, &tally))
            }
        };
        (Some((ledger, destinations)), outcome)
    }

    /// What holds for the whole session.
    fn standing(
        &self,
        client: &Client<Transaction>,
        maildrop: &Maildrop,
        drop_listing: Option<(u32, Octets)>,
    ) -> Result<Standing, Error> {
        let seed = clock::random().map_err(client::Error::Random)?;
        let known = self.memory.names.map(|(form, _)| form);
        // Where `STAT` wasn't asked, it's likely to count what the listing counts.
        let counted = || {
            let octets = maildrop.iter().try_fold(Octets(0), |sum, listed| Some(sum.plus(listed.octets?)))?;
            Some((u32::try_from(maildrop.len()).ok()?, octets))
        };
        let drop_listing = drop_listing.or_else(counted);
        let has_top = client.capabilities().is_none_or(|capabilities| capabilities.top());
        let died = self.memory.died.iter().cloned().collect::<HashSet<_>>();
        // Where a session may be cut, what came until then should be confirmed.
        let is_sure = died.is_empty() && self.memory.limit.is_none();
        let first = if is_sure { standing::first_pace(client) } else { 1 };
        Ok(Standing {
            naming: Naming::new(u64::from_ne_bytes(seed), known, maildrop.has_unique_ids(), drop_listing),
            pace: Pace::new(self.course.careful, first),
            header: Header::new(!has_top),
            budget: self.memory.limit.map(|limit| limit.commands),
            others_came: self.course.came,
            died,
            ..Standing::default()
        })
    }

    /// Leaves alone what this run has tried in vain; and, where a server deletes at `QUIT` what was merely retrieved, what
    /// failed before, unless this session is for nothing else.  Whether any of it waits for another session.
    fn set_aside(
        &self,
        decisions: &mut [Decision],
        maildrop: &Maildrop,
        ledger: &Ledger,
        drops_at_quit: bool,
    ) -> bool {
        let only_broken = *self.scope == Scope::Broken;
        if self.course.set_aside.is_empty() && !drops_at_quit && !only_broken && *self.scope != Scope::Failed
        {
            return false;
        }
        let broken = self.broken(maildrop, ledger);
        let ids = self.entries_set_aside(ledger);
        let aside = |listed: &Listed<'_>| match listed.who {
            Who::Known(id) => ids.contains(&id),
            Who::New(unique_id) => self.course.set_aside.contains(&SetAside::UniqueId(unique_id.to_buf())),
            Who::Nameless => {
                self.course.set_aside.contains(&SetAside::Numbered(listed.number, listed.octets))
            }
        };
        let failed =
            |listed: &Listed<'_>| matches!(listed.who, Who::Known(id) if ledger.entry(id).failures > 0);
        let of_failed_only = *self.scope == Scope::Failed;
        let mut others_wait = false;
        for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
            let not_now = only_broken && !broken.contains(&listed.number);
            let leave = aside(&listed)
                || (drops_at_quit && failed(&listed) != of_failed_only)
                || (of_failed_only && !failed(&listed));
            if (leave || not_now) && !matches!(decision, Decision::Leave(_)) {
                others_wait |= !leave;
                *decision = Decision::Leave(Why::BackingOff);
            }
        }
        others_wait
    }

    fn entries_set_aside(&self, ledger: &Ledger) -> HashSet<EntryId> {
        let entry = |aside: &SetAside| match aside {
            SetAside::Entry(id) => Some(*id),
            SetAside::UniqueId(unique_id) => ledger.find(unique_id.borrow()),
            SetAside::Numbered(..) => None,
        };
        self.course.set_aside.iter().filter_map(entry).collect()
    }

    /// Where a session broke off at some messages before, nothing that others wait for hangs on them: they are tried when
    /// all else has been done, deletions too.  Their decisions; none where there are no such messages.
    fn keep_for_the_end(
        &self,
        decisions: &mut [Decision],
        maildrop: &Maildrop,
        ledger: &Ledger,
    ) -> Vec<Decision> {
        if *self.scope != Scope::Everything {
            return Vec::new();
        }
        let broken = self.broken(maildrop, ledger);
        if broken.is_empty() {
            return Vec::new();
        }
        let mut kept = vec![Decision::Leave(Why::Known); decisions.len()];
        let mut any = false;
        for ((decision, kept), listed) in decisions.iter_mut().zip(&mut kept).zip(maildrop.iter()) {
            if broken.contains(&listed.number) && !matches!(decision, Decision::Leave(_)) {
                *kept = std::mem::replace(decision, Decision::Leave(Why::BackingOff));
                any = true;
            }
        }
        if any { kept } else { Vec::new() }
    }

    /// Messages at which a session broke off before.
    fn broken(&self, maildrop: &Maildrop, ledger: &Ledger) -> HashSet<MessageNumber> {
        let died = &self.memory.died;
        if died.is_empty() {
            return HashSet::new();
        }
        let ids: HashSet<EntryId> =
            died.iter().filter_map(|unique_id| ledger.find(unique_id.borrow())).collect();
        let has_died = |listed: &Listed<'_>| match listed.who {
            Who::Known(id) => ids.contains(&id),
            Who::New(unique_id) => died.iter().any(|died| died.borrow() == unique_id),
            Who::Nameless => false,
        };
        maildrop.iter().filter(has_died).map(|listed| listed.number).collect()
    }

    /// What the session showed of the server, for those that follow.
    fn learn(
        &mut self,
        tally: &Tally,
        maildrop: &Maildrop,
        ledger: &Ledger,
        deletes: bool,
    ) -> Result<(), Error> {
        let Standing { naming, pace, confirmed, answered, .. } = &tally.standing;
        let course = &mut *self.course;
        course.came |= *confirmed > 0;
        course.careful = pace.careful;
        let matched = tally.compared.iter().filter(|compared| compared.result == CompareResult::Matched);
        let matched = matched.filter(|compared| compared.entry.is_some_and(|id| course.matched.insert(id)));
        let mut brought = matched.count() > 0;
        brought |= tally.delivered > 0 || !tally.survived.is_empty();
        course.ended = Ended {
            pipelined: course.ended.pipelined,
            void: tally.void,
            blamed: tally.blamed.is_some(),
            cut_again: tally.cut_again,
            quit_lost: false,
            unconfirmed: deletes && (tally.delivered > 0 || !tally.accepted.is_empty()),
            confirmed: *confirmed,
            answered: *answered,
        };
        for number in tally.unstored.iter().chain(&tally.blamed) {
            let Some(listed) = maildrop.find(*number) else { continue };
            // It may be listed under another unique-id, or without one, and another message under its.
            let mut asides = vec![match listed.who {
                Who::New(unique_id) => SetAside::UniqueId(unique_id.to_buf()),
                Who::Known(id) => SetAside::Entry(id),
                Who::Nameless => SetAside::Numbered(*number, listed.octets),
            }];
            if let Who::Known(id) = listed.who
                && let Key::UniqueId(unique_id) = ledger.key(id)?
            {
                asides.push(SetAside::UniqueId(unique_id));
            }
            for aside in asides {
                brought |= course.set_aside.insert(aside);
            }
        }
        course.brought = brought;
        if let Some(form) = naming.found()
            && self.memory.names.map(|(known, _)| known) != Some(form)
        {
            self.memory.names = Some((form, clock::now()));
        }
        self.memory.died.retain(|unique_id| !tally.survived.contains(unique_id));
        for unique_id in &tally.died {
            self.memory.died_at(unique_id.clone());
        }
        Ok(())
    }

    /// For the next run's quick poll.
    fn remember(
        &mut self,
        confirmed: bool,
        maildrop: &Maildrop,
        ledger: &Ledger,
        policy: &Policy,
        drop_listing: Option<(u32, Octets)>,
        tally: &Tally,
    ) -> Result<(), Error> {
        let well = confirmed
            && tally.trouble.is_none()
            && conditions::show_in_a_quick_poll(self.summary)
            && *self.scope == Scope::Everything
            && !tally.cut_short
            && !tally.left_alone
            && !self.run.context.stop.raised();
        if well && quick::wanted(self.run) {
            quick::remember(self.run, self.memory, maildrop, ledger, policy, drop_listing, tally)?;
        } else {
            quick::forget(self.memory);
        }
        Ok(())
    }

    fn tell_plan(&mut self, maildrop: &Maildrop, decisions: &[Decision], ledger: &Ledger) {
        let mut messages = 0_u64;
        let mut octets = Some(Octets(0));
        for (listed, decision) in maildrop.iter().zip(decisions) {
            match decision {
                Decision::Leave(why @ (Why::BackingOff | Why::Elsewhere)) => {
                    self.run.detail(|| format!("message {} is left for now: {why}", listed.number));
                }
                Decision::Leave(why) if *why != Why::Waits => {}
                Decision::Leave(_) | Decision::Retrieve(_) | Decision::Compare(_) | Decision::Delete(_) => {
                    messages = messages.saturating_add(1);
                    octets = octets.zip(listed.octets).map(|(sum, octets)| sum.plus(octets));
                }
            }
        }
        if *self.scope == Scope::Everything {
            conditions::planned(self.summary, maildrop, decisions, ledger, &self.run.account.name);
        } else if messages > 0 && *self.scope != Scope::Broken {
            conditions::tried(self.summary);
        }
        self.run.report(&Event::Planned { messages, octets });
    }

    /// One round of a session: retrieves, compares and deletes what it says, with the committer beside the network, and
    /// adds to `tally`.  The ledger comes back with the round's own error, which may be either's; it doesn't where the
    /// committer could not be started, or died.
    fn round(
        &mut self,
        client: &mut Client<Transaction>,
        ledger: Ledger,
        destinations: &mut Destinations,
        (maildrop, policy): (&Maildrop, &Policy),
        round: Round,
        tally: &mut Tally,
    ) -> Result<(Ledger, Comparison, Result<(), Error>), Error> {
        if round.is_empty() {
            return Ok((ledger, round.comparison, Ok(())));
        }
        let Round { decisions, comparison, ready } = round;
        let mut known = Known::read(maildrop, &decisions, &ledger)?;
        let sample = tally.standing.naming.sample(maildrop.len());
        for listed in sample.iter().filter_map(|place| maildrop.at(*place)) {
            if let Who::Known(id) = listed.who
                && let Entry::Vacant(vacant) = known.keys.entry(id)
            {
                vacant.insert(ledger.key(id)?);
            }
        }
        let (reports, inbox) = committer::reports().map_err(Error::NoThread)?;
        let (work, orders) = std::sync::mpsc::channel::<Work>();
        let Destinations { entrances, exits } = destinations;
        let mut fetch = Fetch {
            run: self.run,
            client,
            maildrop,
            decisions: &decisions,
            comparison,
            keys: known.keys,
            sample,
            failed_before: known.failed_before,
            some_failed_before: alerts::messages_reported(self.memory),
            entrances,
            policy,
            work: Some(work),
            inbox,
            state: State::new(std::mem::take(tally), ready, (maildrop, &decisions, policy)),
        };
        std::thread::scope(|scope| {
            let committer = std::thread::Builder::new()
                .name("committer".to_owned())
                // It owns the reports, which end with it, however it ends.
                .spawn_scoped(scope, move || committer::run(ledger, exits, &orders, &reports))
                .map_err(Error::NoThread)?;
            let fetched = fetch.run();
            drop(fetch.work.take());
            let (ledger, committed) = committer.join().map_err(|_| Error::Bug)?;
            // What it still had to say has been said by now.
            fetch.last_reports();
            *tally = std::mem::take(&mut fetch.state.tally);
            // A disk that refuses outranks a line that broke.
            let result = committed.map_err(Error::from).and(fetched);
            Ok((ledger, fetch.comparison, result))
        })
    }

    fn count(&mut self, tally: &Tally, maildrop: &Maildrop, ledger: &Ledger, policy: &Policy) {
        let summary = &mut *self.summary;
        summary.delivered = summary.delivered.saturating_add(tally.delivered);
        summary.octets = summary.octets.saturating_add(tally.octets);
        summary.failed = summary.failed.saturating_add(tally.failed);
        let (messages, octets) = &mut *self.taken;
        *messages = messages.saturating_add(tally.delivered);
        *octets = octets.plus(Octets(tally.octets));
        conditions::elsewhere(self.summary, ledger, policy, tally, &self.run.account.name);
        conditions::failed(self.summary, maildrop, ledger, policy, tally);
        conditions::not_deleted(self.summary, tally.not_deleted);
        conditions::deletions(self.summary, tally);
        conditions::sizes_refused(self.summary, maildrop, ledger, policy, tally);
        conditions::nothing_names(self.summary, maildrop, ledger, policy, tally);
        if tally.folder_data && !std::mem::replace(&mut self.memory.habits.folder_data, true) {
            self.run.warn(
                "message 1 on the server isn't mail but its own book-keeping (\"FOLDER INTERNAL DATA\"): it's neither \
                 delivered nor deleted, and this is said once"
                    .to_owned(),
            );
        }
    }

    /// Ends the session; whether the server has confirmed that.
    fn part(
        &mut self,
        client: Client<Transaction>,
        ledger: &mut Ledger,
        policy: &Policy,
        tally: &mut Tally,
    ) -> Result<bool, Error> {
        if client.outstanding() > 0 {
            // Stopped, and not everything was answered in time: the next run deletes.
            client.hang_up();
            return Ok(false);
        }
        if tally.over {
            client.hang_up();
            return Ok(true);
        }
        if (tally.not_stored || !tally.aside.is_empty()) && drops_at_quit(&client) {
            self.run.detail(|| {
                "closed without QUIT: this server may drop what was retrieved, and not all of it is stored".to_owned()
            });
            client.hang_up();
            return Ok(false);
        }
        // Deletions count from QUIT on: by then the ledger must have what they rest on.  Of several messages with one key,
        // of which the server has refused to delete one, that one is there still.
        let refused: HashSet<EntryId> = tally.refused.iter().copied().collect();
        let deleted = tally.accepted.len();
        tally.accepted.retain(|id| !refused.contains(id));
        let asked = ledger.ask_deletion(&tally.accepted)?;
        if deleted > 0 {
            ledger.sync()?;
        }
        if tally.retrieved && client.pipelines() && self.memory.pipelining == Verdict::Unproven {
            self.memory.pipelining = Verdict::InStep;
        }
        let matters = tally.retrieved || deleted > 0;
        let farewell = if matters {
            client.quit()?
        } else {
            client.quit_without_answer()?;
            Farewell::Unanswered
        };
        match farewell {
            Farewell::Confirmed => {
                let deleted = u64::try_from(deleted).unwrap_or(u64::MAX);
                self.summary.deleted = self.summary.deleted.saturating_add(deleted);
                ledger.confirm_deletion(asked)?;
                Ok(true)
            }
            Farewell::Refused(text) => {
                self.course.ended.quit_lost = deleted > 0;
                conditions::quit(self.summary, ledger, policy, tally, Some(&text));
                Ok(false)
            }
            Farewell::Unanswered => {
                self.course.ended.quit_lost = deleted > 0;
                if matters {
                    conditions::quit(self.summary, ledger, policy, tally, None);
                }
                Ok(!matters)
            }
        }
    }

    fn outcome(
        &mut self,
        (confirmed, drops_at_quit): (bool, bool),
        policy: &Policy,
        maildrop: &Maildrop,
        ledger: &Ledger,
        tally: &Tally,
    ) -> Outcome {
        let left = || -> Vec<EntryId> {
            maildrop
                .iter()
                .filter_map(|listed| match listed.who {
                    Who::Known(id) if is_due(&ledger.entry(id), policy) => Some(id),
                    _ => None,
                })
                .take(10)
                .collect()
        };
        let course = &mut *self.course;
        let deleted = tally.accepted.iter().filter(|id| confirmed && course.deleted.insert(**id)).count();
        course.idle = if course.brought || deleted > 0 { 0 } else { course.idle.saturating_add(1) };
        let brought = course.idle < MOST_IDLE && (tally.standing.confirmed > 0 || !tally.accepted.is_empty());
        if confirmed && tally.cut_short && brought {
            let scope = if *self.scope == Scope::Broken { Scope::Everything } else { self.scope.clone() };
            return Outcome { next: Some((scope, Follows::Rest)), left: true };
        }
        // For the sake of those nothing else was asked in this session, or it has brought one of them.
        let broken = (tally.left_alone && confirmed && brought).then_some((Scope::Broken, Follows::Rest));
        let left_over = tally.cut_short || tally.left_alone;
        if !policy.window {
            let deletes = drops_at_quit && policy.deletes();
            let next = match self.scope {
                // What wasn't stored is left alone, so that the rest can be deleted.
                Scope::Everything if deletes && !confirmed && tally.not_stored && brought => {
                    Some((Scope::Everything, Follows::Rest))
                }
                // Unless this run has tried them already.
                Scope::Everything if drops_at_quit && confirmed && self.course.set_aside.is_empty() => {
                    (!left().is_empty()).then_some((Scope::Failed, Follows::Rest))
                }
                _ => None,
            };
            return Outcome { next: next.or(broken), left: left_over };
        }
        let next = match self.scope {
            Scope::Everything if confirmed && tally.delivered > 0 => Some(Scope::Everything),
            Scope::Everything => {
                let left = left();
                (!left.is_empty() && tally.failed == 0).then_some(Scope::Only { left })
            }
            Scope::Only { left } => match left.split_last() {
                Some((_, rest)) if !rest.is_empty() => Some(Scope::Only { left: rest.to_vec() }),
                // The window shows others now.
                _ => (confirmed && tally.delivered > 0).then_some(Scope::Everything),
            },
            Scope::Failed | Scope::Broken => None,
        };
        Outcome { next: next.map(|scope| (scope, Follows::Window)).or(broken), left: left_over }
    }
}

/// Whether it failed, and has waited long enough.
fn is_due(entry: &ledger::Entry, policy: &Policy) -> bool {
    entry.failures > 0 && !plan::backs_off(entry, policy)
}

/// Whether this server may delete at `QUIT` what was merely retrieved (RFC 1939 §8), said in this very session.
pub(super) fn drops_at_quit(client: &Client<Transaction>) -> bool {
    let before = client.server_facts().capabilities.as_ref();
    [before, client.capabilities()]
        .into_iter()
        .flatten()
        .any(|capabilities| capabilities.expire() == Some(Expire::Days(0)) || capabilities.google_rico())
}
