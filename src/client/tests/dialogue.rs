//! What is shown of a session, and what is asked by hand.

use std::sync::{Arc, Mutex};

use super::{Server, USUAL, after_login, log_in, log_in_with, n, open};
use crate::client::{AnswerPiece, Client, Dialogue, Error, ReadCommand};
use crate::problem::Problem as _;
use crate::proof::{Dismissed, SessionId};
use crate::signals::Stop;

/// The lines that are shown of a session with this server, in which `work` is done.
fn shown(transcript: &str, work: impl FnOnce(&mut Client<super::Transaction>)) -> Vec<String> {
    let server = Server::new(&[transcript]);
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let shown = Arc::clone(&lines);
    let dialogue: Dialogue = Arc::new(move |line| shown.lock().unwrap().push(line));
    let mut client = log_in_with(server.port, &USUAL, &Stop::new().unwrap(), Some(dialogue)).unwrap();
    work(&mut client);
    client.hang_up();
    server.rest();
    let lines = lines.lock().unwrap();
    lines.clone()
}

/// It goes to a terminal or a log.
#[test]
fn a_session_is_shown_without_its_secrets_and_without_mail() {
    let transcript = "S: +OK tanstaaf is ready\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS tanstaaf\n\
        S: -ERR tanstaaf\n";
    let server = Server::new(&[transcript]);
    assert!(log_in(server.port, &USUAL).is_err());
    server.rest();
    let transcript = "S: +OK tanstaaf is ready\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\n\
        C: RETR 1\nS: +OK\nS: Subject: private\nS:\nS: words\nS: .\n";
    let lines = shown(transcript, |client| {
        client.ask(ReadCommand::Retr(n(1)), |_| ()).unwrap();
    });
    let expected = [
        "S: +OK *** is ready",
        "C: CAPA",
        "S: -ERR",
        "C: USER me",
        "S: +OK",
        "C: PASS [redacted]",
        "S: +OK",
        "C: RETR 1",
        "S: +OK",
        "S: \u{2026} 24 bytes",
        "S: .",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn of_a_long_listing_the_ends_are_shown() {
    for (count, expected) in [
        (2, vec!["1 1", "2 2"]),
        (6, vec!["1 1", "2 2", "3 3", "4 4", "5 5", "6 6"]),
        (7, vec!["1 1", "2 2", "3 3", "\u{2026} 1 lines", "5 5", "6 6", "7 7"]),
        (100, vec!["1 1", "2 2", "3 3", "\u{2026} 94 lines", "98 98", "99 99", "100 100"]),
    ] {
        let listing: String = (1..=count).map(|n| format!("S: {n} {n}\n")).collect();
        let transcript = format!("{}C: LIST\nS: +OK\n{listing}S: .\n", super::LOGGED_IN);
        let lines = shown(&transcript, |client| {
            client.ask(ReadCommand::List(None), |_| ()).unwrap();
        });
        let at = lines.iter().position(|line| line == "C: LIST").unwrap();
        let listed: Vec<&str> = lines[at + 2..].iter().map(|line| line.trim_start_matches("S: ")).collect();
        assert_eq!(listed, [expected, vec!["."]].concat(), "{count}");
    }
}

#[test]
fn what_is_asked_by_hand_is_handed_over_piece_by_piece() {
    let transcript = "C: UIDL 2\nS: +OK 2 b\nC: LIST\nS: +OK\nS: 1 5\nS: .\nC: TOP 1 0\nS: +OK\nS: A: b\nS:\nS: .\n\
        C: NOOP\nS: -ERR no\n";
    after_login(transcript, |client| {
        let mut ask = |command| {
            let mut came: Vec<(&str, Vec<u8>)> = Vec::new();
            let ok = client.ask(command, |piece| match piece {
                AnswerPiece::Status(ok, text) => came.push((if ok { "+OK" } else { "-ERR" }, text.to_vec())),
                AnswerPiece::Line(line) => came.push(("line", line.to_vec())),
                AnswerPiece::Text(text) => match came.last_mut() {
                    Some(("text", before)) => before.extend_from_slice(text),
                    _ => came.push(("text", text.to_vec())),
                },
            });
            ok.map(|ok| (ok, came))
        };
        let uidl = ask(ReadCommand::Uidl(Some(n(2)))).unwrap();
        assert_eq!(uidl, (true, vec![("+OK", b"2 b".to_vec())]));
        let list = ask(ReadCommand::List(None)).unwrap();
        assert_eq!(list, (true, vec![("+OK", vec![]), ("line", b"1 5".to_vec())]));
        let top = ask(ReadCommand::Top(n(1), 0)).unwrap();
        assert_eq!(top, (true, vec![("+OK", vec![]), ("text", b"A: b\n\n".to_vec())]));
        assert_eq!(ask(ReadCommand::Noop).unwrap(), (false, vec![("-ERR", b"no".to_vec())]));
    });
}

/// A number means another message in another session.
#[test]
fn a_message_is_marked_by_the_word_for_this_session_only() {
    after_login("C: DELE 2\nS: +OK\nC: DELE 3\nS: -ERR no\n", |client| {
        let session = client.session();
        let SessionId(id) = session;
        let other = Dismissed::attest(SessionId(id + 1), n(2));
        assert!(matches!(client.mark(&other, |_| ()), Err(Error::NotRecognised { .. })));
        for (number, ok) in [(2, true), (3, false)] {
            let word = Dismissed::attest(session, n(number));
            assert_eq!(client.mark(&word, |_| ()).unwrap(), ok);
        }
    });
}

#[test]
fn what_must_not_be_heard_is_refused_on_a_clear_line() {
    let server = Server::new(&["S: +OK\nC: CAPA\nS: -ERR\nC: QUIT\n"]);
    let mut client = open(server.port, &USUAL).unwrap();
    client.check_private().unwrap();
    client.link.connection.lead_away();
    assert!(client.check_private().is_err_and(|e| e.hint().is_some()));
    client.leave();
    assert_eq!(server.rest(), [""; 0]);
}
