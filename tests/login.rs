//! From the greeting to the login, through the binary: groups G, A and C of the test cases (RFC 1939 §4, §7; RFC 2449;
//! RFC 3206).  Codes, words, and what was and was not sent to the server.

use crate::mailbox::{PASSWORD, account, after, greeted, named_account, run};
use crate::support::mail;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, expect, send};
use crate::support::server::{Message, Options, Server, Tls};

/// A failure's text names the account and the server.
#[track_caller]
fn names_account_and_server(run: &Run) {
    run.complains("account \"work\": ").complains("127.0.0.1:");
}

// ---- G: greeting and login -------------------------------------------------------------------------------------

#[test]
fn greeting_without_text() {
    let script = vec![send("+OK\r\n"), expect("CAPA"), send("-ERR\r\n"), expect("USER me"), send("+OK\r\n")];
    let script = [script, vec![expect("PASS tanstaaf"), send("+OK\r\n"), Step::EmptyMaildrop]].concat();
    let (run, _) = run("", vec![script]);
    run.succeeds();
}

#[test]
fn refusing_greetings() {
    for (greeting, code, words) in [
        ("-ERR [IN-USE] another session", 75, "another session"),
        ("-ERR too many connections", 75, "too many connections"),
        ("-ERR [SYS/PERM] no such site", 69, "hint: "),
        ("-ERR [SYS/TEMP] come back", 75, "come back"),
        ("-ERR [LOGIN-DELAY] wait", 75, "wait"),
    ] {
        let (run, sessions) = run("", vec![vec![send(format!("{greeting}\r\n"))]]);
        run.exits(code).complains("refused the connection").complains(words);
        names_account_and_server(&run);
        assert_eq!(sessions[0].received, b"", "{greeting}");
    }
}

#[test]
fn missing_or_half_greeting() {
    for step in [vec![], vec![send("+OK rea")], vec![send("+OK rea"), Step::Reset], vec![Step::Reset]] {
        let (run, sessions) = run("", vec![step]);
        run.exits(75);
        names_account_and_server(&run);
        assert_eq!(sessions[0].received, b"");
    }
}

#[test]
fn silent_server_times_out() {
    // The second connection asks whether it speaks TLS.
    let (run, _) = run("timeout = \"1s\"", vec![vec![Step::Stall], vec![Step::Stall]]);
    run.exits(75).complains("the greeting").complains("hint: ");
    names_account_and_server(&run);
}

#[test]
fn other_tls_setting_is_suggested() {
    let server = Scripted::start(vec![vec![send("+OK ready\r\n"), Step::Stall]]);
    let sandbox = Sandbox::new();
    sandbox.config(named_account(
        "work",
        server.port(),
        &format!("password = \"{PASSWORD}\"\ntimeout = \"2s\""),
    ));
    sandbox
        .run([""; 0])
        .exits(76)
        .complains("does not speak TLS")
        .complains("hint: ")
        .complains("tls = \"starttls\"");
    // A TLS server waits for the client; in clear, only an alert, or a handshake record of a confused one, is seen.
    for record in [&b"\x15\x03\x01\x00\x02\x02\x28"[..], b"\x16\x03\x01\x00\x02\x02\x28"] {
        let (run, _) = run("", vec![vec![send(record)]]);
        run.exits(76).complains("speaks TLS").complains("tls = \"implicit\"");
        names_account_and_server(&run);
    }
}

#[test]
fn silent_tls_server_is_recognised() {
    let authority = crate::support::certificates::Authority::new();
    let certified = authority.issue(&crate::support::certificates::Leaf::self_signed());
    for keys in ["tls = \"none\"", "tls = \"starttls\""] {
        let server = Scripted::start_tls(certified.clone(), vec![vec![Step::Stall], vec![Step::StartTls]]);
        let sandbox = Sandbox::new();
        let keys = format!("{keys}\npassword = \"{PASSWORD}\"\ntimeout = \"2s\"");
        sandbox.config(named_account("work", server.port(), &keys));
        let run = sandbox.run([""; 0]);
        run.exits(76).complains("it answers to TLS").complains("set tls = \"implicit\"");
        assert_eq!(server.finish()[0].received, b"");
    }
}

#[test]
fn address_without_greeting_is_followed_by_the_next() {
    let namespaces = std::process::Command::new("unshare").args(["-rm", "true"]).status();
    if !namespaces.is_ok_and(|status| status.success()) {
        crate::support::skip("there are no namespaces here");
        return;
    }
    let login = [expect("USER me"), send("+OK\r\n"), expect("PASS tanstaaf"), send("+OK\r\n")];
    let steps = [&login[..], &[Step::EmptyMaildrop]].concat();
    let server = Scripted::start_at("127.0.0.3".parse().unwrap(), vec![after("USER\r\n", steps)]);
    let first = std::net::TcpListener::bind(("127.0.0.2", server.port())).unwrap();
    let closes = std::thread::spawn(move || drop(first.accept().unwrap()));
    let sandbox = Sandbox::new();
    let keys = format!("tls = \"none\"\nauth = \"user-pass\"\npassword = \"{PASSWORD}\"");
    let config = named_account("work", server.port(), &keys).replace("\"127.0.0.1\"", "\"pair.test\"");
    sandbox.config(config);
    let hosts = sandbox.write("hosts", "127.0.0.2 pair.test\n127.0.0.3 pair.test\n");
    let mounted = "mount --bind \"$HOSTS\" /etc/hosts && exec \"$0\" \"$@\"";
    let run =
        sandbox.popfetch([""; 0]).under(["unshare", "-rm", "sh", "-c", mounted]).env("HOSTS", hosts).run();
    run.succeeds();
    closes.join().unwrap();
    server.finish();
}

#[test]
fn slow_greeting_and_slow_pass_are_waited_for() {
    // PASS may take five times the time-out: the server may have to index the mailbox first.
    let pause = |millis| {
        Step::Call(std::sync::Arc::new(move || std::thread::sleep(std::time::Duration::from_millis(millis))))
    };
    let steps = vec![
        pause(200),
        send("+OK\r\n"),
        expect("CAPA"),
        send("-ERR\r\n"),
        expect("USER me"),
        send("+OK\r\n"),
        expect("PASS tanstaaf"),
        pause(1300),
        send("+OK\r\n"),
        Step::EmptyMaildrop,
    ];
    let (run, _) = run("timeout = \"1s\"", vec![steps]);
    run.succeeds();
}

#[test]
fn password_is_sent_exactly() {
    for password in ["a b ", " x", "%", "\"", "\\x", "***", "päss"] {
        let server = Server::start(Options::with("me", password, []).instead("AUTH", "-ERR\r\n"));
        let sandbox = Sandbox::new();
        sandbox.write("secret", format!("{password}\n"));
        sandbox.config(named_account(
            "work",
            server.port(),
            "tls = \"none\"\nauth = \"user-pass\"\npassword-file = \"~/secret\"",
        ));
        sandbox.run([""; 0]).succeeds();
        assert!(server.commands(1).contains(&format!("PASS {password}")), "{:?}", server.commands(1));
    }
}

#[test]
fn password_with_a_line_end_is_not_sent() {
    let sandbox = Sandbox::new();
    let server = Scripted::start(vec![]);
    for password in ["x\\nDELE 1", "x\\rDELE 1", "\\u0000"] {
        sandbox.config(named_account("work", server.port(), &format!("password = \"{password}\"")));
        let run = sandbox.run([""; 0]);
        run.exits(78).complains("line end").never_says("DELE 1");
    }
    for user in ["me\\nDELE 1", "me\\r"] {
        let config = named_account("work", server.port(), "password = \"x\"");
        sandbox.config(config.replace("\"me\"", &format!("\"{user}\"")));
        sandbox.run([""; 0]).exits(78);
    }
    server.finish();
}

#[test]
fn overlong_user_name() {
    let long = "u".repeat(249);
    let refused = |capabilities: &str, more: &str| {
        let server = Scripted::start(vec![greeted(capabilities)]);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), more).replace("\"me\"", &format!("\"{long}\"")));
        let run = sandbox.run([""; 0]);
        assert_eq!(server.finish()[0].lines(), ["CAPA"]);
        run
    };
    refused("USER\r\n", "").exits(77).complains("too long").complains("hint: ");
    refused("USER\r\nSASL PLAIN\r\n", "auth = \"user-pass\"").exits(77).complains("auth = \"plain\"");

    let server = Server::with(&long, PASSWORD, []);
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), "").replace("\"me\"", &format!("\"{long}\"")));
    sandbox.run([""; 0]).succeeds();
    assert_eq!(server.commands(1)[1], "AUTH PLAIN", "over 255 octets with its initial response");
}

#[test]
fn refused_user_gets_no_password() {
    let steps = after("USER\r\n", [expect("USER me"), send("-ERR no such user\r\n"), Step::ExpectEnd]);
    let (run, _) = run("", vec![steps]);
    run.exits(77).complains("no such user");
}

#[test]
fn login_refusals_and_their_exit_codes() {
    for (capabilities, answer, code) in [
        ("", "[AUTH] no", 77),
        ("", "[auth] no", 77),
        ("AUTH-RESP-CODE\r\n", "[AUTH] no", 77),
        ("", "[LOGIN-DELAY] wait", 75),
        ("", "[IN-USE] wait", 75),
        ("", "[sys/temp/x] disk", 75),
        ("", "[SYS/TEMP] disk", 75),
        ("", "[SYS/PERM] disk", 69),
        ("", "[FOO] bad", 77),
        ("", "maildrop already locked", 75),
        ("", "Lock Busy", 75),
        ("", "invalid password", 77),
        ("AUTH-RESP-CODE\r\n", "invalid password", 75),
        ("AUTH-RESP-CODE\r\n", "[FOO] bad", 75),
    ] {
        let login =
            [expect("USER me"), send("+OK\r\n"), expect("PASS tanstaaf"), send(format!("-ERR {answer}\r\n"))];
        let capabilities = format!("USER\r\nPIPELINING\r\nSASL LOGIN\r\n{capabilities}");
        let (run, sessions) = run("", vec![after(&capabilities, login)]);
        assert_eq!(run.code(), Some(code), "{capabilities:?} {answer}\n{}", run.shown());
        // One attempt: LOGIN, which would come next, isn't tried with this password.
        let sent = sessions[0].lines();
        assert!(!sent.iter().any(|line| line.starts_with("AUTH")), "{sent:?}");
        run.complains("refused the login (USER)");
        names_account_and_server(&run);
        let words = answer.split_once("] ").map_or(answer, |(_, words)| words);
        run.complains(words);
        assert_eq!(code == 77, run.err().contains("hint: check user name and password"), "{}", run.shown());
    }
}

#[test]
fn connection_closed_after_pass_is_not_a_refusal() {
    for end in [Step::Close, Step::Reset] {
        let steps = after("USER\r\n", [expect("USER me"), send("+OK\r\n"), expect("PASS tanstaaf"), end]);
        let (run, _) = run("", vec![steps]);
        run.exits(75);
        names_account_and_server(&run);
    }
}

#[test]
fn the_server_says_goodbye_before_the_login() {
    let steps = after("USER\r\n", [expect("USER me"), send("+OK\r\n-ERR Autologout; idle for too long\r\n")]);
    let (run, _) = run("", vec![steps]);
    assert!(matches!(run.code(), Some(75 | 76)), "{}", run.shown());
    run.complains("Autologout");
}

// ---- A: APOP ---------------------------------------------------------------------------------------------------

/// Runs with `auth = "apop"` against this greeting; the commands sent.
fn apop(greeting: &[u8], user: &str, password: &str) -> (Run, Vec<String>) {
    let script = vec![
        send([greeting, b"\r\n"].concat()),
        expect("CAPA"),
        send("+OK\r\nUSER\r\n.\r\n"),
        Step::EmptyMaildrop,
    ];
    let server = Scripted::start(vec![script]);
    let sandbox = Sandbox::new();
    let config = account(server.port(), "auth = \"apop\"").replace("\"me\"", &format!("\"{user}\""));
    sandbox.config(config.replace(PASSWORD, password));
    let run = sandbox.run([""; 0]);
    (run, server.finish()[0].lines())
}

#[test]
fn apop_digests() {
    for (greeting, user, password, digest) in [
        (
            "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
            "mrose",
            "tanstaaf",
            "c4c9334bac560ecc979e58001b3e22fb",
        ),
        (
            "+OK Dovecot (Debian) ready. <6e54.1.6b025bd6.E8jeP6N/+v+WxIzXCXtSBA==@vm>",
            "joe",
            "secret",
            "a00735c1cddfa773321a375cb4052cb5",
        ),
        // The last one that passes.
        (
            "+OK <1.2@other> <1896.697170952@dbc.mtview.ca.us> <not one>",
            "mrose",
            "tanstaaf",
            "c4c9334bac560ecc979e58001b3e22fb",
        ),
    ] {
        let (run, lines) = apop(greeting.as_bytes(), user, password);
        assert_eq!(lines[1], format!("APOP {user} {digest}"), "{}", run.shown());
        // EmptyMaildrop knows no APOP.
        run.exits(77).never_says(digest);
    }
}

#[test]
fn bad_apop_timestamp_is_not_answered() {
    for stamp in [
        &b"<>"[..],
        b"<a@>",
        b"<@b>",
        b"<a@b@c>",
        b"<a b@c>",
        b"<a..b@c>",
        b"<.a@b>",
        b"<a@b",
        b"<a\x80@b>",
        b"<a\0@b>",
        b"<\"a\"@b>",
        b"",
    ] {
        let (run, lines) = apop(&[b"+OK ", stamp].concat(), "me", PASSWORD);
        run.exits(77).complains("APOP timestamp").complains("hint: ");
        assert_eq!(lines, ["CAPA"], "{stamp:?}");
    }
}

#[test]
fn refused_apop_is_not_followed_by_a_password() {
    for (answer, code) in [("-ERR no\r\n", 77), ("-ERR [IN-USE] no\r\n", 75)] {
        let script = vec![
            send("+OK <1@b>\r\n"),
            expect("CAPA"),
            send("+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n"),
            Step::ExpectStart(b"APOP me ".to_vec()),
            send(answer),
            Step::ExpectEnd,
        ];
        let (run, _) = run("auth = \"apop\"", vec![script]);
        run.exits(code);
    }
}

#[test]
fn apop_timestamp_from_before_stls_is_not_used() {
    let authority = crate::support::certificates::Authority::new();
    let certified = authority.issue(&crate::support::certificates::Leaf::default());
    let script = vec![
        send("+OK <1@b>\r\n"),
        expect("STLS"),
        send("+OK\r\n"),
        Step::StartTls,
        expect("CAPA"),
        send("+OK\r\n.\r\n"),
        Step::ExpectEnd,
    ];
    let server = Scripted::start_tls(certified, vec![script]);
    let sandbox = Sandbox::new();
    authority.write(&sandbox.path("ca.pem"));
    let more = "tls = \"starttls\"\nca-file = \"~/ca.pem\"\npassword = \"x\"\nauth = \"apop\"";
    sandbox.config(named_account("work", server.port(), more));
    sandbox.run([""; 0]).exits(77).complains("APOP timestamp");
    server.finish();
}

// ---- C: CAPA ---------------------------------------------------------------------------------------------------

#[test]
fn without_capa_user_and_pass_are_used() {
    let messages = [Message::new("a", mail::message(1, 400)), Message::new("b", mail::message(2, 400))];
    let server = Server::start(Options::with("me", PASSWORD, messages).without("CAPA"));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    sandbox.run([""; 0]).succeeds().complains("2 new, ");
    let commands = server.commands(1);
    assert_eq!(commands[..3], ["CAPA", "USER me", "PASS tanstaaf"]);
    assert!(commands.contains(&"UIDL".to_owned()), "{commands:?}");
    sandbox.run(["-v"]).succeeds().complains("nothing new");
}

#[test]
fn connection_closed_on_capa_is_tried_without() {
    for end in [Step::Close, Step::Reset] {
        let first = vec![send("+OK\r\n"), expect("CAPA"), end];
        let second = vec![
            send("+OK\r\n"),
            expect("USER me"),
            send("+OK\r\n"),
            expect("PASS tanstaaf"),
            send("+OK\r\n"),
            Step::EmptyMaildrop,
        ];
        let (run, _) = run("", vec![first, second]);
        run.succeeds();
    }
}

#[test]
fn connection_closed_on_capa_is_tried_once_more_only() {
    let hangs_up = |command| vec![send("+OK\r\n"), expect(command)];
    let (run, _) = run("", vec![hangs_up("CAPA"), hangs_up("USER me")]);
    run.exits(75);
}

#[test]
fn connection_closed_on_capa_ends_sasl() {
    let authority = crate::support::certificates::Authority::new();
    let certified = authority.issue(&crate::support::certificates::Leaf::default());
    let script =
        vec![send("+OK\r\n"), expect("STLS"), send("+OK\r\n"), Step::StartTls, expect("CAPA"), Step::Close];
    let server = Scripted::start_tls(certified, vec![script]);
    let sandbox = Sandbox::new();
    authority.write(&sandbox.path("ca.pem"));
    let more = "tls = \"starttls\"\nca-file = \"~/ca.pem\"\npassword = \"x\"";
    sandbox.config(named_account("work", server.port(), more));
    sandbox.run([""; 0]).exits(75);
    server.finish();
}

#[test]
fn capabilities_as_servers_write_them() {
    let steps = after(
        "top\r\nSasl plain Cram-Md5\r\nPIPELINING  \r\n..foo\r\nX-UNKNOWN a b\r\nSASL PLAIN\r\ntop\r\n\r\n",
        [Step::ExpectStart(b"AUTH PLAIN ".to_vec()), send("+OK\r\n"), Step::EmptyMaildrop],
    );
    let (run, _) = run("", vec![steps]);
    run.succeeds();
}

#[test]
fn capabilities_from_before_stls_are_void() {
    // STLS comes first, whatever would have been announced; afterwards only the new list counts.
    let authority = crate::support::certificates::Authority::new();
    let certified = authority.issue(&crate::support::certificates::Leaf::default());
    let options = Options {
        tls: Tls::Stls(certified.clone()),
        before_login: vec!["USER".into(), "UIDL".into()],
        ..Options::with("me", PASSWORD, [])
    };
    let server = Server::start(options);
    let sandbox = Sandbox::new();
    authority.write(&sandbox.path("ca.pem"));
    let more = format!("tls = \"starttls\"\nca-file = \"~/ca.pem\"\npassword = \"{PASSWORD}\"");
    sandbox.config(named_account("work", server.port(), &more));
    sandbox.run([""; 0]).succeeds();
    assert_eq!(server.commands(1)[..4], ["STLS", "CAPA", "USER me", "PASS tanstaaf"]);
}

fn three() -> Vec<Message> {
    (1..=3).map(|n| Message::new(format!("uid-{n}"), mail::message(n, 400))).collect()
}

#[test]
fn pipelined_only_in_the_state_that_announces_it() {
    for (before, later) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut options = Options::with("me", PASSWORD, three());
        options.before_login.retain(|line| line != "PIPELINING" || before);
        options.after_login.retain(|line| line != "PIPELINING" || later);
        let server = Server::start(options);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), ""));
        sandbox.run([""; 0]).succeeds().complains("3 new, ");
        let commands = server.commands(1);
        // USER and PASS stand for the mechanisms where they can travel together.
        assert_eq!(commands[1] == "USER me", before, "{commands:?}");
        // In one flight a question follows the first message; one by one it would cost a round trip.
        let asked = commands.windows(2).any(|pair| pair[0] == "RETR 1" && pair[1].starts_with("UIDL "));
        assert_eq!(asked, later, "{commands:?}");
    }
}

#[test]
fn odd_capability_arguments_are_ignored() {
    for line in [
        "EXPIRE 0",
        "EXPIRE NEVER",
        "EXPIRE 7 USER",
        "EXPIRE -1",
        "EXPIRE",
        "LOGIN-DELAY x",
        "LOGIN-DELAY 99999999999999999999",
        "LOGIN-DELAY 300 USER",
        "SASL",
        "IMPLEMENTATION \x1b[31m\u{202e}",
    ] {
        let mut options = Options::with("me", PASSWORD, three());
        options.before_login.push(line.to_owned());
        options.after_login.push(line.to_owned());
        let server = Server::start(options);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), ""));
        sandbox.run(["-vv"]).succeeds().complains("3 messages").never_says("\x1b").never_says("\u{202e}");
    }
}

#[test]
fn endless_capabilities_are_refused() {
    let endless = "X-MORE and more\r\n".repeat(100_000);
    let script = vec![send("+OK\r\n"), expect("CAPA"), send(format!("+OK\r\n{endless}"))];
    let server = Scripted::start(vec![script]);
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    sandbox.run([""; 0]).exits(76).complains("CAPA");
}

#[test]
fn sasl_plain_without_user() {
    let steps = after(
        "SASL PLAIN\r\nPIPELINING\r\n",
        [Step::ExpectStart(b"AUTH PLAIN ".to_vec()), send("+OK\r\n"), Step::EmptyMaildrop],
    );
    let (run, _) = run("", vec![steps]);
    run.succeeds();
}

#[test]
fn no_usable_login_sends_no_password() {
    for capabilities in ["", "SASL\r\n", "SASL NTLM GSSAPI\r\nTOP\r\n"] {
        let (run, _) = run("", vec![after(capabilities, [Step::ExpectEnd])]);
        run.exits(77).complains("no way to log in").complains("hint: ");
        names_account_and_server(&run);
    }
    // A name that the user insists on is not offered either.
    let (run, _) = run("auth = \"cram-md5\"", vec![after("USER\r\nSASL PLAIN\r\n", [Step::ExpectEnd])]);
    run.exits(77).complains("CRAM-MD5").complains("PLAIN");
}

// ---- one flight -------------------------------------------------------------------------------------------------

#[test]
fn refusal_counts_though_the_connection_ends() {
    // USER is refused, and PASS, which came with it, isn't answered any more.
    for end in [Step::Close, Step::Reset] {
        let login = [expect("USER me"), expect("PASS tanstaaf"), send("-ERR [AUTH] no such user\r\n")];
        let steps = after("USER\r\nPIPELINING\r\n", [&login[..], &[Step::Lines(1), end]].concat());
        // What follows PASS in the flight is read, so that nothing is lost to a reset.
        let (run, _) = run("", vec![steps]);
        run.exits(77).complains("no such user");
    }
    let token = [
        expect("AUTH XOAUTH2"),
        send("+ \r\n"),
        Step::ExpectAny,
        // {"status":"401"}
        send("+ eyJzdGF0dXMiOiI0MDEifQ==\r\n"),
        Step::Close,
    ];
    let (run, _) = run("auth = \"xoauth2\"", vec![after("SASL XOAUTH2\r\n", token)]);
    run.exits(77).complains("401");
}

/// Courier's login program hands over to another program, and throws away what has come with PASS.  The next session
/// finds the maildrop locked for a moment.
#[test]
fn server_dropping_commands_behind_pass_gets_two_flights() {
    let login = || vec![expect("USER me"), expect("PASS tanstaaf")];
    let capabilities = "USER\r\nUIDL\r\nPIPELINING\r\n";
    let first = after(capabilities, [login(), vec![send("+OK\r\n+OK\r\n"), Step::Stall]].concat());
    let locked =
        after(capabilities, [login(), vec![send("+OK\r\n-ERR [IN-USE] another session\r\n")]].concat());
    let then = || [login(), vec![send("+OK\r\n+OK\r\n"), Step::EmptyMaildrop]].concat();
    let second = after(capabilities, then());
    let next_run = [vec![send("+OK ready\r\n")], then()].concat();
    let server = Scripted::start(vec![first, locked, second, next_run]);
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), "timeout = \"8s\""));
    let run = sandbox.run(["-v"]);
    run.succeeds();
    assert!(run.elapsed.as_secs() < 8, "a whole time-out was waited: {:?}", run.elapsed);
    assert!(!run.err().contains("one command at a time"), "{}", run.shown());
    sandbox.run([""; 0]).succeeds();
    let sessions = server.finish();
    let behind = |session: usize| {
        let lines = sessions[session].lines();
        lines.iter().position(|line| line.starts_with("PASS")).map(|pass| lines.len() - pass - 1)
    };
    assert!(behind(0) > Some(0), "the first flight is one: {:?}", sessions[0].lines());
    // The script's step after PASS is its answer: what had come with it would have been seen before.
    assert!(behind(2) > Some(0) && behind(3) > Some(0));
}

#[test]
fn locked_maildrop_is_not_waited_for() {
    let login =
        [expect("USER me"), expect("PASS tanstaaf"), send("+OK\r\n-ERR [IN-USE] another session\r\n")];
    let (run, _) = run("", vec![after("USER\r\nPIPELINING\r\n", login)]);
    run.exits(75);
    assert!(run.elapsed.as_millis() < 900, "{:?}", run.elapsed);
}
