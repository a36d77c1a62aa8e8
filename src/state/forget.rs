//! Forgets messages because the user asks for it: they are new when the server lists them again.

use std::path::Path;

use super::Error;
use crate::account::Account;
use crate::clock;
use crate::ledger::memory::Memory;
use crate::ledger::{self, EntryState, Ledger};
use crate::proof::{EntryId, Key};
use crate::signals::Stop;
use crate::text::printable;
use crate::types::Time;

/// Which messages are to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForgetWhich {
    /// Those of these unique-ids, as they are or as popfetch prints them; `uid:` may precede one.
    Named(Vec<String>),
    /// Those that were delivered, or recorded as retrieved, before this time.
    Before(Time),
    /// Those that were only recorded as retrieved, by the user's word or on standard output.
    Seen,
    All,
}

/// A message that would be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// Its unique-id, printable; `None` where the server gives it none.
    pub unique_id: Option<String>,
    /// When it was delivered, or recorded as retrieved.
    pub when: Option<Time>,
    /// Whether the destinations have it: it comes twice if the server lists it still.
    pub delivered: bool,
}

/// Forgets the messages that `which` names.  `agrees` is asked once, with all of them, if there are any.  Gives how many
/// were forgotten; those on their way to a destination are not.
///
/// # Errors
/// [`Error::NoSuchMessage`]; the lock, the ledger.
pub(crate) fn forget(
    account: &Account,
    state: &Path,
    which: &ForgetWhich,
    stop: &Stop,
    agrees: &mut dyn FnMut(&[Forgotten]) -> bool,
) -> Result<usize, Error> {
    let mailbox = account.mailbox();
    let directory = ledger::directory(state, &mailbox);
    if Ledger::octets(&directory).is_none() {
        Ledger::read(&directory, &mailbox, clock::now())?;
        return match which {
            ForgetWhich::Named(names) => Err(Error::NoSuchMessage(printable(names.concat().as_bytes()))),
            _ => Ok(0),
        };
    }
    let lock = super::lock(&directory, stop)?;
    let mut memory = Memory::load(&directory);
    let mut ledger = Ledger::open(&directory, &mailbox, lock, clock::now())?;
    let wanted = wanted(&ledger, which)?;
    let shown =
        wanted.iter().map(|id| shown(&ledger, *id)).collect::<Result<Vec<Forgotten>, ledger::Error>>()?;
    let forgotten = if !wanted.is_empty() && agrees(&shown) {
        // First: a quick poll, to which the maildrop is as it was left, would not see that they are new.
        memory.expect_work();
        memory.save(&directory)?;
        ledger.forget_entries(&wanted)?
    } else {
        0
    };
    if let Some(extent) = ledger.close()? {
        memory.extent = Some(extent);
        memory.save(&directory)?;
    }
    Ok(forgotten)
}

fn wanted(ledger: &Ledger, which: &ForgetWhich) -> Result<Vec<EntryId>, Error> {
    let all = || ledger.entries();
    Ok(match which {
        ForgetWhich::All => all().collect(),
        ForgetWhich::Seen => all().filter(|id| ledger.entry(*id).state == EntryState::Seen).collect(),
        ForgetWhich::Before(time) => all()
            .filter(|id| ledger.entry(*id).delivered.is_some_and(|delivered| delivered < *time))
            .collect(),
        ForgetWhich::Named(names) => {
            let mut found = Vec::new();
            for name in names {
                let name = name.strip_prefix("uid:").unwrap_or(name);
                let before = found.len();
                for id in all() {
                    let is_meant = match ledger.key(id)? {
                        Key::UniqueId(unique_id) => {
                            let octets = unique_id.borrow().as_bytes();
                            octets == name.as_bytes() || printable(octets) == name
                        }
                        Key::Header(_) => false,
                    };
                    if is_meant && !found.contains(&id) {
                        found.push(id);
                    }
                }
                if found.len() == before {
                    return Err(Error::NoSuchMessage(printable(name.as_bytes())));
                }
            }
            found
        }
    })
}

fn shown(ledger: &Ledger, id: EntryId) -> Result<Forgotten, ledger::Error> {
    let entry = ledger.entry(id);
    let unique_id = ledger.key(id)?.into_unique_id().map(|unique_id| unique_id.to_string());
    let delivered = match entry.state {
        EntryState::Delivered | EntryState::Recorded | EntryState::Deleted => true,
        EntryState::Open | EntryState::Seen => entry.deliveries > 0 && entry.state == EntryState::Open,
    };
    Ok(Forgotten { unique_id, when: entry.delivered, delivered })
}
