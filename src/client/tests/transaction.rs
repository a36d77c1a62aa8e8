//! What the server answers after the login, in step and out of step.

use std::time::Duration;

use super::{LOGGED_IN, Server, Setup, USUAL, after_login, code, log_in, n, session};
use crate::client::{Client, Error, Farewell, HeaderPiece, ListingAnswer, Next, Sending, Transaction};
use crate::proof::{Delivered, Dismissed, EntryId, Recognised, SessionId};
use crate::protocol::limits::FLIGHT_OCTETS;
use crate::protocol::session::{Sent, ServerEvent};
use crate::types::UniqueId;

/// Everything that comes until every command is answered.
fn answers(client: &mut Client<Transaction>) -> Result<Vec<String>, Error> {
    let mut answers = Vec::new();
    while client.outstanding() > 0 {
        assert_eq!(client.next(None, None)?, Next::Event);
        answers.push(match client.event() {
            ServerEvent::Reply { to, reply } => format!("{to} {}", if reply.ok { "+OK" } else { "-ERR" }),
            ServerEvent::Text { number, text } => format!("{number}: {}", String::from_utf8_lossy(text)),
            ServerEvent::End { to, octets } => format!("{to} ends after {octets}"),
            other => format!("{other:?}"),
        });
    }
    Ok(answers)
}

#[test]
fn a_refused_listing_reports_whether_it_passes() {
    for (answer, passes) in [
        ("-ERR [SYS/TEMP] later", true),
        ("-ERR mailbox is locked", true),
        ("-ERR [SYS/PERM] never", false),
        ("-ERR unknown command", false),
    ] {
        after_login(&format!("C: UIDL\nS: {answer}\nC: LIST\nS: {answer}\n"), |client| {
            for listing in
                [client.unique_ids::<(), Error>(|_| None, |_, _, _| Ok(())), client.sizes(|_, _| ())]
            {
                let ListingAnswer::Refused(refused) = listing.unwrap() else { panic!("{answer}") };
                assert_eq!((refused.passes, refused.text.as_str()), (passes, &answer[5..]));
            }
        });
    }
}

#[test]
fn a_unique_id_with_the_password_in_it_is_none() {
    after_login("C: UIDL\nS: +OK\nS: 1 a\nS: 2 xtanstaafx\nS: 3\nS: .\n", |client| {
        let mut given = Vec::new();
        let listing = client.unique_ids::<(), Error>(
            |_| None,
            |number, id, _| {
                given.push((number, id.is_some()));
                Ok(())
            },
        );
        assert_eq!(listing.unwrap(), ListingAnswer::Taken);
        assert_eq!(given, [(n(1), true), (n(2), false), (n(3), false)]);
    });
}

/// The password was changed: what stands in the ledger already is still what it was.
#[test]
fn a_message_that_is_known_stays_known_whatever_the_password() {
    after_login("C: UIDL\nS: +OK\nS: 1 a\nS: 2 xtanstaafx\nS: .\n", |client| {
        let mut given = Vec::new();
        let known = |id: UniqueId<'_>| (id.as_bytes() != b"a").then_some("known");
        let listing = client.unique_ids::<_, Error>(known, |number, id, found| {
            given.push((number, id.is_some(), found));
            Ok(())
        });
        assert_eq!(listing.unwrap(), ListingAnswer::Taken);
        assert_eq!(given, [(n(1), true, None), (n(2), true, Some("known"))]);
    });
}

#[test]
fn a_listing_that_makes_no_sense_is_refused_with_its_line() {
    for (command, line) in [("UIDL", "x a"), ("UIDL", "0 a"), ("LIST", "one 1"), ("LIST", "")] {
        after_login(&format!("C: {command}\nS: +OK\nS: {line}\nS: .\n"), |client| {
            let e = match command {
                "UIDL" => client.unique_ids::<(), Error>(|_| None, |_, _, _| Ok(())).unwrap_err(),
                _ => client.sizes(|_, _| ()).unwrap_err(),
            };
            assert!(e.to_string().contains("is malformed"), "{e}");
            assert_eq!(code(&e), 76);
        });
    }
}

#[test]
fn the_error_of_whoever_takes_a_listing_ends_it() {
    after_login("C: UIDL\nS: +OK\nS: 1 a\nS: 2 b\nS: .\n", |client| {
        let stopped = client.unique_ids::<(), Error>(|_| None, |_, _, _| Err(Error::Stopped)).unwrap_err();
        assert!(matches!(stopped, Error::Stopped));
    });
}

#[test]
fn headers_are_asked_one_by_one_or_in_a_flight() {
    let asked = |pipelining, transcript: &str| {
        after_login(transcript, |client| {
            client.set_pipelining(pipelining);
            let (mut text, mut done) = (String::new(), Vec::new());
            client
                .headers(&[n(1), n(2), n(3)], |number, piece| match piece {
                    HeaderPiece::Text(piece) => {
                        text += &format!("{number}:{}", String::from_utf8_lossy(piece))
                    }
                    HeaderPiece::End => done.push((number, true)),
                    HeaderPiece::Refused => done.push((number, false)),
                })
                .unwrap();
            assert_eq!(done, [(n(1), true), (n(2), false), (n(3), true)]);
            assert_eq!(text, "1:A: b\n\n3:C: d\n\n");
        });
    };
    let [one, two, three] =
        ["S: +OK\nS: A: b\nS: \nS: .\n", "S: -ERR gone\n", "S: +OK\nS: C: d\nS: \nS: .\n"];
    asked(Sending::Off, &format!("C: TOP 1 0\n{one}C: TOP 2 0\n{two}C: TOP 3 0\n{three}"));
    asked(Sending::On, &format!("C: TOP 1 0\nC: TOP 2 0\nC: TOP 3 0\n{one}{two}{three}"));
}

#[test]
fn a_flight_is_answered_in_its_order() {
    let transcript = "C: RETR 1\nC: UIDL 1\nC: LIST 1\nC: STAT\nC: TOP 2 0\n\
                      S: +OK\nS: x\nS: .\nS: +OK 1 a\nS: -ERR\nS: +OK 1 3\nS: +OK\nS: .\n";
    after_login(transcript, |client| {
        client.set_pipelining(Sending::On);
        client.retrieve(n(1)).unwrap();
        client.unique_id_of(n(1)).unwrap();
        client.list_one(n(1)).unwrap();
        client.drop_listing().unwrap();
        client.top(n(2)).unwrap();
        assert!(client.has_window() && client.pipelines() && client.outstanding() == 5);
        let expected = [
            "RETR 1 +OK",
            "1: x\n",
            "RETR 1 ends after 3",
            "UIDL 1 +OK",
            "LIST 1 -ERR",
            "STAT +OK",
            "TOP 2 +OK",
        ];
        let answers = answers(client).unwrap();
        assert_eq!(answers[..expected.len()], expected);
        assert_eq!(answers.last().unwrap(), "TOP 2 ends after 0");
    });
}

#[test]
fn without_pipelining_there_is_one_command_at_a_time() {
    after_login("C: RETR 1\nS: -ERR\n", |client| {
        assert!(!client.pipelines() && client.has_window());
        client.retrieve(n(1)).unwrap();
        assert!(!client.has_window());
        assert_eq!(answers(client).unwrap(), ["RETR 1 -ERR"]);
        assert!(client.has_window() && client.is_low());
    });
}

#[test]
fn an_answer_too_many_is_never_taken_for_the_next_commands() {
    after_login("C: RETR 1\nS: -ERR\nS: +OK\n", |client| {
        client.retrieve(n(1)).unwrap();
        answers(client).unwrap();
        let e = client.retrieve(n(2)).and_then(|()| answers(client)).unwrap_err();
        assert!(e.is_disorder() && !e.ends_session(), "{e}");
        assert_eq!(code(&e), 76);
    });
}

#[test]
fn what_is_no_status_line_ends_the_session() {
    for (line, disorder) in [("Subject: hello", true), ("", true)] {
        after_login(&format!("C: RETR 1\nS: {line}\n"), |client| {
            client.retrieve(n(1)).unwrap();
            let e = answers(client).unwrap_err();
            assert_eq!((e.is_disorder(), code(&e)), (disorder, 76), "{e}");
            assert!(client.retrieve(n(2)).is_err(), "nothing is sent after it");
        });
    }
}

#[test]
fn a_message_that_is_cut_is_no_message() {
    for cut in ["S: +OK\nS: half of\n", "S: +OK\n", ""] {
        after_login(&format!("C: RETR 1\n{cut}S: (closes)\n"), |client| {
            client.retrieve(n(1)).unwrap();
            let e = answers(client).unwrap_err();
            assert!(e.is_closed() && e.ended() && e.ends_session() && !e.is_farewell(), "{e}");
            assert_eq!(code(&e), 75);
        });
    }
}

#[test]
fn a_farewell_is_the_servers_reason_to_close() {
    after_login(
        "C: RETR 1\nS: -ERR gone\nS: -ERR idle for too long, bye tanstaaf\nS: (closes)\n",
        |client| {
            client.retrieve(n(1)).unwrap();
            answers(client).unwrap();
            let farewell = match client.next(None, None) {
                Ok(Next::Event) => match client.event() {
                    ServerEvent::Farewell(reply) => client.farewell(reply.text),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            };
            assert!(farewell.is_farewell() && farewell.ends_session(), "{farewell}");
            assert!(farewell.to_string().ends_with("\"idle for too long, bye ***\""), "{farewell}");
            let doubted = farewell.doubted();
            assert!(doubted.is_disorder() && !doubted.is_farewell(), "{doubted}");
        },
    );
}

#[test]
fn a_silence_in_a_flight_differs_from_a_silence_after_one_command() {
    let quick = Setup { timeout: Duration::from_secs(1), ..USUAL };
    for pipelined in [false, true] {
        let commands = if pipelined { "C: RETR 1\nC: RETR 2\n" } else { "C: RETR 1\n" };
        session(&format!("{LOGGED_IN}{commands}"), &quick, |client| {
            client.set_pipelining(Sending::On);
            client.retrieve(n(1)).unwrap();
            if pipelined {
                client.retrieve(n(2)).unwrap();
            }
            let e = answers(client).unwrap_err();
            assert_eq!((e.forbids_pipelining(), e.ends_session()), (pipelined, !pipelined), "{e}");
            assert_eq!(code(&e), 75);
        });
    }
}

#[test]
fn a_message_that_needs_utf8_is_refused_for_that() {
    let plain = "C: RETR 1\nS: -ERR [UTF8] not in this mode\n";
    let reason = |transcript: &str, setup: &Setup<'_>| {
        session(transcript, setup, |client| {
            client.retrieve(n(1)).unwrap();
            assert_eq!(client.next(None, None).unwrap(), Next::Event);
            let ServerEvent::Reply { to: Sent::Retr(_), reply } = client.event() else { panic!() };
            client.refusal(reply.text)
        })
    };
    let reported = reason(&format!("{LOGGED_IN}{plain}"), &USUAL);
    assert_eq!(reported, "it needs UTF8, which the server did not offer: \"[UTF8] not in this mode\"");
    let reported = reason(&format!("{LOGGED_IN}C: RETR 1\nS: -ERR no such message\n"), &USUAL);
    assert_eq!(reported, "the server refused it: \"no such message\"");
    let offering = "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: UTF8\nS: .\n";
    let login = "C: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\nC: CAPA\nS: -ERR\n";
    let reported = reason(&format!("{offering}{login}{plain}"), &USUAL);
    assert_eq!(reported, "it needs UTF8, which was not used in this session: \"[UTF8] not in this mode\"");
    let reported =
        reason(&format!("{offering}C: UTF8\nS: +OK\n{login}{plain}"), &Setup { utf8: true, ..USUAL });
    assert_eq!(reported, "the server refused it: \"[UTF8] not in this mode\"");
}

// ---- deleting and leaving ----

#[test]
fn only_a_message_that_is_delivered_and_recognised_in_this_session_is_deleted() {
    after_login("C: DELE 1\nS: +OK\n", |client| {
        let ours = client.session();
        let delivered = |number: u32, entry| Delivered::attest(n(number), EntryId(entry));
        let recognised = |session, number: u32, entry| Recognised::attest(session, n(number), entry);
        for (delivered, recognised) in [
            (delivered(1, 7), recognised(SessionId(ours.0 + 1), 1, None)),
            (delivered(1, 7), recognised(ours, 2, None)),
            (delivered(1, 7), recognised(ours, 1, Some(EntryId(8)))),
        ] {
            let e = client.delete(&delivered, &recognised).unwrap_err();
            assert!(matches!(e, Error::NotRecognised { .. }), "{e}");
            assert_eq!((code(&e), client.outstanding()), (70, 0));
        }
        client.delete(&delivered(1, 7), &recognised(ours, 1, Some(EntryId(7)))).unwrap();
        assert_eq!(answers(client).unwrap(), ["DELE 1 +OK"]);
    });
}

/// Logs in and does something that ends the session.
fn ended<T>(transcript: &str, work: impl FnOnce(Client<Transaction>) -> T) -> T {
    let server = Server::new(&[&format!("{LOGGED_IN}{transcript}")]);
    let outcome = work(log_in(server.port, &USUAL).unwrap());
    assert_eq!(server.rest(), [""; 0]);
    outcome
}

#[test]
fn deletions_count_only_where_quit_was_answered() {
    for (answer, farewell) in [
        ("S: +OK bye\n", Farewell::Confirmed),
        (
            "S: -ERR some messages were not deleted\n",
            Farewell::Refused("some messages were not deleted".to_owned()),
        ),
        ("S: (closes)\n", Farewell::Unanswered),
        ("S: 250 ok\n", Farewell::Unanswered),
    ] {
        let outcome = ended(&format!("C: QUIT\n{answer}"), Client::quit);
        assert_eq!(outcome.unwrap(), farewell, "{answer}");
    }
}

#[test]
fn nothing_is_awaited_where_nothing_was_deleted() {
    ended("C: QUIT\n", |client| client.quit_without_answer().unwrap());
    // A connection that is closed without QUIT deletes nothing.
    ended("", Client::hang_up);
}

#[test]
fn quit_shows_whether_the_answers_before_it_were_in_step() {
    let outcome = |answer: &str| {
        let server = Server::new(&[&format!("{LOGGED_IN}C: QUIT\n{answer}")]);
        let mut client = log_in(server.port, &USUAL).unwrap();
        let outcome = client.quit_in_step();
        client.hang_up();
        server.rest();
        outcome
    };
    assert!(outcome("S: +OK\nS: (closes)\n").is_ok());
    assert!(outcome("S: +OK\nS: +OK\nS: (closes)\n").is_err(), "an answer too many");
    assert!(outcome("S: -ERR\nS: (closes)\n").unwrap_err().is_farewell());
    assert!(outcome("S: (closes)\n").unwrap_err().is_closed());
}

#[test]
fn a_farewell_ends_the_session_only_if_nothing_follows_it() {
    for (transcript, ends) in
        [("S: (closes)\n", true), ("S: -ERR bye\nS: (closes)\n", true), ("S: +OK\nS: (closes)\n", false)]
    {
        after_login(&format!("C: RETR 1\nS: -ERR\n{transcript}"), |client| {
            client.retrieve(n(1)).unwrap();
            answers(client).unwrap();
            assert_eq!(client.ends_here(), ends, "{transcript}");
        });
    }
}

/// RFC 1939 §8: at QUIT a server may remove what was retrieved.
#[test]
fn a_session_that_was_to_look_ends_by_quit_only_if_no_message_was_asked_for() {
    let rest = |transcript: &str, work: fn(&mut Client<Transaction>)| {
        let server = Server::new(&[&format!("{LOGGED_IN}{transcript}")]);
        let mut client = log_in(server.port, &USUAL).unwrap();
        work(&mut client);
        client.leave();
        server.rest()
    };
    assert_eq!(rest("", |_| ()), ["QUIT"]);
    let looks = |client: &mut Client<Transaction>| {
        client.top(n(1)).unwrap();
        answers(client).unwrap();
    };
    assert_eq!(rest("C: TOP 1 0\nS: -ERR\n", looks), [""; 0]);
    // Nor while an answer is due, which would be taken for that to QUIT.
    let asks = |client: &mut Client<Transaction>| client.list_one(n(1)).unwrap();
    assert!(!rest("", asks).contains(&"QUIT".to_owned()));
}

/// An answer about another message names nothing, nor does a refusal, whatever its words.
#[test]
fn an_answer_counts_only_for_the_message_that_it_names() {
    let transcript = "C: LIST 3\nS: +OK 4 100\nC: LIST 3\nS: -ERR 3 100\nC: LIST 3\nS: +OK 3 100\n\
                      C: UIDL 3\nS: +OK 4 a\nC: UIDL 3\nS: -ERR 3 a\nC: UIDL 3\nS: +OK 3 a\n";
    after_login(transcript, |client| {
        let sizes = [(); 3].map(|()| client.size_now(n(3)).unwrap().map(|octets| octets.0));
        assert_eq!(sizes, [None, None, Some(100)]);
        let ids = [(); 3].map(|()| client.unique_id_now(n(3)).unwrap().map(|id| id.to_string()));
        assert_eq!(ids, [None, None, Some("a".to_owned())]);
    });
}

/// A server that doesn't announce PIPELINING may lose what comes before it has answered.
#[test]
fn without_pipelining_nothing_follows_before_the_answer() {
    after_login("C: TOP 1 0\nS: (closes)\n", |client| {
        let e = client.headers(&[n(1), n(2)], |_, _| {}).unwrap_err();
        assert!(e.is_closed(), "{e}");
    });
    after_login("C: DELE 1\nS: (closes)\n", |client| {
        let both = [1, 2].map(|number| Dismissed::attest(client.session(), n(number)));
        assert!(client.dismiss(&both, |_, _| {}).unwrap_err().is_closed());
    });
}

/// A server that stops reading while it answers would wait for us, and we for it.
#[test]
fn a_flight_has_an_end() {
    after_login("", |client| {
        client.set_pipelining(Sending::On);
        let mut sent = 0;
        while client.has_window() && sent < 100_000 {
            assert_eq!(client.is_low(), client.link.session.outstanding_octets() <= FLIGHT_OCTETS / 2);
            client.retrieve(n(1)).unwrap();
            sent += 1;
        }
        assert!((100..10_000).contains(&sent), "{sent}");
        assert!(!client.is_low());
    });
}

#[test]
fn the_users_word_counts_for_the_session_that_it_was_given_in() {
    after_login("", |client| {
        let SessionId(session) = client.session();
        let other = Dismissed::attest(SessionId(session + 1), n(1));
        let e = client.dismiss(&[other], |_, _| {}).unwrap_err();
        assert!(matches!(e, Error::NotRecognised { .. }), "{e}");
        assert_eq!((code(&e), client.outstanding()), (70, 0));
    });
}

#[test]
fn a_message_is_read_until_there_is_enough_of_it() {
    let large = "S: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n".repeat(8_000);
    let transcript = format!("C: RETR 1\nS: +OK\n{large}S: .\n");
    let pieces = |enough: usize| {
        let mut pieces = 0;
        let server = Server::new(&[&format!("{LOGGED_IN}{transcript}")]);
        let mut client = log_in(server.port, &USUAL).unwrap();
        let each = |_: &[u8]| {
            pieces += 1;
            pieces < enough
        };
        assert_eq!(client.read_message(n(1), each).unwrap(), ListingAnswer::Taken);
        client.leave();
        server.rest();
        pieces
    };
    let all = pieces(usize::MAX);
    assert!(all > 2, "{all}");
    assert_eq!([pieces(1), pieces(2)], [1, 2]);
}

/// Else `QUIT` takes away what could not be stored.
#[test]
fn a_server_that_may_delete_what_was_retrieved_is_known_by_either_word_at_either_time() {
    for (before, after, drops, window) in [
        ("X-NONE", "X-NONE", false, false),
        ("EXPIRE 30", "EXPIRE NEVER", false, false),
        ("EXPIRE 0", "X-NONE", true, false),
        ("X-NONE", "EXPIRE 0", true, false),
        ("X-GOOGLE-RICO", "X-NONE", true, true),
        ("X-NONE", "X-GOOGLE-RICO", true, true),
    ] {
        let transcript = format!(
            "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: {before}\nS: .\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\n\
             C: CAPA\nS: +OK\nS: {after}\nS: .\n"
        );
        session(&transcript, &USUAL, |client| {
            assert_eq!(
                (client.drops_at_quit(), client.lists_a_window()),
                (drops, window),
                "{before} {after}"
            );
        });
    }
}
