use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Json, delivered_line};
use crate::exit::ExitCode;
use crate::plan::Why;
use crate::report::plain::tests::Sink;
use crate::report::plain::{Level, Plain, Printer};
use crate::report::{
    Action, Cause, Condition, ConditionKind, Delivery, Event, Postponed, ReportedError, Reporter, RunSummary,
    StoredAt,
};
use crate::types::{MessageNumber, Octets};

const ALL: [(Why, &str); 23] = [
    (Why::New, "new"),
    (Why::Again, "again"),
    (Why::All, "all"),
    (Why::SizeChanged, "size-changed"),
    (Why::CameBack, "came-back"),
    (Why::Duplicate, "duplicate"),
    (Why::Doubtful, "doubtful"),
    (Why::Waits, "waits"),
    (Why::Renumbered, "renumbered"),
    (Why::Nameless, "nameless"),
    (Why::Window, "window"),
    (Why::Known, "known"),
    (Why::Seen, "seen"),
    (Why::TooLarge, "too-large"),
    (Why::BackingOff, "backing-off"),
    (Why::Elsewhere, "elsewhere"),
    (Why::MaxMessages, "max-messages"),
    (Why::MaxBytes, "max-bytes"),
    (Why::Delete, "delete"),
    (Why::Days, "days"),
    (Why::Newest, "newest"),
    (Why::TotalSize, "total-size"),
    (Why::LargerThan, "larger-than"),
];

/// Standard output and standard error of a run, as `reporter` makes it of a plain one.
fn printed<R: Reporter>(level: Level, reporter: impl Fn(Plain) -> R, events: &[Event]) -> (String, String) {
    let (out, err) = (Sink::default(), Sink::default());
    let printer = Arc::new(Printer::onto(Box::new(out.clone()), Box::new(err.clone()), false));
    let reporter = reporter(Plain::new(printer, level, &["work"]));
    events.iter().for_each(|event| reporter.report("work", event));
    (out.text(), err.text())
}

fn number(n: u32) -> MessageNumber {
    MessageNumber::new(n).unwrap()
}

fn failure(message: &str, hint: Option<&str>) -> Option<ReportedError> {
    let (message, hint) = (message.to_owned(), hint.map(str::to_owned));
    Some(ReportedError { exit: ExitCode::Later, message, hint, news: true })
}

fn condition(kind: ConditionKind) -> Condition {
    let (message, hint) = ("it is so".to_owned(), Some("wait".to_owned()));
    Condition {
        kind,
        exit: ExitCode::Later,
        messages: 2,
        message,
        hint,
        reason: None,
        next: None,
        news: false,
        said: true,
    }
}

fn intended(unique_id: Option<&str>, octets: Option<u64>, action: Action, why: Why) -> Event {
    let (unique_id, octets) = (unique_id.map(str::to_owned), octets.map(Octets));
    let why = Cause { word: why.word(), text: why.text() };
    Event::Intended { number: number(3), unique_id, octets, action, why }
}

fn delivery() -> Delivery {
    let place = |kind, path: &str, file: Option<&str>| StoredAt {
        kind,
        path: path.to_owned(),
        file: file.map(str::to_owned),
    };
    Delivery {
        number: Some(number(3)),
        unique_id: Some("a\\x07".to_owned()),
        octets: 288,
        from: Some("Ann Example".to_owned()),
        subject: Some("\"Lunch\"".to_owned()),
        date: Some("2026-11-27T08:12:00Z".to_owned()),
        message_id: Some("1@example.org".to_owned()),
        destinations: vec![
            place("maildir", "/home/me/Mail", Some("/home/me/Mail/new/1.a")),
            place("pipe", "procmail -d me", None),
        ],
        time: "2026-11-27T09:00:00Z".to_owned(),
    }
}

/// Each event that is an object, and its line.
fn objects() -> Vec<(Event, &'static str)> {
    let summary = RunSummary {
        listed: 9,
        delivered: 2,
        octets: 4096,
        deleted: 1,
        failed: 3,
        elapsed: Duration::from_millis(1500),
        ..RunSummary::default()
    };
    vec![
        (
            intended(Some("a\\x07"), Some(512), Action::Retrieve, Why::New),
            r#"{"v":1,"account":"work","type":"plan","number":3,"unique_id":"a\\x07","octets":512,"action":"retrieve","why":"new"}"#,
        ),
        (
            intended(None, None, Action::Compare, Why::Nameless),
            r#"{"v":1,"account":"work","type":"plan","number":3,"unique_id":null,"octets":null,"action":"compare","why":"nameless"}"#,
        ),
        (
            Event::Recovered { delivered: 2, dropped: 1 },
            r#"{"v":1,"account":"work","type":"recovered","delivered":2,"dropped":1}"#,
        ),
        (
            Event::MessageFailed { number: number(3), reason: "\"no\"".to_owned(), news: false },
            r#"{"v":1,"account":"work","type":"message-failed","number":3,"reason":"\"no\"","news":false}"#,
        ),
        (
            Event::TooLarge { number: number(3), octets: Octets(u64::MAX) },
            r#"{"v":1,"account":"work","type":"too-large","number":3,"octets":18446744073709551615}"#,
        ),
        (
            Event::Warning("for grün\nand more".to_owned()),
            r#"{"v":1,"account":"work","type":"warning","message":"for grün\nand more"}"#,
        ),
        (
            Event::Notice("it is over".to_owned()),
            r#"{"v":1,"account":"work","type":"notice","message":"it is over"}"#,
        ),
        (
            Event::Finished(summary.clone()),
            r#"{"v":1,"account":"work","type":"account","dry_run":false,"listed":9,"delivered":2,"octets":4096,"deleted":1,"failed":3,"postponed":0,"elapsed":1.5,"exit":0,"error":null,"conditions":[]}"#,
        ),
        (
            Event::Finished(RunSummary {
                failure: failure("h:995 is silent", Some("wait")),
                ..summary.clone()
            }),
            r#"{"v":1,"account":"work","type":"account","dry_run":false,"listed":9,"delivered":2,"octets":4096,"deleted":1,"failed":3,"postponed":0,"elapsed":1.5,"exit":75,"error":{"message":"h:995 is silent","hint":"wait","news":true},"conditions":[]}"#,
        ),
        (
            Event::Finished(RunSummary {
                dry_run: true,
                postponed: Postponed { messages: 12, by_messages: true, by_bytes: false },
                conditions: ConditionKind::ALL.map(condition).to_vec(),
                ..summary.clone()
            }),
            r#"{"v":1,"account":"work","type":"account","dry_run":true,"listed":9,"delivered":2,"octets":4096,"deleted":1,"failed":3,"postponed":12,"elapsed":1.5,"exit":75,"error":null,"conditions":[
            {"kind":"messages-failed","exit":75,"messages":2,"message":"it is so","hint":"wait","news":true},
            {"kind":"destination-gone","exit":75,"messages":2,"message":"it is so","hint":"wait","news":true},
            {"kind":"deletion-refused","exit":75,"messages":2,"message":"it is so","hint":"wait","news":true},
            {"kind":"quit-refused","exit":75,"messages":2,"message":"it is so","hint":"wait","news":true},
            {"kind":"not-deleted","exit":75,"messages":2,"message":"it is so","hint":"wait","news":true},
            {"kind":"policy-without-effect","exit":75,"messages":2,"message":"it is so","hint":"wait","news":true}]}"#,
        ),
        (
            Event::Delivered(delivery()),
            r#"{"v":1,"account":"work","type":"delivered","unique_id":"a\\x07","octets":288,"from":"Ann Example","subject":"\"Lunch\"","date":"2026-11-27T08:12:00Z","message_id":"1@example.org","destination":[
            {"kind":"maildir","path":"/home/me/Mail","file":"/home/me/Mail/new/1.a"},
            {"kind":"pipe","path":"procmail -d me","file":null}],"time":"2026-11-27T09:00:00Z"}"#,
        ),
        (
            Event::Delivered(Delivery {
                unique_id: None,
                from: None,
                subject: None,
                date: None,
                message_id: None,
                destinations: Vec::new(),
                ..delivery()
            }),
            r#"{"v":1,"account":"work","type":"delivered","unique_id":null,"octets":288,"from":null,"subject":null,"date":null,"message_id":null,"destination":[],"time":"2026-11-27T09:00:00Z"}"#,
        ),
    ]
}

#[test]
fn every_object_is_a_line() {
    for (event, expected) in objects() {
        for level in [Level::Quiet, Level::Dialogue] {
            let (out, _) = printed(level, Json::new, std::slice::from_ref(&event));
            let expected: String = expected.lines().map(str::trim_start).collect();
            assert_eq!(out, format!("{expected}\n"), "{level:?}");
        }
    }
    let delivered = Event::Delivered(delivery());
    assert_eq!(delivered_line("work", &delivery()), printed(Level::Quiet, Json::new, &[delivered]).0);
    for (why, expected) in ALL {
        assert_eq!(why.word(), expected);
    }
}

#[test]
fn what_fails_thousands_of_times_is_at_most_a_thousand_objects() {
    let long = "x".repeat(4000);
    let failing = |n| Event::MessageFailed { number: number(n), reason: format!("{n} {long}"), news: false };
    let events: Vec<Event> = (1..=5_000).map(failing).chain([objects().swap_remove(7).0]).collect();
    let (out, _) = printed(Level::Quiet, Json::new, &events);
    assert_eq!(out.lines().count(), 1001);
    assert!(out.len() < 1_200_000, "{}", out.len());
    assert!(out.lines().last().unwrap().contains(r#""type":"account""#));
}

#[test]
fn progress_is_reported_on_standard_error_only() {
    let events = [
        Event::Connecting { server: "h:995".to_owned() },
        Event::LoggedIn { mechanism: "PLAIN", protection: None },
        Event::Listed { messages: 1 },
        Event::Planned { messages: 1, octets: None },
        Event::Received { octets: 5 },
        Event::Arrived,
        Event::Detail("because".to_owned()),
        Event::Dialogue("C: UIDL".to_owned()),
    ];
    let all: Vec<Event> =
        events.iter().cloned().chain(objects().into_iter().map(|(event, _)| event)).collect();
    for level in [Level::Quiet, Level::Normal, Level::Details, Level::Dialogue] {
        assert_eq!(printed(level, Json::new, &events).0, "");
        assert_eq!(printed(level, Json::new, &all).1, printed(level, |plain| plain, &all).1, "{level:?}");
    }
}

#[test]
fn lines_of_several_accounts_do_not_mix() {
    let names = ["a", "long\x1bname\""];
    let out = Sink::default();
    let printer = Arc::new(Printer::onto(Box::new(out.clone()), Box::new(std::io::sink()), false));
    let json = Json::new(Plain::new(printer, Level::Normal, &names));
    std::thread::scope(|scope| {
        for name in names {
            let json = &json;
            scope.spawn(move || {
                for _ in 0..100 {
                    json.report(name, &Event::Warning("x".repeat(200)));
                }
            });
        }
    });
    let mut accounts: Vec<Value> = out
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["account"].take())
        .collect();
    accounts.sort_by_key(Value::to_string);
    assert_eq!(accounts.len(), 200);
    assert!(accounts[..100].iter().all(|name| name == "a"));
    assert!(accounts[100..].iter().all(|name| name == "long\\x1bname\""), "{:?}", accounts[100]);
}

/// Both descriptions of the format have all that can stand in it.
#[test]
fn the_format_is_described() {
    let (_, here) = include_str!("../json.rs").split_once("# The format").unwrap();
    let (here, _) = here.split_once("use serde").unwrap();
    let manual = include_str!("../../../man/popfetch-json.5").replace("\\-", "-");
    let mut words: BTreeSet<String> = ALL.iter().map(|(_, word)| (*word).to_owned()).collect();
    words.extend(["retrieve", "compare", "delete", "leave"].map(str::to_owned));
    for (_, line) in objects() {
        let mut object: Value = serde_json::from_str(line).unwrap();
        words.insert(object["type"].as_str().unwrap().to_owned());
        let conditions = object["conditions"].take();
        for condition in conditions.as_array().into_iter().flatten() {
            words.insert(condition["kind"].as_str().unwrap().to_owned());
            words.extend(condition.as_object().unwrap().keys().cloned());
        }
        let destinations = object["destination"].as_array().cloned().unwrap_or_default();
        for place in destinations {
            words.insert(place["kind"].as_str().unwrap().to_owned());
            words.extend(place.as_object().unwrap().keys().cloned());
        }
        words.extend(object["error"].take().as_object().into_iter().flat_map(|error| error.keys().cloned()));
        words.extend(object.as_object().unwrap().keys().cloned());
    }
    for text in [here, &*manual] {
        let found: BTreeSet<String> = text
            .split(|c: char| !(c.is_ascii_lowercase() || matches!(c, '-' | '_')))
            .map(str::to_owned)
            .collect();
        let missing: Vec<&String> = words.difference(&found).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
