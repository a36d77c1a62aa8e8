//! Whether a listing gives cause to doubt the unique-ids in it.  A unique-id is a hint: servers that are rebuilt, moved, or
//! count from 1 give known ones to other mail, and mostly it shows in the listing as a whole.  Then every known message
//! in it is compared, once.

use std::collections::HashMap;
use std::fmt;

use crate::ledger::Ledger;
pub(crate) use crate::ledger::memory::Adds;
use crate::proof::EntryId;

use super::maildrop::{Maildrop, Who};

/// What a listing shows that servers which keep to RFC 1939 §7 hardly ever show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// More than half of the last listing's messages are gone, while unknown ones came.
    MostAreGone,
    /// Known messages stand in another order.
    Reordered,
    /// Unknown messages stand where this server has put none so far.
    AddedElsewhere,
    /// A comparison failed.
    Mismatch,
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MostAreGone => "most messages of the last listing are gone, and others have come",
            Self::Reordered => "the messages stand in another order than in the last listing",
            Self::AddedElsewhere => "new messages stand in a place where this server has put none before",
            Self::Mismatch => "a unique-id stands for another message than before",
        })
    }
}

/// What there is to doubt in a listing, and where the server adds messages, as far as it shows.  `complete`: the session
/// before left no message unknown, so that what is unknown now has come since.
#[must_use]
pub(crate) fn suspicion(
    maildrop: &Maildrop,
    ledger: &Ledger,
    adds: Adds,
    complete: bool,
) -> (Option<Suspicion>, Adds) {
    let places = Places::of(maildrop, ledger);
    let shown = places.adds(adds);
    let reason = if places.unknown && most_are_gone(maildrop, ledger) {
        Some(Suspicion::MostAreGone)
    } else if places.reordered {
        Some(Suspicion::Reordered)
    } else if complete && shown != adds {
        Some(Suspicion::AddedElsewhere)
    } else {
        None
    };
    (reason, if complete { shown } else { adds })
}

/// Whether none of the last complete listing's messages is listed, though something is: RFC 1939 §7 forbids it, servers
/// do it when their mail is moved.
#[must_use]
pub(crate) fn is_renumbered(maildrop: &Maildrop, ledger: &Ledger) -> bool {
    let mut present = ledger.present().peekable();
    maildrop.has_unique_ids() && present.peek().is_some() && present.all(|id| maildrop.times_listed(id) == 0)
}

fn most_are_gone(maildrop: &Maildrop, ledger: &Ledger) -> bool {
    let (mut all, mut gone) = (0_u32, 0_u32);
    for id in ledger.present() {
        all = all.saturating_add(1);
        gone = gone.saturating_add(u32::from(maildrop.times_listed(id) == 0));
    }
    gone < all && gone.saturating_mul(2) > all
}

/// Where known and unknown messages stand.
struct Places {
    unknown: bool,
    /// An unknown one stands before one of the last listing.
    before: bool,
    /// An unknown one follows one of the last listing.
    behind: bool,
    reordered: bool,
}

impl Places {
    fn of(maildrop: &Maildrop, ledger: &Ledger) -> Self {
        let mut places = Self { unknown: false, before: false, behind: false, reordered: false };
        // The entries of the last listing stand in its order, but for one that this very run has taken; what came since
        // proves nothing about its place.
        let of_last = |id: EntryId| !ledger.is_recent(id) && maildrop.times_listed(id) == 1;
        let taken: Option<HashMap<EntryId, u32>> =
            ledger.order_taken().map(|order| order.iter().copied().zip(0..).collect());
        let rank = |id: EntryId| taken.as_ref().map_or(Some(id.0), |taken| taken.get(&id).copied());
        let mut last: Option<u32> = None;
        let mut waiting = false;
        for listed in maildrop.iter() {
            match listed.who {
                Who::Known(id) if of_last(id) && !ledger.entry(id).absent => {
                    let rank = rank(id).or(last);
                    places.reordered |= last > rank;
                    places.before |= waiting;
                    last = last.max(rank);
                }
                Who::New(_) => {
                    (places.unknown, waiting) = (true, true);
                    places.behind |= last.is_some();
                }
                Who::Known(_) | Who::Nameless => {}
            }
        }
        places
    }

    fn adds(&self, so_far: Adds) -> Adds {
        match (so_far, self.before, self.behind) {
            (Adds::AtEnd, true, false) => Adds::AtFront,
            (Adds::AtEnd, true, true) | (Adds::AtFront, _, true) => Adds::Anywhere,
            _ => so_far,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Adds, Suspicion, is_renumbered, suspicion};
    use crate::plan::trial::World;

    fn judge(world: &World, names: &[&str], adds: Adds, complete: bool) -> (Option<Suspicion>, Adds) {
        let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
        suspicion(&world.maildrop(&listed), &world.ledger, adds, complete)
    }

    #[test]
    fn ordinary_listings_are_believed() {
        let world = World::holding(&["a", "b", "c", "d"]);
        for names in [
            &["a", "b", "c", "d"][..],
            &["a", "b", "c", "d", "new", "newer"],
            &["b", "d"],
            &["d"],
            &["c", "d", "new"],
            &[],
        ] {
            assert_eq!(judge(&world, names, Adds::AtEnd, true), (None, Adds::AtEnd), "{names:?}");
        }
    }

    #[test]
    fn what_no_ordinary_server_shows_is_suspect() {
        let world = World::holding(&["a", "b", "c", "d"]);
        let cases = [
            (&["d", "new"][..], Some(Suspicion::MostAreGone), Adds::AtEnd),
            (&["b", "a", "c", "d"], Some(Suspicion::Reordered), Adds::AtEnd),
            (&["d", "a"], Some(Suspicion::Reordered), Adds::AtEnd),
            (&["new", "a", "b", "c", "d"], Some(Suspicion::AddedElsewhere), Adds::AtFront),
            (&["a", "new", "b", "c", "d"], Some(Suspicion::AddedElsewhere), Adds::Anywhere),
        ];
        for (names, expected, adds) in cases {
            assert_eq!(judge(&world, names, Adds::AtEnd, true), (expected, adds), "{names:?}");
        }
    }

    #[test]
    fn an_unusual_place_is_learnt_once() {
        let world = World::holding(&["a", "b"]);
        assert_eq!(judge(&world, &["new", "a", "b"], Adds::AtFront, true).0, None);
        let (reason, adds) = judge(&world, &["a", "b", "new"], Adds::AtFront, true);
        assert_eq!((reason, adds), (Some(Suspicion::AddedElsewhere), Adds::Anywhere));
        for names in [&["new", "a", "b"][..], &["a", "new", "b"], &["a", "b", "new"]] {
            assert_eq!(judge(&world, names, Adds::Anywhere, true), (None, Adds::Anywhere));
        }
        // What is unknown may have been there before.
        assert_eq!(judge(&world, &["new", "a", "b"], Adds::AtEnd, false), (None, Adds::AtEnd));
    }

    /// What came late is noted behind the others, whatever its place in the listing: within a run too.
    #[test]
    fn the_order_of_a_listing_counts_not_that_of_the_deliveries() {
        let mut world = World::holding(&["a", "b"]);
        world.deliver("late");
        world.listed(&["late", "a", "b"]);
        assert_eq!(judge(&world, &["late", "a", "b", "new"], Adds::AtEnd, true).0, None);
        assert_eq!(judge(&world, &["a", "late", "b"], Adds::AtEnd, true).0, Some(Suspicion::Reordered));
        assert_eq!(judge(&world, &["a", "b", "late"], Adds::AtEnd, true).0, Some(Suspicion::Reordered));
    }

    #[test]
    fn messages_that_came_since_the_last_listing_may_stand_anywhere() {
        let mut world = World::holding(&["a", "b"]);
        world.deliver("late");
        assert_eq!(judge(&world, &["late", "a", "b"], Adds::AtEnd, true).0, None);
    }

    #[test]
    fn a_listing_without_anything_known_is_a_renumbering() {
        let world = World::holding(&["a", "b"]);
        let judge = |names: &[&str]| {
            let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
            is_renumbered(&world.maildrop(&listed), &world.ledger)
        };
        assert!(judge(&["x", "y"]));
        assert!(!judge(&["x", "b"]));
        assert!(!judge(&[]));
        assert!(!judge(&["-", "-"]), "without unique-ids nothing is renumbered");
    }
}
