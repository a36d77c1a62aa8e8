//! One message, as the server gives it: its header, or all of it, handed on while it arrives.

use super::{Sizes, Visit};
use crate::account::Account;
use crate::client::{Client, ListingAnswer, Transaction};
use crate::clock;
use crate::ledger::shown::Shown;
use crate::report::ReportedError;
use crate::retrieval::by_word::named;
use crate::retrieval::error::Error;
use crate::retrieval::run::Run;
use crate::retrieval::survey;
use crate::retrieval::{Context, Options};
use crate::types::{MessageNumber, Selection, UniqueIdBuf, wide};

/// A message may have this many octets.
const MOST_OCTETS: u64 = 4 << 30;

/// What is wanted of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShownPart {
    /// Its header, perhaps with more behind it.
    Header,
    Whole,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownMessage {
    /// Its number in this session.
    pub number: MessageNumber,
    /// Its unique-id, fit to print.
    pub unique_id: Option<String>,
    /// The unique-id that the last `list` showed under this number, where that was another one; fit to print.
    pub was: Option<String>,
}

/// Gets the pieces of a message as they come, in text form: LF line ends, nothing stuffed.  `false`: enough.
pub(crate) type Taker<'t> = &'t mut dyn FnMut(&[u8]) -> bool;

/// Shows the message that is named: `taker` gets its text while it arrives.
///
/// # Errors
/// As of a run that ends with the listing; and the message.
pub(crate) fn show(
    account: &Account,
    options: &Options,
    context: &Context<'_>,
    selection: &Selection,
    extent: ShownPart,
    taker: Taker<'_>,
) -> Result<ShownMessage, ReportedError> {
    let run = Run::new(account, options, context, clock::now());
    look(&run, selection, extent, taker).map_err(|e| run.failure(&e))
}

fn look(
    run: &Run<'_>,
    selection: &Selection,
    extent: ShownPart,
    taker: Taker<'_>,
) -> Result<ShownMessage, Error> {
    let (mut visit, mut client, ledger) = Visit::open(run, Sizes::IfLikely)?;
    let _ = client.prefetched_drop_listing()?;
    let maildrop = survey::list(run, &mut client, &ledger, &mut visit.memory.habits)?;
    if client.has_prefetched_sizes() {
        let _ = client.sizes(|_, _| {})?;
    }
    let number = match named(selection, &maildrop, &ledger)?.as_slice() {
        [number] => *number,
        several => return Err(Error::SeveralMessages { messages: several.len() }),
    };
    let unique_id = maildrop.find(number).map(|listed| listed.unique_id(&ledger)).transpose()?.flatten();
    let chosen = ShownMessage {
        number,
        was: before(&Shown::load(&run.directory), selection, number, unique_id.as_ref())
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
    extent: ShownPart,
    taker: Taker<'_>,
) -> Result<(), Error> {
    let mut octets = 0_u64;
    let mut each = |text: &[u8]| {
        octets = octets.saturating_add(wide(text.len()));
        octets <= MOST_OCTETS && taker(text)
    };
    if extent == ShownPart::Header
        && client.may_have_top()
        && client.read_header(number, &mut each)? == ListingAnswer::Taken
    {
        return Ok(());
    }
    match client.read_message(number, &mut each)? {
        ListingAnswer::Refused(refused) => Err(Error::MessageRefused { number, text: refused.text }),
        ListingAnswer::Taken if octets > MOST_OCTETS => Err(Error::Endless { number }),
        ListingAnswer::Taken => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::before;
    use crate::ledger::shown::Shown;
    use crate::plan::trial::number;
    use crate::retrieval::trial::unique_id;
    use crate::types::Selection;

    /// A number means what the last list showed under it: that it is another message now must not be passed over.
    #[test]
    fn a_number_is_compared_with_what_was_listed_under_it() {
        let shown = Shown([(number(1), unique_id("a")), (number(2), unique_id("b"))].into());
        let selection = |word: &str| Selection::of(&[word.to_owned()]).unwrap();
        for (word, n, now, expected) in [
            ("1", 1, Some("a"), None),
            ("1", 1, Some("x"), Some("a")),
            ("1-2", 2, Some("x"), Some("b")),
            // Nothing was listed under it.
            ("3", 3, Some("x"), None),
            // It has no unique-id now: nothing shows that it is another one.
            ("1", 1, None, None),
            // The user has named it by what it is.
            ("x", 1, Some("x"), None),
        ] {
            let now = now.map(unique_id);
            let found = before(&shown, &selection(word), number(n), now.as_ref());
            assert_eq!(found, expected.map(unique_id), "{word} {n} {now:?}");
        }
    }
}
