//! What is kept of a mailbox: its files, and what its ledger knows.  It is read without a lock: a run that is at work may be
//! ahead of it.

use std::path::{Path, PathBuf};

use super::Error;
use crate::account::{Account, Mailbox};
use crate::ledger::lock::Lock;
use crate::ledger::memory::Memory;
use crate::ledger::{self, EntryState, Ledger};
use crate::proof::{DestinationKind, DestinationName};
use crate::text::{self, printable};
use crate::types::{Time, wide};

/// What the ledger of a mailbox knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KnownMessages {
    /// Messages that were delivered whole, and are on the server as far as is known; counted as recorded or seen too.
    pub delivered: u64,
    /// Those that only count as retrieved.
    pub seen: u64,
    /// Those that are known and not delivered whole.
    pub open: u64,
    /// Those of them that have failed.
    pub failed: u64,
    /// Those whose deletion the server confirmed, and that are remembered for a while.
    pub deleted: u64,
    /// Those that the last complete listing lacked.
    pub absent: u64,
    /// Deliveries that were begun and not ended: recovered by the next run.
    pub unfinished: u64,
    /// Where it has delivered to: `maildir /home/me/Mail`.
    pub destinations: Vec<String>,
}

impl KnownMessages {
    /// All messages that are known.
    #[must_use]
    pub(crate) fn messages(&self) -> u64 {
        [self.delivered, self.seen, self.open, self.deleted].into_iter().fold(0, u64::saturating_add)
    }

    /// Reads the ledger in `directory`, all of it.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub(crate) fn read(directory: &Path, mailbox: &Mailbox, now: Time) -> Result<Self, ledger::Error> {
        let ledger = Ledger::read(directory, mailbox, now)?;
        let mut known = Self::default();
        for id in ledger.entries() {
            let entry = ledger.entry(id);
            let counted = match entry.state {
                EntryState::Open => &mut known.open,
                EntryState::Seen => &mut known.seen,
                EntryState::Recorded | EntryState::Delivered => &mut known.delivered,
                EntryState::Deleted => &mut known.deleted,
            };
            *counted = counted.saturating_add(1);
            known.failed = known.failed.saturating_add(u64::from(entry.failures > 0));
            known.absent = known.absent.saturating_add(u64::from(entry.absent));
        }
        known.unfinished = wide(ledger.unfinished().len());
        known.destinations = ledger
            .destinations()
            .iter()
            .filter(|record| ledger.has_delivered_to(record.id))
            .map(|record| shown(&record.name))
            .collect();
        Ok(known)
    }
}

/// A destination, for people.
fn shown(name: &DestinationName) -> String {
    if name.kind == DestinationKind::Stdout {
        return "standard output".to_owned();
    }
    let words = name.address.split(|octet| *octet == 0).map(printable);
    std::iter::once(name.kind.word().to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// The size of all files in `directory`, in octets.
#[must_use]
pub(crate) fn octets(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    files.filter_map(|file| file.metadata().ok()).map(|status| status.len()).fold(0, u64::saturating_add)
}

/// A mailbox whose state is kept.
#[derive(Debug)]
pub(crate) struct KeptMailbox {
    /// The account that names it, if one does.
    pub account: Option<String>,
    /// Whose it is; `None` where that cannot be read.
    pub mailbox: Option<Mailbox>,
    /// Where it is kept.
    pub directory: PathBuf,
    /// The size of all its files.
    pub octets: u64,
    /// When the last run ended, or began where it hasn't ended.
    pub last_run: Option<Time>,
    pub known: Result<KnownMessages, ledger::Error>,
}

impl KeptMailbox {
    /// The account's name; the mailbox where no account names it, and the directory where that cannot be read.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        let mailbox = || self.mailbox.as_ref().map(ToString::to_string);
        self.account.clone().or_else(mailbox).unwrap_or_else(|| text::path(&self.directory))
    }
}

/// All that is kept below `state`: of these accounts, in their order, then what none of them names.
#[must_use]
pub(crate) fn all(accounts: &[Account], state: &Path, now: Time) -> Vec<KeptMailbox> {
    let mut directories = directories(state);
    directories.sort();
    let mut all = Vec::new();
    for account in accounts {
        let (mailbox, directory) = (account.mailbox(), ledger::directory(state, &account.mailbox()));
        let before = directories.len();
        directories.retain(|other| *other != directory);
        if directories.len() < before {
            all.push(kept(Some(account.name.clone()), Ok(Some(mailbox)), directory, now));
        }
    }
    for directory in directories {
        all.push(kept(None, Ledger::mailbox_of(&directory), directory, now));
    }
    all
}

fn kept(
    account: Option<String>,
    mailbox: Result<Option<Mailbox>, ledger::Error>,
    directory: PathBuf,
    now: Time,
) -> KeptMailbox {
    let (mailbox, known) = match mailbox {
        Ok(Some(mailbox)) => {
            let known = KnownMessages::read(&directory, &mailbox, now);
            (Some(mailbox), known)
        }
        Ok(None) => (None, Err(ledger::Error::missing(&directory))),
        Err(e) => (None, Err(e)),
    };
    let last_run = Lock::look(&directory).and_then(|seen| seen.last_run);
    KeptMailbox { account, mailbox, octets: octets(&directory), last_run, known, directory }
}

/// The directories of mailboxes below the directory of all state: those that hold a ledger, or have held one.
fn directories(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state).into_iter().flatten().filter_map(Result::ok);
    let holds = |path: &PathBuf| Ledger::octets(path).is_some() || Memory::load(path) != Memory::default();
    entries.map(|entry| entry.path()).filter(holds).collect()
}

/// What [`verify`] has found.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// How many messages the ledger knows.
    pub messages: u64,
    pub error: Option<ledger::Error>,
    /// What the next run puts right.
    pub warnings: Vec<String>,
}

/// Reads all that is kept of a mailbox: every line of its ledger with its checksum, and whether its end is missing.
#[must_use]
pub(crate) fn verify(kept: &KeptMailbox, now: Time) -> Verified {
    match verified(kept, now) {
        Ok(verified) => verified,
        Err(e) => Verified { error: Some(e), ..Verified::default() },
    }
}

fn verified(kept: &KeptMailbox, now: Time) -> Result<Verified, ledger::Error> {
    let directory = &kept.directory;
    let mailbox = match &kept.mailbox {
        Some(mailbox) => Some(mailbox.clone()),
        None => Ledger::mailbox_of(directory)?,
    };
    let mailbox = mailbox.ok_or_else(|| ledger::Error::missing(directory))?;
    let ledger = Ledger::read(directory, &mailbox, now)?;
    ledger.read_lines()?;
    let messages = wide(ledger.entries().count());
    let mut warnings = ledger.warnings().to_vec();
    let unfinished = ledger.intents().len();
    if unfinished > 0 {
        let unfinished = text::count(wide(unfinished), "delivery");
        warnings.push(format!("{unfinished} left unfinished by a run: the next one settles them"));
    }
    Ok(Verified { messages, error: None, warnings })
}

/// The mailbox that the user calls `called`, of those that are kept and that no account but `account` names.
///
/// # Errors
/// [`Error::NoSuchMailbox`]; [`Error::InTheWay`] where another account goes on with it.
pub(crate) fn find(
    called: &str,
    accounts: &[Account],
    account: &Account,
    state: &Path,
) -> Result<Mailbox, Error> {
    let mut known: Vec<Mailbox> = directories(state)
        .iter()
        .filter_map(|directory| Ledger::mailbox_of(directory).ok().flatten())
        .collect();
    known.retain(|mailbox| *mailbox != account.mailbox());
    known.sort_by_key(ToString::to_string);
    let names =
        |mailboxes: &[Mailbox]| mailboxes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let hint = match known.is_empty() {
        true => "nothing is kept of any other mailbox: popfetch state list".to_owned(),
        false => format!("what is kept is of {}", names(&known)),
    };
    let exact: Vec<Mailbox> = known.iter().filter(|mailbox| is_called(mailbox, called)).cloned().collect();
    let found = match exact.is_empty() {
        true => known
            .into_iter()
            .filter(|mailbox| mailbox.host == host(called) || mailbox.user == called)
            .collect(),
        false => exact,
    };
    let shown = printable(called.as_bytes());
    match found.as_slice() {
        [one] => match accounts.iter().find(|other| other.mailbox() == *one) {
            Some(other) => Err(Error::InTheWay {
                what: format!("{one} is the mailbox of account \"{}\"", other.name),
                hint: "take that account out of the configuration, or name another mailbox".to_owned(),
            }),
            None => Ok(one.clone()),
        },
        [] => {
            Err(Error::NoSuchMailbox { what: format!("nothing is kept of a mailbox called {shown}"), hint })
        }
        several => {
            let hint = format!("which of these: {}", names(several));
            Err(Error::NoSuchMailbox { what: format!("several mailboxes are called {shown}"), hint })
        }
    }
}

/// Whether `called` is the whole name of the mailbox, whose port may be given where it is the usual one.
fn is_called(mailbox: &Mailbox, called: &str) -> bool {
    let Some((user, server)) = called.rsplit_once('@') else { return false };
    let name = Mailbox { user: user.to_owned(), ..mailbox.clone() };
    let server = host(server);
    let spelt = |port: u16| {
        format!("{}:{port}", mailbox.host) == server || format!("[{}]:{port}", mailbox.host) == server
    };
    let usual = mailbox.port == 110
        && (server == mailbox.host || server == format!("[{}]", mailbox.host) || spelt(995));
    name == *mailbox && (usual || spelt(mailbox.port))
}

/// A host as mailboxes have it.
fn host(text: &str) -> String {
    text.trim_end_matches('.').to_ascii_lowercase()
}
