//! What the sessions of one run learn for those that follow, and which messages each is about.

use std::collections::{HashMap, HashSet};

use crate::ledger::{self, Ledger};
use crate::plan::{Decision, Listed, Maildrop, Policy, Who, Why};
use crate::proof::{EntryId, Key};
use crate::types::{MessageNumber, Octets, UniqueIdBuf};

/// What the sessions of a run learn for those that follow.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The last session has left something for another one.
    pub(super) left: bool,
    /// One command at a time from now on: the server was taken to have answered out of step.
    pub(super) unpipelined: bool,
    /// No answer of this server names a message: one in each session.
    pub(super) nothing_names: bool,
    /// This many messages are asked for one by one, each followed by a question: a session broke off at one of them.
    pub(super) careful: usize,
    /// Sessions in a row that broke off at a message, asked for alone, without any other coming through.
    pub(super) broken: u32,
    /// Sessions that broke off, one command at a time, with several messages in doubt.
    pub(super) disordered: u32,
    /// Sessions in a row that ended well before the limit that was set to them.
    pub(super) good: u32,
    /// Not asked for again in this run; each with the sizes that were listed.
    pub(super) given_up: HashMap<GivenUp, Vec<Option<Octets>>>,
    /// On a server none of whose answers names a message: delivered, or recognised, in a session of its own.  The next
    /// session goes on behind it, though a message without a unique-id looks as it did.
    pub(super) done: HashSet<(MessageNumber, Option<Octets>)>,
    /// The first message was the server's own internal data, which is left alone.
    pub(super) folder_data: bool,
    /// Whether any session has brought something.
    pub(super) came: bool,
    /// Entries that were matched in a session: the same match again brings nothing,
    pub(super) matched: HashSet<EntryId>,
    /// nor does the same deletion.
    pub(super) deleted: HashSet<EntryId>,
    /// Whether the last session has brought anything but deletions.
    pub(super) brought: bool,
    /// Sessions in a row that have brought nothing.
    pub(super) idle: u32,
    /// No deletion is ever confirmed: mail is retrieved in a session that deletes nothing.
    pub(super) keeps: bool,
    /// How the last session ended.
    pub(super) ended: SessionEnd,
}

impl Course {
    /// It isn't asked for again in this run.  Whether nothing with this name was given up before.
    pub(super) fn give_up(&mut self, message: GivenUp, octets: Option<Octets>) -> bool {
        let sizes = self.given_up.entry(message).or_default();
        let is_new = sizes.is_empty();
        if !sizes.contains(&octets) {
            sizes.push(octets);
        }
        is_new
    }
}

/// Whether this may be the size of what was given up: another node may have another message under the same unique-id.
pub(super) fn may_have_size(given_up: &[Option<Octets>], octets: Option<Octets>) -> bool {
    given_up.iter().any(|then| then.zip(octets).is_none_or(|(then, now)| then == now))
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SessionEnd {
    /// The server let us in, and the listing wasn't taken.
    pub(super) unlisted: bool,
    /// Commands shared a flight.
    pub(super) pipelined: bool,
    /// Messages asked for in it.
    pub(super) asked: usize,
    /// Of them those since the last answer that named.
    pub(super) void: usize,
    /// One message is certainly the cause.
    pub(super) blamed: bool,
    /// Something was to be deleted at its end.
    pub(super) unconfirmed: bool,
    /// The connection ended, as it has before at another message.
    pub(super) cut_again: bool,
    /// `QUIT` was not confirmed, and deletions hang on it.
    pub(super) quit_lost: bool,
    /// It was not answered at all.
    pub(super) quit_unanswered: bool,
    /// Messages, or headers, that were confirmed.
    pub(super) confirmed: u32,
    /// Commands answered after the listing.
    pub(super) answered: u32,
}

/// A message, as another session will list it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum GivenUp {
    Entry(EntryId),
    UniqueId(UniqueIdBuf),
    /// Without a unique-id of its own: the same number and size.
    Numbered(MessageNumber, Option<Octets>),
}

impl GivenUp {
    /// How another session may list this message: perhaps under another unique-id, or without one, and another message
    /// under its.  Where two are listed with one unique-id, the other one hasn't failed.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn of(
        listed: &Listed<'_>,
        maildrop: &Maildrop,
        ledger: &Ledger,
    ) -> Result<Vec<Self>, ledger::Error> {
        if !has_own_name(listed, maildrop) {
            return Ok(vec![Self::Numbered(listed.number, listed.octets)]);
        }
        Ok(match listed.who {
            Who::New(unique_id) => vec![Self::UniqueId(unique_id.to_buf())],
            Who::Known(id) => match ledger.key(id)? {
                Key::UniqueId(unique_id) => vec![Self::Entry(id), Self::UniqueId(unique_id)],
                Key::Header(_) => vec![Self::Entry(id)],
            },
            Who::Nameless => Vec::new(),
        })
    }
}

/// Whether it has a unique-id that no other message of this listing has.
pub(super) fn has_own_name(listed: &Listed<'_>, maildrop: &Maildrop) -> bool {
    match listed.who {
        Who::New(_) => maildrop.iter().filter(|other| other.who == listed.who).count() == 1,
        Who::Known(id) => maildrop.times_listed(id) == 1,
        Who::Nameless => false,
    }
}

/// Why there is another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// It's the first.
    First,
    /// The server shows only a window of the maildrop: nothing is lost if there is no other session.
    Window,
    /// Something is left to do.
    Rest,
}

/// Which messages a session is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    Everything,
    /// One that failed before: in a session of its own, because a server that drops at `QUIT` what was retrieved may
    /// see `QUIT` only when all of it was stored.
    Only {
        left: Vec<EntryId>,
    },
    /// Those that failed before: the last session, which may have to end without `QUIT`.
    Failed,
    /// Those at which a session broke off: each session begins with one, and another one may follow.
    Broken,
}

/// What a session came to.
#[derive(Debug)]
pub(super) struct SessionOutcome {
    /// Whether there should be another one.
    pub(super) next: Option<(Scope, Follows)>,
    /// Whether something is left that it was meant to do, and that waits for another session.
    pub(super) left: bool,
}

impl Scope {
    /// In a window, what failed before is tried in a session of its own.
    pub(super) fn restrict(
        &self,
        decisions: &mut [Decision],
        maildrop: &Maildrop,
        ledger: &Ledger,
        policy: &Policy,
    ) {
        if !policy.window {
            return;
        }
        let alone = self.only(decisions, maildrop, ledger);
        for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
            let Who::Known(id) = listed.who else {
                if !matches!(self, Self::Everything | Self::Broken) {
                    *decision = Decision::Leave(Why::BackingOff);
                }
                continue;
            };
            let leave = match self {
                Self::Everything => ledger.entry(id).failures > 0,
                Self::Failed => ledger.entry(id).failures == 0,
                Self::Broken => false,
                Self::Only { .. } => alone != Some(id),
            };
            if leave {
                *decision = Decision::Leave(Why::BackingOff);
            }
        }
    }

    /// The one message that this session is about, if it's about one.  Another node may list it under another unique-id: then
    /// it's the first one that failed and has waited long enough.
    fn only(&self, decisions: &[Decision], maildrop: &Maildrop, ledger: &Ledger) -> Option<EntryId> {
        let Self::Only { left } = self else { return None };
        let meant = *left.last()?;
        if maildrop.times_listed(meant) > 0 {
            return Some(meant);
        }
        let has_failed = |(listed, decision): (Listed<'_>, &Decision)| {
            listed.entry().filter(|id| !decision.leaves() && ledger.entry(*id).failures > 0)
        };
        maildrop.iter().zip(decisions).find_map(has_failed)
    }
}

#[cfg(test)]
mod tests {
    use super::{GivenUp, Scope, has_own_name};
    use crate::account::Retention;
    use crate::plan::trial::{SIZE, World, facts, number};
    use crate::plan::{Decision, Policy, Why};
    use crate::proof::Key;
    use crate::retrieval::trial::unique_id;
    use crate::types::Octets;

    /// By all that another session may list it by; but never by what another message is listed by as well.
    #[test]
    fn what_is_given_up_is_known_again_however_it_is_listed_then() {
        let mut world = World::new();
        let known = world.deliver("a");
        let nameless = world.deliver_content(Key::Header(facts("n").digests.header), "n");
        let size = Some(SIZE);
        let mut listing = vec![("a", size), ("new", size), ("x", size), ("x", size), ("-", None)];
        let names = |world: &World, listed: &[(&str, Option<u64>)], place| {
            let maildrop = world.maildrop(listed);
            let listed = maildrop.at(place).unwrap();
            (has_own_name(&listed, &maildrop), GivenUp::of(&listed, &maildrop, &world.ledger).unwrap())
        };
        let by_number = |n, size: Option<u64>| vec![GivenUp::Numbered(number(n), size.map(Octets))];
        let cases = [
            (0, true, vec![GivenUp::Entry(known), GivenUp::UniqueId(unique_id("a"))]),
            (1, true, vec![GivenUp::UniqueId(unique_id("new"))]),
            (2, false, by_number(3, size)),
            (3, false, by_number(4, size)),
            (4, false, by_number(5, None)),
        ];
        for (place, own, expected) in cases {
            assert_eq!(names(&world, &listing, place), (own, expected), "{place}");
        }
        listing.push(("a", size));
        assert_eq!(names(&world, &listing, 0), (false, by_number(1, size)), "its unique-id is listed twice");
        // One that was assigned to what has no unique-id.
        let mut maildrop = world.maildrop(&[("-", size)]);
        maildrop.assign(number(1), nameless);
        let listed = maildrop.at(0).unwrap();
        assert_eq!(GivenUp::of(&listed, &maildrop, &world.ledger).unwrap(), [GivenUp::Entry(nameless)]);
    }

    /// In a window what failed has sessions of its own; elsewhere every session is for all.
    #[test]
    fn in_a_window_what_failed_is_tried_in_a_session_of_its_own() {
        let mut world = World::new();
        world.deliver("a");
        let (one, two) = (world.fail("f", None), world.fail("g", None));
        let elsewhere = world.fail("of another node", None);
        let maildrop = world.maildrop(&[("a", None), ("f", None), ("g", None), ("new", None), ("-", None)]);
        let all = [true; 5];
        let cases = [
            (Scope::Everything, [true, false, false, true, true]),
            (Scope::Failed, [false, true, true, false, false]),
            (Scope::Broken, all),
            (Scope::Only { left: vec![one] }, [false, true, false, false, false]),
            (Scope::Only { left: vec![one, two] }, [false, false, true, false, false]),
            (Scope::Only { left: vec![] }, [false; 5]),
            // The other node lists it under the unique-id of "f".
            (Scope::Only { left: vec![elsewhere] }, [false, true, false, false, false]),
        ];
        for (scope, expected) in cases {
            for window in [true, false] {
                let policy = Policy { window, ..world.policy(Retention::Keep) };
                let mut decisions = [Decision::Retrieve(Why::New); 5];
                scope.restrict(&mut decisions, &maildrop, &world.ledger, &policy);
                let stays = decisions.map(|decision| decision == Decision::Retrieve(Why::New));
                assert_eq!(stays, if window { expected } else { all }, "{scope:?}, {window}");
                let left = decisions.iter().filter(|decision| **decision == Decision::Leave(Why::BackingOff));
                assert_eq!(left.count(), stays.iter().filter(|stays| !**stays).count());
            }
        }
    }
}
