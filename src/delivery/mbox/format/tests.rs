//! Entries of an mbox, octet for octet, and what readers make of them.

use super::{EntryFingerprint, Formatter, HEADER_HELD, Sink, is_from_line};
use crate::delivery::Error;
use crate::message::{Digest, Examiner};
use proptest::prelude::*;

/// What no message may bring into an mbox.
const DROPPED: [&str; 8] =
    ["Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "Lines"];

const DATE: &str = "Thu Jan  1 00:00:00 1970";

fn entry(text: &[u8], chunk: usize) -> Vec<u8> {
    entry_under(b"", text, chunk)
}

fn entry_under(prefix: &[u8], text: &[u8], chunk: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut formatter = Formatter::new(DATE.to_owned());
    formatter.prepend(prefix);
    for piece in text.chunks(chunk.max(1)) {
        formatter.feed(piece, &mut out).unwrap();
    }
    let mut examiner = Examiner::summing(prefix);
    examiner.update(text);
    formatter.finish(&examiner.finish(), &mut out).unwrap();
    out
}

fn fingerprint(entry: &[u8], chunk: usize) -> Digest {
    let mut fingerprint = EntryFingerprint::new();
    entry.chunks(chunk).for_each(|piece| fingerprint.feed(piece).unwrap());
    fingerprint.finish().unwrap()
}

/// What a reader of mboxrd makes of an entry.
fn unquoted(entry: &[u8], verbatim: bool) -> Vec<u8> {
    let body = entry.strip_suffix(b"\n").unwrap();
    let mut out = Vec::new();
    for (number, line) in body.split_inclusive(|octet| *octet == b'\n').skip(1).enumerate() {
        let quotes = line.iter().take_while(|octet| **octet == b'>').count();
        let verbatim = verbatim && number == 0;
        out.extend_from_slice(if quotes > 0 && !verbatim && line[quotes..].starts_with(b"From ") {
            &line[1..]
        } else {
            line
        });
    }
    out
}

/// The message without what an mbox doesn't take, found line by line.
fn without_dropped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut body, mut dropping) = (Vec::new(), false, false);
    for (number, line) in text.split_inclusive(|octet| *octet == b'\n').enumerate() {
        body |= line == b"\n";
        let continued = line.starts_with(b" ") || line.starts_with(b"\t");
        if !body && !continued {
            let text = String::from_utf8_lossy(line).to_ascii_lowercase();
            dropping = text.split_once(':').is_some_and(|(name, _)| {
                DROPPED.iter().any(|d| d.eq_ignore_ascii_case(name.trim_end_matches([' ', '\t'])))
            });
        }
        let from = number == 0 && is_from_line(line);
        if body || !(dropping || from) {
            out.extend_from_slice(line);
        } else if let Some(cr) = line.iter().position(|octet| *octet == b'\r' && !from) {
            dropping = false;
            out.extend_from_slice(&line[cr..]);
        }
    }
    out
}

#[test]
fn entries() {
    let cases: [(&str, &str, &str); 27] = [
        ("plain", "A: b\n\nbody\n", "A: b\n\nbody\n\n"),
        (
            "M3",
            "A: b\n\nFrom x\n>From x\n>>From x\n From\nfrom x\nFrom\nx From y\n",
            "A: b\n\n>From x\n>>From x\n>>>From x\n From\nfrom x\nFrom\nx From y\n\n",
        ),
        (
            "M7",
            "Content-Length: 5\nstatus: RO\n and more\nX-IMAPBASE : 1 2\nSubject: s\n t\nX-Status-Else: k\nLines: 3\n\nStatus: body\n",
            "Subject: s\n t\nX-Status-Else: k\n\nStatus: body\n\n",
        ),
        ("M7, folded at the top", "Lines: 1\n 2\n\t3\nA: b\n\n", "A: b\n\n\n"),
        ("R10", "From x Thu Jan  1 00:00:00 1970\nFrom y\nA: b\n\nFrom z\n", ">From y\nA: b\n\n>From z\n\n"),
        (
            "R10, two of them",
            "From x Thu Jan  1 00:00:00 1970\nFrom x Thu Jan  1 00:00:00 1970\n\n",
            ">From x Thu Jan  1 00:00:00 1970\n\n\n",
        ),
        ("R10, nothing else", "From x Thu Jan  1 00:00:00 1970\n", "\n"),
        ("R10, before a blank", "From x Thu Jan  1 00:00:00 1970\n b\nLines: 1\n\n", " b\n\n\n"),
        (
            "R10, quoted by a gateway",
            ">From x Thu Jan  1 00:00:00 1970 remote from y\nA: b\n\n>From z Thu Jan  1 00:00:00 1970\n",
            ">From x Thu Jan  1 00:00:00 1970 remote from y\nA: b\n\n>>From z Thu Jan  1 00:00:00 1970\n\n",
        ),
        ("a field in an old spelling", "From  : A <a@b>\nTo: c\n\nd\n", ">From  : A <a@b>\nTo: c\n\nd\n\n"),
        ("a text", "From here on\nall is well\n", ">From here on\nall is well\n\n"),
        ("a text, quoted", ">From here on\n", ">>From here on\n\n"),
        ("a field without an end", "From ", ">From \n\n"),
        ("lines end in CR", "From: a\rTo: b\r\rFrom c\r\n", "From: a\rTo: b\r\rFrom c\r\n\n"),
        (
            "lines end in CR, From_ line first",
            "From x Thu Jan  1 00:00:00 1970\rTo: b\r\rbody\r\n",
            ">From x Thu Jan  1 00:00:00 1970\rTo: b\r\rbody\r\n\n",
        ),
        (
            "lines end in CR, a dropped field first",
            "Status: RO\rTo: b\r\rbody\r\n more\nA: b\n\n",
            "\rTo: b\r\rbody\r\n more\nA: b\n\n\n",
        ),
        ("blanks before the colon", "Lines                             : 1\nLines\n\n", "Lines\n\n\n"),
        ("F12", "", "\n"),
        ("F13", "A: b\n", "A: b\n\n"),
        ("F13, dropped to the last", "Status: O\n", "\n"),
        ("empty body", "A: b\n\n", "A: b\n\n\n"),
        ("no last line end", "A: b\n\nFro", "A: b\n\nFro\n\n"),
        ("no last line end, header", "A: b\nStat", "A: b\nStat\n\n"),
        ("no header", "\nFrom x\n", "\n>From x\n\n"),
        ("a field for those who look", "X-UIDL: 1\nX-UID: 2\n\n", "X-UIDL: 1\n\n\n"),
        (
            "nothing but a quoted From_ line without an end",
            ">From x Thu Jan  1 00:00:00 1970",
            ">>From x Thu Jan  1 00:00:00 1970\n\n",
        ),
        ("header isn't one", ">From x\n>\n>>>\n", ">>From x\n>\n>>>\n\n"),
    ];
    for (name, text, expected) in cases {
        for chunk in 1..=text.len().max(1) {
            let expected = format!("From MAILER-DAEMON {DATE}\n{expected}");
            let out = String::from_utf8(entry(text.as_bytes(), chunk)).unwrap();
            assert_eq!(out, expected, "{name} by {chunk}");
        }
    }
}

/// With a line of ours above it, a From_ line is as much on top of the message as without.
#[test]
fn a_line_of_ours_stands_above_the_message() {
    let ours = "Received: from a by b\n\twith POP3; now\n";
    let cases = [
        (
            "From x Thu Jan  1 00:00:00 1970\nReturn-Path: <a@b>\nStatus: O\n\nb\n",
            "Return-Path: <a@b>\n\nb\n\n",
        ),
        ("From here on\n", ">From here on\n\n"),
        ("", "\n"),
    ];
    for (text, expected) in cases {
        for chunk in 1..=text.len().max(1) {
            let out = String::from_utf8(entry_under(ours.as_bytes(), text.as_bytes(), chunk)).unwrap();
            let sender = if text.contains("<a@b>") { "a@b" } else { "MAILER-DAEMON" };
            assert_eq!(out, format!("From {sender} {DATE}\n{ours}{expected}"), "{text:?} by {chunk}");
        }
    }
}

/// What is about to be written is compared with what came.
#[test]
fn an_entry_that_is_not_the_message_is_refused() {
    struct Nowhere;
    impl Sink for Nowhere {
        fn put(&mut self, _: &[u8]) -> Result<(), Error> {
            Ok(())
        }
    }
    let came = b"A: b\nLines: 1\n\nFrom me\n>From you\nto us\n".as_slice();
    let mut examiner = Examiner::summing(b"");
    examiner.update(came);
    let facts = examiner.finish();
    let finish = |text: &[u8]| {
        let mut formatter = Formatter::new(DATE.to_owned());
        formatter.feed(text, &mut Nowhere).unwrap();
        formatter.finish(&facts, &mut Nowhere)
    };
    finish(came).unwrap();
    for at in 0..came.len() {
        let (mut less, mut other) = (came.to_vec(), came.to_vec());
        less.remove(at);
        other[at] ^= 1;
        // Only the value of a field that servers change doesn't show.
        let unseen = (5..13).contains(&at);
        assert!(finish(&less).is_err(), "without {at}");
        assert!(unseen || finish(&other).is_err(), "changed {at}");
    }
}

#[test]
fn the_from_line_names_the_sender() {
    let cases = [
        ("Return-Path: <a@b.example>\n\n", "a@b.example"),
        ("X: y\nReturn-Path: <a@b.example>\n\n", "a@b.example"),
        ("Return-Path: <>\n\n", "MAILER-DAEMON"),
        ("Return-Path: <a b@c>\n\n", "MAILER-DAEMON"),
        ("X: y\n\nReturn-Path: <a@b.example>\n", "MAILER-DAEMON"),
    ];
    for (text, sender) in cases {
        for chunk in 1..=text.len() {
            assert!(
                entry(text.as_bytes(), chunk).starts_with(format!("From {sender} ").as_bytes()),
                "{text}"
            );
        }
    }
}

#[test]
fn an_endless_header_is_not_held_for_ever() {
    let mut formatter = Formatter::new(DATE.to_owned());
    let mut out = Vec::new();
    for _ in 0..HEADER_HELD / 512 {
        formatter.feed(&[b'x'; 512], &mut out).unwrap();
    }
    assert!(out.len() >= HEADER_HELD);
}

#[test]
fn a_rewritten_entry_is_known_again() {
    let ours = b"From a Thu\nSubject: s\n\nbody\n\n".as_slice();
    let same: [&[u8]; 3] = [
        b"From a Thu\nSubject: s\nStatus: RO\nX-UID: 5\n\nbody\n\n",
        b"From a Thu\nX-IMAPbase: 1 2\n 3\nSubject: s\nContent-Length: 5\nLines: 1\n\nbody\n\n\n",
        b"From a Thu\nSubject: s\n\nbody\n",
    ];
    let other: [&[u8]; 4] = [
        b"From a Fri\nSubject: s\n\nbody\n\n",
        b"From a Thu\nSubject: s\n\n\nbody\n\n",
        b"From a Thu\nSubject: s\n\nStatus: O\nbody\n\n",
        b"From a Thu\nSubject: s\n\nbod",
    ];
    assert_ne!(fingerprint(b"From a Thu\nSubj", 1), fingerprint(b"From a Thu\n", 1), "it broke off");
    for chunk in 1..ours.len() {
        let digest = fingerprint(ours, chunk);
        assert!(same.iter().all(|entry| fingerprint(entry, chunk) == digest));
        assert!(other.iter().all(|entry| fingerprint(entry, chunk) != digest));
    }
}

/// Messages made of what matters here.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("From "),
        Just("Fro"),
        Just(">"),
        Just(">>>"),
        Just("\n"),
        Just("\n\n"),
        Just("\n"),
        Just(" "),
        Just("Status"),
        Just("Lines"),
        Just(":"),
        Just("\n\tmore"),
        Just("X-IMAP"),
        Just("base"),
        Just("x"),
        Just("content-LENGTH \t: 1"),
        Just("\0\r"),
        Just("From a Thu Jan  1 00:00:00 1970"),
        Just("From Thu Jan  1 00:00 1970 +0100\n"),
        Just("             "),
        Just("\u{fc}"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| {
        let mut text = pieces.concat().into_bytes();
        if text.last().is_some_and(|octet| *octet != b'\n') {
            text.push(b'\n');
        }
        text
    })
}

proptest! {
    #[test]
    fn chunks_never_show(text in text(), chunk in 1_usize..9) {
        prop_assert_eq!(entry(&text, chunk), entry(&text, usize::MAX));
    }

    #[test]
    fn unquoting_gives_the_message_back(text in text()) {
        let entry = entry(&text, usize::MAX);
        let first = text.split_inclusive(|octet| *octet == b'\n').next().unwrap_or_default();
        let verbatim = first.strip_prefix(b">").is_some_and(is_from_line);
        prop_assert_eq!(unquoted(&entry, verbatim), without_dropped(&text));
        prop_assert!(entry.ends_with(b"\n\n"));
        prop_assert_eq!(entry.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"From ")).count(), 1);
    }
}

/// Wherever a line, or the message, breaks off on its way to `From `.
#[test]
fn lines_that_almost_begin_an_entry_come_back_as_they_were() {
    for quotes in ["", ">", ">>"] {
        for word in (0..=5).map(|length| &"From "[..length]) {
            for tail in ["", "x", ">", ">x", "F", ">From ", "From x", "\nFrom", "\n>From"] {
                for end in ["", "\n"] {
                    let text = format!("A: b\n\n{quotes}{word}{tail}{end}");
                    for chunk in [1, 2, 3, usize::MAX] {
                        let entry = entry(text.as_bytes(), chunk);
                        let mut expected = text.clone().into_bytes();
                        if expected.last() != Some(&b'\n') {
                            expected.push(b'\n');
                        }
                        assert_eq!(unquoted(&entry, false), expected, "{text:?} by {chunk}");
                    }
                }
            }
        }
    }
}
