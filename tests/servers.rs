//! Against real servers beside Dovecot: Courier, GNU mailutils, popa3d and WildDuck, each with the jobs that people do.
//! `tests/run` brings them.

mod front;
pub(crate) mod real;

use front::Cut;
use real::{Courier, OfMbox, PASSWORD, Real, USER, WildDuck};

use crate::support::mail;
use crate::support::mailboxes::{Maildir, assert_same};
use crate::support::sandbox::{Run, Sandbox};

/// A server, and a home whose account is there.
struct Place<'a> {
    server: &'a dyn Real,
    line: Cut,
    sandbox: Sandbox,
    put: Vec<Vec<u8>>,
}

impl<'a> Place<'a> {
    fn new(server: &'a dyn Real, keys: &str) -> Self {
        let place =
            Self { server, line: Cut::start(server.port()), sandbox: Sandbox::new(), put: Vec::new() };
        place.configure(keys);
        place
    }

    fn configure(&self, keys: &str) {
        self.sandbox.config(format!(
            "[accounts.work]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"{USER}\"\n\
             password = \"{PASSWORD}\"\ntimeout = \"4s\"\ndeliver = {{ maildir = \"~/in\" }}\n{keys}\n",
            self.line.port()
        ));
    }

    fn put(&mut self, octets: Vec<u8>) {
        self.server.put(&octets);
        self.put.push(mail::stored(&octets));
    }

    fn put_some(&mut self, count: u64) {
        for number in 0..count {
            let next = self.put.len();
            let message = String::from_utf8(mail::message(next as u64, 600 + number as usize * 150)).unwrap();
            // popa3d makes its unique-ids of the Received lines.
            self.put(message.replacen(" by ", &format!(" by {next}."), 1).into_bytes());
        }
    }

    /// Runs, and waits until the server has heard of its end.
    fn run(&self, args: &[&str]) -> Run {
        let run = self.sandbox.run(args);
        self.settle();
        run
    }

    fn settle(&self) {
        self.line.settle();
        self.server.settle();
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.code(), Some(0), "{}\n{}", self.server.name(), run.shown());
        run
    }

    fn delivered(&self) -> Vec<Vec<u8>> {
        let messages = Maildir::read(&self.sandbox.path("in")).messages();
        messages.into_iter().map(|message| self.server.without_additions(message)).collect()
    }

    /// Each message once, octet by octet.
    #[track_caller]
    fn has_all(&self) {
        let expected = self.put.iter().map(|octets| self.server.without_additions(octets.clone())).collect();
        assert_same(self.delivered(), expected);
    }
}

/// Each job with each server, if that's there.
macro_rules! jobs {
    ($($server:ident: $start:expr;)*) => {
        $(mod $server {
            use super::*;

            #[test]
            fn first_run_nothing_new_new_mail_and_delete() {
                let Some(server) = $start else { return };
                super::first_run_nothing_new_new_mail_and_delete(&server);
            }

            #[test]
            fn kept_then_deleted() {
                let Some(server) = $start else { return };
                super::kept_then_deleted(&server);
            }

            #[test]
            fn cut_off_and_done_again() {
                let Some(server) = $start else { return };
                super::cut_off_and_done_again(&server);
            }

            #[cfg(feature = "crash-points")]
            #[test]
            fn killed_and_gone_on() {
                let Some(server) = $start else { return };
                super::killed_and_gone_on(&server);
            }
        })*
    };
}

jobs! {
    courier: Courier::start();
    mailutils: OfMbox::mailutils();
    popa3d: OfMbox::popa3d();
    wildduck: WildDuck::start();
}

/// Messages that a server has no reason to change.
fn samples() -> Vec<Vec<u8>> {
    let whole = |octets: &[u8]| {
        octets.ends_with(b"\r\n")
            && octets.starts_with(b"From: ")
            && octets.windows(4).any(|window| window == b"\r\n\r\n")
            && !octets.contains(&0)
            && octets.iter().enumerate().all(|(at, octet)| match octet {
                b'\n' => at > 0 && octets[at - 1] == b'\r',
                b'\r' => octets.get(at + 1) == Some(&b'\n'),
                _ => true,
            })
            && !octets.windows(6).any(|window| window == b"\nFrom " || window == b">From ")
            && !octets.windows(6).any(|window| window.eq_ignore_ascii_case(b"status"))
    };
    mail::samples().into_iter().map(|sample| sample.octets).filter(|octets| whole(octets)).collect()
}

fn first_run_nothing_new_new_mail_and_delete(server: &dyn Real) {
    let mut place = Place::new(server, "");
    samples()
        .into_iter()
        .for_each(|sample| place.put([b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n", &sample[..]].concat()));
    place.succeeds(&[]);
    place.has_all();
    for _ in 0..2 {
        place.succeeds(&["-v"]).complains("nothing new");
    }
    place.put_some(3);
    place.succeeds(&[]).complains("3 new, ");
    place.has_all();
    assert_eq!(server.left(), place.put.len());
    place.succeeds(&["--delete"]);
    place.has_all();
    assert_eq!(server.left(), 0, "{}", server.name());
    place.succeeds(&["-v"]).complains("nothing new");
    place.put_some(2);
    place.succeeds(&["--delete"]);
    place.has_all();
    assert_eq!(server.left(), 0, "{}", server.name());
}

fn kept_then_deleted(server: &dyn Real) {
    let mut place = Place::new(server, "leave-on-server = false");
    place.put_some(5);
    place.succeeds(&["--keep"]);
    place.has_all();
    assert_eq!(server.left(), 5);
    place.put_some(2);
    let run = place.succeeds(&["-vv"]);
    place.has_all();
    assert_eq!(server.left(), 0, "{}\n{}", server.name(), run.shown());
}

/// popa3d makes its unique-ids of the Received lines: mail that a machine sends to itself may have them all equal.
#[test]
fn messages_to_which_popa3d_gives_one_unique_id() {
    let Some(server) = OfMbox::popa3d() else { return };
    let mut place = Place::new(&server, "leave-on-server = false");
    (0..5).for_each(|number| place.put(mail::message(number, 1000)));
    place.succeeds(&["--keep"]);
    place.has_all();
    (5..7).for_each(|number| place.put(mail::message(number, 1000)));
    place.until_done();
}

/// mailutils writes fields of its own into the mbox, so that each message has another size and another header in the
/// next session.
#[test]
fn what_mailutils_rewrites_is_not_delivered_again() {
    let Some(server) = OfMbox::mailutils() else { return };
    let mut place = Place::new(&server, "");
    place.put_some(2);
    place.put(b"From: report@example.org\r\nSubject: no body, no identity\r\n\r\n".to_vec());
    place.put(b"From: report@example.org\r\nSubject: no identity\r\n\r\nbody\r\n".to_vec());
    for _ in 0..3 {
        place.succeeds(&[]);
        place.has_all();
    }
    place.succeeds(&["--delete"]);
    place.has_all();
    assert_eq!(server.left(), 0);
}

fn cut_off_and_done_again(server: &dyn Real) {
    let mut place = Place::new(server, "leave-on-server = false");
    place.put_some(12);
    // How much it sends: in a home that keeps everything.
    let trial = Place::new(server, "leave-on-server = true");
    trial.succeeds(&[]);
    let total = trial.line.said();
    for part in 1..=8 {
        place.line.cut_after(Some(total * part / 9));
        place.run(&[]).never_says("panicked");
        place.line.cut_after(None);
    }
    place.until_done();
}

impl Place<'_> {
    /// Runs until there is nothing left, three times at most; and then nothing comes again.
    #[track_caller]
    fn until_done(&self) {
        for _ in 0..3 {
            let run = self.run(&[]);
            if run.code() == Some(0) && self.server.left() == 0 {
                self.has_all();
                self.succeeds(&["-v"]).complains("nothing new");
                self.has_all();
                return;
            }
        }
        panic!("{}: {} messages left\n{}", self.server.name(), self.server.left(), self.run(&["-v"]).shown());
    }
}

#[cfg(feature = "crash-points")]
fn killed_and_gone_on(server: &dyn Real) {
    let mut place = Place::new(server, "leave-on-server = false");
    place.put_some(6);
    let mut step = 1;
    loop {
        let run = place.sandbox.popfetch([""; 0]).crash_at(step).run();
        place.settle();
        if !run.crashed() {
            break;
        }
        // A little later each time, so that some runs die with deletions that nobody confirmed.
        step += 4;
        if step % 3 == 0 {
            place.put_some(1);
        }
    }
    place.until_done();
}

/// Courier answers QUIT, and removes the messages after that.
#[test]
fn courier_mail_not_yet_removed_is_not_repeated() {
    let Some(courier) = Courier::start_with(100) else { return };
    let mut place = Place::new(&courier, "leave-on-server = false");
    place.put_some(8);
    eight_bits(101).into_iter().for_each(|message| place.put(message));
    place.polled_too_soon();
    place.until_done();
}

/// The same, where it makes another wrapper in each session: that may come again, once.
#[test]
fn courier_wrapper_not_yet_removed_comes_at_most_twice() {
    let Some(courier) = Courier::start_with(300) else { return };
    let mut place = Place::new(&courier, "utf8 = \"off\"\nleave-on-server = false");
    eight_bits(101).into_iter().for_each(|message| place.put(message));
    place.polled_too_soon();
    place.settle();
    place.succeeds(&[]);
    assert_eq!(courier.left(), 0);
    let delivered = place.delivered();
    for message in &place.put {
        let copies = delivered.iter().filter(|octets| wraps(octets, message)).count();
        assert!((1..=2).contains(&copies), "{copies}");
    }
}

impl Place<'_> {
    /// Polls, and polls again before that session has ended.
    #[track_caller]
    fn polled_too_soon(&self) {
        let deleted = format!("{} deleted", self.put.len());
        self.sandbox.run([""; 0]).succeeds().complains(&deleted);
        let run = self.sandbox.run(["-v"]);
        assert!(!run.err().contains(" 0 messages on the server"), "Courier was too fast\n{}", run.shown());
        for _ in 0..3 {
            self.sandbox.run([""; 0]);
        }
    }
}

/// A message with these octets in its header.
fn eight_bit(number: u64, header: &[u8]) -> Vec<u8> {
    let plain = mail::message(number, 700);
    let end = plain.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 2;
    [&plain[..end], header, &plain[end..]].concat()
}

/// UTF-8 and Latin-1: what Courier doesn't hand out before UTF8.
fn eight_bits(first: u64) -> [Vec<u8>; 2] {
    [
        eight_bit(first, "X-Greeting: Gr\u{fc}\u{df}e, \u{4f60}\u{597d}\r\n".as_bytes()),
        eight_bit(first + 1, b"X-Greeting: Gr\xfc\xdfe\r\n"),
    ]
}

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

/// Whether this is what Courier makes of a message for clients that don't ask for UTF8, with the message inside.
fn wraps(octets: &[u8], message: &[u8]) -> bool {
    contains(octets, b"Cannot display Unicode content") && contains(octets, message)
}

#[test]
fn what_courier_would_wrap_comes_as_it_is() {
    let Some(courier) = Courier::start() else { return };
    let mut place = Place::new(&courier, "leave-on-server = false");
    eight_bits(101).into_iter().for_each(|message| place.put(message));
    place.put_some(2);
    place.until_done();
    // Left there and deleted later, others are known again.
    eight_bits(103).into_iter().for_each(|message| place.put(message));
    place.succeeds(&["--keep"]);
    place.has_all();
    place.until_done();
}

#[test]
fn with_utf8_off_courier_sends_its_wrapper() {
    let Some(courier) = Courier::start() else { return };
    let mut place = Place::new(&courier, "utf8 = \"off\"\nleave-on-server = false");
    eight_bits(101).into_iter().for_each(|message| place.put(message));
    place.succeeds(&[]);
    let delivered = place.delivered();
    assert_eq!(delivered.len(), 2);
    for message in &place.put {
        assert_eq!(delivered.iter().filter(|octets| wraps(octets, message)).count(), 1);
    }
    assert_eq!(courier.left(), 0);
    place.succeeds(&["-v"]).complains("nothing new");
}

#[test]
fn utf8_switched_off_and_on_loses_and_repeats_nothing() {
    let Some(courier) = Courier::start() else { return };
    let mut place = Place::new(&courier, "");
    for (session, utf8) in ["auto", "off", "auto", "off"].into_iter().enumerate() {
        place.configure(&format!("utf8 = \"{utf8}\"\nleave-on-server = false"));
        let number = session as u64;
        let message = eight_bit(number, "X-Greeting: Gr\u{fc}\u{df}e\r\n".as_bytes());
        place.put(message.clone());
        place.put(mail::message(100 + number, 800));
        place.succeeds(&[]);
        let delivered = place.delivered();
        assert_eq!(delivered.len(), place.put.len());
        let message = mail::stored(&message);
        let arrived = delivered.iter().any(|octets| match utf8 {
            "off" => wraps(octets, &message),
            _ => *octets == message,
        });
        assert!(arrived, "{utf8}");
        assert_eq!(courier.left(), 0);
    }
    place.succeeds(&["-v"]).complains("nothing new");
}

/// What was left there by one mode and is deleted in the other: plain mail comes once; what looks different now may
/// come again, as it is now, before it's deleted.
#[test]
fn switching_utf8_loses_nothing() {
    for (first, then) in [("auto", "off"), ("off", "auto")] {
        let Some(courier) = Courier::start() else { return };
        let mut place = Place::new(&courier, &format!("utf8 = \"{first}\""));
        eight_bits(101).into_iter().for_each(|message| place.put(message));
        place.put_some(2);
        place.succeeds(&[]);
        place.configure(&format!("utf8 = \"{then}\""));
        place.succeeds(&["-v"]).complains("nothing new");
        assert_eq!(place.delivered().len(), 4);
        place.configure(&format!("utf8 = \"{then}\"\nleave-on-server = false"));
        place.succeeds(&[]);
        let delivered = place.delivered();
        for (number, message) in place.put.iter().enumerate() {
            let copies = delivered.iter().filter(|octets| contains(octets, message)).count();
            assert!(
                (1..=if number < 2 { 2 } else { 1 }).contains(&copies),
                "{first}, {then}: {copies} of {number}"
            );
        }
        assert_eq!(courier.left(), 0, "{first}, {then}");
        place.succeeds(&["-v"]).complains("nothing new");
    }
}
