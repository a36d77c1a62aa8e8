//! Whether another session follows one that broke off, and how much it may do.

use crate::client;
use crate::ledger::memory::{KnownPipelining, Limit, Memory, NamingForm};
use crate::plan::trial::{NOW, number};
use crate::protocol::error::{Error as ProtocolError, ServerWords};
use crate::protocol::session::Sent;
use crate::report::RunSummary;
use crate::retrieval::Options;
use crate::retrieval::course::SessionEnd;
use crate::retrieval::error::Error;
use crate::retrieval::run::Run;
use crate::retrieval::sessions::{FEWEST_COMMANDS, GOOD_SESSIONS, MOST_BROKEN, MOST_DISORDERED, Sessions};
use crate::retrieval::trial::Home;
use crate::secret::Secret;

/// The sessions of a run with these settings that has just begun.
fn with<T>(settings: &str, stopped: bool, work: impl FnOnce(&mut Sessions<'_, '_>) -> T) -> T {
    let home = Home::holding(&[]);
    if stopped {
        home.stop.raise();
    }
    let (account, options, context) = (home.account(settings), Options::default(), home.context());
    let run = Run::new(&account, &options, &context, NOW);
    let (mut summary, mut memory) = (RunSummary::default(), Memory::default());
    work(&mut Sessions::new(&run, &mut summary, &mut memory, &Secret::new("pencil")))
}

fn server() -> String {
    "127.0.0.1:110".to_owned()
}

fn closed() -> Error {
    client::Error::Farewell { server: server(), text: "bye".to_owned() }.into()
}

fn silence(pipelined: bool) -> Error {
    client::Error::TimedOut { server: server(), during: "RETR".to_owned(), pipelined }.into()
}

fn unasked() -> Error {
    let source = ProtocolError::Unsolicited { came: ServerWords::new(b"+OK") };
    client::Error::Protocol { server: server(), source }.into()
}

/// Sessions are taken to have a limit only where deletions hung on the one that was cut, or where it was cut before; half of
/// what was answered, and less each time.
#[test]
fn a_session_that_was_cut_with_deletions_open_is_followed_by_a_shorter_one() {
    let (unconfirmed, again) =
        (SessionEnd { unconfirmed: true, ..SessionEnd::default() }, SessionEnd::default());
    let again = SessionEnd { cut_again: true, ..again };
    // How it ended, what was answered, the limit before, whether the run is stopped; the limit then, if another follows.
    let cases = [
        (unconfirmed, 40, None, false, Some(20)),
        (unconfirmed, 41, None, false, Some(20)),
        (unconfirmed, 6, None, false, Some(FEWEST_COMMANDS)),
        (unconfirmed, 0, None, false, Some(FEWEST_COMMANDS)),
        (unconfirmed, 0, Some(FEWEST_COMMANDS), false, None),
        (unconfirmed, 40, Some(21), false, Some(20)),
        (unconfirmed, 40, Some(20), false, None),
        (unconfirmed, 60, Some(20), false, None),
        (unconfirmed, 40, None, true, None),
        (again, 40, None, false, Some(20)),
        (SessionEnd::default(), 40, None, false, None),
    ];
    for (ended, answered, before, stopped, expected) in cases {
        with("", stopped, |sessions| {
            sessions.course.ended = SessionEnd { answered, ..ended };
            sessions.course.good = 2;
            sessions.memory.limit = before.map(|commands| Limit { commands, since: NOW });
            let what = format!("{ended:?}, {answered}, {before:?}");
            assert_eq!(sessions.goes_on_after(&closed()), expected.is_some(), "{what}");
            let limit = sessions.memory.limit.map(|limit| (limit.commands, limit.since));
            assert_eq!(limit, expected.or(before).map(|commands| (commands, NOW)), "{what}");
            let was_cut = !stopped && (ended.unconfirmed || ended.cut_again);
            assert_eq!(sessions.course.good, if was_cut { 0 } else { 2 }, "{what}");
        });
    }
    // What doesn't end the session is no limit of sessions.
    with("", false, |sessions| {
        sessions.course.ended = SessionEnd { unconfirmed: true, answered: 40, ..SessionEnd::default() };
        assert!(!sessions.goes_on_after(&Error::Unfinished));
        assert!(!sessions.goes_on_after(&Error::Refuses { text: "quota".to_owned() }));
        assert_eq!(sessions.memory.limit, None);
    });
}

/// Each answer of a slow server comes in time, but a long session brings too little: else the same would happen in each run.
#[test]
fn a_session_that_was_too_slow_ends_the_run_and_the_next_one_has_shorter_ones() {
    let slow = || {
        let time = std::time::Duration::from_secs(600);
        client::Error::TooSlow { server: server(), octets: 9, time }.into()
    };
    for (unconfirmed, expected) in [(true, Some(20)), (false, None)] {
        with("", false, |sessions| {
            sessions.course.ended = SessionEnd { unconfirmed, answered: 40, ..SessionEnd::default() };
            assert!(!sessions.goes_on_after(&slow()));
            assert_eq!(sessions.memory.limit.map(|limit| limit.commands), expected);
        });
    }
}

/// A lost answer to QUIT is one more cut where sessions are known to be cut, and nothing elsewhere.
#[test]
fn a_lost_farewell_counts_only_where_sessions_are_known_to_be_cut() {
    for (quit_lost, before, expected) in
        [(true, Some(30), true), (true, None, false), (false, Some(30), false), (true, Some(10), false)]
    {
        with("", false, |sessions| {
            sessions.course.ended = SessionEnd { quit_lost, answered: 20, ..SessionEnd::default() };
            sessions.memory.limit = before.map(|commands| Limit { commands, since: NOW });
            assert_eq!(sessions.quit_was_cut(), expected, "{quit_lost}, {before:?}");
        });
    }
}

/// A refusal is an answer, a signal ends the run, and what doesn't end the session is no limit of it.
#[test]
fn what_is_no_cut_is_followed_by_nothing() {
    with("", false, |sessions| {
        sessions.memory.quit_unanswered = true;
        let ended = SessionEnd { quit_lost: true, answered: 20, ..SessionEnd::default() };
        sessions.course.ended = ended;
        assert!(!sessions.quit_was_cut(), "it was refused");
        sessions.course.ended = SessionEnd { cut_again: true, unconfirmed: true, ..ended };
        assert!(!sessions.goes_on_after(&Error::Unfinished) && sessions.memory.limit.is_none());
    });
    with("", true, |sessions| {
        sessions.course.ended = SessionEnd { quit_lost: true, answered: 20, ..SessionEnd::default() };
        sessions.memory.limit = Some(Limit { commands: 30, since: NOW });
        assert!(!sessions.quit_was_cut(), "it was stopped");
    });
}

/// A header that never ends was a spot check: the session is begun again without, once.
#[test]
fn after_a_spot_check_without_end_mail_comes_without() {
    let endless = || {
        let source = ProtocolError::AnswerTooLarge { to: Sent::Top(number(1)), limit: 9 };
        client::Error::Protocol { server: server(), source }.into()
    };
    with("", false, |sessions| {
        (sessions.memory.habits.top, sessions.memory.habits.listed) = (true, 1);
        let followed = [(); 2].map(|()| sessions.goes_on_after(&endless()));
        assert_eq!((followed, sessions.memory.habits.top), ([true, false], false));
    });
}

/// A server that closes at TOP, as the spot checks ask it: nothing but the listings was asked besides.
#[test]
fn after_a_connection_that_ended_at_a_spot_check_mail_comes_without() {
    // Whether the listing was due, whether TOP is in use, messages listed before; whether another session follows, without TOP.
    for (unlisted, top, before, expected) in
        [(true, true, 1, true), (false, true, 1, false), (true, false, 1, false), (true, true, 0, false)]
    {
        with("", false, |sessions| {
            (sessions.memory.habits.top, sessions.memory.habits.listed) = (top, before);
            sessions.course.ended = SessionEnd { unlisted, ..SessionEnd::default() };
            let what = format!("{unlisted} {top} {before}");
            assert_eq!(sessions.goes_on_after(&closed()), expected, "{what}");
            assert_eq!(sessions.memory.habits.top, top && !unlisted, "{what}");
            assert!(!sessions.goes_on_after(&closed()), "{what}: once");
        });
    }
}

/// A server that ends each session where QUIT comes would have everything to be deleted again in each run.
#[test]
fn a_farewell_that_is_lost_twice_in_a_row_makes_sessions_shorter() {
    with("", false, |sessions| {
        let mut cut = |quit_unanswered| {
            let quit_lost = quit_unanswered;
            sessions.course.ended =
                SessionEnd { quit_lost, quit_unanswered, answered: 20, ..SessionEnd::default() };
            sessions.quit_was_cut()
        };
        assert_eq!([true, false, true].map(&mut cut), [false; 3], "once is chance");
        assert!(cut(true));
        assert_eq!(sessions.memory.limit.map(|limit| limit.commands), Some(10));
    });
}

#[test]
fn after_some_good_sessions_in_a_row_the_next_may_last_twice_as_long() {
    with("", false, |sessions| {
        for _ in 0..9 {
            sessions.may_last_longer();
        }
        assert_eq!(sessions.memory.limit, None, "there is none to be raised");
    });
    with("", false, |sessions| {
        sessions.memory.limit = Some(Limit { commands: 10, since: NOW });
        let mut limits = Vec::new();
        for _ in 0..2 * GOOD_SESSIONS {
            sessions.may_last_longer();
            limits.push(sessions.memory.limit.unwrap().commands);
        }
        assert_eq!(limits, [10, 10, 20, 20, 20, 40]);
        sessions.memory.limit = Some(Limit { commands: u32::MAX - 1, since: NOW });
        sessions.course.good = GOOD_SESSIONS;
        sessions.may_last_longer();
        assert_eq!(sessions.memory.limit.unwrap().commands, u32::MAX);
    });
}

/// Answers that can't be matched to commands: asked again one command at a time, which is remembered unless the user has
/// set it.
#[test]
fn after_disorder_in_a_flight_the_same_is_asked_one_command_at_a_time() {
    for (settings, remembered) in
        [("", KnownPipelining::Broken(NOW)), ("pipelining = \"on\"", KnownPipelining::InStep)]
    {
        for (error, forgets) in [(Error::OutOfStep, true), (unasked(), false), (silence(true), false)] {
            with(settings, false, |sessions| {
                sessions.memory.pipelining = KnownPipelining::InStep;
                sessions.memory.names = Some((NamingForm::Size, NOW));
                sessions.course.ended =
                    SessionEnd { pipelined: true, asked: 7, void: 1, ..SessionEnd::default() };
                assert!(sessions.goes_on_after(&error), "{error}");
                assert_eq!(sessions.memory.pipelining, remembered, "{error}");
                assert!(sessions.course.unpipelined);
                assert_eq!(sessions.course.careful, 7);
                assert_eq!(sessions.memory.names.is_none(), forgets, "{error}");
                assert_eq!(sessions.course.disordered, 0);
            });
        }
    }
    with("", true, |sessions| {
        sessions.course.ended = SessionEnd { pipelined: true, ..SessionEnd::default() };
        assert!(!sessions.goes_on_after(&Error::OutOfStep), "the run is stopped");
    });
}

/// Before the listing, what falls silent was asked several things at once; what else comes there was not.
#[test]
fn disorder_where_nothing_was_pipelined_is_no_reason_to_give_pipelining_up() {
    for (error, expected) in [(silence(true), true), (unasked(), false), (Error::OutOfStep, false)] {
        with("", false, |sessions| {
            sessions.course.ended = SessionEnd { pipelined: false, void: 1, ..SessionEnd::default() };
            assert_eq!(sessions.goes_on_after(&error), expected, "{error}");
            assert_eq!(sessions.course.unpipelined, expected, "{error}");
        });
    }
    // One at a time already: it goes on as long as several messages are in doubt, and not for ever.
    for (void, disordered, expected) in
        [(2, 0, true), (1, 0, false), (0, 0, false), (2, MOST_DISORDERED - 1, false)]
    {
        with("", false, |sessions| {
            (sessions.course.unpipelined, sessions.course.disordered) = (true, disordered);
            sessions.course.ended = SessionEnd { void, asked: 5, pipelined: true, ..SessionEnd::default() };
            assert_eq!(sessions.goes_on_after(&Error::OutOfStep), expected, "{void}, {disordered}");
            assert_eq!((sessions.course.careful, sessions.course.disordered), (5, disordered + 1));
        });
    }
}

/// One message is certainly the cause: the others go on, unless none comes through.
#[test]
fn where_one_message_is_to_blame_the_others_go_on() {
    with("", false, |sessions| {
        sessions.course.ended = SessionEnd { blamed: true, confirmed: 0, ..SessionEnd::default() };
        let tried: Vec<bool> = (0..MOST_BROKEN).map(|_| sessions.goes_on_after(&unasked())).collect();
        assert_eq!(tried, [true, true, false]);
        assert!(!sessions.course.unpipelined);
    });
    with("", false, |sessions| {
        sessions.course.ended = SessionEnd { blamed: true, confirmed: 1, ..SessionEnd::default() };
        sessions.course.broken = MOST_BROKEN;
        assert!((0..9).all(|_| sessions.goes_on_after(&unasked())));
        assert_eq!(sessions.course.broken, 1);
    });
}

#[test]
fn where_no_answer_names_a_message_there_is_one_in_each_session() {
    with("", false, |sessions| {
        assert!(sessions.goes_on_after(&Error::NothingNames));
        assert!(sessions.course.nothing_names && sessions.course.unpipelined);
        assert!(!sessions.goes_on_after(&Error::NothingNames), "it's so already");
    });
}
