//! One session: log in, retrieve what is planned, delete, and part in the way that loses nothing.

use std::collections::HashSet;

use super::committer::{self, Work};
use super::compare::Comparison;
use super::destinations::Destinations;
use super::doubts;
use super::error::Error;
use super::fetch::{Fetch, State, Tally};
use super::login::{agree_on_pipelining, log_in};
use super::prepare::{Known, Prepared, prepare, sizes_are_due};
use super::quick;
use super::rounds::{Round, Rounds};
use super::run::Run;
use crate::client::{Ahead, Client, Farewell, Transaction};
use crate::exit::ExitCode;
use crate::ledger::memory::{Memory, Pipelining as Verdict};
use crate::ledger::{Entry, Ledger};
use crate::plan::{self, Decision, Maildrop, Policy, Who, Why};
use crate::proof::EntryId;
use crate::protocol::capability::{Capabilities, Expire};
use crate::protocol::types::Octets;
use crate::report::{Event, Summary};
use crate::secret::Secret;

/// What the sessions of one run have in common.
pub(super) struct Sessions<'a, 'b> {
    pub(super) run: &'a Run<'b>,
    pub(super) summary: &'a mut Summary,
    pub(super) memory: &'a mut Memory,
    pub(super) secret: &'a Secret,
    /// Messages, and their octets, that its sessions have delivered.
    pub(super) taken: (u64, Octets),
    /// Whether the server was taken to have answered out of step.
    pub(super) suspected: bool,
}

/// Which messages a session is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// All.
    Everything,
    /// One that failed before: in a session of its own, because a server that drops at `QUIT` what was retrieved may
    /// see `QUIT` only when all of it was stored.
    Only { left: Vec<EntryId> },
}

/// What a session came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Whether there should be another one.
    pub(super) next: Option<Scope>,
}

/// What a run works with.
pub(super) type Held = (Ledger, Destinations);

impl Sessions<'_, '_> {
    /// A session that begins with a quick poll's question.  Mostly it ends with it, the maildrop being as it was left;
    /// else it goes on, with the listings on their way.
    pub(super) fn glance(&mut self, question: Ahead) -> Result<Option<Client<Transaction>>, Error> {
        let mut client = self.login(question)?;
        let Some(glance) = client.glance()? else { return Ok(Some(client)) };
        if let (true, Some((messages, _))) = (quick::is_unchanged(self.memory, &glance), glance.drop_listing)
        {
            self.summary.listed = u64::from(messages);
            self.run.report(&Event::Listed { messages: self.summary.listed });
            self.run.detail(|| "the maildrop is as it was left: no listing taken".to_owned());
            client.quit(false)?;
            return Ok(None);
        }
        client.ask_listing(true, true)?;
        agree_on_pipelining(self.run, self.memory, &mut client);
        Ok(Some(client))
    }

    /// One session, perhaps one that has begun.  Ledger and destinations come back, unless the committer died with them.
    pub(super) fn one(
        &mut self,
        held: Held,
        begun: Option<Client<Transaction>>,
        scope: &Scope,
        extra: bool,
    ) -> (Option<Held>, Result<Outcome, Error>) {
        let (ledger, destinations) = held;
        let listing = Ahead::Listing {
            drop_listing: quick::wanted(self.run),
            sizes: sizes_are_due(self.memory.sizes, ledger.now())
                || quick::expects_mail(self.run, self.memory),
        };
        let client = match begun.map_or_else(|| self.login(listing), Ok) {
            Ok(client) => client,
            // Nothing is lost when an extra session isn't to be had.
            Err(e) if extra && e.is_transient() => {
                self.run.detail(|| format!("no further session: {e}"));
                return (Some((ledger, destinations)), Ok(Outcome { next: None }));
            }
            Err(e) => return (Some((ledger, destinations)), Err(e)),
        };
        let taken = &mut self.taken;
        let session = Session { run: self.run, summary: self.summary, memory: self.memory, scope, taken };
        let (held, outcome) = session.transact(client, ledger, destinations);
        if outcome.is_err() {
            // What it was about may be due although the maildrop looks as it was left.
            quick::forget(self.memory);
        }
        (held, outcome)
    }

    fn login(&mut self, ahead: Ahead) -> Result<Client<Transaction>, Error> {
        log_in(self.run, self.memory, self.secret, Some(ahead))
    }
}

struct Session<'a, 'b> {
    run: &'a Run<'b>,
    summary: &'a mut Summary,
    memory: &'a mut Memory,
    scope: &'a Scope,
    taken: &'a mut (u64, Octets),
}

impl Session<'_, '_> {
    fn transact(
        mut self,
        mut client: Client<Transaction>,
        mut ledger: Ledger,
        mut destinations: Destinations,
    ) -> (Option<Held>, Result<Outcome, Error>) {
        let prepared = match prepare(self.run, &mut client, &mut ledger, self.memory, self.scope, *self.taken)
        {
            Ok(prepared) => prepared,
            Err(e) => {
                client.hang_up();
                return (Some((ledger, destinations)), Err(e));
            }
        };
        self.summary.listed = u64::try_from(prepared.maildrop.len()).unwrap_or(u64::MAX);
        self.tell_plan(&prepared.maildrop, &prepared.decisions);
        let Prepared { mut maildrop, decisions, policy, suspicion, drop_listing } = prepared;
        let mut tally = Tally { in_step: true, ..Tally::default() };
        let mut rounds = Rounds::new(suspicion.is_some(), &maildrop);
        let has_top = client.capabilities().is_none_or(Capabilities::top);
        let first =
            rounds.first(decisions, (&maildrop, &policy), &ledger, &self.memory.habits, has_top).map(Some);
        let mut result = Ok(());
        let mut next = first;
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
            if result.is_err() || tally.trouble.is_some() || *self.scope != Scope::Everything {
                break;
            }
            let habits = &mut self.memory.habits;
            next = rounds.next(self.run, comparison, (&mut maildrop, &policy), &mut ledger, habits, &tally);
        }
        if result.is_ok() && tally.trouble.is_none() && *self.scope == Scope::Everything {
            result = doubts::settle(&mut ledger, &mut self.memory.habits, &maildrop, &policy);
        }
        self.count(&tally);
        if let Err(e) = result {
            client.hang_up();
            return (Some((ledger, destinations)), Err(e));
        }
        let parted = self.part(client, &mut ledger, &mut tally);
        let parted = parted.and_then(|confirmed| {
            self.remember(confirmed, &maildrop, &ledger, &policy, drop_listing, &tally)?;
            Ok(confirmed)
        });
        let outcome = match (parted, tally.trouble.take()) {
            (Err(e), _) | (Ok(_), Some(e)) => Err(e),
            (Ok(confirmed), None) => Ok(self.outcome(confirmed, &policy, &maildrop, &ledger, &tally)),
        };
        (Some((ledger, destinations)), outcome)
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
            && *self.scope == Scope::Everything
            && !self.run.context.stop.raised();
        if well && quick::wanted(self.run) {
            quick::remember(self.run, self.memory, maildrop, ledger, policy, drop_listing, tally)?;
        } else {
            quick::forget(self.memory);
        }
        Ok(())
    }

    fn tell_plan(&self, maildrop: &Maildrop, decisions: &[Decision]) {
        let mut messages = 0_u64;
        let mut octets = Some(Octets(0));
        let mut elsewhere = 0_u64;
        for (listed, decision) in maildrop.iter().zip(decisions) {
            match decision {
                Decision::Leave(why @ (Why::BackingOff | Why::Elsewhere)) => {
                    self.run.detail(|| format!("message {} is left for now: {why}", listed.number));
                }
                Decision::Leave(_) => {}
                Decision::Retrieve(_) | Decision::Compare(_) | Decision::Delete(_) => {
                    messages = messages.saturating_add(1);
                    octets = octets.zip(listed.octets).map(|(sum, octets)| sum.plus(octets));
                }
            }
            elsewhere = elsewhere.saturating_add(u64::from(*decision == Decision::Leave(Why::Elsewhere)));
        }
        if elsewhere > 0 {
            let waiting = crate::text::count(elsewhere, "message");
            self.run.warn(format!(
                "{waiting} on the server still to be delivered to a destination that isn't configured now: configure \
                 it again, or give the message to all that are with --all"
            ));
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
        let Round { decisions, comparison, ready } = round;
        if ready.is_empty() && !decisions.iter().any(|decision| !matches!(decision, Decision::Leave(_))) {
            return Ok((ledger, comparison, Ok(())));
        }
        let known = Known::read(maildrop, &decisions, &ledger, destinations)?;
        let (reports, inbox) = committer::reports().map_err(Error::Pipe)?;
        let (work, orders) = std::sync::mpsc::channel::<Work>();
        let Destinations { entrances, exits } = destinations;
        let mut fetch = Fetch {
            run: self.run,
            client,
            maildrop,
            decisions: &decisions,
            comparison,
            lacking: known.lacking,
            keys: known.keys,
            failed_before: known.failed_before,
            entrances,
            policy,
            work: Some(work),
            inbox,
            state: State::new(std::mem::take(tally), ready),
        };
        std::thread::scope(|scope| {
            let committer = std::thread::Builder::new()
                .name("committer".to_owned())
                // It owns the reports, which end with it, however it ends.
                .spawn_scoped(scope, move || committer::run(ledger, exits, &orders, &reports))
                .map_err(Error::Pipe)?;
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

    fn count(&mut self, tally: &Tally) {
        let summary = &mut *self.summary;
        summary.delivered = summary.delivered.saturating_add(tally.delivered);
        summary.octets = summary.octets.saturating_add(tally.octets);
        summary.failed = summary.failed.saturating_add(tally.failed);
        let (messages, octets) = &mut *self.taken;
        *messages = messages.saturating_add(tally.delivered);
        *octets = octets.plus(Octets(tally.octets));
        if let Some(exit) = tally.exit {
            self.mark(exit);
        }
    }

    /// Something failed that the events have told about.
    fn mark(&mut self, exit: ExitCode) {
        let trouble = self.summary.trouble.get_or_insert_with(|| crate::report::Trouble {
            exit,
            message: String::new(),
            hint: None,
            news: true,
        });
        trouble.exit = trouble.exit.merge(exit);
    }

    /// Ends the session; whether the server has confirmed that.
    fn part(
        &mut self,
        client: Client<Transaction>,
        ledger: &mut Ledger,
        tally: &mut Tally,
    ) -> Result<bool, Error> {
        if !tally.refused.is_empty() {
            self.mark(ExitCode::Later);
        }
        if client.outstanding() > 0 {
            // Stopped, and not everything was answered in time: the next run deletes.
            client.hang_up();
            return Ok(false);
        }
        if tally.not_stored && drops_at_quit(&client) {
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
        if tally.in_step && tally.retrieved && client.checks_step() {
            self.memory.pipelining = Verdict::InStep;
        }
        let matters = tally.retrieved || deleted > 0;
        match client.quit(matters)? {
            Farewell::Confirmed => {
                let deleted = u64::try_from(deleted).unwrap_or(u64::MAX);
                self.summary.deleted = self.summary.deleted.saturating_add(deleted);
                ledger.confirm_deletion(asked)?;
                Ok(true)
            }
            Farewell::Refused(text) => {
                if deleted > 0 {
                    self.run.warn(format!("the server did not confirm the deletions: {text}"));
                }
                Ok(false)
            }
            Farewell::Unanswered => Ok(!matters),
        }
    }

    fn outcome(
        &self,
        confirmed: bool,
        policy: &Policy,
        maildrop: &Maildrop,
        ledger: &Ledger,
        tally: &Tally,
    ) -> Outcome {
        if !policy.window {
            return Outcome { next: None };
        }
        let next = match self.scope {
            Scope::Everything if confirmed && tally.delivered > 0 => Some(Scope::Everything),
            Scope::Everything => {
                let left: Vec<EntryId> = maildrop
                    .iter()
                    .filter_map(|listed| match listed.who {
                        Who::Known(id) if is_due(&ledger.entry(id), policy) => Some(id),
                        _ => None,
                    })
                    .take(10)
                    .collect();
                (!left.is_empty() && tally.failed == 0).then_some(Scope::Only { left })
            }
            Scope::Only { left } => match left.split_last() {
                Some((_, rest)) if !rest.is_empty() => Some(Scope::Only { left: rest.to_vec() }),
                _ => None,
            },
        };
        Outcome { next }
    }
}

/// Whether it failed, and has waited long enough.
fn is_due(entry: &Entry, policy: &Policy) -> bool {
    entry.failures > 0 && !plan::backs_off(entry, policy)
}

/// Whether this server may delete at `QUIT` what was merely retrieved (RFC 1939 §8), said in this very session.
fn drops_at_quit(client: &Client<Transaction>) -> bool {
    let before = client.login_facts().capabilities_before.as_ref();
    [before, client.capabilities()]
        .into_iter()
        .flatten()
        .any(|capabilities| capabilities.expire() == Some(Expire::Days(0)) || capabilities.google_rico())
}
