//! The quick poll of a run: whether it asks for one before it lists, and what it leaves to the next one.  What a quick poll
//! is worth is the plan's to say ([`crate::plan::quick`]).

use super::alerts;
use super::run::Run;
use crate::account::{ListingMode, Retention};
use crate::client::{Prefetch, QuickPoll};
use crate::ledger::memory::{Memory, Quick};
use crate::ledger::{self, Ledger};
use crate::plan::Maildrop;
use crate::plan::quick::{self, unsettled};

/// Whether this run takes quick polls where it may.
pub(super) fn wanted(run: &Run<'_>) -> bool {
    run.account.listing == ListingMode::Auto && !run.options.all && !run.options.dry_run && !run.options.retry
}

/// What is to be asked before anything else, even before the ledger is read, if that may do.
pub(super) fn question(run: &Run<'_>, memory: &Memory) -> Option<Prefetch> {
    if !wanted(run) || (run.options.insist && alerts::messages_wait(memory)) {
        return None;
    }
    let every = run.account.full_listing_every;
    let last = quick::may_stand(memory.quick.as_ref()?, || configuration(run), run.now, every)?;
    let rests = Ledger::rests(&run.directory) && run.destinations().are_there();
    rests.then_some(Prefetch::QuickPoll { last })
}

/// Whether there will be something to do with whatever is listed: the last session left an empty maildrop, or something
/// undone.  Then the sizes, which are needed before anything is retrieved, had better travel with the listing.
pub(super) fn expects_mail(run: &Run<'_>, memory: &Memory) -> bool {
    wanted(run) && memory.quick.as_ref().is_some_and(|quick| quick.grows_at_end && quick.idle_under.is_none())
}

/// How many messages there are, if the maildrop is as it was left.
pub(super) fn unchanged(memory: &Memory, poll: &QuickPoll) -> Option<u64> {
    let QuickPoll { drop_listing, first, last } = poll;
    let (messages, _) = (*drop_listing)?;
    let quick = memory.quick.as_ref()?;
    quick::is_unchanged(quick, *drop_listing, first.as_ref(), last.as_ref()).then_some(u64::from(messages))
}

/// Under which configuration nothing was left to do: the command line of this run counts, too.
fn configuration(run: &Run<'_>) -> String {
    let digest = run.configuration();
    match run.options.retention {
        None => digest.to_owned(),
        Some(Retention::Keep) => format!("{digest} keep"),
        Some(Retention::Delete) => format!("{digest} delete"),
        Some(Retention::Limits(_)) => format!("{digest} limits"),
    }
}

/// After a full listing, before anything of it is retrieved: where it shows that quick polls were misled, there are no more.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn check(memory: &mut Memory, maildrop: &Maildrop, ledger: &Ledger) -> Result<(), ledger::Error> {
    if let Some(before) = &memory.quick
        && quick::was_misled(before, maildrop, ledger)?
    {
        memory.quick = Some(unsettled(false));
    }
    Ok(())
}

/// Whether a session that ended well can leave the next one anything to compare with.
pub(super) fn grows_at_end(memory: &Memory) -> bool {
    memory.quick.as_ref().is_none_or(|quick| quick.grows_at_end)
}

/// After a session that has ended well: what it leaves to be compared, if nothing is left to do.
pub(super) fn remember(run: &Run<'_>, memory: &mut Memory, settled: Option<Quick>) {
    memory.quick = Some(match settled {
        Some(quick) => Quick { idle_under: Some(configuration(run)), ..quick },
        None => unsettled(grows_at_end(memory)),
    });
}

/// After a session that did not end well.
pub(super) fn forget(memory: &mut Memory) {
    if let Some(quick) = &mut memory.quick {
        *quick = unsettled(quick.grows_at_end);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        check, configuration, expects_mail, forget, grows_at_end, question, remember, unchanged, wanted,
    };
    use crate::account::{Limits, Retention};
    use crate::client::{Prefetch, QuickPoll};
    use crate::ledger::memory::{Alert, Memory, Quick};
    use crate::plan::trial::{NOW, World, number};
    use crate::report::ConditionKind;
    use crate::retrieval::Options;
    use crate::retrieval::run::Run;
    use crate::retrieval::trial::{Home, Letter, unique_id};
    use crate::types::{Octets, Time};

    /// Three messages, from "a" to "c", and nothing left to do under this configuration.
    fn idle(under: &str) -> Quick {
        Quick {
            messages: 3,
            octets: Octets(300),
            first: Some(unique_id("a")),
            last: Some(unique_id("c")),
            listed: NOW,
            grows_at_end: true,
            idle_under: Some(under.to_owned()),
            due: None,
        }
    }

    fn memory(quick: Quick) -> Memory {
        Memory { quick: Some(quick), ..Memory::default() }
    }

    fn in_run<T>(home: &Home, settings: &str, options: &Options, work: impl FnOnce(&Run<'_>) -> T) -> T {
        let (account, context) = (home.account(settings), home.context());
        work(&Run::new(&account, options, &context, NOW))
    }

    /// What asks for more than "is there anything new" takes a listing.
    #[test]
    fn a_run_that_wants_more_than_news_takes_no_quick_poll() {
        let home = Home::holding(&[]);
        let plain = Options::default;
        for (settings, options, expected) in [
            ("", plain(), true),
            ("listing = \"full\"", plain(), false),
            ("", Options { all: true, ..plain() }, false),
            ("", Options { dry_run: true, ..plain() }, false),
            ("", Options { retry: true, ..plain() }, false),
            ("", Options { insist: true, ..plain() }, true),
        ] {
            assert_eq!(in_run(&home, settings, &options, wanted), expected, "{settings} {options:?}");
        }
    }

    /// After one ordinary run that left nothing to do: whether the next one asks only for the ends.
    fn asks(change: impl FnOnce(&Home, &mut Memory, &mut Options) -> &'static str) -> Option<Prefetch> {
        let home = Home::holding(&[Letter::new("a", "a")]);
        assert_eq!(home.run("").exit().number(), 0);
        let mut options = Options::default();
        let mut memory = in_run(&home, "", &options, |run| Memory::load(&run.directory));
        let settings = change(&home, &mut memory, &mut options);
        let (account, context) = (home.account(settings), home.context());
        question(&Run::new(&account, &options, &context, crate::clock::now()), &memory)
    }

    #[test]
    fn an_idle_mailbox_is_polled_by_its_ends() {
        assert!(matches!(asks(|_, _, _| ""), Some(Prefetch::QuickPoll { last }) if last == number(1)));
    }

    /// A quick poll may not hide what a listing, or the disk, would show.
    #[test]
    fn a_quick_poll_is_not_asked_where_it_could_hide_something() {
        type Change = fn(&Home, &mut Memory, &mut Options) -> &'static str;
        let cases: [(&str, Change); 7] = [
            ("the configuration is another one", |_, _, _| "leave-on-server = false"),
            ("the user insists on what has failed", |_, memory, options| {
                memory.alert(ConditionKind::MessagesFailed.word(), NOW);
                options.insist = true;
                ""
            }),
            ("there is no memory", |_, memory, _| {
                memory.quick = None;
                ""
            }),
            ("the last run left something to do", |_, memory, _| {
                forget(memory);
                ""
            }),
            ("the ledger is gone", |home, _, _| {
                std::fs::remove_dir_all(home.path().join("state")).unwrap();
                ""
            }),
            ("the Maildir is gone", |home, _, _| {
                std::fs::remove_dir_all(home.path().join("Mail")).unwrap();
                ""
            }),
            ("a full listing is due", |_, memory, _| {
                memory.quick.as_mut().unwrap().listed = Time(0);
                ""
            }),
        ];
        for (what, change) in cases {
            assert!(asks(change).is_none(), "{what}");
        }
        // A user who insists has no reason to, where nothing has failed.
        let insists: Change = |_, _, options| {
            options.insist = true;
            ""
        };
        assert!(asks(insists).is_some());
        // What failed is carried on by a poll, where nobody insists.
        let failed: Change = |_, memory, _| {
            memory.alerts.insert(ConditionKind::MessagesFailed.word().to_owned(), Alert::since(NOW));
            ""
        };
        assert!(asks(failed).is_some());
    }

    /// Both ends and both numbers must be as they were: any other answer means a listing.
    #[test]
    fn a_maildrop_is_unchanged_only_if_its_ends_and_its_counts_are() {
        let (a, c, other) = (|| Some(unique_id("a")), || Some(unique_id("c")), || Some(unique_id("x")));
        let counts = Some((3, Octets(300)));
        for (drop_listing, first, last, expected) in [
            (counts, a(), c(), Some(3)),
            (counts, a(), other(), None),
            (counts, other(), c(), None),
            (counts, None, c(), None),
            (counts, a(), None, None),
            (Some((2, Octets(300))), a(), c(), None),
            (Some((3, Octets(301))), a(), c(), None),
            (None, a(), c(), None),
        ] {
            let poll = QuickPoll { drop_listing, first, last };
            assert_eq!(unchanged(&memory(idle("x")), &poll), expected, "{poll:?}");
        }
        let poll = QuickPoll { drop_listing: counts, first: a(), last: c() };
        assert_eq!(unchanged(&Memory::default(), &poll), None, "nothing is known of it");
    }

    /// Another policy on the command line may have something to do where the configured one had nothing.
    #[test]
    fn a_policy_on_the_command_line_is_another_configuration() {
        let home = Home::holding(&[]);
        std::fs::create_dir(home.path().join("state")).unwrap();
        let limits = Retention::Limits(Limits { days: Some(1), ..Limits::default() });
        let policies = [None, Some(Retention::Keep), Some(Retention::Delete), Some(limits)];
        let mut found: Vec<String> = policies
            .iter()
            .map(|retention| {
                let options = Options { retention: *retention, ..Options::default() };
                in_run(&home, "", &options, configuration)
            })
            .collect();
        assert_eq!(found[0], in_run(&home, "", &Options::default(), configuration), "the same again");
        found.push(in_run(&home, "max-messages = 7", &Options::default(), configuration));
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 5);
    }

    /// Sizes travel with the listing where there will be something to retrieve.
    #[test]
    fn mail_is_expected_where_something_was_left_to_do() {
        let home = Home::holding(&[]);
        let expects = |memory: &Memory, settings| {
            in_run(&home, settings, &Options::default(), |run| expects_mail(run, memory))
        };
        let left = || memory(Quick { idle_under: None, ..idle("") });
        assert!(expects(&left(), ""));
        assert!(!expects(&left(), "listing = \"full\""));
        assert!(!expects(&memory(idle("x")), ""));
        assert!(!expects(&memory(Quick { idle_under: None, grows_at_end: false, ..idle("") }), ""));
        assert!(!expects(&Memory::default(), ""));
    }

    /// A server that put mail elsewhere than at the end has shown that its ends prove nothing: no quick poll ever after.
    #[test]
    fn a_server_that_misled_a_quick_poll_gets_none_any_more() {
        let mut world = World::new();
        ["a", "b", "c"].iter().for_each(|name| _ = world.deliver(name));
        for (listed, misled) in [
            (&["a", "b", "c"][..], false),
            (&["a", "b", "c", "new"], false),
            (&["new", "a", "b", "c"], true),
            (&["a", "new", "c"], true),
            (&["c", "b", "a"], true),
        ] {
            let listing: Vec<_> = listed.iter().map(|name| (*name, None)).collect();
            let maildrop = world.maildrop(&listing);
            let mut memory = memory(idle("x"));
            check(&mut memory, &maildrop, &world.ledger).unwrap();
            assert_eq!(grows_at_end(&memory), !misled, "{listed:?}");
            assert_eq!(memory.quick == Some(idle("x")), !misled, "{listed:?}");
            // It is not forgotten by later sessions, however well they end.
            let home = Home::holding(&[]);
            in_run(&home, "", &Options::default(), |run| remember(run, &mut memory, None));
            assert_eq!(grows_at_end(&memory), !misled);
            forget(&mut memory);
            assert_eq!(grows_at_end(&memory), !misled);
        }
        let mut unknown = Memory::default();
        check(&mut unknown, &world.maildrop(&[("new", None), ("a", None)]), &world.ledger).unwrap();
        assert_eq!(unknown.quick, None);
        assert!(grows_at_end(&unknown), "a server is given the benefit of the doubt");
    }

    #[test]
    fn a_session_leaves_the_next_poll_what_it_is_compared_with() {
        let home = Home::holding(&[]);
        std::fs::create_dir(home.path().join("state")).unwrap();
        let mut memory = Memory::default();
        let under = in_run(&home, "", &Options::default(), |run| {
            remember(run, &mut memory, Some(Quick { idle_under: None, ..idle("") }));
            configuration(run)
        });
        assert_eq!(memory.quick, Some(idle(&under)));
        forget(&mut memory);
        let quick = memory.quick.as_ref().unwrap();
        assert!(quick.idle_under.is_none() && quick.grows_at_end);
        let mut nothing = Memory::default();
        forget(&mut nothing);
        assert_eq!(nothing.quick, None);
    }
}
