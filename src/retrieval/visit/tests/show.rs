//! `popfetch show`.

use super::{home, letters, named};
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::retrieval::trial::{Home, Letter, Post};
use crate::retrieval::{ListFilter, ShownMessage, ShownPart, list, show};

fn shown(home: &Home, words: &[&str], part: ShownPart) -> (Result<ShownMessage, ReportedError>, String) {
    let mut text = Vec::new();
    let account = home.account("");
    let result = show(&account, &home.options(), &home.context(), &named(words), part, &mut |piece| {
        text.extend_from_slice(piece);
        true
    });
    (result, String::from_utf8(text).unwrap())
}

#[test]
fn a_message_is_shown_whole_or_by_its_header() {
    let home = Home::holding(&letters(&["a", "b"]));
    let (result, text) = shown(&home, &["2"], ShownPart::Whole);
    let message = result.unwrap();
    assert_eq!((message.number.get(), message.unique_id.as_deref(), message.was), (2, Some("b"), None));
    assert_eq!(text, Letter::new("b", "b").text.replace("\r\n", "\n"));
    let (result, text) = shown(&home, &["a"], ShownPart::Header);
    assert_eq!(result.unwrap().number.get(), 1);
    assert!(text.contains("Message-ID: <a@example.com>") && !text.contains("Text of"), "{text}");
    assert_eq!(home.left(), ["a", "b"]);
    assert!(!home.path().join("Mail").exists(), "it is not delivered by that");
}

/// Where there is no TOP the header is shown all the same, with the rest behind it.
#[test]
fn a_header_is_shown_without_top_as_well() {
    let post = Post { letters: letters(&["a"]), capabilities: vec!["UIDL"], ..Post::default() };
    let (result, text) = shown(&Home::new(post), &["1"], ShownPart::Header);
    result.unwrap();
    assert!(text.contains("Message-ID: <a@example.com>"), "{text}");
    let post = Post {
        letters: letters(&["a"]),
        refused: vec![("TOP".to_owned(), "-ERR no".to_owned())],
        ..Post::default()
    };
    let (result, text) = shown(&Home::new(post), &["1"], ShownPart::Header);
    result.unwrap();
    assert!(text.contains("Message-ID: <a@example.com>"), "{text}");
}

/// A server may delete at QUIT what was retrieved: a look must not cost the mail.
#[test]
fn what_was_only_shown_is_never_deleted() {
    let post = Post {
        letters: letters(&["a"]),
        capabilities: vec!["UIDL", "TOP", "EXPIRE 0"],
        drops: true,
        ..Post::default()
    };
    let home = Home::new(post);
    shown(&home, &["1"], ShownPart::Whole).0.unwrap();
    assert_eq!(home.left(), ["a"]);
}

#[test]
fn a_message_that_cannot_be_shown_is_an_error_with_its_own_code() {
    let refused = vec![("RETR".to_owned(), "-ERR it is gone".to_owned())];
    let home = Home::new(Post { letters: letters(&["a", "b"]), refused, ..Post::default() });
    for (words, exit, message) in [
        (&["1"][..], ExitCode::Later, "did not give message 1: \"it is gone\""),
        (&["1-2"], ExitCode::Usage, "2 messages are named"),
        (&["7"], ExitCode::NoInput, "7"),
        (&["gone"], ExitCode::NoInput, "gone"),
    ] {
        let (result, text) = shown(&home, words, ShownPart::Whole);
        let e = result.unwrap_err();
        assert_eq!((e.exit, text.as_str()), (exit, ""), "{words:?}: {}", e.message);
        assert!(e.message.contains(message), "{}", e.message);
    }
}

/// After a list the numbers may have moved: what is shown is what has the number now, and that it is another one is reported.
#[test]
fn a_number_that_means_another_message_now_is_reported() {
    let home = home(&["a", "b"], &[]);
    let account = home.account("");
    list(&account, &home.options(), &home.context(), ListFilter::All, 9).unwrap();
    home.post().letters.remove(0);
    for (word, was) in [("1", Some("a")), ("b", None)] {
        let message = shown(&home, &[word], ShownPart::Header).0.unwrap();
        assert_eq!((message.unique_id.as_deref(), message.was.as_deref()), (Some("b"), was), "{word}");
    }
}

/// A reader that has seen enough ends it.
#[test]
fn a_reader_that_has_enough_ends_the_message() {
    let home = Home::holding(&letters(&["a"]));
    let mut pieces = 0;
    let account = home.account("");
    let result =
        show(&account, &home.options(), &home.context(), &named(&["1"]), ShownPart::Whole, &mut |_| {
            pieces += 1;
            false
        });
    assert_eq!((result.is_ok(), pieces), (true, 1));
}
