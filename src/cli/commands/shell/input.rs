//! What is typed in the shell: the commands of RFC 1939 that are of use to people, in any case, and a few of its own.

use crate::retrieval::by_hand::ReadCommand;
use crate::text::{printable, shortened};
use crate::types::MessageNumber;

/// Characters of a word that is none of ours, at most.
const LONGEST_SHOWN: usize = 40;

/// A line, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShellInput {
    /// Nothing, or a comment.
    Blank,
    /// A command that changes nothing but marks.
    Ask(ReadCommand),
    /// Marks a message for deletion.
    Dele(MessageNumber),
    /// The end of the session.
    Quit,
    /// The end of the session without `QUIT`: nothing is deleted.
    Abort,
    /// What there is, or what one command does.
    Help(Option<&'static ShellWord>),
    /// Whether messages are shown as they are on the server.
    Raw(bool),
}

/// A word that a line may begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShellWord {
    /// As it is written.
    pub(super) name: &'static str,
    /// What follows it.
    pub(super) arguments: &'static str,
    /// What it does, in one line.
    pub(super) help: &'static str,
}

/// Every word, in the order in which a newcomer needs them.
pub(super) const WORDS: &[ShellWord] = &[
    ShellWord { name: "stat", arguments: "", help: "how many messages there are, and their octets together" },
    ShellWord { name: "list", arguments: "[N]", help: "the size of each message, or of message N" },
    ShellWord { name: "uidl", arguments: "[N]", help: "the unique-id of each message, or of message N" },
    ShellWord {
        name: "top",
        arguments: "N [LINES]",
        help: "the header of message N, and some lines of its body",
    },
    ShellWord { name: "retr", arguments: "N", help: "message N; some servers then count it as read" },
    ShellWord {
        name: "dele",
        arguments: "N",
        help: "marks message N: quit deletes it, rset takes the mark back",
    },
    ShellWord { name: "rset", arguments: "", help: "takes all marks back" },
    ShellWord { name: "noop", arguments: "", help: "asks for an answer, no more" },
    ShellWord { name: "capa", arguments: "", help: "what the server can do" },
    ShellWord {
        name: "raw",
        arguments: "on|off",
        help: "whether messages are shown undecoded, as they are on the server",
    },
    ShellWord { name: "help", arguments: "[COMMAND]", help: "this list, or one line of it" },
    ShellWord { name: "quit", arguments: "", help: "ends the session; the server deletes what is marked" },
    ShellWord { name: "abort", arguments: "", help: "ends the session without quit: nothing is deleted" },
];

/// Reads a line.
///
/// # Errors
/// What can't be understood, and what would be.
pub(super) fn parse(line: &str) -> Result<ShellInput, String> {
    let mut words = line.split_whitespace();
    let Some(name) = words.next().filter(|name| !name.starts_with('#')) else { return Ok(ShellInput::Blank) };
    let word = word(name)?;
    let arguments: Vec<&str> = words.collect();
    let usage = || format!("usage: {} {}", word.name, word.arguments).trim_end().to_owned();
    let number = |text: &str| {
        let number = MessageNumber::parse(text.as_bytes());
        number.ok_or_else(|| format!("{} is not a message's number", printable(text.as_bytes())))
    };
    Ok(match (word.name, arguments.as_slice()) {
        ("stat", []) => ShellInput::Ask(ReadCommand::Stat),
        ("list", []) => ShellInput::Ask(ReadCommand::List(None)),
        ("list", [n]) => ShellInput::Ask(ReadCommand::List(Some(number(n)?))),
        ("uidl", []) => ShellInput::Ask(ReadCommand::Uidl(None)),
        ("uidl", [n]) => ShellInput::Ask(ReadCommand::Uidl(Some(number(n)?))),
        ("top", [n]) => ShellInput::Ask(ReadCommand::Top(number(n)?, 0)),
        ("top", [n, lines]) => {
            ShellInput::Ask(ReadCommand::Top(number(n)?, lines.parse().map_err(|_| usage())?))
        }
        ("retr", [n]) => ShellInput::Ask(ReadCommand::Retr(number(n)?)),
        ("dele", [n]) => ShellInput::Dele(number(n)?),
        ("rset", []) => ShellInput::Ask(ReadCommand::Rset),
        ("noop", []) => ShellInput::Ask(ReadCommand::Noop),
        ("capa", []) => ShellInput::Ask(ReadCommand::Capa),
        ("raw", ["on"]) => ShellInput::Raw(true),
        ("raw", ["off"]) => ShellInput::Raw(false),
        ("help", []) => ShellInput::Help(None),
        ("help", [name]) => ShellInput::Help(Some(self::word(name)?)),
        ("quit", []) => ShellInput::Quit,
        ("abort", []) => ShellInput::Abort,
        _ => return Err(usage()),
    })
}

/// The word of this name, in any case.
fn word(name: &str) -> Result<&'static ShellWord, String> {
    let found = WORDS.iter().find(|word| word.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let name = printable(name.as_bytes());
        format!("there is no command \"{}\"; help lists them", shortened(&name, LONGEST_SHOWN))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{ReadCommand, ShellInput, WORDS, parse};
    use crate::text::shortened;
    use crate::types::MessageNumber;

    #[test]
    fn commands_are_read_in_any_case() {
        let two = MessageNumber::new(2).unwrap();
        let cases = [
            ("", ShellInput::Blank),
            ("  # a comment", ShellInput::Blank),
            ("STAT", ShellInput::Ask(ReadCommand::Stat)),
            ("list", ShellInput::Ask(ReadCommand::List(None))),
            (" List  2 ", ShellInput::Ask(ReadCommand::List(Some(two)))),
            ("uidl 2", ShellInput::Ask(ReadCommand::Uidl(Some(two)))),
            ("top 2", ShellInput::Ask(ReadCommand::Top(two, 0))),
            ("TOP 2 10", ShellInput::Ask(ReadCommand::Top(two, 10))),
            ("retr 2", ShellInput::Ask(ReadCommand::Retr(two))),
            ("dele 2", ShellInput::Dele(two)),
            ("raw on", ShellInput::Raw(true)),
            ("quit", ShellInput::Quit),
            ("abort", ShellInput::Abort),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
        assert!(matches!(parse("help DELE"), Ok(ShellInput::Help(Some(word))) if word.name == "dele"));
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
            (
                &"y".repeat(9000),
                &format!("there is no command \"{}\"; help lists them", shortened(&"y".repeat(9000), 40)),
            ),
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
