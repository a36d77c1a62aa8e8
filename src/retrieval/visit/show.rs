//! One message, as the server gives it: its header, or all of it, handed on while it arrives.

use super::Visit;
use crate::account::Account;
use crate::client::{Client, ListingAnswer, Transaction};
use crate::clock;
use crate::ledger::Ledger;
use crate::ledger::shown::Shown;
use crate::plan::{Listed, Maildrop, Who};
use crate::proof::Key;
use crate::protocol::capability::Capabilities;
use crate::report::ReportedError;
use crate::retrieval::error::Error;
use crate::retrieval::run::Run;
use crate::retrieval::survey;
use crate::retrieval::{Context, Options};
use crate::types::{MessageNumber, Selection, UniqueIdBuf};

/// A message may grow to this.
const FAR_BEYOND_ALL: u64 = 4 << 30;

/// What is wanted of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Its header, perhaps with more behind it.
    Header,
    /// All of it.
    Whole,
}

/// The message that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its number in this session.
    pub number: MessageNumber,
    /// Its unique-id, fit to print.
    pub unique_id: Option<String>,
    /// The unique-id that the last `list` showed under this number, where that was another one; fit to print.
    pub was: Option<String>,
}

/// Gets the pieces of a message as they come, in text form: LF line ends, nothing stuffed.  `false`: enough.
pub type Taker<'t> = &'t mut dyn FnMut(&[u8]) -> bool;

/// Shows the message that is named: `taker` gets its text while it arrives.
///
/// # Errors
/// As of a run that ends with the listing; and the message.
pub fn show(
    account: &Account,
    options: &Options,
    context: &Context<'_>,
    selection: &Selection,
    extent: Extent,
    taker: Taker<'_>,
) -> Result<Chosen, ReportedError> {
    let run = Run::new(account, options, context, clock::now());
    look(&run, selection, extent, taker).map_err(|e| ReportedError::of(&e.at(&run.server()), true))
}

fn look(run: &Run<'_>, selection: &Selection, extent: Extent, taker: Taker<'_>) -> Result<Chosen, Error> {
    let mut visit = Visit::begin(run)?;
    let secret = visit.secret()?;
    let mut client = visit.log_in(&secret, visit.listing(false))?;
    let ledger = visit.ledger()?;
    let _ = client.prefetched_drop_listing()?;
    let maildrop = survey::list(run, &mut client, &ledger, &mut visit.memory.habits)?;
    if client.has_prefetched_sizes() {
        let _ = client.sizes(|_, _| {})?;
    }
    let number = match resolve(selection, &maildrop, &ledger)?.as_slice() {
        [number] => *number,
        several => return Err(Error::SeveralMessages { messages: several.len() }),
    };
    let unique_id = maildrop.find(number).map(|listed| unique_id(&ledger, &listed)).transpose()?.flatten();
    let chosen = Chosen {
        number,
        was: before(&Shown::load(&visit.directory), selection, number, unique_id.as_ref())
            .map(|was| client.shown(was.borrow())),
        unique_id: unique_id.map(|unique_id| client.shown(unique_id.borrow())),
    };
    let result = take(&mut client, number, extent, taker);
    client.leave();
    result.map(|()| chosen)
}

fn take(
    client: &mut Client<Transaction>,
    number: MessageNumber,
    extent: Extent,
    taker: Taker<'_>,
) -> Result<(), Error> {
    let mut octets = 0_u64;
    let mut each = |text: &[u8]| {
        octets = octets.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        octets <= FAR_BEYOND_ALL && taker(text)
    };
    let has_top = client.capabilities().is_none_or(Capabilities::top);
    if extent == Extent::Header && has_top && client.read_header(number, &mut each)? == ListingAnswer::Taken {
        return Ok(());
    }
    match client.read_message(number, &mut each)? {
        ListingAnswer::Refused(refused) => Err(Error::MessageRefused { number, text: refused.text }),
        ListingAnswer::Taken if octets > FAR_BEYOND_ALL => Err(Error::Endless { number }),
        ListingAnswer::Taken => Ok(()),
    }
}

/// The messages that are named.
pub(super) fn resolve(
    selection: &Selection,
    maildrop: &Maildrop,
    ledger: &Ledger,
) -> Result<Vec<MessageNumber>, Error> {
    let named = selection.needs_unique_ids();
    let mut listing = Vec::with_capacity(maildrop.len());
    for listed in maildrop.iter() {
        let unique_id = if named { unique_id(ledger, &listed)? } else { None };
        listing.push((listed.number, unique_id));
    }
    Ok(selection.resolve(listing)?)
}

/// The unique-id of a listed message, if it has one.
pub(in crate::retrieval) fn unique_id(
    ledger: &Ledger,
    listed: &Listed<'_>,
) -> Result<Option<UniqueIdBuf>, Error> {
    Ok(match listed.who {
        Who::New(unique_id) => Some(unique_id.to_buf()),
        Who::Known(id) => match ledger.key(id)? {
            Key::UniqueId(unique_id) => Some(unique_id),
            Key::Header(_) => None,
        },
        Who::Nameless => None,
    })
}

/// What the last `list` showed under this number, if the message was named by it and is another one now.
pub(super) fn before(
    shown: &Shown,
    selection: &Selection,
    number: MessageNumber,
    unique_id: Option<&UniqueIdBuf>,
) -> Option<UniqueIdBuf> {
    if selection.needs_unique_ids() {
        return None;
    }
    shown.0.get(&number).filter(|was| unique_id.is_some_and(|now| now != *was)).cloned()
}
