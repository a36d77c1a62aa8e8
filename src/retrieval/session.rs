//! One session: log in, retrieve what is planned, delete, and end it in the way that loses nothing.
//!
//! What lives how long:
//!
//! | | lives for | holds |
//! |---|---|---|
//! | [`Memory`] | many runs, in a file | what is known of the server, and how the last run went |
//! | [`Course`] | a run | what one session leaves to the next |
//! | [`SessionStanding`], [`Tally`] | a session | what the pipeline counts over all rounds; what came of it |
//! | [`Rounds`] | a session | which rounds are over |
//! | [`Fetch`], [`RoundState`], `Pipeline` | a round | commands on their way, answers that aren't believed yet |

mod conclusion;
pub(super) mod deletions;
mod known;
mod left_out;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use super::alerts;
use super::by_word;
use super::committer::{self, Work};
use super::conditions;
use super::course::{Course, Scope, SessionOutcome};
use super::deliveries::DeliveryReports;
use super::destinations::OpenDestinations;
use super::doubts;
use super::error::Error;
use super::fetch::{Fetch, JobQueue, RoundState, Tally};
use super::pipeline::naming::Naming;
use super::pipeline::standing::{self, HeaderSupport, QuestionPace, SessionStanding};
use super::rounds::{Round, Rounds};
use super::run::Run;
use super::survey::{self, Survey};
use super::window;
use crate::account::Retention;
use crate::client::{self, Client, Farewell, Sending, Transaction};
use crate::clock;
use crate::ledger::Ledger;
use crate::ledger::memory::{KnownPipelining, Memory};
use crate::message::Digest;
use crate::plan::compare::Comparison;
use crate::plan::{self, Decision, Maildrop, Policy, Who, Why};
use crate::proof::{DestinationId, EntryId, Key};
use crate::protocol::capability::Capabilities;
use crate::report::{Event, RunSummary};
use crate::text::count;
use crate::types::{Octets, UniqueIdBuf, wide};
use known::KnownBefore;

/// What a run works with, from its recovery to its end.
pub(super) struct Stores {
    pub(super) ledger: Ledger,
    pub(super) destinations: OpenDestinations,
}

pub(super) struct MailSession<'a, 'b> {
    pub(super) run: &'a Run<'b>,
    pub(super) summary: &'a mut RunSummary,
    pub(super) memory: &'a mut Memory,
    pub(super) scope: &'a Scope,
    /// Messages, and their octets, that the run's sessions have delivered.
    pub(super) taken: &'a mut (u64, Octets),
    pub(super) course: &'a mut Course,
}

/// What a session lists, and the policy that it goes by.
struct Basis {
    maildrop: Maildrop,
    policy: Policy,
}

/// What a session is about to do.
struct Prepared {
    listing: Basis,
    decisions: Vec<Decision>,
    /// What is tried when all else has been done.
    kept: Vec<Decision>,
    /// Whether the listing is suspect.
    suspected: bool,
    /// What `STAT` reported, if it was asked.
    drop_listing: Option<(u32, Octets)>,
    tally: Tally,
}

impl MailSession<'_, '_> {
    /// From the listing to the farewell.  If the result is [`Error::Bug`], the ledger must not be used again.
    pub(super) fn transact(
        mut self,
        mut client: Client<Transaction>,
        held: &mut Stores,
    ) -> Result<SessionOutcome, Error> {
        if self.course.unpipelined {
            client.set_pipelining(Sending::Off);
        }
        self.course.ended.pipelined = client.pipelines();
        let work = match self.prepare(&mut client, &mut held.ledger) {
            Ok(work) => work,
            Err(e) => {
                client.hang_up();
                return Err(e);
            }
        };
        let Prepared { mut listing, decisions, kept, suspected, drop_listing, mut tally } = work;
        let renumbering = held.ledger.is_renumbering();
        let mut rounds = Rounds::new(suspected, renumbering, &listing.maildrop);
        let result = self.rounds((&mut rounds, decisions, kept), &mut client, held, &mut listing, &mut tally);
        let Basis { maildrop, policy } = &listing;
        let result = result.and_then(|()| self.settle(held, &listing, &tally));
        self.count(&tally, maildrop, &held.ledger, policy);
        let configured: Vec<DestinationId> =
            held.destinations.committer_ends.iter().map(|end| end.id).collect();
        conditions::delivered_elsewhere(self.summary, maildrop, &held.ledger, &configured);
        let result = result.and(self.learn(&tally, maildrop, &held.ledger, policy.deletes()));
        if let Err(e) = result {
            client.hang_up();
            if !matches!(e, Error::Bug) {
                // The server accepted these deletions, and it isn't known whether it carries them out.
                held.ledger.doubt(Some(&tally.accepted))?;
            }
            return Err(e);
        }
        let drops = client.drops_at_quit();
        let confirmed = self.end(client, &mut held.ledger, &listing, &mut tally)?;
        if policy.window && confirmed && self.did_everything(&tally) {
            let given_up = self.entries_given_up(&held.ledger);
            window::remember(self.memory, maildrop, &held.ledger, &given_up, self.run.now)?;
        }
        self.remember(confirmed, maildrop, &held.ledger, policy, drop_listing, &tally)?;
        match tally.failure.take() {
            Some(e) => Err(e),
            None => Ok(self.outcome((confirmed, drops), policy, maildrop, &held.ledger, &tally)),
        }
    }

    /// Asks for the headers of what is known by the user's word alone, as many as one session may, and parts.
    pub(super) fn identify(
        mut self,
        mut client: Client<Transaction>,
        held: &mut Stores,
        maildrop: Maildrop,
        policy: Policy,
    ) -> Result<(), Error> {
        let mut decisions = plan::decide(&maildrop, &held.ledger, &policy);
        for decision in decisions.iter_mut().filter(|decision| **decision != Decision::Identify) {
            *decision = Decision::Leave(Why::Known);
        }
        survey::identify_some(&client, &mut decisions);
        let standing = self.standing(&client, &maildrop, None)?;
        let mut tally = Tally { standing, ..Tally::default() };
        let mut rounds = Rounds::new(false, false, &maildrop);
        let (habits, has_top) = (&self.memory.habits, true);
        let round = rounds.first(decisions, (&maildrop, &policy), &held.ledger, habits, has_top)?;
        let listing = Basis { maildrop, policy };
        match self.round(&mut client, held, &listing, round, &mut tally) {
            Ok(_) => Ok(client.quit_without_answer()?),
            Err(e) => {
                client.hang_up();
                Err(e)
            }
        }
    }

    /// Lists and decides, and leaves alone what this session isn't about.
    fn prepare(&mut self, client: &mut Client<Transaction>, ledger: &mut Ledger) -> Result<Prepared, Error> {
        let Survey { mut maildrop, mut decisions, mut policy, suspicion, drop_listing } =
            survey::survey(self.run, client, ledger, self.memory, *self.taken)?;
        if self.course.keeps && !policy.window {
            policy.retention = Retention::Keep;
        }
        if by_word::is_first(self.run, ledger) {
            by_word::begin(self.run, &mut maildrop, ledger, &policy)?;
            decisions = plan::decide(&maildrop, ledger, &policy);
            survey::identify_some(client, &mut decisions);
        }
        self.scope.restrict(&mut decisions, &maildrop, ledger, &policy);
        self.report_too_large(&maildrop, ledger, &decisions)?;
        self.summary.listed = wide(maildrop.len());
        let others_wait =
            self.leave_given_up(&mut decisions, &maildrop, ledger, client.drops_at_quit() && !policy.window);
        if let Some(only) = &self.run.options.only {
            let only = by_word::named(only, &maildrop, ledger)?;
            for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
                if only.binary_search(&listed.number).is_err() {
                    *decision = Decision::Leave(Why::Known);
                }
            }
        }
        self.tell_plan(&maildrop, &decisions, ledger);
        let standing = self.standing(client, &maildrop, drop_listing)?;
        let by_header = |decision: &Decision| *decision == Decision::Compare(Why::Nameless);
        let has_top = !standing.header.is_missing();
        if !has_top
            && !maildrop.has_unique_ids()
            && !policy.deletes_everything()
            && decisions.iter().any(by_header)
        {
            return Err(Error::NoIdentity { server: self.run.server() });
        }
        self.memory.habits.top = has_top && client.capabilities().is_some_and(Capabilities::top);
        // What is given up isn't asked for to be deleted either.
        let uncertain = self.entries_given_up(ledger).into_iter().collect();
        let tally = Tally { standing, cut_short: others_wait, uncertain, ..Tally::default() };
        let kept = self.keep_for_the_end(&mut decisions, &maildrop, ledger);
        let (listing, suspected) = (Basis { maildrop, policy }, suspicion.is_some());
        Ok(Prepared { listing, decisions, kept, suspected, drop_listing, tally })
    }

    /// All rounds, and the deletions that wait for the last question.
    fn rounds(
        &mut self,
        (rounds, decisions, mut kept): (&mut Rounds, Vec<Decision>, Vec<Decision>),
        client: &mut Client<Transaction>,
        held: &mut Stores,
        listing: &mut Basis,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let has_top = !tally.standing.header.is_missing();
        let habits = &self.memory.habits;
        let both = (&listing.maildrop, &listing.policy);
        let mut next = Some(rounds.first(decisions, both, &held.ledger, habits, has_top)?);
        while let Some(round) = next {
            let comparison = self.round(client, held, listing, round, tally)?;
            // What later rounds would decide is another run's matter where only what failed is tried; but what was set aside
            // is part of that.
            let only_aside = matches!(self.scope, Scope::Only { .. }) || self.run.options.retry;
            if tally.failure.is_some() || (only_aside && tally.standing.aside.is_empty()) {
                break;
            }
            let habits = &mut self.memory.habits;
            let Basis { maildrop, policy } = &mut *listing;
            next = rounds.next(self.run, comparison, (maildrop, policy), &mut held.ledger, habits, tally)?;
            if let (true, Some(round)) = (only_aside, next.as_mut().filter(|round| !round.questions)) {
                round.keep_only(&tally.standing.aside, maildrop);
            }
            if next.is_none() && !kept.is_empty() && !self.run.context.stop.raised() {
                if tally.standing.asked == 0 && tally.standing.gone.is_empty() {
                    next = Some(rounds.last(std::mem::take(&mut kept), (maildrop, policy), &held.ledger)?);
                } else {
                    tally.left_alone = true;
                }
            }
            if tally.over {
                // What is left is another session's.
                tally.cut_short |= next.is_some_and(|round| !round.is_empty());
                tally.left_alone |= !kept.is_empty();
                return Ok(());
            }
        }
        let ready = std::mem::take(&mut tally.waiting);
        if !tally.over && !ready.is_empty() {
            self.round(client, held, listing, Round { ready, ..Round::default() }, tally)?;
        }
        Ok(())
    }

    /// Whether all was done that the decisions asked for, and they were about all.
    fn did_everything(&self, tally: &Tally) -> bool {
        let is_whole = tally.failure.is_none() && !tally.cut_short && !self.run.context.stop.raised();
        is_whole && *self.scope == Scope::Everything
    }

    /// Overwrites what the decisions rested on, if all was done that they asked for.
    fn settle(&mut self, held: &mut Stores, listing: &Basis, tally: &Tally) -> Result<(), Error> {
        if !self.did_everything(tally) {
            return Ok(());
        }
        let Basis { maildrop, policy } = listing;
        doubts::settle(&mut held.ledger, &mut self.memory.habits, maildrop, policy, tally)
    }

    fn report_too_large(
        &self,
        maildrop: &Maildrop,
        ledger: &mut Ledger,
        decisions: &[Decision],
    ) -> Result<(), Error> {
        for (listed, decision) in maildrop.iter().zip(decisions) {
            if *decision != Decision::Leave(Why::TooLarge) {
                continue;
            }
            let key = match listed.who {
                Who::New(unique_id) => Key::UniqueId(unique_id.to_buf()),
                Who::Known(id) if !ledger.entry(id).reported_too_large => ledger.key(id)?,
                Who::Known(_) | Who::Nameless => continue,
            };
            ledger.too_large(&key, listed.octets)?;
            let (number, octets) = (listed.number, listed.octets.unwrap_or_default());
            self.run.report(&Event::TooLarge { number, octets });
        }
        ledger.flush()?;
        Ok(())
    }

    /// What holds for the whole session.
    fn standing(
        &self,
        client: &Client<Transaction>,
        maildrop: &Maildrop,
        drop_listing: Option<(u32, Octets)>,
    ) -> Result<SessionStanding, Error> {
        let seed = clock::random().map_err(client::Error::Random)?;
        let known = self.memory.names.map(|(form, _)| form);
        // Where `STAT` wasn't asked, it's likely to count what the listing counts.
        let counted = || {
            let octets = maildrop.iter().try_fold(Octets(0), |sum, listed| Some(sum.plus(listed.octets?)))?;
            Some((u32::try_from(maildrop.len()).ok()?, octets))
        };
        let drop_listing = drop_listing.or_else(counted);
        let died: HashMap<_, _> = self.memory.died.iter().cloned().zip(0..).collect();
        // Where a session may be cut, what came until then should be confirmed.
        let is_sure = died.is_empty() && self.memory.limit.is_none();
        let first = if is_sure { standing::first_pace(client) } else { 1 };
        Ok(SessionStanding {
            naming: Naming::new(u64::from_ne_bytes(seed), known, maildrop.has_unique_ids(), drop_listing),
            pace: QuestionPace::new(self.course.careful, first),
            header: HeaderSupport::new(!client.may_have_top()),
            // Where nothing is deleted, nothing hangs on its end.
            budget: self.memory.limit.filter(|_| !self.course.keeps).map(|limit| limit.commands),
            others_came: self.course.came,
            died,
            ..SessionStanding::default()
        })
    }

    fn tell_plan(&mut self, maildrop: &Maildrop, decisions: &[Decision], ledger: &Ledger) {
        let mut messages = 0_u64;
        let mut octets = Some(Octets(0));
        let mut headers = 0_u64;
        for (listed, decision) in maildrop.iter().zip(decisions) {
            match decision {
                Decision::Leave(why @ (Why::BackingOff | Why::Elsewhere)) => {
                    self.run.detail(|| format!("message {} is left for now: {why}", listed.number));
                }
                Decision::Identify => headers = headers.saturating_add(1),
                Decision::Leave(why) if *why != Why::Waits => {}
                Decision::Leave(_) | Decision::Retrieve(_) | Decision::Compare(_) | Decision::Delete(_) => {
                    messages = messages.saturating_add(1);
                    octets = octets.zip(listed.octets).map(|(sum, octets)| sum.plus(octets));
                }
            }
        }
        if headers > 0 {
            let headers = count(headers, "message");
            self.run.detail(|| {
                format!("the headers of {headers} are asked for, which are known by your word alone")
            });
        }
        if *self.scope == Scope::Everything {
            conditions::planned(self.summary, maildrop, decisions, ledger, &self.run.account.name);
        } else if messages > 0 && *self.scope != Scope::Broken {
            conditions::tried(self.summary);
        }
        self.run.report(&Event::Planned { messages, octets });
    }

    /// One round of a session: retrieves, compares and deletes what it holds, with the committer beside the network, and
    /// adds to `tally`.  The error may be either's.
    fn round(
        &mut self,
        client: &mut Client<Transaction>,
        held: &mut Stores,
        listing: &Basis,
        round: Round,
        tally: &mut Tally,
    ) -> Result<Comparison, Error> {
        if round.is_empty() {
            return Ok(round.comparison);
        }
        let Basis { maildrop, policy } = listing;
        let Stores { ledger, destinations } = held;
        let Round { decisions, mut comparison, ready, .. } = round;
        self.remind(&mut comparison, ledger);
        comparison.deletes = policy.deletes() || client.drops_at_quit();
        let sample = tally.standing.naming.sample(maildrop.len());
        let known = KnownBefore::read(maildrop, &decisions, &sample, ledger)?;
        let broken = self.broken(maildrop, ledger);
        let queue = JobQueue::new((maildrop, &decisions, policy), &known.failed_before, broken);
        let (reports, inbox) = committer::reports().map_err(Error::NoThread)?;
        let (work, orders) = std::sync::mpsc::channel::<Work>();
        let mut deliveries = DeliveryReports::new(self.run, ledger);
        let OpenDestinations { network_ends, committer_ends } = destinations;
        let mut fetch = Fetch {
            run: self.run,
            client,
            maildrop,
            decisions: &decisions,
            comparison,
            keys: &known.keys,
            sample,
            failed_before: &known.failed_before,
            some_failed_before: alerts::messages_reported(self.memory),
            network_ends,
            policy,
            work: Some(work),
            inbox,
            state: RoundState::new(self.run, std::mem::take(tally), ready, queue),
        };
        let result = std::thread::scope(|scope| {
            let committer = std::thread::Builder::new()
                .name("committer".to_owned())
                // It owns the reports, which end with it, however it ends.
                .spawn_scoped(scope, move || {
                    committer::run(ledger, committer_ends, &orders, &reports, &mut deliveries)
                })
                .map_err(Error::NoThread)?;
            let fetched = fetch.run();
            drop(fetch.work.take());
            let committed = committer.join().map_err(|_| Error::Bug)?;
            // What it still had to report has been reported by now.
            fetch.last_reports();
            // A disk that refuses outranks a connection that broke.
            committed.map_err(Error::from).and(fetched)
        });
        *tally = fetch.state.end();
        result.map(|()| fetch.comparison)
    }

    /// What earlier sessions and runs have seen of messages that the ledger doesn't hold.
    fn remind(&self, comparison: &mut Comparison, ledger: &Ledger) {
        let entry =
            |(unique_id, digest): &(UniqueIdBuf, Digest)| Some((ledger.find(unique_id.borrow())?, *digest));
        comparison.withheld = self.memory.withheld.iter().filter_map(entry).collect();
        // One at which a session broke off comes behind others, perhaps with its header.
        comparison.some_failed = alerts::messages_wait(self.memory)
            || !(self.course.given_up.is_empty() && self.memory.died.is_empty());
    }

    /// Adds what a session came to, to what the run has.
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
                "message 1 on the server isn't mail but its own internal data (\"FOLDER INTERNAL DATA\"): it's neither \
                 delivered nor deleted, and this is reported once"
                    .to_owned(),
            );
        }
    }

    /// Ends the session.  Whether what it did counts on the server: it has confirmed `QUIT`, or nothing depended on that.
    fn end(
        &mut self,
        client: Client<Transaction>,
        ledger: &mut Ledger,
        Basis { maildrop, policy }: &Basis,
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
        if (tally.not_stored || !tally.standing.aside.is_empty()) && client.drops_at_quit() {
            self.run.detail(|| {
                "closed without QUIT: this server may drop what was retrieved, and not all of it is stored".to_owned()
            });
            client.hang_up();
            return Ok(false);
        }
        // Deletions count from QUIT on: by then the ledger must have what they rest on.
        let deleted = tally.accepted.len();
        let refused: HashSet<EntryId> = tally.refused.iter().copied().collect();
        let deletions =
            deletions::of(maildrop, ledger, &tally.accepted, &tally.accepted_deliveries, &refused)?;
        tally.accepted.retain(|id| !refused.contains(id));
        let asked = ledger.ask_deletion(&deletions)?;
        if deleted > 0 {
            ledger.sync()?;
        }
        if tally.retrieved && client.pipelines() && self.memory.pipelining == KnownPipelining::Unproven {
            self.memory.pipelining = KnownPipelining::InStep;
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
                let deleted = wide(deleted);
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
                self.course.ended.quit_unanswered = deleted > 0;
                if matters {
                    conditions::quit(self.summary, ledger, policy, tally, None);
                }
                Ok(!matters)
            }
        }
    }
}
