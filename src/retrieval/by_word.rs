//! Listed messages that are known by the user's word alone: which ones a selection means, whether they can be marked, and
//! what the first listing of an account with `first-run = "new-only"` counts as.

use super::error::Error;
use super::run::Run;
use crate::account::FirstRun;
use crate::ledger::Ledger;
use crate::plan::{Listed, Maildrop, Policy, Who};
use crate::types::{MessageNumber, Selection, wide};

/// The messages that are meant, ascending by number.
///
/// # Errors
/// [`Error::NoSuchMessage`]; when the ledger cannot be read.
pub(super) fn named(
    selection: &Selection,
    maildrop: &Maildrop,
    ledger: &Ledger,
) -> Result<Vec<MessageNumber>, Error> {
    let needed = selection.needs_unique_ids();
    let named = |listed: Listed<'_>| {
        let unique_id = if needed { listed.unique_id(ledger)? } else { None };
        Ok((listed.number, unique_id))
    };
    Ok(selection.resolve(maildrop.iter().map(named).collect::<Result<Vec<_>, Error>>()?)?)
}

/// Whether what is listed can be marked at all; `all` of it.
pub(super) fn check(run: &Run<'_>, maildrop: &Maildrop, policy: &Policy, all: bool) -> Result<(), Error> {
    if policy.window && all {
        return Err(Error::OnlyWindow { server: run.server() });
    }
    if !maildrop.is_empty() && !maildrop.has_unique_ids() {
        return Err(Error::NoUniqueIds { server: run.server() });
    }
    Ok(())
}

/// Gives messages their entries that the ledger has learnt of since the listing.
pub(super) fn adopt(maildrop: &mut Maildrop, ledger: &Ledger) {
    let new = maildrop.iter().filter_map(|listed| match listed.who {
        Who::New(unique_id) => Some((listed.number, ledger.find(unique_id)?)),
        Who::Known(_) | Who::Nameless => None,
    });
    for (number, id) in new.collect::<Vec<_>>() {
        maildrop.assign(number, id);
    }
}

/// Whether this listing is the first, and counts as seen.
pub(super) fn is_first(run: &Run<'_>, ledger: &Ledger) -> bool {
    run.account.first_run == FirstRun::NewOnly
        && !run.options.all
        && !run.options.retry
        && !ledger.has_begun()
}

/// Records the first listing, all of which counts as seen.
///
/// # Errors
/// [`Error::OnlyWindow`], [`Error::NoUniqueIds`]; when the ledger cannot be written.
pub(super) fn begin(
    run: &Run<'_>,
    maildrop: &mut Maildrop,
    ledger: &mut Ledger,
    policy: &Policy,
) -> Result<(), Error> {
    check(run, maildrop, policy, true)?;
    let named = |listed: Listed<'_>| listed.unique_id(ledger).transpose();
    let unique_ids = maildrop.iter().filter_map(named).collect::<Result<Vec<_>, _>>()?;
    ledger.begin_seen(&unique_ids)?;
    adopt(maildrop, ledger);
    if !unique_ids.is_empty() {
        let messages = wide(unique_ids.len());
        let messages = crate::text::count(messages, "message");
        run.warn(format!("{messages} that were there before count as seen (first-run = \"new-only\")"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{adopt, begin, check, is_first, named};
    use crate::account::Retention;
    use crate::ledger::{EntryState, UsersWord};
    use crate::plan::trial::{NOW, World, key, number};
    use crate::plan::{Policy, Who};
    use crate::retrieval::error::Error;
    use crate::retrieval::run::Run;
    use crate::retrieval::trial::{Home, unique_id};
    use crate::retrieval::{Context, Options};
    use crate::types::Selection;

    const NEW_ONLY: &str = "first-run = \"new-only\"";

    /// Does this in a run with these settings; and what it reported.
    fn in_run<T>(settings: &str, options: &Options, work: impl FnOnce(&Run<'_>) -> T) -> (T, Vec<String>) {
        let home = Home::holding(&[]);
        let (account, context): (_, Context<'_>) = (home.account(settings), home.context());
        let result = work(&Run::new(&account, options, &context, NOW));
        (result, home.reported())
    }

    fn selection(words: &[&str]) -> Selection {
        Selection::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// By number or unique-id, of what is known and of what is new; one that isn't listed is an error, and nothing is guessed.
    #[test]
    fn messages_are_named_by_number_or_unique_id() {
        let mut world = World::new();
        world.deliver("a");
        let maildrop = world.maildrop(&[("a", None), ("b", None), ("-", None), ("c", None)]);
        let named = |words: &[&str]| {
            let found = named(&selection(words), &maildrop, &world.ledger);
            found.map(|numbers| numbers.iter().map(|number| number.get()).collect::<Vec<_>>())
        };
        assert_eq!(named(&["2"]).unwrap(), [2]);
        assert_eq!(named(&["4", "1-2"]).unwrap(), [1, 2, 4]);
        assert_eq!(named(&["c", "a"]).unwrap(), [1, 4]);
        for missing in ["5", "gone"] {
            assert!(matches!(named(&[missing]), Err(Error::NoSuchMessage(_))), "{missing}");
        }
    }

    /// A mark needs something that it can be known by again, and "all" needs to see all.
    #[test]
    fn only_what_can_be_known_again_is_marked() {
        let world = World::new();
        for (listed, window, all, expected) in [
            (&["a"][..], false, true, "marked"),
            (&["a", "-"], false, true, "marked"),
            (&["-"], false, false, "no unique-ids"),
            (&[], false, true, "marked"),
            (&["a"], true, true, "only a window"),
            (&["a"], true, false, "marked"),
            (&["-"], true, true, "only a window"),
        ] {
            let policy = Policy { window, ..world.policy(Retention::Keep) };
            let listing: Vec<_> = listed.iter().map(|name| (*name, None)).collect();
            let maildrop = world.maildrop(&listing);
            let (result, _) = in_run("", &Options::default(), |run| check(run, &maildrop, &policy, all));
            let found = match result {
                Ok(()) => "marked",
                Err(Error::NoUniqueIds { .. }) => "no unique-ids",
                Err(Error::OnlyWindow { .. }) => "only a window",
                Err(e) => panic!("{e}"),
            };
            assert_eq!(found, expected, "{listed:?} {window} {all}");
        }
    }

    #[test]
    fn what_the_ledger_has_learnt_since_the_listing_is_known() {
        let mut world = World::new();
        let a = world.deliver("a");
        let mut maildrop = world.maildrop(&[("a", None), ("b", None), ("c", None), ("-", None)]);
        let b = world.deliver("b");
        adopt(&mut maildrop, &world.ledger);
        let who: Vec<Who<'_>> = maildrop.iter().map(|listed| listed.who).collect();
        let c = unique_id("c");
        assert_eq!(who, [Who::Known(a), Who::Known(b), Who::New(c.borrow()), Who::Nameless]);
    }

    /// Only a run that was asked for nothing else may count what it finds as seen; and only the first.
    #[test]
    fn the_first_listing_counts_as_seen_only_in_an_ordinary_first_run() {
        let plain = Options::default;
        for (settings, options, begun, expected) in [
            (NEW_ONLY, plain(), false, true),
            ("", plain(), false, false),
            ("first-run = \"all\"", plain(), false, false),
            (NEW_ONLY, plain(), true, false),
            (NEW_ONLY, Options { all: true, ..plain() }, false, false),
            (NEW_ONLY, Options { retry: true, ..plain() }, false, false),
            (NEW_ONLY, Options { insist: true, ..plain() }, false, true),
        ] {
            let mut world = World::new();
            if begun {
                world.deliver("a");
            }
            let (found, _) = in_run(settings, &options, |run| is_first(run, &world.ledger));
            assert_eq!(found, expected, "{settings} {begun} {options:?}");
        }
    }

    /// All that was there counts as seen and is never delivered; what comes later is.
    #[test]
    fn what_was_there_before_the_first_run_is_seen() {
        let mut world = World::new();
        let policy = world.policy(Retention::Keep);
        let mut maildrop = world.maildrop(&[("a", None), ("b", None)]);
        let (result, reported) = in_run(NEW_ONLY, &Options::default(), |run| {
            begin(run, &mut maildrop, &mut world.ledger, &policy)
        });
        result.unwrap();
        assert!(
            reported.iter().any(|line| line.starts_with("2 messages that were there before")),
            "{reported:?}"
        );
        for name in ["a", "b"] {
            let id = world.ledger.find_key(&key(name)).unwrap();
            assert_eq!(world.ledger.entry(id).state, EntryState::Seen);
            assert!(maildrop.iter().any(|listed| listed.who == Who::Known(id)));
        }
        assert!(world.ledger.has_begun());
        assert!(!world.ledger.may_import(&unique_id("a"), UsersWord::Seen), "it is known");
        assert_eq!(maildrop.find(number(1)).map(|listed| listed.number), Some(number(1)));
    }

    /// An empty maildrop is a beginning as well, and nothing to speak of.
    #[test]
    fn an_empty_maildrop_is_a_beginning() {
        let mut world = World::new();
        let policy = world.policy(Retention::Keep);
        let mut maildrop = world.maildrop(&[]);
        let (result, reported) = in_run(NEW_ONLY, &Options::default(), |run| {
            begin(run, &mut maildrop, &mut world.ledger, &policy)
        });
        result.unwrap();
        assert!(world.ledger.has_begun());
        assert!(!reported.iter().any(|line| line.contains("count as seen")), "{reported:?}");
    }

    /// Where it can't be marked nothing has begun: the next run finds the same.
    #[test]
    fn a_first_listing_that_cannot_be_marked_is_no_beginning() {
        let mut world = World::new();
        let policy = world.policy(Retention::Keep);
        let mut maildrop = world.maildrop(&[("-", None)]);
        let (result, _) = in_run(NEW_ONLY, &Options::default(), |run| {
            begin(run, &mut maildrop, &mut world.ledger, &policy)
        });
        assert!(matches!(result, Err(Error::NoUniqueIds { .. })));
        assert!(!world.ledger.has_begun());
    }
}
