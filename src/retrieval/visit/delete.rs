//! Deletes the messages that the user names: the one deletion that rests on the user's word instead of a proof of delivery.
//!
//! All of it happens in one session.  The listing shows which messages are meant; their headers are shown to the
//! user, who is asked while the session is kept alive; only then `DELE` is sent, and `QUIT`.  What was delivered is
//! recognised as in every run (by its header, or else by the whole message), because a unique-id alone may name other
//! mail now.  What isn't recognised counts as never delivered, and is deleted only if the user has agreed to that.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::show::before;
use super::{Sizes, Visit, busy};
use crate::access;
use crate::account::Account;
use crate::client::{self, Client, Farewell, ListingAnswer, Next, Prefetch, Transaction};
use crate::clock;
use crate::ledger::lock::{Lock, PATIENCE};
use crate::ledger::memory::Memory;
use crate::ledger::shown::Shown;
use crate::ledger::{EntryState, Ledger, Match};
use crate::message::summary::HeaderSummary;
use crate::message::{Digest, Examiner, Facts};
use crate::plan::compare::{Comparison, Search, Verdict};
use crate::plan::{Decision, Listed, Maildrop, Who, Why};
use crate::proof::{Dismissed, EntryId};
use crate::report::ReportedError;
use crate::retrieval::alerts::Alerts;
use crate::retrieval::by_word::named;
use crate::retrieval::draws::Draws;
use crate::retrieval::error::Error;
use crate::retrieval::login;
use crate::retrieval::run::Run;
use crate::retrieval::session::deletions;
use crate::retrieval::survey;
use crate::retrieval::{Context, Options};
use crate::types::{MessageNumber, Octets, Selection, Time, Wait};

/// At most this many messages are deleted at once: as many as in a session of a run.
const MOST: usize = 10_000;
/// How long the user may think.
const THINKING: Duration = Duration::from_secs(600);
/// At most this many other messages are asked for, until an answer names one.
const QUESTIONS: u32 = 3;

/// A message that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doomed {
    /// Its number in this session.
    pub number: MessageNumber,
    /// Its unique-id, fit to print.
    pub unique_id: Option<String>,
    /// Its size as listed.
    pub octets: Option<Octets>,
    /// What its header holds; not fit to print.
    pub summary: Option<HeaderSummary>,
    /// When it was delivered, if it was, and is the same message.
    pub delivered: Option<Time>,
    /// Why it doesn't count as delivered.
    pub undelivered: Option<&'static str>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// Messages whose deletion the server has confirmed.
    pub messages: usize,
    /// Whether the user agreed.
    pub agreed: bool,
    /// What the server refused, with its words, fit to print.
    pub refused: Vec<(MessageNumber, String)>,
    /// What it said instead of confirming the end of the session, fit to print; empty where it said nothing.
    pub unconfirmed: Option<String>,
}

/// Waits until something can be read here, the session being kept alive; whether it can.
pub(crate) type KeepAlive<'k> = &'k mut dyn FnMut(BorrowedFd<'_>) -> bool;

/// Asks the user, who sees these messages.
pub(crate) type AskUser<'q> = &'q mut dyn FnMut(&[Doomed], KeepAlive<'_>) -> bool;

/// Deletes the messages that are named, if `ask` agrees.  `looks_only`: it never will.
///
/// # Errors
/// As of a run; [`Error::NoSuchMessage`], [`Error::OtherMessage`].
pub(crate) fn delete(
    account: &Account,
    options: &Options,
    context: &Context<'_>,
    selection: &Selection,
    looks_only: bool,
    ask: AskUser<'_>,
) -> Result<Deleted, ReportedError> {
    let run = Run::new(account, options, context, clock::now());
    let result = if looks_only { looking(&run, selection, ask) } else { deleting(&run, selection, ask) };
    result.map_err(|e| run.failure(&e))
}

fn looking(run: &Run<'_>, selection: &Selection, ask: AskUser<'_>) -> Result<Deleted, Error> {
    let (mut visit, mut client, ledger) = Visit::open(run, Sizes::Wanted)?;
    let (_, chosen) = choose(run, &mut client, &ledger, &mut visit.memory, selection)?;
    let doomed: Vec<Doomed> = chosen.into_iter().map(|chosen| chosen.doomed).collect();
    let _ = ask(&doomed, &mut |_| false);
    client.leave();
    Ok(Deleted { messages: 0, agreed: false, refused: Vec::new(), unconfirmed: None })
}

fn deleting(run: &Run<'_>, selection: &Selection, ask: AskUser<'_>) -> Result<Deleted, Error> {
    access::check_path(&run.directory)?;
    let lock = Lock::acquire(&run.directory, Wait::AtMost(PATIENCE), &run.context.stop).map_err(busy)?;
    let mut memory = Memory::load(&run.directory);
    Alerts::new(run).check_pause(&memory)?;
    let mut ledger = run.open_ledger(lock)?;
    let result = in_session(run, selection, ask, &mut ledger, &mut memory);
    let closed = ledger.sync().and_then(|()| ledger.close());
    if let Ok(Some(extent)) = &closed {
        memory.extent = Some(*extent);
    }
    run.keep(&memory);
    let deleted = result?;
    closed?;
    Ok(deleted)
}

fn in_session(
    run: &Run<'_>,
    selection: &Selection,
    ask: AskUser<'_>,
    ledger: &mut Ledger,
    memory: &mut Memory,
) -> Result<Deleted, Error> {
    let secret = run.secret()?;
    let listing = Prefetch::Listing { drop_listing: false, headers: [None; 2], sizes: true };
    let client = login::log_in(run, memory, &secret, Some(listing));
    Alerts::new(run).note_login(memory, client.as_ref().err());
    let mut client = client?;
    let (maildrop, chosen) = choose(run, &mut client, ledger, memory, selection)?;
    let doomed: Vec<Doomed> = chosen.iter().map(|chosen| chosen.doomed.clone()).collect();
    let mut broken = None;
    let agreed = ask(&doomed, &mut |input| {
        keep_alive(&mut client, input).unwrap_or_else(|e| {
            broken = Some(e);
            false
        })
    });
    if let Some(e) = broken {
        return Err(e.into());
    }
    if !agreed || run.context.stop.raised() {
        client.leave();
        return Ok(Deleted { messages: 0, agreed: false, refused: Vec::new(), unconfirmed: None });
    }
    let known: HashMap<MessageNumber, Match> =
        chosen.iter().filter_map(|chosen| Some((chosen.doomed.number, chosen.known?))).collect();
    let (accepted, refused, sent) = send(&mut client, &doomed);
    let entry_of = |number: &MessageNumber| known.get(number).map(|known| known.entry);
    let ids: Vec<EntryId> = accepted.iter().filter_map(entry_of).collect();
    if sent.is_err() {
        // The server accepted these deletions, and it isn't known whether it carries them out.
        ledger.doubt(Some(&ids))?;
    }
    sent?;
    let copies: Vec<(EntryId, Digest)> = accepted
        .iter()
        .filter_map(|number| known.get(number).and_then(|known| Some((known.entry, known.message?))))
        .collect();
    let stay: HashSet<EntryId> = refused.iter().filter_map(|(number, _)| entry_of(number)).collect();
    let deletions = deletions::of(&maildrop, ledger, &ids, &copies, &stay)?;
    let seen = only_seen(&maildrop, ledger, &accepted);
    finish(client, ledger, (&deletions, &seen), accepted.len(), refused)
}

/// Waits until there is something to read, while the session is kept alive by a `NOOP` now and then.  `false` when the user
/// has thought for too long, or a signal came.
fn keep_alive(client: &mut Client<Transaction>, input: BorrowedFd<'_>) -> Result<bool, client::Error> {
    let began = Instant::now();
    loop {
        match client.next(Some(input), Some(THINKING))? {
            Next::Woken => return Ok(true),
            // The answer to a NOOP.
            Next::Event if began.elapsed() < THINKING => {}
            Next::Event | Next::Quiet | Next::Stopped => return Ok(false),
        }
    }
}

/// Ends the session: deletions count from `QUIT` on, and by then the ledger must have them.
fn finish(
    client: Client<Transaction>,
    ledger: &mut Ledger,
    (deletions, seen): (&[(EntryId, Option<Digest>)], &[EntryId]),
    accepted: usize,
    refused: Vec<(MessageNumber, String)>,
) -> Result<Deleted, Error> {
    let deleted = |messages, unconfirmed, refused| Deleted { messages, agreed: true, refused, unconfirmed };
    if !refused.is_empty() && client.drops_at_quit() {
        // It would drop what it refuses to delete on the user's word: that was looked at.
        client.leave();
        return Ok(deleted(0, Some(String::new()), refused));
    }
    let asked = ledger.ask_deletion(deletions)?;
    ledger.sync()?;
    Ok(match client.quit()? {
        Farewell::Confirmed => {
            ledger.confirm_deletion(asked)?;
            if !seen.is_empty() {
                ledger.forget_entries(seen)?;
            }
            deleted(accepted, None, refused)
        }
        Farewell::Refused(text) => deleted(0, Some(text), refused),
        Farewell::Unanswered => deleted(0, Some(String::new()), refused),
    })
}

/// What counts as seen by the user's word alone.  Nothing will show whether what has its unique-id later is the same: that is new.
fn only_seen(maildrop: &Maildrop, ledger: &Ledger, accepted: &[MessageNumber]) -> Vec<EntryId> {
    let seen = accepted.iter().filter_map(|number| match maildrop.find(*number)?.who {
        Who::Known(id) if ledger.entry(id).unidentified => Some(id),
        Who::Known(_) | Who::New(_) | Who::Nameless => None,
    });
    seen.collect::<BTreeSet<EntryId>>().into_iter().collect()
}

type RefusedDeletions = Vec<(MessageNumber, String)>;

/// Sends `DELE` for each: what was accepted, also where an error ended it, and what was refused.
fn send(
    client: &mut Client<Transaction>,
    doomed: &[Doomed],
) -> (Vec<MessageNumber>, RefusedDeletions, Result<(), Error>) {
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    let dismissed: Vec<Dismissed> =
        doomed.iter().map(|doomed| Dismissed::attest(client.session(), doomed.number)).collect();
    let result = client.dismiss(&dismissed, |number, refusal| match refusal {
        None => accepted.push(number),
        Some(text) => refused.push((number, text)),
    });
    (accepted, refused, result.map_err(Error::from))
}

/// A message that was chosen, and which of our messages it is.
struct ChosenToDelete {
    doomed: Doomed,
    known: Option<Match>,
}

/// Finds the messages that are named, and what is known of them.
fn choose(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    ledger: &Ledger,
    memory: &mut Memory,
    selection: &Selection,
) -> Result<(Maildrop, Vec<ChosenToDelete>), Error> {
    let _ = client.prefetched_drop_listing()?;
    let mut maildrop = survey::list(run, client, ledger, &mut memory.habits)?;
    let _ = client.sizes(|number, octets| maildrop.set_size(number, octets))?;
    let numbers = named(selection, &maildrop, ledger)?;
    if numbers.len() > MOST {
        return Err(Error::TooManyMessages { messages: numbers.len(), most: MOST });
    }
    let shown = Shown::load(&run.directory);
    let mut names = HashMap::new();
    for number in &numbers {
        let Some(listed) = maildrop.find(*number) else { continue };
        if let Some(unique_id) = listed.unique_id(ledger)? {
            if let Some(was) = before(&shown, selection, *number, Some(&unique_id)) {
                return Err(Error::OtherMessage { number: *number, was: client.shown(was.borrow()) });
            }
            names.insert(*number, unique_id);
        }
    }
    let headers = survey::headers(client, &numbers)?;
    let delivered = delivered(run, client, ledger, &maildrop, &headers, &numbers)?;
    name(client, ledger, &maildrop, numbers.last())?;
    let chosen = numbers.iter().filter_map(|number| {
        let listed = maildrop.find(*number)?;
        let known = delivered.get(number).copied();
        Some(ChosenToDelete {
            doomed: Doomed {
                number: *number,
                unique_id: names.get(number).map(|unique_id| client.shown(unique_id.borrow())),
                octets: listed.octets,
                summary: headers.get(number).map(|facts| HeaderSummary::of_headline(&facts.headline)),
                delivered: known.and_then(|known| ledger.entry(known.entry).delivered),
                undelivered: known.is_none().then(|| reason(&listed, ledger)),
            },
            known,
        })
    });
    let chosen = chosen.collect();
    Ok((maildrop, chosen))
}

fn reason(listed: &Listed<'_>, ledger: &Ledger) -> &'static str {
    match listed.who {
        Who::Known(id) => match ledger.entry(id).state {
            EntryState::Open => "never delivered",
            EntryState::Seen => "only seen, never delivered",
            _ => "never delivered: its unique-id stood for another message",
        },
        Who::New(_) | Who::Nameless => "never delivered",
    }
}

/// Which of these messages were delivered, and are what was delivered: by their headers, or else by all their octets.
pub(super) fn delivered(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    ledger: &Ledger,
    maildrop: &Maildrop,
    headers: &HashMap<MessageNumber, Facts>,
    numbers: &[MessageNumber],
) -> Result<HashMap<MessageNumber, Match>, Error> {
    let decision = |listed: Listed<'_>| match listed.who {
        _ if !numbers.contains(&listed.number) => Decision::Leave(Why::Known),
        Who::Known(id) => match ledger.entry(id).state {
            _ if ledger.entry(id).unidentified => Decision::Leave(Why::Seen),
            EntryState::Delivered | EntryState::Recorded => Decision::Delete(Why::Delete),
            EntryState::Deleted => Decision::Delete(Why::CameBack),
            EntryState::Open | EntryState::Seen => Decision::Leave(Why::Known),
        },
        Who::Nameless => Decision::Delete(Why::Nameless),
        Who::New(_) => Decision::Leave(Why::New),
    };
    let decisions: Vec<Decision> = maildrop.iter().map(decision).collect();
    let utf8 = client.login_facts().utf8;
    let mut comparison = Comparison::new(maildrop, &decisions, ledger, Search::OwnKey, utf8)?;
    let mut found = HashMap::new();
    for (listed, decision) in maildrop.iter().zip(&decisions) {
        let Some(why) = decision.why_compared() else { continue };
        let header = headers.get(&listed.number);
        let verdict = match header.filter(|_| Comparison::asks_header(why, true)) {
            Some(facts) => comparison.by_header(&listed, why, facts, true),
            None => Verdict::NeedsBody,
        };
        let verdict = match verdict {
            Verdict::NeedsBody | Verdict::SetAside => {
                run.detail(|| format!("message {} is compared whole", listed.number));
                let mut examiner = Examiner::new(b"");
                let text = |text: &[u8]| {
                    examiner.update(text);
                    true
                };
                match client.read_message(listed.number, text)? {
                    ListingAnswer::Taken => comparison.whole(&listed, why, &examiner.finish()),
                    ListingAnswer::Refused(_) => Verdict::Another,
                }
            }
            settled => settled,
        };
        if let Verdict::Same(same_as) = verdict {
            found.insert(listed.number, same_as);
        }
    }
    Ok(found)
}

/// Makes sure that the answers so far belong to the messages that they seem to belong to.  A question is sent whose
/// answer names a message that no sender of mail can foresee: `UIDL n`, or `LIST n` where there is no unique-id or
/// the server doesn't answer `UIDL n`.
fn name(
    client: &mut Client<Transaction>,
    ledger: &Ledger,
    maildrop: &Maildrop,
    last: Option<&MessageNumber>,
) -> Result<(), Error> {
    let seed = clock::random().map_err(client::Error::Random)?;
    let mut draws = Draws::new(u64::from_ne_bytes(seed));
    for _ in 0..QUESTIONS {
        let drawn = draws.below(maildrop.len()).and_then(|place| maildrop.at(place));
        let other = drawn.filter(|listed| Some(&listed.number) != last).or_else(|| maildrop.at(0));
        let Some(listed) = other else { return Ok(()) };
        let by_unique_id = match listed.unique_id(ledger)? {
            Some(expected) => client.unique_id_now(listed.number)?.map(|now| now == expected),
            None => None,
        };
        let named = match (by_unique_id, listed.octets) {
            (Some(same), _) => Some(same),
            (None, Some(expected)) => client.size_now(listed.number)?.map(|now| now == expected),
            (None, None) => None,
        };
        match named {
            Some(true) => return Ok(()),
            Some(false) => return Err(Error::OutOfStep),
            None => {}
        }
    }
    Err(Error::NothingNames)
}

#[cfg(test)]
mod tests {
    use super::reason;
    use crate::plan::trial::{World, number};

    /// Why a message counts as never delivered is what a user decides by.
    #[test]
    fn the_reason_of_what_was_never_delivered_is_its_own() {
        let mut world = World::new();
        world.deliver("delivered");
        world.print("printed");
        world.fail("failed", None);
        let names = ["delivered", "printed", "failed", "new", "-"];
        let listing = names.map(|name| (name, None));
        let maildrop = world.maildrop(&listing);
        let found: Vec<&str> =
            (1..=5).map(|n| reason(&maildrop.find(number(n)).unwrap(), &world.ledger)).collect();
        let never = "never delivered";
        let other = "never delivered: its unique-id stood for another message";
        assert_eq!(found, [other, "only seen, never delivered", never, never, never]);
    }
}
