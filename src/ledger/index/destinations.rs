//! The table of destinations: numbers for them, which last as long as the ledger.

use crate::ledger::lines::Contradiction;
use crate::proof::{DestinationId, DestinationKind, DestinationName, DestinationRecord};

/// Octets of a destination's line without its address, about.
const LINE_OCTETS: u64 = 80;

/// Destinations by number.
#[derive(Debug, Default)]
pub(in crate::ledger) struct DestinationTable {
    records: Vec<DestinationRecord>,
    /// Whether anything was ever delivered there.
    used: Vec<bool>,
}

impl DestinationTable {
    /// In the order of their numbers.
    pub(in crate::ledger) fn records(&self) -> &[DestinationRecord] {
        &self.records
    }

    /// Enters a destination, or its new inode; how many octets more a compacted ledger has by that.
    pub(in crate::ledger) fn enter(
        &mut self,
        id: DestinationId,
        name: DestinationName,
        inode: Option<(u64, u64)>,
    ) -> Result<u64, Contradiction> {
        let (at, next) = (usize::from(id.0), self.records.len());
        let mut more = 0;
        match self.records.get_mut(at) {
            Some(known) if known.name == name => known.inode = inode,
            Some(_) => return Err("its number belongs to another destination"),
            None if at == next => {
                more = LINE_OCTETS + u64::try_from(name.address.len()).unwrap_or(0);
                self.records.push(DestinationRecord { id, name, inode });
                self.used.push(false);
            }
            None => return Err("its number is not the next one"),
        }
        Ok(more)
    }

    /// Something was delivered there.
    pub(in crate::ledger) fn use_now(&mut self, id: DestinationId) {
        if let Some(used) = self.used.get_mut(usize::from(id.0)) {
            *used = true;
        }
    }

    /// Whether anything was ever delivered there.
    pub(in crate::ledger) fn is_used(&self, id: DestinationId) -> bool {
        self.used.get(usize::from(id.0)).copied().unwrap_or(false)
    }

    /// Whether what goes there is printed and gone.
    pub(in crate::ledger) fn is_stream(&self, id: DestinationId) -> bool {
        self.records
            .get(usize::from(id.0))
            .is_some_and(|known| known.name.kind == DestinationKind::Stdout && known.name.address == b"-")
    }
}
