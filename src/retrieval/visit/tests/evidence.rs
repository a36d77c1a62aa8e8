//! What a command needs before it deletes, or looks: evidence that names the message, a login that isn't paused, and a
//! directory that nobody else can change.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::named;
use crate::exit::ExitCode;
use crate::ledger::memory::Memory;
use crate::report::ReportedError;
use crate::retrieval::Options;
use crate::retrieval::trial::{Home, Letter, Post};
use crate::retrieval::visit::{Deleted, Doomed, KeepAlive, ShownPart, delete, show};

const KEEP: &str = "leave-on-server = true";

/// "a", "b" and "c" have been delivered from such a server, and are there still.
fn kept(capabilities: &[&'static str]) -> Home {
    let letters = ["a", "b", "c"].map(|name| Letter::new(name, name)).to_vec();
    let home = Home::new(Post { letters, capabilities: capabilities.to_vec(), ..Post::default() });
    assert_eq!(home.run(KEEP).delivered, 3);
    home.forget_what_was_sent();
    home
}

/// These are to be deleted, and the user agrees or not; what the user was shown.
fn deletes(
    home: &Home,
    words: &[&str],
    looks_only: bool,
    agrees: bool,
) -> (Result<Deleted, ReportedError>, Vec<Doomed>) {
    let (selection, mut shown) = (named(words), Vec::new());
    let mut ask = |doomed: &[Doomed], _: KeepAlive<'_>| {
        shown = doomed.to_vec();
        agrees
    };
    let result =
        delete(&home.account(KEEP), &home.options(), &home.context(), &selection, looks_only, &mut ask);
    home.wait_for_the_server();
    (result, shown)
}

fn sent(home: &Home, start: &str) -> usize {
    home.sent().concat().iter().filter(|command| command.starts_with(start)).count()
}

const EVERYTHING: [&str; 3] = ["UIDL", "TOP", "PIPELINING"];

/// The user sees what each message is; only what was named goes, and only with the user's word.
#[test]
fn what_the_user_agrees_to_is_deleted_and_nothing_else() {
    for (looks_only, agrees, expected) in [(false, true, 1), (false, false, 0), (true, true, 0)] {
        let home = kept(&EVERYTHING);
        home.post().letters.push(Letter::new("new", "new"));
        let (deleted, shown) = deletes(&home, &["2", "4"], looks_only, agrees);
        let deleted = deleted.unwrap();
        assert_eq!((deleted.messages, deleted.agreed), (2 * expected, expected > 0), "{looks_only} {agrees}");
        assert_eq!((home.left().len(), sent(&home, "DELE")), (4 - 2 * expected, 2 * expected));
        let ids: Vec<Option<&str>> = shown.iter().map(|doomed| doomed.unique_id.as_deref()).collect();
        assert_eq!(ids, [Some("b"), Some("new")]);
        assert!(shown.iter().all(|doomed| doomed.octets.is_some() && doomed.summary.is_some()));
        assert_eq!(shown.iter().map(|doomed| doomed.delivered.is_some()).collect::<Vec<_>>(), [true, false]);
        assert_eq!([&shown[0], &shown[1]].map(|doomed| doomed.undelivered), [None, Some("never delivered")]);
        // Their headers show it: what isn't named isn't looked at, and nothing is retrieved.
        assert_eq!((sent(&home, "TOP"), sent(&home, "RETR")), (2, 0), "{:?}", home.sent());
        assert_eq!(home.run(KEEP).delivered, 1 - u64::try_from(expected).unwrap());
        assert_eq!(home.run(KEEP).exit(), ExitCode::Done, "the ledger is as it should be");
    }
}

/// What is not what was delivered under its unique-id is shown to the user as never delivered.
#[test]
fn other_mail_under_a_known_unique_id_is_shown_as_never_delivered() {
    for capabilities in [&EVERYTHING[..], &["UIDL", "PIPELINING"]] {
        let home = kept(capabilities);
        home.post().letters[1] = Letter::new("b", "x");
        let (_, shown) = deletes(&home, &["1-2"], true, false);
        let delivered: Vec<bool> = shown.iter().map(|doomed| doomed.delivered.is_some()).collect();
        assert_eq!(delivered, [true, false], "{capabilities:?}");
    }
}

/// The sender of a mail could answer a question that is always the same.
#[test]
fn the_question_that_names_a_message_can_not_be_foreseen() {
    let home = kept(&EVERYTHING);
    for _ in 0..30 {
        deletes(&home, &["3"], true, false).0.unwrap();
    }
    let sent = home.sent().concat();
    let asked: HashSet<&String> = sent.iter().filter(|command| command.starts_with("UIDL ")).collect();
    assert_eq!(asked.len(), 2, "any but the last that was looked at: {asked:?}");
}

/// The connection breaks off when one was accepted: it isn't known whether that one is gone, and so what its unique-id
/// stands for is looked at before it counts as known.
#[test]
fn what_was_accepted_before_a_session_broke_off_is_in_doubt() {
    let mut tried = 0;
    for cut_at in 2..14 {
        let home = kept(&["UIDL"]);
        home.post().cut_at = Some(cut_at);
        let (deleted, _) = deletes(&home, &["1-2"], false, true);
        let session = home.sent().concat();
        if session.last().map(String::as_str) != Some("DELE 2") {
            continue;
        }
        tried += 1;
        assert!(deleted.is_err(), "{cut_at}");
        home.post().cut_at = None;
        home.post().letters[0] = Letter::new("a", "x");
        home.run(KEEP);
        assert_eq!(home.delivered().get("x"), Some(&1), "{cut_at} {:?}", home.sent());
    }
    assert_eq!(tried, 1);
}

/// What the server refuses to delete stays known; where QUIT takes away what was looked at, it is not sent then.
#[test]
fn what_the_server_refuses_to_delete_stays_and_is_reported() {
    for drops in [false, true] {
        let mut capabilities = EVERYTHING.to_vec();
        capabilities.extend(drops.then_some("EXPIRE 0"));
        let letters = ["a", "b"].map(|name| Letter::new(name, name)).to_vec();
        let home = Home::new(Post { letters, capabilities, ..Post::default() });
        home.post().refused = vec![("DELE 2".to_owned(), "-ERR read-only".to_owned())];
        let deleted = deletes(&home, &["1-2"], false, true).0.unwrap();
        assert_eq!(deleted.messages, usize::from(!drops), "{deleted:?}");
        assert_eq!(deleted.refused.iter().map(|(n, _)| n.get()).collect::<Vec<_>>(), [2]);
        assert_eq!((home.left().len(), sent(&home, "QUIT")), if drops { (2, 0) } else { (1, 1) });
        assert_eq!(deleted.unconfirmed, drops.then(String::new));
    }
}

/// A wrong password is not tried again at once, whichever command has tried it; and what others can change is not used.
#[test]
fn a_refused_login_and_an_open_directory_hold_for_this_command_too() {
    let home = kept(&EVERYTHING);
    home.post().refused_before = vec![("PASS".to_owned(), "-ERR [AUTH] no".to_owned())];
    let e = deletes(&home, &["1"], false, true).0.unwrap_err();
    assert_eq!(e.exit, ExitCode::Refused, "{}", e.message);
    assert!(Memory::load(&home.mailbox()).pause.is_some());
    home.post().refused_before.clear();
    let e = deletes(&home, &["1"], false, true).0.unwrap_err();
    assert!(e.message.contains("not tried again before"), "{}", e.message);
    let home = kept(&EVERYTHING);
    fs::set_permissions(home.mailbox(), fs::Permissions::from_mode(0o777)).unwrap();
    let e = deletes(&home, &["1"], false, true).0.unwrap_err();
    assert_eq!((e.exit, home.sent().len()), (ExitCode::Configuration, 0), "{}", e.message);
    assert_eq!(home.left().len(), 3);
}

/// What a look at the first message shows.
fn looks(home: &Home, part: ShownPart, options: Options) -> Result<String, ReportedError> {
    let options = Options { passwords: home.options().passwords, ..options };
    let selection = named(&["1"]);
    let mut text = Vec::new();
    home.forget_what_was_sent();
    let shown = show(&home.account(""), &options, &home.context(), &selection, part, &mut |more| {
        text.extend_from_slice(more);
        true
    });
    home.wait_for_the_server();
    shown.map(|_| String::from_utf8(text).unwrap())
}

fn refuses(home: &Home) {
    home.post().refused_before = vec![("PASS".to_owned(), "-ERR [AUTH] no".to_owned())];
}

fn memory(home: &Home) -> Memory {
    Memory::load(&home.mailbox())
}

/// All of it is shown, and nothing on the server is changed by that.
#[test]
fn a_look_at_a_message_shows_it_and_does_not_end_in_quit() {
    let letter = Letter::new("a", "a");
    let home = Home::holding(std::slice::from_ref(&letter));
    let whole = letter.text.replace("\r\n", "\n");
    assert_eq!(looks(&home, ShownPart::Whole, Options::default()).unwrap(), whole);
    let sent = home.sent().concat();
    assert!(sent.contains(&"RETR 1".to_owned()) && !sent.contains(&"QUIT".to_owned()), "{sent:?}");
    let header = looks(&home, ShownPart::Header, Options::default()).unwrap();
    assert!(!header.is_empty() && whole.starts_with(header.trim_end()), "{header}");
    assert!(!home.sent().concat().contains(&"RETR 1".to_owned()));
    assert!(!home.path().join("state").exists(), "and nothing is kept of it");
}

/// A wrong password is not tried at every look, and a right one ends the pause for runs as well.
#[test]
fn a_look_that_was_refused_makes_others_wait() {
    let home = Home::holding(&[Letter::new("a", "a")]);
    refuses(&home);
    assert_eq!(looks(&home, ShownPart::Whole, Options::default()).unwrap_err().exit, ExitCode::Refused);
    assert!(!home.path().join("state").exists(), "before the first run nothing is kept");
    home.post().refused_before.clear();
    home.run("");
    assert!(looks(&home, ShownPart::Whole, Options::default()).is_ok());
    assert!(memory(&home).pause.is_none());
    refuses(&home);
    assert!(looks(&home, ShownPart::Whole, Options::default()).is_err());
    assert!(memory(&home).pause.is_some());
    home.post().refused_before.clear();
    let e = looks(&home, ShownPart::Whole, Options::default()).unwrap_err();
    assert!(e.message.contains("not tried again before") && home.sent().is_empty(), "{}", e.message);
    let insists = Options { insist: true, ..Options::default() };
    assert!(looks(&home, ShownPart::Whole, insists).is_ok());
    assert!(memory(&home).pause.is_none());
}

/// Another user who can change what is remembered could send us to another server's answers.
#[test]
fn what_others_can_change_is_not_looked_at() {
    let home = Home::holding(&[Letter::new("a", "a")]);
    home.run("");
    fs::set_permissions(home.mailbox(), fs::Permissions::from_mode(0o777)).unwrap();
    let e = looks(&home, ShownPart::Whole, Options::default()).unwrap_err();
    assert_eq!((e.exit, home.sent().len()), (ExitCode::Configuration, 0), "{}", e.message);
}
