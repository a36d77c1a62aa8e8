//! Messages that only some of their destinations have.  Each is continued by one message that arrives.
//!
//! A server may list thousands of messages under one unique-id, so that none of them may cost a look at all.

use std::collections::{HashMap, VecDeque};

use crate::ledger::{Begun, Ledger};
use crate::message::{Digest, Digests, Facts};
use crate::plan::{Listed, Maildrop, Who};
use crate::proof::EntryId;

/// The begun messages of a ledger, and which of them were found.
#[derive(Debug, Default)]
pub(super) struct BegunMessages {
    all: Vec<Begun>,
    found: Vec<bool>,
    /// Their places, the oldest first, without those in front that were found.
    places: HashMap<Mark, VecDeque<usize>>,
    /// How many were passed over that had been found.
    #[cfg(test)]
    passed_over: usize,
}

/// By what a begun message is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    /// The key under which it was listed;
    Key(EntryId),
    /// that, and the digest of the message or its identity;
    Content(EntryId, Digest),
    /// that alone, where comparisons have failed before, and nothing identifies it.
    Varying(EntryId),
    /// Its header, under whatever key.
    Header(Digest),
    /// The digest of the message, where it had no unique-id;
    Nameless(Digest),
    /// or where the listing lacks its unique-id, of a message that has none.
    LeftOut(Digest),
}

/// What a message that has arrived continues.
#[derive(Debug)]
pub(crate) struct Continued<'a> {
    pub(crate) begun: &'a Begun,
    /// By what it is known from then on.  Where copies differ each time that is the first one's: what differs from it was
    /// perhaps other mail, which only the destinations have that lacked it.
    pub(crate) digests: Digests,
}

impl BegunMessages {
    pub(super) fn read(ledger: &Ledger, maildrop: &Maildrop) -> Self {
        let all = ledger.begun();
        let mut places: HashMap<Mark, VecDeque<usize>> = HashMap::new();
        for (place, Begun { entry, nameless, digests, gone, .. }) in all.iter().enumerate() {
            let mut mark = |mark| places.entry(mark).or_default().push_back(place);
            mark(Mark::Header(digests.header));
            if *nameless {
                mark(Mark::Nameless(digests.message));
            } else if maildrop.times_listed(*entry) == 0 {
                mark(Mark::LeftOut(digests.message));
            }
            if *gone {
                // Under its key it would be taken for what that stands for now.
                continue;
            }
            mark(Mark::Key(*entry));
            mark(Mark::Content(*entry, digests.message));
            if let Some(identity) = digests.identity {
                mark(Mark::Content(*entry, identity));
            } else if ledger.entry(*entry).again {
                mark(Mark::Varying(*entry));
            }
        }
        Self {
            found: vec![false; all.len()],
            all,
            places,
            #[cfg(test)]
            passed_over: 0,
        }
    }

    /// The first one with this mark that wasn't found.
    fn first(&mut self, mark: Mark) -> Option<usize> {
        let places = self.places.get_mut(&mark)?;
        while places.front().is_some_and(|place| self.found.get(*place) != Some(&false)) {
            places.pop_front();
            #[cfg(test)]
            {
                self.passed_over += 1;
            }
        }
        places.front().copied()
    }

    #[cfg(test)]
    pub(super) fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// The one that a message continues which has arrived whole.  What is listed under the same key is the same message by
    /// digest, by equal Message-ID, Date and From, or by its header; under another key, by a header with trace fields;
    /// without a unique-id, by the digest of the whole.  Where copies `may_vary`, and neither side has an identity, what
    /// is listed under the same key is the same message whatever it is.  One for one.
    pub(super) fn continued(
        &mut self,
        listed: &Listed<'_>,
        facts: &Facts,
        may_vary: bool,
    ) -> Option<Continued<'_>> {
        let Digests { message, header, identity } = facts.digests;
        let own = match listed.who {
            Who::Known(id) => Some(id),
            Who::New(_) | Who::Nameless => None,
        };
        let by_content = own.and_then(|id| {
            let all = [Some(message), identity].into_iter().flatten();
            all.filter_map(|digest| self.first(Mark::Content(id, digest))).min()
        });
        let alike = if facts.traced { Mark::Header(header) } else { Mark::Nameless(message) };
        let left_out = (listed.who == Who::Nameless).then_some(Mark::LeftOut(message));
        let same = by_content.or_else(|| self.first(alike)).or_else(|| self.first(left_out?));
        let varying = || own.filter(|_| may_vary && identity.is_none()).map(Mark::Varying);
        let place = same.or_else(|| self.first(varying()?))?;
        *self.found.get_mut(place)? = true;
        let begun = self.all.get(place)?;
        let digests = if same.is_some() { facts.digests } else { begun.digests };
        Some(Continued { begun, digests })
    }

    /// Whether one that wasn't found was listed under the key of this message.
    pub(super) fn has_key_of(&mut self, listed: &Listed<'_>) -> bool {
        matches!(listed.who, Who::Known(id) if self.first(Mark::Key(id)).is_some())
    }

    /// Whether one that wasn't found has this header.
    pub(super) fn has_header(&mut self, header: Digest) -> bool {
        self.first(Mark::Header(header)).is_some()
    }
}
