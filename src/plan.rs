//! What to do with each message, and why: a pure function of (listing, ledger, policy, now).  No I/O: `--dry-run` prints
//! exactly what stands here.
//!
//! Two questions are asked.  [`decide`]: which of the listed messages are retrieved, compared, or left?  It is answered
//! before the first `RETR`.  [`retire`]: which delivered messages go by the leave-on-server policy?  It is answered after
//! the last one, so that what this run delivered counts among the newest.  Where the policy can decide about a message on its
//! own, [`at_once`] answers it at once, so that its `DELE` can go out in the running pipeline.
//!
//! Three more questions prepare these answers.  [`suspicion`](mod@suspicion): does a listing give cause to doubt its
//! unique-ids?  `compare`: is a listed message one that we have?  [`quick`]: may a poll replace a listing?

pub(crate) mod compare;
pub(crate) mod maildrop;
pub(crate) mod quick;
pub(crate) mod suspicion;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod trial;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;

use crate::account::{Account, Limits, Retention};
use crate::ledger::{Entry, EntryState, Ledger};
use crate::proof::{DestinationId, EntryId};
use crate::types::{MessageNumber, Octets, Time};

pub(crate) use maildrop::{Listed, Maildrop, Who};
pub(crate) use suspicion::{Suspicion, is_renumbered, suspicion};

/// What the policies of one account and one run come to.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub retention: Retention,
    /// Larger messages stay on the server.
    pub max_message_size: Option<Octets>,
    /// Messages retrieved in one run, at most.
    pub max_messages: Option<u64>,
    /// Octets retrieved in one run, at most (the first message always goes).
    pub max_bytes: Option<Octets>,
    /// Messages, and their octets, that earlier sessions of this run have delivered.
    pub taken: (u64, Octets),
    /// `--all`: what was retrieved before is retrieved again.
    pub all: bool,
    /// What failed not long ago is tried at once: the user asked for it.
    pub insist: bool,
    /// Whether the session is in UTF-8 mode (RFC 6856): sizes may differ from those in the other mode.
    pub utf8: bool,
    /// The server shows only a window of the maildrop and drops from it what was retrieved at a clean `QUIT` (Gmail):
    /// what it lists again must be retrieved again to be dropped.
    pub window: bool,
    /// What is listed in a window although it was retrieved before and should have been dropped: it isn't retrieved again.
    /// In ascending order.
    pub popped: Vec<EntryId>,
    /// The destinations that this run delivers to, by the ledger's numbers.
    pub destinations: Vec<DestinationId>,
    /// The time, where the clock can be believed for ages (see [`Ledger::trusted_now`]).
    pub age_now: Option<Time>,
    pub now: Time,
}

impl Policy {
    /// The policy of an account for a run; `None` keeps the account's own retention.
    #[must_use]
    pub(crate) fn new(
        account: &Account,
        retention: Option<Retention>,
        all: bool,
        destinations: Vec<DestinationId>,
        ledger: &Ledger,
    ) -> Self {
        Self {
            retention: retention.unwrap_or(account.retention),
            max_message_size: account.max_message_size,
            max_messages: account.max_messages,
            max_bytes: account.max_bytes,
            taken: (0, Octets(0)),
            all,
            insist: false,
            utf8: false,
            window: false,
            popped: Vec::new(),
            destinations,
            age_now: ledger.trusted_now(),
            now: ledger.now(),
        }
    }

    /// Whether all that is delivered is deleted.
    #[must_use]
    pub(crate) fn deletes_everything(&self) -> bool {
        self.retention == Retention::Delete
    }

    /// Whether anything is ever deleted.
    #[must_use]
    pub(crate) fn deletes(&self) -> bool {
        self.retention != Retention::Keep
    }
}

/// What is done with a listed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// `RETR`, and delivered.
    Retrieve(Why),
    /// Its header, or all of it, is compared with what we have; delivered only if it's another message.
    Compare(Why),
    /// Due for deletion: recognised first (by its header, else by all of it), then deleted; if it proves to be other
    /// mail it is delivered instead.
    Delete(Why),
    /// Known by the user's word alone: its header is asked for, and recorded, so that it can be recognised from then on.
    /// Neither retrieved nor deleted.
    Identify,
    /// Left where it is.
    Leave(Why),
}

impl Decision {
    /// Whether nothing is done with it.
    #[must_use]
    pub(crate) fn leaves(self) -> bool {
        matches!(self, Self::Leave(_))
    }

    /// Why it is compared with what we have, if it is.
    #[must_use]
    pub(crate) fn why_compared(self) -> Option<Why> {
        match self {
            Self::Compare(why) | Self::Delete(why) => Some(why),
            Self::Retrieve(_) | Self::Identify | Self::Leave(_) => None,
        }
    }
}

/// The reason for a [`Decision`] or a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its unique-id has never been seen.
    New,
    /// It failed before, or did not reach all of its destinations.
    Again,
    /// `--all`.
    All,
    /// Its unique-id is known, but its size has changed.
    SizeChanged,
    /// Deleted by us, as the server confirmed, and listed all the same, or again.
    CameBack,
    /// Its unique-id is listed more often than it was delivered, or a deletion depends on which one this is.
    Duplicate,
    /// The server has renumbered: this may be a message that was listed under another unique-id.
    Renumbered,
    /// Its unique-id may stand for other mail: a listing lacked it, its deletion was never confirmed, or the listing is
    /// suspect.
    Doubtful,
    /// The listing is suspect: it waits until what is known has been compared.
    Waits,
    /// It has no unique-id.
    Nameless,
    /// A window of the maildrop lists it again.
    Window,
    /// It has been delivered.
    Known,
    /// It counts as seen: it was printed, or is marked by the user.
    Seen,
    /// It is larger than `max-message-size`.
    TooLarge,
    /// It failed not long ago.
    BackingOff,
    /// Some of the destinations that it was meant for have it; this run doesn't deliver to those that lack it.
    Elsewhere,
    /// `max-messages` are on their way already.
    MaxMessages,
    /// `max-bytes` are on their way already.
    MaxBytes,
    /// Delivered, and nothing is left on the server.
    Delete,
    /// Delivered longer ago than `days`.
    Days,
    /// Not among the `newest`.
    Newest,
    /// The oldest beyond `total-size`.
    TotalSize,
    /// Delivered, and larger than `larger-than`.
    LargerThan,
}

impl Why {
    /// As programs have it: it stays when the sentence for people changes.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Again => "again",
            Self::All => "all",
            Self::SizeChanged => "size-changed",
            Self::CameBack => "came-back",
            Self::Duplicate => "duplicate",
            Self::Doubtful => "doubtful",
            Self::Waits => "waits",
            Self::Renumbered => "renumbered",
            Self::Nameless => "nameless",
            Self::Window => "window",
            Self::Known => "known",
            Self::Seen => "seen",
            Self::TooLarge => "too-large",
            Self::BackingOff => "backing-off",
            Self::Elsewhere => "elsewhere",
            Self::MaxMessages => "max-messages",
            Self::MaxBytes => "max-bytes",
            Self::Delete => "delete",
            Self::Days => "days",
            Self::Newest => "newest",
            Self::TotalSize => "total-size",
            Self::LargerThan => "larger-than",
        }
    }

    /// As people have it.
    #[must_use]
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Again => "not delivered yet",
            Self::All => "--all",
            Self::SizeChanged => "known unique-id, but its size has changed",
            Self::CameBack => "deleted by us, and listed again",
            Self::Duplicate => "its unique-id is listed more than once",
            Self::Renumbered => "the server may have renumbered its messages",
            Self::Doubtful => "its unique-id may stand for another message now",
            Self::Waits => "waits until the messages that are known have been compared",
            Self::Nameless => "has no unique-id",
            Self::Window => "delivered; retrieved again so that the server moves on",
            Self::Known => "delivered before",
            Self::Seen => "counts as seen",
            Self::TooLarge => "larger than max-message-size",
            Self::BackingOff => "failed not long ago",
            Self::Elsewhere => "lacked only by a destination that isn't configured now",
            Self::MaxMessages => "max-messages reached",
            Self::MaxBytes => "max-bytes reached",
            Self::Delete => "delivered, and leave-on-server is false",
            Self::Days => "delivered longer ago than leave-on-server's days",
            Self::Newest => "not among leave-on-server's newest",
            Self::TotalSize => "beyond leave-on-server's total-size",
            Self::LargerThan => "delivered, and larger than leave-on-server's larger-than",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Decides for each listed message, in the order of the listing.
#[must_use]
pub(crate) fn decide(maildrop: &Maildrop, ledger: &Ledger, policy: &Policy) -> Vec<Decision> {
    let resized = resized(maildrop, ledger, policy.utf8);
    let mut decisions: Vec<Decision> =
        maildrop.iter().map(|listed| decide_one(&listed, maildrop, &resized, ledger, policy)).collect();
    limit(&mut decisions, maildrop, ledger, policy);
    decisions
}

fn decide_one(
    listed: &Listed<'_>,
    maildrop: &Maildrop,
    resized: &HashSet<EntryId>,
    ledger: &Ledger,
    policy: &Policy,
) -> Decision {
    let too_large = is_too_large(listed.octets, policy);
    let id = match listed.who {
        Who::Nameless if policy.all && policy.taken.0 == 0 => {
            return unless(too_large, Decision::Retrieve(Why::All));
        }
        Who::Nameless => return unless(too_large, Decision::Compare(Why::Nameless)),
        // `TOP` may settle it, however large it is.  Of a window no complete listing is ever taken: that it shows nothing
        // known is nothing strange.
        Who::New(_) if (ledger.is_renumbering() || ledger.knows_nameless()) && !policy.window => {
            return Decision::Compare(Why::Renumbered);
        }
        Who::New(_) => return unless(too_large, Decision::Retrieve(Why::New)),
        Who::Known(id) => id,
    };
    let entry = ledger.entry(id);
    // But not what an earlier session of this very run has delivered.
    let this_run = policy.taken.0 > 0 && entry.delivered >= Some(policy.now);
    if policy.all && !this_run {
        return unless(too_large, Decision::Retrieve(Why::All));
    }
    let listed_times = maildrop.times_listed(id);
    match entry.state {
        EntryState::Open if backs_off(&entry, policy) => Decision::Leave(Why::BackingOff),
        // Those that have it would get it twice.  But what a listing has lacked, or has another size, may be other mail.
        EntryState::Open
            if is_lacked_elsewhere(id, ledger, policy) && !may_be_other(&entry, listed, policy) =>
        {
            Decision::Leave(Why::Elsewhere)
        }
        // One message of this unique-id failed, and one was delivered: only its octets show which of them is listed.
        EntryState::Open if entry.deliveries > 0 => unless(too_large, Decision::Compare(Why::Duplicate)),
        // It may have been delivered under the unique-id that it had meanwhile.
        EntryState::Open if ledger.is_renumbering() && !policy.window => Decision::Compare(Why::Renumbered),
        EntryState::Open => unless(too_large, Decision::Retrieve(Why::Again)),
        // The server confirmed its deletion: what is listed under its unique-id now may be another message.
        EntryState::Deleted => Decision::Compare(Why::CameBack),
        // The user's word is all that is known of it.
        _ if entry.unidentified => Decision::Identify,
        // No comparison can succeed.
        _ if entry.varies => Decision::Leave(Why::Known),
        _ if listed_times > u32::from(entry.deliveries) || resized.contains(&id) => {
            Decision::Compare(Why::Duplicate)
        }
        _ if entry.doubtful => Decision::Compare(Why::Doubtful),
        _ if listed_times == 1 && size_changed(&entry, listed.octets, policy.utf8) => {
            Decision::Compare(Why::SizeChanged)
        }
        // A comparison failed, or another message of this unique-id.
        _ if entry.failures > 0 => Decision::Compare(Why::Duplicate),
        _ if policy.window && !goes_now(&entry, policy) && policy.popped.binary_search(&id).is_err() => {
            Decision::Compare(Why::Window)
        }
        EntryState::Seen => Decision::Leave(Why::Seen),
        EntryState::Recorded | EntryState::Delivered => Decision::Leave(Why::Known),
    }
}

/// Whether a message is larger than `max-message-size`: it isn't retrieved, not even to be compared.
#[must_use]
pub(crate) fn is_too_large(octets: Option<Octets>, policy: &Policy) -> bool {
    policy.max_message_size.zip(octets).is_some_and(|(most, octets)| octets > most)
}

/// Whether it failed not long ago, and is not tried again yet.
// It and the ones below are asked of each message of a listing: inlined, they don't make an entry of which one or two
// fields are needed.
#[must_use]
#[inline(always)]
pub(crate) fn backs_off(entry: &Entry, policy: &Policy) -> bool {
    !policy.insist && entry.retry_after.is_some_and(|at| policy.now < at)
}

fn is_lacked_elsewhere(id: EntryId, ledger: &Ledger, policy: &Policy) -> bool {
    ledger.lacking(id).is_some_and(|lacking| !lacking.iter().any(|here| policy.destinations.contains(here)))
}

#[inline(always)]
fn may_be_other(entry: &Entry, listed: &Listed<'_>, policy: &Policy) -> bool {
    entry.absent || size_changed(entry, listed.octets, policy.utf8)
}

fn unless(too_large: bool, decision: Decision) -> Decision {
    if too_large { Decision::Leave(Why::TooLarge) } else { decision }
}

/// Whether any message that we have is listed with another size than ours: as long as that isn't settled, the next run
/// must see the sizes too.
#[must_use]
pub(crate) fn has_changed_size(maildrop: &Maildrop, ledger: &Ledger, utf8: bool) -> bool {
    maildrop.has_sizes()
        && (maildrop.iter().any(|listed| match listed.who {
            Who::Known(id) => {
                maildrop.times_listed(id) == 1 && is_resized(&ledger.entry(id), listed.octets, utf8)
            }
            Who::New(_) | Who::Nameless => false,
        }) || !resized(maildrop, ledger, utf8).is_empty())
}

/// Entries that are listed more than once, as often as delivered at most, and the last message of which has another size than
/// ours had: one of them was replaced by other mail, perhaps.
fn resized(maildrop: &Maildrop, ledger: &Ledger, utf8: bool) -> HashSet<EntryId> {
    let resized = maildrop.last_of_repeated().into_iter().filter(|(id, octets)| {
        let entry = ledger.entry(*id);
        maildrop.times_listed(*id) <= u32::from(entry.deliveries) && is_resized(&entry, *octets, utf8)
    });
    resized.map(|(id, _)| id).collect()
}

#[inline(always)]
fn is_resized(entry: &Entry, octets: Option<Octets>, utf8: bool) -> bool {
    !matches!(entry.state, EntryState::Open | EntryState::Deleted)
        && !entry.varies
        && size_changed(entry, octets, utf8)
}

/// In the other mode of RFC 6856 some servers send, and count, other octets.
#[inline(always)]
fn size_changed(entry: &Entry, octets: Option<Octets>, utf8: bool) -> bool {
    entry.utf8 == utf8 && entry.listed_size.zip(octets).is_some_and(|(then, now)| then != now)
}

#[inline(always)]
fn goes_now(entry: &Entry, policy: &Policy) -> bool {
    matches!(entry.state, EntryState::Delivered | EntryState::Recorded)
        && at_once(policy, entry.listed_size).is_some()
}

/// `max-messages` and `max-bytes` count what is delivered, in the order of the listing: what is new first, then what failed
/// before, so that it never keeps new mail waiting.  What is compared counts only once it proves to be other mail.
fn limit(decisions: &mut [Decision], maildrop: &Maildrop, ledger: &Ledger, policy: &Policy) {
    if policy.max_messages.is_none() && policy.max_bytes.is_none() {
        return;
    }
    let mut allowance = Allowance::new(policy);
    let turn = |decision: &Decision, listed: &Listed<'_>| match (decision, listed.who) {
        (Decision::Retrieve(_), Who::Known(id)) if ledger.entry(id).failures > 0 => Some(1),
        (Decision::Retrieve(_), _) => Some(0),
        _ => None,
    };
    for now in 0..2 {
        for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
            if turn(decision, &listed) == Some(now)
                && let Err(why) = allowance.take(listed.octets.unwrap_or_default())
            {
                *decision = Decision::Leave(why);
            }
        }
    }
}

/// What may still be delivered in this run, by `max-messages` and `max-bytes`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowance {
    max_messages: Option<u64>,
    max_bytes: Option<Octets>,
    messages: u64,
    octets: Octets,
}

impl Allowance {
    /// What earlier sessions of the run have left.
    #[must_use]
    pub(crate) fn new(policy: &Policy) -> Self {
        let (messages, octets) = policy.taken;
        Self { max_messages: policy.max_messages, max_bytes: policy.max_bytes, messages, octets }
    }

    /// This was delivered already.
    pub(crate) fn delivered(&mut self, messages: u64, octets: Octets) {
        self.messages = self.messages.saturating_add(messages);
        self.octets = self.octets.plus(octets);
    }

    /// Takes a message of this size.
    ///
    /// # Errors
    /// Which limit forbids it.
    pub(crate) fn take(&mut self, size: Octets) -> Result<(), Why> {
        if self.max_messages.is_some_and(|most| self.messages >= most) {
            return Err(Why::MaxMessages);
        }
        if self.messages > 0 && self.max_bytes.is_some_and(|most| self.octets.plus(size) > most) {
            return Err(Why::MaxBytes);
        }
        self.messages = self.messages.saturating_add(1);
        self.octets = self.octets.plus(size);
        Ok(())
    }

    /// A message that was taken is not delivered: it proved to be one that we have.
    pub(crate) fn give_back(&mut self, size: Octets) {
        self.messages = self.messages.saturating_sub(1);
        self.octets = Octets(self.octets.0.saturating_sub(size.0));
    }
}

/// Whether a message goes as soon as it is delivered.
#[must_use]
pub(crate) fn at_once(policy: &Policy, octets: Option<Octets>) -> Option<Why> {
    match policy.retention {
        Retention::Keep => None,
        Retention::Delete => Some(Why::Delete),
        Retention::Limits(limits) => limits
            .larger_than
            .zip(octets)
            .is_some_and(|(most, octets)| octets > most)
            .then_some(Why::LargerThan),
    }
}

/// A message to be deleted by the leave-on-server policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retired {
    /// Its number in this session.
    pub number: MessageNumber,
    pub entry: EntryId,
    pub why: Why,
}

/// Which delivered messages go now, ascending by number: to be recognised before they are deleted.  Not those that have
/// failed since, and the entries that are `uncertain`.
#[must_use]
pub(crate) fn retire(
    maildrop: &Maildrop,
    ledger: &Ledger,
    policy: &Policy,
    uncertain: &dyn Fn(EntryId) -> bool,
) -> Vec<Retired> {
    if !policy.deletes() {
        return Vec::new();
    }
    let mut candidates: Vec<Retirable> = maildrop
        .iter()
        .filter_map(|listed| {
            let Who::Known(id) = listed.who else { return None };
            let entry = ledger.entry(id);
            let delivered = matches!(entry.state, EntryState::Delivered | EntryState::Recorded);
            // A comparison may need the whole message, which is not to be retrieved.
            let comparable = !is_too_large(listed.octets, policy) || maildrop.times_listed(id) == 1;
            (delivered && entry.failures == 0 && comparable && !uncertain(id)).then_some(Retirable {
                number: listed.number,
                id,
                octets: listed.octets.or(entry.listed_size),
                delivered: entry.delivered,
                order: entry.order,
                why: None,
            })
        })
        .collect();
    match policy.retention {
        Retention::Keep => {}
        Retention::Delete => candidates.iter_mut().for_each(|c| c.why = Some(Why::Delete)),
        Retention::Limits(limits) => apply(&limits, &mut candidates, policy),
    }
    candidates.sort_unstable_by_key(|c| c.number);
    candidates
        .into_iter()
        .filter_map(|c| c.why.map(|why| Retired { number: c.number, entry: c.id, why }))
        .collect()
}

struct Retirable {
    number: MessageNumber,
    id: EntryId,
    octets: Option<Octets>,
    delivered: Option<Time>,
    order: u32,
    why: Option<Why>,
}

fn apply(limits: &Limits, candidates: &mut [Retirable], policy: &Policy) {
    // Newest first: by time of delivery, then by the order of first listing.
    candidates.sort_unstable_by_key(|c| Reverse((c.delivered, c.order)));
    let mut kept = Octets(0);
    let mut full = false;
    for (rank, candidate) in (0_u32..).zip(candidates.iter_mut()) {
        let octets = candidate.octets.unwrap_or_default();
        candidate.why = if limits.larger_than.is_some_and(|most| octets > most) {
            Some(Why::LargerThan)
        } else if limits.newest.is_some_and(|newest| rank >= newest) {
            Some(Why::Newest)
        } else if is_older(candidate.delivered, limits.days, policy.age_now) {
            Some(Why::Days)
        } else {
            // The oldest go first: once one does not fit, nothing older stays in its place.
            full = full || limits.total_size.is_some_and(|most| kept.plus(octets) > most);
            if full {
                Some(Why::TotalSize)
            } else {
                kept = kept.plus(octets);
                None
            }
        };
    }
}

fn is_older(delivered: Option<Time>, days: Option<u32>, now: Option<Time>) -> bool {
    match (delivered, days, now) {
        (Some(delivered), Some(days), Some(now)) => now.seconds_since(delivered) >= i64::from(days) * 86_400,
        // A clock that cannot be believed deletes nothing by age.
        _ => false,
    }
}
