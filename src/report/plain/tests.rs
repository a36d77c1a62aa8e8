use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Level, Plain, Printer};
use crate::exit::ExitCode;
use crate::report::{Action, Cause, Condition, Event, Kind, Postponed, Reporter as _, Summary, Trouble};
use crate::types::{MessageNumber, Octets};

/// A stream that can be read back.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What these events, all of account `work`, put on standard output and standard error.
fn printed(level: Level, events: &[Event]) -> (String, String) {
    let (out, err) = (Sink::default(), Sink::default());
    let printer = Arc::new(Printer::onto(Box::new(out.clone()), Box::new(err.clone()), false));
    let plain = Plain::new(printer, level, &["work"]);
    for event in events {
        plain.report("work", event);
    }
    (out.text(), err.text())
}

fn finished(summary: Summary) -> Event {
    Event::Finished(Summary { elapsed: Duration::from_secs(1), ..summary })
}

fn trouble(message: &str, news: bool) -> Trouble {
    Trouble { exit: ExitCode::Later, message: message.to_owned(), hint: Some("wait".to_owned()), news }
}

fn failing(messages: u64, news: bool) -> Condition {
    let failed = crate::text::count(messages, "message");
    Condition {
        kind: Kind::MessagesFailed,
        exit: ExitCode::Later,
        messages,
        message: format!("{failed} failed, next try 14:05 UTC"),
        hint: None,
        reason: None,
        next: None,
        news,
        said: false,
    }
}

fn refusing(news: bool) -> Condition {
    Condition {
        kind: Kind::DeletionRefused,
        messages: 0,
        message: "the server did not delete 3 messages: no".to_owned(),
        hint: Some("wait".to_owned()),
        ..failing(0, news)
    }
}

fn postponed(messages: u64) -> Postponed {
    Postponed { messages, by_messages: true, by_bytes: false }
}

fn one() -> MessageNumber {
    MessageNumber::new(1).unwrap()
}

/// A run with every kind of event that is printed.
fn eventful() -> Vec<Event> {
    vec![
        Event::Recovered { delivered: 2, dropped: 1 },
        Event::Connecting { server: "h:995".to_owned() },
        Event::LoggedIn { mechanism: "PLAIN" },
        Event::Dialogue("C: UIDL".to_owned()),
        Event::Listed { messages: 3 },
        Event::Planned { messages: 3, octets: Some(Octets(2048)) },
        Event::Detail("because".to_owned()),
        Event::Received { octets: 5 },
        Event::Arrived,
        Event::MessageFailed { number: one(), reason: "no".to_owned(), news: true },
        Event::MessageFailed { number: one(), reason: "old".to_owned(), news: false },
        Event::TooLarge { number: one(), octets: Octets(2048) },
        Event::Warning("beware".to_owned()),
        Event::Notice("it is over".to_owned()),
        finished(Summary { listed: 3, delivered: 2, octets: 12_288, deleted: 2, ..Summary::default() }),
    ]
}

#[test]
fn each_level_tells_what_it_promises() {
    let line = "work: 2 messages (12.0 KiB) delivered, 2 deleted, 1 left\n";
    let details = "\
work: the last run was interrupted: 2 messages delivered now, 1 comes again
work: connecting to h:995
work: logged in with PLAIN
work C: UIDL
work: 3 messages on the server
work: 3 messages (2.0 KiB) to retrieve
work: because
popfetch: work: message 1 failed and stays on the server: no
popfetch: work: message 1 failed and stays on the server: old
popfetch: work: beware
popfetch: work: it is over
";
    let large = "popfetch: work: message 1 (2.0 KiB) stays on the server: it is too large\n";
    let cases = [
        // What failed before is old news.
        (
            Level::Quiet,
            format!(
                "popfetch: work: it is over\npopfetch: work: message 1 failed and stays on the server: no\n{large}"
            ),
        ),
        (
            Level::Normal,
            format!(
                "popfetch: work: beware\npopfetch: work: it is over\n\
                 popfetch: work: message 1 failed and stays on the server: no\n\
                 popfetch: work: message 1 failed and stays on the server: old\n{large}{line}"
            ),
        ),
        (Level::Details, format!("{}{large}{line}", details.replace("work C: UIDL\n", ""))),
        (Level::Dialogue, format!("{details}{large}{line}")),
    ];
    for (level, expected) in cases {
        assert_eq!(printed(level, &eventful()), (String::new(), expected), "{level:?}");
    }
}

#[test]
fn an_account_is_one_line() {
    let cases = [
        (Summary::default(), "nothing new (no messages on the server)"),
        (Summary { listed: 250, ..Summary::default() }, "nothing new (250 messages on the server)"),
        (Summary { listed: 9, deleted: 4, ..Summary::default() }, "4 deleted, 5 left"),
        (
            Summary { listed: 1, delivered: 1, octets: 1, ..Summary::default() },
            "1 message (1 octet) delivered, 0 deleted, 1 left",
        ),
        (
            Summary { listed: 3, failed: 2, conditions: vec![failing(2, false)], ..Summary::default() },
            "nothing delivered (3 messages on the server), 2 messages failed, next try 14:05 UTC",
        ),
        (
            Summary {
                listed: 3,
                deleted: 1,
                failed: 1,
                conditions: vec![failing(1, false)],
                ..Summary::default()
            },
            "1 deleted, 2 left, 1 message failed, next try 14:05 UTC",
        ),
        (
            Summary { listed: 14, delivered: 2, octets: 900, postponed: postponed(12), ..Summary::default() },
            "2 messages (900 octets) delivered, 0 deleted, 14 left, 12 left for the next run (max-messages)",
        ),
        (
            Summary {
                listed: 5,
                postponed: Postponed { by_bytes: true, ..postponed(1) },
                ..Summary::default()
            },
            "nothing delivered (5 messages on the server), 1 left for the next run (max-messages, max-bytes)",
        ),
        // Deletions of earlier sessions, which the last listing didn't hold.
        (Summary { listed: 1, deleted: 4, ..Summary::default() }, "4 deleted, 0 left"),
    ];
    for (summary, expected) in cases {
        let (out, err) = printed(Level::Normal, &[finished(summary.clone())]);
        assert_eq!((out, err), (String::new(), format!("work: {expected}\n")));
        assert_eq!(printed(Level::Quiet, &[finished(summary)]).1, "");
    }
}

#[test]
fn a_lasting_failure_is_told_each_time_but_under_quiet_only_as_news() {
    let printed = |level, condition: Condition| {
        let failed = condition.messages;
        let summary = Summary { listed: 3, failed, conditions: vec![condition], ..Summary::default() };
        printed(level, &[finished(summary)]).1
    };
    let nothing = "work: nothing new (3 messages on the server)\n";
    let refused = "popfetch: account \"work\": the server did not delete 3 messages: no\n\nhint: wait\n";
    for news in [false, true] {
        assert_eq!(printed(Level::Normal, refusing(news)), format!("{nothing}{refused}"));
        // Its line shows it.
        assert_eq!(printed(Level::Normal, failing(1, news)).lines().count(), 1);
        assert_eq!(printed(Level::Quiet, refusing(news)), if news { refused } else { "" });
        let failed = "popfetch: account \"work\": 1 message failed, next try 14:05 UTC\n";
        assert_eq!(printed(Level::Quiet, failing(1, news)), if news { failed } else { "" });
    }
}

#[test]
fn equal_failures_of_many_messages_are_one_line() {
    let number = |n| MessageNumber::new(n).unwrap();
    let failed =
        |n, reason: &str| Event::MessageFailed { number: number(n), reason: reason.to_owned(), news: true };
    let mut events: Vec<Event> =
        (1..=5).map(|n| failed(n, "sh exited with 1 (\"quota exceeded\")")).collect();
    events.push(failed(6, "it is gone"));
    events.extend((7..=9).map(|n| Event::TooLarge { number: number(n), octets: Octets(2048) }));
    events.push(finished(Summary { dry_run: true, ..Summary::default() }));
    let expected = "\
popfetch: work: 5 messages failed: sh exited with 1 (\"quota exceeded\")
popfetch: work: message 6 failed and stays on the server: it is gone
popfetch: work: 3 messages, the first of them message 7 (2.0 KiB), stay on the server: they are too large
";
    for level in [Level::Quiet, Level::Normal] {
        assert_eq!(printed(level, &events).1, expected);
    }
}

/// Thousands of messages that fail, each for a reason of its own as long as a line may be.
#[test]
fn what_fails_thousands_of_times_fills_no_disk() {
    let long = "x".repeat(4000);
    let number = |n| MessageNumber::new(n).unwrap();
    let failing = |n| Event::MessageFailed { number: number(n), reason: format!("{n} {long}"), news: true };
    let mut events: Vec<Event> = (1..=5_000).map(failing).collect();
    events.extend((0..5_000).map(|n| Event::Warning(format!("{n} {long}"))));
    events.push(finished(Summary::default()));
    for (level, most) in [(Level::Quiet, 3000), (Level::Normal, 420_000)] {
        let err = printed(level, &events).1;
        assert!(err.len() < most, "{}", err.len());
        assert!(err.contains("4995 messages failed for other reasons: -v gives them all\n"), "{level:?}");
        assert_eq!(err.contains("4900 warnings not shown: -v shows all\n"), level > Level::Quiet);
    }
}

#[test]
fn an_error_says_what_and_then_what_to_do() {
    let error = "popfetch: account \"work\": h:995 is silent\n\nhint: wait\n";
    let cases = [
        (Level::Normal, true, 0, error.to_owned()),
        (Level::Normal, false, 0, error.to_owned()),
        (Level::Quiet, true, 2, error.to_owned()),
        (Level::Quiet, false, 2, String::new()),
        (
            Level::Normal,
            true,
            2,
            format!("work: 2 messages (7 octets) delivered, 0 deleted, 5 left\n{error}"),
        ),
    ];
    for (level, news, delivered, expected) in cases {
        let trouble = Some(trouble("h:995 is silent", news));
        let octets = if delivered > 0 { 7 } else { 0 };
        let summary = Summary { listed: 5, delivered, octets, trouble, ..Summary::default() };
        assert_eq!(printed(level, &[finished(summary)]).1, expected, "{level:?} {news}");
    }
}

#[test]
fn a_plan_goes_to_standard_output() {
    let intended = Event::Intended {
        number: one(),
        unique_id: Some("a".to_owned()),
        octets: None,
        action: Action::Retrieve,
        why: Cause { word: "new", text: "new" },
    };
    let done = finished(Summary { dry_run: true, listed: 1, ..Summary::default() });
    let row = "1  a  -  retrieve  new\n";
    let plan = format!("{row}would retrieve 1 message, compare 0, delete 0, leave 0\n");
    for level in [Level::Quiet, Level::Normal] {
        assert_eq!(printed(level, &[intended.clone(), done.clone()]), (plan.clone(), String::new()));
    }
    // Cut off: what there is, without sums that wouldn't be true.
    let broken =
        finished(Summary { dry_run: true, trouble: Some(trouble("it broke", true)), ..Summary::default() });
    let (out, err) = printed(Level::Normal, &[intended, broken]);
    assert_eq!((out.as_str(), err.lines().count()), (row, 3));
}

#[test]
fn several_accounts_share_columns_but_no_line() {
    let (out, err) = (Sink::default(), Sink::default());
    let printer = Arc::new(Printer::onto(Box::new(out.clone()), Box::new(err.clone()), false));
    let plain = Plain::new(printer, Level::Normal, &["a", "long\x1bname"]);
    std::thread::scope(|scope| {
        for account in ["a", "long\x1bname"] {
            let plain = &plain;
            scope.spawn(move || {
                for _ in 0..100 {
                    plain.report(account, &Event::Warning("x".repeat(200)));
                }
                plain.report(account, &finished(Summary { dry_run: true, ..Summary::default() }));
            });
        }
    });
    let x = "x".repeat(200);
    for line in err.text().lines() {
        assert!(line == format!("popfetch: a: {x}") || line == format!("popfetch: long\\x1bname: {x}"));
    }
    assert_eq!(err.text().lines().count(), 200);
    let mut plans: Vec<String> = out.text().lines().map(|line| line.chars().take(20).collect()).collect();
    plans.sort();
    assert_eq!(plans, ["a             would ", "long\\x1bname  would "]);
}

/// A stream that takes nothing.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_who_leaves_is_no_error_and_a_full_disk_is() {
    let cases = [
        (io::ErrorKind::BrokenPipe, ExitCode::Done, ""),
        (
            io::ErrorKind::StorageFull,
            ExitCode::LocalIo,
            "popfetch: cannot write to standard output: no storage space\n",
        ),
    ];
    for (kind, code, text) in cases {
        let err = Sink::default();
        let printer = Printer::onto(Box::new(Broken(kind)), Box::new(err.clone()), false);
        printer.out("plan\n");
        printer.out("more\n");
        assert_eq!((printer.outcome(), err.text().as_str()), (code, text));
        assert_eq!(printer.outcome(), ExitCode::Done, "reported once");
    }
}

#[test]
fn colours_only_repeat_what_the_words_say() {
    let err = Sink::default();
    let printer = Printer::onto(Box::new(io::sink()), Box::new(err.clone()), true);
    printer.complain("no", Some("do"));
    printer.warn("beware");
    let text = err.text();
    assert!(text.contains("\x1b[1;31mpopfetch:\x1b[0m no\n"), "{text:?}");
    let mut plain = text;
    for code in ["\x1b[1;31m", "\x1b[1;33m", "\x1b[1;36m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, "popfetch: no\n\nhint: do\npopfetch: beware\n");
}
