//! The destinations that an account's configuration names, before any is opened.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::context::Context;
use crate::access;
use crate::account::Account;
use crate::delivery::{Destination, Surroundings, destination};
use crate::ledger::Ledger;
use crate::proof::{DestinationId, DestinationName};

/// The destinations that an account's configuration names, in its order.
pub(super) struct ConfiguredDestinations<'a>(pub(super) Vec<Box<dyn Destination + 'a>>);

impl<'a> ConfiguredDestinations<'a> {
    /// `directory`: that of the account's ledger.
    pub(super) fn of(account: &'a Account, context: &'a Context<'_>, directory: &'a Path) -> Self {
        let around = surroundings(account, context, directory);
        Self(account.deliver.iter().map(|deliver| destination(deliver, around)).collect())
    }

    /// Whether all of them are there and fit: only then may a run that delivers nothing do without opening them, which
    /// is where it is reported what's wrong with one.
    pub(super) fn are_there(&self) -> bool {
        self.0.iter().all(|wanted| wanted.allowed().is_ok() && wanted.check().is_ok())
    }

    /// Whether mail may go to all of them.
    pub(super) fn allowed(&self) -> Result<(), access::Error> {
        self.0.iter().try_for_each(|wanted| wanted.allowed())
    }

    /// Whether any of them takes messages one by one.
    pub(super) fn hand_over(&self) -> bool {
        self.0.iter().any(|wanted| wanted.hands_over())
    }

    /// Whether one of them is what the ledger calls `name`.
    pub(super) fn has(&self, name: &DestinationName) -> bool {
        self.0.iter().any(|wanted| wanted.is_called(name))
    }

    /// The numbers of those that the ledger knows.
    pub(super) fn numbers(&self, ledger: &Ledger) -> Vec<DestinationId> {
        let names: Vec<DestinationName> = self.0.iter().map(|wanted| wanted.name()).collect();
        let known = ledger.destinations().iter().filter(|record| names.contains(&record.name));
        known.map(|record| record.id).collect()
    }
}

/// What the destinations of an account may use.
pub(super) fn surroundings<'a>(
    account: &'a Account,
    context: &'a Context<'_>,
    directory: &'a Path,
) -> Surroundings<'a> {
    Surroundings {
        owner: account.owner.as_ref(),
        stop: &context.stop,
        state_root: &context.state,
        state: directory,
        search: context.environment.variables.get(OsStr::new("PATH")).map(OsString::as_os_str),
        stdout_is_regular_file: context.stdout_is_regular_file,
    }
}

#[cfg(test)]
mod tests {
    use super::ConfiguredDestinations;
    use crate::account::{Account, Deliver, Pipe};
    use crate::plan::trial::World;
    use crate::proof::{DestinationKind, DestinationName};
    use crate::retrieval::trial::Home;
    use std::path::PathBuf;

    fn account(home: &Home, deliver: Vec<Deliver>) -> Account {
        Account { deliver, ..home.account("") }
    }

    fn of<T>(home: &Home, deliver: Vec<Deliver>, work: impl FnOnce(&ConfiguredDestinations<'_>) -> T) -> T {
        let (account, context) = (account(home, deliver), home.context());
        let state = home.path().join("state");
        work(&ConfiguredDestinations::of(&account, &context, &state))
    }

    fn name(kind: DestinationKind, address: &str) -> DestinationName {
        DestinationName { kind, address: address.as_bytes().to_vec() }
    }

    fn maildir(home: &Home, name: &str) -> Deliver {
        let path = home.path().join(name);
        for folder in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(path.join(folder)).unwrap();
        }
        Deliver::Maildir(path)
    }

    /// Only where all of them are there may a run do without opening them, which is where it is reported what is wrong.
    #[test]
    fn one_that_is_missing_is_not_overlooked() {
        let home = Home::holding(&[]);
        let there = maildir(&home, "one");
        let missing = Deliver::Maildir(home.path().join("missing"));
        for (deliver, expected) in [
            (vec![there.clone()], true),
            (vec![missing.clone()], false),
            (vec![there.clone(), missing.clone()], false),
            (vec![missing, there], false),
        ] {
            let what = format!("{deliver:?}");
            assert_eq!(of(&home, deliver, |configured| configured.are_there()), expected, "{what}");
        }
    }

    /// A destination is known by its kind and its address together.
    #[test]
    fn a_destination_is_the_one_of_its_kind_at_its_address() {
        let home = Home::holding(&[]);
        let path = home.path().join("one").display().to_string();
        let deliver = vec![maildir(&home, "one"), Deliver::Stdout];
        of(&home, deliver, |configured| {
            assert!(configured.has(&name(DestinationKind::Maildir, &path)));
            assert!(configured.has(&name(DestinationKind::Stdout, "-")));
            assert!(!configured.has(&name(DestinationKind::Mbox, &path)));
            assert!(!configured.has(&name(DestinationKind::Maildir, "/elsewhere")));
        });
    }

    /// The numbers are those of the ledger; one that it doesn't know yet has none.
    #[test]
    fn the_ledger_s_numbers_are_those_of_what_is_configured() {
        let home = Home::holding(&[]);
        let world = World::new();
        for (paths, expected) in [
            (&["/one"][..], vec![world.maildirs[0]]),
            (&["/two", "/one"], world.maildirs.to_vec()),
            (&["/three"], vec![]),
            (&["/three", "/two"], vec![world.maildirs[1]]),
        ] {
            let deliver = paths.iter().map(|path| Deliver::Maildir(PathBuf::from(path))).collect();
            assert_eq!(
                of(&home, deliver, |configured| configured.numbers(&world.ledger)),
                expected,
                "{paths:?}"
            );
        }
    }

    /// Programs and standard output get messages one by one; what stands in a file or a folder comes in batches.
    #[test]
    fn a_program_gets_its_messages_one_by_one() {
        let home = Home::holding(&[]);
        let settings = "deliver.pipe = \"cat\"";
        let pipe: Option<Pipe> =
            home.try_account_with(settings).and_then(|account| match account.deliver.as_slice() {
                [Deliver::Pipe(pipe)] => Some(pipe.clone()),
                _ => None,
            });
        let pipe = Deliver::Pipe(pipe.unwrap());
        let mbox = Deliver::Mbox(home.path().join("mbox"));
        let one = maildir(&home, "one");
        for (deliver, expected) in [
            (vec![one.clone()], false),
            (vec![mbox.clone()], false),
            (vec![pipe.clone()], true),
            (vec![one, mbox, pipe], true),
        ] {
            let what = format!("{deliver:?}");
            assert_eq!(of(&home, deliver, |configured| configured.hand_over()), expected, "{what}");
        }
    }
}
