//! Message bytes are the sender's: what is stored is what came, CRLF as LF; read back by us and by Python.

use super::{poll, set_up, small};
use crate::support::mail::{Sample, samples, stored};
use crate::support::mailboxes::{Maildir, assert_same, mbox, python_maildir, python_mbox};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Server, numbered};

fn all() -> (Vec<Sample>, Vec<Message>) {
    let mut samples = samples();
    // M: a line of 10 MB, longer than any buffer.
    let line =
        [&b"Subject: ten megabytes\r\n\r\n"[..], &b"0123456789".repeat(1_000_000), b"\r\nend\r\n"].concat();
    samples.push(Sample { name: "ten megabytes", octets: line });
    let messages = numbered(samples.iter().map(|sample| &sample.octets));
    (samples, messages)
}

fn delivered_to(lines: &str) -> (Vec<Sample>, Server, Sandbox) {
    let (samples, messages) = all();
    let (server, sandbox) = set_up(messages, &format!("{lines}\nleave-on-server = false"));
    poll(&sandbox).succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    (samples, server, sandbox)
}

/// What an mbox holds of a message: all of it but for the fields, and the From_ line, that are left out.
fn in_mbox(sample: &Sample) -> Vec<u8> {
    let octets = stored(&sample.octets);
    match sample.name {
        "fields of mailboxes" => {
            let text = String::from_utf8(octets).unwrap();
            let dropped = ["Content-Length:", "status:", "X-IMAPBASE:", "X-UID:"];
            let lines =
                text.split_inclusive('\n').filter(|line| !dropped.iter().any(|name| line.starts_with(name)));
            lines.collect::<String>().into_bytes()
        }
        "From line first" => octets.splitn(2, |octet| *octet == b'\n').nth(1).unwrap().to_vec(),
        _ => octets,
    }
}

#[test]
fn every_octet_arrives_in_a_maildir() {
    let (samples, _server, sandbox) = delivered_to("deliver = { maildir = \"~/Mail\" }");
    let expected: Vec<Vec<u8>> = samples.iter().map(|sample| stored(&sample.octets)).collect();
    assert_same(Maildir::read(&sandbox.path("Mail")).messages(), expected.clone());
    if let Some(read) = python_maildir(&sandbox.path("Mail")) {
        assert_same(read, expected);
    }
}

#[test]
fn every_octet_arrives_in_an_mbox() {
    let (samples, _server, sandbox) = delivered_to("deliver = { mbox = \"~/inbox\" }");
    let expected: Vec<Vec<u8>> = samples.iter().map(in_mbox).collect();
    let found: Vec<Vec<u8>> =
        mbox(&sandbox.path("inbox")).into_iter().map(|message| message.octets).collect();
    assert_same(found, expected.clone());
    if let Some(read) = python_mbox(&sandbox.path("inbox")) {
        assert_same(read, expected);
    }
}

#[test]
fn every_octet_arrives_at_a_program() {
    let (samples, _server, sandbox) =
        delivered_to("deliver = { pipe = \"exec cat > $(mktemp ~/XXXXXX.message)\" }");
    let found: Vec<Vec<u8>> = sandbox
        .files()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "message"))
        .map(|(_, octets)| octets)
        .collect();
    assert_same(found, samples.iter().map(|sample| stored(&sample.octets)).collect());
}

/// Whatever a message begins with, and wherever its lines end: nothing of it is missing, least of all the whole of it.
#[test]
fn odd_first_lines_and_bare_cr_messages_arrive_whole() {
    let from_line = "From ada@example.org Thu Jan  1 00:00:00 1970";
    let messages: Vec<Vec<u8>> = [
        "From  : Ada <ada@example.org>\r\nSubject: an old spelling\r\n\r\nbody\r\n".to_owned(),
        "From here on it is text\r\nwithout a header\r\n".to_owned(),
        "From x\r\nSubject: no date\r\n\r\nFrom y\r\n".to_owned(),
        format!(">{from_line}\r\nSubject: quoted by a gateway\r\n\r\nbody\r\n"),
        "From: a@b\rSubject: old Mac\r\rbody\r\r\n".to_owned(),
        "Status: RO\rSubject: old Mac, a field that mboxes drop\r\rbody\r\r\n".to_owned(),
        format!("{from_line}\rSubject: old Mac, a From_ line\r\rbody\r\r\n"),
        "From ".to_owned() + &"x".repeat(5000) + "\r\n\r\nbody\r\n",
    ]
    .map(String::into_bytes)
    .into();
    let expected: Vec<Vec<u8>> = messages.iter().map(|message| stored(message)).collect();
    let lines = "deliver = [{ maildir = \"~/Mail\" }, { mbox = \"~/inbox\" }, \
                 { pipe = \"exec cat > $(mktemp ~/XXXXXX.message)\" }]\nleave-on-server = false";
    let (server, sandbox) = set_up(numbered(&messages), lines);
    poll(&sandbox).succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    assert_same(Maildir::read(&sandbox.path("Mail")).messages(), expected.clone());
    let piped =
        sandbox.files().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "message"));
    assert_same(piped.map(|(_, octets)| octets).collect(), expected.clone());
    let found = mbox(&sandbox.path("inbox")).into_iter().map(|message| message.octets).collect();
    let in_mbox =
        expected.into_iter().map(|octets| octets.strip_prefix(b"Status: RO").unwrap_or(&octets).to_vec());
    assert_same(found, in_mbox.collect());
}

#[test]
fn a_received_line_on_top_changes_nothing_else() {
    for (lines, has) in [("received-header = true", true), ("received-header = false", false), ("", false)] {
        let (samples, messages) = all();
        let (server, sandbox) = set_up(
            messages,
            &format!("deliver = [{{ maildir = \"~/Mail\" }}, {{ mbox = \"~/inbox\" }}]\n{lines}"),
        );
        poll(&sandbox).succeeds();
        let without = |message: Vec<u8>| {
            if !has {
                return message;
            }
            let text = String::from_utf8_lossy(&message[..300.min(message.len())]).into_owned();
            assert!(text.starts_with("Received: from [127.0.0.1] by "), "{text}");
            // One field: continuation lines begin with a tab.
            let mut end = text.find('\n').unwrap() + 1;
            while text[end..].starts_with('\t') {
                end += text[end..].find('\n').unwrap() + 1;
            }
            assert!(
                text[..end].contains("with POP3 (popfetch ") && text[..end].contains("account work)"),
                "{text}"
            );
            message[end..].to_vec()
        };
        let expected: Vec<Vec<u8>> = samples.iter().map(|sample| stored(&sample.octets)).collect();
        let found = Maildir::read(&sandbox.path("Mail")).messages().into_iter().map(without).collect();
        assert_same(found, expected);
        let found = mbox(&sandbox.path("inbox")).into_iter().map(|message| without(message.octets)).collect();
        assert_same(found, samples.iter().map(in_mbox).collect());
        // It is known again all the same.
        poll(&sandbox).succeeds();
        assert_eq!(server.count("RETR"), samples.len());
    }
}

/// Text from outside can't add to the line that it stands in.
#[test]
fn no_server_name_breaks_the_received_line() {
    let server = Server::with("me", "secret", [Message::new("uid\x1b[2J) by x", small("a"))]);
    let sandbox = Sandbox::new();
    let account = super::account(&server, "deliver = { maildir = \"~/Mail\" }\nreceived-header = true");
    sandbox.config(account.replace("accounts.work", "accounts.\"wörk) (\""));
    poll(&sandbox).succeeds().never_says("\x1b");
    let message = Maildir::read(&sandbox.path("Mail")).messages().remove(0);
    let message = String::from_utf8(message).unwrap();
    let (line, rest) = message.split_once("From: ").unwrap();
    assert!(line.is_ascii() && !line.contains('\x1b') && !line.contains("uid"), "{line}");
    assert_eq!((line.matches('(').count(), line.matches(')').count()), (1, 1), "{line}");
    assert_eq!(format!("From: {rest}").into_bytes(), stored(&small("a")));
}
