//! `UTF8` (RFC 6856): sent where it's listed, before the login and after TLS, and gone on without where it isn't taken.

use crate::mailbox::{after, good, named_account, run, serve};
use crate::support::certificates::{Authority, Leaf};
use crate::support::sandbox::Sandbox;
use crate::support::scripted::{Scripted, Step, expect, send};
use crate::support::server::{Message, Options};

const PIPELINED: &str = "USER\r\nPIPELINING\r\nUTF8 USER\r\n";

/// USER and PASS in one flight, which `UTF8` may lead.
fn login(answers: &str) -> Vec<Step> {
    vec![expect("USER me"), expect("PASS tanstaaf"), send(answers), Step::EmptyMaildrop]
}

#[test]
fn it_leads_the_login_and_costs_no_round_trip() {
    let flight = [vec![expect("UTF8")], login("+OK\r\n+OK\r\n+OK\r\n")].concat();
    let (run, _) = run("", vec![after(PIPELINED, flight)]);
    run.succeeds();
}

#[test]
fn without_pipelining_its_answer_comes_first() {
    let steps = [expect("UTF8"), send("+OK\r\n"), expect("USER me"), send("+OK\r\n")];
    let steps = [&steps[..], &[expect("PASS tanstaaf"), send("+OK\r\n"), Step::EmptyMaildrop]].concat();
    let (run, _) = run("", vec![after("USER\r\nUTF8\r\n", steps)]);
    run.succeeds();
}

#[test]
fn it_is_not_sent_unasked() {
    for (capabilities, keys) in [("USER\r\nPIPELINING\r\n", ""), (PIPELINED, "utf8 = \"off\"")] {
        let (run, sessions) = run(keys, vec![after(capabilities, login("+OK\r\n+OK\r\n"))]);
        run.succeeds();
        assert!(!sessions[0].lines().contains(&"UTF8".to_owned()));
    }
}

#[test]
fn a_refusal_is_gone_on_without() {
    for answer in ["-ERR what?", "-ERR [SYS/TEMP] not today"] {
        let answers = format!("{answer}\r\n+OK\r\n+OK\r\n");
        let flight = [vec![expect("UTF8")], login(&answers)].concat();
        let (run, _) = run("", vec![after(PIPELINED, flight)]);
        run.succeeds();
    }
}

#[test]
fn connection_closed_on_utf8_is_reported_once() {
    for (answer, end) in [("", Step::Close), ("", Step::Reset), ("-ERR what?\r\n", Step::Close)] {
        let drops = after("USER\r\nUTF8\r\n", [expect("UTF8"), send(answer), end]);
        let steps = [expect("USER me"), send("+OK\r\n"), expect("PASS tanstaaf"), send("+OK\r\n")];
        let steps = [&steps[..], &[Step::EmptyMaildrop]].concat();
        let asked = after("USER\r\nUTF8\r\n", steps.clone());
        let remembered = [vec![send("+OK ready\r\n")], steps].concat();
        let server = Scripted::start(vec![drops, asked, remembered]);
        let sandbox = Sandbox::new();
        sandbox.config(crate::mailbox::account(server.port(), ""));
        sandbox.run([""; 0]).succeeds().complains("UTF8");
        sandbox.run([""; 0]).succeeds().never_says("UTF8");
        server.finish();
    }
}

#[test]
fn before_starttls_it_is_never_sent() {
    let authority = Authority::new();
    let sandbox = Sandbox::new();
    sandbox.write("ca.pem", authority.pem());
    let keys = "tls = \"starttls\"\nca-file = \"~/ca.pem\"\npassword = \"tanstaaf\"\nauth = \"user-pass\"";
    for (inside, sent) in [("USER\r\nPIPELINING\r\n", false), (PIPELINED, true)] {
        let begin = [send("+OK ready\r\n"), expect("STLS"), send("+OK\r\n"), Step::StartTls, expect("CAPA")];
        let flight = if sent { vec![expect("UTF8")] } else { vec![] };
        let answers = if sent { "+OK\r\n+OK\r\n+OK\r\n" } else { "+OK\r\n+OK\r\n" };
        let capabilities = vec![send(format!("+OK\r\n{inside}.\r\n"))];
        let script = [begin.to_vec(), capabilities, flight, login(answers)].concat();
        let server = Scripted::start_tls(authority.issue(&Leaf::named(&["127.0.0.1"])), vec![script]);
        sandbox.config(named_account("work", server.port(), keys));
        sandbox.run([""; 0]).succeeds();
        server.finish();
    }
}

#[test]
fn non_ascii_credentials_by_user_and_pass() {
    // U+FF42 FULLWIDTH b and U+00AA: SASLprep makes plain letters of them (RFC 4013 §3).
    let server = Scripted::start(vec![after(
        "USER\r\nPIPELINING\r\nUTF8 USER\r\n",
        [
            expect("UTF8"),
            send("+OK\r\n"),
            expect("USER j\u{f6}b"),
            expect("PASS p\u{e4}a"),
            send("+OK\r\n+OK\r\n"),
            Step::EmptyMaildrop,
        ],
    )]);
    let sandbox = Sandbox::new();
    let account = named_account("work", server.port(), "tls = \"none\"\npassword = \"p\u{e4}\u{aa}\"");
    sandbox.config(account.replace("\"me\"", "\"j\u{f6}\u{ff42}\""));
    sandbox.run([""; 0]).succeeds();
    server.finish();
}

#[test]
fn a_message_that_needs_it_is_left_and_the_others_come() {
    let body = |n: u8| format!("Subject: {n}\r\n\r\n{n}\r\n");
    let messages = [
        Message::new("a", body(1)),
        Message::new("b", body(2)).refused("-ERR [UTF8] must be retrieved in UTF8 mode"),
        Message::new("c", body(3)),
    ];
    let served = serve(good(messages), "leave-on-server = false");
    served.fetch().exits(75).complains("needs UTF8, which the server did not offer");
    served.holds([1, 3].map(|n| body(n).replace("\r\n", "\n").into_bytes()));
    assert_eq!(served.server.unique_ids("me"), ["b"]);
}

#[test]
fn a_maildrop_that_needs_it_is_a_matter_of_the_server() {
    let steps =
        [expect("USER me"), expect("PASS tanstaaf"), send("+OK\r\n-ERR [UTF8] this maildrop needs it\r\n")];
    let (run, _) = run("", vec![after("USER\r\nPIPELINING\r\n", steps)]);
    run.exits(77).complains("refused the login");
}

/// A remembered list proves nothing about this session: such a server is asked for each time.
#[test]
fn a_remembered_list_is_not_enough_to_send_it() {
    let mut options: Options = good([Message::new("a", "Subject: x\r\n\r\nx\r\n")]);
    options.before_login.push("UTF8".to_owned());
    options = options.instead("UTF8", "+OK\r\n");
    let served = serve(options, "listing = \"full\"");
    for session in 1..=2 {
        served.fetch().succeeds();
        let commands = served.server.commands(session);
        assert_eq!(commands[..2], ["CAPA", "UTF8"], "{session}");
    }
    served.server.change(|options| options.before_login.retain(|line| line != "UTF8"));
    for session in 3..=4 {
        served.fetch().succeeds();
        assert!(!served.server.commands(session).contains(&"UTF8".to_owned()), "{session}");
    }
}

/// Without the command such a server may give a substitute for a message, and the original would be deleted.
#[test]
fn broken_connection_does_not_turn_utf8_off() {
    let works = || after(PIPELINED, [vec![expect("UTF8")], login("+OK\r\n+OK\r\n+OK\r\n")].concat());
    let breaks = || after(PIPELINED, [expect("UTF8"), Step::Reset]);
    let server = Scripted::start(vec![works(), breaks(), breaks(), works()]);
    let sandbox = Sandbox::new();
    sandbox.config(crate::mailbox::account(server.port(), ""));
    sandbox.run([""; 0]).succeeds();
    for _ in 0..2 {
        sandbox.run([""; 0]).exits(75);
    }
    sandbox.run([""; 0]).succeeds();
    server.finish();
}
