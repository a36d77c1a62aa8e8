//! What is typed in the shell: the commands of RFC 1939 that are of use to people, in any case, and a few of its own.

use crate::retrieval::by_hand::Question;
use crate::text::{printable, shortened};
use crate::types::MessageNumber;

/// Characters of a word that is none of ours, at most.
const LONGEST_SHOWN: usize = 40;

/// A line, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Nothing, or a comment.
    Blank,
    /// A command that changes nothing but marks.
    Ask(Question),
    /// Marks a message for deletion.
    Dele(MessageNumber),
    /// The end of the session.
    Quit,
    /// The end of the session without `QUIT`: nothing is deleted.
    Abort,
    /// What there is, or what one command does.
    Help(Option<&'static Word>),
    /// Whether messages are shown as they are on the server.
    Raw(bool),
}

/// A word that a line may begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// As it is written.
    pub(super) name: &'static str,
    /// What follows it.
    pub(super) arguments: &'static str,
    /// What it does, in one line.
    pub(super) help: &'static str,
}

/// Every word, in the order in which a newcomer needs them.
pub(super) const WORDS: &[Word] = &[
    Word { name: "stat", arguments: "", help: "how many messages there are, and their octets together" },
    Word { name: "list", arguments: "[N]", help: "the size of each message, or of message N" },
    Word { name: "uidl", arguments: "[N]", help: "the unique-id of each message, or of message N" },
    Word { name: "top", arguments: "N [LINES]", help: "the header of message N, and some lines of its body" },
    Word { name: "retr", arguments: "N", help: "message N; some servers then count it as read" },
    Word { name: "dele", arguments: "N", help: "marks message N: quit deletes it, rset takes the mark back" },
    Word { name: "rset", arguments: "", help: "takes all marks back" },
    Word { name: "noop", arguments: "", help: "asks for an answer, no more" },
    Word { name: "capa", arguments: "", help: "what the server can do" },
    Word {
        name: "raw",
        arguments: "on|off",
        help: "whether messages are shown undecoded, as they are on the server",
    },
    Word { name: "help", arguments: "[COMMAND]", help: "this list, or one line of it" },
    Word { name: "quit", arguments: "", help: "ends the session; the server deletes what is marked" },
    Word { name: "abort", arguments: "", help: "ends the session without quit: nothing is deleted" },
];

/// Reads a line.
///
/// # Errors
/// What can't be understood, and what would be.
pub(super) fn parse(line: &str) -> Result<Input, String> {
    let mut words = line.split_whitespace();
    let Some(name) = words.next().filter(|name| !name.starts_with('#')) else { return Ok(Input::Blank) };
    let word = word(name)?;
    let arguments: Vec<&str> = words.collect();
    let usage = || format!("usage: {} {}", word.name, word.arguments).trim_end().to_owned();
    let number = |text: &str| {
        let number = MessageNumber::parse(text.as_bytes());
        number.ok_or_else(|| format!("{} is not a message's number", printable(text.as_bytes())))
    };
    Ok(match (word.name, arguments.as_slice()) {
        ("stat", []) => Input::Ask(Question::Stat),
        ("list", []) => Input::Ask(Question::List(None)),
        ("list", [n]) => Input::Ask(Question::List(Some(number(n)?))),
        ("uidl", []) => Input::Ask(Question::Uidl(None)),
        ("uidl", [n]) => Input::Ask(Question::Uidl(Some(number(n)?))),
        ("top", [n]) => Input::Ask(Question::Top(number(n)?, 0)),
        ("top", [n, lines]) => Input::Ask(Question::Top(number(n)?, lines.parse().map_err(|_| usage())?)),
        ("retr", [n]) => Input::Ask(Question::Retr(number(n)?)),
        ("dele", [n]) => Input::Dele(number(n)?),
        ("rset", []) => Input::Ask(Question::Rset),
        ("noop", []) => Input::Ask(Question::Noop),
        ("capa", []) => Input::Ask(Question::Capa),
        ("raw", ["on"]) => Input::Raw(true),
        ("raw", ["off"]) => Input::Raw(false),
        ("help", []) => Input::Help(None),
        ("help", [name]) => Input::Help(Some(self::word(name)?)),
        ("quit", []) => Input::Quit,
        ("abort", []) => Input::Abort,
        _ => return Err(usage()),
    })
}

/// The word of this name, in any case.
fn word(name: &str) -> Result<&'static Word, String> {
    let found = WORDS.iter().find(|word| word.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let name = printable(name.as_bytes());
        format!("there is no command \"{}\"; help lists them", shortened(&name, LONGEST_SHOWN))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{Input, Question, WORDS, parse};
    use crate::types::MessageNumber;

    #[test]
    fn commands_are_read_in_any_case() {
        let two = MessageNumber::new(2).unwrap();
        let cases = [
            ("", Input::Blank),
            ("  # a comment", Input::Blank),
            ("STAT", Input::Ask(Question::Stat)),
            ("list", Input::Ask(Question::List(None))),
            (" List  2 ", Input::Ask(Question::List(Some(two)))),
            ("uidl 2", Input::Ask(Question::Uidl(Some(two)))),
            ("top 2", Input::Ask(Question::Top(two, 0))),
            ("TOP 2 10", Input::Ask(Question::Top(two, 10))),
            ("retr 2", Input::Ask(Question::Retr(two))),
            ("dele 2", Input::Dele(two)),
            ("raw on", Input::Raw(true)),
            ("quit", Input::Quit),
            ("abort", Input::Abort),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
        assert!(matches!(parse("help DELE"), Ok(Input::Help(Some(word))) if word.name == "dele"));
    }

    #[test]
    fn what_is_not_understood_is_answered_with_what_would_be() {
        let cases = [
            ("delete 1", "there is no command \"delete\"; help lists them"),
            ("dele", "usage: dele N"),
            ("dele 0", "0 is not a message's number"),
            ("dele 1 2", "usage: dele N"),
            ("top 1 x", "usage: top N [LINES]"),
            ("stat 1", "usage: stat"),
            ("help x", "there is no command \"x\"; help lists them"),
            (&"y".repeat(9000), &format!("there is no command \"{}…\"; help lists them", "y".repeat(40))),
            ("\u{1b}[2J", "there is no command \"\\x1b[2J\"; help lists them"),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn every_word_of_the_list_is_a_command() {
        for word in WORDS {
            let answer = parse(word.name);
            assert!(!answer.is_err_and(|e| e.starts_with("there is no")), "{}", word.name);
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in ".*") {
            let _ = parse(&line);
        }
    }
}
