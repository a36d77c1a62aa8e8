//! A session that the user leads: logged in as a run logs in, under the mailbox's lock, and then one command after the
//! other.  Nothing goes to a destination.  What is deleted here, and is what was delivered, is recorded as deleted; the rest is
//! gone from the next listing, as if another program had deleted it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::BorrowedFd;

use super::delete::delivered;
use super::{Sizes, Visit};
use crate::account::Account;
pub(crate) use crate::client::{AnswerPiece, Farewell, ReadCommand};
use crate::client::{Client, Next, Transaction};
use crate::clock;
use crate::ledger::lock::{Lock, PATIENCE};
use crate::ledger::memory::Memory;
use crate::ledger::{EntryState, Ledger};
use crate::plan::{Listed, Maildrop, Who};
use crate::proof::{Dismissed, EntryId, Key};
use crate::report::ReportedError;
use crate::retrieval::error::Error;
use crate::retrieval::run::Run;
use crate::retrieval::survey::{self, list};
use crate::retrieval::{Context, Options};
use crate::text::shown_by;
use crate::types::{MessageNumber, Time, UniqueIdBuf, Wait};

/// A session that the user leads.
pub(crate) struct ByHand<'a> {
    run: &'a Run<'a>,
    client: Client<Transaction>,
    ledger: Ledger,
    maildrop: Maildrop,
    /// What is known of each message.
    known: BTreeMap<MessageNumber, KnownAs>,
    /// Messages that are what was delivered.
    recognised: HashMap<MessageNumber, EntryId>,
    /// Messages that are marked for deletion.
    marked: Vec<MessageNumber>,
    /// Messages that were retrieved, if the server deletes those at `QUIT`.
    dropped: Vec<MessageNumber>,
    /// A run would meet a maildrop that the server has locked for this session.
    lock: Lock,
}

shown_by!(ByHand<'_>, client);

/// What the ledger knows of a message that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownAs {
    /// It was delivered at that time, if the time is known.
    Delivered(Option<Time>),
    /// It counts as seen: printed, or marked by the user.
    Seen,
    /// It was never delivered, or not everywhere.
    Undelivered,
}

/// What came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The descriptor is readable.
    Woken,
    Stopped,
}

/// Logs in for the user, and lends the session to `lead`.  `options.insist`: a pause after a refused login doesn't hold.
///
/// # Errors
/// As of every login; another popfetch that has the mailbox.
pub(crate) fn by_hand<T>(
    account: &Account,
    options: &Options,
    context: &Context<'_>,
    lead: impl FnOnce(ByHand<'_>) -> T,
) -> Result<T, ReportedError> {
    let run = Run::new(account, options, context, clock::now());
    let hand = open(&run).map_err(|e| run.failure(&e))?;
    Ok(lead(hand))
}

fn open<'a>(run: &'a Run<'_>) -> Result<ByHand<'a>, Error> {
    let mut visit = Visit::begin(run)?;
    let lock = Lock::acquire(&run.directory, Wait::AtMost(PATIENCE), &run.context.stop)?;
    let secret = visit.secret()?;
    let mut client = visit.log_in(&secret, visit.listing(Sizes::IfLikely))?;
    let ledger = visit.ledger()?;
    let _ = client.prefetched_drop_listing()?;
    let maildrop = list(run, &mut client, &ledger, &mut visit.memory.habits)?;
    if client.has_prefetched_sizes() {
        let _ = client.sizes(|_, _| ())?;
    }
    let known = maildrop.iter().map(|listed| (listed.number, known(&listed, &ledger))).collect();
    Ok(ByHand {
        run,
        client,
        ledger,
        maildrop,
        known,
        recognised: HashMap::new(),
        marked: Vec::new(),
        dropped: Vec::new(),
        lock,
    })
}

/// What the ledger knows of a listed message by its unique-id, which proves nothing yet.
fn known(listed: &Listed<'_>, ledger: &Ledger) -> KnownAs {
    let Who::Known(id) = listed.who else { return KnownAs::Undelivered };
    let entry = ledger.entry(id);
    match entry.state {
        EntryState::Delivered | EntryState::Recorded if !entry.unidentified => {
            KnownAs::Delivered(entry.delivered)
        }
        EntryState::Seen => KnownAs::Seen,
        _ => KnownAs::Undelivered,
    }
}

impl ByHand<'_> {
    /// `HOST:PORT`.
    #[must_use]
    pub(crate) fn server(&self) -> String {
        self.run.server()
    }

    /// How many messages the server listed.
    #[must_use]
    pub(crate) fn messages(&self) -> usize {
        self.known.len()
    }

    /// What the ledger knows of a message; [`KnownAs::Undelivered`] of one that wasn't listed.
    #[must_use]
    pub(crate) fn known(&self, number: MessageNumber) -> KnownAs {
        self.known.get(&number).copied().unwrap_or(KnownAs::Undelivered)
    }

    /// Messages that are marked for deletion.
    #[must_use]
    pub(crate) fn marked(&self) -> &[MessageNumber] {
        &self.marked
    }

    /// Messages that `QUIT` deletes, and that were never delivered.
    #[must_use]
    pub(crate) fn undelivered(&self) -> Vec<MessageNumber> {
        let gone: BTreeSet<MessageNumber> = self.marked.iter().chain(&self.dropped).copied().collect();
        gone.into_iter().filter(|number| self.known(*number) == KnownAs::Undelivered).collect()
    }

    /// Octets of the server's, fit to print: nothing that steers a terminal, and no secret.
    #[must_use]
    pub(crate) fn shown(&self, octets: &[u8]) -> String {
        self.client.shown_line(octets)
    }

    /// Waits until `wake` is readable, and keeps the session alive meanwhile.
    ///
    /// # Errors
    /// The server has ended the session, or the connection broke.
    pub(crate) fn wait(&mut self, wake: BorrowedFd<'_>) -> Result<Waited, ReportedError> {
        loop {
            match self.client.next(Some(wake), None).map_err(|e| self.failure(e.into()))? {
                Next::Woken => return Ok(Waited::Woken),
                Next::Stopped => return Ok(Waited::Stopped),
                Next::Event | Next::Quiet => {}
            }
        }
    }

    /// Asks, and hands over the answer piece by piece, with what makes its octets fit to print.  Returns whether it was
    /// `+OK`.
    ///
    /// # Errors
    /// As of [`ByHand::wait`].
    pub(crate) fn ask(
        &mut self,
        question: ReadCommand,
        each: impl FnMut(AnswerPiece<'_>),
    ) -> Result<bool, ReportedError> {
        if let ReadCommand::Retr(number) = question
            && self.client.drops_at_quit()
        {
            self.check_delivery(number)?;
            self.dropped.push(number);
        }
        let ok = self.client.ask(question, each).map_err(|e| self.failure(e.into()))?;
        if question == ReadCommand::Rset && ok {
            self.marked.clear();
        }
        Ok(ok)
    }

    /// Marks a message for deletion: the user has typed its number in this session.
    ///
    /// # Errors
    /// As of [`ByHand::wait`].
    pub(crate) fn mark(
        &mut self,
        number: MessageNumber,
        each: impl FnMut(AnswerPiece<'_>),
    ) -> Result<bool, ReportedError> {
        self.check_delivery(number)?;
        let dismissed = Dismissed::attest(self.client.session(), number);
        let ok = self.client.mark(&dismissed, each).map_err(|e| self.failure(e.into()))?;
        if ok && !self.marked.contains(&number) {
            self.marked.push(number);
        }
        Ok(ok)
    }

    /// Ends the session by `QUIT`: the server deletes what is marked.  The ledger has it before that.
    ///
    /// # Errors
    /// As of [`ByHand::wait`]; a ledger that can't be written, and then nothing is deleted.
    pub(crate) fn quit(self) -> Result<Farewell, ReportedError> {
        let run = self.run;
        self.end().map_err(|e| run.failure(&e))
    }

    fn end(self) -> Result<Farewell, Error> {
        let deleted = self.deleted()?;
        let Self { run, client, lock, .. } = self;
        let directory = &run.directory;
        if deleted.is_empty() {
            return Ok(client.quit()?);
        }
        let mut memory = Memory::load(directory);
        let mut ledger = Ledger::open(directory, &run.account.mailbox(), lock, run.now)?;
        let found = deleted.iter().filter_map(|unique_id| ledger.find(unique_id.borrow()));
        let ids: Vec<_> = found.map(|id| (id, None)).collect();
        let asked = ledger.ask_deletion(&ids)?;
        ledger.sync()?;
        let farewell = client.quit();
        if matches!(farewell, Ok(Farewell::Confirmed)) {
            ledger.confirm_deletion(asked)?;
        }
        if let Some(extent) = ledger.sync().and_then(|()| ledger.close())? {
            memory.extent = Some(extent);
            run.keep(&memory);
        }
        Ok(farewell?)
    }

    /// The unique-ids of what is marked, and is what was delivered; of several messages with one only all of them
    /// together are gone.
    fn deleted(&self) -> Result<Vec<UniqueIdBuf>, Error> {
        let mut times: HashMap<EntryId, u32> = HashMap::new();
        for id in self.marked.iter().filter_map(|number| self.recognised.get(number)) {
            let times = times.entry(*id).or_default();
            *times = times.saturating_add(1);
        }
        let mut deleted = Vec::new();
        for (id, times) in times {
            if times >= self.maildrop.times_listed(id).max(1)
                && let Key::UniqueId(unique_id) = self.ledger.key(id)?
            {
                deleted.push(unique_id);
            }
        }
        Ok(deleted)
    }

    /// Ends the session without `QUIT`: nothing is deleted.
    pub(crate) fn abort(self) {
        self.client.hang_up();
    }

    /// Looks whether a message that `QUIT` will delete is what was delivered: its unique-id may stand for other mail by now.
    fn check_delivery(&mut self, number: MessageNumber) -> Result<(), ReportedError> {
        // It is the same for the whole session, and a server doesn't show again what is marked.
        if self.recognised.contains_key(&number) || !matches!(self.known(number), KnownAs::Delivered(_)) {
            return Ok(());
        }
        let compared = survey::headers(&mut self.client, &[number]).and_then(|headers| {
            let Self { run, client, ledger, maildrop, .. } = self;
            delivered(run, client, ledger, maildrop, &headers, &[number])
        });
        match compared.map_err(|e| self.failure(e))?.get(&number) {
            Some(known) => _ = self.recognised.insert(number, known.entry),
            None => _ = self.known.insert(number, KnownAs::Undelivered),
        }
        Ok(())
    }

    fn failure(&self, e: Error) -> ReportedError {
        self.run.failure(&e)
    }
}

#[cfg(test)]
mod tests {
    use super::{KnownAs, known};
    use crate::ledger::UsersWord;
    use crate::plan::trial::{NOW, World};
    use crate::retrieval::trial::unique_id;

    /// By its unique-id alone, which is what a user sees before anything is compared.
    #[test]
    fn what_is_known_of_a_message_is_what_the_ledger_has_recorded() {
        let mut world = World::new();
        world.now();
        world.deliver("delivered");
        world.print("printed");
        world.fail("failed", None);
        world.deliver_to_one("partly");
        world.delete("deleted");
        let id = world.deliver("before");
        world.record_match("moved", id);
        // Nothing shows yet that it is what the user has said.
        world.ledger.import(&[(unique_id("word"), UsersWord::Delivered(NOW))]).unwrap();
        for (name, expected) in [
            ("delivered", KnownAs::Delivered(Some(NOW))),
            ("moved", KnownAs::Delivered(Some(NOW))),
            ("printed", KnownAs::Seen),
            ("word", KnownAs::Seen),
            ("failed", KnownAs::Undelivered),
            ("partly", KnownAs::Undelivered),
            ("deleted", KnownAs::Undelivered),
            ("new", KnownAs::Undelivered),
            ("-", KnownAs::Undelivered),
        ] {
            let maildrop = world.maildrop(&[(name, None)]);
            assert_eq!(known(&maildrop.at(0).unwrap(), &world.ledger), expected, "{name}");
        }
    }
}
