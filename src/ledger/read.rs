//! What a ledger is asked.

use crate::message::{Digest, DigestText};
use crate::proof::{BegunId, Delivered, DestinationId, DestinationRecord, EntryId, Intent, Key};
use crate::types::{MessageNumber, Time, UniqueId};

use super::codec::{DigestsField, KeyField};
use super::compaction::{digests_of, key_and_digests};
use super::entry::{Begun, Entry, EntryState, KnownDelivery};
use super::error::Error;
use super::index::OpenMessage;
use super::journal::Journal;
use super::open::Ledger;

impl Ledger {
    /// This ledger's random id (16 hex digits): part of the names of its files in Maildirs.  Empty where there is none yet
    /// ([`Ledger::read`]).
    #[must_use]
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub(crate) fn find(&self, unique_id: UniqueId<'_>) -> Option<EntryId> {
        self.index.find_unique_id(unique_id.as_bytes())
    }

    /// The entry of this unique-id, of a listing in which the one before it was `last`'s: cheaper than [`Ledger::find`]
    /// where a server lists messages in the order in which they became known.
    #[must_use]
    pub(crate) fn follow(&self, last: Option<EntryId>, unique_id: UniqueId<'_>) -> Option<EntryId> {
        self.index.follow(last, unique_id.as_bytes())
    }

    #[must_use]
    pub(crate) fn find_key(&self, key: &Key) -> Option<EntryId> {
        self.index.find(&KeyField::from(key))
    }

    /// What is known of it.
    #[must_use]
    #[inline(always)]
    pub(crate) fn entry(&self, id: EntryId) -> Entry {
        self.index.entry(id)
    }

    /// How many entries there are; ids run from 0, in the order in which they became known.
    #[must_use]
    pub(crate) fn len(&self) -> u32 {
        self.index.len()
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, in the order in which they became known.
    pub(crate) fn entries(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.index.ids()
    }

    /// The entries of the last complete listing that aren't deleted, and those that have come since.  If none of them is
    /// listed any more, the server may have renumbered.
    pub(crate) fn present(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.index.ids().filter(move |id| self.index.is_present(*id))
    }

    /// Whether it has come since the last complete listing: its place then means nothing.
    #[must_use]
    pub(crate) fn is_recent(&self, id: EntryId) -> bool {
        self.index.is_recent(id)
    }

    /// The order of the last complete listing, where this run has taken it and the entries don't stand in it yet.
    #[must_use]
    pub(crate) fn order_taken(&self) -> Option<&[EntryId]> {
        self.order.as_deref()
    }

    /// Whether messages are known that have no unique-id.
    #[must_use]
    pub(crate) fn knows_nameless(&self) -> bool {
        self.index.has_nameless()
    }

    /// Whether this server has shown that its unique-ids don't keep to RFC 1939 §7: one has stood for two messages, or a
    /// message was listed under two.
    #[must_use]
    pub(crate) fn has_unsteady_ids(&self) -> bool {
        self.index.has_unsteady_ids()
    }

    /// The headers by which the server showed the entry's message besides the one that it was delivered with.
    #[must_use]
    pub(crate) fn headers(&self, id: EntryId) -> &[Digest] {
        self.index.headers(id)
    }

    /// The key of an entry, read back from the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn key(&self, id: EntryId) -> Result<Key, Error> {
        let (journal, offset) = self.line_of(id)?;
        journal.look_up(offset, |line| key_and_digests(line)?.0.to_key())
    }

    /// Whether any entry is known by a unique-id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn knows_unique_ids(&self) -> Result<bool, Error> {
        for id in self.index.ids() {
            if matches!(self.key(id)?, Key::UniqueId(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the line of an entry is.
    fn line_of(&self, id: EntryId) -> Result<(&Journal, u64), Error> {
        self.journal
            .as_ref()
            .zip(self.index.offset(id))
            .ok_or(Error::Contradiction("an entry of another ledger"))
    }

    /// Its deliveries, read back from the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn deliveries_of(&self, id: EntryId) -> Result<Vec<KnownDelivery>, Error> {
        let mut deliveries = Vec::new();
        let mut add = |digests, delivered| deliveries.push(KnownDelivery { digests, delivered });
        self.read_deliveries(id, |digests| digests.value(), &mut add)?;
        Ok(deliveries)
    }

    /// Reads the deliveries of an entry, but for those whose octets nobody has seen.
    fn read_deliveries<T>(
        &self,
        id: EntryId,
        read: impl Fn(&DigestsField<'_>) -> Option<T>,
        each: &mut impl FnMut(T, Time),
    ) -> Result<(), Error> {
        let (journal, _) = self.line_of(id)?;
        for (offset, delivered) in self.index.deliveries(id) {
            let found = journal.look_up_content(offset, |content| match digests_of(content)? {
                Some(digests) => read(&digests).map(Some),
                None => Some(None),
            })?;
            if let Some(found) = found {
                each(found, delivered);
            }
        }
        Ok(())
    }

    /// The destinations that must all have it, and whether each has; `None` when no set is fixed, since none of them has
    /// it nor is about to.
    #[must_use]
    pub(crate) fn set(&self, id: EntryId) -> Option<&[(DestinationId, bool)]> {
        let (_, message) = self.index.open_messages(id).into_iter().next()?;
        Some(&message.set)
    }

    /// The destinations of its set that lack it; `None` as for [`Ledger::set`].
    #[must_use]
    pub(crate) fn lacking(&self, id: EntryId) -> Option<Vec<DestinationId>> {
        let lacking = self.set(id)?.iter().filter(|(_, has)| !has);
        Some(lacking.map(|(destination, _)| *destination).collect())
    }

    /// The messages that some destinations of their sets have, and others lack, oldest first.
    #[must_use]
    pub(crate) fn begun(&self) -> Vec<Begun> {
        let begun = |(number, message): (u32, &OpenMessage)| {
            let some_have = message.set.iter().any(|(_, has)| *has);
            (some_have && message.intents.is_empty()).then(|| Begun {
                id: BegunId(number),
                entry: message.entry,
                nameless: matches!(message.key, Key::Header(_)),
                digests: message.digests,
                gone: message.gone,
                set: message.set.clone(),
            })
        };
        self.index.messages.iter().filter_map(begun).collect()
    }

    /// The table of destinations.
    #[must_use]
    pub(crate) fn destinations(&self) -> &[DestinationRecord] {
        self.index.destinations.records()
    }

    /// Whether anything was ever delivered there.
    #[must_use]
    pub(crate) fn has_delivered_to(&self, id: DestinationId) -> bool {
        self.index.destinations.is_used(id)
    }

    /// The open `staged` lines.
    #[must_use]
    pub(crate) fn intents(&self) -> Vec<Intent> {
        self.index.messages.open_intents()
    }

    /// Proof that this entry is delivered whole, for the message that now has this number; `None` when it isn't, or was only
    /// seen.  Nor is there one for what the server confirmed as deleted: what is listed under that unique-id
    /// now may be another message, which must be looked at first ([`Ledger::record_match`]).
    ///
    /// What an earlier run wrote is on disk, or the ledger would not have opened; what this one wrote is synced before
    /// `QUIT`.
    #[must_use]
    pub(crate) fn prove_delivered(&self, id: EntryId, number: MessageNumber) -> Option<Delivered> {
        match self.entry(id).state {
            EntryState::Delivered | EntryState::Recorded => Some(Delivered::attest(number, id)),
            EntryState::Open | EntryState::Seen | EntryState::Deleted => None,
        }
    }

    /// The deliveries of the entries that are `wanted`, with the number of each among its entry's.  The file is read once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn deliveries(
        &self,
        wanted: impl Fn(EntryId, &Entry) -> bool,
    ) -> Result<Vec<(EntryId, usize, KnownDelivery)>, Error> {
        let mut deliveries = Vec::new();
        for id in self.index.ids().filter(|id| wanted(*id, &self.entry(*id))) {
            let records = self.deliveries_of(id)?;
            deliveries
                .extend(records.into_iter().enumerate().map(|(delivery, record)| (id, delivery, record)));
        }
        Ok(deliveries)
    }

    /// Has `each` see the deliveries of the entries that are `wanted`: the entry, the number of the delivery among its, and
    /// the digests of the message and of its header, as the file has them.  The file is read once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn each_delivery(
        &self,
        wanted: impl Fn(EntryId, &Entry) -> bool,
        mut each: impl FnMut(EntryId, usize, Time, (DigestText, DigestText)),
    ) -> Result<(), Error> {
        for id in self.index.ids().filter(|id| wanted(*id, &self.entry(*id))) {
            let mut nth = 0;
            self.read_deliveries(id, |digests| digests.texts(), &mut |digests, delivered| {
                each(id, nth, delivered, digests);
                nth += 1;
            })?;
        }
        Ok(())
    }
}
