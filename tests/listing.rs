//! Listings as servers write them, and what is concluded from one that is cut, empty or odd.

use std::fmt::Write as _;

use crate::mailbox::{body, good, serve, small, stored};
use crate::support::server::{Cut, Message, Options};

/// A server whose listings are these texts, of one command at a time.
fn listing(unique_ids: &[u8], sizes: Option<&str>, count: u64) -> Options {
    let options = good(small(count)).without("PIPELINING").instead("UIDL", answer(unique_ids));
    match sizes {
        Some(sizes) => options.instead("LIST", answer(sizes.as_bytes())),
        None => options,
    }
}

fn answer(lines: &[u8]) -> Vec<u8> {
    [b"+OK\r\n", lines, b".\r\n"].concat()
}

#[test]
fn unique_id_lines_of_every_kind() {
    let odd = b"1 a\r\n2  b\r\n+OK 3 c\r\n4 d e\r\n5\tf\r\n6 g \r\n";
    let served = serve(listing(odd, None, 6), "");
    served.fetch().succeeds();
    served.holds(stored(1..=6));
    // The same unique-ids, by the book.
    let instead = answer(b"1 a\r\n2 b\r\n3 c\r\n4 d e\r\n5 f\r\n6 g\r\n");
    served.server.change(|options| {
        options.instead.iter_mut().for_each(|(command, answer)| {
            if command == "UIDL" {
                answer.clone_from(&instead);
            }
        })
    });
    served.fetch().succeeds();
    assert_eq!(served.server.count("RETR"), 6);
}

#[test]
fn unique_ids_of_any_length_or_none() {
    let long = |length: usize| "u".repeat(length);
    let lines =
        format!("1 {}\r\n2 {}\r\n3 {}\r\n4 \r\n5\r\n6 {}\r\n", long(71), long(1000), long(1024), long(1025));
    for keys in ["", "leave-on-server = false"] {
        let served = serve(listing(lines.as_bytes(), None, 6), keys);
        served.fetch().succeeds();
        served.holds(stored(1..=6));
        assert_eq!(served.server.maildrop("me").len(), if keys.is_empty() { 6 } else { 0 });
    }
    // Those without one are found again by their headers.
    let served = serve(listing(lines.as_bytes(), None, 6), "");
    for _ in 0..3 {
        served.fetch().succeeds();
    }
    served.holds(stored(1..=6));
    assert_eq!(served.server.count("RETR"), 6);
}

#[test]
fn hostile_unique_ids_are_harmless() {
    let names: [&[u8]; 10] =
        [b"../../etc/passwd", b"/", b"..", b"%2e%n", b"\x80\xff", b"\x1b[2J", b"#", b"-rf", b"a b", b"\\x41"];
    let messages = (1..).zip(names).map(|(number, name)| Message::new(name, body(number)));
    let served = serve(good(messages), "");
    for _ in 0..2 {
        let run = served.sandbox.run(["-vv"]);
        run.succeeds().never_says(b"\x1b");
        // The octet alone is no UTF-8.
        assert!(std::str::from_utf8(&run.stderr).is_ok(), "{}", run.shown());
        served.holds(stored(1..=10));
    }
    served.sandbox.run(["--dry-run"]).succeeds().never_says(b"\x1b").never_says(b"\x80");
    assert_eq!(served.server.count("RETR"), 10);
    for name in [&b"passwd"[..], b"\x1b", b"\x80"] {
        let in_names = |path: &std::path::PathBuf| {
            path.as_os_str().as_encoded_bytes().windows(name.len()).any(|window| window == name)
        };
        assert!(!served.sandbox.files().keys().any(in_names));
    }
    assert!(served.sandbox.files_with(b"\x1b").is_empty(), "never raw in a file");
}

#[test]
fn any_order_and_gaps() {
    // RETR of a number that the real maildrop lacks would fail: nine messages, three listed.
    let sizes = Some("5 400\r\n1 400\r\n9 400\r\n");
    let served = serve(listing(b"9 i\r\n1 a\r\n5 e\r\n", sizes, 9), "leave-on-server = false");
    served.fetch().succeeds();
    served.holds(stored([1, 5, 9]));
    let commands = served.server.commands(1);
    let retrieved: Vec<&String> = commands.iter().filter(|command| command.starts_with("RETR")).collect();
    assert_eq!(retrieved, ["RETR 1", "RETR 5", "RETR 9"]);
    assert_eq!(served.server.maildrop("me").len(), 6);
}

#[test]
fn contradictory_listings_are_refused() {
    let table: [(&[u8], i32); 8] = [
        (b"0 a\r\n", 76),
        (b"-1 a\r\n", 76),
        (b"x\r\n", 76),
        (b"18446744073709551616 a\r\n", 76),
        (b"4294967296 a\r\n", 76),
        (b"1 a\r\n2 b\r\n1 c\r\n", 76),
        (b"1 a\r\n2 b\r\n1 a\r\n", 0),
        (b"1 a\r\n1 a\r\n2 b\r\n", 0),
    ];
    for (lines, code) in table {
        let served = serve(listing(lines, None, 2), "leave-on-server = false");
        served.fetch().exits(code);
        served.holds(stored(1..=if code == 0 { 2 } else { 0 }));
        assert_eq!(served.server.count("DELE"), if code == 0 { 2 } else { 0 });
    }
}

#[test]
fn listings_that_disagree() {
    // Mail came between UIDL and LIST, and the other way round.
    let mut options = listing(b"1 a\r\n2 b\r\n3 c\r\n", Some("1 400\r\n2 400\r\n3 400\r\n4 400\r\n"), 4);
    options.instead.insert(0, ("UIDL 4".into(), b"+OK 4 d\r\n".to_vec()));
    let served = serve(options, "");
    served.fetch().succeeds();
    served.holds(stored(1..=3));
    let served = serve(listing(b"1 a\r\n2 b\r\n3 c\r\n4 d\r\n", Some("1 400\r\n2 400\r\n3 400\r\n"), 4), "");
    served.fetch().succeeds();
    served.holds(stored(1..=4));
}

/// Some servers give no unique-id for some messages, and leave them out of the listing; or out of all of it.
#[test]
fn what_only_the_scan_listing_has_comes_as_well() {
    for pipelining in [true, false] {
        for unique_ids in [&b"1 a\r\n3 c\r\n"[..], b""] {
            let mut options = good(small(3)).instead("UIDL", answer(unique_ids));
            if !pipelining {
                if !unique_ids.is_empty() {
                    continue;
                }
                options = options.without("PIPELINING");
            }
            let served = serve(options, "");
            for _ in 0..3 {
                served.fetch().succeeds();
                served.holds(stored(1..=3));
            }
            assert_eq!(served.server.count("RETR"), 3);
        }
    }
}

#[test]
fn sizes_of_every_kind() {
    let sizes = "1 400 extra\r\n2  400\r\n3\r\n4 0\r\n5 9223372036854775808\r\n6 18446744073709551616\r\n";
    for keys in ["", "leave-on-server = { total-size = \"1M\" }", "max-bytes = \"1G\""] {
        let served = serve(listing(b"1 a\r\n2 b\r\n3 c\r\n4 d\r\n5 e\r\n6 f\r\n", Some(sizes), 6), keys);
        let run = served.fetch();
        run.succeeds();
        if keys.starts_with("max-bytes") {
            // Half of 2^64 octets don't fit into the run's limit; an unknown size is no reason to wait.
            served.holds(stored([1, 2, 3, 4, 6]));
        } else {
            served.holds(stored(1..=6));
        }
    }
}

#[test]
fn listing_cut_short_changes_nothing() {
    // Without spot checks: a session that ended at one is followed by another.
    let served = serve(good(small(3)).without("TOP"), "listing = \"full\"");
    served.fetch().succeeds();
    served.fetch().succeeds();
    let ledger = || {
        let files = served.sandbox.files();
        files.into_iter().find(|(path, _)| path.ends_with("ledger")).map(|(_, octets)| octets).unwrap()
    };
    let before = ledger();
    // The second session ended with the listing and the answer to QUIT.
    let end = served.server.octets_sent(2) - "+OK bye\r\n".len() as u64;
    let begin = end - "+OK\r\n1 uid-1\r\n2 uid-2\r\n3 uid-3\r\n.\r\n".len() as u64;
    for cut in begin..end {
        served.server.change(|options| options.cut = Some(Cut::After(cut)));
        served.fetch().exits(75);
    }
    assert_eq!(before, ledger());
    served.server.change(|options| options.cut = None);
    served.fetch().succeeds();
    assert_eq!(served.server.count("RETR"), 3, "none comes again");
}

#[test]
fn empty_listing_forgets_nothing() {
    let served = serve(good(small(3)), "leave-on-server = true");
    served.fetch().succeeds();
    let all = served.server.maildrop("me");
    for _ in 0..2 {
        served.server.replace("me", []);
        served.fetch().succeeds();
        served.server.replace("me", all.clone());
        served.fetch().succeeds();
    }
    assert_eq!(served.server.count("RETR"), 3);
    served.holds(stored(1..=3));
}

#[test]
fn listing_of_an_error_forgets_nothing() {
    // Courier with a full disk.
    let served = serve(good(small(3)), "leave-on-server = true");
    served.fetch().succeeds();
    let all = served.server.maildrop("me");
    served.server.replace("me", [Message::new("ENOMEM-1", "Subject: disk full\r\n\r\n").refused("-ERR no")]);
    served.fetch().exits(75);
    served.server.replace("me", all);
    served.fetch().succeeds();
    served.holds(stored(1..=3));
    assert_eq!(served.server.count("RETR 2"), 1);
    assert_eq!(served.server.count("RETR 3"), 1);
}

#[test]
fn listing_over_the_limit_is_refused() {
    let mut lines = String::with_capacity(16 << 20);
    for number in 1..=1_000_001 {
        write!(lines, "{number} u{number}\r\n").unwrap();
    }
    let served = serve(listing(lines.as_bytes(), None, 1), "");
    served.fetch().exits(76).complains("1000000");
    served.holds([""; 0]);
}

#[test]
fn hundred_thousand_messages_are_listed_quickly() {
    let mut lines = String::new();
    for number in 1..=100_000 {
        write!(lines, "{number} 0123456789abcdef{number}\r\n").unwrap();
    }
    let served = serve(listing(lines.as_bytes(), None, 3), "max-messages = 3");
    served.fetch().succeeds();
    served.holds(stored(1..=3));
    let run = served.fetch();
    // The maildrop has only three: the next ones are refused, which is the server's affair.
    run.exits(75);
    served.holds(stored(1..=3));
}

#[test]
fn unique_ids_that_are_refused_for_now_are_waited_for() {
    // First contact: what is delivered without a unique-id would come again under the one that it has later.
    let announced = good(small(2)).instead("UIDL", "-ERR [SYS/TEMP] index is being rebuilt\r\n");
    let not_announced =
        good(small(2)).without("UIDL").instead("UIDL", "-ERR server busy, try again later\r\n");
    let mut not_announced = not_announced;
    not_announced.instead.remove(0);
    for options in [announced, not_announced, good(small(2)).instead("UIDL", "-ERR what?\r\n")] {
        let words = String::from_utf8(options.instead[0].1.clone()).unwrap();
        let served = serve(options, "leave-on-server = false");
        served
            .fetch()
            .exits(75)
            .complains("refused UIDL")
            .complains(words.trim_end().trim_start_matches("-ERR "));
        served.holds([""; 0]);
        assert_eq!((served.server.count("RETR"), served.server.count("DELE")), (0, 0));
        served.server.change(|options| options.instead.clear());
        served.fetch().succeeds();
        served.holds(stored(1..=2));
    }
}

#[test]
fn an_empty_maildrop_may_refuse_to_list_unique_ids() {
    serve(good([]).instead("UIDL", "-ERR no messages\r\n"), "").fetch().succeeds();
}

#[test]
fn why_the_listing_was_refused_is_said() {
    for (words, code) in [("command disabled by policy 17", 76), ("[SYS/TEMP] storage offline", 75)] {
        let options = good(small(1)).without("UIDL").instead("LIST", format!("-ERR {words}\r\n"));
        serve(options, "leave-on-server = false")
            .fetch()
            .exits(code)
            .complains("refused LIST")
            .complains(words);
    }
}
