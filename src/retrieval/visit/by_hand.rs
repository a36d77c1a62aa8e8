//! A session that the user leads: logged in as a run logs in, under the mailbox's lock, and then one command after the
//! other.  Nothing goes to a destination, and nothing is written to the ledger: what is deleted here is gone from the next
//! listing, as if another program had deleted it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;

use super::{PATIENCE, Visit};
use crate::account::Account;
use crate::client::{Client, Next, Transaction};
pub use crate::client::{Farewell, Piece, Question};
use crate::clock;
use crate::ledger::EntryState;
use crate::ledger::lock::Lock;
use crate::plan::{Maildrop, Who};
use crate::proof::Requested;
use crate::report::Trouble;
use crate::retrieval::error::Error;
use crate::retrieval::run::Run;
use crate::retrieval::session::drops_at_quit;
use crate::retrieval::survey::list;
use crate::retrieval::{Context, Options};
use crate::types::{MessageNumber, Time, Wait};

/// A session that the user leads.
pub struct ByHand {
    server: String,
    client: Client<Transaction>,
    /// What the ledger knew of each message when the session began.
    known: BTreeMap<MessageNumber, Known>,
    /// Messages that are marked for deletion.
    marked: Vec<MessageNumber>,
    /// Messages that were retrieved, if the server deletes those at `QUIT`.
    dropped: Vec<MessageNumber>,
    /// A run would meet a maildrop that the server has locked for this session.
    _lock: Lock,
}

impl std::fmt::Debug for ByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByHand").field("server", &self.server).finish_non_exhaustive()
    }
}

/// What the ledger knows of a message that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was delivered at that time, if the time is known.
    Delivered(Option<Time>),
    /// It counts as seen: printed, or marked by the user.
    Seen,
    /// It was never delivered, or not everywhere.
    Undelivered,
}

/// What came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The descriptor is readable.
    Woken,
    /// A signal asks to stop.
    Stopped,
}

/// Logs in for the user.  `options.insist`: a pause after a refused login doesn't hold.
///
/// # Errors
/// As of every login; another popfetch that has the mailbox.
pub fn by_hand(account: &Account, options: &Options, context: &Context<'_>) -> Result<ByHand, Trouble> {
    let run = Run::new(account, options, context, clock::now());
    open(&run).map_err(|e| Trouble::of(&e.at(&run.server()), true))
}

fn open(run: &Run<'_>) -> Result<ByHand, Error> {
    let mut visit = Visit::begin(run)?;
    let lock = Lock::acquire(&visit.directory, Wait::AtMost(PATIENCE), &run.context.stop)?;
    let secret = visit.secret()?;
    let mut client = visit.log_in(&secret, visit.listing(false))?;
    let ledger = visit.ledger()?;
    client.prefetched_drop_listing()?;
    let maildrop: Maildrop = list(run, &mut client, &ledger, &mut visit.memory.habits)?;
    let known = maildrop.iter().map(|listed| {
        let known = match listed.who {
            Who::Known(id) => match ledger.entry(id) {
                entry if entry.doubtful || entry.unidentified => Known::Undelivered,
                entry => match entry.state {
                    EntryState::Delivered | EntryState::Recorded => Known::Delivered(entry.delivered),
                    EntryState::Seen => Known::Seen,
                    EntryState::Open | EntryState::Deleted => Known::Undelivered,
                },
            },
            Who::New(_) | Who::Nameless => Known::Undelivered,
        };
        (listed.number, known)
    });
    let known = known.collect();
    if client.has_prefetched_sizes() {
        let _ = client.sizes(|_, _| ())?;
    }
    Ok(ByHand { server: run.server(), client, known, marked: Vec::new(), dropped: Vec::new(), _lock: lock })
}

impl ByHand {
    /// `HOST:PORT`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// How many messages the server listed.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.known.len()
    }

    /// What the ledger knows of a message; [`Known::Undelivered`] of one that wasn't listed.
    #[must_use]
    pub fn known(&self, number: MessageNumber) -> Known {
        self.known.get(&number).copied().unwrap_or(Known::Undelivered)
    }

    /// Messages that are marked for deletion.
    #[must_use]
    pub fn marked(&self) -> &[MessageNumber] {
        &self.marked
    }

    /// Messages that `QUIT` deletes, and that were never delivered.
    #[must_use]
    pub fn undelivered(&self) -> Vec<MessageNumber> {
        let gone: BTreeSet<MessageNumber> = self.marked.iter().chain(&self.dropped).copied().collect();
        gone.into_iter().filter(|number| self.known(*number) == Known::Undelivered).collect()
    }

    /// Octets of the server's, fit to print: nothing that steers a terminal, and no secret.
    #[must_use]
    pub fn shown(&self, octets: &[u8]) -> String {
        self.client.shown_line(octets)
    }

    /// Waits until `wake` is readable, and keeps the session alive meanwhile.
    ///
    /// # Errors
    /// The server has ended the session, or the connection broke.
    pub fn wait(&mut self, wake: BorrowedFd<'_>) -> Result<Waited, Trouble> {
        loop {
            match self.client.next(Some(wake), None).map_err(|e| self.trouble(e.into()))? {
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
    pub fn ask(&mut self, question: Question, each: impl FnMut(Piece<'_>)) -> Result<bool, Trouble> {
        let ok = self.client.ask(question, each).map_err(|e| self.trouble(e.into()))?;
        match question {
            Question::Rset if ok => self.marked.clear(),
            Question::Retr(number) if drops_at_quit(&self.client) => self.dropped.push(number),
            _ => {}
        }
        Ok(ok)
    }

    /// Marks a message for deletion: the user has typed its number in this session.
    ///
    /// # Errors
    /// As of [`ByHand::wait`].
    pub fn mark(&mut self, number: MessageNumber, each: impl FnMut(Piece<'_>)) -> Result<bool, Trouble> {
        let requested = Requested::attest(self.client.session(), number);
        let ok = self.client.mark(&requested, each).map_err(|e| self.trouble(e.into()))?;
        if ok && !self.marked.contains(&number) {
            self.marked.push(number);
        }
        Ok(ok)
    }

    /// Ends the session by `QUIT`: the server deletes what is marked.
    ///
    /// # Errors
    /// As of [`ByHand::wait`].
    pub fn quit(self) -> Result<Farewell, Trouble> {
        let server = self.server;
        self.client.quit().map_err(|e| Trouble::of(&Error::from(e).at(&server), true))
    }

    /// Ends the session without `QUIT`: nothing is deleted.
    pub fn abort(self) {
        self.client.hang_up();
    }

    fn trouble(&self, e: Error) -> Trouble {
        Trouble::of(&e.at(&self.server), true)
    }
}
