//! What is reported of each message that was delivered: `-v`, `--json`, `history`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::mailbox::{good, serve};
use crate::support::sandbox::Run;
use crate::support::server::Message;

/// Decoded subject, a name that steers a terminal, a folded field.
const LETTER: &str = "From: =?utf-8?q?Ann_=1b=5b31m?= <ann@example.org>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n \
                      and more\r\nDate: Fri, 27 Nov 2026 09:12:00 +0100\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n";
const BARE: &str = "\r\nno header at all\r\n";

fn letters() -> [Message; 2] {
    [Message::new("uid-letter", LETTER), Message::new("uid-bare", BARE)]
}

fn delivered(run: &Run) -> Vec<Value> {
    let objects = run.out();
    let objects = objects.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.filter(|object| object["type"] == "delivered").collect()
}

#[test]
fn each_delivered_message_is_an_object() {
    let keys = "deliver = [{ maildir = \"~/mail\" }, { mbox = \"~/mbox\" }, { pipe = [\"cat\"] }]";
    let served = serve(good(letters()), keys);
    let run = served.sandbox.run(["--json", "--quiet"]);
    run.succeeds().never_says("\x1b");
    let [letter, bare] = delivered(&run).try_into().unwrap();
    let home = served.sandbox.home();
    let place = |name: &str| home.join(name).display().to_string();
    assert_eq!(
        (&letter["unique_id"], &letter["from"], &letter["subject"]),
        (&json!("uid-letter"), &json!("Ann \\x1b[31m"), &json!("Gr\u{fc}\u{df}e and more")),
    );
    assert_eq!(
        (&letter["date"], &letter["message_id"], &letter["octets"]),
        (&json!("2026-11-27T08:12:00Z"), &json!("1@example.org"), &json!(LETTER.replace('\r', "").len())),
    );
    assert!(letter["time"].as_str().unwrap().ends_with('Z'), "{letter}");
    let [maildir, mbox, pipe] = letter["destination"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!((&maildir["kind"], &maildir["path"]), (&json!("maildir"), &json!(place("mail"))));
    let file = fs::read(Path::new(maildir["file"].as_str().unwrap())).unwrap();
    assert_eq!(file, LETTER.replace('\r', "").as_bytes());
    assert_eq!(mbox, json!({ "kind": "mbox", "path": place("mbox"), "file": null }));
    assert_eq!(pipe, json!({ "kind": "pipe", "path": "cat", "file": null }));
    for absent in ["from", "subject", "date", "message_id"] {
        assert_eq!(bare[absent], Value::Null, "{absent}");
    }
}

#[test]
fn v_shows_where_each_message_went() {
    let served = serve(good(letters()), "");
    let run = served.sandbox.run(["-v"]);
    run.succeeds().never_says("\x1b");
    let octets = LETTER.replace('\r', "").len();
    run.complains(&format!(
        "me: message 1 ({octets} octets) from Ann \\x1b[31m \"Gr\u{fc}\u{df}e and more\" \u{2192} ~/mail/new/"
    ));
    run.complains(" (18 octets) \u{2192} ~/mail/new/");
    served.server.add("me", [Message::new("third", LETTER)]);
    served.fetch().succeeds().never_says("message 3");
}

/// The run that finds a message delivered by one that died reports it; who wrote it isn't known any more.
#[cfg(feature = "crash-points")]
#[test]
fn what_an_interrupted_run_delivered_is_reported_by_the_next() {
    let mut found = false;
    for step in 1.. {
        let served = serve(good(letters()), "");
        let crashed = served.sandbox.popfetch([""; 0]).crash_at(step).run().crashed();
        let run = served.sandbox.run(["--json", "--quiet"]);
        run.succeeds();
        let objects = delivered(&run);
        let mut ids: Vec<&str> = objects.iter().filter_map(|object| object["unique_id"].as_str()).collect();
        ids.sort_unstable();
        assert!(objects.len() <= 2 && ids.len() == objects.len(), "{}", run.shown());
        let recovered = |object: &&Value| object["unique_id"] == "uid-letter" && object["from"].is_null();
        if let Some(object) = objects.iter().find(recovered) {
            let file = object["destination"][0]["file"].as_str().unwrap();
            assert_eq!(fs::read(file).unwrap(), LETTER.replace('\r', "").as_bytes());
            found = true;
        }
        if !crashed {
            break;
        }
    }
    assert!(found);
}
