//! Whether a message that the server lists is one that we have: asked wherever its unique-id alone proves nothing,
//! which is before every deletion, and after everything that puts a unique-id in doubt.
//!
//! Identity is content.  These are compared one after the other, until one matches: the digest of the header by
//! `TOP n 0`, if that header has Received and Message-ID; Message-ID, Date and From; the digest of the whole message.
//! Only the last one can fail: what `TOP` gives may differ from what `RETR` gives.
//!
//! A match is one for one: two equal messages on the server need two deliveries in the ledger.  What the comparisons
//! need is read from the ledger before retrieving begins, so that the committer can own the ledger from then on.

mod begun;
mod others;
mod shown;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{HashMap, HashSet};

use crate::ledger::{Entry, EntryState, Error, KnownDelivery, Ledger, Match};
use crate::message::{Digest, Digests, Facts};
use crate::proof::{EntryId, Key};
use crate::types::MessageNumber;

use super::{Decision, Listed, Maildrop, Who, Why};
use begun::BegunMessages;
use others::{Other, Others, others};
use watch::{Watch, Watched};

pub(crate) use begun::Continued;
pub(crate) use others::Used;

/// The deliveries that listed messages may be, each to be matched once.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Of the entries whose keys are listed.
    ours: HashMap<EntryId, Ours>,
    /// Of the entries that may be listed under other keys, by header; `None` where that was not asked for: then a
    /// comparison that fails concludes nothing.
    others: Option<Others>,
    /// What is new and has the header of one of these is perhaps that one.
    watch: Watch,
    /// What has been matched.
    used: Used,
    /// Headers with trace fields that settled nothing, by the numbers of their messages: `TOP` may give another one than `RETR`.
    shown: HashMap<MessageNumber, Digest>,
    /// Whether messages have failed, perhaps some without a unique-id: these can't be distinguished from others with their header.
    pub(crate) some_failed: bool,
    /// Whether the session may delete what it delivers: then other mail that looks like a copy goes to all destinations.
    pub(crate) deletes: bool,
    /// Messages that only some of their destinations have.
    begun: BegunMessages,
    /// What came in this session in the place of entries whose messages perhaps differ each time.
    pub(crate) came: HashMap<EntryId, Digest>,
    /// What came in an earlier session in the place of messages that perhaps differ each time, and wasn't delivered.
    pub(crate) withheld: HashMap<EntryId, Digest>,
    /// Entries whose keys stand for other mail now.
    pub(crate) failed: Vec<EntryId>,
    /// Entries that are to be compared before it shows whether what was set aside is their message, listed under another key.
    pub(crate) questioned: Vec<EntryId>,
}

/// What is known of an entry whose key is listed.
#[derive(Debug)]
struct Ours {
    deliveries: Deliveries,
    /// Headers by which the server showed it besides.
    headers: Vec<Digest>,
    entry: Entry,
    /// Whether it was delivered in the other mode (RFC 6856), in which the server may send other octets.
    other_mode: bool,
    /// Whether its key is listed more than once, or is its header: then a header can't show which of them it is.
    several: bool,
}

/// What was delivered under one key.  A server may list thousands of messages under one unique-id, so that none of them may
/// cost a look at all.
#[derive(Debug, Default)]
struct Deliveries {
    all: Vec<KnownDelivery>,
    /// How many have the same digest of the message.
    equal: HashMap<Digest, usize>,
    /// The headers of all.
    headers: HashSet<Digest>,
    /// The places of those with this digest of the message, or this identity, but for those at the end that were matched.
    places: HashMap<Digest, Vec<usize>>,
}

impl Deliveries {
    fn of(all: Vec<KnownDelivery>) -> Self {
        let mut deliveries = Self::default();
        for (place, KnownDelivery { digests, .. }) in all.iter().enumerate() {
            *deliveries.equal.entry(digests.message).or_default() += 1;
            deliveries.headers.insert(digests.header);
            for digest in [Some(digests.message), digests.identity].into_iter().flatten() {
                deliveries.places.entry(digest).or_default().push(place);
            }
        }
        deliveries.all = all;
        deliveries
    }

    /// The last one with this digest, or this identity, that is free.
    fn last(&mut self, digest: Digest, is_free: impl Fn(&KnownDelivery, usize) -> bool) -> Option<usize> {
        let places = self.places.get_mut(&digest)?;
        loop {
            let place = *places.last()?;
            let record = self.all.get(place)?;
            if is_free(record, self.equal.get(&record.digests.message).copied().unwrap_or_default()) {
                return Some(place);
            }
            places.pop();
        }
    }
}

/// By what a message is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Its header, or Message-ID, Date and From.
    Header,
    /// All its octets, or Message-ID, Date and From.
    Whole,
}

/// Where a message that isn't what its key stands for is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// Nowhere: it is set aside until all that is known has been compared.
    OwnKey,
    /// Among the messages that may be listed under another key.
    EveryKey,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is this message.
    Same(Match),
    /// We don't have it.
    Another,
    /// Only the whole message can show it.
    NeedsBody,
    /// It isn't what its key stands for.  Whether we have it shows when all that is known has been compared.
    SetAside,
    /// The server's copies of this message differ each time: no comparison can succeed.
    Varies(EntryId),
}

impl Comparison {
    /// Reads what these decisions need.  `utf8` is the session's mode.
    pub(crate) fn new(
        maildrop: &Maildrop,
        decisions: &[Decision],
        ledger: &Ledger,
        search: Search,
        utf8: bool,
    ) -> Result<Self, Error> {
        let mut comparison = Self { begun: BegunMessages::read(ledger, maildrop), ..Self::default() };
        let mut search = search;
        for (listed, decision) in maildrop.iter().zip(decisions) {
            let Some(why) = &decision.why_compared() else { continue };
            // A server that gives a unique-id twice may have given it to what had another one.
            if matches!(why, Why::Duplicate | Why::Renumbered | Why::Nameless) {
                search = Search::EveryKey;
            }
            match listed.who {
                Who::Known(id) if comparison.ours.contains_key(&id) => {}
                Who::Known(id) => {
                    let entry = ledger.entry(id);
                    // A header is not enough to delete what has no unique-id.
                    let nameless = matches!(ledger.key(id)?, Key::Header(_));
                    let ours = Ours {
                        deliveries: Deliveries::of(ledger.deliveries_of(id)?),
                        headers: ledger.headers(id).to_vec(),
                        other_mode: entry.utf8 != utf8,
                        several: nameless || *why == Why::Duplicate || maildrop.times_listed(id) > 1,
                        entry,
                    };
                    comparison.ours.insert(id, ours);
                }
                Who::New(_) | Who::Nameless => {}
            }
        }
        if search == Search::EveryKey {
            let is_compared = |id| comparison.ours.contains_key(&id);
            comparison.others = Some(others(ledger, maildrop, is_compared)?);
        }
        Ok(comparison)
    }

    /// Reads what is needed for [`Comparison::seems_moved`].
    pub(crate) fn watching(mut self, ledger: &Ledger, maildrop: &Maildrop) -> Result<Self, Error> {
        self.watch = Watch::new(ledger, maildrop)?;
        Ok(self)
    }

    /// Whether a message that seemed new has the header, with trace fields, of one that we have, and that no other was found
    /// to be.  Then it isn't delivered before that one has been compared, and all the others too if that one isn't listed.
    pub(crate) fn seems_moved(&mut self, facts: &Facts) -> bool {
        if !facts.traced {
            return false;
        }
        let alike = self.watch.with_header(facts.digests.header).iter();
        let free = alike.filter(|watched| self.used.of(watched.entry, watched.message).all() == 0);
        let free: Vec<&Watched> = free.collect();
        match free.iter().find(|watched| !watched.expected) {
            Some(unlisted) => self.failed.push(unlisted.entry),
            None => self.questioned.extend(free.iter().map(|watched| watched.entry)),
        }
        !free.is_empty()
    }

    /// The delivery that a message continues which has arrived whole: some of its destinations have it.  One for one.
    pub(crate) fn continues(&mut self, listed: &Listed<'_>, facts: &Facts) -> Option<Continued<'_>> {
        // Without an identity on either side, copies that differ may be one message: not delivered to all each time.  But it
        // may be other mail, and what is deleted stays where it was delivered alone.
        let may_vary = !self.deletes;
        self.begun.continued(listed, facts, may_vary)
    }

    /// Whether some destinations have a message that was listed under its key, though it isn't this one.
    pub(crate) fn continues_another(&mut self, listed: &Listed<'_>) -> bool {
        self.begun.has_key_of(listed)
    }

    /// Goes on where an earlier round of the session ended: what was matched there is not matched again.
    pub(crate) fn after(mut self, used: Used) -> Self {
        self.used = used;
        self
    }

    /// What has been matched, for the next round of the session.
    pub(crate) fn used(self) -> Used {
        self.used
    }

    /// Whether the header may settle it, so that `TOP` is asked before `RETR`.
    pub(crate) fn asks_header(why: Why, deletes: bool) -> bool {
        match why {
            // A header can't show which of several it is; a window must be retrieved again in any case.
            Why::Duplicate | Why::Window => false,
            Why::Nameless => !deletes,
            _ => true,
        }
    }

    /// Compares by header alone (`TOP n 0`), where that settles it.  `deletes` is whether the policy would act on a
    /// match of a nameless message by deleting it: then its body counts.
    pub(crate) fn by_header(
        &mut self,
        listed: &Listed<'_>,
        why: Why,
        facts: &Facts,
        deletes: bool,
    ) -> Verdict {
        let verdict = self.header_verdict(listed, why, facts, deletes);
        if facts.traced && !matches!(verdict, Verdict::Same(_)) {
            self.shown.insert(listed.number, facts.digests.header);
        }
        verdict
    }

    fn header_verdict(&mut self, listed: &Listed<'_>, why: Why, facts: &Facts, deletes: bool) -> Verdict {
        match (listed.who, why) {
            (Who::Known(id), _) if self.is_one_of_several(id) => Verdict::NeedsBody,
            // It may be the one that another destination lacks.
            (Who::New(_) | Who::Nameless, _) if self.begun.has_header(facts.digests.header) => {
                Verdict::NeedsBody
            }
            (Who::Known(id), _) => self
                .own(id, facts, By::Header)
                .or_else(|| self.traced(facts, By::Header))
                .unwrap_or(Verdict::NeedsBody),
            (_, Why::Nameless) if deletes => Verdict::NeedsBody,
            (_, Why::Nameless) => self.nameless(listed, facts),
            // Equal headers without trace fields may be two messages (a script's daily report).
            (_, Why::Renumbered) if !facts.traced && self.is_any_nameless(facts.digests.header) => {
                Verdict::NeedsBody
            }
            _ if !facts.traced => Verdict::Another,
            _ => self.traced(facts, By::Header).unwrap_or(Verdict::NeedsBody),
        }
    }

    /// Compares by the whole message.  A header that settled nothing is that of the message which the whole was recognised as, so
    /// that the next one settles it.
    pub(crate) fn whole(&mut self, listed: &Listed<'_>, why: Why, facts: &Facts) -> Verdict {
        match self.whole_verdict(listed, why, facts) {
            Verdict::Same(same_as) if same_as.header.is_none() => {
                let header = self.shown_besides(listed, facts, &same_as);
                Verdict::Same(Match { header, ..same_as })
            }
            verdict => verdict,
        }
    }

    fn whole_verdict(&mut self, listed: &Listed<'_>, why: Why, facts: &Facts) -> Verdict {
        let message = facts.digests.message;
        let equal = |record: &KnownDelivery| record.digests.message == message;
        match (listed.who, why) {
            // New in a window: whatever was listed before may be meant, so that all of it must be equal.
            (_, Why::New) if facts.traced => {
                self.other(facts.digests.header, |_, other| equal(&other.record)).unwrap_or(Verdict::Another)
            }
            (Who::Known(id), _) if self.is_one_of_several(id) => self
                .own(id, facts, By::Whole)
                // The server may have renumbered, and given a unique-id twice.
                .or_else(|| {
                    let moved = matches!(why, Why::Duplicate | Why::Renumbered);
                    moved.then(|| self.traced(facts, By::Whole)).flatten()
                })
                .unwrap_or(Verdict::Another),
            (Who::Known(id), _) => self
                .own(id, facts, By::Whole)
                .or_else(|| self.traced(facts, By::Whole))
                .unwrap_or_else(|| self.fail(id, facts)),
            (_, Why::Nameless) => {
                let may = |other: &Other| facts.traced || !other.deleted;
                let same = |_: &Self, other: &Other| may(other) && equal(&other.record);
                self.other(facts.digests.header, same).unwrap_or(Verdict::Another)
            }
            // What had no unique-id was never known by more than its octets, so that it is known by them where it has one.
            (_, Why::Renumbered) if !facts.traced => self
                .other(facts.digests.header, |_, other| other.is_nameless_and_there() && equal(&other.record))
                .unwrap_or(Verdict::Another),
            _ => self.traced(facts, By::Whole).unwrap_or(Verdict::Another),
        }
    }

    /// Whether a message that is due for deletion, and isn't what was delivered under its key, is delivered again and
    /// deleted: its copies differ each time, or were delivered in the other mode.
    pub(crate) fn goes_when_delivered(&self, listed: &Listed<'_>) -> bool {
        let Who::Known(id) = listed.who else { return false };
        self.ours.get(&id).is_some_and(|ours| ours.entry.varies || ours.entry.again || ours.other_mode)
            && !self.failed.contains(&id)
    }

    /// Compares a message that seemed new, and has arrived whole, with what may be listed under other keys, where that was
    /// read.
    pub(crate) fn elsewhere(&mut self, facts: &Facts) -> Option<Verdict> {
        self.others.is_some().then(|| self.traced(facts, By::Whole)).flatten()
    }

    /// Whether an earlier session has found that the server's copies of this message differ each time.
    pub(crate) fn is_known_to_vary(&self, id: EntryId) -> bool {
        self.ours.get(&id).is_some_and(|ours| ours.entry.varies)
    }

    /// Whether the server has gone on listing it since it confirmed the deletion, so that what it shows is most likely no
    /// new mail.
    pub(crate) fn never_left(&self, listed: &Listed<'_>) -> bool {
        self.ours_of(listed).is_some_and(|ours| ours.entry.state == EntryState::Deleted && !ours.entry.absent)
    }

    /// Whether this is perhaps what was deleted under its key: unless the same came before in its place, so that the copies
    /// don't differ each time.
    pub(crate) fn may_be_deleted_mail(&self, listed: &Listed<'_>, facts: &Facts) -> bool {
        let before = listed.entry().and_then(|id| self.withheld.get(&id));
        self.never_left(listed) && before != Some(&facts.digests.message)
    }

    /// What an earlier session has withheld in the place of this entry's message, if it wasn't delivered since.
    pub(crate) fn withheld_of(&self, id: EntryId) -> Option<Digest> {
        let delivered = &self.ours.get(&id)?.deliveries.all;
        let withheld = self.withheld.get(&id).copied();
        withheld.filter(|withheld| delivered.iter().all(|record| record.digests.message != *withheld))
    }

    /// Whether a delivery of this entry is the one for which its key stood last.
    pub(crate) fn is_last_of_key(&self, id: EntryId, message: Option<Digest>) -> bool {
        let last = self.ours.get(&id).and_then(|ours| ours.deliveries.all.last());
        last.zip(message).is_none_or(|(last, message)| last.digests.message == message)
    }

    /// Whether anything was delivered under its key.
    pub(crate) fn has_delivery(&self, listed: &Listed<'_>) -> bool {
        self.ours_of(listed).is_some_and(|ours| !ours.deliveries.all.is_empty())
    }

    fn ours_of(&self, listed: &Listed<'_>) -> Option<&Ours> {
        self.ours.get(&listed.entry()?)
    }

    fn is_one_of_several(&self, id: EntryId) -> bool {
        self.ours.get(&id).is_some_and(|ours| ours.several)
    }

    /// One of the entry's own deliveries: the last one that is the same and free, since that is what the key stood for when
    /// it was seen last.
    fn own(&mut self, id: EntryId, facts: &Facts, by: By) -> Option<Verdict> {
        let Self { ours, used, failed, .. } = self;
        let Ours { deliveries, headers, several, other_mode, .. } = ours.get_mut(&id)?;
        let header = facts.digests.header;
        let seen = headers.contains(&header);
        let is_free =
            |record: &KnownDelivery, equal: usize| used.of(id, record.digests.message).all() < equal;
        let place = match by {
            // One such message for each entry: of several the whole is asked for.
            By::Header => {
                let proves =
                    |record: &KnownDelivery| facts.traced && (seen || record.digests.header == header);
                let is_it = |record: &KnownDelivery| {
                    let equal = deliveries.equal.get(&record.digests.message).copied().unwrap_or_default();
                    (proves(record) || is_same(record, facts)) && is_free(record, equal)
                };
                deliveries.all.iter().rposition(is_it)?
            }
            By::Whole => {
                let equal = deliveries.last(facts.digests.message, is_free);
                let same = facts.digests.identity.and_then(|identity| deliveries.last(identity, is_free));
                equal.max(same)?
            }
        };
        let message = deliveries.all.get(place)?.digests.message;
        if place + 1 < deliveries.all.len() && !*several && !*other_mode {
            // Known, but not what the key stood for last: so others may stand for other mail as well.
            failed.push(id);
        }
        let is_new = facts.traced && !seen && !deliveries.headers.contains(&header);
        used.at(id, message).own += 1;
        Some(Verdict::Same(Match { entry: id, message: Some(message), header: is_new.then_some(header) }))
    }

    /// A message that is listed under another key than the one it was delivered under: its header proves it.  Of what was
    /// deleted, or was gone before the last listing, only the whole does: where the server adds no Received field of its own, a
    /// sender can give new mail the same header.  Only the whole shows, too, which of several with one key it is.  Where the
    /// message with that header is expected under its own key, that key is compared first: perhaps both are listed.
    fn traced(&mut self, facts: &Facts, by: By) -> Option<Verdict> {
        if !facts.traced {
            return None;
        }
        let Digests { header, message, .. } = facts.digests;
        let is_whole = |other: &Other| by == By::Whole && other.record.digests.message == message;
        let is_proven = |this: &Self, other: &Other| {
            !(other.deleted || other.stray || this.is_one_of_several(other.entry)) || is_whole(other)
        };
        self.other(header, is_proven).or_else(|| {
            let others = self.others.as_ref()?.get(&header)?;
            let expected = others.iter().rev().take_while(|other| other.expected);
            let before = self.questioned.len();
            self.questioned
                .extend(expected.filter(|other| self.used.is_free(other)).map(|other| other.entry));
            (self.questioned.len() > before).then_some(Verdict::SetAside)
        })
    }

    /// A message without a unique-id, by its header.  Where that has no trace fields, another message may have an
    /// equal one.  It may have been delivered under a unique-id.  It may stand beside a message that failed, which
    /// left no entry.  Or it has another size, where one of them was left for it.  Then the whole of it decides.
    fn nameless(&mut self, listed: &Listed<'_>, facts: &Facts) -> Verdict {
        let header = facts.digests.header;
        let some_failed = self.some_failed;
        let has_its_size =
            |other: &Other| other.only && other.size.zip(listed.octets).is_none_or(|(then, now)| then == now);
        let own = self.traced(facts, By::Header).or_else(|| {
            self.other(header, |_, other| {
                other.nameless && !other.deleted && !some_failed && has_its_size(other)
            })
        });
        own.unwrap_or_else(|| {
            if self.is_any_left(header, facts.traced) { Verdict::NeedsBody } else { Verdict::Another }
        })
    }

    /// Takes out what was matched of the first ones with this header.
    fn skip_matched(&mut self, header: Digest) {
        let Some(others) = self.others.as_mut().and_then(|others| others.get_mut(&header)) else { return };
        while others.front().is_some_and(|other| !self.used.is_free(other)) {
            others.pop_front();
        }
    }

    /// Whether anything has this header that is there still, or was deleted and is `traced`, may be listed under another key,
    /// and hasn't been matched.
    fn is_any_left(&mut self, header: Digest, traced: bool) -> bool {
        self.skip_matched(header);
        let first = self.others.as_ref().and_then(|others| others.get(&header)?.front());
        first.is_some_and(|other| !other.expected && (traced || !other.deleted))
    }

    /// Whether a message without a unique-id has this header, and may have one now.
    fn is_any_nameless(&self, header: Digest) -> bool {
        let others = self.others.as_ref().and_then(|others| others.get(&header));
        others.is_some_and(|others| others.iter().any(Other::is_nameless_and_there))
    }

    fn other(&mut self, header: Digest, same: impl Fn(&Self, &Other) -> bool) -> Option<Verdict> {
        self.skip_matched(header);
        let others = self.others.as_ref()?.get(&header)?;
        let mut others = others.iter().take_while(|other| !other.expected);
        let found = others.find(|other| same(self, other) && self.used.is_free(other))?;
        let (entry, message) = (found.entry, found.record.digests.message);
        self.used.at(entry, message).other += 1;
        Some(Verdict::Same(Match { entry, message: Some(message), header: None }))
    }

    /// The message under this entry's key is none of those that we have.
    fn fail(&mut self, id: EntryId, facts: &Facts) -> Verdict {
        let Some(Ours { entry, deliveries, other_mode, .. }) = self.ours.get(&id) else {
            return Verdict::Another;
        };
        let deliveries = &deliveries.all;
        if deliveries.is_empty() {
            if entry.state == EntryState::Open {
                // Nothing was delivered under this key yet.
                return Verdict::Another;
            }
            // What it was is not known: nothing can be concluded.
            return Verdict::SetAside;
        }
        let has_identity = facts.digests.identity.is_some()
            || deliveries.iter().any(|record| record.digests.identity.is_some());
        if entry.varies || (entry.again && !has_identity) {
            return Verdict::Varies(id);
        }
        if *other_mode {
            return Verdict::Another;
        }
        self.failed.push(id);
        if self.others.is_some() { Verdict::Another } else { Verdict::SetAside }
    }
}

/// Equal, non-empty Message-ID, Date and From.
fn is_same(record: &KnownDelivery, facts: &Facts) -> bool {
    record.digests.identity.is_some() && record.digests.identity == facts.digests.identity
}
