//! Which messages a session leaves out: what this run has given up, and what is kept for the end of it.

use std::collections::{HashMap, HashSet};

use super::MailSession;
use crate::ledger::Ledger;
use crate::ledger::memory::ListedAs;
use crate::plan::{Decision, Listed, Maildrop, Who, Why};
use crate::proof::EntryId;
use crate::retrieval::course::{GivenUp, Scope, has_own_name, may_have_size};
use crate::types::{MessageNumber, Octets};

impl MailSession<'_, '_> {
    /// Leaves alone what this run has tried in vain; and, where a server deletes at `QUIT` what was merely retrieved, what
    /// failed before, unless this session is for nothing else.  Whether any of it waits for another session.
    pub(super) fn leave_given_up(
        &self,
        decisions: &mut [Decision],
        maildrop: &Maildrop,
        ledger: &Ledger,
        drops_at_quit: bool,
    ) -> bool {
        let only_broken = *self.scope == Scope::Broken;
        let nothing_given_up = self.course.given_up.is_empty() && self.course.done.is_empty();
        if nothing_given_up && !drops_at_quit && !only_broken && *self.scope != Scope::Failed {
            return false;
        }
        let last = self.tried_last(maildrop, ledger);
        // Another node may list them under other unique-ids: then the session is for all.
        let only_broken = only_broken && !last.is_empty();
        let entries = self.sizes_given_up(ledger);
        let given_up = &self.course.given_up;
        let aside = |listed: &Listed<'_>| {
            let named = match listed.who {
                Who::Known(id) => entries.get(&id),
                Who::New(unique_id) => given_up.get(&GivenUp::UniqueId(unique_id.to_buf())),
                Who::Nameless => None,
            };
            named.is_some_and(|sizes| may_have_size(sizes, listed.octets))
                || given_up.contains_key(&GivenUp::Numbered(listed.number, listed.octets))
        };
        let of_failed_only = *self.scope == Scope::Failed;
        let mut others_wait = false;
        for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
            let not_now = only_broken && !last.contains(&listed.number);
            let is_done = self.course.done.contains(&(listed.number, listed.octets));
            let leave = is_done
                || aside(&listed)
                || (drops_at_quit && listed.has_failed(ledger) != of_failed_only)
                || (of_failed_only && !listed.has_failed(ledger));
            if (leave || not_now) && !decision.leaves() {
                others_wait |= !leave;
                // The server's own data has not failed.
                let is_data = self.course.folder_data && listed.number == MessageNumber::FIRST;
                let is_other = of_failed_only && !listed.has_failed(ledger);
                let has_failed = !(is_data || is_other || is_done);
                *decision = Decision::Leave(if has_failed { Why::BackingOff } else { Why::Known });
            }
        }
        others_wait
    }

    pub(super) fn entries_given_up(&self, ledger: &Ledger) -> HashSet<EntryId> {
        self.sizes_given_up(ledger).into_keys().collect()
    }

    /// The entries of what was given up, each with the sizes that were listed.
    fn sizes_given_up(&self, ledger: &Ledger) -> HashMap<EntryId, Vec<Option<Octets>>> {
        let mut entries: HashMap<EntryId, Vec<Option<Octets>>> = HashMap::new();
        for (given_up, sizes) in &self.course.given_up {
            let entry = match given_up {
                GivenUp::Entry(id) => Some(*id),
                GivenUp::UniqueId(unique_id) => ledger.find(unique_id.borrow()),
                GivenUp::Numbered(..) => None,
            };
            if let Some(id) = entry {
                entries.entry(id).or_default().extend(sizes);
            }
        }
        entries
    }

    /// Where a session broke off at some messages before, nothing that others wait for hangs on them: they are tried when
    /// all else has been done, deletions too.  Their decisions; none where there are no such messages.
    pub(super) fn keep_for_the_end(
        &self,
        decisions: &mut [Decision],
        maildrop: &Maildrop,
        ledger: &Ledger,
    ) -> Vec<Decision> {
        if *self.scope != Scope::Everything {
            return Vec::new();
        }
        let last = self.tried_last(maildrop, ledger);
        if last.is_empty() {
            return Vec::new();
        }
        let mut kept = vec![Decision::Leave(Why::Known); decisions.len()];
        let mut any = false;
        for ((decision, kept), listed) in decisions.iter_mut().zip(&mut kept).zip(maildrop.iter()) {
            if last.contains(&listed.number) && !decision.leaves() {
                *kept = std::mem::replace(decision, Decision::Leave(Why::BackingOff));
                any = true;
            }
        }
        if any { kept } else { Vec::new() }
    }

    /// The messages at which a session broke off before; and where sessions are short, those that have failed: they would
    /// take the place of what can be done, in each.
    fn tried_last(&self, maildrop: &Maildrop, ledger: &Ledger) -> HashSet<MessageNumber> {
        let mut last: HashSet<MessageNumber> = self.broken(maildrop, ledger).into_keys().collect();
        if self.memory.limit.is_some() {
            last.extend(
                maildrop.iter().filter(|listed| listed.has_failed(ledger)).map(|listed| listed.number),
            );
        }
        last
    }

    /// The messages at which a session broke off before, each with its place in their order: the longest ago comes first.
    pub(super) fn broken(&self, maildrop: &Maildrop, ledger: &Ledger) -> HashMap<MessageNumber, usize> {
        let died = &self.memory.died;
        if died.is_empty() {
            return HashMap::new();
        }
        let (mut entries, mut others) = (HashMap::new(), HashMap::new());
        for (order, message) in died.iter().enumerate() {
            if let ListedAs::UniqueId(unique_id) = message
                && let Some(id) = ledger.find(unique_id.borrow())
            {
                entries.insert(id, order);
            }
            others.insert(message.clone(), order);
        }
        let order = |listed: &Listed<'_>| {
            let numbered = others.get(&ListedAs::Numbered(listed.number, listed.octets));
            let named = match listed.who {
                Who::Known(id) => entries.get(&id),
                Who::New(unique_id) => others.get(&ListedAs::UniqueId(unique_id.to_buf())),
                Who::Nameless => None,
            };
            // Whether it shares its unique-id is asked of few: that takes a look at all.
            let found = numbered.or(named).is_some();
            if found && has_own_name(listed, maildrop) { named } else { numbered }.copied()
        };
        maildrop.iter().filter_map(|listed| Some((listed.number, order(&listed)?))).collect()
    }
}
