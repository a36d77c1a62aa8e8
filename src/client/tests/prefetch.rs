//! What is asked together with the login: no round trip more than there must be, and each answer to its question.

use super::{Setup, USUAL, n, refused, session};
use crate::account::Auth;
use crate::client::{Error, HeaderPiece, ListingAnswer, Prefetch, PrefetchFlight, QuickPoll};
use crate::types::Octets;

const OFFER: &str = "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: PIPELINING\nS: .\n";

const LISTING: Prefetch = Prefetch::Listing { drop_listing: true, headers: [None; 2], sizes: true };

fn one_flight(prefetch: Prefetch) -> Setup<'static> {
    Setup { prefetch: Some(prefetch), flight: PrefetchFlight::One, ..USUAL }
}

#[test]
fn login_and_listings_are_one_flight() {
    let transcript = format!(
        "{OFFER}C: USER me\nC: PASS tanstaaf\nC: CAPA\nC: STAT\nC: UIDL\nC: LIST\n\
         S: +OK\nS: +OK\nS: +OK\nS: TOP\nS: .\nS: +OK 2 30\nS: +OK\nS: 1 a\nS: 2 b\nS: .\nS: +OK\nS: 1 10\nS: 2 20\nS: .\n"
    );
    session(&transcript, &one_flight(LISTING), |client| {
        assert!(client.login_facts().one_flight);
        assert!(client.capabilities().is_some_and(|capabilities| capabilities.top()));
        assert_eq!(client.prefetched_drop_listing().unwrap(), Some((2, Octets(30))));
        assert_eq!(client.prefetched_drop_listing().unwrap(), None, "taken already");
        let mut entries = Vec::new();
        let listing = client.unique_ids::<(), Error>(
            |_| None,
            |number, unique_id, _| {
                entries.push(format!("{number} {}", unique_id.unwrap()));
                Ok(())
            },
        );
        assert_eq!((listing.unwrap(), entries.join(", ")), (ListingAnswer::Taken, "1 a, 2 b".to_owned()));
        assert!(client.has_prefetched_sizes());
        let mut sizes = Vec::new();
        assert_eq!(
            client.sizes(|number, octets| sizes.push((number, octets))).unwrap(),
            ListingAnswer::Taken
        );
        assert_eq!(sizes, [(n(1), Some(Octets(10))), (n(2), Some(Octets(20)))]);
        assert!(!client.has_prefetched_sizes() && client.outstanding() == 0);
    });
}

#[test]
fn spot_checks_come_before_the_listing_that_they_check() {
    let prefetch = Prefetch::Listing { drop_listing: false, headers: [Some(n(1)), Some(n(7))], sizes: false };
    let transcript = format!(
        "{OFFER}C: USER me\nC: PASS tanstaaf\nC: CAPA\nC: TOP 1 0\nC: TOP 7 0\nC: UIDL\n\
         S: +OK\nS: +OK\nS: -ERR\nS: +OK\nS: A: b\nS: \nS: .\nS: -ERR no message\nS: +OK\nS: 1 a\nS: .\n\
         C: UIDL\nS: +OK\nS: .\n"
    );
    session(&transcript, &one_flight(prefetch), |client| {
        assert!(client.capabilities().is_none());
        let (mut text, mut done) = (Vec::new(), Vec::new());
        client
            .prefetched_headers(|number, piece| match piece {
                HeaderPiece::Text(piece) => text.extend_from_slice(piece),
                HeaderPiece::End => done.push((number, true)),
                HeaderPiece::Refused => done.push((number, false)),
            })
            .unwrap();
        assert_eq!(
            (text.as_slice(), done.as_slice()),
            (&b"A: b\n\n"[..], &[(n(1), true), (n(7), false)][..])
        );
        // The second one is asked for.
        for _ in 0..2 {
            let listing = client.unique_ids::<(), Error>(|_| None, |_, _, _| Ok(()));
            assert_eq!(listing.unwrap(), ListingAnswer::Taken);
        }
    });
}

#[test]
fn a_server_that_drops_what_follows_the_password_is_recognised() {
    let unproven = Setup { flight: PrefetchFlight::Unproven, ..one_flight(LISTING) };
    let flight =
        format!("{OFFER}C: USER me\nC: PASS tanstaaf\nC: CAPA\nC: STAT\nC: UIDL\nC: LIST\nS: +OK\nS: +OK\n");
    let e = refused(&format!("{flight}S: (closes)\n"), &unproven);
    assert!(matches!(e, Error::FlightCut(_)), "{e}");
    // Or answers nothing more: the wait is a second at least, and a part of the time-out.
    let e = refused(&flight, &unproven);
    assert!(matches!(e, Error::FlightCut(_)), "{e}");
}

#[test]
fn where_the_flight_was_cut_before_the_listing_follows_the_login() {
    let transcript = format!(
        "{OFFER}C: USER me\nC: PASS tanstaaf\nS: +OK\nS: +OK\nC: CAPA\nC: STAT\nC: UIDL\nC: LIST\nS: -ERR\n\
         S: +OK 0 0\nS: +OK\nS: .\nS: +OK\nS: .\n"
    );
    session(&transcript, &Setup { flight: PrefetchFlight::Two, ..one_flight(LISTING) }, |client| {
        assert!(!client.login_facts().one_flight);
        assert_eq!(client.prefetched_drop_listing().unwrap(), Some((0, Octets(0))));
        assert_eq!(client.unique_ids::<(), Error>(|_| None, |_, _, _| Ok(())).unwrap(), ListingAnswer::Taken);
        assert_eq!(client.sizes(|_, _| ()).unwrap(), ListingAnswer::Taken);
    });
}

/// Nothing may follow AUTH in the same flight; and what ends there wasn't cut by the flight.
#[test]
fn what_is_asked_with_the_login_follows_it_where_it_takes_an_exchange() {
    let offer = "S: +OK\nC: CAPA\nS: +OK\nS: PIPELINING\nS: SASL PLAIN\nS: .\n";
    let login = "C: AUTH PLAIN AG1lAHRhbnN0YWFm\nS: +OK\n";
    let listing = "C: CAPA\nC: STAT\nC: UIDL\nC: LIST\n";
    let plain = Setup { auth: Auth::Plain, ..one_flight(LISTING) };
    let transcript = format!("{offer}{login}{listing}S: -ERR\nS: +OK 0 0\nS: +OK\nS: .\nS: +OK\nS: .\n");
    session(&transcript, &plain, |client| {
        assert!(!client.login_facts().one_flight);
        assert_eq!(client.prefetched_drop_listing().unwrap(), Some((0, Octets(0))));
    });
    let e = refused(&format!("{offer}{login}{listing}S: (closes)\n"), &plain);
    assert!(e.is_closed() && !matches!(e, Error::FlightCut(_)), "{e}");
}

#[test]
fn a_refused_password_leaves_the_rest_of_the_flight_unread() {
    let transcript = format!(
        "{OFFER}C: USER me\nC: PASS tanstaaf\nC: CAPA\nC: STAT\nC: UIDL\nC: LIST\nS: +OK\nS: -ERR [AUTH] no\n\
         S: -ERR log in first\nS: -ERR log in first\n"
    );
    let e = refused(&transcript, &one_flight(LISTING));
    assert!(e.to_string().ends_with("\"[AUTH] no\""), "{e}");
}

#[test]
fn nothing_is_prefetched_from_a_server_that_does_not_pipeline() {
    let transcript = "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: .\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\n\
                      C: CAPA\nS: -ERR\nC: UIDL\nS: +OK\nS: .\n";
    session(transcript, &one_flight(LISTING), |client| {
        assert_eq!(client.prefetched_drop_listing().unwrap(), None);
        assert_eq!(client.unique_ids::<(), Error>(|_| None, |_, _, _| Ok(())).unwrap(), ListingAnswer::Taken);
    });
}

#[test]
fn a_quick_poll_is_one_round_trip() {
    let login = format!("{OFFER}C: USER me\nC: PASS tanstaaf\nC: STAT\nC: UIDL 1\n");
    let quick = |last| one_flight(Prefetch::QuickPoll { last: n(last) });
    let asked = |transcript: &str, last| {
        session(transcript, &quick(last), |client| {
            assert!(!client.login_facts().one_flight, "no flight with listings has been taken");
            let poll = client.quick_poll().unwrap().unwrap();
            assert_eq!(client.quick_poll().unwrap(), None, "taken already");
            poll
        })
    };
    let poll = asked(&format!("{login}C: UIDL 9\nS: +OK\nS: +OK\nS: +OK 9 99\nS: +OK 1 a\nS: +OK 9 z\n"), 9);
    let QuickPoll { drop_listing, first, last } = &poll;
    let shown = |id: &Option<crate::types::UniqueIdBuf>| id.as_ref().map(ToString::to_string);
    assert_eq!(*drop_listing, Some((9, Octets(99))));
    assert_eq!((shown(first).as_deref(), shown(last).as_deref()), (Some("a"), Some("z")));
    // One message: it is first and last.
    let poll = asked(&format!("{login}S: +OK\nS: +OK\nS: +OK 1 5\nS: +OK 1 a\n"), 1);
    assert_eq!((poll.first.is_some(), poll.first == poll.last), (true, true));
    // What is refused, names another message, makes no sense, or holds the password, is unknown.
    let strange = format!("{login}C: UIDL 9\nS: +OK\nS: +OK\nS: +OK many\nS: +OK 2 a\nS: +OK 9 tanstaaf\n");
    assert_eq!(asked(&strange, 9), QuickPoll { drop_listing: None, first: None, last: None });
    let refused = format!("{login}C: UIDL 9\nS: +OK\nS: +OK\nS: -ERR\nS: -ERR\nS: -ERR\n");
    assert_eq!(asked(&refused, 9), QuickPoll { drop_listing: None, first: None, last: None });
}

#[test]
fn after_a_quick_poll_that_does_not_do_the_listings_are_one_flight() {
    let transcript = format!(
        "{OFFER}C: USER me\nC: PASS tanstaaf\nC: STAT\nC: UIDL 1\nS: +OK\nS: +OK\nS: +OK 1 5\nS: +OK 1 a\n\
         C: CAPA\nC: STAT\nC: UIDL\nC: LIST\nS: +OK\nS: TOP\nS: .\nS: +OK 2 9\nS: +OK\nS: 1 a\nS: 2 b\nS: .\n\
         S: -ERR\n"
    );
    session(&transcript, &one_flight(Prefetch::QuickPoll { last: n(1) }), |client| {
        assert!(client.quick_poll().unwrap().is_some());
        client.ask_listing().unwrap();
        assert!(client.capabilities().is_some_and(|capabilities| capabilities.top()));
        assert_eq!(client.prefetched_drop_listing().unwrap(), Some((2, Octets(9))));
        assert_eq!(client.unique_ids::<(), Error>(|_| None, |_, _, _| Ok(())).unwrap(), ListingAnswer::Taken);
        assert!(matches!(client.sizes(|_, _| ()).unwrap(), ListingAnswer::Refused(_)));
    });
}
