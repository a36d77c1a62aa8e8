//! What a maildrop holds, and what is to do with it: the listings, what they put in doubt, and the plan.  A session goes
//! on from here; `--dry-run` ends here.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::doubts;
use super::draws::Draws;
use super::error::Error;
use super::quick;
use super::run::Run;
use super::window;
use crate::client::{Client, HeaderPiece, ListingAnswer, Refused, Transaction};
use crate::clock;
use crate::ledger::Ledger;
use crate::ledger::memory::{Habits, Memory};
use crate::message::{Examiner, Facts};
use crate::plan::{self, Decision, Maildrop, Policy, Suspicion, Why};
use crate::report::Event;
use crate::text;
use crate::types::{MessageNumber, Octets, Time, UniqueId, wide};

/// With a full listing, `LIST` is asked at least this often: a unique-id used again shows by its size.
const SIZES_EVERY: i64 = 86_400;

/// In one session at most this many messages are identified that are known by the user's word alone.
const MOST_IDENTIFIED: usize = 10_000;
/// In one session at most this many messages are identified where commands can't share a flight, so that each costs a wait.
const MOST_IDENTIFIED_ONE_BY_ONE: usize = 100;

/// Whether the sizes are to be looked at, whatever else there is to do.
pub(super) fn sizes_are_due(sizes: Option<Time>, now: Time) -> bool {
    sizes.is_none_or(|then| now.seconds_since(then).abs() >= SIZES_EVERY)
}

/// What a maildrop holds, and what is to do with it.
pub(super) struct Survey {
    pub(super) maildrop: Maildrop,
    pub(super) decisions: Vec<Decision>,
    pub(super) policy: Policy,
    /// What the listing is suspected for.
    pub(super) suspicion: Option<Suspicion>,
    /// What `STAT` reported, if it was asked.
    pub(super) drop_listing: Option<(u32, Octets)>,
}

/// Lists and decides.  Writes to the ledger what the listing puts in doubt.
pub(super) fn survey(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    ledger: &mut Ledger,
    memory: &mut Memory,
    taken: (u64, Octets),
) -> Result<Survey, Error> {
    let mut policy = policy(run, ledger, client);
    policy.taken = taken;
    let drop_listing = client.prefetched_drop_listing()?;
    let mut headers = Headers::default();
    headers.take_ahead(client)?;
    // A draw of its own: what was asked ahead was drawn when the connection was opened.
    let drawn = draw_spot_checks(memory);
    let mut maildrop = list(run, client, ledger, &mut memory.habits)?;
    quick::check(memory, &maildrop, ledger)?;
    if policy.window {
        policy.popped = window::popped(memory, &maildrop, ledger);
    }
    if !client.pipelines() && sizes_are_due(memory.sizes, ledger.now()) {
        // One at a time each costs a wait: one a day.
        if let [Some(number), _] = drawn {
            headers.ask(client, &[number])?;
        }
    }
    let suspicion = doubts::raise(run, ledger, &mut memory.habits, &maildrop, &policy, &headers.known)?;
    // Until the session has ended well, in which all of them become known.
    memory.habits.complete = false;
    let counted = drop_listing.map(|(messages, _)| messages);
    let mut decisions = decide(client, &mut maildrop, ledger, &policy, memory.sizes, counted)?;
    let moved = doubts::moved(ledger, &maildrop, &policy, &headers.known)?;
    if let Some(number) = moved.filter(|_| drawn[0].is_some()) {
        headers.ask(client, &[number])?;
        if doubts::look(ledger, &maildrop, &policy, &headers.known)? {
            decisions = plan::decide(&maildrop, ledger, &policy);
        }
    }
    identify_some(client, &mut decisions);
    // Of an empty maildrop no sizes were asked: a poll of it must not write that they were.
    if maildrop.has_sizes() && !maildrop.is_empty() {
        memory.sizes = (!plan::has_changed_size(&maildrop, ledger, policy.utf8)).then(|| ledger.now());
    }
    Ok(Survey { maildrop, decisions, policy, suspicion, drop_listing })
}

/// Of what is only to be identified, as much as one session may ask for; the rest waits for the next ones.
pub(super) fn identify_some(client: &Client<Transaction>, decisions: &mut [Decision]) {
    let most = match (client.may_have_top(), client.pipelines()) {
        (false, _) => 0,
        (true, true) => MOST_IDENTIFIED,
        (true, false) => MOST_IDENTIFIED_ONE_BY_ONE,
    };
    let identified = decisions.iter_mut().filter(|decision| **decision == Decision::Identify);
    identified.skip(most).for_each(|decision| *decision = Decision::Leave(Why::Seen));
}

/// Messages of the last listing whose headers are asked for together with the next one: where a unique-id stands for
/// other mail, and nothing else shows it, this does, sooner or later.  None where the last login failed, or there's no
/// `TOP`.
pub(super) fn draw_spot_checks(memory: &Memory) -> [Option<MessageNumber>; 2] {
    let Habits { listed, top, .. } = memory.habits;
    if !top || memory.pause.is_some() {
        return [None; 2];
    }
    let (Ok(seed), Ok(listed)) = (clock::random(), usize::try_from(listed)) else { return [None; 2] };
    let mut draws = Draws::new(u64::from_ne_bytes(seed));
    let first = draws.below(listed);
    // Any of the others.
    let second = draws
        .below(listed.saturating_sub(1))
        .zip(first)
        .map(|(second, first)| if second < first { second } else { second.saturating_add(1) });
    [first, second].map(|place| MessageNumber::new(u32::try_from(place?).ok()?.saturating_add(1)))
}

/// Headers as they come, one after the other.
#[derive(Default)]
pub(super) struct Headers {
    arriving: Option<Examiner>,
    pub(super) known: Vec<(MessageNumber, Facts)>,
}

/// The headers of these messages, by `TOP n 0`; none where the server has no `TOP`, or refuses.
pub(super) fn headers(
    client: &mut Client<Transaction>,
    numbers: &[MessageNumber],
) -> Result<HashMap<MessageNumber, Facts>, Error> {
    let mut headers = Headers::default();
    if client.may_have_top() {
        headers.ask(client, numbers)?;
    }
    Ok(headers.known.into_iter().collect())
}

impl Headers {
    fn take(&mut self, number: MessageNumber, piece: HeaderPiece<'_>) {
        match piece {
            HeaderPiece::Text(text) => self.arriving.get_or_insert_with(|| Examiner::new(b"")).update(text),
            HeaderPiece::End => {
                let examiner = self.arriving.take().unwrap_or_else(|| Examiner::new(b""));
                self.known.push((number, examiner.finish()));
            }
            HeaderPiece::Refused => self.arriving = None,
        }
    }

    pub(super) fn ask(
        &mut self,
        client: &mut Client<Transaction>,
        numbers: &[MessageNumber],
    ) -> Result<(), Error> {
        Ok(client.headers(numbers, |number, piece| self.take(number, piece))?)
    }

    fn take_ahead(&mut self, client: &mut Client<Transaction>) -> Result<(), Error> {
        Ok(client.prefetched_headers(|number, piece| self.take(number, piece))?)
    }
}

/// What this run's policies come to.
pub(super) fn policy(run: &Run<'_>, ledger: &Ledger, client: &Client<Transaction>) -> Policy {
    let destinations = run.destinations().numbers(ledger);
    let policy = Policy::new(run.account, run.options.retention, run.options.all, destinations, ledger);
    let utf8 = client.login_facts().utf8;
    // Gmail lists the last 30 days to such a user at each login, whatever was retrieved before.
    let window = client.lists_a_window() && !run.account.user.starts_with("recent:");
    Policy { insist: run.options.insist, utf8, window, ..policy }
}

/// The unique-id listing.
pub(super) fn list(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    ledger: &Ledger,
    habits: &mut Habits,
) -> Result<Maildrop, Error> {
    let mut maildrop = Maildrop::default();
    let (mut last, mut all_numbers) = (None, true);
    let known = |unique_id: UniqueId<'_>| {
        let entry = ledger.follow(last, unique_id);
        last = entry.or(last);
        entry
    };
    let unique_ids = client.unique_ids::<_, Error>(known, |number, unique_id, entry| {
        all_numbers = all_numbers && unique_id.is_some_and(|unique_id| unique_id.is_number(number));
        maildrop.add(number, unique_id, entry);
        Ok(())
    })?;
    match unique_ids {
        ListingAnswer::Taken => {
            maildrop.complete()?;
            if doubts::are_numbers(habits, maildrop.len(), all_numbers) {
                maildrop.forget_unique_ids();
            }
        }
        ListingAnswer::Refused(Refused { text, passes }) => {
            maildrop = Maildrop::default();
            if !passes {
                nameless(client, &mut maildrop)?;
            }
            // Where there are unique-ids that aren't given now, what is delivered without one would come again under the
            // one that it has at the next run.  (Some servers refuse because there is nothing to list.)
            if passes || (client.announces_unique_ids() && !maildrop.is_empty()) {
                return Err(Error::ListingRefused { command: "UIDL", text, passes: true });
            }
            if !maildrop.is_empty() {
                accept_nameless(run, ledger)?;
            }
        }
    }
    run.report(&Event::Listed { messages: wide(maildrop.len()) });
    Ok(maildrop)
}

/// What is to do by the listing.  The scan listing is asked where that needs sizes, or where `STAT` has counted more
/// messages, or hasn't counted them.  Some servers give no unique-id for some, and leave them out.  (What came since
/// then isn't counted.)
pub(super) fn decide(
    client: &mut Client<Transaction>,
    maildrop: &mut Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    sizes: Option<Time>,
    counted: Option<u32>,
) -> Result<Vec<Decision>, Error> {
    let decisions = plan::decide(maildrop, ledger, policy);
    // What was asked ahead must be read, of an empty maildrop too: `QUIT` comes when every command has had its answer.
    let lacks = counted.map(|counted| usize::try_from(counted).is_ok_and(|counted| counted > maildrop.len()));
    let needed = client.has_prefetched_sizes()
        // `STAT` wasn't asked, or refused: that there is nothing at all deserves a second look.
        || lacks.unwrap_or(maildrop.is_empty())
        || (!maildrop.has_sizes() && needs_sizes(&decisions, maildrop, ledger, policy, sizes));
    let mut nameless = Vec::new();
    let taken = needed
        && client.sizes(|number, octets| {
            if lacks != Some(false)
                && counted.is_none_or(|n| n >= number.get())
                && maildrop.find(number).is_none()
            {
                nameless.push((number, octets));
            }
            maildrop.set_size(number, octets);
        })? == ListingAnswer::Taken;
    if taken {
        if let (None, Some((number, _))) = (counted, nameless.first())
            && client.unique_id_now(*number)?.is_some()
        {
            // These have come since the unique-id listing.
            nameless.clear();
        }
        maildrop.add_nameless(&nameless);
        return Ok(plan::decide(maildrop, ledger, policy));
    }
    Ok(decisions)
}

/// Without `UIDL`, the scan listing shows what there is.
fn nameless(client: &mut Client<Transaction>, maildrop: &mut Maildrop) -> Result<(), Error> {
    let mut sizes = Vec::new();
    if let ListingAnswer::Refused(Refused { text, passes }) =
        client.sizes(|number, octets| sizes.push((number, octets)))?
    {
        return Err(Error::ListingRefused { command: "LIST", text, passes });
    }
    for (number, _) in &sizes {
        maildrop.add(*number, None, None);
    }
    maildrop.complete()?;
    for (number, octets) in sizes {
        maildrop.set_size(number, octets);
    }
    Ok(())
}

/// Whether messages may be distinguished by their content, since `UIDL` was refused.  Not where they have unique-ids on
/// other days: what is delivered without one today would come again under the one that it has tomorrow.
fn accept_nameless(run: &Run<'_>, ledger: &Ledger) -> Result<(), Error> {
    if !ledger.knows_unique_ids()? {
        return Ok(());
    }
    let directory = text::path(&run.directory);
    Err(Error::UniqueIdsLost { server: run.server(), directory })
}

/// Whether anything is new, failed, to be compared or deleted, or a day has passed since sizes were looked at.
fn needs_sizes(
    decisions: &[Decision],
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    sizes: Option<Time>,
) -> bool {
    !decisions.iter().all(|decision| decision.leaves())
        || !plan::retire(maildrop, ledger, policy, &|_| false).is_empty()
        || sizes_are_due(sizes, ledger.now())
}
