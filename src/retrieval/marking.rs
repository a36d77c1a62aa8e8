//! What counts as seen by the user's word: messages that `mark-seen` names.  Nothing is retrieved for it, and nothing
//! deleted.
//!
//! Such messages are known by their unique-ids alone, which proves nothing ("Identity is content").  So their headers
//! are asked for by `TOP n 0`, as many as one session may ask for, in the same session and in the next ones.

#[cfg(test)]
mod tests;

use super::alerts::Alerts;
use super::by_word::{adopt, check, named};
use super::context::{Context, Options};
use super::course::{Course, Scope};
use super::destinations::OpenDestinations;
use super::error::Error;
use super::login::log_in;
use super::run::Run;
use super::session::{MailSession, Stores};
use super::{quick, survey};
use crate::access;
use crate::account::Account;
use crate::client::{Client, HeaderPiece, Transaction};
use crate::clock;
use crate::ledger::lock::{Lock, PATIENCE};
use crate::ledger::memory::Memory;
use crate::ledger::{Ledger, UsersWord};
use crate::message::summary;
use crate::plan::{Maildrop, Policy};
use crate::report::{ReportedError, RunSummary};
use crate::types::{MessageNumber, Octets, Selection, Time, UniqueIdBuf, Wait};

/// What is to count as seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct MarkOrder {
    /// These messages; all that are listed without a selection.
    pub messages: Option<Selection>,
    /// Of them only those whose `Date` field is earlier.
    pub before: Option<Time>,
    /// They count as delivered at that time, so that a leave-on-server policy may delete them.
    pub delivered: Option<Time>,
    /// Only look which they are.
    pub dry_run: bool,
}

/// What counts as seen now, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Those that were not known before, in the order of the listing.
    pub messages: Vec<MarkedMessage>,
    /// How many were known already, and are left as they were.
    pub known: usize,
    /// How many have no date that can be read, and are left alone for that.
    pub undated: usize,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkedMessage {
    pub number: MessageNumber,
    /// Its unique-id, safe to print.
    pub unique_id: String,
    /// Its size, if listed.
    pub octets: Option<Octets>,
}

/// Marks messages of this account's maildrop as seen.  Waits a little for a run that holds the mailbox.
///
/// # Errors
/// As for a run; [`Error::NoSuchMessage`], [`Error::NoUniqueIds`], [`Error::OnlyWindow`], [`Error::NoHeaders`].
pub(crate) fn mark_seen(
    account: &Account,
    context: &Context<'_>,
    mark: &MarkOrder,
) -> Result<Marked, ReportedError> {
    let options =
        Options { insist: true, dry_run: mark.dry_run, wait: Wait::AtMost(PATIENCE), ..Options::default() };
    let mut run = Run::new(account, &options, context, clock::now());
    let marked = if mark.dry_run {
        look(&run, mark)
    } else {
        locked(&mut run, |run, lock, memory| with_lock(run, mark, lock, memory))
    };
    marked.map_err(|e| run.failure(&e))
}

/// Without lock or change.
fn look(run: &Run<'_>, mark: &MarkOrder) -> Result<Marked, Error> {
    access::check_path(&run.directory)?;
    let ledger = Ledger::read(&run.directory, &run.account.mailbox(), run.now)?;
    let mut memory = Memory::load(&run.directory);
    let mut client = connect(run, &mut memory)?;
    let (marked, ..) = choose(run, mark, &mut client, &ledger, &mut memory)?;
    client.leave();
    Ok(marked)
}

/// Does `work` while no other popfetch has the mailbox, and keeps what was learnt of the server.
pub(super) fn locked<T>(
    run: &mut Run<'_>,
    work: impl FnOnce(&Run<'_>, Lock, &mut Memory) -> Result<T, Error>,
) -> Result<T, Error> {
    access::check_path(&run.directory)?;
    let lock = Lock::acquire(&run.directory, run.options.wait, &run.context.stop)?;
    // It may have been waited for.
    run.now = clock::now();
    let run = &*run;
    let mut memory = Memory::load(&run.directory);
    let done = work(run, lock, &mut memory);
    Alerts::new(run).note_login(&mut memory, done.as_ref().err());
    // What was known of an idle maildrop no longer holds.
    quick::forget(&mut memory);
    run.keep(&memory);
    done
}

fn with_lock(run: &Run<'_>, mark: &MarkOrder, lock: Lock, memory: &mut Memory) -> Result<Marked, Error> {
    // What an interrupted run has left is for the next run to settle: no destination is needed here.
    let mut ledger = run.open_ledger(lock)?;
    let mut client = connect(run, memory)?;
    let (marked, chosen, maildrop, policy) = choose(run, mark, &mut client, &ledger, memory)?;
    let word = mark.delivered.map_or(UsersWord::Seen, UsersWord::Delivered);
    let words: Vec<(UniqueIdBuf, UsersWord)> =
        chosen.into_iter().map(|unique_id| (unique_id, word)).collect();
    ledger.import(&words)?;
    identify(run, client, ledger, (maildrop, policy), memory)?;
    Ok(marked)
}

/// Asks for the headers of what was recorded by word alone, ends the session, and closes the ledger.
pub(super) fn identify(
    run: &Run<'_>,
    client: Client<Transaction>,
    ledger: Ledger,
    (mut maildrop, policy): (Maildrop, Policy),
    memory: &mut Memory,
) -> Result<(), Error> {
    adopt(&mut maildrop, &ledger);
    let mut held = Stores { ledger, destinations: OpenDestinations::none() };
    let (mut summary, mut course, mut taken) = (RunSummary::default(), Course::default(), (0, Octets(0)));
    let session = MailSession {
        run,
        summary: &mut summary,
        memory,
        scope: &Scope::Everything,
        taken: &mut taken,
        course: &mut course,
    };
    match session.identify(client, &mut held, maildrop, policy) {
        Err(Error::Bug) => return Err(Error::Bug),
        // They are recorded; how the server shows them is asked again.
        Err(e) => run.warn(format!("{e}: the next run asks for the rest of the headers")),
        Ok(()) => {}
    }
    memory.extent = held.ledger.close()?.or(memory.extent);
    Ok(())
}

pub(super) fn connect(run: &Run<'_>, memory: &mut Memory) -> Result<Client<Transaction>, Error> {
    let secret = run.secret()?;
    log_in(run, memory, &secret, None)
}

type MarkedChoice = (Marked, Vec<UniqueIdBuf>, Maildrop, Policy);

/// Lists, and finds what is meant.
fn choose(
    run: &Run<'_>,
    mark: &MarkOrder,
    client: &mut Client<Transaction>,
    ledger: &Ledger,
    memory: &mut Memory,
) -> Result<MarkedChoice, Error> {
    let policy = survey::policy(run, ledger, client);
    let mut maildrop = survey::list(run, client, ledger, &mut memory.habits)?;
    check(run, &maildrop, &policy, mark.messages.is_none())?;
    if !maildrop.has_sizes() {
        // For the user to see; a server that refuses it is none the worse.
        let _ = client.sizes(|number, octets| maildrop.set_size(number, octets))?;
    }
    let numbers: Vec<MessageNumber> = match &mark.messages {
        None => maildrop.iter().map(|listed| listed.number).collect(),
        Some(selection) => named(selection, &maildrop, ledger)?,
    };
    let word = mark.delivered.map_or(UsersWord::Seen, UsersWord::Delivered);
    let mut marked = Marked::default();
    let mut chosen: Vec<(MarkedMessage, UniqueIdBuf)> = Vec::new();
    for listed in numbers.iter().filter_map(|number| maildrop.find(*number)) {
        match listed.unique_id(ledger)?.filter(|unique_id| ledger.may_import(unique_id, word)) {
            Some(unique_id) => {
                let shown = client.shown(unique_id.borrow());
                let message =
                    MarkedMessage { number: listed.number, unique_id: shown, octets: listed.octets };
                chosen.push((message, unique_id));
            }
            None => marked.known = marked.known.saturating_add(1),
        }
    }
    if let Some(before) = mark.before {
        let numbers: Vec<MessageNumber> = chosen.iter().map(|(message, _)| message.number).collect();
        let mut dates = dates(run, client, &numbers)?.into_iter();
        chosen.retain(|_| match dates.next().flatten() {
            Some(date) => date < before,
            None => {
                marked.undated = marked.undated.saturating_add(1);
                false
            }
        });
    }
    let (messages, unique_ids) = chosen.into_iter().unzip();
    marked.messages = messages;
    Ok((marked, unique_ids, maildrop, policy))
}

/// When their authors say that they were sent; in the order of `numbers`.
fn dates(
    run: &Run<'_>,
    client: &mut Client<Transaction>,
    numbers: &[MessageNumber],
) -> Result<Vec<Option<Time>>, Error> {
    if !client.may_have_top() {
        return Err(Error::NoHeaders { server: run.server() });
    }
    let (mut header, mut dates) = (Vec::new(), Vec::new());
    client.headers(numbers, |_, piece| match piece {
        HeaderPiece::Text(text) => header.extend_from_slice(text),
        HeaderPiece::End => dates.push(summary::HeaderSummary::of(&std::mem::take(&mut header)).date),
        HeaderPiece::Refused => dates.push(None),
    })?;
    Ok(dates)
}
