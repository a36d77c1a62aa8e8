//! `popfetch show`: one message decoded, its parts, or its octets; nothing is marked or deleted.

use serde_json::{Value, json};

use crate::mailbox::{DELETE, Served, good, serve, small, stored};
use crate::support::sandbox::Run;
use crate::support::server::{Message, Retrieved};
use crate::support::tmux::Tmux;

const MIXED: &str = "From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>\r\nTo: me@example.org\r\nSubject: Two\r\n\
    Date: Fri, 27 Nov 2026 09:12:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n\
    --o\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Gr=FC=DFe=1B[31m\r\n--o\r\nContent-Type: image/png; name=\"x.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
    iVBORw0KGgo=\r\n--o--\r\n";

/// `show me` with these arguments: no file changes, and the server keeps all.
#[track_caller]
fn show(served: &Served, arguments: &[&str]) -> Run {
    let (before, ids) = (served.sandbox.files(), served.server.unique_ids("me"));
    let run = served.sandbox.run(["show", "me"].iter().chain(arguments));
    assert_eq!(served.sandbox.files(), before, "{}", run.shown());
    assert_eq!(served.server.unique_ids("me"), ids);
    let commands = served.server.commands(served.server.sessions());
    let retrieved = commands.iter().any(|command| command.starts_with("RETR") || command.starts_with("TOP"));
    assert!(!(retrieved && commands.contains(&"QUIT".to_owned())), "{commands:?}");
    run
}

fn mixed() -> Served {
    serve(good([Message::new("a", "Subject: first\r\n\r\none\r\n"), Message::new("b", MIXED)]), "")
}

#[test]
fn a_message_is_decoded() {
    let served = mixed();
    let expected = "From: J\u{fc}rgen <j@example.org>\nTo: me@example.org\nDate: Fri, 27 Nov 2026 09:12:00 +0100\n\
                    Subject: Two\n\nGr\u{fc}\u{df}e\\x1b[31m\n[x.png, 8 octets: --part 2]\n";
    show(&served, &["2"]).looks_like("show");
    for message in ["2", "b", "last", "-1"] {
        assert_eq!(show(&served, &[message]).succeeds().out(), expected, "{message}");
    }
    assert_eq!(show(&served, &["-2"]).succeeds().out(), "Subject: first\n\none\n");
}

#[test]
fn raw_is_what_would_be_delivered() {
    let served = serve(good(small(3)), "");
    assert_eq!(show(&served, &["2", "--raw"]).succeeds().stdout, stored([2])[0]);
    let odd = "Subject: x\r\n\r\n.\r\n..two\r\n\x1b[31m\u{e9}\r\nno end";
    let served = serve(good([Message::new("a", odd)]), "");
    let expected = format!("{}\n", odd.replace("\r\n", "\n"));
    assert_eq!(show(&served, &["1", "--raw"]).succeeds().stdout, expected.as_bytes());
}

/// Far larger than what is decoded: it's handed on while it arrives.
#[test]
fn a_huge_message_is_streamed() {
    let piece = format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(60_000));
    let served = serve(good([Message::repeated("a", &piece, 1_150)]), "");
    let run = show(&served, &["1", "--raw"]);
    assert_eq!(run.succeeds().stdout.len(), 1_150 * (piece.len() - 3));
    let run = show(&served, &["1"]);
    run.succeeds().says("[only the first 64.0 MiB: --raw writes all of it]");
    show(&served, &["1", "--part", "1"]).exits(75).complains("larger than 64.0 MiB");
}

#[test]
fn a_part_is_decoded() {
    let served = mixed();
    assert_eq!(show(&served, &["2", "--part", "2"]).succeeds().stdout, b"\x89PNG\r\n\x1a\n");
    assert_eq!(show(&served, &["2", "--part", "1"]).succeeds().stdout, "Gr\u{fc}\u{df}e\x1b[31m".as_bytes());
    show(&served, &["2", "--part", "3"]).exits(66).complains("the message has no part 3").complains("hint: ");
}

#[test]
fn a_header_comes_alone() {
    let served = mixed();
    let run = show(&served, &["2", "--headers"]);
    run.succeeds().says("From: J\u{fc}rgen <j@example.org>\n").says("MIME-Version: 1.0\n").never_says("Gr");
    assert_eq!(served.server.count("RETR"), 0);
    let served = serve(good([Message::new("b", MIXED)]).without("TOP"), "");
    assert_eq!(show(&served, &["1", "--headers"]).succeeds().out(), run.out());
}

#[test]
fn there_is_no_such_message() {
    let served = mixed();
    for message in ["3", "nobody", "-3", "0"] {
        let run = show(&served, &[message]);
        run.exits(66).complains("there is no message").complains("the server lists 2 messages");
        assert!(run.out().is_empty());
    }
    show(&served, &["1-2"]).exits(64).complains("2 messages are named");
    let refused = serve(good([Message::new("a", "x\r\n").refused("-ERR \x1bgone")]), "");
    show(&refused, &["1"]).exits(75).complains("\\x1bgone").never_says("\x1b");
    served.sandbox.run(["show", "nobody", "1"]).exits(64);
    served.sandbox.run(["show", "me"]).exits(64);
}

#[test]
fn a_number_that_names_another_message_than_was_listed() {
    let served = serve(good(small(3)), "");
    served.fetch().succeeds();
    served.sandbox.run(["list"]).succeeds();
    show(&served, &["2"]).succeeds().never_says("isn't the one");
    served.server.replace("me", small(3).into_iter().skip(1));
    let run = show(&served, &["2"]);
    run.succeeds()
        .complains("message 2 isn't the one that \"list\" showed: its unique-id was uid-2, and is uid-3");
    // By its name it's the one that is meant.
    show(&served, &["uid-3"]).succeeds().never_says("isn't the one");
}

#[test]
fn a_server_that_deletes_what_was_retrieved_keeps_it() {
    for retrieved in [Retrieved::Deleted, Retrieved::Popped] {
        let mut options = good(small(2));
        options.retrieved = retrieved;
        let served = serve(options, DELETE);
        show(&served, &["1"]).succeeds();
        show(&served, &["1", "--headers"]).succeeds();
        show(&served, &["1"]).succeeds();
    }
}

#[test]
fn a_message_is_an_object() {
    let served = mixed();
    let run = show(&served, &["2", "--json"]);
    let found: Value = serde_json::from_str(&run.succeeds().out()).unwrap();
    let expected = json!({
        "v": 1, "account": "me", "type": "message", "number": 2, "unique_id": "b",
        "fields": [
            { "name": "From", "value": "J\u{fc}rgen <j@example.org>" }, { "name": "To", "value": "me@example.org" },
            { "name": "Date", "value": "Fri, 27 Nov 2026 09:12:00 +0100" }, { "name": "Subject", "value": "Two" },
        ],
        "text": ["Gr\u{fc}\u{df}e\\x1b[31m"],
        "parts": [
            { "part": 1, "media_type": "text/plain", "name": null, "octets": 12 },
            { "part": 2, "media_type": "image/png", "name": "x.png", "octets": 8 },
        ],
        "truncated": false,
    });
    assert_eq!(found, expected);
    show(&served, &["2", "--json", "--raw"]).exits(64);
}

#[test]
fn a_terminal_gets_no_octets_that_steer_it() {
    let served = mixed();
    let Some(tmux) = Tmux::start(&served.sandbox, (80, 24), "popfetch show me 2 --part 2") else { return };
    tmux.wait_for("part 2 is image/png, not text for a terminal");
    let screen = tmux.wait_for("[64]");
    assert!(screen.contains("popfetch show me 2 --part 2 > FILE"), "{screen}");
    drop(tmux);
    let Some(tmux) = Tmux::start(&served.sandbox, (80, 24), "popfetch show me 2 --part 1") else { return };
    tmux.wait_for("Gr\u{fc}\u{df}e\\x1b[31m");
    tmux.wait_for("[0]");
    drop(tmux);
    let odd = Message::new("c", "Subject: x\r\n\r\n\x1b[2Jgone\r\n");
    served.server.add("me", [odd]);
    let Some(tmux) = Tmux::start(&served.sandbox, (80, 24), "popfetch show me last --raw") else { return };
    tmux.wait_for("\\x1b[2Jgone");
}

/// Prose is broken between words; quotations stay quotations, and what can't be broken is left to the terminal.
#[test]
fn long_lines_are_broken_at_the_width_of_the_terminal() {
    let text = "Subject: first\r\n\r\nOne two three four five six seven eight nine ten eleven twelve.\r\n\
                > Quoted text that goes on for longer than forty columns.\r\n\
                https://example.org/a/very/long/address/that-must-stay-whole/to-be-copied\r\n";
    let served = serve(good([Message::new("a", text)]), "");
    let shown = show(&served, &["1"]).succeeds().out();
    assert_eq!(shown.lines().count(), 5, "{shown}");
    for (columns, expected) in [
        (
            40,
            "One two three four five six seven eight\nnine ten eleven twelve.\n> Quoted text that goes on for longer\n> than forty columns.\n",
        ),
        (
            80,
            "One two three four five six seven eight nine ten eleven twelve.\n> Quoted text that goes on for longer than forty columns.\n",
        ),
        (
            200,
            "One two three four five six seven eight nine ten eleven twelve.\n> Quoted text that goes on for longer than forty columns.\n",
        ),
    ] {
        let Some(tmux) = Tmux::start(&served.sandbox, (columns, 24), "popfetch show me 1") else { return };
        let screen = tmux.wait_for("[0]");
        assert!(screen.contains(expected), "{columns}:\n{screen}");
    }
}
