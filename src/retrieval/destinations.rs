//! An account's destinations: those that its configuration names, and, opened for one run, the network's ends and the
//! committer's, under the numbers that the ledger knows them by.

use std::sync::Arc;

use super::committer::CommitterEnd;
use super::error::Error;
use super::recovery::Settling;
use super::run::Run;
use crate::account::{Retention, SyncMode};
use crate::clock;
use crate::delivery::routing::{NetworkEnd, NetworkEnds};
use crate::delivery::{self, Destination, Opening, Order};
use crate::exit::ExitCode;
use crate::ledger::Ledger;
use crate::proof::DestinationName;
use crate::report::Event;

/// All destinations of an account.
pub(super) struct OpenDestinations {
    pub(super) network_ends: NetworkEnds,
    pub(super) committer_ends: Vec<CommitterEnd>,
}

impl OpenDestinations {
    /// For a session that delivers nothing.
    pub(super) fn none() -> Self {
        Self { network_ends: NetworkEnds::new(None), committer_ends: Vec::new() }
    }

    /// Opens them, creating what may be created.  Before anything is retrieved: a destination that's not fit is reported
    /// while nothing is in flight.
    pub(super) fn open(run: &Run<'_>, ledger: &mut Ledger) -> Result<Self, Error> {
        let mut destinations = Self::none();
        let mut wanted = run.destinations().0;
        wanted.sort_by_cached_key(|wanted| wanted.order());
        one_name_each(&wanted)?;
        let deletes = run.options.retention.unwrap_or(run.account.retention) != Retention::Keep;
        let syncs = deletes && run.account.sync != SyncMode::Off;
        for wanted in wanted {
            wanted.allowed()?;
            let name = wanted.name();
            let opened = wanted.open(opening(run, ledger, &name))?;
            let id = ledger.enter_destination(&name, opened.inode)?;
            destinations.network_ends.push(NetworkEnd { id, inlet: opened.inlet });
            let (one_by_one, sync_after) = (wanted.hands_over(), wanted.leaves_unsynced() && syncs);
            destinations.committer_ends.push(CommitterEnd {
                id,
                one_by_one,
                sync_after,
                outlet: opened.outlet,
            });
        }
        ledger.flush()?;
        Ok(destinations)
    }
}

/// An mbox that an account has under two names would wait for itself.
fn one_name_each(wanted: &[Box<dyn Destination + '_>]) -> Result<(), delivery::Error> {
    let orders: Vec<Order> = wanted.iter().map(|wanted| wanted.order()).collect();
    for (at, (order, one)) in orders.iter().zip(wanted).enumerate() {
        let mut before = orders.iter().zip(wanted).take(at);
        if let Some((_, other)) = before.find(|(before, _)| order.is_same_file(before)) {
            return Err(delivery::Error::unfit(
                ExitCode::Configuration,
                format!("{} and {} are one file", other.described(), one.described()),
                "leave one of them out",
            ));
        }
    }
    Ok(())
}

fn opening<'a>(run: &Run<'a>, ledger: &'a Ledger, name: &DestinationName) -> Opening<'a> {
    let known = ledger.destinations().iter().find(|record| record.name == *name);
    let (reporter, account) = (Arc::clone(&run.context.reporter), run.account.name.clone());
    Opening {
        account: &run.account.name,
        server: &run.account.host,
        host: &run.context.host_name,
        sync: run.account.sync,
        ledger: ledger.id(),
        delivered: known.is_some_and(|record| ledger.has_delivered_to(record.id)),
        intents: ledger.intents(),
        neighbours: Box::new(Settling {
            state: run.context.state.clone(),
            owner: run.account.owner.clone(),
            stop: run.context.stop.clone(),
        }),
        warn: Box::new(move |text| reporter.report(&account, &Event::Warning(text))),
        clock: clock::now,
    }
}

#[cfg(test)]
mod tests {
    use super::{OpenDestinations, opening};
    use crate::account::{Account, Deliver, Retention, SyncMode};
    use crate::exit::ExitCode;
    use crate::ledger::Ledger;
    use crate::ledger::lock::Lock;
    use crate::plan::trial::NOW;
    use crate::problem::Problem as _;
    use crate::retrieval::Options;
    use crate::retrieval::run::Run;
    use crate::retrieval::trial::{Home, Letter};
    use crate::types::Wait;

    /// Does this with a run that has its ledger.
    fn with<T>(
        home: &Home,
        account: &Account,
        options: &Options,
        work: impl FnOnce(&Run<'_>, &mut Ledger) -> T,
    ) -> T {
        let context = home.context();
        let run = Run::new(account, options, &context, NOW);
        let lock = Lock::acquire(&run.directory, Wait::NO, &home.stop).unwrap();
        let mut ledger = Ledger::open(&run.directory, &account.mailbox(), lock, NOW).unwrap();
        work(&run, &mut ledger)
    }

    fn account(home: &Home, settings: &str) -> Account {
        home.try_account_with(settings).unwrap()
    }

    fn path(home: &Home, name: &str) -> String {
        home.path().join(name).display().to_string()
    }

    /// All accounts lock files in one order, so that no two wait for each other; programs come last.
    #[test]
    fn destinations_are_opened_in_one_order() {
        let home = Home::holding(&[]);
        let names = |deliver: Vec<Deliver>| {
            let account = Account { deliver, ..home.account("") };
            with(&home, &account, &Options::default(), |run, ledger| {
                let open = OpenDestinations::open(run, ledger).unwrap();
                let records = ledger.destinations();
                let ids = open.committer_ends.iter().map(|end| end.id);
                let name = |id| records.iter().find(|record| record.id == id).unwrap().name.shown();
                assert!(open.network_ends.ids().eq(open.committer_ends.iter().map(|end| end.id)));
                ids.map(name).collect::<Vec<_>>()
            })
        };
        let (a, b) = (Deliver::Mbox(home.path().join("a")), Deliver::Mbox(home.path().join("b")));
        let maildir = Deliver::Maildir(home.path().join("Mail"));
        let expected = ["Mail", "a", "b"].map(|name| path(&home, name));
        assert_eq!(names(vec![b.clone(), Deliver::Stdout, a.clone(), maildir.clone()])[..3], expected);
        assert_eq!(names(vec![maildir, a, b]), expected);
    }

    /// One file under two names would be waited for by the one who has it.
    #[test]
    fn an_mbox_under_two_names_is_refused() {
        let home = Home::holding(&[]);
        std::fs::write(home.path().join("a"), "").unwrap();
        std::os::unix::fs::symlink(home.path().join("a"), home.path().join("b")).unwrap();
        let deliver = ["a", "b"].map(|name| Deliver::Mbox(home.path().join(name))).into();
        let twice = Account { deliver, ..home.account("") };
        with(&home, &twice, &Options::default(), |run, ledger| {
            let Err(e) = OpenDestinations::open(run, ledger) else { panic!("it was opened") };
            assert_eq!(e.exit_code(), ExitCode::Configuration);
            assert!(e.to_string().ends_with("are one file"), "{e}");
        });
        // A Maildir needs no lock: it only gets two copies.
        let deliver = vec![Deliver::Maildir(home.path().join("Mail")); 2];
        let twice = Account { deliver, ..home.account("") };
        with(&home, &twice, &Options::default(), |run, ledger| {
            assert_eq!(OpenDestinations::open(run, ledger).unwrap().committer_ends.len(), 2);
        });
    }

    /// What a program has accepted is brought to the disk before anything is deleted for it; where nothing is deleted, or the
    /// user has switched that off, it needs not be.
    #[test]
    fn what_a_program_took_is_synced_where_a_deletion_rests_on_it() {
        let home = Home::holding(&[]);
        let keep = Some(Retention::Keep);
        for (policy, retention, sync, expected) in [
            ("leave-on-server = false", None, SyncMode::Each, true),
            ("leave-on-server = false", None, SyncMode::Off, false),
            ("leave-on-server = true", None, SyncMode::Each, false),
            ("leave-on-server = false", keep, SyncMode::Each, false),
            ("leave-on-server = true", Some(Retention::Delete), SyncMode::Each, true),
        ] {
            let account = account(&home, &format!("deliver.pipe = \"cat\"\n{policy}"));
            let account = Account { sync, ..account };
            let options = Options { retention, ..Options::default() };
            let found = with(&home, &account, &options, |run, ledger| {
                let open = OpenDestinations::open(run, ledger).unwrap();
                open.committer_ends.iter().map(|end| (end.one_by_one, end.sync_after)).collect::<Vec<_>>()
            });
            assert_eq!(found, [(true, expected)], "{policy} {retention:?} {sync:?}");
        }
        // A Maildir syncs its own.
        let account = Account {
            sync: SyncMode::Each,
            ..account(&home, "deliver.maildir = \"/dev/null/no\"\nleave-on-server = false")
        };
        let account = Account { deliver: home.account("").deliver, ..account };
        with(&home, &account, &Options::default(), |run, ledger| {
            let open = OpenDestinations::open(run, ledger).unwrap();
            assert!(open.committer_ends.iter().all(|end| !end.one_by_one && !end.sync_after));
        });
    }

    /// A Maildir that mail was delivered to is not made again: if it is gone, something is wrong with it.
    #[test]
    fn a_maildir_that_had_mail_is_never_made_again() {
        let home = Home::holding(&[Letter::new("a", "a")]);
        let account = home.account("");
        let delivered = |home: &Home| {
            with(home, &account, &Options::default(), |run, ledger| {
                let name = run.destinations().0[0].name();
                opening(run, ledger, &name).delivered
            })
        };
        assert!(!delivered(&home));
        home.run("");
        assert!(delivered(&home));
        std::fs::remove_dir_all(home.path().join("Mail")).unwrap();
        home.post().letters.push(Letter::new("b", "b"));
        let summary = home.run("");
        assert_ne!(summary.exit(), ExitCode::Done);
        assert!(!home.path().join("Mail").exists());
    }
}
