//! `popfetch list`: the messages on the server, decoded, with what the next run would do; nothing from mail reaches the
//! terminal raw.

use serde_json::{Value, json};

use crate::mailbox::{DELETE, IN_CLEAR, Served, good, only_looks, section, serve, small};
use crate::support::relay::Line;
use crate::support::sandbox::Run;
use crate::support::server::{Message, Options, Retrieved, numbered};
use crate::support::tmux::Tmux;

/// A message with these header lines.
fn with(unique_id: &str, header: &str) -> Message {
    Message::new(unique_id, format!("{}\r\n\r\nbody\r\n", header.replace('\n', "\r\n")))
}

/// `list` with these arguments, in UTC.  Nothing is retrieved or deleted, and no file changes but the one that keeps what
/// was shown.
#[track_caller]
fn list(served: &Served, arguments: &[&str]) -> Run {
    let files = || {
        let mut files = served.sandbox.files();
        files.retain(|path, _| !path.ends_with("shown"));
        files
    };
    let before = files();
    let list = served.sandbox.popfetch(["list"].iter().chain(arguments)).env("TZ", "UTC");
    let run = only_looks(served, || list.run());
    assert_eq!(files(), before, "{}", run.shown());
    run
}

fn lines(run: &Run) -> Vec<String> {
    run.out().lines().map(str::to_owned).collect()
}

#[test]
fn a_line_for_each_message_newest_last() {
    let served = serve(
        good([
            with(
                "a",
                "From: Ann Example <ann@example.org>\nSubject: Lunch\nDate: Tue, 25 Nov 2025 09:12:00 +0100",
            ),
            with(
                "b",
                "From: bob@example.org\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\nDate: Mon, 3 Feb 2003 12:00:00 +0000",
            ),
        ]),
        DELETE,
    );
    served.sandbox.run(["--keep"]).succeeds();
    served.server.add("me", [with("c", "X: y"), Message::new("d", "From: x\r\n\r\n").claiming(3_000_000)]);
    served.configure(served.server.port(), "leave-on-server = { days = 3 }\nmax-message-size = \"1M\"");
    let run = list(&served, &[]);
    let found = lines(run.succeeds());
    assert_eq!(found.len(), 5, "{}", run.shown());
    let words = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    assert_eq!(words(&found[0]), ["N", "DATE", "FROM", "SIZE", "SUBJECT", "PLAN"]);
    assert_eq!(words(&found[1]), ["1", "2025-11-25", "Ann Example", "100 octets", "Lunch", "keep"]);
    assert_eq!(
        words(&found[2]),
        ["2", "2003-02-03", "bob@example.org", "107 octets", "Gr\u{fc}\u{df}e", "keep"]
    );
    assert_eq!(words(&found[3]), ["3", "-", "-", "14 octets", "-", "retrieve"]);
    assert_eq!(words(&found[4]), ["4", "-", "x", "2.8 MiB", "-", "keep (too-large)"]);
    // Every line stands in its columns.
    let subject = found[0].find("SUBJECT").unwrap();
    assert_eq!(found[1].find("Lunch"), Some(subject), "{}", run.shown());
    served.configure(served.server.port(), DELETE);
    let run = list(&served, &[]);
    run.says("Lunch    delete\n").says("retrieve, delete\n");
}

#[test]
fn fifty_of_thirty_thousand_cost_a_constant_number_of_waits() {
    let header =
        |n: u32| Message::new(format!("u{n}"), format!("From: a@example.org\r\nSubject: {n}\r\n\r\n"));
    let served = serve(Options { line: Some(Line::default()), ..good((1..=30_000).map(header)) }, "");
    let relay = served.server.relay().unwrap();
    let before = relay.waits();
    let run = list(&served, &[]);
    let waits = relay.waits() - before;
    let found = lines(run.succeeds());
    assert_eq!(found.len(), 51);
    assert!(found[1].starts_with("29951") && found[50].starts_with("30000"), "{}", run.shown());
    let commands = served.server.commands(served.server.sessions());
    assert_eq!(commands.iter().filter(|command| command.starts_with("TOP ")).count(), 50);
    assert!(waits <= 6, "{waits} waits");
    let run = list(&served, &["-n", "3"]);
    assert_eq!(lines(run.succeeds()).len(), 4);
}

/// It has looked at headers: at QUIT a server may count that as retrieved.
#[test]
fn a_server_that_deletes_what_was_looked_at_keeps_it() {
    let mut options = good(small(3));
    options.retrieved = Retrieved::Deleted;
    options.after_login.push("EXPIRE 0".to_owned());
    let served = serve(options, DELETE);
    list(&served, &[]).succeeds();
    let commands = served.server.commands(1);
    assert!(!commands.contains(&"QUIT".to_owned()), "{commands:?}");
}

#[test]
fn nothing_from_mail_reaches_the_terminal_raw() {
    let served = serve(
        good([
            with("a", "From: \x1b[31mred\x1b[0m <a@example.org>\nSubject: \x07bell \u{202e}back"),
            with("b", "From: =?utf-8?B?G1szMW1yZWQ=?= <a@example.org>\nSubject: =?utf-8?Q?=1b]0;title=07?="),
            with("c", "From: =?utf-8?Q?a=0d=0aX:_y?= <a@example.org>\nSubject: =?utf-8?Q?one=0atwo?="),
            with("d", "Subject: pay\u{200b}pal \u{9b}31m \u{e000}"),
            Message::new("\u{1b}[2J", "Subject: x\r\n\r\n"),
            Message::new("f", b"Subject: \xff\xfe\x80 caf\xe9\r\n\r\n"),
        ]),
        "",
    );
    for arguments in [&[][..], &["--json"]] {
        let run = list(&served, arguments);
        run.succeeds();
        for raw in ["\x1b", "\x07", "\r", "\u{202e}", "\u{200b}", "\u{9b}", "\u{e000}"] {
            run.never_says(raw);
        }
        assert_eq!(lines(&run).len(), if arguments.is_empty() { 7 } else { 6 }, "{}", run.shown());
    }
    list(&served, &[]).says("\\x1b[31mred").says("paypal");
}

#[test]
fn without_top_there_are_dashes() {
    let served = serve(good(small(2)).without("TOP"), "");
    let run = list(&served, &[]);
    let found = lines(run.succeeds());
    assert_eq!(
        found[1..],
        ["1  -     -     400 octets  -        retrieve", "2  -     -     400 octets  -        retrieve"]
    );
    // It lists TOP, and refuses it.
    let served = serve(good(small(2)).instead("TOP", "-ERR no\r\n"), "");
    assert_eq!(lines(list(&served, &[]).succeeds())[1..], found[1..]);
}

#[test]
fn what_is_new_seen_or_failed_alone() {
    let refused = Message::new("refused", "Subject: refused\r\n\r\n").refused("-ERR gone");
    let served = serve(good([with("a", "Subject: seen"), refused]), "");
    // Once may be the server's failure; a message has failed when it does so alone.
    served.fetch().exits(75);
    served.fetch().exits(75);
    served.server.add("me", [with("b", "Subject: fresh")]);
    for (argument, subject, plan) in [
        ("--new", "fresh", "retrieve"),
        ("--seen", "seen", "keep"),
        ("--failed", "refused", "retrieve again"),
    ] {
        let run = list(&served, &[argument]);
        let found = lines(run.succeeds());
        assert_eq!(found.len(), 2, "{}", run.shown());
        assert!(found[1].contains(&format!("  {subject}")) && found[1].contains(plan), "{}", run.shown());
    }
    served.fetch().exits(75);
    list(&served, &["--new"]).succeeds().says("nothing new (3 messages on the server)\n");
    let empty = serve(good([]), "");
    list(&empty, &[]).succeeds().says("no messages on the server\n");
    list(&empty, &["--failed"]).succeeds().says("no messages on the server\n");
}

#[test]
fn an_object_for_each_message() {
    let served = serve(
        good([
            with(
                "a",
                "From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>\nSubject: a\\b\nDate: Fri, 27 Nov 2026 09:12:00 +0100\nMessage-ID: <1@x>",
            ),
            with("b", "X: y"),
        ]),
        "",
    );
    let run = list(&served, &["--json"]);
    let found: Vec<Value> =
        run.succeeds().out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = json!([
        {
            "v": 1, "account": "me", "type": "listed", "number": 1, "unique_id": "a", "octets": found[0]["octets"],
            "date": "2026-11-27T08:12:00Z", "from": "J\u{fc}rgen", "address": "j@example.org", "subject": "a\\\\b",
            "message_id": "1@x", "new": true, "action": "retrieve", "why": "new",
        },
        {
            "v": 1, "account": "me", "type": "listed", "number": 2, "unique_id": "b", "octets": 14, "date": null,
            "from": null, "address": null, "subject": null, "message_id": null, "new": true, "action": "retrieve",
            "why": "new",
        },
    ]);
    assert_eq!(json!(found), expected);
}

#[test]
fn one_of_several_accounts_must_be_named() {
    let served = serve(good(small(1)), "");
    let one = section("one", served.server.port(), &format!("{IN_CLEAR}deliver = {{ maildir = \"~/one\" }}"));
    let two = section("two", 1, &format!("{IN_CLEAR}deliver = {{ maildir = \"~/two\" }}"));
    served.sandbox.config(format!("{one}{two}"));
    list(&served, &[]).exits(64).complains("there are 2 accounts").complains("\"one\", \"two\"");
    list(&served, &["one"]).succeeds();
    list(&served, &["--new", "--seen", "one"]).exits(64);
    list(&served, &["two"]).exits(75).complains("account \"two\": ");
}

/// What the next run then does is what was listed.
#[test]
fn messages_without_unique_ids_are_known_by_their_headers() {
    let header = |n: u32| format!("Received: by x\nMessage-ID: <{n}@x>\nSubject: {n}");
    let messages = |range: std::ops::RangeInclusive<u32>| {
        numbered(range.map(|n| format!("{}\r\n\r\nx\r\n", header(n).replace('\n', "\r\n"))))
    };
    let served = serve(good(messages(1..=2)).without("UIDL"), "");
    served.fetch().succeeds();
    served.server.replace("me", messages(1..=3));
    let found = lines(list(&served, &[]).succeeds());
    let plans: Vec<&str> = found[1..].iter().map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(plans, ["keep", "keep", "retrieve (nameless)"]);
}

/// Names and subjects in wide and right-to-left characters: no row is wider than the window, and each is one line.
#[test]
fn a_table_fits_its_window() {
    let header = |n: usize| {
        let subject = [
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{5e2}\u{5d5}\u{5dc}\u{5dd}",
            "\u{5c71}\u{7530}\u{592a}\u{90ce}",
            "Re: a subject that goes on and on, and on",
        ][n % 3];
        with(
            &format!("u{n}"),
            &format!(
                "From: \u{5c71}\u{7530} \u{592a}\u{90ce} {n} <a@example.org>\nDate: Mon, 3 Feb 2003 12:00:00 +0000\nSubject: {subject} {subject}"
            ),
        )
    };
    let served = serve(good((1..=12).map(header)), "");
    for (columns, headings) in [(40, "N  DATE"), (80, "PLAN"), (200, "PLAN")] {
        let Some(tmux) = Tmux::start(&served.sandbox, (columns, 30), "popfetch list") else { return };
        let screen = tmux.wait_for("[0]");
        let lines: Vec<&str> = screen.lines().take_while(|line| !line.starts_with("[0]")).collect();
        assert_eq!(lines.len(), 13, "{columns}:\n{screen}");
        assert!(lines[0].contains(headings) && lines[0].contains("SUBJECT"), "{columns}:\n{screen}");
        assert!(lines[1..].iter().all(|line| line.contains("2003-02-03")), "{columns}:\n{screen}");
    }
    // Longer than the window: the pager shows it, and waits.
    let Some(tmux) = Tmux::start(&served.sandbox, (80, 8), "popfetch list") else { return };
    let screen = tmux.wait_for("SUBJECT");
    assert!(!screen.contains("[0]"), "{screen}");
    tmux.keys(&["q"]);
    tmux.wait_for("[0]");
    drop(tmux);
    let Some(tmux) = Tmux::start(&served.sandbox, (80, 8), "popfetch list --no-pager") else { return };
    tmux.wait_for("[0]");
}

#[test]
fn what_a_list_looks_like() {
    let date = "Date: Mon, 3 Feb 2003 12:00:00 +0000";
    let served = serve(
        good([
            with("a", &format!("From: Ann Example <ann@example.org>\nSubject: Re: Lunch\n{date}")),
            with(
                "b",
                &format!(
                    "From: =?utf-8?B?5bGx55Sw5aSq6YOO?= <y@example.org>\nSubject: =?utf-8?B?5L2g5aW9?=\n{date}"
                ),
            ),
            with("c", &format!("From: x@example.org\nSubject: =?windows-1255?Q?=F9=EC=E5=ED?= 12\n{date}")),
        ]),
        "max-messages = 2",
    );
    served.fetch().succeeds();
    served.server.add("me", [Message::new("d", "no header\r\n"), with("e", "Subject: later")]);
    served.configure(served.server.port(), "max-messages = 2\nleave-on-server = { newest = 1 }");
    list(&served, &[]).looks_like("list");
    list(&served, &["--json", "-n", "2"]).looks_like("list-json");
}
