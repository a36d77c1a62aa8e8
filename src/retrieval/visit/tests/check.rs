//! `popfetch check`: how much is new.

use std::time::Duration;

use super::super::check::{NewMail, check_all};
use super::{home, letters};
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::retrieval::jobs::Connections;
use crate::retrieval::trial::{Home, Letter, Post};
use crate::types::Octets;

fn checked(home: &Home, settings: &str, max_age: Option<u64>) -> Result<NewMail, ReportedError> {
    let accounts = [home.account(settings)];
    let one = std::num::NonZeroUsize::MIN;
    let connections = Connections { total: one, per_server: one };
    let max_age = max_age.map(Duration::from_secs);
    home.forget_what_was_sent();
    let mut found = check_all(&accounts, &home.options(), max_age, &home.context(), connections);
    found.remove(0).1
}

fn size(names: &[&str]) -> Option<Octets> {
    let octets: usize = names.iter().map(|name| Letter::new(name, name).text.len()).sum();
    Some(Octets(u64::try_from(octets).unwrap()))
}

#[test]
fn what_was_never_delivered_is_new() {
    let home = home(&["a"], &["b", "c"]);
    let found = checked(&home, "", None).unwrap();
    assert_eq!((found.new, found.octets, found.listed, found.remembered), (2, size(&["b", "c"]), 3, false));
    assert_eq!(home.delivered().len(), 1, "nothing is delivered by that");
    let asked = home.sent().concat();
    assert!(
        !asked.iter().any(|command| command.starts_with("RETR") || command.starts_with("DELE")),
        "{asked:?}"
    );
}

/// An idle mailbox costs a quick poll, and no listing.
#[test]
fn an_idle_mailbox_has_nothing_new_and_is_not_listed() {
    let home = home(&["a", "b"], &[]);
    let found = checked(&home, "", None).unwrap();
    assert_eq!((found.new, found.octets, found.listed), (0, Some(Octets(0)), 2));
    assert!(!home.sent().concat().contains(&"UIDL".to_owned()), "{:?}", home.sent());
    let found = checked(&home, "listing = \"full\"", None).unwrap();
    assert_eq!((found.new, found.listed), (0, 2));
    assert!(home.sent().concat().contains(&"UIDL".to_owned()));
}

/// A quick poll that finds a difference goes on with the listing.
#[test]
fn a_difference_at_the_end_is_looked_at() {
    let home = home(&["a"], &["b"]);
    assert_eq!(checked(&home, "", None).unwrap().new, 1);
    home.post().letters.clear();
    let found = checked(&home, "", None).unwrap();
    assert_eq!((found.new, found.listed), (0, 0));
}

/// The total of what is new isn't made up where a size is missing.
#[test]
fn sizes_that_are_not_known_add_up_to_nothing() {
    let refused = vec![("LIST".to_owned(), "-ERR no".to_owned())];
    let home = Home::new(Post { letters: letters(&["a"]), refused, ..Post::default() });
    let found = checked(&home, "", None).unwrap();
    assert_eq!((found.new, found.octets), (1, None));
}

/// What the last run left is believed for a while: then the server isn't asked at all.
#[test]
fn what_the_last_run_left_is_believed_for_a_while() {
    let home = home(&["a"], &["b"]);
    let found = checked(&home, "", Some(3600)).unwrap();
    assert_eq!((found.new, found.octets, found.listed, found.remembered), (0, Some(Octets(0)), 1, true));
    assert_eq!(home.sent().len(), 0);
    assert!(!checked(&home, "", Some(0)).unwrap().remembered);
    assert!(!checked(&home, "", None).unwrap().remembered);
    assert_eq!(home.sent().len(), 1);
}

/// What a limit left for the next run is new, though of unknown size.
#[test]
fn what_a_limit_left_is_remembered_as_new() {
    let home = Home::holding(&letters(&["a", "b", "c"]));
    home.run("max-messages = 1");
    let found = checked(&home, "", Some(3600)).unwrap();
    assert_eq!((found.new, found.octets, found.listed), (2, None, 3));
}

/// A run that failed has left nothing to believe; nor is there anything before the first.
#[test]
fn after_a_run_that_failed_the_server_is_asked() {
    let home = Home::holding(&letters(&["a"]));
    assert!(!checked(&home, "", Some(3600)).unwrap().remembered, "there was no run");
    home.post().refused = vec![("UIDL".to_owned(), "-ERR [SYS/TEMP] later".to_owned())];
    assert_ne!(home.run("").exit(), ExitCode::Done);
    home.post().refused.clear();
    let found = checked(&home, "", Some(3600)).unwrap();
    assert_eq!((found.new, found.remembered), (1, false));
}

#[test]
fn a_check_that_fails_has_the_exit_code_of_a_run() {
    let home = Home::holding(&letters(&["a"]));
    home.post().refused = vec![("UIDL".to_owned(), "-ERR [SYS/TEMP] later".to_owned())];
    let e = checked(&home, "", None).unwrap_err();
    assert_eq!(e.exit, ExitCode::Later, "{}", e.message);
}

/// They are checked side by side, and shown in the order of the configuration.
#[test]
fn accounts_come_in_their_order() {
    let home = Home::holding(&letters(&["a"]));
    let accounts: Vec<_> = ["one", "two", "three", "four"]
        .map(|name| crate::account::Account { name: name.to_owned(), ..home.account("") })
        .into();
    let three = std::num::NonZeroUsize::new(3).unwrap();
    let connections = Connections { total: three, per_server: three };
    // None has a password: each fails at once.
    let options = crate::retrieval::Options::default();
    home.stop.raise();
    let found = check_all(&accounts, &options, None, &home.context(), connections);
    let names: Vec<&str> = found.iter().map(|(account, _)| account.name.as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_by_key(|name| accounts.iter().position(|account| account.name == *name));
    assert_eq!(names, sorted);
    assert!(names.len() < accounts.len(), "after a signal some are left out: {names:?}");
}
