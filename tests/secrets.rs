//! No secret leaks, and no server writes on the terminal: whatever a server echoes and however much is asked to be
//! shown, on both streams, in every file and in the process table.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::mailbox::{account, after, greeted, named_account, small};
use crate::support::mail;
use crate::support::mailboxes::Maildir;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, expect, reply, send};
use crate::support::server::{Message, Options, Server};
use crate::support::show;

/// Long enough to show in base64 at each alignment, and in nothing else by chance.
const PASSWORD: &str = "Xyzzy-Plugh-42!";

/// Every form in which the password may show: itself, and its base64 whatever stands before it.
fn forms() -> Vec<Vec<u8>> {
    let mut forms = vec![PASSWORD.as_bytes().to_vec(), STANDARD.encode(PASSWORD).into_bytes()];
    for before in 0..3 {
        let text = STANDARD.encode([&b"---"[..before], PASSWORD.as_bytes(), b"---"].concat());
        // Without the characters that hold bits of what stands around it.
        let first = (before * 8).div_ceil(6);
        let end = (before + PASSWORD.len()) * 8 / 6;
        forms.push(text.as_bytes()[first..end].to_vec());
    }
    forms
}

/// Asserts that neither the output nor a file holds any of `secrets`; the files that the test wrote itself aside.
#[track_caller]
fn nowhere(run: &Run, sandbox: &Sandbox, secrets: &[Vec<u8>]) {
    for secret in secrets {
        assert!(secret.len() >= 8, "too short to mean anything: {}", show(secret));
        run.never_says(secret);
        let files = sandbox.files_with(secret);
        let ours = |path: &&std::path::PathBuf| !path.starts_with("given") && !path.starts_with(".config");
        let found: Vec<_> = files.iter().filter(ours).collect();
        assert!(found.is_empty(), "{} in {found:?}\n{}", show(secret), run.shown());
    }
}

/// What a mechanism's exchange is made of, but for the last line, whose answer is a refusal.
struct Exchange {
    auth: &'static str,
    offer: &'static str,
    /// The server's answer to each line before the last.
    answers: Vec<Answer>,
}

#[derive(Clone)]
enum Answer {
    Fixed(String),
    /// SCRAM's first message, which must extend the client's nonce.
    ScramFirst,
}

fn exchanges() -> Vec<Exchange> {
    let fixed = |text: &str| Answer::Fixed(format!("{text}\r\n"));
    let challenge = |text: &str| Answer::Fixed(format!("+ {}\r\n", STANDARD.encode(text)));
    let exchange = |auth, offer, answers: &[Answer]| Exchange { auth, offer, answers: answers.to_vec() };
    let failure = challenge(r#"{"status":"401","scope":"x"}"#);
    vec![
        exchange("user-pass", "USER", &[fixed("+OK")]),
        exchange("user-pass", "USER\r\nPIPELINING", &[fixed("+OK")]),
        exchange("apop", "USER", &[]),
        exchange("plain", "SASL PLAIN", &[]),
        exchange("login", "SASL LOGIN", &[challenge("User"), challenge("Password")]),
        exchange("cram-md5", "SASL CRAM-MD5", &[challenge("<1@2>")]),
        exchange("scram-sha-1", "SASL SCRAM-SHA-1", &[Answer::ScramFirst]),
        exchange("scram-sha-256", "SASL SCRAM-SHA-256", &[Answer::ScramFirst]),
        exchange("xoauth2", "SASL XOAUTH2", &[fixed("+ ")]),
        exchange("oauthbearer", "SASL OAUTHBEARER", &[fixed("+ ")]),
        exchange("xoauth2", "SASL XOAUTH2", &[fixed("+ "), failure.clone()]),
        exchange("oauthbearer", "SASL OAUTHBEARER", &[fixed("+ "), failure]),
    ]
}

fn decoded(line: &[u8]) -> Vec<u8> {
    let words = line.split(|octet| *octet == b' ');
    words.filter_map(|word| STANDARD.decode(word).ok()).collect::<Vec<_>>().concat()
}

fn scram_first(line: &[u8]) -> String {
    let initial =
        String::from_utf8(decoded(line.split(|octet| *octet == b' ').next_back().unwrap())).unwrap();
    let nonce = initial.rsplit_once(",r=").unwrap().1;
    format!("+ {}\r\n", STANDARD.encode(format!("r={nonce}more,s=c2FsdA==,i=4096")))
}

impl Exchange {
    /// A session in which the server repeats everything that it was sent, as it was and decoded, in its refusal.
    fn script(&self) -> Vec<Step> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut script =
            vec![send("+OK <1@b>\r\n"), expect("CAPA"), send(format!("+OK\r\n{}\r\n.\r\n", self.offer))];
        for answer in self.answers.iter().cloned().map(Some).chain([None]) {
            let heard = Arc::clone(&heard);
            script.push(reply(move |line| {
                let mut heard = heard.lock().unwrap();
                heard.push(line.to_vec());
                match &answer {
                    Some(Answer::Fixed(text)) => text.clone().into_bytes(),
                    Some(Answer::ScramFirst) => scram_first(line).into_bytes(),
                    None => {
                        let mut text = b"-ERR [AUTH] I heard".to_vec();
                        for line in heard.iter() {
                            let upper = decoded(line).to_ascii_uppercase();
                            let one_line = |octets: Vec<u8>| {
                                octets
                                    .into_iter()
                                    .map(|octet| if b"\r\n".contains(&octet) { b' ' } else { octet })
                            };
                            text.extend([b": ", &line[..], b" or "].concat());
                            text.extend(one_line(decoded(line)));
                            text.extend(one_line(upper));
                        }
                        [text, b"\r\n".to_vec()].concat()
                    }
                }
            }));
        }
        script
    }

    /// What was derived from the password and sent, as far as it reveals something.
    fn derived(&self, lines: &[String]) -> Vec<Vec<u8>> {
        let last_word = |line: &String| line.rsplit(' ').next().unwrap().to_owned();
        let mut found = Vec::new();
        match self.auth {
            "apop" => found.push(last_word(&lines[1])),
            "cram-md5" => {
                found.push(lines[2].clone());
                let text = String::from_utf8(decoded(lines[2].as_bytes())).unwrap();
                found.push(text.rsplit(' ').next().unwrap().to_owned());
            }
            "scram-sha-1" | "scram-sha-256" => {
                found.push(lines[2].clone());
                let text = String::from_utf8(decoded(lines[2].as_bytes())).unwrap();
                found.push(text.rsplit_once(",p=").unwrap().1.to_owned());
            }
            "plain" => found.push(last_word(&lines[1])),
            "xoauth2" | "oauthbearer" => found.push(lines[2].clone()),
            _ => {}
        }
        // Digests in hexadecimal digits may come back in capitals.
        if let ("apop" | "cram-md5", Some(digest)) = (self.auth, found.last()) {
            found.push(digest.to_uppercase());
        }
        found.into_iter().map(String::into_bytes).collect()
    }
}

#[test]
fn server_that_repeats_what_it_was_sent() {
    for exchange in exchanges() {
        for verbosity in ["-vv", "-v", "--quiet", "--dry-run"] {
            let server = Scripted::start(vec![exchange.script()]);
            let sandbox = Sandbox::new();
            sandbox.write("given", PASSWORD);
            let more = format!("tls = \"none\"\nauth = \"{}\"\npassword-file = \"~/given\"", exchange.auth);
            sandbox.config(named_account("work", server.port(), &more));
            let run = sandbox.run([verbosity]);
            run.exits(77).complains("I heard").complains("***");
            let session = server.finish().remove(0);
            let mut secrets = forms();
            secrets.extend(exchange.derived(&session.lines()));
            nowhere(&run, &sandbox, &secrets);
            clean(&run);
        }
    }
}

#[test]
fn server_that_repeats_it_and_accepts_the_login() {
    for (auth, offer) in [
        ("user-pass", "USER"),
        ("plain", "SASL PLAIN"),
        ("login", "SASL LOGIN"),
        ("cram-md5", "SASL CRAM-MD5"),
        ("scram-sha-256", "SASL SCRAM-SHA-256"),
        ("xoauth2", "SASL XOAUTH2"),
        ("oauthbearer", "SASL OAUTHBEARER"),
    ] {
        let mut options = Options::with("me", PASSWORD, [Message::new("uid-1", mail::message(1, 400))]);
        options.before_login = vec![offer.to_owned()];
        // It has a long memory.
        let answer =
            format!("-ERR your password was {PASSWORD} or {}\r\n", STANDARD.encode(format!("x{PASSWORD}")));
        let server = Server::start(options.instead("DELE", &answer).instead("QUIT", &answer));
        let sandbox = Sandbox::new();
        sandbox.write("given", PASSWORD);
        let more = format!(
            "tls = \"none\"\nauth = \"{auth}\"\npassword-file = \"~/given\"\nleave-on-server = false"
        );
        sandbox.config(named_account("work", server.port(), &more));
        let run = sandbox.run(["-vv"]);
        run.complains("your password was ***");
        nowhere(&run, &sandbox, &forms());
    }
}

#[test]
fn password_anywhere_in_server_text_is_hidden() {
    // As a capability, a challenge, a unique-id, a message's refusal, a farewell.
    let listing = format!("+OK {PASSWORD}\r\n1 {PASSWORD}\r\n2 b\r\n.\r\n");
    for args in [&["-vv"][..], &["--dry-run"], &["--dry-run", "-vv"]] {
        let mut options = Options::with("me", PASSWORD, []);
        options.after_login = vec![format!("IMPLEMENTATION {PASSWORD}")];
        let options = options
            .instead("UIDL", &listing)
            .instead("LIST", format!("+OK {PASSWORD}\r\n1 400\r\n2 400\r\n.\r\n"))
            .instead("RETR", format!("-ERR {PASSWORD}\r\n"));
        let server = Server::start(options);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), "").replace("tanstaaf", PASSWORD));
        let run = sandbox.run(args);
        for form in forms() {
            run.never_says(form);
        }
    }
    for unasked in [format!("-ERR bye {PASSWORD}\r\n"), format!("what is {PASSWORD}?\r\n")] {
        let steps = [expect("USER me"), send("+OK\r\n"), Step::ExpectAny, send(&unasked)];
        let server = Scripted::start(vec![after("USER\r\n", steps)]);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), "").replace("tanstaaf", PASSWORD));
        let run = sandbox.run(["-vv"]);
        nowhere(&run, &sandbox, &forms());
        run.complains("***");
    }
}

#[test]
fn process_table_shows_no_secret() {
    let (arrived, at_pass) = channel();
    let (go, gone_on) = channel::<()>();
    let gone_on = Mutex::new(gone_on);
    let wait = Step::Call(Arc::new(move || {
        arrived.send(()).unwrap();
        let _ = gone_on.lock().unwrap().recv();
    }));
    let steps =
        [expect("USER me"), send("+OK\r\n"), Step::ExpectAny, wait, send("+OK\r\n"), Step::EmptyMaildrop];
    let server = Scripted::start(vec![after("USER\r\n", steps)]);
    let sandbox = Sandbox::new();
    let command = sandbox.script("given", &format!("echo '{PASSWORD}'"));
    let more = format!("tls = \"none\"\npassword-command = [\"{}\"]", command.display());
    sandbox.config(named_account("work", server.port(), &more));
    let running = sandbox.popfetch(["-vv"]).start();
    at_pass.recv().unwrap();
    for what in ["cmdline", "environ", "comm"] {
        let octets = std::fs::read(format!("/proc/{}/{what}", running.pid().as_raw_nonzero())).unwrap();
        assert!(!octets.is_empty(), "{what}");
        for form in forms() {
            assert!(!octets.windows(form.len()).any(|window| window == form), "{what}: {}", show(&octets));
        }
    }
    go.send(()).unwrap();
    let run = running.finish();
    run.succeeds();
    nowhere(&run, &sandbox, &forms());
    server.finish();
}

#[test]
fn programs_that_get_mail_never_see_the_password() {
    let server = Server::with("me", PASSWORD, [Message::new("a", mail::message(1, 400))]);
    let sandbox = Sandbox::new();
    let command = sandbox.script(
        "mda",
        "{ env; tr '\\0' '\\n' </proc/self/environ; ls -l /proc/self/fd; } >~/seen; cat >/dev/null",
    );
    sandbox.write("given", PASSWORD);
    let config = named_account("work", server.port(), "tls = \"none\"\npassword-file = \"~/given\"");
    let pipe = format!("deliver = {{ pipe = [\"{}\"] }}", command.display());
    sandbox.config(config.replace("deliver = { maildir = \"~/work\" }", &pipe));
    let run = sandbox.run(["-vv"]);
    run.succeeds();
    nowhere(&run, &sandbox, &forms());
    let seen = String::from_utf8(sandbox.files()[std::path::Path::new("seen")].clone()).unwrap();
    assert!(seen.contains("POPFETCH_ACCOUNT=work"), "{seen}");
    assert!(!seen.contains("socket:") && !seen.contains("ledger") && !seen.contains("lock"), "{seen}");
}

#[test]
fn mistakes_in_the_configuration_dont_quote_it() {
    let sandbox = Sandbox::new();
    let account = |line: &str| {
        format!("[accounts.work]\nserver = \"127.0.0.1\"\nuser = \"me\"\ndeliver.maildir = \"~/x\"\n{line}\n")
    };
    for line in [
        format!("password = \"{PASSWORD}"),
        format!("password = {PASSWORD}"),
        format!("pasword = \"{PASSWORD}\""),
        format!("passwd = \"{PASSWORD}\""),
        format!("password = [\"{PASSWORD}\"]"),
        format!("password = \"{PASSWORD}\" oops"),
        format!("password = \"{PASSWORD}\"\npassword = \"{PASSWORD}\""),
        format!("password = \"{PASSWORD}\"\nnetrc = true"),
        format!("password = \"{PASSWORD}\"\nport = 0"),
        format!("password-command = \"echo '{PASSWORD}' | false\""),
        format!("password-command = [\"echo {PASSWORD}\"]"),
        format!("password-command = {{ x = \"{PASSWORD}\" }}"),
        format!("password = \"{PASSWORD}\"\n[accounts.\"\x07\"]"),
    ] {
        sandbox.config(account(&line));
        let run = sandbox.run(["-vv"]);
        assert!(matches!(run.code(), Some(77 | 78)), "{line}\n{}", run.shown());
        nowhere(&run, &sandbox, &forms());
        clean(&run);
    }
}

#[test]
fn a_password_in_a_url_is_warned_of_and_not_repeated() {
    let server = Server::with("me", PASSWORD, []);
    let sandbox = Sandbox::new();
    let url = |user: &str| format!("pop://{user}:{PASSWORD}@127.0.0.1:{}", server.port());
    let run = sandbox.popfetch([&url("me"), "--tls", "none", "--maildir", "in", "-vv"]).run();
    run.succeeds().complains("list of processes");
    nowhere(&run, &sandbox, &forms());
    for bad in [
        url("me") + "/path",
        url("me%zz"),
        url("me").replace("127.0.0.1", ""),
        url("me").replace("pop:", "popx:"),
    ] {
        let run = sandbox.run([&bad, "--maildir", "in"]);
        run.exits(64);
        nowhere(&run, &sandbox, &forms());
    }
    let run = sandbox.run(["--server", "127.0.0.1", &url("me"), "--maildir", "in"]);
    run.exits(64);
    nowhere(&run, &sandbox, &forms());
}

// ---- what steers a terminal ------------------------------------------------------------------------------------

/// ESC, BEL, a carriage return, 8-bit controls, GBK, invalid UTF-8, text turned around, invisible characters.
const NASTY: &[u8] =
    b"\x1b[2J\x1b]0;owned\x07\x08\x7f\xc2\x9b31m\x9b31m\xc4\xe3\xba\xc3\xff\xe2\x80\xaegpj.exe\xe2\x80\x8b\xef\xbb\xbf\xe2\x80\xa8\x00";

fn nasty(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, part) in text.split('~').enumerate() {
        if at > 0 {
            out.extend(NASTY);
        }
        out.extend(part.as_bytes());
    }
    out
}

/// Servers cut what they quote, and print it in capitals: in a list of capabilities, and as a unique-id, too.
#[test]
fn most_of_a_password_in_capabilities_and_unique_ids_is_hidden() {
    let cut = &PASSWORD[..PASSWORD.len() - 1];
    for form in [cut.to_owned(), PASSWORD.to_uppercase(), STANDARD.encode(cut)] {
        let mut options = Options::with("me", PASSWORD, small(1));
        options.before_login.push(format!("IMPLEMENTATION {form}"));
        options.before_login.push(format!("X-{form}"));
        options.after_login = options.before_login.clone();
        let options = options.instead("UIDL", format!("+OK\r\n1 {form}\r\n.\r\n"));
        let server = Server::start(options);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), "").replace("tanstaaf", PASSWORD));
        for args in [
            &["server-info", "work"][..],
            &["server-info", "--json", "work"],
            &["list", "--json"],
            &["-vv"],
            &["list"],
            &["history", "--json"],
            &["state", "export"],
        ] {
            let run = sandbox.run(args);
            nowhere(&run, &sandbox, &[form.clone().into_bytes()]);
        }
    }
}

/// Asserts that what was printed is text, of characters that stand where they seem to stand.
#[track_caller]
fn clean(run: &Run) {
    for output in [&run.stdout, &run.stderr] {
        let text = std::str::from_utf8(output).unwrap_or_else(|e| panic!("{e}\n{}", run.shown()));
        let bad = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(u32::from(c), 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF)
        };
        let found = text.chars().find(|c| bad(*c));
        assert!(found.is_none(), "{found:?} was printed\n{}", run.shown());
    }
}

/// A server whose every text is nasty.
fn nasty_server(login: &'static str) -> Scripted {
    let mut script = vec![send(nasty("+OK ~ <1@b> ~\r\n"))];
    for _ in 0..60 {
        script.push(reply(move |line| {
            let line = String::from_utf8_lossy(line).into_owned();
            let message = String::from_utf8(mail::message(1, 400)).unwrap();
            match line.as_str() {
                "CAPA" => nasty(
                    "+OK ~\r\nUSER\r\nUIDL\r\nTOP\r\nIMPLEMENTATION ~\r\n~\r\nSASL ~\r\nEXPIRE ~\r\n.\r\n",
                ),
                "UIDL" => nasty("+OK ~\r\n1 a~\r\n2 ~b\r\n3 c\r\n4 ~ d ~\r\n.\r\n"),
                "UIDL 1" => nasty("+OK 1 a~\r\n"),
                "UIDL 2" => nasty("+OK 2 ~b\r\n"),
                "UIDL 3" => nasty("+OK 3 c\r\n"),
                "UIDL 4" => nasty("+OK 4 ~ d ~\r\n"),
                "LIST" => nasty("+OK ~\r\n1 400 ~\r\n2 400~\r\n3 400\r\n4 400\r\n.\r\n"),
                "STAT" => nasty("+OK 4 1600 ~\r\n"),
                "RETR 1" => nasty(&format!("+OK ~\r\n{message}.\r\n")),
                "RETR 4" => nasty(&format!("+OK ~\r\n~: ~\r\n{message}~\r\n.\r\n")),
                "NOOP" | "USER me" => nasty("+OK ~\r\n"),
                line if line.starts_with("PASS") => nasty(login),
                _ => nasty("-ERR ~ no ~\r\n"),
            }
        }));
    }
    Scripted::start(vec![script])
}

#[test]
fn server_text_is_printed_escaped() {
    for args in [&["-vv"][..], &["-v"], &[], &["--quiet"], &["--dry-run"], &["--dry-run", "-vv"]] {
        let server = nasty_server("+OK ~\r\n");
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), "leave-on-server = false"));
        let run = sandbox.run(args);
        clean(&run);
        if args == ["-vv"] {
            run.complains("\\x1b[2J").complains("\\u{202e}").complains("gpj.exe");
        }
        if args.is_empty() {
            run.exits(75).complains("2 messages").complains("2 messages failed").complains("no \\x1b");
        }
        for (path, octets) in sandbox.files() {
            let state = path.starts_with(".local");
            assert!(!state || !octets.contains(&0x1b), "{}: {}", path.display(), show(&octets));
            assert!(!path.as_os_str().as_encoded_bytes().contains(&0x1b));
        }
    }
}

#[test]
fn refusal_is_printed_escaped() {
    for login in ["-ERR ~\r\n", "-ERR [SYS/PERM] ~\r\n", "-ERR [~] x\r\n", "~\r\n", "+OK~\r\n", "+ ~\r\n"] {
        for args in [&["-vv"][..], &[]] {
            let server = nasty_server(login);
            let sandbox = Sandbox::new();
            sandbox.config(account(server.port(), ""));
            clean(&sandbox.run(args));
        }
    }
    for greeting in ["-ERR ~\r\n", "~\r\n", "-ERR [IN-USE] ~\r\n", "+OK~", "HTTP/1.1 400 ~\r\n"] {
        let server = Scripted::start(vec![vec![send(nasty(greeting))]]);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), ""));
        clean(&sandbox.run(["-vv"]));
    }
    // A TLS client, and one that wants STLS.
    for (tls, script) in [
        ("implicit", vec![send(nasty("+OK ~\r\n"))]),
        ("starttls", vec![send(nasty("+OK ~\r\n")), expect("STLS"), send(nasty("-ERR ~\r\n"))]),
        ("starttls", vec![send(nasty("+OK ~\r\n")), expect("STLS"), send(nasty("+OK ~\r\n~"))]),
        (
            "starttls",
            vec![
                send(nasty("+OK ~\r\n")),
                expect("STLS"),
                send(b"+OK\r\n"),
                Step::ExpectStart(vec![]),
                send(NASTY),
            ],
        ),
    ] {
        let server = Scripted::start(vec![script]);
        let sandbox = Sandbox::new();
        let more = format!("tls = \"{tls}\"\npassword = \"x\"\ntimeout = \"1s\"");
        sandbox.config(named_account("work", server.port(), &more));
        clean(&sandbox.run(["-vv"]));
    }
}

#[test]
fn sasl_text_is_printed_escaped() {
    let challenge = |text: &str| send(format!("+ {}\r\n", STANDARD.encode(nasty(text))));
    for (auth, steps) in [
        ("login", vec![Step::ExpectAny, challenge("~"), Step::ExpectAny, challenge("~"), Step::ExpectAny]),
        ("cram-md5", vec![Step::ExpectAny, challenge("~"), Step::ExpectAny]),
        ("cram-md5", vec![Step::ExpectAny, send(nasty("+ ~\r\n")), Step::ExpectAny]),
        ("scram-sha-256", vec![Step::ExpectAny, challenge("e=~"), Step::ExpectAny]),
        ("scram-sha-256", vec![Step::ExpectAny, challenge("r=~"), Step::ExpectAny]),
        (
            "xoauth2",
            vec![
                Step::ExpectAny,
                send("+ \r\n"),
                Step::ExpectAny,
                challenge("{\"status\":\"~\",\"scope\":\"~\"}"),
                Step::ExpectAny,
            ],
        ),
        (
            "oauthbearer",
            vec![
                Step::ExpectAny,
                send("+ \r\n"),
                Step::ExpectAny,
                challenge("{\"status\":\"\\u001b[2J\\u202e\"}"),
                Step::ExpectAny,
            ],
        ),
    ] {
        let mut script = greeted(&format!("SASL {}\r\n", auth.to_uppercase()));
        script.extend(steps);
        script.push(send(nasty("-ERR ~\r\n")));
        for args in [&["-vv"][..], &[]] {
            let server = Scripted::start(vec![script.clone()]);
            let sandbox = Sandbox::new();
            sandbox.config(account(server.port(), &format!("auth = \"{auth}\"")));
            let run = sandbox.run(args);
            clean(&run);
            assert!(matches!(run.code(), Some(76 | 77)), "{}", run.shown());
            server.finish();
        }
    }
}

#[test]
fn password_in_a_greeting_is_hidden() {
    let greetings = vec![send(format!("-ERR who said {PASSWORD}?\r\n"))];
    let not_pop3 = vec![send(format!("{PASSWORD}\r\n"))];
    let no_stls = vec![send("+OK\r\n"), expect("STLS"), send(format!("-ERR {PASSWORD}!\r\n"))];
    for (tls, script) in
        [("none", greetings), ("none", not_pop3.clone()), ("starttls", no_stls), ("implicit", not_pop3)]
    {
        let server = Scripted::start(vec![script]);
        let sandbox = Sandbox::new();
        let keys = format!("tls = \"{tls}\"\npassword = \"{PASSWORD}\"\ntimeout = \"5s\"");
        sandbox.config(named_account("work", server.port(), &keys));
        let run = sandbox.run(["-vv"]);
        run.never_says(PASSWORD);
        assert_ne!(run.code(), Some(0));
    }
}

#[test]
fn a_part_of_the_password_is_hidden_as_well() {
    let cut = &PASSWORD[..PASSWORD.len() - 1];
    for said in [cut.to_owned(), PASSWORD.to_uppercase(), PASSWORD[1..].to_owned(), cut.to_uppercase()] {
        let login =
            [expect("USER me"), send("+OK\r\n"), Step::ExpectAny, send(format!("-ERR <{said}>?\r\n"))];
        let server = Scripted::start(vec![after("USER\r\n", login)]);
        let sandbox = Sandbox::new();
        let keys = format!("tls = \"none\"\npassword = \"{PASSWORD}\"");
        sandbox.config(named_account("work", server.port(), &keys));
        let run = sandbox.run(["-vv"]);
        run.exits(77).never_says(&said);
        run.complains("<***>?");
    }
}

/// The state holds unique-ids and capabilities: one with the password in it counts as none.
#[test]
fn a_unique_id_with_the_password_in_it_is_not_kept() {
    let message = |unique_id: String, n: u64| Message::new(unique_id, mail::message(n, 400));
    let mut options = Options::with(
        "me",
        PASSWORD,
        [message(format!("x-{PASSWORD}"), 1), message("b".to_owned(), 2), message(PASSWORD.to_owned(), 3)],
    );
    options.before_login.push(format!("LOGIN-DELAY {PASSWORD}"));
    let server = Server::start(options);
    let sandbox = Sandbox::new();
    sandbox.config(named_account("work", server.port(), "tls = \"none\"\npassword-file = \"~/pw\""));
    sandbox.write("pw", PASSWORD);
    for _ in 0..3 {
        sandbox.run([""; 0]).succeeds();
        assert_eq!(Maildir::read(&sandbox.path("work")).messages().len(), 3);
    }
    for (path, octets) in sandbox.files() {
        let holds = octets.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
        assert!(!holds || path.ends_with("pw"), "{}", path.display());
    }
}
