//! Single rules of the session; whole dialogues are in `tests/sessions/*.txt`.

use proptest::prelude::*;

use super::{Sent, ServerEvent, Session};
use crate::problem::Problem as _;
use crate::protocol::command::{Command, NotSent};
use crate::protocol::error::{Awaiting, Error};
use crate::protocol::limits::{
    CAPABILITY_LIMIT, LISTING_LIMIT, LISTING_LINE_LIMIT, STATUS_LINE_LIMIT, TOP_OCTETS,
};
use crate::protocol::response::ResponseCode;
use crate::secret::Secret;
use crate::types::MessageNumber;

fn n(number: u32) -> MessageNumber {
    MessageNumber::new(number).unwrap()
}

/// All events of the session for `octets`, once all it had to send is written; text joined; an error ends it.
fn feed(session: &mut Session, octets: &[u8]) -> Vec<String> {
    session.wrote(session.outgoing().len());
    let mut events = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let room = session.room();
        let (now, later) = rest.split_at(rest.len().min(room.len()));
        room[..now.len()].copy_from_slice(now);
        rest = later;
        let mut outcome = session.received(now.len());
        while outcome.is_ok() {
            match session.poll() {
                Ok(true) => note(&mut events, session.event()),
                Ok(false) => break,
                Err(error) => outcome = Err(error),
            }
        }
        if let Err(error) = outcome {
            events.push(format!("{} {error}", error.exit_code().number()));
            break;
        }
    }
    events
}

fn note(events: &mut Vec<String>, event: ServerEvent<'_>) {
    let ok = |ok: bool| if ok { "+OK" } else { "-ERR" };
    let line = match event {
        ServerEvent::Greeting(reply) => format!("greeting {} {}", ok(reply.ok), reply.text.escape_ascii()),
        ServerEvent::Reply { to, reply } => format!("{to} {} {}", ok(reply.ok), reply.text.escape_ascii()),
        ServerEvent::Challenge(challenge) => format!("challenge {}", challenge.escape_ascii()),
        ServerEvent::Line { to, line } => format!("{to}: {}", line.escape_ascii()),
        ServerEvent::Text { number, text } => {
            let head = format!("{number}| ");
            match events.last_mut() {
                Some(last) if last.starts_with(&head) => {
                    last.push_str(&text.escape_ascii().to_string());
                    return;
                }
                _ => format!("{head}{}", text.escape_ascii()),
            }
        }
        ServerEvent::End { to, octets } => format!("{to} ended, {octets}"),
        ServerEvent::Farewell(reply) => format!("farewell {}", reply.text.escape_ascii()),
    };
    events.push(line);
}

/// A session that was greeted, with `commands` sent in one flight.
fn greeted(commands: &[Command]) -> Session {
    let mut session = Session::new();
    feed(&mut session, b"+OK ready\r\n");
    for command in commands {
        session.send(command.clone()).unwrap();
    }
    session
}

#[test]
fn status_lines() {
    let understood: [(&[u8], &str); 6] = [
        (b"+ok x\r\n", "NOOP +OK x"),
        (b"+OK\r\n", "NOOP +OK "),
        (b"+OK\tx\r\n", "NOOP +OK x"),
        (b"-err\r\n", "NOOP -ERR "),
        (b"+ERR no\r\n", "NOOP -ERR no"),
        // Courier ends single lines in a bare LF.
        (b"-ERR failed\n", "NOOP -ERR failed"),
    ];
    for (octets, event) in understood {
        assert_eq!(feed(&mut greeted(&[Command::Noop]), octets), [event]);
    }
    for line in ["+OKx", "OK", "* OK", " +OK", "HTTP/1.1 400", "", "+", "+ abc"] {
        let octets = format!("{line}\r\n");
        for (mut session, awaiting) in [
            (Session::new(), "instead of a greeting"),
            (greeted(&[Command::Noop]), "where the answer to NOOP was due"),
        ] {
            let events = feed(&mut session, octets.as_bytes());
            assert_eq!(events.len(), 1, "{line}");
            assert!(events[0].starts_with("76 ") && events[0].contains(awaiting), "{line}: {events:?}");
            assert!(matches!(
                session.send(Command::Quit),
                Err(Error::CommandRefusedLocally { why: NotSent::Over, .. })
            ));
        }
    }
}

#[test]
fn overlong_status_lines() {
    let line = |octets: usize| [b"+OK ", &vec![b'x'; octets - 6][..], b"\r\n"].concat();
    for octets in [600, STATUS_LINE_LIMIT] {
        let events = feed(&mut greeted(&[Command::Noop]), &line(octets));
        assert!(events[0].starts_with("NOOP +OK xxx"), "{octets}");
    }
    let expected = "76 a line longer than 8192 octets came in the answer to NOOP";
    assert_eq!(feed(&mut greeted(&[Command::Noop]), &line(STATUS_LINE_LIMIT + 1)), [expected]);
    assert_eq!(feed(&mut greeted(&[Command::Noop]), &vec![b'+'; 1_000_000]), [expected]);
    // A challenge may be longer, within its own limit.
    let login = || greeted(&[Command::Auth { mechanism: "LOGIN", initial: None }]);
    let challenge = [b"+ ", &vec![b'A'; 12_000][..], b"\r\n"].concat();
    assert!(feed(&mut login(), &challenge)[0].starts_with("challenge AAAA"));
    assert!(feed(&mut login(), &vec![b'+'; 1_000_000])[0].starts_with("76 "), "S14");
}

#[test]
fn listing_lines_and_their_number_are_limited() {
    let mut session = greeted(&[Command::Uidl(None)]);
    let long = [b"+OK\r\n1 ", &vec![b'x'; LISTING_LINE_LIMIT][..], b"\r\n.\r\n"].concat();
    let events = feed(&mut session, &long);
    assert_eq!(
        events[1],
        "76 a line longer than 2048 octets came in the rest of the answer to UIDL, up to the dot on a \
                           line of its own that ends it"
    );
    let capabilities = |count: usize| [b"+OK\r\n", &b"X\r\n".repeat(count)[..], b".\r\n"].concat();
    let events = feed(&mut greeted(&[Command::Capa]), &capabilities(CAPABILITY_LIMIT));
    assert_eq!(events.last().unwrap(), "CAPA ended, 3000");
    let events = feed(&mut greeted(&[Command::Capa]), &capabilities(CAPABILITY_LIMIT + 1));
    assert_eq!(events.last().unwrap(), "76 the answer to CAPA has more than 1000 lines");
}

#[test]
fn million_messages_in_bounded_memory() {
    let mut session = greeted(&[Command::List(None)]);
    feed(&mut session, b"+OK\r\n");
    let block = b"1 1\r\n".repeat(1000);
    for _ in 0..LISTING_LIMIT / 1000 {
        assert_eq!(feed(&mut session, &block).len(), 1000);
    }
    assert!(session.room().len() <= 256 * 1024);
    assert_eq!(feed(&mut session, b"1 1\r\n"), ["76 the answer to LIST has more than 1000000 lines"]);
}

#[test]
fn a_large_message_in_bounded_memory() {
    let mut session = greeted(&[Command::Retr(n(1)), Command::Noop]);
    feed(&mut session, b"+OK\r\n");
    let line = [&[b'.'; 2][..], &[b'x'; 74], b"\r\n"].concat();
    let block = line.repeat(10_000);
    for _ in 0..10 {
        let room = session.room();
        assert!((64 * 1024 - 2..=256 * 1024).contains(&room.len()), "{}", room.len());
        let events = feed(&mut session, &block);
        assert_eq!(events.len(), 1, "one text, in pieces");
    }
    let events = feed(&mut session, b".\r\n+OK\r\n");
    assert_eq!(events, ["RETR 1 ended, 7700000", "NOOP +OK "]);
}

#[test]
fn message_without_an_octet() {
    let mut session = greeted(&[Command::Retr(n(1)), Command::Noop]);
    let events = feed(&mut session, b"+OK\r\n.\r\n-ERR\r\n");
    assert_eq!(events, ["RETR 1 +OK ", "RETR 1 ended, 0", "NOOP -ERR "]);
}

#[test]
fn status_line_is_due_after_a_terminator() {
    let commands = [Command::Retr(n(1)), Command::Retr(n(2)), Command::Noop];
    let events =
        feed(&mut greeted(&commands), b"+OK\r\nwhole\r\n.\r\n+OK\r\ncut\r\n.\r\nSubject: x\r\n+OK\r\n");
    assert_eq!(
        events,
        [
            "RETR 1 +OK ",
            "1| whole\\n",
            "RETR 1 ended, 7",
            "RETR 2 +OK ",
            "2| cut\\n",
            "RETR 2 ended, 5",
            "76 the server does not keep to POP3: it sent \"Subject: x\" where the answer to NOOP was due",
        ]
    );
    // A farewell answers no command.
    let mut session = greeted(&[Command::Retr(n(1))]);
    assert_eq!(feed(&mut session, b"+OK\r\na\r\n.\r\n-ERR bye\r\n").last().unwrap(), "farewell bye");
    let mut session = greeted(&[Command::Top(n(1), 0), Command::Noop]);
    let events = feed(&mut session, b"+OK\r\na\r\n.\r\n+OK\r\n");
    assert_eq!(events, ["TOP 1 +OK ", "1| a\\n", "TOP 1 ended, 3", "NOOP +OK "]);
}

#[test]
fn unsolicited_answers() {
    // Polled: +OK is a broken rule, -ERR a farewell.
    let mut session = greeted(&[Command::Noop]);
    let events = feed(&mut session, b"+OK\r\n+OK again\r\n");
    assert_eq!(events[1], "76 the server sent \"+OK again\" without having been asked");
    let mut session = greeted(&[]);
    let events = feed(&mut session, b"-ERR Disconnected for inactivity.\r\n");
    assert_eq!(events, ["farewell Disconnected for inactivity."]);
    assert!(session.send(Command::Noop).is_err());
    // Not polled: the next command would take it for its answer.
    for (octets, sentence) in [
        (&b"+OK again\r\n+OK\r\n"[..], "76 the server sent \"+OK again\" without having been asked"),
        (b"x", "76 the server sent \"x\" without having been asked"),
        (b"-ERR Autologout\r\n", "75 the server ended the session: \"Autologout\""),
    ] {
        let mut session = greeted(&[]);
        session.room()[..octets.len()].copy_from_slice(octets);
        session.received(octets.len()).unwrap();
        let error = session.send(Command::Noop).unwrap_err();
        assert_eq!(format!("{} {error}", error.exit_code().number()), sentence);
        assert!(session.outgoing().is_empty() && session.outstanding() == 0);
        assert!(is_over(&mut session));
    }
}

/// Whether nothing more can be sent.
fn is_over(session: &mut Session) -> bool {
    let sent = session.send(Command::Noop);
    matches!(sent, Err(Error::CommandRefusedLocally { why: NotSent::Over, .. }))
}

#[test]
fn no_answer_comes_before_its_command_was_written() {
    let early = |octets: &[u8], written: usize| {
        let mut session = greeted(&[Command::Noop, Command::Stls]);
        session.wrote(written);
        session.room()[..octets.len()].copy_from_slice(octets);
        session.received(octets.len()).unwrap();
        let mut events = Vec::new();
        loop {
            match session.poll() {
                Ok(true) => note(&mut events, session.event()),
                Ok(false) => return events,
                Err(error) => {
                    events.push(error.to_string());
                    return events;
                }
            }
        }
    };
    let unasked = "the server sent \"+OK\" without having been asked";
    assert_eq!(early(b"+OK\r\n", 5), [unasked]);
    assert_eq!(early(b"+OK\r\n+OK\r\n", 6), ["NOOP +OK ", unasked]);
    assert_eq!(early(b"+OK\r\n+OK\r\n", 12), ["NOOP +OK ", "STLS +OK "]);
    assert_eq!(early(b"-ERR Autologout\r\n", 0), ["farewell Autologout"], "R5");
}

#[test]
fn tls_where_clear_text_was_expected() {
    // Already the first octet shows it: no line end will come.
    for octets in [&b"\x15"[..], b"\x15\x03\x01\x00\x02\x02\x46", b"\x16\x03\x01"] {
        let mut session = Session::new();
        session.room()[..octets.len()].copy_from_slice(octets);
        session.received(octets.len()).unwrap();
        let error = session.poll().unwrap_err();
        assert!(matches!(error, Error::LooksLikeTls) && error.hint().unwrap().contains("implicit"));
    }
}

#[test]
fn what_may_be_sent_when() {
    let refusal = |session: &mut Session, command: Command| match session.send(command) {
        Err(Error::CommandRefusedLocally { why, .. }) => Some(why),
        Err(error) => panic!("{error}"),
        Ok(()) => None,
    };
    let auth = || Command::Auth { mechanism: "LOGIN", initial: None };
    let response = || Command::SaslResponse(Secret::new("QQ=="));
    assert_eq!(refusal(&mut Session::new(), Command::Capa), Some(NotSent::NoGreeting));
    // A flight may end in one of these, and nothing follows it.
    for (last, sent) in [(Command::Stls, Sent::Stls), (auth(), Sent::Auth), (Command::Quit, Sent::Quit)] {
        let mut session = greeted(&[Command::Capa, last]);
        for next in [Command::Noop, Command::Quit, auth()] {
            assert_eq!(refusal(&mut session, next), Some(NotSent::Unanswered(sent)));
        }
    }
    let mut session = greeted(&[]);
    assert_eq!(refusal(&mut session, response()), Some(NotSent::NoChallenge));
    assert_eq!(refusal(&mut session, auth()), None);
    assert_eq!(refusal(&mut session, response()), Some(NotSent::NoChallenge), "before the challenge");
    assert_eq!(feed(&mut session, b"+ \r\n"), ["challenge "]);
    assert_eq!(refusal(&mut session, Command::Noop), Some(NotSent::ChallengeDue));
    assert_eq!(refusal(&mut session, response()), None);
    assert_eq!(refusal(&mut session, Command::SaslCancel), Some(NotSent::NoChallenge));
    assert_eq!(feed(&mut session, b"+ QUJD\r\n"), ["challenge QUJD"]);
    assert_eq!(refusal(&mut session, Command::SaslCancel), None);
    // After `*` there is exactly one answer, and no further challenge.
    let mut other = greeted(&[auth()]);
    feed(&mut other, b"+ \r\n");
    other.send(Command::SaslCancel).unwrap();
    assert!(feed(&mut other, b"+ \r\n")[0].starts_with("76 "));
    assert_eq!(feed(&mut session, b"-ERR cancelled\r\n"), ["AUTH -ERR cancelled"]);
    assert_eq!(session.outstanding(), 0);
    // A refused command leaves no trace, and the session goes on.
    assert_eq!(refusal(&mut session, Command::User("a\r\nb".into())), Some(NotSent::ForbiddenOctet));
    assert_eq!(session.outstanding(), 0);
    assert_eq!(refusal(&mut session, Command::Quit), None);
    assert_eq!(feed(&mut session, b"+OK bye\r\n"), ["QUIT +OK bye"]);
    assert_eq!(refusal(&mut session, Command::Noop), Some(NotSent::Over));
}

#[test]
fn octets_between_stls_and_tls_end_the_session() {
    for injected in ["+OK injected\r\n", "x", "+OK injected", "-ERR\r\n+OK user accepted\r\n"] {
        // In one packet with the answer, and in one of its own.
        let mut session = greeted(&[Command::Stls]);
        let answer = format!("+OK\r\n{injected}");
        let events = feed(&mut session, answer.as_bytes());
        assert_eq!(events[0], "STLS +OK ");
        assert!(events[1].starts_with("76 octets in clear text"), "{events:?}");
        assert!(session.starttls_done().is_err() && is_over(&mut session));
        let mut session = greeted(&[Command::Stls]);
        feed(&mut session, b"+OK\r\n");
        session.room()[..injected.len()].copy_from_slice(injected.as_bytes());
        assert!(matches!(session.received(injected.len()), Err(Error::InjectionAfterStls)));
        assert!(is_over(&mut session));
        // In one packet, and nobody polled on before the handshake.
        let mut session = greeted(&[Command::Stls]);
        session.wrote(6);
        session.room()[..answer.len()].copy_from_slice(answer.as_bytes());
        session.received(answer.len()).unwrap();
        assert!(session.poll().unwrap());
        assert!(matches!(session.starttls_done(), Err(Error::InjectionAfterStls)));
        assert!(session.send(Command::Noop).is_err());
    }
}

#[test]
fn after_stls_nothing_said_in_clear_holds() {
    let mut session = Session::new();
    feed(&mut session, b"+OK in LF mode\n");
    assert!(session.starttls_done().is_err(), "nobody asked for it");
    session.send(Command::Stls).unwrap();
    feed(&mut session, b"+OK\n");
    assert_eq!(session.awaiting(), Awaiting::Handshake);
    assert!(session.send(Command::Noop).is_err());
    session.starttls_done().unwrap();
    session.send(Command::Retr(n(1))).unwrap();
    let events = feed(&mut session, b"+OK\r\na\n.\nb\r\n.\r\n");
    assert_eq!(events, ["RETR 1 +OK ", "1| a\\n.\\nb\\n", "RETR 1 ended, 7"]);
    let mut refused = greeted(&[Command::Stls]);
    feed(&mut refused, b"-ERR\r\n");
    assert!(refused.starttls_done().is_err());
    assert!(refused.send(Command::Quit).is_ok());
}

#[test]
fn the_window_is_measured_in_unanswered_octets() {
    let mut session = greeted(&[Command::Retr(n(1)), Command::Retr(n(22)), Command::Noop]);
    assert_eq!(session.outgoing(), b"RETR 1\r\nRETR 22\r\nNOOP\r\n");
    session.wrote(10);
    assert_eq!(session.outgoing(), b"TR 22\r\nNOOP\r\n");
    assert_eq!((session.outstanding(), session.outstanding_octets()), (3, 23), "written or not");
    feed(&mut session, b"+OK\r\nabc");
    assert_eq!((session.outstanding(), session.outstanding_octets()), (3, 15), "its answer has begun");
    feed(&mut session, b"\r\n.\r\n");
    assert_eq!((session.outstanding(), session.outstanding_octets()), (2, 15));
    feed(&mut session, b"-ERR gone\r\n+OK\r\n");
    assert_eq!((session.outstanding(), session.outstanding_octets()), (0, 0));
}

#[test]
fn what_the_end_of_the_stream_means() {
    let retr = || Command::Retr(n(7));
    let rest = Awaiting::Rest(Sent::Retr(n(7)));
    let cases: [(Vec<Command>, &[u8], Awaiting); 7] = [
        (vec![], b"", Awaiting::Nothing),
        (vec![Command::Pass(Secret::new("x"))], b"", Awaiting::Answer(Sent::Pass)),
        (vec![retr()], b"+OK half a li", Awaiting::Answer(Sent::Retr(n(7)))),
        (vec![retr()], b"+OK\r\n", rest),
        (vec![retr()], b"+OK\r\na\r\n.", rest),
        (vec![retr()], b"+OK\r\na\r\n.\r", rest),
        (vec![retr()], b"+OK\r\na\r\n.\r\n", Awaiting::Nothing),
    ];
    for (commands, octets, expected) in cases {
        let mut session = greeted(&commands);
        feed(&mut session, octets);
        assert_eq!(session.awaiting(), expected);
        let error = session.end_of_stream();
        assert!(matches!(error, Error::Closed { during } if during == expected), "{error}");
        assert_eq!(error.exit_code().number(), 75);
        assert!(is_over(&mut session));
    }
    // It ends in the greeting; and something else that never sends a line end.
    for octets in [&b""[..], b"-", b"+O", b"+OK re"] {
        let mut session = Session::new();
        feed(&mut session, octets);
        assert!(matches!(session.end_of_stream(), Error::Closed { during: Awaiting::Greeting }));
    }
    for octets in [&b"SSH-2.0"[..], b"\0\0"] {
        let mut session = Session::new();
        feed(&mut session, octets);
        assert_eq!(session.end_of_stream().exit_code().number(), 76);
    }
}

#[test]
fn response_codes_arrive() {
    let mut session = Session::new();
    let line = b"-ERR [IN-USE] x\r\n";
    session.room()[..line.len()].copy_from_slice(line);
    session.received(line.len()).unwrap();
    assert!(session.poll().unwrap());
    let ServerEvent::Greeting(reply) = session.event() else { panic!() };
    assert_eq!((reply.ok, reply.code, reply.text), (false, Some(ResponseCode::InUse), &b"[IN-USE] x"[..]));
    session.room();
    assert!(
        matches!(session.event(), ServerEvent::Farewell(reply) if reply.text.is_empty()),
        "nothing is lent any more"
    );
}

#[test]
fn no_secret_in_debug_output() {
    let session = greeted(&[Command::User("u".into()), Command::Pass(Secret::new("hunter2"))]);
    let text = format!("{session:?}");
    assert!(!text.contains("hunter2") && !text.contains("104, 117, 110, 116"));
}

/// A dialogue with a bit of everything.
const COMMANDS: [&str; 9] = ["CAPA", "UIDL", "RETR 1", "RETR 2", "RETR 3", "TOP 4", "DELE 1", "NOOP", "QUIT"];
const ANSWERS: &[u8] =
    b"+OK caps\r\nTOP\r\n..foo\r\n.\r\n+OK\r\n1 a\r\n3 \xff b\r\n.\r\n+OK 5 octets\r\n..\r\n\r\n.x\ny\r\r\n\
    .\r\n-ERR [SYS/TEMP] no\r\n+OK\r\n.\r\n+OK\r\nA: b\r\n\n.\r\n\r\n.\r\n+OK\r\n-ERR\r\n+OK bye\r\n";

fn everything(chunks: &[&[u8]]) -> Vec<String> {
    let mut session = greeted(&[
        Command::Capa,
        Command::Uidl(None),
        Command::Retr(n(1)),
        Command::Retr(n(2)),
        Command::Retr(n(3)),
        Command::Top(n(4), 1),
        Command::Dele(n(1)),
        Command::Noop,
        Command::Quit,
    ]);
    let mut events: Vec<String> = Vec::new();
    for chunk in chunks {
        for event in feed(&mut session, chunk) {
            let head = event.split_inclusive(' ').next().unwrap_or_default();
            match events.last_mut() {
                Some(last) if head.ends_with("| ") && last.starts_with(head) => {
                    last.push_str(&event[head.len()..])
                }
                _ => events.push(event),
            }
        }
    }
    events
}

#[test]
fn every_split_in_two_gives_the_same_events() {
    let whole = everything(&[ANSWERS]);
    for command in COMMANDS {
        assert!(whole.iter().any(|event| event.starts_with(command)), "{command}: {whole:#?}");
    }
    assert_eq!(whole.last().unwrap(), "QUIT +OK bye");
    for at in 0..=ANSWERS.len() {
        let (first, second) = ANSWERS.split_at(at);
        assert_eq!(everything(&[first, second]), whole, "split at {at}");
    }
    let octets: Vec<&[u8]> = ANSWERS.chunks(1).collect();
    assert_eq!(everything(&octets), whole);
}

proptest! {
    #[test]
    fn chunking_never_changes_events(
        octets in proptest::collection::vec(
            prop_oneof![
                Just(b"+OK\r\n".to_vec()), Just(b"-ERR\r\n".to_vec()), Just(b".\r\n".to_vec()), Just(b"\r\n".to_vec()),
                Just(b".".to_vec()), Just(b"1 a".to_vec()), Just(b"\r".to_vec()), Just(b"\n".to_vec()),
            ],
            0..40,
        ),
        size in 1_usize..9,
    ) {
        let octets = octets.concat();
        let chunks: Vec<&[u8]> = octets.chunks(size).collect();
        let (whole, split) = (everything(&[&octets]), everything(&chunks));
        // Fed on after an error, the split one would go on complaining.
        let end = split.iter().position(|event| event.starts_with("7")).map_or(split.len(), |at| at + 1);
        prop_assert_eq!(&split[..end], whole.as_slice());
    }

    #[test]
    fn no_script_breaks_an_invariant(script in proptest::collection::vec(any::<u8>(), 0..200)) {
        super::fuzz_session(&[b"\xba+OK hello\r\n", &script[..]].concat());
        super::fuzz_session(&script);
    }
}

/// Puts octets into the session, and reads none of them.
fn arrives(session: &mut Session, octets: &[u8]) {
    session.wrote(session.outgoing().len());
    session.room()[..octets.len()].copy_from_slice(octets);
    session.received(octets.len()).unwrap();
}

/// Nothing can be sent any more, and what was lent is void, so that no caller goes on by mistake.
#[test]
fn whatever_ends_a_session_ends_it_for_good() {
    let endless = vec![b'x'; STATUS_LINE_LIMIT + 2];
    let mut too_long = b"+OK\r\n".to_vec();
    too_long.resize(too_long.len() + LISTING_LINE_LIMIT + 2, b'1');
    let cases: [(&[Command], &[u8]); 6] = [
        (&[], b"+OK what\r\n"),
        (&[], b"-ERR bye\r\n"),
        (&[Command::Noop], b"hello\r\n"),
        (&[Command::Noop], &endless),
        (&[Command::Uidl(None)], &too_long),
        (&[Command::Quit], b"+OK\r\n"),
    ];
    for (commands, octets) in cases {
        let mut session = greeted(commands);
        feed(&mut session, octets);
        assert!(is_over(&mut session), "{}", octets.escape_ascii());
    }
    let mut session = greeted(&[Command::Noop]);
    session.end_of_stream();
    assert!(is_over(&mut session), "the end of the stream");
    let mut session = greeted(&[]);
    arrives(&mut session, b"+OK unasked\r\n");
    assert!(matches!(session.send(Command::Noop), Err(Error::Unsolicited { .. })));
    assert!(is_over(&mut session), "something unasked, that was not read yet");
}

/// In a flight the answer to the command before may lie unread.
#[test]
fn an_answer_that_is_not_read_yet_keeps_no_command_back() {
    let mut session = greeted(&[Command::Noop]);
    arrives(&mut session, b"+OK\r\n");
    session.send(Command::Noop).unwrap();
    assert!(session.poll().unwrap());
}

/// What an event lends is gone with the next octets, or the next event: then it is one at which every caller stops.
#[test]
fn an_event_is_void_when_the_session_goes_on() {
    let is_void = |session: &Session| matches!(session.event(), ServerEvent::Farewell(reply) if reply.text.is_empty() && !reply.ok);
    let mut session = greeted(&[Command::Noop]);
    arrives(&mut session, b"+OK words\r\n");
    assert!(session.poll().unwrap() && !is_void(&session));
    session.room();
    assert!(is_void(&session));
    let mut session = greeted(&[Command::Noop, Command::Noop]);
    arrives(&mut session, b"+OK words\r\nno POP3\r\n");
    assert!(session.poll().unwrap() && session.poll().is_err());
    assert!(is_void(&session));
}

/// A server that greets with a bare LF ends all its lines so; at any other one a dot between bare LFs is text.
#[test]
fn how_lines_end_is_learnt_from_the_greeting() {
    for (greeting, ended) in [(&b"+OK ready\n"[..], true), (b"+OK ready\r\n", false)] {
        let mut session = Session::new();
        feed(&mut session, greeting);
        session.send(Command::Retr(n(1))).unwrap();
        let events = feed(&mut session, b"+OK\r\na\n.\n");
        assert_eq!(events.iter().any(|event| event.contains("ended")), ended, "{events:?}");
        assert_eq!(session.is_in_text(), !ended);
    }
    // Refused, it has no text.
    let mut session = greeted(&[Command::Retr(n(1))]);
    assert!(!session.is_in_text());
    feed(&mut session, b"-ERR\r\n");
    assert!(!session.is_in_text());
}

/// Only what comes first of all can be the beginning of TLS; later it's an answer that isn't one.
#[test]
fn tls_is_suspected_only_in_the_place_of_the_greeting() {
    let record = b"\x16\x03\x01\r\n";
    let events = feed(&mut Session::new(), record);
    let later = feed(&mut greeted(&[Command::Noop]), record);
    assert!(events[0].contains("TLS") && !later[0].contains("TLS"), "{events:?} {later:?}");
}

/// A header has a bound; a message has its own, which the caller sets.
#[test]
fn a_message_may_be_longer_than_any_header() {
    let line = [vec![b'x'; 16 * 1024 - 2], b"\r\n".to_vec()].concat();
    for (command, is_bounded) in [(Command::Top(n(1), 0), true), (Command::Retr(n(1)), false)] {
        let mut session = greeted(&[command]);
        feed(&mut session, b"+OK\r\n");
        let mut refused = false;
        for _ in 0..=TOP_OCTETS / 16_384 {
            let room = session.room();
            let octets = line.len().min(room.len());
            room[..octets].copy_from_slice(&line[..octets]);
            session.received(octets).unwrap();
            while let Ok(true) = session.poll().inspect_err(|_| refused = true) {}
            if refused {
                break;
            }
        }
        assert_eq!(refused, is_bounded);
    }
}
