//! What goes on without end is given up, and a signal is seen meanwhile.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Setup, USUAL, log_in_with};
use crate::client::link::{KEEP_ALIVE, LAST_ANSWERS};
use crate::client::{Client, Error, ListingAnswer, Next, Transaction};
use crate::problem::Problem as _;
use crate::protocol::session::ServerEvent;
use crate::signals::Stop;
use crate::types::MessageNumber;

/// Serves one client: greets, refuses CAPA, accepts any login, and leaves the rest to `then`, which gets the first line
/// after it.
fn serve(then: impl FnOnce(&str, &mut TcpStream) + Send + 'static) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"+OK ready\r\n").unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(line)) = lines.next() {
            let answer = match line.split(' ').next() {
                Some("CAPA") => "-ERR\r\n",
                Some("USER" | "PASS") => "+OK\r\n",
                _ => return then(&line, &mut stream),
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, server)
}

fn log_in(port: u16, timeout: Duration, stop: &Stop) -> Result<Client<Transaction>, Error> {
    log_in_with(port, &Setup { pipelining: false, timeout, ..USUAL }, stop, None)
}

/// A session with a server that does this after the login.
fn session(
    then: impl FnOnce(&str, &mut TcpStream) + Send + 'static,
) -> (Client<Transaction>, JoinHandle<()>) {
    let (port, server) = serve(then);
    (log_in(port, LONG, &Stop::new().unwrap()).unwrap(), server)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_signal_is_seen_while_octets_pour_in() {
    let stop = Stop::new().unwrap();
    let (port, server) = serve(|_, stream| {
        let much = b"X-Pad: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(4096);
        let _ = stream.write_all(b"+OK\r\n");
        while stream.write_all(&much).is_ok() {}
    });
    let mut client = log_in(port, LONG, &stop).unwrap();
    client.retrieve(MessageNumber::FIRST).unwrap();
    let mut texts = 0;
    loop {
        match client.next(None, None).unwrap() {
            Next::Event if matches!(client.event(), ServerEvent::Text { .. }) => {
                texts += 1;
                if texts == 10 {
                    stop.raise();
                }
                assert!(texts < 100_000, "the signal was never seen");
            }
            Next::Event => {}
            Next::Stopped => break,
            other => panic!("{other:?}"),
        }
    }
    client.hang_up();
    server.join().unwrap();
}

/// While something else takes its time, such as a slow filter, the server must not end the session.
#[test]
fn a_server_that_nothing_is_asked_of_is_kept_awake() {
    let (mut client, server) = session(|line, stream| {
        assert_eq!(line, "NOOP");
        let _ = stream.write_all(b"+OK\r\n");
    });
    client.link.resting = Instant::now().checked_sub(KEEP_ALIVE);
    assert_eq!(client.next(None, Some(LONG)).unwrap(), Next::Event);
    assert!(matches!(client.event(), ServerEvent::Reply { .. }));
    client.hang_up();
    server.join().unwrap();
}

#[test]
fn a_header_that_never_ends_is_given_up() {
    let (mut client, server) = session(|_, stream| {
        let much = b"X-Pad: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(4096);
        let _ = stream.write_all(b"+OK\r\n");
        while stream.write_all(&much).is_ok() {}
    });
    let error = client.headers(&[MessageNumber::FIRST], |_, _| {}).unwrap_err();
    assert_eq!(error.exit_code().number(), 76);
    assert!(error.is_endless_header(), "{error}");
    client.hang_up();
    server.join().unwrap();
}

#[test]
fn a_listing_of_endless_unique_ids_is_given_up() {
    let (mut client, server) = session(|_, stream| {
        let _ = stream.write_all(b"+OK\r\n");
        let long = "u".repeat(2000);
        for hundred in 0_u32.. {
            let lines: String = (1..=100).map(|n| format!("{} {long}\r\n", hundred * 100 + n)).collect();
            if stream.write_all(lines.as_bytes()).is_err() {
                return;
            }
        }
    });
    let mut entries = 0;
    let listing = client.unique_ids::<(), Error>(
        |_| None,
        |_, _, _| {
            entries += 1;
            Ok(())
        },
    );
    let error = listing.unwrap_err();
    assert_eq!(error.exit_code().number(), 76);
    assert!(error.to_string().ends_with("the answer to UIDL is larger than 96.0 MiB"), "{error}");
    assert!(entries < 51_000, "{entries}");
    client.hang_up();
    server.join().unwrap();
}

#[test]
fn a_server_is_quoted_briefly_and_not_without_end() {
    let (client, server) = session(|_, _| {});
    let words = vec![b'x'; 4000];
    let quoted: usize = (0..50_000).map(|_| client.quote(&words).chars().count()).sum();
    assert!(client.quote(&words).chars().count() < 10);
    assert!(quoted < 200_000, "{quoted}");
    client.hang_up();
    server.join().unwrap();
}

#[test]
fn what_was_said_before_the_line_ended_is_read_though_nothing_can_be_written() {
    // The answer has come, and the line is broken, before the client writes its next command.
    let (mut client, server) = session(|_, stream| {
        let _ = stream.write_all(b"-ERR [SYS/TEMP] shutting down\r\n");
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let listing = client.unique_ids::<(), Error>(|_| None, |_, _, _| Ok(())).unwrap();
    let ListingAnswer::Refused(refused) = listing else { panic!("{listing:?}") };
    assert!(refused.passes && refused.text.contains("shutting down"), "{refused:?}");
    client.hang_up();
    server.join().unwrap();
}

/// What was asked may still be answered: ten seconds are left for it, and no more.
#[test]
fn after_a_signal_the_last_answers_are_not_waited_for_without_end() {
    for while_waiting in [false, true] {
        let stop = Stop::new().unwrap();
        let theirs = stop.clone();
        let (port, server) = serve(move |line, stream| {
            assert_eq!(line, "RETR 1");
            if while_waiting {
                theirs.raise();
            }
            let _ = stream.read(&mut [0]);
        });
        let mut client = log_in(port, LONG, &stop).unwrap();
        client.retrieve(MessageNumber::FIRST).unwrap();
        if !while_waiting {
            stop.raise();
        }
        let now = Instant::now();
        assert_eq!(client.next(None, None).unwrap(), Next::Stopped);
        let limit = client.link.limit.unwrap();
        assert!(limit > now && limit <= Instant::now() + LAST_ANSWERS);
        assert_eq!(client.next(None, Some(Duration::ZERO)).unwrap(), Next::Quiet, "it is reported once");
        client.link.limit = Some(Instant::now() + Duration::from_millis(50));
        assert!(matches!(client.next(None, None), Err(Error::Stopped)));
        client.link.limit = Some(Instant::now());
        assert!(matches!(client.next(None, Some(LONG)), Err(Error::Stopped)));
        client.hang_up();
        server.join().unwrap();
    }
}

const PATIENCE: Duration = Duration::from_millis(1500);

/// Gives a message in these pieces, one after each pause, to a client with this [`PATIENCE`].
fn drips(piece: &'static [u8], pause: Duration, pieces: u32) -> (Client<Transaction>, JoinHandle<()>) {
    let (port, server) = serve(move |_, stream| {
        stream.write_all(b"+OK\r\n").unwrap();
        for _ in 0..pieces {
            thread::sleep(pause);
            // The client may have given up.
            let _ = stream.write_all(piece);
        }
        let _ = stream.write_all(b"\r\n.\r\n");
    });
    (log_in(port, PATIENCE, &Stop::new().unwrap()).unwrap(), server)
}

fn retrieved(client: &mut Client<Transaction>) -> Result<(), Error> {
    client.retrieve(MessageNumber::FIRST)?;
    while client.outstanding() > 0 {
        assert_eq!(client.next(None, None)?, Next::Event);
    }
    Ok(())
}

/// Twice the time-out, in each case.
#[test]
fn a_message_may_take_as_long_as_it_keeps_coming() {
    const TEXT: [u8; 600] = [b'x'; 600];
    let pause = Duration::from_millis(250);
    // What comes counts; and so does a sign of life in the header, as gateways send it.
    let cases = [drips(&TEXT, pause, 12), drips(b"X: y\r\n", pause, 12)];
    thread::scope(|threads| {
        for (mut client, server) in cases {
            let _ = threads.spawn(move || {
                retrieved(&mut client).unwrap();
                client.hang_up();
                server.join().unwrap();
            });
        }
    });
}

#[test]
fn time_in_which_nobody_listened_is_not_the_servers() {
    let (mut client, server) = drips(&[b'x'; 600], Duration::from_millis(2200), 1);
    client.retrieve(MessageNumber::FIRST).unwrap();
    assert_eq!(client.next(None, None).unwrap(), Next::Event);
    assert_eq!(client.next(None, Some(Duration::ZERO)).unwrap(), Next::Quiet);
    thread::sleep(Duration::from_millis(1800));
    while client.outstanding() > 0 {
        assert_eq!(client.next(None, None).unwrap(), Next::Event);
    }
    client.hang_up();
    server.join().unwrap();
}

/// As the committer does with each batch.
#[test]
fn a_silent_server_is_given_up_however_often_something_else_wakes_us() {
    let (port, server) = serve(|_, stream| drop(stream.read(&mut [0])));
    let mut client = log_in(port, Duration::from_millis(500), &Stop::new().unwrap()).unwrap();
    let (mut wakes, mut waker) = std::io::pipe().unwrap();
    let waking = thread::spawn(move || {
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(50));
            if waker.write_all(b"!").is_err() {
                break;
            }
        }
    });
    client.retrieve(MessageNumber::FIRST).unwrap();
    let begun = Instant::now();
    let failure = loop {
        match client.next(Some(wakes.as_fd()), None) {
            Ok(Next::Woken) => wakes.read_exact(&mut [0]).unwrap(),
            other => break other,
        }
    };
    assert!(matches!(failure, Err(Error::TimedOut { .. })), "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    client.hang_up();
    drop(wakes);
    waking.join().unwrap();
    server.join().unwrap();
}
