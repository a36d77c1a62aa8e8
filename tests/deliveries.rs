//! What a run shows of what it has done, and what `history` and `log-file` keep of it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::{Value, json};

use crate::mailbox::{IN_CLEAR, Served, good, section, serve};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, Server};

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

// ---- accounts ----------------------------------------------------------------------------------------------------

/// Three accounts of one server that serves `anna` only, and one that doesn't answer.
fn family() -> (Server, Sandbox) {
    let server = Server::with("me", "secret", letters());
    let sandbox = Sandbox::new();
    let keys = |name: &str| format!("{IN_CLEAR}deliver = {{ maildir = \"~/{name}\" }}");
    let other = |name: &str, port| {
        section(name, port, &keys(name)).replace("user = \"me\"", &format!("user = \"{name}\""))
    };
    // Nobody listens on port 1.
    sandbox
        .config([section("anna", server.port(), &keys("anna")), other("mum", 1), other("dad", 1)].concat());
    (server, sandbox)
}

#[test]
fn several_accounts_are_aligned_summed_up_and_their_common_error_is_one() {
    let (_server, sandbox) = family();
    let run = sandbox.run([""; 0]);
    run.exits(75);
    let err = run.err();
    let lines: Vec<&str> = err.lines().collect();
    let [row, total, error] = lines.as_slice() else { panic!("{}", run.shown()) };
    assert!(row.starts_with("anna  2 new, ") && row.contains(" octets \u{2192} ~/anna "), "{row}");
    assert!(row.ends_with("  2 kept on the server"), "{row}");
    assert!(total.starts_with("3 accounts: 2 new, 2 accounts with an error ("), "{total}");
    assert!(error.starts_with("popfetch: accounts \"mum\" and \"dad\": "), "{error}");
    assert!(error.contains(" (hint: ") && error.ends_with(')'), "{error}");
}

#[test]
fn a_log_has_only_what_has_happened() {
    let (_server, sandbox) = family();
    sandbox.run(["anna"]).succeeds().complains("anna  2 new, ");
    sandbox.run(["anna"]).succeeds().is_silent();
    sandbox.run(["anna", "-v"]).succeeds().complains("anna  nothing new  2 kept on the server\n");
}

#[test]
fn lines_for_the_journal_have_priorities() {
    let (_server, sandbox) = family();
    let path = sandbox.path("journal");
    let journal = File::create(&path).unwrap();
    let status = journal.metadata().unwrap();
    let run = |stream: String| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_popfetch"));
        command.env_clear().env("HOME", sandbox.home()).env("JOURNAL_STREAM", stream);
        command.stdin(std::process::Stdio::null()).stderr(journal.try_clone().unwrap());
        command.status().unwrap();
        fs::read_to_string(&path).unwrap()
    };
    let text = run(format!("{}:{}", status.dev(), status.ino()));
    assert!(text.starts_with("<6>anna  2 new, ") && text.contains("\n<3>popfetch: accounts "), "{text}");
    assert!(text.lines().all(|line| line.starts_with('<')), "{text}");
    // Inherited from a service whose output went elsewhere.
    let after = run(format!("{}:{}", status.dev(), status.ino() + 1)).split_off(text.len());
    assert!(after.starts_with("popfetch: accounts "), "{after}");
}

#[test]
fn a_destination_that_never_had_mail_is_explained() {
    let served = serve(good(letters()), "");
    served.fetch().succeeds();
    served.configure(served.server.port(), "deliver = { maildir = \"~/new\" }");
    let text = "me  nothing new: 2 of 2 were delivered before, to ~/mail; --all retrieves them again  2 kept on the server\n";
    // At each run, until something has come there.
    for _ in 0..3 {
        served.fetch().succeeds().complains(text);
    }
    served.sandbox.run(["--all"]).succeeds().complains("me  2 new, ");
    served.fetch().succeeds().is_silent();
}

#[test]
fn v_shows_where_the_password_comes_from() {
    let file = "password-file = \"~/secret\"\n";
    let served = serve(good(letters()), "");
    served.sandbox.write("secret", "secret\n");
    let path = served.sandbox.path("secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let config = section("me", served.server.port(), "tls = \"none\"\ndeliver = { maildir = \"~/mail\" }");
    served.sandbox.config(config + file);
    let run = served.sandbox.run(["-v"]);
    run.succeeds().complains(&format!("me: the password comes from password-file {}\n", path.display()));
    run.complains("in clear text\n");
}

#[test]
fn vv_shows_neither_bodies_nor_the_middle_of_listings() {
    let messages = (1..=9).map(|n| Message::new(format!("uid-{n}"), format!("\r\nbody {n}\r\n")));
    let served = serve(good(messages), "");
    let run = served.sandbox.run(["-vv"]);
    run.succeeds().never_says("body").complains("S: \u{2026} 3 lines\n").complains("S: \u{2026} 8 bytes\n");
    for shown in ["S: 3 uid-3\n", "S: 7 uid-7\n"] {
        run.complains(shown);
    }
    run.never_says("S: 4 uid-4\n");
}

// ---- history -----------------------------------------------------------------------------------------------------

fn history(served: &Served, args: &[&str]) -> Run {
    let run = served.sandbox.run([&["history"], args].concat());
    run.succeeds().never_says("\x1b");
    run
}

#[test]
fn history_shows_where_mail_went_and_what_became_of_it() {
    let served = serve(good(letters()), "");
    history(&served, &[]).is_silent();
    served.fetch().succeeds();
    let before = served.sandbox.files();
    let sessions = served.server.sessions();
    let run = history(&served, &[]);
    let out = run.out();
    let lines: Vec<&str> = out.lines().collect();
    let [heading, letter, bare] = lines.as_slice() else { panic!("{}", run.shown()) };
    assert!(heading.starts_with("TIME ") && !heading.contains("ACCOUNT"), "{heading}");
    for text in ["kept", "Ann \\x1b[31m", "Gr\u{fc}\u{df}e and more", "~/mail", "uid-letter"] {
        assert!(letter.contains(text), "{text}: {letter}");
    }
    assert!(bare.contains("18 octets") && bare.contains("uid-bare"), "{bare}");
    run.looks_like("history");
    served.sandbox.run(["--delete"]).succeeds();
    history(&served, &["-n", "1"]).says("deleted").never_says("uid-letter");
    let json = history(&served, &["me", "--json"]);
    let objects: Vec<Value> = json.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 2);
    assert_eq!((&objects[0]["type"], &objects[0]["server"]), (&json!("history"), &json!("deleted")));
    json.looks_like("history-json");
    let file = objects[0]["destination"][0]["file"].as_str().unwrap();
    assert_eq!(fs::read(file).unwrap(), LETTER.replace('\r', "").as_bytes());
    // It asked no server, and changed nothing.
    assert_eq!(served.server.sessions(), sessions + 1);
    assert!(before.keys().any(|path| path.ends_with("history")));
    served.sandbox.run(["history", "nobody"]).exits(64).complains("there is no account");
}

#[test]
fn history_of_mail_that_is_gone_from_the_server_without_us() {
    let served = serve(good(letters()), "");
    served.fetch().succeeds();
    served.server.replace("me", [Message::new("another", BARE)]);
    served.fetch().succeeds();
    let words: Vec<String> = history(&served, &["--json"])
        .out()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["server"].to_string())
        .collect();
    assert_eq!(words, ["\"gone\"", "\"gone\"", "\"kept\""]);
}

#[test]
fn a_history_that_cannot_be_written_or_read_disturbs_no_run() {
    let served = serve(good(letters()), "");
    served.fetch().succeeds();
    let history_file = served.sandbox.files().into_keys().find(|path| path.ends_with("history")).unwrap();
    let history_file = served.sandbox.path(history_file);
    for broken in [&b"\0\xff{{{\n\n"[..], b"{\"time\":1e99}", b"[[[[[[[["] {
        fs::write(&history_file, broken).unwrap();
        history(&served, &[]).is_silent();
    }
    fs::remove_file(&history_file).unwrap();
    fs::create_dir(&history_file).unwrap();
    served.server.add("me", [Message::new("third", LETTER)]);
    served.sandbox.run(["-v"]).succeeds().complains("me: the history is not complete: ");
    history(&served, &[]).is_silent();
    served.sandbox.run([""; 0]).succeeds().is_silent();
}

#[test]
fn history_shows_what_fails() {
    let refused = Message::new("refused\x1b", LETTER).refused("-ERR no");
    let others = ["good", "last"].map(|name| Message::new(name, BARE));
    let [first, last] = others;
    let served = serve(good([first, refused, last]), "");
    history(&served, &["--failed"]).is_silent();
    served.fetch().exits(75);
    let run = history(&served, &["--failed"]);
    run.says("at the next run").says("once").never_says("good").looks_like("history-failed");
    served.fetch().exits(75);
    let run = history(&served, &["--failed", "--json"]);
    let object: Value = serde_json::from_str(&run.out()).unwrap();
    assert_eq!((&object["type"], &object["failures"]), (&json!("failing"), &json!(2)));
    assert!(object["next_try"].as_str().unwrap().ends_with('Z'), "{object}");
    run.looks_like("history-failed-json");
}

/// The server refuses all that is asked for: none of them is known to have failed on its own, and none backs off; and yet
/// they fail, as `status` has it.
#[test]
fn history_shows_what_fails_for_a_reason_that_is_not_its_own() {
    let refused = ["one", "two"].map(|name| Message::new(name, LETTER).refused("-ERR cannot read it"));
    let served = serve(good(refused), "");
    served.fetch().exits(75);
    served.sandbox.run(["status"]).exits(1).says("2 messages fail: ");
    history(&served, &["--failed"]).looks_like("history-failed-all");
    let run = history(&served, &["--failed", "--json"]);
    let object: Value = serde_json::from_str(&run.out()).unwrap();
    assert_eq!(
        (&object["messages"], &object["failures"], &object["unique_id"]),
        (&json!(2), &json!(0), &Value::Null)
    );
    assert!(object["reason"].as_str().is_some_and(|reason| reason.contains("refused")), "{object}");
}

// ---- log-file ----------------------------------------------------------------------------------------------------

#[test]
fn log_file_gets_a_line_for_each_message_and_run() {
    let refused = Message::new("refused", LETTER).refused("-ERR no");
    let served = serve(good([Message::new("good", LETTER), refused]), "");
    let log = served.sandbox.path("log");
    let read = || fs::read_to_string(&log).unwrap();
    served.sandbox.run(["--log-file", "~/dry", "--dry-run"]).succeeds();
    served.sandbox.popfetch(["--quiet", "--log-file"]).run().exits(64);
    let config = fs::read_to_string(served.sandbox.home().join(".config/popfetch/config.toml")).unwrap();
    served.sandbox.config(format!("[defaults]\nlog-file = \"~/log\"\n\n{config}"));
    // Times are this machine's, with how far they are from UTC.
    served.sandbox.popfetch(["--quiet"]).env("TZ", "EAST-10").run().exits(75);
    let text = read();
    assert!(text.lines().all(|line| line.get(19..26) == Some("+10:00 ")), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let [first, second, end] = lines.as_slice() else { panic!("{text}") };
    // Whichever is known first.
    let [good, bad] = if first.contains("failed") { [second, first] } else { [first, second] };
    assert!(good.contains(" me: delivered good (") && good.contains("/mail/new/"), "{good}");
    assert!(bad.contains(" me: message 2 failed: "), "{bad}");
    assert!(end.contains(" me: 1 new, ") && end.contains("1 message failed, "), "{end}");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    fs::rename(&log, served.sandbox.path("log.1")).unwrap();
    served.fetch().exits(75);
    assert_eq!(read().lines().count(), 2);
    // Mail comes also where no log can be written.
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    served.server.add("me", [Message::new("third", BARE)]);
    served.fetch().exits(75).complains("cannot write to log-file ").complains("1 new, ");
}
