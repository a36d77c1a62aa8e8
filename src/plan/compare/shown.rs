//! Headers by which a server shows messages with `TOP`, where they differ from what it gives with `RETR`: scanners and proxies put
//! fields into one of them alone.

use super::{Comparison, Other};
use crate::ledger::Match;
use crate::message::{Digest, Facts};
use crate::plan::Listed;
use crate::proof::EntryId;

impl Comparison {
    /// The header that settled nothing, of a message that was recognised by the whole of it; none where another message may be
    /// shown by it.
    pub(super) fn shown_besides(
        &self,
        listed: &Listed<'_>,
        facts: &Facts,
        same_as: &Match,
    ) -> Option<Digest> {
        let shown = self.shown.get(&listed.number).copied()?;
        (shown != facts.digests.header && self.is_alone(same_as.entry, facts.digests.header)).then_some(shown)
    }

    /// Whether nothing else was delivered under the key of this entry, the message of which has this header.
    fn is_alone(&self, entry: EntryId, header: Digest) -> bool {
        match self.ours.get(&entry) {
            Some(ours) => !ours.several && ours.deliveries.all.len() == 1,
            None => self.with_header(header, entry).is_some_and(|other| other.only),
        }
    }

    /// The header with which a message was delivered that was recognised by the one that it is `shown` with.
    pub(crate) fn delivered_header(&self, shown: Digest, same_as: &Match) -> Digest {
        self.with_header(shown, same_as.entry).map_or(shown, |other| other.record.digests.header)
    }

    fn with_header(&self, header: Digest, entry: EntryId) -> Option<&Other> {
        self.others.as_ref()?.get(&header)?.iter().find(|other| other.entry == entry)
    }
}
