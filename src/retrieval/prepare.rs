//! What a session is about to do: the listings, the plan, and what a look at headers makes of it.  `--dry-run` ends here.

use std::collections::HashMap;

use super::compare::{self, Comparison};
use super::destinations::{self, Destinations};
use super::error::Error;
use super::fetch::Lacking;
use super::login::login;
use super::quick;
use super::run::Run;
use super::session::Scope;
use crate::client::{Client, Pipelining, Transaction};
use crate::clock::Time;
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger};
use crate::message::Examiner;
use crate::plan::{self, Decision, Maildrop, Policy, Who, Why};
use crate::proof::{EntryId, Key};
use crate::protocol::types::{MessageNumber, Octets};
use crate::report::{Action, Event, Summary};

/// With a full listing, `LIST` is asked so often at least: a unique-id used again shows by its size.
const SIZES_EVERY: i64 = 86_400;

/// Whether the sizes are to be looked at, whatever else there is to do.
pub(super) fn sizes_are_due(sizes: Option<Time>, now: Time) -> bool {
    sizes.is_none_or(|then| now.seconds_since(then).abs() >= SIZES_EVERY)
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
pub(super) fn prepare(
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
    let (maildrop, mut decisions) = list(run, client, ledger, &policy, memory.sizes)?;
    quick::judge(memory, &maildrop, ledger)?;
    if client.checks_step() && !maildrop.has_unique_ids() {
        // No answer names a message well enough to prove the server in step.
        client.set_pipelining(Pipelining::Off);
    }
    // Of an empty maildrop no sizes were asked: a poll of it must not write that they were.
    if maildrop.has_sizes() && !maildrop.is_empty() {
        memory.sizes = (!plan::has_changed_size(&maildrop, ledger)).then(|| ledger.now());
    }
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

/// The unique-id listing, the scan listing where it is needed, and what is to do by them.
fn list(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    ledger: &Ledger,
    policy: &Policy,
    sizes: Option<Time>,
) -> Result<(Maildrop, Vec<Decision>), Error> {
    let mut maildrop = Maildrop::default();
    let mut last = None;
    let known = client.unique_ids::<Error>(|number, unique_id| {
        let entry = unique_id.and_then(|unique_id| ledger.follow(last, unique_id));
        last = entry.or(last);
        maildrop.add(number, unique_id, entry);
        Ok(())
    })?;
    if known {
        maildrop.complete()?;
    } else {
        maildrop = Maildrop::default();
        nameless(client, &mut maildrop)?;
        if !maildrop.is_empty() {
            accept_nameless(run, ledger)?;
        }
    }
    run.report(&Event::Listed { messages: u64::try_from(maildrop.len()).unwrap_or(u64::MAX) });
    let decisions = plan::decide(&maildrop, ledger, policy);
    // What was asked ahead must be read, of an empty maildrop too: `QUIT` comes when every command has had its answer.
    let needed = client.has_sizes_ahead()
        || (!maildrop.has_sizes() && needs_sizes(&decisions, &maildrop, ledger, policy, sizes));
    if needed && client.sizes(|number, octets| maildrop.size(number, octets))? {
        let decisions = plan::decide(&maildrop, ledger, policy);
        return Ok((maildrop, decisions));
    }
    Ok((maildrop, decisions))
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

/// Whether messages may be told apart by what they hold, since `UIDL` was refused.  Not where they have unique-ids on other
/// days: what is delivered without one today would come once more under the one that it has tomorrow.
fn accept_nameless(run: &Run<'_>, ledger: &Ledger) -> Result<(), Error> {
    if !ledger.knows_unique_ids()? {
        return Ok(());
    }
    let directory = run.context.state.join(run.account.mailbox().directory_name());
    let directory = crate::text::printable(directory.as_os_str().as_encoded_bytes());
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
    decisions.iter().any(|decision| !matches!(decision, Decision::Leave(_)))
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
pub(super) struct Known {
    pub(super) lacking: HashMap<EntryId, Lacking>,
    pub(super) keys: HashMap<EntryId, Key>,
    pub(super) failed_before: HashMap<EntryId, u16>,
}

impl Known {
    pub(super) fn read(
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
    destinations::all_allowed(run)?;
    let mailbox = run.account.mailbox();
    let directory = run.context.state.join(mailbox.directory_name());
    let mut ledger = Ledger::read(&directory, &mailbox, Time::now())?;
    match u64::try_from(ledger.intents().len()) {
        Ok(0) => {}
        open => {
            let open = crate::text::count(open.unwrap_or(u64::MAX), "delivery");
            run.warn(format!("a run was interrupted: the next one settles {open} first"));
        }
    }
    let memory = Memory::load(&directory);
    let secret = crate::config::password::obtain(run.account, run.context.environment)?;
    run.report(&Event::Connecting { server: run.server() });
    let mut client = login(run, &memory, &secret, ledger.now(), None)?;
    let mut policy = policy(run, &ledger);
    policy.window = is_window(&client);
    let (maildrop, mut decisions) = list(run, &mut client, &ledger, &policy, memory.sizes)?;
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
