//! What a listing comes to, where servers leave something out, and when sizes are asked for.

use std::collections::BTreeSet;

use super::{
    Headers, MOST_IDENTIFIED_ONE_BY_ONE, SIZES_EVERY, accept_nameless, decide, draw_spot_checks, headers,
    identify_some, list, needs_sizes, policy, sizes_are_due,
};
use crate::account::Retention;
use crate::client::{Client, HeaderPiece, Sending, Transaction};
use crate::ledger::memory::{Habits, Memory, Pause};
use crate::plan::trial::{NOW, World, key, number};
use crate::plan::{Decision, Maildrop, Who, Why};
use crate::retrieval::Options;
use crate::retrieval::error::Error;
use crate::retrieval::login::log_in;
use crate::retrieval::run::Run;
use crate::retrieval::trial::{Home, Letter, Post};
use crate::secret::Secret;
use crate::types::Time;

fn letters(names: &[&str]) -> Vec<Letter> {
    names.iter().map(|name| Letter::new(name, name)).collect()
}

/// Does this with a session.
fn with<T>(home: &Home, work: impl FnOnce(&Run<'_>, &mut Client<Transaction>) -> T) -> T {
    let (account, options, context) = (home.account(""), Options::default(), home.context());
    let run = Run::new(&account, &options, &context, NOW);
    let mut client = log_in(&run, &mut Memory::default(), &Secret::new("pencil"), None).unwrap();
    let result = work(&run, &mut client);
    client.hang_up();
    result
}

fn listed(home: &Home, world: &World, habits: &mut Habits) -> Result<Maildrop, Error> {
    with(home, |run, client| list(run, client, &world.ledger, habits))
}

#[test]
fn sizes_are_looked_at_once_a_day_whatever_the_clock_did() {
    let ago = |seconds| Some(Time(NOW.0 - seconds));
    for (sizes, expected) in [
        (None, true),
        (ago(0), false),
        (ago(SIZES_EVERY - 1), false),
        (ago(SIZES_EVERY), true),
        (ago(-(SIZES_EVERY - 1)), false),
        (ago(-SIZES_EVERY), true),
    ] {
        assert_eq!(sizes_are_due(sizes, NOW), expected, "{sizes:?}");
    }
}

/// A poll of what is known and idle doesn't pay for sizes.
#[test]
fn sizes_are_needed_where_something_is_to_do() {
    let mut world = World::new();
    world.now();
    world.deliver("a");
    let maildrop = world.maildrop(&[("a", None)]);
    let known = Decision::Leave(Why::Known);
    for (decision, retention, sizes, expected) in [
        (known, Retention::Keep, Some(NOW), false),
        (known, Retention::Keep, None, true),
        (known, Retention::Delete, Some(NOW), true),
        (Decision::Compare(Why::Doubtful), Retention::Keep, Some(NOW), true),
        (Decision::Identify, Retention::Keep, Some(NOW), true),
        (Decision::Leave(Why::BackingOff), Retention::Keep, Some(NOW), false),
    ] {
        let policy = world.policy(retention);
        let found = needs_sizes(&[decision], &maildrop, &world.ledger, &policy, sizes);
        assert_eq!(found, expected, "{decision:?} {retention:?} {sizes:?}");
    }
}

/// Two different messages of the last listing, each drawn sooner or later; none where there is none, or no `TOP`.
#[test]
fn every_message_is_looked_at_sooner_or_later_and_never_twice_at_once() {
    let drawn = |habits| draw_spot_checks(&Memory { habits, ..Memory::default() });
    let habits = |listed, top| Habits { listed, top, ..Habits::default() };
    assert_eq!(drawn(habits(0, true)), [None, None]);
    assert_eq!(drawn(habits(1, true)), [Some(number(1)), None]);
    assert_eq!(drawn(habits(5, false)), [None, None]);
    let paused = Pause { refusals: 1, refused: NOW, until: NOW, configuration: String::new() };
    let memory = Memory { pause: Some(paused), habits: habits(5, true), ..Memory::default() };
    assert_eq!(draw_spot_checks(&memory), [None, None], "the login is likely to fail");
    let mut seen = [BTreeSet::new(), BTreeSet::new()];
    for _ in 0..500 {
        let both = drawn(habits(4, true)).map(Option::unwrap);
        assert_ne!(both[0], both[1]);
        seen.iter_mut().zip(both).for_each(|(seen, number)| _ = seen.insert(number.get()));
    }
    assert_eq!(seen, [BTreeSet::from([1, 2, 3, 4]), BTreeSet::from([1, 2, 3, 4])]);
}

/// Where each header costs a wait, only some are asked for in one session; without TOP none is.
#[test]
fn headers_of_what_is_known_by_word_are_asked_for_little_by_little() {
    let many = MOST_IDENTIFIED_ONE_BY_ONE + 5;
    for (capabilities, pipelines, expected) in [
        (vec!["UIDL", "TOP", "PIPELINING"], true, many),
        (vec!["UIDL", "TOP"], false, MOST_IDENTIFIED_ONE_BY_ONE),
        (vec!["UIDL", "PIPELINING"], true, 0),
    ] {
        let home = Home::new(Post { capabilities: capabilities.clone(), ..Post::default() });
        let mut decisions = vec![Decision::Identify; many];
        decisions.push(Decision::Retrieve(Why::New));
        with(&home, |_, client| {
            client.set_pipelining(if pipelines { Sending::On } else { Sending::Off });
            identify_some(client, &mut decisions);
        });
        let asked = decisions.iter().filter(|decision| **decision == Decision::Identify).count();
        assert_eq!(asked, expected, "{capabilities:?}");
        assert!(decisions[asked..many].iter().all(|decision| *decision == Decision::Leave(Why::Seen)));
        assert_eq!(decisions.last(), Some(&Decision::Retrieve(Why::New)));
    }
}

#[test]
fn a_listing_shows_what_is_known_and_what_is_new() {
    let mut world = World::new();
    let id = world.deliver("a");
    let home = Home::holding(&letters(&["a", "b"]));
    let maildrop = listed(&home, &world, &mut Habits::default()).unwrap();
    assert_eq!(maildrop.at(0).unwrap().who, Who::Known(id));
    assert!(matches!(maildrop.at(1).unwrap().who, Who::New(_)));
    assert!(!maildrop.has_sizes());
}

/// A refusal of UIDL by a server that has it passes: what came without a unique-id now would come again with one later.
#[test]
fn a_server_that_has_unique_ids_and_refuses_them_gets_no_mail_retrieved() {
    let world = World::new();
    let refused = vec![("UIDL".to_owned(), "-ERR no".to_owned())];
    let home = Home::new(Post { letters: letters(&["a"]), refused: refused.clone(), ..Post::default() });
    let e = listed(&home, &world, &mut Habits::default()).unwrap_err();
    assert!(matches!(e, Error::ListingRefused { command: "UIDL", passes: true, .. }), "{e}");
    // Some refuse because there is nothing to list, where there was before.
    let mut known = World::new();
    known.deliver("a");
    for capabilities in [vec!["UIDL", "TOP"], vec!["TOP"]] {
        let home = Home::new(Post { refused: refused.clone(), capabilities, ..Post::default() });
        for world in [&world, &known] {
            assert_eq!(listed(&home, world, &mut Habits::default()).unwrap().len(), 0);
        }
    }
    let passing = vec![("UIDL".to_owned(), "-ERR [SYS/TEMP] later".to_owned())];
    let home = Home::new(Post { refused: passing, capabilities: vec!["TOP"], ..Post::default() });
    let e = listed(&home, &world, &mut Habits::default()).unwrap_err();
    assert!(matches!(e, Error::ListingRefused { passes: true, .. }), "{e}");
}

/// Without UIDL the scan listing shows what there is, with sizes; unless the ledger knows this mailbox by unique-ids.
#[test]
fn without_unique_ids_mail_is_listed_by_number_unless_it_had_some_before() {
    let mut world = World::new();
    let post = || Post { letters: letters(&["a", "b"]), capabilities: vec!["TOP"], ..Post::default() };
    let maildrop = listed(&Home::new(post()), &world, &mut Habits::default()).unwrap();
    assert!(maildrop.iter().all(|listed| listed.who == Who::Nameless && listed.octets.is_some()));
    assert_eq!(maildrop.len(), 2);
    let refused = vec![("LIST".to_owned(), "-ERR no".to_owned())];
    let e = listed(&Home::new(Post { refused, ..post() }), &world, &mut Habits::default()).unwrap_err();
    assert!(matches!(e, Error::ListingRefused { command: "LIST", passes: false, .. }), "{e}");
    world.deliver("known");
    let e = listed(&Home::new(post()), &world, &mut Habits::default()).unwrap_err();
    assert!(matches!(e, Error::UniqueIdsLost { .. }), "{e}");
    with(&Home::new(post()), |run, _| assert!(accept_nameless(run, &world.ledger).is_err()));
}

/// A listing that gives one number twice can't be believed.
#[test]
fn unique_ids_that_are_only_numbers_are_none() {
    let world = World::new();
    let home = Home::holding(&letters(&["1", "2", "3"]));
    let mut habits = Habits::default();
    for _ in 0..3 {
        let maildrop = listed(&home, &world, &mut habits).unwrap();
        assert!(!maildrop.has_unique_ids(), "they prove nothing");
    }
    home.post().letters.remove(0);
    assert!(listed(&home, &world, &mut habits).unwrap().has_unique_ids(), "one of them isn't its number");
    let home = Home::holding(&letters(&["x", "2", "3"]));
    assert!(listed(&home, &world, &mut Habits::default()).unwrap().has_unique_ids(), "nor is the first");
}

fn decided(home: &Home, world: &World, maildrop: &mut Maildrop, counted: Option<u32>) -> Vec<Decision> {
    let policy = world.policy(Retention::Keep);
    with(home, |_, client| decide(client, maildrop, &world.ledger, &policy, Some(NOW), counted).unwrap())
}

/// Some servers give some messages no unique-id, and leave them out: STAT shows that there are more.
#[test]
fn a_message_that_the_unique_id_listing_leaves_out_is_found_by_its_size() {
    // What came since STAT counted them has a unique-id, and waits for the next listing.
    for (names, counted, expected) in [
        (&["a", "b"][..], Some(2), 2),
        (&["a", "b"], Some(1), 1),
        (&["a", "b"], None, 1),
        (&["a", "b", "c"], Some(2), 2),
        (&["new", "b"], Some(1), 1),
    ] {
        let mut world = World::new();
        world.now();
        world.deliver("a");
        let home = Home::holding(&letters(names));
        let mut maildrop = world.maildrop(&[(names[0], None)]);
        let decisions = decided(&home, &world, &mut maildrop, counted);
        assert_eq!((maildrop.len(), decisions.len()), (expected, expected), "{names:?} {counted:?}");
        if expected == 2 {
            assert_eq!(decisions[1], Decision::Compare(Why::Nameless));
        }
    }
}

/// That there is nothing at all deserves a second look where STAT wasn't asked; but what has come since has a unique-id.
#[test]
fn an_empty_listing_is_looked_at_twice() {
    let world = World::new();
    let home = Home::holding(&letters(&["a"]));
    let mut maildrop = world.maildrop(&[]);
    decided(&home, &world, &mut maildrop, None);
    assert_eq!(maildrop.len(), 0, "UIDL 1 shows that it has come since");
    home.post().refused = vec![("UIDL".to_owned(), "-ERR no".to_owned())];
    let mut maildrop = world.maildrop(&[]);
    decided(&home, &world, &mut maildrop, None);
    assert_eq!(maildrop.len(), 1, "it has no unique-id");
    let mut maildrop = world.maildrop(&[]);
    decided(&Home::holding(&[]), &world, &mut maildrop, Some(0));
    assert_eq!(maildrop.len(), 0);
}

/// Sizes come with what is new, and not with a poll that finds nothing.
#[test]
fn the_scan_listing_is_asked_for_only_where_it_is_needed() {
    let mut world = World::new();
    world.now();
    world.deliver("a");
    for (names, expected) in [(&["a"][..], false), (&["a", "new"], true)] {
        let home = Home::holding(&letters(names));
        let listing: Vec<_> = names.iter().map(|name| (*name, None)).collect();
        let mut maildrop = world.maildrop(&listing);
        decided(&home, &world, &mut maildrop, Some(u32::try_from(names.len()).unwrap()));
        assert_eq!(
            (maildrop.has_sizes(), home.sent().concat().contains(&"LIST".to_owned())),
            (expected, expected)
        );
    }
}

#[test]
fn headers_are_those_of_the_messages_asked_for() {
    let home = Home::holding(&letters(&["a", "b", "c"]));
    let found = with(&home, |_, client| headers(client, &[number(3), number(1), number(9)]).unwrap());
    let ids: Vec<(u32, String)> = [3, 1]
        .map(|n| (n, String::from_utf8_lossy(&found[&number(n)].headline.message_id).into_owned()))
        .into();
    assert_eq!(ids, [(3, "<c@example.com>".to_owned()), (1, "<a@example.com>".to_owned())]);
    assert_eq!(found.len(), 2, "there is no ninth");
    let home = Home::new(Post { letters: letters(&["a"]), capabilities: vec!["UIDL"], ..Post::default() });
    assert!(with(&home, |_, client| headers(client, &[number(1)]).unwrap()).is_empty());
    assert!(
        !home.sent().concat().contains(&"TOP 1 0".to_owned()),
        "it isn't asked for where it isn't offered"
    );
}

/// A refused header leaves nothing behind for the next one.
#[test]
fn a_refused_header_is_not_mixed_with_the_next() {
    let mut headers = Headers::default();
    headers.take(number(1), HeaderPiece::Text(b"Subject: one\n\n"));
    headers.take(number(1), HeaderPiece::Refused);
    headers.take(number(2), HeaderPiece::End);
    headers.take(number(3), HeaderPiece::Text(b"Subject: three\n"));
    headers.take(number(3), HeaderPiece::Text(b"\n"));
    headers.take(number(3), HeaderPiece::End);
    let subjects: Vec<(u32, &[u8])> = headers
        .known
        .iter()
        .map(|(number, facts)| (number.get(), facts.headline.subject.trim_ascii()))
        .collect();
    assert_eq!(subjects, [(2, &b""[..]), (3, b"three")]);
}

/// Gmail shows a window of its mail, unless the user asks for the last 30 days.
#[test]
fn a_window_is_what_gmail_lists_but_not_its_recent_mode() {
    let world = World::new();
    for (capability, user, expected) in
        [("X-GOOGLE-RICO", "me", true), ("X-GOOGLE-RICO", "recent:me", false), ("PIPELINING", "me", false)]
    {
        let home = Home::new(Post { capabilities: vec!["UIDL", "TOP", capability], ..Post::default() });
        let account = crate::account::Account { user: user.to_owned(), ..home.account("") };
        let options = Options { insist: true, ..Options::default() };
        let context = home.context();
        let run = Run::new(&account, &options, &context, NOW);
        let client = log_in(&run, &mut Memory::default(), &Secret::new("pencil"), None).unwrap();
        let policy = policy(&run, &world.ledger, &client);
        assert_eq!(
            (policy.window, policy.insist, policy.utf8),
            (expected, true, false),
            "{capability} {user}"
        );
        client.hang_up();
    }
    assert!(world.ledger.find_key(&key("x")).is_none());
}
