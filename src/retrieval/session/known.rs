//! What a round needs of the ledger while the committer has it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::ledger::{self, Ledger};
use crate::plan::{Decision, Maildrop, Who};
use crate::proof::{EntryId, Key};

/// What the ledger knows of messages that are retrieved although it knows them: read before the committer takes it.
#[derive(Default)]
pub(super) struct KnownBefore {
    pub(super) keys: HashMap<EntryId, Key>,
    /// How often those have failed that have.
    pub(super) failed_before: HashMap<EntryId, u16>,
}

impl KnownBefore {
    /// `sample`: also the keys of the messages at these places of the listing.
    pub(super) fn read(
        maildrop: &Maildrop,
        decisions: &[Decision],
        sample: &[usize],
        ledger: &Ledger,
    ) -> Result<Self, ledger::Error> {
        let mut known = Self::default();
        for (listed, decision) in maildrop.iter().zip(decisions) {
            let Who::Known(id) = listed.who else { continue };
            if matches!(decision, Decision::Leave(_)) {
                continue;
            }
            known.keys.insert(id, ledger.key(id)?);
            let failures = ledger.entry(id).failures;
            if failures > 0 {
                known.failed_before.insert(id, failures);
            }
        }
        for listed in sample.iter().filter_map(|place| maildrop.at(*place)) {
            if let Who::Known(id) = listed.who
                && let Entry::Vacant(vacant) = known.keys.entry(id)
            {
                vacant.insert(ledger.key(id)?);
            }
        }
        Ok(known)
    }
}
