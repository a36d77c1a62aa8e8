//! How the answers to a [`Prefetch`] are taken: in the order of its commands, each by the call that would otherwise have
//! sent the command.

use super::error::Error;
use super::prefetch::{FIRST, Prefetch};
use super::server_facts::read_capabilities;
use super::{Client, HeaderPiece, Transaction};
use crate::protocol::command::Command;
use crate::protocol::listing;
use crate::protocol::session::Sent;
use crate::types::{MessageNumber, Octets, UniqueIdBuf};

/// The answer to [`Prefetch::QuickPoll`]; `None` for a unique-id that the server didn't give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuickPoll {
    /// How many messages there are, and their octets.
    pub drop_listing: Option<(u32, Octets)>,
    /// The first one's unique-id.
    pub first: Option<UniqueIdBuf>,
    /// The last one's.
    pub last: Option<UniqueIdBuf>,
}

impl Client<Transaction> {
    /// The answers to [`Prefetch::QuickPoll`]; `None` if that isn't what was asked.
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn quick_poll(&mut self) -> Result<Option<QuickPoll>, Error> {
        let Some(Prefetch::QuickPoll { last }) = self.state.prefetched else { return Ok(None) };
        self.state.prefetched = None;
        let drop_listing = self.read_drop_listing()?;
        let first = self.read_unique_id(FIRST)?;
        let last = match last {
            FIRST => first.clone(),
            last => self.read_unique_id(last)?,
        };
        Ok(Some(QuickPoll { drop_listing, first, last }))
    }

    /// Asks for capabilities, drop listing and listings in one flight, where the server pipelines: for after a quick poll
    /// that didn't do.
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn ask_listing(&mut self) -> Result<(), Error> {
        let listing = Prefetch::Listing { drop_listing: true, headers: [None; 2], sizes: true };
        listing.send(&mut self.link)?;
        self.state.capabilities = read_capabilities(&mut self.link)?;
        self.state.prefetched = Some(listing);
        Ok(())
    }

    /// Whether the unique-id listing is on its way already.  What is left of the flight is then the scan listing.
    pub(super) fn takes_prefetched_unique_ids(&mut self) -> bool {
        let Some(Prefetch::Listing { sizes, .. }) = self.state.prefetched else { return false };
        let left = Prefetch::Listing { drop_listing: false, headers: [None; 2], sizes };
        self.state.prefetched = sizes.then_some(left);
        true
    }

    /// The drop listing (RFC 1939 §5), if it was asked ahead; to be taken before the unique-id listing.  `None` too where
    /// the server refuses, or sends what can't be understood.
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn prefetched_drop_listing(&mut self) -> Result<Option<(u32, Octets)>, Error> {
        match &mut self.state.prefetched {
            Some(Prefetch::Listing { drop_listing, .. }) if *drop_listing => *drop_listing = false,
            _ => return Ok(None),
        }
        self.read_drop_listing()
    }

    /// The headers that were asked ahead, to be taken before the unique-id listing; as [`Client::headers`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn prefetched_headers(
        &mut self,
        each: impl FnMut(MessageNumber, HeaderPiece<'_>),
    ) -> Result<(), Error> {
        let Some(Prefetch::Listing { headers, .. }) = &mut self.state.prefetched else { return Ok(()) };
        let open = std::mem::take(headers).into_iter().flatten().count();
        self.read_headers(&[], open, each)
    }

    /// Whether `LIST` is on its way, and must be taken.
    #[must_use]
    pub(crate) fn has_prefetched_sizes(&self) -> bool {
        matches!(self.state.prefetched, Some(Prefetch::Listing { sizes: true, .. }))
    }

    /// Asks for the drop listing, and waits for it; `None` as of [`Client::prefetched_drop_listing`].
    ///
    /// # Errors
    /// A broken connection.
    pub(crate) fn ask_drop_listing(&mut self) -> Result<Option<(u32, Octets)>, Error> {
        self.link.send(Command::Stat)?;
        self.read_drop_listing()
    }

    fn read_drop_listing(&mut self) -> Result<Option<(u32, Octets)>, Error> {
        self.reply(Sent::Stat, |text| {
            let listed = listing::drop_listing(text).ok()?;
            Some((listed.messages, listed.octets?))
        })
    }

    pub(super) fn read_unique_id(&mut self, number: MessageNumber) -> Result<Option<UniqueIdBuf>, Error> {
        let redactor = self.link.redactor.clone();
        self.reply(Sent::UniqueIdOf(number), |text| {
            let (named, unique_id) = listing::unique_id_line(text).ok()?;
            // It is remembered, as those of a listing are: none with the secret in it.
            let unique_id =
                unique_id.filter(|id| named == number && !redactor.searcher().finds(id.as_bytes()));
            unique_id.map(|unique_id| unique_id.to_buf())
        })
    }

    pub(super) fn reply<T>(
        &mut self,
        to: Sent,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let answer = self.link.answer(to)?;
        Ok(answer.ok.then(|| read(&answer.text)).flatten())
    }
}
