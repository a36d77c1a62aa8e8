//! Whether a message that the server lists is one that we have: asked where its unique-id alone cannot tell.
//!
//! A match is one for one: two equal messages on the server need two deliveries in the ledger.  What a [`Decision`]
//! needs is read from the ledger before retrieving begins, so that the committer can own the ledger from then on.

use std::collections::HashMap;

use crate::ledger::{Error, Ledger, Record, State};
use crate::message::{Digest, Facts};
use crate::plan::{Decision, Listed, Maildrop, Who, Why};
use crate::proof::{EntryId, Key};

/// The deliveries that listed messages may be, each to be matched once.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// By entry: for a known unique-id.
    of_entry: HashMap<EntryId, Vec<Record>>,
    /// By header digest: for a renumbered or nameless message.
    by_header: HashMap<Digest, Vec<(EntryId, Record)>>,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is this message.
    Same(EntryId),
    /// We don't have it.
    Another,
    /// Only the whole message can tell.
    NeedsBody,
}

impl Comparison {
    /// Reads what these decisions need.
    pub(super) fn new(maildrop: &Maildrop, decisions: &[Decision], ledger: &Ledger) -> Result<Self, Error> {
        let mut comparison = Self::default();
        let mut by_header = false;
        for (listed, decision) in maildrop.iter().zip(decisions) {
            let Decision::Compare(why) = decision else { continue };
            match listed.who {
                Who::Known(id) => {
                    if let std::collections::hash_map::Entry::Vacant(vacant) = comparison.of_entry.entry(id) {
                        vacant.insert(ledger.records(id)?);
                    }
                }
                Who::New(_) | Who::Nameless => {
                    by_header |= matches!(why, Why::Renumbered | Why::Nameless);
                }
            }
        }
        if by_header {
            for (digest, ids) in ledger.by_header()? {
                for id in ids {
                    let entry = ledger.entry(id);
                    let ours = match ledger.key(id)? {
                        // Renumbering concerns the messages of the last complete listing that we didn't delete.
                        Key::UniqueId(_) => !entry.absent && entry.state != State::Deleted,
                        // A nameless one whose deletion was confirmed is gone: an equal one is new mail.
                        Key::Header(_) => entry.state != State::Deleted,
                    };
                    // What was only printed is not as good as delivered: under another name it's printed again.
                    if !ours || matches!(entry.state, State::Open | State::Seen) {
                        continue;
                    }
                    let records = ledger.records(id)?;
                    comparison
                        .by_header
                        .entry(digest)
                        .or_default()
                        .extend(records.into_iter().map(|record| (id, record)));
                }
            }
        }
        Ok(comparison)
    }

    /// Compares by header alone (`TOP n 0`), where that settles it.  `deletes` says whether the policy would act on a
    /// match of a nameless message by deleting it: then its body has a say.
    pub(super) fn by_header(
        &mut self,
        listed: &Listed<'_>,
        why: Why,
        facts: &Facts,
        deletes: bool,
    ) -> Verdict {
        let header = facts.digests.header;
        match (listed.who, why) {
            (Who::Known(_), Why::Duplicate) => Verdict::NeedsBody,
            (Who::Known(id), _) => {
                let same = |record: &Record| record.digests.header == header || same_identity(record, facts);
                // Of a different header the message is another one: its digest differs, and so does its identity.
                self.take_of_entry(id, same)
            }
            (_, Why::Nameless) if deletes => Verdict::NeedsBody,
            // Equal headers without trace fields may be two messages (a script's daily report).
            (_, Why::Renumbered) if !facts.traced => Verdict::Another,
            _ => self.take_by_header(header, |_| true),
        }
    }

    /// Compares by the whole message.
    pub(super) fn whole(&mut self, listed: &Listed<'_>, why: Why, facts: &Facts) -> Verdict {
        let message = facts.digests.message;
        let equal = |record: &Record| record.digests.message == message;
        match (listed.who, why) {
            (Who::Known(id), Why::Duplicate) => self.take_of_entry(id, equal),
            (Who::Known(id), _) => {
                self.take_of_entry(id, |record| equal(record) || same_identity(record, facts))
            }
            (_, Why::Renumbered) if !facts.traced => Verdict::Another,
            _ => self.take_by_header(facts.digests.header, equal),
        }
    }

    fn take_of_entry(&mut self, id: EntryId, same: impl Fn(&Record) -> bool) -> Verdict {
        let records = self.of_entry.entry(id).or_default();
        match records.iter().position(same) {
            Some(index) => {
                records.swap_remove(index);
                Verdict::Same(id)
            }
            None => Verdict::Another,
        }
    }

    fn take_by_header(&mut self, header: Digest, same: impl Fn(&Record) -> bool) -> Verdict {
        let records = self.by_header.entry(header).or_default();
        match records.iter().position(|(_, record)| same(record)) {
            Some(index) => Verdict::Same(records.swap_remove(index).0),
            None => Verdict::Another,
        }
    }
}

/// Equal, non-empty Message-ID, Date and From.
fn same_identity(record: &Record, facts: &Facts) -> bool {
    record.digests.identity.is_some() && record.digests.identity == facts.digests.identity
}
