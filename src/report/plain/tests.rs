use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Level, OutputForm, Plain, Printer};
use crate::exit::ExitCode;
use crate::report::{
    Action, Cause, Condition, ConditionKind, Delivery, Elsewhere, Event, Postponed, ReportedError,
    Reporter as _, RunSummary, StoredAt,
};
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
    let plain = Plain::new(printer, level, &["work"]).at_home(Some(Path::new("/home/me")));
    for event in events {
        plain.report("work", event);
    }
    (out.text(), timeless(&err.text()))
}

/// Without the times of a dialogue.
fn timeless(text: &str) -> String {
    let line = |line: &str| match line.split_once(" 0.") {
        Some((before, after)) if after.get(3..6) == Some(" C:") => format!("{before}{}\n", &after[3..]),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn finished(summary: RunSummary) -> Event {
    Event::Finished(RunSummary { elapsed: Duration::from_secs(1), ..summary })
}

fn failure(message: &str, news: bool) -> ReportedError {
    ReportedError { exit: ExitCode::Later, message: message.to_owned(), hint: Some("wait".to_owned()), news }
}

fn failing(messages: u64, news: bool) -> Condition {
    let failed = crate::text::count(messages, "message");
    Condition {
        kind: ConditionKind::MessagesFailed,
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
        kind: ConditionKind::DeletionRefused,
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

fn maildir(path: &str, file: Option<&str>) -> StoredAt {
    StoredAt { kind: "maildir", path: path.to_owned(), file: file.map(str::to_owned) }
}

fn delivery() -> Delivery {
    Delivery {
        number: Some(one()),
        unique_id: None,
        octets: 288,
        from: Some("Ann Example".to_owned()),
        subject: Some("Re: Lunch".to_owned()),
        date: None,
        message_id: None,
        destinations: vec![
            maildir("/home/me/Mail/work", Some("/home/me/Mail/work/new/1.a")),
            StoredAt { kind: "stdout", path: "-".to_owned(), file: None },
        ],
        time: String::new(),
    }
}

/// A run with every kind of event that is printed.
fn eventful() -> Vec<Event> {
    vec![
        Event::Waiting { destinations: vec![maildir("/home/me/Mail/work", None)] },
        Event::Recovered { delivered: 2, dropped: 1 },
        Event::Connecting { server: "h:995".to_owned() },
        Event::LoggedIn { mechanism: "PLAIN", protection: Some("TLS 1.3") },
        Event::Dialogue("C: UIDL".to_owned()),
        Event::Listed { messages: 3 },
        Event::Planned { messages: 3, octets: Some(Octets(2048)) },
        Event::Detail("because".to_owned()),
        Event::Received { octets: 5 },
        Event::Arrived,
        Event::Delivered(delivery()),
        Event::MessageFailed { number: one(), reason: "no".to_owned(), news: true },
        Event::MessageFailed { number: one(), reason: "old".to_owned(), news: false },
        Event::TooLarge { number: one(), octets: Octets(2048) },
        Event::Warning("beware".to_owned()),
        Event::Notice("it is over".to_owned()),
        finished(RunSummary { listed: 3, delivered: 2, octets: 12_288, deleted: 2, ..RunSummary::default() }),
    ]
}

#[test]
fn each_level_prints_what_it_promises() {
    let line = "work  2 new, 12.0 KiB → ~/Mail/work  2 deleted, 1 kept on the server\n";
    let details = "\
work: the last run was interrupted: 2 messages delivered now, 1 comes again
work: connecting to h:995
work: logged in with PLAIN over TLS 1.3
work C: UIDL
work: 3 messages on the server
work: 3 messages (2.0 KiB) to retrieve
work: because
work: message 1 (288 octets) from Ann Example \"Re: Lunch\" → ~/Mail/work/new/1.a, standard output
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
        (RunSummary::default(), "nothing new  nothing on the server"),
        (RunSummary { listed: 250, ..RunSummary::default() }, "nothing new  250 kept on the server"),
        (
            RunSummary { listed: 9, deleted: 4, ..RunSummary::default() },
            "nothing new  4 deleted, 5 kept on the server",
        ),
        (
            RunSummary { listed: 1, delivered: 1, octets: 1, ..RunSummary::default() },
            "1 new, 1 octet  1 kept on the server",
        ),
        (
            RunSummary { listed: 3, failed: 2, conditions: vec![failing(2, false)], ..RunSummary::default() },
            "nothing delivered  3 kept on the server, 2 messages failed, next try 14:05 UTC",
        ),
        (
            RunSummary {
                listed: 3,
                deleted: 1,
                failed: 1,
                conditions: vec![failing(1, false)],
                ..RunSummary::default()
            },
            "nothing delivered  1 deleted, 2 kept on the server, 1 message failed, next try 14:05 UTC",
        ),
        (
            RunSummary {
                listed: 14,
                delivered: 2,
                octets: 900,
                postponed: postponed(12),
                ..RunSummary::default()
            },
            "2 new, 900 octets  14 kept on the server, 12 left for the next run (max-messages)",
        ),
        (
            RunSummary {
                listed: 5,
                postponed: Postponed { by_bytes: true, ..postponed(1) },
                ..RunSummary::default()
            },
            "nothing delivered  5 kept on the server, 1 left for the next run (max-messages, max-bytes)",
        ),
        // Deletions of earlier sessions, which the last listing didn't hold.
        (
            RunSummary { listed: 1, deleted: 4, ..RunSummary::default() },
            "nothing new  4 deleted, nothing left on the server",
        ),
    ];
    for (summary, expected) in cases {
        let (out, err) = printed(Level::Normal, &[finished(summary.clone())]);
        assert_eq!((out, err), (String::new(), format!("work  {expected}\n")));
        assert_eq!(printed(Level::Quiet, &[finished(summary)]).1, "");
    }
}

/// The run of several accounts: what is printed until the last of them is done, and what follows.
fn of_several(level: Level, form: OutputForm, runs: &[(&str, RunSummary)]) -> (String, String) {
    let err = Sink::default();
    let printer = Printer::onto(Box::new(io::sink()), Box::new(err.clone()), false).formed(form);
    let names: Vec<&str> = runs.iter().map(|(account, _)| *account).collect();
    let plain = Plain::new(Arc::new(printer), level, &names).at_home(Some(Path::new("/home/me")));
    for account in &names {
        let destinations = vec![maildir(&format!("/home/me/Mail/{account}"), None)];
        plain.report(account, &Event::Waiting { destinations });
    }
    for (account, summary) in runs {
        plain.report(account, &finished(summary.clone()));
    }
    let before = err.text();
    plain.ended();
    let after = err.text().split_off(before.len());
    // How long it took differs each time.
    let after = after.lines().map(|line| line.split(" (0.").next().unwrap_or_default().to_owned() + "\n");
    (before, after.collect())
}

#[test]
fn accounts_are_aligned_and_summed_up() {
    let new = |delivered, octets, listed| RunSummary { delivered, octets, listed, ..RunSummary::default() };
    let failed = RunSummary { failed: 1, conditions: vec![failing(1, false)], ..new(2, 31 << 10, 3) };
    let runs = [("anna", new(20, 5_452_595, 20)), ("dad", new(0, 0, 20)), ("\u{5c71}", failed)];
    let expected = "\
anna  20 new, 5.1 MiB → ~/Mail/anna     20 kept on the server
dad   nothing new                       20 kept on the server
\u{5c71}    2 new, 31.0 KiB → ~/Mail/\u{5c71}       3 kept on the server, 1 message failed, next try 14:05 UTC
";
    let total = "3 accounts: 22 new, 1 failed\n";
    assert_eq!(
        of_several(Level::Normal, OutputForm::Terminal, &runs),
        (expected.to_owned(), total.to_owned())
    );
    assert_eq!(of_several(Level::Details, OutputForm::Log, &runs), (expected.to_owned(), total.to_owned()));
    // A log is for what has happened.
    let expected: String =
        expected.lines().filter(|line| !line.contains("nothing")).map(|line| format!("{line}\n")).collect();
    assert_eq!(of_several(Level::Normal, OutputForm::Log, &runs), (expected, total.to_owned()));
    assert_eq!(of_several(Level::Normal, OutputForm::Log, &runs[1..2]), (String::new(), String::new()));
    assert_eq!(of_several(Level::Quiet, OutputForm::Terminal, &runs), (String::new(), String::new()));
}

#[test]
fn the_same_error_of_several_accounts_is_one() {
    let failed = |what: &str| RunSummary { failure: Some(failure(what, true)), ..RunSummary::default() };
    let lost = failed("cannot look up pop.example.com");
    let mut runs = vec![("a", lost.clone()), ("b", failed("h:995 is silent")), ("c", lost.clone())];
    let total = "3 accounts: nothing new, 3 accounts with an error\n";
    let errors = "\
popfetch: accounts \"a\" and \"c\": cannot look up pop.example.com
hint: wait
popfetch: account \"b\": h:995 is silent
hint: wait
";
    let (before, after) = of_several(Level::Normal, OutputForm::Terminal, &runs);
    assert_eq!((before.as_str(), after), ("", errors.to_owned()));
    assert_eq!(of_several(Level::Quiet, OutputForm::Terminal, &runs).1, errors);
    let one_line = errors.replace("\nhint: wait", " (hint: wait)");
    assert_eq!(of_several(Level::Quiet, OutputForm::Log, &runs).1, one_line);
    runs.extend([("d", lost.clone()), ("e", lost), ("f", RunSummary::default())]);
    let (_, after) = of_several(Level::Normal, OutputForm::Terminal, &runs);
    assert!(
        after.contains("\npopfetch: 4 accounts: cannot look up pop.example.com\nhint: wait\n"),
        "{after}"
    );
    assert!(after.starts_with("6 accounts: nothing new, 5 accounts with an error\n"), "{after} {total}");
}

#[test]
fn the_journal_gets_priorities() {
    let (out, err) = (Sink::default(), Sink::default());
    let printer =
        Printer::onto(Box::new(out.clone()), Box::new(err.clone()), true).formed(OutputForm::Journal);
    let plain = Plain::new(Arc::new(printer), Level::Dialogue, &["work"]);
    for event in [
        Event::Dialogue("C: QUIT".to_owned()),
        Event::Warning("beware".to_owned()),
        Event::Notice("it is over".to_owned()),
        finished(RunSummary {
            failure: Some(failure("two\nlines", true)),
            delivered: 1,
            ..RunSummary::default()
        }),
    ] {
        plain.report("work", &event);
    }
    let expected = "\
<7>work C: QUIT
<4>popfetch: work: beware
<5>popfetch: work: it is over
<6>work  1 new, 0 octets  nothing on the server
<3>popfetch: account \"work\": two
<3>lines
<3>hint: wait
";
    assert_eq!((out.text(), timeless(&err.text())), (String::new(), expected.to_owned()));
}

#[test]
fn mail_that_went_elsewhere_explains_why_nothing_is_new() {
    let to = "/home/me/Mail/old".to_owned();
    let summary = RunSummary {
        listed: 5,
        delivered_elsewhere: Some(Elsewhere { messages: 4, to }),
        ..RunSummary::default()
    };
    let expected = "work  nothing new: 4 of 5 were delivered before, to ~/Mail/old; --all retrieves them again  \
                    5 kept on the server\n";
    assert_eq!(printed(Level::Normal, &[finished(summary)]).1, expected);
}

#[test]
fn a_lasting_failure_is_reported_each_time_but_under_quiet_only_as_news() {
    let printed = |level, condition: Condition| {
        let failed = condition.messages;
        let summary = RunSummary { listed: 3, failed, conditions: vec![condition], ..RunSummary::default() };
        printed(level, &[finished(summary)]).1
    };
    let nothing = "work  nothing new  3 kept on the server\n";
    let refused = "popfetch: account \"work\": the server did not delete 3 messages: no\nhint: wait\n";
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
    events.push(finished(RunSummary { dry_run: true, ..RunSummary::default() }));
    let alone =
        RunSummary { listed: 5, failed: 5, conditions: vec![failing(5, true)], ..RunSummary::default() };
    let alone: Vec<Event> = events[..5].iter().cloned().chain([finished(alone)]).collect();
    let expected = "work  nothing delivered  5 kept on the server, 5 messages failed, next try 14:05 UTC: sh exited with 1 (\"quota \
                    exceeded\")\n";
    assert_eq!(printed(Level::Normal, &alone).1, expected);
    let one =
        RunSummary { listed: 5, failed: 1, conditions: vec![failing(1, true)], ..RunSummary::default() };
    let expected =
        "work  nothing delivered  5 kept on the server, message 6 failed, next try 14:05 UTC: it is gone\n";
    assert_eq!(printed(Level::Normal, &[events[5].clone(), finished(one.clone())]).1, expected);
    // Others wait, for reasons that this run doesn't know.
    let others = RunSummary { failed: 3, waiting: 2, conditions: vec![failing(3, true)], ..one };
    let expected = "popfetch: work: message 6 failed and stays on the server: it is gone\n\
                    work  nothing delivered  5 kept on the server, 3 messages failed, next try 14:05 UTC\n";
    assert_eq!(printed(Level::Normal, &[events[5].clone(), finished(others)]).1, expected);
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
    events.push(finished(RunSummary::default()));
    for (level, most) in [(Level::Quiet, 3000), (Level::Normal, 420_000)] {
        let err = printed(level, &events).1;
        assert!(err.len() < most, "{}", err.len());
        assert!(err.contains("4995 messages failed for other reasons: -v gives them all\n"), "{level:?}");
        assert_eq!(err.contains("4900 warnings not shown: -v shows all\n"), level > Level::Quiet);
    }
}

#[test]
fn an_error_says_what_and_then_what_to_do() {
    let error = "popfetch: account \"work\": h:995 is silent\nhint: wait\n";
    let cases = [
        (Level::Normal, true, 0, error.to_owned()),
        (Level::Normal, false, 0, error.to_owned()),
        (Level::Quiet, true, 2, error.to_owned()),
        (Level::Quiet, false, 2, String::new()),
        (Level::Normal, true, 2, format!("work  2 new, 7 octets  5 kept on the server\n{error}")),
    ];
    for (level, news, delivered, expected) in cases {
        let failure = Some(failure("h:995 is silent", news));
        let octets = if delivered > 0 { 7 } else { 0 };
        let summary = RunSummary { listed: 5, delivered, octets, failure, ..RunSummary::default() };
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
    let done = finished(RunSummary { dry_run: true, listed: 1, ..RunSummary::default() });
    let row = "1  a  -  retrieve  new\n";
    let plan = format!("{row}would retrieve 1 message, compare 0, delete 0, leave 0\n");
    for level in [Level::Quiet, Level::Normal] {
        assert_eq!(printed(level, &[intended.clone(), done.clone()]), (plan.clone(), String::new()));
    }
    // Cut off: what there is, without sums that wouldn't be true.
    let broken = finished(RunSummary {
        dry_run: true,
        failure: Some(failure("it broke", true)),
        ..RunSummary::default()
    });
    let (out, err) = printed(Level::Normal, &[intended, broken]);
    assert_eq!((out.as_str(), err.lines().count()), (row, 2));
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
                plain.report(account, &finished(RunSummary { dry_run: true, ..RunSummary::default() }));
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
    assert_eq!(plain, "popfetch: no\nhint: do\npopfetch: beware\n");
}
