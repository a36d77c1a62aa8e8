//! One session: log in, list, plan, retrieve, delete, and part in the way that loses nothing.

use std::collections::{HashMap, HashSet};

use super::committer::{self, Work};
use super::compare::{self, Comparison};
use super::destinations::{self, Destinations};
use super::error::Error;
use super::fetch::{Fetch, Lacking, State, Tally};
use super::quick;
use super::run::Run;
use crate::client::{self, Ahead, Call, Client, Credentials, Farewell, LoginFacts, Pipelining, Transaction};
use crate::clock::Time;
use crate::config::account::{Account, Auth, Switch};
use crate::exit::ExitCode;
use crate::ledger::memory::{Memory, Offer, Pipelining as Verdict, Stage};
use crate::ledger::{self, Entry, Ledger};
use crate::message::Examiner;
use crate::plan::{self, Decision, Maildrop, Policy, Who, Why};
use crate::proof::{Delivered, EntryId, Key};
use crate::protocol::auth::Method;
use crate::protocol::capability::{Capabilities, Expire};
use crate::protocol::types::{MessageNumber, Octets};
use crate::report::{Action, Event, Summary};
use crate::secret::Secret;

/// With a full listing, `LIST` is asked so often at least: a unique-id used again shows by its size.
const SIZES_EVERY: i64 = 86_400;
/// What a server offers is asked again after a week.
const OFFERS_LAST: i64 = 7 * 86_400;

/// What the sessions of one run have in common.
pub(super) struct Sessions<'a, 'b> {
    pub(super) run: &'a Run<'b>,
    pub(super) summary: &'a mut Summary,
    pub(super) memory: &'a mut Memory,
    pub(super) secret: &'a Secret,
    /// Messages, and their octets, that its sessions have delivered.
    pub(super) taken: (u64, Octets),
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

type Held = (Ledger, Destinations);

impl Sessions<'_, '_> {
    /// One session.  Ledger and destinations come back, unless the committer died with them.
    pub(super) fn one(
        &mut self,
        held: Held,
        scope: &Scope,
        extra: bool,
    ) -> (Option<Held>, Result<Outcome, Error>) {
        let (ledger, destinations) = held;
        let mut client = match self.login(&ledger, scope) {
            Ok(client) => client,
            // Nothing is lost when an extra session isn't to be had.
            Err(e) if extra && e.is_transient() => {
                self.run.detail(|| format!("no further session: {e}"));
                return (Some((ledger, destinations)), Ok(Outcome { next: None }));
            }
            Err(e) => return (Some((ledger, destinations)), Err(e)),
        };
        match self.glance(&mut client) {
            Ok(false) => {}
            Ok(true) => {
                let parted = client.quit(false).map(|_| Outcome { next: None }).map_err(Error::from);
                return (Some((ledger, destinations)), parted);
            }
            Err(e) => {
                client.hang_up();
                return (Some((ledger, destinations)), Err(e));
            }
        }
        let taken = &mut self.taken;
        let session = Session { run: self.run, summary: self.summary, memory: self.memory, scope, taken };
        session.transact(client, ledger, destinations)
    }

    fn login(&mut self, ledger: &Ledger, scope: &Scope) -> Result<Client<Transaction>, Error> {
        self.run.report(&Event::Connecting { server: self.run.server() });
        let now = ledger.now();
        let listing = Ahead::Listing {
            drop_listing: quick::wanted(self.run),
            sizes: sizes_are_due(self.memory.sizes, now),
        };
        let ahead = quick::question(self.run, ledger, self.memory, scope).unwrap_or(listing);
        let mut attempt = login(self.run, self.memory, self.secret, now, Some(ahead));
        if let Err(Error::Client(e)) = &attempt
            && !matches!(e, client::Error::Connection(_))
        {
            // What was remembered may be why.
            let remembered = !std::mem::take(&mut self.memory.offers).is_empty();
            if remembered && matches!(e, client::Error::LoginRefused { secret_sent: false, .. }) {
                attempt = login(self.run, self.memory, self.secret, now, Some(ahead));
            }
        }
        let client = attempt?;
        let facts = client.login_facts();
        self.run.report(&Event::LoggedIn { mechanism: facts.method.name() });
        pin(self.memory, self.run.account.auth, facts);
        if let Some(before) = &facts.capabilities_before
            && facts.trustworthy
            && facts.asked
        {
            self.memory.put_offer(Offer {
                way: way(self.run.account),
                stage: Stage::BeforeLogin,
                when: now,
                capabilities: before.to_lines().lines().map(|line| line.as_bytes().to_vec()).collect(),
            });
        }
        Ok(client)
    }

    /// Whether a quick poll was taken, and the maildrop is as it was left.  If it isn't, the listings are on their way.
    fn glance(&mut self, client: &mut Client<Transaction>) -> Result<bool, Error> {
        let Some(glance) = client.glance()? else { return Ok(false) };
        if let (true, Some((messages, _))) = (quick::is_unchanged(self.memory, &glance), glance.drop_listing)
        {
            self.summary.listed = u64::from(messages);
            self.run.report(&Event::Listed { messages: self.summary.listed });
            self.run.detail(|| "the maildrop is as it was left: no listing taken".to_owned());
            return Ok(true);
        }
        client.ask_listing(true, true)?;
        agree_on_pipelining(self.run, self.memory, client);
        Ok(false)
    }
}

/// Which way a server is reached: what it offers holds for this one only.
fn way(account: &Account) -> String {
    let Account { host, port, tls, trust, .. } = account;
    format!("{host}:{port} {tls:?} {trust:?}")
}

/// What the server offered this way before login, if that was asked not long ago.
fn remembered(memory: &Memory, account: &Account, now: Time) -> Option<Capabilities> {
    let offer = memory.offer(&way(account), Stage::BeforeLogin)?;
    let age = now.seconds_since(offer.when);
    if !(0..OFFERS_LAST).contains(&age) {
        return None;
    }
    let lines: Vec<_> = offer.capabilities.iter().map(|line| String::from_utf8_lossy(line)).collect();
    Some(Capabilities::from_lines(&lines.join("\n")))
}

fn sizes_are_due(sizes: Option<Time>, now: Time) -> bool {
    sizes.is_none_or(|then| now.seconds_since(then).abs() >= SIZES_EVERY)
}

/// Remembers the strongest method that `auto` has used here: nothing weaker is used by itself from now on.
fn pin(memory: &mut Memory, auth: Auth, facts: &LoginFacts) {
    let before = memory.strongest.as_deref().and_then(Method::from_name).map_or(0, Method::strength);
    if auth == Auth::Auto && facts.trustworthy && facts.method.strength() > before {
        memory.strongest = Some(facts.method.name().to_owned());
    }
}

/// Connects and logs in; `ahead` goes out with the login if the server pipelines.
pub(super) fn login(
    run: &Run<'_>,
    memory: &Memory,
    secret: &Secret,
    now: Time,
    ahead: Option<Ahead>,
) -> Result<Client<Transaction>, Error> {
    let account = run.account;
    let remembered = remembered(memory, account, now);
    let call = Call {
        host: &account.host,
        port: account.port,
        tls: account.tls,
        trust: &account.trust,
        timeout: account.timeout,
        connectors: run.context.connectors,
        stop: &run.context.stop,
        remembered: remembered.as_ref(),
        dialogue: run.dialogue(),
    };
    let credentials = Credentials {
        host: &account.host,
        port: account.port,
        user: &account.user,
        secret,
        auth: account.auth,
        strongest_ever: memory.strongest.as_deref().and_then(Method::from_name),
        pipelining: account.pipelining != Switch::Off && memory.pipelining != Verdict::Broken,
        ahead,
    };
    let mut client = Client::open(&call)?.login(&credentials)?;
    agree_on_pipelining(run, memory, &mut client);
    Ok(client)
}

/// Says how commands are sent, by what the server offers after login.
fn agree_on_pipelining(run: &Run<'_>, memory: &Memory, client: &mut Client<Transaction>) {
    let account = run.account;
    let offered = client.capabilities().is_some_and(|capabilities| capabilities.pipelining());
    client.set_pipelining(match account.pipelining {
        Switch::Off => Pipelining::Off,
        Switch::Auto if !offered => Pipelining::Off,
        Switch::Auto | Switch::On => match memory.pipelining {
            Verdict::InStep => Pipelining::Trusted,
            Verdict::Broken if account.pipelining == Switch::Auto => Pipelining::Off,
            // Whoever switched it on wants it, but no message under another's unique-id.
            Verdict::Broken | Verdict::Unproven => Pipelining::Checked,
        },
    });
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
        let mut prepared =
            match prepare(self.run, &mut client, &mut ledger, self.memory, self.scope, *self.taken) {
                Ok(prepared) => prepared,
                Err(e) => {
                    client.hang_up();
                    return (Some((ledger, destinations)), Err(e));
                }
            };
        self.summary.listed = u64::try_from(prepared.maildrop.len()).unwrap_or(u64::MAX);
        self.tell_plan(&prepared.maildrop, &prepared.decisions);
        let (mut tally, result);
        (ledger, tally, result) = match self.fetch(&mut client, ledger, &mut destinations, &mut prepared) {
            Ok(fetched) => fetched,
            Err(e) => {
                client.hang_up();
                return (None, Err(e));
            }
        };
        let Prepared { mut maildrop, policy, drop_listing, .. } = prepared;
        self.count(&tally);
        if let Err(e) = result {
            client.hang_up();
            return (Some((ledger, destinations)), Err(e));
        }
        let parted = self.part(client, &mut ledger, &mut maildrop, &policy, &mut tally);
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
                Decision::Retrieve(_) | Decision::Compare(_) => {
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

    /// Runs the committer beside the network; the error of either is the session's.
    fn fetch(
        &mut self,
        client: &mut Client<Transaction>,
        ledger: Ledger,
        destinations: &mut Destinations,
        prepared: &mut Prepared,
    ) -> Result<(Ledger, Tally, Result<(), Error>), Error> {
        let Prepared { maildrop, decisions, policy, comparison, .. } = prepared;
        if !decisions.iter().any(|decision| !matches!(decision, Decision::Leave(_))) {
            return Ok((ledger, Tally { in_step: true, ..Tally::default() }, Ok(())));
        }
        let known = Known::read(maildrop, decisions, &ledger, destinations)?;
        let (reports, inbox) = committer::reports().map_err(Error::Pipe)?;
        let (work, orders) = std::sync::mpsc::channel::<Work>();
        let Destinations { entrances, exits } = destinations;
        let mut fetch = Fetch {
            run: self.run,
            client,
            maildrop,
            decisions,
            comparison: std::mem::take(comparison),
            lacking: known.lacking,
            keys: known.keys,
            failed_before: known.failed_before,
            entrances,
            policy,
            work: Some(work),
            inbox,
            state: State::default(),
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
            let tally = std::mem::take(&mut fetch.state.tally);
            // A disk that refuses outranks a line that broke.
            let result = committed.map_err(Error::from).and(fetched);
            Ok((ledger, tally, result))
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

    /// Deletes what the policy retires, and ends the session.
    fn part(
        &mut self,
        mut client: Client<Transaction>,
        ledger: &mut Ledger,
        maildrop: &mut Maildrop,
        policy: &Policy,
        tally: &mut Tally,
    ) -> Result<bool, Error> {
        if *self.scope == Scope::Everything && !self.run.context.stop.raised() {
            self.retire(&mut client, ledger, maildrop, policy, tally)?;
        }
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
        // Deletions count from QUIT on: by then the ledger must have what they rest on.
        if !tally.accepted.is_empty() {
            ledger.sync()?;
        }
        if tally.in_step && tally.retrieved && client.checks_step() {
            self.memory.pipelining = Verdict::InStep;
        }
        let matters = tally.retrieved || !tally.accepted.is_empty();
        match client.quit(matters)? {
            Farewell::Confirmed => {
                let deleted = u64::try_from(tally.accepted.len()).unwrap_or(u64::MAX);
                self.summary.deleted = self.summary.deleted.saturating_add(deleted);
                // Of several messages with one key, one is there still.
                let refused: HashSet<EntryId> = tally.refused.drain(..).collect();
                tally.accepted.retain(|id| !refused.contains(id));
                ledger.deleted(&tally.accepted)?;
                ledger.flush()?;
                Ok(true)
            }
            Farewell::Refused(text) => {
                if !tally.accepted.is_empty() {
                    self.run.warn(format!("the server did not confirm the deletions: {text}"));
                }
                Ok(false)
            }
            Farewell::Unanswered => Ok(!matters),
        }
    }

    fn retire(
        &mut self,
        client: &mut Client<Transaction>,
        ledger: &mut Ledger,
        maildrop: &mut Maildrop,
        policy: &Policy,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        if !maildrop.has_sizes() {
            // LIST was asked and refused: whether a unique-id still stands for the same message can't be told.
            return Ok(());
        }
        adopt(maildrop, ledger);
        let uncertain: HashSet<EntryId> = tally.uncertain.iter().copied().collect();
        let done: HashSet<EntryId> = tally.accepted.iter().chain(&tally.refused).copied().collect();
        let retired =
            plan::retire(maildrop, ledger, policy, &|id| uncertain.contains(&id) || done.contains(&id));
        if retired.is_empty() {
            return Ok(());
        }
        let proofs: Vec<Delivered> =
            retired.iter().filter_map(|retired| ledger.delivered(retired.entry, retired.number)).collect();
        for retired in &retired {
            self.run.detail(|| format!("message {} is deleted: {}", retired.number, retired.why));
        }
        super::fetch::delete_all(self.run, client, &proofs, tally)
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
                        Who::Known(id) if is_due(&ledger.entry(id), policy.now) => Some(id),
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
fn is_due(entry: &Entry, now: Time) -> bool {
    entry.failures > 0 && entry.retry_after.is_none_or(|at| at <= now)
}

/// Gives messages that this run delivered their entries, so that they count among the newest.
fn adopt(maildrop: &mut Maildrop, ledger: &Ledger) {
    let found: Vec<(MessageNumber, EntryId)> = maildrop
        .iter()
        .filter_map(|listed| match listed.who {
            Who::New(unique_id) => ledger.find(unique_id).map(|id| (listed.number, id)),
            Who::Known(_) | Who::Nameless => None,
        })
        .collect();
    for (number, id) in found {
        maildrop.assign(number, id);
    }
}

/// Whether this server may delete at `QUIT` what was merely retrieved (RFC 1939 §8), said in this very session.
fn drops_at_quit(client: &Client<Transaction>) -> bool {
    let before = client.login_facts().capabilities_before.as_ref();
    [before, client.capabilities()]
        .into_iter()
        .flatten()
        .any(|capabilities| capabilities.expire() == Some(Expire::Days(0)) || capabilities.google_rico())
}

/// What a session is about to do.
pub(super) struct Prepared {
    pub(super) maildrop: Maildrop,
    pub(super) decisions: Vec<Decision>,
    pub(super) policy: Policy,
    /// What headers have not settled.
    pub(super) comparison: Comparison,
    /// What `STAT` said, if it was asked.
    pub(super) drop_listing: Option<(u32, Octets)>,
}

/// Lists and decides.  Writes to the ledger what it learns by the way.
fn prepare(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    ledger: &mut Ledger,
    memory: &mut Memory,
    scope: &Scope,
    taken: (u64, Octets),
) -> Result<Prepared, Error> {
    let mut policy = policy(run, ledger);
    policy.taken = taken;
    policy.window = is_window(client);
    let drop_listing = client.drop_listing_ahead()?;
    let maildrop = list(run, client, ledger, &policy, memory.sizes)?;
    quick::judge(memory, &maildrop, ledger)?;
    if client.checks_step() && !maildrop.has_unique_ids() {
        // No answer names a message well enough to prove the server in step.
        client.set_pipelining(Pipelining::Off);
    }
    // Of an empty maildrop no sizes were asked: a poll of it must not write that they were.
    if maildrop.has_sizes() && !maildrop.is_empty() {
        memory.sizes = (!plan::has_changed_size(&maildrop, ledger)).then(|| ledger.now());
    }
    let mut decisions = plan::decide(&maildrop, ledger, &policy);
    record_listing(&maildrop, ledger, &policy)?;
    restrict(&mut decisions, &maildrop, ledger, &policy, scope);
    let comparison = examine(run, client, &maildrop, ledger, &policy, &mut decisions, true)?;
    report_too_large(run, &maildrop, ledger, &decisions)?;
    Ok(Prepared { maildrop, decisions, policy, comparison, drop_listing })
}

/// What this run's policies come to.
fn policy(run: &Run<'_>, ledger: &Ledger) -> Policy {
    let destinations = destinations::numbers(run, ledger);
    Policy::new(run.account, run.options.retention, run.options.all, destinations, ledger)
}

fn is_window(client: &Client<Transaction>) -> bool {
    let before = client.login_facts().capabilities_before.as_ref();
    [before, client.capabilities()].into_iter().flatten().any(|capabilities| capabilities.google_rico())
}

/// The unique-id listing, and the scan listing where it is needed.
fn list(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    ledger: &Ledger,
    policy: &Policy,
    sizes: Option<Time>,
) -> Result<Maildrop, Error> {
    let mut maildrop = Maildrop::default();
    let known = client.unique_ids::<Error>(|number, unique_id| {
        maildrop.add(number, unique_id, unique_id.and_then(|id| ledger.find(id)));
        Ok(())
    })?;
    if known {
        maildrop.complete()?;
    } else {
        maildrop = Maildrop::default();
        nameless(client, &mut maildrop)?;
    }
    run.report(&Event::Listed { messages: u64::try_from(maildrop.len()).unwrap_or(u64::MAX) });
    // What was asked ahead must be read, of an empty maildrop too: `QUIT` comes when every command has had its answer.
    let ask = !maildrop.has_sizes() && needs_sizes(&maildrop, ledger, policy, sizes);
    if client.has_sizes_ahead() || ask {
        client.sizes(|number, octets| maildrop.size(number, octets))?;
    }
    Ok(maildrop)
}

/// Without `UIDL`, the scan listing says what there is.
fn nameless(client: &mut Client<Transaction>, maildrop: &mut Maildrop) -> Result<(), Error> {
    let mut sizes = Vec::new();
    if !client.sizes(|number, octets| sizes.push((number, octets)))? {
        return Err(Error::NoListing);
    }
    for (number, _) in &sizes {
        maildrop.add(*number, None, None);
    }
    maildrop.complete()?;
    for (number, octets) in sizes {
        maildrop.size(number, octets);
    }
    Ok(())
}

/// Whether anything is new, failed, to be compared or deleted, or a day has passed since sizes were looked at.
fn needs_sizes(maildrop: &Maildrop, ledger: &Ledger, policy: &Policy, sizes: Option<Time>) -> bool {
    plan::decide(maildrop, ledger, policy).iter().any(|decision| !matches!(decision, Decision::Leave(_)))
        || !plan::retire(maildrop, ledger, policy, &|_| false).is_empty()
        || sizes_are_due(sizes, ledger.now())
}

/// Writes down that a complete listing was taken, and sizes that were not known.
fn record_listing(maildrop: &Maildrop, ledger: &mut Ledger, policy: &Policy) -> Result<(), Error> {
    if policy.window || !maildrop.has_unique_ids() {
        // Not what the maildrop holds, only what the server shows of it.
        return Ok(());
    }
    let held: Vec<EntryId> = maildrop
        .iter()
        .filter_map(|listed| match listed.who {
            Who::Known(id) => Some(id),
            Who::New(_) | Who::Nameless => None,
        })
        .collect();
    ledger.complete_listing(&mut held.into_iter())?;
    let sizes = maildrop.iter().filter_map(|listed| match (listed.who, listed.octets) {
        (Who::Known(id), Some(octets)) => Some((id, octets)),
        _ => None,
    });
    Ok(ledger.listed_all(&mut sizes.into_iter())?)
}

/// In a window, what failed before is tried in a session of its own.
fn restrict(
    decisions: &mut [Decision],
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    scope: &Scope,
) {
    if !policy.window {
        return;
    }
    for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
        let Who::Known(id) = listed.who else {
            if *scope != Scope::Everything {
                *decision = Decision::Leave(Why::BackingOff);
            }
            continue;
        };
        let leave = match scope {
            Scope::Everything => ledger.entry(id).failures > 0,
            Scope::Only { left } => left.last() != Some(&id),
        };
        if leave {
            *decision = Decision::Leave(Why::BackingOff);
        }
    }
}

/// Settles by `TOP n 0` what a header can settle.  With `write`, the ledger learns it.
fn examine(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    maildrop: &Maildrop,
    ledger: &mut Ledger,
    policy: &Policy,
    decisions: &mut [Decision],
    write: bool,
) -> Result<Comparison, Error> {
    let mut comparison = Comparison::new(maildrop, decisions, ledger)?;
    let asked: Vec<(usize, MessageNumber)> = maildrop
        .iter()
        .zip(decisions.iter())
        .enumerate()
        .filter_map(|(index, (listed, decision))| match decision {
            Decision::Compare(Why::Duplicate) => None,
            // A window must be retrieved again in any case.
            Decision::Compare(Why::Window) => None,
            Decision::Compare(Why::Nameless) if policy.deletes() => None,
            Decision::Compare(_) => Some((index, listed.number)),
            _ => None,
        })
        .collect();
    if asked.is_empty() {
        return Ok(comparison);
    }
    let numbers: Vec<MessageNumber> = asked.iter().map(|(_, number)| *number).collect();
    let mut headers: HashMap<MessageNumber, crate::message::Facts> = HashMap::new();
    let mut examiner: Option<Examiner> = None;
    let mut refused = 0_usize;
    {
        let examiner = std::cell::RefCell::new(&mut examiner);
        client.headers(
            &numbers,
            |_, text| {
                examiner.borrow_mut().get_or_insert_with(|| Examiner::new(b"")).update(text);
            },
            |number, given| {
                let examined = examiner.borrow_mut().take();
                if given {
                    headers.insert(number, examined.unwrap_or_else(|| Examiner::new(b"")).finish());
                } else {
                    refused += 1;
                }
            },
        )?;
    }
    // A few that have no unique-id among others that have are compared whole.
    if !maildrop.has_unique_ids() && headers.is_empty() && refused > 0 {
        return Err(Error::NoIdentity { server: run.server() });
    }
    for (index, number) in asked {
        let (Some(facts), Some(listed)) = (headers.get(&number), maildrop.at(index)) else { continue };
        let Some(slot) = decisions.get_mut(index) else { continue };
        let Decision::Compare(why) = *slot else { continue };
        *slot = match comparison.by_header(&listed, why, facts, policy.deletes()) {
            compare::Verdict::NeedsBody => *slot,
            compare::Verdict::Another => Decision::Retrieve(why),
            compare::Verdict::Same(entry) => {
                if write {
                    match listed.who {
                        Who::Known(id) => {
                            let key = ledger.key(id)?;
                            ledger.recognise(&key, listed.octets, id)?;
                        }
                        Who::New(unique_id) => {
                            let key = Key::UniqueId(unique_id.to_buf());
                            ledger.recognise(&key, listed.octets, entry)?;
                        }
                        Who::Nameless => {}
                    }
                }
                Decision::Leave(Why::Known)
            }
        };
    }
    Ok(comparison)
}

fn report_too_large(
    run: &Run<'_>,
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
        run.report(&Event::TooLarge { number: listed.number, octets: listed.octets.unwrap_or_default() });
    }
    ledger.flush()?;
    Ok(())
}

/// What the ledger knows of messages that are retrieved although it knows them: read before the committer takes it.
#[derive(Default)]
struct Known {
    lacking: HashMap<EntryId, Lacking>,
    keys: HashMap<EntryId, Key>,
    failed_before: HashMap<EntryId, u16>,
}

impl Known {
    fn read(
        maildrop: &Maildrop,
        decisions: &[Decision],
        ledger: &Ledger,
        destinations: &Destinations,
    ) -> Result<Self, ledger::Error> {
        let mut known = Self::default();
        for (listed, decision) in maildrop.iter().zip(decisions) {
            let Who::Known(id) = listed.who else { continue };
            if matches!(decision, Decision::Leave(_)) {
                continue;
            }
            known.keys.insert(id, ledger.key(id)?);
            let failures = ledger.entry(id).failures;
            if failures > 0 {
                known.failed_before.insert(id, failures);
            }
            if matches!(decision, Decision::Retrieve(Why::Again) | Decision::Compare(Why::Duplicate))
                && let Some(set) = ledger.set(id)
            {
                let slots = (0_usize..)
                    .zip(&destinations.entrances)
                    .filter_map(|(slot, entrance)| set.contains(&(entrance.id, false)).then_some(slot))
                    .collect();
                let set = set.iter().map(|(destination, _)| *destination).collect();
                known.lacking.insert(id, Lacking { slots, set });
            }
        }
        Ok(known)
    }
}

/// Shows what a run would do, and changes nothing: no lock, no recovery, no file.
pub(super) fn dry_run(run: &Run<'_>, summary: &mut Summary) -> Result<(), Error> {
    let mailbox = run.account.mailbox();
    let directory = run.context.state.join(mailbox.directory_name());
    let mut ledger = Ledger::read(&directory, &mailbox, Time::now())?;
    let memory = Memory::load(&directory);
    let secret = crate::config::password::obtain(run.account, run.context.environment)?;
    run.report(&Event::Connecting { server: run.server() });
    let mut client = login(run, &memory, &secret, ledger.now(), None)?;
    let mut policy = policy(run, &ledger);
    policy.window = is_window(&client);
    let maildrop = list(run, &mut client, &ledger, &policy, memory.sizes)?;
    let mut decisions = plan::decide(&maildrop, &ledger, &policy);
    examine(run, &mut client, &maildrop, &mut ledger, &policy, &mut decisions, false)?;
    summary.listed = u64::try_from(maildrop.len()).unwrap_or(u64::MAX);
    let retired: HashMap<MessageNumber, Why> = plan::retire(&maildrop, &ledger, &policy, &|_| false)
        .into_iter()
        .map(|retired| (retired.number, retired.why))
        .collect();
    for (listed, decision) in maildrop.iter().zip(&decisions) {
        let (action, why) = match (decision, retired.get(&listed.number)) {
            (Decision::Retrieve(why), _) => (Action::Retrieve, *why),
            (Decision::Compare(why), _) => (Action::Compare, *why),
            (Decision::Leave(_), Some(why)) => (Action::Delete, *why),
            (Decision::Leave(why), None) => (Action::Leave, *why),
        };
        let unique_id = match listed.who {
            Who::New(unique_id) => Some(client.quote(unique_id.as_bytes())),
            Who::Known(id) => match ledger.key(id)? {
                Key::UniqueId(unique_id) => Some(client.quote(unique_id.borrow().as_bytes())),
                Key::Header(_) => None,
            },
            Who::Nameless => None,
        };
        run.report(&Event::Intended { number: listed.number, unique_id, octets: listed.octets, action, why });
    }
    client.quit(false)?;
    Ok(())
}
