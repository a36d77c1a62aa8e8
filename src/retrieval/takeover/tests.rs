//! `popfetch import`: what another program remembers is compared with what is there, and recorded whole or not at all.

use super::{Memories, Taken, compare, take_over, take_unseen, words};
use crate::exit::ExitCode;
use crate::import::ForeignProgram;
use crate::ledger::{EntryState, Ledger, UsersWord, directory};
use crate::plan::trial::NOW;
use crate::report::ReportedError;
use crate::retrieval::run::Run;
use crate::retrieval::trial::{Home, Letter, Post, unique_id};
use crate::retrieval::{Context, Options};
use crate::types::{Time, UniqueIdBuf};

type Seen = Vec<(UniqueIdBuf, Option<Time>)>;

fn seen(names: &[&str]) -> Seen {
    names.iter().map(|name| (unique_id(name), None)).collect()
}

fn memories(seen: &[(UniqueIdBuf, Option<Time>)]) -> Memories<'_> {
    Memories { program: ForeignProgram::Getmail, seen, delivered: true }
}

fn home(names: &[&str]) -> Home {
    Home::holding(&names.iter().map(|name| Letter::new(name, name)).collect::<Vec<_>>())
}

type Act = fn(&crate::account::Account, &Context<'_>, Memories<'_>) -> Result<Taken, ReportedError>;

fn taken(home: &Home, act: Act, memories: Memories<'_>) -> Result<Taken, ReportedError> {
    act(&home.account_with_password(""), &home.context(), memories)
}

fn states(home: &Home, names: &[&str]) -> Vec<Option<EntryState>> {
    let mailbox = home.account("").mailbox();
    let path = directory(&home.context().state, &mailbox);
    let ledger = Ledger::read(&path, &mailbox, crate::clock::now()).unwrap();
    let state = |name: &&str| Some(ledger.entry(ledger.find(unique_id(name).borrow())?).state);
    names.iter().map(state).collect()
}

const DELIVERED: Option<EntryState> = Some(EntryState::Delivered);

/// What was retrieved by another program doesn't come again, and what is new does.
#[test]
fn what_was_taken_over_is_not_retrieved_again() {
    let home = home(&["a", "b", "c"]);
    let seen = seen(&["a", "b", "gone"]);
    let found = taken(&home, take_over, memories(&seen)).unwrap();
    let expected = Taken { seen: 3, on_server: 2, new: 1, ambiguous: 0, recorded: 3, asked: true };
    assert_eq!(found, expected);
    assert_eq!(
        states(&home, &["a", "gone", "c"]),
        [DELIVERED, Some(EntryState::Seen), None],
        "what has no header yet"
    );
    home.run("");
    assert_eq!(home.delivered(), [("c".to_owned(), 1)].into());
}

/// To import twice is to import once.
#[test]
fn a_second_import_adds_nothing() {
    let home = home(&["a", "b"]);
    let seen = seen(&["a", "b"]);
    assert_eq!(taken(&home, take_over, memories(&seen)).unwrap().recorded, 2);
    assert_eq!(taken(&home, take_over, memories(&seen)).unwrap().recorded, 0);
}

/// A look shows the same figures, and writes nothing.
#[test]
fn a_comparison_records_nothing() {
    let home = home(&["a", "b"]);
    let seen = seen(&["a"]);
    let found = taken(&home, compare, memories(&seen)).unwrap();
    assert_eq!(found, Taken { seen: 1, on_server: 1, new: 1, ambiguous: 0, recorded: 0, asked: true });
    assert_eq!(states(&home, &["a"]), [None]);
}

/// The wrong mailbox, or the wrong file: nothing of it is recorded, for all of it would count as delivered.
#[test]
fn what_fits_nothing_on_the_server_is_refused() {
    let home = home(&["a", "b"]);
    let other = seen(&["x", "y"]);
    for act in [compare, take_over] as [Act; 2] {
        let e = taken(&home, act, memories(&other)).unwrap_err();
        assert_eq!(e.exit, ExitCode::Protocol, "{}", e.message);
        assert!(
            e.message.contains("none of the 2 messages that getmail has retrieved is among the 2"),
            "{}",
            e.message
        );
    }
    assert_eq!(states(&home, &["x"]), [None]);
    // An empty maildrop contradicts nothing; nor does an empty memory.
    home.post().letters.clear();
    assert_eq!(taken(&home, take_over, memories(&other)).unwrap().recorded, 2);
    let home = self::home(&["a"]);
    assert_eq!(
        taken(&home, take_over, memories(&[])).unwrap(),
        Taken { new: 1, asked: true, ..Taken::default() }
    );
}

/// Without unique-ids nothing can be compared.
#[test]
fn a_server_without_unique_ids_takes_nothing_over() {
    let home = Home::new(Post {
        letters: vec![Letter::new("a", "a")],
        capabilities: vec!["TOP"],
        ..Post::default()
    });
    let e = taken(&home, take_over, memories(&seen(&["a"]))).unwrap_err();
    assert_eq!(e.exit, ExitCode::Protocol, "{}", e.message);
    assert!(e.message.contains("no unique-ids"), "{}", e.message);
}

/// A line that fits two messages is about neither: both come.
#[test]
fn what_fits_two_messages_is_about_neither() {
    let home = home(&["x/1", "x-1", "b"]);
    let seen = seen(&["x-1", "b"]);
    let found = taken(&home, take_over, memories(&seen)).unwrap();
    assert_eq!((found.on_server, found.new, found.ambiguous, found.recorded), (1, 2, 2, 1));
    home.run("");
    assert_eq!(home.delivered().len(), 2);
}

/// A server out of reach: the program's own word is taken, in every way in which the server may write it; but not numbers.
#[test]
fn without_a_server_all_is_taken_by_word_but_not_numbers() {
    let home = home(&[]);
    let names = seen(&["a-b", "c"]);
    let found = taken(&home, take_unseen, memories(&names)).unwrap();
    assert_eq!((found.seen, found.recorded, found.asked), (2, 3, false));
    assert_eq!(
        states(&home, &["a-b", "a/b", "c"]),
        [Some(EntryState::Seen); 3],
        "until their headers are known"
    );
    assert_eq!(home.sent().len(), 0);
    let numbers = seen(&["1", "2", "3"]);
    let e = taken(&self::home(&[]), take_unseen, memories(&numbers)).unwrap_err();
    assert!(e.message.contains("message numbers, which prove nothing"), "{}", e.message);
}

/// The program's own time counts for a policy by age; what it only saw is never deleted.
#[test]
fn a_program_s_time_is_kept_and_what_it_only_saw_counts_as_seen() {
    let home = home(&[]);
    let (account, options, context) = (home.account(""), Options::default(), home.context());
    let run = Run::new(&account, &options, &context, NOW);
    let then = Time(1_500_000_000);
    let seen = vec![(unique_id("a"), Some(then)), (unique_id("b"), None)];
    let found: Vec<UsersWord> =
        words(&run, memories(&seen), &seen).into_iter().map(|(_, word)| word).collect();
    assert_eq!(found, [UsersWord::Delivered(then), UsersWord::Delivered(NOW)]);
    let only_seen = Memories { delivered: false, ..memories(&seen) };
    let found: Vec<UsersWord> = words(&run, only_seen, &seen).into_iter().map(|(_, word)| word).collect();
    assert_eq!(found, [UsersWord::Seen; 2]);
}

/// What popfetch has delivered itself stays as it is.
#[test]
fn what_the_ledger_knows_is_not_overwritten() {
    let home = home(&["a", "b"]);
    home.run("max-messages = 1");
    let seen = seen(&["a", "b"]);
    let found = taken(&home, take_over, Memories { delivered: false, ..memories(&seen) }).unwrap();
    assert_eq!((found.on_server, found.recorded), (2, 1));
    assert_eq!(states(&home, &["a", "b"]), [DELIVERED, Some(EntryState::Seen)]);
}
